"""Gamma sensitivity: how far hidden types may tilt a cell's preference, and when a decision breaks.

A cell is one (state, context, pair) with marginal label probability ``p``. Who asks may depend on a hidden trait, so
the target's preference need not be ``p``. ``odds_tilt`` lets each hidden type's odds differ from the cell's by a factor
of at most Gamma (the wording of Rosenbaum's model); ``density_ratio`` lets the target's mix of hidden types differ from
the observed one by a density ratio in [1/Gamma, Gamma] (Tan 2006, in the sharp form of Dorn and Guo 2023 for a binary
outcome). No bound here reads a model of the types.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from bayespref.bounds.ranges import Bounds, check_gamma, inside_range, interior, reward_span
from bayespref.bounds.tilted_graph import TiltedDifferences, gamma_min, tilted_differences
from bayespref.checks import between, one_of, simplex

__all__ = [
    "KINDS",
    "Bounds",
    "TiltedDifferences",
    "breakdown_gamma",
    "density_ratio",
    "gamma_min",
    "odds_tilt",
    "robust_share",
    "target_bounds",
    "tilted_differences",
]

KINDS = ("odds_tilt", "density_ratio", "mean_difference")
_BISECTIONS = 64


def odds_tilt(
    p: Float[ArrayLike, "*cell"],
    gamma: Float[ArrayLike, "*#cell"],
    prevalence: Float[ArrayLike, "*#cell"] | None = None,
) -> Bounds:
    """Bound the target's preference when hidden types' odds lie within a factor Gamma of the cell's odds.

    Without ``prevalence`` the bound is logit p -+ log Gamma: sharp for any target mix of the hidden types, and also the
    supremum over prevalences when Gamma bounds the odds ratio of one type against the other. With ``prevalence`` w (the
    share of one of two hidden types among those observed) Gamma bounds the odds ratio between the two types, whose
    shares must average to p; this is tighter.

    Parameters
    ----------
    p : array_like, shape (*cell,)
        Marginal label probability, share in [0, 1].
    gamma : array_like
        Largest odds ratio, at least 1; broadcasts against ``p``.
    prevalence : array_like, optional
        Observed share of one of two hidden types, in [0, 1].

    Returns
    -------
    Bounds
        Ends of the target's preference, a share. A cell with p = 0 or 1 stays a point: no tilt moves zero odds.

    Raises
    ------
    ValueError
        If ``p`` or ``prevalence`` leaves [0, 1], or ``gamma`` is below 1 or not finite.

    Notes
    -----
    With prevalence, p0 is the root in [0, 1] of
    (1-w)(G-1) p0^2 + [1-w+wG-p(G-1)] p0 - p = 0 and p1 = G p0 / (1 + (G-1) p0); the mirror case swaps sides.

    Examples
    --------
    >>> bound = odds_tilt(0.75, 2.0)
    >>> print(bound.lower.round(6), bound.upper.round(6))
    0.6 0.857143
    """
    share, factor = np.broadcast_arrays(between("p", p, 0.0, 1.0), check_gamma("gamma", gamma))
    if prevalence is None:
        lower = share / (share + factor * (1.0 - share))
        upper = factor * share / (factor * share + (1.0 - share))
        return Bounds(lower, upper, True, ("hidden types' odds within a factor Gamma of the cell's", "target mix free"))
    share, factor, weight = np.broadcast_arrays(share, factor, between("prevalence", prevalence, 0.0, 1.0))
    low, high = _two_types(share, factor, weight)
    mirror_low, mirror_high = _two_types(1.0 - share, factor, weight)
    return Bounds(
        np.minimum(low, 1.0 - mirror_high),
        np.maximum(high, 1.0 - mirror_low),
        True,
        ("two hidden types with odds ratio at most Gamma", "their observed prevalence is known", "target mix free"),
    )


def _two_types(
    p: NDArray[np.float64], gamma: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Preferences of the lower and the upper type when the upper one has observed share ``weight``."""
    square = (1.0 - weight) * (gamma - 1.0)
    linear = 1.0 + (gamma - 1.0) * (weight - p)
    root = np.sqrt(linear**2 + 4.0 * square * p)
    # Two forms of one root: each avoids subtracting nearly equal numbers on its side of zero.
    positive = linear >= 0
    low = np.where(
        positive,
        2.0 * p / np.where(positive, linear + root, 1.0),
        (root - linear) / np.where(positive, 1.0, 2.0 * square),
    )
    return low, gamma * low / (1.0 + (gamma - 1.0) * low)


