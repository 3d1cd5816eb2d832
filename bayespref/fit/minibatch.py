"""Units in batches of one shape, so that a table larger than memory allows at once is read a part at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int

from bayespref.choice import ChoiceData


def unit_batches(
    data: ChoiceData,
    outcome: Int[np.ndarray, " record"],
    *,
    n_batches: int,
    rng: np.random.Generator,
    only: int | None = None,
) -> list[tuple[ChoiceData, Int[np.ndarray, " record"]]]:
    """Deal units at random into batches that share one shape.

    A unit keeps all its records. Shorter batches are filled with records of count zero that belong to a unit of
    multiplicity zero: they add nothing to a likelihood.

    Parameters
    ----------
    data, outcome : ChoiceData, int array
        Records, sorted by unit. What describes the design (``asked``, ``group_size``) stays whole.
    n_batches : int
        At most the number of units.
    rng : numpy Generator
        Deals the units.
    only : int, optional
        Make no more than this many of the batches.

    Returns
    -------
    list of (ChoiceData, int array)
        The likelihood of all records is the sum over batches.

    Examples
    --------
    >>> from bayespref.choice import choice_data
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 0, 0]), np.array([1, 1, 1]), np.array([0, 1, 0]), items=("x", "y"),
    ...     annotator=np.array([0, 1, 2]), annotators=("u", "v", "w"))
    >>> parts = unit_batches(*choice_data(table), n_batches=2, rng=np.random.default_rng(0))
    >>> [float(part.count.sum()) for part, _ in parts]
    [2.0, 1.0]
    """
    unit, question, count = np.asarray(data.unit), np.asarray(data.question), np.asarray(data.count)
    multiplicity, group, column = np.asarray(data.multiplicity), np.asarray(data.group), np.asarray(outcome)
    dealt = np.array_split(rng.permutation(data.n_units), n_batches)
    start = np.searchsorted(unit, np.arange(data.n_units + 1))
    length = np.diff(start)
    most_units = max(len(units) for units in dealt) + 1
    most_records = max(int(length[units].sum()) for units in dealt)
    batches = []
    for units in dealt[:only]:
        sizes = length[units]
        total = int(sizes.sum())
        rows = np.repeat(start[units] - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes) + np.arange(total)

        def fill(values: np.ndarray, size: int, filler: float = 0) -> Any:  # NumPy's, so that it stays off the device
            return np.concatenate([values, np.full(size - len(values), filler, dtype=values.dtype)])

        part = replace(
            data,
            unit=fill(np.repeat(np.arange(len(units), dtype=np.int32), sizes), most_records, most_units - 1),
            question=fill(question[rows], most_records),
            count=fill(count[rows], most_records),
            multiplicity=fill(multiplicity[units], most_units),
            group=fill(group[units], most_units),
        )
        batches.append((part, fill(column[rows], most_records)))
    return batches
