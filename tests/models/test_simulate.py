"""With ``outcome=None`` a model simulates: right frequencies, one type a unit, states as data on the type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers

from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.errors import ModelError
from bayespref.models import latent_types, linear_types, single

DRAWS = 20_000


def table_of(outcomes=(0, 1), *, states=(0, 1), annotators=True, weight=None, features=None):
    """Two annotators; the first asks only in state p, the second in p and q; each pair of three items once."""
    pairs = [(0, 1), (0, 2), (1, 2)]
    rows = [(0, 0, a, b) for a, b in pairs] + [(1, s, a, b) for s in states for a, b in pairs]
    annotator, state, item_a, item_b = np.array(rows).T
    who = {"annotator": annotator, "annotators": ("u", "v")} if annotators else {}
    extra = {} if features is None else {"features": features, "feature_names": ("f",)}
    return from_codes(
        item_a,
        item_b,
        np.resize(outcomes, len(rows)),
        items=("x", "y", "z"),
        state=state,
        states=("p", "q"),
        weight=weight,
        **who,
        **extra,
    )


def simulations(model, data, point, **options):
    """Simulated outcomes and types at fixed parameters, shape (draw, record) and (draw, unit)."""
    fixed = {name: jnp.asarray(value) for name, value in point.items()}

    def once(key):
        trace = handlers.trace(handlers.seed(handlers.substitute(model, data=fixed), key)).get_trace(
            data, None, **options
        )
        return trace["outcome"]["value"], trace["type"]["value"]

    outcome, kind = jax.vmap(once)(jax.random.split(jax.random.key(0), DRAWS))
    return np.asarray(outcome), np.asarray(kind)


def assert_frequency(found, probability):
    """Within five standard errors."""
    error = np.sqrt(probability * (1 - probability) / DRAWS)
    assert np.all(np.abs(found - probability) < 5 * error), (found, probability)


def probabilities(reward_a, reward_b, log_tie=None, log_bad=None):
    worth = [np.exp(reward_a), np.exp(reward_b)]
    middle = np.exp((reward_a + reward_b) / 2)
    worth += [np.exp(value) * middle for value in (log_tie, log_bad) if value is not None]
    return np.array(worth) / sum(worth)


def test_single_simulates_the_choice_probabilities_with_ties_and_both_bad():
    data, _ = choice_data(table_of((0, 1, 2, 3)))
    z = np.random.default_rng(0).normal(size=(2, 2))
    outcome, kind = simulations(single, data, {"z": z, "log_tie": -0.3, "log_both_bad": 0.5})
    assert not kind.any()
    assert outcome.shape == (DRAWS, 9)
    reward = z @ zero_sum_basis(3).T
    for record, question in enumerate(np.asarray(data.question)):
        state, a, b = (int(getattr(data, name)[question]) for name in ("state", "item_a", "item_b"))
        expected = probabilities(reward[state, a], reward[state, b], -0.3, 0.5)
        assert_frequency(np.bincount(outcome[:, record], minlength=4) / DRAWS, expected)


def test_types_are_drawn_given_what_was_asked_and_shared_by_all_labels():
    data, _ = choice_data(table_of())
    z = np.array([[[1.5, 0.4], [0.3, 0.9]], [[-1.0, 0.2], [0.5, -1.5]]])  # type, state, coordinate
    type_logit, prompt_logit = np.array([0.5]), np.array([[1.0], [-0.6]])
    outcome, kind = simulations(
        latent_types, data, {"z": z, "type_logit": type_logit, "prompt_logit": prompt_logit}, n_types=2
    )

    def two(coordinate):
        odds = np.exp(zero_sum_basis(2) @ coordinate)
        return odds / odds.sum()

    weight, prompt = two(type_logit), np.stack([two(p) for p in prompt_logit])
    first = weight * prompt[:, 0] ** 3  # three questions in p
    second = weight * prompt[:, 0] ** 3 * prompt[:, 1] ** 3
    assert_frequency(kind[:, 0].mean(), first[1] / first.sum())
    assert_frequency(kind[:, 1].mean(), second[1] / second.sum())
    reward = z @ zero_sum_basis(3).T
    for record, (question, unit) in enumerate(zip(np.asarray(data.question), np.asarray(data.unit), strict=True)):
        state, a, b = (int(getattr(data, name)[question]) for name in ("state", "item_a", "item_b"))
        for k in range(2):
            mine = kind[:, unit] == k
            win = (outcome[mine, record] == 0).mean()
            expected = probabilities(reward[k, state, a], reward[k, state, b])[0]
            assert abs(win - expected) < 5 * np.sqrt(expected * (1 - expected) / mine.sum())


def test_prompts_given_by_the_platform_say_nothing_about_the_type():
    data, _ = choice_data(table_of())
    z = np.zeros((2, 2, 2))
    _, kind = simulations(
        latent_types, data, {"z": z, "type_logit": np.array([0.5])}, n_types=2, endogenous_prompts=False
    )
    odds = np.exp(zero_sum_basis(2) @ np.array([0.5]))
    for unit in range(2):
        assert_frequency(kind[:, unit].mean(), (odds / odds.sum())[1])


def test_linear_types_simulates_linear_rewards():
    features = np.array([[0.0], [1.0], [3.0]])
    data, _ = choice_data(table_of(features=features).pool("state"))
    if not np.all(np.asarray(data.count) == 1):  # pooled states: annotator v meets each pair twice
        data, _ = choice_data(table_of(states=(1,), features=features))
    outcome, _ = simulations(linear_types, data, {"z": np.array([[0.7]])}, n_types=1)
    contrast = (features[np.asarray(data.item_a)] - features[np.asarray(data.item_b)])[:, 0]
    slope = 0.7 / np.sqrt(np.mean(contrast**2))
    for record, question in enumerate(np.asarray(data.question)):
        expected = 1 / (1 + np.exp(-slope * contrast[question]))
        assert_frequency((outcome[:, record] == 0).mean(), expected)


@pytest.mark.parametrize("annotators", [True, False])
def test_records_that_stand_for_several_answers_are_not_simulated_as_one(annotators):
    data, _ = choice_data(table_of(annotators=annotators, weight=np.full(9, 3.0)))
    with pytest.raises(ModelError, match="several"):
        handlers.trace(handlers.seed(single, 0)).get_trace(data, None)


def test_simulation_can_be_compiled():
    data, _ = choice_data(table_of())

    def once(key):
        return handlers.trace(handlers.seed(single, key)).get_trace(data, None)["outcome"]["value"]

    outcome = np.asarray(jax.jit(jax.vmap(once))(jax.random.split(jax.random.key(0), 50)))
    assert set(np.unique(outcome).tolist()) == {0, 1}


def test_prior_of_rewards_is_exchangeable_in_the_items():
    data, _ = choice_data(table_of())

    def once(key):
        return handlers.trace(handlers.seed(single, key)).get_trace(data, None, reward_scale=2.0)["reward"]["value"]

    reward = np.asarray(jax.vmap(once)(jax.random.split(jax.random.key(1), DRAWS)))[:, 0, 0]
    covariance = np.cov(reward.T)
    np.testing.assert_allclose(covariance, 4.0 * (np.eye(3) - 1 / 3), atol=5 * 4 * np.sqrt(2 / DRAWS))
    difference = reward[:, 0] - reward[:, 2]
    assert difference.std() == pytest.approx(2.0 * np.sqrt(2), abs=5 * 2 / np.sqrt(DRAWS))
