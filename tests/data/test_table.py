"""read_comparisons: one table, many containers; every bad table gets a message that names column, rule and rows."""

import contextlib
import gzip
import json
import re
import time
import warnings
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.comparisons import Comparisons
from bayespref.data.table import read_comparisons
from bayespref.errors import TableError

ROWS = {
    "comparison_id": ["c1", "c2", "c3", "c4"],
    "annotator": [12, 7, 12, 100],
    "state": ["math", "code", "math", "code"],
    "item_a": ["gpt", "Ünï", "日本", "gpt"],
    "item_b": ["日本", "gpt", "gpt", "Ünï"],
    "outcome": ["a", "tie", "both_bad", "b"],
    "position": ["a", "b", None, "a"],
    "weight": [1.0, 0.5, 2.0, 1.0],
    "count": [1, 2, 1, 3],
    "propensity": [0.5, 1.0, 0.25, 0.125],
    "strength": [2.0, None, -1.0, 0.0],
    "timestamp": [datetime(2024, 1, 1, 12, 0, 0, 123456)] * 4,
    "remark": ["free", "text", "", None],
}


def good(**changes):
    """A small valid table without the optional numbers."""
    base = {name: ROWS[name] for name in ("item_a", "item_b", "outcome", "annotator", "state")}
    return pd.DataFrame(base | changes)


def containers(folder):
    frame = pd.DataFrame(ROWS)
    arrow = pa.table(ROWS)
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "t.csv.gz", index=False)
    parquet.write_table(arrow, folder / "t.parquet")
    parquet.write_table(arrow, folder / "chunks.parquet", row_group_size=1)
    lines = [json.dumps({k: v for k, v in row.items() if v is not None}, default=str) for row in arrow.to_pylist()]
    (folder / "t.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    labelled = ["annotator", "state", "item_a", "item_b", "outcome", "position"]
    return {
        "pandas": frame,
        "pandas objects": frame.astype(object),
        "pandas categories": frame.astype(dict.fromkeys(labelled, "category")),
        "pandas odd index": frame.set_index(pd.Index([9, 9, 1, 0])),
        "polars": pl.DataFrame(ROWS),
        "polars lazy": pl.DataFrame(ROWS).lazy(),
        "polars categories": pl.DataFrame(ROWS).with_columns(pl.col("item_a", "item_b", "state").cast(pl.Categorical)),
        "arrow": arrow,
        "arrow chunks": pa.concat_tables([arrow.slice(0, 1), arrow.slice(1, 2), arrow.slice(3)]),
        "csv": folder / "t.csv",
        "csv as str": str(folder / "t.csv"),
        "csv.gz": folder / "t.csv.gz",
        "parquet": folder / "t.parquet",
        "parquet chunks": folder / "chunks.parquet",
        "jsonl": folder / "t.jsonl",
    }


def test_every_container_gives_the_same_comparisons(tmp_path):
    read = {name: read_comparisons(table) for name, table in containers(tmp_path).items()}
    first = read["pandas"]
    assert first.items == ("gpt", "Ünï", "日本")
    assert first.annotators == ("100", "12", "7")
    assert first.weight.tolist() == [1.0, 1.0, 2.0, 3.0]
    assert first.position.tolist() == [1, -1, 0, 1]
    assert first.timestamp[0] == datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=UTC).timestamp()
    for name, table in read.items():
        assert table.data_hash == first.data_hash, name
        for field in ("item_a", "item_b", "outcome", "annotator", "state", "position"):
            np.testing.assert_array_equal(getattr(table, field), getattr(first, field), err_msg=f"{name} {field}")
        for field in ("weight", "propensity", "strength", "timestamp"):
            np.testing.assert_array_equal(getattr(table, field), getattr(first, field), err_msg=f"{name} {field}")
        assert table.provenance["unused_columns"] == ["remark"], name
        json.dumps(table.provenance)


@settings(max_examples=20)
@given(st.permutations(range(4)))
def test_labels_and_hash_do_not_depend_on_row_order(order):
    frame = pd.DataFrame(ROWS)
    one, other = read_comparisons(frame), read_comparisons(frame.iloc[list(order)])
    assert one.items == other.items
    assert one.data_hash == other.data_hash


