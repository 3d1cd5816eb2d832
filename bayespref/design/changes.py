"""When did labels change, given what was asked? Change points with an exact permutation test.

Under no change, the labels of one stratum (the same pair, state and type) are exchangeable in time, whatever was asked
when and of whom. So labels are permuted within strata, and the largest standardised difference over all cuts is
compared with its permutation distribution: the chance of any report under no change is at most the level, for any
number of labels and cuts. Source: Good (2005), *Permutation, Parametric and Bootstrap Tests of Hypotheses*;
Vostrikova (1981) for binary segmentation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.checks import at_least, finite
from bayespref.design.gate import codes
from bayespref.display import shown

MOST_CUTS = 60


@shown("changes at {time}, p = {p_first}", next_step="fit the regimes apart, or find out what changed")
class Changes(NamedTuple):
    """Change points of one series of labels.

    Attributes
    ----------
    time : float array, shape (m,)
        First time of each new regime, ascending; empty if nothing changed.
    p_value : float array, shape (m,)
        Permutation p-value of each, (1 + exceedances) / (1 + n_permutations).
    p_first : float
        p-value of the whole series (of its strongest cut); NaN if no stratum has labels that differ.
    statistic : float
        Its standardised statistic.
    level : float
        Chance of at least one report if nothing changed, at most.
    n_permutations : int
        Monte-Carlo size; a p-value has a standard error of at most .5 / sqrt(n_permutations).
    reason : str
        ``"thin"`` if no stratum can show a change, "" otherwise.
    """

    time: Float[np.ndarray, " m"]
    p_value: Float[np.ndarray, " m"]
    p_first: float
    statistic: float
    level: float
    n_permutations: int
    reason: str


class _Series(NamedTuple):
    """Rows in time order: centred labels, stratum, direction, time."""

    residual: NDArray[np.float64]
    stratum: NDArray[np.intp]
    direction: NDArray[np.float64] | None
    time: NDArray[np.float64]


def _prepare(
    label: NDArray[np.float64],
    stratum: NDArray[np.intp],
    direction: NDArray[np.float64] | None,
    time: NDArray[np.float64],
) -> _Series:
    """Centre within strata; strata whose labels are all equal say nothing and are left out."""
    _, place = np.unique(stratum, return_inverse=True)
    n = np.bincount(place)
    mean = np.bincount(place, weights=label) / np.maximum(n, 1)
    residual = label - mean[place]
    spread = np.bincount(place, weights=residual**2)
    keep = spread[place] > 1e-12
    order = np.flatnonzero(keep)[np.argsort(time[keep], kind="stable")]
    _, place = np.unique(stratum[order], return_inverse=True)
    return _Series(residual[order], place, None if direction is None else direction[order], time[order])


def _cuts(time: NDArray[np.float64], least: int) -> NDArray[np.intp]:
    """Positions at which a new regime may begin: between different times, at least ``least`` rows on each side."""
    n = len(time)
    new = np.flatnonzero(np.diff(time) > 0) + 1
    new = new[(new >= least) & (new <= n - least)]
    if len(new) > MOST_CUTS:
        new = new[np.unique(np.linspace(0, len(new) - 1, MOST_CUTS).astype(int))]
    return new


def _statistics(series: _Series, cuts: NDArray[np.intp], residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised change at every cut, shape (rep, cut), for residuals (rep, n) permuted within strata."""
    n, strata = len(series.time), int(series.stratum.max()) + 1
    size = np.bincount(series.stratum)
    variance = np.bincount(series.stratum, weights=series.residual**2) / np.maximum(size - 1, 1)
    segment = np.searchsorted(cuts, np.arange(n), side="right")
    if series.direction is not None:
        g = series.direction
        # Rows before a cut count positively: a_i = g_i 1{i < cut}; permutation variance of sum a_i e_i by stratum.
        cell = series.stratum * (len(cuts) + 1) + segment
        shape = (strata, len(cuts) + 1)
        one = np.bincount(cell, weights=g, minlength=strata * shape[1]).reshape(shape).cumsum(axis=1)[:, :-1]
        two = np.bincount(cell, weights=g * g, minlength=strata * shape[1]).reshape(shape).cumsum(axis=1)[:, :-1]
        spread = (variance[:, None] * (two - one**2 / size[:, None])).sum(axis=0)
        steps = np.add.reduceat(residuals * g, np.concatenate([[0], cuts]), axis=1)
        early = steps.cumsum(axis=1)[:, :-1]
        return np.asarray(np.abs(early) / np.sqrt(np.maximum(spread, 1e-300)) * (spread > 1e-12))
    cell = series.stratum * (len(cuts) + 1) + segment
    width = strata * (len(cuts) + 1)
    out = np.empty((len(residuals), len(cuts)))
    counts = np.bincount(cell, minlength=width).reshape(strata, -1).cumsum(axis=1)[:, :-1]
    spread = variance[:, None] * counts * (size[:, None] - counts) / size[:, None]
    inside = spread > 1e-12
    informative = np.maximum(inside.sum(axis=0), 1)
    for r, one_draw in enumerate(residuals):
        early = np.bincount(cell, weights=one_draw, minlength=width).reshape(strata, -1).cumsum(axis=1)[:, :-1]
        total = np.where(inside, early**2 / np.where(inside, spread, 1.0), 0.0).sum(axis=0)
        out[r] = (total - informative) / np.sqrt(2.0 * informative)
    return out


