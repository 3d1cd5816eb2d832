"""Regret, welfare and certificates against linear programs over reward tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from bayespref.bounds import games
from bayespref.bounds.identified import difference_bounds, level_bounds
from bayespref.bounds.regret import (
    gamma_minimax,
    maximin,
    minimax_from_offsets,
    minimax_regret,
    policy_lower_bound,
    regret_from_offsets,
    regret_matrix,
    robust_improvement,
    two_world_certificate,
    type_aware_regret,
    welfare_bounds,
)
from bayespref.errors import RangeRefutedError, TargetMixError


def world_lp(objective, offsets, component, reward_range):
    """Largest ``objective . r`` over reward tables of shape (C, A) that fit the components and the range."""
    n_types, n_items = offsets.shape
    rows, right = [], []
    for c in range(n_types):
        for a in range(n_items):
            for b in range(a):
                if component[c, a] == component[c, b]:
                    row = np.zeros((n_types, n_items))
                    row[c, a], row[c, b] = 1, -1
                    rows.append(row.ravel())
                    right.append(offsets[c, a] - offsets[c, b])
    equal = {"A_eq": np.array(rows), "b_eq": right} if rows else {}
    result = linprog(-np.ravel(objective), bounds=[reward_range] * (n_types * n_items), method="highs", **equal)
    assert result.status == 0
    return -result.fun


def lp_regret(policy, offsets, component, weights, reward_range):
    """Largest regret of a policy over worlds and alternatives."""
    best = -np.inf
    for alternative in np.eye(offsets.shape[1]):
        best = max(best, world_lp(np.outer(weights, alternative - policy), offsets, component, reward_range))
    return best


def matrix_of(differences, weights):
    """Regret matrix of a two-action state from bounds on d = r1 - r0 per type."""
    upper = np.array([[[0.0, -low], [high, 0.0]] for low, high in differences])
    return regret_matrix(upper, np.array(weights, float))


@st.composite
def states(draw, max_items=4, max_types=3):
    n_items, n_types = draw(st.integers(2, max_items)), draw(st.integers(1, max_types))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    component = rng.integers(0, draw(st.integers(1, 4)), (n_types, n_items))
    offsets = np.round(rng.uniform(0, 1, (n_types, n_items)), 3)
    # Sixty-fourths: HiGHS leaves reduced costs below 1e-7 alone, so smaller weights would test its tolerance.
    weights = rng.multinomial(64, rng.dirichlet(np.ones(n_types))) / 64
    policy = rng.multinomial(64, rng.dirichlet(np.full(n_items, draw(st.sampled_from([0.1, 1.0]))))) / 64
    return offsets, component, weights, policy, (-0.2, 1.1)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_oracle_3_no_data_gives_the_uniform_policy_and_one_minus_one_over_n(n):
    upper = difference_bounds(np.zeros((1, n)), np.arange(n)[None]).upper
    v = minimax_regret(regret_matrix(upper, np.array([1.0])))
    assert float(v.value) == pytest.approx(1 - 1 / n, abs=1e-12)
    np.testing.assert_allclose(v.policy, 1 / n, atol=1e-12)
    assert float(v.pure_value) == 1.0


def test_oracle_4_two_actions():
    v = minimax_regret(matrix_of([(-0.3, 0.6)], [1.0]))
    assert float(v.policy[1]) == pytest.approx(2 / 3, abs=1e-12)
    assert float(v.value) == pytest.approx(0.2, abs=1e-12)
    assert float(v.pure_value) == pytest.approx(0.3, abs=1e-12)
    assert int(v.pure_action) == 1


@pytest.mark.parametrize(("d", "value", "play"), [(0.8, 0.0, 1.0), (0.2, 0.182, 0.65), (0.0, 0.2, 0.5)])
def test_oracle_5_an_identified_type_can_settle_an_unseen_one(d, value, play):
    v = minimax_regret(matrix_of([(d, d), (-1, 1)], [0.6, 0.4]))
    assert float(v.value) == pytest.approx(value, abs=1e-12)
    assert float(v.policy[1]) == pytest.approx(play, abs=1e-12)


def test_oracle_6_a_pair_and_an_isolated_item():
    offsets, component = np.array([[0.0, 0.5, 0.0]]), np.array([[0, 0, 1]])
    matrix, _ = regret_from_offsets(offsets, component, np.array([1.0]))
    np.testing.assert_allclose(matrix, [[0, -0.5, 0.5], [0.5, 0, 1], [1, 0.5, 0]], atol=1e-15)
    v = minimax_regret(matrix)
    assert float(v.value) == pytest.approx(1 / 3, abs=1e-12)
    np.testing.assert_allclose(v.policy, [0, 2 / 3, 1 / 3], atol=1e-12)
    np.testing.assert_allclose(v.weights, [0, 1 / 3, 2 / 3], atol=1e-12)
    best = maximin(level_bounds(offsets, component).lower, np.array([1.0]))
    assert int(best.action) == 1
    assert best.tied.tolist() == [False, True, False]


def test_oracle_7_two_states_two_types():
    p_te = np.array([[0.3, 0.2], [0.4, 0.1]])
    offsets = np.array([[[0, 0.4], [0, 0]], [[0.2, 0], [0, 0.6]]])
    component = np.array([[[0, 0], [0, 1]], [[0, 0], [0, 0]]])
    play = np.array([[0.0, 1.0], [0.0, 1.0]])
    w = welfare_bounds(offsets, component, play, p_te)
    assert (float(w.lower), float(w.upper)) == pytest.approx((0.18, 0.92), abs=1e-12)
    contrast = welfare_bounds(offsets, component, np.array([[-1.0, 1.0]] * 2), p_te)
    assert (float(contrast.lower), float(contrast.upper)) == pytest.approx((-0.10, 0.30), abs=1e-12)
    v, _ = minimax_from_offsets(offsets, component, p_te)
    np.testing.assert_allclose(v.value, [0.064, 0], atol=1e-12)
    assert float(v.policy[0, 1]) == pytest.approx(0.8, abs=1e-12)
    np.testing.assert_allclose(v.pure_value, [0.08, 0], atol=1e-12)
    per_state, _ = minimax_from_offsets(offsets, component, p_te / p_te.sum(1, keepdims=True))
    assert float(per_state.value[0]) == pytest.approx(0.128, abs=1e-12)


@pytest.mark.parametrize(("q", "regret"), [(0.0, 0.2), (0.25, 0.15), (0.5, 0.1)])
def test_oracle_8_a_fair_coin_halves_the_loss_and_nothing_does_better(q, regret):
    delta = 0.2
    matrix, _ = regret_from_offsets(np.zeros((1, 2)), np.array([[0, 1]]), np.array([delta]))
    assert float((matrix @ [1 - q, q]).max()) == pytest.approx(regret, abs=1e-15)
    assert float(minimax_regret(matrix).value) == pytest.approx(delta / 2, abs=1e-15)


@given(states())
@settings(max_examples=60)
def test_g_times_policy_is_the_largest_regret_of_all_worlds(state):
    offsets, component, weights, policy, reward_range = state
    matrix, _ = regret_from_offsets(offsets, component, weights, reward_range)
    assert float((matrix @ policy).max()) == pytest.approx(
        lp_regret(policy, offsets, component, weights, reward_range), abs=1e-8
    )


@given(states())
@settings(max_examples=40)
def test_minimax_policy_beats_other_policies_in_the_worst_world(state):
    offsets, component, weights, policy, reward_range = state
    v, _ = minimax_from_offsets(offsets, component, weights, reward_range)
    assert float(v.value) == pytest.approx(lp_regret(v.policy, offsets, component, weights, reward_range), abs=1e-8)
    assert float(v.value) <= lp_regret(policy, offsets, component, weights, reward_range) + 1e-8
    assert float(v.value) <= float(v.pure_value) + 1e-12
    pure = [lp_regret(a, offsets, component, weights, reward_range) for a in np.eye(offsets.shape[1])]
    assert float(v.pure_value) == pytest.approx(min(pure), abs=1e-8)


@given(states())
@settings(max_examples=60)
def test_dual_worlds_prove_the_value_for_every_policy(state):
    offsets, component, weights, policy, reward_range = state
    v, _ = minimax_from_offsets(offsets, component, weights, reward_range)
    proof = policy_lower_bound(offsets, component, weights, v.weights, reward_range)
    # Everything below uses the worlds only.
    mean_regret = np.zeros(offsets.shape[1])
    for b, world in enumerate(proof.worlds):
        assert (world >= reward_range[0] - 1e-12).all()
        assert (world <= reward_range[1] + 1e-12).all()
        for c in range(len(weights)):
            same = component[c][:, None] == component[c][None, :]
            gaps = world[c][:, None] - world[c][None, :] - (offsets[c][:, None] - offsets[c][None, :])
            assert np.abs(gaps[same]).max() < 1e-12
        value = weights @ world
        mean_regret += v.weights[b] * (value.max() - value)
    assert mean_regret.min() >= float(v.value) - 1e-9
    assert mean_regret @ policy >= float(v.value) - 1e-9
    assert float(proof.bound) == pytest.approx(float(v.value), abs=1e-9)


@given(states())
@settings(max_examples=60)
def test_two_worlds_look_alike_and_differ_in_regret(state):
    offsets, component, weights, policy, reward_range = state
    t = two_world_certificate(offsets, component, weights, policy, reward_range)
    assert float(t.max_difference) <= 1e-12
    assert bool(t.in_range)
    for world, regret in ((t.rewards_low, t.regret_low), (t.rewards_high, t.regret_high)):
        value = weights @ world
        assert float(regret) == pytest.approx(value.max() - value @ policy, abs=1e-12)
        for c in range(len(weights)):
            same = component[c][:, None] == component[c][None, :]
            gaps = world[c][:, None] - world[c][None, :] - (offsets[c][:, None] - offsets[c][None, :])
            assert np.abs(gaps[same]).max() < 1e-12
    expected = lp_regret(policy, offsets, component, weights, reward_range)
    assert float(t.regret_high) == pytest.approx(expected, abs=1e-8)
    assert float(t.gap) == pytest.approx(float(t.regret_high - t.regret_low), abs=1e-15)


def test_certificates_are_batched_over_draws_and_states():
    rng = np.random.default_rng(8)
    offsets, component = rng.uniform(0, 1, (5, 2, 3, 4)), rng.integers(0, 3, (2, 3, 4))
    weights, policy = rng.dirichlet(np.ones(3), 2), rng.dirichlet(np.ones(4), 2)
    t = two_world_certificate(offsets, component, weights, policy)
    p = policy_lower_bound(offsets, component, weights, policy)
    for n, s in np.ndindex(5, 2):
        one = two_world_certificate(offsets[n, s], component[s], weights[s], policy[s])
        np.testing.assert_allclose(t.rewards_high[n, s], one.rewards_high)
        np.testing.assert_allclose(t.rewards_low[n, s], one.rewards_low)
        np.testing.assert_allclose(t.regret_high[n, s], one.regret_high)
        single = policy_lower_bound(offsets[n, s], component[s], weights[s], policy[s])
        np.testing.assert_allclose(p.worlds[n, s], single.worlds)
        np.testing.assert_allclose(p.bound[n, s], single.bound)


def test_a_deterministic_policy_loses_everything_in_one_of_two_worlds():
    t = two_world_certificate(np.zeros((1, 2)), np.array([[0, 1]]), np.array([1.0]), np.array([0.0, 1.0]))
    assert float(t.regret_low) == 0.0
    assert float(t.regret_high) == 1.0
    assert float(t.max_difference) == 0.0


@given(states(), st.booleans())
@settings(max_examples=60)
def test_welfare_interval_equals_the_linear_program(state, contrast):
    offsets, component, weights, policy, reward_range = state
    q = policy - np.eye(len(policy))[0] if contrast else policy
    w = welfare_bounds(offsets[None], component[None], q[None], weights[None], reward_range)
    high = world_lp(np.outer(weights, q), offsets, component, reward_range)
    low = -world_lp(-np.outer(weights, q), offsets, component, reward_range)
    assert (float(w.lower), float(w.upper)) == pytest.approx((low, high), abs=1e-8)
    assert float(w.cell_lower.sum()) == pytest.approx(float(w.lower), abs=1e-12)
    by_type = welfare_bounds(
        offsets[None],
        component[None],
        np.broadcast_to(q, (1, *offsets.shape)),
        weights[None],
        reward_range,
        by_type=True,
    )
    assert float(by_type.upper) == pytest.approx(float(w.upper), abs=1e-12)


def test_welfare_over_draws_equals_draw_by_draw_and_drops_refuted_draws():
    rng = np.random.default_rng(9)
    offsets, component = rng.uniform(0, 1, (6, 3, 2, 4)), rng.integers(0, 3, (3, 2, 4))
    offsets[4, 1, 0] += 5.0 * np.arange(4)
    component[1, 0] = 0
    policy, weights = rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.ones(6)).reshape(3, 2)
    with pytest.raises(RangeRefutedError) as caught:
        welfare_bounds(offsets, component, policy, weights)
    assert caught.value.cell == (4, 1, 0)
    w = welfare_bounds(offsets, component, policy, weights, range_policy="condition", draw_axes=1)
    assert np.isnan(w.lower).tolist() == [False, False, False, False, True, False]
    assert w.share_refuted == pytest.approx(1 / 6)
    for n in (0, 1, 2, 3, 5):
        one = welfare_bounds(offsets[n], component, policy, weights)
        assert float(w.lower[n]) == pytest.approx(float(one.lower), abs=1e-12)
        assert float(w.upper[n]) == pytest.approx(float(one.upper), abs=1e-12)


def test_subtracting_intervals_is_too_wide_and_the_contrast_is_not():
    offsets, component = np.array([[[0.0, 0.4]]]), np.zeros((1, 1, 2), int)
    weights = np.ones((1, 1))
    ends = [welfare_bounds(offsets, component, np.array([q]), weights) for q in ([0.0, 1.0], [1.0, 0.0], [-1.0, 1.0])]
    assert float(ends[0].lower - ends[1].upper) < 0 < float(ends[2].lower)
    assert float(ends[2].lower) == pytest.approx(float(ends[2].upper)) == pytest.approx(0.4)


@given(states())
@settings(max_examples=40)
def test_nothing_depends_on_the_gauge_or_on_priors_of_unseen_contrasts(state):
    offsets, component, weights, _, reward_range = state
    rng = np.random.default_rng(10)
    moved = offsets + rng.normal(size=(len(weights), 4))[np.arange(len(weights))[:, None], component]
    matrix, _ = regret_from_offsets(offsets, component, weights, reward_range)
    again, _ = regret_from_offsets(moved, component, weights, reward_range)
    np.testing.assert_allclose(again, matrix, atol=1e-12)
    assert float(minimax_regret(again).value) == pytest.approx(float(minimax_regret(matrix).value), abs=1e-11)


@pytest.mark.parametrize("component_shape", [(2, 3, 5), (3, 5), (5,), (4, 2, 3, 5), (1, 2, 3, 5), (1, 3, 5)])
@pytest.mark.parametrize("weight_shape", [(3,), (2, 3), (4, 2, 3), (4, 1, 3)])
def test_matrices_straight_from_draws_equal_the_two_step_road(component_shape, weight_shape):
    rng = np.random.default_rng(11)
    offsets, component = rng.uniform(0, 1, (4, 2, 3, 5)), rng.integers(0, 3, component_shape)
    weights = rng.dirichlet(np.ones(3), weight_shape[:-1])
    two_step = regret_matrix(difference_bounds(offsets, component).upper, weights)
    fused, _ = regret_from_offsets(offsets, component, weights)
    np.testing.assert_allclose(fused, two_step, atol=1e-15)
    offered = rng.uniform(size=(2, 5)) < 0.7
    offered[:, 0] = True
    values, _ = minimax_from_offsets(offsets, component, weights, available=offered)
    expected = minimax_regret(two_step, available=offered)
    np.testing.assert_allclose(values.value, expected.value, atol=1e-12)
    np.testing.assert_array_equal(values.pure_action, expected.pure_action)
    assert values.policy.shape == (4, 2, 5)


def test_refuted_draws_give_nan_and_leave_the_others_alone():
    offsets = np.array([[[0.0, 0.3, 0.0]], [[0.0, 3.0, 0.0]], [[0.0, -0.3, 0.0]]])
    component = np.array([[0, 0, 1]])
    v, info = minimax_from_offsets(offsets, component, np.array([1.0]), range_policy="condition")
    assert np.isnan(v.value).tolist() == [False, True, False]
    assert v.pure_action.tolist()[1] == -1
    assert np.isnan(v.pure_value[1])
    assert np.isnan(v.policy[1]).all()
    assert info.share_refuted == pytest.approx(1 / 3)
    assert v.settled()["undefined"] == pytest.approx(1 / 3)


def test_unavailable_items_are_neither_played_nor_compared_with():
    rng = np.random.default_rng(12)
    matrix = rng.uniform(0, 1, (6, 4, 4)) * (1 - np.eye(4))
    kept = [0, 2, 3]
    offered = np.isin(range(4), kept)
    v, small = minimax_regret(matrix, available=offered), minimax_regret(matrix[:, kept][:, :, kept])
    np.testing.assert_allclose(v.value, small.value, atol=1e-12)
    np.testing.assert_allclose(v.pure_value, small.pure_value)
    assert v.pure_action.tolist() == [kept[a] for a in small.pure_action]
    assert (v.policy[:, 1] == 0).all()
    nothing = minimax_regret(matrix, available=np.zeros(4, bool))
    assert np.isnan(nothing.value).all()


def test_maximin_is_tied_everywhere_when_nothing_is_known():
    m = maximin(np.zeros((2, 3)), np.array([0.3, 0.7]))
    assert m.tied.all()
    masked = maximin(np.array([[0.2, 0.9]]), np.array([1.0]), available=np.array([True, False]))
    assert (int(masked.action), float(masked.value)) == (0, 0.2)
    unknown = maximin(np.array([[0.2, np.nan]]), np.array([1.0]))
    assert (int(unknown.action), np.isnan(unknown.value)) == (-1, True)
    assert not unknown.tied.any()


@given(states())
@settings(max_examples=40)
def test_maximin_guarantee_is_the_best_worst_welfare(state):
    offsets, component, weights, policy, reward_range = state
    m = maximin(level_bounds(offsets, component, reward_range).lower, weights)
    worst = [-world_lp(-np.outer(weights, a), offsets, component, reward_range) for a in np.eye(offsets.shape[1])]
    assert float(m.value) == pytest.approx(max(worst), abs=1e-8)
    assert float(m.value) >= -world_lp(-np.outer(weights, policy), offsets, component, reward_range) - 1e-8


@given(states())
@settings(max_examples=40)
def test_robust_improvement_leaves_the_fallback_only_for_a_sure_gain(state):
    offsets, component, weights, _, reward_range = state
    matrix, _ = regret_from_offsets(offsets, component, weights, reward_range)
    eye = np.eye(offsets.shape[1])
    for fallback in range(offsets.shape[1]):
        sure = [-world_lp(np.outer(weights, eye[fallback] - a), offsets, component, reward_range) for a in eye]
        r = robust_improvement(matrix, fallback)
        assert float(r.guaranteed) == pytest.approx(max(max(sure), 0.0), abs=1e-8)
        if bool(r.departs):
            assert sure[int(r.action)] == pytest.approx(max(sure), abs=1e-8)
        else:
            assert int(r.action) == fallback


@given(states(max_items=3, max_types=2))
@settings(max_examples=40)
def test_type_aware_comparator_equals_the_game_over_all_assignments(state):
    offsets, component, weights, _, reward_range = state
    upper = difference_bounds(offsets, component, reward_range).upper
    n_types, n_items = offsets.shape
    rows = [sum(weights[c] * upper[c, a] for c, a in enumerate(choice)) for choice in np.ndindex(*[n_items] * n_types)]
    expected = games.solve(np.array(rows))
    result = type_aware_regret(upper, weights)
    assert result.value == pytest.approx(float(expected.value), abs=1e-9)
    assert result.gap <= 1e-9
    blind = minimax_regret(regret_matrix(upper, weights))
    assert result.value >= float(blind.value) - 1e-9


def test_policy_for_all_draws_equals_the_full_linear_program():
    rng = np.random.default_rng(13)
    matrix = rng.uniform(-0.2, 1, (30, 5, 5))
    matrix[:, range(5), range(5)] = 0
    n = len(matrix)
    rows = np.concatenate([np.c_[g, -np.repeat(np.eye(n)[i : i + 1], 5, 0)] for i, g in enumerate(matrix)])
    full = linprog(
        np.r_[np.zeros(5), np.full(n, 1 / n)],
        A_ub=rows,
        b_ub=np.zeros(len(rows)),
        A_eq=np.r_[np.ones(5), np.zeros(n)][None],
        b_eq=[1],
        bounds=[(0, None)] * 5 + [(None, None)] * n,
    )
    result = gamma_minimax(matrix)
    assert result.value == pytest.approx(full.fun, abs=1e-9)
    assert result.gap <= 1e-9
    assert result.value == pytest.approx((matrix @ result.policy).max(axis=1).mean(), abs=1e-12)
    assert result.value >= minimax_regret(matrix).value.mean() - 1e-12
    alone = gamma_minimax(matrix[:1])
    assert alone.value == pytest.approx(float(minimax_regret(matrix[0]).value), abs=1e-9)
    weighted = gamma_minimax(matrix[:2], np.array([1.0, 0.0]))
    assert weighted.value == pytest.approx(alone.value, abs=1e-9)


def test_a_wider_range_never_lowers_minimax_regret():
    rng = np.random.default_rng(14)
    offsets, component = rng.uniform(0, 1, (50, 2, 5)), rng.integers(0, 3, (2, 5))
    weights = np.array([0.4, 0.6])
    values = [minimax_from_offsets(offsets, component, weights, (0.0, top))[0].value for top in (1.0, 1.2, 2.0)]
    assert (values[1] >= values[0] - 1e-12).all()
    assert (values[2] >= values[1] - 1e-12).all()


def test_sharpness_and_assumptions_travel_with_the_result():
    v, _ = minimax_from_offsets(np.zeros((1, 2)), np.array([[0, 1]]), np.array([1.0]), (0.0, 2.0))
    assert v.sharp
    assert "rewards in [0, 2]" in v.assumptions
    coupled = minimax_regret(np.zeros((2, 2)), coupled=True)
    assert not coupled.sharp
    assert any("upper bound" in text for text in coupled.assumptions)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: regret_matrix(np.zeros((2, 3, 3)), np.array([1.0])), ValueError, "C = 1 types"),
        (lambda: regret_matrix(np.zeros((1, 3, 2)), np.array([1.0])), ValueError, "difference_upper"),
        (lambda: regret_matrix(np.full((1, 2, 2), np.inf), np.array([1.0])), ValueError, "infinite"),
        (
            lambda: regret_matrix(np.zeros((2, 2, 2)), np.array([-0.1, 1.1])),
            TargetMixError,
            "type_weights: must be >= 0",
        ),
        (lambda: regret_matrix(np.zeros((2, 2, 2)), np.array([np.nan, 1.0])), TargetMixError, "type_weights"),
        (lambda: regret_matrix(np.zeros((2, 2, 2)), np.array([0.7, 0.7])), TargetMixError, "at most one"),
        (lambda: minimax_regret(np.zeros((2, 3))), ValueError, "matrix: needs shape"),
        (lambda: robust_improvement(np.zeros((2, 2)), 2), ValueError, "fallback"),
        (lambda: gamma_minimax(np.full((1, 2, 2), np.nan)), ValueError, "must be finite"),
        (
            lambda: two_world_certificate(np.zeros((1, 2)), np.array([[0, 1]]), np.array([1.0]), np.array([0.5, 0.6])),
            TargetMixError,
            "policy",
        ),
        (
            lambda: welfare_bounds(np.zeros((1, 1, 2)), np.zeros((1, 1, 2), int), np.ones(2), np.ones((1, 1))),
            ValueError,
            "policy: needs shape",
        ),
        (
            lambda: welfare_bounds(np.zeros((1, 1, 2)), np.zeros((1, 1, 2), int), np.ones((1, 2)), -np.ones((1, 1))),
            ValueError,
            "weights: must be >= 0",
        ),
    ],
)
def test_broken_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
