"""Statistics of a table of answers that a model may fail to reproduce, for many outcome vectors at once.

Every function takes ``outcome``, shape (..., answer): codes of ``dims.OUTCOMES``, item_a the lower of the two item
codes. What is undefined (nobody answered a whole triad) is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bayespref.dims import B_WINS, TIE

MOST_PAIRS = 100_000
"""Pairs of answers that agreement is computed from; beyond it, annotators, or answers of the last two, are drawn."""
MOST_TRIADS = 1_000_000
"""Candidate triads that circularity is computed from; beyond it, lowest items of people's triads are drawn."""
_SCORE = np.array([1.0, 0.0, 0.5, 0.0])
_DECIDED = np.array([1.0, 1.0, 1.0, 0.0])


class AnswerDesign(NamedTuple):
    """Who answered what, arranged for the statistics; nothing in it depends on the outcomes.

    Attributes
    ----------
    cell : int array, shape (answer,)
        Distinct (state, pair) of each answer.
    cell_state, cell_a, cell_b : int array, shape (cell,)
        Codes of each cell, ``cell_a < cell_b``.
    triad : int array, shape (triad, 3)
        Answers of one person, in one state, to the pairs (i, j), (j, k), (i, k) of three items, i < j < k. Pairs a
        person answered more than once are left out.
    shared : int array, shape (pair, 2)
        Pairs of answers by different people to the same cell.
    couple : int array, shape (pair,)
        Which two people a pair belongs to.
    """

    cell: Int[np.ndarray, " answer"]
    cell_state: Int[np.ndarray, " cell"]
    cell_a: Int[np.ndarray, " cell"]
    cell_b: Int[np.ndarray, " cell"]
    triad: Int[np.ndarray, "triad three"]
    shared: Int[np.ndarray, "pair two"]
    couple: Int[np.ndarray, " pair"]


def answer_design(
    state: Int[np.ndarray, " answer"],
    item_a: Int[np.ndarray, " answer"],
    item_b: Int[np.ndarray, " answer"],
    person: Int[np.ndarray, " answer"] | None,
    *,
    seed: int = 0,
) -> AnswerDesign:
    """Arrange answers for the statistics.

    Parameters
    ----------
    state, item_a, item_b : int array, shape (answer,)
        Codes, ``item_a < item_b``.
    person : int array, shape (answer,), or None
        Who answered; None where unknown: then there are no triads and no pairs of people.
    seed : int
        Draws the people whose agreement is computed where all would give more than ``MOST_PAIRS`` pairs, and the
        triads where there are more than ``MOST_TRIADS``.

    Returns
    -------
    AnswerDesign

    Examples
    --------
    >>> zero = np.zeros(3, int)
    >>> answer_design(zero, np.array([0, 1, 0]), np.array([1, 2, 2]), zero).triad.tolist()
    [[0, 1, 2]]
    """
    cells, cell = np.unique(np.stack([state, item_a, item_b], axis=1), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    none = np.zeros((0, 2), dtype=np.int64)
    triad, shared, couple = np.zeros((0, 3), dtype=np.int64), none, none[:, 0]
    if person is not None:
        triad = _triads(state, item_a, item_b, person, seed)
        shared = _shared(cell, person, seed)
        owners = np.sort(np.asarray(person)[shared], axis=1)
        couple = np.unique(owners, axis=0, return_inverse=True)[1].reshape(-1)
    return AnswerDesign(cell, cells[:, 0], cells[:, 1], cells[:, 2], triad, shared, couple)


def win_rates(outcome: Int[np.ndarray, "*draw answer"], design: AnswerDesign) -> Float[np.ndarray, "*draw cell"]:
    """Share of answers in which item_a was preferred, ties as half, "both bad" left out, by cell.

    Parameters
    ----------
    outcome : int array, shape (..., answer)
        Outcome codes.
    design : AnswerDesign
        From :func:`answer_design`.

    Examples
    --------
    >>> one = answer_design(np.zeros(2, int), np.zeros(2, int), np.ones(2, int), None)
    >>> win_rates(np.array([[0, 2], [1, 3]]), one).tolist()
    [[0.75], [0.0]]
    """
    n_cells = len(design.cell_state)
    won, decided = (_sums(values[outcome], design.cell, n_cells) for values in (_SCORE, _DECIDED))
    return np.asarray(np.divide(won, decided, out=np.full(won.shape, np.nan), where=decided > 0))


def circular_share(outcome: Int[np.ndarray, "*draw answer"], design: AnswerDesign) -> Float[np.ndarray, "*draw"]:
    """Share of circular triads (x over y, y over z, z over x) among a person's triads without ties.

    Coin tosses give 1/4 (Kendall & Babington Smith 1940, Biometrika 31, 324-345).

    Parameters
    ----------
    outcome : int array, shape (..., answer)
        Outcome codes.
    design : AnswerDesign
        From :func:`answer_design`.

    Examples
    --------
    >>> zero = np.zeros(3, int)
    >>> one = answer_design(zero, np.array([0, 1, 0]), np.array([1, 2, 2]), zero)
    >>> circular_share(np.array([[0, 0, 0], [0, 0, 1], [0, 2, 0]]), one).tolist()
    [0.0, 1.0, nan]
    """
    first, second, across = (outcome[..., design.triad[:, i]] for i in range(3))
    complete = (first <= B_WINS) & (second <= B_WINS) & (across <= B_WINS)
    circular = complete & (first == second) & (across != first)
    return _ratio(circular.sum(-1), complete.sum(-1))


def agreement(outcome: Int[np.ndarray, "*draw answer"], design: AnswerDesign) -> Float[np.ndarray, "*draw two"]:
    """Agreement between people on the same question: its mean, and its spread over pairs of people.

    Parameters
    ----------
    outcome : int array, shape (..., answer)
        Outcome codes.
    design : AnswerDesign
        From :func:`answer_design`.

    Returns
    -------
    float array, shape (..., 2)
        Share of pairs of answers that are equal; and, over pairs of people with at least two questions in common, the
        standard deviation of that share. People of different types agree well with some and badly with others: the
        spread then exceeds what one type makes by chance, whatever the mean.

    Examples
    --------
    >>> two = answer_design(np.zeros(4, int), np.array([0, 0, 0, 0]), np.array([1, 2, 1, 2]), np.array([0, 0, 1, 1]))
    >>> agreement(np.array([0, 0, 0, 1]), two).tolist()
    [0.5, nan]
    """
    lead = outcome.shape[:-1]
    if len(design.shared) == 0:
        return np.full((*lead, 2), np.nan)
    same = (outcome[..., design.shared[:, 0]] == outcome[..., design.shared[:, 1]]).astype(np.float64)
    n_couples = int(design.couple.max()) + 1
    common = np.bincount(design.couple, minlength=n_couples)
    per_couple = _sums(same, design.couple, n_couples)[..., common > 1] / common[common > 1]
    spread = per_couple.std(axis=-1) if per_couple.shape[-1] > 1 else np.full(lead, np.nan)
    return np.stack([same.mean(-1), spread], axis=-1)


def outcome_share(outcome: Int[np.ndarray, "*draw answer"], code: int = TIE) -> Float[np.ndarray, "*draw"]:
    """Share of answers with an outcome.

    Parameters
    ----------
    outcome : int array, shape (..., answer)
        Outcome codes.
    code : int
        Which outcome; ties unless told.
    """
    return np.asarray((outcome == code).mean(-1))


def _sums(
    values: Float[np.ndarray, "*draw answer"], group: Int[np.ndarray, " answer"], n_groups: int
) -> Float[np.ndarray, "*draw group"]:
    """Sum the last axis within groups."""
    n = len(group)
    gather = csr_array((np.ones(n), (group, np.arange(n))), shape=(n_groups, n))
    flat = np.asarray(gather @ values.reshape(-1, n).T)
    return flat.T.reshape(*values.shape[:-1], n_groups)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0))


