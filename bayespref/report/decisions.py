"""What a decision rests on, as plain tables: contender against leader, costs of deferring, bounds against a truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite
from bayespref.dims import ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.report.tables import UNIDENTIFIED, coverage, labels

RULES = ("set_pure", "set_random", "credible", "chow")
"""Rules in the order of caution."""
_ENDS = {
    "difference_lower": "set_lower",
    "difference_upper": "set_upper",
    "region_lower": "region_lower",
    "region_upper": "region_upper",
}


def decisions(tree: xr.DataTree, truth: ArrayLike | None = None) -> pd.DataFrame:
    """How much better another item could be than the leader, in every (state, type), the widest first.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    truth : float array, shape (state, type, item), optional
        True rewards of a simulated world, types in the tree's order.

    Returns
    -------
    DataFrame
        ``state``, ``type``, ``leader`` (highest posterior mean), ``contender`` (the item whose advantage is bounded
        worst), posterior interval of contender minus leader (``post_lower``, ``post_upper``, NaN where the data do not
        identify it), identified set (``set_lower``, ``set_upper``), robust region (``region_lower``,
        ``region_upper``), ``reason``; with a truth, ``truth``.
    """
    found, bound = tree["disagree"].to_dataset(), tree["bounds"].to_dataset()
    order = (STATE, TYPE, ITEM, ITEM_OTHER)
    ends = {name: bound[name].transpose(*order).values for name in _ENDS}
    reason = found["reason"].transpose(*order).values.astype(str)
    states, types, items = (labels(found, dim) for dim in (STATE, TYPE, ITEM))
    leaders = found["leader"].transpose(STATE, TYPE).values.astype(str)
    true = None if truth is None else _truth(tree, truth)
    rows = []
    for s, state in enumerate(states):
        for t, kind in enumerate(types):
            at = np.flatnonzero(items == leaders[s, t])
            if len(at) == 0 or len(items) < 2:
                continue
            leader = int(at[0])
            reach = np.where(np.arange(len(items)) == leader, -np.inf, ends["region_upper"][s, t, :, leader])
            contender = int(np.argmax(np.where(np.isnan(reach), -np.inf, reach)))
            here = (s, t, contender, leader)
            known = reason[here] not in UNIDENTIFIED
            row = {"state": state, "type": kind, "leader": items[leader], "contender": items[contender]}
            region = ends["region_lower"][here], ends["region_upper"][here]
            row["post_lower"], row["post_upper"] = region if known else (np.nan, np.nan)
            row |= {_ENDS[name]: ends[name][here] for name in _ENDS}
            row["reason"] = reason[here]
            if true is not None:
                row["truth"] = true[s, t, contender] - true[s, t, leader]
            rows.append(row)
    columns = ["state", "type", "leader", "contender", "post_lower", "post_upper", *_ENDS.values(), "reason"]
    frame = pd.DataFrame(rows, columns=columns if true is None else [*columns, "truth"])
    return frame.sort_values("region_upper", ascending=False, kind="stable").reset_index(drop=True)


def thresholds(tree: xr.DataTree, policy: pd.DataFrame) -> pd.DataFrame:
    """Break-even costs of deferring by region, under the four rules, beside the policy's decision.

    Returns
    -------
    DataFrame
        The region's columns, ``set_pure``, ``set_random``, ``credible``, ``chow`` (log-odds of reward: a region acts
        where its cost of deferring is at least this), then ``decision``, ``action``, ``reason``, ``score``,
        ``threshold`` of the policy; ``decision`` is "" where the policy does not list the region.
    """
    defer = tree["defer"].to_dataset()
    columns = region_columns(tree)
    frame = pd.DataFrame({name: defer[name].values.astype(str) for name in columns})
    for rule in RULES:
        frame[rule] = defer[f"c_{rule}"].values
    listed = policy[[*columns, "decision", "action", "reason", "score", "threshold"]].copy()
    for name in columns:
        listed[name] = listed[name].astype(str)
    joined = frame.merge(listed, on=columns, how="left", validate="one_to_one")
    for name in ("decision", "action", "reason"):
        joined[name] = joined[name].astype(object).where(joined[name].notna(), "")
    return joined


def region_columns(tree: xr.DataTree) -> list[str]:
    """Columns that make a region of the policy."""
    return [str(column) for column in np.atleast_1d(tree["defer"].attrs["columns"])]


def truth_covered(tree: xr.DataTree, truth: ArrayLike) -> pd.DataFrame:
    """Does the bound hold the truth? Contrasts of each (state, type) inside their robust region.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    truth : float array, shape (state, type, item)
        True rewards, log-odds; types in the tree's order, items as in the table.

    Returns
    -------
    DataFrame
        ``state``, ``type``, ``reason`` of the cell, ``n_contrasts``, ``n_covered`` (inside the robust region),
        ``n_open`` (contrasts the data do not identify), ``n_open_covered``.
    """
    found, bound = tree["disagree"].to_dataset(), tree["bounds"].to_dataset()
    order = (STATE, TYPE, ITEM, ITEM_OTHER)
    true = _truth(tree, truth)
    gap = true[..., :, None] - true[..., None, :]
    low, high = (bound[f"region_{end}"].transpose(*order).values for end in ("lower", "upper"))
    inside = (gap >= low) & (gap <= high)
    open_ = np.isin(found["reason"].transpose(*order).values.astype(str), UNIDENTIFIED)
    pair = np.triu(np.ones(gap.shape[-2:], dtype=bool), 1)
    frame = coverage(tree)[["state", "type", "flag"]].rename(columns={"flag": "reason"})
    frame["n_contrasts"] = int(pair.sum())
    frame["n_covered"] = (inside & pair).sum((-1, -2)).ravel()
    frame["n_open"] = (open_ & pair).sum((-1, -2)).ravel()
    frame["n_open_covered"] = (inside & open_ & pair).sum((-1, -2)).ravel()
    return frame


def _truth(tree: xr.DataTree, truth: ArrayLike) -> NDArray[np.float64]:
    """Check a truth against the tree and keep the items decided on."""
    graph = tree["graph"].to_dataset()
    shape = tuple(graph.sizes[dim] for dim in (STATE, TYPE, ITEM))
    values = finite("truth", truth)
    if values.shape != shape:
        raise ValueError(f"truth: must have shape (state, type, item) = {shape}, got {values.shape}")
    return values[..., graph["is_chosen"].values.astype(bool)]
