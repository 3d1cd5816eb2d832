"""Posterior modes: EM with Newton M-steps from several starts, finished by Newton on the marginal posterior."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from tqdm.auto import tqdm

from bayespref.choice import ChoiceData
from bayespref.fit.density import Density, expected_counts, hessian, responsibilities

_FLAT_CURVATURE = 1e-10


class Modes(NamedTuple):
    """Distinct posterior modes found, best first.

    Attributes
    ----------
    flat : float array, shape (mode, p)
        Unconstrained coordinates.
    log_joint, log_likelihood : float array, shape (mode,)
        Log-density of parameters and outcomes, and of outcomes alone, nats.
    found : int array, shape (mode,)
        How many starts reached the mode.
    precision : float array, shape (p, p)
        Negative Hessian of the log-joint at the best mode.
    gradient_norm : float
        Largest absolute gradient entry at the best mode.
    gap : float
        Log-joint distance from the best to the second-best distinct mode, nats; infinite when only one was found.
    """

    flat: Float[np.ndarray, "mode p"]
    log_joint: Float[np.ndarray, " mode"]
    log_likelihood: Float[np.ndarray, " mode"]
    found: Int[np.ndarray, " mode"]
    precision: Float[np.ndarray, "p p"]
    gradient_norm: float
    gap: float


def _newton_direction(gradient: Array, curvature: Array) -> Array:
    """Newton step for a maximum; directions of no or wrong curvature are damped to the largest curvature's scale."""
    values, vectors = jnp.linalg.eigh(-curvature)
    floor = jnp.maximum(values[-1], 1.0) * _FLAT_CURVATURE
    safe = jnp.where(values > floor, values, jnp.maximum(jnp.abs(values), floor * 1e4))
    return jnp.asarray(vectors @ ((vectors.T @ gradient) / safe))


