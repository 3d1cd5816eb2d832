"""Small forms of the benchmarks: they stop on a wrong answer, whatever the clock says."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def case(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))

    def load(name: str):
        return importlib.import_module(f"benchmarks.{name}")

    yield load
    for name in [name for name in sys.modules if name == "benchmarks" or name.startswith("benchmarks.")]:
        sys.modules.pop(name)


@pytest.mark.parametrize("name", ["plain", "likelihood", "size", "growth"])
def test_small_form_gives_right_answers(case, name):
    case(name).run(True)


def test_small_form_of_aggregation_gives_right_answers(case):
    pytest.importorskip("duckdb")
    case("aggregate").run(True)


def _flipped(module, monkeypatch):
    read = module.choice_data
    monkeypatch.setattr(module, "choice_data", lambda table: (read(table)[0], 1 - read(table)[1]))


def _off(module, monkeypatch):
    fitted = module.maximum_likelihood
    monkeypatch.setattr(module, "maximum_likelihood", lambda *given, **named: fitted(*given, **named)[["score"]] * 1.01)


def _other_sweep(module, monkeypatch):
    made = module.make_sweep

    def other(*given):
        sweep = made(*given)
        return lambda flat, *rest: sweep(flat + 0.1, *rest)

    monkeypatch.setattr(module, "make_sweep", other)


def _deferring(module, monkeypatch):
    policy = type(module.from_scores([0.0], [0], **_ONE))
    answer = policy.lookup
    monkeypatch.setattr(policy, "lookup", lambda self, row: answer(self, row)._replace(decision="defer"))


_ONE = {
    "labels": [("s",)],
    "region": ("state",),
    "items": ["x", "y"],
    "c_defer": 1.0,
    "data_hash": "0" * 64,
    "assumptions": [],
}


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("plain", _off, "results differ"),
        ("likelihood", _flipped, "log-joint: results differ"),
        ("growth", _other_sweep, "log-density of a sweep: results differ"),
        ("size", _deferring, "predict and lookup disagree"),
    ],
)
def test_a_wrong_answer_stops_a_case(case, monkeypatch, name, spoil, words):
    if name == "plain":
        pytest.importorskip("sklearn")
    module = case(name)
    spoil(module, monkeypatch)
    with pytest.raises(AssertionError, match=words):
        module.run(True)


def test_a_wrong_count_stops_the_aggregation(case, monkeypatch):
    pytest.importorskip("duckdb")
    aggregate = case("aggregate")
    counted = aggregate.with_pandas
    monkeypatch.setattr(aggregate, "with_pandas", lambda folder: counted(folder).iloc[1:])
    with pytest.raises(AssertionError, match="pandas counts something else"):
        aggregate.run(True)


def test_slopes_are_those_of_known_work(case, monkeypatch):
    growth = case("growth")
    monkeypatch.setattr(growth, "cpu_seconds", lambda work, repeats: (work(), None))
    assert growth.slope((1, 2, 4), lambda size: lambda: 3.0 * size**2)[0] == pytest.approx(2.0)
