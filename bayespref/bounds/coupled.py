"""Exact bounds when restrictions tie cells or types together: linear programs over reward tables.

Worlds are reward tables of shape (S, C, A), flattened, inside the range and a list of linear rows. Any linear quantity
has sharp bounds by two linear programs. Minimax regret of one state is no longer a matrix game of difference bounds,
since no single world need attain all of them: here a master game over the worlds found so far proposes a policy and
world programs answer with the worst worlds for it, until the two values meet. Both values are returned.

Per-state values are sharp also when states are tied together; their sum over states is then an upper bound only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse

from bayespref.bounds import games
from bayespref.bounds.cells import check_range
from bayespref.bounds.lp import Program, minimise
from bayespref.bounds.rows import (
    Rows,
    clashing_rows,
    contrast_lipschitz,
    contrast_type_effect,
    interaction,
    rows_of,
    stack,
)
from bayespref.checks import as_float, finite, one_of, simplex
from bayespref.display import shown
from bayespref.errors import InfeasibleRestrictionError

__all__ = [
    "CoupledRegret",
    "LinearBounds",
    "Rows",
    "as_table",
    "clashing_rows",
    "contrast_lipschitz",
    "contrast_type_effect",
    "coupled_minimax_regret",
    "interaction",
    "linear_bounds",
    "rows_of",
    "smallest_factor",
    "stack",
]


@shown(
    "between {lower} and {upper}, draw by draw; sharp: {sharp}",
    next_step="where the ends lie apart, the worlds that attain them show what is open",
)
class LinearBounds(NamedTuple):
    """Sharp bounds of a linear quantity, draw by draw, with the worlds that attain them.

    Attributes
    ----------
    lower, upper : array, shape (...)
        Ends; NaN where the restrictions clash.
    world_lower, world_upper : array, shape (..., V)
        Reward tables that attain the ends.
    kept : bool array, shape (...)
        Draws for which the restrictions hold together.
    share_refuted : float
        Share of draws for which they do not.
    sharp : bool
        True.
    assumptions : tuple of str
        Names of the restrictions.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    world_lower: NDArray[np.float64]
    world_upper: NDArray[np.float64]
    kept: NDArray[np.bool_]
    share_refuted: float
    sharp: bool
    assumptions: tuple[str, ...]


@shown("least worst-case regret {value}", next_step="compare it with the cost of deferring")
class CoupledRegret(NamedTuple):
    """Exact minimax regret of one state under coupled restrictions, draw by draw.

    Attributes
    ----------
    value : array, shape (...)
        Largest regret of ``policy`` over all worlds: an upper bound on V, equal to it up to ``gap``.
    policy : array, shape (..., A)
        The policy.
    gap : array, shape (...)
        ``value`` minus the value of the game against the worlds found, a lower bound for every policy.
    worlds : tuple of arrays, each of shape (K, S, C, A)
        Worlds of the last game, per draw in C order; empty where the draw was dropped.
    alternatives : tuple of integer arrays, each of shape (K,)
        The action each world favours.
    weights : tuple of arrays, each of shape (K,)
        Probabilities of the worlds under which no policy has less regret than ``value - gap``.
    kept : bool array, shape (...)
        Draws for which the restrictions hold together.
    share_refuted : float
        Share of draws for which they do not.
    sharp : bool
        True for this state; the sum over tied states is an upper bound.
    assumptions : tuple of str
        Names of the restrictions.
    """

    value: NDArray[np.float64]
    policy: NDArray[np.float64]
    gap: NDArray[np.float64]
    worlds: tuple[NDArray[np.float64], ...]
    alternatives: tuple[NDArray[np.int64], ...]
    weights: tuple[NDArray[np.float64], ...]
    kept: NDArray[np.bool_]
    share_refuted: float
    sharp: bool
    assumptions: tuple[str, ...]


def _refuse(rows: Rows, limit: NDArray[np.float64], reward_range: tuple[float, float], share: float) -> None:
    clash = clashing_rows(rows, limit, reward_range) or rows.names
    raise InfeasibleRestrictionError(clash, share)


def _draws(rows: Rows, size: int) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    if rows.matrix.shape[1] != size:
        raise ValueError(f"rows: have {rows.matrix.shape[1]} cells, expected {size}")
    lead = rows.limit.shape[:-1]
    return lead, rows.limit.reshape(math.prod(lead), rows.matrix.shape[0])


