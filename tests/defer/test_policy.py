"""The policy a system consumes: decisions on frames, the file, and what must never act."""

import json
import os
import subprocess
import sys
import time

import jsonschema
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.defer.policy import DeferralPolicy, from_scores
from bayespref.errors import REASONS, PolicyFileError
from bayespref.provenance import content_hash

KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
OUTPUT = ["decision", "action", "reason", "score", "threshold"]


def small_policy(**change):
    arguments = {
        "score": [0.05, 1.0, np.nan, 0.3, np.inf, 0.0],
        "action": [1, 0, 2, 0, -1, 0],
        "labels": [("s0", "c0"), ("s0", "c1"), ("s1", "c0"), ("s2", "c1"), ("ü", "c0"), ("7", "c1")],
        "region": ("state", "context"),
        "items": ["x", "y", "z"],
        "c_defer": 0.2,
        "flag": ["", "no_data", "disconnected", "", "separated", ""],
        "data_hash": "sha256:feed",
        "assumptions": ["rewards lie in [0, 1]"],
        **change,
    }
    return from_scores(arguments.pop("score"), arguments.pop("action"), **arguments)


def random_policy(seed, n_regions=60):
    rng = np.random.default_rng(seed)
    pairs = rng.permutation([(f"s{i}", f"c{j}") for i in range(20) for j in range(6)])[:n_regions]
    score = rng.choice([0.0, 0.1, 1 / 3, 0.5, np.nan, np.inf, *rng.uniform(size=20)], size=n_regions)
    return from_scores(
        score,
        rng.integers(-1, 4, n_regions),
        labels=[tuple(str(x) for x in pair) for pair in pairs],
        region=("state", "context"),
        items=["a", "b", "c", "d"],
        c_defer=rng.choice([0.1, 1 / 3, np.nan], size=n_regions),
        rule=str(rng.choice(["set_pure", "chow", "credible", "calibrated"])),
        level=0.9,
        value=np.abs(rng.normal(size=n_regions)),
        flag=rng.choice(["", "no_data", "disconnected", "thin", "uncovered_region"], size=n_regions),
        fallback="d",
        fallback_score=rng.uniform(size=n_regions),
        c_escalate=0.2,
        data_hash="sha256:feed",
        assumptions=["rewards lie in [0, 1]", "types are aligned"],
    )


def columns(frame):
    """Output columns of a predicted frame as lists, with None for every missing value."""
    if isinstance(frame, pd.DataFrame):
        frame = frame.astype(object).where(frame.notna(), None)
        return {name: frame[name].tolist() for name in OUTPUT}
    if isinstance(frame, pl.DataFrame):
        return {name: frame[name].to_list() for name in OUTPUT}
    return {name: frame[name].to_pylist() for name in OUTPUT}


