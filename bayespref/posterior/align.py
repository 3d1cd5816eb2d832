"""Label switching: every draw's types are matched to a pivot's before anything is summarised by type."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


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
