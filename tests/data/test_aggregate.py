"""Grouping in an engine gives the table that reading row by row gives, and breaks on the same rows."""

import contextlib
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bayespref.comparisons import Comparisons
from bayespref.data import aggregate_file, aggregate_source
from bayespref.data.aggregate import aggregate, aggregation_text, estimate_cells
from bayespref.data.aggregate_cells import expected_cells
from bayespref.data.aggregate_file import write_counts
from bayespref.data.table import read_comparisons
from bayespref.errors import TableError

pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")  # Ibis 12 on DuckDB 2
LABELS = ("annotator", "state", "context", "environment")


def votes(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a = rng.integers(5, size=rows)
    return pd.DataFrame(
        {
            "item_a": [f"m{k}" for k in a],
            "item_b": [f"m{k}" for k in (a + rng.integers(1, 5, rows)) % 5],
            "outcome": rng.choice(["a", "b", "tie", "both_bad"], rows),
            "state": rng.choice(["s", "t", "ü"], rows),
            "annotator": rng.integers(12, size=rows),
            "context": rng.choice(["x", "y"], rows),
            "environment": rng.choice(["web", "app"], rows),
            "position": rng.choice(["a", "b", None], rows),
            "weight": rng.integers(0, 4, rows).astype(float),
            "count": rng.integers(1, 3, rows),
            "timestamp": rng.random(rows),
        }
    )


def folder_of(frame: pd.DataFrame, folder: Path, parts: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, rows in enumerate(np.array_split(np.arange(len(frame)), parts)):
        pq.write_table(pa.Table.from_pandas(frame.iloc[rows], preserve_index=False), folder / f"part-{k}.parquet")
    return folder


@contextlib.contextmanager
def engine(name: str, frame: pd.DataFrame | None, tmp_path: Path):
    """The same rows in the hands of one engine; None leaves the files that are there."""
    folder = tmp_path / "rows" if frame is None else folder_of(frame, tmp_path / "rows")
    files = str(folder / "*.parquet")
    if name == "parquet":
        yield folder
    elif name == "duckdb":
        with duckdb.connect() as connection:
            yield connection.read_parquet(files)
    elif name == "ibis":
        ibis = pytest.importorskip("ibis")
        yield ibis.duckdb.connect().read_parquet(files)
    else:
        yield pl.scan_parquet(files)


ENGINES = ["parquet", "duckdb", "ibis", "polars"]


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_gives_the_counts_of_reading_rows(name, tmp_path):
    frame = votes()
    read = read_comparisons(frame)
    with engine(name, frame, tmp_path) as source:
        found = aggregate(source)
    assert found.data_hash == read.data_hash
    assert found.provenance["rows_read"] == len(frame)
    assert found.provenance["not_kept"] == ["timestamp"]
    assert found.n_rows < len(frame)


def test_counts_are_those_of_counting_by_hand(tmp_path):
    frame = votes()
    found = aggregate(folder_of(frame, tmp_path / "rows"), group_keys=("state",))
    wanted: Counter = Counter()
    for row in frame.itertuples():
        wanted[row.item_a, row.item_b, row.outcome, row.state] += row.weight * row.count
    items, states = found.items, found.states
    told = {
        (items[a], items[b], ("a", "b", "tie", "both_bad")[o], states[s]): w
        for a, b, o, s, w in zip(found.item_a, found.item_b, found.outcome, found.state, found.weight, strict=True)
    }
    assert told == dict(wanted)


@pytest.mark.parametrize("kept", [(), ("state",), ("annotator", "context"), ("position", "environment")])
def test_a_key_left_out_is_pooled(kept, tmp_path):
    frame = votes()
    read = read_comparisons(frame, columns=None if "position" in kept else {"position": None})
    found = aggregate(folder_of(frame, tmp_path / "rows"), group_keys=kept)
    assert found.data_hash == read.pool(*(name for name in LABELS if name not in kept)).data_hash
    assert set(found.provenance["not_kept"]) == {"timestamp", *LABELS, "position"} - set(kept)


def test_fractional_weights_agree_to_rounding(tmp_path):
    frame = votes().drop(columns="count").assign(weight=np.random.default_rng(1).random(600))
    found, read = aggregate(folder_of(frame, tmp_path / "rows")).counts, read_comparisons(frame).counts
    np.testing.assert_allclose(found.total, read.total, rtol=1e-13)


def test_broken_rows_are_counted_as_reading_counts_them_and_placed(tmp_path):
    frame = votes()
    frame.loc[[7, 300], "item_a"] = None
    frame.loc[[8, 9, 10], "item_a"] = frame.loc[[8, 9, 10], "item_b"]
    frame.loc[[11, 12], "outcome"] = "huh"
    frame.loc[[20, 401, 402], "weight"] = [-1.0, np.nan, np.inf]
    frame["count"] = frame["count"].astype(float)
    frame.loc[30, "count"] = 1.5
    with pytest.raises(TableError) as read:
        read_comparisons(frame)
    with pytest.raises(TableError) as found:
        aggregate(folder_of(frame, tmp_path / "rows"))
    rules = [line.split("; ") for line in str(read.value).splitlines()[1:]]
    assert len(rules) == 5
    for line in rules:
        rule, count = line[0], line[1].split(" bad")[0]
        same = next(other for other in str(found.value).splitlines() if other.startswith(rule))
        assert f"; {count} bad row(s)" in same
    assert "'huh' 2 times" in str(found.value)
    assert "part-2.parquet row 1: None" in str(found.value)  # row 401 of 600 in three files
    assert "part-0.parquet row 20: -1.0" in str(found.value)
    assert "part-1.parquet row 100: None" in str(found.value)


@pytest.mark.parametrize("name", ["duckdb", "ibis", "polars"])
def test_rows_without_a_place_are_named_by_their_values(name, tmp_path):
    frame = votes()
    frame.loc[5, "outcome"] = "huh"
    frame.loc[400, "weight"] = np.nan
    with engine(name, frame, tmp_path) as source, pytest.raises(TableError) as error:
        aggregate(source)
    assert f"item_b='{frame.item_b[5]}', outcome='huh': 'huh'" in str(error.value)
    assert "weight: must be finite and >= 0; 1 bad row(s)" in str(error.value)


@pytest.mark.parametrize("name", ENGINES)
def test_a_weight_that_is_no_number_is_seen_though_statistics_hide_it(name, tmp_path):
    frame = votes(60)
    folder = folder_of(frame, tmp_path / "rows", parts=1)
    table = pq.read_table(folder / "part-0.parquet")
    weight = np.array(table.column("weight").to_numpy())
    weight[7] = np.nan
    pq.write_table(
        table.set_column(table.column_names.index("weight"), "weight", pa.array(weight)), folder / "x.parquet"
    )
    (folder / "part-0.parquet").unlink()
    assert pq.read_metadata(folder / "x.parquet").row_group(0).column(8).statistics.max == 3.0  # NaN left out
    with engine(name, None, tmp_path) as source, pytest.raises(TableError, match=r"weight: .* 1 bad row\(s\)"):
        aggregate(source)


def test_dropping_drops_the_rows_that_reading_drops(tmp_path):
    frame = votes()
    frame.loc[[7, 300], "item_a"] = None
    frame.loc[[20, 401], "weight"] = [-1.0, np.nan]
    with pytest.warns(UserWarning, match="dropped 4 of 600 rows"):
        read = read_comparisons(frame, on_invalid="drop")
    with pytest.warns(UserWarning, match="dropped 4 of 600 rows"):
        found = aggregate(folder_of(frame, tmp_path / "rows"), on_invalid="drop")
    assert found.data_hash == read.data_hash
    assert found.provenance["dropped"]["rows"] == 4
    rules = found.provenance["dropped"]["rules"]
    assert {name: rule["count"] for name, rule in rules.items()} == {
        name: rule["count"] for name, rule in read.provenance["dropped"]["rules"].items()
    }


def test_a_group_whose_rows_all_break_a_rule_leaves_no_label():
    frame = pd.DataFrame({"item_a": ["x", "w"], "item_b": ["y", "z"], "outcome": ["a", "a"], "weight": [1.0, -1.0]})
    with pytest.warns(UserWarning, match="dropped 1 of 2"):
        found = aggregate(pl.from_pandas(frame).lazy(), on_invalid="drop")
    assert found.items == ("x", "y")


def test_text_weights_are_refused(tmp_path):
    frame = votes().assign(weight="1")
    with pytest.raises(TableError, match=r"weight \(column 'weight'\): must be numbers, but the column holds String"):
        aggregate(folder_of(frame, tmp_path / "rows"))


def test_repeated_and_missing_ids_are_refused(tmp_path):
    frame = votes().assign(comparison_id=[f"c{k}" for k in range(600)])
    assert aggregate(folder_of(frame, tmp_path / "good")).data_hash == read_comparisons(frame).data_hash
    frame.loc[[3, 400], "comparison_id"] = ["c5", "c6"]
    with pytest.raises(
        TableError, match=r"must be unique and not missing; 4 row\(s\) share 2 id\(s\), first {\"'c5'\": 2"
    ):
        aggregate(folder_of(frame, tmp_path / "bad"))
    assert aggregate(tmp_path / "bad", columns={"comparison_id": None}).weight.sum() > 0


@pytest.mark.parametrize(
    ("adapter", "frame"),
    [
        ("labels", {"item_a": ["x", "x", "y"], "item_b": ["y", "y", "z"], "label": [1.0, 1.0, 0.5]}),
        ("arena", {"model_a": ["x", "x"], "model_b": ["y", "y"], "winner": ["tie (bothbad)"] * 2, "judge": ["j", "k"]}),
        ("trl", {"item_chosen": ["x", "x", "y"], "item_rejected": ["y", "y", "x"]}),
        ("helpsteer3", {"item_a": ["x", "x"], "item_b": ["y", "y"], "overall_preference": [-3, 1]}),
        ("pscore", {"item_a": ["x", "x"], "item_b": ["y", "y"], "outcome": ["a", "b"], "pscore": [0.5, 0.2]}),
    ],
)
def test_adapters_work_on_groups(adapter, frame):
    frame = pd.DataFrame(frame)
    found = aggregate(pl.from_pandas(frame).lazy(), adapter=adapter)
    assert found.data_hash == read_comparisons(frame, adapter=adapter).data_hash


def test_an_unknown_label_of_an_adapter_is_told_in_its_words():
    frame = pl.LazyFrame({"item_a": ["x", "x"], "item_b": ["y", "y"], "label": [1.0, 0.7]})
    with pytest.raises(TableError, match=r"label must be 1 .*; 1 bad row\(s\) \('0.7' 1 times\)"):
        aggregate(frame, adapter="labels")


def test_attributes_travel_with_the_groups():
    frame = pd.DataFrame({"p_a": [1.0, 1.0, 2.0], "p_b": [2.0, 2.0, 3.0], "outcome": ["a", "a", "b"]})
    found = aggregate(pl.from_pandas(frame).lazy(), features=["p"])
    assert found.n_rows == 2
    assert found.data_hash == read_comparisons(frame, features=["p"]).data_hash


def test_names_of_folders_become_columns(tmp_path):
    frame = votes().drop(columns="state")
    for state, rows in (("s", slice(0, 300)), ("t", slice(300, 600))):
        folder_of(frame.iloc[rows], tmp_path / f"state={state}", parts=1)
    whole = frame.assign(state=["s"] * 300 + ["t"] * 300)
    assert aggregate(tmp_path).data_hash == read_comparisons(whole).data_hash


@pytest.mark.parametrize("name", ENGINES)
def test_too_many_cells_are_refused_with_the_key_that_makes_them(name, tmp_path):
    frame = votes().assign(annotator=[f"p{k}" for k in range(600)])
    with engine(name, frame, tmp_path) as source, pytest.raises(TableError, match="leaving out 'annotator' would save"):
        aggregate(source, max_cells=500)


def test_counts_no_smaller_than_a_large_table_are_warned_of(monkeypatch):
    monkeypatch.setattr("bayespref.data.aggregate._WORTH_A_WARNING", 5_000)
    rows = votes(5_000).assign(annotator=range(5_000))
    with pytest.warns(
        UserWarning, match=r"hardly be smaller .* 5,000 cells from 5,000 rows; without annotator .*'annotator'"
    ):
        aggregate(pl.from_pandas(rows).lazy())
    aggregate(pl.from_pandas(rows).lazy(), group_keys=("state",))


def test_the_estimate_finds_the_number_of_cells_of_equal_size():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 200_000, size=(20_000, 1))
    assert abs(expected_cells(rows, 10_000_000) / 200_000 - 1) < 0.1
    assert expected_cells(np.arange(50)[:, None], 1000) == 1000  # nothing seen twice: no fewer than all
    assert expected_cells(rows, 20_000) == len(np.unique(rows))  # the whole table: exact


def test_a_sample_of_every_engine_gives_the_estimate(tmp_path, monkeypatch):
    monkeypatch.setattr("bayespref.data.aggregate._SAMPLE", 300)
    frame = votes(2000)[["item_a", "item_b", "outcome"]]
    exact = len(frame.drop_duplicates())
    for name in ENGINES:
        with engine(name, frame, tmp_path / name) as source:
            found = estimate_cells(source)
        assert 100 <= found.sampled <= 600
        assert 0.7 * exact < found.cells < 1.3 * exact


@pytest.mark.parametrize(("name", "word"), [("parquet", "GROUP BY"), ("ibis", "GROUP BY"), ("polars", "AGGREGATE")])
def test_what_the_engine_will_run_is_told(name, word, tmp_path):
    with engine(name, votes(), tmp_path) as source:
        assert word in aggregation_text(source).upper()


def test_a_progress_bar_goes_to_stderr_and_changes_no_count(tmp_path, monkeypatch, capsys):
    folder = folder_of(pd.concat([votes(60_000)] * 5), tmp_path)
    quiet = aggregate(folder)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(aggregate_source, "_PATIENCE", 0.001)
    shown = aggregate(folder, progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(r"aggregate .* \d+ % \[", said.err)
    assert shown.data_hash == quiet.data_hash


def test_memory_beyond_the_limit_goes_to_disk(tmp_path):
    rng = np.random.default_rng(0)
    n = 150_000
    table = pa.table(
        {
            "item_a": pa.array(["x"] * n),
            "item_b": pa.array(["y"] * n),
            "outcome": pa.array(rng.choice(["a", "b"], n)),
            "annotator": pa.array([f"a rather long name of person number {k}" for k in rng.permutation(n)]),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    found = aggregate(tmp_path / "rows.parquet", memory="50MB")
    assert found.n_annotators == n


def test_counts_read_back_as_the_same_table(tmp_path):
    found = aggregate(folder_of(votes(), tmp_path / "rows"))
    write_counts(found, tmp_path / "counts.parquet")
    again = read_comparisons(tmp_path / "counts.parquet")
    assert again.data_hash == found.data_hash
    assert again.n_rows == found.n_rows


def test_counts_with_attributes_read_back(tmp_path):
    frame = pd.DataFrame({"p_a": [1.0, 1.0], "p_b": [2.0, 2.0], "item_a": "x", "item_b": "y", "outcome": ["a", "b"]})
    read = read_comparisons(frame, features=["p"])
    write_counts(read, tmp_path / "counts.parquet")
    assert read_comparisons(tmp_path / "counts.parquet", features=["p"]).data_hash == read.data_hash


def test_interrupted_writing_keeps_the_old_file(tmp_path, monkeypatch):
    found: Comparisons = aggregate(folder_of(votes(), tmp_path / "rows"))
    target = tmp_path / "out" / "counts.parquet"
    target.parent.mkdir()
    target.write_bytes(b"old")

    def half(table, path):
        Path(path).write_bytes(b"PAR1 half")
        raise KeyboardInterrupt

    monkeypatch.setattr(aggregate_file.parquet, "write_table", half)
    with pytest.raises(KeyboardInterrupt):
        write_counts(found, target)
    assert target.read_bytes() == b"old"
    assert [file.name for file in target.parent.iterdir()] == ["counts.parquet"]


def test_wrong_sources_and_keys_say_what_is_right(tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="a table in memory: read_comparisons"):
        aggregate(votes())
    with pytest.raises(TypeError, match="got list"):
        aggregate([1, 2])
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        aggregate(tmp_path / "absent.parquet")
    (tmp_path / "rows.csv").write_text("item_a,item_b,outcome\n")
    with pytest.raises(TableError, match=r"no \.parquet file; read other files with read_comparisons"):
        aggregate(tmp_path / "rows.csv")
    with pytest.raises(TableError, match=r"holds no \.parquet file"):
        aggregate(tmp_path)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(TableError, match="cannot be aggregated"):
        aggregate(tmp_path / "broken.parquet")
    few = pl.LazyFrame({"item_a": ["x"], "item_b": ["y"], "outcome": ["a"]})
    with pytest.raises(TableError, match=r"no column for \['state'\]"):
        aggregate(few, group_keys=["state"])
    with pytest.raises(TableError, match=r"got \['timestamp'\]"):
        aggregate(few, group_keys=["timestamp"])
    with pytest.raises(TableError, match="no rows"):
        aggregate(few.head(0))
    with pytest.raises(TableError, match="this column is required"):
        aggregate(few.drop("outcome"))
    pq.write_table(pa.table({"filename": ["x"]}), tmp_path / "named.parquet")
    with pytest.raises(TableError, match="reserved"):
        aggregate(tmp_path / "named.parquet")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ImportError, match=r"bayespref\[scale\]"):
        aggregate(tmp_path / "named.parquet")
