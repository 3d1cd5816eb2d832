"""Eba from 13 cassava genotypes, ranked by 1,000 people in two countries: cells that were never asked.

World: real; Olaosebikan et al. (2023), MIT licence. Each ranking of three gives three pairs. State "overall" unless
said otherwise.

Shows: two traits were asked in Nigeria alone and two in Cameroon alone; five genotypes only in Nigeria, three only in
Cameroon. Nobody compared TMS6 with Sape. Pooled over the countries the graph is connected, and a number appears; it
rests on shared rewards, and the five genotypes that both countries know refute those.

Does not show: how TMS6 does in Cameroon, or Sape in Nigeria. Likelihood ratios take the three pairs of a ranking for
independent; intervals resample people.

Where sources err: nowhere found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import bayespref
from bayespref.fit.maximum_likelihood import maximum_likelihood
from bayespref.report.plots_studies import dots
from bayespref.report.plots_style import Figure
from bayespref.studies.real_data import fact, frame, intervals, likelihood_ratio, read, scores
from bayespref.studies.real_data import unavailable as unavailable

SIZES = {"quick": {"resamples": 2_000}, "full": {"resamples": 10_000}}
PAIRS = {
    "Cameroon": [("Game Changer", "Sape"), ("Game Changer", "Obasanjo-2")],
    "Nigeria": [
        ("Game Changer", "Obasanjo-2"),
        ("Game Changer", "TMS1"),
        ("TMS6", "TMEB1"),
        ("TMS6", "Obasanjo-2"),
    ],
}


def cases(*, resamples: int) -> list[dict[str, Any]]:
    """One piece."""
    return [{"resamples": resamples}]


def run_case(*, seed: int, resamples: int) -> list[dict[str, Any]]:
    """Every fact."""
    rows = frame("gari_eba")
    overall = rows[rows["state"] == "overall"]
    both = read(overall, context="country")
    records = scores(maximum_likelihood(both, by=())["score"], group="both countries")
    by_country = maximum_likelihood(both, by=("context",))["score"]
    for country, pairs in PAIRS.items():
        records += scores(by_country.sel(context=country), group=country)
        own = read(overall[overall["country"] == country]).pool("state")
        records += intervals(own, pairs, group=country, resamples=resamples, seed=seed)
    result = bayespref.check(read(rows, context="country"))
    shared = result["items shared between contexts"].numbers
    apart = result["contrasts within a context"].numbers
    common = overall[overall["item_a"].isin(shared["shared"]) & overall["item_b"].isin(shared["shared"])]
    ranks = by_country.sel(item=shared["shared"]).to_series().groupby("context").rank(ascending=False)
    nigeria = overall[overall["country"] == "Nigeria"]
    return [
        *records,
        fact("rank of Game Changer among the shared", ranks["Cameroon", "Game Changer"], group="Cameroon"),
        fact("rank of Game Changer among the shared", ranks["Nigeria", "Game Changer"], group="Nigeria"),
        fact("likelihood ratio", likelihood_ratio(read(common, context="country"), "context"), group="country, shared"),
        fact("comparisons of shared genotypes", len(common)),
        fact("likelihood ratio", likelihood_ratio(read(overall, context="gender"), "context"), group="gender"),
        fact("likelihood ratio", likelihood_ratio(read(nigeria, context="zone"), "context"), group="zone, Nigeria"),
        fact("trait x country cells never asked", len(result["contexts covered"].numbers["cells"])),
        fact("rows on traits of one country", rows["state"].isin(_one_country(rows)).sum()),
        fact("genotypes of one country", len(shared["only"]["Nigeria"]), group="Nigeria"),
        fact("genotypes of one country", len(shared["only"]["Cameroon"]), group="Cameroon"),
        fact("pairs no country saw", apart["n_never_together"]),
        fact("TMS6 and Sape are among them", ["Sape", "TMS6"] in apart["pairs"]),
        fact("connected when pooled", bayespref.check(both.pool("context"))["connected"].verdict == "yes"),
    ]


def _one_country(rows: pd.DataFrame) -> list[str]:
    cells = bayespref.check(read(rows, context="country"))["contexts covered"].numbers["cells"]
    return sorted(str(np.array(cell.split(" / "))[1]) for cell in cells)


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """Scores by country; where a country never saw a genotype there is no dot."""
    return dots(
        table[(table["fact"] == "score") & (table["group"] != "both countries")],
        title="Five genotypes join two countries that disagree about them; TMS6 and Sape met nowhere",
        x_label="Bradley-Terry score within the country, log-odds, centred",
    )
