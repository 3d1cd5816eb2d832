"""The zip of an audit bundle: the same bytes for the same content, and nothing read back that could do harm."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bayespref.errors import ArtefactError
from bayespref.files import replacing
from bayespref.provenance import sealed_json

MANIFEST = "MANIFEST.json"
KIND = "bayespref.bundle"
FORMAT_VERSION = "1.0.0"
MOST_BYTES = 500_000_000
"""Most bytes that a bundle may hold, unpacked."""
_MOST_FILES = 10_000
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o644 << 16
_UNIX = 3


def write_archive(
    path: str | os.PathLike[str], files: Mapping[str, bytes], about: Mapping[str, str], fields: Mapping[str, Any]
) -> Path:
    """Write files and their manifest as one zip, whole or not at all.

    Parameters
    ----------
    path : path
        A ``.zip``; its folder must exist.
    files : mapping of str to bytes
        Content by name; folders by ``/``.
    about : mapping of str to str
        What each file is, in plain words.
    fields : mapping
        From :func:`bayespref.provenance.stamp`, and anything else the manifest should say.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If a name is unsafe, or a file has no words.
    OSError
        If the archive cannot be written; the old one, if any, is kept.

    Notes
    -----
    Order, dates, permissions and compression are fixed, so the same files give the same bytes (with the same zlib).
    """
    unsafe = [name for name in files if _unsafe(name)]
    if unsafe or MANIFEST in files:
        raise ValueError(f"files: unsafe or reserved name(s) {[*unsafe, MANIFEST][:5]}")
    silent = sorted(set(files) - set(about))
    if silent:
        raise ValueError(f"about: no words for {silent[:5]}")
    listed = {
        name: {"sha256": _digest(files[name]), "bytes": len(files[name]), "about": about[name]}
        for name in sorted(files)
    }
    manifest = sealed_json({**fields, "kind": KIND, "format_version": FORMAT_VERSION, "files": listed})
    whole = {**files, MANIFEST: manifest.encode()}
    first = [name for name in ("README.txt", MANIFEST) if name in whole]
    target = Path(path)
    with replacing(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in (*first, *sorted(set(whole) - set(first))):
            entry = zipfile.ZipInfo(name, _NO_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr, entry.create_system = _PLAIN_FILE, _UNIX
            archive.writestr(entry, whole[name])
    return target


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a bundle into memory; nothing is unpacked to disk.

    Parameters
    ----------
    path : path
        What :func:`write_archive` wrote, or what somebody made of it.

    Returns
    -------
    manifest : dict
        Not yet compared with the files; see :func:`differences`.
    files : dict of str to bytes
        Every other file.

    Raises
    ------
    ArtefactError
        If it is no zip or damaged, names a file twice or a path that leaves the archive, holds anything but plain
        files, holds more than 500 MB unpacked, or has no readable manifest.
    """
    target = Path(path)
    try:
        with zipfile.ZipFile(target) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            unsafe = [name for name in names if _unsafe(name)]
            if unsafe:
                raise ArtefactError(f"{target.name}: names that leave the archive or are no plain files: {unsafe[:5]}")
            if len(set(names)) < len(names):
                twice = sorted({name for name in names if names.count(name) > 1})
                raise ArtefactError(f"{target.name}: files given twice: {twice[:5]}")
            odd = [entry.filename for entry in entries if entry.flag_bits & 1 or _is_link(entry)]
            if odd:
                raise ArtefactError(f"{target.name}: links or encrypted files: {odd[:5]}")
            if len(names) > _MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise ArtefactError(f"{target.name}: more than {MOST_BYTES:,} bytes or {_MOST_FILES:,} files unpacked")
            files = {entry.filename: _whole(archive, entry) for entry in entries}
    except ArtefactError:
        raise
    except OSError as error:
        raise ArtefactError(f"{target.name}: cannot be read ({error})") from None
    except Exception as error:  # zipfile raises errors of many kinds on damaged files
        raise ArtefactError(f"{target.name}: not a zip, or damaged: {error}") from None
    try:
        manifest = json.loads(files.pop(MANIFEST))
    except KeyError:
        raise ArtefactError(f"{target.name}: has no {MANIFEST}; it was not written by `bayespref bundle`") from None
    except (ValueError, RecursionError):
        raise ArtefactError(f"{target.name}: its {MANIFEST} is no JSON") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND or not isinstance(manifest.get("files"), dict):
        raise ArtefactError(f"{target.name}: its {MANIFEST} does not describe a bundle")
    return manifest, files


def differences(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> list[str]:
    """What does not fit between a manifest and the files beside it, in words; empty where all fits."""
    listed = manifest["files"]
    found = [f"{name} is missing" for name in sorted(set(listed) - set(files))]
    found += [f"{name} is not in the manifest" for name in sorted(set(files) - set(listed))]
    for name in sorted(set(files) & set(listed)):
        entry = listed[name]
        if not isinstance(entry, dict) or entry.get("sha256") != _digest(files[name]):
            found.append(f"{name} was changed")
    return found


def _whole(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Content of an entry, refused where it is longer than it declares."""
    with archive.open(entry) as file:
        content = file.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise ArtefactError(f"{entry.filename}: is not as long as the archive says")
    return content


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _unsafe(name: str) -> bool:
    path = PurePosixPath(name)
    strange = "\\" in name or ":" in name or any(ord(letter) < 32 for letter in name)
    return strange or not name or path.is_absolute() or str(path) != name or ".." in path.parts


def _is_link(entry: zipfile.ZipInfo) -> bool:
    kind = (entry.external_attr >> 16) & 0o170000
    return kind not in (0, 0o100000)
