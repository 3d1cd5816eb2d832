"""The posterior of :mod:`benchmarks.posterior` with ten times the annotators; fewer draws where a draw is dear."""

from __future__ import annotations

from benchmarks.measure import Line
from benchmarks.posterior import PLANS, Plan, compare


def run(quick: bool) -> list[Line]:
    if quick:
        return []
    plans = PLANS | {
        "gibbs": Plan(2, 100, 600),
        "nuts": Plan(2, 100, 300),
        "pymc": Plan(2, 200, 200),
        "nutpie": Plan(2, 200, 200),
    }
    return compare(3_000, ["gibbs", "nuts", "pymc", "nutpie"], plans)
