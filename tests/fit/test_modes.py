"""Modes by EM against log-posteriors written out in NumPy, finite differences and Zermelo's iteration."""

from itertools import permutations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special, stats

from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.em import ascend, em_climb, find_modes
from bayespref.models import latent_types, single

ITEMS, STATES, PEOPLE, LABELS, TYPES = 3, 2, 24, 8, 2
OPTIONS = {"n_types": TYPES, "reward_scale": 1.5, "weight_concentration": 2.0, "prompt_concentration": 1.0}


def raw_world(seed):
    """Two types with different rewards and different states asked about; some ties."""
    rng = np.random.default_rng(seed)
    reward = np.array([[[1.5, 0.0, -1.5], [0.0, 1.0, -1.0]], [[-1.0, -0.5, 1.5], [1.0, -2.0, 1.0]]])
    asks = np.array([[0.8, 0.2], [0.3, 0.7]])
    annotator = np.repeat(np.arange(PEOPLE), LABELS)
    kind = (annotator % 3 == 0).astype(int)
    state = (rng.random(len(annotator)) > asks[kind, 0]).astype(int)
    item_a = rng.integers(0, ITEMS, len(annotator))
    item_b = (item_a + rng.integers(1, ITEMS, len(annotator))) % ITEMS
    half = 0.5 * (reward[kind, state, item_a] - reward[kind, state, item_b])
    mass = np.stack([np.exp(half), np.exp(-half), np.full(len(half), 0.4)], axis=1)
    outcome = (rng.random((len(half), 1)) > np.cumsum(mass / mass.sum(1, keepdims=True), axis=1)).sum(1)
    return {"item_a": item_a, "item_b": item_b, "outcome": outcome, "state": state, "annotator": annotator}


def as_table(raw):
    return from_codes(
        raw["item_a"],
        raw["item_b"],
        raw["outcome"],
        items=[f"i{i}" for i in range(ITEMS)],
        state=raw["state"],
        states=[f"s{i}" for i in range(STATES)],
        annotator=raw["annotator"],
        annotators=[f"u{i}" for i in range(PEOPLE)],
    )


class Layout(NamedTuple):
    """Where each parameter stands among the flat coordinates, read from their names."""

    names: tuple[str, ...]

    def take(self, flat, name):
        where = [i for i, label in enumerate(self.names) if label.split("[")[0] == name]
        index = [self.names[i].split("[")[1].rstrip("]") for i in where]
        places = [tuple(int(part) for part in text.split(",") if part) for text in index]
        shape = tuple(max(place[axis] for place in places) + 1 for axis in range(len(places[0])))
        values = np.zeros(shape)
        for i, place in zip(where, places, strict=True):
            values[place] = flat[i]
        return values


def log_posterior(flat, layout, raw):
    """Log joint of ``latent_types`` at flat coordinates, nats, sharing only the orthonormal basis with the package."""
    z = layout.take(flat, "z")
    reward = z @ zero_sum_basis(ITEMS).T
    log_weight = special.log_softmax(zero_sum_basis(TYPES) @ layout.take(flat, "type_logit"))
    log_prompt = special.log_softmax(layout.take(flat, "prompt_logit") @ zero_sum_basis(STATES).T, axis=1)
    log_tie = float(layout.take(flat, "log_tie"))
    total = stats.norm(0, OPTIONS["reward_scale"]).logpdf(z).sum() + stats.norm(0, 1.5).logpdf(log_tie)
    for log_p, alpha in ((log_weight, OPTIONS["weight_concentration"]), *((p, 1.0) for p in log_prompt)):
        size = len(log_p)
        total += special.gammaln(size * alpha) - size * special.gammaln(alpha) + alpha * log_p.sum()
        total += 0.5 * np.log(size)
    half = 0.5 * (reward[:, raw["state"], raw["item_a"]] - reward[:, raw["state"], raw["item_b"]])
    logits = np.stack([half, -half, np.full_like(half, log_tie)])
    chosen = np.take_along_axis(logits, raw["outcome"][None, None, :], axis=0)[0]
    row = chosen - special.logsumexp(logits, axis=0) + log_prompt[:, raw["state"]]
    per_unit = np.stack([np.bincount(raw["annotator"], weights=r, minlength=PEOPLE) for r in row], axis=1)
    return total + special.logsumexp(per_unit + log_weight, axis=1).sum()


