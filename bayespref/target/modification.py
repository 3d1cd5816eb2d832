"""Do contexts prefer differently? Where they do, weighted DPO is the wrong tool.

Weighted DPO fits ``logit sum_c p_T(c|x) sigmoid(d_c)``; the target's averaged reward has ``sum_c p_T(c|x) d_c``. They
are one number where the contexts' differences d_c agree. The test asks whether the table refutes that they do.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import chi2

from bayespref.checks import between, simplex
from bayespref.display import shown
from bayespref.errors import EffectModification
from bayespref.target.fitdpo import pair_wins, reachable, tabular_dpo


@shown(next_step="where modified, fit types first and tilt their average")
class Modification(NamedTuple):
    """Test of equal preferences across contexts.

    Attributes
    ----------
    statistic : float
        Score statistic, clustered by annotator.
    df : int
        Its degrees of freedom.
    p_value : float
        From the chi-squared limit; NaN where it cannot be judged.
    verdict : str
        ``"modified"`` (weighted DPO is biased for the averaged reward), ``"not shown"``, or ``"undecided"`` (nothing to
        compare, or too few annotators for so many differences).
    bias : array, shape (state, item, item)
        Log-odds by which weighted DPO's contrast misses the averaged one, from separate fits of each context; NaN where
        a context of positive share does not identify the contrast.
    words : str
        The verdict in one sentence.
    """

    statistic: float
    df: int
    p_value: float
    verdict: str
    bias: NDArray[np.float64]
    words: str


def score_statistic(scores: Float[np.ndarray, "n p"], cluster: Int[np.ndarray, " n"] | None) -> tuple[float, int, int]:
    """Statistic S' V^+ S of summed scores that have mean zero under the hypothesis, with V clustered.

    Parameters
    ----------
    scores : array, shape (n, p)
        Efficient score of each row.
    cluster : int array, shape (n,), optional
        Rows that may depend on one another; each alone by default.

    Returns
    -------
    tuple of float, int, int
        Statistic, rank of V (degrees of freedom), number of clusters.

    Examples
    --------
    >>> score_statistic(np.array([[1.0], [-1.0], [1.0]]), None)
    (0.3333333333333333, 1, 3)
    """
    rows = np.asarray(scores, dtype=np.float64)
    if cluster is not None:
        _, code = np.unique(np.asarray(cluster), return_inverse=True)
        summed = np.zeros((int(code.max()) + 1, rows.shape[1]))
        np.add.at(summed, code, rows)
        rows = summed
    covariance = rows.T @ rows
    value, vector = np.linalg.eigh(covariance)
    kept = value > 1e-9 * max(float(value.max(initial=0.0)), 1e-300)
    along = (rows.sum(axis=0) @ vector)[kept]
    return float((along**2 / value[kept]).sum()), int(kept.sum()), len(rows)


def effect_modification(
    state: Int[np.ndarray, " n"],
    context: Int[np.ndarray, " n"],
    item_a: Int[np.ndarray, " n"],
    item_b: Int[np.ndarray, " n"],
    label: Float[np.ndarray, " n"],
    type_share: Float[np.ndarray, "state context"],
    *,
    annotator: Int[np.ndarray, " n"] | None = None,
    n_items: int,
    level: float = 0.05,
) -> Modification:
    """Test whether contexts share one table of scores in every state; warn where they do not.

    A generalised score test (White 1982; clustered by annotator) of "each state has one Bradley-Terry score vector"
    against "each (state, context) has its own". It needs the fit of the hypothesis only, and keeps its level when an
    annotator's labels depend on one another.

    Parameters
    ----------
    state, context, item_a, item_b : int array, shape (n,)
        Codes of the rows.
    label : array, shape (n,)
        Share of the label for ``item_a`` (0.5 for a tie).
    type_share : array, shape (state, context)
        p_T(c | x), for the size of the bias.
    annotator : int array, shape (n,), optional
        Who answered.
    n_items : int
        Number of items.
    level : float
        Level of the test.

    Returns
    -------
    Modification

    Raises
    ------
    ValueError
        If the pairs of a state do not connect its items.

    Warns
    -----
    EffectModification
        Where the hypothesis is rejected at ``level``.

    Examples
    --------
    >>> rows = np.zeros(400, int), np.arange(400) % 2, np.zeros(400, int), np.ones(400, int)
    >>> got = effect_modification(*rows, (np.arange(400) % 4 < 2).astype(float), [[0.5, 0.5]], n_items=2)
    >>> got.verdict, got.df
    ('not shown', 1)
    """
    share = simplex("type_share", type_share)
    between("level", level, 0.0, 1.0)
    n_states, n_contexts = share.shape
    x, c, a, b = (np.asarray(code, dtype=np.int64) for code in (state, context, item_a, item_b))
    value = between("label", label, 0.0, 1.0)
    wins = pair_wins(x * n_contexts + c, a, b, value, n_states=n_states * n_contexts, n_items=n_items)
    wins = wins.reshape(n_states, n_contexts, n_items, n_items)
    common = tabular_dpo(wins.sum(axis=1))
    # A separated state has fitted probabilities 0 or 1 and says nothing on differences between contexts.
    usable = (common.reason == "")[x]
    score = np.where(np.isnan(common.score), 0.0, common.score)
    p = expit(score[x, a] - score[x, b])
    residual = np.where(usable, value - p, 0.0)
    size = n_contexts * n_items
    own = np.zeros((len(x), n_states, n_contexts, n_items))
    row = np.arange(len(x))
    own[row, x, c, a] += residual
    own[row, x, c, b] -= residual
    total = wins + np.swapaxes(wins, -1, -2)
    chance = expit(score[:, :, None] - score[:, None, :])[:, None]
    weight = total * chance * (1.0 - chance)
    information = np.eye(n_items) * weight.sum(axis=-1)[..., None] - weight
    pooled = np.linalg.pinv(information.sum(axis=1), hermitian=True)
    # Efficient scores: what the common vector explains is taken out of each context's score.
    explained = np.einsum("xcij,xjk,nxk->nxci", information, pooled, own.sum(axis=2), optimize=True)
    statistic, df, clusters = score_statistic((own - explained).reshape(len(x), n_states * size), annotator)
    bias = _bias(wins, share)
    if df == 0 or df > clusters / 2:
        words = f"undecided: {clusters} annotators or rows for {df} differences between contexts"
        return Modification(statistic, df, np.nan, "undecided", bias, words)
    p_value = float(chi2.sf(statistic, df))
    worst = float(np.nanmax(np.abs(bias))) if np.isfinite(bias).any() else np.nan
    numbers = (
        f"(statistic {statistic:.1f} on {df} df, p = {p_value:.2g}; largest bias of a contrast {worst:.2f} log-odds)"
    )
    if p_value >= level:
        return Modification(
            statistic, df, p_value, "not shown", bias, f"contexts are not shown to prefer differently {numbers}"
        )
    words = (
        f"contexts prefer differently {numbers}: weighted DPO does not target the averaged reward; fit types and tilt"
    )
    warnings.warn(words, EffectModification, stacklevel=2)
    return Modification(statistic, df, p_value, "modified", bias, words)


def _bias(wins: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit sum p sigmoid(d_c) - sum p d_c of every contrast."""
    split = np.asarray(~reachable(wins + np.swapaxes(wins, -1, -2) > 0).all(axis=(-1, -2)))
    score = tabular_dpo(np.where(split[..., None, None], 0.0, wins)).score
    gap = score[..., :, None] - score[..., None, :]
    p = share[..., None, None]
    known = np.where(p > 0, gap, 0.0)
    bias = logit((p * expit(known)).sum(axis=1)) - (p * known).sum(axis=1)
    return np.asarray(np.where(np.eye(wins.shape[-1], dtype=bool), 0.0, bias))
