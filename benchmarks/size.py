"""A million rows through the graph check, and through the policy a system loads."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayespref.defer.policy import from_scores
from bayespref.graph.check import check
from benchmarks.check_size import table_of
from benchmarks.measure import Line, cpu_seconds


def run(quick: bool) -> list[Line]:
    rows, items, strata = (5_000, 20, 4) if quick else (1_000_000, 1_000, 200)
    table = table_of(rows, items, strata)
    checked, _ = cpu_seconds(lambda: check(table), repeats=1)
    rng = np.random.default_rng(0)
    states, contexts = [f"s{k}" for k in range(strata)], ["x", "y", "z"]
    policy = from_scores(
        rng.uniform(size=3 * strata),
        rng.integers(0, items, 3 * strata),
        labels=[(s, c) for s in states for c in contexts],
        region=("state", "context"),
        items=[f"item {k}" for k in range(items)],
        c_defer=0.5,
        data_hash=table.data_hash,
        assumptions=["scores are made up"],
    )
    frame = pd.DataFrame({"state": rng.choice([*states, "new"], rows), "context": rng.choice(contexts, rows)})
    predicted, answers = cpu_seconds(lambda: policy.predict(frame), repeats=2)
    few = frame.head(200).to_dict("records")
    singly, one_by_one = cpu_seconds(lambda: [policy.lookup(row) for row in few], repeats=1)
    decisions = [verdict.decision for verdict in one_by_one]
    if answers["decision"].head(200).tolist() != decisions:
        raise AssertionError("predict and lookup disagree")
    slow = singly / len(few) * rows
    return [
        Line(f"check, {rows:,} rows, {items:,} items, {strata} strata", checked),
        Line(f"predict, {rows:,} rows", predicted, note=f"{rows / predicted:,.0f} rows a CPU second"),
        Line("lookup, row by row", slow, slow / predicted, note="200 rows run, time scaled"),
    ]
