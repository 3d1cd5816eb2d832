"""Counts as a Parquet file that reads back as the same table."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from bayespref.comparisons import WHOLE_TABLE, Comparisons
from bayespref.dims import OUTCOMES
from bayespref.files import replacing
from bayespref.provenance import versions

_LABELLED = ("annotator", "state", "context", "environment")


def write_counts(comparisons: Comparisons, path: str | os.PathLike[str]) -> None:
    """Write a table in canonical columns; the file is replaced as a whole or left as it was.

    Parameters
    ----------
    comparisons : Comparisons
        The table; item attributes become paired columns.
    path : path
        A ``.parquet`` file. :func:`bayespref.read_comparisons` reads it back with the same ``data_hash`` (name
        ``features`` where there are some). The schema's metadata hold hash, provenance and
        versions under ``bayespref``.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bayespref.comparisons import from_codes
    >>> from bayespref.data.table import read_comparisons
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 2]), items=("x", "y", "z"))
    >>> with TemporaryDirectory() as folder:
    ...     write_counts(table, Path(folder) / "counts.parquet")
    ...     read_comparisons(Path(folder) / "counts.parquet").data_hash == table.data_hash
    True
    """
    columns: dict[str, Any] = {
        name: _labels(getattr(comparisons, name), comparisons.items) for name in ("item_a", "item_b")
    }
    columns["outcome"] = _labels(comparisons.outcome, OUTCOMES)
    for name in _LABELLED:
        codes = getattr(comparisons, name)
        if codes is not None and not (name == "state" and comparisons.states == (WHOLE_TABLE,)):
            columns[name] = _labels(codes, comparisons.labels(name))
    if comparisons.position is not None:
        columns["position"] = _labels(np.where(comparisons.position < 0, 1, comparisons.position - 1), ("a", "b"))
    for name in ("propensity", "timestamp", "strength"):
        if (values := getattr(comparisons, name)) is not None:
            columns[name] = pa.array(values, from_pandas=True)
    if comparisons.features is not None:
        for side, codes in (("a", comparisons.item_a), ("b", comparisons.item_b)):
            for j, name in enumerate(comparisons.feature_names):
                columns[f"{name}_{side}"] = pa.array(comparisons.features[codes, j])
    columns["weight"] = pa.array(comparisons.weight)
    facts = {"hash": comparisons.data_hash, "provenance": dict(comparisons.provenance), "versions": versions()}
    table = pa.table(columns).replace_schema_metadata({"bayespref": json.dumps(facts, sort_keys=True)})
    with replacing(path) as part:
        parquet.write_table(table, part)


def _labels(codes: np.ndarray, labels: tuple[str, ...]) -> Any:
    """Labels by code; -1 is a missing value."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32(), mask=codes < 0), pa.array(labels, pa.string()))
