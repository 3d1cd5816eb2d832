"""What a learner gets from infinitely many rows: the population behind a logged table, weighted or not, and its loss.

With the true rewards known (simulated worlds) the limit of a fit needs no sampling: the expected wins of every pair go
into :func:`bayespref.target.fitdpo.tabular_dpo` in place of counted ones.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from bayespref.checks import finite, non_negative, simplex
from bayespref.target.tilt import average_reward, exponential_tilt, welfare


def expected_wins(
    mass: Float[np.ndarray, "state type"],
    reward: Float[np.ndarray, "state type item"],
    pair_prob: Float[np.ndarray, "item item_other"] | None = None,
) -> Float[np.ndarray, "state item item_other"]:
    """Expected wins per state and ordered pair in a population that mixes types.

    Parameters
    ----------
    mass : array, shape (state, type)
        Mass of each cell, >= 0, weights included.
    reward : array, shape (state, type, item)
        True rewards, log-odds.
    pair_prob : array, shape (item, item), optional
        Probability of each ordered pair, summing to one off the diagonal; uniform by default.

    Returns
    -------
    array, shape (state, item, item)
        ``[x, a, b]``: mass with which a beats b; both orders of a pair count, the diagonal is zero.

    Raises
    ------
    ValueError
        If shapes disagree, or a mass is negative.

    Notes
    -----
    Overlap notes, section 6: the types' shares are averaged, not their log-odds.

    Examples
    --------
    >>> expected_wins(np.array([[0.8, 0.2]]), np.array([[[1.0, 0.0], [-6.0, 0.0]]]))[0].round(4).tolist()
    [[0.0, 0.5853], [0.4147, 0.0]]
    """
    weight, levels = non_negative("mass", finite("mass", mass)), finite("reward", reward)
    if levels.ndim != 3 or weight.shape != levels.shape[:2]:
        raise ValueError(
            f"mass, reward: need (state, type) and (state, type, item), got {weight.shape}, {levels.shape}"
        )
    off = ~np.eye(levels.shape[2], dtype=bool)
    shown = off / off.sum() if pair_prob is None else non_negative("pair_prob", finite("pair_prob", pair_prob))
    if shown.shape != off.shape:
        raise ValueError(f"pair_prob: must have shape {off.shape}, got {shown.shape}")
    shown = np.where(off, shown, 0.0)
    prefer = expit(levels[..., :, None] - levels[..., None, :])
    return np.asarray(np.einsum("sc,scab->sab", weight, prefer) * (shown + shown.T))


def mass_by_proxy(
    joint: Float[np.ndarray, "state type"], proxy: Float[np.ndarray, "type proxy"]
) -> Float[np.ndarray, "state type proxy"]:
    """Joint mass of state, type and the proxy seen in its place.

    Parameters
    ----------
    joint : array, shape (state, type)
        Logged P(state, type), summing to one.
    proxy : array, shape (type, proxy)
        P(proxy | type); the proxy depends on nothing else.

    Returns
    -------
    array, shape (state, type, proxy)

    Raises
    ------
    TargetMixError
        If ``joint`` or a row of ``proxy`` is no distribution.

    Examples
    --------
    >>> mass_by_proxy(np.array([[0.5, 0.5]]), np.array([[0.75, 0.25], [0.25, 0.75]])).tolist()
    [[[0.375, 0.125], [0.125, 0.375]]]
    """
    cells = np.asarray(joint, dtype=np.float64)
    share = simplex("joint", cells.ravel()).reshape(cells.shape)
    return np.asarray(share[:, :, None] * simplex("proxy", proxy))


def weighted_mass(
    seen: Float[np.ndarray, "state type proxy"], target: Float[np.ndarray, "state proxy"]
) -> Float[np.ndarray, "state type"]:
    """Mass of (state, type) after post-stratifying on state and proxy.

    Parameters
    ----------
    seen : array, shape (state, type, proxy)
        From :func:`mass_by_proxy`.
    target : array, shape (state, proxy)
        Declared p_T of state and proxy, summing to one.

    Returns
    -------
    array, shape (state, type)
        The population that weighted rows estimate; the target itself only where the proxy is the type.

    Raises
    ------
    TargetMixError
        If ``target`` is no distribution.
    ValueError
        If the target has mass on a cell that nobody is in.

    Examples
    --------
    >>> seen = mass_by_proxy(np.array([[0.8, 0.2]]), np.eye(2))
    >>> weighted_mass(seen, np.array([[0.5, 0.5]])).tolist()
    [[0.5, 0.5]]
    """
    wanted = np.asarray(target, dtype=np.float64)
    wanted = simplex("target", wanted.ravel()).reshape(wanted.shape)
    cell = non_negative("seen", seen).sum(axis=1)
    if cell.shape != wanted.shape:
        raise ValueError(f"target: must have shape {cell.shape} (state, proxy), got {wanted.shape}")
    empty = (cell == 0) & (wanted > 0)
    if empty.any():
        raise ValueError(f"target: has mass on {int(empty.sum())} cell(s) without any, first {np.argwhere(empty)[:5]}")
    weight = np.divide(wanted, cell, out=np.zeros(cell.shape), where=cell > 0)
    return np.asarray((seen * weight[:, None, :]).sum(axis=2))


def welfare_lost(
    score: Float[np.ndarray, "state item"],
    reward: Float[np.ndarray, "state type item"],
    target: Float[np.ndarray, "state type"],
    reference: Float[np.ndarray, "state item"],
    beta: float,
) -> float:
    """Welfare the tilt of a score loses against the best policy under the true rewards, J* - J.

    Parameters
    ----------
    score : array, shape (state, item)
        What was learned, log-odds.
    reward : array, shape (state, type, item)
        True rewards, log-odds.
    target : array, shape (state, type)
        p_T, summing to one; every state has mass.
    reference : array, shape (state, item)
        Reference probabilities.
    beta : float
        Price of a nat of KL, log-odds.

    Returns
    -------
    float
        Log-odds of reward, at least 0.

    Raises
    ------
    TargetMixError
        If a distribution is not one.

    Examples
    --------
    >>> one = np.array([[[1.0, 0.0], [-6.0, 0.0]]])
    >>> round(welfare_lost([[0.34473968, 0.0]], one, np.array([[0.8, 0.2]]), [[0.5, 0.5]], 1.0), 5)
    0.06864
    """
    cells = np.asarray(target, dtype=np.float64)
    share = simplex("target", cells.ravel()).reshape(cells.shape)
    state = share.sum(axis=1)
    averaged = average_reward(reward, share / state[:, None])
    got = welfare(exponential_tilt(score, reference, beta).policy, averaged, reference, beta, state)
    return float(got.best - got.value)


def target_risk(
    score: Float[np.ndarray, "*lead state item"], wins: Float[np.ndarray, "state item item_other"]
) -> Float[np.ndarray, "*lead"]:
    """Risk of a score in a population: the mean DPO loss per comparison, nats.

    Parameters
    ----------
    score : array, shape (..., state, item)
        Log-odds.
    wins : array, shape (state, item, item)
        Expected wins (:func:`expected_wins`) of the target.

    Returns
    -------
    array, shape (...)
        Sum of ``wins[a, b] softplus(score[b] - score[a])`` over the total of ``wins``.

    Raises
    ------
    ValueError
        If shapes disagree or ``wins`` are negative.

    Examples
    --------
    >>> even = expected_wins(np.array([[1.0]]), np.array([[[0.0, 0.0]]]))
    >>> target_risk(np.zeros((1, 2)), even).round(4)
    np.float64(0.6931)
    """
    z, won = finite("score", score), non_negative("wins", finite("wins", wins))
    if z.ndim < 2 or won.shape != (*z.shape[-2:], z.shape[-1]):
        raise ValueError(f"score, wins: need (..., state, item) and (state, item, item), got {z.shape} and {won.shape}")
    loss = np.logaddexp(0.0, z[..., None, :] - z[..., :, None])
    return np.asarray((won * loss).sum(axis=(-1, -2, -3)) / won.sum())
