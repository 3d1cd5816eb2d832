"""Has what is asked changed? Second moments, margins and saturation of new comparisons against a reference.

The generalised eigenvalues of (S_new, S_ref) are the factors by which the second moment of feature differences grew in
its most and least favoured directions, free of the units of the features; both are one under no change. An alert can
name two numbers: the least factor (a direction that is no longer asked about) and the greatest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.stats import ks_2samp

from bayespref.checks import between, finite
from bayespref.design.gate import codes
from bayespref.display import shown
from bayespref.information import SATURATED


@shown(
    "information fell: {alert_min}; rose: {alert_max}",
    next_step="on an alert, check overlap and gates anew before using the old fit",
)
class Drift(NamedTuple):
    """Change of the comparisons.

    Attributes
    ----------
    factor_min, factor_max : float
        Least and greatest generalised eigenvalue; NaN where the reference lacks a direction.
    band_min, band_max : array, shape (2,)
        Two-sided bootstrap bands of them (percentile).
    null_min, null_max : float
        Limits they keep under no change with probability ``level`` each: the factors of two samples drawn from the
        pooled comparisons. Sampling alone spreads the factors around one.
    direction_min, direction_max : array, shape (d,)
        Unit directions of the features to which they belong.
    alert_min, alert_max : bool
        factor_min < null_min, factor_max > null_max.
    margin_statistic, margin_p_value : float
        Two-sample Kolmogorov-Smirnov test on |w'dz|; the sign of a margin is only the order of the pair. NaN without
        coefficients. The p-value takes comparisons as independent.
    saturated_ref, saturated_new : float
        Shares of margins beyond 3 log-odds; NaN without coefficients.
    reason : str
        ``"no_overlap"`` if the reference lacks a direction, ``""`` otherwise.
    """

    factor_min: float
    factor_max: float
    band_min: NDArray[np.float64]
    band_max: NDArray[np.float64]
    null_min: float
    null_max: float
    direction_min: NDArray[np.float64]
    direction_max: NDArray[np.float64]
    alert_min: bool
    alert_max: bool
    margin_statistic: float
    margin_p_value: float
    saturated_ref: float
    saturated_new: float
    reason: str


def _sums(rows: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    """Per cluster: the sum of row row' (flattened) and the number of rows."""
    outer = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
    _, place = np.unique(group, return_inverse=True)
    out = np.zeros((int(place.max()) + 1, outer.shape[1] + 1))
    np.add.at(out, place, np.column_stack([outer, np.ones(len(rows))]))
    return out


def _resample(sums: NDArray[np.float64], size: int, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Second moments (n, d, d) of resampled clusters."""
    d = round((sums.shape[1] - 1) ** 0.5)
    drawn = rng.multinomial(size, np.full(len(sums), 1 / len(sums)), size=n) @ sums
    return (drawn[:, :-1] / drawn[:, -1:]).reshape(n, d, d)


def _factors(new: NDArray[np.float64], ref: NDArray[np.float64]) -> NDArray[np.float64]:
    """Extreme generalised eigenvalues, shape (n, 2); NaN where a reference is singular."""
    out = np.full((len(new), 2), np.nan)
    for k, (top, below) in enumerate(zip(new, ref, strict=True)):
        values = np.linalg.eigvalsh(below)
        if values[0] > 1e-12 * values[-1]:
            out[k] = eigh(top, below, eigvals_only=True)[[0, -1]]
    return out


def second_moment_drift(
    new: Float[np.ndarray, "m d"],
    ref: Float[np.ndarray, "n d"],
    w: Float[np.ndarray, " d"] | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_boot: int = 500,
    cluster_new: Int[np.ndarray, " m"] | None = None,
    cluster_ref: Int[np.ndarray, " n"] | None = None,
) -> Drift:
    """Compare new comparisons with a reference: which directions gained or lost, and whether the margins moved.

    Parameters
    ----------
    new, ref : array, shape (m, d) and (n, d)
        Feature differences; the order within a pair does not matter.
    w : array, shape (d,), optional
        Coefficients, for margins and saturation.
    rng : numpy.random.Generator
    level : float
        Level of the bands, and of each limit under no change.
    n_boot : int
        Bootstrap replicates.
    cluster_new, cluster_ref : integer arrays, optional
        Who answered; whole clusters are resampled.

    Returns
    -------
    Drift

    Raises
    ------
    ValueError
        If a table is empty, not finite, or the features disagree.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> got = second_moment_drift(rng.normal(size=(500, 2)) * [1, 3], rng.normal(size=(500, 2)), rng=rng)
    >>> got.alert_min, got.alert_max, int(np.abs(got.direction_max).argmax())
    (False, True, 1)
    """
    tables = {"new": finite("new", new), "ref": finite("ref", ref)}
    for name, rows in tables.items():
        if rows.ndim != 2 or not rows.size:
            raise ValueError(f"{name}: must have shape (rows, d) with at least one row, got {rows.shape}")
    if tables["new"].shape[1] != tables["ref"].shape[1]:
        raise ValueError(f"new: must have the {tables['ref'].shape[1]} features of ref, got {tables['new'].shape[1]}")
    between("level", level, 0.5, 1.0)
    if n_boot < 1:
        raise ValueError(f"n_boot: must be >= 1, got {n_boot}")
    sums = {}
    for name, given in (("new", cluster_new), ("ref", cluster_ref)):
        size = len(tables[name])
        sums[name] = _sums(tables[name], np.arange(size) if given is None else codes(f"cluster_{name}", given, size))
    d = tables["ref"].shape[1]
    top, below = ((rows.T @ rows) / len(rows) for rows in (tables["new"], tables["ref"]))
    statistic, p_value, before, after = np.nan, np.nan, np.nan, np.nan
    if w is not None:
        coefficients = finite("w", w)
        if coefficients.shape != (d,):
            raise ValueError(f"w: must have shape ({d},), got {coefficients.shape}")
        old_margin, new_margin = np.abs(tables["ref"] @ coefficients), np.abs(tables["new"] @ coefficients)
        test = ks_2samp(old_margin, new_margin)
        statistic, p_value = float(test.statistic), float(test.pvalue)
        before, after = float((old_margin > SATURATED).mean()), float((new_margin > SATURATED).mean())
    margin = (statistic, p_value, before, after)
    values = np.linalg.eigvalsh(below)
    if values[0] <= 1e-12 * values[-1]:
        lost, two = np.full(d, np.nan), np.full(2, np.nan)
        nan = float("nan")
        return Drift(nan, nan, two, two.copy(), nan, nan, lost, lost.copy(), False, False, *margin, "no_overlap")
    factors, vectors = eigh(top, below)
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    tail = (1 - level) / 2
    moved = _factors(
        _resample(sums["new"], len(sums["new"]), n_boot, rng), _resample(sums["ref"], len(sums["ref"]), n_boot, rng)
    )
    pooled = np.concatenate([sums["new"], sums["ref"]])
    still = _factors(_resample(pooled, len(sums["new"]), n_boot, rng), _resample(pooled, len(sums["ref"]), n_boot, rng))
    low, high = float(np.nanquantile(still[:, 0], 1 - level)), float(np.nanquantile(still[:, 1], level))
    return Drift(
        float(factors[0]),
        float(factors[-1]),
        np.nanquantile(moved[:, 0], [tail, 1 - tail]),
        np.nanquantile(moved[:, 1], [tail, 1 - tail]),
        low,
        high,
        vectors[:, 0],
        vectors[:, -1],
        bool(factors[0] < low),
        bool(factors[-1] > high),
        *margin,
        "",
    )
