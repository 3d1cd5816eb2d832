"""Types of people in real tables: what is published is found, and what is no type is not taken for one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import bayespref
from bayespref.choice import choice_data
from bayespref.dims import A_WINS, B_WINS, TIE
from bayespref.fit.density import make_density, responsibilities
from bayespref.fit.em import find_modes
from bayespref.fit.evaluate import annotator_values
from bayespref.models import latent_types, single
from bayespref.workflow.comparing import choose_types

pytestmark = pytest.mark.slow


def read(folder, name):
    columns = {"annotator": "rater_id", "state": "state"}
    return bayespref.read_comparisons(folder / name, adapter="labels", columns=columns)


def ties_as_half_wins(table):
    """Every tie becomes half a win for either side."""
    tie = table.outcome == TIE
    rows = np.concatenate([np.arange(table.n_rows), np.flatnonzero(tie)])
    outcome = table.outcome[rows].copy()
    outcome[: table.n_rows][tie], outcome[table.n_rows :] = A_WINS, B_WINS
    weight = np.where(table.outcome[rows] == TIE, 0.5, 1.0) * table.weight[rows]
    return replace(table.select(rows), outcome=outcome, weight=weight)


def test_the_two_types_of_german_voters_are_the_published_ones(data_folder):
    """Computed once with another program (README of the data): EM, ties as half wins, ridge 0.01."""
    table = ties_as_half_wins(read(data_folder, "gles2013_parties/comparisons.csv"))
    options = {"n_types": 2, "reward_scale": 10.0, "weight_concentration": 1.0}
    with jax.enable_x64(True):
        data, outcome = choice_data(table)
        density = make_density(latent_types, data, options)
        modes = find_modes(density, data, outcome, rng_key=jax.random.key(0), n_starts=4, progress=False)
        values = density.variables(jnp.asarray(modes.flat[0]), data)
    order = np.argsort(-np.asarray(values["type_weight"]))
    reward = pd.DataFrame(np.asarray(values["reward"])[0, order], columns=table.items)
    np.testing.assert_allclose(np.asarray(values["type_weight"])[order], [0.53, 0.47], atol=0.005)
    left = {"SPD": 0.79, "Greens": 0.56, "Left_Party": 0.22, "CDU/CSU": -0.47, "FDP": -1.10}
    right = {"CDU/CSU": 2.22, "SPD": 0.18, "FDP": 0.09, "Greens": -0.85, "Left_Party": -1.63}
    for row, published in enumerate((left, right)):
        np.testing.assert_allclose(reward.loc[row, list(published)], list(published.values()), atol=0.0075)


def test_experts_and_authors_are_not_two_types(data_folder):
    """One type is chosen; and two types, forced on the table, do not split the judges by role (permutation test)."""
    table = read(data_folder, "mtbench_human/comparisons.csv").pool("state")
    found = choose_types(table, (1, 2), progress=False)
    assert int(found["chosen"]) == 1
    with jax.enable_x64(True):
        data, outcome = choice_data(table)
        density = make_density(latent_types, data, {"n_types": 2})
        modes = find_modes(density, data, outcome, rng_key=jax.random.key(0), n_starts=4, progress=False)
        member = np.asarray(responsibilities(density.unit_log_joint(jnp.asarray(modes.flat[0]), data, outcome)))[:, 0]
    roles = pd.read_csv(data_folder / "mtbench_human" / "comparisons.csv").groupby("rater_id")["rater_type"].first()
    author = roles.loc[list(table.annotators)].to_numpy() == "author"
    assert author.sum() == 7
    rng = np.random.default_rng(0)
    chance = [abs(member[a].mean() - member[~a].mean()) for a in (rng.permutation(author) for _ in range(2000))]
    assert np.mean(chance >= abs(member[author].mean() - member[~author].mean())) > 0.05


def test_decisive_crowd_workers_are_the_competent_ones(data_folder):
    """Spearman with the published MACE competence: 0.49 over 567 workers with 20 judgments or more (0.67 from 100)."""
    table = read(data_folder, "ukpconvarg_crowd/comparisons.parquet").pool("state")
    with jax.enable_x64(True):
        data, outcome = choice_data(table)
        density = make_density(single, data, {"decisiveness": "annotator"})
        slope = jax.jit(jax.value_and_grad(lambda x: -density.log_joint(x, data, outcome)))
        mode = optimize.minimize(
            lambda x: tuple(np.asarray(part, dtype=float) for part in slope(jnp.asarray(x))),
            np.zeros(density.size),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 300},
        ).x
        found = annotator_values(density, mode[None], data, outcome, mode).log_decisiveness[:, 0]
    workers = pd.read_csv(data_folder / "ukpconvarg_crowd" / "raters.csv").set_index("rater_id")
    workers = workers.loc[list(table.annotators)]
    for least, count, published in ((20, 567, 0.493), (100, 117, 0.674)):
        many = workers["n_judgments"].to_numpy() >= least
        assert many.sum() == count
        rank = stats.spearmanr(found[many], workers["mace_competence"][many]).statistic
        assert rank == pytest.approx(published, abs=0.02)
