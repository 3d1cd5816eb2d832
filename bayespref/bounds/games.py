"""Zero-sum matrix games, batched: value, both optimal strategies, and a certificate for each game.

The column player chooses a policy pi to make ``max_i (G pi)_i`` small, the row player weights mu to make
``min_j (mu G)_j`` large. A game is settled by the first of these that applies: a saddle point in pure strategies;
iterated dominance down to two by two and its closed form; the simplex method on many games at once; HiGHS for any
game whose certificate is not tight. The certificate is ``max_i (G pi)_i - min_j (mu G)_j``, computed from the
strategies returned and the game given, whatever method produced them.

Source: von Neumann's minimax theorem; the condensed simplex tableau as in Chvatal (1983), *Linear Programming*.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.bounds.lp import minimise
from bayespref.bounds.simplex import batched_simplex, normalised
from bayespref.checks import as_float
from bayespref.display import shown

METHODS = ("undefined", "saddle", "closed_form", "simplex", "highs")
"""How a game was settled; the position is the code in ``GameSolution.method``."""
UNDEFINED, SADDLE, CLOSED_FORM, SIMPLEX, HIGHS = range(5)
GAP_TOLERANCE = 1e-9
"""Largest certificate accepted from the batched simplex, relative to the largest entry of the game."""
_BLOCK = 2**18


@shown("value {value}, certificate gap {gap}", next_step="compare the value with the cost of deferring")
class GameSolution(NamedTuple):
    """Solution of every game in a batch.

    Attributes
    ----------
    value : array, shape (...)
        ``max_i (G pi)_i``, attained by ``policy``; NaN where the game is undefined.
    policy : array, shape (..., n)
        Column player's optimal probabilities.
    weights : array, shape (..., m)
        Row player's optimal probabilities: the dual weights.
    gap : array, shape (...)
        ``value - min_j (weights G)_j``, at least zero up to rounding: an upper bound on the error of the value.
    method : int8 array, shape (...)
        Position in ``METHODS``.
    """

    value: NDArray[np.float64]
    policy: NDArray[np.float64]
    weights: NDArray[np.float64]
    gap: NDArray[np.float64]
    method: NDArray[np.int8]


@shown(
    "least worst-case regret {value}: play the second action with probability {play_second}",
    next_step="compare it with the cost of deferring",
)
class TwoActionGame(NamedTuple):
    """Minimax regret between two actions whose difference d = r1 - r0 lies in [l, u]."""

    value: NDArray[np.float64]
    play_second: NDArray[np.float64]
    pure_value: NDArray[np.float64]


def two_action(lower: ArrayLike, upper: ArrayLike) -> TwoActionGame:
    """Minimax regret of two actions in closed form: V = -l u / (u - l) and pi(1) = u / (u - l) when l < 0 < u.

    Parameters
    ----------
    lower, upper : array, shape (...)
        Bounds on r1 - r0.

    Returns
    -------
    TwoActionGame
        Value, probability of action 1, and the best a deterministic policy can do, min(u, -l). NaN bounds give NaN.

    Raises
    ------
    ValueError
        If a lower bound exceeds its upper bound.

    Examples
    --------
    >>> g = two_action(-0.3, 0.6)
    >>> round(float(g.value), 12), round(float(g.play_second), 12), float(g.pure_value)
    (0.2, 0.666666666667, 0.3)
    """
    low, high = np.broadcast_arrays(as_float("lower", lower), as_float("upper", upper))
    if (low > high).any():
        raise ValueError(f"lower: exceeds upper in {int((low > high).sum())} place(s)")
    undecided = (low < 0) & (high > 0)
    width = np.where(undecided, high - low, 1.0)
    missing = np.isnan(low) | np.isnan(high)
    value = np.where(undecided, -low * high / width, 0.0)
    second = np.where(undecided, high / width, np.where(low >= 0, np.where(high > 0, 1.0, 0.5), 0.0))
    pure = np.where(undecided, np.minimum(high, -low), 0.0)
    return TwoActionGame(*(np.where(missing, np.nan, x) for x in (value, second, pure)))


def solve(
    game: Float[np.ndarray, "*#lead row column"],
    row_available: Bool[np.ndarray, "*#lead row"] | None = None,
    column_available: Bool[np.ndarray, "*#lead column"] | None = None,
) -> GameSolution:
    """Solve ``min_pi max_i (G pi)_i`` for every game in a batch.

    Parameters
    ----------
    game : array, shape (..., m, n)
        Loss to the column player. A game with a NaN among its available entries is undefined.
    row_available, column_available : bool array, optional
        Rows and columns that may be played, broadcast against the leading axes. A game with no available row or
        column is undefined.

    Returns
    -------
    GameSolution
        Values, strategies, certificates and methods.

    Raises
    ------
    ValueError
        If an available entry is infinite.

    Examples
    --------
    >>> s = solve(np.array([[0.0, -0.5, 0.5], [0.5, 0.0, 1.0], [1.0, 0.5, 0.0]]))
    >>> round(float(s.value), 9), s.policy.round(9).tolist(), s.weights.round(9).tolist()
    (0.333333333, [0.0, 0.666666667, 0.333333333], [0.0, 0.333333333, 0.666666667])
    """
    loss = as_float("game", game, min_ndim=2)
    lead, (m, n) = loss.shape[:-2], loss.shape[-2:]
    if m == 0 or n == 0:
        raise ValueError(f"game: needs at least one row and one column, got shape {loss.shape}")
    rows = _availability("row_available", row_available, lead, m)
    columns = _availability("column_available", column_available, lead, n)
    count = math.prod(lead)
    flat = loss.reshape(count, m, n)
    value, gap = np.full(count, np.nan), np.full(count, np.nan)
    policy, weights = np.full((count, n), np.nan), np.full((count, m), np.nan)
    method = np.zeros(count, dtype=np.int8)
    masked = row_available is not None or column_available is not None
    step = max(1, _BLOCK // (m * n))
    for start in range(0, count, step):
        block = slice(start, min(start + step, count))
        part = _solve_block(flat[block], rows[block] if masked else None, columns[block] if masked else None)
        value[block], policy[block], weights[block], gap[block], method[block] = part
    return GameSolution(
        value.reshape(lead),
        policy.reshape(*lead, n),
        weights.reshape(*lead, m),
        gap.reshape(lead),
        method.reshape(lead),
    )


def _availability(name: str, mask: NDArray[np.bool_] | None, lead: tuple[int, ...], size: int) -> NDArray[np.bool_]:
    given = np.asarray(True if mask is None else mask)
    if given.dtype != np.bool_:
        raise TypeError(f"{name}: must be boolean, got {given.dtype}")
    try:
        return np.broadcast_to(given, (*lead, size)).reshape(-1, size)
    except ValueError:
        raise ValueError(f"{name}: shape {given.shape} does not broadcast to {(*lead, size)}") from None


def _solve_block(
    loss: NDArray[np.float64], rows: NDArray[np.bool_] | None, columns: NDArray[np.bool_] | None
) -> GameSolution:
    count, m, n = loss.shape
    if rows is None or columns is None:
        defined = ~np.isnan(loss).any(axis=(1, 2))
        rows, columns = np.ones((count, m), dtype=bool), np.ones((count, n), dtype=bool)
        playable = loss
    else:
        both = rows[:, :, None] & columns[:, None, :]
        playable = np.where(both, loss, 0.0)
        defined = rows.any(1) & columns.any(1) & ~np.isnan(playable).any(axis=(1, 2))
    if np.isinf(playable).any():
        raise ValueError("game: available entries must be finite or NaN, found an infinity")
    policy, weights = np.full((count, n), np.nan), np.full((count, m), np.nan)
    method = np.zeros(count, dtype=np.int8)
    todo = np.flatnonzero(defined)
    if todo.size:
        policy[todo], weights[todo], method[todo] = _strategies(playable[todo], rows[todo], columns[todo])
    value, gap = certificate(playable, policy, weights, rows, columns)
    scale = np.maximum(np.abs(playable).max(axis=(1, 2)), 1e-300)
    for i in np.flatnonzero(gap > GAP_TOLERANCE * scale):
        r, c = np.flatnonzero(rows[i]), np.flatnonzero(columns[i])
        policy[i], weights[i] = 0.0, 0.0
        policy[i, c], weights[i, r] = highs(playable[i][np.ix_(r, c)])
        method[i] = HIGHS
        value[i], gap[i] = certificate(playable[i], policy[i], weights[i], rows[i], columns[i])
    return GameSolution(value, policy, weights, gap, method)


def certificate(
    game: Float[np.ndarray, "*#lead row column"],
    policy: Float[np.ndarray, "*#lead column"],
    weights: Float[np.ndarray, "*#lead row"],
    row_available: Bool[np.ndarray, "*#lead row"] | None = None,
    column_available: Bool[np.ndarray, "*#lead column"] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Upper value of a policy, and its distance to the lower value of the weights.

    Any policy bounds the value of the game from above and any weights bound it from below, so the value returned
    is wrong by at most the gap.

    Parameters
    ----------
    game, policy, weights, row_available, column_available
        As in `solve` and `GameSolution`.

    Returns
    -------
    value, gap : arrays, shape (...)
        ``max_i (G pi)_i`` and ``value - min_j (mu G)_j`` over available rows and columns.

    Examples
    --------
    >>> certificate(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    (array(0.5), array(0.))
    """
    against = np.einsum("...ij,...j->...i", game, policy)
    toward = np.einsum("...i,...ij->...j", weights, game)
    if row_available is not None:
        against = np.where(row_available, against, -np.inf)
    if column_available is not None:
        toward = np.where(column_available, toward, np.inf)
    value = np.asarray(against.max(axis=-1))
    undefined = np.isnan(policy).any(axis=-1)
    lower = np.asarray(toward.min(axis=-1))
    return np.where(undefined, np.nan, value), np.where(undefined, np.nan, value - np.where(undefined, 0.0, lower))


