"""Predictive checks: whether the model, run forwards, makes tables like the one observed.

A replicate asks the same people the same questions. Each person gets one type (given what they were asked, where
prompts are endogenous), shared by all their answers; a type drawn anew for every row would be another model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from bayespref.checks import between
from bayespref.choice import ChoiceData
from bayespref.dims import BOTH_BAD, DRAW, STATE
from bayespref.errors import ModelError, explain
from bayespref.posterior.statistics import (
    AnswerDesign,
    agreement,
    answer_design,
    circular_share,
    outcome_share,
    win_rates,
)
from bayespref.posterior.verdict import Verdict

Tables = Callable[[Any, ChoiceData], tuple[Array, Array]]
_FLOATS_AT_ONCE = 2.0e7
CHECKS = ("win rates", "circular triads", "agreement", "spread of agreement", "ties", "both bad")
"""Names of the checks. "win rates" is the distance of all win rates from what is predicted, weighted by answers."""
_NEXT = {
    "win rates": "look at the cells with the smallest tail probability; rewards by state or a position effect may help",
    "circular triads": "answers of a person hang together otherwise than independent noise makes them: count a person, "
    "not an answer, as one observation; try decisiveness='annotator' or a trait",
    "agreement": "people agree more or less than the win rates alone explain: look for copied or clustered answers",
    "spread of agreement": "people differ otherwise than the model lets them: try another number of types, or a trait",
    "ties": "let ties depend on the item or person, or try ties='rao_kupper'",
    "both bad": "both-bad answers depend on more than one logit: model them apart",
}
_UNDEFINED = {
    "win rates": "no answer was decided",
    "circular triads": "nobody answered all three pairs of three items",
    "agreement": "no two people answered the same question",
    "spread of agreement": "no two pairs of people share two questions",
}


class Answers(NamedTuple):
    """Single answers: a record that stands for several is unrolled.

    Attributes
    ----------
    data : ChoiceData
        The same questions, one record an answer; without annotators every answer is a unit of its own.
    outcome : int array, shape (answer,)
        Outcome codes (``dims.OUTCOMES``).
    design : AnswerDesign
        For the statistics.
    """

    data: ChoiceData
    outcome: Int[np.ndarray, " answer"]
    design: AnswerDesign


def single_answers(data: ChoiceData, outcome: Int[Array, " record"], *, named: bool, seed: int = 0) -> Answers:
    """Unroll records into answers.

    Parameters
    ----------
    data, outcome : ChoiceData, int array
        From :func:`bayespref.choice.choice_data`.
    named : bool
        Whether units are people; otherwise who answered is unknown.
    seed : int
        Passed to :func:`bayespref.posterior.statistics.answer_design`.

    Returns
    -------
    Answers

    Raises
    ------
    ModelError
        If an answer has a fractional weight: there is no such thing as half a replicated answer.
    """
    unit, question = np.asarray(data.unit), np.asarray(data.question)
    times = np.asarray(data.count) * np.asarray(data.multiplicity)[unit]
    if np.any(times != np.round(times)):
        bad = np.flatnonzero(times != np.round(times))
        raise ModelError(
            f"weight: predictive checks replicate whole answers; {len(bad)} records have fractional weights, first "
            f"{times[bad[:3]].tolist()}"
        )
    record = np.repeat(np.arange(len(times)), times.astype(np.int64))
    group = np.asarray(data.group)
    own = unit[record] if named else np.arange(len(record))
    units = int(data.n_units) if named else len(record)
    unrolled = replace(
        data,
        unit=jnp.asarray(own, dtype=jnp.int32),
        question=jnp.asarray(question[record], dtype=jnp.int32),
        count=jnp.ones(len(record)),
        multiplicity=jnp.ones(units),
        group=jnp.asarray(group if named else group[unit[record]], dtype=jnp.int32),
    )
    codes = np.asarray(data.outcomes)[np.asarray(outcome)][record]
    at = question[record]
    who = own if named else None
    state, item_a, item_b = (np.asarray(values)[at] for values in (data.state, data.item_a, data.item_b))
    return Answers(unrolled, codes, answer_design(state, item_a, item_b, who, seed=seed))


def replicate_outcomes(
    tables: Tables, draws: Any, data: ChoiceData, *, rng_key: Array
) -> Iterator[Int[np.ndarray, "draw answer"]]:
    """Simulate all answers once for every draw, in batches of draws that bound the memory.

    Parameters
    ----------
    tables : callable
        (draw, data) -> log-probability table (class, question, outcome) and log class weights (group, class).
    draws : array or pytree
        Draws along the leading axis: unconstrained coordinates, or keys that a prior draw is made from.
    data : ChoiceData
        One record an answer, see :func:`single_answers`.
    rng_key : jax key
        Seed.

    Yields
    ------
    int array, shape (draw, answer)
        Outcome codes.
    """
    codes = jnp.asarray(data.outcomes, dtype=jnp.int8)

    def one(draw: Any, key: Array, data: ChoiceData) -> Array:
        table, by_group = tables(draw, data)
        asked = jax.scipy.special.logsumexp(table, axis=2)[:, data.question].T
        asked = jax.ops.segment_sum(asked, data.unit, num_segments=data.n_units)
        kind_key, outcome_key = jax.random.split(key)
        kind = jax.random.categorical(kind_key, by_group[data.group] + asked)
        return codes[jax.random.categorical(outcome_key, table[kind[data.unit], data.question])]

    total = len(jax.tree.leaves(draws)[0])
    keys = jax.random.split(rng_key, total)
    size = int(np.clip(_FLOATS_AT_ONCE // max(data.unit.shape[0] * 4, 1), 1, 50))
    many = jax.jit(lambda xs, ks, d: jax.lax.map(lambda x: one(x[0], x[1], d), (xs, ks)))
    for start in range(0, total, size):
        where = np.minimum(np.arange(start, start + size), total - 1)  # a short last batch would compile anew
        batch = np.asarray(many(jax.tree.map(lambda x, where=where: x[where], draws), keys[where], data))
        yield batch[: min(size, total - start)]


def table_statistics(outcome: Int[np.ndarray, "*draw answer"], design: AnswerDesign) -> NDArray[np.float64]:
    """All checks but "win rates", in the order of ``CHECKS[1:]``, on the last axis.

    Parameters
    ----------
    outcome : int array, shape (..., answer)
        Outcome codes.
    design : AnswerDesign
        From :func:`bayespref.posterior.statistics.answer_design`.
    """
    shares = [outcome_share(outcome), outcome_share(outcome, BOTH_BAD)]
    agreed = agreement(outcome, design)
    return np.stack([circular_share(outcome, design), agreed[..., 0], agreed[..., 1], *shares], axis=-1)


def tail_probability(
    observed: Float[np.ndarray, "*check"], replicated: Float[np.ndarray, draw * check]
) -> Float[np.ndarray, "*check"]:
    """P(replicated > observed) plus half of P(equal); NaN where the observed value is undefined.

    Replicates in which a statistic is undefined are left out of its probability.

    Parameters
    ----------
    observed : float array, shape (...)
        Statistics of the table.
    replicated : float array, shape (draw, ...)
        The same of every replicate.

    Examples
    --------
    >>> tail_probability(np.array(2.0), np.array([1.0, 2.0, 3.0, np.nan])).item()
    0.5
    """
    known = np.isfinite(replicated)
    above = np.where(known, (replicated > observed) + 0.5 * (replicated == observed), 0.0).sum(0)
    count = known.sum(0)
    tail = np.divide(above, count, out=np.full(np.shape(observed), np.nan), where=count > 0)
    return np.where(np.isfinite(observed), tail, np.nan)


def predictive_checks(
    tables: Tables,
    draws: Any,
    answers: Answers,
    *,
    states: tuple[str, ...],
    items: tuple[str, ...],
    rng_key: Array,
    level: float = 0.95,
) -> xr.Dataset:
    """Replicate the table once a draw and compare it with the observed one.

    Parameters
    ----------
    tables, draws
        As in :func:`replicate_outcomes`.
    answers : Answers
        From :func:`single_answers`.
    states, items : tuple of str
        Labels.
    rng_key : jax key
        Seed.
    level : float
        Level of the predictive intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        By ``check``: ``observed``, ``lower``, ``upper`` (equal-tailed predictive interval; from zero for "win rates",
        a distance), ``tail`` = P(replicated > observed), mid-p, and ``verdict`` (passes, fails, undefined). By
        ``cell`` (coordinates ``state``, ``item_a``, ``item_b``): ``win_rate`` and its ``_lower``, ``_upper``,
        ``_tail``, and ``answers``, their number. Shares all. attrs: ``level``, ``replicates``, ``method``.
    """
    between("level", level, 1e-6, 1.0 - 1e-6)
    design = answers.design
    rates, others = [], []
    for outcome in replicate_outcomes(tables, draws, answers.data, rng_key=rng_key):
        rates.append(win_rates(outcome, design))
        others.append(table_statistics(outcome, design))
    rate, other = np.concatenate(rates), np.concatenate(others)
    seen = win_rates(answers.outcome, design)
    count = np.bincount(design.cell, minlength=len(seen))
    distance, distances = _distance(seen, rate, count)
    observed = np.concatenate([[distance], table_statistics(answers.outcome, design)])
    replicated = np.concatenate([distances[:, None], other], axis=1)
    ends = np.array([0.5 * (1.0 - level), 0.5 * (1.0 + level)])
    lower, upper = _quantiles(replicated, ends)
    lower[0], upper[0] = 0.0, _quantiles(replicated[:, :1], np.array([level]))[0, 0]
    inside = (observed >= lower) & (observed <= upper)
    known = np.isfinite(observed) & np.isfinite(lower) & np.isfinite(upper)
    cell_lower, cell_upper = _quantiles(rate, ends)
    check, cell = "check", "cell"
    return xr.Dataset(
        {
            "observed": (check, observed),
            "lower": (check, np.where(known, lower, np.nan)),
            "upper": (check, np.where(known, upper, np.nan)),
            "tail": (check, tail_probability(observed, replicated)),
            "verdict": (check, np.where(known, np.where(inside, "passes", "fails"), "undefined")),
            "replicated": ((DRAW, check), replicated),
            "win_rate": (cell, seen),
            "win_rate_lower": (cell, cell_lower),
            "win_rate_upper": (cell, cell_upper),
            "win_rate_tail": (cell, tail_probability(seen, rate)),
            "answers": (cell, count),
        },
        coords={
            check: list(CHECKS),
            STATE: (cell, np.asarray(states, dtype=str)[design.cell_state]),
            "item_a": (cell, np.asarray(items, dtype=str)[design.cell_a]),
            "item_b": (cell, np.asarray(items, dtype=str)[design.cell_b]),
        },
        attrs={
            "level": level,
            "replicates": len(rate),
            "method": "same people, same questions; one type a person, drawn given what they were asked, shared by all "
            "their answers",
        },
    )


def check_words(checks: xr.Dataset) -> list[Verdict]:
    """Say which checks pass, which fail and what to do; what cannot be judged says why and counts as not passed.

    Parameters
    ----------
    checks : Dataset
        From :func:`predictive_checks`.

    Returns
    -------
    list of Verdict
        A table without ties or both-bad answers, replicated without any, is not reported on these.
    """
    words = []
    level = f"{checks.attrs['level']:.0%} predictive interval"
    for name in CHECKS:
        row = checks.sel(check=name)
        verdict, seen, low, high = str(row["verdict"].values), *(float(row[v]) for v in ("observed", "lower", "upper"))
        if name in ("ties", "both bad") and seen == low == high == 0.0:
            continue
        if verdict == "undefined":
            why = _UNDEFINED.get(name, explain("no_data")) if not np.isfinite(seen) else "no replicate defines it"
            words.append(Verdict(name, False, f"{name}: cannot be judged, {why}", "no_data", "collect such answers"))
            continue
        numbers = f"observed {seen:.3f}, predicted {low:.3f} to {high:.3f} ({level}), tail {float(row['tail']):.3f}"
        passes = verdict == "passes"
        words.append(
            Verdict(
                name,
                passes,
                f"{name}: {verdict}, {numbers}",
                "" if passes else "model_misfit",
                "" if passes else _NEXT[name],
            )
        )
    return words


def _distance(
    seen: NDArray[np.float64], rate: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Root-mean-square distance from the predicted win rates, weighted by answers, of the table and of replicates.

    A replicate is measured from the mean of the others, as the table is: from a mean with itself in it, replicates lie
    nearer than a table from the right model, which would then fail by the number of cells alone.
    """
    known = np.isfinite(seen) & np.isfinite(rate).all(0)
    if not known.any() or len(rate) < 2:
        return float("nan"), np.full(len(rate), np.nan)
    centre = rate[:, known].mean(0)
    weight = count[known] / count[known].sum()
    apart = (rate[:, known] - centre) * (len(rate) / (len(rate) - 1))
    return float(np.sqrt((seen[known] - centre) ** 2 @ weight)), np.sqrt(apart**2 @ weight)


def _quantiles(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles along the first axis over the defined entries; NaN where there are none."""
    known = np.isfinite(values).any(0)
    out = np.full((len(levels), *values.shape[1:]), np.nan)
    if known.any():
        out[:, known] = np.nanquantile(values[:, known], levels, axis=0)
    return out
