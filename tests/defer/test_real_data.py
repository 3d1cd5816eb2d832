"""Deferral on real tables: risk against coverage on people the fit has not seen, and a prompt that should defer."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit

import bayespref
from bayespref.data.split import hold_out
from bayespref.defer.calibrate import learn_then_test
from bayespref.defer.heldout import held_out_units
from bayespref.defer.metrics import aurc, risk_coverage
from bayespref.defer.types import label_log_prob, type_posterior
from bayespref.errors import CalibrationLeakError
from bayespref.fit.maximum_likelihood import bradley_terry
from bayespref.posterior.verdict import convergence
from bayespref.workflow import analyse, fit, policy


def read(folder, name):
    return bayespref.read_comparisons(
        folder / name / "comparisons.csv", adapter="labels", columns={"annotator": "rater_id"}
    )


def fit_types(table, n_types, *, by_state=True, seed=0, n_steps=25):
    """Scores (state, type, item), type shares and log-likelihood by EM: Bradley-Terry on counts weighted by type.

    A twentieth of a win each way is added to every pair, so that no estimate is infinite.
    """
    state = table.state if by_state else np.zeros_like(table.state)
    n_states, n_items = int(state.max()) + 1, table.n_items
    wins = np.zeros((table.n_annotators, n_states, n_items, n_items))
    first = table.outcome == 0
    winner, loser = np.where(first, (table.item_a, table.item_b), (table.item_b, table.item_a))
    np.add.at(wins, (table.annotator, state, winner, loser), 1.0)
    wins = wins[wins.sum((1, 2, 3)) > 0]
    share = np.random.default_rng(seed).dirichlet(np.ones(n_types), size=len(wins))
    for _ in range(n_steps if n_types > 1 else 1):
        weight = share.mean(0)
        counts = np.einsum("uk,usab->skab", share, wins) + 0.05 * (1 - np.eye(n_items))
        score = np.array([[bradley_terry(cell).score for cell in row] for row in counts])
        log_p = np.log(expit(score[..., :, None] - score[..., None, :]))
        joint = np.einsum("usab,skab->uk", wins, log_p) + np.log(weight)
        top = joint.max(1, keepdims=True)
        share = np.exp(joint - top)
        log_likelihood = float((top[:, 0] + np.log(share.sum(1))).sum())
        share /= share.sum(1, keepdims=True)
    return score, weight, log_likelihood


def study(table):
    """Fit 60 % of the people; of the others, half of the labels reveal the type and the other half are predicted."""
    table = table.select(table.outcome < 2)
    split = hold_out(table, share=0.4, seed=0)
    test = split.test
    single, _, _ = fit_types(split.train, 1)
    pooled, _, _ = fit_types(split.train, 1, by_state=False)
    typed, weight, _ = max((fit_types(split.train, 2, seed=seed) for seed in range(2)), key=lambda fit: fit[2])
    shuffled = np.random.default_rng(1).permutation(test.n_rows)
    known = np.zeros(test.n_rows, dtype=bool)
    for person in np.unique(test.annotator):
        rows = shuffled[test.annotator[shuffled] == person]
        known[rows[: (len(rows) + 1) // 2]] = True

    def gap(score, state):
        return score[state, :, test.item_a] - score[state, :, test.item_b]

    by_type = gap(typed, test.state)
    revealed = type_posterior(
        weight[None],
        label_log_prob(by_type[None, known], test.outcome[known]),
        test.annotator[known],
        test.n_annotators,
    )
    probability = {
        "states pooled": expit(gap(pooled, np.zeros_like(test.state))[:, 0]),
        "single": expit(gap(single, test.state)[:, 0]),
        "types unknown": expit(by_type) @ weight,
        "types known": (expit(by_type) * revealed.probability[test.annotator]).sum(1),
    }
    first = test.outcome == 0
    cases = {
        name: (np.abs(p - 0.5)[~known], ((p > 0.5) != first)[~known].astype(float)) for name, p in probability.items()
    }
    return SimpleNamespace(split=split, cases=cases, person=test.annotator[~known], revealed=revealed, single=single)


def saved(found, plain, other, n_resamples=200):
    """AURC of one rule minus another's, and its 95 % interval over resampled people."""
    people = np.unique(found.person)
    rows = [np.flatnonzero(found.person == person) for person in people]
    rng = np.random.default_rng(0)
    difference = []
    for _ in range(n_resamples):
        pick = np.concatenate([rows[i] for i in rng.integers(len(people), size=len(people))])
        area = [aurc(*(values[pick] for values in found.cases[name])).aurc for name in (plain, other)]
        difference.append(area[0] - area[1])
    return np.quantile(difference, [0.025, 0.975])


