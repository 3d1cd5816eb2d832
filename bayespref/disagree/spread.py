"""How far posterior draws disagree about a contrast, and how much the data narrowed it.

Two numbers answer two questions. *Contraction* (posterior over prior standard deviation) says whether data spoke: near
one, they did not. *Sign disagreement* says whether the direction of a preference is known. Neither replaces the other,
and agreement between refits says nothing where nothing was observed: every refit returns the prior there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite
from bayespref.display import shown

if TYPE_CHECKING:
    import xarray as xr

CHUNK = 4_000_000
"""Numbers held at once while contrasts are formed (32 MB)."""


@shown(next_step="a contraction near one means that the data taught nothing")
class ContrastSummary(NamedTuple):
    """Posterior of contrasts ``d = r[a] - r[b]`` (log-odds), one entry per contrast.

    On the diagonal of a full table (an item against itself) the mean, sd and width are 0 and the rest is NaN.
    """

    mean: Float[np.ndarray, "*contrast"]
    sd: Float[np.ndarray, "*contrast"]
    """Standard deviation with divisor n - 1; NaN from a single draw."""
    sign_probability: Float[np.ndarray, "*contrast"]
    """P(d > 0)."""
    sign_disagreement: Float[np.ndarray, "*contrast"]
    """min(P(d > 0), P(d < 0)): 0 where the sign is sure, .5 where it is a coin toss."""
    pairwise_disagreement: Float[np.ndarray, "*contrast"]
    """2 P(d > 0) P(d < 0): chance that two independent posterior draws disagree on the sign."""
    draw_pair_disagreement: Float[np.ndarray, "*contrast"]
    """The same, unbiased: share of pairs of different draws that disagree on the sign; NaN from a single draw."""
    contraction: Float[np.ndarray, "*contrast"]
    """Posterior sd over prior sd; NaN where no prior sd was given."""
    width: Float[np.ndarray, "*contrast"]
    """Width of the equal-tailed interval at ``level``; NaN where none was asked for."""


@shown(next_step="a leader in a cell without data is chance")
class LeaderSummary(NamedTuple):
    """Contrasts of the leading item of each (state, type) against every item, ``d = r[leader] - r[item]``."""

    leader: Int[np.ndarray, "state type"]
    """Item with the largest posterior mean (of centred rewards, so the free constant plays no part)."""
    summary: ContrastSummary
    """Arrays of shape (state, type, item); the leader's own entry is as on a diagonal."""


