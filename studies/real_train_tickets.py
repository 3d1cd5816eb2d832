"""2,929 choices between two train tickets: published estimates, two kinds of traveller, structure that joins 111 parts.

World: real and bundled; Ben-Akiva, Bolduc and Bradley (1993). 235 travellers, tickets with price, time, changes and
comfort; prices in euros, time in hours.

Shows: one type gives the published estimates. Types are real: two value an hour at 52 and 17 euros. As a table of
rewards the 1,785 tickets fall into 111 components; only linearity in four attributes joins them, and the package says
"structure", not "data".

Does not show: that linearity is right, nor the number of types: the likelihood still rises at four.

Where sources err: nowhere found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayespref import load_train_tickets
from bayespref.graph.connect import connectivity
from bayespref.report.plots_studies import dots
from bayespref.report.plots_style import Figure
from bayespref.studies.real_data import fact, types

SIZES = {"quick": {"most_types": 2}, "full": {"most_types": 4}}


def cases(*, most_types: int) -> list[dict[str, Any]]:
    """A number of types a piece; the graph goes with the first."""
    return [{"n_types": n} for n in range(1, most_types + 1)]


def run_case(*, seed: int, n_types: int) -> list[dict[str, Any]]:
    """Coefficients and likelihood. Starts of the types have a seed of their own."""
    table = load_train_tickets()
    found = types(table, "linear_types", n_types, starts=10, reward_scale=1e3, weight_concentration=1.0)
    coefficient = pd.DataFrame(found.values["coefficient"], columns=list(table.feature_names))
    group = f"{n_types} type" + "s" * (n_types > 1)
    records = [fact("log-likelihood", found.log_likelihood, group=group)]
    for k, row in coefficient.iterrows():
        own = group if n_types == 1 else f"{group}, no. {int(str(k)) + 1}"
        records += [fact("coefficient", value, group=own, item=str(name)) for name, value in row.items()]
        records += [fact("worth in euros", row[name] / row["price"], group=own, item=str(name)) for name in row.index]
        records.append(fact("share", found.weight[int(str(k))], group=own))
    if n_types > 1:
        return records
    graph = connectivity(table, by=())
    return [
        *records,
        fact("tickets", table.n_items),
        fact("pairs compared", float(graph["n_pairs"])),
        fact("components", float(graph["n_components"])),
        fact("largest component", np.bincount(graph["component"].values).max()),
    ]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """What an hour, a change and a class of comfort are worth, by type."""
    own = table[(table["fact"] == "worth in euros") & (table["item"] != "price")]
    own = own[own["group"].str.startswith(("1 ", "2 "))]
    group = {"1 type": "all alike", "2 types, no. 1": "type 1 of 2", "2 types, no. 2": "type 2 of 2"}
    words = {"time": "an hour less", "change": "a change less", "comfort": "a class of comfort"}
    return dots(
        own.assign(item=own["item"].map(words), group=own["group"].map(group)),
        title="Two kinds of traveller: an hour is worth 52 euros to one and 17 to the other",
        x_label="worth in euros (coefficient over that of price)",
    )
