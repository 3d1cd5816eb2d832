"""Differences of one pair of items that vary slowly over states: McShane's interval and when it is not sharp."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from bayespref.bounds.paths import all_distances
from bayespref.checks import as_float, non_negative, one_of
from bayespref.display import shown
from bayespref.errors import InfeasibleRestrictionError

TOLERANCE = 1e-9
"""Misfit of observed differences, relative to the largest, that counts as rounding."""


@shown(
    "between {lower} and {upper} log-odds; smallest constant the data allow {smallest}",
    next_step="test the smoothness with a few comparisons where it carries most",
)
class McShaneBounds(NamedTuple):
    """Bounds on one pair's difference per state under a Lipschitz assumption.

    Attributes
    ----------
    lower, upper : array, shape (..., S)
        Ends; NaN where the draw refutes the assumption.
    kept : bool array, shape (...)
        Draws for which no two observed states are further apart than allowed.
    share_refuted : float
        Share of draws that refute it.
    smallest : array, shape (...)
        Smallest Lipschitz constant each draw allows.
    sharp : bool
        True for two items only: with three or more the intervals of the pairs can each be non-empty while no joint
        world exists (see ``coupled.linear_bounds`` for exact bounds).
    assumptions : tuple of str
        What the bounds rest on.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    kept: NDArray[np.bool_]
    share_refuted: float
    smallest: NDArray[np.float64]
    sharp: bool
    assumptions: tuple[str, ...]


def observed_mask(values: NDArray[np.float64], observed: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of observed cells, refusing other shapes and unobserved values marked observed."""
    mask = np.asarray(observed)
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise ValueError(f"observed: must be a boolean array of shape {shape}, got {mask.dtype} {mask.shape}")
    if not np.isfinite(values[..., mask]).all():
        raise ValueError("differences: must be finite in observed cells")
    return mask


def mcshane(
    differences: Float[np.ndarray, "*draw state"],
    observed: Bool[np.ndarray, " state"],
    distance: Float[np.ndarray, "state state"],
    lipschitz: float,
    reward_width: float = 1.0,
    *,
    n_items: int = 2,
    range_policy: str = "raise",
) -> McShaneBounds:
    """Bound d(s) by [max(d(s') - L rho), min(d(s') + L rho)] over observed s', inside [-R, R].

    Parameters
    ----------
    differences : array, shape (..., S)
        r(s, a) - r(s, a') for one pair; read in observed states only.
    observed : bool array, shape (S,)
        States where the data fix the difference.
    distance : array, shape (S, S)
        rho >= 0, symmetric; paths through other states count where they are shorter. Infinite: nothing assumed.
    lipschitz : float
        L >= 0.
    reward_width : float
        R, width of the reward range.
    n_items : int
        Number of items in the state: the bounds are sharp for two only.
    range_policy : {"raise", "condition"}
        Refuse or drop draws that refute the assumption.

    Returns
    -------
    McShaneBounds

    Raises
    ------
    InfeasibleRestrictionError
        Under "raise", naming the pair of states furthest out of line.

    Examples
    --------
    >>> rho = np.abs(np.subtract.outer(np.arange(3.0), np.arange(3.0)))
    >>> b = mcshane(np.array([0.6, np.nan, 0.2]), np.array([True, False, True]), rho, 0.3)
    >>> round(float(b.lower[1]), 12), round(float(b.upper[1]), 12)
    (0.3, 0.5)
    """
    one_of("range_policy", range_policy, ("raise", "condition"))
    d = as_float("differences", differences, min_ndim=1)
    rho = non_negative("distance", distance)
    n = d.shape[-1]
    if rho.shape != (n, n) or not np.array_equal(rho, rho.T):
        raise ValueError(f"distance: must be symmetric of shape {(n, n)}, got {rho.shape}")
    slope, width = float(non_negative("lipschitz", lipschitz)), float(non_negative("reward_width", reward_width))
    mask = observed_mask(d, observed, (n,))
    rho = all_distances(np.where(np.eye(n, dtype=bool), 0.0, rho)[None].copy())[0][0]
    known = d[..., mask]
    reach = np.where(np.isfinite(rho[:, mask]), slope * np.where(np.isfinite(rho[:, mask]), rho[:, mask], 0.0), np.inf)
    lower = np.maximum((known[..., None, :] - reach).max(axis=-1, initial=-np.inf), -width)
    upper = np.minimum((known[..., None, :] + reach).min(axis=-1, initial=np.inf), width)
    gap = np.abs(known[..., :, None] - known[..., None, :])
    apart = rho[np.ix_(mask, mask)]
    slack = TOLERANCE * max(1.0, width)
    needed = np.where(apart > 0, gap / np.where(apart > 0, apart, 1.0), np.where(gap > slack, np.inf, 0.0))
    smallest = needed.max(axis=(-1, -2), initial=0.0)
    kept = np.asarray((lower <= upper + slack).all(axis=-1) & (np.abs(known) <= width + slack).all(axis=-1))
    share = 1.0 - float(kept.mean()) if kept.size else 0.0
    if share > 0 and range_policy == "raise":
        draw = np.unravel_index(int(np.argmin(kept)), kept.shape)
        i, j = np.unravel_index(int(needed[draw].argmax()), apart.shape)
        s, t = np.flatnonzero(mask)[[i, j]]
        raise InfeasibleRestrictionError(
            (
                f"identified difference of state {s}: {known[(*draw, i)]:.6g}",
                f"identified difference of state {t}: {known[(*draw, j)]:.6g}",
                f"differences move at most {slope:g} times {apart[i, j]:g} between them",
                f"differences within {width:g}",
            ),
            share,
        )
    crossed = (lower > upper) & kept[..., None]
    middle = 0.5 * (lower + upper)
    lower, upper = np.where(crossed, middle, lower), np.where(crossed, middle, upper)
    assumptions = [f"differences move at most {slope:g} per unit of distance", f"differences within {width:g}"]
    if n_items > 2:
        assumptions.append("not sharp: with three or more items pairs restrict each other")
    if share > 0:
        assumptions.append(f"conditional on the {1.0 - share:.2%} of draws that fit")
    return McShaneBounds(
        np.where(kept[..., None], lower, np.nan),
        np.where(kept[..., None], upper, np.nan),
        kept,
        share,
        np.asarray(smallest),
        n_items == 2,
        tuple(assumptions),
    )
