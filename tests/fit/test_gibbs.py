"""Blocked Gibbs: exact on tables small enough to integrate, equal to NUTS elsewhere, refused where it has no step."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import special, stats

from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.errors import ModelError
from bayespref.fit import gibbs
from bayespref.fit.density import make_density
from bayespref.fit.em import find_modes
from bayespref.fit.gibbs import Chance, laplace_move, sample_gibbs
from bayespref.fit.nuts import sample_nuts
from bayespref.fit.run import choose_method
from bayespref.fit.structure import find_blocks
from bayespref.models import latent_types, linear_types, single

PEOPLE = np.arange(4)
WINS, LOSSES, TIES = np.array([3, 0, 2, 1]), np.array([0, 3, 1, 2]), np.array([1, 0, 0, 2])
OPTIONS = {"n_types": 2, "reward_scale": 1.0, "weight_concentration": 2.0}


def four_people(*, ties=False):
    """Two items, one state; four people who answered a few times each."""
    outcomes = (0, 1, 2) if ties else (0, 1)
    weight = np.concatenate([(WINS, LOSSES, TIES)[outcome] for outcome in outcomes]).astype(float)
    size = len(weight)
    return from_codes(
        np.zeros(size, dtype=int),
        np.ones(size, dtype=int),
        np.repeat(outcomes, 4),
        items=("x", "y"),
        annotator=np.tile(PEOPLE, len(outcomes)),
        annotators=[f"u{i}" for i in PEOPLE],
        weight=weight,
    )


def prepared(model, table, options):
    data, outcome = choice_data(table)
    density = make_density(model, data, options)
    modes = find_modes(density, data, outcome, rng_key=jax.random.key(0), n_starts=4, progress=False)
    return density, data, outcome, modes


def gibbs_draws(model, table, options, *, key=1, **sizes):
    density, data, outcome, modes = prepared(model, table, options)
    blocks = find_blocks(density, data)
    kept = {"chains": 4, "warmup": 200, "draws": 4000, "block": 700} | sizes
    drawn = sample_gibbs(
        density,
        blocks,
        modes.flat[0],
        modes.precision,
        data,
        outcome,
        rng_key=jax.random.key(key),
        progress=False,
        **kept,
    )
    return density, data, outcome, drawn


def sites_of(density, data, flat):
    values = jax.jit(jax.vmap(jax.vmap(lambda x: density.variables(x, data))))(jnp.asarray(flat))
    return {name: np.asarray(value) for name, value in values.items()}


def assert_exact(values, mean, sd, *, errors=4.5):
    """Mean and sd within 4.5 Monte-Carlo standard errors (false alarm below 1e-5 a comparison)."""
    centred = values - mean
    for part, target, spread in ((values, mean, values.std()), (centred**2, sd**2, (centred**2).std())):
        ess = float(array_stats.ess(part, method="mean"))
        assert ess > 500, ess
        assert abs(part.mean() - target) < errors * spread / np.sqrt(ess), (part.mean(), target, ess)


def exact_moments(log_density, *functions):
    mass = np.exp(log_density - log_density.max())
    mass /= mass.sum()
    means = [float((mass * f).sum()) for f in functions]
    return [(m, float(np.sqrt((mass * (f - m) ** 2).sum()))) for f, m in zip(functions, means, strict=True)]


def all_assignments():
    """Posterior of (z1, z2, log odds of the weights) on a grid, all sixteen assignments of types summed."""
    z, logit = np.linspace(-6, 6, 97), np.linspace(-11, 11, 111)
    one, two, odds = z[:, None, None], z[None, :, None], logit[None, None, :]
    w = special.expit(odds)
    log_density = stats.norm.logpdf(one) + stats.norm.logpdf(two) + 2 * np.log(w) + 2 * np.log1p(-w)
    terms = []
    for kinds in product(range(2), repeat=4):
        term = np.zeros(1)
        for u, kind in enumerate(kinds):
            d = np.sqrt(2) * (one, two)[kind]
            term = term + np.log((w, 1 - w)[kind]) - WINS[u] * np.logaddexp(0, -d) - LOSSES[u] * np.logaddexp(0, d)
        terms.append(term)
    log_density = log_density + special.logsumexp(np.stack(np.broadcast_arrays(*terms)), axis=0)
    d1, d2 = np.sqrt(2) * one, np.sqrt(2) * two
    mixed = w * special.expit(d1) + (1 - w) * special.expit(d2)
    return exact_moments(log_density, d1 + d2, np.abs(d1 - d2), np.abs(odds), mixed)


def same_functions(sites):
    reward, weight = sites["reward"][:, :, 0], sites["type_weight"]
    d1, d2 = reward[..., 0, 0] - reward[..., 0, 1], reward[..., 1, 0] - reward[..., 1, 1]
    odds = np.log(weight[..., 0] / weight[..., 1])
    mixed = weight[..., 0] * special.expit(d1) + weight[..., 1] * special.expit(d2)
    return d1 + d2, np.abs(d1 - d2), np.abs(odds), mixed


@pytest.fixture(scope="module")
def four():
    return gibbs_draws(latent_types, four_people(), OPTIONS)


def test_latent_types_match_the_sum_over_all_assignments(four):
    density, data, _, drawn = four
    for values, (mean, sd) in zip(same_functions(sites_of(density, data, drawn.flat)), all_assignments(), strict=True):
        assert_exact(values, mean, sd)


def test_the_log_density_belongs_to_the_draw(four):
    density, data, outcome, drawn = four
    some = drawn.flat[1, :20]
    expected = [float(density.log_joint(jnp.asarray(x), data, outcome)) for x in some]
    np.testing.assert_allclose(drawn.stats["lp"][1, :20], expected, rtol=1e-9)
    assert 0.6 < drawn.stats["acceptance_rate"].mean() < 1.0


def test_the_same_seed_gives_the_same_draws_and_other_blocks_too(four):
    again = gibbs_draws(latent_types, four_people(), OPTIONS, draws=300, warmup=200)[3]
    shorter = gibbs_draws(latent_types, four_people(), OPTIONS, draws=300, warmup=200, block=130)[3]
    np.testing.assert_array_equal(again.flat, four[3].flat[:, :300])
    np.testing.assert_allclose(shorter.flat, again.flat, rtol=1e-9)


def test_ties_match_two_dimensional_integration():
    """One type, Davidson: (r_x - r_y, log nu)."""
    density, data, _, drawn = gibbs_draws(single, four_people(ties=True), {"reward_scale": 1.0, "tie_scale": 1.0})
    z, log_nu = np.linspace(-7, 7, 281)[:, None], np.linspace(-7, 6, 261)[None, :]
    half = z / np.sqrt(2)
    norm = np.logaddexp(np.logaddexp(half, -half), log_nu)
    wins, losses, ties = WINS.sum(), LOSSES.sum(), TIES.sum()
    log_density = stats.norm.logpdf(z) + stats.norm.logpdf(log_nu)
    log_density = log_density + wins * half - losses * half + ties * log_nu - (wins + losses + ties) * norm
    sites = sites_of(density, data, drawn.flat)
    found = (sites["reward"][:, :, 0, 0, 0] - sites["reward"][:, :, 0, 0, 1], sites["log_tie"])
    for values, (mean, sd) in zip(found, exact_moments(log_density, 2 * half, log_nu), strict=True):
        assert_exact(values, mean, sd)


def move_many(factor_of_truth):
    """200,000 independent moves from exact draws of a skewed target; the proposal's precision times a factor."""
    rng = np.random.default_rng(3)

    def log_target(x):
        return (2.0 * x - jnp.exp(x))[..., 0]  # log of a gamma(2) variable

    start = jnp.asarray(np.log(rng.gamma(2.0, size=(200_000, 1))))
    chance = Chance(jnp.asarray(rng.normal(size=start.shape)), *jnp.asarray(rng.random((2, len(start)))))
    factor = jnp.full((len(start), 1, 1), np.sqrt(2.0 * factor_of_truth))
    return np.asarray(laplace_move(chance, start, jnp.full(start.shape, np.log(2.0)), factor, log_target)[0])[:, 0]


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_move_leaves_its_target_alone(factor):
    """Kolmogorov-Smirnov against log-gamma(2), level 1e-4."""
    assert stats.kstest(move_many(factor), stats.loggamma(2.0).cdf).pvalue > 1e-4


