"""Which comparisons to collect so that what is not joined becomes joined."""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import non_negative, one_of
from bayespref.comparisons import Comparisons
from bayespref.graph.build import Nodes, PairTable, group_rows, nodes, pair_table, stratum_labels


def suggest_comparisons(
    comparisons: Comparisons,
    by: Sequence[str] = ("state",),
    cost: Float[np.ndarray, "item item_other"] | None = None,
    *,
    items: str = "present",
    n_min: float = 1,
) -> pd.DataFrame:
    """List the fewest comparisons that join what is not joined, and those that could end separation.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns that define a stratum; empty for the whole table.
    cost : float array, shape (A, A), optional
        Cost of asking each pair, >= 0 and ``inf`` where it cannot be asked; the cheaper of the two orders counts.
    items : {"present", "all"}
        Join the items seen in the stratum, or every item of the table in every stratum.
    n_min : float
        Fewest comparisons that make an edge.

    Returns
    -------
    DataFrame
        One row a suggested comparison: the columns of ``by``, ``item_a``, ``item_b``, ``reason``, ``joins`` (words)
        and, where costs are given, ``cost``. Rows with reason ``disconnected`` (``no_data`` where one side was never
        seen in the stratum) come first: a stratum of k components gets k - 1 of them, of least total cost where costs
        are given, else from the largest component's most compared item to the most compared item of each other. Rows
        with reason ``separated`` follow: groups that never lost to those below them, and ``item_b`` from the lower
        group. If ``item_b`` wins (or ties) once in each row of a component, it becomes strongly connected.

    Warns
    -----
    UserWarning
        If infinite costs forbid joining some components.

    Notes
    -----
    One comparison (``n_min`` of them) joins two components, but a finite estimate without a prior needs a win each way
    (or a tie).
    With costs the rows are a minimum spanning tree over components (Kruskal 1956).

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 2]), np.array([1, 3]), np.array([2, 2]), items=("w", "x", "y", "z"))
    >>> suggest_comparisons(table)[["item_a", "item_b", "reason"]].values.tolist()
    [['w', 'y', 'disconnected']]
    """
    one_of("items", items, ("present", "all"))
    if cost is not None:
        cost = non_negative("cost", cost)
        if cost.shape != (comparisons.n_items, comparisons.n_items):
            raise ValueError(f"cost: must have shape {(comparisons.n_items,) * 2}, got {cost.shape}")
        cost = np.minimum(cost, cost.T)
    pairs = pair_table(comparisons, by, n_min=n_min)
    graph = nodes(pairs, every_item=items == "all")
    return suggestions_of(comparisons, pairs, graph, cost)


def suggestions_of(
    comparisons: Comparisons, pairs: PairTable, graph: Nodes, cost: NDArray[np.float64] | None = None
) -> pd.DataFrame:
    """Suggest from components found already; ``cost`` is symmetric. See :func:`suggest_comparisons`."""
    labels = np.asarray(comparisons.items, dtype=object)
    alphabetical = np.empty(len(labels), dtype=np.int64)
    alphabetical[np.argsort(labels.astype(str), kind="stable")] = np.arange(len(labels))
    size = max(pairs.n_items, 1)
    present_key = np.unique(np.concatenate([pairs.stratum * size + pairs.item_a, pairs.stratum * size + pairs.item_b]))
    present = np.isin(graph.stratum * size + graph.item, present_key)
    joining: list[tuple[Any, ...]] = []
    separating: list[tuple[Any, ...]] = []
    blocked: list[str] = []
    edges = _Edges(pairs, graph)
    for rows in group_rows(graph.stratum):
        key = stratum_labels(comparisons, pairs, int(graph.stratum[rows[0]]))
        rank = alphabetical[graph.item[rows]]
        if graph.component[rows].max() > 0:
            links = _star(graph, rows, rank) if cost is None else _tree(graph, rows, rank, cost)
            n_components = int(graph.component[rows].max()) + 1
            if len(links) < n_components - 1:
                blocked.append(" / ".join(key) or "the table")
            sizes = np.bincount(graph.component[rows])
            for a, b in links:
                reason = "disconnected" if present[a] and present[b] else "no_data"
                joining.append((*key, *_row(labels, graph, a, b, reason, _sides(sizes, graph.component, a, b)), a, b))
        if graph.always_wins[rows].any():
            for component_rows in _separated_components(graph, rows):
                for a, b, words in _upsets(graph, component_rows, alphabetical, edges):
                    separating.append((*key, *_row(labels, graph, a, b, "separated", words), a, b))
    if blocked:
        warnings.warn(
            f"cost: infinite costs leave components unjoined in {len(blocked)} strata, first {blocked[:5]}",
            UserWarning,
            stacklevel=3,
        )
    columns = [*pairs.by, "item_a", "item_b", "reason", "joins"]
    frame = pd.DataFrame([row[:-2] for row in joining + separating], columns=columns)
    if cost is not None:
        frame["cost"] = [float(cost[graph.item[row[-2]], graph.item[row[-1]]]) for row in joining + separating]
    return frame


class _Edges:
    """Directed wins between nodes, grouped by winner (compressed rows)."""

    def __init__(self, pairs: PairTable, graph: Nodes) -> None:
        size = max(pairs.n_items, 1)
        key = graph.stratum * size + graph.item
        a = np.searchsorted(key, (pairs.stratum * size + pairs.item_a)[pairs.edge])
        b = np.searchsorted(key, (pairs.stratum * size + pairs.item_b)[pairs.edge])
        wins_a, wins_b = pairs.wins_a[pairs.edge] > 0, pairs.wins_b[pairs.edge] > 0
        winner, loser = np.concatenate([a[wins_a], b[wins_b]]), np.concatenate([b[wins_a], a[wins_b]])
        order = np.argsort(winner, kind="stable")
        self.loser = loser[order]
        self.start = np.searchsorted(winner[order], np.arange(len(key) + 1))


