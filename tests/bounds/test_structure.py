"""Structure across cells against linear programs, closed forms and the numbers of worked cases."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from bayespref.bounds.identified import difference_bounds, level_bounds
from bayespref.bounds.paths import negative_cycle
from bayespref.bounds.regret import minimax_regret, regret_matrix
from bayespref.bounds.structure import (
    additive,
    breakdown,
    cell_differences,
    difference_restrictions,
    feasible_range,
    item_order,
    join,
    level_lipschitz,
    level_type_effect,
    mcshane,
    pairwise,
    propagate,
    range_restrictions,
    rank_one,
    smallest_interaction,
    smallest_parameter,
    witness,
)
from bayespref.errors import InfeasibleRestrictionError


def line(n):
    return np.abs(np.subtract.outer(np.arange(float(n)), np.arange(float(n))))


def two_states(slope):
    """Oracle 9: d(s0) = .6 identified, s1 unseen, levels Lipschitz between them; nodes (s, c, a)."""
    offsets = np.array([[[0.0, 0.6]], [[0.0, 0.0]]])
    component = np.array([[[0, 0]], [[0, 1]]])
    shape = (2, 1, 2)
    restrictions = join(
        range_restrictions(4), difference_restrictions(offsets, component), level_lipschitz(shape, line(2), slope)
    )
    return propagate(restrictions, 4, shape=shape)


def lp_largest(objective, edges, reward_range):
    """Largest objective . r over the range with r[i] - r[j] <= w for all edges; None if infeasible."""
    n = len(objective)
    rows = np.array([np.eye(n)[i] - np.eye(n)[j] for i, j, _ in edges]).reshape(len(edges), n)
    result = linprog(
        -np.asarray(objective),
        A_ub=rows if edges else None,
        b_ub=[w for *_, w in edges] if edges else None,
        bounds=[reward_range] * n,
        method="highs",
    )
    return None if result.status == 2 else -result.fun


@pytest.mark.parametrize(("slope", "ends"), [(0.1, (0.4, 0.8)), (0.2, (0.2, 1.0)), (0.3, (0.0, 1.0))])
def test_oracle_9_level_lipschitz_from_one_state_to_the_next(slope, ends):
    d = two_states(slope)
    assert (-float(d.upper[2, 3]), float(d.upper[3, 2])) == pytest.approx(ends, abs=1e-12)
    assert d.sharp
    assert "levels move at most" in " ".join(d.assumptions)


def test_oracle_9_breakdown_is_where_the_sign_is_lost():
    def value(slope):
        upper = np.stack([cell_differences(two_states(float(x)).upper, (2, 1, 2))[1] for x in np.ravel(slope)])
        return minimax_regret(regret_matrix(upper, np.array([1.0]))).value.reshape(np.shape(slope))

    found = breakdown(value, 0.0, 1.0)
    assert float(found.parameter) == pytest.approx(0.3, abs=1e-8)
    assert float(found.value_above) > 0
    fixed = join(
        range_restrictions(4),
        difference_restrictions(np.array([[[0.0, 0.6]], [[0.0, 0.0]]]), np.array([[[0, 0]], [[0, 1]]])),
        pairwise([3], [2], [0.0], "item 1 no better than item 0 in state 1"),
    )
    exact = smallest_parameter(fixed, level_lipschitz((2, 1, 2), line(2), 1.0), 4)
    assert float(exact) == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize(("slope", "ends"), [(0.1, (0.4, 0.4)), (0.15, (0.3, 0.5)), (0.2, (0.2, 0.6))])
def test_oracle_10_mcshane_between_two_states(slope, ends):
    # Per unit of distance the difference may move 2 L when levels move L: here L is that of the difference.
    d, seen = np.array([0.6, np.nan, 0.2]), np.array([True, False, True])
    b = mcshane(d, seen, line(3), 2 * slope)
    assert (float(b.lower[1]), float(b.upper[1])) == pytest.approx(ends, abs=1e-12)
    assert float(b.smallest) == pytest.approx(0.2, abs=1e-12)


def three_states(slope):
    offsets = np.array([[[0.0, 0.6]], [[0.0, 0.0]], [[0.0, 0.2]]])
    component = np.array([[[0, 0]], [[0, 1]], [[0, 0]]])
    return join(
        range_restrictions(6),
        difference_restrictions(offsets, component),
        level_lipschitz((3, 1, 2), line(3), slope),
    )


@pytest.mark.parametrize(("slope", "ends"), [(0.1, (0.4, 0.4)), (0.15, (0.3, 0.5)), (0.2, (0.2, 0.6))])
def test_oracle_10_level_lipschitz_between_two_states(slope, ends):
    d = propagate(three_states(slope), 6)
    assert (-float(d.upper[2, 3]), float(d.upper[3, 2])) == pytest.approx(ends, abs=1e-11)


def test_oracle_10_a_slope_too_small_is_refuted_with_the_cycle_and_the_smallest_slope():
    with pytest.raises(InfeasibleRestrictionError) as caught:
        propagate(three_states(0.09), 6, shape=(3, 1, 2))
    text = " ".join(caught.value.constraints)
    assert "differences identified by the data" in text
    assert "levels move at most 0.09" in text
    assert caught.value.share_of_draws == 1.0
    weights = [float(c.rsplit("<= ", 1)[1]) for c in caught.value.constraints]
    assert sum(weights) < 0
    fixed = join(range_restrictions(6), _differences_of_three())
    assert float(smallest_parameter(fixed, level_lipschitz((3, 1, 2), line(3), 1.0), 6)) == pytest.approx(0.1)
    by_bisection = feasible_range(
        lambda t: np.array(propagate(three_states(float(t)), 6, range_policy="condition").kept), 0.0, 1.0
    )
    assert float(by_bisection) == pytest.approx(0.1, abs=1e-9)
    with pytest.raises(InfeasibleRestrictionError):
        mcshane(np.array([0.6, np.nan, 0.2]), np.array([True, False, True]), line(3), 0.18)


def _differences_of_three():
    offsets = np.array([[[0.0, 0.6]], [[0.0, 0.0]], [[0.0, 0.2]]])
    return difference_restrictions(offsets, np.array([[[0, 0]], [[0, 1]], [[0, 0]]]))


@st.composite
def random_edges(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, count = draw(st.integers(2, 5)), draw(st.integers(0, 8))
    # A grid, zero included: weights of zero are restrictions, not missing edges.
    return n, [
        (int(i), int(j), float(w))
        for i, j, w in zip(
            rng.integers(0, n, count), rng.integers(0, n, count), rng.integers(-1, 4, count) / 8, strict=True
        )
    ]


def restrictions_of(n, edges, reward_range):
    head, tail, weight = (np.array([e[k] for e in edges]) for k in range(3))
    return join(range_restrictions(n, reward_range), pairwise(head.astype(int), tail.astype(int), weight, "random"))


@given(random_edges())
@settings(max_examples=40)
def test_shortest_paths_equal_linear_programs(case):
    n, edges = case
    reward_range = (-0.5, 0.75)
    restrictions = restrictions_of(n, edges, reward_range)
    d = propagate(restrictions, n, range_policy="condition")
    if lp_largest(np.zeros(n), edges, reward_range) is None:
        assert not bool(d.kept)
        assert np.isnan(d.upper).all()
        with pytest.raises(InfeasibleRestrictionError) as caught:
            propagate(restrictions, n)
        assert sum(float(c.rsplit("<= ", 1)[1]) for c in caught.value.constraints) < 0
        return
    assert bool(d.kept)
    eye = np.eye(n)
    for i in range(n):
        assert float(d.level_upper[i]) == pytest.approx(lp_largest(eye[i], edges, reward_range), abs=1e-8)
        assert float(d.level_lower[i]) == pytest.approx(-lp_largest(-eye[i], edges, reward_range), abs=1e-8)
        for j in range(n):
            assert float(d.upper[i, j]) == pytest.approx(lp_largest(eye[i] - eye[j], edges, reward_range), abs=1e-8)


@given(random_edges())
@settings(max_examples=60)
def test_potentials_are_worlds_that_attain_the_bounds(case):
    n, edges = case
    d = propagate(restrictions_of(n, edges, (-0.5, 0.75)), n, range_policy="condition")
    if not bool(d.kept):
        return
    for low in range(-1, n):
        world = witness(d.upper, low)
        assert (world >= -0.5 - 1e-12).all()
        assert (world <= 0.75 + 1e-12).all()
        assert all(world[i] - world[j] <= w + 1e-12 for i, j, w in edges)
        reference = 0.0 if low == -1 else world[low]
        np.testing.assert_allclose(world - reference, d.upper[:n, low], atol=1e-12)


def test_the_cycle_named_is_a_closed_walk_of_negative_length():
    rng = np.random.default_rng(27)
    for size in (1, 2, 3, 5):
        # A ring of negative length among edges that are all positive, in shuffled order.
        ring = rng.permutation(6)[:size]
        order = rng.permutation(size + 10)
        head = np.r_[np.roll(ring, -1), rng.integers(0, 6, 10)][order]
        tail = np.r_[ring, rng.integers(0, 6, 10)][order]
        weight = np.r_[np.full(size, 0.25), rng.uniform(1.5, 2.0, 10)]
        weight[0] = -0.25 * size
        weight = weight[order]
        cycle = negative_cycle(head, tail, weight, 6)
        assert len(cycle) == size
        assert weight[list(cycle)].sum() < 0
        assert [head[e] for e in cycle] == [tail[e] for e in (*cycle[1:], cycle[0])]
    assert negative_cycle(np.array([0, 1]), np.array([1, 0]), np.array([0.0, 0.0]), 2) == ()


def test_without_structure_propagation_equals_the_closed_form():
    rng = np.random.default_rng(20)
    offsets, component = rng.uniform(0, 1, (7, 2, 2, 4)), rng.integers(0, 3, (2, 2, 4))
    restrictions = join(range_restrictions(16), difference_restrictions(offsets, component))
    d = propagate(restrictions, 16)
    np.testing.assert_allclose(
        cell_differences(d.upper, (2, 2, 4)), difference_bounds(offsets, component).upper, atol=1e-12
    )
    levels = level_bounds(offsets, component)
    np.testing.assert_allclose(d.level_lower.reshape(offsets.shape), levels.lower, atol=1e-12)
    np.testing.assert_allclose(d.level_upper.reshape(offsets.shape), levels.upper, atol=1e-12)


def test_draws_that_refute_are_dropped_and_counted():
    offsets = np.zeros((4, 2, 1, 2))
    offsets[:, 0, 0, 1] = [0.1, 0.9, 0.2, 0.1]
    component = np.zeros((2, 1, 2), int)
    shape = (2, 1, 2)
    restrictions = join(
        range_restrictions(4), difference_restrictions(offsets, component), level_lipschitz(shape, line(2), 0.2)
    )
    d = propagate(restrictions, 4, range_policy="condition")
    assert d.kept.tolist() == [True, False, True, True]
    assert d.share_refuted == 0.25
    assert np.isnan(d.upper[1]).all()
    assert np.isfinite(d.upper[0]).all()
    assert "75.00%" in d.assumptions[-1]
    with pytest.raises(InfeasibleRestrictionError) as caught:
        propagate(restrictions, 4, shape=shape)
    assert caught.value.share_of_draws == 0.25
    assert "r(0, 0, 1)" in " ".join(caught.value.constraints)


def test_weaker_assumptions_never_narrow_the_set():
    rng = np.random.default_rng(21)
    truth = rng.uniform(0.3, 0.7, (20, 3, 2, 3))
    component = rng.integers(0, 2, (3, 2, 3))
    shape, n = (3, 2, 3), 18
    base = join(range_restrictions(n), difference_restrictions(truth, component))
    previous = None
    for slope, kappa in ((0.4, 0.4), (0.5, 0.4), (0.5, 0.6), (2.0, 2.0)):
        d = propagate(join(base, level_lipschitz(shape, line(3), slope), level_type_effect(shape, kappa)), n)
        if previous is not None:
            assert (d.upper >= previous - 1e-12).all()
        previous = d.upper
    np.testing.assert_allclose(previous, propagate(base, n).upper, atol=1e-12)


def test_noise_free_sets_contain_the_truth_in_every_world():
    rng = np.random.default_rng(22)
    kappa, slope = 0.2, 0.15
    common = rng.uniform(0.2, 0.5, (1000, 1, 1, 3))
    truth = (
        common
        + kappa * rng.uniform(0, 1, (1000, 1, 2, 3))
        + np.cumsum(slope * rng.uniform(0, 1, (1000, 2, 1, 3)), axis=1)
    )
    component = rng.integers(0, 2, (2, 2, 3))
    shape, n = (2, 2, 3), 12
    restrictions = join(
        range_restrictions(n),
        difference_restrictions(truth, component),
        level_lipschitz(shape, line(2), slope),
        level_type_effect(shape, kappa),
    )
    d = propagate(restrictions, n)
    flat = truth.reshape(1000, n)
    assert (flat[:, :, None] - flat[:, None, :] <= d.upper[:, :n, :n] + 1e-9).all()
    assert ((d.level_lower <= flat + 1e-9) & (flat <= d.level_upper + 1e-9)).all()


def test_an_item_order_signs_the_contrast():
    d = propagate(join(range_restrictions(4), item_order((2, 1, 2), better=1, worse=0, margin=0.1)), 4)
    assert float(-d.upper[0, 1]) == pytest.approx(0.1)
    with pytest.raises(InfeasibleRestrictionError):
        propagate(
            join(
                range_restrictions(4),
                item_order((2, 1, 2), better=1, worse=0),
                item_order((2, 1, 2), better=0, worse=1, margin=0.1),
            ),
            4,
        )


def test_no_type_effect_makes_types_one():
    offsets = np.array([[[0.0, 0.4], [0.0, 0.0]]])
    component = np.array([[[0, 0], [0, 1]]])
    shape = (1, 2, 2)
    d = propagate(
        join(range_restrictions(4), difference_restrictions(offsets, component), level_type_effect(shape, 0.0)), 4
    )
    within = cell_differences(d.upper, shape)
    assert float(within[0, 1, 1, 0]) == pytest.approx(0.4)
    assert float(-within[0, 1, 0, 1]) == pytest.approx(0.4)


def test_two_restrictions_on_one_pair_keep_the_tighter():
    for order in ((0.5, 0.2), (0.2, 0.5)):
        d = propagate(join(range_restrictions(2), pairwise([0, 0], [1, 1], list(order), "twice")), 2)
        assert float(d.upper[0, 1]) == 0.2


def test_mcshane_is_sharp_for_two_items_by_linear_program():
    rng = np.random.default_rng(23)
    for _ in range(20):
        n = 5
        rho = rng.integers(1, 6, (n, n)).astype(float)
        rho = np.triu(rho, 1) + np.triu(rho, 1).T
        slope = 0.125
        full = rng.uniform(-0.9, 0.9, 1) + np.zeros(n)
        seen = rng.uniform(size=n) < 0.5
        seen[0] = True
        known = np.where(seen, full + rng.integers(-4, 5, n) / 64, np.nan)
        b = mcshane(known, seen, rho, slope, range_policy="condition")
        rows, limit = [], []
        for s, t in combinations(range(n), 2):
            row = np.zeros(n)
            row[s], row[t] = 1, -1
            rows += [row, -row]
            limit += [slope * rho[s, t]] * 2
        bounds = [(float(v), float(v)) if m else (-1, 1) for v, m in zip(known, seen, strict=True)]
        for s in range(n):
            cost = np.eye(n)[s]
            low = linprog(cost, A_ub=rows, b_ub=limit, bounds=bounds)
            high = linprog(-cost, A_ub=rows, b_ub=limit, bounds=bounds)
            assert (low.status == 0) == bool(b.kept)
            if low.status == 0:
                assert (float(b.lower[s]), float(b.upper[s])) == pytest.approx((low.fun, -high.fun), abs=1e-8)


def test_mcshane_says_that_it_is_not_sharp_for_three_items():
    b = mcshane(np.array([0.6, np.nan]), np.array([True, False]), line(2), 0.1, n_items=3)
    assert not b.sharp
    assert any("not sharp" in text for text in b.assumptions)
    assert mcshane(np.array([0.6, np.nan]), np.array([True, False]), line(2), 0.1).sharp


def test_mcshane_drops_refuting_draws_and_ignores_values_of_unseen_states():
    d = np.array([[0.6, 99.0, 0.2], [0.9, -99.0, -0.9]])
    seen = np.array([True, False, True])
    b = mcshane(d, seen, line(3), 0.2, range_policy="condition")
    assert b.kept.tolist() == [True, False]
    assert b.share_refuted == 0.5
    assert np.isnan(b.lower[1]).all()
    np.testing.assert_allclose(b.smallest, [0.2, 0.9])


def test_oracle_11_additivity_fills_the_empty_quadrant():
    d = np.array([[0.5, 0.2], [0.4, np.nan]])
    b = additive(d, np.isfinite(d))
    assert (float(b.lower[1, 1]), float(b.upper[1, 1])) == pytest.approx((0.1, 0.1), abs=1e-12)
    assert b.identified.all()
    relaxed = additive(d, np.isfinite(d), eta=0.05)
    assert (float(relaxed.lower[1, 1]), float(relaxed.upper[1, 1])) == pytest.approx((0.05, 0.15), abs=1e-9)


@pytest.mark.parametrize("drop", [(0, 0), (0, 1), (1, 0)])
def test_oracle_11_dropping_any_cell_loses_identification(drop):
    d = np.array([[0.5, 0.2], [0.4, np.nan]])
    d[drop] = np.nan
    b = additive(d, np.isfinite(d))
    assert not b.identified[1, 1]
    assert float(b.upper[1, 1] - b.lower[1, 1]) > 0.5


def additive_lp(d, seen, width):
    """Ends of every cell over f(s) + g(c) with observed cells fixed and all cells in the range."""
    n, m = d.shape
    rows = np.array([np.r_[np.eye(n)[s], np.eye(m)[c]] for s in range(n) for c in range(m)])
    fixed = seen.ravel()
    ends = np.empty((2, n * m))
    for i, row in enumerate(rows):
        for side, sign in enumerate((1, -1)):
            result = linprog(
                sign * row,
                A_ub=np.r_[rows, -rows],
                b_ub=np.full(2 * n * m, width),
                A_eq=rows[fixed] if fixed.any() else None,
                b_eq=d.ravel()[fixed] if fixed.any() else None,
                bounds=[(None, None)] * (n + m),
            )
            if result.status == 2:
                return None
            ends[side, i] = sign * result.fun
    return ends.reshape(2, n, m)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=40)
def test_additive_bounds_equal_linear_programs(seed, n, m):
    rng = np.random.default_rng(seed)
    truth = rng.integers(-5, 6, (n, 1)) / 16 + rng.integers(-5, 6, (1, m)) / 16
    seen = rng.uniform(size=(n, m)) < 0.5
    d = np.where(seen, truth, np.nan)
    width = 0.75
    b = additive(d, seen, reward_width=width, range_policy="condition")
    expected = additive_lp(np.nan_to_num(d), seen, width)
    if expected is None:
        assert not bool(b.kept)
        return
    np.testing.assert_allclose(np.stack([b.lower, b.upper]), expected, atol=1e-8)
    assert ((b.lower <= truth + 1e-9) & (truth <= b.upper + 1e-9)).all() or np.abs(truth).max() > width
    np.testing.assert_allclose(b.lower[b.identified], truth[b.identified], atol=1e-9)


def test_additivity_is_refuted_by_interaction_and_the_misfit_says_by_how_much():
    d = np.array([[[0.5, 0.2], [0.4, 0.1]], [[0.5, 0.2], [0.4, 0.4]]])
    seen = np.ones((2, 2), bool)
    with pytest.raises(InfeasibleRestrictionError) as caught:
        additive(d, seen)
    assert caught.value.share_of_draws == 0.5
    b = additive(d, seen, range_policy="condition")
    assert b.kept.tolist() == [True, False]
    np.testing.assert_allclose(b.misfit, [0.0, 0.3], atol=1e-12)
    assert np.isnan(b.lower[1]).all()
    np.testing.assert_allclose(smallest_interaction(d, seen), [0.0, 0.3], atol=1e-9)
    assert additive(d, seen, eta=0.3 + 1e-9).kept.all()
    assert not additive(d, seen, eta=0.29, range_policy="condition").kept[1]


def test_relaxed_additivity_nests_and_ends_at_the_range():
    d = np.array([[0.5, 0.2, np.nan], [0.4, np.nan, 0.3]])
    seen = np.isfinite(d)
    previous = additive(d, seen)
    for eta in (0.05, 0.2, 0.5, 4.0):
        b = additive(d, seen, eta=eta)
        assert (b.lower <= previous.lower + 1e-9).all()
        assert (b.upper >= previous.upper - 1e-9).all()
        previous = b
    np.testing.assert_allclose((previous.lower[~seen], previous.upper[~seen]), ([-1, -1], [1, 1]))


def test_smallest_interaction_is_where_relaxed_additivity_begins():
    rng = np.random.default_rng(26)
    d = rng.uniform(-0.6, 0.6, (4, 3, 3))
    seen = np.ones((3, 3), bool)
    seen[2, 0] = seen[0, 1] = False
    smallest = smallest_interaction(d, seen)
    assert (smallest > 0.01).all()
    for draw, eta in zip(d, smallest, strict=True):
        assert bool(additive(draw, seen, eta=float(eta) + 1e-6).kept)
        assert not bool(additive(draw, seen, eta=float(eta) - 1e-6, range_policy="condition").kept)
    assert float(smallest_interaction(np.array([[1.5, 0.0], [0.0, 0.0]]), np.ones((2, 2), bool))) == np.inf


def test_draws_of_unseen_cells_do_not_touch_additive_or_rank_one_values():
    rng = np.random.default_rng(24)
    seen = np.array([[True, True], [True, False]])
    d = rng.uniform(0.2, 0.5, (5, 2, 2))
    other = np.where(seen, d, rng.normal(size=d.shape))
    np.testing.assert_array_equal(additive(d, seen).lower, additive(other, seen).lower)
    np.testing.assert_array_equal(rank_one(d, seen).value, rank_one(other, seen).value)


def test_rank_one_recovers_products_and_refuses_small_denominators():
    rng = np.random.default_rng(25)
    truth = rng.uniform(0.3, 0.9, (10, 4, 1)) * rng.uniform(0.3, 0.9, (10, 1, 3))
    seen = np.ones((4, 3), bool)
    seen[1, 2] = seen[3, 0] = False
    r = rank_one(np.where(seen, truth, np.nan), seen)
    np.testing.assert_allclose(r.value, truth, rtol=1e-12)
    np.testing.assert_allclose(r.spread, 0, atol=1e-12)
    np.testing.assert_array_equal(r.assumed, ~seen)
    small = rank_one(np.array([[0.01, 0.2], [0.6, np.nan]]), np.array([[True, True], [True, False]]), floor=0.05)
    assert np.isnan(small.value[1, 1])
    assert np.isnan(small.spread[1, 1])
    lonely = rank_one(np.array([[0.4, np.nan], [np.nan, np.nan]]), np.array([[True, False], [False, False]]))
    assert np.isnan(lonely.value[0, 1])
    conflict = rank_one(np.array([[0.4, 0.2], [0.6, np.nan], [0.4, 0.4]]), np.array([[1, 1], [1, 0], [1, 1]], bool))
    assert float(conflict.spread[1, 1]) == pytest.approx(0.3)


def test_breakdown_is_found_per_draw_and_marks_its_ends():
    limits = np.array([-0.5, 0.25, 0.6, 5.0])
    found = breakdown(lambda t: np.maximum(0.0, t - limits), 0.0, 1.0)
    np.testing.assert_allclose(found.parameter, [np.nan, 0.25, 0.6, np.inf], atol=1e-8)
    clash = breakdown(lambda t: np.where(t < 0.1, np.nan, np.maximum(0.0, t - limits)), 0.0, 1.0)
    np.testing.assert_allclose(clash.parameter[1:3], [0.25, 0.6], atol=1e-8)
    hopeless = breakdown(lambda t: np.full(np.shape(t), np.nan), 0.0, 1.0)
    assert np.isnan(hopeless.parameter)
    with pytest.raises(ValueError, match="falls"):
        breakdown(lambda t: 1.0 - t, 0.0, 1.0)
    with pytest.raises(ValueError, match="low, high"):
        breakdown(lambda t: t, 1.0, 0.0)
    found = feasible_range(lambda t: t >= np.array([-1.0, 0.4, 3.0]), 0.0, 1.0)
    np.testing.assert_allclose(found, [0.0, 0.4, np.inf], atol=1e-9)


def test_smallest_parameter_per_draw_equals_the_closed_form():
    gaps = np.array([0.1, 0.5, 0.9])
    fixed = join(range_restrictions(2), pairwise([1], [0], -gaps[:, None], "gap"))
    scaled = pairwise([0, 1], [1, 0], [2.0, 2.0], "close")
    np.testing.assert_allclose(smallest_parameter(fixed, scaled, 2), gaps / 2, atol=1e-9)
    impossible = join(range_restrictions(2), pairwise([1], [0], [-2.0], "gap"))
    assert float(smallest_parameter(impossible, scaled, 2)) == np.inf


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pairwise([0], [1, 2], [0.1], "x"), ValueError, "head, tail, weight"),
        (lambda: pairwise([0.5], [1], [0.1], "x"), TypeError, "integers"),
        (lambda: pairwise([0], [1], [np.nan], "x"), ValueError, "weight: must not be NaN"),
        (lambda: join(), ValueError, "at least one"),
        (lambda: propagate(pairwise([5], [1], [0.1], "x"), 2), ValueError, "head: nodes must lie"),
        (lambda: level_lipschitz((2, 1, 2), np.zeros((3, 3)), 0.1), ValueError, "distance: needs shape"),
        (lambda: level_lipschitz((2, 1, 2), np.zeros((2, 2)), -0.1), ValueError, "lipschitz: must be >= 0"),
        (lambda: level_type_effect((1, 2, 1), np.nan), ValueError, "kappa"),
        (lambda: difference_restrictions(np.zeros((2, 3)), np.zeros((2, 3), int)), ValueError, "offsets"),
        (lambda: mcshane(np.zeros(2), np.ones(2, bool), np.array([[0, 1], [2, 0]]), 0.1), ValueError, "symmetric"),
        (
            lambda: mcshane(np.array([np.nan]), np.ones(1, bool), np.zeros((1, 1)), 0.1),
            ValueError,
            "finite in observed",
        ),
        (lambda: additive(np.zeros((2, 2)), np.ones((2, 3), bool)), ValueError, "observed: must be"),
        (lambda: additive(np.zeros((2, 2)), np.ones((2, 2), bool), eta=-1), ValueError, "eta"),
        (lambda: rank_one(np.zeros((2, 2)), np.ones((2, 2), bool), floor=0.0), ValueError, "floor"),
    ],
)
def test_broken_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
