"""Tables at the edge: one annotator, more types than people, items seen once, all ties, perfect agreement."""

import jax
import numpy as np
import pytest

import bayespref
from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.fit.run import fit_model
from bayespref.models import latent_types
from bayespref.posterior.tree import tree_meta
from bayespref.posterior.verdict import convergence

pytestmark = pytest.mark.slow  # every table is a shape of its own to compile
SIZES = {"chains": 2, "warmup": 20, "draws": 80, "n_starts": 2, "progress": False}


def table(outcome, *, people=4, states=("s", "t")):
    """Eight answers about three items, all in the first state; the second state is a label that nobody used."""
    outcome = np.asarray(outcome)
    n = len(outcome)
    return from_codes(
        np.arange(n) % 2,
        np.full(n, 2),
        outcome,
        items=("x", "y", "z"),
        state=np.zeros(n, dtype=int),
        states=states,
        annotator=np.arange(n) % people,
        annotators=[f"u{i}" for i in range(people)],
    )


CASES = {
    "one annotator": (table(np.arange(8) % 2, people=1), 2),
    "more types than annotators": (table(np.arange(8) % 2, people=3), 8),
    "all ties": (table(np.full(8, 2)), 2),
    "perfect agreement": (table(np.zeros(8, dtype=int)), 2),
    "items seen once": (table([0, 1]), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_edge_tables_fit_without_a_crash_or_a_number_that_is_none(name):
    data, n_types = CASES[name]
    tree = bayespref.fit("latent_types", data, rng_key=0, options={"n_types": n_types}, **SIZES)
    assert tree_meta(tree)["sampler"] == ("gibbs" if n_types > 1 else "nuts")
    for group in ("posterior", "log_likelihood", "sample_stats"):
        for variable, values in tree[group].data_vars.items():
            assert np.isfinite(values).all(), (group, variable)
    reward = tree["posterior"]["reward"]
    np.testing.assert_allclose(reward.sum("item"), 0.0, atol=1e-9)
    # nobody used state t: its rewards are the prior's, sd sqrt(2/3); 160 draws, 6 standard errors
    spread = reward.sel(state="t").std(("chain", "draw"))
    assert (np.abs(spread / np.sqrt(2 / 3) - 1) < 6 / np.sqrt(2 * 80)).all()
    assert all(check.words for check in convergence(tree))


@pytest.mark.parametrize("method", ["laplace", "svi"])
def test_approximations_survive_one_annotator(method):
    tree = bayespref.fit(
        "latent_types", CASES["one annotator"][0], rng_key=0, options={"n_types": 2}, method=method, **SIZES
    )
    assert np.isfinite(tree["posterior"]["reward"]).all()


def test_answers_without_annotators_and_whole_weights_are_split_over_types():
    rng = np.random.default_rng(0)
    whole = from_codes(
        np.array([0, 0, 1]),
        np.array([1, 2, 2]),
        np.array([0, 1, 0]),
        items=("x", "y", "z"),
        weight=rng.integers(1, 9, 3).astype(float),
    )
    with jax.enable_x64(True):
        data, outcome = choice_data(whole)
        settings = SIZES | {"checkpoint": None, "method": "gibbs"}
        fitted = fit_model(latent_types, data, outcome, {"n_types": 2}, rng_key=jax.random.key(0), **settings)
    assert np.isfinite(fitted.evaluated.variables["reward"]).all()
    assert np.isfinite(fitted.draws.stats["lp"]).all()


def test_two_hundred_thousand_annotators():
    """Two answers each; blocked Gibbs, a few draws."""
    rng = np.random.default_rng(1)
    people = 200_000
    who = np.repeat(np.arange(people), 2)
    a = rng.integers(0, 3, len(who))
    b = (a + rng.integers(1, 3, len(who))) % 3
    taste = np.array([1.0, 0.0, -1.0])
    gap = np.where(who % 4 != 0, 1.0, -1.0) * (taste[a] - taste[b])
    outcome = (rng.random(len(who)) > 1 / (1 + np.exp(-gap))).astype(int)
    data = from_codes(a, b, outcome, items=("x", "y", "z"), annotator=who, annotators=[f"u{i}" for i in range(people)])
    tree = bayespref.fit(
        "latent_types",
        data,
        rng_key=0,
        options={"n_types": 2},
        chains=1,
        warmup=10,
        draws=10,
        n_starts=1,
        progress=False,
    )
    assert tree_meta(tree)["sampler"] == "gibbs"
    # Two answers each say little about a person's type; what the types say together is known well.
    posterior = tree["posterior"].to_dataset()
    apart = (posterior["reward"].sel(item="x") - posterior["reward"].sel(item="z")).squeeze("state")
    said = float((posterior["type_weight"] / (1 + np.exp(-apart))).sum("type").mean())
    met = (np.minimum(a, b) == 0) & (np.maximum(a, b) == 2)
    x_won = np.where(a == 0, outcome == 0, outcome == 1)[met]
    assert abs(said - x_won.mean()) < 4 * np.sqrt(0.25 / met.sum())
