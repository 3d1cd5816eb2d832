"""Markdown of a card: names that mean only themselves, numbers in words, the header of the Hugging Face Hub."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pandas.api.types import is_numeric_dtype

from bayespref.provenance import seal_text

_SPECIAL = re.compile(r"([\\`*\[\]|#~]|(?<![^\W_])_|_(?![^\W_]))")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]+")
_GAPS = re.compile(r"\n{3,}")
_LONG = 120


def plain(value: object) -> str:
    r"""Write a value so that Markdown takes it for text: numbers short, no markup, no line break.

    Examples
    --------
    >>> plain("a | <b>*c*</b>"), plain(0.5), plain(float("nan")), plain(float("inf")), plain(12345)
    ('a \\| &lt;b&gt;\\*c\\*&lt;/b&gt;', '0.5', 'not defined', 'unbounded', '12,345')
    """
    if isinstance(value, Markup):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if math.isnan(value):
            return "not defined"
        if value.is_integer() and abs(value) < 1e15:
            return f"{value:,.0f}"
        return f"{value:,.4g}" if math.isfinite(value) else "unbounded" if value > 0 else "unbounded below"
    text = _BLANK.sub(" ", str(value)).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def table(frame: pd.DataFrame, most: int = 50) -> Markup:
    """Markdown table of a frame's first rows, and how many are left out.

    Parameters
    ----------
    frame : DataFrame
        Column names become headings.
    most : int
        Rows shown.

    Returns
    -------
    Markup
        Rows of Markdown; "None." where the frame has no row.

    Examples
    --------
    >>> print(table(pd.DataFrame({"item": ["x", "y"], "share": [0.25, float("nan")]}), most=1))
    | item | share |
    | --- | --- |
    | x | 0.25 |
    <BLANKLINE>
    1 more row is not shown here.
    """
    if frame.empty:
        return Markup("None.")
    shown = frame.head(most)
    texts = [name for name in shown if not is_numeric_dtype(shown[name])]
    shown = shown.astype(object).mask(shown.isna() & shown.columns.isin(texts), "")
    rows = [[_short(plain(value)) for value in row] for row in shown.itertuples(index=False, name=None)]
    head = [plain(str(name)) for name in frame.columns]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    left = len(frame) - len(rows)
    if left:
        lines += ["", f"{left:,} more {'row is' if left == 1 else 'rows are'} not shown here."]
    return Markup("\n".join(lines))


def _short(text: str) -> str:
    return text if len(text) <= _LONG * 4 else text[: _LONG * 4].rstrip("\\") + "…"


def named(names: Sequence[str], most: int = 12) -> str:
    """First names, and how many more."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(name if len(name) <= _LONG else name[:_LONG] + "…" for name in names[:most]) + more


def render(template: str, header: str, stamp: Mapping[str, Any], **values: Any) -> str:
    """Fill a template and put header and provenance around it.

    Parameters
    ----------
    template : str
        File in ``templates/``.
    header : str
        From :func:`dataset_header` or :func:`model_header`.
    stamp : mapping
        From :func:`bayespref.provenance.stamp`.
    **values
        What the template shows; everything but a :func:`table` is escaped.

    Returns
    -------
    str
        Markdown with a YAML header and a seal.
    """
    body = _templates().get_template(template).render(stamp=stamp, **values)
    body = _GAPS.sub("\n\n", body).strip()
    return seal_text(f"---\n{header.strip()}\n---\n\n{body}\n", stamp)


def dataset_header(*, license: str | None, pretty_name: str, n_rows: int) -> str:
    """YAML of a dataset card, as the Hugging Face Hub reads it; needs the extra ``cards``."""
    data = _hub().DatasetCardData(
        license=license, pretty_name=pretty_name, size_categories=size_category(n_rows), tags=[*_TAGS]
    )
    return str(data.to_yaml())


def model_header(*, license: str | None, model_name: str) -> str:
    """YAML of a model card, as the Hugging Face Hub reads it; needs the extra ``cards``."""
    data = _hub().ModelCardData(license=license, model_name=model_name, library_name="bayespref", tags=[*_TAGS])
    return str(data.to_yaml())


def size_category(n_rows: int) -> str:
    """Size as the Hub words it.

    Examples
    --------
    >>> size_category(500), size_category(20_000), size_category(3_000_000_000_000)
    ('n<1K', '10K<n<100K', 'n>1T')
    """
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    place = sum(n_rows >= 10 ** (3 + k) for k in range(len(names)))
    if place == 0:
        return "n<1K"
    return "n>1T" if place == len(names) else f"{names[place - 1]}<n<{names[place]}"


_TAGS = ("preference", "pairwise-comparisons", "identifiability", "bayespref")


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            "cards: the header of a card is written by huggingface_hub, which is not installed; "
            "pip install 'bayespref[cards]'"
        ) from None
    return huggingface_hub


@cache
def _templates() -> Environment:
    return Environment(  # not HTML: `plain` escapes what goes into Markdown
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=plain,
    )
