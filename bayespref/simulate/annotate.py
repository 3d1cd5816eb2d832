"""Draw comparisons from a population: one type per annotator, prompts that depend on the type, noisy choices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from bayespref.checks import as_float, finite, non_negative, simplex
from bayespref.dims import A_WINS, B_WINS, TIE
from bayespref.display import shown
from bayespref.errors import TargetMixError
from bayespref.simulate.population import Seed, categorical, draw_types


@shown(next_step="from_codes makes comparisons of it")
class Annotation(NamedTuple):
    """Drawn comparisons, one row each, and the latent types that produced them."""

    item_a: Int[np.ndarray, " comparison"]
    item_b: Int[np.ndarray, " comparison"]
    outcome: Int[np.ndarray, " comparison"]
    """Codes of ``bayespref.dims.OUTCOMES``: a, b or tie."""
    state: Int[np.ndarray, " comparison"]
    annotator: Int[np.ndarray, " comparison"]
    """Sorted: the rows of an annotator are consecutive."""
    annotator_type: Int[np.ndarray, " annotator"]


def annotate(
    reward: Float[np.ndarray, "state type item"],
    *,
    type_weight: ArrayLike,
    prompt_prob: ArrayLike,
    n_annotators: int,
    labels_per_annotator: int | Int[np.ndarray, " annotator"],
    pair_prob: ArrayLike | None = None,
    tie: float = 0.0,
    decisiveness: ArrayLike = 1.0,
    seed: Seed,
) -> Annotation:
    """Draw comparisons: type, then per label a state, an ordered pair and an outcome.

    An annotator has one type for all labels. With ``d`` the difference of rewards of item_a and item_b (times the
    annotator's decisiveness), outcomes have odds ``exp(d/2) : exp(-d/2) : tie`` for a, b and tie (Davidson 1970);
    ``tie = 0`` is Bradley-Terry, ``P(a) = sigmoid(d)``.

    Parameters
    ----------
    reward : float array, shape (state, type, item)
        Rewards, log-odds, finite.
    type_weight : float array, shape (type,)
        Share of each type.
    prompt_prob : float array, shape (state, type)
        p(state | type); every column sums to one (prompts are endogenous where columns differ).
    n_annotators : int
        Number of people.
    labels_per_annotator : int or int array, shape (annotator,)
        Labels each gives, >= 0.
    pair_prob : float array, shape (item, item) or (state, type, item, item), optional
        Probability of the ordered pair (item_a, item_b), zero on the diagonal, summing to one over the last two axes
        in every cell that can be asked about. All ordered pairs are equally likely by default.
    tie : float
        Davidson's tie parameter (odds of a tie between equal items against either win), >= 0.
    decisiveness : float or float array, shape (annotator,)
        Inverse temperature of each annotator, >= 0.
    seed : int
        Seed; the same seed gives the same rows.

    Returns
    -------
    Annotation
        Integer-coded rows and the annotators' types.

    Raises
    ------
    TargetMixError
        If a distribution is not one.
    ValueError
        If shapes disagree, a pair is an item with itself, or fewer than two items exist.

    Examples
    --------
    >>> rows = annotate(np.array([[[5.0, -5.0]]]), type_weight=[1.0], prompt_prob=[[1.0]], n_annotators=3,
    ...                 labels_per_annotator=2, seed=0)
    >>> bool(np.all(np.where(rows.outcome == 0, rows.item_a, rows.item_b) == 0)), rows.annotator.tolist()
    (True, [0, 0, 1, 1, 2, 2])
    """
    values = finite("reward", reward)
    if values.ndim != 3 or values.shape[-1] < 2:
        raise ValueError(f"reward: must have axes (state, type, item) and at least two items, got {values.shape}")
    n_states, n_types = values.shape[:2]
    weight = simplex("type_weight", type_weight)
    prompts = simplex("prompt_prob", prompt_prob, axis=0)
    if weight.shape != (n_types,):
        raise ValueError(f"type_weight: must have shape ({n_types},), got {weight.shape}")
    if prompts.shape != (n_states, n_types):
        raise ValueError(f"prompt_prob: must have shape ({n_states}, {n_types}), got {prompts.shape}")
    nu = float(finite("tie", non_negative("tie", tie)))
    scale = np.broadcast_to(finite("decisiveness", non_negative("decisiveness", decisiveness)), (n_annotators,))
    labels = np.broadcast_to(np.asarray(labels_per_annotator), (n_annotators,))
    if not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
        raise ValueError("labels_per_annotator: must hold integers >= 0")

    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    # Children by key, not spawn(): spawning would change the caller's sequence, and a second run with it.
    streams = [np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, i)) for i in range(4)]
    person_type = draw_types(n_annotators, weight, seed=streams[0])
    annotator = np.repeat(np.arange(n_annotators), labels)
    row_type = person_type[annotator]
    state = _draw_states(prompts, row_type, np.random.default_rng(streams[1]).random(len(annotator)))
    item_a, item_b = _draw_pairs(pair_prob, state, row_type, values.shape, np.random.default_rng(streams[2]))
    difference = scale[annotator] * (values[state, row_type, item_a] - values[state, row_type, item_b])
    outcome = _draw_outcomes(difference, nu, np.random.default_rng(streams[3]).random(len(annotator)))
    return Annotation(item_a, item_b, outcome, state, annotator, person_type)


def outcome_probabilities(
    difference: Float[np.ndarray, "*shape"], tie: float = 0.0
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Probabilities of a, b and tie at a difference of rewards (Davidson 1970, eq. 2.2), stable at any size.

    Parameters
    ----------
    difference : float array
        Reward of item_a minus reward of item_b, log-odds.
    tie : float
        Davidson's tie parameter, >= 0.

    Returns
    -------
    tuple of three float arrays
        P(a), P(b), P(tie), summing to one.

    Raises
    ------
    ValueError
        If ``tie`` is negative or NaN.

    Examples
    --------
    >>> [round(float(p), 4) for p in outcome_probabilities(np.array(0.0), tie=2.0)]
    [0.25, 0.25, 0.5]
    """
    nu = float(non_negative("tie", tie))
    gap = np.asarray(difference, dtype=np.float64)
    half = np.exp(-np.abs(gap) / 2)
    total = 1.0 + half * half + nu * half
    favourite, underdog = 1.0 / total, half * half / total
    return np.where(gap >= 0, favourite, underdog), np.where(gap >= 0, underdog, favourite), nu * half / total


def _draw_outcomes(
    difference: Float[np.ndarray, " comparison"], tie: float, uniform: Float[np.ndarray, " comparison"]
) -> Int[np.ndarray, " comparison"]:
    p_a, p_b, _ = outcome_probabilities(difference, tie)
    # P(tie) occupies the top of the unit interval, so that tie = 0 leaves exactly two outcomes despite rounding.
    decided = np.where(uniform < p_a, A_WINS, B_WINS)
    if tie == 0.0:
        return decided
    return np.where(uniform < p_a + p_b, decided, TIE)


def _draw_states(
    prompts: Float[np.ndarray, "state type"],
    row_type: Int[np.ndarray, " comparison"],
    uniform: Float[np.ndarray, " comparison"],
) -> Int[np.ndarray, " comparison"]:
    state = np.zeros(len(row_type), dtype=np.int64)
    for c in range(prompts.shape[1]):
        rows = row_type == c
        state[rows] = categorical(prompts[:, c], uniform[rows])
    return state


def _draw_pairs(
    pair_prob: ArrayLike | None,
    state: Int[np.ndarray, " comparison"],
    row_type: Int[np.ndarray, " comparison"],
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " comparison"], Int[np.ndarray, " comparison"]]:
    _, n_types, n_items = shape
    if pair_prob is None:
        item_a = rng.integers(n_items, size=len(state))
        other = rng.integers(n_items - 1, size=len(state))
        return item_a, other + (other >= item_a)
    chance = as_float("pair_prob", pair_prob)
    if chance.shape not in ((n_items, n_items), (*shape, n_items)):
        raise ValueError(
            f"pair_prob: must have shape ({n_items}, {n_items}) or {(*shape, n_items)}, got {chance.shape}"
        )
    if np.any(np.diagonal(chance, axis1=-2, axis2=-1) != 0):
        raise ValueError("pair_prob: an item cannot be compared with itself; the diagonal must be zero")
    uniform = rng.random(len(state))
    flat = np.zeros(len(state), dtype=np.int64)
    cell = state * n_types + row_type
    order = np.argsort(cell, kind="stable")
    present, size = np.unique(cell, return_counts=True)
    for code, rows in zip(present.tolist(), np.split(order, np.cumsum(size))[: len(present)], strict=True):
        s, c = divmod(code, n_types)
        table = chance if chance.ndim == 2 else chance[s, c]
        if not np.all(table >= 0) or not abs(float(table.sum()) - 1.0) <= 1e-8:
            raise TargetMixError(f"pair_prob: not a distribution over ordered pairs in state {s}, type {c}")
        flat[rows] = categorical(table.ravel(), uniform[rows])
    return flat // n_items, flat % n_items
