"""Regions of feature differences: worst cases against brute force and linear programs, policies against plain words."""

import json
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.special import expit

from bayespref import load_train_tickets
from bayespref.defer.feature_regions import feature_policy_from, score_feature_regions
from bayespref.defer.features import FeaturePolicy, bin_boxes, bin_labels
from bayespref.defer.pairs import box_vertices, pair_scores, unidentified
from bayespref.defer.policy import from_scores
from bayespref.errors import ModelError, PolicyFileError
from bayespref.provenance import content_hash
from bayespref.workflow import fit
from bayespref.workflow.features import feature_policy, feature_scores

SEEDS = st.integers(0, 2**32 - 1)
KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


def random_case(seed, n_draws=7, n_types=2, n_features=2, n_regions=3):
    rng = np.random.default_rng(seed)
    coefficient = rng.normal(size=(n_draws, n_types, n_features))
    mix = rng.dirichlet(np.ones(n_types), size=(n_draws, 2))
    low = rng.normal(size=(n_regions, n_features))
    return rng, coefficient, mix, low, low + rng.exponential(size=low.shape)


# ---------------------------------------------------------------------------- worst cases


@settings(max_examples=15)
@given(SEEDS)
def test_no_case_of_a_box_costs_more_than_its_score_and_a_corner_costs_as_much(seed):
    rng, coefficient, mix, low, high = random_case(seed)
    blind = rng.random((2, 3)) < 0.3
    found = pair_scores(coefficient, mix, box_vertices(low, high), blind=blind, widest=5.0, alpha=0.3)
    for g, r in np.ndindex(2, 3):
        points = np.vstack([rng.uniform(low[r], high[r], size=(15, 2)), box_vertices(low, high)[r]])
        cost = {"chow": [], "credible": [], "set_pure": []}
        for x in points:
            regret, worst = [], []
            for i in range(7):
                d = sum(mix[i, g, c] * coefficient[i, c] @ x for c in range(2))
                lower = sum(mix[i, g, c] * (-5.0 if blind[c, r] else coefficient[i, c] @ x) for c in range(2))
                upper = sum(mix[i, g, c] * (5.0 if blind[c, r] else coefficient[i, c] @ x) for c in range(2))
                regret.append([max(-d, 0.0), max(d, 0.0)])
                worst.append([max(-lower, 0.0), max(upper, 0.0)])
            cost["chow"].append(np.mean(regret, axis=0))
            cost["set_pure"].append(np.mean(worst, axis=0))
            cost["credible"].append(np.sort(regret, axis=0)[4])  # 5 of 7: the least count that is at least 70 %
        for rule in ("chow", "set_pure"):
            np.testing.assert_allclose(getattr(found, rule)[g, r], np.max(cost[rule], axis=0), atol=1e-12)
        assert (found.credible[g, r] >= np.max(cost["credible"], axis=0) - 1e-12).all()


@settings(max_examples=25)
@given(SEEDS)
def test_the_value_of_a_coin_is_that_of_a_linear_program(seed):
    rng, coefficient, mix, low, high = random_case(seed, n_draws=4)
    blind = rng.random((2, 3)) < 0.3
    corners = box_vertices(low, high)
    found = pair_scores(coefficient, mix, corners, blind=blind, widest=2.0)
    for g, r in np.ndindex(2, 3):
        # variables: chance of item_a, the value, and the regret of each (corner, draw)
        n = 4 * 4
        rows, right = [], []
        for v in range(4):
            total = np.zeros(2 + n)
            total[1] = -1.0
            for i in range(4):
                k = 2 + 4 * v + i
                total[k] = 0.25
                d = [coefficient[i, c] @ corners[r, v] for c in range(2)]
                lower = sum(mix[i, g, c] * (-2.0 if blind[c, r] else d[c]) for c in range(2))
                upper = sum(mix[i, g, c] * (2.0 if blind[c, r] else d[c]) for c in range(2))
                for slope, at_zero in ((-lower, 0.0), (-upper, upper)):
                    row = np.zeros(2 + n)
                    row[0], row[k] = slope, -1.0
                    rows.append(row)
                    right.append(-at_zero)
            rows.append(total)
            right.append(0.0)
        bounds = [(0, 1), (None, None)] + [(None, None)] * n
        solved = linprog(np.r_[0, 1, np.zeros(n)], A_ub=np.array(rows), b_ub=right, bounds=bounds)
        assert found.set_random[g, r] == pytest.approx(solved.fun, abs=1e-7)


