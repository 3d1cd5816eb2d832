"""Decisions on pairs of described items: from a linear fit to a policy over regions of feature differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from bayespref.defer.feature_regions import feature_policy_from, score_feature_regions
from bayespref.defer.features import FeaturePolicy
from bayespref.dims import BOTH_BAD, CHAIN, CONTEXT, DRAW, FEATURE, TYPE
from bayespref.errors import ModelError
from bayespref.posterior.tree import tree_comparisons, tree_meta
from bayespref.workflow.running import made_by


def feature_scores(
    tree: xr.DataTree,
    bins: Mapping[str, Sequence[float]],
    *,
    by_type: bool = False,
    reward_range: tuple[float, float] = (0.0, 1.0),
    least_count: float = 1.0,
    level: float = 0.9,
    max_draws: int = 1000,
) -> xr.Dataset:
    """Score both items of a pair in every region of feature differences of a linear fit.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit of ``linear_types``.
    bins : mapping of str to sequence of float
        For every feature of the fit, ascending edges of its difference, item_a minus item_b.
    by_type : bool
        Regions see the type, too (observed contexts, or a declared type); else types are mixed by their weights.
    reward_range : tuple of float
        Assumed range of rewards, log-odds.
    least_count, level : float
        As in :func:`bayespref.defer.feature_regions.score_feature_regions`.
    max_draws : int
        Draws used (evenly thinned).

    Returns
    -------
    xarray.Dataset
        As :func:`bayespref.defer.feature_regions.score_feature_regions`.

    Raises
    ------
    ModelError
        If the fit has no coefficients.
    ValueError
        If ``bins`` does not name exactly the features of the fit.
    """
    posterior = tree["posterior"].to_dataset()
    comparisons, meta = tree_comparisons(tree), tree_meta(tree)
    if "coefficient" not in posterior or comparisons.features is None:
        raise ModelError(f"tree: regions of features need a linear model, this is a fit of {meta['model']!r}")
    if set(bins) != set(comparisons.feature_names):
        raise ValueError(f"bins: must name the features {list(comparisons.feature_names)}, got {list(bins)}")
    samples = posterior[["coefficient", "type_weight"]].stack(sample=(CHAIN, DRAW))
    samples = samples.isel(sample=np.unique(np.linspace(0, samples.sizes["sample"] - 1, max_draws).astype(int)))
    coefficient = samples["coefficient"].transpose("sample", TYPE, FEATURE).sel({FEATURE: list(bins)}).values
    weight = samples["type_weight"].transpose("sample", TYPE).values[:, None]
    kinds = tuple(str(kind) for kind in posterior[TYPE].values)
    groups: Sequence[tuple[str, ...]] = ((),)
    columns: tuple[str, ...] = ()
    if by_type:
        weight = np.broadcast_to(np.eye(len(kinds)), (len(coefficient), len(kinds), len(kinds)))
        groups = [(kind,) for kind in kinds]
        columns = (CONTEXT if meta["options"].get("types_observed", False) else TYPE,)
    fitted = tree["fit"].to_dataset()
    telling = fitted["outcome_code"].values != BOTH_BAD  # "both bad" says nothing about a difference
    order = [comparisons.feature_names.index(name) for name in bins]
    contrast = (comparisons.features[fitted["question_a"].values] - comparisons.features[fitted["question_b"].values])[
        :, order
    ]
    found = score_feature_regions(
        coefficient,
        weight,
        bins,
        compared=contrast,
        counts=fitted["expected_count"].values[:, :, telling].sum(2).T,
        groups=groups,
        columns=columns,
        range_width=reward_range[1] - reward_range[0],
        least_count=least_count,
        level=level,
    )
    found.attrs |= {"data_hash": meta["data_hash"], "n_draws": len(coefficient)}
    found.attrs["assumptions"] = [f"model {meta['model']}", *found.attrs["assumptions"]]
    return found


def feature_policy(
    tree: xr.DataTree,
    bins: Mapping[str, Sequence[float]],
    *,
    c_defer: float,
    rule: str = "set_pure",
    by_type: bool = False,
    reward_range: tuple[float, float] = (0.0, 1.0),
    least_count: float = 1.0,
) -> FeaturePolicy:
    """Policy over regions of feature differences: which of two described items to play, or to defer.

    Parameters
    ----------
    tree, bins, by_type, reward_range, least_count
        As in :func:`feature_scores`.
    c_defer : float
        Cost of deferring, log-odds of reward.
    rule : {"set_pure", "chow", "credible"}
        Score to compare with it.

    Returns
    -------
    FeaturePolicy
        Its ``predict`` reads ``<feature>_a`` and ``<feature>_b``; items need not be those of the table.
    """
    scored = feature_scores(tree, bins, by_type=by_type, reward_range=reward_range, least_count=least_count)
    found = feature_policy_from(scored, c_defer=c_defer, rule=rule, data_hash=scored.attrs["data_hash"])
    return replace(found, policy=made_by(tree, found.policy))
