"""What a run says, as plain tables: one function a question, DataTree in, DataFrame out.

Every number a figure draws comes from one of these tables. A contrast that the data do not identify is NaN here, with
its reason code beside it; its bound stands in columns of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayespref.dims import CHAIN, DRAW, FEATURE, ITEM, ITEM_OTHER, STATE, TYPE

GROUPS = ("posterior", "fit", "graph", "disagree", "bounds", "defer")
"""Groups a report reads; the last four come from ``analyse``."""
UNIDENTIFIED = ("no_data", "disconnected")


def need_groups(tree: xr.DataTree) -> None:
    """Refuse a tree that was fitted but not analysed.

    Raises
    ------
    ValueError
        If a group is missing; the message names it.
    """
    missing = [name for name in GROUPS if name not in tree.children]
    if missing:
        raise ValueError(f"tree: lacks the group(s) {missing}; a report needs a fit that went through `analyse`")


def coverage(tree: xr.DataTree) -> pd.DataFrame:
    """Comparisons per (state, type); expected ones where types are latent.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.

    Returns
    -------
    DataFrame
        ``state``, ``type``, ``count`` (comparisons), ``is_empty`` (fewer than an edge needs), ``flag`` (primary reason
        code, "" for none).
    """
    graph = tree["graph"].to_dataset()
    count = graph["type_count"].transpose(STATE, TYPE).values
    flag = tree["disagree"]["primary"].transpose(STATE, TYPE).values.astype(str)
    states, types = labels(graph, STATE), labels(graph, TYPE)
    return pd.DataFrame(
        {
            "state": np.repeat(states, len(types)),
            "type": np.tile(types, len(states)),
            "count": count.ravel(),
            "is_empty": (count < float(graph.attrs["n_min"])).ravel(),
            "flag": flag.ravel(),
        }
    )


def nodes(tree: xr.DataTree, state: str) -> pd.DataFrame:
    """Items of a state's comparison graph, per type.

    Returns
    -------
    DataFrame
        ``type``, ``item``, ``component`` (0 for the largest), ``size`` (items in it), ``always_wins``,
        ``always_loses`` (over all types). Items never seen in the state are left out.
    """
    graph = tree["graph"].to_dataset().sel(state=state)
    seen = graph["present"].values.astype(bool)
    rows = []
    for kind in labels(graph, TYPE):
        label = graph["type_component"].sel(type=kind).values[seen]
        rank, size = _by_size(label)
        rows.append(
            pd.DataFrame(
                {
                    "type": kind,
                    "item": labels(graph, ITEM)[seen],
                    "component": rank,
                    "size": size,
                    "always_wins": graph["always_wins"].values[seen],
                    "always_loses": graph["always_loses"].values[seen],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def edges(tree: xr.DataTree, state: str) -> pd.DataFrame:
    """Pairs compared in a state, per type, that count as edges of its graph.

    Returns
    -------
    DataFrame
        ``type``, ``item_a``, ``item_b``, ``wins_a``, ``wins_b`` (expected counts; a tie is half a win each way).
    """
    fit, graph = tree["fit"].to_dataset(), tree["graph"].to_dataset()
    here = np.flatnonzero(fit["question_state"].values == list(labels(graph, STATE)).index(state))
    outcome = fit["outcome_code"].values
    share_a = np.array([1.0, 0.0, 0.5, 0.0])[outcome]
    share_b = np.array([0.0, 1.0, 0.5, 0.0])[outcome]
    items = labels(graph, ITEM)
    component = graph["type_component"].sel(state=state).values
    rows = []
    for position, kind in enumerate(labels(graph, TYPE)):
        count = fit["expected_count"].values[position, here]
        a, b = fit["question_a"].values[here], fit["question_b"].values[here]
        frame = pd.DataFrame({"a": np.minimum(a, b), "b": np.maximum(a, b)})
        swap = a > b
        first, second = count @ share_a, count @ share_b
        frame["wins_a"], frame["wins_b"] = np.where(swap, second, first), np.where(swap, first, second)
        frame = frame.groupby(["a", "b"], as_index=False).sum()
        joined = component[position][frame["a"]] == component[position][frame["b"]]
        frame = frame[joined & (frame["wins_a"] + frame["wins_b"] > 0)]
        frame["type"], frame["item_a"], frame["item_b"] = kind, items[frame["a"]], items[frame["b"]]
        rows.append(frame[["type", "item_a", "item_b", "wins_a", "wins_b"]])
    found: pd.DataFrame = pd.concat(rows, ignore_index=True)
    return found


def rewards(tree: xr.DataTree) -> pd.DataFrame:
    """Items against the leader of their own component, in every (state, type).

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.

    Returns
    -------
    DataFrame
        ``state``, ``type``, ``component`` (0 for the largest; -1 where the item was not compared), ``item``,
        ``leader`` of the component, ``estimate`` of item minus leader (posterior mean, log-odds) with ``lower`` and
        ``upper`` (interval at the level of the analysis), ``standing`` (leader, tied, behind, alone, not compared),
        ``is_separated``, ``contraction`` (posterior sd over prior sd) and ``reason``. Items of different components
        are never compared here.
    """
    graph, found, bound = (tree[name].to_dataset() for name in ("graph", "disagree", "bounds"))
    items = labels(found, ITEM)
    order = (STATE, TYPE, ITEM, ITEM_OTHER)
    estimate, contraction = (found[name].transpose(*order).values for name in ("estimate", "contraction"))
    reason = found["reason"].transpose(*order).values.astype(str)
    lower, upper = (bound[f"region_{end}"].transpose(*order).values for end in ("lower", "upper"))
    chosen = graph["is_chosen"].values.astype(bool)
    component = graph["type_component"].transpose(STATE, TYPE, ITEM).values
    rows: list[tuple[Any, ...]] = []
    for s, state in enumerate(labels(found, STATE)):
        for t, kind in enumerate(labels(found, TYPE)):
            rank, size = _by_size(component[s, t])
            rank, size = rank[chosen], size[chosen]
            for group in np.unique(rank[size > 1]):
                members = np.flatnonzero((rank == group) & (size > 1))
                inside = estimate[s, t][np.ix_(members, members)]
                best = members[int(np.argmax(inside.sum(1)))]
                for i in members[np.argsort(-inside[:, list(members).index(best)], kind="stable")]:
                    here = (s, t, i, best)
                    lone = len(members) == 1
                    standing = "alone" if lone else "leader" if i == best else _standing(upper[here])
                    apart = reason[here] == "separated"
                    ends = estimate[here], lower[here], upper[here]
                    why = apart, contraction[here], reason[here]
                    rows.append((state, kind, group, items[i], items[best], *ends, standing, *why))
            for i in np.flatnonzero(size == 1):
                nothing = (np.nan, np.nan, np.nan, "not compared", False, np.nan, "no_data")
                rows.append((state, kind, -1, items[i], "", *nothing))
    columns = ["state", "type", "component", "item", "leader", "estimate", "lower", "upper", "standing"]
    return pd.DataFrame(rows, columns=[*columns, "is_separated", "contraction", "reason"])


def _standing(upper: float) -> str:
    return "tied" if upper >= 0 else "behind"


def across_components(tree: xr.DataTree, state: str, kind: str) -> tuple[float, float] | None:
    """Widest bound on a contrast that the data of a cell do not identify, log-odds; None where all are identified."""
    bound = tree["bounds"].to_dataset().sel(state=state, type=kind)
    reason = tree["disagree"].to_dataset()["reason"].sel(state=state, type=kind).values.astype(str)
    open_ = np.isin(reason, UNIDENTIFIED) & ~np.eye(len(reason), dtype=bool)
    if not open_.any():
        return None
    return float(bound["difference_lower"].values[open_].min()), float(bound["difference_upper"].values[open_].max())


def coefficients(tree: xr.DataTree) -> pd.DataFrame | None:
    """Coefficients of a linear model with equal-tailed intervals; None where the model has none.

    Returns
    -------
    DataFrame or None
        ``feature``, ``type``, ``estimate`` (posterior mean, log-odds per unit of the feature), ``lower``, ``upper``,
        ``sign_probability`` (posterior mass on the likelier sign).
    """
    if "coefficient" not in tree["posterior"]:
        return None
    draws = _draws(tree, "coefficient", TYPE, FEATURE)
    low, high = _quantiles(draws, interval_level(tree))
    positive = (draws > 0).mean(0)
    types, features = labels(tree["posterior"].to_dataset(), TYPE), labels(tree["posterior"].to_dataset(), FEATURE)
    frame = pd.DataFrame(
        {
            "feature": np.tile(features, len(types)),
            "type": np.repeat(types, len(features)),
            "estimate": draws.mean(0).ravel(),
            "lower": low.ravel(),
            "upper": high.ravel(),
            "sign_probability": np.maximum(positive, 1 - positive).ravel(),
        }
    )
    frame["order"] = np.tile(np.arange(len(features)), len(types))
    return frame.sort_values("order", kind="stable").drop(columns="order").reset_index(drop=True)


def type_weights(tree: xr.DataTree) -> pd.DataFrame:
    """Share of each type among annotators.

    Returns
    -------
    DataFrame
        ``type``, ``weight`` (posterior mean share), ``lower``, ``upper`` (equal-tailed interval) and, where the model
        has prompts, ``asks_most`` (the states the type asks about most).
    """
    draws = _draws(tree, "type_weight", TYPE)
    low, high = _quantiles(draws, interval_level(tree))
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


def records(table: pd.DataFrame) -> Iterator[Any]:
    """Rows of a table as named tuples."""
    return iter(table.itertuples(index=False))


def labels(dataset: xr.Dataset, dim: str) -> NDArray[np.object_]:
    """Labels of a dimension as Python strings."""
    return np.array([str(value) for value in dataset[dim].values], dtype=object)


def _by_size(label: NDArray[np.integer[Any]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Components renumbered, largest first, and the size of each item's component."""
    _, code, count = np.unique(label, return_inverse=True, return_counts=True)
    rank = np.empty(len(count), dtype=np.intp)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
    return rank[code], count[code]


def _draws(tree: xr.DataTree, name: str, *dims: str) -> NDArray[np.float64]:
    stacked = tree["posterior"][name].transpose(CHAIN, DRAW, *dims).values
    return np.asarray(stacked, dtype=np.float64).reshape(-1, *stacked.shape[2:])


def _quantiles(draws: NDArray[np.float64], level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def interval_level(tree: xr.DataTree) -> float:
    """Level of the intervals and regions of an analysis, share."""
    return float(tree["bounds"].attrs["level"])
