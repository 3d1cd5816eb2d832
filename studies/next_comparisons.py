"""A budget of 500 more comparisons: what asking the proposed ones is worth on a blind spot.

Shows: on the blind-spot world, where two of eight (state, type) cells have a mass of .001 or .01 each, 500 comparisons
chosen by ``next_comparisons``, at once or in five batches with a refit between them, leave at most a fifth of the
regret of later choices in the two cells that 500 more of the logged kind leave, and at most half of what random pairs
in all cells leave; both hold two Monte-Carlo standard errors above the estimates (.06 +- .03 of passive and .26 +- .10
of random for one batch at .001; .10 +- .04 and .14 +- .04 at .01; 20 worlds of 4 draws of answers each, errors from
leaving out worlds). This is for favourites drawn from the posterior; the posterior mean's favourite has regret left in
one setting only (one batch at .001, .02 +- .01 of passive).

Does not show: the same for a wrong model. Types are observed and every (state, type) has its own rewards, with normal
priors of standard deviation 1.5; posteriors are normal approximations cell by cell. At .01 few worlds have any regret
to lose, .03 after passive collection, and a small study says little: the quick form has six worlds.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.comparisons import Comparisons, from_codes
from bayespref.design.state import logistic_mode
from bayespref.information import quotient_basis
from bayespref.posterior.tree import META, variables_dataset
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.annotate import outcome_probabilities
from bayespref.simulate.scenarios import blind_spot
from bayespref.simulate.world import World
from bayespref.studies.resampling import jackknife
from bayespref.workflow import next_comparisons

SIZES = {"quick": {"seeds": 6, "reps": 1}, "full": {"seeds": 20, "reps": 4}}
SHARED_SEED = True
BUDGET, PRIOR_SD, DRAWS = 500, 1.5, 400
STRATEGIES = ("none", "passive", "random", "next", "next in 5 batches")


def cases(*, seeds: int, reps: int) -> list[dict[str, Any]]:
    """Masses of the blind cells by worlds."""
    return [{"eps": eps, "world": world, "reps": reps} for eps in (0.001, 0.01) for world in range(seeds)]


def fitted(comparisons: Comparisons, rng: np.random.Generator) -> xr.DataTree:
    """A fit of observed types, cell by cell: normal approximation at the mode, in the layout that a sampler leaves."""
    n_states, kinds, n_items = comparisons.n_states, comparisons.contexts, comparisons.n_items
    basis = quotient_basis(np.zeros(n_items, dtype=np.int64))
    wins = np.zeros((n_states, len(kinds), n_items, n_items))
    reward = np.empty((DRAWS, n_states, len(kinds), n_items))
    for s, c in np.ndindex(n_states, len(kinds)):
        mine = (comparisons.state == s) & (comparisons.context == c)
        a, b, won = comparisons.item_a[mine], comparisons.item_b[mine], comparisons.outcome[mine] == 0
        np.add.at(wins[s, c], (np.where(won, a, b), np.where(won, b, a)), 1.0)
        mode, covariance = logistic_mode(basis[a] - basis[b], won.astype(float), PRIOR_SD**-2.0)
        reward[:, s, c] = rng.multivariate_normal(mode, covariance, size=DRAWS) @ basis.T
    weight = np.bincount(comparisons.codes("context"), minlength=len(kinds)) / comparisons.n_rows
    variables = {"reward": reward[None], "type_weight": np.tile(weight, (1, DRAWS, 1))}
    table = comparisons.to_dataset()
    state, kind, first, second = np.nonzero(wins)
    expected = np.zeros((len(kinds), len(state), 1))
    expected[kind, np.arange(len(state)), 0] = wins[state, kind, first, second]
    asked = {"question_state": state, "question_a": first, "question_b": second}
    fit = xr.Dataset(
        {"expected_count": (("type", "question", "outcome"), expected), "outcome_code": ("outcome", [0])}
        | {name: ("question", values) for name, values in asked.items()}
    )
    tree = xr.DataTree.from_dict(
        {
            "posterior": variables_dataset(variables, comparisons, kinds),
            "constant_data": table.drop_vars("outcome"),
            "observed_data": table[["outcome"]],
            "fit": fit,
        }
    )
    tree.attrs[META] = json.dumps({"model": "cells", "options": {"types_observed": True}})
    return tree


def answered(world: World, before: Comparisons, asked: pd.DataFrame, rng: np.random.Generator) -> Comparisons:
    """The table with answers to what was asked, drawn from the truth."""
    codes = {
        name: asked[column].map({label: k for k, label in enumerate(labels)}).to_numpy().repeat(asked["n"])
        for name, column, labels in (
            ("state", "state", before.states),
            ("context", "context", before.contexts),
            ("item_a", "item_a", before.items),
            ("item_b", "item_b", before.items),
        )
    }
    reward = world.reward[codes["state"], codes["context"]]
    rows = np.arange(len(reward))
    chance = outcome_probabilities(reward[rows, codes["item_a"]] - reward[rows, codes["item_b"]])[0]
    outcome = (rng.random(len(rows)) >= chance).astype(np.int64)
    joined = {name: np.concatenate([getattr(before, name), values]) for name, values in codes.items()}
    return from_codes(
        joined["item_a"],
        joined["item_b"],
        np.concatenate([before.outcome, outcome]),
        items=before.items,
        state=joined["state"],
        states=before.states,
        context=joined["context"],
        contexts=before.contexts,
    )


def randomly(world: World, cells: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Random pairs, cells drawn with the given probabilities."""
    n_states, n_types, n_items = world.reward.shape
    pairs = np.stack(np.triu_indices(n_items, 1), axis=1)
    counts = rng.multinomial(BUDGET, np.repeat(cells.ravel(), len(pairs)) / len(pairs))
    state, kind, pair = np.unravel_index(np.flatnonzero(counts), (n_states, n_types, len(pairs)))
    table = world.comparisons
    return pd.DataFrame(
        {
            "state": np.array(table.states)[state],
            "context": np.array(table.contexts)[kind],
            "item_a": np.array(table.items)[pairs[pair, 0]],
            "item_b": np.array(table.items)[pairs[pair, 1]],
            "n": counts[counts > 0],
        }
    )


