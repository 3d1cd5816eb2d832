"""Labels <-> integer codes, vectorised, the same for every data-frame library.

Labels are text or integers (written in decimal); they are sorted by Unicode code point, so that codes depend neither
on the row order nor on the library. Nothing is stripped, folded or merged.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from bayespref.errors import TableError

_LARGEST_WHOLE = 2.0**53
_LOOKS_MISSING = frozenset({"nan", "NaN", "None", "<NA>", "NaT", "null"})


class Coded(NamedTuple):
    """A column of labels as codes."""

    codes: Int[np.ndarray, " row"]
    """Codes into ``labels``; -1 where the value is missing (null, NaN or empty text)."""
    labels: tuple[str, ...]
    """Distinct labels, sorted by code point."""
    kind: str
    """``text``, ``integer``, or ``missing`` where the column holds no value at all."""


def encode(name: str, column: Any, *, ordered: bool = True) -> Coded:
    """Code a column of labels.

    Parameters
    ----------
    name : str
        Name used in messages.
    column : pyarrow array or chunked array, shape (row,)
        Text, integers, or a dictionary (category) of these. A float column whose values are all whole numbers is read
        as integers, because data frames turn integers with gaps into floats; other floats, booleans, dates and nested
        values are refused.
    ordered : bool
        Whether to sort the labels; unsorted labels come in order of appearance.

    Returns
    -------
    Coded
        Codes, labels and kind.

    Raises
    ------
    TableError
        If the values are not labels, or a label holds a NUL character.

    Examples
    --------
    >>> encode("item", pa.array(["y", "x", None, "y"])).codes
    array([ 1,  0, -1,  1], dtype=int32)
    """
    kind, values = _labels_only(name, column)
    if isinstance(values, pa.ChunkedArray) and not len(values):
        values = values.combine_chunks()  # older PyArrow cannot join dictionaries without rows
    dictionary = values.dictionary_encode()
    if isinstance(dictionary, pa.ChunkedArray):
        dictionary = dictionary.unify_dictionaries().combine_chunks()
    codes = np.asarray(dictionary.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)
    try:
        found = [str(value) for value in dictionary.dictionary.to_pylist()]
    except UnicodeDecodeError as error:
        raise TableError(f"{name}: holds text that is not valid UTF-8 ({error})") from None
    bad = [label for label in found if "\0" in label]
    if bad:
        raise TableError(f"{name}: labels must not hold NUL characters; first {[ascii(b) for b in bad[:5]]}")
    labels = [label for label in found if label]
    if ordered:
        labels.sort()
    place = {label: code for code, label in enumerate(labels)}
    rank = np.array([*(place.get(label, -1) for label in found), -1], dtype=np.int32)
    return Coded(rank[codes], tuple(labels), kind if labels else "missing")


def _labels_only(name: str, column: Any) -> tuple[str, Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text", column.cast(pa.large_string())
    if pa.types.is_integer(kind):
        return "integer", column
    if pa.types.is_null(kind):
        return "missing", column.cast(pa.large_string())
    if pa.types.is_floating(kind):
        values = column.cast(pa.float64())
        present = np.asarray(pc.drop_null(values).to_numpy(), dtype=np.float64)
        present = present[~np.isnan(present)]
        broken = present[~((np.floor(present) == present) & (np.abs(present) < _LARGEST_WHOLE))]
        if len(broken):
            raise TableError(
                f"{name}: labels must be text or integers, but the column holds numbers with a fraction or without "
                f"an exact integer ({len(broken)}, first {broken[:5].tolist()}); write them as text"
            )
        return "integer", pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values).cast(pa.int64())
    raise TableError(f"{name}: labels must be text or integers, but the column holds {kind}; write them as text")


def decode(codes: Int[np.ndarray, " row"], labels: Sequence[str]) -> NDArray[np.object_]:
    """Return the label of each code, None where the code is -1.

    Examples
    --------
    >>> decode(np.array([1, -1]), ("x", "y")).tolist()
    ['y', None]
    """
    decoded: NDArray[np.object_] = np.array([*labels, None], dtype=object)[codes]
    return decoded


def share_labels(*columns: Coded) -> tuple[tuple[Int[np.ndarray, " row"], ...], tuple[str, ...]]:
    """Recode several columns on the sorted union of their labels.

    Examples
    --------
    >>> codes, labels = share_labels(encode("a", pa.array(["y"])), encode("b", pa.array(["x"])))
    >>> codes[0].item(), codes[1].item(), labels
    (1, 0, ('x', 'y'))
    """
    labels = sorted({label for column in columns for label in column.labels})
    place = {label: code for code, label in enumerate(labels)}
    recoded = tuple(
        np.array([*(place[label] for label in column.labels), -1], dtype=np.int32)[column.codes] for column in columns
    )
    return recoded, tuple(labels)


def compact(
    codes: Int[np.ndarray, "*shape"], labels: Sequence[str]
) -> tuple[Int[np.ndarray, "*shape"], tuple[str, ...]]:
    """Forget labels that no row uses; the order of the others stays.

    Examples
    --------
    >>> compact(np.array([2, 2, 0]), ("x", "y", "z"))
    (array([1, 1, 0], dtype=int32), ('x', 'z'))
    """
    used = np.zeros(len(labels), dtype=bool)
    used[codes.ravel()] = True
    place = (np.cumsum(used) - 1).astype(np.int32)
    return place[codes], tuple(label for label, keep in zip(labels, used.tolist(), strict=True) if keep)


def repeats(codes: Int[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
    """Mark every row whose code occurred in an earlier row; missing codes (-1) are never marked.

    Examples
    --------
    >>> repeats(np.array([0, 1, 0, -1, -1]))
    array([False, False,  True, False, False])
    """
    marked = np.ones(len(codes), dtype=bool)
    marked[np.unique(codes, return_index=True)[1]] = False
    return marked & (codes >= 0)


def look_alikes(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of labels equal up to case, surrounding whitespace and Unicode compatibility form.

    Examples
    --------
    >>> look_alikes(("GPT-4", "gpt-4 ", "claude"))
    [('GPT-4', 'gpt-4 ')]
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        key = label if label.isascii() else unicodedata.normalize("NFKC", label)
        groups[" ".join(key.casefold().split())].append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def look_missing(labels: Sequence[str]) -> list[str]:
    """Labels that read like a missing value turned into text ("nan", "None", "<NA>").

    Examples
    --------
    >>> look_missing(("x", "nan"))
    ['nan']
    """
    return [label for label in labels if label in _LOOKS_MISSING]
