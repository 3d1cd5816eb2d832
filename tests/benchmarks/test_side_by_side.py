"""The page that sets us beside other tools prints what we really print."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "side_by_side.py"))


@pytest.mark.parametrize("table", ["BLOCKS", "ALWAYS"])
def test_our_answers_on_the_comparison_page_are_those_of_today(table):
    page = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    answer = SCRIPT["of_ours"](SCRIPT[table]).replace("\n", "\n  ")
    assert f"bayespref: {answer}\n" in page
