"""Figures of deferral: what a rule costs, how well it sorts cases, and where it acts; tables in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from bayespref.report.plots_style import (
    BLACK,
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    ORANGE,
    PURPLE,
    RED,
    new_figure,
    short,
    style,
)
from bayespref.report.tables import records

_LOOKS = {"act": (BLUE, ""), "defer": (ORANGE, "////"), "escalate": (PURPLE, "...."), "fallback": (GREY, "\\\\\\\\")}
_LINES = ("-", "--", "-.", ":")


def risk_coverage(table: pd.DataFrame, *, title: str, loss: str = "share of labels contradicted") -> Figure:
    """Risk among accepted cases against the share accepted, one line a rule.

    Parameters
    ----------
    table : DataFrame
        Columns ``rule, coverage, risk`` (of :func:`bayespref.defer.metrics.risk_coverage`), any number of rows.
    title : str
        The finding.
    loss : str
        What the risk is the mean of, in words.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or there is no row.
    """
    _columns(table, "rule", "coverage", "risk")
    with style():
        figure, axes = new_figure(title, 3.0)
        for k, (rule, rows) in enumerate(_by_rule(table)):
            own = rows.sort_values("coverage")
            x, y = own["coverage"].to_numpy(float), own["risk"].to_numpy(float)
            # Risk holds at each step of coverage; between steps nothing is accepted.
            axes.step(np.r_[x[0], x], np.r_[y[0], y], where="pre", color=CYCLE[k % len(CYCLE)], linestyle=_LINES[k % 4])
            last: dict[str, Any] = {
                "color": CYCLE[k % len(CYCLE)],
                "marker": MARKERS[k % len(MARKERS)],
                "linestyle": _LINES[k % 4],
            }
            axes.plot(x[-1:], y[-1:], label=short(rule, 40), markersize=6, **last)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("share of cases acted on")
        axes.set_ylabel(loss)
        _legend(axes, list(table["rule"]))
    return figure


def cost_frontier(table: pd.DataFrame, *, title: str, chosen: pd.DataFrame | None = None) -> Figure:
    """Cost per case against the share deferred, one line a rule, each rule's own choice marked.

    Parameters
    ----------
    table : DataFrame
        Columns ``rule, deferral_rate, cost`` (of :func:`bayespref.defer.stream.cost_frontier`).
    title : str
        The finding.
    chosen : DataFrame, optional
        Same columns, at most one row a rule: where the rule stands at its own threshold. Rules without a line are
        shown by their mark alone.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or there is no row.
    """
    _columns(table, "rule", "deferral_rate", "cost")
    marks = table.iloc[:0] if chosen is None else chosen
    rules = list(dict.fromkeys([*table["rule"], *marks["rule"]]))
    with style():
        figure, axes = new_figure(title, 3.0)
        for k, rule in enumerate(rules):
            look: dict[str, Any] = {"color": CYCLE[k % len(CYCLE)], "linestyle": _LINES[k % 4]}
            own, mark = table[table["rule"] == rule], marks[marks["rule"] == rule]
            own = own.sort_values("deferral_rate")
            # Hollow, and later ones larger, so that rules that stand at one point are all seen.
            shape: dict[str, Any] = {"marker": MARKERS[k % len(MARKERS)], "markerfacecolor": "none"}
            shape |= {"markersize": 6.0 + 2.0 * k, "markeredgewidth": 1.6}
            if len(own):
                axes.plot(own["deferral_rate"], own["cost"], **look)
            else:
                look["linestyle"] = "none"
            # One handle with line and mark, so that the legend says both.
            axes.plot(mark["deferral_rate"], mark["cost"], label=short(rule, 40), zorder=3, **look, **shape)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(bottom=0)
        axes.margins(y=0.1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("share of cases deferred")
        axes.set_ylabel("cost per case (log-odds)")
        _legend(axes, rules)
    return figure


def decision_map(table: pd.DataFrame, region: Sequence[str], *, title: str) -> Figure:
    """Map of regions by decision and reason: states in rows, contexts or types in columns.

    Parameters
    ----------
    table : DataFrame
        From ``DeferralPolicy.to_table``: the region columns, then ``decision, action, reason``; at most 30 rows of the
        map. Regions that are not in it are left blank: the policy defers there.
    region : sequence of str
        The one or two region columns.
    title : str
        The finding.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing, there is no row, or there are more than two region columns.
    """
    if not 1 <= len(region) <= 2:
        raise ValueError(f"region: a map has one or two region columns, got {list(region)}")
    _columns(table, *region, "decision", "action", "reason")
    down = list(dict.fromkeys(table[region[0]]))
    across = list(dict.fromkeys(table[region[1]])) if len(region) == 2 else [""]
    seen = [name for name in _LOOKS if (table["decision"] == name).any()]
    with style():
        figure, axes = new_figure(title, 0.9 + 0.44 * len(down))
        for row in records(table):
            y = down.index(getattr(row, region[0]))
            x = across.index(getattr(row, region[1])) if len(region) == 2 else 0
            colour, hatch = _LOOKS[str(row.decision)]
            face = _pale(colour)
            axes.add_patch(
                Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, hatch=hatch, linewidth=0, edgecolor=colour)
            )
            plays = str(row.decision) in ("act", "fallback")
            width = max(46 // len(across) + 2, 9)
            said = str(row.action) if plays else str(row.reason).replace("_", " ")
            words = "\n".join(short(line, width) for line in wrap(said, width)[:2])
            box = {"facecolor": face, "edgecolor": "none", "pad": 1.5}
            axes.text(x, y, words, ha="center", va="center", fontsize=9, color=BLACK, bbox=box)
        axes.set_xlim(-0.5, len(across) - 0.5)
        axes.set_ylim(len(down) - 0.5, -0.5)
        room = max(56 // len(across), 8)
        axes.set_xticks(range(len(across)), ["\n".join(short(line, 18) for line in wrap(str(n), room)) for n in across])
        axes.set_yticks(range(len(down)), [short(str(name)) for name in down])
        axes.xaxis.tick_top()
        axes.set_ylabel(region[0])
        if len(region) == 2:
            axes.xaxis.set_label_position("top")
            axes.set_xlabel(region[1])
        axes.set_xticks(np.arange(len(across) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(down) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        handles = []
        for name in seen:
            colour, hatch = _LOOKS[name]
            face = _pale(colour)
            handles.append(Patch(facecolor=face, hatch=hatch, edgecolor=colour, linewidth=0, label=name))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def sign_reliability(table: pd.DataFrame, *, title: str) -> Figure:
    """Predicted P(difference > 0) against how often it was, by bin, with the number of cases of each bin.

    Parameters
    ----------
    table : DataFrame
        Columns ``lower, upper, n_cases, predicted, observed`` (the bins of
        :func:`bayespref.defer.metrics.sign_reliability`); empty bins have n_cases 0.
    title : str
        The finding.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or no bin has a case.
    """
    _columns(table, "lower", "upper", "n_cases", "predicted", "observed")
    used = table[table["n_cases"] > 0]
    if not len(used):
        raise ValueError("table: no bin has a case")
    n, p, hit = (used[name].to_numpy(float) for name in ("n_cases", "predicted", "observed"))
    with style():
        figure, _ = new_figure(title, 4.6)
        figure.delaxes(figure.axes[0])
        axes, bars = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as often as predicted")
        # Two binomial standard errors at the predicted probability: what honest predictions would show.
        reach = np.minimum(2.0 * np.sqrt(p * (1 - p) / n), [p, 1 - p])
        look: dict[str, Any] = {"fmt": "none", "ecolor": GREY, "elinewidth": 1, "capsize": 3}
        axes.errorbar(p, p, yerr=reach, label="± 2 standard errors", **look)
        axes.plot(p, hit, color=RED, marker="o", linestyle="none", markersize=7, label="observed")
        axes.set_ylim(-0.04, 1.04)
        axes.set_ylabel("share that was")
        axes.legend(loc="upper left", frameon=False, fontsize=9)
        bars.bar(table["lower"], table["n_cases"], width=table["upper"] - table["lower"], align="edge", color=BLUE)
        bars.set_xlim(-0.03, 1.03)
        bars.set_xlabel("predicted P(difference > 0)")
        bars.set_ylabel("cases")
        bars.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        bars.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure


def _by_rule(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each rule, in the order of first appearance."""
    return [(str(rule), table[table["rule"] == rule]) for rule in dict.fromkeys(table["rule"])]


def _pale(colour: str) -> tuple[float, float, float]:
    """A tint that black text stands out on."""
    red, green, blue = to_rgb(colour)
    return 0.75 + 0.25 * red, 0.75 + 0.25 * green, 0.75 + 0.25 * blue


def _legend(axes: Axes, rules: list[str]) -> None:
    if len(set(rules)) > 1:
        axes.legend(frameon=False, fontsize=9)


def _columns(table: pd.DataFrame, *names: str) -> None:
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise ValueError(f"table: column(s) {absent} are missing; it has {list(table.columns)}")
    if not len(table):
        raise ValueError("table: has no rows, so there is nothing to draw")
