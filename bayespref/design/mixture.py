"""Optimal mixtures of comparison sources: which shares, at what cost, make the labels inform the worst direction most.

Criteria: E (least eigenvalue), D (log determinant), A (trace of the inverse: N times the mean squared error, so A and
not E is the one to ask for when squared error is the aim). E solves a semidefinite program on a growing set of actions;
D and A need NumPy only. Whatever is returned is judged by `bayespref.design.certificate`.

The matrices depend on feature differences and an estimate of the coefficients, not on labels: take them from unlabelled
candidate pools, which is cheaper and cannot lock in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite, non_negative, one_of
from bayespref.design.columns import Point, first_guess, null_directions, search
from bayespref.design.program import Program, prepare
from bayespref.display import shown


@shown(
    "least informed direction {value} per label; no mix exceeds {upper_bound}",
    next_step="collect in these shares; where a direction is missing, add an action that shows it",
)
class Mixture(NamedTuple):
    """A design and its certificate.

    Attributes
    ----------
    weights : array, shape (A,)
        Shares of accepted labels; under a total budget the (fractional) counts of accepted labels.
    attempts : array, shape (A,)
        Shares of attempts, proportional to weights / acceptance; counts of attempts under a total budget.
    value : float
        Criterion at ``weights``: least eigenvalue over groups (E), log determinant in nats (D), trace of the inverse
        (A); per label, or of the total under a total budget.
    upper_bound : float
        No feasible design has a larger value. For A, which is minimised, no design has a smaller one.
    gap : float
        Distance of value and bound, >= 0 up to rounding: what a better design could gain at most.
    dual : array, shape (d, d), or (G, d, d) for grouped M
        Positive semidefinite W that proves the bound (see `certified_bound`); trace one over groups for E.
    price : float
        What one more unit of cost is worth: of the cap, or of the total budget; 0 if the cap does not bind.
    multiplicity : int
        Eigenvalues tied with the least at the optimum (E): the number of directions the design holds in balance,
        counted over groups within 1e-6 of the largest eigenvalue. 0 for D and A.
    information : array, shape (d, d), or (G, d, d)
        Information of the design.
    cost : float
        Mean cost of an accepted label, or the total cost under a budget; NaN without costs.
    null_basis : array, shape (d, k)
        Directions no allowed action informs (of the first such group); k = 0 if there are none.
    reason : str
        "" or "no_overlap" (weights NaN: every design leaves the null directions at zero information; value 0 for E,
        -inf for D, inf for A), or "not_converged" if the gap exceeds 1e-6 of the value
        (1e-6 nats for D; for E of at least 1e-4 of the largest eigenvalue, near which rounding ends).
    """

    weights: NDArray[np.float64]
    attempts: NDArray[np.float64]
    value: float
    upper_bound: float
    gap: float
    dual: NDArray[np.float64]
    price: float
    multiplicity: int
    information: NDArray[np.float64]
    cost: float
    null_basis: NDArray[np.float64]
    reason: str


def optimal_mixture(
    M: Float[np.ndarray, "*group action d d"],
    *,
    criterion: str = "E",
    cost: ArrayLike | None = None,
    acceptance: ArrayLike | None = None,
    cost_cap: float | None = None,
    floors: ArrayLike | None = None,
    total_budget: float | None = None,
    mask: ArrayLike | None = None,
    label_cost: ArrayLike = 0.0,
) -> Mixture:
    """Find the mixture of actions that makes the information of a fixed number of labels, or of a budget, best.

    The two cost rules are different problems: under ``cost_cap`` the number of labels is fixed and money saved buys no
    more of them; under ``total_budget`` it does.

    Parameters
    ----------
    M : array, shape (A, d, d) or (G, A, d, d)
        Information per label of every action, positive semidefinite. With groups (types, environments) the least
        eigenvalue over all groups is maximised.
    criterion : {"E", "A", "D"}
        Least eigenvalue (maximised), trace of the inverse (minimised), log determinant (maximised).
    cost : array, shape (A,), optional
        Cost of an attempt, any currency.
    acceptance : array, shape (A,), optional
        Share of attempts that yield a label, in (0, 1]; one by default.
    cost_cap : float, optional
        Largest mean cost of an accepted label, where a label costs cost / acceptance + label_cost.
    floors : array, shape (A,), optional
        Least shares of accepted labels (a safe floor); least counts under a total budget.
    total_budget : float, optional
        Largest total cost; ``weights`` are then counts.
    mask : bool array, shape (A,), optional
        Actions that may be used.
    label_cost : float or array, shape (A,)
        Cost of an accepted label beside its attempts.

    Returns
    -------
    Mixture
        The design, its value, a certified bound and the dual that proves it.

    Raises
    ------
    ValueError
        If a matrix is not finite, symmetric and positive semidefinite (below -1e-10 of its norm), floors are negative
        or sum to more than one, the mask is empty, the cap is below the cheapest feasible mix (named in the message),
        or arguments contradict each other.
    ImportError
        If criterion E is asked for without the extra ``bayespref[design]``.

    Notes
    -----
    Semidefinite programs grow with d, not with A: beyond d = 60 use D or A. An optimal design need not be unique; its
    value is. Some optimal design has at most d (d + 1) / 2 actions per group, one more if a cap binds. Source: Kiefer
    (1974), *Annals of Statistics* 2; Pukelsheim (1993), *Optimal Design of Experiments*.

    Examples
    --------
    >>> arms = np.array([np.diag([1.0, 0.0]), np.diag([0.0, 4.0])])
    >>> got = optimal_mixture(arms, criterion="D")
    >>> got.weights.round(6).tolist(), got.gap < 1e-8
    ([0.5, 0.5], True)
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
    null = null_directions(program)
    groups, n_actions, d, _ = program.matrices.shape
    point = None if null.shape[1] else search(program, criterion, first_guess(program, criterion))
    if point is None:
        nothing, lost = np.full(n_actions, np.nan), np.full((groups, d, d), np.nan)
        lost = lost if program.grouped else lost[0]
        if null.shape[1]:
            value = {"E": 0.0, "D": -np.inf, "A": np.inf}[criterion]
            return Mixture(nothing, nothing, value, value, 0.0, lost, 0.0, 0, lost, np.nan, null, "no_overlap")
        value, bound = {"E": (0.0, np.inf), "D": (-np.inf, np.inf), "A": (np.inf, 0.0)}[criterion]
        return Mixture(nothing, nothing, value, bound, np.inf, lost, 0.0, 0, lost, np.nan, null, "not_converged")
    return _result(program, criterion, point, null)


