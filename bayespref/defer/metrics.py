"""How well a deferral rule sorts cases: risk against coverage, what deferring saved, and how honest P(sign) is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, between, finite, non_negative
from bayespref.display import shown


@shown(
    "risk from {risk} at coverage {coverage}",
    next_step="choose the coverage whose risk you accept, on data the policy has not seen",
)
class RiskCoverage(NamedTuple):
    """Selective risk at every distinct confidence, most confident first."""

    threshold: Float[np.ndarray, " step"]
    """Accept cases of at least this confidence."""
    coverage: Float[np.ndarray, " step"]
    """Share accepted."""
    risk: Float[np.ndarray, " step"]
    """Mean loss of those accepted."""


@shown("area {aurc}, of which {excess} above the oracle's", next_step="compare scores by the excess, on the same cases")
class AreaUnderRiskCoverage(NamedTuple):
    """Area under the risk-coverage curve, in units of loss; smaller is better."""

    aurc: float
    oracle: float
    """The area if cases were sorted by their loss."""
    excess: float
    """E-AURC, the difference of the two."""


@shown("calibration error {calibration_error}", next_step="recalibrate, or read probabilities as ranks only")
class Reliability(NamedTuple):
    """Predicted probability against observed frequency, by bin of equal width."""

    lower: Float[np.ndarray, " bin"]
    upper: Float[np.ndarray, " bin"]
    n_cases: Int[np.ndarray, " bin"]
    predicted: Float[np.ndarray, " bin"]
    """Mean predicted probability; NaN in an empty bin."""
    observed: Float[np.ndarray, " bin"]
    """Share of cases that came true; NaN in an empty bin."""
    calibration_error: float
    """Mean absolute gap, weighted by count (share)."""
    brier: float
    """Mean squared error of the probabilities."""


def risk_coverage(confidence: Float[np.ndarray, " case"], loss: Float[np.ndarray, " case"]) -> RiskCoverage:
    """Risk-coverage curve on distinct scores; tied cases are accepted together.

    Parameters
    ----------
    confidence : float array, shape (case,)
        Larger is more confident; infinities are allowed, NaN is not (such a case is always deferred: leave it out and
        say so).
    loss : float array, shape (case,)
        Loss if the case is acted on, >= 0.

    Returns
    -------
    RiskCoverage
        One step a distinct confidence.

    Raises
    ------
    ValueError
        If there is no case, a confidence is NaN, or a loss is negative or not finite.

    Notes
    -----
    El-Yaniv and Wiener (2010), the risk-coverage trade-off.

    Examples
    --------
    >>> curve = risk_coverage(np.array([0.9, 0.8, 0.8]), np.array([0.0, 1.0, 0.0]))
    >>> curve.coverage.round(3).tolist(), curve.risk.round(3).tolist()
    ([0.333, 1.0], [0.0, 0.333])
    """
    confidence, loss = _cases(confidence, loss)
    value, count, total = _groups(confidence, loss)
    accepted = count.cumsum()
    return RiskCoverage(value, accepted / len(loss), total.cumsum() / accepted)


def aurc(confidence: Float[np.ndarray, " case"], loss: Float[np.ndarray, " case"]) -> AreaUnderRiskCoverage:
    """Area under the risk-coverage curve, the best possible area, and the excess.

    Parameters
    ----------
    confidence, loss : float array, shape (case,)
        As in :func:`risk_coverage`.

    Returns
    -------
    AreaUnderRiskCoverage
        ``aurc`` is the mean over k = 1..n of the selective risk of the k most confident cases; where the k-th cut
        falls into a tie, the mean over all orders of the tied cases. ``oracle`` sorts by loss; for losses in {0, 1}
        with e errors it is mean_k max(0, k - (n - e)) / k.

    Notes
    -----
    Geifman, Uziel and El-Yaniv (2019).

    Examples
    --------
    >>> area = aurc(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([0.0, 1.0, 0.0, 0.0, 1.0]))
    >>> round(area.aurc, 6), round(area.oracle, 6), round(area.excess, 6)
    (0.296667, 0.13, 0.166667)
    """
    confidence, loss = _cases(confidence, loss)
    n = len(loss)
    _, count, total = _groups(confidence, loss)
    # Any order of tied cases is equally likely, so each brings its group's mean loss.
    expected = np.repeat(total / count, count).cumsum()
    size = np.arange(1, n + 1)
    area = float((expected / size).mean())
    oracle = float((np.sort(loss).cumsum() / size).mean())
    return AreaUnderRiskCoverage(area, oracle, area - oracle)


def deferral_rate(deferred: Bool[np.ndarray, " case"], *, weights: ArrayLike | None = None) -> float:
    """Share of cases deferred.

    Parameters
    ----------
    deferred : bool array, shape (case,)
        True where the policy did not act.
    weights : float array, shape (case,), optional
        How often each case occurs.

    Returns
    -------
    float
        Share; NaN if nothing has weight.

    Examples
    --------
    >>> deferral_rate(np.array([True, False, False, True]))
    0.5
    """
    return _share(_mask("deferred", deferred), np.ones(len(deferred)), weights)


def regret_saved(
    deferred: Bool[np.ndarray, " case"],
    regret_act: Float[np.ndarray, " case"],
    c_defer: ArrayLike,
    *,
    weights: ArrayLike | None = None,
) -> float:
    """Regret saved per deferral: mean over deferred cases of (regret of acting - cost of deferring).

    Parameters
    ----------
    deferred : bool array, shape (case,)
        True where the policy did not act.
    regret_act : float array, shape (case,)
        Regret that acting would have had, welfare units.
    c_defer : float or float array, shape (case,)
        Cost of deferring, same units.
    weights : float array, shape (case,), optional
        How often each case occurs.

    Returns
    -------
    float
        Welfare units per deferral, negative if deferring cost more than it saved; NaN if nothing was deferred.

    Examples
    --------
    >>> round(regret_saved(np.array([True, True, False]), np.array([1.0, 0.0, 9.0]), 0.2), 3)
    0.3
    """
    mask = _mask("deferred", deferred)
    saved = finite("regret_act", regret_act) - non_negative("c_defer", c_defer)
    return _share(saved, mask.astype(np.float64), weights)


def wasted_deferrals(
    deferred: Bool[np.ndarray, " case"],
    value: Float[np.ndarray, " case"],
    *,
    weights: ArrayLike | None = None,
    atol: float = 1e-9,
) -> float:
    """Share of deferrals in regions where no decision could have gone wrong (minimax regret V = 0).

    Parameters
    ----------
    deferred : bool array, shape (case,)
        True where the policy did not act.
    value : float array, shape (case,)
        Minimax regret V of the case's region, welfare units; +inf is allowed, NaN counts as not wasted.
    weights : float array, shape (case,), optional
        How often each case occurs.
    atol : float
        V up to this is 0 (what a linear program leaves behind).

    Returns
    -------
    float
        Share of the deferrals; NaN if nothing was deferred.

    Examples
    --------
    >>> wasted_deferrals(np.array([True, True, False]), np.array([0.0, 0.5, 0.0]))
    0.5
    """
    mask = _mask("deferred", deferred)
    values = as_float("value", value, ndim=1)
    return _share(values <= atol, mask.astype(np.float64), weights)


def sign_reliability(
    probability: Float[np.ndarray, " case"], positive: Bool[np.ndarray, " case"], *, n_bins: int = 10
) -> Reliability:
    """Compare P(d > 0) with how often d was positive.

    Parameters
    ----------
    probability : float array, shape (case,)
        Posterior probability of a positive difference, share.
    positive : bool array, shape (case,)
        Whether it was (a known truth, or the majority of many labels).
    n_bins : int
        Bins of equal width on [0, 1]; the last one holds 1.

    Returns
    -------
    Reliability
        By bin, with the calibration error and the Brier score.

    Examples
    --------
    >>> result = sign_reliability(np.array([0.9, 0.9, 0.1]), np.array([True, False, False]), n_bins=2)
    >>> result.n_cases.tolist(), result.observed.tolist(), round(result.calibration_error, 3)
    ([1, 2], [0.0, 0.5], 0.3)
    """
    probability = between("probability", probability, 0.0, 1.0)
    hit = _mask("positive", positive).astype(np.float64)
    if probability.shape != hit.shape or not len(hit):
        raise ValueError(f"probability, positive: need one entry a case, got {probability.shape} and {hit.shape}")
    if n_bins < 1:
        raise ValueError(f"n_bins: must be at least 1, got {n_bins}")
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    at = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, n_bins - 1)
    count = np.bincount(at, minlength=n_bins)
    predicted, observed = (
        np.divide(np.bincount(at, x, n_bins), count, out=np.full(n_bins, np.nan), where=count > 0)
        for x in (probability, hit)
    )
    gap = np.abs(predicted - observed)[count > 0]
    return Reliability(
        lower=edges[:-1],
        upper=edges[1:],
        n_cases=count,
        predicted=predicted,
        observed=observed,
        calibration_error=float((gap * count[count > 0]).sum() / len(hit)),
        brier=float(((probability - hit) ** 2).mean()),
    )


def _cases(confidence: ArrayLike, loss: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sure = as_float("confidence", confidence, ndim=1)
    lost = non_negative("loss", finite("loss", loss))
    if sure.shape != lost.shape or not len(sure):
        raise ValueError(f"confidence, loss: need one entry a case, got shapes {sure.shape} and {lost.shape}")
    if np.isnan(sure).any():
        raise ValueError(f"confidence: must not be NaN; {int(np.isnan(sure).sum())} bad value(s)")
    return sure, lost


def _groups(
    confidence: NDArray[np.float64], loss: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Distinct confidences, descending, with the number of cases and the sum of losses of each."""
    value, group = np.unique(confidence, return_inverse=True)
    count = np.bincount(group).astype(np.int64)
    total = np.bincount(group, loss).astype(np.float64)
    return value[::-1], count[::-1], total[::-1]


def _mask(name: str, values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask = np.asarray(values)
    if mask.dtype != np.bool_ or mask.ndim != 1:
        raise TypeError(f"{name}: must be a boolean array with one axis, got {mask.dtype} of shape {mask.shape}")
    return mask


def _share(values: NDArray[np.generic], selected: NDArray[np.float64], weights: ArrayLike | None) -> float:
    mass = selected if weights is None else selected * non_negative("weights", weights)
    if np.shape(values) != mass.shape:
        raise ValueError(f"shapes must agree: one entry a case, got {np.shape(values)} and {mass.shape}")
    total = float(mass.sum())
    return float((np.asarray(values, dtype=np.float64) * mass).sum()) / total if total > 0 else float("nan")
