"""Linear restrictions on a reward table, those on differences of differences among them, and which of them clash.

Restrictions on differences do not depend on the gauge: adding a constant to the rewards of a cell changes none of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from bayespref.bounds.lp import minimise
from bayespref.bounds.restrictions import Restrictions
from bayespref.checks import non_negative


class Rows(NamedTuple):
    """Linear restrictions ``matrix r <= limit`` on a flattened reward table.

    Attributes
    ----------
    matrix : sparse array, shape (E, V)
        One row per restriction.
    limit : array, shape (..., E)
        Right-hand sides, draws on leading axes.
    kind : integer array, shape (E,)
        Position of the row's name in ``names``.
    names : tuple of str
        What was assumed.
    """

    matrix: sparse.csr_array
    limit: NDArray[np.float64]
    kind: NDArray[np.int64]
    names: tuple[str, ...]


def rows_of(restrictions: Restrictions, n_nodes: int) -> Rows:
    """Restrictions on pairs of rewards as rows of a linear program.

    Parameters
    ----------
    restrictions : Restrictions
        From ``bounds.structure``; limits infinite in some draws only are refused.
    n_nodes : int
        Number of cells, Z not counted.

    Returns
    -------
    Rows

    Examples
    --------
    >>> from bayespref.bounds.restrictions import pairwise
    >>> rows_of(pairwise([0], [1], [0.3], "close"), 2).matrix.toarray().tolist()
    [[1.0, -1.0]]
    """
    if not np.isfinite(restrictions.weight).all():
        raise ValueError("restrictions: weights must be finite in every draw")
    edges = np.arange(restrictions.head.size)
    row, column = np.r_[edges, edges], np.r_[restrictions.head, restrictions.tail]
    value = np.r_[np.ones(edges.size), -np.ones(edges.size)]
    real = column >= 0
    matrix = sparse.csr_array((value[real], (row[real], column[real])), shape=(edges.size, n_nodes))
    return Rows(matrix, restrictions.weight, restrictions.kind, restrictions.names)


def stack(*rows: Rows) -> Rows:
    """All rows together; draws broadcast.

    Examples
    --------
    >>> one = contrast_type_effect((1, 2, 2), 0.1)
    >>> stack(one, one).limit.shape
    (4,)
    """
    if not rows:
        raise ValueError("rows: give at least one")
    lead = np.broadcast_shapes(*(r.limit.shape[:-1] for r in rows))
    start = np.cumsum([0, *(len(r.names) for r in rows)])
    return Rows(
        sparse.csr_array(sparse.vstack([r.matrix for r in rows])),
        np.concatenate([np.broadcast_to(r.limit, (*lead, r.limit.shape[-1])) for r in rows], axis=-1),
        np.concatenate([r.kind + start[i] for i, r in enumerate(rows)]),
        tuple(name for r in rows for name in r.names),
    )


def _both_signs(
    plus: Sequence[tuple[int, ...]], minus: Sequence[tuple[int, ...]], limit: Sequence[float], size: int, name: str
) -> Rows:
    """Rows ``|sum of r[plus] - sum of r[minus]| <= limit``."""
    count, each = len(limit), len(plus[0]) if plus else 0
    row = np.repeat(np.arange(count), 2 * each)
    column = np.array([[*p, *m] for p, m in zip(plus, minus, strict=True)], dtype=np.int64).ravel()
    value = np.tile(np.r_[np.ones(each), -np.ones(each)], count)
    half = sparse.csr_array((value, (row, column)), shape=(count, size))
    return Rows(
        sparse.csr_array(sparse.vstack([half, -half])),
        np.r_[limit, limit].astype(np.float64),
        np.zeros(2 * count, dtype=np.int64),
        (name,),
    )


def contrast_lipschitz(
    shape: tuple[int, int, int], distance: Float[np.ndarray, "state state"], lipschitz: float
) -> Rows:
    """Differences that vary slowly over states: |d_c(s; a, b) - d_c(s'; a, b)| <= L rho(s, s') for every pair.

    Parameters
    ----------
    shape : tuple of int
        (S, C, A).
    distance : array, shape (S, S)
        rho >= 0; infinite where nothing is assumed.
    lipschitz : float
        L >= 0.

    Returns
    -------
    Rows

    Examples
    --------
    >>> contrast_lipschitz((2, 1, 2), np.array([[0.0, 2.0], [2.0, 0.0]]), 0.1).limit.tolist()
    [0.2, 0.2]
    """
    rho, slope = non_negative("distance", distance), float(non_negative("lipschitz", lipschitz))
    if rho.shape != (shape[0], shape[0]):
        raise ValueError(f"distance: needs shape {(shape[0], shape[0])}, got {rho.shape}")
    rho = np.minimum(rho, rho.T)
    grid = np.arange(math.prod(shape)).reshape(shape)
    plus, minus, limit = [], [], []
    for s, t in combinations(range(shape[0]), 2):
        if not np.isfinite(rho[s, t]):
            continue
        for c in range(shape[1]):
            for a, b in combinations(range(shape[2]), 2):
                plus.append((int(grid[s, c, a]), int(grid[t, c, b])))
                minus.append((int(grid[s, c, b]), int(grid[t, c, a])))
                limit.append(slope * float(rho[s, t]))
    return _both_signs(plus, minus, limit, grid.size, f"differences move at most {slope:g} per unit of distance")


def contrast_type_effect(shape: tuple[int, int, int], kappa: float) -> Rows:
    """Differences that vary little between types: |d_c(s; a, b) - d_c'(s; a, b)| <= kappa for every pair.

    Examples
    --------
    >>> contrast_type_effect((1, 2, 3), 0.1).limit.size
    6
    """
    bound = float(non_negative("kappa", kappa))
    grid = np.arange(math.prod(shape)).reshape(shape)
    plus, minus = [], []
    for s in range(shape[0]):
        for c, e in combinations(range(shape[1]), 2):
            for a, b in combinations(range(shape[2]), 2):
                plus.append((int(grid[s, c, a]), int(grid[s, e, b])))
                minus.append((int(grid[s, c, b]), int(grid[s, e, a])))
    return _both_signs(
        plus, minus, [bound] * len(plus), grid.size, f"differences differ at most {bound:g} between types"
    )


def interaction(shape: tuple[int, int, int], eta: float) -> Rows:
    """Little interaction of state and type: every double difference of every pair of items at most eta.

    Examples
    --------
    >>> interaction((2, 2, 2), 0.1).limit.tolist()
    [0.1, 0.1]
    """
    bound = float(non_negative("eta", eta))
    grid = np.arange(math.prod(shape)).reshape(shape)
    plus, minus = [], []
    for s, t in combinations(range(shape[0]), 2):
        for c, e in combinations(range(shape[1]), 2):
            for a, b in combinations(range(shape[2]), 2):
                up = ((s, c, a), (t, c, b), (s, e, b), (t, e, a))
                down = ((s, c, b), (t, c, a), (s, e, a), (t, e, b))
                plus.append(tuple(int(grid[i]) for i in up))
                minus.append(tuple(int(grid[i]) for i in down))
    return _both_signs(
        plus, minus, [bound] * len(plus), grid.size, f"no interaction of state and type beyond {bound:g}"
    )


def clashing_rows(rows: Rows, limit: Float[np.ndarray, " row"], reward_range: tuple[float, float]) -> tuple[str, ...]:
    """Rows that cannot hold together, with their multipliers: a Farkas certificate in words.

    Parameters
    ----------
    rows : Rows
        Restrictions.
    limit : array, shape (E,)
        Their right-hand sides in one draw.
    reward_range : tuple of float
        Range of every reward.

    Returns
    -------
    tuple of str
        The rows with positive multipliers; empty if all hold together.

    Examples
    --------
    >>> from bayespref.bounds.restrictions import pairwise
    >>> bad = rows_of(pairwise([0], [1], [-2.0], "far below"), 2)
    >>> clashing_rows(bad, bad.limit, (0.0, 1.0))
    ('far below: +r0 -r1 <= -2', 'rewards in [0, 1]')
    """
    count, size = rows.matrix.shape
    slack = sparse.hstack([rows.matrix, -sparse.eye_array(count)], format="csr")
    bounds: list[tuple[float | None, float | None]] = [*[reward_range] * size, *[(0.0, None)] * count]
    program = minimise(np.r_[np.zeros(size), np.ones(count)], slack, limit, bounds=bounds)
    if program.status != "optimal" or program.value <= 1e-9:
        return ()
    found = []
    for e in np.flatnonzero(program.row_prices > 1e-9):
        row = rows.matrix[[e], :].toarray().ravel()
        terms = " ".join(f"{'+' if row[i] > 0 else '-'}r{i}" for i in np.flatnonzero(row))
        found.append(f"{rows.names[rows.kind[e]]}: {terms} <= {limit[e]:.6g}")
    return (*found, f"rewards in [{reward_range[0]:g}, {reward_range[1]:g}]")
