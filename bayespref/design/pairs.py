"""Designs over pairs of responses: a joint distribution where the platform picks both sides, a product where it cannot.

If both sides are drawn independently from q, the information is sum_ab q_a q_b M_ab: not concave in q, so only a local
optimum can be promised. The joint design Q is linear in its unknowns, is solved with a certificate, and bounds every
product design, since q q' is one of its candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import as_float
from bayespref.design.certificate import criterion_value
from bayespref.design.mixture import Mixture, optimal_mixture
from bayespref.design.solver import least_eigenvalue
from bayespref.display import shown
from bayespref.information import check_symmetric, curvature


@shown(next_step="collect pairs in these shares")
class JointPairs(NamedTuple):
    """Joint design over unordered pairs.

    Attributes
    ----------
    weights : array, shape (A, A)
        Symmetric, sums to one: the share of a pair is split over its two orders. Under a total budget, counts.
    design : Mixture
        The same as a mixture over the pairs of ``np.triu_indices(A)``, with its certificate.
    """

    weights: NDArray[np.float64]
    design: Mixture


@shown(
    "value {value}, at most {upper_bound}",
    next_step="compare with the joint design before fixing sides independently",
)
class ProductDesign(NamedTuple):
    """Design with both sides drawn independently from q.

    Attributes
    ----------
    weights : array, shape (A,)
        q.
    value : float
        Least eigenvalue of sum_ab q_a q_b M_ab.
    upper_bound : float
        Certified bound of the joint design: no product does better.
    status : str
        Always "local": the best of the starts, not proven to be the best product.
    """

    weights: NDArray[np.float64]
    value: float
    upper_bound: float
    status: str


def pair_matrices(
    features: Float[np.ndarray, "action d"], w: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "action action d d"]:
    """Information g(w'dz) dz dz' of comparing arms with the given features.

    Examples
    --------
    >>> pair_matrices(np.array([[0.0], [1.0]]), np.zeros(1))[0, 1].tolist()
    [[0.25]]
    """
    dz = features[:, None, :] - features[None, :, :]
    return np.asarray(curvature(dz @ w)[..., None, None] * dz[..., :, None] * dz[..., None, :])


def _checked(M: ArrayLike) -> NDArray[np.float64]:
    matrices = as_float("M", M, ndim=4)
    if matrices.shape[0] != matrices.shape[1]:
        raise ValueError(f"M: must have shape (A, A, d, d), got {matrices.shape}")
    matrices = check_symmetric("M", matrices)
    off = np.abs(matrices - np.swapaxes(matrices, 0, 1)).max(axis=(2, 3)) > 1e-10 * np.abs(matrices).max()
    if off.any():
        raise ValueError(f"M: M[a, b] must equal M[b, a]; first bad pairs {np.argwhere(off)[:5].tolist()}")
    return matrices


def joint_pairs(
    M: Float[np.ndarray, "action action d d"],
    *,
    criterion: str = "E",
    cost: Float[np.ndarray, "action action"] | None = None,
    cost_cap: float | None = None,
    total_budget: float | None = None,
    mask: ArrayLike | None = None,
) -> JointPairs:
    """Optimal joint distribution over pairs of arms, with a certificate.

    Parameters
    ----------
    M : array, shape (A, A, d, d)
        Information per label of comparing a with b, symmetric in (a, b); ``M[a, a]`` counts (two draws of one arm).
    criterion, cost_cap, total_budget
        As in `optimal_mixture`.
    cost : array, shape (A, A), optional
        Symmetric cost of a label.
    mask : bool array, shape (A, A), optional
        Symmetric; pairs that may be asked.

    Returns
    -------
    JointPairs

    Raises
    ------
    ValueError
        If M, cost or mask is not symmetric in the pair, or an argument breaks a rule of `optimal_mixture`.

    Examples
    --------
    >>> arms = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> got = joint_pairs(pair_matrices(arms, np.zeros(2)), criterion="D")
    >>> got.weights.round(3).tolist()
    [[0.0, 0.167, 0.167], [0.167, 0.0, 0.167], [0.167, 0.167, 0.0]]
    """
    matrices = _checked(M)
    n = len(matrices)
    rows, columns = np.triu_indices(n)
    sides: dict[str, NDArray[np.generic] | None] = {"cost": None, "mask": None}
    for name, values in (("cost", cost), ("mask", mask)):
        if values is None:
            continue
        array = np.asarray(values)
        if array.shape != (n, n) or not np.array_equal(array, array.T, equal_nan=array.dtype.kind == "f"):
            raise ValueError(f"{name}: must be a symmetric array of shape {(n, n)}, got shape {array.shape}")
        sides[name] = array[rows, columns]
    design = optimal_mixture(
        matrices[rows, columns],
        criterion=criterion,
        cost=sides["cost"],
        cost_cap=cost_cap,
        total_budget=total_budget,
        mask=sides["mask"],
    )
    weights = np.zeros((n, n))
    weights[rows, columns] = design.weights
    return JointPairs((weights + weights.T) / 2, design)


def product_design(
    M: Float[np.ndarray, "action action d d"], *, rng: np.random.Generator, starts: int = 8, max_steps: int = 100
) -> ProductDesign:
    """Climb to a local E-optimal q for independent draws of both sides.

    Each step maximises the least eigenvalue of the linearisation 2 sum_ab q_a p_b M_ab - sum_ab q_a q_b M_ab over p (a
    semidefinite program) and goes as far towards p as the true value rises.

    Parameters
    ----------
    M : array, shape (A, A, d, d)
        As in `joint_pairs`.
    rng : numpy.random.Generator
        Draws the starts; the first is uniform.
    starts : int
        Number of starts.
    max_steps : int
        Steps per start.

    Returns
    -------
    ProductDesign

    Raises
    ------
    ValueError
        If M breaks a rule of `joint_pairs`.
    ImportError
        Without the extra ``bayespref[design]``.

    Examples
    --------
    >>> M = np.zeros((2, 2, 1, 1))
    >>> M[0, 1] = M[1, 0] = 1.0
    >>> got = product_design(M, rng=np.random.default_rng(0))
    >>> round(got.value, 6), round(got.upper_bound, 6), got.status
    (0.5, 1.0, 'local')
    """
    matrices = _checked(M)
    n = len(matrices)
    bound = joint_pairs(matrices).design.upper_bound
    best, best_q = -np.inf, np.full(n, 1.0 / n)

    def value(q: NDArray[np.float64]) -> float:
        return criterion_value("E", np.einsum("a,b,abij->ij", q, q, matrices)[None])

    for start in range(starts):
        q = np.full(n, 1.0 / n) if start == 0 else rng.dirichlet(np.ones(n))
        now = value(q)
        for _ in range(max_steps):
            slope = np.einsum("a,abij->bij", q, matrices)
            here = np.einsum("b,bij->ij", q, slope)
            solved = least_eigenvalue(2.0 * slope[None], -here[None], 1.0)
            if solved is None:
                break
            p = np.maximum(solved.x, 0.0) / np.maximum(solved.x, 0.0).sum()
            tried = [(value(q + step * (p - q)), step) for step in 0.5 ** np.arange(12)]
            top, step = max(tried)
            if top <= now + 1e-12 * abs(now):
                break
            q, now = q + step * (p - q), top
        if now > best:
            best, best_q = now, q
    return ProductDesign(best_q, best, bound, "local")
