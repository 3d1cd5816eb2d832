"""How a result shows itself in a notebook: the verdict first, then the next step, then its numbers, as escaped HTML.

Imports nothing but NumPy and the reason codes, since the runtime of a policy shows itself, too. Colours are the
notebook's own, so that light and dark themes keep their contrast.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from operator import attrgetter
from string import Formatter
from typing import Any, TypeVar

import numpy as np

from bayespref.reasons import REASONS, codes_of

T = TypeVar("T")
_MOST = 6
_LONG = 200
_NEXT = 3


def shown(verdict: str = "", next_step: str = "") -> Callable[[type[T]], type[T]]:
    """Give a class of results its ``_repr_html_``.

    Parameters
    ----------
    verdict : str
        First line, with names of fields or properties in braces; without it, the words or the verdict that the result
        carries, else how many of its numbers are defined.
    next_step : str
        What to do with such a result; a next step or a reason code that it carries goes first.

    Returns
    -------
    callable
        Class decorator.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> @shown("value {value}", next_step="compare it with the cost of deferring")
    ... class Found(NamedTuple):
    ...     '''What was found.'''
    ...
    ...     value: float
    >>> "<strong>value 0.25</strong>" in Found(0.25)._repr_html_()
    True
    """

    def give(cls: type[T]) -> type[T]:
        def _repr_html_(self: Any) -> str:
            return html(self, verdict, next_step)

        cls._repr_html_ = _repr_html_  # type: ignore[attr-defined]
        return cls

    return give


def html(result: Any, verdict: str = "", next_step: str = "") -> str:
    """HTML of a NamedTuple or dataclass: its verdict, its next steps, and every field with what it means."""
    fields = _fields(result)
    meaning = _meanings(type(result))
    rows = [(name, value(getattr(result, name)), meaning.get(name, "")) for name in fields]
    inner = [(name, getattr(result, name)) for name in fields if _shows_itself(getattr(result, name))]
    head = _Filled(result).format(verdict) if verdict else _said(result, fields)
    columns = ("Field", "Value", "What it is") if meaning else ("Field", "Value")
    cut = [row[: len(columns)] for row in rows]
    return block(type(result).__name__, head, _next_steps(result, next_step), columns, cut, inner)


def block(
    title: str,
    verdict: str,
    next_steps: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    inner: Sequence[tuple[str, Any]] = (),
    notes: Sequence[str] = (),
) -> str:
    """Verdict, next steps, a table whose first column heads the rows, notes, and folded parts that show themselves.

    All text is escaped here; ``inner`` objects bring their own HTML, which their libraries escape.
    """
    said = f"<p><strong>{escape(verdict)}</strong></p>" if verdict else ""
    said += "".join(f"<p>Next: {escape(step)}</p>" for step in next_steps)
    head = "".join(f"<th scope='col' {_LEFT}>{escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr><th scope='row' {_LEFT}>{escape(row[0])}</th>"
        + "".join(f"<td {_LEFT}>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    table = (
        f"<table><caption {_LEFT}>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    after = "".join(f"<p>{escape(note)}</p>" for note in notes)
    folded = "".join(
        f"<details><summary>{escape(name)}</summary>{part._repr_html_() or ''}</details>" for name, part in inner
    )
    return f"<div role='group' aria-label='{escape(title)}'>{said}{table}{after}{folded}</div>"


_LEFT = "style='text-align:left; vertical-align:top'"


def value(what: Any) -> str:
    """Write a value in a few words: numbers short, arrays as shape, range and what is undefined.

    Examples
    --------
    >>> value(np.array([[0.5, np.nan], [2.0, np.inf]]))
    '2 x 2 numbers from 0.5 to 2, 1 undefined, 1 unbounded'
    >>> value(("x", "y")), value(float("nan")), value(1234), value(True)
    ('x, y', 'undefined', '1,234', 'yes')
    """
    if what is None:
        return "none"
    if isinstance(what, str):
        return what if len(what) <= _LONG else what[: _LONG - 1] + "…"
    if isinstance(what, bool | np.bool_):
        return "yes" if what else "no"
    if isinstance(what, int | np.integer):
        return f"{int(what):,}"
    if isinstance(what, float | np.floating):
        return _number(float(what))
    if _shows_itself(what):
        return "see below"
    if isinstance(what, Mapping):
        return _listed([f"{key}: {value(inner)}" for key, inner in what.items()])
    if isinstance(what, tuple | list) and not hasattr(what, "_fields"):
        short = [type(inner).__name__ if _shows_itself(inner) else value(inner) for inner in what[:_MOST]]
        return _listed(short, len(what))
    if hasattr(what, "shape") and hasattr(what, "dtype"):
        return _array(np.asarray(what))
    return type(what).__name__


def _number(x: float) -> str:
    if np.isnan(x):
        return "undefined"
    if np.isinf(x):
        return "unbounded" if x > 0 else "unbounded below"
    return f"{x:,.4g}" if abs(x) < 1e15 else f"{x:.3g}"


def _array(array: np.ndarray[Any, Any]) -> str:
    """An array of up to six entries as they are, a larger one by shape and content."""
    if array.ndim == 0:
        return value(array.item())
    flat = array.ravel()
    if array.ndim == 1 and 0 < array.size <= _MOST:
        return ", ".join(value(entry) for entry in flat.tolist())
    shape = " x ".join(f"{n:,}" for n in array.shape)
    if array.size == 0:
        return f"{shape}, empty"
    if array.dtype.kind == "b":
        return f"{shape}, {int(flat.sum()):,} yes"
    if array.dtype.kind in "iuf":
        fit = flat[np.isfinite(flat)]
        ends = f" from {_number(float(fit.min()))} to {_number(float(fit.max()))}" if fit.size else ""
        lost = int(np.isnan(flat).sum()) if array.dtype.kind == "f" else 0
        wide = int(np.isinf(flat).sum()) if array.dtype.kind == "f" else 0
        more = (f", {lost:,} undefined" if lost else "") + (f", {wide:,} unbounded" if wide else "")
        return f"{shape} numbers{ends}{more}"
    common = Counter(str(entry) if entry not in (None, "") else "(none)" for entry in flat.tolist())
    return f"{shape}: " + _listed([f"{name} {n:,}" for name, n in common.most_common(_MOST)], len(common))


def _listed(words: Sequence[str], total: int | None = None) -> str:
    kept = list(words[:_MOST])
    left = (len(words) if total is None else total) - len(kept)
    text = ", ".join(kept) + (f" and {left:,} more" if left > 0 else "")
    return text or "none"


def _shows_itself(what: Any) -> bool:
    """Whether it is a table, a dataset or a result with HTML of its own (a class is none)."""
    return not isinstance(what, type) and callable(getattr(what, "_repr_html_", None))


def _fields(result: Any) -> list[str]:
    names = getattr(result, "_fields", None) or list(getattr(result, "__dataclass_fields__", ()))
    return [name for name in names if not name.startswith("_") and not callable(getattr(result, name))]


def _meanings(cls: type) -> dict[str, str]:
    """First sentence on each field, from the section Attributes (or Parameters) of the class's docstring."""
    lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
    found: dict[str, str] = {}
    names: list[str] = []
    for line in _section(lines):
        entry = re.match(r"(\w+(?:, \w+)*)(?: : .*)?$", line)
        if entry:
            names = entry.group(1).split(", ")
        elif line.startswith(" "):
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return {name: _plain(re.split(r"(?<=[.;])\s", text)[0].rstrip(".;")) for name, text in found.items()}


