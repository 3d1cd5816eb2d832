"""Label switching: every draw's types are matched to a pivot's before anything is summarised by type.

Traits have no labels but a frame: rotating or reflecting traits and loadings together changes nothing that anybody can
observe. :func:`match_traits` turns each draw's frame into the pivot's and says how far it had to turn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayespref.display import shown


@shown("labels switched in {switched} of draws", next_step="fit fewer types if labels switch")
class Alignment(NamedTuple):
    """Matching of each draw's types to the pivot's.

    Attributes
    ----------
    order : int array, shape (chain, draw, type)
        ``order[..., k]``: the draw's own label of pivot type k.
    switched : bool array, shape (chain, draw)
        Draws whose matching differs from their chain's most common one: label switching within a chain.
    agreement : float array, shape (chain, draw)
        Share of units whose type agrees with the pivot after matching; low values mean that no relabelling makes
        the draw resemble the pivot.
    """

    order: Int[np.ndarray, "chain draw type"]
    switched: Bool[np.ndarray, "chain draw"]
    agreement: Float[np.ndarray, "chain draw"]


def match_types(overlap: Float[np.ndarray, "chain draw type type_pivot"]) -> Alignment:
    """Match types by the units they share (Hungarian algorithm on memberships).

    Memberships, unlike rewards, carry no prior noise from cells that nobody visited.

    Parameters
    ----------
    overlap : float array, shape (chain, draw, type, type)
        ``overlap[..., j, k]``: expected number of units of the draw's type j and the pivot's type k.

    Returns
    -------
    Alignment

    Raises
    ------
    ValueError
        If an overlap is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> swapped = np.array([[[[1.0, 9.0], [8.0, 2.0]]]])
    >>> match_types(swapped).order[0, 0].tolist()
    [1, 0]
    """
    if not np.all(np.isfinite(overlap)):
        raise ValueError("overlap: must be finite")
    chains, draws, n_types = overlap.shape[:3]
    order = np.argmax(overlap, axis=2)
    obvious = np.all(np.sort(order, axis=-1) == np.arange(n_types), axis=-1)
    for chain, draw in np.argwhere(~obvious):
        own, pivot = linear_sum_assignment(-overlap[chain, draw])
        order[chain, draw, pivot] = own
    matched = np.take_along_axis(overlap, order[:, :, None, :], axis=2)[:, :, 0, :].sum(-1)
    total = overlap.sum(axis=(2, 3))
    agreement = np.divide(matched, total, out=np.full((chains, draws), np.nan), where=total > 0)
    code = order @ (n_types ** np.arange(n_types))
    usual = np.array([np.bincount(chain).argmax() if draws else 0 for chain in code])
    return Alignment(order, code != usual[:, None], agreement)


def reorder(
    values: Float[np.ndarray, "chain draw ..."], order: Int[np.ndarray, "chain draw type"], axis: int
) -> NDArray[np.float64]:
    """Permute the type axis of every draw.

    Parameters
    ----------
    values : float array, leading axes (chain, draw)
        A variable with a type axis.
    order : int array, shape (chain, draw, type)
        From :func:`match_types`.
    axis : int
        Position of the type axis in ``values``.

    Returns
    -------
    float array of the same shape
    """
    shape = [*order.shape[:2], *([1] * (values.ndim - 2))]
    shape[axis] = order.shape[2]
    return np.take_along_axis(values, order.reshape(shape), axis=axis)


@shown("frame turned in {turned} of draws", next_step="read only what no rotation changes if frames turn")
class TraitAlignment(NamedTuple):
    """Matching of each draw's trait frame to the pivot's.

    Attributes
    ----------
    loading : float array, shape (chain, draw, trait, state, item)
        Loadings in the pivot's frame.
    rotation : float array, shape (chain, draw, trait, trait)
        Orthogonal matrix that was applied to the draw's traits (and loadings).
    turned : bool array, shape (chain, draw)
        Draws whose own frame was nearer to another one than the pivot's (mean cosine below 1 / sqrt 2, a turn of more
        than 45 degrees): residual switching of the frame the draws came in.
    agreement : float array, shape (chain, draw)
        Cosine between the turned loadings and the pivot's; low values mean that no rotation makes the draw resemble
        the pivot.
    """

    loading: Float[np.ndarray, "chain draw trait state item"]
    rotation: Float[np.ndarray, "chain draw trait trait"]
    turned: Bool[np.ndarray, "chain draw"]
    agreement: Float[np.ndarray, "chain draw"]


def match_traits(
    loading: Float[np.ndarray, "chain draw trait state item"], pivot: Float[np.ndarray, "trait state item"]
) -> TraitAlignment:
    """Turn every draw's traits into the pivot's frame by the nearest orthogonal matrix.

    Parameters
    ----------
    loading : float array, shape (chain, draw, trait, state, item)
        Loadings of each draw, log-odds per standard deviation of a trait.
    pivot : float array, shape (trait, state, item)
        Loadings at the best mode.

    Returns
    -------
    TraitAlignment

    Raises
    ------
    ValueError
        If a loading is not finite.

    Notes
    -----
    Orthogonal Procrustes problem (Schoenemann 1966, Psychometrika 31, 1-10), solved for all draws at once.

    Examples
    --------
    >>> import numpy as np
    >>> pivot = np.array([[[1.0, -1.0]]])
    >>> match_traits(-pivot[None, None], pivot).loading.ravel().tolist()
    [1.0, -1.0]
    """
    if not (np.all(np.isfinite(loading)) and np.all(np.isfinite(pivot))):
        raise ValueError("loading, pivot: must be finite")
    cross = np.einsum("msi,cdnsi->cdmn", pivot, loading)
    left, size, right = np.linalg.svd(cross)
    rotation = left @ right
    cosine = np.trace(rotation, axis1=-2, axis2=-1) / rotation.shape[-1]
    norm = np.linalg.norm(loading, axis=(-2, -1)).reshape(*loading.shape[:3])
    norm = np.sqrt((norm**2).sum(-1)) * np.linalg.norm(pivot)
    agreement = np.divide(size.sum(-1), norm, out=np.full(norm.shape, np.nan), where=norm > 0)
    turned = np.einsum("cdmn,cdnsi->cdmsi", rotation, loading)
    return TraitAlignment(turned, rotation, cosine < np.sqrt(0.5), agreement)
