"""What more comparisons are worth to a decision, and a greedy choice of them by worth per cost.

The parameters have a Gaussian posterior (moments of the draws). n labels on a candidate with loading v turn the
covariance S into S - n S v v' S / (1 + n v'S v); the mean stays, since nobody knows the answers yet. The loss of a
region is what its choice is expected to forgo:

- ``value``: sum over rivals b of the favourite a of E[(r_b - r_a)+], the expected regret of acting on the favourite
  (exact for two items, an upper bound for more), at most the cost of deferring where one is given;
- ``variance``: mean variance of the contrasts;
- ``lambda_min``: the largest eigenvalue of the covariance within the span of the contrasts (1 / lambda_min of the
  total information there, prior included).

Source: expected improvement per cost as in Frazier, Powell and Dayanik (2009), *INFORMS Journal on Computing* 21;
looking several labels ahead at once as in Frazier and Powell (2010), *Decision Analysis* 7. Greedy, no certificate: for
a certified mixture hand `Candidates.matrices` to `bayespref.design.mixture.optimal_mixture`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.special import ndtr

from bayespref.checks import finite, non_negative, one_of
from bayespref.display import shown

OBJECTIVES = ("value", "variance", "lambda_min")


class Decisions(NamedTuple):
    """Choices that hang on the parameters.

    Attributes
    ----------
    contrast : float array, shape (Q, p)
        Rows x: x't is by how much a region's favourite beats a rival.
    margin : float array, shape (Q,)
        Posterior mean of each; >= 0 where the favourite is the best in mean.
    region : int array, shape (Q,)
        Region of each contrast.
    weight : float array, shape (R,)
        Mass of each region at deployment.
    """

    contrast: Float[np.ndarray, "contrast p"]
    margin: Float[np.ndarray, " contrast"]
    region: Int[np.ndarray, " contrast"]
    weight: Float[np.ndarray, " region"]


@shown(next_step="ask the candidates with counts first; stop where the gain of a label is below its cost")
class Allocation(NamedTuple):
    """How many labels each candidate gets.

    Attributes
    ----------
    counts : int array, shape (K,)
        Labels.
    gain : float array, shape (K,)
        Fall of the loss credited to each candidate, in the order chosen.
    spent : float
        Total cost.
    before, after : float array, shape (R,)
        Loss of each region (``lambda_min``: one number for all).
    covariance : float array, shape (p, p)
        Expected posterior covariance after the labels.
    """

    counts: Int[np.ndarray, " candidate"]
    gain: Float[np.ndarray, " candidate"]
    spent: float
    before: Float[np.ndarray, " region"]
    after: Float[np.ndarray, " region"]
    covariance: Float[np.ndarray, "p p"]


def expected_shortfall(
    margin: Float[np.ndarray, "*shape"], variance: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """E[(-x)+] for x normal with the given mean and variance: what choosing the favourite forgoes to one rival.

    Examples
    --------
    >>> expected_shortfall(np.array([0.0, -1.0, 2.0]), np.array([1.0, 0.0, 0.0])).round(6).tolist()
    [0.398942, 1.0, 0.0]
    """
    spread = np.sqrt(np.maximum(variance, 0.0))
    safe = np.where(spread > 0, spread, 1.0)
    z = margin / safe
    smooth = safe * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) - margin * ndtr(-z)
    return np.asarray(np.where(spread > 0, np.maximum(smooth, 0.0), np.maximum(-margin, 0.0)))


def decisions(
    mean: Float[np.ndarray, " p"],
    action: Float[np.ndarray, "region item p"],
    weight: Float[np.ndarray, " region"],
    available: Bool[np.ndarray, "region item"],
) -> Decisions:
    """Contrasts between each region's favourite and its rivals.

    Parameters
    ----------
    mean : float array, shape (p,)
        Posterior mean of the parameters.
    action : float array, shape (region, item, p)
        Rows that read an item's reward in a region off the parameters.
    weight : float array, shape (region,)
        Mass of each region at deployment, >= 0.
    available : bool array, shape (region, item)
        Items on offer.

    Returns
    -------
    Decisions

    Raises
    ------
    ValueError
        If no region has two items on offer and a positive mass.

    Examples
    --------
    >>> got = decisions(np.array([1.0, 3.0]), np.eye(2)[None], np.ones(1), np.ones((1, 2), dtype=bool))
    >>> got.contrast.tolist(), got.margin.tolist()
    ([[-1.0, 1.0]], [2.0])
    """
    mass = non_negative("weight", finite("weight", weight))
    level = np.where(available, action @ mean, -np.inf)
    best = level.argmax(axis=1)
    rival = np.asarray(available).copy()
    rival[np.arange(len(best)), best] = False
    rival &= (mass > 0)[:, None]
    region, item = np.nonzero(rival)
    if not len(region):
        raise ValueError("available: no region of positive mass has two items to choose between")
    contrast = action[region, best[region]] - action[region, item]
    return Decisions(contrast, contrast @ mean, region, mass)


def _loss(problem: Decisions, variance: NDArray[np.float64], objective: str, c_defer: float) -> NDArray[np.float64]:
    """Loss of every region for variances (..., Q), times its weight: shape (..., R)."""
    per = expected_shortfall(problem.margin, variance) if objective == "value" else variance
    n_regions = len(problem.weight)
    onehot = np.zeros((len(problem.region), n_regions))
    onehot[np.arange(len(problem.region)), problem.region] = 1.0
    if objective == "variance":
        onehot /= np.maximum(onehot.sum(axis=0), 1.0)
    total = per @ onehot
    return np.asarray((np.minimum(total, c_defer) if objective == "value" else total) * problem.weight)


def allocate(
    covariance: Float[np.ndarray, "p p"],
    loadings: Float[np.ndarray, "candidate p"],
    problem: Decisions,
    cost: Float[np.ndarray, " candidate"],
    budget: float,
    *,
    objective: str = "value",
    c_defer: float = np.inf,
    steps: int = 100,
    most: Int[np.ndarray, " candidate"] | None = None,
) -> Allocation:
    """Spend a budget on the candidates that lower the loss most per cost, a hundredth of it at a time.

    Parameters
    ----------
    covariance : float array, shape (p, p)
        Posterior covariance of the parameters.
    loadings : float array, shape (K, p)
        From `bayespref.design.candidates`.
    problem : Decisions
    cost : float array, shape (K,)
        Cost of a label, > 0; infinite where it cannot be had.
    budget : float
        Money.
    objective : {"value", "variance", "lambda_min"}
        Loss to lower.
    c_defer : float
        Cost of deferring, log-odds; a region never loses more. At most this much can be gained there, and nothing at
        all while acting stays dearer than deferring, so candidates are judged several labels ahead.
    steps : int
        Parts into which the budget is cut.
    most : int array, shape (K,), optional
        Labels a candidate can take.

    Returns
    -------
    Allocation
        Stops early where no candidate lowers the loss.

    Raises
    ------
    ValueError
        If the budget pays for no label, a cost is not positive, or shapes disagree.

    Examples
    --------
    >>> problem = Decisions(np.array([[1.0, -1.0]]), np.array([0.1]), np.array([0]), np.ones(1))
    >>> got = allocate(np.eye(2), np.array([[0.5, -0.5], [0.1, 0.1]]), problem, np.ones(2), 10)
    >>> got.counts.tolist(), bool(got.after[0] < got.before[0])
    ([10, 0], True)
    """
    one_of("objective", objective, OBJECTIVES)
    S = np.array(finite("covariance", covariance))
    V = finite("loadings", loadings)
    price = np.asarray(cost, dtype=np.float64)
    if V.ndim != 2 or S.shape != (V.shape[1], V.shape[1]) or price.shape != (len(V),):
        raise ValueError(f"loadings: shapes disagree: covariance {S.shape}, loadings {V.shape}, cost {price.shape}")
    if np.isnan(price).any() or (price <= 0).any():
        raise ValueError(f"cost: must be > 0, first bad {price[~(price > 0)][:5].tolist()}")
    if not budget >= price.min(initial=np.inf):
        raise ValueError(f"budget: {budget:g} pays for no label; the cheapest costs {price.min(initial=np.inf):g}")
    limit = np.full(len(V), np.iinfo(np.int64).max) if most is None else np.asarray(most, dtype=np.int64)
    counts, gain, left = np.zeros(len(V), dtype=np.int64), np.zeros(len(V)), float(budget)
    span = _span(problem) if objective == "lambda_min" else None
    sizes = np.array([1.0]) if np.isinf(c_defer) else 4.0 ** np.arange(5)
    paid = np.where(np.isinf(price), 1.0, price)
    base = np.maximum(1.0, np.floor(budget / steps / paid))
    SV = S @ V.T  # (p, K)
    own = np.einsum("kp,pk->k", V, SV)
    before = after = _losses(problem, S, objective, c_defer, span)
    D = problem.contrast if span is None else _worst(S, span)
    DSV, variance = D @ SV, np.einsum("qp,pr,qr->q", D, S, D)
    rate, asked = np.zeros((len(sizes), len(V))), np.full((len(sizes), len(V)), -1.0)
    stale = np.ones(len(V), dtype=bool)
    while True:
        open_ = (price <= left * (1 + 1e-12)) & (counts < limit)
        if not open_.any():
            break
        for row, size in enumerate(sizes):
            n = np.minimum(np.minimum(base * size, np.floor(left / price * (1 + 1e-12))), limit - counts)
            n = np.where(open_, n, 0.0)
            # Only candidates whose worth can have changed are judged again: most cells know nothing of each other.
            again = np.flatnonzero(stale | (n != asked[row]))
            asked[row], some = n, n[again]
            fall = some * DSV[:, again] ** 2 / (1.0 + some * own[again])  # (Q, again)
            if span is None:
                worth = _fall(problem, variance, (variance[:, None] - fall).T, objective, c_defer)
            else:
                worth = fall[0]
            cost_of = np.where(some > 0, paid[again] * some, 1.0)
            rate[row, again] = np.where(some > 0, worth / cost_of, 0.0)
        row, k = (int(index) for index in np.unravel_index(rate.argmax(), rate.shape))
        # A gain below a billionth of what is left to gain is rounding.
        if rate[row, k] <= 1e-9 * float(after.sum()) / float(budget):
            break
        taken = int(asked[row, k])
        column = SV[:, k] / np.sqrt(1.0 / taken + own[k])
        moved, along = D @ column, column @ V.T
        S = S - column[:, None] * column[None, :]
        SV = SV - column[:, None] * along[None, :]
        own = own - along**2
        counts[k] += taken
        left -= taken * price[k]
        now = _losses(problem, S, objective, c_defer, span)
        gain[k] += float(after.sum() - now.sum())
        after = now
        if span is None:
            hit = np.abs(moved) > 1e-12 * np.abs(moved).max()
            hit = np.isin(problem.region, problem.region[hit])
            stale = (np.abs(DSV[hit]) > 0).any(axis=0) | (along != 0)
            DSV, variance = DSV - moved[:, None] * along[None, :], variance - moved**2
        else:
            D, stale = _worst(S, span), np.ones(len(V), dtype=bool)
            DSV, variance = D @ SV, np.einsum("qp,pr,qr->q", D, S, D)
    return Allocation(counts, gain, float(budget - left), before, after, (S + S.T) / 2)


def _fall(
    problem: Decisions,
    variance: Float[np.ndarray, " contrast"],
    lower: Float[np.ndarray, "candidate contrast"],
    objective: str,
    c_defer: float,
) -> Float[np.ndarray, " candidate"]:
    """Fall of the total loss when the variances fall to each row of ``lower``."""
    now = _loss(problem, variance, objective, c_defer).sum()
    return np.asarray(now - _loss(problem, lower, objective, c_defer).sum(axis=-1))


def _span(problem: Decisions) -> NDArray[np.float64]:
    """Orthonormal rows that span the contrasts."""
    _, size, rows = np.linalg.svd(problem.contrast, full_matrices=False)
    return np.asarray(rows[size > 1e-10 * size[0]])


def _worst(S: NDArray[np.float64], span: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit direction within the span whose variance is largest, shape (1, p)."""
    return np.asarray(np.linalg.eigh(span @ S @ span.T)[1][:, -1:].T @ span)


