"""Named adapters: bring a known shape of table to the canonical columns, and nothing else.

An adapter gets the columns it knows (already renamed by the caller's column map) and returns canonical ones; rows it
cannot translate keep their own value, so that the validation of :func:`bayespref.read_comparisons` reports them with
their counts. It never drops a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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


def labels(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read a numeric label: 1 = ``item_a`` preferred, 0 = ``item_b``, 0.5 = tie.

    Parameters
    ----------
    columns : mapping of str to pyarrow array
        Holds ``label``.
    text : bool
        Whether numbers are written as text, as in CSV.

    Returns
    -------
    dict
        ``outcome`` as text; other numbers stay as they are written, missing labels stay missing.

    Raises
    ------
    TableError
        If the column does not hold numbers.

    Examples
    --------
    >>> labels({"label": pa.array([1, 0, 0.5])}, False)["outcome"].to_pylist()
    ['a', 'b', 'tie']
    """
    column = columns["label"]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    written = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (number or (text and written)):
        raise TableError(f"label: must be numbers (1 = item_a preferred, 0 = item_b, 0.5 = tie), but holds {kind}")
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    outcomes = pa.array([_outcome(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return {"outcome": pc.take(outcomes, encoded.indices)}


def _outcome(value: Any) -> str | None:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return value
    number = float(value)
    if np.isnan(number):
        return None
    return {1.0: "a", 0.0: "b", 0.5: "tie"}.get(number, str(value))


ADAPTERS: dict[str, Adapter] = {
    "labels": Adapter(
        needs=("label",),
        gives=("outcome",),
        apply=labels,
        rule="label must be 1 (item_a preferred), 0 (item_b) or 0.5 (tie)",
    )
}
