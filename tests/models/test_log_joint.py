"""Log joint densities of the models against densities written out in NumPy and SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import special, stats

from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.errors import ModelError
from bayespref.models import MODELS, latent_types, linear_types, single

ITEMS, STATES, PEOPLE, CONTEXTS = 4, 3, 5, 2
FEATURES = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5], [3.0, 7.0]])


def random_table(seed, *, outcomes=(0, 1, 2, 3), only_context=None, rows=30):
    rng = np.random.default_rng(seed)
    item_a = rng.integers(0, ITEMS, rows)
    raw = {
        "item_a": item_a,
        "item_b": (item_a + rng.integers(1, ITEMS, rows)) % ITEMS,
        "outcome": rng.choice(outcomes, rows),
        "state": rng.integers(0, STATES, rows),
        "annotator": rng.integers(0, PEOPLE, rows),
        "weight": rng.integers(1, 4, rows).astype(float),
    }
    raw["context"] = raw["annotator"] % CONTEXTS if only_context is None else rng.integers(0, CONTEXTS, rows)
    return raw


def as_table(raw, *, features=True):
    extra = {"features": FEATURES, "feature_names": ("f", "g")} if features else {}
    return from_codes(
        raw["item_a"],
        raw["item_b"],
        raw["outcome"],
        items=[f"i{i}" for i in range(ITEMS)],
        state=raw["state"],
        states=[f"s{i}" for i in range(STATES)],
        annotator=raw["annotator"],
        annotators=[f"u{i}" for i in range(PEOPLE)],
        context=raw["context"],
        contexts=[f"c{i}" for i in range(CONTEXTS)],
        weight=raw["weight"],
        **extra,
    )


def evaluate(model, table, seed, *, group_by_context=False, **options):
    """Log joint at a random point, and every site there."""
    data, outcome = choice_data(table, group_by_context=group_by_context)
    prior = handlers.trace(handlers.seed(model, 0)).get_trace(data, outcome, **options)
    rng = np.random.default_rng(seed)
    point = {
        name: jnp.asarray(rng.normal(0, 0.8, site["value"].shape))
        for name, site in prior.items()
        if site["type"] == "sample" and not site["is_observed"]
    }
    value, trace = log_density(model, (data, outcome), options, point)
    return float(value), {name: np.asarray(site["value"]) for name, site in trace.items()}


def row_log_prob(raw, reward, log_tie, log_bad):
    """Log-probability of each row under reward[state, item], by worths."""
    rows = np.arange(len(raw["item_a"]))
    worth_a = np.exp(reward[raw["state"], raw["item_a"]])
    worth_b = np.exp(reward[raw["state"], raw["item_b"]])
    middle = np.sqrt(worth_a * worth_b)
    mass = np.stack([worth_a, worth_b, np.exp(log_tie) * middle, np.exp(log_bad) * middle])
    present = np.isin(np.arange(4), [0, 1, *raw["outcome"]])
    return np.log(mass[raw["outcome"], rows] / mass[present].sum(0))


def dirichlet_term(p, concentration):
    """Log-density of Dirichlet probabilities in orthonormal log coordinates: times prod p and sqrt K."""
    p = np.asarray(p, dtype=float)
    p = p / p.sum()
    return stats.dirichlet(np.full(len(p), concentration)).logpdf(p) + np.log(p).sum() + 0.5 * np.log(len(p))


def reward_term(reward, scale):
    """Log-density of rewards that sum to zero, iid normal in any orthonormal basis of that plane."""
    np.testing.assert_allclose(reward.sum(-1), 0.0, atol=1e-12)
    free = reward.size // reward.shape[-1] * (reward.shape[-1] - 1)
    return -0.5 * np.sum(reward**2) / scale**2 - free * (np.log(scale) + 0.5 * np.log(2 * np.pi))


def tie_terms(raw, sites, tie_scale, bad_scale):
    total = 0.0
    if 2 in raw["outcome"]:
        total += stats.norm(0, tie_scale).logpdf(sites["log_tie"])
    if 3 in raw["outcome"]:
        total += stats.norm(0, bad_scale).logpdf(sites["log_both_bad"])
    return total


def marginal(raw, per_row, weight, unit):
    """Sum over units of log sum over types of weight times the product over the unit's rows."""
    total = 0.0
    for u in sorted(set(unit)):
        mine = np.array([v == u for v in unit])
        total += special.logsumexp(np.log(weight) + (raw["weight"][mine] * per_row[:, mine]).sum(1))
    return total


