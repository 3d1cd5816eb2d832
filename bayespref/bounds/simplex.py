"""The simplex method on many matrix games at once, in condensed tableaux.

Every game is scaled into [1, 2] first, so that one set of tolerances serves all. Nothing here is trusted: the caller
certifies the strategies against the game it holds. Source: Chvatal (1983), *Linear Programming*; Bland (1977).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEEPEST = 10
"""Pivots per row and column with the steepest column entering; Bland's rule after that."""
PIVOTS = 30
"""Pivots per row and column after which a game is left to its certificate."""


def batched_simplex(
    loss: NDArray[np.float64], rows: NDArray[np.bool_], columns: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Primal simplex on ``max sum x, M x <= 1, x >= 0`` for all games at once, M the game scaled into [1, 2].

    Games that reach the pivot limit keep the strategies of their last basis; their certificate sends them to HiGHS.
    """
    count, m, n = loss.shape
    both = rows[:, :, None] & columns[:, None, :]
    low = np.where(both, loss, np.inf).min(axis=(1, 2), keepdims=True)
    width = np.where(both, loss, -np.inf).max(axis=(1, 2), keepdims=True) - low
    table = np.zeros((count, m + 1, n + 1))
    table[:, :m, :n] = np.where(both, (loss - low) / np.where(width > 0, width, 1.0) + 1.0, 0.0)
    table[:, :m, n] = 1.0
    table[:, m, :n] = np.where(columns, -1.0, 0.0)
    basic = np.broadcast_to(np.arange(n, n + m), (count, m)).copy()
    free = np.broadcast_to(np.arange(n), (count, n)).copy()
    policy, weights = np.zeros((count, n)), np.zeros((count, m))
    game = np.arange(count)
    steepest, limit = STEEPEST * (m + n), PIVOTS * (m + n)
    for pivot in range(limit + 1):
        cost = table[:, m, :n]
        # The steepest column first; Bland's rule later, which cannot cycle.
        bland = pivot >= steepest
        enter = np.where(cost < -1e-11, free, m + n).argmin(axis=1) if bland else cost.argmin(axis=1)
        every = np.arange(game.size)
        done = (cost[every, enter] >= -1e-11) | (pivot == limit)
        if done.any():
            _read(table[done], basic[done], free[done], game[done], policy, weights)
            going = ~done
            table, basic, free, game, enter = table[going], basic[going], free[going], game[going], enter[going]
            if not game.size:
                break
            every = np.arange(game.size)
        column = table[every, :, enter]
        positive = column[:, :m] > 1e-10
        ratio = np.where(positive, table[:, :m, n] / np.where(positive, column[:, :m], 1.0), np.inf)
        least = ratio.min(axis=1, keepdims=True)
        near = ratio <= least + 1e-12
        leave = (
            np.where(near, basic, m + n).argmin(axis=1)
            if bland
            else np.where(near, column[:, :m], -np.inf).argmax(axis=1)
        )
        centre = column[every, leave]
        line = table[every, leave, :] / centre[:, None]
        table -= column[:, :, None] * line[:, None, :]
        table[every, leave, :] = line
        table[every, :, enter] = -column / centre[:, None]
        table[every, leave, enter] = 1.0 / centre
        swap = basic[every, leave]
        basic[every, leave] = free[every, enter]
        free[every, enter] = swap
    return normalised(policy, columns), normalised(weights, rows)


def _read(
    table: NDArray[np.float64],
    basic: NDArray[np.int64],
    free: NDArray[np.int64],
    game: NDArray[np.int64],
    policy: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> None:
    m, n = basic.shape[1], free.shape[1]
    both = np.zeros((game.size, n + m))
    every = np.arange(game.size)[:, None]
    both[every, basic] = table[:, :m, n]
    policy[game] = both[:, :n]
    both[:] = 0.0
    both[every, free] = table[:, m, :n]
    weights[game] = both[:, n:]


def normalised(values: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Strategies from unscaled ones: rows that sum to one over what is allowed."""
    # Rounding can leave -1e-17; what this changes shows in the certificate.
    kept = np.where(allowed, np.maximum(values, 0.0), 0.0)
    total = kept.sum(axis=1, keepdims=True)
    even = allowed / allowed.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, kept / np.where(total > 0, total, 1.0), even))
