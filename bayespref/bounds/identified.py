"""Sharp bounds on rewards and reward differences from comparison-graph components and an assumed reward range.

Inside a component of the comparison graph the data fix every difference and nothing else. The level of the
component, and every difference across components, is limited by the reward range alone. A draw's values across
components are prior, and nothing here reads them.

Source: identified sets per component in closed form; robust Bayes of Giacomini and Kitagawa (2021), *Econometrica*
89(4), for reading them draw by draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.bounds.cells import (
    Cells,
    block_size,
    blocks,
    check_component,
    group_items,
    level_ends,
    prepare,
)
from bayespref.checks import as_float
from bayespref.display import shown


@shown(
    "between {lower} and {upper} log-odds; sharp: {sharp}; the range is refuted in {share_refuted} of draws",
    next_step="use the bound where no estimate exists; a narrower range or more comparisons shrink it",
)
class LevelBounds(NamedTuple):
    """Identified set of every reward level, draw by draw.

    Attributes
    ----------
    lower, upper : array, shape (..., A)
        Ends of the identified interval; NaN where the draw was dropped.
    kept : bool array, shape (...)
        Cells whose draw does not refute the range.
    span : array, shape (...)
        Largest within-component span of the cell.
    r_min : float
        Largest span anywhere: the smallest range the draws allow.
    reward_range : tuple of float
        The range used (widened under ``range_policy="widen"``).
    share_refuted : float
        Share of ``kept`` that is False under "condition", of cells that refuted the declared range otherwise.
    sharp : bool
        Whether every value inside the interval is attained by a reward table that fits the data and the assumptions.
    assumptions : tuple of str
        What the bounds rest on.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    kept: NDArray[np.bool_]
    span: NDArray[np.float64]
    r_min: float
    reward_range: tuple[float, float]
    share_refuted: float
    sharp: bool
    assumptions: tuple[str, ...]


@shown(
    "differences of at most {upper} log-odds; sharp: {sharp}; the range is refuted in {share_refuted} of draws",
    next_step="hand it to regret_matrix, or collect what joins the components",
)
class DifferenceBounds(NamedTuple):
    """Identified set of every reward difference; ``[..., a, b]`` is r(a) - r(b).

    ``lower`` is computed from ``upper`` on access, since lower(a, b) = -upper(b, a): at 4,000 draws, 40 states,
    3 types and 20 items one such array takes 1.5 GB. The other fields are those of `LevelBounds`.

    Attributes
    ----------
    upper : array, shape (..., A, A)
        Largest r(a) - r(b) in the identified set; NaN where the draw was dropped.
    """

    upper: NDArray[np.float64]
    kept: NDArray[np.bool_]
    span: NDArray[np.float64]
    r_min: float
    reward_range: tuple[float, float]
    share_refuted: float
    sharp: bool
    assumptions: tuple[str, ...]

    @property
    def lower(self) -> NDArray[np.float64]:
        """Smallest r(a) - r(b) in the identified set, shape (..., A, A)."""
        return -np.swapaxes(self.upper, -1, -2)


def level_bounds(
    offsets: Float[np.ndarray, "*lead item"],
    component: Int[np.ndarray, "*cell item"],
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    range_policy: str = "raise",
    link_scale: float = 1.0,
    draw_axes: int = 0,
) -> LevelBounds:
    """Bound every reward: r(a) in [m + u_a - min u, M - (max u - u_a)], extremes over the item's component.

    Even a fully connected cell leaves levels unidentified (width: range minus span); only differences are points.

    Parameters
    ----------
    offsets : array, shape (..., A)
        Any values whose within-component differences are the identified ones, log-odds; a draw of the rewards will
        do. Values across components, and those of items alone in their component, are never read.
    component : integer array, shape (..., A)
        Labels >= 0 that broadcast against ``offsets``; equal labels in one cell mean the same component.
    reward_range : tuple of float
        Assumed range [m, M] of every reward.
    range_policy : {"raise", "condition", "widen"}
        What to do with draws whose span exceeds the range: refuse, drop them (NaN), or use the smallest range that
        fits all, centred on the declared one.
    link_scale : float
        Reward units per log-odds: offsets are multiplied by it, so the range and the bounds are in reward units.
    draw_axes : int
        Number of leading axes that index posterior draws. Under "condition" a draw that refutes the range in one
        cell is dropped in all of its cells; with 0 each cell is conditioned on by itself.

    Returns
    -------
    LevelBounds
        Sharp bounds, which cells were kept, and the smallest range the draws allow.

    Raises
    ------
    RangeRefutedError
        If a span exceeds the range under "raise".
    ValueError
        If an argument breaks a rule above.

    Examples
    --------
    >>> b = level_bounds(np.array([0.0, 0.5, 0.0, 0.2, 0.0]), np.array([0, 0, 1, 1, 2]))
    >>> b.lower.tolist(), b.upper.tolist()
    ([0.0, 0.5, 0.0, 0.2, 0.0], [0.5, 1.0, 0.8, 1.0, 1.0])
    """
    cells = prepare(offsets, component, reward_range, range_policy, link_scale, draw_axes)
    lower, upper = np.empty(cells.offsets.shape), np.empty(cells.offsets.shape)
    for block in blocks(len(cells.offsets), cells.component.size):
        lower[block], upper[block] = level_ends(cells, block)
    shape = (*cells.lead, cells.offsets.shape[-1])
    return LevelBounds(
        lower.reshape(shape),
        upper.reshape(shape),
        cells.kept.reshape(cells.lead),
        cells.span.reshape(cells.lead),
        cells.r_min,
        cells.reward_range,
        cells.share_refuted,
        True,
        cells.assumptions,
    )


