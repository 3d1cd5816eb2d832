"""What could be asked next, and how one more label on it would narrow the posterior of the rewards.

Rewards (or coefficients) are one vector t of p numbers with a posterior mean and covariance. A candidate is a pair of
items, a state, and who is asked; one label on it adds the rank-one information v v', where v is its row of
``loadings``. If the asker's type is seen, v = sqrt(g) (e_a - e_b); if not, the score of the mixture of types gives
v_c = P(c) g_c (e_a - e_b) / sqrt(P(1 - P)) (see `bayespref.information.fisher_by_type`, ``single``). The variances g
and P are averaged over posterior draws. Nothing here depends on labels: candidates may come from unlabelled pools.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.special import expit

from bayespref.checks import finite, simplex

MOST_NUMBERS = 1e8
"""Largest number of loadings held at once."""


class Candidates(NamedTuple):
    """Comparisons that could be asked.

    Attributes
    ----------
    state, segment, item_a, item_b : int array, shape (K,)
        What to show, and whom to ask.
    loadings : float array, shape (K, p)
        Rows v: one label adds the information v v' about the parameters.
    preferred : float array, shape (K,)
        Predicted share of answers for ``item_a``.
    """

    state: Int[np.ndarray, " candidate"]
    segment: Int[np.ndarray, " candidate"]
    item_a: Int[np.ndarray, " candidate"]
    item_b: Int[np.ndarray, " candidate"]
    loadings: Float[np.ndarray, "candidate p"]
    preferred: Float[np.ndarray, " candidate"]

    def matrices(self) -> Float[np.ndarray, "candidate p p"]:
        """Information per label of every candidate, as `bayespref.design.mixture.optimal_mixture` takes it."""
        return np.asarray(self.loadings[:, :, None] * self.loadings[:, None, :])


def _mixture_factor(
    margin: Float[np.ndarray, "draw candidate type"], membership: Float[np.ndarray, "candidate type"]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor of every type's difference in v, shape (K, C), and the predicted share of answers for the first item."""
    share = expit(margin)
    slope = (share * expit(-margin)).mean(axis=0)
    above = (membership * share.mean(axis=0)).sum(axis=1)
    below = (membership * expit(-margin).mean(axis=0)).sum(axis=1)
    # One type seen: the factor is sqrt(g), not g / sqrt(P(1 - P)), which averaging over draws would make too small.
    seen = membership.max(axis=1, keepdims=True) >= 1.0 - 1e-9
    mixed = membership * slope / np.sqrt(above * below)[:, None]
    return np.where(seen, membership * np.sqrt(slope), mixed), above


def pair_candidates(
    reward: Float[np.ndarray, "draw state type item"],
    membership: Float[np.ndarray, "segment type"],
    available: Bool[np.ndarray, "state item"],
    allowed: Bool[np.ndarray, "item item_other"] | None = None,
) -> Candidates:
    """Every pair of available items, in every state, asked of every segment; parameters are the rewards themselves.

    Parameters
    ----------
    reward : float array, shape (draw, state, type, item)
        Posterior draws, log-odds.
    membership : float array, shape (segment, type)
        Type mix of who is asked; rows sum to one.
    available : bool array, shape (state, item)
        Items that can be shown in each state.
    allowed : bool array, shape (item, item), optional
        Pairs that may be asked; all by default.

    Returns
    -------
    Candidates
        ``loadings`` refer to ``reward`` flattened over (state, type, item).

    Raises
    ------
    ValueError
        If shapes disagree, a row of ``membership`` is not a distribution, no pair is left, or the loadings are too
        many to hold (name fewer states or items).

    Examples
    --------
    >>> got = pair_candidates(np.zeros((1, 1, 1, 3)), np.ones((1, 1)), np.ones((1, 3), dtype=bool))
    >>> got.item_a.tolist(), got.item_b.tolist(), got.loadings[0].tolist()
    ([0, 0, 1], [1, 2, 2], [0.5, -0.5, 0.0])
    """
    draws = finite("reward", reward)
    if draws.ndim != 4:
        raise ValueError(f"reward: must have shape (draw, state, type, item), got {draws.shape}")
    n_states, n_types, n_items = draws.shape[1:]
    mix = _membership(membership, n_types)
    shown = np.asarray(available, dtype=bool)
    if shown.shape != (n_states, n_items):
        raise ValueError(f"available: must have shape {(n_states, n_items)}, got {shown.shape}")
    first, second = np.triu_indices(n_items, 1)
    kept = np.ones(len(first), dtype=bool)
    if allowed is not None:
        may = np.asarray(allowed, dtype=bool)
        if may.shape != (n_items, n_items):
            raise ValueError(f"allowed: must have shape {(n_items, n_items)}, got {may.shape}")
        kept = may[first, second] | may[second, first]
    ask = shown[:, first] & shown[:, second] & kept  # (state, pair)
    state, pair = np.nonzero(ask)
    state, pair = np.repeat(state, len(mix)), np.repeat(pair, len(mix))
    segment = np.tile(np.arange(len(mix)), int(ask.sum()))
    p = n_states * n_types * n_items
    if not len(state):
        raise ValueError("available: no pair of items can be asked in any state")
    _fits(len(state), p)
    a, b = first[pair], second[pair]
    margin = draws[:, state, :, a] - draws[:, state, :, b]  # advanced indices lead: (candidate, draw, type)
    factor, above = _mixture_factor(np.swapaxes(margin, 0, 1), mix[segment])
    loadings = np.zeros((len(state), p))
    row = np.arange(len(state))
    for c in range(n_types):
        base = (state * n_types + c) * n_items
        loadings[row, base + a] += factor[:, c]
        loadings[row, base + b] -= factor[:, c]
    return Candidates(state, segment, a, b, loadings, above)


