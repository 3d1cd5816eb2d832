"""Coverage and connectivity of (state, type) cells with the posterior's uncertainty about who is of which type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from bayespref import __version__
from bayespref.checks import between, non_negative
from bayespref.dims import ITEM, ITEM_OTHER, STATE, TYPE
from bayespref.graph.connect import components, strong_components
from bayespref.graph.coverage import clopper_pearson


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
    wins: Float[np.ndarray, "draw state type item item_other"],
    seen: Bool[np.ndarray, "state item"],
    *,
    floor: float = 0.001,
    level: float = 0.95,
    n_min: float = 1.0,
) -> TypeCoverage:
    """Judge (state, type) cells from counts drawn with the types of the annotators.

    Parameters
    ----------
    wins : float array, shape (draw, state, type, item, item)
        For each posterior draw, after drawing every annotator's type from its probabilities: the weight with which one
        item beat another, ties half each way. Drawn types make whole counts, so that "is this cell connected" has an
        answer in each draw and a probability over draws; expected counts would join everything a little.
    seen : bool array, shape (state, item)
        Items somebody was asked about in the state.
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
    >>> wins = np.zeros((2, 1, 2, 2, 2))
    >>> wins[0, 0, 0, 0, 1] = wins[1, 0, 1, 0, 1] = 4.0  # the one annotator is of type 1, or of type 2
    >>> type_coverage(wins, np.array([[True, True]])).connected.tolist()
    [[0.5, 0.5]]
    """
    games = non_negative("wins", wins)
    present = np.asarray(seen, dtype=bool)
    if games.ndim != 5 or games.shape[-1] != games.shape[-2] or not len(games):
        raise ValueError(f"wins: must have shape (draw, state, type, item, item), got {games.shape}")
    if present.shape != (games.shape[1], games.shape[3]):
        raise ValueError(f"seen: must have shape {(games.shape[1], games.shape[3])}, got {present.shape}")
    between("floor", floor, 0, 1)
    between("level", level, 0, 1)
    both = games + np.swapaxes(games, -1, -2)
    edge = both >= n_min
    component = components(edge.astype(np.float64))
    strong = strong_components(np.where(edge, games, 0.0))
    count = games.sum(axis=(-2, -1))
    total = count.sum(axis=(1, 2), keepdims=True)
    low, high = clopper_pearson(np.minimum(count, total), np.broadcast_to(total, count.shape), level)
    tail = (1 - level) / 2
    return TypeCoverage(
        expected_count=count.mean(axis=0),
        mass=_mean_share(count, total),
        lower=np.quantile(low, tail, axis=0),
        upper=np.quantile(high, 1 - tail, axis=0),
        below=np.mean(high < floor, axis=0),
        above=np.mean(low > floor, axis=0),
        empty=np.mean(count == 0, axis=0),
        connected=_one_component(component, present),
        strongly_connected=_one_component(strong, present),
        pair_connected=np.mean(component[..., :, None] == component[..., None, :], axis=0),
        n_draws=len(games),
    )


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


def _one_component(label: np.ndarray, present: Bool[np.ndarray, "state item"]) -> Float[np.ndarray, "state type"]:
    """Share of draws in which the present items carry one label; NaN below two items."""
    here = present[:, None, :]
    high = np.where(here, label, -1).max(axis=-1)
    low = np.where(here, label, np.iinfo(np.int64).max).min(axis=-1)
    share = np.mean(high == low, axis=0)
    return np.asarray(np.where(present.sum(axis=-1)[:, None] >= 2, share, np.nan))
