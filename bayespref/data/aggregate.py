"""Aggregate a table that need not fit into memory: one GROUP BY in its own engine, then the rules of every table.

A likelihood depends on counts per (annotator, state, ordered pair, outcome) only. The engine groups the raw values of
the columns and sums weights; what comes back is small, and is read as :func:`bayespref.read_comparisons` reads rows:
the same labels, the same rules, each broken one with the number of rows it stands for.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayespref.checks import at_least
from bayespref.comparisons import Comparisons
from bayespref.data.adapters import ADAPTERS, Adapter, choose
from bayespref.data.aggregate_cells import CellEstimate, estimate
from bayespref.data.aggregate_source import PLACE, Large, engine_text, open_large, sample_rows
from bayespref.data.roles import ITEMS, feature_names, listed, match_columns
from bayespref.data.rules import Broken, Rules, short
from bayespref.data.source import Source
from bayespref.data.table import build_comparisons, label_warnings, parse_columns
from bayespref.errors import TableError

GROUP_KEYS = ("annotator", "state", "context", "environment", "position")
"""What counts may be told apart by, beside items and outcome."""
MAX_CELLS = 20_000_000
"""Cells that are fetched unless more are allowed: about 2 GB while they are read."""
_SAMPLE = 100_000
_WORTH_A_WARNING = 1_000_000
_NOT_SUMMED = ("strength", "propensity", "timestamp")
_ROWS, _TOTAL, _BAD = "__bayespref_rows", "__bayespref_total", "__bayespref_bad"
_NUMERIC_RULES = {"weight": "must be finite and >= 0", "count": "must be a whole number >= 0"}
_SHOWN = 5


def aggregate(
    source: Any,
    *,
    columns: Mapping[str, str | None] | None = None,
    adapter: str | None = None,
    features: Sequence[str] | None = None,
    group_keys: Sequence[str] | None = None,
    on_invalid: str = "raise",
    max_cells: int = MAX_CELLS,
    memory: str = "1GB",
    progress: bool = False,
) -> Comparisons:
    """Count a large table in its own engine and read the counts.

    Parameters
    ----------
    source : str, Path or lazy frame
        A ``.parquet`` file, a folder of them (grouped by DuckDB, extra ``scale``), or a DuckDB relation, Ibis table,
        PySpark data frame or Polars lazy frame (grouped by that engine, through narwhals).
    columns, adapter, features, on_invalid
        As in :func:`bayespref.read_comparisons`. A repeated ``comparison_id`` is always an error; leave the column out
        (``{"comparison_id": None}``) to save its own GROUP BY.
    group_keys : sequence of str, optional
        What counts are told apart by, beside items and outcome: of ``annotator``, ``state``, ``context``,
        ``environment``, ``position``. Default: those that the table has. A key left out is pooled.
    max_cells : int
        Refuse a table that would make more cells.
    memory : str
        Memory DuckDB may use for a path, such as "1GB"; more goes to a temporary folder.
    progress : bool
        Show a progress bar on stderr: per cent of the query that DuckDB runs. A lazy frame has none.

    Returns
    -------
    Comparisons
        One row a group of equal rows, sorted by the group keys; ``weight`` is their sum. The ``data_hash`` is that of
        ``read_comparisons`` on the same rows (with ``pool`` for keys left out); sums of fractional weights may differ
        in the last digit. ``provenance`` names the columns that counts do not keep.

    Raises
    ------
    TableError
        With every broken rule: column, rule, number of rows, first values, and where they stand (file and row, for
        Parquet; the values of the row otherwise). Also if the expected cells exceed ``max_cells``.
    TypeError
        If an argument is of the wrong type.
    ImportError
        If DuckDB is needed and not installed.

    Warns
    -----
    UserWarning
        If counts would hardly be smaller than a table of a million rows or more, naming the key; if rows are dropped;
        if labels look alike.

    Notes
    -----
    ``strength``, ``propensity`` and ``timestamp`` are not kept and not checked.

    Examples
    --------
    >>> import polars as pl
    >>> votes = pl.LazyFrame({"item_a": ["x", "x", "y"], "item_b": ["y", "y", "x"], "outcome": ["a", "a", "tie"]})
    >>> aggregate(votes).weight.tolist()
    [2.0, 1.0]
    """
    if on_invalid not in ("raise", "drop"):
        raise TableError(f"on_invalid: must be 'raise' or 'drop', got {on_invalid!r}")
    at_least("max_cells", max_cells, 1)
    with open_large(source, memory=memory, progress=progress) as large:
        plan = _plan(large, columns, adapter, features, group_keys)
        _refuse_many(_expected(plan), max_cells)
        _refuse_repeats(plan)
        built = _read_groups(plan, on_invalid)
    for message in label_warnings(built):
        warnings.warn(message, stacklevel=2)
    return built


def estimate_cells(
    source: Any,
    *,
    columns: Mapping[str, str | None] | None = None,
    adapter: str | None = None,
    features: Sequence[str] | None = None,
    group_keys: Sequence[str] | None = None,
    memory: str = "1GB",
) -> CellEstimate:
    """Say how many cells :func:`aggregate` would make, from a random sample of about 100,000 rows.

    Parameters are those of :func:`aggregate`.

    Examples
    --------
    >>> import polars as pl
    >>> votes = pl.LazyFrame({"item_a": ["x", "x"], "item_b": ["y", "y"], "outcome": ["a", "a"], "state": ["s", "t"]})
    >>> print(estimate_cells(votes))
    2 cells from 2 rows; without state 1
    """
    with open_large(source, memory=memory) as large:
        return _expected(_plan(large, columns, adapter, features, group_keys))


def aggregation_text(
    source: Any,
    *,
    columns: Mapping[str, str | None] | None = None,
    adapter: str | None = None,
    features: Sequence[str] | None = None,
    group_keys: Sequence[str] | None = None,
    memory: str = "1GB",
) -> str:
    """Return the SQL (DuckDB, Ibis) or the plan (Spark, Polars) that :func:`aggregate` would run.

    Parameters are those of :func:`aggregate`.
    """
    with open_large(source, memory=memory) as large:
        return engine_text(_plan(large, columns, adapter, features, group_keys).grouped)


class _Plan(NamedTuple):
    large: Large
    shape: Adapter | None
    names: tuple[str, ...]
    used: dict[str, str]
    """Canonical name -> column that is grouped by."""
    numeric: dict[str, str]
    """Those of weight and count that the table has."""
    identity: str | None
    keys: dict[str, tuple[str, ...]]
    """Group key -> its columns."""
    fixed: tuple[str, ...]
    """Columns of items, outcome and attributes."""
    frame: Any
    """Rows, with what each adds to the sum and which rule its numbers break."""
    grouped: Any
    provenance: dict[str, Any]


def _plan(
    large: Large,
    columns: Mapping[str, str | None] | None,
    adapter: str | None,
    features: Sequence[str] | None,
    group_keys: Sequence[str] | None,
) -> _Plan:
    """Match columns, and write down the GROUP BY without running it."""
    if adapter is not None and adapter not in ADAPTERS:
        raise TableError(f"adapter: unknown adapter {adapter!r}; known are {sorted(ADAPTERS)}")
    names = feature_names(features)
    shape = None
    if adapter is not None:
        shape = choose(adapter, large.columns, columns if isinstance(columns, Mapping) else None)
    source = Source(large.name, large.columns, lambda wanted: {}, text=False)
    matched = match_columns(source, shape, columns, names)
    if shape is not None and "outcome" not in shape.gives:
        shape = None  # it brings a column that counts do not keep
    kept = _group_keys(group_keys, matched)
    needs = shape.needs if shape is not None else ()
    pairs = tuple(f"{name}_{side}" for side in "ab" for name in names)
    fixed = tuple(name for name in (*ITEMS, "outcome", *needs, *pairs) if name in matched)
    used = {name: matched[name] for name in (*kept, *fixed)}
    numeric = {name: matched[name] for name in _NUMERIC_RULES if name in matched}
    identity = matched.get("comparison_id")
    counted = {*used.values(), *numeric.values(), *([] if identity is None else [identity])}
    frame = large.frame.select([*dict.fromkeys([*used.values(), *numeric.values()]), *(PLACE if large.placed else ())])
    frame, sums = _flagged(frame, numeric)
    by = list(dict.fromkeys(used.values()))
    return _Plan(
        large=large,
        shape=shape,
        names=names,
        used=used,
        numeric=numeric,
        identity=identity,
        keys={name: (matched[name],) for name in kept},
        fixed=tuple(dict.fromkeys(matched[name] for name in fixed)),
        frame=frame,
        grouped=frame.group_by(by).agg(nw.len().alias(_ROWS), *sums).sort(by, nulls_last=True),
        provenance={
            "source": large.name,
            "adapter": adapter,
            "columns": used | numeric,
            "unused_columns": [column for column in large.columns if column not in counted],
            "group_keys": list(kept),
            "not_kept": sorted(set(matched) & {*_NOT_SUMMED, *GROUP_KEYS} - set(kept)),
        },
    )


def _group_keys(given: Sequence[str] | None, matched: Mapping[str, str]) -> tuple[str, ...]:
    if given is None:
        return tuple(key for key in GROUP_KEYS if key in matched)
    if isinstance(given, str):
        raise TypeError(f"group_keys: must be a sequence of names, got {given!r}")
    if unknown := sorted(set(given) - set(GROUP_KEYS)):
        raise TableError(f"group_keys: must be among {list(GROUP_KEYS)}, got {unknown}; items and outcome always count")
    if absent := [key for key in GROUP_KEYS if key in given and key not in matched]:
        raise TableError(f"group_keys: the table has no column for {absent}; name one in columns")
    return tuple(key for key in GROUP_KEYS if key in given)


def _flagged(frame: Any, numeric: Mapping[str, str]) -> tuple[Any, list[Any]]:
    """Add to every row what it adds to the sum and which numbers break a rule; and the sums of these."""
    if not numeric:
        return frame, []
    schema = frame.collect_schema()
    problems = [
        f"- {name} (column {column!r}): must be numbers, but the column holds {schema[column]}; convert it"
        for name, column in numeric.items()
        if not schema[column].is_numeric()
    ]
    if problems:
        raise TableError("the table has columns that cannot be read:\n" + "\n".join(problems))
    values = {name: nw.col(column).cast(nw.Float64) for name, column in numeric.items()}
    # v * 0 == 0 rather than a test for NaN: DuckDB answers such tests from Parquet statistics, which leave NaN out
    good = {name: (value >= 0) & (value * 0 == 0) for name, value in values.items()}
    if "count" in good:
        good["count"] = good["count"] & (values["count"] % 1 == 0)
    bad = {_BAD + name: (~rule).fill_null(True) for name, rule in good.items()}
    frame = frame.with_columns(**bad)
    anyhow = nw.any_horizontal(*bad, ignore_nulls=False)
    product = values["weight"] * values["count"] if len(values) == 2 else next(iter(values.values()))
    frame = frame.with_columns(anyhow.alias(_BAD), nw.when(~anyhow).then(product).otherwise(0.0).alias(_TOTAL))
    return frame, [nw.col(_TOTAL).sum(), *(nw.col(name).cast(nw.Float64).sum() for name in (_BAD, *bad))]


def _expected(plan: _Plan) -> CellEstimate:
    rows = int(plan.large.frame.select(nw.len()).collect("pyarrow").to_native().column(0)[0].as_py())
    if rows == 0:
        raise TableError(f"source: no rows (columns {listed(plan.large.columns)})")
    sample = sample_rows(plan.large.frame.select(list(dict.fromkeys(plan.used.values()))), of=rows, wanted=_SAMPLE)
    return estimate(sample, plan.keys, plan.fixed, rows)


def _refuse_many(expected: CellEstimate, max_cells: int) -> None:
    key = expected.heaviest()
    hint = f"group_keys: leaving out {key!r} would save most" if key else "the items themselves make them many"
    if expected.cells > max_cells:
        raise TableError(f"group_keys: too many cells for max_cells={max_cells:,}: {expected}. {hint}")
    if expected.rows >= _WORTH_A_WARNING and expected.cells > 0.5 * expected.rows:
        warnings.warn(f"counts would hardly be smaller than the table: {expected}. {hint}", stacklevel=3)


def _refuse_repeats(plan: _Plan) -> None:
    """Refuse ids that are missing or occur twice."""
    if plan.identity is None:
        return
    column = plan.identity
    groups = plan.large.frame.group_by(column).agg(nw.len().alias(_ROWS))
    broken = groups.filter((nw.col(_ROWS) > 1) | nw.col(column).is_null())
    found = broken.select(nw.len().alias("ids"), nw.col(_ROWS).sum().alias("rows")).collect("pyarrow").to_native()
    ids, rows = (found.column(name)[0].as_py() for name in ("ids", "rows"))
    if ids:
        first = broken.sort(column).head(_SHOWN).collect("pyarrow").to_native()
        shown = {short(value): n for value, n in zip(*(first.column(i).to_pylist() for i in (0, 1)), strict=True)}
        raise TableError(
            f"the table breaks 1 rule(s):\n- comparison_id (column {column!r}): must be unique and not missing; "
            f"{int(rows)} row(s) share {ids} id(s), first {shown} (id: rows)"
        )


def _read_groups(plan: _Plan, on_invalid: str) -> Comparisons:
    """Run the GROUP BY, and hold its groups against the rules of every table."""
    groups = plan.grouped.collect("pyarrow").to_native()
    sizes = np.asarray(groups.column(_ROWS).to_numpy(), dtype=np.int64)
    view = {name: groups.column(column) for name, column in plan.used.items()}
    origin, rule = dict(plan.used), ""
    if plan.shape is not None:
        origin |= dict.fromkeys(plan.shape.gives, ", ".join(plan.used[name] for name in plan.shape.needs))
        given = plan.shape.apply({name: view.pop(name) for name in plan.shape.needs}, False)
        view |= {name: values for name, values in given.items() if name not in _NOT_SUMMED}
        rule = plan.shape.rule
    rules = Rules(len(sizes), stands_for=sizes, name=lambda line: _whereabouts(plan, groups, line))
    parsed = parse_columns(view, rules, origin, plan.names, outcome_rule=rule, text=False)
    total, part = sizes.astype(np.float64), np.zeros(len(sizes), dtype=np.int64)
    if plan.numeric:
        total = np.array(groups.column(_TOTAL).to_numpy(), dtype=np.float64)
        part = _whole(groups, _BAD)
        for name, column in plan.numeric.items():
            if count := int(_whole(groups, _BAD + name).sum()):
                shown = name if name == column else f"{name} (column {column!r})"
                first = _first_bad(plan, _BAD + name, column)
                rules.broken.append(Broken(shown, _NUMERIC_RULES[name], count, first, ""))
        rules.bad |= part == sizes
    parsed.numeric["weight"] = total
    provenance = plan.provenance | {"rows_read": int(sizes.sum())}
    if rules.broken:
        if on_invalid == "raise":
            raise TableError(rules.text())
        if rules.bad.all():
            raise TableError(f"no row is left after dropping bad ones; {rules.text()}")
        dropped = int(sizes[rules.bad].sum() + part[~rules.bad].sum())
        provenance["dropped"] = rules.as_record() | {"rows": dropped}
        warnings.warn(f"dropped {dropped} of {int(sizes.sum())} rows: {rules.text()}", stacklevel=3)
    return build_comparisons(parsed, plan.names, provenance)


def _whole(groups: Any, name: str) -> NDArray[np.int64]:
    return np.asarray(groups.column(name).to_numpy(), dtype=np.int64)


def _whereabouts(plan: _Plan, groups: Any, line: int) -> str:
    """File and row of the first row of a group; the group's values where rows have no place."""
    values = {column: groups.column(column)[line].as_py() for column in dict.fromkeys(plan.used.values())}
    if plan.large.placed:
        rows = plan.frame
        for column, value in values.items():
            rows = rows.filter(nw.col(column).is_null() if value is None else nw.col(column) == nw.lit(value))
        found = rows.select(*PLACE).sort(*PLACE).head(1).collect("pyarrow").to_native()
        if found.num_rows:
            return _place(found, 0)
    return ", ".join(f"{column}={short(value)}" for column, value in values.items())


def _first_bad(plan: _Plan, flag: str, column: str) -> dict[str, str]:
    """Where the first rows with a bad number stand, and the numbers."""
    rows = plan.frame.filter(nw.col(flag))
    rows = rows.sort(*PLACE) if plan.large.placed else rows
    found = rows.head(_SHOWN).collect("pyarrow").to_native()
    others = [name for name in dict.fromkeys(plan.used.values()) if name != column]
    return {
        _place(found, i)
        if plan.large.placed
        else ", ".join(f"{name}={short(found.column(name)[i].as_py())}" for name in others): short(
            found.column(column)[i].as_py()
        )
        for i in range(found.num_rows)
    }


def _place(found: Any, i: int) -> str:
    file, row = (found.column(name)[i].as_py() for name in PLACE)
    return f"{str(file).rsplit('/', maxsplit=1)[-1]} row {row}"
