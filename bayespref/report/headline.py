"""What a review asks first: what the policy does, and converged, identified, enough data, deployment covered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.reasons import REASONS
from bayespref.report import decisions
from bayespref.report.blocks import Answer, Answers, Block, Text, named, number
from bayespref.report.tables import records

MARKS = {"yes": "✓ yes", "no": "✗ no", "undecided": "? open"}
"""Verdicts as shown: sign and word, so that colour is never alone."""
_MOST_NAMED = 15
_QUESTIONS = {
    "Converged?": "converged",
    "Identified?": "identified by cell",
    "Enough data?": "enough data by cell",
    "Deployment covered?": "deployment covered",
}


def headline(tree: xr.DataTree, verdicts: pd.DataFrame, policy: pd.DataFrame, c_defer: float) -> list[Block]:
    """Say what the policy does, and answer the first questions of a review, each either way.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    verdicts : DataFrame
        From :func:`bayespref.report.cards.verdicts`.
    policy : DataFrame
        Decision table of the policy.
    c_defer : float
        Cost of deferring, log-odds of reward.

    Returns
    -------
    list of Block
    """
    does = Text(what_it_does(tree, policy, c_defer), strong=True)
    return [does, *map(Text, _where(tree, policy)), Answers(answers(verdicts))]


def _where(tree: xr.DataTree, policy: pd.DataFrame) -> list[str]:
    """Name the regions that act, and those that do not by reason."""
    table = decisions.thresholds(tree, policy)
    columns = decisions.region_columns(tree)
    table["region"] = [" / ".join(map(str, row)) for row in table[columns].to_numpy()]
    acts = table["decision"] == "act"
    lines = [f"Acts in: {named(list(table.loc[acts, 'region']), _MOST_NAMED)}."] if acts.any() else []
    for code, rows in table[~acts].groupby("reason", sort=False):
        lines.append(f"Defers in ({str(code) or 'not listed'}): {named(list(rows['region']), _MOST_NAMED)}.")
    return lines


def what_it_does(tree: xr.DataTree, policy: pd.DataFrame, c_defer: float) -> str:
    """Say where the policy acts and what acting elsewhere could cost, in one or two sentences."""
    table = decisions.thresholds(tree, policy)
    rest = table.loc[table["decision"] != "act"]
    total, left = len(table), len(rest)
    every = "the only region" if total == 1 else f"all {total:,} regions"
    cost = f"At a cost of deferring of {c_defer:g} log-odds the policy"
    if not left:
        return f"{cost} acts in {every}."
    why = ", ".join(f"{code or 'not listed'} {n:,}" for code, n in rest["reason"].value_counts().items())
    does = (
        f"defers in {every}" if left == total else f"acts in {total - left:,} of {total:,} regions and defers elsewhere"
    )
    words = f"{cost} {does} ({why})."
    worst = rest["set_pure"].to_numpy(dtype=float)
    if (worst := worst[np.isfinite(worst)]).size:
        span = " to ".join(dict.fromkeys((number(worst.min()), number(worst.max()))))
        words += (
            f" Acting there all the same would cost {span} log-odds of reward in the posterior mean, "
            "with what is not identified at its worst."
        )
    return words


def why_it_defers(policy: pd.DataFrame) -> tuple[str, str] | None:
    """Give the most frequent reason for not acting, in words, and the next step; None where every region acts."""
    reasons = policy.loc[policy["decision"] != "act", "reason"]
    if reasons.empty:
        return None
    code = str(reasons.value_counts().index[0])
    return f"{REASONS[code].meaning} ({code})", REASONS[code].next_step


def answers(verdicts: pd.DataFrame) -> list[Answer]:
    """Find the first questions among the verdicts; one that was not asked is open."""
    found = []
    for question, name in _QUESTIONS.items():
        rows = verdicts[verdicts["name"] == name]
        if rows.empty:
            found.append(Answer(question, "undecided", MARKS["undecided"], "Not asked of this fit."))
            continue
        row = next(records(rows))
        words = str(row.words).removeprefix(f"{name}: ").removeprefix(f"{row.verdict}, ")
        words = words[:1].upper() + words[1:] + "."
        found.append(Answer(question, str(row.verdict), MARKS[str(row.verdict)], words, str(row.next_step)))
    return found
