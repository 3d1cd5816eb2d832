"""Scores for people whose type is partly known: averages over draws and types under what their labels say.

Without labels such a score is the region's, with a known type it is the type's. Under the type-aware regret (against
the person's own best item) the score of a region is a minimum of linear functions of the weights, hence concave:
averaged over the labels the fit predicts, knowing more never raises it.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from bayespref.checks import as_float, one_of, simplex
from bayespref.comparisons import Comparisons
from bayespref.defer.scores import worst_regret
from bayespref.defer.types import TypePosterior, label_log_prob, type_posterior
from bayespref.dims import ANNOTATOR, CHAIN, DRAW, ITEM, STATE, TYPE

COMPARATORS = ("type", "state")
"""Whom regret is measured against: the person's own best item, or the best single item for the mix of types."""
_SAMPLE = "sample"


def annotator_scores(
    matrix: Float[np.ndarray, "draw region type alternative item"],
    posterior: TypePosterior,
    *,
    comparator: str = "type",
    available: Bool[np.ndarray, "region item"] | None = None,
    kept: Bool[np.ndarray, "draw region type"] | None = None,
) -> Float[np.ndarray, "annotator region item"]:
    """Score every action of every region for people whose type is partly known.

    Parameters
    ----------
    matrix : float array, shape (draw, region, type, alternative, played)
        Upper bounds of r(a') - r(a) by type (the score is ``set_pure``), or their draws (``chow``). May be +inf.
    posterior : TypePosterior
        Weights of draws and types by annotator.
    comparator : {"type", "state"}
        ``type``: regret against the best item of the person's own type. This score falls, on average over the labels
        the fit predicts, as labels arrive. ``state``: regret against the best single item for the current mix of
        types, as regions are scored that do not see the type; a sharper mix also sharpens the comparator, so that it
        may rise.
    available : bool array, shape (region, item), optional
        Items on offer; scores of the others are NaN.
    kept : bool array, shape (draw, region, type), optional
        Draws to use, False where a draw refutes the assumed range.

    Returns
    -------
    float array, shape (annotator, region, item)
        Units of the input; +inf where a draw and type of positive weight are unbounded, NaN where nothing is known of
        the annotator or no draw is kept.

    Raises
    ------
    ValueError
        If draws or types do not agree, or the matrix is not one of regrets.

    Notes
    -----
    Design notes on minimax regret, "type-aware comparator", averaged over draws.

    Examples
    --------
    Two types that want opposite things, one unit apart; nobody's type is known, then it is.

    >>> one = np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> matrix = np.stack([one, -one])[None, None]
    >>> for share in (0.5, 0.9, 1.0):
    ...     who = TypePosterior(np.array([[[share, 1 - share]]]), np.zeros(1))
    ...     print(annotator_scores(matrix, who).round(3).tolist())
    [[[0.5, 0.5]]]
    [[[0.1, 0.9]]]
    [[[0.0, 1.0]]]
    """
    one_of("comparator", comparator, COMPARATORS)
    values = as_float("matrix", matrix, ndim=5)
    weight = as_float("posterior.weight", posterior.weight, ndim=3)
    n_draws, n_regions, n_types, _, n_items = values.shape
    if (weight.shape[0], weight.shape[2]) != (n_draws, n_types):
        raise ValueError(
            f"matrix, posterior: draws and types must agree, got {(n_draws, n_types)} and "
            f"{(weight.shape[0], weight.shape[2])}"
        )
    usable: NDArray[np.bool_] = np.full((n_regions, n_items), True) if available is None else np.array(available)
    keep: NDArray[np.bool_] = np.full(values.shape[:3], True) if kept is None else np.array(kept)
    if keep.dtype != np.bool_ or keep.shape != values.shape[:3]:
        raise ValueError(f"kept: must be boolean of shape {values.shape[:3]}, got {keep.dtype} of {keep.shape}")
    values = np.where(keep[..., None, None], values, 0.0)
    if comparator == "type":
        regret = worst_regret(values, available=usable[:, None, :])
        score = np.stack([_average(w[:, None, :] * keep, regret, "drt,drta->ra") for w in weight.transpose(1, 0, 2)])
    else:
        whole = np.asarray(keep.all(axis=2))
        score = np.stack([_against_mix(w, values, usable, whole) for w in weight.transpose(1, 0, 2)])
    return np.where(usable, score, np.nan)