def _test(
    series: _Series, cuts: NDArray[np.intp], n_permutations: int, rng: np.random.Generator
) -> tuple[int, float, float]:
    """Best cut, its statistic and its p-value over all cuts."""
    seen = _statistics(series, cuts, series.residual[None])[0]
    best = int(seen.argmax())
    exceed = 0
    order = np.argsort(series.stratum, kind="stable")
    for start in range(0, n_permutations, 50):
        block = min(50, n_permutations - start)
        drawn = np.empty((block, len(series.residual)))
        for r in range(block):
            shuffled = np.lexsort((rng.random(len(order)), series.stratum))
            drawn[r, order] = series.residual[shuffled]
        exceed += int((_statistics(series, cuts, drawn).max(axis=1) >= seen[best] - 1e-12).sum())
    return best, float(seen[best]), (1 + exceed) / (1 + n_permutations)


def _refine(series: _Series, cuts: NDArray[np.intp], best: int, least: int) -> int:
    """The strongest of all cuts between the neighbours of the best one tested; its p-value stays that of the test."""
    low = cuts[best - 1] if best else 0
    high = cuts[best + 1] if best + 1 < len(cuts) else len(series.time)
    every = np.flatnonzero(np.diff(series.time) > 0) + 1
    every = every[(every >= max(low, least)) & (every <= min(high, len(series.time) - least))]
    return int(every[_statistics(series, every, series.residual[None])[0].argmax()])


def change_points(
    label: Float[np.ndarray, " n"],
    stratum: Int[np.ndarray, " n"],
    time: Float[np.ndarray, " n"],
    *,
    rng: np.random.Generator,
    direction: Float[np.ndarray, " n"] | None = None,
    level: float = 0.05,
    n_permutations: int = 499,
    least: int = 20,
    most: int = 3,
) -> Changes:
    """Find when labels changed within strata, by binary segmentation with permutation tests.

    Parameters
    ----------
    label : array, shape (n,)
        1 or 0 (ties one half), on one orientation of each pair.
    stratum : integer array, shape (n,)
        What was asked, and of which type: labels of a stratum are exchangeable if nothing changes.
    time : array, shape (n,)
        When; ties are kept on one side of every cut.
    rng : numpy.random.Generator
    direction : array, shape (n,), optional
        Look for a change along this direction only (+1 where the first item was shown first, say; 0 leaves a row out of
        the contrast). By default any change of any stratum counts.
    level : float
        Chance of a report if nothing changed, at most.
    n_permutations : int
        Monte-Carlo size; at least 1 / level - 1.
    least : int
        Fewest labels on each side of a cut.
    most : int
        Largest number of change points.

    Returns
    -------
    Changes

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite, or the permutations are too few for the level.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> label = (rng.random(400) < np.where(np.arange(400) < 200, 0.2, 0.8)).astype(float)
    >>> got = change_points(label, np.zeros(400, dtype=int), np.arange(400.0), rng=rng)
    >>> bool(abs(got.time[0] - 200) < 15), got.p_first
    (True, 0.002)
    """
    values, when = finite("label", label), finite("time", time)
    if values.ndim != 1 or when.shape != values.shape:
        raise ValueError(f"time: must have the shape of label, got {when.shape} and {values.shape}")
    place = codes("stratum", stratum, len(values))
    along = None if direction is None else finite("direction", direction)
    if along is not None and along.shape != values.shape:
        raise ValueError(f"direction: must have the shape of label, got {along.shape}")
    if not 0 < level < 1 or n_permutations < 1 / level - 1:
        raise ValueError(
            f"n_permutations: level {level:g} needs at least {int(np.ceil(1 / level - 1))}, got {n_permutations}"
        )
    at_least("least", least, 1)
    at_least("most", most, 1)
    found: list[tuple[float, float]] = []
    first: tuple[float, float] = (np.nan, np.nan)
    queue: list[tuple[float, float]] = [(-np.inf, np.inf)]
    while queue and len(found) < most:
        low, high = queue.pop(0)
        inside = (when >= low) & (when < high)
        series = _prepare(values[inside], place[inside], None if along is None else along[inside], when[inside])
        cuts = _cuts(series.time, least) if len(series.time) else np.zeros(0, dtype=np.intp)
        if not len(cuts):
            continue
        best, statistic, p = _test(series, cuts, n_permutations, rng)
        if low == -np.inf and high == np.inf:
            first = (p, statistic)
        if p <= level:
            moment = float(series.time[_refine(series, cuts, best, least)])
            found.append((moment, p))
            queue += [(low, moment), (moment, high)]
    found.sort()
    return Changes(
        np.array([moment for moment, _ in found]),
        np.array([p for _, p in found]),
        *first,
        level,
        n_permutations,
        "thin" if np.isnan(first[0]) else "",
    )
