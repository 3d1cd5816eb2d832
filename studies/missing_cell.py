"""What marks a cell that nobody was asked about: contraction, disagreement about signs, or the spread of refits.

World: four states, two types, three items; rewards of the eight cells are independent, N(0, 1.7^2). Two cells have mass
eps each, the rest is even; 150 people give one answer each, types are observed. The posterior is the Laplace
approximation of ``latent_types`` under the prior that the truth is drawn from. Every statistic is averaged over the
three contrasts of a cell. ``contraction``: posterior over prior standard deviation. ``sign``: min(P(d > 0), P(d < 0)).
``refit``: standard deviation of the contrast's mode over refits to people drawn anew; ``refit_weighted``: to people
weighted anew, which is what ``refits`` does. Separation is the area under the ROC curve for "the cell is missing", 15
worlds together, and ``wrong_`` that for "the posterior mean has the wrong sign", contrast by contrast.

Shows: contraction finds missing cells, and hardly misses one of mass .03, where sign disagreement has fallen below .9.
The spread of refits points the wrong way: where nobody was asked every refit returns the prior's mean, and refits agree
perfectly. At eps = .03 (four or five answers a cell) it is a little better than a coin. Whether a sign is wrong, sign
disagreement tells best.

Does not show: that low contraction means a right answer. It says that data spoke, under the model: one without
interaction contracts in cells that nobody visited. Nor a threshold: separation orders cells and needs none.

Where sources err: nowhere that can be told. The published table states neither its world nor its sizes. This world was
the nearest of about a hundred settings, so that its numbers come near is no evidence; what is claimed is the order of
the statistics and the shape of each over eps.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayespref.comparisons import Comparisons
from bayespref.disagree.known_truth import separation
from bayespref.disagree.spread import contrast_summary
from bayespref.fit.density import make_density
from bayespref.fit.laplace import laplace_draws, refit_modes, stack_tables
from bayespref.models import latent_types
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.annotate import annotate
from bayespref.simulate.population import independent_reward, prompts_with_holes
from bayespref.simulate.scenarios import BLIND_SPOT_CELLS
from bayespref.simulate.world import stream, table
from bayespref.studies.runner import mean_and_error

SIZES = {"quick": {"batches": 4}, "full": {"batches": 24}}
MASSES, TOGETHER, AT_ONCE = (0.0, 0.001, 0.01, 0.03), 15, 4
STATES, TYPES, ITEMS, SCALE, PEOPLE = 4, 2, 3, 1.7, 150
DRAWS, REFITS = 200, 20
STATISTICS = {
    "contraction": "contraction",
    "sign": "sign disagreement",
    "refit": "spread of refits, drawn",
    "refit_weighted": "spread of refits, weighted",
}


def cases(*, batches: int) -> list[dict[str, Any]]:
    """Batches of worlds, every mass in each."""
    return [{"batches": min(AT_ONCE, batches - start)} for start in range(0, batches, AT_ONCE)]


def run_case(*, seed: int, batches: int) -> list[dict[str, Any]]:
    """Separation by every statistic, for each mass and batch of worlds."""
    missing = np.zeros((STATES, TYPES), dtype=bool)
    missing[tuple(zip(*BLIND_SPOT_CELLS, strict=True))] = True
    worlds = range(seed, seed + batches * TOGETHER)
    truth = np.stack([independent_reward(STATES, TYPES, ITEMS, scale=SCALE, seed=stream(k, 0)) for k in worlds])
    tables = [_collect(r, missing, eps, k) for eps in MASSES for k, r in zip(worlds, truth, strict=True)]
    with jax.enable_x64(True):
        stack = stack_tables(tables, group_by_context=True)
        known = {"n_types": TYPES, "types_observed": True, "endogenous_prompts": False, "reward_scale": SCALE}
        density = make_density(latent_types, stack.data, known)
        key, rng = jax.random.key(seed), np.random.default_rng(seed)
        draws = laplace_draws(density, stack, rng_key=key, draws=DRAWS)["reward"]
        many = stack.take(np.tile(np.repeat(np.arange(len(tables)), REFITS), 2))
        half = np.asarray(many.multiplicity)[: len(tables) * REFITS]
        anew = np.concatenate([rng.poisson(half), rng.gamma(half)])  # one program for both
        modes = refit_modes(density, many._replace(multiplicity=jnp.asarray(anew)), rng_key=key)["reward"]
    refits = modes.reshape(2, len(tables), REFITS, STATES, TYPES, ITEMS)
    low, high = np.triu_indices(ITEMS, k=1)
    posterior = [contrast_summary(one, np.sqrt(2.0) * SCALE, level=None) for one in draws]
    score = {
        "contraction": np.stack([one.contraction for one in posterior])[..., low, high],
        "sign": np.stack([one.sign_disagreement for one in posterior])[..., low, high],
    }
    for name, own in zip(("refit", "refit_weighted"), refits, strict=True):
        score[name] = np.stack([contrast_summary(one, level=None).sd for one in own])[..., low, high]
    mean = np.stack([one.mean for one in posterior])[..., low, high]
    gap = np.tile(truth[..., low] - truth[..., high], (len(MASSES), 1, 1, 1))
    return [_separations(MASSES[b // batches], missing, score, mean * gap < 0, b) for b in range(len(MASSES) * batches)]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Mean separation by mass, and differences between statistics, batch by batch."""
    both = records.assign(
        contraction_over_sign=records["contraction"] - records["sign"],
        sign_over_refit=records["sign"] - records["refit"],
        sign_over_refit_weighted=records["sign"] - records["refit_weighted"],
        wrong_sign_over_contraction=records["wrong_sign"] - records["wrong_contraction"],
        wrong_sign_over_refit=records["wrong_sign"] - records["wrong_refit"],
    )
    return mean_and_error(both, ["eps"])


def figure(table: pd.DataFrame) -> Figure:
    """Separation of missing cells against their mass, by statistic."""
    lines = [
        pd.DataFrame({"eps": table["eps"], "auc": table[name], "auc_se": table[f"{name}_se"], "line": words})
        for name, words in STATISTICS.items()
    ]
    return curves(
        pd.concat(lines),
        x="eps",
        y="auc",
        by="line",
        log_x=True,
        title="Refits agree where nobody was asked: their spread marks the wrong cells",
        x_label="mass of each missing cell",
        y_label="AUC for: cell is missing",
    )


def _collect(reward: NDArray[np.float64], missing: NDArray[np.bool_], eps: float, world: int) -> Comparisons:
    """One answer each; the same world at every mass."""
    weight = np.full(TYPES, 1.0 / TYPES)
    rows = annotate(
        reward,
        type_weight=weight,
        prompt_prob=prompts_with_holes(missing, weight, eps=eps),
        n_annotators=PEOPLE,
        labels_per_annotator=1,
        seed=stream(world, 1),
    )
    return table(rows, reward.shape, {"world": "missing_cell", "eps": eps, "seed": world}).pool("annotator")


def _separations(
    eps: float, missing: NDArray[np.bool_], score: dict[str, NDArray[np.float64]], wrong: NDArray[np.bool_], batch: int
) -> dict[str, Any]:
    """Separation of missing cells, and of contrasts with the wrong sign, in one batch of worlds."""
    here = slice(batch * TOGETHER, (batch + 1) * TOGETHER)
    hole = np.tile(missing, (TOGETHER, 1, 1)).ravel()
    found: dict[str, Any] = {"eps": eps}
    for name, value in score.items():
        found[name] = separation(value[here].mean(axis=-1).ravel(), hole)
        found[f"wrong_{name}"] = separation(value[here].ravel(), wrong[here].ravel())
    return found
