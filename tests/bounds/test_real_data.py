"""What real tables cannot tell, and what an assumption would have to be: numbers derived from their documentation."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import linprog
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from bayespref import workflow
from bayespref.bounds import bounds
from bayespref.bounds.evidence import Evidence, evidence_of_estimate
from bayespref.bounds.labelled import assume, sweep
from bayespref.bounds.sensitivity import breakdown_gamma
from bayespref.data.table import read_comparisons
from bayespref.errors import DroppedDraws, InfeasibleRestrictionError
from bayespref.fit.maximum_likelihood import maximum_likelihood

RANGE = (0.0, 2.5)
PAIR = {"state": "overall", "item": "TMS6", "item_other": "Sape"}
SHARED = ["Game Changer", "Obasanjo-2", "TMS1", "TMS2", "TMS3"]


@pytest.fixture(scope="module")
def eba(data_folder):
    frame = pd.read_csv(data_folder / "gari_eba" / "comparisons.csv")
    names = {"annotator": "rater_id", "context": "country"}
    return read_comparisons(frame[frame["state"] == "overall"], adapter="labels", columns=names)


@pytest.fixture(scope="module")
def countries(eba):
    return maximum_likelihood(eba, by=("state", "context"))


def apart(countries):
    """How far each shared genotype's score moves from Nigeria to Cameroon, up to one constant."""
    score = countries["score"].sel(state="overall", item=SHARED)
    return (score.sel(context="Cameroon") - score.sel(context="Nigeria")).values


def by_program(countries, kappa, country, item, other):
    """Largest r(item) - r(other) in a country over all tables that fit both countries, the range and kappa."""
    score = countries["score"].sel(state="overall").transpose("context", "item")
    names = list(score["item"].values)
    rows, limits = [], []

    def add(plus, minus, limit):
        row = np.zeros(score.shape)
        row[plus] += 1.0
        row[minus] -= 1.0
        rows.append(row.ravel())
        limits.append(limit + 1e-11)

    for c in range(2):
        seen = np.flatnonzero(np.isfinite(score.values[c]))
        for a in seen:
            for b in seen:
                add((c, a), (c, b), score.values[c, a] - score.values[c, b])
        for a in range(len(names)):
            add((c, a), (1 - c, a), kappa)
    goal = np.zeros(score.shape)
    where = list(score["context"].values).index(country)
    goal[where, names.index(item)], goal[where, names.index(other)] = -1.0, 1.0
    solved = linprog(goal.ravel(), A_ub=np.array(rows), b_ub=limits, bounds=[RANGE] * goal.size)
    return -solved.fun if solved.status == 0 else None


def test_tms6_against_sape_is_compared_in_neither_country_and_any_sign_is_possible(countries):
    found = assume(evidence_of_estimate(countries), {}, reward_range=RANGE)
    lower, upper = found["difference_lower"].sel(PAIR), found["difference_upper"].sel(PAIR)
    assert (lower < 0).all()
    assert (upper > 0).all()
    # Each country knows one of the two: that one lies within its component's levels, the other is free.
    score = countries["score"].sel(state="overall")
    for country, seen, sign in (("Nigeria", "TMS6", 1.0), ("Cameroon", "Sape", -1.0)):
        own = score.sel(context=country)
        low, high = float(own.sel(item=seen) - own.min()), RANGE[1] - float(own.max() - own.sel(item=seen))
        ends = sorted([sign * (low - RANGE[1]), sign * (high - RANGE[0])])
        np.testing.assert_allclose([lower.sel(type=country), upper.sel(type=country)], ends, atol=1e-9)


def test_countries_that_share_one_reward_are_refuted_by_the_genotypes_both_know(countries):
    evidence = evidence_of_estimate(countries)
    with pytest.raises(InfeasibleRestrictionError) as stop:
        assume(evidence, {"level_type_effect": 0.3}, reward_range=RANGE)
    words = "; ".join(stop.value.constraints)
    ends = [SHARED[i] for i in (int(apart(countries).argmin()), int(apart(countries).argmax()))]
    assert ends == ["TMS1", "Game Changer"]
    assert all(f"r(overall, {country}, {item})" in words for country in ("Nigeria", "Cameroon") for item in ends)


