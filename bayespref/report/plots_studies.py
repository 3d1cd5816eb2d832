"""Figures of studies: lines with Monte-Carlo error against what is expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bayespref.report.plots_style import (
    BLACK,
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    PALE,
    RED,
    new_figure,
    put_title,
    short,
    style,
)

_MODELS = {
    "posterior": "posterior",
    "saturated, retrained": "refits, cells free",
    "additive, retrained": "refits, additive",
    "mlp, retrained": "refits, network",
}


def curves(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str,
    title: str,
    log_x: bool = False,
    levels: Mapping[str, float] | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
) -> Figure:
    """Draw a line per group, with two Monte-Carlo standard errors where the table has ``<y>_se``.

    Parameters
    ----------
    table : DataFrame
        One row a point.
    x, y, by : str
        Columns.
    title : str
        Title.
    log_x : bool
        Logarithmic x axis; values of zero are put one step left of the smallest positive one and labelled 0.
    levels : mapping of label to float, optional
        Horizontal lines to compare with.
    x_label, y_label : str, optional
        Labels of the axes; the column names by default.

    Returns
    -------
    Figure
    """
    with style():
        figure, axes = new_figure(title, 3.0)
        zero = None
        if log_x and (table[x] == 0).any():
            positive = table.loc[table[x] > 0, x]
            zero = float(positive.min()) / 5 if len(positive) else 1.0
        for index, (name, rows) in enumerate(table.groupby(by, sort=False)):
            ordered = rows.sort_values(x)
            place = ordered[x].to_numpy(dtype=float)
            if zero is not None:
                place = np.where(place == 0, zero, place)
            error = 2 * ordered[f"{y}_se"].fillna(0.0) if f"{y}_se" in ordered else None
            colour, marker = CYCLE[index % len(CYCLE)], MARKERS[index % len(MARKERS)]
            axes.errorbar(
                place, ordered[y], yerr=error, color=colour, marker=marker, markersize=5, capsize=2, label=str(name)
            )
        for index, (name, level) in enumerate((levels or {}).items()):
            axes.axhline(level, color=GREY, linewidth=1, linestyle=("--", ":", "-.")[index % 3])
            axes.annotate(
                f" {name}", (1.0, level), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=BLACK
            )
        if log_x:
            axes.set_xscale("log")
            _plain_ticks(axes, [value for value in table[x] if value > 0], zero)
        axes.set(xlabel=x_label or x, ylabel=y_label or y)
        if len(set(table[by])) > 1:
            axes.legend(frameon=False, fontsize=9)
    return figure


def bars(
    table: pd.DataFrame, *, x: str, y: str, by: str, title: str, base: float = 0.0, y_label: str | None = None
) -> Figure:
    """Draw a bar per group in every category, from a base line, with two Monte-Carlo standard errors.

    Parameters
    ----------
    table : DataFrame
        One row a bar; ``<y>_se`` beside ``y`` where there are errors.
    x, y, by : str
        Columns: categories, heights, groups; both in the order of the table.
    title : str
        Title.
    base : float
        Where bars begin, drawn as a line.
    y_label : str, optional
        Label of the vertical axis; the column name by default.

    Returns
    -------
    Figure
    """
    with style():
        figure, axes = new_figure(title, 3.2)
        categories, groups = list(dict.fromkeys(table[x])), list(dict.fromkeys(table[by]))
        width = 0.8 / len(groups)
        for index, name in enumerate(groups):
            rows = table[table[by] == name]
            place = np.array([categories.index(value) for value in rows[x]]) + (index - (len(groups) - 1) / 2) * width
            error = 2 * rows[f"{y}_se"].fillna(0.0) if f"{y}_se" in rows else None
            colour = CYCLE[index % len(CYCLE)]
            axes.bar(place, rows[y] - base, 0.9 * width, bottom=base, yerr=error, color=colour, capsize=2, label=name)
        axes.axhline(base, color=BLACK, linewidth=1)
        axes.set_xticks(range(len(categories)), categories, rotation=25, ha="right", rotation_mode="anchor")
        axes.set(ylabel=y_label or y)
        axes.legend(frameon=False, fontsize=9, title=by)
    return figure


def blind_spot(table: pd.DataFrame, amplified: pd.DataFrame, *, title: str) -> Figure:
    """Draw the headline: error against data, retrained models beside the truth, value as optimisation hardens.

    Parameters
    ----------
    table : DataFrame
        Columns ``fit``, ``n``, ``eps``, ``disagreement_b``, ``error_in``, ``error_b``; the fit ``posterior`` and
        retrained ones.
    amplified : DataFrame
        Columns ``policy`` (``tilt`` and ``reference``), ``temperature``, ``value_b``, ``promised_b`` at eps = 0.
    title : str
        Title.

    Returns
    -------
    Figure
        Three panels.
    """
    with style():
        figure = Figure(figsize=(11.0, 3.9), layout="constrained")
        put_title(figure, title, 110)
        left, middle, right = figure.subplots(1, 3)
        grown = table[(table["fit"] == "posterior") & (table["eps"] == 0)].sort_values("n")
        for column, words, colour, marker in (
            ("error_in", "where people asked", BLUE, "o"),
            ("error_b", "where nobody asked (B)", RED, "s"),
        ):
            left.errorbar(
                grown["n"],
                grown[column],
                2 * grown[f"{column}_se"],
                color=colour,
                marker=marker,
                capsize=2,
                label=words,
            )
        left.set_xscale("log")
        _plain_ticks(left, grown["n"])
        left.set(xlabel="comparisons", ylabel="share of contrasts with the wrong sign", ylim=(0, 0.5))
        left.set_title("More data of the same kind\ndo not help", loc="left", fontsize=10)
        left.legend(frameon=False, fontsize=9, loc="center right")
        compared = table[(table["n"] == 20_000) & (table["eps"].isin([0.0, 0.001]))]
        labels = []
        for place, (_, row) in enumerate(compared.iterrows()):
            middle.barh(place - 0.2, row["disagreement_b"], 0.38, color=PALE, edgecolor=BLUE, linewidth=1)
            middle.barh(place + 0.2, row["error_b"], 0.38, color=RED)
            if row["disagreement_b"] < 0.02:
                middle.text(0.015, place - 0.2, f"{row['disagreement_b']:.2f}", va="center", color=BLUE, fontsize=8)
            asked = f"{row['eps'] * row['n']:.0f} a cell" if row["eps"] > 0 else "never asked"
            labels.append(f"{_MODELS.get(row['fit'], row['fit'])}: {asked}")
        middle.set_yticks(range(len(labels)), labels, fontsize=8.5)
        middle.set(xlim=(0, 0.55), xlabel="share of contrasts on B")
        middle.invert_yaxis()
        middle.set_title("Refits that agree on B\nare wrong all the same", loc="left", fontsize=10)
        middle.legend(
            [Patch(facecolor=PALE, edgecolor=BLUE), Patch(color=RED)],
            ["they disagree", "they are wrong"],
            frameon=False,
            fontsize=9,
            loc="lower right",
        )
        promised_and_delivered(right, amplified)
        right.set(ylabel="reward above a uniform choice", ylim=(0, None))
        right.set_title("Optimising harder loses\nwhat the start knew", loc="left", fontsize=10)
        right.legend(frameon=False, fontsize=9, loc="lower left")
    return figure


def dots(table: pd.DataFrame, *, title: str, x_label: str) -> Figure:
    """Draw a row of dots per item, a marker per group; where a group was never asked about an item there is none.

    Parameters
    ----------
    table : DataFrame
        Columns ``item``, ``group``, ``value``; items from the highest mean down.
    title, x_label : str
        Title and label of the axis.

    Returns
    -------
    Figure
    """
    order = table.groupby("item")["value"].mean().sort_values().index
    with style():
        figure, axes = new_figure(title, 1.1 + 0.23 * len(order))
        axes.hlines(range(len(order)), table["value"].min(), table["value"].max(), color=PALE, linewidth=0.6)
        for index, (name, rows) in enumerate(table.groupby("group", sort=False)):
            axes.plot(
                rows["value"],
                order.get_indexer(pd.Index(rows["item"])),
                linestyle="none",
                color=CYCLE[index % len(CYCLE)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=5.5,
                alpha=0.9,
                label=str(name),
            )
        if table["value"].min() < 0 < table["value"].max():
            axes.axvline(0.0, color=GREY, linewidth=0.8)
        axes.set_ylim(-0.7, len(order) - 0.3)
        axes.set_yticks(range(len(order)), [short(item) for item in order], fontsize=9)
        axes.set(xlabel=x_label)
        if len(set(table["group"])) > 1:
            figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def promised_and_delivered(axes: Axes, table: pd.DataFrame) -> None:
    """Draw what tilts promise and deliver on B against optimisation, beside the reference that they start from."""
    hard = table[table["policy"] == "tilt"].sort_values("temperature")
    kept = table[table["policy"] == "reference"].sort_values("temperature")
    pressure = 1.0 / hard["temperature"]
    for column, words, colour, marker in (
        ("promised_b", "what it promises on B", BLUE, "o"),
        ("value_b", "what it delivers on B", RED, "s"),
    ):
        axes.errorbar(
            pressure, hard[column], 2 * hard[f"{column}_se"], color=colour, marker=marker, capsize=2, label=words
        )
    axes.plot(1.0 / kept["temperature"], kept["value_b"], color=GREY, linestyle="--", label="the start, kept on B")
    axes.set_xscale("log")
    _plain_ticks(axes, pressure)
    axes.set(xlabel="optimisation (1 / beta)")


def amplification(panels: Mapping[str, pd.DataFrame], *, title: str) -> Figure:
    """Draw promises and deliveries of tilts, a panel a start and learner.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Each with columns ``policy`` (``tilt`` and ``reference``), ``temperature``, and ``promised_b``, ``value_b`` with
        their standard errors.
    title : str
        Title.

    Returns
    -------
    Figure
    """
    with style():
        figure = Figure(figsize=(3.7 * len(panels), 3.9), layout="constrained")
        put_title(figure, title, 37 * len(panels))
        for axes, (name, table) in zip(
            figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
        ):
            promised_and_delivered(axes, table)
            axes.set_title(name, loc="left", fontsize=10)
        figure.axes[0].set(ylabel="reward on B above a uniform choice")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _plain_ticks(axes: Axes, values: Iterable[float], zero: float | None = None) -> None:
    """Put ticks of a logarithmic axis at the values themselves, in plain digits; ``zero`` stands for 0."""
    ticks = sorted(set(values)) if zero is None else sorted({zero, *values})
    axes.set_xticks(ticks, ["0" if tick == zero else f"{float(f'{tick:.2g}'):,g}" for tick in ticks])
    axes.minorticks_off()
