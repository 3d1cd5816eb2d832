"""Large tables on disk for the cases about size: a folder of Parquet files with text labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

ITEMS, STATES, CONTEXTS = 20, 10, ("free", "team", "firm")
ROWS_A_FILE = 2_000_000


def truth() -> np.ndarray:
    """Rewards, shape (state, context, item): a shared part, a part by context, a little of both."""
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(STATES, 1, ITEMS))
    by_context = 0.5 * rng.normal(size=(1, len(CONTEXTS), ITEMS))
    both = 0.1 * rng.normal(size=(STATES, len(CONTEXTS), ITEMS))
    reward = shared + by_context + both
    return reward - reward.mean(axis=-1, keepdims=True)


def write_rows(folder: Path, rows: int, annotators: int = 100_000) -> Path:
    """Write rows with ties: text in six columns, an annotator with one context each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    reward = truth()
    names = {
        "item_a": pa.array([f"model-{k:03d}" for k in range(ITEMS)]),
        "outcome": pa.array(["a", "b", "tie"]),
        "state": pa.array([f"topic {k}" for k in range(STATES)]),
        "context": pa.array(CONTEXTS),
        "annotator": pa.array([f"person-{k:07d}" for k in range(annotators)]),
    }
    for part, first in enumerate(range(0, rows, ROWS_A_FILE)):
        n = min(ROWS_A_FILE, rows - first)
        a = rng.integers(ITEMS, size=n, dtype=np.int32)
        b = (a + rng.integers(1, ITEMS, size=n, dtype=np.int32)) % ITEMS
        state = rng.integers(STATES, size=n, dtype=np.int32)
        person = rng.integers(annotators, size=n, dtype=np.int32)
        context = person % len(CONTEXTS)
        half = 0.5 * (reward[state, context, a] - reward[state, context, b])
        weight = np.stack([np.exp(half), np.exp(-half), np.full(n, 0.3)])
        spot = rng.random(n) * weight.sum(axis=0)
        outcome = (spot > weight[0]).astype(np.int32) + (spot > weight[0] + weight[1])
        codes = {"item_a": a, "item_b": b, "outcome": outcome, "state": state, "context": context, "annotator": person}
        columns = {
            name: pa.DictionaryArray.from_arrays(pa.array(values, pa.int32()), names.get(name, names["item_a"]))
            for name, values in codes.items()
        }
        text = pa.table({name: column.cast(pa.string()) for name, column in columns.items()})
        parquet.write_table(text, folder / f"part-{part:04d}.parquet")
    return folder