def density_ratio(p: Float[ArrayLike, "*cell"], gamma: Float[ArrayLike, "*#cell"]) -> Bounds:
    """Bound the target's preference when the mix of hidden types moves by a density ratio in [1/Gamma, Gamma].

    Parameters
    ----------
    p : array_like, shape (*cell,)
        Marginal label probability, share in [0, 1].
    gamma : array_like
        Largest density ratio, at least 1; broadcasts against ``p``.

    Returns
    -------
    Bounds
        [max(p/G, 1-G(1-p)), min(Gp, 1-(1-p)/G)], a share; sharp when rewards are unbounded. Odds can move by up to
        Gamma squared, so this is wider than ``odds_tilt`` at the same Gamma. With a reward range use
        ``bayespref.bounds.mixture.target_preference``.

    Raises
    ------
    ValueError
        If ``p`` leaves [0, 1], or ``gamma`` is below 1 or not finite.

    Examples
    --------
    >>> bound = density_ratio(0.75, 2.0)
    >>> print(bound.lower, bound.upper)
    0.5 0.875
    """
    share, factor = np.broadcast_arrays(between("p", p, 0.0, 1.0), check_gamma("gamma", gamma))
    lower, upper = _cell_bounds(share, np.log(factor), "density_ratio", None)
    return Bounds(
        lower, upper, True, ("density ratio of hidden types in [1/Gamma, Gamma]", "types and rewards otherwise free")
    )


