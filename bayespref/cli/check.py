"""The verb check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import TABLES, app
from bayespref.cli.options import (
    AdapterOption,
    ColumnOption,
    FeatureOption,
    JsonOption,
    QuietOption,
    Table,
    column_map,
    read_table,
    steps,
)


@app.command(rich_help_panel=TABLES)
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
    quiet: QuietOption = False,
) -> None:
    """Say what a table can and cannot tell, before any model is fitted. Exit code 1 if a check failed.

    \b
    Examples:
      bayespref check votes.csv
      bayespref check votes.csv --adapter labels --column annotator=rater_id
      bayespref check votes.csv --thresholds gate.toml --deployment use.csv --json

    A row needs two items and an outcome (item_a, item_b, and outcome: a, b, tie
    or both_bad); state (what was asked), annotator and context are used if there.
    """
    from bayespref.data.deployed import read_deployed
    from bayespref.graph.check import check as check_table
    from bayespref.graph.thresholds import read_thresholds

    with steps("check", ("read", "check"), quiet) as done:
        settings = {} if thresholds is None else read_thresholds(thresholds)
        if by is not None:
            settings["by"] = tuple(name for name in by.split(",") if name)
        deployed = None if deployment is None else read_deployed(deployment, columns=column_map(column))
        comparisons = read_table(table, adapter, column, feature)
        done()
        result = check_table(comparisons, deployment=deployed, **settings)
        done()
    typer.echo(result.to_json() if as_json else str(result))
    raise typer.Exit(result.exit_code)
