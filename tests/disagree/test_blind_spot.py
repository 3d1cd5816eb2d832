"""The blind-spot world: what marks a missing cell, and that more data or agreeing refits do not.

The posteriors are Laplace approximations written here (types observed), sharing no code with the package.
"""

import numpy as np
import pytest
from scipy.special import expit

from bayespref.disagree.between import argmax_disagreement
from bayespref.disagree.regions import FLAGS, design_flags, flags, posterior_flags
from bayespref.disagree.spread import contrast_summary
from bayespref.disagree.status import STATUS
from bayespref.simulate.scenarios import blind_spot

PAIRS = np.array([(a, b) for a in range(4) for b in range(a + 1, 4)])
CELL_SD = np.sqrt(3.0)  # an independent prior per item and cell with the variance of u + v + h


def wins_of(world):
    """Wins per (state, type, winner, loser)."""
    table = world.comparisons
    wins = np.zeros((*world.reward.shape, world.reward.shape[-1]))
    won_a = table.outcome == 0
    winner, loser = np.where(won_a, table.item_a, table.item_b), np.where(won_a, table.item_b, table.item_a)
    np.add.at(wins, (table.state, table.context, winner, loser), 1)
    return wins


def pooled_design():
    """Rows (cell, pair) of the linear predictor of u + v + h: 16 + 8 + 32 columns, cells in C order."""
    rows = []
    for s in range(4):
        for c in range(2):
            for a, b in PAIRS:
                row = np.zeros(56)
                for item, sign in ((a, 1.0), (b, -1.0)):
                    row[4 * s + item] += sign
                    row[16 + 4 * c + item] += sign
                    row[24 + 8 * s + 4 * c + item] += sign
                rows.append(row)
    return np.array(rows)


def basis(kind):
    """Map from parameters to rewards (state, type, item) and the prior sd of every parameter."""
    if kind == "cells":
        return np.eye(32), np.full(32, CELL_SD)
    rows = []
    for s in range(4):
        for c in range(2):
            for a in range(4):
                row = np.zeros(56)
                row[[4 * s + a, 16 + 4 * c + a, 24 + 8 * s + 4 * c + a]] = 1.0
                rows.append(row)
    columns = 24 if kind == "additive" else 56
    return np.array(rows)[:, :columns], np.ones(columns)


def laplace(wins, kind, n_draws, rng, *, mode_only=False):
    """Draws (draw, state, type, item) from the Laplace approximation, or the mode alone."""
    to_reward, prior_sd = basis(kind)
    cells = np.repeat(np.arange(8), len(PAIRS))
    first, second = (np.tile(PAIRS[:, side], 8) for side in (0, 1))
    x = to_reward[4 * cells + first] - to_reward[4 * cells + second]
    flat = wins.reshape(8, 4, 4)
    won, n = flat[cells, first, second], flat[cells, first, second] + flat[cells, second, first]
    theta = np.zeros(x.shape[1])
    for _ in range(60):
        p = expit(x @ theta)
        precision = (x.T * (n * p * (1 - p))) @ x + np.diag(prior_sd**-2.0)
        step = np.linalg.solve(precision, x.T @ (won - n * p) - theta / prior_sd**2)
        theta = theta + step
        if np.abs(step).max() < 1e-9:
            break
    else:
        raise AssertionError("Newton did not converge")
    if mode_only:
        return (to_reward @ theta).reshape(4, 2, 4)
    root = np.linalg.inv(np.linalg.cholesky(precision))
    draws = theta + rng.normal(size=(n_draws, len(theta))) @ root
    return (draws @ to_reward.T).reshape(n_draws, 4, 2, 4)


def auc(score, positive):
    """Chance that a positive outranks a negative, by comparing every pair."""
    up, down = score[positive], score[~positive]
    return np.mean((up[:, None] > down[None, :]) + 0.5 * (up[:, None] == down[None, :]))


def per_cell(table):
    """Mean over the six pairs of each cell."""
    return table[:, :, PAIRS[:, 0], PAIRS[:, 1]].mean(axis=-1)


def test_design_matrix_is_the_difference_of_rewards():
    to_reward, _ = basis("pooled")
    theta = np.random.default_rng(0).normal(size=56)
    reward = (to_reward @ theta).reshape(8, 4)
    assert pooled_design() @ theta == pytest.approx((reward[:, PAIRS[:, 0]] - reward[:, PAIRS[:, 1]]).ravel())


