"""Mixture designs: worked optima, linear programs and brute force that share no code, certificates, broken input."""

import importlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from bayespref.design.certificate import certified_bound
from bayespref.design.mixture import optimal_mixture
from bayespref.design.multiplicative import multiplicative
from bayespref.information import gaussian_fisher


def corr(rho):
    return np.array([[1.0, rho], [rho, 1.0]])


TWO = np.array([corr(0.95), corr(-0.3)])


def least(M, p):
    """Least eigenvalue of the mixture over groups, written out again."""
    M = M if M.ndim == 4 else M[None]
    return min(np.linalg.eigvalsh(np.einsum("a,aij->ij", p, group))[0] for group in M)


def linear_maximum(q, *, cost=None, cap=None, floors=None, budget=None):
    """Largest q'p over feasible p by a linear program."""
    n = len(q)
    scale = np.abs(q).max()  # entries far from one make HiGHS give up
    q = q / scale
    low = np.zeros(n) if floors is None else floors
    if budget is not None:
        got = linprog(-q, A_ub=[cost], b_ub=[budget], bounds=[(x, None) for x in low], method="highs")
    else:
        rows = {} if cap is None else {"A_ub": [cost], "b_ub": [cap]}
        got = linprog(-q, A_eq=[np.ones(n)], b_eq=[1.0], bounds=[(x, None) for x in low], method="highs", **rows)
    assert got.status == 0
    return -got.fun * scale


def rebuilt_bound(M, dual, criterion, **rules):
    """The bound from the dual alone: own formulas, a linear program in place of prices."""
    M, dual = (M, dual) if M.ndim == 4 else (M[None], dual[None])
    values, vectors = np.linalg.eigh(dual)
    dual = np.stack([v @ np.diag(np.maximum(x, 0)) @ v.T for x, v in zip(values, vectors, strict=True)])
    limit = linear_maximum(np.einsum("gij,gaij->a", dual, M), **rules)
    x = np.maximum(np.linalg.eigvalsh(dual[0]), 0)
    if criterion == "E":
        return limit / np.trace(dual, axis1=1, axis2=2).sum()
    if criterion == "D":
        return len(x) * np.log(limit / len(x)) - np.log(x).sum()
    return np.sqrt(x).sum() ** 2 / limit


def rebuilt_value(M, weights, criterion):
    M = M if M.ndim == 4 else M[None]
    information = np.einsum("a,gaij->gij", weights, M)
    if criterion == "E":
        return np.linalg.eigvalsh(information).min()
    if criterion == "D":
        return np.linalg.slogdet(information[0])[1]
    return np.trace(np.linalg.inv(information[0]))


def random_problem(k, criterion):
    """Arms of random rank and scale, sometimes with groups, floors, a cap or a budget: matrices and keywords."""
    rng = np.random.default_rng(1000 + k)
    d, n, groups = (int(rng.integers(low, high)) for low, high in ((1, 7), (1, 40), (1, 4)))
    X = rng.normal(size=(groups, n, d, int(rng.integers(1, d + 1)))) * np.exp(0.7 * rng.normal(size=(groups, n, 1, 1)))
    M = np.einsum("gaik,gajk->gaij", X, X) / d
    M = M[0] if criterion != "E" or k % 2 else M
    rules, kind = {}, rng.random()
    floors = rng.dirichlet(np.ones(n)) * rng.random() * 0.5 if rng.random() < 0.4 else np.zeros(n)
    if floors.any():
        rules["floors"] = floors
    cost = rng.uniform(0.2, 3, n)
    if kind < 0.35:
        low, high = cost @ floors + (1 - floors.sum()) * cost.min(), cost.max()
        rules.update(cost=cost, cost_cap=low + (high - low) * rng.random() ** 2)
    elif kind < 0.6:
        rules.update(cost=cost, total_budget=float(rng.uniform(5, 50)))
    return M, rules


