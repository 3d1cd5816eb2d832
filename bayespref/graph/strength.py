"""How firmly is a graph connected: effective resistance, Fiedler value, bridges, articulation items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref import __version__
from bayespref.checks import between, finite, non_negative
from bayespref.comparisons import Comparisons
from bayespref.dims import ITEM, ITEM_OTHER
from bayespref.graph.build import bridge_edges, cut_items, networks, stratum_columns, win_counts
from bayespref.graph.connect import components


def effective_resistance(
    weights: Float[np.ndarray, "*batch item item_other"],
) -> Float[np.ndarray, "*batch item item_other"]:
    """Variance of every contrast when each edge measures its contrast with information ``weights``.

    Parameters
    ----------
    weights : float array, shape (..., A, A)
        Symmetric information of each pair, for Bradley-Terry ``n p (1 - p)`` (per squared log-odds). The diagonal is
        ignored.

    Returns
    -------
    float array, shape (..., A, A)
        ``R[i, j] = (e_i - e_j)' L^+ (e_i - e_j)`` with L the weighted Laplacian: the asymptotic variance of r(i) - r(j)
        in squared log-odds, so its square root is a standard error. ``inf`` across components, 0 on the diagonal.

    Raises
    ------
    ValueError
        If weights are negative, infinite, NaN or not symmetric.

    Notes
    -----
    Klein and Randic (1993), Journal of Mathematical Chemistry 12, 81-95. Solved as inv(L + J), J projecting onto
    the indicator of each component (times its mean degree): J cancels within a component. Dense, O(A^3) a graph.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.array([[0.0, 4.0, 0.0], [4.0, 0.0, 4.0], [0.0, 4.0, 0.0]])
    >>> effective_resistance(weights)[0, 2]  # two steps of 1/4 each
    np.float64(0.5)
    """
    laplacian, component = _laplacian(weights)
    same = component[..., :, None] == component[..., None, :]
    size = same.sum(axis=-1)
    degree = np.diagonal(laplacian, axis1=-2, axis2=-1)
    scale = (same * degree[..., None, :]).sum(axis=-1) / size
    scale[size == 1] = 1.0
    inverse = np.linalg.inv(laplacian + same * (scale / size)[..., None])
    diagonal = np.diagonal(inverse, axis1=-2, axis2=-1)
    resistance = diagonal[..., :, None] + diagonal[..., None, :] - inverse - np.swapaxes(inverse, -1, -2)
    resistance = np.where(same, resistance, np.inf)
    index = np.arange(resistance.shape[-1])
    resistance[..., index, index] = 0.0
    return resistance


def fiedler_value(weights: Float[np.ndarray, "*batch item item_other"]) -> Float[np.ndarray, "*batch"]:
    """Algebraic connectivity: the second smallest eigenvalue of the weighted Laplacian (Fiedler 1973).

    Parameters
    ----------
    weights : float array, shape (..., A, A)
        Symmetric information of each pair, as in :func:`effective_resistance`.

    Returns
    -------
    float array, shape (...)
        Exactly 0 where the graph has several components, NaN where it has fewer than two items.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(fiedler_value(np.ones((5, 5)))), 9)  # a complete graph has A
    5.0
    """
    laplacian, component = _laplacian(weights)
    if laplacian.shape[-1] < 2:
        return np.full(laplacian.shape[:-2], np.nan)
    second = np.linalg.eigvalsh(laplacian)[..., 1]
    return np.asarray(np.where(component.max(axis=-1) > 0, 0.0, second))


def contrast_sd(
    comparisons: Comparisons,
    by: Sequence[str] = ("state",),
    *,
    probability: Float[np.ndarray, "*stratum item item_other"] | float = 0.5,
    n_min: float = 1,
    max_items: int = 500,
) -> xr.Dataset:
    """Standard error that the comparison counts allow each contrast, before any fit.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns that define a stratum; axes follow annotator, environment, context, state.
    probability : float or array broadcastable to (*stratum, A, A)
        Choice probability p of each pair in the information n p (1 - p). The default 1/2 is the most informative
        value, so that the result is the least standard error these counts could give.
    n_min : float
        Fewest comparisons of a pair that count as an edge.
    max_items : int
        Largest number of items: the computation is dense.

    Returns
    -------
    Dataset
        ``sd`` (dims strata, item, item_other; log-odds; ``inf`` where disconnected or unseen) and ``fiedler`` (dims
        strata; over items seen in the stratum; NaN below two items).

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"), weight=np.array([16.0]))
    >>> round(float(contrast_sd(table).sd.sel(state="all", item="x", item_other="y")), 9)
    0.5
    """
    dims = stratum_columns(comparisons, by)
    if comparisons.n_items > max_items:
        raise ValueError(
            f"comparisons: {comparisons.n_items:,} items, more than max_items = {max_items:,}; the resistance is dense"
        )
    p = between("probability", probability, 0, 1)
    wins = win_counts(comparisons, dims, n_min=n_min)
    games = wins + np.swapaxes(wins, -1, -2)
    try:
        information = games * p * (1 - p)
    except ValueError:
        raise ValueError(f"probability: shape {p.shape} does not broadcast to {games.shape}") from None
    if information.shape != games.shape:
        raise ValueError(f"probability: shape {p.shape} does not broadcast to {games.shape}")
    seen = (games > 0).any(axis=-1)
    fiedler = np.full(games.shape[:-2], np.nan)
    for stratum in np.ndindex(games.shape[:-2]):
        kept = np.flatnonzero(seen[stratum])
        if len(kept) > 1:
            fiedler[stratum] = float(fiedler_value(information[stratum][np.ix_(kept, kept)]))
    coords = {dim: list(comparisons.labels(dim)) for dim in (*dims, ITEM)}
    attrs = {
        "method": "square root of the effective resistance",
        "assumptions": "Bradley-Terry; information n p (1 - p) at the given p",
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    data = {"sd": ((*dims, ITEM, ITEM_OTHER), np.sqrt(effective_resistance(information))), "fiedler": (dims, fiedler)}
    return xr.Dataset(data, coords={**coords, ITEM_OTHER: list(comparisons.items)}, attrs=attrs)


def bridges(comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1) -> pd.DataFrame:
    """List pairs whose loss would split a component: every contrast across rests on these comparisons alone.

    Returns
    -------
    DataFrame
        Columns of ``by`` (in the order of the axes), ``item_a``, ``item_b``, ``n_comparisons``; fewest first.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 0]), items=("x", "y", "z"))
    >>> bridges(table)[["item_a", "item_b"]].values.tolist()
    [['x', 'y'], ['y', 'z']]
    """
    dims = stratum_columns(comparisons, by)
    rows = [
        (*labels, *sorted((a, b)), graph.edges[a, b]["n"])
        for labels, graph in networks(comparisons, dims, n_min=n_min)
        for a, b in bridge_edges(graph)
    ]
    frame = pd.DataFrame(rows, columns=[*dims, "item_a", "item_b", "n_comparisons"])
    return frame.sort_values(["n_comparisons", *dims, "item_a", "item_b"], ignore_index=True)


def articulation_items(comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1) -> pd.DataFrame:
    """List items whose loss would split a component.

    Returns
    -------
    DataFrame
        Columns of ``by`` (in the order of the axes) and ``item``.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 0]), items=("x", "y", "z"))
    >>> articulation_items(table).values.tolist()
    [['all', 'y']]
    """
    dims = stratum_columns(comparisons, by)
    rows = [(*labels, item) for labels, graph in networks(comparisons, dims, n_min=n_min) for item in cut_items(graph)]
    return pd.DataFrame(rows, columns=[*dims, "item"])


def _laplacian(
    weights: Float[np.ndarray, "*batch item item_other"],
) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    array = finite("weights", non_negative("weights", weights)).copy()
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"weights: the last two axes must be equal (item, item), got shape {array.shape}")
    component = components(array)
    if not np.allclose(array, np.swapaxes(array, -1, -2), rtol=1e-12, atol=0):
        raise ValueError("weights: must be symmetric in the last two axes")
    index = np.arange(array.shape[-1])
    array[..., index, index] = 0.0
    laplacian = -array
    laplacian[..., index, index] = array.sum(axis=-1)
    return laplacian, component
