"""Simulation-based calibration of linear and pooled types and latent traits by NUTS, of latent types by blocked Gibbs.

Options are folded in: ties after Davidson and Rao-Kupper, the order shown, decisiveness, endogenous prompts.

Parameters come from the prior and tables from the model's equation, both in NumPy, sharing no code with the models. The
posterior of every table is drawn by one compiled program: NUTS on the model's density, or the package's Gibbs sweep,
mapped over tables of one shape (the package's own chains are ranked in the two files beside this one). Quantities
ignore the names of types and the signs of traits.

False-alarm rate: 1e-3 divided by the number of tests of the file for every p-value, and the same for every share.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.hmc import hmc

from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.gibbs import make_sweep
from bayespref.fit.structure import find_blocks
from bayespref.models import latent_traits, latent_types, linear_types, pooled_types

pytestmark = pytest.mark.slow

FALSE_ALARM = 1e-3
TESTS = 32  # p-values looked at in this file
REPLICATES, WARMUP, DRAWS, THIN = 160, 150, 400, 4
SWEEPS = 1000


def expit(x):
    return 1 / (1 + np.exp(-x))


def draw_posteriors(density, data, questions, outcomes, seed):
    """Draws of every replicate, shape (replicate, draw, p), by NUTS mapped over replicates."""

    def potential_of(question, outcome):
        return lambda x: -density.log_joint(x, replace(data, question=question), outcome)

    def one(key, question, outcome):
        init_kernel, kernel = hmc(potential_fn_gen=potential_of, algo="NUTS")
        start_key, chain_key = jax.random.split(key)
        state = init_kernel(
            0.3 * jax.random.normal(start_key, (density.size,)),
            WARMUP,
            step_size=0.3,
            inverse_mass_matrix=jnp.ones(density.size),
            max_tree_depth=4,
            model_args=(question, outcome),
            rng_key=chain_key,
        )

        def step(state, _):
            state = kernel(state, (question, outcome), {})
            return state, (state.z, state.diverging)

        _, (flat, diverging) = jax.lax.scan(step, state, None, length=WARMUP + DRAWS)
        return flat[WARMUP:], diverging[WARMUP:]

    keys = jax.random.split(jax.random.key(seed), REPLICATES)
    flat, diverging = jax.jit(jax.vmap(one))(keys, jnp.asarray(questions), jnp.asarray(outcomes))
    assert np.asarray(diverging).mean() < 1e-3
    return np.asarray(flat)[:, ::THIN]


def draw_by_gibbs(density, data, questions, outcomes, seed):
    """Draws of every replicate, shape (replicate, draw, p), by Gibbs sweeps mapped over replicates."""
    sweep = make_sweep(density, find_blocks(density, data), data)

    def one(key, question, outcome):
        own = replace(data, question=question)

        def step(x, key):
            new = sweep(x, key, jnp.zeros(density.size), own, outcome, None)[0]
            return new, new

        keys = jax.random.split(key, WARMUP + SWEEPS + 1)
        start = 0.3 * jax.random.normal(keys[0], (density.size,))
        return jax.lax.scan(step, start, keys[1:])[1][WARMUP:]

    keys = jax.random.split(jax.random.key(seed), REPLICATES)
    return np.asarray(jax.jit(jax.vmap(one))(keys, jnp.asarray(questions), jnp.asarray(outcomes)))[:, :: SWEEPS // 100]


def calibrate(model, table, options, simulate, quantities, seed, *, gibbs=False):
    """Truth (replicate,) and draws (replicate, draw) of every quantity."""
    rng = np.random.default_rng(seed)
    data, _ = choice_data(table)
    assert np.all(np.asarray(data.count) == 1)
    worlds = [simulate(rng, data) for _ in range(REPLICATES)]
    world = {name: np.stack([one[name] for one in worlds]) for name in worlds[0]}
    density = make_density(model, data, options)
    questions, outcomes = (world.pop(name).astype(np.int32) for name in ("question", "outcome"))
    if gibbs:
        flat = draw_by_gibbs(density, data, questions, outcomes, seed)
    else:
        flat = draw_posteriors(density, data, questions, outcomes, seed)
    sites = jax.jit(lambda xs: jax.lax.map(jax.vmap(lambda x: density.variables(x, data)), xs))(jnp.asarray(flat))
    drawn = quantities({name: np.asarray(sites[name]) for name in world})
    return quantities(world), drawn


def people_answer(people, questions, outcomes, **columns):
    """A table where everybody answers every question once; questions are rows (state, a, b, order shown)."""
    asked = np.array(questions)
    rows = np.tile(asked, (people, 1))
    shown = {} if np.all(asked[:, 3] == 0) else {"position": rows[:, 3]}
    return from_codes(
        rows[:, 1],
        rows[:, 2],
        np.resize(outcomes, len(rows)),
        items=tuple("wxyz"[: asked[:, 1:3].max() + 1]),
        state=rows[:, 0],
        states=[f"s{i}" for i in range(asked[:, 0].max() + 1)],
        annotator=np.repeat(np.arange(people), len(asked)),
        annotators=[f"u{i}" for i in range(people)],
        **shown,
        **columns,
    )


def arrays(data):
    """Question arrays and the unit and question of every record, as NumPy."""
    return (np.asarray(x) for x in (data.state, data.item_a, data.item_b, data.first, data.unit, data.question))


# Linear types: two types of their own decisiveness, wins by a margin (Rao-Kupper), and a habit of the order shown

FEATURES = np.array([[0.0, 1.0], [1.0, -1.0], [2.5, 0.5], [-1.0, 0.0]])
LINEAR = {
    "n_types": 2,
    "ties": "rao_kupper",
    "tie_scale": 0.8,
    "position_effect": True,
    "position_scale": 0.7,
    "decisiveness": "type",
    "decisiveness_scale": 0.5,
    "weight_concentration": 2.0,
    "reward_scale": 1.5,
}


def simulate_linear(rng, data):
    _, a, b, first, unit, question = arrays(data)
    contrast = FEATURES[a] - FEATURES[b]
    coefficient = 1.5 * rng.normal(size=(2, 2)) / np.sqrt((contrast**2).mean(0))
    kappa = np.exp(0.5 * rng.normal(size=2))
    threshold, habit = abs(0.8 * rng.normal()), 0.7 * rng.normal()
    weight = rng.dirichlet([2.0, 2.0])
    kind = rng.choice(2, unit.max() + 1, p=weight)[unit]
    d = kappa[kind] * (coefficient[kind] * contrast[question]).sum(1) + habit * first[question]
    u = rng.random(len(d))
    outcome = np.where(u < expit(d - threshold), 0, np.where(u > 1 - expit(-d - threshold), 1, 2))
    return {
        "coefficient": coefficient,
        "type_decisiveness": kappa,
        "tie_threshold": threshold,
        "position_effect": habit,
        "type_weight": weight,
        "question": question,
        "outcome": outcome,
    }


def linear_quantities(v):
    slope = v["coefficient"] * v["type_decisiveness"][..., None]
    return {
        "threshold": v["tie_threshold"],
        "position effect": v["position_effect"],
        "larger decisiveness": v["type_decisiveness"].max(-1),
        "distance of types": np.abs(slope[..., 0, 0] - slope[..., 1, 0]),
        "mean slope": (v["type_weight"] * slope[..., 1]).sum(-1),
        "smaller weight": v["type_weight"].min(-1),
    }


@pytest.fixture(scope="module")
def linear():
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    questions = [(0, a, b, 1 if (a + b) % 2 else -1) for a, b in pairs] + [(0, 0, 3, -1), (0, 1, 2, -1)]
    table = people_answer(8, questions, [0, 1, 2], features=FEATURES, feature_names=("f", "g"))
    return calibrate(linear_types, table, LINEAR, simulate_linear, linear_quantities, 31)


# Pooled types: learned scales, endogenous prompts

POOLED = {"n_types": 2, "weight_concentration": 2.0, "prompt_concentration": 1.5}
PAIRS = np.array([(0, 1), (0, 2), (1, 2)])


def simulate_pooled(rng, data):
    state_of, a_of, b_of, _, unit, _ = arrays(data)
    scale = np.abs(rng.normal(size=3))
    basis = zero_sum_basis(3).T
    u, v, h = (s * rng.normal(size=(*n, 2)) @ basis for s, n in zip(scale, [(2, 1), (1, 2), (2, 2)], strict=True))
    reward = u + v + h
    weight, prompt = rng.dirichlet([2.0, 2.0]), rng.dirichlet([1.5, 1.5], 2)
    kind = rng.choice(2, unit.max() + 1, p=weight)[unit]
    state = (rng.random(len(unit)) > prompt[kind, 0]).astype(int)
    pair = PAIRS[rng.integers(0, 3, len(unit))]
    number = {key: i for i, key in enumerate(zip(state_of.tolist(), a_of.tolist(), b_of.tolist(), strict=True))}
    question = np.array([number[s, *p] for s, p in zip(state.tolist(), pair.tolist(), strict=True)])
    d = reward[state, kind, pair[:, 0]] - reward[state, kind, pair[:, 1]]
    return {
        "reward": reward,
        "type_weight": weight,
        "prompt_prob": prompt,
        "scale_shared": scale[0],
        "scale_by_type": scale[1],
        "scale_interaction": scale[2],
        "question": question,
        "outcome": rng.random(len(d)) > expit(d),
    }


def pooled_quantities(v):
    contrast = v["reward"][..., 0] - v["reward"][..., 2]  # (..., state, type)
    return {
        "scale of what is shared": v["scale_shared"],
        "scale by type": v["scale_by_type"],
        "scale of the interaction": v["scale_interaction"],
        "distance of types": np.abs(contrast[..., 0, 0] - contrast[..., 0, 1]),
        "mean contrast": (v["type_weight"] * contrast[..., 1, :]).sum(-1),
        "share of a state": (v["type_weight"] * v["prompt_prob"][..., 0]).sum(-1),
    }


@pytest.fixture(scope="module")
def pooled():
    questions = [(s, a, b, 0) for s in range(2) for a, b in PAIRS]
    table = people_answer(8, questions, [0, 1])
    return calibrate(pooled_types, table, POOLED, simulate_pooled, pooled_quantities, 32)


# Latent traits: traits are drawn from the normal distribution itself, not from the nodes; ties after Davidson

TRAITS = {"n_traits": 1, "n_nodes": 15, "tie_scale": 1.0}


def simulate_traits(rng, data):
    state, a, b, _, unit, question = arrays(data)
    basis = zero_sum_basis(3).T
    reward, loading = rng.normal(size=(2, 2)) @ basis, rng.normal(size=(2, 2)) @ basis
    tie = rng.normal()
    z = rng.normal(size=unit.max() + 1)[unit]
    s, i, j = state[question], a[question], b[question]
    d = reward[s, i] - reward[s, j] + z * (loading[s, i] - loading[s, j])
    mass = np.stack([np.exp(d / 2), np.exp(-d / 2), np.full(len(d), np.exp(tie))])
    outcome = (rng.random(len(d)) > np.cumsum(mass / mass.sum(0), axis=0)).sum(0)
    return {
        "reward": reward[:, None],
        "loading": loading[None],
        "log_tie": tie,
        "question": question,
        "outcome": outcome,
    }


def trait_quantities(v):
    base, moved = v["reward"][..., 0, :], v["loading"][..., 0, :, :]
    moved = moved[..., 0] - moved[..., 2]
    return {
        "contrast": base[..., 0, 0] - base[..., 0, 2],
        "spread along a contrast": np.abs(moved[..., 0]),
        "covariance across states": moved[..., 0] * moved[..., 1],
        "tie logit": v["log_tie"],
    }


@pytest.fixture(scope="module")
def traits():
    table = people_answer(8, [(s, a, b, 0) for s in range(2) for a, b in PAIRS], [0, 1, 2])
    return calibrate(latent_traits, table, TRAITS, simulate_traits, trait_quantities, 33)


# Latent types by Gibbs: endogenous prompts, ties after Davidson, and a habit of the order shown

GIBBS = {"n_types": 2, "weight_concentration": 2.0, "prompt_concentration": 1.5, "tie_scale": 1.0}
GIBBS |= {"position_effect": True, "position_scale": 0.7, "reward_scale": 1.3}


def simulate_latent(rng, data):
    state_of, a_of, b_of, first_of, unit, _ = arrays(data)
    reward = 1.3 * rng.normal(size=(2, 2, 2)) @ zero_sum_basis(3).T
    weight, prompt = rng.dirichlet([2.0, 2.0]), rng.dirichlet([1.5, 1.5], 2)
    tie, habit = rng.normal(), 0.7 * rng.normal()
    kind = rng.choice(2, unit.max() + 1, p=weight)[unit]
    state = (rng.random(len(unit)) > prompt[kind, 0]).astype(int)
    by_state = np.stack([np.flatnonzero(state_of == s) for s in range(2)])
    question = by_state[state, rng.integers(0, by_state.shape[1], len(unit))]
    d = reward[state, kind, a_of[question]] - reward[state, kind, b_of[question]] + habit * first_of[question]
    mass = np.stack([np.exp(d / 2), np.exp(-d / 2), np.full(len(d), np.exp(tie))])
    return {
        "reward": reward,
        "type_weight": weight,
        "prompt_prob": prompt,
        "log_tie": tie,
        "position_effect": habit,
        "question": question,
        "outcome": (rng.random(len(d)) > np.cumsum(mass / mass.sum(0), axis=0)).sum(0),
    }


def latent_quantities(v):
    contrast = v["reward"][..., 0] - v["reward"][..., 2]
    return {
        "distance of types": np.abs(contrast[..., 0, 0] - contrast[..., 0, 1]),
        "mean contrast": (v["type_weight"] * contrast[..., 1, :]).sum(-1),
        "smaller weight": v["type_weight"].min(-1),
        "share of a state": (v["type_weight"] * v["prompt_prob"][..., 0]).sum(-1),
        "tie logit": v["log_tie"],
        "position effect": v["position_effect"],
    }


@pytest.fixture(scope="module")
def gibbs():
    questions = [(s, a, b, shown) for s in range(2) for (a, b), shown in zip(PAIRS, (1, -1, 1), strict=True)]
    questions += [(s, 0, 1, -1) for s in range(2)]
    table = people_answer(8, questions, [0, 1, 2])
    return calibrate(latent_types, table, GIBBS, simulate_latent, latent_quantities, 34, gibbs=True)


RANKED = {
    "linear": "threshold, position effect, larger decisiveness, distance of types, mean slope, smaller weight",
    "pooled": "scale of what is shared, scale by type, scale of the interaction, distance of types, mean contrast, "
    "share of a state",
    "traits": "contrast, spread along a contrast, covariance across states, tie logit",
    "gibbs": "distance of types, mean contrast, smaller weight, share of a state, tie logit, position effect",
}


MODEL = {
    "linear": "linear types",
    "pooled": "pooled types",
    "traits": "latent traits",
    "gibbs": "latent types by Gibbs",
}


@pytest.mark.parametrize(("case", "name"), [(case, name) for case in RANKED for name in RANKED[case].split(", ")])
def test_ranks_are_uniform(promise, request, case, name):
    truth, draws = request.getfixturevalue(case)
    promise.ranks(f"{MODEL[case]}: {name}", truth[name], draws[name], FALSE_ALARM / TESTS)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("linear", "position effect"),
        ("linear", "mean slope"),
        ("pooled", "mean contrast"),
        ("traits", "contrast"),
        ("gibbs", "mean contrast"),
        ("gibbs", "position effect"),
    ],
)
def test_a_posterior_of_half_the_spread_fails(promise, request, case, name):
    truth, draws = request.getfixturevalue(case)
    centre = draws[name].mean(1, keepdims=True)
    narrow = centre + 0.5 * (draws[name] - centre)
    promise.caught(f"{MODEL[case]}, half the spread: {name}", truth[name], narrow, FALSE_ALARM / TESTS)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("linear", "threshold"),
        ("pooled", "share of a state"),
        ("traits", "tie logit"),
        ("gibbs", "share of a state"),
    ],
)
def test_the_posterior_of_another_table_fails(promise, request, case, name):
    truth, draws = request.getfixturevalue(case)
    elsewhere = np.roll(draws[name], 1, axis=0)
    promise.caught(f"{MODEL[case]}, posterior of another table: {name}", truth[name], elsewhere, FALSE_ALARM / TESTS)
