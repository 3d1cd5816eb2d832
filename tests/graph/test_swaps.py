"""Prompt swaps: agreement by counting pairs of labels, intervals by repetition, swap rates by enumeration."""

import itertools
from math import comb

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom, multinomial

from bayespref.comparisons import from_codes
from bayespref.errors import TableError
from bayespref.graph.coverage import clopper_pearson
from bayespref.graph.swap_contrasts import log_odds_shift, swap_contrasts
from bayespref.graph.swap_rate import plan_swaps, reach_bound, reach_probability, swap_rate
from bayespref.graph.swaps import prompt_swaps, swap_agreement

LABELS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)), min_size=2, max_size=14
)  # question, context, outcome


def table(rows, **columns):
    """Labels of the pair (x, y): one state a question."""
    question, context, outcome = np.array(rows).T
    zero = np.zeros(len(question), dtype=int)
    return from_codes(
        zero,
        zero + 1,
        outcome,
        items=("x", "y"),
        state=question,
        states=tuple(f"q{k}" for k in range(question.max() + 1)),
        context=context,
        contexts=("old", "new"),
        **columns,
    )


@given(LABELS)
@settings(max_examples=50)
def test_agreement_is_the_share_of_pairs_of_labels_that_agree_question_by_question(rows):
    counts = np.zeros((3, 2, 3))
    for row in rows:
        counts[row] += 1
    got = swap_agreement(counts, np.arange(3))

    def agree(question, c, d):
        pairs = [
            (a[2], b[2])
            for a, b in itertools.permutations(rows, 2)
            if a[:2] == (question, c) and b[:2] == (question, d)
        ]
        return np.mean([x == y for x, y in pairs]) if pairs else np.nan

    each = np.array([[[agree(q, c, d) for d in range(2)] for c in range(2)] for q in range(3)])
    for c, d in itertools.product(range(2), range(2)):
        known = each[~np.isnan(each[:, c, d]), c, d]
        want = known.mean() if len(known) else np.nan
        assert got.agreement[c, d] == pytest.approx(want, nan_ok=True)
    shift = (each[:, 0, 0] + each[:, 1, 1]) / 2 - each[:, 0, 1]
    want = np.nanmean(shift) if not np.isnan(shift).all() else np.nan
    assert got.squared_shift[0, 1] == pytest.approx(want, nan_ok=True)


def test_squared_shift_is_unbiased_for_the_squared_difference_of_choice_probabilities():
    """20 worlds: mean within four standard errors; fewer than 16 intervals that cover: one in 3,000."""
    rng = np.random.default_rng(0)
    p, q = 0.7, 0.4
    found = []
    for _ in range(20):
        won = np.stack([rng.binomial(3, p, 5_000), rng.binomial(2, q, 5_000)], axis=1)
        got = swap_agreement(np.stack([won, [3, 2] - won, 0 * won], axis=2), np.arange(5_000))
        found.append([values[0, 1] for values in (got.squared_shift, got.squared_shift_lower, got.squared_shift_upper)])
    estimate, lower, upper = np.transpose(found)
    assert estimate.mean() == pytest.approx((p - q) ** 2, abs=4 * 0.006 / np.sqrt(20))
    assert ((lower < (p - q) ** 2) & ((p - q) ** 2 < upper)).sum() >= 16


@given(LABELS)
@settings(max_examples=20)
def test_swapping_sides_or_contexts_changes_no_agreement(rows):
    counts = np.zeros((3, 2, 3))
    for row in rows:
        counts[row] += 1
    plain = swap_agreement(counts, np.arange(3))
    mirrored, turned = (
        swap_agreement(counts[:, :, [1, 0, 2]], np.arange(3)),
        swap_agreement(counts[:, ::-1], np.arange(3)),
    )
    for name in ("agreement", "agreement_lower", "squared_shift", "squared_shift_upper"):
        assert np.allclose(getattr(plain, name), getattr(mirrored, name), equal_nan=True)
        assert np.allclose(getattr(plain, name), getattr(turned, name)[::-1, ::-1], equal_nan=True)


def simulate(rng, clusters, moved):
    """Questions of 12 clusters whose taste varies by cluster; under the new context log-odds move by +-moved."""
    taste = rng.normal(0, 1, clusters)[:, None] + rng.normal(0, 0.5, (clusters, 4))
    by_context = np.stack([expit(taste), expit(taste + moved * rng.choice([-1, 1], (clusters, 1)))], axis=2)
    won = rng.binomial(4, by_context).reshape(-1, 2)
    return np.stack([won, 4 - won], axis=2), np.repeat(np.arange(clusters), 4)


