"""Coverage of cells by the collection, and the mass a deployment puts on cells it did not reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import betaincinv

from bayespref import __version__
from bayespref.checks import between, non_negative, one_of
from bayespref.comparisons import Comparisons
from bayespref.display import shown
from bayespref.graph.build import MAX_CELLS, stratum_columns
from bayespref.graph.declared import deployment_cells

VERDICTS = ("below", "above", "undecided")
_REGIONS = ("empty", "below", "not_above")


@shown(
    "{delta} of the deployment falls on cells the table does not cover, at most {upper} with confidence",
    next_step="collect in those cells, or defer there",
)
@dataclass(frozen=True)
class MissingMass:
    """Mass that the deployment puts on cells the table does not cover.

    Attributes
    ----------
    delta : float
        Share of the deployment in the missing region B (an estimate where ``n`` is finite).
    lower, upper : float
        Clopper-Pearson interval at ``level`` from ``n`` deployment rows; equal to ``delta`` for a declared mass.
    level : float
    n : float
        Deployment rows; ``inf`` for a declared distribution.
    region : str
        Which cells make up B.
    cells : tuple of (tuple of str, float)
        The cells of B with deployment mass, largest first.
    outside : float
        Part of ``delta`` in cells whose labels the table does not know.
    """

    delta: float
    lower: float
    upper: float
    level: float
    n: float
    region: str
    cells: tuple[tuple[tuple[str, ...], float], ...]
    outside: float


def clopper_pearson(
    successes: Float[np.ndarray, "*cell"], n: Float[np.ndarray, "*cell"] | float, level: float = 0.95
) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    """Exact binomial interval for a share (Clopper and Pearson 1934, Biometrika 26, 404-413).

    Parameters
    ----------
    successes, n : float array
        Count of successes out of ``n`` trials; whole numbers for the guarantee to be exact.
    level : float
        Coverage, in (0, 1), two-sided and equal-tailed; at least this for every true share.

    Returns
    -------
    lower, upper : float array
        NaN where ``n`` is 0.

    Examples
    --------
    >>> import numpy as np
    >>> lower, upper = clopper_pearson(np.array([0.0, 5.0]), 10.0)
    >>> [round(float(v), 4) for v in (*lower, *upper)]
    [0.0, 0.1871, 0.3085, 0.8129]
    """
    successes, n = np.broadcast_arrays(non_negative("successes", successes), non_negative("n", n))
    if np.any(successes > n):
        raise ValueError("successes: more successes than trials")
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level!r}")
    tail = (1 - level) / 2
    lower, upper = np.zeros(successes.shape), np.ones(successes.shape)
    some, not_all = successes > 0, successes < n
    lower[some] = betaincinv(successes[some], n[some] - successes[some] + 1, tail)
    upper[not_all] = betaincinv(successes[not_all] + 1, n[not_all] - successes[not_all], 1 - tail)
    undefined = n == 0
    lower[undefined] = upper[undefined] = np.nan
    return lower, upper


def coverage(
    comparisons: Comparisons,
    by: Sequence[str] = ("state", "context"),
    floor: float = 0.01,
    *,
    level: float = 0.95,
    simultaneous: bool = False,
) -> xr.Dataset:
    """Count comparisons in every cell and judge their mass against a floor.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns whose crossing defines the cells.
    floor : float
        Least share of the collection a cell should have.
    level : float
        Level of the Clopper-Pearson intervals.
    simultaneous : bool
        Whether the level holds for all cells together (Bonferroni) or for each by itself.

    Returns
    -------
    Dataset
        Dims those of ``by`` in the order annotator, environment, context, state. ``count`` (summed weights, every
        outcome), ``mass`` (share of the table), ``lower``, ``upper``, ``verdict`` (``below`` if upper < floor,
        ``above`` if lower > floor, else ``undecided``), ``empty``, and ``crossing_empty`` (empty although every label
        of the cell occurs elsewhere). attrs: ``statement`` on marginal against joint support, in words.

    Raises
    ------
    ValueError
        If the floor or the level is out of range, or the cells are more than 20 million.

    Notes
    -----
    The interval treats rows as independent draws from the collection process; rows that come in groups (several of one
    annotator) make it too narrow. With fractional weights it is an approximation, and attrs say so.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> zero = np.zeros(4, dtype=int)
    >>> table = from_codes(zero, zero + 1, zero, items=("x", "y"), state=[0, 0, 1, 1], states=("s", "t"),
    ...                    context=[0, 1, 1, 1], contexts=("u", "v"))
    >>> coverage(table).attrs["statement"]
    'marginals broad, crossing empty: 1 of 4 cells is empty though its state and context occur (u / t)'
    """
    between("floor", floor, 0, 1)
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level!r}")
    dims = stratum_columns(comparisons, by)
    if not dims:
        raise ValueError("by: name at least one column")
    shape = tuple(len(comparisons.labels(dim)) for dim in dims)
    n_cells = int(np.prod(shape, dtype=np.int64))
    if n_cells > MAX_CELLS:
        raise ValueError(f"by: {n_cells:,} cells, more than {MAX_CELLS:,}; stratify by fewer columns")
    count = _cell_counts(comparisons, dims, shape)
    total = float(count.sum())
    mass = count / total if total > 0 else np.full(shape, np.nan)
    each = 1 - (1 - level) / n_cells if simultaneous else level
    lower, upper = clopper_pearson(np.minimum(count, total), np.full(shape, total), each)
    verdict = np.where(upper < floor, "below", np.where(lower > floor, "above", "undecided"))
    empty = count == 0
    crossing = empty.copy()
    for axis in range(len(dims)):
        others = tuple(k for k in range(len(dims)) if k != axis)
        crossing &= (count.sum(axis=others, keepdims=True) > 0) if others else False
    named = {"count": count, "mass": mass, "lower": lower, "upper": upper, "verdict": verdict}
    named |= {"empty": empty, "crossing_empty": crossing}
    labels = {dim: list(comparisons.labels(dim)) for dim in dims}
    attrs = {
        "method": "Clopper-Pearson interval of each cell's share of the table",
        "level": level,
        "simultaneous": int(simultaneous),
        "floor": floor,
        "exact": int(bool(np.all(count == np.round(count)))),
        "assumptions": "rows are independent draws from the collection process",
        "statement": _statement(labels, count, crossing),
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    return xr.Dataset({name: (dims, values) for name, values in named.items()}, coords=labels, attrs=attrs)


def missing_mass(
    coverage: xr.Dataset,
    deployment: Comparisons | pd.DataFrame | xr.DataArray,
    *,
    region: str = "empty",
    level: float = 0.95,
) -> MissingMass:
    """Share delta of the deployment that falls on cells the table does not cover, delta = P_te(B).

    Parameters
    ----------
    coverage : Dataset
        Result of :func:`coverage`.
    deployment : Comparisons, DataFrame or DataArray
        Deployment rows with the same columns (an interval is given), or a declared distribution over cells:
        probabilities that sum to one (no interval); see :func:`bayespref.graph.declared.deployment_cells`. Labels are
        matched by name; cells that the table does not know belong to B.
    region : {"empty", "below", "not_above"}
        B: cells without a comparison; cells surely below the floor; cells not surely above it.
    level : float
        Level of the Clopper-Pearson interval.

    Returns
    -------
    MissingMass

    Raises
    ------
    TargetMixError
        If a declared distribution is negative or does not sum to one.
    ValueError
        If dims or labels are missing, or the deployment has no rows.

    Notes
    -----
    B is taken as known: the interval covers the sampling of the deployment only.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from bayespref.comparisons import from_codes
    >>> zero = np.zeros(3, dtype=int)
    >>> table = from_codes(zero, zero + 1, zero, items=("x", "y"), state=[0, 0, 1], states=("s", "t"))
    >>> declared = xr.DataArray([0.5, 0.3, 0.2], dims=("state",), coords={"state": ["s", "t", "new"]})
    >>> missing_mass(coverage(table, by=("state",)), declared).delta
    0.2
    """
    one_of("region", region, _REGIONS)
    dims = tuple(str(dim) for dim in coverage["count"].dims)
    values, labels, n = deployment_cells(deployment, dims)
    covered = {
        "empty": ~coverage["empty"].values,
        "below": coverage["verdict"].values != "below",
        "not_above": coverage["verdict"].values == "above",
    }[region]
    inside = np.zeros(values.shape, dtype=bool)
    known = np.ones(values.shape, dtype=bool)
    positions = []
    for axis, (dim, names) in enumerate(zip(dims, labels, strict=True)):
        where = {str(name): k for k, name in enumerate(coverage[dim].values)}
        position = np.array([where.get(str(name), -1) for name in names], dtype=np.int64)
        positions.append(position)
        known &= np.expand_dims(position >= 0, tuple(k for k in range(len(dims)) if k != axis))
    inside[known] = covered[np.ix_(*positions)][known]
    share = values / values.sum()
    lost = np.where(inside, 0.0, share)
    cells = [
        (tuple(str(names[i]) for names, i in zip(labels, index, strict=True)), float(lost[index]))
        for index in zip(*np.nonzero(lost), strict=True)
    ]
    delta = float(lost.sum())
    lower = upper = delta
    if np.isfinite(n):
        missed = np.minimum(np.array(values[~inside].sum()), n)
        low, high = clopper_pearson(missed, n, level)
        lower, upper = float(low), float(high)
    ordered = tuple(sorted(cells, key=lambda cell: (-cell[1], cell[0])))
    return MissingMass(delta, lower, upper, level, n, region, ordered, float(share[~known].sum()))


def _cell_counts(comparisons: Comparisons, dims: tuple[str, ...], shape: tuple[int, ...]) -> NDArray[np.float64]:
    cell = np.ravel_multi_index(tuple(comparisons.codes(dim) for dim in dims), shape)
    counts = np.bincount(cell, weights=comparisons.weight, minlength=int(np.prod(shape)))
    return np.asarray(counts, dtype=np.float64).reshape(shape)


def _statement(labels: dict[str, list[str]], count: NDArray[np.float64], crossing: NDArray[np.bool_]) -> str:
    """Marginal against joint support, in words."""
    dims = list(labels)
    if len(dims) < 2:
        return f"{int((count > 0).sum()):,} of {count.size:,} {dims[0]} cells have comparisons"
    n = int(crossing.sum())
    names = " and ".join(sorted(dims, reverse=True))
    if n == 0:
        return f"joint support is as broad as the marginals: no crossing of {names} is empty"
    first: list[Any] = [
        " / ".join(labels[dim][i] for dim, i in zip(dims, index, strict=True)) for index in np.argwhere(crossing)[:5]
    ]
    more = f" and {n - 5:,} more" if n > 5 else ""
    verb, owner = ("is", "its") if n == 1 else ("are", "their")
    return (
        f"marginals broad, crossing empty: {n:,} of {count.size:,} cells {verb} empty though {owner} "
        f"{names} occur ({', '.join(first)}{more})"
    )
