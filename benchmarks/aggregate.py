"""From Parquet folders to counts, and from a hundred million rows to fits: CPU seconds and peak memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Line, apart, installed
from benchmarks.rows import truth, write_rows

KEYS = ["item_a", "item_b", "outcome", "state", "context"]


def ours(folder: Path) -> Any:
    from bayespref.data.aggregate import aggregate

    return aggregate(folder, group_keys=("state", "context"))


def with_pandas(folder: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(folder, columns=KEYS).groupby(KEYS, observed=True).size().reset_index(name="count")


def with_polars(folder: Path) -> Any:
    import polars as pl

    rows = pl.scan_parquet(folder / "*.parquet").group_by(KEYS).agg(pl.len().alias("count"))
    return rows.collect(engine="streaming")


def hash_of(counts: Any) -> str:
    from bayespref.data.table import read_comparisons

    return counts.data_hash if hasattr(counts, "data_hash") else read_comparisons(counts).data_hash


def counted(name: str, folder: str) -> dict[str, Any]:
    """CPU seconds of one way to count, without imports, and what came out."""
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import bayespref.data.aggregate  # noqa: F401

    work = {"bayespref": ours, "pandas": with_pandas, "polars": with_polars}[name]
    began = time.process_time()
    found = work(Path(folder))
    return {"seconds": time.process_time() - began, "hash": hash_of(found)}


def fitted(model: str, folder: str) -> dict[str, Any]:
    """CPU seconds from files to a posterior, and how many standard deviations the truth lies from it."""
    import numpy as np

    from bayespref import fit
    from bayespref.data.aggregate import aggregate

    began = time.process_time()
    kept, options = ("state",), {}
    if model == "pooled_types":
        kept, options = ("state", "context"), {"types_observed": True}
    counts = aggregate(Path(folder), group_keys=kept)
    read = time.process_time() - began
    # types are observed or one: the posterior has one mode, and one start finds it
    tree = fit(model, counts, rng_key=0, options=options, chains=2, warmup=100, draws=250, n_starts=1, progress=False)
    reward = tree["posterior"]["reward"]
    off = float("nan")
    if model == "pooled_types":
        error = reward.mean(("chain", "draw")).values - truth()[:, np.argsort(["free", "team", "firm"])]
        off = float(np.sqrt(np.mean((error / reward.std(("chain", "draw")).values) ** 2)))
    rows = counts.provenance["rows_read"]
    return {"seconds": time.process_time() - began, "read": read, "cells": counts.n_rows, "off": off, "rows": rows}


def run(quick: bool) -> list[Line]:
    small, large = (20_000, 20_000) if quick else (20_000_000, 100_000_000)
    lines = []
    with tempfile.TemporaryDirectory() as place:
        folder = str(write_rows(Path(place) / "small", small, 100))
        found = {}
        for name in ("bayespref", "pandas", "polars"):
            if name != "bayespref" and not installed(name):
                continue
            found[name] = counted(name, folder) if quick else apart("benchmarks.aggregate", "counted", name, folder)
            if found[name]["hash"] != found["bayespref"]["hash"]:
                raise AssertionError(f"{name} counts something else")
        if quick:
            return []
        ours_seconds = found["bayespref"]["seconds"]
        for name, one in found.items():
            ratio = float("nan") if name == "bayespref" else one["seconds"] / ours_seconds
            asked = {"pandas": ">= 3", "bayespref": "< 1 GB"}.get(name, "")
            note = f"peak {one['peak'] / 1e9:.2f} GB"
            lines.append(Line(f"{name}, {small:,} rows to counts", one["seconds"], ratio, asked, note))
        folder = str(write_rows(Path(place) / "large", large))
        for model in ("single", "pooled_types"):
            one = apart("benchmarks.aggregate", "fitted", model, folder)
            note = f"{one['rows']:,} rows to {one['cells']:,} cells in {one['read']:.1f} s"
            note += f"; peak {one['peak'] / 1e9:.2f} GB"
            if model == "pooled_types":
                if not 0.7 < one["off"] < 1.3:
                    raise AssertionError(f"posterior and truth are {one['off']:.2f} standard deviations apart")
                note += f"; truth {one['off']:.2f} posterior sd off (root mean square)"
            lines.append(Line(f"{model}, files to posterior", one["seconds"], target="24 GiB", note=note))
    return lines
