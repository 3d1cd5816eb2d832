"""Region B, where the calibration has no mass: accepting there costs what the two worlds say, so it must defer."""

import numpy as np
import pytest
from scipy.special import expit

from bayespref.bounds.certificates import policy_lower_bound, two_world_certificate
from bayespref.bounds.regret import minimax_regret, regret_matrix
from bayespref.defer.calibrate import conformal_risk_control, learn_then_test, sgr
from bayespref.errors import UncoveredRegionError

R = 1.0
APART = np.arange(2)[None, :]
ONE = np.ones(1)


def two_worlds(policy):
    return two_world_certificate(np.zeros((1, 2)), APART, ONE, policy, reward_range=(0.0, R))


def accept_with_probability(eta, policy, delta):
    """Regret, in its worse world, of a rule that on B plays ``policy`` with probability eta and else defers, free."""
    return eta * delta * float(two_worlds(policy).regret_high)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("delta", [0.05, 0.2])
def test_accepting_on_b_costs_eta_delta_r_and_half_of_it_for_a_fair_coin(eta, delta):
    assert accept_with_probability(eta, np.array([1.0, 0.0]), delta) == pytest.approx(eta * delta * R)
    assert accept_with_probability(eta, np.array([0.5, 0.5]), delta) == pytest.approx(eta * delta * R / 2)
    # the same, by simulating cases of the deployment in the worse world
    rng = np.random.default_rng(0)
    n = 40_000
    in_b, accepted = rng.random(n) < delta, rng.random(n) < eta
    worse = two_worlds(np.array([1.0, 0.0])).rewards_high[0]
    regret = np.where(in_b & accepted, worse.max() - worse[0], 0.0)
    assert regret.mean() == pytest.approx(eta * delta * R, abs=5 * np.sqrt(eta * delta / n) + 1e-12)
    # and the label loss: the label contradicts the item played with probability sigma(R)
    contradicted = rng.random(n) < expit(R)
    loss = (in_b & accepted & contradicted).mean()
    assert loss == pytest.approx(eta * delta * expit(R), abs=5 * np.sqrt(eta * delta / n) + 1e-12)


def test_no_randomised_rule_on_b_is_below_half_of_it():
    game = minimax_regret(regret_matrix(R * (1 - np.eye(2))[None], ONE))
    assert game.value == pytest.approx(R / 2)
    proof = policy_lower_bound(np.zeros((1, 2)), APART, ONE, game.weights, reward_range=(0.0, R))
    assert proof.bound == pytest.approx(R / 2)


def test_both_worlds_draw_the_same_calibration_data_so_no_calibration_can_tell_them_apart():
    """Certify off B in each world with the same seed: identical certificates, while acting on B costs R in one."""
    pair = two_worlds(np.array([1.0, 0.0]))
    seen = np.array([0.7, 0.0])  # rewards of the observed region 0; region 1 is B
    certificates = []
    for on_b in (pair.rewards_low[0], pair.rewards_high[0]):
        rng = np.random.default_rng(5)
        reward = np.stack([seen, on_b])
        region = np.zeros(600, dtype=int)  # the calibration data never visit B
        loss = (rng.random(600) >= expit(reward[region, 0] - reward[region, 1])).astype(float)
        certificates.append(
            learn_then_test(
                np.where(region == 0, 0.2, 0.9),
                loss,
                alpha=0.4,
                delta=0.1,
                grid=np.array([0.2, 0.5, 1.0]),
                region=region,
                n_regions=2,
                force_defer=np.array([False, True]),
            )
        )
    first, second = certificates
    assert first.threshold == second.threshold == 1.0
    np.testing.assert_array_equal(first.p_value, second.p_value)
    cases, scores = np.array([0, 1]), np.array([0.2, 0.9])
    assert first.accept(scores, cases).tolist() == [True, False]
    # without the forced deferral the threshold alone would have let B through, at the price of the certificate's gap
    assert scores[1] <= first.threshold
    assert float(pair.gap) == pytest.approx(R)
    assert (float(pair.max_difference), bool(pair.in_range)) == (0.0, True)


@pytest.mark.parametrize("method", ["ltt", "sgr", "crc"])
def test_leaving_the_forced_deferral_out_is_an_error(method):
    score, loss, region = np.linspace(0, 1, 200), np.zeros(200), np.zeros(200, dtype=int)
    more = {"region": region, "n_regions": 2}
    calls = {
        "ltt": lambda **kw: learn_then_test(score, loss, alpha=0.3, delta=0.1, grid=np.array([0.5]), **more, **kw),
        "sgr": lambda **kw: sgr(score, loss, alpha=0.3, delta=0.1, grid=np.array([0.5]), **more, **kw),
        "crc": lambda **kw: conformal_risk_control(score, loss, alpha=0.3, **more, **kw),
    }
    for force in ({}, {"force_defer": np.array([True, False])}):
        with pytest.raises(UncoveredRegionError):
            calls[method](**force)
    assert calls[method](force_defer=np.array([False, True])).threshold is not None
