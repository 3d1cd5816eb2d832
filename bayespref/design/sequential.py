"""Batch by batch: ask where the current estimate says it pays, tell the labels, ask again.

`next_design` is pure: a state and a method in, a design out. Methods differ in the information matrices they hand to
the E-optimal program: at the estimate (``plugin``), at one posterior draw (``thompson``), averaged over draws
(``bayes``), or with a confidence radius added (``ucb``, optimism) or taken off (``lcb``, pessimism: it avoids actions
it has not seen and locks in). ``uniform`` is the yardstick. States are made by `start`, `tell` and `load_state`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite, one_of
from bayespref.design.certificate import criterion_value
from bayespref.design.mixture import Mixture, confidence_mixture, optimal_mixture
from bayespref.design.rounding import efficient_rounding
from bayespref.design.state import State, load_state, save_state, start, tell
from bayespref.display import shown
from bayespref.information import fisher, mean_fisher

__all__ = [
    "METHODS",
    "NextDesign",
    "State",
    "ask",
    "confidence_radius",
    "load_state",
    "next_design",
    "save_state",
    "start",
    "tell",
]

METHODS = ("uniform", "plugin", "lcb", "ucb", "thompson", "bayes")
BAYES_DRAWS = 8


@shown("least information {value}, at most {upper_bound}", next_step="ask in these shares, then tell() and ask again")
class NextDesign(NamedTuple):
    """What to ask next.

    Attributes
    ----------
    weights, attempts : array, shape (A,)
        Shares of accepted labels, and of attempts (an attempt that the difficulty filter rejects is one too).
    method : str
    value, upper_bound, gap : float
        Of the program solved: the least eigenvalue (with the radius for ucb and lcb) at the matrices below. NaN bound
        and gap for "uniform", which solves none.
    matrices : array, shape (A, d, d)
        Information per label that the method believes in.
    passed : array, shape (A,)
        Share of each pool that passes the difficulty filter.
    reason : str
        As in `optimal_mixture`.
    """

    weights: NDArray[np.float64]
    attempts: NDArray[np.float64]
    method: str
    value: float
    upper_bound: float
    gap: float
    matrices: NDArray[np.float64]
    passed: NDArray[np.float64]
    reason: str


def confidence_radius(
    matrices: Float[np.ndarray, "action d d"], n: Int[np.ndarray, " action"], bound: ArrayLike, delta: float = 0.05
) -> Float[np.ndarray, " action"]:
    """Spectral error of estimated information: sqrt(2 L ||M|| l / n) + 2 L l / (3 n) with l = log(2 d / delta).

    Parameters
    ----------
    matrices : array, shape (A, d, d)
        Means of n_a matrices of norm at most L_a each.
    n : integer array, shape (A,)
    bound : float or array, shape (A,)
        L, at least sup g(u) ||dz||^2.
    delta : float
        Chance that one of the errors is larger, by the matrix Bernstein inequality with the norm of the mean estimated
        (Tropp 2015, *An Introduction to Matrix Concentration Inequalities*, chapter 6), per action.

    Returns
    -------
    array, shape (A,)

    Examples
    --------
    >>> confidence_radius(np.eye(1)[None], np.array([100]), 1.0).round(4).tolist()
    [0.2962]
    """
    d = matrices.shape[-1]
    norm = np.linalg.eigvalsh(matrices)[:, -1]
    limit = np.broadcast_to(np.asarray(bound, dtype=np.float64), norm.shape)
    logarithm = np.log(2 * d / delta)
    return np.asarray(np.sqrt(2 * limit * norm * logarithm / n) + 2 * limit * logarithm / (3 * n))


def next_design(
    state: State,
    method: str,
    *,
    rng: np.random.Generator | None = None,
    draws: Float[np.ndarray, "draw d"] | None = None,
    cost: ArrayLike | None = None,
    acceptance: ArrayLike | None = None,
    cost_cap: float | None = None,
    floors: ArrayLike | None = None,
    difficulty: tuple[float, float] | None = None,
    information_bound: ArrayLike | None = None,
    delta: float = 0.05,
) -> NextDesign:
    """Choose the mixture of actions for the next batch.

    Parameters
    ----------
    state : State
    method : {"uniform", "plugin", "lcb", "ucb", "thompson", "bayes"}
    rng : numpy.random.Generator, optional
        Needed by "thompson" and "bayes".
    draws : array, shape (draw, d), optional
        Posterior draws of the coefficients, in place of the Laplace approximation.
    cost, acceptance, cost_cap, floors
        As in `optimal_mixture`; "uniform" knows no costs.
    difficulty : tuple of float, optional
        Keep candidates whose margin |u| at the estimate lies in this interval, log-odds. A rejected candidate counts as
        an attempt: the share that passes multiplies the acceptance.
    information_bound : float or array, shape (A,), optional
        L for ucb and lcb. By default the largest ||dz||^2 / 4 in any pool: a bound for bounded features only.
    delta : float
        Error rate of the radius per action.

    Returns
    -------
    NextDesign

    Raises
    ------
    ValueError
        If an action has no candidate (or none that passes anywhere), ``rng`` is missing, or an argument breaks a rule
        above.

    Examples
    --------
    >>> state = start([np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])])
    >>> next_design(state, "plugin").weights.round(4).tolist()
    [0.8, 0.2]
    """
    one_of("method", method, METHODS)
    empty = [a for a, pool in enumerate(state.pools) if not len(pool)]
    if empty:
        raise ValueError(f"state: every action needs a candidate to estimate its information, none for {empty[:5]}")
    d = state.features.shape[1]
    low, high = (0.0, np.inf) if difficulty is None else difficulty
    if not 0 <= low < high:
        raise ValueError(f"difficulty: must be an interval of margins 0 <= low < high, got {difficulty!r}")
    margins = [np.abs(pool @ state.estimate) for pool in state.pools]
    kept = [(u >= low) & (u <= high) for u in margins]
    passed = np.array([mask.mean() for mask in kept])
    if not passed.any():
        raise ValueError(f"difficulty: no candidate of any action has a margin in [{low:g}, {high:g}]")
    mask = passed > 0
    rows = [pool[keep] for pool, keep in zip(state.pools, kept, strict=True)]
    matrices = np.zeros((len(rows), d, d))
    given = _coefficients(state, method, rng, draws)
    for a in np.flatnonzero(mask):
        matrices[a] = fisher(rows[a], given[0]) if len(given) == 1 else mean_fisher(rows[a], given)
    share = np.broadcast_to(np.asarray(1.0 if acceptance is None else acceptance, dtype=np.float64), passed.shape)
    total = np.where(mask, share * passed, 1.0)
    if method == "uniform":
        weights = mask / mask.sum()
        value = criterion_value("E", np.tensordot(weights, matrices, 1)[None])
        attempts = weights / total / (weights / total).sum()
        return NextDesign(weights, attempts, method, value, np.nan, np.nan, matrices, passed, "")
    rules = {"cost": cost, "acceptance": total, "cost_cap": cost_cap, "floors": floors, "mask": mask}
    solved: Mixture
    if method in ("ucb", "lcb"):
        if information_bound is None:
            information_bound = max(float((pool**2).sum(axis=1).max()) for pool in state.pools) / 4
        seen = np.array([max(int(keep.sum()), 1) for keep in kept])
        radius = confidence_radius(matrices, seen, information_bound, delta)
        solved = confidence_mixture(matrices, radius, optimism=method, **rules)  # type: ignore[arg-type]
    else:
        solved = optimal_mixture(matrices, **rules)  # type: ignore[arg-type]
    return NextDesign(
        solved.weights,
        solved.attempts,
        method,
        solved.value,
        solved.upper_bound,
        solved.gap,
        matrices,
        passed,
        solved.reason,
    )


def _coefficients(
    state: State, method: str, rng: np.random.Generator | None, draws: ArrayLike | None
) -> NDArray[np.float64]:
    """Coefficients at which the information is taken, shape (1 or more, d)."""
    if method not in ("thompson", "bayes"):
        return state.estimate[None]
    if rng is None:
        raise ValueError(f"rng: needed by method {method!r}, which draws from the posterior")
    size = 1 if method == "thompson" else BAYES_DRAWS
    if draws is None:
        return rng.multivariate_normal(state.estimate, state.covariance, size=size)
    given = finite("draws", draws)
    if given.ndim != 2 or given.shape[1] != len(state.estimate) or not len(given):
        raise ValueError(f"draws: must have shape (draw, {len(state.estimate)}), got {given.shape}")
    return np.asarray(given[rng.choice(len(given), size=min(size, len(given)), replace=False)])


def ask(
    state: State,
    design: NextDesign,
    n: int,
    *,
    rng: np.random.Generator,
    difficulty: tuple[float, float] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw n unlabelled candidates in the proportions of a design.

    Parameters
    ----------
    state : State
    design : NextDesign
    n : int
        Comparisons to ask, at least the number of actions the design uses.
    rng : numpy.random.Generator
    difficulty : tuple of float, optional
        The interval the design was made with.

    Returns
    -------
    action, row : integer arrays, shape (n,)
        What to show the labellers; hand both back to `tell`.

    Raises
    ------
    ValueError
        If an action has fewer unlabelled candidates than its share (the message says which), or the design is
        undefined.

    Examples
    --------
    >>> state = start([np.array([[1.0, 0.0]] * 9), np.array([[0.0, 2.0]] * 9)])
    >>> action, row = ask(state, next_design(state, "plugin"), 5, rng=np.random.default_rng(0))
    >>> action.tolist()
    [0, 0, 0, 0, 1]
    """
    if np.isnan(design.weights).any():
        raise ValueError(f"design: its weights are undefined (reason {design.reason!r})")
    counts = efficient_rounding(design.weights, n).counts
    low, high = (0.0, np.inf) if difficulty is None else difficulty
    actions, rows = [], []
    for a in np.flatnonzero(counts):
        margin = np.abs(state.pools[a] @ state.estimate)
        free = np.flatnonzero(~state.asked[a] & (margin >= low) & (margin <= high))
        if len(free) < counts[a]:
            raise ValueError(
                f"state: action {a} has {len(free)} unlabelled candidates left, the design needs {counts[a]}"
            )
        actions.append(np.full(counts[a], a, dtype=np.int64))
        rows.append(rng.choice(free, size=counts[a], replace=False))
    return np.concatenate(actions), np.concatenate(rows).astype(np.int64)