def acting(frame):
    return [decision == "act" for decision in columns(frame)["decision"]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_kind_of_frame_comes_back_with_five_more_columns(kind):
    table = {"id": [1, 2, 3], "state": ["s0", "s0", "s9"], "context": ["c0", "c1", "c0"]}
    result = small_policy().predict(KINDS[kind](table))
    assert type(result) is type(KINDS[kind](table))
    names = list(result.columns) if kind != "pyarrow" else result.column_names
    assert names == ["id", "state", "context", *OUTPUT]
    assert columns(result) == {
        "decision": ["act", "defer", "defer"],
        "action": ["y", None, None],
        "reason": ["score_below_threshold", "no_data", "unseen_state"],
        "score": [0.05, 1.0, None],
        "threshold": [0.2, 0.2, None],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_anything_missing_or_unknown_defers(kind):
    table = {
        "state": ["s0", None, "s0", "s0", "S0", "", "s1", "s2"],
        "context": ["c0", "c0", None, "c9", "c0", "c0", "c0", "c1"],
    }
    result = columns(small_policy().predict(KINDS[kind](table)))
    assert result["decision"] == ["act", *["defer"] * 7]
    assert result["reason"][1:] == [
        *["missing_value"] * 2,
        *["unseen_state"] * 3,
        "disconnected",
        "score_above_threshold",
    ]
    assert result["action"][1:] == [None] * 7


@pytest.mark.parametrize("kind", KINDS)
def test_items_on_offer_must_be_known_and_hold_the_action(kind):
    table = {
        "state": ["s0"] * 5 + ["s9", "s0"],
        "context": ["c0"] * 5 + ["c0", "c1"],
        "item_a": ["x", "x", "q", "y", None, "q", "x"],
        "item_b": ["y", "z", "y", "y", "y", "y", "z"],
    }
    frame = KINDS[kind](table)
    result = columns(small_policy().predict(frame))
    assert result["decision"] == ["act", "defer", "defer", "act", "defer", "defer", "defer"]
    assert result["reason"] == [
        "score_below_threshold",
        "not_offered",
        "unknown_item",
        "score_below_threshold",
        "missing_value",
        "unseen_state",
        "no_data",
    ]
    assert result["score"][1] is None
    assert acting(small_policy().predict(frame, candidates=())) == [True] * 5 + [False] * 2
    assert acting(small_policy().predict(frame, candidates=("item_a",))) == [False] * 3 + [True] + [False] * 3


def test_a_fallback_that_is_not_on_offer_defers():
    policy = small_policy(fallback="z", fallback_score=np.full(6, 0.1))
    case = {"state": "s2", "context": "c1"}
    assert policy.lookup(case)[:2] == ("fallback", "z")
    assert policy.lookup({**case, "item_a": "x", "item_b": "y"})[:2] == ("defer", None)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_frames_of_all_kinds_single_lookups_and_a_plain_dictionary_agree(seed):
    rng = np.random.default_rng(seed)
    policy = random_policy(seed)
    table = {
        "state": rng.choice([*(f"s{i}" for i in range(22)), None], size=60).tolist(),
        "context": rng.choice([*(f"c{i}" for i in range(7)), None], size=60).tolist(),
        "item_a": rng.choice(["a", "b", "c", "d", "e", None], size=60, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05]).tolist(),
        "item_b": rng.choice(["a", "b", "c", "d"], size=60).tolist(),
    }
    plain = {tuple(row): i for i, row in enumerate(policy.labels)}
    expected = []
    for state, context, a, b in zip(*table.values(), strict=True):
        at = plain.get((state, context))
        if None in (state, context, a):
            expected.append(("defer", None, "missing_value"))
        elif at is None:
            expected.append(("defer", None, "unseen_state"))
        elif a == "e":
            expected.append(("defer", None, "unknown_item"))
        elif policy.action[at] is not None and policy.action[at] not in (a, b):
            expected.append(("defer", None, "not_offered"))
        else:
            expected.append((str(policy.decision[at]), policy.action[at], str(policy.reason[at])))
    for build in KINDS.values():
        result = columns(policy.predict(build(table)))
        assert list(zip(result["decision"], result["action"], result["reason"], strict=True)) == expected
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    assert [tuple(policy.lookup(row)[:3]) for row in rows] == expected


def test_round_trip_decides_ten_thousand_random_rows_identically(tmp_path):
    rng = np.random.default_rng(11)
    for seed in range(5):
        policy = random_policy(seed)
        again = DeferralPolicy.load(policy.save(tmp_path / "policy.json"))
        frame = pl.DataFrame(
            {
                "state": rng.choice([*(f"s{i}" for i in range(22)), None], size=2000).tolist(),
                "context": rng.choice([*(f"c{i}" for i in range(7)), None], size=2000).tolist(),
            }
        )
        before, after = policy.predict(frame), again.predict(frame)
        assert before.equals(after, null_equal=True)
        assert len(set(before["decision"])) >= 3
        assert again.to_json() == policy.to_json()
        np.testing.assert_array_equal(again.score, policy.score)
        np.testing.assert_array_equal(again.threshold, policy.threshold)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=6, unique=True),
    st.lists(st.floats(0) | st.just(np.nan), min_size=6, max_size=6),
)
def test_any_text_and_any_score_survive_the_file(labels, score):
    n = len(labels)
    policy = from_scores(
        score[:n], [0] * n, labels=labels, items=[labels[0]], c_defer=0.5, data_hash="h", assumptions=[]
    )
    again = DeferralPolicy.from_json(policy.to_json())
    np.testing.assert_array_equal(again.score, policy.score)
    assert [again.lookup({"state": label})[:3] for label in labels] == [
        policy.lookup({"state": label})[:3] for label in labels
    ]
    result = again.predict(pl.DataFrame({"state": labels}))
    assert acting(result) == [bool(s <= 0.5) for s in score[:n]]


