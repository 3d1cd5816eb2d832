"""What a run says, in words: verdicts, flags, what was compared, assumptions and provenance, each a plain table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayespref.dims import FEATURE, ITEM, OUTCOMES, STATE, TYPE
from bayespref.errors import REASONS
from bayespref.report.blocks import named
from bayespref.report.tables import coverage, labels

_NAMED = 8
_META = "bayespref"
_NOT_IDENTIFIED = (
    "no_data",
    "disconnected",
    "type_not_identified",
    "functional_form_only",
    "separated",
    "model_identified",
)
_TOO_LITTLE = ("thin", "prior_dominated")


def verdicts(
    tree: xr.DataTree,
    convergence: Iterable[Sequence[Any]],
    policy: pd.DataFrame,
    deployment: Iterable[Sequence[Any]] = (),
) -> pd.DataFrame:
    """Every verdict, each stated either way: the fit, the cells, the policy, then the table's own checks.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``analyse``.
    convergence : iterable of (name, ok, words, reason, next_step)
        Convergence verdicts.
    policy : DataFrame
        Decision table of a policy.
    deployment : iterable of (name, verdict, words, next_step)
        Checks against a declared deployment; none where none was declared.

    Returns
    -------
    DataFrame
        ``about`` (fit, cells, deployment, range, policy, table), ``name``, ``verdict`` (yes, no, undecided), ``words``,
        ``next_step``.
    """
    rows = [("fit", name, "yes" if ok else "no", words, step or "") for name, ok, words, _, step in convergence]
    rows += _cell_verdicts(tree)
    rows += [("deployment", name, verdict, words, step or "") for name, verdict, words, step in deployment]
    if not rows or rows[-1][0] != "deployment":
        rows.append(_deployment_not_declared(tree))
    rows += [_range_verdict(tree), _policy_verdict(policy)]
    for check in json.loads(tree["graph"].attrs["check"])["checks"]:
        rows.append(("table", check["name"], check["verdict"], check["words"], check["next_step"] or ""))
    return pd.DataFrame(rows, columns=["about", "name", "verdict", "words", "next_step"])


def _cell_verdicts(tree: xr.DataTree) -> list[tuple[str, str, str, str, str]]:
    """Identified, and enough data: by (state, type) cell, from the flags."""
    cells = coverage(tree)
    raised = tree["disagree"]["is_flagged"].transpose(STATE, TYPE, "flag")
    little = [raised.sel(flag=code).values.ravel() for code in _TOO_LITTLE]
    flag, n = cells["flag"].to_numpy(), len(cells)
    apart = flag == "disconnected"  # more comparisons of the same kind do not help there: not a question of how many
    open_ = np.where(np.isin(flag, _NOT_IDENTIFIED), flag, "")
    short = np.where(flag == "no_data", "no_data", np.where(apart, "", np.select(little, _TOO_LITTLE, "")))
    what = "(state, type) cell" if tree["graph"].sizes[TYPE] > 1 else "state"
    fine = f"the data say something about every contrast in {n:,} of {n:,} {what}s"
    lines = [_cell_line("identified by cell", cells, open_, what, fine)]
    if apart.all():
        words = f"enough data by cell: undecided, every {what} has components that no comparison joins; see identified"
        lines.append(("cells", "enough data by cell", "undecided", words, REASONS["disconnected"].next_step))
        return lines
    joined = f"{what}s whose items are joined" if apart.any() else f"{what}s"
    fine = f"none of {n - apart.sum():,} {joined} is thin or ruled by its prior"
    return [*lines, _cell_line("enough data by cell", cells, short, what, fine)]


def _cell_line(
    name: str, cells: pd.DataFrame, code: NDArray[np.object_], what: str, fine: str
) -> tuple[str, str, str, str, str]:
    bad = cells[code != ""]
    if bad.empty:
        return "cells", name, "yes", f"{name}: yes, {fine}", ""
    code = code[code != ""]
    parts = [f"{c} in {len(rows):,} ({named(list(rows.cell), 3)})" for c, rows in bad.groupby(code, sort=False)]
    words = f"{name}: no, {len(bad):,} of {len(cells):,} {what}s are flagged: {'; '.join(parts)}"
    worst = min(code, key=list(REASONS).index)
    return "cells", name, "no", words, REASONS[worst].next_step


def _deployment_not_declared(tree: xr.DataTree) -> tuple[str, str, str, str, str]:
    taken = str(tree["defer"].attrs["deployment"]).removeprefix("deployment: ")
    words = f"deployment covered: undecided, no deployment was declared; bounds and policy take it that {taken}"
    step = "declare where the system will be used (deployment=; in a shell `bayespref report FIT --deployment FILE`)"
    return "deployment", "deployment covered", "undecided", words, step


def _range_verdict(tree: xr.DataTree) -> tuple[str, str, str, str, str]:
    attrs = tree["bounds"].attrs
    refuted = float(attrs["share_refuted"])
    low, high = (float(end) for end in np.asarray(attrs["reward_range"]))
    name = "reward range holds"
    if refuted == 0:
        words = f"{name}: yes, differences observed fit into [{low:.3g}, {high:.3g}] log-odds in every draw"
        return "range", name, "yes", words, ""
    done = {"widen": f"widened to [{low:.3g}, {high:.3g}]", "condition": "the draws that refute it were left out"}
    what = done.get(str(attrs["range_policy"]), "stopped")
    words = f"{name}: no, differences observed exceed the declared range in {refuted:.1%} of draws; {what}"
    return "range", name, "no", words, REASONS["range_refuted"].next_step


def _policy_verdict(policy: pd.DataFrame) -> tuple[str, str, str, str, str]:
    acts = int((policy["decision"] == "act").sum())
    name = "policy acts everywhere"
    if acts == len(policy):
        return "policy", name, "yes", f"{name}: yes, all {len(policy)} regions act", ""
    where = policy.loc[policy["decision"] != "act"]
    reasons = ", ".join(f"{code} {count}" for code, count in where["reason"].value_counts().items())
    words = f"{name}: no, {acts} of {len(policy)} regions act; the others: {reasons}"
    return "policy", name, "no", words, "see the policy map for each region, and the comparisons to collect"


def flags(tree: xr.DataTree) -> pd.DataFrame:
    """Flags raised, each with its cells, what it means and what to do next.

    Returns
    -------
    DataFrame
        ``flag``, ``n_cells``, ``cells`` (the first few by name), ``meaning``, ``next_step``.
    """
    found = tree["disagree"].to_dataset()
    raised = found["is_flagged"].transpose(STATE, TYPE, "flag").values.reshape(-1, found.sizes["flag"])
    cells = coverage(tree)
    rows = []
    for position, code in enumerate(labels(found, "flag")):
        where = cells[raised[:, position]]
        if len(where):
            reason = REASONS[code]
            rows.append((code, len(where), named(list(where.cell), _NAMED), reason.meaning, reason.next_step))
    return pd.DataFrame(rows, columns=["flag", "n_cells", "cells", "meaning", "next_step"])


def flags_absent(tree: xr.DataTree) -> tuple[list[str], list[str]]:
    """Flags that were checked and raised nowhere, and flags that could not be checked in some cell."""
    found = tree["disagree"].to_dataset()
    raised = found["is_flagged"].transpose("flag", STATE, TYPE).values.any((1, 2))
    checked = found["checked"].transpose("flag", STATE, TYPE).values.all((1, 2))
    codes = labels(found, "flag")
    return [str(code) for code in codes[~raised & checked]], [str(code) for code in codes[~checked]]


def data_card(tree: xr.DataTree) -> pd.DataFrame:
    """What was compared: counts, outcomes, source, what was dropped, hash; columns ``fact`` and ``value``."""
    table, outcome = tree["constant_data"].to_dataset(), tree["observed_data"].to_dataset()["outcome"].values
    weight = table["weight"].values
    named_labels = json.loads(table.attrs["labels"])
    provenance = json.loads(table.attrs["provenance"])
    total = np.bincount(outcome, weights=weight, minlength=len(OUTCOMES))
    words = {"a": "first item preferred", "b": "second item preferred", "tie": "ties", "both_bad": "both bad"}
    rows = [("Comparisons", f"{weight.sum():,.6g}"), ("Items", f"{table.sizes[ITEM]:,}")]
    plural = {"state": "States", "annotator": "Annotators", "context": "Contexts", "environment": "Environments"}
    rows += [(plural[key], f"{len(named_labels[key]):,}") for key in plural if named_labels.get(key)]
    if FEATURE in table.dims:
        rows.append(("Features of items", ", ".join(labels(table, FEATURE))))
    rows.append(("Outcomes", ", ".join(f"{total[i]:,.6g} {words[key]}" for i, key in enumerate(OUTCOMES) if total[i])))
    known = [key for key in ("source", "world", "adapter", "rows_read", "dropped") if key in provenance]
    rows += [(key.replace("_", " ").capitalize(), _plain(provenance[key])) for key in known]
    rows += [
        (key.replace("_", " ").capitalize(), _plain(value))
        for key, value in provenance.items()
        if key not in known and not isinstance(value, dict | list)
    ]
    rows.append(("Data hash (SHA-256)", str(table.attrs["hash"])))
    return pd.DataFrame(rows, columns=["fact", "value"])


def structure(tree: xr.DataTree) -> list[str]:
    """Say what a linear model adds: which contrasts the data identify, and which only the linearity does.

    Returns
    -------
    list of str
        Sentences; empty where rewards are not linear in features.
    """
    if "coefficient" not in tree["posterior"]:
        return []
    graph, table = tree["graph"].to_dataset(), tree["constant_data"].to_dataset()
    items, states = graph.sizes[ITEM], labels(graph, STATE)
    said = []
    for state, count, n in zip(states, graph["n_components"].values, graph["n_items"].values, strict=True):
        where = "" if len(states) == 1 else f" in {state}"
        if count == 1:
            said.append(f"The {n:,} items compared{where} form one component: the data connect them all.")
        else:
            said.append(
                f"The {n:,} items compared{where} form {count:,} components; across components nothing is identified "
                "by the data."
            )
    features = table["features"].transpose(ITEM, FEATURE).values
    gap = features[table["item_a"].values] - features[table["item_b"].values]
    size = np.abs(gap).max(axis=0, initial=0.0)
    gap = gap / np.where(size > 0, size, 1.0)  # units must not decide which directions count
    rank, n_features = int(np.linalg.matrix_rank(np.unique(gap, axis=0))), features.shape[1]
    if rank == n_features:
        said.append(
            f"Linearity in {n_features} attributes identifies every contrast: by structure, not by data. A number for "
            "two items of different components rests on the linear form alone."
        )
    else:
        said.append(
            f"Linearity in {n_features} attributes does not identify every contrast: the comparisons vary them in only "
            f"{rank} of {n_features} independent directions."
        )
    return said[:_NAMED] + ([f"{len(said) - _NAMED} more states, not listed."] if items and len(said) > _NAMED else [])


def assumptions(tree: xr.DataTree) -> pd.DataFrame:
    """What the bounds and the policy rest on; columns ``assumption`` and ``value``."""
    bound, defer, meta = tree["bounds"].attrs, tree["defer"].attrs, provenance_of(tree)
    declared = json.loads(bound["assumptions"])
    low, high = (float(end) for end in np.asarray(bound["reward_range"]))
    widened = float(bound["share_refuted"]) > 0 and str(bound["range_policy"]) == "widen"
    linear = "coefficient" in tree["posterior"]
    rows = [
        ("Range of rewards used", f"[{low:.4g}, {high:.4g}] log-odds, {'widened' if widened else 'as declared'}"),
        ("Declared", "; ".join(str(line) for line in declared)),
        ("Smallest range the draws allow", f"{float(bound['r_min']):.4g} log-odds"),
        ("Link", "logistic (Bradley-Terry; ties after Davidson where there are any); rewards in log-odds of a choice"),
        ("Types at deployment", str(defer["deployment"]).removeprefix("deployment: ")),
        ("Shape of rewards", "linear in the features of items" if linear else f"one number an item ({meta['model']})"),
        ("Level of intervals and regions", f"{float(bound['level']):.0%}"),
        ("Bounds are sharp", "yes" if int(bound["sharp"]) else "no: valid, but may be wider than need be"),
    ]
    return pd.DataFrame(rows, columns=["assumption", "value"])


def provenance(tree: xr.DataTree, made: str = "") -> pd.DataFrame:
    """How the numbers were made: model, priors, seed, sampler, versions, hash, date; columns ``fact`` and ``value``."""
    meta = provenance_of(tree)
    options = ", ".join(f"{key} = {value}" for key, value in meta.get("options", {}).items())
    versions = ", ".join(f"{key} {value}" for key, value in meta.get("versions", {}).items())
    rows = [
        ("Model", str(meta["model"])),
        ("Options and priors", options or "none"),
        ("Method", str(meta.get("method", ""))),
        (
            "Draws come from",
            "the exact posterior" if int(tree["fit"].attrs.get("exact", 1)) else "an approximation of it",
        ),
        ("Chains, warm-up, draws", ", ".join(str(meta.get(key, "?")) for key in ("chains", "warmup", "draws"))),
        ("Seed", str(meta.get("seed", "?"))),
        ("Versions", versions),
        ("Data hash (SHA-256)", str(meta["data_hash"])),
    ]
    if made:
        rows.append(("Report made", made))
    return pd.DataFrame(rows, columns=["fact", "value"])


def latent(tree: xr.DataTree) -> bool:
    """Whether the fit has several types and infers who is of which."""
    return tree["graph"].sizes[TYPE] > 1 and not provenance_of(tree).get("options", {}).get("types_observed")


def provenance_of(tree: xr.DataTree) -> dict[str, Any]:
    """Provenance stored with a fit."""
    meta: dict[str, Any] = json.loads(tree.attrs[_META])
    return meta


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