def test_any_polytope_is_scored_at_its_corners():
    """w = (1, -1) over the triangle (0,0), (2,0), (0,1): item_a loses at most 1, item_b at most 2."""
    triangle = np.array([[[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]])
    found = pair_scores(np.array([[[1.0, -1.0]]]), np.ones((1, 1, 1)), triangle, blind=np.zeros((1, 1), bool), widest=9)
    assert found.set_pure.tolist() == [[[1.0, 2.0]]]
    assert found.set_random[0, 0] == pytest.approx(2 / 3)  # l = -1, u = 2: -l u / (u - l)


def test_without_a_range_a_blind_region_is_unbounded_and_a_seen_one_is_not():
    corners = box_vertices(np.array([[1.0], [3.0]]), np.array([[2.0], [4.0]]))
    blind = np.array([[False, True]])
    found = pair_scores(np.ones((3, 1, 1)), np.ones((3, 1, 1)), corners, blind=blind, widest=np.inf)
    assert found.set_pure.tolist() == [[[0.0, 2.0], [np.inf, np.inf]]]
    assert found.set_random[0].tolist() == [0.0, np.inf]


@given(SEEDS)
def test_what_is_identified_is_what_leaves_the_rank_unchanged(seed):
    rng = np.random.default_rng(seed)
    compared = rng.integers(-2, 3, size=(3, 4)).astype(float) * [1.0, 1e4, 1e-3, 1.0]
    counts = rng.integers(0, 2, size=(3, 2)).astype(float)
    corners = np.vstack([compared, rng.integers(-2, 3, size=(3, 4)) * [1.0, 1e4, 1e-3, 1.0]])[:, None, :]
    found = unidentified(compared, counts, corners)
    for c, r in np.ndindex(2, 6):
        rows = compared[counts[:, c] >= 1] / [1.0, 1e4, 1e-3, 1.0]
        more = np.vstack([rows, corners[r] / [1.0, 1e4, 1e-3, 1.0]])
        rank = np.linalg.matrix_rank(rows) if len(rows) else 0
        assert found[c, r] == (np.linalg.matrix_rank(more) > rank)


# ---------------------------------------------------------------------------- policies

BINS = {"price": [-20.0, -5.0, 0.0, 5.0, 20.0], "time": [-1.0, 1.0, 3.0]}


def small_policy(groups=()):
    labels, _, _ = bin_boxes(BINS)
    rows = [(*group, *label) for group in (groups or [()]) for label in labels if label[1] == "[-1, 1)"]
    n = len(rows)
    policy = from_scores(
        np.tile([0.0, 0.15, 0.9, 0.1], n // 4),
        np.tile([0, 0, 1, 1], n // 4),
        labels=rows,
        items=["item_a", "item_b"],
        c_defer=0.2,
        data_hash="h",
        assumptions=["linear"],
        region=[*(["context"] if groups else []), *BINS],
    )
    return FeaturePolicy({name: tuple(edges) for name, edges in BINS.items()}, policy)


def by_hand(price, hours):
    """The small policy in plain words."""
    if np.isnan(price) or np.isnan(hours):
        return "defer", None, "missing_value"
    if not -1 <= hours < 1 or not -20 <= price <= 20:
        return "defer", None, "unseen_state"
    if 0 <= price < 5:
        return "defer", None, "score_above_threshold"
    return "act", "item_a" if price < 0 else "item_b", "score_below_threshold"


@pytest.mark.parametrize("kind", KINDS)
def test_frames_single_cases_and_plain_words_agree(kind):
    special = [-21.0, -20.0, -5.0, 0.0, -0.0, 4.999, 5.0, 20.0, 20.5, np.nan, np.inf, -np.inf]
    rng = np.random.default_rng(0)
    first, second = rng.choice(special, size=4000), rng.choice([0.0, 0.0, 0.0, np.inf, np.nan, 5.0], size=4000)
    time_a = rng.choice([-1.0, 0.0, 0.999, 1.0, 3.0, np.nan], size=4000)
    columns = {"price_a": first, "price_b": second, "time_a": time_a, "time_b": np.zeros(4000), "id": np.arange(4000)}
    policy = small_policy()
    answers = policy.predict(KINDS[kind](columns))
    assert isinstance(answers, type(KINDS[kind](columns)))
    rows = pa.table({name: pa.array(answers[name]) for name in ("decision", "action", "reason", "id")}).to_pylist()
    for i, row in enumerate(rows):
        with np.errstate(invalid="ignore"):
            expected = by_hand(first[i] - second[i], time_a[i])
        action = None if row["action"] is None or row["action"] != row["action"] else row["action"]
        assert (row["decision"], action, row["reason"]) == expected
        assert policy.lookup({name: columns[name][i] for name in columns})[:3] == expected
    assert {row["decision"] for row in rows} == {"act", "defer"}


def test_groups_are_read_from_the_case_and_unknown_ones_defer():
    policy = small_policy(groups=[("young",), ("old",)])
    case = {"price_a": 0.0, "price_b": 10.0, "time_a": 0.0, "time_b": 0.0}
    frame = pd.DataFrame([{**case, "context": c} for c in ("young", "new", None)])
    assert policy.predict(frame)["reason"].tolist() == ["score_below_threshold", "unseen_state", "missing_value"]
    assert policy.lookup({**case, "context": "old"}).decision == "act"
    assert policy.lookup(case).reason == "missing_value"


def test_text_in_a_feature_column_is_an_error_and_in_a_single_case_a_missing_value():
    policy = small_policy()
    good = {"price_a": [1.0], "price_b": [1.0], "time_a": [0.0], "time_b": [0.0]}
    for bad in (["1.0"], [True], [object()]):
        with pytest.raises(TypeError, match="price_a"):
            policy.predict(pd.DataFrame({**good, "price_a": pd.Series(bad, dtype=object)}))
    with pytest.raises(ValueError, match="time_b"):
        policy.predict(pd.DataFrame(good).drop(columns="time_b"))
    with pytest.raises(ValueError, match="overwritten"):
        policy.predict(pd.DataFrame({**good, "decision": ["act"]}))
    for odd in ("1.0", True, None, object(), 10**400):
        assert policy.lookup({"price_a": odd, "price_b": 1.0, "time_a": 0.0, "time_b": 0.0}).decision == "defer"
    assert policy.predict(pd.DataFrame({**good, "price_a": [None]}))["reason"].tolist() == ["missing_value"]


def test_the_words_and_the_table_name_bins_and_reasons():
    policy = small_policy()
    words = policy.explain({"price_a": 1.0, "price_b": 0.0, "time_a": 0.0, "time_b": 0.0})
    assert "price '[0, 5)'" in words
    assert "defer. The score (set_pure, in log-odds) is 0.9; the threshold is 0.2" in words
    assert "missing" in policy.explain({"price_a": 1.0})
    assert "outside" in policy.explain({"price_a": 99.0, "price_b": 0.0, "time_a": 0.0, "time_b": 0.0})
    table = policy.to_table()
    assert table[["price_low", "price_high"]].values.tolist() == [[-20, -5], [-5, 0], [0, 5], [5, 20]]


def test_the_file_reads_back_to_the_same_ten_thousand_answers(tmp_path):
    policy = small_policy()
    again = FeaturePolicy.load(policy.save(tmp_path / "policy.json"))
    rng = np.random.default_rng(1)
    frame = pa.table({f"{name}_{side}": rng.normal(0, 9, 10_000) for name in BINS for side in "ab"})
    assert again.predict(frame).equals(policy.predict(frame))
    assert again.to_json() == policy.to_json()


def damaged(change, *, inner=False):
    fields = json.loads(small_policy().to_json())
    change(fields)
    if inner:
        fields["policy"]["content_hash"] = content_hash(fields["policy"])
    fields["content_hash"] = content_hash(fields)
    return json.dumps(fields)


def test_damaged_files_are_refused():
    text = small_policy().to_json().rstrip()
    for length in range(0, len(text), 11):
        with pytest.raises(PolicyFileError):
            FeaturePolicy.from_json(text[:length])
    edits = {
        "format_version": lambda f: f.update(format_version="2.0.0"),
        "ascend": lambda f: f["bins"][0].update(edges=[0.0, 0.0, 1.0]),
        "no bins of 'price'": lambda f: f["bins"][0].update(edges=[-20.0, -5.0, 0.0, 6.0, 20.0]),
        "twice": lambda f: f["bins"].append(f["bins"][0]),
        "edges": lambda f: f["bins"][0].update(edges=[0.0, None]),
        "last region columns": lambda f: f["bins"].reverse(),
        "extra": lambda f: f.update(extra=1),
        "content_hash": lambda f: f["policy"]["regions"][2].update(threshold=5.0),
    }
    for message, change in edits.items():
        with pytest.raises(PolicyFileError, match=message):
            FeaturePolicy.from_json(damaged(change))

    def twice(fields):
        fields["policy"]["regions"].append(fields["policy"]["regions"][0])

    with pytest.raises(PolicyFileError, match="twice"):
        FeaturePolicy.from_json(damaged(twice, inner=True))
    with pytest.raises(PolicyFileError, match="content_hash"):
        FeaturePolicy.from_json(text.replace("-5.0", "-6.0"))
    with pytest.raises(PolicyFileError, match="not a number"):
        FeaturePolicy.from_json(text.replace("-5.0", "NaN", 1))


@given(st.data())
def test_random_damage_is_refused_or_changes_nothing(data):
    text = small_policy().to_json()
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.text(st.characters(codec="ascii"), max_size=3))
    broken = text[:at] + new + text[at + data.draw(st.integers(0, 3)) :]
    try:
        policy = FeaturePolicy.from_json(broken)
    except PolicyFileError:
        return
    assert policy.to_json() == text


def test_bins_and_policies_that_contradict_each_other_are_not_built():
    policy = small_policy()
    with pytest.raises(ValueError, match="ascend"):
        bin_boxes({"price": [0.0]})
    with pytest.raises(ValueError, match="price"):
        bin_boxes({"price": [0.0, np.nan]})
    with pytest.raises(ValueError, match="at least one"):
        bin_boxes({})
    with pytest.raises(ValueError, match="no bins"):
        FeaturePolicy({**policy.edges, "time": (0.0, 1.0)}, policy.policy)
    assert bin_labels([0.1, 0.30000000000000004]) == ("[0.1, 0.30000000000000004]",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_million_cases_take_less_than_a_cpu_second(kind):
    rng = np.random.default_rng(0)
    frame = KINDS[kind]({f"{name}_{side}": rng.normal(0, 9, 1_000_000) for name in BINS for side in "ab"})
    policy = small_policy()
    seconds = []
    for _ in range(3):
        start = time.process_time()
        policy.predict(frame)
        seconds.append(time.process_time() - start)
    print(f"{kind}: {min(seconds):.3f} CPU s for a million cases")
    assert min(seconds) < 1.0


# ---------------------------------------------------------------------------- from draws to decisions


def world(seed=0, n_draws=200):
    """Two known types; the second one never compared items that differ in ``comfort``."""
    rng = np.random.default_rng(seed)
    truth = np.array([[-1.0, 1.0], [-0.5, 3.0]])
    compared = rng.normal(size=(60, 2))
    compared[30:, 1] = 0.0
    counts = np.zeros((60, 2))
    counts[:30, 0], counts[30:, 1] = 20.0, 20.0
    draws = np.empty((n_draws, 2, 2))
    for c in range(2):  # Laplace with a N(0, 3^2) prior
        x, n = compared[counts[:, c] > 0], 20.0
        wins = rng.binomial(20, expit(x @ truth[c]))
        w = np.zeros(2)
        for _ in range(50):
            p = expit(x @ w)
            hessian = (x.T * n * p * (1 - p)) @ x + np.eye(2) / 9
            w = w + np.linalg.solve(hessian, x.T @ (wins - n * p) - w / 9)
        draws[:, c] = rng.multivariate_normal(w, np.linalg.inv(hessian), size=n_draws)
    return truth, compared, counts, draws


GRID = {"price": [-2.0, -1.0, 0.0, 1.0, 2.0], "comfort": [-2.0, -1.0, 0.0, 1.0, 2.0]}


def scored(draws, compared, counts, *, by_type=True, **options):
    n = len(draws)
    weights = np.broadcast_to(np.eye(2), (n, 2, 2)) if by_type else np.full((n, 1, 2), 0.5)
    chosen = {"range_width": 12.0, "least_count": 0.0, **options}
    groups = {"groups": [("one",), ("two",)], "columns": ["type"]} if by_type else {}
    return score_feature_regions(draws, weights, GRID, compared=compared, counts=counts, **groups, **chosen)


def test_a_type_that_never_saw_a_feature_differ_defers_and_the_other_type_acts():
    _, compared, counts, draws = world()
    found = scored(draws, compared, counts)
    policy = feature_policy_from(found, c_defer=0.5, rule="set_pure", data_hash="h")
    table = policy.to_table()
    two = table["type"] == "two"
    assert (table.loc[two, "decision"] == "defer").all()
    assert (table.loc[two, "reason"] == "no_overlap").all()
    assert (table.loc[~two, "decision"] == "act").sum() >= 8
    assert found["set_pure"].values[16:] == pytest.approx(found.attrs["range_width"])
    # Draws alone would act there; the rule that reads draws is held back by the flag.
    chow = feature_policy_from(found, c_defer=2.0, rule="chow", data_hash="h").to_table()
    assert (found["c_chow"].values[16:] < 2.0).any()
    assert (chow.loc[two, "decision"] == "defer").all()


def test_types_mixed_the_unknown_half_bounds_what_a_region_can_cost():
    _, compared, counts, draws = world()
    found = scored(draws, compared, counts, by_type=False)
    assert (found["flag"].values == "no_overlap").all()
    assert (found["c_set_pure"].values > 12.0 / 2 - 3.0).all()
    assert (found["c_set_random"].values <= found["c_set_pure"].values + 1e-9).all()


def test_regions_without_comparisons_nearby_defer_unless_linearity_is_believed():
    _, compared, counts, draws = world()
    inside = (np.abs(compared) < 0.8).all(1)
    near = scored(draws, compared[inside], counts[inside], least_count=1.0)
    one = near.isel(region=slice(0, 16))
    mirrored = one["n_compared"].values.reshape(4, 4)
    assert (mirrored == mirrored[::-1, ::-1]).all()  # a comparison speaks of its mirror image, too
    assert ((one["flag"].values == "no_data") == (one["n_compared"].values == 0)).all()
    assert (one["c_set_pure"].values[one["flag"].values == "no_data"] == 12.0).all()
    believed = scored(draws, compared[inside], counts[inside]).isel(region=slice(0, 16))
    assert (believed["flag"].values == "").all()


def test_swapping_the_two_items_swaps_the_decision():
    _, compared, counts, draws = world()
    found = scored(draws, compared, counts).isel(region=slice(0, 16))
    for rule in ("chow", "credible", "set_pure"):
        cube = found[rule].values.reshape(4, 4, 2)
        np.testing.assert_allclose(cube, cube[::-1, ::-1, ::-1], atol=1e-12)


def test_a_range_that_the_draws_exceed_is_widened_and_named():
    _, compared, counts, draws = world()
    found = scored(draws, compared, counts, range_width=0.5)
    seen = max(np.abs(draws[:, c] @ compared[counts[:, c] > 0].T).max() for c in range(2))
    assert found.attrs["range_width"] >= seen
    assert "widened from 0.5" in " ".join(found.attrs["assumptions"])


@pytest.mark.slow
def test_where_the_policy_acts_the_true_regret_stays_below_the_price_nine_times_in_ten(promise):
    """40 worlds, 20 cases a region: rule credible at level .9, price .3; regions of one world are not independent."""
    held, acted = [], 0
    for seed in range(40):
        truth, compared, counts, draws = world(seed)
        found = scored(draws, compared, counts)
        policy = feature_policy_from(found, c_defer=0.3, rule="credible", data_hash="h")
        x = np.random.default_rng(seed).uniform(-2, 2, size=(320, 2))
        frame = pd.DataFrame({"price_a": x[:, 0], "comfort_a": x[:, 1], "price_b": 0.0, "comfort_b": 0.0})
        answers = policy.predict(frame.assign(type="one"))
        act = (answers["decision"] == "act").to_numpy()
        sign = np.where(answers["action"] == "item_a", 1.0, -1.0)
        regret = np.maximum(-sign * (x @ truth[0]), 0.0)[act]
        held.append((regret <= 0.3).mean())
        acted += act.mean() / 40
    assert np.mean(held) > 0.9
    promise.mean("policy over features, rule credible at .9: regret within the price", held, 0.9, "at least")
    assert acted > 0.5


TICKETS = {
    "price": [-30.0, -10.0, -2.0, 2.0, 10.0, 30.0],
    "time": [-1.0, -0.25, -0.05, 0.05, 0.25, 1.0],
    "change": [-0.01, 0.01],
    "comfort": [-0.01, 0.01],
}


@pytest.fixture(scope="module")
def tickets():
    return fit(
        "linear_types", load_train_tickets(), rng_key=0, options={"n_types": 1}, chains=2, draws=200, progress=False
    )


def test_train_tickets_the_cheaper_of_two_tickets_as_fast_is_bought(tickets):
    """The table's documentation: one type, -0.067 log-odds a euro and -1.72 an hour."""
    assert set(TICKETS) == set(tickets["posterior"]["feature"].values.tolist())
    scored = feature_scores(tickets, TICKETS, reward_range=(-6.0, 6.0))
    policy = feature_policy(tickets, TICKETS, c_defer=0.2, reward_range=(-6.0, 6.0))
    table = policy.to_table().set_index(["price_low", "time_low"])
    assert table.loc[(10.0, -0.05), "action"] == "item_b"  # 10 to 30 euros dearer, as fast
    assert table.loc[(-30.0, -0.05), "action"] == "item_a"
    assert table.loc[(-2.0, 0.25), "action"] == "item_b"  # slower
    # 10 to 30 euros dearer and up to an hour faster: an hour is worth 26 euros, so at the far end item_b is worse
    assert table.loc[(10.0, -1.0), "reason"] == "score_above_threshold"
    assert table.loc[(10.0, -1.0), "score"] == pytest.approx(min(1.72 - 0.67, 30 * 0.067 - 0.25 * 1.72), abs=0.1)
    # nobody was asked about two tickets alike
    assert table.loc[(-2.0, -0.05), "reason"] == "no_data"
    assert scored["n_compared"].values.reshape(5, 5)[2, 2] == 0
    # A ticket that was in no questionnaire.
    new = {"price_a": 61.23, "price_b": 47.0, "time_a": 2.0, "time_b": 2.01, "change_a": 0, "change_b": 0}
    assert policy.lookup({**new, "comfort_a": 1, "comfort_b": 1})[:2] == ("act", "item_b")
    assert policy.lookup({**new, "comfort_a": 1}).reason == "missing_value"


def test_regions_of_features_need_a_linear_fit_and_bins_for_every_feature(tickets):
    with pytest.raises(ValueError, match="bins"):
        feature_scores(tickets, {"price": [0.0, 1.0]})
    groups = {name: node.to_dataset() for name, node in tickets.children.items()}
    groups["posterior"] = groups["posterior"].drop_vars("coefficient")
    plain = xr.DataTree.from_dict(groups)
    plain.attrs |= tickets.attrs
    with pytest.raises(ModelError, match="linear"):
        feature_scores(plain, TICKETS)


def test_train_tickets_scores_by_type_carry_the_type_and_the_data_hash(tickets):
    found = feature_scores(tickets, TICKETS, by_type=True, reward_range=(-6.0, 6.0), max_draws=50)
    assert found.attrs["columns"] == ["type", *TICKETS]
    assert found.attrs["data_hash"] == load_train_tickets().data_hash
    assert found.attrs["n_draws"] == 50


def one_feature(edges, asked, **options):
    """Scores of a certain w = 1 by bins of one feature, after five answers to one question."""
    options = {"range_width": 3.0} | options
    ones, five = np.ones((4, 1, 1)), np.array([[5.0]])
    return score_feature_regions(ones, ones, {"p": edges}, compared=np.array([[asked]]), counts=five, **options)


@pytest.mark.parametrize("least_count", [0.1, 0.5, 1.0])
def test_a_region_without_an_answer_is_not_believed_however_few_are_asked_for(least_count):
    assert one_feature([1.0, 2.0], 0.5, least_count=least_count)["flag"].values.tolist() == ["no_data"]
    assert one_feature([1.0, 2.0], 1.5, least_count=least_count)["flag"].values.tolist() == [""]


@pytest.mark.parametrize(
    ("edges", "counted"),
    [([0.0, 1.0, 2.0], [0, 5]), ([-1.0, 0.0, 1.0], [5, 5]), ([-2.0, -1.0, 0.0], [0, 5]), ([-3.0, -2.0, -1.0], [0, 5])],
)
def test_an_answer_on_an_edge_counts_in_the_bin_that_the_policy_looks_up(edges, counted):
    found = one_feature(edges, 1.0)
    assert found["n_compared"].values.tolist() == counted
    assert found["flag"].values.tolist() == ["" if n else "no_data" for n in counted]


def test_evidence_of_a_region_is_what_the_policy_looks_up_there_or_in_the_mirror():
    """Differences on a grid of edges: each bin's answers counted with the policy's own words for the case."""
    rng = np.random.default_rng(2)
    compared, counts = rng.integers(-3, 4, size=(30, 2)).astype(float), rng.integers(1, 9, size=(30, 1)).astype(float)
    bins, ones = {"p": [-3.0, -1.0, 0.0, 2.0], "q": [-2.0, 0.0, 1.0, 3.0]}, np.ones((2, 1, 1))
    found = score_feature_regions(
        np.ones((2, 1, 2)), ones, bins, compared=compared, counts=counts, range_width=9.0, least_count=1.0
    )
    policy = feature_policy_from(found, c_defer=1.0, rule="set_pure", data_hash="h")
    want = dict.fromkeys(zip(found["p"].values, found["q"].values, strict=True), 0.0)
    for x, n in zip(compared, counts[:, 0], strict=True):
        words = [policy.explain({"p_a": s * x[0], "p_b": 0, "q_a": s * x[1], "q_b": 0}) for s in (1, -1)]
        for p, q in want:
            want[p, q] += n * (any(f"p '{p}'" in w and f"q '{q}'" in w for w in words) and x.any())
    assert found["n_compared"].values.tolist() == list(want.values())
    assert min(want.values()) < max(want.values())


def test_items_without_a_difference_are_no_comparison_nearby():
    found = score_feature_regions(
        np.ones((4, 1, 1)),
        np.ones((4, 1, 1)),
        {"p": [0.0, 1.0]},
        compared=np.array([[0.0], [3.0]]),
        counts=np.array([[9.0], [5.0]]),
        range_width=3.0,
    )
    assert found["n_compared"].values.tolist() == [0.0]
    assert found["flag"].values.tolist() == ["no_data"]


def test_an_edge_of_minus_zero_is_zero():
    found = one_feature([-1.0, -0.0], -0.5)
    assert feature_policy_from(found, c_defer=2.0, rule="set_pure", data_hash="h").lookup({"p_a": 0, "p_b": 0.5})[
        :2
    ] == (
        "act",
        "item_b",
    )
