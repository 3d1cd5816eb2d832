"""Exact regret and welfare under coupling against one robust linear program written out by duality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from bayespref.bounds.coupled import (
    as_table,
    clashing_rows,
    contrast_lipschitz,
    contrast_type_effect,
    coupled_minimax_regret,
    interaction,
    linear_bounds,
    rows_of,
    smallest_factor,
    stack,
)
from bayespref.bounds.regret import minimax_from_offsets, minimax_regret, regret_matrix, welfare_bounds
from bayespref.bounds.structure import (
    additive,
    breakdown,
    cell_differences,
    difference_restrictions,
    join,
    level_lipschitz,
    level_type_effect,
    mcshane,
    pairwise,
    propagate,
    range_restrictions,
)
from bayespref.errors import InfeasibleRestrictionError


def robust_lp(matrix, limit, weights, shape, state, low, high):
    """Minimax regret as one linear program: the worst world of each alternative is replaced by its dual."""
    n_rows, size = matrix.shape
    n_items = shape[2]
    welfare = np.zeros((n_items, *shape))
    for a in range(n_items):
        welfare[a, state, :, a] = weights
    welfare = welfare.reshape(n_items, size)
    # Variables: policy, t, then per alternative y (rows), u (upper ends), v (lower ends).
    block = n_rows + 2 * size
    total = n_items + 1 + n_items * block
    equal, equal_to, less, less_than = [], [], [], []
    for b in range(n_items):
        at = n_items + 1 + b * block
        for k in range(size):
            row = np.zeros(total)
            row[:n_items] = welfare[:, k]
            row[at : at + n_rows] = matrix[:, k]
            row[at + n_rows + k], row[at + n_rows + size + k] = 1, -1
            equal.append(row)
            equal_to.append(welfare[b, k])
        row = np.zeros(total)
        row[n_items] = -1
        row[at : at + n_rows] = limit
        row[at + n_rows : at + n_rows + size] = high
        row[at + n_rows + size : at + block] = -low
        less.append(row)
        less_than.append(0.0)
    row = np.zeros(total)
    row[:n_items] = 1
    equal.append(row)
    equal_to.append(1.0)
    cost = np.zeros(total)
    cost[n_items] = 1
    bounds = [(0, None)] * n_items + [(None, None)] + [(0, None)] * (n_items * block)
    result = linprog(cost, A_ub=less, b_ub=less_than, A_eq=equal, b_eq=equal_to, bounds=bounds)
    assert result.status == 0
    return result.fun


@st.composite
def tied_states(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(2, 3)))
    common = rng.integers(16, 48, (1, 1, shape[2])) / 64
    truth = common + rng.integers(-6, 7, shape) / 64
    component = rng.integers(0, 2, shape)
    kind = draw(st.sampled_from(["levels", "contrasts", "types", "interaction"]))
    gap = draw(st.sampled_from([0.1875, 0.375, 0.75]))
    distance = 1.0 - np.eye(shape[0])
    if kind == "levels":
        extra = rows_of(join(level_lipschitz(shape, distance, gap), level_type_effect(shape, gap)), int(np.prod(shape)))
    elif kind == "contrasts":
        extra = contrast_lipschitz(shape, distance, 2 * gap)
    elif kind == "types":
        extra = contrast_type_effect(shape, 2 * gap)
    else:
        extra = interaction(shape, 4 * gap)
    data = rows_of(difference_restrictions(truth, component), int(np.prod(shape)))
    # Sixty-fourths: HiGHS leaves reduced costs below 1e-7 alone, so smaller weights would test its tolerance.
    weights = rng.multinomial(64, rng.dirichlet(np.ones(shape[1]))) / 64
    return truth, component, stack(data, extra), weights, shape


@given(tied_states())
@settings(max_examples=40)
def test_alternating_programs_reach_the_robust_linear_program(case):
    _, _, rows, weights, shape = case
    v = coupled_minimax_regret(rows, weights, shape, 0)
    expected = robust_lp(rows.matrix.toarray(), rows.limit, weights, shape, 0, 0.0, 1.0)
    assert float(v.value) == pytest.approx(expected, abs=1e-7)
    assert -1e-12 <= float(v.gap) <= 1e-9
    worst = []
    for alternative in np.eye(shape[2]):
        objective = np.zeros(shape)
        objective[0] = np.outer(weights, alternative - v.policy)
        result = linprog(-objective.ravel(), A_ub=rows.matrix.toarray(), b_ub=rows.limit, bounds=(0, 1))
        worst.append(-result.fun)
    assert max(worst) == pytest.approx(float(v.value), abs=1e-7)
    assert v.sharp


@given(tied_states())
@settings(max_examples=40)
def test_the_worlds_returned_prove_the_lower_bound(case):
    _, _, rows, weights, shape = case
    v = coupled_minimax_regret(rows, weights, shape, 0)
    worlds, mix = v.worlds[0], v.weights[0]
    if not len(worlds):
        assert float(v.value) <= 1e-9
        return
    assert mix.sum() == pytest.approx(1.0)
    regret = np.zeros(shape[2])
    for world, favoured, share in zip(worlds, v.alternatives[0], mix, strict=True):
        assert (rows.matrix @ world.ravel() <= rows.limit + 1e-8).all()
        assert ((world >= -1e-9) & (world <= 1 + 1e-9)).all()
        value = weights @ world[0]
        regret += share * (value[favoured] - value)
    assert max(regret.min(), 0.0) >= float(v.value - v.gap) - 1e-9
    assert as_table(worlds.reshape(len(worlds), -1), shape).shape == worlds.shape


def test_without_coupling_the_exact_value_is_the_matrix_game():
    rng = np.random.default_rng(30)
    offsets, component = rng.uniform(0, 1, (6, 1, 2, 4)), rng.integers(0, 3, (1, 2, 4))
    weights = np.array([0.3, 0.7])
    rows = rows_of(difference_restrictions(offsets, component), 8)
    v = coupled_minimax_regret(rows, weights, (1, 2, 4), 0)
    game, _ = minimax_from_offsets(offsets, component, weights[None])
    np.testing.assert_allclose(v.value, game.value[:, 0], atol=1e-8)
    assert v.value.shape == (6,)
    assert len(v.worlds) == 6


def test_the_matrix_game_of_tied_types_is_an_upper_bound():
    rng = np.random.default_rng(35)
    shape, weights = (1, 2, 3), np.array([0.4, 0.6])
    for _ in range(10):
        truth = rng.uniform(0.3, 0.7, shape)
        component = rng.integers(0, 3, shape)
        restrictions = join(
            range_restrictions(6), difference_restrictions(truth, component), level_type_effect(shape, 0.45)
        )
        d = propagate(restrictions, 6)
        game = minimax_regret(regret_matrix(cell_differences(d.upper, shape)[0], weights), coupled=True)
        exact = coupled_minimax_regret(rows_of(restrictions, 6), weights, shape, 0)
        assert float(exact.value) <= float(game.value) + 1e-9
        assert not game.sharp


def test_a_strict_gap_between_game_and_exact_value_exists():
    rng = np.random.default_rng(31)
    shape, weights = (1, 2, 3), np.array([0.5, 0.5])
    strict = 0
    for _ in range(10):
        # d(a, b) per type unknown, but its sum over types is limited: types are tied against each other.
        total = rng.uniform(0.1, 0.6)
        matrix = np.array([[1.0, -1, 0, 1, -1, 0], [0, 1, -1, 0, 1, -1]])
        rows = contrast_type_effect(shape, 2.0)
        rows = rows._replace(
            matrix=type(rows.matrix)(matrix), limit=np.full(2, total), kind=np.zeros(2, int), names=("sums",)
        )
        exact = coupled_minimax_regret(rows, weights, shape, 0)
        upper = np.empty((2, 3, 3))
        for c in range(2):
            for a in range(3):
                for b in range(3):
                    objective = np.zeros(shape)
                    objective[0, c, a] += 1
                    objective[0, c, b] -= 1
                    upper[c, a, b] = float(linear_bounds(objective, rows).upper)
        game = float(minimax_regret(regret_matrix(upper, weights)).value)
        expected = robust_lp(matrix, rows.limit, weights, shape, 0, 0.0, 1.0)
        assert float(exact.value) == pytest.approx(expected, abs=1e-7)
        assert float(exact.value) <= game + 1e-9
        strict += float(exact.value) < game - 1e-3
    assert strict >= 5


def test_welfare_without_coupling_equals_the_closed_form():
    rng = np.random.default_rng(32)
    shape = (2, 2, 3)
    offsets, component = rng.uniform(0, 1, (5, *shape)), rng.integers(0, 2, shape)
    q, weights = rng.normal(size=(2, 3)), rng.dirichlet(np.ones(4)).reshape(2, 2)
    rows = rows_of(difference_restrictions(offsets, component), 12)
    b = linear_bounds(weights[..., None] * q[:, None, :], rows)
    w = welfare_bounds(offsets, component, q, weights)
    np.testing.assert_allclose(b.lower, w.lower, atol=1e-8)
    np.testing.assert_allclose(b.upper, w.upper, atol=1e-8)
    objective = (weights[..., None] * q[:, None, :]).ravel()
    np.testing.assert_allclose(b.world_upper @ objective, b.upper, atol=1e-9)
    np.testing.assert_allclose(b.world_lower @ objective, b.lower, atol=1e-9)


def test_level_restrictions_give_the_same_differences_by_program_and_by_paths():
    rng = np.random.default_rng(33)
    shape = (2, 1, 2)
    for _ in range(5):
        truth = rng.uniform(0.3, 0.7, shape)
        component = np.array([[[0, 0]], [[0, 1]]])
        restrictions = join(
            range_restrictions(4), difference_restrictions(truth, component), level_lipschitz(shape, 1 - np.eye(2), 0.2)
        )
        d = propagate(restrictions, 4)
        b = linear_bounds(np.array([0.0, 0, -1, 1]), rows_of(restrictions, 4))
        assert (float(b.lower), float(b.upper)) == pytest.approx(
            (-float(d.upper[2, 3]), float(d.upper[3, 2])), abs=1e-8
        )


def test_contrast_lipschitz_equals_mcshane_for_two_items_and_beats_it_for_three():
    rho = np.abs(np.subtract.outer(np.arange(3.0), np.arange(3.0)))
    offsets = np.array([[[0.0, 0.6]], [[0.0, 0.0]], [[0.0, 0.2]]])
    component = np.array([[[0, 0]], [[0, 1]], [[0, 0]]])
    rows = stack(rows_of(difference_restrictions(offsets, component), 6), contrast_lipschitz((3, 1, 2), rho, 0.3))
    b = linear_bounds(np.array([0.0, 0, -1, 1, 0, 0]), rows)
    m = mcshane(np.array([0.6, np.nan, 0.2]), np.array([True, False, True]), rho, 0.3)
    assert (float(b.lower), float(b.upper)) == pytest.approx((float(m.lower[1]), float(m.upper[1])), abs=1e-8)


def test_mcshane_trap_intervals_of_three_items_can_be_non_empty_while_no_world_exists():
    rho = np.full((4, 4), np.inf)
    rho[3, :3] = rho[:3, 3] = 1.0
    np.fill_diagonal(rho, 0.0)
    # State k observes one pair only: d(1,0) = .5, d(2,1) = .5, d(2,0) = .1 and L = .2.
    pairs, values = [(1, 0), (2, 1), (2, 0)], [0.5, 0.5, 0.1]
    slope = 0.2
    shape = (4, 1, 3)
    component = np.zeros((4, 1, 3), int)
    offsets = np.zeros((4, 1, 3))
    for k, ((a, b), v) in enumerate(zip(pairs, values, strict=True)):
        component[k, 0] = [7, 8, 9]
        component[k, 0, [a, b]] = 0
        offsets[k, 0, a] = v
    component[3, 0] = [0, 1, 2]
    for k, ((a, b), v) in enumerate(zip(pairs, values, strict=True)):
        d = np.full(4, np.nan)
        d[k] = v
        m = mcshane(d, np.arange(4) == k, rho, slope, n_items=3)
        assert float(m.lower[3]) <= float(m.upper[3])
        assert not m.sharp
        assert (a, b) in pairs
    rows = stack(rows_of(difference_restrictions(offsets, component), 12), contrast_lipschitz(shape, rho, slope))
    with pytest.raises(InfeasibleRestrictionError) as caught:
        linear_bounds(np.eye(12)[10] - np.eye(12)[9], rows)
    assert any("differences move at most 0.2" in text for text in caught.value.constraints)
    loose = stack(rows_of(difference_restrictions(offsets, component), 12), contrast_lipschitz(shape, rho, 0.3))
    assert np.isfinite(linear_bounds(np.eye(12)[10] - np.eye(12)[9], loose).lower)


def test_interaction_rows_agree_with_relaxed_additivity_for_two_items():
    d = np.array([[0.5, 0.2], [0.4, np.nan]])
    seen = np.isfinite(d)
    offsets = np.stack([np.zeros((2, 2)), np.nan_to_num(d)], axis=-1)
    component = np.stack([np.zeros((2, 2), int), np.where(seen, 0, 1)], axis=-1)
    for eta in (0.05, 0.3, 1.2):
        rows = stack(rows_of(difference_restrictions(offsets, component), 8), interaction((2, 2, 2), eta))
        b = linear_bounds(np.array([0.0, 0, 0, 0, 0, 0, -1, 1]), rows)
        a = additive(d, seen, eta=eta)
        assert (float(b.lower), float(b.upper)) == pytest.approx((float(a.lower[1, 1]), float(a.upper[1, 1])), abs=1e-8)


def test_regret_grows_as_assumptions_weaken():
    rng = np.random.default_rng(34)
    shape, weights = (1, 2, 3), np.array([0.6, 0.4])
    truth = rng.uniform(0.2, 0.8, (4, *shape))
    component = np.array([[[0, 0, 0], [0, 1, 2]]])
    data = rows_of(difference_restrictions(truth, component), 6)
    previous = np.full(4, -np.inf)
    for kappa in (0.0, 0.2, 0.5, 1.0, 2.0):
        v = coupled_minimax_regret(stack(data, contrast_type_effect(shape, kappa)), weights, shape, 0)
        assert (v.value >= previous - 1e-9).all()
        previous = v.value
    free = coupled_minimax_regret(data, weights, shape, 0)
    np.testing.assert_allclose(previous, free.value, atol=1e-8)
    pinned = coupled_minimax_regret(stack(data, contrast_type_effect(shape, 0.0)), weights, shape, 0)
    np.testing.assert_allclose(pinned.value, 0.0, atol=1e-9)


def test_breakdown_of_the_type_effect_where_regret_begins():
    # Type 0 (weight .6) has d = .2, type 1 (weight .4) is within kappa: .6 * .2 + .4 * (.2 - kappa) >= 0 up to .5.
    shape, weights = (1, 2, 2), np.array([0.6, 0.4])
    component = np.array([[[0, 0], [0, 1]]])
    data = rows_of(difference_restrictions(np.array([[[0.0, 0.2], [0.0, 0.0]]]), component), 4)

    def value(kappa):
        rows = stack(data, contrast_type_effect(shape, float(kappa)))
        return coupled_minimax_regret(rows, weights, shape, 0).value

    found = breakdown(value, 0.0, 2.0, steps=30)
    assert float(found.parameter) == pytest.approx(0.5, abs=1e-6)
    # The same exactly: the smallest kappa at which the weighted contrast may be zero.
    flip = data._replace(
        matrix=sparse.csr_array(np.array([[-0.6, 0.6, -0.4, 0.4]])),
        limit=np.zeros(1),
        kind=np.zeros(1, int),
        names=("no better on average",),
    )
    exact = smallest_factor(stack(data, flip), contrast_type_effect(shape, 1.0))
    assert float(exact) == pytest.approx(0.5, abs=1e-9)


def test_smallest_factor_per_draw_equals_the_largest_gap_between_types():
    rng = np.random.default_rng(36)
    shape = (1, 2, 3)
    truth = rng.uniform(0.1, 0.9, (5, *shape))
    data = rows_of(difference_restrictions(truth, np.zeros(shape, int)), 6)
    d = truth[..., :, None] - truth[..., None, :]
    gaps = np.abs(d[:, 0, 0] - d[:, 0, 1]).max(axis=(1, 2))
    np.testing.assert_allclose(smallest_factor(data, contrast_type_effect(shape, 1.0)), gaps, atol=1e-8)
    impossible = rows_of(pairwise([0], [1], [-2.0], "far below"), 6)
    assert float(smallest_factor(impossible, contrast_type_effect(shape, 1.0))) == np.inf


def test_clashes_are_named_and_counted():
    offsets = np.array([[[[0.0, 0.1]], [[0.0, 0.2]]], [[[0.0, 0.9]], [[0.0, 0.1]]]])
    shape = (2, 1, 2)
    rows = stack(
        rows_of(difference_restrictions(offsets, np.zeros(shape, int)), 4),
        contrast_lipschitz(shape, 1 - np.eye(2), 0.3),
    )
    for call in (
        lambda policy: linear_bounds(np.ones(4), rows, range_policy=policy),
        lambda policy: coupled_minimax_regret(rows, np.array([1.0]), shape, 0, range_policy=policy),
    ):
        with pytest.raises(InfeasibleRestrictionError) as caught:
            call("raise")
        assert caught.value.share_of_draws == 0.5
        text = " ".join(caught.value.constraints)
        assert "differences identified by the data" in text
        assert "differences move at most 0.3" in text
        result = call("condition")
        assert result.kept.tolist() == [True, False]
        assert result.share_refuted == 0.5
    assert clashing_rows(rows, rows.limit[0], (0.0, 1.0)) == ()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: linear_bounds(np.ones(3), contrast_type_effect((1, 2, 2), 0.1)), "rows: have 4 cells"),
        (lambda: linear_bounds(np.full(4, np.nan), contrast_type_effect((1, 2, 2), 0.1)), "objective: must be finite"),
        (lambda: contrast_type_effect((1, 2, 2), -0.1), "kappa"),
        (lambda: contrast_lipschitz((2, 1, 2), np.zeros((1, 1)), 0.1), "distance"),
        (lambda: interaction((2, 2, 2), np.nan), "eta"),
        (lambda: stack(), "at least one"),
        (
            lambda: coupled_minimax_regret(contrast_type_effect((1, 2, 2), 0.1), np.array([0.5, 0.5]), (1, 2, 2), 1),
            "state: must lie",
        ),
        (
            lambda: coupled_minimax_regret(contrast_type_effect((1, 2, 2), 0.1), np.array([0.5, 0.6]), (1, 2, 2), 0),
            "type_weights",
        ),
    ],
)
def test_broken_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