@pytest.mark.slow
def test_intervals_hold_their_level_with_clustered_questions_and_find_a_shift(promise):
    """300 worlds of 30 clusters: coverage of 95 % intervals at least .90 (three standard errors below .94)."""
    rng = np.random.default_rng(4)
    grid = rng.normal(0, np.sqrt(1.25), 400_000)
    truth = np.mean(expit(grid) ** 2 + (1 - expit(grid)) ** 2)
    agree = shift = 0
    for _ in range(300):
        got = swap_agreement(*simulate(rng, 30, 0.0))
        agree += bool(got.agreement_lower[0, 1] <= truth <= got.agreement_upper[0, 1])
        shift += bool(got.squared_shift_lower[0, 1] <= 0 <= got.squared_shift_upper[0, 1])
    assert min(agree, shift) / 300 >= 0.9
    promise.share("interval of agreement between swaps, level .95: covers", agree, 300, 0.95, "at least")
    promise.share("interval of squared shift, level .95: covers", shift, 300, 0.95, "at least")
    found = [swap_agreement(*simulate(rng, 30, 1.5)).squared_shift_lower[0, 1] > 0 for _ in range(50)]
    assert np.mean(found) > 0.9


def test_questions_that_are_all_alike_count_by_clusters_and_give_no_interval_of_a_shift():
    alike = swap_agreement(np.tile([[[2, 1], [2, 1]]], (30, 1, 1)), np.repeat([0, 1, 2], 10))
    lower, upper = clopper_pearson(np.array(3 * 5 / 9), 3.0)
    assert alike.agreement_lower[0, 1] == pytest.approx(lower)
    assert alike.agreement_upper[0, 1] == pytest.approx(upper)
    unanimous = swap_agreement(np.tile([[[2, 0], [2, 0]]], (30, 1, 1)), np.repeat([0, 1, 2], 10))
    assert unanimous.squared_shift[0, 1] == 0.0
    assert np.isnan(unanimous.squared_shift_upper[0, 1])  # not zero: three unanimous clusters are no proof of stability


def test_the_label_layer_keeps_swapped_questions_and_says_where_there_are_none():
    rows = [(0, 0, 0)] * 3 + [(0, 1, 1)] * 3 + [(1, 0, 0)] * 3 + [(1, 1, 1)] * 3 + [(2, 0, 0)]
    got = prompt_swaps(table(rows))
    cell = got.sel(context="old", context_other="new")
    assert float(cell.agreement) == 0
    assert float(cell.squared_shift) == 1
    assert int(cell.n_questions) == 2
    assert float(cell.agreement_upper) > 0.5  # two clusters say little, though nothing varies
    people = table(rows, annotator=np.arange(13), annotators=tuple("abcdefghijklm"))
    with pytest.raises(TableError, match="no question was judged under two contexts"):
        prompt_swaps(people, cluster="annotator")  # nobody judged twice
    same = table(rows, annotator=np.tile([0, 1, 2], 5)[:13], annotators=("a", "b", "c"))
    assert int(prompt_swaps(same, cluster="annotator").n_questions.sel(context="old", context_other="new")) == 6
    with pytest.raises(TableError, match="context"):
        prompt_swaps(same.pool("context"))


def test_log_odds_shift_of_independent_labels_has_the_textbook_error():
    rows = [(0, 0, 0)] * 6 + [(0, 0, 1)] * 4 + [(0, 1, 0)] * 3 + [(0, 1, 1)] * 7 + [(1, 0, 0), (1, 1, 1)]
    got = swap_contrasts(table(rows))
    first = got[got.state == "q0"].iloc[0]
    assert first.difference == pytest.approx(logit(0.3) - logit(0.6))
    error = np.sqrt(1 / 6 + 1 / 4 + 1 / 3 + 1 / 7)
    assert first.upper - first.lower == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    other = got[got.state == "q1"].iloc[0]
    assert other.reason == "separated"
    assert np.isnan(other.difference)


def test_one_annotator_a_label_is_independence_but_for_the_small_sample_factor_and_copies_add_nothing():
    score = np.array([1.0, 0, 1, 0, 0, 1])
    side, zero, one = np.array([0, 0, 0, 1, 1, 1]), np.zeros(6, dtype=int), np.ones(6)
    plain = log_odds_shift(score, one, side, zero, None, 1)
    own = log_odds_shift(score, one, side, zero, np.arange(6), 1)
    assert own.error[0] ** 2 == pytest.approx(plain.error[0] ** 2 * 6 / 5)
    twice = log_odds_shift(score, 2 * one, side, zero, np.arange(6), 1)
    assert twice.error[0] == pytest.approx(own.error[0])
    assert np.isnan(log_odds_shift(score, one, side, zero, zero, 1).error[0])


