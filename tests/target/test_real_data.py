"""Real tables taken to declared targets. The shares are declarations of these tests, not facts of the package."""

import warnings

import numpy as np
import pytest

from bayespref.data.table import read_comparisons
from bayespref.errors import EffectModification
from bayespref.target.regime import regime_from
from bayespref.workflow.doubting import robust_target, sensitivity_table
from bayespref.workflow.reweighting import ranking, reweight

EAST = {"with Berlin": 13.2 / 61.8, "without Berlin": 10.7 / 61.8}
"""Share of the 61.8 million eligible voters of 2013 who lived in the East: sums of the Federal Returning Officer's
estimate by Land before the election, in millions (Brandenburg 2.1, Mecklenburg-Vorpommern 1.4,
Sachsen 3.4, Sachsen-Anhalt 1.9,
Thueringen 1.9, Berlin 2.5). The survey counts part of Berlin as East, so that its share lies between the two."""


def electorate(share):
    fields = {"name": "electorate 2013", "version": "1", "reason": "the East was over-sampled", "kind": "product"}
    return regime_from(
        fields | {"beta": 1.0, "states": {"vote_2013": 1.0}, "types": {"East": share, "West": 1 - share}}
    )


@pytest.fixture(scope="module")
def parties(data_folder):
    columns = {"annotator": "rater_id", "context": "region"}
    return read_comparisons(data_folder / "gles2013_parties" / "comparisons.csv", adapter="labels", columns=columns)


@pytest.mark.parametrize("share", EAST.values(), ids=EAST)
def test_left_party_falls_when_the_over_sampled_east_gets_its_share(parties, share):
    got = ranking(parties, electorate(share), n_bootstrap=300, seed=0).set_index(["population", "item"])
    logged, target = got.loc["logged"]["estimate"], got.loc["target"]["estimate"]
    published = {"SPD": 0.47, "CDU/CSU": 0.45, "Greens": -0.02, "Left_Party": -0.44, "FDP": -0.46}
    for party, value in published.items():
        assert logged[party] == pytest.approx(value, abs=0.006)
    assert target.idxmin() == "Left_Party"
    assert got.loc[("target minus logged", "Left_Party"), "upper"] < -0.1
    assert (
        got.loc[("target", "Left_Party"), "upper"] < got.loc[("target", "FDP"), "lower"]
    )  # level in the log, last here
    assert got.loc[("logged", "Left_Party"), "upper"] > got.loc[("logged", "FDP"), "lower"]
    width = got["upper"] - got["lower"]
    assert (width.loc["target"] > 0.98 * width.loc["logged"]).all()  # weights cost precision
    west = {"SPD": 0.55, "CDU/CSU": 0.47, "Greens": 0.11, "FDP": -0.36, "Left_Party": -0.77}
    alone = ranking(parties, electorate(0.0), n_bootstrap=20, seed=0).set_index(["population", "item"]).loc["target"]
    for party, value in west.items():
        assert alone.loc[party, "estimate"] == pytest.approx(value, abs=0.006)


def test_regions_differ_but_weighted_dpo_hardly_errs_for_it(parties):
    with pytest.warns(EffectModification):
        got = reweight(parties, electorate(0.2))
    assert got.trust.verdict == "trusted"
    assert got.modification.df == 4
    assert np.abs(got.modification.bias).max() < 0.1
    assert got.report.set_index("what").loc["all rows", "n_eff_share"] == pytest.approx(0.88, abs=0.005)


def test_what_would_turn_cdu_over_left_party(parties):
    got = sensitivity_table(parties, electorate(0.2), state="vote_2013", item="CDU/CSU", over="Left_Party")
    by = got.groupby("analysis", sort=False)["breakdown"].first()
    assert by["outcome odds"] == pytest.approx(2.85, abs=0.02)
    assert by["weights (this pair's rows)"] == pytest.approx(1.52, abs=0.01)
    robust = robust_target(parties, electorate(0.2), 1.5)
    assert 0 < robust.lower[0] < 0.05
    assert robust.policy[0].argmax() == parties.items.index("SPD")


def test_even_categories_move_nothing_in_mtbench(data_folder):
    columns = {"annotator": "rater_id", "context": "state", "state": None}
    table = read_comparisons(data_folder / "mtbench_human" / "comparisons.csv", adapter="labels", columns=columns)
    fields = {"name": "even", "version": "1", "reason": "no category counts more", "kind": "product", "beta": 1.0}
    even = regime_from(fields | {"states": {table.states[0]: 1.0}, "types": dict.fromkeys(table.contexts, 1 / 8)})
    got = ranking(table, even, n_bootstrap=300, seed=0).set_index(["population", "item"])
    logged = {"gpt-4": 1.02, "claude-v1": 0.64, "gpt-3.5-turbo": 0.60, "vicuna-13b-v1.2": -0.06, "alpaca-13b": -0.76}
    for model, value in logged.items():
        assert got.loc[("logged", model), "estimate"] == pytest.approx(value, abs=0.006)
    moved = got.loc["target minus logged"]
    assert moved["estimate"].abs().max() < 0.01
    assert ((moved["lower"] < 0) & (moved["upper"] > 0)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = reweight(table, even)
    assert verdict.trust.verdict == "trusted"
    assert verdict.modification.verdict == "undecided"  # 65 judges cannot carry 35 differences
