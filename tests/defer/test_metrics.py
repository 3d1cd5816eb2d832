"""Risk-coverage, its area, what deferring saved, and the honesty of P(sign)."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.defer.metrics import aurc, deferral_rate, regret_saved, risk_coverage, sign_reliability, wasted_deferrals

cases = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=6)


def test_area_of_five_cases_is_as_in_the_specification():
    area = aurc(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([0.0, 1, 0, 0, 1]))
    assert area.aurc == pytest.approx(0.296667, abs=5e-7)
    assert area.oracle == pytest.approx(0.13)
    assert area.excess == pytest.approx(0.166667, abs=5e-7)


@given(cases)
def test_ties_are_averaged_over_all_orders(rows):
    confidence, loss = (np.array(x) for x in zip(*rows, strict=True))
    areas = []
    for order in itertools.permutations(range(len(loss))):
        if all(confidence[i] >= confidence[j] for i, j in itertools.pairwise(order)):
            sorted_loss = loss[list(order)]
            areas.append(np.mean([sorted_loss[:k].mean() for k in range(1, len(loss) + 1)]))
    assert aurc(confidence, loss).aurc == pytest.approx(np.mean(areas))


@given(cases)
def test_the_oracle_area_has_the_closed_form_and_nothing_beats_it(rows):
    confidence, loss = (np.array(x) for x in zip(*rows, strict=True))
    n, errors = len(loss), loss.sum()
    area = aurc(confidence, loss)
    assert area.oracle == pytest.approx(np.mean([max(0, k - (n - errors)) / k for k in range(1, n + 1)]))
    assert area.excess >= -1e-12
    assert aurc(-loss, loss).excess == pytest.approx(0)


@given(cases)
def test_the_curve_accepts_tied_cases_together(rows):
    confidence, loss = (np.array(x) for x in zip(*rows, strict=True))
    curve = risk_coverage(confidence, loss)
    assert len(curve.threshold) == len(set(confidence.tolist()))
    for t, coverage, risk in zip(*curve, strict=True):
        chosen = confidence >= t
        assert coverage == pytest.approx(chosen.mean())
        assert risk == pytest.approx(loss[chosen].mean())
    assert np.all(np.diff(curve.threshold) < 0)
    assert curve.coverage[-1] == 1


@given(cases, st.randoms())
def test_the_order_of_cases_and_monotone_changes_of_confidence_do_not_matter(rows, random):
    confidence, loss = (np.array(x) for x in zip(*rows, strict=True))
    order = list(range(len(loss)))
    random.shuffle(order)
    moved = aurc(np.exp(5 * confidence[order]), loss[order])
    np.testing.assert_allclose(moved, aurc(confidence, loss), atol=1e-12)


def test_savings_and_waste_are_means_over_deferred_cases_only():
    deferred = np.array([True, True, False, True])
    assert deferral_rate(deferred) == 0.75
    assert regret_saved(deferred, np.array([1.0, 0.0, 50.0, 0.2]), 0.1) == pytest.approx((0.9 - 0.1 + 0.1) / 3)
    assert wasted_deferrals(deferred, np.array([0.0, 1e-12, 0.0, np.inf])) == pytest.approx(2 / 3)
    assert wasted_deferrals(deferred, np.array([np.nan, 0.0, 0.0, 0.0])) == pytest.approx(2 / 3)


def test_weights_count_as_repetitions():
    rng = np.random.default_rng(0)
    deferred, regret, times = rng.random(20) < 0.4, rng.random(20), rng.integers(0, 4, 20)
    many = np.repeat(np.arange(20), times)
    assert deferral_rate(deferred, weights=times) == pytest.approx(deferral_rate(deferred[many]))
    assert regret_saved(deferred, regret, 0.3, weights=times) == pytest.approx(
        regret_saved(deferred[many], regret[many], 0.3)
    )


def test_without_deferrals_there_is_nothing_to_average():
    none = np.zeros(3, dtype=bool)
    assert np.isnan(regret_saved(none, np.ones(3), 0.1))
    assert np.isnan(wasted_deferrals(none, np.zeros(3)))
    assert deferral_rate(none) == 0


def test_reliability_bins_hold_every_case_once_and_match_a_loop():
    rng = np.random.default_rng(1)
    probability = np.r_[rng.random(500), 0.0, 1.0, 0.5, 0.25]
    positive = rng.random(504) < probability
    result = sign_reliability(probability, positive, n_bins=4)
    assert result.n_cases.sum() == 504
    for b in range(4):
        inside = (probability >= b / 4) & ((probability < (b + 1) / 4) | (b == 3))
        assert result.n_cases[b] == inside.sum()
        assert result.predicted[b] == pytest.approx(probability[inside].mean())
        assert result.observed[b] == pytest.approx(positive[inside].mean())
    gap = sum(n * abs(p - o) for n, p, o in zip(result.n_cases, result.predicted, result.observed, strict=True)) / 504
    assert result.calibration_error == pytest.approx(gap)
    assert result.brier == pytest.approx(np.mean((probability - positive) ** 2))


def test_an_overconfident_sign_probability_shows():
    truth = np.arange(1000) < 600
    assert sign_reliability(np.full(1000, 0.6), truth).calibration_error == pytest.approx(0, abs=1e-12)
    assert sign_reliability(np.full(1000, 0.9), truth).calibration_error == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: aurc([0.1, np.nan], [0, 1]), ValueError, "confidence"),
        (lambda: aurc([0.1, 0.2], [0, np.nan]), ValueError, "loss"),
        (lambda: aurc([0.1, 0.2], [0, -1]), ValueError, "loss"),
        (lambda: risk_coverage([0.1], [0, 1]), ValueError, "one entry a case"),
        (lambda: risk_coverage([], []), ValueError, "one entry a case"),
        (lambda: deferral_rate(np.array([1, 0])), TypeError, "deferred"),
        (lambda: regret_saved(np.array([True]), np.array([1.0, 2.0]), 0.1), ValueError, "one entry a case"),
        (lambda: sign_reliability(np.array([1.2]), np.array([True])), ValueError, "probability"),
        (lambda: sign_reliability(np.array([0.2]), np.array([True]), n_bins=0), ValueError, "n_bins"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
