"""What draws of an identified set say: credible regions that cover the whole set, and probabilities of statements.

A posterior over an identified set is a sample of intervals [l_i, u_i]. A highest-density interval of prior-filled
draws is not a bound: asymptotically it lies strictly inside the identified set (Moon and Schorfheide 2012).

Source: robust credible regions of Giacomini and Kitagawa (2021); probabilities of Kline and Tamer (2016).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, one_of
from bayespref.display import shown

NAN_POLICIES = ("raise", "omit")
_BLOCK = 2**20
_TIE = 1e-12
"""Lengths closer than this share of the largest end are ties."""


@shown("region from {lower} to {upper}", next_step="report it as a region of the identified set, not of the quantity")
class CredibleRegion(NamedTuple):
    """Shortest interval containing the identified set of enough draws.

    Attributes
    ----------
    lower, upper : array, shape (...)
        Ends of the region; NaN where no draw is left.
    n_draws : integer array, shape (...)
        Draws used.
    n_covered : integer array, shape (...)
        Draws whose whole interval must lie inside, ceil(level n_draws).
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    n_draws: NDArray[np.int64]
    n_covered: NDArray[np.int64]


@shown("the set lies inside with probability {inside}, meets with {meets}", next_step="act only on the first")
class SetProbabilities(NamedTuple):
    """Probability that the identified set lies inside a target interval, and that it meets it."""

    inside: NDArray[np.float64]
    meets: NDArray[np.float64]


