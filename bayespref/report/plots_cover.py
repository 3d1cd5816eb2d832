"""Heat maps of what was asked: counts in the cells while they fit, shades and a scale where there are many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from bayespref.report.plots_style import GREY, WIDTH, count_words, new_figure, short, style

MOST_ROWS, MOST_COLUMNS = 30, 8
"""Most rows and columns with a count in every cell."""
_CELL = {"large": 0.34, "small": 0.2, "tiny": 0.075}


def coverage(table: pd.DataFrame, *, title: str) -> Figure:
    """Heat map of comparisons by state (rows) and type (columns); empty cells are hatched and say "none".

    Parameters
    ----------
    table : DataFrame
        From :func:`bayespref.report.tables.coverage`.
    title : str
        The finding.

    Returns
    -------
    Figure
    """
    states, types = list(dict.fromkeys(table["state"])), list(dict.fromkeys(table["type"]))
    shape = len(states), len(types)
    counts = pd.DataFrame(table["count"].to_numpy().reshape(shape), index=states, columns=types)
    return heat(counts, table["is_empty"].to_numpy(dtype=bool).reshape(shape), title=title)


def heat(counts: pd.DataFrame, empty: NDArray[np.bool_], *, title: str) -> Figure:
    """Heat map of counts.

    Up to 30 rows and 8 columns every cell states its count, and an empty one is hatched and says "none"; beyond, cells
    are shades on a logarithmic scale, and an empty one is dark red, darker than any count.

    Parameters
    ----------
    counts : DataFrame
        Comparisons; row and column labels in the index and columns. A NaN cell is left blank.
    empty : bool array, shape of ``counts``
        Cells that hold nothing.
    title : str
        The finding.

    Returns
    -------
    Figure
    """
    n_rows, n_columns = counts.shape
    with style():
        if n_rows <= MOST_ROWS and n_columns <= MOST_COLUMNS:
            figure, axes = new_figure(title, 0.9 + _CELL["large"] * n_rows)
            _cells_with_counts(axes, counts, empty)
        else:
            size = "small" if n_rows <= MOST_ROWS else "tiny"
            figure, axes = new_figure(title, 1.5 + _CELL[size] * n_rows)
            _shades(figure, axes, counts, empty)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def _cells_with_counts(axes: Axes, counts: pd.DataFrame, empty: NDArray[np.bool_]) -> None:
    value = counts.to_numpy(dtype=float)
    n_rows, n_columns = value.shape
    hidden = empty | np.isnan(value)
    shown = np.ma.masked_array(np.maximum(np.nan_to_num(value), 1.0), mask=hidden)
    top = max(float(np.nanmax(value, initial=0.0)), 10.0)
    axes.imshow(shown, cmap="Blues", norm=LogNorm(0.5, top**2), aspect="auto")  # pale, so that black text stands out
    size = 9.0 if n_columns <= 5 else 8.0
    for (r, c), number in np.ndenumerate(value):
        if np.isnan(number):
            continue
        if empty[r, c]:
            axes.add_patch(Rectangle((c - 0.5, r - 0.5), 1, 1, fill=False, hatch="////", linewidth=0))
        words = "none" if empty[r, c] else count_words(number)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if empty[r, c] else None
        weight = "bold" if empty[r, c] else "normal"
        axes.text(c, r, words, ha="center", va="center", fontsize=size, fontweight=weight, bbox=box)
    names = [short(str(label), 18) for label in counts.columns]
    crowded: dict[str, Any] = {}
    if len(names) * max(map(len, names)) > 48:
        crowded = {"rotation": 25, "ha": "left"}
    axes.set_xticks(range(n_columns), names, **crowded)
    axes.set_yticks(range(n_rows), [short(str(label), 22) for label in counts.index])
    axes.set_xticks(np.arange(n_columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n_rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)


def _shades(figure: Figure, axes: Axes, counts: pd.DataFrame, empty: NDArray[np.bool_]) -> None:
    value = counts.to_numpy(dtype=float)
    n_rows, n_columns = value.shape
    shown = np.ma.masked_array(np.maximum(np.nan_to_num(value), 1.0), mask=empty | np.isnan(value))
    top = max(float(np.nanmax(value, initial=0.0)), 2.0)
    image = axes.imshow(shown, cmap="Blues", norm=LogNorm(0.6, top**1.6), aspect="auto", interpolation="none")
    holes = np.ma.masked_array(np.ones(value.shape), mask=~empty | np.isnan(value))
    axes.imshow(holes, cmap="Reds", vmin=0, vmax=1.15, aspect="auto", interpolation="none")
    small = n_rows <= MOST_ROWS
    step = 1 if small else int(np.ceil(n_rows * 0.14 / (_CELL["tiny"] * n_rows)))
    at = np.arange(0, n_rows, step)
    axes.set_yticks(at, [short(label, 22) for label in counts.index[at]], fontsize=9 if small else 8)
    wide = int(np.ceil(n_columns * 0.15 / (WIDTH * 0.7)))
    at = np.arange(0, n_columns, max(wide, 1))
    names = [short(label, 18) for label in counts.columns[at]]
    turned: dict[str, Any] = {"rotation": 60, "ha": "left"} if len(names) * max(map(len, names)) > 48 else {}
    axes.set_xticks(at, names, fontsize=8, **turned)
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, aspect=30, pad=0.02)
    bar.ax.set_xlim(1, top)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
    bar.set_label("comparisons", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)  # type: ignore[operator]
    if empty.any():
        axes.legend(
            handles=[Patch(color="#9d0d14", label="none")],
            loc="upper left",
            bbox_to_anchor=(0.0, -0.005),
            frameon=False,
            fontsize=9,
            borderpad=0,
            handlelength=1.0,
        )
    if small:
        axes.set_xticks(np.arange(n_columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n_rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
    else:
        axes.axhline(-0.5, color=GREY, linewidth=0.5)
