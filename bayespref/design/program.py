"""The design problem in one form: checked arguments, floors taken out, a total budget turned into shares of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, between, finite, non_negative, one_of
from bayespref.information import check_symmetric

CRITERIA = ("E", "A", "D")


class Program(NamedTuple):
    """Choose p >= floors, sum p = 1, cost'p <= cap, to make sum p_a M_a large in every group.

    Under a total budget B the unknowns are the shares of the budget: p_a = c_a n_a / B with matrices B M_a / c_a, so
    both problems read the same from here on.

    Attributes
    ----------
    matrices : array, shape (G, A, d, d)
        Information per unit of p.
    allowed : integer array, shape (K,)
        Actions that may have positive weight in some feasible design.
    floors : array, shape (A,)
        Least p.
    cost : array, shape (A,)
        Cost per unit of p; zeros without a cap.
    cap : float
        Infinite without a cap.
    unit : array, shape (A,)
        Weight (or count) of an action per unit of p.
    label_cost : array, shape (A,)
        Effective cost of an accepted label; NaN if no cost was given.
    acceptance : array, shape (A,)
        Share of attempts that become labels.
    grouped, counted : bool
        Whether M had a group axis, and whether the result is counts under a total budget.
    """

    matrices: NDArray[np.float64]
    allowed: NDArray[np.intp]
    floors: NDArray[np.float64]
    cost: NDArray[np.float64]
    cap: float
    unit: NDArray[np.float64]
    label_cost: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    grouped: bool
    counted: bool

    @property
    def free(self) -> float:
        """Mass that the floors leave to choose."""
        return max(0.0, 1.0 - float(self.floors.sum()))

    @property
    def flat(self) -> NDArray[np.float64]:
        """Matrices as rows, shape (G, A, d * d)."""
        groups, actions, d, _ = self.matrices.shape
        return self.matrices.reshape(groups, actions, d * d)

    def information(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Information of every group under p, shape (G, d, d)."""
        d = self.matrices.shape[-1]
        return np.asarray(p @ self.flat).reshape(-1, d, d)


def _per_action(name: str, values: ArrayLike, n_actions: int) -> NDArray[np.float64]:
    array = as_float(name, values)
    if array.ndim and array.shape != (n_actions,):
        raise ValueError(f"{name}: must be one number or have shape ({n_actions},), got {array.shape}")
    return np.broadcast_to(array, (n_actions,)).astype(np.float64)


