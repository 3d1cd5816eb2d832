"""Bounds no design can beat, recomputed from any dual matrix: nothing a solver says about itself is believed.

For W >= 0 and a price eta >= 0 let q_a = sum_g tr(W_g M_a^g). Every feasible p has

    sum_a p_a q_a  <=  L = (1 - sum floors) max_a (q_a - eta c_a) + eta cap + sum_a floors_a (q_a - eta c_a),

and with it (scales of W chosen best)

    E:  lambda_min <= L / sum_g tr W_g
    D:  log det    <= d log(L / d) - log det W
    A:  tr I^-1    >= (tr W^1/2)^2 / L.

Equality at the optimum, with W the projector mix of the tied worst directions, I^-1, and I^-2. Source: equivalence
theorems of Kiefer (1974), *Annals of Statistics* 2; Pukelsheim (1993), *Optimal Design of Experiments*, chapters 4, 7.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite
from bayespref.design.program import Program, prepare


def project(W: Float[np.ndarray, "*lead d d"]) -> Float[np.ndarray, "*lead d d"]:
    """Nearest positive semidefinite matrices (negative eigenvalues of the symmetric part set to zero).

    Examples
    --------
    >>> project(np.diag([1.0, -0.1])).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    symmetric = (W + np.swapaxes(W, -1, -2)) / 2
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray((vectors * np.maximum(values, 0.0)[..., None, :]) @ np.swapaxes(vectors, -1, -2))


def loads(program: Program, dual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loads q_a = sum over groups of tr(W_g M_a^g), shape (A,)."""
    groups = len(dual)
    return np.asarray(sum(program.flat[g] @ dual[g].ravel() for g in range(groups)), dtype=np.float64)


def linear_bound(program: Program, q: NDArray[np.float64], price: float) -> float:
    """Bound sum p_a q_a over feasible p from the price of the cap (the L of the module's text)."""
    paid = q - price * program.cost
    credit = price * program.cap if np.isfinite(program.cap) else 0.0
    return float(program.free * paid[program.allowed].max() + credit + program.floors @ paid)


def best_price(program: Program, q: NDArray[np.float64], actions: NDArray[np.intp] | None = None) -> float:
    """Price of the cap that makes `linear_bound` over the given actions (all allowed ones) least; 0 without a cap.

    The bound is a maximum of lines in the price, one an action; the search walks from the crossing of the two outer
    lines to the next (finite, since every step meets a new line).
    """
    if not np.isfinite(program.cap) or program.free == 0.0:
        return 0.0
    chosen = program.allowed if actions is None else actions
    gain, cost = q[chosen], program.cost[chosen]
    room = (program.cap - float(program.floors @ program.cost)) / program.free
    best = gain.max()
    dear = int(np.flatnonzero(gain == best)[cost[gain == best].argmin()])
    if cost[dear] <= room:
        return 0.0
    cheap = int(np.flatnonzero(cost == cost.min())[gain[cost == cost.min()].argmax()])
    price = 0.0
    for _ in range(len(gain) + 2):
        price = (gain[dear] - gain[cheap]) / (cost[dear] - cost[cheap])
        paid = gain - price * cost
        top = int(paid.argmax())
        if paid[top] <= paid[dear] + 1e-14 * (abs(paid[dear]) + price * cost[dear]):
            break
        if cost[top] > room:
            dear = top
        else:
            cheap = top
    return max(float(price), 0.0)


def criterion_bound(criterion: str, dual: NDArray[np.float64], limit: float) -> float:
    """The bound on the criterion from W (G, d, d), already semidefinite, and L; trivial where W says nothing."""
    if criterion == "E":
        trace = float(np.trace(dual, axis1=-2, axis2=-1).sum())
        return limit / trace if trace > 0 else np.inf
    values = np.linalg.eigvalsh(dual[0])
    d = len(values)
    if criterion == "D":
        return float(d * np.log(limit / d) - np.log(values).sum()) if values[0] > 0 and limit > 0 else np.inf
    return float(np.sqrt(np.maximum(values, 0.0)).sum() ** 2 / limit) if limit > 0 else 0.0


def criterion_value(criterion: str, information: NDArray[np.float64]) -> float:
    """Least eigenvalue over groups (E), log determinant in nats (D) or trace of the inverse (A) of (G, d, d)."""
    values = np.linalg.eigvalsh(information)
    if criterion == "E":
        return float(values[:, 0].min())
    least = values[0]
    if least[0] <= 1e-14 * least[-1]:
        return -np.inf if criterion == "D" else np.inf
    return float(np.log(least).sum() if criterion == "D" else (1.0 / least).sum())


def certified_bound(
    M: ArrayLike,
    dual: ArrayLike,
    price: float = 0.0,
    *,
    criterion: str = "E",
    cost: ArrayLike | None = None,
    acceptance: ArrayLike | None = None,
    cost_cap: float | None = None,
    floors: ArrayLike | None = None,
    total_budget: float | None = None,
    mask: ArrayLike | None = None,
    label_cost: ArrayLike = 0.0,
) -> float:
    """Recompute the bound of a design from its dual matrix and price alone.

    Parameters
    ----------
    M, criterion, cost, acceptance, cost_cap, floors, total_budget, mask, label_cost
        The problem, as in `optimal_mixture`.
    dual : array, shape (d, d) or (G, d, d)
        Any symmetric matrices; their positive semidefinite part is used.
    price : float
        Price of the cost cap, >= 0, in the units of ``dual``; under a total budget it is recomputed.

    Returns
    -------
    float
        No feasible design has a larger value (E, D), or a smaller one (A).

    Raises
    ------
    ValueError
        If the price is negative, the dual has the wrong shape, or the problem breaks a rule of `optimal_mixture`.

    Examples
    --------
    >>> arms = np.array([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])])
    >>> certified_bound(arms, np.eye(2))
    0.5
    """
    program = prepare(
        M,
        criterion=criterion,
        cost=cost,
        acceptance=acceptance,
        cost_cap=cost_cap,
        floors=floors,
        total_budget=total_budget,
        mask=mask,
        label_cost=label_cost,
    )
    groups, _, d, _ = program.matrices.shape
    weights = finite("dual", dual)
    weights = weights if program.grouped else weights[None]
    if weights.shape != (groups, d, d):
        raise ValueError(f"dual: must have shape {(groups, d, d) if program.grouped else (d, d)}, got {weights.shape}")
    paid = float(finite("price", price))
    if paid < 0:
        raise ValueError(f"price: must be >= 0, got {paid!r}")
    weights = project(weights)
    q = loads(program, weights)
    return criterion_bound(criterion, weights, linear_bound(program, q, paid if np.isfinite(program.cap) else 0.0))
