"""Laplace draws and refits, for many tables of one layout at once: seconds where sampling every table takes hours.

An approximation: normal around the mode. It is good where every cell is either well observed or untouched (then the
prior, normal in most models here, is reproduced), and it is what the refits of an ensemble need: modes, no draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from bayespref.choice import ChoiceData, choice_data
from bayespref.comparisons import Comparisons, from_codes
from bayespref.dims import VARIABLE_DIMS
from bayespref.fit.density import Density, hessian, map_batched
from bayespref.fit.em import ascend

_SETTLED = 1e-10
_MOST_STEPS = 100
_FLOATS_AT_ONCE = 2.0e7
_Carry = tuple[Array, Array, Array, Array]


class Stack(NamedTuple):
    """Tables that share their questions and units, told apart by how often each unit occurred."""

    data: ChoiceData
    """Layout: the distinct answers of all tables together."""
    outcome: Int[Array, " record"]
    multiplicity: Float[Array, "table unit"]
    """How often each unit occurred in each table; 0 where it did not."""
    asked: Float[Array, "table row question"]
    group_size: Float[Array, "table group"]

    def table(self, index: Array | int) -> ChoiceData:
        """Return one table in the common layout."""
        return replace(
            self.data,
            multiplicity=self.multiplicity[index],
            asked=self.asked[index],
            group_size=self.group_size[index],
        )

    def take(self, index: Int[np.ndarray, " table"]) -> Stack:
        """Return the tables of these numbers, in this order; a number may recur."""
        return self._replace(
            multiplicity=self.multiplicity[index], asked=self.asked[index], group_size=self.group_size[index]
        )


class Peak(NamedTuple):
    """Where Newton's climb ended."""

    flat: Float[Array, " p"]
    precision: Float[Array, "p p"]
    """Negative Hessian at the last step, which moved the objective by less than 1e-10 nats."""
    gradient_norm: Float[Array, ""]


def stack_tables(tables: Sequence[Comparisons], *, group_by_context: bool = False) -> Stack:
    """Bring tables into one layout, so that one compiled program serves all of them.

    Parameters
    ----------
    tables : sequence of Comparisons
        Same labels. Several tables must not name annotators (``pool("annotator")``): each distinct answer is a unit.
    group_by_context : bool
        Units carry their context as group, for observed types.

    Returns
    -------
    Stack

    Raises
    ------
    ValueError
        If there is no table, labels differ, or one of several tables names annotators.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> one = from_codes(np.array([0, 0]), np.array([1, 1]), np.array([0, 0]), items=("x", "y"))
    >>> two = from_codes(np.array([0, 0]), np.array([1, 1]), np.array([0, 1]), items=("x", "y"))
    >>> stack_tables([one, two]).multiplicity.tolist()
    [[2.0, 0.0], [1.0, 1.0]]
    """
    if not tables:
        raise ValueError("tables: give at least one")
    first = tables[0]
    if len(tables) == 1:
        data, outcome = choice_data(first, group_by_context=group_by_context)
        return Stack(data, outcome, data.multiplicity[None], data.asked[None], data.group_size[None])
    if any(table.annotator is not None for table in tables):
        raise ValueError('tables: several tables share a layout only without annotators; call pool("annotator")')
    forget = ("environment",) if group_by_context else ("environment", "context")
    pooled = [table.pool(*forget) for table in tables]
    first = pooled[0]
    if any(table.labels(dim) != first.labels(dim) for table in pooled for dim in ("item", "state", "context")):
        raise ValueError("tables: must name the same items, states and contexts")
    answers = [_answers(table) for table in pooled]
    every = np.unique(np.concatenate([rows for rows, _ in answers]), axis=0)
    union = from_codes(
        every[:, 1],
        every[:, 2],
        every[:, 4],
        items=first.items,
        state=every[:, 0],
        states=first.states,
        context=every[:, 5] if group_by_context else None,
        contexts=first.contexts,
        position=every[:, 3] if any(table.position is not None for table in pooled) else None,
        features=first.features,
        feature_names=first.feature_names,
    )
    data, outcome = choice_data(union, group_by_context=group_by_context)
    place = {tuple(row): i for i, row in enumerate(every.tolist())}
    count = np.zeros((len(tables), len(every)))
    for t, (rows, total) in enumerate(answers):
        count[t, [place[tuple(row)] for row in rows.tolist()]] = total
    # rows of the union are sorted by question, outcome, context: exactly the order in which units are numbered
    n_rows, n_questions = data.asked.shape
    cell = every[:, 5] * n_questions + np.asarray(data.question)
    asked = np.stack([np.bincount(cell, one, n_rows * n_questions).reshape(n_rows, -1) for one in count])
    size = np.stack([np.bincount(np.asarray(data.group), one, data.n_groups) for one in count])
    return Stack(data, outcome, jnp.asarray(count), jnp.asarray(asked), jnp.asarray(size))