def check_problem(k, criterion):
    M, rules = random_problem(k, criterion)
    got = optimal_mixture(M, criterion=criterion, **rules)
    if got.reason == "no_overlap":
        sums = (M if M.ndim == 4 else M[None]).sum(axis=1)
        assert min(np.linalg.matrix_rank(one, tol=1e-9) for one in sums) < M.shape[-1]
        return None
    low = rules.get("floors", 0.0)
    assert (got.weights >= low - 1e-12).all()
    if "total_budget" in rules:
        assert rules["cost"] @ got.weights <= rules["total_budget"] * (1 + 1e-12)
    else:
        assert got.weights.sum() == pytest.approx(1, abs=1e-12)
        assert "cost_cap" not in rules or rules["cost"] @ got.weights <= rules["cost_cap"] * (1 + 1e-12)
    value = rebuilt_value(M, got.weights, criterion)
    mine = {"cost": rules.get("cost"), "cap": rules.get("cost_cap"), "floors": rules.get("floors")}
    bound = rebuilt_bound(M, got.dual, criterion, budget=rules.get("total_budget"), **mine)
    assert certified_bound(M, got.dual, got.price, criterion=criterion, **rules) == pytest.approx(
        got.upper_bound, rel=1e-9, abs=1e-12
    )
    np.testing.assert_allclose(value, got.value, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(bound, got.upper_bound, rtol=1e-7, atol=1e-9)
    return abs(bound - value) / (1.0 if criterion == "D" else abs(value))


def test_axis_arms_have_their_closed_forms():
    scale = np.array([1.0, 2.0, 4.0])
    M = np.array([s * np.diag(e) for s, e in zip(scale, np.eye(3), strict=True)])
    e, a, d = (optimal_mixture(M, criterion=c) for c in "EAD")
    np.testing.assert_allclose(e.weights, np.array([4, 2, 1]) / 7, atol=1e-8)
    np.testing.assert_allclose([e.value, e.upper_bound], 4 / 7, atol=1e-8)
    assert e.multiplicity == 3
    np.testing.assert_allclose(a.weights, [0.45308184, 0.32037724, 0.22654092], atol=6e-9)
    np.testing.assert_allclose([a.value, a.upper_bound], 4.87132034, atol=6e-9)
    np.testing.assert_allclose(d.weights, 1 / 3, atol=1e-8)
    np.testing.assert_allclose([d.value, d.upper_bound], np.log(8 / 27), atol=1e-9)


@pytest.mark.parametrize(
    ("cap", "value", "price"),
    [(1.0, 0.05, None), (1.5, 0.3625, 0.625), (2.0, 0.675, 0.625), (2.52, 1, None), (3.0, 1, 0)],
)
def test_a_cost_cap_trades_information_at_its_price(cap, value, price):
    got = optimal_mixture(TWO, cost=[1.0, 3.0], cost_cap=cap)
    np.testing.assert_allclose([got.value, got.upper_bound], value, atol=1e-8)
    assert got.cost <= cap * (1 + 1e-12)
    if price is not None:
        np.testing.assert_allclose(got.price, price, atol=1e-6)


def test_without_a_cap_the_two_arms_cancel_exactly():
    got = optimal_mixture(TWO)
    np.testing.assert_allclose(got.weights, [0.24, 0.76], atol=1e-8)
    np.testing.assert_allclose(got.value, 1, atol=1e-8)
    assert got.multiplicity == 2


def test_a_total_budget_buys_counts_and_beats_the_passive_arm_eightfold():
    got = optimal_mixture(TWO, cost=[1.0, 3.0], total_budget=100.0)
    np.testing.assert_allclose(got.weights, [9.523810, 30.158730], atol=1e-6)
    np.testing.assert_allclose([got.value, got.upper_bound], 39.682540, atol=1e-6)
    np.testing.assert_allclose(least(TWO, np.array([100.0, 0])), 5, atol=1e-12)
    np.testing.assert_allclose(got.price, got.value / 100, rtol=1e-7)  # a homogeneous problem: value = price * budget


def test_acceptance_raises_the_cost_of_a_label_and_the_attempts():
    got = optimal_mixture(TWO, cost=1.0, acceptance=[1.0, 0.25], cost_cap=2.5)
    np.testing.assert_allclose(got.weights, [0.5, 0.5], atol=1e-8)
    np.testing.assert_allclose(got.attempts, [0.2, 0.8], atol=1e-8)
    per_label = optimal_mixture(TWO, cost=1.0, label_cost=[0.5, 1.5], cost_cap=1.5 + 1.0)
    np.testing.assert_allclose(per_label.cost, 1.5 + 0.76, atol=1e-6)


def test_a_floor_is_kept_and_costs_a_fifth():
    got = optimal_mixture(TWO, floors=[0.4, 0.0])
    np.testing.assert_allclose([got.value, got.upper_bound], 0.8, atol=1e-8)
    assert got.weights[0] == pytest.approx(0.4, abs=1e-12)


def test_group_minimax_balances_two_environments():
    half = 0.5 * np.eye(2)
    M = np.array([[corr(0.95), corr(-0.3), half], [corr(-0.9), corr(0.2), half]])
    got = optimal_mixture(M)
    np.testing.assert_allclose(got.weights, [10 / 47, 37 / 47, 0], atol=1e-7)
    np.testing.assert_allclose([got.value, got.upper_bound], 0.96595745, atol=6e-9)
    np.testing.assert_allclose(np.trace(got.dual, axis1=1, axis2=2), [0.46808511, 0.53191489], atol=1e-6)
    assert got.dual.shape == (2, 2, 2)


def test_unequal_scales_need_three_arms():
    M = np.array([[[1, 0.9], [0.9, 1]], [[4, -0.6], [-0.6, 0.25]], [[0.25, -0.6], [-0.6, 4]]])
    got = optimal_mixture(M)
    np.testing.assert_allclose(got.weights, [0.4, 0.3, 0.3], atol=1e-7)
    np.testing.assert_allclose([got.value, got.upper_bound], 1.675, atol=1e-8)
    grid = np.linspace(0, 1, 2001)
    pairs = [
        max(least(M, p * np.eye(3)[a] + (1 - p) * np.eye(3)[b]) for p in grid) for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    np.testing.assert_allclose(max(pairs), 1.525, atol=1e-3)
    curved = optimal_mixture(gaussian_fisher(M, np.ones(2)))
    np.testing.assert_allclose(curved.weights, [0.548818, 0.225591, 0.225591], atol=1e-6)
    np.testing.assert_allclose(curved.value, 0.11753555, atol=6e-9)


def test_the_correlation_mix_is_not_optimal_for_the_information_itself():
    arms = np.array([corr(0.9), corr(-0.9)])
    balanced = optimal_mixture(gaussian_fisher(arms, np.array([1.0, 0.5])))
    np.testing.assert_allclose(balanced.weights[0], 0.688006, atol=1e-6)
    np.testing.assert_allclose(balanced.value, 0.13029037, atol=6e-9)
    half = gaussian_fisher(arms, np.array([1.0, 0.5])).mean(axis=0)
    np.testing.assert_allclose(np.linalg.eigvalsh(half)[0], 0.10241095, atol=6e-9)
    saturated = optimal_mixture(gaussian_fisher(arms, np.array([3.0, 3.0])))
    np.testing.assert_allclose(saturated.weights, [0, 1], atol=1e-6)  # all mass on the arm against the coefficients


def test_three_arms_agree_with_a_fine_grid_for_every_criterion():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3, 3, 2))
    M = np.einsum("aik,ajk->aij", X, X)
    step = 1 / 400
    p = np.array([(i, j, 400 - i - j) for i in range(401) for j in range(401 - i)]) * step
    values = np.linalg.eigvalsh(np.einsum("na,aij->nij", p, M))[1:]
    best = {"E": values[:, 0].max(), "D": np.log(np.maximum(values, 1e-300)).sum(axis=1).max()}
    ok = values[:, 0] > 1e-9
    best["A"] = (1 / values[ok]).sum(axis=1).min()
    for criterion, want in best.items():
        got = optimal_mixture(M, criterion=criterion)
        sign = -1 if criterion == "A" else 1
        assert sign * got.upper_bound >= sign * want - 1e-12  # a bound is beaten by no grid point
        assert abs(got.value - want) <= 3e-3 * abs(want)


