"""Stability of preferences when the same prompt is judged under another context (template swaps, prompt swaps).

A *question* is one pair of items in one state (of one annotator, where the annotator answered it under several
contexts). Two labels of one question agree with probability sum_o p_o p'_o. Under different contexts and the same
preference they agree as often as under one context; the shortfall is half the squared distance of the two choice
distributions, (p - p')^2 for two outcomes, and has an unbiased estimate from labels alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.stats import t as student

from bayespref import __version__
from bayespref.checks import non_negative, one_of
from bayespref.comparisons import Comparisons
from bayespref.dims import BOTH_BAD, CONTEXT
from bayespref.display import shown
from bayespref.errors import TableError
from bayespref.graph.coverage import clopper_pearson

CONTEXT_OTHER = "context_other"
_CLUSTERS = ("state", "annotator")
_ROUNDING = 1e-12


@shown(
    "contexts agree in {agreement}",
    next_step="where agreement across contexts is below that within, do not pool them",
)
class SwapAgreement(NamedTuple):
    """Agreement of labels across contexts, averaged over questions; the diagonal is within one context."""

    agreement: Float[np.ndarray, "context context_other"]
    """Probability that two labels of one question, one from each context, agree; NaN where no question has both."""
    agreement_lower: Float[np.ndarray, "context context_other"]
    agreement_upper: Float[np.ndarray, "context context_other"]
    squared_shift: Float[np.ndarray, "context context_other"]
    """Mean of (p - p')^2 (half the squared distance with more outcomes), unbiased, so that noise may make it negative;
    from questions with two labels or more in both contexts. NaN on the diagonal."""
    squared_shift_lower: Float[np.ndarray, "context context_other"]
    squared_shift_upper: Float[np.ndarray, "context context_other"]
    n_questions: Int[np.ndarray, "context context_other"]
    n_questions_shift: Int[np.ndarray, "context context_other"]
    n_clusters: Int[np.ndarray, "context context_other"]


def swap_agreement(
    counts: Float[np.ndarray, "question context outcome"], cluster: Int[np.ndarray, " question"], *, level: float = 0.95
) -> SwapAgreement:
    """Agreement across and within contexts with intervals that let questions of one cluster depend on each other.

    Parameters
    ----------
    counts : array of whole numbers, shape (question, context, outcome)
        Labels of each question under each context.
    cluster : int array, shape (question,)
        Prompt or annotator each question belongs to.
    level : float
        Level of the intervals.

    Returns
    -------
    SwapAgreement

    Raises
    ------
    ValueError
        If shapes disagree, or counts are negative or not whole.

    Notes
    -----
    Shares: Clopper-Pearson at the effective sample size of the clustered mean (Korn and Graubard 1998, Survey
    Methodology 24, 193-201), which is the number of clusters where nothing varies. Shifts: Student t with clusters
    minus one degrees of freedom, NaN where nothing varies: all shifts alike say nothing about their error. Both are
    approximations that need some ten clusters; NaN with fewer than two.

    Examples
    --------
    >>> counts = np.array([[[2, 0], [0, 2]], [[2, 0], [2, 0]]])  # one question reversed, one kept
    >>> got = swap_agreement(counts, np.array([0, 1]))
    >>> got.agreement.tolist(), float(got.squared_shift[0, 1])
    ([[1.0, 0.5], [0.5, 1.0]], 0.5)
    """
    n = non_negative("counts", counts)
    groups = np.asarray(cluster)
    if n.ndim != 3 or groups.shape != n.shape[:1]:
        raise ValueError(
            f"counts, cluster: need (question, context, outcome) and (question,), got {n.shape} and {groups.shape}"
        )
    if np.any(n != np.floor(n)):
        raise ValueError("counts: labels that agree are counted, so weights must be whole numbers")
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level!r}")
    _, code = np.unique(groups, return_inverse=True)
    said = n.sum(axis=2)
    same = np.einsum("quo,qvo->quv", n, n)
    pairs = said[:, :, None] * said[:, None, :]
    diagonal = np.arange(n.shape[1])
    same[:, diagonal, diagonal] -= said
    pairs[:, diagonal, diagonal] -= said
    with np.errstate(invalid="ignore", divide="ignore"):
        agree = np.where(pairs > 0, same / pairs, np.nan)
    within = agree[:, diagonal, diagonal]
    shift = (within[:, :, None] + within[:, None, :]) / 2 - agree
    shift[:, diagonal, diagonal] = np.nan
    mean, error, n_clusters = _cluster_mean(agree, code)
    defined = (~np.isnan(agree)).sum(axis=0)
    lower, upper = _share_interval(mean, error, defined, n_clusters, level)
    moved, moved_error, moved_clusters = _cluster_mean(shift, code)
    wide = np.where(moved_error > _ROUNDING, _quantile(moved_clusters, level) * moved_error, np.nan)
    return SwapAgreement(
        mean, lower, upper, moved, moved - wide, moved + wide, defined, (~np.isnan(shift)).sum(axis=0), n_clusters
    )


def prompt_swaps(comparisons: Comparisons, *, cluster: str = "state", level: float = 0.95) -> xr.Dataset:
    """Ask whether preferences are stable when the same prompt is judged under another context.

    Parameters
    ----------
    comparisons : Comparisons
        A table with contexts, some states of which were judged under several.
    cluster : {"state", "annotator"}
        ``state``: questions are (state, pair), intervals allow for prompts. ``annotator``: questions are (annotator,
        state, pair), so that only annotators who saw the pair under both contexts count; intervals allow for
        annotators.
    level : float
        Level of the intervals.

    Returns
    -------
    Dataset
        Fields of :class:`SwapAgreement` over (context, context_other), and ``verdict``: ``moved`` where the interval of
        the shift lies above 0, ``not shown`` where it holds 0 (which is no proof of stability; read the upper limit),
        ``unknown`` where no question answers it, or all answer alike so that there is no interval.

    Raises
    ------
    TableError
        If a column is missing, or no question was judged under two contexts.
    ValueError
        If weights are not whole.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> zero = np.zeros(8, dtype=int)
    >>> table = from_codes(zero, zero + 1, np.array([0, 0, 1, 1, 0, 0, 0, 0]), items=("x", "y"),
    ...     state=np.repeat([0, 1], 4), states=("s", "t"), context=np.tile([0, 0, 1, 1], 2), contexts=("old", "new"))
    >>> got = prompt_swaps(table)
    >>> float(got.agreement.sel(context="old", context_other="new")), float(got.squared_shift.max())
    (0.5, 0.5)
    """
    one_of("cluster", cluster, _CLUSTERS)
    comparisons.codes(CONTEXT)
    comparisons.codes(cluster)
    counts, clusters = _questions(comparisons, cluster)
    if not len(counts):
        raise TableError(
            "context: no question was judged under two contexts; show some prompts under another context (plan_swaps "
            "says how many)"
        )
    got = swap_agreement(counts, clusters, level=level)
    verdict = np.where(
        got.squared_shift_lower > 0, "moved", np.where(np.isnan(got.squared_shift_lower), "unknown", "not shown")
    )
    names = list(comparisons.contexts)
    data = {name: ((CONTEXT, CONTEXT_OTHER), value) for name, value in got._asdict().items()}
    attrs = {
        "method": "agreement of labels across contexts; Korn-Graubard and t intervals over clusters",
        "level": level,
        "cluster": cluster,
        "assumptions": f"{cluster}s are independent; which prompts were swapped does not depend on the answers",
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    return xr.Dataset(
        {**data, "verdict": ((CONTEXT, CONTEXT_OTHER), verdict)},
        coords={CONTEXT: names, CONTEXT_OTHER: names},
        attrs=attrs,
    )


def _questions(comparisons: Comparisons, cluster: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Labels of every question judged under two contexts or more, and its cluster."""
    table = comparisons.counts
    kept = table.outcome != BOTH_BAD
    keys = [table.state, table.item_a, table.item_b]
    if cluster == "annotator":
        keys.insert(0, table.annotator)
    stacked = np.stack([key[kept] for key in keys], axis=1)
    unique, code = np.unique(stacked, axis=0, return_inverse=True)
    counts = np.zeros((len(unique), len(comparisons.contexts), 3))
    np.add.at(counts, (code.reshape(-1), table.context[kept], table.outcome[kept]), table.total[kept])
    swapped = (counts.sum(axis=2) > 0).sum(axis=1) >= 2
    return counts[swapped], unique[swapped, 0].astype(np.int64)


def _cluster_mean(
    values: Float[np.ndarray, question * cell], code: Int[np.ndarray, " question"]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean over questions, its cluster-robust standard error, and the clusters it rests on."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, np.where(known, values, 0.0).sum(axis=0) / n, np.nan)
        size = int(code.max(initial=-1)) + 1
        residual = np.zeros((size, *values.shape[1:]))
        np.add.at(residual, code, np.where(known, values - mean, 0.0))
        met = np.zeros((size, *values.shape[1:]), dtype=bool)
        np.logical_or.at(met, code, known)
        clusters = met.sum(axis=0)
        error = np.sqrt((residual**2).sum(axis=0) * clusters / (clusters - 1)) / n
    return mean, np.where(clusters >= 2, error, np.nan), clusters


def _quantile(clusters: NDArray[np.int64], level: float) -> NDArray[np.float64]:
    return np.asarray(np.where(clusters >= 2, student.ppf((1 + level) / 2, np.maximum(clusters - 1, 1)), np.nan))


def _share_interval(
    share: NDArray[np.float64],
    error: NDArray[np.float64],
    n: NDArray[np.int64],
    clusters: NDArray[np.int64],
    level: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = share * (1 - share) / error**2
        ratio = student.ppf((1 + level) / 2, np.maximum(n - 1, 1)) / student.ppf(
            (1 + level) / 2, np.maximum(clusters - 1, 1)
        )
        # Where nothing varies the variance says nothing: count clusters. Never more than the questions.
        effective = np.where(error > _ROUNDING, np.minimum(effective * ratio**2, n), clusters)
    known = clusters >= 2
    trials = np.where(known, effective, 0.0)
    successes = np.minimum(np.where(known, share, 0.0) * trials, trials)
    return clopper_pearson(successes, trials, level)
