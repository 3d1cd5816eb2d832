"""What identifies each contrast: the data, the model's structure, or nothing but the prior.

``data``: comparisons join the items within the cell with wins both ways along the path, so that the estimate is finite
without a prior and forgets any prior as such data grow. ``structure``: not so, but the model's form carries information
from elsewhere (a linear reward, pooling over states and types, the shape of the link). ``prior``: neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Int
from numpy.typing import NDArray

from bayespref import __version__
from bayespref.dims import ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.display import shown
from bayespref.errors import REASONS

IDENTIFIED_BY = ("data", "structure", "prior")
"""What identifies a contrast; the position is the code."""
_DATA, _STRUCTURE, _PRIOR = range(3)
OUTSIDE, INSIDE, FINITE = range(3)
"""Codes of a linear model's row space: outside, inside, inside with a finite estimate."""
NO, YES, NOT_CHECKED = 0, 1, -1
"""Codes of a rank check."""
_BY_GRAPH = ("", "no_data", "disconnected", "separated")
_BY_POSTERIOR = ("", "identified", "structure", "prior", "unknown")


@shown(next_step="use data-identified contrasts as they are, name the structure behind the others, bound the rest")
class Identification(NamedTuple):
    """What identifies each contrast, and why not the data."""

    identified_by: Int[np.ndarray, "*contrast"]
    """Code of ``IDENTIFIED_BY``; -1 for an item against itself."""
    reason: NDArray[np.str_]
    """Reason code where the data do not: why structure is needed, or why nothing helps; "" elsewhere."""


def identify(
    graph: NDArray[np.str_],
    posterior: NDArray[np.str_],
    *,
    linear: Int[np.ndarray, "*contrast"] | None = None,
    type_rank: Int[np.ndarray, "*contrast"] | None = None,
    form_only: bool = False,
) -> Identification:
    """Say what identifies each contrast.

    Parameters
    ----------
    graph : str array, shape (..., item, item_other)
        Reason by graph: "" (joined, wins both ways), ``no_data``, ``disconnected``, ``separated``.
    posterior : str array, same shape
        Status of :func:`bayespref.disagree.status.contrast_status`, "" on the diagonal.
    linear : int array, broadcastable, optional
        For linear rewards, where each contrast lies: ``OUTSIDE``, ``INSIDE`` or ``FINITE``. It then decides what is
        structure; without it the posterior does.
    type_rank : int array, broadcastable, optional
        For latent types, whether the contrast's gradient lies in the row space of everything observable: ``YES``,
        ``NO``, ``NOT_CHECKED``.
    form_only : bool
        Annotators give one label each, so that latent types rest on the shape of the link.

    Returns
    -------
    Identification

    Raises
    ------
    ValueError
        If shapes disagree or a word is unknown.

    Notes
    -----
    In order: joined contrasts (``data``; ``prior`` with ``type_not_identified`` where labels cannot tell types apart;
    ``structure`` with ``functional_form_only``); contrasts a linear model fixes (``structure``, ``model_identified``);
    always-winners, whose sign the data give and whose size they do not (``prior``, ``separated``); the rest by the
    posterior: narrower than prior and bound (``structure``) or not (``prior``).

    Examples
    --------
    >>> graph = np.array([["", "", "disconnected"], ["", "", "disconnected"], ["disconnected", "disconnected", ""]])
    >>> status = np.array([["", "identified", "prior"], ["identified", "", "prior"], ["prior", "prior", ""]])
    >>> got = identify(graph, status)
    >>> [IDENTIFIED_BY[code] for code in got.identified_by[0, 1:]], got.reason[0].tolist()
    (['data', 'prior'], ['', '', 'disconnected'])
    """
    why, said = np.asarray(graph, dtype=str), np.asarray(posterior, dtype=str)
    if why.ndim < 2 or why.shape[-1] != why.shape[-2] or said.shape != why.shape:
        raise ValueError(f"graph, posterior: need one shape (..., item, item), got {why.shape} and {said.shape}")
    for name, values, known in (("graph", why, _BY_GRAPH), ("posterior", said, _BY_POSTERIOR)):
        strange = sorted(set(np.unique(values).tolist()) - set(known))
        if strange:
            raise ValueError(f"{name}: words must be among {list(known)}, got {strange[:5]}")
    joined, separated = why == "", why == "separated"
    unjoined = ~joined & ~separated
    code = np.where(joined, _DATA, _PRIOR)
    reason = why.astype("<U24")
    if linear is None:
        structured = unjoined & (said == "structure")
    else:
        place = np.broadcast_to(np.asarray(linear), why.shape)
        structured = ~joined & (place == FINITE)
        reason[unjoined & (place == INSIDE)] = "separated"
    code = np.where(structured, _STRUCTURE, code)
    reason[structured] = "model_identified"
    if form_only:
        reason[joined] = "functional_form_only"
        code = np.where(joined, _STRUCTURE, code)
    if type_rank is not None:
        lost = np.broadcast_to(np.asarray(type_rank) == NO, why.shape) & joined
        code = np.where(lost, _PRIOR, code)
        reason[lost] = "type_not_identified"
    diagonal = np.arange(why.shape[-1])
    code[..., diagonal, diagonal] = -1
    reason[..., diagonal, diagonal] = ""
    return Identification(code.astype(np.int8), reason)