def test_known_labels_in_a_combination_never_seen_are_an_unseen_region():
    pairs = [("s0", "c0"), ("s0", "c1"), ("s1", "c0")]
    policy = small_policy(labels=pairs, score=[0.0] * 3, action=[0] * 3, flag=None)
    asked = [("s0", "c0"), ("s1", "c1"), ("s1", "c0"), ("c0", "s0")]
    frame = pl.DataFrame({"state": [s for s, _ in asked], "context": [c for _, c in asked]})
    assert acting(policy.predict(frame)) == [True, False, True, False]
    assert [policy.lookup({"state": s, "context": c}).decision == "act" for s, c in asked] == [True, False, True, False]


def test_trailing_nul_makes_another_label():
    policy = from_scores(
        [0.0, 1.0], [0, 0], labels=["s", "s\0"], items=["x"], c_defer=0.5, data_hash="h", assumptions=[]
    )
    assert acting(policy.predict(pl.DataFrame({"state": ["s", "s\0", "s\0\0"]}))) == [True, False, False]


# ---------------------------------------------------------------------------- columns of many types


_ODDITIES = ["s", np.nan, pd.NA, None, 7, 7.0, True, b"s", ("s",), 2**80]


def one_key_policy():
    return from_scores([0.0, 0.0], [0, 0], labels=["7", "s"], items=["x"], c_defer=0.5, data_hash="h", assumptions=[])


@pytest.mark.parametrize(
    ("column", "acts"),
    [
        (pd.Series([7, 8]), [True, False]),
        (pd.Series([7, 8], dtype="uint8"), [True, False]),
        (pd.Series([7, None], dtype="Int64"), [True, False]),
        (pd.Series([7.0, np.nan]), [False, False]),
        (pd.Series(["s", "7", "t"], dtype="category"), [True, True, False]),
        (pd.Series(["s", None], dtype="category"), [True, False]),
        (pd.Series(_ODDITIES, dtype=object), [1, 0, 0, 0, 1, *[0] * 5]),
        (pd.Series([True, False]), [False, False]),
        (pd.Series(pd.to_datetime(["2020-01-01", None])), [False, False]),
        (pd.Series([None, None], dtype=object), [False, False]),
        (pl.Series([7, None], dtype=pl.Int16), [True, False]),
        (pl.Series(["s", None, "t"], dtype=pl.Categorical), [True, False, False]),
        (pl.Series(["s", "7"], dtype=pl.Enum(["7", "s"])), [True, True]),
        (pl.Series([None, None]), [False, False]),
        (pl.Series([float("nan"), 7.0]), [False, False]),
        (pl.Series([["s"], None]), [False, False]),
        (pa.chunked_array([["s"], [None, "7"]]), [True, False, True]),
        (pa.chunked_array([pa.array(["s", "t"]).dictionary_encode()]), [True, False]),
        (pa.array(["s", None], type=pa.large_string()), [True, False]),
        (pa.array(["s", None], type=pa.string_view()), [True, False]),
        (pa.array([b"s", None]), [False, False]),
        (pa.array([], type=pa.string()), []),
    ],
)
def test_only_text_categories_and_integers_match_a_label(column, acts):
    if isinstance(column, pd.Series):
        frame, missing = pd.DataFrame({"state": column}), pd.isna(column).tolist()
    else:
        frame = (pl.DataFrame if isinstance(column, pl.Series) else pa.table)({"state": column})
        values = column.to_list() if isinstance(column, pl.Series) else column.to_pylist()
        missing = [value is None or value != value for value in values]
    result = one_key_policy().predict(frame)
    assert acting(result) == [bool(a) for a in acts]
    assert [reason == "missing_value" for reason in columns(result)["reason"]] == missing


