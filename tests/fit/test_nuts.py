"""Whitened NUTS and the whole road to draws against exact integrals."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import special, stats

from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.em import find_modes
from bayespref.fit.nuts import sample_nuts, whitening
from bayespref.models import latent_types, single

MEAN = np.array([3.0, -2.0, 0.5])
COVARIANCE = np.array([[4.0, 1.9, 0.0], [1.9, 1.0, -0.01], [0.0, -0.01, 0.05]])


def gaussian(flat, mean, precision):
    return -0.5 * (flat - mean) @ precision @ (flat - mean)


def sample_gaussian(key, *, metric=None, chains=2, draws=2000, warmup=200):
    precision = np.linalg.inv(COVARIANCE)
    return sample_nuts(
        gaussian,
        MEAN,
        precision if metric is None else metric,
        (jnp.asarray(MEAN), jnp.asarray(precision)),
        rng_key=jax.random.key(key),
        chains=chains,
        warmup=warmup,
        draws=draws,
        progress=False,
    )


def effective_size(values):
    """Effective draws of one quantity, shape (chain, draw): the smaller of those for its mean and its square."""
    centred = values - values.mean()
    return min(float(array_stats.ess(part, method="mean")) for part in (centred, centred**2))


def assert_matches(values, mean, sd):
    """Mean within .05 sd and sd within 3 %; only where draws are enough to tell (3 standard errors)."""
    assert effective_size(values) > 5_000, effective_size(values)
    assert abs(values.mean() - mean) < 0.05 * sd
    assert abs(values.std() / sd - 1) < 0.03


@pytest.fixture(scope="module")
def normal_draws():
    return sample_gaussian(1)


def test_whitening_inverts_the_precision():
    factor = whitening(np.linalg.inv(COVARIANCE))
    np.testing.assert_allclose(factor @ factor.T, COVARIANCE, atol=1e-12)


def test_directions_without_curvature_get_unit_scale():
    turn = stats.ortho_group.rvs(3, random_state=0)
    factor = whitening(turn @ np.diag([4.0, 0.0, -2.0]) @ turn.T)
    np.testing.assert_allclose(factor @ factor.T, turn @ np.diag([0.25, 1.0, 1.0]) @ turn.T, atol=1e-12)


def test_gaussian_moments_are_exact(normal_draws):
    flat = normal_draws.flat
    assert flat.shape == (2, 2000, 3)
    pooled = flat.reshape(-1, 3)
    for j in range(3):
        ess = effective_size(flat[..., j])
        assert ess > 1000
        sd = np.sqrt(COVARIANCE[j, j])
        assert abs(pooled[:, j].mean() - MEAN[j]) < 4.5 * sd / np.sqrt(ess)
        assert abs(pooled[:, j].std() / sd - 1) < 4.5 / np.sqrt(2 * ess)
    correlation = np.corrcoef(pooled.T)
    expected = COVARIANCE / np.sqrt(np.outer(np.diag(COVARIANCE), np.diag(COVARIANCE)))
    np.testing.assert_allclose(correlation, expected, atol=0.1)


def test_a_wrong_metric_costs_draws_but_not_truth():
    """The metric is a choice of coordinates; a poor one leaves the distribution alone."""
    flat = sample_gaussian(2, metric=np.eye(3), draws=3000).flat
    for j in range(3):
        sd = np.sqrt(COVARIANCE[j, j])
        ess = effective_size(flat[..., j])
        assert abs(flat[..., j].mean() - MEAN[j]) < 4.5 * sd / np.sqrt(ess)
        assert abs(flat[..., j].std() / sd - 1) < 4.5 / np.sqrt(2 * ess)


def test_statistics_belong_to_the_draws(normal_draws):
    flat, stat = normal_draws
    precision = np.linalg.inv(COVARIANCE)
    expected = -0.5 * np.einsum("cdi,ij,cdj->cd", flat - MEAN, precision, flat - MEAN)
    np.testing.assert_allclose(stat["lp"], expected, atol=1e-9)
    assert set(stat) == {"diverging", "energy", "n_steps", "acceptance_rate", "lp", "step_size"}
    assert all(values.shape == flat.shape[:2] for values in stat.values())
    assert not stat["diverging"].any()
    assert np.all(stat["step_size"] == stat["step_size"][:, :1])  # adapted in warm-up, fixed after
    assert 0.6 < stat["acceptance_rate"].mean() < 0.98
    assert np.all(stat["energy"] >= -stat["lp"] - 1e-9)


def test_the_same_seed_gives_the_same_draws(normal_draws):
    again = sample_gaussian(1)
    np.testing.assert_array_equal(again.flat, normal_draws.flat)
    other = sample_gaussian(7)
    assert not np.any(other.flat == normal_draws.flat)


def test_chains_differ(normal_draws):
    first, second = normal_draws.flat
    assert not np.any(np.all(first == second, axis=1))
    assert len(np.unique(first, axis=0)) > 1900  # a rejected draw repeats


@pytest.mark.parametrize(("warmup", "draws"), [(10, 7), (50, 50), (33, 101)])
def test_sizes_are_kept_whatever_the_block(warmup, draws):
    assert sample_gaussian(3, warmup=warmup, draws=draws).flat.shape == (2, draws, 3)


# Exact posteriors of small tables


def draws_of(model, table, options, *, draws=6000, chains=4, key=0):
    data, outcome = choice_data(table)
    density = make_density(model, data, options)
    modes = find_modes(density, data, outcome, rng_key=jax.random.key(key), n_starts=4, progress=False)
    sampled = sample_nuts(
        density.log_joint,
        modes.flat[0],
        modes.precision,
        (data, outcome),
        rng_key=jax.random.key(key + 1),
        chains=chains,
        warmup=300,
        draws=draws,
        progress=False,
        block=500,
    )
    sites = jax.jit(jax.vmap(jax.vmap(lambda x: density.variables(x, data))))(jnp.asarray(sampled.flat))
    return {name: np.asarray(value) for name, value in sites.items()}


def grid_moments(log_density, *values):
    """Means and sds of functions on a dense regular grid, by the rectangle rule."""
    mass = np.exp(log_density - log_density.max())
    edge = max(np.take(mass, i, axis).max() for axis in range(mass.ndim) for i in (0, -1))
    assert edge < 1e-6, "the grid cuts the posterior off"
    mass /= mass.sum()
    means = [float((mass * v).sum()) for v in values]
    return means, [float(np.sqrt((mass * (v - m) ** 2).sum())) for v, m in zip(values, means, strict=True)]


def test_two_items_match_one_dimensional_integration():
    """A 7 : 2 record; r_x - r_y = sqrt(2) z, z ~ N(0, 1.5)."""
    table = from_codes(
        np.array([0, 0]), np.array([1, 1]), np.array([0, 1]), items=("x", "y"), weight=np.array([7.0, 2])
    )
    found = draws_of(single, table, {"reward_scale": 1.5})["reward"][:, :, 0, 0]
    difference = np.linspace(-12, 16, 20_001)
    log_density = (
        stats.norm(0, 1.5 * np.sqrt(2)).logpdf(difference)
        - 7 * np.logaddexp(0, -difference)
        - 2 * np.logaddexp(0, difference)
    )
    (mean,), (sd,) = grid_moments(log_density, difference)
    assert_matches(found[..., 0] - found[..., 1], mean, sd)


@pytest.mark.slow
def test_three_items_with_ties_match_three_dimensional_integration():
    wins = np.array([[0, 5, 3], [1, 0, 2], [0, 1, 0]])
    ties = np.array([[0, 2, 0], [0, 0, 3], [0, 0, 0]])
    rows = [(i, j, 0, wins[i, j]) for i, j in product(range(3), repeat=2) if wins[i, j]]
    rows += [(i, j, 2, ties[i, j]) for i, j in product(range(3), repeat=2) if ties[i, j]]
    a, b, outcome, weight = np.array(rows).T
    table = from_codes(a, b, outcome, items=("x", "y", "z"), weight=weight.astype(float))
    found = draws_of(single, table, {"reward_scale": 1.0, "tie_scale": 1.0})
    first = np.linspace(-6, 7, 100)[:, None, None]  # r_x - r_y
    second = np.linspace(-6, 8, 110)[None, :, None]  # r_x - r_z
    log_nu = np.linspace(-6, 5, 80)[None, None, :]
    centre = (first + second) / 3
    reward = [centre, centre - first, centre - second]
    # iid normal coordinates in the plane sum = 0: density exp(-|r|^2 / 2), constant Jacobian
    log_density = stats.norm.logpdf(log_nu) - 0.5 * sum(r**2 for r in reward)
    for i, j in product(range(3), repeat=2):
        if wins[i, j] or ties[i, j]:
            half = 0.5 * (reward[i] - reward[j])
            norm = np.logaddexp(np.logaddexp(half, -half), log_nu)
            log_density = log_density + wins[i, j] * (half - norm) + ties[i, j] * (log_nu - norm)
    means, sds = grid_moments(log_density, first, second, log_nu)
    r = found["reward"][:, :, 0, 0]
    for values, mean, sd in zip(
        (r[..., 0] - r[..., 1], r[..., 0] - r[..., 2], found["log_tie"]), means, sds, strict=True
    ):
        assert_matches(values, mean, sd)


@pytest.mark.slow
def test_latent_types_match_integration_over_all_types_of_all_annotators():
    """Two items, two types, four annotators: three parameters on a grid, sixteen assignments at each point."""
    wins = np.array([3, 0, 2, 1])
    losses = np.array([0, 3, 1, 2])
    people = np.arange(4)
    table = from_codes(
        np.zeros(8, dtype=int),
        np.ones(8, dtype=int),
        np.repeat([0, 1], 4),
        items=("x", "y"),
        annotator=np.tile(people, 2),
        annotators=[f"u{i}" for i in people],
        weight=np.concatenate([wins, losses]).astype(float),
    )
    found = draws_of(latent_types, table, {"n_types": 2, "reward_scale": 1.0, "weight_concentration": 2.0}, draws=8000)
    z = np.linspace(-6, 6, 97)
    logit = np.linspace(-11, 11, 111)  # log(w_1 / w_2)
    one, two, odds = z[:, None, None], z[None, :, None], logit[None, None, :]
    w = special.expit(odds)
    # Beta(2, 2) for w_1, times dw / dodds = w (1 - w)
    log_density = stats.norm.logpdf(one) + stats.norm.logpdf(two) + 2 * np.log(w) + 2 * np.log1p(-w)
    terms = []
    for kinds in product(range(2), repeat=4):
        term = np.zeros(1)
        for u, kind in enumerate(kinds):
            d = np.sqrt(2) * (one, two)[kind]
            term = term + np.log((w, 1 - w)[kind]) - wins[u] * np.logaddexp(0, -d) - losses[u] * np.logaddexp(0, d)
        terms.append(term)
    log_density = log_density + special.logsumexp(np.stack(np.broadcast_arrays(*terms)), axis=0)
    d1, d2 = np.sqrt(2) * one, np.sqrt(2) * two
    functions = (
        d1 + d2,
        np.abs(d1 - d2),
        np.maximum(d1, d2),
        np.abs(odds),
        w * special.expit(d1) + (1 - w) * special.expit(d2),
    )
    means, sds = grid_moments(log_density, *functions)
    reward, weight = found["reward"][:, :, 0], found["type_weight"]
    e1, e2 = reward[..., 0, 0] - reward[..., 0, 1], reward[..., 1, 0] - reward[..., 1, 1]
    odds_drawn = np.log(weight[..., 0] / weight[..., 1])
    drawn = (
        e1 + e2,
        np.abs(e1 - e2),
        np.maximum(e1, e2),
        np.abs(odds_drawn),
        weight[..., 0] * special.expit(e1) + weight[..., 1] * special.expit(e2),
    )
    for values, mean, sd in zip(drawn, means, sds, strict=True):
        assert_matches(values, mean, sd)


def test_coordinates_are_those_of_the_basis():
    """The reward of a draw is the orthonormal basis times its coordinates."""
    table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 1]), items=("x", "y", "z"))
    data, _ = choice_data(table)
    density = make_density(single, data, {})
    flat = jnp.array([0.3, -1.2])
    assert density.names == ("z[0,0]", "z[0,1]")
    reward = np.asarray(density.variables(flat, data)["reward"])[0, 0]
    np.testing.assert_allclose(reward, zero_sum_basis(3) @ np.asarray(flat), rtol=1e-12)
