"""Rank of latent types on a table: against known ranks of designs, and by differences of the pattern probabilities."""

import itertools

import numpy as np
import pytest
from scipy.special import expit

from bayespref.bounds.table_rank import table_design, type_rank


def labels(answered):
    """Flat codes of who answered which (state, a, b)."""
    rows = [(who, *question) for who, questions in enumerate(answered) for question in questions]
    return np.array(rows).T


def design(answered, n_states=1, n_items=4, **options):
    return table_design(*labels(answered), n_types=2, n_states=n_states, n_items=n_items, **options)


TRIANGLE = [(0, 0, 1), (0, 0, 2), (0, 1, 2)]
MIX = np.array([[0.35, 0.65], [0.6, 0.4]])
REWARD = np.random.default_rng(0).normal(size=(2, 2, 2, 4))


def test_three_items_with_one_label_a_person_are_short_of_rank_and_with_two_they_are_not():
    """Specification, section 4: rank 3 of 5 from one label; full from two distinct pairs."""
    single, result = type_rank(design([[question] for question in TRIANGLE], n_items=3), MIX, REWARD[:, :1, :, :3])
    assert (result.generic_rank, len(result.parameter_names)) == (3, 5)
    assert single[0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    pairs = [list(two) for two in itertools.combinations(TRIANGLE, 2)]
    double, result = type_rank(design(pairs, n_items=3), MIX, REWARD[:, :1, :, :3])
    assert result.generic_deficit == 0
    assert np.all(double == 1)


def test_full_rank_of_five_items_from_one_label_is_functional_form_only():
    pairs = [[(0, a, b)] for a, b in itertools.combinations(range(5), 2)]
    reward = np.random.default_rng(1).normal(size=(2, 1, 2, 5))
    verdict, result = type_rank(design(pairs, n_items=5), MIX, reward)
    assert result.functional_form_only
    assert np.all(verdict == 1)


def test_contrasts_across_components_or_unseen_items_are_not_called_identified():
    answered = [[(0, 0, 1), (1, 0, 1), (1, 2, 3)]] * 2
    got = design(answered, n_states=2)
    assert got.node.tolist() == [[0, 1, -1, -1], [2, 3, 4, 5]]
    verdict, _ = type_rank(got, MIX, REWARD)
    assert verdict[1, 0, 0, 2] == 0
    assert verdict[0, 0, 0, 2] == -1


def test_verdicts_are_those_of_finite_differences_of_every_pattern_probability():
    answered = [[(0, 0, 1), (0, 1, 2)], [(0, 0, 2), (1, 0, 1)], [(1, 0, 1), (0, 0, 1)], [(1, 1, 2)]]
    table = design(answered, n_states=2, n_items=3)
    verdict, _ = type_rank(table, MIX[:1], REWARD[:1, :, :, :3])
    assert table.complete

    def probabilities(theta):
        share, reward = np.array([theta[0], 1 - theta[0]]), theta[1:].reshape(2, 2, 3)  # state, type, item
        out = []
        for questions in answered:
            for signs in itertools.product((1, -1), repeat=len(questions)):
                gap = np.array([reward[s, :, a] - reward[s, :, b] for s, a, b in questions])
                out.append(share @ np.prod(expit(np.array(signs)[:, None] * gap), axis=0))
        return np.array(out)

    theta = np.r_[MIX[0, 0], REWARD[0, :, :, :3].ravel()]
    step = 1e-5
    moves = [probabilities(theta + step * e) - probabilities(theta - step * e) for e in np.eye(len(theta))]
    jacobian = np.stack(moves, axis=1) / (2 * step)
    rank = np.linalg.matrix_rank(jacobian, tol=1e-7)
    for state, kind, i, j in itertools.product(range(2), range(2), range(3), range(3)):
        gradient = np.zeros(len(theta))
        gradient[1 + (state * 2 + kind) * 3 + i] += 1
        gradient[1 + (state * 2 + kind) * 3 + j] -= 1
        inside = np.linalg.matrix_rank(np.vstack([jacobian, gradient]), tol=1e-7) == rank
        assert verdict[state, kind, i, j] == inside


def test_a_deficit_of_part_of_the_table_proves_nothing():
    answered = [[*TRIANGLE, (0, 0, 3)]] * 3  # four labels a person: looked at three at a time
    got = design(answered)
    assert not got.complete
    assert len(got.design.patterns) <= 4
    cut = design([[question] for question in TRIANGLE], n_items=3, max_patterns=2)
    assert not cut.complete
    verdict, _ = type_rank(cut, MIX, REWARD[:, :1, :, :3])
    assert set(np.unique(verdict[0])) <= {-1, 1}


def test_labels_without_rows_are_refused():
    with pytest.raises(ValueError, match="equal-length vectors with labels"):
        table_design(*np.zeros((4, 0), dtype=int), n_types=2, n_states=1, n_items=2)
