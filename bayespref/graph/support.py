"""Is a deployment point near anything that was collected: k-nearest-neighbour support in a user's embedding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import spatial

from bayespref.checks import at_least, finite
from bayespref.display import shown
from bayespref.graph.coverage import clopper_pearson


@shown(
    "{share} of deployment lies outside the collection",
    next_step="defer on the unsupported rows, or collect near them",
)
class NeighbourSupport(NamedTuple):
    """How far deployment points lie from the collection, measured by the collection's own distances.

    Attributes
    ----------
    distance : float array, shape (m,)
        Euclidean distance to the k-th nearest collected point.
    p_value : float array, shape (m,)
        Share of collected points (the point itself counted in) that lie at least as far from their own neighbours.
    unsupported : bool array, shape (m,)
        ``p_value`` at most ``1 - level``: about that share is expected where the two are alike.
    share, lower, upper : float
        Share unsupported, with its Clopper-Pearson interval at ``level``.
    """

    distance: Float[np.ndarray, " m"]
    p_value: Float[np.ndarray, " m"]
    unsupported: Bool[np.ndarray, " m"]
    share: float
    lower: float
    upper: float


def neighbour_support(
    collected: Float[np.ndarray, "n d"], deployment: Float[np.ndarray, "m d"], *, k: int = 5, level: float = 0.95
) -> NeighbourSupport:
    """Compare each deployment point's distance to its k-th collected neighbour with the collection's own.

    Parameters
    ----------
    collected, deployment : float array, shape (n, d) and (m, d)
        Embeddings of prompts (or anything), in the same coordinates and units: distances are Euclidean, so scale
        features first.
    k : int
        Which neighbour, below n.
    level : float
        One minus the share of collected points that would be called unsupported.

    Returns
    -------
    NeighbourSupport

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, or there are no more than k collected points.

    Notes
    -----
    Collected points meet n - 1 others and deployment points n, so p-values are exact only up to one point in n;
    repeated points make them conservative. Nearness in the embedding is not coverage of the cell: it says that
    extrapolation is short where the reward is smooth in these coordinates.

    Examples
    --------
    >>> grid = np.arange(20.0)[:, None]
    >>> got = neighbour_support(grid, np.array([[7.5], [40.0]]), k=1)
    >>> got.distance.tolist(), got.unsupported.tolist()
    ([0.5, 21.0], [False, True])
    """
    here, there = finite("collected", collected), finite("deployment", deployment)
    if here.ndim != 2 or there.ndim != 2 or here.shape[1] != there.shape[1]:
        raise ValueError(f"collected, deployment: need (n, d) and (m, d), got {here.shape} and {there.shape}")
    k = at_least("k", k, 1)
    if len(here) <= k or not len(there):
        raise ValueError(
            f"collected, deployment: need more than k = {k} and at least one point, got {len(here)}, {len(there)}"
        )
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level!r}")
    tree = spatial.KDTree(here)
    # Each collected point finds itself at distance 0 first.
    own = np.sort(np.asarray(tree.query(here, k=[k + 1])[0]).reshape(-1))
    distance = np.asarray(tree.query(there, k=[k])[0]).reshape(-1)
    farther = len(own) - np.searchsorted(own, distance, side="left")
    p_value = (farther + 1.0) / (len(own) + 1.0)
    unsupported = p_value <= 1 - level + 1e-12
    lower, upper = clopper_pearson(np.array(float(unsupported.sum())), float(len(there)), level)
    return NeighbourSupport(distance, p_value, unsupported, float(unsupported.mean()), float(lower), float(upper))
