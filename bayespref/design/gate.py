"""A gate on information: whether every bucket holds enough, with sampling error taken into account.

The least eigenvalue of a noisy matrix is biased down (it is a minimum), that of a ridge-added one up: no ridge enters
here, and each limit is the more cautious of the percentile and the basic bootstrap (Davison and Hinkley 1997,
*Bootstrap Methods and their Application*, chapter 5). Undecided blocks, as fail does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import between, finite, non_negative
from bayespref.display import shown
from bayespref.information import curvature

PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"


@shown("{verdict}", next_step="plan what to collect for the buckets that are blocked")
class Gate(NamedTuple):
    """Verdict per bucket.

    Attributes
    ----------
    lambda_min : array, shape (K,)
        Plug-in least eigenvalue per label (or in total); NaN in an empty bucket.
    lower, upper : array, shape (K,)
        One-sided bootstrap limits at the level.
    threshold : array, shape (K,)
        What was asked.
    counts : integer array, shape (K,)
        Comparisons.
    verdict : str array, shape (K,)
        "pass" if lower >= threshold, "fail" if upper < threshold, "undecided" otherwise and in an empty bucket.
    blocked : bool array, shape (K,)
        Everything but "pass".
    reason : str array, shape (K,)
        ``"no_overlap"`` for an empty bucket, ``"thin"`` for an undecided one, ``""`` elsewhere.
    """

    lambda_min: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    threshold: NDArray[np.float64]
    counts: NDArray[np.int64]
    verdict: NDArray[np.str_]
    blocked: NDArray[np.bool_]
    reason: NDArray[np.str_]


def codes(name: str, values: ArrayLike, n: int) -> NDArray[np.intp]:
    """Integer codes >= 0, one a row.

    Raises
    ------
    ValueError
        If they are not integers, negative, or of another length.
    """
    array = np.asarray(values)
    if array.shape != (n,) or not np.issubdtype(array.dtype, np.integer) or (n and array.min() < 0):
        raise ValueError(f"{name}: must be {n} integers >= 0, got {array.dtype} {array.shape}")
    return array.astype(np.intp)


def _cluster_sums(
    rows: NDArray[np.float64], factor: NDArray[np.float64], group: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Sums over each cluster of factor * row row' (flattened) and, last, of the rows counted."""
    d = rows.shape[1]
    outer = (factor[:, None, None] * rows[:, :, None] * rows[:, None, :]).reshape(len(rows), d * d)
    outer = np.column_stack([outer, np.ones(len(rows))])
    _, place = np.unique(group, return_inverse=True)
    sums = np.zeros((int(place.max(initial=-1)) + 1, d * d + 1))
    np.add.at(sums, place, outer)
    return sums


def _least(sums: NDArray[np.float64], d: int, total: bool) -> NDArray[np.float64]:
    """Least eigenvalue of every row of sums, per label or in total."""
    matrix = sums[:, :-1].reshape(-1, d, d)
    return np.asarray(np.linalg.eigvalsh(matrix if total else matrix / sums[:, -1, None, None])[:, 0])


def gate(
    dz: Float[np.ndarray, "n d"],
    w: Float[np.ndarray, "*draw d"],
    bucket: Int[np.ndarray, " n"],
    threshold: Float[np.ndarray, " bucket"],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_boot: int = 1000,
    cluster: Int[np.ndarray, " n"] | None = None,
    total: bool = False,
) -> Gate:
    """Compare the least eigenvalue of each bucket's information with its threshold.

    Parameters
    ----------
    dz : array, shape (n, d)
        Feature differences of the comparisons.
    w : array, shape (d,) or (draw, d)
        Coefficients, log-odds per feature. With draws, each bootstrap replicate takes one of them in turn, so that the
        limits carry the uncertainty of the coefficients too; with one vector they do not.
    bucket : integer array, shape (n,)
        Bucket of every comparison, below the number of thresholds.
    threshold : array, shape (K,) or one number
        Least eigenvalue asked for, per label, or of the total information if ``total``.
    rng : numpy.random.Generator
    level : float
        One-sided level of each limit; buckets are judged one by one.
    n_boot : int
        Bootstrap replicates.
    cluster : integer array, shape (n,), optional
        Who answered: whole clusters are resampled, since one person's comparisons resemble each other.
    total : bool
        Judge the total information (number of comparisons times information per label).

    Returns
    -------
    Gate

    Raises
    ------
    ValueError
        If an argument breaks a rule above.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> got = gate(rng.normal(size=(400, 2)), np.zeros(2), np.zeros(400, int), np.array([0.1, 0.1]), rng=rng)
    >>> got.verdict.tolist(), got.reason.tolist()
    (['pass', 'undecided'], ['', 'no_overlap'])
    """
    rows, coefficients = finite("dz", dz), finite("w", w)
    if rows.ndim != 2 or coefficients.ndim not in (1, 2) or coefficients.shape[-1:] != rows.shape[1:]:
        raise ValueError(f"w: must have shape (d,) or (draw, d) for dz of shape (n, d), got {coefficients.shape}")
    limits = np.atleast_1d(non_negative("threshold", finite("threshold", threshold)))
    if limits.ndim != 1:
        raise ValueError(f"threshold: must have shape (K,), got {limits.shape}")
    between("level", level, 0.5, 1.0)
    if n_boot < 1:
        raise ValueError(f"n_boot: must be >= 1, got {n_boot}")
    n, d, n_buckets = len(rows), rows.shape[1], len(limits)
    place = codes("bucket", bucket, n)
    if n and place.max() >= n_buckets:
        raise ValueError(f"bucket: codes must be below the {n_buckets} thresholds, largest is {int(place.max())}")
    who = np.arange(n) if cluster is None else codes("cluster", cluster, n)
    draws = np.atleast_2d(coefficients)
    draws = draws[:: max(1, len(draws) // 50)][:50]  # fifty draws carry the spread; each costs a pass over the rows
    point, lower, upper = (np.full(n_buckets, np.nan) for _ in range(3))
    for k in range(n_buckets):
        mine = place == k
        if not mine.any():
            continue
        here, group = rows[mine], who[mine]
        mean_factor = curvature(draws @ here.T).mean(axis=0)
        point[k] = _least(_cluster_sums(here, mean_factor, group).sum(axis=0, keepdims=True), d, total)[0]
        boot = []
        for index, one in enumerate(draws):
            sums = _cluster_sums(here, curvature(here @ one), group)
            size = n_boot // len(draws) + (index < n_boot % len(draws))
            for start in range(0, size, 200):
                block = min(200, size - start)
                times = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=block)
                boot.append(_least(times @ sums, d, total))
        low, high = np.quantile(np.concatenate(boot), [1 - level, level])
        lower[k], upper[k] = min(low, 2 * point[k] - high), max(high, 2 * point[k] - low)
    empty = np.isnan(point)
    passed, failed = lower >= limits, upper < limits
    verdict = np.where(passed, PASS, np.where(failed, FAIL, UNDECIDED))
    return Gate(
        point,
        lower,
        upper,
        limits,
        np.bincount(place, minlength=n_buckets).astype(np.int64),
        verdict,
        np.asarray(~passed),
        np.where(empty, "no_overlap", np.where(passed | failed, "", "thin")),
    )
