"""Named adapters: bring a known shape of table to the canonical columns, and nothing else.

An adapter gets the columns it knows (already renamed by the caller's column map) and returns canonical ones; rows it
cannot translate keep their own value, so that the validation of :func:`bayespref.read_comparisons` reports them with
their counts. It never drops a row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from bayespref.data.adapters.shape import Adapter, by_label, by_number
from bayespref.dims import OUTCOMES
from bayespref.errors import TableError

_WINNER = {"model_a": "a", "model_b": "b", "tie": "tie", "tie (bothbad)": "both_bad", "both_bad": "both_bad"}
_ONE_HOT = ("winner_model_a", "winner_model_b", "winner_tie")
_WORDS_OF_ALL = dict(zip(OUTCOMES, OUTCOMES, strict=True))
_NO_ITEM = (
    "These data name no item behind a text: every pair would be its own component of the comparison graph, and nothing "
    "could be compared across pairs. Say what was compared (the model, the response id, or a cluster of responses)"
)


def labels(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read a numeric label: 1 = ``item_a`` preferred, 0 = ``item_b``, 0.5 = tie.

    Parameters
    ----------
    columns : mapping of str to pyarrow array
        Holds ``label``.
    text : bool
        Whether numbers are written as text, as in CSV.

    Returns
    -------
    dict
        ``outcome`` as text; other numbers stay as they are written, missing labels stay missing.

    Raises
    ------
    TableError
        If the column does not hold numbers.

    Examples
    --------
    >>> labels({"label": pa.array([1, 0, 0.5])}, False)["outcome"].to_pylist()
    ['a', 'b', 'tie']
    """
    words = "1 = item_a preferred, 0 = item_b, 0.5 = tie"
    return {"outcome": by_number("label", columns["label"], {1.0: "a", 0.0: "b", 0.5: "tie"}, text, words)}


