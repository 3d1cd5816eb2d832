"""Figures of designs: what comparisons inform, what information costs, and what a design changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from bayespref.information import overlap
from bayespref.report.plots_style import BLACK, BLUE, CYCLE, GREY, MARKERS, ORANGE, PALE, RED, new_figure, short, style


def information_ellipses(
    information: Mapping[str, Float[np.ndarray, "2 2"]], names: tuple[str, str], *, title: str
) -> Figure:
    """Draw one standard error per label around the coefficients, and the direction that is known worst.

    Parameters
    ----------
    information : mapping of label to array, shape (2, 2)
        Information per label of each design; a singular one is drawn as a pair of lines that go on for ever.
    names : tuple of str
        The two coefficients.
    title : str
        Title.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with style():
        figure, axes = new_figure(title, 4.6)
        angle = np.linspace(0, 2 * np.pi, 400)
        circle = np.stack([np.cos(angle), np.sin(angle)])
        known = [overlap(np.asarray(matrix)) for matrix in information.values()]
        reach = 1.15 * max(
            [float(one.kappa_inv) ** 0.5 for one in known if np.isfinite(one.kappa_inv)]
            + [float(one.lambda_max) ** -0.5 for one in known if one.lambda_max > 0],
            default=1.0,
        )
        for k, (label, one) in enumerate(zip(information, known, strict=True)):
            colour = CYCLE[k % len(CYCLE)]
            if np.isnan(one.lambda_min):
                continue
            length = np.where(one.values > 1e-12 * one.lambda_max, one.values, np.nan) ** -0.5
            length = np.where(np.isnan(length), 10 * reach, length)
            rim = one.vectors @ (length[:, None] * circle)
            words = f"{short(label)}: worst s.e. {length[0]:.3g}" if one.null_dim == 0 else f"{short(label)}: unbounded"
            axes.plot(*rim, color=colour, linewidth=1.8, label=words, linestyle=("-", "--", "-.", ":")[k % 4])
            end = one.direction * min(length[0], reach)
            axes.plot(*np.stack([-end, end], axis=1), color=colour, linewidth=0.9, alpha=0.8)
            axes.plot(*end, color=colour, marker=MARKERS[k % len(MARKERS)], markersize=6)
        axes.axhline(0, color=PALE, linewidth=0.8, zorder=0)
        axes.axvline(0, color=PALE, linewidth=0.8, zorder=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set(xlabel=f"{names[0]}: error, per root label", ylabel=f"{names[1]}: error, per root label")
        figure.legend(loc="outside lower left", frameon=False, ncols=1)
    return figure


def cost_frontier(
    table: pd.DataFrame,
    *,
    title: str,
    x: str = "cost",
    y: str = "lambda_min",
    by: str = "design",
    x_label: str = "cost",
    y_label: str = "least eigenvalue of the information",
) -> Figure:
    """Draw information against cost, a line per design; ``upper_bound``, where present, is the certified limit.

    Parameters
    ----------
    table : DataFrame
        Columns ``x``, ``y``, ``by`` and, if known, ``upper_bound``.
    title : str
        Title.
    x, y, by : str
        Columns.
    x_label, y_label : str
        Axis labels.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with style():
        figure, axes = new_figure(title, 3.2)
        for k, (label, group) in enumerate(table.groupby(by, sort=False)):
            line = group.sort_values(x)
            colour, marker = CYCLE[k % len(CYCLE)], MARKERS[k % len(MARKERS)]
            axes.plot(
                line[x], line[y], label=short(str(label)), color=colour, marker=marker, markersize=5, linewidth=1.8
            )
            if "upper_bound" in line and np.isfinite(line["upper_bound"]).any():
                axes.plot(line[x], line["upper_bound"], color=colour, linewidth=5, alpha=0.18, solid_capstyle="butt")
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower left", frameon=False, ncols=2)
    return figure


def quadrant_plot(
    dz: Float[np.ndarray, "n 2"], names: tuple[str, str], *, title: str, most: int = 2000, seed: int = 0
) -> Figure:
    """Draw comparisons by two feature differences, with the share of each sign quadrant.

    A pair and its swap are the same question, so opposite quadrants belong together and share a colour.

    Parameters
    ----------
    dz : array, shape (n, 2)
        Feature differences.
    names : tuple of str
        The two features.
    title : str
        Title.
    most : int
        Points drawn; more are thinned at random. Shares are of all of them.
    seed : int
        Of the thinning.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = np.asarray(dz, dtype=np.float64)
    with style():
        figure, axes = new_figure(title, 3.8)
        together = np.sign(rows[:, 0]) * np.sign(rows[:, 1])
        drawn = np.random.default_rng(seed).permutation(len(rows))[:most]
        against = (-1, RED, "s", "move against each other")
        for sign, colour, marker, label in ((1, BLUE, "o", "move together"), against, (0, GREY, "x", "one is equal")):
            mine = drawn[together[drawn] == sign]
            share = float((together == sign).mean()) if len(rows) else np.nan
            if share > 0:
                words = f"{label}: {share:.1%}"
                axes.scatter(
                    rows[mine, 0],
                    rows[mine, 1],
                    s=11,
                    color=colour,
                    marker=marker,
                    alpha=0.45,
                    linewidths=0.7,
                    label=words,
                )
        reach = 1.08 * np.abs(rows).max(axis=0) if len(rows) else np.ones(2)
        reach = np.where(reach > 0, reach, 1.0)
        axes.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
        for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            share = float(((np.sign(rows[:, 0]) == x) & (np.sign(rows[:, 1]) == y)).mean()) if len(rows) else np.nan
            axes.text(
                x * 0.93 * reach[0],
                y * 0.92 * reach[1],
                f"{share:.1%}",
                ha="right" if x > 0 else "left",
                va="top" if y > 0 else "bottom",
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": PALE},
            )
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set(xlabel=f"difference of {names[0]}", ylabel=f"difference of {names[1]}")
        if len(rows):
            figure.legend(loc="outside lower left", frameon=False, ncols=1)
    return figure


def design_weights(
    names: Sequence[str],
    weights: Float[np.ndarray, " action"],
    load: Float[np.ndarray, " action"],
    bound: float,
    *,
    title: str,
    most: int = 15,
) -> Figure:
    """Draw the weights of a design beside its certificate: what each action adds at the dual prices, and the limit.

    Parameters
    ----------
    names : sequence of str
        Actions.
    weights : array, shape (A,)
        Shares of the design.
    load : array, shape (A,)
        tr(W M_a), less the price of its cost: at most ``bound`` everywhere, equal to it where an action is used. That
        proves that no other mix does better.
    bound : float
        The certified bound, in the units of ``load``.
    title : str
        Title.
    most : int
        Actions drawn, heaviest first, then those that come nearest to the bound.

    Returns
    -------
    matplotlib.figure.Figure
    """
    share, priced = np.asarray(weights, dtype=np.float64), np.asarray(load, dtype=np.float64)
    order = np.lexsort((-priced, -share))[:most][::-1]
    with style():
        figure, _ = new_figure(title, 0.8 + 0.27 * len(order))
        figure.delaxes(figure.axes[0])
        left, right = figure.subplots(1, 2, sharey=True)
        place = np.arange(len(order))
        left.barh(place, share[order], color=BLUE, height=0.65)
        left.set_yticks(place, [short(str(names[k]), 22) for k in order])
        left.set(xlabel="share of labels", xlim=(0, max(1e-9, 1.3 * float(share[order].max(initial=0.0)))))
        for y, k in zip(place, order, strict=True):
            left.text(share[k], y, f" {share[k]:.0%}" if share[k] >= 0.005 else " 0", va="center", fontsize=9)
        used = share[order] > 1e-6
        right.axvline(bound, color=BLACK, linewidth=1.2, label=f"limit {bound:.4g}")
        right.plot(priced[order][used], place[used], "o", color=BLUE, markersize=6, label="in the design")
        if (~used).any():
            look = {"color": ORANGE, "mfc": "none", "markersize": 6, "label": "left out"}
            right.plot(priced[order][~used], place[~used], "o", **look)
        right.set(xlabel="worth at the dual prices", xlim=(0, 1.12 * max(bound, float(priced[order].max(initial=0.0)))))
        figure.legend(loc="outside lower left", frameon=False, ncols=3)
    return figure


def coverage_change(
    before: pd.DataFrame, after: pd.DataFrame, *, title: str, label: str = "comparisons", segment: str = ""
) -> Figure:
    """Draw the comparisons of every cell before and after a design, on one logarithmic scale; empty cells are hatched.

    Parameters
    ----------
    before, after : DataFrame
        Rows are states, columns are segments, values are counts.
    title : str
        Title.
    label : str
        What is counted.
    segment : str
        What the columns are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    tables = (before.to_numpy(dtype=np.float64), after.to_numpy(dtype=np.float64))
    top = max(1.0, *(float(np.nanmax(values, initial=1.0)) for values in tables))
    with style():
        figure, _ = new_figure(title, 0.9 + 0.36 * max(len(before), 3))
        figure.delaxes(figure.axes[0])
        panels = figure.subplots(1, 2, sharey=True)
        for axes, values, words in zip(panels, tables, ("before", "after"), strict=True):
            shown = np.ma.masked_where(values <= 0, values)
            image = axes.imshow(shown, cmap="Blues", norm=LogNorm(1, max(top, 2.0)), aspect="auto")
            for i, j in np.argwhere(values <= 0):
                corner = (j - 0.5, i - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor=RED, linewidth=0))
            if values.size <= 80:
                for (i, j), value in np.ndenumerate(values):
                    dark = value > 0 and np.log(value) / np.log(max(top, 2.0)) > 0.6
                    text = f"{value:,.0f}"
                    box = None if value > 0 else {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
                    colour = "white" if dark else BLACK
                    axes.text(j, i, text, ha="center", va="center", fontsize=9, color=colour, bbox=box)
            axes.set_xticks(range(values.shape[1]), [short(str(name), 12) for name in before.columns], fontsize=8)
            axes.set_yticks(range(values.shape[0]), [short(str(name), 20) for name in before.index])
            axes.set_title(f"{words}\n{values.sum():,.0f}", fontsize=10, loc="left")
            axes.set_xlabel(segment)
        bar = figure.colorbar(image, ax=panels, shrink=0.9, label=f"{label}\n(hatched: none)")
        bar.formatter = FuncFormatter(lambda number, _: f"{number:,.0f}")  # names may hold "$": no mathematics in text
    return figure
