"""The registry of interventions: computed costs, files that come back whole, records that contradict themselves."""

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from bayespref.design.registry import (
    SCHEMA,
    Intervention,
    RegistryError,
    acceptance,
    from_dict,
    read_registry,
    write_registry,
)

ROWS = (
    Intervention(
        "shorten",
        "length",
        2.0,
        "v1",
        confounds=("detail",),
        attempts={"fr": 40, "de": 10},
        accepted={"fr": 10, "de": 10},
        failure_modes=("drops the answer",),
        cost_label=0.5,
        validation="length ratio below .7",
    ),
    Intervention("hedge", "confidence", 1.0, "v2", attempts={"fr": 4}),
)


def test_effective_costs_follow_from_the_attempts_on_record():
    got = acceptance(ROWS, ["fr", "de"], level=0.9)
    assert got.mean.shape == (2, 2)
    np.testing.assert_allclose(got.mean[:, 0], [10.5 / 41, 10.5 / 11])
    np.testing.assert_allclose(got.cost[:, 0], [2 * 41 / 10.5 + 0.5, 2 * 11 / 10.5 + 0.5])
    mass = quad(beta(10.5, 30.5).pdf, got.lower[0, 0], got.upper[0, 0])[0]
    np.testing.assert_allclose(mass, 0.9, atol=1e-9)
    assert (got.cost_lower[:, 0] < got.cost[:, 0]).all()
    assert (got.cost[:, 0] < got.cost_upper[:, 0]).all()


def test_nothing_tried_is_no_data_not_the_prior():
    got = acceptance(ROWS, ["fr", "de"])
    assert got.reason.tolist() == [["", ""], ["", "no_data"]]
    assert np.isnan(got.cost[1, 1])
    assert got.attempts.tolist() == [[40, 4], [10, 0]]
    assert got.mean[0, 1] == 0.1  # four failures and no success: 0.5 / 5
    assert acceptance((), []).mean.shape == (0, 0)


def test_json_comes_back_identical_and_toml_reads_the_same(tmp_path):
    file = tmp_path / "registry.json"
    write_registry(ROWS, file)
    assert read_registry(file) == ROWS
    toml = tmp_path / "registry.toml"
    toml.write_text(
        'format = "bayespref-registry-1"\n[[interventions]]\naction = "hedge"\nintent = "confidence"\n'
        'cost_attempt = 1.0\nversion = "v2"\n[interventions.attempts]\nfr = 4\n',
        encoding="utf-8",
    )
    assert read_registry(toml) == ROWS[1:]


def test_the_schema_names_every_field():
    row = SCHEMA["properties"]["interventions"]["items"]
    assert set(row["properties"]) == set(ROWS[0].__dataclass_fields__)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accepted": {"fr": 5}}, r"accepted\['fr'\] is 5, more than its 0 attempts"),
        ({"attempts": {"fr": -1}}, r"attempts\['fr'\] must be a whole number >= 0, got -1"),
        ({"attempts": {"fr": True}}, "must be a whole number"),
        ({"attempts": [3]}, r"registry row 0: attempts must map buckets to counts, got \[3\]"),
        ({"cost_attempt": float("nan")}, "cost_attempt must be a finite number >= 0, got nan"),
        ({"cost_label": "1"}, "cost_label must be a finite number"),
        ({"action": ""}, "action must be a text that is not empty"),
        ({"confounds": "length"}, "confounds must be a list of texts"),
        ({"validation": 3}, "validation must be a text"),
        ({"effective_cost": 3.0}, r"unknown fields \['effective_cost'\]"),
    ],
)
def test_a_record_that_breaks_a_rule_is_refused(change, message):
    row = {"action": "a", "intent": "b", "cost_attempt": 1.0, "version": "v", **change}
    with pytest.raises(RegistryError, match=message):
        from_dict({"format": "bayespref-registry-1", "interventions": [row]})


def test_files_that_are_no_registry_are_refused(tmp_path):
    with pytest.raises(RegistryError, match="format must be 'bayespref-registry-1', got 'x'"):
        from_dict({"format": "x"})
    with pytest.raises(RegistryError, match=r"missing fields \['cost_attempt', 'intent', 'version'\]"):
        from_dict({"format": "bayespref-registry-1", "interventions": [{"action": "a"}]})
    with pytest.raises(RegistryError, match=r"actions must be unique, repeated \['hedge'\]"):
        write_registry((ROWS[1], ROWS[1]), tmp_path / "twice.json")
    assert not (tmp_path / "twice.json").exists()
    for name, text, message in [
        ("a.json", "{", "cannot be parsed"),
        ("a.toml", "=", "cannot be parsed"),
        ("a.txt", "", "must end"),
    ]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(RegistryError, match=message):
            read_registry(tmp_path / name)
