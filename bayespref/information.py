"""Fisher information of comparisons: what one label is worth, in which direction, and where it is worth nothing.

Everything is **per label**: a matrix here is the mean over comparisons of ``g(w'dz) dz dz'``, with ``g = s(1 - s)`` the
variance of a logistic label and ``dz`` the feature difference of the pair. N labels carry N times that. Units: nats per
squared unit of the coefficients.

For Gaussian differences the closed form `gaussian_fisher` obeys ``a2 Sigma <= I <= a0 Sigma`` (positive semidefinite
order): along the coefficients information falls off like 1/s^3 in the scale s of the margins, across them like 1/s, so
strong preferences starve exactly the direction that decides them.

Source: Fisher information of the logistic choice model (Bradley and Terry 1952, *Biometrika* 39); Stein's identity for
the Gaussian form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bayespref.checks import finite, non_negative

ALONG_MARGIN = 2.3993572805154
"""Margin u at which one label says most about the scale of w: u tanh(u/2) = 2, log-odds. Across w the best is 0."""
LIPSCHITZ = 1.0 / (6.0 * np.sqrt(3.0))
"""Largest slope of g, per log-odds."""
SATURATED = 3.0
"""A margin beyond this (log-odds) leaves a label less than a fifth of its greatest information."""
_RANK = 1e-12
_TIE = 1e-8


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


def _pairs(
    dz: ArrayLike, w: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Checked differences (n, d), coefficients (..., d), and weights (n,) as given."""
    rows = finite("dz", dz)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"dz: must have shape (n, d) with d >= 1, got {rows.shape}")
    coefficients = finite("w", w)
    if coefficients.ndim == 0 or coefficients.shape[-1] != rows.shape[1]:
        raise ValueError(f"w: the last axis must have the {rows.shape[1]} features of dz, got {coefficients.shape}")
    if weights is None:
        return rows, coefficients, np.ones(len(rows))
    omega = non_negative("weights", finite("weights", weights))
    if omega.shape != (len(rows),):
        raise ValueError(f"weights: must have shape ({len(rows)},) as dz has rows, got {omega.shape}")
    return rows, coefficients, omega


def _ridge(ridge: float) -> float:
    value = non_negative("ridge", finite("ridge", ridge))
    if value.ndim:
        raise ValueError(f"ridge: must be one number, got shape {value.shape}")
    return float(value)


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
    rows, coefficients, omega = _pairs(dz, w, weights)
    ridge = _ridge(ridge)
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
    rows, coefficients, omega = _pairs(dz, draws, weights)
    if coefficients.ndim != 2 or not len(coefficients):
        raise ValueError(f"draws: must have shape (draw, d) with at least one draw, got {coefficients.shape}")
    d, total = rows.shape[1], omega.sum()
    if not total > 0:
        return np.full((d, d), np.nan)
    mean = np.zeros(len(rows))
    for one in coefficients:
        mean += curvature(rows @ one)
    return _second_moment(rows, omega / total * mean / len(coefficients)) + _ridge(ridge) * np.eye(d)


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
    rows, coefficients, omega = _pairs(dz, w, weights)
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
    rows, coefficients, omega = _pairs(dz, w, weights)
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


class Overlap(NamedTuple):
    """What an information matrix says about its worst direction; leading axes are kept.

    Attributes
    ----------
    lambda_min, lambda_max : array, shape (...)
        Extreme eigenvalues **without** the ridge.
    lambda_min_ridged, lambda_max_ridged : array, shape (...)
        The same with the ridge.
    kappa : array, shape (...)
        lambda_max / lambda_min; infinite when lambda_min <= 1e-12 lambda_max.
    kappa_inv : array, shape (...)
        1 / lambda_min: variance times N of the worst unit contrast; infinite in the same case.
    direction : array, shape (..., d)
        Unit eigenvector of lambda_min, its largest entry (in absolute value) positive.
    ambiguous : bool array, shape (...)
        Whether the next eigenvalue is within 1e-8 lambda_max, so that ``direction`` is one of many.
    multiplicity, null_dim : integer array, shape (...)
        Eigenvalues tied with the least, and eigenvalues that count as zero. A basis of the worst directions is
        ``vectors[..., :multiplicity]``, of the null space ``vectors[..., :null_dim]``.
    values, vectors : array, shape (..., d) and (..., d, d)
        Eigenvalues without the ridge, ascending, and eigenvectors in columns.
    reason : str array, shape (...)
        ``"no_overlap"`` where the matrix is NaN or has a null direction, ``""`` elsewhere.
    """

    lambda_min: NDArray[np.float64]
    lambda_max: NDArray[np.float64]
    lambda_min_ridged: NDArray[np.float64]
    lambda_max_ridged: NDArray[np.float64]
    kappa: NDArray[np.float64]
    kappa_inv: NDArray[np.float64]
    direction: NDArray[np.float64]
    ambiguous: Bool[np.ndarray, "*lead"]
    multiplicity: NDArray[np.int64]
    null_dim: NDArray[np.int64]
    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    reason: NDArray[np.str_]


