"""Audits find the comparisons that a healthy-looking least eigenvalue rests on."""

import numpy as np
import pytest
from scipy.stats import norm

from bayespref.design.adequacy import adequacy
from bayespref.design.audit import bucket_costs, quadrants, worst_map, worst_pairs
from bayespref.design.registry import Intervention
from bayespref.information import fisher, overlap

RNG = np.random.default_rng(5)
W = np.array([1.0, 0.5])


def collinear(n=500, odd=5):
    """Two features that always move together, but for a few odd comparisons."""
    rows = RNG.normal(size=(n, 1)) * np.ones(2)
    rows[:odd] *= [1.0, -1.0]
    return rows


def test_loads_add_up_to_the_least_eigenvalue():
    dz = RNG.normal(size=(200, 3))
    w = np.array([0.5, -1.0, 0.2])
    got = worst_pairs(dz, w, rng=np.random.default_rng(0))
    value = overlap(fisher(dz, w)).lambda_min
    assert got.lambda_min == pytest.approx(float(value))
    assert got.load.sum() == pytest.approx(1.0)
    by_hand = [np.exp(u := row @ w) / (1 + np.exp(u)) ** 2 * (row @ got.direction) ** 2 for row in dz]
    np.testing.assert_allclose(got.load, np.array(by_hand) / np.sum(by_hand))
    assert np.mean(by_hand) == pytest.approx(float(value))


def test_overlap_that_rests_on_five_odd_pairs_is_seen_and_they_are_sampled():
    dz = collinear()
    got = worst_pairs(dz, W, rng=np.random.default_rng(0), k=5)
    assert set(got.review) == set(range(5))
    assert got.half <= 5
    assert got.effective <= 5
    assert got.without == pytest.approx(0.0, abs=1e-12)
    even = worst_pairs(RNG.normal(size=(500, 2)), W, rng=np.random.default_rng(0), k=5)
    assert even.half > 20
    assert even.without > 0.7 * even.lambda_min


def test_a_direction_without_information_has_no_pairs_to_read():
    got = worst_pairs(collinear(odd=0), W, rng=np.random.default_rng(0))
    assert (got.reason, len(got.review)) == ("no_overlap", 0)
    assert np.isnan(got.load).all()


def test_review_rows_are_drawn_in_proportion_to_their_load():
    dz = np.array([[1.0], [2.0], [3.0]])
    rng = np.random.default_rng(0)
    first = np.bincount([worst_pairs(dz, np.zeros(1), rng=rng, k=1).review[0] for _ in range(3000)], minlength=3)
    np.testing.assert_allclose(first / 3000, np.array([1, 4, 9]) / 14, atol=4 * 0.5 / np.sqrt(3000))


def test_named_factor_pairs_get_their_quadrants_and_words():
    dz = np.column_stack([collinear(odd=5), RNG.normal(size=500), np.zeros(500)])
    table = quadrants(dz, ("help", "long", "free", "still"), [("help", "long"), ("help", "free"), ("help", "still")])
    assert table["reason"].tolist() == ["no_overlap", "", "no_overlap"]
    assert table["antipodal_min"][0] == pytest.approx(0.01)
    assert "against each other in 1.0%" in table["words"][0]
    assert "no comparison moves both" in table["words"][2]
    with pytest.raises(ValueError, match="unknown features \\['tone'\\]"):
        quadrants(dz, ("help", "long", "free", "still"), [("help", "tone")])


def test_the_verdict_over_feature_maps_is_the_worst_maps():
    x = RNG.normal(size=(400, 2))
    nearly = np.column_stack([x[:, 0], x[:, 0] + 1e-3 * x[:, 1]])
    got = worst_map({"plain": x, "nearly": nearly, "units": x * [1.0, 1e6]})
    assert (got.worst, got.passed) == ("nearly", False)
    assert got.kappa[2] == pytest.approx(got.kappa[0])
    assert worst_map({"plain": x}).passed
    with pytest.raises(ValueError, match="same comparisons"):
        worst_map({"plain": x, "short": x[:3]})
    with pytest.raises(ValueError, match="at least one feature map"):
        worst_map({})


def test_costs_by_bucket_follow_acceptance_and_information():
    rows = [
        Intervention("shorten", "length", 1.0, "v1", attempts={"fr": 100, "de": 100}, accepted={"fr": 50, "de": 10}),
        Intervention("soften", "tone", 2.0, "v1", attempts={"fr": 10}, accepted={"fr": 10}),
    ]
    table = bucket_costs(rows, ["fr", "de"], np.array([[0.5, 0.0], [0.5, 1.0]]))
    mean = (50 + 0.5) / 101
    assert table["cost"][0] == pytest.approx(1 / mean)
    assert table["cost_per_information"][0] == pytest.approx(2 / mean)
    assert np.isinf(table["cost_per_information"][1])
    assert table["reason"].tolist() == ["", "", "", "no_data"]
    assert np.isnan(table["cost"][3])
    with pytest.raises(ValueError, match="information: must have shape"):
        bucket_costs(rows, ["fr"], np.ones((2, 2)))


