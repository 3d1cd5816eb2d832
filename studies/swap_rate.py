"""Swapping a share rho of comparisons into other contexts: what it buys, and how large it must be.

World: the blind-spot world without interaction: two of eight (state, type) cells are never asked about. A swapped
comparison keeps its state and is shown to a person of either type, at random; the share of a cell is then (1 - rho)
times what is collected plus rho times half of its state's. A cell is covered from 30 comparisons on.

Shows: without swaps two cells stay empty whatever n, and the least eigenvalue of the information of a model with a
reward for every cell is zero; it rises in proportion to rho. The least rate at which every cell reaches its floor with
probability .95 falls as 1/n; simulated collections reach the floors as often as the exact multinomial probability says,
hardly more often than the union bound behind the rate, and at half the rate they mostly fail.

Does not show: that swaps are needed under every model. A model without interaction reads the empty cells off the others
and has information about them at rho = 0, which swaps raise two and a half times at most: what it assumes, swaps would
check. Nor that a swapped answer means what an unswapped one does; ``prompt_swaps`` asks that of a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayespref.choice import zero_sum_basis
from bayespref.graph.swap_rate import plan_swaps, reach_bound, reach_probability
from bayespref.information import fisher, overlap
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.annotate import annotate
from bayespref.simulate.scenarios import blind_spot
from bayespref.simulate.world import World

SIZES = {"quick": {"repetitions": 300}, "full": {"repetitions": 4000}}
RATES, SIZE, FLOOR = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0), 2000, 30
BUDGETS = (1000, 2000, 8000, 16_000)
PROBABILITY = 0.95
_AT_ONCE = 1000


def cases(*, repetitions: int) -> list[dict[str, Any]]:
    """Rates at one size, then the planned rate, and half of it, at several sizes."""
    settings = [{"kind": "rate", "rate": rate, "n": SIZE} for rate in RATES]
    settings += [{"kind": kind, "rate": -1.0, "n": n} for kind in ("planned", "half the planned") for n in BUDGETS]
    batches = [min(_AT_ONCE, repetitions - start) for start in range(0, repetitions, _AT_ONCE)]
    return [one | {"repetitions": batch} for one in settings for batch in batches]


def run_case(*, seed: int, kind: str, rate: float, n: int, repetitions: int) -> list[dict[str, Any]]:
    """What theory says of a rate, and whether simulated collections reached every floor."""
    world = blind_spot(scale=(1.0, 1.0, 0.0), n_annotators=1000)
    collected = world.prompt_prob * world.type_weight
    plan = plan_swaps(world.comparisons, n, FLOOR, by=("state",), probability=PROBABILITY)
    used = {"rate": rate, "planned": float(plan.rate), "half the planned": float(plan.rate) / 2.0}[kind]
    swapped = np.repeat(collected.sum(axis=1, keepdims=True) / 2.0, 2, axis=1)
    share = (1.0 - used) * collected + used * swapped
    exact = reach_probability(share.ravel(), n, FLOOR)
    saturated, additive = _least_information(world, share)
    known = {
        "kind": kind,
        "n": n,
        "asked_rate": rate,
        "rate": used,
        "bound": float(reach_bound(share.ravel(), n, FLOOR)),
    }
    known |= {"exact": exact, "lambda_saturated": saturated, "lambda_additive": additive}
    records = []
    for repetition in range(repetitions):
        rows = annotate(
            world.reward,
            type_weight=share.sum(axis=0),
            prompt_prob=share / share.sum(axis=0),
            n_annotators=n,
            labels_per_annotator=1,
            seed=np.random.SeedSequence([seed, repetition]),
        )
        cell = np.bincount(rows.state * 2 + rows.annotator_type[rows.annotator], minlength=8)
        met = cell >= FLOOR
        records.append(known | {"covered": float(met.mean()), "reached": float(met.all())})
    return records


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Shares over simulated collections beside what theory says."""
    by = ["kind", "n", "asked_rate"]
    grouped = records.groupby(by, sort=False)
    table = grouped.mean().reset_index()
    n = grouped.size().to_numpy()
    # a share of nearly all or none has no spread to read an error off: the exact probability's own
    table["reached_se"] = np.sqrt(table["exact"] * (1.0 - table["exact"]) / n)
    table["covered_se"] = grouped["covered"].sem().to_numpy()
    table["beyond_exact"], table["beyond_exact_se"] = table["reached"] - table["exact"], table["reached_se"]
    table["lambda_per_rate"] = table["lambda_saturated"] / table["rate"].where(table["rate"] > 0)
    table["bound_gap"] = table["exact"] - table["bound"]
    table["rate_times_n"] = table["rate"] * table["n"]
    return table.assign(repetitions=n)


def figure(table: pd.DataFrame) -> Figure:
    """Chance that every cell is covered against the swap rate: simulated, exact, bound."""
    own = table[(table["kind"] == "rate") & (table["rate"] <= 0.3)]
    lines = []
    for column, words in (("reached", "simulated"), ("exact", "exact"), ("bound", "union bound")):
        part = own[["rate"]].assign(chance=own[column].clip(lower=0.0), line=words)
        lines.append(part.assign(chance_se=own["reached_se"] if column == "reached" else 0.0))
    return curves(
        pd.concat(lines),
        x="rate",
        y="chance",
        by="line",
        title=f"Covering two cells that nobody asks about, with {SIZE:,} comparisons",
        x_label="share of comparisons shown to a person of either type (rho)",
        y_label=f"every cell has {FLOOR} comparisons",
        levels={f"{PROBABILITY:g}": PROBABILITY},
    )


def _least_information(world: World, share: NDArray[np.float64]) -> tuple[float, float]:
    """Least eigenvalue of the information per comparison: a reward for every cell, and state plus type effects."""
    basis = zero_sum_basis(4)
    a, b = np.triu_indices(4, 1)
    pairs = basis[a] - basis[b]
    by_cell = [
        share[s, c] * float(overlap(fisher(pairs, basis.T @ world.reward[s, c])).lambda_min)
        for s, c in np.ndindex(4, 2)
    ]
    state, kind = (axis.ravel().repeat(len(pairs)) for axis in np.indices((4, 2)))
    rows = np.tile(pairs, (8, 1))
    # sum-to-zero contrast of the two types, so that every coefficient is free
    difference = np.concatenate(
        [*[rows * (state == s)[:, None] for s in range(4)], rows * (kind - 0.5)[:, None]], axis=1
    )
    effect = [world.reward[s].mean(axis=0) @ basis for s in range(4)]
    between = (world.reward[0, 1] - world.reward[0, 0]) @ basis
    weight = np.repeat(share.ravel(), len(pairs))
    information = fisher(difference, np.concatenate([*effect, between]), weight)
    return float(min(by_cell)), float(overlap(information).lambda_min)
