"""Expected log predictive density by annotator: leave-one-out from draws, and differences between models.

The unit is the annotator, never the row: labels of one person share a type, so leaving out a row leaves out little.
Differences are computed from the pointwise values here; ArviZ's ``compare`` names them with opposite signs in its two
lines (0.8 and 1.x).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from jaxtyping import Bool, Float
from scipy.special import logsumexp

from bayespref.checks import at_least, finite
from bayespref.dims import ANNOTATOR, CHAIN, DRAW
from bayespref.display import shown
from bayespref.posterior.tree import tree_draws
from bayespref.posterior.verdict import Verdict

K_LIMIT = 0.7
"""Largest Pareto k at which importance weights are relied on (Vehtari et al. 2024), given enough draws."""
LEAST_TAIL = 5
"""Draws a tail must have for its shape to be estimated: with fewer than 21 draws in all, no weight is reliable."""
_SHOWN = 5


@shown("best: model {best}", next_step="prefer the smaller model where the difference is within two standard errors")
class ElpdComparison(NamedTuple):
    """Models compared on the same held-out annotators.

    Attributes
    ----------
    elpd, se : float array, shape (model,)
        Sum over annotators and its standard error, nats.
    difference, difference_se : float array, shape (model,)
        Each model minus the best one (0 for the best, negative otherwise) and its standard error over annotators.
    best : int
        Position of the highest elpd.
    probability_best : float array, shape (model,)
        Share of Bayesian-bootstrap replicates, over annotators, in which the model is the best.
    """

    elpd: Float[np.ndarray, " model"]
    se: Float[np.ndarray, " model"]
    difference: Float[np.ndarray, " model"]
    difference_se: Float[np.ndarray, " model"]
    best: int
    probability_best: Float[np.ndarray, " model"]


def compare_elpd(
    pointwise: Float[np.ndarray, "model annotator"], *, replicates: int = 4000, seed: int = 0
) -> ElpdComparison:
    """Compare models by their log predictive densities of the same annotators.

    Parameters
    ----------
    pointwise : float array, shape (model, annotator)
        Log predictive density of each held-out annotator, nats; finite.
    replicates : int
        Bayesian-bootstrap replicates (Rubin 1981): annotators get Dirichlet(1, ..., 1) weights.
    seed : int
        Seed of NumPy's generator.

    Returns
    -------
    ElpdComparison

    Raises
    ------
    ValueError
        If there are fewer than two annotators, or a value is not finite.

    Notes
    -----
    The standard error of a sum is ``sqrt(n) * sd`` over annotators (Vehtari, Gelman & Gabry 2017, eq. 23-24). It and
    the bootstrap treat fitted models as given: how fits would vary with other people is not in them.

    Examples
    --------
    >>> found = compare_elpd(np.array([[-1.0, -2.0, -3.0], [-2.0, -2.5, -3.1]]))
    >>> found.best, found.difference.round(2).tolist()
    (0, [0.0, -1.6])
    """
    values = finite("pointwise", pointwise)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"pointwise: must have axes (model, annotator) and two annotators, got {values.shape}")
    at_least("replicates", replicates, 1)
    n = values.shape[1]
    elpd = values.sum(1)
    best = int(np.argmax(elpd))
    apart = values - values[best]
    weights = np.random.default_rng(seed).dirichlet(np.ones(n), replicates)
    winners = np.argmax(weights @ values.T, axis=1)
    return ElpdComparison(
        elpd,
        np.sqrt(n) * values.std(1, ddof=1),
        apart.sum(1),
        np.sqrt(n) * apart.std(1, ddof=1),
        best,
        np.bincount(winners, minlength=len(values)) / replicates,
    )


def simplest_within(difference: Float[np.ndarray, " model"], difference_se: Float[np.ndarray, " model"]) -> int:
    """Position of the first model that is at most one standard error worse than the best: the one-s.e. rule.

    Parameters
    ----------
    difference, difference_se : float array, shape (model,)
        From :func:`compare_elpd`, the simplest model first.

    Examples
    --------
    >>> simplest_within(np.array([-90.0, -1.0, 0.0]), np.array([9.0, 2.0, 0.0]))
    1
    """
    return int(np.argmax(np.asarray(difference) >= -np.asarray(difference_se)))


@shown("reliable: {reliable}", next_step="where Pareto k is large, hold those annotators out and refit")
class Loo(NamedTuple):
    """Leave-one-annotator-out densities from one set of draws.

    Attributes
    ----------
    elpd : float array, shape (annotator,)
        Log predictive density of each annotator without their own labels, nats.
    pareto_k : float array, shape (annotator,)
        Shape of the importance weights' tail: NaN with too few draws, minus infinity where all weights are equal,
        infinity where the tail is a single repeated draw.
    reliable : bool array, shape (annotator,)
        Whether ``pareto_k`` is at most the limit for this number of draws.
    """

    elpd: Float[np.ndarray, " annotator"]
    pareto_k: Float[np.ndarray, " annotator"]
    reliable: Bool[np.ndarray, " annotator"]


def leave_one_out(log_likelihood: Float[np.ndarray, "chain draw annotator"]) -> Loo:
    """Leave each annotator out by Pareto-smoothed importance sampling.

    Parameters
    ----------
    log_likelihood : float array, shape (chain, draw, annotator)
        Marginal log-likelihood of each annotator's labels together (types summed out), nats.

    Returns
    -------
    Loo

    Raises
    ------
    ValueError
        If a value is not finite.

    Notes
    -----
    Weights ``1 / p(y_u | draw)``, tail smoothed by a generalised Pareto fit; ``elpd_u = log sum_s w_s p(y_u | s)``
    (Vehtari et al. 2024, Journal of Machine Learning Research 25(72)). Reliable: k at most min(0.7, 1 - 1 / log10(S)).

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(-3.0, 0.1, (4, 250, 2))
    >>> leave_one_out(draws).reliable.tolist()
    [True, True]
    """
    values = finite("log_likelihood", log_likelihood)
    if values.ndim != 3:
        raise ValueError(f"log_likelihood: must have axes (chain, draw, annotator), got shape {values.shape}")
    flat = values.reshape(-1, values.shape[2]).T
    draws = flat.shape[1]
    tail = int(np.ceil(min(0.2 * draws, 3.0 * np.sqrt(draws))))
    log_weight = -flat
    pareto_k = np.full(len(flat), np.nan)
    if tail >= LEAST_TAIL:
        lowest = np.partition(flat, tail - 1, axis=1)[:, :tail]
        shaped = np.ptp(lowest, axis=1) > 0.0  # a tail of equal weights has no shape to fit
        pareto_k = np.where(np.ptp(flat, axis=1) == 0.0, -np.inf, np.inf)
        if shaped.any():
            log_weight[shaped], pareto_k[shaped] = array_stats.psislw(flat[shaped], axis=-1)
    log_weight -= logsumexp(log_weight, axis=1, keepdims=True)
    limit = min(K_LIMIT, 1.0 - 1.0 / np.log10(max(draws, 2)))
    return Loo(logsumexp(log_weight + flat, axis=1), pareto_k, pareto_k <= limit)


def loo_by_annotator(tree: xr.DataTree) -> xr.Dataset:
    """Leave-one-annotator-out predictive density of a fit, labelled.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit whose group ``log_likelihood`` has one term an annotator.

    Returns
    -------
    xarray.Dataset
        ``elpd``, ``pareto_k``, ``reliable`` by annotator; scalars ``elpd_total``, ``elpd_se``, and ``p_loo``, the
        effective number of parameters. attrs: ``method``, ``unit``, ``words``.

    Raises
    ------
    ValueError
        If the fit's table names no annotators: its units are answers, and leaving one out is another question.
    """
    terms = tree["log_likelihood"]["label"].transpose(CHAIN, DRAW, ANNOTATOR)
    if "annotator" not in tree["constant_data"]:
        raise ValueError("tree: the table names no annotators; leaving out answers would not test types of people")
    loo = leave_one_out(terms.values)
    inside = logsumexp(terms.values, axis=(0, 1)) - np.log(terms.sizes[CHAIN] * terms.sizes[DRAW])
    n = len(loo.elpd)
    bad = [str(name) for name in terms[ANNOTATOR].values[~loo.reliable]]
    verdict = loo_words(loo, bad)
    return xr.Dataset(
        {
            "elpd": (ANNOTATOR, loo.elpd),
            "pareto_k": (ANNOTATOR, loo.pareto_k),
            "reliable": (ANNOTATOR, loo.reliable),
            "elpd_total": loo.elpd.sum(),
            "elpd_se": np.sqrt(n) * loo.elpd.std(ddof=1) if n > 1 else np.nan,
            "p_loo": (inside - loo.elpd).sum(),
        },
        coords={ANNOTATOR: terms[ANNOTATOR].values},
        attrs={
            "method": "leave-one-annotator-out by Pareto-smoothed importance sampling over the posterior draws",
            "unit": "annotator: all labels of an annotator together, types summed out; nats",
            **tree_draws(tree),
            "words": verdict.words,
        },
    )


def loo_words(loo: Loo, unreliable: list[str]) -> Verdict:
    """Say whether importance weights can be relied on, naming the annotators where they cannot.

    Parameters
    ----------
    loo : Loo
        From :func:`leave_one_out`.
    unreliable : list of str
        Labels of the annotators whose weights are not reliable.

    Returns
    -------
    Verdict
    """
    worst = float(np.max(loo.pareto_k)) if len(loo.pareto_k) else -np.inf
    if not unreliable:
        return Verdict("importance weights", True, f"importance weights: reliable, largest Pareto k {worst:.2f}")
    more = len(unreliable) - _SHOWN
    named = ", ".join(unreliable[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return Verdict(
        "importance weights",
        False,
        f"importance weights: not reliable for {len(unreliable)} of {len(loo.elpd)} annotators ({named}), largest "
        f"Pareto k {worst:.2f}",
        "not_converged",
        "hold these annotators out and fit again (held_out_elpd)",
    )