@pytest.fixture(scope="module")
def fitted():
    """Six worlds with eps = 0: cell-wise posterior draws, and refits to resampled labels."""
    result = []
    for seed in range(6):
        world = blind_spot(seed=seed)
        wins = wins_of(world)
        rng = np.random.default_rng(seed)
        draws = laplace(wins, "cells", 400, rng)
        total = wins + np.swapaxes(wins, -1, -2)
        rate = np.divide(wins, total, out=np.full(wins.shape, 0.5), where=total > 0)
        refits = []
        for _ in range(20):
            upper = np.triu(rng.binomial(total.astype(int), rate), 1)
            again = upper + np.swapaxes(np.triu(total, 1) - upper, -1, -2)
            refits.append(laplace(again, "cells", 1, rng, mode_only=True))
        result.append((world, wins, draws, np.array(refits)))
    return result


def test_contraction_finds_missing_cells_and_refit_spread_points_the_wrong_way(fitted):
    missing, contraction, sign, refit = [], [], [], []
    for world, _, draws, refits in fitted:
        summary = contrast_summary(draws, np.sqrt(2) * CELL_SD)
        missing.append(world.missing)
        contraction.append(per_cell(summary.contraction))
        sign.append(per_cell(summary.sign_disagreement))
        refit.append(per_cell(contrast_summary(refits, level=None).sd))
    hole = np.array(missing).ravel()
    assert auc(np.array(contraction).ravel(), hole) == 1.0
    assert auc(np.array(sign).ravel(), hole) == 1.0
    assert auc(np.array(refit).ravel(), hole) == 0.0


def test_draws_disagree_at_chance_on_the_blind_spot_and_hardly_elsewhere(fitted):
    on, off = [], []
    for world, _, draws, _ in fitted:
        value = contrast_summary(draws, level=None).draw_pair_disagreement[:, :, PAIRS[:, 0], PAIRS[:, 1]]
        on.append(value[world.missing].mean())
        off.append(value[~world.missing].mean())
    # 400 draws: one contrast's unbiased estimate near 1/2 has error 1/(2 n), so the mean of 72 lies well within .004.
    assert np.mean(on) == pytest.approx(0.5, abs=0.004)
    assert np.mean(off) <= 0.03
    # Best action: at chance 3/4 on B, with error about sqrt(p (1 - p) / n) at most.
    best = np.array([argmax_disagreement(draws)[world.missing] for world, _, draws, _ in fitted])
    assert best.mean() == pytest.approx(0.75, abs=0.01)


def test_flags_name_exactly_the_blind_spot(fitted):
    for world, wins, draws, _ in fitted:
        counts = wins + np.swapaxes(wins, -1, -2)
        summary = contrast_summary(draws, np.sqrt(2) * CELL_SD)
        component = np.where(counts.any(axis=-1), 0, np.arange(4))
        apart = component[..., :, None] != component[..., None, :]
        design = design_flags(counts, component, component)
        span = world.reward_range[1] - world.reward_range[0]
        seen = posterior_flags(
            summary.sd,
            np.sqrt(2) * CELL_SD,
            summary.width,
            np.where(apart, 2 * span, 0),
            component,
            n_effective=len(draws),
        )
        result = flags(design, seen)
        assert np.array_equal(result.flag.any(axis=-1), world.missing)
        assert set(result.primary[world.missing]) == {"no_data"}
        assert np.array_equal(result.flag[..., FLAGS.index("disconnected")], world.missing)
        assert not seen.model_identified.any()
        off = ~np.eye(4, dtype=bool)
        assert np.all(seen.status[world.missing][:, off] == STATUS.index("prior"))
        assert np.all(seen.status[~world.missing][:, off] == STATUS.index("identified"))


# Published rows of the study, 24 worlds x 40 draws.
ROWS = {
    0.0: {"rate_sd": 0.0006, "in": 0.016, "B": 0.376, "err_in": 0.016, "err_B": 0.379, "worse_B": 0.308, "value": 0.73,
          "predicted": 1.80},
    0.001: {"rate_sd": 0.0005, "in": 0.015, "B": 0.186, "err_in": 0.014, "err_B": 0.176, "worse_B": 0.046,
            "value": 1.58, "predicted": 1.69},
    0.01: {"rate_sd": 0.0005, "in": 0.016, "B": 0.051, "err_in": 0.013, "err_B": 0.043, "worse_B": 0.001,
           "value": 1.81, "predicted": 1.71},
    0.05: {"rate_sd": 0.0007, "in": 0.018, "B": 0.024, "err_in": 0.017, "err_B": 0.024, "worse_B": 0.0, "value": 1.84,
           "predicted": 1.80},
}  # fmt: skip
BEST = 1.84


