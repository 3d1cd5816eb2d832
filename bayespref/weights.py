"""Importance weights as plain arrays: rescaling, clipping, effective sample size and what the tail carries.

Source: effective sample size of weighted means (Kish 1965, *Survey Sampling*).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite, non_negative
from bayespref.display import shown

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Levels of the quantiles that `tail` reports."""


def _weights(w: ArrayLike) -> NDArray[np.float64]:
    values = non_negative("w", finite("w", w))
    if values.ndim == 0 or not values.shape[-1]:
        raise ValueError(f"w: needs at least one weight on the last axis, got shape {values.shape}")
    return values


def effective_sample_size(w: Float[np.ndarray, "*lead n"]) -> Float[np.ndarray, "*lead"]:
    """Effective number of rows, (sum w)^2 / sum w^2, between 1 and n.

    Parameters
    ----------
    w : array, shape (..., n)
        Weights >= 0, on any scale.

    Returns
    -------
    array, shape (...)
        NaN where every weight is zero.

    Raises
    ------
    ValueError
        If a weight is negative, NaN or infinite, or there is none.

    Examples
    --------
    >>> round(float(effective_sample_size(np.array([0.2, 0.5, 1.0, 1.0, 4.0]))), 8)
    2.45434664
    """
    values = _weights(w)
    top = values.max(axis=-1, keepdims=True)
    scaled = values / np.where(top > 0, top, 1.0)  # squares of tiny or huge weights would under- or overflow
    square = (scaled**2).sum(axis=-1)
    return np.asarray(np.where(square > 0, scaled.sum(axis=-1) ** 2 / np.where(square > 0, square, 1.0), np.nan))


def normalise(w: Float[np.ndarray, "*lead n"]) -> Float[np.ndarray, "*lead n"]:
    """Weights with mean one along the last axis (self-normalised); NaN where every weight is zero.

    Examples
    --------
    >>> normalise(np.array([1.0, 3.0])).tolist()
    [0.5, 1.5]
    """
    values = _weights(w)
    top = values.max(axis=-1, keepdims=True)
    scaled = values / np.where(top > 0, top, 1.0)
    mean = scaled.mean(axis=-1, keepdims=True)
    return np.asarray(np.where(mean > 0, scaled / np.where(mean > 0, mean, 1.0), np.nan))


def clip(w: Float[np.ndarray, "*lead n"], cap: float) -> Float[np.ndarray, "*lead n"]:
    """Weights cut at ``cap``: less variance, another target. Self-normalise after, and report that target.

    Examples
    --------
    >>> clip(np.array([0.5, 4.0]), 2.0).tolist()
    [0.5, 2.0]
    """
    values = _weights(w)
    limit = float(finite("cap", cap))
    if not limit > 0:
        raise ValueError(f"cap: must be > 0, got {limit!r}")
    return np.minimum(values, limit)


@shown(
    "n_eff {n_eff}, top 1 % carries {top_share}",
    next_step="a mean off one means wrong propensities; a heavy tail means a few rows decide",
)
class Tail(NamedTuple):
    """How far a few rows carry a weighted mean.

    Attributes
    ----------
    n_eff : array, shape (...)
        Effective sample size.
    share_eff : array, shape (...)
        n_eff / n.
    mean, mean_se : array, shape (...)
        Mean weight and its standard error (rows independent); NaN error for one row.
    mean_off : bool array, shape (...)
        Whether the mean is more than three standard errors from one: then the propensities are wrong. False, and not
        evidence of anything, where the standard error is NaN.
    mean_square, maximum : array, shape (...)
        Mean of w^2, and the largest weight.
    top_share : array, shape (...)
        Share of the total carried by the largest 1 % of rows (at least one row).
    quantiles : array, shape (..., 7)
        At `QUANTILES`.
    """

    n_eff: NDArray[np.float64]
    share_eff: NDArray[np.float64]
    mean: NDArray[np.float64]
    mean_se: NDArray[np.float64]
    mean_off: NDArray[np.bool_]
    mean_square: NDArray[np.float64]
    maximum: NDArray[np.float64]
    top_share: NDArray[np.float64]
    quantiles: NDArray[np.float64]


def tail(w: Float[np.ndarray, "*lead n"]) -> Tail:
    """Tail diagnostics of weights that should have mean one.

    Parameters
    ----------
    w : array, shape (..., n)
        Weights >= 0, not rescaled: the mean is part of the diagnosis.

    Returns
    -------
    Tail

    Raises
    ------
    ValueError
        As in `effective_sample_size`.

    Examples
    --------
    >>> got = tail(np.array([0.2, 0.5, 1.0, 1.0, 4.0]))
    >>> round(float(got.top_share), 8), float(got.maximum)
    (0.59701493, 4.0)
    """
    values = _weights(w)
    n = values.shape[-1]
    n_eff = effective_sample_size(values)
    mean = np.asarray(values.mean(axis=-1))
    error = np.asarray(values.std(axis=-1, ddof=1) / np.sqrt(n)) if n > 1 else np.full(mean.shape, np.nan)
    top = np.sort(values, axis=-1)[..., n - max(1, -(-n // 100)) :].sum(axis=-1)
    total = values.sum(axis=-1)
    return Tail(
        n_eff,
        n_eff / n,
        mean,
        error,
        np.asarray(np.abs(mean - 1.0) > 3.0 * error + 1e-12),
        np.asarray((values**2).mean(axis=-1)),
        np.asarray(values.max(axis=-1)),
        np.asarray(np.where(total > 0, top / np.where(total > 0, total, 1.0), np.nan)),
        np.moveaxis(np.quantile(values, QUANTILES, axis=-1), 0, -1),
    )
