"""Read deployment rows: which cells a system will be asked about, without items or outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayespref.data.source import open_table
from bayespref.dims import ANNOTATOR, CONTEXT, ENVIRONMENT, STATE
from bayespref.errors import TableError

LABEL_COLUMNS = (ANNOTATOR, ENVIRONMENT, CONTEXT, STATE)
NUMBER_COLUMNS = ("count", "probability")


def read_deployed(table: Any, *, columns: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Read a table of deployment rows, or of cells with counts or declared probabilities.

    Parameters
    ----------
    table : str, Path or data frame
        A path ending in ``.csv``, ``.csv.gz``, ``.parquet`` or ``.jsonl``, or any frame narwhals understands.
    columns : mapping of str to str or None, optional
        Canonical name -> name in the table, as for ``read_comparisons``; names that the table lacks are passed over,
        since the map is usually that of the comparisons.

    Returns
    -------
    DataFrame
        Those of ``annotator``, ``environment``, ``context``, ``state`` (text) and ``count``, ``probability`` (numbers)
        that are there.

    Raises
    ------
    TableError
        If none of the label columns is there, a label is missing, or a number is not one.

    Examples
    --------
    >>> read_deployed(pd.DataFrame({"prompt_kind": ["s", "t"], "count": [3, 1]}), columns={"state": "prompt_kind"})
      state  count
    0     s    3.0
    1     t    1.0
    """
    source = open_table(table)
    wanted = {name: name for name in (*LABEL_COLUMNS, *NUMBER_COLUMNS)} | dict(columns or {})
    used = {name: wanted[name] for name in (*LABEL_COLUMNS, *NUMBER_COLUMNS) if wanted[name] in source.columns}
    if not any(name in used for name in LABEL_COLUMNS):
        raise TableError(f"deployment: none of {list(LABEL_COLUMNS)} is among its columns {list(source.columns)}")
    loaded = source.load([str(column) for column in used.values()])
    out: dict[str, Any] = {}
    for name, column in used.items():
        values = loaded[str(column)]
        rows = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[:5].tolist()
        if rows:
            raise TableError(f"deployment: column {column!r} has missing values, first at rows {rows}")
        found = values.to_pandas()
        if name in LABEL_COLUMNS:
            out[name] = found.astype(str)
            continue
        numbers = pd.to_numeric(found, errors="coerce")
        bad = np.flatnonzero(~np.isfinite(numbers.to_numpy(dtype=np.float64)))[:5].tolist()
        if bad:
            raise TableError(f"deployment: column {column!r} must hold numbers, first bad at rows {bad}")
        out[name] = numbers.astype(np.float64)
    return pd.DataFrame(out)
