"""Fit a model to a table: modes, draws, alignment, one labelled tree."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array
from numpy.typing import NDArray

import bayespref
from bayespref.checks import at_least, one_of, positive
from bayespref.choice import ChoiceData, choice_data
from bayespref.comparisons import Comparisons
from bayespref.dims import CHAIN, DRAW, TYPE, VARIABLE_DIMS
from bayespref.errors import ModelError
from bayespref.fit.chains import CHAIN_METHODS
from bayespref.fit.run import EXACT, METHODS, Fitted, expected_counts_by_type, fit_model
from bayespref.models import MODELS
from bayespref.posterior.align import Alignment, match_types, reorder
from bayespref.posterior.store import FORMAT_VERSION
from bayespref.posterior.tree import (
    build_tree,
    unit_labels,
    variables_dataset,
)

_VERSIONS = ("bayespref", "numpyro", "jax", "numpy", "xarray", "arviz-base", "arviz-stats")


def fit(
    model: str | Callable[..., Any],
    comparisons: Comparisons,
    *,
    rng_key: int | Array,
    options: Mapping[str, Any] | None = None,
    chains: int = 4,
    warmup: int = 200,
    draws: int = 1000,
    n_starts: int = 10,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    method: str | None = None,
    chain_method: str = "sequential",
) -> xr.DataTree:
    """Fit a model: posterior modes by EM, then draws around the best mode, types aligned, one DataTree.

    Parameters
    ----------
    model : str or callable
        A name in ``bayespref.models.MODELS``, or a NumPyro function built from the pieces in ``bayespref.choice``.
    comparisons : Comparisons
        The table.
    rng_key : int or jax key
        Seed; the same seed on the same machine gives the same draws.
    options : mapping, optional
        Keyword arguments of the model (number of types, priors).
    chains, warmup, draws : int
        Sampler sizes; ``draws`` counts kept draws per chain. Approximations have exchangeable draws and no warm-up.
    n_starts : int
        EM starts.
    checkpoint : path, optional
        Folder to keep the chains in: the same call after an interruption goes on where it stopped, with the same draws.
    progress : bool
        Show progress bars.
    method : {"nuts", "gibbs", "laplace", "svi"}, optional
        Exact: NUTS, for every model; blocked Gibbs, for ``latent_types`` and ``single`` without decisiveness and
        without prompts by environment. Approximate, and marked so: ``laplace`` (trusted only if its Pareto k is below
        0.7) and ``svi`` (for tables too large for the others). Default: Gibbs for several types of up to 100 items
        where it applies, else NUTS.
    chain_method : {"sequential", "devices", "sharded"}
        Chains one after the other, or one on each of JAX's devices, with the same draws; or one after the other, each
        with the records spread over all devices (for tables too large for one; equal up to the order of summation).

    Returns
    -------
    xarray.DataTree
        Groups as described in :func:`bayespref.posterior.tree.build_tree`.

    Raises
    ------
    ModelError
        If the model is unknown, an option is not one of its arguments, the table lacks what the model needs (several
        latent types need annotators), or the method does not cover the model.
    ValueError
        If a size is too small, ``method`` or ``chain_method`` is unknown, or a checkpoint is asked of ``laplace``.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([0, 0, 1]), items=("x", "y", "z"))
    >>> tree = fit("single", table, rng_key=0, chains=1, draws=50, progress=False)
    >>> dict(tree["posterior"].sizes)["draw"]
    50
    """
    function, name = resolve_model(model)
    chosen = model_options(function, name, comparisons, options)
    for label, value, least in (
        ("chains", chains, 1),
        ("draws", draws, 1),
        ("warmup", warmup, 0),
        ("n_starts", n_starts, 1),
    ):
        at_least(label, value, least)
    if method is not None:
        one_of("method", method, tuple(METHODS))
    if method == "laplace" and checkpoint is not None:
        raise ValueError("checkpoint: method='laplace' draws at once and has nothing to go on from; leave it out")
    one_of("chain_method", chain_method, CHAIN_METHODS)
    if comparisons.counts.total.size == 0:
        raise ModelError("comparisons: the table has no comparison of positive weight to fit")
    observed = bool(chosen.get("types_observed", False))
    if chosen.get("n_types", 1) > 1 and not observed and comparisons.annotator is None:
        raise ModelError(
            f"annotator: {name} with n_types={chosen['n_types']} needs the annotator of each row, because rows by one "
            "person share a type, and single answers do not tell types apart; the table names none. Give columns="
            "{'annotator': ...} when reading it (in a shell --column annotator=...), or fit one type (model 'single')"
        )
    with jax.enable_x64(True):
        key = jax.random.key(rng_key) if isinstance(rng_key, int | np.integer) else rng_key
        data, outcome = choice_data(comparisons, group_by_context=observed)
        fitted = fit_model(
            function,
            data,
            outcome,
            chosen,
            rng_key=key,
            chains=chains,
            warmup=warmup,
            draws=draws,
            n_starts=1 if observed else n_starts,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            progress=progress,
            method=method,
            chain_method=chain_method,
        )
        alignment = match_types(fitted.evaluated.overlap)
        ranking = _type_order(fitted, observed)
        order = alignment.order[..., ranking]
        expected = expected_counts_by_type(fitted, order, data, outcome)
    types = comparisons.contexts if observed else tuple(f"type {k + 1}" for k in range(len(ranking)))
    aligned = {
        variable: reorder(value, order, 2 + VARIABLE_DIMS[variable].index(TYPE))
        if TYPE in VARIABLE_DIMS[variable]
        else value
        for variable, value in fitted.evaluated.variables.items()
    }
    meta = {
        "format_version": FORMAT_VERSION,
        "model": name,
        "options": chosen,
        "method": METHODS[fitted.method],
        "sampler": fitted.method,
        "exact": fitted.method in EXACT,
        "seed": rng_key if isinstance(rng_key, int) else np.asarray(jax.random.key_data(key)).tolist(),
        "chains": chains,
        "warmup": warmup,
        "draws": draws,
        "data_hash": comparisons.data_hash,
        "versions": {package: version(package) for package in _VERSIONS},
    }
    prior = {variable: value[None] for variable, value in fitted.prior.items()}
    return build_tree(
        posterior=variables_dataset(aligned, comparisons, types, model=name),
        prior=variables_dataset(prior, comparisons, types, model=name),
        sample_stats=fitted.draws.stats,
        log_likelihood=fitted.evaluated.log_likelihood,
        log_likelihood_draws=fitted.evaluated.kept,
        unit_labels=unit_labels(comparisons, by_context=observed),
        unconstrained=fitted.draws.flat,
        coordinate_names=fitted.density.names,
        fit=_fit_group(fitted, alignment, ranking, expected, data),
        comparisons=comparisons,
        meta=meta,
    )


def resolve_model(model: str | Callable[..., Any]) -> tuple[Callable[..., Any], str]:
    """Return the model function and its name; an unknown name is an error."""
    if callable(model):
        return model, getattr(model, "__name__", "model")
    if model not in MODELS:
        raise ModelError(f"model: unknown name {model!r}; known are {sorted(MODELS)}")
    return MODELS[model], model


def model_options(
    function: Callable[..., Any], name: str, comparisons: Comparisons, options: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Every option of the model with its default filled in, so that a saved fit says all its priors."""
    parameters = inspect.signature(function).parameters
    allowed = {key: item.default for key, item in parameters.items() if item.kind is inspect.Parameter.KEYWORD_ONLY}
    given = dict(options or {})
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise ModelError(f"options: {name} has no option(s) {unknown}; it has {sorted(allowed)}")
    if given.get("types_observed"):
        comparisons.codes("context")
        given.setdefault("n_types", len(comparisons.contexts))
    for option, value in given.items():
        if option.endswith(("_scale", "_concentration")):
            positive(option, value)
        elif option.startswith("n_"):
            at_least(option, value, 1)
    return allowed | given


