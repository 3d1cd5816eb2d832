"""Hostile input ends in a documented error; the small form of ``make fuzz``, and the inputs that once did not."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bayespref.data.adapters.rows import alpaca_eval_rows, preflib_rows, prism_rows, trl_rows
from bayespref.data.table import read_comparisons
from bayespref.design.registry import RegistryError, read_registry
from bayespref.design.state import load_state
from bayespref.errors import FitFileError, RegimeError, TableError
from bayespref.fit.checkpoint import read_checkpoint, write_checkpoint
from bayespref.graph.thresholds import read_thresholds
from bayespref.posterior.contained import refuse_uncontained
from bayespref.studies.claims import read_expectations
from bayespref.target.regime import read_regime

ROOT = Path(__file__).resolve().parents[2]
DEEP = b"[" * 20_000


@pytest.mark.slow
def test_mutated_input_ends_in_a_documented_error_everywhere():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stdout.count("refused") >= 23, done.stdout


@pytest.mark.parametrize(
    "content", [b"a = " + DEEP, b"\xff\xfe", b"floor = 1", DEEP], ids=["deep", "bytes", "flat", "json"]
)
def test_declarations_that_cannot_be_parsed_are_refused_by_name(tmp_path, content):
    for name, read, error in (
        ("gate.toml", read_thresholds, ValueError),
        ("regime.toml", read_regime, RegimeError),
        ("regime.json", read_regime, RegimeError),
        ("registry.toml", read_registry, RegistryError),
        ("registry.json", read_registry, RegistryError),
        ("state.json", load_state, ValueError),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        if name == "gate.toml" and content == b"floor = 1":
            assert read(file) == {"floor": 1}
            continue
        with pytest.raises(error) as found:
            read(file)
        assert type(found.value) is error
        assert str(found.value).startswith(("thresholds:", "regime:", "registry:", "path:")), found.value


@pytest.mark.parametrize("content", [b"expect = " + DEEP, b"\xff\xfe"], ids=["deep", "bytes"])
def test_claims_of_a_study_that_cannot_be_parsed_are_refused_by_name(tmp_path, content):
    file = tmp_path / "claims.toml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"claims\.toml: ") as found:
        read_expectations(file)
    assert type(found.value) is ValueError


def test_damage_to_a_parquet_file_never_ends_the_process(tmp_path):
    """Every flip of one bit near the descriptions of columns: some made Arrow end the process."""
    written = io.BytesIO()
    table = pa.table({"item_a": ["x", "y"], "item_b": ["y", "z"], "outcome": ["a", "tie"], "weight": [1.0, 2.0]})
    parquet.write_table(table, written, compression="none")
    whole = written.getvalue()
    file, refused = tmp_path / "t.parquet", 0
    for place in range(240, 400):
        for bit in (2, 4, 6):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            try:
                read_comparisons(file)
            except TableError:
                refused += 1
    assert refused > 50


def test_ballots_that_are_no_ballots_are_refused(tmp_path):
    file = tmp_path / "ballots.soc"
    for content in (b"\xff\xfe", b"# NUMBER ALTERNATIVES: x\n1: 1,2", b"", b"1: {1,2"):
        file.write_bytes(content)
        with pytest.raises(TableError):
            preflib_rows(file)


@pytest.mark.filterwarnings("ignore:The 'generic' unit:DeprecationWarning")  # newer NumPy, of the hostile value itself
@pytest.mark.parametrize("others", [[np.float32(0.1)], [np.float32(0.1), 0]], ids=["float", "integer"])
def test_a_time_without_a_unit_among_numbers_does_not_end_the_process(others):
    frame = pd.DataFrame({"item_a": ["x", "y", "x"], "item_b": ["y", "z", "z"], "outcome": ["a", "b", "a"]})
    frame = frame.iloc[: len(others) + 1]
    frame["weight"] = pd.Series([np.datetime64("NaT"), *others], dtype=object)
    with pytest.raises(TableError, match="weight: mixed types"):
        read_comparisons(frame)


@pytest.mark.parametrize(
    ("reader", "row"),
    [
        (alpaca_eval_rows, {"preference": 1.5}),
        (alpaca_eval_rows, {"preference": 1.5, "generator_1": "x", "generator_2": None}),
        (lambda rows: trl_rows(rows, lambda text, row: text), {"chosen": 3, "rejected": 4}),
        (lambda rows: trl_rows(rows, lambda text, row: text), {"chosen": [{"x": 1}], "rejected": ["y"]}),
    ],
)
def test_rows_that_lack_what_an_adapter_reads_are_refused_by_number(reader, row):
    with pytest.raises(TableError, match="row 0"):
        reader([row])


@pytest.mark.parametrize("names", [(1, "1"), (np.array([1, 2]), np.array([1, 2]))], ids=["number", "array"])
def test_names_that_read_alike_are_one_model_and_no_pair(names):
    rows = [{"interaction_id": "i", "user_id": "u", "model_name": name, "score": 50} for name in names]
    with pytest.raises(TableError, match="no comparison is left"):
        prism_rows(rows)


def test_lists_and_missing_categories_in_an_adapter_column_are_refused_or_missing():
    items = {"item_a": ["x", "y"], "item_b": ["y", "z"]}
    with pytest.raises(TableError, match="outcome: must be labels"):
        read_comparisons(pa.table({"model_a": ["x"], "model_b": ["y"], "winner": [[1]]}), adapter="arena")
    hole = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array([1, None]))
    with pytest.raises(TableError, match="missing"):
        read_comparisons(pa.table(items | {"label": hole}), adapter="labels")


BALLOTS = "# ALTERNATIVE NAME 1: x\n# ALTERNATIVE NAME 2: y\n"


@pytest.mark.parametrize(
    ("ballots", "words"),
    [
        ("4: 1,2\n3: 1,2\n", "listed twice"),
        ("4: 1,3\n", "no name"),
        ("4: 1,2,1\n", "names an item twice"),
        ("0: 1,2\n", "by no voter"),
        ("-2: 1,2\n", "by no voter"),
    ],
)
def test_ballots_whose_counts_the_parser_would_get_wrong_are_refused(tmp_path, ballots, words):
    file = tmp_path / "ballots.soi"
    file.write_text(BALLOTS + ballots)
    with pytest.raises(TableError, match=words):
        preflib_rows(file)


@pytest.fixture
def netcdf(tmp_path):
    """A small HDF5 file with every kind of member a fit has, and a secret beside it."""
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["x"] = np.arange(5.0)
    file = tmp_path / "fit.nc"
    with h5py.File(file, "w") as made:
        made["posterior/reward"] = np.zeros((2, 3))
        made["posterior/item"] = np.array(["x", "a much longer text"], dtype=h5py.string_dtype())
        made.create_dataset("posterior/comparison", (10**12,), dtype=">f4").attrs["NAME"] = np.bytes_(
            b"This is a netCDF dimension but not a netCDF variable        10"
        )
    return file


def _virtual(file, folder):
    layout = h5py.VirtualLayout((5,), "f8")
    layout[:] = h5py.VirtualSource(folder / "secret.h5", "x", (5,))
    file.create_virtual_dataset("posterior/v", layout)


def _shared_text(file, folder):
    """One stored text of 100 kB that every one of 1,000 places refers to."""
    pieces = file.create_dataset("posterior/t", (1000,), dtype=h5py.string_dtype())
    pieces[0] = "x" * 100_000
    with open(folder / "fit.nc", "rb") as raw:
        file.flush()
        place = pieces.id.get_offset()
        raw.seek(place)
        first = raw.read(16)
    file.flush()
    return place, first * 1000


HOSTILE = {
    "ExternalLink": lambda file, folder: file.__setitem__("x", h5py.ExternalLink("secret.h5", "/x")),
    "SoftLink": lambda file, folder: file.__setitem__("x", h5py.SoftLink("/posterior/reward")),
    "another file": _virtual,
    "keeps its values": lambda file, folder: file.create_dataset(
        "x", (5,), "f8", external=[(str(folder / "secret.h5"), 0, 40)]
    ),
    "compressed": lambda file, folder: file.create_dataset("x", (10**9,), "f8", chunks=(10**6,), compression="gzip"),
    "declares 8,000,000,000,000 bytes": lambda file, folder: file.create_dataset("x", (10**12,), "f8"),
    "numbers and text only": lambda file, folder: file.create_dataset("x", (5,), h5py.ref_dtype),
    "nested": lambda file, folder: file.__setitem__("posterior/self", file["posterior"]),
    "20 deep": lambda file, folder: file.create_group("/".join("d" * 30)),
}


def test_a_file_with_only_what_fits_have_passes(netcdf):
    refuse_uncontained(netcdf)


@pytest.mark.parametrize("words", HOSTILE)
def test_a_file_that_points_or_swells_beyond_itself_is_refused_unread(netcdf, tmp_path, words):
    with h5py.File(netcdf, "r+") as file:
        HOSTILE[words](file, tmp_path)
    with pytest.raises(FitFileError, match=words):
        refuse_uncontained(netcdf)


def test_texts_that_share_one_stored_value_do_not_swell(netcdf, tmp_path):
    with h5py.File(netcdf, "r+") as file:
        place, patched = _shared_text(file, tmp_path)
    with open(netcdf, "r+b") as raw:
        raw.seek(place)
        raw.write(patched)
    with h5py.File(netcdf) as file:
        assert len(file["posterior/t"][999]) == 100_000  # the trick works
    with pytest.raises(FitFileError, match="longer together"):
        refuse_uncontained(netcdf)


STATE, PIECE = (np.zeros(3), np.int64(0)), {"x": np.zeros((2, 3))}


def _checkpoint(folder):
    write_checkpoint(folder, STATE, [PIECE, PIECE], chain=0, blocks=2, mark="m")
    with np.load(folder / "chain0.npz", allow_pickle=False) as stored:
        return folder / "chain0.npz", dict(stored)


def test_a_whole_checkpoint_is_read(tmp_path):
    _checkpoint(tmp_path)
    state, drawn, blocks = read_checkpoint(tmp_path, STATE, PIECE, chain=0, mark="m")
    assert (blocks, drawn["x"].shape, np.shape(state[0])) == (2, (4, 3), (3,))


@pytest.mark.parametrize(
    "change",
    [{"blocks": np.array(3)}, {"state0": np.zeros(4)}, {"drawn0": np.zeros((4, 2))}, {"blocks": np.zeros(2)}],
    ids=["blocks", "state", "draws", "not a number"],
)
def test_a_checkpoint_that_no_run_can_have_written_is_refused(tmp_path, change):
    file, leaves = _checkpoint(tmp_path)
    with file.open("wb") as out:
        np.savez(out, **{**leaves, **change})
    with pytest.raises(FitFileError, match="remove it"):
        read_checkpoint(tmp_path, STATE, PIECE, chain=0, mark="m")


def test_a_compressed_checkpoint_is_refused_before_it_unfolds(tmp_path):
    file, leaves = _checkpoint(tmp_path)
    with file.open("wb") as out:
        np.savez_compressed(out, **leaves)
    with pytest.raises(FitFileError, match="compressed"):
        read_checkpoint(tmp_path, STATE, PIECE, chain=0, mark="m")


def test_a_checkpoint_with_a_huge_declared_shape_is_refused(tmp_path):
    file, _ = _checkpoint(tmp_path)
    whole = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(whole, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "drawn0.npy":
                head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 3), }"
                content = content[:10] + head.ljust(len(content) - 10 - 96 - 1) + b"\n" + content[-96:]
            new.writestr(name, content)
    file.write_bytes(whole.getvalue())
    with pytest.raises(FitFileError, match="remove it"):
        read_checkpoint(tmp_path, STATE, PIECE, chain=0, mark="m")


def test_objects_in_a_checkpoint_are_never_unpickled(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    file, leaves = _checkpoint(tmp_path)
    with file.open("wb") as out:
        np.savez(out, **{**leaves, "state0": np.array([Harm()] * 3, dtype=object)})
    with pytest.raises(FitFileError):
        read_checkpoint(tmp_path, STATE, PIECE, chain=0, mark="m")
    assert not (tmp_path / "harmed").exists()
