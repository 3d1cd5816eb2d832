"""A small neural network as reward model, trained again and again on the same labels: what a practitioner would do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray
from numpyro import optim

HIDDEN, STEPS, RATE, DECAY = 64, 5000, 0.01, 1e-5
"""Units of the one hidden layer (tanh), steps of Adam on all labels, first step size, penalty on squared weights."""

_Weights = tuple[Array, Array, Array, Array]


def mlp_refits(
    wins: Float[np.ndarray, "table state type item item"], *, rng_key: Array, n: int
) -> Float[np.ndarray, "table refit state type item"]:
    """Rewards of multilayer perceptrons fitted to win counts, ``n`` for each table from random initial weights.

    The network sees (state, type, item) as three one-hot codes and gives a reward; the loss is the mean logistic loss
    of the labels plus ``DECAY`` times the sum of squared weights. It starts at He's initial weights, and its step size
    falls to a fifth after 60 % of the steps and to a twenty-fifth after 85 %.

    Parameters
    ----------
    wins : float array, shape (table, state, type, item, item)
        ``wins[..., a, b]``: how often a was preferred to b.
    rng_key : jax key
        Seed of the initial weights.
    n : int
        Refits of each table.

    Returns
    -------
    float array, shape (table, refit, state, type, item)
        Rewards, log-odds; their level is arbitrary.

    Raises
    ------
    ValueError
        If ``wins`` has other axes, or a table has no labels.

    Examples
    --------
    >>> wins = np.zeros((1, 1, 1, 2, 2))
    >>> wins[0, 0, 0, 0, 1], wins[0, 0, 0, 1, 0] = 75, 25
    >>> reward = mlp_refits(wins, rng_key=jax.random.key(0), n=2)
    >>> (reward[0, :, 0, 0, 0] - reward[0, :, 0, 0, 1]).round(2).tolist()
    [1.1, 1.1]
    """
    counts = np.asarray(wins, dtype=np.float64)
    if counts.ndim != 5 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"wins: must have axes (table, state, type, item, item), got shape {counts.shape}")
    total = counts.sum(axis=(1, 2, 3, 4), keepdims=True)
    if not (total > 0).all():
        raise ValueError(f"wins: table {int(np.flatnonzero(total.ravel() == 0)[0])} has no labels")
    shape = counts.shape[1:4]
    codes = np.indices(shape).reshape(3, -1)
    inputs = jnp.asarray(np.concatenate([np.eye(size)[code] for size, code in zip(shape, codes, strict=True)], axis=1))

    def network(weights: _Weights) -> Array:
        first, first_bias, second, second_bias = weights
        return (jnp.tanh(inputs @ first + first_bias) @ second + second_bias).reshape(shape)

    def loss(weights: _Weights, share: Array) -> Array:
        reward = network(weights)
        miss = jax.nn.softplus(reward[..., None, :] - reward[..., :, None])
        return jnp.sum(share * miss) + DECAY * (jnp.sum(weights[0] ** 2) + jnp.sum(weights[2] ** 2))

    def step_size(i: Array) -> Array:
        return RATE * jnp.where(i < 0.6 * STEPS, 1.0, jnp.where(i < 0.85 * STEPS, 0.2, 0.04))

    def train(key: Array, share: Array) -> Array:
        one, two = jax.random.split(key)
        size = inputs.shape[1]
        first = jax.random.normal(one, (size, HIDDEN)) * np.sqrt(2.0 / size)
        second = jax.random.normal(two, (HIDDEN, 1)) * np.sqrt(2.0 / HIDDEN)
        adam = optim.Adam(step_size)

        def move(state: object, _: None) -> tuple[object, None]:
            return adam.update(jax.grad(loss)(adam.get_params(state), share), state), None

        begin = adam.init((first, jnp.zeros(HIDDEN), second, jnp.zeros(1)))
        return network(adam.get_params(jax.lax.scan(move, begin, None, length=STEPS)[0]))

    share = jnp.asarray(np.repeat(counts / total, n, axis=0))
    keys = jax.random.split(rng_key, len(share))
    found: NDArray[np.float64] = np.asarray(jax.jit(jax.vmap(train))(keys, share), dtype=np.float64)
    return found.reshape(len(counts), n, *shape)
