"""Rows per CPU second of ``DeferralPolicy`` and ``FeaturePolicy`` on a frame (default: 1M rows), and the import time.

Run: ``python benchmarks/policy_rate.py [rows]``. Policies: 120 of 240 (state, context) regions, with and without a
pair on offer; 125 regions of three feature differences. Printed: the best of five, CPU seconds, by kind of frame; and
the best of five fresh processes that import the runtime, with and without what it rests on (NumPy, pydantic).
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from bayespref.defer.features import FeaturePolicy, bin_boxes
from bayespref.defer.policy import DeferralPolicy, from_scores

_IMPORT = """
import time
start = time.process_time()
import numpy, pydantic
from pydantic import BaseModel
rests = time.process_time()
from bayespref.defer.policy import DeferralPolicy
print(time.process_time() - start, time.process_time() - rests)
import sys
assert not {"jax", "numpyro", "xarray", "pandas", "matplotlib"} & set(sys.modules)
"""


def by_label(rng: np.random.Generator) -> DeferralPolicy:
    labels = [(f"state {i}", f"context {j}") for i in range(24) for j in range(10)]
    chosen = [labels[i] for i in rng.permutation(len(labels))[:120]]
    return from_scores(
        rng.random(120),
        rng.integers(0, 6, 120),
        labels=chosen,
        items=[f"item {i}" for i in range(6)],
        c_defer=0.5,
        region=("state", "context"),
        data_hash="none",
        assumptions=(),
    )


def by_feature(rng: np.random.Generator) -> FeaturePolicy:
    edges = dict.fromkeys(("price", "time", "comfort"), (-9.0, -3.0, -1.0, 1.0, 3.0, 9.0))
    labels, _, _ = bin_boxes(edges)
    rows = from_scores(
        rng.random(len(labels)),
        rng.integers(0, 2, len(labels)),
        labels=labels,
        items=("item_a", "item_b"),
        c_defer=0.5,
        region=tuple(edges),
        data_hash="none",
        assumptions=(),
    )
    return FeaturePolicy(edges, rows)


def main(rows: int = 1_000_000) -> None:
    rng = np.random.default_rng(0)
    region = {
        "state": np.array([f"state {i}" for i in range(24)], dtype=object)[rng.integers(0, 24, rows)],
        "context": np.array([f"context {j}" for j in range(10)], dtype=object)[rng.integers(0, 10, rows)],
    }
    items = np.array([f"item {i}" for i in range(6)], dtype=object)
    pair = {name: items[rng.integers(0, 6, rows)] for name in ("item_a", "item_b")}
    features = {f"{name}_{side}": rng.normal(0, 3, rows) for name in ("price", "time", "comfort") for side in "ab"}
    cases = {
        "regions": (by_label(rng), region),
        "regions and a pair": (by_label(rng), region | pair),
        "features": (by_feature(rng), features),
    }
    for name, (policy, columns) in cases.items():
        for kind, build in {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}.items():
            frame = build(columns)
            seconds = []
            for _ in range(5):
                start = time.process_time()
                policy.predict(frame)
                seconds.append(time.process_time() - start)
            print(f"{name}, {kind}: {rows:,} rows in {min(seconds):.3f} CPU s, {rows / min(seconds):,.0f} a second")
    times = [
        [
            float(x)
            for x in subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True).stdout.split()
        ]
        for _ in range(5)
    ]
    whole, own = np.min(times, axis=0)
    print(f"import: {whole:.3f} s, of which {own:.3f} s for this package")


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
