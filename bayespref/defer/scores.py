"""Scores: what acting could cost in a region, under four readings of the same uncertainty.

``chow`` and ``credible`` average over posterior draws and so trust the prior wherever the data are silent; the two set
scores take the worst world inside the identified set of each draw. All are regrets in welfare units (log-odds unless
the caller multiplied by stakes), so each can be compared directly with the cost of deferring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayespref.checks import as_float, between, non_negative, one_of
from bayespref.display import shown

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int  # slow to import, and a service needs no shapes

RULES = ("chow", "credible", "set_pure", "set_random")
"""Names of the four scores, in the order every table of this stage uses."""

_SLACK = 1e-6
"""Room for solver error, relative to the largest entry, in checks that compare two inputs with each other."""


@shown(next_step="act where the score of your rule is below the cost of deferring (bayespref.defer.policy.from_scores)")
class Scores(NamedTuple):
    """Four scores of every action in every region, and each rule's own best action.

    ``*_action`` is the index of the action with the least score, -1 where no action has a finite one; ``*_score`` is
    that score (NaN where undefined, infinite where unbounded).
    """

    chow: Float[np.ndarray, "*region item"]
    """Posterior mean of the realised regret of each action."""
    credible: Float[np.ndarray, "*region item"]
    """Its 1 - alpha quantile over draws."""
    set_pure: Float[np.ndarray, "*region item"]
    """Worst-case regret of each action over its identified set: mean (or quantile) over draws."""
    set_random: Float[np.ndarray, "*region"]
    """Minimax regret V of the best randomised policy. It belongs to a mixture: no single action attains it."""
    chow_action: Int[np.ndarray, "*region"]
    chow_score: Float[np.ndarray, "*region"]
    credible_action: Int[np.ndarray, "*region"]
    credible_score: Float[np.ndarray, "*region"]
    set_pure_action: Int[np.ndarray, "*region"]
    set_pure_score: Float[np.ndarray, "*region"]
    n_kept: Int[np.ndarray, "*region"]
    """Number of draws each region's scores rest on."""


def worst_regret(
    matrix: Float[np.ndarray, "*draw alternative item"], *, available: Bool[np.ndarray, "*region item"] | None = None
) -> Float[np.ndarray, "*draw item"]:
    """Regret of each played action against its best alternative, max over a' of ``matrix[..., a', a]``.

    Parameters
    ----------
    matrix : float array, shape (..., alternative, played)
        Differences r(a') - r(a), or their upper bounds, in welfare units. The diagonal must be 0.
    available : bool array, shape (..., item), optional
        Items that may be played or compared against; all of them if omitted.

    Returns
    -------
    float array, shape (..., item)
        At least 0; NaN for items that are not available, and where an available alternative is NaN.

    Raises
    ------
    ValueError
        If the matrix is not square or its diagonal is not 0.

    Notes
    -----
    Design notes on deferral, the score ``set_pure`` (with upper bounds) and the regret inside ``chow`` (with draws).

    Examples
    --------
    >>> upper = np.array([[0.0, -0.5, 0.5], [0.5, 0.0, 1.0], [1.0, 0.5, 0.0]])
    >>> worst_regret(upper)
    array([1. , 0.5, 1. ])
    >>> worst_regret(upper, available=np.array([True, True, False]))
    array([0.5, 0. , nan])
    """
    matrix = as_float("matrix", matrix, min_ndim=2)
    n_items = matrix.shape[-1]
    if matrix.shape[-2] != n_items:
        raise ValueError(f"matrix: the last two axes must be (alternative, played) of equal size, got {matrix.shape}")
    usable = _available(available, matrix.shape[:-2], n_items)
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    bad = usable & ~np.isnan(diagonal) & (diagonal != 0)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"matrix: an action has no regret against itself, so the diagonal must be 0; got {diagonal[first]!r} at "
            f"{first}"
        )
    regret = np.where(usable[..., :, None], matrix, -np.inf).max(axis=-2)
    return np.where(usable, regret, np.nan)


