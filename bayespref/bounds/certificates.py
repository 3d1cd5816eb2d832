"""Certificates of what the data cannot rule out: reward tables anyone can check with a few sums.

Two tables that give every observed comparison the same probability and lie inside the range prove that no method can
tell them apart; the regrets of a policy in both prove what that costs. Mixing such tables by the dual weights of the
regret game proves the same for every policy at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.bounds.identified import level_bounds, same_component
from bayespref.checks import as_float, simplex
from bayespref.display import shown


@shown(
    "same data, two worlds: the policy loses {regret_low} in one and {regret_high} in the other, gap {gap}",
    next_step="defer there, randomise, or collect what tells the two worlds apart",
)
class TwoWorlds(NamedTuple):
    """Two reward tables the data cannot tell apart, and what a policy loses in each.

    Attributes
    ----------
    rewards_low, rewards_high : array, shape (..., C, A)
        The world in which the policy does well (its most played action is as good as the data allow) and the one in
        which it does worst.
    regret_low, regret_high : array, shape (...)
        Regret of the policy in the two, weighted over types.
    gap : array, shape (...)
        ``regret_high - regret_low``.
    alternative : integer array, shape (...)
        The action that beats the policy in ``rewards_high``.
    max_difference : array, shape (...)
        Largest disagreement of the two worlds on any difference the data fix: zero up to rounding.
    in_range : bool array, shape (...)
        Whether both tables lie inside the range, up to rounding.
    sharp : bool
        True: ``regret_high`` is the largest regret over all worlds.
    assumptions : tuple of str
        What the worlds satisfy.
    """

    rewards_low: NDArray[np.float64]
    rewards_high: NDArray[np.float64]
    regret_low: NDArray[np.float64]
    regret_high: NDArray[np.float64]
    gap: NDArray[np.float64]
    alternative: NDArray[np.int64]
    max_difference: NDArray[np.float64]
    in_range: NDArray[np.bool_]
    sharp: bool
    assumptions: tuple[str, ...]


@shown("no policy can be sure to lose less than {bound}", next_step="compare it with the cost of deferring")
class PolicyLowerBound(NamedTuple):
    """Worlds and weights that bound the regret of every policy from below.

    Attributes
    ----------
    worlds : array, shape (..., A, C, A)
        One reward table per alternative: ``worlds[..., b, :, :]`` lifts the component of b and lowers the others.
    regret : array, shape (..., A, A)
        ``regret[..., b, a]`` of playing a in world b.
    weights : array, shape (..., A)
        Probabilities of the worlds.
    bound : array, shape (...)
        ``min over a of sum over b of weights[b] regret[b, a]``: no policy has less regret in the worst of the worlds.
    """

    worlds: NDArray[np.float64]
    regret: NDArray[np.float64]
    weights: NDArray[np.float64]
    bound: NDArray[np.float64]


def _worlds(
    offsets: NDArray[np.float64], component: NDArray[np.int64], reward_range: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Lowest and highest levels, and which items share a component with each alternative."""
    levels = level_bounds(offsets, component, reward_range)
    same = np.broadcast_to(same_component(component), (*levels.lower.shape, levels.lower.shape[-1]))
    return levels.lower, levels.upper, same


def _favouring(
    lower: NDArray[np.float64], upper: NDArray[np.float64], same: NDArray[np.bool_], action: NDArray[np.int64]
) -> NDArray[np.float64]:
    """World with the component of ``action`` as high as it goes and all others as low, in every type."""
    index = np.broadcast_to(action[..., None, None, None], (*same.shape[:-2], 1, same.shape[-1]))
    return np.asarray(np.where(np.take_along_axis(same, index, axis=-2)[..., 0, :], upper, lower))


