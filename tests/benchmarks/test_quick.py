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


def test_a_wrong_answer_stops_a_case(case, monkeypatch):
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
