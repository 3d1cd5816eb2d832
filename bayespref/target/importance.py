"""Importance weights from the logged to the declared population, as a product of named parts kept in log space.

``log w = sum of parts``: who asked what (p_T/p_O over prompt and type) and which pair was shown (g_T/g_O). Each part is
known (propensities on record) or estimated (shares of the log, a classifier), and says which. In a policy with its own
scores for every prompt the factor p_T(x)/p_O(x) cancels; it matters where prompts share parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, finite, non_negative, positive, simplex
from bayespref.display import shown
from bayespref.weights import QUANTILES, clip, normalise, tail


@shown(next_step="combine the parts into weights")
class Part(NamedTuple):
    """One factor of the weights.

    Attributes
    ----------
    name : str
        What it corrects, for instance ``"prompt and type"``.
    log_ratio : array, shape (n,)
        Log of target over logged probability of each row, nats; minus infinity where the target never goes.
    estimated : bool
        False where both probabilities are declared or on record.
    """

    name: str
    log_ratio: NDArray[np.float64]
    estimated: bool


@shown(next_step="trust(weights, ...) says whether they may decide")
class Weights(NamedTuple):
    """The product of parts.

    Attributes
    ----------
    weight : array, shape (n,)
        exp of the summed log ratios, not rescaled: its mean should be one.
    parts : tuple of Part
        What it was made of.
    """

    weight: NDArray[np.float64]
    parts: tuple[Part, ...]


@shown(
    "{n_clipped} weights clipped, mass moved {mass_moved}",
    next_step="see the frontier over caps before choosing one",
)
class ClippedWeights(NamedTuple):
    """Weights cut at a cap and self-normalised after.

    Attributes
    ----------
    weight : array, shape (n,)
        Mean one.
    n_clipped : int
        Rows cut.
    mass_moved : float
        Share of the target's mass that the cut moved elsewhere: half the L1 distance between the shares of the rows
        before and after. The estimate is for that other target (`estimated_target`).
    """

    weight: NDArray[np.float64]
    n_clipped: int
    mass_moved: float


def known_ratio(name: str, target: Float[np.ndarray, " n"], logged: Float[np.ndarray, " n"] | None) -> Part:
    """Take a part from probabilities on record.

    Parameters
    ----------
    name : str
        What it corrects.
    target, logged : array, shape (n,)
        Probability of what the row shows, under the target and when it was logged. Both of the ordered pair, or, where
        the order was randomised, both of the unordered one (`unordered`).

    Returns
    -------
    Part

    Raises
    ------
    ValueError
        If logged probabilities are missing (None or NaN), or zero on a row that was logged (a contradiction), or a
        probability leaves [0, 1].

    Examples
    --------
    >>> np.exp(known_ratio("pair", [0.5, 0.0], [0.25, 0.5]).log_ratio).tolist()
    [2.0, 0.0]
    """
    if logged is None:
        raise ValueError(f"{name}: the target differs from the log here, and the table has no logged propensities")
    to, given = as_float(f"{name} (target)", target), as_float(f"{name} (logged)", logged)
    rules = (
        (np.isnan(given), "logged propensities are missing"),
        (given == 0, "a row was logged though its logged propensity is zero; the propensities are wrong"),
        (~((given >= 0) & (given <= 1)), "logged propensities must lie in (0, 1]"),
        (~((to >= 0) & (to <= 1)), "target probabilities must lie in [0, 1]"),
    )
    for bad, rule in rules:
        if bad.any():
            raise ValueError(f"{name}: {rule}; {int(bad.sum())} row(s), first {np.flatnonzero(bad)[:5].tolist()}")
    with np.errstate(divide="ignore"):
        return Part(name, np.log(to) - np.log(given), False)


def post_stratified(
    name: str,
    cell: Int[np.ndarray, " n"],
    target: Float[np.ndarray, " cell"],
    *,
    labels: Sequence[object] | None = None,
    count: Float[np.ndarray, " n"] | None = None,
) -> Part:
    """Take a part from the log's own shares: w_k = p_T(k) / (n_k / n), of mean exactly one.

    Parameters
    ----------
    name : str
        What it corrects.
    cell : int array, shape (n,)
        Cell of each row.
    target : array, shape (cell,)
        p_T, summing to one.
    labels : sequence, optional
        Names of the cells, for messages.
    count : array, shape (n,), optional
        Comparisons each row stands for; one by default.

    Returns
    -------
    Part

    Raises
    ------
    TargetMixError
        If ``target`` is not a distribution.
    ValueError
        If the target has mass on a cell that no row is in: no weight reaches it. The cells are listed.

    Examples
    --------
    >>> np.exp(post_stratified("type", [0, 0, 0, 1], [0.5, 0.5]).log_ratio).round(4).tolist()
    [0.6667, 0.6667, 0.6667, 2.0]
    """
    share = simplex(f"{name} (target)", target)
    codes = np.asarray(cell, dtype=np.int64)
    mass = np.ones(len(codes)) if count is None else finite("count", non_negative("count", count))
    logged = np.bincount(codes, mass, minlength=len(share)) / mass.sum()
    empty = np.flatnonzero((share > 0) & (logged == 0))
    if len(empty):
        shown = [str(labels[k]) if labels is not None else int(k) for k in empty[:20]]
        raise ValueError(
            f"{name}: the target puts {share[empty].sum():.3g} of its mass on {len(empty)} cell(s) without a row "
            f"(no_overlap): {shown}; collect there, or declare a target without them"
        )
    with np.errstate(divide="ignore"):
        ratio = np.log(share) - np.log(np.where(logged > 0, logged, 1.0))
    return Part(name, ratio[codes], True)


def unordered(pair: Float[np.ndarray, "*lead item item_other"]) -> Float[np.ndarray, "*lead item item_other"]:
    """Probability of a pair in either order, on both of its places; use it on both sides where order is randomised.

    Examples
    --------
    >>> unordered(np.array([[0.0, 0.75], [0.25, 0.0]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    g = as_float("pair", pair, min_ndim=2)
    return np.asarray(g + np.swapaxes(g, -1, -2))


def combine(*parts: Part) -> Weights:
    """Multiply parts.

    Parameters
    ----------
    *parts : Part
        Named factors, each its own name.

    Returns
    -------
    Weights

    Raises
    ------
    ValueError
        If there is none, names repeat, shapes differ, a ratio is NaN or infinite, or every weight is zero.

    Examples
    --------
    >>> both = combine(known_ratio("pair", [0.5, 0.5], [0.25, 1.0]), post_stratified("type", [0, 1], [0.5, 0.5]))
    >>> both.weight.round(4).tolist(), [part.estimated for part in both.parts]
    ([2.0, 0.5], [False, True])
    """
    names = [part.name for part in parts]
    if not parts or len(set(names)) < len(names):
        raise ValueError(f"parts: give at least one, each under its own name, got {names}")
    for part in parts:
        bad = np.isnan(part.log_ratio) | np.isposinf(part.log_ratio)
        if bad.any():
            raise ValueError(
                f"{part.name}: log ratios must not be NaN or infinite; rows {np.flatnonzero(bad)[:5].tolist()}"
            )
    if len({part.log_ratio.shape for part in parts}) > 1:
        raise ValueError(f"parts: shapes differ: {[part.log_ratio.shape for part in parts]}")
    weight = np.exp(np.sum([part.log_ratio for part in parts], axis=0))
    if not (weight > 0).any():
        raise ValueError("parts: every weight is zero: the target and the log share no row")
    return Weights(weight, parts)


def clipped(
    weight: Float[np.ndarray, " n"], cap: float, times: Float[np.ndarray, " n"] | None = None
) -> ClippedWeights:
    """Cut weights at a cap, then self-normalise; say how far the target moved.

    Parameters
    ----------
    weight : array, shape (n,)
        Weights >= 0.
    cap : float
        Largest weight, on the scale of mean one, > 0; infinite for self-normalisation alone.
    times : array, shape (n,), optional
        Comparisons each row stands for, one by default: the cap is one comparison's, and means are over comparisons.

    Returns
    -------
    ClippedWeights

    Raises
    ------
    ValueError
        If a weight is negative or ``cap`` not above zero.

    Examples
    --------
    >>> got = clipped(np.array([0.2, 0.5, 1.0, 1.0, 4.0]), 2.0)
    >>> got.weight.round(4).tolist(), got.n_clipped, round(got.mass_moved, 4)
    ([0.2128, 0.5319, 1.0638, 1.0638, 2.1277], 1, 0.1715)
    """
    cut = np.asarray(weight, dtype=np.float64) if np.isposinf(cap) else clip(weight, positive("cap", cap))
    count = np.ones(np.shape(weight)) if times is None else finite("times", non_negative("times", times))
    with np.errstate(invalid="ignore", divide="ignore"):  # a row that stands for nothing has no weight either
        before, after = (np.where(count > 0, normalise(x * count) / normalise(count), 0.0) for x in (weight, cut))
    moved = 0.5 * float((count * np.abs(after - before)).sum() / count.sum())
    return ClippedWeights(after, int((np.asarray(weight) > cut).sum()), moved)


def estimated_target(
    weight: Float[np.ndarray, " n"], cell: Int[np.ndarray, " n"], n_cells: int
) -> Float[np.ndarray, " cell"]:
    """Target that weighted rows actually estimate: the weighted share of each cell.

    Parameters
    ----------
    weight : array, shape (n,)
        Weights after clipping, >= 0.
    cell : int array, shape (n,)
        Cell of each row.
    n_cells : int
        Number of cells.

    Returns
    -------
    array, shape (cell,)
        Sums to one.

    Examples
    --------
    >>> estimated_target(clipped(np.array([0.5, 0.5, 3.0]), 1.0).weight, np.array([0, 0, 1]), 2).tolist()
    [0.5, 0.5]
    """
    w = normalise(weight)
    return np.asarray(np.bincount(np.asarray(cell, dtype=np.int64), w, minlength=n_cells) / len(w))


def overlap_report(weights: Weights, slices: Mapping[str, ArrayLike] | None = None) -> pd.DataFrame:
    """Diagnose weights, whole and by slice.

    Parameters
    ----------
    weights : Weights
        Not rescaled: the mean is part of the diagnosis.
    slices : mapping of str to array of labels, shape (n,), optional
        For instance ``{"state": ..., "context": ...}``.

    Returns
    -------
    DataFrame
        One row for the whole table, for each part alone, and for each slice: ``what, n, n_eff, n_eff_share, mean,
        mean_se, mean_off`` (mean more than three standard errors from one: the propensities are wrong; within a slice
        and for a post-stratified part the mean need not be one, so it is not judged there), ``mean_square, maximum,
        top_share`` (mass of the top 1 %), quantiles and ``estimated`` (names of estimated parts).

    Examples
    --------
    >>> both = combine(known_ratio("pair", [0.5, 0.5], [0.25, 1.0]))
    >>> overlap_report(both, {"state": ["x", "y"]})[["what", "n", "mean"]].values.tolist()
    [['all rows', 2, 1.25], ['part: pair', 2, 1.25], ['state = x', 1, 2.0], ['state = y', 1, 0.5]]
    """
    parts = [
        (f"part: {part.name}", np.exp(part.log_ratio), not part.estimated, part.estimated) for part in weights.parts
    ]
    fitted = any(part.estimated for part in weights.parts)
    rows = [("all rows", weights.weight, True, fitted), *parts]
    for name, labels in (slices or {}).items():
        values = np.asarray(labels)
        rows += [(f"{name} = {v}", weights.weight[values == v], False, fitted) for v in np.unique(values)]
    return pd.DataFrame([_row(what, w, judged, estimated) for what, w, judged, estimated in rows])


def _row(what: str, w: NDArray[np.float64], judged: bool, estimated: bool) -> dict[str, object]:
    got = tail(w)
    row: dict[str, object] = {"what": what, "n": len(w), "n_eff": float(got.n_eff), "n_eff_share": float(got.share_eff)}
    row |= {"mean": float(got.mean), "mean_se": float(got.mean_se), "mean_off": bool(got.mean_off) and judged}
    row |= {"mean_square": float(got.mean_square), "maximum": float(got.maximum), "top_share": float(got.top_share)}
    row |= {f"q{100 * q:g}": float(value) for q, value in zip(QUANTILES, got.quantiles, strict=True)}
    return row | {"estimated": estimated}
