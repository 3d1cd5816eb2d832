"""Conversions of data whose rows are no comparisons: texts, scores, ballots, weighted judgments.

Each returns a :class:`Converted`: a table that :func:`bayespref.read_comparisons` reads as it is, and a record of what
was left out and of what the rows share, since several rows of one turn or one ballot are not independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from bayespref.errors import TableError

_SHOWN = 5


class Converted(NamedTuple):
    """A table of comparisons and what became of the rows it was made from."""

    table: pa.Table
    """Canonical columns, and ``block``: rows of one block are answers of one act and not independent."""
    record: dict[str, Any]
    """Rows read, rows made, what was left out and why, and how rows depend on each other."""


def trl_rows(rows: Iterable[Mapping[str, Any]], resolve: Callable[[str, Mapping[str, Any]], str]) -> Converted:
    """Turn a TRL preference table into comparisons, with a resolver that says which item is behind a text.

    Parameters
    ----------
    rows : iterable of mapping
        ``chosen`` and ``rejected``, and ``prompt`` where it is explicit; texts, or lists of messages with ``role`` and
        ``content``. With an implicit prompt the longest common beginning is the prompt (whole messages of
        conversations).
    resolve : callable
        Called with the text of a completion and its row; returns the label of the item: the model that wrote it, a
        cluster, a response id. It is required because texts alone are all different: every pair would be its own
        component of the comparison graph, and nothing could be compared across pairs.

    Returns
    -------
    Converted
        ``item_a`` (chosen), ``item_b`` (rejected), ``outcome`` (always a), ``prompt``.

    Raises
    ------
    TypeError
        If there is no resolver.
    TableError
        If a row lacks a column, mixes texts and messages, or its items are one and the same or not named (None).

    Notes
    -----
    Formats: https://huggingface.co/docs/trl/dataset_formats (standard and conversational, explicit and implicit).

    Examples
    --------
    >>> row = {"chosen": "The sky is blue.", "rejected": "The sky is green."}
    >>> found = trl_rows([row], lambda text, row: text.strip(". "))
    >>> found.table.select(["item_a", "item_b", "prompt"]).to_pylist()
    [{'item_a': 'blue', 'item_b': 'green', 'prompt': 'The sky is '}]
    """
    if not callable(resolve):
        raise TypeError("resolve: must be a function (text, row) -> item; texts alone name no item that others share")
    made = []
    for i, row in enumerate(rows):
        absent = [name for name in ("chosen", "rejected") if row.get(name) is None]
        if absent:
            raise TableError(f"row {i}: {absent} missing; a preference row has chosen, rejected and perhaps prompt")
        prompt, chosen, rejected = _completions(i, row)
        found: list[str | None] = [resolve(text, row) for text in (chosen, rejected)]
        if None in found:
            raise TableError(
                f"row {i}: the resolver names no item behind its {('chosen', 'rejected')[found.index(None)]}"
            )
        items = [str(item) for item in found]
        if items[0] == items[1]:
            raise TableError(f"row {i}: chosen and rejected are one item, {items[0]!r}; the resolver must part them")
        made.append({"item_a": items[0], "item_b": items[1], "outcome": "a", "prompt": prompt, "block": str(i)})
    return _converted(made, len(made), {}, "rows are as independent as the preference rows they were made from")


def prism_rows(utterances: Iterable[Mapping[str, Any]]) -> Converted:
    """Turn scored utterances of PRISM into pairs within a turn: the higher score wins, equal scores tie.

    Parameters
    ----------
    utterances : iterable of mapping
        Rows of ``utterances.jsonl``: ``interaction_id`` (one turn), ``user_id``, ``model_name``, ``score`` (1 to 100),
        and ``conversation_type`` if the state is wanted.

    Returns
    -------
    Converted
        ``item_a``, ``item_b`` (models), ``outcome``, ``strength`` (difference of scores), ``annotator``, ``state`` (the
        type of conversation, where given), ``block`` (the turn).

    Raises
    ------
    TableError
        If a row lacks a column, or a score is no number from 1 to 100.

    Notes
    -----
    https://huggingface.co/datasets/HannahRoseKirk/prism-alignment and its codebook. Only the opening turn has different
    models; later turns show two answers of one model, which compare nothing between models and are counted in the
    record. Scores of one turn give k (k - 1) / 2 pairs that share k numbers.

    Examples
    --------
    >>> turn = {"interaction_id": "i1", "user_id": "u1"}
    >>> scores = [("x", 90), ("y", 40), ("z", 40)]
    >>> found = prism_rows([turn | {"model_name": m, "score": s} for m, s in scores])
    >>> found.table["outcome"].to_pylist(), found.record["blocks"]
    (['a', 'a', 'tie'], 1)
    """
    turns: dict[str, list[Mapping[str, Any]]] = {}
    n_rows = 0
    for i, row in enumerate(utterances):
        absent = [name for name in ("interaction_id", "user_id", "model_name", "score") if row.get(name) is None]
        if absent:
            raise TableError(f"row {i}: {absent} missing")
        score = row["score"]
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not 1 <= score <= 100:
            raise TableError(f"row {i}: score must be a number from 1 to 100, got {score!r}")
        turns.setdefault(str(row["interaction_id"]), []).append(row)
        n_rows += 1
    made, same = [], 0
    for turn, answers in turns.items():
        for one, other in combinations(answers, 2):
            if str(one["model_name"]) == str(other["model_name"]):
                same += 1
                continue
            gap = one["score"] - other["score"]
            pair = {
                "item_a": str(one["model_name"]),
                "item_b": str(other["model_name"]),
                "outcome": "a" if gap > 0 else "b" if gap < 0 else "tie",
                "strength": abs(float(gap)),
                "annotator": str(one["user_id"]),
                "block": turn,
            }
            made.append(pair | ({"state": str(one["conversation_type"])} if "conversation_type" in one else {}))
    return _converted(made, n_rows, {"pairs of one model": same}, "pairs of one turn share its scores")


def alpaca_eval_rows(annotations: Iterable[Mapping[str, Any]]) -> Converted:
    """Turn annotations of a weighted AlpacaEval judge into weighted comparisons.

    Parameters
    ----------
    annotations : iterable of mapping
        ``generator_1``, ``generator_2``, ``preference``: 1 plus the judge's probability of generator_2, in [1, 2]; 0 is
        the older draw. ``annotator`` is kept where it is there.

    Returns
    -------
    Converted
        A preference of 1, 2, 1.5 or 0 is one row; any other p two, weights 2 - p (a) and p - 1 (b). Annotations
        without a preference (None, NaN) are left out and counted.

    Raises
    ------
    TableError
        If a preference lies outside [1, 2] and is not 0, or a row lacks a generator.

    Notes
    -----
    Scale and older draws: ``alpaca_eval/metrics/helpers.py`` of tatsu-lab/alpaca_eval.

    Examples
    --------
    >>> one = {"generator_1": "x", "generator_2": "y", "preference": 1.75}
    >>> alpaca_eval_rows([one]).table.select(["outcome", "weight"]).to_pylist()
    [{'outcome': 'a', 'weight': 0.25}, {'outcome': 'b', 'weight': 0.75}]
    """
    made: list[dict[str, Any]] = []
    n_rows, silent = 0, 0
    for i, row in enumerate(annotations):
        n_rows += 1
        value = row.get("preference")
        if value is None or value != value:
            silent += 1
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (value == 0 or 1 <= value <= 2):
            raise TableError(f"row {i}: preference must be 0 or lie in [1, 2], got {value!r}")
        absent = [name for name in ("generator_1", "generator_2") if row.get(name) is None]
        if absent:
            raise TableError(f"row {i}: {absent} missing")
        base = {"item_a": str(row["generator_1"]), "item_b": str(row["generator_2"]), "block": str(i)}
        base |= {name: str(row[name]) for name in ("annotator",) if row.get(name) is not None}
        hard = {1.0: "a", 2.0: "b", 1.5: "tie", 0.0: "tie"}.get(float(value))
        if hard is not None:
            made.append(base | {"outcome": hard, "weight": 1.0})
        else:
            made.append(base | {"outcome": "a", "weight": 2.0 - float(value)})
            made.append(base | {"outcome": "b", "weight": float(value) - 1.0})
    return _converted(made, n_rows, {"no preference": silent}, "two rows of one block are one judgment")


def preflib_rows(instance: Any) -> Converted:
    """Turn ballots of PrefLib into pairs: the item placed higher wins, items placed together tie.

    Parameters
    ----------
    instance : preflibtools OrdinalInstance, str or Path
        Or the path of a soc, soi, toc or toi file, read by preflibtools (extra ``preflib``).

    Returns
    -------
    Converted
        ``item_a`` (placed higher), ``item_b``, ``outcome``, ``count`` (voters with this ballot). Voters are not told
        apart in these files, so there is no annotator. Nothing is said about items a ballot leaves out.

    Raises
    ------
    TableError
        If the file is no PrefLib file, a ballot names an item that has no name or names one twice, a ballot is listed
        twice or by no voter, or no ballot has two items.

    Notes
    -----
    https://www.preflib.org/format. A ballot over m items gives m (m - 1) / 2 pairs that are one answer.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> ballots = SimpleNamespace(
    ...     orders=[((1,), (2, 3))], multiplicity={((1,), (2, 3)): 4}, alternatives_name={1: "x", 2: "y", 3: "z"}
    ... )
    >>> preflib_rows(ballots).table.select(["item_a", "item_b", "outcome", "count"]).to_pylist()[2:]
    [{'item_a': 'y', 'item_b': 'z', 'outcome': 'tie', 'count': 4}]
    """
    if not hasattr(instance, "orders"):
        instance = _preflib_file(Path(instance))
    name = {code: str(label) for code, label in instance.alternatives_name.items()}
    repeated = sorted({label for label in name.values() if list(name.values()).count(label) > 1})
    if repeated:
        raise TableError(f"alternatives: names given twice: {repeated[:_SHOWN]}")
    _refuse_ballots(instance, name)
    made = []
    for ballot, order in enumerate(instance.orders):
        placed = [(name[item], place) for place, group in enumerate(order) for item in group]
        for (a, high), (b, low) in combinations(placed, 2):
            outcome = "tie" if high == low else "a"
            count = int(instance.multiplicity[order])
            made.append({"item_a": a, "item_b": b, "outcome": outcome, "count": count, "block": str(ballot)})
    return _converted(made, len(instance.orders), {}, "pairs of one ballot are one answer")


def _preflib_file(path: Path) -> Any:
    from preflibtools.instances import OrdinalInstance

    raw, instance = path.read_bytes(), OrdinalInstance()
    try:
        instance.parse_str(raw.decode("utf-8"), path.suffix[1:])
    except Exception as error:  # the parser raises errors of many kinds on a damaged file
        raise TableError(f"ballots: {path.name!r} cannot be read ({type(error).__name__}: {error})") from None
    return instance


def _refuse_ballots(instance: Any, name: Mapping[Any, str]) -> None:
    """Refuse ballots that cannot be counted; the parser keeps one count for a ballot that is listed twice."""
    rules: dict[str, Callable[[Any], bool]] = {
        "names an item that has no name": lambda order: any(item not in name for group in order for item in group),
        "names an item twice": lambda order: len({i for group in order for i in group}) < sum(map(len, order)),
        "is listed by no voter": lambda order: not int(instance.multiplicity[order]) > 0,
    }
    for words, broken in rules.items():
        bad = [ballot for ballot, order in enumerate(instance.orders) if broken(order)]
        if bad:
            raise TableError(f"ballots: {len(bad)} ballot(s) of which each {words}, first {bad[:_SHOWN]}")
    twice = [order for order, count in Counter(instance.orders).items() if count > 1]
    if twice:
        raise TableError(f"ballots: {len(twice)} ballot(s) listed twice, first {twice[:_SHOWN]}; add their counts")


def _converted(made: Sequence[dict[str, Any]], n_rows: int, left_out: Mapping[str, int], dependence: str) -> Converted:
    if not made:
        raise TableError(f"no comparison is left of {n_rows} row(s); left out: {dict(left_out)}")
    blocks = [row["block"] for row in made]
    record = {
        "rows_read": n_rows,
        "comparisons": len(made),
        "left_out": {reason: count for reason, count in left_out.items() if count},
        "blocks": len(set(blocks)),
        "largest_block": max(Counter(blocks).values()),
        "dependence": dependence,
    }
    return Converted(pa.Table.from_pylist(list(made)), record)


def _completions(i: int, row: Mapping[str, Any]) -> tuple[str, str, str]:
    chosen, rejected, prompt = row["chosen"], row["rejected"], row.get("prompt")
    talk = [isinstance(part, (list, tuple)) for part in (chosen, rejected)]
    if talk[0] != talk[1]:
        raise TableError(f"row {i}: chosen and rejected must both be texts or both lists of messages")
    if prompt is not None:
        return _text(i, prompt), _text(i, chosen), _text(i, rejected)
    _text(i, chosen), _text(i, rejected)
    shorter = min(len(chosen), len(rejected))
    n = next((k for k in range(shorter) if chosen[k] != rejected[k]), shorter)
    return _text(i, chosen[:n]), _text(i, chosen[n:]), _text(i, rejected[n:])


def _text(i: int, part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, (list, tuple)) or not all(isinstance(m, Mapping) and "content" in m for m in part):
        raise TableError(f"row {i}: must be a text or a list of messages, got {type(part).__name__}")
    return "\n".join(str(message["content"]) for message in part)
