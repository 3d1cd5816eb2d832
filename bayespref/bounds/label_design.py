"""Which questions raters answer, and what ties the answers to latent types' parameters."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from bayespref.checks import simplex
from bayespref.display import shown

_MAX_LABELS = 12


@shown("{n_types} types, {patterns}", next_step="hand it to local_identifiability before collecting")
@dataclass(frozen=True)
class LabelDesign:
    """Which questions raters answer, and what ties the answers to parameters.

    Attributes
    ----------
    n_types : int
        Number of latent types K.
    patterns : tuple of tuple of int
        One entry per kind of rater: the questions such a rater answers, in order; a repeated number is a repeat.
    pairs : tuple of (int, int), optional
        Bradley-Terry: question j compares these two items, and type c prefers the first with probability
        sigma(r_c(a) - r_c(b)); item 0 is the gauge. Without it every question has a free log-odds per type.
    shares : tuple of float, optional
        Share of raters of each pattern, summing to one; default equal.
    """

    n_types: int
    patterns: tuple[tuple[int, ...], ...]
    pairs: tuple[tuple[int, int], ...] | None = None
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.n_types < 1:
            raise ValueError(f"n_types: must be at least 1, got {self.n_types}")
        lengths = {len(pattern) for pattern in self.patterns}
        if not lengths or min(lengths) < 1 or max(lengths) > _MAX_LABELS:
            raise ValueError(f"patterns: each rater must answer 1 to {_MAX_LABELS} questions, got {sorted(lengths)}")
        questions = {question for pattern in self.patterns for question in pattern}
        limit = max(questions) + 1 if self.pairs is None else len(self.pairs)
        bad = sorted(question for question in questions if not 0 <= question < limit)
        if bad:
            raise ValueError(f"patterns: questions must be numbers in 0..{limit - 1}, first bad {bad[:5]}")
        if self.pairs is not None and any(a == b or min(a, b) < 0 for a, b in self.pairs):
            raise ValueError(f"pairs: each must join two different items numbered from 0, got {self.pairs}")
        if self.shares is not None:
            if len(self.shares) != len(self.patterns):
                raise ValueError(f"shares: {len(self.shares)} for {len(self.patterns)} patterns")
            simplex("shares", self.shares)

    @property
    def n_values(self) -> int:
        """Items (Bradley-Terry, the gauge included) or questions."""
        if self.pairs is None:
            return 1 + max(question for pattern in self.patterns for question in pattern)
        return 1 + max(max(pair) for pair in self.pairs)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the coordinates: all shares but the last, then each type's log-odds (item 0 left out)."""
        first = 0 if self.pairs is None else 1
        noun = "question" if self.pairs is None else "item"
        shares = [f"share[{c}]" for c in range(self.n_types - 1)]
        values = [f"type[{c}].{noun}[{v}]" for c in range(self.n_types) for v in range(first, self.n_values)]
        return tuple(shares + values)


def items_design(n_types: int, n_items: int) -> LabelDesign:
    """Every rater answers J different questions, each with its own log-odds per type.

    Examples
    --------
    >>> len(items_design(2, 3).parameter_names)
    7
    """
    return LabelDesign(n_types, (tuple(range(n_items)),))


def repeats_design(n_types: int, n_repeats: int) -> LabelDesign:
    """Every rater answers one and the same question T times.

    Examples
    --------
    >>> repeats_design(2, 3).patterns
    ((0, 0, 0),)
    """
    return LabelDesign(n_types, ((0,) * n_repeats,))


def pairs_design(n_types: int, n_items: int, labels_per_rater: int = 1) -> LabelDesign:
    """Bradley-Terry on all pairs of A items; every rater answers L distinct pairs, all choices equally common.

    Examples
    --------
    >>> design = pairs_design(2, 3, 2)
    >>> design.pairs, design.patterns
    (((0, 1), (0, 2), (1, 2)), ((0, 1), (0, 2), (1, 2)))
    """
    pairs = tuple(itertools.combinations(range(n_items), 2))
    return LabelDesign(n_types, tuple(itertools.combinations(range(len(pairs)), labels_per_rater)), pairs)


def answered_design(
    annotator: Int[ArrayLike, " comparison"],
    item_a: Int[ArrayLike, " comparison"],
    item_b: Int[ArrayLike, " comparison"],
    n_types: int,
    *,
    max_labels: int = 6,
) -> LabelDesign:
    """Read the design off a table of comparisons: which pairs each annotator answered.

    Annotators with more than ``max_labels`` answers count with the ``max_labels`` pairs that come first in order,
    because patterns grow as 2^L. Leaving answers out can only lower the rank: full rank here is full rank of the table.

    Parameters
    ----------
    annotator, item_a, item_b : array_like of int, shape (comparison,)
        Codes from 0; the order within a pair does not matter.
    n_types : int
        Number of latent types K.
    max_labels : int
        Longest pattern kept, 1 to 12.

    Returns
    -------
    LabelDesign
        Bradley-Terry design with one pattern per distinct list of answered pairs, and its share of annotators.

    Raises
    ------
    ValueError
        On shapes that differ, a self-comparison, or ``max_labels`` out of range.

    Examples
    --------
    >>> design = answered_design([0, 0, 1], [0, 1, 1], [1, 2, 0], 2)
    >>> design.pairs, design.patterns, design.shares
    (((0, 1), (1, 2)), ((0,), (0, 1)), (0.5, 0.5))
    """
    codes = [np.asarray(x) for x in (annotator, item_a, item_b)]
    if len({code.shape for code in codes}) != 1 or codes[0].ndim != 1 or codes[0].size == 0:
        raise ValueError(
            f"annotator, item_a, item_b: must be equal-length vectors, got {[code.shape for code in codes]}"
        )
    if not 1 <= max_labels <= _MAX_LABELS:
        raise ValueError(f"max_labels: must lie in 1..{_MAX_LABELS}, got {max_labels}")
    low, high = np.minimum(codes[1], codes[2]), np.maximum(codes[1], codes[2])
    pairs, question = np.unique(np.stack([low, high], axis=1), axis=0, return_inverse=True)
    answered: dict[int, list[int]] = {}
    for who, what in zip(codes[0].tolist(), question.ravel().tolist(), strict=True):
        answered.setdefault(who, []).append(what)
    count = Counter(tuple(sorted(questions)[:max_labels]) for questions in answered.values())
    patterns = tuple(sorted(count))
    shares = tuple(count[pattern] / len(answered) for pattern in patterns)
    return LabelDesign(n_types, patterns, tuple((int(a), int(b)) for a, b in pairs), shares)
