"""Deployment that knows something about the person's type: contexts, and labels the person has given so far.

A context shifts the type weights of a region. Labels of a new annotator weigh types and posterior draws together: with
labels y, the pair (draw i, type c) has weight proportional to ``P_i(c) * prod P_i(y | c)``. What follows for scores
is in ``bayespref.defer.annotators``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.special import logsumexp

from bayespref.checks import as_float, finite, non_negative, simplex
from bayespref.dims import A_WINS, B_WINS, BOTH_BAD, TIE
from bayespref.display import shown
from bayespref.errors import TargetMixError


@shown(next_step="weigh rewards by these shares, draw by draw")
class TypePosterior(NamedTuple):
    """What the labels of each annotator say about their type, draw by draw."""

    weight: Float[np.ndarray, "draw annotator type"]
    """Joint weight of draw and type, share; sums to one over both. NaN where no draw and type allow the labels."""
    log_evidence: Float[np.ndarray, " annotator"]
    """Log-probability of the labels under the fit, nats; -inf where it is zero."""

    @property
    def probability(self) -> Float[np.ndarray, "annotator type"]:
        """P(type | labels), share."""
        return np.asarray(self.weight.sum(axis=0))

    @property
    def effective_draws(self) -> Float[np.ndarray, " annotator"]:
        """Effective number of draws behind an annotator's weights; few means that the labels contradict the fit."""
        by_draw = self.weight.sum(axis=-1)
        return np.asarray(1.0 / (by_draw**2).sum(axis=0))


def label_log_prob(
    difference: Float[np.ndarray, "draw label type"],
    outcome: Int[np.ndarray, " label"],
    *,
    log_tie: Float[np.ndarray, " draw"] | None = None,
    log_both_bad: Float[np.ndarray, " draw"] | None = None,
) -> Float[np.ndarray, "draw label type"]:
    """Log-probability of each given label under each type.

    Parameters
    ----------
    difference : float array, shape (draw, label, type)
        r(a) - r(b) of the pair each label is about, log-odds.
    outcome : int array, shape (label,)
        Codes of ``bayespref.dims.OUTCOMES``.
    log_tie, log_both_bad : float array, shape (draw,), optional
        Logits of the two further outcomes; None where the model has no such outcome.

    Returns
    -------
    float array, shape (draw, label, type)
        Nats.

    Raises
    ------
    ValueError
        If an outcome is unknown, or one the model does not have.

    Notes
    -----
    Davidson (1970): logits ``(d / 2, -d / 2, log_tie, log_both_bad)``.

    Examples
    --------
    >>> d = np.array([[[np.log(3.0), 0.0]]])
    >>> np.exp(label_log_prob(d, np.array([0]))).round(3)
    array([[[0.75, 0.5 ]]])
    """
    gap = finite("difference", difference)
    codes = np.asarray(outcome)
    if gap.ndim != 3 or codes.shape != gap.shape[1:2]:
        raise ValueError(
            f"difference, outcome: need shapes (draw, label, type) and (label,), got {gap.shape} and {codes.shape}"
        )
    logits = {A_WINS: gap / 2.0, B_WINS: -gap / 2.0}
    for code, name, logit in ((TIE, "log_tie", log_tie), (BOTH_BAD, "log_both_bad", log_both_bad)):
        if logit is not None:
            value = finite(name, logit)
            if value.shape != gap.shape[:1]:
                raise ValueError(f"{name}: must have one entry a draw, shape {gap.shape[:1]}, got {value.shape}")
            logits[code] = np.broadcast_to(value[:, None, None], gap.shape)
    strange = sorted(set(codes.tolist()) - set(logits))
    if strange:
        raise ValueError(f"outcome: code(s) {strange[:5]} are not among those of the model, {sorted(logits)}")
    total = logsumexp(np.stack(list(logits.values())), axis=0)
    chosen = np.empty_like(gap)
    for code, logit in logits.items():
        chosen[:, codes == code] = logit[:, codes == code]
    return np.asarray(chosen - total)