def test_column_map_renames_and_none_ignores():
    frame = good().rename(columns={"annotator": "rater_id"})
    read = read_comparisons(frame, columns={"annotator": "rater_id", "state": None})
    assert read.annotators == ("100", "12", "7")
    assert read.states == ("all",)
    assert read.provenance["unused_columns"] == ["state"]
    assert read.provenance["columns"]["annotator"] == "rater_id"


def test_labels_adapter_reads_one_zero_half():
    frame = good().drop(columns="outcome")
    for values in ([1, 0, 0, 1], [1.0, 0.0, 0.5, 1.0], np.array([1, 0, 0.5, 1], dtype=np.float32)):
        read = read_comparisons(frame.assign(label=values), adapter="labels")
        expected = [{1.0: 0, 0.0: 1, 0.5: 2}[float(v)] for v in values]
        assert read.outcome.tolist() == expected
    read = read_comparisons(frame.assign(score=[1, 0, 0, 1]), adapter="labels", columns={"label": "score"})
    assert read.outcome.tolist() == [0, 1, 1, 0]


def test_labels_adapter_reports_unknown_numbers_with_counts():
    frame = good().drop(columns="outcome").assign(label=[1, 2, -1, 2])
    with pytest.raises(TableError, match=r"label must be 1 .* 3 bad row\(s\) \('2' 2 times, '-1' 1 times\)"):
        read_comparisons(frame, adapter="labels")


def test_labels_adapter_refuses_text_booleans_and_missing_labels(tmp_path):
    frame = good().drop(columns="outcome")
    for values in (["1", "0", "1", "0"], [True, False, True, False]):
        with pytest.raises(TableError, match="label: must be numbers"):
            read_comparisons(frame.assign(label=values), adapter="labels")
    with pytest.raises(TableError, match=r"outcome \(column 'label'\): must not be missing .* first \{1: None\}"):
        read_comparisons(frame.assign(label=[1, np.nan, 0, 1]), adapter="labels")
    (tmp_path / "t.csv").write_text("item_a,item_b,label\nx,y, 1\nx,y,1.0\nx,y,1_0\n")
    with pytest.raises(TableError, match=r"2 bad row\(s\) \(' 1' 1 times, '1_0' 1 times\)"):
        read_comparisons(tmp_path / "t.csv", adapter="labels")


def test_adapter_output_cannot_be_mapped_as_well():
    frame = good().assign(label=[1, 0, 0, 1])
    with pytest.raises(TableError, match="'outcome' is supplied by the adapter: map 'label' instead"):
        read_comparisons(frame, adapter="labels", columns={"outcome": "outcome"})


# Bad tables -----------------------------------------------------------------------------------------------------------


