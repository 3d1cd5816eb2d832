"""Annotators: choice probabilities, shared types, endogenous prompts, seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from bayespref.dims import A_WINS, B_WINS, TIE
from bayespref.errors import TargetMixError
from bayespref.simulate.annotate import annotate, outcome_probabilities

REWARD = np.array([[[0.0, 1.0, -0.5], [2.0, 0.0, 0.3]], [[-1.0, 0.2, 0.4], [0.0, 0.0, 3.0]]])
PROMPT = np.array([[0.3, 1.0], [0.7, 0.0]])
WEIGHT = np.array([0.6, 0.4])
# Bounds of 4.5 standard errors: one proportion fails by chance in about 1 of 150,000 seeds; the seed is fixed.
Z = 4.5


def draw(**changes):
    settings = {
        "type_weight": WEIGHT,
        "prompt_prob": PROMPT,
        "n_annotators": 3000,
        "labels_per_annotator": 20,
        "seed": 11,
    }
    return annotate(REWARD, **(settings | changes))


def close(share, expected, n):
    return abs(share - expected) <= Z * np.sqrt(max(expected * (1 - expected), 1e-12) / n) + 1e-12


def test_win_rates_match_the_sigmoid_in_every_cell_and_ordered_pair():
    rows = draw()
    kind = rows.annotator_type[rows.annotator]
    checked = 0
    for s in range(2):
        for c in range(2):
            for a in range(3):
                for b in range(3):
                    here = (rows.state == s) & (kind == c) & (rows.item_a == a) & (rows.item_b == b)
                    n = int(here.sum())
                    if n == 0:
                        continue
                    checked += 1
                    won = float(np.mean(rows.outcome[here] == A_WINS))
                    assert close(won, expit(REWARD[s, c, a] - REWARD[s, c, b]), n), (s, c, a, b, won, n)
    assert checked == 3 * 6  # cell (state 1, type 1) has no prompt mass


def test_states_types_and_pairs_follow_their_distributions():
    rows = draw()
    kind = rows.annotator_type[rows.annotator]
    assert close(np.mean(rows.annotator_type == 0), 0.6, 3000)
    n = int((kind == 0).sum())
    assert close(np.mean(rows.state[kind == 0] == 1), 0.7, n)
    assert np.all(rows.state[kind == 1] == 0)
    for a in range(3):
        for b in range(3):
            share = np.mean((rows.item_a == a) & (rows.item_b == b))
            assert close(share, 0.0 if a == b else 1 / 6, len(rows.state))


def test_annotators_labels_share_one_type():
    # Two types with opposite and certain tastes: every annotator must be perfectly consistent.
    reward = np.array([[[40.0, -40.0], [-40.0, 40.0]]])
    rows = annotate(
        reward, type_weight=[0.5, 0.5], prompt_prob=[[1.0, 1.0]], n_annotators=200, labels_per_annotator=15, seed=5
    )
    winner = np.where(rows.outcome == A_WINS, rows.item_a, rows.item_b)
    assert np.array_equal(winner, rows.annotator_type[rows.annotator])
    assert set(rows.annotator_type) == {0, 1}


def test_davidson_ties_have_the_stated_odds():
    rows = draw(tie=0.8, n_annotators=6000)
    kind = rows.annotator_type[rows.annotator]
    here = (rows.state == 0) & (kind == 1) & (rows.item_a == 0) & (rows.item_b == 1)
    gap = 2.0
    odds = {A_WINS: np.exp(gap / 2), B_WINS: np.exp(-gap / 2), TIE: 0.8}
    total = sum(odds.values())
    for code, value in odds.items():
        assert close(np.mean(rows.outcome[here] == code), value / total, int(here.sum()))


def test_no_tie_is_drawn_without_a_tie_parameter():
    assert set(draw(n_annotators=200).outcome) <= {A_WINS, B_WINS}


@given(st.floats(-2000, 2000), st.floats(0, 50))
def test_outcome_probabilities_sum_to_one_and_mirror(gap, tie):
    p_a, p_b, p_tie = outcome_probabilities(np.array(gap), tie)
    q_a, q_b, q_tie = outcome_probabilities(np.array(-gap), tie)
    assert p_a + p_b + p_tie == pytest.approx(1.0, abs=1e-12)
    assert (p_a, p_b, p_tie) == (q_b, q_a, q_tie)


def test_decisiveness_scales_the_difference():
    rows = draw(decisiveness=np.zeros(3000))
    assert close(np.mean(rows.outcome == A_WINS), 0.5, len(rows.outcome))


def test_same_seed_gives_the_same_rows_and_another_seed_does_not():
    first, second, third = draw(n_annotators=50), draw(n_annotators=50), draw(n_annotators=50, seed=12)
    assert all(np.array_equal(x, y) for x, y in zip(first, second, strict=True))
    assert not np.array_equal(first.outcome, third.outcome)
    root = np.random.SeedSequence(4)
    again = [draw(n_annotators=50, seed=root) for _ in range(2)]
    assert np.array_equal(again[0].outcome, again[1].outcome)


def test_pair_probabilities_per_cell_are_obeyed():
    pair = np.zeros((2, 2, 3, 3))
    pair[..., 0, 1] = 1.0
    pair[0, 0] = 0.0
    pair[0, 0, 2, 1], pair[0, 0, 1, 0] = 0.25, 0.75
    pair[1, 1] = np.nan  # never asked about, so never read
    with pytest.raises(ValueError, match="diagonal"):
        draw(pair_prob=pair)
    pair[1, 1] = 0.0
    rows = draw(pair_prob=pair, n_annotators=500)
    special = (rows.state == 0) & (rows.annotator_type[rows.annotator] == 0)
    assert np.all((rows.item_a[~special] == 0) & (rows.item_b[~special] == 1))
    assert close(np.mean(rows.item_a[special] == 2), 0.25, int(special.sum()))


def test_unequal_label_counts_and_no_labels():
    rows = draw(n_annotators=4, labels_per_annotator=np.array([0, 3, 1, 0]))
    assert rows.annotator.tolist() == [1, 1, 1, 2]
    empty = draw(n_annotators=2, labels_per_annotator=0, pair_prob=np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0.0]]))
    assert len(empty.outcome) == 0


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"type_weight": [0.5, 0.6]}, TargetMixError, "type_weight"),
        ({"prompt_prob": PROMPT.T}, TargetMixError, "prompt_prob"),
        ({"pair_prob": np.full((3, 3), 1 / 9)}, ValueError, "diagonal"),
        ({"pair_prob": np.eye(3)[[1, 2, 0]]}, TargetMixError, "pair_prob"),
        ({"pair_prob": np.zeros((2, 2))}, ValueError, "pair_prob"),
        ({"tie": -1.0}, ValueError, "tie"),
        ({"labels_per_annotator": -1}, ValueError, "labels_per_annotator"),
        ({"labels_per_annotator": 1.5}, ValueError, "labels_per_annotator"),
        ({"decisiveness": np.nan}, ValueError, "decisiveness"),
    ],
)
def test_broken_settings_are_named(changes, error, match):
    with pytest.raises(error, match=match):
        draw(**{"n_annotators": 5, **changes})


def test_infinite_reward_is_refused():
    with pytest.raises(ValueError, match="reward"):
        annotate(
            np.array([[[np.inf, 0.0]]]), type_weight=[1.0], prompt_prob=[[1.0]], n_annotators=1,
            labels_per_annotator=1, seed=0,
        )  # fmt: skip
