"""Does the collection overlap with a deployment: missing mass, importance ratios, effective sample size by cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref import __version__
from bayespref.checks import finite, non_negative
from bayespref.comparisons import Comparisons
from bayespref.display import shown
from bayespref.graph.coverage import missing_mass
from bayespref.graph.declared import deployment_cells


@shown("largest ratio {largest}", next_step="infinite: a cell is used and never asked; collect there or defer")
class CellRatios(NamedTuple):
    """Importance ratios of cells, and what they cost.

    Attributes
    ----------
    ratio : float array, shape (*cell)
        Deployment share over collected share; ``inf`` where the deployment goes and nothing was collected, NaN where
        neither has mass.
    largest : float
        Largest ratio; ``inf`` as soon as one cell with deployment mass is empty.
    largest_covered : float
        Largest ratio of cells that were collected.
    n_eff : float
        Effective number of collected rows under those ratios, (sum w)^2 / sum w^2 over rows: what is left to learn
        about the covered part of the deployment. 0 where none of the deployment is covered.
    """

    ratio: Float[np.ndarray, "*cell"]
    largest: float
    largest_covered: float
    n_eff: float


def cell_ratios(count: Float[np.ndarray, "*cell"], deployment: Float[np.ndarray, "*cell"]) -> CellRatios:
    """Importance ratios from collected counts to deployment mass, cell by cell.

    Parameters
    ----------
    count : float array, shape (*cell)
        Collected rows, >= 0.
    deployment : float array, same shape
        Deployment mass on any scale, >= 0.

    Returns
    -------
    CellRatios

    Raises
    ------
    ValueError
        If shapes differ, values are negative, or either side has no mass.

    Examples
    --------
    >>> got = cell_ratios(np.array([8.0, 2.0, 0.0]), np.array([0.4, 0.4, 0.2]))
    >>> got.ratio.tolist(), round(got.largest_covered, 6), round(got.n_eff, 3)
    ([0.5, 2.0, inf], 2.0, 6.4)
    """
    rows = finite("count", non_negative("count", count))
    target = finite("deployment", non_negative("deployment", deployment))
    if rows.shape != target.shape:
        raise ValueError(f"count, deployment: shapes must agree, got {rows.shape} and {target.shape}")
    if not rows.sum() > 0 or not target.sum() > 0:
        raise ValueError("count, deployment: both need some mass")
    collected, wanted = rows / rows.sum(), target / target.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(wanted > 0, wanted / collected, np.where(collected > 0, 0.0, np.nan))
    covered = collected > 0
    weight = ratio[covered]
    square = float((rows[covered] * weight**2).sum())
    n_eff = float((rows[covered] * weight).sum()) ** 2 / square if square > 0 else 0.0
    return CellRatios(ratio, float(np.nanmax(ratio)), float(weight.max()), n_eff)


def deployment_overlap(
    coverage: xr.Dataset,
    deployment: Comparisons | pd.DataFrame | xr.DataArray,
    *,
    region: str = "empty",
    level: float = 0.95,
) -> xr.Dataset:
    """Set the cells of a collection against those of a deployment.

    Parameters
    ----------
    coverage : Dataset
        Result of :func:`bayespref.graph.coverage.coverage`.
    deployment : Comparisons, DataFrame or DataArray
        As in :func:`bayespref.graph.coverage.missing_mass`.
    region : {"empty", "below", "not_above"}
        Which cells are missing.
    level : float
        Level of the interval of the missing mass.

    Returns
    -------
    Dataset
        Over the cells of both (labels of the deployment that the table does not know come last): ``count``,
        ``collected`` and ``deployment`` (shares), ``ratio``. Scalars ``missing_mass`` with ``missing_mass_lower`` and
        ``_upper``, ``outside`` (its part in unknown labels), ``largest_ratio``, ``largest_covered_ratio``,
        ``n_eff`` (rows, covered cells only) and ``share_eff`` (of the rows collected).

    Raises
    ------
    TargetMixError
        If a declared distribution is negative or does not sum to one.
    ValueError
        If dims or labels are missing, or either side has no rows.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> from bayespref.graph.coverage import coverage
    >>> zero = np.zeros(3, dtype=int)
    >>> table = from_codes(zero, zero + 1, zero, items=("x", "y"), state=[0, 0, 1], states=("s", "t"))
    >>> deployed = pd.DataFrame({"state": ["t", "t", "u", "s"]})
    >>> overlap = deployment_overlap(coverage(table, by=("state",)), deployed)
    >>> float(overlap.missing_mass), float(overlap.largest_covered_ratio), float(overlap.largest_ratio)
    (0.25, 1.5, inf)
    """
    missing = missing_mass(coverage, deployment, region=region, level=level)
    dims = tuple(str(dim) for dim in coverage["count"].dims)
    cells = deployment_cells(deployment, dims)
    known = [coverage[dim].values.astype(str) for dim in dims]
    labels = [
        np.concatenate([mine, theirs[~np.isin(theirs, mine)]]) for mine, theirs in zip(known, cells.labels, strict=True)
    ]
    count = _placed(coverage["count"].values, known, labels)
    target = _placed(cells.share, cells.labels, labels)
    ratios = cell_ratios(count, target)
    total = float(count.sum())
    scalars = {
        "missing_mass": missing.delta,
        "missing_mass_lower": missing.lower,
        "missing_mass_upper": missing.upper,
        "outside": missing.outside,
        "largest_ratio": ratios.largest,
        "largest_covered_ratio": ratios.largest_covered,
        "n_eff": ratios.n_eff,
        "share_eff": ratios.n_eff / total,
    }
    data = {
        "count": (dims, count),
        "collected": (dims, count / total),
        "deployment": (dims, target),
        "ratio": (dims, ratios.ratio),
        **{name: ((), value) for name, value in scalars.items()},
    }
    attrs = {
        "method": "importance ratios of cells; Clopper-Pearson interval of the missing mass",
        "level": level,
        "region": region,
        "deployment_rows": cells.n,
        "assumptions": "deployment rows are independent; collected shares are taken as they are; n_eff and "
        "largest_covered_ratio speak of covered cells only",
        "version": __version__,
        "data_hash": coverage.attrs["data_hash"],
    }
    return xr.Dataset(data, coords=dict(zip(dims, labels, strict=True)), attrs=attrs)


def _placed(
    values: NDArray[np.float64], mine: list[NDArray[np.str_]], labels: list[NDArray[np.str_]]
) -> NDArray[np.float64]:
    """Spread values over a larger crossing of labels, zero elsewhere."""
    out = np.zeros(tuple(len(names) for names in labels))
    where = []
    for names, all_names in zip(mine, labels, strict=True):
        position = {str(name): k for k, name in enumerate(all_names)}
        where.append(np.array([position[str(name)] for name in names], dtype=np.int64))
    out[np.ix_(*where)] = values
    return out
