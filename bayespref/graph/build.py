"""Comparison graphs: sparse counts per stratum, labels of components, networkx graphs.

A *stratum* is one combination of the columns in ``by`` (a state, a state and context, ...). An edge joins two items
that were compared at least ``n_min`` times in the stratum; ``both_bad`` compares neither item with the other and makes
no edge, but the items count as seen. This module alone imports networkx.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, ANNOTATOR, B_WINS, BOTH_BAD, CONTEXT, ENVIRONMENT, STATE, TIE

STRATUM_DIMS = (ANNOTATOR, ENVIRONMENT, CONTEXT, STATE)
"""Columns that may define a stratum, in the order of the axes."""
MAX_CELLS = 20_000_000
"""Most (stratum, item) cells that a labelled, dense result may hold."""


class PairTable(NamedTuple):
    """Outcome counts per stratum and pair of items, one row a pair that was seen (``item_a < item_b``)."""

    by: tuple[str, ...]
    shape: tuple[int, ...]
    """Number of labels of each column in ``by``."""
    n_items: int
    stratum: Int[np.ndarray, " cell"]
    """Flat index into ``shape`` (C order)."""
    item_a: Int[np.ndarray, " cell"]
    item_b: Int[np.ndarray, " cell"]
    wins_a: Float[np.ndarray, " cell"]
    """Comparisons won by ``item_a``, a tie counting one half."""
    wins_b: Float[np.ndarray, " cell"]
    both_bad: Float[np.ndarray, " cell"]
    edge: Bool[np.ndarray, " cell"]
    """Whether the pair was compared at least ``n_min`` times (``both_bad`` aside)."""

    @property
    def n_strata(self) -> int:
        """Number of strata, seen or not."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def total(self) -> Float[np.ndarray, " cell"]:
        """Comparisons of the pair, ``both_bad`` aside."""
        return np.asarray(self.wins_a + self.wins_b)


class Nodes(NamedTuple):
    """Items seen in each stratum, sorted by stratum and item, with their components.

    Labels are numbered from 0 within each stratum, in the order of their lowest item.
    """

    stratum: Int[np.ndarray, " node"]
    item: Int[np.ndarray, " node"]
    component: Int[np.ndarray, " node"]
    strong_component: Int[np.ndarray, " node"]
    always_wins: Bool[np.ndarray, " node"]
    """The item's strong component beats others of its component and is never beaten by them."""
    always_loses: Bool[np.ndarray, " node"]
    weight: Float[np.ndarray, " node"]
    """Comparisons the item took part in along edges."""
    wins: Float[np.ndarray, " node"]
    """Those it won, a tie counting one half."""


def stratum_columns(comparisons: Comparisons, by: Sequence[str]) -> tuple[str, ...]:
    """Validate ``by`` and return it in the order of the axes (annotator, environment, context, state)."""
    if isinstance(by, str):
        raise TypeError(f"by: must be a sequence of column names such as ({by!r},), got the string {by!r}")
    unknown = [name for name in by if name not in STRATUM_DIMS]
    if unknown or len(set(by)) != len(by):
        raise ValueError(f"by: must be distinct names among {list(STRATUM_DIMS)}, got {list(by)}")
    for name in by:
        comparisons.codes(name)
    return tuple(name for name in STRATUM_DIMS if name in by)


def pair_table(comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1) -> PairTable:
    """Count outcomes per stratum and pair of items, sparsely.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns that define a stratum; empty means the whole table.
    n_min : float
        Fewest comparisons (summed weights, ties included) that make an edge; must be > 0.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1]), np.array([1, 0]), np.array([0, 2]), items=("x", "y"))
    >>> pairs = pair_table(table)
    >>> pairs.wins_a, pairs.wins_b
    (array([1.5]), array([0.5]))
    """
    if not n_min > 0:
        raise ValueError(f"n_min: must be > 0, got {n_min!r}")
    by = stratum_columns(comparisons, by)
    keys, counts = comparisons.pair_counts(by)
    seen = counts.sum(axis=1) > 0
    keys, counts = keys[seen].astype(np.int64), counts[seen]
    shape = tuple(len(comparisons.labels(name)) for name in by)
    stratum = np.ravel_multi_index(tuple(keys[:, : len(by)].T), shape) if by else np.zeros(len(keys), dtype=np.int64)
    half = counts[:, TIE] / 2
    wins_a, wins_b = counts[:, A_WINS] + half, counts[:, B_WINS] + half
    total = counts[:, A_WINS] + counts[:, B_WINS] + counts[:, TIE]
    return PairTable(
        by=by,
        shape=shape,
        n_items=comparisons.n_items,
        stratum=np.asarray(stratum, dtype=np.int64),
        item_a=keys[:, -2],
        item_b=keys[:, -1],
        wins_a=wins_a,
        wins_b=wins_b,
        both_bad=counts[:, BOTH_BAD],
        edge=total >= n_min,
    )


