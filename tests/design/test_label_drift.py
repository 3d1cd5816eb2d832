"""Changes of the answers are found where they happened, and no oftener than stated where nothing happened."""

import itertools

import numpy as np
import pytest

from bayespref.comparisons import from_codes
from bayespref.design.changes import change_points
from bayespref.design.label_drift import label_drift


def series(seed, n=600, n_strata=6, jump=0.0, at=0.5):
    """Labels of several strata; a share of the strata's probabilities jumps at a moment."""
    rng = np.random.default_rng(seed)
    stratum = rng.integers(n_strata, size=n)
    base = rng.uniform(0.25, 0.75, size=n_strata)
    late = np.arange(n) >= at * n
    sign = np.where(np.arange(n_strata) % 2 == 0, 1.0, -1.0)
    p = np.clip(base[stratum] + jump * sign[stratum] * late, 0.02, 0.98)
    return (rng.random(n) < p).astype(float), stratum, np.arange(n).astype(float)


def test_a_jump_is_dated_within_a_few_labels():
    for seed in range(3):
        got = change_points(*series(seed, jump=0.45), rng=np.random.default_rng(seed), n_permutations=99, most=1)
        assert got.p_first == 0.01
        assert abs(got.time[0] - 300) <= 25


def test_two_jumps_are_two_change_points():
    label, stratum, time = series(0, n=900, n_strata=1)
    p = np.where((time >= 300) & (time < 600), 0.85, 0.25)
    label = (np.random.default_rng(1).random(900) < p).astype(float)
    got = change_points(label, stratum, time, rng=np.random.default_rng(0), n_permutations=99)
    assert len(got.time) == 2
    np.testing.assert_allclose(got.time, [300, 600], atol=15)


def test_a_change_of_what_is_asked_is_no_change_of_answers():
    """First an easy question, then a hard one: marginally the labels change, within each question they do not."""
    rng = np.random.default_rng(3)
    stratum = np.repeat([0, 1], 300)
    label = (rng.random(600) < np.where(stratum == 0, 0.9, 0.4)).astype(float)
    time = np.arange(600.0)
    apart = change_points(label, stratum, time, rng=rng, n_permutations=99)
    pooled = change_points(label, np.zeros(600, int), time, rng=rng, n_permutations=99)
    assert len(apart.time) == 0
    assert pooled.p_first == 0.01


def test_the_p_value_is_the_share_of_permutations_by_enumeration():
    label = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    time = np.arange(6.0)

    def strongest(y):
        e, best = y - y.mean(), 0.0
        for cut in (2, 3, 4):
            spread = (e**2).sum() / 5 * cut * (6 - cut) / 6
            best = max(best, e[:cut].sum() ** 2 / spread)
        return best

    every = [strongest(np.array(order)) for order in itertools.permutations(label)]
    exact = np.mean(np.array(every) >= strongest(label) - 1e-9)
    got = change_points(
        label, np.zeros(6, int), time, rng=np.random.default_rng(0), n_permutations=4000, least=2, level=0.5
    )
    assert got.p_first == pytest.approx(exact, abs=4 * 0.5 / np.sqrt(4000))


def test_a_direction_finds_what_no_stratum_shows_alone():
    """Forty pairs of ten labels each; late, whatever is shown first gains a little in all of them."""
    rng = np.random.default_rng(0)
    n = 1200
    stratum, side = rng.integers(60, size=n), rng.choice([-1.0, 1.0], size=n)
    late = np.arange(n) >= n / 2
    label = (rng.random(n) < 0.5 + 0.14 * side * late).astype(float)
    along = change_points(label, stratum, np.arange(n) * 1.0, rng=rng, direction=side, n_permutations=199)
    blind = change_points(label, stratum, np.arange(n) * 1.0, rng=rng, n_permutations=199)
    assert along.p_first <= 0.01
    assert along.p_first < blind.p_first


def test_questions_that_all_answer_alike_cannot_show_a_change():
    got = change_points(np.ones(50), np.zeros(50, int), np.arange(50.0), rng=np.random.default_rng(0))
    assert (got.reason, len(got.time), bool(np.isnan(got.p_first))) == ("thin", 0, True)


@pytest.mark.slow
@pytest.mark.parametrize("directed", [False, True])
def test_no_change_is_reported_at_most_at_the_stated_rate(promise, directed):
    """400 series of 200 labels, level .1, 39 permutations."""
    alarms = 0
    for seed in range(400):
        label, stratum, time = series(seed, n=200)
        rng = np.random.default_rng(10_000 + seed)
        side = rng.choice([-1.0, 1.0], size=200) if directed else None
        got = change_points(label, stratum, time, rng=rng, direction=side, level=0.1, n_permutations=39, most=1)
        alarms += len(got.time) > 0
    promise.share(f"change of answers, no change, directed {directed}: reported", alarms, 400, 0.1, "at most")


