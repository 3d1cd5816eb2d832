"""A model function as densities of one flat unconstrained vector: joint, prior, tables, Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.infer.util import constrain_fn, potential_energy

from bayespref.choice import ChoiceData

Model = Callable[..., Any]
_COLUMNS_AT_ONCE = 2.0e8


class Density(NamedTuple):
    """Densities of a model in flat unconstrained coordinates; every function is pure and jit-able."""

    size: int
    """Number of coordinates."""
    names: tuple[str, ...]
    """Name of each coordinate."""
    log_joint: Callable[[Array, ChoiceData, Array], Array]
    """(flat, data, outcome) -> log-density of parameters and outcomes, nats."""
    log_prior: Callable[[Array, ChoiceData], Array]
    """(flat, data) -> log-density of the parameters, nats."""
    unit_log_joint: Callable[[Array, ChoiceData, Array], Array]
    """(flat, data, outcome) -> (unit, class) log-probability of a unit's outcomes together with its class."""
    tables: Callable[[Array, ChoiceData], tuple[Array, Array]]
    """(flat, data) -> log-probability table (class, question, outcome) and log class weights (group, class)."""
    variables: Callable[[Array, ChoiceData], dict[str, Array]]
    """(flat, data) -> value of every latent and deterministic site by name."""
    class_type: tuple[int, ...] = ()
    """Type of each class where a model splits its types into classes (quadrature nodes); empty where class is type."""

    def by_type(self, per_class: Float[Array, "unit class"]) -> Float[Array, "unit type"]:
        """Sum probabilities of classes within their types."""
        if not self.class_type:
            return per_class
        return per_class @ jax.nn.one_hot(jnp.asarray(self.class_type), max(self.class_type) + 1, dtype=per_class.dtype)


def make_density(model: Model, data: ChoiceData, options: dict[str, Any]) -> Density:
    """Trace a model once and return its densities.

    Parameters
    ----------
    model : callable
        NumPyro model ``model(data, outcome, **options)`` built from the pieces in ``bayespref.choice``.
    data : ChoiceData
        What the shapes of parameters are read from.
    options : dict
        Keyword arguments of the model.

    Returns
    -------
    Density
    """
    nothing = jnp.zeros(0, dtype=jnp.int32)
    held: dict[str, tuple[int, ...]] = {}

    def first_values(key: Array) -> dict[str, Array]:
        trace = handlers.trace(handlers.seed(model, key)).get_trace(data.without_records(), nothing, **options)
        held["class_type"] = trace["class_type"]["value"].shape if "class_type" in trace else ()
        return {
            name: biject_to(site["fn"].support).inv(site["value"])
            for name, site in trace.items()
            if site["type"] == "sample" and not site["is_observed"]
        }

    # shapes alone are needed: running the model operation by operation would compile each of them
    shapes = jax.eval_shape(first_values, jax.random.key(0))
    template = {name: np.zeros(one.shape, one.dtype) for name, one in shapes.items()}
    flat, unravel = ravel_pytree(template)

    def log_joint(flat: Array, data: ChoiceData, outcome: Array) -> Array:
        return jnp.asarray(-potential_energy(model, (data, outcome), options, unravel(flat)))

    def sites(flat: Array, data: ChoiceData, outcome: Array) -> dict[str, Array]:
        values: dict[str, Array] = constrain_fn(
            model, (data, outcome), options, unravel(flat), return_deterministic=True
        )
        return values

    def log_prior(flat: Array, data: ChoiceData) -> Array:
        return log_joint(flat, data.without_records(), nothing)

    def unit_log_joint(flat: Array, data: ChoiceData, outcome: Array) -> Array:
        return sites(flat, data, outcome)["unit_log_joint"]

    def tables(flat: Array, data: ChoiceData) -> tuple[Array, Array]:
        values = sites(flat, data.without_records(), nothing)
        return values["log_prob_table"], values["type_log_weight"]

    def variables(flat: Array, data: ChoiceData) -> dict[str, Array]:
        return sites(flat, data.without_records(), nothing)

    names = tuple(
        f"{name}[{','.join(str(int(i)) for i in index)}]"
        for name, value in sorted(template.items())
        for index in np.ndindex(*value.shape)
    )
    kinds: tuple[int, ...] = ()
    if held["class_type"]:
        class_type = jax.jit(lambda: sites(flat, data.without_records(), nothing)["class_type"])()
        kinds = tuple(int(kind) for kind in np.asarray(class_type))
    return Density(int(flat.shape[0]), names, log_joint, log_prior, unit_log_joint, tables, variables, kinds)


def hessian(
    function: Callable[..., Array], flat: Float[Array, " p"], *arguments: Any, work_per_column: int = 1
) -> Float[Array, "p p"]:
    """Hessian by forward-over-reverse differentiation, in batches of columns that bound the memory.

    Parameters
    ----------
    function : callable
        ``function(flat, *arguments)``, scalar.
    flat : float array, shape (p,)
        Where.
    *arguments
        Passed on.
    work_per_column : int
        Floats one column's tangents need (records times types); sets how many columns go together.

    Returns
    -------
    float array, shape (p, p)
        Symmetrised.
    """
    gradient = jax.grad(function)

    def column(direction: Array) -> Array:
        return jnp.asarray(jax.jvp(lambda x: gradient(x, *arguments), (flat,), (direction,))[1])

    columns = map_batched(column, jnp.eye(flat.shape[0]), int(_COLUMNS_AT_ONCE // max(work_per_column, 1)))
    return jnp.asarray(0.5 * (columns + columns.T))


def map_batched(function: Callable[[Array], Any], xs: Array, batch: int) -> Any:
    """Map over the leading axis, ``batch`` entries at once.

    The axis is padded to whole batches: a remainder would be compiled as a second program.
    """
    n = xs.shape[0]
    size = int(np.clip(batch, 1, max(n, 1)))
    filled = jnp.concatenate([xs, jnp.repeat(xs[:1], -n % size, axis=0)])
    mapped = jax.lax.map(function, filled, batch_size=size)
    return jax.tree.map(lambda values: values[:n], mapped)


def summed_log_likelihood(joint: Float[Array, "unit type"], data: ChoiceData) -> Float[Array, ""]:
    """Marginal log-likelihood of all units, nats, from the unit log-joint."""
    return jnp.vdot(data.multiplicity, jax.scipy.special.logsumexp(joint, axis=1))


def responsibilities(joint: Float[Array, "unit type"]) -> Float[Array, "unit type"]:
    """Posterior probability of each type for each unit, from the unit log-joint."""
    return jax.nn.softmax(joint, axis=1)


def expected_counts(
    resp: Float[Array, "unit type"], data: ChoiceData, outcome: Int[Array, " record"], n_outcomes: int
) -> tuple[Float[Array, "type question outcome"], Float[Array, "group type"]]:
    """Expected number of answers per (type, question, outcome) and of units per (group, type)."""
    n_types = resp.shape[1]
    weighted = resp * data.multiplicity[:, None]
    per_record = weighted[data.unit] * data.count[:, None]
    column = data.question * n_outcomes + outcome
    flat = jax.ops.segment_sum(per_record, column, num_segments=data.n_questions * n_outcomes)
    groups = jax.ops.segment_sum(weighted, data.group, num_segments=data.n_groups)
    return flat.T.reshape(n_types, data.n_questions, n_outcomes), groups
