"""From a table to a policy and a report in one call."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Array
from numpy.typing import NDArray

from bayespref.checks import one_of
from bayespref.comparisons import Comparisons
from bayespref.data.bundle import load_train_tickets
from bayespref.data.table import read_comparisons
from bayespref.defer.policy import DeferralPolicy
from bayespref.defer.regions import policy_from
from bayespref.graph.check import check
from bayespref.graph.gates import Deployment
from bayespref.posterior.store import save_fit
from bayespref.posterior.tree import tree_meta, tree_stamp
from bayespref.posterior.verdict import convergence
from bayespref.provenance import stamp
from bayespref.simulate.scenarios import blind_spot
from bayespref.workflow.analysing import REGIONS, TYPE_WEIGHTS, analyse, item_codes
from bayespref.workflow.fitting import fit

_DEMO_COST = 0.3


def policy(tree: xr.DataTree, *, c_defer: float, rule: str = "set_pure") -> DeferralPolicy:
    """Make the policy a system consumes: act where the score is at most the cost of deferring.

    Parameters
    ----------
    tree : xarray.DataTree
        From :func:`analyse` or :func:`run`.
    c_defer : float
        Cost of deferring, log-odds of reward.
    rule : {"set_pure", "chow", "credible"}
        Score to compare with it; ``set_pure`` counts what is not identified at its worst.

    Returns
    -------
    DeferralPolicy
        Among its assumptions: draws that failed a check of convergence, where they did.
    """
    meta = tree_meta(tree)
    defer = tree["defer"].to_dataset()
    assumptions = [f"model {meta['model']}", *json.loads(defer.attrs["assumptions"]), defer.attrs["deployment"]]
    partial = int((~defer["available"].values).any(axis=1).sum())
    if partial:
        among = f"{partial:,} of {len(defer['available']):,} regions lack some"
        assumptions.append(f"on offer in a region are the items compared there: {among}")
    if untrusted := defer.attrs.get("untrusted"):
        assumptions.append(f"draws that may not be trusted ({untrusted})")
    made = policy_from(defer, c_defer=c_defer, rule=rule, data_hash=meta["data_hash"], assumptions=assumptions)
    return made_by(tree, made)


def made_by(tree: xr.DataTree, decisions: DeferralPolicy) -> DeferralPolicy:
    """Policy that says which seed and which versions made the fit behind it."""
    meta = tree_meta(tree)
    seed = meta["seed"]
    return replace(decisions, seed=tuple(seed) if isinstance(seed, list) else seed, versions=meta["versions"])


def run(
    table: Any,
    *,
    adapter: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    features: Sequence[str] | None = None,
    model: str | Callable[..., Any] = "single",
    options: Mapping[str, Any] | None = None,
    rng_key: int | Array = 0,
    reward_range: tuple[float, float] = (0.0, 1.0),
    range_policy: str = "widen",
    level: float = 0.9,
    regions: str = "state",
    type_weights: str = "population",
    items: Sequence[str] | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Read, fit and analyse a table in one call.

    Parameters
    ----------
    table : dataframe, path or Comparisons
        See :func:`bayespref.read_comparisons`.
    adapter, columns, features
        As in :func:`bayespref.read_comparisons`.
    model, options, rng_key, progress
        As in :func:`fit`.
    reward_range, range_policy, level, regions, type_weights, items
        As in :func:`analyse`.

    Returns
    -------
    xarray.DataTree

    Examples
    --------
    >>> import pandas as pd
    >>> votes = pd.DataFrame({"item_a": ["x", "x", "y"], "item_b": ["y", "y", "x"], "outcome": ["a", "b", "b"]})
    >>> tree = run(votes, rng_key=0, progress=False)
    >>> policy(tree, c_defer=5.0).to_table()["decision"].tolist()
    ['act']
    """
    comparisons = (
        table
        if isinstance(table, Comparisons)
        else read_comparisons(table, adapter=adapter, columns=columns, features=features)
    )
    one_of("regions", regions, REGIONS)
    one_of("type_weights", type_weights, TYPE_WEIGHTS)
    item_codes(comparisons, items)  # a wrong request is refused before the fit, not after it
    tree = fit(model, comparisons, rng_key=rng_key, options=options, progress=progress)
    return analyse(
        tree,
        reward_range=reward_range,
        range_policy=range_policy,
        level=level,
        regions=regions,
        type_weights=type_weights,
        items=items,
    )