def check_symmetric(name: str, matrices: ArrayLike, *, allow_nan: bool = False) -> NDArray[np.float64]:
    """Return matrices (..., d, d) as float64, refusing what is not square, symmetric, finite or semidefinite.

    Raises
    ------
    ValueError
        With the index of the first offender; semidefinite means no eigenvalue below -1e-10 times the norm.
    """
    values = np.asarray(matrices, dtype=np.float64)
    if values.ndim < 2 or values.shape[-1] != values.shape[-2] or not values.shape[-1]:
        raise ValueError(f"{name}: must have shape (..., d, d) with d >= 1, got {values.shape}")
    lost = np.asarray(np.isnan(values).any(axis=(-2, -1)) if allow_nan else np.zeros(values.shape[:-2], dtype=bool))
    filled = finite(name, np.where(lost[..., None, None], 0.0, values))
    norm = np.asarray(np.abs(filled).max(axis=(-2, -1)))
    skew = np.asarray(np.abs(filled - np.swapaxes(filled, -1, -2)).max(axis=(-2, -1)))
    if (skew > 1e-10 * norm).any():
        where = [tuple(int(i) for i in index) for index in np.argwhere(skew > 1e-10 * norm)[:5]]
        raise ValueError(f"{name}: must be symmetric; first bad matrices at {where}")
    filled = (filled + np.swapaxes(filled, -1, -2)) / 2
    least = np.linalg.eigvalsh(filled)[..., 0] if filled.size else np.zeros(norm.shape)
    bad = np.asarray(least < -1e-10 * norm * values.shape[-1])
    if bad.any():
        first = [(tuple(int(i) for i in index), float(least[tuple(index)])) for index in np.argwhere(bad)[:5]]
        raise ValueError(f"{name}: must be positive semidefinite; first bad (index, least eigenvalue) {first}")
    return np.where(lost[..., None, None], np.nan, filled)


def overlap(information: Float[np.ndarray, "*lead feature feature"], ridge: float = 0.0) -> Overlap:
    """Eigenvalues, condition numbers and worst direction of information matrices.

    With shift-invariant coefficients (item effects) hand in `quotient`, or the least eigenvalue is 0 by construction.

    Parameters
    ----------
    information : array, shape (..., d, d)
        Symmetric positive semidefinite; a matrix with NaN gives NaN and a reason.
    ridge : float
        What was added to the diagonal already (see `fisher`).

    Returns
    -------
    Overlap

    Raises
    ------
    ValueError
        If a matrix is not symmetric, or not positive semidefinite once the ridge is taken off.

    Examples
    --------
    >>> got = overlap(np.array([[1.0, 0.9], [0.9, 1.0]]))
    >>> round(float(got.lambda_min), 6), round(float(got.kappa), 6), got.direction.round(4).tolist()
    (0.1, 19.0, [0.7071, -0.7071])
    """
    ridge = _ridge(ridge)
    matrix = check_symmetric("information", information, allow_nan=True)
    d = matrix.shape[-1]
    lost = np.asarray(np.isnan(matrix).any(axis=(-2, -1)))
    values, vectors = np.linalg.eigh(np.where(lost[..., None, None], 0.0, matrix))
    with_ridge = values
    values = np.where(np.abs(values - ridge) <= _RANK * np.maximum(values[..., -1:], ridge), 0.0, values - ridge)
    if ridge and (values[..., 0] < -1e-10 * with_ridge[..., -1])[~lost].any():
        raise ValueError(f"ridge: {ridge:g} exceeds the least eigenvalue, so it cannot be part of the information")
    # Columns are unit vectors; the sign of each is fixed by its largest entry.
    top = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=-2, keepdims=True), axis=-2)
    vectors = np.where(lost[..., None, None], np.nan, vectors * np.where(top < 0, -1.0, 1.0))
    values = np.where(lost[..., None], np.nan, values)
    with_ridge = np.where(lost[..., None], np.nan, with_ridge)
    low, high = values[..., 0], values[..., -1]
    null = values <= _RANK * high[..., None]
    deficient = null.any(axis=-1)
    safe = np.where(deficient | lost, 1.0, low)
    multiplicity = np.where(lost, 0, (values - low[..., None] < _TIE * high[..., None]).sum(axis=-1))
    multiplicity = np.where(~lost & (high <= 0), d, multiplicity)
    return Overlap(
        low,
        high,
        with_ridge[..., 0],
        with_ridge[..., -1],
        np.where(lost, np.nan, np.where(deficient, np.inf, high / safe)),
        np.where(lost, np.nan, np.where(deficient, np.inf, 1.0 / safe)),
        vectors[..., 0],
        np.asarray(multiplicity > 1),
        multiplicity.astype(np.int64),
        null.sum(axis=-1).astype(np.int64),
        values,
        vectors,
        np.where(lost | deficient, "no_overlap", ""),
    )


