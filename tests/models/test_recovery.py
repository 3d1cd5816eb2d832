"""Latent types come back: rewards, memberships as good as with the true parameters, labels alike in every chain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.special import comb

from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density, responsibilities
from bayespref.fit.em import em_climb
from bayespref.fit.gibbs import make_sweep
from bayespref.fit.structure import find_blocks
from bayespref.models import latent_types
from bayespref.posterior.align import match_types, reorder
from bayespref.posterior.verdict import MOST_SWITCHED

pytestmark = pytest.mark.slow


def draw_world(seed, *, people, labels, items, types):
    """Centred rewards, equal types, ``labels`` different pairs an annotator: all worlds share a shape."""
    rng = np.random.default_rng(seed)
    reward = rng.normal(size=(types, items))
    reward -= reward.mean(1, keepdims=True)
    kind = np.arange(people) % types
    low, high = np.triu_indices(items, 1)
    pair = np.concatenate([rng.choice(len(low), labels, replace=False) for _ in range(people)])
    annotator = np.repeat(np.arange(people), labels)
    d = reward[kind[annotator], low[pair]] - reward[kind[annotator], high[pair]]
    table = from_codes(
        low[pair],
        high[pair],
        rng.random(len(d)) > 1 / (1 + np.exp(-d)),
        items=[f"i{k}" for k in range(items)],
        annotator=annotator,
        annotators=[f"u{k}" for k in range(people)],
    )
    return (reward, kind), choice_data(table)


def adjusted_rand(one, other):
    """Hubert & Arabie (1985), Journal of Classification 2, 193-218, eq. 5."""
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1)
    cells, rows, columns = (comb(x, 2).sum() for x in (table, table.sum(1), table.sum(0)))
    chance = rows * columns / comb(len(one), 2)
    return (cells - chance) / ((rows + columns) / 2 - chance)


def with_true_parameters(reward, data, outcome):
    """Types of annotators by someone who knows the rewards and the (equal) weights."""
    d = reward[:, data.item_a] - reward[:, data.item_b]
    log_p = -np.logaddexp(0, np.where(outcome == 0, -1, 1) * d[:, data.question])
    total = np.stack([np.bincount(data.unit, row, data.n_units) for row in log_p])
    return total.argmax(0)


def matched(reward, truth):
    """Rewards of the fitted types in the order of the true ones they resemble."""
    distance = ((truth[:, None] - reward) ** 2).sum(-1)
    return reward[linear_sum_assignment(distance)[1]]


WORLDS = 6


@pytest.mark.parametrize(("types", "most"), [(2, 0.09), (3, 0.10)])
def test_rewards_and_memberships_of_500_annotators_come_back(types, most):
    """Best of ten EM starts; root mean square error and adjusted Rand index over six worlds."""
    worlds = [draw_world(seed, people=500, labels=40, items=20, types=types) for seed in range(WORLDS)]
    example = worlds[0][1][0]
    density = make_density(latent_types, example, {"n_types": types})
    climb = em_climb(density, example, max_steps=200, tolerance=1e-4)
    look = jax.jit(lambda x, d, o: (density.variables(x, d)["reward"][0], density.unit_log_joint(x, d, o)))
    square, shortfall = [], []
    for seed, ((reward, kind), (data, outcome)) in enumerate(worlds):
        ends = [climb(key, data, outcome) for key in jax.random.split(jax.random.key(seed), 10)]
        best = max(ends, key=lambda end: float(end[1]))[0]
        found, joint = (np.asarray(x) for x in look(best, data, outcome))
        square.append(np.mean((matched(found, reward) - reward) ** 2))
        oracle = with_true_parameters(reward, data, np.asarray(outcome))
        shortfall.append(adjusted_rand(kind, oracle) - adjusted_rand(kind, joint.argmax(1)))
    assert np.sqrt(np.mean(square)) < most
    assert abs(np.mean(shortfall)) < 0.01


SEEDS, TYPES, CHAINS, DRAWS = 20, 3, 3, 100


def test_types_have_the_same_labels_in_every_chain_over_twenty_seeds():
    """Chains by blocked Gibbs, all worlds in one program, each started around its mode and aligned as a fit is."""
    worlds = [draw_world(100 + seed, people=100, labels=40, items=10, types=TYPES) for seed in range(SEEDS)]
    data = jax.tree.map(lambda *parts: jnp.stack(parts), *(one for _, (one, _) in worlds))
    outcome = jnp.stack([one for _, (_, one) in worlds])
    example = worlds[0][1][0]
    density = make_density(latent_types, example, {"n_types": TYPES})
    climb = em_climb(density, example, max_steps=200, tolerance=1e-6)
    ends = [
        [climb(key, *records) for key in jax.random.split(jax.random.key(seed), 10)]
        for seed, (_, records) in enumerate(worlds)
    ]
    mode = jnp.stack([max(starts, key=lambda end: float(end[1]))[0] for starts in ends])
    sweep = make_sweep(density, find_blocks(density, example), example)

    def chain(key, mode, data, outcome):
        def step(x, key):
            new = sweep(x, key, mode, data, outcome, None)[0]
            return new, (new, density.variables(new, data)["reward"][0])

        keys = jax.random.split(key, DRAWS + 1)
        start = mode + 0.1 * jax.random.normal(keys[0], mode.shape)
        _, (flat, reward) = jax.lax.scan(step, start, keys[1:])
        own = jax.vmap(lambda x: responsibilities(density.unit_log_joint(x, data, outcome)))(flat)
        return reward, jnp.einsum("duj,uk->djk", own, responsibilities(density.unit_log_joint(mode, data, outcome)))

    keys = jax.random.split(jax.random.key(0), (SEEDS, CHAINS))
    run = jax.jit(jax.vmap(jax.vmap(chain, (0, None, None, None))))
    reward, overlap = (np.asarray(x) for x in run(keys, mode, data, outcome))
    for seed, ((truth, _), _) in enumerate(worlds):
        alignment = match_types(overlap[seed])
        aligned = reorder(reward[seed], alignment.order, axis=2)
        centre = aligned.mean((0, 1))
        for one in aligned:
            distance = ((one.mean(0)[:, None] - centre) ** 2).sum(-1)
            assert linear_sum_assignment(distance)[1].tolist() == list(range(TYPES)), seed
        assert alignment.switched.mean() < MOST_SWITCHED, seed
        assert np.sqrt(np.mean((matched(centre, truth) - truth) ** 2)) < 0.35, seed
