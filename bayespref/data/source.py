"""Open what people have (a data frame or a file) as named Arrow columns, nothing converted beyond that."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from bayespref.data.unfolded import LONGEST_HEADER, refuse_swollen_gzip, refuse_swollen_parquet
from bayespref.errors import TableError

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".jsonl")
_SHOWN = 5


class Source(NamedTuple):
    """A table whose columns are not read yet."""

    name: str
    """File name, or the type of the data frame."""
    columns: tuple[str, ...]
    load: Callable[[Iterable[str]], dict[str, pa.ChunkedArray]]
    """Reads the named columns; columns that hold mixed types are a :class:`TableError`."""
    text: bool
    """Whether every value is text, as in CSV, so that numbers must be parsed."""


def open_table(table: Any) -> Source:
    """Open a data frame or a file.

    Parameters
    ----------
    table : str, Path or data frame
        A path ending in ``.csv``, ``.csv.gz``, ``.parquet`` or ``.jsonl``, or any frame narwhals understands.

    Returns
    -------
    Source
        Name, column names, and a function that reads columns. Lazy frames are collected once, wanted columns only.

    Raises
    ------
    TypeError
        If ``table`` is neither a path nor a supported frame.
    TableError
        If the file cannot be parsed or a column name occurs twice.

    Examples
    --------
    >>> import pandas as pd
    >>> open_table(pd.DataFrame({"item_a": ["x"], "item_b": ["y"]})).columns
    ('item_a', 'item_b')
    """
    if isinstance(table, str | Path):
        return _open_file(Path(table))
    try:
        frame: Any = nw.from_native(table)
    except TypeError:
        raise TypeError(
            f"table: must be a data frame (pandas, Polars, PyArrow, DuckDB, PySpark, Ibis) or a path ending in "
            f"{', '.join(SUFFIXES)}; got {type(table).__name__}"
        ) from None
    except nw.exceptions.DuplicateError as error:
        raise TableError(f"table: a column name occurs more than once. {error}") from None
    name = f"{type(table).__module__.split('.')[0]}.{type(table).__name__}"
    lazy = isinstance(frame, nw.LazyFrame)
    found = frame.collect_schema().names() if lazy else frame.columns
    columns = tuple(str(column) for column in found)
    _unique_names(columns)
    original = dict(zip(columns, found, strict=True))

    def load(wanted: Iterable[str]) -> dict[str, pa.ChunkedArray]:
        names = list(wanted)
        eager = frame.select([original[n] for n in names]).collect() if lazy else frame
        return _columns({n: eager[original[n]] for n in names}, _to_arrow)

    return Source(name, columns, load, text=False)


def _open_file(path: Path) -> Source:
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise TableError(f"table: {path.name!r} must end in one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise FileNotFoundError(f"table: there is no file {path}")
    if path.stat().st_size == 0:
        raise TableError(f"table: {path.name!r} is empty (no header, no rows)")
    try:
        if name.endswith(".jsonl"):
            return _open_jsonl(path)
        return _open_parquet(path) if name.endswith(".parquet") else _open_csv(path)
    except (pa.ArrowException, UnicodeError, csv.Error, OSError, EOFError) as error:
        raise TableError(f"table: {path.name!r} cannot be read: {_first_line(error)}") from None


def _open_csv(path: Path) -> Source:
    packed = path.name.lower().endswith(".gz")
    opened = gzip.open if packed else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
        columns = tuple(next(csv.reader(_lines(stream)), ()))
    if not columns:
        raise TableError(f"table: {path.name!r} has no header line")
    _unique_names(columns)

    if packed:
        refuse_swollen_gzip(path)

    def load(wanted: Iterable[str]) -> dict[str, pa.ChunkedArray]:
        names = list(wanted)
        try:
            read = arrow_csv.read_csv(
                path,
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=names,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"table: {path.name!r} cannot be read: {_first_line(error)}") from None
        return {n: read.column(n) for n in names}

    return Source(path.name, columns, load, text=True)


def _lines(stream: IO[str]) -> Iterator[str]:
    """Lines, none longer than names of columns can be."""
    while line := stream.readline(LONGEST_HEADER):
        if len(line) == LONGEST_HEADER:
            raise csv.Error(f"its line of column names is longer than {LONGEST_HEADER:,} characters")
        yield line


def _open_parquet(path: Path) -> Source:
    columns = tuple(parquet.read_schema(path).names)
    _unique_names(columns)

    def load(wanted: Iterable[str]) -> dict[str, pa.ChunkedArray]:
        names = list(wanted)
        try:
            refuse_swollen_parquet(path, names)
            read = parquet.ParquetFile(path).read(columns=names)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"table: {path.name!r} cannot be read: {_first_line(error)}") from None
        return {n: read.column(n) for n in names}

    return Source(path.name, columns, load, text=False)


def _open_jsonl(path: Path) -> Source:
    rows: list[Mapping[str, Any]] = []
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream):
            if not line.strip():
                continue
            try:
                row = json.loads(line, object_pairs_hook=_unique_keys)
            except (ValueError, RecursionError) as error:
                raise TableError(f"table: {path.name!r}, line {number + 1}: not valid JSON ({error})") from None
            if not isinstance(row, dict):
                raise TableError(f"table: {path.name!r}, line {number + 1}: must be an object, got {line.strip()[:60]}")
            rows.append(row)
    if not rows:
        raise TableError(f"table: {path.name!r} has no rows")
    columns = tuple(dict.fromkeys(key for row in rows for key in row))

    def load(wanted: Iterable[str]) -> dict[str, pa.ChunkedArray]:
        return _columns({n: [row.get(n) for row in rows] for n in wanted}, lambda v: pa.array(v, from_pandas=True))

    return Source(path.name, columns, load, text=False)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        raise ValueError(f"a key occurs twice among {[key for key, _ in pairs]}")
    return built


def _unique_names(columns: tuple[str, ...]) -> None:
    twice = {name: n for name, n in Counter(columns).items() if n > 1}
    if twice:
        raise TableError(f"table: a column name occurs more than once: {twice}; rename or drop the others")


def _columns(values: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, pa.ChunkedArray]:
    """Convert each column to Arrow; those Arrow cannot hold in one type are reported together."""
    built: dict[str, pa.ChunkedArray] = {}
    problems = []
    for name, column in values.items():
        try:
            array = convert(column)
            built[name] = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
        except (pa.ArrowException, UnicodeError, TypeError, ValueError, OverflowError) as error:
            problems.append(f"- {name}: {_mixed(column, error)}")
    if problems:
        raise TableError("the table has columns that cannot be read:\n" + "\n".join(problems))
    return built


def _to_arrow(series: Any) -> Any:
    """Column of a frame as Arrow; a NumPy time without a unit among other values would end the process in there."""
    if series.dtype == nw.Object and series.implementation.is_pandas():
        from pandas.api.types import infer_dtype

        values = series.to_native()
        if infer_dtype(values, skipna=True).startswith("mixed") and any(isinstance(v, np.datetime64) for v in values):
            raise TypeError("NumPy times among other values")
    return series.to_arrow()


def _mixed(column: Iterable[Any], error: Exception) -> str:
    values = list(column)
    kinds = [type(value).__name__ for value in values]
    first = {kinds.index(kind): values[kinds.index(kind)] for kind in dict.fromkeys(kinds)}
    shown = ", ".join(f"{row}: {_short(value)}" for row, value in list(first.items())[:_SHOWN])
    if len(first) == 1:
        return f"values of type {kinds[0]} cannot be read ({_first_line(error)}), first {{{shown}}}"
    counts = ", ".join(f"{n} {kind}" for kind, n in Counter(kinds).most_common())
    return f"mixed types in one column ({counts}), first of each {{{shown}}}"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
