"""The blind spot: two of eight (state, type) cells are never asked about, and everything looks well.

World: rewards u(s, a) + v(c, a) + h(s, c, a), each part standard normal, types observed; the cells of B hold a mass eps
each. ``posterior`` is ``pooled_types`` with the prior the truth is drawn from; ``saturated`` and ``additive`` are
refits of the same labels from other initial values, with hardly any prior.

Shows: with more data error falls where people asked, and does not move on B while eps = 0. The posterior's disagreement
equals its true error at every eps. Retrained models do not know: at eps = .001 saturated refits agree perfectly and are
wrong in one sign of seven; an additive model agrees everywhere and is wrong in one of three; a neural network refitted
to a table that says nothing of B disagrees in one of ten and is wrong in one of three. Policies that start from one
that knows B and optimise harder promise more on B and deliver less (``amplification`` has the whole of it).

Does not show: that disagreement is a coverage test. A model without interactions agrees where nothing was observed;
flags of coverage are computed from counts and stand apart.

Where sources err: "seeds disagree on B at chance" depends on the model class; it holds for the saturated one alone. The
network of the published row (.101 disagreement, .316 error at eps = 0; .003, .167 at .001) is not described. This one
has 64 tanh units, Adam on all labels and a weight decay of 1e-5; others tried (ReLU, two layers, decay 0 to 1e-4) gave
.03 to .23 disagreement and .22 to .33 error at eps = 0, and .008 to .025 and .11 to .15 at .001.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayespref.report.plots_studies import blind_spot
from bayespref.report.plots_style import Figure
from bayespref.workflow.blind_spots import MASSES, TEMPERATURE, amplification_table, blind_spot_table

SIZES = {"quick": {"worlds": 12, "refit_n": [20_000]}, "full": {"worlds": 60, "refit_n": [20_000, 200_000]}}
SHARED_SEED = True
TEMPERATURES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03)


def cases(*, worlds: int, refit_n: list[int]) -> list[dict[str, Any]]:
    """Posteriors over masses and sizes, retrained models over masses, and tilts of a reference."""
    posterior = {"learner": "posterior", "retrained": False, "draws": 40, "worlds": worlds}
    refit = {"retrained": True, "draws": 10, "worlds": max(6, worlds // 2), "n": refit_n}
    return [
        posterior | {"n": [20_000], "eps": list(MASSES)},
        posterior | {"n": [2_000, 200_000], "eps": [0.0]},
        refit | {"learner": "saturated", "eps": [0.0, 0.001]},
        refit | {"learner": "additive", "eps": [0.0]},
        refit | {"learner": "mlp", "eps": [0.0, 0.001]},
        posterior | {"n": [20_000], "eps": [0.0], "tilts": True},
    ]


def run_case(
    *,
    seed: int,
    learner: str,
    retrained: bool,
    draws: int,
    worlds: int,
    n: list[int],
    eps: list[float],
    tilts: bool = False,
) -> list[dict[str, Any]]:
    """One row a mass and size; every piece sees the same worlds, so that rows can be compared."""
    same: dict[str, Any] = {"worlds": worlds, "draws": draws, "retrained": retrained, "seed": 1000 * seed}
    fit = f"{learner}, retrained" if retrained else learner
    if tilts:
        table = amplification_table(learner, temperatures=TEMPERATURES, reference="informed", eps=eps, **same)
        table = table[table["policy"] != "minimax"].assign(fit=fit + ", " + table["policy"], n=n[0])
    else:
        table = blind_spot_table(learner, eps=eps, n_comparisons=n, **same)
        table = table.assign(fit=fit, temperature=TEMPERATURE)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The rows, with how far disagreement is from error."""
    return records.assign(gap_b=records["disagreement_b"] - records["error_b"])


def figure(table: pd.DataFrame) -> Figure:
    """The headline figure."""
    hard = table[table["fit"].isin(["posterior, tilt", "posterior, reference"])]
    title = "Never asked: more data do not help, refits that agree are no comfort, optimisation steers right there"
    return blind_spot(table[~table.index.isin(hard.index)], hard, title=title)
