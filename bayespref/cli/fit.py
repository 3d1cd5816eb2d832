"""Verbs that fit a table: fit, run and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import FITS, app
from bayespref.cli.options import (
    AdapterOption,
    ColumnOption,
    CostOption,
    FeatureOption,
    ItemOption,
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    RangeOption,
    RegionOption,
    SeedOption,
    Table,
    TypesOption,
    bars,
    decided,
    model_options,
    note_replaced,
    print_json,
    read_table,
    records,
    steps,
    verdict_words,
)


@app.command(rich_help_panel=FITS)
def fit(
    table: Table,
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    feature: FeatureOption = None,
    model: ModelOption = "single",
    types: TypesOption = None,
    method: Annotated[
        str | None,
        typer.Option(help="nuts, gibbs, laplace (approximate) or svi (approximate); default: the faster exact one."),
    ] = None,
    chains: Annotated[int, typer.Option(help="Chains.")] = 4,
    draws: Annotated[int, typer.Option(help="Draws kept per chain.")] = 1000,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder to resume from after an interruption.")] = None,
    seed: SeedOption = 0,
    out: OutOption = Path("fit.nc"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a model and save the posterior as one netCDF file.

    \b
    Examples:
      bayespref fit votes.csv --out fit.nc
      bayespref fit votes.csv --model latent_types --types 2 --seed 1
      bayespref fit votes.csv --checkpoint chains --out fit.nc

    \b
    Models:
      single          one reward an item and state, everybody alike
      latent_types    groups of people who prefer differently (needs annotators)
      linear_types    the same, rewards linear in --feature columns
      pooled_types    types that share what they have in common
      latent_traits   people on continuous traits

    What the fit alone cannot tell is added by `report`, `defer` or `run`.
    """
    from bayespref.posterior.store import save_fit
    from bayespref.workflow import fit as fit_model

    tree = fit_model(
        model,
        read_table(table, adapter, column, feature),
        rng_key=seed,
        options=model_options(types),
        method=method,
        chains=chains,
        draws=draws,
        checkpoint=checkpoint,
        progress=bars(quiet),
    )
    words, fields = verdict_words(tree)
    note_replaced(out)
    saved = save_fit(tree, out)
    if as_json:
        print_json("fit", fit=str(saved), **fields)
    else:
        typer.echo("\n".join([*words, str(saved)]))


@app.command(rich_help_panel=FITS)
def run(
    table: Table,
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    feature: FeatureOption = None,
    model: ModelOption = "single",
    types: TypesOption = None,
    seed: SeedOption = 0,
    reward_range: RangeOption = (0.0, 1.0),
    cost: CostOption = 0.1,
    item: ItemOption = None,
    regions: RegionOption = "state",
    out: Annotated[Path, typer.Option("--out", help="Folder for fit.nc, policy.json and report.html.")] = Path(
        "bayespref-run"
    ),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read, fit, bound, decide, report: the whole road on one table.

    \b
    Examples:
      bayespref run votes.csv --out results
      bayespref run votes.csv --model latent_types --types 2 --range -3 3

    Open report.html in a browser; a system loads policy.json. --cost is what
    deferring to a person costs, in log-odds of reward: 0.1 is a preference of
    52 against 48, 1.1 one of 75 against 25. Not converged? `bayespref fit` has
    --draws and --method; `defer` and `report` read its file.
    """
    from bayespref import workflow
    from bayespref.posterior.store import save_fit

    comparisons = read_table(table, adapter, column, feature)
    out.mkdir(parents=True, exist_ok=True)
    tree = workflow.run(
        comparisons,
        model=model,
        options=model_options(types),
        rng_key=seed,
        reward_range=reward_range,
        regions=regions,
        items=item,
        progress=bars(quiet),
    )
    words, fields = verdict_words(tree)
    files = [out / name for name in ("fit.nc", "policy.json", "report.html")]
    note_replaced(*files)
    with steps("run", ("save", "decide", "report"), quiet) as done:
        save_fit(tree, files[0])
        done()
        decisions = workflow.policy(tree, c_defer=cost)
        decisions.save(files[1])
        done()
        workflow.report([(table.stem, tree)], files[2], c_defer=cost)
        done()
    if as_json:
        named = dict(zip(("fit", "policy", "report"), map(str, files), strict=True))
        print_json("run", **named, **fields, c_defer=cost, regions=records(decisions.to_table()))
    else:
        typer.echo("\n".join([*words, *decided(tree, decisions, cost, files[0]), *map(str, files)]))


@app.command(rich_help_panel=FITS)
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")] = Path("demo-output"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the main job on bundled train tickets and on a simulated world with known truth.

    \b
    Example:
      bayespref demo --out demo-output
    """
    from bayespref import workflow

    page = workflow.demo(out, progress=bars(quiet), say=lambda line: typer.echo(line, err=as_json))
    if as_json:
        print_json("demo", report=str(page), files=sorted(str(path) for path in out.iterdir() if path.is_file()))
    else:
        typer.echo(page)