def linear_bounds(
    objective: Float[np.ndarray, "*cell"],
    rows: Rows,
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    range_policy: str = "raise",
) -> LinearBounds:
    """Sharp bounds of ``sum of objective * r`` over all worlds, draw by draw.

    For the welfare of a policy, or the contrast of two, the objective is P_te(s, c) h(s) q(a|s), flattened.

    Parameters
    ----------
    objective : array, shape (V,) or (S, C, A)
        Weights of the rewards.
    rows : Rows
        Restrictions, identified differences among them.
    reward_range : tuple of float
        Range of every reward.
    range_policy : {"raise", "condition"}
        Refuse if the restrictions clash in any draw, or give NaN there.

    Returns
    -------
    LinearBounds

    Raises
    ------
    InfeasibleRestrictionError
        Under "raise", naming the rows that clash and the share of draws.

    Examples
    --------
    >>> from bayespref.bounds.restrictions import pairwise
    >>> b = linear_bounds(np.array([1.0, -1.0]), rows_of(pairwise([0], [1], [0.3], "close"), 2))
    >>> float(b.lower), float(b.upper)
    (-1.0, 0.3)
    """
    one_of("range_policy", range_policy, ("raise", "condition"))
    low, high = check_range(reward_range)
    cost = finite("objective", objective).ravel()
    lead, limits = _draws(rows, cost.size)
    bounds: list[tuple[float | None, float | None]] = [(low, high)] * cost.size
    count = len(limits)
    ends, worlds = np.full((2, count), np.nan), np.full((2, count, cost.size), np.nan)
    first_bad = -1
    for i, limit in enumerate(limits):
        for side, sign in enumerate((1.0, -1.0)):
            program = minimise(sign * cost, rows.matrix, limit, bounds=bounds)
            if program.status != "optimal":
                first_bad = i if first_bad < 0 else first_bad
                break
            ends[side, i], worlds[side, i] = sign * program.value, program.x
    kept = ~np.isnan(ends[0])
    share = 1.0 - float(kept.mean()) if count else 0.0
    if first_bad >= 0 and range_policy == "raise":
        _refuse(rows, limits[first_bad], (low, high), share)
    return LinearBounds(
        ends[0].reshape(lead),
        ends[1].reshape(lead),
        worlds[0].reshape(*lead, cost.size),
        worlds[1].reshape(*lead, cost.size),
        np.asarray(kept.reshape(lead)),
        share,
        True,
        _assumptions(rows, low, high, share),
    )


def _assumptions(rows: Rows, low: float, high: float, share: float) -> tuple[str, ...]:
    dropped = (f"conditional on the {1.0 - share:.2%} of draws that fit the restrictions",) if share > 0 else ()
    return (f"rewards in [{low:g}, {high:g}]", *rows.names, *dropped)


def coupled_minimax_regret(
    rows: Rows,
    type_weights: Float[np.ndarray, " type"],
    shape: tuple[int, int, int],
    state: int,
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    tolerance: float = 1e-9,
    max_rounds: int = 500,
    range_policy: str = "raise",
) -> CoupledRegret:
    """Exact minimax regret of one state when restrictions tie types, or other states, to it.

    Parameters
    ----------
    rows : Rows
        Restrictions, identified differences among them, draws on the leading axes of ``limit``.
    type_weights : array, shape (C,)
        P(c|s) of the state, summing to one.
    shape : tuple of int
        (S, C, A).
    state : int
        The state decided on.
    reward_range : tuple of float
        Range of every reward.
    tolerance : float
        Gap, relative to the width of the range, at which to stop.
    max_rounds : int
        Rounds of master and worlds; a draw that reaches them keeps its gap.
    range_policy : {"raise", "condition"}
        Refuse if the restrictions clash in any draw, or give NaN there.

    Returns
    -------
    CoupledRegret
        Value, policy, gap, and the worlds and weights that prove the lower bound.

    Raises
    ------
    InfeasibleRestrictionError
        Under "raise", naming the rows that clash and the share of draws.

    Examples
    --------
    >>> tied = contrast_type_effect((1, 2, 2), 0.0)
    >>> v = coupled_minimax_regret(tied, np.array([0.5, 0.5]), (1, 2, 2), 0)
    >>> round(float(v.value), 9), v.policy.round(9).tolist()
    (0.5, [0.5, 0.5])
    """
    one_of("range_policy", range_policy, ("raise", "condition"))
    low, high = check_range(reward_range)
    n_items, size = shape[2], math.prod(shape)
    weights = simplex("type_weights", type_weights)
    if weights.shape != (shape[1],):
        raise ValueError(f"type_weights: need shape ({shape[1]},), got {weights.shape}")
    if not 0 <= state < shape[0]:
        raise ValueError(f"state: must lie in 0..{shape[0] - 1}, got {state}")
    lead, limits = _draws(rows, size)
    # Welfare of each action of the state, as rows over the flattened table.
    table = np.zeros((n_items, *shape))
    for a in range(n_items):
        table[a, state, :, a] = weights
    welfare = table.reshape(n_items, size)
    count = len(limits)
    value, gap, policy = np.full(count, np.nan), np.full(count, np.nan), np.full((count, n_items), np.nan)
    worlds, alternatives, mixes = [], [], []
    first_bad = -1
    for i, limit in enumerate(limits):
        solved = _alternate(rows, limit, welfare, (low, high), tolerance * (high - low), max_rounds)
        if solved is None:
            first_bad = i if first_bad < 0 else first_bad
            worlds.append(np.empty((0, *shape)))
            alternatives.append(np.empty(0, dtype=np.int64))
            mixes.append(np.empty(0))
            continue
        value[i], gap[i], policy[i], tables, favoured, mix = solved
        worlds.append(tables.reshape(-1, *shape))
        alternatives.append(favoured)
        mixes.append(mix)
    kept = ~np.isnan(value)
    share = 1.0 - float(kept.mean()) if count else 0.0
    if first_bad >= 0 and range_policy == "raise":
        _refuse(rows, limits[first_bad], (low, high), share)
    return CoupledRegret(
        value.reshape(lead),
        policy.reshape(*lead, n_items),
        gap.reshape(lead),
        tuple(worlds),
        tuple(alternatives),
        tuple(mixes),
        np.asarray(kept.reshape(lead)),
        share,
        True,
        _assumptions(rows, low, high, share),
    )


