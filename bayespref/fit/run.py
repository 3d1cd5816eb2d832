"""One fit, from arranged data to evaluated draws: modes, draws by the method asked for, variables, prior draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayespref.choice import ChoiceData
from bayespref.errors import ModelError
from bayespref.fit.chains import Draws
from bayespref.fit.density import Density, Model, make_density
from bayespref.fit.em import Modes, find_modes
from bayespref.fit.evaluate import Evaluated, draws_at_once, evaluate_draws, mean_expected_counts, prior_draws
from bayespref.fit.gibbs import sample_gibbs
from bayespref.fit.importance import sample_laplace
from bayespref.fit.nuts import sample_nuts
from bayespref.fit.sharding import shard_records
from bayespref.fit.structure import find_blocks
from bayespref.fit.svi import fit_svi

METHODS = {
    "nuts": "EM from several starts, then NUTS whitened by the Hessian at the best mode",
    "gibbs": "EM from several starts, then blocked Gibbs from the best mode",
    "laplace": "EM from several starts, then importance resampling from a Gaussian at the best mode (Laplace, PSIS)",
    "svi": "variational inference on batches of annotators, normal with independent whitened components",
}
"""Methods by name, in words. Draws of the first two converge to the posterior; the others approximate it."""
EXACT = ("nuts", "gibbs")
PRIOR_DRAWS = 1000
MOST_ITEMS = 100
"""Items up to which blocked Gibbs is the default for several types."""
_COUNT_DRAWS = 200
_LEAST_COUNT_DRAWS = 20
_COUNT_RECORDS = 4.0e8


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
    method : str
        One of ``METHODS``.
    pareto_k, importance_size : float
        Of a Laplace approximation: see :class:`bayespref.fit.importance.Weighted`. NaN for other methods.
    elbo : float array, shape (step,)
        Of variational inference: evidence lower bound of each step, nats. Empty for other methods.
    """

    density: Density
    modes: Modes
    draws: Draws
    evaluated: Evaluated
    at_mode: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]
    method: str
    pareto_k: float
    importance_size: float
    elbo: Float[np.ndarray, " step"]


def choose_method(density: Density, data: ChoiceData) -> str:
    """Exact method for a model: blocked Gibbs for several types of up to 100 items where it applies, else NUTS.

    A single type has nothing latent to gain from, and the cost of a sweep grows with the cube of the number of items.
    """
    try:
        blocks = find_blocks(density, data)
    except ModelError:
        return "nuts"
    return "gibbs" if blocks.n_types > 1 and data.n_items <= MOST_ITEMS else "nuts"


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
    method: str | None = None,
    chain_method: str = "sequential",
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
    method : {"nuts", "gibbs", "laplace", "svi"} or None
        What draws; None takes :func:`choose_method`'s.
    chain_method : {"sequential", "devices", "sharded"}
        See :func:`bayespref.fit.chains.run_chains`; ``sharded`` spreads the records of every step of the fit over all
        of JAX's devices (:func:`bayespref.fit.sharding.shard_records`).

    Returns
    -------
    Fitted

    Raises
    ------
    ModelError
        If Gibbs is asked for and does not cover the model.
    """
    mode_key, chain_key, prior_key = jax.random.split(rng_key, 3)
    density = make_density(model, data, options)
    if chain_method == "sharded":
        data, outcome = shard_records(data, outcome)
    method = choose_method(density, data) if method is None else method
    blocks = find_blocks(density, data) if method == "gibbs" else None
    pareto_k = importance_size = float("nan")
    elbo = np.zeros(0)
    chain_sizes: dict[str, Any] = {"rng_key": chain_key, "chains": chains, "draws": draws}
    kept: dict[str, Any] = {"checkpoint": checkpoint, "progress": progress}
    if method == "svi":
        guide = fit_svi(density, data, outcome, rng_key=mode_key, n_starts=n_starts, **kept)
        modes = _as_modes(density, guide.mean, data, outcome)
        sampled = Draws(guide.sample(chain_key, (chains, draws)), {})
        elbo = guide.elbo
    else:
        modes = find_modes(density, data, outcome, rng_key=mode_key, n_starts=n_starts, progress=progress)
        start = (modes.flat[0], modes.precision)
        more: dict[str, Any] = {**chain_sizes, **kept, "warmup": warmup, "chain_method": chain_method}
        if method == "laplace":
            batch = draws_at_once(data, int(options.get("n_types", 1)))
            weighted = sample_laplace(
                density.log_joint,
                *start,
                (data, outcome),
                batch=batch,
                **chain_sizes,
            )
            sampled, pareto_k, importance_size = weighted
        elif blocks is not None:
            sampled = sample_gibbs(density, blocks, *start, data, outcome, **more)
        else:
            sampled = sample_nuts(density.log_joint, *start, (data, outcome), **more)
    best = modes.flat[0]
    evaluated = evaluate_draws(density, sampled.flat, data, outcome, best)
    at_mode = jax.device_get(jax.jit(density.variables)(jnp.asarray(best), data))
    prior = prior_draws(model, data, options, rng_key=prior_key, draws=PRIOR_DRAWS)
    return Fitted(density, modes, sampled, evaluated, at_mode, prior, method, pareto_k, importance_size, elbo)


def _as_modes(density: Density, flat: np.ndarray, data: ChoiceData, outcome: Int[Array, " record"]) -> Modes:
    """The centre of an approximation in place of a mode; its distance to other modes is unknown."""
    log_joint = float(jax.jit(density.log_joint)(jnp.asarray(flat), data, outcome))
    log_prior = float(jax.jit(density.log_prior)(jnp.asarray(flat), data))
    unknown = float("nan")
    return Modes(
        flat=flat[None],
        log_joint=np.array([log_joint]),
        log_likelihood=np.array([log_joint - log_prior]),
        found=np.array([1]),
        precision=np.full((0, 0), unknown),
        gradient_norm=unknown,
        gap=unknown,
    )


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
    some = int(np.clip(_COUNT_RECORDS // max(data.unit.shape[0], 1), _LEAST_COUNT_DRAWS, _COUNT_DRAWS))
    thin = np.unique(np.linspace(0, len(flat) - 1, some).astype(int))
    return mean_expected_counts(fitted.density, flat[thin], order.reshape(len(flat), -1)[thin], data, outcome)
