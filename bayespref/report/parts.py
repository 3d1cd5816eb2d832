"""The parts of a report in their order, and those that describe: verdicts, coverage, graphs, flags, what to collect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from bayespref.report import answers, cards, plots, plots_graph, tables
from bayespref.report.blocks import (
    MOST_SHOWN,
    Block,
    Lines,
    Part,
    Picture,
    Pictures,
    Table,
    Text,
    cell_text,
    count,
    left_out,
    more,
    picture,
)
from bayespref.report.tables import records

MOST_GRAPHS = 4
MOST_SUGGESTIONS = 20
_SYMBOLS = {"yes": "✓ yes", "no": "✗ no", "undecided": "? undecided"}


def parts(
    tree: xr.DataTree,
    *,
    verdicts: Sequence[Sequence[Any]],
    policy_table: pd.DataFrame,
    c_defer: float,
    suggestions: pd.DataFrame,
    truth: ArrayLike | None = None,
) -> list[Part]:
    """Lay out everything a report says about one data set, the verdicts first.

    Parameters
    ----------
    tree, verdicts, policy_table, c_defer, suggestions, truth
        As in :func:`bayespref.report.html.build_report`.

    Returns
    -------
    list of Part
    """
    found = [
        _verdicts(cards.verdicts(tree, verdicts, policy_table)),
        Part("data", "What was compared", [_facts("The table behind this report", cards.data_card(tree))]),
        _coverage(tree),
        _graphs(tree),
        answers.rewards(tree),
        answers.types(tree),
        answers.bounds(tree, truth),
        answers.policy_map(tree, policy_table, c_defer),
        _collect(tree, suggestions),
        _flags(tree),
        Part("assumptions", "Assumptions", [_facts("What bounds and policy rest on", cards.assumptions(tree))]),
        Part("provenance", "Provenance", [_facts("How the numbers were made", cards.provenance(tree))]),
    ]
    if truth is not None:
        found.insert(7, answers.truth_held(tree, truth))
    return found


def _verdicts(table: pd.DataFrame) -> Part:
    failed = list(table.loc[table["verdict"] == "no", "name"])
    if failed:
        head = f"{len(failed)} of {len(table)} checks failed: {', '.join(failed)}."
    else:
        head = f"None of {len(table)} checks failed."
    blocks: list[Block] = [Text(head, strong=True)]
    headings = {
        "fit": "Can the fit be trusted?",
        "cells": "Do the data speak in every state and type?",
        "range": "Does the assumed range of rewards hold?",
        "policy": "Does the policy act?",
        "table": "What does the table itself allow?",
    }
    for about, heading in headings.items():
        rows = table[table["about"] == about]
        lines = [(str(r.verdict), _SYMBOLS[str(r.verdict)], str(r.words), str(r.next_step)) for r in records(rows)]
        if lines:
            blocks.append(Lines(heading, lines))
    return Part("verdicts", "Verdicts", blocks)


def _coverage(tree: xr.DataTree) -> Part:
    table = tables.coverage(tree)
    least = table.groupby("state", sort=False)["count"].min()
    n_states, n_types = len(least), table["type"].nunique()
    keep = set(least.nsmallest(MOST_SHOWN).index)
    shown = table[table["state"].isin(keep)]
    latent = _latent(tree)
    expected = "expected " if latent else ""
    empty = table[table["is_empty"]]
    if len(empty):
        names = cards.named(cards.cell_names(empty), 3)
        title = f"{len(empty)} of {len(table)} cells were never observed: {names}"
    else:
        title = f"Every cell was observed; the least has {count(table['count'].min())} {expected}comparisons"
    caption = f"{expected}comparisons by state (rows) and type (columns), darker for more.".capitalize()
    if latent:
        caption += " Types are latent: each annotator's comparisons are shared out by membership probability."
    caption += " Hatched: fewer than one comparison; nothing but the prior speaks about rewards there."
    rest = more(n_states, len(keep), "states", "those with the fewest comparisons are")
    listing = "; ".join(
        f"{r.state} / {r.type}: {'none' if r.is_empty else count(r.count)}" for r in records(shown.head(24))
    )
    blocks: list[Block] = [picture(plots.coverage(shown, title=title), f"Heat map. {title}. {listing}", caption)]
    blocks += rest
    if n_types == 1:
        blocks.append(Text("The model has one type: everybody is taken to want the same."))
    return Part("coverage", "Coverage: who was asked about what", blocks)


def _graphs(tree: xr.DataTree) -> Part:
    cells = tables.coverage(tree)
    order = ("disconnected", "separated", "no_data")
    flagged = cells[cells["flag"].isin(order)]
    states = list(dict.fromkeys(flagged.sort_values("flag", key=lambda f: f.map(order.index), kind="stable")["state"]))
    heading = "Comparison graphs: what connects the items"
    if not states:
        words = "No state is flagged: in each, chains of comparisons connect the items, so their differences are data."
        return Part("graphs", heading, [Text(words)])
    intro = (
        "Two items can be told apart only if a chain of comparisons joins them. A group so joined is a component; "
        "across components the data say nothing, however many there are."
    )
    pictures = []
    for state in states[:MOST_GRAPHS]:
        nodes = tables.nodes(tree, state)
        items = list(dict.fromkeys(nodes["item"]))
        by_type = {str(kind): rows for kind, rows in nodes.groupby("type", sort=False)}
        said = "; ".join(_n_components(str(kind), rows) for kind, rows in by_type.items())
        one = len(by_type) == 1
        if len(items) > MOST_SHOWN:
            pictures.append(_sizes(tree, state, len(items)))
            continue
        n = max(rows["component"].nunique() for rows in by_type.values())
        title = f"{state}: {n} component{'s' * (n > 1)} among {len(items)} items" if one else f"{state}: {said}"
        won = list(dict.fromkeys(nodes.loc[nodes["always_wins"], "item"]))
        if won:
            title += f"; always wins: {cards.named(won, 3)}"
        key = ", ".join(f"{i + 1} {item}" for i, item in enumerate(items))
        caption = (
            f"Items: {key}. A line: compared. An arrow: the item at its tail won all (at least 98 %) of the "
            "comparisons. Colour and shape: component."
        )
        alt = f"Graph. {title}. " + " ".join(_components_in_words(kind, rows, one) for kind, rows in by_type.items())
        pictures.append(
            picture(plots_graph.comparison_graph(nodes, tables.edges(tree, state), title=title), alt, caption)
        )
    rest = more(len(states), min(len(states), MOST_GRAPHS), "flagged states", "the first are")
    return Part("graphs", heading, [Text(intro), Pictures(pictures), *rest])


def _sizes(tree: xr.DataTree, state: str, n_items: int) -> Picture:
    """Bars of component sizes, where the graph itself is too large to draw."""
    graph = tree["graph"].to_dataset().sel(state=state)
    count = np.unique(graph["component"].values[graph["present"].values.astype(bool)], return_counts=True)[1]
    sizes = [int(size) for size in np.sort(count)[::-1]]
    title = (
        f"{state}: {n_items:,} items in {len(sizes):,} component{'s' * (len(sizes) > 1)}, the largest of {sizes[0]:,}"
    )
    caption = "Sizes of the components, all types together; too many items to draw the graph itself."
    if len(sizes) > 15:
        caption += f" {len(sizes) - 15:,} smaller components are not shown."
    return picture(plots_graph.component_sizes(sizes[:15], title=title), f"Bars. {title}", caption)


def _n_components(kind: str, rows: pd.DataFrame) -> str:
    n = rows["component"].nunique()
    return f"{kind} leaves {n:,} unconnected parts" if n > 1 else f"{kind} connects all {len(rows)} items"


def _components_in_words(kind: str, rows: pd.DataFrame, one: bool) -> str:
    groups = [f"{{{', '.join(members['item'])}}}" for _, members in rows.groupby("component")]
    return f"{'' if one else f'{kind}: '}components {cards.named(groups, 6)}."


def _collect(tree: xr.DataTree, suggestions: pd.DataFrame) -> Part:
    empty = tables.coverage(tree)
    empty = empty[empty["is_empty"]]
    blocks: list[Block] = []
    if len(empty):
        names = cards.named(cards.cell_names(empty), 8)
        need = max(tree["disagree"].sizes["item"] - 1, 1)
        blocks.append(
            Text(
                f"First, cells nobody was asked in: {names}. Ask annotators of that type in that state; at least "
                f"{need} comparisons a cell, in a chain, join its items.",
                strong=True,
            )
        )
    if suggestions.empty:
        blocks.append(Text("No further comparison is needed to connect the items seen in a state."))
        return Part("collect", "What to collect next", blocks)
    shown = suggestions.head(MOST_SUGGESTIONS)
    rows = [[cell_text(value) for value in row] for row in shown.to_numpy(dtype=object).tolist()]
    head = [str(name).replace("_", " ").capitalize() for name in suggestions.columns]
    note = left_out(len(suggestions), len(shown), "suggestions")
    blocks.append(Table("Comparisons that would join what is not joined, or end separation", head, rows, note))
    return Part("collect", "What to collect next", blocks)


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
    return Part("flags", "Flags, with reasons", blocks)


def _facts(caption: str, table: pd.DataFrame) -> Table:
    head, value = table.columns
    return Table(
        caption,
        [str(head).capitalize(), "Value"],
        [[str(r[head]), cell_text(r[value], 600)] for _, r in table.iterrows()],
    )


def _latent(tree: xr.DataTree) -> bool:
    return tree["graph"].sizes["type"] > 1 and not cards.provenance_of(tree).get("options", {}).get("types_observed")
