"""Panels of annotators of latent types who each answer the same number of different pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bayespref.checks import at_least, finite, simplex
from bayespref.comparisons import Comparisons, from_codes
from bayespref.simulate.annotate import outcome_probabilities
from bayespref.simulate.population import Seed, categorical


class Panel(NamedTuple):
    """A table and the types behind it."""

    comparisons: Comparisons
    """One row a label; the first item of a pair has the lower code. Types are not in it."""
    annotator_type: Int[np.ndarray, " annotator"]


def label_panel(
    reward: Float[np.ndarray, "type item"],
    type_weight: Float[np.ndarray, " type"],
    *,
    n_annotators: int,
    labels_per_annotator: int,
    seed: Seed,
) -> Panel:
    """Draw a panel: every annotator answers ``labels_per_annotator`` different pairs, drawn at random.

    Parameters
    ----------
    reward : array, shape (type, item)
        True rewards, log-odds.
    type_weight : array, shape (type,)
        Share of each type.
    n_annotators, labels_per_annotator : int
        Size; at most as many labels as there are pairs.
    seed : int or SeedSequence
        Seed.

    Returns
    -------
    Panel

    Raises
    ------
    TargetMixError
        If ``type_weight`` is no distribution.
    ValueError
        If shapes disagree, or more labels than pairs are asked for.

    Examples
    --------
    >>> panel = label_panel(np.zeros((2, 3)), [0.5, 0.5], n_annotators=4, labels_per_annotator=2, seed=0)
    >>> panel.comparisons.n_rows, panel.annotator_type.shape
    (8, (4,))
    """
    levels, weight = finite("reward", reward), simplex("type_weight", type_weight)
    if levels.ndim != 2 or weight.shape != levels.shape[:1]:
        raise ValueError(f"reward, type_weight: need (type, item) and (type,), got {levels.shape} and {weight.shape}")
    first, second = np.triu_indices(levels.shape[1], 1)
    people, each = at_least("n_annotators", n_annotators, 1), at_least("labels_per_annotator", labels_per_annotator, 1)
    if each > len(first):
        raise ValueError(f"labels_per_annotator: {levels.shape[1]} items make {len(first)} pairs, got {each}")
    rng = np.random.default_rng(seed)
    kind = categorical(weight, rng.random(people))
    pair = np.argsort(rng.random((people, len(first))), axis=1)[:, :each].reshape(-1)
    who = np.repeat(np.arange(people), each)
    gap = levels[kind[who], first[pair]] - levels[kind[who], second[pair]]
    rows = from_codes(
        first[pair],
        second[pair],
        (rng.random(len(who)) >= outcome_probabilities(gap)[0]).astype(np.int64),
        items=tuple(f"item {a}" for a in range(levels.shape[1])),
        annotator=who,
        annotators=tuple(f"person {i:05d}" for i in range(people)),
    )
    return Panel(rows, kind)
