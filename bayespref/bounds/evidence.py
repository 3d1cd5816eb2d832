"""What the data fix, labelled: from an analysed tree, or from an estimate without a prior."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, B_WINS, BOTH_BAD, CHAIN, DRAW, ITEM, ITEM_OTHER, STATE, TIE, TYPE
from bayespref.display import shown


@shown("what the data fix, before any assumption", next_step="hand it to bayespref.bounds.assume or sweep")
class Evidence(NamedTuple):
    """What the data fix, labelled: differences within components of every draw, and which pairs were compared.

    Attributes
    ----------
    reward : DataArray, dims (draw, state, type, item)
        Draws of rewards, log-odds; read within components only.
    component : DataArray, dims (state, type, item)
        Component labels.
    compared : DataArray of bool, dims (state, type, item, item_other), or None
        Pairs that were compared; needed by the assumption ``gamma`` only.
    """

    reward: xr.DataArray
    component: xr.DataArray
    compared: xr.DataArray | None = None


def evidence_of_tree(tree: xr.DataTree, *, max_draws: int = 200) -> Evidence:
    """Take the evidence out of an analysed tree, with evenly thinned draws.

    Parameters
    ----------
    tree : DataTree
        With the groups ``posterior``, ``fit`` and ``graph``.
    max_draws : int
        Draws kept.

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        If a group is missing: the tree was not analysed.
    """
    missing = [name for name in ("posterior", "fit", "graph") if name not in tree.children]
    if missing:
        raise ValueError(f"tree: lacks the group(s) {missing}; bounds need a fit that was analysed")
    reward = tree["posterior"].to_dataset()["reward"].stack(sample=(CHAIN, DRAW)).transpose("sample", STATE, TYPE, ITEM)
    thin = np.unique(np.linspace(0, reward.sizes["sample"] - 1, max_draws).astype(int))
    reward = reward.isel(sample=thin).drop_vars(("sample", CHAIN, DRAW)).rename(sample=DRAW)
    graph, fitted = tree["graph"].to_dataset(), tree["fit"].to_dataset()
    component = graph["type_component"].transpose(STATE, TYPE, ITEM)
    used = fitted["outcome_code"].values != BOTH_BAD
    amount = fitted["expected_count"].values[:, :, used].sum(-1)
    count = np.zeros((*component.shape, component.shape[-1]))
    kinds = np.arange(len(amount))[:, None]
    where = np.broadcast_arrays(*(fitted[f"question_{name}"].values for name in ("state", "a", "b")), kinds)
    np.add.at(count, (where[0], where[3], where[1], where[2]), amount)
    # The edges of the group graph: an expected count that rounds to at least n_min comparisons.
    compared = count + np.swapaxes(count, -1, -2) >= float(graph.attrs["n_min"]) - 0.5
    pair = xr.DataArray(
        compared, dims=(STATE, TYPE, ITEM, ITEM_OTHER), coords={name: reward[name] for name in (STATE, TYPE)}
    )
    return Evidence(reward, component, pair)


def evidence_of_estimate(
    estimate: xr.Dataset, comparisons: Comparisons | None = None, *, type_dim: str = "context"
) -> Evidence:
    """Take the evidence out of estimates without a prior, as one draw.

    Parameters
    ----------
    estimate : Dataset
        Variables ``score`` and ``reason`` with dims (state, type_dim, item[, item_other]), from
        ``maximum_likelihood(comparisons, by=("state", type_dim))``. Without ``type_dim`` everybody is one type.
    comparisons : Comparisons, optional
        The table of the estimates, from which ``compared`` is taken.
    type_dim : str
        The dimension that plays the type.

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        If a difference within a component is infinite: no reward range holds it.

    Examples
    --------
    >>> reason = np.array([[["", "", "disconnected"], ["", "", "disconnected"], ["disconnected", "disconnected", ""]]])
    >>> found = xr.Dataset(
    ...     {"score": (("state", "item"), [[0.2, -0.2, np.nan]]), "reason": (("state", "item", "item_other"), reason)},
    ...     coords={"state": ["s"], "item": ["x", "y", "z"]},
    ... )
    >>> evidence_of_estimate(found).component.values.tolist()
    [[[0, 0, 2]]]
    """
    compared = None
    if comparisons is not None:
        by = [name for name in (STATE, type_dim) if name in estimate.dims]
        keys, counts = comparisons.pair_counts(by)
        table = np.zeros((*(estimate.sizes[name] for name in by), *[estimate.sizes[ITEM]] * 2), dtype=bool)
        asked = keys[counts[:, [A_WINS, B_WINS, TIE]].sum(1) > 0]
        table[tuple(asked.T)] = True
        table |= np.swapaxes(table, -1, -2)
        compared = xr.DataArray(table, dims=(*by, ITEM, ITEM_OTHER))
        if type_dim not in estimate.dims:
            compared = compared.expand_dims(type_dim)
        compared = compared.rename({type_dim: TYPE}).transpose(STATE, TYPE, ITEM, ITEM_OTHER)
    if type_dim not in estimate.dims:
        estimate = estimate.expand_dims({type_dim: ["everybody"]})
    named = estimate.rename({type_dim: TYPE})
    score = named["score"].transpose(STATE, TYPE, ITEM)
    reason = named["reason"].transpose(STATE, TYPE, ITEM, ITEM_OTHER).values
    if (reason == "separated").any():
        where = tuple(int(i) for i in np.argwhere(reason == "separated")[0])
        raise ValueError(f"estimate: infinite differences (reason 'separated'), first at {where}; use a posterior")
    component = score.copy(data=np.asarray((reason != "disconnected").argmax(-1), dtype=np.int64))
    return Evidence(score.fillna(0.0).expand_dims(DRAW), component, compared)
