"""From a mixture to whole numbers of comparisons, and to fewer actions with the same information."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import simplex
from bayespref.display import shown
from bayespref.information import check_symmetric


@shown("efficiency {efficiency}", next_step="collect these whole counts")
class Rounded(NamedTuple):
    """Whole counts of a design.

    Attributes
    ----------
    counts : integer array, shape (A,)
        Adds to the number asked for; zero where the weight is zero.
    efficiency : float
        Least eigenvalue of the counts over that of the mixture (the smaller over groups); NaN without matrices or where
        the mixture's is zero.
    floor : float
        Efficiency that efficient rounding guarantees for every criterion that is positively homogeneous: min over the
        support of counts / (n weight).
    """

    counts: NDArray[np.int64]
    efficiency: float
    floor: float


def efficient_rounding(
    weights: Float[np.ndarray, " action"],
    n: int,
    M: Float[np.ndarray, "*group action d d"] | None = None,
    *,
    negligible: float = 1e-6,
) -> Rounded:
    """Round mixture weights to n comparisons: ceil((n - s / 2) w), then one at a time by counts / w.

    Parameters
    ----------
    weights : array, shape (A,)
        Shares, summing to one; s of them positive.
    n : int
        Number of comparisons, at least s: fewer would drop a part of the support and say nothing of it.
    M : array, shape (A, d, d) or (G, A, d, d), optional
        Information per label, to report the efficiency.
    negligible : float
        Weights below this share are an interior-point solver's noise: they are dropped rather than given a comparison.

    Returns
    -------
    Rounded

    Raises
    ------
    ValueError
        If n is below the support size, or an argument breaks a rule above.

    Notes
    -----
    Source: Pukelsheim and Rieder (1992), *Biometrika* 79.

    Examples
    --------
    >>> efficient_rounding(np.array([0.24, 0.76]), 10).counts.tolist()
    [3, 7]
    """
    share = simplex("weights", weights)
    if share.ndim != 1:
        raise ValueError(f"weights: must have shape (A,), got {share.shape}")
    support = np.flatnonzero((share > 0) & (share >= negligible))
    if isinstance(n, bool) or int(n) != n or n < len(support):
        raise ValueError(f"n: must be a whole number of at least {len(support)}, the support of the weights, got {n!r}")
    part = share[support] / share[support].sum()
    counts = np.ceil((n - len(support) / 2) * part - 1e-9).astype(np.int64)  # a hair above a whole number is rounding
    counts = np.maximum(counts, 1)
    while counts.sum() < n:
        counts[(counts / part).argmin()] += 1
    while counts.sum() > n:
        counts[((counts - 1) / part).argmax()] -= 1
    whole = np.zeros(len(share), dtype=np.int64)
    whole[support] = counts
    efficiency = float("nan")
    if M is not None:
        matrices = check_symmetric("M", M)
        if matrices.ndim not in (3, 4) or matrices.shape[-3] != len(share):
            raise ValueError(
                f"M: must have shape ({len(share)}, d, d) or (G, {len(share)}, d, d), got {matrices.shape}"
            )
        target, got = (
            np.linalg.eigvalsh(np.tensordot(p, matrices, axes=(0, matrices.ndim - 3)))[..., 0].min()
            for p in (share, whole / n)
        )
        efficiency = float(got / target) if target > 0 else float("nan")
    return Rounded(whole, efficiency, float((counts / (n * part)).min()))


def reduce_support(
    M: Float[np.ndarray, "*group action d d"],
    weights: Float[np.ndarray, " action"],
    cost: Float[np.ndarray, " action"] | None = None,
    *,
    negligible: float = 1e-6,
) -> Float[np.ndarray, " action"]:
    """Concentrate a mixture on as few actions as Caratheodory's theorem allows, leaving its information unchanged.

    Interior-point answers lie inside the face of optimal designs and spread over many actions. An optimal design
    reduces to at most d (d + 1) / 2 actions per group, one more with a binding cost row.

    Parameters
    ----------
    M : array, shape (A, d, d) or (G, A, d, d)
        Information per label.
    weights : array, shape (A,)
        Shares, summing to one.
    cost : array, shape (A,), optional
        Keep the mean cost as well.
    negligible : float
        Weights below this share are a solver's noise and are dropped first.

    Returns
    -------
    array, shape (A,)

    Raises
    ------
    ValueError
        If shapes disagree or the weights are no distribution.

    Notes
    -----
    Floors are not kept: reduce only designs without them.

    Examples
    --------
    >>> arms = np.array([[[1.0]], [[2.0]], [[3.0]]])
    >>> int((reduce_support(arms, np.full(3, 1 / 3)) > 0).sum())
    2
    """
    share = simplex("weights", weights)
    matrices = check_symmetric("M", M)
    matrices = matrices if matrices.ndim == 4 else matrices[None]
    if matrices.ndim != 4 or matrices.shape[1] != len(share) or share.ndim != 1:
        raise ValueError(f"M: must have shape ({len(share)}, d, d) or (G, {len(share)}, d, d), got {np.shape(M)}")
    upper = np.triu_indices(matrices.shape[-1])
    rows = [matrices[:, :, *upper].transpose(0, 2, 1).reshape(-1, len(share)), np.ones((1, len(share)))]
    if cost is not None:
        price = np.asarray(cost, dtype=np.float64)
        if price.shape != share.shape or not np.isfinite(price).all():
            raise ValueError(f"cost: must be {len(share)} finite numbers, got shape {price.shape}")
        rows.append(price[None])
    system = np.concatenate(rows)
    # One scale for every row, so that a null vector means the same for each.
    system = system / np.maximum(np.abs(system).max(axis=1, keepdims=True), 1e-300)
    p = np.where(share >= negligible, share, 0.0)
    p = p / p.sum()
    while True:
        support = np.flatnonzero(p)
        _, values, vectors = np.linalg.svd(system[:, support])
        rank = int((values > 1e-9 * values[0]).sum())
        if rank == len(support):
            return np.asarray(p)
        move = vectors[-1] if (vectors[-1] < 0).any() else -vectors[-1]
        falling = move < 0
        ratio = np.where(falling, -p[support] / np.where(falling, move, 1.0), np.inf)
        p[support] = np.maximum(p[support] + ratio.min() * move, 0.0)
        p[support[int(ratio.argmin())]] = 0.0