@pytest.mark.parametrize("outcomes", [(0, 1), (0, 1, 2), (0, 1, 2, 3), (1, 3)])
def test_single_is_normal_rewards_times_choice_probabilities(outcomes):
    raw = random_table(0, outcomes=outcomes)
    options = {"reward_scale": 1.7, "tie_scale": 0.6, "both_bad_scale": 2.2}
    value, sites = evaluate(single, as_table(raw), 1, **options)
    assert sites["reward"].shape == (STATES, 1, ITEMS)
    reward = sites["reward"][:, 0]
    rows = row_log_prob(raw, reward, sites.get("log_tie", 0.0), sites.get("log_both_bad", 0.0))
    expected = reward_term(reward, 1.7) + tie_terms(raw, sites, 0.6, 2.2) + np.sum(raw["weight"] * rows)
    assert value == pytest.approx(expected, rel=1e-11)
    assert ("log_tie" in sites) == (2 in outcomes)
    assert ("log_both_bad" in sites) == (3 in outcomes)


@pytest.mark.parametrize("endogenous", [True, False])
@pytest.mark.parametrize(("n_types", "outcomes"), [(1, (0, 1)), (2, (0, 1, 2)), (3, (0, 1, 2, 3))])
def test_latent_types_is_a_mixture_over_annotators(n_types, outcomes, endogenous):
    raw = random_table(3, outcomes=outcomes)
    options = {
        "n_types": n_types,
        "endogenous_prompts": endogenous,
        "reward_scale": 0.8,
        "weight_concentration": 3.0,
        "prompt_concentration": 1.6,
    }
    value, sites = evaluate(latent_types, as_table(raw), 2, **options)
    assert sites["reward"].shape == (STATES, n_types, ITEMS)
    assert sites["type_weight"].shape == (n_types,)
    assert sites["type_weight"].sum() == pytest.approx(1.0)
    per_row = np.stack(
        [
            row_log_prob(raw, sites["reward"][:, k], sites.get("log_tie", 0.0), sites.get("log_both_bad", 0.0))
            for k in range(n_types)
        ]
    )
    expected = reward_term(sites["reward"], 0.8) + tie_terms(raw, sites, 1.5, 1.5)
    if n_types > 1:
        expected += dirichlet_term(sites["type_weight"], 3.0)
    if endogenous:
        assert sites["prompt_prob"].shape == (n_types, STATES)
        expected += sum(dirichlet_term(p, 1.6) for p in sites["prompt_prob"])
        per_row = per_row + np.log(sites["prompt_prob"])[:, raw["state"]]
    else:
        assert "prompt_prob" not in sites
    expected += marginal(raw, per_row, sites["type_weight"], raw["annotator"].tolist())
    assert value == pytest.approx(expected, rel=1e-11)


def test_one_type_without_prompts_is_single():
    table = as_table(random_table(4))
    several, sites = evaluate(latent_types, table, 3, n_types=1, endogenous_prompts=False)
    data, outcome = choice_data(table)
    point = {"z": sites["z"][0], "log_tie": sites["log_tie"], "log_both_bad": sites["log_both_bad"]}
    assert several == pytest.approx(float(log_density(single, (data, outcome), {}, point)[0]), rel=1e-12)


