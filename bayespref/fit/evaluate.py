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
from bayespref.fit.density import Density, Model, expected_counts, map_batched, responsibilities

_FLOATS_AT_ONCE = 5.0e7


class Evaluated(NamedTuple):
    """What draws say, with leading axes (chain, draw); type labels as they came.

    Attributes
    ----------
    variables : dict of arrays
        Model variables by name, see ``dims.VARIABLE_DIMS``. Signs of traits are matched to the pivot's.
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
        overlap = (density.by_type(responsibilities(joint)) * data.multiplicity[:, None]).T @ pivot_types
        kept = {name: values[name] for name in VARIABLE_DIMS if name in values}
        return kept, jax.scipy.special.logsumexp(joint, axis=1), overlap

    draws = jnp.asarray(flat.reshape(-1, flat.shape[-1]))
    pivot_classes = responsibilities(density.unit_log_joint(jnp.asarray(pivot), data, outcome))
    pivot_types = density.by_type(pivot_classes)
    batch = draws_at_once(data, int(pivot_classes.shape[1]))
    evaluate = jax.jit(lambda xs, d, o, p: map_batched(lambda x: one(x, d, o, p), xs, batch))
    variables, log_likelihood, overlap = jax.device_get(evaluate(draws, data, outcome, pivot_types))
    lead = flat.shape[:2]
    if "loading" in variables:
        reference = np.asarray(density.variables(jnp.asarray(pivot), data)["loading"])
        variables["loading"] = variables["loading"] * trait_signs(variables["loading"], reference)[:, :, None, None]
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
        resp = density.by_type(responsibilities(density.unit_log_joint(x, data, outcome)))[:, own]
        return total + expected_counts(resp, data, outcome, n_outcomes)[0], None

    start = jnp.zeros((order.shape[1], data.n_questions, n_outcomes))
    total = jax.jit(lambda xs, ks: jax.lax.scan(add, start, (xs, ks))[0])(jnp.asarray(flat), jnp.asarray(order))
    return np.asarray(total) / len(flat)


class AnnotatorValues(NamedTuple):
    """Posterior mean and standard deviation of what varies continuously between annotators, by unit.

    Attributes
    ----------
    log_decisiveness : float array, shape (unit, 2), or None
        Mean and standard deviation of the log inverse temperature.
    trait : float array, shape (unit, trait, 2), or None
        Mean and standard deviation of each trait, signs as at the pivot.
    """

    log_decisiveness: Float[np.ndarray, "unit two"] | None
    trait: Float[np.ndarray, "unit trait two"] | None


def annotator_values(
    density: Density,
    flat: Float[np.ndarray, "draw p"],
    data: ChoiceData,
    outcome: Int[Array, " record"],
    pivot: Float[np.ndarray, " p"],
) -> AnnotatorValues:
    """Posterior mean and standard deviation of each unit's decisiveness and traits.

    Per draw, the moments over quadrature nodes given the unit's outcomes; over draws, the law of total variance.

    Parameters
    ----------
    density : Density
        The model's densities.
    flat : float array, shape (draw, p)
        Unconstrained draws (a thinned subset will do).
    data, outcome : ChoiceData, int array
        Records.
    pivot : float array, shape (p,)
        Coordinates that fix the signs of traits (the best mode).

    Returns
    -------
    AnnotatorValues
        None for what the model does not have.
    """
    reference = density.variables(jnp.asarray(pivot), data)
    names: list[str] = [name for name in ("class_log_decisiveness", "class_trait") if name in reference]

    def moments(total: dict[str, Array], x: Array) -> tuple[dict[str, Array], None]:
        values = density.variables(x, data)
        resp = responsibilities(density.unit_log_joint(x, data, outcome))
        for name in names:
            node = values[name].reshape(resp.shape[1], -1)
            if name == "class_trait":
                node = node * jnp.where((values["loading"] * reference["loading"]).sum((1, 2)) < 0, -1.0, 1.0)
            first = resp @ node
            total[name] = total[name] + jnp.stack([first, resp @ node**2], axis=-1)
        return total, None

    size = {name: int(np.prod(reference[name].shape[1:], dtype=int)) for name in names}
    start = {name: jnp.zeros((data.n_units, size[name], 2)) for name in names}
    total = jax.jit(lambda xs: jax.lax.scan(moments, start, xs)[0])(jnp.asarray(flat))
    found = {}
    for name, value in total.items():
        mean, square = np.moveaxis(np.asarray(value) / len(flat), -1, 0)
        found[name] = np.stack([mean, np.sqrt(np.maximum(square - mean**2, 0.0))], axis=-1)
    decisiveness = found.get("class_log_decisiveness")
    return AnnotatorValues(None if decisiveness is None else decisiveness[:, 0], found.get("class_trait"))


def trait_signs(
    loading: Float[np.ndarray, "draw trait state item"], pivot: Float[np.ndarray, "trait state item"]
) -> Float[np.ndarray, "draw trait"]:
    """Sign that turns each draw's trait towards the pivot's: +1 or -1.

    A trait and its loadings may change sign together without changing anything else.

    Parameters
    ----------
    loading : float array, shape (draw, trait, state, item)
        Loadings of each draw.
    pivot : float array, shape (trait, state, item)
        Loadings whose signs are kept.

    Returns
    -------
    float array, shape (draw, trait)

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([[[1.0, -1.0]]])
    >>> trait_signs(np.stack([one, -one]), one).tolist()
    [[1.0], [-1.0]]
    """
    return np.where(np.einsum("dtsi,tsi->dt", loading, pivot) < 0, -1.0, 1.0)


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

    batch = draws_at_once(data, int(options.get("n_types", 1)))
    keys = jax.random.split(rng_key, draws)
    values = jax.jit(lambda ks, d: map_batched(lambda k: one(k, d), ks, batch))(keys, data.without_records())
    return {name: np.asarray(value) for name, value in values.items()}


def draws_at_once(data: ChoiceData, n_types: int) -> int:
    """Draws evaluated together, bounded by memory."""
    floats = n_types * (data.unit.shape[0] + 4 * data.n_questions + data.n_states * data.n_items)
    return int(np.clip(_FLOATS_AT_ONCE // max(floats, 1), 1, 256))