def test_no_kappa_settles_tms6_against_sape_and_one_settles_tms6_against_akpu(countries):
    evidence, spread = evidence_of_estimate(countries), float(np.ptp(apart(countries)))
    pairs = [("TMS6", "Sape"), ("TMS6", "Akpu")]
    found = assume(evidence, {"level_type_effect": 0.8}, reward_range=RANGE, contrasts=pairs)
    # Levels are free, so the countries' scores must meet halfway.
    assert float(found["smallest_feasible"].squeeze()) == pytest.approx(spread / 2, abs=1e-8)
    assert spread / 2 == pytest.approx(0.746, abs=0.001)
    flip = found["contrast_breakdown"].squeeze()
    assert np.isnan(flip.sel(contrast="TMS6 - Sape")).all()
    for country in ("Nigeria", "Cameroon"):
        ends = [
            by_program(countries, spread / 2 + 1e-9, country, *pair) for pair in (("TMS6", "Sape"), ("Sape", "TMS6"))
        ]
        assert min(ends) > 0
    # Nigeria knows TMS6 against Akpu (+1.86); in Cameroon each end may move by kappa.
    score = countries["score"].sel(state="overall", context="Nigeria")
    lead = float(score.sel(item="TMS6") - score.sel(item="Akpu"))
    assert np.isinf(flip.sel(contrast="TMS6 - Akpu", type="Nigeria"))
    assert float(flip.sel(contrast="TMS6 - Akpu", type="Cameroon")) == pytest.approx(lead / 2, abs=1e-8)
    assert by_program(countries, lead / 2 - 1e-6, "Cameroon", "Akpu", "TMS6") <= 1e-8
    assert by_program(countries, lead / 2 + 1e-5, "Cameroon", "Akpu", "TMS6") > 1e-6
    # Pooled without a word, the table would print TMS6 above Sape by 0.32.


def test_bounds_from_kappa_zero_to_the_range_nest_and_equal_a_dense_program(countries):
    kappas = [0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5]
    found = sweep(
        evidence_of_estimate(countries), {}, "level_type_effect", kappas, reward_range=RANGE, items=["TMS6", "Sape"]
    )
    assert found["share_refuted"].values.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    for kappa in kappas[2:]:
        for country in ("Nigeria", "Cameroon"):
            here = found.sel(PAIR | {"parameter": kappa, "type": country})
            upper = by_program(countries, kappa, country, "TMS6", "Sape")
            lower = -by_program(countries, kappa, country, "Sape", "TMS6")
            np.testing.assert_allclose([here["difference_lower"], here["difference_upper"]], [lower, upper], atol=1e-7)
            # Two actions, d in [l, u]: V = -l u / (u - l).
            assert float(here["value"]) == pytest.approx(-lower * upper / (upper - lower), abs=1e-7)
    fits = found.isel(parameter=slice(2, None))
    assert (fits["difference_upper"].diff("parameter") >= -1e-9).all()
    assert (fits["value"].diff("parameter") >= -1e-9).all()
    last = fits.isel(parameter=-1)
    np.testing.assert_allclose(last["value"], last["value_without"], atol=1e-9)


@pytest.mark.slow
def test_a_posterior_of_the_countries_says_the_same_draw_by_draw(eba):
    options = {"types_observed": True, "reward_scale": 1.0}
    fitted = workflow.fit(
        "latent_types", eba, rng_key=0, options=options, chains=1, warmup=100, draws=200, n_starts=1, progress=False
    )
    tree = workflow.analyse(fitted, reward_range=(0.0, 3.5), regions="state_type", items=["TMS6", "Sape", "Akpu"])
    assert tree["posterior"]["type"].values.tolist() == ["Cameroon", "Nigeria"]
    with pytest.warns(DroppedDraws, match="levels differ at most 0.8 between types"):
        result = bounds(tree, {"level_type_effect": 0.8}, contrasts=[("TMS6", "Sape")], breakdown_draws=40)
    group = result["bounds"].to_dataset()
    assert group["item"].values.tolist() == ["Akpu", "Sape", "TMS6"]
    assert 0.01 < group.attrs["share_refuted"] < 0.7
    assert (group["difference_lower"].sel(PAIR) < 0).all()
    assert (group["difference_upper"].sel(PAIR) > 0).all()
    assert np.isnan(group["contrast_breakdown"]).all()
    assert float(group["smallest_feasible"].squeeze()) == pytest.approx(0.746, abs=0.15)
    lead = float(group["difference_lower"].sel(state="overall", type="Nigeria", item="TMS6", item_other="Akpu"))
    assert lead == pytest.approx(1.8, abs=0.25)
    assert (group["value"] <= group["value_without"] + 1e-9).all()
    # Under Gamma every fitted draw stands: nothing is refuted, and the odds of TMS6 over Akpu are the breakdown.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tilted = bounds(tree, {"gamma": 1.2}, contrasts=[("TMS6", "Akpu")], breakdown_draws=20)["bounds"]
    assert tilted.attrs["share_refuted"] == 0.0
    assert float(tilted["contrast_breakdown"].sel(type="Nigeria").squeeze()) > 2.0


