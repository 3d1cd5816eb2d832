"""The verb aggregate: a table larger than memory to counts."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from bayespref.cli.app import TABLES, app
from bayespref.cli.options import (
    AdapterOption,
    ColumnOption,
    FeatureOption,
    JsonOption,
    QuietOption,
    bars,
    column_map,
    print_json,
)


@app.command(rich_help_panel=TABLES)
def aggregate(
    source: Annotated[
        Path, typer.Argument(help="A .parquet file, a folder of them, or a DuckDB database file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Counts to write (.parquet), read by every other verb.")] = Path(
        "counts.parquet"
    ),
    table: Annotated[str | None, typer.Option("--table", help="Table or view of the DuckDB database.")] = None,
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    feature: FeatureOption = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group", help="Tell counts apart by this: annotator, state, context, environment, position; repeat."
        ),
    ] = None,
    max_cells: Annotated[int, typer.Option("--max-cells", help="Refuse to make more cells.")] = 20_000_000,
    memory: Annotated[str, typer.Option(help="Memory DuckDB may use; the rest goes to disk.")] = "1GB",
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL and stop.")] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Print the expected number of cells and stop.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count a table that need not fit into memory (extra scale). An interruption leaves no half-written file.

    \b
    Examples:
      bayespref aggregate votes/ --group state --out counts.parquet
      bayespref aggregate votes.duckdb --table votes --estimate
    """
    from bayespref.data import aggregate as large
    from bayespref.data.aggregate_file import write_counts

    if out.suffix != ".parquet":
        raise ValueError(f"--out: must end in .parquet, got {out.name!r}")
    given: dict[str, Any] = {"columns": column_map(column) or None, "adapter": adapter, "features": feature or None}
    given |= {"group_keys": group or None, "memory": memory}
    with _database(source, table) if table is not None else nullcontext(source) as rows:
        if sql:
            typer.echo(large.aggregation_text(rows, **given))
            return
        if estimate:
            expected = large.estimate_cells(rows, **given)
            if as_json:
                print_json("aggregate-estimate", **expected._asdict())
            else:
                typer.echo(str(expected))
            return
        counts = large.aggregate(rows, **given, max_cells=max_cells, progress=bars(quiet))
    write_counts(counts, out)
    said = {name: counts.provenance[name] for name in ("rows_read", "group_keys", "not_kept", "unused_columns")}
    if as_json:
        print_json("aggregate", out=str(out), cells=counts.n_rows, data_hash=counts.data_hash, **said)
        return
    typer.echo(f"{out}: {counts.n_rows:,} counts of {said['rows_read']:,} rows, by {', '.join(said['group_keys'])}")
    if said["not_kept"]:
        typer.echo(f"not kept: {', '.join(said['not_kept'])}")


def _database(source: Path, table: str) -> Any:
    """A table of a DuckDB database, opened to read; a context manager."""
    from contextlib import contextmanager

    if not source.is_file():
        raise FileNotFoundError(f"source: there is no database file {source}")
    try:
        import duckdb
    except ImportError:
        raise ValueError("--table needs DuckDB: pip install 'bayespref[scale]'") from None

    @contextmanager
    def opened() -> Any:
        try:
            with duckdb.connect(str(source), read_only=True) as connection:
                yield connection.table(table)
        except duckdb.Error as error:
            raise ValueError(f"source: {source}: {' '.join(str(error).split())[:400]}") from None

    return opened()
