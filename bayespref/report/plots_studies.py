"""Figures of studies: lines with Monte-Carlo error against what is expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bayespref.report.plots_style import BLACK, BLUE, CYCLE, GREY, MARKERS, PALE, RED, new_figure, put_title, style


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


def blind_spot(table: pd.DataFrame, amplified: pd.DataFrame, *, title: str) -> Figure:
    """Draw the headline: error against data, retrained models beside the truth, value as optimisation hardens.

    Parameters
    ----------
    table : DataFrame
        Columns ``fit``, ``n``, ``eps``, ``disagreement_b``, ``error_in``, ``error_b``; the fit ``posterior`` and
        retrained ones.
    amplified : DataFrame
        Columns ``temperature``, ``value_b``, ``predicted_b``, ``best_b`` at eps = 0.
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
            middle.bar(place - 0.2, row["disagreement_b"], 0.38, color=PALE, edgecolor=BLUE, linewidth=1)
            middle.bar(place + 0.2, row["error_b"], 0.38, color=RED)
            if row["disagreement_b"] < 0.02:
                middle.text(place - 0.2, 0.012, "0", ha="center", color=BLUE, fontsize=9)
            labels.append(f"{row['fit']}\neps = {row['eps']:g}")
        middle.set_xticks(range(len(labels)), labels, fontsize=7.5, rotation=35, ha="right", rotation_mode="anchor")
        middle.set(ylim=(0, 0.62))
        middle.set_title("Refits that agree on B\nare no evidence", loc="left", fontsize=10)
        middle.legend(
            [Patch(facecolor=PALE, edgecolor=BLUE), Patch(color=RED)],
            ["they disagree", "they are wrong"],
            frameon=False,
            fontsize=9,
            loc="upper right",
            ncols=2,
        )
        hard = amplified.sort_values("temperature")
        pressure = 1.0 / hard["temperature"]
        right.plot(pressure, hard["predicted_b"], color=BLUE, marker="o", label="what it promises on B")
        right.errorbar(
            pressure,
            hard["value_b"],
            2 * hard["value_b_se"],
            color=RED,
            marker="s",
            capsize=2,
            label="what it delivers",
        )
        right.axhline(float(hard["best_b"].iloc[0]), color=GREY, linestyle="--", linewidth=1)
        right.annotate("best possible", (0.02, float(hard["best_b"].iloc[0])), xycoords=("axes fraction", "data"),
                       va="bottom", fontsize=9)  # fmt: skip
        right.set_xscale("log")
        _plain_ticks(right, pressure)
        right.set(xlabel="optimisation (1 / beta)", ylabel="reward above a uniform choice", ylim=(-0.7, None))
        right.set_title("Optimising harder widens\nthe gap", loc="left", fontsize=10)
        right.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _plain_ticks(axes: Axes, values: Iterable[float], zero: float | None = None) -> None:
    """Put ticks of a logarithmic axis at the values themselves, in plain digits; ``zero`` stands for 0."""
    ticks = sorted(set(values)) if zero is None else sorted({zero, *values})
    axes.set_xticks(ticks, ["0" if tick == zero else f"{float(f'{tick:.2g}'):,g}" for tick in ticks])
    axes.minorticks_off()
