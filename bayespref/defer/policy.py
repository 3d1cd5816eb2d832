"""Build a ``DeferralPolicy`` from scores by region; the policy itself lives in ``bayespref.defer.runtime``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bayespref.checks import as_float, one_of
from bayespref.defer import schema
from bayespref.defer.consistency import POLICY_RULES
from bayespref.defer.runtime import DeferralPolicy, Verdict
from bayespref.defer.threshold import UNIDENTIFIED, decide

__all__ = ["DeferralPolicy", "Verdict", "from_scores"]


def from_scores(
    score: ArrayLike,
    action: ArrayLike,
    *,
    labels: Sequence[Sequence[str] | str],
    items: Sequence[str],
    c_defer: ArrayLike,
    data_hash: str,
    assumptions: Sequence[str],
    region: Sequence[str] = ("state",),
    rule: str = "set_pure",
    level: float | None = None,
    link_units: str = "log-odds",
    value: ArrayLike | None = None,
    flag: ArrayLike | None = None,
    fallback: str | None = None,
    fallback_score: ArrayLike | None = None,
    c_escalate: ArrayLike | None = None,
    guaranteed_drop: ArrayLike | None = None,
) -> DeferralPolicy:
    """Turn scores by region into a policy.

    Parameters
    ----------
    score, action : arrays, shape (region,)
        Score of the action played and its item code, -1 for none (see ``bayespref.defer.scores``).
    labels : sequence
        One entry a region: a string, or one string for each name in ``region``.
    items : sequence of str
        Item labels, in the order of the item codes.
    c_defer : float or float array, shape (region,)
        Cost of deferring, or a calibrated threshold; NaN where none was certified.
    data_hash : str
        Hash of the table behind the scores.
    assumptions : sequence of str
        What the scores rest on.
    region : sequence of str
        Columns that make a region.
    rule : {"set_pure", "chow", "credible", "calibrated"}
        Which score this is. ``set_random`` belongs to a mixture of actions and is refused.
    level : float, optional
        Level of the rule, share.
    link_units : str
        Unit of scores and costs, in words.
    value, flag, fallback_score, c_escalate, guaranteed_drop : arrays, optional
        As in :func:`bayespref.defer.threshold.decide`.
    fallback : str, optional
        Item of the standing action.

    Returns
    -------
    DeferralPolicy
        With the decisions of :func:`bayespref.defer.threshold.decide`.

    Raises
    ------
    ValueError
        On inputs that contradict each other; the message names them.

    Notes
    -----
    A calibrated score may be any number, so under ``calibrated`` nothing but the comparison with the threshold counts;
    a region flagged ``uncovered_region``, or as ``UNIDENTIFIED``, does not act under it.

    Examples
    --------
    >>> policy = from_scores(
    ...     [0.0, 1.0], [1, 0], labels=["seen", "unseen"], items=["x", "y"], c_defer=0.2, flag=["", "no_data"],
    ...     data_hash="sha256:0", assumptions=["rewards lie in [0, 1]"],
    ... )
    >>> policy.lookup({"state": "seen"})[:3]
    ('act', 'y', 'score_below_threshold')
    >>> policy.lookup({"state": "never heard of"})[:3]
    ('defer', None, 'unseen_state')
    """
    from bayespref import __version__

    one_of("rule", rule, POLICY_RULES)
    items = tuple(items)
    names = (region,) if isinstance(region, str) else tuple(region)
    rows = [(label,) if isinstance(label, str) else tuple(label) for label in labels]
    ragged = [row for row in rows if len(row) != len(names)]
    if ragged:
        raise ValueError(f"labels: every region needs {len(names)} label(s) for {list(names)}, got {ragged[:5]}")
    scored = as_float("score", score, ndim=1)
    if len(rows) != len(scored):
        raise ValueError(f"labels: {len(rows)} regions are named, but score has {len(scored)}")
    played = np.asarray(action)
    if played.size and int(played.max()) >= len(items):
        raise ValueError(f"action: item code {int(played.max())} is out of range for {len(items)} items")
    if fallback is not None and fallback not in items:
        raise ValueError(f"fallback: {fallback!r} is not one of the items {list(items)[:5]}")
    codes = None if flag is None else np.asarray(flag, dtype=np.str_)
    if rule == "calibrated" and codes is not None:
        # A guarantee holds where calibration data are; elsewhere no score, however small, clears a region.
        barred = np.isin(codes, ("uncovered_region", *UNIDENTIFIED))
        played = np.where(barred, -1, played)
    result = decide(
        scored,
        played,
        c_defer=c_defer,
        rule="set_pure" if rule == "calibrated" else rule,
        value=None if value is None else as_float("value", value),
        flag=codes,
        fallback=None if fallback is None else np.full(scored.shape, items.index(fallback)),
        fallback_score=None if fallback_score is None else as_float("fallback_score", fallback_score),
        c_escalate=c_escalate,
        guaranteed_drop=guaranteed_drop,
    )
    return DeferralPolicy(
        region=names,
        labels=schema.object_table(rows, len(names)),
        decision=result.decision,
        action=schema.object_table([(None if code < 0 else items[code],) for code in result.action.tolist()], 1)[:, 0],
        reason=result.reason,
        score=scored.copy(),
        threshold=np.broadcast_to(as_float("c_defer", c_defer), scored.shape).copy(),
        items=items,
        rule=rule,
        level=level,
        link_units=link_units,
        assumptions=tuple(assumptions),
        data_hash=data_hash,
        package_version=__version__,
    )