def study_world(eps, seed):
    """Measure one world: 40 draws of the u + v + h posterior, acting by a tilt at beta = .1."""
    world = blind_spot(eps=eps, seed=seed)
    draws = laplace(wins_of(world), "pooled", 40, np.random.default_rng(1000 + seed))
    hole = world.missing
    disagree = contrast_summary(draws, level=None).draw_pair_disagreement[:, :, PAIRS[:, 0], PAIRS[:, 1]]
    gap = draws[..., PAIRS[:, 0]] - draws[..., PAIRS[:, 1]]
    truth = world.reward[..., PAIRS[:, 0]] - world.reward[..., PAIRS[:, 1]]
    error = ((gap > 0) != (truth > 0)).mean(axis=0)
    weight = np.exp((draws - draws.max(axis=-1, keepdims=True)) / 0.1)
    policy = weight / weight.sum(axis=-1, keepdims=True)
    centred = world.reward - world.reward.mean(axis=-1, keepdims=True)
    value = np.sum(policy * centred, axis=-1)
    held = np.sum(policy * (draws - draws.mean(axis=-1, keepdims=True)), axis=-1)
    beats = expit(world.contrast).mean(axis=-1)  # true chance to beat an action drawn from the reference
    rate = np.sum(policy * beats, axis=-1)[:, ~hole].mean(axis=1)
    return {
        "in": disagree[~hole].mean(),
        "B": disagree[hole].mean(),
        "err_in": error[~hole].mean(),
        "err_B": error[hole].mean(),
        "worse_in": (value < 0)[:, ~hole].mean(),
        "worse_B": (value < 0)[:, hole].mean(),
        "value": value[:, hole].mean(),
        "predicted": held[:, hole].mean(),
        "top": centred[hole].max(axis=-1).mean(),
        "rate_sd": rate.std(ddof=1),
    }


@pytest.mark.slow
@pytest.mark.parametrize("eps", sorted(ROWS))
def test_published_table_within_monte_carlo_error(eps):
    """Compare 120 worlds with the published 24: three standard errors of the difference, from our spread over worlds.

    With 32 comparisons a right table fails about once in 12 seeds at independence; the seeds are fixed. Prior = truth
    (u, v, h standard normal), types observed. Printed to three digits, hence the half unit.
    """
    worlds = 120
    runs = [study_world(eps, seed) for seed in range(worlds)]
    table = {name: np.array([run[name] for run in runs]) for name in runs[0]}
    for name, want in (ROWS[eps] | {"top": BEST}).items():
        error = table[name].std(ddof=1) * np.sqrt(1 / worlds + 1 / 24)
        digit = 0.005 if name in ("value", "predicted", "top") else 0.00005 if name == "rate_sd" else 0.0005
        assert abs(table[name].mean() - want) <= 3 * error + digit, (name, table[name].mean(), want, error)
    assert table["worse_in"].max() == 0
    assert table["rate_sd"].max() < 0.005
    # Posterior disagreement matches the true error at every eps, on B and off it.
    for place in ("in", "B"):
        gap = table[place] - table[f"err_{place}"]
        assert abs(gap.mean()) <= 3.5 * gap.std(ddof=1) / np.sqrt(worlds), (place, gap.mean())


@pytest.mark.slow
def test_refits_of_a_model_without_interaction_agree_on_the_blind_spot_and_are_wrong():
    agree, wrong = [], []
    for seed in range(24):
        world = blind_spot(seed=seed)
        wins = wins_of(world)
        rng = np.random.default_rng(seed)
        total = np.triu(wins + np.swapaxes(wins, -1, -2), 1)
        rate = np.divide(np.triu(wins), total, out=np.zeros(wins.shape), where=total > 0)
        refits = []
        for _ in range(10):
            upper = rng.binomial(total.astype(int), rate).astype(float)
            again = upper + np.swapaxes(total - upper, -1, -2)
            refits.append(laplace(again, "additive", 1, rng, mode_only=True))
        reward = np.array(refits)
        clash = contrast_summary(reward, level=None).draw_pair_disagreement[:, :, PAIRS[:, 0], PAIRS[:, 1]]
        agree.append(clash[world.missing].mean())
        gap = reward[..., PAIRS[:, 0]] - reward[..., PAIRS[:, 1]]
        truth = world.contrast[:, :, PAIRS[:, 0], PAIRS[:, 1]]
        wrong.append(((gap > 0) != (truth > 0))[:, world.missing].mean())
    # Published (12 worlds): disagreement 0, refitting the same labels (resampled ones leave a little); error .354.
    assert np.mean(agree) < 0.05
    assert abs(np.mean(wrong) - 0.354) <= 3 * np.std(wrong, ddof=1) * np.sqrt(1 / 24 + 1 / 12)
