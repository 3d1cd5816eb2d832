"""The single checks of a table of comparisons: a verdict in words, its reason and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayespref.comparisons import Comparisons
from bayespref.dims import BOTH_BAD, CONTEXT
from bayespref.display import shown
from bayespref.errors import REASONS
from bayespref.graph.build import MAX_CELLS, Nodes, PairTable, group_rows, nodes, pair_table, stratum_labels

SHOWN = 5
_EVERY_PAIR_ALONE = "; every pair is its own component, no item is used twice"
_NAME_A_KEY = "name an item, cluster or feature key that recurs (plain chosen/rejected data name none)"
LISTED = 1_000
"""Most cells or pairs that the numbers of a check list by name."""


@shown()
class CheckLine(NamedTuple):
    """One check: its verdict, said in words either way."""

    name: str
    verdict: str
    """``yes``, ``no`` or ``undecided``."""
    words: str
    reason: str | None
    """Reason code (``bayespref.errors.REASONS``) where the verdict is not yes."""
    next_step: str | None
    """What to do where the verdict is not yes."""
    numbers: dict[str, Any]
    """What the words rest on (JSON-able)."""


def line(
    name: str,
    verdict: str,
    words: str,
    reason: str | None = None,
    next_step: str | None = None,
    numbers: dict[str, Any] | None = None,
) -> CheckLine:
    """Put a check together; the next step defaults to that of the reason code."""
    if reason is not None and next_step is None:
        next_step = REASONS[reason].next_step
    return CheckLine(name, verdict, f"{name}: {verdict}, {words}", reason, next_step, numbers or {})


def noun(by: Sequence[str], n: int = 2) -> str:
    """Name a stratum in words, in the plural unless ``n`` is 1."""
    word = by[0] if len(by) == 1 else f"({', '.join(by)}) cell" if by else "table"
    return word if n == 1 else f"{word}s"


def number(n: float) -> str:
    """Write a count with separators: whole where it is whole (weights may make it a fraction)."""
    return f"{n:,.0f}" if float(n).is_integer() else f"{n:,.6g}"


def plural(n: float, word: str) -> str:
    """Count with its noun: "1 item", "2 items"."""
    return f"{number(n)} {word}" if n == 1 else f"{number(n)} {word}s"


def listed(names: Sequence[str]) -> str:
    """List the first few names and count the others."""
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN:,} more"


def check_comparisons(comparisons: Comparisons) -> CheckLine:
    """Ask whether there is anything to learn from: more than one comparison, and every named item seen."""
    informative = float(comparisons.weight[comparisons.outcome != BOTH_BAD].sum())
    both_bad = float(comparisons.weight.sum()) - informative
    rows = comparisons.weight > 0
    seen = np.zeros(comparisons.n_items, dtype=bool)
    seen[comparisons.item_a[rows]] = True
    seen[comparisons.item_b[rows]] = True
    unseen = [comparisons.items[i] for i in np.flatnonzero(~seen)]
    numbers: dict[str, Any] = {
        "n_comparisons": informative,
        "n_both_bad": both_bad,
        "n_items": int(seen.sum()),
        "n_unseen_items": len(unseen),
    }
    aside = f", and {number(both_bad)} both-bad answers that compare neither item with the other" if both_bad else ""
    name = "comparisons"
    if informative == 0:
        only = "a single item" if comparisons.n_items == 1 else plural(comparisons.n_items, "item")
        return line(name, "no", f"the table holds no comparison ({only}{aside})", "no_data", None, numbers)
    if informative <= 1:
        words = f"a single comparison says who won once and nothing about by how much{aside}"
        return line(name, "no", words, "thin", None, numbers)
    words = f"{plural(informative, 'comparison')} of {plural(int(seen.sum()), 'item')}{aside}"
    if unseen:
        numbers["unseen_items"] = unseen
        text = f"{words}, but {plural(len(unseen), 'named item')} never occurred ({listed(unseen)})"
        return line(name, "no", text, "no_data", "collect comparisons of these items, or drop their names", numbers)
    return line(name, "yes", words, numbers=numbers)


def check_connected(comparisons: Comparisons, pairs: PairTable, graph: Nodes) -> CheckLine:
    """Ask whether every stratum is one component, over the items seen in it."""
    name = "connected"
    strata, n_components, n_items = _per_stratum(graph, graph.component)
    split = n_components > 1
    numbers = {
        "n_strata": len(strata),
        "n_split": int(split.sum()),
        "largest_number_of_components": int(n_components.max(initial=0)),
        "components": {
            _name(comparisons, pairs, s): int(k) for s, k in zip(strata[split], n_components[split], strict=True)
        },
    }
    one = len(strata) == 1
    if not split.any():
        words = f"every one of {len(strata):,} {noun(pairs.by)} is one component"
        if one:
            words = f"the {plural(int(n_items[0]), 'item')} form one component"
        return line(name, "yes", words, None, None, numbers)
    counts = n_components[split]
    size = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    if one:
        largest = int(np.bincount(graph.component).max())
        words = f"the {plural(int(n_items[0]), 'item')} form {counts[0]:,} components, the largest of {largest:,}"
    else:
        names = [_name(comparisons, pairs, s) for s in strata[split]]
        have = "has" if len(names) == 1 else "have"
        words = f"{len(names):,} of {len(strata):,} {noun(pairs.by)} {have} {size} components ({listed(names)})"
    next_step = None
    if np.all(2 * n_components == n_items):
        words += _EVERY_PAIR_ALONE
        next_step = _NAME_A_KEY
    return line(name, "no", words, "disconnected", next_step, numbers)


def check_strongly_connected(comparisons: Comparisons, pairs: PairTable, graph: Nodes) -> CheckLine:
    """Ask whether no item or group always wins or always loses, so that estimates without a prior are finite."""
    name = "strongly connected"
    strata, n_components, n_items = _per_stratum(graph, graph.component)
    _, n_strong, _ = _per_stratum(graph, graph.strong_component)
    separated = n_strong > n_components
    numbers = {
        "n_strata": len(strata),
        "n_separated": int(separated.sum()),
        "strong_components": {
            _name(comparisons, pairs, s): int(k) for s, k in zip(strata[separated], n_strong[separated], strict=True)
        },
        "n_always_wins": int(graph.always_wins.sum()),
        "n_always_loses": int(graph.always_loses.sum()),
    }
    if not separated.any():
        where = "" if len(strata) == 1 else f" in each of {len(strata):,} {noun(pairs.by)}"
        words = f"no item or group always wins or always loses against the rest of its component{where}"
        return line(name, "yes", words, None, None, numbers)
    if len(strata) == 1:
        winners = [comparisons.items[i] for i in graph.item[graph.always_wins]]
        losers = [comparisons.items[i] for i in graph.item[graph.always_loses]]
        few, verb = (winners, "win") if len(winners) <= len(losers) else (losers, "lose")
        words = (
            f"{int(n_strong[0]):,} strong components among {plural(int(n_items[0]), 'item')}: some always {verb} "
            f"against the rest of their component ({listed(few)})"
        )
    else:
        shown = [
            f"{_name(comparisons, pairs, s)}: {k}"
            for s, k in sorted(zip(strata[separated], n_strong[separated], strict=True), key=lambda pair: -pair[1])
        ]
        words = (
            f"in {len(shown):,} of {len(strata):,} {noun(pairs.by)} some items always win or always lose against the "
            f"rest (strong components {listed(shown)})"
        )
    return line(name, "no", words, "separated", None, numbers)


def check_identified(pairs: PairTable, graph: Nodes) -> CheckLine:
    """Count the contrasts between items seen in one stratum that the data fix."""
    name = "identified"
    size = max(pairs.n_items, 1)
    total = _n_pairs(graph.stratum)
    connected = _n_pairs(graph.stratum * size + graph.component)
    strong = _n_pairs(graph.stratum * size + graph.strong_component)
    numbers = {
        "n_contrasts": total,
        "n_identified": strong,
        "n_disconnected": total - connected,
        "n_separated": connected - strong,
    }
    where = f" within a {noun(pairs.by, 1)}" if pairs.by else ""
    if total == strong:
        return line(name, "yes", f"all {total:,} contrasts between items seen{where}", None, None, numbers)
    words = (
        f"{strong:,} of {total:,} contrasts between items seen{where} are; {total - connected:,} are disconnected, "
        f"{connected - strong:,} are separated"
    )
    return line(name, "no", words, "disconnected" if total > connected else "separated", None, numbers)


def check_strata_observed(comparisons: Comparisons, pairs: PairTable, graph: Nodes) -> CheckLine | None:
    """Ask whether every named stratum has a row; not asked of a whole table, nor of contexts (covered below)."""
    if CONTEXT in pairs.by or pairs.n_strata <= 1 or pairs.n_strata > MAX_CELLS:
        return None
    name = f"{noun(pairs.by)} observed"
    missing = np.setdiff1d(np.arange(pairs.n_strata), graph.stratum)
    names = [_name(comparisons, pairs, s) for s in missing]
    numbers = {"n_strata": pairs.n_strata, "missing": names}
    if not names:
        return line(name, "yes", f"each of {pairs.n_strata:,} {noun(pairs.by)} has comparisons", None, None, numbers)
    have = "has" if len(names) == 1 else "have"
    words = f"{len(names):,} of {pairs.n_strata:,} {noun(pairs.by)} {have} none ({listed(names)})"
    return line(name, "no", words, "no_data", None, numbers)


def check_items_everywhere(comparisons: Comparisons, pairs: PairTable, graph: Nodes) -> CheckLine | None:
    """Ask whether every item was seen in every stratum; not asked where each item belongs to one stratum only."""
    strata, index = np.unique(graph.stratum, return_inverse=True)
    items = np.unique(graph.item)
    if len(strata) <= 1 or len(items) == len(graph.item):
        return None
    name = f"every item in every {noun(pairs.by, 1)}"
    cells = len(strata) * len(items)
    per_stratum = np.bincount(index)
    lacking = {
        _name(comparisons, pairs, s): int(len(items) - k)
        for s, k in zip(strata, per_stratum, strict=True)
        if k < len(items)
    }
    numbers: dict[str, Any] = {"n_cells": cells, "n_observed": len(graph.item), "n_missing_by_stratum": lacking}
    cell = ", ".join(("item", *pairs.by))
    if not lacking:
        return line(name, "yes", f"all {cells:,} ({cell}) cells were seen", None, None, numbers)
    missing: list[list[str]] = []
    for rows in group_rows(graph.stratum):
        if len(rows) < len(items) and len(missing) < LISTED:
            absent = np.setdiff1d(items, graph.item[rows])[: LISTED - len(missing)]
            where = _name(comparisons, pairs, int(graph.stratum[rows[0]]))
            missing += [[where, comparisons.items[i]] for i in absent]
    numbers["missing"] = missing
    shown = [f"{key} lacks {k}" for key, k in sorted(lacking.items(), key=lambda pair: -pair[1])]
    words = f"{len(graph.item):,} of {cells:,} ({cell}) cells were seen ({listed(shown)})"
    next_step = "collect the missing cells (suggest_comparisons with items='all'), or defer on them"
    return line(name, "no", words, "no_data", next_step, numbers)


def check_joined_across(comparisons: Comparisons, pairs: PairTable, graph: Nodes, n_min: float) -> CheckLine | None:
    """Ask whether the strata, taken together, form one component, so that their items could share one scale."""
    n_strata = len(np.unique(graph.stratum))
    if n_strata <= 1:
        return None
    name = f"joined across {noun(pairs.by)}"
    pooled = nodes(pair_table(comparisons, (), n_min=n_min))
    sizes = np.bincount(pooled.component)
    numbers = {"n_components": len(sizes), "largest": int(sizes.max()), "n_items": int(sizes.sum())}
    if len(sizes) == 1:
        words = f"pooled, the {plural(int(sizes[0]), 'item')} form one component (one scale only if rewards are shared)"
        return line(name, "yes", words, None, None, numbers)
    words = (
        f"pooled over {n_strata:,} {noun(pairs.by)} the {int(sizes.sum()):,} items form {len(sizes):,} components, the "
        f"largest of {int(sizes.max()):,}"
    )
    next_step = (
        "rank items within a component only; to compare across, collect what suggest_comparisons(comparisons, by=()) "
        "lists"
    )
    if 2 * len(sizes) == sizes.sum():
        words += _EVERY_PAIR_ALONE
        next_step = _NAME_A_KEY
    return line(name, "no", words, "disconnected", next_step, numbers)


def check_types(comparisons: Comparisons, min_labels: float) -> CheckLine:
    """Ask whether most annotators give enough labels to tell latent types apart."""
    name = "labels per annotator"
    if comparisons.annotator is None:
        words = (
            "the table does not say who answered, and single answers tell latent types apart by the model's form alone"
        )
        step = "name the annotator column when reading the table"
        return line(name, "undecided", words, "functional_form_only", step)
    useful = (comparisons.outcome != BOTH_BAD) & (comparisons.weight > 0)
    annotator = comparisons.annotator[useful]
    labels = np.bincount(annotator, weights=comparisons.weight[useful], minlength=comparisons.n_annotators)
    labels = labels[labels > 0]
    pair = np.unique(annotator.astype(np.int64) * comparisons.n_states + comparisons.state[useful])
    per_state = np.bincount(pair % comparisons.n_states, minlength=comparisons.n_states)
    per_state = per_state[np.bincount(comparisons.state[useful], minlength=comparisons.n_states) > 0]
    share = float(np.mean(labels >= min_labels))
    numbers = {
        "n_annotators": len(labels),
        "min_labels": min_labels,
        "share_with_enough": share,
        "median_labels": float(np.median(labels)),
        "fewest_annotators_of_a_state": int(per_state.min()),
        "states_with_one_annotator": int((per_state == 1).sum()),
    }
    if len(labels) == 1:
        words = "one annotator gave every label: there are no types to tell apart"
        return line(name, "no", words, "type_not_identified", "collect labels from several annotators", numbers)
    words = (
        f"{np.sum(labels >= min_labels):,} of {plural(len(labels), 'annotator')} gave at least {min_labels:g} "
        f"(median {np.median(labels):g}; a state has at least {plural(int(per_state.min()), 'annotator')})"
    )
    if share > 0.5:
        return line(name, "yes", words, None, None, numbers)
    return line(name, "no", words, "type_not_identified", None, numbers)


def _name(comparisons: Comparisons, pairs: PairTable, stratum: int) -> str:
    return " / ".join(stratum_labels(comparisons, pairs, int(stratum))) or "the table"


def _per_stratum(
    graph: Nodes, labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Strata seen, their number of labels (numbered from 0 within a stratum) and of items."""
    strata, index, counts = np.unique(graph.stratum, return_inverse=True, return_counts=True)
    highest = np.zeros(len(strata), dtype=np.int64)
    np.maximum.at(highest, index, labels)
    return strata, highest + 1, counts.astype(np.int64)


def _n_pairs(groups: NDArray[np.int64]) -> int:
    """Pairs of nodes within the same group."""
    _, sizes = np.unique(groups, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())
