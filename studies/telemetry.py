"""Does the trust rule know when weighted results are wrong? A service's log with propensities, and what breaks it.

World: telemetry; 500 annotators with 10 labels each, even target over states, types and pairs. One thing is varied at a
time: overlap (kappa), how unevenly pairs are shown, noise or merged buckets in the weights, quality of the proxy. The
error is the root mean square error of the contrasts fitted with the weights at hand, against the population fit under
the target; a result is bad above 0.3 log-odds. A held-out typed model, fitted to the annotators left out with their
types known, judges the policy's welfare without the truth.

Shows: where propensities on record are right and overlap is lost, the rule says "diagnostic only" before errors grow;
the held-out judge orders the settings as the truth does.

Does not show: that a trusted result is right. A poor proxy and merged buckets give smooth weights, which the rule
cannot tell from good ones: those are its misses, counted here. The rates hold for this mix of settings and no other.

Where sources err: the rule is said to catch misspecified weights; it catches heavy and ill-centred ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from bayespref.comparisons import Comparisons
from bayespref.data.split import hold_out
from bayespref.report.plots_style import Figure
from bayespref.report.plots_target import trust_map
from bayespref.simulate.scenarios import telemetry
from bayespref.simulate.world import World
from bayespref.studies.runner import mean_and_error
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.importance import combine, known_ratio, post_stratified
from bayespref.target.sensitivity import clip_beta_frontier
from bayespref.target.tilt import average_reward, exponential_tilt, welfare
from bayespref.target.trust import DIAGNOSTIC, trust

SIZES = {"quick": {"repetitions": 6}, "full": {"repetitions": 40}}
LIMIT = 0.3
"""Error from which a result is bad, log-odds."""
RIDGE = 1e-4
"""Per row: some item may win every comparison of a pair that is hardly shown."""
PLAIN = {"kappa": 0.3, "pair_skew": 0.4, "proxy_flip": 0.0}
ABLATIONS: dict[str, tuple[float, ...]] = {
    "overlap": (0.0, 0.5, 0.8, 0.95),
    "pairs": (0.0, 0.8, 1.2, 1.6),
    "weight noise": (0.0, 0.5, 1.0, 1.5),
    "merged buckets": (0.0, 0.8, 1.2, 1.6),
    "proxy": (0.0, 0.1, 0.3, 0.5),
}
EVEN, REFERENCE, STATES = np.full((4, 2), 0.5), np.full((4, 4), 0.25), np.full(4, 0.25)


def cases(*, repetitions: int) -> list[dict[str, Any]]:
    """One ablation and setting a piece."""
    return [
        {"ablation": name, "setting": setting, "repetitions": repetitions}
        for name, settings in ABLATIONS.items()
        for setting in settings
    ]


def run_case(*, seed: int, ablation: str, setting: float, repetitions: int) -> list[dict[str, Any]]:
    """Error, verdict and losses of each repetition."""
    world_setting: dict[str, Any] = dict(PLAIN)
    names = {"overlap": "kappa", "pairs": "pair_skew", "merged buckets": "pair_skew", "proxy": "proxy_flip"}
    if ablation in names:
        world_setting[names[ablation]] = setting
    if ablation == "proxy":
        world_setting["kappa"] = 0.8  # a proxy matters where types ask about different things
    rows = []
    for repetition in range(repetitions):
        world = telemetry(alpha=0.7, n_annotators=715, seed=seed + repetition, **world_setting)
        people = hold_out(world.comparisons, by="annotator", share=0.3, seed=repetition)
        noise = setting if ablation == "weight noise" else 0.0
        found = _one(world, people.train, noise, ablation == "merged buckets", seed + repetition)
        judge = _typed(world, people.test)
        truth = average_reward(world.reward, EVEN)
        policy = exponential_tilt(found.pop("score"), REFERENCE, 1.0).policy
        losses = [welfare(policy, reward, REFERENCE, 1.0, STATES) for reward in (truth, judge)]
        found["loss"], found["judged_loss"] = (float(one.best - one.value) for one in losses)
        rows.append({"ablation": ablation, "setting": setting, **found})
    return rows


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Means by setting, then false alarms and misses by ablation and over all."""
    bad, alarm = records["error"] > LIMIT, records["diagnostic"] > 0.5
    means = mean_and_error(records, ["ablation", "setting"]).assign(kind="setting")
    rates = []
    heavy = records.index[records["ablation"].isin(["overlap", "pairs", "weight noise"])]
    groups = [("all", records.index), ("overlap, pairs and noise", heavy)]
    for name, own in [*groups, *records.groupby("ablation", sort=False).groups.items()]:
        good, wrong = ~bad[own], bad[own]
        rates.append(
            {"kind": "rates", "ablation": name, "setting": -1.0, "bad_share": float(wrong.mean())}
            | {"false_alarm": float((alarm[own] & good).sum() / good.sum()) if good.any() else float("nan")}
            | {"miss": float((~alarm[own] & wrong).sum() / wrong.sum()) if wrong.any() else float("nan")}
        )
    settings = means.assign(verdict=np.where(means["diagnostic"] > 0.5, "mostly diagnostic only", "mostly trusted"))
    settings["rank_agreement"] = means["loss"].corr(means["judged_loss"], method="spearman")
    return pd.concat([settings, pd.DataFrame(rates)], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Error against effective size, by verdict."""
    own = table[table["kind"] == "setting"]
    return trust_map(own, limit=LIMIT, title="The rule sees lost overlap and heavy weights, not a poor proxy")


def _rows(rows: Comparisons) -> tuple[NDArray[Any], ...]:
    return rows.state.astype(int), rows.item_a, rows.item_b, (rows.outcome == 0).astype(float)


def _typed(world: World, rows: Comparisons) -> NDArray[np.float64]:
    """Averaged reward of a model that knows the types of the annotators left out."""
    state, a, b, label = _rows(rows)
    kind = world.annotator_type[rows.codes("annotator")]
    wins = pair_wins(state * 2 + kind, a, b, label, n_states=8, n_items=4)
    return average_reward(tabular_dpo(wins + 0.25, ridge=0.5).score.reshape(4, 2, 4), EVEN)


def _one(world: World, rows: Comparisons, noise: float, merged: bool, seed: int) -> dict[str, Any]:
    """Weighted fit of one table and what the rule says of it."""
    state, a, b, label = _rows(rows)
    cell = state * 2 + rows.codes("context").astype(int)
    asked = np.unique(cell)
    target = np.zeros(8)
    target[asked] = 1.0 / len(asked)  # a cell nobody asked about leaves the target, and its error stays
    logged = np.asarray(rows.propensity)
    if merged:  # the platform logs one table of pairs for all states
        pair = np.minimum(a, b) * 4 + np.maximum(a, b)
        logged = (np.bincount(pair, minlength=16) / len(pair))[pair]
    parts = [post_stratified("prompt and proxy", cell, target), known_ratio("pair", np.full(len(a), 1.0 / 6.0), logged)]
    weight = combine(*parts).weight
    weight = weight * np.exp(noise * np.random.default_rng(seed).standard_normal(len(weight)))
    frontier = clip_beta_frontier(state, a, b, label, weight, REFERENCE, ridge=RIDGE)
    want = tabular_dpo(expit(world.contrast).mean(axis=1) / 6.0).score
    gap = (frontier.score[0] - want)[..., :, None] - (frontier.score[0] - want)[..., None, :]
    verdict = trust(weight, frontier.top_items)
    first, second = np.triu_indices(4, 1)
    return {
        "score": frontier.score[0],
        "error": float(np.sqrt((gap[:, first, second] ** 2).mean())),
        "n_eff_share": float(weight.sum() ** 2 / (weight**2).sum() / len(weight)),
        "diagnostic": float(verdict.verdict == DIAGNOSTIC),
    }