def _losses(
    problem: Decisions, S: NDArray[np.float64], objective: str, c_defer: float, span: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if span is not None:
        return np.asarray(np.linalg.eigvalsh(span @ S @ span.T)[-1:], dtype=np.float64)
    variance = np.einsum("qp,pr,qr->q", problem.contrast, S, problem.contrast)
    return _loss(problem, variance, objective, c_defer)


def expected_gain(
    mean: Float[np.ndarray, " p"],
    before: Float[np.ndarray, "p p"],
    after: Float[np.ndarray, "p p"],
    action: Float[np.ndarray, "region item p"],
    available: Bool[np.ndarray, "region item"],
    *,
    n: int = 4000,
    seed: int = 0,
) -> Float[np.ndarray, " region"]:
    """By how much the reward of the chosen item is expected to rise once the labels are in (Gaussian approximation).

    E[max_a m'_a] - max_a m_a, where the future mean m' is normal around the present one with covariance before minus
    after: the expected value of sample information (Raiffa and Schlaifer 1961). Monte Carlo with n draws.

    Examples
    --------
    >>> action, available = np.eye(2)[None], np.ones((1, 2), dtype=bool)
    >>> expected_gain(np.zeros(2), np.eye(2), 0 * np.eye(2), action, available).round(1).tolist()
    [0.6]
    """
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, action.shape[1]))
    spread = np.einsum("rap,pq,rbq->rab", action, before - after, action)
    values, vectors = np.linalg.eigh((spread + np.swapaxes(spread, -1, -2)) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    level = action @ mean
    future = level[:, None, :] + np.einsum("rab,nb->rna", root, noise)
    shut = ~np.asarray(available)
    top = np.where(shut, -np.inf, level).max(axis=1)
    # The mean of the present favourite is known; its Monte-Carlo error is taken off as a control.
    favourite = np.where(shut, -np.inf, level).argmax(axis=1)
    same = future[np.arange(len(level)), :, favourite].mean(axis=1)
    best = np.where(shut[:, None, :], -np.inf, future).max(axis=2).mean(axis=1)
    return np.asarray(np.where(np.isfinite(top), best - same, 0.0))
