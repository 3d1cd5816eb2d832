"""Argument checks that every part of the information package shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite, non_negative


def checked_pairs(
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


def checked_ridge(ridge: float) -> float:
    """Return the ridge as one number, finite and not negative."""
    value = non_negative("ridge", finite("ridge", ridge))
    if value.ndim:
        raise ValueError(f"ridge: must be one number, got shape {value.shape}")
    return float(value)


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
