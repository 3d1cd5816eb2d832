"""Types of new annotators: Bayes' rule by enumeration, and what knowing the type does to scores."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from bayespref.choice import outcome_log_prob
from bayespref.comparisons import from_codes
from bayespref.defer.annotators import annotator_scores, score_annotators
from bayespref.defer.scores import scores
from bayespref.defer.types import TypePosterior, label_log_prob, shift_by_context, type_posterior
from bayespref.errors import TargetMixError

SEEDS = st.integers(0, 2**32 - 1)


def one_person(*share):
    return TypePosterior(np.array([[share]]), np.zeros(1))


def random_fit(seed, *, draws=4, regions=3, types=2, items=3):
    """Draws of rewards, upper bounds above their differences, and type weights by draw."""
    rng = np.random.default_rng(seed)
    reward = rng.normal(size=(draws, regions, types, items))
    difference = reward[..., :, None] - reward[..., None, :]
    upper = difference + rng.exponential(size=difference.shape) * ~np.eye(items, dtype=bool)
    return reward, difference, upper, rng.dirichlet(np.ones(types), size=draws)


# ---------------------------------------------------------------------------- the type posterior


@given(SEEDS)
def test_the_posterior_is_bayes_rule_written_as_loops(seed):
    rng = np.random.default_rng(seed)
    draws, labels, types, people = 3, 7, 2, 4
    prior = rng.dirichlet(np.ones(types), size=(draws, people))
    log_prob = np.log(rng.uniform(0.05, 1.0, size=(draws, labels, types)))
    who, count = rng.integers(people, size=labels), rng.integers(0, 4, size=labels).astype(float)
    found = type_posterior(prior, log_prob, who, people, count=count)
    for u in range(people):
        joint = np.empty((draws, types))
        for i, c in np.ndindex(draws, types):
            likelihood = 1.0
            for label in range(labels):
                if who[label] == u:
                    likelihood *= np.exp(log_prob[i, label, c]) ** count[label]
            joint[i, c] = prior[i, u, c] * likelihood / draws
        np.testing.assert_allclose(found.weight[:, u], joint / joint.sum(), rtol=1e-10)
        np.testing.assert_allclose(found.log_evidence[u], np.log(joint.sum()), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.probability.sum(1), 1.0)
    assert np.all((found.effective_draws >= 1 - 1e-9) & (found.effective_draws <= draws + 1e-9))


def test_all_four_outcomes_have_the_probabilities_of_the_choice_model():
    rng = np.random.default_rng(0)
    gap, tie, bad = rng.normal(size=(5, 4, 2)), rng.normal(size=5), rng.normal(size=5)
    found = label_log_prob(gap, np.arange(4), log_tie=tie, log_both_bad=bad)
    for i in range(5):
        table = outcome_log_prob(gap[i], (0, 1, 2, 3), log_tie=tie[i], log_both_bad=bad[i])
        expected = np.take_along_axis(np.asarray(table), np.arange(4)[:, None, None], axis=-1)[..., 0]
        np.testing.assert_allclose(found[i], expected, rtol=1e-12)


def test_a_tie_speaks_about_the_type_too():
    """One type is indifferent, the other is not: a tie makes the first more likely."""
    gap = np.array([[[0.0, 4.0]]])
    log_prob = label_log_prob(gap, np.array([2]), log_tie=np.zeros(1))
    share = type_posterior(np.array([[0.5, 0.5]]), log_prob, np.array([0]), 1).probability[0]
    p = np.array([1 / 3, 1 / (1 + np.exp(2.0) + np.exp(-2.0))])
    np.testing.assert_allclose(share, p / p.sum())


def test_without_labels_the_type_weights_stay_and_the_order_of_labels_does_not_matter():
    rng = np.random.default_rng(1)
    prior = rng.dirichlet([1, 1, 1], size=6)
    log_prob = np.log(rng.uniform(size=(6, 5, 3)))
    who = np.array([0, 0, 2, 0, 2])
    found = type_posterior(prior, log_prob, who, 4)
    np.testing.assert_allclose(found.weight[:, 1], prior / 6)
    np.testing.assert_allclose(found.weight[:, 3], prior / 6)
    assert found.log_evidence[1] == pytest.approx(0.0)
    order = rng.permutation(5)
    again = type_posterior(prior, log_prob[:, order], who[order], 4)
    np.testing.assert_allclose(again.weight, found.weight)


def test_many_labels_identify_the_type_and_extreme_evidence_does_not_overflow():
    log_prob = np.full((2, 1, 2), -1e4)
    log_prob[..., 1] = -2e4
    found = type_posterior(np.full((2, 2), 0.5), log_prob, np.array([0]), 1, count=np.array([1e3]))
    np.testing.assert_allclose(found.probability, [[1.0, 0.0]])
    assert np.isfinite(found.log_evidence).all()


def test_labels_that_nothing_allows_leave_the_type_undefined():
    found = type_posterior(np.array([[1.0, 0.0]]), np.array([[[-np.inf, 0.0]]]), np.array([0]), 2)
    assert np.isnan(found.weight[:, 0]).all()
    assert found.log_evidence.tolist() == [-np.inf, 0.0]
    assert np.isnan(annotator_scores(np.zeros((1, 1, 2, 2, 2)), found)[0]).all()
    assert np.isfinite(annotator_scores(np.zeros((1, 1, 2, 2, 2)), found)[1]).all()
    # an answer that was given zero times says nothing, impossible or not
    never = type_posterior(np.array([[1.0, 0.0]]), np.full((1, 1, 2), -np.inf), np.array([0]), 1, count=np.zeros(1))
    np.testing.assert_allclose(never.probability, [[1.0, 0.0]])


# ---------------------------------------------------------------------------- contexts


@given(SEEDS)
def test_a_context_shifts_a_region_as_bayes_rule_says(seed):
    """Oracle: a full joint table of (type, region, context) with region and context independent given the type."""
    rng = np.random.default_rng(seed)
    overall = rng.dirichlet(np.ones(3))
    region_given, context_given = rng.dirichlet(np.ones(4), size=3), rng.dirichlet(np.ones(2), size=3)
    joint = overall[:, None, None] * region_given[:, :, None] * context_given[:, None, :]
    by_region = (joint.sum(2) / joint.sum((0, 2))).T
    by_context = (joint.sum(1) / joint.sum((0, 1))).T
    found = shift_by_context(by_region, by_context, overall)
    np.testing.assert_allclose(found, np.moveaxis(joint / joint.sum(0), 0, -1), rtol=1e-8)


def test_where_a_region_says_nothing_the_context_row_is_the_answer():
    overall, rows = np.array([[0.3, 0.7], [0.6, 0.4]]), np.array([[0.9, 0.1], [0.0, 1.0]])
    found = shift_by_context(np.broadcast_to(overall[:, None], (2, 5, 2)), rows, overall)
    np.testing.assert_allclose(found, np.broadcast_to(rows, (2, 5, 2, 2)))


def test_contexts_that_contradict_are_refused_or_undefined():
    excluded = shift_by_context(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([0.5, 0.5]))
    assert np.isnan(excluded).all()
    with pytest.raises(TargetMixError, match="overall"):
        shift_by_context(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]), np.array([1.0, 0.0]))
    with pytest.raises(TargetMixError, match="context_weights"):
        shift_by_context(np.array([[1.0, 0.0]]), np.array([[0.5, 0.4]]), np.array([0.5, 0.5]))


# ---------------------------------------------------------------------------- scores


@given(SEEDS)
def test_without_labels_it_is_the_score_of_the_region(seed):
    _, difference, upper, weight = random_fit(seed)
    nobody = type_posterior(weight, np.zeros((4, 0, 2)), np.zeros(0, dtype=int), 1)
    mixed = [np.einsum("dt,drtab->drab", weight, values) for values in (difference, upper)]
    region = scores(mixed[0], mixed[1], np.full(3, np.nan))
    for values, expected in ((difference, region.chow), (upper, region.set_pure)):
        np.testing.assert_allclose(annotator_scores(values, nobody, comparator="state")[0], expected, atol=1e-12)


@given(SEEDS, st.sampled_from(["type", "state"]), st.integers(0, 1))
def test_with_a_known_type_it_is_the_score_of_the_type(seed, comparator, kind):
    _, difference, upper, _ = random_fit(seed)
    # an answer that only one type can give
    log_prob = np.full((4, 1, 2), -np.inf)
    log_prob[..., kind] = 0.0
    known = type_posterior(np.full((4, 2), 0.5), log_prob, np.array([0]), 1)
    alone = scores(difference[:, :, kind], upper[:, :, kind], np.full(3, np.nan))
    for values, expected in ((difference, alone.chow), (upper, alone.set_pure)):
        np.testing.assert_allclose(annotator_scores(values, known, comparator=comparator)[0], expected, atol=1e-12)


@given(SEEDS)
def test_one_more_label_never_raises_the_score_on_average_over_its_outcomes(seed):
    """Exact, by enumeration: every sequence of answers, weighted by its probability under the fit."""
    reward, _, upper, weight = random_fit(seed)
    rng = np.random.default_rng(seed)
    gap = reward[:, 0, :, :2] * rng.uniform(0, 3)  # (draw, type, question)
    nobody = type_posterior(weight, np.zeros((4, 0, 2)), np.zeros(0, dtype=int), 1)
    before = annotator_scores(upper, nobody)[0].min(-1)
    falls = []
    for n_labels in (1, 2):
        questions = np.arange(n_labels) % 2
        after, mass = np.zeros(3), 0.0
        for answers in itertools.product((0, 1), repeat=n_labels):
            log_prob = label_log_prob(gap.transpose(0, 2, 1)[:, questions], np.array(answers))
            found = type_posterior(weight, log_prob, np.zeros(n_labels, dtype=int), 1)
            probability = np.exp(found.log_evidence[0])
            after += probability * annotator_scores(upper, found)[0].min(-1)
            mass += probability
        assert mass == pytest.approx(1.0)
        falls.append(before - after)
    assert np.all(falls[0] >= -1e-9)
    assert np.all(falls[1] >= falls[0] - 1e-9)


def test_the_score_falls_as_labels_of_one_type_come_in():
    """Two types that want opposite things by 2 log-odds; the score is the share of the other type times the gap."""
    reward = np.array([[[[1.0, -1.0], [-1.0, 1.0]]]])
    matrix = reward[..., :, None] - reward[..., None, :]
    share = []
    for n in range(6):
        log_prob = label_log_prob(np.tile(np.array([2.0, -2.0]), (1, n, 1)), np.zeros(n, dtype=int))
        found = type_posterior(np.array([[0.5, 0.5]]), log_prob, np.zeros(n, dtype=int), 1)
        score = annotator_scores(matrix, found)[0, 0]
        np.testing.assert_allclose(score, matrix[0, 0, 0, 0, 1] * found.probability[0][::-1])
        share.append(score.min())
    np.testing.assert_allclose(share, 2.0 / (1.0 + np.exp(2.0 * np.arange(6))))


@given(SEEDS)
def test_the_best_item_for_the_mix_asks_less_than_the_best_item_of_each_type(seed):
    _, _, upper, weight = random_fit(seed)
    nobody = type_posterior(weight, np.zeros((4, 0, 2)), np.zeros(0, dtype=int), 1)
    mix, own = (annotator_scores(upper, nobody, comparator=name) for name in ("state", "type"))
    assert np.all(mix <= own + 1e-12)


def test_unbounded_matters_only_where_there_is_weight_and_refuted_draws_are_left_out():
    matrix = np.zeros((2, 1, 2, 2, 2))
    matrix[:, :, 1, 0, 1] = np.inf
    matrix[0, :, 0, 0, 1] = 1.0
    sure, unsure = np.array([[[0.5, 0.0]], [[0.5, 0.0]]]), np.full((2, 1, 2), 0.25)
    for comparator in ("type", "state"):
        assert annotator_scores(matrix, TypePosterior(sure, np.zeros(1)), comparator=comparator).tolist() == [
            [[0, 0.5]]
        ]
        found = annotator_scores(matrix, TypePosterior(unsure, np.zeros(1)), comparator=comparator)
        assert found.tolist() == [[[0.0, np.inf]]]
        kept = np.array([False, True])[:, None, None] & np.ones((2, 1, 2), dtype=bool)
        broken = matrix.copy()
        broken[0] = np.nan
        found = annotator_scores(broken, TypePosterior(sure, np.zeros(1)), comparator=comparator, kept=kept)
        assert found.tolist() == [[[0.0, 0.0]]]
        assert np.isnan(
            annotator_scores(broken, TypePosterior(sure, np.zeros(1)), comparator=comparator, kept=kept & False)
        ).all()


def test_items_that_are_not_on_offer_are_neither_played_nor_compared_with():
    matrix = np.zeros((1, 1, 1, 3, 3))
    matrix[0, 0, 0] = np.array([[0.0, 5.0, 7.0], [-5.0, 0.0, 2.0], [-7.0, -2.0, 0.0]])
    offered = np.array([[False, True, True]])
    for comparator in ("type", "state"):
        found = annotator_scores(matrix, one_person(1.0), available=offered, comparator=comparator)[0, 0]
        assert np.isnan(found[0])
        assert found[1:].tolist() == [0.0, 2.0]


# ---------------------------------------------------------------------------- the labelled wrapper


def fitted(seed=0, *, chains=2, draws=5, ties=False):
    rng = np.random.default_rng(seed)
    names = {"state": ["s0", "s1"], "type": ["k", "l"], "item": ["x", "y", "z"]}
    lead = ("chain", "draw")
    data = {
        "reward": ((*lead, *names), rng.normal(size=(chains, draws, 2, 2, 3))),
        "type_weight": ((*lead, "type"), rng.dirichlet([3, 3], size=(chains, draws))),
        "prompt_prob": ((*lead, "type", "state"), rng.dirichlet([1, 1], size=(chains, draws, 2))),
    }
    if ties:
        data["log_tie"] = (lead, rng.normal(size=(chains, draws)))
    return xr.Dataset(data, coords=names)


def people(**more):
    columns = {"item_a": [0, 1, 2, 0], "item_b": [1, 2, 0, 1], "outcome": [0, 2, 1, 0], "state": [0, 1, 1, 0]}
    return from_codes(
        *(np.array(columns[name]) for name in ("item_a", "item_b", "outcome")),
        state=np.array(columns["state"]),
        states=("s1", "s0"),
        items=("z", "x", "y"),
        annotator=np.array([0, 0, 2, 2]),
        annotators=("ann", "new", "bob"),
        **more,
    )


def test_labels_are_matched_by_name_and_agree_with_the_arrays():
    """The table numbers states and items in another order than the fit does."""
    posterior = fitted(ties=True)
    found = score_annotators(posterior, people())
    flat = posterior.stack(sample=("chain", "draw"))
    reward = flat["reward"].transpose("sample", "state", "type", "item").values
    rows = [("ann", "s1", "z", "x", "a"), ("ann", "s0", "x", "y", "tie"), ("bob", "s0", "y", "z", "b")]
    rows.append(("bob", "s1", "z", "x", "a"))
    state, item = {"s0": 0, "s1": 1}, {"x": 0, "y": 1, "z": 2}
    for person in ("ann", "bob", "new"):
        joint = flat["type_weight"].transpose("sample", "type").values / 10
        for who, s, a, b, outcome in rows:
            if who == person:
                gap = reward[:, state[s], :, item[a]] - reward[:, state[s], :, item[b]]
                logits = np.stack([gap / 2, -gap / 2, np.broadcast_to(flat["log_tie"].values[:, None], gap.shape)])
                p = np.exp(logits) / np.exp(logits).sum(0)
                joint = joint * p[{"a": 0, "b": 1, "tie": 2}[outcome]]
                joint = joint * flat["prompt_prob"].transpose("sample", "state", "type").values[:, state[s]]
        np.testing.assert_allclose(found["log_evidence"].sel(annotator=person), np.log(joint.sum()))
        joint /= joint.sum()
        np.testing.assert_allclose(found["type_probability"].sel(annotator=person), joint.sum(0))
        regret = reward.max(-1, keepdims=True) - reward
        chow = np.einsum("dt,dsta->sa", joint, regret)
        np.testing.assert_allclose(found["chow"].sel(annotator=person), chow)
        best = [["x", "y", "z"][i] for i in chow.argmin(1)]
        assert found["action_chow"].sel(annotator=person).values.tolist() == best
    assert found["n_labels"].values.tolist() == [2, 0, 2]
    assert "set_pure" not in found


def test_upper_bounds_give_the_set_score_and_draws_that_refute_the_range_are_dropped():
    posterior = fitted()
    reward = posterior["reward"].values.reshape(10, 2, 2, 3)
    upper = reward[..., :, None] - reward[..., None, :]
    table = people().select(np.array([True, False, True, True]))
    same = score_annotators(posterior, table, upper=upper)
    np.testing.assert_allclose(same["set_pure"], same["chow"])
    upper[3, 1, 0] = np.nan
    dropped = score_annotators(posterior, table, upper=upper)
    assert np.isfinite(dropped["set_pure"]).all()
    np.testing.assert_allclose(dropped["set_pure"].sel(state="s0"), same["set_pure"].sel(state="s0"))
    assert not np.allclose(dropped["set_pure"].sel(state="s1"), same["set_pure"].sel(state="s1"))


def test_contexts_replace_the_type_weights():
    posterior = fitted(ties=True)
    table = people(context=np.array([0, 0, 1, 1]), contexts=("u", "v")).select(np.ones(4, dtype=bool))
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="exactly one context"):
        score_annotators(posterior, table, context_weights=rows)  # "new" has no row, hence no context
    known = from_codes(
        np.array([0, 0]),
        np.array([1, 1]),
        np.array([0, 0]),
        items=("x", "y"),
        state=np.zeros(2, int),
        states=("s0",),
        annotator=np.array([0, 1]),
        annotators=("ann", "bob"),
        context=np.array([1, 0]),
        contexts=("u", "v"),
    )
    found = score_annotators(posterior, known, context_weights=rows)
    np.testing.assert_allclose(found["type_probability"], [[0, 1], [1, 0]])


def test_bad_input_is_refused_by_name():
    posterior = fitted(ties=False)
    with pytest.raises(ValueError, match="outcome"):
        score_annotators(posterior, people())  # a tie, from a model without ties
    odd = from_codes(
        np.array([0]), np.array([1]), np.array([0]), items=("x", "w"), annotator=np.array([0]), annotators=("a",)
    )
    with pytest.raises(ValueError, match="not in the fit"):
        score_annotators(posterior, odd)
    half, none = np.full((1, 2), 0.5), np.zeros((1, 1, 2))
    with pytest.raises(TargetMixError, match="type_weights"):
        type_posterior(np.array([[0.5, 0.6]]), none, np.array([0]), 1)
    with pytest.raises(ValueError, match="annotator"):
        type_posterior(half, none, np.array([1]), 1)
    with pytest.raises(ValueError, match="log_prob"):
        type_posterior(half, none + 0.1, np.array([0]), 1)
    with pytest.raises(ValueError, match="log_prob"):
        type_posterior(half, none * np.nan, np.array([0]), 1)
    with pytest.raises(ValueError, match="count"):
        type_posterior(half, none, np.array([0]), 1, count=np.array([-1.0]))
    with pytest.raises(ValueError, match="log_tie"):
        label_log_prob(none, np.array([2]), log_tie=np.zeros(3))
    with pytest.raises(ValueError, match="draws and types"):
        annotator_scores(np.zeros((1, 1, 3, 2, 2)), one_person(0.5, 0.5))
    with pytest.raises(ValueError, match="comparator"):
        annotator_scores(np.zeros((1, 1, 2, 2, 2)), one_person(0.5, 0.5), comparator="mix")
    with pytest.raises(ValueError, match="upper"):
        score_annotators(fitted(ties=True), people(), upper=np.zeros((10, 2, 2, 3, 2)))
