"""The zip of a bundle: the same bytes for the same content, and nothing read back that could do harm."""

import json
import zipfile

import pytest

from bayespref.cards.archive import MANIFEST, differences, read_archive, write_archive
from bayespref.errors import ArtefactError
from bayespref.provenance import is_intact

FILES = {"README.txt": b"read me", "data/a.csv": b"x,y\n1,2\n"}
ABOUT = dict.fromkeys(FILES, "words")


def written(folder, files=FILES):
    return write_archive(folder / "b.zip", files, dict.fromkeys(files, "words"), {"data_hash": "ab", "seed": 0})


def rezipped(folder, entries):
    """A zip of given (name or ZipInfo, content) pairs, as somebody else might make it."""
    path = folder / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def test_the_same_files_give_the_same_bytes_whatever_their_order(tmp_path):
    one = written(tmp_path).read_bytes()
    (tmp_path / "again").mkdir()
    assert written(tmp_path / "again", dict(reversed(FILES.items()))).read_bytes() == one


def test_what_was_written_is_read_back_and_fits_its_manifest(tmp_path):
    manifest, files = read_archive(written(tmp_path))
    assert files == FILES
    assert (manifest["data_hash"], manifest["files"]["data/a.csv"]["bytes"]) == ("ab", 8)
    assert is_intact(manifest)
    assert differences(manifest, files) == []


def test_any_zip_program_lists_the_readme_first_with_a_fixed_date(tmp_path):
    with zipfile.ZipFile(written(tmp_path)) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == ["README.txt", MANIFEST, "data/a.csv"]
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}


def test_changed_missing_and_added_files_are_named(tmp_path):
    manifest, files = read_archive(written(tmp_path))
    assert differences(manifest, {**files, "README.txt": b"read mE"}) == ["README.txt was changed"]
    assert differences(manifest, {"README.txt": files["README.txt"]}) == ["data/a.csv is missing"]
    assert differences(manifest, {**files, "more.txt": b""}) == ["more.txt is not in the manifest"]
    manifest["files"]["README.txt"] = "no entry"
    assert differences(manifest, files) == ["README.txt was changed"]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "a\\b", "C:x", "a//b", "./a", "a/", "..", "", "a\nb", "a\0b"]
)
def test_a_name_that_could_leave_the_archive_is_neither_written_nor_read(tmp_path, name):
    with pytest.raises(ValueError, match="unsafe"):
        written(tmp_path, {name: b""})
    assert list(tmp_path.iterdir()) == []
    if name and "\0" not in name:
        with pytest.raises(ArtefactError, match="leave the archive"):
            read_archive(rezipped(tmp_path, [(zipfile.ZipInfo(name), b""), (MANIFEST, b"{}")]))


def test_links_and_doubles_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with pytest.raises(ArtefactError, match="links"):
        read_archive(rezipped(tmp_path, [(link, b"/etc/passwd"), (MANIFEST, b"{}")]))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = rezipped(tmp_path, [("a", b"1"), ("a", b"2"), (MANIFEST, b"{}")])
    with pytest.raises(ArtefactError, match=r"twice: \['a'\]"):
        read_archive(twice)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("bayespref.cards.archive.MOST_BYTES", 1000)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100_000))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("was unpacked"))
    with pytest.raises(ArtefactError, match="more than 1,000 bytes"):
        read_archive(path)


@pytest.mark.parametrize(
    "manifest", [None, b"{", b"[]", b"{}", json.dumps({"kind": "bayespref.bundle", "files": []}).encode(), b"[" * 9999]
)
def test_an_archive_without_a_usable_manifest_is_refused(tmp_path, manifest):
    entries = [("a", b"1")] + ([] if manifest is None else [(MANIFEST, manifest)])
    with pytest.raises(ArtefactError, match=MANIFEST):
        read_archive(rezipped(tmp_path, entries))


def test_a_file_that_is_no_zip_and_a_cut_one_are_refused(tmp_path):
    whole = written(tmp_path).read_bytes()
    for content in (b"", b"PK", whole[:-30], whole[:40]):
        (tmp_path / "cut.zip").write_bytes(content)
        with pytest.raises(ArtefactError):
            read_archive(tmp_path / "cut.zip")


def test_a_file_without_words_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no words"):
        write_archive(tmp_path / "b.zip", FILES, {"README.txt": "w"}, {})
