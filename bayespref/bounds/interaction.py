"""Structure on the differences of one pair of items over states and types: additive and rank one.

Both fill cells never observed from cells that were, by an assumption on how d(s, c) = r(s, a, c) - r(s, a', c)
varies. Each says which cells it identifies and when the draws refute it.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

from bayespref.bounds.lipschitz import TOLERANCE, observed_mask
from bayespref.bounds.lp import minimise
from bayespref.bounds.paths import all_distances, tighten
from bayespref.checks import as_float, non_negative, one_of
from bayespref.display import shown
from bayespref.errors import InfeasibleRestrictionError


@shown(
    "between {lower} and {upper} log-odds; sharp: {sharp}",
    next_step="test the assumption with a few comparisons in the cells it fills",
)
class AdditiveBounds(NamedTuple):
    """Bounds on one pair's difference per cell without (or with little) interaction of state and type.

    Attributes
    ----------
    lower, upper : array, shape (..., S, C)
        Ends; equal where identified; NaN where the draw refutes the assumption.
    identified : bool array, shape (S, C)
        Cells whose state and type are connected through observed cells (all False when eta > 0, but for the
        observed ones).
    kept : bool array, shape (...)
        Draws that fit.
    share_refuted : float
        Share of draws that do not.
    misfit : array, shape (...)
        Largest double difference of the observed cells along a spanning forest; zero when the draw is additive.
    sharp : bool
        True for the differences of one pair of items.
    assumptions : tuple of str
        What the bounds rest on.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    identified: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    share_refuted: float
    misfit: NDArray[np.float64]
    sharp: bool
    assumptions: tuple[str, ...]


@shown(next_step="say that a product form, not the data, gives these numbers; test it with a few comparisons there")
class RankOneValues(NamedTuple):
    """Differences of unseen cells if d(s, c) is a product of a state and a type factor.

    Attributes
    ----------
    value : array, shape (..., S, C)
        d(s, c') d(s', c) / d(s', c') at the pivot of the largest denominator; the observed value in observed cells;
        NaN where no pivot is bounded away from zero.
    spread : array, shape (..., S, C)
        Largest minus smallest value over all usable pivots: zero if the draw has rank one.
    denominator : array, shape (..., S, C)
        Size of the pivot's denominator.
    assumed : bool array, shape (S, C)
        Cells whose value rests on the assumption alone.
    assumptions : tuple of str
        What the values rest on.
    """

    value: NDArray[np.float64]
    spread: NDArray[np.float64]
    denominator: NDArray[np.float64]
    assumed: NDArray[np.bool_]
    assumptions: tuple[str, ...]


def additive(
    differences: Float[np.ndarray, "*draw state type"],
    observed: Bool[np.ndarray, "state type"],
    *,
    eta: float = 0.0,
    reward_width: float = 1.0,
    range_policy: str = "raise",
) -> AdditiveBounds:
    """Bound one pair's differences if d(s, c) = f(s) + g(c), or if no double difference exceeds eta.

    With eta = 0 a cell is identified exactly when its state and type are connected in the bipartite graph of observed
    cells, by the alternating sum along the path; elsewhere the free constants between the pieces of that graph are
    limited by the range alone. With eta > 0 the bounds are linear programs, one per cell, end and draw.

    Parameters
    ----------
    differences : array, shape (..., S, C)
        r(s, a, c) - r(s, a', c) for one pair; read in observed cells only.
    observed : bool array, shape (S, C)
        Cells where the data fix the difference.
    eta : float
        Largest |d(s, c) - d(s', c) - d(s, c') + d(s', c')| allowed.
    reward_width : float
        R, width of the reward range.
    range_policy : {"raise", "condition"}
        Refuse or drop draws that refute the assumption.

    Returns
    -------
    AdditiveBounds

    Raises
    ------
    InfeasibleRestrictionError
        Under "raise", if observed cells are not additive (within eta), or a predicted one leaves the range.

    Examples
    --------
    >>> d = np.array([[0.5, 0.2], [0.4, np.nan]])
    >>> b = additive(d, np.isfinite(d))
    >>> round(float(b.lower[1, 1]), 12), bool(b.identified[1, 1])
    (0.1, True)
    """
    one_of("range_policy", range_policy, ("raise", "condition"))
    d = as_float("differences", differences, min_ndim=2)
    tilt, width = float(non_negative("eta", eta)), float(non_negative("reward_width", reward_width))
    lead, shape = d.shape[:-2], (d.shape[-2], d.shape[-1])
    mask = observed_mask(d, observed, shape)
    flat = d.reshape(math.prod(lead), *shape)
    fitted, piece, misfit = _forest(flat, mask)
    slack = TOLERANCE * max(1.0, width)
    same = piece[: shape[0], None] == piece[None, shape[0] :]
    if tilt > 0:
        lower, upper = _tilted(flat, mask, tilt, width)
        identified = mask
    else:
        lower, upper = _pieces(fitted, piece, shape, width)
        lower[misfit > slack] = np.nan
        upper[misfit > slack] = np.nan
        identified = same
    bad = ~(lower <= upper + slack).all(axis=(1, 2))
    share = float(bad.mean()) if bad.size else 0.0
    if share > 0 and range_policy == "raise":
        raise InfeasibleRestrictionError(
            (
                f"no interaction of state and type beyond {tilt:g}",
                f"observed differences, which miss it by {float(misfit[bad].max()):.6g}",
                f"differences within {width:g}",
            ),
            share,
        )
    lower[bad], upper[bad] = np.nan, np.nan
    assumptions = [f"no interaction of state and type beyond {tilt:g}", f"differences within {width:g}"]
    if share > 0:
        assumptions.append(f"conditional on the {1.0 - share:.2%} of draws that fit")
    return AdditiveBounds(
        lower.reshape(d.shape),
        upper.reshape(d.shape),
        np.asarray(identified),
        np.asarray(~bad.reshape(lead)),
        share,
        misfit.reshape(lead),
        True,
        tuple(assumptions),
    )


