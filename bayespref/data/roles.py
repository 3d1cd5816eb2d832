"""Which column of a table plays which part; what is missing is named together with close names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from bayespref.data.adapters import ADAPTERS, Adapter
from bayespref.data.source import Source
from bayespref.errors import TableError

ITEMS = ("item_a", "item_b")
LABELLED = ("state", "annotator", "context", "environment")
NUMERIC = ("strength", "weight", "propensity", "count")
CANONICAL = (*ITEMS, "outcome", *LABELLED, "position", *NUMERIC, "timestamp", "comparison_id", "prompt")
_ALIKE = 0.7
"""Least likeness of a name worth proposing: a typing error reaches it, 'voter' for 'outcome' does not."""


def feature_names(features: Sequence[str] | None) -> tuple[str, ...]:
    """Check the names of the item attributes; none is an empty tuple."""
    if features is None:
        return ()
    if isinstance(features, str) or not all(isinstance(name, str) for name in features):
        raise TypeError(f"features: must be a sequence of names, got {features!r}")
    names = tuple(features)
    if not names or len(set(names)) < len(names):
        raise TableError(f"features: must name at least one attribute, each once; got {list(names)}")
    return names


def match_columns(
    source: Source, shape: Adapter | None, columns: Mapping[str, str | None] | None, features: tuple[str, ...]
) -> dict[str, str]:
    """Canonical name -> column of the table, for every column that will be read."""
    if columns is not None and not isinstance(columns, Mapping):
        raise TypeError(f"columns: must map canonical names to column names, got {type(columns).__name__}")
    chosen = dict(columns or {})
    pairs = tuple(f"{name}_{side}" for side in "ab" for name in features)
    needs, gives = (shape.needs, shape.gives) if shape is not None else ((), ())
    known = tuple(dict.fromkeys((*CANONICAL, *needs, *pairs)))
    problems = []
    for name, column in chosen.items():
        if name not in known:
            problems.append(f"- columns: {name!r} is no canonical column{_meant(str(name), column, source, known)}")
        elif name in gives and column is not None:
            problems.append(
                f"- columns: {name!r} is supplied by the adapter: map {', '.join(map(repr, needs))} instead"
            )
        elif name == "prompt" and column is not None:
            problems.append("- columns: 'prompt' is not kept: map what says which prompt a row is about to 'state'")
        elif column is not None and not isinstance(column, str):
            raise TypeError(f"columns: {name!r} must map to a column name or None, got {type(column).__name__}")
    present = set(source.columns)
    used: dict[str, str] = {}
    for name in known:
        alias = shape.aliases.get(name, name) if shape is not None and name not in present else name
        column = chosen.get(name, alias)
        if name in chosen and column is None and alias not in present:
            problems.append(f"- columns: {name!r} is to be ignored, but the table has no column {alias!r}")
        if name in gives or column is None:
            continue
        if column in present:
            used[name] = column
        elif name in chosen:
            problems.append(
                f"- columns: {name!r} maps to {column!r}, which the table does not have{_close(column, source.columns)}"
            )
    bundles = bool(features) and not any(name in used or chosen.get(name) is not None for name in ITEMS)
    required = ((() if bundles else ITEMS), (() if "outcome" in gives else ("outcome",)), needs, pairs)
    missing = [name for group in required for name in group if name not in used and name not in gives]
    if any(name in missing for name in ITEMS) and not problems and not (shape is not None and shape.why):
        _refuse_chosen_rejected(source)
    for name in missing:
        if chosen.get(name) is None:
            note = " (columns maps it to None)" if name in chosen else _close(name, source.columns)
            problems.append(f"- {name}: this column is required{note}")
    if problems:
        hint = ""
        if "outcome" in missing and "label" in present and shape is None:
            hint = "\nFor a numeric label (1 = item_a preferred, 0 = item_b, 0.5 = tie) read with adapter='labels'"
            hint += "; in a shell --adapter labels."
        if shape is not None and shape.why and missing:
            hint += f"\n{shape.why}"
        raise TableError(
            "the columns do not fit:\n" + "\n".join(problems) + f"\nThe table has {listed(source.columns)}.{hint}"
        )
    used.pop("prompt", None)
    return used


def _meant(name: str, column: Any, source: Source, known: Sequence[str]) -> str:
    """Say what a mapping from a name that is not canonical may have meant: turned round, an adapter's, misspelt."""
    if column in known and name in source.columns:
        return (
            f"; it is mapped the wrong way round: columns={{{column!r}: {name!r}}}, in a shell --column {column}={name}"
        )
    reading = [adapter for adapter, shapes in ADAPTERS.items() if any(name in shape.needs for shape in shapes)]
    if reading:
        how = f"adapter={reading[0]!r}, in a shell --adapter {reading[0]}"
        return f"; adapter {' or '.join(map(repr, reading))} reads it: {how}"
    return _close(name, known) or f"; known are {list(known)}"


def _refuse_chosen_rejected(source: Source) -> None:
    lower = {column.lower() for column in source.columns}
    if {"chosen", "rejected"} <= lower:
        raise TableError(
            "table: plain chosen/rejected data name no item, so every pair is its own component of the comparison "
            "graph and nothing can be compared across pairs. Name the key that says what was compared: "
            "columns={'item_a': ..., 'item_b': ...} (the model, response or cluster behind each text, with outcome "
            f"'a' where item_a was chosen), or features=[...] with paired columns. The table has "
            f"{listed(source.columns)}."
        )


def _close(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=_ALIKE)
    return f"; close: {close}" if close else ""


def listed(columns: Sequence[str]) -> str:
    """Column names for a message, at most forty."""
    shown = ", ".join(repr(column) for column in columns[:40])
    return f"{len(columns)} column(s): {shown}" + (", ..." if len(columns) > 40 else "")
