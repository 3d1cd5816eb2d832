"""Pages of the studies: what each shows, claim by claim, with figure, size, seed, versions and cost.

``python -m bayespref.studies.pages --from studies-output`` (``make study-pages``) takes the runs it finds, the full one
before the quick one, keeps their verdict and figure under ``docs/studies/``, and writes the pages anew. A page is a
function of the docstring of its study and the verdict kept beside it; tests hold both against the expectations.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bayespref.files import replacing
from bayespref.studies import STUDIES
from bayespref.studies.runner import study_module

PARTS = ("World:", "Shows:", "Does not show:", "Where sources err:")
"""How the paragraphs of a study's docstring begin that become sections of its page."""
COLOURS = 64
"""Of a figure on a page: keeps it small."""


def page(name: str, said: Mapping[str, Any]) -> str:
    """Write the page of a study as Markdown.

    Parameters
    ----------
    name : str
        The study.
    said : mapping
        Its verdict, as `bayespref.studies.runner.run_study` leaves it in ``verdict.json``.

    Returns
    -------
    str
        Markdown.
    """
    title, *paragraphs = (study_module(name).__doc__ or "").strip().split("\n\n")
    lines = [f"# {name}", "", " ".join(title.split()), "", f"![Figure of {name}](figures/{name}.png)", ""]
    for paragraph in paragraphs:
        text = " ".join(paragraph.split())
        part = next((part for part in PARTS if text.startswith(part)), "")
        lines += [f"**{part[:-1]}.** " + _capital(text[len(part) :].strip()) if part else text, ""]
    agreed = sum(claim["agrees"] for claim in said["claims"])
    versions = ", ".join(f"{key} {value}" for key, value in said["versions"].items() if key != "bayespref")
    lines += [
        f"## Claims: {agreed} of {len(said['claims'])} agree",
        "",
        f"Run of {said['date']}, size *{said['size']}*, seed {said['seed']}, {said['cpu_seconds']:,.0f} s of processor "
        f"time; bayespref {said['version']}, {versions}. Allowed: the tolerance of the claim and three Monte-Carlo "
        "standard errors.",
        "",
        "| claim | observed | expected | allowed | agrees | source |",
        "|---|---|---|---|---|---|",
    ]
    for claim in said["claims"]:
        source = claim["source"] + (f". *Source errs:* {claim['source_errs']}" if claim["source_errs"] else "")
        cells = (
            claim["claim"],
            _number(claim["observed"], ".4g"),
            claim["expected"],
            _number(claim["allowed"], ".2g"),
            "yes" if claim["agrees"] else "**no**",
            source,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += [
        "",
        f"Again: `bayespref study {name}{' --full' if said['size'] == 'full' else ''} --seed {said['seed']}`.",
    ]
    return "\n".join(lines) + "\n"


def index(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the page that lists the studies.

    Parameters
    ----------
    verdicts : mapping of str to mapping
        Name of a study -> its verdict.

    Returns
    -------
    str
        Markdown.
    """
    cost = sum(said["cpu_seconds"] for said in verdicts.values())
    full = sum(said["size"] == "full" for said in verdicts.values())
    lines = [
        "# What the studies found",
        "",
        "Every claim of the documentation is a study that anybody can run ([how](../howto/studies.md)). These are the "
        f"results kept with the package: {full} of {len(verdicts)} at full size, {cost / 60:.1f} minutes of processor "
        "time together. [Where every table of the design notes is reproduced](tables.md) is listed too.",
        "",
        "| study | says | claims that agree | size, processor time | figure |",
        "|---|---|---|---|---|",
    ]
    for name, said in verdicts.items():
        title = " ".join((study_module(name).__doc__ or "").strip().split("\n\n")[0].split())
        agreed = f"{sum(claim['agrees'] for claim in said['claims'])} of {len(said['claims'])}"
        picture = f'<img src="figures/{name}.png" alt="{name}" width="170">'
        size = f"{said['size']}, {said['cpu_seconds']:,.0f} s"
        lines.append(f"| [{name}]({name}.md) | {title} | {agreed} | {size} | {picture} |")
    lines += ["", "```{toctree}", ":hidden:", "", *verdicts, "tables", "```"]
    return "\n".join(lines) + "\n"


def write_pages(runs: Path | None, docs: Path) -> dict[str, dict[str, Any]]:
    """Take the runs in a folder, then write every page.

    Parameters
    ----------
    runs : pathlib.Path, optional
        ``--out`` of the studies; None writes the pages of the verdicts that are kept already.
    docs : pathlib.Path
        Holds ``NAME.md``, ``index.md``, ``verdicts/NAME.json`` and ``figures/NAME.png`` afterwards.

    Returns
    -------
    dict of str to dict
        Verdicts by study.
    """
    for folder in ("verdicts", "figures"):
        (docs / folder).mkdir(parents=True, exist_ok=True)
    verdicts = {}
    for name in STUDIES:
        kept = docs / "verdicts" / f"{name}.json"
        found = _best_run(runs / name) if runs else None
        if found is not None:
            shutil.copyfile(found / "verdict.json", kept)
            with replacing(docs / "figures" / f"{name}.png") as part:
                part.write_bytes(_small(found / "figure.png"))
        if kept.is_file():
            verdicts[name] = json.loads(kept.read_text(encoding="utf-8"))
            with replacing(docs / f"{name}.md") as part:
                part.write_text(page(name, verdicts[name]), encoding="utf-8")
    with replacing(docs / "index.md") as part:
        part.write_text(index(verdicts), encoding="utf-8")
    return verdicts


def _best_run(folder: Path) -> Path | None:
    """A finished full run, else a finished quick one."""
    runs: Iterable[Path] = (run for size in ("full", "quick") for run in sorted(folder.glob(f"{size}-*")))
    return next((run for run in runs if (run / "verdict.json").is_file()), None)


def _small(file: Path) -> bytes:
    """The figure with few colours."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _number(value: float | None, form: str) -> str:
    """Write a number; JSON has none for what is infinite or undefined."""
    return "not finite" if value is None else format(value, form)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Write the pages of the studies.")
    parser.add_argument(
        "--from", dest="runs", type=Path, help="folder with runs (default: pages of kept verdicts only)"
    )
    parser.add_argument("--docs", type=Path, default=Path("docs/studies"))
    given = parser.parse_args(arguments)
    verdicts = write_pages(given.runs, given.docs)
    missing = [name for name in STUDIES if name not in verdicts]
    print(f"{len(verdicts)} pages in {given.docs}" + (f"; no run of {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main()