def score_annotators(
    posterior: xr.Dataset,
    labels: Comparisons,
    *,
    upper: Float[np.ndarray, "sample state type item item_other"] | None = None,
    context_weights: Float[np.ndarray, "context type"] | None = None,
    prompts: bool = True,
    comparator: str = "type",
    available: Bool[np.ndarray, "state item"] | None = None,
) -> xr.Dataset:
    """Score every state for people outside the fit, given the labels they have given so far.

    Parameters
    ----------
    posterior : Dataset
        Group ``posterior`` of a fit: ``reward``, ``type_weight`` and, where the model has them, ``prompt_prob``,
        ``log_tie``, ``log_both_bad``. Thin it first if it is large.
    labels : Comparisons
        Their labels; annotators without rows are scored by the type weights alone. States and items are matched by
        name.
    upper : float array, shape (sample, state, type, item, item), optional
        Upper bounds of the differences, draw by draw (samples in the order chain, draw), NaN for draws that refute
        the range. Without them only ``chow`` is scored, which reads the prior where nobody asked.
    context_weights : float array, shape (context, type), optional
        P(type | context), rows in the order of ``labels.contexts``; an annotator's context must be one. Replaces the
        fitted type weights.
    prompts : bool
        Whether the states a person asks about speak about their type (where the model says how).
    comparator : {"type", "state"}
        As in :func:`annotator_scores`.
    available : bool array, shape (state, item), optional
        Items on offer.

    Returns
    -------
    Dataset
        ``chow`` and ``set_pure`` by (annotator, state, item); their least values ``c_*`` and items ``action_*`` by
        (annotator, state); ``type_probability`` by (annotator, type); ``n_labels``, ``effective_draws`` and
        ``log_evidence`` by annotator.

    Raises
    ------
    TableError
        If the table names no annotators, or no contexts where they are needed.
    ValueError
        If a state or item is not in the fit, or an annotator has several contexts.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> reward = xr.DataArray(np.array([[[[[1.0, 0.0], [0.0, 1.0]]]]]), dims=("chain", "draw", "state", "type", "item"),
    ...     coords={"state": ["s"], "type": ["k", "l"], "item": ["x", "y"]})
    >>> fit = xr.Dataset({"reward": reward, "type_weight": (("chain", "draw", "type"), np.array([[[0.5, 0.5]]]))})
    >>> rows = from_codes(np.zeros(9, int), np.ones(9, int), np.zeros(9, int), items=("x", "y"), states=("s",),
    ...     state=np.zeros(9, int), annotator=np.zeros(9, int), annotators=("ann", "new"))
    >>> score_annotators(fit, rows)["c_chow"].values.round(3).tolist()
    [[0.0], [0.5]]
    """
    stacked = posterior.stack({_SAMPLE: (CHAIN, DRAW)})
    reward = stacked["reward"].transpose(_SAMPLE, STATE, TYPE, ITEM)
    draws = reward.values
    state = _codes("state", labels.states, reward[STATE].values.tolist())
    item = _codes("item", labels.items, reward[ITEM].values.tolist())
    who = labels.codes("annotator")
    counts = labels.counts
    s, a, b = state[counts.state], item[counts.item_a], item[counts.item_b]
    if (np.concatenate([s, a, b]) < 0).any():
        raise ValueError("labels: name states or items that are not in the fit; leave those rows out")
    rows = draws[:, s]  # (sample, label, type, item)
    at = np.arange(len(s))
    gap = rows[:, at, :, a] - rows[:, at, :, b]  # advanced indices apart: the label axis comes first
    log_prob = label_log_prob(
        gap.transpose(1, 0, 2),
        counts.outcome,
        log_tie=stacked["log_tie"].values if "log_tie" in stacked else None,
        log_both_bad=stacked["log_both_bad"].values if "log_both_bad" in stacked else None,
    )
    if prompts and "prompt_prob" in stacked:
        asked = stacked["prompt_prob"].transpose(_SAMPLE, STATE, TYPE).values
        with np.errstate(divide="ignore"):
            log_prob = log_prob + np.log(asked)[:, s]
    prior = stacked["type_weight"].transpose(_SAMPLE, TYPE).values
    if context_weights is not None:
        rows_by_context = simplex("context_weights", context_weights)
        prior = np.broadcast_to(
            rows_by_context[_context_of(labels, who)], (len(draws), labels.n_annotators, rows_by_context.shape[1])
        )
    found = type_posterior(prior, log_prob, counts.annotator, labels.n_annotators, count=counts.total)
    difference = draws[..., :, None] - draws[..., None, :]
    matrices: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_] | None]] = {"chow": (difference, None)}
    if upper is not None:
        bound = as_float("upper", upper)
        if bound.shape != difference.shape:
            raise ValueError(f"upper: must have shape {difference.shape}, got {bound.shape}")
        matrices["set_pure"] = (bound, np.asarray(~np.isnan(bound).any(axis=(-1, -2))))
    data: dict[str, tuple[tuple[str, ...], NDArray[np.generic]]] = {
        "type_probability": ((ANNOTATOR, TYPE), found.probability),
        "n_labels": ((ANNOTATOR,), np.bincount(counts.annotator, counts.total, labels.n_annotators)),
        "effective_draws": ((ANNOTATOR,), found.effective_draws),
        "log_evidence": ((ANNOTATOR,), found.log_evidence),
    }
    names = np.array([*reward[ITEM].values.astype(str), ""])
    for rule, (matrix, kept) in matrices.items():
        score = annotator_scores(matrix, found, comparator=comparator, available=available, kept=kept)
        open_score = np.where(np.isnan(score), np.inf, score)
        best = open_score.argmin(axis=-1)
        least = np.take_along_axis(score, best[..., None], axis=-1)[..., 0]
        data[rule] = ((ANNOTATOR, STATE, ITEM), score)
        data[f"c_{rule}"] = ((ANNOTATOR, STATE), least)
        data[f"action_{rule}"] = ((ANNOTATOR, STATE), names[np.where(np.isfinite(least), best, -1)])
    coords = {name: reward[name].values for name in (STATE, TYPE, ITEM) if name in reward.coords}
    return xr.Dataset(
        data,
        coords=coords | {ANNOTATOR: np.asarray(labels.annotators, dtype=str)},
        attrs={"units": "log-odds of reward", "comparator": comparator},
    )


