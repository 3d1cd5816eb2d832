"""What every case of ``python -m benchmarks`` uses: CPU seconds, rows of the table, which peers are there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np


class Line(NamedTuple):
    """One line of the table.

    ``seconds`` is CPU time of all threads (NaN where the work has no such figure). ``ratio`` says how many times better
    ours does than this line, NaN for our own; ``target`` what was asked of it, "" where nothing was.
    """

    what: str
    seconds: float
    ratio: float = float("nan")
    target: str = ""
    note: str = ""


def cpu_seconds(work: Callable[[], Any], *, repeats: int = 3) -> tuple[float, Any]:
    """Least CPU seconds of several calls (other programs only ever add to them), and what the last call returned."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return float(best), result


def require_close(what: str, found: Any, wanted: Any, *, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Stop the benchmark where results differ: nothing is timed that is not right."""
    error = np.max(np.abs(np.asarray(found) - np.asarray(wanted)) - rtol * np.abs(np.asarray(wanted)))
    if not error <= atol:
        raise AssertionError(f"{what}: results differ by {error:.2e} beyond rtol {rtol}, more than {atol}")


def installed(package: str) -> str:
    """Version of a package, "" where it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def apart(module: str, function: str, *arguments: str) -> dict[str, Any]:
    """Call a function of a module in a process of its own; its result, with the peak memory of that process.

    The function takes text and returns a dict of plain values; ``peak`` (bytes) is added.
    """
    code = (
        "import importlib, json, resource, sys\n"
        "found = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(*sys.argv[3:])\n"
        "peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(json.dumps(found | {'peak': peak}))"
    )
    command = [sys.executable, "-c", code, module, function, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError(f"{module}.{function}{arguments} failed")
    return json.loads(done.stdout.splitlines()[-1])
