"""Blocked Gibbs for types with independent cells: memberships given rewards, then every block given the memberships.

A sweep leaves the joint posterior of parameters and types invariant:

1. the type of every annotator, exactly, from one pass over the records;
2. type weights and prompt probabilities, exactly (Dirichlet given counts);
3. the rewards of every (state, type), all cells at once, by :func:`laplace_move` on aggregated counts;
4. what is left (ties, position, mixes by context) as one block, by :func:`laplace_move`.

Only step 1 touches records; steps 2 to 4 cost as many evaluations of the table as they take Newton steps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayespref.choice import ChoiceData, zero_sum_basis
from bayespref.fit.chains import Draws, run_chains
from bayespref.fit.checkpoint import fingerprint
from bayespref.fit.density import Density, expected_counts, summed_log_likelihood
from bayespref.fit.nuts import whitening
from bayespref.fit.structure import Blocks

_NEWTON_STEPS = 2
_SWEEPS_A_DRAW = 2
_LOCAL_SHARE = 0.05
_LEAST_CURVATURE = 1e-6


class Chance(NamedTuple):
    """Random numbers of one move, drawn beforehand.

    Attributes
    ----------
    normal : float array, shape (*block, d)
        Standard normal.
    local, decision : float array, shape (*block,)
        Uniform.
    """

    normal: Float[Array, "*block d"]
    local: Float[Array, " *block"]
    decision: Float[Array, " *block"]


def laplace_move(
    chance: Chance,
    current: Float[Array, "*block d"],
    mean: Float[Array, "*block d"],
    factor: Float[Array, "*block d d"],
    log_target: Callable[[Array], Array],
) -> tuple[Float[Array, "*block d"], Bool[Array, " *block"]]:
    """One Metropolis move of independent blocks with a Gaussian proposal that does not depend on their state.

    The proposal is N(mean, (factor factor')^-1), so the ratio of proposal densities is a ratio of Gaussian densities.
    One move in twenty is a symmetric random walk instead, which keeps a chain from sitting in a tail that is lighter
    in the Gaussian than in the target. A ratio that is not a number is refused.

    Parameters
    ----------
    chance : Chance
        Random numbers.
    current : float array, shape (*block, d)
        State of each block.
    mean, factor : float arrays, shapes (*block, d), (*block, d, d)
        Mean, and lower Cholesky factor of the precision; functions of what the blocks are conditioned on alone.
    log_target : callable
        (*block, d) -> (*block,): conditional log-density of each block, nats.

    Returns
    -------
    state : float array, shape (*block, d)
        After the move.
    moved : bool array, shape (*block,)
    """
    step = jax.scipy.linalg.solve_triangular(factor, chance.normal[..., None], trans=1, lower=True)[..., 0]
    local = chance.local < _LOCAL_SHARE
    size = 1.0 / np.sqrt(max(current.shape[-1], 1))
    proposed = jnp.where(local[..., None], current + size * step, mean + step)

    def energy(x: Array) -> Array:
        return 0.5 * jnp.sum(jnp.einsum("...ji,...j->...i", factor, x - mean) ** 2, axis=-1)

    correction = jnp.where(local, 0.0, energy(proposed) - energy(current))
    after, before = jax.vmap(log_target)(jnp.stack([proposed, current]))
    log_ratio = after - before + correction
    moved = jnp.log1p(-chance.decision) < log_ratio
    return jnp.where(moved[..., None], proposed, current), moved


def sample_gibbs(
    density: Density,
    blocks: Blocks,
    mode: Float[np.ndarray, " p"],
    precision: Float[np.ndarray, "p p"],
    data: ChoiceData,
    outcome: Int[Array, " record"],
    *,
    rng_key: Array,
    chains: int = 4,
    warmup: int = 200,
    draws: int = 1000,
    block: int = 100,
    checkpoint: Path | None = None,
    progress: bool = True,
    chain_method: str = "sequential",
) -> Draws:
    """Draw from the posterior by blocked Gibbs, started around a mode.

    Parameters
    ----------
    density : Density
        The model's densities.
    blocks : Blocks
        From :func:`bayespref.fit.structure.find_blocks`.
    mode, precision : arrays, shapes (p,), (p, p)
        Start, and where Newton steps begin: the best mode and the negative Hessian there.
    data, outcome : ChoiceData, int array
        Records.
    rng_key : jax key
        Seeds starts and draws.
    chains, warmup, draws : int
        Sizes; a draw is kept after every second sweep. Nothing is adapted; warm-up is burn-in.
    block, checkpoint, progress, chain_method
        As in :func:`bayespref.fit.nuts.sample_nuts`.

    Returns
    -------
    Draws
        With ``lp`` and ``acceptance_rate`` (mean over blocks) of each draw.

    Raises
    ------
    FitFileError
        If the checkpoints belong to another run, or cannot be read or written.
    """
    centre = jnp.asarray(mode)
    factor = jnp.asarray(whitening(precision))
    sweep = make_sweep(density, blocks, data)
    known = None
    if blocks.n_types == 1:
        known = expected_counts(jnp.ones((data.n_units, 1)), data, outcome, len(data.outcomes))
    passed = (centre, data, outcome, known)

    @jax.jit
    def advance(state: tuple[Array, Array], passed: Any) -> tuple[tuple[Array, Array], Any]:
        def once(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
            flat, key = state
            key, sweep_key = jax.random.split(key)
            new, log_joint, moved = sweep(flat, sweep_key, *passed)
            return (new, key), (log_joint, moved)

        def step(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Any]:
            end, (log_joint, moved) = jax.lax.scan(once, state, None, length=_SWEEPS_A_DRAW)
            return end, (state[0], {"lp": log_joint[0], "acceptance_rate": moved.mean()})

        return jax.lax.scan(step, state, None, length=block)

    def start(key: Array) -> tuple[Array, Array]:
        start_key, chain_key = jax.random.split(key)
        return centre + factor @ jax.random.normal(start_key, centre.shape), chain_key

    sizes = (chains, warmup, draws, block)
    flat, stats = run_chains(
        advance,
        start,
        passed,
        rng_key=rng_key,
        chains=chains,
        warmup=warmup,
        draws=draws,
        block=block,
        checkpoint=checkpoint,
        mark="" if checkpoint is None else fingerprint("gibbs", passed, factor, rng_key, *sizes),
        label="posterior (Gibbs)",
        progress=progress,
        chain_method=chain_method,
    )
    return Draws(flat, stats)


def make_sweep(density: Density, blocks: Blocks, data: ChoiceData) -> Callable[..., tuple[Array, Array, Array]]:
    """Return ``sweep(flat, key, mode, data, outcome, known) -> (flat, log_joint, acceptance)``.

    ``log_joint`` is the marginal log-density (types summed out) of the point the sweep started from, a by-product of
    step 1. ``known`` holds the counts where there is a single type, else None.
    """
    n_outcomes = len(data.outcomes)
    repeated = bool(np.any(np.asarray(data.multiplicity) != 1.0))
    n_cells = blocks.reward.shape[0] * blocks.reward.shape[1]

    def sweep(
        flat: Array, key: Array, mode: Array, data: ChoiceData, outcome: Array, known: Any
    ) -> tuple[Array, Array, Array]:
        n_kinds = 0 if known is not None or repeated else data.n_units
        normal_key, uniform_key, mix_key, kind_key = jax.random.split(key, 4)
        normal = jax.random.normal(normal_key, (blocks.reward.size + blocks.rest.size,))
        uniform = jax.random.uniform(uniform_key, (n_kinds + 2 * n_cells + 2,))
        for_cells = Chance(
            normal[: blocks.reward.size].reshape(blocks.reward.shape),
            *uniform[n_kinds : n_kinds + 2 * n_cells].reshape(2, *blocks.reward.shape[:2]),
        )
        for_rest = Chance(normal[blocks.reward.size :], uniform[-2], uniform[-1])
        if known is None:
            joint = density.unit_log_joint(flat, data, outcome)
            probability = jax.nn.softmax(joint, axis=1)
            if repeated:
                drawn = jax.random.multinomial(kind_key, data.multiplicity, probability)
                resp = drawn / data.multiplicity[:, None]
                counts, groups = expected_counts(resp, data, outcome, n_outcomes)
            else:
                counts, groups = _count(probability, uniform[:n_kinds, None], data, outcome, n_outcomes)
            log_likelihood = summed_log_likelihood(joint, data)
        else:
            counts, groups = known
            table, weights = density.tables(flat, data)
            log_likelihood = jnp.vdot(counts, table) + jnp.vdot(groups, weights)
        log_joint = log_likelihood + density.log_prior(flat, data)
        flat = _mixes(mix_key, flat, blocks, counts, groups, data)
        flat, cells = _cells(for_cells, flat, mode, density, blocks, counts, data)
        moved = cells.reshape(-1)
        if blocks.rest.size:
            flat, rest = _rest(for_rest, flat, mode, density, blocks, counts, groups, data)
            moved = jnp.append(moved, rest)
        return flat, log_joint, jnp.mean(moved.astype(float))

    return sweep


def _count(
    probability: Array, uniform: Array, data: ChoiceData, outcome: Array, n_outcomes: int
) -> tuple[Array, Array]:
    """Draw every unit's type; answers by (type, question, outcome) and units by (group, type)."""
    n_types = probability.shape[1]
    kind = jnp.sum(jnp.cumsum(probability, axis=1)[:, :-1] < uniform, axis=1, dtype=jnp.int32)
    n_columns = data.n_questions * n_outcomes
    column = (kind * n_columns)[data.unit] + data.question * n_outcomes + outcome
    counts = jnp.zeros(n_types * n_columns).at[column].add(data.count)
    groups = jnp.zeros((data.n_groups, n_types)).at[data.group, kind].add(1.0)
    return counts.reshape(n_types, data.n_questions, n_outcomes), groups


def _mixes(key: Array, flat: Array, blocks: Blocks, counts: Array, groups: Array, data: ChoiceData) -> Array:
    """Type weights and prompt probabilities given counts: Dirichlet, in zero-sum coordinates of log-probabilities."""
    alpha = []
    if blocks.weight.size:
        alpha.append(blocks.weight_concentration + groups.sum(0))
    if blocks.prompt.size:
        asked = jax.ops.segment_sum(counts.sum(2).T, data.state, num_segments=data.n_states).T
        alpha.append((blocks.prompt_concentration + asked).ravel())
    if not alpha:
        return flat
    log_gamma = jax.random.loggamma(key, jnp.concatenate(alpha))  # one call: its loops are slow to compile
    if blocks.weight.size:
        mix, log_gamma = jnp.split(log_gamma, [blocks.n_types])
        flat = flat.at[blocks.weight].set(mix @ jnp.asarray(zero_sum_basis(blocks.n_types)))
    if blocks.prompt.size:
        prompts = log_gamma.reshape(blocks.n_types, data.n_states)
        flat = flat.at[blocks.prompt].set(prompts @ jnp.asarray(zero_sum_basis(data.n_states)))
    return flat


def _cells(
    chance: Chance, flat: Array, mode: Array, density: Density, blocks: Blocks, counts: Array, data: ChoiceData
) -> tuple[Array, Array]:
    """One Metropolis move of every cell's rewards given its counts; which cells moved, shape (type, state)."""
    n_items = data.n_items
    basis = jnp.asarray(zero_sum_basis(n_items))
    asked = counts.sum(2)
    ramp = jnp.arange(n_items) - 0.5 * (n_items - 1)
    direction = jnp.zeros_like(flat).at[blocks.reward].set(ramp @ basis)
    gap = (data.item_a - data.item_b).astype(flat.dtype)
    pair = (data.state * n_items + data.item_a) * n_items + data.item_b
    cells = (data.n_states, n_items, n_items, blocks.n_types)

    def table(x: Array) -> Array:
        return density.tables(x, data)[0]

    def curvature(z: Array) -> tuple[Array, Array]:
        """Gradient and Cholesky factor of the (Fisher) precision of every cell at coordinates z."""
        values, slopes = jax.jvp(table, (flat.at[blocks.reward].set(z),), (direction,))
        slope = slopes / gap[:, None]  # the table depends on rewards through differences: d table / d difference
        push = jnp.sum(counts * slope, axis=2)
        weight = asked * jnp.sum(jax.nn.softmax(values, axis=2) * slope**2, axis=2)
        both = jnp.zeros((data.n_states * n_items**2, 2 * blocks.n_types))
        both = both.at[pair].add(jnp.concatenate([push, weight]).T)
        push_ab, weight_ab = jnp.split(both.reshape(*cells[:3], -1), 2, axis=3)
        pushed = push_ab.sum(2) - push_ab.sum(1)
        joined = weight_ab + jnp.swapaxes(weight_ab, 1, 2)
        laplacian = jnp.eye(n_items)[:, :, None] * joined.sum(2)[:, :, None, :] - joined
        precision = jnp.einsum("ai,sabk,bj->ksij", basis, laplacian, basis)
        precision = precision + blocks.reward_precision * jnp.eye(n_items - 1)
        gradient = jnp.einsum("ai,sak->ksi", basis, pushed) - blocks.reward_precision * z
        return gradient, jnp.linalg.cholesky(precision)

    def newton(_: int, reached: tuple[Array, Array]) -> tuple[Array, Array]:
        gradient, factor = curvature(reached[0])
        return reached[0] + jax.scipy.linalg.cho_solve((factor, True), gradient[..., None])[..., 0], factor

    begin = mode[blocks.reward]
    empty = jnp.zeros((*begin.shape, n_items - 1))
    mean, factor = jax.lax.fori_loop(0, _NEWTON_STEPS, newton, (begin, empty))

    def log_target(z: Array) -> Array:
        by_question = jnp.sum(counts * table(flat.at[blocks.reward].set(z)), axis=2).T
        by_state = jax.ops.segment_sum(by_question, data.state, num_segments=data.n_states).T
        return jnp.asarray(by_state - 0.5 * blocks.reward_precision * jnp.sum(z**2, axis=-1))

    state, moved = laplace_move(chance, flat[blocks.reward], mean, factor, log_target)
    return flat.at[blocks.reward].set(state), moved


def _rest(
    chance: Chance,
    flat: Array,
    mode: Array,
    density: Density,
    blocks: Blocks,
    counts: Array,
    groups: Array,
    data: ChoiceData,
) -> tuple[Array, Array]:
    """One Metropolis move of the parameters all cells share, given counts and rewards; whether it was taken."""

    def log_target(x: Array) -> Array:
        whole = flat.at[blocks.rest].set(x)
        table, weights = density.tables(whole, data)
        return jnp.vdot(counts, table) + jnp.vdot(groups, weights) + density.log_prior(whole, data)

    def newton(_: int, reached: tuple[Array, Array]) -> tuple[Array, Array]:
        at = reached[0]
        hessian, gradient = jax.jacfwd(lambda x: (jax.grad(log_target)(x),) * 2, has_aux=True)(at)
        values, vectors = jnp.linalg.eigh(-hessian)
        values = jnp.maximum(jnp.abs(values), _LEAST_CURVATURE)  # any precision is valid, a wrong one moves less often
        precision = (vectors * values) @ vectors.T
        return at + vectors @ ((vectors.T @ gradient) / values), jnp.linalg.cholesky(precision)

    begin = mode[blocks.rest]
    empty = jnp.zeros((begin.size, begin.size))
    mean, factor = jax.lax.fori_loop(0, _NEWTON_STEPS, newton, (begin, empty))
    state, moved = laplace_move(chance, flat[blocks.rest], mean, factor, log_target)
    return flat.at[blocks.rest].set(state), moved
