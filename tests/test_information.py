"""Fisher information against finite differences, quadrature, simulation-free closed forms and sign enumeration."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from bayespref.information import (
    ALONG_MARGIN,
    curvature,
    fisher,
    fisher_by,
    fisher_by_type,
    gaussian_curvature,
    gaussian_fisher,
    mean_fisher,
    overlap,
    plugin_error_bound,
    quadrant_mass,
    quotient,
    quotient_basis,
    saturation,
)


def corr(rho):
    return np.array([[1.0, rho], [rho, 1.0]])


def expected_hessian(dz, w, omega):
    """Minus the Hessian of the expected log-likelihood at the truth, by central differences."""
    p, d, h = expit(dz @ w), len(w), 1e-4

    def value(v):
        u = dz @ v
        return float(omega @ (p * -np.logaddexp(0, -u) + (1 - p) * -np.logaddexp(0, u)) / omega.sum())

    out = np.empty((d, d))
    for i, j in itertools.product(range(d), repeat=2):
        a, b = h * np.eye(d)[i], h * np.eye(d)[j]
        out[i, j] = -(value(w + a + b) - value(w + a - b) - value(w - a + b) + value(w - a - b)) / (4 * h * h)
    return out


seeds = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 12)), int(rng.integers(1, 5))
    return rng, rng.normal(size=(n, d)), rng.normal(size=d), rng.uniform(0.1, 2, n)


@given(seeds)
def test_information_is_minus_the_hessian_of_the_expected_log_likelihood(seed):
    _, dz, w, omega = problem(seed)
    np.testing.assert_allclose(fisher(dz, w, omega), expected_hessian(dz, w, omega), atol=2e-7)


@given(seeds)
def test_swapping_sides_scaling_weights_and_splitting_rows_change_nothing(seed):
    rng, dz, w, omega = problem(seed)
    want = fisher(dz, w, omega, ridge=0.3)
    signs = rng.choice([-1.0, 1.0], size=(len(dz), 1))
    np.testing.assert_allclose(fisher(signs * dz, w, 7 * omega, ridge=0.3), want, atol=1e-13)
    twice = np.concatenate([dz, dz]), np.concatenate([0.25 * omega, 0.75 * omega])
    np.testing.assert_allclose(fisher(twice[0], w, twice[1], 0.3), want, atol=1e-13)


def test_leading_axes_of_coefficients_are_kept_and_the_mean_over_draws_agrees():
    rng = np.random.default_rng(1)
    dz, draws = rng.normal(size=(40, 3)), rng.normal(size=(2, 5, 3))
    every = fisher(dz, draws, ridge=0.1)
    assert every.shape == (2, 5, 3, 3)
    np.testing.assert_allclose(every[1, 2], fisher(dz, draws[1, 2], ridge=0.1), atol=1e-15)
    np.testing.assert_allclose(mean_fisher(dz, draws[0], ridge=0.1), every[0].mean(axis=0), atol=1e-15)


def test_buckets_are_normalised_apart_and_an_empty_one_is_nan_even_with_a_ridge():
    rng = np.random.default_rng(2)
    dz, w, omega, bucket = rng.normal(size=(30, 2)), np.array([1.0, -1.0]), rng.uniform(1, 2, 30), np.arange(30) % 2 * 2
    got = fisher_by(dz, w, bucket, omega, ridge=0.5, n_buckets=4)
    assert got.counts.tolist() == [15, 0, 15, 0]
    assert got.reason.tolist() == ["", "no_overlap", "", "no_overlap"]
    np.testing.assert_allclose(got.information[2], fisher(dz[bucket == 2], w, omega[bucket == 2], 0.5))
    assert np.isnan(got.information[[1, 3]]).all()
    parts = got.information[[0, 2]] - 0.5 * np.eye(2)
    weight = np.array([omega[bucket == k].sum() for k in (0, 2)]) / omega.sum()
    np.testing.assert_allclose(np.tensordot(weight, parts, 1), fisher(dz, w, omega), atol=1e-14)


TABLE = {
    0.5: (0.23604442, 0.21100350),
    1.0: (0.20662096, 0.14422448),
    2.0: (0.15142638, 0.06052753),
    3.0: (0.11483790, 0.02784333),
    5.0: (0.07514485, 0.00826481),
    10.0: (0.03925956, 0.00122827),
}


def test_gaussian_curvature_reproduces_the_table_and_its_tails():
    for s, values in TABLE.items():
        np.testing.assert_allclose(gaussian_curvature(np.array(s)), values, atol=6e-9)
    a0, a2 = gaussian_curvature(np.array([0.0, 1e4]))
    np.testing.assert_allclose([a0[0], a2[0]], 0.25, atol=1e-14)
    np.testing.assert_allclose([a0[1] * 1e4, a2[1] * 1e12], [0.398942, 1.312467], atol=1e-6)


@pytest.mark.parametrize("s", [1e-3, 0.3, 0.999, 1.0, 1.001, 4.0, 17.0, 60.0])
def test_gaussian_curvature_agrees_with_adaptive_quadrature(s):
    for k, got in zip((0, 2), gaussian_curvature(np.array(s)), strict=True):
        top = 12.0 / max(1.0, s / 5)
        want = quad(lambda x, k=k: 2 * x**k * norm.pdf(x) * curvature(s * x), 0, top, epsabs=1e-14, limit=400)[0]
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_gaussian_information_reproduces_the_worked_matrices():
    np.testing.assert_allclose(
        gaussian_fisher(corr(0.9), np.array([2.0, -2.0])),
        [[0.21042403, 0.19466461], [0.19466461, 0.21042403]],
        atol=6e-9,
    )
    for w, want in {(2.0, -2.0): 0.01575942, (1.0, 1.0): 0.01537539, (1.0, 0.5): 0.01776831}.items():
        np.testing.assert_allclose(overlap(gaussian_fisher(corr(0.9), np.array(w))).lambda_min, want, atol=6e-9)
    np.testing.assert_allclose(
        overlap(gaussian_fisher(corr(0.9), np.array([1.0, 0.5]))).lambda_max, 0.18320451, atol=6e-9
    )


def test_the_claimed_lower_bound_by_mean_curvature_fails_four_times_over():
    got = overlap(gaussian_fisher(np.eye(2), np.array([3.0, 0.0])))
    np.testing.assert_allclose(got.lambda_min, 0.02784333, atol=6e-9)
    np.testing.assert_allclose(gaussian_curvature(np.array(3.0)).a0 / got.lambda_min, 4.124, atol=1e-3)


@given(seeds)
def test_gaussian_least_eigenvalue_lies_between_the_two_curvatures(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 6))
    root = rng.normal(size=(d, d + 1))
    Sigma, w = root @ root.T, rng.normal(size=d) * rng.uniform(0, 4)
    a0, a2 = gaussian_curvature(np.sqrt(w @ Sigma @ w))
    information = gaussian_fisher(Sigma, w)
    scale = np.abs(Sigma).max()
    assert np.linalg.eigvalsh(a0 * Sigma - information)[0] >= -1e-12 * scale
    assert np.linalg.eigvalsh(information - a2 * Sigma)[0] >= -1e-12 * scale
    ratio = np.linalg.eigvalsh(information)[0] / np.linalg.eigvalsh(Sigma)[0]
    assert a2 - 1e-9 <= ratio <= a0 + 1e-9


@pytest.mark.slow
def test_gaussian_form_is_the_limit_of_the_sample_form():
    # 400,000 rows: standard errors of the entries below 4e-4; five of them.
    rng = np.random.default_rng(3)
    w = np.array([1.0, -0.5, 2.0])
    Sigma = np.array([[1.0, 0.3, 0.0], [0.3, 2.0, -0.4], [0.0, -0.4, 0.5]])
    dz = rng.multivariate_normal(np.zeros(3), Sigma, size=400_000)
    np.testing.assert_allclose(fisher(dz, w), gaussian_fisher(Sigma, w), atol=2e-3)


def test_worst_direction_condition_numbers_and_ridge_are_reported_apart():
    got = overlap(corr(0.9) + 0.5 * np.eye(2), ridge=0.5)
    np.testing.assert_allclose([got.lambda_min, got.lambda_max], [0.1, 1.9], atol=1e-14)
    np.testing.assert_allclose([got.lambda_min_ridged, got.lambda_max_ridged], [0.6, 2.4], atol=1e-14)
    np.testing.assert_allclose([got.kappa, got.kappa_inv], [19, 10], rtol=1e-12)
    assert got.direction[np.abs(got.direction).argmax()] > 0
    assert not got.ambiguous
    assert got.null_dim == 0
    assert got.reason == ""


def test_ties_and_null_directions_come_with_their_bases():
    rng = np.random.default_rng(4)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    tied = overlap(basis @ np.diag([1.0, 1.0, 3.0, 5.0]) @ basis.T)
    assert tied.ambiguous
    assert tied.multiplicity == 2
    span = tied.vectors[:, :2]
    np.testing.assert_allclose(span @ span.T, basis[:, :2] @ basis[:, :2].T, atol=1e-12)
    null = overlap(basis @ np.diag([0.0, 1.0, 3.0, 5.0]) @ basis.T)
    assert null.null_dim == 1
    assert null.kappa == np.inf
    assert null.kappa_inv == np.inf
    assert null.reason == "no_overlap"
    np.testing.assert_allclose(np.abs(null.vectors[:, 0] @ basis[:, 0]), 1, atol=1e-12)
    zero = overlap(np.zeros((3, 3)))
    assert zero.null_dim == zero.multiplicity == 3
    assert zero.kappa == np.inf


def test_a_missing_bucket_stays_undefined_and_leading_axes_are_kept():
    got = overlap(np.stack([np.eye(2), np.full((2, 2), np.nan)]))
    assert got.reason.tolist() == ["", "no_overlap"]
    assert np.isnan(got.lambda_min[1])
    assert np.isnan(got.direction[1]).all()
    assert got.lambda_min[0] == 1


def test_item_effects_are_singular_until_the_gauge_is_taken_out():
    wins = np.zeros((5, 5))
    for a, b in [(0, 1), (1, 2), (3, 4)]:
        e = np.eye(5)[a] - np.eye(5)[b]
        wins += np.outer(e, e)
    assert overlap(wins).null_dim == 2
    component = np.array([0, 0, 0, 1, 1])
    basis = quotient_basis(component)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-15)
    np.testing.assert_allclose([basis[component == k].sum(axis=0) for k in (0, 1)], 0, atol=1e-15)
    # The path of three has Laplacian eigenvalues 1 and 3, the single edge 2.
    np.testing.assert_allclose(overlap(quotient(wins, component)).values, [1, 2, 3], atol=1e-12)


def test_only_an_empty_antipodal_pair_of_quadrants_leaves_no_information():
    signs = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    rng = np.random.default_rng(5)
    for counts in [(1, 1, 1, 0), (1, 0, 0, 1), (2, 1, 0, 1), (1, 1, 0, 0), *rng.integers(0, 4, size=(40, 4))]:
        dz = np.repeat(signs, counts, axis=0) * rng.uniform(0.5, 2, size=(sum(counts), 2))
        if not len(dz):
            continue
        got, s = quadrant_mass(dz, 0, 1), np.sign(dz)
        one = np.ones((len(s), 1))
        for columns, value in [
            (s, got.lambda_min),
            (np.hstack([one, s]), got.lambda_min_position),
            (np.hstack([one, s, s.prod(axis=1, keepdims=True)]), got.lambda_min_interaction),
        ]:
            want = np.linalg.eigvalsh(columns.T @ columns / len(columns))[0]
            np.testing.assert_allclose(value, want, atol=1e-12)
        np.testing.assert_allclose(got.lambda_min, 2 * got.antipodal_min, atol=1e-12)
    three = quadrant_mass(signs[:3], 0, 1)
    np.testing.assert_allclose(three[-3:], [2 / 3, 1 / 3, 0], atol=1e-12)
    adjacent = quadrant_mass(signs[:2], 0, 1)
    np.testing.assert_allclose([adjacent.lambda_min, adjacent.lambda_min_position], [1, 0], atol=1e-12)


def test_zeros_are_counted_apart_from_the_quadrants():
    got = quadrant_mass(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]), 0, 1, np.array([1.0, 2, 3, 2]))
    np.testing.assert_allclose(got[:6], [0.25, 0.375, 0, 0, 0.375, 0.25])
    np.testing.assert_allclose(got.lambda_min, 2 * 0.25 / 0.625)
    only_zeros = quadrant_mass(np.zeros((2, 2)), 0, 1)
    assert only_zeros.zero == 1
    assert np.isnan(only_zeros.lambda_min)


def test_saturation_counts_margins_beyond_three():
    got = saturation(np.array([[0.0], [2.9], [3.1], [-8.0]]), np.array([[1.0], [0.0]]))
    np.testing.assert_allclose(got.share_saturated, [0.5, 0])
    np.testing.assert_allclose(got.relative, 4 * got.mean_curvature)
    np.testing.assert_allclose(got.mean_curvature[0], curvature(np.array([0, 2.9, 3.1, 8.0])).mean())
    assert np.isnan(saturation(np.zeros((0, 1)), np.ones(1)).relative)


def test_the_most_informative_margin_along_the_coefficients():
    grid = np.linspace(0, 8, 800_001)
    value = curvature(grid) * grid**2
    np.testing.assert_allclose(grid[value.argmax()], ALONG_MARGIN, atol=1e-5)
    np.testing.assert_allclose(ALONG_MARGIN * np.tanh(ALONG_MARGIN / 2), 2, atol=1e-12)
    np.testing.assert_allclose([expit(ALONG_MARGIN), value.max()], [0.916778, 0.43922884], atol=6e-7)


@given(seeds)
def test_plugin_error_never_exceeds_its_bound(seed):
    rng, dz, w, _ = problem(seed)
    other = w + rng.normal(size=w.shape)
    error = np.linalg.norm(fisher(dz, w) - fisher(dz, other), 2)
    assert error <= plugin_error_bound(dz, float(np.linalg.norm(w - other))) * (1 + 1e-12)


def test_plugin_constant_is_the_steepest_slope_of_the_curvature():
    grid = np.linspace(-6, 6, 1_200_001)
    np.testing.assert_allclose(np.abs(np.gradient(curvature(grid), grid)).max(), 0.0962250, atol=1e-7)


@given(seeds)
def test_unseen_types_carry_less_information_than_seen_ones(seed):
    rng, dz, _, omega = problem(seed)
    d, types = dz.shape[1], int(rng.integers(1, 4))
    w, share = rng.normal(size=(types, d)), rng.dirichlet(np.ones(types), size=len(dz))
    got = fisher_by_type(dz, w, share, omega)
    for c in range(types):
        assert np.linalg.eigvalsh(got.known[c] - got.single[c])[0] >= -1e-12
    np.testing.assert_allclose(
        got.known[0],
        sum(
            omega[k] / omega.sum() * share[k, 0] * curvature(dz[k] @ w[0]) * np.outer(dz[k], dz[k])
            for k in range(len(dz))
        ),
        atol=1e-13,
    )
    # The score of a mixture by finite differences, label by label.
    h, want = 1e-6, np.zeros((d, d))
    for k in range(len(dz)):

        def p_of(v, k=k):
            return share[k, 0] * expit(dz[k] @ v) + share[k, 1:] @ expit(w[1:] @ dz[k])

        slope = np.array([(p_of(w[0] + h * e) - p_of(w[0] - h * e)) / (2 * h) for e in np.eye(d)])
        p = p_of(w[0])
        want += omega[k] / omega.sum() * np.outer(slope, slope) / (p * (1 - p))
    np.testing.assert_allclose(got.single[0], want, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fisher(np.array([[np.nan, 1.0]]), np.ones(2)), r"dz: must be finite; 1 bad"),
        (lambda: fisher(np.ones(3), np.ones(3)), r"dz: must have shape \(n, d\)"),
        (lambda: fisher(np.ones((2, 3)), np.ones(2)), r"w: the last axis must have the 3 features"),
        (lambda: fisher(np.ones((2, 1)), np.ones(1), np.array([1.0, -1.0])), r"weights: must be >= 0"),
        (lambda: fisher(np.ones((2, 1)), np.ones(1), np.ones(3)), r"weights: must have shape \(2,\)"),
        (lambda: fisher(np.ones((2, 1)), np.ones(1), ridge=-1.0), r"ridge: must be >= 0"),
        (
            lambda: fisher_by(np.ones((2, 1)), np.ones(1), np.array([0, 3]), n_buckets=2),
            r"bucket: codes must lie in 0..1",
        ),
        (lambda: fisher_by(np.ones((2, 1)), np.ones(1), np.array([0.0, 1.0])), r"bucket: must be integers"),
        (lambda: overlap(np.array([[1.0, 2.0], [2.0, 1.0]])), r"positive semidefinite; first bad .*-1"),
        (lambda: overlap(np.array([[1.0, 0.5], [0.0, 1.0]])), r"information: must be symmetric"),
        (lambda: overlap(np.eye(2), ridge=1.5), r"ridge: 1.5 exceeds the least eigenvalue"),
        (lambda: overlap(np.array([[np.inf, 0], [0, 1.0]])), r"information: must be finite"),
        (lambda: quotient(np.eye(2), np.array([0, 1])), r"component: every item is alone"),
        (lambda: quadrant_mass(np.ones((2, 2)), 0, 0), r"j: must differ from i"),
        (lambda: quadrant_mass(np.ones((2, 2)), 0, 2), r"j: must be a feature in 0..1"),
        (lambda: gaussian_fisher(-np.eye(2), np.ones(2)), r"Sigma: must be positive semidefinite"),
        (lambda: gaussian_curvature(np.array(-1.0)), r"s: must be >= 0"),
        (
            lambda: fisher_by_type(np.ones((1, 1)), np.ones((2, 1)), np.array([[0.5, 0.4]])),
            r"membership: rows must sum to one; first bad rows \[0\]",
        ),
        (lambda: mean_fisher(np.ones((1, 1)), np.ones(1)), r"draws: must have shape"),
    ],
)
def test_bad_input_is_refused_with_argument_rule_and_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_comparisons_and_no_weight_are_undefined_not_zero():
    assert np.isnan(fisher(np.zeros((0, 2)), np.ones(2), ridge=1.0)).all()
    assert np.isnan(fisher(np.ones((2, 2)), np.ones(2), np.zeros(2))).all()
    assert np.isnan(mean_fisher(np.zeros((0, 2)), np.ones((1, 2)))).all()
    assert np.isnan(plugin_error_bound(np.zeros((0, 2)), 1.0))
    assert np.isnan(quadrant_mass(np.zeros((0, 2)), 0, 1)).all()
