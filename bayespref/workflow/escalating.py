"""Which comparison would let a region stop deferring: the guaranteed value of one more label, from an analysed fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayespref.bounds.regions import draw_bounds
from bayespref.bounds.regret import minimax_regret, regret_matrix
from bayespref.checks import finite, non_negative
from bayespref.defer.monitor import escalation_queue
from bayespref.defer.threshold import escalation_value
from bayespref.dims import CHAIN, CONTEXT, DRAW, ITEM, STATE, TYPE
from bayespref.posterior.tree import deployment_weights, tree_meta

_COLUMNS = ("item_a", "item_b", "value", "drop", "value_after", "stops_deferring", "gain")


def escalation(
    tree: xr.DataTree,
    *,
    c_defer: float,
    c_escalate: float,
    frequency: Mapping[str, float] | None = None,
    n_grid: int = 65,
    max_draws: int = 100,
) -> pd.DataFrame:
    """What one label between two components would save at least, most valuable first.

    Parameters
    ----------
    tree : xarray.DataTree
        An analysed fit.
    c_defer, c_escalate : float
        Cost of deferring and price of a label, log-odds of reward.
    frequency : mapping of str to float, optional
        How many decisions a label in each state will serve; 1 if omitted.
    n_grid : int
        Values tried for the difference that the label would settle.
    max_draws : int
        Draws used (evenly thinned).

    Returns
    -------
    pandas.DataFrame
        One row a (state, type, pair of components) whose drop is worth more than its price: the state, the type (or
        context) of the person to ask, ``item_a`` and ``item_b`` (the first of either component; any other pair of the
        two says the same), ``value`` (posterior mean of the minimax regret V of the region), ``drop`` (its guaranteed
        fall), ``value_after`` (``value - drop``), ``stops_deferring`` (it is at most ``c_defer``) and ``gain``.

    Raises
    ------
    KeyError
        If the tree has no group ``defer``.

    Notes
    -----
    Design notes on deferral: ``V - max_t V(d_e = t)`` over t in the bounds of d_e, draw by draw, then averaged. "One
    label" stands for as many as make the difference known. V(t) moves no faster than t, so half a grid step is
    subtracted (see :func:`edge_drop`). Items that ``analyse`` was told to leave out narrow no level here, so ``value``
    may exceed ``value_identified``.
    """
    price = float(finite("c_defer", non_negative("c_defer", c_defer)))
    defer, bounds = tree["defer"].to_dataset(), tree["bounds"].to_dataset()
    items = [str(item) for item in defer[ITEM].values]
    posterior = tree["posterior"].to_dataset()
    every = posterior["reward"].sel({ITEM: items}).transpose(CHAIN, DRAW, STATE, TYPE, ITEM).values
    every = every.reshape(-1, *every.shape[2:])
    thin = np.unique(np.linspace(0, len(every) - 1, max_draws).astype(int))
    reward = every[thin]
    graph = tree["graph"].to_dataset()
    component = graph["type_component"].sel({ITEM: items}).transpose(STATE, TYPE, ITEM).values
    states, kinds = (posterior[name].values.astype(str).tolist() for name in (STATE, TYPE))
    by_type = len(np.atleast_1d(defer.attrs["columns"])) > 1
    available = defer["available"].values.reshape(len(states), -1, len(items))[:, 0]
    logged = "in the log" in str(defer.attrs["deployment"])
    mix = (
        np.broadcast_to(np.eye(len(kinds)), (len(thin), len(kinds), len(kinds)))[:, None].repeat(len(states), 1)
        if by_type
        else deployment_weights(posterior, thin, logged=logged)[0][:, :, None, :]
    )
    low, high = (float(end) for end in bounds.attrs["reward_range"])
    rows = []
    for s, state in enumerate(states):
        offered = np.flatnonzero(available[s])
        for c, kind in enumerate(kinds):  # a game has few components, so few edges; each is one array expression
            weight = mix[:, s, c if by_type else 0]
            pairs = _between(component[s, c], available[s])
            for a, b in pairs if len(offered) > 1 else []:
                value, drop = edge_drop(
                    reward[:, s],
                    component[s],
                    weight,
                    (c, a, b),
                    offered=offered,
                    reward_range=(low, high),
                    n_grid=n_grid,
                )
                rows.append((state, kind, items[a], items[b], value, drop))
    kind_column = CONTEXT if tree_meta(tree)["options"].get("types_observed", False) else TYPE
    table = pd.DataFrame(rows, columns=[STATE, kind_column, "item_a", "item_b", "value", "drop"])
    served = table[STATE].map(lambda state: 1.0 if frequency is None else float(frequency[state])).to_numpy(float)
    queue = escalation_queue(table["drop"].to_numpy(float), c_escalate, frequency=served)
    ordered = table.iloc[queue.order].reset_index(drop=True)
    ordered["value_after"] = ordered["value"] - ordered["drop"]
    ordered["stops_deferring"] = (ordered["value"] > price) & (ordered["value_after"] <= price)
    ordered["gain"] = queue.gain
    return ordered[[STATE, kind_column, *_COLUMNS]]


def _between(component: Int[np.ndarray, " item"], available: Bool[np.ndarray, " item"]) -> list[tuple[int, int]]:
    """First available items of every two components."""
    offered = np.flatnonzero(available)
    _, first = np.unique(component[offered], return_index=True)
    heads = np.sort(offered[first]).tolist()
    return [(a, b) for i, a in enumerate(heads) for b in heads[i + 1 :]]


def edge_drop(
    reward: Float[np.ndarray, "draw type item"],
    component: Int[np.ndarray, "type item"],
    type_weights: Float[np.ndarray, "draw type"],
    edge: tuple[int, int, int],
    *,
    offered: Int[np.ndarray, " offered"],
    reward_range: tuple[float, float],
    n_grid: int = 65,
) -> tuple[float, float]:
    """Minimax regret of one region, and its guaranteed fall if a difference across components were known.

    Parameters
    ----------
    reward : float array, shape (draw, type, item)
        Posterior draws, log-odds; only differences within a component are read.
    component : int array, shape (type, item)
        Component labels.
    type_weights : float array, shape (draw, type)
        P(type) in the region.
    edge : tuple of int
        Type, item and item of the other component.
    offered : int array, shape (offered,)
        Items on offer.
    reward_range : tuple of float
        Assumed range of rewards, log-odds; widened where draws exceed it.
    n_grid : int
        Values of the difference tried.

    Returns
    -------
    value, drop : float
        Means over draws, log-odds.

    Examples
    --------
    Three items never compared: V is 2/3, and knowing one difference saves a sixth at least.

    >>> value, drop = edge_drop(
    ...     np.zeros((1, 1, 3)), np.array([[0, 1, 2]]), np.ones((1, 1)), (0, 0, 1), offered=np.arange(3),
    ...     reward_range=(0.0, 1.0), n_grid=1001,
    ... )
    >>> round(value, 3), round(drop, 2)
    (0.667, 0.17)
    """
    kind, a, b = edge
    n_draws, _, n_items = reward.shape
    every = np.arange(n_items)

    def value_of(
        rewards: NDArray[np.float64], labels: NDArray[np.int64], mix: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        upper = draw_bounds(rewards[:, None], labels[None], every, reward_range, "widen").upper[:, 0]
        game = regret_matrix(upper, mix)[:, offered[:, None], offered]
        return np.asarray(minimax_regret(game).value, dtype=np.float64)

    now = draw_bounds(reward[:, None], component[None], every, reward_range, "widen").upper[:, 0, kind]
    value = value_of(reward, component, type_weights)
    merged = component.copy()
    merged[kind, component[kind] == component[kind, b]] = component[kind, a]
    side = component[kind] == component[kind, b]

    def value_given(difference: NDArray[np.float64]) -> NDArray[np.float64]:
        # Shift the component of b so that r(a) - r(b) is each value of the grid.
        shifted = np.broadcast_to(reward, (len(difference), *reward.shape)).copy()
        shift = reward[:, kind, a] - reward[:, kind, b] - difference
        shifted[:, :, kind, side] += shift[..., None]
        flat = shifted.reshape(-1, *reward.shape[1:])
        return value_of(flat, merged, np.tile(type_weights, (len(difference), 1))).reshape(len(difference), n_draws)

    found = escalation_value(value, value_given, -now[:, b, a], now[:, a, b], n_grid=n_grid)
    return float(value.mean()), float(found.drop.mean())
