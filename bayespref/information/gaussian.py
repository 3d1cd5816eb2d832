"""Information of Gaussian feature differences in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import finite, non_negative
from bayespref.information.checked import check_symmetric
from bayespref.information.labels import curvature


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


def sign_disagreement(
    w: Float[np.ndarray, "*lead feature"],
    other: Float[np.ndarray, " feature"],
    Sigma: Float[np.ndarray, "feature feature"],
) -> Float[np.ndarray, "*lead"]:
    """Share of Gaussian comparisons whose preferred side two coefficient vectors dispute: arccos(correlation) / pi.

    Parameters
    ----------
    w, other : array, shape (..., d) and (d,)
        Coefficients; leading axes of the first are kept.
    Sigma : array, shape (d, d)
        Covariance of the feature differences.

    Returns
    -------
    array, shape (...)
        NaN where a margin has no spread.

    Raises
    ------
    ValueError
        If Sigma is not symmetric positive semidefinite.

    Examples
    --------
    >>> round(float(sign_disagreement(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.eye(2))), 6)
    0.5
    """
    covariance = check_symmetric("Sigma", Sigma)
    one, two = finite("w", w), finite("other", other)
    along = one @ covariance
    size = (along * one).sum(axis=-1) * float(two @ covariance @ two)
    cosine = np.divide(along @ two, np.sqrt(np.where(size > 0, size, 1.0)))
    return np.asarray(np.where(size > 0, np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi, np.nan))
