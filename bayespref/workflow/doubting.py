"""How a reweighted decision could be wrong, in one table, and a policy that guards against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from bayespref.bounds.sensitivity import breakdown_gamma, odds_tilt
from bayespref.comparisons import Comparisons
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.regime import Regime
from bayespref.target.regime_weights import context_target, weights_towards
from bayespref.target.robust import RobustPolicy, robust_policy
from bayespref.target.sensitivity import clip_beta_frontier, coarsening_path, weight_error, weight_error_breakdown
from bayespref.workflow.reweighting import CAPS, even_reference, preference_rows


def sensitivity_table(
    comparisons: Comparisons,
    regime: Regime,
    *,
    state: str,
    item: str,
    over: str,
    groupings: ArrayLike | None = None,
    gammas: Sequence[float] = (1.2, 1.5, 2.0, 3.0),
    lambdas: Sequence[float] = (1.2, 1.5, 2.0),
    caps: Sequence[float] = CAPS,
    ridge: float = 0.0,
) -> pd.DataFrame:
    """One decision under every way it could be wrong: coarser proxy, clip and beta, outcome odds, weights.

    Parameters
    ----------
    comparisons : Comparisons
        A table with a context column.
    regime : Regime
        The target, over contexts.
    state, item, over : str
        The decision: whether the target prefers ``item`` over ``over`` in ``state``.
    groupings : int array, shape (step, context), optional
        Path of coarser proxies (`bayespref.target.sensitivity.coarsening_path`); the finest and none by default.
    gammas, lambdas : sequence of float
        Values of Gamma (outcome odds) and Lambda (weights), at least 1.
    caps : sequence of float
        Caps on the weights.
    ridge : float
        Of the tabular fits, per row.

    Returns
    -------
    DataFrame
        ``analysis, setting, estimate, lower, upper`` (share of the target that prefers ``item``; with clip and beta,
        the share that the tilted policy gives it against ``over`` under an even reference), ``n_eff_share`` and
        ``breakdown`` (Gamma or Lambda at which the choice may flip; NaN elsewhere).

    Raises
    ------
    ValueError, RegimeError, TargetMixError
        If a label is unknown, or as `reweight`.
    """
    for name, value, known in (("state", state, comparisons.states), ("item", item, comparisons.items)):
        if value not in known:
            raise ValueError(f"{name}: the table has no {value!r}")
    if over not in comparisons.items or over == item:
        raise ValueError(f"over: must be another item of the table, got {over!r}")
    s, a, b = comparisons.states.index(state), comparisons.items.index(item), comparisons.items.index(over)
    rows, target = preference_rows(comparisons), context_target(regime, comparisons)
    own = weights_towards(regime, comparisons).weight[rows.keep]
    weight = own * rows.times
    fit_rows = (rows.state, rows.item_a, rows.item_b, rows.label)
    path = np.array([np.arange(target.shape[1]), np.zeros(target.shape[1])]) if groupings is None else groupings
    coarse = coarsening_path(
        rows.state, rows.context, *fit_rows[1:], target, path,
        n_items=comparisons.n_items, ridge=ridge, times=rows.times,
    )  # fmt: skip
    found = [
        _setting("proxy", f"{groups} group(s) of contexts", float(expit(fit.score[s, a] - fit.score[s, b])), share)
        for groups, share, fit in zip(coarse.n_groups, coarse.n_eff_share, coarse.fit, strict=True)
    ]
    betas = tuple(regime.beta * factor for factor in (0.3, 1.0, 3.0))
    frontier = clip_beta_frontier(
        *fit_rows, own, even_reference(comparisons), caps=caps, betas=betas, ridge=ridge, times=rows.times
    )
    for i, cap in enumerate(caps):
        for j, beta in enumerate(betas):
            pi = frontier.policy[i, j, s]
            words = f"{'no cap' if np.isinf(cap) else f'cap {cap:g}'}, beta {beta:g}"
            found.append(_setting("clip and beta", words, float(pi[a] / (pi[a] + pi[b])), frontier.n_eff_share[i]))
    q = float(expit(frontier.score[0, s, a] - frontier.score[0, s, b]))
    flip = float(breakdown_gamma(q))
    for gamma in gammas:
        bound = odds_tilt(q, gamma)
        found.append(
            _setting("outcome odds", f"Gamma {gamma:g}", q, frontier.n_eff_share[0], bound.lower, bound.upper, flip)
        )
    here = (rows.state == s) & (((rows.item_a == a) & (rows.item_b == b)) | ((rows.item_a == b) & (rows.item_b == a)))
    y = np.where(rows.item_a == a, rows.label, 1.0 - rows.label)[here]
    if weight[here].sum() > 0:
        star = weight_error_breakdown(y, weight[here])
        for lam in lambdas:
            mean, lower, upper = weight_error(y, weight[here], lam)
            name, setting = "weights (this pair's rows)", f"Lambda {lam:g}"
            found.append(_setting(name, setting, mean, frontier.n_eff_share[0], lower, upper, star))
    table = pd.DataFrame(found)
    table.attrs |= {"decision": f"{item} over {over} in {state}", "regime_hash": regime.content_hash}
    return table


def _setting(
    analysis: str,
    setting: str,
    estimate: float,
    share: float,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    breakdown: float = np.nan,
) -> dict[str, object]:
    ends = [float(np.asarray(estimate if end is None else end)) for end in (lower, upper)]
    row: dict[str, object] = {"analysis": analysis, "setting": setting, "estimate": estimate}
    return row | {"lower": ends[0], "upper": ends[1], "n_eff_share": float(share), "breakdown": breakdown}


def robust_target(
    comparisons: Comparisons,
    regime: Regime,
    gamma: float,
    *,
    reference: Float[np.ndarray, "state item"] | None = None,
    reward_range: float = np.inf,
) -> RobustPolicy:
    """Policy with the best guaranteed gain when hidden types may tilt the odds of every compared pair by Gamma.

    The centre of each pair is its context's own Bradley-Terry fit; sampling error is not part of the guarantee.

    Parameters
    ----------
    comparisons : Comparisons
        A table with a context column.
    regime : Regime
        The target, over contexts.
    gamma : float
        Largest odds ratio of a hidden type against its cell, at least 1.
    reference : array, shape (state, item), optional
        Reference policy; even by default.
    reward_range : float
        Largest difference of two rewards, log-odds; needed where pairs do not connect the items of a cell.

    Returns
    -------
    RobustPolicy

    Raises
    ------
    ValueError
        If a cell of positive target share does not connect its items and no range is declared, or items always win
        there (the centre is then infinite), or gamma is below 1.
    """
    rows, target = preference_rows(comparisons), context_target(regime, comparisons)
    n_contexts, n = target.shape[1], comparisons.n_items
    cell = rows.state * n_contexts + rows.context
    wins = pair_wins(cell, rows.item_a, rows.item_b, rows.label, rows.times, n_states=target.size, n_items=n)
    total = wins + np.swapaxes(wins, -1, -2)
    fit = tabular_dpo(wins)
    needed = target.ravel() > 0
    bad = needed & (fit.reason != "")
    if bad.any() and not np.isfinite(reward_range):
        where = [divmod(int(k), n_contexts) for k in np.flatnonzero(bad)[:5]]
        cells = [(comparisons.states[x], comparisons.contexts[c]) for x, c in where]
        raise ValueError(f"comparisons: rewards are not finite in {cells} ({fit.reason[bad][0]}); declare a range")
    gap = np.where(np.isnan(fit.score), 0.0, fit.score)
    gap = gap[..., :, None] - gap[..., None, :]
    p = odds_tilt(expit(gap), gamma)
    usable = (total > 0) & (fit.reason == "")[:, None, None]
    low = np.where(usable, logit(p.lower), -np.inf)
    low = np.maximum(low, -reward_range)
    low[..., np.arange(n), np.arange(n)] = 0.0
    share = target / np.where(target.sum(axis=1, keepdims=True) > 0, target.sum(axis=1, keepdims=True), 1.0)
    share[target.sum(axis=1) == 0] = 1.0 / n_contexts
    ref = even_reference(comparisons) if reference is None else np.asarray(reference, dtype=float)
    return robust_policy(low.reshape(*target.shape, n, n), share, ref, regime.beta)
