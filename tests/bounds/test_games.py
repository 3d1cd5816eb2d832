"""The batched game solver against HiGHS called directly, support enumeration and closed forms."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

from bayespref.bounds import games, simplex


def lp_value(game):
    m, n = game.shape
    result = linprog(
        np.r_[np.zeros(n), 1],
        A_ub=np.c_[game, -np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0][None],
        b_eq=[1],
        bounds=[(0, None)] * n + [(None, None)],
    )
    assert result.status == 0
    return result.fun


def enumerated_value(game):
    """Value by trying every square subgame (Shapley and Snow): an equilibrium equalises some square kernel."""
    m, n = game.shape
    for size in range(1, min(m, n) + 1):
        for rows in combinations(range(m), size):
            for columns in combinations(range(n), size):
                kernel = game[np.ix_(rows, columns)]
                borders = [
                    np.block([[k, -np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
                    for k in (kernel, kernel.T)
                ]
                if abs(np.linalg.det(borders[0])) < 1e-12:
                    continue
                right = np.r_[np.zeros(size), 1.0]
                pi, mu = np.zeros(n), np.zeros(m)
                pi[list(columns)] = np.linalg.solve(borders[0], right)[:-1]
                mu[list(rows)] = np.linalg.solve(borders[1], right)[:-1]
                if (pi < -1e-12).any() or (mu < -1e-12).any():
                    continue
                if (game @ pi).max() <= (mu @ game).min() + 1e-9:
                    return float((game @ pi).max())
    raise AssertionError("no kernel found")


def check_strategies(game, solution):
    """The strategies are distributions and prove the value, whatever solver made them."""
    assert (solution.policy >= 0).all()
    assert (solution.weights >= 0).all()
    np.testing.assert_allclose(solution.policy.sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose(solution.weights.sum(-1), 1, atol=1e-12)
    upper = np.einsum("...ij,...j->...i", game, solution.policy).max(-1)
    lower = np.einsum("...i,...ij->...j", solution.weights, game).min(-1)
    scale = np.abs(game).max(axis=(-1, -2))
    np.testing.assert_allclose(solution.value, upper, atol=1e-12 * max(1, scale.max()))
    assert (upper - lower <= 1e-9 * np.maximum(scale, 1e-300)).all()
    np.testing.assert_allclose(solution.gap, upper - lower, atol=1e-12 * max(1, scale.max()))


def random_games(kind, shape, count, seed):
    rng = np.random.default_rng(seed)
    if kind == "normal":
        return rng.normal(size=(count, *shape))
    if kind == "integer":
        return rng.integers(-2, 3, size=(count, *shape)).astype(float)
    if kind == "low rank":
        return rng.normal(size=(count, shape[0], 2)) @ rng.normal(size=(count, 2, shape[1]))
    game = rng.uniform(0, 1, size=(count, *shape)) * rng.uniform(1e-4, 1e4, size=(count, 1, 1))
    game[:, range(min(shape)), range(min(shape))] = 0
    return game


@pytest.mark.parametrize("kind", ["normal", "integer", "low rank", "regret"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 2), (3, 3), (2, 5), (7, 4), (12, 12), (20, 20)])
def test_value_equals_highs_and_is_certified(kind, shape):
    batch = random_games(kind, shape, 40, 5)
    solution = games.solve(batch)
    check_strategies(batch, solution)
    assert not (solution.method == games.HIGHS).any(), "a closed form or the simplex gave strategies that prove nothing"
    expected = np.array([lp_value(g) for g in batch[:12]])
    scale = np.abs(batch[:12]).max(axis=(1, 2))
    assert (np.abs(solution.value[:12] - expected) <= 1e-8 * scale + 1e-12).all()


@given(
    hnp.arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.integers(-3, 3).map(float)),
)
def test_value_equals_support_enumeration(game):
    solution = games.solve(game)
    check_strategies(game, solution)
    assert int(solution.method) != games.HIGHS
    assert float(solution.value) == pytest.approx(enumerated_value(game), abs=1e-9)


@given(
    hnp.arrays(
        float,
        st.tuples(st.just(3), st.integers(1, 7), st.integers(1, 7)),
        elements=st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0, -1.0])),
    )
)
def test_any_finite_game_gets_a_certificate(batch):
    check_strategies(batch, games.solve(batch))


@pytest.mark.parametrize("n", [2, 3, 5, 8, 20])
def test_unconnected_items_have_value_one_minus_one_over_n(n):
    solution = games.solve(np.ones((n, n)) - np.eye(n))
    assert float(solution.value) == pytest.approx(1 - 1 / n, abs=1e-12)
    np.testing.assert_allclose(solution.policy, 1 / n, atol=1e-12)
    np.testing.assert_allclose(solution.weights, 1 / n, atol=1e-12)


@pytest.mark.parametrize("method", ["saddle", "closed_form", "simplex"])
def test_each_method_settles_the_games_meant_for_it(method):
    if method == "saddle":
        batch = np.array([[[0.0, -1.0], [1.0, 0.0]]])
    elif method == "closed_form":
        # Item 2 is dominated by item 1, which leaves two by two.
        batch = np.array([[[0.0, -0.5, 0.5], [0.5, 0.0, 1.0], [1.0, 0.5, 0.0]]])
    else:
        batch = np.ones((1, 4, 4)) - np.eye(4)
    solution = games.solve(batch)
    assert games.METHODS[int(solution.method[0])] == method
    assert games.method_shares(solution.method)[method] == 1.0


@pytest.mark.parametrize("kind", ["integer", "regret"])
def test_blands_rule_alone_solves_degenerate_games(monkeypatch, kind):
    monkeypatch.setattr(simplex, "STEEPEST", 0)
    batch = np.concatenate([random_games(kind, (6, 6), 40, 7), np.ones((1, 6, 6)) - np.eye(6)])
    solution = games.solve(batch)
    check_strategies(batch, solution)
    assert not (solution.method == games.HIGHS).any()
    assert (solution.method == games.SIMPLEX).any()


def test_games_the_simplex_leaves_open_go_to_highs(monkeypatch):
    def lazy(loss, rows, columns):
        return columns / columns.sum(1, keepdims=True), rows / rows.sum(1, keepdims=True)

    batch = random_games("normal", (5, 5), 20, 6)
    expected = games.solve(batch)
    monkeypatch.setattr(games, "batched_simplex", lazy)
    solution = games.solve(batch)
    check_strategies(batch, solution)
    np.testing.assert_allclose(solution.value, expected.value, atol=1e-9)
    assert games.method_shares(solution.method)["highs"] > 0.5


@given(
    hnp.arrays(float, (4, 4), elements=st.integers(-3, 3).map(float)),
    st.sets(st.integers(0, 3), min_size=1),
    st.sets(st.integers(0, 3), min_size=1),
)
def test_unavailable_rows_and_columns_are_as_if_deleted(game, rows, columns):
    rows, columns = sorted(rows), sorted(columns)
    hidden = game.copy()
    has_row, has_column = np.isin(range(4), rows), np.isin(range(4), columns)
    hidden[~has_row] = np.nan
    hidden[:, ~has_column] = np.inf
    solution = games.solve(hidden, has_row, has_column)
    small = games.solve(game[np.ix_(rows, columns)])
    assert float(solution.value) == pytest.approx(float(small.value), abs=1e-12)
    assert (solution.policy[~has_column] == 0).all()
    assert (solution.weights[~has_row] == 0).all()
    assert float(solution.gap) <= 1e-9 * 3
    assert int(solution.method) != games.HIGHS


def test_nan_games_and_games_without_moves_are_undefined_and_leave_others_alone():
    batch = np.stack([np.ones((3, 3)) - np.eye(3)] * 3)
    batch[1, 0, 2] = np.nan
    available = np.array([[True, True, True], [True, True, True], [False, False, False]])
    solution = games.solve(batch, available, available)
    assert np.isnan(solution.value).tolist() == [False, True, True]
    assert np.isnan(solution.policy[1:]).all()
    assert np.isnan(solution.gap[1:]).all()
    assert solution.method[1:].tolist() == [games.UNDEFINED] * 2
    assert solution.value[0] == pytest.approx(2 / 3)
    rescued = games.solve(batch[1], np.array([False, True, True]), np.array([True, True, True]))
    assert np.isfinite(rescued.value)


@given(hnp.arrays(float, (4, 4), elements=st.floats(-5, 5)), st.floats(-5, 5), st.floats(0.1, 10))
def test_shifting_and_scaling_a_game_shifts_and_scales_its_value(game, shift, scale):
    value = float(games.solve(game).value)
    assert float(games.solve(scale * game + shift).value) == pytest.approx(scale * value + shift, abs=1e-7)


@given(hnp.arrays(float, (4, 4), elements=st.floats(-5, 5)))
def test_swapping_the_players_negates_the_value(game):
    assert float(games.solve(-game.T).value) == pytest.approx(-float(games.solve(game).value), abs=1e-8)


def test_leading_axes_and_empty_batches_are_kept():
    assert games.solve(np.zeros((2, 0, 3, 4))).policy.shape == (2, 0, 4)
    solution = games.solve(np.zeros((2, 5, 3, 4)))
    assert solution.value.shape == (2, 5)
    assert solution.weights.shape == (2, 5, 3)


def test_large_batches_have_no_seams():
    batch = random_games("regret", (6, 6), 9000, 7)
    whole, part = games.solve(batch), games.solve(batch[7000:7010])
    np.testing.assert_allclose(whole.value[7000:7010], part.value, rtol=1e-12)


@given(st.floats(-3, 3), st.floats(0, 3))
def test_two_actions_in_closed_form_equal_the_linear_program(low, width):
    high = low + width
    g = games.two_action(low, high)
    game = np.array([[0.0, -low], [high, 0.0]])
    assert float(g.value) == pytest.approx(max(lp_value(game), 0.0), abs=1e-9)
    assert float((game @ [1 - g.play_second, g.play_second]).max()) == pytest.approx(float(g.value), abs=1e-9)
    assert float(g.pure_value) == pytest.approx(max(0.0, min(game[1, 0], game[0, 1])), abs=1e-12)


def test_two_actions_refuse_crossed_bounds_and_pass_nan():
    with pytest.raises(ValueError, match="lower: exceeds upper"):
        games.two_action(0.5, 0.4)
    assert np.isnan(games.two_action(np.nan, 0.4)).all()


def test_broken_games_are_named():
    with pytest.raises(ValueError, match="infinity"):
        games.solve(np.array([[0.0, np.inf], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="at least one row"):
        games.solve(np.empty((3, 0, 2)))
    with pytest.raises(ValueError, match="does not broadcast"):
        games.solve(np.zeros((2, 2)), np.ones(3, dtype=bool))
    with pytest.raises(TypeError, match="must be boolean"):
        games.solve(np.zeros((2, 2)), np.ones(2))
    with pytest.raises(ValueError, match="axes"):
        games.solve(np.zeros(3))
