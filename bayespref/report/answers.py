"""Parts of a report that answer: what is preferred, by whom, how wrong a choice could be, where to act."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from bayespref.errors import REASONS
from bayespref.report import cards, decisions, plots, tables
from bayespref.report.blocks import (
    MOST_CELLS,
    MOST_ROWS,
    MOST_SHOWN,
    Block,
    Part,
    Picture,
    Pictures,
    Text,
    cell_name,
    level_words,
    more,
    number,
    picture,
    table_of,
)
from bayespref.report.tables import records


def rewards(tree: xr.DataTree) -> Part:
    """Say what is preferred: forests by cell with ties grouped, or the coefficients of a linear model."""
    coefficients = tables.coefficients(tree)
    if coefficients is not None:
        return _coefficients(tree, coefficients)
    table = tables.rewards(tree)
    level = level_words(tree)
    cells = tables.coverage(tree)
    intro = (
        f"Each item against the leader of its component, with {level} intervals, in log-odds. Tied with the leader: "
        "the interval includes zero. Only items joined by comparisons are set against each other."
    )
    rows: list[list[str]] = []
    pictures: list[Picture] = []
    for cell in records(cells):
        own = table[(table["state"] == cell.state) & (table["type"] == cell.type)]
        rows.append(_cell_summary(tree, str(cell.state), str(cell.type), own))
        joined = own[own["component"] >= 0]
        if len(pictures) < MOST_CELLS and (own["standing"] == "leader").any():
            pictures.append(_forest(joined, cell_name(tree, str(cell.state), str(cell.type)), level))
    n_drawable = int(table[table["standing"] == "leader"].groupby(["state", "type"]).ngroups)
    columns = ["State / type", "Leads", "Tied with the leader", "Not identified"]
    blocks: list[Block] = [Text(intro), Pictures(pictures)]
    blocks += more(n_drawable, len(pictures), "cells with comparisons", "the first are")
    blocks.append(table_of("Leaders by state and type", columns, rows, "cells"))
    blocks += _items_decided(tree)
    return Part("rewards", "Rewards: what is preferred", blocks)


def _cell_summary(tree: xr.DataTree, state: str, kind: str, own: pd.DataFrame) -> list[str]:
    leads = list(own.loc[own["standing"].isin(("leader", "alone")), "item"])
    tied = list(own.loc[own["standing"] == "tied", "item"])
    apart = int(own["is_separated"].sum())
    bound = tables.across_components(tree, state, kind)
    open_ = []
    if bound is not None:
        code = "no data" if not leads else "disconnected"
        open_.append(f"not identified ({code}): differences within [{number(bound[0])}, {number(bound[1])}]")
    if apart:
        open_.append(f"{apart} sizes are the prior's (separated)")
    missing = list(own.loc[own["standing"] == "not compared", "item"])
    if missing and leads:
        open_.append(f"joined to no other item here: {cards.named(missing, 4)}")
    joined = " | ".join(leads) if len(leads) <= 4 else cards.named(leads, 4)
    return [
        cell_name(tree, state, kind),
        joined or "nobody can say",
        cards.named(tied, 6) or "none",
        "; ".join(open_) or "–",
    ]


def _forest(joined: pd.DataFrame, cell: str, level: str) -> Picture:
    shown = joined.head(MOST_SHOWN)
    groups = joined["component"].nunique()
    tied = list(joined.loc[joined["standing"] == "tied", "item"])
    leader = str(joined.loc[joined["standing"] == "leader", "item"].iloc[0])
    if groups > 1:
        title = f"{cell}: {groups} separate groups, each with a leader of its own"
    elif tied:
        title = f"{cell}: {leader} leads, tied with {cards.named(tied, 2)}"
    else:
        title = f"{cell}: {leader} leads every other item"
    if joined["is_separated"].any():
        title += "; by how much is partly the prior's say"
    listing = "; ".join(
        f"{r.item} {r.standing}"
        + ("" if r.standing in ("leader", "alone") else f" {number(r.estimate)} [{number(r.lower)}, {number(r.upper)}]")
        for r in records(shown.head(12))
    )
    caption = ""
    if joined["is_separated"].any():
        caption += (
            "Triangles: an item here always wins or always loses, so the data give the sign and the prior the size; "
            "the percentage is what is left of the prior's standard deviation."
        )
    if len(joined) > len(shown):
        caption += f" {len(joined) - len(shown):,} items are not shown."
    return picture(plots.forest(shown, title=title), f"Forest plot. {title}. {listing}", caption)


def _coefficients(tree: xr.DataTree, table: pd.DataFrame) -> Part:
    level = level_words(tree)
    blocks: list[Block] = [Text(line, strong=True) for line in cards.structure(tree)]
    sure = table["sign_probability"] >= 0.95
    signs = "Every sign is sure" if sure.all() else f"{int(sure.sum())} of {len(table)} signs are sure"
    title = f"{signs} (posterior mass at least 95 %)"
    features = list(dict.fromkeys(table["feature"]))
    shown = table[table["feature"].isin(features[:MOST_CELLS])]
    listing = "; ".join(
        f"{r.feature}, {r.type}: {number(r.estimate)} [{number(r.lower)}, {number(r.upper)}]" for r in records(shown)
    )
    caption = (
        f"Coefficients, {level} intervals, log-odds per unit of the feature. Below zero: a larger value is liked less."
    )
    blocks.append(picture(plots.coefficients(shown, title=title), f"Interval plot. {title}. {listing}", caption))
    blocks += more(len(features), min(len(features), MOST_CELLS), "features", "the first are", " in the figure")
    rows = [
        [
            str(r.feature),
            str(r.type),
            number(r.estimate),
            f"[{number(r.lower)}, {number(r.upper)}]",
            f"{float(r.sign_probability):.1%}",
        ]
        for r in records(table)
    ]
    columns = ["Feature", "Type", "Log-odds per unit", f"{level} interval", "Mass on this sign"]
    blocks.append(table_of("Coefficients, in the units of the features", columns, rows, "coefficients"))
    blocks += _items_decided(tree)
    return Part("rewards", "Rewards: what is preferred", blocks)


def types(tree: xr.DataTree) -> Part:
    """Say how many people are of each type, and where the types differ most."""
    weights = tables.type_weights(tree)
    heading = "Types: who wants what"
    if len(weights) == 1:
        words = (
            "One type was fitted, so disagreement between people counts as noise. Fit two types to see whether it is."
        )
        return Part("types", heading, [Text(words)])
    level = level_words(tree)
    rows = [
        [str(r["type"]), f"{r['weight']:.1%}", f"[{r['lower']:.1%}, {r['upper']:.1%}]"]
        + ([str(r["asks_most"])] if "asks_most" in weights else [])
        for _, r in weights.iterrows()
    ]
    columns = ["Type", "Share of annotators", f"{level} interval"] + ["Asks most about"] * ("asks_most" in weights)
    blocks: list[Block] = [table_of("Shares of the types", columns, rows, "types")]
    contrasts = tables.type_contrasts(tree)
    if contrasts.empty:
        if "coefficient" in tree["posterior"]:
            blocks.append(Text("Where they differ: compare the coefficients above, feature by feature."))
        else:
            blocks.append(Text("No contrast is identified in two types, so where they differ cannot be said."))
        return Part("types", heading, blocks)
    one, other = contrasts.iloc[0], contrasts.iloc[1]
    a, b = str(one["item"]), str(one["item_other"])
    if one["lower"] > 0 > other["upper"]:
        title = f"In {one['state']}, {one['type']} prefers {a} to {b}, {other['type']} the reverse"
    else:
        title = f"The types differ most on {a} against {b} in {one['state']}"
    listing = "; ".join(
        f"{r.item} minus {r.item_other} in {r.state}, {r.type}: {number(r.estimate)} "
        f"[{number(r.lower)}, {number(r.upper)}]"
        for r in records(contrasts)
    )
    caption = f"Contrasts with the widest gap between two types, where the data identify both; {level} intervals."
    blocks.append(picture(plots.type_contrasts(contrasts, title=title), f"Interval plot. {title}. {listing}", caption))
    return Part("types", heading, blocks)


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
        title = f"Every cell's leader is identified; in {close} of {len(table)} a rival may still be better"
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
    columns = ["State / type", "Contender − leader", f"Posterior {level} interval", "Identified set", "Why"]
    rows = []
    for r in records(shown):
        known = bool(np.isfinite(float(r.post_lower)))
        code = str(r.reason)
        rows.append(
            [
                cell_name(tree, str(r.state), str(r.type)),
                f"{r.contender} − {r.leader}",
                f"[{number(r.post_lower)}, {number(r.post_upper)}]" if known else f"not identified ({code})",
                number(r.set_upper) if known else f"[{number(r.set_lower)}, {number(r.set_upper)}]",
                code or "identified",
            ]
        )
    listing = "; ".join(f"{row[0]}, {row[1]}: posterior {row[2]}, set {row[3]}" for row in rows[:10])
    figure = picture(plots.decisions(shown, title=title), f"Interval plot. {title}. {listing}", caption)
    blocks: list[Block] = [Text(intro), figure, *more(len(table), len(shown), "cells", "the widest are")]
    blocks.append(table_of("Leader and contender by cell, log-odds", columns, rows, "cells", total=len(table)))
    return Part("bounds", "Bounds: how wrong could the leader be", blocks)


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
        for r in records(table.head(MOST_ROWS))
    ]
    columns = ["State / type", "Contrasts covered", "Covered where not identified"]
    return Part(
        "truth",
        "Against the known truth",
        [
            Text(words, strong=True),
            Text(note),
            table_of("Contrasts whose bound holds the truth", columns, rows, "cells", len(table)),
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
    names = {i: " / ".join(str(row[c]) for c in columns) for i, row in table.iterrows()}
    used = _rule_in_force(table)
    level = level_words(tree)
    intro = (
        "A region acts where its score, the most that acting could cost, is at most the cost of deferring (asking a "
        f"person, waiting). The break-even cost below is where the two meet.{used}"
    )
    caption = (
        "set_pure takes what is not identified at its worst; credible and chow trust the posterior, and so the prior "
        "where data are silent: a diamond far right of the other marks says that the prior is deciding. Regions with a "
        "mark left of the dashed line act under that rule."
    )
    listing = "; ".join(
        f"{names[i]}: set_pure {number(r['set_pure'])}, {r['decision']}" for i, r in shown.head(16).iterrows()
    )
    figure = picture(plots.thresholds(shown, columns, c_defer, title=title), f"Dot plot. {title}. {listing}", caption)
    map_rows = [
        [names[i], _decision(str(r["decision"])), str(r["action"]) or "–", _why(str(r["reason"]))]
        for i, r in by_need.head(MOST_ROWS).iterrows()
    ]
    cost_rows = [
        [names[i], *(number(r[rule]) for rule in decisions.RULES), number(r["score"]), number(r["threshold"])]
        for i, r in by_need.head(MOST_ROWS).iterrows()
    ]
    region = " / ".join(columns).capitalize()
    cost_note = (
        f"set_pure: one action, the unknown at its worst. set_random: the same, if actions may be drawn at random. "
        f"credible: {level} quantile of posterior regret. chow: its mean. Log-odds of reward."
    )
    blocks: list[Block] = [Text(intro), figure, *more(len(table), len(shown), "regions", "those that need most are")]
    caption = "Policy map: what the system does in each region"
    blocks.append(table_of(caption, [region, "Decision", "Action", "Why"], map_rows, "regions", len(table)))
    head = [region, *decisions.RULES, "Score in force", "Cost of deferring"]
    blocks.append(table_of("Break-even cost of deferring under four rules", head, cost_rows, "regions", len(table)))
    blocks.append(Text(cost_note))
    return Part("policy", "Policy: where to act, where to defer", blocks)


def _rule_in_force(table: pd.DataFrame) -> str:
    score = table["score"].to_numpy(dtype=float)
    fits = [rule for rule in decisions.RULES if np.allclose(table[rule], score, rtol=1e-9, equal_nan=True)]
    return f" The policy uses the rule {fits[0]}." if fits else ""


def _decision(decision: str) -> str:
    return {"act": "● act", "defer": "○ defer", "": "○ not listed: defers"}.get(decision, decision)


def _why(code: str) -> str:
    return f"{code}: {REASONS[code].meaning}" if code in REASONS else code or "not in the policy, so it defers"


def _items_decided(tree: xr.DataTree) -> list[Block]:
    chosen = np.asarray(tree["graph"].to_dataset()["is_chosen"].values, dtype=bool)
    if chosen.all():
        return []
    return [Text(f"Contrasts, bounds and policy are about {int(chosen.sum())} of the {len(chosen):,} items.")]