@pytest.fixture(scope="module")
def sound(data_folder):
    return study(read(data_folder, "sound_quality"))


@pytest.fixture(scope="module")
def mtbench(data_folder):
    return study(read(data_folder, "mtbench_human"))


@pytest.mark.parametrize("name", ["sound", "mtbench"])
def test_on_unseen_people_risk_falls_as_fewer_cases_are_acted_on(name, request):
    """The half of the cases that a rule is surest of has less than two thirds of the overall risk."""
    found = request.getfixturevalue(name)
    for confidence, loss in found.cases.values():
        curve = risk_coverage(confidence, loss)
        half = np.searchsorted(curve.coverage, 0.5)
        assert curve.risk[-1] == pytest.approx(loss.mean())
        assert curve.risk[half] < curve.risk[-1] * 2 / 3
        assert aurc(confidence, loss).aurc < 0.7 * loss.mean()  # a random order has the mean loss itself


def test_sound_quality_a_persons_first_labels_make_the_confidence_better(sound):
    """Listeners differ in how decisive they are: knowing the type says whose labels can be predicted."""
    low, high = saved(sound, "single", "types known")
    assert 0.0 < low < high < 0.05
    unknown, plain = (aurc(*sound.cases[name]).aurc for name in ("types unknown", "single"))
    assert abs(unknown - plain) < 0.002  # types help nobody whose type is not known
    assert sound.revealed.probability[np.unique(sound.person)].max(1).mean() > 0.95


def test_sound_quality_a_fit_that_ignores_the_piece_of_music_orders_cases_worse(sound):
    low, _ = saved(sound, "states pooled", "single")
    assert low > 0.0


def test_mtbench_judges_have_no_types_that_would_improve_on_a_single_type(mtbench):
    """The table's documentation finds no difference between kinds of judges: two types are no gain on unseen ones."""
    low, high = saved(mtbench, "single", "types known")
    assert low < 0.0
    assert high < 0.01


def test_sound_quality_has_too_few_listeners_to_certify_a_risk_of_a_quarter(data_folder):
    """One comparison each of 24 unseen listeners; the favourites lose more than a quarter of theirs. Defer all."""
    split = hold_out(read(data_folder, "sound_quality"), share=0.6, seed=3)
    score, _, _ = fit_types(split.train, 1)
    lead = -np.diff(np.sort(score[:, 0], axis=1)[:, -2:], axis=1)[:, 0]  # smaller is surer
    units = held_out_units(split.test, split.test.state, score[:, 0].argmax(1), lead, seed=0)
    assert len(units.rater) == 24
    fitted = [split.train.annotators[i] for i in np.unique(split.train.annotator)]
    settings = {"alpha": 0.25, "delta": 0.1, "grid": np.linspace(-2, 0, 9), "region": units.region, "n_regions": 4}
    certificate = learn_then_test(units.score, units.loss, rater=units.rater, fit_raters=fitted, **settings)
    assert (certificate.threshold, certificate.reason) == (None, "not_certified")
    assert not certificate.accept(lead, np.arange(4)).any()
    with pytest.raises(CalibrationLeakError):
        learn_then_test(units.score, units.loss, rater=units.rater, fit_raters=[*fitted, units.rater[0]], **settings)


# ---------------------------------------------------------------------------- the same with sampled posteriors


