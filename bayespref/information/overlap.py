"""Worst directions of an information matrix, and item effects without their gauge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayespref.display import shown
from bayespref.information.checked import check_symmetric, checked_ridge

_RANK = 1e-12
_TIE = 1e-8


@shown("least informed direction {lambda_min} per label", next_step="collect comparisons along the direction")
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
    ridge = checked_ridge(ridge)
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
