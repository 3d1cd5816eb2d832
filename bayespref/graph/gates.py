"""Checks against thresholds that a user declares: mass of cells, and overlap with a deployment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.comparisons import Comparisons
from bayespref.dims import CONTEXT, STATE
from bayespref.graph.coverage import coverage, missing_mass
from bayespref.graph.deployment import deployment_overlap
from bayespref.graph.verdicts import LISTED, CheckLine, line, listed, noun

Deployment = Comparisons | pd.DataFrame | xr.DataArray


def check_mass(comparisons: Comparisons, by: Sequence[str], floor: float, level: float) -> CheckLine:
    """Ask whether every cell surely has its share of the collection."""
    dims = _cells(comparisons, by)
    got = coverage(comparisons, dims, floor, level=level)
    dims = tuple(str(dim) for dim in got["verdict"].dims)
    name = f"share of every {noun(dims, 1)}"
    verdict = got["verdict"].values
    named = {
        word: [
            " / ".join(str(got[dim].values[i]) for dim, i in zip(dims, index, strict=True))
            for index in np.argwhere(verdict == word)
        ]
        for word in ("below", "undecided")
    }
    numbers = {
        "n_cells": int(verdict.size),
        "floor": floor,
        "level": level,
        "below": named["below"][:LISTED],
        "undecided": named["undecided"][:LISTED],
    }
    low, open_ = len(named["below"]), len(named["undecided"])
    if low:
        words = f"{low:,} of {verdict.size:,} {noun(dims)} surely hold less than {floor:g} ({listed(named['below'])})"
        return line(name, "no", words, "thin", None, numbers)
    if open_:
        words = (
            f"{open_:,} of {verdict.size:,} {noun(dims)} may hold less than {floor:g} ({listed(named['undecided'])})"
        )
        return line(name, "undecided", words, "thin", None, numbers)
    words = f"each of {verdict.size:,} {noun(dims)} surely holds more than {floor:g}"
    return line(name, "yes", words, None, None, numbers)


def check_deployment(
    comparisons: Comparisons,
    by: Sequence[str],
    deployment: Deployment,
    *,
    limit: float,
    level: float,
    largest_ratio: float | None,
    least_effective_share: float | None,
) -> list[CheckLine]:
    """Ask whether the deployment stays where something was collected, and whether weights could carry it."""
    dims = _cells(comparisons, by)
    if isinstance(deployment, pd.DataFrame):
        dims = tuple(dim for dim in dims if dim != CONTEXT or dim in deployment.columns)
    elif isinstance(deployment, xr.DataArray):
        dims = tuple(dim for dim in dims if dim != CONTEXT or dim in deployment.dims)
    elif deployment.context is None:
        dims = tuple(dim for dim in dims if dim != CONTEXT)
    cells = coverage(comparisons, dims, 0.0, level=level)
    missing = missing_mass(cells, deployment, level=level)
    got = deployment_overlap(cells, deployment, level=level)
    names = [f"{' / '.join(labels)}: {share:.3g}" for labels, share in missing.cells]
    sampled = np.isfinite(missing.n)
    numbers: dict[str, object] = {
        "missing_mass": missing.delta,
        "lower": missing.lower,
        "upper": missing.upper,
        "limit": limit,
        "level": level,
        "outside": missing.outside,
        "n": missing.n if sampled else None,
        "cells": [[list(labels), share] for labels, share in missing.cells[:LISTED]],
    }
    share = f"{missing.delta:.3g}" + (f" [{missing.lower:.3g}, {missing.upper:.3g}]" if sampled else "")
    words = f"share {share} falls on {noun(dims)} without comparisons, limit {limit:g}"
    if names:
        words += f" ({listed(names)})"
    verdict = "yes" if missing.upper <= limit else "no" if missing.lower > limit else "undecided"
    reason = None if verdict == "yes" else "no_overlap"
    lines = [line("deployment covered", verdict, words, reason, None, numbers)]
    if largest_ratio is None and least_effective_share is None:
        return lines
    ratio, share_eff = float(got["largest_covered_ratio"]), float(got["share_eff"])
    failed = (largest_ratio is not None and ratio > largest_ratio) or (
        least_effective_share is not None and share_eff < least_effective_share
    )
    words = (
        f"where covered, the largest weight is {ratio:.3g} and {share_eff:.1%} of the rows are left in effect "
        f"({float(got['n_eff']):,.0f} rows)"
    )
    numbers = {
        "largest_covered_ratio": ratio,
        "share_eff": share_eff,
        "n_eff": float(got["n_eff"]),
        "largest_ratio": largest_ratio,
        "least_effective_share": least_effective_share,
    }
    said = "no" if failed else "yes"
    return [*lines, line("deployment weights", said, words, "no_overlap" if failed else None, None, numbers)]


def _cells(comparisons: Comparisons, by: Sequence[str]) -> tuple[str, ...]:
    dims = tuple(by) or (STATE,)
    return dims if comparisons.context is None or CONTEXT in dims else (CONTEXT, *dims)