def label_blocks(
    block: Int[np.ndarray, " node"],
    source: Int[np.ndarray, " edge"],
    target: Int[np.ndarray, " edge"],
    *,
    strong: bool,
) -> Int[np.ndarray, " node"]:
    """Label the components of a block-diagonal graph, from 0 within each block by lowest node.

    Parameters
    ----------
    block : int array, shape (node,)
        Block of each node, sorted; no edge may cross blocks.
    source, target : int array, shape (edge,)
        Nodes joined by each edge.
    strong : bool
        Strong components of the directed graph, or components of the undirected one.
    """
    n = len(block)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    graph = csr_array((np.ones(len(source)), (source, target)), shape=(n, n))
    _, raw = connected_components(graph, directed=True, connection="strong" if strong else "weak")
    _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    labels = rank[inverse]
    starts = np.flatnonzero(np.r_[True, block[1:] != block[:-1]])
    return labels - np.repeat(labels[starts], np.diff(np.r_[starts, n]))


def nodes(pairs: PairTable, *, every_item: bool = False) -> Nodes:
    """List the items of each stratum with their components and strong components.

    Parameters
    ----------
    pairs : PairTable
    every_item : bool
        Also list items that were not seen in a stratum; each is a component of its own.
    """
    size = max(pairs.n_items, 1)
    key_a, key_b = pairs.stratum * size + pairs.item_a, pairs.stratum * size + pairs.item_b
    if every_item:
        cells = pairs.n_strata * pairs.n_items
        if cells > MAX_CELLS:
            raise ValueError(
                f"by: {pairs.n_strata:,} strata of {pairs.n_items:,} items make {cells:,} cells, more than "
                f"{MAX_CELLS:,}; select fewer states or items, or stratify by fewer columns"
            )
        key = np.arange(cells, dtype=np.int64)
        a, b = key_a, key_b
    else:
        key, inverse = np.unique(np.concatenate([key_a, key_b]), return_inverse=True)
        a, b = inverse[: len(key_a)], inverse[len(key_a) :]
    stratum, item = key // size, key % size
    n = len(key)
    edge_a, edge_b = a[pairs.edge], b[pairs.edge]
    wins_a, wins_b = pairs.wins_a[pairs.edge], pairs.wins_b[pairs.edge]
    component = label_blocks(stratum, edge_a, edge_b, strong=False)
    winner = np.concatenate([edge_a[wins_a > 0], edge_b[wins_b > 0]])
    loser = np.concatenate([edge_b[wins_a > 0], edge_a[wins_b > 0]])
    strong = label_blocks(stratum, winner, loser, strong=True)
    group = stratum * size + strong  # one number a strong component; labels are below size
    across = group[winner] != group[loser]
    beats = np.isin(group, group[winner[across]])
    beaten = np.isin(group, group[loser[across]])
    wins = np.bincount(edge_a, weights=wins_a, minlength=n) + np.bincount(edge_b, weights=wins_b, minlength=n)
    games = wins_a + wins_b
    weight = np.bincount(edge_a, weights=games, minlength=n) + np.bincount(edge_b, weights=games, minlength=n)
    return Nodes(stratum, item, component, strong, beats & ~beaten, beaten & ~beats, weight, wins)


def stratum_labels(comparisons: Comparisons, pairs: PairTable, stratum: int) -> tuple[str, ...]:
    """Labels of a stratum in the order of ``pairs.by``; empty for the whole table."""
    if not pairs.by:
        return ()
    codes = np.unravel_index(stratum, pairs.shape)
    return tuple(comparisons.labels(name)[int(code)] for name, code in zip(pairs.by, codes, strict=True))


