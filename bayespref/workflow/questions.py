"""A fit seen as a design problem: who can be asked what, what it would tell, and which choices hang on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite, non_negative, one_of
from bayespref.comparisons import Comparisons
from bayespref.design.candidates import Candidates, feature_candidates, pair_candidates
from bayespref.dims import CHAIN, CONTEXT, DRAW, FEATURE, ITEM, STATE, TYPE
from bayespref.errors import ModelError
from bayespref.graph.typed import TypedGraph, typed_graph
from bayespref.posterior.tree import tree_comparisons, tree_meta
from bayespref.workflow.analysing import REGIONS, item_codes

_MOST_PAIRS = 20_000


class Question(NamedTuple):
    """A fit seen as a design problem; everything is restricted to the chosen items.

    Attributes
    ----------
    comparisons : Comparisons
        The table.
    items, states, kinds, segments : tuple of str
        Labels; ``kinds`` are the types, ``segments`` the groups of people who can be asked.
    column : str
        What a segment is: "context" where types are observed, else "segment".
    membership : float array, shape (segment, type)
        Type mix of each segment.
    reward : float array, shape (draw, state, type, item)
        Posterior draws, log-odds.
    mean, covariance : float array, shape (p,) and (p, p)
        Moments of the parameters: rewards, or coefficients of a linear model.
    action : float array, shape (region, item, p)
        Rows that read an item's reward in a region off the parameters.
    region_state : int array, shape (region,)
        State of each region.
    mix : float array, shape (region, type)
        P(type | region) at deployment.
    weight : float array, shape (region,)
        Mass of each region at deployment.
    available : bool array, shape (state, item)
        Items met in each state.
    graph : TypedGraph or None
        What each type compared; None for a linear model, which needs no chain.
    candidates : Candidates
        What could be asked.
    linear : bool
        Whether the parameters are coefficients.
    reward_range : tuple of float or None
        Range assumed where nothing is linked.
    """

    comparisons: Comparisons
    items: tuple[str, ...]
    states: tuple[str, ...]
    kinds: tuple[str, ...]
    segments: tuple[str, ...]
    column: str
    membership: Float[np.ndarray, "segment type"]
    reward: Float[np.ndarray, "draw state type item"]
    mean: Float[np.ndarray, " p"]
    covariance: Float[np.ndarray, "p p"]
    action: Float[np.ndarray, "region item p"]
    region_state: Int[np.ndarray, " region"]
    mix: Float[np.ndarray, "region type"]
    weight: Float[np.ndarray, " region"]
    available: Bool[np.ndarray, "state item"]
    graph: TypedGraph | None
    candidates: Candidates
    linear: bool
    reward_range: tuple[float, float] | None


def design_question(
    tree: xr.DataTree,
    *,
    regions: str | None = None,
    deployment: ArrayLike | None = None,
    segments: Mapping[str, Sequence[float]] | None = None,
    items: Sequence[str] | None = None,
    reward_range: tuple[float, float] | None = None,
    max_draws: int = 400,
    seed: int = 0,
) -> Question:
    """Turn a fit into candidates with their information, and the decisions that hang on what is asked.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit, analysed or not.
    regions, deployment, segments, items, reward_range, seed
        As in `next_comparisons`.
    max_draws : int
        Draws used (evenly thinned).

    Returns
    -------
    Question

    Raises
    ------
    ValueError
        If a name, shape or distribution is wrong, or the candidates are too many to hold.
    """
    comparisons = tree_comparisons(tree)
    posterior = tree["posterior"].to_dataset()
    chosen = item_codes(comparisons, items)
    labels = tuple(comparisons.items[i] for i in chosen)
    observed = bool(tree_meta(tree)["options"].get("types_observed", False))
    stacked = posterior.stack(sample=(CHAIN, DRAW))
    thin = np.unique(np.linspace(0, stacked.sizes["sample"] - 1, max_draws).astype(int))
    reward = stacked["reward"].isel(sample=thin, item=chosen).transpose("sample", STATE, TYPE, ITEM).values
    n_states, n_types, n_items = reward.shape[1:]
    kinds = tuple(str(kind) for kind in posterior[TYPE].values)
    weights = stacked["type_weight"].mean("sample").values
    names, mix = _segments(posterior, stacked, kinds, weights, observed, segments)
    by = regions if regions is not None else ("state_type" if observed else "state")
    one_of("regions", by, REGIONS)
    shares = _deployment(deployment, n_states, weights)
    state, region_mix, mass = _regions(shares, weights, by == "state_type")
    met = np.zeros((n_states, comparisons.n_items), dtype=bool)
    met[comparisons.counts.state, comparisons.counts.item_a] = True
    met[comparisons.counts.state, comparisons.counts.item_b] = True
    available = met[:, chosen]
    linear = "coefficient" in posterior and comparisons.features is not None
    limits = reward_range if reward_range is not None else _range_of(tree)
    if linear:
        features = np.asarray(comparisons.features)[chosen]
        draws = stacked["coefficient"].isel(sample=thin).transpose("sample", TYPE, FEATURE).values
        full = stacked["coefficient"].transpose("sample", TYPE, FEATURE).values.reshape(stacked.sizes["sample"], -1)
        available = np.ones_like(available)
        candidates = feature_candidates(draws, mix, features, _feature_pairs(comparisons, chosen, seed))
        action = np.einsum("rc,if->ricf", region_mix, features).reshape(len(state), n_items, -1)
        graph = None
    else:
        full = stacked["reward"].isel(item=chosen).transpose("sample", STATE, TYPE, ITEM).values
        full = full.reshape(stacked.sizes["sample"], -1)
        candidates = pair_candidates(reward, mix, available)
        action = np.zeros((len(state), n_items, n_states, n_types, n_items))
        where = np.arange(n_items)
        for r, s in enumerate(state):
            action[r, where, s, :, where] = region_mix[r]
        action = action.reshape(len(state), n_items, -1)
        graph = _graph(tree, comparisons)
    if not np.isfinite(full).all():
        raise ModelError("posterior: draws must be finite to design from")
    covariance = np.atleast_2d(np.cov(full, rowvar=False))
    if not linear:
        covariance = shrunk_between_cells(covariance, n_items, len(full))
    if graph is not None and limits is not None:
        covariance = covariance + unlinked_covariance(graph.component[..., chosen], limits)
    return Question(
        comparisons,
        labels,
        tuple(str(s) for s in posterior[STATE].values),
        kinds,
        names,
        CONTEXT if observed and segments is None else "segment",
        mix,
        reward,
        full.mean(axis=0),
        covariance,
        action,
        state,
        region_mix,
        mass,
        available,
        None if graph is None else _among(graph, chosen),
        candidates,
        linear,
        limits,
    )


def _segments(
    posterior: xr.Dataset,
    stacked: xr.Dataset,
    kinds: tuple[str, ...],
    weights: NDArray[np.float64],
    observed: bool,
    segments: Mapping[str, Sequence[float]] | None,
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    if segments is not None:
        mix = np.array([np.asarray(shares, dtype=np.float64) for shares in segments.values()])
        if not len(segments) or mix.shape != (len(segments), len(kinds)):
            raise ValueError(f"segments: each needs a mix of the {len(kinds)} types {list(kinds)}, got {mix.shape}")
        return tuple(segments), mix
    if observed:
        return kinds, np.eye(len(kinds))
    if "type_weight_by_context" in posterior:
        by_context = stacked["type_weight_by_context"].mean("sample").transpose(CONTEXT, TYPE)
        return tuple(str(c) for c in posterior[CONTEXT].values), by_context.values
    return ("anyone",), weights[None] / weights.sum()


def _deployment(deployment: ArrayLike | None, n_states: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    if deployment is None:
        return np.broadcast_to(weights / weights.sum() / n_states, (n_states, len(weights))).copy()
    shares = non_negative("deployment", finite("deployment", deployment))
    if shares.shape != (n_states, len(weights)):
        raise ValueError(f"deployment: must have shape {(n_states, len(weights))}, got {shares.shape}")
    if abs(float(shares.sum()) - 1.0) > 1e-8:
        raise ValueError(f"deployment: must sum to one, got {float(shares.sum()):.6g}")
    return shares


def _regions(
    shares: NDArray[np.float64], weights: NDArray[np.float64], by_type: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """State, type mix and mass of every region."""
    n_states, n_types = shares.shape
    if by_type:
        return np.repeat(np.arange(n_states), n_types), np.tile(np.eye(n_types), (n_states, 1)), shares.ravel()
    mass = shares.sum(axis=1)
    mix = np.where(mass[:, None] > 0, shares / np.where(mass > 0, mass, 1.0)[:, None], weights / weights.sum())
    return np.arange(n_states), mix, mass


def _range_of(tree: xr.DataTree) -> tuple[float, float] | None:
    if "bounds" not in tree.children:
        return None
    low, high = (float(end) for end in np.asarray(tree["bounds"].attrs["reward_range"]))
    return low, high


def _graph(tree: xr.DataTree, comparisons: Comparisons) -> TypedGraph:
    fitted = tree["fit"].to_dataset()
    return typed_graph(
        fitted["expected_count"].values,
        fitted["question_state"].values,
        fitted["question_a"].values,
        fitted["question_b"].values,
        fitted["outcome_code"].values,
        n_states=comparisons.n_states,
        n_items=comparisons.n_items,
    )


def _among(graph: TypedGraph, chosen: NDArray[np.intp]) -> TypedGraph:
    """The graph as seen from the chosen items; components may run through others."""
    return TypedGraph(
        graph.wins[..., chosen[:, None], chosen], graph.component[..., chosen], graph.strong_component[..., chosen]
    )


def shrunk_between_cells(covariance: Float[np.ndarray, "p p"], n_items: int, n_draws: int) -> Float[np.ndarray, "p p"]:
    """Shrink correlations between (state, type) cells by what a finite number of draws makes up on its own.

    Chance correlations of size 1 / sqrt(n) would let a label in one cell seem to inform all others. The share taken off
    is the estimated variance of the correlations over their sum of squares (Schaefer and Strimmer 2005, *Statistical
    Applications in Genetics and Molecular Biology* 4): all of it where cells are independent.

    Examples
    --------
    >>> shrunk_between_cells(np.array([[1.0, 0.05], [0.05, 1.0]]), 1, 100).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    cell = np.arange(len(covariance)) // n_items
    apart = cell[:, None] != cell[None, :]
    size = np.sqrt(np.diagonal(covariance))
    scale = size[:, None] * size[None, :]
    r = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)[apart]
    found = float((r**2).sum())
    share = min(1.0, float(((1 - r**2) ** 2).sum()) / n_draws / found) if found > 0 else 0.0
    return np.where(apart, (1.0 - share) * covariance, covariance)


