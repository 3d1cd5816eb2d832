"""Parts of a report on what to do: how wrong a choice could be, where to act, what to collect next."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from bayespref.errors import REASONS
from bayespref.report import decisions, plots, tables
from bayespref.report.blocks import (
    MOST_SHOWN,
    Block,
    Folded,
    Map,
    Part,
    Text,
    cell_name,
    cell_text,
    level_words,
    more,
    name,
    named,
    number,
    picture,
    table_of,
)
from bayespref.report.tables import records

_MOST_ON_MAP = 12
_SEPARATED = "separated: the data give the sign, the prior the size"


def bounds(tree: xr.DataTree, truth: ArrayLike | None) -> Part:
    """Say how wrong the leader of each cell could be."""
    table = decisions.decisions(tree, truth)
    shown = table.head(MOST_SHOWN)
    open_ = table[table["post_lower"].isna()]
    close = int((table["post_upper"] > 0).sum())
    if len(open_):
        reach = number(float(open_["region_upper"].max()))
        title = f"In {len(open_)} of {len(table)} cells no data say whether another item is better, by up to {reach}"
    elif close:
        title = f"Every leader is joined to its rivals; in {close} of {len(table)} cells a rival may still be better"
    else:
        title = "In every cell the leader is ahead of every contender"
    level = level_words(tree)
    caption = (
        "One row a (state, type): the item that could beat the leader by most. Point and line: posterior mean and "
        f"{level} interval where comparisons identify the difference. Hatched: the identified set, all values that the "
        f"data and the assumed range allow (posterior mean of its ends), with the {level} robust region as a line. "
        "Right of zero the contender is better."
    )
    if truth is not None:
        caption += " Cross: the truth of this simulated world."
    intro = (
        "Where data run out, more of the same data would not help: the bound stays. A posterior there only repeats "
        "its prior, so none is shown. The leader named in a cell without data is the prior's."
    )
    columns = ["State / type", "Contender − leader", f"Posterior {level} interval", "Identified set, or point", "Why"]
    rows = []
    for r in records(table):
        known = bool(np.isfinite(float(r.post_lower)))
        code = str(r.reason)
        rows.append(
            [
                cell_name(tree, str(r.state), str(r.type)),
                f"{name(r.contender)} − {name(r.leader)}",
                f"[{number(r.post_lower)}, {number(r.post_upper)}]" if known else f"not identified ({code})",
                f"point {number(r.set_upper)}" if known else f"[{number(r.set_lower)}, {number(r.set_upper)}]",
                _SEPARATED if code == "separated" else code or "identified",
            ]
        )
    listing = "; ".join(f"{row[0]}, {row[1]}: posterior {row[2]}, set {row[3]}" for row in rows[:10])
    figure = picture(plots.decisions(shown, title=title), f"Interval plot. {title}. {listing}", caption)
    blocks: list[Block] = [Text(intro), figure, *more(len(table), len(shown), "cells", "the widest are")]
    blocks.append(table_of("Leader and contender by cell, log-odds", columns, rows, "cells"))
    return Part("bounds", "Bounds", "Bounds: how wrong could the leader be", blocks)


def truth_held(tree: xr.DataTree, truth: ArrayLike) -> Part:
    """Say in how many cells the bounds hold the truth of a simulated world."""
    table = decisions.truth_covered(tree, truth)
    total, inside = int(table["n_contrasts"].sum()), int(table["n_covered"].sum())
    open_, held = int(table["n_open"].sum()), int(table["n_open_covered"].sum())
    whole = int((table["n_covered"] == table["n_contrasts"]).sum())
    level = level_words(tree)
    open_cells = table[table["n_open"] > 0]
    held_cells = int((open_cells["n_open_covered"] == open_cells["n_open"]).sum())
    words = "The truth is known here. "
    if open_:
        words += f"Where the data do not identify contrasts, the bounds hold all true differences in {held_cells} of "
        words += f"{len(open_cells)} cells ({held} of {open_} contrasts). "
    if total > open_:
        words += (
            f"Where they do, the {level} interval holds the truth in {inside - held} of {total - open_} contrasts. "
        )
    words += f"In {whole} of {len(table)} cells every contrast is covered."
    note = (
        f"Intervals at {level} miss now and then, more so where the truth lies far out in the prior; bounds should not."
    )
    rows = [
        [
            cell_name(tree, str(r.state), str(r.type)),
            f"{r.n_covered} of {r.n_contrasts}",
            f"{r.n_open_covered} of {r.n_open}",
        ]
        for r in records(table)
    ]
    columns = ["State / type", "Contrasts covered", "Covered where not identified"]
    return Part(
        "truth",
        "Truth",
        "Against the known truth",
        [
            Text(words, strong=True),
            Text(note),
            table_of("Contrasts whose bound holds the truth", columns, rows, "cells"),
        ],
    )


def policy_map(tree: xr.DataTree, policy: pd.DataFrame, c_defer: float) -> Part:
    """Say where the policy acts, why not elsewhere, and at which cost each region would."""
    table = decisions.thresholds(tree, policy)
    columns = decisions.region_columns(tree)
    acts = int((table["decision"] == "act").sum())
    title = f"At a cost of {c_defer:g}, {acts} of {len(table)} regions act"
    rest = ", ".join(
        f"{n} {what or 'unlisted'}" for what, n in table["decision"].value_counts().items() if what != "act"
    )
    title += f", {rest}" if rest else ""
    by_need = table.sort_values("set_pure", ascending=False, kind="stable")
    shown = by_need.head(MOST_SHOWN)
    names = {i: " / ".join(name(row[c]) for c in columns) for i, row in table.iterrows()}
    used = _rule_in_force(table)
    level = level_words(tree)
    intro = (
        "A region acts where its score, what acting is expected to cost with what is not identified at its worst, is "
        "at most the cost of deferring (asking a person, waiting). The break-even cost below is where the two "
        f"meet.{used}"
    )
    caption = (
        "set_pure takes what is not identified at its worst; credible and chow trust the posterior, and so the prior "
        f"where data are silent. {_beyond_posterior(table)} Regions with a mark left of the dashed line act under that "
        "rule."
    )
    listing = "; ".join(
        f"{names[i]}: set_pure {number(r['set_pure'])}, {r['decision']}" for i, r in shown.head(16).iterrows()
    )
    figure = picture(plots.thresholds(shown, columns, c_defer, title=title), f"Dot plot. {title}. {listing}", caption)
    map_rows = [
        [names[i], _decision(str(r["decision"])), name(r["action"]) or "–", _why(str(r["reason"]))]
        for i, r in by_need.iterrows()
    ]
    cost_rows = [
        [names[i], *(number(r[rule]) for rule in decisions.RULES), number(r["score"]), number(r["threshold"])]
        for i, r in by_need.iterrows()
    ]
    region = " / ".join(columns).capitalize()
    cost_note = (
        f"set_pure: one action, the unknown at its worst. set_random: the same, if actions may be drawn at random. "
        f"credible: {level} quantile of posterior regret. chow: its mean. Log-odds of reward."
    )
    blocks: list[Block] = [Text(intro), figure, *more(len(table), len(shown), "regions", "those that need most are")]
    if len(columns) == 2:
        blocks += _map(table, columns)
    caption = "Policy: what the system does in each region, and why"
    blocks.append(table_of(caption, [region, "Decision", "Action", "Why"], map_rows, "regions"))
    head = [region, *decisions.RULES, "Score in force", "Cost of deferring"]
    costs = table_of("Break-even cost of deferring under four rules", head, cost_rows, "regions", cost_note)
    blocks.append(Folded(f"Break-even costs in numbers ({len(cost_rows):,} regions)", [costs], on_paper=True))
    return Part("policy", "Policy", "Policy: where to act, where to defer", blocks)


def _beyond_posterior(table: pd.DataFrame) -> str:
    """In how many regions what is not identified adds to the cost of acting."""
    gap = table["set_pure"].to_numpy(dtype=float) - table["chow"].to_numpy(dtype=float)
    adds = int((gap > 5e-4).sum())
    if not adds:
        return "In no region does what is not identified add to the cost: each circle stands around its diamond."
    where = f"In {adds:,} of {len(table):,} regions the diamond lies right of the circle"
    return f"{where}: what is not identified adds that much."


def _map(table: pd.DataFrame, columns: list[str]) -> list[Block]:
    """Decisions on the two axes that make a region, where they fit a page."""
    down, across = columns
    kinds, states = list(dict.fromkeys(table[across])), list(dict.fromkeys(table[down]))
    if len(kinds) > _MOST_ON_MAP:
        return []
    cell = {(r[down], r[across]): r for _, r in table.iterrows()}
    rows = [(name(state), [_tile(cell.get((state, kind))) for kind in kinds]) for state in states[:MOST_SHOWN]]
    rest = f"{len(states) - MOST_SHOWN:,} more are in the table below." if len(states) > MOST_SHOWN else ""
    caption = f"Policy map: {down} (rows) by {across} (columns)"
    return [Map(caption, [down.capitalize(), *map(name, kinds)], rows, rest)]


def _tile(row: pd.Series | None) -> tuple[str, str]:
    if row is None:
        return "–", ""
    if row["decision"] == "act":
        return f"● {name(row['action'], 40)}", "act"
    return f"{_decision(str(row['decision']))} ({row['reason'] or 'not listed'})", "rest"


def _rule_in_force(table: pd.DataFrame) -> str:
    score = table["score"].to_numpy(dtype=float)
    fits = [rule for rule in decisions.RULES if np.allclose(table[rule], score, rtol=1e-9, equal_nan=True)]
    return f" The policy uses the rule {fits[0]}." if fits else ""


def _decision(decision: str) -> str:
    return {"act": "● act", "defer": "○ defer", "": "○ not listed: defers"}.get(decision, decision)


def _why(code: str) -> str:
    return f"{code}: {REASONS[code].meaning}" if code in REASONS else code or "not in the policy, so it defers"


def collect(
    tree: xr.DataTree, suggestions: pd.DataFrame, proposals: pd.DataFrame | None = None, proposals_note: str = ""
) -> Part:
    """Say what to collect next: empty cells, what a budget should buy, what would join what is not joined.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    suggestions : DataFrame
        Comparisons that would join components or end separation.
    proposals : DataFrame, optional
        What a budget should buy, with its ``attrs`` (``next_comparisons``).
    proposals_note : str
        What they are for, or why there are none and how to get them.
    """
    empty = tables.coverage(tree)
    empty = empty[empty["is_empty"]]
    blocks: list[Block] = []
    if len(empty):
        names = named(list(empty.cell), 8)
        need = max(tree["disagree"].sizes["item"] - 1, 1)
        typed = tree["graph"].sizes["type"] > 1
        what, whom = ("cells", "Ask annotators of that type in that state") if typed else ("states", "Ask there")
        words = f"First, {what} nobody was asked in: {names}. {whom}; at least {need} comparisons each, in a chain"
        blocks.append(Text(f"{words}, join the items.", strong=True))
    blocks += _bought(proposals, proposals_note)
    if suggestions.empty:
        blocks.append(Text("No further comparison is needed to connect the items seen in a state."))
        return Part("collect", "Collect", "What to collect next", blocks)
    rows = [[cell_text(value) for value in row] for row in suggestions.to_numpy(dtype=object).tolist()]
    head = [str(column).replace("_", " ").capitalize() for column in suggestions.columns]
    blocks.append(
        table_of("Comparisons that would join what is not joined, or end separation", head, rows, "suggestions")
    )
    return Part("collect", "Collect", "What to collect next", blocks)


def _bought(proposals: pd.DataFrame | None, proposals_note: str) -> list[Block]:
    """What a budget of labels should buy, and what it is worth."""
    note: list[Block] = [Text(proposals_note)] if proposals_note else []
    if proposals is None:
        return note
    made = proposals.attrs
    words = (
        f"The most useful {made['spent']:,.6g} labels, by how far they lower the expected regret of the choices: "
        f"together they are expected to gain {number(made['expected_gain'])} log-odds of reward a decision. "
        f"Assumed: {made['assumptions']}."
    )
    order = [column for column in proposals.columns if column not in ("cost", "gain")]
    rows = [[cell_text(value) for value in row] for row in proposals[order].to_numpy(dtype=object).tolist()]
    head = [{"n": "Labels"}.get(str(column), str(column).replace("_", " ").capitalize()) for column in order]
    caption = "What to ask whom, how often and why; most useful first"
    return [*note, Text(words), table_of(caption, head, rows, "proposals")]
