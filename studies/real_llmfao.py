"""Crowd workers on answers of 59 language models to 13 prompts: published scores, and prompts that have none.

World: real; Ustalov (llmfao), CC BY 4.0, 8,931 judgments of 124 workers, 38.9 % ties. Ties as half wins.

Shows: pooled over prompts the published order comes out exactly. By prompt it does not exist everywhere: five prompts
are connected but not strongly connected, so that the unpenalised estimate is infinite; four lack models; in "sally"
nearly all answers fail. Language models as judges agree with the crowd only in part, and one prefers the left answer.

Does not show: the best model of a prompt type beyond a ridge of 0.05, which decides where estimates would be infinite.

Where sources err: nowhere found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import bayespref
from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, TIE
from bayespref.fit.maximum_likelihood import maximum_likelihood
from bayespref.graph.connect import connectivity
from bayespref.graph.coverage import coverage
from bayespref.report.plots_studies import dots
from bayespref.report.plots_style import Figure
from bayespref.studies.real_data import agree, fact, frame, penalised, read, scores
from bayespref.studies.real_data import unavailable as unavailable

SIZES: dict[str, dict[str, Any]] = {"quick": {}, "full": {}}
FEWEST, RIDGE = 30, 0.05
BEST = {
    "creativity": ["GPT 4"],
    "reflexion": ["GPT 4"],
    "instruct": ["GPT 3.5 Turbo (16k)", "command-nightly"],
    "knowledge": ["Mythalion 13B"],
}


def cases() -> list[dict[str, Any]]:
    """One piece."""
    return [{}]


def run_case(*, seed: int) -> list[dict[str, Any]]:
    """Every fact. Nothing is random here."""
    table = read(frame("llmfao_crowd"))
    score = maximum_likelihood(table, by=())["score"].to_series()
    reference = frame("llmfao_crowd", "reference_scores.csv")
    published = reference[reference["algorithm"] == "bradley_terry"].set_index("item")["score"]
    records = [
        fact("rank correlation with the published scores", score.corr(published[score.index], method="spearman")),
        fact("largest distance from the published order", (score.rank() - published[score.index].rank()).abs().max()),
    ]
    ends = score.sort_values(ascending=False).iloc[[*range(6), -3, -2, -1]]
    records += scores({str(item): value for item, value in ends.items()}, group="crowd")
    for group, file in (("GPT-3.5", "gpt3_comparisons.csv"), ("GPT-4", "gpt4_comparisons.csv"), ("crowd", None)):
        judge = read(frame("llmfao_crowd", file)) if file else table
        records.append(fact("left answer preferred", _left(judge), group=group))
        if file:
            own = penalised(judge, RIDGE)
            records.append(fact("rank correlation with the crowd", own.corr(score, method="spearman"), group=group))
    records += [
        fact("agreement", agree(table)),
        fact("agreement without ties", agree(table.select(table.outcome != TIE))),
    ]
    for kind, best in BEST.items():
        rows = frame("llmfao_crowd")
        own = penalised(read(rows[rows["prompt_type"] == kind]), RIDGE)
        records += [fact("rank", own.rank(ascending=False)[model], group=kind, item=model) for model in best]
    return records + _workers(table) + _design(table)


def _left(table: Comparisons) -> float:
    return float(np.where(table.outcome == A_WINS, 1.0, np.where(table.outcome == TIE, 0.5, 0.0)).mean())


def _workers(table: Comparisons) -> list[dict[str, Any]]:
    labels = np.bincount(table.codes("annotator"))
    ties = np.bincount(table.codes("annotator"), table.outcome == TIE) / labels
    many = ties[labels >= FEWEST]
    return [
        fact("workers with 30 judgments", len(many)),
        fact("least share of ties", many.min()),
        fact("mean share of ties", many.mean()),
        fact("spread of the share of ties", many.std(ddof=1)),
        fact("largest share of ties", many.max()),
    ]


def _design(table: Comparisons) -> list[dict[str, Any]]:
    graph, result = connectivity(table), bayespref.check(table)
    missing = result["every item in every state"].numbers
    cells = coverage(table, by=("state", "annotator"))
    strong = graph["n_strong_components"].to_series()
    records = [fact("strong components", n, group=str(prompt)) for prompt, n in strong.items() if n > 1]
    for prompt, n in missing["n_missing_by_stratum"].items():
        records.append(fact("models seen", table.n_items - n, group=prompt))
    sally = table.outcome[table.state == table.states.index("sally")]
    infinite = (maximum_likelihood(table)["reason"] == "separated").any(("item", "item_other"))
    return [
        *records,
        fact("prompts connected", (graph["n_components"].values == 1).sum()),
        fact("prompts with infinite or undefined estimates", float(infinite.sum())),
        fact("model x prompt cells", missing["n_cells"]),
        fact("model x prompt cells observed", missing["n_observed"]),
        fact("worker x prompt cells", cells["empty"].size),
        fact("worker x prompt cells observed", float((~cells["empty"]).sum())),
        fact("share of ties", (sally == TIE).mean(), group="sally"),
        fact("share of ties", (table.outcome == TIE).mean()),
    ]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """Strong components by prompt."""
    own = table[table["fact"] == "strong components"].assign(item=lambda t: t["group"], group="strong components")
    return dots(
        own,
        title="Five of 13 prompts have no finite scores: connected, but not strongly",
        x_label="strong components (finite scores need one)",
    )