def unlinked_covariance(
    component: Int[np.ndarray, "state type item"], reward_range: tuple[float, float]
) -> Float[np.ndarray, "p p"]:
    """Covariance of levels that nothing fixes: each component of a broken cell is uniform over the range.

    Examples
    --------
    >>> unlinked_covariance(np.array([[[0, 0, 1]]]), (0.0, 6.0)).tolist()
    [[3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [0.0, 0.0, 3.0]]
    """
    spread = (reward_range[1] - reward_range[0]) ** 2 / 12.0
    cells = component.reshape(-1, component.shape[-1])
    n_items = cells.shape[1]
    out = np.zeros((cells.size, cells.size))
    for k, labels in enumerate(cells):
        if (labels != labels[0]).any():
            at = slice(k * n_items, (k + 1) * n_items)
            out[at, at] = spread * (labels[:, None] == labels[None, :])
    return out


def _feature_pairs(comparisons: Comparisons, chosen: NDArray[np.intp], seed: int) -> NDArray[np.int64]:
    """Pairs of chosen items, positions among them: all, or those compared so far and random others."""
    n = len(chosen)
    if n * (n - 1) // 2 <= _MOST_PAIRS:
        return np.stack(np.triu_indices(n, 1), axis=1)
    place = np.full(comparisons.n_items, -1)
    place[chosen] = np.arange(n)
    counts = comparisons.counts
    asked = np.stack([place[counts.item_a], place[counts.item_b]], axis=1)
    asked = np.unique(asked[(asked >= 0).all(axis=1)], axis=0)
    drawn = np.random.default_rng(seed).integers(n, size=(2 * _MOST_PAIRS, 2))
    drawn = np.unique(np.sort(drawn[drawn[:, 0] != drawn[:, 1]], axis=1), axis=0)
    rng = np.random.default_rng(seed + 1)
    return np.unique(np.concatenate([asked, rng.permutation(drawn)[: max(0, _MOST_PAIRS - len(asked))]]), axis=0)
