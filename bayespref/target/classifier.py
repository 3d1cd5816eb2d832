"""Density ratios from a calibrated classifier, for features too rich to post-stratify on (extra ``overlap``)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.checks import finite
from bayespref.display import shown
from bayespref.target.crossfit import folds_by_annotator
from bayespref.target.importance import Part


@shown(
    "calibration error {calibration_error}",
    next_step="use the ratios only if the classifier is calibrated out of fold",
)
class ClassifierPart(NamedTuple):
    """A part estimated by classification, and how well the classifier was calibrated out of fold.

    Attributes
    ----------
    part : Part
        Estimated; scaled to mean one over the logged rows.
    calibration_error : float
        Mean absolute gap between predicted and observed shares of target rows over ten bins of predictions, out of fold
        (a share). Large values say that the ratio is not to be trusted.
    """

    part: Part
    calibration_error: float


def classifier_ratio(
    name: str,
    logged: Float[np.ndarray, "n feature"],
    target: Float[np.ndarray, "m feature"],
    annotator: Int[np.ndarray, " n"],
    *,
    n_folds: int = 5,
    seed: int,
) -> ClassifierPart:
    """Estimate p_T/p_O of logged rows by telling them from target rows, cross-fitted by annotator.

    Logistic regression on the features given, recalibrated by a sigmoid within the training folds (Platt 1999); the
    ratio is odds(target) n / m. Each row's ratio comes from a classifier that saw neither its annotator nor the target
    rows of its fold.

    Parameters
    ----------
    name : str
        What it corrects.
    logged, target : array, shapes (n, feature) and (m, feature)
        Features of logged rows and of rows of the target (unlabelled).
    annotator : int array, shape (n,)
        Annotator of each logged row.
    n_folds : int
        At least 2, at most the number of annotators.
    seed : int
        Seed of the folds.

    Returns
    -------
    ClassifierPart

    Raises
    ------
    ImportError
        Without scikit-learn (``pip install bayespref[overlap]``).
    ValueError
        If a feature is not finite, or shapes disagree.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> got = classifier_ratio("prompt", rng.normal(0, 1, (400, 1)), rng.normal(1, 1, (400, 1)), np.arange(400), seed=0)
    >>> got.part.estimated, bool(got.calibration_error < 0.1)
    (True, True)
    """
    try:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ImportError("classifier_ratio needs scikit-learn: install bayespref[overlap]") from None
    x, y = finite("logged", logged), finite("target", target)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"logged, target: need the same features, got shapes {x.shape} and {y.shape}")
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    x, y = (x - centre) / scale, (y - centre) / scale
    fold = folds_by_annotator(annotator, n_folds, seed=seed)
    target_fold = np.random.default_rng(seed + 1).permutation(len(y)) % n_folds
    predicted, of_target = np.empty(len(x)), np.empty(len(y))
    for k in range(n_folds):  # one classifier a fold
        own, theirs = fold != k, target_fold != k
        rows = np.concatenate([x[own], y[theirs]])
        is_target = np.repeat([0, 1], [int(own.sum()), int(theirs.sum())])
        model = CalibratedClassifierCV(LogisticRegression(), method="sigmoid", cv=3)
        model.fit(rows, is_target)
        # Odds are taken relative to the training prior, so that they are a density ratio.
        prior = is_target.mean()
        for values, out, held in ((x, predicted, ~own), (y, of_target, ~theirs)):
            p = model.predict_proba(values[held])[:, 1]
            out[held] = np.log(p) - np.log1p(-p) - np.log(prior) + np.log1p(-prior)
    log_ratio = predicted - np.log(np.mean(np.exp(predicted)))
    return ClassifierPart(Part(name, log_ratio, True), _calibration_error(predicted, of_target))


def _calibration_error(logged: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Over ten equal-count bins of predictions, with both samples weighted to one half."""
    score = np.concatenate([logged, target])
    weight = np.concatenate([np.full(len(logged), 0.5 / len(logged)), np.full(len(target), 0.5 / len(target))])
    is_target = np.repeat([0.0, 1.0], [len(logged), len(target)])
    p = 1.0 / (1.0 + np.exp(-score))
    bins = np.searchsorted(np.quantile(p, np.linspace(0.1, 0.9, 9)), p)
    mass = np.bincount(bins, weight, minlength=10)
    gap = np.bincount(bins, weight * is_target, minlength=10) - np.bincount(bins, weight * p, minlength=10)
    return float(np.abs(gap).sum() / mass.sum())