def report(
    sections: Sequence[tuple[str, xr.DataTree]],
    path: str | os.PathLike[str],
    *,
    c_defer: float,
    truth: Mapping[str, NDArray[np.float64]] | None = None,
    title: str = "What these preferences say, and what they cannot",
    deployment: Mapping[str, Deployment] | None = None,
    budget: float = 100.0,
) -> Path:
    """Write one self-contained HTML report of analysed fits.

    Parameters
    ----------
    sections : sequence of (title, tree)
        From :func:`analyse` or :func:`run`.
    path : path
        File to write; replaced only once the new one is complete.
    c_defer : float
        Cost of deferring, log-odds of reward.
    truth : mapping of section title to float array (state, type, item), optional
        True rewards of simulated worlds.
    title : str
        Title of the page.
    deployment : mapping of section title to Comparisons, DataFrame or DataArray, optional
        Where each system will be used, as in :func:`bayespref.check`; without it the report says that nobody declared
        it.
    budget : float
        Labels whose best use the report proposes; 0 for no proposal.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If ``truth`` or ``deployment`` names a section that is not there.
    """
    from bayespref.report.html import write_report  # plots take a second to import; fits need none
    from bayespref.workflow.reporting import section

    names = [name for name, _ in sections]
    for argument, given in (("truth", truth), ("deployment", deployment)):
        unknown = sorted(set(given or {}) - set(names))
        if unknown:
            raise ValueError(f"{argument}: names no section: {unknown[:5]}; there are {names}")
    pages = [
        section(
            tree,
            name,
            policy_table=policy(tree, c_defer=c_defer).to_table(),
            c_defer=c_defer,
            deployment=(deployment or {}).get(name),
            budget=budget,
            truth=(truth or {}).get(name),
        )
        for name, tree in sections
    ]
    return write_report(pages, path, title=title, stamp=_report_stamp(sections))


def _report_stamp(sections: Sequence[tuple[str, xr.DataTree]]) -> dict[str, Any]:
    """Provenance of a report: that of its fit, or of each of its fits by title."""
    if len(sections) == 1:
        return tree_stamp("bayespref.report", sections[0][1])
    made = {name: tree_stamp("bayespref.fit", tree) for name, tree in sections}
    return stamp("bayespref.report", data_hash=None) | {"sections": made}


def demo(folder: str | os.PathLike[str], *, progress: bool = True, say: Callable[[str], None] = print) -> Path:
    """Run the main job on bundled real data and on a simulated world with known truth.

    Parameters
    ----------
    folder : path
        Where ``report.html``, the fits and the policies go; made if it does not exist.
    progress : bool
        Show progress bars.
    say : callable
        Takes each line of the story.

    Returns
    -------
    pathlib.Path
        The report.
    """
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    tickets = load_train_tickets()
    world = blind_spot(seed=1)
    jobs: list[tuple[str, Comparisons, dict[str, Any]]] = [
        (
            "Train tickets: 235 travellers, real choices",
            tickets,
            {"model": "linear_types", "options": {"n_types": 2}, "items": _most_compared(tickets, 6)},
        ),
        (
            "Blind spot: a simulated world with two cells nobody visited",
            world.comparisons,
            {
                "model": "latent_types",
                "options": {"types_observed": True, "reward_scale": 2.0},
                "reward_range": world.reward_range,
                "regions": "state_type",
            },
        ),
    ]
    sections = []
    for name, table, settings in jobs:
        say(f"\n{name}")
        say(str(check(table)))
        tree = run(table, progress=progress, **settings)
        for verdict in convergence(tree):
            say(verdict.words)
        decisions = policy(tree, c_defer=_DEMO_COST)
        say(
            f"decisions at a cost of deferring of {_DEMO_COST} log-odds:\n{decisions.to_table().to_string(index=False)}"
        )
        stem = name.split(":")[0].lower().replace(" ", "-")
        say(f"saved {save_fit(tree, out / f'{stem}.nc')} and {decisions.save(out / f'{stem}.policy.json')}")
        sections.append((name, tree))
    truth = {jobs[1][0]: world.reward}
    return report(sections, out / "report.html", c_defer=_DEMO_COST, truth=truth)


def _most_compared(comparisons: Comparisons, n_items: int) -> list[str]:
    """Labels of the items most often compared."""
    counts = comparisons.counts
    often = np.bincount(counts.item_a, counts.total, comparisons.n_items)
    often = often + np.bincount(counts.item_b, counts.total, comparisons.n_items)
    return [comparisons.items[i] for i in np.argsort(-often, kind="stable")[:n_items]]
