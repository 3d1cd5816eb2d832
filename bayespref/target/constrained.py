"""Policies by prompt and type under constraints that hold on average over the whole target.

A policy that sees the type tilts each cell by its own reward. A global budget of KL, or of some cost of a completion,
ties the cells together by one price each: the solution is still a tilt, of ``reward - price * cost`` at
``beta + price of KL``. The prices minimise a convex dual function of a few numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize

from bayespref.checks import finite, non_negative, positive, simplex
from bayespref.display import shown
from bayespref.target.tilt import exponential_tilt

_VIOLATION = 1e-6


@shown("value {value}, at most {bound}", next_step="read the prices: what one more nat or unit of cost would buy")
class ConstrainedTilt(NamedTuple):
    """Best policy under global constraints.

    Attributes
    ----------
    policy : array, shape (cell, item)
        Probabilities.
    value : float
        J: mean reward minus beta KL over the target, log-odds.
    bound : float
        Dual value: no policy that keeps the constraints exceeds it.
    kl : float
        KL spent on average, nats.
    cost : array, shape (cost,)
        Mean of each cost.
    kl_price : float
        What the KL budget adds to beta; 0 where the budget does not bind.
    cost_price : array, shape (cost,)
        Log-odds of reward per unit of cost; 0 where the limit does not bind.
    gain_per_nat : float
        Reward gained over the reference per nat; NaN where no KL is spent.
    """

    policy: NDArray[np.float64]
    value: float
    bound: float
    kl: float
    cost: NDArray[np.float64]
    kl_price: float
    cost_price: NDArray[np.float64]
    gain_per_nat: float


def constrained_tilt(
    reward: Float[np.ndarray, "cell item"],
    reference: Float[np.ndarray, "cell item"],
    beta: float,
    share: Float[np.ndarray, " cell"],
    *,
    kl_budget: float = np.inf,
    cost: Float[np.ndarray, "cost cell item"] | None = None,
    cost_limit: Float[np.ndarray, " cost"] | None = None,
) -> ConstrainedTilt:
    """Maximise mean reward minus beta KL subject to a KL budget and to limits on mean costs.

    Parameters
    ----------
    reward : array, shape (cell, item)
        Rewards of each (prompt, type) cell, log-odds; each type's own, not averaged.
    reference : array, shape (cell, item)
        Reference probabilities, all above zero.
    beta : float
        Price of a nat, log-odds, > 0.
    share : array, shape (cell,)
        p_T(x, c), summing to one.
    kl_budget : float
        Most KL on average over the target, nats, > 0.
    cost : array, shape (cost, cell, item), optional
        Costs of completions, any unit.
    cost_limit : array, shape (cost,), optional
        Most of each on average.

    Returns
    -------
    ConstrainedTilt

    Raises
    ------
    ValueError
        If no policy near the reference keeps the limits, only one of ``cost`` and ``cost_limit`` is given, or a value
        is out of range.

    Examples
    --------
    >>> free = constrained_tilt([[1.0, 0.0], [-6.0, 0.0]], np.full((2, 2), 0.5), 1.0, [0.8, 0.2])
    >>> tight = constrained_tilt([[1.0, 0.0], [-6.0, 0.0]], np.full((2, 2), 0.5), 1.0, [0.8, 0.2], kl_budget=0.05)
    >>> round(free.kl, 4), round(tight.kl, 4), tight.value < free.value
    (0.2239, 0.05, True)
    """
    values, ref, mass = finite("reward", reward), np.asarray(reference, dtype=np.float64), simplex("share", share)
    price, budget = positive("beta", beta), float(non_negative("kl_budget", kl_budget))
    if (cost is None) != (cost_limit is None):
        raise ValueError("cost, cost_limit: give both or neither")
    costs = np.zeros((0, *values.shape)) if cost is None else finite("cost", cost)
    limits = np.zeros(0) if cost_limit is None else finite("cost_limit", cost_limit)
    if costs.shape != (len(limits), *values.shape) or budget <= 0:
        raise ValueError(
            f"cost, cost_limit, kl_budget: need costs of shape (cost, cell, item), one limit a "
            f"cost and a budget above zero; got {costs.shape}, {limits.shape}, {budget:g}"
        )
    bounded = np.isfinite(budget)

    def parts(prices: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        got = exponential_tilt(values - np.tensordot(prices[1:], costs, 1), ref, price + float(prices[0]))
        slack = limits - (mass[:, None] * got.policy * costs).sum(axis=(1, 2))
        kl_slack = budget - float(mass @ got.kl) if bounded else 0.0
        value = float(mass @ got.value) + (float(prices[0]) * budget if bounded else 0.0) + float(prices[1:] @ limits)
        return value, np.concatenate([[kl_slack], slack]), got.policy

    start = np.zeros(1 + len(limits))
    ends = [(0.0, None if bounded else 0.0)] + [(0.0, None)] * len(limits)

    def dual(prices: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        return parts(prices)[:2]

    strict: Any = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 500}
    found = minimize(dual, start, jac=True, bounds=ends, method="L-BFGS-B", options=strict)
    bound, slack, policy = parts(found.x)
    scale = np.concatenate([[max(budget, 1e-3) if bounded else 1.0], np.maximum(np.abs(costs).max(axis=(1, 2)), 1e-9)])
    broken = slack < -_VIOLATION * scale
    if broken.any():
        what = ["kl_budget", *[f"cost_limit[{k}]" for k in range(len(limits))]]
        raise ValueError(
            f"{[name for name, bad in zip(what, broken, strict=True) if bad]}: no policy keeps the limits (short by "
            f"{np.round(-slack[broken], 6).tolist()})"
        )
    own = exponential_tilt(values - np.tensordot(found.x[1:], costs, 1), ref, price + float(found.x[0]))
    kl = float(mass @ own.kl)
    gain = float((mass[:, None] * (policy - ref) * values).sum())
    mean = float((mass[:, None] * policy * values).sum())
    return ConstrainedTilt(
        policy,
        mean - price * kl,
        bound,
        kl,
        (mass[:, None] * policy * costs).sum(axis=(1, 2)),
        float(found.x[0]),
        found.x[1:],
        gain / kl if kl > 1e-15 else np.nan,
    )
