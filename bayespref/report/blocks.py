"""What a part of a report is made of, and how numbers, names and cut-offs are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespref.report.plots_style import to_svg
from bayespref.report.tables import interval_level

MOST_CELLS = 12
"""Most cells with a figure of their own."""
MOST_SHOWN = 30
"""Most rows of a figure."""
MOST_ROWS = 40
"""Most rows of a table."""


class Text(NamedTuple):
    """A paragraph; the one that says the finding is strong."""

    text: str
    strong: bool = False
    kind: str = "text"


class Table(NamedTuple):
    """A table of words; its first column heads the rows."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    kind: str = "table"


class Picture(NamedTuple):
    """A figure with its alternative text and how to read it."""

    svg: bytes
    alt: str
    caption: str
    kind: str = "picture"


class Pictures(NamedTuple):
    """Figures of one kind, side by side where there is room."""

    pictures: Sequence[Picture]
    kind: str = "pictures"


class Lines(NamedTuple):
    """Verdicts or flags: (class, mark, words, next step)."""

    heading: str
    lines: Sequence[tuple[str, str, str, str]]
    kind: str = "lines"


Block = Text | Table | Picture | Pictures | Lines


class Part(NamedTuple):
    """A part of a data set's section."""

    key: str
    heading: str
    blocks: Sequence[Block]


def table_of(caption: str, columns: Sequence[str], rows: list[list[str]], what: str, total: int | None = None) -> Table:
    """Table of at most 40 rows, saying how many more there are."""
    shown = rows[:MOST_ROWS]
    n = len(rows) if total is None else total
    return Table(
        caption, columns, [[cell_text(cell, 240) for cell in row] for row in shown], left_out(n, len(shown), what)
    )


def left_out(total: int, shown: int, what: str) -> str:
    """Words for rows left out; empty where none is."""
    return f"{total - shown:,} more {what} are not listed." if total > shown else ""


def more(total: int, shown: int, what: str, which: str, where: str = "") -> list[Block]:
    """Paragraph that says how many are shown and how many are not; nothing where all are."""
    if total <= shown:
        return []
    return [Text(f"Of {total:,} {what}, {which} shown{where}; not shown: {total - shown:,}.")]


def picture(figure: Any, alt: str, caption: str) -> Picture:
    """Figure as SVG, with an alternative text of bounded length."""
    return Picture(to_svg(figure), alt[:900] + ("…" if len(alt) > 900 else ""), caption)


def cell_name(tree: xr.DataTree, state: str, kind: str) -> str:
    """Name of a (state, type) cell; the type is left out where there is only one."""
    return state if tree["graph"].sizes["type"] == 1 else f"{state} / {kind}"


def cell_text(value: Any, most: int = 160) -> str:
    """Text of a table cell, cut where it is too long to read."""
    text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def count(value: Any) -> str:
    """Number of comparisons in words."""
    return f"{float(value):,.0f}" if float(value) >= 10 else f"{float(value):.2g}"


def level_words(tree: xr.DataTree) -> str:
    """Level of the intervals, as a percentage."""
    return f"{interval_level(tree):.0%}"


def number(value: Any) -> str:
    """Write a number for a reader: two decimals (three digits below one), words where it is undefined or infinite.

    Examples
    --------
    >>> number(1.234), number(0.0123), number(-0.0), number(float("nan")), number(float("inf"))
    ('1.23', '0.0123', '0', 'undefined', 'unbounded')
    """
    x = float(value)
    if np.isnan(x):
        return "undefined"
    if np.isinf(x):
        return "unbounded" if x > 0 else "unbounded below"
    if abs(x) < 5e-5:
        return "0"
    return f"{x:,.2f}" if abs(x) >= 1 else f"{x:.3g}" if abs(x) >= 1e-3 else f"{x:.1e}"