def win_counts(
    comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1
) -> Float[np.ndarray, "*stratum item item_other"]:
    """Dense wins per stratum: ``wins[..., i, j]`` comparisons that i won against j, a tie counting one half each.

    Axes of the strata follow the order annotator, environment, context, state. ``wins + wins.mT`` counts comparisons.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> win_counts(from_codes(np.array([0, 1]), np.array([1, 0]), np.array([0, 2]), items=("x", "y")))
    array([[[0. , 1.5],
            [0.5, 0. ]]])
    """
    pairs = pair_table(comparisons, by, n_min=n_min)
    cells = pairs.n_strata * pairs.n_items**2
    if cells > 10 * MAX_CELLS:
        raise ValueError(f"by: a dense table of {cells:,} cells is too large; use pair_table")
    wins = np.zeros((pairs.n_strata, pairs.n_items, pairs.n_items))
    keep = pairs.edge
    wins[pairs.stratum[keep], pairs.item_a[keep], pairs.item_b[keep]] = pairs.wins_a[keep]
    wins[pairs.stratum[keep], pairs.item_b[keep], pairs.item_a[keep]] = pairs.wins_b[keep]
    return wins.reshape(*pairs.shape, pairs.n_items, pairs.n_items)


def networks(
    comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the labels and the networkx graph of every stratum in which an item was seen.

    Nodes are item labels; an edge carries ``n``, the number of comparisons.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"))
    >>> [(labels, list(graph.edges(data="n"))) for labels, graph in networks(table)]
    [(('all',), [('x', 'y', 1.0)])]
    """
    pairs = pair_table(comparisons, by, n_min=n_min)
    names = np.asarray(comparisons.items, dtype=object)
    order = np.argsort(pairs.stratum, kind="stable")
    strata, starts = np.unique(pairs.stratum[order], return_index=True)
    for stratum, rows in zip(strata.tolist(), np.split(order, starts[1:]), strict=True):
        graph = nx.Graph()
        graph.add_nodes_from(names[np.unique(np.concatenate([pairs.item_a[rows], pairs.item_b[rows]]))].tolist())
        kept = rows[pairs.edge[rows]]
        first, second = names[pairs.item_a[kept]].tolist(), names[pairs.item_b[kept]].tolist()
        graph.add_weighted_edges_from(zip(first, second, pairs.total[kept].tolist(), strict=True), weight="n")
        yield stratum_labels(comparisons, pairs, stratum), graph


def bridge_edges(graph: Any) -> list[tuple[str, str]]:
    """Edges of a networkx graph whose loss would split a component."""
    return [(str(a), str(b)) for a, b in nx.bridges(graph)]


def cut_items(graph: Any) -> list[str]:
    """Items of a networkx graph whose loss would split a component, sorted."""
    return sorted(str(item) for item in nx.articulation_points(graph))


def augmenting_edges(
    graph: Any, k: int, cost: dict[tuple[str, str], float] | None = None
) -> tuple[list[tuple[str, str]], bool]:
    """Edges that make a networkx graph ``k``-edge-connected, and whether they suffice.

    ``cost`` names the edges that may be added and what each costs; without it every pair may be, at equal cost. Where
    they do not suffice, as many cuts as can be are mended.
    """
    if graph.number_of_nodes() < 2:
        return [], True
    allowed = None if cost is None else [(a, b, price) for (a, b), price in cost.items()]
    if allowed == []:
        return [], bool(nx.is_k_edge_connected(graph, k)) if graph.number_of_nodes() > k else k == 1
    try:
        return [(str(a), str(b)) for a, b in nx.k_edge_augmentation(graph, k, avail=allowed)], True
    except nx.NetworkXUnfeasible:
        return [(str(a), str(b)) for a, b in nx.k_edge_augmentation(graph, k, avail=allowed, partial=True)], False


def group_rows(codes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split the positions of a sorted code array into runs of equal codes."""
    if len(codes) == 0:
        return []
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    return np.split(np.arange(len(codes)), starts[1:])
