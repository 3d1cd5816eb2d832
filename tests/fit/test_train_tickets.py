"""Published estimates on real data: one, two and three types of train travellers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from bayespref import load_train_tickets
from bayespref.choice import choice_data
from bayespref.fit.density import make_density
from bayespref.fit.em import find_modes
from bayespref.models import linear_types

PUBLISHED = [-0.0673580, -1.7205514, -0.3263409, -0.9457256]


@pytest.fixture(scope="module")
def tickets():
    return load_train_tickets()


def fitted(tickets, n_types):
    data, outcome = choice_data(tickets)
    options = {"n_types": n_types, "reward_scale": 1e3, "weight_concentration": 1.0}
    density = make_density(linear_types, data, options)
    modes = find_modes(density, data, outcome, rng_key=jax.random.key(0), n_starts=10, progress=False)
    sites = density.variables(jnp.asarray(modes.flat[0]), data)
    order = np.argsort(-np.asarray(sites["type_weight"]))
    return modes, np.asarray(sites["coefficient"])[order], np.asarray(sites["type_weight"])[order]


def log_likelihood(tickets, coefficient, weight):
    """Panel mixture of logits, written out: one class a traveller."""
    contrast = tickets.features[tickets.item_a] - tickets.features[tickets.item_b]
    sign = np.where(tickets.outcome == 0, 1.0, -1.0)
    rows = -np.logaddexp(0, -sign * (coefficient @ contrast.T))
    per_person = np.stack([np.bincount(tickets.annotator, weights=row) for row in rows], axis=1)
    return special.logsumexp(per_person + np.log(weight), axis=1).sum()


def test_one_type_gives_the_published_estimates(tickets):
    modes, coefficient, weight = fitted(tickets, 1)
    np.testing.assert_allclose(coefficient[0], PUBLISHED, atol=1e-4)
    assert modes.log_likelihood[0] == pytest.approx(-1724.15, abs=5e-3)
    assert log_likelihood(tickets, coefficient, weight) == pytest.approx(modes.log_likelihood[0], abs=1e-8)
    assert coefficient[0, 1] / coefficient[0, 0] == pytest.approx(25.5, abs=0.05)


def test_two_types_reach_the_latent_class_estimates(tickets):
    modes, coefficient, weight = fitted(tickets, 2)
    assert modes.log_likelihood[0] == pytest.approx(-1547.04, abs=0.5)
    assert log_likelihood(tickets, coefficient, weight) == pytest.approx(modes.log_likelihood[0], abs=1e-8)
    np.testing.assert_allclose(weight, [0.56, 0.44], atol=0.01)
    np.testing.assert_allclose(coefficient[0], [-0.040, -2.092, -0.513, -1.494], atol=0.02)
    np.testing.assert_allclose(coefficient[1], [-0.259, -4.427, -0.596, -1.190], atol=0.03)
    np.testing.assert_allclose(coefficient[:, 1] / coefficient[:, 0], [52, 17], atol=1)


@pytest.mark.slow
def test_three_types_reach_the_latent_class_likelihood(tickets):
    modes, coefficient, weight = fitted(tickets, 3)
    assert modes.log_likelihood[0] == pytest.approx(-1465.81, abs=0.5)
    assert log_likelihood(tickets, coefficient, weight) == pytest.approx(modes.log_likelihood[0], abs=1e-8)
