"""The group ``disagree``: every contrast of every (state, type), its flags, and NaN where nothing identifies it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.special import expit

from bayespref.dims import DRAW, ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.disagree.design import design_flags
from bayespref.disagree.regions import flags, to_dataset
from bayespref.disagree.spread import disagreement
from bayespref.disagree.status import posterior_flags


def contrasts_dataset(
    reward: xr.DataArray,
    prior: Float[np.ndarray, "draw state type item"],
    chosen: Int[np.ndarray, " chosen"],
    wins: Float[np.ndarray, "state type item item_other"],
    component: Int[np.ndarray, "state type item"],
    strong_component: Int[np.ndarray, "state type item"],
    seen: Bool[np.ndarray, "state item"],
    bound_width: Float[np.ndarray, "state type chosen chosen_other"],
    value: Float[np.ndarray, "state type"],
    *,
    least_edge: float,
    floor: float,
    tolerance: float,
) -> xr.Dataset:
    """Summarise and flag the contrasts among the chosen items.

    Parameters
    ----------
    reward : DataArray, dims (sample, state, type, item)
        Posterior draws of every item, log-odds.
    prior : float array, shape (draw, state, type, item)
        Prior draws of every item, log-odds.
    chosen : int array, shape (chosen,)
        Increasing codes of the items whose contrasts are reported; graphs and flags use all items.
    wins : float array, shape (state, type, item, item)
        Expected weight with which one item beat another, ties half each way.
    component, strong_component : int array, shape (state, type, item)
        Component labels of those graphs.
    seen : bool array, shape (state, item)
        Items seen in each state.
    bound_width : float array, shape (state, type, chosen, chosen)
        Width of the bound on each contrast, log-odds.
    value : float array, shape (state, type)
        Minimax regret of each cell, log-odds: whether what is unknown there matters for a decision.
    least_edge : float
        Least (expected) count that makes an edge.
    floor : float
        Mass below which a cell is thin, share of all comparisons.
    tolerance : float
        Standard error above which a contrast is thin, log-odds.

    Returns
    -------
    Dataset
        Summaries of ``disagreement``, flags of ``regions.to_dataset``, ``estimate`` (posterior mean, NaN across
        components), ``reason`` (no_data, disconnected, separated or "") and ``leader`` (item of the largest mean).
    """
    among = reward.isel(item=chosen)
    prior_sd = contrast_sd(prior[..., chosen])
    table = disagreement(among.rename(sample=DRAW), prior_sd)
    counts = wins + np.swapaxes(wins, -1, -2)
    counts = np.where(counts >= least_edge, counts, 0.0)
    mean = reward.mean("sample").values
    contender = np.broadcast_to((seen & np.isin(np.arange(seen.shape[1]), chosen))[:, None, :], mean.shape)
    leader = np.where(contender, mean, -np.inf).argmax(-1)
    design = design_flags(
        counts,
        component,
        strong_component,
        leader=leader,
        contender=contender,
        win_probability=expit(mean[..., :, None] - mean[..., None, :]),
        total=float(counts.sum() / 2),
        latent=mean.shape[1] > 1,
        floor=floor,
        tolerance=tolerance,
    )
    posterior = posterior_flags(
        table["sd"].values,
        prior_sd,
        table["width"].values,
        bound_width,
        component[..., chosen],
        leader=np.minimum(np.searchsorted(chosen, leader), len(chosen) - 1),
        contender=contender[..., chosen],
        n_effective=float(reward.sizes["sample"]),
    )
    coords = {name: among[name].values.tolist() for name in (STATE, TYPE, ITEM)}
    marked = to_dataset(flags(design, posterior, value=value), design, posterior, coords=coords)
    table = table.merge(marked, combine_attrs="override")
    dims = (STATE, TYPE, ITEM, ITEM_OTHER)
    reason = contrast_reason(component[..., chosen], strong_component[..., chosen], counts.sum((-1, -2)) == 0)
    table["reason"] = (dims, reason)
    table["estimate"] = table["mean"].where(~np.isin(reason, ("no_data", "disconnected")))
    table["leader"] = ((STATE, TYPE), reward[ITEM].values[leader])
    return table


def contrast_reason(
    component: Int[np.ndarray, "*cell item"],
    strong_component: Int[np.ndarray, "*cell item"],
    empty: Bool[np.ndarray, "*cell"],
) -> NDArray[np.str_]:
    """Reason code of every contrast that is not, or not finitely, identified; "" elsewhere and on the diagonal.

    Examples
    --------
    >>> contrast_reason(np.array([0, 0, 1]), np.array([0, 1, 2]), np.array(False)).tolist()[0]
    ['', 'separated', 'disconnected']
    """
    apart = component[..., :, None] != component[..., None, :]
    split = strong_component[..., :, None] != strong_component[..., None, :]
    reason = np.where(apart, "disconnected", np.where(split, "separated", ""))
    reason = np.where(empty[..., None, None], "no_data", reason)
    n_items = component.shape[-1]
    reason[..., np.arange(n_items), np.arange(n_items)] = ""
    return reason.astype(np.str_)


def contrast_sd(draws: Float[np.ndarray, "draw *cell item"]) -> Float[np.ndarray, "*cell item item_other"]:
    """Standard deviation of every contrast over draws; 1, which nobody reads, on the diagonal.

    Examples
    --------
    >>> draws = np.array([[0.0, 1.0], [0.0, 3.0]])
    >>> contrast_sd(draws).round(3).tolist()
    [[1.0, 1.414], [1.414, 1.0]]
    """
    deviation = draws - draws.mean(0)
    covariance = np.einsum("n...a,n...b->...ab", deviation, deviation) / (len(draws) - 1)
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    spread = np.sqrt(np.maximum(variance[..., :, None] + variance[..., None, :] - 2 * covariance, 0.0))
    spread[..., np.arange(spread.shape[-1]), np.arange(spread.shape[-1])] = 1.0
    return np.asarray(spread)
