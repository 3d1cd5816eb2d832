"""Which traits predict preferences equally well in every environment, and what such a trait encodes.

A bounded search after Peters, Buehlmann & Meinshausen (2016, JRSS B 78, 947-1012): the caller names candidate traits
(each row's value of the trait times what the pair offers for it), and every subset up to a size is tested for one set
of coefficients across environments, none of them zero. Nothing outside the candidates is discovered, and a trait that
is invariant need not be a cause: see `Discovery` for what holds and what does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import chi2, norm

from bayespref.checks import at_least, between, finite
from bayespref.display import shown
from bayespref.target.crossfit import folds_by_annotator
from bayespref.target.fitdpo import linear_dpo
from bayespref.target.modification import score_statistic

_MOST_SUBSETS = 512


@shown("kept: {chosen}; in every accepted set: {invariant}", next_step="audit what a kept trait encodes (audit_trait)")
class Discovery(NamedTuple):
    """Accepted sets of traits.

    Attributes
    ----------
    table : DataFrame
        One row a subset: ``traits, p_value`` (equal coefficients in all environments), ``p_effect`` (largest p-value of
        "this coefficient of the pooled fit is zero"), ``accepted`` (``p_value`` at least and ``p_effect`` below
        ``level``), ``reason, worst_log_loss, environment`` (held-out log-loss in the environment it predicts worst,
        nats, and which that is). ``reason`` says why p-values are NaN: ``separated``, or ``thin`` (fewer than two
        annotators a tested difference).
    invariant : tuple of str
        Traits in every accepted subset and in every one with a ``reason`` (untested is not rejected). Empty where no
        subset is accepted, or no candidate is shown to predict at all.
    chosen : tuple of str
        Accepted subset of least worst-environment log-loss; empty where none is accepted, or no candidate is shown to
        predict at all. A choice for prediction, without a level.
    level : float
        Level of each test.
    p_any : float
        p-value of "no candidate predicts", one clustered score test of all; NaN where there are too few annotators.

    Notes
    -----
    All tests are asymptotic in the number of annotators.

    Guaranteed: where no candidate has a coefficient in any environment, ``invariant`` and ``chosen`` are not empty with
    probability at most ``level``.

    Under assumptions: if one of the subsets holds all causes, environments do not act on the label directly and the
    logistic link is right, the test of invariance rejects that subset with probability at most ``level``; while it is
    accepted, ``invariant`` holds causes only.

    Not guaranteed: a set of causes with a coefficient too weak to tell from zero is not accepted, and then
    ``invariant`` may hold a trait that is no cause, as it may where no subset holds all causes. Where environments
    differ too little, what follows the label passes as invariant too, beside its causes. A trait that is missing from
    ``invariant`` may be a cause.
    """

    table: pd.DataFrame
    invariant: tuple[str, ...]
    chosen: tuple[str, ...]
    level: float
    p_any: float


def discover_traits(
    rows: Float[np.ndarray, "n trait"],
    label: Float[np.ndarray, " n"],
    environment: Int[np.ndarray, " n"],
    annotator: Int[np.ndarray, " n"],
    names: Sequence[str],
    *,
    level: float = 0.05,
    most_traits: int = 3,
    n_folds: int = 5,
    seed: int,
) -> Discovery:
    """Test every subset of candidate traits for coefficients that are equal across environments and not zero.

    Parameters
    ----------
    rows : array, shape (n, trait)
        Contribution of each candidate trait to the row: trait of the annotator times the difference of the two items.
    label : array, shape (n,)
        Share of the label for the first item, in [0, 1].
    environment : int array, shape (n,)
        Environment of each row; at least two.
    annotator : int array, shape (n,)
        Who answered: clusters of the test and folds of the prediction.
    names : sequence of str
        Of the candidate traits.
    level : float
        Level of each test.
    most_traits : int
        Largest subset tried.
    n_folds, seed : int
        Folds of held-out prediction.

    Returns
    -------
    Discovery

    Raises
    ------
    ValueError
        If there are more than 512 subsets, fewer than two environments, or shapes disagree.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z, e = rng.normal(size=(2000, 2)), np.arange(2000) % 2
    >>> label = (rng.random(2000) < expit(z[:, 0])).astype(float)
    >>> z[:, 1] = np.where(e == 0, 1.0, -1.0) * (2 * label - 1) + z[:, 1]  # follows the label, its sign by environment
    >>> found = discover_traits(z, label, e, np.arange(2000), ["cause", "effect"], seed=0)
    >>> found.invariant, found.chosen
    (('cause',), ('cause',))
    """
    x, y = finite("rows", rows), between("label", label, 0.0, 1.0)
    between("level", level, 0.0, 1.0)
    most = min(at_least("most_traits", most_traits, 1), len(names))
    if x.ndim != 2 or x.shape != (len(y), len(names)):
        raise ValueError(f"rows: must have shape (n, {len(names)}) with n = {len(y)}, got {x.shape}")
    subsets = sum(comb(len(names), k) for k in range(1, most + 1))
    if subsets > _MOST_SUBSETS:
        raise ValueError(
            f"most_traits: {subsets} subsets, more than {_MOST_SUBSETS}; name fewer candidates or a smaller size"
        )
    kinds, code = np.unique(np.asarray(environment), return_inverse=True)
    if len(kinds) < 2:
        raise ValueError(f"environment: invariance needs at least two environments, got {len(kinds)}")
    fold = folds_by_annotator(annotator, n_folds, seed=seed)
    found = []
    for size in range(1, most + 1):
        for chosen in combinations(range(len(names)), size):
            own = x[:, chosen]
            p_value, p_effect, reason = _tests(own, y, code, len(kinds), annotator)
            loss = _held_out(own, y, code, fold)
            worst = int(np.argmax(loss))
            found.append(
                {"traits": tuple(names[k] for k in chosen), "p_value": p_value, "p_effect": p_effect}
                | {"accepted": p_value >= level and p_effect < level, "reason": reason}
                | {"worst_log_loss": float(loss[worst]), "environment": kinds[worst]}
            )
    table = pd.DataFrame(found)
    p_any = _score_p((y - 0.5)[:, None] * x, annotator)
    passed = table[table["accepted"]]
    if passed.empty or not p_any < level:
        return Discovery(table, (), (), float(level), p_any)
    common = set.intersection(*(set(traits) for traits in table["traits"][table["accepted"] | (table["reason"] != "")]))
    loss = passed["worst_log_loss"].fillna(np.inf).to_numpy()
    best = tuple(passed["traits"].iloc[int(loss.argmin())]) if np.isfinite(loss).any() else ()
    return Discovery(table, tuple(name for name in names if name in common), best, float(level), p_any)


def _score_p(scores: NDArray[np.float64], annotator: Int[np.ndarray, " n"]) -> float:
    """p-value of summed scores of mean zero; NaN where annotators are too few for so many."""
    statistic, df, clusters = score_statistic(scores, annotator)
    return float(chi2.sf(statistic, df)) if 0 < df <= clusters / 2 else float("nan")


def _tests(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    environment: NDArray[np.intp],
    n_environments: int,
    annotator: Int[np.ndarray, " n"],
) -> tuple[float, float, str]:
    """Clustered p-values at the pooled fit, or why there are none.

    First "all environments have equal coefficients" (score test), then the largest of "this one is zero" (Wald).
    """
    fit = linear_dpo(x, y, np.ones(len(y)))
    theta = fit.coefficient
    if fit.reason:
        return float("nan"), float("nan"), fit.reason
    p = expit(x @ theta)
    member = environment[:, None] == np.arange(n_environments)
    score = (y - p)[:, None] * x
    own = member[:, :, None] * score[:, None, :]
    information = np.einsum("n,ne,nj,nk->ejk", p * (1.0 - p), member.astype(float), x, x, optimize=True)
    inverse = np.linalg.inv(information.sum(axis=0))
    explained = np.einsum("ejk,kl,nl->nej", information, inverse, score)
    p_value = _score_p((own - explained).reshape(len(y), -1), annotator)
    if np.isnan(p_value):
        return p_value, p_value, "thin"
    _, code = np.unique(np.asarray(annotator), return_inverse=True)
    moves = np.zeros((int(code.max()) + 1, x.shape[1]))
    np.add.at(moves, code, score @ inverse)
    error = np.sqrt((moves**2).sum(axis=0) * len(moves) / (len(moves) - 1))
    return p_value, float(2.0 * norm.sf(np.abs(theta) / error).max()), ""


def _held_out(
    x: NDArray[np.float64], y: NDArray[np.float64], environment: NDArray[np.intp], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Log-loss by environment, each row predicted without its annotator's fold."""
    z = np.empty(len(y))
    for k in range(int(fold.max()) + 1):
        held = fold == k
        z[held] = x[held] @ linear_dpo(x[~held], y[~held], np.ones(int((~held).sum()))).coefficient
    with np.errstate(invalid="ignore"):  # no coefficients without a fold, no loss
        loss = np.logaddexp(0.0, z) - y * z
    return np.asarray(np.bincount(environment, loss) / np.bincount(environment))


