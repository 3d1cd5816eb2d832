"""Tables at the edge of sense: a right answer or a clear error, never a crash or a number without a reason."""

import numpy as np
import pandas as pd
import pytest

import bayespref
from bayespref import workflow
from bayespref.comparisons import from_codes
from bayespref.errors import ModelError, TableError

SMALL = {"rng_key": 0, "progress": False}


def _votes(*rows):
    return pd.DataFrame(rows, columns=["item_a", "item_b", "outcome"])


def test_one_row_gives_a_wide_posterior_that_defers():
    tree = workflow.run(_votes(("x", "y", "a")), **SMALL)
    assert tree["disagree"]["reason"].values[0, 0, 0, 1] == "separated"
    assert float(tree["disagree"]["contraction"].values[0, 0, 0, 1]) > 0.8
    assert workflow.policy(tree, c_defer=0.05).to_table()["decision"].tolist() == ["defer"]


def test_all_ties_leave_every_item_level():
    tree = workflow.run(_votes(*[("x", "y", "tie")] * 30, *[("y", "z", "tie")] * 30), **SMALL)
    estimate = tree["disagree"]["estimate"].values[0, 0]
    assert np.abs(estimate).max() < 0.3
    assert np.isfinite(estimate).all()


def test_both_bad_alone_compares_nothing():
    tree = workflow.run(_votes(*[("x", "y", "both_bad")] * 5), **SMALL)
    assert tree["disagree"]["reason"].values[0, 0, 0, 1] in ("no_data", "disconnected")
    assert np.isnan(tree["disagree"]["estimate"].values[0, 0, 0, 1])


def test_an_item_nobody_compared_is_disconnected_not_average():
    table = from_codes(np.zeros(9, int), np.ones(9, int), np.tile([0, 0, 1], 3), items=("x", "y", "never"))
    tree = workflow.run(table, **SMALL)
    assert np.isnan(tree["disagree"]["estimate"].sel(item="x", item_other="never")).all()
    assert not bool(tree["defer"]["available"].sel(item="never").any())


def test_rows_of_weight_zero_fit_like_rows_that_are_not_there():
    with pytest.raises(ModelError, match="positive weight"):
        workflow.fit(
            "single",
            from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"), weight=np.zeros(1)),
            rng_key=0,
        )


def test_one_annotator_and_two_types_are_refused_or_reported_not_crashed():
    rng = np.random.default_rng(0)
    a, b = np.array([0, 0, 1] * 12), np.array([1, 2, 2] * 12)
    table = from_codes(a, b, rng.integers(0, 2, 36), items=("x", "y", "z"), annotator=np.zeros(36), annotators=("u",))
    tree = workflow.run(table, model="latent_types", options={"n_types": 2}, **SMALL)
    assert np.isfinite(tree["posterior"]["type_weight"]).all()
    assert bayespref.check(table)["labels per annotator"].words


def test_unicode_labels_survive_the_whole_road(tmp_path):
    votes = _votes(*[("café ☕", "日本語", "a")] * 4, *[("café ☕", "日本語", "b")] * 3)
    tree = workflow.run(votes, **SMALL)
    path = bayespref.save_fit(tree, tmp_path / "fit.nc")
    again = bayespref.load_fit(path)
    assert set(again["posterior"]["item"].values.tolist()) == {"café ☕", "日本語"}
    workflow.policy(again, c_defer=5.0).save(tmp_path / "policy.json")
    loaded = bayespref.DeferralPolicy.load(tmp_path / "policy.json")
    assert loaded.to_table()["action"].tolist() == ["café ☕"]


def test_check_answers_for_a_hundred_thousand_items():
    n = 100_000
    table = from_codes(np.arange(n - 1), np.arange(1, n), np.zeros(n - 1, int), items=[f"i{i}" for i in range(n)])
    result = bayespref.check(table)
    assert result["connected"].verdict == "yes"
    assert result["strongly connected"].verdict == "no"


def test_too_many_contrasts_are_refused_with_the_remedy():
    n = 900
    table = from_codes(np.arange(n - 1), np.arange(1, n), np.arange(n - 1) % 2, items=[f"i{i}" for i in range(n)])
    fitted = workflow.fit("single", table.pool("state"), rng_key=0, chains=1, draws=300, progress=False)
    with pytest.raises(ValueError, match="name the items"):
        workflow.analyse(fitted)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"model": "bradley"}, "unknown name"),
        ({"options": {"n_type": 2}}, "no option"),
        ({"model": "linear_types", "options": {"n_types": 1}}, "features"),
        ({"model": "latent_types", "options": {"types_observed": True}}, "context"),
    ],
)
def test_a_wrong_request_names_what_is_wrong(kwargs, message):
    with pytest.raises((ModelError, TableError), match=message):
        workflow.run(_votes(("x", "y", "a"), ("y", "x", "a")), **SMALL, **kwargs)