@pytest.fixture(scope="module")
def raw():
    return raw_world(0)


@pytest.fixture(scope="module")
def records(raw):
    return choice_data(as_table(raw))


@pytest.fixture(scope="module")
def density(records):
    return make_density(latent_types, records[0], OPTIONS)


@pytest.fixture(scope="module")
def modes(density, records):
    return find_modes(density, *records, rng_key=jax.random.key(0), n_starts=6, progress=False)


@pytest.fixture(scope="module")
def target(density, raw):
    layout = Layout(density.names)
    return lambda flat: log_posterior(flat, layout, raw)


def central_gradient(function, point, step=1e-5):
    return np.array(
        [(function(point + step * e) - function(point - step * e)) / (2 * step) for e in np.eye(len(point))]
    )


def central_hessian(function, point, step=1e-3):
    size, eye = len(point), np.eye(len(point)) * step
    found = np.zeros((size, size))
    for i in range(size):
        for j in range(i, size):
            corners = [function(point + a * eye[i] + b * eye[j]) * a * b for a in (1, -1) for b in (1, -1)]
            found[i, j] = found[j, i] = sum(corners) / (4 * step**2)
    return found


def test_every_coordinate_has_a_name_of_its_own(density):
    assert len(density.names) == len(set(density.names)) == density.size
    assert density.size == STATES * TYPES * (ITEMS - 1) + (TYPES - 1) + TYPES * (STATES - 1) + 1


def test_density_is_the_log_posterior_written_out(density, records, target):
    rng = np.random.default_rng(1)
    log_joint = jax.jit(density.log_joint)
    for flat in rng.normal(0, 1.5, (5, density.size)):
        assert float(log_joint(jnp.asarray(flat), *records)) == pytest.approx(target(flat), rel=1e-12)


def test_mode_has_no_gradient(modes, target):
    assert np.abs(central_gradient(target, modes.flat[0])).max() < 1e-5
    assert modes.gradient_norm < 1e-6


def test_mode_is_at_least_as_high_as_a_general_optimiser_finds(modes, target):
    rng = np.random.default_rng(2)
    ends = [
        optimize.minimize(lambda x: -target(x), rng.normal(0, 1, modes.flat.shape[1]), method="L-BFGS-B").fun
        for _ in range(5)
    ]
    assert modes.log_joint[0] >= -min(ends) - 1e-5
    assert -min(ends) == pytest.approx(modes.log_joint[0], abs=1e-2)


def test_precision_is_the_negative_hessian(modes, target):
    found = central_hessian(target, modes.flat[0])
    np.testing.assert_allclose(modes.precision, -found, atol=2e-4 * np.abs(found).max())
    np.testing.assert_array_equal(modes.precision, modes.precision.T)
    assert np.linalg.eigvalsh(modes.precision).min() > 0


def test_values_of_modes_are_those_of_the_log_posterior(modes, target, density, records):
    for flat, value, likelihood in zip(modes.flat, modes.log_joint, modes.log_likelihood, strict=True):
        assert value == pytest.approx(target(flat), rel=1e-12)
        prior = float(density.log_prior(jnp.asarray(flat), records[0]))
        assert likelihood == pytest.approx(target(flat) - prior, rel=1e-10)
    assert np.all(np.diff(modes.log_joint) < 0)
    assert modes.found.sum() == 6
    assert modes.found.min() >= 1


def test_log_posterior_never_falls_over_em_steps(density, records, target):
    values = []
    for steps in (0, 1, 30):
        climb = em_climb(density, records[0], max_steps=steps, tolerance=-1.0)
        values.append(target(np.asarray(climb(jax.random.key(5), *records)[0])))
    assert np.all(np.diff(values) >= -1e-10), values
    assert values[-1] - values[0] > 1.0


