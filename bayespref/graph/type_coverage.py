"""Coverage and connectivity of (state, type) cells with the posterior's uncertainty about who is of which type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from bayespref import __version__
from bayespref.checks import between, non_negative
from bayespref.dims import ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.display import shown
from bayespref.graph.build import label_blocks
from bayespref.graph.coverage import clopper_pearson


@shown(next_step="collect in the cells that are empty or below the floor, or defer there")
class TypeCoverage(NamedTuple):
    """Coverage of (state, type) cells over draws of the annotators' types."""

    expected_count: Float[np.ndarray, "state type"]
    """Posterior mean number of comparisons."""
    mass: Float[np.ndarray, "state type"]
    """Posterior mean share of all comparisons."""
    lower: Float[np.ndarray, "state type"]
    upper: Float[np.ndarray, "state type"]
    """Quantiles over draws of the Clopper-Pearson limits: type uncertainty and sampling together."""
    below: Float[np.ndarray, "state type"]
    above: Float[np.ndarray, "state type"]
    """Share of draws whose interval lies wholly below, or above, the floor."""
    empty: Float[np.ndarray, "state type"]
    """Posterior probability that nobody of the type was asked in the state."""
    connected: Float[np.ndarray, "state type"]
    """Posterior probability that the items seen in the state form one component of the type's graph."""
    strongly_connected: Float[np.ndarray, "state type"]
    """The same for one strong component, so that the type's estimate without a prior is finite."""
    pair_connected: Float[np.ndarray, "state type item item_other"]
    """Posterior probability that the two items lie in one component; 1 on the diagonal."""
    n_draws: int


def type_coverage(
    wins_a: Float[np.ndarray, "draw type pair"],
    wins_b: Float[np.ndarray, "draw type pair"],
    state: Int[np.ndarray, " pair"],
    item_a: Int[np.ndarray, " pair"],
    item_b: Int[np.ndarray, " pair"],
    *,
    n_states: int,
    n_items: int,
    chosen: Int[np.ndarray, " chosen"] | None = None,
    floor: float = 0.001,
    level: float = 0.95,
    n_min: float = 1.0,
) -> TypeCoverage:
    """Judge (state, type) cells from counts drawn with the types of the annotators.

    Parameters
    ----------
    wins_a, wins_b : float array, shape (draw, type, pair)
        For each posterior draw, after drawing every annotator's type from its probabilities: the weight with which
        either item of a pair won, ties half each way. Drawn types make whole counts, so that "is this cell connected"
        has an answer in each draw and a probability over draws; expected counts would join everything a little.
    state, item_a, item_b : int array, shape (pair,)
        What was asked, each (state, pair) once. Items named here count as seen in the state.
    n_states, n_items : int
        Sizes.
    chosen : int array, optional
        Items between which ``pair_connected`` is reported; all by default. Components use every item.
    floor : float
        Least share of all comparisons a cell should have.
    level : float
        Level of the intervals.
    n_min : float
        Fewest comparisons that make an edge.

    Returns
    -------
    TypeCoverage

    Raises
    ------
    ValueError
        If shapes disagree, counts are negative, or there is no draw.

    Notes
    -----
    Everything here is conditional on the type model. A state in which fewer than two items were seen is NaN under
    ``connected``. Monte-Carlo error of a probability is at most ``0.5 / sqrt(draws)``.

    Examples
    --------
    >>> zero = np.zeros(1, dtype=int)
    >>> won = np.array([[[4.0], [0.0]], [[0.0], [4.0]]])  # the one annotator is of type 1, or of type 2
    >>> type_coverage(won, 0 * won, zero, zero, zero + 1, n_states=1, n_items=2).connected.tolist()
    [[0.5, 0.5]]
    """
    won, lost = non_negative("wins_a", wins_a), non_negative("wins_b", wins_b)
    where, a, b = (np.asarray(values, dtype=np.int64) for values in (state, item_a, item_b))
    if won.ndim != 3 or lost.shape != won.shape or not len(won):
        raise ValueError(f"wins_a, wins_b: need one shape (draw, type, pair), got {won.shape} and {lost.shape}")
    if not where.shape == a.shape == b.shape == won.shape[2:]:
        raise ValueError(f"state, item_a, item_b: need one entry a pair, shape {won.shape[2:]}, got {where.shape}")
    between("floor", floor, 0, 1)
    between("level", level, 0, 1)
    games = won + lost
    n_draws, n_types = games.shape[:2]
    in_state = csr_array((np.ones(len(where)), (np.arange(len(where)), where)), shape=(len(where), n_states))
    flat = np.asarray(games.reshape(n_draws * n_types, len(where)) @ in_state)
    count = flat.reshape(n_draws, n_types, n_states).transpose(0, 2, 1)
    total = count.sum(axis=(1, 2), keepdims=True)
    low, high = clopper_pearson(np.minimum(count, total), np.broadcast_to(total, count.shape), level)
    tail = (1 - level) / 2
    seen = np.zeros((n_states, n_items), dtype=bool)
    seen[where, a] = seen[where, b] = True
    node = np.cumsum(seen.reshape(-1)).reshape(seen.shape) - 1  # nodes are numbered by state, then item
    ends = node[where, a], node[where, b]
    edge = games >= n_min
    component = _labels(edge, edge, ends, seen)
    strong = _labels(edge & (won > 0), edge & (lost > 0), ends, seen)
    kept = np.arange(n_items) if chosen is None else np.asarray(chosen)
    return TypeCoverage(
        expected_count=count.mean(axis=0),
        mass=_mean_share(count, total),
        lower=np.quantile(low, tail, axis=0),
        upper=np.quantile(high, 1 - tail, axis=0),
        below=np.mean(high < floor, axis=0),
        above=np.mean(low > floor, axis=0),
        empty=np.mean(count == 0, axis=0),
        connected=_one_component(component, seen),
        strongly_connected=_one_component(strong, seen),
        pair_connected=_pairs_joined(component, seen, kept),
        n_draws=n_draws,
    )


