"""Which comparisons to buy, bucket by bucket, so that every bucket reaches the information it needs at least cost.

Bucket k holds total information C_k (labels times information per label) and needs C_k + sum_a n_ka M_ka >= tau_k I.
If the money does not suffice, coverage is bought where it counts most: maximise sum_k h_k y_k with 0 <= y_k <= 1 and
C_k + sum_a n_ka M_ka >= y_k tau_k I under the budget. Both come with a bound recomputed from the duals (weak duality of
semidefinite programs).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, finite, non_negative
from bayespref.design.certificate import project
from bayespref.design.program import effective_cost
from bayespref.design.solver import load_cvxpy, solve
from bayespref.display import shown
from bayespref.information import check_symmetric


@shown("every target met: {met}; cost {cost}", next_step="collect the counts; re-plan once the labels are in")
class Plan(NamedTuple):
    """What to collect.

    Attributes
    ----------
    counts, attempts : array, shape (K, A)
        Accepted labels to collect (fractional) and the attempts they take; NaN where no purchase reaches the target.
    cost : float
        Total cost; infinite if some bucket cannot reach its target and no budget was given.
    reached : array, shape (K,)
        Share of the target reached, min(1, lambda_min / tau), recomputed from the counts.
    lambda_min : array, shape (K,)
        Least eigenvalue of the total information after the plan.
    missing : array, shape (K, d)
        Unit direction that is then least informed.
    met : bool
        Whether every bucket reaches its target (to a millionth).
    objective : float
        The cost (without, or within, the budget) or the coverage sum of h_k y_k when the budget binds.
    bound : float
        Certified: no plan costs less, or covers more.
    gap : float
        Distance of objective and bound.
    reason : str array, shape (K,)
        ``"no_overlap"`` where a direction below the target is informed by no action, ``""`` elsewhere.
    """

    counts: NDArray[np.float64]
    attempts: NDArray[np.float64]
    cost: float
    reached: NDArray[np.float64]
    lambda_min: NDArray[np.float64]
    missing: NDArray[np.float64]
    met: bool
    objective: float
    bound: float
    gap: float
    reason: NDArray[np.str_]


class _Buckets(NamedTuple):
    """Checked problem; arrays over (K, A)."""

    matrices: NDArray[np.float64]
    held: NDArray[np.float64]
    target: NDArray[np.float64]
    cost: NDArray[np.float64]
    share: NDArray[np.float64]
    floors: NDArray[np.float64]

    @property
    def base(self) -> NDArray[np.float64]:
        return np.asarray(self.held + np.einsum("ka,kaij->kij", self.floors, self.matrices))


def _check(
    M: ArrayLike,
    current: ArrayLike,
    threshold: ArrayLike,
    cost: ArrayLike,
    acceptance: ArrayLike | None,
    label_cost: ArrayLike,
    floors: ArrayLike | None,
) -> _Buckets:
    held = check_symmetric("current", as_float("current", current, ndim=3))
    n_buckets, d = held.shape[:2]
    matrices = as_float("M", M)
    if matrices.ndim not in (3, 4) or matrices.shape[-2:] != (d, d) or not matrices.shape[-3]:
        raise ValueError(f"M: must have shape (A, {d}, {d}) or (K, A, {d}, {d}), got {matrices.shape}")
    if matrices.ndim == 4 and len(matrices) != n_buckets:
        raise ValueError(f"M: must have {n_buckets} buckets as current has, got {len(matrices)}")
    matrices = np.broadcast_to(check_symmetric("M", matrices), (n_buckets, matrices.shape[-3], d, d))
    shape = matrices.shape[:2]

    def spread(name: str, values: ArrayLike, to: tuple[int, ...]) -> NDArray[np.float64]:
        array = as_float(name, values)
        if array.shape not in ((), to, to[-1:]):
            raise ValueError(f"{name}: must be one number or have shape {to[-1:]} or {to}, got {array.shape}")
        return np.broadcast_to(array, to)

    target = non_negative("threshold", finite("threshold", spread("threshold", threshold, (n_buckets,))))
    parts = (
        spread("cost", cost, shape).ravel(),
        spread("acceptance", 1.0 if acceptance is None else acceptance, shape).ravel(),
        spread("label_cost", label_cost, shape).ravel(),
    )
    price, share = effective_cost(*parts, matrices.shape[0] * matrices.shape[1])
    if (price <= 0).any():
        raise ValueError("cost: must be > 0, a free action has no best count")
    least = non_negative("floors", finite("floors", spread("floors", 0.0 if floors is None else floors, shape)))
    return _Buckets(matrices, held, target, price.reshape(shape), share.reshape(shape), least)


def _reachable(problem: _Buckets) -> NDArray[np.bool_]:
    """Whether enough purchases lift every direction of a bucket to its target."""
    total = problem.matrices.sum(axis=1)
    values, vectors = np.linalg.eigh(total)
    out = np.ones(len(total), dtype=bool)
    for k in range(len(total)):
        null = vectors[k][:, values[k] <= 1e-12 * max(values[k][-1], 1e-300)]
        if null.shape[1]:
            held = np.linalg.eigvalsh(null.T @ problem.base[k] @ null)[0]
            # A held direction that no action moves can still meet its target, but only with nothing borrowed from it.
            out[k] = held > problem.target[k] * (1 - 1e-12)
    return out


def _limits(problem: _Buckets, buckets: NDArray[np.intp]) -> NDArray[np.float64]:
    """Units of the counts per bucket: what brings the program's numbers near one."""
    size = np.abs(problem.matrices[buckets]).max(axis=(1, 2, 3))
    return np.asarray(np.maximum(problem.target[buckets], 1e-300) / np.maximum(size, 1e-300))


