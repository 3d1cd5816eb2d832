"""What a policy must not say: the rules that hold for every policy, built or read from a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayespref.checks import one_of
from bayespref.defer.threshold import DECISIONS
from bayespref.errors import REASONS

if TYPE_CHECKING:
    from bayespref.defer.runtime import DeferralPolicy

OUTPUT = ("decision", "action", "reason", "score", "threshold")
"""Columns that a policy's ``predict`` adds."""
POLICY_RULES = ("set_pure", "chow", "credible", "calibrated")
"""Rules a policy may follow. ``set_random`` is none of them: its score belongs to a mixture of actions."""
PAIR = ("item_a", "item_b")
"""Columns of offered items that ``predict`` reads without being told."""


def refuse_contradictions(policy: DeferralPolicy) -> None:
    """Check shapes, vocabularies and the agreement of each decision with its score.

    Parameters
    ----------
    policy : DeferralPolicy
        The policy under construction.

    Raises
    ------
    ValueError
        Naming the field, the rule and the first bad regions.
    TypeError
        If a label is not text.
    """
    one_of("rule", policy.rule, POLICY_RULES)
    _texts("region", policy.region)
    _texts("items", policy.items)
    reserved = sorted(set(policy.region) & {*OUTPUT, *PAIR})
    if not policy.region or reserved:
        raise ValueError(f"region: needs at least one column, none of them {reserved or sorted({*OUTPUT, *PAIR})}")
    _labels(policy)
    n = len(policy.labels)
    for name in OUTPUT:
        if getattr(policy, name).shape != (n,):
            raise ValueError(f"{name}: has shape {getattr(policy, name).shape}, but there are {n} regions")

    known = set(policy.items)
    none = np.array([label is None for label in policy.action], dtype=np.bool_)
    strange = np.array([label is not None and label not in known for label in policy.action], dtype=np.bool_)
    acts, plays = policy.decision == "act", np.isin(policy.decision, ("act", "fallback"))
    _refuse(policy, "decision", ~np.isin(policy.decision, DECISIONS), f"must be one of {list(DECISIONS)}")
    _refuse(policy, "reason", ~np.isin(policy.reason, list(REASONS)), "must be a known reason code")
    _refuse(policy, "score", np.isneginf(policy.score), "must not be -inf")
    _refuse(policy, "threshold", np.isinf(policy.threshold), "must be finite, or NaN for none")
    _refuse(policy, "action", strange, "must be a known item or None")
    _refuse(policy, "action", plays == none, "must be given for act and fallback, and for nothing else")
    # Written so that NaN fails: an act needs a score that is at most its threshold.
    _refuse(policy, "decision", acts & ~(policy.score <= policy.threshold), "acts above its threshold, or without one")
    _refuse(policy, "reason", acts != (policy.reason == "score_below_threshold"), "contradicts the decision")

    if policy.level is not None and not 0 < policy.level < 1:
        raise ValueError(f"level: must lie in (0, 1) or be None, got {policy.level!r}")
    _texts("assumptions", policy.assumptions, unique=False)
    for name in ("link_units", "data_hash", "package_version"):
        _texts(name, (getattr(policy, name),))
        if not getattr(policy, name):
            raise ValueError(f"{name}: must not be empty")


def refuse_columns(columns: Sequence[str], needed: Sequence[str]) -> None:
    """Check the columns of a frame of cases: all that are needed, and none that the answer would overwrite.

    Raises
    ------
    ValueError
        Naming the columns.
    """
    absent = [name for name in needed if name not in columns]
    if absent:
        raise ValueError(f"frame: column(s) {absent} are missing; the policy reads {list(needed)}")
    clash = [name for name in OUTPUT if name in columns]
    if clash:
        raise ValueError(f"frame: column(s) {clash} exist already and would be overwritten; rename or drop them")


def _labels(policy: DeferralPolicy) -> None:
    n = len(policy.labels)
    if policy.labels.shape != (n, len(policy.region)):
        raise ValueError(f"labels: shape {policy.labels.shape} does not match {len(policy.region)} region column(s)")
    _texts("labels", policy.labels.ravel().tolist(), unique=False)
    first: dict[tuple[str, ...], int] = {}
    for i, row in enumerate(policy.labels):
        if first.setdefault(tuple(row), i) != i:
            raise ValueError(f"labels: region {tuple(row)} is given twice, in rows {first[tuple(row)]} and {i}")


def _refuse(policy: DeferralPolicy, name: str, bad: NDArray[np.bool_], rule: str) -> None:
    if bad.any():
        values, where = getattr(policy, name), np.flatnonzero(bad)[:5]
        shown = ", ".join(f"{tuple(policy.labels[i])}: {values[i]!r}" for i in where)
        raise ValueError(f"{name}: {rule}; {int(bad.sum())} bad region(s), first {{{shown}}}")


def _texts(name: str, values: Sequence[Any], *, unique: bool = True) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{name}: must be text, got {value!r}")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{name}: {value!r} cannot be written as UTF-8") from None
    if unique and len(set(values)) < len(values):
        repeated = sorted({value for value in values if list(values).count(value) > 1})
        raise ValueError(f"{name}: given twice: {repeated[:5]}")