def contrast_summary(
    reward: Float[np.ndarray, "draw state type item"],
    prior_sd: ArrayLike | None = None,
    *,
    level: float | None = 0.9,
    chunk: int = CHUNK,
) -> ContrastSummary:
    """Summarise every pairwise contrast of items in every (state, type).

    Parameters
    ----------
    reward : float array, shape (draw, state, type, item)
        Posterior draws, log-odds; chains flattened into draws. A constant per (draw, state, type) changes nothing.
    prior_sd : float or float array, broadcastable to (state, type, item, item_other), optional
        Prior standard deviation of the *contrast* (``sqrt(2)`` times an item's own under independent priors), > 0.
    level : float or None
        Posterior mass of the equal-tailed interval whose width is reported, in (0, 1); None skips it (the slow part).
    chunk : int
        Most numbers to hold at once while forming contrasts.

    Returns
    -------
    ContrastSummary
        Arrays of shape (state, type, item, item_other); entry ``[..., a, b]`` is ``r[a] - r[b]``.

    Raises
    ------
    ValueError
        If draws are not finite or do not have four axes, or a prior sd is not positive.

    Notes
    -----
    Contraction and sign disagreement: design notes on inference, section on what marks a missing cell; disagreement
    between draws: overlap notes, section 8.

    Examples
    --------
    >>> draws = np.array([[[[1.0, 0.0]]], [[[2.0, 0.0]]], [[[0.0, 1.0]]]])
    >>> summary = contrast_summary(draws, prior_sd=2.0)
    >>> summary.mean[0, 0, 0, 1].round(3), summary.sign_probability[0, 0, 0, 1].round(3)
    (np.float64(0.667), np.float64(0.667))
    >>> summary.pairwise_disagreement[0, 0, 0, 1].round(3), summary.draw_pair_disagreement[0, 0, 0, 1].round(3)
    (np.float64(0.444), np.float64(0.667))
    """
    draws = as_draws(reward)
    _, n_states, n_types, n_items = draws.shape
    low, high = np.triu_indices(n_items, k=1)
    flat = draws.reshape(len(draws), n_states * n_types, n_items)
    stratum = np.repeat(np.arange(n_states * n_types), len(low))
    pairs = _summarise(
        flat, stratum, np.tile(low, n_states * n_types), np.tile(high, n_states * n_types), level=level, chunk=chunk
    )
    shape = (n_states, n_types, n_items, n_items)

    def full(upper: NDArray[np.float64], lower: NDArray[np.float64], diagonal: float) -> NDArray[np.float64]:
        table = np.full(shape, diagonal)
        table[:, :, low, high] = upper.reshape(n_states, n_types, -1)
        table[:, :, high, low] = lower.reshape(n_states, n_types, -1)
        return table

    sd = full(pairs.sd, pairs.sd, 0.0)
    off = ~np.eye(n_items, dtype=bool)
    return ContrastSummary(
        mean=full(pairs.mean, -pairs.mean, 0.0),
        sd=sd,
        sign_probability=full(pairs.p_positive, pairs.p_negative, np.nan),
        sign_disagreement=full(*2 * (np.minimum(pairs.p_positive, pairs.p_negative),), np.nan),
        pairwise_disagreement=full(*2 * (2 * pairs.p_positive * pairs.p_negative,), np.nan),
        draw_pair_disagreement=full(*2 * (_without_replacement(pairs, len(draws)),), np.nan),
        contraction=np.where(off, _contraction(sd, prior_sd), np.nan),
        width=full(pairs.width, pairs.width, np.nan if level is None else 0.0),
    )


