"""Effect modification, invariance across environments and audits: level, power, and what the numbers mean."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, logit

from bayespref.errors import EffectModification
from bayespref.simulate.scenarios import hh_confounding, trait_environments
from bayespref.target.invariance import audit_trait, discover_traits
from bayespref.target.modification import effect_modification, score_statistic

EVEN = np.full((4, 2), 0.5)


def arguments(world):
    rows = world.comparisons
    return rows.state, rows.context, rows.item_a, rows.item_b, (rows.outcome == 0).astype(float)


def test_types_that_disagree_raise_a_warning_that_names_the_size_of_the_bias():
    world = hh_confounding(alpha=2.0, kappa=0.5, n_annotators=2000, seed=1)
    with pytest.warns(EffectModification, match="weighted DPO does not target the averaged reward"):
        got = effect_modification(*arguments(world), EVEN, annotator=world.comparisons.annotator, n_items=3)
    assert got.verdict == "modified"
    assert got.df == 8  # four states, two free scores, one extra type
    d = world.contrast
    truth = logit(expit(d).mean(axis=1)) - d.mean(axis=1)
    np.testing.assert_allclose(got.bias, truth, atol=0.45)  # sampling error of a contrast of four log-odds
    assert np.abs(truth).max() > 1


def test_types_that_agree_raise_none():
    world = hh_confounding(alpha=0.0, kappa=0.9, n_annotators=2000, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = effect_modification(*arguments(world), EVEN, annotator=world.comparisons.annotator, n_items=3)
    assert got.verdict == "not shown"
    assert np.abs(got.bias).max() < 0.1


def test_too_few_annotators_leave_it_undecided():
    world = hh_confounding(alpha=2.0, n_annotators=12, labels_per_annotator=400, seed=0)
    got = effect_modification(*arguments(world), EVEN, annotator=world.comparisons.annotator, n_items=3)
    assert got.verdict == "undecided"
    assert np.isnan(got.p_value)


@pytest.mark.slow
def test_test_of_effect_modification_keeps_its_level_when_annotators_differ_beyond_contexts(promise):
    """300 tables of 400 people with their own taste, 12 labels each."""
    rng = np.random.default_rng(0)
    rejected = np.zeros((300, 2), dtype=bool)
    who = np.repeat(np.arange(400), 12)
    context = (np.arange(400) % 2)[who]
    for k in range(300):
        taste = 1.2 * rng.normal(size=(400, 3))[who]
        a = rng.integers(0, 3, len(who))
        b = (a + rng.integers(1, 3, len(who))) % 3
        row = np.arange(len(who))
        label = (rng.random(len(who)) < expit(taste[row, a] - taste[row, b])).astype(float)
        state = np.zeros(len(who), int)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EffectModification)
            for j, cluster in enumerate((who, None)):
                got = effect_modification(state, context, a, b, label, [[0.5, 0.5]], annotator=cluster, n_items=3)
                rejected[k, j] = got.p_value < 0.05
    promise.share("test of effect modification at .05, no modification: rejects", rejected[:, 0].sum(), 300, 0.05)
    assert rejected[:, 1].mean() > 0.12  # rows are not independent: without annotators the level breaks


def test_score_statistic_is_chi_squared_and_ignores_empty_directions():
    rng = np.random.default_rng(1)
    stats = [score_statistic(np.c_[rng.normal(size=(200, 2)), np.zeros(200)], None) for _ in range(300)]
    assert {s[1] for s in stats} == {2}
    assert np.mean([s[0] for s in stats]) == pytest.approx(2.0, abs=0.35)


def test_stable_causes_are_found_and_the_follower_is_not():
    world = trait_environments(seed=0)
    got = discover_traits(world.rows, world.label, world.environment, world.annotator, world.names, seed=0)
    assert got.chosen == world.causes
    assert "layout" not in got.invariant
    table = got.table.set_index("traits")
    assert not table.loc[[("care", "brevity", "layout")], "accepted"].any()
    assert len(table) == 7


@pytest.mark.slow
def test_set_of_true_causes_is_rejected_as_often_as_the_level_says(promise):
    """200 worlds of 200 people; a non-cause is named in at most that share."""
    rejected, wrong = [], []
    for seed in range(200):
        world = trait_environments(n_annotators=200, labels_per_annotator=8, seed=seed)
        rows = (world.rows, world.label, world.environment, world.annotator, world.names)
        got = discover_traits(*rows, n_folds=2, seed=0)
        rejected.append(not got.table.set_index("traits").loc[[world.causes], "accepted"].iloc[0])
        wrong.append("layout" in got.invariant)
    promise.share("invariance at .05: the set of true causes is rejected", np.sum(rejected), 200, 0.05)
    promise.share("invariance at .05: a trait that is no cause is named", np.sum(wrong), 200, 0.05, "at most")


def candidates(seed, effect, n_traits, people=100):
    """Independent candidate traits, of other scales in two environments; the first has the effect."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), 8)
    x = rng.normal(size=(len(who), n_traits)) * np.where(who % 2, 1.5, 1.0)[:, None]
    label = (rng.random(len(who)) < expit(effect * x[:, 0])).astype(float)
    return x, label, who % 2, who, [f"trait {k}" for k in range(n_traits)]


