"""Check a fit against its own predictions and against its prior: the model is rebuilt from the tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Int
from numpyro import handlers
from numpyro.infer.util import log_density

import bayespref
from bayespref.checks import at_least
from bayespref.choice import ChoiceData, choice_data
from bayespref.comparisons import Comparisons
from bayespref.dims import CHAIN, DRAW, VARIABLE_DIMS
from bayespref.errors import ModelError
from bayespref.fit.density import Density, make_density, map_batched
from bayespref.models import MODELS
from bayespref.posterior import predict
from bayespref.posterior.sensitivity import power_scaling, sensitivity_words
from bayespref.posterior.tree import tree_comparisons, tree_draws, tree_meta

_DERIVED = ("prompt_prob", "type_weight_by_context", "type_weight_by_environment", "prompt_prob_by_environment")


class _Rebuilt(NamedTuple):
    """A fit's model, ready to be evaluated at its draws."""

    function: Callable[..., Any]
    options: dict[str, Any]
    comparisons: Comparisons
    data: ChoiceData
    outcome: Int[Array, " record"]
    density: Density


def predictive_checks(
    tree: xr.DataTree,
    *,
    replicates: int = 200,
    level: float = 0.95,
    prior: bool = False,
    seed: int = 0,
    model: Callable[..., Any] | None = None,
) -> xr.Dataset:
    """Replicate the table from the posterior, or from the prior, and compare it with the observed one.

    Checked are win rates by cell (state, pair), circular triads within a person, agreement between people on the same
    question and its spread over pairs of people, ties and both-bad answers.
    :func:`bayespref.posterior.predict.check_words` puts the result in words.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit, new or loaded.
    replicates : int
        Tables to simulate, each from a draw of its own (spread evenly over the posterior).
    level : float
        Level of the predictive intervals. A right model fails a check with probability of at most about 1 - level:
        posterior checks use the data twice and fail less often.
    prior : bool
        Draw parameters from the prior: what the model expects before it has seen an answer.
    seed : int
        Seed.
    model : callable, optional
        The model function, where the fit used one that is not in ``bayespref.models.MODELS``.

    Returns
    -------
    xarray.Dataset
        See :func:`bayespref.posterior.predict.predictive_checks`.

    Raises
    ------
    ModelError
        If the model is not known by name, or an answer has a fractional weight.

    Examples
    --------
    >>> from bayespref.posterior.predict import check_words
    >>> from bayespref.simulate.scenarios import blind_spot
    >>> table = blind_spot(seed=1, n_annotators=40).comparisons.pool("context")
    >>> tree = bayespref.fit("single", table, rng_key=0, chains=1, draws=50, progress=False)
    >>> checks = predictive_checks(tree, replicates=50)
    >>> [verdict.name for verdict in check_words(checks) if not verdict.ok]
    ['spread of agreement']
    """
    at_least("replicates", replicates, 2)
    with jax.enable_x64(True):
        rebuilt = _rebuild(tree, model)
        named = rebuilt.comparisons.annotator is not None
        answers = predict.single_answers(rebuilt.data, rebuilt.outcome, named=named, seed=seed)
        draw_key, outcome_key = jax.random.split(jax.random.key(seed))
        if prior:
            tables, draws = _prior_tables(rebuilt), jax.random.split(draw_key, replicates)
        else:
            flat = _flat(tree).reshape(-1, rebuilt.density.size)
            even = np.linspace(0, len(flat) - 1, replicates).round().astype(int)
            tables, draws = rebuilt.density.tables, jnp.asarray(flat[even])
        checks = predict.predictive_checks(
            tables,
            draws,
            answers,
            states=rebuilt.comparisons.states,
            items=rebuilt.comparisons.items,
            rng_key=outcome_key,
            level=level,
        )
    made = {"parameters": "prior"} if prior else {"parameters": "posterior", **tree_draws(tree)}
    return checks.assign_attrs(made, model=tree_meta(tree)["model"], seed=seed, version=bayespref.__version__)


