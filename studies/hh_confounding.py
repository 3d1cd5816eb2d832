"""Confounded prompts, two types: what naive, weighted, typed and latent-type optimisation lose under the target.

World: help-or-harm. Four prompt categories, three completions, two types who ask about different prompts (kappa) and
want different things (alpha); the target is the even product. Loss is the welfare of the best policy minus that of the
policy learned, J* - J, in log-odds of reward, with beta 1 (once 0.3) and an even reference.

Shows: weighted DPO is not the remedy. It removes the confounding and then targets the tilt of pooled log-odds; from
moderate disagreement on it can lose more than no weights. Types fitted (observed, or latent with several labels an
annotator) and then tilted lose nothing in the population, and little in a table.

Does not show: that latent types are found with one label an annotator (they are not identified then), or when the
number of types is wrong (what an imperfect proxy of the type does is the study of proxy quality). The even target needs
no anchor for latent labels; any other does.

Where sources err: weighted DPO's minimiser is said to be the tilt of the type-averaged reward, and the gap between
naive and weighted to grow with confounding and disagreement. Both fail under effect modification.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayespref.choice import choice_data
from bayespref.comparisons import Comparisons
from bayespref.fit.density import make_density
from bayespref.fit.em import find_modes
from bayespref.models import latent_types
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.scenarios import hh_confounding
from bayespref.simulate.world import World
from bayespref.studies.runner import mean_and_error
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.importance import combine, post_stratified
from bayespref.target.population import expected_wins, mass_by_proxy, weighted_mass, welfare_lost
from bayespref.target.tilt import average_reward

SIZES = {
    "quick": {"repetitions": 6, "latent": 0, "alphas": [2.0]},
    "full": {"repetitions": 40, "latent": 2, "alphas": [1.0, 2.0, 4.0]},
}
RIDGE = 0.5
"""Of every fit to a table, in comparisons: at alpha 4 some completion always wins in a small cell."""
EVEN, TARGET, REFERENCE = np.full((4, 2), 0.5), np.full((4, 2), 0.125), np.full((4, 3), 1.0 / 3.0)
KAPPAS = (0.0, 0.5, 0.9, 0.99)


def cases(*, repetitions: int, latent: int, alphas: list[float]) -> list[dict[str, Any]]:
    """Population quantities, then tables of 2,000 annotators with 10 labels each, some with the latent-type fit."""
    population: dict[str, Any] = {"kind": "population", "alpha": float("nan"), "repetitions": 1}
    plain = [{"kind": "finite", "alpha": alpha, "repetitions": repetitions} for alpha in alphas]
    return [
        population,
        *plain,
        *[{"kind": "latent", "alpha": a, "repetitions": 1} for a in alphas for _ in range(latent)],
    ]


def run_case(*, seed: int, kind: str, alpha: float, repetitions: int) -> list[dict[str, Any]]:
    """Losses, one row a setting and method."""
    if kind == "population":
        return _population()
    rows = []
    for repetition in range(repetitions):
        world = hh_confounding(alpha=alpha, kappa=0.9, seed=seed + repetition)
        rewards = {"latent types": _latent(world.comparisons, seed)} if kind == "latent" else _finite(world)
        rows += [
            _row(kind="finite", alpha=alpha, kappa=0.9, method=m, loss=_loss(r, world)) for m, r in rewards.items()
        ]
    return rows


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Mean loss and its error, by setting and method."""
    table = mean_and_error(records, ["kind", "alpha", "kappa", "beta", "method"])
    # Population rows have no Monte-Carlo error, and a single fit claims no allowance for it.
    return table.assign(loss_se=table["loss_se"].fillna(0.0))


def figure(table: pd.DataFrame) -> Figure:
    """Population loss at alpha 2 against kappa."""
    own = table[(table["kind"] == "population") & (table["alpha"] == 2) & (table["beta"] == 1)]
    return curves(
        own,
        x="kappa",
        y="loss",
        by="method",
        title="Weights remove the confounding, not the disagreement; types and a tilt remove both",
        x_label="how far the type decides the prompts (kappa)",
        y_label="welfare lost, J* - J (log-odds)",
    )


def _row(**setting: Any) -> dict[str, Any]:
    return {"beta": 1.0} | setting


def _loss(score: NDArray[np.float64], world: World, beta: float = 1.0) -> float:
    return welfare_lost(score, world.reward, TARGET, REFERENCE, beta)


def _population() -> list[dict[str, Any]]:
    rows = []
    settings = [(a, k, 1.0) for a in (0.0, 1.0, 2.0, 4.0) for k in KAPPAS]
    for alpha, kappa, beta in [*settings, *[(2.0, k, 0.3) for k in KAPPAS]]:
        world = hh_confounding(alpha=alpha, kappa=kappa, n_annotators=1)
        joint = world.prompt_prob * world.type_weight
        weighted = weighted_mass(mass_by_proxy(joint, np.eye(2)), TARGET)
        fits = {
            "naive": tabular_dpo(expected_wins(joint, world.reward)).score,
            "weighted": tabular_dpo(expected_wins(weighted, world.reward)).score,
            "typed": average_reward(world.reward, EVEN),
        }
        setting = {"kind": "population", "alpha": alpha, "kappa": kappa, "beta": beta}
        rows += [_row(**setting, method=method, loss=_loss(score, world, beta)) for method, score in fits.items()]
    return rows


def _finite(world: World) -> dict[str, NDArray[np.float64]]:
    """Scores of one table: no weights, right weights, types observed."""
    rows = world.comparisons
    state, kind = rows.state.astype(int), rows.codes("context").astype(int)
    label, pair = (rows.outcome == 0).astype(float), (rows.item_a, rows.item_b)
    weight = combine(post_stratified("prompt and type", state * 2 + kind, TARGET.ravel())).weight
    typed = tabular_dpo(pair_wins(state * 2 + kind, *pair, label, n_states=8, n_items=3), ridge=RIDGE).score
    return {
        "naive": tabular_dpo(pair_wins(state, *pair, label, n_states=4, n_items=3), ridge=RIDGE).score,
        "weighted": tabular_dpo(pair_wins(state, *pair, label, weight, n_states=4, n_items=3), ridge=RIDGE).score,
        "typed": average_reward(typed.reshape(4, 2, 3), EVEN),
    }


def _latent(rows: Comparisons, seed: int) -> NDArray[np.float64]:
    """Averaged reward at the best posterior mode of two latent types; the context is not read."""
    with jax.enable_x64(True):
        data, outcome = choice_data(rows.pool("context"))
        density = make_density(latent_types, data, {"n_types": 2})
        modes = find_modes(density, data, outcome, rng_key=jax.random.key(seed), n_starts=3, progress=False)
        reward = jax.device_get(density.variables(modes.flat[0], data))["reward"]
    return average_reward(np.asarray(reward), EVEN)
