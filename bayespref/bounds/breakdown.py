"""How strong an assumption must be: the parameter at which a decision flips, and the smallest the data allow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from bayespref.bounds.lp import minimise
from bayespref.bounds.restrictions import Restrictions, join, node_positions
from bayespref.checks import as_float
from bayespref.display import shown


@shown(
    "the decision stands up to {parameter}",
    next_step="judge whether the assumption is plausible up to that value; if not, defer",
)
class Breakdown(NamedTuple):
    """Largest parameter at which a decision stands.

    Attributes
    ----------
    parameter : array, shape (...)
        Breakdown value; ``inf`` if the decision stands up to the largest parameter tried, NaN if it does not stand
        even at the smallest, or if the restrictions clash even at the largest.
    value_above : array, shape (...)
        What the function gave just above it.
    width : float
        Width of the final bracket.
    """

    parameter: NDArray[np.float64]
    value_above: NDArray[np.float64]
    width: float


def smallest_parameter(fixed: Restrictions, scaled: Restrictions, n_nodes: int) -> Float[np.ndarray, "*draw"]:
    """Smallest factor >= 0 on the weights of some restrictions at which all hold together, by linear programming.

    With ``scaled`` the Lipschitz or type-effect restrictions at parameter one, this is the smallest L or kappa the
    data allow. Add to ``fixed`` the restriction that a contrast has the other sign, and it is the exact breakdown
    value of that sign.

    Parameters
    ----------
    fixed : Restrictions
        Restrictions that stand as they are.
    scaled : Restrictions
        Restrictions whose weights are multiplied by the factor.
    n_nodes : int
        Number of cells, Z not counted.

    Returns
    -------
    array, shape (...)
        Smallest factor per draw; ``inf`` if no factor will do.

    Examples
    --------
    >>> from bayespref.bounds.restrictions import pairwise, range_restrictions
    >>> fixed = join(range_restrictions(2), pairwise([1], [0], [-0.4], "r1 at least 0.4 below r0"))
    >>> float(smallest_parameter(fixed, pairwise([0], [1], [1.0], "r0 at most L above r1"), 2))
    0.4
    """
    lead = np.broadcast_shapes(fixed.weight.shape[:-1], scaled.weight.shape[:-1])
    slope = np.broadcast_to(scaled.weight, (*lead, scaled.head.size)).reshape(-1, scaled.head.size)
    limit = np.broadcast_to(fixed.weight, (*lead, fixed.head.size)).reshape(-1, fixed.head.size)
    head, tail = node_positions(join(fixed._replace(weight=limit[:1]), scaled._replace(weight=slope[:1])), n_nodes)
    edges = np.arange(head.size)
    rows = sparse.csr_array(
        (
            np.r_[np.ones(head.size), -np.ones(head.size)],
            (np.r_[edges, edges], np.r_[head, tail]),
        ),
        shape=(head.size, n_nodes + 2),
    )
    bounds: list[tuple[float | None, float | None]] = [*[(None, None)] * n_nodes, (0.0, 0.0), (0.0, None)]
    result = np.empty(len(limit))
    column = np.zeros(n_nodes + 2)
    column[-1] = 1.0
    for i in range(len(limit)):
        factor = sparse.csr_array(
            (-slope[i], (np.arange(fixed.head.size, head.size), np.full(scaled.head.size, n_nodes + 1))),
            shape=rows.shape,
        )
        program = minimise(column, rows + factor, np.r_[limit[i], np.zeros(scaled.head.size)], bounds=bounds)
        result[i] = program.value if program.status == "optimal" else np.inf
    return result.reshape(lead)


def breakdown(
    value: Callable[[NDArray[np.float64]], ArrayLike],
    low: float,
    high: float,
    *,
    threshold: float = 1e-9,
    steps: int = 50,
) -> Breakdown:
    """Largest parameter (L, kappa, eta, Gamma) at which a quantity such as V is still zero, by bisection.

    Parameters
    ----------
    value : callable
        Maps an array of parameters, one per draw or one for all, to values that never fall as the parameter grows.
        NaN means that the restrictions clash at that parameter, which counts as below the breakdown.
    low, high : float
        Where to look.
    threshold : float
        Values up to this count as zero.
    steps : int
        Halvings of the bracket.

    Returns
    -------
    Breakdown
        Parameter, the value just above, and the width of the bracket.

    Raises
    ------
    ValueError
        If the interval is empty, or a sign of the function falling is met.

    Examples
    --------
    >>> float(breakdown(lambda t: np.maximum(0.0, t - 0.3), 0.0, 1.0).parameter.round(6))
    0.3
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low, high: must be finite with low < high, got {low!r}, {high!r}")
    at_high = as_float("value", value(np.asarray(high)))
    shape = at_high.shape
    at_low = np.broadcast_to(as_float("value", value(np.full(shape, low))), shape)
    if (at_high < at_low - threshold).any():
        raise ValueError("value: falls as the parameter grows, so it has no single breakdown")
    a, b, above = np.full(shape, low), np.full(shape, high), at_high.copy()
    for _ in range(steps):
        middle = 0.5 * (a + b)
        here = np.broadcast_to(as_float("value", value(middle)), shape)
        flipped = here > threshold
        a, b, above = np.where(flipped, a, middle), np.where(flipped, middle, b), np.where(flipped, here, above)
    stands = at_high <= threshold
    never = (at_low > threshold) | np.isnan(at_high)
    parameter = np.where(stands, np.inf, np.where(never, np.nan, a))
    return Breakdown(parameter, above, (high - low) * 0.5**steps)


def feasible_range(
    kept: Callable[[NDArray[np.float64]], Bool[np.ndarray, "*draw"]], low: float, high: float, *, steps: int = 50
) -> Float[np.ndarray, "*draw"]:
    """Smallest parameter at which an assumption stops being refuted, by bisection, draw by draw.

    Parameters
    ----------
    kept : callable
        Maps an array of parameters to whether the restrictions hold together.
    low, high : float
        Where to look.
    steps : int
        Halvings of the bracket.

    Returns
    -------
    array, shape (...)
        Smallest feasible parameter; ``low`` if feasible there, ``inf`` if not even at ``high``.

    Examples
    --------
    >>> float(feasible_range(lambda t: t >= 0.25, 0.0, 1.0).round(9))
    0.25
    """
    at_high = np.asarray(kept(np.asarray(high)), dtype=bool)
    at_low = np.broadcast_to(np.asarray(kept(np.full(at_high.shape, low)), dtype=bool), at_high.shape)
    a, b = np.full(at_high.shape, low), np.full(at_high.shape, high)
    for _ in range(steps):
        middle = 0.5 * (a + b)
        here = np.asarray(kept(middle), dtype=bool)
        a, b = np.where(here, a, middle), np.where(here, middle, b)
    return np.asarray(np.where(at_low, low, np.where(at_high, b, np.inf)))
