"""All ratios in one run: ``python -m benchmarks [--quick] [--only CASE ...] [--write docs/benchmarks.md]``.

Every case runs in a process of its own on one thread, checks that all sides give the same answer, then counts CPU
seconds. ``--quick`` runs small sizes and exits with an error on a wrong answer, whatever the clock says. Peers that are
not installed are named and skipped; ``make benchmarks`` installs them beside the package, in an environment of its own.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from bayespref.files import replacing
from benchmarks.measure import Line, installed

CASES = {
    "likelihood": "Likelihood with gradient: one table of distinct answers against one row at a time",
    "plain": "Plain Bradley-Terry: a million integer-coded rows to estimates and standard errors",
    "types": "Latent types: point estimate, 500 annotators x 40 labels x 20 items",
    "posterior": "Posterior: 300 annotators x 30 labels, 4 states, 10 items, 3 types (119 parameters)",
    "posterior_large": "The same posterior with ten times the annotators",
    "gibbs": "Blocked Gibbs against whitened NUTS at 200,000 rows",
    "aggregate": "Parquet folders to counts, and a hundred million rows to fits",
    "growth": "Growth of cost: slopes of log CPU seconds on log size",
    "memory": "Latent types of many annotators: minibatch variational inference and blocked Gibbs",
    "size": "Road ends at size: a million rows through `check` and through `DeferralPolicy.predict`",
}
PACKAGES = ("bayespref", "jax", "numpyro", "numpy", "scipy", "evalica", "choix", "arena-rank", "scikit-learn", "pymc")
PACKAGES += ("nutpie", "pandas", "polars", "duckdb")
_MISSED = "Asked and missed"
_HEAD = """# Benchmarks

Written by `make benchmarks` (`python -m benchmarks --write docs/benchmarks.md`); cases not run again and sections added
by hand stay. CPU seconds of all threads, one thread asked for, each case in a process of its own; results are checked
for equality before anything is timed. *Ratio*: how many times better ours does than the line."""
_ROW = r"(?m)^\| ([^|]+) \| [^|]*\| ([\d.e+]*) *\| ([<>])= ([\d.]+) \| ([^|]*)\|$"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def run_case(name: str, *, quick: bool) -> list[Line]:
    """Run one case in a fresh process without a compile cache; small sizes here and now."""
    if quick:
        return importlib.import_module(f"benchmarks.{name}").run(True)
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-m", "benchmarks", "--inside", name]
    done = subprocess.run(command, env=environment | ONE_THREAD, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"case {name} failed")
    return [Line(*line) for line in json.loads(done.stdout.splitlines()[-1])]


def versions() -> str:
    """Date, Python and packages of a measurement, as one line."""
    packages = ", ".join(f"{name} {installed(name)}" for name in PACKAGES if installed(name))
    return f"{datetime.date.today().isoformat()}; Python {platform.python_version()}; {packages}."


def section(lines: list[Line]) -> str:
    """One case as Markdown: when and with what it was measured, and its table."""
    rows = ["| | CPU s | ratio | asked | note |", "|---|---|---|---|---|"]
    for line in lines:
        seconds = f"{line.seconds:.3g}" if line.seconds == line.seconds else ""
        ratio = f"{line.ratio:.3g}" if line.ratio == line.ratio else ""
        rows.append(f"| {line.what} | {seconds} | {ratio} | {line.target} | {line.note} |")
    return versions() + "\n\n" + "\n".join(rows)


def missed(sections: dict[str, str]) -> str:
    """Lines whose ratio (or slope, in the note) is not what was asked, as a Markdown list."""
    said = []
    for title, text in sections.items():
        for what, ratio, sign, asked, note in re.findall(_ROW, text):
            slope = re.search(r"slope (-?[\d.]+)", note)
            found = ratio if sign == ">" else slope and slope[1]
            if found and (float(found) < float(asked) if sign == ">" else float(found) > float(asked)):
                said.append(f"- {title.split(':')[0]}: {what}: {found}, asked {sign}= {asked}")
    return "\n".join(said) if said else "Nothing."


def page(results: dict[str, list[Line]], before: str = "") -> str:
    """The page as Markdown: cases just run are replaced, every other section of the page before stays as it was."""
    kept = dict(part.split("\n", 1) for part in re.split(r"^## ", before, flags=re.M)[1:])
    sections = {title: text.strip() for title, text in kept.items() if title != _MISSED}
    sections |= {CASES[name]: section(lines) for name, lines in results.items()}
    sections[_MISSED] = missed(sections)
    return "\n\n".join([_HEAD, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: are the answers equal?")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="these cases alone")
    parser.add_argument("--write", type=Path, help="write the page here")
    parser.add_argument("--inside", choices=CASES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(json.dumps(importlib.import_module(f"benchmarks.{chosen.inside}").run(False)))
        return
    os.environ |= ONE_THREAD  # before JAX is imported
    results = {}
    for name in chosen.only:
        results[name] = run_case(name, quick=chosen.quick)
        if results[name]:
            print(f"## {CASES[name]}\n\n{section(results[name])}\n", flush=True)
    if chosen.write:
        before = chosen.write.read_text() if chosen.write.exists() else ""
        with replacing(chosen.write) as fresh:
            fresh.write_text(page(results, before))


if __name__ == "__main__":
    main()
