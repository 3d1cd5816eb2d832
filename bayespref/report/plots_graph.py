"""Figures of comparison graphs: components side by side, told apart by colour and marker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayespref.report.plots_style import BLACK, BLUE, CYCLE, MARKERS, WIDTH, new_figure, put_title, short, style
from bayespref.report.tables import records


def comparison_graph(nodes: pd.DataFrame, edges: pd.DataFrame, *, title: str) -> Figure:
    """Comparison graph of a state, one panel a type; components differ in colour and marker.

    Parameters
    ----------
    nodes, edges : DataFrame
        From :func:`bayespref.report.tables.nodes` and :func:`~bayespref.report.tables.edges`, at most 30 items.
        Items are numbered in the order of first appearance; an arrow points from an item that won every comparison
        of the pair to the one that lost.
    title : str
        The finding.

    Returns
    -------
    Figure
    """
    types = list(dict.fromkeys(nodes["type"]))
    number = {item: i + 1 for i, item in enumerate(dict.fromkeys(nodes["item"]))}
    placed = {kind: layout(rows["component"].to_numpy()) for kind, rows in nodes.groupby("type")}
    columns = 2 if len(types) > 1 else 1
    with style():
        panel_rows = -(-len(types) // columns)
        spread = float(max((np.ptp(place[:, 1]) + 1.2) / (np.ptp(place[:, 0]) + 1.2) for place in placed.values()))
        height = panel_rows * float(np.clip(WIDTH / columns * spread, 1.0, 4.5))
        figure = Figure(figsize=(WIDTH, height + 0.3 * (len(types) > 1) + 0.3), layout="constrained")
        put_title(figure, title)
        panels = figure.subplots(panel_rows, columns, squeeze=False).flat
        for axes in panels:
            axes.axis("off")
        for axes, kind in zip(figure.axes, types, strict=False):
            own = nodes[nodes["type"] == kind]
            place = dict(zip(own["item"], placed[kind], strict=True))
            for row in records(edges[edges["type"] == kind]):
                _edge(axes, place, str(row.item_a), str(row.item_b), float(row.wins_a), float(row.wins_b))
            for component, members in own.groupby("component"):
                k = int(component)
                at = np.array([place[item] for item in members["item"]])
                look: dict[str, Any] = {"marker": MARKERS[k % len(MARKERS)], "color": CYCLE[k % len(CYCLE)]}
                axes.scatter(at[:, 0], at[:, 1], s=270, zorder=3, edgecolor="white", clip_on=False, **look)
            for item, (x, y) in place.items():
                text: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 4, "fontsize": 8.5}
                axes.text(x, y, str(number[item]), color="white", fontweight="bold", **text)
            n = own["component"].nunique()
            if len(types) > 1:
                axes.set_title(f"{short(kind, 20)}: {n} component{'s' * (n > 1)}", fontsize=10)
            low, high = placed[kind].min(0), placed[kind].max(0)
            axes.set_xlim(low[0] - 0.6, high[0] + 0.6)
            axes.set_ylim(low[1] - 0.6, high[1] + 0.6)
            axes.set_aspect("equal", anchor="N")
    return figure


def layout(component: NDArray[np.integer]) -> NDArray[np.float64]:
    """Place items on circles, one a component, the circles side by side in rows.

    Parameters
    ----------
    component : int array, shape (item,)
        Component of each item.

    Returns
    -------
    float array, shape (item, 2)
    """
    component = np.asarray(component)
    place = np.zeros((len(component), 2))
    values, count = np.unique(component, return_counts=True)
    order = np.argsort(-count, kind="stable")
    radii = np.where(count == 1, 0.0, np.maximum(0.75, 0.16 * count))
    limit = 1.25 * float(np.sqrt(((2 * radii + 1.1) ** 2).sum()))
    x, y, height = 0.0, 0.0, 0.0
    for value, n, radius in zip(values[order], count[order], radii[order], strict=True):
        if x > 0 and x + 2 * radius > limit:
            x, y, height = 0.0, y - height - 1.0, 0.0
        angle = np.pi / 2 - 2 * np.pi * np.arange(n) / n
        members = np.flatnonzero(component == value)
        place[members] = np.stack([x + radius * (1 + np.cos(angle)), y + radius * (np.sin(angle) - 1)], axis=1)
        x, height = x + 2 * radius + 1.1, max(height, 2 * radius)
    return place


def component_sizes(sizes: Sequence[int], *, title: str) -> Figure:
    """Bars of component sizes, for graphs too large to draw.

    Parameters
    ----------
    sizes : sequence of int
        Items of each component, largest first, at most 15.
    title : str
        The finding.
    """
    with style():
        figure, axes = new_figure(title, 0.6 + 0.24 * len(sizes))
        y = np.arange(len(sizes))
        axes.bar_label(axes.barh(y, sizes, color=BLUE, height=0.7), fmt="{:,.0f}", padding=3, fontsize=9)
        axes.set_yticks(y, [f"component {i + 1}" for i in y])
        axes.set_xlabel("items in the component")
        axes.margins(x=0.12, y=0.02)
        axes.invert_yaxis()
    return figure


def _edge(axes: Axes, place: dict[str, NDArray[np.float64]], a: str, b: str, wins_a: float, wins_b: float) -> None:
    """A line, or an arrow from winner to loser where one side won (nearly) every comparison."""
    total = wins_a + wins_b
    if min(wins_a, wins_b) > 0.02 * total:
        axes.plot(*np.array([place[a], place[b]]).T, color="#8c8c8c", linewidth=1.6, zorder=1)
        return
    start, end = (place[a], place[b]) if wins_a > wins_b else (place[b], place[a])
    style = {"arrowstyle": "-|>", "color": BLACK, "shrinkA": 9, "shrinkB": 9, "linewidth": 1.4, "mutation_scale": 13}
    axes.annotate("", xy=tuple(end), xytext=tuple(start), arrowprops=style, zorder=2)
