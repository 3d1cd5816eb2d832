"""Optimising against a reward nobody measured: what tilts promise and deliver on a blind spot as beta falls.

World: that of ``blind-spot`` at eps = 0. A policy tilts a reference by rewards it believes, ``pi = ref exp(r / beta)``.
The reference is ``even``, or ``informed``: ``softmax(true reward)``, as a pretrained policy that does well on B for
reasons the comparisons do not contain. Rewards are draws of the posterior under the prior the truth is drawn from, or
refits of other models. ``reference`` keeps the start on B, which is what coverage advises; ``minimax`` plays on B the
policy of least worst-case regret, an even one.

Shows: from an informed start, the harder the tilt the more it promises on B and the less it delivers: with the right
posterior 1.3 falls to .7 while the promise rises from .6 to 1.7; with saturated refits 1.3 falls to .1, with a
network's to .8. In support the same tilts gain .4, so a test there applauds. Keeping the start on B loses nothing;
worst-case regret on B is least for minimax, 9 of 12, whatever the pressure.

Does not show: that the true value always falls. From an even start a right posterior's tilt gains .6 on B, where it
promises 1.7 and 1.7 is the most there is. Nor that minimax is good on average: it insures against the worst world at
the price of what the start knew. Handing B to a person pays where that costs less than ``regret_b``.

Where sources err: "predicted value rises, true value falls" needs a start that knows more of B than the model does.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayespref.report.plots_studies import amplification
from bayespref.report.plots_style import Figure
from bayespref.workflow.blind_spots import MASSES, amplification_table

SIZES = {
    "quick": {"worlds": 12, "refits": ["saturated"]},
    "full": {"worlds": 60, "refits": ["saturated", "additive", "mlp"]},
}
SHARED_SEED = True
TEMPERATURES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03)


def cases(*, worlds: int, refits: list[str]) -> list[dict[str, Any]]:
    """Learners by starts; the published masses with the even start at beta .1."""
    posterior: dict[str, Any] = {"learner": "posterior", "retrained": False, "worlds": worlds, "draws": 40}
    learners = [posterior]
    learners += [posterior | {"learner": name, "retrained": True, "draws": 10} for name in refits]
    swept = {"eps": [0.0], "temperatures": list(TEMPERATURES)}
    published = {"reference": "even", "eps": list(MASSES[1:]), "temperatures": [0.1]}
    return [one | swept | {"reference": start} for one in learners for start in ("even", "informed")] + [
        posterior | published
    ]


def run_case(*, seed: int, learner: str, reference: str, **size: Any) -> list[dict[str, Any]]:
    """One row a mass, policy and temperature; every piece sees the same worlds."""
    table = amplification_table(learner, reference=reference, seed=1000 * seed, **size)
    table = table.assign(learner=learner, reference=reference)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """The records are the table."""
    return records


def figure(table: pd.DataFrame) -> Figure:
    """Promises and deliveries on B, by start and learner."""
    panels = {
        "even start, right posterior": ("even", "posterior"),
        "informed start, right posterior": ("informed", "posterior"),
        "informed start, saturated refits": ("informed", "saturated"),
    }
    swept = table[table["eps"] == 0].groupby(["reference", "learner"])
    return amplification(
        {name: swept.get_group(key) for name, key in panels.items()},
        title="The harder the tilt the more it promises where nobody asked; what the start knew there is lost",
    )
