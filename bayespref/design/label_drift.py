"""Have the answers changed? P(label | pair, state, type) over time, by annotator and by position.

`bayespref.design.drift` asks whether other comparisons are *asked*; this module asks whether the same comparisons are
*answered* otherwise. Strata are (state, pair, type), so a change of what is asked is no change of answers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy.typing import NDArray
from scipy.stats import beta

from bayespref.checks import between
from bayespref.comparisons import Comparisons
from bayespref.design.changes import Changes, change_points
from bayespref.design.gate import codes
from bayespref.dims import A_WINS, BOTH_BAD, TIE
from bayespref.display import shown


@shown(next_step="if answers changed, fit the regimes apart and date the fit")
class LabelDrift(NamedTuple):
    """What changed in the answers.

    Attributes
    ----------
    overall : Changes
        Any change of any stratum.
    position : Changes or None
        Change of the pull of the side shown first; None without positions.
    annotators : DataFrame
        Per annotator: ``annotator``, ``n``, ``p_value`` of their strongest change (of their agreement with the
        majority of each stratum), ``time`` of it, ``p_adjusted`` (Holm over annotators) and ``changed``.
    shares : DataFrame
        Per stratum and regime of ``overall``: ``state``, ``type``, ``item_a``, ``item_b``, ``since``, ``n``, ``share``
        (preferred ``item_a``), ``lower`` and ``upper`` (Clopper-Pearson at 95 %, answers independent), ``moved``
        (difference from the regime before).
    level : float
        Chance of a report if nothing changed, for each of the three.
    """

    overall: Changes
    position: Changes | None
    annotators: pd.DataFrame
    shares: pd.DataFrame
    level: float

    @property
    def words(self) -> str:
        """Verdict in one sentence."""
        note = f"(false-alarm rate {self.level:g}, {self.overall.n_permutations} permutations)"
        if self.overall.reason:
            return f"answers changed: cannot be told, no question was asked often enough {note}"
        if not len(self.overall.time):
            return f"answers changed: no, p = {self.overall.p_first:.3g} {note}"
        moments = ", ".join(f"{moment:.6g}" for moment in self.overall.time)
        return f"answers changed: yes, at time {moments}, p = {self.overall.p_first:.3g} {note}"


def label_drift(
    comparisons: Comparisons,
    *,
    rng: np.random.Generator,
    kind: Int[np.ndarray, " comparison"] | None = None,
    level: float = 0.05,
    n_permutations: int = 499,
    least: int = 20,
    most: int = 3,
) -> LabelDrift:
    """Look for changes of the answers over time: in any stratum, in the pull of position, and by annotator.

    Parameters
    ----------
    comparisons : Comparisons
        With timestamps. Rows of weight zero and both-bad answers are left out; a row counts once whatever its weight.
    rng : numpy.random.Generator
    kind : int array, shape (comparison,), optional
        Type of whoever answered (an observed context, or the likeliest type); the table's context by default, else one
        type.
    level : float
        Chance of a report if nothing changed; for annotators over all of them together.
    n_permutations : int
        Permutations behind each p-value.
    least, most : int
        As in `bayespref.design.changes.change_points`; an annotator needs at least twice ``least`` answers.

    Returns
    -------
    LabelDrift

    Raises
    ------
    ValueError
        If the table has no timestamps, or ``kind`` has the wrong shape.

    Notes
    -----
    Answers of a stratum are permuted as if independent: where one annotator answers the same question in bursts, a
    change of who answers can look like a change of answers. Name the annotator's type in ``kind`` then.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> n = 300
    >>> outcome = (np.arange(n) >= 150).astype(int)
    >>> table = from_codes(np.zeros(n, int), np.ones(n, int), outcome, items=("x", "y"), timestamp=np.arange(n) * 1.0)
    >>> label_drift(table, rng=np.random.default_rng(0), n_permutations=99).overall.time.tolist()
    [150.0]
    """
    if comparisons.timestamp is None:
        raise ValueError("comparisons: has no timestamps; name the column when reading the table")
    between("level", level, 0.0, 1.0)
    kinds = comparisons.contexts if kind is None and comparisons.context is not None else ()
    if kind is None:
        kind = comparisons.context if comparisons.context is not None else np.zeros(comparisons.n_rows, dtype=np.int64)
    group = codes("kind", kind, comparisons.n_rows)
    use = (comparisons.outcome != BOTH_BAD) & (comparisons.weight > 0)
    a, b = comparisons.item_a[use].astype(np.int64), comparisons.item_b[use].astype(np.int64)
    won = np.where(comparisons.outcome[use] == TIE, 0.5, (comparisons.outcome[use] == A_WINS).astype(float))
    flip = a > b
    label, first, second = np.where(flip, 1.0 - won, won), np.minimum(a, b), np.maximum(a, b)
    keys = np.stack([comparisons.state[use].astype(np.int64), group[use], first, second], axis=1)
    strata, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.reshape(-1)
    time = np.asarray(comparisons.timestamp[use], dtype=np.float64)
    options: dict[str, Any] = {"rng": rng, "level": level, "n_permutations": n_permutations, "least": least}
    overall = change_points(label, place, time, most=most, **options)
    position = None
    if comparisons.position is not None and (comparisons.position[use] != 0).any():
        side = np.where(flip, -1.0, 1.0) * comparisons.position[use]
        # A constant pull of the first position is no drift: it is part of the stratum.
        split = place * 3 + (side + 1).astype(np.int64)
        position = change_points(label, split, time, direction=side, most=most, **options)
    people = _by_annotator(comparisons, use, label, place, time, options)
    shares = _shares(comparisons, kinds, strata, place, label, time, overall)
    return LabelDrift(overall, position, people, shares, level)


def _by_annotator(
    comparisons: Comparisons,
    use: NDArray[np.bool_],
    label: NDArray[np.float64],
    place: NDArray[np.intp],
    time: NDArray[np.float64],
    options: dict[str, Any],
) -> pd.DataFrame:
    columns = ["annotator", "n", "p_value", "time", "p_adjusted", "changed"]
    if comparisons.annotator is None:
        return pd.DataFrame(columns=columns)
    who = comparisons.annotator[use]
    mean = np.bincount(place, weights=label) / np.bincount(place)
    # Agreement with the majority. Only answers to one question are exchangeable within an annotator: who always answers
    # two questions differently, and is asked one after the other, has changed nothing.
    lean = np.sign(mean - 0.5)[place]
    rows = []
    for person in np.unique(who):
        mine = who == person
        if mine.sum() < 2 * options["least"]:
            continue
        got = change_points(label[mine], place[mine], time[mine], direction=lean[mine], most=1, **options)
        moment = float(got.time[0]) if len(got.time) else np.nan
        rows.append((comparisons.annotators[person], int(mine.sum()), got.p_first, moment))
    table = pd.DataFrame(rows, columns=columns[:4])
    p = table["p_value"].to_numpy(dtype=np.float64)
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    table["p_adjusted"] = adjusted
    table["changed"] = adjusted <= options["level"]
    return table.sort_values("p_value", kind="stable", ignore_index=True)


def _shares(
    comparisons: Comparisons,
    kinds: tuple[str, ...],
    strata: NDArray[np.int64],
    place: NDArray[np.intp],
    label: NDArray[np.float64],
    time: NDArray[np.float64],
    overall: Changes,
) -> pd.DataFrame:
    """Share of answers for the first item of every stratum in every regime, with Clopper-Pearson limits at 95 %."""
    n_regimes = len(overall.time) + 1
    regime = np.searchsorted(overall.time, time, side="right")
    cell = place * n_regimes + regime
    n = np.bincount(cell, minlength=len(strata) * n_regimes).astype(np.float64)
    won = np.bincount(cell, weights=label, minlength=len(n))
    share = np.divide(won, n, out=np.full(len(n), np.nan), where=n > 0)
    lower = np.where(won > 0, beta.ppf(0.025, np.maximum(won, 1e-9), n - won + 1), 0.0)
    upper = np.where(won < n, beta.ppf(0.975, won + 1, np.maximum(n - won, 1e-9)), 1.0)
    moved = np.full((len(strata), n_regimes), np.nan)
    moved[:, 1:] = np.diff(share.reshape(len(strata), n_regimes), axis=1)
    names = np.array([str(kinds[k]) if k < len(kinds) else f"type {k}" for k in strata[:, 1]])
    items, states = np.array(comparisons.items, dtype=object), np.array(comparisons.states, dtype=object)
    since = np.concatenate([[time.min() if len(time) else np.nan], overall.time])

    def each(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, n_regimes)

    return pd.DataFrame(
        {
            "state": each(states[strata[:, 0]]),
            "type": each(names),
            "item_a": each(items[strata[:, 2]]),
            "item_b": each(items[strata[:, 3]]),
            "since": np.tile(since, len(strata)),
            "n": n.astype(np.int64),
            "share": share,
            "lower": np.where(n > 0, lower, np.nan),
            "upper": np.where(n > 0, upper, np.nan),
            "moved": moved.ravel(),
        }
    )
