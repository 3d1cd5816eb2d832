"""Pages of the studies are those of their docstrings, verdicts and expectations, and say what disagrees."""

import json
import re
from pathlib import Path

import pytest

from bayespref.studies import STUDIES
from bayespref.studies.claims import STANDARD_ERRORS, read_expectations
from bayespref.studies.pages import index, page, write_pages
from bayespref.studies.runner import run_study

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "studies"


def kept(name):
    return json.loads((DOCS / "verdicts" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_page_that_says_what_its_docstring_and_its_verdict_say(name):
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == page(name, kept(name)), "run make study-pages"
    assert 0 < (DOCS / "figures" / f"{name}.png").stat().st_size < 80_000


@pytest.mark.parametrize("name", STUDIES)
def test_the_claims_of_a_page_are_those_of_the_expectations(name):
    said = kept(name)
    wanted = read_expectations(ROOT / "studies" / "expectations" / f"{name.replace('-', '_')}.toml")
    wanted = [one for one in wanted if said["size"] in one.sizes]
    words = [(one.claim, one.words, one.source, one.source_errs) for one in wanted]
    assert [
        tuple(claim[key] for key in ("claim", "expected", "source", "source_errs")) for claim in said["claims"]
    ] == words
    for one, claim in zip(wanted, said["claims"], strict=True):
        if claim["observed"] is None or claim["standard_error"] is None:
            continue  # an infinite ratio, which JSON does not hold
        assert claim["allowed"] == pytest.approx(one.tolerance + STANDARD_ERRORS * claim["standard_error"], abs=1e-12)
        distance = claim["observed"] - next(x for x in (one.value, one.at_least, one.at_most) if x is not None)
        short = -distance if one.at_least is not None else distance if one.at_most is not None else abs(distance)
        assert claim["agrees"] == (short <= claim["allowed"]), claim


def test_the_list_of_studies_is_that_of_the_pages():
    assert (DOCS / "index.md").read_text(encoding="utf-8") == index({name: kept(name) for name in STUDIES})


def test_the_inventory_of_tables_names_studies_and_tests_that_exist():
    text = (DOCS / "tables.md").read_text(encoding="utf-8")
    files = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", text)
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert set(re.findall(r"\]\(([\w-]+)\.md\)", text)) <= set(STUDIES)


def test_a_page_shows_what_disagrees_and_a_full_run_goes_before_a_quick_one(tmp_path):
    result = run_study("two-worlds", out=tmp_path / "runs", progress=False)
    file = result.folder / "verdict.json"
    said = json.loads(file.read_text())
    said["claims"][0] |= {"agrees": False, "observed": 9.0}
    file.write_text(json.dumps(said))
    assert list(write_pages(tmp_path / "runs", tmp_path / "docs")) == ["two-worlds"]
    text = (tmp_path / "docs" / "two-worlds.md").read_text()
    assert "## Claims: 6 of 7 agree" in text
    assert "| 9 | 0.2 | 1e-12 | **no** |" in text
    assert "6 of 7 | quick" in (tmp_path / "docs" / "index.md").read_text()
    run_study("two-worlds", size="full", out=tmp_path / "runs", progress=False)
    assert write_pages(tmp_path / "runs", tmp_path / "docs")["two-worlds"]["size"] == "full"
    assert write_pages(None, tmp_path / "docs")["two-worlds"]["size"] == "full"
