"""The command line: one verb a stage, argument parsing and JAX settings, nothing else.

Exit codes: 0 done (and, for ``check``, every check passed); 1 a check failed; 2 bad input.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayespref.errors import FitFileError, ModelError, PolicyFileError, RangeRefutedError, TableError

if TYPE_CHECKING:
    import xarray as xr

    from bayespref.comparisons import Comparisons

_INPUT_ERRORS = (
    TableError,
    FitFileError,
    ModelError,
    PolicyFileError,
    RangeRefutedError,
    ValueError,
    TypeError,
    OSError,
)

app = typer.Typer(
    name="bayespref",
    help="What preference comparisons can and cannot say: check, fit, bound, defer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

Table = Annotated[Path, typer.Argument(help="Table of comparisons: .csv, .parquet or .jsonl.", show_default=False)]
Tree = Annotated[Path, typer.Argument(help="A fit saved by `bayespref fit` or `run` (.nc).", show_default=False)]
AdapterOption = Annotated[str | None, typer.Option(help="Shape of the table, e.g. labels (1 = item_a preferred).")]
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", help="canonical=column, e.g. annotator=rater_id; repeat for more.")
]
FeatureOption = Annotated[
    list[str] | None, typer.Option("--feature", help="Item attribute in columns NAME_a and NAME_b; repeat for more.")
]
ModelOption = Annotated[str, typer.Option(help="single, latent_types, linear_types, pooled_types or latent_traits.")]
TypesOption = Annotated[int | None, typer.Option("--types", help="Number of latent types.")]
SeedOption = Annotated[int, typer.Option(help="Seed; the same seed gives the same draws.")]
RangeOption = Annotated[
    tuple[float, float], typer.Option("--range", help="Assumed range of rewards, log-odds; widened where refuted.")
]
CostOption = Annotated[float, typer.Option("--cost", help="Cost of deferring, log-odds of reward.")]
ItemOption = Annotated[list[str] | None, typer.Option("--item", help="Item to decide among; repeat (default: all).")]
RegionOption = Annotated[str, typer.Option(help="What a decision sees: state, or state_type.")]
NewRangeOption = Annotated[
    tuple[float, float] | None, typer.Option("--range", help="Assumed range of rewards, log-odds.", show_default=False)
]
NewRegionOption = Annotated[str | None, typer.Option("--regions", help="state, or state_type.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
OutOption = Annotated[Path, typer.Option("--out", help="File to write.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and one plain message."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bayespref" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        app()
    except _INPUT_ERRORS as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


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
    deployed = None if deployment is None else read_deployed(deployment, columns=_column_map(column))
    result = check_table(_read(table, adapter, column, feature), deployment=deployed, **settings)
    typer.echo(result.to_json() if as_json else str(result))
    raise typer.Exit(result.exit_code)


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

    comparisons = _read(table, adapter, column, feature)
    tree = fit_model(
        model,
        comparisons,
        rng_key=seed,
        options=_options(types),
        method=method,
        chains=chains,
        draws=draws,
        checkpoint=checkpoint,
        progress=not quiet,
    )
    _say_verdicts(tree)
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
    comparisons = _read(table, adapter, column, feature)
    tree = workflow.run(
        comparisons,
        model=model,
        options=_options(types),
        rng_key=seed,
        reward_range=reward_range,
        regions=regions,
        items=item,
        progress=not quiet,
    )
    _say_verdicts(tree)
    typer.echo(save_fit(tree, out / "fit.nc"))
    decisions = workflow.policy(tree, c_defer=cost)
    decisions.save(out / "policy.json")
    typer.echo(out / "policy.json")
    typer.echo(workflow.report([(table.stem, tree)], out / "report.html", c_defer=cost))


@app.command()
def report(
    tree: Tree,
    cost: CostOption = 0.1,
    reward_range: NewRangeOption = None,
    item: ItemOption = None,
    regions: NewRegionOption = None,
    out: OutOption = Path("report.html"),
) -> None:
    """Write the single-file HTML report of a fit; options that are given replace the analysis saved with it."""
    from bayespref import workflow

    typer.echo(workflow.report([(tree.stem, _analysed(tree, reward_range, item, regions))], out, c_defer=cost))


@app.command()
def defer(
    tree: Tree,
    cost: CostOption = 0.1,
    rule: Annotated[str, typer.Option(help="set_pure, chow or credible.")] = "set_pure",
    reward_range: NewRangeOption = None,
    item: ItemOption = None,
    regions: NewRegionOption = None,
    out: OutOption = Path("policy.json"),
    as_json: JsonOption = False,
) -> None:
    """Decide per region whether to act or defer; options that are given replace the analysis saved with the fit."""
    from bayespref import workflow

    decisions = workflow.policy(_analysed(tree, reward_range, item, regions), c_defer=cost, rule=rule)
    decisions.save(out)
    table = decisions.to_table()
    rows = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    typer.echo(json.dumps(rows, allow_nan=False) if as_json else table.to_string(index=False))
    typer.echo(out, err=as_json)


@app.command()
def design(
    tree: Tree,
    budget: Annotated[float, typer.Option(help="What may be spent, in the currency of --price.")] = 500.0,
    objective: Annotated[str, typer.Option(help="value, variance or lambda_min.")] = "value",
    contrast: Annotated[
        list[str] | None, typer.Option("--contrast", help="item_a:item_b that must become known; repeat for more.")
    ] = None,
    price: Annotated[
        list[str] | None, typer.Option("--price", help="segment=cost of an attempt; repeat (default: 1 each).")
    ] = None,
    acceptance: Annotated[
        list[str] | None, typer.Option("--acceptance", help="segment=share of attempts that become labels; repeat.")
    ] = None,
    cost: Annotated[float | None, typer.Option("--cost", help="Cost of deferring, log-odds of reward.")] = None,
    item: ItemOption = None,
    regions: NewRegionOption = None,
    reward_range: NewRangeOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Table to write (.csv).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Propose which comparisons to collect next: what to show, to whom, how often, and why."""
    from bayespref.files import replacing
    from bayespref.posterior.store import load_fit
    from bayespref.workflow import next_comparisons

    pairs = [tuple(text.split(":")) for text in contrast or []]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"--contrast: write item_a:item_b, got {contrast}")
    table = next_comparisons(
        load_fit(tree),
        budget,
        objective=objective,
        contrasts=[(a, b) for a, b in pairs] or None,
        cost=_numbers("--price", price),
        acceptance=_numbers("--acceptance", acceptance),
        regions=regions,
        items=item,
        c_defer=cost,
        reward_range=reward_range,
    )
    if out is not None:
        with replacing(out) as part:
            table.to_csv(part, index=False)
    if as_json:
        typer.echo(json.dumps({"proposals": table.to_dict(orient="records"), **table.attrs}, allow_nan=False))
        return
    typer.echo(table.to_string(index=False))
    about = table.attrs
    typer.echo(
        f"{about['objective']}: {about['before']:.4g} now, {about['after']:.4g} expected after spending "
        f"{about['spent']:g}; assumes {about['assumptions']}"
    )
    if out is not None:
        typer.echo(out)


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

    trusted = write_target(_read(table, adapter, column, None), regime, out, fitted=fitted, say=typer.echo)
    raise typer.Exit(0 if trusted else 1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")] = Path("demo-output"),
    quiet: QuietOption = False,
) -> None:
    """Run the main job on the bundled train tickets and on a simulated world with known truth."""
    from bayespref import workflow

    typer.echo(workflow.demo(out, progress=not quiet))