def effective_cost(
    cost: ArrayLike, acceptance: ArrayLike | None, label_cost: ArrayLike, n_actions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cost per accepted label, cost / acceptance + label_cost, and the acceptance, each of shape (A,)."""
    attempt = non_negative("cost", finite("cost", _per_action("cost", cost, n_actions)))
    after = non_negative("label_cost", finite("label_cost", _per_action("label_cost", label_cost, n_actions)))
    share = _per_action("acceptance", 1.0 if acceptance is None else acceptance, n_actions)
    between("acceptance", share, 0.0, 1.0)
    if (share == 0).any():
        raise ValueError(
            f"acceptance: must be > 0 (mask an action that never yields a label); zero at "
            f"{np.flatnonzero(share == 0)[:5].tolist()}"
        )
    return attempt / share + after, share


def _allowed(mask: ArrayLike | None, floors: NDArray[np.float64]) -> NDArray[np.intp]:
    if mask is None:
        return np.arange(len(floors))
    chosen = np.asarray(mask)
    if chosen.dtype != np.bool_ or chosen.shape != floors.shape:
        raise ValueError(f"mask: must be booleans of shape {floors.shape}, got {chosen.dtype} {chosen.shape}")
    if not chosen.any():
        raise ValueError("mask: must allow at least one action, all are masked")
    if (floors[~chosen] > 0).any():
        raise ValueError(f"floors: positive on masked actions {np.flatnonzero(~chosen & (floors > 0))[:5].tolist()}")
    return np.flatnonzero(chosen)


def prepare(
    M: ArrayLike,
    *,
    criterion: str = "E",
    cost: ArrayLike | None = None,
    acceptance: ArrayLike | None = None,
    cost_cap: float | None = None,
    floors: ArrayLike | None = None,
    total_budget: float | None = None,
    mask: ArrayLike | None = None,
    label_cost: ArrayLike = 0.0,
) -> Program:
    """Check the arguments of a mixture design and bring them to one form.

    Raises
    ------
    ValueError
        If a matrix is not finite, symmetric and positive semidefinite; floors are negative, masked or sum to more than
        one; the mask is empty; the cap is below the cheapest feasible mix (the message names that); cap and budget are
        given together, or without costs; or groups come with a criterion other than E.

    Examples
    --------
    >>> prepare(np.eye(2)[None], cost=[2.0], acceptance=[0.5], total_budget=8.0).unit.tolist()
    [2.0]
    """
    one_of("criterion", criterion, CRITERIA)
    matrices = as_float("M", M)
    if matrices.ndim not in (3, 4):
        raise ValueError(f"M: must have shape (A, d, d) or (G, A, d, d), got {matrices.shape}")
    if not matrices.size:
        raise ValueError(f"M: needs at least one action, group and feature, got shape {matrices.shape}")
    grouped = matrices.ndim == 4
    if grouped and criterion != "E":
        raise ValueError(f"criterion: groups are minimax over least eigenvalues, criterion 'E' only, got {criterion!r}")
    matrices = check_symmetric("M", matrices)
    matrices = matrices if grouped else matrices[None]
    n_actions = matrices.shape[1]
    least = non_negative(
        "floors", finite("floors", _per_action("floors", 0.0 if floors is None else floors, n_actions))
    )
    allowed = _allowed(mask, least)
    if cost is None and (cost_cap is not None or total_budget is not None):
        raise ValueError("cost: needed with cost_cap or total_budget, got None")
    if cost_cap is not None and total_budget is not None:
        raise ValueError("cost_cap: fixes the mean cost of a label, total_budget the sum; give one of them")
    per_label, share = effective_cost(0.0 if cost is None else cost, acceptance, label_cost, n_actions)
    shown = np.full(n_actions, np.nan) if cost is None else per_label
    zeros, ones = np.zeros(n_actions), np.ones(n_actions)
    if total_budget is not None:
        budget = float(finite("total_budget", total_budget))
        if not budget > 0:
            raise ValueError(f"total_budget: must be > 0, got {budget!r}")
        if (per_label[allowed] <= 0).any():
            free = allowed[per_label[allowed] <= 0][:5].tolist()
            raise ValueError(
                f"cost: must be > 0 under a total budget (a free action has no best count); zero at {free}"
            )
        unit = np.where(per_label > 0, budget / np.where(per_label > 0, per_label, 1.0), 0.0)
        spent = float(per_label @ least)
        if spent > budget * (1 + 1e-12):
            raise ValueError(f"total_budget: {budget:g} does not pay for the floors, which cost {spent:.10g}")
        used = np.where(unit > 0, least / np.where(unit > 0, unit, 1.0), 0.0)
        scaled = matrices * unit[:, None, None]
        return Program(scaled, allowed, used, zeros, np.inf, unit, shown, share, grouped, True)
    if least.sum() > 1 + 1e-12:
        raise ValueError(f"floors: must sum to at most one, got {least.sum():.10g}")
    if cost_cap is None:
        return Program(matrices, allowed, least, zeros, np.inf, ones, shown, share, grouped, False)
    cap = float(finite("cost_cap", cost_cap))
    cheapest = float(per_label[allowed].min())
    minimum = float(per_label @ least) + max(0.0, 1.0 - float(least.sum())) * cheapest
    if cap < minimum * (1 - 1e-12):
        raise ValueError(f"cost_cap: {cap:g} is infeasible, the cheapest mix with these floors costs {minimum:.10g}")
    if cap <= minimum * (1 + 1e-9):  # only the cheapest actions are within reach
        allowed = allowed[per_label[allowed] <= cheapest * (1 + 1e-12)]
        return Program(matrices, allowed, least, zeros, np.inf, ones, shown, share, grouped, False)
    return Program(matrices, allowed, least, per_label, cap, ones, shown, share, grouped, False)