def prior_sensitivity(
    tree: xr.DataTree, *, variables: Sequence[str] | None = None, model: Callable[..., Any] | None = None
) -> xr.Dataset:
    """Sensitivity of every model variable to its prior and to the data, by power-scaling.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit by a method whose draws come from the posterior itself.
    variables : sequence of str, optional
        Variables of the posterior to judge; all parameters unless told. A reward is judged as its distance from the
        average item of its cell, so each entry is a contrast.
    model : callable, optional
        The model function, where the fit used one that is not in ``bayespref.models.MODELS``.

    Returns
    -------
    xarray.Dataset
        By ``quantity`` (labels such as ``reward[state, type, item]``): ``prior``, ``likelihood``, ``diagnosis``; by
        chain and draw ``log_prior``, which :func:`arviz_stats.psense` reads as a group of that name. attrs: ``words``,
        ``pareto_k``, ``method``.

    Raises
    ------
    ModelError
        If the model is not known by name, or a variable is not in the posterior.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 0]), np.array([1, 1]), np.array([0, 1]), items=("x", "y"))
    >>> tree = bayespref.fit("single", table, rng_key=0, chains=2, draws=250, progress=False)
    >>> prior_sensitivity(tree)["diagnosis"].values.tolist()
    ['strong prior, weak data', 'strong prior, weak data', 'undefined']
    """
    posterior = tree["posterior"].to_dataset().sel({DRAW: tree["log_likelihood"][DRAW].values})
    names = [n for n in VARIABLE_DIMS if n in posterior and n not in _DERIVED] if variables is None else list(variables)
    if unknown := sorted(set(names) - {str(name) for name in posterior.data_vars}):
        raise ModelError(f"variables: not in the posterior: {unknown}; it has {sorted(map(str, posterior.data_vars))}")
    columns, labels = [], []
    for name in names:
        variable = posterior[name].transpose(CHAIN, DRAW, ...)
        columns.append(variable.values.reshape(*variable.shape[:2], -1))
        axes = [[str(label) for label in variable[dim].values] for dim in variable.dims[2:]]
        for index in np.ndindex(*variable.shape[2:]):
            inside = ", ".join(axis[i] for axis, i in zip(axes, index, strict=True))
            labels.append(f"{name}[{inside}]" if inside else name)
    with jax.enable_x64(True):
        rebuilt = _rebuild(tree, model)
        flat = tree["unconstrained_posterior"]["flat"].sel({DRAW: posterior[DRAW].values})
        log_prior = _log_prior(rebuilt, flat.transpose(CHAIN, DRAW, ...).values)
        copies = np.asarray(rebuilt.data.multiplicity)
    log_likelihood = tree["log_likelihood"]["label"].transpose(CHAIN, DRAW, ...).values @ copies
    found = power_scaling(np.concatenate(columns, axis=-1), log_prior, log_likelihood)
    return xr.Dataset(
        {
            "prior": ("quantity", found.prior),
            "likelihood": ("quantity", found.likelihood),
            "diagnosis": ("quantity", found.diagnosis),
            "log_prior": ((CHAIN, DRAW), log_prior),
        },
        coords={"quantity": labels, CHAIN: posterior[CHAIN].values, DRAW: posterior[DRAW].values},
        attrs={
            "method": "power-scaling of prior and likelihood by 0.99 and 1.01, importance weights smoothed; local: "
            "says whether a number moves with the prior, not how far another prior would move it",
            **tree_draws(tree),
            "pareto_k": found.pareto_k,
            "words": "; ".join(verdict.words for verdict in sensitivity_words(found, labels)),
            "version": bayespref.__version__,
        },
    )


def _rebuild(tree: xr.DataTree, model: Callable[..., Any] | None) -> _Rebuilt:
    """Model, options and data of a fit, as they were fitted."""
    meta = tree_meta(tree)
    if model is None and meta["model"] not in MODELS:
        raise ModelError(f"model: the fit used {meta['model']!r}, which is none of {sorted(MODELS)}; pass the function")
    function = MODELS[meta["model"]] if model is None else model
    options = dict(meta["options"])
    comparisons = tree_comparisons(tree)
    data, outcome = choice_data(comparisons, group_by_context=bool(options.get("types_observed", False)))
    density = make_density(function, data, options)
    return _Rebuilt(function, options, comparisons, data, outcome, density)


def _flat(tree: xr.DataTree) -> np.ndarray:
    return np.asarray(tree["unconstrained_posterior"]["flat"].transpose(CHAIN, DRAW, ...).values)


def _prior_tables(rebuilt: _Rebuilt) -> predict.Tables:
    """Tables of a draw from the prior, made from a key."""
    nothing = jnp.zeros(0, dtype=jnp.int32)

    def tables(key: Array, data: ChoiceData) -> tuple[Array, Array]:
        seeded = handlers.seed(rebuilt.function, key)
        trace = handlers.trace(seeded).get_trace(data.without_records(), nothing, **rebuilt.options)
        return trace["log_prob_table"]["value"], trace["type_log_weight"]["value"]

    return tables


def _log_prior(rebuilt: _Rebuilt, flat: np.ndarray) -> np.ndarray:
    """Log-density of the parameters in their own space, at every draw: a power of it is a prior of the same family."""
    nothing = jnp.zeros(0, dtype=jnp.int32)
    empty = rebuilt.data.without_records()

    def one(x: Array) -> Array:
        values = rebuilt.density.variables(x, empty)
        return jnp.asarray(log_density(rebuilt.function, (empty, nothing), rebuilt.options, values)[0])

    draws = jnp.asarray(flat.reshape(-1, flat.shape[-1]))
    return np.asarray(jax.jit(lambda xs: map_batched(one, xs, 100))(draws)).reshape(flat.shape[:2])
