"""How large a share of comparisons to swap into other contexts so that every plausible cell reaches its floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import binom, poisson

from bayespref import __version__
from bayespref.checks import at_least, between, simplex
from bayespref.comparisons import Comparisons
from bayespref.dims import CONTEXT, STATE
from bayespref.display import shown
from bayespref.graph.build import stratum_columns
from bayespref.graph.coverage import coverage

_GRID = 1000
_EXACT_UP_TO = 20_000


@shown("swap {rate} of contexts; bound {bound}", next_step="collect with that rate, then check the coverage again")
class SwapPlan(NamedTuple):
    """The least swap rate, and what it promises.

    Attributes
    ----------
    rate : float
        Least share of comparisons to swap, to a millionth; NaN where no rate reaches the probability.
    bound : float
        Union bound at that rate: every cell reaches its floor with at least this probability.
    exact : float
        The probability itself (multinomial); NaN beyond 20,000 comparisons.
    best_rate, best_bound : float
        The rate of the grid with the largest bound, and that bound: what is possible with n comparisons.
    share : float array, shape (*cell)
        Share of each cell at ``rate`` (at ``best_rate`` where there is none).
    """

    rate: float
    bound: float
    exact: float
    best_rate: float
    best_bound: float
    share: Float[np.ndarray, "*cell"]


def reach_bound(share: Float[np.ndarray, "*batch cell"], n: int, floor: int) -> Float[np.ndarray, "*batch"]:
    """Lower limit (union bound) of the probability that every cell gets ``floor`` of ``n`` independent rows.

    Parameters
    ----------
    share : float array, shape (..., cell)
        Probability of each cell that must reach the floor; may sum to less than one.
    n, floor : int

    Returns
    -------
    float array, shape (...)
        ``1 - sum_k P(N_k < floor)`` with binomial N_k; below zero where the bound says nothing.

    Examples
    --------
    >>> float(reach_bound(np.array([0.5, 0.5]), 2, 1))
    0.5
    """
    p = between("share", share, 0.0, 1.0)
    short = np.asarray(binom.cdf(at_least("floor", floor, 0) - 1, at_least("n", n, 0), p))
    return np.asarray(1.0 - short.sum(axis=-1))


def reach_probability(share: Float[np.ndarray, " cell"], n: int, floor: int) -> float:
    """Probability that every cell gets at least ``floor`` of ``n`` independent rows, exactly.

    Parameters
    ----------
    share : float array, shape (cell,)
        Probability of each cell that must reach the floor; what is missing to one falls elsewhere.
    n, floor : int

    Returns
    -------
    float

    Notes
    -----
    Levin (1981), Annals of Statistics 9, 1123-1126: independent Poisson counts given their sum are multinomial. Sums by
    fast Fourier transform, so the error is some 1e-14 of one, and cost grows with cells times n log n.

    Examples
    --------
    >>> round(reach_probability(np.array([0.5, 0.5]), 2, 1), 12)
    0.5
    """
    p = between("share", share, 0.0, 1.0)
    n, floor = at_least("n", n, 0), at_least("floor", floor, 0)
    rest = 1.0 - p.sum()
    if rest < -1e-9:
        raise ValueError(f"share: must sum to at most one, got {p.sum():.6g}")
    if floor * len(p) > n or (floor > 0 and (p == 0).any()):
        return 0.0
    support = np.arange(n + 1)
    total = poisson.pmf(support, n * max(rest, 0.0))
    values, times = np.unique(p, return_counts=True)
    for value, many in zip(values, times, strict=True):
        one = np.where(support >= floor, poisson.pmf(support, n * value), 0.0)
        for _ in range(int(many)):
            total = fftconvolve(total, one)[: n + 1]
    return float(np.clip(total[n] / poisson.pmf(n, n), 0.0, 1.0)) if n else 1.0  # rounding may leave [0, 1]


def swap_rate(
    collected: Float[np.ndarray, " cell"],
    swapped: Float[np.ndarray, " cell"],
    plausible: Bool[np.ndarray, " cell"],
    *,
    n: int,
    floor: int,
    probability: float = 0.95,
) -> SwapPlan:
    """Least swap rate rho at which every plausible cell reaches its floor with the stated probability.

    Parameters
    ----------
    collected, swapped : float array, shape (cell,)
        Share of each cell without swapping, and among swapped comparisons; each sums to one. At rate rho the share is
        ``(1 - rho) collected + rho swapped``.
    plausible : bool array, shape (cell,)
        Cells that must reach the floor.
    n : int
        Comparisons to collect.
    floor : int
        Fewest comparisons in each plausible cell.
    probability : float
        Probability that all of them reach it, guaranteed by the union bound.

    Returns
    -------
    SwapPlan

    Raises
    ------
    ValueError
        If shapes disagree or nothing is plausible.
    TargetMixError
        If shares are not distributions.

    Notes
    -----
    The rate is the first on a grid of thousandths to pass, refined by bisection. Rows are taken as independent and the
    shares as known.

    Examples
    --------
    >>> plan = swap_rate(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([True, True]), n=100, floor=5)
    >>> round(plan.rate, 3), plan.bound >= 0.95
    (0.178, True)
    """
    before, after = simplex("collected", collected), simplex("swapped", swapped)
    wanted = np.asarray(plausible, dtype=bool)
    if before.ndim != 1 or before.shape != after.shape or wanted.shape != before.shape:
        raise ValueError(
            f"collected, swapped, plausible: need one shape (cell,), got {before.shape}, {after.shape}, {wanted.shape}"
        )
    if not wanted.any():
        raise ValueError("plausible: no cell is to be reached")
    target = float(between("probability", probability, 0.0, 1.0))

    def bound(rate: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (1 - rate)[:, None] * before[wanted] + rate[:, None] * after[wanted]
        return reach_bound(np.clip(share, 0.0, 1.0), n, floor)

    grid = np.arange(_GRID + 1) / _GRID
    value = bound(grid)
    best = int(value.argmax())
    passing = np.flatnonzero(value >= target)
    rate = np.nan
    if len(passing):
        high = float(grid[passing[0]])
        low = high - 1 / _GRID if passing[0] else high
        while high - low > 1e-6:
            middle = (low + high) / 2
            if bound(np.array([middle]))[0] >= target:
                high = middle
            else:
                low = middle
        rate = high
    used = float(grid[best]) if np.isnan(rate) else rate
    share = (1 - used) * before + used * after
    exact = reach_probability(np.clip(share[wanted], 0.0, 1.0), n, floor) if n <= _EXACT_UP_TO else np.nan
    return SwapPlan(rate, float(bound(np.array([used]))[0]), exact, float(grid[best]), float(value[best]), share)


def plan_swaps(
    comparisons: Comparisons,
    n: int,
    floor: int,
    *,
    by: Sequence[str] = (STATE,),
    plausible: xr.DataArray | None = None,
    probability: float = 0.95,
) -> xr.Dataset:
    """Plan the share of comparisons to show under another context.

    Parameters
    ----------
    comparisons : Comparisons
        A table with contexts: its shares are taken as those of the collection to come.
    n : int
        Comparisons to collect.
    floor : int
        Fewest comparisons in each plausible cell.
    by : sequence of str
        Columns that define a cell together with the context.
    plausible : DataArray of bool, optional
        Cells that can occur, with the labels of the table; by default every crossing of labels that occur. A swapped
        comparison keeps its stratum and gets one of its plausible contexts at random.
    probability : float
        Probability that every plausible cell reaches the floor.

    Returns
    -------
    Dataset
        Over the cells: ``collected``, ``swapped``, ``share`` (at the rate), ``expected`` (comparisons), ``plausible``;
        scalars ``rate``, ``bound``, ``exact``, ``best_rate``, ``best_bound`` (see :class:`SwapPlan`).

    Raises
    ------
    TableError
        If the table has no contexts.
    ValueError
        If a stratum with comparisons has no plausible context.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> zero = np.zeros(4, dtype=int)
    >>> table = from_codes(zero, zero + 1, zero, items=("x", "y"), state=[0, 0, 1, 1], states=("s", "t"),
    ...                    context=[0, 1, 0, 0], contexts=("old", "new"))
    >>> got = plan_swaps(table, 200, 5)
    >>> 0.1 < float(got.rate) < 0.3, float(got.bound) >= 0.95
    (True, True)
    """
    dims = stratum_columns(comparisons, (*(name for name in by if name != CONTEXT), CONTEXT))
    cells = coverage(comparisons, dims, 0.0)
    count = cells["count"].values
    axis = dims.index(CONTEXT)
    if not count.sum() > 0:
        raise ValueError("comparisons: hold no rows, so their shares are unknown")
    if plausible is None:
        allowed = np.ones(count.shape, dtype=bool)
        for k in range(count.ndim):
            rest = tuple(j for j in range(count.ndim) if j != k)
            allowed &= count.sum(axis=rest, keepdims=True) > 0 if rest else count > 0
    else:
        allowed = plausible.transpose(*dims).reindex_like(cells["count"], fill_value=False).values.astype(bool)
    collected = count / count.sum()
    stratum = collected.sum(axis=axis, keepdims=True)
    many = allowed.sum(axis=axis, keepdims=True)
    if np.any((stratum > 0) & (many == 0)):
        raise ValueError("plausible: a stratum that has comparisons has no plausible context")
    swapped = np.where(allowed, stratum / np.maximum(many, 1), 0.0)
    plan = swap_rate(
        collected.reshape(-1), swapped.reshape(-1), allowed.reshape(-1), n=n, floor=floor, probability=probability
    )
    share = plan.share.reshape(count.shape)
    named = {"collected": collected, "swapped": swapped, "share": share, "expected": n * share, "plausible": allowed}
    data = {name: (dims, value) for name, value in named.items()}
    scalars = ("rate", "bound", "exact", "best_rate", "best_bound")
    attrs = {
        "method": "union bound over binomial cells; exact multinomial by Levin's formula",
        "probability": probability,
        "floor": floor,
        "n": n,
        "assumptions": "independent rows; the table's shares are those of the collection to come",
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    coords = {dim: cells[dim].values for dim in dims}
    return xr.Dataset({**data, **{name: ((), getattr(plan, name)) for name in scalars}}, coords=coords, attrs=attrs)
