"""Conformal risk control: a threshold whose joint risk holds in expectation, also under a declared shift."""

from __future__ import annotations

from collections.abc import Collection, Hashable

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayespref.checks import as_float, between, finite, non_negative
from bayespref.defer.certificate import Certificate
from bayespref.defer.units import ascending, blocks, covered, refuse_leak

_SLACK = 1e-12


def conformal_thresholds(
    score: Float[np.ndarray, " unit"],
    loss: Float[np.ndarray, " unit"],
    test_weight: Float[np.ndarray, "*case"],
    *,
    alpha: float,
    weights: Float[np.ndarray, " unit"] | None = None,
    loss_max: float = 1.0,
    grid: Float[np.ndarray, " threshold"] | None = None,
    rater: NDArray[np.generic] | None = None,
) -> Float[np.ndarray, "*case"]:
    """Threshold of conformal risk control for each new case, given its weight.

    Parameters
    ----------
    score, loss : float array, shape (unit,)
        Losses lie in [0, loss_max]; NaN and +inf scores are never accepted.
    test_weight : float array, shape (...)
        Density ratio of deployment to calibration at each new case, >= 0; infinite where calibration never looks.
    alpha : float
        Joint risk E[loss x accepted] allowed, in units of loss.
    weights : float array, shape (unit,), optional
        Density ratio at each calibration unit; 1 if omitted.
    loss_max : float
        Largest possible loss.
    grid : float array, optional
        Candidate thresholds; the finite scores themselves if omitted (allowed here, because the risk is monotone).
    rater : array, shape (unit,), optional
        A rater's comparisons form one block that counts once: each has an equal part of the rater's weight, which must
        be the same for all of them.

    Returns
    -------
    float array, shape (...)
        Largest t with (sum w_i L_i(t) + w_test loss_max) / (sum w_i + w_test) <= alpha; NaN where there is none.

    Notes
    -----
    Angelopoulos et al. (2022); Tibshirani et al. (2019) for the weights.

    Examples
    --------
    >>> loss = np.array([0, 0, 1, 0, 0, 1, 0, 1, 1.0])
    >>> conformal_thresholds(np.arange(1, 10) / 10, loss, np.array([1.0, np.inf]), alpha=0.3)
    array([0.7, nan])
    """
    score, loss = as_float("score", score, ndim=1), finite("loss", loss)
    if score.shape != loss.shape or not len(score):
        raise ValueError(f"score, loss: need one entry a unit, got shapes {score.shape} and {loss.shape}")
    top = float(between("loss_max", loss_max, 0.0, np.inf))
    between("loss", loss, 0.0, top)
    alpha = float(between("alpha", alpha, 0.0, np.inf))
    mass = np.ones(score.shape) if weights is None else non_negative("weights", finite("weights", weights))
    if mass.shape != score.shape:
        raise ValueError(f"weights: need one entry a unit, got shapes {mass.shape} and {score.shape}")
    if rater is not None:
        mass = blocks(np.asarray(rater), mass)
    at_test = non_negative("test_weight", test_weight)
    candidates = np.unique(score[np.isfinite(score)]) if grid is None else ascending(grid)
    if not len(candidates):
        return np.full(at_test.shape, np.nan)
    order = np.argsort(score)  # NaN last, where no candidate reaches it
    summed = np.r_[0.0, (mass * loss)[order].cumsum()]
    risk = summed[np.searchsorted(score[order], candidates, side="right")]
    finite_weight = np.where(np.isinf(at_test), 0.0, at_test)
    allowed = alpha * (mass.sum() + finite_weight) - finite_weight * top
    position = np.searchsorted(risk, allowed + _SLACK * (1.0 + np.abs(allowed)), side="right") - 1
    undefined = (position < 0) | (np.isinf(at_test) & (alpha < top))
    return np.where(undefined, np.nan, candidates[np.maximum(position, 0)])


def conformal_risk_control(
    score: Float[np.ndarray, " unit"],
    loss: Float[np.ndarray, " unit"],
    *,
    alpha: float,
    weights: Float[np.ndarray, " unit"] | None = None,
    test_weight: float = 1.0,
    loss_max: float = 1.0,
    grid: Float[np.ndarray, " threshold"] | None = None,
    region: Int[np.ndarray, " unit"] | None = None,
    n_regions: int | None = None,
    force_defer: Bool[np.ndarray, " region"] | None = None,
    rater: NDArray[np.generic] | None = None,
    fit_raters: Collection[Hashable] | None = None,
) -> Certificate:
    """Largest threshold with E[loss x accepted] at most alpha, in expectation over calibration and the new case.

    Parameters
    ----------
    score, loss, alpha, weights, loss_max, grid, rater
        As in :func:`conformal_thresholds`.
    test_weight : float
        Weight of the new case; for many use :func:`conformal_thresholds`, or the bound of the weights for one
        threshold that serves all.
    region, n_regions, force_defer, fit_raters
        As in :func:`learn_then_test`.

    Returns
    -------
    Certificate
        The guarantee is on the joint risk, not on the risk among accepted cases, so no noise floor applies.

    Raises
    ------
    UncoveredRegionError
        If a region has no calibration mass and is not forced to defer.
    CalibrationLeakError
        If fit and calibration share raters.

    Examples
    --------
    >>> loss = np.array([0, 0, 1, 0, 0, 1, 0, 1, 1.0])
    >>> conformal_risk_control(np.arange(1, 10) / 10, loss, alpha=0.3).threshold
    0.7
    """
    score, loss = as_float("score", score, ndim=1), finite("loss", loss)
    if fit_raters is not None:
        if rater is None:
            raise ValueError("rater: needed to compare with fit_raters")
        refuse_leak(fit_raters, np.asarray(rater).tolist())
    keep = covered(region, n_regions, force_defer, weights, score.shape)
    # Units of forced regions stay: they are part of the mix, and accepting none of them costs nothing.
    threshold = float(
        conformal_thresholds(
            score,
            np.where(keep, loss, 0.0),
            np.array(test_weight),
            alpha=alpha,
            weights=weights,
            loss_max=loss_max,
            grid=grid,
            rater=rater,
        )
    )
    candidates = np.unique(score[np.isfinite(score)]) if grid is None else ascending(grid)
    found = None if np.isnan(threshold) else threshold
    accepted = keep & (score <= threshold)
    return Certificate(
        threshold=found,
        reason="not_certified" if found is None else "",
        guarantee=f"expected loss times acceptance at most {alpha:g}, on average over calibration samples",
        alpha=alpha,
        delta=float("nan"),
        n=len(score),
        n_accepted=int(accepted.sum()),
        n_errors=float(loss[accepted].sum()),
        grid=candidates,
        p_value=np.full(candidates.shape, np.nan),
        force_defer=force_defer,
    )
