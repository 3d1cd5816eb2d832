"""The blind spot: two of eight (state, type) cells are never asked about, and everything looks well.

World: rewards u(s, a) + v(c, a) + h(s, c, a), each part standard normal, types observed; the cells of B hold a mass eps
each. ``posterior`` is ``pooled_types`` with the prior the truth is drawn from; ``saturated`` and ``additive`` are
refits of the same labels from other initial values, with hardly any prior.

Shows: with more data error falls where people asked, and does not move on B while eps = 0. The posterior's disagreement
equals its true error at every eps. Retrained models do not know: at eps = .001 saturated refits agree perfectly and are
wrong in one sign of seven; an additive model agrees everywhere and is wrong in one of three. Policies that optimise
harder promise more on B and deliver no more.

Does not show: that disagreement is a coverage test. A model without interactions agrees where nothing was observed;
flags of coverage are computed from counts and stand apart.

Where sources err: "seeds disagree on B at chance" depends on the model class; it holds for the saturated one alone.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayespref.report.plots_studies import blind_spot
from bayespref.report.plots_style import Figure
from bayespref.workflow.blind_spots import MASSES, blind_spot_table

SIZES = {"quick": {"worlds": 12}, "full": {"worlds": 60}}
SHARED_SEED = True
TEMPERATURES = (3.0, 1.0, 0.3, 0.1, 0.03)


def cases(*, worlds: int) -> list[dict[str, Any]]:
    """Posteriors over masses and sizes, retrained models over masses, and policies over temperatures."""
    posterior = {"learner": "posterior", "retrained": False, "draws": 40, "temperature": 0.1, "worlds": worlds}
    refit = {"retrained": True, "draws": 10, "temperature": 0.1, "worlds": max(6, worlds // 2), "n": [20_000]}
    return [
        posterior | {"n": [20_000], "eps": list(MASSES)},
        posterior | {"n": [2_000, 200_000], "eps": [0.0]},
        refit | {"learner": "saturated", "eps": [0.0, 0.001]},
        refit | {"learner": "additive", "eps": [0.0]},
        *[posterior | {"n": [20_000], "eps": [0.0], "temperature": t} for t in TEMPERATURES if t != 0.1],
    ]


def run_case(
    *,
    seed: int,
    learner: str,
    retrained: bool,
    draws: int,
    temperature: float,
    worlds: int,
    n: list[int],
    eps: list[float],
) -> list[dict[str, Any]]:
    """One row a mass and size; every piece sees the same worlds, so that rows can be compared."""
    table = blind_spot_table(
        learner,
        eps=eps,
        n_comparisons=n,
        worlds=worlds,
        draws=draws,
        retrained=retrained,
        temperature=temperature,
        seed=1000 * seed,
    )
    fit = f"{learner}, retrained" if retrained else learner
    return [
        {str(name): value for name, value in row.items()}
        for row in table.assign(fit=fit, temperature=temperature).to_dict("records")
    ]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The rows, with how far disagreement is from error."""
    return records.assign(gap_b=records["disagreement_b"] - records["error_b"])


def figure(table: pd.DataFrame) -> Figure:
    """The headline figure."""
    hard = table[(table["fit"] == "posterior") & (table["n"] == 20_000) & (table["eps"] == 0)]
    title = "Never asked: more data do not help, refits that agree are no comfort, optimisation steers right there"
    return blind_spot(table[table["temperature"] == 0.1], hard, title=title)
