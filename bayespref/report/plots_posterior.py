"""Figures of fits: predictive checks, number of types, rewards along a trait."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bayespref.report.plots_style import (
    BLACK,
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    RED,
    WIDTH,
    new_figure,
    put_title,
    short,
    style,
)
from bayespref.report.tables import records


def predictive_checks(table: pd.DataFrame, *, title: str) -> Figure:
    """Predictive intervals of several models beside the observed value, a panel a check.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.fits.check_rows`.
    title : str
        The finding.

    Returns
    -------
    Figure
    """
    checks, models = list(dict.fromkeys(table["check"])), list(dict.fromkeys(table["model"]))
    with style():
        figure = Figure(figsize=(WIDTH, 1.0 + len(checks) * (0.62 + 0.24 * len(models))), layout="constrained")
        put_title(figure, title)
        for axes, check in zip(figure.subplots(len(checks), 1, squeeze=False).flat, checks, strict=True):
            own = table[table["check"] == check]
            for row in records(own):
                y = models.index(row.model)
                passes = row.verdict == "passes"
                colour = BLUE if passes else RED
                axes.plot([row.lower, row.upper], [y, y], color=colour, linewidth=4, solid_capstyle="butt")
                axes.plot(row.observed, y, marker="D" if passes else "X", color=BLACK, markersize=6.5, linestyle="")
            axes.axvline(float(own["observed"].iloc[0]), color=BLACK, linewidth=0.9, linestyle=":", zorder=0)
            axes.set_yticks(range(len(models)), [short(model, 18) for model in models], fontsize=9)
            axes.set_ylim(len(models) - 0.5, -0.5)
            axes.set_title(_LABELS.get(check, check), fontsize=10, loc="left")
            axes.margins(x=0.08)
            axes.tick_params(axis="x", labelsize=9)
        axes.plot([], [], color=BLUE, linewidth=4, label="predicted, holds the observed value")
        axes.plot([], [], color=RED, linewidth=4, label="predicted, misses it")
        axes.plot([], [], color=BLACK, marker="D", linestyle="", label="observed (a cross where missed)")
        figure.legend(loc="outside lower left", ncols=1, frameon=False, fontsize=9)
    return figure


_LABELS = {
    "win rates": "win rates: distance from predicted",
    "circular triads": "circular triads within a person, share",
    "agreement": "agreement of two people, share",
    "spread of agreement": "agreement: spread over pairs of people",
    "ties": "ties, share",
    "both bad": "both bad, share",
}


def number_of_types(table: pd.DataFrame, *, title: str) -> Figure:
    """Held-out predictive density by number of types, against the best, with one standard error.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.fits.type_rows`.
    title : str
        The finding.

    Returns
    -------
    Figure
    """
    with style():
        figure, axes = new_figure(title, 2.6)
        for row in records(table):
            colour = RED if row.chosen else BLUE
            low, high = row.difference - row.difference_se, row.difference + row.difference_se
            axes.plot([row.n_types, row.n_types], [low, high], color=colour, linewidth=2.4, solid_capstyle="butt")
            marker = "D" if row.chosen else "o"
            axes.plot(row.n_types, row.difference, color=colour, marker=marker, markersize=7)
        axes.axhline(0.0, color=GREY, linewidth=1, zorder=0)
        axes.plot([], [], color=RED, marker="D", label="chosen")
        axes.plot([], [], color=BLUE, marker="o", label="other candidates, with one standard error")
        axes.set_xticks(table["n_types"].to_numpy())
        axes.set_xlabel("number of types")
        axes.set_ylabel("held-out density,\nminus the best, nats", fontsize=9)
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    return figure


def along_trait(table: pd.DataFrame, *, title: str, low: str = "", high: str = "") -> Figure:
    """Reward of each item along a trait, a line an item.

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.fits.trait_rows`, at most 8 items.
    title : str
        The finding.
    low, high : str
        What the two ends of the trait mean, where known.

    Returns
    -------
    Figure
    """
    items = list(dict.fromkeys(table["item"]))
    with style():
        figure, axes = new_figure(title, 3.2)
        end = float(table["trait"].max())
        last = table[table["trait"] == end].set_index("item")["reward"]
        heights = _spread(np.sort(last.to_numpy()), float(np.ptp(table["reward"])) / 16)
        places = dict(zip(last.sort_values().index, heights, strict=True))
        for k, item in enumerate(items):
            own = table[table["item"] == item]
            axes.plot(own["trait"], own["reward"], color=CYCLE[k % 8], marker=MARKERS[k % 8], markersize=5)
            axes.annotate(short(item, 14), (end * 1.05, places[item]), color=CYCLE[k % 8], va="center", fontsize=9)
        axes.axhline(0.0, color=GREY, linewidth=1, zorder=0)
        axes.set_xlim(-end * 1.05, end * 1.5)
        axes.set_xticks(np.unique(table["trait"]))
        ends = f": {low} to the left, {high} to the right" if low and high else ""
        axes.set_xlabel(f"trait, standard deviations of the population{ends}", fontsize=9)
        axes.set_ylabel("reward against the average item, log-odds", fontsize=9)
    return figure


def _spread(values: np.ndarray, least: float) -> np.ndarray:
    """Move sorted label positions apart to a least distance, about their mean."""
    moved = np.array(values, dtype=np.float64)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + least)
    return np.asarray(moved - (moved - values).mean())
