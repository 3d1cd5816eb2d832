"""A policy that maximises what it gains at worst, over rewards that a sensitivity model allows.

For rewards r in a convex set U the worst gain of a policy over the reference is ``min_{r in U} (pi - ref)'r - beta
KL``: zero at the reference itself. By minimax the best policy is the tilt of the least favourable reward, the r in U
whose own tilt gains least. It never does worse than the reference at its own bound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, linprog, minimize
from scipy.special import rel_entr

from bayespref.checks import as_float, positive, simplex
from bayespref.display import shown
from bayespref.errors import InfeasibleRestrictionError
from bayespref.target.tilt import exponential_tilt

_WITHIN, _SHARP = 1e-8, 1e-5


@shown("guaranteed gain {lower}", next_step="deploy only what keeps a gain at the Gamma you find plausible")
class RobustPolicy(NamedTuple):
    """Policy with the best guaranteed gain.

    Attributes
    ----------
    policy : array, shape (state, item)
        Probabilities.
    lower : array, shape (state,)
        Worst gain over the reference that this policy can have, J in log-odds: exact for this policy, by a linear
        program, and never below zero.
    upper : array, shape (state,)
        No policy guarantees more: the gain of the tilt of ``reward``, which is within the bounds (to 1e-8). ``upper -
        lower`` is what optimisation left: a better policy may exist by that much.
    reward : array, shape (state, item)
        Least favourable averaged reward that was found, centred, log-odds.
    sharp : bool array, shape (state,)
        ``upper - lower`` is at most 1e-5 log-odds. Where it is not, the optimiser stopped early: ``lower`` still holds
        for ``policy``, but neither is the best one.
    """

    policy: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    reward: NDArray[np.float64]
    sharp: NDArray[np.bool_]


def robust_policy(
    lower: Float[np.ndarray, "state type item item_other"],
    type_share: Float[np.ndarray, "state type"],
    reference: Float[np.ndarray, "state item"],
    beta: float,
) -> RobustPolicy:
    """Maximise the lower bound of J over rewards whose differences respect the bounds of each cell.

    Parameters
    ----------
    lower : array, shape (state, type, item, item)
        Least r(a) - r(b) of each type, log-odds, for instance logit p - log Gamma; its upper end is ``-lower[b, a]``.
        Minus infinity where nothing is known of a pair: the pairs that are known must bound every difference.
    type_share : array, shape (state, type)
        p_T(c | x). Cells vary independently within their bounds.
    reference : array, shape (state, item)
        Reference probabilities, all above zero.
    beta : float
        Price of a nat, log-odds, > 0.

    Returns
    -------
    RobustPolicy
        Look at ``sharp``: False where the optimiser left more than 1e-5 log-odds.

    Raises
    ------
    ValueError
        If the bounds leave a difference unbounded (declare a reward range), or shapes disagree.
    InfeasibleRestrictionError
        If no reward keeps a cell's bounds together (Gamma is refuted by the data).

    Examples
    --------
    >>> d = np.log(3.0)  # preferred with probability 3/4: the choice flips at Gamma = 3
    >>> for gamma in (1.0, 2.0, 3.0):
    ...     edge = np.array([[0.0, d - np.log(gamma)], [-d - np.log(gamma), 0.0]])
    ...     print(robust_policy(edge[None, None], [[1.0]], [[0.5, 0.5]], 1.0).policy[0].round(4).tolist())
    [0.75, 0.25]
    [0.6, 0.4]
    [0.5, 0.5]
    """
    low, share = as_float("lower", lower, ndim=4), simplex("type_share", type_share)
    ref, price = simplex("reference", reference), positive("beta", beta)
    n_states, n_types, n = low.shape[:3]
    if share.shape != (n_states, n_types) or ref.shape != (n_states, n) or low.shape[3] != n:
        raise ValueError(f"lower, type_share, reference: got shapes {low.shape}, {share.shape}, {ref.shape}")
    exponential_tilt(np.zeros(ref.shape), ref, price)  # refuses zero reference probabilities
    if np.isnan(low).any() or np.isposinf(low).any():
        raise ValueError("lower: must not hold NaN or plus infinity; an unknown pair is minus infinity")
    done = [_one(low[s], share[s], ref[s], price, s) for s in range(n_states)]  # one convex program a state
    return RobustPolicy(*(np.stack([np.asarray(part) for part in column]) for column in zip(*done, strict=True)))


def _one(
    low: NDArray[np.float64], share: NDArray[np.float64], ref: NDArray[np.float64], beta: float, state: int
) -> tuple[NDArray[np.float64], float, float, NDArray[np.float64], bool]:
    n = len(ref)
    used = np.flatnonzero(share > 0)
    rows = [_difference_rows(low[c], state, int(c)) for c in used]
    start = np.concatenate(
        [_feasible(matrix, bound, state, int(c)) for c, (matrix, bound) in zip(used, rows, strict=True)]
    )

    def gain(r: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        averaged = share[used] @ r.reshape(len(used), n)
        got = exponential_tilt(averaged, ref, beta)
        return float(got.value - ref @ averaged), np.outer(share[used], got.policy - ref).ravel()

    total = np.zeros((sum(len(bound) for _, bound in rows), n * len(used)))
    at = 0
    for k, (matrix, bound) in enumerate(rows):
        total[at : at + len(bound), k * n : (k + 1) * n] = matrix
        at += len(bound)
    bounds = np.concatenate([bound for _, bound in rows])
    found = minimize(
        gain, start, jac=True, method="SLSQP", constraints=[LinearConstraint(total, bounds, np.inf)],
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    # Whatever the optimiser says of itself, only a reward within the bounds caps what policies can guarantee.
    best = found.x if (total @ found.x >= bounds - _WITHIN).all() else start
    averaged = share[used] @ best.reshape(len(used), n)
    policy = exponential_tilt(averaged, ref, beta).policy
    guaranteed = _worst(policy - ref, share[used], rows) - beta * float(rel_entr(policy, ref).sum())
    if guaranteed <= 0.0:  # the reference's own bound
        policy, guaranteed = ref, 0.0
    most = max(gain(best)[0], guaranteed)
    return policy, guaranteed, most, averaged - averaged.mean(), most - guaranteed <= _SHARP


def _difference_rows(
    low: NDArray[np.float64], state: int, kind: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of r_a - r_b >= low[a, b] for known pairs; refuses bounds that leave a difference open."""
    n = len(low)
    known = np.isfinite(low) & ~np.eye(n, dtype=bool)
    closure = known | np.eye(n, dtype=bool)
    for _ in range(max(1, int(np.ceil(np.log2(max(n, 2)))))):
        closure = (closure.astype(np.float32) @ closure.astype(np.float32)) > 0
    if not closure.all():
        a, b = (int(i) for i in np.argwhere(~closure)[0])
        raise ValueError(
            f"lower: state {state}, type {kind} leaves the difference of items {a} and {b} unbounded; declare a range"
        )
    first, second = np.nonzero(known)
    matrix = np.zeros((len(first), n))
    matrix[np.arange(len(first)), first] = 1.0
    matrix[np.arange(len(first)), second] = -1.0
    return matrix, low[first, second]


