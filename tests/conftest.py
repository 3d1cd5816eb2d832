"""Settings that must stand before JAX is imported (64-bit floats, a compile cache), and the judge of promises."""

import json
import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from scipy import stats

settings.register_profile("bayespref", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bayespref")


def _data_folder() -> Path | None:
    for candidate in (os.environ.get("BAYESPREF_DATA"), _ROOT.parent / "shared" / "data"):
        if candidate and (Path(candidate) / "README.md").is_file():
            return Path(candidate)
    return None


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real data sets; tests that need it skip where it is absent."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("real data sets not found: set BAYESPREF_DATA or place them in ../shared/data")
    return folder


def pytest_addoption(parser):
    parser.addoption("--promises", help="run the tests of promises alone, and append what they find to this file")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--promises"):
        others = [item for item in items if "promise" not in item.fixturenames]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if "promise" in item.fixturenames]


class Promise:
    """Judges what a method promises over repetitions, and keeps what was expected and seen for ``make calibration``.

    Every judgement states its false-alarm rate: the probability that a method which keeps the promise fails here.
    """

    def __init__(self, test: str, file: str | None) -> None:
        self._test, self._file = test, file

    def judge(self, kind, what, expected, observed, low, high, false_alarm, repetitions):
        """Whether ``observed`` lies within its limits; kept before it is asserted."""
        numbers = [float(x) for x in (expected, observed, low, high, false_alarm)]
        if self._file:
            line = json.dumps([self._test, kind, what, *numbers, int(repetitions)])
            with open(self._file, "a", encoding="utf-8") as out:
                out.write(line + "\n")
        assert low <= observed <= high, f"{what}: {observed:.4g} is outside [{low:.4g}, {high:.4g}]"

    def share(self, what, count, n, expected, side="exactly", false_alarm=1e-3):
        """A share of ``n`` repetitions that is to be exactly, "at most" or "at least" ``expected``; binomial limits."""
        if expected in (0, 1):  # a single miss is a defect
            self.judge(f"share, {side}", what, expected, count / n, expected, expected, 0.0, n)
            return
        tail = false_alarm / 2 if side == "exactly" else false_alarm
        low = 0.0 if side == "at most" else stats.binom.ppf(tail, n, expected) / n
        high = 1.0 if side == "at least" else stats.binom.isf(tail, n, expected) / n
        self.judge(f"share, {side}", what, expected, count / n, low, high, false_alarm, n)

    def mean(self, what, values, expected, side="exactly", false_alarm=1e-3):
        """A mean over repetitions that is to be exactly, "at most" or "at least" ``expected``; normal limits."""
        reach = stats.norm.isf(false_alarm / (2 if side == "exactly" else 1)) * np.std(values) / np.sqrt(len(values))
        low = -np.inf if side == "at most" else expected - reach
        high = np.inf if side == "at least" else expected + reach
        self.judge(f"mean, {side}", what, expected, np.mean(values), low, high, false_alarm, len(values))

    def ranks(self, what, truth, draws, false_alarm):
        """Ranks of the truth (replicate,) among draws (replicate, draw) are uniform, and four in five are central."""
        place, p_value = _ranks(truth, draws)
        self.judge("uniform ranks, p", what, np.nan, p_value, false_alarm, 1.0, false_alarm, len(truth))
        central = np.sum(np.abs(place - 0.5) < 0.4)
        self.share(f"{what}: central 80 %", central, len(truth), 0.8, false_alarm=false_alarm)

    def caught(self, what, truth, draws, false_alarm):
        """A posterior that is wrong on purpose fails the test that ``ranks`` makes."""
        _, p_value = _ranks(truth, draws)
        self.judge("wrong on purpose, p", what, np.nan, p_value, 0.0, false_alarm, np.nan, len(truth))


def _ranks(truth, draws):
    """Places in [0, 1) of the truth among its draws, and the smaller of two p-values of uniformity, doubled."""
    rank = (draws < truth[:, None]).sum(1)
    place = (rank + np.random.default_rng(0).random(len(rank))) / (draws.shape[1] + 1)
    counts = np.bincount((place * 10).astype(int), minlength=10)
    return place, min(1.0, 2 * min(stats.chisquare(counts).pvalue, stats.kstest(place, "uniform").pvalue))


@pytest.fixture
def promise(request) -> Promise:
    """What a statistical test judges its promise with."""
    return Promise(request.node.nodeid, request.config.getoption("--promises"))
