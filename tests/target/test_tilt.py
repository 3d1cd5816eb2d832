"""Tilts and welfare: worked numbers, an optimiser that shares no code, constraints by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, softmax

from bayespref.errors import TargetMixError
from bayespref.simulate.scenarios import hh_confounding
from bayespref.target.constrained import constrained_tilt
from bayespref.target.fitdpo import tabular_dpo
from bayespref.target.tilt import average_reward, exponential_tilt, tilted_draws, welfare

EVEN = np.array([0.5, 0.5])


def two_completions(p, gap, beta):
    """Weighted DPO on two completions, its policy, and the target's quantities."""
    share, d = np.array(p), np.array(gap)
    q = share @ expit(d)
    score = tabular_dpo(np.array([[0.0, q], [1.0 - q, 0.0]])).score
    reward = average_reward(np.stack([d, np.zeros(2)], axis=1)[None], share[None])
    policy = exponential_tilt(score, EVEN, beta).policy
    return score[0] - score[1], policy, reward[0], welfare(policy[None], reward, EVEN[None], beta, [1.0])


@pytest.mark.parametrize(
    ("p", "gap", "logit", "mean"),
    [
        ((0.8, 0.2), (1, -6), 0.34473968, -0.4),
        ((0.5, 0.5), (3, -1), 0.45049860, 1),
        ((0.9, 0.1), (2, -2), 1.41553609, 1.6),
    ],
)
def test_weighted_dpo_reaches_the_pooled_log_odds_and_not_the_averaged_reward(p, gap, logit, mean):
    z, _, reward, _ = two_completions(p, gap, 1.0)
    assert z == pytest.approx(logit, abs=6e-9)
    assert reward[0] == pytest.approx(mean, abs=1e-12)


def test_weighted_dpo_can_be_worse_than_doing_nothing():
    _, policy, reward, got = two_completions((0.8, 0.2), (1, -6), 1.0)
    assert policy[0] == pytest.approx(0.58534139, abs=6e-9)
    assert exponential_tilt(reward, EVEN, 1.0).policy[0] == pytest.approx(0.40131234, abs=6e-9)
    assert (got.value, got.best) == (pytest.approx(-0.24877442, abs=6e-9), pytest.approx(-0.18013193, abs=6e-9))
    assert got.reference_value == pytest.approx(-0.2, abs=1e-12)
    assert got.value < got.reference_value
    _, _, _, cheap = two_completions((0.8, 0.2), (1, -6), 0.25)
    assert (cheap.value, cheap.best) == (pytest.approx(-0.36730909, abs=6e-9), pytest.approx(-0.12731161, abs=6e-9))


@given(st.integers(0, 10_000), st.floats(0.1, 5.0))
def test_tilt_beats_every_other_policy_and_ignores_constants(seed, beta):
    rng = np.random.default_rng(seed)
    reward, ref = rng.normal(size=4), rng.dirichlet(np.ones(4)) * 0.9 + 0.025
    got = exponential_tilt(reward, ref, beta)
    other = rng.dirichlet(np.ones(4))
    value = other @ reward - beta * np.sum(other * np.log(other / ref))
    assert value <= got.value + 1e-9
    assert got.policy @ reward - beta * got.kl == pytest.approx(float(got.value), abs=1e-10)
    shifted = exponential_tilt(reward + 7.0, ref, beta)
    np.testing.assert_allclose(shifted.policy, got.policy, rtol=1e-10)
    np.testing.assert_allclose(shifted.gain, got.gain, atol=1e-10)


def test_tilt_agrees_with_an_optimiser_that_knows_only_the_objective():
    reward, ref, beta = np.array([0.3, -1.0, 2.0]), np.array([0.2, 0.5, 0.3]), 0.7

    def loss(logits):
        pi = softmax(logits)
        return -(pi @ reward - beta * np.sum(pi * np.log(pi / ref)))

    found = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 4000})
    got = exponential_tilt(reward, ref, beta)
    assert -found.fun == pytest.approx(float(got.value), abs=1e-9)
    np.testing.assert_allclose(softmax(found.x), got.policy, atol=1e-5)


@pytest.mark.parametrize(("alpha", "best"), [(0, 0.11264), (1, 0.33450), (2, 0.61495), (4, 1.28356)])
def test_best_welfare_of_the_help_or_harm_world(alpha, best):
    world = hh_confounding(alpha=alpha, n_annotators=1)
    reward, ref = average_reward(world.reward, np.full((4, 2), 0.5)), np.full((4, 3), 1 / 3)
    got = welfare(ref, reward, ref, 1.0, np.full(4, 0.25))
    assert got.best == pytest.approx(best, abs=6e-6)
    assert np.isnan(got.gain_per_nat)


def test_draws_give_the_policy_of_the_mean_reward_and_its_regret_in_each():
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(50, 2, 2, 3))
    share, ref = np.array([[0.3, 0.7], [1.0, 0.0]]), np.full((2, 3), 1 / 3)
    got = tilted_draws(draws, share, ref, 0.5, [0.4, 0.6])
    mean = average_reward(draws.mean(axis=0), share)
    np.testing.assert_allclose(got.policy, exponential_tilt(mean, ref, 0.5).policy, rtol=1e-12)
    assert (got.value.best >= got.value.value - 1e-12).all()
    at_mean = welfare(got.policy, mean, ref, 0.5, [0.4, 0.6])
    assert got.value.value.mean() == pytest.approx(float(at_mean.value), abs=1e-12)  # J is linear in the reward
    assert got.policy_draws.shape == (50, 2, 3)