def _feasible(matrix: NDArray[np.float64], bound: NDArray[np.float64], state: int, kind: int) -> NDArray[np.float64]:
    """Find rewards with the most slack; none at all is an error."""
    n = matrix.shape[1]
    wide = np.hstack([-matrix, np.ones((len(bound), 1))])
    ends = [(0.0, 0.0), *[(None, None)] * (n - 1), (None, 1.0)]
    found = linprog(np.r_[np.zeros(n), -1.0], A_ub=wide, b_ub=-bound, bounds=ends, method="highs")
    if found.status != 0 or found.x is None or found.x[-1] < -1e-9:
        raise InfeasibleRestrictionError((f"lower bounds of state {state}, type {kind} contradict one another",))
    return np.asarray(found.x[:n])


def _worst(
    move: NDArray[np.float64],
    share: NDArray[np.float64],
    rows: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> float:
    """Least mean reward of a move of probability, cells apart."""
    total = 0.0
    for weight, (matrix, bound) in zip(share, rows, strict=True):
        ends = [(0.0, 0.0)] + [(None, None)] * (len(move) - 1)
        slack = bound - 1e-12 * np.maximum(1.0, np.abs(bound))  # a point set must not turn infeasible by rounding
        found = linprog(move, A_ub=-matrix, b_ub=-slack, bounds=ends, method="highs")
        total += float(weight) * float(-np.inf if found.fun is None else found.fun)
    return total
