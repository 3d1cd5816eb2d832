"""A network refitted to win counts: what it must find, and where it may differ."""

import jax
import numpy as np
import pytest
from scipy.special import expit

from bayespref.workflow.neural import mlp_refits


@pytest.fixture(scope="module")
def fitted():
    """Expected wins of a known reward in 2 states x 2 types x 3 items; cell (1, 1) is never asked about."""
    truth = np.random.default_rng(0).normal(size=(2, 2, 3))
    wins = 1000 * expit(truth[..., :, None] - truth[..., None, :]) * ~np.eye(3, dtype=bool)
    wins[1, 1] = 0.0
    return truth, mlp_refits(wins[None], rng_key=jax.random.key(1), n=4)[0]


def test_every_refit_finds_the_rewards_that_produced_the_counts(fitted):
    truth, reward = fitted
    asked = np.array([[True, True], [True, False]])
    gap = (reward - reward.mean(-1, keepdims=True)) - (truth - truth.mean(-1, keepdims=True))
    assert np.abs(gap[:, asked]).max() < 0.05


def test_refits_differ_more_where_nobody_asked(fitted):
    _, reward = fitted
    spread = (reward - reward.mean(-1, keepdims=True)).std(axis=0).max(axis=-1)
    assert spread[1, 1] > 10 * spread[0].max()


def test_tables_without_labels_or_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="table 1 has no labels"):
        mlp_refits(np.stack([np.ones((1, 1, 2, 2)), np.zeros((1, 1, 2, 2))]), rng_key=jax.random.key(0), n=1)
    with pytest.raises(ValueError, match="axes"):
        mlp_refits(np.ones((1, 2, 2)), rng_key=jax.random.key(0), n=1)
