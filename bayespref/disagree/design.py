"""Design flags: what was asked, not what the posterior says (partial-identification notes, section 5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from bayespref.checks import between, non_negative
from bayespref.disagree.relevant import labels, largest, optional, relevant_contrasts
from bayespref.disagree.resistance import effective_resistance
from bayespref.display import shown

DESIGN_FLAGS = ("no_data", "disconnected", "type_not_identified", "separated", "thin")
"""Reason codes, in the order in which the primary flag is chosen."""


@shown(next_step="explain(code) says what each flag means; defer or collect where one is raised")
class DesignFlags(NamedTuple):
    """Flags that read counts and ranks, one entry per region, with the statistics behind them."""

    no_data: Bool[np.ndarray, "*region"]
    disconnected: Bool[np.ndarray, "*region"]
    type_not_identified: Bool[np.ndarray, "*region"]
    separated: Bool[np.ndarray, "*region"]
    thin: Bool[np.ndarray, "*region"]
    thin_certain: Bool[np.ndarray, "*region"]
    """Thin by mass beyond doubt: the Clopper-Pearson upper limit lies below the floor."""
    weakly_identified: Bool[np.ndarray, "*region"]
    """The type's reward is identified, but with a standard error above the tolerance."""
    expected_count: Float[np.ndarray, "*region"]
    """(Expected) number of comparisons in the region."""
    mass: Float[np.ndarray, "*region"]
    """Share of all comparisons."""
    mass_upper: Float[np.ndarray, "*region"]
    """One-sided Clopper-Pearson upper limit of that share (comparisons taken as independent)."""
    design_sd: Float[np.ndarray, "*region"]
    """Largest standard error of a relevant contrast within a component, sqrt(effective resistance), log-odds; NaN
    where no two relevant items are connected."""
    checked: Bool[np.ndarray, "*region flag"]
    """Whether the inputs a flag needs were given, in the order of ``DESIGN_FLAGS``."""


def design_flags(
    counts: Float[np.ndarray, "*region item item_other"],
    component: Int[np.ndarray, "*region item"],
    strong_component: Int[np.ndarray, "*region item"],
    *,
    leader: Int[np.ndarray, "*region"] | None = None,
    contender: Bool[np.ndarray, "*region item"] | None = None,
    win_probability: Float[np.ndarray, "*region item item_other"] | None = None,
    outside_share: ArrayLike | None = None,
    type_sd: ArrayLike | None = None,
    total: float | None = None,
    n_min: float = 0.0,
    latent: bool = False,
    floor: float = 0.001,
    tolerance: float = 1.0,
    delta: float = 0.05,
) -> DesignFlags:
    """Set the flags that depend on what was asked, not on what the posterior says.

    Parameters
    ----------
    counts : float array, shape (*region, item, item_other)
        Comparisons per unordered pair, symmetric, zero diagonal; expected counts where types are latent.
    component, strong_component : int array, shape (*region, item)
        Labels of connected components (comparisons) and of strong components (wins) within each region. An item
        without comparisons is a component of its own.
    leader : int array, shape (*region,), optional
        The greedy action. Without it every item counts as a possible leader.
    contender : bool array, shape (*region, item), optional
        Items a policy may choose; all by default.
    win_probability : float array, shape (*region, item, item_other), optional
        P(item beats item_other), for the standard errors. Without it 1/2, the most informative case.
    outside_share : float array, broadcastable to the regions, optional
        Share of draws for which the gradient of the type's contrast lies outside the row space of the Jacobian.
        NaN means not checked.
    type_sd : float array, broadcastable to the regions, optional
        Standard error of the type's contrast where it is identified, log-odds.
    total : float, optional
        All comparisons of the table; the sum over regions by default.
    n_min : float
        Fewest comparisons that make an edge, as used for the component labels; any positive count by default. Expected
        counts of latent types are positive almost everywhere, so they need one.
    latent : bool
        Types are latent, so counts are posterior expectations: ``no_data`` then means fewer than one.
    floor : float
        Mass below which a region is thin, share of all comparisons.
    tolerance : float
        Standard error above which a contrast is thin, log-odds.
    delta : float
        One minus the confidence of the Clopper-Pearson limit.

    Returns
    -------
    DesignFlags
        Arrays over regions.

    Raises
    ------
    ValueError
        If counts are negative, not symmetric or non-zero on the diagonal, if shapes disagree, or if an edge links two
        components.

    Notes
    -----
    A contrast is relevant if both items are contenders (or the leader) and, where a leader is given, one is the
    leader. ``disconnected``: a relevant contrast across components. ``separated``: a component that splits into
    several strong components, so that an estimate without a prior is infinite. ``thin``: mass below the floor, or a
    relevant contrast within a component whose ``sqrt(effective resistance)``, edges weighing n p (1 - p), exceeds the
    tolerance.

    Examples
    --------
    >>> counts = np.array([[0.0, 90.0, 0.0], [90.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> result = design_flags(counts, np.array([0, 0, 1]), np.array([0, 0, 1]))
    >>> bool(result.disconnected), bool(result.thin), round(float(result.design_sd), 4)
    (True, False, 0.2108)
    """
    n = _counts(counts)
    region, n_items = n.shape[:-2], n.shape[-1]
    comp = labels("component", component, (*region, n_items))
    strong = labels("strong_component", strong_component, (*region, n_items))
    apart = comp[..., :, None] != comp[..., None, :]
    edge = (n > 0) & (n >= float(non_negative("n_min", n_min)))
    if np.any(edge & apart):
        raise ValueError(
            "component: a pair with comparisons must lie in one component; "
            "the labels belong to other counts or another n_min"
        )
    relevant = relevant_contrasts(region, n_items, leader, contender)
    share_floor = float(between("floor", floor, 0.0, 1.0))
    sd_limit = float(non_negative("tolerance", tolerance))

    count = n.sum(axis=(-2, -1)) / 2
    everything = float(count.sum()) if total is None else float(non_negative("total", total))
    if everything < count.max(initial=0.0):
        raise ValueError(f"total: {everything:g} is less than the {count.max():g} comparisons of one region")
    mass = count / everything if everything > 0 else np.full(region, np.nan)
    upper = np.asarray(clopper_pearson_upper(count, everything, delta))

    p = np.asarray(0.5) if win_probability is None else between("win_probability", win_probability, 0.0, 1.0)
    if p.ndim >= 2:  # 1 - p loses the digits of a probability near one; the smaller of the two sides keeps them
        p = np.minimum(p, np.swapaxes(p, -1, -2))
    resistance = effective_resistance(np.where(edge, n * p * (1 - np.asarray(p)), 0.0), comp)
    sd = largest(np.sqrt(resistance), relevant & ~apart)

    outside, outside_known = optional(outside_share, region)
    own_sd, sd_known = optional(type_sd, region)
    not_identified = outside_known & (outside > 0.5)
    no_data = count < 1 if latent else count == 0
    checked = np.ones((*region, len(DESIGN_FLAGS)), dtype=bool)
    checked[..., DESIGN_FLAGS.index("type_not_identified")] = outside_known
    return DesignFlags(
        no_data=np.asarray(no_data),
        disconnected=np.any(apart & relevant, axis=(-2, -1)),
        type_not_identified=not_identified,
        separated=np.any(~apart & (strong[..., :, None] != strong[..., None, :]), axis=(-2, -1)),
        thin=np.asarray((mass < share_floor) | (sd > sd_limit)),
        thin_certain=np.asarray(upper < share_floor),
        weakly_identified=outside_known & sd_known & ~not_identified & (own_sd > sd_limit),
        expected_count=np.asarray(count),
        mass=np.asarray(mass),
        mass_upper=upper,
        design_sd=sd,
        checked=checked,
    )


