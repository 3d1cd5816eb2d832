"""Which contrasts a decision in a region turns on, and the checks every flag shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def labels(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return integer labels of the given shape, refusing anything else."""
    array = np.asarray(values)
    if array.shape != shape or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name}: must hold integers of shape {shape}, got {array.dtype} of shape {array.shape}")
    return array.astype(np.int64)


def relevant_contrasts(
    region: tuple[int, ...], n_items: int, leader: ArrayLike | None, contender: ArrayLike | None
) -> NDArray[np.bool_]:
    """Contrasts a decision in the region turns on: between contenders, or leader against contender."""
    allowed = np.ones((*region, n_items), dtype=bool)
    if contender is not None:
        allowed = np.asarray(contender)
        if allowed.shape != (*region, n_items) or allowed.dtype != bool:
            raise ValueError(f"contender: must be bool of shape {(*region, n_items)}, got {allowed.shape}")
    pairs = allowed[..., :, None] & allowed[..., None, :]
    if leader is not None:
        first = labels("leader", leader, region)
        if ((first < 0) | (first >= n_items)).any():
            raise ValueError(f"leader: codes must lie in [0, {n_items})")
        is_leader = first[..., None] == np.arange(n_items)
        pairs = (is_leader[..., :, None] & allowed[..., None, :]) | (allowed[..., :, None] & is_leader[..., None, :])
    return np.asarray(pairs & ~np.eye(n_items, dtype=bool))


def largest(
    values: NDArray[np.float64], where: NDArray[np.bool_], axes: tuple[int, ...] = (-2, -1)
) -> NDArray[np.float64]:
    """Largest known value among the chosen contrasts; NaN where there is none."""
    usable = where & ~np.isnan(values)
    top = np.where(usable, values, -np.inf).max(axis=axes, initial=-np.inf)
    return np.asarray(np.where(usable.any(axis=axes), top, np.nan))


def optional(values: ArrayLike | None, region: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Spread an optional statistic over the regions; NaN, and False in the second array, where it is unknown."""
    array = np.broadcast_to(np.asarray(np.nan if values is None else values, dtype=np.float64), region).copy()
    return array, ~np.isnan(array)