def test_the_left_party_leads_the_greens_in_the_east_up_to_an_odds_tilt_of_1_3(data_folder):
    voters = read_comparisons(
        data_folder / "gles2013_parties" / "comparisons.csv",
        adapter="labels",
        columns={"annotator": "rater_id", "context": "region"},
    )
    estimate = maximum_likelihood(voters, by=("state", "context"))
    evidence = evidence_of_estimate(estimate, voters)
    pair = ("Left_Party", "Greens")
    found = assume(evidence, {"gamma": 1.5}, reward_range=(0.0, 2.0), contrasts=[pair])
    flip = found["contrast_breakdown"].squeeze()
    lead = estimate["difference"].squeeze().sel(item=pair[0], item_other=pair[1])
    # Documented: +0.26 in the East, [0.16, 0.35] over people; -0.88 in the West, [-0.97, -0.81].
    for region, documented, interval in (("East", 0.26, (0.16, 0.35)), ("West", 0.88, (0.81, 0.97))):
        gamma = float(flip.sel(type=region))
        assert gamma == pytest.approx(np.exp(documented), abs=0.02)
        assert np.exp(interval[0]) < gamma < np.exp(interval[1])
        # Every pair was compared, so no path beats the direct edge: the tilt of one cell, in closed form.
        assert gamma == pytest.approx(float(breakdown_gamma(expit(lead.sel(context=region)))), abs=1e-8)
    assert float(lead.sel(context="East")) > 0 > float(lead.sel(context="West"))
    inside = found.sel(item=pair[0], item_other=pair[1], state=found["state"].values[0])
    assert (float(inside["difference_lower"].sel(type="East")), float(inside["difference_upper"].sel(type="West"))) == (
        pytest.approx(float(lead.sel(context="East")) - np.log(1.5)),
        pytest.approx(float(lead.sel(context="West")) + np.log(1.5)),
    )
    # First and second (CDU/CSU and SPD) are close in both regions: the preferred party flips long before.
    assert (found["breakdown"].squeeze() < 1.1).all()


def test_mtbench_is_settled_by_category_and_by_kind_of_rater_but_not_judge_by_judge(data_folder):
    frame = pd.read_csv(data_folder / "mtbench_human" / "comparisons.csv")
    votes = read_comparisons(frame, adapter="labels", columns={"annotator": "rater_id"})
    reward = evidence_of_estimate(maximum_likelihood(votes)).reward
    width = 6.0

    def settled(column):
        """Regret V of every cell (category, whose votes), and how many components its six models form."""
        kinds = sorted(frame[column].unique())
        component = np.empty((8, len(kinds), 6), dtype=np.int64)
        for (s, state), (k, kind) in ((x, y) for x in enumerate(votes.states) for y in enumerate(kinds)):
            own = frame[(frame["state"] == state) & (frame[column] == kind)]
            graph = np.zeros((6, 6))
            for a, b in zip(own["item_a"], own["item_b"], strict=True):
                graph[votes.items.index(a), votes.items.index(b)] = 1.0
            component[s, k] = connected_components(graph, directed=False)[1]
        coords = {"state": list(votes.states), "type": kinds, "item": list(votes.items)}
        labels = xr.DataArray(component, dims=("state", "type", "item"), coords=coords)
        draws = reward.isel(type=0, drop=True).expand_dims({"type": kinds}).transpose("draw", *labels.dims)
        found = assume(Evidence(draws, labels), {}, reward_range=(0.0, width), breakdown_draws=0)
        return found["value"].values, component.max(-1) + 1

    pooled = assume(evidence_of_estimate(maximum_likelihood(votes)), {}, reward_range=(0.0, width))
    np.testing.assert_array_equal(pooled["value"].values, np.zeros((8, 1)))
    value, count = settled("rater_type")
    np.testing.assert_array_equal(value, np.zeros((8, 2)))
    value, count = settled("rater_id")
    assert (count.size, (count == 1).sum(), (count == 6).sum()) == (520, 64, 57)
    np.testing.assert_array_equal(value == 0.0, count == 1)
    np.testing.assert_allclose(value[count == 6], width * (1 - 1 / 6), atol=1e-9)
