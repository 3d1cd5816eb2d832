"""Latent types: how many labels an annotator must give before types can be told apart.

``rank``: the Jacobian of everything a design can show, for two or three types. ``recovery``: two types (shares .6 and
.4) with rewards of four items, N(0, 1.5^2) around their mean; each annotator answers m different pairs, the number of
labels is the same for every m, so that few labels each mean more people. Estimates are the best posterior mode of
``latent_types`` (reward scale 1.5).

Shows: with one label each, two types of four items are not identified (rank 6 of 7). Ten times the labels bring the
error of the mixture's shares to about a third, the root-n rate, and hardly move that of the types' contrasts. With two
different pairs each the types are identified, and at the same number of labels the error is about half; more labels a
person then beat more people. Memberships are nearly as good as those of someone who knows rewards and shares; with one
label that is poor (adjusted Rand index .2) for anybody. Worlds differ much: ten, the quick form, cannot tell whether
one label each follows the root-n rate; thirty can.

Does not show: that rank is enough. With five items one label has full rank, by the shape of the choice model alone
(``functional_form_only``): no table of a sane size follows from it. Nor how many types there are, which is given here.

Where sources err: counting is taken for identification. Three types with four items each answered once give 15 free
cells for 14 parameters, and rank 13.
"""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayespref.bounds.identifiability import local_identifiability
from bayespref.bounds.label_design import LabelDesign, items_design, pairs_design, repeats_design
from bayespref.choice import choice_data
from bayespref.comparisons import Comparisons
from bayespref.defer.types import label_log_prob, type_posterior
from bayespref.disagree.known_truth import type_errors
from bayespref.errors import FunctionalFormOnly
from bayespref.fit.density import make_density
from bayespref.fit.em import em_climb
from bayespref.models import latent_types
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.panels import label_panel
from bayespref.simulate.population import independent_reward
from bayespref.studies.runner import mean_and_error

SIZES = {"quick": {"worlds": 10, "labels": [3000]}, "full": {"worlds": 30, "labels": [3000, 9000]}}
EACH, MORE, STARTS = (1, 2, 3, 6), 10, 4
WEIGHT, ITEMS, SCALE = np.array([0.6, 0.4]), 4, 1.5
DESIGNS: tuple[tuple[str, LabelDesign], ...] = (
    *[(f"{j} items, all answered, {k} types", items_design(k, j)) for k, j in ((2, 2), (2, 3), (3, 4), (3, 5))],
    *[(f"{t} answers to one pair, {k} types", repeats_design(k, t)) for k, t in ((2, 2), (2, 3))],
    *[(f"one pair of {a} items, {k} types", pairs_design(k, a)) for k, a in ((2, 3), (2, 4), (2, 5), (3, 7))],
    *[(f"two pairs of {a} items, {k} types", pairs_design(k, a, 2)) for k, a in ((2, 3), (2, 4), (3, 4))],
)


def cases(*, worlds: int, labels: list[int]) -> list[dict[str, Any]]:
    """Ranks; then panels by labels each, and one label each from ten times as many people."""
    panels = [(n, m) for n in labels for m in EACH] + [(MORE * n, 1) for n in labels if MORE * n not in labels]
    rank = {"kind": "rank", "labels": 0, "each": 0, "worlds": 1}
    return [rank, *[{"kind": "recovery", "labels": n, "each": m, "worlds": worlds} for n, m in panels]]


def run_case(*, seed: int, kind: str, labels: int, each: int, worlds: int) -> list[dict[str, Any]]:
    """Ranks of every design, or errors of every world."""
    return _ranks() if kind == "rank" else _recovery(seed, labels, each, worlds)


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Ranks as they are; means over worlds of everything else."""
    panels = records[records["kind"] == "recovery"].drop(columns=["design", "rank", "parameters", "reason"])
    panels = panels.assign(rand_short=panels["rand_known"] - panels["rand"])
    table = mean_and_error(panels, ["kind", "labels", "each"])
    return pd.concat([table, records[records["kind"] == "rank"].dropna(axis=1, how="all")], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Error of the types' contrasts against labels an annotator, by number of labels."""
    own = table[table["kind"] == "recovery"]
    return curves(
        own.assign(line=own["labels"].map("{:,.0f} labels in all".format)),
        x="each",
        y="reward_error",
        by="line",
        title="One label each leaves the types unknown, a few labels each tell them",
        x_label="labels an annotator",
        y_label="error within types (log-odds)",
    )


def _ranks() -> list[dict[str, Any]]:
    rows = []
    for name, design in DESIGNS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FunctionalFormOnly)  # it is the reason of the row
            got = local_identifiability(design)
        size = len(got.parameter_names)
        found = {"rank": float(got.generic_rank), "parameters": float(size), "reason": got.reason}
        rows.append({"kind": "rank", "labels": 0, "each": 0, "design": name} | found)
    return rows


def _recovery(seed: int, labels: int, each: int, worlds: int) -> list[dict[str, Any]]:
    """Fit every world from several starts; all share one compiled climb."""
    from sklearn.metrics import adjusted_rand_score

    people = labels // each
    truth = [independent_reward(1, 2, ITEMS, scale=SCALE, seed=k)[0] for k in range(worlds)]  # the same for every m
    panels = [
        label_panel(r, WEIGHT, n_annotators=people, labels_per_annotator=each, seed=np.random.SeedSequence([seed, k]))
        for k, r in enumerate(truth)
    ]
    # One label each: without names every label is a unit of its own, which is the same likelihood in fewer terms.
    tables = [panel.comparisons if each > 1 else panel.comparisons.pool("annotator") for panel in panels]
    rows = []
    with jax.enable_x64(True):
        records = [choice_data(table) for table in tables]
        density = make_density(latent_types, records[0][0], {"n_types": 2, "reward_scale": SCALE})
        climb = em_climb(density, records[0][0], max_steps=400, tolerance=1e-5)
        look = jax.jit(density.variables)
        for k, (reward, panel, (data, outcome)) in enumerate(zip(truth, panels, records, strict=True)):
            keys = jax.random.split(jax.random.key(seed % 2**31 + k), STARTS)
            best = max((climb(key, data, outcome) for key in keys), key=lambda end: float(end[1]))[0]
            values = jax.device_get(look(best, data))
            found, weight = values["reward"][0], values["type_weight"].reshape(-1)
            error = type_errors(found, weight, reward, WEIGHT)
            row = {"kind": "recovery", "labels": labels, "each": each, "people": people}
            row |= {"reward_error": error.reward, "share_error": error.share}
            for name, levels, mix in (("rand", found, weight), ("rand_known", reward, WEIGHT)):
                kind = _types(panel.comparisons, levels, mix)
                row[name] = adjusted_rand_score(panel.annotator_type, kind)
            rows.append(row)
    return rows


def _types(table: Comparisons, reward: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Likeliest type of every annotator, given rewards and weights."""
    gap = (reward[:, table.item_a] - reward[:, table.item_b]).T[None]
    log_prob = label_log_prob(gap, table.outcome)
    given = type_posterior(weight[None], log_prob, table.codes("annotator"), len(table.annotators))
    return np.asarray(given.probability.argmax(axis=1))
