"""Odds-tilted comparison graphs: the least Gamma one reward table needs, and reward differences by shortest paths.

Every edge says |r(a) - r(b) - logit p| <= log Gamma. Constraints of the form r(a) - r(b) <= w are a shortest-path
problem: the largest r(a) - r(b) is a distance, and the restrictions clash exactly when a cycle is negative.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from bayespref.bounds.ranges import ON_REFUTED, check_gamma, interior, reward_span
from bayespref.checks import one_of
from bayespref.display import shown
from bayespref.errors import DroppedDraws, GammaTooSmallError


@shown(
    "between {lower} and {upper} log-odds; Gamma refuted: {refuted}",
    next_step="report the Gamma at which the decision turns",
)
class TiltedDifferences(NamedTuple):
    """Reward differences over a graph of tilted edges.

    Attributes
    ----------
    lower, upper : Float[ndarray, "*draw item item"]
        ``[a, b]`` bounds r(a) - r(b), log-odds; infinite where no path of edges and no range binds; NaN where refuted.
    refuted : Bool[ndarray, "*draw"]
        Draws for which no reward table fits all edges at this Gamma.
    sharp : bool
        Always True: potentials of the shortest paths are witness worlds.
    assumptions : tuple of str
        What the bounds take for granted.
    """

    lower: Float[np.ndarray, "*draw item item"]
    upper: Float[np.ndarray, "*draw item item"]
    refuted: Bool[np.ndarray, "*draw"]
    sharp: bool
    assumptions: tuple[str, ...]


def _edge_array(edges: ArrayLike, n_items: int | None) -> tuple[NDArray[np.intp], int]:
    pairs = np.asarray(edges)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(f"edges: must be integers of shape (edge, 2), got {pairs.dtype} {pairs.shape}")
    size = int(pairs.max(initial=-1)) + 1 if n_items is None else int(n_items)
    bad = (pairs < 0).any(axis=1) | (pairs >= size).any(axis=1) | (pairs[:, 0] == pairs[:, 1])
    if bad.any():
        raise ValueError(
            f"edges: items must be two different numbers in 0..{size - 1}; first bad {pairs[bad][:5].tolist()}"
        )
    return pairs.astype(np.intp), size


def _edge_weights(
    p: NDArray[np.float64], pairs: NDArray[np.intp], size: int, slack: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Tightest direct bound on r(a) - r(b) at ``[..., a, b]``, infinite where no edge."""
    odds = logit(p)
    weights = np.full((*np.broadcast_shapes(p.shape[:-1], slack.shape), size, size), np.inf)
    for e, (a, b) in enumerate(pairs):
        weights[..., a, b] = np.minimum(weights[..., a, b], odds[..., e] + slack)
        weights[..., b, a] = np.minimum(weights[..., b, a], slack - odds[..., e])
    return weights