@shown(
    "positive with probability between {lower} and {upper}",
    next_step="the sign is settled only where both are near one or near zero",
)
class SignProbabilities(NamedTuple):
    """Lower and upper probability that the quantity is positive: P(l > 0) and P(u > 0)."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def _pair(
    lower: ArrayLike, upper: ArrayLike, nan_policy: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    low, high = as_float("lower", lower, min_ndim=1), as_float("upper", upper, min_ndim=1)
    if low.shape != high.shape:
        raise ValueError(f"lower and upper must have one shape, got {low.shape} and {high.shape}")
    one_of("nan_policy", nan_policy, NAN_POLICIES)
    missing = np.isnan(low) | np.isnan(high)
    if nan_policy == "raise" and missing.any():
        first = tuple(int(i) for i in np.argwhere(missing)[0])
        raise ValueError(
            f"lower, upper: {int(missing.sum())} value(s) are NaN, first at {first}; nan_policy='omit' leaves such "
            "draws out, which conditions on the draws that fit the assumptions"
        )
    crossed = low > high
    if crossed.any():
        first = tuple(int(i) for i in np.argwhere(crossed)[0])
        raise ValueError(f"lower: exceeds upper in {int(crossed.sum())} place(s), first at {first}")
    return low, high, missing


def robust_credible_region(
    lower: Float[np.ndarray, "draw ..."],
    upper: Float[np.ndarray, "draw ..."],
    level: float,
    *,
    nan_policy: str = "raise",
) -> CredibleRegion:
    """Shortest [a, b] that contains [l_i, u_i] for at least ceil(level N) draws; exact, O(N log N) per column.

    Of several shortest ones the one with the smallest a.

    Parameters
    ----------
    lower, upper : array, shape (N, ...)
        Identified set of each draw, draws first.
    level : float
        Share of draws in (0, 1].
    nan_policy : {"raise", "omit"}
        What to do with draws that are NaN in either end; "omit" leaves them out of N, column by column.

    Returns
    -------
    CredibleRegion
        Ends, and the numbers of draws behind them.

    Raises
    ------
    ValueError
        If the level is outside (0, 1], an interval is crossed or infinite, or a NaN is met under "raise".

    Examples
    --------
    >>> l, u = np.array([0.0, 0.1, 0.2, 0.3, 0.05]), np.array([0.5, 0.6, 0.9, 0.7, 0.55])
    >>> region = robust_credible_region(l, u, 0.6)
    >>> float(region.lower), float(region.upper)
    (0.0, 0.6)
    """
    if not 0.0 < level <= 1.0:
        raise ValueError(f"level: must lie in (0, 1], got {level!r}")
    low, high, missing = _pair(lower, upper, nan_policy)
    if np.isinf(low).any() or np.isinf(high).any():
        raise ValueError("lower, upper: must not be infinite")
    n, rest = low.shape[0], low.shape[1:]
    if n == 0:
        raise ValueError("lower: needs at least one draw")
    columns = math.prod(rest)
    low, high, missing = low.reshape(n, columns), high.reshape(n, columns), missing.reshape(n, columns)
    a, b = np.full(columns, np.nan), np.full(columns, np.nan)
    used = n - missing.sum(axis=0)
    covered = np.ceil(level * used - 1e-9).astype(np.int64)
    step = max(1, _BLOCK // n)
    for start in range(0, columns, step):
        block = slice(start, min(start + step, columns))
        a[block], b[block] = _shortest(low[:, block], high[:, block], missing[:, block], used[block], covered[block])
    return CredibleRegion(a.reshape(rest), b.reshape(rest), used.reshape(rest), covered.reshape(rest))


def _shortest(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    missing: NDArray[np.bool_],
    used: NDArray[np.int64],
    covered: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Raise a through the sorted lower ends, dropping one draw a step; b moves up past dropped draws only."""
    n, columns = low.shape
    low, high = np.where(missing, np.inf, low), np.where(missing, np.inf, high)
    by_high = np.argsort(high, axis=0, kind="stable")
    rank = np.empty_like(by_high)
    np.put_along_axis(rank, by_high, np.broadcast_to(np.arange(n)[:, None], (n, columns)), axis=0)
    by_low = np.argsort(low, axis=0, kind="stable")
    sorted_low, sorted_high = np.take_along_axis(low, by_low, axis=0), np.take_along_axis(high, by_high, axis=0)
    rank_by_low = np.take_along_axis(rank, by_low, axis=0)
    every = np.arange(columns)
    nobody = used == 0
    end = np.maximum(covered - 1, 0)
    gone = np.zeros((n, columns), dtype=bool)
    best_a, best_b = sorted_low[0].copy(), sorted_high[end, every].copy()
    best = np.where(nobody, np.nan, np.where(nobody, 0.0, best_b) - np.where(nobody, 0.0, best_a))
    largest = np.maximum(
        np.abs(np.where(missing, 0.0, low)).max(axis=0), np.abs(np.where(missing, 0.0, high)).max(axis=0)
    )
    spare = used - covered
    for j in range(int(spare.max(initial=0))):
        live = j < spare
        dropped = rank_by_low[j]
        gone[dropped[live], every[live]] = True
        move = live & (dropped <= end)
        while True:
            end[move] += 1
            move &= gone[np.minimum(end, n - 1), every] & (end < n - 1)
            if not move.any():
                break
        a, b = sorted_low[j + 1], sorted_high[end, every]
        length = np.where(live, np.where(live, b, 0.0) - np.where(live, a, 0.0), np.inf)
        better = length < best - _TIE * largest
        best = np.where(better, length, best)
        best_a, best_b = np.where(better, a, best_a), np.where(better, b, best_b)
    return np.where(nobody, np.nan, best_a), np.where(nobody, np.nan, best_b)


