"""Bounds on the welfare of a policy, or of a signed contrast of two policies, when only the range couples rewards.

Within a component the data fix all but one level t_K, which moves freely in [m - min u, M - max u]. Welfare is
linear in the levels, so each end is attained by pushing every level to the side its total weight says. Subtracting
the intervals of two policies is wrong (too wide): give the contrast instead.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.bounds.cells import level_ends, prepare
from bayespref.checks import finite, non_negative
from bayespref.display import shown


@shown(
    "welfare between {lower} and {upper}; sharp: {sharp}",
    next_step="compare policies by regret, not by overlapping intervals",
)
class WelfareBounds(NamedTuple):
    """Identified set of a welfare, draw by draw.

    Attributes
    ----------
    lower, upper : array, shape (...)
        Ends of the interval; NaN where the draw was dropped.
    cell_lower, cell_upper : array, shape (..., S, C)
        Contribution of each cell, weights included; they add up to ``lower`` and ``upper``.
    kept : bool array, shape (..., S, C)
        Cells whose draw does not refute the range.
    r_min : float
        Smallest range the draws allow.
    share_refuted : float
        As in ``identified.LevelBounds``.
    sharp : bool
        True: the levels of components move freely of each other.
    assumptions : tuple of str
        What the bounds rest on.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    cell_lower: NDArray[np.float64]
    cell_upper: NDArray[np.float64]
    kept: NDArray[np.bool_]
    r_min: float
    share_refuted: float
    sharp: bool
    assumptions: tuple[str, ...]


def welfare_bounds(
    offsets: Float[np.ndarray, "*#draw state type item"],
    component: Int[np.ndarray, "*cell item"],
    policy: Float[np.ndarray, "*cells item"],
    weights: Float[np.ndarray, "*#draw state type"],
    reward_range: tuple[float, float] = (0.0, 1.0),
    *,
    range_policy: str = "raise",
    link_scale: float = 1.0,
    draw_axes: int = 0,
    by_type: bool = False,
) -> WelfareBounds:
    """Bound W = sum over s, c of weight(s, c) sum over a of q(a|s) r(s, a, c) for a policy or a contrast q.

    Parameters
    ----------
    offsets : array, shape (..., S, C, A)
        Draws of rewards or offsets; read within components only.
    component : integer array, shape (..., S, C, A)
        Component labels, broadcast against ``offsets``.
    policy : array, shape (..., S, A)
        Probabilities pi(a|s), or a signed contrast pi - pi0. With ``by_type`` shape (..., S, C, A).
    weights : array, shape (..., S, C)
        Target probability of the cell times stakes, >= 0.
    reward_range, range_policy, link_scale, draw_axes
        As in ``identified.level_bounds``.
    by_type : bool
        Whether the policy sees the type.

    Returns
    -------
    WelfareBounds
        Sharp interval per draw and its decomposition by cell.

    Raises
    ------
    RangeRefutedError
        If a span exceeds the range under "raise".
    ValueError
        If weights are negative or shapes do not agree.

    Examples
    --------
    >>> u = np.array([[[0.0, 0.4], [0.0, 9.0]]])
    >>> labels = np.array([[[0, 0], [0, 1]]])
    >>> w = welfare_bounds(u, labels, np.array([[-1.0, 1.0]]), np.array([[0.6, 0.4]]))
    >>> round(float(w.lower), 12), round(float(w.upper), 12)
    (-0.16, 0.64)
    """
    q = finite("policy", policy)
    mass = non_negative("weights", weights)
    if not np.isfinite(mass).all():
        raise ValueError("weights: must be finite")
    if q.ndim < (3 if by_type else 2):
        raise ValueError(f"policy: needs shape (..., S, {'C, ' if by_type else ''}A), got {q.shape}")
    if not by_type:
        q = q[..., None, :]
    u = np.asarray(offsets, dtype=np.float64)
    if u.ndim < 3:
        raise ValueError(f"offsets: needs shape (..., S, C, A), got {u.shape}")
    try:
        shape = np.broadcast_shapes(u.shape, q.shape, (*mass.shape, 1))
    except ValueError:
        raise ValueError(
            f"shapes do not broadcast: offsets {u.shape}, policy {np.shape(policy)}, weights {mass.shape}"
        ) from None
    cells = prepare(np.broadcast_to(u, shape), component, reward_range, range_policy, link_scale, draw_axes)
    lowest, highest = level_ends(cells, slice(None))
    slack = highest - lowest
    share = np.broadcast_to(q, (*cells.lead, shape[-1])).reshape(cells.offsets.shape)
    same = (cells.component[:, :, None] == cells.component[:, None, :]).astype(np.float64)
    # Total weight of the item's component, split evenly over its items.
    total = np.einsum("dta,tab->dtb", share, same) / same.sum(axis=1)
    core = (share * lowest).sum(axis=-1)
    low = (core + (np.minimum(total, 0.0) * slack).sum(axis=-1)).reshape(cells.lead) * mass
    high = (core + (np.maximum(total, 0.0) * slack).sum(axis=-1)).reshape(cells.lead) * mass
    return WelfareBounds(
        np.asarray(low.sum(axis=(-1, -2))),
        np.asarray(high.sum(axis=(-1, -2))),
        low,
        high,
        cells.kept.reshape(cells.lead),
        cells.r_min,
        cells.share_refuted,
        True,
        cells.assumptions,
    )
