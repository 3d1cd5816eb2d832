"""What a candidate's label would add, against the information package and against a brute-force expectation."""

import numpy as np
import pytest
from scipy.special import expit

from bayespref.design.candidates import edit_matrices, feature_candidates, pair_candidates
from bayespref.information import fisher, fisher_by_type

RNG = np.random.default_rng(3)
REWARD = RNG.normal(size=(2, 2, 4))
ALL = np.ones((2, 4), dtype=bool)


def expected_outer_score(reward, state, a, b, mix):
    """E[score score'] of one answer of an annotator of unseen type: both answers enumerated, slopes numerical."""

    def log_p(flat, sign):
        r = flat.reshape(reward.shape)
        return np.log(mix @ expit(sign * (r[state, :, a] - r[state, :, b])))

    flat, out = reward.ravel(), np.zeros((reward.size, reward.size))
    for sign in (1, -1):
        score = np.zeros(flat.size)
        for i in range(flat.size):
            step = np.zeros(flat.size)
            step[i] = 1e-5
            score[i] = (log_p(flat + step, sign) - log_p(flat - step, sign)) / 2e-5
        out += np.exp(log_p(flat, sign)) * np.outer(score, score)
    return out


@pytest.mark.parametrize("mix", [[1.0, 0.0], [0.3, 0.7]])
def test_a_label_adds_the_information_of_its_score(mix):
    got = pair_candidates(REWARD[None], np.array([mix]), ALL)
    assert len(got.state) == 12
    for k in (0, 7, 11):
        want = expected_outer_score(REWARD, got.state[k], got.item_a[k], got.item_b[k], np.array(mix))
        np.testing.assert_allclose(got.matrices()[k], want, atol=1e-8)


def test_predicted_shares_are_those_of_the_mixture():
    got = pair_candidates(REWARD[None], np.array([[0.3, 0.7]]), ALL)
    gap = REWARD[got.state, :, got.item_a] - REWARD[got.state, :, got.item_b]
    np.testing.assert_allclose(got.preferred, expit(gap) @ [0.3, 0.7])


def test_only_available_and_allowed_pairs_are_candidates():
    available = np.array([[True, True, False, True], [False, False, True, True]])
    allowed = np.ones((4, 4), dtype=bool)
    allowed[0, 1] = allowed[1, 0] = False
    got = pair_candidates(REWARD[None], np.eye(2), available, allowed)
    asked = set(zip(got.state.tolist(), got.item_a.tolist(), got.item_b.tolist(), strict=True))
    assert asked == {(0, 0, 3), (0, 1, 3), (1, 2, 3)}


def test_linear_candidates_agree_with_the_information_of_features():
    w, features = RNG.normal(size=(2, 3)), RNG.normal(size=(5, 3))
    pairs = np.array([[0, 1], [2, 4], [3, 1]])
    mix = np.array([0.4, 0.6])
    got = feature_candidates(w[None], mix[None], features, pairs)
    dz = features[pairs[:, 0]] - features[pairs[:, 1]]
    mean = got.matrices().mean(axis=0)
    want = fisher_by_type(dz, w, np.tile(mix, (3, 1))).single
    for c in range(2):
        np.testing.assert_allclose(mean[3 * c : 3 * c + 3, 3 * c : 3 * c + 3], want[c])
    np.testing.assert_allclose(edit_matrices([dz], w[None], mix)[0], mean)
    np.testing.assert_allclose(edit_matrices([dz], w[:1][None], np.ones(1))[0], fisher(dz, w[0]))


BAD = {
    "one axis": (lambda: pair_candidates(np.zeros(3), np.ones((1, 1)), ALL), "reward: must have shape"),
    "NaN draws": (
        lambda: pair_candidates(np.full((1, 1, 1, 2), np.nan), np.ones((1, 1)), ALL[:1, :2]),
        "reward: .*finite",
    ),
    "no mix": (lambda: pair_candidates(REWARD[None], np.array([[0.5, 0.2]]), ALL), "membership"),
    "wrong types": (lambda: pair_candidates(REWARD[None], np.ones((1, 1)), ALL), "membership: must have shape"),
    "wrong items": (lambda: pair_candidates(REWARD[None], np.eye(2), ALL[:, :2]), "available: must have shape"),
    "empty mask": (lambda: pair_candidates(REWARD[None], np.eye(2), ~ALL), "available: no pair"),
    "allowed": (lambda: pair_candidates(REWARD[None], np.eye(2), ALL, ALL), "allowed: must have shape"),
    "too many": (
        lambda: pair_candidates(np.zeros((1, 1, 1, 900)), np.ones((1, 1)), np.ones((1, 900), bool)),
        "too many",
    ),
    "features": (
        lambda: feature_candidates(np.zeros((1, 1, 2)), np.ones((1, 1)), np.eye(3), np.array([[0, 1]])),
        "features: must have shape",
    ),
    "pairs": (
        lambda: feature_candidates(np.zeros((1, 1, 3)), np.ones((1, 1)), np.eye(3), np.array([[0, 3]])),
        "pairs: codes must lie in",
    ),
    "no pairs": (
        lambda: feature_candidates(np.zeros((1, 1, 3)), np.ones((1, 1)), np.eye(3), np.zeros((0, 2), int)),
        "pairs: must be integers",
    ),
    "empty pool": (lambda: edit_matrices([np.zeros((0, 1))], np.zeros((1, 1, 1)), np.ones(1)), r"pools\[0\]"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_candidates_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