def _read(table: Path, adapter: str | None, column: list[str] | None, feature: list[str] | None) -> Comparisons:
    from bayespref.data.table import read_comparisons

    return read_comparisons(table, adapter=adapter, columns=_column_map(column) or None, features=feature or None)


def _column_map(column: list[str] | None) -> dict[str, str | None]:
    columns: dict[str, str | None] = {}
    for pair in column or []:
        name, separator, source = pair.partition("=")
        if not separator:
            raise ValueError(f"--column: write canonical=column, got {pair!r}")
        columns[name] = source or None
    return columns


def _numbers(option: str, pairs: list[str] | None) -> float | dict[str, float]:
    """One where nothing is named, else name -> number."""
    named = {}
    for pair in pairs or []:
        name, separator, number = pair.partition("=")
        try:
            named[name] = float(number)
        except ValueError:
            separator = ""
        if not separator:
            raise ValueError(f"{option}: write name=number, got {pair!r}")
    return named or 1.0


def _options(types: int | None) -> dict[str, Any]:
    return {} if types is None else {"n_types": types}


def _analysed(
    path: Path, reward_range: tuple[float, float] | None, items: list[str] | None, regions: str | None
) -> xr.DataTree:
    from bayespref.posterior.store import load_fit
    from bayespref.workflow import analyse

    tree = load_fit(path)
    given: dict[str, Any] = {"reward_range": reward_range, "items": items, "regions": regions}
    changed = {name: value for name, value in given.items() if value is not None}
    return tree if "defer" in tree.children and not changed else analyse(tree, **changed)


def _say_verdicts(tree: xr.DataTree) -> None:
    from bayespref.posterior.verdict import convergence

    for verdict in convergence(tree):
        typer.echo(verdict.words)


if __name__ == "__main__":
    main()
