"""The verb study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bayespref.cli.app import CLAIMS, app
from bayespref.cli.options import JsonOption, QuietOption, SeedOption, bars, print_json


@app.command(rich_help_panel=CLAIMS)
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
    """Check a published claim by running it. Exit code 1 if a result disagrees with what is expected.

    \b
    Examples:
      bayespref study
      bayespref study two-worlds
      bayespref study all --full --out studies-output
    """
    from bayespref.studies import STUDIES
    from bayespref.studies.runner import run_study, unavailable

    if not name:
        if as_json:
            print_json("study-list", studies=list(STUDIES))
        else:
            typer.echo("\n".join(STUDIES))
        return
    found: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    for chosen in STUDIES if name == "all" else (name,):
        if name == "all" and (reason := unavailable(chosen)):
            skipped[chosen] = reason
            typer.echo(f"{chosen}: skipped, {reason}", err=True)
            continue
        result = run_study(chosen, size="full" if full else "quick", seed=seed, out=out, progress=bars(quiet))
        found.append(json.loads((result.folder / "verdict.json").read_text(encoding="utf-8")))
        if not as_json:
            typer.echo(str(result))
    agrees = all(one["agrees"] for one in found)
    if as_json:
        print_json("studies", agrees=agrees, skipped=skipped, studies=found)
    raise typer.Exit(0 if agrees else 1)
