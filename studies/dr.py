"""Doubly robust DPO: every combination of right and wrong nuisances, over repeated tables.

World: help-or-harm with alpha 1.5 and kappa 0.9; the log shows the three pairs in shares .6, .3, .1, the target evenly.
Right weights post-stratify on (prompt, type) and take the pairs' propensities as known; wrong ones are all one. The
wrong outcome model ignores types. The error is that of the fitted scores against the population fit under the target.

Shows: the fit is consistent if the weights or the outcome model is right, and as bad as no weights if both are wrong.

Does not show: that the tilt of the averaged reward is reached; weighted DPO does not target it (study hh-confounding).
Nor that the doubly robust fit is much better than a right outcome model: a saturated one is already efficient.

Where sources err: they evaluate the risk on logged rows alone, where the outcome model cancels and nothing is gained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from bayespref.report.plots_style import Figure
from bayespref.report.plots_target import error_bars
from bayespref.simulate.scenarios import hh_confounding
from bayespref.target.crossfit import cross_fit_shares, folds_by_annotator, pseudo_outcomes
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.importance import combine, known_ratio, post_stratified

SIZES = {"quick": {"repetitions": 20}, "full": {"repetitions": 100}}
_AT_ONCE = 20
ALPHA, KAPPA = 1.5, 0.9
LOGGED_PAIRS = np.array([0.6, 0.3, 0.1])
"""Shares of (direct, hedged), (direct, refuse), (hedged, refuse)."""
_FIRST, _SECOND = np.array([0, 0, 1]), np.array([1, 2, 2])
_PAIR = np.array([[0, 0, 1], [0, 0, 2], [1, 2, 0]])
TRUE = tuple((s, a) for s in range(4) for a in range(3))


def cases(*, repetitions: int) -> list[dict[str, Any]]:
    """Batches of repetitions, for 2,000 annotators (the published size) and 200."""
    return [
        {"n_annotators": n, "repetitions": min(_AT_ONCE, repetitions - start)}
        for n in (2000, 200)
        for start in range(0, repetitions, _AT_ONCE)
    ]


def run_case(*, seed: int, n_annotators: int, repetitions: int) -> list[dict[str, Any]]:
    """Errors of every score under every method, one row a repetition and method."""
    world = hh_confounding(alpha=ALPHA, kappa=KAPPA, n_annotators=1)
    want = tabular_dpo(expit(world.contrast).mean(axis=1) / 3.0).score
    rows = []
    for repetition in range(repetitions):
        for method, score in _fits(seed + repetition, n_annotators).items():
            error = {f"e{s}{a}": float((score - want)[s, a]) for s, a in TRUE}
            rows.append({"n_annotators": n_annotators, "method": method, **error})
    return rows


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """RMSE over scores and repetitions, and the largest bias of a score, by method."""
    table = []
    columns = [f"e{s}{a}" for s, a in TRUE]
    for (n, method), own in records.groupby(["n_annotators", "method"], sort=False):
        error = own[columns].to_numpy()
        square = (error**2).mean(axis=1)
        rmse, bias = float(np.sqrt(square.mean())), np.abs(error.mean(axis=0))
        worst = int(bias.argmax())
        table.append(
            {"n_annotators": n, "method": method, "rmse": rmse}
            | {"rmse_se": float(square.std(ddof=1) / np.sqrt(len(own)) / (2.0 * rmse)), "max_bias": float(bias[worst])}
            | {"max_bias_se": float(error[:, worst].std(ddof=1) / np.sqrt(len(own))), "repetitions": len(own)}
        )
    return pd.DataFrame(table)


def figure(table: pd.DataFrame) -> Figure:
    """Error by method at the published size."""
    own = table[table["n_annotators"] == 2000]
    return error_bars(
        own, y="rmse", by="method", title="Either nuisance right is enough; both wrong is no better than none"
    )


def _fits(seed: int, n_annotators: int) -> dict[str, NDArray[np.float64]]:
    """Scores of every method on one table, shape (state, item)."""
    ordered = np.where(np.eye(3, dtype=bool), 0.0, LOGGED_PAIRS[_PAIR] / 2.0)
    world = hh_confounding(alpha=ALPHA, kappa=KAPPA, n_annotators=n_annotators, pair_prob=ordered, seed=seed)
    rows = world.comparisons
    swap = rows.item_a > rows.item_b
    a, b = np.where(swap, rows.item_b, rows.item_a), np.where(swap, rows.item_a, rows.item_b)
    label = np.where(swap, rows.outcome == 1, rows.outcome == 0).astype(float)
    state, kind, pair = rows.state.astype(int), rows.codes("context").astype(int), _PAIR[a, b]
    one = np.ones(len(state))
    right = combine(
        post_stratified("prompt and type", state * 2 + kind, np.full(8, 0.125)),
        known_ratio("pair", one / 3.0, LOGGED_PAIRS[pair]),
    ).weight
    fold = folds_by_annotator(rows.codes("annotator"), 5, seed=seed)
    typed = cross_fit_shares((state * 2 + kind) * 3 + pair, label, fold, n_cells=24)
    pooled = cross_fit_shares(state * 3 + pair, label, fold, n_cells=12)
    averaged = typed.target.reshape(4, 2, 3).mean(axis=1).ravel()  # types are even under the target

    def weighted(weight: NDArray[np.float64]) -> NDArray[np.float64]:
        return tabular_dpo(pair_wins(state, a, b, label, weight, n_states=4, n_items=3)).score

    def from_shares(share: NDArray[np.float64]) -> NDArray[np.float64]:
        wins = np.zeros((4, 3, 3))
        wins[:, _FIRST, _SECOND], wins[:, _SECOND, _FIRST] = share.reshape(4, 3), 1.0 - share.reshape(4, 3)
        return tabular_dpo(wins).score

    def robust(
        weight: NDArray[np.float64], logged: NDArray[np.float64], target: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        mass = np.full(12, 1.0 / 12.0)
        got = pseudo_outcomes(state * 3 + pair, label, weight, logged, target_predicted=target, target_mass=mass)
        return from_shares(np.clip(got.value, 0.01, 0.99))  # clipped: outside (0, 1) the loss has no minimum

    return {
        "naive": weighted(one),
        "IPW, right weights": weighted(right),
        "outcome model, right": from_shares(averaged),
        "outcome model, wrong": from_shares(pooled.target),
        "DR, both right": robust(right, typed.logged, averaged),
        "DR, outcome wrong": robust(right, pooled.logged, pooled.target),
        "DR, weights wrong": robust(one, typed.logged, averaged),
        "DR, both wrong": robust(one, pooled.logged, pooled.target),
    }
