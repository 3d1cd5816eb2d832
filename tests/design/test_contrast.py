"""Designs for one question, and for what an hour is worth to two types of travellers."""

import numpy as np
import pytest

import bayespref
from bayespref.design.candidates import feature_candidates
from bayespref.design.contrast import contrast_mixture, ratio_gradient
from bayespref.design.mixture import optimal_mixture

# Panel latent classes of the train tickets (README of the data): price, time, change, comfort; shares.
TYPES = np.array([[-0.040, -2.092, -0.513, -1.494], [-0.259, -4.427, -0.596, -1.190]])
SHARE = np.array([[0.56, 0.44]])


def test_a_small_slack_approaches_the_elfving_bound():
    """For rank-one arms the least variance of c is the squared gauge of c (Elfving 1952): here |2| + |1| squared."""
    arms = np.array([np.outer(e, e) for e in np.eye(2)])
    got = contrast_mixture(arms, np.array([2.0, 1.0]), slack=0.01)
    assert got.variance == pytest.approx(9.0, rel=2e-3)
    assert got.design.weights[0] == pytest.approx(2 / 3, abs=0.01)
    assert contrast_mixture(arms, np.array([2.0, 1.0]), slack=1.0).design.value == pytest.approx(4.0)


def test_slack_trades_the_contrast_for_the_rest_monotonically():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    M, c = x[:, :, None] * x[:, None, :], rng.normal(size=4)
    variances = [contrast_mixture(M, c, slack=s).variance for s in (0.02, 0.1, 0.5, 1.0)]
    assert (np.diff(variances) > 0).all()


def test_ratio_gradient_is_its_numerical_derivative():
    w, step = np.array([-0.3, -2.0, 0.5]), 1e-6
    numeric = [
        ((w + step * e)[1] / (w + step * e)[0] - (w - step * e)[1] / (w - step * e)[0]) / (2 * step) for e in np.eye(3)
    ]
    np.testing.assert_allclose(ratio_gradient(w, 1, 0), numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: contrast_mixture(np.eye(2)[None], np.zeros(2)), "contrast: must have shape"),
        (lambda: contrast_mixture(np.eye(2)[None], np.ones(3)), "contrast: must have shape"),
        (lambda: contrast_mixture(np.eye(2)[None], np.ones(2), slack=0.0), "slack"),
        (lambda: contrast_mixture(-np.eye(2)[None], np.ones(2)), "positive semidefinite"),
        (lambda: ratio_gradient(np.array([0.0, 1.0]), 1, 0), "denominator"),
        (lambda: ratio_gradient(np.ones(2), 1, 1), "denominator"),
    ],
)
def test_bad_contrasts_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_contrast_no_arm_moves_is_unbounded():
    got = contrast_mixture(np.diag([1.0, 0.0])[None], np.array([0.0, 1.0]))
    assert np.isinf(got.variance)
    assert got.design.reason == "no_overlap"


@pytest.fixture(scope="module")
def tickets():
    """Information of the survey's own pairs and of 2,000 others, when the type of whoever answers is not seen."""
    table = bayespref.load_train_tickets()
    dz = table.features[table.item_a] - table.features[table.item_b]
    scale = np.sqrt((dz**2).mean(axis=0))
    asked = np.stack([table.item_a, table.item_b], axis=1)
    drawn = np.random.default_rng(0).integers(table.n_items, size=(2000, 2))
    drawn = drawn[drawn[:, 0] != drawn[:, 1]]
    own, other = (
        feature_candidates((TYPES * scale)[None], SHARE, table.features / scale, pairs) for pairs in (asked, drawn)
    )
    M = own.matrices()
    gradient = np.concatenate([ratio_gradient(TYPES[0], 1, 0), -ratio_gradient(TYPES[1], 1, 0)]) / np.tile(scale, 2)
    return M, other.matrices(), M.mean(axis=0), gradient, dz, table


def test_reweighting_the_surveys_own_pairs_triples_its_least_eigenvalue(tickets):
    M, _, survey, _, _, _ = tickets
    best, even = optimal_mixture(M), optimal_mixture(M, criterion="A")
    assert best.gap <= 1e-6 * best.value
    assert best.value / np.linalg.eigvalsh(survey)[0] == pytest.approx(3.558, abs=0.01)
    assert np.trace(np.linalg.inv(survey)) / even.value == pytest.approx(2.403, abs=0.01)


def test_pairs_the_survey_never_showed_do_better_still(tickets):
    M, other, survey, _, _, _ = tickets
    best = optimal_mixture(np.concatenate([M, other]))
    assert best.value / np.linalg.eigvalsh(survey)[0] > 4.0


def test_the_types_values_of_time_are_separated_by_large_savings_for_an_hour(tickets):
    M, _, survey, gradient, dz, _ = tickets
    got = contrast_mixture(M, gradient)
    before = gradient @ np.linalg.solve(survey, gradient)
    assert before / got.variance > 8.0
    price, time = dz[got.design.weights.argmax(), :2]
    # The heaviest pair trades time against much money: 17 euros an hour pay for the second type, not for the first.
    assert price * time < 0
    hour = abs(price / time)
    assert 17 < hour < 52
