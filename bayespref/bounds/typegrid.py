"""Type-grid linear program: bounds from all observed label patterns, without a number of types.

The population is a distribution mu over reward vectors, the target a distribution nu with a mu <= nu <= b mu. On a
finite grid of reward vectors both are vectors, the observed pattern probabilities are linear in mu and the target's
preference is linear in nu (the approach of Honore and Tamer 2006). Writing mu = u + v and nu = a u + b v with
u, v >= 0 turns the ratio constraint into signs, so the program has one row per observed pattern only.

A grid can only miss types, so its bounds are too narrow. The program's dual prices, read on a much finer audit grid,
limit by how much: small changes between two grids alone can be an accident of where the grid points fall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.special import expit

from bayespref.bounds.mixture import ratio_ends
from bayespref.bounds.ranges import reward_span
from bayespref.checks import one_of, simplex
from bayespref.display import shown
from bayespref.errors import InfeasibleMixtureError

QUANTITIES = ("preference", "difference")
_FEASIBILITY = 1e-7
"""Feasibility tolerance of the linear programs: pattern probabilities are matched to this."""


@shown(
    "between {lower} and {upper}; converged: {converged}",
    next_step="refine the grid until the change is small, or use the outer bounds",
)
class TypeGridBounds(NamedTuple):
    """Bounds on a finite grid of reward vectors, with the refinements behind them.

    Attributes
    ----------
    lower, upper : float
        Ends on the finest grid: a share, log-odds, or the target function's unit. An inner approximation: the
        identified set contains this interval.
    outer_lower, outer_upper : float
        No distribution on the audit grid reaches beyond these; infinite where the finest grid has no solution.
    change : float
        Largest move of an end in the last refinement; infinite when there was only one grid.
    converged : bool
        Whether the last change and the distance to the outer ends both fell below the tolerance.
    levels : int
        Reward levels per item on the finest grid, equally spaced over the range.
    n_vectors : int
        Reward vectors on the finest grid, one per distinct vector of differences.
    audit_levels : int
        Reward levels per item on the audit grid.
    history : Float[ndarray, "refinement 3"]
        Levels, lower and upper of every grid; NaN where the grid was too coarse for any mixture to match.
    sharp : bool
        Always False.
    reason : str
        Why not sharp.
    assumptions : tuple of str
        What the bounds take for granted.
    """

    lower: float
    upper: float
    outer_lower: float
    outer_upper: float
    change: float
    converged: bool
    levels: int
    n_vectors: int
    audit_levels: int
    history: Float[np.ndarray, "refinement 3"]
    sharp: bool
    reason: str
    assumptions: tuple[str, ...]


def type_grid_bounds(
    patterns: Sequence[Sequence[tuple[int, int]]],
    probabilities: Sequence[ArrayLike],
    target: tuple[int, int] | Callable[[Float[np.ndarray, "vector item"]], Float[np.ndarray, " vector"]],
    reward_range: float | tuple[float, float],
    *,
    density_ratio: ArrayLike | tuple[ArrayLike, ArrayLike] = 1.0,
    quantity: str = "preference",
    slack: float = 0.0,
    tolerance: float = 1e-4,
    first_levels: int = 5,
    max_vectors: int = 20_000,
) -> TypeGridBounds:
    """Bound the target's preference, mean difference or any mean from observed label patterns, for any number of types.

    Parameters
    ----------
    patterns : sequence of sequences of (a, b)
        One entry per kind of rater: the pairs such a rater answers, items numbered from 0; a repeated pair is a repeat.
    probabilities : sequence of array_like, shape (2,) * L each
        Observed probability of each answer pattern; index 1 on axis l means that the first item of pair l is preferred.
    target : (a, b) or callable
        Pair whose preference sigma(r_a - r_b) or difference r_a - r_b is averaged over the target mix; or a function of
        the grid ``(vector, item)`` that returns one number a vector and depends on differences only.
    reward_range : float or pair
        R, or (m, M), log-odds: every type's rewards lie in it.
    density_ratio : float or pair
        Gamma, or (a, b), for target over observed mix; 1 means that the target is the observed population.
    quantity : {"preference", "difference"}
        What a target pair means.
    slack : float
        Pattern probabilities need to be matched only up to this, share (0 for exact probabilities).
    tolerance : float
        Refinement stops when neither end moved by more, nor could on the audit grid.
    first_levels : int
        Reward levels an item on the first grid, at least 2; each refinement halves the spacing, so grids are nested.
    max_vectors : int
        Refinement stops before a grid exceeds this many reward vectors.

    Returns
    -------
    TypeGridBounds
        Ends, the grid they were found on, and the history of refinements.

    Raises
    ------
    InfeasibleMixtureError
        If no mixture on the finest grid matches the observed patterns; the message gives the least misfit.
    TargetMixError
        If the probabilities of a pattern are not a distribution.
    ValueError
        On malformed patterns, a first grid larger than ``max_vectors``, or a density ratio that is not scalar.

    Examples
    --------
    >>> bound = type_grid_bounds([[(0, 1)]], [[0.4, 0.6]], (0, 1), 1.0, density_ratio=2.0)
    >>> print(round(bound.lower, 6), round(bound.upper, 6), bound.sharp)
    0.468941 0.665529 False
    """
    span = reward_span(reward_range)
    one_of("quantity", quantity, QUANTITIES)
    if first_levels < 2:
        raise ValueError(f"first_levels: must be at least 2, got {first_levels}")
    if not slack >= 0:
        raise ValueError(f"slack: must be >= 0, got {slack}")
    ends = ratio_ends(density_ratio)
    if ends[0].ndim:
        raise ValueError("density_ratio: must be one number or one pair here")
    a, b = (float(end) for end in ends)
    observed = _observed(patterns, probabilities)
    pairs = {pair for pattern in patterns for pair in pattern} | ({target} if isinstance(target, tuple) else set())
    n_items = 1 + max(max(pair) for pair in pairs)
    if any(first == second or min(first, second) < 0 for first, second in pairs):
        raise ValueError(f"patterns, target: each pair must join two different items from 0, got {sorted(pairs)}")

    history: list[tuple[int, float, float]] = []
    levels, change = first_levels, np.inf
    while True:
        grid = _grid(n_items, levels, span, max_vectors)
        if grid is None:
            break
        rows = _pattern_rows(grid, patterns)
        (lower, upper), prices = _solve(rows, observed, _values(grid, target, quantity), a, b, slack)
        if history:
            change = float(np.max(np.abs(np.subtract((lower, upper), history[-1][1:]))))
            change = np.inf if np.isnan(change) else change
        history.append((levels, lower, upper))
        n_vectors, finest = len(grid), rows
        audit_levels, audit = _audit_grid(n_items, levels, span, max_vectors)
        below, above = (
            _reach(price, _pattern_rows(audit, patterns), sign * _values(audit, target, quantity), a, b)
            for price, sign in zip(prices, (1.0, -1.0), strict=True)
        )
        done = span == 0.0 or max(change, below, above) <= tolerance
        if done:
            break
        levels = 2 * levels - 1
    if not history:
        raise ValueError(
            f"max_vectors: {first_levels} levels of {n_items} items already give more than {max_vectors} reward vectors"
        )
    last_levels, lower, upper = history[-1]
    if np.isnan(lower):
        raise InfeasibleMixtureError(
            f"probabilities: no mixture of types within {span:g} log-odds matches the observed patterns on a grid of "
            f"{n_vectors} reward vectors; the least largest misfit is {_misfit(finest, observed):.3g}. Declare a wider "
            "range, or a slack of at least that size"
        )
    return TypeGridBounds(
        lower,
        upper,
        lower - below,
        upper + above,
        change,
        bool(done),
        last_levels,
        n_vectors,
        audit_levels,
        np.asarray(history, dtype=np.float64),
        False,
        f"inner approximation on {n_vectors} reward vectors ({last_levels} levels an item): last change {change:.2g}, "
        f"room left on an audit grid of {audit_levels} levels {max(below, above):.2g}",
        (
            f"rewards of every type within {span:g} log-odds",
            f"target over observed mix of types in [{a:g}, {b:g}]",
            "labels of one rater independent given the rater's type, Bradley-Terry link",
            "any number of types",
        ),
    )


def _observed(patterns: Sequence[Sequence[tuple[int, int]]], probabilities: Sequence[ArrayLike]) -> NDArray[np.float64]:
    if not patterns or len(patterns) != len(probabilities):
        raise ValueError(
            f"probabilities: one array per pattern is needed, got {len(probabilities)} for {len(patterns)}"
        )
    parts = []
    for i, (pattern, given) in enumerate(zip(patterns, probabilities, strict=True)):
        table = np.asarray(given, dtype=np.float64)
        if not pattern or table.shape != (2,) * len(pattern):
            raise ValueError(
                f"probabilities[{i}]: shape must be {(2,) * len(pattern)} for {len(pattern)} pairs, got {table.shape}"
            )
        parts.append(simplex(f"probabilities[{i}]", table.ravel()))
    return np.concatenate(parts)


def _grid(n_items: int, levels: int, span: float, max_vectors: int) -> NDArray[np.float64] | None:
    """Reward vectors with smallest reward 0: one per attainable vector of differences; None when too many."""
    if levels**n_items - (levels - 1) ** n_items > max_vectors:
        return None
    parts = []
    for zero in range(n_items):
        # The first item at the bottom is ``zero``: items before it lie strictly above, so no vector comes twice.
        axes = [np.arange(1, levels)] * zero + [np.zeros(1, dtype=int)] + [np.arange(levels)] * (n_items - zero - 1)
        parts.append(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, n_items))
    return np.asarray(np.concatenate(parts) * (span / (levels - 1)))


def _pattern_rows(grid: NDArray[np.float64], patterns: Sequence[Sequence[tuple[int, int]]]) -> NDArray[np.float64]:
    rows = []
    for pattern in patterns:
        cells = np.ones((1, len(grid)))
        for first, second in pattern:
            prefer = expit(grid[:, first] - grid[:, second])
            cells = np.stack([cells * (1.0 - prefer), cells * prefer], axis=1).reshape(-1, len(grid))
        rows.append(cells)
    return np.concatenate(rows)


def _values(
    grid: NDArray[np.float64],
    target: tuple[int, int] | Callable[[NDArray[np.float64]], NDArray[np.float64]],
    quantity: str,
) -> NDArray[np.float64]:
    if isinstance(target, tuple):
        difference = grid[:, target[0]] - grid[:, target[1]]
        return np.asarray(expit(difference) if quantity == "preference" else difference)
    values = np.asarray(target(grid), dtype=np.float64)
    if values.shape != (len(grid),):
        raise ValueError(f"target: must return one number a reward vector, {(len(grid),)}, got shape {values.shape}")
    return values


def _solve(
    rows: NDArray[np.float64],
    observed: NDArray[np.float64],
    values: NDArray[np.float64],
    a: float,
    b: float,
    slack: float,
) -> tuple[tuple[float, float], list[NDArray[np.float64] | None]]:
    """Ends on one grid, and the dual prices of each end: pattern rows, total, target total."""
    both = np.concatenate([rows, rows], axis=1)
    mass = np.concatenate([np.full(rows.shape[1], a), np.full(rows.shape[1], b)])
    objective = mass * np.concatenate([values, values])
    # With slack the total is a row of its own; without it the pattern rows already add up to one.
    ones = np.ones((1, both.shape[1]))
    equal = np.concatenate([ones if slack > 0 else both, mass[None]])
    equal_to = np.append(np.ones(1) if slack > 0 else observed, 1.0)
    within = np.concatenate([both, -both]) if slack > 0 else None
    limit = np.concatenate([observed + slack, slack - observed]) if slack > 0 else None
    ends: list[float] = []
    prices: list[NDArray[np.float64] | None] = []
    for sign in (1.0, -1.0):
        result = linprog(
            sign * objective, A_ub=within, b_ub=limit, A_eq=equal, b_eq=equal_to, bounds=(0, None), method="highs"
        )
        if result.status == 2:
            return (np.nan, np.nan), [None, None]
        if result.status != 0 or result.fun is None:
            raise RuntimeError(f"type-grid program not solved: {result.message}")
        ends.append(sign * float(result.fun))
        equal_price = np.asarray(result.eqlin.marginals)
        if slack > 0:
            plus, minus = np.split(np.asarray(result.ineqlin.marginals), 2)
            prices.append(np.concatenate([plus - minus, equal_price]))
        else:
            prices.append(np.concatenate([equal_price[:-1], [0.0], equal_price[-1:]]))
    return (ends[0], ends[1]), prices


def _audit_grid(n_items: int, levels: int, span: float, max_vectors: int) -> tuple[int, NDArray[np.float64]]:
    """Build the finest grid, up to 16 times finer, that holds at most ten times the allowed vectors."""
    for finer in (16, 8, 4):
        grid = _grid(n_items, finer * (levels - 1) + 1, span, 10 * max_vectors)
        if grid is not None:
            return finer * (levels - 1) + 1, grid
    finer_levels = 2 * levels - 1
    grid = _grid(n_items, finer_levels, span, finer_levels**n_items)
    return finer_levels, np.zeros((1, n_items)) if grid is None else grid


def _reach(
    prices: NDArray[np.float64] | None, rows: NDArray[np.float64], values: NDArray[np.float64], a: float, b: float
) -> float:
    """How much further a minimum could fall if these reward vectors joined the program, by weak duality.

    The constraints fix the total of u at (b - 1)/(b - a) and of v at (1 - a)/(b - a), so a negative reduced cost can
    lower the minimum by at most itself times that total.
    """
    if prices is None:
        return float(np.inf)
    priced = prices[:-2] @ rows + prices[-2]
    worst_u = max(0.0, -float((a * values - priced - a * prices[-1]).min()))
    worst_v = max(0.0, -float((b * values - priced - b * prices[-1]).min()))
    if a == b:
        return worst_u
    return ((b - 1.0) * worst_u + (1.0 - a) * worst_v) / (b - a)


def _misfit(rows: NDArray[np.float64], observed: NDArray[np.float64]) -> float:
    """Least largest deviation of a mixture's pattern probabilities from the observed ones."""
    n_rows, n_vectors = rows.shape
    column = -np.ones((n_rows, 1))
    result = linprog(
        np.append(np.zeros(n_vectors), 1.0),
        A_ub=np.concatenate([np.concatenate([rows, column], axis=1), np.concatenate([-rows, column], axis=1)]),
        b_ub=np.concatenate([observed, -observed]),
        A_eq=np.append(np.ones(n_vectors), 0.0)[None],
        b_eq=np.ones(1),
        bounds=(0, None),
        method="highs",
    )
    if result.fun is None:
        raise RuntimeError(f"misfit program not solved: {result.message}")
    return float(result.fun)
