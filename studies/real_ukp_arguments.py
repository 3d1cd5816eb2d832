"""1,052 arguments of 32 debates, judged by 3,815 crowd workers: 32 components, and no ranking of all.

World: real; Habernal and Gurevych (2016), CC-BY 4.0. Scores by debate, ties as half wins, ridge 0.01.

Shows: the graph has exactly one component a debate; rewards across debates are not comparable, and `check` says so.
Within debates the scores agree with the published ranks. Longer arguments win. Workers differ in reliability; their own
stance, the negative control, hardly matters.

Does not show: any order across debates. Published ranks and competences come from the same answers, so that agreement
with them is no independent truth.

Where sources err: nowhere found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import bayespref
from bayespref.dims import A_WINS, TIE
from bayespref.graph.connect import connectivity
from bayespref.graph.coverage import coverage
from bayespref.report.plots_studies import dots
from bayespref.report.plots_style import Figure
from bayespref.studies.real_data import fact, frame, penalised, read
from bayespref.studies.real_data import unavailable as unavailable

SIZES: dict[str, dict[str, Any]] = {"quick": {}, "full": {}}
RIDGE = 0.01


def cases() -> list[dict[str, Any]]:
    """One piece."""
    return [{}]


def run_case(*, seed: int) -> list[dict[str, Any]]:
    """Every fact. Nothing is random here."""
    rows = frame("ukpconvarg_crowd", "comparisons.parquet")
    items = frame("ukpconvarg_crowd", "items.csv").set_index("item")
    table = read(rows)
    pooled, each = connectivity(table, by=()), connectivity(table)
    cells = coverage(table, by=("state", "annotator"))
    labels = np.bincount(table.codes("annotator"))
    failed = [line.name for line in bayespref.check(table).checks if line.verdict == "no"]
    records = [
        fact("components", float(pooled["n_components"])),
        fact("strong components", float(pooled["n_strong_components"])),
        fact("debates that are one strong component", (each["n_strong_components"].values == 1).sum()),
        fact("check says that debates are not joined", failed == ["joined across states"]),
        fact("worker x debate cells", cells["empty"].size),
        fact("worker x debate cells observed", float((~cells["empty"]).sum())),
        fact("median judgments of a worker", np.median(labels)),
        fact("most judgments of a worker", labels.max()),
    ]
    for debate in table.states:
        score = penalised(table.select(table.state == table.states.index(debate)), RIDGE)
        for name, column in (("published rank", "rank_score"), ("length in words", "n_words")):
            records.append(
                fact("rank correlation", score.corr(items[column][score.index], method="spearman"), group=name)
                | {"item": debate}
            )
    longer = items["n_words"]
    first, second = (longer[list(table.items)].to_numpy()[side] for side in (table.item_a, table.item_b))
    decided = (table.outcome != TIE) & (first != second)
    won = np.where(first > second, table.outcome == A_WINS, table.outcome != A_WINS)
    records.append(fact("longer argument wins", won[decided].mean()))
    stance = rows["worker_stance"].to_numpy()
    for name in ("same", "opposite", "none"):
        own = stance == name
        records += [
            fact("share of ties", (table.outcome[own] == TIE).mean(), group=name),
            fact("longer argument wins", won[own & decided].mean(), group=name),
        ]
    return records + _reliability(rows)


def _reliability(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Agreement with the gold label by quartile of published competence, weighted by judgments."""
    raters = frame("ukpconvarg_crowd", "raters.csv").set_index("rater_id")["mace_competence"]
    own = rows[(rows["tie"] == 0) & rows["gold_label"].isin(["a1", "a2"])]
    right = (own["label"] == 1.0) == (own["gold_label"] == "a1")
    quartile = pd.qcut(raters[own["rater_id"]].to_numpy(), 4, labels=False)
    records = [fact("agreement with gold", right[quartile == k].mean(), group=f"quartile {k + 1}") for k in range(4)]
    return [*records, fact("agreement with gold", right.mean())]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records, and mean and extremes of the rank correlations over debates."""
    each = records[records["fact"] == "rank correlation"].groupby("group", sort=False)["value"]
    spread = [
        {"fact": f"{name} rank correlation", "group": group, "item": "", "value": value}
        for name, values in (("mean", each.mean()), ("least", each.min()), ("largest", each.max()))
        for group, value in values.items()
    ]
    return pd.concat([records, pd.DataFrame(spread)], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Rank correlations by debate."""
    return dots(
        table[table["fact"] == "rank correlation"],
        title="Debate by debate the scores follow the published ranks (lower is better); longer arguments win",
        x_label="rank correlation of the scores of a debate",
    )