def clopper_pearson_upper(
    count: Float[np.ndarray, "*region"], total: ArrayLike, delta: float = 0.05
) -> Float[np.ndarray, "*region"]:
    """One-sided Clopper-Pearson upper limit of a share, at confidence ``1 - delta``.

    Parameters
    ----------
    count : float array
        Successes, >= 0; fractional counts use the same beta quantile, an approximation.
    total : float or float array
        Trials, >= count. No trials: the limit is 1.
    delta : float
        One minus the confidence, in (0, 1).

    Returns
    -------
    float array
        Upper limit, share.

    Raises
    ------
    ValueError
        If a count is negative or above the total, or ``delta`` is outside (0, 1).

    Examples
    --------
    >>> round(float(clopper_pearson_upper(np.array(2.0), 100, 0.05)), 6)
    0.061619
    """
    k, n = np.broadcast_arrays(non_negative("count", count), non_negative("total", total))
    if (k > n).any():
        raise ValueError("count: must not exceed the total")
    if not 0 < delta < 1:
        raise ValueError(f"delta: must lie strictly between 0 and 1, got {delta}")
    full = k >= n
    return np.where(full, 1.0, beta.ppf(1 - delta, k + 1, np.where(full, 1.0, n - k)))


def _counts(counts: ArrayLike) -> NDArray[np.float64]:
    n = non_negative("counts", counts)
    if n.ndim < 2 or n.shape[-1] != n.shape[-2]:
        raise ValueError(f"counts: must have last axes (item, item_other) of one size, got shape {n.shape}")
    if not np.all(np.isfinite(n)):
        raise ValueError("counts: must be finite")
    if np.any(np.diagonal(n, axis1=-2, axis2=-1) != 0):
        raise ValueError("counts: the diagonal must be zero, an item is not compared with itself")
    if not np.allclose(n, np.swapaxes(n, -1, -2), rtol=1e-9, atol=1e-12):
        raise ValueError("counts: must be symmetric; give comparisons per unordered pair, not wins")
    return n
