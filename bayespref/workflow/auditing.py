"""Audit a fit: what identifies every contrast, and how surely each type's cells are covered and connected."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bayespref.bounds.table_rank import table_design, type_rank
from bayespref.checks import at_least
from bayespref.choice import ChoiceData
from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, B_WINS, BOTH_BAD, CHAIN, DRAW, ITEM, STATE, TIE, TYPE
from bayespref.disagree.identify import FINITE, INSIDE, NOT_CHECKED, OUTSIDE, identification_dataset, identify
from bayespref.disagree.linear import estimable_contrasts
from bayespref.graph.type_coverage import type_coverage, type_coverage_dataset
from bayespref.graph.typed import edge_floor, typed_graph
from bayespref.posterior.tree import tree_comparisons, tree_meta
from bayespref.workflow.memberships import type_chances

_RANK_DRAWS = 5
_MOST_PARAMETERS = 300
_LINEAR = "linear_types"


def audit(
    tree: xr.DataTree, *, draws: int = 200, floor: float = 0.001, level: float = 0.95, n_min: float = 1.0, seed: int = 0
) -> xr.DataTree:
    """Add the group ``audit``: what identifies every contrast, and coverage of types with its uncertainty.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit after :func:`bayespref.workflow.analyse`. The input is not changed.
    draws : int
        Posterior draws in which annotators' types are drawn.
    floor : float
        Least share of all comparisons that a (state, type) cell should have.
    level : float
        Level of the intervals.
    n_min : float
        Fewest comparisons that make an edge, as for ``analyse``.
    seed : int
        Seed of the drawn types.

    Returns
    -------
    xarray.DataTree
        The tree with group ``audit``: over (state, type, item, item_other) ``identified_by`` (data, structure, prior),
        ``identified_reason``, ``row_space`` for linear rewards, ``type_rank`` for latent types, ``pair_connected``;
        over (state, type) ``mass`` with limits and verdict, ``connected`` (posterior probability) and more, see
        :func:`bayespref.disagree.identify.identification_dataset` and
        :func:`bayespref.graph.type_coverage.type_coverage_dataset`. :func:`bayespref.disagree.identify.
        identification_words` puts it in a sentence.

    Raises
    ------
    ValueError
        If the tree was not analysed, or the drawn graphs would not fit in memory.

    Notes
    -----
    The rank of latent types is taken at five posterior draws, from up to 300 groups of three labels of one annotator.
    It uses labels alone: where the fit models prompts, these may tell types apart that labels do not, and
    ``type_not_identified`` says only that labels do not. It is not checked for linear rewards, whose types have fewer
    parameters, nor beyond 300 parameters.
    """
    if "disagree" not in tree.children:
        raise ValueError("tree: has no group 'disagree'; call analyse first")
    at_least("draws", draws, 1)
    comparisons, meta = tree_comparisons(tree), tree_meta(tree)
    posterior, disagree = tree["posterior"].to_dataset(), tree["disagree"].to_dataset()
    labels = {name: [str(label) for label in disagree[name].values] for name in (STATE, TYPE, ITEM)}
    chosen = np.flatnonzero(np.isin(np.asarray(comparisons.items), labels[ITEM]))
    latent = len(labels[TYPE]) > 1 and not meta["options"].get("types_observed", False)
    one_label = latent and _one_label_each(comparisons)
    assumptions = ["the choice model"]
    rank = None
    if latent:
        assumptions.append("the type model")
        rank = _rank(comparisons, posterior, meta["model"], len(labels[TYPE]), seed)
        rank = rank[..., chosen, :][..., chosen]
        if meta["options"].get("endogenous_prompts", False) and comparisons.n_states > 1:
            assumptions.append("type_rank uses labels alone, not which prompts annotators chose, as the fit does")
    linear = None
    if meta["model"] == _LINEAR:
        assumptions.append("rewards linear in the item attributes")
        linear = _row_space(comparisons, tree["fit"].to_dataset(), n_min)[:, chosen, :][..., chosen]
        linear = np.broadcast_to(linear[None], (len(labels[STATE]), *linear.shape))
    found = identify(
        disagree["reason"].transpose(STATE, TYPE, ...).values,
        disagree["status"].transpose(STATE, TYPE, ...).values,
        linear=linear,
        type_rank=rank,
        form_only=one_label,
    )
    group = identification_dataset(found, labels, linear=linear, type_rank=rank, assumptions=assumptions)
    drawn = drawn_wins(tree, draws=draws, seed=seed)
    covered = type_coverage_dataset(
        type_coverage(
            *drawn,
            n_states=comparisons.n_states,
            n_items=comparisons.n_items,
            chosen=chosen,
            floor=floor,
            level=level,
            n_min=n_min,
        ),
        labels,
        floor=floor,
        level=level,
        seed=seed,
        data_hash=comparisons.data_hash,
    )
    attrs = {f"coverage_{name}": value for name, value in covered.attrs.items()}
    group = group.merge(covered, combine_attrs="override").assign_attrs({**attrs, **group.attrs})
    kept = {name: node.to_dataset() for name, node in tree.children.items() if name != "audit"}
    audited = xr.DataTree.from_dict(kept | {"audit": group})
    audited.attrs |= tree.attrs
    return audited


class DrawnWins(NamedTuple):
    """Wins by pair with each annotator's type drawn, in several posterior draws."""

    wins_a: Float[np.ndarray, "draw type pair"]
    """Weight with which ``item_a`` won, a tie counting half."""
    wins_b: Float[np.ndarray, "draw type pair"]
    state: Int[np.ndarray, " pair"]
    item_a: Int[np.ndarray, " pair"]
    item_b: Int[np.ndarray, " pair"]


