"""Restrictions on pairs of rewards, ``r_i - r_j <= w``: the range, what the data fix, and assumptions across cells.

Nodes are the flattened cells (state, type, item); -1 stands for Z, a node of reward zero that ties levels to the range.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.bounds.cells import check_component, check_range
from bayespref.checks import as_float, non_negative


class Restrictions(NamedTuple):
    """Restrictions ``r[head] - r[tail] <= weight``.

    Attributes
    ----------
    head, tail : integer array, shape (E,)
        Nodes.
    weight : array, shape (..., E)
        Limits, log-odds or reward units, with draws on leading axes.
    kind : integer array, shape (E,)
        Position of the restriction's name in ``names``.
    names : tuple of str
        What was assumed.
    """

    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    weight: NDArray[np.float64]
    kind: NDArray[np.int64]
    names: tuple[str, ...]


def pairwise(head: ArrayLike, tail: ArrayLike, weight: ArrayLike, name: str) -> Restrictions:
    """Restrictions ``r[head] - r[tail] <= weight`` under one name.

    Parameters
    ----------
    head, tail : integer arrays, shape (E,)
        Nodes; -1 stands for Z, the node of reward zero.
    weight : array, shape (..., E)
        Limits; infinite ones restrict nothing and are left out.
    name : str
        What is assumed, in words.

    Returns
    -------
    Restrictions

    Raises
    ------
    ValueError
        If a weight is NaN or minus infinity, or shapes do not agree.

    Examples
    --------
    >>> pairwise([0], [1], [0.2], "r0 at most 0.2 above r1").names
    ('r0 at most 0.2 above r1',)
    """
    first, second = np.atleast_1d(np.asarray(head)), np.atleast_1d(np.asarray(tail))
    if first.size == 0:
        first, second = first.astype(np.int64), second.astype(np.int64)
    limit = as_float("weight", weight, min_ndim=1)
    if first.ndim != 1 or first.shape != second.shape or limit.shape[-1] not in (1, first.size):
        raise ValueError(f"head, tail, weight: shapes {first.shape}, {second.shape}, {limit.shape} do not agree")
    if not (np.issubdtype(first.dtype, np.integer) and np.issubdtype(second.dtype, np.integer)):
        raise TypeError("head, tail: must be integers")
    limit = np.broadcast_to(limit, (*limit.shape[:-1], first.size))
    if (np.isnan(limit) | (limit == -np.inf)).any():
        raise ValueError(f"weight: must not be NaN or minus infinity (restriction {name!r})")
    real = np.isfinite(limit).any(axis=tuple(range(limit.ndim - 1)))
    return Restrictions(
        first[real].astype(np.int64),
        second[real].astype(np.int64),
        limit[..., real],
        np.zeros(int(real.sum()), dtype=np.int64),
        (name,),
    )


def join(*restrictions: Restrictions) -> Restrictions:
    """All restrictions together; draws broadcast.

    Examples
    --------
    >>> both = join(pairwise([0], [1], [0.2], "above"), pairwise([1], [0], [0.1], "below"))
    >>> both.names, both.kind.tolist()
    (('above', 'below'), [0, 1])
    """
    if not restrictions:
        raise ValueError("restrictions: give at least one")
    lead = np.broadcast_shapes(*(r.weight.shape[:-1] for r in restrictions))
    start = np.cumsum([0, *(len(r.names) for r in restrictions)])
    return Restrictions(
        np.concatenate([r.head for r in restrictions]),
        np.concatenate([r.tail for r in restrictions]),
        np.concatenate([np.broadcast_to(r.weight, (*lead, r.head.size)) for r in restrictions], axis=-1),
        np.concatenate([r.kind + start[i] for i, r in enumerate(restrictions)]),
        tuple(name for r in restrictions for name in r.names),
    )


def range_restrictions(n_nodes: int, reward_range: tuple[float, float] = (0.0, 1.0)) -> Restrictions:
    """Every reward in the range.

    Examples
    --------
    >>> range_restrictions(1, (0.0, 2.0)).weight.tolist()
    [2.0, 0.0]
    """
    low, high = check_range(reward_range)
    nodes, zero = np.arange(n_nodes), np.full(n_nodes, -1)
    weight = np.r_[np.full(n_nodes, high), np.full(n_nodes, 0.0 - low)]
    return pairwise(np.r_[nodes, zero], np.r_[zero, nodes], weight, f"rewards in [{low:g}, {high:g}]")


def difference_restrictions(
    offsets: Float[np.ndarray, "*draw state type item"], component: Int[np.ndarray, "state type item"]
) -> Restrictions:
    """Differences the data fix: those within components, each item against the first of its component.

    Parameters
    ----------
    offsets : array, shape (..., S, C, A)
        Draws, read within components only.
    component : integer array, shape (S, C, A)
        Component labels.

    Returns
    -------
    Restrictions
        Two per item that is not the first of its component.

    Examples
    --------
    >>> difference_restrictions(np.array([[[0.0, 0.5, 9.0]]]), np.array([[[0, 0, 1]]])).weight.tolist()
    [0.5, -0.5]
    """
    labels = check_component(component)
    values = as_float("offsets", offsets, min_ndim=3)
    if labels.ndim != 3 or values.shape[-3:] != labels.shape:
        raise ValueError(f"component: needs the shape (S, C, A) of offsets, got {labels.shape} and {values.shape}")
    n_items = labels.shape[-1]
    first = (labels[..., :, None] == labels[..., None, :]).argmax(axis=-1).reshape(-1, n_items)
    root = (first + np.arange(len(first))[:, None] * n_items).ravel()
    node = np.arange(labels.size)
    moved = node != root
    flat = values.reshape(*values.shape[:-3], labels.size)
    difference = flat[..., node[moved]] - flat[..., root[moved]]
    if not np.isfinite(difference).all():
        raise ValueError("offsets: must be finite within components of two or more items")
    return pairwise(
        np.r_[node[moved], root[moved]],
        np.r_[root[moved], node[moved]],
        np.concatenate([difference, -difference], axis=-1),
        "differences identified by the data",
    )


def cell_grid(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Node of every cell (state, type, item)."""
    return np.arange(math.prod(shape)).reshape(shape)


