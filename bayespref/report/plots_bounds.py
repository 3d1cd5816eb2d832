"""Figures of bounds: bands that nest as an assumption strengthens, a posterior beside its set, two witness worlds.

Datasets and arrays in, matplotlib figures out; nothing is computed beyond placing marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bayespref.report.plots_style import BLACK, BLUE, CYCLE, GREY, MARKERS, PALE, RED, WIDTH, put_title, short, style

_BANDS = ("difference_lower", "difference_upper", "region_lower", "region_upper", "value")


def nested_bands(swept: xr.Dataset, *, title: str, truth: float | None = None) -> Figure:
    """Bounds of one difference, and the regret of its region, as the parameter of an assumption moves.

    Parameters
    ----------
    swept : Dataset
        From ``bounds.sweep``, one state, type, item and item_other selected: only the dim ``parameter`` is left.
        Parameters that every draw refutes are hatched.
    title : str
        The finding.
    truth : float, optional
        True difference of a simulated world, log-odds.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the Dataset lacks a variable, or another dim is left.
    """
    lacking = [name for name in _BANDS if name not in swept]
    left = sorted({str(dim) for name in _BANDS if name in swept for dim in swept[name].dims} - {"parameter"})
    if lacking or left:
        raise ValueError(f"swept: lacks {lacking}, has dims {left} to select from; select one difference of a sweep")
    rows = swept.sortby("parameter")
    x = rows["parameter"].values
    fits = np.isfinite(rows["difference_lower"].values)
    with style():
        figure = Figure(figsize=(WIDTH, 4.3), layout="constrained")
        put_title(figure, title)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0))
        if not rows["region_lower"].equals(rows["difference_lower"]):
            flat: dict[str, Any] = {"color": PALE, "linewidth": 0, "label": "credible region of the bounds"}
            top.fill_between(x, rows["region_lower"], rows["region_upper"], **flat)
        ends: dict[str, Any] = {"color": BLUE, "alpha": 0.45, "linewidth": 0}
        top.fill_between(x, rows["difference_lower"], rows["difference_upper"], label="bounds", **ends)
        for name in ("difference_lower", "difference_upper"):
            top.plot(x, rows[name], color=BLUE, marker="o", markersize=3.5)
        if truth is not None:
            top.axhline(truth, color=BLACK, linestyle="--", linewidth=1.2, label="truth")
        top.axhline(0, color=GREY, linewidth=1)
        bottom.plot(x, rows["value"], color=RED, marker="D", markersize=3.5)
        bottom.set_ylim(bottom=min(-0.02, -0.04 * float(np.nanmax(rows["value"].values, initial=0.0))))
        if not fits.all():
            edge = float(x[fits].min()) if fits.any() else float(x.max())
            key: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "hatch": "////", "linewidth": 0}
            top.axvspan(float(x.min()), edge, label="refuted by the data", **key)
            bottom.axvspan(float(x.min()), edge, **key)
        top.set_ylabel("difference, log-odds")
        bottom.set_ylabel("regret V")
        name = (
            f"{rows.attrs.get('parameter', 'parameter')} of {str(rows.attrs.get('assumption', '')).replace('_', ' ')}"
        )
        bottom.set_xlabel(f"{name} (stronger to the left)")
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9)
        figure.draw_without_rendering()  # ticks change with the height the legend leaves; the next layout sees them
    return figure


def posterior_beside_set(
    draws: Float[np.ndarray, " draw"],
    identified: tuple[float, float],
    *,
    title: str,
    region: tuple[float, float] | None = None,
    interval: tuple[float, float] | None = None,
    truth: float | None = None,
) -> Figure:
    """Posterior draws of a difference above the set the data allow.

    Parameters
    ----------
    draws : array, shape (draw,)
        Posterior draws, log-odds.
    identified : tuple of float
        Bounds of the difference (set of posterior means).
    title : str
        The finding.
    region : tuple of float, optional
        Robust credible region of the set.
    interval : tuple of float, optional
        Credible interval of the draws.
    truth : float, optional
        True difference of a simulated world.

    Returns
    -------
    Figure
    """
    with style():
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        put_title(figure, title)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.0, 1.0))
        top.hist(np.asarray(draws), bins=40, color=PALE, edgecolor="white", linewidth=0.4)
        top.set_yticks([])
        top.spines["left"].set_visible(False)
        top.set_ylabel("posterior")
        bars: list[tuple[str, tuple[float, float], str, str]] = [("bounds", identified, RED, "////")]
        if region is not None:
            bars.insert(0, ("its credible region", region, GREY, ""))
        if interval is not None:
            bars.append(("interval of draws", interval, BLUE, ""))
        for y, (_, (low, high), colour, hatch) in enumerate(bars):
            face = PALE if hatch else "none"
            bottom.add_patch(
                Rectangle(
                    (low, y - 0.32), high - low, 0.64, facecolor=face, edgecolor=colour, hatch=hatch, linewidth=1.4
                )
            )
        bottom.set_yticks(range(len(bars)), [name for name, *_ in bars], fontsize=9)
        bottom.set_ylim(-0.6, len(bars) - 0.4)
        ends = [end for _, pair, *_ in bars for end in pair]
        bottom.set_xlim(min(ends) - 0.06 * np.ptp(ends), max(ends) + 0.06 * np.ptp(ends))
        bottom.set_xlabel("difference of rewards, log-odds")
        for axes in (top, bottom):
            axes.axvline(0, color=GREY, linewidth=1, zorder=0)
            if truth is not None:
                axes.axvline(truth, color=BLACK, linestyle="--", linewidth=1.2)
        if truth is not None:
            bottom.plot([], [], color=BLACK, linestyle="--", linewidth=1.2, label="truth")
            figure.legend(loc="outside lower left", frameon=False, fontsize=9)
    return figure


def witness_worlds(
    worlds: Sequence[Float[np.ndarray, "type item"]],
    component: Int[np.ndarray, "type item"],
    *,
    items: Sequence[str],
    types: Sequence[str],
    names: Sequence[str],
    title: str,
    played: int | None = None,
) -> Figure:
    """Reward tables that fit the data equally well, side by side; what moves between them is not identified.

    Parameters
    ----------
    worlds : sequence of arrays, each of shape (type, item)
        Rewards, log-odds, as of ``two_world_certificate``.
    component : integer array, shape (type, item)
        Components; each has its own colour and marker, and a line joins its items.
    items, types : sequence of str
        Labels.
    names : sequence of str
        One title a world.
    title : str
        The finding.
    played : int, optional
        The action a policy plays, marked on the axis.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If shapes and labels do not agree.
    """
    tables = [np.asarray(world, dtype=np.float64) for world in worlds]
    shape = (len(types), len(items))
    if len(tables) != len(names) or any(table.shape != shape for table in (*tables, np.asarray(component))):
        raise ValueError(f"worlds, component: need one name each and the shape (type, item) = {shape}")
    labels = [short(item, 12) + (" (played)" if a == played else "") for a, item in enumerate(items)]
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + len(types) * (0.55 + 0.3 * len(items))), layout="constrained")
        put_title(figure, title)
        panels = figure.subplots(len(types), len(tables), sharex=True, sharey=True, squeeze=False)
        for c, kind in enumerate(types):
            for w, table in enumerate(tables):
                axes = panels[c, w]
                for k in np.unique(component[c]):
                    own = np.flatnonzero(np.asarray(component[c]) == k)
                    look: dict[str, Any] = {"color": CYCLE[k % len(CYCLE)], "marker": MARKERS[k % len(MARKERS)]}
                    axes.plot(table[c, own], own, linewidth=1.4 if len(own) > 1 else 0.0, markersize=7, **look)
                axes.set_ylim(len(items) - 0.5, -0.5)
                axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)
                axes.set_axisbelow(True)
                if c == 0:
                    axes.set_title(short(names[w], 30), fontsize=10, loc="left")
                if c == len(types) - 1:
                    axes.set_xlabel("reward, log-odds")
            panels[c, 0].margins(x=0.1)
            panels[c, 0].set_yticks(range(len(items)), labels, fontsize=9)
            panels[c, 0].set_ylabel(short(kind, 18))
    return figure