def climb(objective: Any, start: Float[Array, " p"], *arguments: Any, work: int = 1) -> Peak:
    """Newton's climb, safeguarded, to a mode; pure, so that it can be compiled and mapped.

    Parameters
    ----------
    objective : callable
        ``objective(flat, *arguments)``, scalar, nats.
    start : float array, shape (p,)
        Where to begin.
    *arguments
        Passed on.
    work : int
        Floats one column of the Hessian needs.

    Returns
    -------
    Peak

    Examples
    --------
    >>> peak = climb(lambda x: -jnp.sum((x - 2.0) ** 2), jnp.zeros(3))
    >>> peak.flat.round(6).tolist(), jnp.diag(peak.precision).tolist()
    ([2.0, 2.0, 2.0], [2.0, 2.0, 2.0])
    """

    def body(carry: _Carry) -> _Carry:
        step = ascend(objective, carry[0], *arguments)
        return step.flat, step.gain, jnp.abs(step.gradient).max(), carry[3] + 1

    def unfinished(carry: _Carry) -> Array:
        return jnp.asarray((carry[1] > _SETTLED) & (carry[3] < _MOST_STEPS))

    first = (start, jnp.asarray(jnp.inf), jnp.asarray(jnp.inf), jnp.asarray(0))
    flat, _, norm, _ = jax.lax.while_loop(unfinished, body, first)
    return Peak(flat, -hessian(objective, flat, *arguments, work_per_column=work), norm)


def laplace_draws(
    density: Density, stack: Stack, *, rng_key: Array, draws: int, start: Float[Array, " p"] | None = None
) -> dict[str, np.ndarray]:
    """Draw model variables from the Laplace approximation of every table's posterior.

    Parameters
    ----------
    density : Density
        From :func:`bayespref.fit.density.make_density`, on ``stack.data``.
    stack : Stack
        Tables.
    rng_key : jax key
        Seed.
    draws : int
        Draws a table.
    start : float array, shape (p,), optional
        Where the climb begins; zero by default, right where types are observed or single.

    Returns
    -------
    dict of arrays, leading axes (table, draw)
        Variables of ``dims.VARIABLE_DIMS`` that the model has. NaN for a table whose climb did not settle.
    """
    begin = jnp.zeros(density.size) if start is None else jnp.asarray(start)
    work = _work(density, stack)

    @jax.jit
    def run(stack: Stack, begin: Array, keys: Array) -> dict[str, Array]:
        def one(index: Array) -> dict[str, Array]:
            data = stack.table(index)
            peak = climb(density.log_joint, begin, data, stack.outcome, work=work)
            noise = jax.random.normal(keys[index], (draws, density.size))
            flat = _settled(peak) + _scaled(peak.precision, noise)
            return jax.vmap(lambda x: _variables(density, x, data))(flat)

        n_tables = stack.multiplicity.shape[0]
        return dict(map_batched(one, jnp.arange(n_tables), _batch(work * density.size)))

    keys = jax.random.split(rng_key, stack.multiplicity.shape[0])
    return {name: np.asarray(value) for name, value in run(stack, begin, keys).items()}


def reweighted(
    comparisons: Comparisons, n: int, *, seed: int, group_by_context: bool = False, latent: bool = False
) -> Stack:
    """Give everybody a random weight, n times: the Bayesian bootstrap of people.

    Parameters
    ----------
    comparisons : Comparisons
        The table. Without annotators every comparison counts as a person.
    n : int
        Tables to make.
    seed : int
        Seed.
    group_by_context : bool
        As in :func:`stack_tables`.
    latent : bool
        Types are latent, so that units stay people; otherwise their answers are added up, which is much faster.

    Returns
    -------
    Stack
        Weights are standard exponential, one a person (Rubin 1981, Annals of Statistics 9, 130-134).

    Examples
    --------
    >>> table = from_codes(np.array([0, 0]), np.array([1, 1]), np.array([0, 1]), items=("x", "y"))
    >>> reweighted(table, 3, seed=0).multiplicity.shape
    (3, 2)
    """
    rng = np.random.default_rng(seed)
    known = comparisons.annotator is not None and not latent
    data, outcome = choice_data(
        comparisons.pool("annotator") if known else comparisons, group_by_context=group_by_context
    )
    if known:
        counts = comparisons.counts
        names = ("state", "item_a", "item_b", "first", "outcome") + (("context",) if group_by_context else ())
        answer = np.unique(np.stack([getattr(counts, name) for name in names], axis=1), axis=0, return_inverse=True)[1]
        person = rng.exponential(size=(n, comparisons.n_annotators))[:, counts.annotator] * counts.total
        rows = [np.bincount(answer.reshape(-1), one, data.n_units) for one in person]
        weight = np.asarray(rows, dtype=np.float64)
    else:
        weight = rng.gamma(np.asarray(data.multiplicity), size=(n, data.n_units))
    asked, size = jnp.tile(data.asked[None], (n, 1, 1)), jnp.tile(data.group_size[None], (n, 1))
    return Stack(data, outcome, jnp.asarray(weight), asked, size)


