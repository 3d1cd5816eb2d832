"""Parts of a report that answer: what is preferred, and by whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.report import cards, covered, people, plots, tables
from bayespref.report.blocks import (
    MOST_CELLS,
    MOST_SHOWN,
    Block,
    Folded,
    Part,
    Picture,
    Pictures,
    Table,
    Text,
    cell_name,
    level_words,
    more,
    name,
    named,
    number,
    picture,
    table_of,
)
from bayespref.report.tables import records

_MOST_OPEN = 4
"""Most forest plots that stand open."""


def rewards(tree: xr.DataTree) -> Part:
    """Say what is preferred: forests by cell with ties grouped, or the coefficients of a linear model."""
    coefficients = tables.coefficients(tree)
    if coefficients is not None:
        return _coefficients(tree, coefficients)
    table = tables.rewards(tree)
    level = level_words(tree)
    cells = tables.coverage(tree)
    intro = (
        f"Each item against the leader of its component, with {level} intervals, in log-odds. Items in one band cannot "
        "be told apart from the first of the band: the interval of their difference includes zero. Only items joined "
        "by comparisons are set against each other."
    )
    rows: list[list[str]] = []
    pictures: list[Picture] = []
    by_cell = dict(list(table.groupby(["state", "type"], sort=False)))
    for cell in records(cells):
        own = by_cell[cell.state, cell.type]
        rows.append(_cell_summary(tree, str(cell.state), str(cell.type), own))
        joined = own[own["component"] >= 0]
        if len(pictures) < MOST_CELLS and (own["standing"] == "leader").any():
            pictures.append(_forest(joined, cell_name(tree, str(cell.state), str(cell.type)), level))
    n_drawable = int(table[table["standing"] == "leader"].groupby(["state", "type"]).ngroups)
    where = "State / type" if tree["graph"].sizes["type"] > 1 else "State"
    columns = [where, "Leads", "Tied with the leader", "Not identified"]
    blocks: list[Block] = [Text(intro)]
    leaders = table_of(f"Leaders by {where.lower().replace(' / ', ' and ')}", columns, rows, "cells")
    if len(rows) > 1:
        blocks.append(leaders)
    blocks.append(Pictures(pictures[:_MOST_OPEN]))
    if rest := pictures[_MOST_OPEN:]:
        blocks.append(Folded(f"{len(rest)} more forest plots", [Pictures(rest)], on_paper=True))
    blocks += more(n_drawable, len(pictures), "cells with comparisons", "the first are", " as forest plots")
    if len(rows) == 1:
        blocks.append(leaders)
    blocks.append(Folded(f"Every reward behind these figures ({len(table):,} rows)", [_every_reward(tree, table)]))
    blocks += _items_decided(tree)
    return Part("rewards", "Rewards", "Rewards: what is preferred", blocks)


def _every_reward(tree: xr.DataTree, table: pd.DataFrame) -> Table:
    level = level_words(tree)
    rows = []
    for r in records(table):
        compared = r.standing != "not compared"
        rows.append(
            [
                cell_name(tree, str(r.state), str(r.type)),
                name(r.item),
                f"{r.component + 1}.{r.tier}" if compared else "–",
                number(r.estimate) if compared else "not identified",
                f"[{number(r.lower)}, {number(r.upper)}]" if compared else "–",
                str(r.reason) or "identified",
            ]
        )
    columns = ["Cell", "Item", "Component.band", "Minus the leader", f"{level} interval", "Why"]
    return table_of("Rewards, log-odds", columns, rows, "rows")


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
        open_.append(f"{apart} size{'s are' if apart > 1 else ' is'} the prior's (separated)")
    missing = list(own.loc[own["standing"] == "not compared", "item"])
    if missing and leads:
        open_.append(f"joined to no other item here: {named(missing, 4)}")
    joined = " | ".join(map(name, leads)) if len(leads) <= 4 else named(leads, 4)
    return [
        cell_name(tree, state, kind),
        joined or "nobody can say",
        named(tied, 6) or "none",
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
        title = f"{cell}: {name(leader, 40)} leads a tie of {len(tied) + 1}, with {named(tied, 2)}"
    else:
        title = f"{cell}: {name(leader, 40)} leads every other item"
    if joined["is_separated"].any():
        title += "; by how much is partly the prior's say"
    listing = "; ".join(
        f"{name(r.item, 40)} {r.standing}"
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
        f"{name(r.feature)}, {name(r.type)}: {number(r.estimate)} [{number(r.lower)}, {number(r.upper)}]"
        for r in records(shown)
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
    return Part("rewards", "Rewards", "Rewards: what is preferred", blocks)


def types(tree: xr.DataTree, members: pd.DataFrame | None = None) -> Part:
    """Say how many people are of each type, what each puts first, where they differ, and who they are by context.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    members : DataFrame, optional
        Share of each type among the annotators of each context: ``context``, ``type``, ``weight``, ``n_annotators``;
        read where the model itself has no shares by context.
    """
    weights = people.type_weights(tree)
    heading = "Types: who wants what"
    if len(weights) == 1:
        words = (
            "One type was fitted, so disagreement between people counts as noise. Fit two types to see whether it is."
        )
        return Part("types", "Types", heading, [Text(words)])
    level = level_words(tree)
    rows = [
        [name(r["type"]), f"{r['weight']:.1%}", f"[{r['lower']:.1%}, {r['upper']:.1%}]"]
        + ([str(r["asks_most"])] if "asks_most" in weights else [])
        for _, r in weights.iterrows()
    ]
    columns = ["Type", "Share of annotators", f"{level} interval"] + ["Asks most about"] * ("asks_most" in weights)
    blocks: list[Block] = [table_of("Shares of the types", columns, rows, "types")]
    blocks += _first_choices(tree)
    blocks += _differences(tree, level)
    blocks += _by_context(tree, members, level)
    return Part("types", "Types", heading, blocks)


def _first_choices(tree: xr.DataTree) -> list[Block]:
    """What each type puts first in each state, ties together; nothing for linear rewards, whose coefficients say it."""
    if "coefficient" in tree["posterior"]:
        return []
    table = tables.rewards(tree)
    first = table[table["standing"].isin(("leader", "tied", "alone"))]
    found = {key: list(rows["item"]) for key, rows in first.groupby(["state", "type"], sort=False)}
    states, kinds = list(dict.fromkeys(table["state"])), list(dict.fromkeys(table["type"]))
    if len(kinds) > 8:
        return []
    rows = [
        [name(state), *(named(found[state, kind], 3) if (state, kind) in found else "nobody can say" for kind in kinds)]
        for state in states
    ]
    note = "Items that are not told apart are named together; several components each have a first of their own."
    return [table_of("What each type puts first", ["State", *map(name, kinds)], rows, "states", note)]


def _differences(tree: xr.DataTree, level: str) -> list[Block]:
    contrasts = people.type_contrasts(tree)
    if contrasts.empty:
        if "coefficient" in tree["posterior"]:
            return [Text("Where they differ: compare the coefficients above, feature by feature.")]
        return [Text("No contrast is identified in two types, so where they differ cannot be said.")]
    one, other = contrasts.iloc[0], contrasts.iloc[1]
    a, b, where = name(one["item"], 40), name(one["item_other"], 40), name(one["state"], 40)
    if one["lower"] > 0 > other["upper"]:
        title = f"In {where}, {name(one['type'])} prefers {a} to {b}, {name(other['type'])} the reverse"
    else:
        title = f"The types differ most on {a} against {b} in {where}"
    listing = "; ".join(
        f"{name(r.item, 40)} minus {name(r.item_other, 40)} in {name(r.state, 40)}, {name(r.type)}: "
        f"{number(r.estimate)} [{number(r.lower)}, {number(r.upper)}]"
        for r in records(contrasts)
    )
    caption = f"Contrasts with the widest gap between two types, where the data identify both; {level} intervals."
    return [picture(plots.type_contrasts(contrasts, title=title), f"Interval plot. {title}. {listing}", caption)]


def _by_context(tree: xr.DataTree, members: pd.DataFrame | None, level: str) -> list[Block]:
    """Who the types are: their shares within each context."""
    shares = people.types_by_context(tree)
    if shares is not None:
        rows = [
            [name(r.context), name(r.type), f"{r.weight:.1%}", f"[{r.lower:.1%}, {r.upper:.1%}]"]
            for r in records(shares)
        ]
        columns = ["Context", "Type", "Share", f"{level} interval"]
        return [table_of("Who they are: shares of the types by context", columns, rows, "rows")]
    if members is not None:
        kinds = list(dict.fromkeys(members["type"]))
        rows = []
        for context, own in members.groupby("context", sort=False):
            share = [f"{weight:.1%}" for weight in own["weight"]]
            rows.append([name(context), f"{int(own['n_annotators'].iloc[0]):,}", *share])
        note = "Mean posterior membership of the annotators who answered in the context."
        columns = ["Context", "Annotators", *map(name, kinds)]
        return [table_of("Who they are: shares of the types by context", columns, rows, "contexts", note)]
    if cards.provenance_of(tree).get("options", {}).get("types_observed"):
        return [Text("Each type is an observed context, so who they are is known.")]
    if covered.by_context(tree) is None:
        return [Text("The table has no context column (segment, locale), so who the types are cannot be said.")]
    return []


def _items_decided(tree: xr.DataTree) -> list[Block]:
    chosen = np.asarray(tree["graph"].to_dataset()["is_chosen"].values, dtype=bool)
    if chosen.all():
        return []
    return [Text(f"Contrasts, bounds and policy are about {int(chosen.sum())} of the {len(chosen):,} items.")]
