"""Figures of a report: tables in, matplotlib figures out, nothing computed beyond choosing rows and placing marks.

Each figure says its finding in its title, tells groups apart by marker or hatch as well as colour (after Okabe and
Ito, darkened for contrast), and is narrow enough to be read on a phone. Labels are drawn as text, never as mathematics.
Global settings of matplotlib are left as they are. Graphs are in ``plots_graph``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bayespref.report.plots_cover import coverage as coverage
from bayespref.report.plots_style import (
    BLACK,
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    WIDTH,
    interval,
    new_figure,
    put_title,
    short,
    style,
)
from bayespref.report.tables import records


def forest(table: pd.DataFrame, *, title: str) -> Figure:
    """Items against the leader of their component, one (state, type), those that are not told apart in one band.

    Parameters
    ----------
    table : DataFrame
        Rows of one cell from :func:`bayespref.report.tables.rewards`, at most 30. Items of different components stand
        in groups of their own; between the groups a line says that the contrast is not identified.
    title : str
        The finding.

    Returns
    -------
    Figure
    """
    groups = [rows for _, rows in table[table["component"] >= 0].groupby("component")]
    n_heads = sum(int((rows.groupby("tier").size() > 1).sum()) for rows in groups)
    names: list[str] = []
    ticks: list[float] = []
    with style():
        height = 0.85 + 0.31 * len(table) + 0.22 * n_heads + 0.45 * max(len(groups) - 1, 0)
        figure, axes = new_figure(title, height + 0.16 * int(table["is_separated"].sum()))
        y = 0.0
        for position, rows in enumerate(groups):
            if position:
                y = _across(axes, y)
            for _, members in rows.groupby("tier"):
                top = y
                if len(members) > 1:
                    total = int(members["tier_size"].iloc[0])
                    words = f"tie of {total}" + (f", {len(members)} shown" if total > len(members) else "")
                    axes.text(0.01, y - 0.12, words, **_TIER, transform=axes.get_yaxis_transform())
                    y += 0.7
                for row in records(members):
                    words = _mark(axes, y, row)
                    names.append(short(str(row.item)) + (f"\n{words}" if words else ""))
                    ticks.append(y)
                    y += 1.0
                if len(members) > 1:
                    axes.axhspan(top - 0.44, y - 0.56, color="#e9edf1", zorder=0, linewidth=0)
        if not groups:
            axes.text(0.5, 0.5, "not identified: nothing was compared", ha="center", transform=axes.transAxes)
        axes.axvline(0, color=GREY, linewidth=1, zorder=0.5)
        axes.set_yticks(ticks, names, fontsize=9)
        axes.set_xlabel("reward minus leader's, log-odds")
        axes.set_ylim(max(y, 1.0) - 0.4, -0.6)
        axes.margins(x=0.06)
        axes.grid(axis="x", color="#dcdcdc", linewidth=0.8, zorder=0.2)
        axes.set_axisbelow(True)
    return figure


_TIER: dict[str, Any] = {
    "ha": "left",
    "va": "center",
    "fontsize": 8.5,
    "color": GREY,
    "fontstyle": "italic",
    "zorder": 4,
}


def _across(axes: Axes, y: float) -> float:
    """Line between two components; returns where the next one starts."""
    axes.axhline(y + 0.1, color=RED, linestyle=(0, (5, 3)), linewidth=1)
    text: dict[str, Any] = {"ha": "center", "va": "center", "color": RED, "fontsize": 9}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    words = "not identified (disconnected)"
    axes.text(0.5, y + 0.1, words, transform=axes.get_yaxis_transform(), bbox=box, **text)
    return y + 1.2


def _mark(axes: Axes, y: float, row: Any) -> str:
    """Interval and point of one item; returns what stands below its name."""
    colour, marker, words = _LOOKS[str(row.standing)]
    if row.is_separated:
        colour, marker = PURPLE, "^"
        words = f"size is the prior's ({float(row.contraction):.0%} of its sd left)"
    axes.plot([row.lower, row.upper], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
    face = "white" if row.standing == "tied" else colour
    axes.plot(row.estimate, y, marker=marker, color=colour, markerfacecolor=face, markersize=7)
    return words


_LOOKS = {
    "leader": (BLACK, "D", "leads"),
    "tied": (ORANGE, "o", ""),
    "behind": (BLUE, "s", ""),
    "alone": (BLACK, "D", "alone in its component"),
}
"""Colour, marker and words by standing."""


def coefficients(table: pd.DataFrame, *, title: str) -> Figure:
    """Coefficients by feature and type, each feature on an axis of its own unit.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.tables.coefficients`, at most 12 features.
    title : str
        The finding.
    """
    features, types = list(dict.fromkeys(table["feature"])), list(dict.fromkeys(table["type"]))
    with style():
        height = len(features) * (0.62 + 0.3 * len(types))
        figure = Figure(figsize=(WIDTH, 0.7 + height), layout="constrained")
        put_title(figure, title)
        for axes, feature in zip(figure.subplots(len(features), 1, squeeze=False).flat, features, strict=True):
            own = table[table["feature"] == feature]
            for row in records(own):
                k = types.index(row.type)
                interval(axes, k, row.lower, row.upper, row.estimate, CYCLE[k % 8], MARKERS[k % 8])
            axes.axvline(0, color=GREY, linewidth=1, zorder=0)
            axes.set_yticks(range(len(types)), [short(kind, 16) for kind in types], fontsize=9)
            axes.set_ylim(len(types) - 0.5, -0.5)
            axes.set_title(f"{short(str(feature), 40)}: log-odds per unit", fontsize=10, loc="left")
            axes.margins(x=0.08)
            axes.tick_params(axis="x", labelsize=9)
    return figure


def type_contrasts(table: pd.DataFrame, *, title: str) -> Figure:
    """Contrasts on which types differ most, two intervals a row.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.tables.type_contrasts`.
    title : str
        The finding.
    """
    types = sorted(set(table["type"]))
    with style():
        pairs = list(dict.fromkeys(zip(table["state"], table["item"], table["item_other"], strict=True)))
        figure, axes = new_figure(title, 1.25 + 0.62 * len(pairs))
        for row in records(table):
            k = types.index(row.type)
            at = pairs.index((row.state, row.item, row.item_other)) + 0.26 * (k - (len(types) - 1) / 2)
            interval(axes, at, row.lower, row.upper, row.estimate, CYCLE[k % 8], MARKERS[k % 8])
        for k, kind in enumerate(types):
            axes.plot([], [], color=CYCLE[k % 8], marker=MARKERS[k % 8], label=short(kind, 20))
        axes.axvline(0, color=GREY, linewidth=1, zorder=0)
        names = [f"{short(a, 16)} − {short(b, 16)}\nin {short(state, 22)}" for state, a, b in pairs]
        axes.set_yticks(range(len(pairs)), names, fontsize=9)
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_xlabel("difference of rewards, log-odds")
        figure.legend(loc="outside lower center", ncols=min(len(types), 3), frameon=False)
    return figure


def decisions(table: pd.DataFrame, *, title: str) -> Figure:
    """How much better another item could be than the leader: posterior interval beside the identified set.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.tables.decisions`, at most 30 rows.
    title : str
        The finding.
    """
    one_type = len(set(table["type"])) == 1
    long = bool(table[["leader", "contender"]].map(len).to_numpy().max(initial=0) > 14)
    with style():
        figure, axes = new_figure(title, 1.5 + (0.58 if long else 0.44) * len(table))
        for y, row in enumerate(records(table)):
            known = bool(np.isfinite(row.post_lower))
            if known:
                colour, marker, _ = _KNOWN[row.reason == "separated"]
                interval(axes, y, row.post_lower, row.post_upper, row.set_upper, colour, marker)
            else:
                span = float(row.set_upper) - float(row.set_lower)
                corner = (float(row.set_lower), y - 0.24)
                axes.add_patch(Rectangle(corner, span, 0.48, facecolor=PALE, edgecolor=RED, hatch="////"))
                axes.plot([row.region_lower, row.region_upper], [y, y], color=RED, linewidth=1.2)
            if "truth" in table:
                axes.plot(row.truth, y, marker="x", color=BLACK, markersize=8, markeredgewidth=2, zorder=5)
        used = np.isfinite(table["post_lower"].to_numpy(dtype=float))
        apart = (table["reason"] == "separated").to_numpy()
        for colour, marker, words in (_KNOWN[is_apart] for is_apart in sorted(set(apart[used].tolist()))):
            axes.plot([], [], color=colour, marker=marker, label=words)
        if not used.all():
            patch: dict[str, Any] = {"facecolor": PALE, "edgecolor": RED, "hatch": "////"}
            axes.add_patch(Rectangle((0, 0), 0, 0, label="not identified: all that the data allow", **patch))
        if "truth" in table:
            axes.plot([], [], color=BLACK, marker="x", linestyle="", markeredgewidth=2, label="truth")
        names = []
        for row in records(table):
            state, other, leader = str(row.state), str(row.contender), str(row.leader)
            cell = short(state) if one_type else f"{short(state, 16)} / {short(str(row.type), 10)}"
            pair = f"{short(other)}\n− {short(leader)}" if long else f"{short(other, 14)} − {short(leader, 14)}"
            names.append(f"{cell}\n{pair}")
        axes.axvline(0, color=BLACK, linewidth=1)
        axes.set_yticks(range(len(table)), names, fontsize=8.5)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlabel("contender minus leader, log-odds")
        figure.legend(loc="outside lower center", ncols=1, frameon=False)
    return figure


_KNOWN = {
    False: (BLUE, "o", "identified: posterior interval"),
    True: (PURPLE, "^", "separated: posterior interval, whose width is partly the prior's"),
}
"""Colour, marker and words of a contrast within a component, by whether an item there always wins or loses."""


def thresholds(table: pd.DataFrame, columns: Sequence[str], c_defer: float, *, title: str) -> Figure:
    """Break-even cost of deferring by region and rule, beside the cost in force.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.tables.thresholds`, at most 30 rows.
    columns : sequence of str
        Columns that name a region.
    c_defer : float
        Cost of deferring, log-odds of reward.
    title : str
        The finding.
    """
    looks = {
        "set_pure": (RED, "D", 4.5, "set_pure: the unknown at its worst"),
        "credible": (PURPLE, "s", 7.0, "credible: quantile of posterior regret"),
        "chow": (BLUE, "o", 9.5, "chow: mean posterior regret"),  # rings the diamond where the two are equal
    }
    with style():
        figure, axes = new_figure(title, 1.7 + 0.3 * len(table))
        y = np.arange(len(table))
        for at, row in zip(y, table[list(looks)].to_numpy(dtype=float), strict=True):
            low, high = np.nanmin(np.where(np.isfinite(row), row, np.nan), initial=np.inf), np.max(row, initial=-np.inf)
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [at, at], color="#cfcfcf", linewidth=1.5, zorder=1)
        for rule, (colour, marker, size, words) in looks.items():
            value = table[rule].to_numpy(dtype=float)
            look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": size, "label": words}
            axes.plot(value, y, linestyle="", markerfacecolor=colour if rule == "set_pure" else "none", **look)
        if np.isfinite(c_defer):
            axes.axvline(c_defer, color=BLACK, linewidth=1.4, linestyle="--", label=f"cost of deferring, {c_defer:g}")
        names = [short(" / ".join(map(str, row)), 26) for row in table[list(columns)].to_numpy()]
        axes.set_yticks(y, names, fontsize=9)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlabel("cost of deferring from which a region acts, log-odds")
        axes.margins(x=0.06)
        figure.legend(loc="outside lower left", ncols=1, frameon=False, fontsize=9)
    return figure
