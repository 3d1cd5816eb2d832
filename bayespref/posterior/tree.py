"""Samples to one labelled DataTree, in ArviZ's standard groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from bayespref.comparisons import Comparisons
from bayespref.dims import (
    ANNOTATOR,
    CHAIN,
    CONTEXT,
    DRAW,
    ENVIRONMENT,
    FEATURE,
    ITEM,
    STATE,
    TYPE,
    VARIABLE_DIMS,
)
from bayespref.provenance import stamp

META = "bayespref"
"""Root attribute that holds the provenance as JSON."""


def variables_dataset(
    variables: Mapping[str, Float[np.ndarray, "chain draw ..."]],
    comparisons: Comparisons,
    types: tuple[str, ...],
    **attrs: Any,
) -> xr.Dataset:
    """Label model variables with dims and coordinates.

    Parameters
    ----------
    variables : mapping of str to float array
        Leading axes (chain, draw), then the axes of ``dims.VARIABLE_DIMS``.
    comparisons : Comparisons
        Labels of states, items and features.
    types : tuple of str
        Labels of the types.
    **attrs
        Attributes of the Dataset.

    Returns
    -------
    xarray.Dataset
    """
    labels = {
        STATE: comparisons.states,
        ITEM: comparisons.items,
        FEATURE: comparisons.feature_names,
        CONTEXT: comparisons.contexts,
        ENVIRONMENT: comparisons.environments,
        TYPE: types,
    }
    data = {name: ((CHAIN, DRAW, *VARIABLE_DIMS[name]), np.asarray(value)) for name, value in variables.items()}
    used = {dim for dims, _ in data.values() for dim in dims}
    chains, draws = next(iter(variables.values())).shape[:2]
    coords: dict[str, Any] = {CHAIN: np.arange(chains), DRAW: np.arange(draws)}
    coords |= {dim: np.asarray(labels[dim], dtype=str) for dim in labels if dim in used and labels[dim]}
    return xr.Dataset(data, coords=coords, attrs=dict(attrs))


def build_tree(
    *,
    posterior: xr.Dataset,
    prior: xr.Dataset,
    sample_stats: Mapping[str, Float[np.ndarray, "chain draw"]],
    log_likelihood: Float[np.ndarray, "chain kept unit"],
    unit_labels: tuple[str, ...],
    unconstrained: Float[np.ndarray, "chain draw p"],
    coordinate_names: tuple[str, ...],
    fit: xr.Dataset,
    comparisons: Comparisons,
    meta: Mapping[str, Any],
    log_likelihood_draws: Int[np.ndarray, " kept"] | None = None,
) -> xr.DataTree:
    """Assemble the DataTree of a fit.

    Groups: ``posterior``, ``prior``, ``sample_stats``, ``log_likelihood`` (per annotator, types summed out; where all
    draws would be too many, of every k-th: its attribute ``every``), ``unconstrained_posterior`` (type labels as
    sampled), ``constant_data`` and ``observed_data`` (the table), ``fit`` (modes and expected counts). The root's
    attributes carry the provenance as JSON.

    Returns
    -------
    xarray.DataTree
    """
    sample = {CHAIN: posterior[CHAIN].values, DRAW: posterior[DRAW].values}
    kept = np.arange(posterior.sizes[DRAW]) if log_likelihood_draws is None else log_likelihood_draws
    table = comparisons.to_dataset()
    stats = {name: ((CHAIN, DRAW), np.asarray(value)) for name, value in sample_stats.items()}
    groups = {
        "posterior": posterior,
        "prior": prior,
        "sample_stats": xr.Dataset(stats, coords=sample),
        "log_likelihood": xr.Dataset(
            {"label": ((CHAIN, DRAW, ANNOTATOR), log_likelihood)},
            coords=sample | {DRAW: sample[DRAW][kept], ANNOTATOR: np.asarray(unit_labels, dtype=str)},
            attrs={
                "unit": "annotator: one term for all labels of an annotator, types summed out",
                "units": "nats",
                "every": int(kept[1] - kept[0]) if len(kept) > 1 else 1,
            },
        ),
        "unconstrained_posterior": xr.Dataset(
            {"flat": ((CHAIN, DRAW, "coordinate"), unconstrained)},
            coords=sample | {"coordinate": np.asarray(coordinate_names, dtype=str)},
            attrs={"note": "type labels as sampled, before alignment"},
        ),
        "constant_data": table.drop_vars("outcome"),
        "observed_data": table[["outcome"]],
        "fit": fit,
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs[META] = json.dumps(dict(meta), sort_keys=True)
    return tree


def tree_meta(tree: xr.DataTree) -> dict[str, Any]:
    """Provenance of a fit: model, options, seed, versions, data hash, verdict inputs."""
    meta: dict[str, Any] = json.loads(tree.attrs[META])
    return meta


def tree_stamp(kind: str, tree: xr.DataTree) -> dict[str, Any]:
    """Provenance of an artefact made from a fit, as far as the fit tells it; see `bayespref.provenance.stamp`."""
    meta = tree_meta(tree)
    return stamp(kind, data_hash=meta.get("data_hash"), seed=meta.get("seed"), made_with=meta.get("versions", {}))


def tree_draws(tree: xr.DataTree) -> dict[str, str]:
    """Say, as an attribute for results made from the draws, where they come from and whether they are exact."""
    made = tree["fit"].attrs
    kind = "exact posterior" if int(made.get("exact", 1)) else "an approximation of the posterior"
    return {"draws": f"{kind} ({made.get('sampler', 'nuts')})"}


def tree_comparisons(tree: xr.DataTree) -> Comparisons:
    """Rebuild the table a tree was fitted on; a changed content is an error."""
    table = tree["constant_data"].to_dataset()
    table["outcome"] = tree["observed_data"]["outcome"]
    return Comparisons.from_dataset(table)


def unit_labels(comparisons: Comparisons, *, by_context: bool) -> tuple[str, ...]:
    """Label the likelihood's units, in its order: annotators, (annotator, context) pairs, or distinct answers.

    Without annotators the units are answers, and the labels number them.
    """
    counts = comparisons.counts
    context = counts.context if by_context else np.zeros_like(counts.context)
    if comparisons.annotator is None:
        rows = np.stack([counts.state, counts.item_a, counts.item_b, counts.first, counts.outcome, context], axis=1)
        return tuple(f"answer {i}" for i in range(len(np.unique(rows, axis=0))))
    if by_context:
        pairs = np.unique(np.stack([counts.annotator, context], axis=1), axis=0)
        return tuple(f"{comparisons.annotators[u]} ({comparisons.contexts[c]})" for u, c in pairs)
    return tuple(comparisons.annotators[u] for u in np.unique(counts.annotator))


def deployment_weights(
    posterior: xr.Dataset, draws: Int[np.ndarray, " draw"], *, logged: bool
) -> tuple[Float[np.ndarray, "draw state type"], str]:
    """P(type | state) at deployment, per draw, and the words for the assumption.

    Parameters
    ----------
    posterior : Dataset
        Group ``posterior``.
    draws : int array
        Positions among the stacked (chain, draw) samples.
    logged : bool
        True: each state is asked about by the types that asked about it in the log. False: by everybody alike.

    Returns
    -------
    weights : float array, shape (draw, state, type)
    words : str
    """
    samples = posterior.stack(sample=(CHAIN, DRAW)).isel(sample=draws)
    weight = samples["type_weight"].transpose("sample", TYPE).values[:, None, :]
    if not logged or "prompt_prob" not in posterior:
        shape = (len(draws), posterior.sizes[STATE], weight.shape[2])
        return np.broadcast_to(weight, shape), "deployment: every state is asked about by the annotators' mix of types"
    joint = weight * samples["prompt_prob"].transpose("sample", STATE, TYPE).values
    words = "deployment: each state is asked about by the types that asked about it in the log"
    return joint / joint.sum(-1, keepdims=True), words
