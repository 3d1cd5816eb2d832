"""Effective resistance: the standard error of a contrast from the comparison graph alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from bayespref.checks import finite, non_negative


def effective_resistance(
    weight: Float[np.ndarray, "*region item item_other"], component: Int[np.ndarray, "*region item"]
) -> Float[np.ndarray, "*region item item_other"]:
    """Variance of every contrast when each edge carries Fisher information ``weight``.

    With weights ``n p (1 - p)`` the Laplacian L is the Fisher information of Bradley-Terry rewards and
    ``R[a, b] = (e_a - e_b)' L^+ (e_a - e_b)`` the variance of the contrast without a prior.

    Parameters
    ----------
    weight : float array, shape (*region, item, item_other)
        Edge weights (conductances), symmetric, >= 0.
    component : int array, shape (*region, item)
        Component labels; no edge may cross components.

    Returns
    -------
    float array, shape (*region, item, item_other)
        Resistance: 0 on the diagonal, infinite across components, and infinite too where every path between two items
        of a component has an edge of zero weight (a win probability of exactly 0 or 1).

    Raises
    ------
    ValueError
        If weights are negative, not finite or not symmetric, or an edge crosses components.

    Notes
    -----
    Partial-identification notes, section 5; Klein and Randic (1993). The Laplacian is scaled by the square roots of
    its diagonal and made invertible by one rank-one term per component, which cancels from every contrast.

    Examples
    --------
    >>> path = np.array([[0.0, 10.0, 0.0], [10.0, 0.0, 10.0], [0.0, 10.0, 0.0]])
    >>> round(float(effective_resistance(path, np.zeros(3, dtype=int))[0, 2]), 6)
    0.2
    """
    w = finite("weight", non_negative("weight", weight))
    if w.ndim < 2 or w.shape[-1] != w.shape[-2]:
        raise ValueError(f"weight: must have last axes (item, item_other) of one size, got shape {w.shape}")
    if not np.allclose(w, np.swapaxes(w, -1, -2), rtol=1e-9, atol=0.0):
        raise ValueError("weight: must be symmetric")
    labels = np.asarray(component)
    if labels.shape != w.shape[:-1]:
        raise ValueError(f"component: must have shape {w.shape[:-1]}, got {labels.shape}")
    same = labels[..., :, None] == labels[..., None, :]
    if np.any((w > 0) & ~same):
        raise ValueError("component: an edge of positive weight crosses components")
    linked = _reachable(w > 0)
    n_items = w.shape[-1]
    w = np.where(np.eye(n_items, dtype=bool), 0.0, w)
    degree = w.sum(axis=-1)
    scale = 1.0 / np.sqrt(np.where(degree > 0, degree, 1.0))
    laplacian = np.where(np.eye(n_items, dtype=bool), degree[..., None], -w)
    root = np.where(degree > 0, np.sqrt(degree), 1.0)
    # The null vector of a scaled component is the root of its degrees; adding its projector removes it.
    norm = np.sum(linked * (root**2)[..., None, :], axis=-1)
    projector = linked * root[..., :, None] * root[..., None, :] / norm[..., :, None]
    inverse = np.linalg.inv(laplacian * scale[..., :, None] * scale[..., None, :] + projector)
    inverse = inverse * scale[..., :, None] * scale[..., None, :]
    own = np.diagonal(inverse, axis1=-2, axis2=-1)
    resistance = own[..., :, None] + own[..., None, :] - inverse - np.swapaxes(inverse, -1, -2)
    resistance = np.where(linked, resistance, np.inf)
    resistance[..., np.arange(n_items), np.arange(n_items)] = 0.0
    return np.asarray(resistance)


def _reachable(edge: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pairs joined by a path, per region."""
    flat = edge.reshape(-1, *edge.shape[-2:])
    group = np.stack([connected_components(csr_array(one), directed=False)[1] for one in flat])
    group = group.reshape(edge.shape[:-1])
    return np.asarray(group[..., :, None] == group[..., None, :])
