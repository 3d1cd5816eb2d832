"""The type-grid program against closed forms, a program written directly, and worlds with known types."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.special import expit

from bayespref.bounds.mixture import mean_difference, target_preference
from bayespref.bounds.typegrid import type_grid_bounds
from bayespref.errors import InfeasibleMixtureError, TargetMixError


def pattern_table(pattern, rewards, weights):
    """Pattern probabilities of an explicit world, one cell at a time."""
    table = np.zeros((2,) * len(pattern))
    for labels in itertools.product((0, 1), repeat=len(pattern)):
        for reward, weight in zip(rewards, weights, strict=True):
            chance = weight
            for (a, b), label in zip(pattern, labels, strict=True):
                prefer = 1 / (1 + np.exp(reward[b] - reward[a]))
                chance *= prefer if label else 1 - prefer
            table[labels] += chance
    return table


def direct_program(pattern, table, target, span, levels, a, b):
    """The same question with mu and nu as variables, a mu <= nu <= b mu as rows, on the full product grid."""
    n_items = 1 + max(max(pair) for pair in [*pattern, target])
    grid = np.array(list(itertools.product(np.linspace(0, span, levels), repeat=n_items)))
    rows = np.array([pattern_table(pattern, grid[k : k + 1], [1.0]).ravel() for k in range(len(grid))]).T
    size, values = len(grid), expit(grid[:, target[0]] - grid[:, target[1]])
    eye, zero = np.eye(size), np.zeros(size)
    a_ub = np.block([[a * eye, -eye], [-b * eye, eye]])
    a_eq = np.concatenate([np.concatenate([rows, np.zeros_like(rows)], axis=1), [np.r_[zero, np.ones(size)]]])
    return [
        s
        * linprog(
            s * np.r_[zero, values], A_ub=a_ub, b_ub=np.zeros(2 * size), A_eq=a_eq, b_eq=np.append(table.ravel(), 1.0)
        ).fun
        for s in (1, -1)
    ]


REWARDS = np.array([[0.0, 0.8, 0.3], [1.0, 0.2, 0.5]])
WEIGHTS = np.array([0.4, 0.6])


def test_single_labels_give_the_closed_form():
    for p, gamma in ((0.6, 2.0), (0.4, 1.3), (0.7, 5.0)):
        bound = type_grid_bounds([[(0, 1)]], [[1 - p, p]], (0, 1), 1.0, density_ratio=gamma)
        closed = target_preference(p, 1.0, density_ratio=gamma)
        np.testing.assert_allclose([bound.lower, bound.upper], [closed.lower, closed.upper], atol=1e-7)
        assert bound.converged
        assert not bound.sharp
        assert "inner approximation" in bound.reason


@pytest.mark.parametrize("span", [1.0, 3.0, 5.0])
def test_mean_difference_converges_to_the_envelope_from_inside(span):
    closed = mean_difference(0.6, span)
    bound = type_grid_bounds([[(0, 1)]], [[0.4, 0.6]], (0, 1), span, quantity="difference")
    np.testing.assert_allclose([bound.lower, bound.upper], [closed.lower, closed.upper], atol=1.5e-4)
    assert bound.outer_lower - 2e-6 <= closed.lower <= bound.lower + 1e-7
    assert bound.upper - 1e-7 <= closed.upper <= bound.outer_upper + 2e-6
    assert bound.converged
    # A small last change alone would have stopped too early here: the audit keeps refining.
    assert (np.diff(bound.history[:, 1]) <= 1e-9).all()
    assert (np.diff(bound.history[:, 2]) >= -1e-9).all()


def test_repeated_labels_give_the_chi_square_form():
    p, moment = 0.6, 0.362
    table = [[1 - 2 * p + moment, p - moment], [p - moment, moment]]
    bound = type_grid_bounds([[(0, 1), (0, 1)]], [table], (0, 1), 1.0, density_ratio=2.0)
    np.testing.assert_allclose([bound.lower, bound.upper], [0.568377, 0.631623], atol=1e-4)
    assert bound.lower >= 0.568377 - 1e-6
    assert bound.outer_lower <= 0.568377 + 1e-5


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.5, 2.0), (0.8, 3.0)])
def test_reduced_grid_and_variables_equal_the_program_written_directly(a, b):
    pattern = [(0, 1), (1, 2)]
    grid_world = np.array([[0.0, 0.75, 0.25], [1.0, 0.25, 0.5]])
    table = pattern_table(pattern, grid_world, WEIGHTS)
    ours = type_grid_bounds(
        [pattern], [table], (0, 2), 1.0, density_ratio=(a, b), first_levels=5, max_vectors=61, tolerance=0.0
    )
    assert ours.n_vectors == 61
    assert ours.levels == 5
    np.testing.assert_allclose(
        [ours.lower, ours.upper], direct_program(pattern, table, (0, 2), 1.0, 5, a, b), atol=1e-6
    )


def test_truth_lies_inside_the_outer_ends_and_more_labels_narrow_them():
    truth = WEIGHTS @ expit(REWARDS[:, 0] - REWARDS[:, 2])
    short, long = [(0, 1), (1, 2)], [(0, 1), (1, 2), (0, 1)]
    one = type_grid_bounds([short], [pattern_table(short, REWARDS, WEIGHTS)], (0, 2), 1.0, tolerance=1e-3)
    two = type_grid_bounds(
        [short, long],
        [pattern_table(pattern, REWARDS, WEIGHTS) for pattern in (short, long)],
        (0, 2),
        1.0,
        slack=1e-6,
        tolerance=1e-3,
    )
    for bound in (one, two):
        assert bound.outer_lower <= truth <= bound.outer_upper
    assert one.lower - 1e-3 <= two.lower
    assert two.upper <= one.upper + 1e-3
    direct = [(0, 2), (0, 1)]
    seen = type_grid_bounds([direct], [pattern_table(direct, REWARDS, WEIGHTS)], (0, 2), 1.0)
    np.testing.assert_allclose([seen.lower, seen.upper], truth, atol=1e-6)


def test_function_targets_and_pair_targets_agree():
    table = pattern_table([(0, 1)], REWARDS, WEIGHTS)
    by_pair = type_grid_bounds([[(0, 1)]], [table], (0, 1), 1.0, density_ratio=1.5)
    by_function = type_grid_bounds([[(0, 1)]], [table], lambda r: expit(r[:, 0] - r[:, 1]), 1.0, density_ratio=1.5)
    assert by_pair.lower == pytest.approx(by_function.lower, abs=1e-9)


def test_patterns_no_mixture_gives_are_refused_with_their_misfit():
    with pytest.raises(InfeasibleMixtureError, match=r"least largest misfit is 0\.1"):
        type_grid_bounds([[(0, 1)]], [[0.15, 0.85]], (0, 1), 1.0)
    # Two labels of one pair correlate negatively: no mixture of independent raters does that.
    with pytest.raises(InfeasibleMixtureError, match="misfit"):
        type_grid_bounds([[(0, 1), (0, 1)]], [[[0.2, 0.3], [0.3, 0.2]]], (0, 1), 1.0, max_vectors=100)
    eased = type_grid_bounds([[(0, 1), (0, 1)]], [[[0.2, 0.3], [0.3, 0.2]]], (0, 1), 1.0, slack=0.06, max_vectors=100)
    assert eased.lower <= 0.5 <= eased.upper


def test_an_unfinished_refinement_says_so():
    bound = type_grid_bounds([[(0, 1)]], [[0.4, 0.6]], (0, 1), 5.0, quantity="difference", max_vectors=20)
    assert not bound.converged
    assert bound.outer_upper - bound.upper > 1e-4
    assert bound.history.shape == (2, 3)


@settings(max_examples=20)
@given(st.floats(0.3, 0.7), st.floats(1.0, 6.0), st.floats(1.0, 6.0))
def test_bounds_nest_in_gamma_and_mirror_under_a_swap(p, gamma, other):
    small, large = sorted((gamma, other))
    inner = type_grid_bounds([[(0, 1)]], [[1 - p, p]], (0, 1), 1.0, density_ratio=small)
    outer = type_grid_bounds([[(0, 1)]], [[1 - p, p]], (0, 1), 1.0, density_ratio=large)
    mirror = type_grid_bounds([[(1, 0)]], [[p, 1 - p]], (1, 0), 1.0, density_ratio=small)
    assert outer.lower <= inner.lower + 1e-6
    assert inner.upper <= outer.upper + 1e-6
    assert inner.lower == pytest.approx(1 - mirror.upper, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"probabilities": [[0.5, 0.6]]}, TargetMixError, "probabilities\\[0\\]"),
        ({"probabilities": [[[0.25, 0.25], [0.25, 0.25]]]}, ValueError, "shape must be \\(2,\\)"),
        ({"probabilities": []}, ValueError, "one array per pattern"),
        ({"patterns": [[(0, 0)]]}, ValueError, "two different items"),
        ({"first_levels": 1}, ValueError, "first_levels"),
        ({"slack": -1.0}, ValueError, "slack"),
        ({"quantity": "odds"}, ValueError, "quantity"),
        ({"density_ratio": np.array([1.0, 2.0])}, ValueError, "density_ratio"),
        ({"max_vectors": 3}, ValueError, "max_vectors"),
        ({"target": lambda r: r}, ValueError, "target: must return"),
    ],
)
def test_bad_input_names_argument_and_rule(change, error, text):
    call = {"patterns": [[(0, 1)]], "probabilities": [[0.4, 0.6]], "target": (0, 1), "reward_range": 1.0, **change}
    with pytest.raises(error, match=text):
        type_grid_bounds(**call)
