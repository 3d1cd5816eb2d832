"""How a weighted result moves: with a coarser proxy, with clip and beta, and with errors in the weights.

Outcome odds (Gamma) need the bounds of `bayespref.bounds.sensitivity`; `bayespref.workflow.targeting` puts all of them
into one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, finite, non_negative, simplex
from bayespref.display import shown
from bayespref.target.fitdpo import TabularFit, pair_wins, tabular_dpo
from bayespref.target.importance import clipped, combine, post_stratified
from bayespref.target.tilt import exponential_tilt

_BISECTIONS = 60


@shown(next_step="a result that changes along the path rests on the proxy")
class Coarsening(NamedTuple):
    """Weighted fits along a path of coarser proxies, finest first.

    Attributes
    ----------
    n_groups : int array, shape (step,)
        Groups of contexts at each step.
    n_eff_share : array, shape (step,)
        n_eff / n of its weights.
    fit : tuple of TabularFit
        Fits, scores of shape (state, item).
    distance : array, shape (step,)
        Largest change of a preference probability against the finest proxy, a share; NaN where a fit is undefined.
    """

    n_groups: NDArray[np.int64]
    n_eff_share: NDArray[np.float64]
    fit: tuple[TabularFit, ...]
    distance: NDArray[np.float64]


@shown(next_step="a best item that changes with clip or beta is not settled")
class Frontier(NamedTuple):
    """Weighted fits over caps on the weights and betas.

    Attributes
    ----------
    n_eff_share, mass_moved : array, shape (cap,)
        n_eff / n after clipping, and the share of the target that the clip moved (`importance.clipped`).
    score : array, shape (cap, state, item)
        Fitted scores.
    policy : array, shape (cap, beta, state, item)
        Their tilts.
    kl : array, shape (cap, beta, state)
        KL spent, nats.
    top_items : int array, shape (cap * beta, state)
        Best item of every setting; -1 where a score is undefined.
    """

    n_eff_share: NDArray[np.float64]
    mass_moved: NDArray[np.float64]
    score: NDArray[np.float64]
    policy: NDArray[np.float64]
    kl: NDArray[np.float64]
    top_items: NDArray[np.int64]


def coarsening_path(
    state: Int[np.ndarray, " n"],
    context: Int[np.ndarray, " n"],
    item_a: Int[np.ndarray, " n"],
    item_b: Int[np.ndarray, " n"],
    label: Float[np.ndarray, " n"],
    target: Float[np.ndarray, "state context"],
    groupings: Int[ArrayLike, "step context"],
    *,
    n_items: int,
    ridge: float = 0.0,
    times: Float[np.ndarray, " n"] | None = None,
) -> Coarsening:
    """Post-stratify on coarser and coarser proxies and refit.

    Parameters
    ----------
    state, context, item_a, item_b : int array, shape (n,)
        Codes of the rows.
    label : array, shape (n,)
        Share of the label for ``item_a``.
    target : array, shape (state, context)
        p_T over both, summing to one.
    groupings : int array, shape (step, context)
        Group of each context at each step, finest first; all zero ignores the proxy.
    n_items : int
        Number of items.
    ridge : float
        As in `fitdpo.tabular_dpo`, per comparison.
    times : array, shape (n,), optional
        Comparisons each row stands for; one by default.

    Returns
    -------
    Coarsening

    Raises
    ------
    ValueError, TargetMixError
        As `importance.post_stratified` and `fitdpo.tabular_dpo`.

    Examples
    --------
    >>> rows = np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]), np.zeros(4, int), np.ones(4, int)
    >>> got = coarsening_path(*rows, np.array([1.0, 1.0, 0.0, 0.0]), [[0.5, 0.5]], [[0, 1], [0, 0]], n_items=2)
    >>> got.n_groups.tolist(), got.n_eff_share.round(3).tolist(), got.distance.round(3).tolist()
    ([2, 1], [0.75, 1.0], [0.0, 0.167])
    """
    share = simplex("target", np.asarray(target, dtype=np.float64).ravel()).reshape(np.shape(target))
    path = np.atleast_2d(np.asarray(groupings, dtype=np.int64))
    count = np.ones(len(np.asarray(state))) if times is None else finite("times", non_negative("times", times))
    sizes, shares, fits = [], [], []
    for groups in path:
        n_groups = int(groups.max()) + 1
        member = groups[:, None] == np.arange(n_groups)
        cell = np.asarray(state) * n_groups + groups[np.asarray(context)]
        weight = combine(post_stratified("prompt and group", cell, (share @ member).ravel(), count=count)).weight
        wins = pair_wins(state, item_a, item_b, label, weight * count, n_states=len(share), n_items=n_items)
        fits.append(tabular_dpo(wins, ridge=ridge * float(count.sum())))
        sizes.append(n_groups)
        shares.append(_share_eff(weight, count))
    gap = [fit.score[..., :, None] - fit.score[..., None, :] for fit in fits]
    distance = [float(np.abs(np.tanh(0.5 * g) - np.tanh(0.5 * gap[0])).max()) / 2.0 for g in gap]
    return Coarsening(np.array(sizes), np.array(shares), tuple(fits), np.array(distance))


def clip_beta_frontier(
    state: Int[np.ndarray, " n"],
    item_a: Int[np.ndarray, " n"],
    item_b: Int[np.ndarray, " n"],
    label: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    reference: Float[np.ndarray, "state item"],
    *,
    caps: Sequence[float] = (np.inf, 10.0, 5.0, 2.0),
    betas: Sequence[float] = (0.3, 1.0, 3.0),
    ridge: float = 0.0,
    times: Float[np.ndarray, " n"] | None = None,
) -> Frontier:
    """Refit under every cap on the weights and tilt at every beta.

    Parameters
    ----------
    state, item_a, item_b : int array, shape (n,)
        Codes of the rows.
    label : array, shape (n,)
        Share of the label for ``item_a``.
    weight : array, shape (n,)
        Weights before clipping, of one comparison; clipped weights are self-normalised.
    reference : array, shape (state, item)
        Reference probabilities, all above zero.
    caps, betas : sequence of float
        Settings; an infinite cap does not clip.
    ridge : float
        As in `fitdpo.tabular_dpo`, per comparison.
    times : array, shape (n,), optional
        Comparisons each row stands for; one by default.

    Returns
    -------
    Frontier

    Raises
    ------
    ValueError, TargetMixError
        As `importance.clipped`, `fitdpo.tabular_dpo` and `tilt.exponential_tilt`.

    Examples
    --------
    >>> rows = np.zeros(4, int), np.zeros(4, int), np.ones(4, int), np.array([1.0, 1.0, 0.0, 0.0])
    >>> got = clip_beta_frontier(*rows, np.array([1.0, 1.0, 1.0, 4.0]), [[0.5, 0.5]], caps=(np.inf, 1.0), betas=(1.0,))
    >>> got.top_items.ravel().tolist(), got.n_eff_share.round(3).tolist()
    ([1, 0], [0.645, 1.0])
    """
    ref = simplex("reference", reference)
    n_states, n_items = ref.shape
    count = np.ones(len(np.asarray(label))) if times is None else finite("times", non_negative("times", times))
    cut = [clipped(weight, cap, count) for cap in caps]
    wins = np.stack(
        [pair_wins(state, item_a, item_b, label, w.weight * count, n_states=n_states, n_items=n_items) for w in cut]
    )
    score = tabular_dpo(wins, ridge=ridge * float(count.sum())).score
    tilts = [exponential_tilt(score, ref, beta) for beta in betas]
    policy = np.stack([tilt.policy for tilt in tilts], axis=1)
    undefined = np.isnan(policy).any(axis=-1)
    top = np.where(undefined, -1, np.where(np.isnan(policy), -np.inf, policy).argmax(axis=-1))
    return Frontier(
        np.array([_share_eff(w.weight, count) for w in cut]),
        np.array([w.mass_moved for w in cut]),
        score,
        policy,
        np.stack([tilt.kl for tilt in tilts], axis=1),
        top.reshape(len(caps) * len(betas), n_states),
    )


def _share_eff(weight: NDArray[np.float64], count: NDArray[np.float64]) -> float:
    """n_eff / n where a row stands for several comparisons."""
    return float((count @ weight) ** 2 / ((count @ weight**2) * count.sum()))


def weight_error(y: Float[ArrayLike, " n"], w: Float[ArrayLike, " n"], lam: float) -> tuple[float, float, float]:
    """Self-normalised mean when every weight may be wrong by a factor Lambda either way.

    The extreme keeps w Lambda above a threshold of the outcome and w / Lambda below it: all thresholds are tried in
    O(n log n). Sharp.

    Parameters
    ----------
    y : array, shape (n,)
        Outcomes.
    w : array, shape (n,)
        Estimated weights >= 0.
    lam : float
        Lambda, at least 1.

    Returns
    -------
    tuple of float
        Estimate, lower and upper end.

    Raises
    ------
    ValueError
        If a value is not finite, every weight is zero, or ``lam`` is below 1.

    Examples
    --------
    >>> [round(x, 6) for x in weight_error([0, 1, 1, 0, 1], [1, 1, 2, 1, 3], 1.5)]
    [0.75, 0.571429, 0.870968]
    """
    value, mass = finite("y", y), finite("w", non_negative("w", w))
    factor = float(as_float("lam", lam))
    if not (np.isfinite(factor) and factor >= 1.0):
        raise ValueError(f"lam: must be a finite number of at least 1, got {lam!r}")
    if value.shape != mass.shape or value.ndim != 1 or not mass.sum() > 0:
        raise ValueError(f"y, w: need one axis, one shape and a weight above zero, got {value.shape} and {mass.shape}")
    order = np.argsort(value, kind="stable")
    value, mass = value[order], mass[order]
    below, below_y = (np.concatenate([[0.0], np.cumsum(x)]) for x in (mass, mass * value))
    above, above_y = below[-1] - below, below_y[-1] - below_y
    with np.errstate(invalid="ignore"):
        upper = (below_y / factor + above_y * factor) / (below / factor + above * factor)
        lower = (below_y * factor + above_y / factor) / (below * factor + above / factor)
    return float(below_y[-1] / below[-1]), float(np.nanmin(lower)), float(np.nanmax(upper))


def weight_error_breakdown(y: Float[ArrayLike, " n"], w: Float[ArrayLike, " n"], level: float = 0.5) -> float:
    """Smallest Lambda at which the self-normalised mean may reach ``level``.

    Parameters
    ----------
    y, w : array, shape (n,)
        Outcomes and weights.
    level : float
        What would change the decision.

    Returns
    -------
    float
        At least 1; infinite where no Lambda reaches it (every weighted outcome lies on one side).

    Raises
    ------
    ValueError
        As `weight_error`.

    Examples
    --------
    >>> round(weight_error_breakdown([0, 1, 1, 0, 1], [1, 1, 2, 1, 3]), 4)
    1.7321
    """
    estimate = weight_error(y, w, 1.0)[0]
    side = 1.0 if estimate >= level else -1.0

    def holds(log_lam: float) -> bool:
        _, lower, upper = weight_error(y, w, float(np.exp(log_lam)))
        return (lower if side > 0 else upper) * side > level * side

    low, high = 0.0, 1.0
    if not holds(low):
        return 1.0
    used = finite("y", y)[finite("w", w) > 0]
    if (used.min() if side > 0 else -used.max()) >= side * level:
        return np.inf
    while holds(high) and high < 300.0:
        high *= 2.0
    if high >= 300.0:
        return np.inf
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return float(np.exp(high))
