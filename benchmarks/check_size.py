"""CPU seconds and peak memory of ``check`` on a large random table (default: 1M rows, 1,000 items, 200 strata).

Run: ``python benchmarks/check_size.py [rows] [items] [strata]``. Printed: the time to build the table of codes,
the time of ``check`` on it (aggregation included), and the peak resident memory of the process.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from bayespref.comparisons import Comparisons, from_codes
from bayespref.graph.check import check


def table_of(rows: int, items: int, strata: int) -> Comparisons:
    """Random comparisons of random pairs."""
    rng = np.random.default_rng(0)
    item_a = rng.integers(items, size=rows)
    item_b = (item_a + rng.integers(1, items, size=rows)) % items
    return from_codes(
        item_a,
        item_b,
        rng.choice(3, p=[0.45, 0.45, 0.1], size=rows),
        items=[f"item {k}" for k in range(items)],
        state=rng.integers(strata, size=rows),
        states=[f"state {k}" for k in range(strata)],
        annotator=rng.integers(10_000, size=rows),
        annotators=[f"annotator {k}" for k in range(10_000)],
        context=rng.integers(3, size=rows),
        contexts=["x", "y", "z"],
    )


def main(rows: int = 1_000_000, items: int = 1_000, strata: int = 200) -> None:
    start = time.process_time()
    table = table_of(rows, items, strata)
    built = time.process_time()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = check(table)
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(result)
    print(f"rows {rows:,}, items {items:,}, strata {strata:,}")
    print(f"table {built - start:.2f} CPU s; check {done - built:.2f} CPU s")
    print(f"peak memory {peak / 1024:,.0f} MiB ({base / 1024:,.0f} MiB before the check)")


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