@pytest.mark.parametrize("criterion", ["D", "A"])
def test_a_general_purpose_optimiser_finds_nothing_better(criterion):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(6, 3, 2))
    M, cost = np.einsum("aik,ajk->aij", X, X), np.array([1.0, 2, 3, 1, 2, 3])
    floors = np.array([0.1, 0, 0, 0, 0.05, 0])
    rules = [
        {"type": "eq", "fun": lambda p: p.sum() - 1},
        {"type": "ineq", "fun": lambda p: 1.6 - cost @ p},
    ]

    def loss(p):
        value = rebuilt_value(M, p, criterion)
        return -value if criterion == "D" else value

    start = floors + (1 - floors.sum()) * np.array([0.3, 0.1, 0.05, 0.3, 0.15, 0.1])
    want = minimize(
        loss, start, method="SLSQP", bounds=[(x, 1) for x in floors], constraints=rules, options={"ftol": 1e-12}
    )
    got = optimal_mixture(M, criterion=criterion, cost=cost, cost_cap=1.6, floors=floors)
    np.testing.assert_allclose(loss(got.weights), want.fun, rtol=1e-6)
    assert loss(got.weights) <= want.fun + 1e-9


@pytest.mark.parametrize("criterion", ["E", "A", "D"])
def test_certificates_rebuilt_from_the_numbers_returned_close_the_gap(criterion):
    gaps = [check_problem(k, criterion) for k in range(12)]
    assert sum(gap is not None for gap in gaps) >= 8
    assert max(gap for gap in gaps if gap is not None) <= 1e-6


