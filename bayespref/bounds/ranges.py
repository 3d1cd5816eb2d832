"""What the type-free bounds share: their result, and the checks of Gamma, shares and reward ranges."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from bayespref.checks import between, finite, one_of
from bayespref.display import shown
from bayespref.errors import DroppedDraws, InfeasibleMixtureError

ON_REFUTED = ("raise", "nan")
_ROUNDING = 1e-12


@shown(
    "between {lower} and {upper}; sharp: {sharp}",
    next_step="use the interval; where it is wide, an assumption or more comparisons shrink it",
)
class Bounds(NamedTuple):
    """An interval for every cell, and what it rests on.

    Attributes
    ----------
    lower, upper : ndarray
        Ends of the interval, in the unit the function states; NaN where the draw refutes the reward range.
    sharp : bool
        Whether every value inside is attained by some world that fits the data and the assumptions.
    assumptions : tuple of str
        What the interval takes for granted.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    sharp: bool
    assumptions: tuple[str, ...]


def reward_span(reward_range: float | tuple[float, float]) -> float:
    """Return R = M - m from a range ``(m, M)`` or from R itself, log-odds.

    Raises
    ------
    ValueError
        If the range is not finite or its upper end lies below its lower end.

    Examples
    --------
    >>> reward_span((0.0, 1.0)), reward_span(2.5)
    (1.0, 2.5)
    """
    ends = finite("reward_range", reward_range)
    if ends.shape not in ((), (2,)):
        raise ValueError(f"reward_range: must be a number R or a pair (m, M), got shape {ends.shape}")
    span = float(ends) if ends.ndim == 0 else float(ends[1] - ends[0])
    if span < 0:
        raise ValueError(f"reward_range: the upper end must not lie below the lower end, got {reward_range!r}")
    return span


def check_gamma(name: str, gamma: ArrayLike) -> NDArray[np.float64]:
    """Return Gamma as float64, refusing what is below 1, NaN or infinite."""
    return between(name, gamma, 1.0, float(np.finfo(np.float64).max))


def interior(name: str, p: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities as float64, refusing what is not strictly between 0 and 1."""
    array = between(name, p, 0.0, 1.0)
    bad = (array <= 0.0) | (array >= 1.0)
    if bad.any():
        first = [tuple(int(j) for j in i) for i in np.argwhere(bad)[:5]]
        raise ValueError(
            f"{name}: must lie strictly between 0 and 1, because its log-odds are used; "
            f"{int(bad.sum())} value(s) are 0 or 1, first at {first}"
        )
    return array


def inside_range(p: NDArray[np.float64], span: float, on_refuted: str) -> NDArray[np.float64]:
    """Return ``p`` with NaN (or an error) where no mixture of differences in [-R, R] can produce it."""
    one_of("on_refuted", on_refuted, ON_REFUTED)
    bad = (p < expit(-span) - _ROUNDING) | (p > expit(span) + _ROUNDING)
    if not bad.any():
        return p
    with np.errstate(divide="ignore"):
        needed = float(np.max(np.abs(logit(p[bad]))))
    message = (
        f"p: {int(bad.sum())} of {p.size} value(s) lie outside [{expit(-span):.6f}, {expit(span):.6f}], which is all "
        f"that differences within {span:g} log-odds can produce; first {p[bad][:5].tolist()}. "
        f"The range must be at least {needed:.6f} log-odds"
    )
    if on_refuted == "raise":
        raise InfeasibleMixtureError(message + "; declare a wider range, or on_refuted='nan'.")
    warnings.warn(message + "; those values are NaN.", DroppedDraws, stacklevel=3)
    return np.where(bad, np.nan, p)
