"""Who is of which type: chances by posterior draw, and shares of the types among the annotators of each context."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Array, Float, Int

from bayespref.choice import ChoiceData, choice_data
from bayespref.dims import CHAIN, DRAW, ITEM, STATE, TYPE
from bayespref.fit.density import make_density, map_batched, responsibilities
from bayespref.models import MODELS
from bayespref.posterior.tree import tree_comparisons, tree_meta

_DRAWS = 50
_MOST_FLOATS = 2e8


class TypeChances(NamedTuple):
    """Chances of the types by draw and unit, types labelled as in the tree."""

    chance: Float[np.ndarray, "draw unit type"]
    data: ChoiceData
    outcome: Int[np.ndarray, " record"]


def type_chances(tree: xr.DataTree, *, draws: int) -> TypeChances:
    """Chance that each unit (annotator) is of each type, in several posterior draws.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit of one of the package's models.
    draws : int
        Posterior draws, evenly thinned.

    Returns
    -------
    TypeChances

    Raises
    ------
    ValueError
        If the model is not one of the package's, or the arrays would not fit in memory.
    """
    meta, comparisons = tree_meta(tree), tree_comparisons(tree)
    if meta["model"] not in MODELS:
        raise ValueError(f"tree: its model {meta['model']!r} is none of {sorted(MODELS)}, so types cannot be drawn")
    reward = tree["posterior"]["reward"].transpose(CHAIN, DRAW, STATE, TYPE, ITEM).values
    reward = reward.reshape(-1, *reward.shape[2:])
    flat = tree["unconstrained_posterior"]["flat"].transpose(CHAIN, DRAW, ...).values
    flat = flat.reshape(len(reward), -1)
    thin = np.unique(np.linspace(0, len(flat) - 1, draws).astype(int))
    floats = len(thin) * reward.shape[2] * len(comparisons.counts.total)
    if floats > _MOST_FLOATS:
        raise ValueError(f"draws: {floats:.2g} counts over {len(thin)} draws, more than {_MOST_FLOATS:.0g}; use fewer")
    observed = bool(meta["options"].get("types_observed", False))
    with jax.enable_x64(True):
        data, outcome = choice_data(comparisons, group_by_context=observed)
        density = make_density(MODELS[meta["model"]], data, dict(meta["options"]))

        def one(x: Array) -> tuple[Array, Array]:
            joint = density.unit_log_joint(x, data, outcome)
            return density.by_type(responsibilities(joint)), density.variables(x, data)["reward"]

        found = jax.jit(lambda xs: map_batched(one, xs, 16))(jnp.asarray(flat[thin]))
        chance, raw = (np.asarray(value) for value in jax.device_get(found))
    # A draw's own labels of types: those that turn its rewards into the tree's.
    gap = np.abs(raw[:, :, :, None] - reward[thin][:, :, None]).sum(axis=(1, 4))
    return TypeChances(np.take_along_axis(chance, gap.argmin(axis=1)[:, None, :], axis=2), data, np.asarray(outcome))


def types_by_context(tree: xr.DataTree, *, draws: int = _DRAWS) -> pd.DataFrame:
    """Share of each type among the annotators who answered in each context, from their posterior memberships.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit of latent types on a table with annotators and contexts.
    draws : int
        Posterior draws, evenly thinned.

    Returns
    -------
    DataFrame
        ``context``, ``type``, ``weight`` (mean membership, share), ``n_annotators``; contexts nobody answered in are
        left out. An annotator counts once in every context that they answered in.

    Raises
    ------
    ValueError
        If the table has no annotators or no contexts, or as in :func:`type_chances`.
    """
    comparisons = tree_comparisons(tree)
    if comparisons.annotator is None or comparisons.context is None:
        raise ValueError("tree: its table needs annotators and contexts to say who the types are")
    counts = comparisons.counts
    mean = type_chances(tree, draws=draws).chance.mean(axis=0)
    mean = mean / mean.sum(axis=1, keepdims=True)
    annotators = np.unique(counts.annotator)  # the units of the likelihood, in this order
    pairs = np.unique(np.stack([counts.context, counts.annotator], axis=1), axis=0)
    kinds = [str(kind) for kind in tree["posterior"].to_dataset()[TYPE].values]
    rows = []
    for context in np.unique(pairs[:, 0]):
        who = np.searchsorted(annotators, pairs[pairs[:, 0] == context, 1])
        shares = mean[who].mean(axis=0)
        rows += [
            (comparisons.contexts[context], kind, share, len(who)) for kind, share in zip(kinds, shares, strict=True)
        ]
    return pd.DataFrame(rows, columns=["context", "type", "weight", "n_annotators"])
