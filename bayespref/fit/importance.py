"""Laplace approximation at the best mode, corrected and judged by Pareto-smoothed importance sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Array, Float

from bayespref.fit.chains import Draws
from bayespref.fit.density import map_batched
from bayespref.fit.nuts import whitening

PARETO_K_LIMIT = 0.7
_CANDIDATES_A_DRAW = 4
_FEWEST_CANDIDATES = 4000
_NO_WEIGHT = 700.0


class Weighted(NamedTuple):
    """Draws by importance resampling, and how far they can be trusted.

    Attributes
    ----------
    draws : Draws
        Resampled draws; a candidate of large weight appears several times.
    pareto_k : float
        Shape of the tail of the importance ratios; below 0.7 the correction can be trusted. NaN where undefined.
    effective_size : float
        Effective number of candidates behind the draws, 1 / sum of squared weights.
    """

    draws: Draws
    pareto_k: float
    effective_size: float


def sample_laplace(
    log_joint: Callable[..., Array],
    mode: Float[np.ndarray, " p"],
    precision: Float[np.ndarray, "p p"],
    arguments: tuple[Any, ...],
    *,
    rng_key: Array,
    chains: int = 4,
    draws: int = 1000,
    batch: int = 16,
) -> Weighted:
    """Draw from a Gaussian at a mode, reweighted towards the posterior.

    Parameters
    ----------
    log_joint : callable
        ``log_joint(flat, *arguments)``, nats.
    mode, precision : arrays, shapes (p,), (p, p)
        Best posterior mode and negative Hessian there.
    arguments : tuple
        Data passed to ``log_joint``.
    rng_key : jax key
        Seed.
    chains, draws : int
        Shape of the result; all draws are exchangeable.
    batch : int
        Candidates evaluated at once.

    Returns
    -------
    Weighted

    Notes
    -----
    Call it in 64-bit mode: in 32 bits the largest ratios can tie, and a tail of ties has no shape. Ratios are then used
    as they are, and Pareto k is infinite.

    Importance ratios are smoothed by Vehtari et al. (2024, JMLR 25(72)) and resampled systematically. Other modes than
    the one given, and mass between them, are not represented whatever the ratios say.

    Examples
    --------
    >>> with jax.enable_x64(True):
    ...     key = jax.random.key(0)
    ...     weighted = sample_laplace(lambda x: -jnp.cosh(x).sum(), np.zeros(1), np.eye(1), (), rng_key=key)
    >>> bool(weighted.pareto_k < 0.7), weighted.draws.flat.shape
    (True, (4, 1000, 1))
    """
    size = chains * draws
    n_candidates = max(_CANDIDATES_A_DRAW * size, _FEWEST_CANDIDATES)
    normal_key, pick_key, mix_key = jax.random.split(rng_key, 3)
    normal = jax.random.normal(normal_key, (n_candidates, mode.size))
    candidates = jnp.asarray(mode) + normal @ jnp.asarray(whitening(precision)).T
    evaluate = jax.jit(lambda xs, passed: map_batched(lambda x: log_joint(x, *passed), xs, batch))
    target = np.asarray(evaluate(candidates, arguments))
    ratio = target + 0.5 * np.sum(np.asarray(normal) ** 2, axis=1)
    known = np.isfinite(ratio)
    ratio = np.where(known, ratio, ratio[known].min() - _NO_WEIGHT) - ratio[known].max()
    log_weight, pareto_k = _smoothed(ratio)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    points = (np.arange(size) + float(jax.random.uniform(pick_key))) / size
    picked = np.minimum(np.searchsorted(np.cumsum(weight), points), n_candidates - 1)
    picked = np.asarray(jax.random.permutation(mix_key, jnp.asarray(picked)))
    flat = np.asarray(candidates)[picked].reshape(chains, draws, -1)
    return Weighted(
        Draws(flat, {"lp": target[picked].reshape(chains, draws)}), float(pareto_k), float(1.0 / np.sum(weight**2))
    )


def _smoothed(ratio: Float[np.ndarray, " candidate"]) -> tuple[Float[np.ndarray, " candidate"], float]:
    """Smoothed log-ratios and Pareto k; as they are, with k infinite, where ties leave the tail without a shape."""
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            log_weight, pareto_k = array_stats.psislw(-ratio)  # it takes log-likelihoods: negative log-ratios
    except ValueError:  # all values of the tail are the same
        return ratio, np.inf
    return (log_weight, float(pareto_k)) if np.isfinite(log_weight).all() else (ratio, np.inf)