BAD_ROWS = {
    "unknown outcome": ({"outcome": ["a", "model_a", "draw", "draw"]}, r"outcome: must be one of a, b, tie, both_bad; "
        r"3 bad row\(s\) \('draw' 2 times, 'model_a' 1 times\), first \{1: 'model_a', 2: 'draw', 3: 'draw'\}"),
    "outcome in capitals": ({"outcome": ["A", "a", "b", "b"]}, r"'A' 1 times"),
    "numeric outcome": ({"outcome": [1, 0, 1, 0]}, r"'0' 2 times, '1' 2 times"),
    "self-comparison": ({"item_b": ["gpt", "gpt", "gpt", "Ünï"]}, r"item_a, item_b: an item must not be compared with "
        r"itself; 1 bad row\(s\), first \{0: 'gpt'\}"),
    "missing item": ({"item_a": ["gpt", None, "", "gpt"]}, r"item_a: must not be missing .*; 2 bad row\(s\), "
        r"first \{1: .*, 2: ''\}"),
    "NaN item": ({"item_a": [1.0, np.nan, 3.0, 4.0], "item_b": [2, 2, 2, 2]}, r"item_a: must not be missing"),
    "missing outcome": ({"outcome": ["a", None, "b", "tie"]}, r"outcome: must not be missing"),
    "missing state": ({"state": ["s", None, "s", "s"]}, r"state: must not be missing"),
    "missing annotator": ({"annotator": [1, None, 2, 2]}, r"annotator: must not be missing"),
    "all annotators missing": ({"annotator": [None] * 4}, r"annotator: must not be missing .*; 4 bad row\(s\)"),
    "negative weight": ({"weight": [1, -1, 1, 1]}, r"weight: must be finite and >= 0; 1 bad row\(s\), first \{1: -1\}"),
    "NaN weight": ({"weight": [1, np.nan, 1, 1]}, r"weight: must be finite"),
    "infinite weight": ({"weight": [1, np.inf, 1, 1]}, r"weight: must be finite .*\{1: inf\}"),
    "count with a fraction": ({"count": [1, 1.5, 1, 1]}, r"count: must be a whole number >= 0; .*\{1: 1.5\}"),
    "negative count": ({"count": [1, -2, 1, 1]}, r"count: must be a whole number"),
    "zero propensity": ({"propensity": [0.5, 0.0, 1.0, 1.0]}, r"propensity: must lie in \(0, 1\]; 1 bad"),
    "propensity above one": ({"propensity": [0.5, 1.01, 1.0, 1.0]}, r"propensity: must lie in \(0, 1\]; 1 bad"),
    "NaN propensity": ({"propensity": [0.5, np.nan, 1.0, 1.0]}, r"propensity: must lie in"),
    "duplicate id": ({"comparison_id": [1, 2, 1, 1]}, r"comparison_id: must be unique; 2 bad row\(s\), "
        r"first \{2: 1, 3: 1\}"),
    "missing id": ({"comparison_id": ["x", None, "y", "z"]}, r"comparison_id: must not be missing"),
    "unknown position": ({"position": ["a", "left", "b", "b"]}, r"position: must be one of a, b; .*'left'"),
    "infinite strength": ({"strength": [1, np.inf, 0, 0]}, r"strength: must be a finite number or missing"),
    "text that is no time": ({"timestamp": ["2024-01-01", "noon", "2024-01-01", ""]}, r"timestamp: .*\{1: 'noon'\}"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_named_with_rule_count_and_value(changes, message):
    with pytest.raises(TableError, match=message):
        read_comparisons(good(**changes))


@pytest.mark.parametrize("changes", [changes for changes, _ in BAD_ROWS.values()], ids=BAD_ROWS)
def test_drop_removes_exactly_the_bad_rows_or_leaves_nothing(changes):
    frame = good(**changes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            read = read_comparisons(frame, on_invalid="drop")
        except TableError as error:
            assert "no row is left" in str(error)  # noqa: PT017
            return
    record = read.provenance["dropped"]
    assert read.n_rows == 4 - record["rows"]
    assert record["rows"] >= 1
    assert any("dropped" in str(w.message) for w in caught)
    kept = [
        row for row in range(4) if str(row) not in {r for rule in record["rules"].values() for r in rule["first_rows"]}
    ]
    assert read.data_hash == read_comparisons(frame.iloc[kept]).data_hash


def test_all_broken_rules_are_reported_together():
    frame = good(outcome=["a", "x", "b", "b"], weight=[1, 1, -1, 1], item_b=["gpt", "gpt", "gpt", "Ünï"])
    with pytest.raises(TableError) as caught:
        read_comparisons(frame)
    for part in ("3 rule(s)", "outcome: must be one of", "weight: must be finite", "compared with itself"):
        assert part in str(caught.value)
    with pytest.warns(UserWarning, match="dropped 3 of 4 rows"):
        read = read_comparisons(frame, on_invalid="drop")
    assert read.n_rows == 1
    assert read.provenance["dropped"]["rules"]["weight: must be finite and >= 0"] == {
        "count": 1,
        "first_rows": {"2": "-1"},
    }
    assert read.items == ("gpt", "Ünï")


def test_message_shows_only_the_first_five_rows_and_ten_labels():
    frame = pd.DataFrame({"item_a": ["x"] * 40, "item_b": ["y"] * 40, "outcome": [f"o{i}" for i in range(40)]})
    with pytest.raises(TableError, match=r"40 bad row.*and 30 other labels.*first \{0: 'o0'.*4: 'o4'\}$"):
        read_comparisons(frame)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "x", 3, 4], r"annotator: mixed types in one column \(3 int, 1 str\), first of each \{0: 1, 1: 'x'\}"),
        (["x", b"y", 1, None], "annotator: mixed types in one column"),
        ([True, False, True, True], "annotator: labels must be text or integers, but the column holds bool"),
        ([1.5, 2.0, 3.0, 4.0], r"annotator: labels must be text or integers.*first \[1.5\]"),
        ([np.inf, 2.0, 3.0, 4.0], "annotator: labels must be text or integers"),
        ([["x"], ["y"], ["x"], ["y"]], "annotator: labels must be text or integers, but the column holds list"),
        ([date(2024, 1, 1)] * 4, "annotator: labels must be text or integers, but the column holds date"),
        ([1 + 2j] * 4, "annotator: values of type complex"),
        (["x\0", "y", "y", "y"], "annotator: labels must not hold NUL"),
        (["\ud800", "y", "y", "y"], "annotator: values of type str cannot be read"),
    ],
)
def test_a_column_unusable_as_a_whole_is_an_error_even_when_dropping(values, message):
    frame = good().assign(annotator=pd.Series(values, dtype=object))
    for on_invalid in ("raise", "drop"):
        with pytest.raises(TableError, match=message):
            read_comparisons(frame, on_invalid=on_invalid)


