"""Assumptions declared by name, as one system of linear restrictions on the reward tables of each draw.

A system holds what the data fix (differences within components, or tilted differences of compared pairs under Gamma)
and what is assumed, for one block of states that restrictions tie together. Where every restriction is on a pair of
rewards, bounds are shortest paths; otherwise linear programs. How limits grow with the parameter of an assumption is
kept beside them, so that the parameter at which a sign or a choice flips is one linear program, exactly.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayespref.bounds.cells import blocks
from bayespref.bounds.lp import minimise
from bayespref.bounds.paths import negative_cycle
from bayespref.bounds.ranges import check_gamma
from bayespref.bounds.restrictions import (
    Restrictions,
    cell_grid,
    difference_restrictions,
    item_order,
    join,
    level_lipschitz,
    level_type_effect,
    node_positions,
    pairwise,
    range_restrictions,
)
from bayespref.bounds.rows import (
    Rows,
    clashing_rows,
    contrast_lipschitz,
    contrast_type_effect,
    interaction,
    rows_of,
    stack,
)
from bayespref.bounds.structure import cell_differences, propagate

PARAMETERS = {
    "level_type_effect": "kappa",
    "level_lipschitz": "L",
    "item_order": "",
    "gamma": "Gamma",
    "contrast_type_effect": "kappa",
    "contrast_lipschitz": "L",
    "interaction": "eta",
}
"""Assumptions by name, each with the name of its parameter (an order has none)."""
TIES_STATES = frozenset({"level_lipschitz", "contrast_lipschitz", "interaction"})
TIES_TYPES = frozenset({"level_type_effect", "contrast_type_effect", "interaction"})
ON_DIFFERENCES = frozenset({"contrast_type_effect", "contrast_lipschitz", "interaction"})
"""Restrictions on differences of differences: linear programs, not paths."""
_MOST_PROGRAMS = 50_000
_MOST_NODES = 1_000


class System(NamedTuple):
    """Restrictions on the rewards of a block of states, draws on the leading axis of the limits.

    Attributes
    ----------
    shape : tuple of int
        (states of the block, types, items).
    pairs : Restrictions
        Restrictions on pairs of rewards, the range not among them.
    rows : Rows
        The same as rows, and the restrictions on differences of differences after them.
    only_pairs : bool
        Whether there are none of the latter.
    slope : mapping of str to array, shape (E,)
        How the limit of each row grows with the parameter of an assumption.
    reward_range : tuple of float
        Range of every reward.
    """

    shape: tuple[int, int, int]
    pairs: Restrictions
    rows: Rows
    only_pairs: bool
    slope: dict[str, NDArray[np.float64]]
    reward_range: tuple[float, float]


class Solved(NamedTuple):
    """Bounds of a block of states, draw by draw; NaN in draws that refute the restrictions.

    Attributes
    ----------
    difference_upper : array, shape (draw, state, type, chosen, chosen)
        Largest r(a) - r(b).
    level_lower, level_upper : array, shape (draw, state, type, item)
        Levels; NaN for items not chosen where linear programs are needed.
    kept : bool array, shape (draw,)
        Draws for which the restrictions hold together.
    """

    difference_upper: NDArray[np.float64]
    level_lower: NDArray[np.float64]
    level_upper: NDArray[np.float64]
    kept: NDArray[np.bool_]


def check_assumptions(assumptions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the assumptions as a dict, refusing unknown names and values of another kind than a name takes.

    Examples
    --------
    >>> check_assumptions({"level_type_effect": 0.3})
    {'level_type_effect': 0.3}
    """
    unknown = sorted(set(assumptions) - set(PARAMETERS), key=str)
    if unknown:
        raise ValueError(f"assumptions: unknown name(s) {unknown}; known are {sorted(PARAMETERS)}")
    for name, value in assumptions.items():
        if name == "item_order":
            chains = [value] if _are_texts(value) else value
            if not isinstance(chains, list | tuple) or not all(_are_texts(chain) for chain in chains):
                raise ValueError(f"item_order: must be items, best first, or a list of such lists, got {value!r}")
            continue
        if name.endswith("lipschitz") and not (isinstance(value, tuple) and len(value) == 2):
            raise ValueError(f"{name}: must be a pair (L, distances between states), got {value!r}")
        number = value[0] if name.endswith("lipschitz") else value
        if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
            what = PARAMETERS[name]
            raise ValueError(f"{name}: {what} must be a finite number, got {number!r}; leave out what is not assumed")
    return dict(assumptions)


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def parameter(name: str, value: Any) -> float:
    """Parameter of a declared assumption on the scale on which limits grow linearly (Gamma: its logarithm).

    Examples
    --------
    >>> parameter("level_lipschitz", (0.5, None)), parameter("gamma", 1.0)
    (0.5, 0.0)
    """
    if name == "gamma":
        return float(np.log(check_gamma("gamma", value)))
    return float(value[0] if name.endswith("lipschitz") else value)


