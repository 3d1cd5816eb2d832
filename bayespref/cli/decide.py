"""Verbs that read a saved fit: report, defer and design."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import app
from bayespref.cli.options import (
    CostOption,
    ItemOption,
    JsonOption,
    NewRangeOption,
    NewRegionOption,
    OutOption,
    Tree,
    analysed,
    numbers,
)


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

    typer.echo(workflow.report([(tree.stem, analysed(tree, reward_range, item, regions))], out, c_defer=cost))


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

    decisions = workflow.policy(analysed(tree, reward_range, item, regions), c_defer=cost, rule=rule)
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
        cost=numbers("--price", price),
        acceptance=numbers("--acceptance", acceptance),
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
