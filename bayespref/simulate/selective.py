"""Calibration units whose risk at every threshold is known, to count how often a guarantee is broken.

A unit has a score, uniform on [0, 1], and is in error with probability ``LEAST + SLOPE * score``: acting where the
score is at most t has risk ``LEAST + SLOPE t / 2``. A deployment whose scores have density ``2 s`` meets worse cases:
its risk at t is ``LEAST + 2 SLOPE t / 3``, and the density ratio of a unit is twice its score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from bayespref.checks import at_least, between
from bayespref.simulate.population import Seed

LEAST, SLOPE = 0.05, 0.45
"""Error of the surest unit (share), and how much it grows to the least sure."""


class CalibrationUnits(NamedTuple):
    """Units drawn from the calibration population."""

    score: Float[np.ndarray, " unit"]
    """Smaller is surer."""
    loss: Float[np.ndarray, " unit"]
    """0 or 1."""
    weight: Float[np.ndarray, " unit"]
    """Density ratio of the shifted deployment; at most 2."""


def calibration_units(n: int, *, seed: Seed) -> CalibrationUnits:
    """Draw calibration units.

    Parameters
    ----------
    n : int
        How many, at least 1.
    seed : int or SeedSequence
        Seed.

    Returns
    -------
    CalibrationUnits

    Examples
    --------
    >>> units = calibration_units(5, seed=0)
    >>> units.score.shape, set(units.loss.tolist()) <= {0.0, 1.0}
    ((5,), True)
    """
    rng = np.random.default_rng(seed)
    score = rng.random(at_least("n", n, 1))
    return CalibrationUnits(score, (rng.random(len(score)) < LEAST + SLOPE * score).astype(float), 2.0 * score)


def accepted_risk(threshold: ArrayLike, *, shifted: bool = False) -> Float[np.ndarray, "*shape"]:
    """True risk of acting where the score is at most a threshold.

    Parameters
    ----------
    threshold : float or float array
        In [0, 1].
    shifted : bool
        Under the deployment of density ``2 s`` instead of the calibration's own.

    Returns
    -------
    float array
        Share of errors among the cases acted on.

    Examples
    --------
    >>> accepted_risk(1.0).round(3), accepted_risk(1.0, shifted=True).round(3)
    (np.float64(0.275), np.float64(0.35))
    """
    t = between("threshold", threshold, 0.0, 1.0)
    return np.asarray(LEAST + SLOPE * t * (2.0 / 3.0 if shifted else 0.5))