def level_lipschitz(
    shape: tuple[int, int, int], distance: Float[np.ndarray, "state state"], lipschitz: float
) -> Restrictions:
    """Levels that vary slowly over states: |r(s, a, c) - r(s', a, c)| <= L rho(s, s').

    Parameters
    ----------
    shape : tuple of int
        (S, C, A).
    distance : array, shape (S, S)
        rho >= 0; infinite where nothing is assumed.
    lipschitz : float
        L >= 0, reward units per unit of distance.

    Returns
    -------
    Restrictions

    Examples
    --------
    >>> level_lipschitz((2, 1, 1), np.array([[0.0, 2.0], [2.0, 0.0]]), 0.1).weight.tolist()
    [0.2, 0.2]
    """
    rho = non_negative("distance", distance)
    slope = float(non_negative("lipschitz", lipschitz))
    if rho.shape != (shape[0], shape[0]):
        raise ValueError(f"distance: needs shape {(shape[0], shape[0])}, got {rho.shape}")
    grid = cell_grid(shape)
    s, t = np.nonzero(np.isfinite(rho) & ~np.eye(shape[0], dtype=bool))
    size = shape[1] * shape[2]
    weight = np.repeat(slope * rho[s, t], size)
    return pairwise(grid[s].ravel(), grid[t].ravel(), weight, f"levels move at most {slope:g} per unit of distance")


def level_type_effect(shape: tuple[int, int, int], kappa: float) -> Restrictions:
    """Levels that differ little between types: |r(s, a, c) - r(s, a, c')| <= kappa.

    Examples
    --------
    >>> level_type_effect((1, 2, 1), 0.3).weight.tolist()
    [0.3, 0.3]
    """
    limit = float(non_negative("kappa", kappa))
    grid = cell_grid(shape)
    c, e = np.nonzero(~np.eye(shape[1], dtype=bool))
    return pairwise(
        grid[:, c].ravel(), grid[:, e].ravel(), np.array([limit]), f"levels differ at most {limit:g} between types"
    )


def item_order(shape: tuple[int, int, int], better: int, worse: int, margin: float = 0.0) -> Restrictions:
    """One item at least as good as another in every state and type, by a margin.

    Examples
    --------
    >>> r = item_order((1, 1, 2), better=1, worse=0)
    >>> r.head.tolist(), r.tail.tolist(), r.weight.tolist()
    ([0], [1], [0.0])
    """
    grid = cell_grid(shape)
    return pairwise(
        grid[..., worse].ravel(), grid[..., better].ravel(), np.array([0.0 - margin]), f"item {better} >= item {worse}"
    )


def node_positions(restrictions: Restrictions, n_nodes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Heads and tails with Z moved from -1 to the last position, refusing nodes out of range."""
    for name, nodes in (("head", restrictions.head), ("tail", restrictions.tail)):
        if ((nodes < -1) | (nodes >= n_nodes)).any():
            raise ValueError(f"{name}: nodes must lie in -1..{n_nodes - 1}, got {nodes.min()}..{nodes.max()}")
    return (
        np.where(restrictions.head < 0, n_nodes, restrictions.head),
        np.where(restrictions.tail < 0, n_nodes, restrictions.tail),
    )
