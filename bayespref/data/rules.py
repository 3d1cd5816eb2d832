"""Collect every broken rule of a table, so that one message names them all; and read numbers and times strictly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from bayespref.errors import TableError

_SHOWN = 5
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class Broken(NamedTuple):
    """One rule that some rows break."""

    column: str
    rule: str
    n_rows: int
    """Number of rows."""
    first: dict[str, str]
    """Values of the first bad rows, as written in Python, by row number (from 0) or another name of the row."""
    detail: str

    def __str__(self) -> str:
        shown = ", ".join(f"{row}: {value}" for row, value in self.first.items())
        detail = f" ({self.detail})" if self.detail else ""
        return f"- {self.column}: {self.rule}; {self.n_rows} bad row(s){detail}, first {{{shown}}}"


class Rules:
    """Broken rules found so far: whole columns (always an error) and rows (an error, or dropped on request).

    Where a line stands for several rows of the table (equal ones, counted), ``stands_for`` says how many, and ``name``
    what to call the first of them.
    """

    def __init__(
        self, n_rows: int, *, stands_for: NDArray[np.int64] | None = None, name: Callable[[int], str] = str
    ) -> None:
        self.bad = np.zeros(n_rows, dtype=bool)
        self.stands_for = np.ones(n_rows, dtype=np.int64) if stands_for is None else stands_for
        self.name = name
        self.broken: list[Broken] = []
        self.columns: list[str] = []
        self.hint = ""

    def rows(
        self, column: str, rule: str, bad: NDArray[np.bool_], show: Callable[[int], Any], detail: str = ""
    ) -> None:
        """Note the rows that break a rule; none is no violation."""
        if bad.any():
            first = {self.name(int(row)): short(show(int(row))) for row in np.flatnonzero(bad)[:_SHOWN]}
            self.broken.append(Broken(column, rule, int(self.stands_for[bad].sum()), first, detail))
            self.bad |= bad

    def column(self, message: str) -> None:
        """Note a rule that a whole column breaks."""
        self.columns.append(f"- {message.removeprefix('- ')}")

    def text(self) -> str:
        """All broken rules, one a line, and a hint on what the table may be."""
        lines = [*self.columns, *(str(broken) for broken in self.broken)]
        return "\n".join([f"the table breaks {len(lines)} rule(s):", *lines, *([self.hint] if self.hint else [])])

    def raise_columns(self) -> None:
        """Raise if a whole column is unusable, naming the broken rows beside it."""
        if self.columns:
            raise TableError(self.text())

    def as_record(self) -> dict[str, Any]:
        """JSON-able record of the broken rows."""
        return {
            "rows": int(self.stands_for[self.bad].sum()),
            "rules": {
                f"{broken.column}: {broken.rule}": {
                    "count": broken.n_rows,
                    "first_rows": dict(broken.first),
                }
                | ({"detail": broken.detail} if broken.detail else {})
                for broken in self.broken
            },
        }


def short(value: Any) -> str:
    """Value as written in Python, cut where it is long."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def numbers(name: str, column: Any, *, text: bool) -> tuple[Float[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Read a numeric column.

    Parameters
    ----------
    name : str
        Name used in messages.
    column : pyarrow array, shape (row,)
        Integers, floats or decimals; text only where the whole file is text.
    text : bool
        Whether numbers are written as text, as in CSV.

    Returns
    -------
    values : float array, shape (row,)
        NaN where the value is missing or cannot be read.
    unreadable : bool array, shape (row,)
        Rows whose text is no number.

    Raises
    ------
    TableError
        If the column holds anything but numbers.

    Examples
    --------
    >>> numbers("weight", pa.array(["2", "two", None]), text=True)
    (array([ 2., nan, nan]), array([False,  True, False]))
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return _float(column.cast(pa.float64(), safe=False)), np.zeros(len(column), dtype=bool)
    if not (text and _is_text(kind)):
        raise TableError(f"{name}: must be numbers, but the column holds {kind}; convert it before reading")
    try:
        return _float(column.cast(pa.float64())), np.zeros(len(column), dtype=bool)
    except pa.ArrowInvalid:
        return _each(column, lambda value: float(pa.scalar(value).cast(pa.float64()).as_py()))


def times(name: str, column: Any, *, text: bool) -> tuple[Float[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Read times as seconds since 1970-01-01 00:00 UTC.

    Dates and times without a zone are taken as UTC; numbers are taken as seconds already; text must be ISO 8601 (or,
    in a file where everything is text, a column of numbers).

    Parameters
    ----------
    name, column, text
        As in :func:`numbers`.

    Returns
    -------
    values : float array, shape (row,)
        Seconds; NaN where missing or unreadable.
    unreadable : bool array, shape (row,)
        Rows whose text is no time.

    Examples
    --------
    >>> times("timestamp", pa.array(["1970-01-02", "1970-01-02T01:00+01:00"]), text=False)[0]
    array([86400., 86400.])
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.date32())
        return _float(column.cast(pa.int32()).cast(pa.float64())) * 86400.0, np.zeros(len(column), dtype=bool)
    if pa.types.is_timestamp(kind):
        present = np.asarray(column.is_valid().to_numpy(zero_copy_only=False)) if len(column) else np.zeros(0, bool)
        ticks = np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
        whole, rest = np.divmod(ticks, _TICKS[kind.unit])
        return np.where(present, whole + rest / _TICKS[kind.unit], np.nan), np.zeros(len(column), dtype=bool)
    if not _is_text(kind):
        return numbers(name, column, text=text)
    if text:
        values, unreadable = numbers(name, column, text=True)
        if not unreadable.any():
            return values, unreadable
    return _each(column, _seconds)


def _seconds(value: str) -> float:
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _each(column: Any, parse: Callable[[str], float]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Parse each distinct text once; empty text counts as missing."""
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    parsed, failed = [], []
    for value in encoded.dictionary.to_pylist():
        try:
            parsed.append(parse(value) if value else np.nan)
            failed.append(False)
        except (ValueError, OverflowError, pa.ArrowException):
            parsed.append(np.nan)
            failed.append(True)
    codes = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    return np.array([*parsed, np.nan])[codes], np.array([*failed, False])[codes]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _float(column: Any) -> NDArray[np.float64]:
    filled = pc.fill_null(column, np.nan)
    arrow = filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled
    return np.array(arrow.to_numpy(zero_copy_only=False), dtype=np.float64)
