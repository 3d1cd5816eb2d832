"""Bounds for a hidden mixture of types that use no model of the types.

Single labels show only p = sum_c p_O(c) sigma(d_c), with every type's reward difference d_c inside [-R, R]. The target
mixes the same types differently: q = sum_c p_T(c) sigma(d_c). Write lo = sigma(-R), hi = sigma(R) and
theta = (p - lo)/(hi - lo). Whatever is declared about the two mixes, the smallest attainable q is
lo + (hi - lo) f(theta) with f convex and piecewise linear; the declarations differ only in the pieces of f. A bound on
the type effect, |d_c - d_c'| <= kappa, replaces [-R, R] by windows of width kappa.
"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from bayespref.bounds.identifiability import LocalIdentifiability, local_identifiability
from bayespref.bounds.label_design import LabelDesign, answered_design, items_design, pairs_design, repeats_design
from bayespref.bounds.ranges import Bounds, check_gamma, inside_range, reward_span
from bayespref.checks import as_float, between, non_negative, simplex
from bayespref.errors import InfeasibleMixtureError, NotSharp

__all__ = [
    "LabelDesign",
    "LocalIdentifiability",
    "answered_design",
    "items_design",
    "local_identifiability",
    "mean_difference",
    "pairs_design",
    "repeated_label_preference",
    "repeats_design",
    "target_preference",
]

_GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)
_SEARCH_STEPS = 80
_ROUNDING = 1e-12


def target_preference(
    p: Float[ArrayLike, "*draw"],
    reward_range: float | tuple[float, float],
    *,
    density_ratio: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    total_variation: ArrayLike | None = None,
    observed_mix: Float[ArrayLike, "*#draw type"] | None = None,
    target_mix: Float[ArrayLike, "*#draw type"] | None = None,
    type_effect: ArrayLike | None = None,
    on_refuted: str = "raise",
) -> Bounds:
    """Bound the target's preference from the observed preference of a hidden mixture.

    Declare one thing about the two mixes: a density ratio, a total variation distance, or both mixes themselves.
    ``type_effect`` adds a bound kappa on how far any two types differ on this pair; alone, it leaves the target mix
    free. All forms are sharp.

    Parameters
    ----------
    p : array_like, shape (*draw,)
        Observed marginal preference, share.
    reward_range : float or pair
        R, or (m, M), log-odds: every type's difference lies in [-R, R].
    density_ratio : float, array or pair, optional
        Gamma, for target over observed in [1/Gamma, Gamma]; or (a, b) with 0 <= a <= 1 <= b.
    total_variation : array_like, optional
        Largest total variation distance between the mixes, share in [0, 1].
    observed_mix, target_mix : array_like, shape (*draw, type), optional
        Both mixes, each summing to one. A type with observed share 0 is free.
    type_effect : array_like, optional
        kappa >= 0, log-odds. At 0 all types agree and the target's preference equals ``p``.
    on_refuted : {"raise", "nan"}
        What to do with values of p that no mixture inside the range can produce.

    Returns
    -------
    Bounds
        Ends of the target's preference, a share.

    Raises
    ------
    InfeasibleMixtureError
        If p lies outside [sigma(-R), sigma(R)] and ``on_refuted="raise"``.
    TargetMixError
        If a mix is not a distribution.
    ValueError
        If nothing, or more than one thing, is declared about the mixes, or a bound is out of range.

    Notes
    -----
    Pieces of f: density ratio max(a t, 1-b(1-t)); total variation max(0, t-e); known mixes: the fractional knapsack
    that fills types by target over observed share, O(K log K). With kappa each piece is first falling then rising in
    the window's position (the logistic density is log-concave), so a golden-section search finds the minimum.

    Examples
    --------
    >>> bound = target_preference(0.6, 1.0, density_ratio=2.0)
    >>> print(bound.lower.round(6), bound.upper.round(6))
    0.468941 0.665529
    >>> bound = target_preference(0.7, (0.0, 1.0), observed_mix=[0.9, 0.1], target_mix=[0.5, 0.5])
    >>> print(bound.lower.round(6), bound.upper.round(6))
    0.575766 0.713804
    """
    span = reward_span(reward_range)
    share = inside_range(between("p", p, 0.0, 1.0), span, on_refuted)
    slope, intercept, assumption = _pieces(density_ratio, total_variation, observed_mix, target_mix, type_effect)
    assumptions = [f"differences of every type within {span:g} log-odds", assumption]
    if type_effect is None:
        lo, hi = np.asarray(expit(-span)), np.asarray(expit(span))
        lower = _lower(share, lo, hi, slope, intercept)
        upper = 1.0 - _lower(1.0 - share, 1.0 - hi, 1.0 - lo, slope, intercept)
    else:
        kappa = np.minimum(non_negative("type_effect", type_effect), 2.0 * span)
        assumptions.append("types differ by at most kappa log-odds on this pair")
        lower = _lower_over_windows(share, span, kappa, slope, intercept)
        upper = 1.0 - _lower_over_windows(1.0 - share, span, kappa, slope, intercept)
    return Bounds(np.minimum(lower, share), np.maximum(upper, share), True, tuple(assumptions))


def _pieces(
    density_ratio: ArrayLike | tuple[ArrayLike, ArrayLike] | None,
    total_variation: ArrayLike | None,
    observed_mix: ArrayLike | None,
    target_mix: ArrayLike | None,
    type_effect: ArrayLike | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Slopes and intercepts of f, pieces on the last axis, and the assumption in words."""
    if (observed_mix is None) != (target_mix is None):
        raise ValueError("observed_mix, target_mix: declare both or neither")
    declared = [density_ratio is not None, total_variation is not None, observed_mix is not None]
    if sum(declared) > 1:
        raise ValueError("declare only one of density_ratio, total_variation, and the pair observed_mix, target_mix")
    if density_ratio is not None:
        a, b = ratio_ends(density_ratio)
        return (
            np.stack([a, b], axis=-1),
            np.stack([np.zeros_like(b), 1.0 - b], axis=-1),
            "target over observed mix of types within the declared density ratio",
        )
    if total_variation is not None:
        distance = between("total_variation", total_variation, 0.0, 1.0)
        zero = np.zeros_like(distance)
        return (
            np.stack([zero, zero + 1.0], axis=-1),
            np.stack([zero, -distance], axis=-1),
            "total variation between the mixes of types at most as declared",
        )
    if observed_mix is not None and target_mix is not None:
        return _knapsack(simplex("observed_mix", observed_mix), simplex("target_mix", target_mix))
    if type_effect is None:
        raise ValueError("declare one of density_ratio, total_variation, observed_mix with target_mix, or type_effect")
    return np.zeros(1), np.zeros(1), "target mix of types free"


