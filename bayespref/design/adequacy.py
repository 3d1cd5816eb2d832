"""Could this trade-off have been learned from these comparisons? A verdict for each trade-off that is claimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import norm

from bayespref.checks import between, finite, positive
from bayespref.design.gate import codes
from bayespref.information import curvature

VERDICTS = ("yes", "no", "undecided")


def adequacy(
    dz: Float[np.ndarray, "n d"],
    w: Float[np.ndarray, " d"],
    claims: Mapping[str, Float[np.ndarray, " d"]],
    smallest: Mapping[str, float] | float,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    power: float = 0.8,
    cluster: Int[np.ndarray, " n"] | None = None,
    n_boot: int = 500,
) -> pd.DataFrame:
    """Judge by the design alone whether a claimed trade-off could have been learned from these comparisons.

    A claim is a combination c of the coefficients (``beta_time - 25 beta_price`` for an hour's worth). It could have
    been learned if an effect of the smallest size of interest would have been told from zero: its standard error,
    sqrt(c'(N I)^-1 c), is at most smallest / (z_level + z_power), a two-sided test at ``1 - level`` with the power
    stated. No label enters but through the coefficients, at which the information is taken.

    Parameters
    ----------
    dz : array, shape (n, d)
        Feature differences of the comparisons.
    w : array, shape (d,)
        Coefficients, log-odds per feature.
    claims : mapping of name to array, shape (d,)
        Combinations of coefficients.
    smallest : float or mapping of name to float
        Smallest effect of interest, in the units of each combination.
    rng : numpy.random.Generator
    level : float
        Level of the test, and of the one-sided bootstrap limits of the standard error.
    power : float
        Chance of telling the smallest effect from zero.
    cluster : integer array, shape (n,), optional
        Who answered; whole clusters are resampled.
    n_boot : int
        Bootstrap replicates.

    Returns
    -------
    DataFrame
        One row a claim: ``claim``, ``se`` (infinite where the comparisons never move it), ``se_lower`` and ``se_upper``
        (bootstrap over comparisons or clusters), ``needed`` (largest standard error that would do), ``times`` (how many
        times the present number of comparisons of the same kind would do; infinite if none would), ``verdict`` ("yes",
        "no", "undecided"), ``reason`` ("no_overlap", "thin" or "") and ``words``.

    Raises
    ------
    ValueError
        If a claim is zero or of the wrong length, a size is not positive, or there is no comparison.

    Examples
    --------
    >>> dz = np.random.default_rng(0).normal(size=(400, 1)) @ np.array([[1.0, 1.0]])
    >>> claims = {"sum": np.array([1.0, 1.0]), "trade-off": np.array([1.0, -1.0])}
    >>> adequacy(dz, np.zeros(2), claims, 0.5, rng=np.random.default_rng(1)).verdict.tolist()
    ['yes', 'no']
    """
    rows, coefficients = finite("dz", dz), finite("w", w)
    if rows.ndim != 2 or not len(rows) or coefficients.shape != rows.shape[1:]:
        raise ValueError(f"dz: must have shape (n >= 1, {coefficients.shape[-1]}), got {rows.shape}")
    between("level", level, 0.5, 1.0)
    between("power", power, 0.5, 1.0)
    if n_boot < 1:
        raise ValueError(f"n_boot: must be >= 1, got {n_boot}")
    if not claims:
        raise ValueError("claims: needs at least one trade-off")
    contrast = np.array([finite(f"claims[{name!r}]", c) for name, c in claims.items()])
    if contrast.shape != (len(claims), rows.shape[1]) or not np.abs(contrast).max(axis=1).all():
        raise ValueError(f"claims: each must be a combination of the {rows.shape[1]} features that is not zero")
    size = {name: smallest[name] if isinstance(smallest, Mapping) else smallest for name in claims}
    for name, value in size.items():
        positive(f"smallest[{name!r}]", value)
    who = np.arange(len(rows)) if cluster is None else codes("cluster", cluster, len(rows))
    factor = curvature(rows @ coefficients)
    outer = (factor[:, None, None] * rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
    _, place = np.unique(who, return_inverse=True)
    sums = np.zeros((int(place.max()) + 1, outer.shape[1]))
    np.add.at(sums, place, outer)
    se = _errors(sums.sum(axis=0)[None], contrast)[0]
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=n_boot) @ sums
    boot = _errors(drawn, contrast)
    low = np.quantile(boot, 1 - level, axis=0, method="lower")
    high = np.quantile(boot, level, axis=0, method="higher")
    scale = float(norm.ppf(0.5 + level / 2) + norm.ppf(power))
    out: list[tuple[Any, ...]] = []
    for k, name in enumerate(claims):
        needed = size[name] / scale
        verdict = "yes" if high[k] <= needed else "no" if low[k] > needed or np.isinf(se[k]) else "undecided"
        times = float((se[k] / needed) ** 2) if np.isfinite(se[k]) else np.inf
        reason = "" if verdict == "yes" else "no_overlap" if np.isinf(se[k]) else "thin"
        if np.isinf(se[k]):
            words = f"{name}: no. These comparisons never move it, so no number of their kind would do"
        elif verdict == "yes":
            words = f"{name}: yes. Its standard error {se[k]:.3g} tells {size[name]:.3g} from zero"
        else:
            start = "no" if verdict == "no" else "undecided"
            words = (
                f"{name}: {start}. Its standard error is {se[k]:.3g}, {needed:.3g} is needed: about {times:.1f} times"
            )
            words += " as many comparisons of the same kind"
        out.append((name, se[k], low[k], high[k], needed, times, verdict, reason, words))
    columns = ["claim", "se", "se_lower", "se_upper", "needed", "times", "verdict", "reason", "words"]
    table = pd.DataFrame(out, columns=columns)
    table.attrs = {"level": level, "power": power, "n_boot": n_boot, "method": "Fisher information at the coefficients"}
    return table


def _errors(totals: Float[np.ndarray, "rep flat"], contrast: Float[np.ndarray, "q d"]) -> Float[np.ndarray, "rep q"]:
    """Standard errors of contrasts for total information matrices; infinite where one has a null part."""
    d = contrast.shape[1]
    matrix = totals.reshape(-1, d, d)
    # Scaled to a unit diagonal, so that a feature in small units does not count as missing.
    size = np.sqrt(np.maximum(np.diagonal(matrix, axis1=1, axis2=2), 0.0))
    safe = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(matrix / safe[:, :, None] / safe[:, None, :])
    inside = np.einsum("rqd,rdk->rqk", contrast[None] / safe[:, None, :], vectors)
    null = (values <= 1e-11 * values[:, -1:])[:, None, :]
    length = np.linalg.norm(inside, axis=2)
    lost = np.sqrt((np.where(null, inside, 0.0) ** 2).sum(axis=2)) > 1e-6 * length
    # A feature that never moves has size 0 and stays a null direction of the scaled matrix.
    variance = (np.where(null, 0.0, inside) ** 2 / np.where(null, 1.0, values[:, None, :])).sum(axis=2)
    return np.asarray(np.where(lost, np.inf, np.sqrt(variance)))