def build_system(
    assumptions: Mapping[str, Any],
    offsets: Float[np.ndarray, "draw state type item"],
    component: Int[np.ndarray, "state type item"],
    compared: Bool[np.ndarray, "state type item item_other"] | None,
    items: Sequence[str],
    reward_range: tuple[float, float],
) -> System:
    """Turn declared assumptions and the draws of a block of states into one system.

    Parameters
    ----------
    assumptions : mapping
        Names of ``PARAMETERS`` and their values; the rho of a Lipschitz assumption covers the states of the block.
    offsets : array, shape (N, S, C, A)
        Draws of rewards, read within components only.
    component : integer array, shape (S, C, A)
        Component labels.
    compared : bool array, shape (S, C, A, A), optional
        Pairs that were compared; needed by ``gamma`` only.
    items : sequence of str
        Labels, for orders.
    reward_range : tuple of float
        Range of every reward.

    Returns
    -------
    System

    Raises
    ------
    ValueError
        If a value breaks a rule of its assumption, or the block is too large.
    """
    shape = (int(component.shape[0]), int(component.shape[1]), int(component.shape[2]))
    size = math.prod(shape)
    if size > _MOST_NODES:
        raise ValueError(
            f"assumptions: {shape[0]} tied states x {shape[1]} types x {shape[2]} items are {size} rewards, more than "
            f"{_MOST_NODES}; fit fewer items, or drop what ties the states"
        )
    if "gamma" in assumptions:
        data = _tilted(offsets, component, compared, parameter("gamma", assumptions["gamma"]), assumptions["gamma"])
    else:
        data = difference_restrictions(offsets, component)
    pairs, rows = [data], list[Rows]()
    units = {"gamma": (0, np.ones(data.head.size))} if "gamma" in assumptions else {}
    for name, value in assumptions.items():
        if name == "item_order":
            pairs += _orders(shape, value, items)
        elif name not in ("gamma", *ON_DIFFERENCES):
            units[name] = (len(pairs), _pair_restriction(name, shape, value, unit=True).weight)
            pairs.append(_pair_restriction(name, shape, value))
    joined = join(*pairs)
    flat = [rows_of(joined, size)]
    for name in (name for name in assumptions if name in ON_DIFFERENCES):
        units[name] = (len(pairs) + len(rows), _difference_rows(name, shape, assumptions[name], unit=True).limit)
        rows.append(_difference_rows(name, shape, assumptions[name]))
    every = stack(*flat, *rows)
    slope = {}
    for name, (position, unit) in units.items():
        slope[name] = np.zeros(every.kind.size)
        slope[name][every.kind == position] = unit
    return System(shape, joined, every, not rows, slope, reward_range)


def _tilted(
    offsets: NDArray[np.float64],
    component: NDArray[np.int64],
    compared: NDArray[np.bool_] | None,
    log_gamma: float,
    gamma: float,
) -> Restrictions:
    if compared is None:
        raise ValueError("compared: 'gamma' tilts the log-odds of each compared pair, so it needs to know which were")
    grid = cell_grid((component.shape[0], component.shape[1], component.shape[2]))
    state, kind, a, b = np.nonzero(np.triu(compared | np.swapaxes(compared, -1, -2), 1))
    if (component[state, kind, a] != component[state, kind, b]).any():
        raise ValueError("compared: joins items of different components")
    head, tail = grid[state, kind, a], grid[state, kind, b]
    difference = offsets[:, state, kind, a] - offsets[:, state, kind, b]
    weight = np.concatenate([difference, -difference], axis=-1) + log_gamma
    name = f"log-odds of compared pairs within log {gamma:g} of the data's"
    return pairwise(np.r_[head, tail], np.r_[tail, head], weight, name)


def _orders(shape: tuple[int, int, int], value: Any, items: Sequence[str]) -> list[Restrictions]:
    chains = [value] if _are_texts(value) else list(value)
    found = []
    for chain in chains:
        unknown = [item for item in chain if item not in items]
        if unknown or len(chain) < 2 or len(set(chain)) < len(chain):
            raise ValueError(f"item_order: name at least two different items, best first; unknown: {unknown[:5]}")
        for better, worse in itertools.pairwise(chain):
            one = item_order(shape, items.index(better), items.index(worse))
            found.append(one._replace(names=(f"{better} at least as good as {worse}",)))
    return found


def _pair_restriction(name: str, shape: tuple[int, int, int], value: Any, *, unit: bool = False) -> Restrictions:
    if name == "level_type_effect":
        return level_type_effect(shape, 1.0 if unit else value)
    slope, distance = value
    return level_lipschitz(shape, distance, 1.0 if unit else slope)


