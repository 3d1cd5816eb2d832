"""The benchmarks run, and every side of each gives the same answer; what the clock says is not judged."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_quick_benchmarks_find_equal_answers():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for words in ("Likelihood with gradient", "Plain Bradley-Terry", "Latent types", "DeferralPolicy.predict"):
        assert words in done.stdout
