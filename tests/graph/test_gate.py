"""``check`` as a gate: thresholds from a file, deployment, allowed checks, a JSON that keeps its schema."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

import bayespref.graph.check
from bayespref.comparisons import from_codes
from bayespref.graph.check import check
from bayespref.graph.thresholds import KEYS, read_thresholds

SCHEMA = json.loads(Path(bayespref.graph.check.__file__).with_name("check.schema.json").read_text(encoding="utf-8"))


def table(count, outcomes=(0, 1), **columns):
    """Comparisons of x and y, ``count[k]`` in state k; both sides win."""
    state = np.repeat(np.arange(len(count)), count)
    outcome = np.resize(outcomes, len(state))
    zero = np.zeros(len(state), dtype=int)
    return from_codes(
        zero,
        zero + 1,
        outcome,
        items=("x", "y"),
        state=state,
        states=tuple(f"s{k}" for k in range(len(count))),
        annotator=np.arange(len(state)) % 2,
        annotators=("ann", "bo"),
        **columns,
    )


def write(folder, text):
    path = folder / "gate.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_of_the_file_is_an_argument_of_check_and_means_the_same(tmp_path):
    text = """
    by = ["state"]
    allow = ["share of every state"]
    floor = 2
    n_min = 1
    min_labels = 3
    mass_floor = 0.9
    level = 0.9
    missing_mass = 0.5
    largest_ratio = 10
    least_effective_share = 0.1
    fail_undecided = true
    """
    settings = read_thresholds(write(tmp_path, text))
    assert set(settings) == set(KEYS)
    deployed = pd.DataFrame({"state": ["s0", "s1"]})
    result = check(table([40, 40]), deployment=deployed, **settings)
    assert result["share of every state"].verdict == "no"
    assert result.failed == ("deployment covered",)  # undecided: two rows say little
    assert {key: result.settings[key] for key in KEYS} == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flor = 1", r"unknown key\(s\) \['flor'\]"),
        ("[limits]\nfloor = 1", r"unknown key\(s\) \['limits'\]"),
        ("floor = '1'", "'floor' must be a number"),
        ("floor = true", "'floor' must be a number"),
        ("by = 'state'", "'by' must be a list of text"),
        ("fail_undecided = 1", "'fail_undecided' must be true or false"),
        ("floor = ", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_its_key(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_thresholds(write(tmp_path, text))


def test_a_missing_file_and_a_level_that_is_none_are_refused_even_where_no_gate_uses_them(tmp_path):
    with pytest.raises(ValueError, match="thresholds: cannot read"):
        read_thresholds(tmp_path / "none.toml")
    for level in (0.0, 1.0, 5.0):
        with pytest.raises(ValueError, match="level: must lie in"):
            check(table([10, 10]), level=level)


def test_allowed_checks_are_reported_and_do_not_fail():
    winner = table([10, 10], outcomes=(0,))
    assert check(winner).failed == ("strongly connected", "identified")
    let = check(winner, allow=["strongly connected", "identified"])
    assert (let.ok, let.exit_code) == (True, 0)
    assert let["strongly connected"].verdict == "no"
    assert "allowed to fail: strongly connected, identified" in str(let)
    with pytest.raises(ValueError, match=r"allow: no such check\(s\) \['strongly conected'\]"):
        check(winner, allow=["strongly conected"])


def test_cells_surely_below_the_floor_fail_and_small_samples_leave_it_undecided():
    name = "share of every state"
    assert check(table([400, 400, 4]), mass_floor=0.05)[name].verdict == "no"
    assert check(table([400, 400]), mass_floor=0.05)[name].verdict == "yes"
    unsure = check(table([6, 6, 2]), mass_floor=0.05)
    assert (unsure[name].verdict, unsure.ok) == ("undecided", True)
    assert not check(table([6, 6, 2]), mass_floor=0.05, fail_undecided=True).ok


@pytest.mark.parametrize(("lost", "verdict"), [(0, "yes"), (20, "undecided"), (120, "no")])
def test_deployment_on_cells_without_comparisons_is_judged_by_its_interval(lost, verdict):
    deployed = pd.DataFrame({"state": ["s0", "new"], "count": [400 - lost, lost]})
    found = check(table([30, 30]), deployment=deployed, missing_mass=0.05)["deployment covered"]
    assert found.verdict == verdict
    assert found.numbers["lower"] <= lost / 400 <= found.numbers["upper"]
    assert ("new" in found.words) == bool(lost)


def test_weights_that_leave_few_rows_fail_where_a_limit_was_set():
    deployed = pd.DataFrame({"state": ["s0", "s1"], "probability": [0.02, 0.98]})
    lines = check(table([198, 2]), deployment=deployed, largest_ratio=20)
    assert lines["deployment weights"].verdict == "no"
    assert lines["deployment weights"].numbers["largest_covered_ratio"] == pytest.approx(98)
    assert check(table([198, 2]), deployment=deployed, largest_ratio=100)["deployment weights"].verdict == "yes"
    share = lines["deployment weights"].numbers["share_eff"]
    assert share == pytest.approx(1 / (0.02**2 / 0.99 + 0.98**2 / 0.01))
    assert "deployment weights" not in [line.name for line in check(table([9, 9]), deployment=deployed).checks]


def test_deployment_is_taken_by_context_only_where_it_names_contexts():
    split = table([4, 4], context=np.array([0, 0, 0, 0, 0, 0, 1, 1]), contexts=("u", "v"))
    by_both = pd.DataFrame({"state": ["s0"], "context": ["v"]})
    assert check(split, deployment=by_both)["deployment covered"].numbers["missing_mass"] == 1
    assert check(split, deployment=by_both[["state"]])["deployment covered"].numbers["missing_mass"] == 0


@pytest.mark.parametrize(
    "result",
    [
        lambda: check(table([5, 5])),
        lambda: check(table([5, 0]), mass_floor=0.1),
        lambda: check(table([5, 5]), deployment=pd.DataFrame({"state": ["s0", "new"]}), least_effective_share=0.5),
        lambda: check(table([3, 3], environment=np.arange(6) % 2, environments=("e", "f")), fail_undecided=True),
        lambda: check(table([0])),
    ],
)
def test_json_keeps_its_schema(result):
    got = json.loads(result().to_json())
    jsonschema.validate(got, SCHEMA)
    assert got["schema_version"] == SCHEMA["properties"]["schema_version"]["const"]
    assert got["ok"] == (not got["failed"]) == (got["exit_code"] == 0)


def test_the_schema_refuses_a_renamed_verdict():
    got = json.loads(check(table([5, 5])).to_json())
    got["checks"][0]["verdict"] = "maybe"
    with pytest.raises(jsonschema.ValidationError, match="maybe"):
        jsonschema.validate(got, SCHEMA)
