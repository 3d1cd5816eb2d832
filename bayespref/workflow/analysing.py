"""Add to a fit what the table cannot tell: graph, flags, bounds and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayespref.bounds.assumed import assumed_draws
from bayespref.bounds.regions import as_regions, bounds_dataset, cell_value, draw_bounds, region_games
from bayespref.checks import one_of
from bayespref.comparisons import Comparisons
from bayespref.defer.regions import score_regions
from bayespref.dims import CHAIN, CONTEXT, DRAW, ITEM, STATE, TYPE
from bayespref.disagree.contrasts import contrasts_dataset
from bayespref.graph.typed import edge_floor, graph_dataset, typed_graph
from bayespref.posterior.tree import (
    deployment_weights,
    tree_comparisons,
    tree_meta,
)
from bayespref.posterior.verdict import convergence

REGIONS = ("state", "state_type")
TYPE_WEIGHTS = ("population", "logged")
_MOST_FLOATS = 2e8


def analyse(
    tree: xr.DataTree,
    *,
    reward_range: tuple[float, float] = (0.0, 1.0),
    range_policy: str = "widen",
    level: float = 0.9,
    regions: str = "state",
    type_weights: str = "population",
    items: Sequence[str] | None = None,
    assumptions: Mapping[str, Any] | None = None,
    n_min: float = 1.0,
    floor: float = 0.001,
    tolerance: float = 1.0,
    max_draws: int = 1000,
) -> xr.DataTree:
    """Add what the table cannot tell: groups ``graph``, ``disagree``, ``bounds`` and ``defer``.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit. The input is not changed.
    reward_range : tuple of float
        Assumed range of rewards, log-odds; limits what unobserved contrasts can be.
    range_policy : {"widen", "condition", "raise"}
        What to do with draws whose observed differences exceed the range: take the smallest range they allow (stated
        in the result), drop the draws, or stop.
    level : float
        Level of intervals and regions.
    regions : {"state", "state_type"}
        What a decision sees: the state, or the state and the type (observed contexts, or a declared type).
    type_weights : {"population", "logged"}
        P(type | state) at deployment, for regions that do not see the type: the annotators' type weights in every
        state, or those who asked about the state so far. The second trusts that deployment selects as the log did.
    items : sequence of str, optional
        Items a decision may choose among; all by default. Graphs use every item.
    assumptions : mapping, optional
        Restrictions that carry information into what was not compared, as in :func:`bayespref.bounds.bounds`; they
        narrow bounds and scores, and are named in both.
    n_min : float
        Fewest comparisons that make an edge.
    floor : float
        Mass below which a (state, type) cell is thin, share of all comparisons.
    tolerance : float
        Standard error above which a contrast is thin, log-odds.
    max_draws : int
        Draws used (evenly thinned).

    Returns
    -------
    xarray.DataTree
        The fit with the groups added.

    Raises
    ------
    ValueError
        If an item is unknown, or the arrays would not fit in memory (name fewer items then).
    """
    one_of("regions", regions, REGIONS)
    one_of("type_weights", type_weights, TYPE_WEIGHTS)
    comparisons = tree_comparisons(tree)
    posterior = tree["posterior"].to_dataset()
    chosen = item_codes(comparisons, items)
    reward = posterior["reward"].stack(sample=(CHAIN, DRAW)).transpose("sample", STATE, TYPE, ITEM)
    thin = np.unique(np.linspace(0, reward.sizes["sample"] - 1, max_draws).astype(int))
    reward = reward.isel(sample=thin).drop_vars(("sample", CHAIN, DRAW))
    _refuse_too_large(reward.sizes, len(chosen))
    fitted = tree["fit"].to_dataset()
    typed = typed_graph(
        fitted["expected_count"].values,
        fitted["question_state"].values,
        fitted["question_a"].values,
        fitted["question_b"].values,
        fitted["outcome_code"].values,
        n_states=comparisons.n_states,
        n_items=comparisons.n_items,
        n_min=n_min,
    )
    graph = graph_dataset(comparisons, typed, chosen, reward[TYPE].values.tolist(), n_min)
    seen = graph["present"].transpose(STATE, ITEM).values
    among = reward.isel(item=chosen)
    component = among.isel(sample=0).copy(data=typed.component[..., chosen])
    if assumptions:
        labels = (comparisons.states, tuple(reward[TYPE].values.tolist()), comparisons.items)
        compared = typed.wins + np.swapaxes(typed.wins, -1, -2) >= edge_floor(n_min)
        by_draw = assumed_draws(
            reward.values, typed.component, compared, chosen, assumptions, labels, reward_range, range_policy
        )
    else:
        by_draw = draw_bounds(reward.values, typed.component, chosen, reward_range, range_policy)
    bounds = bounds_dataset(by_draw, component, chosen, range_policy=range_policy, level=level)
    disagree = contrasts_dataset(
        reward,
        tree["prior"]["reward"].isel(chain=0).transpose(DRAW, STATE, TYPE, ITEM).values,
        chosen,
        typed.wins,
        typed.component,
        typed.strong_component,
        seen,
        (bounds["difference_upper"] - bounds["difference_lower"]).values,
        cell_value(by_draw, seen[:, chosen]),
        least_edge=edge_floor(n_min),
        floor=floor,
        tolerance=tolerance,
    )
    weights, deployment = deployment_weights(posterior, thin, logged=type_weights == "logged")
    by_type = regions == "state_type"
    values, upper, mix, available = as_regions(among.values, by_draw.upper, weights, seen[:, chosen], by_type=by_type)
    games = region_games(values, upper, mix, available)
    names, columns = _region_labels(among, by_type, tree_meta(tree)["options"].get("types_observed", False))
    defer = score_regions(
        games.difference,
        games.regret,
        games.value,
        games.value_identified,
        available=available,
        kept=games.kept,
        flag=_grave_flag(disagree, by_type),
        labels=names,
        columns=columns,
        items=among[ITEM].values.tolist(),
        level=level,
    )
    trusted = convergence(tree)[0]
    untrusted = "" if trusted.ok else f"{trusted.words}; next: {trusted.next_step}"
    defer.attrs |= {"deployment": deployment, "assumptions": bounds.attrs["assumptions"], "untrusted": untrusted}
    kept = {name: node.to_dataset() for name, node in tree.children.items()}
    stages = {"graph": graph, "disagree": disagree, "bounds": bounds, "defer": defer}
    analysed = xr.DataTree.from_dict(kept | stages)
    analysed.attrs |= tree.attrs
    return analysed


def item_codes(comparisons: Comparisons, items: Sequence[str] | None) -> NDArray[np.intp]:
    """Codes of the named items, ascending; all where none are named.

    Raises
    ------
    ValueError
        If an item is unknown, or fewer than two different ones are named.
    """
    if items is None:
        return np.arange(comparisons.n_items)
    code = {label: i for i, label in enumerate(comparisons.items)}
    unknown = [item for item in items if item not in code]
    if unknown or len(set(items)) < max(len(items), 2):
        raise ValueError(f"items: name at least two different items of the table; unknown: {unknown[:5]}")
    return np.sort([code[item] for item in items])


def _refuse_too_large(sizes: Mapping[Any, int], n_items: int) -> None:
    floats = sizes["sample"] * sizes[STATE] * sizes[TYPE] * n_items**2
    if floats > _MOST_FLOATS:
        raise ValueError(
            f"items: {n_items} items in {sizes[STATE]} states and {sizes[TYPE]} types need {floats:.2g} contrasts over "
            f"{sizes['sample']} draws, more than {_MOST_FLOATS:.0g}; name the items to decide among, or lower max_draws"
        )


def _region_labels(
    reward: xr.DataArray, by_type: bool, observed: bool
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    states = [str(state) for state in reward[STATE].values]
    if not by_type:
        return [(state,) for state in states], (STATE,)
    kinds = [str(kind) for kind in reward[TYPE].values]
    return [(state, kind) for state in states for kind in kinds], (STATE, CONTEXT if observed else TYPE)


def _grave_flag(disagree: xr.Dataset, by_type: bool) -> NDArray[np.str_]:
    """Design flag of each region that a posterior alone must not clear."""
    grave = np.stack([disagree["is_flagged"].sel(flag=code).values for code in ("no_data", "disconnected")])
    grave = grave.reshape(2, -1) if by_type else np.asarray(grave.any(2))
    return np.where(grave[0], "no_data", np.where(grave[1], "disconnected", "")).astype(np.str_)
