"""Worlds of linear rewards draw what they say they draw."""

import numpy as np
import pytest

from bayespref.simulate.shifts import contexts, correlated, shift_comparisons, shift_world, uneven_buckets


def test_buckets_have_the_covariances_and_the_labels_they_name():
    rows = uneven_buckets(3, labels=(40_000, 40_000), seed=1)
    for k in range(3):
        mine = rows.difference[rows.bucket == k]
        assert np.cov(mine.T) == pytest.approx(rows.covariance[k], abs=0.03)
        variance = np.linalg.eigvalsh(rows.covariance[k])
        assert variance[1:] == pytest.approx(np.ones(2))
        assert 0.005 <= variance[0] <= 1.0
        margin = mine @ rows.coefficient[k]
        for low, high in ((-1.2, -0.8), (0.8, 1.2)):
            inside = (margin > low) & (margin < high)
            expected = (1 / (1 + np.exp(-margin[inside]))).mean()
            assert rows.first_wins[rows.bucket == k][inside].mean() == pytest.approx(expected, abs=0.03)


def test_a_feature_nobody_recorded_moves_labels_and_nothing_else():
    plain, moved = uneven_buckets(seed=2), uneven_buckets(omitted=2.0, seed=2)
    assert (plain.difference == moved.difference).all()
    assert (plain.coefficient == moved.coefficient).all()
    assert (plain.first_wins != moved.first_wins).mean() > 0.1
    assert np.ptp(uneven_buckets(shared=True, seed=2).coefficient, axis=0) == pytest.approx(np.zeros(3))


def test_impossible_buckets_are_refused():
    with pytest.raises(ValueError, match="labels"):
        uneven_buckets(labels=(5, 4))
    with pytest.raises(ValueError, match="least_variance"):
        uneven_buckets(least_variance=0.0)
    with pytest.raises(ValueError, match="omitted"):
        uneven_buckets(omitted=-1.0)


def test_cells_of_the_shift_world_are_what_the_model_can_learn_except_for_the_third_evaluator():
    world = shift_world(seed=3)
    for s in range(3):
        for e in range(2):
            learnable = contexts(np.array([s]), np.array([e]))[0] @ world.coefficient.reshape(4, 2)
            assert world.of_cell[s, e] == pytest.approx(learnable)
    own = world.of_cell[:, 2] - world.of_cell[:, 0]
    assert np.ptp(own, axis=0) == pytest.approx(np.zeros(2))
    assert np.abs(own).min() > 0


def test_sources_of_the_shift_world_have_the_moments_they_name_and_passive_leaves_half_of_them_out():
    world = shift_world(seed=4)
    for source in (0, 7):
        counts = np.zeros(12, dtype=int)
        counts[source] = 50_000
        rows, wins = shift_comparisons(world, counts, seed=5)
        assert rows.T @ rows / len(rows) == pytest.approx(world.design[source], abs=0.03)
        slices, evaluator, _ = world.source[source]
        w = world.of_cell[slices, evaluator]
        z = rows[:, :2]
        assert wins.mean() == pytest.approx((1 / (1 + np.exp(-z @ w))).mean(), abs=0.01)
        assert np.corrcoef(wins, z @ w)[0, 1] > 0.2
    assert (world.passive[world.source[:, 2] == 1] == 0).all()
    assert world.passive.sum() == pytest.approx(1.0)
    assert world.passive[world.source[:, 1] == 1].sum() == pytest.approx(0.03)


def test_correlated_pairs_have_their_correlation():
    pair = correlated(np.full(40_000, -0.6), np.random.default_rng(0))
    assert np.corrcoef(pair.T)[0, 1] == pytest.approx(-0.6, abs=0.02)
