"""The parts of a report in their order: what was decided, then why; here verdicts, flags, assumptions, origin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from bayespref.report import acting, answers, asked, cards
from bayespref.report.blocks import Block, Folded, Lines, Part, Table, Text, cell_name, cell_text, table_of
from bayespref.report.headline import MARKS, headline
from bayespref.report.tables import records

_HEADINGS = {
    "fit": "Can the fit be trusted?",
    "cells": "Do the data speak in every state and type?",
    "deployment": "Do the data cover the place of use?",
    "range": "Does the assumed range of rewards hold?",
    "policy": "Does the policy act?",
    "table": "What does the table itself allow?",
}


def parts(
    tree: xr.DataTree,
    *,
    verdicts: Sequence[Sequence[Any]],
    policy_table: pd.DataFrame,
    c_defer: float,
    suggestions: pd.DataFrame,
    proposals: pd.DataFrame | None = None,
    proposals_note: str = "",
    deployment: Sequence[Sequence[Any]] = (),
    members: pd.DataFrame | None = None,
    truth: ArrayLike | None = None,
    made: str = "",
) -> list[Part]:
    """Lay out everything a report says about one data set: verdicts, where to act and what to collect, then why.

    Parameters
    ----------
    tree, verdicts, policy_table, c_defer, suggestions, proposals, proposals_note, deployment, members, truth, made
        As in :func:`bayespref.report.html.build_report`.

    Returns
    -------
    list of Part
    """
    judged = cards.verdicts(tree, verdicts, policy_table, deployment)
    found = [
        Part("verdicts", "Verdicts", "Verdicts", [*headline(tree, judged, policy_table, c_defer), _checks(judged)]),
        acting.policy_map(tree, policy_table, c_defer),
        acting.collect(tree, suggestions, proposals, proposals_note),
        _flags(tree),
        asked.coverage(tree),
        asked.graphs(tree),
        answers.rewards(tree),
        answers.types(tree, members),
        acting.bounds(tree, truth),
        *([] if truth is None else [acting.truth_held(tree, truth)]),
        Part("assumptions", "Assumptions", "Assumptions", [_facts("What they rest on", cards.assumptions(tree))]),
        Part("data", "Data", "Data card", [_facts("The table behind this report", cards.data_card(tree))]),
        Part("provenance", "Provenance", "Provenance", [_facts("How it was made", cards.provenance(tree, made))]),
    ]
    return found


def _checks(table: pd.DataFrame) -> Folded:
    """Every verdict, in groups, behind a line that counts them."""
    failed = list(table.loc[table["verdict"] == "no", "name"])
    if failed:
        head = f"All {len(table)} checks: {len(failed)} failed ({', '.join(failed)})"
    else:
        head = f"All {len(table)} checks: none failed"
    blocks: list[Block] = []
    for about, heading in _HEADINGS.items():
        rows = table[table["about"] == about]
        lines = [
            (str(r.verdict), MARKS[str(r.verdict)], cell_text(r.words, 900), str(r.next_step)) for r in records(rows)
        ]
        if lines:
            blocks.append(Lines(heading, lines))
    return Folded(head, blocks, on_paper=True)


def _flags(tree: xr.DataTree) -> Part:
    table = cards.flags(tree)
    absent, unchecked = cards.flags_absent(tree)
    blocks: list[Block] = []
    if len(table):
        lines = [
            (
                "no flag",
                str(r.flag),
                f"{r.meaning}. In {r.n_cells} cell{'s' * (r.n_cells > 1)}: {r.cells}.",
                str(r.next_step),
            )
            for r in records(table)
        ]
        blocks.append(Lines("Flags raised", lines))
    else:
        blocks.append(Text("No flag is raised.", strong=True))
    if absent:
        blocks.append(Text(f"Checked and raised nowhere: {', '.join(absent)}."))
    if unchecked:
        blocks.append(Text(f"Not checked in every cell: {', '.join(unchecked)}."))
    blocks += _audited(tree)
    return Part("flags", "Flags", "Flags, with reasons", blocks)


def _audited(tree: xr.DataTree) -> list[Block]:
    """What identifies the contrasts of each cell, where the fit was audited."""
    if "audit" not in tree.children:
        return [Text("Whether data, structure or only the prior identifies each contrast is said by bayespref.audit.")]
    by = tree["audit"]["identified_by"].transpose("state", "type", "item", "item_other")
    n = by.sizes["item"]
    pair = [(i, j) for i in range(n) for j in range(i + 1, n)]
    rows = []
    for s, state in enumerate(by["state"].values):
        for t, kind in enumerate(by["type"].values):
            said = [str(by.values[s, t, i, j]) for i, j in pair]
            count = [f"{said.count(source):,}" for source in ("data", "structure", "prior")]
            rows.append([cell_name(tree, str(state), str(kind)), *count])
    columns = ["Cell", "The data", "Structure", "Only the prior"]
    return [table_of("Contrasts by what identifies them", columns, rows, "cells")]


def _facts(caption: str, table: pd.DataFrame) -> Table:
    head, value = table.columns
    return Table(
        caption,
        [str(head).capitalize(), "Value"],
        [[str(r[head]), cell_text(r[value], 600)] for _, r in table.iterrows()],
    )
