"""Scores against a known truth, beside loops that share no code."""

from itertools import permutations

import numpy as np
import pytest

from bayespref.disagree.known_truth import in_and_out, pick_win_rate, score_draws, separation, type_errors


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 5, 2, 2, 3)), rng.normal(size=(3, 2, 2, 3))


def test_scores_equal_loops_over_worlds_draws_cells_and_pairs(made):
    reward, truth = made
    score = score_draws(reward, truth, temperature=0.3)
    for w in range(3):
        for s in range(2):
            for c in range(2):
                draws, true = reward[w, :, s, c], truth[w, s, c]
                pairs = [(0, 1), (0, 2), (1, 2)]
                clash = [
                    (draws[i, a] > draws[i, b]) != (draws[j, a] > draws[j, b])
                    for a, b in pairs
                    for i in range(5)
                    for j in range(i)
                ]
                wrong = [(draws[i, a] > draws[i, b]) != (true[a] > true[b]) for a, b in pairs for i in range(5)]
                assert score.disagreement[w, s, c] == pytest.approx(np.mean(clash))
                assert score.sign_error[w, s, c] == pytest.approx(np.mean(wrong))
                value, own, rate = [], [], []
                for i in range(5):
                    p = np.exp(draws[i] / 0.3) / np.exp(draws[i] / 0.3).sum()
                    value.append(p @ true - true.mean())
                    own.append(p @ draws[i] - draws[i].mean())
                    rate.append(sum(p[a] / 3 / (1 + np.exp(true[b] - true[a])) for a in range(3) for b in range(3)))
                assert score.value[w, s, c] == pytest.approx(np.mean(value))
                assert score.predicted[w, s, c] == pytest.approx(np.mean(own))
                assert score.worse[w, s, c] == pytest.approx(np.mean(np.array(value) < 0))
                assert score.win_rate[w, :, s, c] == pytest.approx(rate)
                assert score.best[w, s, c] == pytest.approx(true.max() - true.mean())


def test_ties_count_one_half_wrong_and_never_disagree():
    score = score_draws(np.zeros((4, 1, 1, 2)), np.array([[[1.0, 0.0]]]))
    assert float(score.sign_error.squeeze()) == 0.5
    assert float(score.disagreement.squeeze()) == 0.0


def test_averages_are_taken_inside_and_outside_the_missing_region(made):
    score = score_draws(*made)
    hole = np.array([[True, False], [False, False]])
    found = in_and_out(score, hole)
    assert found["error_b"] == pytest.approx(score.sign_error[:, 0, 0])
    assert found["error_in"] == pytest.approx((score.sign_error.sum((1, 2)) - score.sign_error[:, 0, 0]) / 3)
    rate = (score.win_rate.sum((-1, -2)) - score.win_rate[..., 0, 0]) / 3
    assert found["win_rate_sd"] == pytest.approx(rate.std(1, ddof=1))


def test_wrong_shapes_are_refused(made):
    reward, truth = made
    with pytest.raises(ValueError, match="axes of reward"):
        score_draws(reward, truth[:2])
    with pytest.raises(ValueError, match="two draws"):
        score_draws(reward[:, :1], truth)
    with pytest.raises(ValueError, match="temperature"):
        score_draws(reward, truth, temperature=0.0)
    for hole in (np.zeros((2, 2), bool), np.ones((2, 2), bool), np.ones((2, 3), bool)):
        with pytest.raises(ValueError, match="some but not all"):
            in_and_out(score_draws(reward, truth), hole)


def test_win_rate_of_picks_equals_a_loop_and_two_equal_policies_draw():
    rng = np.random.default_rng(1)
    offered, one, other, truth = rng.normal(size=(20, 4, 3)), *rng.normal(size=(3, 3))
    rate = pick_win_rate(offered, one, other, truth)
    for case, want in zip(offered, rate, strict=True):
        mine = max(case, key=lambda z: sum(z * one))
        theirs = max(case, key=lambda z: sum(z * other))
        assert want == pytest.approx(1 / (1 + np.exp(sum(theirs * truth) - sum(mine * truth))))
    assert (pick_win_rate(offered, one, 2 * one, truth) == 0.5).all()
    assert rate + pick_win_rate(offered, other, one, truth) == pytest.approx(np.ones(20))
    with pytest.raises(ValueError, match="other"):
        pick_win_rate(offered, one, other[:2], truth)
    with pytest.raises(ValueError, match="candidates"):
        pick_win_rate(offered[0], one, other, truth)


def test_types_are_matched_by_trying_every_order():
    rng = np.random.default_rng(3)
    found, true, own, right = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), *rng.dirichlet(np.ones(3), 2)
    pairs = [(a, b) for a in range(4) for b in range(a)]

    def square(order):
        return sum(
            right[c] * np.mean([((found[k, a] - found[k, b]) - (true[c, a] - true[c, b])) ** 2 for a, b in pairs])
            for c, k in enumerate(order)
        )

    got = type_errors(found, own, true, right)
    assert got.reward == pytest.approx(np.sqrt(min(square(order) for order in permutations(range(3)))))
    assert square(got.order) == pytest.approx(got.reward**2)
    shift = [
        sum(own[k] / (1 + np.exp(found[k, b] - found[k, a])) for k in range(3))
        - sum(right[k] / (1 + np.exp(true[k, b] - true[k, a])) for k in range(3))
        for a, b in pairs
    ]
    assert got.share == pytest.approx(np.sqrt(np.mean(np.square(shift))))
    with pytest.raises(ValueError, match="need \\(type, item\\)"):
        type_errors(found, own, true[:2], right)


def test_separation_counts_every_pair_and_ties_as_half():
    rng = np.random.default_rng(4)
    score, hit = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.3
    wins = [(x > y) + 0.5 * (x == y) for x in score[hit] for y in score[~hit]]
    assert separation(score, hit) == pytest.approx(np.mean(wins))
    assert np.isnan(separation(score, np.ones(40, bool)))
    with pytest.raises(ValueError, match="score, positive"):
        separation(score, hit[:3])
