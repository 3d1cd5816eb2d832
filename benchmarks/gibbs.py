"""Blocked Gibbs against our own whitened NUTS where there are many rows: 2,000 annotators with 100 labels each."""

from __future__ import annotations

from benchmarks.measure import Line
from benchmarks.posterior import TARGETS, Plan, compare


def run(quick: bool) -> list[Line]:
    if quick:
        return []
    TARGETS["nuts"] = (">= 5", "")
    return compare(2_000, ["gibbs", "nuts"], {"gibbs": Plan(2, 100, 400), "nuts": Plan(2, 100, 200)}, labels=100)