def identification_dataset(
    result: Identification,
    labels: Mapping[str, Sequence[str]],
    *,
    linear: Int[np.ndarray, "state type item item_other"] | None = None,
    type_rank: Int[np.ndarray, "state type item item_other"] | None = None,
    assumptions: Sequence[str] = (),
) -> xr.Dataset:
    """Label :func:`identify`: for every contrast, what identifies it, in words.

    Parameters
    ----------
    result : Identification
        Of shape (state, type, item, item).
    labels : mapping
        Labels of ``state``, ``type`` and ``item``.
    linear, type_rank : int array, optional
        As handed to :func:`identify`, kept beside the verdict.
    assumptions : sequence of str
        What the verdict takes for granted.

    Returns
    -------
    Dataset
        ``identified_by`` (data, structure, prior; "" on the diagonal) and ``identified_reason`` over (state, type,
        item, item_other); ``row_space`` (outside, inside, finite) and ``type_rank`` (yes, no, not checked) where given;
        ``n_data``, ``n_structure``, ``n_prior`` (contrasts, each pair once) over (state, type).
    """
    dims = (STATE, TYPE, ITEM, ITEM_OTHER)
    words = np.array([*IDENTIFIED_BY, ""])[result.identified_by]
    data: dict[str, tuple[tuple[str, ...], NDArray[np.generic]]] = {
        "identified_by": (dims, words),
        "identified_reason": (dims, result.reason),
    }
    upper = np.triu(np.ones(words.shape[-2:], dtype=bool), 1)
    for code, name in enumerate(IDENTIFIED_BY):
        data[f"n_{name}"] = ((STATE, TYPE), ((result.identified_by == code) & upper).sum(axis=(-2, -1)))
    if linear is not None:
        data["row_space"] = (dims, np.array(["outside", "inside", "finite"])[np.broadcast_to(linear, words.shape)])
    if type_rank is not None:
        data["type_rank"] = (dims, np.array(["no", "yes", "not checked"])[np.broadcast_to(type_rank, words.shape)])
    coords = {name: list(labels[name]) for name in (STATE, TYPE, ITEM)} | {ITEM_OTHER: list(labels[ITEM])}
    used = sorted(set(np.unique(result.reason).tolist()) - {""})
    attrs = {
        "method": "graph of comparisons, row space of linear rewards, Jacobian rank of latent types, posterior spread",
        "assumptions": "; ".join(assumptions),
        "version": __version__,
        **{f"meaning_{name}": REASONS[name].meaning for name in used},
    }
    return xr.Dataset(data, coords=coords, attrs=attrs)


def identification_words(audit: xr.Dataset) -> str:
    """Say in one sentence how many contrasts rest on what.

    Parameters
    ----------
    audit : Dataset
        From :func:`identification_dataset`.

    Returns
    -------
    str

    Examples
    --------
    >>> graph = np.full((1, 1, 2, 2), "disconnected")
    >>> got = identify(graph, np.full((1, 1, 2, 2), "prior"))
    >>> labels = {"state": ["s"], "type": ["t"], "item": ["x", "y"]}
    >>> identification_words(identification_dataset(got, labels))
    'identified: no, of 1 contrast 0 by data, 0 by structure, 1 by the prior alone (disconnected 1)'
    """
    n = {name: int(audit[f"n_{name}"].sum()) for name in IDENTIFIED_BY}
    total = sum(n.values())
    verdict = "yes" if n["data"] == total else "no" if n["prior"] else "by structure, not by data"
    reasons = audit["identified_reason"].values
    names, counts = np.unique(reasons[reasons != ""], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    why = ", ".join(f"{names[k]} {counts[k] // 2:,}" for k in order)
    noun = "contrast" if total == 1 else "contrasts"
    words = (
        f"identified: {verdict}, of {total:,} {noun} {n['data']:,} by data, {n['structure']:,} by structure, "
        f"{n['prior']:,} by the prior alone"
    )
    return f"{words} ({why})" if why else words