def _forest(
    d: NDArray[np.float64], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Additive fit along a spanning forest of observed cells, the piece of each state and type, and the misfit."""
    n_states, n_types = mask.shape
    size = n_states + n_types
    s, c = np.nonzero(mask)
    graph = sparse.csr_array((np.ones(s.size), (s, n_states + c)), shape=(size, size))
    _, piece = connected_components(graph, directed=False)
    effect = np.zeros((len(d), size))
    for root in np.unique(piece, return_index=True)[1]:
        order, before = breadth_first_order(graph, int(root), directed=False)
        for node in order[1:]:
            parent = before[node]
            state, kind = min(node, parent), max(node, parent) - n_states
            effect[:, node] = d[:, state, kind] - effect[:, parent]
    fitted = effect[:, :n_states, None] + effect[:, None, n_states:]
    misfit = np.abs(np.where(mask, d - fitted, 0.0)).max(axis=(1, 2), initial=0.0)
    return fitted, piece.astype(np.int64), misfit


def _pieces(
    fitted: NDArray[np.float64], piece: NDArray[np.int64], shape: tuple[int, int], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cells across pieces move with one constant per piece; the range limits differences of constants."""
    of_state, of_type = piece[: shape[0]], piece[shape[0] :]
    size = int(piece.max()) + 1
    # d(s, c) = fitted + t[piece of s] - t[piece of c], so the range limits t_i - t_j from both sides.
    limit = np.full((len(fitted), size, size), np.inf)
    limit[:, range(size), range(size)] = 0.0
    rows = np.broadcast_to(of_state[:, None], shape).ravel()
    columns = np.broadcast_to(of_type[None, :], shape).ravel()
    flat = fitted.reshape(len(fitted), rows.size)
    tighten(limit, rows, columns, width - flat)
    tighten(limit, columns, rows, width + flat)
    limit, feasible = all_distances(limit)
    upper = flat + limit[:, rows, columns]
    lower = flat - limit[:, columns, rows]
    lower[~feasible], upper[~feasible] = np.nan, np.nan
    return lower.reshape(fitted.shape), upper.reshape(fitted.shape)


def _double_differences(n_states: int, n_types: int) -> NDArray[np.float64]:
    """Rows d(s, c) - d(s', c) - d(s, c') + d(s', c') for every two states and two types, over flattened cells."""
    index = np.arange(n_states * n_types).reshape(n_states, n_types)
    quads = [
        (index[s, c], index[t, c], index[s, e], index[t, e])
        for s, t in combinations(range(n_states), 2)
        for c, e in combinations(range(n_types), 2)
    ]
    half = np.zeros((len(quads), index.size))
    for row, quad in enumerate(quads):
        half[row, list(quad)] = (1.0, -1.0, -1.0, 1.0)
    return half


def _tilted(
    d: NDArray[np.float64], mask: NDArray[np.bool_], eta: float, width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of every unseen cell by linear programs over all cells."""
    index, half = np.arange(mask.size).reshape(mask.shape), _double_differences(*mask.shape)
    rows, limit = sparse.csr_array(np.r_[half, -half]), np.full(2 * len(half), eta)
    lower, upper = np.where(mask, d, np.nan), np.where(mask, d, np.nan)
    for i, values in enumerate(d):
        bounds: list[tuple[float | None, float | None]] = [
            (float(v), float(v)) if seen else (-width, width)
            for v, seen in zip(values.ravel(), mask.ravel(), strict=True)
        ]
        cells = np.argwhere(~mask) if not mask.all() else np.argwhere(mask)[:1]
        for s, c in cells:
            cost = np.zeros(mask.size)
            cost[index[s, c]] = 1.0
            low = minimise(cost, rows, limit, bounds=bounds)
            if low.status != "optimal" or (np.abs(values[mask]) > width * (1 + TOLERANCE)).any():
                lower[i], upper[i] = np.nan, np.nan
                break
            high = minimise(-cost, rows, limit, bounds=bounds)
            lower[i, s, c], upper[i, s, c] = low.value, -high.value
    return lower, upper


def smallest_interaction(
    differences: Float[np.ndarray, "*draw state type"],
    observed: Bool[np.ndarray, "state type"],
    reward_width: float = 1.0,
) -> Float[np.ndarray, "*draw"]:
    """Smallest eta at which `additive` is not refuted, by one linear program per draw.

    Parameters
    ----------
    differences, observed, reward_width
        As in `additive`.

    Returns
    -------
    array, shape (...)
        Smallest eta; ``inf`` if an observed difference exceeds the range.

    Examples
    --------
    >>> d = np.array([[0.5, 0.2], [0.4, 0.4]])
    >>> round(float(smallest_interaction(d, np.ones((2, 2), dtype=bool))), 9)
    0.3
    """
    d = as_float("differences", differences, min_ndim=2)
    width = float(non_negative("reward_width", reward_width))
    mask = observed_mask(d, observed, (d.shape[-2], d.shape[-1]))
    half = _double_differences(*mask.shape)
    rows = sparse.csr_array(np.c_[np.r_[half, -half], -np.ones(2 * len(half))])
    flat = d.reshape(-1, mask.size)
    result = np.empty(len(flat))
    for i, values in enumerate(flat):
        bounds: list[tuple[float | None, float | None]] = [
            (float(v), float(v)) if seen else (-width, width) for v, seen in zip(values, mask.ravel(), strict=True)
        ]
        outside = (np.abs(values[mask.ravel()]) > width * (1 + TOLERANCE)).any()
        program = minimise(
            np.r_[np.zeros(mask.size), 1.0], rows, np.zeros(2 * len(half)), bounds=[*bounds, (0.0, None)]
        )
        result[i] = np.inf if outside else program.value
    return result.reshape(d.shape[:-2])


def rank_one(
    differences: Float[np.ndarray, "*draw state type"], observed: Bool[np.ndarray, "state type"], *, floor: float = 0.05
) -> RankOneValues:
    """Fill unseen cells by d(s, c) = d(s, c') d(s', c) / d(s', c'), where the denominator is away from zero.

    The rank-one form itself cannot be checked in a cell without data, so such cells carry the flag ``assumed``.

    Parameters
    ----------
    differences : array, shape (..., S, C)
        r(s, a, c) - r(s, a', c) for one pair; read in observed cells only.
    observed : bool array, shape (S, C)
        Cells where the data fix the difference.
    floor : float
        Smallest |d(s', c')| accepted as a denominator, > 0.

    Returns
    -------
    RankOneValues

    Examples
    --------
    >>> d = np.array([[0.4, 0.2], [0.6, np.nan]])
    >>> r = rank_one(d, np.isfinite(d))
    >>> round(float(r.value[1, 1]), 12), bool(r.assumed[1, 1])
    (0.3, True)
    """
    d = as_float("differences", differences, min_ndim=2)
    if not floor > 0:
        raise ValueError(f"floor: must be > 0, got {floor!r}")
    shape = (d.shape[-2], d.shape[-1])
    mask = observed_mask(d, observed, shape)
    value = np.where(mask, d, np.nan)
    spread, denominator = np.where(mask, 0.0, np.full(d.shape, np.nan)), np.full(d.shape, np.nan)
    for s, c in np.argwhere(~mask):
        rows, columns = np.nonzero(mask & mask[s][None, :] & mask[:, c][:, None])
        if not rows.size:
            continue
        below = d[..., rows, columns]
        usable = np.abs(below) >= floor
        ratio = d[..., s, columns] * d[..., rows, c] / np.where(usable, below, 1.0)
        some = usable.any(axis=-1)
        pivot = np.where(usable, np.abs(below), -1.0).argmax(axis=-1)[..., None]
        value[..., s, c] = np.where(some, np.take_along_axis(ratio, pivot, -1)[..., 0], np.nan)
        denominator[..., s, c] = np.where(some, np.abs(np.take_along_axis(below, pivot, -1)[..., 0]), np.nan)
        high, low = np.where(usable, ratio, -np.inf).max(axis=-1), np.where(usable, ratio, np.inf).min(axis=-1)
        spread[..., s, c] = np.where(some, np.where(some, high, 0.0) - np.where(some, low, 0.0), np.nan)
    return RankOneValues(
        value,
        spread,
        denominator,
        ~mask,
        (f"differences are a product of a state and a type factor, denominators at least {floor:g}",),
    )