def test_a_pandas_frame_keeps_its_index_however_odd():
    frame = pd.DataFrame({"state": ["s", "t", "7"]}, index=[5, 5, 0])
    result = one_key_policy().predict(frame)
    assert result.index.tolist() == [5, 5, 0]
    assert acting(result) == [True, False, True]
    assert frame.columns.tolist() == ["state"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_and_no_regions_are_no_trouble(kind):
    empty = from_scores([], np.array([], dtype=int), labels=[], items=["x"], c_defer=1.0, data_hash="h", assumptions=[])
    again = DeferralPolicy.from_json(empty.to_json())
    assert acting(again.predict(KINDS[kind]({"state": ["s", "t"]}))) == [False, False]
    assert len(acting(one_key_policy().predict(KINDS[kind]({"state": ["s"]})[:0]))) == 0


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pl.DataFrame({"context": ["c0"]}), ValueError, "'state'"),
        (pl.DataFrame({"state": ["s0"], "context": ["c0"], "item_a": ["x"]}), ValueError, "item_a"),
        (pl.DataFrame({"state": ["s0"], "context": ["c0"], "score": [1]}), ValueError, "score"),
        (pl.DataFrame({"state": ["s0"], "context": ["c0"]}).lazy(), TypeError, "eager"),
        ({"state": ["s0"], "context": ["c0"]}, TypeError, "dict"),
    ],
)
def test_frames_that_cannot_be_answered_are_refused(frame, error, message):
    with pytest.raises(error, match=message):
        small_policy().predict(frame)


# ---------------------------------------------------------------------------- building


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": [("s0", "c0")] * 6}, ValueError, "given twice"),
        ({"labels": [("s0",)] * 6}, ValueError, "2 label"),
        ({"labels": [("s0", "c0")]}, ValueError, "1 regions are named"),
        ({"labels": [(i, "c") for i in range(6)]}, TypeError, "text"),
        ({"labels": [(f"\ud800{i}", "c") for i in range(6)]}, ValueError, "UTF-8"),
        ({"items": ["x", "x", "z"]}, ValueError, "items: given twice"),
        ({"items": ["x"]}, ValueError, "out of range"),
        ({"rule": "set_random"}, ValueError, "rule"),
        ({"level": 1.5}, ValueError, "level"),
        ({"region": ("state", "score")}, ValueError, "region"),
        ({"data_hash": ""}, ValueError, "data_hash"),
        ({"flag": ["what"] * 6}, ValueError, "what"),
        ({"fallback": "w", "fallback_score": np.zeros(6)}, ValueError, "fallback"),
        ({"c_defer": -1.0}, ValueError, "c_defer"),
    ],
)
def test_policies_that_contradict_themselves_are_not_built(change, error, message):
    with pytest.raises(error, match=message):
        small_policy(**change)


def test_a_calibrated_score_clears_no_region_without_calibration_mass():
    policy = small_policy(
        rule="calibrated",
        level=0.9,
        score=[-1.0] * 6,
        action=[0] * 6,
        c_defer=0.3,
        flag=["", "uncovered_region", "no_data", "disconnected", "thin", ""],
    )
    assert policy.decision.tolist() == ["act", "defer", "defer", "defer", "act", "act"]
    nothing = small_policy(rule="calibrated", score=[0.0] * 6, action=[0] * 6, c_defer=np.nan, flag=[""] * 6)
    assert set(nothing.decision) == {"defer"}
    assert set(nothing.reason) == {"not_certified"}


