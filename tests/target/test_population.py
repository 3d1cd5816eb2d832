"""Population limits: loops over cells and pairs, and the weighted rows of a large sample."""

import numpy as np
import pytest
from scipy.optimize import minimize

from bayespref.errors import TargetMixError
from bayespref.simulate.scenarios import hh_confounding
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.population import expected_wins, mass_by_proxy, target_risk, weighted_mass, welfare_lost

EVEN, REFERENCE = np.full((4, 2), 0.125), np.full((4, 3), 1 / 3)
NOISY = np.array([[0.8, 0.2], [0.3, 0.7]])


def test_expected_wins_are_those_of_a_loop_over_types_and_ordered_pairs():
    rng = np.random.default_rng(0)
    mass, reward, shown = rng.random((2, 3)), rng.normal(size=(2, 3, 4)), rng.random((4, 4))
    got = expected_wins(mass, reward, shown)
    for x in range(2):
        for a in range(4):
            for b in range(4):
                wins = sum(mass[x, c] / (1 + np.exp(reward[x, c, b] - reward[x, c, a])) for c in range(3))
                assert got[x, a, b] == pytest.approx(0.0 if a == b else wins * (shown[a, b] + shown[b, a]))
    assert expected_wins(mass, reward).sum() == pytest.approx(mass.sum())


def test_they_are_what_a_large_weighted_table_counts():
    """Post-stratified on a noisy proxy: five standard errors of every cell's share of wins."""
    world = hh_confounding(alpha=2.0, kappa=0.9, proxy_flip=0.2, n_annotators=300_000, labels_per_annotator=1, seed=3)
    rows = world.comparisons
    state, proxy, label = rows.state.astype(int), rows.codes("context").astype(int), (rows.outcome == 0).astype(float)
    seen = mass_by_proxy(world.prompt_prob * world.type_weight, np.array([[0.8, 0.2], [0.2, 0.8]]))
    weight = 0.125 / seen.sum(axis=1)[state, proxy]
    columns, sizes = (state, rows.item_a, rows.item_b, label), {"n_states": 4, "n_items": 3}
    counted, square = (pair_wins(*columns, w, **sizes) / len(state) for w in (weight, weight**2))
    want = expected_wins(weighted_mass(seen, EVEN), world.reward)
    assert (np.abs(counted - want) <= 5 * np.sqrt(square / len(state))).all()


def test_a_perfect_proxy_reaches_the_target_and_a_useless_one_leaves_the_types_of_each_prompt_alone():
    world = hh_confounding(kappa=0.9, n_annotators=1)
    joint = world.prompt_prob * world.type_weight
    assert weighted_mass(mass_by_proxy(joint, np.eye(2)), EVEN) == pytest.approx(EVEN)
    left = weighted_mass(mass_by_proxy(joint, np.full((2, 2), 0.5)), EVEN)
    assert left / left.sum(axis=1, keepdims=True) == pytest.approx(joint / joint.sum(axis=1, keepdims=True))
    between = mass_by_proxy(joint, NOISY)
    assert between.sum(axis=2) == pytest.approx(joint)
    assert weighted_mass(between, EVEN).sum() == pytest.approx(1.0)


def test_welfare_lost_is_that_of_a_direct_search_for_the_best_policy():
    rng = np.random.default_rng(1)
    reward, target = rng.normal(size=(2, 2, 3)), rng.dirichlet(np.ones(4)).reshape(2, 2)
    reference, beta = rng.dirichlet(np.ones(3) * 5, size=2), 0.7

    def value(logits):
        pi = np.exp(logits.reshape(2, 3))
        pi /= pi.sum(axis=1, keepdims=True)
        kl = (pi * np.log(pi / reference)).sum(axis=1)
        mean = np.einsum("xc,xcy,xy->x", target, reward, pi)
        return (mean - beta * target.sum(axis=1) * kl).sum()

    best = minimize(lambda z: -value(z), np.zeros(6), options={"gtol": 1e-10}).x
    score = rng.normal(size=(2, 3))
    played = np.log(reference) + score / beta
    assert welfare_lost(score, reward, target, reference, beta) == pytest.approx(value(best) - value(played), abs=1e-8)


def test_target_risk_is_the_mean_loss_of_many_labels_and_least_at_the_fit():
    rng = np.random.default_rng(2)
    mass, reward = rng.dirichlet(np.ones(6)).reshape(3, 2), rng.normal(size=(3, 2, 3))
    wins, score = expected_wins(mass, reward), rng.normal(size=(3, 3))
    n = 400_000
    cell = rng.choice(6, size=n, p=mass.ravel())
    a, step = rng.integers(0, 3, n), rng.integers(1, 3, n)
    b, state = (a + step) % 3, cell // 2
    gap = reward[state, cell % 2, a] - reward[state, cell % 2, b]
    won = rng.random(n) < 1 / (1 + np.exp(-gap))
    z = np.where(won, 1, -1) * (score[state, a] - score[state, b])
    loss = np.log1p(np.exp(-z))
    assert target_risk(score, wins) == pytest.approx(loss.mean(), abs=5 * loss.std() / np.sqrt(n))
    best = tabular_dpo(wins).score
    others = best + 0.3 * rng.normal(size=(50, 3, 3))
    assert (target_risk(others, wins) > target_risk(best, wins)).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: expected_wins(np.ones((2, 2)), np.zeros((2, 3, 4))), ValueError, "mass, reward"),
        (lambda: expected_wins(-np.ones((2, 3)), np.zeros((2, 3, 4))), ValueError, "mass"),
        (lambda: expected_wins(np.ones((2, 3)), np.zeros((2, 3, 4)), np.ones((3, 3))), ValueError, "pair_prob"),
        (lambda: mass_by_proxy(np.ones((2, 2)), np.eye(2)), TargetMixError, "joint"),
        (lambda: target_risk(np.zeros((2, 3)), np.ones((2, 3, 2))), ValueError, "score, wins"),
        (lambda: mass_by_proxy(EVEN, np.ones((2, 2))), TargetMixError, "proxy"),
        (lambda: weighted_mass(mass_by_proxy(EVEN, np.eye(2)), np.ones((4, 2))), TargetMixError, "target"),
        (lambda: weighted_mass(mass_by_proxy(EVEN, np.eye(2)), np.full((4, 1), 0.25)), ValueError, "shape"),
        (lambda: weighted_mass(mass_by_proxy([[1.0, 0.0]], np.eye(2)), [[0.5, 0.5]]), ValueError, "without any"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
