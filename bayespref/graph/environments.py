"""Which environment closes which hole: connectivity per environment and of their union.

The union puts all environments' comparisons of a stratum into one graph. A contrast that only the union joins is
identified only if the environments share one reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from bayespref import __version__
from bayespref.checks import non_negative
from bayespref.comparisons import Comparisons
from bayespref.dims import ENVIRONMENT
from bayespref.display import shown
from bayespref.graph.build import MAX_CELLS, stratum_columns, win_counts
from bayespref.graph.connect import components
from bayespref.graph.verdicts import SHOWN, CheckLine, line, noun, plural


@shown(next_step="an environment that closes a hole carries it alone: check that rewards are shared")
class EnvironmentUnion(NamedTuple):
    """What each environment joins, alone and together with the others."""

    joined: Bool[np.ndarray, "environment *stratum item item_other"]
    """Both items in one component of the environment's own graph."""
    joined_union: Bool[np.ndarray, "*stratum item item_other"]
    joined_without: Bool[np.ndarray, "environment *stratum item item_other"]
    """Both items in one component of the union of all other environments."""
    n_components: Int[np.ndarray, environment * stratum]
    """Among the items seen in any environment; one not seen here is a component of its own."""
    n_components_union: Int[np.ndarray, "*stratum"]
    n_components_without: Int[np.ndarray, environment * stratum]


def environment_union(counts: Float[np.ndarray, "environment *stratum item item_other"]) -> EnvironmentUnion:
    """Join the comparison graphs of environments.

    Parameters
    ----------
    counts : float array, shape (environment, *stratum, A, A)
        Comparisons (or wins) between items; a positive entry in either direction is an edge.

    Returns
    -------
    EnvironmentUnion

    Raises
    ------
    ValueError
        If counts are negative or not square in the last two axes.

    Examples
    --------
    >>> counts = np.zeros((2, 3, 3))
    >>> counts[0, 0, 1] = counts[1, 1, 2] = 1  # x-y here, y-z there
    >>> union = environment_union(counts)
    >>> union.n_components.tolist(), int(union.n_components_union), bool(union.joined_union[0, 2])
    ([2, 2], 1, True)
    """
    games = non_negative("counts", counts)
    if games.ndim < 3 or games.shape[-1] != games.shape[-2]:
        raise ValueError(f"counts: must have shape (environment, ..., item, item), got {games.shape}")
    total = games.sum(axis=0)
    # An edge of the others is an edge in fewer than all: counted, since subtraction would leave rounding behind.
    edge = games > 0
    others = edge.sum(axis=0)[None] - edge
    seen = ((total + np.swapaxes(total, -1, -2)) > 0).any(axis=-1)
    alone, union, without = components(games), components(total), components(others.astype(np.float64))
    absent = (~seen).sum(axis=-1)
    return EnvironmentUnion(
        _same(alone),
        _same(union),
        _same(without),
        _number(alone) - absent,
        _number(union) - absent,
        _number(without) - absent,
    )


