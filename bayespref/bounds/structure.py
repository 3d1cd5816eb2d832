"""Assumptions that carry information across cells, and what each does to the identified set.

Everything of the form ``r_i - r_j <= w`` is solved exactly by shortest paths: the range, identified differences,
level Lipschitz, item orders, level type effects, tilted edges. Nodes are the flattened cells (state, type, item), and
one more node Z, last, of reward zero, ties levels to the range. The largest r_i - r_j is the distance from j to i; the
restrictions clash exactly when a cycle has negative length; distances themselves are a witness world.

Additive and rank-one structure act on the differences of one pair of items over (state, type). Restrictions on
differences of differences are linear programs: see ``bounds.coupled``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.bounds.breakdown import Breakdown, breakdown, feasible_range, smallest_parameter
from bayespref.bounds.interaction import (
    AdditiveBounds,
    RankOneValues,
    additive,
    rank_one,
    smallest_interaction,
)
from bayespref.bounds.lipschitz import McShaneBounds, mcshane
from bayespref.bounds.paths import all_distances, negative_cycle, tighten
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
from bayespref.checks import one_of
from bayespref.display import shown
from bayespref.errors import InfeasibleRestrictionError

__all__ = [
    "AdditiveBounds",
    "Breakdown",
    "McShaneBounds",
    "Propagated",
    "RankOneValues",
    "Restrictions",
    "additive",
    "breakdown",
    "cell_differences",
    "difference_restrictions",
    "feasible_range",
    "item_order",
    "join",
    "level_lipschitz",
    "level_type_effect",
    "mcshane",
    "pairwise",
    "propagate",
    "range_restrictions",
    "rank_one",
    "smallest_interaction",
    "smallest_parameter",
    "witness",
]


@shown(
    "differences of at most {upper} log-odds; the assumption is refuted in {share_refuted} of draws",
    next_step="name the assumption beside the bound; see how far it carries with sweep",
)
class Propagated(NamedTuple):
    """Sharp bounds under restrictions on pairs of rewards.

    Attributes
    ----------
    upper : array, shape (..., V, V)
        ``upper[..., i, j]`` is the largest r_i - r_j; ``-upper[..., j, i]`` the smallest. The last node is Z, so its
        column holds the upper levels. NaN where the draw was dropped.
    kept : bool array, shape (...)
        Draws for which the restrictions hold together.
    share_refuted : float
        Share of draws for which they do not.
    sharp : bool
        True: each bound is attained by a world that satisfies all restrictions.
    assumptions : tuple of str
        Names of the restrictions.
    """

    upper: NDArray[np.float64]
    kept: NDArray[np.bool_]
    share_refuted: float
    sharp: bool
    assumptions: tuple[str, ...]

    @property
    def level_lower(self) -> NDArray[np.float64]:
        """Smallest reward of each cell, shape (..., V - 1)."""
        return -self.upper[..., -1, :-1]

    @property
    def level_upper(self) -> NDArray[np.float64]:
        """Largest reward of each cell, shape (..., V - 1)."""
        return self.upper[..., :-1, -1]


def propagate(
    restrictions: Restrictions, n_nodes: int, *, range_policy: str = "raise", shape: tuple[int, ...] | None = None
) -> Propagated:
    """Largest difference of every pair of rewards under all restrictions, by shortest paths.

    Time grows with the cube of the number of nodes and memory with its square, per draw. Restrictions that tie no two
    states to each other can be propagated state by state without loss.

    Parameters
    ----------
    restrictions : Restrictions
        Joined restrictions, the range among them.
    n_nodes : int
        Number of cells, Z not counted.
    range_policy : {"raise", "condition"}
        Refuse if the restrictions clash in any draw, or drop such draws (NaN).
    shape : tuple of int, optional
        (S, C, A), to name cells in messages.

    Returns
    -------
    Propagated
        Sharp bounds; O(V^3) per draw.

    Raises
    ------
    InfeasibleRestrictionError
        Under "raise", naming the restrictions on a cycle of negative length and the share of draws.

    Examples
    --------
    >>> r = join(range_restrictions(2), pairwise([0], [1], [0.3], "close"))
    >>> propagate(r, 2).upper[:2, :2].tolist()
    [[0.0, 0.3], [1.0, 0.0]]
    """
    one_of("range_policy", range_policy, ("raise", "condition"))
    head, tail = node_positions(restrictions, n_nodes)
    size = n_nodes + 1
    lead = restrictions.weight.shape[:-1]
    weight = restrictions.weight.reshape(math.prod(lead), head.size)
    upper = np.full((len(weight), size, size), np.inf)
    tighten(upper, head, tail, weight)
    upper[:, range(size), range(size)] = np.minimum(upper[:, range(size), range(size)], 0.0)
    upper, kept = all_distances(upper)
    share = 1.0 - float(kept.mean()) if kept.size else 0.0
    if share > 0 and range_policy == "raise":
        draw = int(np.argmin(kept))
        cycle = negative_cycle(head, tail, weight[draw], size)
        raise InfeasibleRestrictionError(
            tuple(_describe(restrictions, e, float(weight[draw, e]), shape) for e in cycle), share
        )
    upper[~kept] = np.nan
    assumptions = restrictions.names
    if share > 0:
        assumptions += (f"conditional on the {1.0 - share:.2%} of draws that fit the restrictions",)
    return Propagated(upper.reshape(*lead, size, size), kept.reshape(lead), share, True, assumptions)


def _describe(restrictions: Restrictions, edge: int, weight: float, shape: tuple[int, ...] | None) -> str:
    def cell(node: int) -> str:
        if node < 0:
            return "0"
        index = (node,) if shape is None else tuple(int(i) for i in np.unravel_index(node, shape))
        return f"r{index}" if len(index) > 1 else f"r({node})"

    name = restrictions.names[restrictions.kind[edge]]
    head, tail = int(restrictions.head[edge]), int(restrictions.tail[edge])
    return f"{name}: {cell(head)} - {cell(tail)} <= {weight:.6g}"


def witness(upper: Float[np.ndarray, "*draw node node"], low: int) -> Float[np.ndarray, "*draw cell"]:
    """World in which every reward is as far above node ``low`` as it can be, all at once.

    Parameters
    ----------
    upper : array, shape (..., V, V)
        ``Propagated.upper``, Z last.
    low : int
        The node held low; -1 is Z, and gives the world of the upper levels.

    Returns
    -------
    array, shape (..., V - 1)
        Rewards that satisfy every restriction, with r_i - r_low = upper[i, low] for all i.

    Examples
    --------
    >>> bounds = propagate(join(range_restrictions(2), pairwise([0], [1], [0.3], "close")), 2)
    >>> witness(bounds.upper, 1).tolist()
    [0.3, 0.0]
    """
    distance = upper[..., :, low]
    return np.asarray(distance[..., :-1] - distance[..., -1:])


def cell_differences(
    upper: Float[np.ndarray, "*draw node node"], shape: tuple[int, int, int]
) -> Float[np.ndarray, "*draw state type item item"]:
    """Upper bounds of differences within each cell, as ``regret.regret_matrix`` takes them.

    Parameters
    ----------
    upper : array, shape (..., V, V)
        ``Propagated.upper``.
    shape : tuple of int
        (S, C, A).

    Returns
    -------
    array, shape (..., S, C, A, A)
        Largest r(s, a, c) - r(s, b, c).

    Examples
    --------
    >>> bounds = propagate(range_restrictions(4), 4)
    >>> cell_differences(bounds.upper, (2, 1, 2)).shape
    (2, 1, 2, 2)
    """
    grid = cell_grid(shape)
    return np.asarray(upper[..., grid[..., :, None], grid[..., None, :]])