def _within_pairs(cells: Cells) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Flat positions of same-component pairs, and of their two items, in cells of several components."""
    n_items = cells.component.shape[1]
    same = cells.component[:, :, None] == cells.component[:, None, :]
    cell, a, b = np.nonzero(same & ~_whole(cells)[:, None, None])
    return (cell * n_items + a) * n_items + b, cell * n_items + a, cell * n_items + b


def _whole(cells: Cells) -> NDArray[np.bool_]:
    """Cells whose items form one component."""
    return np.asarray((cells.component == cells.component[:, :1]).all(axis=1))


def _fill(
    cells: Cells,
    block: slice,
    pairs: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    out: NDArray[np.float64],
) -> None:
    """Write the upper difference bounds of a block of draws: across components first, then the points within."""
    offsets = cells.offsets[block]
    n_draws, n_cells, n_items = offsets.shape
    lower, upper = level_ends(cells, block)
    whole = _whole(cells)
    lower[:, whole] = upper[:, whole] = offsets[:, whole]  # a wholly connected cell is points alone
    np.subtract(upper[..., :, None], lower[..., None, :], out=out)
    pair, first, second = pairs
    flat = offsets.reshape(n_draws, n_cells * n_items)
    out.reshape(n_draws, n_cells * n_items**2)[:, pair] = flat[:, first] - flat[:, second]
    dropped = ~cells.kept[block]
    if dropped.any():
        out[dropped] = np.nan


def difference_blocks(
    offsets: ArrayLike,
    component: ArrayLike,
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    range_policy: str = "raise",
    link_scale: float = 1.0,
    draw_axes: int = 0,
    n_cell_axes: int,
) -> tuple[LevelBounds, Iterator[tuple[slice, NDArray[np.float64]]]]:
    """Upper difference bounds in blocks of draws that fit in cache, for callers that reduce them at once.

    Parameters
    ----------
    offsets, component, reward_range, range_policy, link_scale, draw_axes
        As in `level_bounds`.
    n_cell_axes : int
        Number of axes before the items that stay together in a block; the axes before them are flattened to one
        axis of draws.

    Returns
    -------
    info : LevelBounds
        With empty ``lower`` and ``upper``.
    blocks : iterator of (slice, array)
        Draws of the block, and upper bounds of shape (draw, *cells, A, A). The array is reused by the next block.

    Examples
    --------
    >>> info, blocks = difference_blocks(np.zeros((7, 2, 3)), np.array([0, 0, 1]), n_cell_axes=1)
    >>> [(block.start, upper.shape) for block, upper in blocks]
    [(0, (7, 2, 3, 3))]
    """
    values = as_float("offsets", offsets, min_ndim=1 + n_cell_axes)
    labels = check_component(component)
    if labels.ndim > 1 + n_cell_axes:
        values = np.broadcast_to(values, np.broadcast_shapes(values.shape, labels.shape))
    else:
        shape = values.shape[values.ndim - 1 - n_cell_axes :]
        labels = np.broadcast_to(labels, np.broadcast_shapes(labels.shape, shape))
    cells = prepare(values, labels, reward_range, range_policy, link_scale, draw_axes)
    empty = np.empty((0, cells.offsets.shape[-1]))
    info = LevelBounds(
        empty,
        empty,
        cells.kept.reshape(cells.lead),
        cells.span.reshape(cells.lead),
        cells.r_min,
        cells.reward_range,
        cells.share_refuted,
        True,
        cells.assumptions,
    )
    return info, _iterate(cells, n_cell_axes)


def _iterate(cells: Cells, n_cell_axes: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    n_items = cells.offsets.shape[-1]
    cell_shape = cells.lead[len(cells.lead) - n_cell_axes :]
    n_rows = math.prod(cells.lead[: len(cells.lead) - n_cell_axes])
    n_cells = math.prod(cell_shape)
    if cells.component.shape[0] == n_cells:
        pairs = _within_pairs(cells)
        buffer = np.empty((min(n_rows, block_size(n_cells * n_items**2)), n_cells, n_items, n_items))
        for block in blocks(n_rows, n_cells * n_items**2):
            part = buffer[: block.stop - block.start]
            _fill(cells, block, pairs, part)
            yield block, part.reshape(-1, *cell_shape, n_items, n_items)
        return
    # Components differ between draws: one row of draws at a time.
    per = cells.component.shape[0] // n_cells
    for row in range(n_rows):
        draw, sub = divmod(row, per)
        where = slice(sub * n_cells, (sub + 1) * n_cells)
        component = cells.component[where]
        one = cells._replace(
            offsets=cells.offsets[draw : draw + 1, where],
            component=component,
            groups=group_items(component),
            kept=cells.kept[draw : draw + 1, where],
        )
        out = np.empty((1, n_cells, n_items, n_items))
        _fill(one, slice(0, 1), _within_pairs(one), out)
        yield slice(row, row + 1), out.reshape(1, *cell_shape, n_items, n_items)


def difference_bounds(
    offsets: Float[np.ndarray, "*lead item"],
    component: Int[np.ndarray, "*cell item"],
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    range_policy: str = "raise",
    link_scale: float = 1.0,
    draw_axes: int = 0,
    out: Float[np.ndarray, "*lead item item"] | None = None,
) -> DifferenceBounds:
    """Bound every reward difference; ``[..., a, b]`` is r(a) - r(b).

    Within a component the difference is a point, u_a - u_b. Across components it lies in [lo_a - hi_b, hi_a - lo_b]
    with the level bounds of `level_bounds`, sharp because components move independently.

    Parameters
    ----------
    offsets, component, reward_range, range_policy, link_scale, draw_axes
        As in `level_bounds`.
    out : array, shape (..., A, A), optional
        Where to write ``upper``: saves the allocation, which for large arrays costs more than the arithmetic.

    Returns
    -------
    DifferenceBounds
        Sharp bounds, which cells were kept, and the smallest range the draws allow.

    Raises
    ------
    RangeRefutedError
        If a span exceeds the range under "raise".
    ValueError
        If an argument breaks a rule of `level_bounds`, or ``out`` has another shape.

    Examples
    --------
    >>> b = difference_bounds(np.array([0.0, 0.5, 0.0, 0.2, 0.0]), np.array([0, 0, 1, 1, 2]))
    >>> [round(float(x), 12) for x in (b.lower[1, 2], b.upper[1, 2], b.lower[1, 0], b.upper[1, 0])]
    [-0.3, 1.0, 0.5, 0.5]
    """
    cells = prepare(offsets, component, reward_range, range_policy, link_scale, draw_axes)
    n_draws, n_cells, n_items = cells.offsets.shape
    shape = (*cells.lead, n_items, n_items)
    if out is None:
        out = np.empty(shape)
    elif out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
        raise ValueError(f"out: must be a C-contiguous float64 array of shape {shape}, got {out.dtype} {out.shape}")
    flat = out.reshape(n_draws, n_cells, n_items, n_items)
    pairs = _within_pairs(cells)
    for block in blocks(n_draws, n_cells * n_items**2):
        _fill(cells, block, pairs, flat[block])
    return DifferenceBounds(
        out,
        cells.kept.reshape(cells.lead),
        cells.span.reshape(cells.lead),
        cells.r_min,
        cells.reward_range,
        cells.share_refuted,
        True,
        cells.assumptions,
    )


def same_component(component: Int[np.ndarray, "*cell item"]) -> Bool[np.ndarray, "*cell item item"]:
    """Mask of pairs whose difference the data fix.

    Examples
    --------
    >>> same_component(np.array([0, 0, 1])).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    labels = check_component(component)
    return np.asarray(labels[..., :, None] == labels[..., None, :])
