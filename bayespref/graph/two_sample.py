"""Can a classifier tell collected from deployment points: a two-sample test and a calibrated density ratio."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from bayespref.checks import finite
from bayespref.display import shown
from bayespref.weights import effective_sample_size

_FEWEST = 20


@shown("AUC {auc}, p = {p_value}", next_step="a large AUC means deployment differs from collection: see which features")
class TwoSample(NamedTuple):
    """What a classifier trained on one half says about the other, both ways round.

    Attributes
    ----------
    auc : float
        Mean held-out probability that a deployment point scores above a collected one (ties half): 1/2 where the
        classifier finds no difference.
    p_value : float
        Twice the smaller of the two halves' one-sided rank tests (at most 1): valid for any classifier, since each
        half is scored by a model that never saw it.
    ratio : float array, shape (n,)
        Calibrated density ratio deployment / collected of each collected point, from the half that did not see it.
        Positive and finite: where there is no overlap the ratio is unbounded, and these numbers say so only by size.
    mean_ratio : float
        Mean of ``ratio``; 1 for a calibrated ratio with overlap.
    largest_ratio, n_eff : float
        Largest ratio, and the effective number of collected points under it.
    calibration_error : float
        Mean absolute gap between predicted and observed share of deployment points, over ten equally filled bins of
        held-out points, share.
    """

    auc: float
    p_value: float
    ratio: Float[np.ndarray, " n"]
    mean_ratio: float
    largest_ratio: float
    n_eff: float
    calibration_error: float


def classifier_test(
    collected: Float[np.ndarray, "n d"], deployment: Float[np.ndarray, "m d"], *, seed: int = 0
) -> TwoSample:
    """Test whether collected and deployment points come from one distribution, and estimate their density ratio.

    Parameters
    ----------
    collected, deployment : float array, shape (n, d) and (m, d)
        Embeddings or features, in the same coordinates; at least 20 points each.
    seed : int
        Seed of the halves and the classifier.

    Returns
    -------
    TwoSample

    Raises
    ------
    ImportError
        Without scikit-learn (``pip install 'bayespref[overlap]'``).
    ValueError
        If shapes disagree, values are not finite, or either side has fewer than 20 points.

    Notes
    -----
    Lopez-Paz and Oquab (2017), "Revisiting classifier two-sample tests", with ranks instead of accuracy. Gradient
    boosting, probabilities calibrated by Platt's sigmoid on cross-validated scores of the training half. Points must be
    independent: several rows of one annotator or prompt make the test too sure. A large p-value is no proof of overlap.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> apart = classifier_test(rng.normal(size=(80, 1)), rng.normal(3.0, 1.0, size=(80, 1)))
    >>> apart.auc > 0.9, apart.p_value < 1e-6
    (True, True)
    """
    here, there = finite("collected", collected), finite("deployment", deployment)
    if here.ndim != 2 or there.ndim != 2 or here.shape[1] != there.shape[1]:
        raise ValueError(f"collected, deployment: need (n, d) and (m, d), got {here.shape} and {there.shape}")
    if min(len(here), len(there)) < _FEWEST:
        raise ValueError(
            f"collected, deployment: need at least {_FEWEST} points each, got {len(here)} and {len(there)}"
        )
    rng = np.random.default_rng(seed)
    half_here, half_there = _halves(rng, len(here)), _halves(rng, len(there))
    chance = np.empty(len(here)), np.empty(len(there))
    areas, p_values = [], []
    for half in (0, 1):
        train = np.concatenate([here[half_here != half], there[half_there != half]])
        label = np.repeat([0, 1], [(half_here != half).sum(), (half_there != half).sum()])
        model = _classifier(seed).fit(train, label)
        mine = model.predict_proba(here[half_here == half])[:, 1]
        theirs = model.predict_proba(there[half_there == half])[:, 1]
        # Odds of the training half, not of the half that is scored.
        odds = (half_here != half).sum() / (half_there != half).sum()
        chance[0][half_here == half] = _to_ratio(mine, odds)
        chance[1][half_there == half] = _to_ratio(theirs, odds)
        test = mannwhitneyu(theirs, mine, alternative="greater")
        areas.append(float(test.statistic) / (len(mine) * len(theirs)))
        p_values.append(float(test.pvalue))
    ratio = chance[0]
    share = np.concatenate([c * len(there) / (c * len(there) + len(here)) for c in chance])
    truth = np.repeat([0.0, 1.0], [len(here), len(there)])
    return TwoSample(
        float(np.mean(areas)),
        float(min(1.0, 2.0 * min(p_values))),
        ratio,
        float(ratio.mean()),
        float(ratio.max()),
        float(effective_sample_size(ratio)),
        _calibration_error(share, truth),
    )


def _halves(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    return rng.permutation(np.arange(n) % 2)


def _classifier(seed: int) -> Any:
    try:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise ImportError(
            "the classifier two-sample test needs scikit-learn: pip install 'bayespref[overlap]'"
        ) from error
    boosted = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=4, min_samples_leaf=10, random_state=seed)
    return CalibratedClassifierCV(boosted, method="sigmoid", cv=3)


def _to_ratio(probability: NDArray[np.float64], odds: float) -> NDArray[np.float64]:
    return np.asarray(odds * probability / (1.0 - probability))


def _calibration_error(share: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    order = np.argsort(share, kind="stable")
    bins = np.array_split(order, 10)
    gaps = [abs(share[rows].mean() - truth[rows].mean()) * len(rows) for rows in bins if len(rows)]
    return float(sum(gaps) / len(share))