def _min_plus(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(np.broadcast_shapes(left.shape, right.shape), np.inf)
    for middle in range(left.shape[-1]):
        np.minimum(out, left[..., :, middle, None] + right[..., middle, None, :], out=out)
    return out


def gamma_min(
    p: Float[ArrayLike, "*draw edge"],
    edges: Int[ArrayLike, "edge 2"],
    *,
    n_items: int | None = None,
    reward_range: float | tuple[float, float] | None = None,
) -> Float[np.ndarray, "*draw"]:
    """Smallest odds tilt at which one reward table fits all edges: the tilt model is falsifiable.

    exp(min_r max_e |r(a_e) - r(b_e) - logit p_e|), computed exactly as a largest mean over cycles: a cycle of k edges
    with circulation s needs Gamma of at least exp(|s|/k). With a reward range, paths whose log-odds exceed R count too.

    Parameters
    ----------
    p : array_like, shape (*draw, edge)
        Probability that the edge's first item is preferred, strictly inside (0, 1).
    edges : array_like of int, shape (edge, 2)
        Items (a, b) of each edge; several edges may join one pair.
    n_items : int, optional
        Number of items; default the largest index plus one.
    reward_range : float or pair, optional
        R, or (m, M): rewards are confined to it, log-odds.

    Returns
    -------
    ndarray, shape (*draw,)
        Gamma_min, at least 1; exactly 1 on a forest without range.

    Raises
    ------
    ValueError
        If ``p`` is 0 or 1 or out of range, or an edge is malformed.

    Examples
    --------
    >>> print(gamma_min([0.6, 0.6, 0.6], [(0, 1), (1, 2), (2, 0)]).round(6))
    1.5
    """
    share = interior("p", np.atleast_1d(np.asarray(p, dtype=np.float64)))
    pairs, size = _edge_array(edges, n_items)
    if share.shape[-1] != len(pairs):
        raise ValueError(f"p: last axis must hold the {len(pairs)} edges, got shape {share.shape}")
    step = _edge_weights(share, pairs, size, np.zeros(()))
    walk = step
    worst = np.zeros(share.shape[:-1])
    diagonal = np.arange(size)
    for length in range(1, size + 1):
        closed = walk[..., diagonal, diagonal].min(axis=-1, initial=np.inf)
        worst = np.maximum(worst, -closed / length)
        if reward_range is not None and length < size:
            open_walk = walk.min(axis=(-2, -1), initial=np.inf) + reward_span(reward_range)
            worst = np.maximum(worst, -open_walk / length)
        if length < size:
            walk = _min_plus(walk, step)
    return np.asarray(np.exp(worst))


def tilted_differences(
    p: Float[ArrayLike, "*draw edge"],
    edges: Int[ArrayLike, "edge 2"],
    gamma: Float[ArrayLike, "*#draw"],
    *,
    n_items: int | None = None,
    reward_range: float | tuple[float, float] | None = None,
    on_refuted: str = "raise",
) -> TiltedDifferences:
    """Bound all reward differences when every edge's log-odds may be off by log Gamma.

    Shortest paths (Floyd-Warshall, batched over draws) with weights logit p_e -+ log Gamma, and R between all items
    where a range is given.

    Parameters
    ----------
    p : array_like, shape (*draw, edge)
        Probability that the edge's first item is preferred, strictly inside (0, 1).
    edges : array_like of int, shape (edge, 2)
        Items (a, b) of each edge.
    gamma : array_like
        Odds tilt, at least 1; broadcasts against the draws.
    n_items : int, optional
        Number of items; default the largest index plus one.
    reward_range : float or pair, optional
        R, or (m, M): rewards are confined to it, log-odds.
    on_refuted : {"raise", "nan"}
        What to do with draws whose edges no reward table fits.

    Returns
    -------
    TiltedDifferences
        ``[..., a, b]`` bounds r(a) - r(b), log-odds.

    Raises
    ------
    GammaTooSmallError
        If Gamma is below the least value some draw needs and ``on_refuted="raise"``.
    ValueError
        On malformed edges or probabilities.

    Examples
    --------
    >>> bound = tilted_differences([0.6, 0.7], [(0, 1), (1, 2)], 1.0)
    >>> print(bound.upper[0, 2].round(6), bound.lower[0, 2].round(6))
    1.252763 1.252763
    """
    one_of("on_refuted", on_refuted, ON_REFUTED)
    share = interior("p", np.atleast_1d(np.asarray(p, dtype=np.float64)))
    factor = check_gamma("gamma", gamma)
    pairs, size = _edge_array(edges, n_items)
    if share.shape[-1] != len(pairs):
        raise ValueError(f"p: last axis must hold the {len(pairs)} edges, got shape {share.shape}")
    upper = _edge_weights(share, pairs, size, np.log(factor))
    assumptions = ["edge log-odds within log Gamma of one common reward table"]
    if reward_range is not None:
        upper = np.minimum(upper, reward_span(reward_range))
        assumptions.append(f"rewards within a range of {reward_span(reward_range):g} log-odds")
    diagonal = np.arange(size)
    upper[..., diagonal, diagonal] = 0.0
    for middle in range(size):
        np.minimum(upper, upper[..., :, middle, None] + upper[..., middle, None, :], out=upper)
    scale = 1.0 + np.abs(logit(share)).max(initial=0.0)
    refuted = upper[..., diagonal, diagonal].min(axis=-1, initial=0.0) < -1e-10 * scale
    if refuted.any():
        needed = gamma_min(share, pairs, n_items=size, reward_range=reward_range)
        if on_refuted == "raise":
            needed, declared = np.broadcast_arrays(needed, factor, refuted)[:2]
            worst = int(np.argmax(np.where(refuted, needed / declared, 0.0)))
            raise GammaTooSmallError(float(declared.flat[worst]), float(needed.flat[worst]))
        warnings.warn(
            f"gamma: refuted in {refuted.mean():.1%} of draws (they need up to {needed.max():.6f}); those are NaN.",
            DroppedDraws,
            stacklevel=2,
        )
        upper = np.where(refuted[..., None, None], np.nan, upper)
    return TiltedDifferences(-np.swapaxes(upper, -1, -2), upper, np.asarray(refuted), True, tuple(assumptions))
