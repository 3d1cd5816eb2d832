"""What a calibration certifies, and the exact numbers behind it: sample sizes, error limits, the noise floor."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, comb, exp, log, log1p

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bayespref.checks import as_float, non_negative
from bayespref.defer.units import codes, open_unit
from bayespref.display import shown


@shown(next_step="use the threshold with the guarantee it names, on cases like those it was calibrated on")
@dataclass(frozen=True, eq=False)
class Certificate:
    """A threshold and what was shown about it.

    Parameters
    ----------
    threshold : float or None
        Act where the score is at most this; None: always defer.
    reason : str
        Empty where a threshold was certified, else the reason code.
    guarantee : str
        What holds, in words.
    alpha, delta : float
        Level of risk (share), and the probability that the guarantee fails (NaN for one in expectation).
    n, n_accepted, n_errors : int
        Calibration units used, those accepted at the threshold, and errors among these.
    grid, p_value : float array, shape (threshold,)
        Thresholds looked at and their p-values (NaN where not tested, or where the method has none).
    force_defer : bool array, shape (region,), or None
        Regions in which the guarantee is bought by never acting.
    """

    threshold: float | None
    reason: str
    guarantee: str
    alpha: float
    delta: float
    n: int
    n_accepted: int
    n_errors: float
    grid: Float[np.ndarray, " threshold"]
    p_value: Float[np.ndarray, " threshold"]
    force_defer: Bool[np.ndarray, " region"] | None = None

    def accept(
        self, score: Float[np.ndarray, " case"], region: Int[np.ndarray, " case"] | None = None
    ) -> NDArray[np.bool_]:
        """Say where to act: score at most the threshold, region not forced to defer; NaN never.

        Parameters
        ----------
        score : float array, shape (case,)
            Scores of new cases.
        region : int array, shape (case,)
            Their regions; needed where some are forced to defer.

        Returns
        -------
        bool array, shape (case,)
            True where the policy acts.
        """
        values = as_float("score", score)
        if self.threshold is None:
            return np.zeros(values.shape, dtype=np.bool_)
        accepted = np.asarray(values <= self.threshold)
        if self.force_defer is not None and self.force_defer.any():
            if region is None:
                raise ValueError("region: needed, because some regions are forced to defer")
            accepted &= ~self.force_defer[codes(region, len(self.force_defer), values.shape)]
        return accepted


def least_sample(alpha: float, delta: float) -> int:
    """Least number of accepted units, all without error, that certifies a risk of at most alpha.

    Parameters
    ----------
    alpha, delta : float
        Risk (share) and failure probability, in (0, 1).

    Returns
    -------
    int
        ceil(log delta / log(1 - alpha)).

    Examples
    --------
    >>> least_sample(0.1, 0.05), least_sample(0.05, 0.05)
    (29, 59)
    """
    open_unit("alpha", alpha)
    open_unit("delta", delta)
    return max(ceil(log(delta) / log1p(-alpha) - 1e-9), 1)


def upper_limit(errors: ArrayLike, n: ArrayLike, delta: float) -> Float[np.ndarray, "*cell"]:
    """One-sided Clopper-Pearson upper limit of an error rate.

    Parameters
    ----------
    errors, n : int or int array
        Errors among n independent units.
    delta : float
        Failure probability.

    Returns
    -------
    float array
        Share; 1 where every unit failed, and where n = 0.

    Examples
    --------
    >>> round(float(upper_limit(2, 100, 0.05)), 6)
    0.061619
    """
    k, size = non_negative("errors", errors), non_negative("n", n)
    open_unit("delta", delta)
    if np.any(k > size):
        raise ValueError("errors: cannot exceed n")
    limit = special.betaincinv(k + 1, np.maximum(size - k, 1), 1 - delta)
    return np.where(k < size, limit, 1.0)


def noise_floor(reward_range: float, *, n_labels: int = 1) -> float:
    """Rate at which even the best action disagrees with a label, at least.

    Parameters
    ----------
    reward_range : float
        Largest difference of rewards R, log-odds; infinite for no limit.
    n_labels : int
        Odd number of independent labels whose majority counts as the label.

    Returns
    -------
    float
        sigma(-R) for one label (share), and P(Bin(n, sigma(-R)) > n/2) for the majority of n.

    Examples
    --------
    >>> [round(noise_floor(1.0, n_labels=n), 4) for n in (1, 3, 5)]
    [0.2689, 0.1781, 0.1245]
    """
    size = float(non_negative("reward_range", reward_range))
    if n_labels < 1 or n_labels % 2 == 0:
        raise ValueError(f"n_labels: must be odd and positive, so that there is a majority, got {n_labels}")
    wrong = exp(-size) / (1.0 + exp(-size))
    return sum(
        comb(n_labels, k) * wrong**k * (1 - wrong) ** (n_labels - k) for k in range(n_labels // 2 + 1, n_labels + 1)
    )
