"""What declared assumptions buy: labelled bounds under them, and how strong each may be before a choice flips.

The public verb is :func:`bounds`: a tree in, the tree with its group ``bounds`` written anew. It lives in the stage
folder of the same name, as ``bayespref.bounds.bounds(tree, assumptions)``. :func:`assume` does the same for labelled
arrays (a maximum-likelihood estimate has no tree), and :func:`sweep` follows one assumption as it weakens.

Draws that refute an assumption are left out, said in a warning with the restrictions that clash, and counted in the
result. Where restrictions tie the types of a state together, the regret of a decision that does not see the type is
an upper bound, and a warning says so; bounds of differences are sharp always.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from bayespref.bounds.assumed import assumed_draws, block_systems
from bayespref.bounds.assumptions import (
    PARAMETERS,
    TIES_TYPES,
    check_assumptions,
)
from bayespref.bounds.evidence import Evidence, evidence_of_tree
from bayespref.bounds.flips import breakdown_dataset, breakdown_parameters
from bayespref.bounds.regions import as_regions, bounds_dataset, draw_bounds, region_games
from bayespref.checks import one_of, simplex
from bayespref.dims import CHAIN, DRAW, ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.errors import DroppedDraws, InfeasibleRestrictionError, NotSharp

_CELL = (STATE, TYPE)


def assume(
    evidence: Evidence,
    assumptions: Mapping[str, Any],
    *,
    items: Sequence[str] | None = None,
    reward_range: tuple[float, float] = (0.0, 1.0),
    range_policy: str = "widen",
    level: float = 0.9,
    regions: str = "state_type",
    type_weights: Float[np.ndarray, "*#draw #state type"] | None = None,
    available: Bool[np.ndarray, "state item"] | None = None,
    contrasts: Sequence[tuple[str, str]] = (),
    on_refuted: str = "condition",
    breakdown_draws: int = 50,
) -> xr.Dataset:
    """Bounds, regret and breakdown values under declared assumptions, as one labelled Dataset.

    Parameters
    ----------
    evidence : Evidence
        From :func:`evidence_of_tree` or :func:`evidence_of_estimate`.
    assumptions : mapping
        As in :func:`bounds`.
    items : sequence of str, optional
        Items a decision may choose among; all by default. The others still narrow the levels of their component.
    reward_range, range_policy
        Assumed range of rewards, log-odds, and what to do with draws that refute it, as in ``level_bounds``.
    level : float
        Level of the robust credible regions and of the intervals of breakdown values.
    regions : {"state_type", "state"}
        What a decision sees: the state and the type, or the state only.
    type_weights : float array that broadcasts to (draw, state, type), optional
        P(type | state); needed with ``regions="state"`` and several types.
    available : bool array, shape (state, chosen item), optional
        Items on offer in each state; all by default.
    contrasts : sequence of (item, item_other), optional
        Pairs whose sign gets a breakdown value too.
    on_refuted : {"condition", "raise"}
        Leave draws out that refute the assumptions, with a warning, or stop.
    breakdown_draws : int
        Draws used for breakdown values (evenly thinned); 0 skips them.

    Returns
    -------
    Dataset
        The variables of ``regions.bounds_dataset``, and per region ``value`` (smallest posterior mean of the largest
        regret), ``value_identified`` (posterior mean of the per-draw minimax regret), ``value_without`` (``value``
        under the range alone). Per assumption with a parameter, ``smallest_feasible`` (median over draws) and
        ``breakdown`` (median), ``breakdown_lower``, ``breakdown_upper`` (interval at ``level``): the largest parameter
        at which one action is best in every world allowed, so that V = 0; above it the preferred action can change.
        Infinite: it never does. NaN: no action is certain even at the smallest feasible parameter.
        ``share_certain`` is the share of draws in which one is certain at the declared parameter.
        ``contrast_breakdown`` says the same of the sign of each of ``contrasts``, by (state, type).

    Raises
    ------
    InfeasibleRestrictionError
        If every draw refutes the assumptions, or some under "raise".
    ValueError
        If an argument breaks a rule above.

    Warns
    -----
    DroppedDraws
        If draws refute the assumptions.
    NotSharp
        If assumptions tie types together while decisions do not see the type.

    Examples
    --------
    >>> cell = ("state", "type", "item")
    >>> reward = xr.DataArray([[[[0.0, 0.6], [0.0, 0.0]]]], dims=("draw", *cell),
    ...     coords={"state": ["s"], "type": ["seen", "unseen"], "item": ["x", "y"]})
    >>> component = xr.DataArray([[[0, 0], [0, 1]]], dims=cell)
    >>> found = assume(Evidence(reward, component), {"level_type_effect": 0.2})
    >>> pair = {"type": "unseen", "item": "y", "item_other": "x"}
    >>> [round(float(found[name].sel(pair).squeeze()), 9) for name in ("difference_lower", "difference_upper")]
    [0.2, 1.0]
    >>> float(found["breakdown"].sel(type="unseen", assumption="level_type_effect").squeeze().round(9))
    0.3
    """
    one_of("regions", regions, ("state", "state_type"))
    reward = evidence.reward.transpose(DRAW, *_CELL, ITEM)
    component = evidence.component.transpose(*_CELL, ITEM)
    compared = None if evidence.compared is None else evidence.compared.transpose(*_CELL, ITEM, ITEM_OTHER).values
    names = tuple([str(x) for x in reward[dim].values] for dim in (*_CELL, ITEM))
    labels = (names[0], names[1], names[2])
    chosen = _positions("items", labels[2] if items is None else items, labels[2])
    declared = {name: _aligned(name, value, labels[0]) for name, value in check_assumptions(assumptions).items()}
    found = assumed_draws(
        reward.values,
        component.values,
        compared,
        chosen,
        declared,
        labels,
        reward_range,
        range_policy,
        on_refuted=on_refuted,
    )
    inner = reward.isel({ITEM: chosen, DRAW: 0}).copy(data=component.values[..., chosen])
    result = bounds_dataset(found, inner, chosen, range_policy=range_policy, level=level)
    used = found.levels.reward_range
    by_type = regions == "state_type"
    coupled = not by_type and len(labels[1]) > 1 and bool(TIES_TYPES & set(declared))
    if coupled:
        ties = sorted(TIES_TYPES & set(declared))
        message = (
            f"{ties} tie the types of a state: without seeing the type, the regret here is an upper bound; "
            "bounds.coupled.coupled_minimax_regret has the exact one"
        )
        warnings.warn(message, NotSharp, stacklevel=2)
    weights = _weights(type_weights, reward.shape[:3], by_type)
    offered = np.ones((len(labels[0]), len(chosen)), dtype=bool) if available is None else np.asarray(available)
    dims = _CELL if by_type else (STATE,)
    shape = component.shape[: len(dims)]
    game = region_games(*as_regions(reward.values[..., chosen], found.upper, weights, offered, by_type=by_type))
    without = game
    if declared:
        plain = draw_bounds(reward.values, component.values, chosen, used, "condition")
        upper = np.where(np.isnan(found.upper), np.nan, plain.upper)
        without = region_games(*as_regions(reward.values[..., chosen], upper, weights, offered, by_type=by_type))
    result["value"] = (dims, game.value.reshape(shape))
    result["value_identified"] = (dims, game.value_identified.reshape(shape))
    result["value_without"] = (dims, without.value.reshape(shape))
    result.attrs |= {
        "declared": json.dumps({name: _declared_words(value) for name, value in declared.items()}),
        "share_refuted": found.levels.share_refuted,
        "value_sharp": int(not coupled),
        "regions": regions,
        "method": "identified set per draw under declared assumptions; set of means and robust credible region",
    }
    if breakdown_draws > 0:
        thin = np.unique(np.linspace(0, len(reward) - 1, breakdown_draws).astype(int))
        systems = block_systems(reward.values[thin], component.values, compared, declared, labels, used)
        pairs = [(int(a), int(b)) for a, b in (_positions("contrasts", pair, labels[2]) for pair in contrasts)]
        flips = breakdown_parameters(systems, declared, chosen, weights[thin], offered, pairs, by_type=by_type)
        result = result.merge(breakdown_dataset(flips, dims, shape, level, contrasts), combine_attrs="override")
    return result


def _positions(argument: str, wanted: Sequence[str], items: Sequence[str]) -> NDArray[np.int64]:
    unknown = [item for item in wanted if item not in items]
    if unknown or len(set(wanted)) < max(len(wanted), 2):
        raise ValueError(f"{argument}: name at least two different items of the evidence; unknown: {unknown[:5]}")
    codes = np.array([list(items).index(item) for item in wanted], dtype=np.int64)
    return codes if argument == "contrasts" else np.sort(codes)


def _aligned(name: str, value: Any, states: Sequence[str]) -> Any:
    """A Lipschitz pair with its distances as a plain array in the order of the states."""
    if not name.endswith("lipschitz"):
        return value
    slope, distance = value
    if isinstance(distance, xr.DataArray) and all(dim in distance.coords for dim in distance.dims):
        distance = distance.sel({dim: list(states) for dim in distance.dims})
    return slope, np.asarray(distance, dtype=np.float64)


def _declared_words(value: Any) -> Any:
    return [float(value[0]), value[1].tolist()] if isinstance(value, tuple) and len(value) == 2 else value


def _weights(given: Any, shape: tuple[int, ...], by_type: bool) -> NDArray[np.float64]:
    if given is not None:
        return np.asarray(np.broadcast_to(simplex("type_weights", given), shape))
    if not by_type and shape[-1] > 1:
        raise ValueError("type_weights: decisions that do not see the type need P(type | state)")
    return np.full(shape, 1.0 / shape[-1])


def sweep(
    evidence: Evidence,
    assumptions: Mapping[str, Any],
    name: str,
    values: Sequence[float],
    *,
    items: Sequence[str] | None = None,
    reward_range: tuple[float, float] = (0.0, 1.0),
    range_policy: str = "widen",
    level: float = 0.9,
    regions: str = "state_type",
    type_weights: Float[np.ndarray, "*#draw #state type"] | None = None,
    available: Bool[np.ndarray, "state item"] | None = None,
) -> xr.Dataset:
    """Follow bounds and regret as the parameter of one assumption grows and the assumption weakens.

    In each draw the identified set only widens. Every value is summarised over the draws that fit it, and
    ``share_refuted`` says how many do not; where none fits, everything is NaN.

    Parameters
    ----------
    evidence : Evidence
        As in :func:`assume`.
    assumptions : mapping
        Assumptions held fixed; for a Lipschitz assumption that is swept, the pair (any L, distances).
    name : str
        The assumption whose parameter moves.
    values : sequence of float
        Its parameters, in any order.
    items, reward_range, range_policy, level, regions, type_weights, available
        As in :func:`assume`.

    Returns
    -------
    Dataset
        As :func:`assume` without breakdown values, with a first dim ``parameter``.

    Raises
    ------
    ValueError
        If the assumption has no parameter, or no value is given.

    Examples
    --------
    >>> cell = ("state", "type", "item")
    >>> reward = xr.DataArray([[[[0.0, 0.6], [0.0, 0.0]]]], dims=("draw", *cell),
    ...     coords={"state": ["s"], "type": ["seen", "unseen"], "item": ["x", "y"]})
    >>> component = xr.DataArray([[[0, 0], [0, 1]]], dims=cell)
    >>> found = sweep(Evidence(reward, component), {}, "level_type_effect", [0.0, 0.2, 1.0])
    >>> found["difference_lower"].sel(type="unseen", item="y", item_other="x").squeeze().round(9).values.tolist()
    [0.6, 0.2, -1.0]
    """
    if not PARAMETERS.get(name):
        raise ValueError(f"name: {name!r} has no parameter to sweep")
    if not len(values):
        raise ValueError("values: give at least one parameter")
    found: list[xr.Dataset | None] = []
    for value in values:
        here = (value, assumptions[name][1]) if name.endswith("lipschitz") else value
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DroppedDraws)  # the share of draws is in the result
                one = assume(
                    evidence,
                    {**assumptions, name: here},
                    items=items,
                    reward_range=reward_range,
                    range_policy=range_policy,
                    level=level,
                    regions=regions,
                    type_weights=type_weights,
                    available=available,
                    breakdown_draws=0,
                )
            found.append(one.assign(share_refuted=one.attrs["share_refuted"]))
        except InfeasibleRestrictionError:
            found.append(None)
    some = next((one for one in found if one is not None), None)
    if some is None:
        raise InfeasibleRestrictionError((f"{PARAMETERS[name]} of {name} up to {max(values):g}",), 1.0)
    nothing = some.map(lambda array: xr.full_like(array, np.nan)).assign(share_refuted=1.0)
    joined = xr.concat([nothing if one is None else one for one in found], "parameter", combine_attrs="override")
    attrs = {key: some.attrs[key] for key in ("units", "reward_range", "level", "regions", "value_sharp", "sharp")}
    return joined.assign_coords(parameter=np.asarray(values, dtype=np.float64)).assign_attrs(
        attrs | {"assumption": name, "parameter": PARAMETERS[name], "held": json.dumps(sorted(assumptions))}
    )


def bounds(
    tree: xr.DataTree,
    assumptions: Mapping[str, Any],
    *,
    reward_range: tuple[float, float] | None = None,
    range_policy: str | None = None,
    level: float | None = None,
    regions: str = "state_type",
    type_weights: str = "population",
    contrasts: Sequence[tuple[str, str]] = (),
    on_refuted: str = "condition",
    max_draws: int = 200,
    breakdown_draws: int = 50,
) -> xr.DataTree:
    """Write the group ``bounds`` of an analysed tree anew, under declared assumptions.

    Parameters
    ----------
    tree : DataTree
        From ``bayespref.analyse`` or ``bayespref.run``; not changed. Its items, range and level are kept.
    assumptions : mapping of str to value
        ``level_type_effect``: kappa, rewards of one item differ at most this between types;
        ``level_lipschitz``: (L, distances between states), rewards of one item move at most L per unit of distance;
        ``item_order``: items from best to worst, or several such lists;
        ``gamma``: hidden types tilt the odds of each compared pair by at most this factor;
        ``contrast_type_effect``, ``contrast_lipschitz``: as the first two, for differences, free of the gauge;
        ``interaction``: eta, double differences over states and types are at most this.
    reward_range, range_policy, level : optional
        In place of those of the tree's group ``bounds``.
    regions : {"state_type", "state"}
        What a decision sees.
    type_weights : {"population", "logged"}
        P(type | state) where it does not see the type: as in ``bayespref.analyse``.
    contrasts, on_refuted, breakdown_draws
        As in :func:`assume`.
    max_draws : int
        Draws used (evenly thinned).

    Returns
    -------
    DataTree
        The tree with the group ``bounds`` of :func:`assume`. The group ``defer`` still rests on the bounds it was made
        from.

    Raises
    ------
    InfeasibleRestrictionError
        If every draw refutes the assumptions, or some under ``on_refuted="raise"``.
    ValueError
        If the tree was not analysed, or an assumption is unknown or breaks its rule.

    Warns
    -----
    DroppedDraws, NotSharp
        As in :func:`assume`.

    Examples
    --------
    >>> import bayespref
    >>> from bayespref.bounds import bounds
    >>> tree = bayespref.run("table.csv", model="latent_types")  # doctest: +SKIP
    >>> bounds(tree, {"level_type_effect": 0.3})["bounds"]["breakdown"]  # doctest: +SKIP
    """
    one_of("type_weights", type_weights, ("population", "logged"))
    evidence = evidence_of_tree(tree, max_draws=max_draws)
    if "bounds" not in tree.children:
        raise ValueError("tree: lacks the group(s) ['bounds']; bounds need a fit that was analysed")
    before, graph = tree["bounds"].attrs, tree["graph"].to_dataset()
    chosen = graph["is_chosen"].values
    low, high = before["reward_range"]
    posterior = tree["posterior"].to_dataset().stack(sample=(CHAIN, DRAW))
    thin = np.unique(np.linspace(0, posterior.sizes["sample"] - 1, max_draws).astype(int))
    weight = posterior["type_weight"].transpose("sample", TYPE).values[thin, None, :]
    if type_weights == "logged" and "prompt_prob" in posterior:
        weight = weight * posterior["prompt_prob"].transpose("sample", STATE, TYPE).values[thin]
        weight = weight / weight.sum(-1, keepdims=True)
    written = assume(
        evidence,
        assumptions,
        items=[str(item) for item in graph[ITEM].values[chosen]],
        reward_range=(float(low), float(high)) if reward_range is None else reward_range,
        range_policy=str(before["range_policy"]) if range_policy is None else range_policy,
        level=float(before["level"]) if level is None else level,
        regions=regions,
        type_weights=weight,
        available=graph["present"].transpose(STATE, ITEM).values[:, chosen],
        contrasts=contrasts,
        on_refuted=on_refuted,
        breakdown_draws=breakdown_draws,
    )
    kept = {name: node.to_dataset() for name, node in tree.children.items()}
    result = xr.DataTree.from_dict(kept | {"bounds": written})
    result.attrs |= tree.attrs
    return result
