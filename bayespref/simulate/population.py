"""Populations with known truth: latent types, their rewards, and the prompts each type asks about.

Everything is drawn from a NumPy generator; an integer seed gives the same population on every machine. Rewards are in
log-odds: in state s a person of type c prefers item a to b with probability ``sigmoid(r[s, c, a] - r[s, c, b])``, so
adding a constant per (state, type) changes nothing anyone can observe.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from bayespref.checks import between, finite, simplex
from bayespref.display import shown

Seed = int | np.random.SeedSequence
"""A non-negative integer, or a seed sequence spawned from one."""


@shown(next_step="reward of a world")
class PooledReward(NamedTuple):
    """Rewards with shared parts, log-odds: ``total[s, c, a] = u[s, a] + v[c, a] + h[s, c, a]``."""

    total: Float[np.ndarray, "state type item"]
    u: Float[np.ndarray, "state item"]
    """What every type shares in a state."""
    v: Float[np.ndarray, "type item"]
    """What a type carries through all states."""
    h: Float[np.ndarray, "state type item"]
    """Interaction: what only this type in this state wants."""


def pooled_reward(
    n_states: int, n_types: int, n_items: int, *, scale: tuple[float, float, float] = (1.0, 1.0, 1.0), seed: Seed
) -> PooledReward:
    """Draw rewards ``u + v + h`` with independent normal parts (design notes on the blind-spot study).

    Parameters
    ----------
    n_states, n_types, n_items : int
        Sizes, each at least 1.
    scale : tuple of three floats
        Standard deviations of u, v and h, log-odds, each >= 0. ``(1, 1, 0)`` has no interaction.
    seed : int
        Seed of the draw.

    Returns
    -------
    PooledReward
        Arrays ``total`` (state, type, item), ``u`` (state, item), ``v`` (type, item), ``h`` (state, type, item).

    Raises
    ------
    ValueError
        If a size is below 1 or a scale is negative or not finite.

    Examples
    --------
    >>> reward = pooled_reward(4, 2, 4, seed=0)
    >>> reward.total.shape, bool(np.allclose(reward.total[2, 1], reward.u[2] + reward.v[1] + reward.h[2, 1]))
    ((4, 2, 4), True)
    """
    _sizes(n_states=n_states, n_types=n_types, n_items=n_items)
    sd = between("scale", scale, 0.0, np.finfo(np.float64).max)
    if sd.shape != (3,):
        raise ValueError(f"scale: must hold three standard deviations (u, v, h), got shape {sd.shape}")
    rng = np.random.default_rng(seed)
    u = sd[0] * rng.standard_normal((n_states, n_items))
    v = sd[1] * rng.standard_normal((n_types, n_items))
    h = sd[2] * rng.standard_normal((n_states, n_types, n_items))
    return PooledReward(total=u[:, None, :] + v[None, :, :] + h, u=u, v=v, h=h)


def independent_reward(
    n_states: int, n_types: int, n_items: int, *, scale: float = 1.0, seed: Seed
) -> Float[np.ndarray, "state type item"]:
    """Draw rewards independently per (state, type), summing to zero over items.

    The draw is N(0, scale^2) in every orthonormal sum-to-zero basis: exchangeable in the items, and free of the
    constant that comparisons cannot see. A contrast of two items has standard deviation ``sqrt(2) * scale``.

    Parameters
    ----------
    n_states, n_types, n_items : int
        Sizes, each at least 1.
    scale : float
        Standard deviation along each basis direction, log-odds, >= 0.
    seed : int
        Seed of the draw.

    Returns
    -------
    float array, shape (state, type, item)
        Rewards, log-odds.

    Raises
    ------
    ValueError
        If a size is below 1 or the scale is negative or not finite.

    Examples
    --------
    >>> reward = independent_reward(2, 3, 5, seed=1)
    >>> bool(np.allclose(reward.sum(axis=-1), 0.0))
    True
    """
    _sizes(n_states=n_states, n_types=n_types, n_items=n_items)
    sd = float(between("scale", scale, 0.0, np.finfo(np.float64).max))
    raw = sd * np.random.default_rng(seed).standard_normal((n_states, n_types, n_items))
    return np.asarray(raw - raw.mean(axis=-1, keepdims=True))


def prompts_with_holes(
    missing: Bool[np.ndarray, "state type"], type_weight: Float[np.ndarray, " type"], *, eps: float = 0.0
) -> Float[np.ndarray, "state type"]:
    """Prompt model p(state | type) that gives each missing cell joint mass ``eps`` and spreads the rest evenly.

    Parameters
    ----------
    missing : bool array, shape (state, type)
        Cells (nearly) never asked about.
    type_weight : float array, shape (type,)
        Share of each type, summing to one.
    eps : float
        Joint mass P(state, type) of each missing cell, share of all comparisons. 0 means never observed.

    Returns
    -------
    float array, shape (state, type)
        p(state | type); every column sums to one.

    Raises
    ------
    ValueError
        If ``eps`` is negative, if the missing cells of a type would take more than that type's mass, or if a type
        has no cell left to ask about.
    TargetMixError
        If ``type_weight`` is not a distribution.

    Examples
    --------
    >>> hole = np.array([[False, False], [True, False], [False, True], [False, False]])
    >>> prompts_with_holes(hole, np.array([0.5, 0.5]), eps=0.02)[:, 0].round(4).tolist()
    [0.32, 0.04, 0.32, 0.32]
    """
    weight = simplex("type_weight", type_weight)
    holes = np.asarray(missing, dtype=bool)
    if holes.ndim != 2 or holes.shape[1] != len(weight):
        raise ValueError(f"missing: must have shape (state, {len(weight)}), got {holes.shape}")
    if (weight == 0).any():
        raise ValueError(f"type_weight: every type must have mass; zero at {np.flatnonzero(weight == 0).tolist()}")
    n_missing = holes.sum(axis=0)
    n_left = holes.shape[0] - n_missing
    if (n_left == 0).any():
        raise ValueError(f"missing: type(s) {np.flatnonzero(n_left == 0).tolist()} have no state left to ask about")
    mass = float(between("eps", eps, 0.0, 1.0))
    if (n_missing * mass > weight).any():
        bad = np.flatnonzero(n_missing * mass > weight).tolist()
        raise ValueError(f"eps: {mass:g} per missing cell exceeds the whole mass of type(s) {bad}")
    joint = np.where(holes, mass, (weight - n_missing * mass) / n_left)
    return np.asarray(joint / weight)


def draw_types(
    n_annotators: int, type_weight: Float[np.ndarray, " type"], *, seed: Seed
) -> Int[np.ndarray, " annotator"]:
    """Draw one latent type for each annotator.

    Parameters
    ----------
    n_annotators : int
        Number of people, at least 1.
    type_weight : float array, shape (type,)
        Share of each type, summing to one.
    seed : int
        Seed of the draw.

    Returns
    -------
    int array, shape (annotator,)
        Type code of each annotator.

    Raises
    ------
    TargetMixError
        If ``type_weight`` is not a distribution.
    ValueError
        If ``n_annotators`` is below 1.

    Examples
    --------
    >>> draw_types(1000, np.array([1.0, 0.0]), seed=0).max()
    np.int64(0)
    """
    _sizes(n_annotators=n_annotators)
    weight = simplex("type_weight", type_weight)
    return categorical(weight, np.random.default_rng(seed).random(n_annotators))


def categorical(probability: Float[np.ndarray, " outcome"], uniform: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Turn uniform draws into categories by the inverse distribution function; zero mass is never drawn.

    Examples
    --------
    >>> categorical(np.array([0.0, 0.25, 0.0, 0.75, 0.0]), np.array([0.0, 0.2499, 0.25, 0.9999])).tolist()
    [1, 1, 3, 3]
    """
    cumulative = np.cumsum(finite("probability", probability))
    if not cumulative[-1] > 0:
        raise ValueError("probability: must have mass somewhere")
    return np.searchsorted(cumulative / cumulative[-1], uniform, side="right").astype(np.int64)


def _sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: must be at least 1, got {size}")
