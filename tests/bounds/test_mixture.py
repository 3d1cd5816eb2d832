"""Mixture bounds against linear programs over explicit types, vertex enumeration and brute-force grids."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.special import expit, logit

from bayespref.bounds.mixture import mean_difference, repeated_label_preference, target_preference
from bayespref.errors import DroppedDraws, InfeasibleMixtureError, NotSharp, TargetMixError

MIX = {"observed_mix": [0.9, 0.1], "target_mix": [0.5, 0.5]}


def ends(bound):
    return np.array([bound.lower, bound.upper])


def lp_two_measures(p, grid, rows, limits, moment=None):
    """Extremes of the target mean over distributions mu, nu on a grid, with extra inequality rows."""
    size = len(grid)
    one, zero = np.ones(size), np.zeros(size)
    width = rows.shape[1] - 2 * size
    pad = np.zeros(width)
    a_eq = [np.r_[one, zero, pad], np.r_[zero, one, pad], np.r_[grid, zero, pad]]
    b_eq = [1.0, 1.0, p]
    if moment is not None:
        a_eq.append(np.r_[grid**2, zero, pad])
        b_eq.append(moment)
    cost = np.r_[zero, grid, pad]
    found = [linprog(s * cost, A_ub=rows, b_ub=limits, A_eq=np.array(a_eq), b_eq=b_eq, method="highs") for s in (1, -1)]
    assert all(result.status == 0 for result in found)
    return np.array([found[0].fun, -found[1].fun])


def ratio_rows(size, a, b):
    eye = np.eye(size)
    return np.block([[a * eye, -eye], [-b * eye, eye]]), np.zeros(2 * size)


def vertices(p, lo, hi, observed, target):
    """All vertices of {x in [lo, hi]^K: p_O . x = p}: all types but one at an end; vectorised over lo, hi."""
    low, high = np.full(lo.shape, np.inf), np.full(lo.shape, -np.inf)
    for loose, pattern in itertools.product(range(len(observed)), itertools.product((0, 1), repeat=len(observed) - 1)):
        others = [k for k in range(len(observed)) if k != loose]
        fixed = sum(observed[k] * (hi if bit else lo) for k, bit in zip(others, pattern, strict=True))
        gained = sum(target[k] * (hi if bit else lo) for k, bit in zip(others, pattern, strict=True))
        if observed[loose] == 0:
            fits, options = np.abs(fixed - p) < 1e-12, [lo, hi]
        else:
            x = (p - fixed) / observed[loose]
            fits, options = (x >= lo - 1e-12) & (x <= hi + 1e-12), [x]
        for x in options:
            q = np.where(fits, gained + target[loose] * x, np.nan)
            low, high = np.fmin(low, q), np.fmax(high, q)
    return low, high


def test_oracles_of_the_four_forms():
    np.testing.assert_allclose(ends(target_preference(0.6, 1.0, density_ratio=2.0)), [0.468941, 0.665529], atol=5e-7)
    np.testing.assert_allclose(ends(target_preference(0.6, 1.0, total_variation=0.2)), [0.507577, 0.692423], atol=5e-7)
    np.testing.assert_allclose(ends(target_preference(0.6, 1.0, total_variation=0.3)), [0.461365, 0.731059], atol=5e-7)
    np.testing.assert_allclose(ends(target_preference(0.7, 1.0, **MIX)), [0.575766, 0.713804], atol=5e-7)
    np.testing.assert_allclose(ends(target_preference(0.6, 1.0, **MIX)), [0.452863, 0.658248], atol=5e-7)
    narrow = target_preference(0.6, 1.0, type_effect=0.5, **MIX)
    np.testing.assert_allclose(ends(narrow), [0.550787, 0.645464], atol=1e-4)
    assert narrow.sharp
    assert any("kappa" in assumption for assumption in narrow.assumptions)


def test_oracle_mean_difference():
    for span, expected in ((1.0, [0.40469, 0.44392]), (3.0, [0.21755, 0.94702]), (5.0, [-0.26205, 1.85918])):
        np.testing.assert_allclose(ends(mean_difference(0.6, span)), expected, atol=5.1e-6)


def test_oracle_repeated_labels():
    np.testing.assert_allclose(ends(repeated_label_preference(0.6, 0.36, 1.0, density_ratio=2.0)), 0.6, atol=1e-12)
    bound = repeated_label_preference(0.6, 0.362, 1.0, density_ratio=2.0)
    np.testing.assert_allclose(ends(bound), [0.568377, 0.631623], atol=5e-7)
    assert bound.sharp


@pytest.mark.parametrize("p", [0.3, 0.5, 0.6, 0.72])
@pytest.mark.parametrize("limits", [(0.5, 2.0), (0.0, 1.7), (0.9, 5.0), (1.0, 1.0)])
def test_density_ratio_form_equals_linear_program(p, limits):
    grid = np.linspace(expit(-1), expit(1), 9)
    expected = lp_two_measures(p, grid, *ratio_rows(9, *limits))
    np.testing.assert_allclose(ends(target_preference(p, 1.0, density_ratio=limits)), expected, atol=1e-8)


@pytest.mark.parametrize("p", [0.3, 0.6, 0.72])
@pytest.mark.parametrize("distance", [0.0, 0.15, 0.6, 1.0])
def test_total_variation_form_equals_linear_program(p, distance):
    grid = np.linspace(expit(-1), expit(1), 7)
    eye = np.eye(7)
    rows = np.block([[-eye, eye, -eye], [eye, -eye, -eye], [np.zeros((1, 14)), np.ones((1, 7))]])
    expected = lp_two_measures(p, grid, rows, np.r_[np.zeros(14), 2 * distance])
    np.testing.assert_allclose(ends(target_preference(p, 1.0, total_variation=distance)), expected, atol=1e-8)


@pytest.mark.parametrize("seed", range(12))
def test_known_mixes_equal_linear_program(seed):
    rng = np.random.default_rng(seed)
    n_types = int(rng.integers(1, 7))
    observed, target = rng.dirichlet(np.ones(n_types)), rng.dirichlet(np.ones(n_types))
    if seed % 3 == 0 and n_types > 1:
        observed[0] = 0.0
        observed /= observed.sum()
    span = rng.uniform(0.3, 3.0)
    lo, hi = expit(-span), expit(span)
    p = rng.uniform(lo, hi)
    expected = [
        s * linprog(s * target, A_eq=observed[None], b_eq=[p], bounds=(lo, hi), method="highs").fun for s in (1, -1)
    ]
    bound = target_preference(p, span, observed_mix=observed, target_mix=target)
    np.testing.assert_allclose(ends(bound), expected, atol=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_type_effect_search_equals_vertex_enumeration_over_windows(seed):
    rng = np.random.default_rng(seed)
    n_types = int(rng.integers(2, 5))
    observed, target = rng.dirichlet(np.ones(n_types)), rng.dirichlet(np.ones(n_types))
    if seed % 3 == 0 and n_types > 2:
        observed = np.r_[0.0, observed[1:] / observed[1:].sum()]
    span, p = 1.5, rng.uniform(0.25, 0.75)
    kappa = rng.uniform(0.1, 3.0)
    start = np.linspace(max(-span, logit(p) - kappa), max(-span, min(logit(p), span - kappa)), 20_001)
    low, high = vertices(p, expit(start), expit(start + kappa), observed, target)
    bound = target_preference(p, span, observed_mix=observed, target_mix=target, type_effect=kappa)
    expected = [np.nanmin(low), np.nanmax(high)]
    np.testing.assert_allclose(ends(bound), expected, atol=5e-5)
    # The grid is an inner approximation, so the search must never be narrower.
    assert bound.lower <= expected[0] + 1e-12
    assert bound.upper >= expected[1] - 1e-12


@pytest.mark.parametrize(("kind", "value"), [("density_ratio", 2.0), ("total_variation", 0.25), ("none", None)])
def test_type_effect_with_unknown_mixes_equals_linear_program_over_windows(kind, value):
    p, span, kappa = 0.6, 1.2, 0.8
    found = []
    for start in np.linspace(logit(p) - kappa, min(logit(p), span - kappa), 41):
        grid = expit(np.linspace(start, start + kappa, 3))
        grid = np.sort(np.append(grid, p))
        if kind == "density_ratio":
            rows, limits = ratio_rows(4, 1 / value, value)
        elif kind == "total_variation":
            eye = np.eye(4)
            rows = np.block([[-eye, eye, -eye], [eye, -eye, -eye], [np.zeros((1, 8)), np.ones((1, 4))]])
            limits = np.r_[np.zeros(8), 2 * value]
        else:
            rows, limits = np.zeros((1, 8)), np.zeros(1)
        found.append(lp_two_measures(p, grid, rows, limits))
    found = np.array(found)
    declared = {} if kind == "none" else {kind: value}
    bound = target_preference(p, span, type_effect=kappa, **declared)
    np.testing.assert_allclose(ends(bound), [found[:, 0].min(), found[:, 1].max()], atol=2e-3)
    assert bound.lower <= found[:, 0].min() + 1e-9
    assert bound.upper >= found[:, 1].max() - 1e-9


@pytest.mark.parametrize("span", [0.5, 2.0, 5.0, 9.0])
@pytest.mark.parametrize("place", [0.001, 0.2, 0.5, 0.63, 0.999])
def test_envelope_equals_linear_program_over_types(span, place):
    lo, hi = expit(-span), expit(span)
    p = lo + place * (hi - lo)
    grid = np.linspace(-span, span, 4001)
    a_eq = np.stack([np.ones_like(grid), expit(grid)])
    expected = [s * linprog(s * grid, A_eq=a_eq, b_eq=[1.0, p], method="highs").fun for s in (1, -1)]
    # Spacing h of the grid costs at most a multiple of h^2 where logit bends.
    np.testing.assert_allclose(ends(mean_difference(p, span)), expected, atol=2e-5)
    assert mean_difference(p, span).lower <= expected[0] + 1e-7
    assert mean_difference(p, span).upper >= expected[1] - 1e-7


def test_envelope_is_attained_by_two_types():
    span, p = 3.0, 0.6
    low, high = np.meshgrid(np.linspace(-span, logit(p) - 1e-3, 1500), np.linspace(logit(p) + 1e-3, span, 1500))
    weight = (p - expit(low)) / (expit(high) - expit(low))
    mean = (1 - weight) * low + weight * high
    np.testing.assert_allclose(ends(mean_difference(p, span)), [mean.min(), mean.max()], atol=2e-5)


def test_a_majority_can_prefer_what_is_worse_on_average():
    assert mean_difference(0.6, 5.0).lower < 0 < logit(0.6)
    assert mean_difference(0.6, 1.0).lower > 0


@pytest.mark.parametrize(
    ("moment", "gamma", "sharp"),
    [(0.362, 2.0, True), (0.37, 1.3, True), (0.38, 1.3, False), (0.385, 3.0, False), (0.395, 2.0, False)],
)
def test_repeated_label_bound_against_linear_program_with_two_moments(moment, gamma, sharp):
    p, span = 0.6, 1.0
    grid = np.linspace(expit(-span), expit(span), 801)
    # mu = u + v and nu = a u + b v with u, v >= 0: no row for the ratio, so a fine grid stays cheap.
    size, a, b = 801, 1 / gamma, gamma
    both = np.r_[grid, grid]
    mass = np.r_[np.full(size, a), np.full(size, b)]
    a_eq = np.stack([np.ones(2 * size), both, both**2, mass])
    expected = [
        s * linprog(s * mass * both, A_eq=a_eq, b_eq=[1.0, p, moment, 1.0], method="highs").fun for s in (1, -1)
    ]
    if sharp:
        bound = repeated_label_preference(p, moment, span, density_ratio=gamma)
        np.testing.assert_allclose(ends(bound), expected, atol=1e-4)
    else:
        with pytest.warns(NotSharp, match="100.0%"):
            bound = repeated_label_preference(p, moment, span, density_ratio=gamma)
    assert bound.sharp == sharp
    assert bound.lower <= expected[0] + 1e-7
    assert bound.upper >= expected[1] - 1e-7


def test_repeated_label_bound_with_known_mixes_is_attained_by_an_explicit_world():
    observed, target = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.3, 0.4])
    chi2 = ((target - observed) ** 2 / observed).sum()
    deviation = 0.03
    x = 0.6 + deviation * (target / observed - 1) / np.sqrt(chi2)
    moment = observed @ x**2
    bound = repeated_label_preference(observed @ x, moment, 1.0, observed_mix=observed, target_mix=target)
    np.testing.assert_allclose(bound.upper, target @ x, rtol=1e-10)
    np.testing.assert_allclose(bound.lower, 2 * (observed @ x) - target @ x, rtol=1e-10)
    assert bound.sharp


def test_zero_variance_pins_the_target_even_for_a_free_mix():
    bound = repeated_label_preference([0.55, 0.7], np.array([0.55, 0.7]) ** 2, 1.0, density_ratio=50.0)
    np.testing.assert_allclose(bound.lower, [0.55, 0.7], atol=1e-12)
    np.testing.assert_allclose(bound.upper, [0.55, 0.7], atol=1e-12)


def test_a_variance_that_is_zero_up_to_rounding_is_zero():
    p, moment = 0.1 + 0.2, 0.09
    assert moment - p**2 != 0.0
    bound = repeated_label_preference(p, moment, 1.0, density_ratio=50.0)
    np.testing.assert_allclose(ends(bound), p, atol=1e-15)


def test_a_type_only_in_the_target_falls_back_to_single_label_bounds():
    mix = {"observed_mix": [1.0, 0.0], "target_mix": [0.6, 0.4]}
    with pytest.warns(NotSharp):
        bound = repeated_label_preference(0.6, 0.37, 1.0, **mix)
    np.testing.assert_allclose(ends(bound), ends(target_preference(0.6, 1.0, **mix)))


@given(st.integers(0, 10_000), st.floats(0.2, 4.0))
def test_sets_contain_the_truth_of_every_world_inside_the_assumptions(seed, span):
    rng = np.random.default_rng(seed)
    n_types = int(rng.integers(1, 6))
    observed, target = rng.dirichlet(np.ones(n_types)), rng.dirichlet(np.ones(n_types))
    difference = rng.uniform(-span, span, n_types)
    x = expit(difference)
    p, q = observed @ x, target @ x
    weight = target / observed
    kappa = np.ptp(difference)
    limits = (min(1.0, float(weight.min())), max(1.0, float(weight.max())))
    sets = [
        target_preference(p, span, density_ratio=limits),
        target_preference(p, span, total_variation=0.5 * np.abs(target - observed).sum()),
        target_preference(p, span, observed_mix=observed, target_mix=target),
        target_preference(p, span, observed_mix=observed, target_mix=target, type_effect=kappa),
        target_preference(p, span, density_ratio=limits, type_effect=kappa),
        target_preference(p, span, type_effect=kappa),
    ]
    for bound in sets:
        assert bound.lower - 1e-9 <= q <= bound.upper + 1e-9
    mean = mean_difference(p, span)
    assert mean.lower - 1e-9 <= observed @ difference <= mean.upper + 1e-9
    assert sets[2].lower >= sets[0].lower - 1e-9
    assert sets[3].upper <= sets[2].upper + 1e-9


@settings(max_examples=40)
@given(st.floats(0.28, 0.72), st.floats(1, 9), st.floats(1, 9), st.floats(0, 2), st.floats(0, 2))
def test_bounds_nest_and_shrink_to_the_point(p, gamma, other, kappa, wider):
    small, large = sorted((gamma, other))
    first, second = sorted((kappa, wider))
    chains = [
        [{"density_ratio": g} for g in (1.0, small, large)],
        [{"total_variation": 1 - 1 / g} for g in (1.0, small, large)],
        [{"type_effect": k, **MIX} for k in (0.0, first, second)],
        [{"type_effect": k} for k in (0.0, first, second)],
        [{"type_effect": k, "density_ratio": 3.0} for k in (0.0, first, second)],
    ]
    for chain in chains:
        point, inner, outer = (target_preference(p, 1.0, **declared) for declared in chain)
        np.testing.assert_allclose(ends(point), p, atol=1e-12)
        assert outer.lower <= inner.lower + 1e-9
        assert inner.upper - 1e-9 <= outer.upper
    tight, loose = target_preference(p, 1.0, **MIX), target_preference(p, 1.0 + wider, **MIX)
    assert loose.lower <= tight.lower + 1e-12
    np.testing.assert_allclose(ends(target_preference(p, 1.0, type_effect=2.0, **MIX)), ends(tight), atol=1e-10)


@settings(max_examples=40)
@given(st.floats(0.27, 0.73), st.floats(1, 9), st.floats(0, 2.5))
def test_swapping_sides_mirrors_shares_and_negates_differences(p, gamma, kappa):
    for declared in (
        {"density_ratio": gamma},
        {"total_variation": 1 - 1 / gamma},
        MIX,
        {"type_effect": kappa, **MIX},
        {"type_effect": kappa, "total_variation": 0.3},
    ):
        one, two = target_preference(p, 1.0, **declared), target_preference(1 - p, 1.0, **declared)
        np.testing.assert_allclose(ends(one), 1 - ends(two)[::-1], atol=1e-9)
    np.testing.assert_allclose(ends(mean_difference(p, 4.0)), -ends(mean_difference(1 - p, 4.0))[::-1], atol=1e-12)


def test_relabelling_types_and_splitting_a_type_change_nothing():
    base = target_preference(0.65, 1.0, observed_mix=[0.5, 0.3, 0.2], target_mix=[0.2, 0.2, 0.6])
    moved = target_preference(0.65, 1.0, observed_mix=[0.2, 0.5, 0.3], target_mix=[0.6, 0.2, 0.2])
    split = target_preference(0.65, 1.0, observed_mix=[0.5, 0.3, 0.1, 0.1], target_mix=[0.2, 0.2, 0.3, 0.3])
    np.testing.assert_allclose(ends(moved), ends(base), atol=1e-12)
    np.testing.assert_allclose(ends(split), ends(base), atol=1e-12)


def test_vectorised_over_draws_equals_one_by_one():
    rng = np.random.default_rng(5)
    p = rng.uniform(0.3, 0.7, (6, 4))
    observed, target = rng.dirichlet(np.ones(3), (6, 1)), rng.dirichlet(np.ones(3), (6, 4))
    kappa = rng.uniform(0, 1, 4)
    all_at_once = target_preference(p, 1.0, observed_mix=observed, target_mix=target, type_effect=kappa)
    assert all_at_once.lower.shape == (6, 4)
    one = target_preference(
        p[2, 3], (2.0, 3.0), observed_mix=observed[2, 0], target_mix=target[2, 3], type_effect=kappa[3]
    )
    np.testing.assert_allclose([all_at_once.lower[2, 3], all_at_once.upper[2, 3]], ends(one), atol=1e-12)
    mean = mean_difference(p, 2.0)
    np.testing.assert_allclose(mean.lower[1, 1], mean_difference(p[1, 1], 2.0).lower)


def test_draws_outside_the_range_are_refused_or_nan_with_a_warning():
    with pytest.raises(InfeasibleMixtureError, match=r"1 of 2 .* at least 1\.386294"):
        target_preference([0.6, 0.8], 1.0, density_ratio=2.0)
    with pytest.raises(InfeasibleMixtureError):
        mean_difference(0.2, 1.0)
    with pytest.warns(DroppedDraws):
        bound = target_preference([0.6, 0.8], 1.0, density_ratio=2.0, on_refuted="nan")
    assert np.isnan(bound.lower).tolist() == [False, True]
    with pytest.warns(DroppedDraws):
        bound = target_preference([0.6, 0.8], 1.0, type_effect=0.5, on_refuted="nan", **MIX)
    assert np.isnan(bound.upper).tolist() == [False, True]
    with pytest.warns(DroppedDraws):
        assert np.isnan(mean_difference([0.6, 0.8], 1.0, on_refuted="nan").upper).tolist() == [False, True]


def test_edges_of_the_range_are_points():
    for p in (expit(1.0), expit(-1.0)):
        np.testing.assert_allclose(ends(target_preference(p, 1.0, density_ratio=4.0)), p, atol=1e-12)
        np.testing.assert_allclose(ends(mean_difference(p, 1.0)), logit(p), atol=1e-12)
    assert ends(mean_difference(0.5, 0.0)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("declared", "error", "text"),
    [
        ({}, ValueError, "declare one of"),
        ({"density_ratio": 2.0, "total_variation": 0.1}, ValueError, "only one of"),
        ({"observed_mix": [1.0]}, ValueError, "both or neither"),
        ({"observed_mix": [0.5, 0.6], "target_mix": [0.5, 0.5]}, TargetMixError, "observed_mix"),
        ({"observed_mix": [0.5, 0.5], "target_mix": [1.5, -0.5]}, TargetMixError, "target_mix"),
        ({"density_ratio": 0.5}, ValueError, "density_ratio"),
        ({"density_ratio": (0.5, 0.8)}, ValueError, "density_ratio"),
        ({"density_ratio": (0.5, 2.0, 3.0)}, ValueError, "density_ratio"),
        ({"total_variation": 1.5}, ValueError, "total_variation"),
        ({"type_effect": -0.1}, ValueError, "type_effect"),
        ({"density_ratio": 2.0, "on_refuted": "clip"}, ValueError, "on_refuted"),
    ],
)
def test_bad_input_names_argument_and_rule(declared, error, text):
    with pytest.raises(error, match=text):
        target_preference(0.6, 1.0, **declared)


def test_bad_range_and_moments_are_refused():
    with pytest.raises(ValueError, match="reward_range"):
        target_preference(0.6, np.inf, density_ratio=2.0)
    with pytest.raises(ValueError, match="reward_range"):
        mean_difference(0.6, (0.0, 1.0, 2.0))
    with pytest.raises(ValueError, match="p: must lie in"):
        mean_difference(np.nan, 1.0)
    with pytest.raises(InfeasibleMixtureError, match="second_moment"):
        repeated_label_preference(0.6, 0.3, 1.0, density_ratio=2.0)
    with pytest.raises(InfeasibleMixtureError, match="second_moment"):
        repeated_label_preference(0.6, 0.42, 1.0, density_ratio=2.0)
    with pytest.raises(ValueError, match="declare one of"):
        repeated_label_preference(0.6, 0.37, 1.0)
