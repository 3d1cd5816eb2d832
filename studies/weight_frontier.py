"""Clipping importance weights: variance against a moved target, by size of the table.

World: help-or-harm at alpha 1.5 and kappa .9, one label an annotator, pairs shown with probabilities .6, .3, .1; the
target is even over prompts, types and pairs. Weights are the true ratios. Excess risk is the mean DPO loss under the
target beyond that of the best score, in thousandths of a nat.

Shows: at 500 rows a cap of 5 beats no cap by a little; at 4,000 rows every cap loses. Clipping buys variance with a
bias that more rows do not pay back. A lower cap always buys effective size (n_eff/n from .34 to .78), so effective size
alone is no guide to a cap.

Does not show: a cap for other weights. These are right; where weights are wrong as well as heavy, see the telemetry
study. Nor a frontier over beta: the risk compared here does not depend on it. The ridge is part of every number: beside
4,000 rows one of .02 costs more than the weights do.

Where sources err: the printed frontier is said to be made with a ridge of .02, and clipped weights are to be
self-normalised. With that, the risk without a cap is 7.5 at 4,000 rows, not 3.9 (eleven standard errors). The printed
numbers follow in all eight cells, within 1.7 standard errors of the difference, from a ridge of .01 |z|^2 / 2 beside
the mean loss and weights left as they were cut; self-normalised ones at this ridge give 25.1 at cap 1, not 23.4 (three
errors). Errors: 400 tables here, 60 there. Both recipes are in the table; the order of the caps is the same in each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.scenarios import hh_confounding
from bayespref.studies.runner import mean_and_error
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.importance import clipped, combine, known_ratio
from bayespref.target.population import expected_wins, target_risk
from bayespref.weights import clip, tail

SIZES = {"quick": {"tables": 60, "n_rows": [500, 4000]}, "full": {"tables": 400, "n_rows": [500, 1000, 4000, 16000]}}
_AT_ONCE = 20
CAPS = (np.inf, 5.0, 2.0, 1.0)
RIDGES = (0.01, 0.02)
"""Of ridge |z|^2 / 2 beside the mean loss."""
NORMALISED, AS_CUT = "self-normalised", "as cut"
ALPHA, KAPPA = 1.5, 0.9
LOGGED = np.array([[0.0, 0.3, 0.15], [0.3, 0.0, 0.05], [0.15, 0.05, 0.0]])
"""Probability of each ordered pair in the log."""
EVEN = np.full((4, 2), 0.125)


def cases(*, tables: int, n_rows: list[int]) -> list[dict[str, Any]]:
    """Batches of tables by size."""
    return [{"n": n, "tables": min(_AT_ONCE, tables - start)} for n in n_rows for start in range(0, tables, _AT_ONCE)]


def run_case(*, seed: int, n: int, tables: int) -> list[dict[str, Any]]:
    """Excess risk of every table under every cap, ridge and scaling of the weights."""
    setting: dict[str, Any] = {"alpha": ALPHA, "kappa": KAPPA, "pair_prob": LOGGED, "labels_per_annotator": 1}
    world = hh_confounding(n_annotators=1, **setting)
    wanted = expected_wins(EVEN, world.reward)
    best = target_risk(tabular_dpo(wanted).score, wanted)
    joint = world.prompt_prob * world.type_weight
    records = []
    for table in range(tables):
        rows = hh_confounding(n_annotators=n, seed=seed + table, **setting).comparisons
        state, kind, a, b = rows.state.astype(int), rows.codes("context").astype(int), rows.item_a, rows.item_b
        weight = combine(
            known_ratio("prompt and type", np.full(n, 0.125), joint[state, kind]),
            known_ratio("pair", np.full(n, 1.0 / 6.0), LOGGED[a, b]),
        ).weight
        label = (rows.outcome == 0).astype(float)
        for cap in CAPS:
            cut = weight if np.isposinf(cap) else clip(weight, cap)
            share = float(tail(cut).share_eff)
            for scaling, used in ((AS_CUT, cut), (NORMALISED, clipped(weight, cap).weight)):
                wins = pair_wins(state, a, b, label, used, n_states=4, n_items=3)
                for ridge in RIDGES:
                    excess = target_risk(tabular_dpo(wins, ridge=ridge * n).score, wanted) - best
                    records.append(
                        {"n": n, "cap": cap, "weights": scaling, "ridge": ridge}
                        | {"excess": 1e3 * float(excess), "n_eff_share": share}
                    )
    return records


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Mean excess risk by size, cap, scaling and ridge, and how far each cap lies above no cap, table by table."""
    by = ["n", "weights", "ridge"]
    each = records.assign(table=records.groupby([*by, "cap"]).cumcount())
    whole = each[np.isposinf(each["cap"])].set_index([*by, "table"])["excess"]
    each["over_no_cap"] = each["excess"] - whole.loc[pd.MultiIndex.from_frame(each[[*by, "table"]])].to_numpy()
    return mean_and_error(each.drop(columns="table"), [*by, "cap"])


def figure(table: pd.DataFrame) -> Figure:
    """Excess risk against the size of the table by cap, by the recipe of the printed frontier."""
    own = table[(table["weights"] == AS_CUT) & (table["ridge"] == RIDGES[0])]
    names = {cap: "no cap" if np.isposinf(cap) else f"cap {cap:g}" for cap in CAPS}
    drawn = curves(
        own.assign(line=own["cap"].map(names)),
        x="n",
        y="excess",
        by="line",
        log_x=True,
        title="Clipping gains a little in small tables and loses in large ones",
        x_label="rows",
        y_label="excess risk (nats / 1000)",
    )
    drawn.axes[0].set_ylim(0.0, 40.0)  # room for the legend
    return drawn