def _strategies(
    loss: NDArray[np.float64], rows: NDArray[np.bool_], columns: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]]:
    """Saddle points, then dominance and recursion on the smaller games, then the batched simplex."""
    count, m, n = loss.shape
    policy, weights = np.zeros((count, n)), np.zeros((count, m))
    method = np.full(count, SADDLE, dtype=np.int8)
    worst = np.where(columns, np.where(rows[:, :, None], loss, -np.inf).max(axis=1), np.inf)
    least = np.where(rows, np.where(columns[:, None, :], loss, np.inf).min(axis=2), -np.inf)
    j, i = worst.argmin(axis=1), least.argmax(axis=1)
    every = np.arange(count)
    saddle = worst[every, j] <= least[every, i]
    policy[saddle, j[saddle]], weights[saddle, i[saddle]] = 1.0, 1.0
    todo = np.flatnonzero(~saddle)
    if not todo.size:
        return policy, weights, method
    before_rows, before_columns = rows[todo].sum(1), columns[todo].sum(1)
    left_rows = _undominated(loss[todo], rows[todo], columns[todo])
    left_columns = _undominated(-np.swapaxes(loss[todo], 1, 2), columns[todo], left_rows)
    k_rows, k_columns = left_rows.sum(1), left_columns.sum(1)
    shrunk = (k_rows < before_rows) | (k_columns < before_columns)
    size = np.maximum(k_rows, k_columns)
    for k in np.unique(size):
        for again in (True, False):
            pick = np.flatnonzero((size == k) & (shrunk == again))
            if not pick.size:
                continue
            width_r, width_c = int(k_rows[pick].max()), int(k_columns[pick].max())
            r = np.argsort(~left_rows[pick], axis=1, kind="stable")[:, :width_r]
            c = np.argsort(~left_columns[pick], axis=1, kind="stable")[:, :width_c]
            where = todo[pick]
            small = loss[where[:, None, None], r[:, :, None], c[:, None, :]]
            has_r = np.arange(width_r) < k_rows[pick][:, None]
            has_c = np.arange(width_c) < k_columns[pick][:, None]
            if again:
                p, w, how = _strategies(small, has_r, has_c)
            elif width_r == 2 and width_c == 2:
                p, w = _two_by_two(small)
                how = np.full(pick.size, CLOSED_FORM, dtype=np.int8)
            else:
                p, w = batched_simplex(small, has_r, has_c)
                how = np.full(pick.size, SIMPLEX, dtype=np.int8)
            policy[where[:, None], c] = p
            weights[where[:, None], r] = w
            method[where] = how
    return policy, weights, method