def test_an_annotator_who_is_alone_on_a_side_gives_no_interval_instead_of_one_of_no_width():
    rows = np.tile([0, 0, 1, 0, 1], 2), np.tile([0, 1, 1, 0, 1], 2)
    zero = np.zeros(20, dtype=int)
    side = np.repeat([0, 1], 10)
    for annotator in (side, np.where(side == 1, 1 + np.arange(20) % 2, 0)):
        got = swap_contrasts(
            from_codes(
                zero,
                zero + 1,
                np.concatenate(rows),
                items=("x", "y"),
                context=side,
                contexts=("old", "new"),
                annotator=annotator,
                annotators=("a", "b", "c"),
            )
        ).iloc[0]
        assert np.isfinite(got.difference)
        assert np.isnan(got.lower)
        assert got.reason == "thin"


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=3), st.integers(0, 7), st.integers(0, 2))
@settings(max_examples=40)
def test_probability_of_reaching_every_floor_is_that_of_enumerating_outcomes(weights, n, floor):
    share = np.array(weights) / (sum(weights) + 0.3)
    full = np.append(share, 1 - share.sum())
    want = sum(
        multinomial.pmf(outcome, n, full)
        for outcome in itertools.product(range(n + 1), repeat=len(full))
        if sum(outcome) == n and all(k >= floor for k in outcome[:-1])
    )
    got = reach_probability(share, n, floor)
    assert got == pytest.approx(want, abs=1e-10)
    assert reach_bound(share, n, floor) <= got + 1e-12


def test_reaching_every_cell_is_the_coupon_collector():
    assert reach_probability(np.full(2, 0.5), 20_000, 10) == 1.0
    got = reach_probability(np.full(4, 0.25), 9, 1)
    assert got == pytest.approx(sum((-1) ** k * comb(4, k) * (1 - k / 4) ** 9 for k in range(5)))


def test_the_rate_found_is_the_least_and_holds_its_promise_in_simulation(promise):
    collected, swapped = np.array([0.6, 0.4, 0.0, 0.0]), np.full(4, 0.25)
    plan = swap_rate(collected, swapped, np.ones(4, dtype=bool), n=300, floor=10, probability=0.9)
    below = (1 - (plan.rate - 2e-6)) * collected + (plan.rate - 2e-6) * swapped
    assert plan.bound >= 0.9 > reach_bound(below, 300, 10)
    assert plan.bound == pytest.approx(1 - binom.cdf(9, 300, plan.share).sum())
    draws = np.random.default_rng(0).multinomial(300, plan.share, size=20_000)
    assert plan.exact >= plan.bound
    assert (draws.min(1) >= 10).mean() == pytest.approx(plan.exact, abs=0.01)
    promise.share(
        "swap rate, probability .9: every cell is filled", (draws.min(1) >= 10).sum(), 20_000, 0.9, "at least"
    )


def test_where_no_rate_suffices_there_is_none_and_the_best_is_said():
    plan = swap_rate(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.ones(2, dtype=bool), n=20, floor=10)
    assert np.isnan(plan.rate)
    assert plan.best_rate == 1.0
    assert plan.best_bound < 0.95
    assert plan.share.tolist() == [0.5, 0.5]


@given(st.permutations(range(3)))
@settings(max_examples=6)
def test_renaming_cells_changes_no_rate(order):
    a, b, wanted = np.array([0.7, 0.3, 0.0]), np.array([0.2, 0.3, 0.5]), np.array([True, False, True])
    k = list(order)
    plain = swap_rate(a, b, wanted, n=100, floor=4)
    assert swap_rate(a[k], b[k], wanted[k], n=100, floor=4).rate == pytest.approx(plain.rate, abs=2e-6)


def test_planning_keeps_implausible_cells_empty_and_strata_as_they_were():
    rows = [(0, 0, 0)] * 6 + [(0, 1, 0)] * 2 + [(1, 0, 0)] * 4
    comparisons = table(rows)
    got = plan_swaps(comparisons, 400, 10)
    assert float(got.share.sum()) == pytest.approx(1)
    assert np.allclose(got.share.sum("context"), got.collected.sum("context"))
    assert float(got.expected.sel(state="q1", context="new")) > 10
    plausible = xr.DataArray(
        [[True, True], [True, False]],
        dims=("state", "context"),
        coords={"state": ["q0", "q1"], "context": ["old", "new"]},
    )
    kept = plan_swaps(comparisons, 400, 10, plausible=plausible)
    assert float(kept.share.sel(state="q1", context="new")) == 0
    assert float(kept.rate) == 0
    with pytest.raises(ValueError, match="plausible: a stratum that has comparisons has no plausible context"):
        plan_swaps(comparisons, 400, 10, plausible=plausible & False)
