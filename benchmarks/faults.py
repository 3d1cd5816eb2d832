"""Kill -9 while work is done: ``python -m benchmarks.faults [--kills N] [--only JOB ...]``.

A job (a fit, an aggregation, a study, a report, a bundle) runs in a process that is killed, half the times at a random
moment and half the times at a random touch of its folder (a file about to be opened, renamed or removed). After every
kill each file under its own name must be whole; the job is then started again in the same folder, and killed again,
until it comes to its end, where its result must be that of a run that nobody disturbed, bit by bit. The exit code is 1
if not.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_PRELOAD = [
    "jax",
    "numpyro",
    "xarray",
    "h5netcdf",
    "bayespref.workflow",
    "bayespref.posterior.store",
    "bayespref.cards",
]
_TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir")


class Job(NamedTuple):
    """Work that may be killed."""

    work: Callable[[Path], None]
    """Does it in a folder; called again, goes on where it was."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Puts into a fresh folder what the work starts from, an older result among it."""


def _table() -> Any:
    from bayespref.comparisons import from_codes

    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 400)
    b = (a + rng.integers(1, 5, 400)) % 5
    people = tuple(f"u{i:02}" for i in range(20))
    return from_codes(
        a, b, rng.integers(0, 2, 400), items=tuple("abcde"), annotator=np.arange(400) // 20, annotators=people
    )


def _fit(method: str, model: str, options: dict[str, Any], sizes: dict[str, Any], folder: Path) -> None:
    from bayespref.posterior.store import save_fit
    from bayespref.workflow import fit

    tree = fit(
        model, _table(), rng_key=5, options=options, method=method, checkpoint=folder / "run", progress=False, **sizes
    )
    save_fit(tree, folder / "fit.nc")


def _study(folder: Path) -> None:
    from bayespref.studies.runner import run_study

    run_study("two-worlds", out=folder, progress=False)


