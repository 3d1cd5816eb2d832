"""Cells of draws and components in one flat layout, and the extremes of each component, block by block.

Draws become one axis and the cells of the component array another. Everything is done in blocks of draws that fit in
cache; what is read of a draw are its values relative to the smallest and largest of the item's own component.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, one_of
from bayespref.errors import RangeRefutedError, TargetMixError

RANGE_POLICIES = ("raise", "condition", "widen")
_BLOCK = 2**18
"""Numbers per block: 2 MiB of float64, small enough to stay in cache."""
_ROUNDING = 1e-12
"""Relative excess of a span over the range that counts as rounding, not as a refutation."""


class Groups(NamedTuple):
    """Components as runs of the items sorted by cell and label."""

    order: NDArray[np.intp]  # items of all cells, sorted
    starts: NDArray[np.intp]  # where each component starts in that order
    group: NDArray[np.intp]  # component of each item, unsorted


class Cells(NamedTuple):
    """Offsets with draws flattened to one axis and the cells of the component array to another."""

    offsets: NDArray[np.float64]  # (draw, cell, item), in units of the range
    component: NDArray[np.int64]  # (cell, item)
    groups: Groups
    kept: NDArray[np.bool_]  # (draw, cell)
    span: NDArray[np.float64]  # (draw, cell)
    lead: tuple[int, ...]
    r_min: float
    reward_range: tuple[float, float]
    share_refuted: float
    assumptions: tuple[str, ...]


def check_range(reward_range: tuple[float, float]) -> tuple[float, float]:
    """Return the range as two floats, refusing what is not a finite interval of positive width."""
    ends = as_float("reward_range", reward_range, ndim=1)
    if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise ValueError(f"reward_range: must be two finite numbers (low, high) with low < high, got {reward_range!r}")
    return float(ends[0]), float(ends[1])


def check_component(component: ArrayLike) -> NDArray[np.int64]:
    """Return the labels as integers, refusing what is not a whole number of at least zero."""
    labels = np.asarray(component)
    if labels.ndim < 1 or not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f"component: must be an integer array with items last, got {labels.dtype} of shape {labels.shape}"
        )
    if (labels < 0).any():
        raise ValueError(
            f"component: labels must be >= 0, got {int(labels.min())}; give an isolated item a label of its own"
        )
    return labels.astype(np.int64, copy=False)


def type_mix(type_weights: ArrayLike) -> NDArray[np.float64]:
    """Return type weights as floats, refusing negative ones and sums over types above one."""
    weights = as_float("type_weights", type_weights, min_ndim=1)
    bad = ~(weights >= 0)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise TargetMixError(f"type_weights: must be >= 0, got {weights[first]!r} at {first}")
    total = weights.sum(axis=-1)
    if (total > 1.0 + 1e-8).any():
        raise TargetMixError(
            f"type_weights: must sum to at most one over types, got {float(total.max()):.9g}; "
            "multiply the resulting regret by stakes, not the weights"
        )
    return weights


def block_size(per_draw: int) -> int:
    """Draws to a block when each has this many numbers."""
    return max(1, _BLOCK // max(1, per_draw))


def blocks(n_draws: int, per_draw: int) -> Iterator[slice]:
    """Consecutive slices of draws that fit in cache."""
    step = block_size(per_draw)
    for start in range(0, n_draws, step):
        yield slice(start, min(start + step, n_draws))


def _flatten(
    offsets: ArrayLike, component: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[int, ...]]:
    values = as_float("offsets", offsets, min_ndim=1)
    labels = check_component(component)
    try:
        shape = np.broadcast_shapes(values.shape, labels.shape)
    except ValueError:
        raise ValueError(f"component: shape {labels.shape} does not broadcast against offsets {values.shape}") from None
    if shape[-1] != values.shape[-1] or shape[-1] != labels.shape[-1]:
        raise ValueError(f"component: has {labels.shape[-1]} items, offsets have {values.shape[-1]}")
    if shape[-1] == 0:
        raise ValueError("offsets: need at least one item")
    while labels.ndim > 1 and labels.shape[0] == 1:
        labels = labels[0]
    cells = shape[len(shape) - labels.ndim : -1]
    n_cells = math.prod(cells)
    n_draws = math.prod(shape[: len(shape) - labels.ndim])
    values = np.broadcast_to(values, shape).reshape(n_draws, n_cells, shape[-1])
    labels = np.broadcast_to(labels, (*cells, shape[-1])).reshape(n_cells, shape[-1])
    return values, labels, shape[:-1]


def group_items(component: NDArray[np.int64]) -> Groups:
    """Sort the items of all cells by component; labels of different cells never meet."""
    n_cells, n_items = component.shape
    cell = np.repeat(np.arange(n_cells), n_items)
    order = np.lexsort((component.ravel(), cell))
    label, cell = component.ravel()[order], cell[order]
    new = np.ones(order.size, dtype=bool)
    new[1:] = (label[1:] != label[:-1]) | (cell[1:] != cell[:-1])
    group = np.empty(order.size, dtype=np.intp)
    group[order] = np.cumsum(new) - 1
    return Groups(order, np.flatnonzero(new), group)


def _extremes(offsets: NDArray[np.float64], groups: Groups) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest value of each component, shape (draw, component)."""
    ordered = offsets.reshape(len(offsets), groups.order.size).take(groups.order, axis=1)
    if not groups.starts.size:
        return ordered, ordered
    return (
        np.minimum.reduceat(ordered, groups.starts, axis=1),
        np.maximum.reduceat(ordered, groups.starts, axis=1),
    )


