"""Checks of a table with contexts: are cells covered, items shared, and contrasts held within one context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayespref.comparisons import Comparisons
from bayespref.dims import CONTEXT, STATE
from bayespref.graph.build import MAX_CELLS, PairTable, nodes, pair_table, stratum_columns
from bayespref.graph.verdicts import LISTED, SHOWN, CheckLine, line, listed, noun, number, plural

_MAX_GROUPS = 3_000
"""Most groups of items (alike in every context) whose pairs are searched."""


def check_contexts(comparisons: Comparisons, by: Sequence[str], floor: float, n_min: float) -> list[CheckLine]:
    """Ask whether contexts cover every stratum, share their items, and hold every contrast somewhere."""
    by_cell = stratum_columns(comparisons, tuple({*(by or (STATE,)), CONTEXT}))
    lines = [_cells_covered(comparisons, by_cell, floor)]
    pairs = pair_table(comparisons, (CONTEXT,), n_min=n_min)
    if pairs.n_strata * pairs.n_items > MAX_CELLS:
        words = f"{pairs.n_strata:,} contexts of {pairs.n_items:,} items are too many to list"
        step = "select fewer contexts or items"
        return [*lines, line("items shared between contexts", "undecided", words, None, step)]
    graph = nodes(pairs)
    component = np.full((pairs.n_strata, pairs.n_items), -1, dtype=np.int64)
    component[graph.stratum, graph.item] = graph.component
    component = component[:, (component >= 0).any(axis=0)]
    items = [comparisons.items[i] for i in np.unique(graph.item)]
    return [*lines, _items_shared(comparisons, component >= 0, items), _contrasts_within(pairs, component, items)]


def _cells_covered(comparisons: Comparisons, by: tuple[str, ...], floor: float) -> CheckLine:
    name = "contexts covered"
    shape = tuple(len(comparisons.labels(dim)) for dim in by)
    n_cells = int(np.prod(shape, dtype=np.int64))
    if n_cells > MAX_CELLS:
        words = f"{n_cells:,} {noun(by)} are too many to list"
        return line(name, "undecided", words, None, "select fewer states or contexts")
    cell = np.ravel_multi_index(tuple(comparisons.codes(dim) for dim in by), shape)
    count = np.bincount(cell, weights=comparisons.weight, minlength=n_cells)
    named = [
        " / ".join(comparisons.labels(dim)[int(c)] for dim, c in zip(by, np.unravel_index(k, shape), strict=True))
        for k in np.flatnonzero(count < max(floor, np.finfo(float).tiny))
    ]
    empty = int((count == 0).sum())
    numbers = {"n_cells": n_cells, "n_empty": empty, "n_below_floor": len(named), "floor": floor, "cells": named}
    if not named:
        least = f"at least {number(count.min())} comparisons (floor {floor:g})"
        return line(name, "yes", f"every one of {n_cells} {noun(by)} has {least}", None, None, numbers)
    low = f"{empty:,} of {n_cells:,} {noun(by)} {'has' if empty == 1 else 'have'} no comparison"
    if len(named) > empty:
        low += f", {len(named) - empty} more have fewer than {floor:g}"
    return line(name, "no", f"{low} ({listed(named)})", "no_data" if empty else "thin", None, numbers)


def _items_shared(comparisons: Comparisons, present: NDArray[np.bool_], items: list[str]) -> CheckLine:
    name = "items shared between contexts"
    n_contexts = len(present)
    seen_in = present.sum(axis=0)
    shared = [items[i] for i in np.flatnonzero(seen_in == n_contexts)]
    only = {
        comparisons.contexts[c]: [items[i] for i in np.flatnonzero((seen_in == 1) & present[c])]
        for c in range(n_contexts)
        if n_contexts > 1 and ((seen_in == 1) & present[c]).any()
    }
    numbers = {"n_items": len(items), "shared": shared, "only": only}
    if len(shared) == len(items):
        where = _all_contexts(n_contexts)
        return line(name, "yes", f"all {plural(len(items), 'item')} occur in {where}", None, None, numbers)
    parts = "; ".join(f"only in {context}: {listed(names)}" for context, names in list(only.items())[:SHOWN])
    words = f"{len(shared):,} of {len(items):,} items occur in {_all_contexts(n_contexts)}" + (
        f"; {parts}" if parts else ""
    )
    next_step = (
        "compare contexts on the shared items only; elsewhere collect the missing items, or declare that the contexts "
        "share one reward and say so"
    )
    return line(name, "no", words, "no_overlap", next_step, numbers)


def _all_contexts(n: int) -> str:
    return {1: "the one context", 2: "both contexts"}.get(n, f"all {n} contexts")


def _contrasts_within(pairs: PairTable, component: NDArray[np.int64], items: list[str]) -> CheckLine:
    name = "contrasts within a context"
    n_items = len(items)
    n_pairs = n_items * (n_items - 1) // 2
    asked = pairs.edge
    compared = len(np.unique(pairs.item_a[asked] * pairs.n_items + pairs.item_b[asked]))
    # items with the same component in every context meet the same others: work on those groups
    groups, group = np.unique(component, axis=1, return_inverse=True)
    group = group.reshape(-1)
    n_groups = groups.shape[1]
    if n_groups > _MAX_GROUPS:
        words = f"{n_items:,} items in {n_groups:,} groups are too many to list pair by pair"
        return line(name, "undecided", words, None, "select fewer items", {"n_groups": n_groups})
    meet = np.zeros((n_groups, n_groups), dtype=bool)
    for row in groups:
        meet |= (row[:, None] == row[None, :]) & (row >= 0)[:, None]
    sizes = np.bincount(group)
    apart_a, apart_b = np.nonzero(np.triu(~meet, 1))
    n_apart = int((sizes[apart_a] * sizes[apart_b]).sum())
    numbers: dict[str, Any] = {"n_pairs": n_pairs, "n_compared": compared, "n_never_together": n_apart}
    direct = f"{compared:,} of {n_pairs:,} pairs were compared directly"
    if n_apart == 0:
        words = f"each of {n_pairs:,} pairs of items is joined within some context ({direct})"
        return line(name, "yes", words, None, None, numbers)
    pairs_apart: list[list[str]] = []
    for a, b in zip(apart_a, apart_b, strict=True):
        pairs_apart += [[items[i], items[j]] for i in np.flatnonzero(group == a) for j in np.flatnonzero(group == b)]
        if len(pairs_apart) >= LISTED:
            break
    numbers["pairs"] = sorted(sorted(pair) for pair in pairs_apart[:LISTED])
    shown = ", ".join(f"{a} and {b}" for a, b in numbers["pairs"][:SHOWN])
    words = (
        f"{n_apart:,} of {n_pairs:,} pairs of items are joined within no context, such as {shown}: identified only if "
        f"the contexts share one reward ({direct})"
    )
    next_step = "collect both items in one context, or test on the shared items that the contexts share one reward"
    return line(name, "no", words, "no_overlap", next_step, numbers)