def _section(lines: Sequence[str]) -> Iterator[str]:
    inside = False
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch(r"-{3,}", after):
            inside = line in ("Attributes", "Parameters")
        elif inside and line and not line.startswith("---"):
            yield line


def _plain(text: str) -> str:
    return re.sub(r":\w+:|`|\*\*", "", text)


def _said(result: Any, fields: Sequence[str]) -> str:
    """Words that the result carries, its verdict, else how many of its numbers are defined."""
    words = getattr(result, "words", None)
    if isinstance(words, str):
        return words
    verdict = getattr(result, "verdict", None)
    if verdict is not None and not callable(verdict):
        return f"verdict: {value(verdict)}"
    codes = Counter(code for code in codes_of(result))
    if codes:
        return f"some of it is undefined: {', '.join(codes)}"
    arrays = [np.asarray(getattr(result, name)) for name in fields if _numeric(getattr(result, name))]
    total = sum(array.size for array in arrays)
    if not total:
        return ""
    lost = sum(int(np.isnan(array).sum()) for array in arrays if array.dtype.kind == "f")
    wide = sum(int(np.isinf(array).sum()) for array in arrays if array.dtype.kind == "f")
    if not lost and not wide:
        return f"all {total:,} numbers are defined and finite"
    return f"of {total:,} numbers {lost:,} are undefined and {wide:,} unbounded"


def _numeric(what: Any) -> bool:
    if isinstance(what, bool | str) or _shows_itself(what):
        return False
    return isinstance(what, int | float) or getattr(getattr(what, "dtype", None), "kind", "") in ("i", "u", "f")


def _next_steps(result: Any, default: str) -> list[str]:
    own = getattr(result, "next_step", None)
    if isinstance(own, str) and own:
        return [own]
    codes = [f"{code}: {REASONS[code].next_step}" for code in codes_of(result)[:_NEXT]]
    return codes or ([default] if default else [])


class _Filled(Formatter):
    """Fills names of fields or properties into a sentence, each written as in the table."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        return value(attrgetter(field_name)(self.result)), field_name