def test_undefined_rewards_stay_undefined_and_types_of_no_share_do_not_matter():
    reward = np.array([[[1.0, np.nan], [2.0, 3.0]]])
    assert np.isnan(average_reward(reward, [[0.5, 0.5]])[0, 1])
    assert average_reward(reward, [[0.0, 1.0]]).tolist() == [[2.0, 3.0]]
    assert np.isnan(exponential_tilt([1.0, np.nan], EVEN, 1.0).policy).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: exponential_tilt([1.0, 2.0], [1.0, 0.0], 1.0),
            ValueError,
            r"zero reference probability, first at \[\(1,\)\]",
        ),
        (
            lambda: exponential_tilt([1.0, 2.0], [0.5, 0.6], 1.0),
            TargetMixError,
            "reference: probabilities must sum to one",
        ),
        (lambda: exponential_tilt([1.0, 2.0], EVEN, 0.0), ValueError, "beta: must be a finite number above zero"),
        (
            lambda: average_reward(np.zeros((1, 2, 2)), [[0.5, 0.6]]),
            TargetMixError,
            "type_share: probabilities must sum",
        ),
        (
            lambda: tilted_draws(np.full((1, 1, 1, 2), np.nan), [[1.0]], [EVEN], 1.0, [1.0]),
            ValueError,
            "reward: must be fin",
        ),
        (
            lambda: constrained_tilt([[1.0, 0.0]], [EVEN], 1.0, [1.0], cost=[[[0.0, 1.0]]]),
            ValueError,
            "give both or neither",
        ),
        (
            lambda: constrained_tilt([[1.0, 0.0]], [EVEN], 1.0, [1.0], cost=[[[1.0, 1.0]]], cost_limit=[0.5]),
            ValueError,
            r"cost_limit\[0\].*no policy keeps",
        ),
    ],
)
def test_what_no_tilt_can_mean_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_without_constraints_types_are_tilted_each_by_its_own_reward():
    rng = np.random.default_rng(1)
    reward, ref = rng.normal(size=(6, 3)), rng.dirichlet(np.ones(3), size=6)
    share = rng.dirichlet(np.ones(6))
    got = constrained_tilt(reward, ref, 0.8, share)
    want = exponential_tilt(reward, ref, 0.8)
    np.testing.assert_allclose(got.policy, want.policy, atol=1e-12)
    assert got.value == pytest.approx(float(share @ want.value), abs=1e-12)


def test_global_constraints_agree_with_a_general_optimiser():
    rng = np.random.default_rng(2)
    reward, ref, share = 2 * rng.normal(size=(3, 3)), rng.dirichlet(np.full(3, 5.0), size=3), np.array([0.2, 0.5, 0.3])
    harm = rng.random((1, 3, 3))
    free = constrained_tilt(reward, ref, 0.5, share)
    limit = [0.8 * float((share[:, None] * free.policy * harm[0]).sum())]
    got = constrained_tilt(reward, ref, 0.5, share, kl_budget=0.4 * free.kl, cost=harm, cost_limit=limit)
    assert got.kl <= 0.4 * free.kl + 1e-6
    assert got.cost[0] <= limit[0] + 1e-6
    assert got.bound - got.value == pytest.approx(0.0, abs=1e-5)

    def split(x):
        pi = softmax(x.reshape(3, 3), axis=1)
        return pi, float(share @ np.sum(pi * np.log(pi / ref), axis=1))

    def loss(x):
        pi, kl = split(x)
        return -(float(np.sum(share[:, None] * pi * reward)) - 0.5 * kl)

    rules = [
        {"type": "ineq", "fun": lambda x: 0.4 * free.kl - split(x)[1]},
        {"type": "ineq", "fun": lambda x: limit[0] - float(np.sum(share[:, None] * split(x)[0] * harm[0]))},
    ]
    found = minimize(
        loss, np.log(ref).ravel(), method="SLSQP", constraints=rules, options={"ftol": 1e-12, "maxiter": 500}
    )
    assert got.value == pytest.approx(-found.fun, abs=1e-5)


def test_a_tighter_budget_never_gains_and_prices_appear_only_where_a_limit_binds():
    reward, ref = np.array([[1.0, 0.0], [-6.0, 0.0]]), np.full((2, 2), 0.5)
    runs = [constrained_tilt(reward, ref, 1.0, [0.8, 0.2], kl_budget=b) for b in (10.0, 0.2, 0.1, 0.02)]
    assert np.all(np.diff([run.value for run in runs]) < 0)
    assert runs[0].kl_price == 0.0
    assert np.all(np.diff([run.kl_price for run in runs]) > 0)
    assert np.all(np.diff([run.gain_per_nat for run in runs]) > 0)  # the first nats buy most