def _ascend(objective: Any, flat: Array, *arguments: Any, work: int) -> tuple[Array, Array]:
    """One Newton step with backtracking; never lowers the objective. Returns the new point and the gain."""
    value, gradient = jax.value_and_grad(objective)(flat, *arguments)
    step = _newton_direction(gradient, hessian(objective, flat, *arguments, work_per_column=work))

    def halve(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        size = 0.5 * carry[0]
        return size, objective(flat + size * step, *arguments)

    def unfinished(carry: tuple[Array, Array]) -> Array:
        size, new = carry
        return jnp.asarray((size > 1e-8) & ~(new >= value))

    size, new = jax.lax.while_loop(unfinished, halve, (jnp.asarray(1.0), objective(flat + step, *arguments)))
    better = new >= value
    return jnp.where(better, flat + size * step, flat), jnp.where(better, new - value, 0.0)


def find_modes(
    density: Density,
    data: ChoiceData,
    outcome: Int[Array, " record"],
    *,
    rng_key: Array,
    n_starts: int = 10,
    max_steps: int = 500,
    tolerance: float = 1e-7,
    progress: bool = True,
) -> Modes:
    """Find posterior modes from several starts.

    Each start gives every type a few random units, takes some Newton steps on them, then alternates: types of units
    given parameters (E), one safeguarded Newton step on the expected complete-data log-posterior (generalised M). The
    log-posterior never falls. Newton on the marginal log-posterior finishes.

    Parameters
    ----------
    density : Density
        From :func:`bayespref.fit.density.make_density`.
    data, outcome : ChoiceData, int array
        Records.
    rng_key : jax key
        Seeds the starts.
    n_starts : int
        Number of starts; one is enough (and used) when there is a single type.
    max_steps : int
        EM steps per start.
    tolerance : float
        EM stops when a step gains less, nats.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Modes
    """
    n_outcomes = len(data.outcomes)
    table_shape = jax.eval_shape(density.tables, jnp.zeros(density.size), data)[0].shape
    n_types = table_shape[0]
    starts = n_starts if n_types > 1 else 1
    table_work = int(np.prod(table_shape)) * 4
    record_work = max(int(data.unit.shape[0]), 1) * n_types * 4

    def expected_log_joint(flat: Array, counts: Array, groups: Array, data: ChoiceData) -> Array:
        table, weights = density.tables(flat, data)
        return density.log_prior(flat, data) + jnp.vdot(counts, table) + jnp.vdot(groups, weights)

    def m_step(flat: Array, resp: Array, data: ChoiceData, outcome: Array) -> Array:
        counts, groups = expected_counts(resp, data, outcome, n_outcomes)
        return _ascend(expected_log_joint, flat, counts, groups, data, work=table_work)[0]

    @jax.jit
    def climb(key: Array, data: ChoiceData, outcome: Array) -> tuple[Array, Array]:
        owner = _random_owners(key, data.n_units, n_types)
        initial = jax.nn.one_hot(owner, n_types) if n_types > 1 else jnp.ones((data.n_units, 1))
        flat = jax.lax.fori_loop(0, 4, lambda _, x: m_step(x, initial, data, outcome), jnp.zeros(density.size))

        def body(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            flat, value, _, step = carry
            flat = m_step(flat, responsibilities(density.unit_log_joint(flat, data, outcome)), data, outcome)
            new = density.log_joint(flat, data, outcome)
            return flat, new, new - value, step + 1

        def unfinished(carry: tuple[Array, Array, Array, Array]) -> Array:
            _, _, gain, step = carry
            return (gain > tolerance) & (step < max_steps)

        value = density.log_joint(flat, data, outcome)
        flat, value, _, _ = jax.lax.while_loop(unfinished, body, (flat, value, jnp.asarray(jnp.inf), jnp.asarray(0)))
        return flat, value

    @jax.jit
    def polish(flat: Array, data: ChoiceData, outcome: Array) -> tuple[Array, Array]:
        return _ascend(density.log_joint, flat, data, outcome, work=record_work)

    keys = jax.random.split(rng_key, starts)
    bar = tqdm(keys, desc="modes (EM)", disable=not progress, leave=False)
    ends = [climb(key, data, outcome) for key in bar]
    flats = np.stack([np.asarray(flat) for flat, _ in ends])
    values = np.array([float(value) for _, value in ends])
    order = np.argsort(-values)
    best = jnp.asarray(flats[order[0]])
    for _ in range(20):
        best, gain = polish(best, data, outcome)
        if float(gain) < 1e-10:
            break
    top = float(density.log_joint(best, data, outcome))
    distinct, found = _distinct(np.concatenate([[top], values[order]]), tolerance=max(1e-3, 10 * tolerance))
    found[0] -= 1
    chosen = np.concatenate([np.asarray(best)[None], flats[order]])[distinct]
    log_joint = np.concatenate([[top], values[order]])[distinct]
    prior = np.array([float(density.log_prior(jnp.asarray(flat), data)) for flat in chosen])
    curvature, gradient = jax.jit(
        lambda x, d, o: (
            hessian(density.log_joint, x, d, o, work_per_column=record_work),
            jax.grad(density.log_joint)(x, d, o),
        )
    )(best, data, outcome)
    return Modes(
        flat=chosen,
        log_joint=log_joint,
        log_likelihood=log_joint - prior,
        found=found,
        precision=-np.asarray(curvature),
        gradient_norm=float(np.abs(np.asarray(gradient)).max(initial=0.0)),
        gap=float(log_joint[0] - log_joint[1]) if len(log_joint) > 1 else float("inf"),
    )


def _random_owners(key: Array, n_units: int, n_types: int) -> Array:
    """Type of each unit in a start: a few units a type, the rest (code ``n_types``, an all-zero row) unassigned."""
    few = min(max(5, n_units // (4 * n_types)), max(n_units // n_types, 1))
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(key, (n_units,))))
    return jnp.where(rank < few * n_types, rank % n_types, n_types)


def _distinct(values: np.ndarray, *, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of values that differ by more than ``tolerance`` (values descend), and how many share each."""
    index = [0]
    found = [1]
    for i in range(1, len(values)):
        if values[index[-1]] - values[i] > tolerance:
            index.append(i)
            found.append(1)
        else:
            found[-1] += 1
    return np.array(index), np.array(found)
