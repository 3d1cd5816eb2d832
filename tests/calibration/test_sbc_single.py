"""Simulation-based calibration of one reward for all: ranks of the truth among posterior draws are uniform.

Talts et al. (2018): parameters from the prior, a table from the model, draws from the posterior; the rank of each true
value among (thinned) draws is uniform. Tables are independent, so many of them are fitted in one run: as states of one
table (states share nothing in ``single``), and as a product density.

False-alarm rate: 1e-3 divided by the number of tests of the file for every p-value, and the same for every share.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers

from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.em import find_modes
from bayespref.fit.nuts import sample_nuts
from bayespref.models import single

pytestmark = pytest.mark.slow

FALSE_ALARM = 1e-3
TESTS = 6  # pairs of p-values looked at in this file


def too_narrow(draws):
    """A wrong posterior: the right centre, half the spread."""
    centre = draws.mean(1, keepdims=True)
    return centre + 0.5 * (draws - centre)


ITEMS = 3
PAIRS = [(0, 1), (0, 2), (1, 2)]


def questions(states, labels_per_pair, outcomes):
    """A table that asks every pair equally often in every state, one annotator an answer; outcomes to be simulated."""
    rows = [(s, a, b) for s in range(states) for a, b in PAIRS for _ in range(labels_per_pair)]
    state, item_a, item_b = np.array(rows).T
    return from_codes(
        item_a,
        item_b,
        np.resize(outcomes, len(rows)),
        items=("x", "y", "z"),
        state=state,
        states=[f"s{i}" for i in range(states)],
        annotator=np.arange(len(rows)),
        annotators=[f"u{i}" for i in range(len(rows))],
    )


def simulate(model, data, key, options):
    """Parameters from the prior and outcomes given them, by running the model forward."""
    trace = handlers.trace(handlers.seed(model, key)).get_trace(data, None, **options)
    return {name: site["value"] for name, site in trace.items()}


@pytest.fixture(scope="module")
def states_as_replicates():
    """Four hundred worlds of three items, each a state of one table, through modes and NUTS."""
    data, _ = choice_data(questions(400, 4, [0, 1]))
    options = {"reward_scale": 1.3}
    world = simulate(single, data, jax.random.key(11), options)
    density = make_density(single, data, options)
    modes = find_modes(density, data, world["outcome"], rng_key=jax.random.key(12), progress=False)
    sampled = sample_nuts(
        density.log_joint,
        modes.flat[0],
        modes.precision,
        (data, world["outcome"]),
        rng_key=jax.random.key(13),
        chains=2,
        warmup=200,
        draws=500,
        progress=False,
    )
    thin = sampled.flat[:, ::5].reshape(-1, density.size)
    draws = jax.jit(jax.vmap(lambda x: density.variables(x, data)["reward"]))(jnp.asarray(thin))
    truth = np.asarray(world["reward"])[:, 0]
    return truth, np.moveaxis(np.asarray(draws)[:, :, 0], 0, -1)  # (state, item, draw)


def contrasts(reward):
    """Quantities whose ranks are looked at, from rewards (replicate, item, ...)."""
    return {
        "x over y": reward[:, 0] - reward[:, 1],
        "y over z": reward[:, 1] - reward[:, 2],
        "spread": np.ptp(reward, axis=1),
    }


@pytest.mark.parametrize("name", ["x over y", "y over z", "spread"])
def test_ranks_of_true_contrasts_are_uniform(promise, states_as_replicates, name):
    truth, draws = states_as_replicates
    promise.ranks(f"single by NUTS: {name}", contrasts(truth)[name], contrasts(draws)[name], FALSE_ALARM / TESTS)


@pytest.mark.parametrize("name", ["x over y", "y over z"])
def test_a_posterior_of_half_the_spread_fails(promise, states_as_replicates, name):
    truth, draws = states_as_replicates
    narrow = too_narrow(contrasts(draws)[name])
    promise.caught(f"single, half the spread: {name}", contrasts(truth)[name], narrow, FALSE_ALARM / TESTS)


def test_a_posterior_that_ignores_the_data_of_one_side_fails(promise, states_as_replicates):
    """Draws pulled by one posterior sd towards x are caught."""
    truth, draws = states_as_replicates
    values = contrasts(draws)["x over y"]
    pulled = values + values.std(1, keepdims=True)
    promise.caught("single, pulled by one sd: x over y", contrasts(truth)["x over y"], pulled, FALSE_ALARM / TESTS)


REPLICATES = 120


@pytest.fixture(scope="module")
def worlds_with_ties():
    """Two states, three items, Davidson ties: independent tables sampled together as one product density."""
    data, _ = choice_data(questions(2, 4, [0, 1, 2]))
    options = {"reward_scale": 1.0, "tie_scale": 1.0}
    keys = jax.random.split(jax.random.key(21), REPLICATES)
    worlds = jax.vmap(lambda key: simulate_ties(data, key, options))(keys)
    density = make_density(single, data, options)

    def log_joint(flat, outcomes):
        return jax.vmap(lambda x, o: density.log_joint(x, data, o))(flat.reshape(REPLICATES, -1), outcomes).sum()

    flat, precision = modes_of(density, data, worlds["outcome"])
    sampled = sample_nuts(
        log_joint,
        flat.reshape(-1),
        precision,
        (worlds["outcome"],),
        rng_key=jax.random.key(22),
        chains=2,
        warmup=200,
        draws=500,
        progress=False,
    )
    thin = sampled.flat[:, ::5].reshape(-1, REPLICATES, density.size)
    sites = jax.jit(jax.vmap(jax.vmap(lambda x: density.variables(x, data))))(jnp.asarray(thin))
    return (
        {name: np.asarray(worlds[name]) for name in ("reward", "log_tie")},
        {name: np.moveaxis(np.asarray(sites[name]), 0, -1) for name in ("reward", "log_tie")},
    )


def simulate_ties(data, key, options):
    world = simulate(single, data, key, options)
    return {name: world[name] for name in ("reward", "log_tie", "outcome")}


def modes_of(density, data, outcomes):
    """Newton from zero on each log-concave table, and the block-diagonal curvature there."""

    def climb(outcome):
        def step(_, x):
            gradient = jax.grad(density.log_joint)(x, data, outcome)
            return x - jnp.linalg.solve(jax.hessian(density.log_joint)(x, data, outcome), gradient)

        x = jax.lax.fori_loop(0, 12, step, jnp.zeros(density.size))
        return x, -jax.hessian(density.log_joint)(x, data, outcome)

    flat, blocks = jax.jit(jax.vmap(climb))(outcomes)
    size = density.size
    precision = np.zeros((REPLICATES * size, REPLICATES * size))
    for i, block in enumerate(np.asarray(blocks)):
        precision[i * size : (i + 1) * size, i * size : (i + 1) * size] = block
    return np.asarray(flat), precision


def test_ranks_with_ties_are_uniform(promise, worlds_with_ties):
    truth, draws = worlds_with_ties
    promise.ranks("single with ties: tie parameter", truth["log_tie"], draws["log_tie"], FALSE_ALARM / TESTS)
    promise.ranks(
        "single with ties: x over z",
        truth["reward"][:, 1, 0, 0] - truth["reward"][:, 1, 0, 2],
        draws["reward"][:, 1, 0, 0] - draws["reward"][:, 1, 0, 2],
        FALSE_ALARM / TESTS,
    )


def test_a_tie_parameter_of_half_the_spread_fails(promise, worlds_with_ties):
    truth, draws = worlds_with_ties
    narrow = too_narrow(draws["log_tie"])
    promise.caught("single with ties, half the spread: tie parameter", truth["log_tie"], narrow, FALSE_ALARM / TESTS)
