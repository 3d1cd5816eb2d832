"""Policies learnt from passive and from designed comparisons, at equal budget, used elsewhere.

World: two features of a response whose weight depends on prompt slice (three) and evaluator (two who can be asked, one
who cannot); a logistic model of eight coefficients, which is right. Passive comparisons come to 98 % from one slice, to
99 % from one evaluator, always with a correlation of .98 between the features. Twelve sources can be asked: slice by
evaluator by sign of the correlation. ``even`` asks all alike; ``E`` and ``A`` are the optimal mixtures for a pilot's
estimate. 600 labels each; a fifth of every designed set is the pilot, passive. A policy picks the best of four
responses. Win rate: the chance that the evaluator of the test prefers its pick to the passive policy's; the true
coefficients' own rate is the most that data can gain.

Shows: shifted prompts, factor (opposite correlation) or evaluator (the one hardly asked) cost the passive policy 1 to 4
points of win rate, all three 8; designed data of the same size recover three quarters of it for prompts, eight or nine
tenths for the rest. The worst slice gains only where the factor shifts.

Does not show: a gain everywhere. In distribution design gains nothing, and the worst slice of shifted prompts, which
the passive policy knows best, loses half a point. For an evaluator whom no source reaches nothing is gained of the five
points there are, and the worst slice loses three: coverage that cannot be bought is not bought by design. The optimal
mixtures do no better than an even spread over the sources, which needs no pilot.

Where sources err: "designed data generalise" names no population; there are two above on which they do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayespref.design.mixture import optimal_mixture
from bayespref.design.rounding import efficient_rounding
from bayespref.design.state import logistic_mode
from bayespref.disagree.known_truth import pick_win_rate
from bayespref.information import gaussian_fisher
from bayespref.report.plots_studies import bars
from bayespref.report.plots_style import Figure
from bayespref.simulate.shifts import ShiftWorld, contexts, correlated, shift_comparisons, shift_world
from bayespref.studies.resampling import jackknife

SIZES = {"quick": {"worlds": 160}, "full": {"worlds": 400}}
LABELS, PILOT, PRECISION, CASES, CANDIDATES = 600, 0.2, 1.0, 400, 4
CORRELATION, RARE = 0.98, 0.01
TESTS = {
    "in distribution": ("passive", 0, 1.0),
    "prompt": ("even", 0, 1.0),
    "factor": ("passive", 0, -1.0),
    "evaluator": ("passive", 1, 1.0),
    "all three": ("even", 1, -1.0),
    "evaluator never asked": ("passive", 2, 1.0),
}
"""Name of a test: its prompt slices, its evaluator, and the sign of the correlation among what is offered."""
DESIGNS = ("even", "E", "A")


def cases(*, worlds: int) -> list[dict[str, Any]]:
    """Worlds, twenty at a time."""
    return [{"first": first, "worlds": min(20, worlds - first)} for first in range(0, worlds, 20)]


def run_case(*, seed: int, first: int, worlds: int) -> list[dict[str, Any]]:
    """One record a world, design and test."""
    records = []
    for k in range(worlds):
        world, rng = shift_world(correlation=CORRELATION, rare=RARE, seed=seed + k), np.random.default_rng([seed, k])
        fitted = {design: fit(world, design, rng) for design in ("passive", *DESIGNS)}
        for test in TESTS:
            rates = win_rates(world, test, fitted, rng)
            records += [{"world": first + k, "test": test, "design": name} | rate for name, rate in rates.items()]
    return records


def fit(world: ShiftWorld, design: str, rng: np.random.Generator) -> np.ndarray:
    """Collect by a design, a passive pilot first, and fit all of it."""
    pilot = efficient_rounding(world.passive, round(LABELS * (1.0 if design == "passive" else PILOT))).counts
    rows, wins = shift_comparisons(world, pilot, seed=int(rng.integers(2**31)))
    estimate, _ = logistic_mode(rows, wins.astype(float), PRECISION)
    if design == "passive":
        return estimate
    share = np.full(len(world.source), 1.0 / len(world.source))
    if design != "even":
        information = gaussian_fisher(world.design, estimate)
        share = optimal_mixture(information, criterion=design, floors=PILOT * world.passive).weights
        share = np.maximum(share - PILOT * world.passive, 0.0)
        share = share / share.sum()
    more = efficient_rounding(share, LABELS - int(pilot.sum())).counts
    new_rows, new_wins = shift_comparisons(world, more, seed=int(rng.integers(2**31)))
    label = np.concatenate([wins, new_wins]).astype(float)
    return logistic_mode(np.concatenate([rows, new_rows]), label, PRECISION)[0]


def win_rates(
    world: ShiftWorld, test: str, fitted: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Win rate of every design against passive under a test, over slices and in the worst of them."""
    prompts, evaluator, sign = TESTS[test]
    slices = np.array([world.passive[world.source[:, 0] == s].sum() for s in range(3)])
    share = slices if prompts == "passive" else np.full(3, 1.0 / 3.0)
    offered = correlated(np.full((3, CASES, CANDIDATES), sign * world.correlation), rng)
    found = {}
    for design in (*DESIGNS, "truth"):
        by_slice = []
        for s in range(3):
            # a policy has no coefficients for who was never asked, and serves her as it serves the first evaluator
            here = contexts(np.array([s]), np.array([evaluator if evaluator < 2 else 0]))[0]
            truth, passive = world.of_cell[s, evaluator], here @ fitted["passive"].reshape(4, 2)
            mine = truth if design == "truth" else here @ fitted[design].reshape(4, 2)
            by_slice.append(pick_win_rate(offered[s], mine, passive, truth).mean())
        found[design] = {"win": float(share @ by_slice), "worst_slice": float(min(by_slice))}
    return found


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Means over worlds by test and design, and the share of what truth would gain; errors by leaving out worlds."""
    best = records[records["design"] == "truth"].set_index(["test", "world"])["win"].rename("ceiling")
    joined = records.join(best, on=["test", "world"])
    rows = [
        {"test": test, "design": design} | jackknife(part, "world", _means)
        for (test, design), part in joined.groupby(["test", "design"], sort=False)
    ]
    return pd.DataFrame(rows)


def _means(part: pd.DataFrame) -> dict[str, float]:
    mean = part[["win", "worst_slice", "ceiling"]].mean()
    gain = (mean["win"] - 0.5) / (mean["ceiling"] - 0.5)
    return {"win": mean["win"], "worst_slice": mean["worst_slice"], "share_of_gain": gain}


def figure(table: pd.DataFrame) -> Figure:
    """Win rates against the passive policy, by test and design."""
    words = {"truth": "true coefficients", "even": "even", "E": "E-optimal", "A": "A-optimal"}
    return bars(
        table.assign(design=table["design"].map(words)),
        x="test",
        y="win",
        by="design",
        base=0.5,
        title="Designed comparisons pay where the log is thin, and nowhere else",
        y_label="win rate against the passive policy",
    )
