"""What a linear model can estimate: contrasts in the row space of what was compared, and which of those are finite.

With rewards ``x_i' w`` a comparison of i and j speaks about ``(x_i - x_j)' w``. A contrast is estimable if it lies in
the row space of the compared differences, whatever the graph of items looks like: the structure carries the answer. Its
estimate without a prior is finite if no direction of w that contradicts no outcome changes it (Albert and Anderson
1984, Biometrika 71, 1-10). For indicator features the two are connectedness and strong connectedness of the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, identity

from bayespref.checks import finite, non_negative

RANK_TOLERANCE = 1e-9
"""Singular values below this share of the largest count as zero, features scaled to unit root mean square."""
_INSIDE = 1e-7


class Estimable(NamedTuple):
    """Row spaces of compared differences, as orthonormal rows over scaled features.

    Attributes
    ----------
    scale : float array, shape (feature,)
        What feature differences are multiplied by before rank is judged.
    basis : float array, shape (rank, feature)
        Directions the comparisons speak about.
    finite_basis : float array, shape (finite rank, feature)
        Those of them whose estimate without a prior is finite.
    """

    scale: Float[np.ndarray, " feature"]
    basis: Float[np.ndarray, "rank feature"]
    finite_basis: Float[np.ndarray, "finite feature"]

    def holds(self, contrast: Float[np.ndarray, "*batch feature"]) -> Bool[np.ndarray, "*batch"]:
        """Whether each contrast (feature differences) lies in the row space."""
        return _inside(np.asarray(contrast) * self.scale, self.basis)

    def holds_finite(self, contrast: Float[np.ndarray, "*batch feature"]) -> Bool[np.ndarray, "*batch"]:
        """Whether its estimate without a prior is finite too."""
        return _inside(np.asarray(contrast) * self.scale, self.finite_basis)


def estimable_contrasts(
    difference: Float[np.ndarray, "pair feature"],
    wins: Float[np.ndarray, " pair"],
    losses: Float[np.ndarray, " pair"],
) -> Estimable:
    """Row space of the compared differences, and the part of it with finite estimates.

    Parameters
    ----------
    difference : float array, shape (pair, feature)
        Features of the first item less those of the second.
    wins, losses : float array, shape (pair,)
        Weight with which the first, or the second, item won; ties half each way. Pairs without either are ignored.

    Returns
    -------
    Estimable

    Raises
    ------
    ValueError
        If shapes disagree, weights are negative or features are not finite.

    Notes
    -----
    Directions that contradict no outcome form a cone {w : d_k'w >= 0 for every win}; what it leaves fixed are the rows
    that are zero throughout it, found by one linear program (maximise the number of rows that can be positive).

    Examples
    --------
    >>> got = estimable_contrasts(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3.0, 2.0]), np.array([1.0, 0.0]))
    >>> wanted = np.array([[2.0, 0.0], [1.0, 1.0]])
    >>> got.holds(wanted).tolist(), got.holds_finite(wanted).tolist()
    ([True, True], [True, False])
    """
    rows = finite("difference", difference)
    won, lost = non_negative("wins", wins), non_negative("losses", losses)
    if rows.ndim != 2 or won.shape != rows.shape[:1] or lost.shape != won.shape:
        raise ValueError(
            f"difference, wins, losses: need (pair, d), (pair,), got {rows.shape}, {won.shape}, {lost.shape}"
        )
    used = (won + lost) > 0
    rows, won, lost = rows[used], won[used], lost[used]
    size = np.sqrt((rows**2).mean(axis=0)) if len(rows) else np.ones(rows.shape[1])
    scale = np.where(size > 0, 1.0 / np.where(size > 0, size, 1.0), 1.0)
    # Contrasts are multiplied by the scale, so w is divided by it: row spaces do not care, ranks are judged fairly.
    rows = rows * scale
    basis = _basis(rows)
    both = (won > 0) & (lost > 0)
    settled = _basis(rows[both])
    if len(settled) == len(basis):
        return Estimable(scale, basis, basis)
    directed = np.where(won > 0, 1.0, -1.0)[~both, None] * rows[~both]
    return Estimable(scale, basis, _basis(np.concatenate([rows[both], directed[_never_positive(directed, settled)]])))


def _never_positive(rows: NDArray[np.float64], fixed: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows that are zero for every w with ``rows @ w >= 0`` and ``fixed @ w = 0``."""
    free = _null(fixed)
    seen = rows @ free
    n, d = seen.shape
    # maximise sum t with seen w >= t, 0 <= t <= 1: the cone has no scale, so t is 1 wherever a row can be positive.
    left = hstack([csr_array(-seen), identity(n, format="csr")], format="csr")
    cost = np.concatenate([np.zeros(d), -np.ones(n)])
    bounds = [(None, None)] * d + [(0.0, 1.0)] * n
    found = linprog(cost, A_ub=left, b_ub=np.zeros(n), bounds=bounds, method="highs")
    if not found.success:  # w = 0 is feasible and the cost is bounded, so only the solver can fail
        raise ArithmeticError(f"the linear program for separation failed: {found.message}")
    return np.asarray(found.x)[d:] < 0.5


def _basis(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(rows):
        return np.zeros((0, rows.shape[1]))
    _, singular, right = np.linalg.svd(np.linalg.qr(rows, mode="r"))
    return np.asarray(right[: int((singular > RANK_TOLERANCE * max(singular[0], 1e-300)).sum())])


def _null(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    d = basis.shape[1]
    if not len(basis):
        return np.eye(d)
    return np.asarray(np.linalg.svd(basis, full_matrices=True)[2][len(basis) :].T)


def _inside(contrast: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.bool_]:
    outside = contrast - (contrast @ basis.T) @ basis
    return np.asarray(np.linalg.norm(outside, axis=-1) <= _INSIDE * np.linalg.norm(contrast, axis=-1))
