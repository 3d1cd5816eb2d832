"""What labels are worth, against integrals, inverses and enumeration."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from bayespref.design.value import Decisions, allocate, decisions, expected_gain, expected_shortfall


def problem(seed, p=5, q=4, k=7, regions=2):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(p, p))
    contrast = rng.normal(size=(q, p))
    chosen = Decisions(contrast, np.abs(rng.normal(size=q)), np.arange(q) % regions, np.array([0.7, 0.3])[:regions])
    return root @ root.T / p + 0.1 * np.eye(p), rng.normal(size=(k, p)), chosen


def regret(chosen, covariance, c_defer=np.inf):
    """Loss summed over regions, written out one contrast at a time."""
    total = np.zeros(len(chosen.weight))
    for x, margin, region in zip(chosen.contrast, chosen.margin, chosen.region, strict=True):
        spread = np.sqrt(x @ covariance @ x)
        total[region] += spread * norm.pdf(margin / spread) - margin * norm.cdf(-margin / spread)
    return float((np.minimum(total, c_defer) * chosen.weight).sum())


@pytest.mark.parametrize(("margin", "variance"), [(0.0, 1.0), (1.3, 0.49), (-0.4, 2.0), (6.0, 0.25)])
def test_shortfall_is_its_integral(margin, variance):
    want = quad(lambda u: max(-u, 0) * norm.pdf(u, margin, variance**0.5), -30, 0)[0]
    assert expected_shortfall(np.array(margin), np.array(variance)) == pytest.approx(want, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_covariance_is_that_of_adding_the_information(seed):
    covariance, loadings, chosen = problem(seed)
    got = allocate(covariance, loadings, chosen, np.ones(7), 40)
    total = np.linalg.inv(covariance) + (loadings.T * got.counts) @ loadings
    np.testing.assert_allclose(got.covariance, np.linalg.inv(total), atol=1e-10)
    assert got.counts.sum() == got.spent == 40
    assert got.after.sum() == pytest.approx(regret(chosen, got.covariance), rel=1e-6)
    assert got.before.sum() == pytest.approx(regret(chosen, covariance), rel=1e-6)
    assert got.gain.sum() == pytest.approx(got.before.sum() - got.after.sum())


@pytest.mark.parametrize("seed", range(3))
def test_one_label_goes_where_enumeration_says_per_cost(seed):
    covariance, loadings, chosen = problem(seed)
    cost = np.random.default_rng(seed).uniform(0.5, 1.0, size=7)
    falls = []
    for v, c in zip(loadings, cost, strict=True):
        after = np.linalg.inv(np.linalg.inv(covariance) + np.outer(v, v))
        falls.append((regret(chosen, covariance) - regret(chosen, after)) / c)
    got = allocate(covariance, loadings, chosen, cost, 1.0)
    assert got.counts.argmax() == int(np.argmax(falls))


def test_greedy_reaches_nearly_what_the_best_split_of_six_labels_reaches():
    covariance, loadings, chosen = problem(11, k=3)
    losses = []
    for i in range(7):
        for j in range(7 - i):
            n = np.array([i, j, 6 - i - j])
            total = np.linalg.inv(covariance) + (loadings.T * n) @ loadings
            losses.append(regret(chosen, np.linalg.inv(total)))
    got = allocate(covariance, loadings, chosen, np.ones(3), 6)
    assert min(losses) - 1e-9 <= got.after.sum() <= min(losses) + 0.02 * (got.before.sum() - min(losses))


def test_a_dear_candidate_loses_to_a_cheap_copy_and_an_impossible_one_gets_nothing():
    chosen = Decisions(np.array([[1.0, -1.0]]), np.zeros(1), np.zeros(1, int), np.ones(1))
    copies = np.tile([0.5, -0.5], (3, 1))
    got = allocate(np.eye(2), copies, chosen, np.array([2.0, 1.0, np.inf]), 10)
    assert got.counts.tolist() == [0, 10, 0]
    capped = allocate(np.eye(2), copies, chosen, np.array([2.0, 1.0, np.inf]), 10, most=np.array([9, 4, 9]))
    assert capped.counts.tolist() == [3, 4, 0]


def test_a_settled_choice_is_left_alone_where_variance_alone_would_ask():
    contrast = np.eye(2)
    chosen = Decisions(contrast, np.array([0.0, 30.0]), np.array([0, 1]), np.ones(2) / 2)
    covariance = np.diag([0.2, 1.0])
    assert allocate(covariance, contrast / 2, chosen, np.ones(2), 20).counts.tolist() == [20, 0]
    spread = allocate(covariance, contrast / 2, chosen, np.ones(2), 20, objective="variance").counts
    assert spread[1] > spread[0]


def test_the_worst_direction_is_evened_out():
    chosen = Decisions(np.eye(3), np.zeros(3), np.zeros(3, int), np.ones(1))
    covariance = np.diag([4.0, 1.0, 1.0])
    got = allocate(covariance, np.eye(3), chosen, np.ones(3), 30, objective="lambda_min")
    totals = 1 / np.diag(covariance) + got.counts
    assert totals.max() - totals.min() <= 1.0
    assert got.after[0] == pytest.approx(1 / totals.min())


def test_deferring_caps_the_loss_and_needs_several_labels_at_once():
    # Acting in the region costs .4 now, deferring .1: no single label pays, a batch does.
    chosen = Decisions(np.array([[1.0]]), np.zeros(1), np.zeros(1, int), np.ones(1))
    covariance, loadings = np.eye(1), np.array([[0.5]])
    got = allocate(covariance, loadings, chosen, np.ones(1), 200, c_defer=0.1)
    assert got.before[0] == pytest.approx(0.1)
    assert got.after[0] < 0.1
    assert got.after[0] == pytest.approx(regret(chosen, got.covariance, 0.1), rel=1e-6)
    # With too small a budget nothing is gained by asking, and nothing is asked.
    assert allocate(covariance, loadings, chosen, np.ones(1), 3, c_defer=0.1).counts.sum() == 0


def test_expected_gain_is_the_value_of_the_sample_by_simulation():
    rng = np.random.default_rng(0)
    covariance, loadings, _ = problem(4, p=3)
    mean, action = np.array([0.2, 0.0, -0.1]), np.eye(3)[None]
    after = np.linalg.inv(np.linalg.inv(covariance) + 5 * np.outer(loadings[0], loadings[0]))
    got = expected_gain(mean, covariance, after, action, np.ones((1, 3), dtype=bool), n=200_000)[0]
    # Draw the truth, five unit-variance observations along the loading, update, choose.
    theta = rng.multivariate_normal(mean, covariance, size=400_000)
    seen = theta @ loadings[0] + rng.normal(size=400_000) / np.sqrt(5)
    updated = mean + np.outer(seen - mean @ loadings[0], after @ loadings[0] * 5)
    want = updated.max(axis=1).mean() - mean.max()
    assert got == pytest.approx(want, abs=0.006)


def test_decisions_compare_the_favourite_with_what_is_on_offer():
    action = np.stack([np.eye(3), np.eye(3)])
    available = np.array([[True, True, False], [True, True, True]])
    got = decisions(np.array([1.0, 2.0, 5.0]), action, np.array([0.5, 0.5]), available)
    assert got.margin.tolist() == [1.0, 4.0, 3.0]
    assert got.region.tolist() == [0, 1, 1]


BAD = {
    "no money": ({"budget": 0.5}, "budget: 0.5 pays for no label; the cheapest costs 1"),
    "free": ({"cost": np.array([1.0, 0.0])}, "cost: must be > 0"),
    "NaN cost": ({"cost": np.array([1.0, np.nan])}, "cost: must be > 0"),
    "objective": ({"objective": "E"}, "objective"),
    "NaN": ({"covariance": np.full((2, 2), np.nan)}, "covariance"),
    "shape": ({"covariance": np.eye(3)}, "shapes disagree"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_allocations_are_refused(change, message):
    chosen = Decisions(np.array([[1.0, -1.0]]), np.zeros(1), np.zeros(1, int), np.ones(1))
    given = {"covariance": np.eye(2), "cost": np.ones(2), "budget": 5.0} | change
    with pytest.raises(ValueError, match=message):
        allocate(given.pop("covariance"), np.eye(2), chosen, given.pop("cost"), given.pop("budget"), **given)


def test_no_choice_to_make_is_an_error():
    with pytest.raises(ValueError, match="no region of positive mass"):
        decisions(np.zeros(2), np.eye(2)[None], np.zeros(1), np.ones((1, 2), dtype=bool))
