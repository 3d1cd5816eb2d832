"""Two worlds that fit the data equally well: what a blind region of mass delta and gap H costs.

Shows: on a region B that deployment reaches with probability delta and where two actions differ by up to H, an action
played for sure costs delta H in some world; a coin between the two costs half of it, and no policy can do better. Both
worlds give every observed comparison the same probability, so no data of this kind tell them apart.

Does not show: what the regret is in the world we live in. The two worlds are the worst that the data allow.

Where sources err: "delta H for any possibly randomised algorithm" holds for each realised action, not in expectation;
the value of the game is delta H / 2 with two actions, and delta H (1 - 1/A) with A.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayespref.bounds.regret import minimax_from_offsets, two_world_certificate
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure

SIZES = {"quick": {"n_probabilities": 5}, "full": {"n_probabilities": 21}}
DELTA, GAP = 0.2, 1.0


def cases(*, n_probabilities: int) -> list[dict[str, Any]]:
    """Probabilities of playing the first of two actions, and numbers of actions for the value of the game."""
    played = [{"n_items": 2, "first": float(q)} for q in np.linspace(0.0, 1.0, n_probabilities)]
    return played + [{"n_items": n, "first": float("nan")} for n in (2, 3, 5)]


def run_case(*, seed: int, n_items: int, first: float) -> list[dict[str, Any]]:
    """Worst regret of one policy, or (``first`` NaN) of the best policy there is. Nothing is random here."""
    offsets, apart = np.zeros((1, n_items)), np.arange(n_items)[None]
    if np.isnan(first):
        value = float(minimax_from_offsets(offsets, apart, np.ones(1), (0.0, GAP))[0].value)
        return [{"n_items": n_items, "first": first, "policy": "best", "regret": DELTA * value, "difference": 0.0}]
    worlds = two_world_certificate(offsets, apart, np.ones(1), np.array([first, 1.0 - first]), (0.0, GAP))
    regret, difference = DELTA * float(worlds.regret_high), float(worlds.max_difference)
    return [{"n_items": n_items, "first": first, "policy": "played", "regret": regret, "difference": difference}]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """Worst regret against the probability of the first action."""
    played = table[table["policy"] == "played"].rename(columns={"first": "probability of the first action"})
    return curves(
        played.assign(line="worst of the two worlds"),
        x="probability of the first action",
        y="regret",
        by="line",
        title="A coin halves the worst case; nothing does better",
        levels={"delta H": DELTA * GAP, "delta H / 2": DELTA * GAP / 2},
    )
