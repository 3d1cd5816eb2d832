"""The adaptive loop and the correlation sweep, against their tables' orders; state, filters, broken input."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from bayespref.design.mixture import confidence_mixture, optimal_mixture
from bayespref.design.sequential import (
    METHODS,
    ask,
    confidence_radius,
    load_state,
    next_design,
    save_state,
    start,
    tell,
)
from bayespref.design.state import logistic_mode
from bayespref.information import fisher, gaussian_fisher

W = np.array([1.5, -1.0, 0.5])


def world():
    """Six Gaussian actions, each nearly flat in a direction of its own."""
    rng = np.random.default_rng(7)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(6)]
    return np.array([turn @ np.diag([1.5, 0.4, 0.02]) @ turn.T for turn in turns])


SIGMA = world()
TRUE = gaussian_fisher(SIGMA, W)


def least(p):
    return np.linalg.eigvalsh(np.tensordot(p, TRUE, 1))[0]


def first_batch(seed, n=8):
    rng = np.random.default_rng(seed)
    action = np.repeat(np.arange(6), n)
    dz = np.concatenate([rng.multivariate_normal(np.zeros(3), SIGMA[a], size=n) for a in range(6)])
    state = start([np.zeros((0, 3))] * 6)
    return tell(state, action, dz, (rng.random(len(dz)) < expit(dz @ W)).astype(float), grow=True), rng


def realised(method, seed, rounds=16, size=50):
    """Least eigenvalue of the true information of everything asked; candidates are seen only as they are asked."""
    state, rng = first_batch(seed)
    for _ in range(rounds):
        design = next_design(state, method, rng=rng)
        action = rng.choice(6, size=size, p=design.weights / design.weights.sum())
        dz = np.array([rng.multivariate_normal(np.zeros(3), SIGMA[a]) for a in action])
        state = tell(state, action, dz, (rng.random(size) < expit(dz @ W)).astype(float), grow=True)
    return least(state.counts / state.counts.sum())


@pytest.mark.slow
def test_pessimism_locks_in_while_posterior_draws_come_near_the_oracle():
    # 16 seeds; means with standard errors below .002. Order of the least eigenvalue only: squared error follows the
    # trace of the inverse and is not asserted.
    oracle = optimal_mixture(TRUE).value
    got = {
        m: np.mean([realised(m, seed) for seed in range(16)]) for m in ("lcb", "uniform", "thompson", "bayes", "ucb")
    }
    assert got["lcb"] < 0.5 * got["uniform"]
    for method in ("thompson", "bayes"):
        assert got["uniform"] + 0.004 < got[method] <= oracle
    assert got["lcb"] < got["ucb"]


def newton_fits(dz, y):
    """Maximum-likelihood logistic fits of many samples at once: dz (reps, n, d), y (reps, n)."""
    w = np.zeros((len(dz), dz.shape[2]))
    for _ in range(12):
        p = expit(np.einsum("rnd,rd->rn", dz, w))
        gradient = np.einsum("rn,rnd->rd", y - p, dz)
        hessian = np.einsum("rn,rnd,rne->rde", p * (1 - p), dz, dz)
        w = w + np.linalg.solve(hessian, gradient[..., None])[..., 0]
    return w


SWEEP = {  # rho: (least passive, half, optimal), (trace / N passive, half), (MSE), (flip error), share of the first arm
    0.0: ((0.13028, 0.13028, 0.13028), (0.01269, 0.01269), (0.0124, 0.0129), (0.0158, 0.0159), None),
    0.5: ((0.09002, 0.12378, 0.13336), (0.01701, 0.01306), (0.0181, 0.0132), (0.0337, 0.0234), 0.6956),
    0.8: ((0.03572, 0.10985, 0.13124), (0.03356, 0.01397), (0.0373, 0.0137), (0.0680, 0.0281), 0.6842),
    0.9: ((0.01777, 0.10241, 0.13029), (0.06174, 0.01458), (0.0771, 0.0155), (0.1064, 0.0272), 0.6880),
    0.95: ((0.00886, 0.09802, 0.12977), (0.11827, 0.01498), (0.1167, 0.0160), (0.1456, 0.0229), 0.6907),
    0.99: ((0.00177, 0.09414, 0.12932), (0.57091, 0.01537), (0.5449, 0.0149), (0.3010, 0.0119), 0.6932),
}
SWEEP_W = np.array([1.0, 0.5])


def arms(rho):
    return np.array([[[1.0, rho], [rho, 1.0]], [[1.0, -rho], [-rho, 1.0]]])


@pytest.mark.parametrize("rho", SWEEP)
def test_correlation_sweep_information_matches_the_table(rho):
    levels, traces, _, _, share = SWEEP[rho]
    M = gaussian_fisher(arms(rho), SWEEP_W)
    best = optimal_mixture(M)
    got = [np.linalg.eigvalsh(M[0])[0], np.linalg.eigvalsh(M.mean(axis=0))[0], best.value]
    np.testing.assert_allclose(got, levels, atol=6e-6)
    np.testing.assert_allclose(
        [np.trace(np.linalg.inv(M[0])) / 1000, np.trace(np.linalg.inv(M.mean(axis=0))) / 1000], traces, atol=6e-6
    )
    if share is not None:
        np.testing.assert_allclose(best.weights[0], share, atol=6e-5)


def disagreement(w_hat, Sigma):
    """Share of comparisons with covariance Sigma whose sign two coefficient vectors dispute."""
    inner = np.einsum("ri,ij,j->r", w_hat, Sigma, SWEEP_W)
    size = np.sqrt(np.einsum("ri,ij,rj->r", w_hat, Sigma, w_hat) * (SWEEP_W @ Sigma @ SWEEP_W))
    return np.arccos(np.clip(inner / size, -1, 1)) / np.pi


@pytest.mark.slow
def test_correlation_sweep_errors_match_the_table_within_monte_carlo_error():
    # 400 repetitions of N = 1000 here, 400 behind the table: four standard errors of the difference.
    rng = np.random.default_rng(0)
    for rho, (_, _, errors, flips, _) in SWEEP.items():
        for half in (False, True):
            reps = 400
            arm = rng.integers(0, 2, size=(reps, 1000)) if half else np.zeros((reps, 1000), int)
            root = np.linalg.cholesky(arms(rho))
            dz = np.einsum("rnij,rnj->rni", root[arm], rng.normal(size=(reps, 1000, 2)))
            y = (rng.random((reps, 1000)) < expit(dz @ SWEEP_W)).astype(float)
            w_hat = newton_fits(dz, y)
            square, flip = ((w_hat - SWEEP_W) ** 2).sum(axis=1), disagreement(w_hat, arms(rho)[1])
            for sample, table in ((square, errors[half]), (flip, flips[half])):
                margin = 4 * np.sqrt(2) * sample.std(ddof=1) / np.sqrt(reps) + 5e-5
                assert abs(sample.mean() - table) <= margin, (rho, half, sample.mean(), table)
            # In distribution nothing shows: the table says at most .016 for all.
            seen = [disagreement(w_hat, Sigma) for Sigma in (arms(rho) if half else arms(rho)[:1])]
            inside = np.mean(seen, axis=0)
            assert inside.mean() <= 0.016 + 4 * inside.std(ddof=1) / np.sqrt(reps)


def test_confidence_bounds_are_optimism_and_pessimism_in_that_order():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(4, 2, 2))
    M, radius = np.einsum("aik,ajk->aij", X, X), np.array([0.0, 0.1, 0.3, 2.0])
    low, high = (confidence_mixture(M, radius, optimism=o) for o in ("lcb", "ucb"))
    plain = optimal_mixture(M)
    assert low.value <= plain.value <= high.value
    assert high.weights[3] > plain.weights[3] - 1e-9
    assert low.weights[3] <= 1e-6
    for got, sign in ((low, -1), (high, 1)):
        rebuilt = np.linalg.eigvalsh(np.tensordot(got.weights, M, 1))[0] + sign * radius @ got.weights
        np.testing.assert_allclose(rebuilt, got.value, atol=1e-10)
        assert got.gap <= 1e-7
        grid = rng.dirichlet(np.full(4, 0.5), size=500)
        values = np.linalg.eigvalsh(np.tensordot(grid, M, 1))[:, 0] + sign * grid @ radius
        assert values.max() <= got.upper_bound + 1e-10
    same = confidence_mixture(M, np.zeros(4))
    np.testing.assert_allclose(same.value, plain.value, atol=1e-8)
    with pytest.raises(ValueError, match="radius: must be >= 0"):
        confidence_mixture(M, np.array([0, 0, 0, -1.0]))
    with pytest.raises(ValueError, match=r"radius: must have shape \(4,\)"):
        confidence_mixture(M, np.ones(3))


def test_the_radius_has_both_terms_of_the_bernstein_bound():
    M = np.array([np.diag([0.3, 0.1]), np.diag([0.2, 0.2])])
    log = np.log(2 * 2 / 0.05)
    want = [(2 * 2.0 * m * log / n) ** 0.5 + 2 * 2.0 * log / (3 * n) for m, n in ((0.3, 8), (0.2, 50))]
    np.testing.assert_allclose(confidence_radius(M, np.array([8, 50]), 2.0), want, rtol=1e-12)


@pytest.mark.slow
def test_the_radius_covers_the_spectral_error_at_its_rate(promise):
    rng = np.random.default_rng(2)
    w, n = np.array([1.0, -1.0]), 200
    pool = rng.uniform(-1, 1, size=(400_000, 2))
    truth, bad = fisher(pool, w), 0
    for _ in range(400):
        rows = pool[rng.integers(len(pool), size=n)]
        got = fisher(rows, w)
        bad += np.linalg.norm(got - truth, 2) > confidence_radius(got[None], np.array([n]), 0.5, 0.05)[0]
    assert bad <= 400 * 0.05
    promise.share("confidence radius of information: exceeded", bad, 400, 0.05, "at most")


def test_newton_mode_agrees_with_a_general_optimiser_even_when_separated():
    rng = np.random.default_rng(3)
    dz = rng.normal(size=(60, 3))
    for y in ((rng.random(60) < expit(3 * dz @ W)).astype(float), (dz @ W > 0).astype(float)):
        mode, covariance = logistic_mode(dz, y, 0.2)

        def loss(v, y=y):
            u = dz @ v
            return (np.logaddexp(0, u) - y * u).sum() + 0.1 * v @ v

        want = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
        np.testing.assert_allclose(mode, want.x, atol=1e-5)
        np.testing.assert_allclose(np.linalg.inv(covariance), 60 * fisher(dz, mode) + 0.2 * np.eye(3), atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_returns_a_feasible_design_and_leaves_the_state_alone(method):
    state, _ = first_batch(5)
    before = [array.copy() for array in (state.features, state.labels, state.estimate, *state.pools)]
    one, two = (next_design(state, method, rng=np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one.weights, two.weights)
    np.testing.assert_allclose([one.weights.sum(), one.attempts.sum()], 1, atol=1e-9)
    assert (one.weights >= 0).all()
    for old, new in zip(before, (state.features, state.labels, state.estimate, *state.pools), strict=True):
        np.testing.assert_array_equal(old, new)
    if method != "uniform":
        assert one.gap <= 1e-6
        floored = next_design(
            state, method, rng=np.random.default_rng(9), floors=np.full(6, 0.05), cost=np.arange(1.0, 7), cost_cap=3.0
        )
        assert (floored.weights >= 0.05 - 1e-12).all()
        assert np.arange(1.0, 7) @ floored.weights <= 3 * (1 + 1e-9)


def test_bayes_averages_and_thompson_takes_one_of_the_draws_given():
    state, _ = first_batch(6)
    draws = np.random.default_rng(1).normal(size=(3, 3))
    bayes = next_design(state, "bayes", rng=np.random.default_rng(0), draws=draws)
    want = np.array([fisher(pool, draws).mean(axis=0) for pool in state.pools])
    np.testing.assert_allclose(bayes.matrices, want, atol=1e-12)
    one = next_design(state, "thompson", rng=np.random.default_rng(0), draws=draws)
    options = [np.array([fisher(pool, w) for pool in state.pools]) for w in draws]
    assert any(np.allclose(one.matrices, option) for option in options)


def test_the_difficulty_filter_keeps_its_window_and_charges_rejections_as_attempts():
    state, _ = first_batch(7, n=40)
    window = (0.2, 1.5)
    got = next_design(state, "plugin", difficulty=window)
    margins = [np.abs(pool @ state.estimate) for pool in state.pools]
    kept = [(u >= 0.2) & (u <= 1.5) for u in margins]
    np.testing.assert_allclose(got.passed, [mask.mean() for mask in kept])
    np.testing.assert_allclose(got.matrices[2], fisher(state.pools[2][kept[2]], state.estimate), atol=1e-12)
    on = got.weights > 1e-6
    assert on.sum() > 1
    ratio = got.attempts[on] * got.passed[on] / got.weights[on]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    with pytest.raises(ValueError, match="difficulty: no candidate of any action"):
        next_design(state, "plugin", difficulty=(100.0, 200.0))


def test_ask_and_tell_go_through_the_pool_once_and_resume_from_a_file(tmp_path):
    rng = np.random.default_rng(8)
    pools = [rng.multivariate_normal(np.zeros(3), S, size=60) for S in SIGMA]
    state = start(pools)
    seen = set()
    for turn in range(3):
        design = next_design(state, "plugin")
        action, row = ask(state, design, 25, rng=np.random.default_rng(turn))
        assert len(action) == 25
        pairs = set(zip(action.tolist(), row.tolist(), strict=True))
        assert len(pairs) == 25
        assert not pairs & seen
        seen |= pairs
        dz = np.array([pools[a][r] for a, r in zip(action, row, strict=True)])
        state = tell(state, action, dz, (rng.random(25) < expit(dz @ W)).astype(float), row=row)
    save_state(state, tmp_path / "state.json")
    back = load_state(tmp_path / "state.json")
    for name in ("features", "labels", "action", "estimate", "covariance", "precision"):
        np.testing.assert_array_equal(getattr(back, name), getattr(state, name))
    for one, two in zip((*state.pools, *state.asked), (*back.pools, *back.asked), strict=True):
        np.testing.assert_array_equal(one, two)
    one, two = (ask(s, next_design(s, "plugin"), 25, rng=np.random.default_rng(4)) for s in (state, back))
    np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match=r"state: action \d has \d+ unlabelled candidates left, the design needs"):
        ask(state, next_design(state, "plugin"), 300, rng=rng)


def test_files_that_are_no_state_are_refused(tmp_path):
    for text in ("{", "{}", '{"format": "other"}', "[]"):
        (tmp_path / "s.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"path: s.json is not a saved state"):
            load_state(tmp_path / "s.json")


def bad_calls():
    state, _ = first_batch(0)
    one = np.array([0])
    return [
        (lambda: start([]), "pools: needs one"),
        (lambda: start([np.eye(2), np.eye(3)]), "pools: needs one"),
        (lambda: start([np.full((1, 2), np.nan)]), r"pools\[0\]: must be finite"),
        (lambda: start([np.eye(2)], precision=0.0), "precision: must be > 0"),
        (lambda: tell(state, one, np.ones((1, 3)), np.array([0.5])), r"labels: must be 0 or 1, first bad \[0.5\]"),
        (lambda: tell(state, np.array([6]), np.ones((1, 3)), np.ones(1)), r"action: must be integers in 0..5"),
        (lambda: tell(state, one, np.ones((1, 2)), np.ones(1)), r"features: must have shape \(n, 3\)"),
        (lambda: tell(state, one, np.ones((1, 3)), np.ones(1), row=np.array([99])), "row: beyond its pool"),
        (lambda: tell(state, one, np.ones((1, 3)), np.ones(1), row=one, grow=True), "row: names candidates already"),
        (lambda: next_design(state, "greedy"), "method: must be one of"),
        (lambda: next_design(state, "thompson"), "rng: needed by method 'thompson'"),
        (lambda: next_design(state, "plugin", difficulty=(2.0, 1.0)), "difficulty: must be an interval"),
        (lambda: next_design(start([np.eye(2), np.zeros((0, 2))]), "plugin"), r"none for \[1\]"),
        (
            lambda: next_design(state, "bayes", rng=np.random.default_rng(0), draws=np.ones((2, 2))),
            r"draws: must have shape \(draw, 3\)",
        ),
    ]


@pytest.mark.parametrize("index", range(len(bad_calls())))
def test_bad_sequential_input_is_refused(index):
    call, message = bad_calls()[index]
    with pytest.raises(ValueError, match=message):
        call()
