"""Environments, swaps and growth on real tables: what their READMEs say must be found without being told."""

import pytest

from bayespref import read_comparisons
from bayespref.graph.environments import closed_holes, environments
from bayespref.graph.growth import coverage_growth
from bayespref.graph.swaps import prompt_swaps


@pytest.fixture(scope="module")
def gari(data_folder):
    return read_comparisons(
        data_folder / "gari_eba" / "comparisons.csv",
        adapter="labels",
        columns={"annotator": "rater_id", "environment": "country"},
    )


def test_gari_countries_join_tms6_and_sape_together_and_neither_alone(gari):
    holes = closed_holes(gari, by=())
    pair = holes[(holes.item_a == "Sape") & (holes.item_b == "TMS6")]
    assert pair[["closed", "environments"]].values.tolist() == [["together", "Cameroon, Nigeria"]]
    found = environments(gari, by=())
    assert int(found.n_only_union) == (holes.closed == "together").sum() > 0
    assert int(found.n_components_union) == 1


def test_gari_cells_that_were_never_asked_stay_empty_however_the_rest_grows(gari):
    got = coverage_growth(gari, [500, gari.n_rows, 10 * gari.n_rows], by=("environment", "state"))
    empty = got.includes_zero
    assert empty.sel(environment="Cameroon", state=["smoothness", "mouldability"]).all()
    assert empty.sel(environment="Nigeria", state=["odour", "firmness"]).all()
    assert float(got.expected[1]) == (~empty).sum()
    assert got.extrapolated.values.tolist() == [False, False, True]


def test_sound_quality_judged_before_and_after_answers_the_swap_question(data_folder):
    table = read_comparisons(
        data_folder / "sound_quality" / "comparisons.csv",
        adapter="labels",
        columns={"annotator": "rater_id", "context": "time"},
    )
    got = prompt_swaps(table, cluster="annotator")
    across = got.sel(context="before", context_other="after")
    assert int(across.n_clusters) > 30
    assert 0.5 < float(across.agreement_lower) < float(across.agreement) < float(across.agreement_upper) < 1
