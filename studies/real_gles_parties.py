"""Five parties, 1,929 German voters in East and West: a known regional difference, and latent types that are not it.

World: real; pre-election study GLES 2013, as distributed in the R package BTLLasso (GPL). Ties as half wins.

Shows: the Left Party is far stronger in the East; gender, the negative control, hardly matters. Two latent types are
left against right, not East against West. Every region is covered, and nothing is flagged.

Does not show: the electorate. The East is over-sampled; weights to a declared population are another matter. The
answers look derived from one rating a party (no triad is circular), so that likelihood ratios are too large; intervals
resample people.

Where sources err: nowhere found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import bayespref
from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, B_WINS, TIE
from bayespref.fit.maximum_likelihood import maximum_likelihood
from bayespref.posterior.statistics import answer_design, circular_share, win_rates
from bayespref.report.plots_studies import dots
from bayespref.report.plots_style import Figure
from bayespref.studies.real_data import fact, frame, intervals, likelihood_ratio, read, scores, types
from bayespref.studies.real_data import unavailable as unavailable

SIZES = {"quick": {"resamples": 2_000}, "full": {"resamples": 10_000}}
PAIRS = [("Left_Party", "CDU/CSU"), ("Left_Party", "Greens"), ("SPD", "CDU/CSU")]


def cases(*, resamples: int) -> list[dict[str, Any]]:
    """One piece."""
    return [{"resamples": resamples}]


def run_case(*, seed: int, resamples: int) -> list[dict[str, Any]]:
    """Every fact."""
    rows = frame("gles2013_parties")
    table = read(rows, context="region")
    by_region = maximum_likelihood(table, by=("context",))["score"]
    records = [
        fact("score, all", value, item=str(item))
        for item, value in maximum_likelihood(table, by=())["score"].to_series().items()
    ]
    for region in table.contexts:
        records += scores(by_region.sel(context=region), group=region)
        own = read(rows[rows["region"] == region]).pool("state")
        records += intervals(own, PAIRS, group=region, resamples=resamples, seed=seed)
        records.append(fact("Left Party over CDU/CSU", _share(own, "Left_Party", "CDU/CSU"), group=region))
    sides = _sorted(table)
    design = answer_design(sides.state, sides.item_a, sides.item_b, sides.annotator)
    found = types(_half_wins(table.pool("context")), "latent_types", 2, reward_scale=10.0, weight_concentration=1.0)
    home = pd.Series(rows.groupby("rater_id")["region"].first()).loc[list(table.annotators)].to_numpy()
    for k, name in enumerate(("left-leaning", "CDU/CSU-leaning")):
        records.append(fact("share of a type", found.weight[k], group=name))
        own_scores = dict(zip(table.items, found.values["reward"][0, k].tolist(), strict=True))
        records += [fact("score of a type", value, group=name, item=item) for item, value in own_scores.items()]
    return [
        *records,
        fact("left-leaning, mean membership", found.member[home == "East", 0].mean(), group="East"),
        fact("left-leaning, mean membership", found.member[home == "West", 0].mean(), group="West"),
        fact("likelihood ratio", likelihood_ratio(table, "context"), group="region"),
        fact("likelihood ratio", likelihood_ratio(read(rows, context="gender"), "context"), group="gender"),
        fact("circular triads", float(circular_share(sides.outcome, design))),
        fact("checks that fail", sum(line.verdict == "no" for line in bayespref.check(table).checks)),
    ]


def _share(table: Comparisons, item: str, other: str) -> float:
    """Share of answers for the first of two items, ties as half."""
    sides = _sorted(table)
    design = answer_design(sides.state, sides.item_a, sides.item_b, None)
    low, high = sorted((table.items.index(item), table.items.index(other)))
    share = float(win_rates(sides.outcome, design)[(design.cell_a == low) & (design.cell_b == high)].item())
    return share if table.items.index(item) == low else 1.0 - share


def _sorted(table: Comparisons) -> Comparisons:
    """Every row with the lower item code first."""
    swap = table.item_a > table.item_b
    return replace(
        table,
        item_a=np.where(swap, table.item_b, table.item_a),
        item_b=np.where(swap, table.item_a, table.item_b),
        outcome=np.where(swap & (table.outcome < TIE), 1 - table.outcome, table.outcome),
    )


def _half_wins(table: Comparisons) -> Comparisons:
    """Every tie as half a win for either side, as the source counts them."""
    tie = table.outcome == TIE
    rows = np.concatenate([np.arange(table.n_rows), np.flatnonzero(tie)])
    outcome = table.outcome[rows].copy()
    outcome[: table.n_rows][tie], outcome[table.n_rows :] = A_WINS, B_WINS
    return replace(table.select(rows), outcome=outcome, weight=np.where(tie[rows], 0.5, 1.0))


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """Scores by region."""
    return dots(
        table[table["fact"] == "score"],
        title="The Left Party is third in the East and last in the West",
        x_label="Bradley-Terry score, log-odds, centred",
    )