@pytest.mark.parametrize("n_traits", [1, 3])
def test_noise_is_invariant_or_chosen_as_seldom_as_the_level_says_and_a_true_effect_is_found(n_traits):
    """100 worlds: a share of 5 % +- 6.6 points (three errors); zero is equal everywhere, and no finding."""
    noise = [discover_traits(*candidates(seed, 0.0, n_traits), n_folds=2, seed=0) for seed in range(100)]
    assert np.mean([bool(got.invariant or got.chosen) for got in noise]) <= 0.05 + 0.066
    assert np.mean([got.table["p_value"].iloc[0] >= 0.05 for got in noise]) > 0.8
    true = [discover_traits(*candidates(seed, 0.8, n_traits), n_folds=2, seed=0) for seed in range(30)]
    assert np.mean([got.invariant == ("trait 0",) for got in true]) > 0.75
    assert np.mean([got.chosen == ("trait 0",) for got in true]) > 0.75


def test_an_undefined_fit_is_not_rejected_and_never_chosen():
    x, label, place, who, names = candidates(0, 0.8, 2)
    x[:, 1] = (2.0 * label - 1.0) * (0.5 + np.abs(x[:, 1]))  # predicts every label: no finite coefficient
    got = discover_traits(x, label, place, who, names, n_folds=2, seed=0)
    table = got.table.set_index("traits")
    assert table["reason"].tolist() == ["", "separated", "separated"]
    assert table.loc[[("trait 1",)], ["p_value", "p_effect"]].isna().all(axis=None)
    assert table["accepted"].tolist() == [True, False, False]
    assert got.chosen == ("trait 0",)
    assert got.invariant == ()  # {trait 1} was not rejected, so trait 0 is not in all that stand


def test_too_few_annotators_for_so_many_coefficients_test_nothing():
    x, label, place, who, names = candidates(0, 0.8, 2)
    six = discover_traits(x, label, place, who % 6, names, n_folds=2, seed=0)
    assert six.table["reason"].tolist() == ["", "", ""]
    three = discover_traits(x, label, place, who % 3, names, n_folds=2, seed=0)
    assert three.table["reason"].tolist() == ["", "", "thin"]
    assert three.table[["p_value", "p_effect"]].iloc[2].isna().all()
    assert np.isnan(three.p_any)
    assert (three.invariant, three.chosen) == ((), ())


def test_audit_says_which_feature_a_trait_encodes():
    world = trait_environments(seed=2)
    got = audit_trait(world.trait[:, 0], world.features, ["region", "age"]).set_index("feature")
    assert got.loc["region", "share_alone"] > 0.2
    assert got.loc["age", "lower"] < 0 < got.loc["age", "upper"]
    r = np.corrcoef(world.trait[:, 0], world.features[:, 0])[0, 1]
    assert got.loc["region", "correlation"] == pytest.approx(r, abs=1e-12)
    assert got.loc["region", "share_unique"] == pytest.approx(r**2, abs=0.01)
    constant = audit_trait(world.trait[:, 0], np.ones((600, 1)), ["constant"])
    assert np.isnan(constant["correlation"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda w: discover_traits(w.rows, w.label, w.environment * 0, w.annotator, w.names, seed=0),
            "at least two envi",
        ),
        (
            lambda w: discover_traits(w.rows[:, :2], w.label, w.environment, w.annotator, w.names, seed=0),
            "rows: must have",
        ),
        (
            lambda w: discover_traits(
                np.repeat(w.rows, 5, axis=1), w.label, w.environment, w.annotator, [f"t{k}" for k in range(15)], seed=0
            ),
            "575 subsets, more than 512",
        ),
        (lambda w: audit_trait(w.trait[:4, 0], w.features[:4], ["a", "b"]), "4 more annotators"),
    ],
)
def test_bad_searches_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(trait_environments(n_annotators=30))