def _spans(offsets: NDArray[np.float64], groups: Groups) -> NDArray[np.float64]:
    """Largest within-component span of each cell, shape (draw, cell)."""
    n_draws, n_cells, n_items = offsets.shape
    span = np.zeros((n_draws, n_cells))
    cell_starts = np.searchsorted(groups.order[groups.starts] // n_items, np.arange(n_cells))
    for block in blocks(n_draws, n_cells * n_items):
        low, high = _extremes(offsets[block], groups)
        if low.shape[1]:
            span[block] = np.maximum.reduceat(high - low, cell_starts, axis=1)
    return span


def prepare(
    offsets: ArrayLike,
    component: ArrayLike,
    reward_range: tuple[float, float],
    range_policy: str,
    link_scale: float,
    draw_axes: int,
) -> Cells:
    """Check the arguments, settle the range, and lay the cells out.

    Raises
    ------
    RangeRefutedError
        If a within-component span exceeds the range under "raise".
    """
    bottom, top = check_range(reward_range)
    one_of("range_policy", range_policy, RANGE_POLICIES)
    if not (np.isfinite(link_scale) and link_scale > 0):
        raise ValueError(f"link_scale: must be finite and > 0, got {link_scale!r}")
    values, labels, lead = _flatten(offsets, component)
    if not 0 <= draw_axes <= len(lead):
        raise ValueError(f"draw_axes: must lie in 0..{len(lead)}, got {draw_axes}")
    bad = ~np.isfinite(values)
    if bad.any():
        same = labels[:, :, None] == labels[:, None, :]
        read = bad & (same.sum(-1) > 1)
        if read.any():
            first = tuple(int(i) for i in np.argwhere(read.reshape(*lead, -1))[0])
            raise ValueError(
                f"offsets: must be finite within components of two or more items; "
                f"{int(read.sum())} bad value(s), first at {first}"
            )
        values = np.where(bad, 0.0, values)
    if link_scale != 1.0:
        values = values * link_scale
    groups = group_items(labels)
    span = _spans(values, groups)
    r_min = float(span.max(initial=0.0))
    width = top - bottom
    kept = span <= width * (1.0 + _ROUNDING)
    assumptions = [f"rewards in [{bottom:g}, {top:g}]"]
    if link_scale != 1.0:
        assumptions.append(f"link scale {link_scale:g}: log-odds times this are rewards")
    share = 1.0 - float(kept.mean()) if kept.size else 0.0
    if share > 0.0:
        if range_policy == "raise":
            index = np.unravel_index(int(np.argmax(span)), lead)
            raise RangeRefutedError(tuple(int(i) for i in index), r_min, width)
        if range_policy == "widen":
            centre = 0.5 * (bottom + top)
            bottom, top = centre - 0.5 * r_min, centre + 0.5 * r_min
            assumptions.append(
                f"range widened to [{bottom:g}, {top:g}]: rewards spread wider than it was in {share:.2%} of cells"
            )
            kept = np.ones_like(kept)
        else:
            if draw_axes:
                whole = kept.reshape(*lead[:draw_axes], -1).all(axis=-1)
                share = 1.0 - float(whole.mean())
                kept = np.broadcast_to(whole.reshape(*lead[:draw_axes], *[1] * (len(lead) - draw_axes)), lead).reshape(
                    kept.shape
                )
            what = "draws" if draw_axes else "cells"
            assumptions.append(f"conditional on the {1.0 - share:.2%} of {what} that fit the range")
    return Cells(values, labels, groups, kept, span, lead, r_min, (bottom, top), share, tuple(assumptions))


def level_ends(cells: Cells, block: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Level bounds of a block of draws, each of shape (draw, cell, item); NaN where the draw was dropped."""
    bottom, top = cells.reward_range
    offsets = cells.offsets[block]
    low, high = (
        ends.take(cells.groups.group, axis=1).reshape(offsets.shape) for ends in _extremes(offsets, cells.groups)
    )
    lower = np.subtract(offsets, low, out=low)
    lower += bottom
    upper = np.subtract(offsets, high, out=high)
    upper += top
    if cells.r_min > (top - bottom) * (1.0 - _ROUNDING):
        # A span equal to the range leaves the ends equal; rounding must not make them cross.
        np.maximum(upper, lower, out=upper)
    dropped = ~cells.kept[block]
    if dropped.any():
        lower[dropped] = np.nan
        upper[dropped] = np.nan
    return lower, upper