def quotient_basis(component: Int[np.ndarray, " item"]) -> Float[np.ndarray, "item free"]:
    """Orthonormal basis of the contrasts that add to zero within every connected component.

    Item effects are fixed only up to one level per component; these are the directions that are left.

    Parameters
    ----------
    component : integer array, shape (A,)
        Component label of every item.

    Returns
    -------
    array, shape (A, A - K) for K components
        Helmert contrasts, component by component.

    Examples
    --------
    >>> quotient_basis(np.array([0, 0, 1])).round(4).tolist()
    [[0.7071], [-0.7071], [0.0]]
    """
    labels = np.asarray(component)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"component: must be one axis of integers, got {labels.dtype} {labels.shape}")
    columns = []
    for label in np.unique(labels):
        items = np.flatnonzero(labels == label)
        for k in range(1, len(items)):
            column = np.zeros(len(labels))
            column[items[:k]] = 1.0 / np.sqrt(k * (k + 1))
            column[items[k]] = -k / np.sqrt(k * (k + 1))
            columns.append(column)
    return np.stack(columns, axis=1) if columns else np.zeros((len(labels), 0))


def quotient(
    information: Float[np.ndarray, "*lead item item"], component: Int[np.ndarray, " item"]
) -> Float[np.ndarray, "*lead free free"]:
    """Information about item effects with the gauge (one level per component) taken out.

    Raises
    ------
    ValueError
        If no contrast is left: every item is a component of its own.

    Examples
    --------
    >>> laplacian = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> quotient(laplacian, np.array([0, 0])).round(6).tolist()
    [[2.0]]
    """
    basis = quotient_basis(component)
    if not basis.shape[1]:
        raise ValueError("component: every item is alone, so no contrast is left to have information about")
    matrix = np.asarray(information, dtype=np.float64)
    if matrix.ndim < 2 or matrix.shape[-2:] != (len(basis), len(basis)):
        raise ValueError(f"information: must have shape (..., {len(basis)}, {len(basis)}), got {matrix.shape}")
    return np.asarray(basis.T @ matrix @ basis)


class Saturation(NamedTuple):
    """How much of the greatest possible information the margins leave.

    Attributes
    ----------
    mean_curvature : array, shape (...)
        E[g(u)], at most 1/4.
    relative : array, shape (...)
        4 E[g(u)], in (0, 1].
    share_saturated : array, shape (...)
        Share of comparisons with a margin beyond 3 log-odds.
    """

    mean_curvature: NDArray[np.float64]
    relative: NDArray[np.float64]
    share_saturated: NDArray[np.float64]


