"""Simulation-based calibration of latent types with endogenous prompts, on quantities that ignore type labels.

Tables are simulated in NumPy: types from their weights, states from the type's prompt probabilities, answers from the
type's rewards. All tables share their shapes and are sampled together as one product density.

False-alarm rate: 1e-3 divided by the number of tests of the file for every p-value, and the same for every share.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.nuts import sample_nuts
from bayespref.models import latent_types

pytestmark = pytest.mark.slow

FALSE_ALARM = 1e-3
TESTS = 8  # p-values looked at in this file
REPLICATES, PEOPLE, LABELS = 80, 8, 6
TYPES, STATES, ITEMS = 2, 2, 3
PAIRS = np.array([(0, 1), (0, 2), (1, 2)])
SCALE, WEIGHT, PROMPT = 1.5, 2.0, 1.5


def design():
    """Data arrays in which every annotator answered every question once; the questions are replaced in simulation."""
    rows = np.array([(u, s, p) for u in range(PEOPLE) for s in range(STATES) for p in range(len(PAIRS))])
    annotator, state, pair = rows.T
    table = from_codes(
        PAIRS[pair, 0],
        PAIRS[pair, 1],
        np.resize([0, 1], len(rows)),
        items=("x", "y", "z"),
        state=state,
        states=("p", "q"),
        annotator=annotator,
        annotators=[f"u{i}" for i in range(PEOPLE)],
    )
    data, _ = choice_data(table)
    return data


def simulate(rng, data):
    """One world: parameters from the prior, then who asks what, then answers."""
    reward = rng.normal(0, SCALE, (TYPES, STATES, ITEMS - 1)) @ zero_sum_basis(ITEMS).T
    weight = rng.dirichlet(np.full(TYPES, WEIGHT))
    prompt = rng.dirichlet(np.full(STATES, PROMPT), TYPES)
    kind = np.repeat(rng.choice(TYPES, PEOPLE, p=weight), LABELS)
    state = (rng.random(len(kind)) > prompt[kind, 0]).astype(int)
    pair = rng.integers(0, len(PAIRS), len(kind))
    number = {
        (int(s), int(a), int(b)): i
        for i, (s, a, b) in enumerate(zip(data.state, data.item_a, data.item_b, strict=True))
    }
    question = np.array([number[s, *PAIRS[p].tolist()] for s, p in zip(state.tolist(), pair, strict=True)])
    difference = reward[kind, state, PAIRS[pair, 0]] - reward[kind, state, PAIRS[pair, 1]]
    outcome = (rng.random(len(kind)) > 1 / (1 + np.exp(-difference))).astype(np.int32)
    return {"reward": reward, "weight": weight, "prompt": prompt, "question": question, "outcome": outcome}


def invariants(reward, weight, prompt):
    """Quantities that no relabelling of types changes; reward (..., type, state, item), prompt (..., type, state)."""
    contrast = reward[..., 0] - reward[..., 2]
    return {
        "larger contrast": contrast[..., 0].max(-1),
        "distance of types": np.abs(contrast[..., 0, 1] - contrast[..., 1, 1]),
        "smaller weight": weight.min(-1),
        "mean contrast": (weight * contrast[..., 0]).sum(-1),
        "share of state p": (weight * prompt[..., 0]).sum(-1),
    }


@pytest.fixture(scope="module")
def ranked():
    """True values and posterior draws of every quantity, replicate by replicate."""
    rng = np.random.default_rng(2024)
    data = design()
    assert data.unit.tolist() == np.repeat(np.arange(PEOPLE), LABELS).tolist()
    assert np.all(np.asarray(data.count) == 1)
    worlds = [simulate(rng, data) for _ in range(REPLICATES)]
    world = {name: np.stack([w[name] for w in worlds]) for name in worlds[0]}
    options = {
        "n_types": TYPES,
        "reward_scale": SCALE,
        "weight_concentration": WEIGHT,
        "prompt_concentration": PROMPT,
    }
    density = make_density(latent_types, data, options)

    def log_joint(flat, data, questions, outcomes):
        def one(x, question, outcome):
            return density.log_joint(x, replace(data, question=question), outcome)

        return jax.vmap(one)(flat.reshape(REPLICATES, -1), questions, outcomes).sum()

    size = REPLICATES * density.size
    sampled = sample_nuts(
        log_joint,
        np.zeros(size),
        np.eye(size),  # a poor metric costs time, not truth
        (data, jnp.asarray(world["question"], dtype=jnp.int32), jnp.asarray(world["outcome"])),
        rng_key=jax.random.key(5),
        chains=2,
        warmup=300,
        draws=500,
        block=100,
        progress=False,
    )
    assert not sampled.stats["diverging"].any()
    thin = sampled.flat[:, ::5].reshape(-1, REPLICATES, density.size)
    sites = jax.jit(jax.vmap(jax.vmap(lambda x: density.variables(x, data))))(jnp.asarray(thin))
    drawn = invariants(
        np.moveaxis(np.asarray(sites["reward"]), -2, -3),
        np.asarray(sites["type_weight"]),
        np.asarray(sites["prompt_prob"]),
    )
    return invariants(world["reward"], world["weight"], world["prompt"]), {k: v.T for k, v in drawn.items()}


NAMES = ["larger contrast", "distance of types", "smaller weight", "mean contrast", "share of state p"]


@pytest.mark.parametrize("name", NAMES)
def test_ranks_of_label_free_quantities_are_uniform(promise, ranked, name):
    truth, draws = ranked
    promise.ranks(f"latent types by NUTS: {name}", truth[name], draws[name], FALSE_ALARM / TESTS)


@pytest.mark.parametrize("name", ["larger contrast", "mean contrast"])
def test_a_posterior_of_half_the_spread_fails(promise, ranked, name):
    truth, draws = ranked
    centre = draws[name].mean(1, keepdims=True)
    narrow = centre + 0.5 * (draws[name] - centre)
    promise.caught(f"latent types, half the spread: {name}", truth[name], narrow, FALSE_ALARM / TESTS)


def test_the_posterior_of_another_table_fails(promise, ranked):
    """Draws that belong to the neighbouring replicate, as from records out of step with their annotators."""
    truth, draws = ranked
    elsewhere = np.roll(draws["share of state p"], 1, axis=0)
    promise.caught(
        "latent types, posterior of another table: share of state p",
        truth["share of state p"],
        elsewhere,
        FALSE_ALARM / TESTS,
    )
