"""What an adapter is, and how labels and numbers of a column become outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bayespref.dims import OUTCOMES
from bayespref.errors import TableError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Adapter(NamedTuple):
    """One shape of table: the columns it needs, those it supplies, and the function that turns one into the other."""

    needs: tuple[str, ...]
    gives: tuple[str, ...]
    apply: Callable[[Mapping[str, Any], bool], dict[str, Any]]
    """Called with Arrow columns by name and whether all values are text (CSV); returns the columns it gives."""
    rule: str
    """What an outcome must look like in this shape, for messages."""
    aliases: Mapping[str, str] = {}
    """Canonical name -> name in this shape, for optional columns found by themselves."""
    why: str = ""
    """Why a needed column cannot be guessed, said when it is missing."""


def by_label(column: Any, outcomes: Mapping[str, str]) -> Any:
    """Outcome of every text label; a label that is not listed stays as it is, a missing one stays missing.

    Examples
    --------
    >>> by_label(pa.array(["model_a", "huh", None]), {"model_a": "a"}).to_pylist()
    ['a', 'huh', None]
    """
    return _by_value(column, lambda value: outcomes.get(value) or _unknown(str(value)) if value is not None else None)


def by_number(name: str, column: Any, outcomes: Mapping[float, str], text: bool, words: str) -> Any:
    """Outcome of every number; other numbers stay as they are written, a missing one or a NaN is missing.

    Raises
    ------
    TableError
        If the column does not hold numbers.
    """
    kind = _values(column).type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    written = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (number or (text and written)):
        raise TableError(f"{name}: must be numbers ({words}), but holds {kind}")

    def outcome(value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            return _unknown(value)
        as_number = float(value)
        return None if np.isnan(as_number) else outcomes.get(as_number, str(value))

    return _by_value(column, outcome)


def _unknown(value: str) -> str:
    """A label that this shape does not have, kept for the message; one that canonical tables have must not pass."""
    return f"{value!r} (no label of this adapter)" if value in OUTCOMES else value


def _values(column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _by_value(column: Any, outcome: Callable[[Any], str | None]) -> Any:
    """Translate each distinct value once."""
    values = _values(column)
    if pa.types.is_nested(values.type):
        raise TableError(f"outcome: must be labels or numbers, but the column holds {values.type}")
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return pc.take(pa.array([outcome(value) for value in encoded.dictionary.to_pylist()], pa.string()), encoded.indices)
