"""What was asked, as plain matrices of counts: by state and context, state and item, item and item."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayespref.dims import CONTEXT, ITEM, STATE
from bayespref.report.tables import labels


def by_context(tree: xr.DataTree) -> pd.DataFrame | None:
    """Comparisons by state (rows) and context (columns); None where the table has no contexts."""
    table, names = _table(tree)
    contexts = names.get(CONTEXT)
    if CONTEXT not in table or not contexts:
        return None
    states = _states(tree)
    counts = np.zeros((len(states), len(contexts)))
    np.add.at(counts, (table["state"].values, table[CONTEXT].values), table["weight"].values)
    return pd.DataFrame(counts, index=states, columns=[str(label) for label in contexts])


def by_item(tree: xr.DataTree) -> pd.DataFrame:
    """Comparisons by state (rows) and item (columns, the most compared first); a comparison counts for both items."""
    table, _ = _table(tree)
    states, items = _states(tree), labels(tree["graph"].to_dataset(), ITEM)
    counts = np.zeros((len(states), len(items)))
    for side in ("item_a", "item_b"):
        np.add.at(counts, (table["state"].values, table[side].values), table["weight"].values)
    order = np.argsort(-counts.sum(0), kind="stable")
    return pd.DataFrame(counts[:, order], index=states, columns=[items[i] for i in order])


def by_pair(tree: xr.DataTree, most: int) -> pd.DataFrame:
    """Comparisons of each pair of the most compared items, all states together; blocks stand beside each other.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    most : int
        Most items.

    Returns
    -------
    DataFrame
        Symmetric, items by component (of the first state, the largest first), then by number of comparisons; NaN on
        the diagonal.
    """
    table, _ = _table(tree)
    graph = tree["graph"].to_dataset()
    items = labels(graph, ITEM)
    a, b, weight = table["item_a"].values, table["item_b"].values, table["weight"].values
    total = np.bincount(a, weight, len(items)) + np.bincount(b, weight, len(items))
    kept = np.argsort(-total, kind="stable")[:most]
    component = graph["component"].isel(state=0).values[kept]
    size = {label: (component == label).sum() for label in np.unique(component)}
    kept = kept[np.lexsort((-total[kept], component, [-size[label] for label in component]))]
    place = np.full(len(items), -1)
    place[kept] = np.arange(len(kept))
    inside = (place[a] >= 0) & (place[b] >= 0)
    counts = np.zeros((len(kept), len(kept)))
    np.add.at(counts, (place[a[inside]], place[b[inside]]), weight[inside])
    counts = counts + counts.T
    np.fill_diagonal(counts, np.nan)
    return pd.DataFrame(counts, index=items[kept], columns=items[kept])


def _table(tree: xr.DataTree) -> tuple[xr.Dataset, dict[str, list[str]]]:
    table = tree["constant_data"].to_dataset()
    names: dict[str, list[str]] = json.loads(table.attrs["labels"])
    return table, names


def _states(tree: xr.DataTree) -> NDArray[np.object_]:
    return labels(tree["graph"].to_dataset(), STATE)
