"""Figures of target regimes: errors by method, how a ranking moves, what sensitivity leaves, what trust catches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayespref.report.plots_style import BLACK, BLUE, CYCLE, GREY, MARKERS, RED, interval, new_figure, short, style


def _columns(table: pd.DataFrame, *names: str) -> None:
    missing = [name for name in names if name not in table]
    if missing or table.empty:
        raise ValueError(f"table: needs at least one row and the columns {list(names)}; missing {missing}")


def error_bars(
    table: pd.DataFrame, *, y: str, by: str, title: str, y_label: str = "error of the fitted scores"
) -> Figure:
    """Draw one mark a method, with two Monte-Carlo standard errors where the table has ``<y>_se``.

    Parameters
    ----------
    table : DataFrame
        One row a method.
    y, by : str
        Columns.
    title : str
        The finding.
    y_label : str
        What ``y`` is, with its unit.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or there is no row.
    """
    _columns(table, y, by)
    with style():
        figure, axes = new_figure(title, 0.32 * len(table) + 0.7)
        place = np.arange(len(table))[::-1]
        error = 2.0 * table[f"{y}_se"].fillna(0.0) if f"{y}_se" in table else None
        axes.errorbar(table[y], place, xerr=error, fmt="o", color=BLUE, markersize=6, capsize=2)
        for value, at in zip(table[y], place, strict=True):
            axes.annotate(
                f"{value:.3f}", (value, at), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8
            )
        axes.set_yticks(place, [short(str(name), 40) for name in table[by]])
        axes.set_ylim(-0.6, len(table) - 0.3)
        axes.set_xlim(left=0)
        axes.margins(x=0.08)
        axes.set_xlabel(y_label)
    return figure


def moved_ranking(table: pd.DataFrame, *, title: str, x_label: str = "score, centred (log-odds)") -> Figure:
    """Draw each item's score and interval as logged and under the target.

    Parameters
    ----------
    table : DataFrame
        Columns ``item, population, estimate, lower, upper``; two or more populations, in the order to draw.
    title : str
        The finding.
    x_label : str
        What is drawn, with its unit.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or there is no row.
    """
    _columns(table, "item", "population", "estimate", "lower", "upper")
    populations = list(dict.fromkeys(table["population"]))
    first = table[table["population"] == populations[0]].sort_values("estimate")
    place = {item: k for k, item in enumerate(first["item"])}
    with style():
        figure, axes = new_figure(title, 0.42 * len(place) + 0.9)
        for k, population in enumerate(populations):
            shift = 0.17 * (len(populations) - 1 - 2 * k)
            for row in table[table["population"] == population].itertuples():
                numbers = (float(row.lower), float(row.upper), float(row.estimate))
                interval(axes, place[row.item] + shift, *numbers, CYCLE[k], MARKERS[k])
        axes.axvline(0.0, color=GREY, linewidth=0.8)
        axes.set_yticks(list(place.values()), [short(str(item)) for item in place])
        axes.set_ylim(-0.6, len(place) - 0.4)
        axes.set_xlabel(x_label)
        handles = [Line2D([], [], color=CYCLE[k], marker=MARKERS[k], label=p) for k, p in enumerate(populations)]
        axes.legend(handles=handles, frameon=False, fontsize=9, loc="lower right")
    return figure


def sensitivity(table: pd.DataFrame, *, title: str, decision: float = 0.5) -> Figure:
    """Draw every analysis of a sensitivity table: the estimate and its ends, setting by setting, against the decision.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.workflow.targeting.sensitivity_table`: columns ``analysis, setting, estimate, lower,
        upper``.
    title : str
        The finding.
    decision : float
        Value at which the choice flips.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or there is no row.
    """
    _columns(table, "analysis", "setting", "estimate", "lower", "upper")
    analyses = list(dict.fromkeys(table["analysis"]))
    with style():
        figure, axes = new_figure(title, 0.24 * (len(table) + len(analyses)) + 0.7)
        ticks, labels, at = [], [], 0.0
        for k, analysis in enumerate(analyses):
            own = table[table["analysis"] == analysis]
            axes.annotate(
                analysis, (0.0, -at), xycoords=("axes fraction", "data"), fontsize=9, fontweight="bold", va="center"
            )
            at += 1.0
            for row in own.itertuples():
                numbers = (float(row.lower), float(row.upper), float(row.estimate))
                crossed = numbers[0] <= decision <= numbers[1] and numbers[0] < numbers[1]
                interval(axes, -at, *numbers, RED if crossed else CYCLE[0], MARKERS[k % len(MARKERS)])
                ticks.append(-at)
                labels.append(short(str(row.setting), 30))
                at += 1.0
        axes.axvline(decision, color=BLACK, linewidth=0.8, linestyle="--")
        axes.set_yticks(ticks, labels, fontsize=8)
        axes.set_ylim(-at + 0.3, 0.7)
        axes.set_xlabel(f"target's preference (share)\ndashed: the choice flips at {decision:g}; red: it may flip")
    return figure


def trust_map(table: pd.DataFrame, *, limit: float, title: str) -> Figure:
    """Draw the error of each weighted result against its effective sample size, by verdict.

    Parameters
    ----------
    table : DataFrame
        Columns ``n_eff_share, error, verdict``, one row a result.
    limit : float
        Error from which a result counts as bad.
    title : str
        The finding.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is missing or there is no row.
    """
    _columns(table, "n_eff_share", "error", "verdict")
    with style():
        figure, axes = new_figure(title, 3.0)
        for k, (verdict, own) in enumerate(table.groupby("verdict", sort=True)):
            axes.plot(
                own["n_eff_share"],
                own["error"],
                linestyle="none",
                color=(RED, BLUE)[k % 2],
                marker=MARKERS[k],
                markersize=5,
                alpha=0.7,
                label=str(verdict),
            )
        axes.axhline(limit, color=GREY, linewidth=1, linestyle="--")
        axes.annotate(
            "bad above", (1.0, limit), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9
        )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("n_eff / n")
        axes.set_ylabel("error of the fitted scores (log-odds)")
        axes.legend(frameon=False, fontsize=9)
    return figure