def test_a_wrong_proposal_ratio_is_seen(monkeypatch):
    """Without the ratio of proposal densities the same test fails."""
    monkeypatch.setattr(gibbs.jnp, "where", lambda c, a, b: b * 0.0 if isinstance(a, float) else jnp_where(c, a, b))
    assert stats.kstest(move_many(0.5), stats.loggamma(2.0).cdf).pvalue < 1e-10


jnp_where = jnp.where


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (latent_types, {"n_types": 2, "decisiveness": "type"}),
        (latent_types, {"n_types": 2, "decisiveness": "annotator"}),
        (linear_types, {"n_types": 2}),
    ],
)
def test_models_without_a_step_are_refused_by_name(model, options):
    table = four_people()
    if model is linear_types:
        table = from_codes(
            table.item_a,
            table.item_b,
            table.outcome,
            items=("x", "y"),
            features=np.array([[0.0], [1.0]]),
            feature_names=("f",),
        )
    data, _ = choice_data(table)
    density = make_density(model, data, options)
    with pytest.raises(ModelError, match="use method='nuts'"):
        find_blocks(density, data)
    assert choose_method(density, data) == "nuts"


def test_fractional_answers_without_annotators_are_refused_for_several_types():
    table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"), weight=np.array([1.5]))
    data, _ = choice_data(table)
    with pytest.raises(ModelError, match="whole numbers"):
        find_blocks(make_density(latent_types, data, {"n_types": 2}), data)
    assert find_blocks(make_density(single, data, {}), data).n_types == 1