@pytest.mark.slow
def test_two_hundred_random_problems_close_to_a_millionth():
    gaps = [check_problem(100 + k, "EAD"[k % 3]) for k in range(230)]
    solved = [gap for gap in gaps if gap is not None]
    assert len(solved) >= 200
    assert max(solved) <= 1e-6


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_any_dual_and_price_give_a_valid_bound(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(5, 3, 3))
    M, cost = np.einsum("aik,ajk->aij", X, X), rng.uniform(1, 3, 5)
    floors = rng.dirichlet(np.ones(5)) * 0.3
    cap = float(cost @ floors + 0.7 * cost.min() + rng.random())
    junk = rng.normal(size=(3, 3))
    W = junk @ junk.T
    rules = {"cost": cost, "cost_cap": cap, "floors": floors}
    extra = rng.dirichlet(np.ones(5), size=200) * 0.7 + floors
    feasible = extra[extra @ cost <= cap]
    for criterion in "EAD":
        bound = certified_bound(M, W, float(rng.exponential()), criterion=criterion, **rules)
        for p in feasible:
            value = rebuilt_value(M, p, criterion)
            assert value >= bound - 1e-9 if criterion == "A" else value <= bound + 1e-9


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_rotation_order_and_scale_change_the_value_as_they_must(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(6, 3, 2))
    M = np.einsum("aik,ajk->aij", X, X)
    turn, order = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.permutation(6)
    for criterion in "EAD":
        one = optimal_mixture(M, criterion=criterion)
        two = optimal_mixture(4 * turn @ M[order] @ turn.T, criterion=criterion)
        want = {"E": 4 * one.value, "A": one.value / 4, "D": one.value + 3 * np.log(4)}[criterion]
        np.testing.assert_allclose(two.value, want, rtol=1e-6, atol=1e-6)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_rules_never_help_and_room_never_hurts(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(6, 2, 2))
    M, cost = np.einsum("aik,ajk->aij", X, X), rng.uniform(1, 3, 6)
    free = optimal_mixture(M).value
    caps = np.sort(rng.uniform(cost.min(), cost.max(), 3))
    values = [optimal_mixture(M, cost=cost, cost_cap=cap).value for cap in caps]
    assert (np.diff([*values, free]) >= -1e-7 * free).all()
    floored = optimal_mixture(M, floors=np.full(6, 0.1)).value
    assert least(M, np.full(6, 1 / 6)) - 1e-12 <= floored <= free + 1e-7 * free


def test_masked_actions_get_nothing_and_the_bound_ignores_them():
    M = np.array([np.eye(2) * 100, corr(0.95), corr(-0.3)])
    got = optimal_mixture(M, mask=np.array([False, True, True]))
    assert got.weights[0] == 0
    np.testing.assert_allclose([got.value, got.upper_bound], 1, atol=1e-7)


def test_floors_that_leave_nothing_to_choose_are_certified_too():
    for criterion in "EAD":
        got = optimal_mixture(TWO, criterion=criterion, floors=[0.3, 0.7])
        np.testing.assert_allclose(got.weights, [0.3, 0.7], atol=1e-15)
        assert abs(got.gap) <= 1e-9


