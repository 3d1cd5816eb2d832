"""Options every model takes, against enumeration and quadrature written out row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy.special import log_expit, logsumexp
from scipy.stats import norm

from bayespref import workflow
from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.errors import ModelError
from bayespref.fit.density import expected_counts, make_density, responsibilities
from bayespref.fit.evaluate import annotator_values, mean_expected_counts
from bayespref.models import latent_traits, latent_types, linear_types, pooled_types, single
from bayespref.models.terms import hermite_nodes, rao_kupper_log_prob
from bayespref.posterior.store import load_fit, save_fit

ITEMS, STATES, PEOPLE = 3, 2, 5
GRID = np.linspace(-9, 9, 2401)
MODELS = (single, latent_types, linear_types, pooled_types, latent_traits)


def rows_of(seed, *, outcomes=(0, 1), rows=24, positions=True):
    """Random rows; contexts and environments belong to the annotator."""
    rng = np.random.default_rng(seed)
    item_a = rng.integers(0, ITEMS, rows)
    annotator = np.r_[np.arange(PEOPLE), rng.integers(0, PEOPLE, rows - PEOPLE)]
    return {
        "item_a": item_a,
        "item_b": (item_a + rng.integers(1, ITEMS, rows)) % ITEMS,
        "outcome": np.resize(outcomes, rows)[rng.permutation(rows)],
        "state": rng.integers(0, STATES, rows),
        "annotator": annotator,
        "context": np.array([0, 1, 1, 0, 2])[annotator],
        "environment": np.array([0, 0, 1, 1, 1])[annotator],
        "position": rng.choice([-1, 0, 1], rows) if positions else np.zeros(rows, int),
    }


def as_table(rows, *columns, **more):
    """Comparisons with the named optional columns."""
    known = {
        "context": {"context": rows["context"], "contexts": ("c0", "c1", "c2")},
        "environment": {"environment": rows["environment"], "environments": ("e0", "e1")},
        "position": {"position": rows["position"]},
    }
    extra = {key: value for name in columns for key, value in known[name].items()}
    return from_codes(
        rows["item_a"],
        rows["item_b"],
        rows["outcome"],
        items=("x", "y", "z"),
        state=rows["state"],
        states=("p", "q"),
        annotator=rows["annotator"],
        annotators=tuple("uvwab"),
        **extra | more,
    )


def evaluate(model, table, point, *, group_by_context=False, **options):
    """Marginal log-likelihood at a point, and the trace."""
    data, outcome = choice_data(table, group_by_context=group_by_context)
    fixed = {name: jnp.asarray(value) for name, value in point.items()}
    seeded = handlers.seed(handlers.substitute(model, data=fixed), jax.random.key(0))
    trace = handlers.trace(seeded).get_trace(data, outcome, **options)
    sampled = {name for name, site in trace.items() if site["type"] == "sample" and name != "annotator_log_lik"}
    assert sampled == set(point), "the oracle and the model disagree on what is a parameter"
    site = trace["annotator_log_lik"]
    return float(site["fn"].log_prob(site["value"]).sum()), trace


def point_of(seed, n_types):
    """Coordinates of latent_types, and what they stand for."""
    rng = np.random.default_rng([seed, 1])
    z = rng.normal(size=(n_types, STATES, ITEMS - 1))
    prompt = rng.normal(size=(n_types, STATES - 1))
    weight = rng.normal(size=n_types - 1)
    point = {"z": z, "prompt_logit": prompt, "type_logit": weight}
    return point, z @ zero_sum_basis(ITEMS).T, log_softmax(prompt), log_softmax(weight)


def log_softmax(coordinates):
    values = coordinates @ zero_sum_basis(coordinates.shape[-1] + 1).T
    return values - logsumexp(values, axis=-1, keepdims=True)


def rao_kupper(reward_a, reward_b, theta):
    """P(a), P(b), P(tie) by worths (Rao & Kupper 1967, eq. 2.1): p_a / (p_a + eta p_b) and so on."""
    p_a, p_b, eta = np.exp(reward_a), np.exp(reward_b), np.exp(theta)
    a, b = p_a / (p_a + eta * p_b), p_b / (p_b + eta * p_a)
    return {0: a, 1: b, 2: 1 - a - b}


def by_annotator(rows, log_p):
    """Sum of log-probabilities over the rows of each annotator; log_p has rows on its last axis."""
    return np.stack([log_p[..., rows["annotator"] == u].sum(-1) for u in range(PEOPLE)], axis=-1)


def differences(rows, reward):
    """r(a) - r(b) for each row; reward (..., state, item)."""
    return reward[..., rows["state"], rows["item_a"]] - reward[..., rows["state"], rows["item_b"]]


def binary(rows, difference):
    return log_expit(np.where(rows["outcome"] == 0, difference, -difference))


# Ties


@pytest.mark.parametrize("theta", [0.05, 0.7, 3.0])
def test_rao_kupper_is_a_win_by_a_margin_and_a_tie_otherwise(theta):
    d = np.linspace(-4, 4, 17)
    found = np.exp(rao_kupper_log_prob(jnp.asarray(d), (0, 1, 2), threshold=theta))
    expected = rao_kupper(d, 0.0, theta)
    np.testing.assert_allclose(found, np.stack([expected[code] for code in (0, 1, 2)], -1), rtol=1e-10)


def test_rao_kupper_stays_finite_far_out():
    found = rao_kupper_log_prob(jnp.array([-900.0, 0.0, 900.0]), (0, 1, 2, 3), threshold=1e-9, log_both_bad=-2.0)
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(np.exp(found).sum(-1), 1.0, rtol=1e-12)


def test_both_bad_is_as_likely_with_a_margin_as_without_ties():
    d, bad = np.linspace(-3, 3, 7), 0.4
    found = np.exp(rao_kupper_log_prob(jnp.asarray(d), (0, 1, 2, 3), threshold=0.8, log_both_bad=bad))
    both_bad = np.exp(bad) / (np.exp(bad) + np.exp(d / 2) + np.exp(-d / 2))
    np.testing.assert_allclose(found[:, 3], both_bad, rtol=1e-12)
    margin = rao_kupper(d, 0.0, 0.8)
    for code in (0, 1, 2):
        np.testing.assert_allclose(found[:, code] / (1 - both_bad), margin[code], rtol=1e-11)


def test_ties_without_a_model_of_ties_are_refused_with_the_way_out():
    table = as_table(rows_of(0, outcomes=(0, 1, 2)))
    for model in (single, latent_types, pooled_types, latent_traits):
        with pytest.raises(ModelError, match="ties=None models none; choose ties='davidson' or 'rao_kupper'"):
            evaluate(model, table, {}, ties=None)


def test_without_ties_in_the_table_the_model_of_ties_changes_nothing():
    table, (point, *_) = as_table(rows_of(1)), point_of(1, 2)
    values = {ties: evaluate(latent_types, table, point, ties=ties)[0] for ties in ("davidson", "rao_kupper", None)}
    assert len(set(values.values())) == 1


# Everything at once, types enumerated


@pytest.mark.parametrize("seed", range(3))
def test_margin_position_and_decisiveness_by_type_enumerate(seed):
    rows = rows_of(seed, outcomes=(0, 1, 2, 3))
    point, reward, log_prompt, log_weight = point_of(seed, 2)
    theta, bad, beta, log_kappa = 0.6, -0.3, 0.45, np.array([0.4, -0.7])
    point |= {"tie_threshold": theta, "log_both_bad": bad, "position_effect": beta, "log_decisiveness": log_kappa}
    total = 0.0
    for u in range(PEOPLE):
        likelihood = np.exp(log_weight)
        for i in np.flatnonzero(rows["annotator"] == u):
            for k in range(2):
                r = np.exp(log_kappa[k]) * reward[k, rows["state"][i]]
                d = r[rows["item_a"][i]] - r[rows["item_b"][i]] + beta * rows["position"][i]
                both_bad = np.exp(bad) / (np.exp(bad) + 2 * np.cosh(d / 2))
                p = {code: (1 - both_bad) * value for code, value in rao_kupper(d, 0.0, theta).items()} | {3: both_bad}
                likelihood[k] *= p[rows["outcome"][i]] * np.exp(log_prompt[k, rows["state"][i]])
        total += np.log(likelihood.sum())
    found, trace = evaluate(
        latent_types,
        as_table(rows, "position"),
        point,
        ties="rao_kupper",
        position_effect=True,
        decisiveness="type",
    )
    assert found == pytest.approx(total, rel=1e-10)
    np.testing.assert_allclose(trace["type_decisiveness"]["value"], np.exp(log_kappa))


def test_swapping_sides_with_positions_and_outcomes_changes_nothing():
    rows, (point, *_) = rows_of(4), point_of(4, 2)
    swapped = rows | {
        "item_a": rows["item_b"],
        "item_b": rows["item_a"],
        "outcome": 1 - rows["outcome"],
        "position": -rows["position"],
    }
    point |= {"position_effect": 0.8}
    before, after = (
        evaluate(latent_types, as_table(r, "position"), point, position_effect=True)[0] for r in (rows, swapped)
    )
    assert after == pytest.approx(before, rel=1e-12)
    assert before != pytest.approx(
        evaluate(latent_types, as_table(rows, "position"), point | {"position_effect": 0.0}, position_effect=True)[0],
        rel=1e-3,
    )


def test_a_position_effect_without_positions_names_the_column():
    for table in (as_table(rows_of(0)), as_table(rows_of(0, positions=False), "position")):
        with pytest.raises(ModelError, match=r"^position: position_effect needs the order shown"):
            evaluate(single, table, {}, position_effect=True)


# Decisiveness of annotators


def annotator_decisiveness(rows, reward, log_prompt, log_weight, spread):
    """Integrate log-decisiveness of each annotator on a fine grid, types enumerated."""
    kappa = np.exp(spread * GRID)[:, None]
    per_type = [
        by_annotator(rows, binary(rows, kappa * differences(rows, reward[k])) + log_prompt[k, rows["state"]])
        for k in range(len(reward))
    ]
    joint = np.stack(per_type) + log_weight[:, None, None] + norm.logpdf(GRID)[:, None] + np.log(GRID[1] - GRID[0])
    return logsumexp(joint, axis=(0, 1)), joint


@pytest.mark.parametrize("seed", range(2))
def test_decisiveness_of_annotators_is_integrated_out(seed):
    rows = rows_of(seed, rows=30)
    point, reward, log_prompt, log_weight = point_of(seed, 2)
    spread = 0.8
    exact = annotator_decisiveness(rows, reward, log_prompt, log_weight, spread)[0].sum()
    point |= {"decisiveness_spread": spread}
    error = [
        abs(evaluate(latent_types, as_table(rows), point, decisiveness="annotator", n_nodes=n)[0] - exact)
        for n in (3, 9, 40)
    ]
    assert error[2] < 1e-6
    assert error[1] < 1e-2  # nats, five annotators: what the default number of nodes costs at a wide spread
    assert error[0] > error[1] > error[2]


def test_one_node_is_no_decisiveness_at_all():
    table, (point, *_) = as_table(rows_of(3)), point_of(3, 2)
    plain = evaluate(latent_types, table, point)[0]
    one = evaluate(latent_types, table, point | {"decisiveness_spread": 0.9}, decisiveness="annotator", n_nodes=1)[0]
    assert one == pytest.approx(plain, rel=1e-12)


@pytest.fixture(scope="module")
def split_types():
    """Density of two types, each split into 60 classes, at one point, with its exact integral on a grid."""
    rows = rows_of(7, rows=40)
    point, reward, log_prompt, log_weight = point_of(7, 2)
    data, outcome = choice_data(as_table(rows))
    density = make_density(latent_types, data, {"decisiveness": "annotator", "n_nodes": 60})
    sites = point | {"decisiveness_spread": np.log(0.8)}
    flat = np.concatenate([np.ravel(sites[name]) for name in sorted(sites)])
    exact = annotator_decisiveness(rows, reward, log_prompt, log_weight, 0.8)[1]
    return rows, data, outcome, density, flat, exact


def test_classes_fold_into_types(split_types):
    _, data, outcome, density, flat, exact = split_types
    joint = density.unit_log_joint(jnp.asarray(flat), data, outcome)
    assert joint.shape == (PEOPLE, 120)
    folded = np.asarray(density.by_type(responsibilities(joint)))
    expected = np.exp(logsumexp(exact, axis=1) - logsumexp(exact, axis=(0, 1))).T
    np.testing.assert_allclose(folded, expected, atol=1e-6)
    counts = mean_expected_counts(density, flat[None], np.array([[1, 0]]), data, outcome)
    by_hand = expected_counts(jnp.asarray(expected[:, [1, 0]]), data, outcome, 2)[0]
    assert counts.shape == (2, data.n_questions, 2)
    np.testing.assert_allclose(counts, by_hand, atol=1e-5)


def test_an_annotators_decisiveness_is_the_mean_over_nodes(split_types):
    _, data, outcome, density, flat, exact = split_types
    found = annotator_values(density, np.stack([flat, flat]), data, outcome, flat)
    weight = np.exp(logsumexp(exact, axis=0) - logsumexp(exact, axis=(0, 1)))
    mean = (weight * 0.8 * GRID[:, None]).sum(0)
    sd = np.sqrt((weight * (0.8 * GRID[:, None]) ** 2).sum(0) - mean**2)
    np.testing.assert_allclose(found.log_decisiveness, np.stack([mean, sd], -1), atol=1e-5)
    assert found.trait is None


def test_the_only_types_decisiveness_is_refused():
    for model in (single, latent_traits):
        with pytest.raises(ModelError, match="decisiveness"):
            evaluate(model, as_table(rows_of(0)), {}, decisiveness="type")


# Mixes by context and environment


def mixture(rows, reward, log_prompt, log_weight):
    """log_weight (annotator, type), log_prompt (row, type)."""
    per_type = np.stack(
        [by_annotator(rows, binary(rows, differences(rows, reward[k])) + log_prompt[:, k]) for k in range(len(reward))],
        axis=-1,
    )
    return logsumexp(per_type + log_weight, axis=1).sum()


@pytest.mark.parametrize("column", ["context", "environment"])
@pytest.mark.parametrize("together", [False, True])
def test_mixes_of_types_by_context_or_environment_enumerate(column, together):
    rows = rows_of(11)
    point, reward, log_prompt, _ = point_of(11, 3)
    size = {"context": 3, "environment": 2}[column]
    shift = np.random.default_rng(3).normal(size=(size, 2))
    log_weight = log_softmax(point["type_logit"] + shift)
    of_annotator = np.array([rows[column][rows["annotator"] == u][0] for u in range(PEOPLE)])
    expected = mixture(rows, reward, log_prompt.T[rows["state"]], log_weight[of_annotator])
    table = as_table(rows, *(("context", "environment") if together else (column,)))
    found, trace = evaluate(
        latent_types, table, point | {"type_logit_shift": shift}, n_types=3, type_weights=f"by_{column}"
    )
    assert found == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(trace[f"type_weight_by_{column}"]["value"], np.exp(log_weight), rtol=1e-12)
    np.testing.assert_allclose(trace["type_weight"]["value"], np.exp(log_weight)[of_annotator].mean(0), rtol=1e-12)


def test_prompts_by_environment_enumerate_and_rewards_stay_shared():
    rows = rows_of(12)
    point, reward, _, log_weight = point_of(12, 2)
    shift = np.random.default_rng(4).normal(size=(2, 2, STATES - 1))
    log_prompt = log_softmax(point["prompt_logit"] + shift)
    of_row = log_prompt[rows["environment"], :, rows["state"]]
    expected = mixture(rows, reward, of_row, log_weight[None])
    found, trace = evaluate(
        latent_types,
        as_table(rows, "environment"),
        point | {"prompt_logit_shift": shift},
        prompts_by_environment=True,
    )
    assert found == pytest.approx(expected, rel=1e-11)
    share = np.bincount(rows["environment"]) / len(rows["environment"])
    np.testing.assert_allclose(
        trace["prompt_prob"]["value"], np.tensordot(share, np.exp(log_prompt), axes=1), rtol=1e-12
    )


def test_columns_that_no_option_uses_change_nothing():
    rows, (point, *_) = rows_of(13), point_of(13, 2)
    plain = evaluate(latent_types, as_table(rows), point)[0]
    with_columns = evaluate(latent_types, as_table(rows, "context", "environment", "position"), point)[0]
    assert with_columns == pytest.approx(plain, rel=1e-12)


def test_mixes_that_the_table_cannot_give_are_refused():
    rows = rows_of(14)
    mixed = rows | {"context": np.arange(len(rows["context"])) % 3}
    cases = [
        (as_table(rows), {"type_weights": "by_context"}, "no annotators or no such column"),
        (as_table(mixed, "context"), {"type_weights": "by_context"}, "annotators with several"),
        (as_table(rows), {"type_weights": "by_environment"}, "environment: "),
        (as_table(rows), {"prompts_by_environment": True}, "environment: prompts_by_environment"),
        (as_table(rows, "context"), {"type_weights": "by_context", "n_types": 1}, "several latent types"),
        (as_table(rows, "context").pool("annotator"), {"type_weights": "by_context"}, "no annotators"),
    ]
    for table, options, words in cases:
        with pytest.raises(ModelError, match=words):
            evaluate(latent_types, table, {}, **options)
    with pytest.raises(ModelError, match="several latent types"):
        evaluate(
            latent_types,
            as_table(rows, "context"),
            {},
            group_by_context=True,
            types_observed=True,
            n_types=3,
            type_weights="by_context",
        )


@pytest.mark.parametrize("option", [{"ties": "half"}, {"decisiveness": "row"}])
def test_unknown_names_are_refused_with_the_known_ones(option):
    with pytest.raises(ValueError, match=r"must be one of \["):
        evaluate(single, as_table(rows_of(0)), {}, **option)


# Simulation


def simulated(model, point, draws=20_000, *, rows=None, **options):
    """Outcomes drawn at fixed parameters, shape (draw, record)."""
    table = as_table(rows, "position") if rows is not None else one_pair(options.pop("outcomes", (0, 1)))
    data, _ = choice_data(table)
    fixed = {name: jnp.asarray(value) for name, value in point.items()}

    def once(key):
        substituted = handlers.seed(handlers.substitute(model, data=fixed), key)
        return handlers.trace(substituted).get_trace(data, None, **options)["outcome"]["value"]

    return data, np.asarray(jax.vmap(once)(jax.random.split(jax.random.key(1), draws)))


def one_pair(outcomes):
    """One annotator, one pair of two items, shown both ways round; the outcomes that may happen."""
    n = max(len(outcomes), 2)
    return from_codes(
        np.zeros(n, int),
        np.ones(n, int),
        np.resize(outcomes, n),
        items=("x", "y"),
        annotator=np.arange(n),
        annotators=tuple(f"u{i}" for i in range(n)),
        position=np.resize([1, -1], n),
    )


def within(found, probability, draws=20_000):
    assert np.all(np.abs(found - probability) < 5 * np.sqrt(probability * (1 - probability) / draws)), (
        found,
        probability,
    )


def test_simulated_ties_have_the_margins_frequency():
    z = np.array([[np.sqrt(2) * 0.35]])
    point = {"z": z, "tie_threshold": 0.5, "position_effect": 0.3}
    data, drawn = simulated(single, point, outcomes=(0, 1, 2), ties="rao_kupper", position_effect=True)
    for i, question in enumerate(np.asarray(data.question)):
        p = rao_kupper(0.7 + 0.3 * float(data.first[question]), 0.0, 0.5)
        for column, code in enumerate(data.outcomes):
            within((drawn[:, i] == column).mean(), p[code])


def test_simulated_annotators_differ_in_decisiveness():
    z, spread = np.array([[np.sqrt(2) * 1.5]]), 0.9
    point = {"z": z, "decisiveness_spread": spread}
    _, drawn = simulated(single, point, decisiveness="annotator", n_nodes=30)
    p = np.trapezoid(norm.pdf(GRID) / (1 + np.exp(-3.0 * np.exp(spread * GRID))), GRID)
    within((drawn[:, 0] == 0).mean(), p)


@pytest.mark.parametrize("model", [single, latent_types, pooled_types, latent_traits])
def test_every_model_simulates_all_its_options(model):
    options = {"ties": "rao_kupper", "position_effect": True, "decisiveness": "annotator"}
    table = one_pair((0, 1, 2, 3))
    data, _ = choice_data(table)
    for seed in range(3):
        seeded = handlers.seed(model, jax.random.key(seed))
        drawn = np.asarray(handlers.trace(seeded).get_trace(data, None, **options)["outcome"]["value"])
        assert drawn.shape == (data.unit.shape[0],)
        assert set(drawn.tolist()) <= {0, 1, 2, 3}


# Nodes


def test_nodes_integrate_normal_moments():
    nodes = hermite_nodes(6, 2)
    weight = np.exp(nodes.log_weight)
    assert nodes.value.shape == (36, 2)
    np.testing.assert_allclose(weight.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(weight @ (nodes.value[:, 0] ** 4 * nodes.value[:, 1] ** 2), 3.0, rtol=1e-11)
    for n in (0, 151):
        with pytest.raises(ModelError, match="n_nodes"):
            hermite_nodes(n)


# The whole road


def decisive_people(seed, *, people=80, labels=30):
    """Annotators of one taste, half of them careless, shown item_a first or second; wins need a margin."""
    rng = np.random.default_rng(seed)
    reward = np.array([1.2, 0.4, -0.4, -1.2])
    kappa = np.where(np.arange(people) % 2, 0.25, 1.75)
    annotator = np.repeat(np.arange(people), labels)
    item_a = rng.integers(0, 4, people * labels)
    item_b = (item_a + rng.integers(1, 4, people * labels)) % 4
    position = rng.choice([-1, 1], people * labels)
    d = kappa[annotator] * (reward[item_a] - reward[item_b]) + 0.5 * position
    uniform, theta = rng.random(people * labels), 0.4
    p_a, p_b = 1 / (1 + np.exp(theta - d)), 1 / (1 + np.exp(theta + d))
    table = from_codes(
        item_a,
        item_b,
        np.where(uniform < p_a, 0, np.where(uniform < p_a + p_b, 1, 2)),
        items=tuple("wxyz"),
        annotator=annotator,
        annotators=tuple(f"u{i}" for i in range(people)),
        position=position,
    )
    return table, kappa, theta


@pytest.mark.slow
def test_options_fit_save_load_and_recover_what_they_model(tmp_path):
    table, kappa, theta = decisive_people(0)
    options = {"ties": "rao_kupper", "position_effect": True, "decisiveness": "annotator"}
    tree = workflow.fit(
        "single", table, rng_key=0, options=options, chains=2, warmup=150, draws=300, n_starts=3, progress=False
    )
    again = load_fit(save_fit(tree, tmp_path / "fit.nc"))
    assert again["posterior"].to_dataset().identical(tree["posterior"].to_dataset())
    posterior = tree["posterior"]
    for name, truth in (("position_effect", 0.5), ("tie_threshold", theta)):
        draws = posterior[name].values
        assert abs(draws.mean() - truth) < 4 * draws.std()
    assert float(posterior["decisiveness_spread"].quantile(0.01)) > 0.3
    assert tree["fit"]["expected_count"].shape[0] == 1
    assert float(tree["fit"]["expected_count"].sum()) == pytest.approx(table.n_rows)
    data, outcome = choice_data(table)
    model_options = {"n_nodes": 9} | options
    density = make_density(single, data, model_options)
    flat = tree["unconstrained_posterior"]["flat"].values.reshape(600, -1)[::20]
    mean = annotator_values(density, flat, data, outcome, flat[0]).log_decisiveness[:, 0]
    assert np.mean((mean > np.median(mean)) == (kappa > 1)) > 0.9
