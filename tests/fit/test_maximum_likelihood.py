"""Bradley-Terry maximum likelihood: against a general optimiser, and infinite or undefined where that is the answer."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit

from bayespref.comparisons import from_codes
from bayespref.fit.maximum_likelihood import bradley_terry, maximum_likelihood


def general_optimum(wins):
    """Scores of items 1.. relative to item 0, covariance by inverting a numerical Hessian, and the log-likelihood."""

    def loss(free):
        theta = np.concatenate([[0.0], free])
        return -np.sum(wins * log_expit(theta[:, None] - theta[None, :]))

    n = len(wins) - 1
    best = minimize(loss, np.zeros(n), method="BFGS", options={"gtol": 1e-9})
    step, eye = 1e-4, np.eye(n)
    hessian = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            hessian[i, j] = sum(a * b * loss(best.x + step * (a * eye[i] + b * eye[j])) for a, b in signs) / (
                4 * step**2
            )
    return best.x, np.linalg.inv(hessian), -best.fun


@pytest.mark.parametrize("seed", range(3))
def test_estimates_and_standard_errors_are_those_of_a_general_optimiser(seed):
    rng = np.random.default_rng(seed)
    wins = rng.integers(1, 30, (6, 6)).astype(float) * (rng.random((6, 6)) < 0.8)
    wins[np.arange(6), (np.arange(6) + 1) % 6] = 3.0  # a cycle of wins: one strong component
    fitted = bradley_terry(wins)
    np.fill_diagonal(wins, 0.0)
    theta, covariance, value = general_optimum(wins)
    np.testing.assert_allclose(fitted.difference[1:, 0], theta, atol=1e-5)
    np.testing.assert_allclose(fitted.standard_error[1:, 0], np.sqrt(np.diag(covariance)), rtol=1e-4)
    assert fitted.log_likelihood == pytest.approx(value, rel=1e-9)
    assert fitted.score.sum() == pytest.approx(0.0, abs=1e-10)


def test_one_sided_tables_stay_exact_far_out():
    """A million wins to one: the difference is the log of the odds, the variance 1/wins + 1/losses."""
    fitted = bradley_terry(np.array([[0.0, 1e6], [1.0, 0.0]]))
    assert fitted.difference[0, 1] == pytest.approx(np.log(1e6), rel=1e-9)
    assert fitted.standard_error[0, 1] == pytest.approx(np.sqrt(1 + 1e-6), rel=1e-6)


def test_rows_in_any_order_side_and_split_give_the_same_estimate():
    rng = np.random.default_rng(5)
    a = rng.integers(0, 4, 300)
    b = (a + rng.integers(1, 4, 300)) % 4
    outcome = rng.choice(4, 300, p=[0.4, 0.4, 0.1, 0.1])
    one = maximum_likelihood(from_codes(a, b, outcome, items=tuple("wxyz")), by=())
    order, turned = rng.permutation(300), rng.random(300) < 0.5
    swapped = np.where(turned & (outcome < 2), 1 - outcome, outcome)[order]
    sides = np.where(turned, b, a)[order], np.where(turned, a, b)[order]
    twice = [np.concatenate([values, values]) for values in (*sides, swapped)]
    two = maximum_likelihood(from_codes(*twice, items=tuple("wxyz"), weight=np.full(600, 0.5)), by=())
    for name in ("score", "standard_error", "log_likelihood"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-10, atol=1e-12)
