"""What margins leave of the greatest possible information, and which sign quadrants were asked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import finite
from bayespref.display import shown
from bayespref.information.checked import checked_pairs
from bayespref.information.labels import curvature

ALONG_MARGIN = 2.3993572805154
"""Margin u at which one label says most about the scale of w: u tanh(u/2) = 2, log-odds. Across w the best is 0."""
SATURATED = 3.0
"""A margin beyond this (log-odds) leaves a label less than a fifth of its greatest information."""


@shown(
    "{relative} of the greatest possible information; {share_saturated} of margins saturated",
    next_step="ask closer rivals where margins saturate",
)
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
    rows, coefficients, _ = checked_pairs(dz, w, None)
    if not len(rows):
        nothing = np.full(coefficients.shape[:-1], np.nan)
        return Saturation(nothing, nothing.copy(), nothing.copy())
    margin = coefficients @ rows.T
    mean = np.asarray(curvature(margin).mean(axis=-1))
    return Saturation(mean, 4.0 * mean, np.asarray((np.abs(margin) > SATURATED).mean(axis=-1)))


@shown(
    "least antipodal mass {antipodal_min}",
    next_step="where it is zero, the trade-off was never shown: collect opposite pairs",
)
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
    rows, _, omega = checked_pairs(rows, np.zeros(rows.shape[-1] if rows.ndim else 0), weights)
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
