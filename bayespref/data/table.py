"""Read a table of comparisons, strictly: every broken rule is named, nothing is dropped or repaired in silence."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayespref.comparisons import WHOLE_TABLE, Comparisons
from bayespref.data.adapters import ADAPTERS, choose, fitting
from bayespref.data.encode import Coded, compact, decode, encode, look_alikes, look_missing, repeats, share_labels
from bayespref.data.roles import ITEMS, LABELLED, NUMERIC, feature_names, listed, match_columns
from bayespref.data.rules import Rules, numbers, times
from bayespref.data.source import open_table
from bayespref.dims import OUTCOMES
from bayespref.errors import TableError

_PLURAL = {"state": "states", "annotator": "annotators", "context": "contexts", "environment": "environments"}
_SHOWN = 5


def read_comparisons(
    table: Any,
    *,
    adapter: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    features: Sequence[str] | None = None,
    on_invalid: str = "raise",
) -> Comparisons:
    """Read a table of pairwise comparisons, one row a comparison.

    Parameters
    ----------
    table : str, Path or data frame
        A path ending in ``.csv``, ``.csv.gz``, ``.parquet`` or ``.jsonl``, or any frame narwhals understands (pandas,
        Polars, PyArrow; DuckDB, PySpark and Ibis relations are collected, used columns only).
    adapter : str, optional
        Name of another shape of table: ``labels`` reads a numeric ``label`` (1 = item_a preferred, 0 = item_b,
        0.5 = tie); ``arena``, ``mtbench``, ``helpsteer3``, ``alpaca_eval``, ``trl`` and ``pscore`` are described in
        ``bayespref.data.adapters.columns``. Shapes whose rows are no comparisons are converted first, by
        ``bayespref.data.adapters.rows``.
    columns : mapping of str to str or None, optional
        Canonical name -> name in the table; None ignores a column that is there. Canonical columns are ``item_a``,
        ``item_b``, ``outcome`` (a, b, tie, both_bad), and, optional, ``state``, ``annotator``, ``context``,
        ``environment``, ``position`` (a or b: which was shown first), ``strength``, ``weight`` (>= 0), ``propensity``
        in (0, 1], ``timestamp``, ``count`` (whole, >= 0), ``comparison_id`` (unique) and ``prompt`` (recognised, not
        kept). Columns of these names are found by themselves.
    features : sequence of str, optional
        Names of item attributes, stored as paired numeric columns with suffixes ``_a`` and ``_b``. Without item
        columns, the items are the distinct bundles of attributes.
    on_invalid : {"raise", "drop"}
        What to do with rows that break a rule. ``drop`` warns, and records rules, counts and first rows under
        ``provenance["dropped"]``. A column that is unusable as a whole is an error either way.

    Returns
    -------
    Comparisons
        Labels sorted by code point. Integers become text; a float column of whole numbers counts as integers (data
        frames turn integers with gaps into floats). A row's ``weight`` is weight times count. Unused columns are
        listed under ``provenance["unused_columns"]``.

    Raises
    ------
    TableError
        With every broken rule: column, rule, counts, first five bad rows (numbered from 0) and their values. Missing
        means null, NaN or empty text; of rows with the same ``comparison_id``, all after the first are bad.
    TypeError
        If an argument is of the wrong type.

    Warns
    -----
    UserWarning
        If rows are dropped, or if labels of one column differ only in case, whitespace or Unicode form (they stay
        apart), or read like a missing value turned into text.

    Notes
    -----
    Times without a zone are taken as UTC and stored as seconds since 1970; a missing ``position`` (unknown order),
    ``strength`` or ``timestamp`` is allowed.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"model_1": ["x", "y"], "model_2": ["y", "z"], "outcome": ["a", "tie"]})
    >>> read_comparisons(table, columns={"item_a": "model_1", "item_b": "model_2"})
    Comparisons(2 comparisons, 3 items, 1 states, 1 a outcomes, 1 tie outcomes)
    """
    if on_invalid not in ("raise", "drop"):
        raise TableError(f"on_invalid: must be 'raise' or 'drop', got {on_invalid!r}")
    if adapter is not None and adapter not in ADAPTERS:
        raise TableError(f"adapter: unknown adapter {adapter!r}; known are {sorted(ADAPTERS)}")
    names = feature_names(features)
    source = open_table(table)
    given = columns if isinstance(columns, Mapping) else None
    shape = choose(adapter, source.columns, given) if adapter is not None else None
    used = match_columns(source, shape, columns, names)
    loaded = source.load(dict.fromkeys(used.values()))
    view = {name: loaded[column] for name, column in used.items()}
    n_rows = len(next(iter(view.values())))
    if n_rows == 0:
        raise TableError(f"table: no rows (columns {listed(source.columns)})")
    if shape is not None:
        view |= shape.apply({name: view.pop(name) for name in shape.needs}, source.text)

    origin, rule = dict(used), ""
    if shape is not None:
        origin |= dict.fromkeys(shape.gives, ", ".join(used[name] for name in shape.needs))
        rule = shape.rule if "outcome" in shape.gives else ""
    rules = Rules(n_rows)
    parsed = parse_columns(view, rules, origin, names, outcome_rule=rule, text=source.text)
    provenance: dict[str, Any] = {
        "source": source.name,
        "adapter": adapter,
        "columns": used,
        "unused_columns": [column for column in source.columns if column not in set(used.values())],
        "rows_read": n_rows,
    }
    if rules.broken:
        if on_invalid == "raise":
            raise TableError(rules.text())
        if rules.bad.all():
            raise TableError(f"no row is left after dropping bad ones; {rules.text()}")
        provenance["dropped"] = rules.as_record()
        warnings.warn(f"dropped {int(rules.bad.sum())} of {n_rows} rows: {rules.text()}", stacklevel=2)
    built = build_comparisons(parsed, names, provenance)
    for message in label_warnings(built):
        warnings.warn(message, stacklevel=2)
    return built


class Parsed(NamedTuple):
    """Columns of a table as codes and numbers, and the rules that its rows break."""

    rules: Rules
    items: tuple[NDArray[np.int32], NDArray[np.int32]] | None
    item_labels: tuple[str, ...]
    outcome: NDArray[np.int8]
    coded: dict[str, Coded]
    numeric: dict[str, NDArray[np.float64]]
    position: NDArray[np.int8] | None
    features: NDArray[np.float64] | None
    """Attributes by row, shape (2, row, feature)."""


def parse_columns(
    view: Mapping[str, Any],
    rules: Rules,
    origin: Mapping[str, str],
    features: tuple[str, ...],
    *,
    outcome_rule: str,
    text: bool,
) -> Parsed:
    """Read canonical columns, and note every rule that is broken.

    Parameters
    ----------
    view : mapping of str to pyarrow array, shape (row,)
        Columns by canonical name.
    rules : Rules
        Where broken rules are noted.
    origin : mapping of str to str
        Canonical name -> name in the table, for messages.
    features : tuple of str
        Names of item attributes.
    outcome_rule : str
        What an outcome must look like; "" for the canonical labels.
    text : bool
        Whether every value is text, as in CSV.

    Raises
    ------
    TableError
        If a column is unusable as a whole.
    """
    n_rows = len(rules.bad)

    def shown(name: str) -> str:
        return name if origin.get(name, name) == name else f"{name} (column {origin[name]!r})"

    def value(name: str) -> Any:
        return lambda row: view[name][row].as_py()

    def labels(name: str, *, ordered: bool = True) -> Coded | None:
        if name not in view:
            return None
        try:
            coded = encode(shown(name), view[name], ordered=ordered)
        except TableError as error:
            rules.column(str(error))
            return None
        rules.rows(shown(name), "must not be missing (null, NaN or empty)", coded.codes < 0, value(name))
        return coded

    def floats(name: str, rule: str, good: Any, read: Any = numbers) -> NDArray[np.float64] | None:
        if name not in view:
            return None
        try:
            values, unreadable = read(shown(name), view[name], text=text)
        except TableError as error:
            rules.column(str(error))
            return None
        rules.rows(shown(name), rule, unreadable | ~good(values), value(name))
        return np.asarray(values, dtype=np.float64)

    sides = [coded for name in ITEMS if (coded := labels(name)) is not None]
    items: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None
    item_labels: tuple[str, ...] = ()
    if len(sides) == 2:
        if {"text", "integer"} == {side.kind for side in sides}:
            rules.column(f"item_a, item_b: mixed types ({sides[0].kind} against {sides[1].kind}); use one for both")
        (left, right), item_labels = share_labels(*sides)
        items = (left, right)
        same = (left == right) & (left >= 0)
        rules.rows("item_a, item_b", "an item must not be compared with itself", same, value("item_a"))

    attributes = [
        floats(f"{name}_{side}", "attributes must be finite numbers", np.isfinite) for side in "ab" for name in features
    ]
    by_row = None
    if features and all(attribute is not None for attribute in attributes):
        by_row = np.stack([np.asarray(a) for a in attributes], axis=-1).reshape(n_rows, 2, len(features)) + 0.0
        by_row = np.swapaxes(by_row, 0, 1)
        if not any(name in view for name in ITEMS):
            same = np.all(by_row[0] == by_row[1], axis=1)
            rules.rows(
                ", ".join(features),
                "an item must not be compared with itself (equal attributes on both sides)",
                same,
                lambda row: dict(zip(features, by_row[0, row].tolist(), strict=True)),
            )

    before = len(rules.columns) + len(rules.broken)
    outcome = _choices(OUTCOMES, labels("outcome"), rules, shown("outcome"), outcome_rule)
    if not outcome_rule and len(rules.columns) + len(rules.broken) > before:
        rules.hint = _adapter_hint(view["outcome"], rules.stands_for, origin, text)
    by_label = {name: column for name in LABELLED if (column := labels(name)) is not None}
    position = None
    if "position" in view:
        try:
            order = encode(shown("position"), view["position"])
            position = _choices(("a", "b"), order, rules, shown("position"))
            position = np.where(order.codes < 0, 0, 1 - 2 * position).astype(np.int8)
        except TableError as error:
            rules.column(str(error))
    identity = labels("comparison_id", ordered=False)
    if identity is not None:
        rules.rows(shown("comparison_id"), "must be unique", repeats(identity.codes), value("comparison_id"))
    rule = {
        "weight": ("must be finite and >= 0", lambda v: np.isfinite(v) & (v >= 0)),
        "count": ("must be a whole number >= 0", lambda v: np.isfinite(v) & (v >= 0) & (np.floor(v) == v)),
        "propensity": ("must lie in (0, 1]", lambda v: (v > 0) & (v <= 1)),
        "strength": ("must be a finite number or missing", lambda v: ~np.isinf(v)),
    }
    numeric = {name: floats(name, *rule[name]) for name in NUMERIC}
    numeric["timestamp"] = floats(
        "timestamp", "must be a date and time (ISO 8601), seconds since 1970, or missing", lambda v: ~np.isinf(v), times
    )
    rules.raise_columns()
    kept = {name: values for name, values in numeric.items() if values is not None}
    return Parsed(rules, items, item_labels, outcome, by_label, kept, position, by_row)


def _choices(
    allowed: tuple[str, ...], coded: Coded | None, rules: Rules, shown: str, rule: str = ""
) -> NDArray[np.int8]:
    """Codes into ``allowed``; unknown labels are a violation with counts per label, missing ones give 0."""
    if coded is None:
        return np.zeros(len(rules.bad), dtype=np.int8)
    place = [allowed.index(label) if label in allowed else -1 for label in coded.labels]
    codes: NDArray[np.int8] = np.array([*place, 0], dtype=np.int8)[coded.codes]
    unknown = codes < 0
    if unknown.any():
        stand = rules.stands_for[unknown]
        counts = np.bincount(coded.codes[unknown], stand, len(coded.labels)).astype(np.int64)
        order = np.argsort(-counts, kind="stable")[: 2 * _SHOWN]
        detail = ", ".join(f"{coded.labels[i]!r} {counts[i]} times" for i in order.tolist() if counts[i])
        if np.count_nonzero(counts) > 2 * _SHOWN:
            detail += f", and {np.count_nonzero(counts) - 2 * _SHOWN} other labels"
        values = decode(coded.codes, coded.labels)
        rule = rule or f"must be one of {', '.join(allowed)}"
        rules.rows(shown, rule, unknown, lambda row: values[row], detail)
    return codes


def _adapter_hint(verdicts: Any, counts: NDArray[np.int64], origin: Mapping[str, str], text: bool) -> str:
    """How to read verdicts that an adapter knows, in Python and in a shell; "" where none does."""
    name = fitting(verdicts, counts, text)
    if not name:
        return ""
    shape = ADAPTERS[name][0]
    own = ("item_a", "item_b", "outcome")[-len(shape.needs) :]
    columns = {needed: origin.get(given, given) for needed, given in zip(shape.needs, own, strict=True)}
    shell = " ".join(f"--column {shlex.quote(f'{needed}={column}')}" for needed, column in columns.items())
    return (
        f"The outcomes look like those that adapter {name!r} reads ({shape.rule}). Instead of {', '.join(own)} name "
        f"its column{'s' * (len(own) > 1)}: adapter={name!r}, columns={columns}; in a shell --adapter {name} {shell}"
    )


def build_comparisons(parsed: Parsed, features: tuple[str, ...], provenance: dict[str, Any]) -> Comparisons:
    """Build the table from the rows that break no rule.

    Raises
    ------
    TableError
        If weights overflow or are all zero, or an item has several values of one attribute.
    """
    keep = ~parsed.rules.bad
    by_row = None if parsed.features is None else parsed.features[:, keep]
    table = None
    if parsed.items is None:
        sides, items, table = _bundles(np.asarray(by_row), features)
    else:
        sides, items = compact(np.stack([side[keep] for side in parsed.items]), parsed.item_labels)
        if by_row is not None:
            table = _item_features(sides, by_row, items, features)
    rows: dict[str, Any] = {}
    for name, coded in parsed.coded.items():
        rows[name], rows[_PLURAL[name]] = compact(coded.codes[keep], coded.labels)
    numeric: dict[str, Any] = {name: values[keep] for name, values in parsed.numeric.items()}
    one = np.ones(int(keep.sum()))
    with np.errstate(over="ignore"):
        weight = numeric.pop("weight", one) * numeric.pop("count", one)
    if not np.isfinite(weight).all() or not weight.any():
        raise TableError("weight, count: their product must be finite, and not zero in every row")
    if "state" not in rows:
        rows |= {"state": np.zeros(len(one), dtype=np.int32), "states": (WHOLE_TABLE,)}
    return Comparisons(
        item_a=np.ascontiguousarray(sides[0]),
        item_b=np.ascontiguousarray(sides[1]),
        outcome=parsed.outcome[keep],
        weight=weight,
        items=items,
        position=None if parsed.position is None else parsed.position[keep],
        features=table,
        feature_names=features,
        provenance=provenance,
        **rows,
        **numeric,
    )


def _bundles(
    by_row: NDArray[np.float64], features: tuple[str, ...]
) -> tuple[NDArray[np.int32], tuple[str, ...], NDArray[np.float64]]:
    """Items are the distinct attribute bundles, named and sorted by their text."""
    flat = by_row.reshape(-1, len(features))
    bundles, codes = np.unique(flat, axis=0, return_inverse=True)
    names = [
        ", ".join(f"{feature}={repr(v).removesuffix('.0')}" for feature, v in zip(features, row, strict=True))
        for row in bundles.tolist()
    ]
    order = np.argsort(np.array(names, dtype=object), kind="stable")
    place = np.empty(len(names), dtype=np.int32)
    place[order] = np.arange(len(names), dtype=np.int32)
    return place[codes.reshape(2, -1)], tuple(names[i] for i in order), bundles[order]


def _item_features(
    sides: NDArray[np.int32], by_row: NDArray[np.float64], items: tuple[str, ...], features: tuple[str, ...]
) -> NDArray[np.float64]:
    """One value an item and attribute; an item with two values is an error that names it."""
    codes, flat = sides.ravel(), by_row.reshape(-1, len(features))
    table = np.empty((len(items), len(features)))
    table[codes] = flat
    where, which = np.nonzero(flat != table[codes])
    if len(where):
        clashes = {(int(codes[i]), int(j)): float(flat[i, j]) for i, j in zip(where, which, strict=True)}
        shown = [
            f"item {items[item]!r} has {features[j]} {value:g} and {table[item, j]:g}"
            for (item, j), value in list(clashes.items())[:_SHOWN]
        ]
        raise TableError(
            f"features: an item must have one value of each attribute; {len({i for i, _ in clashes})} item(s) have "
            f"several, first: {'; '.join(shown)}"
        )
    return table


def label_warnings(comparisons: Comparisons) -> list[str]:
    """Say which labels look like the same thing written twice, or like a missing value."""
    messages = []
    for dim in ("item", *LABELLED):
        labels = comparisons.labels(dim)
        if groups := look_alikes(labels):
            shown = "; ".join(" and ".join(ascii(label) for label in group) for group in groups[:_SHOWN])
            messages.append(
                f"{dim}: {len(groups)} group(s) of labels differ only in case, whitespace or Unicode form and are kept "
                f"apart: {shown}. Unify them before reading if they mean the same."
            )
        if missing := look_missing(labels):
            messages.append(f"{dim}: the label(s) {missing} read like a missing value turned into text, and are kept")
    return messages