def audit_trait(
    trait: Float[np.ndarray, " annotator"],
    features: Float[np.ndarray, "annotator feature"],
    names: Sequence[str],
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Say which features of annotators a trait encodes.

    Parameters
    ----------
    trait : array, shape (annotator,)
        Value of the trait, for instance a posterior mean.
    features : array, shape (annotator, feature)
        What is known of the annotators (protected attributes belong here).
    names : sequence of str
        Of the features.
    level : float
        Level of the intervals.

    Returns
    -------
    DataFrame
        By feature: ``feature, correlation, lower, upper`` (Fisher's z interval), ``share_alone`` (squared correlation)
        and ``share_unique`` (fall of R-squared when the feature is left out), sorted by ``share_alone``;
        ``attrs["r_squared"]`` is that of all features together. A constant feature has NaN.

    Raises
    ------
    ValueError
        If shapes disagree or there are not at least four annotators more than features.

    Examples
    --------
    >>> z = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> table = audit_trait(2 * z, np.stack([z, z % 2], axis=1), ["age", "parity"])
    >>> table["feature"].tolist(), round(table.attrs["r_squared"], 6)
    (['age', 'parity'], 1.0)
    """
    z, x = finite("trait", trait), finite("features", features)
    between("level", level, 0.0, 1.0)
    if x.ndim != 2 or x.shape != (len(z), len(names)) or len(z) < len(names) + 4:
        raise ValueError(
            f"features: need shape (annotator, {len(names)}) and 4 more annotators than that, got {x.shape}"
        )
    z = z - z.mean()
    x = x - x.mean(axis=0)
    size = (x**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(size > 0, x.T @ z / np.sqrt(size * (z @ z)), np.nan)
        reach = norm.ppf(0.5 + 0.5 * level) / np.sqrt(len(z) - 3)
        inner = np.arctanh(np.clip(r, -1.0, 1.0))
    whole = _r_squared(z, x)
    unique = [whole - _r_squared(z, np.delete(x, k, axis=1)) for k in range(len(names))]
    table = pd.DataFrame(
        {"feature": list(names), "correlation": r, "lower": np.tanh(inner - reach), "upper": np.tanh(inner + reach)}
        | {"share_alone": r**2, "share_unique": np.where(size > 0, unique, np.nan)}
    ).sort_values("share_alone", ascending=False, ignore_index=True)
    table.attrs |= {"r_squared": whole, "level": level}
    return table


def _r_squared(z: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    fitted = x @ np.linalg.lstsq(x, z, rcond=None)[0] if x.shape[1] else np.zeros(len(z))
    return float(1.0 - ((z - fitted) ** 2).sum() / (z @ z))
