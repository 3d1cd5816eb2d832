"""Held-out comparisons as calibration units: one a rater, about the item the policy would play."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.checks import as_float
from bayespref.comparisons import Comparisons
from bayespref.defer.units import one_per_rater
from bayespref.dims import A_WINS, B_WINS
from bayespref.display import shown


@shown(next_step="hand it to learn_then_test; no rater may also be in the fit")
class Units(NamedTuple):
    """What :func:`bayespref.defer.calibrate.learn_then_test` takes, one entry a rater."""

    score: Float[np.ndarray, " unit"]
    loss: Float[np.ndarray, " unit"]
    """1 where the label prefers the other item to the one the policy plays, else 0."""
    region: Int[np.ndarray, " unit"]
    rater: NDArray[np.str_]


def held_out_units(
    comparisons: Comparisons,
    region: Int[np.ndarray, " comparison"],
    action: Int[np.ndarray, " region"],
    score: Float[np.ndarray, " region"],
    *,
    seed: int,
) -> Units:
    """Choose one comparison of every rater that tests the item a policy plays, and say whether it contradicts it.

    Parameters
    ----------
    comparisons : Comparisons
        Rows of raters the scores were not made from.
    region : int array, shape (comparison,)
        Region of each row.
    action : int array, shape (region,)
        Item the policy would play in each region, -1 for none.
    score : float array, shape (region,)
        Score of that item.
    seed : int
        Seed of NumPy's generator; a rater's comparison is drawn at random among those that involve the item.

    Returns
    -------
    Units
        Raters without such a comparison are left out. A tie does not contradict the policy.

    Raises
    ------
    TableError
        If the table names no annotators.
    ValueError
        If shapes or codes do not agree.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> rows = from_codes(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0, 1, 0]), items=("x", "y", "z"),
    ...     annotator=np.arange(3), annotators=("a", "b", "c"))
    >>> units = held_out_units(rows, np.zeros(3, int), np.array([0]), np.array([0.1]), seed=0)
    >>> units.loss.tolist(), units.rater.tolist()
    ([0.0, 1.0], ['a', 'b'])
    """
    who = comparisons.codes("annotator")
    place, played = np.asarray(region), np.asarray(action)
    value = as_float("score", score, ndim=1)
    if not np.issubdtype(played.dtype, np.integer):
        raise ValueError(f"action: must hold item codes (integers), got {played.dtype}; labels are not looked up")
    if place.shape != who.shape or played.shape != value.shape:
        raise ValueError(
            f"region, action, score: need one entry a row ({who.shape}) and one a region, got {place.shape}, "
            f"{played.shape} and {value.shape}"
        )
    if place.size and not 0 <= place.min() <= place.max() < len(value):
        raise ValueError(f"region: codes must lie in 0..{len(value) - 1}, got {place.min()} to {place.max()}")
    item = played[place]
    first, second = comparisons.item_a == item, comparisons.item_b == item
    usable = np.flatnonzero((first | second) & (comparisons.weight > 0))
    chosen = usable[one_per_rater(who[usable], np.random.default_rng(seed))]
    lost = np.where(first, comparisons.outcome == B_WINS, comparisons.outcome == A_WINS)[chosen]
    names = np.array(comparisons.annotators, dtype=str)
    return Units(value[place[chosen]], lost.astype(np.float64), place[chosen].astype(np.int64), names[who[chosen]])
