"""A full disk, a folder that may not be written and a kill at any moment leave the old file, and say so."""

import ctypes
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import xarray as xr
from pyarrow import csv

from bayespref.cards.archive import write_archive
from bayespref.cli import main
from bayespref.comparisons import from_codes
from bayespref.data.aggregate_file import write_counts
from bayespref.defer.policy import from_scores
from bayespref.design.registry import Intervention, write_registry
from bayespref.design.state import save_state, start
from bayespref.errors import FitFileError
from bayespref.files import replacing
from bayespref.fit.checkpoint import write_checkpoint
from bayespref.posterior.store import load_fit, save_fit
from bayespref.report.html import Section, write_report
from bayespref.studies.runner import run_study
from bayespref.workflow import fit

TABLE = from_codes(np.array([0, 1, 2]), np.array([1, 2, 0]), np.array([0, 1, 0]), items=("x", "y", "z"))
POLICY = from_scores([0.0], [1], labels=["s"], items=["x", "y"], c_defer=0.2, data_hash="h", assumptions=[])
ROW = Intervention(action="ask", intent="bridge", cost_attempt=1.0, version="1")
SECTION = Section("votes", "votes", "<p>" + "words " * 2000 + "</p>", (), (), "")
NOISE = np.random.default_rng(0).bytes(30_000)


@pytest.fixture(scope="module")
def tree():
    return fit("single", TABLE, rng_key=0, method="laplace", chains=1, draws=200, progress=False)


WRITERS = {
    "fit.nc": lambda tree, file: save_fit(tree, file),
    "policy.json": lambda tree, file: POLICY.save(file),
    "registry.json": lambda tree, file: write_registry([ROW], file),
    "state.json": lambda tree, file: save_state(start([np.eye(2)]), file),
    "chain0.npz": lambda tree, file: write_checkpoint(
        file.parent, np.zeros(3), [np.zeros((2, 3))], chain=0, blocks=1, mark="m"
    ),
    "report.html": lambda tree, file: write_report([SECTION], file, title="votes"),
    "audit.zip": lambda tree, file: write_archive(file, {"noise.bin": NOISE}, {"noise.bin": "noise"}, {}),
    "counts.parquet": lambda tree, file: write_counts(TABLE, file),
}


@contextmanager
def disk_with(room):
    """No file may grow beyond so many bytes: what a full disk is to the code, without a disk to fill."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def bound_by_permissions():
    """Permissions bind root only without CAP_DAC_OVERRIDE (bit 1); what root owns, this code too, stays readable."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None)
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~0b10
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_an_error_that_names_the_file_and_keeps_the_old_one(tree, tmp_path, name, share):
    file = tmp_path / name
    WRITERS[name](tree, file)
    old = file.read_bytes()
    with disk_with(int(len(old) * share)), pytest.raises((OSError, FitFileError)) as found:
        WRITERS[name](tree, file)
    assert str(file) in str(found.value)
    assert "what was there is kept" in str(found.value)
    assert file.read_bytes() == old
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_folder_is_an_error_that_names_the_file_and_keeps_the_old_one(tree, tmp_path, name):
    file = tmp_path / name
    WRITERS[name](tree, file)
    old = file.read_bytes()
    tmp_path.chmod(0o555)
    with bound_by_permissions(), pytest.raises((OSError, FitFileError)) as found:
        WRITERS[name](tree, file)
    tmp_path.chmod(0o755)
    assert str(file) in str(found.value)
    assert "Permission denied" in str(found.value)
    assert file.read_bytes() == old


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("room", [0, 3_000])
def test_a_study_on_a_full_disk_names_the_file_and_keeps_the_old_ones(tmp_path, room):
    folder = run_study("two-worlds", out=tmp_path, progress=False).folder
    old = contents(folder)
    with disk_with(room), pytest.raises(OSError, match="what was there is kept") as found:
        run_study("two-worlds", out=tmp_path, progress=False)
    assert str(folder) in str(found.value)
    assert contents(folder) == old


def test_a_study_whose_folder_may_not_be_written_says_so(tmp_path):
    tmp_path.chmod(0o555)
    with bound_by_permissions(), pytest.raises(PermissionError, match="two-worlds"):
        run_study("two-worlds", out=tmp_path, progress=False)
    tmp_path.chmod(0o755)
    assert contents(tmp_path) == {}


VERBS = {
    "card": (["card", "votes.csv", "--out", "out"], ["dataset-card.md", "croissant.json"]),
    "aggregate": (["aggregate", "votes.parquet", "--out", "out/counts.parquet"], ["counts.parquet"]),
}


@pytest.mark.parametrize("fault", ["full", "read-only"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_cannot_write_ends_with_code_2_and_names_the_file(monkeypatch, capsys, tmp_path, verb, fault):
    command, names = VERBS[verb]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["bayespref", *command])
    out = Path("out")
    out.mkdir()
    Path("votes.csv").write_text("item_a,item_b,outcome\nx,y,a\ny,z,b\nz,x,a\n")
    parquet.write_table(csv.read_csv("votes.csv"), "votes.parquet")
    for name in names:
        (out / name).write_text("old")
    out.chmod(0o555 if fault == "read-only" else 0o755)
    with disk_with(0) if fault == "full" else bound_by_permissions(), pytest.raises(SystemExit) as ended:
        main()
    out.chmod(0o755)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "what was there is kept" in said
    assert any(name in said for name in names)
    assert contents(out) == {Path(name): b"old" for name in names}


@pytest.mark.parametrize("shape", [(1, 1), (1000, 1), (3, 70)], ids=str)
def test_the_room_reserved_for_a_fit_is_enough(tree, tmp_path, shape):
    from bayespref.posterior.store import _largest_size

    texts = np.array([["é" * (i * j % 90) for j in range(shape[1])] for i in range(shape[0])])
    large = tree.copy()
    large["more"] = xr.Dataset(
        {"text": (("i", "j"), texts), "number": ("n", np.zeros(5000))}, attrs={"note": "x" * 100_000, "list": [1, 2]}
    )
    file = save_fit(large, tmp_path / "fit.nc")
    assert file.stat().st_size <= _largest_size(large) <= 3 * file.stat().st_size + 500_000
    assert load_fit(file)["more"].attrs["note"] == "x" * 100_000


KILLED = """
import os, signal, sys
from bayespref.files import replacing
touches = 0
def watch(event, arguments):
    global touches
    if event in ("open", "os.rename", "os.chmod", "os.remove") and str(arguments[0]).startswith(sys.argv[1]):
        touches += 1
        if touches == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
with replacing(sys.argv[1] + "/file.txt") as part:
    with part.open("w") as out:
        out.write("new " * 5000)
        out.flush()
        out.write("new " * 5000)
print(touches)
"""


def test_a_kill_at_any_touch_leaves_the_old_file_or_the_new_one(tmp_path):
    file = tmp_path / "file.txt"
    seen, touch, code = set(), 0, -9
    while code == -9:
        touch += 1
        file.write_text("old")
        code = subprocess.run([sys.executable, "-c", KILLED, tmp_path, str(touch)], check=False).returncode
        seen.add(file.read_text())
    assert code == 0
    assert touch > 4  # killed at every one before
    assert seen == {"old", "new " * 10_000}


def test_what_the_block_itself_raises_is_raised_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.txt"):
        _ = 1 / 0
