"""Multiplicative updates for D- and A-optimal mixtures: no solver, a monotone criterion, a certificate at every step.

D: p_a <- p_a tr(I^-1 M_a) / d. A: p_a <- p_a sqrt(tr(I^-1 M_a I^-1)), renormalised. Source: Silvey, Titterington and
Torsney (1978), *Communications in Statistics A* 7; Yu (2010), *Annals of Statistics* 38, for monotonicity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import one_of
from bayespref.design.program import prepare
from bayespref.display import shown


@shown(
    "value {value}, no mix exceeds {upper_bound}, after {steps} steps",
    next_step="use the weights if the gap is small",
)
class Iterate(NamedTuple):
    """Where the updates stopped.

    Attributes
    ----------
    weights : array, shape (A,)
        Mixture weights; NaN if the sum of the matrices is singular.
    value, upper_bound, gap : float
        Criterion, a bound no mixture beats, and their distance (as in `optimal_mixture`).
    steps : int
        Updates made.
    reason : str
        "" if the relative gap reached the tolerance, "not_converged", or "no_overlap" if the sum is singular.
    """

    weights: NDArray[np.float64]
    value: float
    upper_bound: float
    gap: float
    steps: int
    reason: str


def d_steps(flat: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Weights after some D updates from the uniform mixture; several groups share the sum of their log determinants."""
    groups, n_actions, size = flat.shape
    d = round(size**0.5)
    p = np.full(n_actions, 1.0 / n_actions)
    for _ in range(steps):
        inverse = np.linalg.inv((p @ flat).reshape(groups, d, d))
        p = p * sum(flat[g] @ inverse[g].ravel() for g in range(groups)) / (d * groups)
        p /= p.sum()
    return p


def a_steps(flat: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Weights after some A updates from the uniform mixture, matrices as rows (A, d * d)."""
    n_actions, size = flat.shape
    d = round(size**0.5)
    p = np.full(n_actions, 1.0 / n_actions)
    for _ in range(steps):
        inverse = np.linalg.inv((p @ flat).reshape(d, d))
        p = p * np.sqrt(np.maximum(flat @ (inverse @ inverse).ravel(), 0.0))
        p /= p.sum()
    return p


def multiplicative(
    M: Float[np.ndarray, "action d d"],
    *,
    criterion: str = "D",
    max_steps: int = 10_000,
    tolerance: float = 1e-3,
    mask: ArrayLike | None = None,
) -> Iterate:
    """D- or A-optimal mixture by multiplicative updates, without costs or floors.

    Parameters
    ----------
    M : array, shape (A, d, d)
        Information per label of every action, positive semidefinite.
    criterion : {"D", "A"}
        Log determinant (nats, maximised) or trace of the inverse (minimised).
    max_steps : int
        Updates at most. Convergence is sublinear: `optimal_mixture` ends with Newton steps instead.
    tolerance : float
        Relative violation of the optimality condition at which to stop: the D gap is then at most d log(1 + tolerance).
    mask : bool array, shape (A,), optional
        Actions that may be used.

    Returns
    -------
    Iterate

    Raises
    ------
    ValueError
        As `optimal_mixture`.

    Examples
    --------
    >>> arms = np.array([np.diag([1.0, 0.0]), np.diag([0.0, 4.0])])
    >>> multiplicative(arms, criterion="A").weights.round(4).tolist()
    [0.6667, 0.3333]
    """
    one_of("criterion", criterion, ("D", "A"))
    program = prepare(M, criterion=criterion, mask=mask)
    flat, d = program.flat[0][program.allowed], program.matrices.shape[-1]
    p = np.full(len(flat), 1.0 / len(flat))
    values = np.linalg.eigvalsh((p @ flat).reshape(d, d))
    weights = np.full(program.matrices.shape[1], np.nan)
    if values[0] <= 1e-12 * values[-1]:
        worst = -np.inf if criterion == "D" else np.inf
        return Iterate(weights, worst, worst, 0.0, 0, "no_overlap")
    step, value, bound, reason = 0, np.nan, np.nan, "not_converged"
    for step in range(max_steps + 1):
        information = (p @ flat).reshape(d, d)
        inverse = np.linalg.inv(information)
        if criterion == "D":
            q = flat @ inverse.ravel()
            value, excess = np.linalg.slogdet(information)[1], q.max() / d
            bound = value + d * np.log(excess)
        else:
            q = flat @ (inverse @ inverse).ravel()
            value = np.trace(inverse)
            excess = q.max() / value
            bound = value / excess
        if excess <= 1 + tolerance:
            reason = ""
        if not reason or step == max_steps:
            break
        p = p * (q / d if criterion == "D" else np.sqrt(np.maximum(q, 0.0)))
        p /= p.sum()
    weights[:] = 0.0
    weights[program.allowed] = p
    return Iterate(weights, float(value), float(bound), abs(float(bound - value)), step, reason)