def test_integers_against_text_across_the_two_item_columns_is_mixed_types():
    with pytest.raises(TableError, match="item_a, item_b: mixed types"):
        read_comparisons(good(item_a=[1, 2, 3, 4]))


def test_numbers_stored_as_text_in_a_frame_are_refused():
    with pytest.raises(TableError, match="weight: must be numbers, but the column holds"):
        read_comparisons(good(weight=["1", "2", "3", "4"]))


def test_integers_upcast_by_a_gap_keep_their_labels():
    frame = good(annotator=[1, 2, None, 3])
    assert frame["annotator"].dtype == np.float64
    with pytest.warns(UserWarning, match="dropped 1 of 4"):
        assert read_comparisons(frame, on_invalid="drop").annotators == ("1", "2", "3")


def test_missing_columns_list_what_is_there_and_close_names():
    frame = good().rename(columns={"item_a": "itema", "outcome": "outcom"})
    with pytest.raises(TableError) as caught:
        read_comparisons(frame)
    for part in ("item_a: this column is required; close: ['itema'", "outcome: this column", "5 column(s): 'itema'"):
        assert part in str(caught.value)
    with pytest.raises(
        TableError, match=r"'annotator' maps to 'ratr', which the table does not have; close: \['rater'"
    ):
        read_comparisons(good().assign(rater=1), columns={"annotator": "ratr"})
    with pytest.raises(TableError, match=r"'anotator' is no canonical column; close: \['annotator'"):
        read_comparisons(good(), columns={"anotator": "annotator"})
    with pytest.raises(TableError, match=r"outcome: this column is required \(columns maps it to None\)"):
        read_comparisons(good(), columns={"outcome": None})


def test_names_that_are_only_a_little_alike_are_not_proposed():
    frame = good().rename(columns={"outcome": "verdict", "annotator": "voter"})
    with pytest.raises(TableError) as caught:
        read_comparisons(frame)
    assert "outcome: this column is required\n" in str(caught.value)
    with pytest.raises(TableError, match="'rater' is no canonical column; known are"):  # shares "ate" with state
        read_comparisons(good(), columns={"rater": "annotator"})


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": "outcome"}, "adapter 'labels' reads it: adapter='labels', in a shell --adapter labels"),
        ({"winner": "outcome"}, "adapter 'arena' or 'mtbench' reads it: adapter='arena'"),
        (
            {"first": "item_a"},
            "wrong way round: columns={'item_a': 'first'}, in a shell --column item_a=first",
        ),
    ],
)
def test_a_name_of_an_adapter_and_a_mapping_turned_round_are_said_to_be_that(columns, said):
    with pytest.raises(TableError, match=f"'{next(iter(columns))}' is no canonical column; .*{re.escape(said)}"):
        read_comparisons(good().rename(columns={"item_a": "first"}), columns=columns)


def test_a_column_that_is_mapped_to_nothing_must_be_there_and_a_prompt_is_no_state():
    assert read_comparisons(good(prompt="p"), columns={"prompt": None, "state": None}).n_states == 1
    with pytest.raises(TableError, match="'prompt' is to be ignored, but the table has no column 'prompt'"):
        read_comparisons(good(), columns={"prompt": None})
    with pytest.raises(TableError, match="'prompt' is not kept: map what says which prompt a row is about to 'state'"):
        read_comparisons(good(question="q"), columns={"prompt": "question"})


