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
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import xarray as xr
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import ArrayLike

from bayespref import __version__
from bayespref.files import replacing
from bayespref.provenance import seal_text
from bayespref.report.blocks import Answer, Answers, Text
from bayespref.report.parts import parts
from bayespref.report.plots_style import visible
from bayespref.report.tables import need_groups


class Section(NamedTuple):
    """What a report says about one data set, ready for the page."""

    title: str
    slug: str
    """Identifier of its heading."""
    html: str
    contents: Sequence[tuple[str, str]]
    """Identifier and short name of each part."""
    answers: Sequence[Answer]
    """The first questions of a review."""
    does: str
    """What the policy does, in words."""


def build_report(
    tree: xr.DataTree,
    *,
    verdicts: Sequence[Sequence[Any]],
    policy_table: pd.DataFrame,
    c_defer: float,
    suggestions: pd.DataFrame,
    title: str,
    proposals: pd.DataFrame | None = None,
    proposals_note: str = "",
    deployment: Sequence[Sequence[Any]] = (),
    members: pd.DataFrame | None = None,
    truth: ArrayLike | None = None,
    made: str = "",
) -> Section:
    """Report on one data set, as a section for :func:`write_report`.

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
        Comparisons to collect (``suggest_comparisons``), in the order to show them.
    title : str
        Name of the data set; no two on a page alike.
    proposals : DataFrame, optional
        What a budget of labels should buy (``next_comparisons``).
    proposals_note : str
        What to say before them, or where there are none.
    deployment : sequence of (name, verdict, words, next_step)
        Checks against a declared deployment; where none was declared the report says so.
    members : DataFrame, optional
        Share of each type among the annotators of each context: ``context``, ``type``, ``weight``, ``n_annotators``.
    truth : float array, shape (state, type, item), optional
        True rewards of a simulated world, types in the tree's order; adds a panel that says whether bounds hold them.
    made : str
        When the report is made.

    Returns
    -------
    Section

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
        proposals=proposals,
        proposals_note=proposals_note,
        deployment=deployment,
        members=members,
        truth=truth,
        made=made,
    )
    slug = _slug(title)
    html = _template("section.html.j2").render(title=title, slug=slug, parts=found)
    contents = [(f"{slug}-{part.key}", part.short) for part in found]
    first = next(block for block in found[0].blocks if isinstance(block, Answers))
    does = next(block for block in found[0].blocks if isinstance(block, Text))
    return Section(title, slug, html, contents, first.answers, does.text)


def write_report(
    sections: Sequence[Section],
    path: str | os.PathLike[str],
    *,
    title: str,
    stamp: Mapping[str, Any] | None = None,
) -> Path:
    """Join sections into one self-contained page and write it in one step.

    Parameters
    ----------
    sections : sequence of Section
        From :func:`build_report`, in the order to show them.
    path : path
        File to write; its folder must exist.
    title : str
        Heading of the page.
    stamp : mapping, optional
        From :func:`bayespref.provenance.stamp`: becomes the last line, with a hash of the page, for ``verify``.

    Returns
    -------
    Path
        The file written; a reader sees the old file or the new one, never half of one.

    Raises
    ------
    ValueError
        If there is no section, or two have the same title.
    """
    if not sections:
        raise ValueError("sections: give at least one section from build_report")
    if len({section.slug for section in sections}) < len(sections):
        raise ValueError("sections: two data sets have the same title; give each a title of its own")
    page = _template("report.html.j2").render(title=title, version=__version__, sections=sections)
    target = Path(path)
    with replacing(target) as part:
        part.write_text(page if stamp is None else seal_text(page, stamp), encoding="utf-8")
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
        finalize=_finalize,
    )
    jinja.filters["data_uri"] = _data_uri
    jinja.filters["whole"] = Markup  # what build_report has escaped already
    return jinja.get_template(name)


def _finalize(value: Any) -> Any:
    return visible(value) if type(value) is str else value


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _slug(title: str) -> str:
    """Identifier of a section; the hash keeps titles apart that differ only in what an identifier cannot hold."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"s-{words[:40]}-{hashlib.sha256(title.encode(errors='surrogatepass')).hexdigest()[:6]}"
