"""Draws or refits beside a known truth: whether they disagree where they are wrong, and what acting on them costs.

Used on simulated worlds. Everything is per (state, type) cell, with any number of worlds in front.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, softmax
from scipy.stats import mannwhitneyu

from bayespref.checks import finite, simplex
from bayespref.display import shown


@shown(
    "wrong sign in {sign_error} of contrasts, draws disagree in {disagreement}",
    next_step="a large error with small disagreement is a blind spot",
)
class TruthScore(NamedTuple):
    """What draws of one cell say about themselves, and what is true."""

    disagreement: Float[np.ndarray, "*world state type"]
    """Share of pairs of different draws that disagree on the sign of a contrast, averaged over contrasts."""
    sign_error: Float[np.ndarray, "*world state type"]
    """Share of draws with the wrong sign, averaged over contrasts; an exact tie counts one half."""
    worse: Float[np.ndarray, "*world state type"]
    """Share of draws whose policy is truly worse than a uniform choice."""
    value: Float[np.ndarray, "*world state type"]
    """True reward of the draws' policies above a uniform choice, log-odds, averaged over draws."""
    predicted: Float[np.ndarray, "*world state type"]
    """What the draws expect of their own policies, same unit."""
    best: Float[np.ndarray, "*world state type"]
    """True reward of the best item above a uniform choice."""
    win_rate: Float[np.ndarray, "*world draw state type"]
    """True chance that a draw's policy beats a uniformly chosen item."""


def score_draws(reward: ArrayLike, truth: ArrayLike, *, temperature: float = 0.1) -> TruthScore:
    """Compare draws with each other and with the truth.

    Parameters
    ----------
    reward : float array, shape (*world, draw, state, type, item)
        Draws, or one estimate per refit; at least two; log-odds.
    truth : float array, shape (*world, state, type, item)
        True rewards, log-odds.
    temperature : float
        The policy of a draw is ``softmax(reward / temperature)``, a tilt of the uniform choice, > 0.

    Returns
    -------
    TruthScore

    Raises
    ------
    ValueError
        If shapes do not match, values are not finite, there is a single draw, or the temperature is not positive.

    Notes
    -----
    Overlap notes, section 8 (temperature .1, called beta there).

    Examples
    --------
    >>> agreeing = np.array([[[[1.0, 0.0]]], [[[2.0, 0.0]]]])
    >>> score = score_draws(agreeing, np.array([[[0.0, 1.0]]]))
    >>> float(score.disagreement.squeeze()), float(score.sign_error.squeeze()), float(score.worse.squeeze())
    (0.0, 1.0, 1.0)
    """
    draws, true = finite("reward", reward), finite("truth", truth)
    if draws.ndim < 4 or draws.shape[:-4] + draws.shape[-3:] != true.shape:
        raise ValueError(f"truth: must have the axes of reward without draws, got {true.shape} for {draws.shape}")
    n_draws, n_items = draws.shape[-4], draws.shape[-1]
    if n_draws < 2 or n_items < 2:
        raise ValueError(f"reward: needs at least two draws and two items, got {n_draws} and {n_items}")
    if not temperature > 0:
        raise ValueError(f"temperature: must be > 0, got {temperature}")
    low, high = np.triu_indices(n_items, k=1)
    gap = draws[..., low] - draws[..., high]
    true_sign = np.sign(true[..., low] - true[..., high])[..., None, :, :, :]
    up, down = np.mean(gap > 0, axis=-4), np.mean(gap < 0, axis=-4)
    clash = 2 * up * down * n_draws / (n_draws - 1)
    wrong = np.mean((np.sign(gap) * true_sign < 0) + 0.5 * (gap == 0), axis=-4)
    policy = softmax(draws / temperature, axis=-1)
    above = (true - true.mean(axis=-1, keepdims=True))[..., None, :, :, :]
    own = draws - draws.mean(axis=-1, keepdims=True)
    value = np.sum(policy * above, axis=-1)
    beats = expit(true[..., :, None] - true[..., None, :]).mean(axis=-1)[..., None, :, :, :]
    return TruthScore(
        disagreement=clash.mean(axis=-1),
        sign_error=wrong.mean(axis=-1),
        worse=np.mean(value < 0, axis=-3),
        value=value.mean(axis=-3),
        predicted=np.sum(policy * own, axis=-1).mean(axis=-3),
        best=above[..., 0, :, :, :].max(axis=-1),
        win_rate=np.sum(policy * beats, axis=-1),
    )


