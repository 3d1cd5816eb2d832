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
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

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
    count_words,
    interval,
    new_figure,
    put_title,
    short,
    style,
)
from bayespref.report.tables import records


def coverage(table: pd.DataFrame, *, title: str) -> Figure:
    """Heat map of comparisons by state (rows) and type (columns); empty cells are hatched and say "none".

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.tables.coverage`, at most 30 states.
    title : str
        The finding.

    Returns
    -------
    Figure
    """
    states, types = list(dict.fromkeys(table["state"])), list(dict.fromkeys(table["type"]))
    count = table["count"].to_numpy().reshape(len(states), len(types))
    empty = table["is_empty"].to_numpy(dtype=bool).reshape(count.shape)
    with style():
        figure, axes = new_figure(title, 0.9 + 0.34 * len(states))
        shown = np.ma.masked_array(np.maximum(count, 1.0), mask=empty)
        top = max(float(count.max()), 10.0)
        axes.imshow(
            shown, cmap="Blues", norm=LogNorm(0.5, top**2), aspect="auto"
        )  # pale, so that black text stands out
        for (s, t), value in np.ndenumerate(count):
            if empty[s, t]:
                axes.add_patch(Rectangle((t - 0.5, s - 0.5), 1, 1, fill=False, hatch="////", linewidth=0))
            words = "none" if empty[s, t] else count_words(value)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if empty[s, t] else None
            weight = "bold" if empty[s, t] else "normal"
            axes.text(t, s, words, ha="center", va="center", fontsize=9, fontweight=weight, bbox=box)
        names = [short(kind, 18) for kind in types]
        crowded: dict[str, Any] = {"rotation": 25, "ha": "left"} if len(names) * max(map(len, names)) > 48 else {}
        axes.set_xticks(range(len(types)), names, **crowded)
        axes.set_yticks(range(len(states)), [short(state) for state in states])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(len(types) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(states) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
    return figure


def forest(table: pd.DataFrame, *, title: str) -> Figure:
    """Items against the leader of their component, one (state, type).

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
    looks = {
        "leader": (BLACK, "D", "leads"),
        "tied": (ORANGE, "o", "tied with the leader"),
        "behind": (BLUE, "s", ""),
        "alone": (BLACK, "D", "alone in its component"),
    }
    names: list[str] = []
    ticks: list[float] = []
    with style():
        groups = [rows for _, rows in table[table["component"] >= 0].groupby("component")]
        figure, axes = new_figure(title, 0.85 + 0.36 * len(table) + 0.45 * max(len(groups) - 1, 0))
        y = 0.0
        for position, rows in enumerate(groups):
            if position:
                axes.axhline(y + 0.1, color=RED, linestyle=(0, (5, 3)), linewidth=1)
                text: dict[str, Any] = {"ha": "center", "va": "center", "color": RED, "fontsize": 9}
                box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
                words = "across this line: not identified (disconnected)"
                axes.text(0.5, y + 0.1, words, transform=axes.get_yaxis_transform(), bbox=box, **text)
                y += 1.2
            for row in records(rows):
                colour, marker, words = looks[str(row.standing)]
                if row.is_separated:
                    colour, marker = PURPLE, "^"
                    words = f"size is the prior's ({float(row.contraction):.0%} of its sd left)"
                axes.plot([row.lower, row.upper], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
                face = "white" if row.standing == "tied" else colour
                axes.plot(row.estimate, y, marker=marker, color=colour, markerfacecolor=face, markersize=7)
                names.append(short(str(row.item)) + (f"\n{words}" if words else ""))
                ticks.append(y)
                y += 1.0
        if not groups:
            axes.text(0.5, 0.5, "not identified: nothing was compared", ha="center", transform=axes.transAxes)
        axes.axvline(0, color=GREY, linewidth=1, zorder=0)
        axes.set_yticks(ticks, names, fontsize=9)
        axes.set_xlabel("reward minus the leader's, log-odds")
        axes.set_ylim(max(y, 1.0) - 0.4, -0.6)
        axes.margins(x=0.06)
        axes.grid(axis="x", color="#e5e5e5", linewidth=0.8, zorder=0)
        axes.set_axisbelow(True)
    return figure


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
                interval(axes, y, row.post_lower, row.post_upper, row.set_upper, BLUE, "o")
            else:
                span = float(row.set_upper) - float(row.set_lower)
                corner = (float(row.set_lower), y - 0.24)
                axes.add_patch(Rectangle(corner, span, 0.48, facecolor=PALE, edgecolor=RED, hatch="////"))
                axes.plot([row.region_lower, row.region_upper], [y, y], color=RED, linewidth=1.2)
            if "truth" in table:
                axes.plot(row.truth, y, marker="x", color=BLACK, markersize=8, markeredgewidth=2, zorder=5)
        used = np.isfinite(table["post_lower"].to_numpy(dtype=float))
        if used.any():
            axes.plot([], [], color=BLUE, marker="o", label="identified: posterior interval")
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
        "set_pure": (RED, "D", "set_pure: the unknown at its worst"),
        "credible": (PURPLE, "s", "credible: quantile of posterior regret"),
        "chow": (BLUE, "o", "chow: mean posterior regret"),
    }
    with style():
        figure, axes = new_figure(title, 1.7 + 0.3 * len(table))
        y = np.arange(len(table))
        for at, row in zip(y, table[list(looks)].to_numpy(dtype=float), strict=True):
            low, high = np.nanmin(np.where(np.isfinite(row), row, np.nan), initial=np.inf), np.max(row, initial=-np.inf)
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [at, at], color="#cfcfcf", linewidth=1.5, zorder=1)
        for rule, (colour, marker, words) in looks.items():
            value = table[rule].to_numpy(dtype=float)
            face = colour if rule == "set_pure" else "white"
            axes.plot(
                value, y, color=colour, marker=marker, linestyle="", markersize=6.5, markerfacecolor=face, label=words
            )
        if np.isfinite(c_defer):
            axes.axvline(c_defer, color=BLACK, linewidth=1.4, linestyle="--", label=f"cost of deferring, {c_defer:g}")
        names = [short(" / ".join(map(str, row)), 26) for row in table[list(columns)].to_numpy()]
        axes.set_yticks(y, names, fontsize=9)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlabel("least cost of deferring at which the region acts, log-odds")
        axes.margins(x=0.06)
        figure.legend(loc="outside lower left", ncols=1, frameon=False, fontsize=9)
    return figure