def _undominated(gain: NDArray[np.float64], rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows no other row matches or beats everywhere; of equal rows the first stays."""
    m = gain.shape[1]
    values = np.where(columns[:, None, :], gain, 0.0)
    values[~rows] = -np.inf
    left = rows.copy()
    index = np.arange(m)
    for k in range(m):
        rival = values[:, k : k + 1, :]
        beaten = (values <= rival).all(axis=2)
        tied = (values >= rival).all(axis=2)
        left &= ~(beaten & (~tied | (index > k)))
    return left


def _two_by_two(loss: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    (a, b), (c, d) = (loss[:, 0, 0], loss[:, 0, 1]), (loss[:, 1, 0], loss[:, 1, 1])
    total = (a - b) + (d - c)
    first = np.clip((d - b) / total, 0.0, 1.0)
    top = np.clip((d - c) / total, 0.0, 1.0)
    return np.stack([first, 1.0 - first], axis=1), np.stack([top, 1.0 - top], axis=1)


def highs(game: Float[np.ndarray, "row column"]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve one game as a linear program with HiGHS.

    Parameters
    ----------
    game : array, shape (m, n)
        Loss to the column player, finite.

    Returns
    -------
    policy, weights : arrays, shape (n,) and (m,)
        Optimal strategies of the column and the row player.

    Raises
    ------
    RuntimeError
        If HiGHS reports anything but an optimum, which no finite game should cause.

    Examples
    --------
    >>> policy, weights = highs(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> policy.tolist(), weights.tolist()
    ([0.5, 0.5], [0.5, 0.5])
    """
    m, n = game.shape
    scale = max(float(np.abs(game).max()), 1e-300)
    program = minimise(
        np.r_[np.zeros(n), 1.0],
        np.c_[game / scale, -np.ones(m)],
        np.zeros(m),
        equal_rows=np.r_[np.ones(n), 0.0][None, :],
        equal=np.ones(1),
        bounds=[*[(0.0, None)] * n, (None, None)],
    )
    if program.status != "optimal":
        raise RuntimeError(f"HiGHS calls a {m} by {n} game {program.status}, which no finite game is")
    policy = normalised(program.x[None, :n], np.ones((1, n), dtype=bool))[0]
    weights = normalised(program.row_prices[None, :], np.ones((1, m), dtype=bool))[0]
    return policy, weights


def method_shares(method: Int[np.ndarray, "*#lead"]) -> dict[str, float]:
    """Share of games settled by each method.

    Parameters
    ----------
    method : integer array, shape (...)
        Codes from ``GameSolution.method``.

    Returns
    -------
    dict
        Share by name in ``METHODS``; NaN for an empty batch.

    Examples
    --------
    >>> method_shares(np.array([1, 1, 2, 3]))["saddle"]
    0.5
    """
    counts = np.bincount(np.asarray(method).ravel(), minlength=len(METHODS))
    total = int(counts.sum())
    return {name: float(k) / total if total else math.nan for name, k in zip(METHODS, counts, strict=True)}