def scores(
    difference: Float[np.ndarray, "draw *region alternative item"],
    regret: Float[np.ndarray, "draw *region alternative item"],
    value: Float[np.ndarray, "*region"],
    *,
    alpha: float = 0.1,
    set_summary: str = "mean",
    available: Bool[np.ndarray, "*region item"] | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> Scores:
    """Score every action of every region under the four rules.

    Parameters
    ----------
    difference : float array, shape (draw, ..., alternative, played)
        Draws of r(a') - r(a), mixed over types, prior-filled where nothing is known. Antisymmetric.
    regret : float array, shape (draw, ..., alternative, played)
        Upper bounds of r(a') - r(a) per draw, mixed over types. A single draw is an axis of length 1. May be +inf.
    value : float array, shape (...)
        Minimax regret V per region, already taken over draws (a mean of per-draw values assumes a policy that knows
        the draw and is too small). NaN where it was not computed.
    alpha : float
        ``credible`` is the 1 - alpha quantile: the least x with P(regret <= x) >= 1 - alpha.
    set_summary : {"mean", "quantile"}
        How ``set_pure`` sums up the draws; the quantile is the one of ``credible``.
    available : bool array, shape (..., item), optional
        Items on offer in a region. Scores of the others are NaN.
    kept : bool array, shape (draw,) or (draw, ...), optional
        Draws to use, False for draws that refute an assumption. NaN in a kept draw makes the score NaN.

    Returns
    -------
    Scores
        Arrays over regions and items, in the units of the input.

    Raises
    ------
    ValueError
        On shapes that do not agree, a difference that is not antisymmetric, or a V above the best pure score.

    Notes
    -----
    Design notes on deferral: scores of the action played.

    Examples
    --------
    >>> d = np.zeros((1, 2, 2))
    >>> G = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> result = scores(d, G, np.array(0.5))
    >>> result.chow_score.item(), result.set_pure_score.item(), result.set_random.item()
    (0.0, 1.0, 0.5)
    """
    difference = as_float("difference", difference, min_ndim=3)
    regret = as_float("regret", regret, min_ndim=3)
    value = as_float("value", value)
    alpha = float(between("alpha", alpha, 0.0, 1.0))
    one_of("set_summary", set_summary, ("mean", "quantile"))
    region, n_items = regret.shape[1:-2], regret.shape[-1]
    if difference.shape[1:] != regret.shape[1:]:
        raise ValueError(
            f"difference, regret: must agree after the draw axis, got {difference.shape} and {regret.shape}"
        )
    if regret.shape[0] not in (1, difference.shape[0]):
        raise ValueError(
            f"regret: must have as many draws as difference ({difference.shape[0]}) or one, got {regret.shape[0]}"
        )
    if value.shape != region:
        raise ValueError(f"value: must have one entry a region, shape {region}, got {value.shape}")
    non_negative("value", np.where(np.isnan(value), 0.0, value))
    usable = _available(available, region, n_items)
    _refuse_asymmetric(difference, usable)

    realised = worst_regret(difference, available=usable)
    worst = worst_regret(regret, available=usable)
    keep_realised = _kept(kept, difference.shape[0], region)
    keep_worst = keep_realised if regret.shape[0] == difference.shape[0] else _kept(None, regret.shape[0], region)

    chow = _mean(realised, keep_realised)
    credible = _quantile(realised, keep_realised, 1.0 - alpha)
    summarised = _mean(worst, keep_worst) if set_summary == "mean" else _quantile(worst, keep_worst, 1.0 - alpha)
    chow_action, chow_score = _best(chow)
    credible_action, credible_score = _best(credible)
    pure_action, pure_score = _best(summarised)
    if set_summary == "mean":
        _refuse_value_above_pure(value, pure_score)
    return Scores(
        chow=chow,
        credible=credible,
        set_pure=summarised,
        set_random=value,
        chow_action=chow_action,
        chow_score=chow_score,
        credible_action=credible_action,
        credible_score=credible_score,
        set_pure_action=pure_action,
        set_pure_score=pure_score,
        n_kept=keep_realised.sum(axis=0),
    )


def _available(available: NDArray[np.bool_] | None, lead: tuple[int, ...], n_items: int) -> NDArray[np.bool_]:
    if available is None:
        return np.ones((*lead, n_items), dtype=np.bool_)
    mask = np.asarray(available)
    if mask.dtype != np.bool_:
        raise TypeError(f"available: must be boolean, got dtype {mask.dtype}")
    try:
        return np.broadcast_to(mask, (*lead, n_items))
    except ValueError:
        raise ValueError(f"available: shape {mask.shape} does not fit regions and items {(*lead, n_items)}") from None


def _kept(kept: NDArray[np.bool_] | None, n_draws: int, region: tuple[int, ...]) -> NDArray[np.bool_]:
    if kept is None:
        return np.ones((n_draws, *region), dtype=np.bool_)
    mask = np.asarray(kept)
    if mask.dtype != np.bool_:
        raise TypeError(f"kept: must be boolean, got dtype {mask.dtype}")
    if mask.shape == (n_draws,):
        mask = mask.reshape(n_draws, *(1,) * len(region))
    if mask.ndim != 1 + len(region) or mask.shape[0] != n_draws:
        raise ValueError(f"kept: must have shape {(n_draws,)} or {(n_draws, *region)}, got {np.shape(kept)}")
    return np.broadcast_to(mask, (n_draws, *region))


def _refuse_asymmetric(difference: NDArray[np.float64], usable: NDArray[np.bool_]) -> None:
    pair = usable[..., :, None] & usable[..., None, :]
    total = np.where(pair, difference + np.swapaxes(difference, -1, -2), 0.0)
    scale = 1.0 + np.nanmax(np.abs(np.where(pair, difference, 0.0)), initial=0.0)
    bad = np.abs(total) > 1e-9 * scale
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"difference: must be antisymmetric, d[a', a] = -d[a, a']; entry {first} is {difference[first]!r} and the "
            f"pair sums to {total[first]!r}. Bounds belong in the argument regret"
        )