def _row(labels: NDArray[Any], graph: Nodes, a: int, b: int, reason: str, words: str) -> tuple[str, str, str, str]:
    return str(labels[graph.item[a]]), str(labels[graph.item[b]]), reason, words


def _sides(sizes: NDArray[np.int64], component: NDArray[np.int64], a: int, b: int) -> str:
    def side(node: int) -> str:
        n = int(sizes[component[node]])
        return f"component {int(component[node])} ({n} item{'s' * (n > 1)})"

    return f"{side(a)} with {side(b)}"


def _central(graph: Nodes, rows: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Most compared node of each component; ties go to the first name."""
    order = np.lexsort((rank, -graph.weight[rows], graph.component[rows]))
    _, first = np.unique(graph.component[rows][order], return_index=True)
    return rows[order[first]]


def _star(graph: Nodes, rows: NDArray[np.int64], rank: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Join every component to the largest one (then most compared, then first by name), centre to centre."""
    centre = _central(graph, rows, rank)
    component = graph.component[rows]
    sizes = np.bincount(component)
    weight = np.bincount(component, weights=graph.weight[rows])
    names = rank[np.searchsorted(rows, centre)]
    order = np.lexsort((names, -weight, -sizes))
    hub = int(centre[order[0]])
    return [(hub, int(centre[k])) for k in order[1:]]


def _tree(
    graph: Nodes, rows: NDArray[np.int64], rank: NDArray[np.int64], cost: NDArray[np.float64]
) -> list[tuple[int, int]]:
    """Minimum spanning tree over components; among equal costs the most compared endpoints, then first names."""
    component = graph.component[rows]
    price = cost[np.ix_(graph.item[rows], graph.item[rows])]
    i, j = np.nonzero(np.triu((component[:, None] != component[None, :]) & np.isfinite(price), 1))
    weight = graph.weight[rows]
    names = np.sort(np.stack([rank[i], rank[j]]), axis=0)
    order = np.lexsort((names[1], names[0], -(weight[i] + weight[j]), price[i, j]))
    parent = np.arange(int(component.max()) + 1)
    links: list[tuple[int, int]] = []
    for position in order.tolist():
        roots = []
        for side in (component[i[position]], component[j[position]]):
            root = int(side)
            while parent[root] != root:
                parent[root] = parent[parent[root]]
                root = int(parent[root])
            roots.append(root)
        if roots[0] != roots[1]:
            parent[roots[1]] = roots[0]
            links.append((int(rows[i[position]]), int(rows[j[position]])))
            if len(links) == len(parent) - 1:
                break
    return links


def _separated_components(graph: Nodes, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Nodes of each component that holds more than one strong component."""
    loose = np.unique(graph.component[rows[graph.always_wins[rows]]])
    kept = rows[np.isin(graph.component[rows], loose)]
    order = np.argsort(graph.component[kept], kind="stable")
    return [kept[order[run]] for run in group_rows(graph.component[kept][order])]


def _upsets(
    graph: Nodes, rows: NDArray[np.int64], alphabetical: NDArray[np.int64], edges: _Edges
) -> list[tuple[int, int, str]]:
    """Pairs of neighbours in an order of the strong components that no result contradicts.

    The order is topological, best share of wins first among those free to come next. If the lower side of each pair
    wins once, a path leads from the last group up to the first through all groups; as the component is connected, the
    win graph is then strongly connected.
    """
    share = graph.wins[rows] / graph.weight[rows]
    name = alphabetical[graph.item[rows]]
    _, strong = np.unique(graph.strong_component[rows], return_inverse=True)
    n_groups = int(strong.max()) + 1
    level = np.bincount(strong, weights=graph.wins[rows]) / np.bincount(strong, weights=graph.weight[rows])
    first_name = np.full(n_groups, len(alphabetical))
    np.minimum.at(first_name, strong, name)
    position = dict(zip(rows.tolist(), strong.tolist(), strict=True))
    below: list[set[int]] = [set() for _ in range(n_groups)]
    above = np.zeros(n_groups, dtype=np.int64)
    for row in rows.tolist():
        upper = position[row]
        for node in edges.loser[edges.start[row] : edges.start[row + 1]].tolist():
            lower = position[node]
            if lower != upper and lower not in below[upper]:
                below[upper].add(lower)
                above[lower] += 1
    ready = [(-level[k], int(first_name[k]), k) for k in range(n_groups) if above[k] == 0]
    heapq.heapify(ready)
    chain: list[int] = []
    while ready:
        k = heapq.heappop(ready)[2]
        chain.append(k)
        for lower in below[k]:
            above[lower] -= 1
            if above[lower] == 0:
                heapq.heappush(ready, (-level[lower], int(first_name[lower]), lower))
    weakest = _first_of_group(strong, np.lexsort((name, share, strong)))
    strongest = _first_of_group(strong, np.lexsort((name, -share, strong)))
    sizes = np.bincount(strong)

    def side(k: int) -> str:
        return "" if sizes[k] == 1 else f" (one of {sizes[k]} joined items)"

    return [
        (int(rows[weakest[k]]), int(rows[strongest[m]]), f"item_b{side(m)} could win against item_a{side(k)}")
        for k, m in pairwise(chain)
    ]


def _first_of_group(group: NDArray[np.int64], order: NDArray[np.intp]) -> NDArray[np.intp]:
    _, first = np.unique(group[order], return_index=True)
    return order[first]