def contrast_cells(
    reward: Float[np.ndarray, "draw state type item"],
    state: Int[np.ndarray, " cell"],
    type_: Int[np.ndarray, " cell"],
    item: Int[np.ndarray, " cell"],
    item_other: Int[np.ndarray, " cell"],
    prior_sd: ArrayLike | None = None,
    *,
    level: float | None = 0.9,
    chunk: int = CHUNK,
) -> ContrastSummary:
    """Summarise a list of contrasts, for tables whose full pairwise table would not fit.

    Parameters
    ----------
    reward : float array, shape (draw, state, type, item)
        Posterior draws, log-odds.
    state, type_, item, item_other : int array, shape (cell,)
        One contrast each: ``r[state, type_, item] - r[state, type_, item_other]``.
    prior_sd : float or float array, broadcastable to (cell,), optional
        Prior standard deviation of each contrast, > 0.
    level, chunk
        As in :func:`contrast_summary`.

    Returns
    -------
    ContrastSummary
        Arrays of shape (cell,). A contrast of an item with itself is summarised as on a diagonal.

    Raises
    ------
    ValueError
        If the code arrays differ in shape or point outside the draws, or as in :func:`contrast_summary`.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(size=(100, 2, 1, 5000))
    >>> one = np.array([1, 1]), np.array([0, 0]), np.array([7, 8]), np.array([4999, 0])
    >>> contrast_cells(draws, *one, prior_sd=2**0.5).contraction.round(1).tolist()
    [1.0, 1.0]
    """
    draws = as_draws(reward)
    _, n_states, n_types, n_items = draws.shape
    codes = [np.asarray(code) for code in (state, type_, item, item_other)]
    sizes = (n_states, n_types, n_items, n_items)
    for name, code, size in zip(("state", "type_", "item", "item_other"), codes, sizes, strict=True):
        if code.ndim != 1 or code.shape != codes[0].shape or not np.issubdtype(code.dtype, np.integer):
            raise ValueError(f"{name}: must hold integers of shape {codes[0].shape}, got {code.dtype} {code.shape}")
        if ((code < 0) | (code >= size)).any():
            raise ValueError(f"{name}: codes must lie in [0, {size}), got {code.min()} to {code.max()}")
    flat = draws.reshape(len(draws), n_states * n_types, n_items)
    pairs = _summarise(flat, codes[0] * n_types + codes[1], codes[2], codes[3], level=level, chunk=chunk)
    same = codes[2] == codes[3]

    def blank(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(same, np.nan, values)

    return ContrastSummary(
        mean=pairs.mean,
        sd=np.where(same, 0.0, pairs.sd),
        sign_probability=blank(pairs.p_positive),
        sign_disagreement=blank(np.minimum(pairs.p_positive, pairs.p_negative)),
        pairwise_disagreement=blank(2 * pairs.p_positive * pairs.p_negative),
        draw_pair_disagreement=blank(_without_replacement(pairs, len(draws))),
        contraction=blank(_contraction(pairs.sd, prior_sd)),
        width=pairs.width,
    )


def against_leader(
    reward: Float[np.ndarray, "draw state type item"],
    prior_sd: ArrayLike | None = None,
    *,
    level: float | None = 0.9,
    chunk: int = CHUNK,
) -> LeaderSummary:
    """Summarise the leading item against each item, per (state, type): what a decision there turns on.

    Parameters
    ----------
    reward : float array, shape (draw, state, type, item)
        Posterior draws, log-odds.
    prior_sd : float or float array, broadcastable to (state, type, item), optional
        Prior standard deviation of the contrast leader minus item, > 0.
    level, chunk
        As in :func:`contrast_summary`.

    Returns
    -------
    LeaderSummary
        The leader's code per (state, type) (ties: the smallest code) and summaries of shape (state, type, item).

    Raises
    ------
    ValueError
        As in :func:`contrast_summary`.

    Examples
    --------
    >>> draws = np.array([0.0, 2.0, 1.0]) + np.random.default_rng(0).normal(size=(500, 1, 1, 3)) / 10
    >>> lead = against_leader(draws)
    >>> lead.leader.tolist(), lead.summary.mean[0, 0].round(1).tolist()
    ([[1]], [2.0, 0.0, 1.0])
    """
    draws = as_draws(reward)
    _, n_states, n_types, n_items = draws.shape
    centre = (draws - draws.mean(axis=-1, keepdims=True)).mean(axis=0)
    leader = np.argmax(centre, axis=-1)
    state, kind, item = (axis.ravel() for axis in np.indices((n_states, n_types, n_items)))
    shape = (n_states, n_types, n_items)
    prior = None if prior_sd is None else np.broadcast_to(np.asarray(prior_sd, dtype=np.float64), shape).ravel()
    cells = contrast_cells(draws, state, kind, leader[state, kind], item, prior, level=level, chunk=chunk)
    return LeaderSummary(leader, ContrastSummary(*(values.reshape(shape) for values in cells)))


def disagreement(
    reward: xr.DataArray, prior_sd: ArrayLike | None = None, *, level: float = 0.9, chunk: int = CHUNK
) -> xr.Dataset:
    """Label :func:`contrast_summary`: posterior rewards in, a Dataset of contrasts out.

    Parameters
    ----------
    reward : DataArray with dims state, type, item and chain and/or draw
        Posterior rewards, log-odds.
    prior_sd, level, chunk
        As in :func:`contrast_summary`.

    Returns
    -------
    Dataset
        Variables named as the fields of :class:`ContrastSummary`, dims (state, type, item, item_other).

    Raises
    ------
    ValueError
        If a dimension is missing or another is present.

    Examples
    --------
    >>> import xarray as xr
    >>> draws = xr.DataArray(np.zeros((2, 5, 1, 1, 3)), dims=("chain", "draw", "state", "type", "item"))
    >>> dict(disagreement(draws).sizes)
    {'state': 1, 'type': 1, 'item': 3, 'item_other': 3}
    """
    import xarray as xr

    cell = ("state", "type", "item")
    sample = tuple(dim for dim in ("chain", "draw") if dim in reward.dims)
    if not sample or set(reward.dims) != {*sample, *cell}:
        raise ValueError(f"reward: must have dims chain and/or draw, then {cell}; got {reward.dims}")
    ordered = reward.transpose(*sample, *cell)
    values = ordered.values.reshape(-1, *ordered.shape[len(sample) :])
    summary = contrast_summary(values, prior_sd, level=level, chunk=chunk)
    dims = (*cell, "item_other")
    coords = {dim: (dim, reward[dim].values) for dim in cell if dim in reward.coords}
    if "item" in coords:
        coords["item_other"] = ("item_other", reward["item"].values)
    return xr.Dataset(
        {name: (dims, array) for name, array in zip(summary._fields, summary, strict=True)},
        coords=coords,
        attrs={"method": "posterior draws", "level": level, "n_draws": len(values), "unit": "log-odds"},
    )


class _Pairs(NamedTuple):
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    p_positive: NDArray[np.float64]
    p_negative: NDArray[np.float64]
    width: NDArray[np.float64]


def _summarise(
    flat: Float[np.ndarray, "draw stratum item"],
    stratum: Int[np.ndarray, " cell"],
    item: Int[np.ndarray, " cell"],
    item_other: Int[np.ndarray, " cell"],
    *,
    level: float | None,
    chunk: int,
) -> _Pairs:
    n_draws, n_cells = len(flat), len(stratum)
    if level is not None and not 0.0 < level < 1.0:
        raise ValueError(f"level: must lie strictly between 0 and 1, got {level}")
    if chunk < 1:
        raise ValueError(f"chunk: must be at least 1, got {chunk}")
    out = _Pairs(*(np.full(n_cells, np.nan) for _ in _Pairs._fields))
    step = max(1, chunk // n_draws)
    for start in range(0, n_cells, step):
        part = slice(start, start + step)
        gap = flat[:, stratum[part], item[part]] - flat[:, stratum[part], item_other[part]]
        out.mean[part] = gap.mean(axis=0)
        out.p_positive[part] = np.mean(gap > 0, axis=0)
        out.p_negative[part] = np.mean(gap < 0, axis=0)
        if n_draws > 1:
            out.sd[part] = gap.std(axis=0, ddof=1)
        if level is not None:
            ends = np.quantile(gap, [(1 - level) / 2, (1 + level) / 2], axis=0, overwrite_input=True)
            out.width[part] = ends[1] - ends[0]
    return out


def _without_replacement(pairs: _Pairs, n_draws: int) -> NDArray[np.float64]:
    if n_draws < 2:
        return np.full(pairs.mean.shape, np.nan)
    return np.asarray(2 * pairs.p_positive * pairs.p_negative * n_draws / (n_draws - 1))


def _contraction(sd: NDArray[np.float64], prior_sd: ArrayLike | None) -> NDArray[np.float64]:
    if prior_sd is None:
        return np.full(sd.shape, np.nan)
    prior = np.asarray(prior_sd, dtype=np.float64)
    if not np.all((prior > 0) & np.isfinite(prior)):
        raise ValueError("prior_sd: must be finite and > 0 for every contrast")
    return np.asarray(sd / np.broadcast_to(prior, sd.shape))


def as_draws(reward: ArrayLike) -> NDArray[np.float64]:
    """Return finite draws with axes (draw, state, type, item), refusing anything else."""
    draws = finite("reward", reward)
    if draws.ndim != 4 or 0 in draws.shape:
        raise ValueError(f"reward: must have non-empty axes (draw, state, type, item), got shape {draws.shape}")
    return draws