def test_standard_errors_of_claims_are_those_of_the_inverse_information():
    dz = RNG.normal(size=(300, 2)) * [1.0, 1e-3]
    claims = {"one": np.array([1.0, 0.0]), "mix": np.array([1.0, -2e-3])}
    table = adequacy(dz, W, claims, 1.0, rng=np.random.default_rng(0), n_boot=50)
    inverse = np.linalg.inv(300 * fisher(dz, W))
    np.testing.assert_allclose(table["se"], [np.sqrt(c @ inverse @ c) for c in claims.values()])
    needed = 1.0 / (norm.ppf(0.975) + norm.ppf(0.8))
    np.testing.assert_allclose(table["times"], (table["se"] / needed) ** 2)


def test_a_trade_off_that_never_moved_could_not_have_been_learned():
    claims = {"level": np.array([1.0, 1.0]), "trade-off": np.array([1.0, -1.0])}
    table = adequacy(collinear(odd=0), W, claims, 1.0, rng=np.random.default_rng(0), n_boot=50)
    assert table["verdict"].tolist() == ["yes", "no"]
    assert table["reason"].tolist() == ["", "no_overlap"]
    assert np.isinf(table["se"][1])
    assert "no number of their kind would do" in table["words"][1]
    few = adequacy(collinear(odd=5), W, claims, 1.0, rng=np.random.default_rng(0), n_boot=200)
    assert few["verdict"][1] != "yes"
    assert few["reason"][1] == "thin"


def test_repeating_the_rows_of_a_person_makes_no_claim_surer():
    dz = RNG.normal(size=(40, 2))
    who = np.repeat(np.arange(40), 25)
    many = np.repeat(dz, 25, axis=0)
    claims = {"first": np.array([1.0, 0.0])}
    plain = adequacy(many, W, claims, 0.3, rng=np.random.default_rng(0))
    by_person = adequacy(many, W, claims, 0.3, rng=np.random.default_rng(0), cluster=who)
    assert by_person["se_upper"][0] > plain["se_upper"][0]


@pytest.mark.slow
def test_a_yes_means_the_power_it_states(promise):
    """An effect of the smallest size is told from zero in at least 80 % of samples (1,000 samples)."""
    dz = np.random.default_rng(1).normal(size=(300, 1))
    size = 0.4
    table = adequacy(dz, np.array([size]), {"it": np.array([1.0])}, size, rng=np.random.default_rng(0))
    n = int(np.ceil(300 * table["times"][0]))
    rng, found = np.random.default_rng(2), 0
    for _ in range(1000):
        x = dz[rng.integers(300, size=n), 0]
        y = rng.random(n) < 1 / (1 + np.exp(-size * x))
        b = 0.0
        for _ in range(25):
            p = 1 / (1 + np.exp(-b * x))
            b += (x @ (y - p)) / (x * x * p * (1 - p)).sum()
        found += abs(b) * np.sqrt((x * x * p * (1 - p)).sum()) > norm.ppf(0.975)
    assert found / 1000 <= 0.8 + 4 * 0.013, (found, n)
    promise.share("adequacy, power of .8: the smallest effect is told from zero", found, 1000, 0.8, "at least")


BAD = {
    "no rows": ({"dz": np.zeros((0, 2))}, "dz: must have shape"),
    "NaN": ({"dz": np.full((3, 2), np.nan)}, "dz"),
    "zero claim": ({"claims": {"none": np.zeros(2)}}, "claims: each must be"),
    "long claim": ({"claims": {"long": np.ones(3)}}, "claims: each must be"),
    "no claim": ({"claims": {}}, "claims: needs at least one"),
    "size": ({"smallest": 0.0}, "smallest"),
    "level": ({"level": 0.2}, "level"),
    "boot": ({"n_boot": 0}, "n_boot"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_claims_are_refused(change, message):
    given = {"dz": np.eye(2), "w": W, "claims": {"one": np.array([1.0, 0.0])}, "smallest": 1.0} | change
    with pytest.raises(ValueError, match=message):
        adequacy(rng=np.random.default_rng(0), **given)


def test_worst_pairs_refuses_an_empty_table_and_a_review_of_none():
    with pytest.raises(ValueError, match="at least one comparison"):
        worst_pairs(np.zeros((0, 2)), W, rng=RNG)
    with pytest.raises(ValueError, match="k: must be >= 1"):
        worst_pairs(np.eye(2), W, rng=RNG, k=0)
