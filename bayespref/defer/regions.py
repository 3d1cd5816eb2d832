"""Scores of every region as a labelled Dataset, and the policy made from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from bayespref.checks import one_of
from bayespref.defer.policy import DeferralPolicy, from_scores
from bayespref.defer.scores import scores
from bayespref.defer.threshold import break_even
from bayespref.dims import ITEM
from bayespref.errors import ModelError

REGION = "region"
RULES = ("set_pure", "chow", "credible")


def score_regions(
    difference: Float[np.ndarray, "draw region item item_other"],
    regret: Float[np.ndarray, "draw region item item_other"],
    value: Float[np.ndarray, " region"],
    value_identified: Float[np.ndarray, " region"],
    *,
    available: Bool[np.ndarray, "region item"],
    kept: Bool[np.ndarray, "draw region"],
    flag: NDArray[np.str_],
    labels: Sequence[tuple[str, ...]],
    columns: Sequence[str],
    items: Sequence[str],
    level: float,
) -> xr.Dataset:
    """Score every action of every region and label the result.

    Parameters
    ----------
    difference, regret : float array, shape (draw, region, item, item)
        Draws of r(a') - r(a) and their upper bounds, mixed over types, log-odds.
    value, value_identified : float array, shape (region,)
        Minimax regret over draws, and the part of it that no further data of this kind removes.
    available : bool array, shape (region, item)
        Items on offer.
    kept : bool array, shape (draw, region)
        Draws that do not refute the range.
    flag : str array, shape (region,)
        Reason code of the region's design flag, "" for none.
    labels : sequence of tuple of str
        Labels of each region, one per column.
    columns : sequence of str
        What makes a region (``state``, or ``state`` and ``context``).
    items : sequence of str
        Item labels.
    level : float
        ``credible`` is the quantile of the regret at this level.

    Returns
    -------
    xarray.Dataset
        ``chow``, ``credible``, ``set_pure`` by (region, item); break-even costs ``c_*``, chosen items ``action_*``,
        ``value``, ``value_identified`` and ``flag`` by region.
    """
    result = scores(difference, regret, value, alpha=1.0 - level, available=available, kept=kept)
    even = break_even(result)
    names = np.array([*items, ""])
    data: dict[str, tuple[tuple[str, ...], NDArray[np.generic]]] = {
        rule: ((REGION, ITEM), getattr(result, rule)) for rule in RULES
    }
    data |= {f"c_{rule}": ((REGION,), getattr(even, rule)) for rule in (*RULES, "set_random")}
    data |= {f"action_{rule}": ((REGION,), names[getattr(result, f"{rule}_action")]) for rule in RULES}
    data |= {
        "value": ((REGION,), value),
        "value_identified": ((REGION,), value_identified),
        "flag": ((REGION,), np.asarray(flag, dtype=str)),
        "available": ((REGION, ITEM), np.asarray(available)),
        "n_draws": ((REGION,), result.n_kept),
    }
    data |= {
        column: ((REGION,), np.array([label[i] for label in labels], dtype=str)) for i, column in enumerate(columns)
    }
    return xr.Dataset(
        data,
        coords={ITEM: np.asarray(items, dtype=str)},
        attrs={"columns": list(columns), "units": "log-odds of reward", "level": level},
    )


def policy_from(
    defer: xr.Dataset, *, c_defer: float, rule: str, data_hash: str, assumptions: Sequence[str]
) -> DeferralPolicy:
    """Turn the ``defer`` group into the policy a system consumes.

    Parameters
    ----------
    defer : xarray.Dataset
        From :func:`score_regions`.
    c_defer : float
        Cost of deferring, log-odds of reward (the human's own expected regret included).
    rule : {"set_pure", "chow", "credible"}
        Score to compare with it.
    data_hash : str
        Hash of the table.
    assumptions : sequence of str
        What the scores rest on.

    Returns
    -------
    DeferralPolicy

    Raises
    ------
    ModelError
        If the Dataset has no region.
    """
    one_of("rule", rule, RULES)
    if defer.sizes[REGION] == 0:
        raise ModelError("defer: there is no region to decide on")
    columns = [str(column) for column in np.atleast_1d(defer.attrs["columns"])]
    items = [str(item) for item in defer[ITEM].values]
    code = {item: i for i, item in enumerate(items)} | {"": -1}
    return from_scores(
        defer[f"c_{rule}"].values,
        np.array([code[str(item)] for item in defer[f"action_{rule}"].values]),
        labels=list(zip(*(defer[column].values.astype(str).tolist() for column in columns), strict=True)),
        items=items,
        c_defer=c_defer,
        data_hash=data_hash,
        assumptions=assumptions,
        region=columns,
        rule=rule,
        level=float(defer.attrs["level"]) if rule == "credible" else None,
        value=defer["value"].values,
        flag=defer["flag"].values.astype(str),
    )
