"""Latent traits: the quadrature against integrals on a grid, signs and rotation, and the road end to end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_expit, logsumexp
from scipy.stats import norm

from bayespref import workflow
from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.errors import ModelError
from bayespref.fit.density import make_density, responsibilities
from bayespref.fit.evaluate import annotator_values, trait_signs
from bayespref.models import latent_traits
from bayespref.posterior.store import load_fit, save_fit
from bayespref.posterior.verdict import convergence

GRID = np.linspace(-8, 8, 321)
STATES, ITEMS = 2, 3


def spread_people(seed, *, people, labels, loading, reward=None):
    """Annotators whose taste is reward + z loading; rows, true traits. loading (trait, state, item)."""
    rng = np.random.default_rng(seed)
    n_traits, n_states, n_items = loading.shape
    base = rng.normal(size=(n_states, n_items)) if reward is None else reward
    z = rng.normal(size=(people, n_traits))
    annotator = np.repeat(np.arange(people), labels)
    state = rng.integers(0, n_states, people * labels)
    item_a = rng.integers(0, n_items, people * labels)
    item_b = (item_a + rng.integers(1, n_items, people * labels)) % n_items
    own = base + np.tensordot(z, loading, axes=1)
    d = own[annotator, state, item_a] - own[annotator, state, item_b]
    table = from_codes(
        item_a,
        item_b,
        (rng.random(len(d)) >= 1 / (1 + np.exp(-d))).astype(int),
        items=tuple("vwxyz"[:n_items]),
        state=state,
        states=tuple("pqr"[:n_states]),
        annotator=annotator,
        annotators=tuple(f"u{i}" for i in range(people)),
    )
    return table, z


@pytest.fixture(scope="module")
def small():
    """Four annotators with six labels each, and a point of the parameters."""
    rng = np.random.default_rng(2)
    table, _ = spread_people(1, people=4, labels=6, loading=rng.normal(size=(1, STATES, ITEMS)))
    return table, rng.normal(size=(STATES, ITEMS - 1)), rng.normal(size=(2, STATES, ITEMS - 1))


def density_at(table, z, free, **options):
    """Density, data and flat coordinates (loading_z before z)."""
    data, outcome = choice_data(table)
    density = make_density(latent_traits, data, {"n_traits": len(free)} | options)
    return density, data, outcome, jnp.asarray(np.concatenate([free.ravel(), z.ravel()]))


def integral(table, reward, loading):
    """Log-likelihood of each annotator by a product grid over traits; posterior weights on the grid."""
    axes = np.meshgrid(*[GRID] * len(loading), indexing="ij")
    points = np.stack([axis.ravel() for axis in axes], 1)
    own = reward + np.tensordot(points, loading, axes=1)
    d = own[:, table.state, table.item_a] - own[:, table.state, table.item_b]
    log_p = log_expit(np.where(table.outcome == 0, d, -d))
    log_prior = norm.logpdf(points).sum(1) + len(loading) * np.log(GRID[1] - GRID[0])
    joint = np.stack([log_p[:, table.annotator == u].sum(1) + log_prior for u in range(table.n_annotators)])
    total = logsumexp(joint, axis=1)
    return total, np.exp(joint - total[:, None]), points


def test_one_trait_is_integrated_out_and_more_nodes_are_better(small):
    table, z, free = small
    basis = zero_sum_basis(ITEMS).T
    exact = integral(table, z @ basis, free[:1] @ basis)[0]
    error = []
    for n_nodes in (5, 10, 20, 40):
        density, data, outcome, flat = density_at(table, z, free[:1], n_nodes=n_nodes)
        found = logsumexp(np.asarray(density.unit_log_joint(flat, data, outcome)), axis=1)
        error.append(np.abs(found - exact).max())
    assert error[3] < 1e-8
    assert error == sorted(error, reverse=True)


def test_two_traits_are_integrated_out(small):
    table, z, free = small
    basis = zero_sum_basis(ITEMS).T
    density, data, outcome, flat = density_at(table, z, free, n_nodes=30)
    loading = np.asarray(density.variables(flat, data)["loading"])
    np.testing.assert_allclose(loading[0], free[0] @ basis, rtol=1e-12)
    found = logsumexp(np.asarray(density.unit_log_joint(flat, data, outcome)), axis=1)
    np.testing.assert_allclose(found, integral(table, z @ basis, loading)[0], atol=1e-6)


def test_the_second_trait_leaves_the_most_compared_pair_alone(small):
    table, z, free = small
    density, data, _, flat = density_at(table, z, free)
    keys, counts = table.pair_counts()
    state, a, b = keys[counts.sum(1).argmax()]
    loading = np.asarray(density.variables(flat, data)["loading"])
    assert loading[1, state, a] == pytest.approx(loading[1, state, b], abs=1e-12)
    basis = zero_sum_basis(ITEMS).T
    other = 1 - state
    np.testing.assert_allclose(loading[1, other], (free[1] @ basis)[other], rtol=1e-12)
    kept = free[1, state] @ basis
    np.testing.assert_allclose(loading[1, state].sum(), 0.0, atol=1e-12)
    third = ({0, 1, 2} - {a, b}).pop()
    assert loading[1, state, third] == pytest.approx(kept[third], abs=1e-12)


def test_turning_a_trait_round_changes_nothing(small):
    table, z, free = small
    density, data, outcome, flat = density_at(table, z, free[:1])
    turned = flat.at[: free[0].size].multiply(-1)
    before, after = (float(density.log_joint(x, data, outcome)) for x in (flat, turned))
    assert after == pytest.approx(before, rel=1e-12)


def test_traits_of_annotators_are_posterior_means_whatever_the_draws_signs(small):
    table, z, free = small
    basis = zero_sum_basis(ITEMS).T
    density, data, outcome, flat = density_at(table, z, free[:1], n_nodes=40)
    turned = flat.at[: free[0].size].multiply(-1)
    found = annotator_values(density, np.stack([flat, turned]), data, outcome, np.asarray(flat))
    _, weight, points = integral(table, z @ basis, free[:1] @ basis)
    mean = weight @ points[:, 0]
    sd = np.sqrt(weight @ points[:, 0] ** 2 - mean**2)
    np.testing.assert_allclose(found.trait[:, 0], np.stack([mean, sd], -1), atol=1e-6)
    assert found.log_decisiveness is None


def test_draws_are_turned_towards_the_pivot():
    rng = np.random.default_rng(0)
    pivot = rng.normal(size=(2, 3, 4))
    sign = rng.choice([-1.0, 1.0], (50, 2))
    draws = sign[:, :, None, None] * pivot + 0.2 * rng.normal(size=(50, 2, 3, 4))
    np.testing.assert_array_equal(trait_signs(draws, pivot), sign)


def test_traits_and_decisiveness_multiply_their_nodes(small):
    table, z, free = small
    options = {"decisiveness": "annotator", "n_nodes": 7, "n_decisiveness_nodes": 5}
    data, outcome = choice_data(table)
    density = make_density(latent_traits, data, options)
    assert density.names[0].startswith("decisiveness_spread")
    spread = 0.6
    flat = jnp.asarray(np.concatenate([[np.log(spread)], free[0].ravel(), z.ravel()]))
    joint = density.unit_log_joint(flat, data, outcome)
    values = density.variables(flat, data)
    assert joint.shape == (4, 35)
    basis = zero_sum_basis(ITEMS).T
    trait, kappa = np.asarray(values["class_trait"])[:, 0], np.exp(np.asarray(values["class_log_decisiveness"]))
    own = z @ basis + trait[:, None, None] * (free[0] @ basis)
    d = kappa[:, None] * (own[:, table.state, table.item_a] - own[:, table.state, table.item_b])
    log_p = log_expit(np.where(table.outcome == 0, d, -d))
    per_unit = np.stack([log_p[:, table.annotator == u].sum(1) for u in range(4)])
    weight = np.exp(np.asarray(values["type_log_weight"])[0])
    assert weight.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(joint, per_unit + np.log(weight), rtol=1e-10)
    assert weight @ trait**2 == pytest.approx(1.0, abs=1e-10)
    assert weight @ np.log(kappa) ** 2 == pytest.approx(spread**2, abs=1e-10)
    np.testing.assert_allclose(density.by_type(responsibilities(joint)), 1.0, rtol=1e-12)


@pytest.mark.parametrize("n_traits", [0, 3])
def test_only_one_or_two_traits(small, n_traits):
    data, _ = choice_data(small[0])
    with pytest.raises(ModelError, match="n_traits: must be 1 or 2"):
        make_density(latent_traits, data, {"n_traits": n_traits})


def test_simulated_annotators_spread_along_the_trait():
    from numpyro import handlers

    table = from_codes(
        np.array([0, 0]), np.array([1, 1]), np.array([0, 1]), items=("x", "y"), annotator=np.arange(2),
        annotators=("u", "v"),
    )  # fmt: skip
    data, _ = choice_data(table)
    fixed = {"z": jnp.array([[0.4]]), "loading_z": jnp.array([[[1.1]]])}

    def once(key):
        seeded = handlers.seed(handlers.substitute(latent_traits, data=fixed), key)
        return handlers.trace(seeded).get_trace(data, None)["outcome"]["value"][0]

    drawn = np.asarray(jax.vmap(once)(jax.random.split(jax.random.key(0), 20_000)))
    p = np.trapezoid(norm.pdf(GRID) / (1 + np.exp(-np.sqrt(2) * (0.4 + 1.1 * GRID))), GRID)
    assert abs((drawn == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / 20_000)


@pytest.mark.slow
def test_loadings_and_traits_are_recovered_and_twice_the_nodes_move_nothing(tmp_path):
    loading = np.array([[[1.2, -1.2, 0.4, -0.4]]])
    table, z = spread_people(0, people=60, labels=25, loading=loading, reward=np.array([[1.0, 0.3, -0.3, -1.0]]))
    trees = {
        n: workflow.fit(
            "latent_traits",
            table,
            rng_key=0,
            options={"n_nodes": n},
            chains=2,
            warmup=150,
            draws=700,
            n_starts=3,
            progress=False,
        )
        for n in (21, 42)
    }
    tree = trees[21]
    assert convergence(tree)[0].ok, convergence(tree)[0].words
    again = load_fit(save_fit(tree, tmp_path / "fit.nc"))
    assert again["posterior"].to_dataset().identical(tree["posterior"].to_dataset())
    assert tree["posterior"]["reward"].dims == ("chain", "draw", "state", "type", "item")
    assert tree["posterior"]["loading"].dims == ("chain", "draw", "trait", "state", "item")
    draws = tree["posterior"]["loading"].values.reshape(1400, 4)
    square, truth = draws[:, :, None] * draws[:, None, :], loading[0, 0][:, None] * loading[0, 0]
    assert np.all(np.abs(square.mean(0) - truth) < 4 * square.std(0))
    for name in ("reward", "loading"):
        one, two = (t["posterior"][name].values.reshape(1400, 4) for t in trees.values())
        sign = np.sign((one.mean(0) * two.mean(0)).sum()) if name == "loading" else 1.0
        # two independent runs of 1,400 nearly independent draws: their means differ by about .04 sd
        assert np.all(np.abs(one.mean(0) - sign * two.mean(0)) < 0.3 * one.std(0))
    data, outcome = choice_data(table)
    density = make_density(latent_traits, data, {"n_nodes": 21})
    flat = tree["unconstrained_posterior"]["flat"].values.reshape(1400, -1)[::40]
    mean = annotator_values(density, flat, data, outcome, flat[0]).trait[:, 0, 0]
    assert abs(np.corrcoef(mean, z[:, 0])[0, 1]) > 0.85
