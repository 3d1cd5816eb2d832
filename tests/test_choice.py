"""Choice probabilities, the zero-sum Dirichlet and the table-form likelihood against closed forms and enumeration."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpyro import handlers
from scipy import stats

from bayespref.choice import (
    ZeroSumDirichlet,
    choice_data,
    log_probabilities,
    outcome_log_prob,
    record_likelihood,
    zero_sum_basis,
)
from bayespref.comparisons import from_codes
from bayespref.errors import TableError

ITEMS, STATES, PEOPLE, CONTEXTS, TYPES = 3, 2, 4, 2, 2


def names(prefix, n):
    return tuple(f"{prefix}{i}" for i in range(n))


def random_rows(seed, *, rows=11, outcomes=(0, 1, 2, 3), integer_weights=True):
    rng = np.random.default_rng(seed)
    item_a = rng.integers(0, ITEMS, rows)
    weight = rng.integers(1, 4, rows).astype(float) if integer_weights else rng.uniform(0.2, 3.0, rows)
    return {
        "item_a": item_a,
        "item_b": (item_a + rng.integers(1, ITEMS, rows)) % ITEMS,
        "outcome": rng.choice(outcomes, rows),
        "state": rng.integers(0, STATES, rows),
        "annotator": np.r_[np.arange(PEOPLE), rng.integers(0, PEOPLE, rows - PEOPLE)],
        "context": rng.integers(0, CONTEXTS, rows),
        "weight": weight,
    }


def as_table(rows, *, annotators=True):
    who = {"annotator": rows["annotator"], "annotators": names("u", PEOPLE)} if annotators else {}
    return from_codes(
        rows["item_a"],
        rows["item_b"],
        rows["outcome"],
        items=names("i", ITEMS),
        state=rows["state"],
        states=names("s", STATES),
        weight=rows["weight"],
        context=rows["context"],
        contexts=names("c", CONTEXTS),
        **who,
    )


def random_parameters(seed):
    rng = np.random.default_rng([seed, 7])
    return {
        "reward": rng.normal(0, 1.2, (TYPES, STATES, ITEMS)),
        "weight": rng.dirichlet(np.full(TYPES, 2.0)),
        "prompt": rng.dirichlet(np.full(STATES, 2.0), TYPES),
        "log_tie": rng.normal(),
        "log_bad": rng.normal(),
    }


def choice_probability(reward_a, reward_b, outcome, allowed, log_tie, log_bad):
    """Probability of one outcome by worths: p_a, p_b, nu sqrt(p_a p_b), beta sqrt(p_a p_b), normalised."""
    worth_a, worth_b = np.exp(reward_a), np.exp(reward_b)
    middle = np.sqrt(worth_a * worth_b)
    mass = {0: worth_a, 1: worth_b, 2: np.exp(log_tie) * middle, 3: np.exp(log_bad) * middle}
    return mass[outcome] / sum(mass[code] for code in allowed)


def enumerated_log_likelihood(rows, par, *, types_of_contexts=False, annotators=True):
    """Log of the sum, over every assignment of types to all units, of the probability of all rows together."""
    allowed = sorted({0, 1, *rows["outcome"].tolist()})
    total, n = 0.0, len(rows["item_a"])
    if annotators and types_of_contexts:
        unit = list(zip(rows["annotator"], rows["context"], strict=True))
    elif annotators:
        unit = list(rows["annotator"])
    else:
        unit = list(range(n))
    distinct = sorted(set(unit))
    for kinds in product(range(TYPES), repeat=len(distinct)):
        kind_of = dict(zip(distinct, kinds, strict=True))
        if types_of_contexts and any(kind_of[u] != u[1] for u in distinct):
            continue
        probability = np.prod([par["weight"][kind] for kind in kinds])
        for i in range(n):
            kind = kind_of[unit[i]]
            state = rows["state"][i]
            reward = par["reward"][kind, state]
            one = par["prompt"][kind, state] * choice_probability(
                reward[rows["item_a"][i]],
                reward[rows["item_b"][i]],
                rows["outcome"][i],
                allowed,
                par["log_tie"],
                par["log_bad"],
            )
            probability *= one ** rows["weight"][i]
        total += probability
    return np.log(total)


def package_log_likelihood(table, par, *, types_of_contexts=False):
    """The package's marginal log-likelihood at given parameters."""
    data, outcome = choice_data(table, group_by_context=types_of_contexts)
    reward = jnp.asarray(par["reward"])
    difference = reward[:, data.state, data.item_a] - reward[:, data.state, data.item_b]
    table_ = outcome_log_prob(difference, data.outcomes, log_tie=par["log_tie"], log_both_bad=par["log_bad"])
    table_ = table_ + jnp.log(par["prompt"])[:, data.state, None]
    by_group = jnp.broadcast_to(jnp.log(par["weight"]), (data.n_groups, TYPES))
    if types_of_contexts:
        by_group = jnp.where(jnp.eye(TYPES, dtype=bool), by_group, -1e9)
    with handlers.trace() as trace:
        record_likelihood(table_, by_group, data, outcome)
    site = trace["annotator_log_lik"]
    return float(site["fn"].log_prob(site["value"]).sum())


