"""Connectivity per (state, type), from the counts each type is expected to have given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, B_WINS, ITEM, STATE, TIE, TYPE
from bayespref.graph.check import check
from bayespref.graph.connect import components, connectivity, strong_components


class TypedGraph(NamedTuple):
    """Comparison graphs of every (state, type).

    Attributes
    ----------
    wins : float array, shape (state, type, item, item)
        ``wins[..., i, j]``: expected weight with which i beat j; a tie counts half each way, both-bad not at all.
    component, strong_component : int array, shape (state, type, item)
        Labels; an edge needs an expected count that rounds to at least ``n_min`` comparisons (:func:`edge_floor`).
    """

    wins: Float[np.ndarray, "state type item item_other"]
    component: Int[np.ndarray, "state type item"]
    strong_component: Int[np.ndarray, "state type item"]


def typed_graph(
    expected: Float[np.ndarray, "type question outcome"],
    state: Int[np.ndarray, " question"],
    item_a: Int[np.ndarray, " question"],
    item_b: Int[np.ndarray, " question"],
    outcome_code: Int[np.ndarray, " outcome"],
    *,
    n_states: int,
    n_items: int,
    n_min: float = 1.0,
) -> TypedGraph:
    """Build the comparison graph of every (state, type).

    Parameters
    ----------
    expected : float array, shape (type, question, outcome)
        Expected number of answers per type (posterior mean); plain counts when there is one type.
    state, item_a, item_b : int array, shape (question,)
        What was asked.
    outcome_code : int array, shape (outcome,)
        Outcome of each column, codes of ``bayespref.dims.OUTCOMES``.
    n_states, n_items : int
        Sizes.
    n_min : float
        Fewest comparisons that make an edge, at least 1.

    Returns
    -------
    TypedGraph

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([[[3.0, 1.0]]])
    >>> zero, first, second = np.array([0]), np.array([0]), np.array([1])
    >>> graph = typed_graph(one, zero, first, second, np.array([0, 1]), n_states=1, n_items=3)
    >>> graph.component[0, 0].tolist()
    [0, 0, 1]
    """
    n_types = expected.shape[0]
    wins = np.zeros((n_states, n_types, n_items, n_items))
    kinds = np.arange(n_types)[:, None]
    for column, code in enumerate(np.asarray(outcome_code).tolist()):
        amount = expected[:, :, column]
        if code in (A_WINS, TIE):
            _add(wins, (state, kinds, item_a, item_b), amount * (0.5 if code == TIE else 1.0))
        if code in (B_WINS, TIE):
            _add(wins, (state, kinds, item_b, item_a), amount * (0.5 if code == TIE else 1.0))
    counts = wins + np.swapaxes(wins, -1, -2)
    edge = counts >= edge_floor(n_min)
    return TypedGraph(wins, components(np.where(edge, counts, 0.0)), strong_components(np.where(edge, wins, 0.0)))


def edge_floor(n_min: float) -> float:
    """Least expected count that rounds to at least ``n_min`` comparisons.

    With ``n_min = 1`` an edge needs an expected count of one half: someone of that type compared the pair, more
    likely than not. Whole counts are unaffected.
    """
    return n_min - 0.5


def _add(target: NDArray[np.float64], index: tuple[Any, ...], amount: NDArray[np.float64]) -> None:
    np.add.at(target, np.broadcast_arrays(*index), amount)


def graph_dataset(
    comparisons: Comparisons, graph: TypedGraph, chosen: Int[np.ndarray, " chosen"], types: Sequence[str], n_min: float
) -> xr.Dataset:
    """The group ``graph``: connectivity by state, components by (state, type), and the verdicts of ``check``.

    Parameters
    ----------
    comparisons : Comparisons
        The table.
    graph : TypedGraph
        From :func:`typed_graph`.
    chosen : int array
        Codes of the items a decision may choose among.
    types : sequence of str
        Labels of the types.
    n_min : float
        Fewest comparisons that make an edge.

    Returns
    -------
    Dataset
        See ``bayespref.graph.connect.connectivity``; beside it ``type_count`` (expected comparisons),
        ``type_component`` and ``type_strong_component``, ``is_chosen``, and the attribute ``check`` (JSON).
    """
    group = connectivity(comparisons, n_min=n_min).assign_coords({TYPE: list(types)})
    group["type_count"] = ((STATE, TYPE), graph.wins.sum((-1, -2)))
    group["type_component"] = ((STATE, TYPE, ITEM), graph.component)
    group["type_strong_component"] = ((STATE, TYPE, ITEM), graph.strong_component)
    group["is_chosen"] = (ITEM, np.isin(np.arange(comparisons.n_items), chosen))
    group.attrs["check"] = check(comparisons).to_json()
    return group
