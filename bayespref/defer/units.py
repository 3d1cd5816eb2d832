"""Calibration units: who may be one, which regions they cover, and which of them stand for the deployment."""

from __future__ import annotations

from collections.abc import Collection, Hashable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite, non_negative
from bayespref.errors import CalibrationLeakError, UncoveredRegionError


def refuse_leak(fit_ids: Collection[Hashable], calibration_ids: Collection[Hashable]) -> None:
    """Refuse calibration data that share raters (or comparisons) with the data of the fit.

    Parameters
    ----------
    fit_ids, calibration_ids : collections
        Identifiers of the same kind.

    Raises
    ------
    CalibrationLeakError
        Naming the first shared identifiers.

    Examples
    --------
    >>> refuse_leak(["ann", "bob"], ["cyd"])
    """
    shared = set(fit_ids) & set(calibration_ids)
    if shared:
        raise CalibrationLeakError(
            f"calibration_ids: {len(shared)} of them were in the data of the fit, first "
            f"{sorted(map(str, shared))[:5]}; a threshold set on data the model has seen guarantees nothing"
        )


def one_per_rater(rater: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.int64]:
    """Pick one comparison of every rater at random, so that units are independent.

    Parameters
    ----------
    rater : array, shape (comparison,)
        Rater of each comparison.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    int array, shape (rater,)
        Positions of the chosen comparisons, ascending.

    Examples
    --------
    >>> one_per_rater(np.array(["a", "b", "b", "a"]), np.random.default_rng(0)).size
    2
    """
    order = rng.permutation(len(rater))
    _, first = np.unique(np.asarray(rater)[order], return_index=True)
    return np.sort(order[first])


def ascending(grid: ArrayLike) -> NDArray[np.float64]:
    """Return a grid of thresholds, refusing one that is empty or does not ascend."""
    points = finite("grid", grid)
    if points.ndim != 1 or not len(points) or np.any(np.diff(points) <= 0):
        raise ValueError("grid: must be a non-empty list of ascending thresholds")
    return points


def covered(
    region: NDArray[np.int64] | None,
    n_regions: int | None,
    force_defer: NDArray[np.bool_] | None,
    weights: ArrayLike | None,
    shape: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Units outside forced regions, after refusing regions that have no calibration mass and are not forced."""
    if region is None:
        if force_defer is not None or n_regions is not None:
            raise ValueError("region: needed with force_defer and n_regions")
        return np.ones(shape, dtype=np.bool_)
    if force_defer is None and n_regions is None:
        raise ValueError("n_regions: needed with region, for a region without units cannot be seen in the units")
    forced = np.zeros(n_regions or 0, dtype=np.bool_) if force_defer is None else np.asarray(force_defer)
    if forced.dtype != np.bool_ or forced.ndim != 1 or (n_regions is not None and len(forced) != n_regions):
        raise ValueError(f"force_defer: must be boolean with one entry a region, got {forced.dtype} {forced.shape}")
    at = codes(region, len(forced), shape)
    mass = np.bincount(at, None if weights is None else finite("weights", weights), len(forced))
    uncovered = np.flatnonzero((mass <= 0) & ~forced)
    if len(uncovered):
        raise UncoveredRegionError(
            f"force_defer: {len(uncovered)} region(s) have no calibration mass, first {uncovered[:5].tolist()}; no "
            "guarantee can hold there whatever the data, so they must be forced to defer"
        )
    return ~forced[at]


def codes(region: ArrayLike, n_regions: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return region codes, refusing what is not an integer in 0..n_regions - 1."""
    at = np.asarray(region)
    if not np.issubdtype(at.dtype, np.integer) or at.shape != shape:
        raise ValueError(f"region: must be integer codes of shape {shape}, got {at.dtype} {at.shape}")
    if at.size and (at.min() < 0 or at.max() >= n_regions):
        raise ValueError(f"region: codes must lie in 0..{n_regions - 1}, got {int(at.min())}..{int(at.max())}")
    return at.astype(np.int64)


def rejection(
    weights: ArrayLike, weight_max: float | None, rng: np.random.Generator | None, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Draw which units to keep so that the kept ones are a sample of the deployment (probability w / w_max)."""
    if weight_max is None or rng is None:
        raise ValueError("weight_max, rng: needed with weights; the bound must be known, not read off the sample")
    mass = non_negative("weights", weights)
    if mass.shape != shape:
        raise ValueError(f"weights: need one entry a unit, got shape {mass.shape}")
    if not (0 < weight_max < np.inf) or np.any(mass > weight_max):
        raise ValueError(f"weights: must not exceed weight_max ({weight_max!r}), which must be finite and positive")
    return np.asarray(rng.uniform(size=shape) * weight_max < mass)


def blocks(rater: NDArray[np.generic], mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Split each rater's weight evenly over the rater's comparisons."""
    if rater.shape != mass.shape:
        raise ValueError(f"rater: need one entry a unit, got shape {rater.shape}")
    _, block, size = np.unique(rater, return_inverse=True, return_counts=True)
    first = np.zeros(len(size))
    first[block] = mass
    if np.any(first[block] != mass):
        raise ValueError("weights: must be the same for all comparisons of one rater")
    shared: NDArray[np.float64] = mass / size[block]
    return shared


def open_unit(name: str, value: float) -> None:
    """Refuse a share that is not strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name}: must lie strictly between 0 and 1, got {value!r}")
