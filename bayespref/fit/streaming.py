"""EM over a table that is read a batch of units at a time: an M-step needs only counts, and counts add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from bayespref.choice import ChoiceData
from bayespref.fit.density import Density, expected_counts, responsibilities, summed_log_likelihood
from bayespref.fit.em import ascend, expected_log_joint

_MOST_STEPS = 100
_SETTLED = 1e-4


def climb_batches(
    density: Density,
    flat: Float[np.ndarray, " p"],
    batches: Iterable[tuple[ChoiceData, Any]],
    design: ChoiceData,
    *,
    max_steps: int = _MOST_STEPS,
    tolerance: float = _SETTLED,
    progress: bool = True,
) -> Float[np.ndarray, " p"]:
    """Climb from a point to the posterior mode of all units by EM, a batch at a time.

    Each pass sums, over the batches, the log-likelihood and the answers and units expected of every class; one
    safeguarded Newton step on the expected log-posterior follows. The log-posterior never falls, and the steps are
    those of EM on the whole table.

    Parameters
    ----------
    density : Density
        The model's densities.
    flat : float array, shape (p,)
        Where to start.
    batches : iterable of (ChoiceData, int array)
        From :func:`bayespref.fit.minibatch.unit_batches`; gone through once a step.
    design : ChoiceData
        Questions and groups of the table (its records are not used).
    max_steps : int
        Most steps.
    tolerance : float
        EM stops when a step gains less, nats.
    progress : bool
        Show a progress bar.

    Returns
    -------
    float array, shape (p,)
    """
    n_outcomes = len(design.outcomes)

    @jax.jit
    def expect(flat: Array, data: ChoiceData, outcome: Array) -> tuple[Array, Array, Array]:
        joint = density.unit_log_joint(flat, data, outcome)
        counts, groups = expected_counts(responsibilities(joint), data, outcome, n_outcomes)
        return summed_log_likelihood(joint, data), counts, groups

    objective = expected_log_joint(density)

    @jax.jit
    def maximise(flat: Array, counts: Array, groups: Array, design: ChoiceData) -> Array:
        return ascend(objective, flat, counts, groups, design).flat

    log_prior = jax.jit(density.log_prior)
    design = design.without_records()
    best, highest = jnp.asarray(flat), -np.inf
    reached = best
    for _ in tqdm(range(max_steps + 1), desc="mode (EM over batches)", disable=not progress, leave=False):
        passes = [expect(reached, *batch) for batch in batches]
        log_likelihood, counts, groups = jax.tree.map(lambda *parts: sum(parts), *passes)
        value = float(log_likelihood + log_prior(reached, design))
        gain, highest = value - highest, max(value, highest)
        if gain >= 0:
            best = reached
        if gain < tolerance:
            break
        reached = maximise(best, counts, groups, design)
    return np.asarray(best)
