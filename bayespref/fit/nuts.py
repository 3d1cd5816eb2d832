"""NUTS in coordinates whitened by the Hessian at the mode: a short warm-up adapts the step size alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.infer.hmc import hmc

from bayespref.fit.chains import Draws, run_chains
from bayespref.fit.checkpoint import fingerprint

_LEAST_CURVATURE = 1e-8
_STATS = ("diverging", "energy", "num_steps", "accept_prob", "potential_energy")


def whitening(precision: Float[np.ndarray, "p p"]) -> Float[np.ndarray, "p p"]:
    """Matrix L with L L' = inverse precision; directions of no or wrong curvature get unit precision.

    Parameters
    ----------
    precision : float array, shape (p, p)
        Negative Hessian of the log-density at the mode.

    Returns
    -------
    float array, shape (p, p)

    Examples
    --------
    >>> import numpy as np
    >>> whitening(np.diag([4.0, 1.0])).round(3).tolist()
    [[0.0, 0.5], [1.0, 0.0]]
    """
    values, vectors = np.linalg.eigh(precision)
    safe = np.where(values > _LEAST_CURVATURE, values, 1.0)
    return np.asarray(vectors / np.sqrt(safe))


def sample_nuts(
    log_joint: Callable[..., Array],
    mode: Float[np.ndarray, " p"],
    precision: Float[np.ndarray, "p p"],
    arguments: tuple[Any, ...],
    *,
    rng_key: Array,
    chains: int = 4,
    warmup: int = 150,
    draws: int = 500,
    target_accept: float = 0.8,
    block: int = 50,
    checkpoint: Path | None = None,
    progress: bool = True,
    chain_method: str = "sequential",
) -> Draws:
    """Draw from the posterior with NUTS whitened at a mode.

    Parameters
    ----------
    log_joint : callable
        ``log_joint(flat, *arguments)``, nats.
    mode, precision : arrays, shape (p,), (p, p)
        Start and metric: the best posterior mode and the negative Hessian there.
    arguments : tuple
        Data passed to ``log_joint`` (not baked into the compiled program).
    rng_key : jax key
        Seeds starts and draws.
    chains, warmup, draws : int
        Sizes; warm-up adapts the step size.
    target_accept : float
        Acceptance rate aimed at.
    block : int
        Draws per compiled call, the unit of progress.
    checkpoint : pathlib.Path, optional
        Folder that keeps every chain's state and draws, rewritten after each block. A run that finds its own
        checkpoints goes on from them and returns the draws it would have returned uninterrupted.
    progress : bool
        Show a progress bar.
    chain_method : {"sequential", "devices"}
        See :func:`bayespref.fit.chains.run_chains`.

    Returns
    -------
    Draws
        With ``diverging``, ``energy``, ``n_steps``, ``acceptance_rate``, ``lp`` and ``step_size`` of each draw.

    Raises
    ------
    FitFileError
        If the checkpoints belong to another run, or cannot be read or written.

    Notes
    -----
    Each chain starts from a draw of the Gaussian approximation at the mode. That keeps labels of types together; it
    also means that R-hat cannot see a mode nobody started in, which is why the modes are reported beside it.
    """
    factor = jnp.asarray(whitening(precision))
    centre = jnp.asarray(mode)

    def potential_of(centre: Array, factor: Array, *arguments: Any) -> Callable[[Array], Array]:
        return lambda z: -log_joint(centre + factor @ z, *arguments)

    init_kernel, kernel = hmc(potential_fn_gen=potential_of, algo="NUTS")
    passed = (centre, factor, *arguments)

    @jax.jit
    def advance(state: Any, passed: tuple[Any, ...]) -> tuple[Any, tuple[Array, dict[str, Array]]]:
        def step(state: Any, _: None) -> tuple[Any, tuple[Array, dict[str, Array]]]:
            state = kernel(state, passed, {})
            stats = {name: getattr(state, name) for name in _STATS}
            return state, (state.z, stats | {"step_size": state.adapt_state.step_size})

        return jax.lax.scan(step, state, None, length=block)

    def start(key: Array) -> Any:
        start_key, chain_key = jax.random.split(key)
        return init_kernel(
            jax.random.normal(start_key, mode.shape),
            warmup,
            step_size=0.5,
            adapt_mass_matrix=False,
            inverse_mass_matrix=jnp.ones(mode.shape[0]),
            dense_mass=False,
            target_accept_prob=target_accept,
            model_args=passed,
            rng_key=chain_key,
        )

    z, seen = run_chains(
        advance,
        start,
        passed,
        rng_key=rng_key,
        chains=chains,
        warmup=warmup,
        draws=draws,
        block=block,
        checkpoint=checkpoint,
        mark="" if checkpoint is None else fingerprint(passed, rng_key, chains, warmup, draws, target_accept, block),
        label="posterior (NUTS)",
        progress=progress,
        chain_method=chain_method,
    )
    renamed = {"num_steps": "n_steps", "accept_prob": "acceptance_rate", "potential_energy": "lp"}
    stats = {renamed.get(name, name): values for name, values in seen.items()}
    stats["lp"] = -stats["lp"]
    return Draws(np.asarray(mode) + z @ np.asarray(factor).T, stats)
