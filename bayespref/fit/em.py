"""Posterior modes: EM with Newton M-steps from several starts, finished by Newton on the marginal posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import linear_sum_assignment
from tqdm.auto import tqdm

from bayespref.choice import ChoiceData
from bayespref.fit.density import Density, expected_counts, hessian, responsibilities, summed_log_likelihood

_FLAT_CURVATURE = 1e-10
_FORCING = 0.1
_MOST_PRODUCTS = 500
_FIRST_STEPS = 4
_MOST_POLISHES = 20
_SETTLED = 1e-10
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)
"""Share of a log-density that summing many records may change by itself: no gain below it is one."""
_WORTH_POLISHING = 20.0
_SAME_HEIGHT = 1e-3
_SAME_MEMBERS = 1e-2


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


def _newton_direction(gradient: Array, curve: Callable[[Array], Array]) -> Array:
    """Newton step for a maximum by conjugate gradients; ``curve`` multiplies a vector by the negative Hessian.

    Truncated (Nocedal and Wright 2006, algorithm 7.1): it ends when the residual is small beside the gradient, smaller
    the nearer the maximum, or before a direction of no or wrong curvature enters. The first direction, the gradient
    itself, is then taken at the scale of its own curvature, so that the step always ascends.
    """
    norm = jnp.linalg.norm(gradient)
    enough = jnp.minimum(_FORCING, jnp.sqrt(norm)) * norm

    def further(carry: tuple[Array, Array, Array, Array]) -> Array:
        _, residual, direction, k = carry
        under_way = jnp.any(direction != 0.0) & (k < _MOST_PRODUCTS)
        return jnp.asarray((jnp.linalg.norm(residual) > enough) & under_way)

    def step(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        reached, residual, direction, k = carry
        product = curve(direction)
        length, bend, left = direction @ direction, direction @ product, residual @ residual
        good = bend > _FLAT_CURVATURE * length
        size = jnp.where(good, left / bend, jnp.where(k == 0, left / jnp.maximum(jnp.abs(bend), length), 0.0))
        new = residual - size * product
        turned = jnp.where(good, new + (new @ new / left) * direction, 0.0)
        return reached + size * direction, new, turned, k + 1

    start = (jnp.zeros_like(gradient), gradient, gradient, jnp.asarray(0))
    reached: Array = jax.lax.while_loop(further, step, start)[0]
    return reached


class Ascent(NamedTuple):
    """One Newton step: where it led, what it gained, and the gradient where it began."""

    flat: Array
    gain: Array
    gradient: Array


def ascend(objective: Any, flat: Array, *arguments: Any) -> Ascent:
    """One Newton step with backtracking; never lowers the objective."""
    (value, gradient), product = jax.linearize(lambda x: jax.value_and_grad(objective)(x, *arguments), flat)
    step = _newton_direction(gradient, lambda direction: -product(direction)[1])

    def halve(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        size = 0.5 * carry[0]
        return size, objective(flat + size * step, *arguments)

    def unfinished(carry: tuple[Array, Array]) -> Array:
        size, new = carry
        return jnp.asarray((size > 1e-8) & ~(new >= value))

    # the first turn tries the whole step: an evaluation before the loop would be compiled a second time
    size, new = jax.lax.while_loop(unfinished, halve, (jnp.asarray(2.0), jnp.full_like(value, -jnp.inf)))
    better = new >= value
    end = jnp.where(better, flat + size * step, flat)
    return Ascent(end, jnp.where(better, new - value, 0.0), gradient)


def expected_log_joint(density: Density) -> Callable[[Array, Array, Array, ChoiceData], Array]:
    """Return what an M-step raises: (flat, counts, groups, data) -> expected complete-data log-posterior, nats."""

    def objective(flat: Array, counts: Array, groups: Array, data: ChoiceData) -> Array:
        table, weights = density.tables(flat, data)
        return density.log_prior(flat, data) + jnp.vdot(counts, table) + jnp.vdot(groups, weights)

    return objective


class _Climb(NamedTuple):
    """Where EM stands: the point it goes to next, the last point seen with its log-joint and gain, steps taken."""

    ahead: Array
    flat: Array
    value: Array
    gain: Array
    step: Array


def em_climb(
    density: Density, data: ChoiceData, *, max_steps: int, tolerance: float
) -> Callable[[Array, ChoiceData, Array], tuple[Array, Array]]:
    """Return a compiled function (key, data, outcome) -> (coordinates, log-joint): one start of EM, to its end.

    The first steps fit each type to a few random units; then types of units given parameters (E) and one safeguarded
    Newton step on the expected complete-data log-posterior (generalised M) alternate. From then on the log-posterior
    never falls.

    Parameters
    ----------
    density : Density
        From :func:`bayespref.fit.density.make_density`.
    data : ChoiceData
        What the shapes are read from.
    max_steps : int
        EM steps after the first ones.
    tolerance : float
        EM stops when a step gains less, nats (or less than rounding does).
    """
    n_outcomes = len(data.outcomes)
    n_types = jax.eval_shape(density.tables, jnp.zeros(density.size), data)[0].shape[0]

    objective = expected_log_joint(density)

    @jax.jit
    def climb(key: Array, data: ChoiceData, outcome: Array) -> tuple[Array, Array]:
        owner = _random_owners(key, data.n_units, n_types)
        initial = jax.nn.one_hot(owner, n_types) if n_types > 1 else jnp.ones((data.n_units, 1))

        def body(carry: _Climb) -> _Climb:
            here = carry.ahead
            joint = density.unit_log_joint(here, data, outcome)
            value = summed_log_likelihood(joint, data) + density.log_prior(here, data)
            resp = jnp.where(carry.step < _FIRST_STEPS, initial, responsibilities(joint))
            counts, groups = expected_counts(resp, data, outcome, n_outcomes)
            ahead = ascend(objective, here, counts, groups, data).flat
            gain = jnp.where(carry.step <= _FIRST_STEPS, jnp.inf, value - carry.value)
            return _Climb(ahead, here, value, gain, carry.step + 1)

        def unfinished(carry: _Climb) -> Array:
            least = tolerance + _ROUNDING * jnp.where(jnp.isfinite(carry.value), jnp.abs(carry.value), 0.0)
            return jnp.asarray((carry.gain > least) & (carry.step <= max_steps + _FIRST_STEPS))

        zero = jnp.zeros(density.size)
        start = _Climb(zero, zero, jnp.asarray(-jnp.inf), jnp.asarray(jnp.inf), jnp.asarray(0))
        end = jax.lax.while_loop(unfinished, body, start)
        return end.flat, end.value

    return climb


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

    Each start climbs by EM (:func:`em_climb`). Ends within reach of the best are finished by Newton on the marginal
    log-posterior; two ends are one mode if they are equally high and, types renamed, hold the same units.

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
        EM stops when a step gains less, nats (or less than rounding does).
    progress : bool
        Show a progress bar.

    Returns
    -------
    Modes
    """
    n_types = jax.eval_shape(density.tables, jnp.zeros(density.size), data)[0].shape[0]
    starts = n_starts if n_types > 1 else 1
    climb = em_climb(density, data, max_steps=max_steps, tolerance=tolerance)

    @jax.jit
    def polish(flat: Array, data: ChoiceData, outcome: Array) -> Ascent:
        return ascend(density.log_joint, flat, data, outcome)

    keys = jax.random.split(rng_key, starts)
    bar = tqdm(keys, desc="modes (EM)", disable=not progress, leave=False)
    ends = [(flat, float(value)) for flat, value in (climb(key, data, outcome) for key in bar)]
    highest = max(value for _, value in ends)

    @jax.jit
    def describe(flat: Array, data: ChoiceData, outcome: Array) -> tuple[Array, Array, Array]:
        joint = density.unit_log_joint(flat, data, outcome)
        log_likelihood = summed_log_likelihood(joint, data)
        return log_likelihood, log_likelihood + density.log_prior(flat, data), responsibilities(joint)

    weight = np.asarray(data.multiplicity)
    tops: list[_Top] = []
    for flat, value in ends:
        ascent = None
        if value >= highest - _WORTH_POLISHING:
            for _ in range(_MOST_POLISHES):
                ascent = polish(flat, data, outcome)
                if float(ascent.gain) < _SETTLED + _ROUNDING * abs(value):
                    break
                flat = ascent.flat
        log_likelihood, log_joint, members = describe(flat, data, outcome)
        top = _Top(np.asarray(flat), float(log_joint), float(log_likelihood), np.asarray(members), ascent, 1)
        same = next((i for i, other in enumerate(tops) if _same_mode(top, other, weight)), None)
        if same is None:
            tops.append(top)
        else:
            better = max(top, tops[same], key=lambda one: one.log_joint)
            tops[same] = better._replace(found=tops[same].found + 1)
    tops.sort(key=lambda top: -top.log_joint)
    ascent = tops[0].ascent
    if ascent is None:  # only an end within reach of the best is polished, and the best is one
        raise RuntimeError("the best end of EM was not polished")
    curvature = jax.jit(
        lambda x, d, o: hessian(density.log_joint, x, d, o, work_per_column=d.unit.shape[0] * n_types * 4)
    )
    precision = -np.asarray(curvature(jnp.asarray(tops[0].flat), data, outcome))
    values = np.array([top.log_joint for top in tops])
    return Modes(
        flat=np.stack([top.flat for top in tops]),
        log_joint=values,
        log_likelihood=np.array([top.log_likelihood for top in tops]),
        found=np.array([top.found for top in tops]),
        precision=precision,
        gradient_norm=float(np.abs(np.asarray(ascent.gradient)).max(initial=0.0)),
        gap=float(values[0] - values[1]) if len(values) > 1 else float("inf"),
    )


class _Top(NamedTuple):
    """Where a start ended."""

    flat: np.ndarray
    log_joint: float
    log_likelihood: float
    memberships: np.ndarray
    ascent: Ascent | None
    found: int


def _same_mode(one: _Top, other: _Top, weight: np.ndarray) -> bool:
    """Whether two ends are one mode up to the names of its types: equally high, with the same units in each type."""
    if abs(one.log_joint - other.log_joint) > _SAME_HEIGHT:
        return False
    shared = (one.memberships * weight[:, None]).T @ other.memberships
    mine, theirs = linear_sum_assignment(-shared)
    moved = np.abs(one.memberships[:, mine] - other.memberships[:, theirs]).sum(1)
    return bool(weight @ moved <= _SAME_MEMBERS * weight.sum())


def _random_owners(key: Array, n_units: int, n_types: int) -> Array:
    """Type of each unit in a start: a few units a type, the rest (code ``n_types``, an all-zero row) unassigned."""
    few = min(max(5, n_units // (4 * n_types)), max(n_units // n_types, 1))
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(key, (n_units,))))
    return jnp.where(rank < few * n_types, rank % n_types, n_types)
