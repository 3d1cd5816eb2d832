"""Simulation of use: a stream of decisions under a declared deployment, and what each rule would have cost.

Truth is needed (a simulated world, or rewards estimated from much more data): for every case the regret of the item
played, or the cost of deferring. Regret is measured against the best item of the person's own type unless another
item is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float, between, finite, non_negative, simplex
from bayespref.defer.certificate import Certificate
from bayespref.defer.threshold import decide
from bayespref.display import shown

if TYPE_CHECKING:
    import pandas as pd


@shown("{state} cases in order of arrival", next_step="hand them to compare_rules or replay")
class Cases(NamedTuple):
    """A stream of cases to decide, in order of arrival."""

    state: Int[np.ndarray, " case"]
    type: Int[np.ndarray, " case"]
    """Type of the person who asks. A rule sees it only if its actions depend on it."""
    period: Int[np.ndarray, " case"]
    """Which row of the deployment a case was drawn from."""


@shown(next_step="compare the cost with that of deferring always and of acting always")
class Replay(NamedTuple):
    """What one rule did with a stream of cases, and what it cost, welfare units."""

    acted: Bool[np.ndarray, " case"]
    regret: Float[np.ndarray, " case"]
    """Regret of the item played; NaN where the rule deferred."""
    cost: Float[np.ndarray, " case"]
    """The regret, or the cost of deferring."""

    @property
    def running_cost(self) -> Float[np.ndarray, " case"]:
        """Total cost up to each case."""
        return np.asarray(self.cost.cumsum())


@shown(next_step="read the cost at the share you can afford to defer")
class Frontier(NamedTuple):
    """Cost per case against the share deferred, one step a distinct score, from deferring all to acting always."""

    threshold: Float[np.ndarray, " step"]
    """Act where the score is at most this; -inf defers all."""
    deferral_rate: Float[np.ndarray, " step"]
    cost: Float[np.ndarray, " step"]
    """Mean cost per case, welfare units."""


def draw_cases(deployment: ArrayLike, n_cases: int, *, seed: int) -> Cases:
    """Draw a stream of cases from P(state, type), which may change from period to period.

    Parameters
    ----------
    deployment : float array, shape (state, type) or (period, state, type)
        P(state, type) in each period; sums to one.
    n_cases : int
        Cases per period.
    seed : int
        Seed of NumPy's generator.

    Returns
    -------
    Cases
        ``n_cases`` of the first period, then of the next.

    Raises
    ------
    TargetMixError
        If the deployment of a period is no distribution.

    Examples
    --------
    >>> cases = draw_cases([[[1.0], [0.0]], [[0.0], [1.0]]], 2, seed=0)
    >>> cases.state.tolist(), cases.period.tolist()
    ([0, 0, 1, 1], [0, 0, 1, 1])
    """
    mass = as_float("deployment", deployment, min_ndim=2)
    if mass.ndim > 3:
        raise ValueError(f"deployment: must have axes (state, type) or (period, state, type), got shape {mass.shape}")
    if n_cases < 1:
        raise ValueError(f"n_cases: must be at least 1, got {n_cases}")
    n_states, n_types = mass.shape[-2:]
    rows = simplex("deployment", mass.reshape(-1, n_states * n_types))
    uniform = np.random.default_rng(seed).random((len(rows), n_cases))
    edges = rows.cumsum(axis=1)
    last = rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)  # rounding must not reach a cell without mass
    cell = np.stack(
        [np.minimum(np.searchsorted(e, u, side="right"), k) for e, u, k in zip(edges, uniform, last, strict=True)]
    )
    flat = cell.reshape(-1)
    return Cases(flat // n_types, flat % n_types, np.repeat(np.arange(len(rows)), n_cases))


def replay(
    reward: Float[np.ndarray, "state type item"],
    cases: Cases,
    action: Int[np.ndarray, "state seen"],
    *,
    c_defer: float,
    alternative: Int[np.ndarray, "state seen"] | None = None,
) -> Replay:
    """Run a rule over a stream whose true rewards are known.

    Parameters
    ----------
    reward : float array, shape (state, type, item)
        True rewards, log-odds.
    cases : Cases
        From :func:`draw_cases`.
    action : int array, shape (state, type) or (state, 1)
        Item the rule plays, -1 where it defers; one column for a rule that does not see the type.
    c_defer : float
        Cost of deferring, same units, finite and >= 0.
    alternative : int array, shape (state, type) or (state, 1), optional
        Item that regret is measured against; the best of each (state, type) if omitted. With another item the regret
        of single cases can be negative.

    Returns
    -------
    Replay

    Raises
    ------
    ValueError
        If an item code is out of range, or shapes disagree.

    Examples
    --------
    >>> cases = draw_cases([[0.5, 0.5]], 1000, seed=0)
    >>> result = replay(np.array([[[1.0, 0.0], [0.0, 2.0]]]), cases, np.array([[0, -1]]), c_defer=0.3)
    >>> sorted(set(result.cost.tolist()))
    [0.0, 0.3]
    """
    truth = finite("reward", reward)
    if truth.ndim != 3:
        raise ValueError(f"reward: must have axes (state, type, item), got shape {truth.shape}")
    price = float(finite("c_defer", non_negative("c_defer", c_defer)))
    n_items = truth.shape[2]
    played = _by_cell("action", action, truth.shape[:2], n_items, least=-1)
    against = (
        truth.argmax(axis=2) if alternative is None else _by_cell("alternative", alternative, truth.shape[:2], n_items)
    )
    reached = np.take_along_axis(truth, np.maximum(played, 0)[..., None], axis=2)[..., 0]
    best = np.take_along_axis(truth, against[..., None], axis=2)[..., 0]
    regret = np.where(played < 0, np.nan, best - reached)[cases.state, cases.type]
    acted = np.asarray(~np.isnan(regret))
    return Replay(acted, regret, np.where(acted, regret, price))


def rule_actions(
    chow: Float[np.ndarray, "region item"],
    set_pure: Float[np.ndarray, "region item"],
    *,
    c_defer: float,
    flag: NDArray[np.str_] | None = None,
    favourite: Int[np.ndarray, " region"] | None = None,
    confidence: Float[np.ndarray, " region"] | None = None,
    least_confidence: float = 0.9,
    certificate: Certificate | None = None,
) -> dict[str, Int[np.ndarray, " region"]]:
    """Item that each rule plays in each region, -1 where it defers.

    Parameters
    ----------
    chow, set_pure : float array, shape (region, item)
        Scores of every action, as in :class:`bayespref.defer.scores.Scores`; NaN for items not on offer.
    c_defer : float
        Cost of deferring, same units.
    flag : str array, shape (region,), optional
        Design flags, "" for none.
    favourite, confidence : int and float array, shape (region,), optional
        Item a plain predictor prefers, and how sure it says it is (share), for the rule ``confidence``.
    least_confidence : float
        It acts from this confidence on.
    certificate : Certificate, optional
        Calibrated threshold on the least ``set_pure`` score of a region, for the rule ``calibrated``.

    Returns
    -------
    dict of str to int array, shape (region,)
        ``act_always`` (least ``chow``, never defers), ``confidence``, ``chow`` (Chow's rule on draws alone: no design
        flag holds it back), ``set_pure``, ``calibrated``; rules whose input is missing are left out.

    Examples
    --------
    >>> chow, worst = np.array([[0.0, 0.5], [0.1, 0.1]]), np.array([[0.0, 0.5], [1.0, 1.0]])
    >>> {rule: action.tolist() for rule, action in rule_actions(chow, worst, c_defer=0.2).items()}
    {'act_always': [0, 0], 'chow': [0, 0], 'set_pure': [0, -1]}
    """
    mean, worst = as_float("chow", chow, ndim=2), as_float("set_pure", set_pure, ndim=2)
    if mean.shape != worst.shape:
        raise ValueError(f"chow, set_pure: shapes must agree, got {mean.shape} and {worst.shape}")
    greedy, mean_score = _least(mean)
    safe, worst_score = _least(worst)
    found = {"act_always": greedy}
    if (favourite is None) != (confidence is None):
        raise ValueError("favourite, confidence: give both or neither")
    if favourite is not None and confidence is not None:
        sure = between("confidence", confidence, 0.0, 1.0)
        liked = _by_cell("favourite", np.asarray(favourite)[:, None], (len(mean), 1), mean.shape[1])[:, 0]
        found["confidence"] = np.where(sure >= least_confidence, liked, -1)
    found["chow"] = decide(mean_score, greedy, c_defer=c_defer, rule="chow").action
    found["set_pure"] = decide(worst_score, safe, c_defer=c_defer, flag=flag).action
    if certificate is not None:
        found["calibrated"] = np.where(certificate.accept(worst_score, np.arange(len(safe))), safe, -1)
    return found


def favourite(
    reward: Float[np.ndarray, "draw region item"],
) -> tuple[Int[np.ndarray, " region"], Float[np.ndarray, " region"]]:
    """Item that is best in most draws, and in which share of them: the confidence of a plain predictor.

    Parameters
    ----------
    reward : float array, shape (draw, region, item)
        Draws of rewards, log-odds.

    Returns
    -------
    favourite : int array, shape (region,)
    confidence : float array, shape (region,)
        Share of draws.

    Examples
    --------
    >>> item, share = favourite(np.array([[[0.0, 1.0]], [[0.0, 2.0]], [[1.0, 0.0]]]))
    >>> item.tolist(), share.round(3).tolist()
    ([1], [0.667])
    """
    draws = finite("reward", reward)
    if draws.ndim != 3 or not len(draws):
        raise ValueError(f"reward: must have axes (draw, region, item) and a draw, got shape {draws.shape}")
    best = draws.argmax(axis=2)
    share = np.stack([(best == item).mean(axis=0) for item in range(draws.shape[2])], axis=1)
    return share.argmax(axis=1), share.max(axis=1)


def compare_rules(
    reward: Float[np.ndarray, "state type item"],
    cases: Cases,
    actions: Mapping[str, Int[np.ndarray, "state seen"]],
    *,
    c_defer: float,
    alternative: Int[np.ndarray, "state seen"] | None = None,
) -> pd.DataFrame:
    """Cost of each rule over the run.

    Parameters
    ----------
    reward, cases, c_defer, alternative
        As in :func:`replay`.
    actions : mapping of str to int array, shape (state, type) or (state, 1)
        Item each rule plays, -1 where it defers.

    Returns
    -------
    pandas.DataFrame
        One row a rule: ``rule, deferral_rate, regret_acting`` (mean over cases acted on), ``cost`` (mean per case),
        ``cost_se`` (its Monte-Carlo standard error over cases), ``total_cost, worst_regret``.

    Examples
    --------
    >>> cases = draw_cases([[0.5, 0.5]], 1000, seed=0)
    >>> rules = {"act": np.array([[0]]), "defer": np.array([[-1]])}
    >>> table = compare_rules(np.array([[[1.0, 0.0], [0.0, 2.0]]]), cases, rules, c_defer=0.3)
    >>> table[["rule", "deferral_rate", "worst_regret"]].values.tolist()
    [['act', 0.0, 2.0], ['defer', 1.0, nan]]
    """
    import pandas as pd

    rows = []
    for rule, action in actions.items():
        result = replay(reward, cases, action, c_defer=c_defer, alternative=alternative)
        regret = result.regret[result.acted]
        rows.append(
            {
                "rule": rule,
                "deferral_rate": 1.0 - float(result.acted.mean()),
                "regret_acting": float(regret.mean()) if regret.size else np.nan,
                "cost": float(result.cost.mean()),
                "cost_se": float(result.cost.std(ddof=1) / np.sqrt(len(result.cost)))
                if len(result.cost) > 1
                else np.nan,
                "total_cost": float(result.cost.sum()),
                "worst_regret": float(regret.max()) if regret.size else np.nan,
            }
        )
    return pd.DataFrame(rows)


def cost_frontier(score: Float[np.ndarray, " case"], regret: Float[np.ndarray, " case"], *, c_defer: float) -> Frontier:
    """Cost per case as the threshold on a score moves from deferring all to acting always.

    Parameters
    ----------
    score : float array, shape (case,)
        Score of each case; equal scores are accepted together, NaN is never accepted.
    regret : float array, shape (case,)
        Regret if the case is acted on, welfare units.
    c_defer : float
        Cost of deferring, same units.

    Returns
    -------
    Frontier

    Examples
    --------
    >>> frontier = cost_frontier(np.array([0.1, 0.9]), np.array([0.0, 1.0]), c_defer=0.3)
    >>> frontier.deferral_rate.tolist(), frontier.cost.round(2).tolist()
    ([1.0, 0.5, 0.0], [0.3, 0.15, 0.5])
    """
    values, lost = as_float("score", score, ndim=1), finite("regret", regret)
    price = float(finite("c_defer", non_negative("c_defer", c_defer)))
    if values.shape != lost.shape or not len(values):
        raise ValueError(f"score, regret: need one entry a case, got shapes {values.shape} and {lost.shape}")
    order = np.argsort(values)  # NaN last
    steps = np.unique(values[~np.isnan(values)])
    accepted = np.searchsorted(values[order], steps, side="right")
    saved = np.r_[0.0, (lost[order] - price).cumsum()]
    accepted = np.r_[0, accepted]
    n = len(values)
    return Frontier(np.r_[-np.inf, steps], 1.0 - accepted / n, price + saved[accepted] / n)


def _least(score: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Item of least score in each region, -1 where there is none, and that score."""
    filled = np.where(np.isnan(score), np.inf, score)
    best = filled.argmin(axis=1)
    least = np.take_along_axis(score, best[:, None], axis=1)[:, 0]
    return np.where(np.isnan(least), -1, best), least


def _by_cell(
    name: str, values: ArrayLike, shape: tuple[int, ...], n_items: int, *, least: int = 0
) -> NDArray[np.int64]:
    codes = np.asarray(values)
    if not np.issubdtype(codes.dtype, np.integer):
        raise TypeError(f"{name}: must be integer item codes, got dtype {codes.dtype}")
    if codes.shape not in (shape, (shape[0], 1)):
        raise ValueError(f"{name}: must have shape {shape} or {(shape[0], 1)}, got {codes.shape}")
    if codes.size and not least <= codes.min() <= codes.max() < n_items:
        raise ValueError(f"{name}: item codes must lie in {least}..{n_items - 1}, got {codes.min()} to {codes.max()}")
    return np.broadcast_to(codes, shape).astype(np.int64)