@functools.cache
def _analysed() -> bytes:
    """A fit with its analysis, as a file."""
    from bayespref.posterior.store import save_fit
    from bayespref.workflow import run

    tree = run(_table(), model="single", rng_key=1, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        return save_fit(tree, Path(folder) / "fit.nc").read_bytes()


def _give_fit(folder: Path) -> None:
    (folder / "fit.nc").write_bytes(_analysed())


def _report(folder: Path) -> None:
    from bayespref.posterior.store import load_fit
    from bayespref.workflow import policy, report

    tree = load_fit(folder / "fit.nc")
    policy(tree, c_defer=0.3).save(folder / "policy.json")
    report([("votes", tree)], folder / "report.html", c_defer=0.3)


def _bundle(folder: Path) -> None:
    from bayespref.posterior.store import load_fit
    from bayespref.workflow.bundling import bundle

    bundle(load_fit(folder / "fit.nc"), folder / "audit.zip", c_defer=0.3, name="votes")


def _give_rows(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rng = np.random.default_rng(0)
    a = rng.integers(0, 50, 2_000_000)
    b = (a + rng.integers(1, 50, a.size)) % 50
    words = np.array([f"item {i}" for i in range(50)], dtype=object)
    table = {
        "item_a": words[a],
        "item_b": words[b],
        "outcome": np.array(["a", "b"], dtype=object)[rng.integers(0, 2, a.size)],
    }
    parquet.write_table(pa.table(table), folder / "votes.parquet")


def _aggregate(folder: Path) -> None:
    from bayespref.data.aggregate import aggregate
    from bayespref.data.aggregate_file import write_counts

    write_counts(aggregate(folder / "votes.parquet"), folder / "counts.parquet")


JOBS = {
    "fit by NUTS": Job(functools.partial(_fit, "nuts", "single", {}, {"chains": 2, "draws": 400})),
    "fit by Gibbs": Job(functools.partial(_fit, "gibbs", "latent_types", {"n_types": 2}, {"chains": 2, "draws": 400})),
    "fit by SVI": Job(functools.partial(_fit, "svi", "single", {}, {"chains": 1, "draws": 100})),
    "aggregation": Job(_aggregate, _give_rows),
    "study": Job(_study),
    "policy and report": Job(_report, _give_fit),
    "audit bundle": Job(_bundle, _give_fit),
}


def whole(file: Path) -> None:
    """Read a file to its end; raises if it is not whole."""
    if file.suffix == ".nc":
        from bayespref.posterior.store import load_fit

        load_fit(file)
    elif file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as stored:
            assert all(stored[name].size >= 0 for name in stored.files)
    elif file.suffix == ".parquet":
        import pyarrow.parquet as parquet

        parquet.read_table(file)
    elif file.suffix == ".json":
        json.loads(file.read_text(encoding="utf-8"))
    elif file.suffix == ".html":
        assert file.read_text(encoding="utf-8").rstrip().endswith("</html>")
    elif file.suffix == ".svg":
        assert file.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    elif file.suffix == ".png":
        assert file.read_bytes().endswith(b"IEND\xaeB`\x82")
    elif file.suffix == ".zip":
        import zipfile

        assert zipfile.ZipFile(file).testzip() is None
    else:
        raise AssertionError(f"nobody said how to tell whether {file.name} is whole")


def digests(folder: Path) -> dict[str, str]:
    """What the job made, file by file; what may differ between two runs (a date, seconds of work) left out."""
    found = {}
    for file in sorted(_named(folder)):
        content = file.read_bytes()
        if file.suffix == ".nc":
            import h5py

            with h5py.File(file) as opened:
                content = opened["posterior/reward"][()].tobytes() if "posterior/reward" in opened else b""
        elif file.suffix == ".parquet":
            import pyarrow.parquet as parquet

            content = repr(parquet.read_table(file).to_pydict()).encode()  # seconds of work stand beside the columns
        elif file.name == "verdict.json":
            content = json.dumps(json.loads(content)["claims"]).encode()
        if file.suffix not in (".npz", ".html", ".svg", ".zip"):
            found[str(file.relative_to(folder))] = hashlib.sha256(content).hexdigest()
        else:
            found[str(file.relative_to(folder))] = "whole"
    return found


def _named(folder: Path) -> list[Path]:
    """Files under their own names: not the hidden parts that a kill leaves behind."""
    return [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]


def _child(name: str, folder: Path, stop_at: int, tell: Any) -> None:
    """Do a job; at its ``stop_at``-th touch of the folder kill this process."""
    touches, inside = [0], str(folder)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _TOUCHES and isinstance(arguments[0], str | os.PathLike) and str(arguments[0]).startswith(inside):
            touches[0] += 1
            if touches[0] == stop_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    JOBS[name].work(folder)
    tell.send(touches[0])


def run_once(name: str, folder: Path, *, stop_at: int = 0, seconds: float | None = None) -> int | None:
    """Run a job in a process of its own; touches of its folder, or None if it was killed.

    Raises
    ------
    AssertionError
        If the job failed by itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    hear, tell = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(name, folder, stop_at, tell))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"{name}: ended with {process.exitcode}"
    return hear.recv() if process.exitcode == 0 else None


def fault(name: str, kills: int, rng: random.Random) -> dict[str, int]:
    """Kill a job so many times; counts, failures among them."""
    counts = {
        "kills": 0,
        "files read after a kill": 0,
        "runs resumed to the end": 0,
        "not whole": 0,
        "another result": 0,
    }
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "reference"
        folder.mkdir()
        JOBS[name].prepare(folder)
        run_once(name, folder)  # compiles
        expected = digests(folder)
        fresh = Path(base) / "again"
        fresh.mkdir()
        JOBS[name].prepare(fresh)
        start = time.monotonic()
        touches = run_once(name, fresh)
        seconds = time.monotonic() - start
        assert touches is not None
        assert digests(fresh) == expected, f"{name}: two undisturbed runs differ"
        attempt = 0
        while counts["kills"] < kills:
            attempt += 1
            folder = Path(base) / f"run{attempt}"
            folder.mkdir()
            JOBS[name].prepare(folder)
            while True:
                if counts["kills"] >= kills:
                    ended = run_once(name, folder)
                elif rng.random() < 0.5:
                    ended = run_once(name, folder, seconds=rng.uniform(0.0, seconds))
                else:
                    ended = run_once(name, folder, stop_at=rng.randint(1, touches))
                if ended is not None:
                    break
                counts["kills"] += 1
                for file in _named(folder):
                    counts["files read after a kill"] += 1
                    try:
                        whole(file)
                    except Exception as error:
                        counts["not whole"] += 1
                        print(f"{name}: {file.name} is not whole after a kill: {error}", file=sys.stderr)
            counts["runs resumed to the end"] += 1
            if digests(folder) != expected:
                counts["another result"] += 1
                print(f"{name}: the result after kills is another one", file=sys.stderr)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="of each job")
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS), help="these jobs alone")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    failures, head = 0, False
    for name in chosen.only:
        counts = fault(name, chosen.kills, random.Random(f"{chosen.seed} {name}"))
        if not head:
            print("| job | " + " | ".join(counts) + " |\n|---" + "|---" * len(counts) + "|")
            head = True
        print(f"| {name} | " + " | ".join(f"{value:,}" for value in counts.values()) + " |", flush=True)
        failures += counts["not whole"] + counts["another result"]
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
