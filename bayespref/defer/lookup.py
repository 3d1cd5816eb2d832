"""From labels to region numbers, a million rows at a time, with every oddity kept apart from a match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import narwhals as nw

ABSENT = -1
"""Code of a label that is not in the vocabulary."""
MISSING = -2
"""Code of a label that is not there at all."""


class RegionIndex(NamedTuple):
    """Finds the region of a tuple of label codes; one level a column, each a sorted list of the prefixes seen."""

    sizes: tuple[int, ...]
    levels: tuple[NDArray[np.int64], ...]
    """Level k: sorted codes ``prefix * sizes[k] + code`` of the prefixes of length k + 1."""
    region: NDArray[np.int64]
    """Region of each full prefix."""

    @classmethod
    def build(cls, codes: Sequence[NDArray[np.int64]], sizes: Sequence[int]) -> RegionIndex:
        """Index regions given as one code array a column, shape (region,) each."""
        prefix = np.zeros(len(codes[0]), dtype=np.int64)
        levels = []
        for column, size in zip(codes, sizes, strict=True):
            level, prefix = np.unique(prefix * max(size, 1) + column, return_inverse=True)
            levels.append(level)
        region = np.empty(len(prefix), dtype=np.int64)
        region[prefix] = np.arange(len(prefix))
        return cls(tuple(max(size, 1) for size in sizes), tuple(levels), region)

    def find(self, codes: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Region of every row, -1 where there is none; shape (row,)."""
        n = len(codes[0])
        if not len(self.region):
            return np.full(n, -1, dtype=np.int64)
        prefix, found = np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.bool_)
        for column, size, level in zip(codes, self.sizes, self.levels, strict=True):
            found &= column >= 0
            wanted = prefix * size + np.where(found, column, 0)
            if len(level) == level[-1] + 1:  # all codes 0..max occur, so the code is the position
                found &= wanted < len(level)
                prefix = np.where(found, wanted, 0)
            else:
                prefix = np.minimum(np.searchsorted(level, wanted), len(level) - 1)
                found &= level[prefix] == wanted
        return np.where(found, self.region[prefix], -1)


def encode(column: nw.Series[Any], vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """Codes of a column's values in the vocabulary; ``ABSENT`` and ``MISSING`` else.

    Parameters
    ----------
    column : narwhals Series
        Strings, categories or integers (compared as text). Values of any other type match nothing.
    vocabulary : sequence of str
        Labels, all different.

    Returns
    -------
    int array, shape (row,)
        Position in the vocabulary.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        values = column.to_arrow()
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError, OverflowError):
        return encode_values(column.to_list(), vocabulary)  # an object column of several types
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    kind = values.type
    if pa.types.is_integer(kind):
        values = pc.cast(values, pa.string())
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        if hasattr(pa.types, "is_string_view") and pa.types.is_string_view(kind):
            values = pc.cast(values, pa.large_string())
        else:
            nothing = pc.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False)
            return np.where(nothing, MISSING, ABSENT).astype(np.int64)
    known = pa.array(list(vocabulary), type=values.type)
    found: NDArray[np.int64] = (
        pc.fill_null(pc.index_in(values, value_set=known), ABSENT).to_numpy(zero_copy_only=False).astype(np.int64)
    )
    if values.null_count:
        found[pc.is_null(values).to_numpy(zero_copy_only=False)] = MISSING
    return found


def encode_values(values: Sequence[Any], vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """Codes of plain Python values, as :func:`encode` gives them.

    Parameters
    ----------
    values : sequence
        Text and integers are looked up as text; None, NaN and their kin are missing; the rest matches nothing.
    vocabulary : sequence of str
        Labels, all different.

    Returns
    -------
    int array, shape (row,)
        Position in the vocabulary.

    Examples
    --------
    >>> encode_values(["b", "z", None, float("nan"), 7, 7.0, True], ["a", "b", "7"]).tolist()
    [1, -1, -2, -2, 2, -1, -1]
    """
    position = {label: i for i, label in enumerate(vocabulary)}
    return np.array([_code(value, position) for value in values], dtype=np.int64)


def _code(value: Any, position: dict[str, int]) -> int:
    if isinstance(value, str):
        return position.get(value, ABSENT)
    if isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_)):
        return position.get(str(int(value)), ABSENT)
    if value is None:
        return MISSING
    try:
        return ABSENT if bool(value == value) else MISSING
    except (TypeError, ValueError):  # pandas.NA has no truth value
        return MISSING
