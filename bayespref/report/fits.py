"""Frames behind figures of fits: predictive checks side by side, numbers of types, rewards along a trait."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.dims import ITEM, STATE, TRAIT


def check_rows(checks: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Arrange predictive checks of several models, one row a check and model.

    Parameters
    ----------
    checks : mapping of str to Dataset
        Results of predictive checks by the name of the model.

    Returns
    -------
    DataFrame
        Columns ``check``, ``model``, ``observed``, ``lower``, ``upper``, ``tail``, ``verdict``; checks that no model
        could judge, and shares that are zero in the table and in every replicate, are left out.
    """
    parts = []
    for model, dataset in checks.items():
        columns = dataset[["observed", "lower", "upper", "tail", "verdict"]].to_dataframe().reset_index()
        parts.append(columns.assign(model=model))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[["check", "model", "observed", "lower", "upper", "tail", "verdict"]]
    silent = (rows["verdict"] == "undefined") | ((rows["observed"] == 0) & (rows["lower"] == 0) & (rows["upper"] == 0))
    spoken = rows.loc[~silent, "check"].unique()
    order = {check: i for i, check in enumerate(dict.fromkeys(rows["check"]))}
    kept = rows[rows["check"].isin(spoken)]
    return kept.sort_values("check", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def type_rows(choice: xr.Dataset) -> pd.DataFrame:
    """Held-out density by number of types, one row a candidate.

    Parameters
    ----------
    choice : Dataset
        From the choice of the number of types.

    Returns
    -------
    DataFrame
        Columns ``n_types``, ``difference``, ``difference_se``, ``probability_best``, ``chosen``.
    """
    names = ["difference", "difference_se", "probability_best"]
    return choice[names].to_dataframe().reset_index().assign(chosen=choice["n_types"].values == int(choice["chosen"]))


def trait_rows(tree: xr.DataTree, *, state: str | None = None, reach: float = 2.0) -> pd.DataFrame:
    """Reward of each item along the first trait, at the best mode.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit of ``latent_traits``.
    state : str, optional
        Which state; the first unless told.
    reach : float
        The trait runs from minus to plus this many standard deviations of the population.

    Returns
    -------
    DataFrame
        Columns ``item``, ``trait``, ``reward`` (log-odds against the average item).
    """
    fit, posterior = tree["fit"].to_dataset(), tree["posterior"].to_dataset()
    where = {STATE: 0 if state is None else list(posterior[STATE].values).index(state)}
    common = fit["mode_reward"].isel(where).squeeze().values
    loading = fit["mode_loading"].isel({**where, TRAIT: 0}).values
    trait = np.linspace(-reach, reach, 5)
    items = posterior[ITEM].values
    reward = common + trait[:, None] * loading
    return pd.DataFrame(
        {
            "item": np.tile(items, len(trait)),
            "trait": np.repeat(trait, len(items)),
            "reward": reward.ravel(),
        }
    )