@pytest.mark.parametrize("criterion", ["E", "A", "D"])
def test_a_direction_no_action_informs_is_named_not_guessed(criterion):
    M = np.array([np.diag([1.0, 0.0, 2.0]), np.diag([3.0, 0.0, 1.0])])
    got = optimal_mixture(M, criterion=criterion)
    assert got.reason == "no_overlap"
    assert got.value == got.upper_bound == {"E": 0.0, "A": np.inf, "D": -np.inf}[criterion]
    assert np.isnan(got.weights).all()
    np.testing.assert_allclose(np.abs(got.null_basis), [[0], [1], [0]], atol=1e-12)


def test_a_cap_that_only_the_cheapest_meet_can_leave_a_null_direction():
    M = np.array([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])])
    got = optimal_mixture(M, criterion="D", cost=[1.0, 2.0], cost_cap=1.0)
    assert got.reason == "no_overlap"
    assert optimal_mixture(M, criterion="D", cost=[1.0, 2.0], cost_cap=1.1).reason == ""


def test_one_dimension_takes_the_largest_action():
    M = np.array([1.0, 5.0, 2.0]).reshape(3, 1, 1)
    for criterion, want in {"E": 5.0, "A": 0.2, "D": np.log(5)}.items():
        got = optimal_mixture(M, criterion=criterion)
        np.testing.assert_allclose(got.weights, [0, 1, 0], atol=1e-6)
        np.testing.assert_allclose(got.value, want, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-10, 1e10])
@pytest.mark.parametrize("criterion", ["E", "A", "D"])
def test_units_of_the_matrices_do_not_spoil_the_certificate(scale, criterion):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(20, 4, 2))
    got = optimal_mixture(np.einsum("aik,ajk->aij", X, X) * scale, criterion=criterion)
    assert got.reason == ""
    assert abs(got.gap) <= 1e-8 * abs(got.value)


def test_a_design_whose_gap_is_large_against_its_value_says_so():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 4, 2))
    X[:, 3] *= 1e-4  # condition number 1e8: rounding leaves a few per cent of the least eigenvalue open
    got = optimal_mixture(np.einsum("aik,ajk->aij", X, X))
    assert (got.gap > 1e-6 * got.value) == (got.reason == "not_converged")
    assert got.value <= got.upper_bound


@pytest.mark.parametrize("criterion", ["D", "A"])
def test_multiplicative_updates_reach_the_newton_answer_and_certify_it(criterion):
    rng = np.random.default_rng(11)
    X = rng.normal(size=(60, 4, 2))
    M = np.einsum("aik,ajk->aij", X, X)
    got, want = multiplicative(M, criterion=criterion), optimal_mixture(M, criterion=criterion)
    assert got.reason == ""
    assert abs(got.value - want.value) <= got.gap + 1e-9
    sign = -1 if criterion == "A" else 1
    assert sign * got.upper_bound >= sign * want.value - 1e-9
    values = [multiplicative(M, criterion=criterion, max_steps=k, tolerance=0.0).value for k in range(8)]
    assert (sign * np.diff(values) > 0).all()
    assert multiplicative(M, criterion=criterion, max_steps=3).reason == "not_converged"
    assert multiplicative(M[:, :, :1] * M[:, :1, :], criterion=criterion).reason in ("", "no_overlap")


def test_many_actions_are_solved_on_a_few_and_certified_on_all():
    rng = np.random.default_rng(12)
    X = rng.normal(size=(1500, 5, 3))
    M, cost = np.einsum("aik,ajk->aij", X, X) / 3, rng.uniform(0.5, 3, 1500)
    for criterion in "EAD":
        for rules in ({}, {"cost": cost, "cost_cap": 0.7, "floors": np.full(1500, 1e-4)}):
            got = optimal_mixture(M, criterion=criterion, **rules)
            bound = rebuilt_bound(
                M, got.dual, criterion, cost=rules.get("cost"), cap=rules.get("cost_cap"), floors=rules.get("floors")
            )
            assert abs(bound - got.value) <= 1e-6 * max(1.0, abs(got.value))