def ratio_ends(density_ratio: ArrayLike | tuple[ArrayLike, ArrayLike]) -> tuple[NDArray[np.float64], ...]:
    """Return (a, b) from Gamma, giving (1/Gamma, Gamma), or from a pair (a, b) with 0 <= a <= 1 <= b.

    Examples
    --------
    >>> [float(end) for end in ratio_ends(2.0)]
    [0.5, 2.0]
    """
    if isinstance(density_ratio, tuple):
        if len(density_ratio) != 2:
            raise ValueError(f"density_ratio: must be Gamma or a pair (a, b), got {len(density_ratio)} values")
        a = between("density_ratio[0]", density_ratio[0], 0.0, 1.0)
        b = check_gamma("density_ratio[1]", density_ratio[1])
        return tuple(np.broadcast_arrays(a, b))
    gamma = check_gamma("density_ratio", density_ratio)
    return 1.0 / gamma, gamma


def _knapsack(
    observed: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    observed, target = np.broadcast_arrays(observed, target)
    free = observed <= 0.0
    ratio = np.where(free, np.inf, target / np.where(free, 1.0, observed))
    order = np.argsort(ratio, axis=-1, kind="stable")
    ratio = np.take_along_axis(ratio, order, axis=-1)
    filled = np.take_along_axis(observed, order, axis=-1)
    gained = np.take_along_axis(target, order, axis=-1)
    slope = np.where(np.isinf(ratio), 0.0, ratio)
    start = np.cumsum(gained, axis=-1) - gained - slope * (np.cumsum(filled, axis=-1) - filled)
    return (
        slope,
        np.where(np.isinf(ratio), 0.0, start),
        "observed and target mix of types known, types otherwise free",
    )


def _lower(
    p: NDArray[np.float64],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
    slope: NDArray[np.float64],
    intercept: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The form lo + (hi - lo) max_k(slope_k theta + intercept_k), written without dividing by hi - lo."""
    return np.asarray((lo[..., None] + slope * (p - lo)[..., None] + intercept * (hi - lo)[..., None]).max(axis=-1))


def _lower_over_windows(
    p: NDArray[np.float64],
    span: float,
    kappa: NDArray[np.float64],
    slope: NDArray[np.float64],
    intercept: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Minimise the lower end over windows [t, t + kappa] inside [-R, R] whose preferences surround p."""
    with np.errstate(divide="ignore"):
        odds = np.clip(logit(p), -span, span)  # rounding at the ends of the range only: p was checked
    shape = np.broadcast_shapes(p.shape, kappa.shape, slope.shape[:-1])
    left = np.broadcast_to(np.maximum(-span, odds - kappa), shape).copy()
    right = np.broadcast_to(np.minimum(odds, span - kappa), shape).copy()
    right = np.maximum(left, right)

    def end(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return _lower(p, expit(t), expit(t + kappa), slope, intercept)

    best = np.minimum(end(left), end(right))
    inner, outer = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    value_inner, value_outer = end(inner), end(outer)
    for _ in range(_SEARCH_STEPS):
        go_left = value_inner < value_outer
        right = np.where(go_left, outer, right)
        left = np.where(go_left, left, inner)
        inner_next = np.where(go_left, right - _GOLDEN * (right - left), outer)
        outer_next = np.where(go_left, inner, left + _GOLDEN * (right - left))
        fresh = end(np.where(go_left, inner_next, outer_next))
        value_inner, value_outer = np.where(go_left, fresh, value_outer), np.where(go_left, value_inner, fresh)
        inner, outer = inner_next, outer_next
    return np.minimum(best, np.minimum(value_inner, value_outer))


def mean_difference(
    p: Float[ArrayLike, "*draw"], reward_range: float | tuple[float, float], *, on_refuted: str = "raise"
) -> Bounds:
    """Bound the mean reward difference E[d] of the same mixture from its preference p = E[sigma(d)].

    The convex and the concave envelope of logit on [sigma(-R), sigma(R)], read at p. logit is concave below 1/2 and
    convex above, so the convex envelope is the chord from the left end to a tangent point, then logit itself; the
    tangent is one root, found to 1e-14. E[d] can have another sign than logit p: a majority may prefer the item that
    is worse on average.

    Parameters
    ----------
    p : array_like, shape (*draw,)
        Observed marginal preference, share.
    reward_range : float or pair
        R, or (m, M), log-odds.
    on_refuted : {"raise", "nan"}
        What to do with values of p that no mixture inside the range can produce.

    Returns
    -------
    Bounds
        Ends of E[d], log-odds; sharp, attained by mixtures of at most two types.

    Raises
    ------
    InfeasibleMixtureError
        If p lies outside [sigma(-R), sigma(R)] and ``on_refuted="raise"``.

    Examples
    --------
    >>> bound = mean_difference(0.6, 5.0)
    >>> print(bound.lower.round(5), bound.upper.round(5))
    -0.26205 1.85918
    """
    span = reward_span(reward_range)
    share = inside_range(between("p", p, 0.0, 1.0), span, on_refuted)
    lower = _convex_envelope(share, span)
    upper = -_convex_envelope(1.0 - share, span)
    return Bounds(lower, upper, True, (f"differences of every type within {span:g} log-odds", "types otherwise free"))


def _convex_envelope(p: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    if span == 0.0:
        return np.where(np.isnan(p), np.nan, 0.0)
    lo, hi = float(expit(-span)), float(expit(span))

    def overshoot(t: float) -> float:
        """Positive while the chord from the left end to sigma(t) is steeper than logit there."""
        x = float(expit(t))
        return (t + span) * x * (1.0 - x) - (x - lo)

    tangent = span if overshoot(span) >= 0.0 else float(brentq(overshoot, 0.0, span, xtol=1e-14, rtol=1e-14))
    touch = hi if tangent == span else float(expit(tangent))
    chord = -span + (tangent + span) * (p - lo) / (touch - lo)
    with np.errstate(divide="ignore"):
        return np.where(p <= touch, chord, np.where(np.isnan(p), np.nan, np.minimum(logit(p), span)))


def repeated_label_preference(
    p: Float[ArrayLike, "*draw"],
    second_moment: Float[ArrayLike, "*draw"],
    reward_range: float | tuple[float, float],
    *,
    density_ratio: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    observed_mix: Float[ArrayLike, "*#draw type"] | None = None,
    target_mix: Float[ArrayLike, "*#draw type"] | None = None,
) -> Bounds:
    """Bound the target's preference when raters label the same pair twice.

    Two labels identify m2 = E[x^2] of the raters' preferences x, hence their variance m2 - p^2, and
    |q - p| <= sd sqrt(chi2), with chi2 = sum (p_T - p_O)^2/p_O, or (b-1)(1-a) for a density ratio in [a, b], which is
    (G-1)^2/G for [1/G, G]. The bound is intersected with the one of single labels (``target_preference``).

    Parameters
    ----------
    p : array_like, shape (*draw,)
        Marginal preference, share.
    second_moment : array_like, shape (*draw,)
        Probability that two labels of one rater both prefer the first item, share.
    reward_range : float or pair
        R, or (m, M), log-odds.
    density_ratio : float, array or pair, optional
        Gamma, or (a, b), as in ``target_preference``.
    observed_mix, target_mix : array_like, shape (*draw, type), optional
        Both mixes.

    Returns
    -------
    Bounds
        Ends of the target's preference, a share. ``sharp`` is True when in every cell the distributions that attain
        the two ends stay inside [sigma(-R), sigma(R)]; otherwise a warning says so, and ``type_grid_bounds`` with the
        pair repeated gives the sharp answer.

    Raises
    ------
    InfeasibleMixtureError
        If no distribution on [sigma(-R), sigma(R)] has these two moments.
    ValueError
        If not exactly one of density ratio and both mixes is declared.

    Examples
    --------
    >>> bound = repeated_label_preference(0.6, 0.362, 1.0, density_ratio=2.0)
    >>> print(bound.lower.round(6), bound.upper.round(6), bound.sharp)
    0.568377 0.631623 True
    """
    span = reward_span(reward_range)
    lo, hi = float(expit(-span)), float(expit(span))
    share, moment = np.broadcast_arrays(as_float("p", p), between("second_moment", second_moment, 0.0, 1.0))
    single = target_preference(
        share, span, density_ratio=density_ratio, observed_mix=observed_mix, target_mix=target_mix
    )
    variance = moment - share**2
    bad = (variance < -_ROUNDING) | ((lo + hi) * share - lo * hi - moment < -_ROUNDING)
    if bad.any():
        raise InfeasibleMixtureError(
            f"second_moment: {int(bad.sum())} of {bad.size} value(s) fit no distribution on [{lo:.6f}, {hi:.6f}] with "
            f"mean p: it must lie in [p^2, (lo+hi)p - lo*hi]; first (p, second_moment) "
            f"{[(float(x), float(y)) for x, y in zip(share[bad][:5], moment[bad][:5], strict=True)]}"
        )
    # Variances within rounding of zero are zero: their square root would blow 1e-17 up to 3e-9.
    deviation = np.sqrt(np.where(variance <= 1e-15, 0.0, variance))
    if density_ratio is not None:
        a, b = ratio_ends(density_ratio)
        chi = np.sqrt((b - 1.0) * (1.0 - a))
        safe = np.where(chi > 0, chi, 1.0)
        up, down = (b - 1.0) / safe, (1.0 - a) / safe
    elif observed_mix is not None and target_mix is not None:
        observed, target = np.broadcast_arrays(
            as_float("observed_mix", observed_mix), as_float("target_mix", target_mix)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(target == observed, 0.0, target / observed - 1.0)
        chi = np.sqrt((observed * np.where(np.isinf(shift), 0.0, shift) ** 2).sum(axis=-1))
        chi = np.where(np.isinf(shift).any(axis=-1), np.inf, chi)
        safe = np.where((chi > 0) & np.isfinite(chi), chi, 1.0)
        seen = observed > 0
        up = np.where(seen, shift, -np.inf).max(axis=-1) / safe
        down = np.where(seen, -shift, -np.inf).max(axis=-1) / safe
    with np.errstate(invalid="ignore"):
        reach = np.where(deviation == 0.0, np.where(np.isinf(chi), np.inf, 0.0), deviation * chi)
    # The maximiser of q is x = p + sd (w - 1)/chi and the minimiser its mirror image: both must fit the range.
    widest = deviation * np.maximum(up, down)
    fits = (reach == 0.0) | (np.isfinite(chi) & (share + widest <= hi + _ROUNDING) & (share - widest >= lo - _ROUNDING))
    sharp = bool(fits.all())
    if not sharp:
        warnings.warn(
            f"the attaining types leave the reward range in {1.0 - fits.mean():.1%} of cells; the bound holds but may "
            "be too wide there",
            NotSharp,
            stacklevel=2,
        )
    return Bounds(
        np.maximum(share - reach, single.lower),
        np.minimum(share + reach, single.upper),
        sharp,
        (*single.assumptions, "two labels of one rater on one pair are independent given the rater"),
    )
