"""A deployment as mass over cells: rows of a table, a frame of cells, or a declared distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import as_float, finite, non_negative, simplex
from bayespref.comparisons import Comparisons
from bayespref.graph.build import stratum_columns

WEIGHT, PROBABILITY = "count", "probability"
"""Columns of a frame of deployment rows: how many a row stands for, or the declared share of its cell."""


class DeploymentCells(NamedTuple):
    """Deployment over the crossing of its own labels.

    Attributes
    ----------
    values : float array, shape (*dim)
        Rows (summed weights), or declared probabilities.
    labels : list of str array
        Labels of each axis.
    n : float
        Rows; ``inf`` for a declared distribution.
    """

    values: Float[np.ndarray, "*dim"]
    labels: list[NDArray[np.str_]]
    n: float

    @property
    def share(self) -> Float[np.ndarray, "*dim"]:
        """Probability of each cell."""
        return np.asarray(self.values / self.values.sum())


def deployment_cells(deployment: Comparisons | pd.DataFrame | xr.DataArray, dims: Sequence[str]) -> DeploymentCells:
    """Lay a deployment out over cells.

    Parameters
    ----------
    deployment : Comparisons, DataFrame or DataArray
        Rows as a table of comparisons; a frame with one column of labels a dim and, optionally, ``count`` (>= 0; 1 a
        row by default) or ``probability`` (declared shares, sum one); or a declared distribution with labelled dims.
    dims : sequence of str
        Columns that make a cell, in the order of the axes.

    Returns
    -------
    DeploymentCells

    Raises
    ------
    TargetMixError
        If declared probabilities are negative or do not sum to one.
    ValueError
        If columns, dims or labels are missing, or there are no rows.

    Examples
    --------
    >>> frame = pd.DataFrame({"state": ["s", "t", "s"]})
    >>> cells = deployment_cells(frame, ("state",))
    >>> cells.values.tolist(), cells.labels[0].tolist(), cells.n
    ([2.0, 1.0], ['s', 't'], 3.0)
    """
    dims = tuple(dims)
    if isinstance(deployment, pd.DataFrame):
        return _frame_cells(deployment, dims)
    if isinstance(deployment, xr.DataArray):
        return _declared_cells(deployment, dims)
    if not hasattr(deployment, "codes"):
        kind = type(deployment).__name__
        raise TypeError(f"deployment: must be Comparisons, a DataFrame or a labelled DataArray, got {kind}")
    stratum_columns(deployment, dims)
    shape = tuple(len(deployment.labels(dim)) for dim in dims)
    values = _summed([deployment.codes(dim) for dim in dims], deployment.weight, shape)
    return _counted(values, [np.asarray(deployment.labels(dim), dtype=str) for dim in dims])


def _declared_cells(deployment: xr.DataArray, dims: tuple[str, ...]) -> DeploymentCells:
    if set(deployment.dims) != set(dims):
        raise ValueError(f"deployment: must have dims {list(dims)}, got {list(deployment.dims)}")
    unlabelled = [dim for dim in dims if dim not in deployment.coords]
    if unlabelled:
        raise ValueError(f"deployment: dims {unlabelled} have no labels")
    deployment = deployment.transpose(*dims)
    values = as_float("deployment", deployment.values)
    simplex("deployment", values.reshape(-1))
    return DeploymentCells(values, [deployment[dim].values.astype(str) for dim in dims], np.inf)


def _frame_cells(frame: pd.DataFrame, dims: tuple[str, ...]) -> DeploymentCells:
    missing = [dim for dim in dims if dim not in frame.columns]
    if missing:
        raise ValueError(f"deployment: columns {missing} are missing; it has {[str(name) for name in frame.columns]}")
    given = [name for name in (WEIGHT, PROBABILITY) if name in frame.columns]
    if len(given) == 2:
        raise ValueError(f"deployment: give {WEIGHT!r} or {PROBABILITY!r}, not both")
    codes, labels = [], []
    for dim in dims:
        column = frame[dim]
        if column.isna().any():
            rows = np.flatnonzero(column.isna())[:5].tolist()
            raise ValueError(f"deployment: column {dim!r} has missing values, first at rows {rows}")
        names, code = np.unique(column.astype(str).to_numpy(dtype=str), return_inverse=True)
        codes.append(code)
        labels.append(names)
    shape = tuple(len(names) for names in labels)
    if not given:
        return _counted(_summed(codes, np.ones(len(frame)), shape), labels)
    column_values = pd.to_numeric(frame[given[0]], errors="coerce").to_numpy(dtype=np.float64)
    weight = finite(f"deployment[{given[0]!r}]", column_values)
    if given[0] == PROBABILITY:
        simplex(f"deployment[{PROBABILITY!r}]", weight)
        return DeploymentCells(_summed(codes, weight, shape), labels, np.inf)
    return _counted(_summed(codes, non_negative(f"deployment[{WEIGHT!r}]", weight), shape), labels)


def _counted(values: NDArray[np.float64], labels: list[NDArray[np.str_]]) -> DeploymentCells:
    n = float(values.sum())
    if not n > 0:
        raise ValueError("deployment: holds no rows")
    return DeploymentCells(values, labels, n)


def _summed(
    codes: Sequence[NDArray[np.integer]], weight: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    if not len(weight):
        return np.zeros(shape)
    cell = np.ravel_multi_index(tuple(np.asarray(code, dtype=np.int64) for code in codes), shape)
    total = np.bincount(cell, weights=weight, minlength=int(np.prod(shape)))
    return np.asarray(total, dtype=np.float64).reshape(shape)