def test_without_the_solver_the_message_says_what_to_install(monkeypatch):
    real = importlib.import_module

    def blocked(name, *rest):
        if name in ("cvxpy", "clarabel"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", blocked)
    with pytest.raises(ImportError, match=r"pip install 'bayespref\[design\]'.*'D' and 'A' work without"):
        optimal_mixture(TWO)
    for criterion in "DA":
        assert optimal_mixture(TWO, criterion=criterion).gap < 1e-8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"M": -TWO}, r"M: must be positive semidefinite; first bad .*\(0,\)"),
        ({"M": np.full((1, 2, 2), np.nan)}, "M: must be finite; 4 bad"),
        ({"M": np.array([[[1.0, 0.5], [0.2, 1.0]]])}, "M: must be symmetric"),
        ({"M": np.eye(2)}, r"M: must have shape \(A, d, d\) or \(G, A, d, d\)"),
        ({"M": np.zeros((0, 2, 2))}, "M: needs at least one action"),
        ({"floors": [0.6, 0.5]}, "floors: must sum to at most one, got 1.1"),
        ({"floors": [-0.1, 0.5]}, "floors: must be >= 0"),
        ({"floors": [0.1, np.nan]}, "floors: must be finite"),
        ({"mask": np.array([False, False])}, "mask: must allow at least one action"),
        ({"mask": np.array([1, 0])}, "mask: must be booleans"),
        ({"mask": np.array([True, False]), "floors": [0, 0.1]}, r"floors: positive on masked actions \[1\]"),
        (
            {"cost": [1.0, 3.0], "cost_cap": 0.9},
            "cost_cap: 0.9 is infeasible, the cheapest mix with these floors costs 1$",
        ),
        (
            {"cost": [1.0, 3.0], "cost_cap": 1.5, "floors": [0, 0.5]},
            "infeasible, the cheapest mix with these floors costs 2",
        ),
        ({"cost_cap": 1.0}, "cost: needed with cost_cap or total_budget"),
        ({"cost": [1.0, 2.0], "cost_cap": 1.0, "total_budget": 2.0}, "give one of them"),
        ({"cost": [1.0, 0.0], "total_budget": 2.0}, r"cost: must be > 0 under a total budget .*\[1\]"),
        (
            {"cost": [1.0, 1.0], "total_budget": 2.0, "floors": [2.0, 1.0]},
            "total_budget: 2 does not pay for the floors",
        ),
        ({"cost": [1.0, 1.0], "total_budget": -2.0}, "total_budget: must be > 0"),
        ({"cost": [-1.0, 1.0]}, "cost: must be >= 0"),
        ({"cost": [1.0, 1.0, 1.0]}, r"cost: must be one number or have shape \(2,\)"),
        ({"acceptance": [0.0, 1.0]}, r"acceptance: must be > 0 .*\[0\]"),
        ({"acceptance": [1.2, 1.0]}, r"acceptance: must lie in \[0, 1\]"),
        ({"criterion": "G"}, r"criterion: must be one of \['E', 'A', 'D'\]"),
        ({"M": TWO[None], "criterion": "D"}, "criterion: groups are minimax over least eigenvalues"),
    ],
)
def test_bad_problems_are_refused_with_argument_rule_and_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        optimal_mixture(**{"M": TWO, **arguments})


@pytest.mark.parametrize(
    ("dual", "price", "message"), [(np.eye(3), 0.0, "dual: must have shape"), (np.eye(2), -1.0, "price: must be >= 0")]
)
def test_a_broken_certificate_is_refused(dual, price, message):
    with pytest.raises(ValueError, match=message):
        certified_bound(TWO, dual, price)


def test_a_dual_without_a_positive_part_bounds_nothing():
    assert certified_bound(TWO, -np.eye(2)) == np.inf
    assert certified_bound(TWO, -np.eye(2), criterion="A") == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "d", "criterion", "seconds"),
    [(2000, 10, "E", 5), (20_000, 10, "E", 10), (500, 30, "D", 2), (500, 30, "A", 2)],
)
def test_size_targets_are_met_with_a_closed_gap(n, d, criterion, seconds):
    # Unit vectors: the case with the widest support. CPU time of this process; measured .1 to .4 s.
    X = np.random.default_rng(1).normal(size=(n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    M = np.einsum("ai,aj->aij", X, X)
    began = time.process_time()
    got = optimal_mixture(M, criterion=criterion)
    assert time.process_time() - began < seconds
    bound = rebuilt_bound(M, got.dual, criterion)
    assert abs(bound - got.value) <= 1e-6 * max(1.0, abs(got.value))
