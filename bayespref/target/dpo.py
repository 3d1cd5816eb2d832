"""Weighted and doubly robust preference losses on arrays of log-probabilities, for NumPy and for JAX.

With ``z = beta [log pi/ref (y) - log pi/ref (y')]`` the loss of a label ``L`` (1 where y is preferred, 0 where y' is,
0.5 for a tie) is ``softplus(z) - L z``: linear in L, so that only the target's preference probability matters.

Weighted DPO does **not** target the tilt of the type-averaged reward. Its minimiser has ``sigmoid(z) =
sum_c p_T(c|x) sigmoid(Delta_c)``; the tilt has ``z = sum_c p_T(c|x) Delta_c``. They agree where types agree, and to
third order in small rewards; past moderate disagreement weighted DPO can be worse than no weights, and than the
reference. Fit types and tilt their average (`bayespref.target.tilt`) where that matters, and test whether it does with
`bayespref.target.modification`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from bayespref.checks import between, finite, non_negative, positive, same_shape, simplex


def _namespace(*arrays: Any) -> Any:
    """``jax.numpy`` where an argument is a JAX array or a tracer, NumPy otherwise."""
    for array in arrays:
        if type(array).__module__.partition(".")[0] in ("jax", "jaxlib"):
            return array.__array_namespace__()
    return np


def _alike(xp: Any, **arrays: Any) -> tuple[Any, ...]:
    """Arrays of one shape, which a trace knows too: broadcasting would average over pairs of rows."""
    found = {name: xp.asarray(array) for name, array in arrays.items()}
    same_shape(**found)
    return tuple(found.values())


def dpo_margin(
    policy_a: Float[ArrayLike, " n"],
    policy_b: Float[ArrayLike, " n"],
    reference_a: Float[ArrayLike, " n"],
    reference_b: Float[ArrayLike, " n"],
    beta: float,
) -> Any:
    """Margin z = beta [log pi/ref (a) - log pi/ref (b)] from four arrays of log-probabilities.

    Parameters
    ----------
    policy_a, policy_b : array, shape (n,)
        log pi of the two completions, nats.
    reference_a, reference_b : array, shape (n,)
        log ref of the two completions, nats.
    beta : float
        Price of a nat, log-odds, > 0.

    Returns
    -------
    array, shape (n,)
        z, log-odds; a JAX array where an argument is one.

    Raises
    ------
    ValueError
        If shapes differ, a completion has zero reference probability (log minus infinity), or ``beta`` is not above
        zero. Inside a JAX trace shapes are checked, values are not.

    Examples
    --------
    >>> dpo_margin(np.log([0.6]), np.log([0.4]), np.log([0.5]), np.log([0.5]), 2.0).round(4).tolist()
    [0.8109]
    """
    xp = _namespace(policy_a, policy_b, reference_a, reference_b)
    price = positive("beta", beta)
    if xp is np:
        for name, values in (("reference_a", reference_a), ("reference_b", reference_b)):
            zero = np.flatnonzero(np.isneginf(np.asarray(values, dtype=np.float64)))
            if len(zero):
                raise ValueError(
                    f"{name}: {len(zero)} completion(s) of zero reference probability, first rows {zero[:5].tolist()}; "
                    "a logged completion that the reference never writes has no finite margin"
                )
            finite(name, values)
        finite("policy_a", policy_a)
        finite("policy_b", policy_b)
    own_a, own_b, ref_a, ref_b = _alike(
        xp, policy_a=policy_a, policy_b=policy_b, reference_a=reference_a, reference_b=reference_b
    )
    return price * ((own_a - ref_a) - (own_b - ref_b))


def weighted_dpo_loss(z: Float[ArrayLike, " n"], L: Float[ArrayLike, " n"], w: Float[ArrayLike, " n"]) -> Any:
    """Weighted DPO loss, mean over rows of w [softplus(z) - L z].

    Parameters
    ----------
    z : array, shape (n,)
        Margins, log-odds (`dpo_margin`).
    L : array, shape (n,)
        Share of the label that prefers the first completion, in [0, 1].
    w : array, shape (n,)
        Importance weights >= 0 (`bayespref.target.importance`). The sum is divided by n, not by the sum of weights:
        self-normalise first (`bayespref.weights.normalise`) if that is meant.

    Returns
    -------
    float, or a JAX scalar
        Loss, nats; differentiable in ``z``: the gradient is w (sigmoid(z) - L) / n.

    Raises
    ------
    ValueError
        If shapes differ; if a value is not finite, a label leaves [0, 1] or a weight is negative (values are not
        checked inside JAX).

    Notes
    -----
    The population minimiser is the tilt of the *pooled* log-odds, logit sum_c p_T(c|x) sigmoid(Delta_c), not of the
    averaged reward: see the module.

    Examples
    --------
    >>> round(float(weighted_dpo_loss(np.array([1.0, -1.0]), np.array([1.0, 0.0]), np.array([1.0, 3.0]))), 6)
    0.626523
    """
    xp = _namespace(z, L, w)
    if xp is np:
        z, L, w = finite("z", z), between("L", L, 0.0, 1.0), finite("w", non_negative("w", w))
    margin, label, weight = _alike(xp, z=z, L=L, w=w)
    loss = (weight * (xp.logaddexp(xp.zeros_like(margin), margin) - label * margin)).mean()
    return float(loss) if xp is np else loss


def doubly_robust_risk(
    z: Float[ArrayLike, " n"],
    L: Float[ArrayLike, " n"],
    w: Float[ArrayLike, " n"],
    q: Float[ArrayLike, " n"],
    *,
    target_z: Float[ArrayLike, " m"] | None,
    target_q: Float[ArrayLike, " m"] | None,
    target_mass: Float[ArrayLike, " m"] | None = None,
) -> Any:
    """Doubly robust estimate of the target's DPO risk.

    E_T[softplus(z) - q z] - (1/n) sum_i w_i (L_i - q_i) z_i, where the first part runs over **target tuples** (prompt,
    type, pair), labelled or not. On logged rows alone q cancels and the estimate is the weighted one: it is refused.

    Parameters
    ----------
    z, L, w : array, shape (n,)
        Margins, labels in [0, 1] and weights of the logged rows.
    q : array, shape (n,)
        Predicted preference probability of the logged rows, from a model fitted without their annotators
        (`bayespref.target.crossfit`).
    target_z, target_q : array, shape (m,)
        Margin and predicted probability of the target tuples.
    target_mass : array, shape (m,), optional
        p_T g_T of the tuples where it is known in closed form, summing to one; tuples count alike by default.

    Returns
    -------
    float, or a JAX scalar
        Risk, nats; convex in z where predictions and labels of each cell together stay in [0, 1] (see
        `bayespref.target.crossfit.pseudo_outcomes`).

    Raises
    ------
    ValueError
        Without target tuples; or as `weighted_dpo_loss`; ``TargetMixError`` if ``target_mass`` is no distribution.

    Notes
    -----
    Exact bias, for fixed w and q: minus E_O[(w - w*)(q* - q) z], with w* the true weights and q* the true preference
    probabilities. It is zero if either is right, and of second order if both are nearly right. The gradient is
    E_T[(sigmoid(z) - q) dz] - (1/n) sum w_i (L_i - q_i) dz_i.

    Examples
    --------
    >>> logged, target = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    >>> z, q = np.array([0.5, -1.0, 2.0]), np.array([0.7, 0.5, 0.5])
    >>> w = 3 * logged * np.array([0.6, 1.0, 2.0])  # expectation over the log, instead of a sample
    >>> risk = doubly_robust_risk(z, np.array([0.8, 0.4, 0.6]), w, q, target_z=z, target_q=q, target_mass=target)
    >>> round(risk, 8)
    0.80725791
    """
    if target_z is None or target_q is None:
        raise ValueError(
            "target_z, target_q: the doubly robust risk needs target tuples (unlabelled ones suffice) or p_T g_T in "
            "closed form; on the logged rows alone the outcome model cancels and the estimate is the weighted one"
        )
    xp = _namespace(z, L, w, q, target_z, target_q)
    if xp is np:
        z, L, w = finite("z", z), between("L", L, 0.0, 1.0), finite("w", non_negative("w", w))
        q, target_z = between("q", q, 0.0, 1.0), finite("target_z", target_z)
        target_q = between("target_q", target_q, 0.0, 1.0)
    margin, label, weight, predicted = _alike(xp, z=z, L=L, w=w, q=q)
    if target_mass is None:
        goal, share = _alike(xp, target_z=target_z, target_q=target_q)
    else:
        target_mass = simplex("target_mass", target_mass) if xp is np else target_mass
        goal, share, mass = _alike(xp, target_z=target_z, target_q=target_q, target_mass=target_mass)
    terms = xp.logaddexp(xp.zeros_like(goal), goal) - share * goal
    direct = terms.mean() if target_mass is None else (mass * terms).sum()
    risk = direct - (weight * (label - predicted) * margin).mean()
    return float(risk) if xp is np else risk
