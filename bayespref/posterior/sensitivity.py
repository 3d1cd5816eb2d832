"""How much a posterior owes to its prior: sensitivity to raising prior or likelihood to a power a little off one.

Only this local check is offered. Predicting how means move under other priors (mean-only power-scaling) understated the
spread of what refits give.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Float
from scipy.special import logsumexp

from bayespref.checks import finite
from bayespref.display import shown
from bayespref.posterior.elpd import K_LIMIT
from bayespref.posterior.verdict import Verdict

ALPHAS = (0.99, 1.01)
"""Powers compared with one (Kallioinen et al. 2024)."""
THRESHOLD = 0.05
"""Sensitivity at which a quantity counts as sensitive (same source)."""
STRONG, CONFLICT, FINE, UNDEFINED = "strong prior, weak data", "prior and data may conflict", "fine", "undefined"
_SHOWN = 4


@shown("{diagnosis}", next_step="explain(word) says what each diagnosis means")
class Sensitivity(NamedTuple):
    """Sensitivity of each quantity.

    Attributes
    ----------
    prior, likelihood : float array, shape (quantity,)
        Distance of the posterior's distribution function when that part is power-scaled, per doubling of the power;
        NaN where a quantity does not vary.
    diagnosis : str array, shape (quantity,)
        ``STRONG``: the prior moves it and the likelihood does not. ``CONFLICT``: both move it. ``FINE``: the prior
        does not move it. ``UNDEFINED``: it does not vary.
    pareto_k : float
        Largest Pareto k of the importance weights; above 0.7 none of this can be relied on.
    """

    prior: Float[np.ndarray, " quantity"]
    likelihood: Float[np.ndarray, " quantity"]
    diagnosis: np.ndarray
    pareto_k: float


def power_scaling(
    values: Float[np.ndarray, "chain draw quantity"],
    log_prior: Float[np.ndarray, "chain draw"],
    log_likelihood: Float[np.ndarray, "chain draw"],
) -> Sensitivity:
    """Sensitivity of quantities to power-scaling of prior and likelihood.

    Parameters
    ----------
    values : float array, shape (chain, draw, quantity)
        Draws of the quantities.
    log_prior, log_likelihood : float array, shape (chain, draw)
        Log-density of the parameters in their own (constrained) space, and of all outcomes, nats.

    Returns
    -------
    Sensitivity

    Notes
    -----
    Draws are reweighted by ``p ** (alpha - 1)``, tails smoothed; the sensitivity is the cumulative Jensen-Shannon
    distance of the weighted from the plain distribution over ``log2(alpha)``, averaged over both sides (Kallioinen,
    Paananen, Buerkner & Vehtari 2024, Statistics and Computing 34, 57, eq. 9-12), computed by arviz-stats.

    Examples
    --------
    >>> theta = np.random.default_rng(0).normal(size=(4, 500, 1))
    >>> found = power_scaling(theta, -0.5 * theta[..., 0] ** 2, np.zeros((4, 500)))
    >>> found.diagnosis.tolist()
    ['strong prior, weak data']
    """
    draws = finite("values", values)
    parts = [finite("log_prior", log_prior), finite("log_likelihood", log_likelihood)]
    if draws.ndim != 3 or any(part.shape != draws.shape[:2] for part in parts):
        raise ValueError(f"values: must have axes (chain, draw, quantity) and match the densities, got {draws.shape}")
    moving = draws.max((0, 1)) > draws.min((0, 1))
    found = np.full((2, draws.shape[2]), np.nan)
    worst = -np.inf
    quantities = np.moveaxis(draws[..., moving], -1, 0)
    for i, part in enumerate(parts):
        if np.ptp(part) == 0.0:  # a constant factor moves nothing, and its tail has no shape
            found[i, moving] = 0.0
            continue
        weights = []
        for alpha in ALPHAS:
            log_weight = array_stats.power_scale_lw(part, alpha=alpha, axis=(0, 1))
            weight = np.exp(log_weight - logsumexp(log_weight))
            weights.append(np.broadcast_to(weight, quantities.shape))
            worst = max(worst, float(array_stats.psislw((1.0 - alpha) * part, axis=(0, 1))[1]))
        if len(quantities):
            found[i, moving] = array_stats.power_scale_sense(quantities, *weights, *ALPHAS, chain_axis=1, draw_axis=2)
    strong, weak = found[0] >= THRESHOLD, found[1] < THRESHOLD
    diagnosis = np.where(strong & weak, STRONG, np.where(strong, CONFLICT, FINE))
    return Sensitivity(found[0], found[1], np.where(moving, diagnosis, UNDEFINED), worst)


def sensitivity_words(found: Sensitivity, names: list[str]) -> list[Verdict]:
    """Say which quantities the prior moves, and what to do.

    Parameters
    ----------
    found : Sensitivity
        From :func:`power_scaling`.
    names : list of str
        Names of the quantities.

    Returns
    -------
    list of Verdict
        "prior sensitivity", and "importance weights" where these cannot be relied on.
    """
    words = []
    if found.pareto_k > K_LIMIT:
        text = f"importance weights: not reliable, Pareto k {found.pareto_k:.2f}; refit with other priors instead"
        words.append(Verdict("importance weights", False, text, "not_converged", "run more draws"))
    counted = int((found.diagnosis != UNDEFINED).sum())
    said = []
    for kind in (STRONG, CONFLICT):
        which = np.flatnonzero(found.diagnosis == kind)
        which = which[np.argsort(-found.prior[which])]
        if len(which):
            more = f" and {len(which) - _SHOWN} more" if len(which) > _SHOWN else ""
            said.append(f"{kind}: {', '.join(names[i] for i in which[:_SHOWN])}{more}")
    if not said:
        text = f"prior sensitivity: none of {counted} quantities moves with the prior (limit {THRESHOLD})"
        return [*words, Verdict("prior sensitivity", True, text)]
    text = f"prior sensitivity: yes, {'; '.join(said)} (of {counted} quantities, limit {THRESHOLD})"
    step = "state the prior beside these numbers and refit with half and twice its scale, or collect comparisons there"
    return [*words, Verdict("prior sensitivity", False, text, "prior_sensitive", step)]
