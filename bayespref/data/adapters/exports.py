"""Comparisons in the shape of arena battles."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bayespref.comparisons import Comparisons

_WINNERS = np.array(["model_a", "model_b", "tie", "tie (bothbad)"])


def to_arena(comparisons: Comparisons) -> pa.Table:
    """Battles: ``model_a``, ``model_b``, ``winner``, and ``judge``, ``state``, ``weight`` where they say something.

    Parameters
    ----------
    comparisons : Comparisons
        The table.

    Returns
    -------
    pyarrow.Table
        ``read_comparisons(..., adapter="arena")`` reads it back to the same outcomes, ties and both-bad apart.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> to_arena(from_codes(np.array([0]), np.array([1]), np.array([3]), items=("x", "y"))).to_pylist()
    [{'model_a': 'x', 'model_b': 'y', 'winner': 'tie (bothbad)'}]
    """
    items = np.asarray(comparisons.items, dtype=object)
    columns = {
        "model_a": items[comparisons.item_a].tolist(),
        "model_b": items[comparisons.item_b].tolist(),
        "winner": _WINNERS[comparisons.outcome].tolist(),
    }
    if comparisons.annotator is not None:
        columns["judge"] = np.asarray(comparisons.annotators, dtype=object)[comparisons.annotator].tolist()
    if len(comparisons.states) > 1:
        columns["state"] = np.asarray(comparisons.states, dtype=object)[comparisons.state].tolist()
    if np.any(np.asarray(comparisons.weight) != 1.0):
        columns["weight"] = np.asarray(comparisons.weight).tolist()
    return pa.table(columns)
