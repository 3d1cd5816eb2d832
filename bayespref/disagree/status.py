"""Posterior flags: what the draws say beside their prior and the bounds (partial-identification notes, section 5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import between, non_negative
from bayespref.disagree.relevant import labels, largest, relevant_contrasts
from bayespref.display import shown

POSTERIOR_FLAGS = ("prior_dominated", "model_identified")
"""Reason codes, in the order in which the primary flag is chosen."""
STATUS = ("identified", "structure", "prior", "unknown")
"""What fixes a contrast; the position is the code in :func:`contrast_status`."""


@shown(next_step="explain(code) says what each flag means")
class PosteriorFlags(NamedTuple):
    """Flags that read posterior draws, one entry per region, with the statistics behind them."""

    prior_dominated: Bool[np.ndarray, "*region"]
    model_identified: Bool[np.ndarray, "*region"]
    largest_contraction: Float[np.ndarray, "*region"]
    """Largest posterior sd over prior sd among connected relevant contrasts; NaN where there is none."""
    status: Int[np.ndarray, "*region *contrast"]
    """Code of ``STATUS`` for every contrast given; -1 for an item against itself."""
    checked: Bool[np.ndarray, "*region flag"]
    """Whether the inputs a flag needs were given, in the order of ``POSTERIOR_FLAGS``."""


def posterior_flags(
    sd: Float[np.ndarray, "*region item item_other"],
    prior_sd: ArrayLike,
    width: ArrayLike,
    bound_width: ArrayLike,
    component: Int[np.ndarray, "*region item"],
    *,
    leader: Int[np.ndarray, "*region"] | None = None,
    contender: Bool[np.ndarray, "*region item"] | None = None,
    shrinkage: float = 0.1,
    n_effective: float | None = None,
) -> PosteriorFlags:
    """Set the flags that compare the posterior with its prior and with the bounds.

    Parameters
    ----------
    sd, width : float array, shape (*region, item, item_other)
        Posterior standard deviation and width of the 90 % interval of every contrast, log-odds.
    prior_sd : float or float array, broadcastable to ``sd``
        Prior standard deviation of every contrast, log-odds, > 0; NaN where unknown.
    bound_width : float or float array, broadcastable to ``sd``
        Width of the bound on the contrast, log-odds, >= 0; infinite where nothing bounds it, NaN where unknown.
    component : int array, shape (*region, item)
        Labels of connected components.
    leader : int array, shape (*region,), optional
        The greedy action. Without it every item counts as a possible leader.
    contender : bool array, shape (*region, item), optional
        Items a policy may choose; all by default.
    shrinkage : float
        Share of the prior's variance that must have gone before data (or structure) are said to speak.
    n_effective : float, optional
        Effective number of draws behind ``sd``; see :func:`contrast_status`.

    Returns
    -------
    PosteriorFlags
        Arrays over regions, and the status of every contrast, shape (*region, item, item_other).

    Raises
    ------
    ValueError
        If shapes disagree or a spread is negative.

    Notes
    -----
    ``prior_dominated``: a relevant contrast within a component with ``1 - (sd / prior_sd)^2 < shrinkage``.
    ``model_identified``: a relevant contrast across components whose status is ``structure``.

    Examples
    --------
    >>> sd = np.array([[0.0, 0.1, 1.4], [0.1, 0.0, 1.4], [1.4, 1.4, 0.0]])
    >>> result = posterior_flags(sd, 2**0.5, 3.29 * sd, 24.0, np.array([0, 0, 1]))
    >>> [STATUS[code] for code in result.status[0, 1:]], bool(result.model_identified)
    (['identified', 'prior'], False)
    """
    spread = non_negative("sd", sd)
    if spread.ndim < 2 or spread.shape[-1] != spread.shape[-2]:
        raise ValueError(f"sd: must have last axes (item, item_other) of one size, got shape {spread.shape}")
    region, n_items = spread.shape[:-2], spread.shape[-1]
    group = labels("component", component, (*region, n_items))
    connected = group[..., :, None] == group[..., None, :]
    relevant = relevant_contrasts(region, n_items, leader, contender)
    same_item = np.broadcast_to(np.eye(n_items, dtype=bool), spread.shape)
    return _flags(
        connected, relevant, same_item, spread, prior_sd, width, bound_width, shrinkage, n_effective, (-2, -1)
    )


def leader_flags(
    sd: Float[np.ndarray, "*region item"],
    prior_sd: ArrayLike,
    width: ArrayLike,
    bound_width: ArrayLike,
    component: Int[np.ndarray, "*region item"],
    leader: Int[np.ndarray, "*region"],
    *,
    contender: Bool[np.ndarray, "*region item"] | None = None,
    shrinkage: float = 0.1,
    n_effective: float | None = None,
) -> PosteriorFlags:
    """Set the posterior flags from contrasts with the leader alone, for tables of thousands of items.

    Parameters
    ----------
    sd, width : float array, shape (*region, item)
        Posterior standard deviation and width of the 90 % interval of leader minus item, log-odds.
    prior_sd, bound_width : float or float array, broadcastable to ``sd``
        As in :func:`posterior_flags`.
    component : int array, shape (*region, item)
        Labels of connected components.
    leader : int array, shape (*region,)
        The greedy action.
    contender, shrinkage, n_effective
        As in :func:`posterior_flags`.

    Returns
    -------
    PosteriorFlags
        Equal to :func:`posterior_flags` with the same leader; ``status`` has shape (*region, item).

    Raises
    ------
    ValueError
        If shapes disagree or a spread is negative.

    Examples
    --------
    >>> leader_flags(np.array([0.0, 1.4]), 2**0.5, np.array([0.0, 4.6]), 24.0, np.array([0, 0]), np.array(0))[0]
    np.True_
    """
    spread = non_negative("sd", sd)
    region, n_items = spread.shape[:-1], spread.shape[-1]
    group = labels("component", component, spread.shape)
    first = labels("leader", leader, region)[..., None]
    relevant = np.take_along_axis(relevant_contrasts(region, n_items, leader, contender), first[..., None], axis=-2)
    connected = group == np.take_along_axis(group, first, axis=-1)
    same_item = np.arange(n_items) == first
    return _flags(
        connected, relevant[..., 0, :], same_item, spread, prior_sd, width, bound_width, shrinkage, n_effective, (-1,)
    )


def contrast_status(
    connected: Bool[np.ndarray, "*contrast"],
    sd: Float[np.ndarray, "*contrast"],
    prior_sd: ArrayLike,
    width: ArrayLike,
    bound_width: ArrayLike,
    *,
    shrinkage: float = 0.1,
    n_effective: float | None = None,
) -> Int[np.ndarray, "*contrast"]:
    """Say what fixes each contrast: data, the model's structure, or only the prior.

    ``identified``: both items in one component. ``structure``: not connected, yet the posterior's 90 % interval is
    narrower than half the bound and the posterior variance is below the prior's by at least ``shrinkage``.
    ``prior``: neither. ``unknown``: not connected, and an input that would decide is NaN.

    The second condition of ``structure`` keeps a narrow prior from passing for knowledge: with a declared range of
    (-6, 6), every unobserved contrast under independent N(0, 3) priors would be narrower than half its bound.

    Parameters
    ----------
    connected : bool array, any shape
        Whether comparisons join the two items.
    sd : float array, same shape
        Posterior standard deviation, log-odds.
    prior_sd, width, bound_width : float or float array, broadcastable
        Prior standard deviation, width of the posterior 90 % interval and width of the bound, log-odds; NaN where
        unknown.
    shrinkage : float
        Share of the prior's variance that must have gone, in [0, 1].
    n_effective : float, optional
        Effective number of draws behind ``sd``, > 0. ``structure`` then asks that the shrinkage hold for ``sd`` plus
        three Monte-Carlo errors, ``sd * (1 + 3 / sqrt(2 n))``, lest a prior estimated from few draws pass for
        structure (400 draws miss its sd by 3.5 %, and a tenth of the variance is 5 % of the sd).

    Returns
    -------
    int array, same shape
        Codes of ``STATUS``.

    Raises
    ------
    ValueError
        If shapes disagree or a spread is negative.

    Examples
    --------
    >>> [STATUS[code] for code in contrast_status(np.array([True, False, False]), np.array([1.4, 0.5, 1.4]), 1.4,
    ...                                           np.array([4.6, 1.6, 4.6]), 24.0)]
    ['identified', 'structure', 'prior']
    """
    spread = non_negative("sd", sd)
    joined = np.asarray(connected)
    if joined.shape != spread.shape or joined.dtype != bool:
        raise ValueError(f"connected: must be bool of shape {spread.shape}, got {joined.dtype} of {joined.shape}")
    prior = _prior(prior_sd, spread.shape)
    wide = np.broadcast_to(np.asarray(width, dtype=np.float64), spread.shape)
    bound = np.broadcast_to(np.asarray(bound_width, dtype=np.float64), spread.shape)
    if (wide < 0).any() or (bound < 0).any():
        raise ValueError("width, bound_width: must be >= 0, or NaN where unknown")
    share = float(between("shrinkage", shrinkage, 0.0, 1.0))
    if n_effective is not None and not n_effective > 0:
        raise ValueError(f"n_effective: must be > 0, got {n_effective}")
    margin = 1.0 if n_effective is None else 1.0 + 3.0 / np.sqrt(2.0 * n_effective)
    narrow, shrunk = wide < bound / 2, 1 - (margin * spread / prior) ** 2 >= share
    # One condition that fails settles the matter, whatever the other's inputs.
    narrow_known, shrunk_known = ~np.isnan(wide) & ~np.isnan(bound), ~np.isnan(prior)
    fails = (narrow_known & ~narrow) | (shrunk_known & ~shrunk)
    code = np.where(fails, STATUS.index("prior"), STATUS.index("unknown"))
    code = np.where(narrow & shrunk, STATUS.index("structure"), code)
    return np.where(joined, STATUS.index("identified"), code).astype(np.int8)


def _flags(
    connected: NDArray[np.bool_],
    relevant: NDArray[np.bool_],
    same_item: NDArray[np.bool_],
    sd: NDArray[np.float64],
    prior_sd: ArrayLike,
    width: ArrayLike,
    bound_width: ArrayLike,
    shrinkage: float,
    n_effective: float | None,
    axes: tuple[int, ...],
) -> PosteriorFlags:
    status = contrast_status(connected, sd, prior_sd, width, bound_width, shrinkage=shrinkage, n_effective=n_effective)
    contraction = sd / _prior(prior_sd, sd.shape)
    inside = relevant & connected
    seen = (
        ~np.any(inside & np.isnan(contraction), axis=axes),
        ~np.any(relevant & (status == STATUS.index("unknown")), axis=axes),
    )
    return PosteriorFlags(
        prior_dominated=np.any(inside & (1 - contraction**2 < shrinkage), axis=axes),
        model_identified=np.any(relevant & (status == STATUS.index("structure")), axis=axes),
        largest_contraction=largest(contraction, inside, axes),
        status=np.where(same_item, -1, status).astype(np.int8),
        checked=np.stack(seen, axis=-1),
    )


def _prior(prior_sd: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    prior = np.broadcast_to(np.asarray(prior_sd, dtype=np.float64), shape)
    if (prior <= 0).any():
        raise ValueError("prior_sd: must be > 0, or NaN where unknown")
    return prior