def environments(comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1) -> xr.Dataset:
    """Connectivity of every stratum by environment, of the union, and of the union without each.

    Parameters
    ----------
    comparisons : Comparisons
        A table with environments.
    by : sequence of str
        Columns that define a stratum beside the environment.
    n_min : float
        Fewest comparisons within one environment that make an edge.

    Returns
    -------
    Dataset
        ``n_components`` and ``n_components_without`` (environment, strata), ``n_components_union`` (strata), among the
        items seen in any environment; ``n_contrasts`` and ``n_contrasts_union`` (contrasts joined), ``n_only_union``
        (joined by no single environment), ``n_needs`` (environment, strata: joined by the union, not without this
        environment) and ``needed`` (whether there are any).

    Raises
    ------
    TableError
        If the table has no environments.
    ValueError
        If the graph is too large to hold contrast by contrast.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 0]), items=("x", "y", "z"),
    ...                    environment=[0, 1], environments=("lab", "field"))
    >>> got = environments(table).sel(state="all")
    >>> got.n_components.values.tolist(), int(got.n_components_union), got.n_needs.values.tolist()
    ([2, 2], 1, [2, 2])
    """
    dims, union = _union(comparisons, by, n_min)
    upper = np.triu(np.ones((comparisons.n_items,) * 2, dtype=bool), 1)

    def n(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray((mask & upper).sum(axis=(-2, -1)), dtype=np.int64)

    needs = n(union.joined_union & ~union.joined_without)
    per_environment = {
        "n_components": union.n_components,
        "n_components_without": union.n_components_without,
        "n_contrasts": n(union.joined),
        "n_needs": needs,
        "needed": needs > 0,
    }
    per_stratum = {
        "n_components_union": union.n_components_union,
        "n_contrasts_union": n(union.joined_union),
        "n_only_union": n(union.joined_union & ~union.joined.any(axis=0)),
    }
    coords = {dim: list(comparisons.labels(dim)) for dim in (ENVIRONMENT, *dims)}
    attrs = {
        "method": "components of each environment's comparison graph and of their union",
        "assumptions": "what only the union joins is identified if the environments share one reward",
        "n_min": n_min,
        "version": __version__,
        "data_hash": comparisons.data_hash,
    }
    data = {name: ((ENVIRONMENT, *dims), values) for name, values in per_environment.items()}
    data |= {name: (dims, values) for name, values in per_stratum.items()}
    return xr.Dataset(data, coords=coords, attrs=attrs)


def closed_holes(comparisons: Comparisons, by: Sequence[str] = ("state",), *, n_min: float = 1) -> pd.DataFrame:
    """List the contrasts that some environment leaves open, and what closes them.

    Parameters
    ----------
    comparisons : Comparisons
        A table with environments.
    by : sequence of str
        Columns that define a stratum beside the environment.
    n_min : float
        Fewest comparisons within one environment that make an edge.

    Returns
    -------
    DataFrame
        Columns of ``by``, ``item_a``, ``item_b``, ``closed`` (``alone``: some environment joins them by itself;
        ``together``: only several environments do; ``no``: none), ``environments`` (names, joined by ", ": those that
        do so alone, or else those without which the union fails) . Among items seen in the stratum; contrasts that
        every environment joins are left out.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 0]), items=("x", "y", "z"),
    ...                    environment=[0, 1], environments=("lab", "field"))
    >>> closed_holes(table)[["item_a", "item_b", "closed", "environments"]].values.tolist()
    [['x', 'y', 'alone', 'lab'], ['x', 'z', 'together', 'lab, field'], ['y', 'z', 'alone', 'field']]
    """
    dims, union = _union(comparisons, by, n_min)
    counts = win_counts(comparisons, dims)
    seen = ((counts + np.swapaxes(counts, -1, -2)) > 0).any(axis=-1)
    both = seen[..., :, None] & seen[..., None, :] & np.triu(np.ones((comparisons.n_items,) * 2, dtype=bool), 1)
    names = np.asarray(comparisons.environments)
    rows = []
    for index in np.argwhere(both & ~union.joined.all(axis=0)):
        where = tuple(index.tolist())
        alone = union.joined[(slice(None), *where)]
        if alone.any():
            closed, who = "alone", names[alone]
        elif union.joined_union[where]:
            closed, who = "together", names[~union.joined_without[(slice(None), *where)]]
        else:
            closed, who = "no", names[:0]
        labels = [comparisons.labels(dim)[i] for dim, i in zip(dims, where, strict=False)]
        rows.append((*labels, *(comparisons.items[i] for i in where[-2:]), closed, ", ".join(who.tolist())))
    return pd.DataFrame(rows, columns=[*dims, "item_a", "item_b", "closed", "environments"])


def check_environments(comparisons: Comparisons, by: Sequence[str], n_min: float) -> CheckLine:
    """Ask whether any contrast is held up by pooling environments, which needs one reward for all of them."""
    name = "contrasts within an environment"
    dims = tuple(dim for dim in stratum_columns(comparisons, by) if dim != ENVIRONMENT)
    entries = _entries(comparisons, dims)
    if entries > MAX_CELLS:
        words = f"{entries:,} (environment, {noun(dims, 1)}, pair) entries are too many to list"
        return line(name, "undecided", words, None, "select fewer items or environments", {"n_entries": entries})
    found = environments(comparisons, dims, n_min=n_min)
    only, total = int(found["n_only_union"].sum()), int(found["n_contrasts_union"].sum())
    needs = {str(e): int(found["n_needs"].sel({ENVIRONMENT: e}).sum()) for e in found[ENVIRONMENT].values}
    numbers = {"n_contrasts_union": total, "n_only_union": only, "n_needs": needs}
    if only == 0:
        words = f"each of {total:,} joined contrasts is joined within some environment"
        return line(name, "yes", words, None, None, numbers)
    most = sorted(needs.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{plural(k, 'contrast')} without {label}" for label, k in most[:SHOWN] if k)
    words = f"{only:,} of {total:,} joined contrasts are joined by several environments together, by none alone"
    if shown:
        words += f" (lost: {shown})"
    step = "test on contrasts that several environments hold that they share one reward, or collect both items in one"
    return line(name, "no", words, "no_overlap", step, numbers)


def _entries(comparisons: Comparisons, dims: tuple[str, ...]) -> int:
    sizes = [len(comparisons.labels(dim)) for dim in (ENVIRONMENT, *dims)]
    return int(np.prod(sizes, dtype=np.int64)) * comparisons.n_items**2


def _union(comparisons: Comparisons, by: Sequence[str], n_min: float) -> tuple[tuple[str, ...], EnvironmentUnion]:
    dims = stratum_columns(comparisons, by)
    if ENVIRONMENT in dims:
        raise ValueError("by: the environment is an axis of its own here; name the other columns of a stratum only")
    comparisons.codes(ENVIRONMENT)
    entries = _entries(comparisons, dims)
    if entries > MAX_CELLS:
        raise ValueError(f"by: {entries:,} (environment, stratum, pair) entries, more than {MAX_CELLS:,}")
    by_environment = (*(dim for dim in dims if dim == "annotator"), ENVIRONMENT, *(d for d in dims if d != "annotator"))
    counts = win_counts(comparisons, by_environment, n_min=n_min)
    return dims, environment_union(np.moveaxis(counts, by_environment.index(ENVIRONMENT), 0))


def _same(label: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.asarray(label[..., :, None] == label[..., None, :])


def _number(label: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.asarray(label.max(axis=-1, initial=-1) + 1, dtype=np.int64)
