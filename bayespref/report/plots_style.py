"""What every figure shares: style, palette, titles, labels, and SVG with text kept as text."""

from __future__ import annotations

import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure

WIDTH = 5.0
"""Width of every figure, inches."""
BLACK, BLUE, ORANGE, GREEN, RED, PURPLE = "#1a1a1a", "#0072b2", "#a36100", "#00795a", "#b3400b", "#9c4c76"
GREY, PALE = "#595959", "#c9d7e3"
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, BLACK, "#2b7a9e", GREY)
"""Colours of groups, after Okabe and Ito, darkened until each stands out from white by 4.5 to 1, as text must."""
MARKERS = "osDhp8PX"
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066\u2067\ud800-\udfff\ufffe\uffff]"
)
"""Control characters but tab and line ends, marks and overrides of direction, surrogates, non-characters."""
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
    figure.suptitle(textwrap.fill(visible(title), width), x=0.01, ha="left", fontsize=11, fontweight="bold")


def _wrapped(title: str) -> str:
    return textwrap.fill(title, 54)


def interval(axes: Axes, y: float, low: float, high: float, mean: float, colour: str, marker: str) -> None:
    """Draw an interval and its mean."""
    axes.plot([low, high], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
    axes.plot(mean, y, color=colour, marker=marker, markersize=7)


def short(label: str, most: int = 26) -> str:
    """Cut a label to a length; the table beside the figure has it whole."""
    label = visible(" ".join(label.split()))
    return isolated(label if len(label) <= most else label[: most - 1] + "…")


def count_words(value: float) -> str:
    """Write a number of comparisons."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def visible(text: str) -> str:
    r"""Write characters that no page can show, or that would turn the text around them, as their code points.

    Control characters break an SVG, lone surrogates a UTF-8 file, and bidirectional overrides let a name pass for
    another one ("exe.txt" for "txt.exe").

    Examples
    --------
    >>> visible("txt\u202eexe"), visible("a\x0bb"), visible("naïve 日本 🙂")
    ('txt⟨U+202E⟩exe', 'a⟨U+000B⟩b', 'naïve 日本 🙂')
    """
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text)


def isolated(name: str) -> str:
    """Wrap a name that is written from right to left, so that the text around it keeps its order.

    Without it "A − B" of two Hebrew names is shown as "B − A".
    """
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in name)
    return f"\u2068{name}\u2069" if turned else name
