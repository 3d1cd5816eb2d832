"""Scores against loops, linear programs and the hand-checked cases of the specification."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from bayespref.defer.scores import scores, worst_regret


def game_value(matrix):
    """Value of the matrix game min over pi of max(G pi), by linear program."""
    n = matrix.shape[0]
    result = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.c_[matrix, -np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=[np.r_[np.ones(n), 0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    assert result.status == 0
    return result.fun


def from_rewards(rewards):
    """d[..., a', a] = r(a') - r(a)."""
    return rewards[..., :, None] - rewards[..., None, :]


def random_case(seed, n_draws=7, region=(3,), n_items=4):
    rng = np.random.default_rng(seed)
    difference = from_rewards(rng.normal(size=(n_draws, *region, n_items)))
    width = rng.exponential(size=difference.shape) * (1 - np.eye(n_items))
    regret = difference + width
    mean = regret.mean(axis=0).reshape(-1, n_items, n_items)
    value = np.array([game_value(m) for m in mean]).reshape(region)
    return difference, regret, value


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.1, 0.25, 0.5]), st.booleans())
def test_scores_equal_loops_over_draws_and_alternatives(seed, alpha, mask):
    rng = np.random.default_rng(seed)
    difference, regret, value = random_case(seed)
    kept = np.ones(7, dtype=bool)
    if mask:
        kept[rng.choice(7, size=3, replace=False)] = False
        difference[~kept] = np.nan
        regret[~kept] = np.nan
        value = np.full(3, np.nan)
    result = scores(difference, regret, value, alpha=alpha, kept=kept)
    for s in range(3):
        for a in range(4):
            realised = sorted(max(difference[i, s, b, a] for b in range(4)) for i in range(7) if kept[i])
            worst = [max(regret[i, s, b, a] for b in range(4)) for i in range(7) if kept[i]]
            n = len(realised)
            quantile = min(x for x in realised if sum(y <= x for y in realised) >= (1 - alpha) * n - 1e-12)
            assert result.chow[s, a] == pytest.approx(sum(realised) / n, abs=1e-12)
            assert result.credible[s, a] == quantile
            assert result.set_pure[s, a] == pytest.approx(sum(worst) / n, abs=1e-12)
        assert result.set_pure_action[s] == min(range(4), key=lambda a, s=s: result.set_pure[s, a])
        assert result.n_kept[s] == kept.sum()


@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_relabelling_items_relabels_scores_and_changes_no_best_score(seed, order):
    order = np.array(order)
    difference, regret, value = random_case(seed)
    plain = scores(difference, regret, value)
    moved = scores(difference[..., order, :][..., order], regret[..., order, :][..., order], value)
    for rule in ("chow", "credible", "set_pure"):
        np.testing.assert_allclose(getattr(moved, rule), getattr(plain, rule)[:, order], atol=1e-12)
        np.testing.assert_allclose(getattr(moved, f"{rule}_score"), getattr(plain, f"{rule}_score"), atol=1e-12)


@given(st.integers(0, 10_000))
def test_set_scores_bound_the_draws_they_contain(seed):
    difference, regret, value = random_case(seed)
    result = scores(difference, regret, value)
    assert np.all(result.set_pure >= result.chow - 1e-12)
    assert np.all(result.set_random <= result.set_pure_score + 1e-9)
    assert np.all(result.chow >= 0)


def test_unseen_cell_with_flat_prior_scores_one_sixth_for_chow_and_one_for_the_set():
    # Midpoints of a fine grid integrate E[max(0, x - y)] = 1/6 over U(0,1)^2 to O(1/n^2).
    n = 200
    grid = (np.arange(n) + 0.5) / n
    rewards = np.stack([x.ravel() for x in np.meshgrid(grid, grid)], axis=-1)
    difference = from_rewards(rewards)
    bound = np.broadcast_to(1.0 - np.eye(2), difference.shape)
    result = scores(difference, bound, np.array(0.5))
    assert result.chow_score == pytest.approx(1 / 6, abs=1e-4)
    assert result.set_pure_score == 1.0
    assert result.set_random == 0.5


def test_partly_connected_three_items_score_as_in_the_specification():
    matrix = np.array([[0, -0.5, 0.5], [0.5, 0, 1], [1, 0.5, 0.0]])
    assert game_value(matrix) == pytest.approx(1 / 3)
    np.testing.assert_allclose(worst_regret(matrix), [1, 0.5, 1])


def test_quantile_summary_is_at_least_what_share_one_minus_alpha_of_draws_stay_under():
    difference, regret, value = random_case(3, n_draws=50)
    result = scores(difference, regret, np.full_like(value, np.nan), alpha=0.2, set_summary="quantile")
    below = (worst_regret(regret) <= result.set_pure).mean(axis=0)
    assert np.all(below == 0.8)


def test_items_not_on_offer_are_neither_played_nor_compared_against():
    difference, regret, _ = random_case(5)
    available = np.array([[True, True, False, True], [True, True, True, True], [False, True, False, False]])
    difference[:, 0, 2, :] = np.nan
    difference[:, 0, :, 2] = np.nan
    result = scores(difference, regret, np.full(3, np.nan), available=available)
    keep = [0, 1, 3]
    sub = scores(difference[:, :1][:, :, keep][..., keep], regret[:, :1][:, :, keep][..., keep], np.full(1, np.nan))
    np.testing.assert_array_equal(result.chow[0, keep], sub.chow[0])
    np.testing.assert_array_equal(result.set_pure[0, keep], sub.set_pure[0])
    assert np.isnan(result.chow[0, 2])
    assert np.isnan(result.set_pure[~available]).all()
    assert result.set_pure_action[2] == 1
    assert result.set_pure_score[2] == 0.0


def test_nan_in_a_kept_draw_leaves_the_score_undefined_and_picks_no_action():
    difference, regret, value = random_case(6)
    difference[4, 1] = np.nan
    result = scores(difference, regret, value)
    assert np.isnan(result.chow[1]).all()
    assert np.isnan(result.credible[1]).all()
    assert result.chow_action[1] == -1
    assert np.isfinite(result.chow[[0, 2]]).all()
    assert result.set_pure_action[1] >= 0


def test_nan_for_one_alternative_spares_only_actions_not_compared_with_it():
    regret = np.array([[[0.0, 1.0], [np.nan, 0.0]]])
    result = scores(np.zeros((1, 2, 2)), regret, np.array(np.nan))
    assert np.isnan(result.set_pure[0])
    assert result.set_pure_action == 1


def test_draws_dropped_by_region_count_only_where_they_are_kept():
    difference, regret, _ = random_case(8)
    kept = np.ones((7, 3), dtype=bool)
    kept[:, 1] = False
    kept[2:, 2] = False
    result = scores(difference, regret, np.full(3, np.nan), kept=kept)
    np.testing.assert_array_equal(result.n_kept, [7, 0, 2])
    for rule in ("chow", "credible", "set_pure"):
        assert np.isnan(getattr(result, rule)[1]).all()
        assert getattr(result, f"{rule}_action")[1] == -1
    alone = scores(difference[:2], regret[:2], np.full(3, np.nan))
    np.testing.assert_allclose(result.credible[2], alone.credible[2])
    np.testing.assert_allclose(result.set_pure[2], alone.set_pure[2])


def test_unbounded_regret_is_infinite_and_picks_no_action():
    regret = np.array([[[0.0, np.inf], [np.inf, 0.0]]])
    result = scores(np.zeros((1, 2, 2)), regret, np.array(np.inf))
    assert result.set_pure_score == np.inf
    assert result.set_pure_action == -1
    regret[0, 1, 0] = 0.25
    assert scores(np.zeros((1, 2, 2)), regret, np.array(0.25)).set_pure_action == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": np.array([0.9, 0.9])}, "randomised policy does no worse"),
        ({"value": np.array([0.1])}, "one entry a region"),
        ({"value": np.array([-0.1, 0.1])}, "value: must be >= 0"),
        ({"difference": np.full((2, 2, 2, 2), 0.0) + np.triu(np.ones((2, 2)), 1)}, "antisymmetric"),
        ({"regret": np.ones((2, 2, 2, 2))}, "diagonal must be 0"),
        ({"regret": np.ones((2, 2, 3, 2))}, "equal size|agree"),
        ({"regret": np.zeros((3, 2, 2, 2))}, "as many draws"),
        ({"alpha": 1.5}, "alpha"),
        ({"set_summary": "median"}, "set_summary"),
        ({"kept": np.ones((3,), dtype=bool)}, "kept"),
        ({"available": np.ones((2, 3), dtype=bool)}, "available"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    given_ = {
        "difference": np.zeros((2, 2, 2, 2)),
        "regret": np.broadcast_to(0.5 * (1 - np.eye(2)), (2, 2, 2, 2)),
        "value": np.array([0.25, 0.25]),
    }
    with pytest.raises(ValueError, match=message):
        scores(**{**given_, **change})


@pytest.mark.parametrize("name", ["kept", "available"])
def test_masks_that_are_not_boolean_are_refused(name):
    with pytest.raises(TypeError, match=name):
        scores(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), np.array(0.0), **{name: np.array([1, 0])})
