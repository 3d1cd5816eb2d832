"""Weighted and doubly robust losses: worked numbers, derivatives, JAX against NumPy, the bias identity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from bayespref.target.crossfit import cross_fit_shares, folds_by_annotator, pseudo_outcomes
from bayespref.target.dpo import doubly_robust_risk, dpo_margin, weighted_dpo_loss
from bayespref.target.fitdpo import linear_dpo, pair_wins, tabular_dpo

LOGGED, TARGET = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
TRUE, MODEL = np.array([0.8, 0.4, 0.6]), np.array([0.7, 0.5, 0.5])
WEIGHT, Z = np.array([0.6, 1.0, 2.0]), np.array([0.5, -1.0, 2.0])


def risk_of(weight, model):
    """Expected doubly robust risk over the log: three cells with their shares."""
    return doubly_robust_risk(Z, TRUE, 3 * LOGGED * weight, model, target_z=Z, target_q=model, target_mass=TARGET)


def test_doubly_robust_risk_of_the_worked_example():
    truth = TARGET @ (np.logaddexp(0, Z) - TRUE * Z)
    assert truth == pytest.approx(0.79225791, abs=6e-9)
    assert risk_of(WEIGHT, MODEL) == pytest.approx(0.80725791, abs=6e-9)
    assert risk_of(WEIGHT, MODEL) - truth == pytest.approx(0.015, abs=1e-12)


def test_either_nuisance_right_is_enough():
    truth = TARGET @ (np.logaddexp(0, Z) - TRUE * Z)
    assert risk_of(TARGET / LOGGED, MODEL) == pytest.approx(truth, abs=1e-14)
    assert risk_of(WEIGHT, TRUE) == pytest.approx(truth, abs=1e-14)
    assert abs(risk_of(WEIGHT, MODEL) - truth) > 0.01


@given(st.integers(0, 10_000))
def test_bias_identity_is_exact(seed):
    rng = np.random.default_rng(seed)
    model, weight = rng.random(3), 3 * rng.random(3)
    truth = TARGET @ (np.logaddexp(0, Z) - TRUE * Z)
    bias = -LOGGED @ ((weight - TARGET / LOGGED) * (TRUE - model) * Z)
    assert risk_of(weight, model) - truth == pytest.approx(bias, abs=1e-12)


def test_without_target_tuples_the_outcome_model_cancels_so_the_risk_is_refused():
    rng = np.random.default_rng(0)
    z, label, w = rng.normal(size=50), (rng.random(50) < 0.5).astype(float), rng.random(50)
    w = w / w.mean()
    # On logged rows, weighted like the target, any outcome model gives the weighted loss.
    for q in (rng.random(50), np.full(50, 0.5)):
        same = float(np.mean(w * (np.logaddexp(0, z) - q * z)) - np.mean(w * (label - q) * z))
        assert same == pytest.approx(weighted_dpo_loss(z, label, w), abs=1e-12)
    with pytest.raises(ValueError, match="needs target tuples"):
        doubly_robust_risk(z, label, w, np.full(50, 0.5), target_z=None, target_q=None)


def test_losses_agree_in_numpy_and_jax_and_their_gradients_with_the_formula():
    rng = np.random.default_rng(1)
    logs = np.log(rng.random((4, 20)))
    label, w, q = (rng.random(20) < 0.5).astype(float), rng.random(20) * 3, rng.random(20)
    z = dpo_margin(*logs, 0.4)
    np.testing.assert_allclose(z, 0.4 * ((logs[0] - logs[2]) - (logs[1] - logs[3])), rtol=1e-12)
    np.testing.assert_allclose(dpo_margin(*jnp.asarray(logs), 0.4), z, rtol=1e-12)
    value, gradient = jax.value_and_grad(lambda x: weighted_dpo_loss(x, label, w))(jnp.asarray(z))
    assert float(value) == pytest.approx(weighted_dpo_loss(z, label, w), rel=1e-12)
    np.testing.assert_allclose(gradient, w * (expit(z) - label) / 20, rtol=1e-10)

    def robust(x):
        return doubly_robust_risk(x[:20], label, w, q, target_z=x[20:], target_q=q[:5])

    x = np.concatenate([z, rng.normal(size=5)])
    value, gradient = jax.jit(jax.value_and_grad(robust))(jnp.asarray(x))
    assert float(value) == pytest.approx(robust(x), rel=1e-12)
    step = np.eye(25) * 1e-5
    np.testing.assert_allclose(gradient, [(robust(x + h) - robust(x - h)) / 2e-5 for h in step], atol=1e-8)
    np.testing.assert_allclose(gradient[20:], (expit(x[20:]) - q[:5]) / 5, rtol=1e-9)
    np.testing.assert_allclose(gradient[:20], -w * (label - q) / 20, rtol=1e-9)


@given(st.integers(0, 10_000))
def test_loss_is_linear_in_the_label_and_swapping_sides_with_labels_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    z, w, t = rng.normal(size=6), rng.random(6), rng.random()
    one, zero = weighted_dpo_loss(z, np.ones(6), w), weighted_dpo_loss(z, np.zeros(6), w)
    assert weighted_dpo_loss(z, np.full(6, t), w) == pytest.approx(t * one + (1 - t) * zero, abs=1e-12)
    label = rng.random(6)
    assert weighted_dpo_loss(-z, 1 - label, w) == pytest.approx(weighted_dpo_loss(z, label, w), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: dpo_margin([0.0], [0.0], [-np.inf], [0.0], 1.0),
            "reference_a: 1 completion.*zero reference probability",
        ),
        (lambda: dpo_margin([0.0], [np.nan], [0.0], [0.0], 1.0), "policy_b: must be finite"),
        (lambda: weighted_dpo_loss([0.0], [2.0], [1.0]), "L: must lie in"),
        (lambda: weighted_dpo_loss([0.0], [1.0], [-1.0]), "w: must be >= 0"),
        (
            lambda: doubly_robust_risk([0.0], [1.0], [1.0], [0.5], target_z=[0.0], target_q=[0.5], target_mass=[0.9]),
            "target_mass: probabilities must sum to one",
        ),
        (
            lambda: doubly_robust_risk(
                [0.0], [1.0], [1.0], [0.5], target_z=[1.0, 3.0], target_q=[0.5, 0.5], target_mass=[-1.0, 2.0]
            ),
            "target_mass: probabilities must be >= 0",
        ),
        (
            lambda: doubly_robust_risk(
                [0.0], [1.0], [1.0], [0.5], target_z=[1.0, 3.0], target_q=[0.5, 0.5], target_mass=[np.nan, 1.0]
            ),
            "target_mass: probabilities must be >= 0",
        ),
        (
            lambda: doubly_robust_risk([0.0], [1.0], [1.0], [np.nan], target_z=[0.0], target_q=[0.5]),
            "q: must lie in",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


ROW, COLUMN = np.full(3, 0.5), np.full((3, 1), 0.5)


@pytest.mark.parametrize("bad", [COLUMN, np.full(1, 0.5), 0.5])
@pytest.mark.parametrize("place", ["L", "w", "q", "target_q", "target_mass"])
def test_arrays_that_would_broadcast_are_refused_in_numpy_and_inside_a_trace(place, bad):
    fields = dict.fromkeys(("L", "w", "q", "target_z", "target_q"), ROW) | {"target_mass": np.full(3, 1 / 3)}
    fields[place] = np.ones_like(bad) if place == "target_mass" else bad
    with pytest.raises(ValueError, match=r"shapes must agree|at least 1 axes"):
        doubly_robust_risk(ROW, **fields)
    with pytest.raises(ValueError, match="shapes must agree"):
        jax.make_jaxpr(lambda z: doubly_robust_risk(z, **fields))(jnp.asarray(ROW))
    if place in ("L", "w"):
        pair = {name: fields[name] for name in ("L", "w")}
        with pytest.raises(ValueError, match=rf"shapes must agree.*{place} \("):
            weighted_dpo_loss(ROW, **pair)
        with pytest.raises(ValueError, match=rf"shapes must agree.*{place} \("):
            jax.make_jaxpr(lambda z: weighted_dpo_loss(z, **pair))(jnp.asarray(ROW))


def test_log_probabilities_of_different_shapes_give_no_margin():
    with pytest.raises(ValueError, match=r"shapes must agree.*reference_b \(3, 1\)"):
        dpo_margin(ROW, ROW, ROW, COLUMN, 1.0)


R_ONE, R_TWO = np.array([2.0, 0.0, -1.0]), np.array([-3.0, 0.0, 1.5])


def mixture(scale, g):
    """Expected wins of a 60/40 mixture whose averaged reward is zero."""
    both = scale * np.stack([R_ONE, R_TWO])
    q = np.einsum("c,cab->ab", np.array([0.6, 0.4]), expit(both[:, :, None] - both[:, None, :]))
    return q * g


ALL = 1.0 - np.eye(3)
STAR = np.array([[0.0, 0, 1], [0, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize(
    ("g", "want"), [(ALL, (0.16540914, -0.04805069, -0.11735845)), (STAR, (0.18860706, -0.07108865, -0.11751841))]
)
def test_three_completions_depend_on_the_pairs_shown_though_the_averaged_reward_is_zero(g, want):
    np.testing.assert_allclose(tabular_dpo(mixture(1.0, g)).score, want, atol=6e-9)


def test_error_of_weighted_dpo_is_third_order_in_the_size_of_rewards():
    size = [np.abs(tabular_dpo(mixture(0.25 / 2**k, ALL)).score).max() for k in range(4)]
    np.testing.assert_allclose(size[:3], [0.00979, 0.00137, 0.00018], atol=6e-6)
    assert size[2] / size[3] == pytest.approx(8.0, rel=0.02)


def test_newton_agrees_with_a_general_optimiser_and_with_a_ridge():
    rng = np.random.default_rng(4)
    wins = rng.random((5, 4, 4))
    for ridge in (0.0, 0.3):
        got = tabular_dpo(wins, ridge=ridge).score
        for s in range(5):
            own = wins[s] * (1 - np.eye(4))

            def loss(z, own=own, ridge=ridge):
                return np.sum(own * np.logaddexp(0, z[None, :] - z[:, None])) + 0.5 * ridge * z @ z

            found = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
            np.testing.assert_allclose(got[s], found - found.mean(), atol=2e-6)


def test_fit_of_rows_is_the_minimiser_of_the_array_loss():
    rng = np.random.default_rng(5)
    n = 300
    a, b = rng.integers(0, 3, n), rng.integers(1, 3, n)
    b = (a + b) % 3
    label, w = rng.random(n), rng.exponential(size=n)
    score = tabular_dpo(pair_wins(np.zeros(n, int), a, b, label, w, n_states=1, n_items=3)).score[0]
    gradient = jax.grad(lambda z: weighted_dpo_loss(z[a] - z[b], label, w))(jnp.asarray(score))
    np.testing.assert_allclose(gradient, 0, atol=1e-10)
    phi = np.eye(3)[:, :2]
    theta = linear_dpo(phi[a] - phi[b], label, w)
    np.testing.assert_allclose(theta.coefficient - 0, score[:2] - score[2], atol=1e-8)
    assert theta.reason == ""


def test_disconnected_prompts_are_refused_even_with_a_ridge_and_separation_is_said():
    split = np.zeros((2, 4, 4))
    split[:, 0, 1] = split[:, 1, 0] = 1.0
    split[0, 1, 2] = split[0, 2, 3] = split[0, 2, 1] = split[0, 3, 2] = 1.0
    split[1, 2, 3] = split[1, 3, 2] = 1.0
    for ridge in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"do not connect the items of 1 prompt\(s\), first \[\(1,\)\]"):
            tabular_dpo(split, ridge=ridge)
    winner = np.array([[0.0, 2, 2], [0, 0, 1], [0, 1, 0]])
    got = tabular_dpo(winner)
    assert str(got.reason) == "separated"
    assert np.isnan(got.score).all()
    assert np.isfinite(tabular_dpo(winner, ridge=0.1).score).all()
    assert str(tabular_dpo(np.zeros((3, 3))).reason) == "no_data"
    with pytest.raises(ValueError, match="pseudo-probability outside"):
        tabular_dpo(np.array([[0.0, 1.2], [-0.2, 0.0]]))
    assert np.isfinite(tabular_dpo(np.array([[0.0, 1.2], [-0.2, 0.0]]), ridge=0.5).score).all()


def test_items_that_are_not_offered_are_left_out():
    wins = np.zeros((3, 3))
    wins[0, 1], wins[1, 0] = 3.0, 1.0
    got = tabular_dpo(wins, offered=np.array([True, True, False]))
    np.testing.assert_allclose(got.score, [np.log(3) / 2, -np.log(3) / 2, np.nan], atol=1e-9)


def test_linear_fit_says_where_a_direction_separates_or_was_never_compared():
    x = np.array([[1.0, 0.0], [2.0, 1.0], [-1.0, 1.0]])
    got = linear_dpo(x, np.array([1.0, 1.0, 0.0]), np.ones(3))
    assert got.reason == "separated"
    assert np.isnan(got.coefficient).all()
    assert np.isfinite(linear_dpo(x, np.array([1.0, 1.0, 0.0]), np.ones(3), ridge=0.1).coefficient).all()
    with pytest.raises(ValueError, match="span 1 of 2 features"):
        linear_dpo(x[:, :1] * np.array([1.0, 2.0]), np.array([1.0, 0.0, 1.0]), np.ones(3))


def test_pseudo_outcomes_give_the_same_risk_up_to_a_constant_and_count_what_leaves_the_unit_interval():
    rng = np.random.default_rng(6)
    n, cells = 400, 5
    cell, who = rng.integers(0, cells, n), rng.integers(0, 40, n)
    label, w = (rng.random(n) < 0.3 + 0.1 * cell).astype(float), rng.exponential(size=n)
    mass = rng.dirichlet(np.ones(cells))
    fitted = cross_fit_shares(cell, label, folds_by_annotator(who, 4, seed=0), n_cells=cells)
    got = pseudo_outcomes(cell, label, w, fitted.logged, target_predicted=fitted.target, target_mass=mass)
    risks = []
    for z in rng.normal(size=(2, cells)):
        whole = doubly_robust_risk(
            z[cell], label, w, fitted.logged, target_z=z, target_q=fitted.target, target_mass=mass
        )
        risks.append(whole - mass @ (np.logaddexp(0, z) - got.value * z))
    np.testing.assert_allclose(risks, 0, atol=1e-12)
    heavy = pseudo_outcomes(
        np.array([0, 1]), np.array([1.0, 0.0]), np.array([1.9, 0.1]), np.full(2, 0.5),
        target_predicted=np.full(2, 0.5), target_mass=np.array([0.1, 0.9]),
    )  # fmt: skip
    assert heavy.n_outside == 1
    assert heavy.value[0] > 1


def test_no_prediction_has_seen_its_own_annotator():
    rng = np.random.default_rng(7)
    who = np.repeat(np.arange(30), 3)
    fold = folds_by_annotator(who, 5, seed=1)
    assert all(len(set(fold[who == k])) == 1 for k in range(30))
    label = (rng.random(90) < 0.5).astype(float)
    cell = rng.integers(0, 3, 90)
    before = cross_fit_shares(cell, label, fold, n_cells=3).logged
    changed = np.where(who == 4, 1 - label, label)
    after = cross_fit_shares(cell, changed, fold, n_cells=3).logged
    own = fold == fold[who == 4][0]
    np.testing.assert_array_equal(before[own], after[own])
    assert not np.array_equal(before[~own], after[~own])
    with pytest.raises(ValueError, match="n_folds: 31 folds need as many annotators"):
        folds_by_annotator(who, 31, seed=0)