def _triads(
    state: NDArray[np.integer],
    item_a: NDArray[np.integer],
    item_b: NDArray[np.integer],
    person: NDArray[np.integer],
    seed: int,
) -> NDArray[np.int64]:
    """Triads by a join: two edges that share the lower item, and the edge that closes them."""
    n_items = int(item_b.max(initial=0)) + 1
    _, group = np.unique(np.stack([person, state], axis=1), axis=0, return_inverse=True)
    key = (group.reshape(-1).astype(np.int64) * n_items + item_a) * n_items + item_b
    unique, first, count = np.unique(key, return_index=True, return_counts=True)
    unique, first = unique[count == 1], first[count == 1]
    lowest = unique // n_items
    name, size = np.unique(lowest, return_counts=True)
    candidates = size * (size - 1) // 2
    rows = np.arange(len(unique))
    if candidates.sum() > MOST_TRIADS:  # every triad has one lowest item, so drawing these draws whole triads
        order = np.random.default_rng(seed).permutation(len(name))
        drawn = order[: max(int(np.searchsorted(np.cumsum(candidates[order]), MOST_TRIADS, side="right")), 1)]
        rows = np.flatnonzero(np.isin(lowest, name[drawn]))
    one, two = (rows[side] for side in _pairs_within(lowest[rows]))
    middle, last = unique[one] % n_items, unique[two] % n_items
    closing = (unique[one] // n_items**2 * n_items + middle) * n_items + last
    place = np.minimum(np.searchsorted(unique, closing), max(len(unique) - 1, 0))
    found = unique[place] == closing if len(unique) else np.zeros(0, dtype=bool)
    return np.stack([first[one][found], first[place][found], first[two][found]], axis=1)


def _shared(cell: NDArray[np.int64], person: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Pairs of answers by different people to the same cell, as many people or answers as ``MOST_PAIRS`` allows."""
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.unique(person))
    kept = np.arange(len(cell))
    while True:
        size = np.bincount(cell[kept]).astype(np.float64)
        if (size * (size - 1) / 2).sum() <= MOST_PAIRS:
            break
        if len(people) > 2:
            people = people[: -(-len(people) // 2)]
            kept = np.flatnonzero(np.isin(person, people))
        else:  # one or two who answered the same questions over and over
            kept = np.sort(rng.permutation(kept)[: -(-len(kept) // 2)])
    order = kept[np.argsort(cell[kept], kind="stable")]
    one, two = _pairs_within(cell[order])
    pairs = np.stack([order[one], order[two]], axis=1)
    return np.asarray(pairs[person[pairs[:, 0]] != person[pairs[:, 1]]])


def _pairs_within(group: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions (i, j), i < j, of all pairs of equal entries of a sorted array."""
    n = len(group)
    end = np.searchsorted(group, group, side="right")
    later = end - np.arange(n) - 1
    one = np.repeat(np.arange(n), later)
    start = np.repeat(np.cumsum(later) - later, later)
    return one, one + 1 + np.arange(len(one)) - start
