"""What a run says, as plain tables: one function a question, DataTree in, DataFrame out.

Every number a figure draws comes from one of these tables. A contrast that the data do not identify is NaN here, with
its reason code beside it; its bound stands in columns of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        ``state``, ``type``, ``cell`` (their name; the state alone where there is one type), ``count`` (comparisons),
        ``is_empty`` (fewer than an edge needs), ``flag`` (primary reason code, "" for none).
    """
    graph = tree["graph"].to_dataset()
    count = graph["type_count"].transpose(STATE, TYPE).values
    flag = tree["disagree"]["primary"].transpose(STATE, TYPE).values.astype(str)
    states, types = labels(graph, STATE), labels(graph, TYPE)
    return pd.DataFrame(
        {
            "state": np.repeat(states, len(types)),
            "type": np.tile(types, len(states)),
            "cell": [f"{state} / {kind}" if len(types) > 1 else state for state in states for kind in types],
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
        ``state``, ``type``, ``component`` (0 for the largest; -1 where the item was not compared), ``tier`` (items that
        the data do not tell apart from the best of their tier: 1 for the leader and its ties; 0 if not compared),
        ``item``, ``leader`` of the component, ``estimate`` of item minus leader (posterior mean, log-odds) with
        ``lower`` and ``upper`` (interval at the level of the analysis), ``standing`` (leader, tied, behind, alone, not
        compared), ``is_separated``, ``contraction`` (posterior sd over prior sd), ``reason`` and ``tier_size`` (items
        of the tier). Items of different components are never compared here.
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
                ordered = members[np.argsort(-inside[:, list(members).index(best)], kind="stable")]
                for tier, member in _tiers(ordered, upper[s, t]):
                    here = (s, t, member, best)
                    tied = "tied" if tier == 1 else "behind"
                    standing = "alone" if len(members) == 1 else "leader" if member == best else tied
                    apart = reason[here] == "separated"
                    ends = estimate[here], lower[here], upper[here]
                    why = apart, contraction[here], reason[here]
                    rows.append((state, kind, group, tier, items[member], items[best], *ends, standing, *why))
            for i in np.flatnonzero(size == 1):
                nothing = (np.nan, np.nan, np.nan, "not compared", False, np.nan, "no_data")
                rows.append((state, kind, -1, 0, items[i], "", *nothing))
    columns = ["state", "type", "component", "tier", "item", "leader", "estimate", "lower", "upper", "standing"]
    frame = pd.DataFrame(rows, columns=[*columns, "is_separated", "contraction", "reason"])
    frame["tier_size"] = frame.groupby(["state", "type", "component", "tier"])["item"].transform("size")
    return frame


def _tiers(ordered: NDArray[np.intp], upper: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Group items that cannot be told apart from the best one left; best first, as (tier, item)."""
    rest, tier = list(ordered), 1
    while rest:
        best = rest[0]
        tied = {i for i in rest if i == best or upper[i, best] >= 0}
        yield from ((tier, int(i)) for i in rest if i in tied)
        rest, tier = [i for i in rest if i not in tied], tier + 1


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
    draws = draws_of(tree, "coefficient", TYPE, FEATURE)
    low, high = quantiles(draws, interval_level(tree))
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


def draws_of(tree: xr.DataTree, name: str, *dims: str) -> NDArray[np.float64]:
    """Draws of a variable, chains one after the other, on axes (draw, ``dims``)."""
    stacked = tree["posterior"][name].transpose(CHAIN, DRAW, *dims).values
    return np.asarray(stacked, dtype=np.float64).reshape(-1, *stacked.shape[2:])


def quantiles(draws: NDArray[np.float64], level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of equal-tailed intervals over draws, the first axis."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def interval_level(tree: xr.DataTree) -> float:
    """Level of the intervals and regions of an analysis, share."""
    return float(tree["bounds"].attrs["level"])