def _cell_bounds(
    p: NDArray[np.float64], log_gamma: NDArray[np.float64], kind: str, span: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of one cell, a share (or log-odds for ``mean_difference``), within [-R, R] where a span is given."""
    if kind == "mean_difference":
        odds = logit(p)
        reach = np.inf if span is None else span
        return np.maximum(odds - log_gamma, -reach), np.minimum(odds + log_gamma, reach)
    lo, hi = (0.0, 1.0) if span is None else (float(expit(-span)), float(expit(span)))
    shrink, grow = np.exp(-log_gamma), np.exp(log_gamma)
    if kind == "density_ratio":
        lower = np.maximum(lo + shrink * (p - lo), hi - grow * (hi - p))
        return lower, np.minimum(lo + grow * (p - lo), hi - shrink * (hi - p))
    lower = p * shrink / (p * shrink + (1.0 - p))
    upper = p / (p + shrink * (1.0 - p))
    return np.maximum(lower, lo), np.minimum(upper, hi)


def target_bounds(
    p: Float[ArrayLike, "*draw cell"],
    target_mix: Float[ArrayLike, "*#draw cell"],
    gamma: Float[ArrayLike, "*#draw"],
    *,
    kind: str = "odds_tilt",
    reward_range: float | tuple[float, float] | None = None,
    on_refuted: str = "raise",
) -> Bounds:
    """Bound the target's preference (or mean reward difference) over several observed cells.

    Sum over cells of target share times cell bound; cells vary independently, so the sum is sharp.

    Parameters
    ----------
    p : array_like, shape (*draw, cell)
        Marginal label probability of each cell, in [0, 1] (strictly inside for ``mean_difference``).
    target_mix : array_like, shape (*draw, cell)
        Target share of each cell, summing to one.
    gamma : array_like
        Gamma, at least 1; broadcasts against the draws.
    kind : {"odds_tilt", "density_ratio", "mean_difference"}
        Sensitivity model; ``mean_difference`` bounds sum P_k d_k with d_k = logit p_k -+ log Gamma, log-odds.
    reward_range : float or pair, optional
        R, or (m, M): every type's difference lies in [-R, R].
    on_refuted : {"raise", "nan"}
        What to do with values of p that no mixture inside the range can produce.

    Returns
    -------
    Bounds
        Ends of the target's preference (share) or mean reward difference (log-odds).

    Raises
    ------
    TargetMixError
        If ``target_mix`` is not a distribution.
    InfeasibleMixtureError
        If p leaves what the range allows and ``on_refuted="raise"``.

    Examples
    --------
    >>> bound = target_bounds([0.75, 0.4], [0.5, 0.5], 2.0)
    >>> print(bound.lower.round(4), bound.upper.round(4))
    0.425 0.7143
    """
    share, mix, span = _cells(p, target_mix, kind, reward_range, on_refuted)
    log_gamma = np.log(check_gamma("gamma", gamma))[..., None]
    lower, upper = _cell_bounds(share, log_gamma, kind, span)
    assumptions = [
        "density ratio of hidden types in [1/Gamma, Gamma]"
        if kind == "density_ratio"
        else "hidden types' odds within a factor Gamma of the cell's",
        "cells vary independently",
    ]
    if span is not None:
        assumptions.append(f"rewards within a range of {span:g} log-odds")
    return Bounds((mix * lower).sum(axis=-1), (mix * upper).sum(axis=-1), True, tuple(assumptions))


def _cells(
    p: ArrayLike,
    target_mix: ArrayLike,
    kind: str,
    reward_range: float | tuple[float, float] | None,
    on_refuted: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float | None]:
    one_of("kind", kind, KINDS)
    share = np.atleast_1d(interior("p", p) if kind == "mean_difference" else between("p", p, 0.0, 1.0))
    mix = simplex("target_mix", target_mix)
    if mix.shape[-1] != share.shape[-1]:
        raise ValueError(f"target_mix: last axis must hold the {share.shape[-1]} cells of p, got shape {mix.shape}")
    span = None if reward_range is None else reward_span(reward_range)
    return (share if span is None else inside_range(share, span, on_refuted)), mix, span


def breakdown_gamma(
    p: Float[ArrayLike, "*cell"],
    kind: str = "odds_tilt",
    *,
    target_mix: Float[ArrayLike, "*#draw cell"] | None = None,
    reward_range: float | tuple[float, float] | None = None,
    on_refuted: str = "raise",
) -> Float[np.ndarray, "*draw"]:
    """Smallest Gamma at which the preferred item is no longer certain to be preferred by the target.

    Without ``target_mix`` every entry of ``p`` is its own decision, answered in closed form: max(p,1-p)/min(p,1-p) for
    ``odds_tilt`` and ``mean_difference``, max(2p, 1/(2(1-p))) with p taken on its larger side for ``density_ratio``.
    With ``target_mix`` the last axis of ``p`` holds cells: exp|sum P_k logit p_k| for ``mean_difference`` without a
    range, else bisection on the monotone bound of ``target_bounds``.

    Parameters
    ----------
    p : array_like, shape (*draw,) or (*draw, cell)
        Marginal label probability, share in [0, 1] (strictly inside for ``mean_difference``).
    kind : {"odds_tilt", "density_ratio", "mean_difference"}
        Sensitivity model.
    target_mix : array_like, shape (*draw, cell), optional
        Target share of each cell, summing to one.
    reward_range : float or pair, optional
        R, or (m, M): every type's difference lies in [-R, R].
    on_refuted : {"raise", "nan"}
        What to do with values of p that no mixture inside the range can produce.

    Returns
    -------
    ndarray, shape (*draw,)
        Gamma*, at least 1: 1 at a tie, infinite where no Gamma flips the decision.

    Raises
    ------
    ValueError, TargetMixError, InfeasibleMixtureError
        As for ``target_bounds``.

    Examples
    --------
    >>> print(breakdown_gamma(0.75).round(6), breakdown_gamma(0.75, "density_ratio").round(6))
    3.0 2.0
    """
    if target_mix is None:
        cells = np.asarray(p, dtype=np.float64)[..., None]
        share, mix, span = _cells(cells, np.ones(1), kind, reward_range, on_refuted)
    else:
        share, mix, span = _cells(p, target_mix, kind, reward_range, on_refuted)
    if span is None and (target_mix is None or kind == "mean_difference"):
        return _closed_breakdown(share, mix, kind)
    centre = 0.0 if kind == "mean_difference" else 0.5
    value = (mix * (logit(share) if kind == "mean_difference" else share)).sum(axis=-1)
    # The losing side is mirrored, so that the question is always when the lower end falls to the centre.
    share = np.where((value < centre)[..., None], 1.0 - share, share)
    decided = np.abs(value - centre) > 1e-15

    def above(log_gamma: NDArray[np.float64]) -> NDArray[np.bool_]:
        lower, _ = _cell_bounds(share, log_gamma[..., None], kind, span)
        return np.asarray((mix * lower).sum(axis=-1) > centre)

    low, high = np.zeros(value.shape), np.ones(value.shape)
    for _ in range(9):
        high = np.where(above(high), 2.0 * high, high)
    never = above(high)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        keep = above(middle)
        low, high = np.where(keep, middle, low), np.where(keep, high, middle)
    star = np.where(decided, np.where(never, np.inf, np.exp(high)), 1.0)
    return np.where(np.isnan(value), np.nan, star)


def _closed_breakdown(share: NDArray[np.float64], mix: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    if kind == "mean_difference":
        return np.asarray(np.exp(np.abs((mix * logit(share)).sum(axis=-1))))
    large = np.maximum(share, 1.0 - share)[..., 0]
    small = np.minimum(share, 1.0 - share)[..., 0]
    with np.errstate(divide="ignore"):
        if kind == "odds_tilt":
            return np.asarray(large / small)
        return np.asarray(np.maximum(2.0 * large, 0.5 / small))


def robust_share(
    breakdown: Float[ArrayLike, "draw ..."], gamma: Float[ArrayLike, "*level"]
) -> Float[np.ndarray, "*level_cell"]:
    """Posterior probability that the decision survives a given Gamma: P(Gamma* > G).

    Parameters
    ----------
    breakdown : array_like, shape (draw, *cell)
        Gamma* of each posterior draw; NaN (refuted) draws are not counted on either side.
    gamma : array_like, shape (*level,)
        Values of Gamma, at least 1.

    Returns
    -------
    ndarray, shape (*level, *cell)
        Share of draws; NaN where every draw is NaN.

    Raises
    ------
    ValueError
        If ``breakdown`` has no draw axis or a value below 1.

    Examples
    --------
    >>> print(robust_share([1.2, 2.0, 3.0, 1.0], [1.0, 1.5]))
    [0.75 0.5 ]
    """
    star = np.atleast_1d(np.asarray(breakdown, dtype=np.float64))
    if (star < 1.0).any():
        raise ValueError(f"breakdown: must be at least 1; first bad {star[star < 1.0][:5].tolist()}")
    levels = check_gamma("gamma", gamma)
    valid = ~np.isnan(star)
    count = valid.sum(axis=0)
    survives = (star > levels.reshape(levels.shape + (1,) * star.ndim)) & valid
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(survives.sum(axis=levels.ndim) / count)