def _labels(
    forth: Bool[np.ndarray, "draw type pair"],
    back: Bool[np.ndarray, "draw type pair"],
    ends: tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]],
    seen: Bool[np.ndarray, "state item"],
) -> Int[np.ndarray, "draw type node"]:
    """Label the strong components of each draw's and type's graph of all states, nodes being items seen in a state."""
    n = int(seen.sum())
    n_draws, n_types = forth.shape[:2]
    source, target = [], []
    for mask, first, second in ((forth, *ends), (back, *ends[::-1])):
        draw, kind, pair = np.nonzero(mask)
        start = (draw * n_types + kind) * n
        source.append(start + first[pair])
        target.append(start + second[pair])
    block = np.repeat(np.arange(n_draws * n_types), n)
    labels = label_blocks(block, np.concatenate(source), np.concatenate(target), strong=True)
    return labels.reshape(n_draws, n_types, n)


def type_coverage_dataset(
    result: TypeCoverage,
    labels: Mapping[str, Sequence[str]],
    *,
    floor: float,
    level: float,
    seed: int,
    data_hash: str,
    confidence: float = 0.95,
) -> xr.Dataset:
    """Label :func:`type_coverage`.

    Parameters
    ----------
    result : TypeCoverage
    labels : mapping
        Labels of ``state``, ``type`` and ``item``.
    floor, level : float
        As handed to :func:`type_coverage`.
    seed : int
        Seed of the drawn types.
    data_hash : str
        Hash of the table.
    confidence : float
        Posterior probability from which a verdict is no longer ``undecided``.

    Returns
    -------
    Dataset
        Fields of the result; ``verdict`` against the floor (below, above, undecided) and ``connected_verdict`` (yes,
        no, undecided).
    """
    cell = (STATE, TYPE)
    names = [name for name in TypeCoverage._fields if name not in ("pair_connected", "n_draws")]
    data = {name: (cell, getattr(result, name)) for name in names}
    verdict = np.where(result.below >= confidence, "below", np.where(result.above >= confidence, "above", "undecided"))
    joined = result.connected
    said = np.where(joined >= confidence, "yes", np.where(joined <= 1 - confidence, "no", "undecided"))
    coords = {name: list(labels[name]) for name in (STATE, TYPE, ITEM)} | {ITEM_OTHER: list(labels[ITEM])}
    attrs = {
        "method": "types of annotators drawn from their probabilities in every posterior draw; Clopper-Pearson by draw",
        "level": level,
        "floor": floor,
        "confidence": confidence,
        "draws": result.n_draws,
        "seed": seed,
        "assumptions": "the type model; rows are independent draws from the collection process",
        "version": __version__,
        "data_hash": data_hash,
    }
    return xr.Dataset(
        {
            **data,
            "verdict": (cell, verdict),
            "connected_verdict": (cell, said),
            "pair_connected": ((STATE, TYPE, ITEM, ITEM_OTHER), result.pair_connected),
        },
        coords=coords,
        attrs=attrs,
    )


def _mean_share(
    count: Float[np.ndarray, "draw state type"], total: Float[np.ndarray, "draw one one"]
) -> Float[np.ndarray, "state type"]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(total > 0, count / np.where(total > 0, total, 1.0), np.nan).mean(axis=0))


def _one_component(
    label: Int[np.ndarray, "draw type node"], seen: Bool[np.ndarray, "state item"]
) -> Float[np.ndarray, "state type"]:
    """Share of draws in which all items seen in the state carry one label; NaN below two items."""
    size = seen.sum(axis=1)
    share = np.full((len(size), label.shape[1]), np.nan)
    for state, nodes in enumerate(np.split(np.arange(int(size.sum())), np.cumsum(size)[:-1])):
        if len(nodes) >= 2:
            here = label[:, :, nodes]
            share[state] = np.mean((here == here[:, :, :1]).all(axis=2), axis=0)
    return share


def _pairs_joined(
    label: Int[np.ndarray, "draw type node"], seen: Bool[np.ndarray, "state item"], chosen: Int[np.ndarray, " chosen"]
) -> Float[np.ndarray, "state type chosen chosen_other"]:
    """Share of draws in which two items carry one label; an unseen item is joined to nothing but itself."""
    node = np.where(seen, np.cumsum(seen.reshape(-1)).reshape(seen.shape) - 1, -1)[:, chosen]
    joined = np.zeros((len(node), label.shape[1], len(chosen), len(chosen)))
    for draw in label:  # one draw at a time: all at once would hold draws times pairs
        here = np.where(node[:, None, :] >= 0, draw[:, np.maximum(node, 0)].transpose(1, 0, 2), -1)
        same = here[..., :, None] == here[..., None, :]
        joined += same & (here >= 0)[..., :, None]
    joined /= len(label)
    diagonal = np.arange(len(chosen))
    joined[..., diagonal, diagonal] = 1.0
    return joined
