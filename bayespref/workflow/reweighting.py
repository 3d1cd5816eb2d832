"""Take a table to its declared target by weights: report, verdict, ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import at_least, between
from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, BOTH_BAD, TIE
from bayespref.display import shown
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.importance import Weights, estimated_target, overlap_report
from bayespref.target.modification import Modification, effect_modification
from bayespref.target.regime import Regime
from bayespref.target.regime_weights import context_target, logged_hash, weights_towards
from bayespref.target.sensitivity import Frontier, clip_beta_frontier
from bayespref.target.trust import Trust, trust

CAPS = (np.inf, 10.0, 5.0, 2.0)


@shown("{trust.words}", next_step="read the sensitivity table before acting on the weighted result")
class Reweighted(NamedTuple):
    """A table taken to its target.

    Attributes
    ----------
    weights : Weights
        One a row of the table, "both bad" rows included.
    report : DataFrame
        Propensity and overlap report: the table, its parts, states and contexts (`overlap_report`).
    frontier : Frontier
        Fits over caps and betas; ``frontier.score[0]`` is the weighted fit without clipping.
    trust : Trust
        Verdict of the trust rule.
    modification : Modification
        Whether weighted DPO is the right tool at all.
    estimated : array, shape (cap, state, context)
        Target that each cap actually estimates.
    regime_hash, logged_hash : str
        What this was made from; see `stale`.
    left_out : int
        Rows that state no preference ("both bad").
    """

    weights: Weights
    report: pd.DataFrame
    frontier: Frontier
    trust: Trust
    modification: Modification
    estimated: NDArray[np.float64]
    regime_hash: str
    logged_hash: str
    left_out: int


class PreferenceRows(NamedTuple):
    """Rows that state a preference, as arrays; ``keep`` says which of the table they are."""

    keep: NDArray[np.bool_]
    state: NDArray[np.int64]
    context: NDArray[np.int64]
    item_a: NDArray[np.int64]
    item_b: NDArray[np.int64]
    label: NDArray[np.float64]
    times: NDArray[np.float64]


def preference_rows(comparisons: Comparisons) -> PreferenceRows:
    """Rows with a preference or a tie; "both bad" rows are not among them."""
    keep = np.asarray(comparisons.outcome) != BOTH_BAD
    codes = (comparisons.state, comparisons.codes("context"), comparisons.item_a, comparisons.item_b)
    state, context, a, b = (np.asarray(code)[keep].astype(np.int64) for code in codes)
    outcome = np.asarray(comparisons.outcome)[keep]
    label = np.where(outcome == A_WINS, 1.0, np.where(outcome == TIE, 0.5, 0.0))
    return PreferenceRows(keep, state, context, a, b, label, np.asarray(comparisons.weight)[keep])


def _refuse_silent_cells(target: NDArray[np.float64], rows: PreferenceRows, comparisons: Comparisons) -> None:
    """Refuse target mass on a cell whose rows state no preference: its weight would go to other cells."""
    said = np.zeros(target.shape)
    np.add.at(said, (rows.state, rows.context), rows.times)
    silent = np.argwhere((target > 0) & (said == 0))
    if len(silent):
        cells = [(comparisons.states[x], comparisons.contexts[c]) for x, c in silent[:20]]
        raise ValueError(
            f"regime: the target puts mass on {len(silent)} cell(s) without a stated preference (no_overlap): {cells}; "
            "collect there, or declare a target without them"
        )


def even_reference(comparisons: Comparisons) -> NDArray[np.float64]:
    """Reference that gives every item the same probability."""
    return np.full((comparisons.n_states, comparisons.n_items), 1.0 / comparisons.n_items)


def reweight(
    comparisons: Comparisons,
    regime: Regime,
    *,
    reference: Float[np.ndarray, "state item"] | None = None,
    caps: Sequence[float] = CAPS,
    ridge: float = 0.0,
    least_n_eff_share: float = 0.3,
    most_top_share: float = 0.2,
) -> Reweighted:
    """Weigh a table towards a target and say how far to trust it.

    Parameters
    ----------
    comparisons : Comparisons
        A table with a context column; with propensities where the regime declares pairs.
    regime : Regime
        The target, over contexts.
    reference : array, shape (state, item), optional
        Reference policy; even by default.
    caps : sequence of float
        Caps of the frontier; the first should be infinite.
    ridge : float
        Of the tabular fits, per row.
    least_n_eff_share, most_top_share : float
        Trust rule, see :func:`bayespref.target.trust.trust`.

    Returns
    -------
    Reweighted

    Raises
    ------
    ValueError, RegimeError, TargetMixError
        As `bayespref.target.regime_weights.weights_towards` and `bayespref.target.fitdpo.tabular_dpo`.

    Warns
    -----
    EffectModification
        Where contexts prefer differently, so that weighted DPO is the wrong tool.

    Examples
    --------
    >>> from bayespref.simulate.scenarios import telemetry
    >>> from bayespref.target.regime import regime_from
    >>> table = telemetry(alpha=0.0, kappa=0.2, proxy_flip=0.0).comparisons
    >>> even = {"states": dict.fromkeys(table.states, 0.25), "types": dict.fromkeys(table.contexts, 0.5)}
    >>> fields = {"name": "even", "version": "1", "reason": "launch", "kind": "product", "beta": 1.0}
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     reweight(table, regime_from(fields | even)).trust.verdict
    'trusted'
    """
    weights = weights_towards(regime, comparisons)
    rows = preference_rows(comparisons)
    named = {"state": np.asarray(comparisons.states)[comparisons.state]}
    named["context"] = np.asarray(comparisons.contexts)[comparisons.codes("context")]
    target = context_target(regime, comparisons)
    _refuse_silent_cells(target, rows, comparisons)
    ref = even_reference(comparisons) if reference is None else np.asarray(reference, dtype=float)
    own = weights.weight[rows.keep]
    pair = (rows.state, rows.item_a, rows.item_b, rows.label)
    betas = tuple(regime.beta * factor for factor in (0.3, 1.0, 3.0))
    frontier = clip_beta_frontier(*pair, own, ref, caps=caps, betas=betas, ridge=ridge, times=rows.times)
    # Rows that stand for several are as many rows to the report and to the verdict.
    count = np.asarray(comparisons.weight)
    copies = np.repeat(np.arange(len(count)), np.where(count > 0, np.maximum(np.rint(count), 1), 0).astype(int))
    parts = tuple(part._replace(log_ratio=part.log_ratio[copies]) for part in weights.parts)
    every = Weights(weights.weight[copies], parts)
    verdict = trust(
        every.weight,
        frontier.top_items,
        least_n_eff_share=least_n_eff_share,
        most_top_share=most_top_share,
    )
    share = target / np.where(target.sum(axis=1, keepdims=True) > 0, target.sum(axis=1, keepdims=True), 1.0)
    share[target.sum(axis=1) == 0] = 1.0 / target.shape[1]
    who = None if comparisons.annotator is None else np.asarray(comparisons.annotator)[rows.keep]
    modification = effect_modification(
        rows.state, rows.context, *pair[1:], share, annotator=who, n_items=comparisons.n_items
    )
    cell = rows.state * len(comparisons.contexts) + rows.context
    cut = [np.minimum(own, cap) * rows.times for cap in caps]
    estimated = [estimated_target(w, cell, target.size).reshape(target.shape) for w in cut]
    return Reweighted(
        weights,
        overlap_report(every, {name: label[copies] for name, label in named.items()}),
        frontier,
        verdict,
        modification,
        np.stack(estimated),
        regime.content_hash,
        logged_hash(comparisons),
        int((~rows.keep).sum()),
    )


def ranking(
    comparisons: Comparisons,
    regime: Regime,
    *,
    n_bootstrap: int = 400,
    level: float = 0.95,
    ridge: float = 0.0,
    seed: int,
) -> pd.DataFrame:
    """Scores as logged and under the target, with intervals from resampled annotators.

    Cells (state, context) are brought to the target's shares anew in every resample, so that the intervals carry the
    error of the estimated shares too. Pairs are taken as logged.

    Parameters
    ----------
    comparisons : Comparisons
        A table with contexts and annotators.
    regime : Regime
        The target, over contexts.
    n_bootstrap : int
        Resamples of annotators.
    level : float
        Level of the percentile intervals.
    ridge : float
        Of the fits, per unit of mass.
    seed : int
        Seed of the resamples.

    Returns
    -------
    DataFrame
        ``state, item, population`` (logged, target, target minus logged), ``estimate, lower, upper`` (log-odds, centred
        over items). ``attrs["undefined"]``: share of resamples in which a score was infinite, left out of the
        intervals, which are NaN where none is left.

    Raises
    ------
    ValueError, RegimeError, TargetMixError
        As `bayespref.target.regime_weights.weights_towards`.

    Examples
    --------
    >>> from bayespref.simulate.scenarios import telemetry
    >>> from bayespref.target.regime import regime_from
    >>> table = telemetry(n_annotators=200, proxy_flip=0.0).comparisons
    >>> even = {"states": dict.fromkeys(table.states, 0.25), "types": dict.fromkeys(table.contexts, 0.5)}
    >>> fields = {"name": "even", "version": "1", "reason": "launch", "kind": "product", "beta": 1.0}
    >>> got = ranking(table, regime_from(fields | even), n_bootstrap=20, seed=0)
    >>> len(got), sorted(set(got["population"]))
    (48, ['logged', 'target', 'target minus logged'])
    """
    at_least("n_bootstrap", n_bootstrap, 2)
    between("level", level, 0.0, 1.0)
    # Refuses a target that no weight reaches.
    weights_towards(regime.model_copy(update={"pairs": type(regime.pairs)()}), comparisons)
    rows, target = preference_rows(comparisons), context_target(regime, comparisons)
    _refuse_silent_cells(target, rows, comparisons)
    n_states, n_contexts, n = *target.shape, comparisons.n_items
    who = np.asarray(comparisons.codes("annotator"))[rows.keep].astype(np.int64)
    people = len(comparisons.annotators)
    cells = n_states * n_contexts
    cell = (who * n_states + rows.state) * n_contexts + rows.context
    wins = pair_wins(cell, rows.item_a, rows.item_b, rows.label, rows.times, n_states=people * cells, n_items=n)
    wins = wins.reshape(people, -1)
    rng = np.random.default_rng(seed)
    count = rng.multinomial(people, np.full(people, 1.0 / people), size=n_bootstrap)
    drawn = np.concatenate([np.ones((1, people)), count]) @ wins
    drawn = drawn.reshape(-1, n_states, n_contexts, n, n)
    mass = drawn.sum(axis=(-1, -2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        weighted = np.where(mass > 0, target[..., None, None] * drawn / mass, 0.0)
    scores = {}
    for name, table in (("logged", drawn), ("target", weighted)):
        scores[name] = tabular_dpo(table.sum(axis=2), ridge=ridge).score
    scores["target minus logged"] = scores["target"] - scores["logged"]
    # A resample that misses a cell of the target estimates another target.
    missed = ((mass[..., 0, 0] == 0) & (target > 0)).any(axis=(1, 2))
    found, undefined = [], 0.0
    for name, score in scores.items():
        ok = ~np.isnan(score[1:]).any(axis=(1, 2)) & ~missed[1:]
        undefined = max(undefined, float(1.0 - ok.mean()))
        tails = [(1 - level) / 2, (1 + level) / 2]
        lower, upper = np.quantile(score[1:][ok], tails, axis=0) if ok.any() else np.full((2, n_states, n), np.nan)
        found += [
            {"state": state, "item": item, "population": name, "estimate": float(score[0, s, a])}
            | {"lower": float(lower[s, a]), "upper": float(upper[s, a])}
            for s, state in enumerate(comparisons.states)
            for a, item in enumerate(comparisons.items)
        ]
    out = pd.DataFrame(found)
    out.attrs |= {"undefined": undefined, "level": level, "seed": seed, "regime_hash": regime.content_hash}
    return out


def stale(result: xr.Dataset, regime: Regime, comparisons: Comparisons) -> list[str]:
    """Say why a result must be made anew: the declaration, the table or its logged propensities changed.

    Parameters
    ----------
    result : Dataset
        Group ``target``, or anything with the attributes ``regime_hash`` and ``logged_hash``.
    regime : Regime
        The declaration in force.
    comparisons : Comparisons
        The table in force.

    Returns
    -------
    list of str
        Empty where the result stands.

    Examples
    --------
    >>> from bayespref.simulate.scenarios import telemetry
    >>> from bayespref.target.regime import regime_from
    >>> regime = regime_from({"name": "n", "version": "1", "reason": "r", "kind": "randomised", "beta": 1.0})
    >>> table = telemetry(n_annotators=5).comparisons
    >>> made = xr.Dataset(attrs={"regime_hash": regime.content_hash, "logged_hash": "sha256:old"})
    >>> stale(made, regime, table)
    ['the table or its logged propensities changed: make the overlap report and the verdict anew']
    """
    found = []
    if result.attrs["regime_hash"] != regime.content_hash:
        found.append("the declared regime changed: make weights, policy and verdict anew")
    if result.attrs["logged_hash"] != logged_hash(comparisons):
        found.append("the table or its logged propensities changed: make the overlap report and the verdict anew")
    return found
