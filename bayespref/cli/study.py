"""The verb study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import app
from bayespref.cli.options import JsonOption, QuietOption, SeedOption


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="A study, or all; without one, their names are listed.")] = "",
    full: Annotated[
        bool, typer.Option("--full", help="The size of the documentation; minutes instead of seconds.")
    ] = False,
    seed: SeedOption = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder for tables, figures and verdicts.")] = Path(
        "studies-output"
    ),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check a published claim by running it. Exit code 1 if a result disagrees with what is expected."""
    from bayespref.studies import STUDIES
    from bayespref.studies.runner import run_study

    if not name:
        typer.echo(json.dumps(list(STUDIES)) if as_json else "\n".join(STUDIES))
        return
    agrees = True
    for chosen in STUDIES if name == "all" else (name,):
        result = run_study(chosen, size="full" if full else "quick", seed=seed, out=out, progress=not quiet)
        typer.echo((result.folder / "verdict.json").read_text(encoding="utf-8").rstrip() if as_json else str(result))
        agrees &= result.agrees
    raise typer.Exit(0 if agrees else 1)
