"""Decision rules beside minimax regret: maximin, safe departures from a fallback, one policy for many draws.

Source: maximin and robust improvement after Kallus and Zhou (2018); the rule for all draws is ex-post Gamma-minimax
regret (Berger 1985, section 4.7).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import sparse

from bayespref.bounds.cells import type_mix
from bayespref.bounds.lp import minimise
from bayespref.checks import as_float
from bayespref.display import shown


@shown(
    "guaranteed value {value}, action {action}",
    next_step="compare with minimax regret: maximin looks at the worst world only",
)
class Maximin(NamedTuple):
    """Actions of the best guaranteed welfare: guaranteed value, first best action, and which actions tie."""

    value: NDArray[np.float64]
    action: NDArray[np.int64]
    tied: NDArray[np.bool_]


@shown(
    "departs from the fallback: {departs}; guaranteed gain {guaranteed}",
    next_step="keep the fallback where nothing is guaranteed",
)
class RobustImprovement(NamedTuple):
    """Safe departures from a fallback: action to play, welfare gain it guarantees, and whether it departs."""

    action: NDArray[np.int64]
    guaranteed: NDArray[np.float64]
    departs: NDArray[np.bool_]


@shown("regret {value} of one policy for all, certificate gap {gap}", next_step="compare it with the cost of deferring")
class PooledRegret(NamedTuple):
    """One policy for a set of draws or types: value, policy, certificate gap."""

    value: float
    policy: NDArray[np.float64]
    gap: float


def maximin(
    level_lower: Float[np.ndarray, "*#lead type item"],
    type_weights: Float[np.ndarray, "*#lead type"],
    *,
    available: Bool[np.ndarray, "*#lead item"] | None = None,
) -> Maximin:
    """Action of the best guaranteed welfare, argmax over a of sum over c of P(c|s) lo(a, c).

    Always attained by a deterministic policy, and tied everywhere when nothing is known: report it, do not act on it.

    Parameters
    ----------
    level_lower : array, shape (..., C, A)
        Lower level bounds.
    type_weights : array, shape (..., C)
        P(c|s).
    available : bool array, shape (..., A), optional
        Items on offer.

    Returns
    -------
    Maximin
        Guaranteed welfare, first best action (-1 if undefined), and the actions that tie within rounding.

    Examples
    --------
    >>> m = maximin(np.array([[0.0, 0.5, 0.0]]), np.array([1.0]))
    >>> float(m.value), int(m.action), m.tied.tolist()
    (0.5, 1, [False, True, False])
    """
    lower = as_float("level_lower", level_lower, min_ndim=2)
    weights = type_mix(type_weights)
    guaranteed = np.einsum("...c,...ca->...a", weights, lower)
    missing = np.isnan(guaranteed)
    if available is not None:
        missing = missing & available
        guaranteed = np.where(available, guaranteed, -np.inf)
    undefined = np.asarray(missing.any(axis=-1) | (guaranteed == -np.inf).all(axis=-1))
    filled = np.where(undefined[..., None], 0.0, guaranteed)
    best = filled.max(axis=-1)
    tied = (filled >= best[..., None] - 1e-12 * np.maximum(1.0, np.abs(best))[..., None]) & ~undefined[..., None]
    return Maximin(np.where(undefined, np.nan, best), np.where(undefined, -1, filled.argmax(axis=-1)), tied)


def robust_improvement(
    matrix: Float[np.ndarray, "*#lead item item"], fallback: Int[np.ndarray, "*#lead"] | int
) -> RobustImprovement:
    """Leave a fallback action only for one that is better in every world the data allow.

    The smallest W(a) - W(a0) is -G[a0, a]. The idea is that of Kallus and Zhou (2018), confounding-robust improvement.

    Parameters
    ----------
    matrix : array, shape (..., A, A)
        ``G[..., alternative, played]``.
    fallback : integer array, shape (...)
        Index of the fallback action a0.

    Returns
    -------
    RobustImprovement
        The action of the largest guaranteed gain if that is positive, else the fallback with gain 0; NaN matrices
        keep the fallback with gain NaN.

    Examples
    --------
    >>> r = robust_improvement(np.array([[0.0, -0.5, 0.5], [0.5, 0.0, 1.0], [1.0, 0.5, 0.0]]), 0)
    >>> int(r.action), float(r.guaranteed), bool(r.departs)
    (1, 0.5, True)
    """
    loss = as_float("matrix", matrix, min_ndim=2)
    start = np.broadcast_to(np.asarray(fallback), loss.shape[:-2])
    if not np.issubdtype(start.dtype, np.integer) or (start < 0).any() or (start >= loss.shape[-1]).any():
        raise ValueError(f"fallback: must be action indices in 0..{loss.shape[-1] - 1}, got {fallback!r}")
    gain = -np.take_along_axis(loss, start[..., None, None], axis=-2)[..., 0, :]
    undefined = np.asarray(np.isnan(gain).any(axis=-1))
    gain = np.where(undefined[..., None], 0.0, gain)
    best, action = gain.max(axis=-1), gain.argmax(axis=-1)
    departs = np.asarray((best > 0) & ~undefined)
    return RobustImprovement(
        np.where(departs, action, start), np.where(undefined, np.nan, np.where(departs, best, 0.0)), departs
    )


def type_aware_regret(
    difference_upper: Float[np.ndarray, "type item item"], type_weights: Float[np.ndarray, " type"]
) -> PooledRegret:
    """Minimax regret of one state against a comparator that sees the type, by one linear program.

    Minimises ``sum_c p_c max_a' sum_a pi_a U_c(a', a)`` over policies that do not see the type.

    Parameters
    ----------
    difference_upper : array, shape (C, A, A)
        Upper bounds of r(a') - r(a) per type, finite.
    type_weights : array, shape (C,)
        P(c|s).

    Returns
    -------
    PooledRegret
        Value, policy, and the gap between the value and the dual bound.

    Examples
    --------
    >>> u = np.array([[[0.0, 1.0], [-1.0, 0.0]], [[0.0, -1.0], [1.0, 0.0]]])
    >>> round(type_aware_regret(u, np.array([0.5, 0.5])).value, 9)
    0.5
    """
    upper = as_float("difference_upper", difference_upper, ndim=3)
    weights = type_mix(type_weights)
    return _mean_of_maxima(upper, weights)


def gamma_minimax(
    matrix: Float[np.ndarray, "draw item item"], draw_weights: Float[np.ndarray, " draw"] | None = None
) -> PooledRegret:
    """Policy of the least posterior mean of largest regrets, min over pi of mean_i max(G_i pi).

    One linear program with N + A variables, solved by adding the rows it needs; ex-post Gamma-minimax regret.

    Parameters
    ----------
    matrix : array, shape (N, A, A)
        Regret matrices of one state, one per draw; finite (leave dropped draws out).
    draw_weights : array, shape (N,), optional
        Weights of the draws, summing to one; equal by default.

    Returns
    -------
    PooledRegret
        Value, policy, and the gap between the value and the dual bound.

    Raises
    ------
    ValueError
        If a matrix is not finite.

    Examples
    --------
    >>> g = np.array([[[0.0, 0.3], [0.6, 0.0]], [[0.0, 0.6], [0.3, 0.0]]])
    >>> result = gamma_minimax(g)
    >>> round(result.value, 9), result.policy.round(9).tolist()
    (0.3, [0.5, 0.5])
    """
    loss = as_float("matrix", matrix, ndim=3)
    weights = np.full(len(loss), 1.0 / len(loss)) if draw_weights is None else type_mix(draw_weights)
    return _mean_of_maxima(loss, weights)


def _mean_of_maxima(loss: NDArray[np.float64], weights: NDArray[np.float64]) -> PooledRegret:
    count, m, n = loss.shape
    if weights.shape != (count,):
        raise ValueError(f"weights: need shape ({count},), got {weights.shape}")
    if not np.isfinite(loss).all():
        raise ValueError("regret matrices must be finite; leave out the draws that were dropped")
    policy = np.full(n, 1.0 / n)
    active = np.zeros((count, m), dtype=bool)
    best, best_policy, floor = math.inf, policy, -math.inf
    scale = max(float(np.abs(loss).max()), 1e-300)
    while True:
        against = loss @ policy
        value = float(weights @ against.max(axis=1))
        if value < best:
            best, best_policy = value, policy
        new = np.zeros_like(active)
        new[np.arange(count), against.argmax(axis=1)] = True
        if best - floor <= 1e-10 * scale or not (new & ~active).any():
            return PooledRegret(best, best_policy, best - floor)
        active |= new
        draw, row = np.nonzero(active)
        size = draw.size
        matrix = sparse.hstack(
            [
                sparse.csr_array(loss[draw, row] / scale),
                sparse.csr_array((np.full(size, -1.0), (np.arange(size), draw)), shape=(size, count)),
            ],
            format="csr",
        )
        program = minimise(
            np.r_[np.zeros(n), weights],
            matrix,
            np.zeros(size),
            equal_rows=sparse.csr_array(np.r_[np.ones(n), np.zeros(count)][None, :]),
            equal=np.ones(1),
            bounds=[*[(0.0, None)] * n, *[(None, None)] * count],
        )
        if program.status != "optimal":
            raise RuntimeError(f"HiGHS calls the pooled regret program {program.status}, which it cannot be")
        # The dual prices of the rows bound every policy from below, whatever the solver's tolerance.
        prices = program.row_prices
        per_draw = np.bincount(draw, prices, minlength=count)
        prices *= np.where(per_draw > 0, weights / np.where(per_draw > 0, per_draw, 1.0), 0.0)[draw]
        floor = max(floor, float((prices @ loss[draw, row]).min()) if (per_draw[weights > 0] > 0).all() else -math.inf)
        policy = np.maximum(program.x[:n], 0.0)
        policy /= policy.sum()
