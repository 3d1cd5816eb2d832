"""Regret that data cannot rule out: regret matrices and minimax regret.

Everything is per state, for policies and comparators that see the state but not the type. In the product case
(types and components free of each other) one world attains every term of the regret matrix at once, so the largest
regret of a policy is exactly ``max(G pi)``.

Source: minimax regret of Manski (2004, 2007). Welfare bounds, certificates and other decision rules are importable
from here too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.bounds import games
from bayespref.bounds.cells import check_component, type_mix
from bayespref.bounds.certificates import PolicyLowerBound, TwoWorlds, policy_lower_bound, two_world_certificate
from bayespref.bounds.identified import LevelBounds, difference_blocks
from bayespref.bounds.rules import (
    Maximin,
    PooledRegret,
    RobustImprovement,
    gamma_minimax,
    maximin,
    robust_improvement,
    type_aware_regret,
)
from bayespref.bounds.welfare import WelfareBounds, welfare_bounds
from bayespref.checks import as_float
from bayespref.display import shown

__all__ = [
    "Maximin",
    "MinimaxRegret",
    "PolicyLowerBound",
    "PooledRegret",
    "RobustImprovement",
    "TwoWorlds",
    "WelfareBounds",
    "gamma_minimax",
    "maximin",
    "minimax_from_offsets",
    "minimax_regret",
    "policy_lower_bound",
    "regret_from_offsets",
    "regret_matrix",
    "robust_improvement",
    "two_world_certificate",
    "type_aware_regret",
    "welfare_bounds",
]


@shown(
    "least worst-case regret {value}; without a coin {pure_value}, playing {pure_action}",
    next_step="act where it is below the cost of deferring, defer elsewhere",
)
class MinimaxRegret(NamedTuple):
    """Minimax regret of every game in a batch.

    Attributes
    ----------
    value : array, shape (...)
        V, the smallest largest regret any policy can promise; NaN where the game is undefined.
    policy : array, shape (..., A)
        A policy that attains it.
    weights : array, shape (..., A)
        Dual weights over alternatives: mixing the worlds of the alternatives by them, no policy has less regret.
    pure_value : array, shape (...)
        The same for deterministic policies, min over a of max over a' of G.
    pure_action : integer array, shape (...)
        The first action that attains it; -1 where the game is undefined.
    gap : array, shape (...)
        Certificate: ``value`` minus the lower bound from ``weights``.
    method : int8 array, shape (...)
        How the game was settled, a position in ``games.METHODS``.
    sharp : bool
        False if restrictions couple types, so that no single world need attain the value.
    assumptions : tuple of str
        What the numbers rest on.
    """

    value: NDArray[np.float64]
    policy: NDArray[np.float64]
    weights: NDArray[np.float64]
    pure_value: NDArray[np.float64]
    pure_action: NDArray[np.int64]
    gap: NDArray[np.float64]
    method: NDArray[np.int8]
    sharp: bool
    assumptions: tuple[str, ...]

    def settled(self) -> dict[str, float]:
        """Share of games settled by each method of ``games.METHODS``."""
        return games.method_shares(self.method)


def regret_matrix(
    difference_upper: Float[np.ndarray, "*#lead type item item"], type_weights: Float[np.ndarray, "*#lead type"]
) -> Float[np.ndarray, "*#lead item item"]:
    """Largest regret against each alternative: G[a', a] = sum over c of P(c|s) times the upper bound of r(a') - r(a).

    Parameters
    ----------
    difference_upper : array, shape (..., C, A, A)
        Upper bounds of r(a') - r(a), as ``difference_bounds(...).upper``; NaN where the draw was dropped.
    type_weights : array, shape (..., C)
        P(c|s). Joint weights P(s, c) are accepted too (they sum to less than one) and give the state's share of the
        total regret.

    Returns
    -------
    array, shape (..., A, A)
        ``G[..., alternative, played]`` in reward units.

    Raises
    ------
    TargetMixError
        If weights are negative or sum to more than one.
    ValueError
        If bounds are infinite or shapes do not agree.

    Examples
    --------
    >>> regret_matrix(np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, -0.2], [0.2, 0.0]]]), np.array([0.5, 0.5])).tolist()
    [[0.0, 0.4], [0.6, 0.0]]
    """
    upper = as_float("difference_upper", difference_upper, min_ndim=3)
    weights = type_mix(type_weights)
    if upper.shape[-1] != upper.shape[-2] or upper.shape[-3] != weights.shape[-1]:
        raise ValueError(
            f"difference_upper: needs shape (..., C, A, A) with C = {weights.shape[-1]} types as in type_weights, "
            f"got {upper.shape}"
        )
    if np.isinf(upper).any():
        raise ValueError("difference_upper: must not be infinite; declare a finite reward range")
    return _weighted(upper, weights)


def _weighted(upper: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights[..., 0, None, None] * upper[..., 0, :, :]
    for c in range(1, weights.shape[-1]):
        total += weights[..., c, None, None] * upper[..., c, :, :]
    return np.asarray(total)


def _regret_blocks(
    offsets: ArrayLike,
    component: ArrayLike,
    type_weights: ArrayLike,
    reward_range: tuple[float, float],
    range_policy: str,
    link_scale: float,
    draw_axes: int,
) -> tuple[LevelBounds, tuple[int, ...], Iterator[tuple[slice, NDArray[np.float64]]]]:
    values = as_float("offsets", offsets, min_ndim=2)
    labels = check_component(component)
    weights = type_mix(type_weights)
    lead = np.broadcast_shapes(values.shape[:-1], labels.shape[:-1], weights.shape)
    values = np.broadcast_to(values, (*lead, values.shape[-1]))
    while labels.ndim > 1 and labels.shape[0] == 1:
        labels = labels[0]
    n_cell_axes = min(len(lead), max(1, labels.ndim - 1))
    if n_cell_axes == len(lead) and labels.ndim - 1 == len(lead):
        n_cell_axes = min(len(lead), 2)  # components differ between draws: keep state and type together
    info, blocks = difference_blocks(
        values,
        labels,
        reward_range,
        range_policy=range_policy,
        link_scale=link_scale,
        draw_axes=draw_axes,
        n_cell_axes=n_cell_axes,
    )
    cells = lead[len(lead) - n_cell_axes :]
    rows = lead[: len(lead) - n_cell_axes]
    shared = weights.ndim <= n_cell_axes
    flat = weights if shared else np.broadcast_to(weights, lead).reshape(math.prod(rows), *cells)

    def iterate() -> Iterator[tuple[slice, NDArray[np.float64]]]:
        for block, upper in blocks:
            yield block, _weighted(upper, flat if shared else flat[block])

    return info, lead, iterate()


def regret_from_offsets(
    offsets: Float[np.ndarray, "*#lead type item"],
    component: Int[np.ndarray, "*cell item"],
    type_weights: Float[np.ndarray, "*#lead type"],
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    range_policy: str = "raise",
    link_scale: float = 1.0,
    draw_axes: int = 0,
) -> tuple[Float[np.ndarray, "*#lead item item"], LevelBounds]:
    """Regret matrices straight from draws, in blocks: the difference bounds are never held in memory.

    Parameters
    ----------
    offsets, component, reward_range, range_policy, link_scale, draw_axes
        As in ``identified.level_bounds``, with types on the axis before the items.
    type_weights : array, shape (..., C)
        P(c|s), broadcast against the leading axes of ``offsets``.

    Returns
    -------
    matrix : array, shape (..., A, A)
        As `regret_matrix`.
    info : LevelBounds
        Kept cells, smallest range, assumptions; its ``lower`` and ``upper`` are empty.

    Raises
    ------
    RangeRefutedError, TargetMixError, ValueError
        As ``level_bounds`` and `regret_matrix`.

    Examples
    --------
    >>> matrix, info = regret_from_offsets(np.array([[0.0, 0.5, 9.0]]), np.array([[0, 0, 1]]), np.array([1.0]))
    >>> matrix.tolist()
    [[0.0, -0.5, 0.5], [0.5, 0.0, 1.0], [1.0, 0.5, 0.0]]
    """
    info, lead, blocks = _regret_blocks(
        offsets, component, type_weights, reward_range, range_policy, link_scale, draw_axes
    )
    n_items = np.shape(offsets)[-1]
    matrix = np.empty((*lead[:-1], n_items, n_items))
    flat: NDArray[np.float64] | None = None
    for block, part in blocks:
        if flat is None:
            flat = matrix.reshape(-1, *part.shape[1:])
        flat[block] = part
    return matrix, info


def minimax_regret(
    matrix: Float[np.ndarray, "*#lead item item"],
    *,
    available: Bool[np.ndarray, "*#lead item"] | None = None,
    coupled: bool = False,
) -> MinimaxRegret:
    """Smallest largest regret a policy can promise, and the policy: the value of the matrix game G.

    Parameters
    ----------
    matrix : array, shape (..., A, A)
        ``G[..., alternative, played]``; NaN games give NaN results.
    available : bool array, shape (..., A), optional
        Items on offer; the others are neither played nor compared with.
    coupled : bool
        Say True if restrictions tie rewards together within the state beyond the components: the value is then
        an upper bound (see ``bounds.coupled`` for the exact one).

    Returns
    -------
    MinimaxRegret
        Value, policy, dual weights, the deterministic optimum, certificate and method.

    Raises
    ------
    ValueError
        If the matrices are not square or an available entry is infinite.

    Examples
    --------
    >>> v = minimax_regret(np.array([[0.0, 0.3], [0.6, 0.0]]))
    >>> round(float(v.value), 12), v.policy.round(6).tolist(), float(v.pure_value), int(v.pure_action)
    (0.2, [0.333333, 0.666667], 0.3, 1)
    """
    loss = as_float("matrix", matrix, min_ndim=2)
    if loss.shape[-1] != loss.shape[-2]:
        raise ValueError(f"matrix: needs shape (..., A, A), got {loss.shape}")
    solution = games.solve(loss, available, available)
    if available is None:
        worst = loss.max(axis=-2)
    else:
        offered = np.broadcast_to(available, loss.shape[:-1])
        worst = np.where(offered, np.where(offered[..., :, None], loss, -np.inf).max(axis=-2), np.inf)
    undefined = solution.method == games.UNDEFINED
    worst = np.where(undefined[..., None], 0.0, worst)
    pure_action = np.where(undefined, -1, worst.argmin(axis=-1))
    pure_value = np.where(undefined, np.nan, worst.min(axis=-1))
    assumptions: tuple[str, ...] = ("state-measurable policies and comparators",)
    if coupled:
        assumptions += ("an upper bound: restrictions couple rewards within the state",)
    return MinimaxRegret(
        solution.value,
        solution.policy,
        solution.weights,
        pure_value,
        pure_action,
        solution.gap,
        solution.method,
        not coupled,
        assumptions,
    )


def minimax_from_offsets(
    offsets: Float[np.ndarray, "*#lead type item"],
    component: Int[np.ndarray, "*cell item"],
    type_weights: Float[np.ndarray, "*#lead type"],
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    available: Bool[np.ndarray, "*#lead item"] | None = None,
    range_policy: str = "raise",
    link_scale: float = 1.0,
    draw_axes: int = 0,
) -> tuple[MinimaxRegret, LevelBounds]:
    """Minimax regret straight from draws, in blocks: neither bounds nor regret matrices are held in memory.

    Parameters
    ----------
    offsets, component, type_weights, reward_range, range_policy, link_scale, draw_axes
        As in `regret_from_offsets`.
    available : bool array, shape (..., A), optional
        As in `minimax_regret`; broadcast against the leading axes without the type.

    Returns
    -------
    MinimaxRegret, LevelBounds
        As `minimax_regret` and `regret_from_offsets`.

    Examples
    --------
    >>> v, _ = minimax_from_offsets(np.zeros((6, 1, 3)), np.array([[0, 1, 2]]), np.array([1.0]))
    >>> v.value.round(6).tolist()[:2]
    [0.666667, 0.666667]
    """
    info, lead, blocks = _regret_blocks(
        offsets, component, type_weights, reward_range, range_policy, link_scale, draw_axes
    )
    n_items = np.shape(offsets)[-1]
    outer = lead[:-1]
    offered = None if available is None else np.broadcast_to(available, (*outer, n_items))
    parts = []
    for block, matrix in blocks:
        within = matrix.shape[1:-2]
        mask = None if offered is None else offered.reshape(-1, *within, n_items)[block]
        parts.append(minimax_regret(matrix, available=mask))
    joined = [np.concatenate([part[i] for part in parts], axis=0) for i in range(7)]
    value, policy, weights, pure_value, pure_action, gap, method = joined
    return (
        MinimaxRegret(
            value.reshape(outer),
            policy.reshape(*outer, n_items),
            weights.reshape(*outer, n_items),
            pure_value.reshape(outer),
            pure_action.reshape(outer),
            gap.reshape(outer),
            method.reshape(outer),
            True,
            (*info.assumptions, *parts[0].assumptions),
        ),
        info,
    )
