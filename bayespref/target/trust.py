"""When weighted results may be acted on: a rule stated beforehand, with its verdict in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bayespref.checks import between
from bayespref.display import shown
from bayespref.weights import tail

TRUSTED = "trusted"
DIAGNOSTIC = "diagnostic only"


@shown(next_step="trusted speaks of weights alone: read the sensitivity table, too")
class Trust(NamedTuple):
    """Verdict on a set of weights.

    Attributes
    ----------
    verdict : str
        ``"trusted"`` or ``"diagnostic only"``.
    reasons : tuple of str
        Each rule that failed, with its number; empty where trusted.
    words : str
        The verdict in one sentence with its numbers, stated either way.
    """

    verdict: str
    reasons: tuple[str, ...]
    words: str


def trust(
    weight: Float[np.ndarray, " n"],
    top_items: Int[np.ndarray, "setting state"],
    *,
    least_n_eff_share: float = 0.3,
    most_top_share: float = 0.2,
) -> Trust:
    """Judge weights by effective size, tail, mean, and by whether decisions survive clipping and beta.

    The rule reads weights and decisions only. It cannot see a weight that is wrong and smooth: merged buckets or a poor
    proxy pass it. Sensitivity (`bayespref.target.sensitivity`) asks about those.

    Parameters
    ----------
    weight : array, shape (n,)
        Weights before clipping and rescaling.
    top_items : int array, shape (setting, state)
        Best item of each state under every setting of clip and beta (`sensitivity.clip_beta_frontier`); -1 where it is
        undefined, which no verdict trusts.
    least_n_eff_share : float
        Least n_eff / n.
    most_top_share : float
        Largest share of the total carried by the top 1 % of rows.

    Returns
    -------
    Trust

    Raises
    ------
    ValueError
        If a threshold leaves [0, 1], a weight is negative or not finite, or there is no setting.

    Examples
    --------
    >>> trust(np.ones(100), np.array([[0, 1], [0, 1]])).words
    'trusted: n_eff/n 1.000, top 1 % carries 0.010, mean weight 1.000, best item the same in all 2 settings'
    >>> trust(np.array([0.2, 0.5, 1.0, 1.0, 4.0]), np.array([[0], [1]])).verdict
    'diagnostic only'
    """
    between("least_n_eff_share", least_n_eff_share, 0.0, 1.0)
    between("most_top_share", most_top_share, 0.0, 1.0)
    got, tops = tail(weight), np.atleast_2d(np.asarray(top_items))
    if not tops.size:
        raise ValueError(f"top_items: needs a setting and a state, got shape {tops.shape}")
    undefined = np.flatnonzero((tops < 0).any(axis=0))
    moved = np.setdiff1d(np.flatnonzero((tops != tops[:1]).any(axis=0)), undefined)
    n_eff, top, mean = (float(x) for x in (got.share_eff, got.top_share, got.mean))
    reasons = []
    if n_eff < least_n_eff_share:
        reasons.append(f"n_eff/n {n_eff:.3f} is below {least_n_eff_share:g}")
    if top > most_top_share:
        reasons.append(f"the top 1 % of rows carries {top:.3f} of the weight, more than {most_top_share:g}")
    if bool(got.mean_off):
        reasons.append(
            f"the mean weight {mean:.3f} is more than three standard errors from one: propensities are wrong"
        )
    if len(undefined):
        reasons.append(f"the best item of {len(undefined)} of {tops.shape[1]} state(s) is undefined in some setting")
    if len(moved):
        reasons.append(f"the best item of {len(moved)} of {tops.shape[1]} state(s) changes with clip or beta")
    if reasons:
        return Trust(DIAGNOSTIC, tuple(reasons), f"{DIAGNOSTIC}: " + "; ".join(reasons))
    words = f"{TRUSTED}: n_eff/n {n_eff:.3f}, top 1 % carries {top:.3f}, mean weight {mean:.3f}, "
    return Trust(TRUSTED, (), words + f"best item the same in all {len(tops)} settings")