def table(n=1200, *, turncoat=None, flip_position=False, jump=0.0):
    rng = np.random.default_rng(8)
    item_a, item_b = np.zeros(n, int), np.ones(n, int)
    state, annotator = rng.integers(2, size=n), rng.integers(8, size=n)
    swap = rng.random(n) < 0.5
    item_a, item_b = np.where(swap, 1, 0), np.where(swap, 0, 1)
    late = np.arange(n) >= n / 2
    p_zero = np.where(state == 0, 0.8, 0.7) - jump * late
    if turncoat is not None:
        p_zero = np.where((annotator == turncoat) & late, 1 - p_zero, p_zero)
    zero_wins = rng.random(n) < p_zero
    position = rng.choice([-1, 1], size=n)
    if flip_position:
        shown_first_is_zero = (position == 1) ^ swap
        zero_wins = np.where(late & (rng.random(n) < 0.35), shown_first_is_zero, zero_wins)
    outcome = np.where(zero_wins ^ swap, 0, 1)
    return from_codes(
        item_a,
        item_b,
        outcome,
        items=("x", "y"),
        state=state,
        states=("s", "t"),
        annotator=annotator,
        annotators=[f"person {k}" for k in range(8)],
        position=position,
        timestamp=1000.0 + np.arange(n),
    )


@pytest.fixture(scope="module")
def quiet():
    return label_drift(table(), rng=np.random.default_rng(0), n_permutations=99)


def test_a_quiet_table_is_quiet_and_says_its_false_alarm_rate(quiet):
    assert len(quiet.overall.time) == len(quiet.position.time) == 0
    assert not quiet.annotators["changed"].any()
    assert "answers changed: no" in quiet.words
    assert "false-alarm rate 0.05, 99 permutations" in quiet.words
    assert quiet.shares["n"].sum() == 1200


def test_one_turncoat_is_named():
    got = label_drift(table(turncoat=3), rng=np.random.default_rng(0), n_permutations=199)
    assert got.annotators.query("changed")["annotator"].tolist() == ["person 3"]
    assert got.annotators["time"][0] == pytest.approx(1600, abs=60)


def test_a_new_pull_of_the_first_position_is_found_as_that():
    got = label_drift(table(flip_position=True), rng=np.random.default_rng(0), n_permutations=99)
    assert got.position.p_first == 0.01
    assert got.position.time[0] == pytest.approx(1600, abs=60)


def test_shares_before_and_after_bracket_the_truth_and_orientation_does_not_matter():
    got = label_drift(table(jump=0.4), rng=np.random.default_rng(0), n_permutations=99, most=1)
    assert "yes" in got.words
    rows = got.shares.query("state == 's'")
    assert (rows["lower"] <= [0.8, 0.4]).all()
    assert (rows["upper"] >= [0.8, 0.4]).all()
    assert rows["moved"].iloc[1] == pytest.approx(-0.4, abs=0.1)


def test_bad_label_series_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"n_permutations: level 0\.05 needs at least 19, got 9"):
        change_points(np.zeros(4), np.zeros(4, int), np.arange(4.0), rng=rng, n_permutations=9)
    with pytest.raises(ValueError, match="time: must have the shape"):
        change_points(np.zeros(4), np.zeros(4, int), np.arange(3.0), rng=rng)
    with pytest.raises(ValueError, match="label"):
        change_points(np.full(4, np.nan), np.zeros(4, int), np.arange(4.0), rng=rng)
    with pytest.raises(ValueError, match="stratum: must be"):
        change_points(np.zeros(4), np.zeros(4), np.arange(4.0), rng=rng)
    with pytest.raises(ValueError, match="no timestamps"):
        label_drift(from_codes(np.zeros(1, int), np.ones(1, int), np.zeros(1, int), items=("x", "y")), rng=rng)


def test_other_questions_later_are_no_change_of_an_annotator():
    alarms = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        crowd, one = np.arange(400), np.arange(80)
        # The crowd prefers the first item of both questions; one person never does in the first question, asked early.
        question = np.concatenate([crowd % 2, (one >= 40).astype(int)])
        who = np.concatenate([1 + crowd % 40, np.zeros(80, int)])
        second = rng.random(480) > np.where((who == 0) & (question == 0), 0.2, 0.8)
        rows = from_codes(
            2 * question,
            2 * question + 1,
            second.astype(int),
            items=("a", "b", "c", "d"),
            annotator=who,
            annotators=[f"person {k}" for k in range(41)],
            timestamp=np.concatenate([crowd * 1.0, one * 5.0]),
        )
        got = label_drift(rows, rng=np.random.default_rng(0), n_permutations=39)
        alarms += bool(got.annotators["changed"].any())
    assert alarms <= 2  # at a level of 5 %, more than 2 of 12 happen once in fifty


def test_types_given_by_the_caller_are_not_called_contexts():
    n = np.arange(80)
    context = {"context": n % 2, "contexts": ("East", "West")}
    rows = from_codes(0 * n, 0 * n + 1, n % 2, items=("x", "y"), timestamp=n * 1.0, **context)
    got = label_drift(rows, rng=np.random.default_rng(0), n_permutations=19, kind=(n // 2) % 2)
    assert set(got.shares["type"]) == {"type 0", "type 1"}