# Outcome probabilities


@pytest.mark.parametrize("difference", [-30.0, -2.0, -0.1, 0.0, 0.7, 5.0, 40.0])
def test_two_outcomes_are_the_logistic_of_the_difference(difference):
    log_p = np.asarray(outcome_log_prob(jnp.array([difference]), (0, 1)))[0]
    np.testing.assert_allclose(
        log_p, [-np.logaddexp(0, -difference), -np.logaddexp(0, difference)], rtol=1e-13, atol=1e-15
    )


def test_davidson_tie_probability_is_nu_times_the_geometric_mean():
    rng = np.random.default_rng(0)
    reward_a, reward_b, log_nu = rng.normal(0, 2, (3, 50))
    p_a, p_b, nu = np.exp(reward_a), np.exp(reward_b), np.exp(log_nu)
    normaliser = p_a + p_b + nu * np.sqrt(p_a * p_b)
    expected = np.stack([p_a, p_b, nu * np.sqrt(p_a * p_b)], -1) / normaliser[:, None]
    found = np.stack(
        [
            np.exp(outcome_log_prob(jnp.asarray(a - b), (0, 1, 2), log_tie=t))
            for a, b, t in zip(reward_a, reward_b, log_nu, strict=True)
        ]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_both_bad_odds_against_a_tie_do_not_depend_on_rewards():
    p = np.exp(outcome_log_prob(jnp.linspace(-6, 6, 13), (0, 1, 2, 3), log_tie=0.4, log_both_bad=-1.1))
    np.testing.assert_allclose(p.sum(-1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(p[:, 3] / p[:, 2], np.exp(-1.5), rtol=1e-12)
    for d, row in zip(np.linspace(-6, 6, 13), p, strict=True):
        np.testing.assert_allclose(row[3], choice_probability(d, 0.0, 3, (0, 1, 2, 3), 0.4, -1.1), rtol=1e-12)


def test_columns_follow_the_order_of_the_outcomes_asked_for():
    with_bad = np.exp(outcome_log_prob(jnp.array([1.0]), (0, 1, 3), log_tie=99.0, log_both_bad=0.3))[0]
    expected = [choice_probability(1.0, 0.0, code, (0, 1, 3), 0.0, 0.3) for code in (0, 1, 3)]
    np.testing.assert_allclose(with_bad, expected, rtol=1e-12)


# The sum-to-zero basis and the Dirichlet on it


@pytest.mark.parametrize("n", [1, 2, 3, 4, 17])
def test_basis_is_orthonormal_and_sums_to_zero(n):
    basis = zero_sum_basis(n)
    assert basis.shape == (n, n - 1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(n - 1), atol=1e-13)
    np.testing.assert_allclose(basis.sum(0), 0.0, atol=1e-13)


def softmax(values):
    shifted = np.exp(values - values.max())
    return shifted / shifted.sum()


@pytest.mark.parametrize(("concentration", "size"), [(1.0, 2), (5.0, 2), (0.4, 3), (1.0, 4), (2.5, 5)])
def test_dirichlet_density_in_zero_sum_coordinates_is_scipys_times_the_jacobian(concentration, size):
    rng = np.random.default_rng(size)
    basis = zero_sum_basis(size)
    law = ZeroSumDirichlet(concentration, size)
    for y in rng.normal(0, 1.0, (5, size - 1)):
        p = softmax(basis @ y)
        step = 1e-5
        columns = [
            (softmax(basis @ (y + step * e)) - softmax(basis @ (y - step * e)))[:-1] / (2 * step)
            for e in np.eye(size - 1)
        ]
        jacobian = np.linalg.slogdet(np.stack(columns, axis=1))[1]
        expected = stats.dirichlet(np.full(size, concentration)).logpdf(p) + jacobian
        assert float(law.log_prob(jnp.asarray(y))) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("concentration", [0.3, 1.0, 5.0])
def test_dirichlet_sampler_has_the_dirichlets_moments(concentration):
    size, draws = 4, 40_000
    coordinates = ZeroSumDirichlet(concentration, size).sample(jax.random.key(3), (draws,))
    assert coordinates.shape == (draws, size - 1)
    p = np.exp(np.asarray(log_probabilities(coordinates, size)))
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-12)
    variance = (1 / size) * (1 - 1 / size) / (size * concentration + 1)
    assert np.abs(p.mean(0) - 1 / size).max() < 5 * np.sqrt(variance / draws)
    squared = (p - 1 / size) ** 2
    assert np.abs(squared.mean(0) - variance).max() < 5 * squared.std() / np.sqrt(draws)
    product_ = (p[:, 0] - 1 / size) * (p[:, 1] - 1 / size)
    assert abs(product_.mean() + variance / (size - 1)) < 5 * product_.std() / np.sqrt(draws)
    beta = stats.beta(concentration, concentration * (size - 1))
    assert stats.kstest(p[:, 2], beta.cdf).pvalue > 1e-5


def test_dirichlet_sampler_agrees_with_its_density():
    """Mean of a test function under draws and under quadrature of the density, K = 2."""
    grid = np.linspace(-25, 25, 20_001)[:, None]
    law = ZeroSumDirichlet(0.7, 2)
    density = np.exp(np.asarray(law.log_prob(jnp.asarray(grid))))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=1e-6)
    draws = np.asarray(law.sample(jax.random.key(0), (40_000,)))[:, 0]
    exact = np.trapezoid(density * grid[:, 0] ** 2, grid[:, 0])
    assert np.mean(draws**2) == pytest.approx(exact, abs=5 * np.std(draws**2) / 200)


# The marginal likelihood


@pytest.mark.parametrize("seed", range(6))
def test_marginal_likelihood_is_the_sum_over_all_types_of_all_annotators(seed):
    rows, par = random_rows(seed, outcomes=(0, 1, 2, 3) if seed % 2 else (0, 1, 2)), random_parameters(seed)
    found = package_log_likelihood(as_table(rows), par)
    assert found == pytest.approx(enumerated_log_likelihood(rows, par), rel=1e-11)


def test_marginal_likelihood_takes_fractional_weights_as_powers():
    rows, par = random_rows(21, integer_weights=False), random_parameters(21)
    assert package_log_likelihood(as_table(rows), par) == pytest.approx(enumerated_log_likelihood(rows, par), rel=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_observed_types_leave_one_assignment(seed):
    rows, par = random_rows(seed, rows=9), random_parameters(seed)
    found = package_log_likelihood(as_table(rows), par, types_of_contexts=True)
    assert found == pytest.approx(enumerated_log_likelihood(rows, par, types_of_contexts=True), rel=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_without_annotators_every_answer_has_a_type_of_its_own(seed):
    rows, par = random_rows(seed, rows=7), random_parameters(seed)
    whole = {name: np.repeat(value, rows["weight"].astype(int)) for name, value in rows.items()}
    whole["weight"] = np.ones(len(whole["item_a"]))
    expected = 0.0
    for i in range(len(whole["item_a"])):
        one = {name: value[i : i + 1] for name, value in whole.items()}
        allowed = sorted({0, 1, *whole["outcome"].tolist()})
        mixture = sum(
            par["weight"][k]
            * par["prompt"][k, one["state"][0]]
            * choice_probability(
                par["reward"][k, one["state"][0], one["item_a"][0]],
                par["reward"][k, one["state"][0], one["item_b"][0]],
                one["outcome"][0],
                allowed,
                par["log_tie"],
                par["log_bad"],
            )
            for k in range(TYPES)
        )
        expected += np.log(mixture)
    assert package_log_likelihood(as_table(rows, annotators=False), par) == pytest.approx(expected, rel=1e-11)
    assert package_log_likelihood(as_table(whole, annotators=False), par) == pytest.approx(expected, rel=1e-11)


def test_one_type_an_annotator_differs_from_one_type_an_answer():
    rows, par = random_rows(5), random_parameters(5)
    together = package_log_likelihood(as_table(rows), par)
    apart = package_log_likelihood(as_table(rows, annotators=False), par)
    assert abs(together - apart) > 0.1


def reordered(rows, order):
    return {name: value[order] for name, value in rows.items()}


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.booleans())
def test_row_order_sides_and_split_weights_change_nothing(seed, annotators, by_context, fractional):
    rows, par = random_rows(seed, integer_weights=not fractional), random_parameters(seed)
    rng = np.random.default_rng([seed, 1])
    by_context = by_context and annotators
    before = package_log_likelihood(as_table(rows, annotators=annotators), par, types_of_contexts=by_context)
    swap = rng.random(len(rows["item_a"])) < 0.5
    mirrored = np.array([1, 0, 2, 3])
    changed = rows | {
        "item_a": np.where(swap, rows["item_b"], rows["item_a"]),
        "item_b": np.where(swap, rows["item_a"], rows["item_b"]),
        "outcome": np.where(swap, mirrored[rows["outcome"]], rows["outcome"]),
    }
    share = rng.uniform(0.1, 0.9, len(swap))
    split = {name: np.concatenate([value, value]) for name, value in changed.items()}
    split["weight"] = np.concatenate([changed["weight"] * share, changed["weight"] * (1 - share)])
    shuffled = reordered(split, rng.permutation(2 * len(swap)))
    after = package_log_likelihood(as_table(shuffled, annotators=annotators), par, types_of_contexts=by_context)
    assert after == pytest.approx(before, rel=1e-11)


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_relabelling_types_and_shifting_rewards_change_nothing(seed):
    rows, par = random_rows(seed), random_parameters(seed)
    shift = np.random.default_rng([seed, 2]).normal(0, 3, (TYPES, STATES, 1))
    relabelled = par | {
        "reward": (par["reward"] + shift)[::-1],
        "weight": par["weight"][::-1],
        "prompt": par["prompt"][::-1],
    }
    before, after = (package_log_likelihood(as_table(rows), p) for p in (par, relabelled))
    assert after == pytest.approx(before, rel=1e-11)


# How a table is arranged


def test_records_are_sorted_by_unit_and_carry_the_tables_weight():
    rows = random_rows(2)
    data, outcome = choice_data(as_table(rows))
    unit = np.asarray(data.unit)
    assert np.all(np.diff(unit) >= 0)
    assert data.n_units == len(set(rows["annotator"].tolist()))
    assert float(data.count.sum()) == pytest.approx(rows["weight"].sum())
    assert np.all(np.asarray(data.multiplicity) == 1)
    assert outcome.shape == data.count.shape
    alone, _ = choice_data(as_table(rows, annotators=False))
    assert float((alone.multiplicity).sum()) == pytest.approx(rows["weight"].sum())
    assert alone.unit.shape[0] == alone.n_units


def test_outcomes_the_table_never_has_are_not_allowed():
    data, _ = choice_data(as_table(random_rows(0, outcomes=(0,))))
    assert data.outcomes == (0, 1)
    data, outcome = choice_data(as_table(random_rows(0, outcomes=(0, 3))))
    assert data.outcomes == (0, 1, 3)
    assert set(np.asarray(outcome).tolist()) <= {0, 1, 2}


def test_rows_of_weight_zero_say_nothing():
    rows, par = random_rows(3), random_parameters(3)
    extra = {name: np.concatenate([value, value[:2]]) for name, value in rows.items()}
    extra["outcome"][-2:] = 2
    extra["weight"][-2:] = 0.0
    rows["outcome"][0] = extra["outcome"][0] = 2
    assert package_log_likelihood(as_table(extra), par) == pytest.approx(
        package_log_likelihood(as_table(rows), par), rel=1e-12
    )


def test_grouping_by_a_missing_context_is_an_error():
    table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"))
    with pytest.raises(TableError, match="context"):
        choice_data(table, group_by_context=True)


def test_a_table_without_records_has_the_same_questions():
    data, _ = choice_data(as_table(random_rows(4)))
    empty = data.without_records()
    assert (empty.n_questions, empty.n_units, empty.unit.shape[0]) == (data.n_questions, 0, 0)