def test_linear_types_is_a_mixture_of_linear_rewards():
    raw = random_table(5, outcomes=(0, 1, 2))
    options = {"n_types": 2, "reward_scale": 1.3, "weight_concentration": 2.0}
    value, sites = evaluate(linear_types, as_table(raw), 4, **options)
    coefficient = sites["coefficient"]
    assert coefficient.shape == (2, 2)
    per_row = np.stack(
        [row_log_prob(raw, np.tile(FEATURES @ w, (STATES, 1)), sites["log_tie"], 0.0) for w in coefficient]
    )
    asked = {(s, min(a, b), max(a, b)) for s, a, b in zip(raw["state"], raw["item_a"], raw["item_b"], strict=True)}
    contrast = np.array([FEATURES[a] - FEATURES[b] for _, a, b in asked])
    spread = np.sqrt(np.mean(contrast**2, axis=0))
    # the density of z, whose coefficient per standard deviation of the attribute difference it is
    expected = stats.norm(0, 1.3).logpdf(coefficient * spread).sum()
    expected += dirichlet_term(sites["type_weight"], 2.0) + tie_terms(raw, sites, 1.5, 1.5)
    expected += marginal(raw, per_row, sites["type_weight"], raw["annotator"].tolist())
    assert value == pytest.approx(expected, rel=1e-11)
    centred = coefficient @ (FEATURES - FEATURES.mean(0)).T
    np.testing.assert_allclose(sites["reward"], np.tile(centred, (STATES, 1, 1)), atol=1e-12)


def test_linear_types_prior_does_not_depend_on_units_of_measurement():
    raw = random_table(6, outcomes=(0, 1))
    value, sites = evaluate(linear_types, as_table(raw), 5)
    table = as_table(raw)
    scaled = from_codes(
        *(np.asarray(getattr(table, name)) for name in ("item_a", "item_b", "outcome")),
        items=table.items,
        state=table.state,
        states=table.states,
        annotator=table.annotator,
        annotators=table.annotators,
        weight=table.weight,
        features=FEATURES * [1000.0, 0.01],
        feature_names=("f", "g"),
    )
    again, others = evaluate(linear_types, scaled, 5)
    assert again == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(others["coefficient"] * [1000.0, 0.01], sites["coefficient"], rtol=1e-11)


def test_observed_types_factor_into_one_fit_per_context():
    """Joint with observed types = sum of the single-type joints of each context + type weights + prompts."""
    raw = random_table(7, outcomes=(0, 1), only_context=False)
    value, sites = evaluate(latent_types, as_table(raw), 6, group_by_context=True, types_observed=True)
    expected = dirichlet_term(sites["type_weight"], 5.0) + sum(dirichlet_term(p, 1.0) for p in sites["prompt_prob"])
    for context in range(CONTEXTS):
        mine = raw["context"] == context
        part = {name: column[mine] for name, column in raw.items()}
        data, outcome = choice_data(as_table(part))
        expected += float(log_density(single, (data, outcome), {}, {"z": jnp.asarray(sites["z"][context])})[0])
        expected += np.sum(part["weight"] * np.log(sites["prompt_prob"])[context, part["state"]])
        expected += len(set(part["annotator"].tolist())) * np.log(sites["type_weight"][context])
    assert value == pytest.approx(expected, rel=1e-11)


def test_pooled_states_have_no_prompt_model():
    _, sites = evaluate(latent_types, as_table(random_table(8)).pool("state"), 7)
    assert "prompt_prob" not in sites


def test_observed_types_need_one_type_a_context():
    data, outcome = choice_data(as_table(random_table(0)), group_by_context=True)
    with pytest.raises(ModelError, match="2 contexts, 3 types"):
        handlers.trace(handlers.seed(latent_types, 0)).get_trace(data, outcome, n_types=3, types_observed=True)


def test_linear_types_without_features_is_an_error():
    data, outcome = choice_data(as_table(random_table(0), features=False))
    with pytest.raises(ModelError, match="features"):
        handlers.trace(handlers.seed(linear_types, 0)).get_trace(data, outcome)


def test_a_feature_that_never_differs_is_an_error_as_documented():
    constant = np.column_stack([FEATURES[:, 0], np.full(ITEMS, 2.0)])
    raw = random_table(0)
    table = from_codes(
        raw["item_a"],
        raw["item_b"],
        raw["outcome"],
        items=[f"i{i}" for i in range(ITEMS)],
        annotator=raw["annotator"],
        annotators=[f"u{i}" for i in range(PEOPLE)],
        features=constant,
        feature_names=("f", "constant"),
    )
    data, outcome = choice_data(table)
    with pytest.raises(ModelError, match="feature"):
        handlers.trace(handlers.seed(linear_types, 0)).get_trace(data, outcome)


def test_models_are_found_by_name():
    assert {"single": single, "latent_types": latent_types, "linear_types": linear_types}.items() <= MODELS.items()