def test_a_policy_cannot_be_changed_in_place():
    policy = small_policy()
    with pytest.raises(AttributeError):
        policy.rule = "chow"
    for name in ("decision", "action", "reason", "score", "threshold", "labels"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(policy, name)[0] = getattr(policy, name)[1]


def test_explanations_name_decision_score_threshold_and_next_step():
    policy = small_policy()
    text = policy.explain({"state": "s0", "context": "c1"})
    assert text.startswith("state 's0', context 'c1': defer. The score (set_pure, in log-odds) is 1; the threshold is")
    assert REASONS["no_data"].next_step in text
    assert policy.explain(0).startswith("state 's0', context 'c0': act (y).")
    assert "unseen_state" in policy.explain({"state": "s9", "context": "c0"})
    assert "missing_value" in policy.explain({"state": "s9"})
    assert "act 2, defer 4" in repr(policy)


def test_the_decision_table_holds_every_region_once():
    policy = small_policy()
    table = policy.to_table()
    assert table.columns.tolist() == ["state", "context", *OUTPUT]
    assert len(table) == 6
    again = policy.predict(table[["state", "context"]])
    pd.testing.assert_frame_equal(again, table)


# ---------------------------------------------------------------------------- the file


def edited(change, *, rehash=True):
    """Text of the small policy after ``change`` was applied to its fields."""
    fields = json.loads(small_policy().to_json())
    change(fields)
    if rehash:
        fields["content_hash"] = content_hash(fields)
    return json.dumps(fields)


def setter(path, value):
    def change(fields):
        for step in path[:-1]:
            fields = fields[step]
        fields[path[-1]] = value

    return change


EDITS = {
    "newer version": (setter(["format_version"], "2.0.0"), "format_version"),
    "other format": (setter(["format"], "other"), "format"),
    "additional field": (setter(["eval"], "1+1"), "eval"),
    "additional field in a region": (setter(["regions", 0, "note"], ""), "note"),
    "missing field": (lambda f: f.pop("items"), "items"),
    "region twice": (lambda f: f["regions"].append(f["regions"][0]), "given twice"),
    "item twice": (lambda f: f["items"].append("x"), "given twice"),
    "too few labels": (setter(["regions", 0, "labels"], ["s0"]), "2 label"),
    "no region columns": (setter(["region"], []), "region"),
    "act above threshold": (setter(["regions", 0, "score"], 0.3), "acts above"),
    "act without score": (setter(["regions", 0, "score"], None), "acts above"),
    "act on unbounded score": (setter(["regions", 0, "score"], "inf"), "acts above"),
    "act without threshold": (setter(["regions", 0, "threshold"], None), "acts above"),
    "act without action": (setter(["regions", 0, "action"], None), "must be given"),
    "act on an unknown item": (setter(["regions", 0, "action"], "w"), "known item"),
    "act for a strange reason": (setter(["regions", 0, "reason"], "no_data"), "contradicts"),
    "deferral turned into act": (setter(["regions", 1, "decision"], "act"), "must be given|acts above"),
    "unknown decision": (setter(["regions", 0, "decision"], "ACT"), "decision"),
    "unknown reason": (setter(["regions", 1, "reason"], "because"), "reason code"),
    "unknown rule": (setter(["rule"], "bold"), "rule"),
    "number as text": (setter(["regions", 0, "score"], "0.05"), "score"),
    "text as number": (setter(["regions", 0, "action"], 1), "action"),
    "yes as number": (setter(["regions", 0, "score"], True), "score"),
    "level out of range": (setter(["level"], 7), "level"),
    "lone surrogate": (setter(["items"], ["x", "y", "z", "\ud800"]), "items"),
    "regions as mapping": (setter(["regions"], {}), "regions"),
}


@pytest.mark.parametrize("name", EDITS)
def test_files_that_contradict_themselves_are_refused_even_with_a_fresh_hash(name):
    change, message = EDITS[name]
    with pytest.raises(PolicyFileError, match=message):
        DeferralPolicy.from_json(edited(change))


def test_an_edited_file_is_refused_by_its_hash_and_a_reformatted_one_is_read():
    def raise_all_thresholds(fields):
        for row in fields["regions"]:
            row["threshold"] = 0.25

    with pytest.raises(PolicyFileError, match="content_hash"):
        DeferralPolicy.from_json(edited(raise_all_thresholds, rehash=False))
    again = DeferralPolicy.from_json(edited(lambda fields: None, rehash=False))
    assert again.to_json() == small_policy().to_json()


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "3", "{}", "[" * 100_000, "NaN", "\ufeff{}", b"\xff\xfe", b"\x80abc", "1" * 10_000, '"\\ud800"'],
)
def test_what_is_no_policy_at_all_is_refused(text):
    with pytest.raises(PolicyFileError):
        DeferralPolicy.from_json(text)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_numbers_that_are_not_finite_are_refused(value):
    text = small_policy().to_json().replace('"score": 0.05', f'"score": {value}')
    assert value in text
    with pytest.raises(PolicyFileError):
        DeferralPolicy.from_json(text)