def _refuse_value_above_pure(value: NDArray[np.float64], pure: NDArray[np.float64]) -> None:
    both = np.isfinite(value) & np.isfinite(pure)
    bad = both & (value > pure + _SLACK * (1.0 + np.abs(np.where(both, pure, 0.0))))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"value: a randomised policy does no worse than the best single action, but V is {value[first]!r} and the "
            f"best pure score {pure[first]!r} in region {first}; were both made from the same draws and items?"
        )


def _mean(values: NDArray[np.float64], keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    count = keep.sum(axis=0)[..., None]
    total = np.where(keep[..., None], values, 0.0).sum(axis=0)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _quantile(values: NDArray[np.float64], keep: NDArray[np.bool_], level: float) -> NDArray[np.float64]:
    count = keep.sum(axis=0)
    # Draws left out sort behind all others; the rank below counts kept draws only.
    ordered = np.sort(np.where(keep[..., None], values, np.inf), axis=0)
    rank = np.clip(np.ceil(level * count - 1e-9 * np.maximum(count, 1)).astype(np.int64), 1, values.shape[0]) - 1
    at = np.broadcast_to(rank[..., None], ordered.shape[1:])[None]
    quantile = np.take_along_axis(ordered, at, axis=0)[0]
    undefined = (np.isnan(values) & keep[..., None]).any(axis=0) | (count == 0)[..., None]
    return np.where(undefined, np.nan, quantile)


def _best(score: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    index = np.where(np.isnan(score), np.inf, score).argmin(axis=-1)
    best = np.take_along_axis(score, index[..., None], axis=-1)[..., 0]
    # argmin lands on NaN only where nothing is finite; an infinite score, if there is one, says more than NaN.
    best = np.where(np.isnan(best) & np.isinf(score).any(axis=-1), np.inf, best)
    return np.where(np.isfinite(best), index, -1), best
