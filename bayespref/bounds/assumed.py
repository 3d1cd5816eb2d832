"""Bounds of every draw under declared assumptions: blocks of states, draws that refute, which restrictions clash."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayespref.bounds.assumptions import TIES_STATES, System, build_system, check_assumptions, clash_words, solve
from bayespref.bounds.identified import level_bounds
from bayespref.bounds.regions import DrawBounds
from bayespref.checks import one_of
from bayespref.errors import DroppedDraws, InfeasibleRestrictionError

_Labels = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Labels of states, types and items."""
_ON_REFUTED = ("condition", "raise")


def assumed_draws(
    reward: Float[np.ndarray, "draw state type item"],
    component: Int[np.ndarray, "state type item"],
    compared: Bool[np.ndarray, "state type item item_other"] | None,
    chosen: Int[np.ndarray, " chosen"],
    assumptions: Mapping[str, Any],
    labels: _Labels,
    reward_range: tuple[float, float],
    range_policy: str,
    *,
    on_refuted: str = "condition",
) -> DrawBounds:
    """Bound the differences among chosen items under assumptions, draw by draw.

    Takes the place of ``regions.draw_bounds``: a draw that refutes the assumptions in one cell is NaN in all.

    Parameters
    ----------
    reward, component, chosen, reward_range, range_policy
        As in ``regions.draw_bounds``.
    compared : bool array, shape (state, type, item, item), optional
        Pairs that were compared; needed by ``gamma`` only.
    assumptions : mapping
        Names of ``assumptions.PARAMETERS`` and values, as in ``labelled.bounds``.
    labels : tuple of three sequences of str
        Labels of states, types and items.
    on_refuted : {"condition", "raise"}
        Leave draws out that refute the assumptions, with a warning, or stop.

    Returns
    -------
    DrawBounds

    Raises
    ------
    InfeasibleRestrictionError
        If draws refute the assumptions under "raise", or every draw does: with the clashing restrictions in labels.

    Warns
    -----
    DroppedDraws
        If draws refute the assumptions.
    """
    one_of("on_refuted", on_refuted, _ON_REFUTED)
    levels = level_bounds(reward, component, reward_range, range_policy=range_policy)
    systems = block_systems(reward, component, compared, assumptions, labels, levels.reward_range)
    n_draws, n_states, n_types = reward.shape[:3]
    upper = np.full((n_draws, n_states, n_types, len(chosen), len(chosen)), np.nan)
    low, high = np.full((2, *reward.shape), np.nan)
    kept, clash = np.ones(n_draws, dtype=bool), None
    for states, system in systems:
        solved = solve(system, chosen)
        upper[:, states], low[:, states], high[:, states] = solved[:3]
        if clash is None and not solved.kept.all():
            clash = clash_words(system, int(solved.kept.argmin()), _namer(labels, states))
        kept &= solved.kept
    share = 1.0 - float(kept.mean())
    if clash is not None:
        if on_refuted == "raise" or not kept.any():
            raise InfeasibleRestrictionError(clash, share)
        message = f"{share:.1%} of draws refute the assumptions and were left out; clashing: " + "; ".join(clash)
        warnings.warn(message, DroppedDraws, stacklevel=2)
    # Where a difference or level is a point, rounding must not make its ends cross.
    reverse = -np.swapaxes(upper, -1, -2)
    upper = np.where(reverse > upper, 0.5 * (upper + reverse), upper)
    low = np.minimum(low, high)
    for array in (upper, low, high):
        array[~kept] = np.nan
    words = (
        *levels.assumptions,
        *(name for name in systems[0][1].rows.names if not name.startswith("differences ide")),
    )
    if share > 0:
        words += (f"conditional on the {1.0 - share:.2%} of draws that fit the assumptions",)
    within = np.broadcast_to(kept[:, None, None], reward.shape[:3])
    return DrawBounds(
        upper,
        levels._replace(
            lower=low, upper=high, kept=within, share_refuted=share, assumptions=tuple(dict.fromkeys(words))
        ),
    )


def block_systems(
    reward: NDArray[np.float64],
    component: NDArray[np.int64],
    compared: NDArray[np.bool_] | None,
    assumptions: Mapping[str, Any],
    labels: _Labels,
    reward_range: tuple[float, float],
) -> list[tuple[NDArray[np.intp], System]]:
    """One system per state, or a single one where an assumption ties states.

    Parameters
    ----------
    reward, component, compared, assumptions, labels
        As in :func:`assumed_draws`.
    reward_range : tuple of float
        The range used.

    Returns
    -------
    list of (integer array, System)
        States of each block and their system.
    """
    declared = check_assumptions(assumptions)
    every = np.arange(component.shape[0])
    found = []
    for states in [every] if TIES_STATES & set(declared) else np.split(every, len(every)):
        pairs = None if compared is None else compared[states]
        system = build_system(declared, reward[:, states], component[states], pairs, list(labels[2]), reward_range)
        found.append((states, system))
    return found


def _namer(labels: _Labels, states: NDArray[np.intp]) -> Callable[[int], str]:
    _, kinds, items = labels

    def name(cell: int) -> str:
        s, c, a = np.unravel_index(cell, (len(states), len(kinds), len(items)))
        return f"r({labels[0][int(states[s])]}, {kinds[int(c)]}, {items[int(a)]})"

    return name
