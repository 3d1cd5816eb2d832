"""Fisher information per label: of comparisons, of buckets of them, and about latent types."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import expit

from bayespref.checks import finite, non_negative
from bayespref.display import shown
from bayespref.information.checked import checked_pairs, checked_ridge

LIPSCHITZ = 1.0 / (6.0 * np.sqrt(3.0))
"""Largest slope of g, per log-odds."""


def curvature(u: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Variance of a logistic label at margin u: g(u) = s(u) s(-u), at most 1/4, without cancellation.

    Parameters
    ----------
    u : array
        Margins, log-odds.

    Returns
    -------
    array of the same shape

    Examples
    --------
    >>> curvature(np.array([0.0, 2.0])).round(6).tolist()
    [0.25, 0.104994]
    """
    return np.asarray(expit(u) * expit(-np.asarray(u)))


def _second_moment(rows: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of factor * row row' for every leading index of factor (..., n); NaN without rows or weight."""
    lead, d = factor.shape[:-1], rows.shape[1]
    out = np.empty((int(np.prod(lead)), d, d))
    for k, one in enumerate(factor.reshape(len(out), len(rows))):
        out[k] = rows.T @ (one[:, None] * rows)
    return (out + np.swapaxes(out, -1, -2)).reshape(*lead, d, d) / 2


def fisher(
    dz: Float[np.ndarray, "n feature"],
    w: Float[np.ndarray, "*draw feature"],
    weights: Float[np.ndarray, " n"] | None = None,
    ridge: float = 0.0,
) -> Float[np.ndarray, "*draw feature feature"]:
    """Information per label: mean over comparisons of weight * g(w'dz) dz dz', plus ridge times the identity.

    Parameters
    ----------
    dz : array, shape (n, d)
        Feature differences; swapping the sides of a pair changes nothing.
    w : array, shape (..., d)
        Coefficients, log-odds per feature; leading axes (posterior draws, types) are kept.
    weights : array, shape (n,), optional
        Relative weights of the comparisons, rescaled to sum to n.
    ridge : float
        Added once to the diagonal (a prior, not data); hand the same number to `overlap`.

    Returns
    -------
    array, shape (..., d, d)
        NaN if there is no comparison or no weight: no data is not zero information with certainty.

    Raises
    ------
    ValueError
        If a value is not finite, a weight or the ridge is negative, or shapes disagree.

    Examples
    --------
    >>> fisher(np.eye(2), np.zeros(2)).tolist()
    [[0.125, 0.0], [0.0, 0.125]]
    """
    rows, coefficients, omega = checked_pairs(dz, w, weights)
    ridge = checked_ridge(ridge)
    total = omega.sum()
    share = omega / total if total > 0 else np.full(len(rows), np.nan)
    d = rows.shape[1]
    if not total > 0:
        return np.full((*coefficients.shape[:-1], d, d), np.nan)
    return _second_moment(rows, share * curvature(coefficients @ rows.T)) + ridge * np.eye(d)


def mean_fisher(
    dz: Float[np.ndarray, "n feature"],
    draws: Float[np.ndarray, "draw feature"],
    weights: Float[np.ndarray, " n"] | None = None,
    ridge: float = 0.0,
) -> Float[np.ndarray, "feature feature"]:
    """Information per label averaged over posterior draws of the coefficients, at the cost of one matrix.

    Examples
    --------
    >>> draws = np.array([[0.0, 0.0], [2.0, 0.0]])
    >>> bool(np.allclose(mean_fisher(np.eye(2), draws), fisher(np.eye(2), draws).mean(axis=0)))
    True
    """
    rows, coefficients, omega = checked_pairs(dz, draws, weights)
    if coefficients.ndim != 2 or not len(coefficients):
        raise ValueError(f"draws: must have shape (draw, d) with at least one draw, got {coefficients.shape}")
    d, total = rows.shape[1], omega.sum()
    if not total > 0:
        return np.full((d, d), np.nan)
    mean = np.zeros(len(rows))
    for one in coefficients:
        mean += curvature(rows @ one)
    return _second_moment(rows, omega / total * mean / len(coefficients)) + checked_ridge(ridge) * np.eye(d)


@shown(next_step="overlap(information) names the worst direction of each bucket")
class BucketInformation(NamedTuple):
    """Information per label of every bucket.

    Attributes
    ----------
    information : array, shape (K, ..., d, d)
        NaN in a bucket without comparisons (or without weight).
    counts : integer array, shape (K,)
        Comparisons per bucket.
    reason : str array, shape (K,)
        ``"no_overlap"`` where the matrix is NaN, ``""`` elsewhere.
    """

    information: NDArray[np.float64]
    counts: NDArray[np.int64]
    reason: NDArray[np.str_]


def fisher_by(
    dz: Float[np.ndarray, "n feature"],
    w: Float[np.ndarray, "*draw feature"],
    bucket: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"] | None = None,
    ridge: float = 0.0,
    n_buckets: int | None = None,
) -> BucketInformation:
    """Information per label within each bucket (a state, a locale, an environment).

    Parameters
    ----------
    dz, w, weights, ridge
        As in `fisher`; weights are rescaled within each bucket.
    bucket : integer array, shape (n,)
        Codes 0, 1, ...
    n_buckets : int, optional
        Number of buckets K, so that empty ones at the end are not forgotten; the largest code plus one by default.

    Returns
    -------
    BucketInformation

    Raises
    ------
    ValueError
        If a code is negative or not below ``n_buckets``, or an argument breaks a rule of `fisher`.

    Examples
    --------
    >>> got = fisher_by(np.eye(2), np.zeros(2), np.array([0, 2]))
    >>> got.counts.tolist(), got.reason.tolist(), bool(np.isnan(got.information[1]).all())
    ([1, 0, 1], ['', 'no_overlap', ''], True)
    """
    rows, coefficients, omega = checked_pairs(dz, w, weights)
    codes = np.asarray(bucket)
    if codes.shape != (len(rows),) or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"bucket: must be integers of shape ({len(rows)},), got {codes.dtype} {codes.shape}")
    size = int(codes.max(initial=-1)) + 1 if n_buckets is None else n_buckets
    bad = (codes < 0) | (codes >= size)
    if bad.any():
        raise ValueError(f"bucket: codes must lie in 0..{size - 1}; first bad values {codes[bad][:5].tolist()}")
    parts = [fisher(rows[codes == k], coefficients, omega[codes == k], ridge) for k in range(size)]
    d = rows.shape[1]
    information = np.stack(parts) if parts else np.empty((0, *coefficients.shape[:-1], d, d))
    empty = np.isnan(information.reshape(size, -1)).any(axis=1)
    return BucketInformation(
        information, np.bincount(codes, minlength=size).astype(np.int64), np.where(empty, "no_overlap", "")
    )


