"""What a report needs beside a fit: a policy's table, a deployment's checks, what to ask next, who the types are."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from bayespref.comparisons import Comparisons
from bayespref.graph.check import check
from bayespref.graph.connect import suggest_comparisons
from bayespref.graph.gates import Deployment
from bayespref.posterior.tree import tree_comparisons, tree_meta
from bayespref.posterior.verdict import convergence
from bayespref.report.html import Section, build_report
from bayespref.workflow.collecting import next_comparisons
from bayespref.workflow.memberships import types_by_context

_MOST_CANDIDATES = 20_000
_MOST_ANSWERS = 200_000
_BY_HAND = "What a budget should buy is said by bayespref.next_comparisons, or `bayespref design FIT --budget N`"


def section(
    tree: xr.DataTree,
    title: str,
    *,
    policy_table: pd.DataFrame,
    c_defer: float,
    deployment: Deployment | None = None,
    budget: float = 100.0,
    truth: ArrayLike | None = None,
) -> Section:
    """Report on one analysed fit, with what has to be computed for it.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    title : str
        Heading of the section.
    policy_table : DataFrame
        Decision table of the policy.
    c_defer : float
        Cost of deferring, log-odds of reward.
    deployment : Comparisons, DataFrame or DataArray, optional
        Where the system will be used, as in :func:`bayespref.check`.
    budget : float
        Labels whose best use the report proposes; 0 for no proposal.
    truth : float array, shape (state, type, item), optional
        True rewards of a simulated world.

    Returns
    -------
    Section
    """
    comparisons = tree_comparisons(tree)
    proposals, proposals_note = _proposals(tree, budget, c_defer)
    return build_report(
        tree,
        verdicts=convergence(tree),
        policy_table=policy_table,
        c_defer=c_defer,
        suggestions=suggest_comparisons(comparisons),
        title=title,
        proposals=proposals,
        proposals_note=proposals_note,
        deployment=[] if deployment is None else _deployed(comparisons, deployment),
        members=_members(tree, comparisons),
        truth=truth,
        made=today(),
    )


def today() -> str:
    """Date of a report, UTC; of ``SOURCE_DATE_EPOCH`` where that is set, so that a build can be repeated."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    return f"{moment:%Y-%m-%d}"


def _deployed(comparisons: Comparisons, deployment: Deployment) -> list[tuple[str, str, str, str]]:
    lines = check(comparisons, deployment=deployment).checks
    return [
        (line.name, line.verdict, line.words, line.next_step or "")
        for line in lines
        if line.name.startswith("deployment")
    ]


def _proposals(tree: xr.DataTree, budget: float, c_defer: float) -> tuple[pd.DataFrame | None, str]:
    """What a budget should buy, where that is quick, and a note; else why not, and how to get it.

    Where no label of the budget would let a region act at the cost of deferring, what lowers most what acting could
    cost.
    """
    if budget <= 0:
        return None, ""
    items = [str(item) for item in tree["disagree"].to_dataset()["item"].values]
    states = tree["graph"].sizes["state"]
    candidates = states * len(items) * (len(items) - 1) // 2
    if len(items) < 2 or candidates > _MOST_CANDIDATES:
        return None, (
            f"{_BY_HAND}: it was not computed here for {candidates:,} candidate pairs by state, which takes minutes; "
            "--item x --item y, of those a decision is between, makes it short. What follows joins what is not joined "
            "or ends separation; it is not chosen by what a decision needs."
        )
    try:
        found = next_comparisons(tree, budget, items=items, c_defer=c_defer if c_defer > 0 else None)
        if len(found):
            return found, ""
        found = next_comparisons(tree, budget, items=items)
        why = (
            f"None of {budget:g} labels is expected to let a region act at a cost of deferring of {c_defer:g} log-odds."
        )
        return (found, f"{why} What lowers most what acting could cost:") if len(found) else (None, why)
    except ValueError as error:
        return None, f"{_BY_HAND}. Here: {error}."


def _members(tree: xr.DataTree, comparisons: Comparisons) -> pd.DataFrame | None:
    """Who the latent types are by context, where the table can say it and that is quick."""
    options: dict[str, Any] = tree_meta(tree)["options"]
    asked = comparisons.annotator is not None and len(comparisons.contexts) > 1
    latent = tree["posterior"].sizes["type"] > 1 and not options.get("types_observed", False)
    known = "type_weight_by_context" in tree["posterior"]
    if not (asked and latent) or known or len(comparisons.counts.total) > _MOST_ANSWERS:
        return None
    try:
        return types_by_context(tree)
    except ValueError:  # a model of the user's own: the report says nothing about who its types are
        return None