def _difference_rows(name: str, shape: tuple[int, int, int], value: Any, *, unit: bool = False) -> Rows:
    if name == "contrast_lipschitz":
        slope, distance = value
        return contrast_lipschitz(shape, distance, 1.0 if unit else slope)
    return (interaction if name == "interaction" else contrast_type_effect)(shape, 1.0 if unit else value)


def solve(system: System, chosen: Int[np.ndarray, " chosen"]) -> Solved:
    """Sharp bounds under a system, by shortest paths where that is enough and by linear programs otherwise.

    Parameters
    ----------
    system : System
        From :func:`build_system`.
    chosen : integer array
        Items whose differences are wanted.

    Returns
    -------
    Solved
    """
    return _by_paths(system, chosen) if system.only_pairs else _by_programs(system, chosen)


def _by_paths(system: System, chosen: NDArray[np.int64]) -> Solved:
    size, n_draws = math.prod(system.shape), len(system.pairs.weight)
    limits = join(range_restrictions(size, system.reward_range), system.pairs)
    uppers, ends, kept = [], [], []
    for part in blocks(n_draws, (size + 1) ** 2):
        bound = propagate(limits._replace(weight=limits.weight[part]), size, range_policy="condition")
        inside = cell_differences(bound.upper, system.shape)
        uppers.append(inside[..., chosen[:, None], chosen])
        ends.append(np.stack([bound.level_lower, bound.level_upper]).reshape(2, -1, *system.shape))
        kept.append(bound.kept)
    levels = np.concatenate(ends, axis=1)
    return Solved(np.concatenate(uppers), levels[0], levels[1], np.concatenate(kept))


def _by_programs(system: System, chosen: NDArray[np.int64]) -> Solved:
    n_states, n_types, _ = system.shape
    n_draws, size = len(system.rows.limit), math.prod(system.shape)
    count = n_draws * n_states * n_types * len(chosen) * (len(chosen) + 1)
    if count > _MOST_PROGRAMS:
        raise ValueError(
            f"assumptions on differences of differences need {count} linear programs here, more than {_MOST_PROGRAMS}; "
            "name fewer items, or use fewer draws"
        )
    grid = cell_grid(system.shape)
    upper = np.full((n_draws, n_states, n_types, len(chosen), len(chosen)), np.nan)
    low, high = np.full((2, n_draws, *system.shape), np.nan)
    kept = np.ones(n_draws, dtype=bool)
    bounds: list[tuple[float | None, float | None]] = [system.reward_range] * size
    for draw, limit in enumerate(system.rows.limit):
        kept[draw] = minimise(np.zeros(size), system.rows.matrix, limit, bounds=bounds).status == "optimal"
        if not kept[draw]:
            continue

        def end(plus: int, minus: int, limit: NDArray[np.float64] = limit) -> float:
            cost = np.zeros(size + 1)
            cost[plus] -= 1.0
            cost[minus] += 1.0
            return -minimise(cost[:size], system.rows.matrix, limit, bounds=bounds).value

        for s, c in np.ndindex(n_states, n_types):
            for i, a in enumerate(chosen):
                low[draw, s, c, a], high[draw, s, c, a] = -end(size, grid[s, c, a]), end(grid[s, c, a], size)
                for j, b in enumerate(chosen):
                    upper[draw, s, c, i, j] = 0.0 if i == j else end(grid[s, c, a], grid[s, c, b])
    return Solved(upper, low, high, kept)


def clash_words(system: System, draw: int, name_of: Callable[[int], str]) -> tuple[str, ...]:
    """Restrictions that cannot hold together in a draw, with the rewards they are about named.

    Parameters
    ----------
    system : System
        From :func:`build_system`.
    draw : int
        A draw that refutes it.
    name_of : callable
        Name of a reward from its position in the block.

    Returns
    -------
    tuple of str
    """
    size = math.prod(system.shape)
    if not system.only_pairs:
        words = clashing_rows(system.rows, system.rows.limit[draw], system.reward_range)
        return tuple(re.sub(r"\br(\d+)\b", lambda found: name_of(int(found[1])), line) for line in words)
    limits = join(range_restrictions(size, system.reward_range), system.pairs)
    head, tail = node_positions(limits, size)
    cycle = negative_cycle(head, tail, limits.weight[draw], size + 1)

    def side(node: int) -> str:
        return "0" if node == size else name_of(node)

    return tuple(
        f"{limits.names[limits.kind[e]]}: {side(int(head[e]))} - {side(int(tail[e]))} <= {limits.weight[draw, e]:.6g}"
        for e in cycle
    )
