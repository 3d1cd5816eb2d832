"""Who the types are, as plain tables: their shares, where they differ, who they are by context."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.dims import CHAIN, CONTEXT, DRAW, ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.report.tables import UNIDENTIFIED, draws_of, interval_level, labels, quantiles


def type_weights(tree: xr.DataTree) -> pd.DataFrame:
    """Share of each type among annotators.

    Returns
    -------
    DataFrame
        ``type``, ``weight`` (posterior mean share), ``lower``, ``upper`` (equal-tailed interval) and, where the model
        has prompts, ``asks_most`` (the states the type asks about most).
    """
    draws = draws_of(tree, "type_weight", TYPE)
    low, high = quantiles(draws, interval_level(tree))
    posterior = tree["posterior"].to_dataset()
    frame = pd.DataFrame({"type": labels(posterior, TYPE), "weight": draws.mean(0), "lower": low, "upper": high})
    if "prompt_prob" in posterior:
        share = posterior["prompt_prob"].mean((CHAIN, DRAW)).transpose(TYPE, STATE).values
        states = labels(posterior, STATE)
        top = [np.argsort(-row, kind="stable")[:3] for row in share]
        frame["asks_most"] = [
            ", ".join(f"{states[s]} ({row[s]:.0%})" for s in best) for best, row in zip(top, share, strict=True)
        ]
    return frame


def type_contrasts(tree: xr.DataTree, most: int = 8) -> pd.DataFrame:
    """Contrasts on which two types differ most, among those the data identify in both.

    Returns
    -------
    DataFrame
        ``state``, ``item``, ``item_other``, ``type``, ``estimate`` of item minus item_other (log-odds), ``lower``,
        ``upper``, ``gap`` (difference between the two types); two rows a contrast, the largest gap first.
    """
    found, bound = tree["disagree"].to_dataset(), tree["bounds"].to_dataset()
    order = (STATE, TYPE, ITEM, ITEM_OTHER)
    estimate = found["estimate"].transpose(*order).values
    fixed = ~np.isin(found["reason"].transpose(*order).values.astype(str), (*UNIDENTIFIED, "separated"))
    value = np.where(fixed, estimate, np.nan)
    lower, upper = (bound[f"region_{end}"].transpose(*order).values for end in ("lower", "upper"))
    states, types, items = (labels(found, dim) for dim in (STATE, TYPE, ITEM))
    above = np.triu(np.ones((len(items), len(items)), dtype=bool), 1)
    picked: list[tuple[float, int, int, int, int, int]] = []
    for one, other in combinations(range(len(types)), 2):
        gap = value[:, one] - value[:, other]
        size = np.where(above & np.isfinite(gap), np.abs(gap), -1.0)
        for flat in np.argsort(-size, axis=None, kind="stable")[:most]:
            s, i, j = (int(k) for k in np.unravel_index(int(flat), size.shape))
            if size[s, i, j] > 0:
                picked.append((float(size[s, i, j]), s, i, j, one, other))
    rows = []
    for gap_size, s, i, j, one, other in sorted(picked, reverse=True)[:most]:
        if estimate[s, one, i, j] < 0:
            i, j = j, i
        for t in (one, other):
            here = (s, t, i, j)
            row = (states[s], items[i], items[j], types[t], estimate[here], lower[here], upper[here], gap_size)
            rows.append(row)
    return pd.DataFrame(rows, columns=["state", "item", "item_other", "type", "estimate", "lower", "upper", "gap"])


def types_by_context(tree: xr.DataTree) -> pd.DataFrame | None:
    """Share of each type within every context, where the model has one; None where it has none.

    Returns
    -------
    DataFrame or None
        ``context``, ``type``, ``weight`` (posterior mean share), ``lower``, ``upper`` (equal-tailed interval).
    """
    posterior = tree["posterior"].to_dataset()
    if "type_weight_by_context" not in posterior:
        return None
    draws = draws_of(tree, "type_weight_by_context", CONTEXT, TYPE)
    low, high = quantiles(draws, interval_level(tree))
    contexts, types = labels(posterior, CONTEXT), labels(posterior, TYPE)
    return pd.DataFrame(
        {
            "context": np.repeat(contexts, len(types)),
            "type": np.tile(types, len(contexts)),
            "weight": draws.mean(0).ravel(),
            "lower": low.ravel(),
            "upper": high.ravel(),
        }
    )
