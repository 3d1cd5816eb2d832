"""One row a stratum: how it hangs together, how firmly, and what it would take to join and to secure it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from bayespref import __version__
from bayespref.checks import at_least, non_negative
from bayespref.comparisons import Comparisons
from bayespref.graph.build import augmenting_edges, bridge_edges, cut_items, networks, stratum_columns
from bayespref.graph.connect import connectivity
from bayespref.graph.strength import contrast_sd


def augmenting_comparisons(
    comparisons: Comparisons,
    by: Sequence[str] = ("state",),
    cost: Float[np.ndarray, "item item_other"] | None = None,
    *,
    k: int = 1,
    n_min: float = 1,
) -> pd.DataFrame:
    """Pairs to ask so that each stratum stays in one piece whichever ``k - 1`` pairs are taken away.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns that define a stratum; empty for the whole table.
    cost : float array, shape (A, A), optional
        Cost of asking each pair, >= 0 and ``inf`` where it cannot be asked; the cheaper of the two orders counts.
    k : int
        1: join the components. 2: leave no bridge, so that no contrast rests on one pair.
    n_min : float
        Fewest comparisons that make an edge.

    Returns
    -------
    DataFrame
        Columns of ``by``, ``item_a``, ``item_b`` and, where costs are given, ``cost``. Among items seen in the stratum.
        attrs: ``exact`` (fewest or cheapest) or that the total cost is at most twice the least.

    Warns
    -----
    UserWarning
        Where the pairs that can be asked do not suffice; what helps most is listed.

    Notes
    -----
    Edge augmentation of networkx: for ``k = 1`` a minimum spanning tree over components (exact), for ``k = 2`` the
    fewest edges (Eswaran and Tarjan 1976, exact) without costs, and with costs the factor-two approximation of Khuller
    and Thurimella (1993). A pair counts once however often it is asked.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 0]), items=("x", "y", "z"))
    >>> augmenting_comparisons(table, k=2).values.tolist()
    [['all', 'x', 'z']]
    """
    k = at_least("k", k, 1)
    if k > 2:
        raise ValueError(f"k: must be 1 (join) or 2 (leave no bridge), got {k}")
    dims = stratum_columns(comparisons, by)
    code = {label: i for i, label in enumerate(comparisons.items)}
    if cost is not None:
        cost = non_negative("cost", cost)
        if cost.shape != (comparisons.n_items,) * 2:
            raise ValueError(f"cost: must have shape {(comparisons.n_items,) * 2}, got {cost.shape}")
        cost = np.minimum(cost, cost.T)
    rows: list[tuple[object, ...]] = []
    short: list[str] = []
    for labels, graph in networks(comparisons, dims, n_min=n_min):
        prices = None
        if cost is not None:
            names = sorted(graph.nodes)
            index = np.array([code[name] for name in names])
            a, b = np.nonzero(np.triu(np.isfinite(cost[np.ix_(index, index)]), 1))
            prices = {
                (names[i], names[j]): float(cost[index[i], index[j]])
                for i, j in zip(a.tolist(), b.tolist(), strict=True)
                if not graph.has_edge(names[i], names[j])
            }
        edges, enough = augmenting_edges(graph, k, prices)
        if not enough:
            short.append(" / ".join(labels) or "the table")
        for first, second in sorted(tuple(sorted(edge)) for edge in edges):
            price = () if cost is None else (float(cost[code[first], code[second]]),)
            rows.append((*labels, first, second, *price))
    if short:
        warnings.warn(
            f"cost, k: in {len(short)} strata the pairs that can be asked do not reach k = {k}, first {short[:5]}",
            UserWarning,
            stacklevel=2,
        )
    frame = pd.DataFrame(rows, columns=[*dims, "item_a", "item_b", *([] if cost is None else ["cost"])])
    frame.attrs["exact"] = "total cost at most twice the least" if k == 2 and cost is not None else "exact"
    return frame


def strata(comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1) -> xr.Dataset:
    """Connectivity of every stratum in one table: pieces, firmness, weak spots, what would mend them.

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
        Over the strata: ``n_items``, ``n_pairs``, ``n_comparisons``, ``n_components``, ``n_strong_components``,
        ``fiedler`` (information per squared log-odds at even choices; 0 where split), ``largest_sd`` (largest standard
        error of a contrast between items seen there, log-odds; ``inf`` where split), ``n_bridges``,
        ``n_articulation_items``, ``n_to_join`` and ``n_to_secure`` (fewest new pairs for one component, and for one
        without bridges; NaN where the items are too few for that).

    Raises
    ------
    ValueError
        As in :func:`bayespref.graph.strength.contrast_sd`: the standard errors are dense in items.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 0]), items=("x", "y", "z"))
    >>> got = strata(table).sel(state="all")
    >>> int(got.n_bridges), int(got.n_articulation_items), float(got.n_to_secure), round(float(got.largest_sd), 4)
    (2, 1, 1.0, 2.8284)
    """
    dims = stratum_columns(comparisons, by)
    graph = connectivity(comparisons, dims, n_min=n_min)
    firm = contrast_sd(comparisons, dims, n_min=n_min)
    names = ("n_items", "n_pairs", "n_comparisons", "n_components", "n_strong_components")
    out = graph[list(names)].drop_vars("item", errors="ignore")
    out["fiedler"] = firm["fiedler"]
    present = graph["present"].values
    both = present[..., :, None] & present[..., None, :]
    sd = np.where(both, firm["sd"].transpose(*dims, "item", "item_other").values, -np.inf).max(axis=(-2, -1))
    out["largest_sd"] = (dims, np.where(present.sum(axis=-1) >= 2, sd, np.nan))
    shape = tuple(out.sizes[dim] for dim in dims)
    position = [{label: i for i, label in enumerate(comparisons.labels(dim))} for dim in dims]
    weak = {
        "n_bridges": np.zeros(shape, dtype=np.int64),
        "n_articulation_items": np.zeros(shape, dtype=np.int64),
        "n_to_join": np.full(shape, np.nan),
        "n_to_secure": np.full(shape, np.nan),
    }
    for labels, network in networks(comparisons, dims, n_min=n_min):
        where = tuple(at[label] for at, label in zip(position, labels, strict=True))
        weak["n_bridges"][where] = len(bridge_edges(network))
        weak["n_articulation_items"][where] = len(cut_items(network))
        weak["n_to_join"][where] = len(augmenting_edges(network, 1)[0])
        edges, enough = augmenting_edges(network, 2)
        weak["n_to_secure"][where] = len(edges) if enough else np.nan
    out = out.assign({name: (dims, values) for name, values in weak.items()})
    out.attrs = {
        "method": "components by SciPy; bridges and augmentation by networkx; resistance of n / 4 per pair",
        "assumptions": "standard errors at even choices, the least these counts could give",
        "n_min": n_min,
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    return out