def two_world_certificate(
    offsets: Float[np.ndarray, "*#lead type item"],
    component: Int[np.ndarray, "*cell item"],
    type_weights: Float[np.ndarray, "*#lead type"],
    policy: Float[np.ndarray, "*#lead item"],
    reward_range: tuple[float, float] = (0.0, 1.0),
) -> TwoWorlds:
    """Two worlds that no data of this kind can tell apart, one good and one as bad as can be for a policy.

    Parameters
    ----------
    offsets : array, shape (..., C, A)
        Rewards or offsets of one draw or several; read within components only.
    component : integer array, shape (..., C, A)
        Component labels, broadcast against ``offsets``.
    type_weights : array, shape (..., C)
        P(c|s), summing to one.
    policy : array, shape (..., A)
        Probabilities pi(a|s).
    reward_range : tuple of float
        Assumed range of every reward.

    Returns
    -------
    TwoWorlds
        Both tables, both regrets, and the checks.

    Raises
    ------
    RangeRefutedError
        If a within-component span exceeds the range.
    TargetMixError
        If ``policy`` or ``type_weights`` is not a distribution.

    Examples
    --------
    >>> t = two_world_certificate(np.zeros((1, 2)), np.array([[0, 1]]), np.array([1.0]), np.array([1.0, 0.0]))
    >>> t.rewards_low.tolist(), t.rewards_high.tolist(), float(t.gap)
    ([[1.0, 0.0]], [[0.0, 1.0]], 1.0)
    """
    weights = simplex("type_weights", type_weights)
    play = simplex("policy", policy)
    lower, upper, same = _worlds(as_float("offsets", offsets, min_ndim=2), component, reward_range)
    lead = np.broadcast_shapes(lower.shape[:-2], weights.shape[:-1], play.shape[:-1])
    n_types, n_items = lower.shape[-2:]
    lower, upper = (np.broadcast_to(x, (*lead, n_types, n_items)) for x in (lower, upper))
    same = np.broadcast_to(same, (*lead, n_types, n_items, n_items))
    weights = np.broadcast_to(weights, (*lead, n_types))
    play = np.broadcast_to(play, (*lead, n_items))
    # Regret against each alternative b in the world that favours b; its maximum is the largest regret of all.
    favour = np.where(same, upper[..., None, :], lower[..., None, :])
    welfare = np.einsum("...c,...cba->...ba", weights, favour)
    against = np.diagonal(welfare, axis1=-2, axis2=-1) - np.einsum("...ba,...a->...b", welfare, play)
    alternative = np.asarray(against.argmax(axis=-1))
    high = _favouring(lower, upper, same, alternative)
    low = _favouring(lower, upper, same, np.asarray(play.argmax(axis=-1)))

    def regret(world: NDArray[np.float64]) -> NDArray[np.float64]:
        value = np.einsum("...c,...ca->...a", weights, world)
        return np.asarray(value.max(axis=-1) - (value * play).sum(axis=-1))

    def fixed(world: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(world[..., :, None] - world[..., None, :])

    difference = np.where(same, np.abs(fixed(high) - fixed(low)), 0.0).max(axis=(-1, -2, -3))
    slack = 1e-12 * (reward_range[1] - reward_range[0])
    both = np.stack([low, high])
    inside = np.asarray(((both >= reward_range[0] - slack) & (both <= reward_range[1] + slack)).all(axis=(0, -1, -2)))
    regret_low, regret_high = regret(low), regret(high)
    return TwoWorlds(
        low,
        high,
        regret_low,
        regret_high,
        regret_high - regret_low,
        alternative,
        difference,
        inside,
        True,
        (f"rewards in [{reward_range[0]:g}, {reward_range[1]:g}]", "components move freely of each other and of types"),
    )


def policy_lower_bound(
    offsets: Float[np.ndarray, "*#lead type item"],
    component: Int[np.ndarray, "*cell item"],
    type_weights: Float[np.ndarray, "*#lead type"],
    weights: Float[np.ndarray, "*#lead item"],
    reward_range: tuple[float, float] = (0.0, 1.0),
) -> PolicyLowerBound:
    """Worlds and weights proving that no policy, randomised or not, has less regret than the bound.

    With the dual weights of ``minimax_regret`` the bound equals its value. To check it by hand, take the tables, see
    that they agree with the data and the range, and compute the weighted regrets of each action.

    Parameters
    ----------
    offsets, component, type_weights, reward_range
        As in `two_world_certificate`.
    weights : array, shape (..., A)
        Probabilities of the worlds: ``minimax_regret(...).weights``.

    Returns
    -------
    PolicyLowerBound
        Worlds, their regrets, and the bound.

    Examples
    --------
    >>> free = np.arange(3)[None, :]
    >>> p = policy_lower_bound(np.zeros((1, 3)), free, np.array([1.0]), np.full(3, 1 / 3))
    >>> round(float(p.bound), 12)
    0.666666666667
    """
    mix = simplex("type_weights", type_weights)
    prior = simplex("weights", weights)
    lower, upper, same = _worlds(as_float("offsets", offsets, min_ndim=2), component, reward_range)
    favour = np.where(same, upper[..., None, :], lower[..., None, :])
    welfare = np.einsum("...c,...cba->...ba", mix, favour)
    regret = welfare.max(axis=-1, keepdims=True) - welfare
    bound = np.einsum("...b,...ba->...a", prior, regret).min(axis=-1)
    return PolicyLowerBound(np.swapaxes(favour, -2, -3), regret, prior, np.asarray(bound))