def _result(program: Program, criterion: str, point: Point, null: NDArray[np.float64]) -> Mixture:
    weights = point.p * program.unit
    attempts = weights / program.acceptance
    information = program.information(point.p)
    values = np.linalg.eigvalsh(information)
    tied = int((values - values.min() <= 1e-6 * values.max()).sum()) if criterion == "E" else 0
    gap = point.value - point.bound if criterion == "A" else point.bound - point.value
    # The relative scale of a gap in nats is one.
    scale = {"E": max(abs(point.value), 1e-4 * float(values.max())), "D": 1.0, "A": abs(point.value)}[criterion]
    price = point.price
    if program.counted:
        per_cost = point.q[program.allowed] / (program.unit * program.label_cost)[program.allowed]
        price = float(per_cost.max())
    return Mixture(
        weights,
        attempts if program.counted else attempts / attempts.sum(),
        point.value,
        point.bound,
        gap,
        point.dual if program.grouped else point.dual[0],
        price,
        tied,
        information if program.grouped else information[0],
        float(program.label_cost[weights > 0] @ weights[weights > 0]),
        null,
        "" if gap <= 1e-6 * scale else "not_converged",
    )


def confidence_mixture(
    M: Float[np.ndarray, "action d d"],
    radius: Float[np.ndarray, " action"],
    *,
    optimism: str = "ucb",
    cost: ArrayLike | None = None,
    acceptance: ArrayLike | None = None,
    cost_cap: float | None = None,
    floors: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> Mixture:
    """Maximise the upper ("ucb") or lower ("lcb") confidence bound of the least eigenvalue of an uncertain mixture.

    The upper bound, lambda_min(sum p_a M_a) + radius'p, is the optimistic one: it sends labels to actions that are
    little known. The lower bound, with - radius'p, is pessimism whatever its name elsewhere: it avoids unseen actions
    and locks in. It is the exact worst case over spectral balls of the given radii while every M_a - radius_a I stays
    semidefinite, and below it otherwise.

    Parameters
    ----------
    M : array, shape (A, d, d)
        Estimated information per label.
    radius : array, shape (A,)
        Spectral error of each estimate, >= 0.
    optimism : {"ucb", "lcb"}
        Which bound to maximise.
    cost, acceptance, cost_cap, floors, mask
        As in `optimal_mixture`.

    Returns
    -------
    Mixture
        ``value`` and ``upper_bound`` are of the confidence bound; ``information`` is of the estimates, and
        ``multiplicity`` counts its tied eigenvalues.

    Raises
    ------
    ValueError
        If a radius is negative or not finite, or an argument breaks a rule of `optimal_mixture`.
    ImportError
        Without the extra ``bayespref[design]``.

    Examples
    --------
    >>> arms, radius = np.array([np.eye(1), 2 * np.eye(1)]), np.array([1.5, 0.1])
    >>> [confidence_mixture(arms, radius, optimism=o).weights.round(4).tolist() for o in ("ucb", "lcb")]
    [[1.0, 0.0], [0.0, 1.0]]
    """
    one_of("optimism", optimism, ("ucb", "lcb"))
    program = prepare(M, cost=cost, acceptance=acceptance, cost_cap=cost_cap, floors=floors, mask=mask)
    n_actions, d = program.matrices.shape[1:3]
    spread = non_negative("radius", finite("radius", radius))
    if program.grouped or spread.shape != (n_actions,):
        raise ValueError(f"radius: must have shape ({n_actions},) for M of shape (A, d, d), got {spread.shape}")
    sign = 1.0 if optimism == "ucb" else -1.0
    shifted = program._replace(matrices=program.matrices + sign * spread[:, None, None] * np.eye(d))
    guess = np.zeros(n_actions)
    guess[program.allowed] = 1.0 / len(program.allowed)
    point = search(shifted, "E", guess)
    if point is None:
        nothing, lost = np.full(n_actions, np.nan), np.full((d, d), np.nan)
        empty = np.zeros((d, 0))
        return Mixture(nothing, nothing, -np.inf, np.inf, np.inf, lost, 0.0, 0, lost, np.nan, empty, "not_converged")
    return _result(program, "E", point, np.zeros((d, 0)))