def test_one_start_of_slow_em_is_one_mode(density, records):
    """Where EM stopped early and where Newton took it from there are one mode, not a near tie."""
    found = find_modes(density, *records, rng_key=jax.random.key(5), n_starts=1, max_steps=4, progress=False)
    assert len(found.log_joint) == 1
    assert found.gap == float("inf")


def test_every_listed_mode_is_a_mode(density, target, records):
    """A start that stopped on its way up is no second mode; with little data EM is slow."""
    found = find_modes(density, *records, rng_key=jax.random.key(9), n_starts=12, progress=False)
    for flat in found.flat:
        assert np.abs(central_gradient(target, flat)).max() < 1e-2


def scarce_world():
    """Two labels an annotator and three types under a wide prior: EM is slow, yet there is one best mode."""
    rng = np.random.default_rng(0)
    people, labels, items = 400, 2, 5
    item_a = rng.integers(0, items, people * labels)
    item_b = (item_a + rng.integers(1, items, len(item_a))) % items
    annotator = np.repeat(np.arange(people), labels)
    reward = rng.normal(0, 1, (3, items))
    difference = reward[annotator % 3, item_a] - reward[annotator % 3, item_b]
    outcome = (rng.random(len(item_a)) > special.expit(difference)).astype(int)
    return from_codes(
        item_a,
        item_b,
        outcome,
        items=[str(i) for i in range(items)],
        annotator=annotator,
        annotators=[str(i) for i in range(people)],
    )


def test_slow_em_lists_one_mode_once():
    """Every listed mode is stationary, and every start is counted with the mode it climbs to."""
    data, outcome = choice_data(scarce_world())
    options = {"n_types": 3, "reward_scale": 30.0, "weight_concentration": 1.0}
    density = make_density(latent_types, data, options)
    found = find_modes(density, data, outcome, rng_key=jax.random.key(0), n_starts=12, progress=False)
    gradient = jax.jit(jax.grad(density.log_joint))
    for flat in found.flat:
        assert np.abs(np.asarray(gradient(jnp.asarray(flat), data, outcome))).max() < 1e-3
    assert found.found.min() >= 1
    assert found.found.sum() == 12


def test_modes_of_equal_height_are_both_listed():
    """States p and q are exchangeable, and two types may part the annotators by either: an exact tie."""
    rows, people = [], 0
    for likes_p, likes_q in [(0, 0), (0, 1), (1, 0), (1, 1)] * 6:
        rows += [(likes_p, 0, people, 4.0), (1 - likes_p, 0, people, 1.0)]
        rows += [(likes_q, 1, people, 4.0), (1 - likes_q, 1, people, 1.0)]
        people += 1
    outcome, state, annotator, weight = (np.array(column) for column in zip(*rows, strict=True))
    table = from_codes(
        np.zeros(len(rows), dtype=int),
        np.ones(len(rows), dtype=int),
        outcome,
        items=("x", "y"),
        state=state,
        states=("p", "q"),
        annotator=annotator,
        annotators=[str(i) for i in range(people)],
        weight=weight,
    )
    data, column = choice_data(table)
    density = make_density(latent_types, data, {"n_types": 2, "reward_scale": 2.0, "endogenous_prompts": False})
    found = find_modes(density, data, column, rng_key=jax.random.key(0), n_starts=20, progress=False)
    reward = np.asarray(density.variables(jnp.asarray(found.flat[0]), data)["reward"])
    assert np.ptp(reward[:, :, 0], axis=1).min() < 0.1 < np.ptp(reward[:, :, 0], axis=1).max()  # parts one state only
    assert found.gap == pytest.approx(0.0, abs=1e-6)


def test_same_key_gives_the_same_modes(modes, density, records):
    again = find_modes(density, *records, rng_key=jax.random.key(0), n_starts=6, progress=False)
    np.testing.assert_array_equal(again.flat, modes.flat)


# One type


