"""Statistics of answers against loops written out, whatever the design."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.dims import A_WINS, B_WINS, BOTH_BAD, TIE
from bayespref.posterior import statistics
from bayespref.posterior.statistics import agreement, answer_design, circular_share, outcome_share, win_rates


def some_answers(seed, *, people=4, states=2, items=4, answers=30):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, items - 1, answers)
    high = np.array([rng.integers(a + 1, items) for a in low])
    state, person = rng.integers(0, states, answers), rng.integers(0, people, answers)
    return state, low, high, person, rng.integers(0, 4, answers)


def loops(state, low, high, person, outcome):
    """Every statistic by the book, one answer after the other."""
    n = len(outcome)
    rate = {}
    for cell in sorted(set(zip(state, low, high, strict=True))):
        said = [outcome[i] for i in range(n) if (state[i], low[i], high[i]) == cell and outcome[i] != BOTH_BAD]
        rate[cell] = sum({A_WINS: 1.0, B_WINS: 0.0, TIE: 0.5}[o] for o in said) / len(said) if said else np.nan
    circular = complete = 0
    for who in set(person):
        for where in set(state):
            beats = {}
            for i in range(n):
                if (person[i], state[i]) == (who, where):
                    beats.setdefault((low[i], high[i]), []).append(outcome[i])
            once = {pair: said[0] for pair, said in beats.items() if len(said) == 1}
            for x, y, z in combinations(range(high.max() + 1), 3):
                trio = [once.get(pair) for pair in ((x, y), (y, z), (x, z))]
                if all(said in (A_WINS, B_WINS) for said in trio):
                    complete += 1
                    wins = [(x, y, z)[[0, 1, 0][i] if said == A_WINS else [1, 2, 2][i]] for i, said in enumerate(trio)]
                    circular += len(set(wins)) == 3
    couples = {}
    for i, j in combinations(range(n), 2):
        if person[i] != person[j] and (state[i], low[i], high[i]) == (state[j], low[j], high[j]):
            couples.setdefault(frozenset((person[i], person[j])), []).append(outcome[i] == outcome[j])
    every = [same for shared in couples.values() for same in shared]
    spread = [np.mean(shared) for shared in couples.values() if len(shared) > 1]
    return (
        list(rate.values()),
        circular / complete if complete else np.nan,
        [np.mean(every) if every else np.nan, np.std(spread) if len(spread) > 1 else np.nan],
    )


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(3, 5), st.integers(2, 40))
def test_every_statistic_is_what_the_loops_give(seed, people, items, answers):
    state, low, high, person, outcome = some_answers(seed, people=people, items=items, answers=answers)
    design = answer_design(state, low, high, person)
    rate, circular, agreed = loops(state, low, high, person, outcome)
    both = np.stack([outcome, (outcome + 1) % 4])
    np.testing.assert_allclose(win_rates(both, design)[0], rate, rtol=1e-12)
    np.testing.assert_allclose(circular_share(both, design)[0], circular, rtol=1e-12)
    np.testing.assert_allclose(agreement(both, design)[0], agreed, rtol=1e-9, atol=1e-12)
    assert outcome_share(outcome) == np.mean(outcome == TIE)


def test_round_robins_give_the_circles_the_loops_give():
    """Every triad is complete, so that circles and their mirror images are told apart."""
    pairs = np.array(list(combinations(range(4), 2)))
    low, high = np.tile(pairs.T, 5)
    person, state = np.repeat(np.arange(5), 6), np.zeros(30, int)
    design = answer_design(state, low, high, person)
    for outcome in np.random.default_rng(0).integers(0, 2, (40, 30)):
        assert circular_share(outcome, design) == loops(state, low, high, person, outcome)[1]
    twice = answer_design(np.zeros(4, int), np.array([0, 1, 0, 0]), np.array([1, 2, 2, 1]), np.zeros(4, int))
    assert len(twice.triad) == 0  # a pair answered twice belongs to no triad


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_renaming_people_and_items_changes_no_statistic_of_the_whole_table(seed):
    state, low, high, person, outcome = some_answers(seed)
    rng = np.random.default_rng(seed)
    item, name = rng.permutation(4), rng.permutation(4)
    one, two = item[low], item[high]
    mirrored = np.where(one < two, outcome, np.array([B_WINS, A_WINS, TIE, BOTH_BAD])[outcome])
    before = answer_design(state, low, high, person)
    after = answer_design(state, np.minimum(one, two), np.maximum(one, two), name[person])
    np.testing.assert_allclose(circular_share(outcome, before), circular_share(mirrored, after))
    np.testing.assert_allclose(agreement(outcome, before), agreement(mirrored, after))


def test_coin_tosses_make_a_quarter_of_triads_circular():
    people, items = 60, 5
    pairs = np.array(list(combinations(range(items), 2)))
    low, high = np.tile(pairs.T, people)
    person = np.repeat(np.arange(people), len(pairs))
    design = answer_design(np.zeros(len(low), int), low, high, person)
    assert len(design.triad) == people * 10
    outcome = np.random.default_rng(0).integers(0, 2, (200, len(low)))
    share = circular_share(outcome, design)
    assert abs(share.mean() - 0.25) < 4 * share.std() / np.sqrt(len(share))


def test_what_nobody_answered_is_undefined():
    zero = np.zeros(2, int)
    design = answer_design(zero, zero, np.array([1, 2]), np.array([0, 1]))
    outcome = np.array([[A_WINS, BOTH_BAD]])
    assert np.isnan(circular_share(outcome, design)).all()
    assert np.isnan(agreement(outcome, design)).all()
    np.testing.assert_array_equal(win_rates(outcome, design), [[1.0, np.nan]])
    nobody = answer_design(zero, zero, zero + 1, None)
    assert np.isnan(agreement(outcome, nobody)).all()


def test_many_people_are_sampled_for_agreement_whatever_they_answered(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_PAIRS", 300)
    people, questions = 200, 6
    person = np.repeat(np.arange(people), questions)
    low = np.tile(np.arange(questions), people)
    design = answer_design(np.zeros_like(low), low, low + 1, person, seed=3)
    chosen = np.unique(person[design.shared])
    assert 2 < len(chosen) < people
    assert len(design.shared) == questions * len(chosen) * (len(chosen) - 1) // 2 <= 300
    outcome = np.random.default_rng(1).integers(0, 2, len(low))
    answered = outcome.reshape(people, questions)[chosen]
    same = [np.mean(a == b) for a, b in combinations(answered, 2)]
    np.testing.assert_allclose(agreement(outcome, design), [np.mean(same), np.std(same)], rtol=1e-12)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(chosen, np.unique(person[answer_design(low * 0, low, low + 1, person).shared]))


@pytest.mark.parametrize("people", [1, 2])
def test_one_or_two_who_answer_one_question_thousands_of_times_make_no_more_pairs_than_the_limit(people):
    answers = 3000
    zero = np.zeros(answers, dtype=int)
    design = answer_design(zero, zero, zero + 1, np.arange(answers) % people)
    assert len(design.shared) <= statistics.MOST_PAIRS
    assert (len(design.shared) > 0) == (people == 2)


def test_triads_of_a_judge_of_everything_are_drawn_whole_and_at_random(monkeypatch):
    low, high = np.triu_indices(40, 1)
    zero = np.zeros_like(low)
    every = answer_design(zero, low, high, zero).triad
    monkeypatch.setattr(statistics, "MOST_TRIADS", 2000)
    some = answer_design(zero, low, high, zero).triad
    assert len(every) == 40 * 39 * 38 // 6
    assert 0 < len(some) <= 2000
    assert {tuple(row) for row in some.tolist()} <= {tuple(row) for row in every.tolist()}
    other = answer_design(zero, low, high, zero, seed=1).triad
    assert {tuple(row) for row in some.tolist()} != {tuple(row) for row in other.tolist()}