def test_a_field_given_twice_is_refused():
    text = small_policy().to_json().replace('"score": 0.05', '"score": 0.5, "score": 0.05')
    with pytest.raises(PolicyFileError, match="twice"):
        DeferralPolicy.from_json(text)


def test_every_truncation_is_refused():
    text = small_policy().to_json().rstrip()
    for length in range(0, len(text), 7):
        with pytest.raises(PolicyFileError):
            DeferralPolicy.from_json(text[:length])


@given(st.data())
def test_random_damage_is_refused_or_changes_nothing(data):
    text = small_policy().to_json()
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 3))
    new = data.draw(st.text(st.characters(codec="ascii"), max_size=3))
    damaged = text[:at] + new + text[at + length :]
    try:
        policy = DeferralPolicy.from_json(damaged)
    except PolicyFileError:
        return
    assert policy.to_json() == text


def test_a_million_unknown_states_all_defer():
    n = 1_000_000
    frame = pa.table({"state": pa.array(np.arange(n)).cast(pa.string()), "context": pa.array(["c0"] * n)})
    result = small_policy(labels=[(f"s{i}", "c0") for i in range(6)]).predict(frame)
    assert result["decision"].unique().to_pylist() == ["defer"]
    assert result["reason"].unique().to_pylist() == ["unseen_state"]


def test_the_schema_accepts_the_file_and_refuses_the_edits():
    validator = jsonschema.Draft202012Validator(DeferralPolicy.json_schema())
    validator.check_schema(DeferralPolicy.json_schema())
    for seed in range(3):
        validator.validate(json.loads(random_policy(seed).to_json()))
    for name in ("additional field", "missing field", "unknown decision", "number as text", "newer version"):
        assert not validator.is_valid(json.loads(edited(EDITS[name][0])))


def test_saving_replaces_the_file_in_one_step_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "policy.json"
    small_policy().save(path)
    before = path.read_bytes()

    def fail(source, target):
        raise OSError("disk gone")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk gone"):
        random_policy(0).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["policy.json"]


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        DeferralPolicy.load(tmp_path / "none.json")


_BLOCKED = """
import sys, time
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jax", "jaxlib", "numpyro", "xarray", "matplotlib", "arviz", "networkx", "scipy"}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import numpy, pydantic
from pydantic import BaseModel
start = time.process_time()
from bayespref.defer.policy import DeferralPolicy
took = time.process_time() - start
assert not {"pandas", "polars", "pyarrow", "narwhals"} & set(sys.modules), "a dataframe library was imported"
policy = DeferralPolicy.load(sys.argv[1])
assert policy.lookup({"state": "s0", "context": "c0"}).decision == "act"
assert not {"pandas", "polars", "pyarrow", "narwhals"} & set(sys.modules), "a dataframe library was imported"
import pyarrow as pa
out = policy.predict(pa.table({"state": ["s0", "s9"], "context": ["c0", "c0"]}))
assert out["decision"].to_pylist() == ["act", "defer"]
assert "polars" not in sys.modules, "another dataframe library was imported"
print(took)
"""


def test_the_runtime_needs_no_fitting_stack_and_imports_quickly(tmp_path):
    path = small_policy().save(tmp_path / "policy.json")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", _BLOCKED, str(path)]
    times = []
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        times.append(float(done.stdout))
    assert min(times) < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_a_million_rows_take_less_than_a_cpu_second(kind):
    rng = np.random.default_rng(0)
    policy = random_policy(1, n_regions=120)
    n = 1_000_000
    state = np.array([f"s{i}" for i in range(24)], dtype=object)[rng.integers(0, 24, n)]
    context = np.array([f"c{i}" for i in range(7)], dtype=object)[rng.integers(0, 7, n)]
    frame = KINDS[kind]({"state": state, "context": context})
    policy.predict(frame[:10])
    seconds = []
    for _ in range(3):
        start = time.process_time()
        policy.predict(frame)
        seconds.append(time.process_time() - start)
    print(f"{kind}: {min(seconds):.3f} CPU s for {n} rows")
    assert min(seconds) < 1.0
