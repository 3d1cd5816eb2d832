"""Sensitivity and robust policies: worked numbers, brute force, linear programs, guarantees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult, linprog
from scipy.special import expit, logit

from bayespref.bounds.sensitivity import breakdown_gamma, odds_tilt
from bayespref.errors import InfeasibleRestrictionError
from bayespref.simulate.scenarios import hh_confounding
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.robust import robust_policy
from bayespref.target.sensitivity import clip_beta_frontier, coarsening_path, weight_error, weight_error_breakdown
from bayespref.target.tilt import exponential_tilt

REF = np.full((4, 3), 1 / 3)


@pytest.mark.parametrize(("q", "ends", "flip"), [(0.6, (0.42857143, 0.75), 1.5), (0.75, (0.6, 0.85714286), 3.0)])
def test_outcome_odds_of_the_worked_example(q, ends, flip):
    bound = odds_tilt(q, 2.0)
    np.testing.assert_allclose([bound.lower, bound.upper], ends, atol=6e-9)
    assert breakdown_gamma(q) == pytest.approx(flip, abs=1e-12)
    assert np.exp(abs(logit(q))) == pytest.approx(flip, abs=1e-12)


def test_weight_error_of_the_worked_example():
    got = weight_error([0, 1, 1, 0, 1], [1, 1, 2, 1, 3], 1.5)
    np.testing.assert_allclose(got, [0.75, 0.571429, 0.870968], atol=6e-7)


@given(st.integers(0, 10_000), st.floats(1.0, 4.0))
def test_weight_error_agrees_with_trying_every_choice_of_ends(seed, lam):
    rng = np.random.default_rng(seed)
    y, w = rng.normal(size=7).round(1), rng.random(7)
    choices = np.stack(np.meshgrid(*[[1 / lam, lam]] * 7), axis=-1).reshape(-1, 7) * w
    values = choices @ y / choices.sum(axis=1)
    _, lower, upper = weight_error(y, w, lam)
    np.testing.assert_allclose([lower, upper], [values.min(), values.max()], atol=1e-10)


def test_breakdown_of_weights_is_where_the_bound_meets_the_level():
    rng = np.random.default_rng(0)
    y, w = (rng.random(60) < 0.7).astype(float), rng.exponential(size=60)
    star = weight_error_breakdown(y, w)
    assert weight_error(y, w, star * 1.0001)[1] < 0.5 < weight_error(y, w, star * 0.9999)[1]
    odds = w @ y / (w @ (1 - y))
    assert star == pytest.approx(np.sqrt(odds), rel=1e-9)  # binary outcome: Lambda^2 moves the odds
    assert weight_error_breakdown(np.ones(5), np.ones(5)) == np.inf
    assert weight_error_breakdown(1 - y, w) == pytest.approx(star, rel=1e-9)
    assert weight_error_breakdown([0.0, 1.0], [1.0, 1.0]) == 1.0
    with pytest.raises(ValueError, match="lam: must be a finite number of at least 1"):
        weight_error(y, w, 0.9)


@pytest.fixture(scope="module")
def rows():
    world = hh_confounding(alpha=2.0, kappa=0.9, n_annotators=2000, seed=4)
    table = world.comparisons
    label = (table.outcome == 0).astype(float)
    return world, (table.state, table.context, table.item_a, table.item_b, label)


def test_the_coarsest_proxy_is_no_proxy(rows):
    world, (state, context, a, b, label) = rows
    path = coarsening_path(state, context, a, b, label, world.deployment, [[0, 1], [0, 0]], n_items=3)
    assert path.n_groups.tolist() == [2, 1]
    naive = tabular_dpo(pair_wins(state, a, b, label, n_states=4, n_items=3)).score
    np.testing.assert_allclose(path.fit[1].score, naive, atol=1e-9)
    assert path.distance[0] == 0
    assert path.distance[1] > 0.1
    assert path.n_eff_share[1] > path.n_eff_share[0]


def test_a_proxy_that_is_a_coin_gives_the_policies_of_no_proxy():
    world = hh_confounding(alpha=2.0, kappa=0.9, n_annotators=1)
    joint, q = world.prompt_prob * 0.5, expit(world.contrast)
    mixed = joint[:, :, None] * 0.5
    weighted = (mixed * (0.125 / mixed.sum(axis=1))[:, None, :]).sum(axis=2)
    scores = [tabular_dpo(np.einsum("sc,scab->sab", mass, q)).score for mass in (weighted, joint)]
    np.testing.assert_allclose(*[exponential_tilt(score, REF, 1.0).policy for score in scores], atol=1e-10)


def test_frontier_holds_the_unclipped_fit_and_loses_effective_size_with_larger_caps(rows):
    world, (state, context, a, b, label) = rows
    joint = world.prompt_prob * 0.5
    w = (0.125 / joint)[state, context]
    got = clip_beta_frontier(state, a, b, label, w, REF, caps=(np.inf, 2.0, 1.0), betas=(0.5, 2.0))
    assert got.policy.shape == (3, 2, 4, 3)
    assert got.top_items.shape == (6, 4)
    np.testing.assert_allclose(
        got.score[0], tabular_dpo(pair_wins(state, a, b, label, w / w.mean(), n_states=4, n_items=3)).score, atol=1e-9
    )
    assert np.all(np.diff(got.n_eff_share) > 0)
    assert np.all(np.diff(got.mass_moved) > 0)
    assert np.all(got.kl[:, 0] > got.kl[:, 1])
    np.testing.assert_allclose(got.policy[0, 1], exponential_tilt(got.score[0], REF, 2.0).policy, atol=1e-12)


def test_an_undefined_score_is_marked_in_the_frontier():
    rows = np.zeros(3, int), np.zeros(3, int), np.ones(3, int), np.ones(3)
    got = clip_beta_frontier(*rows, np.ones(3), [[0.5, 0.5]], caps=(np.inf,), betas=(1.0,))
    assert got.top_items.tolist() == [[-1]]


def edges(p, gamma):
    """Lower ends of one cell with all pairs known."""
    return np.where(np.eye(len(p), dtype=bool), 0.0, logit(p) - np.log(gamma))


def test_two_way_robust_choice_shrinks_to_the_reference_at_the_breakdown():
    p = np.array([[0.5, 0.75], [0.25, 0.5]])
    for gamma, want in ((1.0, 0.75), (2.0, 0.6), (3.0, 0.5), (5.0, 0.5)):
        got = robust_policy(edges(p, gamma)[None, None], [[1.0]], [[0.5, 0.5]], 1.0)
        assert got.policy[0, 0] == pytest.approx(want, abs=2e-6)
        # Worst d is log(want / (1 - want)); its tilt gains log((1 + e^d) / 2) - d / 2.
        d = logit(want)
        assert got.lower[0] == pytest.approx(np.log((1 + np.exp(d)) / 2) - d / 2, abs=1e-9)


def worst_gain(policy, low, share, ref, beta):
    """Worst gain of a policy, by a linear program over all types at once."""
    n_types, n = low.shape[:2]
    rows, bound = [], []
    for c in range(n_types):
        for a in range(n):
            for b in range(n):
                if a != b and np.isfinite(low[c, a, b]):
                    row = np.zeros((n_types, n))
                    row[c, a], row[c, b] = -1, 1
                    rows.append(row.ravel())
                    bound.append(-low[c, a, b] + 1e-10)
    cost = (share[:, None] * (policy - ref)).ravel()
    found = linprog(cost, A_ub=rows, b_ub=bound, bounds=[(-50, 50)] * (n_types * n))
    return found.fun - beta * np.sum(policy * np.log(policy / ref))


def test_robust_policy_beats_random_policies_at_its_bound_and_the_reference_always():
    rng = np.random.default_rng(1)
    for trial in range(6):
        reward = rng.normal(size=(2, 3))
        p = expit(reward[:, :, None] - reward[:, None, :])
        gamma, beta = float(rng.uniform(1.05, 2.5)), 0.5
        low = np.stack([edges(p[c], gamma) for c in range(2)])
        share, ref = rng.dirichlet(np.ones(2)), rng.dirichlet(np.full(3, 4.0))
        got = robust_policy(low[None], share[None], ref[None], beta)
        own = worst_gain(got.policy[0], low, share, ref, beta)
        assert got.lower[0] == pytest.approx(max(own, 0.0), abs=1e-7), trial
        assert 0 <= got.upper[0] - got.lower[0] < 1e-6, trial
        for _ in range(20):
            mixed = 0.5 * got.policy[0] + 0.5 * rng.dirichlet(np.ones(3))
            assert worst_gain(mixed, low, share, ref, beta) <= got.lower[0] + 1e-7
        assert worst_gain(ref, low, share, ref, beta) <= got.lower[0] + 1e-9


def test_at_gamma_one_robust_is_the_tilt_and_it_falls_back_to_the_reference_as_gamma_grows():
    reward = np.array([[1.0, 0.2, -0.5], [-1.0, 0.0, 0.8]])
    p = expit(reward[:, :, None] - reward[:, None, :])
    share, ref = np.array([0.7, 0.3]), np.array([0.3, 0.3, 0.4])
    lower = []
    for gamma in (1.0, 1.2, 1.6, 2.5, 20.0):
        low = np.stack([edges(p[c], gamma) for c in range(2)])
        got = robust_policy(low[None], share[None], ref[None], 1.0)
        lower.append(float(got.lower[0]))
        if gamma == 1.0:
            want = exponential_tilt(share @ reward, ref, 1.0)
            np.testing.assert_allclose(got.policy[0], want.policy, atol=1e-5)
            assert got.lower[0] == pytest.approx(float(want.value - ref @ (share @ reward)), abs=1e-6)
    assert np.all(np.diff(lower) <= 1e-8)
    assert lower[-1] == 0.0
    np.testing.assert_array_equal(got.policy[0], ref)


@pytest.mark.parametrize("moved", [0.0, -5.0])
def test_an_optimiser_that_stops_early_is_told_and_its_bounds_still_hold(monkeypatch, moved):
    """A solver that returns its start, or a reward outside the bounds: true best gain by the solver that works."""
    reward = np.array([[1.0, 0.2, -0.5]])
    low = edges(expit(reward[0][:, None] - reward[0]), 1.6)[None, None]
    ref = np.array([[0.3, 0.3, 0.4]])
    best = robust_policy(low, [[1.0]], ref, 1.0)
    assert best.sharp.tolist() == [True]

    def stuck(_, start, **__):
        return OptimizeResult(x=start + moved * np.array([1.0, 0.0, 0.0]), status=9, success=False)

    monkeypatch.setattr("bayespref.target.robust.minimize", stuck)
    got = robust_policy(low, [[1.0]], ref, 1.0)
    assert got.sharp.tolist() == [False]
    assert got.lower[0] <= best.lower[0] + 1e-9
    assert got.upper[0] >= best.upper[0] - 1e-9
    own = worst_gain(got.policy[0], low[0], np.ones(1), ref[0], 1.0)
    assert got.lower[0] == pytest.approx(max(own, 0.0), abs=1e-7)


def test_robust_policies_refuse_open_and_contradictory_bounds():
    open_pair = np.full((3, 3), -np.inf)
    open_pair[0, 1], open_pair[1, 0] = 0.0, -1.0
    with pytest.raises(ValueError, match=r"state 0, type 0 leaves the difference of items 0 and 2 unbounded"):
        robust_policy(open_pair[None, None], [[1.0]], [np.full(3, 1 / 3)], 1.0)
    clash = np.array([[0.0, 1.0], [-0.5, 0.0]])
    with pytest.raises(InfeasibleRestrictionError, match="state 0, type 0"):
        robust_policy(clash[None, None], [[1.0]], [[0.5, 0.5]], 1.0)
    with pytest.raises(ValueError, match="zero reference probability"):
        robust_policy(np.zeros((1, 1, 2, 2)), [[1.0]], [[1.0, 0.0]], 1.0)
    with pytest.raises(ValueError, match="must not hold NaN"):
        robust_policy(np.full((1, 1, 2, 2), np.nan), [[1.0]], [[0.5, 0.5]], 1.0)