def _rows(problem: _Buckets, k: int, n: Any, unit: float) -> Any:
    """base_k + sum n M in units of the target, as a CVXPY expression."""
    cvxpy = load_cvxpy()
    d = problem.held.shape[-1]
    flat = problem.matrices[k].reshape(-1, d * d).T * (unit / problem.target[k])
    return cvxpy.reshape(flat @ n, (d, d), order="C") + problem.base[k] / problem.target[k]


def _cheapest(problem: _Buckets, k: int) -> tuple[NDArray[np.float64], float]:
    """Counts above the floors that lift bucket k to its target, and a certified least cost of them."""
    cvxpy = load_cvxpy()
    d, n_actions = problem.held.shape[-1], problem.cost.shape[1]
    if problem.target[k] == 0 or np.linalg.eigvalsh(problem.base[k])[0] >= problem.target[k]:
        return np.zeros(n_actions), 0.0
    unit = float(_limits(problem, np.array([k]))[0])
    dear = float(problem.cost[k].max())
    n = cvxpy.Variable(n_actions, nonneg=True)
    rule = _rows(problem, k, n, unit) - np.eye(d) >> 0
    if not solve(cvxpy.Problem(cvxpy.Minimize((problem.cost[k] / dear) @ n), [rule])):
        return np.full(n_actions, np.nan), 0.0
    dual = project(np.asarray(rule.dual_value))
    load = np.einsum("ij,aij->a", dual, problem.matrices[k])
    top = float((load / problem.cost[k]).max())
    short = problem.target[k] * np.eye(d) - problem.base[k]
    bound = float(np.sum(dual * short)) / top if top > 0 else 0.0
    return np.maximum(np.asarray(n.value), 0.0) * unit, max(bound, 0.0)


def _within(
    problem: _Buckets, budget: float, importance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float] | None:
    """Counts above the floors that cover most under the budget, and a certified bound of the coverage."""
    cvxpy = load_cvxpy()
    n_buckets, n_actions = problem.cost.shape
    d = problem.held.shape[-1]
    open_ = np.flatnonzero(problem.target > 0)
    money = budget - float((problem.floors * problem.cost).sum())
    unit, dear = _limits(problem, open_), float(problem.cost.max())
    y = cvxpy.Variable(len(open_), nonneg=True)
    counts = [cvxpy.Variable(n_actions, nonneg=True) for _ in open_]
    rules = [
        _rows(problem, int(k), n, float(u)) - y[i] * np.eye(d) >> 0
        for i, (k, n, u) in enumerate(zip(open_, counts, unit, strict=True))
    ]
    spent = cvxpy.sum([float(u) * (problem.cost[k] / dear) @ n for k, n, u in zip(open_, counts, unit, strict=True)])
    scale = max(money / dear, 1e-300)
    rest = [y <= 1, spent / scale <= money / dear / scale]
    if not solve(cvxpy.Problem(cvxpy.Maximize(importance[open_] @ y), rules + rest)):
        return None
    got = np.zeros((n_buckets, n_actions))
    free = float(importance[problem.target == 0].sum())
    duals, price, bound = [], 0.0, free
    for k, n, u, rule in zip(open_, counts, unit, rules, strict=True):
        got[k] = np.maximum(np.asarray(n.value), 0.0) * u
        dual = project(np.asarray(rule.dual_value)) / problem.target[k]
        duals.append(dual)
        price = max(price, float((np.einsum("ij,aij->a", dual, problem.matrices[k]) / problem.cost[k]).max()))
    for k, dual in zip(open_, duals, strict=True):
        bound += max(0.0, float(importance[k] - problem.target[k] * np.trace(dual)))
        bound += float(np.sum(dual * problem.base[k]))
    bound += price * money
    cost = float((got * problem.cost).sum())
    return got * min(1.0, money / cost) if cost > 0 else got, bound


