"""The first tests: a question the table cannot answer is refused by every stage, with the bound and the remedy."""

import json

import numpy as np
import pytest

import bayespref
from bayespref import workflow
from bayespref.comparisons import from_codes
from bayespref.errors import REASONS, ModelError
from bayespref.posterior.verdict import convergence


def _two_blocks():
    a = np.array([0, 0, 1, 3, 3, 4] * 10)
    b = np.array([1, 2, 2, 4, 5, 5] * 10)
    outcome = np.tile([0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1], 5)
    return from_codes(a, b, outcome, items=[f"left {i}" for i in range(3)] + [f"right {i}" for i in range(3)])


def _always_winner():
    a = np.array([0, 0, 0, 1, 1, 2] * 8)
    b = np.array([1, 2, 3, 2, 3, 3] * 8)
    outcome = np.where(a == 0, 0, np.tile([0, 1, 1, 0, 0, 1, 0, 1], 6))
    return from_codes(a, b, outcome, items=("champion", "x", "y", "z"))


@pytest.fixture(scope="module")
def blocks():
    return workflow.run(_two_blocks(), rng_key=0, progress=False)


@pytest.fixture(scope="module")
def winner():
    return workflow.run(_always_winner(), rng_key=0, progress=False)


CROSS = [(f"left {i}", f"right {j}") for i in range(3) for j in range(3)]


def test_check_says_two_components_and_names_the_bridge():
    result = bayespref.check(_two_blocks())
    assert not result.ok
    assert result.exit_code == 1
    assert result["connected"].verdict == "no"
    assert result["connected"].reason == "disconnected"
    assert "2 components" in result["connected"].words
    assert len(result.suggestions) >= 1
    a, b = result.suggestions.iloc[0][["item_a", "item_b"]]
    assert {a.split()[0], b.split()[0]} == {"left", "right"}
    assert json.loads(result.to_json())["ok"] is False


def test_maximum_likelihood_gives_no_number_across_blocks():
    fitted = bayespref.maximum_likelihood(_two_blocks(), by=())
    for a, b in CROSS:
        assert np.isnan(fitted["difference"].sel(item=a, item_other=b))
        assert fitted["reason"].sel(item=a, item_other=b) == "disconnected"


def test_posterior_contrasts_across_blocks_are_nan_with_the_bound_beside_them(blocks):
    disagree, bounds = blocks["disagree"].to_dataset(), blocks["bounds"].to_dataset()
    low, high = bounds.attrs["reward_range"]
    for a, b in CROSS:
        cell = {"state": "all", "type": "type 1", "item": a, "item_other": b}
        assert np.isnan(disagree["estimate"].sel(cell))
        assert disagree["reason"].sel(cell) == "disconnected"
        lower, upper = (float(bounds[name].sel(cell)) for name in ("difference_lower", "difference_upper"))
        assert -(high - low) <= lower < 0 < upper <= high - low
    within = {"state": "all", "type": "type 1", "item": "left 0", "item_other": "left 1"}
    assert np.isfinite(disagree["estimate"].sel(within))
    assert float(bounds["difference_lower"].sel(within)) == pytest.approx(float(disagree["mean"].sel(within)))


def test_the_region_is_flagged_disconnected_and_deferred(blocks):
    assert blocks["disagree"]["primary"].values.tolist() == [["disconnected"]]
    assert float(blocks["defer"]["value_identified"][0]) > 0
    table = workflow.policy(blocks, c_defer=0.3).to_table()
    assert table["decision"].tolist() == ["defer"]
    assert table["reason"].tolist() == ["disconnected"]


def test_chow_alone_does_not_clear_a_disconnected_region(blocks):
    generous = float(blocks["defer"]["c_chow"][0]) + 0.01
    assert generous < float(blocks["defer"]["value"][0])
    table = workflow.policy(blocks, c_defer=generous, rule="chow").to_table()
    assert table["decision"].tolist() == ["defer"]


def test_an_always_winner_has_an_infinite_estimate_without_a_prior():
    fitted = bayespref.maximum_likelihood(_always_winner(), by=())
    against = fitted.sel(item="champion", item_other=["x", "y", "z"])
    assert np.all(np.isposinf(against["difference"]))
    assert set(against["reason"].values.tolist()) == {"separated"}
    assert np.isfinite(fitted["difference"].sel(item="x", item_other="y"))


def test_an_always_winner_is_flagged_and_its_spread_is_said_to_be_the_priors(winner):
    disagree = winner["disagree"].to_dataset()
    champion = disagree.sel(state="all", type="type 1", item="champion", item_other=["x", "y", "z"])
    others = disagree.sel(state="all", type="type 1", item="x", item_other=["y", "z"])
    assert set(champion["reason"].values.tolist()) == {"separated"}
    assert set(others["reason"].values.tolist()) == {""}
    assert bool(disagree["is_flagged"].sel(flag="separated").item())
    assert float(champion["contraction"].min()) > float(others["contraction"].max())


def test_every_flag_that_occurs_has_words_and_a_next_step(blocks, winner):
    for tree in (blocks, winner):
        for code in np.unique(tree["disagree"]["primary"]):
            assert REASONS[str(code)].next_step


def test_both_fits_converged_so_the_refusals_are_about_the_data(blocks, winner):
    for tree in (blocks, winner):
        assert convergence(tree)[0].ok, convergence(tree)[0].words


def test_an_option_that_a_method_would_ignore_is_refused(tmp_path):
    with pytest.raises(ValueError, match="checkpoint: method='laplace'"):
        bayespref.fit("single", _two_blocks(), rng_key=0, method="laplace", checkpoint=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["latent_types", "pooled_types", "linear_types"])
def test_several_types_without_annotators_are_refused_before_anything_is_fitted(model):
    asked = np.array([0, 1, 0, 1]), np.array([1, 2, 2, 2]), np.array([0, 0, 0, 1])
    features = {"features": np.eye(3), "feature_names": ("f", "g", "h")}
    anonymous = from_codes(*asked, items=("x", "y", "z"), **features)
    with pytest.raises(ModelError, match=rf"annotator: {model} with n_types=3 needs the annotator of each row.*--col"):
        workflow.fit(model, anonymous, rng_key=0, options={"n_types": 3}, progress=False)


def test_types_that_the_table_names_need_no_annotators():
    asked = np.array([0, 1, 0, 1]), np.array([1, 2, 2, 2]), np.array([0, 0, 0, 1])
    named = from_codes(*asked, items=("x", "y", "z"), context=np.array([0, 0, 1, 1]), contexts=("s", "t"))
    sizes = {"chains": 1, "warmup": 20, "draws": 20, "progress": False}
    tree = workflow.fit("latent_types", named, rng_key=0, options={"types_observed": True}, **sizes)
    assert tree["posterior"]["type"].values.tolist() == ["s", "t"]
    one = workflow.fit("latent_types", named, rng_key=0, options={"n_types": 1}, **sizes)
    assert one["posterior"].sizes["type"] == 1