@pytest.mark.parametrize(("n_types", "n_items", "method"), [(2, 100, "gibbs"), (2, 101, "nuts"), (1, 2, "nuts")])
def test_gibbs_is_the_default_for_several_types_of_not_too_many_items(n_types, n_items, method):
    """A sweep's cost grows with the cube of the number of items, and one type leaves nothing to sum out."""
    items = [f"i{k}" for k in range(n_items)]
    table = from_codes(
        np.array([0]), np.array([1]), np.array([0]), items=items, annotator=np.array([0]), annotators=["u"]
    )
    data, _ = choice_data(table)
    assert choose_method(make_density(latent_types, data, {"n_types": n_types}), data) == method


@pytest.mark.slow
def test_gibbs_agrees_with_a_long_nuts_run():
    """Issue's bounds: mean within .05 sd, sd ratio in [.97, 1.03], where both have over 5,000 effective draws.

    Types, prompts, ties, position; well-separated types, so that neither chain switches labels.
    """
    rng = np.random.default_rng(5)
    reward = np.array([[[1.5, 0.0, -1.5], [0.0, 1.0, -1.0]], [[-1.0, -0.5, 1.5], [1.0, -2.0, 1.0]]])
    annotator = np.repeat(np.arange(40), 15)
    kind = (annotator % 3 == 0).astype(int)
    state = (rng.random(len(annotator)) > np.array([0.8, 0.3])[kind]).astype(int)
    item_a = rng.integers(0, 3, len(annotator))
    item_b = (item_a + rng.integers(1, 3, len(annotator))) % 3
    half = 0.5 * (reward[kind, state, item_a] - reward[kind, state, item_b])
    mass = np.stack([np.exp(half), np.exp(-half), np.full(len(half), 0.4)], axis=1)
    outcome = (rng.random((len(half), 1)) > np.cumsum(mass / mass.sum(1, keepdims=True), axis=1)).sum(1)
    table = from_codes(
        item_a,
        item_b,
        outcome,
        items=("x", "y", "z"),
        state=state,
        states=("s", "t"),
        annotator=annotator,
        annotators=[f"u{i}" for i in range(40)],
        position=np.where(rng.random(len(half)) < 0.5, 1, -1),
    )
    options = {"n_types": 2, "position_effect": True}
    density, data, column, modes = prepared(latent_types, table, options)
    start = (modes.flat[0], modes.precision)
    sizes = {"rng_key": jax.random.key(2), "chains": 4, "progress": False, "block": 1000}
    reference = sample_nuts(density.log_joint, *start, (data, column), warmup=500, draws=5500, **sizes).flat
    found = sample_gibbs(
        density, find_blocks(density, data), *start, data, column, warmup=500, draws=11_500, **sizes
    ).flat
    for j in range(density.size):
        both = (reference[..., j], found[..., j])
        sd = both[0].std()
        for values in both:
            assert min(array_stats.ess(values), array_stats.ess((values - values.mean()) ** 2)) > 5000, density.names[j]
        assert abs(both[0].mean() - both[1].mean()) < 0.05 * sd, density.names[j]
        assert 0.97 < both[1].std() / sd < 1.03, density.names[j]