def zermelo(wins, iterations=20_000):
    """Maximum-likelihood worths by minorise-maximise: p_i = W_i / sum_j n_ij / (p_i + p_j)."""
    worth = np.ones(len(wins))
    met = wins + wins.T
    for _ in range(iterations):
        new = wins.sum(1) / (met / (worth[:, None] + worth[None, :])).sum(1)
        new /= np.exp(np.log(new).mean())
        if np.abs(np.log(new / worth)).max() < 1e-14:
            break
        worth = new
    return np.log(worth)


@pytest.mark.parametrize("seed", [0, 1])
def test_flat_prior_mode_is_zermelos(seed):
    rng = np.random.default_rng(seed)
    n = 5
    wins = rng.integers(1, 12, (n, n)).astype(float)
    np.fill_diagonal(wins, 0.0)
    winner, loser = np.nonzero(wins)
    table = from_codes(winner, loser, np.zeros(len(winner), dtype=int), items=list("vwxyz"), weight=wins[winner, loser])
    data, outcome = choice_data(table)
    options = {"reward_scale": 1e5}
    density = make_density(single, data, options)
    found = find_modes(density, data, outcome, rng_key=jax.random.key(0), progress=False)
    reward = np.asarray(density.variables(jnp.asarray(found.flat[0]), data)["reward"])[0, 0]
    np.testing.assert_allclose(reward, zermelo(wins), atol=1e-6)
    assert found.found.tolist() == [1]
    expected = sum(
        wins[i, j] * -np.logaddexp(0, zermelo(wins)[j] - zermelo(wins)[i]) for i in range(n) for j in range(n)
    )
    assert found.log_likelihood[0] == pytest.approx(expected, abs=1e-6)


def test_types_come_in_every_order_with_the_same_density(density, records):
    """Relabelling types moves coordinates without changing the log-posterior."""
    log_joint = jax.jit(density.log_joint)
    layout = Layout(density.names)
    flat = np.random.default_rng(3).normal(size=density.size)
    index = layout.take(np.arange(density.size, dtype=float), "z").astype(int)
    prompts = layout.take(np.arange(density.size, dtype=float), "prompt_logit").astype(int)
    logit = layout.take(np.arange(density.size, dtype=float), "type_logit").astype(int)
    for order in permutations(range(TYPES)):
        turned = flat.copy()
        turned[index] = flat[index[list(order)]]
        turned[prompts] = flat[prompts[list(order)]]
        turned[logit] = flat[logit] * (1 if order == (0, 1) else -1)
        before, after = (float(log_joint(jnp.asarray(x), *records)) for x in (flat, turned))
        assert after == pytest.approx(before, rel=1e-12)


def test_near_a_maximum_one_step_takes_away_all_of_the_gradient_but_its_own_root():
    """A quadratic of 30 coordinates with curvatures from 1 to 1,000, near its maximum: g^1.5 is left."""
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    curvature = basis * np.geomspace(1.0, 1e3, 30) @ basis.T
    top = rng.normal(size=30)

    def objective(x):
        return -0.5 * (x - top) @ curvature @ (x - top)

    start = top + 1e-8 * rng.normal(size=30)
    end = np.asarray(ascend(objective, jnp.asarray(start)).flat)
    before, after = (np.linalg.norm(curvature @ (x - top)) for x in (start, end))
    assert after < 1.01 * before**1.5 < 0.01 * before


def test_a_step_ascends_where_the_curvature_is_wrong():
    """At a point of a saddle-shaped objective the dense Newton equations point downhill; the step still gains."""
    bend = jnp.asarray([4.0, -1.0, -9.0])
    start = jnp.asarray([0.3, 0.2, 0.4])

    def objective(x):
        return -0.5 * x @ (bend * x) - 0.25 * jnp.sum(x**4)

    gradient, hessian = jax.grad(objective)(start), jax.hessian(objective)(start)
    assert float(gradient @ jnp.linalg.solve(-hessian, gradient)) < 0
    assert float(ascend(objective, start).gain) > 0.1
