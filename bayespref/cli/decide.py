"""Verbs that decide, from a saved fit or for a declared population: report, defer, design and target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import DECIDE, app
from bayespref.cli.options import (
    AdapterOption,
    ColumnOption,
    CostOption,
    ItemOption,
    JsonOption,
    NewRangeOption,
    NewRegionOption,
    OutOption,
    QuietOption,
    Table,
    Tree,
    analysed,
    decided,
    note_replaced,
    numbers,
    print_json,
    read_table,
    records,
    steps,
)


@app.command(rich_help_panel=DECIDE)
def report(
    tree: Tree,
    cost: CostOption = 0.1,
    reward_range: NewRangeOption = None,
    item: ItemOption = None,
    regions: NewRegionOption = None,
    deployment: Annotated[
        Path | None,
        typer.Option(help="Table of where the system will be used: state, context, and count or probability."),
    ] = None,
    budget: Annotated[float, typer.Option(help="Labels whose best use it proposes; 0: no proposal.")] = 100.0,
    out: OutOption = Path("report.html"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the single-file HTML report of a fit.

    \b
    Examples:
      bayespref report fit.nc --out report.html
      bayespref report fit.nc --deployment use.csv --budget 500
      bayespref report fit.nc --range -3 3 --item x --item y --cost 0.3

    Options that are given replace the analysis saved with the fit.
    """
    from bayespref import workflow
    from bayespref.data.deployed import read_deployed

    note_replaced(out)
    with steps("report", ("read and analyse", "write"), quiet) as done:
        deployed = None if deployment is None else {tree.stem: read_deployed(deployment)}
        ready = analysed(tree, reward_range, item, regions)
        done()
        page = workflow.report([(tree.stem, ready)], out, c_defer=cost, deployment=deployed, budget=budget)
        done()
    if as_json:
        print_json("report", report=str(page))
    else:
        typer.echo(page)


@app.command(rich_help_panel=DECIDE)
def defer(
    tree: Tree,
    cost: CostOption = 0.1,
    rule: Annotated[str, typer.Option(help="set_pure, chow or credible.")] = "set_pure",
    reward_range: NewRangeOption = None,
    item: ItemOption = None,
    regions: NewRegionOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Policy to write (.json); without it nothing is written.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decide per region whether to act or defer; with --out, write the policy that a system loads.

    \b
    Examples:
      bayespref defer fit.nc --cost 0.3
      bayespref defer fit.nc --cost 0.3 --out policy.json
      bayespref defer fit.nc --rule chow --range -3 3 --json

    \b
    Rules:
      set_pure    counts what is not identified at its worst
      chow        posterior mean regret: trusts the prior where nobody was asked
      credible    a quantile of the regret

    Options that are given replace the analysis saved with the fit.
    """
    from bayespref import workflow

    note_replaced(*([] if out is None else [out]))
    with steps("defer", ("read and analyse", "decide"), quiet) as done:
        ready = analysed(tree, reward_range, item, regions)
        done()
        decisions = workflow.policy(ready, c_defer=cost, rule=rule)
        if out is not None:
            decisions.save(out)
        done()
    table, written = decisions.to_table(), None if out is None else str(out)
    if as_json:
        print_json("defer", policy=written, c_defer=cost, rule=rule, regions=records(table))
        return
    typer.echo(table.to_string(index=False, na_rep=""))
    typer.echo("\n".join(decided(ready, decisions, cost, tree)))
    typer.echo(written or "policy not written: name a file with --out")


@app.command(rich_help_panel=DECIDE)
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
    quiet: QuietOption = False,
) -> None:
    """Propose which comparisons to collect next: what to show, to whom, how often, and why.

    \b
    Examples:
      bayespref design fit.nc --budget 500 --out proposals.csv
      bayespref design fit.nc --objective variance --contrast x:y
      bayespref design fit.nc --price expert=5 --price novice=1 --budget 200
    """
    from bayespref.files import replacing
    from bayespref.posterior.store import load_fit
    from bayespref.posterior.tree import tree_stamp
    from bayespref.provenance import SIDECAR, file_hashes, sealed_json
    from bayespref.workflow import next_comparisons

    pairs = [tuple(text.split(":")) for text in contrast or []]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"--contrast: write item_a:item_b, got {contrast}")
    with steps("design", ("read", "propose"), quiet) as done:
        fitted = load_fit(tree)
        done()
        table = next_comparisons(
            fitted,
            budget,
            objective=objective,
            contrasts=[(a, b) for a, b in pairs] or None,
            cost=numbers("--price", price),
            acceptance=numbers("--acceptance", acceptance),
            regions=regions,
            items=item,
            c_defer=cost,
            reward_range=reward_range,
        )
        done()
    if out is not None:
        with replacing(out) as part:
            table.to_csv(part, index=False)
        stamp = tree_stamp("bayespref.files", fitted)
        with replacing(out.with_name(out.name + SIDECAR)) as part:
            part.write_text(sealed_json({**stamp, "files": file_hashes(out.parent, [out.name])}), encoding="utf-8")
    about = {str(key): value for key, value in table.attrs.items()} | {"regions": json.loads(table.attrs["regions"])}
    if as_json:
        print_json("design", out=None if out is None else str(out), proposals=records(table), **about)
        return
    if table.empty:
        typer.echo("nothing is proposed: no label that the budget pays for is expected to lower the objective")
    else:
        typer.echo(table.to_string(index=False))
    typer.echo(
        f"{about['objective']}: {about['before']:.4g} now, {about['after']:.4g} expected after spending "
        f"{about['spent']:g}; assumes {about['assumptions']}"
    )
    if out is not None:
        typer.echo(out)


@app.command(rich_help_panel=DECIDE)
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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Weigh a table towards a declared population and say how far to trust it. Exit code 1 if diagnostic only.

    \b
    Examples:
      bayespref target votes.csv regime.toml --out target
      bayespref target votes.csv regime.toml --fit fit.nc

    \b
    A declaration (regime.toml) is reviewed like code:
      name = "launch"
      version = "1"
      reason = "the population of the launch, census 2025"
      kind = "product"
      beta = 1.0
      [states]
      chat = 0.7
      code = 0.3
      [types]
      novice = 0.5
      expert = 0.5
    """
    from bayespref.workflow.targeting import write_target

    told: list[str] = []
    with steps("target", ("read", "weigh"), quiet) as done:
        comparisons = read_table(table, adapter, column, None)
        done()
        trusted = write_target(comparisons, regime, out, fitted=fitted, say=told.append)
        done()
    if as_json:
        verdict = out / "verdict.json"
        weighed = any(line == str(out / "train.jsonl") for line in told)
        said = json.loads(verdict.read_text(encoding="utf-8")) if weighed else None
        print_json("target-run", trusted=trusted, out=str(out), said=told, verdict=said)
    else:
        typer.echo("\n".join(told))
    raise typer.Exit(0 if trusted else 1)
