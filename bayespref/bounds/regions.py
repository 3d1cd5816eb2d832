"""From posterior draws to bounds and regret games by region, array layer and its labels."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from bayespref.bounds.identified import LevelBounds, level_bounds
from bayespref.bounds.interval import robust_credible_region
from bayespref.bounds.regret import gamma_minimax, minimax_regret, regret_matrix
from bayespref.dims import ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.errors import RangeRefutedError


class RegionGames(NamedTuple):
    """What a decision in each region can cost, draw by draw.

    Attributes
    ----------
    difference : float array, shape (draw, region, item, item)
        ``[..., a', a]``: r(a') - r(a) of the draw, mixed over types; prior-filled where nothing is known.
    regret : float array, shape (draw, region, item, item)
        Its upper bound over the identified set; NaN in draws that refute the range.
    kept : bool array, shape (draw, region)
        Draws that do not refute the range.
    value : float array, shape (region,)
        Least posterior mean of the largest regret, over randomised policies (ex-post Gamma-minimax regret).
    value_identified : float array, shape (region,)
        Posterior mean of the per-draw minimax regret: zero where an unlimited table would settle the choice.
    """

    difference: Float[np.ndarray, "draw region item item_other"]
    regret: Float[np.ndarray, "draw region item item_other"]
    kept: Bool[np.ndarray, "draw region"]
    value: Float[np.ndarray, " region"]
    value_identified: Float[np.ndarray, " region"]


class DrawBounds(NamedTuple):
    """Upper bounds on the differences among the chosen items, draw by draw, and what they rest on.

    Attributes
    ----------
    upper : float array, shape (draw, state, type, chosen, chosen)
        Largest r(a) - r(b) in the identified set; NaN in draws that refute the range. The lower bound of (a, b) is
        minus the upper bound of (b, a).
    levels : LevelBounds
        Level bounds of every item, chosen or not.
    """

    upper: Float[np.ndarray, "draw state type chosen chosen_other"]
    levels: LevelBounds


def draw_bounds(
    reward: Float[np.ndarray, "draw state type item"],
    component: Int[np.ndarray, "state type item"],
    chosen: Int[np.ndarray, " chosen"],
    reward_range: tuple[float, float],
    range_policy: str,
) -> DrawBounds:
    """Bound the differences among chosen items; every item of a component narrows the component's level.

    Parameters
    ----------
    reward : float array, shape (draw, state, type, item)
        Posterior draws of every item, log-odds.
    component : int array, shape (state, type, item)
        Component labels; only differences within a component are read.
    chosen : int array, shape (chosen,)
        Codes of the items whose differences are wanted.
    reward_range : tuple of float
        Assumed range of rewards, log-odds.
    range_policy : {"raise", "condition", "widen"}
        What to do when draws refute it; one range holds for all states and types.

    Returns
    -------
    DrawBounds

    Raises
    ------
    RangeRefutedError
        Under "raise", or when every draw refutes the range under "condition".

    Examples
    --------
    >>> reward = np.array([[[[0.0, 0.5, 9.0]]]])
    >>> upper = draw_bounds(reward, np.array([[[0, 0, 1]]]), np.array([0, 2]), (0.0, 1.0), "raise").upper
    >>> upper[0, 0, 0].tolist()
    [[0.0, 0.5], [1.0, 0.0]]
    """
    levels = level_bounds(reward, component, reward_range, range_policy=range_policy)
    if not levels.kept.any():
        raise RangeRefutedError(("every draw",), levels.r_min, reward_range[1] - reward_range[0])
    own, low, high = reward[..., chosen], levels.lower[..., chosen], levels.upper[..., chosen]
    labels = component[..., chosen]
    same = labels[..., :, None] == labels[..., None, :]
    within = own[..., :, None] - own[..., None, :]
    upper = np.where(same, within, high[..., :, None] - low[..., None, :])
    upper[~np.broadcast_to(levels.kept, reward.shape[:-1])] = np.nan
    return DrawBounds(upper, levels)


def region_games(
    reward: Float[np.ndarray, "draw region type item"],
    upper: Float[np.ndarray, "draw region type item item_other"],
    type_weights: Float[np.ndarray, "draw region type"],
    available: Bool[np.ndarray, "region item"],
) -> RegionGames:
    """Regret games of every region.

    Parameters
    ----------
    reward : float array, shape (draw, region, type, item)
        Posterior draws of the items a decision is about, log-odds.
    upper : float array, shape (draw, region, type, item, item)
        Upper bounds of their differences, from :func:`draw_bounds`.
    type_weights : float array, shape (draw, region, type)
        P(type | region).
    available : bool array, shape (region, item)
        Items on offer.

    Returns
    -------
    RegionGames
    """
    kept = np.asarray(~np.isnan(upper).any(axis=(2, 3, 4)))
    regret = regret_matrix(upper, type_weights)
    mixed = np.einsum("nrc,nrca->nra", type_weights, reward)
    per_draw = minimax_regret(regret, available=available[None]).value
    n_regions = reward.shape[1]
    value = np.full(n_regions, np.nan)
    identified = np.full(n_regions, np.nan)
    for region in range(n_regions):
        use, offered = kept[:, region], np.flatnonzero(available[region])
        if use.any() and len(offered):
            value[region] = gamma_minimax(regret[use, region][:, offered[:, None], offered]).value
            identified[region] = per_draw[use, region].mean()
    return RegionGames(mixed[..., :, None] - mixed[..., None, :], regret, kept, value, identified)


def cell_value(bounds: DrawBounds, available: Bool[np.ndarray, "state chosen"]) -> Float[np.ndarray, "state type"]:
    """Posterior mean of the minimax regret of every (state, type): what no further data of this kind removes there.

    Parameters
    ----------
    bounds : DrawBounds
        From :func:`draw_bounds`.
    available : bool array, shape (state, chosen)
        Items on offer in each state.

    Returns
    -------
    float array, shape (state, type)
        Log-odds; NaN where every draw refutes the range or nothing is on offer.

    Examples
    --------
    >>> bounds = draw_bounds(np.zeros((1, 1, 1, 2)), np.array([[[0, 1]]]), np.arange(2), (0.0, 1.0), "raise")
    >>> cell_value(bounds, np.ones((1, 2), dtype=bool)).tolist()
    [[0.5]]
    """
    kept = ~np.isnan(bounds.upper).any(axis=(-1, -2))
    value = minimax_regret(bounds.upper, available=available[None, :, None]).value
    defined = kept & ~np.isnan(value)
    total = np.where(defined, value, 0.0).sum(0)
    count = defined.sum(0)
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def bounds_dataset(
    bounds: DrawBounds, component: xr.DataArray, chosen: Int[np.ndarray, " chosen"], *, range_policy: str, level: float
) -> xr.Dataset:
    """Bounds on levels and differences of every (state, type), as a labelled Dataset.

    Parameters
    ----------
    bounds : DrawBounds
        From :func:`draw_bounds`.
    component : DataArray, dims (state, type, item)
        Component labels of the chosen items; gives the coordinates.
    chosen : int array, shape (chosen,)
        Codes of the chosen items.
    range_policy : str
        Recorded in the attributes.
    level : float
        Level of the robust credible regions.

    Returns
    -------
    Dataset
        ``level_lower``, ``level_upper``, ``difference_lower``, ``difference_upper`` (the set of posterior means),
        ``region_lower``, ``region_upper`` (shortest interval that contains the identified set of a difference in at
        least ``level`` of the draws). Differences are item minus item_other. Attributes say range, the smallest range
        the draws allow (``r_min``), share of refuting cells, assumptions, and that the bounds are sharp.
    """
    upper, levels = bounds.upper, bounds.levels
    shape = upper.shape[1:]
    high, low, region_low, region_high = (np.full(shape, np.nan) for _ in range(4))
    kept = np.broadcast_to(levels.kept, upper.shape[:3])
    for state, kind in np.ndindex(*shape[:2]):
        use = kept[:, state, kind]
        if use.any():
            top = upper[use, state, kind]
            bottom = -np.swapaxes(top, -1, -2)
            low[state, kind], high[state, kind] = bottom.mean(0), top.mean(0)
            region = robust_credible_region(bottom, top, level)
            region_low[state, kind], region_high[state, kind] = region.lower, region.upper
    n_kept = kept.sum(0)[..., None]
    means = [
        np.divide(np.where(kept[..., None], end, 0.0).sum(0), n_kept, out=np.full(shape[:3], np.nan), where=n_kept > 0)
        for end in (levels.lower[..., chosen], levels.upper[..., chosen])
    ]
    pair, single = (STATE, TYPE, ITEM, ITEM_OTHER), (STATE, TYPE, ITEM)
    coords: dict[str, Any] = {name: component[name].values for name in single}
    return xr.Dataset(
        {
            "level_lower": (single, means[0]),
            "level_upper": (single, means[1]),
            "difference_lower": (pair, low),
            "difference_upper": (pair, high),
            "region_lower": (pair, region_low),
            "region_upper": (pair, region_high),
        },
        coords=coords | {ITEM_OTHER: component[ITEM].values},
        attrs={
            "units": "log-odds",
            "reward_range": list(levels.reward_range),
            "r_min": levels.r_min,
            "range_policy": range_policy,
            "share_refuted": levels.share_refuted,
            "level": level,
            "sharp": int(levels.sharp),
            "assumptions": json.dumps(list(levels.assumptions)),
            "method": "closed-form identified set per draw; set of posterior means and robust credible region",
            "n_draws": len(upper),
        },
    )


def as_regions(
    reward: Float[np.ndarray, "draw state type item"],
    upper: Float[np.ndarray, "draw state type item item_other"],
    type_weights: Float[np.ndarray, "draw state type"],
    seen: Bool[np.ndarray, "state item"],
    *,
    by_type: bool,
) -> tuple[
    Float[np.ndarray, "draw region type item"],
    Float[np.ndarray, "draw region type item item_other"],
    Float[np.ndarray, "draw region type"],
    Bool[np.ndarray, "region item"],
]:
    """Arrays with one region axis: states, or states crossed with types (then one type in each region).

    Examples
    --------
    >>> reward, upper = np.zeros((5, 2, 3, 4)), np.zeros((5, 2, 3, 4, 4))
    >>> seen = np.ones((2, 4), dtype=bool)
    >>> as_regions(reward, upper, np.full((5, 2, 3), 1 / 3), seen, by_type=True)[0].shape
    (5, 6, 1, 4)
    """
    if not by_type:
        return reward, upper, type_weights, seen
    draws, n_states, n_types, n_items = reward.shape
    return (
        reward.reshape(draws, n_states * n_types, 1, n_items),
        upper.reshape(draws, n_states * n_types, 1, n_items, n_items),
        np.ones((draws, n_states * n_types, 1)),
        np.repeat(seen, n_types, axis=0),
    )