def saturation(dz: Float[np.ndarray, "n feature"], w: Float[np.ndarray, "*draw feature"]) -> Saturation:
    """Mean curvature of the labels and share of margins beyond 3 log-odds; NaN without comparisons.

    Parameters
    ----------
    dz : float array, shape (n, feature)
        Feature differences of the comparisons.
    w : float array, shape (..., feature)
        Coefficients, log-odds per unit; leading axes (draws) are kept.

    Returns
    -------
    Saturation
        Mean of ``g(u)``, four times it (1 where every margin is 0), and the share of ``|u| > 3``.

    Examples
    --------
    >>> saturation(np.array([[0.0], [4.0]]), np.ones(1)).share_saturated.tolist()
    0.5
    """
    rows, coefficients, _ = _pairs(dz, w, None)
    if not len(rows):
        nothing = np.full(coefficients.shape[:-1], np.nan)
        return Saturation(nothing, nothing.copy(), nothing.copy())
    margin = coefficients @ rows.T
    mean = np.asarray(curvature(margin).mean(axis=-1))
    return Saturation(mean, 4.0 * mean, np.asarray((np.abs(margin) > SATURATED).mean(axis=-1)))


class QuadrantMass(NamedTuple):
    """Share of comparisons by the signs of two feature differences.

    Attributes
    ----------
    pp, pm, mp, mm, zero : float
        Shares with signs (+,+), (+,-), (-,+), (-,-), and with a zero in either feature.
    antipodal_min : float
        min(pp + mm, pm + mp). Information cannot tell a pair from its swap, so only an empty antipodal pair, not an
        empty quadrant, leaves a trade-off unlearned.
    lambda_min : float
        Least eigenvalue of E[s s'] for the signs s of the comparisons without a zero: 2 antipodal_min / (1 - zero).
    lambda_min_position : float
        The same with a column of ones (a position bias): three quadrants suffice, two adjacent ones do not.
    lambda_min_interaction : float
        The same with the product of the signs as well: needs all four.
    """

    pp: float
    pm: float
    mp: float
    mm: float
    zero: float
    antipodal_min: float
    lambda_min: float
    lambda_min_position: float
    lambda_min_interaction: float


def quadrant_mass(
    dz: Float[np.ndarray, "n feature"], i: int, j: int, weights: Float[np.ndarray, " n"] | None = None
) -> QuadrantMass:
    """Mass of the sign quadrants of features i and j, and what their signs alone identify.

    Parameters
    ----------
    dz : array, shape (n, d)
        Feature differences.
    i, j : int
        Two different features.
    weights : array, shape (n,), optional
        Relative weights.

    Returns
    -------
    QuadrantMass
        NaN throughout without comparisons; NaN eigenvalues if every comparison has a zero.

    Raises
    ------
    ValueError
        If i or j is not a feature, or they are the same.

    Examples
    --------
    >>> got = quadrant_mass(np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]), 0, 1)
    >>> round(got.lambda_min, 6), round(got.lambda_min_position, 6), round(abs(got.lambda_min_interaction), 6)
    (0.666667, 0.333333, 0.0)
    """
    rows = finite("dz", dz)
    rows, _, omega = _pairs(rows, np.zeros(rows.shape[-1] if rows.ndim else 0), weights)
    for name, index in (("i", i), ("j", j)):
        if not 0 <= index < rows.shape[1]:
            raise ValueError(f"{name}: must be a feature in 0..{rows.shape[1] - 1}, got {index}")
    if i == j:
        raise ValueError(f"j: must differ from i, got {i} twice")
    total = omega.sum()
    if not total > 0:
        return QuadrantMass(*[float("nan")] * 9)
    first, second = np.sign(rows[:, i]), np.sign(rows[:, j])

    def share(mask: NDArray[np.bool_]) -> float:
        return float(omega[mask].sum() / total)

    pp, pm = share((first > 0) & (second > 0)), share((first > 0) & (second < 0))
    mp, mm = share((first < 0) & (second > 0)), share((first < 0) & (second < 0))
    kept = pp + pm + mp + mm
    signs = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).T  # rows 1, s, s', s s'
    moment = (signs * np.array([pp, pm, mp, mm])) @ signs.T / kept if kept > 0 else np.full((4, 4), np.nan)
    signs_only, position, interaction = ([1, 2], [0, 1, 2], [0, 1, 2, 3])
    least = [
        float(np.linalg.eigvalsh(moment[np.ix_(c, c)])[0]) if kept > 0 else float("nan")
        for c in (signs_only, position, interaction)
    ]
    return QuadrantMass(pp, pm, mp, mm, 1.0 - kept, min(pp + mm, pm + mp), *least)


