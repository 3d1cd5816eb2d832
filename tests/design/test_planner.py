"""Plans: the worked example, linear programs where the problem is linear, weak duality, broken input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from bayespref.design.planner import plan


def corr(rho):
    return np.array([[1.0, rho], [rho, 1.0]])


ARMS = np.array([0.2 * corr(0.9), 0.2 * corr(-0.5)])
NOW = np.array([20 * corr(0.9), 10 * corr(0.5)])
TARGET, COST = np.array([10.0, 12.0]), np.array([1.0, 3.0])


def test_the_cheapest_plan_of_the_worked_example_costs_150():
    got = plan(ARMS, NOW, TARGET, COST)
    np.testing.assert_allclose(got.counts, [[0, 26.6667], [0, 23.3333]], atol=1e-4)
    np.testing.assert_allclose([got.cost, got.objective, got.bound], 150, atol=1e-5)
    np.testing.assert_allclose(got.lambda_min, TARGET, rtol=1e-7)
    assert got.met
    assert plan(ARMS, NOW, TARGET, COST, budget=150.001).met


def test_a_short_budget_goes_where_coverage_counts_most():
    got = plan(ARMS, NOW, TARGET, COST, budget=60.0, importance=np.array([2.0, 1.0]))
    np.testing.assert_allclose(got.reached, [0.8, 0.416667], atol=1e-6)
    np.testing.assert_allclose(got.counts, [[0, 20], [0, 0]], atol=1e-5)
    np.testing.assert_allclose([got.objective, got.bound], 2 * 0.8 + 5 / 12, atol=1e-7)
    assert got.cost <= 60 * (1 + 1e-12)
    assert not got.met
    np.testing.assert_allclose(np.abs(got.missing), np.sqrt(0.5), atol=1e-6)
    assert (got.missing[:, 0] * got.missing[:, 1] < 0).all()


def diagonal(seed):
    """Commuting matrices: the semidefinite program is a linear one."""
    rng = np.random.default_rng(seed)
    M = rng.uniform(0, 1, size=(3, 5, 2)) * (rng.random((3, 5, 2)) < 0.8) + 0.01
    return (
        M,
        rng.uniform(0, 5, size=(3, 2)),
        rng.uniform(1, 8, 3),
        rng.uniform(0.5, 2, size=(3, 5)),
        rng.uniform(0.5, 2, 3),
    )


def as_matrices(x):
    return x[..., :, None] * np.eye(x.shape[-1])


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_diagonal_problems_agree_with_linear_programs(seed):
    M, now, target, cost, weight = diagonal(seed)
    lowest = sum(
        linprog(cost[k], A_ub=-M[k].T, b_ub=-(target[k] - now[k]), bounds=[(0, None)] * 5, method="highs").fun
        for k in range(3)
    )
    full = plan(as_matrices(M), as_matrices(now), target, cost)
    np.testing.assert_allclose([full.cost, full.bound], lowest, rtol=1e-6, atol=1e-6)
    budget = 0.5 * lowest
    if budget < 1e-3:
        return
    rows, right = [], []
    for k in range(3):
        for i in range(2):
            row = np.zeros(18)
            row[5 * k : 5 * k + 5], row[15 + k] = -M[k, :, i], target[k]
            rows.append(row)
            right.append(now[k, i])
    rows.append(np.concatenate([cost.ravel(), np.zeros(3)]))
    right.append(budget)
    best = linprog(
        np.concatenate([np.zeros(15), -weight]), A_ub=rows, b_ub=right, bounds=[(0, None)] * 15 + [(0, 1)] * 3
    )
    short = plan(as_matrices(M), as_matrices(now), target, cost, budget=budget, importance=weight)
    np.testing.assert_allclose([short.objective, short.bound], -best.fun, rtol=1e-6)
    assert short.cost <= budget * (1 + 1e-9)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_no_random_plan_beats_the_certified_bounds(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2, 4, 3, 2))
    M, cost = np.einsum("kaif,kajf->kaij", X, X), rng.uniform(0.5, 2, (2, 4))
    now, target = np.zeros((2, 3, 3)), rng.uniform(1, 5, 2)
    full = plan(M, now, target, cost)
    assert full.gap <= 1e-6 * full.cost
    budget = 0.4 * full.cost
    short = plan(M, now, target, cost, budget=budget)
    assert short.gap <= 1e-6 * max(short.objective, 1e-3)
    for _ in range(30):
        n = rng.dirichlet(np.ones(8)).reshape(2, 4) / cost * budget
        least = np.linalg.eigvalsh(np.einsum("ka,kaij->kij", n, M))[:, 0]
        assert np.minimum(least / target, 1).sum() <= short.bound + 1e-9
        if (least > 0).all():
            assert budget * (target / least).max() >= full.bound * (1 - 1e-9)  # scaled up until it meets both targets


def test_floors_acceptance_and_label_costs_enter_the_bill():
    floors = np.array([[3.0, 0.0], [0.0, 0.0]])
    got = plan(ARMS, NOW, TARGET, COST, floors=floors, acceptance=np.array([1.0, 0.5]), label_cost=1.0)
    assert (got.counts >= floors).all()
    np.testing.assert_allclose(got.cost, (got.counts * np.array([2.0, 7.0])).sum(), rtol=1e-9)
    np.testing.assert_allclose(got.attempts[:, 1], 2 * got.counts[:, 1], rtol=1e-12)
    assert got.gap <= 1e-5
    with pytest.raises(ValueError, match="budget: 2 does not pay for the floors, which cost 3"):
        plan(ARMS, NOW, TARGET, COST, floors=floors, budget=2.0)


def test_a_bucket_that_holds_enough_costs_nothing():
    got = plan(ARMS, np.array([200 * np.eye(2), NOW[1]]), TARGET, COST)
    assert got.counts[0].sum() == 0
    np.testing.assert_allclose(got.cost, 70, atol=1e-5)
    assert plan(ARMS, NOW, np.zeros(2), COST).cost == 0


def test_a_direction_no_action_informs_makes_the_cost_infinite_and_is_named():
    only_first = np.array([np.diag([1.0, 0.0])])
    got = plan(only_first, np.array([np.zeros((2, 2)), np.diag([0.0, 9.0])]), np.array([4.0, 4.0]), np.array([1.0]))
    assert got.cost == np.inf
    assert got.reason.tolist() == ["no_overlap", ""]
    assert np.isnan(got.counts[0]).all()
    np.testing.assert_allclose(got.counts[1], 4, atol=1e-6)
    np.testing.assert_allclose(got.reached, [0, 1], atol=1e-7)
    short = plan(only_first, np.array([np.zeros((2, 2)), np.diag([0.0, 9.0])]), np.array([4.0, 4.0]), [1.0], budget=2.0)
    np.testing.assert_allclose(short.reached, [0, 0.5], atol=1e-6)
    np.testing.assert_allclose(short.counts.ravel(), [0, 2], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"M": -ARMS}, "M: must be positive semidefinite"),
        ({"M": ARMS[:, :1, :1]}, r"M: must have shape \(A, 2, 2\)"),
        ({"M": np.stack([ARMS] * 3)}, "M: must have 2 buckets"),
        ({"current": np.full((2, 2, 2), np.nan)}, "current: must be finite"),
        ({"threshold": [-1.0, 2.0]}, "threshold: must be >= 0"),
        ({"threshold": [1.0, 2.0, 3.0]}, "threshold: must be one number or have shape"),
        ({"cost": [0.0, 1.0]}, "cost: must be > 0"),
        ({"importance": [1.0]}, r"importance: must have shape \(2,\)"),
        ({"floors": [-1.0, 0.0]}, "floors: must be >= 0"),
        ({"budget": np.nan}, "budget: must be finite"),
    ],
)
def test_bad_plans_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(**{"M": ARMS, "current": NOW, "threshold": TARGET, "cost": COST, **arguments})
