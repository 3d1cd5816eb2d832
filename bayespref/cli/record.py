"""Verbs that hand results over and hold them against what was written: card, bundle and verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bayespref.cli.app import HAND_OVER, app
from bayespref.cli.options import (
    AdapterOption,
    ColumnOption,
    CostOption,
    FeatureOption,
    ItemOption,
    JsonOption,
    NewRangeOption,
    NewRegionOption,
    QuietOption,
    Tree,
    analysed,
    print_json,
    read_table,
    steps,
)

NameOption = Annotated[str | None, typer.Option("--name", help="Name on the cards (default: that of the file).")]
LicenseOption = Annotated[str | None, typer.Option("--license", help="Licence as the Hugging Face Hub spells it.")]
DescriptionOption = Annotated[
    str, typer.Option("--description", help="Who was asked, who chose the questions, how answers were collected.")
]


@app.command(rich_help_panel=HAND_OVER)
def card(
    source: Annotated[Path, typer.Argument(help="A table, or a fit (.nc).", show_default=False)],
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    feature: FeatureOption = None,
    name: NameOption = None,
    description: DescriptionOption = "",
    license: LicenseOption = None,
    cost: CostOption = 0.1,
    out: Annotated[Path, typer.Option("--out", help="Folder for the cards.")] = Path("cards"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write cards (extra cards): of a table, dataset-card.md and croissant.json; of a fit, a model-card.md too.

    \b
    Examples:
      bayespref card votes.csv --name "Our votes" --license cc-by-4.0 --out cards
      bayespref card fit.nc --cost 0.3 --out cards

    A card says what the table can tell and what it cannot; it never prints one
    ranking of everything.
    """
    from bayespref import workflow
    from bayespref.files import replacing
    from bayespref.posterior.tree import tree_comparisons

    title = name or source.stem
    texts: dict[str, str] = {}
    with steps("card", ("read", "describe"), quiet) as done:
        if source.suffix == ".nc":
            tree = analysed(source, None, None, None)
            done()
            comparisons = tree_comparisons(tree)
            texts["model_card"] = workflow.model_card(tree, c_defer=cost, name=title, license=license)
        else:
            comparisons = read_table(source, adapter, column, feature)
            done()
            fields = workflow.croissant(comparisons, source, name=title, description=description, license=license)
            texts["croissant"] = json.dumps(fields, indent=1, ensure_ascii=False) + "\n"
        texts["dataset_card"] = workflow.dataset_card(comparisons, name=title, description=description, license=license)
        out.mkdir(parents=True, exist_ok=True)
        names = {"dataset_card": "dataset-card.md", "model_card": "model-card.md", "croissant": "croissant.json"}
        files = {kind: out / names[kind] for kind in sorted(texts)}
        for kind, file in files.items():
            with replacing(file) as part:
                part.write_text(texts[kind], encoding="utf-8")
        done()
    if as_json:
        print_json("card", **{kind: str(files[kind]) if kind in files else None for kind in names})
    else:
        typer.echo("\n".join(map(str, files.values())))


@app.command(rich_help_panel=HAND_OVER)
def bundle(
    tree: Tree,
    cost: CostOption = 0.1,
    rule: Annotated[str, typer.Option(help="set_pure, chow or credible.")] = "set_pure",
    regime: Annotated[Path | None, typer.Option(help="Declared target population: .toml or .json.")] = None,
    study: Annotated[
        list[str] | None, typer.Option("--study", help="Folder that `bayespref study` wrote; repeat for more.")
    ] = None,
    name: NameOption = None,
    description: DescriptionOption = "",
    license: LicenseOption = None,
    reward_range: NewRangeOption = None,
    item: ItemOption = None,
    regions: NewRegionOption = None,
    out: Annotated[Path, typer.Option("--out", help="Zip to write.")] = Path("audit.zip"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the audit bundle of a fit (extra cards): one zip that a reviewer reads without Python.

    \b
    Examples:
      bayespref bundle fit.nc --cost 0.3 --out audit.zip
      bayespref bundle fit.nc --regime regime.toml --study studies-output/two-worlds/quick-1

    In it: cards, report, policy and thresholds, coverage matrices, swap rates,
    the declared target with its overlap report, study verdicts, a README in
    plain words, and a manifest with the hash of every file.
    """
    from bayespref.cards.archive import read_archive
    from bayespref.target.regime import read_regime
    from bayespref.workflow import bundle as write_bundle

    with steps("bundle", ("read and analyse", "gather and write"), quiet) as done:
        declared = None if regime is None else read_regime(regime)
        ready = analysed(tree, reward_range, item, regions)
        done()
        written = write_bundle(
            ready,
            out,
            c_defer=cost,
            name=name or tree.stem,
            rule=rule,
            regime=declared,
            studies=study or (),
            description=description,
            license=license,
        )
        done()
    manifest, _ = read_archive(written)
    if as_json:
        print_json("bundle-written", bundle=str(written), files=sorted(manifest["files"]), absent=manifest["absent"])
        return
    for file, why in sorted(manifest["absent"].items()):
        typer.echo(f"not in it: {file}: {why}")
    typer.echo(f"{written}: {len(manifest['files'])} files; start with README.txt")


@app.command(rich_help_panel=HAND_OVER)
def verify(
    artefact: Annotated[
        Path,
        typer.Argument(
            help="A fit, policy, report, card, bundle, declaration, or a folder that a verb wrote.", show_default=False
        ),
    ],
    table: Annotated[Path | None, typer.Option("--table", help="Table that it should belong to; hashed again.")] = None,
    adapter: AdapterOption = None,
    column: ColumnOption = None,
    feature: FeatureOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check that a file is what was written, and whose data it is from. Exit code 1 if something does not fit.

    \b
    Examples:
      bayespref verify results
      bayespref verify policy.json --table votes.csv --column item_a=model_1
      bayespref verify audit.zip --json

    Checked: content hash, schema, data hash, seed and versions; with --table,
    whether that table gives the same hash. A hash finds accidents and careless
    edits; it is no signature.
    """
    from bayespref.workflow import verify as verify_artefact

    with steps("verify", ("read", "verify"), quiet) as done:
        comparisons = None if table is None else read_table(table, adapter, column, feature)
        done()
        found = verify_artefact(artefact, table=comparisons)
        done()
    typer.echo(found.to_json() if as_json else str(found))
    raise typer.Exit(found.exit_code)
