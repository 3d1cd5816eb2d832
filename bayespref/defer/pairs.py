"""Scores of a choice between two items of a linear model, over whole regions of feature differences.

With r(c, a) = w_c' phi(a), a case is the difference x = phi(item_a) - phi(item_b). For fixed draws every score here is
convex in x, so over a polytope of x the worst case stands at one of its corners: regions are given by their vertices.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from bayespref.checks import as_float, between, finite, non_negative
from bayespref.display import shown

_MOST_FLOATS = 2e8
_STEPS = 60
_INSIDE = 1e-9
"""Length of the part of a scaled direction outside the compared directions that still counts as rounding."""


@shown(next_step="act where the score of your rule is below the cost of deferring")
class PairScores(NamedTuple):
    """Worst case, over a region, of what playing ``item_a`` (first) or ``item_b`` (second) could cost, log-odds."""

    chow: Float[np.ndarray, "group region 2"]
    """Largest posterior mean regret of a case of the region; exact."""
    credible: Float[np.ndarray, "group region 2"]
    """1 - alpha quantile over draws of the largest regret in the region: at least that of every case."""
    set_pure: Float[np.ndarray, "group region 2"]
    """Largest posterior mean of the worst regret within the identified set; exact for the bounds used."""
    set_random: Float[np.ndarray, "group region"]
    """Least such regret of a coin that is the same all over the region (minimax regret V)."""


def box_vertices(
    lower: Float[np.ndarray, "region feature"], upper: Float[np.ndarray, "region feature"]
) -> Float[np.ndarray, "region vertex feature"]:
    """Corners of boxes.

    Parameters
    ----------
    lower, upper : float array, shape (region, feature)
        Finite, ``lower <= upper``.

    Returns
    -------
    float array, shape (region, 2 ** feature, feature)

    Raises
    ------
    ValueError
        If bounds are crossed or not finite.

    Examples
    --------
    >>> box_vertices(np.array([[0.0, 5.0]]), np.array([[1.0, 6.0]]))[0].tolist()
    [[0.0, 5.0], [0.0, 6.0], [1.0, 5.0], [1.0, 6.0]]
    """
    low, high = finite("lower", lower), finite("upper", upper)
    if low.shape != high.shape or low.ndim != 2:
        raise ValueError(f"lower, upper: must have axes (region, feature), got {low.shape} and {high.shape}")
    if np.any(low > high):
        raise ValueError("lower, upper: bounds are crossed in some region")
    corner = np.array(list(product((False, True), repeat=low.shape[1])), dtype=np.bool_)
    return np.where(corner, high[:, None, :], low[:, None, :])


def unidentified(
    compared: Float[np.ndarray, "question feature"],
    counts: Float[np.ndarray, "question type"],
    vertices: Float[np.ndarray, "region vertex feature"],
    *,
    n_min: float = 1.0,
) -> Bool[np.ndarray, "type region"]:
    """Regions in which some case lies outside the span of the differences that a type compared.

    Parameters
    ----------
    compared : float array, shape (question, feature)
        Feature differences of the questions asked.
    counts : float array, shape (question, type)
        How often each type answered them (expected counts where types are latent).
    vertices : float array, shape (region, vertex, feature)
        Corners of the regions.
    n_min : float
        Fewest answers of a type that make a question count.

    Returns
    -------
    bool array, shape (type, region)
        True where w_c' x is not a function of what the type's answers can tell, for some x of the region.

    Examples
    --------
    Only the first feature ever differed, so no case in which the second one differs is identified:

    >>> corners = box_vertices(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 0.0], [2.0, 2.0]]))
    >>> unidentified(np.array([[1.0, 0.0]]), np.array([[9.0]]), corners)
    array([[False,  True]])
    """
    differences, answers = finite("compared", compared), non_negative("counts", counts)
    corners = finite("vertices", vertices)
    if differences.ndim != 2 or answers.ndim != 2 or len(answers) != len(differences):
        raise ValueError(f"compared, counts: need one row a question, got {differences.shape} and {answers.shape}")
    if corners.ndim != 3 or corners.shape[2] != differences.shape[1]:
        raise ValueError(f"vertices: must have axes (region, vertex, {differences.shape[1]}), got {corners.shape}")
    # Units of measurement must not decide what counts as rounding.
    scale = np.sqrt((corners**2).mean((0, 1)))
    scale = np.where(scale > 0, scale, 1.0)
    scaled = corners / scale
    length = np.maximum(np.linalg.norm(scaled, axis=-1), 1e-300)
    found = np.empty((answers.shape[1], len(corners)), dtype=np.bool_)
    for kind in range(answers.shape[1]):  # a singular value decomposition a type; types are few
        rows = (differences / scale)[answers[:, kind] >= n_min]
        _, singular, basis = np.linalg.svd(rows, full_matrices=False)
        basis = basis[singular > 1e-9 * singular.max(initial=0.0)]
        outside = scaled - scaled @ basis.T @ basis
        found[kind] = (np.linalg.norm(outside, axis=-1) > _INSIDE * length).any(axis=1)
    return found


def pair_scores(
    coefficient: Float[np.ndarray, "draw type feature"],
    type_weights: Float[np.ndarray, "draw group type"],
    vertices: Float[np.ndarray, "region vertex feature"],
    *,
    blind: Bool[np.ndarray, "type region"],
    widest: float,
    alpha: float = 0.1,
) -> PairScores:
    """Score both items of every region for every group of people.

    Parameters
    ----------
    coefficient : float array, shape (draw, type, feature)
        Posterior draws of w_c, log-odds per unit of the feature.
    type_weights : float array, shape (draw, group, type)
        P(type) of each group a decision sees; one group of all people, or one a type.
    vertices : float array, shape (region, vertex, feature)
        Corners of regions of x = phi(item_a) - phi(item_b): any polytopes, or boxes from :func:`box_vertices`.
    blind : bool array, shape (type, region)
        Where a type's draws are not to be believed (from :func:`unidentified`, or for lack of comparisons nearby):
        there its difference may be anything in ``[-widest, widest]``.
    widest : float
        Largest difference of rewards assumed possible, log-odds; inf for no assumption.
    alpha : float
        Level of ``credible``.

    Returns
    -------
    PairScores

    Raises
    ------
    ValueError
        On shapes that do not agree, or arrays that would not fit in memory.

    Notes
    -----
    Design notes on deferral, scores of the action played. ``(upper d)^+`` is convex in x and so is its mean, hence the
    maximum over corners is the maximum over the region. For a ``blind`` type the bound is sharp in each single case
    and, over several cases of a region together, an upper bound.

    Examples
    --------
    One feature, w about 1: item_a is better by 1 to 2, and the mirror region says the same of item_b.

    >>> corners = box_vertices(np.array([[1.0], [-2.0]]), np.array([[2.0], [-1.0]]))
    >>> result = pair_scores(
    ...     np.array([[[0.9]], [[1.1]]]), np.ones((2, 1, 1)), corners, blind=np.zeros((1, 2), bool), widest=6.0
    ... )
    >>> result.set_pure.tolist()
    [[[0.0, 2.0], [2.0, 0.0]]]
    """
    draws, mix = finite("coefficient", coefficient), non_negative("type_weights", type_weights)
    corners, dark = finite("vertices", vertices), np.asarray(blind)
    range_width = float(non_negative("widest", widest))
    level = 1.0 - float(between("alpha", alpha, 0.0, 1.0))
    if draws.ndim != 3 or corners.ndim != 3 or draws.shape[2] != corners.shape[2] or not len(draws):
        raise ValueError(
            "coefficient, vertices: must have axes (draw, type, feature) and (region, vertex, feature), got "
            f"{draws.shape} and {corners.shape}"
        )
    if mix.ndim != 3 or (mix.shape[0], mix.shape[2]) != draws.shape[:2]:
        raise ValueError(f"type_weights: must have axes (draw, group, type), got {mix.shape} for {draws.shape}")
    if dark.dtype != np.bool_ or dark.shape != (draws.shape[1], len(corners)):
        raise ValueError(f"blind: must be boolean with axes (type, region), got {dark.dtype} of shape {dark.shape}")
    size = draws.shape[0] * max(draws.shape[1], mix.shape[1]) * corners.shape[0] * corners.shape[1]
    if size > _MOST_FLOATS:
        raise ValueError(f"vertices: {size:.2g} numbers over draws, more than {_MOST_FLOATS:.0g}; use fewer regions")
    difference = np.einsum("ncf,rvf->ncrv", draws, corners)
    mean = np.einsum("ngc,ncrv->ngrv", mix, difference)
    known = np.einsum("ngc,ncrv->ngrv", mix, np.where(dark[:, :, None], 0.0, difference))
    share = np.einsum("ngc,cr->ngr", mix, dark.astype(np.float64))
    # No weight on blind types means no width, even where the width is infinite.
    width = np.multiply(share, range_width, out=np.zeros_like(share), where=share > 0)[..., None]
    low, high = known - width, known + width

    realised = np.maximum(np.stack([-mean, mean], axis=-1), 0.0)
    worst = np.maximum(np.stack([-low, high], axis=-1), 0.0)
    return PairScores(
        chow=realised.mean(0).max(2),
        credible=np.quantile(realised.max(3), level, axis=0, method="inverted_cdf"),
        set_pure=worst.mean(0).max(2),
        set_random=_coin(low, high),
    )


def _coin(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least worst-case mean regret over the probability of playing item_a: convex, so by ternary search."""
    shape = (low.shape[1], low.shape[2])
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        bounded = np.isfinite(low).all((0, 3)) & np.isfinite(high).all((0, 3))
        value = np.full(shape, np.inf)
        g, r = np.nonzero(bounded)
        if len(g):
            value[g, r] = _coin(low[:, g, r][:, None], high[:, g, r][:, None])[0]
        return value

    def cost(first: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = as_float("first", first)[None, :, :, None]
        return np.asarray(np.maximum(-low * chance, high * (1.0 - chance)).mean(0).max(-1))

    left, right = np.zeros(shape), np.ones(shape)
    best = np.minimum(cost(left), cost(right))
    for _ in range(_STEPS):
        one, two = left + (right - left) / 3, right - (right - left) / 3
        cost_one, cost_two = cost(one), cost(two)
        best = np.minimum(best, np.minimum(cost_one, cost_two))  # any coin's cost is an upper bound of V
        left, right = np.where(cost_one > cost_two, one, left), np.where(cost_one > cost_two, right, two)
    return best
