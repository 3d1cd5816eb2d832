"""Disagreement between refits about the best item, and between types about the sign."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bayespref.checks import between
from bayespref.disagree.spread import as_draws


def argmax_disagreement(reward: Float[np.ndarray, "draw state type item"]) -> Float[np.ndarray, "state type"]:
    """Share of pairs of different draws (or refits) that pick a different best item.

    Refits that share a prior agree where nothing was observed; agreement between refits is no evidence. A draw in
    which several items tie for best picks among them at random.

    Parameters
    ----------
    reward : float array, shape (draw, state, type, item)
        Posterior draws or one point estimate per refit, log-odds.

    Returns
    -------
    float array, shape (state, type)
        Probability in [0, 1]; ``1 - 1/A`` at chance for A items. NaN from a single draw.

    Raises
    ------
    ValueError
        If draws are not finite or do not have four axes.

    Examples
    --------
    >>> argmax_disagreement(np.array([[[[1.0, 0.0]]], [[[2.0, 0.0]]], [[[0.0, 1.0]]]])).round(3).tolist()
    [[0.667]]
    """
    draws = as_draws(reward)
    n = len(draws)
    best = draws == draws.max(axis=-1, keepdims=True)
    vote = best / best.sum(axis=-1, keepdims=True)
    if n < 2:
        return np.full(draws.shape[1:3], np.nan)
    total = vote.sum(axis=0)
    agree = (np.sum(total**2, axis=-1) - np.sum(vote**2, axis=(0, -1))) / (n * (n - 1))
    return np.asarray(1.0 - agree)


def between_types(
    reward: Float[np.ndarray, "draw state type item"], type_weight: Float[np.ndarray, "*draw type"]
) -> Float[np.ndarray, "state item item_other"]:
    """Chance that two people drawn at random want opposite things, averaged over draws.

    Within one draw nothing is uncertain: this is disagreement between types, ``2 P_c(d_c > 0) P_c(d_c < 0)`` with c
    drawn from the type weights, as against the posterior's disagreement with itself.

    Parameters
    ----------
    reward : float array, shape (draw, state, type, item)
        Posterior draws, log-odds.
    type_weight : float array, shape (type,) or (draw, type)
        Share of each type.

    Returns
    -------
    float array, shape (state, item, item_other)
        Probability in [0, .5]; NaN on the diagonal.

    Raises
    ------
    ValueError
        If shapes disagree or weights are not probabilities.

    Examples
    --------
    >>> opposite = np.array([[[[1.0, 0.0], [0.0, 1.0]]]])
    >>> between_types(opposite, np.array([0.5, 0.5]))[0, 0, 1]
    np.float64(0.5)
    """
    draws = as_draws(reward)
    n_draws, n_states, n_types, n_items = draws.shape
    weight = between("type_weight", type_weight, 0.0, 1.0)
    if weight.shape not in ((n_types,), (n_draws, n_types)) or np.any(np.abs(weight.sum(axis=-1) - 1) > 1e-8):
        raise ValueError(f"type_weight: must sum to one over {n_types} types, got shape {weight.shape}")
    weight = np.broadcast_to(weight, (n_draws, n_types))
    result = np.full((n_states, n_items, n_items), np.nan)
    for a in range(n_items - 1):
        gap = draws[..., a : a + 1] - draws[..., a + 1 :]
        up = np.einsum("nc,nscb->nsb", weight, (gap > 0).astype(np.float64))
        down = np.einsum("nc,nscb->nsb", weight, (gap < 0).astype(np.float64))
        result[:, a, a + 1 :] = result[:, a + 1 :, a] = np.mean(2 * up * down, axis=0)
    return result
