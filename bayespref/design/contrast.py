"""Designs for one question: the mixture that makes the variance of a named combination of coefficients small."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bayespref.checks import between, finite
from bayespref.design.mixture import Mixture, optimal_mixture
from bayespref.display import shown
from bayespref.information import check_symmetric


@shown("variance {variance} per label", next_step="collect in these shares")
class ContrastDesign(NamedTuple):
    """A mixture for one combination of coefficients.

    Attributes
    ----------
    design : Mixture
        Its ``value``, ``upper_bound`` and ``gap`` are of the compromise minimised, in units of the contrast's length.
    variance : float
        Variance of the combination times the number of labels, c' I^-1 c.
    information : float array, shape (d, d)
        Information per label of the mixture.
    """

    design: Mixture
    variance: float
    information: Float[np.ndarray, "d d"]


def contrast_mixture(
    M: Float[np.ndarray, "action d d"], contrast: Float[np.ndarray, " d"], *, slack: float = 0.03
) -> ContrastDesign:
    """Minimise the variance of one combination of coefficients, with a small weight on all others.

    The weight keeps the others identified: a design for the combination alone may leave them open, and then it cannot
    be checked. It is the A-criterion in a basis whose first vector is the contrast and whose others are shortened to
    ``slack``: variance / |c|^2 + slack^2 (variances of the orthogonal directions).

    Parameters
    ----------
    M : array, shape (A, d, d)
        Information per label of every action.
    contrast : array, shape (d,)
        The combination c, not zero.
    slack : float
        Weight of the other directions, in (0, 1]; 1 is the A-criterion itself.

    Returns
    -------
    ContrastDesign

    Raises
    ------
    ValueError
        If the contrast is zero or has the wrong length, or M breaks a rule of `optimal_mixture`.

    Examples
    --------
    >>> arms = np.array([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])])
    >>> contrast_mixture(arms, np.array([1.0, 0.0])).design.weights.round(3).tolist()
    [0.971, 0.029]
    """
    matrices = check_symmetric("M", M)
    c = finite("contrast", contrast)
    size = float(np.linalg.norm(c))
    if c.shape != matrices.shape[-1:] or matrices.ndim != 3 or size == 0:
        raise ValueError(f"contrast: must have shape ({matrices.shape[-1]},) and not be zero, got shape {c.shape}")
    if not float(between("slack", slack, 0.0, 1.0)) > 0:
        raise ValueError(f"slack: must be > 0, got {slack!r}")
    # Householder: an orthonormal basis whose first vector is the contrast's direction.
    first = np.eye(len(c))[0]
    mirror = c / size - first
    length = float(mirror @ mirror)
    basis = np.eye(len(c)) if length < 1e-30 else np.eye(len(c)) - 2 * np.outer(mirror, mirror) / length
    inverse = np.diag(np.r_[1.0, np.full(len(c) - 1, 1.0 / slack)]) @ basis.T
    design = optimal_mixture(inverse @ matrices @ inverse.T, criterion="A")
    if design.reason == "no_overlap":
        return ContrastDesign(design, np.inf, np.full(matrices.shape[1:], np.nan))
    information = np.tensordot(design.weights, matrices, 1)
    return ContrastDesign(design, float(c @ np.linalg.solve(information, c)), information)


def ratio_gradient(coefficient: Float[np.ndarray, " d"], numerator: int, denominator: int) -> Float[np.ndarray, " d"]:
    """Gradient of a ratio of two coefficients (what an hour is worth: time over price), for the delta method.

    Raises
    ------
    ValueError
        If the denominator is zero or both are the same feature.

    Examples
    --------
    >>> ratio_gradient(np.array([-2.0, -1.0]), 1, 0).tolist()
    [0.25, -0.5]
    """
    w = finite("coefficient", coefficient)
    if numerator == denominator or w[denominator] == 0:
        raise ValueError(f"denominator: must be another feature with a coefficient that is not zero, got {denominator}")
    out = np.zeros_like(w)
    out[numerator] = 1.0 / w[denominator]
    out[denominator] = -w[numerator] / w[denominator] ** 2
    return out
