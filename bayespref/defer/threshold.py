"""Thresholds: at what cost of deferring does acting begin to pay, and what to do where it does not.

Deferring is one more action of constant regret c, so a region acts exactly while its score is at most c: the score
*is* the region's break-even cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, finite, non_negative, one_of
from bayespref.defer.scores import RULES, Scores
from bayespref.display import shown
from bayespref.errors import REASONS

if TYPE_CHECKING:
    from jaxtyping import Float, Int  # slow to import, and a service needs no shapes

DECISIONS = ("act", "defer", "escalate", "fallback")
"""What a policy can say."""

UNIDENTIFIED = ("no_data", "disconnected", "no_overlap")
"""Flags under which the draws hold nothing but prior, so that a rule that reads draws alone may not clear a region."""

_READS_DRAWS = ("chow", "credible")


@shown(next_step="a region acts once deferring costs more than its entry")
class BreakEven(NamedTuple):
    """Cost of deferring at which each region starts to act, by rule (welfare units; NaN where undefined)."""

    chow: Float[np.ndarray, "*region"]
    credible: Float[np.ndarray, "*region"]
    set_pure: Float[np.ndarray, "*region"]
    set_random: Float[np.ndarray, "*region"]


@shown("{decision}", next_step="see the reasons of the regions that do not act")
class Decisions(NamedTuple):
    """What to do in each region, why, and at what cost."""

    decision: NDArray[np.str_]
    """One of ``DECISIONS``, shape (...)."""
    action: Int[np.ndarray, "*region"]
    """Index of the item to play; -1 for defer and escalate."""
    reason: NDArray[np.str_]
    """Reason code, shape (...)."""
    cost: Float[np.ndarray, "*region"]
    """The score if acting, else the cost of the cheapest alternative."""


@shown(next_step="ask where the drop exceeds the cost of a label")
class EscalationValue(NamedTuple):
    """What one label on an edge would save, at least."""

    drop: Float[np.ndarray, "*edge"]
    """Guaranteed fall of V, welfare units, >= 0."""
    worst_difference: Float[np.ndarray, "*edge"]
    """Value of d_e that saves least (the first of ties on the grid)."""
    worst_value: Float[np.ndarray, "*edge"]
    """V given that value."""
    error: Float[np.ndarray, "*edge"]
    """What was subtracted for values of d_e between grid points."""


def break_even(result: Scores) -> BreakEven:
    """Break-even cost c* of every region under all four rules.

    Parameters
    ----------
    result : Scores
        From :func:`bayespref.defer.scores.scores`.

    Returns
    -------
    BreakEven
        The score of each rule's best action; under ``set_random`` the minimax regret V.

    Notes
    -----
    With deferral as an extra action of constant regret c the game has value min(V, c): act from c = V on.

    Examples
    --------
    >>> from bayespref.defer.scores import scores
    >>> G = np.array([[[0.0, 0.3], [0.6, 0.0]]])
    >>> break_even(scores(np.zeros((1, 2, 2)), G, np.array(0.2))).set_pure.item()
    0.3
    """
    return BreakEven(result.chow_score, result.credible_score, result.set_pure_score, result.set_random)


def decide(
    score: Float[np.ndarray, "*region"],
    action: Int[np.ndarray, "*region"],
    *,
    c_defer: ArrayLike,
    rule: str = "set_pure",
    value: Float[np.ndarray, "*region"] | None = None,
    flag: NDArray[np.str_] | None = None,
    fallback: Int[np.ndarray, "*region"] | None = None,
    fallback_score: Float[np.ndarray, "*region"] | None = None,
    c_escalate: ArrayLike | None = None,
    guaranteed_drop: ArrayLike | None = None,
) -> Decisions:
    """Act where the score is at most the cost of deferring, else take the cheapest way out.

    Parameters
    ----------
    score : float array, shape (...)
        Score of the action played, welfare units. NaN and +inf never act.
    action : int array, shape (...)
        Item played; -1 (no action) never acts.
    c_defer : float or float array, shape (...)
        Cost of deferring, finite and >= 0, with the human's own expected regret in it. NaN means that no threshold is
        in force (nothing certified): such a region never acts.
    rule : {"set_pure", "chow", "credible", "set_random"}
        Which score this is. ``chow`` and ``credible`` read draws alone, so in a region flagged as ``UNIDENTIFIED``
        they clear only if V, too, is at most ``c_defer``.
    value : float array, shape (...), optional
        Minimax regret V. Without it such a flagged region never clears under ``chow`` or ``credible``.
    flag : str array, shape (...), optional
        Primary flag of each region, a reason code, "" for none. Where a region does not act it is the reason given.
    fallback, fallback_score : arrays, shape (...), optional
        A standing action and its own set score, taken where it costs strictly less than deferring.
    c_escalate, guaranteed_drop : float or float array, optional
        Price of one more label, and the fall of V it guarantees; escalating costs ``c_escalate + V - drop``.

    Returns
    -------
    Decisions
        Decision, action, reason code and cost per region. Equal costs go to defer, then fallback.

    Raises
    ------
    ValueError
        On shapes that do not agree, negative costs, unknown flags, or escalation without V.

    Notes
    -----
    Design notes on deferral: act iff score <= c_defer. For 0-1 loss ``chow`` is Chow's rule (1970).

    Examples
    --------
    >>> result = decide(np.array([0.1, 1.0]), np.array([2, 0]), c_defer=0.2, flag=np.array(["", "no_data"]))
    >>> result.decision.tolist(), result.action.tolist(), result.reason.tolist()
    (['act', 'defer'], [2, -1], ['score_below_threshold', 'no_data'])
    """
    one_of("rule", rule, RULES)
    score = as_float("score", score)
    region = score.shape
    action = _whole("action", action, region)
    threshold = _cost("c_defer", c_defer, region, nan_allowed=True)
    flags = _flags(flag, region)
    known = np.full(region, np.nan) if value is None else _like("value", value, region)

    act = (score <= threshold) & np.isfinite(score) & (action >= 0)
    if rule in _READS_DRAWS:
        # A NaN value compares false: where V is not known, the draws of an unidentified region clear nothing.
        act &= ~np.isin(flags, UNIDENTIFIED) | (known <= threshold)

    defer_cost = np.where(np.isnan(threshold), np.inf, threshold)
    options = [defer_cost, np.full(region, np.inf), np.full(region, np.inf)]
    held = np.full(region, -1, dtype=np.int64)
    if (fallback is None) != (fallback_score is None):
        raise ValueError("fallback, fallback_score: give both or neither")
    if fallback is not None and fallback_score is not None:
        held = _whole("fallback", fallback, region)
        standing = _like("fallback_score", fallback_score, region)
        options[1] = np.where((held >= 0) & ~np.isnan(standing), standing, np.inf)
    if c_escalate is not None:
        if value is None:
            raise ValueError("value: escalation costs c_escalate + V - guaranteed_drop, so V is needed")
        drop = _cost("guaranteed_drop", 0.0 if guaranteed_drop is None else guaranteed_drop, region)
        if np.any(drop > known + 1e-9):
            raise ValueError("guaranteed_drop: one label cannot lower V by more than V itself")
        after = _cost("c_escalate", c_escalate, region) + known - drop
        options[2] = np.where(np.isnan(after), np.inf, after)
    elif guaranteed_drop is not None:
        raise ValueError("c_escalate: needed where guaranteed_drop is given")

    cheapest = np.argmin(np.stack(options), axis=0)
    otherwise = np.array(["defer", "fallback", "escalate"])[cheapest]
    decision = np.where(act, "act", otherwise)
    blocked = np.where(
        flags != "",
        flags,
        np.where(
            np.isnan(threshold),
            "not_certified",
            np.where(np.isnan(score) | (action < 0), "missing_value", "score_above_threshold"),
        ),
    )
    cost = np.where(act, score, np.take_along_axis(np.stack(options), cheapest[None], axis=0)[0])
    return Decisions(
        decision=decision,
        action=np.where(act, action, np.where(decision == "fallback", held, -1)),
        reason=np.where(act, "score_below_threshold", blocked),
        cost=np.where(np.isinf(cost) & np.isnan(threshold) & ~act, np.nan, cost),
    )


def escalation_value(
    value: Float[np.ndarray, "*edge"],
    value_given: Callable[[NDArray[np.float64]], ArrayLike] | NDArray[np.float64],
    lower: Float[np.ndarray, "*edge"],
    upper: Float[np.ndarray, "*edge"],
    *,
    n_grid: int = 129,
    lipschitz: float = 1.0,
) -> EscalationValue:
    """Guaranteed fall of the minimax regret if the difference on an edge became known.

    Parameters
    ----------
    value : float array, shape (...)
        V as things stand.
    value_given : callable, or float array, shape (grid, ...)
        V given d_e = t: a function of t (shape (grid, ...), same shape back), or its values at ``n_grid`` equally
        spaced points from ``lower`` to ``upper``.
    lower, upper : float array, shape (...)
        Bounds on d_e, log-odds.
    n_grid : int
        Number of points; an odd number puts one in the middle.
    lipschitz : float
        How fast V can move with t. 1 is valid when the edge joins two components (every entry of the regret matrix
        then moves at most as fast as t); 0 says that the grid is known to hold the worst t.

    Returns
    -------
    EscalationValue
        ``drop = V - max_t V(t) - error``, and 0 where that is negative (more knowledge never raises V).

    Raises
    ------
    ValueError
        On bounds that are crossed or not finite, or shapes that do not agree.

    Notes
    -----
    Design notes on deferral, "escalation value of an edge". The maximum over a grid is too small by at most
    ``lipschitz`` times half the spacing, which is subtracted, so that the drop stays guaranteed.

    Examples
    --------
    Two items never compared: one comparison pins their difference, whatever it is, and V falls from 0.5 to 0.

    >>> never = escalation_value(np.array([0.5]), lambda t: 0 * t, np.array([-1.0]), np.array([1.0]), lipschitz=0)
    >>> never.drop
    array([0.5])
    """
    value = non_negative("value", value)
    lower, upper = finite("lower", lower), finite("upper", upper)
    if lower.shape != value.shape or upper.shape != value.shape:
        raise ValueError(f"value, lower, upper: shapes must agree, got {value.shape}, {lower.shape}, {upper.shape}")
    if np.any(lower > upper):
        raise ValueError("lower, upper: bounds are crossed on some edge")
    if n_grid < 2:
        raise ValueError(f"n_grid: must be at least 2, got {n_grid}")
    slope = float(non_negative("lipschitz", lipschitz))
    grid = np.linspace(lower, upper, n_grid)
    given = as_float("value_given", value_given(grid) if callable(value_given) else value_given)
    if given.shape != grid.shape:
        raise ValueError(f"value_given: must have shape {grid.shape} (grid, ...), got {given.shape}")
    worst = given.argmax(axis=0)[None]  # argmax returns the first NaN if there is one, so NaN stays NaN
    worst_value = np.take_along_axis(given, worst, axis=0)[0]
    error = slope * (upper - lower) / (n_grid - 1) / 2.0
    return EscalationValue(
        drop=np.maximum(value - worst_value - error, 0.0),
        worst_difference=np.take_along_axis(grid, worst, axis=0)[0],
        worst_value=worst_value,
        error=error,
    )


def _like(name: str, values: ArrayLike, region: tuple[int, ...]) -> NDArray[np.float64]:
    array = as_float(name, values)
    if array.shape != region:
        raise ValueError(f"{name}: must have one entry a region, shape {region}, got {array.shape}")
    return array


def _whole(name: str, values: ArrayLike, region: tuple[int, ...]) -> NDArray[np.int64]:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name}: must be integer item codes, got dtype {array.dtype}")
    if array.shape != region:
        raise ValueError(f"{name}: must have one entry a region, shape {region}, got {array.shape}")
    if np.any(array < -1):
        raise ValueError(f"{name}: item codes start at 0, and -1 stands for none; got {int(array.min())}")
    return array.astype(np.int64)


def _cost(name: str, values: ArrayLike, region: tuple[int, ...], *, nan_allowed: bool = False) -> NDArray[np.float64]:
    array = as_float(name, values)
    if array.ndim and array.shape != region:
        raise ValueError(f"{name}: must be a number or have shape {region}, got {array.shape}")
    array = np.broadcast_to(array, region)
    checked = np.where(np.isnan(array), 0.0, array) if nan_allowed else array
    non_negative(name, finite(name, checked))
    return array


def _flags(flag: NDArray[np.str_] | None, region: tuple[int, ...]) -> NDArray[np.str_]:
    if flag is None:
        return np.full(region, "", dtype="<U1")
    codes = np.asarray(flag).astype(np.str_)
    if codes.shape != region:
        raise ValueError(f"flag: must have one entry a region, shape {region}, got {codes.shape}")
    unknown = sorted(set(codes.ravel().tolist()) - set(REASONS) - {""})
    if unknown:
        raise ValueError(f"flag: unknown reason code(s) {unknown[:5]}; use codes of bayespref.errors.REASONS, or ''")
    return codes
