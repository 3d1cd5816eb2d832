"""From unconstrained draws to model variables, unit log-likelihoods, type overlaps and expected counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpyro import handlers

from bayespref.choice import ChoiceData
from bayespref.dims import VARIABLE_DIMS
from bayespref.fit.density import Density, Model, expected_counts, responsibilities

_FLOATS_AT_ONCE = 5.0e7


class Evaluated(NamedTuple):
    """What draws say, with leading axes (chain, draw); type labels as they came.

    Attributes
    ----------
    variables : dict of arrays
        Model variables by name, see ``dims.VARIABLE_DIMS``.
    log_likelihood : float array, shape (chain, draw, unit)
        Marginal log-likelihood of each unit (types summed out), nats.
    overlap : float array, shape (chain, draw, type, type)
        ``overlap[..., j, k]``: expected number of units of type j in the draw and of type k at the pivot.
    """

    variables: dict[str, np.ndarray]
    log_likelihood: Float[np.ndarray, "chain draw unit"]
    overlap: Float[np.ndarray, "chain draw type type_pivot"]


def evaluate_draws(
    density: Density,
    flat: Float[np.ndarray, "chain draw p"],
    data: ChoiceData,
    outcome: Int[Array, " record"],
    pivot: Float[np.ndarray, " p"],
) -> Evaluated:
    """Evaluate every draw: variables, unit log-likelihoods and overlap of its types with the pivot's.

    Parameters
    ----------
    density : Density
        The model's densities.
    flat : float array, shape (chain, draw, p)
        Unconstrained draws.
    data, outcome : ChoiceData, int array
        Records.
    pivot : float array, shape (p,)
        Coordinates whose type labels the overlap refers to (the best mode).

    Returns
    -------
    Evaluated
    """

    def one(x: Array, data: ChoiceData, outcome: Array, pivot_types: Array) -> tuple[Any, ...]:
        values = density.variables(x, data)
        joint = density.unit_log_joint(x, data, outcome)
        overlap = (responsibilities(joint) * data.multiplicity[:, None]).T @ pivot_types
        kept = {name: values[name] for name in VARIABLE_DIMS if name in values}
        return kept, jax.scipy.special.logsumexp(joint, axis=1), overlap

    draws = jnp.asarray(flat.reshape(-1, flat.shape[-1]))
    pivot_types = responsibilities(density.unit_log_joint(jnp.asarray(pivot), data, outcome))
    batch = _batch(data, int(pivot_types.shape[1]))
    evaluate = jax.jit(lambda xs, d, o, p: jax.lax.map(lambda x: one(x, d, o, p), xs, batch_size=batch))
    variables, log_likelihood, overlap = jax.device_get(evaluate(draws, data, outcome, pivot_types))
    lead = flat.shape[:2]
    return Evaluated(
        {name: np.asarray(value).reshape(*lead, *value.shape[1:]) for name, value in variables.items()},
        np.asarray(log_likelihood).reshape(*lead, -1),
        np.asarray(overlap).reshape(*lead, *overlap.shape[1:]),
    )


def mean_expected_counts(
    density: Density,
    flat: Float[np.ndarray, "draw p"],
    order: Int[np.ndarray, "draw type"],
    data: ChoiceData,
    outcome: Int[Array, " record"],
) -> Float[np.ndarray, "type question outcome"]:
    """Posterior mean of the number of answers each type gave, by question and outcome.

    Parameters
    ----------
    density : Density
        The model's densities.
    flat : float array, shape (draw, p)
        Unconstrained draws (a thinned subset will do).
    order : int array, shape (draw, type)
        ``order[i, k]`` is the draw's own label of aligned type k.
    data, outcome : ChoiceData, int array
        Records.

    Returns
    -------
    float array, shape (type, question, outcome)
    """
    n_outcomes = len(data.outcomes)

    def add(total: Array, draw: tuple[Array, Array]) -> tuple[Array, None]:
        x, own = draw
        resp = responsibilities(density.unit_log_joint(x, data, outcome))[:, own]
        return total + expected_counts(resp, data, outcome, n_outcomes)[0], None

    start = jnp.zeros((order.shape[1], data.n_questions, n_outcomes))
    total = jax.jit(lambda xs, ks: jax.lax.scan(add, start, (xs, ks))[0])(jnp.asarray(flat), jnp.asarray(order))
    return np.asarray(total) / len(flat)


def prior_draws(
    model: Model, data: ChoiceData, options: dict[str, Any], *, rng_key: Array, draws: int
) -> dict[str, np.ndarray]:
    """Draw model variables from the prior.

    Parameters
    ----------
    model : callable
        NumPyro model.
    data : ChoiceData
        Questions (records are ignored).
    options : dict
        Keyword arguments of the model.
    rng_key : jax key
        Seed.
    draws : int
        Number of draws.

    Returns
    -------
    dict of arrays, leading axis (draw,)
    """
    nothing = jnp.zeros(0, dtype=jnp.int32)

    def one(key: Array, data: ChoiceData) -> dict[str, Array]:
        trace = handlers.trace(handlers.seed(model, key)).get_trace(data, nothing, **options)
        return {name: jnp.asarray(trace[name]["value"]) for name in VARIABLE_DIMS if name in trace}

    batch = _batch(data, int(options.get("n_types", 1)))
    keys = jax.random.split(rng_key, draws)
    values = jax.jit(lambda ks, d: jax.lax.map(lambda k: one(k, d), ks, batch_size=batch))(keys, data.without_records())
    return {name: np.asarray(value) for name, value in values.items()}


def _batch(data: ChoiceData, n_types: int) -> int:
    """Draws evaluated together, bounded by memory."""
    floats = n_types * (data.unit.shape[0] + 4 * data.n_questions + data.n_states * data.n_items)
    return int(np.clip(_FLOATS_AT_ONCE // max(floats, 1), 1, 256))
