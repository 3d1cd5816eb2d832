"""Shortest paths with negative weights, batched over draws, and the cycle that makes restrictions clash.

Weights of zero are real and absent edges are infinite, so graphs are dense arrays of ``inf`` rather than sparse ones,
whose zeros mean absence. Source: Floyd-Warshall and Bellman-Ford as in Cormen et al., *Introduction to Algorithms*.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

_ROUNDING = 1e-11
"""A cycle shorter than minus this, relative to the largest weight, is negative; above it, rounding."""
_BLOCK = 2**18


def tighten(
    upper: Float[np.ndarray, "draw node node"],
    head: Int[np.ndarray, " edge"],
    tail: Int[np.ndarray, " edge"],
    weight: Float[np.ndarray, "draw edge"],
) -> None:
    """Lower ``upper[:, head, tail]`` to the weights in place; of several on one pair the smallest holds.

    Examples
    --------
    >>> limit = np.full((1, 2, 2), np.inf)
    >>> tighten(limit, np.array([0, 0]), np.array([1, 1]), np.array([[0.2, 0.5]]))
    >>> float(limit[0, 0, 1])
    0.2
    """
    where: Any = (slice(None), head, tail)
    np.minimum.at(upper, where, weight)


def all_distances(
    upper: Float[np.ndarray, "draw node node"],
) -> tuple[Float[np.ndarray, "draw node node"], Bool[np.ndarray, " draw"]]:
    """Tightest ``r_i - r_j <= upper[i, j]`` implied by all of them together (Floyd-Warshall).

    Parameters
    ----------
    upper : array, shape (draw, V, V)
        Direct limits, ``inf`` where there is none, diagonal at most zero; overwritten.

    Returns
    -------
    upper : array, shape (draw, V, V)
        Implied limits, with a diagonal of zero where feasible.
    feasible : bool array, shape (draw,)
        Whether no cycle is negative.

    Examples
    --------
    >>> direct = np.array([[[0.0, 0.2, np.inf], [np.inf, 0.0, 0.3], [np.inf, np.inf, 0.0]]])
    >>> float(all_distances(direct)[0][0, 0, 2])
    0.5
    """
    count, size, _ = upper.shape
    finite = np.where(np.isfinite(upper), np.abs(upper), 0.0)
    tolerance = _ROUNDING * np.maximum(1.0, finite.max(axis=(1, 2), initial=0.0))
    step = max(1, _BLOCK // max(1, size * size))
    for start in range(0, count, step):
        block = upper[start : start + step]
        for k in range(size):
            np.minimum(block, block[:, :, k, None] + block[:, k, None, :], out=block)
    diagonal = upper[:, range(size), range(size)]
    feasible = (diagonal >= -tolerance[:, None]).all(axis=1)
    upper[np.flatnonzero(feasible)[:, None], np.arange(size), np.arange(size)] = 0.0
    return upper, np.asarray(feasible)


def negative_cycle(
    head: Int[np.ndarray, " edge"],
    tail: Int[np.ndarray, " edge"],
    weight: Float[np.ndarray, " edge"],
    n_nodes: int,
) -> tuple[int, ...]:
    """Edges of a cycle of negative length, in the order of a walk; empty if there is none (Bellman-Ford).

    Parameters
    ----------
    head, tail, weight : arrays, shape (E,)
        Restrictions ``r[head] - r[tail] <= weight``, edges from tail to head.
    n_nodes : int
        Number of nodes.

    Returns
    -------
    tuple of int
        Positions of the edges; adding their restrictions gives zero on the left and less than zero on the right.

    Examples
    --------
    >>> negative_cycle(np.array([1, 0]), np.array([0, 1]), np.array([0.2, -0.3]), 2)
    (0, 1)
    """
    used = np.isfinite(weight)
    edges = np.flatnonzero(used)
    tolerance = _ROUNDING * max(1.0, float(np.abs(weight[used]).max(initial=0.0)))
    distance: NDArray[np.float64] = np.zeros(n_nodes)
    before = np.full(n_nodes, -1)
    changed = -1
    for _ in range(n_nodes + 1):
        changed = -1
        for e in edges:
            through = distance[tail[e]] + weight[e]
            if through < distance[head[e]] - tolerance:
                distance[head[e]] = through
                before[head[e]] = e
                changed = int(head[e])
        if changed < 0:
            return ()
    node = changed
    for _ in range(n_nodes):
        node = int(tail[before[node]])
    cycle = [int(before[node])]
    while int(tail[cycle[-1]]) != node:
        cycle.append(int(before[tail[cycle[-1]]]))
    cycle.reverse()
    smallest = cycle.index(min(cycle))
    return tuple(cycle[smallest:] + cycle[:smallest])
