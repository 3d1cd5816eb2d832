"""Parts of a report on what was asked: coverage as heat maps, and the comparison graphs of flagged states."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.report import cards, covered, plots_cover, plots_graph, tables
from bayespref.report.blocks import (
    MOST_SHOWN,
    Block,
    Part,
    Picture,
    Pictures,
    Table,
    Text,
    cell_name,
    count,
    more,
    name,
    named,
    picture,
    table_of,
)
from bayespref.report.tables import records

MOST_GRAPHS = 8
"""Most comparison graphs drawn."""
_MOST_STATES, _MOST_COLUMNS, _MOST_PAIRS = 200, 60, 30
_HATCHED = "Hatched: fewer than one comparison; nothing but the prior speaks about rewards there."
_SHADED = "Dark red: no comparison."


def coverage(tree: xr.DataTree) -> Part:
    """Say who was asked about what: by type, by context where the table has them, by item or pair."""
    blocks = [*_by_type(tree), *_by_context(tree), *_by_item(tree)]
    if tree["graph"].sizes["type"] == 1:
        blocks.append(Text("The model has one type: everybody is taken to want the same."))
    return Part("coverage", "Coverage", "Coverage: who was asked about what", blocks)


def _by_type(tree: xr.DataTree) -> list[Block]:
    """Comparisons by state and type, unless there is one of each."""
    table = tables.coverage(tree)
    n_states, n_types = table["state"].nunique(), table["type"].nunique()
    empty = table[table["is_empty"]]
    latent = cards.latent(tree)
    expected = "expected " if latent else ""
    if len(empty):
        title = f"{len(empty):,} of {len(table):,} cells were never observed: {named(list(empty.cell), 3)}"
    else:
        title = f"Every cell was observed; the least has {count(table['count'].min())} {expected}comparisons"
    if n_states == n_types == 1:
        return [] if tree["graph"].sizes["item"] <= _MOST_PAIRS else [Text(title + ".", strong=True)]
    shown, rest = _fewest(table, n_states)
    across = "type (columns)" if n_types > 1 else "one column, as there is one type"
    caption = f"{expected}comparisons by state (rows) and {across}, darker for more.".capitalize()
    if latent:
        caption += " Types are latent: each annotator's comparisons are shared out by membership probability."
    caption += f" {_HATCHED if len(shown) <= plots_cover.MOST_ROWS * n_types else _SHADED}"
    listing = "; ".join(f"{r.cell}: {'none' if r.is_empty else count(r.count)}" for r in records(shown.head(24)))
    return [picture(plots_cover.coverage(shown, title=title), f"Heat map. {title}. {listing}", caption), *rest]


def _fewest(table: pd.DataFrame, n_states: int) -> tuple[pd.DataFrame, list[Block]]:
    """Rows of the states with the fewest comparisons, where there are more than a figure holds."""
    if n_states <= _MOST_STATES:
        return table, []
    least = table.groupby("state", sort=False)["count"].min()
    keep = set(least.nsmallest(_MOST_STATES).index)
    rest = more(n_states, len(keep), "states", "those with the fewest comparisons are")
    return table[table["state"].isin(keep)], rest


def _by_context(tree: xr.DataTree) -> list[Block]:
    """Comparisons by state and context, where contexts are not the types already shown."""
    counts = covered.by_context(tree)
    if counts is None or (not cards.latent(tree) and tree["graph"].sizes["type"] > 1):
        return []
    return _matrix(counts, "context", "contexts")


def _by_item(tree: xr.DataTree) -> list[Block]:
    """Comparisons by state and item; of one state, by pair."""
    if tree["graph"].sizes["state"] > 1:
        return _matrix(covered.by_item(tree), "item", "items")
    counts = covered.by_pair(tree, _MOST_PAIRS)
    n = len(counts)
    pairs = np.triu(np.ones((n, n), dtype=bool), 1)
    asked = int((counts.to_numpy()[pairs] > 0).sum())
    title = f"{asked:,} of {pairs.sum():,} pairs were compared"
    total = tree["graph"].sizes["item"]
    if total > n:
        title += f" among the {n} items most often asked about"
    empty = counts.to_numpy() == 0
    caption = "Comparisons of each pair of items, components side by side, darker for more. "
    caption += "Blocks that no cell joins cannot be ranked against each other."
    rest = more(total, n, "items", "the most compared are", " in this figure")
    return [picture(plots_cover.heat(counts, empty, title=title), f"Heat map of pairs. {title}.", caption), *rest]


def _matrix(counts: pd.DataFrame, what: str, plural: str) -> list[Block]:
    """Heat map of states by something, cut where a figure could not hold it."""
    value = counts.to_numpy()
    n_states, n_columns = value.shape
    holes = int((value == 0).sum())
    title = f"{holes:,} of {value.size:,} (state, {what}) cells hold no comparison"
    if holes == 0:
        title = f"Every (state, {what}) cell was asked about; the least has {count(value.min())} comparisons"
    rows = np.argsort((value > 0).sum(1), kind="stable")[:_MOST_STATES]
    shown = counts.iloc[np.sort(rows), :_MOST_COLUMNS]
    with_counts = shown.shape[0] <= plots_cover.MOST_ROWS and shown.shape[1] <= plots_cover.MOST_COLUMNS
    caption = (
        f"Comparisons by state (rows) and {what} (columns), darker for more. {_HATCHED if with_counts else _SHADED}"
    )
    if what == "item":
        caption += " A comparison counts for both of its items; the most compared items come first."
    listing = ""
    if holes > 0:
        where = [f"{counts.index[r]} / {counts.columns[c]}" for r, c in np.argwhere(value == 0)[:12]]
        listing = f" Without a comparison: {named(where, 12)}{f' and {holes - 12:,} more' if holes > 12 else ''}."
    empty = shown.to_numpy() == 0
    figure = picture(plots_cover.heat(shown, empty, title=title), f"Heat map. {title}.{listing}", caption)
    rest = more(n_states, len(shown), "states", "those with the most holes are", " in this figure")
    rest += more(n_columns, shown.shape[1], plural, "the first are", " in this figure")
    return [figure, *rest]


def graphs(tree: xr.DataTree) -> Part:
    """Draw the comparison graph of each flagged state, or say that none is flagged."""
    cells = tables.coverage(tree)
    order = ("disconnected", "separated", "no_data")
    flagged = cells[cells["flag"].isin(order)]
    states = list(dict.fromkeys(flagged.sort_values("flag", key=lambda f: f.map(order.index), kind="stable")["state"]))
    heading = "Comparison graphs: what connects the items"
    if not states:
        words = "No state is flagged: in each, chains of comparisons connect the items, so their differences are data."
        return Part("graphs", "Graphs", heading, [Text(words)])
    intro = (
        "Two items can be told apart only if a chain of comparisons joins them. A group so joined is a component; "
        "across components the data say nothing, however many there are."
    )
    pictures = []
    graph = tree["graph"].to_dataset()
    seen = set(
        tables.labels(graph, "state")[graph["present"].transpose("state", "item").values.astype(bool).any(axis=1)]
    )
    n_components = dict(zip(tables.labels(graph, "state"), graph["n_components"].values, strict=True))
    small = graph["present"].sum("item").values <= MOST_SHOWN
    worth = dict(zip(tables.labels(graph, "state"), small, strict=True))  # one part of many items is no picture
    drawable = [state for state in states if state in seen and (worth[state] or n_components[state] > 1)]
    for state in drawable[:MOST_GRAPHS]:
        nodes = tables.nodes(tree, state)
        items = list(dict.fromkeys(nodes["item"]))
        by_type = {str(kind): rows for kind, rows in nodes.groupby("type", sort=False)}
        said = "; ".join(_n_components(str(kind), rows) for kind, rows in by_type.items())
        one = len(by_type) == 1
        if len(items) > MOST_SHOWN:
            pictures.append(_sizes(tree, state, len(items)))
            continue
        n = max(rows["component"].nunique() for rows in by_type.values())
        head = f"{n} component{'s' * (n > 1)} among {len(items)} items" if one else said
        title = f"{name(state, 40)}: {head}"
        won = list(dict.fromkeys(nodes.loc[nodes["always_wins"], "item"]))
        if won:
            title += f"; always wins: {named(won, 3)}"
        key = ", ".join(f"{i + 1} {name(item, 60)}" for i, item in enumerate(items))
        caption = (
            f"Items: {key}. A line: compared. An arrow: the item at its tail won all (at least 98 %) of the "
            "comparisons. Colour and shape: component."
        )
        alt = f"Graph. {title}. " + " ".join(_components_in_words(kind, rows, one) for kind, rows in by_type.items())
        pictures.append(
            picture(plots_graph.comparison_graph(nodes, tables.edges(tree, state), title=title), alt, caption)
        )
    rest = more(
        len(states), len(pictures), "flagged states", "the first with several components or few items are", " as graphs"
    )
    if not pictures:
        seen_words = f"None of the {len(states):,} flagged states is drawn: "
        words = f"{seen_words}each has more than {MOST_SHOWN} items, joined once all types are taken together, or none."
        return Part("graphs", "Graphs", heading, [Text(f"{intro} {words}"), _listed(flagged, tree)])
    return Part("graphs", "Graphs", heading, [Text(intro), Pictures(pictures), *rest, _listed(flagged, tree)])


def _sizes(tree: xr.DataTree, state: str, n_items: int) -> Picture:
    """Bars of component sizes, where the graph itself is too large to draw."""
    graph = tree["graph"].to_dataset().sel(state=state)
    count = np.unique(graph["component"].values[graph["present"].values.astype(bool)], return_counts=True)[1]
    sizes = [int(size) for size in np.sort(count)[::-1]]
    parts = f"{len(sizes):,} component{'s' * (len(sizes) > 1)}, the largest of {sizes[0]:,}"
    title = f"{name(state, 40)}: {n_items:,} items in {parts}"
    caption = "Sizes of the components, all types together; too many items to draw the graph itself."
    if len(sizes) > 15:
        caption += f" {len(sizes) - 15:,} smaller components are not shown."
    return picture(plots_graph.component_sizes(sizes[:15], title=title), f"Bars. {title}", caption)


def _n_components(kind: str, rows: pd.DataFrame) -> str:
    n = rows["component"].nunique()
    return f"{kind} leaves {n:,} unconnected parts" if n > 1 else f"{kind} connects all {len(rows)} items"


def _components_in_words(kind: str, rows: pd.DataFrame, one: bool) -> str:
    groups = [f"{{{named(list(members.item), 30)}}}" for _, members in rows.groupby("component")]
    more_groups = f" and {len(groups) - 6:,} more" if len(groups) > 6 else ""
    return f"{'' if one else f'{name(kind)}: '}components {', '.join(groups[:6])}{more_groups}."


def _listed(cells: pd.DataFrame, tree: xr.DataTree) -> Table:
    """Every flagged cell with its components, those drawn and those not."""
    graph = tree["graph"].to_dataset()
    rows = []
    for cell in records(cells):
        here = graph.sel(state=cell.state)
        seen = here["present"].values.astype(bool)
        sizes = np.unique(here["type_component"].sel(type=cell.type).values[seen], return_counts=True)[1]
        parts = f"{len(sizes):,}" + (f", the largest of {sizes.max():,}" if len(sizes) > 1 else "")
        rows.append(
            [
                cell_name(tree, str(cell.state), str(cell.type)),
                str(cell.flag),
                f"{seen.sum():,}",
                parts if len(sizes) else "none",
            ]
        )
    columns = ["State / type" if graph.sizes["type"] > 1 else "State", "Flag", "Items seen", "Components"]
    return table_of("Flagged cells and the parts their items fall into", columns, rows, "cells")
