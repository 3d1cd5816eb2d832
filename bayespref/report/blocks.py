"""What a part of a report is made of, and how numbers, names and cut-offs are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespref.report.plots_style import isolated, to_svg, visible
from bayespref.report.tables import interval_level

MOST_CELLS = 12
"""Most cells with a figure of their own."""
MOST_SHOWN = 30
"""Most rows of a figure."""
MOST_ROWS = 15
"""Most rows of a table that stand open."""
MOST_FOLDED = 400
"""Most rows that are folded away below them."""


class Text(NamedTuple):
    """A paragraph; the one that says the finding is strong."""

    text: str
    strong: bool = False
    kind: str = "text"


class Table(NamedTuple):
    """A table of words; its first column heads the rows. Rows beyond the first few are folded away."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    folded: Sequence[Sequence[str]] = ()
    what: str = "rows"
    kind: str = "table"


class Map(NamedTuple):
    """A table of words on two axes; a cell carries the class that colours it, "" for none."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    note: str = ""
    kind: str = "map"


class Answer(NamedTuple):
    """One of the first questions of a review, with its answer."""

    question: str
    verdict: str
    """yes, no or open."""
    mark: str
    words: str
    next_step: str = ""


class Answers(NamedTuple):
    """The first questions of a review side by side."""

    answers: Sequence[Answer]
    kind: str = "answers"


class Folded(NamedTuple):
    """Blocks behind a line that opens them; ``on_paper`` if print shows them."""

    summary: str
    blocks: Sequence[Any]
    on_paper: bool = False
    kind: str = "folded"


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


Block = Text | Table | Map | Picture | Pictures | Lines | Answers | Folded


class Part(NamedTuple):
    """A part of a data set's section; ``short`` is its name in the list of contents."""

    key: str
    short: str
    heading: str
    blocks: Sequence[Block]


def table_of(caption: str, columns: Sequence[str], rows: list[list[str]], what: str, note: str = "") -> Table:
    """Table with its first 15 rows open and up to 400 more folded, saying how many are left out beyond."""
    cells = [[cell_text(cell, 240) for cell in row] for row in rows[: MOST_ROWS + MOST_FOLDED]]
    few = MOST_ROWS + 3  # two or three rows are not worth folding
    first = len(cells) if len(cells) <= few else MOST_ROWS
    rest = left_out(len(rows), len(cells), what)
    return Table(caption, columns, cells[:first], " ".join(filter(None, (note, rest))), cells[first:], what)


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


def name(label: Any, most: int = 80) -> str:
    """Write a label inside a sentence: cut where it is too long to read, its direction kept to itself."""
    text = visible(" ".join(str(label).split()))
    return isolated(text if len(text) <= most else text[: most - 1] + "…")


def named(names: Sequence[Any], most: int) -> str:
    """First names, and how many more."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(name(each) for each in names[:most]) + more


def cell_name(tree: xr.DataTree, state: str, kind: str) -> str:
    """Name of a (state, type) cell; the type is left out where there is only one."""
    return name(state) if tree["graph"].sizes["type"] == 1 else f"{name(state)} / {name(kind)}"


def cell_text(value: Any, most: int = 160) -> str:
    """Text of a table cell, cut where it is too long to read."""
    text = number(value) if isinstance(value, float) else visible(str(value))
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
