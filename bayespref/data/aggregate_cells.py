"""How many cells a table would be grouped into, from a sample of its rows, and which key makes them many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from bayespref.display import shown


@shown("{cells} cells expected from {rows} rows", next_step="leave out the key without which least cells are left")
class CellEstimate(NamedTuple):
    """What to expect of a GROUP BY before it runs.

    Attributes
    ----------
    rows : int
        Rows of the table.
    sampled : int
        Rows the estimate rests on; all of them where it is exact.
    cells : int
        Expected cells.
    without : dict of str to int
        Expected cells if the key were left out.
    """

    rows: int
    sampled: int
    cells: int
    without: Mapping[str, int]

    def __str__(self) -> str:
        about = "" if self.sampled >= self.rows else "about "
        words = f"{about}{self.cells:,} cells from {self.rows:,} rows"
        return words + "".join(f"; without {key} {about}{cells:,}" for key, cells in self.without.items())

    def heaviest(self) -> str:
        """Key whose leaving out would save most cells; "" where there is none."""
        return min(self.without, key=lambda key: self.without[key]) if self.without else ""


def expected_cells(codes: Int[np.ndarray, "row column"], rows: int) -> int:
    """Distinct rows to expect in a table of which some rows, drawn at random, are known.

    Parameters
    ----------
    codes : int array, shape (row, column)
        The rows drawn; codes from -1 up, below 2^31.
    rows : int
        Rows of the table, an upper bound.

    Returns
    -------
    int

    Notes
    -----
    Bias-corrected Chao1 (Chao 1984, Scandinavian Journal of Statistics 11, 265-270): ``d + f1 (f1 - 1) / (2 (f2 + 1))``
    with f1 and f2 the numbers of rows seen once and twice. It is consistent for cells of equal size and too low
    otherwise.

    Examples
    --------
    >>> expected_cells(np.array([[0], [0], [1], [1]]), 1000)
    2
    """
    if len(codes) == 0:
        return 0
    row = np.zeros(len(codes), dtype=np.int64)
    for column in codes.T:  # one number a row: sorting rows takes ten times as long
        row = np.unique(row * (column.max() + 2) + column + 1, return_inverse=True)[1]
    seen = np.bincount(row)
    if len(codes) >= rows:
        return len(seen)
    once, twice = int(np.sum(seen == 1)), int(np.sum(seen == 2))
    return min(rows, len(seen) + once * (once - 1) // (2 * (twice + 1)))


def estimate(sample: Any, keys: Mapping[str, tuple[str, ...]], fixed: tuple[str, ...], rows: int) -> CellEstimate:
    """Expected cells by all keys, and with each key left out.

    Parameters
    ----------
    sample : pyarrow.Table
        Rows drawn at random.
    keys : mapping of str to tuple of str
        Group key -> its columns.
    fixed : tuple of str
        Columns that are always grouped by (items and outcome).
    rows : int
        Rows of the table.
    """
    names = [*(column for columns in keys.values() for column in columns), *fixed]
    codes = {name: _codes(sample.column(name)) for name in dict.fromkeys(names)}

    def cells(chosen: list[str]) -> int:
        return expected_cells(np.stack([codes[name] for name in chosen], axis=1), rows)

    without = {}
    for key, columns in keys.items():
        left = [name for other, own in keys.items() if other != key for name in own]
        without[key] = cells([*left, *(name for name in fixed if name not in columns)])
    return CellEstimate(rows, sample.num_rows, cells(names), without)


def _codes(column: Any) -> np.ndarray:
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