def set_of_means(
    lower: Float[np.ndarray, "draw ..."], upper: Float[np.ndarray, "draw ..."], *, nan_policy: str = "raise"
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """Range of posterior means over all priors on what the data leave open: [mean l, mean u].

    Parameters
    ----------
    lower, upper, nan_policy
        As in `robust_credible_region`.

    Returns
    -------
    lower, upper : arrays, shape (...)
        Means over draws; NaN where no draw is left.

    Examples
    --------
    >>> set_of_means(np.array([0.0, 0.2]), np.array([0.5, 0.5]))
    (array(0.1), array(0.5))
    """
    low, high, missing = _pair(lower, upper, nan_policy)
    return _mean(low, missing), _mean(high, missing)


def _mean(values: NDArray[np.float64] | NDArray[np.bool_], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    count = (~missing).sum(axis=0)
    total = np.where(missing, 0.0, values).sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def set_probabilities(
    lower: Float[np.ndarray, "draw ..."],
    upper: Float[np.ndarray, "draw ..."],
    interval: tuple[ArrayLike, ArrayLike],
    *,
    nan_policy: str = "raise",
) -> SetProbabilities:
    """Posterior probability that the identified set lies inside [a, b], and that it meets it.

    Parameters
    ----------
    lower, upper, nan_policy
        As in `robust_credible_region`.
    interval : tuple of arrays
        Closed target interval; each end broadcasts against the trailing axes.

    Returns
    -------
    SetProbabilities
        Shares of draws; ``inside`` <= ``meets``.

    Examples
    --------
    >>> p = set_probabilities(np.array([0.0, 0.2]), np.array([0.5, 0.4]), (0.1, 0.45))
    >>> float(p.inside), float(p.meets)
    (0.5, 1.0)
    """
    low, high, missing = _pair(lower, upper, nan_policy)
    a, b = as_float("interval", interval[0]), as_float("interval", interval[1])
    if not (a <= b).all():
        raise ValueError(f"interval: its first end must not exceed its second, got {interval!r}")
    return SetProbabilities(_mean((low >= a) & (high <= b), missing), _mean((high >= a) & (low <= b), missing))


def coverage_probability(
    lower: Float[np.ndarray, "draw ..."],
    upper: Float[np.ndarray, "draw ..."],
    value: ArrayLike,
    *,
    nan_policy: str = "raise",
) -> Float[np.ndarray, "*rest"]:
    """Posterior probability that the identified set contains a value.

    Parameters
    ----------
    lower, upper, nan_policy
        As in `robust_credible_region`.
    value : array, shape (...)
        Value that broadcasts against the trailing axes.

    Returns
    -------
    array, shape (...)
        Share of draws with l <= value <= u.

    Examples
    --------
    >>> float(coverage_probability(np.array([0.0, 0.2]), np.array([0.5, 0.4]), 0.1))
    0.5
    """
    low, high, missing = _pair(lower, upper, nan_policy)
    point = as_float("value", value)
    return _mean((low <= point) & (point <= high), missing)


def sign_probabilities(
    lower: Float[np.ndarray, "draw ..."], upper: Float[np.ndarray, "draw ..."], *, nan_policy: str = "raise"
) -> SignProbabilities:
    """Lower and upper posterior probability that the quantity is positive.

    Parameters
    ----------
    lower, upper, nan_policy
        As in `robust_credible_region`.

    Returns
    -------
    SignProbabilities
        P(l > 0) and P(u > 0).

    Examples
    --------
    >>> p = sign_probabilities(np.array([-0.1, 0.2]), np.array([0.5, 0.4]))
    >>> float(p.lower), float(p.upper)
    (0.5, 1.0)
    """
    low, high, missing = _pair(lower, upper, nan_policy)
    return SignProbabilities(_mean(low > 0, missing), _mean(high > 0, missing))


def contains(
    lower: Float[np.ndarray, "*lead"], upper: Float[np.ndarray, "*lead"], value: ArrayLike, *, atol: float = 0.0
) -> Bool[np.ndarray, "*lead"]:
    """Whether each interval contains a value; NaN intervals contain nothing.

    Examples
    --------
    >>> contains(np.array([0.0, 0.2]), np.array([0.5, 0.4]), 0.1).tolist()
    [True, False]
    """
    point = as_float("value", value)
    return np.asarray((np.asarray(lower) <= point + atol) & (point - atol <= np.asarray(upper)))