@shown(next_step="compare known with single: the price of not knowing the type")
class TypeInformation(NamedTuple):
    """Information per label about each latent type's coefficients.

    Attributes
    ----------
    known : array, shape (C, d, d)
        If the type of whoever answered were seen: mean of P(c) g(u_c) dz dz'. An upper bound.
    single : array, shape (C, d, d)
        Diagonal blocks if every answer comes from another annotator of unseen type. Several answers per annotator lie
        between the two (the missing-information principle, Orchard and Woodbury 1972).
    """

    known: NDArray[np.float64]
    single: NDArray[np.float64]


def fisher_by_type(
    dz: Float[np.ndarray, "n feature"],
    w: Float[np.ndarray, "type feature"],
    membership: Float[np.ndarray, "n type"],
    weights: Float[np.ndarray, " n"] | None = None,
) -> TypeInformation:
    """Information per label about type c's coefficients, given who answers.

    Parameters
    ----------
    dz, weights
        As in `fisher`.
    w : array, shape (C, d)
        Coefficients of each type, log-odds per feature.
    membership : array, shape (n, C)
        Probability that the annotator of a comparison is of type c; rows sum to one.

    Returns
    -------
    TypeInformation

    Raises
    ------
    ValueError
        If a row of ``membership`` is not a distribution, or an argument breaks a rule of `fisher`.

    Examples
    --------
    >>> got = fisher_by_type(np.eye(1), np.zeros((2, 1)), np.array([[0.5, 0.5]]))
    >>> got.known.ravel().tolist(), got.single.ravel().tolist()
    ([0.125, 0.125], [0.0625, 0.0625])
    """
    rows, coefficients, omega = checked_pairs(dz, w, weights)
    share = non_negative("membership", finite("membership", membership))
    if coefficients.ndim != 2 or share.shape != (len(rows), len(coefficients)):
        raise ValueError(
            f"membership: must have shape (n, C) for w of shape (C, d), got {share.shape} and {coefficients.shape}"
        )
    off = np.abs(share.sum(axis=1) - 1) > 1e-8
    if off.any():
        raise ValueError(f"membership: rows must sum to one; first bad rows {np.flatnonzero(off)[:5].tolist()}")
    total, d = omega.sum(), rows.shape[1]
    if not total > 0:
        nothing = np.full((len(coefficients), d, d), np.nan)
        return TypeInformation(nothing, nothing.copy())
    margin = coefficients @ rows.T
    flow = share.T * curvature(margin)
    above, below = (share.T * expit(margin)).sum(axis=0), (share.T * expit(-margin)).sum(axis=0)
    known = _second_moment(rows, omega / total * flow)
    # The score of a mixture's label is P(c) g(u_c) dz / P(y): its mean square has P(1 - P) below.
    return TypeInformation(known, _second_moment(rows, omega / total * flow**2 / (above * below)))


def plugin_error_bound(dz: Float[np.ndarray, "n feature"], distance: float) -> float:
    """Bound the spectral error of `fisher` at an estimate: E||dz||^3 ||w - w_hat|| / (6 sqrt 3).

    Parameters
    ----------
    dz : array, shape (n, d)
        Feature differences.
    distance : float
        A bound on the Euclidean error of the coefficients.

    Returns
    -------
    float
        NaN without comparisons.

    Examples
    --------
    >>> round(plugin_error_bound(np.eye(2), 1.0), 7)
    0.096225
    """
    rows, _, _ = checked_pairs(dz, np.zeros(np.asarray(dz).shape[-1]), None)
    limit = non_negative("distance", finite("distance", distance))
    if not len(rows):
        return float("nan")
    return float(LIPSCHITZ * (np.linalg.norm(rows, axis=1) ** 3).mean() * limit)
