"""Gamma sensitivity against linear programs, brute force over hidden types, and the published closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog
from scipy.special import expit, logit

from bayespref.bounds.sensitivity import (
    breakdown_gamma,
    density_ratio,
    gamma_min,
    odds_tilt,
    robust_share,
    target_bounds,
    tilted_differences,
)
from bayespref.errors import DroppedDraws, GammaTooSmallError, InfeasibleMixtureError, TargetMixError

shares = st.floats(0.01, 0.99)
gammas = st.floats(1.0, 20.0)


def lp_tilt_differences(odds, edges, log_gamma, n_items, span):
    """Largest r_a - r_b for every pair, one linear program each; None when infeasible."""
    rows, limits = [], []
    for (a, b), z in zip(edges, odds, strict=True):
        for sign in (1.0, -1.0):
            row = np.zeros(n_items)
            row[a], row[b] = sign, -sign
            rows.append(row)
            limits.append(sign * z + log_gamma)
    box = (None, None) if span is None else (0.0, span)
    out = np.zeros((n_items, n_items))
    for a, b in itertools.permutations(range(n_items), 2):
        cost = np.zeros(n_items)
        cost[a], cost[b] = -1.0, 1.0
        result = linprog(cost, A_ub=np.array(rows), b_ub=limits, bounds=box, method="highs")
        if result.status == 2:
            return None
        out[a, b] = np.inf if result.status in (3, 4) else -result.fun
    return out


def lp_gamma_min(odds, edges, n_items, span):
    rows, limits = [], []
    for (a, b), z in zip(edges, odds, strict=True):
        for sign in (1.0, -1.0):
            row = np.zeros(n_items + 1)
            row[a], row[b], row[-1] = sign, -sign, -1.0
            rows.append(row)
            limits.append(sign * z)
    box = [(None, None) if span is None else (0.0, span)] * n_items + [(0.0, None)]
    cost = np.append(np.zeros(n_items), 1.0)
    return np.exp(linprog(cost, A_ub=np.array(rows), b_ub=limits, bounds=box, method="highs").fun)


def test_oracle_three_quarters_at_gamma_two():
    tilt, ratio = odds_tilt(0.75, 2.0), density_ratio(0.75, 2.0)
    np.testing.assert_allclose([tilt.lower, tilt.upper], [0.6, 6 / 7], atol=1e-12)
    np.testing.assert_allclose([ratio.lower, ratio.upper], [0.5, 0.875], atol=1e-12)
    assert tilt.sharp
    assert ratio.sharp
    assert tilt.assumptions
    np.testing.assert_allclose(breakdown_gamma(0.75), 3.0, rtol=1e-12)
    np.testing.assert_allclose(breakdown_gamma(0.75, "density_ratio"), 2.0, rtol=1e-12)


def test_oracle_known_prevalence():
    bound = odds_tilt(0.6, 2.0, 0.5)
    np.testing.assert_allclose([bound.lower, bound.upper], [0.517745, 0.682255], atol=5e-7)


@pytest.mark.parametrize("p", [0.03, 0.4, 0.6, 0.97])
@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_known_prevalence_equals_brute_force_over_odds_ratios(p, weight):
    gamma, seen = 3.0, []
    for ratio in np.exp(np.linspace(-np.log(gamma), np.log(gamma), 41)):
        base = brentq(
            lambda z, r=ratio: (1 - weight) * expit(z) + weight * expit(z + np.log(r)) - p, -20, 20, xtol=1e-13
        )
        seen += [expit(base), expit(base + np.log(ratio))]
    bound = odds_tilt(p, gamma, weight)
    np.testing.assert_allclose([bound.lower, bound.upper], [min(seen), max(seen)], atol=1e-10)


@pytest.mark.parametrize("p", [0.2, 0.6, 0.9])
def test_free_tilt_is_the_supremum_over_prevalences(p):
    weights = np.concatenate([np.geomspace(1e-9, 0.5, 60), 1 - np.geomspace(1e-9, 0.5, 60)])
    known, free = odds_tilt(p, 2.5, weights), odds_tilt(p, 2.5)
    assert (known.lower >= free.lower - 1e-12).all()
    assert (known.upper <= free.upper + 1e-12).all()
    np.testing.assert_allclose([known.lower.min(), known.upper.max()], [free.lower, free.upper], atol=1e-7)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75, 0.95])
@pytest.mark.parametrize("gamma", [1.0, 1.5, 4.0])
def test_density_ratio_equals_linear_program_over_hidden_types(p, gamma):
    grid = np.linspace(0, 1, 21)
    size = len(grid)
    eye, zero = np.eye(size), np.zeros(size)
    a_ub = np.block([[eye / gamma, -eye], [-gamma * eye, eye]])
    a_eq = np.stack([np.r_[np.ones(size), zero], np.r_[zero, np.ones(size)], np.r_[grid, zero]])
    ends = [
        s * linprog(s * np.r_[zero, grid], A_ub=a_ub, b_ub=np.zeros(2 * size), A_eq=a_eq, b_eq=[1, 1, p]).fun
        for s in (1, -1)
    ]
    bound = density_ratio(p, gamma)
    np.testing.assert_allclose([bound.lower, bound.upper], ends, atol=1e-8)


def test_one_cycle_needs_circulation_over_length():
    np.testing.assert_allclose(gamma_min([0.6] * 3, [(0, 1), (1, 2), (2, 0)]), 1.5, rtol=1e-12)
    odds = np.array([0.3, -0.2, 0.9, 0.1])
    ring = [(0, 1), (1, 2), (2, 3), (3, 0)]
    np.testing.assert_allclose(gamma_min(expit(odds), ring), np.exp(abs(odds.sum()) / 4), rtol=1e-12)


def test_oracle_path_against_direct_edge():
    p, edges = expit([0.6, 0.3, 0.7]), [(0, 1), (1, 2), (0, 2)]
    np.testing.assert_allclose(gamma_min(p, edges), 1.068939, atol=5e-7)
    bound = tilted_differences(p, edges, 1.2)
    np.testing.assert_allclose([bound.lower[0, 2], bound.upper[0, 2]], [0.535357, 0.882322], atol=5e-7)
    with pytest.raises(GammaTooSmallError, match="1\\.068939") as caught:
        tilted_differences(p, edges, 1.05)
    assert caught.value.gamma_min == pytest.approx(1.068939, abs=5e-7)
    tilted_differences(p, edges, gamma_min(p, edges))


def test_forest_is_never_refuted_and_leaves_the_rest_unbounded():
    assert gamma_min([0.9, 0.2], [(0, 1), (2, 3)]) == 1.0
    bound = tilted_differences([0.9, 0.2], [(0, 1), (2, 3)], 1.0, n_items=5)
    np.testing.assert_allclose(bound.upper[0, 1], logit(0.9))
    assert np.isinf(bound.upper[0, 2])
    assert np.isinf(bound.lower[4, 0])
    assert bound.sharp


@pytest.mark.parametrize("span", [None, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(6))
def test_graph_bounds_equal_linear_programs(seed, span):
    rng = np.random.default_rng(seed)
    n_items = 5
    pairs = list(itertools.combinations(range(n_items), 2))
    edges = [pairs[i] for i in rng.choice(len(pairs), 5, replace=False)] + [pairs[0]]
    odds = rng.normal(scale=0.8, size=(2, len(edges)))
    least = gamma_min(expit(odds), edges, n_items=n_items, reward_range=span)
    np.testing.assert_allclose(least, [lp_gamma_min(z, edges, n_items, span) for z in odds], rtol=1e-7)
    gamma = 1.1 * least
    bound = tilted_differences(expit(odds), edges, gamma, n_items=n_items, reward_range=span)
    for draw in range(2):
        expected = lp_tilt_differences(odds[draw], edges, np.log(gamma[draw]), n_items, span)
        np.testing.assert_allclose(bound.upper[draw], expected, atol=1e-7)
        np.testing.assert_allclose(bound.lower[draw], -expected.T, atol=1e-7)
    assert lp_tilt_differences(odds[0], edges, np.log(0.98 * least[0]), n_items, span) is None


def test_refuted_draws_become_nan_and_are_announced():
    p = np.array([[0.6, 0.6, 0.6], [0.5, 0.5, 0.5]])
    edges = [(0, 1), (1, 2), (2, 0)]
    with pytest.warns(DroppedDraws, match=r"50\.0%"):
        bound = tilted_differences(p, edges, 1.2, on_refuted="nan")
    assert bound.refuted.tolist() == [True, False]
    assert np.isnan(bound.upper[0]).all()
    assert np.isfinite(bound.upper[1]).all()


def test_target_bounds_add_independent_cells():
    p, mix = np.array([0.75, 0.4]), np.array([0.3, 0.7])
    bound = target_bounds(p, mix, 2.0)
    cell = odds_tilt(p, 2.0)
    np.testing.assert_allclose([bound.lower, bound.upper], [mix @ cell.lower, mix @ cell.upper], rtol=1e-12)
    ratio = target_bounds(p, mix, 2.0, kind="density_ratio")
    cell = density_ratio(p, 2.0)
    np.testing.assert_allclose([ratio.lower, ratio.upper], [mix @ cell.lower, mix @ cell.upper], rtol=1e-12)
    mean = target_bounds(p, mix, 2.0, kind="mean_difference", reward_range=1.2)
    odds = logit(p)
    np.testing.assert_allclose(mean.lower, mix @ np.maximum(odds - np.log(2), -1.2), rtol=1e-12)
    np.testing.assert_allclose(mean.upper, mix @ np.minimum(odds + np.log(2), 1.2), rtol=1e-12)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.51, 0.9])
def test_bisection_agrees_with_closed_breakdown(p):
    for kind in ("odds_tilt", "density_ratio", "mean_difference"):
        closed = breakdown_gamma(p, kind)
        split = breakdown_gamma([p, p], kind, target_mix=[0.4, 0.6], reward_range=8.0)
        # A range this wide binds only where the density ratio pushes types to certainty.
        np.testing.assert_allclose(split, closed, rtol=1e-9 if kind != "density_ratio" else 2e-2)
    np.testing.assert_allclose(breakdown_gamma(p), np.exp(abs(logit(p))), rtol=1e-12)


@pytest.mark.parametrize("kind", ["odds_tilt", "density_ratio", "mean_difference"])
@pytest.mark.parametrize("span", [None, 2.0])
def test_decision_survives_just_below_breakdown_and_breaks_just_above(kind, span):
    rng = np.random.default_rng(3)
    p = rng.uniform(0.2, 0.8, size=(40, 3))
    mix = rng.dirichlet(np.ones(3), 40)
    star = breakdown_gamma(p, kind, target_mix=mix, reward_range=span)
    assert np.isfinite(star).all()
    centre = 0.0 if kind == "mean_difference" else 0.5
    for factor, certain in ((1 - 1e-6, True), (1 + 1e-6, False)):
        gamma = np.maximum(star * factor, 1.0)
        bound = target_bounds(p, mix, gamma, kind=kind, reward_range=span)
        decided = (bound.lower > centre) | (bound.upper < centre)
        assert (decided == certain).all()


def test_mean_difference_breakdown_is_exp_of_mean_log_odds():
    p, mix = np.array([0.7, 0.45, 0.6]), np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(
        breakdown_gamma(p, "mean_difference", target_mix=mix), np.exp(abs(mix @ logit(p))), rtol=1e-12
    )


def test_certain_majority_never_breaks():
    assert np.isinf(breakdown_gamma([1.0, 0.3], target_mix=[0.6, 0.4]))
    assert np.isinf(breakdown_gamma(1.0))
    assert np.isfinite(breakdown_gamma([1.0, 0.3], target_mix=[0.4, 0.6]))
    assert breakdown_gamma([0.4, 0.6], target_mix=[0.5, 0.5]) == 1.0


def test_robust_share_counts_draws_above_gamma():
    star = np.array([[1.2, 1.0], [2.0, np.nan], [3.0, np.inf]])
    out = robust_share(star, [1.0, 2.0])
    np.testing.assert_allclose(out, [[1.0, 0.5], [1 / 3, 0.5]])
    assert np.isnan(robust_share([np.nan], 1.5))


@given(shares, gammas, gammas)
def test_gamma_one_is_a_point_and_bounds_nest(p, first, second):
    small, large = sorted((first, second))
    for bound in (odds_tilt, density_ratio):
        point, inner, outer = bound(p, 1.0), bound(p, small), bound(p, large)
        assert point.lower == pytest.approx(p, abs=1e-12)
        assert point.upper == pytest.approx(p, abs=1e-12)
        assert 0 <= outer.lower <= inner.lower + 1e-12
        assert inner.upper - 1e-12 <= outer.upper <= 1
    assert density_ratio(p, large).lower <= odds_tilt(p, large).lower + 1e-12


@given(shares, gammas, st.floats(0.0, 1.0))
def test_swapping_sides_mirrors_the_bounds(p, gamma, weight):
    for bound, mirror in (
        (odds_tilt(p, gamma), odds_tilt(1 - p, gamma)),
        (odds_tilt(p, gamma, weight), odds_tilt(1 - p, gamma, weight)),
        (odds_tilt(p, gamma, weight), odds_tilt(1 - p, gamma, 1 - weight)),
        (density_ratio(p, gamma), density_ratio(1 - p, gamma)),
    ):
        assert bound.lower == pytest.approx(1 - mirror.upper, abs=1e-11)
        assert bound.upper == pytest.approx(1 - mirror.lower, abs=1e-11)


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(1.0, 3.0))
def test_swapping_an_edge_changes_nothing(odds, factor):
    edges = [(0, 1), (1, 2), (2, 0), (2, 3)]
    swapped = [(1, 0), (2, 1), (0, 2), (3, 2)]
    p = expit(np.array(odds))
    least = gamma_min(p, edges)
    np.testing.assert_allclose(least, gamma_min(1 - p, swapped), rtol=1e-9)
    one = tilted_differences(p, edges, least * factor)
    two = tilted_differences(1 - p, swapped, least * factor)
    np.testing.assert_allclose(one.upper, two.upper, atol=1e-9)
    wider = tilted_differences(p, edges, least * factor * 1.5)
    assert (wider.upper >= one.upper - 1e-9).all()


def test_vectorised_over_leading_axes():
    p = np.random.default_rng(0).uniform(0.1, 0.9, size=(4, 3, 2))
    mix = np.array([0.5, 0.5])
    star = breakdown_gamma(p, target_mix=mix)
    assert star.shape == (4, 3)
    assert star[2, 1] == pytest.approx(float(breakdown_gamma(p[2, 1], target_mix=mix)), rel=1e-12)
    assert odds_tilt(p, 2.0, 0.3).lower.shape == p.shape


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: odds_tilt(1.2, 2.0), ValueError, "p: must lie in"),
        (lambda: odds_tilt(np.nan, 2.0), ValueError, "p: must lie in"),
        (lambda: odds_tilt(0.5, 0.9), ValueError, "gamma: must lie in"),
        (lambda: density_ratio(0.5, np.inf), ValueError, "gamma: must lie in"),
        (lambda: odds_tilt(0.5, 2.0, -0.1), ValueError, "prevalence"),
        (lambda: gamma_min([0.5, 1.0], [(0, 1), (1, 2)]), ValueError, "p: must lie strictly between"),
        (lambda: gamma_min([0.5], [(1, 1)]), ValueError, "edges: items must be two different"),
        (lambda: gamma_min([0.5], [(0, 1)], n_items=1), ValueError, "edges"),
        (lambda: gamma_min([0.5], [(0.0, 1.0)]), ValueError, "edges: must be integers"),
        (lambda: tilted_differences([0.5, 0.6], [(0, 1)], 2.0), ValueError, "last axis must hold the 1 edges"),
        (lambda: breakdown_gamma(0.7, "rosenbaum"), ValueError, "kind: must be one of"),
        (lambda: breakdown_gamma(1.0, "mean_difference"), ValueError, "strictly between"),
        (lambda: target_bounds([0.5, 0.6], [0.5, 0.6], 2.0), TargetMixError, "target_mix"),
        (lambda: target_bounds([0.5, 0.6], [1.0], 2.0), ValueError, "target_mix: last axis"),
        (lambda: target_bounds([0.9], [1.0], 2.0, reward_range=1.0), InfeasibleMixtureError, "at least 2.19"),
        (lambda: target_bounds([0.5], [1.0], 2.0, reward_range=(1.0, 0.0)), ValueError, "reward_range"),
        (lambda: robust_share([0.5], 1.0), ValueError, "breakdown: must be at least 1"),
    ],
)
def test_bad_input_names_argument_and_rule(call, error, text):
    with pytest.raises(error, match=text):
        call()
