"""Difference of log-odds of one question between two contexts, question by question."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.stats import norm

from bayespref.checks import between, finite
from bayespref.comparisons import Comparisons
from bayespref.dims import BOTH_BAD, CONTEXT
from bayespref.display import shown

_SCORE = np.array([1.0, 0.0, 0.5])


@shown(
    "log-odds differ by {difference}, standard error {error}",
    next_step="a shift means that the context changes answers: do not pool",
)
class LogOddsShift(NamedTuple):
    """Difference of log-odds between two sets of labels of the same question."""

    difference: Float[np.ndarray, " question"]
    """Log-odds of the second less the first; NaN where either side is unanimous or absent."""
    error: Float[np.ndarray, " question"]
    """Cluster-robust standard error; NaN with fewer than two clusters on either side: residuals of a single one sum to
    zero whatever it answered."""
    share: Float[np.ndarray, "question two"]
    n: Float[np.ndarray, "question two"]
    n_clusters: Float[np.ndarray, " question"]
    """Clusters behind the error; labels where they are taken as independent."""


def log_odds_shift(
    score: Float[np.ndarray, " label"],
    weight: Float[np.ndarray, " label"],
    side: Int[np.ndarray, " label"],
    question: Int[np.ndarray, " label"],
    cluster: Int[np.ndarray, " label"] | None,
    n_questions: int,
) -> LogOddsShift:
    """Shift of the log-odds of every question, with errors that let labels of one cluster depend on each other.

    Parameters
    ----------
    score : float array, shape (label,)
        1 where item a was preferred, 0 where item b was, 0.5 for a tie.
    weight : float array, shape (label,)
        Labels each row stands for.
    side : int array, shape (label,)
        0 for the first context, 1 for the second.
    question : int array, shape (label,)
    cluster : int array or None, shape (label,)
        Annotator each label belongs to; None takes labels as independent.
    n_questions : int

    Returns
    -------
    LogOddsShift

    Notes
    -----
    Delta method: a label moves the log-odds by (y - p) / (n p (1 - p)); these are summed within clusters, squared and
    multiplied by G / (G - 1). Independent labels give 1/(n p) + 1/(n (1 - p))
    a side. An approximation for large counts.

    Examples
    --------
    >>> one = np.ones(4)
    >>> got = log_odds_shift(np.array([1.0, 0.0, 1.0, 0.0]), np.array([3.0, 1.0, 1.0, 3.0]), np.array([0, 0, 1, 1]),
    ...                      np.zeros(4, dtype=int), None, 1)
    >>> round(float(got.difference[0]), 4), round(float(got.error[0]) ** 2, 4)  # 2 log(1/3), 2 (1/3 + 1)
    (-2.1972, 2.6667)
    """
    y, w = between("score", score, 0.0, 1.0), finite("weight", weight)
    cell = np.asarray(question) * 2 + np.asarray(side)
    n = np.bincount(cell, weights=w, minlength=2 * n_questions).reshape(n_questions, 2)
    won = np.bincount(cell, weights=w * y, minlength=2 * n_questions).reshape(n_questions, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(n > 0, won / n, np.nan)
        open_ = (share > 0) & (share < 1)
        logit = np.where(open_, np.log(share) - np.log1p(-share), np.nan)
        slope = np.where(open_, 1.0 / (n * share * (1 - share)), np.nan)
    sign = np.where(np.asarray(side) == 1, 1.0, -1.0)
    influence = sign * w * (y - share[question, side]) * slope[question, side]
    if cluster is None:
        n_clusters, by_side = n.sum(axis=1), n
        pull = w * ((y - share[question, side]) * slope[question, side]) ** 2
        square = np.bincount(question, weights=np.nan_to_num(pull), minlength=n_questions)
    else:
        keys, code = np.unique(np.stack([question, cluster], axis=1), axis=0, return_inverse=True)
        by_cluster = np.bincount(code.reshape(-1), weights=np.nan_to_num(influence), minlength=len(keys))
        n_clusters = np.bincount(keys[:, 0], minlength=n_questions)
        met = np.unique(np.stack([cell[w > 0], np.asarray(cluster)[w > 0]], axis=1), axis=0)[:, 0]
        by_side = np.bincount(met, minlength=2 * n_questions).reshape(n_questions, 2)
        square = np.bincount(keys[:, 0], weights=by_cluster**2, minlength=n_questions)
        square = np.asarray(square * n_clusters / np.maximum(n_clusters - 1, 1))
    difference = logit[:, 1] - logit[:, 0]
    error = np.sqrt(square)
    known = (by_side >= 2).all(axis=1) & ~np.isnan(difference)
    return LogOddsShift(difference, np.where(known, error, np.nan), share, n, n_clusters)


def swap_contrasts(comparisons: Comparisons, *, level: float = 0.95) -> pd.DataFrame:
    """List every question judged under two contexts with the difference of its log-odds.

    Parameters
    ----------
    comparisons : Comparisons
        A table with contexts. Clusters are annotators where it names them; else labels are independent.
    level : float
        Level of each interval, in (0, 1).

    Returns
    -------
    DataFrame
        One row a (state, pair, pair of contexts): ``state``, ``item_a``, ``item_b``, ``context``, ``context_other``,
        ``n``, ``n_other``, ``share``, ``share_other`` (item_a preferred, ties half), ``difference`` (log-odds, other
        less first), ``lower``, ``upper``, ``n_clusters``, ``reason`` (``separated`` where a side is unanimous, ``thin``
        where fewer than two clusters answered on a side, else empty). Largest standardised difference first.

    Raises
    ------
    TableError
        If the table has no contexts.

    Notes
    -----
    Many questions make some large differences by chance: read single rows as leads, ``prompt_swaps`` as the answer.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> zero = np.zeros(4, dtype=int)
    >>> table = from_codes(zero, zero + 1, np.array([0, 1, 0, 1]), items=("x", "y"), context=[0, 0, 1, 1],
    ...                    contexts=("old", "new"), weight=np.array([3.0, 1.0, 1.0, 3.0]))
    >>> swap_contrasts(table)[["context", "share", "context_other", "share_other"]].values.tolist()
    [['old', 0.75, 'new', 0.25]]
    """
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level!r}")
    comparisons.codes(CONTEXT)
    table = comparisons.counts
    kept = np.flatnonzero(table.outcome != BOTH_BAD)
    context = table.context[kept]
    who = None if comparisons.annotator is None else table.annotator[kept].astype(np.int64)
    asked, question = np.unique(
        np.stack([table.state[kept], table.item_a[kept], table.item_b[kept]], axis=1), axis=0, return_inverse=True
    )
    question = question.reshape(-1)
    met = np.zeros((len(asked), len(comparisons.contexts)), dtype=bool)
    met[question, context] = True
    z = norm.ppf((1 + level) / 2)
    frames = []
    for first, second in combinations(range(len(comparisons.contexts)), 2):
        both = met[:, first] & met[:, second]
        rows = np.flatnonzero(both[question] & ((context == first) | (context == second)))
        if not len(rows):
            continue
        number = np.cumsum(both) - 1
        got = log_odds_shift(
            _SCORE[table.outcome[kept][rows]],
            table.total[kept][rows],
            (context[rows] == second).astype(np.int64),
            number[question[rows]],
            None if who is None else who[rows],
            int(both.sum()),
        )
        frames.append(_frame(comparisons, asked[both], (first, second), got, z))
    columns = ["state", "item_a", "item_b", "context", "context_other", "n", "n_other", "share", "share_other"]
    columns += ["difference", "lower", "upper", "n_clusters", "reason"]
    if not frames:
        return pd.DataFrame([], columns=columns)
    frame = pd.concat(frames, ignore_index=True)
    return frame.sort_values("_z", ascending=False, kind="stable", ignore_index=True)[columns]


def _frame(
    comparisons: Comparisons,
    asked: NDArray[np.integer],
    contexts: tuple[int, int],
    got: LogOddsShift,
    z: float,
) -> pd.DataFrame:
    items, states = np.asarray(comparisons.items, dtype=object), np.asarray(comparisons.states, dtype=object)
    reason = np.where(np.isnan(got.difference), "separated", np.where(np.isnan(got.error), "thin", ""))
    with np.errstate(invalid="ignore", divide="ignore"):
        standard = np.nan_to_num(np.abs(got.difference) / got.error, nan=-1.0)
    return pd.DataFrame(
        {
            "state": states[asked[:, 0]],
            "item_a": items[asked[:, 1]],
            "item_b": items[asked[:, 2]],
            "context": comparisons.contexts[contexts[0]],
            "context_other": comparisons.contexts[contexts[1]],
            "n": got.n[:, 0],
            "n_other": got.n[:, 1],
            "share": got.share[:, 0],
            "share_other": got.share[:, 1],
            "difference": got.difference,
            "lower": got.difference - z * got.error,
            "upper": got.difference + z * got.error,
            "n_clusters": got.n_clusters,
            "reason": reason,
            "_z": standard,
        }
    )