def sampled(table, model, *, options=None, **size):
    """As :func:`study`, with draws of NUTS; ``plain`` is the confidence of a maximum-likelihood fit of one type."""
    split = hold_out(table.select(table.outcome < 2), share=0.4, seed=0)
    test = split.test
    tree = fit(model, split.train, rng_key=0, options=options, method="nuts", n_starts=2, progress=False, **size)
    posterior = tree["posterior"].to_dataset().stack(sample=("chain", "draw"))
    reward = posterior["reward"].transpose("sample", "state", "type", "item").values
    share = posterior["type_weight"].transpose("sample", "type").values
    gap = reward[:, test.state, :, test.item_a] - reward[:, test.state, :, test.item_b]  # row first: indexed axes lead
    gap = np.moveaxis(gap, 1, 0)
    known = np.zeros(test.n_rows, dtype=bool)
    shuffled = np.random.default_rng(1).permutation(test.n_rows)
    for person in np.unique(test.annotator):
        rows = shuffled[test.annotator[shuffled] == person]
        known[rows[: (len(rows) + 1) // 2]] = True
    revealed = type_posterior(
        share, label_log_prob(gap[:, known], test.outcome[known]), test.annotator[known], test.n_annotators
    )
    score = fit_types(split.train, 1)[0][:, 0]
    probability = {
        "plain": expit(score[test.state, test.item_a] - score[test.state, test.item_b]),
        "posterior": (expit(gap).mean(0) * revealed.probability[test.annotator]).sum(1),
    }
    first = test.outcome == 0
    cases = {
        name: (np.abs(p - 0.5)[~known], ((p > 0.5) != first)[~known].astype(float)) for name, p in probability.items()
    }
    return SimpleNamespace(tree=tree, cases=cases, person=test.annotator[~known])


@pytest.mark.slow
def test_sound_quality_sampled_types_order_unseen_cases_better_than_a_plain_confidence(data_folder):
    found = sampled(
        read(data_folder, "sound_quality"), "latent_types", options={"n_types": 2}, chains=2, warmup=150, draws=100
    )
    assert not int(found.tree["sample_stats"]["diverging"].sum())
    low, high = saved(found, "plain", "posterior")
    assert 0.0 < low < high < 0.05


@pytest.mark.slow
def test_mtbench_a_sampled_posterior_orders_cases_as_a_plain_confidence_does(data_folder):
    """One type and many labels a pair: AURC .0904 against .0948, and the interval of the difference holds zero."""
    found = sampled(read(data_folder, "mtbench_human"), "single", chains=4, draws=500)
    assert convergence(found.tree)[0].ok, convergence(found.tree)[0].words
    low, high = saved(found, "plain", "posterior")
    assert -0.005 < low < 0.0 < high < 0.02
    for confidence, loss in found.cases.values():
        curve = risk_coverage(confidence, loss)
        assert curve.risk[np.searchsorted(curve.coverage, 0.5)] < curve.risk[-1] * 2 / 3


# ---------------------------------------------------------------------------- a prompt whose answers all fail


@pytest.mark.slow
def test_llmfao_sally_defers(data_folder):
    """86 % ties: nothing separates the models, so no model can be played at a price of 0.3 log-odds."""
    table = read(data_folder, "llmfao_crowd")
    rows = table.select(table.state == table.states.index("sally"))
    assert (rows.outcome == 2).mean() == pytest.approx(0.86, abs=0.005)
    tree = fit("single", rows.pool("state"), rng_key=0, method="nuts", chains=4, draws=500, n_starts=2, progress=False)
    assert convergence(tree)[0].ok, convergence(tree)[0].words
    tree = analyse(tree, reward_range=(-6.0, 6.0), max_draws=200)
    answer = policy(tree, c_defer=0.3)
    assert answer.lookup({"state": "all"})[:3] == ("defer", None, "score_above_threshold")
    scores = tree["defer"].to_dataset()
    assert scores["flag"].values.tolist() == [""]
    assert float(scores["c_set_pure"][0]) > 0.3
    assert float(scores["c_chow"][0]) > 0.3
    reward = tree["posterior"]["reward"].values.reshape(-1, table.n_items)
    best = reward.argmax(1)
    assert np.bincount(best).max() / len(best) < 0.5  # no model is best in half of the draws