def type_posterior(
    type_weights: Float[np.ndarray, "draw *annotator type"],
    log_prob: Float[np.ndarray, "draw label type"],
    annotator: Int[np.ndarray, " label"],
    n_annotators: int,
    *,
    count: Float[np.ndarray, " label"] | None = None,
) -> TypePosterior:
    """Update type weights by the labels each annotator gave, for all annotators and draws at once.

    Parameters
    ----------
    type_weights : float array, shape (draw, type) or (draw, annotator, type)
        P(type) before the labels, per draw; by annotator where their contexts differ.
    log_prob : float array, shape (draw, label, type)
        Log-probability of each label under each type, nats; -inf is allowed. Whatever outcomes there are (ties, both
        bad) and whatever else speaks about the type (the prompt the person chose) is in it.
    annotator : int array, shape (label,)
        Who gave each label.
    n_annotators : int
        Number of annotators; those without labels keep their type weights.
    count : float array, shape (label,), optional
        How often each label was given.

    Returns
    -------
    TypePosterior
        Weights of draws and types, and the log-evidence.

    Raises
    ------
    TargetMixError
        If type weights are not distributions.
    ValueError
        On shapes that do not agree or annotators out of range.

    Notes
    -----
    Bayes' rule for an annotator outside the fit, whose posterior is given by equally weighted draws.

    Examples
    --------
    >>> half = np.array([[0.5, 0.5]])
    >>> one = np.log(np.array([[[0.9, 0.3]]]))
    >>> type_posterior(half, one, np.array([0]), 2).probability
    array([[0.75, 0.25],
           [0.5 , 0.5 ]])
    """
    weights = simplex("type_weights", type_weights)
    given = as_float("log_prob", log_prob, ndim=3)
    if np.isnan(given).any() or (given > 1e-9).any():
        raise ValueError("log_prob: must hold log-probabilities, at most 0 and never NaN")
    who = np.asarray(annotator)
    if not np.issubdtype(who.dtype, np.integer) or who.shape != given.shape[1:2]:
        raise ValueError(f"annotator: must hold one integer code a label, shape {given.shape[1:2]}, got {who.shape}")
    if who.size and not 0 <= who.min() <= who.max() < n_annotators:
        raise ValueError(f"annotator: codes must lie in 0..{n_annotators - 1}, got {who.min()} to {who.max()}")
    times = np.ones(who.shape) if count is None else finite("count", non_negative("count", count))
    if times.shape != who.shape:
        raise ValueError(f"count: must have one entry a label, shape {who.shape}, got {times.shape}")
    n_draws, _, n_types = given.shape
    if weights.ndim == 2:
        weights = weights[:, None, :]
    shape = (n_draws, n_annotators, n_types)
    if weights.shape not in (shape, (n_draws, 1, n_types)):
        raise ValueError(f"type_weights: must fit (draw, annotator, type) = {shape}, got {np.shape(type_weights)}")
    asked = np.flatnonzero(times > 0)  # a zero count times -inf would be NaN
    sums = csr_array((times[asked], (who[asked], asked)), shape=(n_annotators, len(who)))
    flat = given.transpose(1, 0, 2).reshape(len(who), n_draws * n_types)
    evidence = np.asarray(sums @ flat).reshape(n_annotators, n_draws, n_types).transpose(1, 0, 2)
    with np.errstate(divide="ignore"):
        joint = np.log(weights) + evidence - np.log(n_draws)
    total = logsumexp(joint, axis=(0, 2))
    with np.errstate(invalid="ignore"):  # -inf minus -inf: labels that nothing allows have no posterior
        return TypePosterior(np.exp(joint - total[None, :, None]), total)


def shift_by_context(
    region_weights: Float[np.ndarray, "*#draw region type"],
    context_weights: Float[np.ndarray, "*#draw context type"],
    overall: Float[np.ndarray, "*#draw type"],
) -> Float[np.ndarray, "*draw region context type"]:
    """P(type | region, context) from P(type | region) and P(type | context).

    Parameters
    ----------
    region_weights : float array, shape (..., region, type)
        P(type | region) of people whose context is not known.
    context_weights : float array, shape (..., context, type)
        P(type | context).
    overall : float array, shape (..., type)
        P(type) behind both.

    Returns
    -------
    float array, shape (..., region, context, type)
        Share; NaN where region and context exclude each other.

    Raises
    ------
    TargetMixError
        If a row is no distribution, or gives mass to a type that does not exist overall.

    Notes
    -----
    ``P(c | s, x)`` is proportional to ``P(c | s) P(c | x) / P(c)``: region and context are taken to be independent
    given the type. Where the region says nothing about the type, the result is the context's row.

    Examples
    --------
    >>> shift_by_context(np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]]), np.array([0.5, 0.5]))
    array([[[0.9, 0.1]]])
    """
    by_region = simplex("region_weights", region_weights)[..., :, None, :]
    by_context = simplex("context_weights", context_weights)[..., None, :, :]
    base = simplex("overall", overall)[..., None, None, :]
    if np.any((base == 0) & ((by_region > 0) | (by_context > 0))):
        raise TargetMixError("overall: a type of probability 0 has mass in a region or context")
    ratio = np.divide(by_context, base, out=np.zeros(np.broadcast_shapes(by_context.shape, base.shape)), where=base > 0)
    product = by_region * ratio
    total = product.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(product, total, out=np.full(product.shape, np.nan), where=total > 0))