def smallest_factor(
    fixed: Rows, scaled: Rows, reward_range: tuple[float, float] = (0.0, 1.0)
) -> Float[np.ndarray, "*draw"]:
    """Smallest factor >= 0 on the limits of some rows at which all rows hold together, draw by draw.

    With ``scaled`` the restrictions at parameter one this is the smallest L, kappa or eta the data allow. Add to
    ``fixed`` the row that a contrast has the other sign, and it is the exact breakdown value of that sign.

    Parameters
    ----------
    fixed : Rows
        Restrictions that stand as they are.
    scaled : Rows
        Restrictions whose limits are multiplied by the factor.
    reward_range : tuple of float
        Range of every reward.

    Returns
    -------
    array, shape (...)
        Smallest factor; ``inf`` if no factor will do.

    Examples
    --------
    >>> from bayespref.bounds.restrictions import pairwise
    >>> data = rows_of(pairwise([1, 0, 3, 2], [0, 1, 2, 3], [0.5, -0.5, 0.2, -0.2], "data"), 4)
    >>> round(float(smallest_factor(data, contrast_type_effect((1, 2, 2), 1.0))), 9)
    0.3
    """
    low, high = check_range(reward_range)
    size = fixed.matrix.shape[1]
    both = stack(fixed, scaled)
    lead, limits = _draws(both, size)
    first = fixed.matrix.shape[0]
    cost = np.r_[np.zeros(size), 1.0]
    bounds: list[tuple[float | None, float | None]] = [*[(low, high)] * size, (0.0, None)]
    result = np.empty(len(limits))
    for i, limit in enumerate(limits):
        column = sparse.csr_array(np.r_[np.zeros(first), -limit[first:]][:, None])
        matrix = sparse.hstack([both.matrix, column], format="csr")
        program = minimise(cost, matrix, np.r_[limit[:first], np.zeros(limit.size - first)], bounds=bounds)
        result[i] = program.value if program.status == "optimal" else np.inf
    return result.reshape(lead)


_Solved = tuple[float, float, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


def _alternate(
    rows: Rows,
    limit: NDArray[np.float64],
    welfare: NDArray[np.float64],
    reward_range: tuple[float, float],
    tolerance: float,
    max_rounds: int,
) -> _Solved | None:
    """Rounds of worst worlds and the game against all worlds found; None if no world exists."""
    n_items, size = welfare.shape
    bounds: list[tuple[float | None, float | None]] = [reward_range] * size
    policy, mix = np.full(n_items, 1.0 / n_items), np.empty(0)
    tables: list[NDArray[np.float64]] = []
    favoured: list[int] = []
    # In every world some action has no regret against the best, so zero bounds V from below.
    best, best_policy, floor = math.inf, policy, 0.0
    for _ in range(max_rounds):
        worst = -math.inf
        for b in range(n_items):
            program: Program = minimise(policy @ welfare - welfare[b], rows.matrix, limit, bounds=bounds)
            if program.status != "optimal":
                return None
            worst = max(worst, -program.value)
            if -program.value > floor:
                tables.append(program.x)
                favoured.append(b)
        if worst < best:
            best, best_policy = worst, policy
        if best - floor <= tolerance or not tables:
            break
        world = np.array(tables)
        of_actions = world @ welfare.T
        against = np.take_along_axis(of_actions, np.array(favoured)[:, None], axis=1) - of_actions
        game = games.solve(against)
        policy, mix = game.policy, game.weights
        floor = max(floor, float(game.value - game.gap))
        if best - floor <= tolerance:
            break
    count = mix.size
    found = np.array(tables[:count]).reshape(count, size)
    return best, best - floor, best_policy, found, np.array(favoured[:count], dtype=np.int64), mix


def as_table(values: Sequence[float] | NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Flattened worlds as tables of shape (..., S, C, A).

    Examples
    --------
    >>> as_table([0.0, 1.0], (1, 1, 2)).shape
    (1, 1, 2)
    """
    table = as_float("values", values, min_ndim=1)
    return table.reshape(*table.shape[:-1], *shape)
