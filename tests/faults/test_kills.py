"""Kill -9 in the middle of work loses nothing (the small form of ``make faults``), and a seed decides the draws."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_killed_work_resumes_to_the_result_that_nobody_disturbed():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--kills", "3", "--only", "fit by Gibbs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| fit by Gibbs | 3 |" in done.stdout


@pytest.mark.slow
def test_the_same_seed_gives_the_same_draws_in_another_process(tmp_path):
    """By the methods without chains; those with chains are compared where they are killed."""
    found, methods = [], ["laplace", "svi"]
    for i in range(2):
        file = tmp_path / f"{i}.npz"
        command = [sys.executable, "-m", "benchmarks.same_draws", str(file), "--only", *methods]
        subprocess.run(command, cwd=ROOT, check=True)
        with np.load(file) as draws:
            found.append(dict(draws))
    assert set(found[0]) == set(methods)
    for method, draws in found[0].items():
        assert np.array_equal(draws, found[1][method]), method
        assert draws.std() > 0
