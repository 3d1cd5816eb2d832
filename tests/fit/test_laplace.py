"""Laplace draws and refits of stacked tables, against a logistic regression written here and against exact answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.laplace import _scaled, climb, laplace_draws, refit_modes, reweighted, stack_tables
from bayespref.models import MODELS

ITEMS = ("x", "y", "z")


def table(seed, rows=300, **columns):
    rng = np.random.default_rng(seed)
    a = rng.integers(3, size=rows)
    b = (a + rng.integers(1, 3, size=rows)) % 3
    outcome = (rng.random(rows) > expit(1.0 * (b - a))).astype(int)
    return from_codes(a, b, outcome, items=ITEMS, **columns)


def wins_of(data):
    wins = np.zeros((3, 3))
    a_won = data.outcome == 0
    np.add.at(wins, (np.where(a_won, data.item_a, data.item_b), np.where(a_won, data.item_b, data.item_a)), 1)
    return wins


def oracle(wins, sd):
    """Mode and covariance of zero-sum rewards under N(0, sd^2) along every zero-sum direction, by Newton."""
    total, centre = wins + wins.T, np.eye(3) - 1 / 3
    r = np.zeros(3)
    for _ in range(50):
        p = expit(r[:, None] - r[None, :])
        w = total * p * (1 - p)
        precision = np.diag(w.sum(1)) - w + centre / sd**2 + np.ones((3, 3))
        r = r + np.linalg.solve(precision, (wins - total * p).sum(1) - r / sd**2)
    return r, centre @ np.linalg.inv(precision) @ centre


@pytest.fixture(scope="module")
def fitted():
    tables = [table(seed) for seed in range(3)]
    stack = stack_tables(tables)
    density = make_density(MODELS["single"], stack.data, {"reward_scale": 1.5})
    draws = laplace_draws(density, stack, rng_key=jax.random.key(0), draws=4000)["reward"][:, :, 0, 0]
    return tables, stack, density, draws


def test_draws_have_mean_and_covariance_of_the_oracle(fitted):
    tables, _, _, draws = fitted
    for one, data in zip(draws, tables, strict=True):
        mean, covariance = oracle(wins_of(data), 1.5)
        error = np.sqrt(np.diag(covariance) / 4000)
        assert np.all(np.abs(one.mean(0) - mean) < 4.5 * error)
        # a sample variance of 4,000 normals has relative error 2.2 %; nine entries, 4.5 errors
        assert np.abs(np.cov(one.T) - covariance).max() < 4.5 * 0.022 * np.abs(covariance).max()


def test_noise_is_given_the_covariance_of_an_uneven_precision():
    precision = jnp.array([[4.0, 1.5], [1.5, 1.0]])
    root = np.asarray(_scaled(precision, jnp.eye(2)))
    assert root.T @ root == pytest.approx(np.linalg.inv(np.asarray(precision)))


def test_refits_without_moving_the_prior_are_the_modes(fitted):
    tables, stack, density, _ = fitted
    modes = refit_modes(density, stack, rng_key=jax.random.key(1))["reward"][:, 0, 0]
    for one, data in zip(modes, tables, strict=True):
        assert one == pytest.approx(oracle(wins_of(data), 1.5)[0], abs=1e-8)


def test_a_refit_to_almost_nothing_returns_the_centre_of_its_own_prior(fitted):
    _, stack, density, _ = fitted
    empty = stack._replace(multiplicity=stack.multiplicity * 1e-9).take(np.repeat(0, 400))
    found = refit_modes(density, empty, rng_key=jax.random.key(1), prior_moves=1.0)
    assert found["reward"] == pytest.approx(found["centre"], abs=1e-6)
    # zero-sum directions have sd 1.5, so an item has variance 1.5^2 * 2/3 (relative error of 400 x 3: under 5 %)
    assert found["centre"].var() == pytest.approx(1.5**2 * 2 / 3, rel=0.2)
    still = refit_modes(density, empty, rng_key=jax.random.key(1))
    assert np.abs(still["reward"]).max() < 1e-6


def test_stacked_counts_are_those_of_each_table_and_rows_may_come_in_any_order():
    tables = [table(seed, state=np.arange(300) % 2, states=("s", "t")) for seed in range(2)]
    order = np.random.default_rng(0).permutation(300)
    stack = stack_tables([tables[0], tables[1].select(order)])
    data = stack.data
    for t, one in enumerate(tables):
        counts = {
            (s, a, b, o): n
            for s, a, b, o, n in zip(
                one.counts.state,
                one.counts.item_a,
                one.counts.item_b,
                one.counts.outcome,
                one.counts.total,
                strict=True,
            )
        }
        question = np.asarray(data.question)
        got = {
            (int(data.state[q]), int(data.item_a[q]), int(data.item_b[q]), int(o)): float(m)
            for q, o, m in zip(question, np.asarray(stack.outcome), np.asarray(stack.multiplicity[t]), strict=True)
            if m > 0
        }
        assert got == counts
        assert np.asarray(stack.asked[t]).sum() == 300


def test_several_tables_with_annotators_or_other_labels_are_refused():
    named = table(0, annotator=np.zeros(300, dtype=int), annotators=("p",))
    with pytest.raises(ValueError, match='pool\\("annotator"\\)'):
        stack_tables([named, named])
    with pytest.raises(ValueError, match="same items"):
        stack_tables([table(0), from_codes(np.array([0]), np.array([1]), np.array([0]), items=("u", "v"))])
    with pytest.raises(ValueError, match="at least one"):
        stack_tables([])


def test_weights_of_people_are_shared_by_all_their_answers():
    person = np.arange(300) % 5
    data = table(0, annotator=person, annotators=tuple("abcde"))
    added, apart = reweighted(data, 40, seed=0), reweighted(data, 40, seed=0, latent=True)
    # units stay people: one exponential weight each
    assert apart.multiplicity.shape == (40, 5)
    # five exponential weights of 60 answers each: the total has mean 300 and sd 60 sqrt(5)
    total = np.asarray(added.multiplicity).sum(1)
    assert abs(total.mean() - 300) < 4 * 60 * np.sqrt(5 / 40)
    assert total.std() > 60  # weights by answer, not by person, would give sd 17


def test_climb_refuses_to_go_down_on_a_function_that_is_not_concave():
    peak = climb(lambda x: -jnp.sum((x**2 - 1.0) ** 2), jnp.array([0.1, -0.2]))
    assert np.abs(np.abs(np.asarray(peak.flat)) - 1.0).max() < 1e-5
