"""Figures of studies: lines with Monte-Carlo error against what is expected."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bayespref.report.plots_style import BLACK, CYCLE, GREY, MARKERS, new_figure, style


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
        if zero is not None:
            ticks = sorted({zero, *table.loc[table[x] > 0, x]})
            axes.set_xticks(ticks, ["0" if tick == zero else f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        axes.set(xlabel=x_label or x, ylabel=y_label or y)
        if len(set(table[by])) > 1:
            axes.legend(frameon=False, fontsize=9)
    return figure
