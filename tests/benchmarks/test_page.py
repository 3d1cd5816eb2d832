"""The page of benchmarks: what was not measured again stays, and what was missed is said."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT))
    try:
        yield runpy.run_module("benchmarks.__main__", run_name="page")
    finally:
        sys.path.remove(str(ROOT))
        for name in [name for name in sys.modules if name == "benchmarks" or name.startswith("benchmarks.")]:
            sys.modules.pop(name)


def test_sections_by_hand_and_cases_not_run_survive(script):
    line = script["Line"]
    first = script["page"]({"plain": [line("ours", 1.0)], "types": [line("theirs", 2.0)]})
    by_hand = first + "\n## By hand\n\nMeasured by hand.\n"
    again = script["page"]({"plain": [line("ours", 3.0)]}, by_hand)
    assert "| ours | 3 |" in again
    assert "| ours | 1 |" not in again
    assert "| theirs | 2 |" in again
    assert "## By hand\n\nMeasured by hand." in again
    assert script["page"]({}, again) == again


def test_missed_ratios_and_slopes_are_listed_and_no_others(script):
    line = script["Line"]
    lines = [
        line("slow", 1.0, 2.5, ">= 3"),
        line("fast", 1.0, 3.5, ">= 3"),
        line("steep", 1.0, target="<= 1.05", note="slope 1.20 over 1, 2"),
        line("flat", 1.0, target="<= 1.05", note="slope 0.98 over 1, 2"),
    ]
    said = script["page"]({"growth": lines}).split("## Asked and missed\n\n")[1].splitlines()
    assert [one.split(": ", 1)[1] for one in said] == ["slow: 2.5, asked >= 3", "steep: 1.20, asked <= 1.05"]


def test_the_page_lists_what_its_own_tables_missed(script):
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert script["page"]({}, page) == page