VERDICTS = {
    "1, 0 and 0.5": ([1, 0, 0.5, 1], "labels", {"label": "verdict"}),
    "1 and 0": ([1, 0, 0, 1], "labels", {"label": "verdict"}),
    "a scale": ([-3, 2, 0, 1], "helpsteer3", {"overall_preference": "verdict"}),
    "1 and 2": ([1, 2, 2, 1], "alpaca_eval", {"generator_1": "left", "generator_2": "right", "preference": "verdict"}),
    "words of battles": (
        ["model_a", "tie", "model_b", "tie (bothbad)"],
        "arena",
        {"model_a": "left", "model_b": "right", "winner": "verdict"},
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts_that_an_adapter_reads_end_in_an_error_that_says_how_and_that_works(case, tmp_path):
    verdicts, adapter, columns = VERDICTS[case]
    frame = good(outcome=verdicts).rename(columns={"item_a": "left", "item_b": "right", "outcome": "verdict"})
    frame.to_csv(tmp_path / "t.csv", index=False)
    own = {"item_a": "left", "item_b": "right", "outcome": "verdict"}
    for table in (frame, tmp_path / "t.csv"):
        with pytest.raises(TableError) as caught:
            read_comparisons(table, columns=own)
        hint = str(caught.value).splitlines()[-1]
        assert f"adapter={adapter!r}, columns={columns}" in hint
        assert f"--adapter {adapter} " + " ".join(f"--column {n}={c}" for n, c in columns.items()) in hint
    rest = {name: column for name, column in own.items() if column not in columns.values()}
    assert len(read_comparisons(frame, adapter=adapter, columns=columns | rest).outcome) == 4


@pytest.mark.parametrize("verdicts", [["a", "tie", "x", "tie"], [80, 100, 35, 10], ["A", "B", "A", "B"], [True] * 4])
def test_verdicts_that_no_adapter_reads_get_no_hint_at_one(verdicts):
    with pytest.raises(TableError) as caught:
        read_comparisons(good(outcome=verdicts))
    assert "adapter" not in str(caught.value)


def test_a_label_column_without_outcome_points_to_the_adapter():
    with pytest.raises(TableError, match="adapter='labels'"):
        read_comparisons(good().drop(columns="outcome").assign(label=1))


def test_chosen_rejected_without_a_key_is_refused_with_the_reason_first():
    frame = pd.DataFrame({"prompt": ["p"], "chosen": ["good answer"], "rejected": ["bad answer"]})
    with pytest.raises(TableError, match=r"^table: plain chosen/rejected data name no item, so every pair is its own"):
        read_comparisons(frame)
    keyed = frame.assign(item_a="m1", item_b="m2", outcome="a")
    assert read_comparisons(keyed).items == ("m1", "m2")


def test_duplicated_column_names_are_refused(tmp_path):
    frame = good()
    with pytest.raises(TableError, match="occurs more than once"):
        read_comparisons(pd.concat([frame, frame[["state"]]], axis=1))
    with pytest.raises(TableError, match="occurs more than once"):
        read_comparisons(pa.table([["x"], ["y"], ["a"], ["a"]], names=["item_a", "item_b", "outcome", "outcome"]))
    (tmp_path / "t.csv").write_text("item_a,item_b,outcome,outcome\nx,y,a,a\n")
    with pytest.raises(TableError, match=r"occurs more than once: \{'outcome': 2\}"):
        read_comparisons(tmp_path / "t.csv")
    (tmp_path / "t.jsonl").write_text('{"item_a": "x", "item_b": "y", "outcome": "a", "outcome": "b"}\n')
    with pytest.raises(TableError, match="a key occurs twice"):
        read_comparisons(tmp_path / "t.jsonl")


def test_empty_tables_and_empty_files_are_refused(tmp_path):
    with pytest.raises(TableError, match="no rows"):
        read_comparisons(good().iloc[:0])
    for frame in (pd.DataFrame(), pl.DataFrame(), pa.table({})):
        with pytest.raises(TableError, match="required"):
            read_comparisons(frame)
    for suffix in ("csv", "parquet", "jsonl"):
        path = tmp_path / f"empty.{suffix}"
        path.write_bytes(b"")
        with pytest.raises(TableError, match="is empty"):
            read_comparisons(path)
    (tmp_path / "empty.csv.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(TableError, match="no header"):
        read_comparisons(tmp_path / "empty.csv.gz")
    (tmp_path / "header.csv").write_text("item_a,item_b,outcome\n")
    with pytest.raises(TableError, match="no rows"):
        read_comparisons(tmp_path / "header.csv")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    with pytest.raises(TableError, match="no rows"):
        read_comparisons(tmp_path / "blank.jsonl")


def test_unreadable_files_are_refused(tmp_path):
    broken = {
        "ragged.csv": b"item_a,item_b,outcome\nx,y\n",
        "latin.csv": "item_a,item_b,outcome\nx,\xff\xfe,a\n".encode("latin-1"),
        "not.csv.gz": b"item_a,item_b,outcome\nx,y,a\n",
        "cut.csv.gz": gzip.compress(b"item_a,item_b,outcome\n" + b"x,y,a\n" * 5000)[:-20],
        "not.parquet": b"PAR1 no",
        "bad.jsonl": b'{"item_a": "x"\n',
        "list.jsonl": b"[1, 2]\n",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TableError, match=name):
            read_comparisons(tmp_path / name)
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(TableError, match="must end in one of"):
        read_comparisons(tmp_path / "t.xlsx")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_comparisons(tmp_path / "absent.csv")


def test_csv_labels_stay_as_written(tmp_path):
    (tmp_path / "t.csv").write_text('\ufeffitem_a,item_b,outcome,annotator\n007,NA,a,01\n"two\nlines","a,b",b,1\n')
    read = read_comparisons(tmp_path / "t.csv")
    assert read.items == ("007", "NA", "a,b", "two\nlines")
    assert read.annotators == ("01", "1")


@pytest.mark.parametrize("arguments", [[1], {"item_a": ["x"]}, None, pd.Series(["x"]), 3, b"x.csv"])
def test_what_is_no_table_is_a_type_error(arguments):
    with pytest.raises(TypeError, match="table: must be a data frame"):
        read_comparisons(arguments)


def test_wrong_options_are_refused():
    with pytest.raises(TableError, match="on_invalid: must be"):
        read_comparisons(good(), on_invalid="ignore")
    with pytest.raises(TableError, match="unknown adapter 'arean'"):
        read_comparisons(good(), adapter="arean")
    with pytest.raises(TypeError, match="columns: must map"):
        read_comparisons(good(), columns=["item_a"])
    with pytest.raises(TypeError, match="'state' must map to a column name"):
        read_comparisons(good(), columns={"state": 3})
    with pytest.raises(TypeError, match="features: must be a sequence of names"):
        read_comparisons(good(), features="price")
    with pytest.raises(TableError, match="features: must name"):
        read_comparisons(good(), features=["price", "price"])


# Right answers on odd tables ------------------------------------------------------------------------------------------


def test_one_row_and_one_annotator_are_fine():
    read = read_comparisons(good().iloc[:1])
    assert (read.n_rows, read.n_items, read.n_annotators) == (1, 2, 1)
    assert read_comparisons(good(annotator=["solo"] * 4)).annotators == ("solo",)


def test_one_item_can_only_be_a_self_comparison():
    with pytest.raises(TableError, match=r"compared with itself; 4 bad row\(s\)"):
        read_comparisons(good(item_a=["x"] * 4, item_b=["x"] * 4))


def test_a_hundred_thousand_items_are_read_and_counted():
    n = 100_000
    frame = pd.DataFrame({"item_a": np.arange(n), "item_b": (np.arange(n) + 1) % n, "outcome": "a"})
    read = read_comparisons(frame)
    assert read.n_items == n
    assert read.items[int(read.item_a[31_415])] == "31415"
    assert read.items[int(read.item_b[31_415])] == "31416"
    assert len(read.counts.total) == n


def test_labels_that_look_alike_are_named_and_kept_apart():
    frame = good(item_a=["GPT", "gpt ", "café", "x"], item_b=["y", "y", "cafe\u0301", "y"])
    with pytest.warns(UserWarning, match=r"item: 2 group\(s\).*kept apart: 'GPT' and 'gpt '"):
        read = read_comparisons(frame)
    assert read.n_items == 6
    with pytest.warns(UserWarning, match=r"annotator: the label\(s\) \['nan'\] read like a missing value"):
        assert read_comparisons(good(annotator=["u", "nan", "v", "w"])).n_annotators == 4


def test_all_weights_zero_is_no_data():
    with pytest.raises(TableError, match="weight, count: their product"):
        read_comparisons(good(weight=[0, 0, 0, 0]))
    with pytest.raises(TableError, match="weight, count: their product"):
        read_comparisons(good(weight=[1e300] * 4, count=[10**10] * 4))


NOON = datetime(2024, 1, 1, 12)


@pytest.mark.parametrize(
    "values",
    [
        [NOON] * 4,
        [NOON.replace(tzinfo=UTC)] * 4,
        [NOON.replace(tzinfo=timezone(timedelta(hours=2))) + timedelta(hours=2)] * 4,
        [NOON.replace(tzinfo=UTC).timestamp()] * 4,
        ["2024-01-01T12:00:00"] * 4,
        ["2024-01-01 14:00+02:00", "2024-01-01T12:00Z"] * 2,
    ],
)
def test_times_are_utc_seconds_and_naive_ones_are_utc(values, tmp_path):
    expected = [NOON.replace(tzinfo=UTC).timestamp()] * 4
    frame = good(timestamp=values)
    assert read_comparisons(frame).timestamp.tolist() == expected
    assert read_comparisons(pl.from_pandas(frame)).timestamp.tolist() == expected
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read_comparisons(tmp_path / "t.csv").timestamp.tolist() == expected


def test_the_zone_of_the_machine_does_not_matter(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        read = read_comparisons(good(timestamp=["1970-01-02T00:00:00"] * 4))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read.timestamp.tolist() == [86400.0] * 4


def test_a_missing_time_or_strength_is_nan_and_dates_are_midnight():
    read = read_comparisons(good(timestamp=["1970-01-02", None, "", "1969-12-31"], strength=[1, None, 2, 3]))
    np.testing.assert_array_equal(read.timestamp, [86400, np.nan, np.nan, -86400])
    np.testing.assert_array_equal(read.strength, [1, np.nan, 2, 3])
    days = good(timestamp=[date(1970, 1, 2), None, date(1970, 1, 1), date(1969, 12, 31)])
    np.testing.assert_array_equal(read_comparisons(days).timestamp, [86400, np.nan, 0, -86400])


# Features -------------------------------------------------------------------------------------------------------------


def tickets(**changes):
    base = {"price_a": [10, 20, 10], "price_b": [20, 30, 30], "time_a": [1.5, 2, 1.5], "time_b": [2, 0, 0]}
    return pd.DataFrame(base | {"outcome": ["a", "b", "a"]} | changes)


def test_bundles_of_features_become_items():
    read = read_comparisons(tickets(), features=["price", "time"])
    assert read.items == ("price=10, time=1.5", "price=20, time=2", "price=30, time=0")
    assert read.features.tolist() == [[10, 1.5], [20, 2], [30, 0]]
    assert read.item_a.tolist() == [0, 1, 0]
    assert read.item_b.tolist() == [1, 2, 2]
    renamed = tickets().rename(columns={"price_a": "p1", "price_b": "p2"})
    mapped = read_comparisons(renamed, features=["price", "time"], columns={"price_a": "p1", "price_b": "p2"})
    assert mapped.data_hash == read.data_hash


def test_features_follow_item_columns():
    frame = tickets(item_a=["slow", "mid", "slow"], item_b=["mid", "free", "free"])
    read = read_comparisons(frame, features=["time"])
    assert read.items == ("free", "mid", "slow")
    assert read.features.tolist() == [[0], [2], [1.5]]
    bundles = read_comparisons(frame, features=["price", "time"], columns={"item_a": None, "item_b": None})
    assert bundles.items[0] == "price=10, time=1.5"


def test_an_item_with_two_values_of_a_feature_is_an_error_that_names_it():
    frame = tickets(item_a=["slow", "mid", "slow"], item_b=["mid", "free", "free"], time_a=[1.5, 2, 1.6])
    with pytest.raises(TableError, match=r"1 item\(s\) have several, first: item 'slow' has time 1.[56] and 1.[56]"):
        read_comparisons(frame, features=["time"])


def test_broken_features_are_refused():
    with pytest.raises(TableError, match=r"time_a: attributes must be finite numbers; 1 bad .*\{1: None\}"):
        read_comparisons(tickets(time_a=[1.5, np.nan, 1.5]), features=["price", "time"])
    with pytest.raises(TableError, match=r"price_b: attributes must be finite.*\{0: inf\}"):
        read_comparisons(tickets(price_b=[np.inf, 30, 30]), features=["price", "time"])
    with pytest.raises(TableError, match="comfort_a: this column is required"):
        read_comparisons(tickets(), features=["comfort"])
    with pytest.raises(
        TableError, match=r"equal attributes on both sides\); 1 bad row\(s\), first \{0: \{'price': 10.0"
    ):
        read_comparisons(tickets(price_b=[10, 30, 30], time_b=[1.5, 0, 0]), features=["price", "time"])
    with pytest.raises(TableError, match="item_b: this column is required"):
        read_comparisons(tickets(item_a=["x", "y", "z"]), features=["price"])


def test_dropping_rows_with_broken_features_leaves_the_other_items():
    with pytest.warns(UserWarning, match="dropped 1 of 3"):
        read = read_comparisons(tickets(time_a=[1.5, np.nan, 1.5]), features=["price", "time"], on_invalid="drop")
    assert read.items == ("price=10, time=1.5", "price=20, time=2", "price=30, time=0")
    assert read.n_rows == 2


def test_minus_zero_and_zero_are_one_bundle():
    for zeros in ([0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]):
        frame = pd.DataFrame({"f_a": zeros, "f_b": [1.0, 2.0], "outcome": ["a", "a"]})
        read = read_comparisons(frame, features=["f"])
        assert read.items == ("f=0", "f=1", "f=2")
        assert not np.signbit(read.features).any()


# Fuzz -----------------------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["a", "b", "tie", "both_bad", "x", "y", "", " x", "nan", "\0", "\ud800", "日"]),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.datetimes(),
    st.dates(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
)
NAMES = ["item_a", "item_b", "outcome", "annotator", "state", "weight", "count", "propensity", "timestamp", "position"]
NAMES += ["comparison_id", "label", "strength", "f_a", "f_b", "chosen", "rejected"]
PLAUSIBLE = {
    "item_a": st.sampled_from(["x", "y"]),
    "item_b": st.sampled_from(["y", "z", "w"]),
    "f_a": st.floats(0, 1),
    "f_b": st.floats(2, 3),
    "outcome": st.sampled_from(["a", "b", "tie", "both_bad", "c"]),
    "label": st.sampled_from([0, 1, 0.5, 2, None]),
    "position": st.sampled_from(["a", "b", None]),
    "weight": st.floats(0, 2),
    "count": st.integers(0, 3),
    "propensity": st.floats(0, 1),
}


KINDS = [st.integers(-3, 3), st.floats(), st.text(max_size=2), st.none(), st.datetimes()]


@st.composite
def garbage(draw):
    rows = draw(st.integers(0, 5))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=10))
    if draw(st.booleans()):
        names = list(dict.fromkeys(["item_a", "item_b", "outcome", *names]))
    columns = {}
    for name in names:
        plausible = PLAUSIBLE.get(name, st.sampled_from(["x", "y", "z"]))
        kind = draw(st.sampled_from(["plausible"] * 8 + ["one kind", "any"]))
        simple = draw(
            st.sampled_from([st.integers(-3, 3), st.floats(), st.text(max_size=2), st.none(), st.datetimes()])
        )
        cell = {"plausible": plausible, "any": VALUES, "one kind": simple}[kind]
        columns[name] = draw(st.lists(cell, min_size=rows, max_size=rows))
    return columns


@settings(max_examples=150)
@given(garbage(), st.sampled_from(["raise", "drop"]), st.sampled_from([None, "labels"]), st.booleans())
def test_garbage_gives_comparisons_or_a_table_error(columns, on_invalid, adapter, features):
    frames = [pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})]
    with contextlib.suppress(ValueError, TypeError, OverflowError, pa.ArrowException):
        frames += [pd.DataFrame(columns), pa.table(columns)]
    for frame in frames:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                read = read_comparisons(
                    frame, adapter=adapter, on_invalid=on_invalid, features=["f"] if features else None
                )
            except (TableError, TypeError):
                continue
        assert isinstance(read, Comparisons)
        assert read.n_rows >= 1
        assert len(read.data_hash) == 64


@settings(max_examples=60)
@given(st.binary(max_size=120), st.sampled_from(["csv", "jsonl", "parquet", "csv.gz"]))
def test_garbage_bytes_give_comparisons_or_a_table_error(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("fuzz") / f"t.{suffix}"
    path.write_bytes(b"item_a,item_b,outcome\nx,y,a\n" + content if suffix == "csv" else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with contextlib.suppress(TableError):
            assert read_comparisons(path).n_rows >= 1
