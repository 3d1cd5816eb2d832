"""Coverage of pairs within cells, q(a, a' | s, c), and of segments of annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from bayespref import __version__
from bayespref.checks import between
from bayespref.comparisons import Comparisons
from bayespref.dims import ITEM, ITEM_OTHER
from bayespref.graph.build import MAX_CELLS, stratum_columns
from bayespref.graph.coverage import clopper_pearson


def pair_coverage(
    comparisons: Comparisons,
    by: Sequence[str] = ("state", "context"),
    floor: float = 0.01,
    *,
    level: float = 0.95,
) -> xr.Dataset:
    """Share of each pair of items among the comparisons of its cell, judged against a floor.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns whose crossing defines the cells; empty for the whole table.
    floor : float
        Least share of its cell's comparisons that a pair should have.
    level : float
        Level of each Clopper-Pearson interval.

    Returns
    -------
    Dataset
        Dims those of ``by`` (order annotator, environment, context, state), then ``item``, ``item_other``; symmetric.
        ``count`` (every outcome, both_bad included: the pair was shown), ``share`` q(a, a' | cell), ``lower``,
        ``upper``, ``verdict`` (below, above, undecided; empty text on the diagonal), ``crossing_empty`` (not shown
        here, though the pair is shown elsewhere and the cell has comparisons) and, per cell, ``n``. NaN shares where
        the cell has no comparison.

    Raises
    ------
    ValueError
        If the floor or the level is out of range, or there are more than 20 million entries.

    Notes
    -----
    The interval takes rows as independent draws within the cell; with fractional weights it is an approximation.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 0, 1]), np.array([1, 1, 2]), np.array([0, 1, 3]), items=("x", "y", "z"))
    >>> got = pair_coverage(table, by=("state",), floor=0.0).sel(state="all")
    >>> got.share.sel(item="x").values.round(3).tolist(), got.verdict.sel(item="x").values.tolist()
    ([nan, 0.667, 0.0], ['', 'above', 'undecided'])
    """
    between("floor", floor, 0, 1)
    dims = stratum_columns(comparisons, by)
    shape = tuple(len(comparisons.labels(dim)) for dim in dims)
    n_items = comparisons.n_items
    entries = int(np.prod(shape, dtype=np.int64)) * n_items**2
    if entries > MAX_CELLS:
        raise ValueError(
            f"by: {entries:,} (cell, pair) entries, more than {MAX_CELLS:,}; select fewer items or columns"
        )
    keys, counts = comparisons.pair_counts(dims)
    count = np.zeros((*shape, n_items, n_items))
    cell = tuple(keys[:, axis] for axis in range(len(dims)))
    total = counts.sum(axis=1)
    count[(*cell, keys[:, -2], keys[:, -1])] = total
    count[(*cell, keys[:, -1], keys[:, -2])] = total
    n = count.sum(axis=(-2, -1)) / 2
    # Halving twice-counted fractions may miss their sum by rounding.
    trials = np.broadcast_to(np.maximum(n[..., None, None], count), count.shape)
    lower, upper = clopper_pearson(count, trials, level)
    with np.errstate(invalid="ignore"):
        share = np.where(trials > 0, count / trials, np.nan)
    verdict = np.where(upper < floor, "below", np.where(lower > floor, "above", "undecided")).astype("<U9")
    elsewhere = count.sum(axis=tuple(range(len(dims)))) > 0
    crossing = (count == 0) & elsewhere & (n > 0)[..., None, None]
    diagonal = np.arange(n_items)
    for values in (share, lower, upper):
        values[..., diagonal, diagonal] = np.nan
    verdict[..., diagonal, diagonal] = ""
    axes = (*dims, ITEM, ITEM_OTHER)
    named = {"count": count, "share": share, "lower": lower, "upper": upper, "verdict": verdict}
    coords = {dim: list(comparisons.labels(dim)) for dim in (*dims, ITEM)} | {ITEM_OTHER: list(comparisons.items)}
    attrs = {
        "method": "Clopper-Pearson interval of each pair's share of its cell",
        "level": level,
        "floor": floor,
        "exact": int(bool(np.all(count == np.round(count)))),
        "assumptions": "rows are independent draws within their cell",
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    data = {name: (axes, values) for name, values in named.items()}
    return xr.Dataset({**data, "crossing_empty": (axes, crossing), "n": (dims, n)}, coords=coords, attrs=attrs)


def by_segment(comparisons: Comparisons, segment: Mapping[str, str]) -> Comparisons:
    """Give the table annotator segments as its contexts, so that everything said by context is said by segment.

    Parameters
    ----------
    comparisons : Comparisons
        A table with annotators. Its own contexts, if any, are replaced.
    segment : mapping of str to str
        Segment of each annotator (locale, cohort, plan); every annotator with a row must have one.

    Returns
    -------
    Comparisons

    Raises
    ------
    TableError
        If the table names no annotators.
    ValueError
        If an annotator with rows has no segment.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> from bayespref.graph.coverage import coverage
    >>> zero = np.zeros(2, dtype=int)
    >>> table = from_codes(zero, zero + 1, zero, items=("x", "y"), annotator=[0, 1], annotators=("ann", "bo"))
    >>> coverage(by_segment(table, {"ann": "north", "bo": "south"})).context.values.tolist()
    ['north', 'south']
    """
    code = comparisons.codes("annotator")
    seen = np.zeros(comparisons.n_annotators, dtype=bool)
    seen[code] = True
    missing = [name for name, here in zip(comparisons.annotators, seen, strict=True) if here and name not in segment]
    if missing:
        raise ValueError(f"segment: {len(missing)} annotator(s) have none, first {missing[:5]}")
    names = tuple(sorted({str(value) for value in segment.values()}))
    position = {name: k for k, name in enumerate(names)}
    of_annotator = np.array(
        [position.get(str(segment.get(name)), 0) for name in comparisons.annotators], dtype=np.int32
    )
    return replace(comparisons, context=of_annotator[code], contexts=names)
