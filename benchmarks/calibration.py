"""Every statistical promise against what is seen: ``python -m benchmarks.calibration [--write docs/calibration.md]``.

Runs the tests that judge a promise (fixture ``promise`` of tests/conftest.py): simulation-based calibration of every
model, coverage of intervals and bounds, guarantees. What they expected, saw and allowed becomes one page:
``calibration-output/index.html`` (self-contained), and with ``--write`` a page of the documentation with its figure
beside it. The exit code is that of the tests.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import html
import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from bayespref.files import replacing
from bayespref.provenance import versions
from bayespref.report.plots_style import BLUE, GREY, PALE, RED, style, to_svg

ROOT = Path(__file__).resolve().parents[1]
OUT = Path("calibration-output")
HEAD = ("promise", "expected", "seen", "allowed", "false alarms", "repetitions", "kept")


class Judged(NamedTuple):
    """One line that the fixture kept."""

    test: str
    kind: str
    what: str
    expected: float
    observed: float
    low: float
    high: float
    false_alarm: float
    repetitions: int

    @property
    def kept(self) -> bool:
        return self.low <= self.observed <= self.high

    @property
    def is_p_value(self) -> bool:
        return self.kind.endswith(", p")

    @property
    def is_control(self) -> bool:
        return self.kind.startswith("wrong on purpose")


def run(file: Path, workers: int) -> tuple[int, str]:
    """Run the tests of promises; exit code and what pytest says last."""
    command = [str(Path(sys.executable).with_name("pytest")), "-q", f"--promises={file}", "tests"]
    command += ["-n", str(workers), "--dist", "loadfile"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout)
    return done.returncode, done.stdout.strip().splitlines()[-1].strip("= ")


def read(file: Path) -> list[Judged]:
    """What was judged, in the order of the tests."""
    found = [Judged(*json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted(found, key=lambda one: (one.test.split("::")[0], one.what))


def cells(one: Judged) -> tuple[str, ...]:
    """A line of the table, as text under ``HEAD``."""
    sign = {"at most": "<= ", "at least": ">= "}.get(one.kind.partition(", ")[2], "")
    expected = f"{sign}{one.expected:.4g}"
    if one.is_p_value:
        expected = "small p" if one.is_control else "uniform ranks"
    low, high = f"{one.low:.3g}", f"{one.high:.3g}"
    if one.low in (0.0, -math.inf):
        allowed = f"<= {high}"
    else:
        allowed = f">= {low}" if one.high in (1.0, math.inf) else f"{low} to {high}"
    rate = "" if math.isnan(one.false_alarm) else f"{one.false_alarm:.2g}"
    verdict = ("caught" if one.kept else "NOT CAUGHT") if one.is_control else ("yes" if one.kept else "NO")
    seen = f"p = {one.observed:.2g}" if one.is_p_value else f"{one.observed:.4g}"
    return (one.what, expected, seen, allowed, rate, f"{one.repetitions:,}", verdict)


def stages(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    """What was judged, by folder of the tests; calibration of the models first."""
    found: dict[str, list[Judged]] = {"calibration": []}
    for one in judged:
        found.setdefault(one.test.split("/")[1], []).append(one)
    return found


def summary(judged: list[Judged], said: str) -> list[str]:
    """What a reader should know first, in sentences."""
    promises = [one for one in judged if not one.is_control]
    controls = [one for one in judged if one.is_control]
    alarms = sum(one.false_alarm for one in promises)
    versioned = ", ".join(f"{name} {number}" for name, number in versions().items())
    return [
        f"{sum(one.kept for one in promises)} of {len(promises)} promises kept; "
        f"{sum(one.kept for one in controls)} of {len(controls)} posteriors and rules wrong on purpose caught.",
        f"If every promise holds, a run has {alarms:.2g} false alarms on average: the sum of the rates below.",
        f"The tests said: {said}. Measured on {datetime.date.today().isoformat()} with {versioned}.",
    ]


def place(one: Judged) -> float:
    """Where a share or mean lies: 0 as expected, 1 or -1 at its limit; without a limit there, in units of the other."""
    off = one.observed - one.expected
    above, below = one.high - one.expected, one.expected - one.low
    one_sided = one.kind.partition(", ")[2]
    reach = above if one_sided == "at most" or (off > 0 and one_sided != "at least") else below
    return off / reach if reach else math.copysign(math.inf, off) if off else 0.0


def draw(judged: list[Judged]) -> Figure:
    """Shares and means against their limits; p-values of ranks against theirs."""
    shares = [one for one in judged if not one.is_p_value and not one.is_control]
    ranks = [one for one in judged if one.is_p_value]
    figure = Figure(figsize=(11, 1.6 + 0.17 * max(len(shares), len(ranks))), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, one in enumerate(shares):
        at = place(one)
        side = one.kind.partition(", ")[2]
        left.plot([-3 if side == "at most" else -1, 3 if side == "at least" else 1], [i, i], color=PALE, lw=5)
        marker = "o" if abs(at) <= 3 else "<" if at < 0 else ">"
        left.plot(max(-3.0, min(3.0, at)), i, marker, color=BLUE if one.kept else RED, ms=4)
    left.axvline(0, color=GREY, lw=0.8)
    left.set(xlim=(-3.15, 3.15))
    left.set_xticks([-1, 0, 1], ["limit", "expected", "limit"], fontsize=7)
    left.set_title("Shares and means", fontsize=10)
    left.set_xlabel("bar: allowed", fontsize=7)
    for i, one in enumerate(ranks):
        limit = one.high if one.is_control else one.low
        right.plot([1e-16 if one.is_control else limit, limit if one.is_control else 1.0], [i, i], color=PALE, lw=5)
        shape = "x" if one.is_control else "o"
        right.plot(max(one.observed, 1e-16), i, shape, color=BLUE if one.kept else RED, ms=4)
    right.set_xscale("log")
    right.set_xlim(3e-17, 3)
    right.set_xticks([1e-16, 1e-12, 1e-8, 1e-4, 1], ["below 1e-16", "1e-12", "1e-8", "1e-4", "1"], fontsize=7)
    right.minorticks_off()
    right.set_title("p-values of ranks", fontsize=10)
    right.set_xlabel("x: wrong on purpose", fontsize=7)
    for axes, rows in ((left, shares), (right, ranks)):
        axes.set_yticks(range(len(rows)), [one.what for one in rows], fontsize=6)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
    return figure


ALT = "Every promise as a dot within the bar of what its limits allow; wrong posteriors as crosses far below theirs"


def markdown(judged: list[Judged], said: str, picture: str) -> str:
    """The page of the documentation."""
    parts = [
        "# Calibration: what is promised and what is seen",
        "Written by `make calibration`. Each line is judged by a test: worlds are drawn from a known truth, the method "
        "runs on each, and the share of worlds that keep the promise is held against binomial (of a mean: normal) "
        "limits. A method that keeps its promise fails with the probability under *false alarms*. *Uniform ranks*: "
        "the truth, drawn from the prior, has a uniform rank among posterior draws (Talts et al. 2018, "
        "arXiv:1804.06788); the p-value is the smaller of a chi-square and a Kolmogorov-Smirnov test, doubled.",
        "\n".join(f"- {line}" for line in summary(judged, said)),
        f"![{ALT}]({picture})",
    ]
    for stage, lines in stages(judged).items():
        rows = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
        rows += ["| " + " | ".join(cell.replace("|", "/") for cell in cells(one)) + " |" for one in lines]
        parts.append(f"## {stage}\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def page(judged: list[Judged], said: str, svg: bytes) -> str:
    """The dashboard as one HTML file."""
    style_sheet = (
        "body{font:15px/1.5 sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}"
        "td,th{padding:.15rem .7rem;text-align:left;border-bottom:1px solid #ddd}.no{color:#b3400b;font-weight:bold}"
        "img{max-width:100%}tr>*:nth-child(n+2):nth-child(-n+6){white-space:nowrap}"
    )
    body = [f"<li>{html.escape(line)}</li>" for line in summary(judged, said)]
    picture = base64.b64encode(svg).decode()
    out = ["<h1>Calibration: what is promised and what is seen</h1><ul>", *body, "</ul>"]
    out.append(f'<img alt="{ALT}" src="data:image/svg+xml;base64,{picture}">')
    for stage, lines in stages(judged).items():
        out.append(f"<h2>{html.escape(stage)}</h2><table><tr>" + "".join(f"<th>{name}</th>" for name in HEAD) + "</tr>")
        for one in lines:
            row = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(one))
            out.append(f'<tr title="{html.escape(one.test)}"{"" if one.kept else " class=no"}>{row}</tr>')
        out.append("</table>")
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Calibration</title><style>{style_sheet}</style>'
    )
    return head + "\n".join(out) + "</html>\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__.split("\n")[0])
    parser.add_argument("--write", type=Path, help="write the page of the documentation here")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "promises.jsonl"
        file.touch()
        code, said = run(file, chosen.workers)
        judged = read(file)
    if not judged:
        raise SystemExit("no promise was judged")
    with style():
        figure = draw(judged)
    OUT.mkdir(exist_ok=True)
    with replacing(OUT / "index.html") as part:
        part.write_text(page(judged, said, to_svg(figure)), encoding="utf-8")
    if chosen.write:
        picture = chosen.write.with_suffix(".png")
        with replacing(picture) as part, style():
            figure.savefig(part, format="png", dpi=110)
        said = re.sub(r" in [\d.]+s.*", "", said)
        with replacing(chosen.write) as part:
            part.write_text(markdown(judged, said, picture.name), encoding="utf-8")
    print("\n".join(summary(judged, said)))
    print(OUT / "index.html")
    sys.exit(code)


if __name__ == "__main__":
    main()
