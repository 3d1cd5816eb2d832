"""The report: one HTML file, no network, no script; verdicts first, every figure with its words.

Tables are plain HTML written by the template: a caption, scoped headers, nothing else. great-tables was tried beside
it: 20 rows of 3 columns weigh six times as much (a style sheet for each table), its header identifiers repeat from
table to table on one page, and it names no row headers, so a screen reader gains nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import ArrayLike

from bayespref import __version__
from bayespref.files import replacing
from bayespref.report.parts import parts
from bayespref.report.tables import need_groups

_HEADING = re.compile(r'<h([23]) id="([^"]+)">(.*?)</h\1>', re.DOTALL)


def build_report(
    tree: xr.DataTree,
    *,
    verdicts: Sequence[Sequence[Any]],
    policy_table: pd.DataFrame,
    c_defer: float,
    suggestions: pd.DataFrame,
    title: str,
    truth: ArrayLike | None = None,
) -> str:
    """Report on one data set, as a fragment for :func:`write_report`.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit that went through ``analyse``.
    verdicts : sequence of (name, ok, words, reason, next_step)
        Convergence verdicts.
    policy_table : DataFrame
        Decision table of the policy (``DeferralPolicy.to_table()``).
    c_defer : float
        Cost of deferring, log-odds of reward.
    suggestions : DataFrame
        Comparisons to collect (``suggest_comparisons``); shown as they come, 20 at most.
    title : str
        Name of the data set; no two on a page alike.
    truth : float array, shape (state, type, item), optional
        True rewards of a simulated world, types in the tree's order; adds a panel that says whether bounds hold them.

    Returns
    -------
    str
        HTML of one section: a heading of level 2, parts with headings of level 3.

    Raises
    ------
    ValueError
        If the tree was not analysed, or the truth has another shape.
    """
    need_groups(tree)
    found = parts(
        tree,
        verdicts=verdicts,
        policy_table=policy_table,
        c_defer=c_defer,
        suggestions=suggestions,
        truth=truth,
    )
    return _template("section.html.j2").render(title=title, slug=_slug(title), parts=found)


def write_report(sections: Sequence[str], path: str | os.PathLike[str], *, title: str) -> Path:
    """Join sections into one self-contained page and write it in one step.

    Parameters
    ----------
    sections : sequence of str
        From :func:`build_report`, in the order to show them.
    path : path
        File to write; its folder must exist.
    title : str
        Heading of the page.

    Returns
    -------
    Path
        The file written; a reader sees the old file or the new one, never half of one.

    Raises
    ------
    ValueError
        If there is no section, or two have the same title.
    """
    headings = [[(level, key, Markup(text)) for level, key, text in _HEADING.findall(section)] for section in sections]
    tops = [key for found in headings for level, key, _ in found if level == "2"]
    if not tops:
        raise ValueError("sections: give at least one section from build_report")
    if len(set(tops)) < len(tops):
        raise ValueError("sections: two data sets have the same title; give each a title of its own")
    page = _template("report.html.j2").render(
        title=title,
        version=__version__,
        contents=headings,
        sections=[Markup(section) for section in sections],  # escaped by build_report
    )
    target = Path(path)
    with replacing(target) as part:
        part.write_text(page, encoding="utf-8")
    return target


@cache
def _template(name: str) -> Template:
    folder = Path(__file__).parent / "templates"
    jinja = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["data_uri"] = _data_uri
    return jinja.get_template(name)


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _slug(title: str) -> str:
    """Identifier of a section; the hash keeps titles apart that differ only in what an identifier cannot hold."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"s-{words[:40]}-{hashlib.sha256(title.encode()).hexdigest()[:6]}"
