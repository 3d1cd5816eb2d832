"""One fit, from arranged data to evaluated draws: modes, NUTS from the best one, variables, prior draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayespref.choice import ChoiceData
from bayespref.fit.density import Density, Model, make_density
from bayespref.fit.em import Modes, find_modes
from bayespref.fit.evaluate import Evaluated, evaluate_draws, mean_expected_counts, prior_draws
from bayespref.fit.nuts import Draws, sample_nuts

PRIOR_DRAWS = 1000
_COUNT_DRAWS = 200


class Fitted(NamedTuple):
    """Everything a fit produced, type labels as sampled.

    Attributes
    ----------
    density : Density
        The model's densities.
    modes : Modes
        Posterior modes, best first.
    draws : Draws
        Unconstrained draws and sampler statistics.
    evaluated : Evaluated
        Model variables, log-likelihoods and type overlaps of every draw.
    at_mode : dict of arrays
        Model variables at the best mode.
    prior : dict of arrays, leading axis (draw,)
        Model variables drawn from the prior.
    """

    density: Density
    modes: Modes
    draws: Draws
    evaluated: Evaluated
    at_mode: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]


def fit_model(
    model: Model,
    data: ChoiceData,
    outcome: Int[Array, " record"],
    options: dict[str, Any],
    *,
    rng_key: Array,
    chains: int,
    warmup: int,
    draws: int,
    n_starts: int,
    checkpoint: Path | None,
    progress: bool,
) -> Fitted:
    """Fit a model to arranged data; call it in 64-bit mode.

    Parameters
    ----------
    model : callable
        NumPyro model built from the pieces in ``bayespref.choice``.
    data, outcome : ChoiceData, int array
        From :func:`bayespref.choice.choice_data`.
    options : dict
        Keyword arguments of the model.
    rng_key : jax key
        Seed.
    chains, warmup, draws, n_starts : int
        Sizes.
    checkpoint : pathlib.Path or None
        Folder to keep the chains in, so that an interrupted run resumes.
    progress : bool
        Show progress bars.

    Returns
    -------
    Fitted
    """
    mode_key, chain_key, prior_key = jax.random.split(rng_key, 3)
    density = make_density(model, data, options)
    modes = find_modes(density, data, outcome, rng_key=mode_key, n_starts=n_starts, progress=progress)
    best = modes.flat[0]
    sampled = sample_nuts(
        density.log_joint,
        best,
        modes.precision,
        (data, outcome),
        rng_key=chain_key,
        chains=chains,
        warmup=warmup,
        draws=draws,
        checkpoint=checkpoint,
        progress=progress,
    )
    evaluated = evaluate_draws(density, sampled.flat, data, outcome, best)
    at_mode = jax.device_get(jax.jit(density.variables)(jnp.asarray(best), data))
    prior = prior_draws(model, data, options, rng_key=prior_key, draws=PRIOR_DRAWS)
    return Fitted(density, modes, sampled, evaluated, at_mode, prior)


def expected_counts_by_type(
    fitted: Fitted, order: Int[np.ndarray, "chain draw type"], data: ChoiceData, outcome: Int[Array, " record"]
) -> Float[np.ndarray, "type question outcome"]:
    """Posterior mean of the answers each aligned type gave, over an even subset of draws.

    Parameters
    ----------
    fitted : Fitted
        From :func:`fit_model`.
    order : int array, shape (chain, draw, type)
        ``order[..., k]``: the draw's own label of aligned type k.
    data, outcome : ChoiceData, int array
        Records.

    Returns
    -------
    float array, shape (type, question, outcome)
    """
    flat = fitted.draws.flat.reshape(-1, fitted.draws.flat.shape[-1])
    thin = np.unique(np.linspace(0, len(flat) - 1, _COUNT_DRAWS).astype(int))
    return mean_expected_counts(fitted.density, flat[thin], order.reshape(len(flat), -1)[thin], data, outcome)
