"""A file is written whole or not at all."""

import os
import stat
import subprocess
import sys

import pytest

from bayespref.files import replacing


def test_an_error_while_writing_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file) as part:
        part.write_text("h" * (1 // (file.stat().st_size - 3)))
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_kill_while_writing_keeps_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    code = (
        "import os, signal\nfrom bayespref.files import replacing\n"
        f"with replacing({str(file)!r}) as part:\n"
        "    part.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert file.read_text() == "old"


def test_the_new_file_has_the_permissions_of_any_other_new_file(tmp_path):
    plain, written = tmp_path / "plain", tmp_path / "written"
    plain.write_text("x")
    with replacing(written) as part:
        part.write_text("y")
    assert stat.S_IMODE(os.stat(written).st_mode) == stat.S_IMODE(os.stat(plain).st_mode)


def test_a_missing_folder_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "no" / "a.txt"):
        raise AssertionError("the block must not run")


def test_an_error_about_another_file_is_not_blamed_on_the_target(tmp_path):
    with pytest.raises(FileNotFoundError, match="source") as raised, replacing(tmp_path / "a.txt") as part:
        part.write_bytes((tmp_path / "source").read_bytes())
    assert raised.value.filename == str(tmp_path / "source")
    assert list(tmp_path.iterdir()) == []