def _type_order(fitted: Fitted, observed: bool) -> NDArray[np.intp]:
    """Types by falling weight at the best mode; observed types keep the order of the contexts."""
    weight = np.asarray(fitted.at_mode["type_weight"])
    return np.arange(len(weight)) if observed else np.argsort(-weight, kind="stable")


def _fit_group(
    fitted: Fitted,
    alignment: Alignment,
    ranking: NDArray[np.intp],
    expected: NDArray[np.float64],
    data: ChoiceData,
) -> xr.Dataset:
    """Modes, model variables at the best one, alignment and expected counts."""
    modes = fitted.modes
    at_mode: dict[str, Any] = {"elbo": ("step", fitted.elbo)} if fitted.elbo.size else {}
    for name, dims in VARIABLE_DIMS.items():
        if name in fitted.at_mode:
            value = np.asarray(fitted.at_mode[name])
            at_mode[f"mode_{name}"] = (dims, np.take(value, ranking, dims.index(TYPE)) if TYPE in dims else value)
    return xr.Dataset(
        {
            "mode_log_joint": ("mode", modes.log_joint),
            "mode_log_likelihood": ("mode", modes.log_likelihood),
            "mode_found": ("mode", modes.found),
            **at_mode,
            "switched": ((CHAIN, DRAW), alignment.switched),
            "agreement": ((CHAIN, DRAW), alignment.agreement),
            "expected_count": ((TYPE, "question", "outcome"), expected),
            "question_state": ("question", np.asarray(data.state)),
            "question_a": ("question", np.asarray(data.item_a)),
            "question_b": ("question", np.asarray(data.item_b)),
            "outcome_code": ("outcome", np.asarray(data.outcomes)),
        },
        attrs={
            "mode_gap": modes.gap,
            "gradient_norm": modes.gradient_norm,
            "n_starts": int(modes.found.sum()),
            "sampler": fitted.method,
            "exact": int(fitted.method in EXACT),
            "pareto_k": fitted.pareto_k,
            "importance_size": fitted.importance_size,
            "version": bayespref.__version__,
        },
    )
