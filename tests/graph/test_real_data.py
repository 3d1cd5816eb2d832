"""Facts of the real data sets that the graph stage must recover without being told."""

import numpy as np
import pandas as pd
import pytest

from bayespref.comparisons import from_codes
from bayespref.dims import A_WINS, B_WINS, TIE
from bayespref.graph.check import check
from bayespref.graph.connect import connectivity, suggest_comparisons
from bayespref.graph.coverage import coverage


def read(path, context=None):
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    columns = {}
    for name, source in (("state", "state"), ("context", context), ("annotator", "rater_id")):
        if source is not None:
            codes, labels = pd.factorize(frame[source], sort=True)
            columns |= {name: codes, f"{name}s": [str(label) for label in labels]}
    codes, items = pd.factorize(pd.concat([frame.item_a, frame.item_b]).astype(str), sort=True)
    outcome = np.select([frame.label == 1, frame.label == 0, frame.label == 0.5], [A_WINS, B_WINS, TIE], -1)
    return from_codes(codes[: len(frame)], codes[len(frame) :], outcome, items=list(items), **columns)


@pytest.fixture(scope="module")
def debates(data_folder):
    return read(data_folder / "ukpconvarg_crowd" / "comparisons.parquet")


@pytest.fixture(scope="module")
def prompts(data_folder):
    return read(data_folder / "llmfao_crowd" / "comparisons.csv")


@pytest.fixture(scope="module")
def eba(data_folder):
    return read(data_folder / "gari_eba" / "comparisons.csv", context="country")


def test_debates_are_thirty_two_components_one_a_debate(debates):
    pooled = connectivity(debates, by=())
    assert int(pooled.n_components) == int(pooled.n_strong_components) == 32
    debate = np.array([item.split("_")[0] for item in debates.items])
    for label in range(32):
        assert len(set(debate[pooled.component.values == label])) == 1
    each = connectivity(debates)
    assert set(each.n_components.values) == set(each.n_strong_components.values) == {1}
    assert int(each.present.sum()) == 1052


def test_check_says_that_debates_are_not_comparable(debates):
    result = check(debates)
    assert [line.name for line in result.checks if line.verdict == "no"] == ["joined across states"]
    assert "the 1,052 items form 32 components" in result["joined across states"].words
    assert len(suggest_comparisons(debates, by=())) == 31


def test_prompts_with_infinite_estimates_are_found_with_their_strong_components(prompts):
    graph = connectivity(prompts)
    assert set(graph.n_components.values) == {1}
    strong = graph.n_strong_components.to_series()
    expected = {"vendor-extract": 14, "basic-sentiment": 7, "bagel": 5, "cot-apple": 3, "product-description": 2}
    assert strong[strong > 1].to_dict() == expected
    assert int(graph.present.sum()) == 750
    assert graph.present.size == 767
    result = check(prompts)
    assert result["strongly connected"].numbers["strong_components"] == expected
    assert result["every item in every state"].numbers["n_observed"] == 750
    assert len(result["every item in every state"].numbers["missing"]) == 17
    lacking = result["every item in every state"].numbers["n_missing_by_stratum"]
    assert lacking == {"planets-json": 7, "munchhausen": 5, "taiwan": 4, "product-description": 1}


def test_what_each_country_was_never_asked_is_found(eba):
    result = check(eba)
    assert result["contexts covered"].numbers["cells"] == [
        "Cameroon / mouldability",
        "Cameroon / smoothness",
        "Nigeria / firmness",
        "Nigeria / odour",
    ]
    shared = result["items shared between contexts"].numbers
    assert shared["only"] == {
        "Cameroon": ["Madame", "Sape", "TMSIBA"],
        "Nigeria": ["Akpu", "TMEB1", "TMEB2", "TMEB3", "TMS6"],
    }
    assert shared["shared"] == ["Game Changer", "Obasanjo-2", "TMS1", "TMS2", "TMS3"]
    apart = result["contrasts within a context"].numbers
    assert ["Sape", "TMS6"] in apart["pairs"]
    assert apart["n_never_together"] == 15
    assert result["connected"].verdict == "yes"  # pooled over countries the hole does not show
    got = coverage(eba)
    assert int(got.crossing_empty.sum()) == 4
    assert got.attrs["statement"].startswith("marginals broad, crossing empty: 4 of 16 cells are empty")


def test_parties_by_region_are_fully_covered_and_nothing_is_flagged(data_folder):
    result = check(read(data_folder / "gles2013_parties" / "comparisons.csv", context="region"))
    assert {line.verdict for line in result.checks} == {"yes"}
    assert result.exit_code == 0
    assert len(result.suggestions) == 0


def test_ticket_bundles_form_a_hundred_and_eleven_components(data_folder):
    frame = pd.read_csv(data_folder / "train_tickets" / "comparisons.csv")
    attributes = ("price", "time", "change", "comfort")
    bundles = pd.concat(
        [frame[[f"{name}_{side}" for name in attributes]].set_axis(attributes, axis=1) for side in "ab"]
    )
    codes, labels = pd.factorize(pd.MultiIndex.from_frame(bundles))
    half = len(frame)
    outcome = np.where(frame.label == 1, A_WINS, B_WINS)
    data = from_codes(codes[:half], codes[half:], outcome, items=[str(label) for label in labels])
    graph = connectivity(data).sel(state="all")
    assert int(graph.n_items) == 1785
    assert int(graph.n_pairs) == 2916
    assert int(graph.n_components) == 111
    assert int(np.bincount(graph.component.values).max()) == 808
    result = check(data)
    assert result["connected"].numbers["largest_number_of_components"] == 111
    assert "111 components, the largest of 808" in result["connected"].words
    assert (result.suggestions.reason == "disconnected").sum() == 110