def in_and_out(score: TruthScore, missing: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Average the scores inside a missing region B and outside of it, per world.

    Parameters
    ----------
    score : TruthScore
        From :func:`score_draws`.
    missing : bool array, shape (state, type)
        The region B.

    Returns
    -------
    dict of float arrays, shape (*world,)
        ``disagreement_in``, ``disagreement_b``, ``error_in``, ``error_b``, ``worse_in``, ``worse_b``, ``value_b``,
        ``predicted_b``, ``best_b``; and ``win_rate_sd``, the spread over draws of the win rate averaged outside B,
        which is what a comparison of retrained policies on supported prompts would look at.

    Raises
    ------
    ValueError
        If ``missing`` has another shape, or names no cell or every cell.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score = score_draws(rng.normal(size=(5, 2, 1, 3)), rng.normal(size=(2, 1, 3)))
    >>> sorted(in_and_out(score, np.array([[True], [False]])))[:3]
    ['best_b', 'disagreement_b', 'disagreement_in']
    """
    hole = np.asarray(missing, dtype=bool)
    if hole.shape != score.disagreement.shape[-2:] or hole.all() or not hole.any():
        raise ValueError(f"missing: must name some but not all of {score.disagreement.shape[-2:]} cells")
    found = {}
    for name, values in (("disagreement", score.disagreement), ("error", score.sign_error), ("worse", score.worse)):
        found[f"{name}_in"] = values[..., ~hole].mean(axis=-1)
        found[f"{name}_b"] = values[..., hole].mean(axis=-1)
    for name in ("value", "predicted", "best"):
        found[f"{name}_b"] = getattr(score, name)[..., hole].mean(axis=-1)
    found["win_rate_sd"] = score.win_rate[..., ~hole].mean(axis=-1).std(axis=-1, ddof=1)
    return found


def pick_win_rate(
    candidates: Float[np.ndarray, "case candidate feature"],
    one: Float[np.ndarray, " feature"],
    other: Float[np.ndarray, " feature"],
    truth: Float[np.ndarray, " feature"],
) -> Float[np.ndarray, " case"]:
    """Chance that the candidate which one linear reward likes best is preferred to the one which another likes best.

    Parameters
    ----------
    candidates : float array, shape (case, candidate, feature)
        What each case offers.
    one, other : float array, shape (feature,)
        Coefficients that the two policies act on.
    truth : float array, shape (feature,)
        Coefficients of whoever compares the two picks, log-odds per unit.

    Returns
    -------
    float array, shape (case,)
        One half where both pick the same.

    Raises
    ------
    ValueError
        If shapes do not match or values are not finite.

    Examples
    --------
    >>> two = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    >>> pick_win_rate(two, [1.0, 0.0], [0.0, 1.0], [np.log(3.0), 0.0]).round(6).tolist()
    [0.75]
    """
    offered = finite("candidates", candidates)
    named = {name: finite(name, w) for name, w in (("one", one), ("other", other), ("truth", truth))}
    if offered.ndim != 3 or not offered.shape[1]:
        raise ValueError(f"candidates: must have axes (case, candidate, feature), got shape {offered.shape}")
    for name, w in named.items():
        if w.shape != offered.shape[2:]:
            raise ValueError(f"{name}: must have shape {offered.shape[2:]}, got {w.shape}")
    true = offered @ named["truth"]
    mine, theirs = (
        np.take_along_axis(true, (offered @ named[name]).argmax(axis=1)[:, None], axis=1)[:, 0]
        for name in ("one", "other")
    )
    return np.asarray(expit(mine - theirs))


@shown(
    "contrasts of types {reward} log-odds off, shares of the mixture {share}",
    next_step="a small error of shares beside a large one of types: single labels show the mixture alone",
)
class TypeErrors(NamedTuple):
    """How far estimated types are from the true ones, types renamed to fit best."""

    reward: float
    """Root mean square error of the contrasts of the types, log-odds, weighted by the true shares."""
    share: float
    """Root mean square error of the mixture's preference shares, all that single labels show."""
    order: tuple[int, ...]
    """Estimated type for each true one."""


def type_errors(reward: ArrayLike, weight: ArrayLike, true_reward: ArrayLike, true_weight: ArrayLike) -> TypeErrors:
    """Compare estimated types with the true ones.

    Parameters
    ----------
    reward, true_reward : float array, shape (type, item)
        Rewards, log-odds, any gauge.
    weight, true_weight : float array, shape (type,)
        Shares of the types.

    Returns
    -------
    TypeErrors
        Types are matched by the order of least squared error of their contrasts.

    Raises
    ------
    ValueError
        If shapes disagree or values are not finite.

    Examples
    --------
    >>> swapped = type_errors([[0.0, 1.0], [2.0, 0.0]], [0.3, 0.7], [[2.0, 0.0], [0.0, 1.0]], [0.7, 0.3])
    >>> swapped.reward, swapped.share, swapped.order
    (0.0, 0.0, (1, 0))
    """
    found, true = finite("reward", reward), finite("true_reward", true_reward)
    own, right = simplex("weight", weight), simplex("true_weight", true_weight)
    if found.ndim != 2 or found.shape != true.shape or own.shape != found.shape[:1] or right.shape != own.shape:
        raise ValueError(
            "reward, weight, true_reward, true_weight: need (type, item) and (type,) twice, got "
            f"{found.shape}, {own.shape}, {true.shape}, {right.shape}"
        )
    low, high = np.triu_indices(found.shape[1], k=1)
    gap, want = found[:, low] - found[:, high], true[:, low] - true[:, high]
    square = ((gap[None] - want[:, None]) ** 2).mean(axis=-1) * right[:, None]
    rows, order = linear_sum_assignment(square)
    shift = own @ expit(gap) - right @ expit(want)
    return TypeErrors(
        float(np.sqrt(square[rows, order].sum())), float(np.sqrt((shift**2).mean())), tuple(int(k) for k in order)
    )


def separation(score: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: chance that a positive case scores higher than another, ties one half.

    Parameters
    ----------
    score : float array, shape (case,)
        Finite.
    positive : bool array, shape (case,)

    Returns
    -------
    float
        NaN where there is no positive or no other case.

    Raises
    ------
    ValueError
        If shapes disagree or a score is not finite.

    Examples
    --------
    >>> separation([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    values, hit = finite("score", score), np.asarray(positive, dtype=bool)
    if values.ndim != 1 or hit.shape != values.shape:
        raise ValueError(f"score, positive: need one shape (case,), got {values.shape} and {hit.shape}")
    if hit.all() or not hit.any():
        return float("nan")
    return float(mannwhitneyu(values[hit], values[~hit]).statistic / (hit.sum() * (~hit).sum()))
