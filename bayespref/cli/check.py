"""Verbs that read a table: check and target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import app
from bayespref.cli.options import AdapterOption, ColumnOption, FeatureOption, JsonOption, Table, column_map, read_table


@app.command()
def check(
    table: Table,
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    feature: FeatureOption = None,
    by: Annotated[
        str | None, typer.Option(help="Columns that make a stratum, joined by commas (default: state).")
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(help="TOML file of thresholds, one key an argument of bayespref.check.")
    ] = None,
    deployment: Annotated[
        Path | None, typer.Option(help="Table of deployment rows: state, context, and count or probability.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a table can and cannot tell. Exit code 1 if a check failed."""
    from bayespref.data.deployed import read_deployed
    from bayespref.graph.check import check as check_table
    from bayespref.graph.thresholds import read_thresholds

    settings = {} if thresholds is None else read_thresholds(thresholds)
    if by is not None:
        settings["by"] = tuple(name for name in by.split(",") if name)
    deployed = None if deployment is None else read_deployed(deployment, columns=column_map(column))
    result = check_table(read_table(table, adapter, column, feature), deployment=deployed, **settings)
    typer.echo(result.to_json() if as_json else str(result))
    raise typer.Exit(result.exit_code)


@app.command()
def target(
    table: Table,
    regime: Annotated[Path, typer.Argument(help="Declared target population: .toml or .json.", show_default=False)],
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    fitted: Annotated[
        Path | None, typer.Option("--fit", help="A fit with types: adds the policy of the averaged reward.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for overlap.csv, verdict.json, train.jsonl and target.nc.")
    ] = Path("bayespref-target"),
) -> None:
    """Weigh a table towards a declared population and say how far to trust it. Exit code 1 if diagnostic only."""
    from bayespref.workflow.targeting import write_target

    trusted = write_target(read_table(table, adapter, column, None), regime, out, fitted=fitted, say=typer.echo)
    raise typer.Exit(0 if trusted else 1)
