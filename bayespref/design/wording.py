"""Why a comparison is proposed, in a code and in words a labelling team can read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray


class Why(NamedTuple):
    """Reason of one proposed comparison: a code of `bayespref.errors.REASONS`, and a sentence."""

    code: str
    words: str


def cell_reason(
    pair: tuple[int, int],
    items: tuple[str, ...],
    state: str,
    segment: str,
    component: Int[np.ndarray, "type item"],
    seen: Bool[np.ndarray, "type item"],
    asked: float,
    beats: Float[np.ndarray, "item item_other"],
    favourite: int,
    wanted: tuple[int, int] | None = None,
) -> Why:
    """Say why a pair should be compared in a state by a segment.

    Parameters
    ----------
    pair : tuple of int
        The two items.
    items : tuple of str
        Labels.
    state, segment : str
        Where, and by whom.
    component : int array, shape (type, item)
        Components of the comparison graph for the types in the segment.
    seen : bool array, shape (type, item)
        Items that these types ever met in the state.
    asked : float
        Comparisons of the pair so far, by this segment in this state.
    beats : float array, shape (item, item)
        Posterior share of draws in which the first is better in the state's region.
    favourite : int
        Best item in mean there.
    wanted : tuple of int, optional
        The contrast that the user named, if one.

    Returns
    -------
    Why

    Examples
    --------
    >>> apart, never = np.array([[0, 1]]), np.array([[True, False]])
    >>> half = np.full((2, 2), 0.5)
    >>> cell_reason((0, 1), ("x", "y"), "s", "north", apart, never, 0.0, half, 0).code
    'no_data'
    """
    a, b = pair
    new = [items[i] for i in pair if not seen[:, i].all()]
    broken = (component[:, a] != component[:, b]).any()
    if broken and new:
        met = " and ".join(new)
        what = "was never shown" if len(new) == 1 else "were never shown"
        text = f"{met} {what} to {segment} in {state}, so nothing ties {items[a]} to {items[b]} there"
        return Why("no_data", text + _bridge(pair, items, component, wanted))
    if broken:
        text = f"no chain of comparisons ties {items[a]} to {items[b]} for {segment} in {state}"
        return Why("disconnected", text + _bridge(pair, items, component, wanted))
    so_far = f"{asked:.0f} such comparison{'s' * (round(asked) != 1)} so far"
    if favourite in pair:
        rival = b if favourite == a else a
        chance = float(beats[rival, favourite])
        text = f"{items[rival]} may be better than the favourite {items[favourite]} in {state} ({chance:.0%} of draws)"
    else:
        first, second = (a, b) if beats[a, b] >= 0.5 else (b, a)
        text = (
            f"the order of {items[first]} and {items[second]} in {state} is open ({beats[second, first]:.0%} of draws)"
        )
        text += f", and both are judged against the favourite {items[favourite]}"
    return Why("thin", f"{text}; {so_far}")


def _bridge(
    pair: tuple[int, int],
    items: tuple[str, ...],
    component: NDArray[np.int64],
    wanted: tuple[int, int] | None,
) -> str:
    """Words for a comparison that joins the contrast the user named without being it."""
    if wanted is None or set(pair) == set(wanted):
        return ""
    return f"; with it, a chain can tie {items[wanted[0]]} to {items[wanted[1]]}"


def feature_reason(
    dz: Float[np.ndarray, " feature"],
    names: tuple[str, ...],
    scale: Float[np.ndarray, " feature"],
    preferred: float,
    segment: str,
) -> Why:
    """Say what a pair of feature vectors trades off.

    Examples
    --------
    >>> feature_reason(np.array([2.0, -1.0]), ("price", "time"), np.ones(2), 0.6, "anyone").words
    'trades price +2 against time -1; 60% of anyone should choose item_a, so each answer says much'
    """
    order = np.argsort(-np.abs(dz) / scale)[:2]
    parts = [f"{names[k]} {dz[k]:+.3g}" for k in order if dz[k] != 0]
    say = "so each answer says much" if abs(preferred - 0.5) < 0.3 else "a sharp test of the extremes"
    return Why("thin", f"trades {' against '.join(parts)}; {preferred:.0%} of {segment} should choose item_a, {say}")
