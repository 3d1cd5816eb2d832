"""Human votes between six language models (MT-bench): what 3,355 votes of 65 judges separate, and what not.

World: real; Zheng et al. (2023), CC-BY-4.0. Eight prompt categories, ties as half wins unless said otherwise.

Shows: the published order with the published strengths; categories matter and the kind of judge does not; GPT-4 as a
judge gives the same order, stretched. In coding and in writing another model than gpt-4 is nominally first, and the
intervals over resampled judges hold zero: cases for deferral, not for a switch.

Does not show: which model is best in coding or writing, or any order for people unlike these judges. Agreement counts
pairs of votes on one answer pair; judges gave 4 to 205 votes, so rewards of single judges are weakly identified.

Where sources err: nowhere found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayespref.dims import TIE
from bayespref.fit.maximum_likelihood import maximum_likelihood
from bayespref.graph.connect import connectivity
from bayespref.graph.coverage import coverage
from bayespref.report.plots_studies import dots
from bayespref.report.plots_style import Figure
from bayespref.studies.real_data import agree, fact, frame, intervals, likelihood_ratio, read, scores
from bayespref.studies.real_data import unavailable as unavailable

SIZES = {"quick": {"resamples": 2_000}, "full": {"resamples": 10_000}}
PUBLISHED = {"gpt-4": 8.99, "gpt-3.5-turbo": 7.94, "claude-v1": 7.90, "vicuna-13b-v1.2": 6.39, "alpaca-13b": 4.53}
"""MT-bench scores of the LMSYS post of 2023-06-22 (there vicuna v1.3)."""


def cases(*, resamples: int) -> list[dict[str, Any]]:
    """One piece."""
    return [{"resamples": resamples}]


def run_case(*, seed: int, resamples: int) -> list[dict[str, Any]]:
    """Every fact."""
    votes, verdicts = frame("mtbench_human"), frame("mtbench_human", "gpt4_comparisons.csv")
    table = read(votes)
    by_category = maximum_likelihood(table)["score"]
    overall = maximum_likelihood(table, by=())["score"]
    records = scores(overall, group="humans")
    dropped = maximum_likelihood(table, by=(), ties="drop")["score"].to_series()
    records += [fact("score, ties dropped", value, item=str(item)) for item, value in dropped.items()]
    records += scores(maximum_likelihood(read(verdicts), by=())["score"], group="GPT-4 as judge")
    published = pd.Series(PUBLISHED)
    rank = overall.to_series()[published.index].corr(published, method="spearman")
    records.append(fact("rank correlation with the published scores", rank))
    for category in ("coding", "writing", "math", "reasoning"):
        score = by_category.sel(state=category).to_series()
        records += [fact("score in a category", value, group=category, item=str(item)) for item, value in score.items()]
    first = by_category.idxmax("item")
    records += [
        fact("categories where gpt-4 is first", float((first == "gpt-4").sum())),
        fact("likelihood ratio", likelihood_ratio(table, "state"), group="category"),
        fact("likelihood ratio", likelihood_ratio(read(votes, context="rater_type"), "context"), group="rater type"),
    ]
    for category, pair in (
        ("coding", ("gpt-3.5-turbo", "gpt-4")),
        ("writing", ("claude-v1", "gpt-4")),
        ("humanities", ("gpt-4", "claude-v1")),
        ("stem", ("gpt-4", "claude-v1")),
    ):
        own = read(votes[votes["state"] == category]).pool("state")
        records += intervals(own, [pair], group=category, resamples=resamples, seed=seed)
    pairs = [("gpt-4", "claude-v1"), ("claude-v1", "gpt-3.5-turbo")]
    records += intervals(table.pool("state"), pairs, group="overall", resamples=resamples, seed=seed)
    return records + _agreement(votes, verdicts) + _design(votes)


def _agreement(votes: pd.DataFrame, verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """Agreement on the same two answers, with ties and on votes that are none."""
    records = []
    every = pd.concat([votes, verdicts])
    experts = votes[votes["rater_type"] == "expert"]
    for group, rows, judge in (
        ("humans", votes, None),
        ("experts", experts, None),
        ("GPT-4 with a human", every, "gpt4_pair"),
    ):
        table = read(rows, state="context_id")
        records += [
            fact("agreement", agree(table, judge=judge), group=group),
            fact("agreement without ties", agree(table.select(table.outcome != TIE), judge=judge), group=group),
        ]
    return records


def _design(votes: pd.DataFrame) -> list[dict[str, Any]]:
    """What was asked."""
    table = read(votes)
    graph, cells = connectivity(table), coverage(table, by=("state", "annotator"))
    labels = np.bincount(table.codes("annotator"))
    return [
        fact("categories strongly connected", (graph["n_strong_components"].values == 1).sum()),
        fact("category x judge cells observed", float((~cells["empty"]).sum())),
        fact("least votes of a judge", labels.min()),
        fact("median votes of a judge", np.median(labels)),
        fact("most votes of a judge", labels.max()),
    ]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """Strengths by humans and by GPT-4."""
    return dots(
        table[table["fact"] == "score"],
        title="GPT-4 as a judge gives the order of the humans, stretched",
        x_label="Bradley-Terry score, log-odds, centred",
    )