def plan(
    M: Float[np.ndarray, "*bucket action d d"],
    current: Float[np.ndarray, "bucket d d"],
    threshold: Float[np.ndarray, " bucket"],
    cost: Float[np.ndarray, "*bucket action"],
    *,
    budget: float | None = None,
    importance: Float[np.ndarray, " bucket"] | None = None,
    floors: Float[np.ndarray, "*bucket action"] | None = None,
    acceptance: Float[np.ndarray, "*bucket action"] | None = None,
    label_cost: ArrayLike = 0.0,
) -> Plan:
    """Buy the cheapest comparisons that lift every bucket to its target, or the most coverage a budget allows.

    Parameters
    ----------
    M : array, shape (A, d, d) or (K, A, d, d)
        Information per label of every action (in every bucket).
    current : array, shape (K, d, d)
        Total information held: labels times information per label; zeros for an empty bucket.
    threshold : array, shape (K,)
        Target tau of the least eigenvalue of the total information: 1 / tau bounds the variance of any unit contrast.
    cost, acceptance, label_cost : array, shape (A,) or (K, A)
        As in `optimal_mixture`.
    budget : float, optional
        Money; without it the cheapest full plan is returned whatever it costs.
    importance : array, shape (K,), optional
        Weights h of the buckets when the budget binds; one each by default.
    floors : array, shape (A,) or (K, A), optional
        Least counts.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If a matrix is not positive semidefinite, a target or floor is negative, the budget does not pay for the floors,
        or shapes disagree.
    ImportError
        Without the extra ``bayespref[design]``.
    RuntimeError
        If the solver returns no point at all.

    Examples
    --------
    >>> got = plan(np.array([[[0.5]]]), np.array([[[2.0]]]), np.array([10.0]), np.array([3.0]))
    >>> got.counts.round(4).tolist(), round(got.cost, 4), got.met
    ([[16.0]], 48.0, True)
    """
    problem = _check(M, current, threshold, cost, acceptance, label_cost, floors)
    n_buckets = len(problem.held)
    weight = non_negative("importance", finite("importance", np.ones(n_buckets) if importance is None else importance))
    if weight.shape != (n_buckets,):
        raise ValueError(f"importance: must have shape ({n_buckets},), got {weight.shape}")
    fixed = float((problem.floors * problem.cost).sum())
    if budget is not None and not float(finite("budget", budget)) >= fixed:
        raise ValueError(f"budget: {budget:g} does not pay for the floors, which cost {fixed:.10g}")
    reachable = _reachable(problem)
    extra, lower = np.full(problem.cost.shape, np.nan), fixed
    for k in np.flatnonzero(reachable):
        extra[k], least = _cheapest(problem, int(k))
        lower += least
        if np.isnan(extra[k]).any():
            raise RuntimeError(f"the solver returned no point for bucket {k}: rescale its matrices or its target")
    total = fixed + float((extra * problem.cost).sum()) if reachable.all() else np.inf
    if budget is None or total <= budget * (1 + 1e-9):
        return _report(problem, extra, reachable, total, lower if reachable.all() else np.inf, None)
    solved = _within(problem, float(budget), weight)
    if solved is None:
        raise RuntimeError("the solver returned no point for the joint plan: rescale the matrices or the targets")
    return _report(problem, solved[0], reachable, np.nan, solved[1], weight)


def _report(
    problem: _Buckets,
    extra: NDArray[np.float64],
    reachable: NDArray[np.bool_],
    total: float,
    bound: float,
    weight: NDArray[np.float64] | None,
) -> Plan:
    counts = problem.floors + extra
    # Where nothing can be bought that would do, the bucket is judged as it stands.
    after = problem.held + np.einsum(
        "ka,kaij->kij", np.where(np.isnan(counts), problem.floors, counts), problem.matrices
    )
    values, vectors = np.linalg.eigh(after)
    least = values[:, 0]
    reached = np.where(problem.target > 0, np.clip(least / np.where(problem.target > 0, problem.target, 1), 0, 1), 1.0)
    cost = float((counts * problem.cost).sum()) if weight is not None else total
    objective = float(weight @ reached) if weight is not None else total
    return Plan(
        counts,
        counts / problem.share,
        cost,
        reached,
        least,
        vectors[:, :, 0],
        bool((reached >= 1 - 1e-6).all()),
        objective,
        bound,
        0.0 if np.isinf(bound) else abs(objective - bound),
        np.where(reachable, "", "no_overlap"),
    )
