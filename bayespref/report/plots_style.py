"""What every figure shares: style, palette, titles, labels, and SVG with text kept as text."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure

WIDTH = 5.0
"""Width of every figure, inches."""
BLACK, BLUE, ORANGE, GREEN, RED, PURPLE = "#1a1a1a", "#0072b2", "#b86e00", "#009e73", "#b3400b", "#a8577e"
GREY, PALE = "#595959", "#c9d7e3"
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, BLACK, "#56b4e9", GREY)
MARKERS = "osDhp8PX"
_STYLE = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.0,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bayespref",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": BLACK,
    "text.color": BLACK,
    "hatch.linewidth": 0.8,
    "hatch.color": GREY,
}


@contextmanager
def style() -> Iterator[None]:
    """Our settings over matplotlib's defaults, while drawing; glyphs a font lacks are left to the browser."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def to_svg(figure: Figure) -> bytes:
    """Render a figure as SVG, text kept as text; equal figures give equal bytes."""
    out = BytesIO()
    with style():
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def new_figure(title: str, height: float) -> tuple[Figure, Axes]:
    """One panel under a title, ``height`` inches without it."""
    lines = _wrapped(title).count("\n") + 1
    figure = Figure(figsize=(WIDTH, height + 0.22 * lines), layout="constrained")
    put_title(figure, title)
    return figure, figure.subplots()


def put_title(figure: Figure, title: str, width: int = 54) -> None:
    """Wrap the title at a width in characters and put it at the left."""
    figure.suptitle(textwrap.fill(title, width), x=0.01, ha="left", fontsize=11, fontweight="bold")


def _wrapped(title: str) -> str:
    return textwrap.fill(title, 54)


def interval(axes: Axes, y: float, low: float, high: float, mean: float, colour: str, marker: str) -> None:
    """Draw an interval and its mean."""
    axes.plot([low, high], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
    axes.plot(mean, y, color=colour, marker=marker, markersize=7)


def short(label: str, most: int = 26) -> str:
    """Cut a label to a length; the table beside the figure has it whole."""
    label = " ".join(label.split())
    return label if len(label) <= most else label[: most - 1] + "…"


def count_words(value: float) -> str:
    """Write a number of comparisons."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
