"""Tilt of the reward that the target population wants on average.

Welfare under a target p_T is ``J(pi) = sum_x p_T(x) [ sum_y pi(y|x) r(x,y) - beta KL(pi(.|x) || ref(.|x)) ]`` with the
type-averaged reward ``r(x, y) = sum_c p_T(c|x) r(x, y, c)``. Its maximiser is ``pi(y|x) proportional to
ref(y|x) exp(r(x, y) / beta)`` and its best value ``sum_x p_T(x) beta log sum_y ref(y|x) exp(r(x, y) / beta)``.
Averaging assumes that the types' rewards share one scale (log-odds): declare it, no comparison shows it. Terms ``f(x,
c)`` that do not depend on the completion drop out of the policy and of every gain over the reference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, rel_entr

from bayespref.checks import as_float, finite, positive, simplex
from bayespref.display import shown


@shown("value {value}, KL {kl} nats", next_step="compare with the bounds on welfare before deploying")
class Tilt(NamedTuple):
    """An exponential tilt and what it is worth, in the reward's own gauge.

    Attributes
    ----------
    policy : array, shape (..., item)
        Probabilities.
    value : array, shape (...)
        beta log sum ref exp(reward / beta): the best reward minus beta KL, log-odds.
    kl : array, shape (...)
        KL(policy || reference), nats.
    gain : array, shape (...)
        Expected reward of the policy minus that of the reference, log-odds, before the price of KL.
    """

    policy: NDArray[np.float64]
    value: NDArray[np.float64]
    kl: NDArray[np.float64]
    gain: NDArray[np.float64]


@shown("value {value} of at most {best}", next_step="compare policies on the same rewards")
class Welfare(NamedTuple):
    """Value of a policy under declared rewards, one per leading index.

    Attributes
    ----------
    value : array, shape (...)
        J: expected reward minus beta KL, log-odds.
    reference_value : array, shape (...)
        J of the reference (doing nothing).
    best : array, shape (...)
        J of the tilt of these same rewards.
    kl : array, shape (...)
        KL spent, nats.
    gain_per_nat : array, shape (...)
        (expected reward minus the reference's) / KL; NaN where no KL is spent.
    """

    value: NDArray[np.float64]
    reference_value: NDArray[np.float64]
    best: NDArray[np.float64]
    kl: NDArray[np.float64]
    gain_per_nat: NDArray[np.float64]


@shown("value {value}", next_step="read the spread of the policy over draws")
class TiltedDraws(NamedTuple):
    """What a posterior of rewards says about the tilt.

    Attributes
    ----------
    policy : array, shape (state, item)
        Tilt of the posterior mean reward. J is linear in the reward, so this maximises the posterior mean of J.
    value : Welfare, arrays of shape (draw,)
        Welfare of ``policy`` under each draw; ``best - value`` is its regret there.
    policy_draws : array, shape (draw, state, item)
        Tilt of each draw: the posterior of the best policy.
    """

    policy: NDArray[np.float64]
    value: Welfare
    policy_draws: NDArray[np.float64]


def average_reward(
    reward: Float[np.ndarray, "*lead state type item"], type_share: Float[np.ndarray, "*lead state type"]
) -> Float[np.ndarray, "*lead state item"]:
    """Average rewards over types, r(x, y) = sum_c p_T(c|x) r(x, y, c).

    Parameters
    ----------
    reward : array, shape (..., state, type, item)
        Rewards, log-odds. NaN (undefined) is allowed.
    type_share : array, shape (..., state, type)
        p_T(c | x), summing to one over types.

    Returns
    -------
    array, shape (..., state, item)
        NaN where a type of positive share has an undefined reward; types of share zero do not matter.

    Raises
    ------
    TargetMixError
        If ``type_share`` is not a distribution.

    Examples
    --------
    >>> average_reward(np.array([[[1.0, 0.0], [-6.0, 0.0]]]), np.array([[0.8, 0.2]])).round(6).tolist()
    [[-0.4, 0.0]]
    """
    share = simplex("type_share", type_share)[..., None]
    values = as_float("reward", reward, min_ndim=3)
    return np.asarray(np.where(share > 0, share * np.where(share > 0, values, 0.0), 0.0).sum(axis=-2))


def _reference(reference: ArrayLike) -> NDArray[np.float64]:
    ref = simplex("reference", reference)
    if (ref == 0).any():
        cells = [tuple(int(i) for i in cell) for cell in np.argwhere(ref == 0)[:5]]
        raise ValueError(
            f"reference: {int((ref == 0).sum())} completion(s) have zero reference probability, first at {cells}; no "
            "policy of finite KL can use them: give them mass, or leave them out of the items"
        )
    return ref


def exponential_tilt(
    reward: Float[np.ndarray, "*lead item"], reference: Float[np.ndarray, "*lead item"], beta: float
) -> Tilt:
    """Tilt a reference policy by rewards: pi proportional to ref exp(reward / beta).

    Parameters
    ----------
    reward : array, shape (..., item)
        Rewards, log-odds. A NaN makes the whole row NaN: a tilt needs every completion's reward.
    reference : array, shape (..., item)
        Reference probabilities, all above zero; broadcasts against ``reward``.
    beta : float
        Price of a nat of KL, log-odds of reward, > 0.

    Returns
    -------
    Tilt

    Raises
    ------
    TargetMixError
        If the reference is not a distribution.
    ValueError
        If a completion has zero reference probability, or ``beta`` is not above zero.

    Examples
    --------
    >>> got = exponential_tilt(np.array([-0.4, 0.0]), np.array([0.5, 0.5]), 1.0)
    >>> got.policy.round(8).tolist(), round(float(got.value), 8)
    ([0.40131234, 0.59868766], -0.18013193)
    """
    price = positive("beta", beta)
    values, ref = np.broadcast_arrays(as_float("reward", reward, min_ndim=1), _reference(reference))
    logits = np.log(ref) + values / price
    log_total = logsumexp(logits, axis=-1, keepdims=True)
    policy = np.exp(logits - log_total)
    value = price * log_total[..., 0]
    gain = ((policy - ref) * values).sum(axis=-1)
    kl = np.where(np.isnan(value), np.nan, rel_entr(policy, ref).sum(axis=-1))
    return Tilt(policy, value, kl, gain)


def welfare(
    policy: Float[np.ndarray, "*lead state item"],
    reward: Float[np.ndarray, "*lead state item"],
    reference: Float[np.ndarray, "state item"],
    beta: float,
    state_share: Float[np.ndarray, "*lead state"],
) -> Welfare:
    """Welfare J of a policy under averaged rewards and declared state shares.

    Parameters
    ----------
    policy : array, shape (..., state, item)
        Probabilities.
    reward : array, shape (..., state, item)
        Averaged rewards (`average_reward`), log-odds.
    reference : array, shape (..., state, item)
        Reference probabilities, all above zero.
    beta : float
        Price of a nat, log-odds, > 0.
    state_share : array, shape (..., state)
        p_T(x).

    Returns
    -------
    Welfare

    Raises
    ------
    TargetMixError
        If a distribution is not one.
    ValueError
        If a completion has zero reference probability, or ``beta`` is not above zero.

    Examples
    --------
    >>> got = welfare([[0.58534139, 0.41465861]], [[-0.4, 0.0]], [[0.5, 0.5]], 1.0, [1.0])
    >>> print(got.value.round(6), got.best.round(6), got.reference_value.round(6))
    -0.248774 -0.180132 -0.2
    """
    pi, values = simplex("policy", policy), as_float("reward", reward, min_ndim=2)
    ref, share = _reference(reference), simplex("state_share", state_share)
    price = positive("beta", beta)
    per_state = rel_entr(pi, ref).sum(axis=-1)
    kl = (share * per_state).sum(axis=-1)
    mean = (share * (pi * values).sum(axis=-1)).sum(axis=-1)
    reference_value = (share * (ref * values).sum(axis=-1)).sum(axis=-1)
    best = (share * exponential_tilt(values, ref, price).value).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        per_nat = np.where(kl > 1e-15, (mean - reference_value) / kl, np.nan)
    value = mean - price * kl
    shape = np.broadcast_shapes(np.shape(value), np.shape(best))
    return Welfare(*(np.broadcast_to(x, shape) for x in (value, reference_value, best, kl, per_nat)))


def tilted_draws(
    reward: Float[np.ndarray, "draw state type item"],
    type_share: Float[np.ndarray, "state type"],
    reference: Float[np.ndarray, "state item"],
    beta: float,
    state_share: Float[np.ndarray, " state"],
) -> TiltedDraws:
    """Push posterior draws of rewards through the tilt.

    Parameters
    ----------
    reward : array, shape (draw, state, type, item)
        Draws of rewards, types aligned, log-odds, finite.
    type_share : array, shape (state, type)
        p_T(c | x).
    reference : array, shape (state, item)
        Reference probabilities.
    beta : float
        Price of a nat, log-odds, > 0.
    state_share : array, shape (state,)
        p_T(x).

    Returns
    -------
    TiltedDraws

    Raises
    ------
    TargetMixError, ValueError
        As `average_reward` and `exponential_tilt`; also if a draw is not finite.

    Examples
    --------
    >>> draws = np.zeros((3, 1, 2, 2)) + np.array([[1.0, 0.0], [-6.0, 0.0]])
    >>> got = tilted_draws(draws, [[0.8, 0.2]], [[0.5, 0.5]], 1.0, [1.0])
    >>> got.policy.round(4).tolist(), got.value.value.round(4).tolist()
    ([[0.4013, 0.5987]], [-0.1801, -0.1801, -0.1801])
    """
    averaged = average_reward(finite("reward", reward), type_share)
    policy = exponential_tilt(averaged.mean(axis=0), reference, beta).policy
    value = welfare(policy, averaged, reference, beta, state_share)
    return TiltedDraws(policy, value, exponential_tilt(averaged, reference, beta).policy)