def arena(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read a battle with a ``winner`` in words: model_a, model_b, tie, and "tie (bothbad)" or both_bad.

    The words are those of lmsys/chatbot_arena_conversations ("tie (bothbad)") and lmarena-ai/arena-human-preference
    ("both_bad").

    Examples
    --------
    >>> one = pa.array(["x", "x"])
    >>> arena({"model_a": one, "model_b": one, "winner": pa.array(["model_b", "tie (bothbad)"])}, False)[
    ...     "outcome"
    ... ].to_pylist()
    ['b', 'both_bad']
    """
    return _models(columns) | {"outcome": by_label(columns["winner"], _WINNER)}


def arena_one_hot(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read a battle with one 0/1 column a result, as in lmsys/lmsys-arena-human-preference-55k.

    That table counts "both bad" among the ties, so a tie may be either. A row without exactly one 1 keeps its three
    values as its outcome, and so is reported.

    Examples
    --------
    >>> hot = {name: pa.array([v, 1]) for name, v in zip(_ONE_HOT, (0, 1, 0))}
    >>> arena_one_hot({"model_a": pa.array(["x", "x"]), "model_b": pa.array(["y", "y"]), **hot}, False)[
    ...     "outcome"
    ... ].to_pylist()
    ['b', '1 1 1']
    """
    said = [pc.cast(pc.cast(columns[name], pa.float64()), pa.string()) for name in _ONE_HOT]
    short = [pc.replace_substring_regex(column, pattern=r"\.0$", replacement="") for column in said]
    joined = pc.binary_join_element_wise(*short, " ")
    return _models(columns) | {"outcome": by_label(joined, {"1 0 0": "a", "0 1 0": "b", "0 0 1": "tie"})}


def mtbench(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read a judgment of lmsys/mt_bench_human_judgments: winner is model_a, model_b or tie.

    "tie (inconsistent)", a judge model that contradicted itself when the sides were swapped, is no tie and is reported.

    Examples
    --------
    >>> one = pa.array(["x"])
    >>> mtbench({"model_a": one, "model_b": one, "winner": pa.array(["tie"])}, False)["outcome"].to_pylist()
    ['tie']
    """
    return _models(columns) | {"outcome": by_label(columns["winner"], {"model_a": "a", "model_b": "b", "tie": "tie"})}


def helpsteer3(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read ``overall_preference`` of nvidia/HelpSteer3: -3 (response 1 much better) to 3 (response 2), 0 the same.

    ``item_a`` must name what is behind response 1, ``item_b`` response 2. The size becomes ``strength``.

    Examples
    --------
    >>> found = helpsteer3({"overall_preference": pa.array([-3, 0, 1])}, False)
    >>> found["outcome"].to_pylist(), found["strength"].to_pylist()
    (['a', 'tie', 'b'], [3.0, 0.0, 1.0])
    """
    column = columns["overall_preference"]
    outcomes = {-3.0: "a", -2.0: "a", -1.0: "a", 0.0: "tie", 1.0: "b", 2.0: "b", 3.0: "b"}
    words = "-3 to 3, negative where response 1 is better"
    outcome = by_number("overall_preference", column, outcomes, text, words)
    known = pc.is_in(outcome, value_set=pa.array(["a", "tie", "b"]))
    size = pc.if_else(known, column, pa.scalar(None, column.type))  # a bad row is reported once, by its outcome
    return {"outcome": outcome, "strength": pc.abs(pc.cast(size, pa.float64()))}


def alpaca_eval(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read an annotation of AlpacaEval: preference 1 (generator_1), 2 (generator_2), 1.5 or the older 0 (draw).

    NaN is a judge who gave no answer, and is reported as missing. A weighted judge's number between is no outcome:
    :func:`bayespref.data.adapters.rows.alpaca_eval_rows` splits it into two weighted rows.

    Examples
    --------
    >>> one = pa.array(["x"] * 4)
    >>> answers = {"generator_1": one, "generator_2": one, "preference": pa.array([1.0, 2.0, 1.5, 0.0])}
    >>> alpaca_eval(answers, False)["outcome"].to_pylist()
    ['a', 'b', 'tie', 'tie']
    """
    outcomes = {1.0: "a", 2.0: "b", 1.5: "tie", 0.0: "tie"}
    outcome = by_number("preference", columns["preference"], outcomes, text, "1, 2, 1.5 or 0")
    return {"item_a": columns["generator_1"], "item_b": columns["generator_2"], "outcome": outcome}


def trl(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read a preference table whose chosen and rejected items are named in columns of their own.

    Where the items must be told from the texts, use :func:`bayespref.data.adapters.rows.trl_rows`.

    Examples
    --------
    >>> found = trl({"item_chosen": pa.array(["x"]), "item_rejected": pa.array(["y"])}, False)
    >>> {name: column.to_pylist() for name, column in found.items()}
    {'item_a': ['x'], 'item_b': ['y'], 'outcome': ['a']}
    """
    chosen = columns["item_chosen"]
    return {"item_a": chosen, "item_b": columns["item_rejected"], "outcome": pa.array(["a"] * len(chosen), pa.string())}


def pscore(columns: Mapping[str, Any], text: bool) -> dict[str, Any]:
    """Read the logging propensity under the name that Open Bandit data give it (``pscore``).

    Examples
    --------
    >>> pscore({"pscore": pa.array([0.5])}, False)["propensity"].to_pylist()
    [0.5]
    """
    return {"propensity": columns["pscore"]}


def choose(name: str, present: Collection[str], columns: Mapping[str, str | None] | None) -> Adapter:
    """Variant of a named adapter whose needed columns are there; the first one where none fits."""
    chosen = columns or {}
    for shape in ADAPTERS[name]:
        if all(chosen.get(needed, needed) in present for needed in shape.needs):
            return shape
    return ADAPTERS[name][0]


def fitting(verdicts: Any, counts: Int[np.ndarray, " row"], text: bool) -> str:
    """Name of the adapter that reads most of a column of verdicts.

    Parameters
    ----------
    verdicts : pyarrow array, shape (row,)
        What was answered, in words or numbers.
    counts : int array, shape (row,)
        Answers that each value stands for.
    text : bool
        Whether numbers are written as text, as in CSV.

    Returns
    -------
    str
        The first of those that read most; "" where none reads more than half, or more than a table without adapter.

    Examples
    --------
    >>> fitting(pa.array([1, 2, 2]), np.ones(3, dtype=int), False), fitting(pa.array(["tie"]), np.ones(1, int), True)
    ('alpaca_eval', '')
    """
    best, most = "", int(counts.sum()) // 2
    for name, shape in {"": _CANONICAL, **{name: ADAPTERS[name][0] for name in _ONE_VERDICT}}.items():
        try:
            outcome = shape.apply(dict.fromkeys(shape.needs, verdicts), text)["outcome"]
        except TableError:
            continue
        read = int(counts[np.asarray(pc.is_in(outcome, pa.array(OUTCOMES)))].sum())
        if read > most:
            best, most = name, read
    return best


def _models(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {"item_a": columns["model_a"], "item_b": columns["model_b"]}


_ONE_VERDICT = ("labels", "alpaca_eval", "helpsteer3", "arena", "mtbench")
"""Adapters that read the outcome from one column, the last they need; before it, if any, the two items."""
_CANONICAL = Adapter(
    ("outcome",), ("outcome",), lambda columns, text: {"outcome": by_label(columns["outcome"], _WORDS_OF_ALL)}, ""
)
_BATTLE = ("item_a", "item_b", "outcome")
_JUDGE = {"annotator": "judge", "timestamp": "tstamp"}
_WORDS = "winner must be model_a, model_b, tie, or tie (bothbad) / both_bad"

ADAPTERS: dict[str, tuple[Adapter, ...]] = {
    "labels": (
        Adapter(("label",), ("outcome",), labels, "label must be 1 (item_a preferred), 0 (item_b) or 0.5 (tie)"),
    ),
    "arena": (
        Adapter(("model_a", "model_b", "winner"), _BATTLE, arena, _WORDS, _JUDGE),
        Adapter(
            ("model_a", "model_b", *_ONE_HOT),
            _BATTLE,
            arena_one_hot,
            f"exactly one of {', '.join(_ONE_HOT)} must be 1 and the others 0",
            _JUDGE,
        ),
    ),
    "mtbench": (
        Adapter(
            ("model_a", "model_b", "winner"),
            _BATTLE,
            mtbench,
            "winner must be model_a, model_b or tie; 'tie (inconsistent)' is no tie: drop it or say what it is",
            {"annotator": "judge"},
        ),
    ),
    "helpsteer3": (
        Adapter(
            ("overall_preference",),
            ("outcome", "strength"),
            helpsteer3,
            "overall_preference must be a whole number from -3 to 3, negative where response 1 is better",
            why=f"{_NO_ITEM}: columns={{'item_a': ..., 'item_b': ...}} for response 1 and response 2.",
        ),
    ),
    "alpaca_eval": (
        Adapter(
            ("generator_1", "generator_2", "preference"),
            _BATTLE,
            alpaca_eval,
            "preference must be 1 (generator_1), 2 (generator_2), 1.5 or 0 (draw); numbers between are a weighted "
            "judge's: see alpaca_eval_rows",
        ),
    ),
    "trl": (
        Adapter(
            ("item_chosen", "item_rejected"),
            _BATTLE,
            trl,
            "",
            why=f"{_NO_ITEM}: columns={{'item_chosen': ..., 'item_rejected': ...}}, or trl_rows with a resolver.",
        ),
    ),
    "pscore": (Adapter(("pscore",), ("propensity",), pscore, ""),),
}
