"""Which contrasts can the table speak about: components, separation, status of every contrast.

Two items in different components of the comparison graph have no identified difference, however much data of this kind
is added (``disconnected``). Within a component the Bradley-Terry maximum-likelihood estimate is finite exactly where
the directed win graph is strongly connected (Ford 1957); elsewhere some group of items never lost to the rest and the
size of the difference is the prior's (``separated``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayespref import __version__
from bayespref.checks import non_negative, same_shape
from bayespref.comparisons import Comparisons
from bayespref.dims import ITEM, ITEM_OTHER
from bayespref.graph.build import PairTable, label_blocks, nodes, pair_table
from bayespref.graph.suggest import suggest_comparisons

__all__ = [
    "CONTRAST_STATUS",
    "components",
    "connectivity",
    "contrast_status",
    "estimable",
    "strong_components",
    "suggest_comparisons",
]

CONTRAST_STATUS = ("identified", "disconnected", "no_data", "separated")
"""Status labels of a contrast; the position is the code. All but the first are reason codes."""
_IDENTIFIED, _DISCONNECTED, _NO_DATA, _SEPARATED = range(4)


def components(counts: Float[np.ndarray, "*batch item item_other"]) -> Int[np.ndarray, "*batch item"]:
    """Label the connected components of comparison graphs.

    Parameters
    ----------
    counts : array, shape (..., A, A)
        Comparisons (or wins) between items; a positive entry in either direction is an edge. The diagonal is ignored.

    Returns
    -------
    int array, shape (..., A)
        Labels from 0 in the order of each component's lowest item; an item without comparisons is its own component.

    Raises
    ------
    ValueError
        If the last two axes differ or an entry is negative or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.zeros((4, 4))
    >>> counts[0, 2] = counts[1, 3] = 1
    >>> components(counts)
    array([0, 1, 0, 1])
    """
    return _label_array("counts", counts, strong=False)


def strong_components(wins: Float[np.ndarray, "*batch item item_other"]) -> Int[np.ndarray, "*batch item"]:
    """Label the strongly connected components of win graphs.

    Parameters
    ----------
    wins : array, shape (..., A, A)
        ``wins[..., i, j]`` is the weight with which i beat j; a tie enters as half a win each way, so it joins its two
        items. The diagonal is ignored.

    Returns
    -------
    int array, shape (..., A)
        Labels from 0 in the order of each strong component's lowest item.

    Raises
    ------
    ValueError
        If the last two axes differ or an entry is negative or NaN.

    Notes
    -----
    The Bradley-Terry maximum-likelihood estimate exists (is finite) exactly if a component of the comparison graph is
    one strong component: Ford (1957), American Mathematical Monthly 64, 28-33.

    Examples
    --------
    >>> import numpy as np
    >>> wins = np.zeros((3, 3))
    >>> wins[0, 1] = wins[1, 2] = wins[2, 1] = 1  # item 0 never lost
    >>> strong_components(wins)
    array([0, 1, 1])
    """
    return _label_array("wins", wins, strong=True)


def estimable(
    component: Int[np.ndarray, "*batch item"],
    strong_component: Int[np.ndarray, "*batch item"] | None = None,
    present: Bool[np.ndarray, "*batch item"] | None = None,
) -> Int[np.ndarray, "*batch item item_other"]:
    """Status of every contrast r(i) - r(j), as codes into ``CONTRAST_STATUS``.

    Parameters
    ----------
    component : int array, shape (..., A)
        Labels by :func:`components`.
    strong_component : int array, shape (..., A), optional
        Labels by :func:`strong_components`; without them no contrast is called separated.
    present : bool array, shape (..., A), optional
        Whether the item was seen in the stratum; without it no contrast is called no_data.

    Returns
    -------
    int8 array, shape (..., A, A)
        0 identified, 1 disconnected, 2 no_data (either item unseen), 3 separated (same component, different strong
        components). The first that applies of no_data, disconnected, separated. The diagonal is 0: r(i) - r(i) = 0.

    Examples
    --------
    >>> import numpy as np
    >>> status = estimable(np.array([0, 0, 1]))
    >>> CONTRAST_STATUS[status[0, 1]], CONTRAST_STATUS[status[0, 2]]
    ('identified', 'disconnected')
    """
    component = np.asarray(component)
    if component.ndim < 1:
        raise ValueError("component: must have at least one axis (items), got a scalar")
    status = np.zeros((*component.shape, component.shape[-1]), dtype=np.int8)
    if strong_component is not None:
        strong = np.asarray(strong_component)
        same_shape(component=component, strong_component=strong)
        status[strong[..., :, None] != strong[..., None, :]] = _SEPARATED
    status[component[..., :, None] != component[..., None, :]] = _DISCONNECTED
    if present is not None:
        seen = np.asarray(present, dtype=bool)
        same_shape(component=component, present=seen)
        status[~(seen[..., :, None] & seen[..., None, :])] = _NO_DATA
    diagonal = np.arange(component.shape[-1])
    status[..., diagonal, diagonal] = _IDENTIFIED
    return status


def connectivity(comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1) -> xr.Dataset:
    """Components, separation and counts of every stratum.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns that define a stratum, among annotator, environment, context, state; empty for the whole table.
    n_min : float
        Fewest comparisons that make an edge.

    Returns
    -------
    Dataset
        Dims: those of ``by`` in the order annotator, environment, context, state, then ``item``.
        Per item: ``component``, ``strong_component`` (an unseen item is its own), ``present``, ``always_wins`` and
        ``always_loses`` (its strong component was never beaten by, or never beat, the rest of its component),
        ``n_item_comparisons``. Per stratum, over items present: ``n_components``, ``n_strong_components``,
        ``n_items``, ``n_pairs`` (compared at least ``n_min`` times), ``n_comparisons``, ``n_both_bad``.

    Raises
    ------
    TableError
        If the table lacks a column named in ``by``.
    ValueError
        If ``by`` or ``n_min`` is invalid, or strata times items exceed 20 million.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 2]), np.array([1, 3]), np.array([2, 0]), items=("w", "x", "y", "z"))
    >>> int(connectivity(table).n_components.sel(state="all"))
    2
    """
    return connectivity_of(comparisons, pair_table(comparisons, by, n_min=n_min), n_min=n_min)


def connectivity_of(comparisons: Comparisons, pairs: PairTable, *, n_min: float) -> xr.Dataset:
    """Build :func:`connectivity`'s Dataset from counts made already."""
    every = nodes(pairs, every_item=True)
    shape, strata = pairs.shape, pairs.n_strata
    present = np.zeros((strata, pairs.n_items), dtype=bool)
    present[pairs.stratum, pairs.item_a] = True
    present[pairs.stratum, pairs.item_b] = True
    absent = (~present).sum(axis=1)

    def table(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(strata, pairs.n_items)

    def largest(labels: NDArray[np.int64]) -> NDArray[np.int64]:
        # every unseen item holds a label of its own, so labels + 1 less the unseen counts those present
        return np.asarray(table(labels).max(axis=1, initial=-1) + 1 - absent, dtype=np.int64)

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(pairs.stratum, weights=values, minlength=strata), dtype=np.float64)

    per_item = {
        "component": table(every.component).astype(np.int32),
        "strong_component": table(every.strong_component).astype(np.int32),
        "present": present,
        "always_wins": table(every.always_wins),
        "always_loses": table(every.always_loses),
        "n_item_comparisons": table(every.weight),
    }
    per_stratum = {
        "n_components": largest(every.component),
        "n_strong_components": largest(every.strong_component),
        "n_items": present.sum(axis=1),
        "n_pairs": summed(pairs.edge).astype(np.int64),
        "n_comparisons": summed(pairs.total),
        "n_both_bad": summed(pairs.both_bad),
    }
    data: dict[str, Any] = {
        name: ((*pairs.by, ITEM), values.reshape(*shape, pairs.n_items)) for name, values in per_item.items()
    }
    data |= {name: (pairs.by, values.reshape(shape)) for name, values in per_stratum.items()}
    coords: dict[str, Any] = {name: list(comparisons.labels(name)) for name in (*pairs.by, ITEM)}
    attrs = {
        "method": "connected components of the comparison graph and strong components of the win graph",
        "by": ", ".join(pairs.by),
        "n_min": n_min,
        "ties": "half a win each way",
        "both_bad": "no edge",
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    return xr.Dataset(data, coords=coords, attrs=attrs)


def contrast_status(graph: xr.Dataset) -> xr.DataArray:
    """Label :func:`estimable` with the strata and items of a :func:`connectivity` Dataset.

    Returns
    -------
    DataArray of int8
        Codes into ``CONTRAST_STATUS``, dims those of ``graph`` and ``item_other``.
    """
    status = estimable(graph["component"].values, graph["strong_component"].values, graph["present"].values)
    coords = {str(name): graph[name].values for name in graph["component"].dims}
    coords[ITEM_OTHER] = graph[ITEM].values
    attrs = {"labels": ", ".join(CONTRAST_STATUS), "method": "status by components", "version": __version__}
    return xr.DataArray(status, dims=(*graph["component"].dims, ITEM_OTHER), coords=coords, attrs=attrs)


def _label_array(name: str, values: Float[np.ndarray, "*batch item item_other"], *, strong: bool) -> NDArray[np.int64]:
    array = non_negative(name, values)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"{name}: the last two axes must be equal (item, item), got shape {array.shape}")
    size = array.shape[-1]
    blocks = int(np.prod(array.shape[:-2], dtype=np.int64))
    block, source, target = np.nonzero(array.reshape(blocks, size, size))
    start = block * size
    labels = label_blocks(np.repeat(np.arange(blocks), size), start + source, start + target, strong=strong)
    return labels.reshape(array.shape[:-1])