def _average(weight: NDArray[np.float64], regret: NDArray[np.float64], subscripts: str) -> NDArray[np.float64]:
    """Weighted mean over draws and types, infinite or undefined where an entry of positive weight is."""
    left = subscripts.partition(",")[0]
    total = np.einsum(f"{left}->r", weight)[:, None]
    parts = [np.isposinf(regret), np.isnan(regret)]
    inf, nan = (np.einsum(subscripts, weight > 0, part, dtype=np.float64) > 0 for part in parts)
    mean = np.einsum(subscripts, weight, np.where(np.isfinite(regret), regret, 0.0))
    mean = np.divide(mean, total, out=np.full(mean.shape, np.nan), where=total > 0)
    return np.where(nan, np.nan, np.where(inf, np.inf, mean))


def _against_mix(
    weight: NDArray[np.float64], values: NDArray[np.float64], usable: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Score of one annotator when regret is measured against the best item for the mix of types."""
    by_draw = weight.sum(axis=-1)
    share = np.divide(weight, by_draw[:, None], out=np.zeros(weight.shape), where=by_draw[:, None] > 0)
    part = share[:, None, :, None, None]
    with np.errstate(invalid="ignore"):
        mixed = np.where(part > 0, part * values, 0.0).sum(axis=2)
    regret = worst_regret(mixed, available=usable)
    return _average(by_draw[:, None] * kept, regret, "dr,dra->ra")


def _codes(name: str, labels: tuple[str, ...], known: list[str]) -> NDArray[np.int64]:
    """Position of each label among the fit's, -1 where it is not there."""
    position = {str(label): i for i, label in enumerate(known)}
    if len(position) < len(known):
        raise ValueError(f"{name}: labels of the fit are not distinct")
    return np.array([position.get(label, -1) for label in labels], dtype=np.int64)


def _context_of(labels: Comparisons, who: NDArray[np.integer]) -> NDArray[np.int64]:
    """The one context of every annotator."""
    context = labels.codes("context")
    pairs = np.unique(np.stack([who, context], axis=1), axis=0)
    if len(pairs) != labels.n_annotators or len(np.unique(pairs[:, 0])) != labels.n_annotators:
        raise ValueError("labels: every annotator needs rows of exactly one context where context_weights are given")
    return np.asarray(pairs[:, 1], dtype=np.int64)
