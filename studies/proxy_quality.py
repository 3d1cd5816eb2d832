"""A proxy of the type that is sometimes wrong: what weighting by it, or typing by it, loses.

World: help-or-harm (two types, four prompt categories, three completions), prompts confounded at kappa .9 unless said.
Each annotator's context names the other type with probability nu. ``weighted`` post-stratifies on prompt and context
and fits one policy; ``typed`` fits a reward per context and tilts their average under the even target; ``naive`` does
neither. Loss is J* - J in log-odds of reward at beta 1. Population rows are exact, finite rows are tables of 2,000
annotators with 10 labels each.

Shows: a worse proxy is not always a worse result. Weighted DPO has two biases. One is that of averaged shares, which
any weights keep; the other is the confounding that a wrong proxy lets back in. At alpha 2 the second first cancels the
first: a proxy that errs once in ten loses less than one that never errs. At nu = .5 the weights no longer tell types
apart and the policy is the naive one, exactly. Typing by the same proxy loses nothing at nu = 0, more with every error,
and as much as naive at .5; from one error in ten on it loses *more* than weighting does here.

Does not show: that a noisy proxy is good. Where the two biases cancel depends on alpha and kappa, which no table of
this kind tells; a small loss at the wrong place is luck. Nor latent types that use the proxy as evidence only: the
study of latent recovery treats those.

Where sources err: the path over nu is presented as a sensitivity analysis in which results revert to naive as the proxy
degrades. Policies do, monotonically; welfare does not (.0497 at nu = 0, .0295 at .1, .0678 at .5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.scenarios import hh_confounding
from bayespref.simulate.world import World
from bayespref.studies.runner import mean_and_error
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.importance import combine, post_stratified
from bayespref.target.population import expected_wins, mass_by_proxy, weighted_mass, welfare_lost
from bayespref.target.tilt import average_reward, exponential_tilt

SIZES = {"quick": {"repetitions": 6}, "full": {"repetitions": 60}}
FLIPS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
SETTINGS = ((1.0, 0.9), (2.0, 0.9), (2.0, 0.5), (4.0, 0.9))
RIDGE = 0.5
"""Of every fit to a table, in comparisons."""
TARGET, REFERENCE = np.full((4, 2), 0.125), np.full((4, 3), 1.0 / 3.0)


def cases(*, repetitions: int) -> list[dict[str, Any]]:
    """Population quantities by setting, then tables by error of the proxy."""
    population = [{"kind": "population", "alpha": a, "kappa": k, "flip": -1.0, "repetitions": 1} for a, k in SETTINGS]
    tables = {"kind": "finite", "alpha": 2.0, "kappa": 0.9, "repetitions": repetitions}
    return population + [tables | {"flip": flip} for flip in FLIPS]


def run_case(
    *, seed: int, kind: str, alpha: float, kappa: float, flip: float, repetitions: int
) -> list[dict[str, Any]]:
    """Loss and distance from the naive policy, one row a method and error of the proxy."""
    rows = []
    if kind == "population":
        world = hh_confounding(alpha=alpha, kappa=kappa, n_annotators=1)
        for nu in FLIPS:
            rows += _rows(_population(world, nu), world, kind=kind, alpha=alpha, kappa=kappa, flip=nu)
        return rows
    for repetition in range(repetitions):
        world = hh_confounding(alpha=alpha, kappa=kappa, proxy_flip=flip, seed=seed + repetition)
        rows += _rows(_finite(world), world, kind=kind, alpha=alpha, kappa=kappa, flip=flip)
    return rows


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Mean loss and its error by setting and method; then, a row a path over nu, the share of steps that move it up."""
    table = mean_and_error(records, ["kind", "alpha", "kappa", "flip", "method"])
    # Population rows are exact.
    table = table.assign(**{name: table[name].fillna(0.0) for name in ("loss_se", "from_naive_se")})
    paths = []
    for (alpha, kappa, method), own in table[table["kind"] == "population"].groupby(["alpha", "kappa", "method"]):
        step = own.sort_values("flip")[["loss", "from_naive"]].diff().iloc[1:]
        share = {"loss_rises": (step["loss"] > 0).mean(), "from_naive_falls": (step["from_naive"] < 0).mean()}
        paths.append({"kind": "path", "alpha": alpha, "kappa": kappa, "flip": -1.0, "method": method} | share)
    return pd.concat([table, pd.DataFrame(paths)], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Loss at alpha 2 and kappa .9 against the error of the proxy."""
    own = table[(table["kind"] == "population") & (table["alpha"] == 2) & (table["kappa"] == 0.9)]
    return curves(
        own,
        x="flip",
        y="loss",
        by="method",
        title="A worse proxy of the type: weighting loses less before it loses more, typing loses more from the start",
        x_label="share of annotators whose proxy names the other type (nu)",
        y_label="welfare lost, J* - J (log-odds)",
    )


def _rows(score: dict[str, NDArray[np.float64]], world: World, **setting: Any) -> list[dict[str, Any]]:
    policy = {name: exponential_tilt(one, REFERENCE, 1.0).policy for name, one in score.items()}
    return [
        setting
        | {
            "method": name,
            "loss": welfare_lost(one, world.reward, TARGET, REFERENCE, 1.0),
            "from_naive": float(np.abs(policy[name] - policy["naive"]).max()),
        }
        for name, one in score.items()
    ]


def _population(world: World, flip: float) -> dict[str, NDArray[np.float64]]:
    """Scores that infinitely many rows would give."""
    joint = world.prompt_prob * world.type_weight
    seen = mass_by_proxy(joint, np.array([[1.0 - flip, flip], [flip, 1.0 - flip]]))
    by_proxy = [tabular_dpo(expected_wins(seen[:, :, c], world.reward)).score for c in (0, 1)]
    return {
        "naive": tabular_dpo(expected_wins(joint, world.reward)).score,
        "weighted": tabular_dpo(expected_wins(weighted_mass(seen, TARGET), world.reward)).score,
        "typed": average_reward(np.stack(by_proxy, axis=1), np.full((4, 2), 0.5)),
    }


def _finite(world: World) -> dict[str, NDArray[np.float64]]:
    """Scores of one table."""
    rows = world.comparisons
    state, context = rows.state.astype(int), rows.codes("context").astype(int)
    columns = (rows.item_a, rows.item_b, (rows.outcome == 0).astype(float))
    weight = combine(post_stratified("prompt and proxy", state * 2 + context, TARGET.ravel())).weight
    by_proxy = tabular_dpo(pair_wins(state * 2 + context, *columns, n_states=8, n_items=3), ridge=RIDGE).score
    return {
        "naive": tabular_dpo(pair_wins(state, *columns, n_states=4, n_items=3), ridge=RIDGE).score,
        "weighted": tabular_dpo(pair_wins(state, *columns, weight, n_states=4, n_items=3), ridge=RIDGE).score,
        "typed": average_reward(by_proxy.reshape(4, 2, 3), np.full((4, 2), 0.5)),
    }