def feature_candidates(
    coefficient: Float[np.ndarray, "draw type feature"],
    membership: Float[np.ndarray, "segment type"],
    features: Float[np.ndarray, "item feature"],
    pairs: Int[np.ndarray, "pair side"],
) -> Candidates:
    """Pairs of items asked of every segment when rewards are linear in features; parameters are the coefficients.

    Parameters
    ----------
    coefficient : float array, shape (draw, type, feature)
        Posterior draws, log-odds per unit.
    membership : float array, shape (segment, type)
        Type mix of who is asked.
    features : float array, shape (item, feature)
        Attributes of the items.
    pairs : int array, shape (pair, 2)
        Items to compare.

    Returns
    -------
    Candidates
        ``state`` is 0 throughout: a linear reward knows no state. ``loadings`` refer to the coefficients flattened over
        (type, feature).

    Raises
    ------
    ValueError
        If shapes disagree or a code is not an item.

    Examples
    --------
    >>> got = feature_candidates(np.zeros((1, 1, 1)), np.ones((1, 1)), np.array([[0.0], [2.0]]), np.array([[0, 1]]))
    >>> got.loadings.tolist()
    [[-1.0]]
    """
    draws, values = finite("coefficient", coefficient), finite("features", features)
    if draws.ndim != 3 or values.ndim != 2 or values.shape[1] != draws.shape[2]:
        raise ValueError(
            f"features: must have shape (item, {draws.shape[-1]}) for coefficients of shape {draws.shape}, got "
            f"{values.shape}"
        )
    which = np.asarray(pairs)
    if which.ndim != 2 or which.shape[1] != 2 or not len(which) or not np.issubdtype(which.dtype, np.integer):
        raise ValueError(f"pairs: must be integers of shape (pair, 2) with at least one pair, got {which.shape}")
    if which.min() < 0 or which.max() >= len(values):
        raise ValueError(f"pairs: codes must lie in [0, {len(values)})")
    mix = _membership(membership, draws.shape[1])
    dz = values[which[:, 0]] - values[which[:, 1]]
    pair, segment = np.repeat(np.arange(len(which)), len(mix)), np.tile(np.arange(len(mix)), len(which))
    _fits(len(pair), draws.shape[1] * draws.shape[2])
    margin = np.repeat(np.einsum("pf,ncf->npc", dz, draws), len(mix), axis=1)
    factor, above = _mixture_factor(margin, mix[segment])
    loadings = (factor[:, :, None] * dz[pair][:, None, :]).reshape(len(pair), -1)
    return Candidates(np.zeros(len(pair), dtype=np.int64), segment, which[pair, 0], which[pair, 1], loadings, above)


def edit_matrices(
    pools: list[Float[np.ndarray, "n feature"]],
    coefficient: Float[np.ndarray, "draw type feature"],
    membership: Float[np.ndarray, " type"],
) -> Float[np.ndarray, "edit p p"]:
    """Information per label of every edit T_a: the pool of feature differences it would produce, not yet labelled.

    Parameters
    ----------
    pools : list of float arrays, shape (n_a, feature)
        Feature differences of each edit's candidate pairs (edited minus original).
    coefficient : float array, shape (draw, type, feature)
        Posterior draws.
    membership : float array, shape (type,)
        Type mix of who is asked.

    Returns
    -------
    array, shape (edit, p, p) with p = type * feature
        Averaged over draws; blocks between types are those of the score of a mixture.

    Raises
    ------
    ValueError
        If a pool is empty or its features disagree.

    Examples
    --------
    >>> edit_matrices([np.array([[2.0]])], np.zeros((1, 1, 1)), np.ones(1)).tolist()
    [[[1.0]]]
    """
    draws = finite("coefficient", coefficient)
    mix = _membership(np.atleast_2d(membership), draws.shape[1])[0]
    out = []
    for k, pool in enumerate(pools):
        rows = finite(f"pools[{k}]", pool)
        if rows.ndim != 2 or rows.shape[1] != draws.shape[2] or not len(rows):
            raise ValueError(f"pools[{k}]: must have shape (n >= 1, {draws.shape[2]}), got {rows.shape}")
        margin = np.einsum("pf,ncf->npc", rows, draws)
        factor, _ = _mixture_factor(margin, np.broadcast_to(mix, (len(rows), len(mix))))
        v = (factor[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
        out.append(v.T @ v / len(rows))
    return np.stack(out)


def _membership(membership: Float[np.ndarray, "segment type"], n_types: int) -> NDArray[np.float64]:
    mix = simplex("membership", membership)
    if mix.ndim != 2 or mix.shape[1] != n_types or not len(mix):
        raise ValueError(f"membership: must have shape (segment, {n_types}), got {mix.shape}")
    return mix


def _fits(n_candidates: int, p: int) -> None:
    if n_candidates * p > MOST_NUMBERS:
        raise ValueError(
            f"candidates: {n_candidates:,} candidates of {p:,} parameters are too many to hold; name fewer states, "
            "items or pairs"
        )
