"""Eight ways to reproduce sound, 40 listeners, four pieces of music: dense answers, taste that depends on the piece.

World: real; Choisel and Wickelmaier (2007), as distributed in the R package psychotools (GPL). 783 blocks of all 28
pairs, no ties.

Shows: the order depends strongly on the piece and weakly on time. Much of the disagreement is noise: a listener repeats
an own choice hardly more often than two answers to the same question agree. Two latent types differ in decisiveness
before they differ in taste.

Does not show: that there are two kinds of listener. Answers of one block are not independent, and the gain in
likelihood is not a test. Presentation order within a pair is not in the data.

Where sources err: nowhere found. The share of repeated choices is .690 averaged over questions and .692 over pairs of
answers; the package counts pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayespref.fit.maximum_likelihood import maximum_likelihood
from bayespref.posterior.statistics import answer_design, circular_share, win_rates
from bayespref.report.plots_studies import dots
from bayespref.report.plots_style import Figure
from bayespref.studies.real_data import agree, fact, frame, likelihood_ratio, read, scores, types
from bayespref.studies.real_data import unavailable as unavailable

SIZES: dict[str, dict[str, Any]] = {"quick": {}, "full": {}}


def cases() -> list[dict[str, Any]]:
    """One piece."""
    return [{}]


def run_case(*, seed: int) -> list[dict[str, Any]]:
    """Every fact. Starts of the types have a seed of their own."""
    rows = frame("sound_quality")
    table, pooled = read(rows), read(rows).pool("state")
    one = maximum_likelihood(pooled, by=())
    records = [fact("score, all", value, item=str(item)) for item, value in one["score"].to_series().items()]
    by_piece = maximum_likelihood(table)["score"]
    ranks = by_piece.to_series().groupby("state").rank(ascending=False)
    for piece in table.states:
        records += scores(by_piece.sel(state=piece), group=piece)
        last = ranks[piece].nlargest(2).index
        records.append(fact("Mono and PhantomMono are last", set(last) == {"Mono", "PhantomMono"}, group=piece))
    for piece, mode in (
        ("Beethoven", "WideStereo"),
        ("Rachmaninov", "WideStereo"),
        ("SteelyDan", "WideStereo"),
        ("SteelyDan", "Original"),
        ("Sting", "Matrix"),
    ):
        records.append(fact("rank", ranks[piece, mode], group=piece, item=mode))
    two = types(pooled, "latent_types", 2, reward_scale=10.0, weight_concentration=1.0)
    mono = two.values["reward"][0, :, pooled.items.index("Mono")]
    for k, name in enumerate(("decisive", "undecided")):
        records += [
            fact("members", two.member[:, k].mean(), group=name),
            fact("score of Mono", mono[k], group=name),
        ]
    blocks = read(rows, annotator="block_id")
    design = answer_design(blocks.state, *_sides(blocks), blocks.codes("annotator"))
    outcome = np.where(blocks.item_a > blocks.item_b, 1 - blocks.outcome, blocks.outcome)
    share = win_rates(outcome, design)
    question = rows.assign(question=rows["rater_id"] + rows["state"] + rows["time"])
    labels = np.bincount(table.codes("annotator"))
    return [
        *records,
        fact("likelihood ratio", likelihood_ratio(table, "state"), group="piece"),
        fact("likelihood ratio", likelihood_ratio(read(rows, context="time"), "context"), group="time"),
        fact("a listener repeats a choice", agree(read(question, annotator="block_id", state="question"))),
        fact("two random answers agree", float((share**2 + (1 - share) ** 2).mean())),
        fact("circular triads", float(circular_share(outcome, design))),
        fact("triads", len(design.triad)),
        fact("log-likelihood", float(one["log_likelihood"]), group="one type"),
        fact("log-likelihood", two.log_likelihood, group="two types"),
        fact("mean probability of the own type", two.member.max(axis=1).mean()),
        fact("median answers of a listener", np.median(labels)),
        fact("least answers of a listener", labels.min()),
    ]


def _sides(table: Any) -> tuple[Any, Any]:
    return np.minimum(table.item_a, table.item_b), np.maximum(table.item_a, table.item_b)


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """Scores by piece."""
    return dots(
        table[table["fact"] == "score"],
        title="What sounds best depends on the piece",
        x_label="Bradley-Terry score, log-odds, centred",
    )
