"""Coverage as data grow: how many cells a smaller or larger collection reaches, and which may stay empty for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, hypergeom

from bayespref import __version__
from bayespref.checks import at_least, between, finite
from bayespref.comparisons import Comparisons
from bayespref.display import shown
from bayespref.graph.build import stratum_columns
from bayespref.graph.coverage import clopper_pearson, coverage


@shown("{expected} covered cells", next_step="read where more of the same kind stops helping")
class Rarefaction(NamedTuple):
    """Expected number of covered cells at each budget.

    Attributes
    ----------
    expected : float array, shape (budget,)
        Exact up to the size of the collection (a random subset of the rows at hand, without replacement). Beyond it,
        fresh rows at the observed shares: empty cells stay empty, so it is a guess from below.
    lower, upper : float array, shape (budget,)
        Equal to ``expected`` up to the size of the collection; beyond it, the expected number if every cell's share
        were at its lower, or upper, simultaneous Clopper-Pearson limit.
    extrapolated : bool array, shape (budget,)
        Budget beyond the size of the collection.
    """

    expected: Float[np.ndarray, " budget"]
    lower: Float[np.ndarray, " budget"]
    upper: Float[np.ndarray, " budget"]
    extrapolated: Bool[np.ndarray, " budget"]


def rarefaction(
    count: Float[np.ndarray, " cell"], budgets: ArrayLike, *, at_least_rows: int = 1, level: float = 0.95
) -> Rarefaction:
    """Expected number of cells with enough rows at each budget.

    Parameters
    ----------
    count : array of whole numbers, shape (cell,)
        Rows of every cell, empty cells included.
    budgets : array of whole numbers, shape (budget,)
        Sizes of the collection, >= 0.
    at_least_rows : int
        Rows that make a cell covered.
    level : float
        Level at which the limits of all cells hold together (Bonferroni).

    Returns
    -------
    Rarefaction

    Raises
    ------
    ValueError
        If counts or budgets are negative or not whole: a subset of a weighted table is not defined.

    Notes
    -----
    Within the collection, sum of P(H >= f) with H hypergeometric (Hurlbert 1971, Ecology 52, 577-586; Sanders 1968).
    Rows are taken as exchangeable: rows that come in groups spread more slowly.

    Examples
    --------
    >>> got = rarefaction(np.array([3, 1, 0]), [0, 1, 2, 4, 40])
    >>> got.expected.round(3).tolist(), got.extrapolated.tolist()
    ([0.0, 1.0, 1.5, 2.0, 2.0], [False, False, False, False, True])
    >>> round(float(got.upper[-1]), 2)
    3.0
    """
    rows, sizes = _whole("count", count), _whole("budgets", budgets)
    need = at_least("at_least_rows", at_least_rows, 1)
    if rows.ndim != 1 or not len(rows) or sizes.ndim != 1:
        raise ValueError(f"count, budgets: each must be a vector, count not empty; got {rows.shape} and {sizes.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level!r}")
    n = int(rows.sum())
    beyond = sizes > n
    within = np.minimum(sizes, n)
    values, times = np.unique(rows, return_counts=True)  # cells of equal count are alike
    inside = hypergeom.sf(need - 1, n, values[:, None], within[None, :])
    expected = (inside * times[:, None]).sum(axis=0)
    lower, upper = expected.copy(), expected.copy()
    if beyond.any():
        if n == 0:
            expected[beyond], lower[beyond], upper[beyond] = np.nan, 0.0, float(len(rows))
        else:
            low, high = clopper_pearson(values.astype(float), float(n), 1 - (1 - level) / len(rows))
            for target, share in ((expected, values / n), (lower, low), (upper, high)):
                target[beyond] = (binom.sf(need - 1, sizes[beyond][None, :], share[:, None]) * times[:, None]).sum(
                    axis=0
                )
    return Rarefaction(expected, lower, upper, np.asarray(beyond))


def coverage_growth(
    comparisons: Comparisons,
    budgets: Sequence[int],
    by: Sequence[str] = ("state", "context"),
    *,
    at_least_rows: int = 1,
    level: float = 0.95,
) -> xr.Dataset:
    """Learning curve of coverage against budget, beside what the collection reached in its own order.

    Parameters
    ----------
    comparisons : Comparisons
        One row a comparison (every weight 1).
    budgets : sequence of int
        Sizes of the collection.
    by : sequence of str
        Columns whose crossing defines the cells.
    at_least_rows : int
        Rows that make a cell covered.
    level : float
        Level of the limits.

    Returns
    -------
    Dataset
        Over ``budget``: ``expected``, ``lower``, ``upper``, ``extrapolated`` (see :class:`Rarefaction`) and
        ``in_order``, the cells covered by the first rows (by timestamp where every row has one, else in the order of
        the table; NaN beyond the collection). ``in_order`` well below ``expected`` is drift: the collection moved into
        cells late, and the curve of random subsets flatters it. Over the cells: ``count``, ``upper_share`` (the
        Clopper-Pearson upper limit) and ``includes_zero`` (no row, so that the interval of its share reaches 0).

    Raises
    ------
    ValueError
        If a row's weight is not 1, or a budget is negative.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> zero = np.zeros(4, dtype=int)
    >>> table = from_codes(zero, zero + 1, zero, items=("x", "y"), state=[0, 0, 0, 1], states=("s", "t", "u"))
    >>> got = coverage_growth(table, [1, 2, 4], by=("state",))
    >>> got.expected.values.tolist(), got.in_order.values.tolist(), got.includes_zero.values.tolist()
    ([1.0, 1.5, 2.0], [1.0, 1.0, 2.0], [False, False, True])
    """
    if np.any(comparisons.weight != 1):
        bad = np.flatnonzero(comparisons.weight != 1)[:5].tolist()
        raise ValueError(f"comparisons: a learning curve counts rows, but some weigh other than 1, first at rows {bad}")
    dims = stratum_columns(comparisons, by)
    cells = coverage(comparisons, dims, 0.0, level=level)
    sizes = _whole("budgets", list(budgets))
    curve = rarefaction(cells["count"].values.reshape(-1), sizes, at_least_rows=at_least_rows, level=level)
    order = np.arange(comparisons.n_rows)
    timed = comparisons.timestamp is not None and not np.isnan(comparisons.timestamp).any()
    if timed and comparisons.timestamp is not None:
        order = np.argsort(comparisons.timestamp, kind="stable")
    shape = cells["count"].shape
    cell = np.ravel_multi_index(tuple(comparisons.codes(dim) for dim in dims), shape)[order]
    # When each cell got its last needed row: sort rows by cell, keep their order within it.
    by_cell = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[by_cell], np.unique(cell))
    reached = first + at_least_rows - 1
    size = np.diff(np.r_[first, len(cell)])
    when = np.sort(by_cell[reached[size >= at_least_rows]])
    in_order = np.searchsorted(when, sizes, side="left").astype(np.float64)
    in_order[sizes > comparisons.n_rows] = np.nan
    attrs = {
        "method": "hypergeometric rarefaction; beyond the collection, an extrapolation at observed and limiting shares",
        "level": level,
        "at_least_rows": at_least_rows,
        "order": "timestamp" if timed else "table",
        "assumptions": "rows are exchangeable draws from one collection process that does not change",
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    data: dict[str, Any] = {name: ("budget", values) for name, values in curve._asdict().items()}
    data |= {
        "in_order": ("budget", in_order),
        "count": (dims, cells["count"].values),
        "upper_share": (dims, cells["upper"].values),
        "includes_zero": (dims, cells["empty"].values),
    }
    coords = {dim: cells[dim].values for dim in dims} | {"budget": sizes}
    return xr.Dataset(data, coords=coords, attrs=attrs)


def _whole(name: str, values: ArrayLike) -> NDArray[np.int64]:
    array = finite(name, values)
    between(name, array, 0, np.inf)
    if np.any(array != np.floor(array)):
        bad = array[array != np.floor(array)][:5].tolist()
        raise ValueError(f"{name}: must be whole numbers, first bad {bad}")
    return array.astype(np.int64)