class GaussianCurvature(NamedTuple):
    """Moments a0 = E g(s x) and a2 = E x^2 g(s x) for a standard normal x."""

    a0: NDArray[np.float64]
    a2: NDArray[np.float64]


def gaussian_curvature(s: Float[np.ndarray, "*lead"]) -> GaussianCurvature:
    """Curvature of Gaussian margins with standard deviation s, across (a0) and along (a2) the coefficients.

    Trapezoid rule, in x for s <= 1 and in u = s x above: the poles of g then stay a fixed distance from the axis, so
    the error is below 1e-13 at every s (Gauss-Hermite converges slowly for large s). Tails: a0 ~ .398942 / s and
    a2 ~ 1.312467 / s^3.

    Parameters
    ----------
    s : array
        Standard deviation of w'dz, log-odds, >= 0.

    Returns
    -------
    GaussianCurvature

    Examples
    --------
    >>> [round(float(a), 8) for a in gaussian_curvature(np.array(3.0))]
    [0.1148379, 0.02784333]
    """
    scale = non_negative("s", finite("s", s))
    flat = scale.reshape(-1, 1)
    grid = np.arange(-1200, 1201) / 100.0
    step = np.where(flat > 1, 4.0, 1.0) / 100.0
    x = np.where(flat > 1, 4.0 * grid / np.maximum(flat, 1.0), grid)
    step = np.where(flat > 1, step / np.maximum(flat, 1.0), step)
    mass = step * np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi) * curvature(flat * x)
    return GaussianCurvature(mass.sum(axis=-1).reshape(scale.shape), (mass * x**2).sum(axis=-1).reshape(scale.shape))


def gaussian_fisher(
    Sigma: Float[np.ndarray, "*lead feature feature"], w: Float[np.ndarray, "*lead feature"]
) -> Float[np.ndarray, "*lead feature feature"]:
    """Information per label when dz is normal with mean zero and covariance Sigma.

    I = a0 Sigma - (a0 - a2) Sigma w w' Sigma / s^2 with s^2 = w' Sigma w (Sigma / 4 where s = 0), hence
    a2 Sigma <= I <= a0 Sigma: the first is reached when w is an eigenvector of the least eigenvalue, the second when w
    is orthogonal to one.

    Parameters
    ----------
    Sigma : array, shape (..., d, d)
        Covariances of the differences.
    w : array, shape (..., d)
        Coefficients; leading axes broadcast.

    Returns
    -------
    array, shape (..., d, d)

    Raises
    ------
    ValueError
        If Sigma is not symmetric positive semidefinite, or shapes disagree.

    Examples
    --------
    >>> gaussian_fisher(np.eye(2), np.array([3.0, 0.0])).round(8).tolist()
    [[0.02784333, 0.0], [0.0, 0.1148379]]
    """
    covariance = check_symmetric("Sigma", Sigma)
    coefficients = finite("w", w)
    if coefficients.ndim == 0 or coefficients.shape[-1] != covariance.shape[-1]:
        raise ValueError(f"w: the last axis must have {covariance.shape[-1]} features, got {coefficients.shape}")
    along = np.einsum("...ij,...j->...i", covariance, coefficients)
    square = np.maximum((along * coefficients).sum(axis=-1), 0.0)
    a0, a2 = gaussian_curvature(np.sqrt(square))
    # As s -> 0, (a0 - a2) / s^2 tends to 1/8; below 1e-8 the difference would be rounding.
    ratio = np.where(square > 1e-8, (a0 - a2) / np.where(square > 1e-8, square, 1.0), 0.125)
    outer = along[..., :, None] * along[..., None, :]
    return np.asarray(a0[..., None, None] * covariance - ratio[..., None, None] * outer)


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
    rows, _, _ = _pairs(dz, np.zeros(np.asarray(dz).shape[-1]), None)
    limit = non_negative("distance", finite("distance", distance))
    if not len(rows):
        return float("nan")
    return float(LIPSCHITZ * (np.linalg.norm(rows, axis=1) ** 3).mean() * limit)
