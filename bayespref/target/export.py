"""Weighted preferences for a trainer: a table with ``weight`` and ``margin``, and a recipe to resample without weights.

TRL's DPO trainer reads prompt, chosen and rejected, and no weights. Either train with the ``weight`` column in a loss
of your own, or draw the table anew with ``resample`` and train as usual: the expected loss is the same, at the
effective sample size that the recipe states.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import at_least, finite, non_negative
from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, BOTH_BAD, TIE
from bayespref.display import shown
from bayespref.files import replacing
from bayespref.weights import effective_sample_size


@shown("{recipe}", next_step="train on the rows; report n_eff beside the result")
class Resample(NamedTuple):
    """A table drawn anew in proportion to weights.

    Attributes
    ----------
    rows : int array, shape (n,)
        Rows to take, with repetition.
    n_eff : float
        Effective sample size of the weights: the draw carries no more information than this many rows, however long.
    recipe : str
        How it was drawn, in words, with the seed.
    """

    rows: NDArray[np.int64]
    n_eff: float
    recipe: str


def trl_table(
    comparisons: Comparisons,
    weight: Float[np.ndarray, " n"] | None = None,
    *,
    score: Float[np.ndarray, "state item"] | None = None,
    text: Mapping[str, str] | None = None,
    prompt: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Rows for a preference trainer, with weight and margin.

    Parameters
    ----------
    comparisons : Comparisons
        The table; states are prompts and items are completions.
    weight : array, shape (n,), optional
        One a row; the row's own count multiplies it. 1 if omitted.
    score : array, shape (state, item), optional
        Rewards under the target, log-odds; ``margin`` is chosen minus rejected. NaN margins without it.
    text, prompt : mapping of label to str, optional
        Text of each item, and of each state; the label stands for it if omitted.

    Returns
    -------
    DataFrame
        ``prompt, chosen, rejected, weight, margin, row``. A tie gives both orders at half the weight, which is exact:
        the loss is linear in the label. "Both bad" states no preference between the two and cannot be said in this
        format: ``attrs["left_out_both_bad"]`` counts those rows. Rows of weight zero are kept.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, shapes disagree, or an item or state has no text.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 0]), np.array([1, 1]), np.array([1, 2]), items=("x", "y"))
    >>> trl_table(table, np.array([1.0, 3.0]))[["chosen", "rejected", "weight"]].values.tolist()
    [['y', 'x', 1.0], ['x', 'y', 1.5], ['y', 'x', 1.5]]
    """
    w = np.ones(comparisons.n_rows) if weight is None else finite("weight", non_negative("weight", weight))
    if w.shape != (comparisons.n_rows,):
        raise ValueError(f"weight: must have one entry a row, shape ({comparisons.n_rows},), got {w.shape}")
    outcome, a, b = (np.asarray(x) for x in (comparisons.outcome, comparisons.item_a, comparisons.item_b))
    said = np.flatnonzero(outcome != BOTH_BAD)
    tied = outcome[said] == TIE
    row = np.repeat(said, np.where(tied, 2, 1))
    second = np.concatenate([[False], row[1:] == row[:-1]]) if len(row) else np.zeros(0, dtype=bool)
    a_chosen = (outcome[row] == A_WINS) | ((outcome[row] == TIE) & ~second)
    chosen, rejected = np.where(a_chosen, a[row], b[row]), np.where(a_chosen, b[row], a[row])
    half = np.where(outcome[row] == TIE, 0.5, 1.0)
    state = np.asarray(comparisons.state)[row]
    values = np.full((comparisons.n_states, comparisons.n_items), np.nan) if score is None else np.asarray(score)
    items, states = _texts("text", comparisons.items, text), _texts("prompt", comparisons.states, prompt)
    table = pd.DataFrame(
        {
            "prompt": states[state],
            "chosen": items[chosen],
            "rejected": items[rejected],
            "weight": half * w[row] * np.asarray(comparisons.weight)[row],
            "margin": values[state, chosen] - values[state, rejected],
            "row": row,
        }
    )
    table.attrs["left_out_both_bad"] = int((outcome == BOTH_BAD).sum())
    return table


def _texts(name: str, labels: tuple[str, ...], said: Mapping[str, str] | None) -> NDArray[np.object_]:
    absent = [] if said is None else [label for label in labels if label not in said]
    if absent:
        raise ValueError(f"{name}: nothing is given for {absent[:5]}")
    return np.array([label if said is None else said[label] for label in labels], dtype=object)


def resample(weight: Float[np.ndarray, " n"], n: int, *, seed: int) -> Resample:
    """Draw rows in proportion to weights, as evenly as whole rows allow (systematic resampling).

    Parameters
    ----------
    weight : array, shape (n,)
        Weights >= 0.
    n : int
        Rows to draw.
    seed : int
        Seed.

    Returns
    -------
    Resample
        Each row appears floor or ceiling of ``n w / sum w`` times, and that often on average.

    Raises
    ------
    ValueError
        If no weight is above zero, or one is negative or not finite.

    Examples
    --------
    >>> got = resample(np.array([1.0, 0.0, 3.0]), 4, seed=0)
    >>> sorted(got.rows.tolist()), round(got.n_eff, 2)
    ([0, 2, 2, 2], 1.6)
    """
    w = finite("weight", non_negative("weight", weight))
    if not w.sum() > 0:
        raise ValueError("weight: at least one must be above zero")
    rng = np.random.default_rng(seed)
    ends = np.cumsum(w) / w.sum()
    ends[-1] = 1.0
    points = (np.arange(at_least("n", n, 1)) + rng.random()) / n
    rows = np.searchsorted(ends, points, side="right")
    last = int(np.flatnonzero(w)[-1])
    n_eff = float(effective_sample_size(w))
    words = f"{n} of {len(w)} rows, systematic, in proportion to weight, seed {seed}; n_eff {n_eff:.1f}"
    return Resample(rng.permutation(np.minimum(rows, last)).astype(np.int64), n_eff, words)


def write_trl(table: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a training table as JSON lines, whole or not at all; undefined margins are null.

    Parameters
    ----------
    table : DataFrame
        From `trl_table`.
    path : path
        File to write.

    Returns
    -------
    pathlib.Path
    """
    rows = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    with replacing(path) as part, part.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return Path(path)
