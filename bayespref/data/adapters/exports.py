"""Comparisons in the shapes of other tools: TRL preference rows, arena battles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from bayespref.comparisons import Comparisons
from bayespref.dims import B_WINS, BOTH_BAD, TIE
from bayespref.errors import TableError

_WINNERS = np.array(["model_a", "model_b", "tie", "tie (bothbad)"])


def to_trl(
    comparisons: Comparisons,
    *,
    text: Mapping[str, str] | None = None,
    prompt: Mapping[str, str] | None = None,
    margin: ArrayLike | None = None,
    ties: str = "raise",
) -> pa.Table:
    """Preference rows for TRL: ``prompt``, ``chosen``, ``rejected``, ``weight``, and ``margin`` if one is given.

    Parameters
    ----------
    comparisons : Comparisons
        The table.
    text : mapping of item to str, optional
        Text of each item; the label stands for it if omitted.
    prompt : mapping of state to str, optional
        Prompt of each state; the label stands for it if omitted.
    margin : float array, shape (comparison,), optional
        Difference of rewards item_a minus item_b, log-odds; exported as chosen minus rejected.
    ties : {"raise", "drop"}
        Ties and both-bad have no chosen item, so the format cannot hold them: refuse, or leave them out.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    TableError
        If ties are there and not dropped, or an item or state has no text.

    Notes
    -----
    https://huggingface.co/docs/trl/dataset_formats (preference, explicit prompt); reward modelling reads ``margin``.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0]), np.array([1]), np.array([1]), items=("x", "y"))
    >>> to_trl(table, margin=[-0.5]).to_pylist()
    [{'prompt': 'all', 'chosen': 'y', 'rejected': 'x', 'weight': 1.0, 'margin': 0.5}]
    """
    if ties not in ("raise", "drop"):
        raise TableError(f"ties: must be 'raise' or 'drop', got {ties!r}")
    undecided = (comparisons.outcome == TIE) | (comparisons.outcome == BOTH_BAD)
    if undecided.any() and ties == "raise":
        raise TableError(
            f"outcome: {int(undecided.sum())} of {comparisons.n_rows} rows are ties or both bad, which have no chosen "
            "item; pass ties='drop' to leave them out"
        )
    keep = ~undecided
    b_wins = comparisons.outcome == B_WINS
    chosen = np.where(b_wins, comparisons.item_b, comparisons.item_a)[keep]
    rejected = np.where(b_wins, comparisons.item_a, comparisons.item_b)[keep]
    items, states = _said("text", comparisons.items, text), _said("prompt", comparisons.states, prompt)
    columns = {
        "prompt": states[comparisons.state[keep]].tolist(),
        "chosen": items[chosen].tolist(),
        "rejected": items[rejected].tolist(),
        "weight": np.asarray(comparisons.weight)[keep].tolist(),
    }
    if margin is not None:
        gap = np.asarray(margin, dtype=np.float64)
        if gap.shape != comparisons.outcome.shape:
            raise TableError(
                f"margin: needs one entry a comparison, shape {comparisons.outcome.shape}, got {gap.shape}"
            )
        columns["margin"] = np.where(b_wins, -gap, gap)[keep].tolist()
    return pa.table(columns)


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
    items = _said("items", comparisons.items, None)
    columns = {
        "model_a": items[comparisons.item_a].tolist(),
        "model_b": items[comparisons.item_b].tolist(),
        "winner": _WINNERS[comparisons.outcome].tolist(),
    }
    if comparisons.annotator is not None:
        columns["judge"] = _said("annotators", comparisons.annotators, None)[comparisons.annotator].tolist()
    if len(comparisons.states) > 1:
        columns["state"] = _said("states", comparisons.states, None)[comparisons.state].tolist()
    if np.any(np.asarray(comparisons.weight) != 1.0):
        columns["weight"] = np.asarray(comparisons.weight).tolist()
    return pa.table(columns)


def _said(name: str, labels: tuple[str, ...], words: Mapping[str, str] | None) -> NDArray[np.object_]:
    absent = [] if words is None else [label for label in labels if label not in words]
    if absent:
        raise TableError(f"{name}: nothing is given for {absent[:5]}")
    return np.array([label if words is None else words[label] for label in labels], dtype=object)
