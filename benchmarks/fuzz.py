"""Hostile input to every reader: ``python -m benchmarks.fuzz [--executions N] [--only TARGET ...] [--quick]``.

Each target of :mod:`benchmarks.fuzz_targets` runs in a process of its own under Atheris (libFuzzer guided by the
coverage of the package), with a limit on memory and on the time of one input, and with an audit hook that sees every
file opened. Findings go to ``fuzz-findings/TARGET/`` (the input, and why); the exit code is 1 if there are any.
``--quick`` needs Hypothesis only: the kept inputs of ``tests/fuzz/corpus`` and a few dozen mutations of every seed, in
one process.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
MEMORY = 2 << 30
"""Bytes that a target may take on top of what its libraries take."""
SECONDS = 20
"""Longest that one input may take."""
LONGEST = 262_144
"""Bytes of the longest input."""


class Attempt:
    """One target under test: counts, and what was found, each cause once."""

    def __init__(self, name: str, folder: Path) -> None:
        from benchmarks.fuzz_targets import TARGETS

        self.name, self.target, self.folder = name, TARGETS[name], folder
        self.count, self.refused = 0, 0
        self.causes: dict[str, int] = {}
        self.strayed: list[str] = []
        sys.addaudithook(self._audit)
        self._watching = False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event in ("os.system", "subprocess.Popen", "socket.connect", "pickle.find_class", "os.exec", "os.fork"):
            self.strayed.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            inside = path.startswith((os.path.realpath(self.folder), "/proc/self"))
            library = path.startswith((sys.prefix, sys.base_prefix, str(ROOT), "/usr/", "/sys/devices/", "/dev/null"))
            reads = isinstance(arguments[1], str) and not set(arguments[1]) & set("wax+")
            if not inside and not (library and (reads or arguments[1] is None)):
                self.strayed.append(f"open {path}")

    def __call__(self, data: bytes) -> str | None:
        """Try one input; the reason if it is a finding, else None."""
        from benchmarks.fuzz_targets import allowed

        self.count += 1
        self.strayed.clear()
        why = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            self._watching = True
            try:
                self.target.run(data, self.folder)
            except Exception as error:
                if allowed(self.target, error):
                    self.refused += 1
                else:
                    why = traceback.format_exc()
            finally:
                self._watching = False
        if self.strayed:
            why = "the reader went where it has no business: " + "; ".join(self.strayed)
        return why

    def seeds(self) -> list[bytes]:
        """What to start from, each run once unwatched: imports and caches are made then.

        Raises
        ------
        SystemExit
            If a reader takes none of the inputs made for it: fuzzing it would try nothing.
        """
        made = self.target.seeds()
        seeds, taken = [*made, *kept(self.name)], 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for data in seeds:
                with contextlib.suppress(Exception):
                    self.target.run(data, self.folder)
                    taken += 1
        if not taken and not self.target.structured:
            raise SystemExit(f"{self.name}: the reader takes none of the inputs made for it")
        return seeds

    def note(self, data: bytes, why: str, out: Path) -> None:
        """Keep an input that is a finding; of several with one cause the shortest."""
        frames = [line.strip() for line in why.splitlines() if line.strip().startswith("File ")]
        cause = hashlib.sha256("\n".join(frames[-2:] or [why[:80]]).encode()).hexdigest()[:12]
        if len(data) < self.causes.get(cause, sys.maxsize):
            self.causes[cause] = len(data)
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{cause}.input").write_bytes(data)
            (out / f"{cause}.txt").write_text(why)


def kept(name: str) -> list[bytes]:
    """Inputs that once were findings, kept so that they never are again."""
    folder = CORPUS / name
    return [file.read_bytes() for file in sorted(folder.iterdir())] if folder.is_dir() else []


def limit_memory(more: int | None = MEMORY) -> None:
    """Let this process take so many bytes of address space more than it has; None: as many as it wants."""
    pages, hard = int(Path("/proc/self/statm").read_text().split()[0]), resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard if more is None else pages * resource.getpagesize() + more, hard))


def inside(name: str, runs: int, seed: int, out: Path) -> None:
    """Fuzz one target in this process; never returns."""
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        scratch, corpus = Path(folder, "scratch"), Path(folder, "corpus")
        scratch.mkdir()
        corpus.mkdir()
        with atheris.instrument_imports(include=["bayespref"]):
            attempt = Attempt(name, scratch)
            seeds = attempt.seeds()
        for i, data in enumerate(seeds):
            (corpus / f"seed{i}").write_bytes(data)
        attempt.count = attempt.refused = 0
        limit_memory()

        def one(data: bytes) -> None:
            why = attempt(data)
            if why is not None:
                attempt.note(data, why, out)
            if attempt.count % 200 == 0 or attempt.count >= runs:
                summary = {"executions": attempt.count, "refused": attempt.refused, "findings": len(attempt.causes)}
                part = out.parent / f"{name}.json.part"
                part.write_text(json.dumps(summary))
                part.replace(out.parent / f"{name}.json")

        limits = [f"-timeout={SECONDS}", "-rss_limit_mb=6000", f"-max_len={LONGEST}", "-print_final_stats=1"]
        out.mkdir(parents=True, exist_ok=True)
        atheris.Setup(
            [sys.argv[0], f"-runs={runs}", f"-seed={seed}", *limits, f"-artifact_prefix={out}/", str(corpus)], one
        )
        atheris.Fuzz()


def fuzz(name: str, runs: int, seed: int, findings: Path) -> dict[str, Any]:
    """Run one target until it had its executions; a process that dies is a finding and is started again."""
    done: dict[str, Any] = {"executions": 0, "refused": 0, "findings": 0, "died": 0}
    start = time.monotonic()
    while done["executions"] < runs and done["died"] < 20:
        report = findings / f"{name}.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "benchmarks.fuzz", "--inside", name, "--seed", str(seed + done["died"])]
        command += ["--executions", str(runs - done["executions"]), "--out", str(findings)]
        with (findings / f"{name}.log").open("a") as log:
            code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
        found = json.loads(report.read_text()) if report.is_file() else {"executions": 0, "refused": 0, "findings": 0}
        for key in ("executions", "refused"):
            done[key] += found[key]
        done["findings"] = max(done["findings"], found["findings"])
        if code:
            done["died"] += 1
        elif not found["executions"]:
            raise SystemExit(f"{name}: the target ended without a single execution, see {findings}/{name}.log")
    return done | {"seconds": round(time.monotonic() - start, 1)}


def quick(name: str, examples: int) -> str | None:
    """Kept inputs, seeds and mutations of both, in this process; the first finding in words, or None."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    limit_memory(None)  # libraries take theirs when the seeds run
    with tempfile.TemporaryDirectory() as folder:
        attempt = Attempt(name, Path(folder))
        seeds = attempt.seeds()
        for data in seeds:
            why = attempt(data)
            if why is not None:
                return f"{name}: {data[:200]!r}\n{why}"
        limit_memory()

        def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
            for place, kind, piece in edits:
                at = place % (len(data) + 1)
                cut = len(piece) if kind else 0
                data = data[:at] if kind == 2 else data[:at] + piece + data[at + cut :]
            return data

        edits = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 2), st.binary(max_size=6)), max_size=5)

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.builds(edited, st.sampled_from(seeds), edits))
        def mutations(data: bytes) -> None:
            why = attempt(data)
            assert why is None, f"{name}: {data[:200]!r}\n{why}"

        try:
            mutations()
        except AssertionError as error:
            return str(error)
        print(f"{name}: {attempt.count} inputs, {attempt.refused} refused", flush=True)
        return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--executions", type=int, default=1_000_000, help="all targets together")
    parser.add_argument("--only", nargs="+", metavar="TARGET", help="these targets alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder of findings and counts")
    parser.add_argument("--quick", action="store_true", help="the small form: Hypothesis, in this process")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        inside(chosen.inside, chosen.executions, chosen.seed, chosen.out.resolve() / chosen.inside)
        return
    from benchmarks.fuzz_targets import TARGETS  # not before: the package is instrumented as it is imported

    names = chosen.only or list(TARGETS)
    if set(names) - set(TARGETS):
        parser.error(f"unknown target(s) {sorted(set(names) - set(TARGETS))}; known are {list(TARGETS)}")
    if chosen.quick:
        slow = min(target.share for target in TARGETS.values())
        found = [quick(name, 2 if TARGETS[name].share == slow else 60) for name in names]
        sys.exit("\n\n".join(why for why in found if why) or 0)
    chosen.out.mkdir(parents=True, exist_ok=True)
    total = sum(TARGETS[name].share for name in names)
    print("| target | executions | refused with a documented error | findings | processes that died | seconds |")
    print("|---|---|---|---|---|---|", flush=True)
    sums: dict[str, float] = {}
    for name in names:
        runs = max(1, round(chosen.executions * TARGETS[name].share / total))
        got = fuzz(name, runs, chosen.seed, chosen.out.resolve())
        print(f"| {name} | " + " | ".join(f"{got[key]:,}" for key in got) + " |", flush=True)
        sums = {key: sums.get(key, 0) + value for key, value in got.items()}
    print("| **all** | " + " | ".join(f"{value:,.10g}" for value in sums.values()) + " |", flush=True)
    sys.exit(1 if sums["findings"] or sums["died"] else 0)


if __name__ == "__main__":
    main()
