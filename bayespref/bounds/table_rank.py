"""Do the labels of a table tell latent types apart: Jacobian rank of what its annotators were asked, by contrast."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bayespref.bounds.identifiability import LocalIdentifiability, local_identifiability
from bayespref.bounds.label_design import LabelDesign
from bayespref.checks import at_least
from bayespref.errors import FunctionalFormOnly

WINDOW = 3
"""Labels of one annotator looked at together: three conditionally independent ones suffice generically (Kruskal)."""
_SAME = 1e-6


class TableDesign(NamedTuple):
    """What annotators were asked, as a label design over (state, item) nodes.

    Attributes
    ----------
    design : LabelDesign
        One pattern for every distinct group of up to three pairs that one annotator answered.
    node : int array, shape (state, item)
        Item of the design; -1 where the item was not seen in the state.
    complete : bool
        Whether the patterns are everything the table shows: no annotator gave more labels than fit into one pattern,
        and none was left out. Otherwise full rank is full rank of the table, and a deficit proves nothing.
    """

    design: LabelDesign
    node: Int[np.ndarray, "state item"]
    complete: bool


def table_design(
    annotator: Int[np.ndarray, " label"],
    state: Int[np.ndarray, " label"],
    item_a: Int[np.ndarray, " label"],
    item_b: Int[np.ndarray, " label"],
    *,
    n_types: int,
    n_states: int,
    n_items: int,
    max_patterns: int = 300,
    seed: int = 0,
) -> TableDesign:
    """Read off a table which questions each annotator answered together.

    Parameters
    ----------
    annotator, state, item_a, item_b : int array, shape (label,)
        Codes from 0.
    n_types, n_states, n_items : int
        Sizes.
    max_patterns : int
        Most patterns kept; beyond it an even random subset.
    seed : int
        Seed of the order in which an annotator's labels are grouped, and of the subset.

    Returns
    -------
    TableDesign

    Raises
    ------
    ValueError
        If lengths differ or there is no label.

    Examples
    --------
    >>> zero, one = np.zeros(3, dtype=int), np.array([0, 1, 2])
    >>> got = table_design(zero, zero, zero, one + 1, n_types=2, n_states=1, n_items=5)
    >>> got.design.patterns, got.node.tolist(), got.complete
    (((0, 1, 2),), [[0, 1, 2, 3, -1]], True)
    """
    codes = [np.asarray(values, dtype=np.int64) for values in (annotator, state, item_a, item_b)]
    if len({values.shape for values in codes}) != 1 or codes[0].ndim != 1 or not len(codes[0]):
        shapes = [values.shape for values in codes]
        raise ValueError(f"annotator, state, item_a, item_b: must be equal-length vectors with labels, got {shapes}")
    at_least("max_patterns", max_patterns, 1)
    who, where, low, high = codes[0], codes[1], np.minimum(codes[2], codes[3]), np.maximum(codes[2], codes[3])
    seen, at = np.unique(np.concatenate([where * n_items + low, where * n_items + high]), return_inverse=True)
    node = np.full(n_states * n_items, -1)
    node[seen] = np.arange(len(seen))
    ends = at.reshape(2, -1).T
    pairs, question = np.unique(ends, axis=0, return_inverse=True)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(who)), who))
    sorted_who, sorted_question = who[order], question.reshape(-1)[order]
    starts = np.flatnonzero(np.r_[True, sorted_who[1:] != sorted_who[:-1]])
    found: set[tuple[int, ...]] = set()
    complete = True
    for answered in np.split(sorted_question, starts[1:]):
        if len(answered) <= WINDOW:
            found.add(tuple(sorted(answered.tolist())))
            continue
        complete = False
        around = np.concatenate([answered, answered[: WINDOW - 1]])
        found |= {tuple(sorted(around[k : k + WINDOW].tolist())) for k in range(len(answered))}
    patterns = sorted(found)
    if len(patterns) > max_patterns:
        complete = False
        patterns = [patterns[k] for k in np.sort(rng.permutation(len(patterns))[:max_patterns])]
    design = LabelDesign(n_types, tuple(patterns), tuple((int(a), int(b)) for a, b in pairs))
    return TableDesign(design, node.reshape(n_states, n_items), complete)


def type_rank(
    table: TableDesign,
    mix: Float[np.ndarray, "draw type"],
    reward: Float[np.ndarray, "draw state type item"],
    *,
    seed: int = 0,
) -> tuple[Int[np.ndarray, "state type item item_other"], LocalIdentifiability]:
    """Say of every contrast of every type whether the labels can fix it, at the draws given.

    Parameters
    ----------
    table : TableDesign
        From :func:`table_design`.
    mix : float array, shape (draw, type)
        Type weights, each row summing to one.
    reward : float array, shape (draw, state, type, item)
        Rewards, log-odds.
    seed : int
        Seed of the random points of the generic rank.

    Returns
    -------
    verdict : int8 array, shape (state, type, item, item)
        1: the gradient lies in the row space in at least half of the draws, so the contrast is locally identified.
        0: it does not, and the design is complete. -1: not checked (unseen item), or a deficit of an incomplete design.
    result : LocalIdentifiability
        Ranks and null vectors.

    Notes
    -----
    Local only: labels of types may be swapped, other solutions may lie elsewhere. What prompts an annotator chose may
    tell types apart too; it is not used here, so a deficit is one of the labels alone.

    Examples
    --------
    >>> two = np.array([0, 0, 0, 1, 1, 1])
    >>> a, b = np.array([0, 0, 1, 0, 0, 1]), np.array([1, 2, 2, 1, 2, 2])
    >>> table = table_design(two, 0 * two, a, b, n_types=2, n_states=1, n_items=3)
    >>> reward = np.random.default_rng(0).normal(size=(3, 1, 2, 3))
    >>> verdict, result = type_rank(table, np.full((3, 2), 0.5) + [[0.1, -0.1]], reward)
    >>> verdict[0, 0, 0].tolist(), result.generic_deficit
    ([1, 1, 1], 0)
    """
    state, item = np.nonzero(table.node >= 0)
    order = np.argsort(table.node[state, item])
    values = np.moveaxis(reward, 2, 1)[:, :, state[order], item[order]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FunctionalFormOnly)  # the caller reads result.functional_form_only
        result = local_identifiability(table.design, (mix, values), seed=seed)
    n_types, n_nodes = values.shape[1:]
    inside = np.zeros((*table.node.shape[:1], n_types, table.node.shape[1], table.node.shape[1]))
    known = table.node >= 0
    for null in result.null_vectors:
        move = np.zeros((len(null), n_types, n_nodes))
        move[:, :, 1:] = null[:, n_types - 1 :].reshape(len(null), n_types, n_nodes - 1)
        here = np.where(known[None, None], move[:, :, np.maximum(table.node, 0)], 0.0)
        by_state = np.moveaxis(here, 2, 1)  # null vector, state, type, item
        gap = np.linalg.norm(by_state[..., :, None] - by_state[..., None, :], axis=0)
        inside += gap <= _SAME
    both = known[:, None, :, None] & known[:, None, None, :]
    verdict = np.where(inside * 2 >= len(result.null_vectors), 1, 0 if table.complete else -1)
    return np.where(both, verdict, -1).astype(np.int8), result