def refit_modes(
    density: Density,
    stack: Stack,
    *,
    rng_key: Array,
    prior_moves: ArrayLike = 0.0,
    start: Float[Array, " p"] | None = None,
) -> dict[str, np.ndarray]:
    """Posterior mode of every table, each under a prior of its own.

    Parameters
    ----------
    density, stack, start
        As in :func:`laplace_draws`.
    rng_key : jax key
        Seed of the priors.
    prior_moves : float or float array, shape (table,)
        How far the prior's centre moves, in its own standard deviations: 0 leaves it, 1 makes it a draw from the prior
        (anchored ensembles, Pearce et al. 2020, AISTATS). At 1, on tables from :func:`reweighted`, refits mimic
        posterior draws: where nothing was observed a refit returns its prior's centre.

    Returns
    -------
    dict of arrays, leading axis (table,)
        Variables at the modes, and as ``centre`` the reward at the prior's centre. NaN where a climb did not settle.

    Notes
    -----
    The prior is drawn from its normal approximation at its mode (exact for normal priors), in unconstrained
    coordinates. A weak prior (scale s) with ``prior_moves=1 / s`` is training from random initial values of standard
    deviation 1: directions the data do not reach stay where they started.
    """
    begin = jnp.zeros(density.size) if start is None else jnp.asarray(start)
    work = _work(density, stack)

    def objective(flat: Array, data: ChoiceData, outcome: Array, shift: Array) -> Array:
        answers = jax.scipy.special.logsumexp(density.unit_log_joint(flat, data, outcome), axis=1)
        return data.multiplicity @ answers + density.log_prior(flat - shift, data)

    @jax.jit
    def run(stack: Stack, begin: Array, noise: Array, moves: Array) -> dict[str, Array]:
        def one(index: Array) -> dict[str, Array]:
            data = stack.table(index)
            prior = climb(density.log_prior, jnp.zeros(density.size), data, work=work)
            shift = moves[index] * _scaled(prior.precision, noise[index][None])[0]
            peak = climb(objective, begin, data, stack.outcome, shift, work=work)
            centre = _variables(density, prior.flat + shift, data)["reward"]
            return _variables(density, _settled(peak), data) | {"centre": centre}

        return dict(map_batched(one, jnp.arange(stack.multiplicity.shape[0]), _batch(work * density.size)))

    n_tables = stack.multiplicity.shape[0]
    noise = jax.random.normal(rng_key, (n_tables, density.size))
    moves = jnp.broadcast_to(jnp.asarray(prior_moves, dtype=float), (n_tables,))
    return {name: np.asarray(value) for name, value in run(stack, begin, noise, moves).items()}


def _answers(table: Comparisons) -> tuple[Int[np.ndarray, "answer 6"], Float[np.ndarray, " answer"]]:
    """Distinct (state, item_a, item_b, first, outcome, context) of a table, sorted, with their totals."""
    counts = table.counts
    names = ("state", "item_a", "item_b", "first", "outcome", "context")
    rows = np.stack([np.asarray(getattr(counts, name), dtype=np.int64) for name in names], axis=1)
    return rows, np.asarray(counts.total, dtype=np.float64)


def _variables(density: Density, flat: Array, data: ChoiceData) -> dict[str, Array]:
    values = density.variables(flat, data)
    return {name: values[name] for name in VARIABLE_DIMS if name in values}


def _scaled(precision: Array, noise: Array) -> Array:
    """Standard normal noise, given this precision."""
    root = jnp.linalg.cholesky(precision)
    return jnp.asarray(jax.scipy.linalg.solve_triangular(root, noise.T, lower=True, trans=1).T)


def _settled(peak: Peak) -> Array:
    """The mode, or NaN where the climb did not reach one."""
    return jnp.where(peak.gradient_norm < 1e-3, peak.flat, jnp.nan)


def _work(density: Density, stack: Stack) -> int:
    n_classes = jax.eval_shape(density.tables, jnp.zeros(density.size), stack.data)[0].shape[0]
    return max(int(stack.data.unit.shape[0]), 1) * int(n_classes) * 4


def _batch(floats: int) -> int:
    return int(np.clip(_FLOATS_AT_ONCE // max(floats, 1), 1, 256))
