"""The main job on the blind-spot world: two cells of (state, type) that nobody visited, with known truth."""

import numpy as np
import pytest

from bayespref import workflow
from bayespref.posterior.tree import tree_meta
from bayespref.simulate.scenarios import blind_spot
from bayespref.workflow.refitting import refits

pytestmark = pytest.mark.slow  # two fits with bounds and policies

SEEDS = {"observed": 1, "latent": 2}


@pytest.fixture(scope="module", params=["observed", "latent"])
def case(request):
    """World, analysed tree, and the truth in the tree's order of types."""
    world = blind_spot(eps=0.0, seed=SEEDS[request.param])
    kind = {"types_observed": True} if request.param == "observed" else {"n_types": 2}
    options = kind | {"reward_scale": 2.0}  # the truth has sd sqrt(3) per item; a tighter prior would shrink it
    table = world.comparisons if request.param == "observed" else world.comparisons.pool("context")
    tree = workflow.run(
        table,
        model="latent_types",
        options=options,
        rng_key=0,
        reward_range=world.reward_range,
        regions="state_type",
        progress=False,
    )
    order = np.arange(2)
    if request.param == "latent":  # which world type each fitted type is, by the prompts it asks about
        fitted = tree["posterior"]["prompt_prob"].mean(("chain", "draw")).values
        order = np.array([np.abs(fitted[k] - world.prompt_prob.T).sum(1).argmin() for k in range(2)])
        assert sorted(order) == [0, 1]
    return world, tree, order


def test_the_range_was_not_refuted(case):
    world, tree, _ = case
    assert tuple(tree["bounds"].attrs["reward_range"]) == world.reward_range


def test_every_missing_cell_is_flagged_and_no_other(case):
    world, tree, order = case
    flagged = (tree["disagree"]["primary"] != "").values
    assert np.array_equal(flagged, world.missing[:, order])
    assert set(tree["disagree"]["primary"].values[flagged]) == {"no_data"}


def test_flags_carry_what_the_unknown_could_cost(case):
    world, tree, order = case
    missing = world.missing[:, order]
    low, high = world.reward_range
    # four items nobody connected: V = R (1 - 1/4)
    assert np.allclose(tree["disagree"]["value"].values[missing], (high - low) * 0.75)
    assert np.allclose(tree["disagree"]["value"].values[~missing], 0.0)
    assert np.array_equal(tree["disagree"]["decision_relevant"].values, missing)


def test_bounds_cover_the_truth_in_every_cell(case):
    world, tree, order = case
    truth = world.reward[:, order]
    difference = truth[..., :, None] - truth[..., None, :]
    bounds = tree["bounds"]
    off = ~np.eye(4, dtype=bool)
    inside = (bounds["region_lower"].values <= difference) & (difference <= bounds["region_upper"].values)
    missing = world.missing[:, order]
    assert inside[missing].all()
    # identified contrasts: 36 intervals of level .9; fewer than 26 inside has probability 6e-4 were they independent
    assert inside[~missing][:, off].sum() / 2 >= 26


def test_bounds_do_not_read_the_draws_of_a_missing_cell(case):
    world, tree, order = case
    low, high = world.reward_range
    width = (tree["bounds"]["difference_upper"] - tree["bounds"]["difference_lower"]).values[world.missing[:, order]]
    assert np.allclose(width[:, ~np.eye(4, dtype=bool)], 2 * (high - low))


def test_the_policy_defers_on_all_of_b_and_acts_elsewhere(case):
    world, tree, order = case
    table = workflow.policy(tree, c_defer=0.3).to_table()
    deferred = (table["decision"] == "defer").to_numpy().reshape(4, 2)
    assert np.array_equal(deferred, world.missing[:, order])


def test_acting_off_b_plays_the_best_item(case):
    world, tree, order = case
    table = workflow.policy(tree, c_defer=0.3).to_table()
    acting = (table["decision"] == "act").to_numpy()
    best = world.reward[:, order].argmax(-1).reshape(-1)
    played = [int(str(action).split()[-1]) for action in table["action"][acting]]
    reward = world.reward[:, order].reshape(8, 4)[acting]
    regret = reward.max(-1) - reward[np.arange(len(played)), played]
    assert regret.max() <= 0.3, (best[acting], played)


def test_draws_disagree_at_chance_on_b_and_hardly_elsewhere(case):
    world, tree, order = case
    off = ~np.eye(4, dtype=bool)
    disagreement = tree["disagree"]["draw_pair_disagreement"].values[..., off]
    missing = world.missing[:, order]
    # 1,000 nearly independent draws: the standard error of a mean over one cell's contrasts is below .005
    assert disagreement[missing].mean() == pytest.approx(0.5, abs=0.02)
    assert disagreement[~missing].mean() <= 0.03


def test_refits_agree_on_b_only_because_they_share_a_prior(case):
    world, tree, _ = case
    if tree_meta(tree)["options"]["types_observed"] is not True:
        pytest.skip("one compiled refit is enough: observed types")
    again = refits(tree, rng_key=0, n=10)
    off = ~np.eye(4, dtype=bool)
    from_prior = again["agreement_is_from_prior"].values
    assert from_prior[world.missing][:, off].all()
    assert not from_prior[~world.missing].any()
    assert again["data_sd"].values[world.missing][:, off].max() < 1e-6
    assert "but on 12 of these only because they share a prior" in again.attrs["statement"]
    spread = again["reward_resampled_prior"]
    gap = (spread - spread.rename(item="item_other")).std("refit", ddof=1)
    # refits under moved priors mimic the posterior: ten refits give an sd to 24 %, 24 independent contrasts
    ratio = (gap / tree["disagree"]["sd"]).values[..., off]
    assert ratio.mean() == pytest.approx(1.0, abs=0.2)


def test_contraction_tells_missing_cells_from_observed_ones(case):
    world, tree, order = case
    off = ~np.eye(4, dtype=bool)
    contraction = tree["disagree"]["contraction"].values[..., off]
    missing = world.missing[:, order]
    higher = contraction[missing].reshape(-1)[:, None] > contraction[~missing].reshape(-1)[None]
    assert higher.mean() >= 0.99


def test_a_region_that_cannot_see_the_type_carries_the_missing_type_at_its_weight(case):
    world, tree, _ = case
    by_state = workflow.analyse(tree, reward_range=world.reward_range, regions="state")
    blind = world.missing.any(1)
    value = by_state["defer"]["value_identified"].values
    assert np.all(value[blind] > 0.3)
    assert np.all(value[~blind] < 0.01)
    table = workflow.policy(by_state, c_defer=0.3).to_table()
    assert ((table["decision"] == "defer").to_numpy() == blind).all()


def test_under_the_logged_mix_nobody_asks_where_nobody_asked(case):
    world, tree, _ = case
    logged = workflow.analyse(tree, reward_range=world.reward_range, regions="state", type_weights="logged")
    assert logged["defer"]["value_identified"].values.max() < 0.3
