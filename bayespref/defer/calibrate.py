"""Thresholds with a guarantee, from held-out comparisons: learn-then-test, SGR, conformal risk control.

A unit is one comparison of one rater; its loss is 1 where the label contradicts the policy's order; its score comes
from a model fitted to other raters; the policy acts where the score is at most the threshold. The guarantees concern
disagreement with labels, not regret, which nobody observes.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from math import ceil, log2

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bayespref.checks import as_float, finite, one_of
from bayespref.defer.certificate import Certificate, least_sample, noise_floor, upper_limit
from bayespref.defer.conformal import conformal_risk_control, conformal_thresholds
from bayespref.defer.units import ascending, covered, one_per_rater, open_unit, refuse_leak, rejection

__all__ = [
    "Certificate",
    "conformal_risk_control",
    "conformal_thresholds",
    "learn_then_test",
    "least_sample",
    "noise_floor",
    "one_per_rater",
    "refuse_leak",
    "sgr",
    "upper_limit",
]


def learn_then_test(
    score: Float[np.ndarray, " unit"],
    loss: Float[np.ndarray, " unit"],
    *,
    alpha: float,
    delta: float,
    grid: Float[np.ndarray, " threshold"],
    method: str = "fixed_sequence",
    start: float = 5.0,
    weights: Float[np.ndarray, " unit"] | None = None,
    weight_max: float | None = None,
    rng: np.random.Generator | None = None,
    region: Int[np.ndarray, " unit"] | None = None,
    n_regions: int | None = None,
    force_defer: Bool[np.ndarray, " region"] | None = None,
    rater: NDArray[np.generic] | None = None,
    fit_raters: Collection[Hashable] | None = None,
    reward_range: float | None = None,
    n_labels: int = 1,
) -> Certificate:
    """Largest threshold whose selective risk is at most alpha, with probability 1 - delta.

    Parameters
    ----------
    score : float array, shape (unit,)
        Smaller is more confident. NaN and +inf are never accepted; equal scores are accepted together.
    loss : float array, shape (unit,)
        0 or 1.
    alpha, delta : float
        Selective risk allowed (share), and probability that the guarantee fails.
    grid : float array, shape (threshold,)
        Thresholds, ascending, fixed before the calibration data were seen (never their order statistics).
    method : {"fixed_sequence", "bonferroni"}
        Test from the most confident threshold until the first failure, or all at delta / number of thresholds.
    start : float
        The sequence starts where at least ``start * least_sample(alpha, delta)`` units are accepted (where there are
        so many, else at ``least_sample``): a first test with few units fails by bad luck and ends the sequence.
    weights, weight_max, rng : float array, shape (unit,), float, and numpy.random.Generator
        Density ratio of deployment to calibration and its known bound: a unit is kept with probability
        ``weight / weight_max``, drawn from ``rng``, after which the kept units are a sample of the deployment.
    region, n_regions, force_defer : int array (unit,), int, bool array (region,)
        A region without calibration mass must be forced to defer. Units of forced regions are left out; the guarantee
        is one for the rest.
    rater, fit_raters : array (unit,), and collection
        Raters of the units and of the fit: a rater twice, or in both, is refused.
    reward_range, n_labels : float and int
        If the range is declared, an alpha below ``noise_floor`` is answered with "defer all".

    Returns
    -------
    Certificate
        With ``threshold=None`` and a reason code where nothing could be certified.

    Raises
    ------
    UncoveredRegionError
        If a region has no calibration mass and is not forced to defer.
    CalibrationLeakError
        If fit and calibration share raters.
    ValueError
        On losses other than 0 and 1, a grid that does not ascend, repeated raters, or weights above their bound.

    Notes
    -----
    Angelopoulos et al. (2021), with the exact binomial p-value P(Bin(n, alpha) <= k); rejection sampling under
    covariate shift as in design notes on calibration.

    Examples
    --------
    >>> score, loss = np.linspace(0, 1, 400), np.r_[np.zeros(300), np.ones(100)]
    >>> result = learn_then_test(score, loss, alpha=0.1, delta=0.1, grid=np.linspace(0, 1, 21))
    >>> result.threshold, result.n_accepted, result.n_errors
    (0.8, 320, 20.0)
    """
    one_of("method", method, ("fixed_sequence", "bonferroni"))
    score, loss, grid = _inputs(score, loss, alpha, delta, grid, rater, fit_raters)
    keep = covered(region, n_regions, force_defer, weights, score.shape)
    if weights is not None:
        keep &= rejection(weights, weight_max, rng, score.shape)
    score, loss = score[keep], loss[keep]
    accepted, errors = _counts(score, loss, grid)
    if reward_range is not None and alpha < noise_floor(reward_range, n_labels=n_labels):
        return _certificate(None, "below_noise_floor", alpha, delta, score, loss, grid, None, force_defer)

    p_value = np.full(grid.shape, np.nan)
    tested = np.flatnonzero(accepted > 0)
    p_value[tested] = special.bdtr(errors[tested], accepted[tested], alpha)
    if method == "bonferroni":
        passed = np.flatnonzero(p_value <= delta / len(grid))
    else:
        least = least_sample(alpha, delta)
        enough = np.flatnonzero(accepted >= start * least)
        if not len(enough):
            enough = np.flatnonzero(accepted >= least)
        first = enough[0] if len(enough) else len(grid)
        failed = np.flatnonzero(~(p_value[first:] <= delta))
        last = first + failed[0] if len(failed) else len(grid)
        passed = np.arange(first, last)
        p_value[:first] = np.nan
        p_value[last + 1 :] = np.nan
    threshold = float(grid[passed[-1]]) if len(passed) else None
    reason = "" if len(passed) else "not_certified"
    return _certificate(threshold, reason, alpha, delta, score, loss, grid, p_value, force_defer)


def sgr(
    score: Float[np.ndarray, " unit"],
    loss: Float[np.ndarray, " unit"],
    *,
    alpha: float,
    delta: float,
    grid: Float[np.ndarray, " threshold"],
    region: Int[np.ndarray, " unit"] | None = None,
    n_regions: int | None = None,
    force_defer: Bool[np.ndarray, " region"] | None = None,
    rater: NDArray[np.generic] | None = None,
    fit_raters: Collection[Hashable] | None = None,
    reward_range: float | None = None,
    n_labels: int = 1,
) -> Certificate:
    """Selection with guaranteed risk: binary search for the threshold, each step at an equal part of delta.

    Parameters
    ----------
    score, loss, alpha, delta, grid, region, n_regions, force_defer, rater, fit_raters, reward_range, n_labels
        As in :func:`learn_then_test`.

    Returns
    -------
    Certificate
        The guarantee is that of :func:`learn_then_test`, provided selective risk rises with the threshold: the steps
        at thresholds that are too high then form one fixed sequence, so that a union bound over steps covers them.

    Notes
    -----
    Geifman and El-Yaniv (2017), on a fixed grid; ceil(log2(m + 1)) steps for m thresholds.

    Examples
    --------
    >>> score, loss = np.linspace(0, 1, 400), np.r_[np.zeros(300), np.ones(100)]
    >>> sgr(score, loss, alpha=0.1, delta=0.1, grid=np.linspace(0, 1, 21)).threshold
    0.8
    """
    score, loss, grid = _inputs(score, loss, alpha, delta, grid, rater, fit_raters)
    keep = covered(region, n_regions, force_defer, None, score.shape)
    score, loss = score[keep], loss[keep]
    if reward_range is not None and alpha < noise_floor(reward_range, n_labels=n_labels):
        return _certificate(None, "below_noise_floor", alpha, delta, score, loss, grid, None, force_defer)
    accepted, errors = _counts(score, loss, grid)
    share = delta / ceil(log2(len(grid) + 1))
    p_value = np.full(grid.shape, np.nan)
    low, high, best = 0, len(grid) - 1, -1
    while low <= high:
        middle = (low + high) // 2
        p_value[middle] = special.bdtr(errors[middle], accepted[middle], alpha) if accepted[middle] else 1.0
        if p_value[middle] <= share:
            low, best = middle + 1, middle
        else:
            high = middle - 1
    threshold = float(grid[best]) if best >= 0 else None
    reason = "" if best >= 0 else "not_certified"
    return _certificate(threshold, reason, alpha, delta, score, loss, grid, p_value, force_defer)


def _inputs(
    score: ArrayLike,
    loss: ArrayLike,
    alpha: float,
    delta: float,
    grid: ArrayLike,
    rater: NDArray[np.generic] | None,
    fit_raters: Collection[Hashable] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    scored, lost = as_float("score", score, ndim=1), finite("loss", loss)
    if scored.shape != lost.shape:
        raise ValueError(f"score, loss: need one entry a unit, got shapes {scored.shape} and {lost.shape}")
    odd = lost[(lost != 0) & (lost != 1)]
    if len(odd):
        raise ValueError(f"loss: must be 0 or 1, got {odd[:5].tolist()}; a binomial test counts errors")
    open_unit("alpha", alpha)
    open_unit("delta", delta)
    if rater is not None:
        raters = np.asarray(rater)
        if raters.shape != scored.shape:
            raise ValueError(f"rater: need one entry a unit, got shape {raters.shape}")
        if fit_raters is not None:
            refuse_leak(fit_raters, raters.tolist())
        if len(np.unique(raters)) < len(raters):
            raise ValueError(
                f"rater: {len(raters)} units come from {len(np.unique(raters))} raters, so they are not independent; "
                "choose one comparison of each with one_per_rater"
            )
    elif fit_raters is not None:
        raise ValueError("rater: needed to compare with fit_raters")
    return scored, lost, ascending(grid)


def _counts(
    score: NDArray[np.float64], loss: NDArray[np.float64], grid: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(score)
    accepted = np.searchsorted(score[order], grid, side="right")
    errors = np.r_[0.0, loss[order].cumsum()][accepted]
    return accepted, errors.astype(np.int64)


def _certificate(
    threshold: float | None,
    reason: str,
    alpha: float,
    delta: float,
    score: NDArray[np.float64],
    loss: NDArray[np.float64],
    grid: NDArray[np.float64],
    p_value: NDArray[np.float64] | None,
    force_defer: NDArray[np.bool_] | None,
) -> Certificate:
    accepted = np.zeros(score.shape, dtype=np.bool_) if threshold is None else np.asarray(score <= threshold)
    return Certificate(
        threshold=threshold,
        reason=reason,
        guarantee=f"labels contradicted among accepted cases: at most {alpha:g}, with probability {1 - delta:g}",
        alpha=alpha,
        delta=delta,
        n=len(score),
        n_accepted=int(accepted.sum()),
        n_errors=float(loss[accepted].sum()),
        grid=grid,
        p_value=np.full(grid.shape, np.nan) if p_value is None else p_value,
        force_defer=force_defer,
    )
