"""Verbs that fit a table: fit, run and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import app
from bayespref.cli.options import (
    AdapterOption,
    ColumnOption,
    CostOption,
    FeatureOption,
    ItemOption,
    ModelOption,
    OutOption,
    QuietOption,
    RangeOption,
    RegionOption,
    SeedOption,
    Table,
    TypesOption,
    model_options,
    read_table,
    say_verdicts,
)


@app.command()
def fit(
    table: Table,
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    feature: FeatureOption = None,
    model: ModelOption = "single",
    types: TypesOption = None,
    method: Annotated[
        str | None,
        typer.Option(help="nuts, gibbs, laplace (approximate) or svi (approximate). [default: the faster exact one]"),
    ] = None,
    chains: Annotated[int, typer.Option(help="Chains.")] = 4,
    draws: Annotated[int, typer.Option(help="Draws kept per chain.")] = 1000,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder to resume from after an interruption.")] = None,
    seed: SeedOption = 0,
    out: OutOption = Path("fit.nc"),
    quiet: QuietOption = False,
) -> None:
    """Fit a model and save the posterior as one netCDF file."""
    from bayespref.posterior.store import save_fit
    from bayespref.workflow import fit as fit_model

    comparisons = read_table(table, adapter, column, feature)
    tree = fit_model(
        model,
        comparisons,
        rng_key=seed,
        options=model_options(types),
        method=method,
        chains=chains,
        draws=draws,
        checkpoint=checkpoint,
        progress=not quiet,
    )
    say_verdicts(tree)
    typer.echo(save_fit(tree, out))


@app.command()
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
    quiet: QuietOption = False,
) -> None:
    """Read, fit, bound, decide, report: the whole road on one table."""
    from bayespref import workflow
    from bayespref.posterior.store import save_fit

    out.mkdir(parents=True, exist_ok=True)
    comparisons = read_table(table, adapter, column, feature)
    tree = workflow.run(
        comparisons,
        model=model,
        options=model_options(types),
        rng_key=seed,
        reward_range=reward_range,
        regions=regions,
        items=item,
        progress=not quiet,
    )
    say_verdicts(tree)
    typer.echo(save_fit(tree, out / "fit.nc"))
    decisions = workflow.policy(tree, c_defer=cost)
    decisions.save(out / "policy.json")
    typer.echo(out / "policy.json")
    typer.echo(workflow.report([(table.stem, tree)], out / "report.html", c_defer=cost))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")] = Path("demo-output"),
    quiet: QuietOption = False,
) -> None:
    """Run the main job on the bundled train tickets and on a simulated world with known truth."""
    from bayespref import workflow

    typer.echo(workflow.demo(out, progress=not quiet))
