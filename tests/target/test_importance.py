"""Weights: worked numbers, exact means, contradictions refused, what clipping estimates, the trust rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.errors import TargetMixError
from bayespref.simulate.scenarios import hh_confounding
from bayespref.target.classifier import classifier_ratio
from bayespref.target.importance import (
    clipped,
    combine,
    estimated_target,
    known_ratio,
    overlap_report,
    post_stratified,
    unordered,
)
from bayespref.target.trust import trust
from bayespref.weights import effective_sample_size, tail


def test_worked_example_of_clipping_and_its_effective_size():
    w = np.array([0.2, 0.5, 1.0, 1.0, 4.0])
    assert tail(w).n_eff == pytest.approx(2.45434664, abs=6e-9)
    assert tail(w).top_share == pytest.approx(0.59701493, abs=6e-9)
    cut = clipped(w, 2.0)
    assert effective_sample_size(cut.weight) == pytest.approx(3.51192369, abs=6e-9)
    assert cut.weight.mean() == pytest.approx(1.0, abs=1e-15)
    whole = clipped(w, np.inf)
    assert (whole.n_clipped, whole.mass_moved) == (0, 0.0)


@given(st.integers(0, 10_000))
def test_post_stratified_weights_have_mean_one_and_hit_the_target_exactly(seed):
    rng = np.random.default_rng(seed)
    cell = np.concatenate([np.arange(4), rng.integers(0, 4, 60)])
    target = rng.dirichlet(np.ones(4))
    w = combine(post_stratified("cell", cell, target)).weight
    assert w.mean() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(estimated_target(w, cell, 4), target, atol=1e-12)
    count = rng.integers(1, 4, 64).astype(float)
    repeated = np.repeat(np.arange(64), count.astype(int))
    np.testing.assert_allclose(
        combine(post_stratified("cell", cell, target, count=count)).weight[repeated],
        combine(post_stratified("cell", cell[repeated], target)).weight,
        rtol=1e-12,
    )


@pytest.mark.parametrize(("kappa", "share"), [(0.0, 1.0), (0.5, 0.857), (0.9, 0.566), (0.99, 0.470)])
def test_effective_share_of_the_help_or_harm_world(kappa, share):
    world = hh_confounding(kappa=kappa, n_annotators=20_000, labels_per_annotator=10, seed=2)
    rows = world.comparisons
    cell = rows.state * 2 + rows.context
    w = combine(post_stratified("prompt and type", cell, np.full(8, 0.125))).weight
    assert tail(w).share_eff == pytest.approx(share, abs=0.006)  # sampling error of shares over 20,000 people
    exact = combine(known_ratio("cell", np.full(len(w), 0.125), (world.prompt_prob * 0.5)[rows.state, rows.context]))
    assert abs(exact.weight.mean() - 1) < 0.05


def test_clipping_moves_the_target_and_says_where_to():
    cell = np.repeat([0, 1], [90, 10])
    w = combine(post_stratified("cell", cell, np.array([0.5, 0.5]))).weight
    cut = clipped(w, 2.0)
    got = estimated_target(cut.weight, cell, 2)
    np.testing.assert_allclose(got, [50 / 70, 20 / 70], rtol=1e-12)  # .9 * .5556 against .1 * 2, rescaled
    assert cut.n_clipped == 10
    assert cut.mass_moved == pytest.approx(0.5 - 20 / 70, abs=1e-12)


def test_order_that_was_randomised_cancels_in_unordered_probabilities():
    g = np.array([[0.0, 0.6, 0.1], [0.1, 0.0, 0.1], [0.05, 0.05, 0.0]])
    both = unordered(g)
    np.testing.assert_allclose(both, both.T)
    assert both[np.triu_indices(3, 1)].sum() == pytest.approx(1.0)


def test_parts_are_kept_by_name_and_zero_target_gives_zero_weight():
    got = combine(known_ratio("pair", [0.5, 0.0], [0.25, 0.25]), post_stratified("type", [0, 1], [0.5, 0.5]))
    assert got.weight.tolist() == [2.0, 0.0]
    assert [(part.name, part.estimated) for part in got.parts] == [("pair", False), ("type", True)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: known_ratio("pair", [0.5], None), ValueError, "pair: the target differs.*no logged propensities"),
        (
            lambda: known_ratio("pair", [0.5], [np.nan]),
            ValueError,
            r"propensities are missing; 1 row\(s\), first \[0\]",
        ),
        (lambda: known_ratio("pair", [0.5, 0.5], [0.5, 0.0]), ValueError, r"logged propensity is zero.*first \[1\]"),
        (lambda: known_ratio("pair", [0.5], [1.5]), ValueError, r"must lie in \(0, 1\]"),
        (lambda: known_ratio("pair", [1.5], [0.5]), ValueError, "target probabilities"),
        (
            lambda: post_stratified("cell", [0, 0], [0.4, 0.3, 0.3], labels=["x", "y", "z"]),
            ValueError,
            r"puts 0.6 of its mass on 2 cell\(s\) without a row \(no_overlap\): \['y', 'z'\]",
        ),
        (lambda: post_stratified("cell", [0, 1], [0.4, 0.5]), TargetMixError, "sum to one"),
        (lambda: combine(), ValueError, "parts: give at least one"),
        (lambda: combine(*[known_ratio("pair", [0.5], [0.5])] * 2), ValueError, "its own name"),
        (lambda: combine(known_ratio("pair", [0.0], [0.5])), ValueError, "every weight is zero"),
        (lambda: clipped([1.0], 0.0), ValueError, "cap"),
    ],
)
def test_contradictions_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_report_covers_the_table_its_parts_and_every_slice():
    rng = np.random.default_rng(0)
    state = rng.integers(0, 2, 500)
    pair = known_ratio("pair", np.where(state == 0, 0.5, 0.2), np.full(500, 0.3))
    whole = combine(pair, post_stratified("state", state, np.array([0.5, 0.5])))
    got = overlap_report(whole, {"state": np.where(state == 0, "x", "y")}).set_index("what")
    assert got.index.tolist() == ["all rows", "part: pair", "part: state", "state = x", "state = y"]
    assert got.loc["state = x", "n"] == (state == 0).sum()
    assert got.loc["state = x", "n_eff_share"] == pytest.approx(1.0)
    assert got.loc["all rows", "n_eff"] == pytest.approx(float(effective_sample_size(whole.weight)))
    assert got.loc["part: pair", "mean_off"]  # its mean is .5/.3 and .2/.3 averaged: not one
    assert not got.loc["part: state", "mean_off"]


def test_trust_names_every_rule_that_fails():
    same = np.array([[0, 1], [0, 1]])
    assert trust(np.ones(50), same).verdict == "trusted"
    rng = np.random.default_rng(1)
    heavy = rng.pareto(1.1, 2000) + 1e-3
    got = trust(heavy, np.array([[0, 1], [1, 1]]))
    assert got.verdict == "diagnostic only"
    assert len(got.reasons) >= 3
    assert "1 of 2 state(s) changes" in got.words
    assert trust(1.5 * np.ones(50), same).reasons[0].startswith("the mean weight 1.500")
    moderate = np.where(np.arange(1000) < 100, 5.5, 0.5)
    assert trust(moderate, same).verdict == "trusted"
    assert trust(moderate, same, least_n_eff_share=0.5).verdict == "diagnostic only"
    with pytest.raises(ValueError, match="least_n_eff_share"):
        trust(np.ones(5), same, least_n_eff_share=2.0)


def test_a_best_item_that_is_undefined_in_every_setting_is_not_trusted():
    got = trust(np.ones(50), np.array([[0, -1], [0, -1]]))
    assert got.verdict == "diagnostic only"
    assert got.reasons == ("the best item of 1 of 2 state(s) is undefined in some setting",)
    with pytest.raises(ValueError, match="top_items"):
        trust(np.ones(50), np.empty((0, 3), dtype=int))


def test_classifier_recovers_a_known_ratio_without_seeing_its_own_annotator():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(2)
    logged, target = rng.normal(0.0, 1.0, (3000, 1)), rng.normal(0.7, 1.0, (3000, 1))
    got = classifier_ratio("prompt", logged, target, np.repeat(np.arange(600), 5), seed=0)
    truth = 0.7 * logged[:, 0] - 0.245
    assert np.corrcoef(got.part.log_ratio, truth)[0, 1] > 0.99
    assert np.sqrt(np.mean((got.part.log_ratio - truth) ** 2)) < 0.12
    assert np.exp(got.part.log_ratio).mean() == pytest.approx(1.0)
    assert got.calibration_error < 0.05
    assert got.part.estimated
    w = np.exp(got.part.log_ratio)
    assert w @ logged[:, 0] / w.sum() == pytest.approx(0.7, abs=0.1)
