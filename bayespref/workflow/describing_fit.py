"""Model card: what a fit decides, where it does not, what that rests on, and when it would change."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.bounds.labelled import bounds
from bayespref.cards.text import model_header, render, table
from bayespref.errors import DroppedDraws, NotSharp
from bayespref.posterior.tree import tree_meta, tree_stamp
from bayespref.posterior.verdict import convergence
from bayespref.report import cards
from bayespref.workflow.running import policy

_RULES = ("set_pure", "chow", "credible")


def model_card(
    tree: xr.DataTree,
    *,
    c_defer: float,
    name: str,
    rule: str = "set_pure",
    description: str = "",
    license: str | None = None,
) -> str:
    """Model card in the Hugging Face Hub's form: decisions, thresholds, assumptions and their breakdown values.

    Parameters
    ----------
    tree : DataTree
        From :func:`bayespref.analyse` or :func:`bayespref.run`.
    c_defer : float
        Cost of deferring, log-odds of reward.
    name : str
        Name of the model.
    rule : {"set_pure", "chow", "credible"}
        Rule of the policy.
    description : str
        What the model is for.
    license : str, optional
        Identifier of the licence as the Hub spells it.

    Returns
    -------
    str
        Markdown with a YAML header: convergence, decisions, thresholds, what is not identified, assumptions, the hidden
        confounding at which each best action would change, limits, provenance. Never a ranking.

    Raises
    ------
    ImportError
        If ``huggingface_hub`` (extra ``cards``) is not installed.
    ValueError
        If the tree was not analysed.
    """
    need_analysis(tree)
    strength = breakdown(tree)
    return fit_card(tree, strength, c_defer=c_defer, name=name, rule=rule, description=description, license=license)


def fit_card(
    tree: xr.DataTree,
    strength: tuple[pd.DataFrame, str],
    *,
    c_defer: float,
    name: str,
    rule: str = "set_pure",
    description: str = "",
    license: str | None = None,
) -> str:
    """Model card with given breakdown values (from :func:`breakdown`); see :func:`model_card`."""
    meta = tree_meta(tree)
    verdicts = convergence(tree)
    decisions = policy(tree, c_defer=c_defer, rule=rule).to_table()
    flags = cards.flags(tree)
    return render(
        "model.md.j2",
        model_header(license=license, model_name=name),
        tree_stamp("bayespref.model-card", tree),
        name=name,
        headline=f"{_acts(decisions)}; {verdicts[0].words}.",
        description=description,
        verdicts=table(verdict_table(tree).drop(columns="next_step")),
        next_steps=[(one.name, one.next_step) for one in verdicts if one.next_step],
        c_defer=c_defer,
        rule=rule,
        decisions_words=_acts(decisions),
        decisions=table(decisions),
        level=float(tree["defer"].attrs["level"]),
        thresholds=table(thresholds(tree).drop(columns=[f"action_{one}" for one in _RULES])),
        flags=table(flags),
        flags_words="Flags raised, by cell of state and type." if len(flags) else "No flag was raised in any cell.",
        assumptions=table(cards.assumptions(tree)),
        breakdown=table(strength[0]),
        breakdown_words=strength[1],
        deployment=str(tree["defer"].attrs["deployment"]).capitalize(),
        limits=_limits(meta),
        provenance=table(cards.provenance(tree)),
    )


def need_analysis(tree: xr.DataTree) -> None:
    """Refuse a tree that was not analysed."""
    if "defer" not in tree.children:
        raise ValueError("tree: has no group 'defer'; pass it through bayespref.analyse first")


def verdict_table(tree: xr.DataTree) -> pd.DataFrame:
    """Convergence verdicts: ``check``, ``verdict`` (yes or no), ``words``, ``next_step``."""
    rows = [(one.name, "yes" if one.ok else "no", one.words, one.next_step) for one in convergence(tree)]
    return pd.DataFrame(rows, columns=["check", "verdict", "words", "next_step"])


def thresholds(tree: xr.DataTree) -> pd.DataFrame:
    """Cost of deferring from which each region acts, by rule, with the action; one row a region."""
    defer = tree["defer"].to_dataset()
    columns = [str(column) for column in np.atleast_1d(defer.attrs["columns"])]
    frame = pd.DataFrame({name: defer[name].values.astype(str) for name in columns})
    for rule in _RULES:
        frame[rule] = defer[f"c_{rule}"].values
        frame[f"action_{rule}"] = defer[f"action_{rule}"].values.astype(str)
    frame["value_identified"] = defer["value_identified"].values
    frame["flag"] = defer["flag"].values.astype(str)
    return frame


def breakdown(tree: xr.DataTree) -> tuple[pd.DataFrame, str]:
    """Gamma at which the best action of each region stops being certain, and words for what that means.

    Returns
    -------
    frame : DataFrame
        One row a region: its labels, ``assumption``, ``breakdown`` with ``lower`` and ``upper`` over draws, and
        ``share_certain``; empty where it was not computed.
    words : str
        What the numbers mean, or why there are none.
    """
    declared = tree["bounds"].to_dataset()
    if "breakdown" not in declared:
        by_type = len(np.atleast_1d(tree["defer"].attrs["columns"])) > 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DroppedDraws)
                warnings.simplefilter("ignore", NotSharp)
                found = bounds(tree, {"gamma": 1.0}, regions="state_type" if by_type else "state")
        except ValueError as error:
            return pd.DataFrame(), f"Not computed: {error}."
        declared = found["bounds"].to_dataset()
    names = {"breakdown": "breakdown", "breakdown_lower": "lower", "breakdown_upper": "upper"}
    wanted = [*names, "share_certain"]
    frame = declared[wanted].to_dataframe().reset_index().rename(columns=names)
    words = (
        "gamma: hidden kinds of people may tilt the odds of every compared pair by this factor before another action "
        "could be best; 1 means that none may. Not defined: no action is certain even without hidden tilts. Intervals "
        f"at level {float(declared.attrs['level']):.0%} over draws."
        if set(frame["assumption"]) == {"gamma"}
        else "The largest parameter of each declared assumption at which one action is best in every world allowed."
    )
    kept = [name for name in frame.columns if name in ("state", "type", "assumption", *names.values(), "share_certain")]
    return frame[kept], words


def _acts(decisions: pd.DataFrame) -> str:
    acts = int((decisions["decision"] == "act").sum())
    if acts == len(decisions):
        return f"All {len(decisions):,} regions act"
    reasons = decisions.loc[decisions["decision"] != "act", "reason"].value_counts()
    why = ", ".join(f"{code} in {count:,}" for code, count in reasons.items())
    return f"{acts:,} of {len(decisions):,} regions act; the others do not: {why}"


def _limits(meta: dict[str, Any]) -> list[str]:
    said = []
    if not meta["exact"]:
        said.append(f"The draws are an approximation ({meta['sampler']}), not the exact posterior.")
    return said
