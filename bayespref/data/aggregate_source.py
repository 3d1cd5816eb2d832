"""Open tables that need not fit into memory, as lazy frames whose engine does the work: DuckDB, Spark, Ibis, Polars."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as parquet
from tqdm.auto import tqdm

from bayespref.errors import TableError

PLACE = ("filename", "file_row_number")
"""Columns that say where in a folder of Parquet files a row stands."""
_PATIENCE = 0.3
"""Seconds between two looks at the progress of a query."""


class Large(NamedTuple):
    """A table in the hands of its engine."""

    name: str
    """Path, or the type of the frame."""
    frame: Any
    """Narwhals lazy frame."""
    columns: tuple[str, ...]
    placed: bool
    """Whether rows have a file and a number (the columns ``PLACE``)."""


@contextmanager
def open_large(source: Any, *, memory: str, progress: bool = False) -> Iterator[Large]:
    """Open a Parquet file or folder through DuckDB, or take a lazy frame as it is.

    Parameters
    ----------
    source : str, Path or lazy frame
        A ``.parquet`` file, a folder of them (sub-folders included; ``state=x`` folders become columns), or a DuckDB
        relation, Ibis table, PySpark data frame or Polars lazy frame.
    memory : str
        Memory DuckDB may use for a path, such as "1GB"; the rest goes to a temporary folder, removed at the end.
    progress : bool
        Show a progress bar on stderr while DuckDB works on a path.

    Yields
    ------
    Large

    Raises
    ------
    TypeError
        If ``source`` is none of these.
    TableError
        If a file cannot be read, or files differ in their columns.
    ImportError
        If DuckDB is not installed (extra ``scale``).
    """
    if isinstance(source, str | Path):
        with _parquet(Path(source), memory, progress) as opened:
            yield opened
        return
    try:
        frame: Any = nw.from_native(source)
    except TypeError:
        frame = None
    if not isinstance(frame, nw.LazyFrame):
        raise TypeError(
            "source: must be a .parquet file or a folder of them, a DuckDB relation, an Ibis table, a PySpark data "
            f"frame or a Polars lazy frame; got {type(source).__name__} (a table in memory: read_comparisons)"
        )
    name = f"{type(source).__module__.split('.')[0]}.{type(source).__name__}"
    yield Large(name, frame, tuple(frame.collect_schema().names()), placed=False)


@contextmanager
def _parquet(path: Path, memory: str, progress: bool) -> Iterator[Large]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if path.is_dir() and not files:
        raise TableError(f"source: the folder {path} holds no .parquet file")
    if not path.exists():
        raise FileNotFoundError(f"source: there is no file or folder {path}")
    if not path.is_dir() and not path.name.lower().endswith(".parquet"):
        raise TableError(f"source: {path.name!r} is no .parquet file; read other files with read_comparisons")
    try:
        import duckdb
    except ImportError:
        raise ImportError("aggregating files needs DuckDB: pip install 'bayespref[scale]'") from None
    hive = any("=" in part for file in files for part in file.relative_to(path).parts[:-1])
    with tempfile.TemporaryDirectory(prefix="bayespref-") as spill:
        settings: dict[str, Any] = {
            "memory_limit": memory,
            "temp_directory": spill,
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        try:
            with duckdb.connect(":memory:", config=settings) as connection:
                first = parquet.read_schema(files[0]).names
                if clash := sorted(set(PLACE) & set(first)):
                    raise TableError(f"source: the column name(s) {clash} are reserved; rename them")
                relation = connection.read_parquet(
                    [str(file) for file in files], filename=True, file_row_number=True, hive_partitioning=hive
                )
                columns = tuple(name for name in relation.columns if name not in PLACE)
                with _bar(connection) if progress else nullcontext():
                    yield Large(str(path.name), nw.from_native(relation), columns, placed=True)
        except (duckdb.Error, pa.ArrowException) as error:
            text = " ".join(str(error).split())
            raise TableError(f"source: {path} cannot be aggregated: {text[:400]}") from None


@contextmanager
def _bar(connection: Any) -> Iterator[None]:
    """Show how far DuckDB says it is with the query it runs, asked from a thread of its own."""
    connection.execute("SET enable_progress_bar = true")  # without it DuckDB does not count
    connection.execute("SET enable_progress_bar_print = false")
    ended = Event()

    def ask() -> None:
        shape = "{desc} {bar:20} {n:.0f} % [{elapsed}]"
        with tqdm(total=100, desc="aggregate", file=sys.stderr, leave=False, delay=_PATIENCE, bar_format=shape) as bar:
            while not ended.wait(_PATIENCE):
                bar.n = max(connection.query_progress(), 0.0)  # below zero between queries
                bar.refresh()

    asking = Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()


def engine_text(frame: Any) -> str:
    """What the engine will run: SQL for DuckDB and Ibis, the plan for Spark and Polars."""
    native = frame.to_native()
    kind = frame.implementation
    if kind.is_duckdb():
        return str(native.sql_query())
    if kind.is_ibis():
        import ibis

        return str(ibis.to_sql(native))
    if kind.is_pyspark():
        with redirect_stdout(io.StringIO()) as said:
            native.explain()
        return said.getvalue()
    return str(native.explain()) if hasattr(native, "explain") else repr(native)


def sample_rows(frame: Any, *, of: int, wanted: int) -> Any:
    """Draw about ``wanted`` of a frame's ``of`` rows at random (every k-th where the engine has no sampling).

    Returns
    -------
    pyarrow.Table
    """
    if of <= wanted:
        return frame.collect("pyarrow").to_native()
    native, kind = frame.to_native(), frame.implementation
    share = wanted / of
    if kind.is_duckdb():
        drawn = f"bernoulli({100 * share} PERCENT) REPEATABLE (0)"  # a reservoir costs twice the time
        native = native.query("large", f"SELECT * FROM large USING SAMPLE {drawn}")
    elif kind.is_ibis():
        native = native.sample(share)
    elif kind.is_pyspark():
        native = native.sample(fraction=share, seed=0)
    else:
        native = native.gather_every(of // wanted)
    return nw.from_native(native).collect("pyarrow").to_native()
