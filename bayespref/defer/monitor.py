"""What a running service should watch: counts of decisions by reason, and which cases to escalate first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from bayespref.checks import as_float, non_negative
from bayespref.display import shown

if TYPE_CHECKING:
    from narwhals.typing import IntoDataFrame

DecisionCounts = Counter[tuple[str, str]]
"""Number of cases by (decision, reason). Counters of several batches add up with ``+``."""


@shown(next_step="ask for the labels at the top of the queue first")
class EscalationQueue(NamedTuple):
    """Cases worth a label, most valuable first."""

    order: Int[np.ndarray, " queued"]
    """Positions of the cases."""
    gain: Float[np.ndarray, " queued"]
    """Expected welfare gained per label, units of the scores, descending and above 0."""


def count_decisions(predicted: IntoDataFrame) -> DecisionCounts:
    """Count the rows of a predicted frame by decision and reason.

    Parameters
    ----------
    predicted : pandas or Polars DataFrame, or PyArrow Table
        With columns ``decision`` and ``reason``, as ``DeferralPolicy.predict`` returns it.

    Returns
    -------
    Counter
        By (decision, reason).

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = {"decision": ["act", "defer", "defer"], "reason": ["score_below_threshold", "no_data", "no_data"]}
    >>> count_decisions(pa.table(rows))[("defer", "no_data")]
    2
    """
    import narwhals as nw

    table = nw.from_native(predicted, eager_only=True)
    absent = [name for name in ("decision", "reason") if name not in table.columns]
    if absent:
        raise ValueError(f"predicted: column(s) {absent} are missing; give the frame that predict returned")
    counted = table.select("decision", "reason").group_by("decision", "reason").agg(nw.len().alias("n"))
    return Counter({(str(decision), str(reason)): int(n) for decision, reason, n in counted.rows()})


def deferral_shares(counts: DecisionCounts) -> dict[str, float]:
    """Share of all cases that did not lead to an act, by reason.

    Parameters
    ----------
    counts : Counter
        From :func:`count_decisions`.

    Returns
    -------
    dict
        Reason to share; largest first. Empty where nothing was counted.

    Examples
    --------
    >>> deferral_shares(Counter({("act", "score_below_threshold"): 3, ("defer", "unseen_state"): 1}))
    {'unseen_state': 0.25}
    """
    total = sum(counts.values())
    held: Counter[str] = Counter()
    for (decision, reason), n in counts.items():
        if decision != "act":
            held[reason] += n
    return {reason: n / total for reason, n in held.most_common()}


def exposition(counts: DecisionCounts, *, name: str = "bayespref_decisions_total") -> str:
    r"""Text of a counter in the Prometheus exposition format, for a service to serve.

    Parameters
    ----------
    counts : Counter
        From :func:`count_decisions`, summed over the life of the process.
    name : str
        Name of the metric.

    Returns
    -------
    str
        One line a (decision, reason), sorted, after the type line.

    Examples
    --------
    >>> print(exposition(Counter({("defer", "unseen_state"): 2})), end="")
    # TYPE bayespref_decisions_total counter
    bayespref_decisions_total{decision="defer",reason="unseen_state"} 2
    """
    lines = [f"# TYPE {name} counter"]
    lines += [
        f'{name}{{decision="{decision}",reason="{reason}"}} {n}' for (decision, reason), n in sorted(counts.items())
    ]
    return "\n".join(lines) + "\n"


def escalation_queue(
    drop: Float[np.ndarray, " case"], c_escalate: ArrayLike, *, frequency: Float[np.ndarray, " case"] | None = None
) -> EscalationQueue:
    """Order cases by what one label on them is worth.

    Parameters
    ----------
    drop : float array, shape (case,)
        Guaranteed fall of V from the label (``bayespref.defer.threshold.escalation_value``), welfare units; NaN where
        unknown: such a case is not queued.
    c_escalate : float or float array, shape (case,)
        Price of the label, same units.
    frequency : float array, shape (case,), optional
        How many decisions each label will serve; 1 if omitted.

    Returns
    -------
    EscalationQueue
        Cases whose gain ``drop * frequency - c_escalate`` is above 0; ties in the order given.

    Examples
    --------
    >>> escalation_queue(np.array([0.1, 0.5, 0.3, np.nan]), 0.2).order
    array([1, 2])
    """
    fall = as_float("drop", drop, ndim=1)
    price = non_negative("c_escalate", c_escalate)
    served = np.ones(fall.shape) if frequency is None else non_negative("frequency", frequency)
    if served.shape != fall.shape or price.shape not in ((), fall.shape):
        raise ValueError(
            f"drop, c_escalate, frequency: shapes {fall.shape}, {price.shape}, {served.shape} do not agree"
        )
    gain = fall * served - price
    order = np.argsort(-gain, kind="stable")
    order = order[gain[order] > 0]
    return EscalationQueue(order, gain[order])