def drawn_wins(tree: xr.DataTree, *, draws: int = 200, seed: int = 0) -> DrawnWins:
    """Draw every annotator's type in each of several posterior draws and count wins by type.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit of one of the package's models.
    draws : int
        Posterior draws, evenly thinned.
    seed : int
        Seed of the drawn types.

    Returns
    -------
    DrawnWins
        Types as labelled in the tree. Where types are observed or there is one, every draw is the same.

    Raises
    ------
    ValueError
        If the model is not one of the package's, or the arrays would not fit in memory.
    """
    found = type_chances(tree, draws=draws)
    return _counts(found.chance, found.data, found.outcome, np.random.default_rng(seed))


def _counts(
    chance: Float[np.ndarray, "draw unit type"], data: ChoiceData, outcome: Int[np.ndarray, " record"], rng: Any
) -> DrawnWins:
    """Draw a type for every unit (for each of the identical ones it stands for) and count wins."""
    chance = chance / chance.sum(axis=2, keepdims=True)
    many = np.asarray(data.multiplicity)
    if np.all(many == np.round(many)):
        members = rng.multinomial(many.astype(np.int64), chance).astype(np.float64)
    else:  # a fractional weight is one answer: it has one type
        members = rng.multinomial(1, chance) * many[:, None]
    code = np.asarray(data.outcomes)[outcome]
    unit, count, question = np.asarray(data.unit), np.asarray(data.count), np.asarray(data.question)
    asked = np.stack([np.asarray(values)[question] for values in (data.state, data.item_a, data.item_b)], axis=1)
    pairs, pair = np.unique(asked[code != BOTH_BAD], axis=0, return_inverse=True)
    index = np.full(len(code), -1)
    index[code != BOTH_BAD] = pair.reshape(-1)
    wins = []
    for outcome_code in (A_WINS, B_WINS):
        rows = np.flatnonzero((code == outcome_code) | (code == TIE))
        weight = count[rows] * np.where(code[rows] == TIE, 0.5, 1.0)
        # One sparse product adds all draws and types at once.
        total = csr_array((weight, (index[rows], unit[rows])), shape=(len(pairs), len(many)))
        flat = members.transpose(1, 0, 2).reshape(len(many), -1)
        wins.append((total @ flat).T.reshape(len(chance), chance.shape[2], len(pairs)))
    return DrawnWins(*wins, *pairs.T)


def _one_label_each(comparisons: Comparisons) -> bool:
    if comparisons.annotator is None:
        return True
    useful = (comparisons.outcome != BOTH_BAD) & (comparisons.weight > 0)
    # a row of weight 2 stands for two labels, one of weight 1/2 is a label all the same
    labels = np.bincount(comparisons.annotator[useful], weights=np.maximum(comparisons.weight[useful], 1.0))
    return bool(labels.max(initial=0) <= 1)


def _rank(comparisons: Comparisons, posterior: xr.Dataset, model: str, n_types: int, seed: int) -> NDArray[np.int8]:
    """Rank verdict of every contrast, over all items; not checked where it does not apply."""
    n_states, n_items = comparisons.n_states, comparisons.n_items
    nothing = np.full((n_states, n_types, n_items, n_items), NOT_CHECKED, dtype=np.int8)
    useful = np.flatnonzero((comparisons.outcome != BOTH_BAD) & (comparisons.weight > 0))
    nodes = np.unique(np.concatenate([comparisons.state[useful] * n_items + end[useful] for end in _ends(comparisons)]))
    if model == _LINEAR or n_types * len(nodes) > _MOST_PARAMETERS or not len(useful):
        return nothing
    who = np.arange(len(useful)) if comparisons.annotator is None else comparisons.annotator[useful]
    table = table_design(
        who,
        comparisons.state[useful],
        comparisons.item_a[useful],
        comparisons.item_b[useful],
        n_types=n_types,
        n_states=n_states,
        n_items=n_items,
        seed=seed,
    )
    stacked = posterior.stack(sample=(CHAIN, DRAW))
    stacked = stacked.isel(sample=np.linspace(0, stacked.sizes["sample"] - 1, _RANK_DRAWS).astype(int))
    mix = stacked["type_weight"].transpose("sample", TYPE).values
    reward = stacked["reward"].transpose("sample", STATE, TYPE, ITEM).values
    return np.asarray(type_rank(table, mix, reward, seed=seed)[0])


def _ends(comparisons: Comparisons) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    return comparisons.item_a.astype(np.int64), comparisons.item_b.astype(np.int64)


def _row_space(comparisons: Comparisons, fitted: xr.Dataset, n_min: float) -> Int[np.ndarray, "type item item_other"]:
    """Where each contrast of a linear model lies: its coefficients are the same in every state."""
    graph = typed_graph(
        fitted["expected_count"].values,
        fitted["question_state"].values,
        fitted["question_a"].values,
        fitted["question_b"].values,
        fitted["outcome_code"].values,
        n_states=comparisons.n_states,
        n_items=comparisons.n_items,
        n_min=n_min,
    )
    features = np.asarray(comparisons.features, dtype=np.float64)
    wanted = features[:, None, :] - features[None, :, :]
    place = np.empty((graph.wins.shape[1], len(features), len(features)), dtype=np.int8)
    for kind in range(graph.wins.shape[1]):
        games = graph.wins[:, kind] + np.swapaxes(graph.wins[:, kind], -1, -2)
        won = np.where(games >= edge_floor(n_min), graph.wins[:, kind], 0.0).sum(axis=0)
        a, b = np.nonzero(np.triu(won + won.T > 0, 1))
        space = estimable_contrasts(features[a] - features[b], won[a, b], won[b, a])
        place[kind] = np.where(space.holds_finite(wanted), FINITE, np.where(space.holds(wanted), INSIDE, OUTSIDE))
    return place
