"""From unconstrained draws to model variables, unit log-likelihoods, type overlaps and expected counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpyro import handlers

from bayespref.choice import ChoiceData
from bayespref.dims import VARIABLE_DIMS
from bayespref.fit.density import Density, Model, expected_counts, map_batched, responsibilities
from bayespref.fit.minibatch import unit_batches

_FLOATS_AT_ONCE = 5.0e7
_MOST_TERMS = 5.0e7
"""Log-likelihood terms (draws times units) that are kept: 400 MB."""
_LEAST_DRAWS = 100
_UNITS_TO_MATCH = 10_000


class Evaluated(NamedTuple):
    """What draws say, with leading axes (chain, draw); type labels as they came.

    Attributes
    ----------
    variables : dict of arrays
        Model variables by name, see ``dims.VARIABLE_DIMS``. Signs of traits are matched to the pivot's.
    log_likelihood : float array, shape (chain, kept, unit)
        Marginal log-likelihood of each unit (types summed out), nats, at the draws ``kept``.
    overlap : float array, shape (chain, draw, type, type)
        ``overlap[..., j, k]``: expected number of units of type j in the draw and of type k at the pivot.
    kept : int array, shape (kept,)
        Draws of each chain whose log-likelihood is kept: all, or every k-th of a large table.
    """

    variables: dict[str, np.ndarray]
    log_likelihood: Float[np.ndarray, "chain kept unit"]
    overlap: Float[np.ndarray, "chain draw type type_pivot"]
    kept: Int[np.ndarray, " kept"]


def evaluate_draws(
    density: Density,
    flat: Float[np.ndarray, "chain draw p"],
    data: ChoiceData,
    outcome: Int[Array, " record"],
    pivot: Float[np.ndarray, " p"],
) -> Evaluated:
    """Evaluate every draw: variables, unit log-likelihoods and overlap of its types with the pivot's.

    Draws times units may be more numbers than memory holds. Beyond 5e7, log-likelihoods are kept of every k-th draw
    only (at least 100 draws in all), and types are matched by a random 10,000 units, dealt by a fixed seed.

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
        return kept, overlap, jax.scipy.special.logsumexp(joint, axis=1)

    def evaluate(function: Callable[..., Any], xs: Any, *arguments: Any, batch: int) -> Any:
        mapped = jax.jit(lambda xs, arguments: map_batched(lambda x: function(x, *arguments), xs, batch))
        return jax.device_get(mapped(jnp.asarray(xs.reshape(-1, xs.shape[-1])), arguments))

    lead = flat.shape[:2]
    every = draws_apart(lead, data.n_units)
    kept = np.arange(0, lead[1], every)
    some, answers = (data, outcome) if every == 1 else _some_units(data, outcome)
    pivot_classes = responsibilities(density.unit_log_joint(jnp.asarray(pivot), some, answers))
    pivot_types = density.by_type(pivot_classes)
    n_classes = int(pivot_classes.shape[1])
    batch = draws_at_once(some, n_classes)
    if every == 1:
        variables, overlap, log_likelihood = evaluate(one, flat, some, answers, pivot_types, batch=batch)
    else:
        variables, overlap = evaluate(lambda *given: one(*given)[:2], flat, some, answers, pivot_types, batch=batch)
        log_likelihood = evaluate(
            lambda x, d, o: jax.scipy.special.logsumexp(density.unit_log_joint(x, d, o), axis=1),
            flat[:, kept],
            data,
            outcome,
            batch=draws_at_once(data, n_classes),
        )
    if "loading" in variables:
        reference = np.asarray(density.variables(jnp.asarray(pivot), data)["loading"])
        variables["loading"] = variables["loading"] * trait_signs(variables["loading"], reference)[:, :, None, None]
    return Evaluated(
        {name: np.asarray(value).reshape(*lead, *value.shape[1:]) for name, value in variables.items()},
        np.asarray(log_likelihood).reshape(lead[0], len(kept), -1),
        np.asarray(overlap).reshape(*lead, *overlap.shape[1:]),
        kept,
    )


def draws_apart(lead: tuple[int, ...], n_units: int) -> int:
    """Distance of the draws whose log-likelihoods are kept: 1 keeps all.

    Examples
    --------
    >>> draws_apart((4, 1000), 1000), draws_apart((4, 1000), 200_000)
    (1, 16)
    """
    chains, draws = lead
    most = max(_MOST_TERMS / max(n_units, 1), _LEAST_DRAWS)
    return int(np.clip(np.ceil(chains * draws / most), 1, max(draws, 1)))


def _some_units(data: ChoiceData, outcome: Int[Array, " record"]) -> tuple[ChoiceData, Int[Array, " record"]]:
    """A random part of a table's units with all their records."""
    parts = max(-(-data.n_units // _UNITS_TO_MATCH), 1)
    part, column = unit_batches(data, np.asarray(outcome), n_batches=parts, rng=np.random.default_rng(0), only=1)[0]
    return jax.tree.map(jnp.asarray, part), jnp.asarray(column)


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

    @jax.jit  # records are arguments: what a compiled function closes over is a constant of the program
    def summed(flat: Array, order: Array, data: ChoiceData, outcome: Array) -> Array:
        def add(total: Array, draw: tuple[Array, Array]) -> tuple[Array, None]:
            x, own = draw
            resp = density.by_type(responsibilities(density.unit_log_joint(x, data, outcome)))[:, own]
            return total + expected_counts(resp, data, outcome, n_outcomes)[0], None

        start = jnp.zeros((order.shape[1], data.n_questions, n_outcomes))
        return jax.lax.scan(add, start, (flat, order))[0]

    return np.asarray(summed(jnp.asarray(flat), jnp.asarray(order), data, outcome)) / len(flat)


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

    @jax.jit
    def summed(flat: Array, data: ChoiceData, outcome: Array) -> dict[str, Array]:
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
        return jax.lax.scan(moments, start, flat)[0]

    found = {}
    for name, value in summed(jnp.asarray(flat), data, outcome).items():
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
