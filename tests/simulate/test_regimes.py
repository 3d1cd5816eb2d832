"""Confounded worlds against the published population quantities of their designs."""

import numpy as np
import pytest
from scipy.special import expit

from bayespref.simulate.scenarios import correlation_sweep, hh_confounding


@pytest.mark.parametrize(
    ("kappa", "information", "share"),
    [(0.0, 0.0, 1.0), (0.5, 0.0720, 0.857), (0.9, 0.2331, 0.566), (0.99, 0.2853, 0.470)],
)
def test_confounding_strength_and_effective_sample_size_as_published(kappa, information, share):
    world = hh_confounding(kappa=kappa, n_annotators=5)
    joint = world.prompt_prob * world.type_weight
    margin = joint.sum(axis=1, keepdims=True) * world.type_weight
    assert np.sum(joint * np.log(joint / margin)) == pytest.approx(information, abs=5e-5)
    weight = world.deployment / joint
    assert 1 / np.sum(joint * weight**2) == pytest.approx(share, abs=5e-4)


@pytest.mark.parametrize(("alpha", "best"), [(0, 0.11264), (1, 0.33450), (2, 0.61495), (4, 1.28356)])
def test_best_welfare_under_the_target_as_published(alpha, best):
    world = hh_confounding(alpha=alpha, n_annotators=5)
    averaged = world.reward.mean(axis=1)  # p_T: types even within every prompt
    assert np.mean(np.log(np.mean(np.exp(averaged), axis=-1))) == pytest.approx(best, abs=5e-6)


def test_table_follows_the_prompt_model_and_the_proxy_flips():
    world = hh_confounding(kappa=0.9, proxy_flip=0.3, n_annotators=4000, seed=1)
    rows = world.comparisons
    kind = world.annotator_type[rows.annotator]
    assert rows.n_rows == 40_000
    for s in range(4):
        for c in range(2):
            p, n = world.prompt_prob[s, c], int((kind == c).sum())
            assert abs(np.mean(rows.state[kind == c] == s) - p) <= 4.5 * np.sqrt(p * (1 - p) / n)
    flipped = np.zeros(4000, dtype=bool)
    flipped[rows.annotator] = rows.context != kind
    assert np.array_equal(flipped[rows.annotator], rows.context != kind)  # one proxy an annotator
    assert abs(flipped.mean() - 0.3) <= 4.5 * np.sqrt(0.21 / 4000)
    plain = hh_confounding(seed=1)
    assert np.array_equal(plain.comparisons.context, plain.annotator_type[plain.comparisons.annotator])


@pytest.mark.parametrize(("rho", "passive", "half"), [(0.0, 0.13028, 0.13028), (0.9, 0.01777, 0.10241)])
def test_smallest_information_eigenvalue_as_published(rho, passive, half):
    for share, want in ((1.0, passive), (0.5, half)):
        rows = correlation_sweep(rho, n=400_000, passive_share=share, seed=3)
        p = expit(rows.difference @ rows.coefficient)
        outer = rows.difference[:, :, None] * rows.difference[:, None, :]
        information = np.mean((p * (1 - p))[:, None, None] * outer, axis=0)
        value, vector = np.linalg.eigh(information)
        along = p * (1 - p) * (rows.difference @ vector[:, 0]) ** 2
        # Five errors, since at rho = 0 the eigenvalue of a noisy matrix is biased down a little.
        assert abs(value[0] - want) <= 5 * along.std() / np.sqrt(len(p)) + 5e-6
        assert abs(rows.first_wins.mean() - p.mean()) <= 4.5 * 0.5 / np.sqrt(len(p))
        up = rows.difference @ rows.coefficient > 1
        assert abs(rows.first_wins[up].mean() - p[up].mean()) <= 4.5 * 0.5 / np.sqrt(up.sum())


def test_arms_have_opposite_correlation_and_one_seed_one_sample():
    rows, again = (correlation_sweep(0.8, n=50_000, passive_share=0.3, seed=2) for _ in range(2))
    assert np.array_equal(rows.first_wins, again.first_wins)
    assert np.sum(rows.arm == 0) == 15_000
    for arm in (0, 1):
        seen = np.cov(rows.difference[rows.arm == arm].T)
        assert np.abs(seen - rows.covariance[arm]).max() < 4.5 * np.sqrt(2 / 15_000)
    assert np.all(correlation_sweep(1.0, n=5).difference @ np.array([1.0, -1.0]) == 0)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: hh_confounding(alpha=-1), "alpha"),
        (lambda: hh_confounding(kappa=1.1), "kappa"),
        (lambda: hh_confounding(proxy_flip=np.nan), "proxy_flip"),
        (lambda: correlation_sweep(1.1), "rho"),
        (lambda: correlation_sweep(0.1, n=0), "n:"),
        (lambda: correlation_sweep(0.1, passive_share=2), "passive_share"),
        (lambda: correlation_sweep(0.1, coefficient=(1.0,)), "coefficient"),
    ],
)
def test_broken_settings_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