def regrets(world: World, tree: xr.DataTree) -> dict[str, float]:
    """Regret in the blind cells: of the posterior mean's favourite, and of a favourite drawn from the posterior."""
    draws = tree["posterior"].to_dataset()["reward"].values[0]
    best = world.reward.max(axis=-1)
    liked = np.take_along_axis(world.reward, draws.mean(axis=0).argmax(axis=-1)[..., None], axis=-1)[..., 0]
    drawn = np.take_along_axis(np.broadcast_to(world.reward, draws.shape), draws.argmax(axis=-1)[..., None], axis=-1)
    by_mean, by_draw = best - liked, best - drawn[..., 0].mean(axis=0)
    return {"regret": float(by_mean[world.missing].mean()), "regret_drawn": float(by_draw[world.missing].mean())}


def run_case(*, seed: int, eps: float, world: int, reps: int) -> list[dict[str, Any]]:
    """All strategies in one world, each with its own answers."""
    truth = blind_spot(eps=eps, seed=1000 * (seed - 1) + world, deployment_on_missing=1.0)
    logged, even = truth.prompt_prob * truth.type_weight, np.full(truth.missing.shape, 1 / truth.missing.size)
    base = from_codes(
        truth.comparisons.item_a,
        truth.comparisons.item_b,
        truth.comparisons.outcome,
        items=truth.comparisons.items,
        state=truth.comparisons.state,
        states=truth.comparisons.states,
        context=truth.comparisons.context,
        contexts=truth.comparisons.contexts,
    )
    records = []
    for rep in range(reps):
        for k, strategy in enumerate(STRATEGIES):
            rng = np.random.default_rng([seed, world, round(1000 * eps), rep, k])
            table = base
            if strategy in ("passive", "random"):
                table = answered(truth, table, randomly(truth, logged if strategy == "passive" else even, rng), rng)
            for batch in range({"next": 1, "next in 5 batches": 5}.get(strategy, 0)):
                of = 1 if strategy == "next" else 5
                proposals = next_comparisons(
                    fitted(table, rng), BUDGET / of, deployment=truth.deployment, max_draws=200, seed=batch
                )
                table = answered(truth, table, proposals, rng)
            found = regrets(truth, fitted(table, rng))
            records.append({"eps": eps, "world": world, "strategy": strategy, "labels": table.n_rows} | found)
    return records


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Mean regret by mass and strategy, and which share of that of passive or random collection it is.

    Errors come from leaving out worlds; ``_upper`` is two of them above. A share is undefined where the other
    collection has no regret either.
    """
    rows: list[dict[str, Any]] = []
    for eps, part in records.groupby("eps", sort=False):
        worlds = part.pivot_table(["regret", "regret_drawn"], index="world", columns="strategy")
        found = jackknife(worlds.reset_index(), "world", _shares)
        for strategy in STRATEGIES:
            own = {name.removeprefix(f"{strategy}|"): x for name, x in found.items() if name.startswith(f"{strategy}|")}
            rows.append({"eps": eps, "strategy": strategy} | own)
    table = pd.DataFrame(rows)
    for name in [name for name in map(str, table) if "_of_" in name and not name.endswith("_se")]:
        table[f"{name}_upper"] = table[name] + 2 * table[f"{name}_se"]
    return table


def _shares(worlds: pd.DataFrame) -> dict[str, float]:
    """Mean regrets and their shares of the yardsticks', ``strategy|column``."""
    found = {}
    for column in ("regret", "regret_drawn"):
        mean = {strategy: float(worlds[column, strategy].mean()) for strategy in STRATEGIES}
        for strategy in STRATEGIES:
            found[f"{strategy}|{column}"] = mean[strategy]
            for yardstick in ("passive", "random"):
                share = mean[strategy] / mean[yardstick] if mean[yardstick] > 0 else np.nan
                found[f"{strategy}|{column}_of_{yardstick}"] = share
    return found


def figure(table: pd.DataFrame) -> Figure:
    """Regret on the blind spot against its mass, by strategy."""
    return curves(
        table,
        x="eps",
        y="regret_drawn",
        by="strategy",
        log_x=True,
        title="500 proposed comparisons against 500 others",
        x_label="mass of each blind cell in the log",
        y_label="regret in the blind cells, log-odds",
    )
