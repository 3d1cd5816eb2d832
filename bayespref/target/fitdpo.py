"""Minimisers of the weighted DPO loss: a table of scores per prompt, and a linear score, both by Newton's method.

A table of scores is a Bradley-Terry fit to weighted shares. It exists where the pairs of a prompt connect its items,
and is finite where, besides, no group of items always wins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import expit

from bayespref.checks import between, finite, non_negative
from bayespref.display import shown

_MOST_STEPS = 100
_TOLERANCE = 1e-11
_FAR = 12.0
"""Log-odds beyond which a fit may be on its way to infinity."""


@shown(next_step="tilt the scores, or read contrasts of one prompt")
class TabularFit(NamedTuple):
    """Scores per prompt.

    Attributes
    ----------
    score : array, shape (..., item)
        z, log-odds, centred over the items on offer; NaN where ``reason`` says why, and for items not on offer. The
        policy is the tilt of the reference by ``score`` at the same beta.
    reason : str array, shape (...)
        ``"separated"`` where some items always win and no ridge was given; ``"no_data"`` where nothing was compared.
    """

    score: NDArray[np.float64]
    reason: NDArray[np.str_]


@shown(next_step="contrasts of features are what it identifies")
class LinearFit(NamedTuple):
    """Coefficients of a linear score.

    Attributes
    ----------
    coefficient : array, shape (feature,)
        theta, log-odds per unit of feature; the policy is proportional to ref exp(phi' theta / beta). NaN where
        ``reason`` says why.
    reason : str
        ``"separated"`` where a direction predicts every label and no ridge was given, else empty.
    """

    coefficient: NDArray[np.float64]
    reason: str


def pair_wins(
    state: Int[np.ndarray, " n"],
    item_a: Int[np.ndarray, " n"],
    item_b: Int[np.ndarray, " n"],
    label: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"] | None = None,
    *,
    n_states: int,
    n_items: int,
) -> Float[np.ndarray, "state item item_other"]:
    """Weighted wins per prompt and ordered pair.

    Parameters
    ----------
    state, item_a, item_b : int array, shape (n,)
        Codes of the rows.
    label : array, shape (n,)
        Share of the label for ``item_a``, in [0, 1] (0.5 for a tie).
    weight : array, shape (n,), optional
        Weights >= 0; one a row by default.
    n_states, n_items : int
        Sizes.

    Returns
    -------
    array, shape (state, item, item)
        ``[x, a, b]``: weight with which a beat b in prompt x.

    Raises
    ------
    ValueError
        If a label leaves [0, 1] or a weight is negative or not finite.

    Examples
    --------
    >>> pair_wins([0, 0], [0, 1], [1, 0], [1.0, 0.5], [1.0, 2.0], n_states=1, n_items=2).tolist()
    [[[0.0, 2.0], [1.0, 0.0]]]
    """
    share = between("label", label, 0.0, 1.0)
    mass = np.ones(share.shape) if weight is None else finite("weight", non_negative("weight", weight))
    x, a, b = (np.asarray(code, dtype=np.int64) for code in (state, item_a, item_b))
    size = n_states * n_items * n_items
    won = np.bincount((x * n_items + a) * n_items + b, mass * share, minlength=size)
    lost = np.bincount((x * n_items + b) * n_items + a, mass * (1.0 - share), minlength=size)
    return np.asarray((won + lost).reshape(n_states, n_items, n_items))


def reachable(edges: Bool[np.ndarray, "*lead item item_other"]) -> Bool[np.ndarray, "*lead item item_other"]:
    """Transitive closure by repeated squaring."""
    n = edges.shape[-1]
    closure = (edges | np.eye(n, dtype=bool)).astype(np.float32)
    for _ in range(max(1, int(np.ceil(np.log2(max(n, 2)))))):
        closure = np.minimum(closure @ closure, 1.0)
    return np.asarray(closure > 0)


def tabular_dpo(
    wins: Float[np.ndarray, "*lead item item_other"],
    *,
    ridge: float = 0.0,
    offered: Bool[np.ndarray, "*lead item"] | None = None,
) -> TabularFit:
    """Minimise the weighted DPO loss over a table of scores.

    Per prompt: sum over pairs of ``total softplus(z_a - z_b) - wins_ab (z_a - z_b)``, plus ``ridge / 2 sum z^2``. The
    margin of the policy is z itself: beta only enters when scores become a policy.

    Parameters
    ----------
    wins : array, shape (..., item, item)
        Weighted wins (`pair_wins`), or target mass times pseudo-probabilities (`crossfit.pseudo_outcomes`); the
        diagonal is ignored.
    ridge : float
        In units of ``wins``, >= 0. Needed where wins are negative: the loss is then unbounded below without it.
    offered : bool array, shape (..., item), optional
        Items a prompt has; all by default.

    Returns
    -------
    TabularFit

    Raises
    ------
    ValueError
        If the pairs of a prompt do not connect its items (the scores of the parts are then unrelated, with a ridge
        too), or a pair's wins are negative without a ridge.

    Examples
    --------
    >>> fit = tabular_dpo(np.array([[0.0, 3.0], [1.0, 0.0]]))
    >>> (fit.score[0] - fit.score[1]).round(6)
    np.float64(1.098612)
    """
    won = finite("wins", wins)
    if won.ndim < 2 or won.shape[-1] != won.shape[-2]:
        raise ValueError(f"wins: must have shape (..., item, item), got {won.shape}")
    n = won.shape[-1]
    won = np.where(np.eye(n, dtype=bool), 0.0, won)
    penalty = float(non_negative("ridge", ridge))
    total = won + np.swapaxes(won, -1, -2)
    on = np.ones(won.shape[:-1], dtype=bool) if offered is None else np.broadcast_to(offered, won.shape[:-1])
    if (total < 0).any():
        raise ValueError("wins: the two sides of a pair must not sum to a negative weight")
    if (won < 0).any() and penalty == 0.0:
        raise ValueError(
            f"wins: {int((won < 0).sum())} pair(s) have a pseudo-probability outside [0, 1]: the loss has no minimum; "
            "give a ridge, or clip them (crossfit.pseudo_outcomes says which)"
        )
    both = on[..., :, None] & on[..., None, :]
    empty = (total == 0).all(axis=(-1, -2))
    split = ~(reachable(total > 0) | ~both).all(axis=(-1, -2)) & ~empty
    if split.any():
        where = [tuple(int(i) for i in cell) for cell in np.argwhere(split)[:5]]
        raise ValueError(
            f"wins: the compared pairs do not connect the items of {int(split.sum())} prompt(s), first {where}: their "
            "scores are unrelated; collect a bridging pair, or say which items are on offer"
        )
    reason = np.where(empty, "no_data", "").astype("<U9")
    if penalty == 0.0:
        separated = ~(reachable(won > 0) | ~both).all(axis=(-1, -2)) & ~empty
        reason = np.where(separated, "separated", reason)
    ready = reason == ""
    score = np.full(won.shape[:-1], np.nan)
    if ready.any():
        score[ready] = _newton(won[ready], total[ready], on[ready], penalty)
    return TabularFit(score, reason)


def _newton(
    won: NDArray[np.float64], total: NDArray[np.float64], on: NDArray[np.bool_], ridge: float
) -> NDArray[np.float64]:
    """Centred scores of a batch of connected prompts, by safeguarded Newton steps."""
    n = won.shape[-1]
    share = on / on.sum(axis=-1, keepdims=True)
    # Fixes the gauge, and gives items that are not on offer a step of zero.
    gauge = share[..., :, None] * on[..., None, :] + np.where(np.eye(n, dtype=bool), ~on[..., None, :], False)
    size = np.maximum(total.sum(axis=(-1, -2)), np.finfo(float).tiny)

    def loss(z: NDArray[np.float64]) -> NDArray[np.float64]:
        # wins_ab softplus(-gap) over both orders of a pair is total softplus(gap) - wins gap over one.
        pairs = won * np.logaddexp(0.0, z[..., None, :] - z[..., :, None])
        return np.asarray(pairs.sum(axis=(-1, -2)) + 0.5 * ridge * (z**2).sum(axis=-1))

    z = np.zeros(won.shape[:-1])
    value = loss(z)
    for _ in range(_MOST_STEPS):
        p = expit(z[..., :, None] - z[..., None, :])
        gradient = (total * p - won).sum(axis=-1) + ridge * z
        if (np.abs(gradient).max(axis=-1) <= _TOLERANCE * size).all():
            break
        weight = total * p * (1.0 - p)
        hessian = np.eye(n) * (weight.sum(axis=-1) + ridge)[..., None] - weight
        step = -np.linalg.solve(hessian + size[:, None, None] * gauge, gradient[..., None])[..., 0]
        length = np.ones(value.shape)
        for _ in range(40):
            new = loss(z + length[:, None] * step)
            worse = ~(new <= value + 1e-14 * np.abs(value))
            if not worse.any():
                break
            length = np.where(worse, 0.5 * length, length)
        accept = new <= value + 1e-14 * np.abs(value)
        z = np.where(accept[:, None], z + length[:, None] * step, z)
        value = np.where(accept, new, value)
    z = z - (z * share).sum(axis=-1, keepdims=True)
    return np.where(on, z, np.nan)


def linear_dpo(
    difference: Float[np.ndarray, "n feature"],
    label: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    *,
    ridge: float = 0.0,
) -> LinearFit:
    """Minimise the weighted DPO loss over a linear-softmax policy, pi proportional to ref exp(phi' theta / beta).

    Parameters
    ----------
    difference : array, shape (n, feature)
        phi(x, a) - phi(x, b).
    label : array, shape (n,)
        Share of the label for a, in [0, 1].
    weight : array, shape (n,)
        Importance weights >= 0.
    ridge : float
        Of ``ridge / 2 |theta|^2`` beside the mean loss, >= 0.

    Returns
    -------
    LinearFit

    Raises
    ------
    ValueError
        If the weighted differences do not span the features and there is no ridge (a direction nobody compared).

    Examples
    --------
    >>> rows = np.array([[1.0], [1.0], [1.0], [1.0]])
    >>> linear_dpo(rows, np.array([1.0, 1.0, 1.0, 0.0]), np.ones(4)).coefficient.round(6).tolist()
    [1.098612]
    """
    rows = finite("difference", difference)
    share, mass = between("label", label, 0.0, 1.0), finite("weight", non_negative("weight", weight))
    if rows.ndim != 2 or share.shape != (len(rows),) or mass.shape != share.shape:
        raise ValueError(f"difference, label, weight: got shapes {rows.shape}, {share.shape}, {mass.shape}")
    penalty = float(non_negative("ridge", ridge))
    used = mass > 0
    rows, share, mass = rows[used], share[used], mass[used] / len(used)
    if penalty == 0.0:
        rank = int(np.linalg.matrix_rank(rows)) if len(rows) else 0
        if rank < rows.shape[1]:
            raise ValueError(
                f"difference: rows of positive weight span {rank} of {rows.shape[1]} features; the others were never "
                "compared: drop them, or give a ridge"
            )
    theta = np.zeros(rows.shape[1])

    def loss(t: NDArray[np.float64]) -> float:
        z = rows @ t
        return float(mass @ (np.logaddexp(0.0, z) - share * z) + 0.5 * penalty * t @ t)

    value = loss(theta)
    settled = False
    for _ in range(_MOST_STEPS):
        p = expit(rows @ theta)
        gradient = rows.T @ (mass * (p - share)) + penalty * theta
        settled = bool(np.abs(gradient).max(initial=0.0) <= _TOLERANCE * max(mass.sum(), 1e-300))
        hessian = (rows * (mass * p * (1.0 - p))[:, None]).T @ rows + penalty * np.eye(len(theta))
        if settled or np.linalg.cond(hessian) > 1e14:
            break
        step, length = -np.linalg.solve(hessian, gradient), 1.0
        while loss(theta + length * step) > value + 1e-14 * abs(value) and length > 1e-12:
            length *= 0.5
        theta = theta + length * step
        value = loss(theta)
    # Without a finite minimum the steps run off; only then is the program worth its time.
    doubtful = penalty == 0.0 and (not settled or np.abs(rows @ theta).max(initial=0.0) > _FAR)
    if doubtful and _separable(rows, share):
        return LinearFit(np.full(rows.shape[1], np.nan), "separated")
    return LinearFit(theta, "")


def _separable(rows: NDArray[np.float64], share: NDArray[np.float64]) -> bool:
    """Whether a direction agrees with every label and is not flat on all (Albert & Anderson 1984), by one program."""
    scale = np.abs(rows).max(axis=1)
    scale = np.where(scale > 0, scale, 1.0)
    unit = rows / scale[:, None]
    wins, losses = share > 0, share < 1
    signs = np.concatenate([unit[wins & ~losses], -unit[losses & ~wins]])
    flat = unit[wins & losses]
    if not len(signs):
        return False
    found = linprog(
        -signs.sum(axis=0) / len(signs),
        A_ub=-signs,
        b_ub=np.zeros(len(signs)),
        A_eq=flat if len(flat) else None,
        b_eq=np.zeros(len(flat)) if len(flat) else None,
        bounds=[(-1.0, 1.0)] * rows.shape[1],
        method="highs",
    )
    return bool(found.status == 0 and found.fun is not None and found.fun < -1e-9)
