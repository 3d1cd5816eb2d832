"""Minibatch variational inference: a normal approximation for tables that exact methods cannot carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpyro.optim import Adam
from tqdm.auto import tqdm

from bayespref.choice import ChoiceData
from bayespref.fit.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from bayespref.fit.density import Density, hessian
from bayespref.fit.em import find_modes
from bayespref.fit.minibatch import unit_batches
from bayespref.fit.nuts import whitening
from bayespref.fit.streaming import climb_batches

_UNITS_A_BATCH = 512
_UNITS_TO_START = 2000
_MOST_WHITENED = 1500
_RATE = 0.02
_STEPS_A_BLOCK = 100
_AVERAGED = 0.5


class Variational(NamedTuple):
    """A normal approximation ``centre + factor (loc + scale e)``, e ~ N(0, I).

    Attributes
    ----------
    centre, loc, scale : float arrays, shape (p,)
        Where the coordinates are centred; mean and standard deviation in them.
    factor : float array, shape (p, p), or None
        Coordinates; None where they are the raw ones.
    elbo : float array, shape (step,)
        Noisy evidence lower bound of each step, nats.
    """

    centre: Float[np.ndarray, " p"]
    loc: Float[np.ndarray, " p"]
    scale: Float[np.ndarray, " p"]
    factor: Float[np.ndarray, "p p"] | None
    elbo: Float[np.ndarray, " step"]

    def sample(self, rng_key: Array, shape: tuple[int, ...]) -> Float[np.ndarray, "*shape p"]:
        """Draw unconstrained coordinates from the approximation."""
        white = self.loc + self.scale * np.asarray(jax.random.normal(rng_key, (*shape, self.loc.size)))
        return np.asarray(self.centre + (white if self.factor is None else white @ self.factor.T))

    @property
    def mean(self) -> Float[np.ndarray, " p"]:
        """Mean in unconstrained coordinates."""
        return np.asarray(self.centre + (self.loc if self.factor is None else self.factor @ self.loc))


def fit_svi(
    density: Density,
    data: ChoiceData,
    outcome: Int[Array, " record"],
    *,
    rng_key: Array,
    steps: int = 2000,
    n_starts: int = 5,
    units_a_batch: int = _UNITS_A_BATCH,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> Variational:
    """Fit a normal distribution with independent components to the posterior, a batch of units at a time.

    Starts climb to modes of a random 2000 units; from the best, EM over the batches reaches the mode of all of them
    (:func:`bayespref.fit.streaming.climb_batches`), where the steps begin. Components are independent in coordinates
    whitened by the Hessian at the mode of those 2000, its likelihood part scaled to the whole table. With more than
    1500 parameters the steps begin near zero, in the raw coordinates. One batch at a time is on the device.

    Parameters
    ----------
    density : Density
        The model's densities.
    data, outcome : ChoiceData, int array
        Records.
    rng_key : jax key
        Seeds batches, starts and steps.
    steps : int
        Steps of Adam; the mean of the iterates of the second half is kept.
    n_starts : int
        EM starts on the subset.
    units_a_batch : int
        Units in a batch.
    checkpoint : pathlib.Path, optional
        Folder that keeps the state, rewritten after every hundred steps; the same call goes on from it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Variational

    Raises
    ------
    FitFileError
        If the checkpoint belongs to another run, or cannot be read or written.

    Notes
    -----
    Of several posterior modes it describes the one it started in, and it tends to understate spread.
    """
    deal_key, start_key, step_key = jax.random.split(rng_key, 3)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(deal_key)).ravel())
    n_batches = max(-(-data.n_units // units_a_batch), 1)
    batches = unit_batches(data, np.asarray(outcome), n_batches=n_batches, rng=rng)
    centre, factor = _coordinates(density, data, outcome, batches, rng, start_key, n_starts, progress)
    place = jnp.asarray(centre), None if factor is None else jnp.asarray(factor)
    optimiser = Adam(step_size=lambda i: _RATE * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(i / steps, 1.0))))

    def negative_elbo(guide: tuple[Array, Array], noise: Array, place: Any, data: ChoiceData, outcome: Array) -> Array:
        loc, log_scale = guide

        def log_joint(e: Array) -> Array:
            white = loc + jnp.exp(log_scale) * e
            flat = place[0] + (white if place[1] is None else place[1] @ white)
            prior = density.log_prior(flat, data)
            return jnp.asarray(prior + n_batches * (density.log_joint(flat, data, outcome) - prior))

        both = 0.5 * (log_joint(noise) + log_joint(-noise))  # antithetic: the mean's gradient has less noise
        entropy = log_scale.sum() + 0.5 * loc.size * (1.0 + jnp.log(2.0 * jnp.pi))
        return jnp.asarray(-(both + entropy))

    @jax.jit
    def step(state: Any, key: Array, averaging: Array, place: Any, data: ChoiceData, outcome: Array) -> Any:
        adam, average, weight = state
        guide = optimiser.get_params(adam)
        loss, gradient = jax.value_and_grad(negative_elbo)(
            guide, jax.random.normal(key, guide[0].shape), place, data, outcome
        )
        adam = optimiser.update(gradient, adam)
        weight = weight + averaging
        share = averaging / jnp.maximum(weight, 1.0)
        average = jax.tree.map(lambda old, new: old + share * (new - old), average, optimiser.get_params(adam))
        return (adam, average, weight), -loss

    begin = (jnp.zeros(density.size), jnp.full(density.size, 0.0 if factor is not None else -2.0))
    state: Any = (optimiser.init(begin), begin, jnp.zeros(()))
    order = rng.integers(0, n_batches, steps)
    mark = "" if checkpoint is None else fingerprint("svi", place, data, outcome, rng_key, steps, units_a_batch)
    pieces: list[Any] = []
    done = 0
    if checkpoint is not None:
        found = read_checkpoint(checkpoint, state, np.zeros(1), chain=0, mark=mark)
        if found is not None:
            state, drawn, done = found
            pieces = [drawn]
    with tqdm(total=steps, initial=done, desc="posterior (SVI)", disable=not progress, leave=False) as bar:
        while done < steps:
            stop = min(done + _STEPS_A_BLOCK, steps)
            bounds = []
            for i in range(done, stop):
                averaging = jnp.asarray(1.0 if i >= _AVERAGED * steps else 0.0)
                state, bound = step(state, jax.random.fold_in(step_key, i), averaging, place, *batches[order[i]])
                bounds.append(bound)
            pieces.append(np.asarray(jax.device_get(bounds)))
            bar.update(stop - done)
            done = stop
            if checkpoint is not None:
                write_checkpoint(checkpoint, state, pieces, chain=0, blocks=done, mark=mark)
    loc, log_scale = (np.asarray(part) for part in state[1])
    return Variational(centre, loc, np.exp(log_scale), factor, np.concatenate(pieces) if pieces else np.zeros(0))


def _coordinates(
    density: Density,
    data: ChoiceData,
    outcome: Int[Array, " record"],
    batches: list[tuple[ChoiceData, Any]],
    rng: np.random.Generator,
    key: Array,
    n_starts: int,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Mode of all units, climbed to from the best of a subset, and the whitening matrix by the subset's Hessian."""
    if density.size > _MOST_WHITENED:
        return 0.1 * rng.normal(size=density.size), None
    parts = max(-(-data.n_units // _UNITS_TO_START), 1)
    part, column = unit_batches(data, np.asarray(outcome), n_batches=parts, rng=rng, only=1)[0]
    modes = find_modes(density, part, jnp.asarray(column), rng_key=key, n_starts=n_starts, progress=progress)
    best = modes.flat[0]
    prior = -np.asarray(jax.jit(lambda x, d: hessian(density.log_prior, x, d))(jnp.asarray(best), data))
    factor = whitening(prior + parts * (modes.precision - prior))
    if parts > 1:
        best = climb_batches(density, best, batches, data, progress=progress)
    return best, factor
