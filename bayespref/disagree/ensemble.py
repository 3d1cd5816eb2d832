"""Whether refits agree because of the data, or because they share a prior.

Two ensembles of refits tell. In the first only the people change; in the second the prior's centre moves, too.
Where nothing was observed the first agree perfectly and the second do not: agreement of refits is evidence only as far
as it survives a change of prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import between
from bayespref.disagree.spread import contrast_summary
from bayespref.display import shown

if TYPE_CHECKING:
    import xarray as xr


@shown(
    "agreement comes from the prior in {agreement_is_from_prior}",
    next_step="where it does, agreement of refits is no evidence: use the bound",
)
class EnsembleAgreement(NamedTuple):
    """Two ensembles of refits, contrast by contrast (NaN, or False, on the diagonal)."""

    same_prior: Float[np.ndarray, "state type item item_other"]
    """Share of pairs of refits under one prior that disagree on the sign."""
    resampled_prior: Float[np.ndarray, "state type item item_other"]
    """The same where every refit has its own prior."""
    data_sd: Float[np.ndarray, "state type item item_other"]
    """Spread of refits under one prior, log-odds: what another sample of people would change."""
    prior_change: Float[np.ndarray, "state type item item_other"]
    """Root mean square change of the estimate when only the prior moves, log-odds."""
    prior_sensitivity: Float[np.ndarray, "state type item item_other"]
    """``prior_change`` over the root mean square move of the prior's own contrast: 0, the prior does not matter; 1, the
    estimate follows it one for one. In a normal model with independent cells this is the squared contraction. NaN where
    the moves were not given, or left the contrast where it was."""
    prior_share: Float[np.ndarray, "state type item item_other"]
    """Share of the variance between refits that only a moving prior shows."""
    agrees: Bool[np.ndarray, "state type item item_other"]
    """Refits under one prior agree: their disagreement is at most ``tolerance``."""
    agreement_is_from_prior: Bool[np.ndarray, "state type item item_other"]
    """They agree, and yet more than half of what refits could say comes from the prior."""


def ensemble_agreement(
    same_prior: Float[np.ndarray, "refit state type item"],
    resampled_prior: Float[np.ndarray, "refit state type item"],
    prior_move: Float[np.ndarray, "refit state type item"] | None = None,
    *,
    tolerance: float = 0.05,
) -> EnsembleAgreement:
    """Say where refits agree, and where they agree only because they share a prior.

    Parameters
    ----------
    same_prior : float array, shape (refit, state, type, item)
        Estimates of refits to resampled people under one prior, log-odds.
    resampled_prior : float array, same shape
        The same refits, each to the *same* people as its partner, with the prior's centre drawn from the prior.
    prior_move : float array, same shape, optional
        How far the prior's centre of every reward moved in the second of each pair, log-odds.
    tolerance : float
        Refits agree where at most this share of their pairs disagrees on the sign, in [0, 0.5].

    Returns
    -------
    EnsembleAgreement

    Raises
    ------
    ValueError
        If the ensembles are not paired, or hold fewer than two refits.

    Notes
    -----
    Only pairing makes ``prior_share`` sharp: with independent ensembles of 20 the ratio of two variances would exceed a
    half in one well identified contrast out of fourteen by chance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> seen = rng.normal(2.0, 0.1, size=(20, 1, 1, 1))  # item x of one cell, observed; y is the reference
    >>> same = np.concatenate([seen, 0 * seen, 0 * seen + 1], axis=-1)  # nobody compared z: refits return the centre, 1
    >>> moved = same + rng.normal(size=(20, 1, 1, 1)) * np.array([0.0, 0.0, 1.0])
    >>> ensemble_agreement(same, moved).agreement_is_from_prior[0, 0, 1].tolist()
    [False, False, True]
    """
    one, other = np.asarray(same_prior, dtype=np.float64), np.asarray(resampled_prior, dtype=np.float64)
    if one.shape != other.shape:
        raise ValueError(f"resampled_prior: must pair with same_prior, got {other.shape} beside {one.shape}")
    if prior_move is not None and np.shape(prior_move) != one.shape:
        raise ValueError(f"prior_move: must pair with same_prior, got {np.shape(prior_move)} beside {one.shape}")
    if len(one) < 2:
        raise ValueError(f"same_prior: needs at least two refits, got {len(one)}")
    limit = float(between("tolerance", tolerance, 0.0, 0.5))
    first, second = contrast_summary(one, level=None), contrast_summary(other, level=None)
    change = _root_mean_square(other - one)
    off = ~np.eye(one.shape[-1], dtype=bool)
    total = change**2 + first.sd**2
    share = np.divide(change**2, total, out=np.full(total.shape, np.nan), where=off & (total > 0))
    sensitivity = np.full(change.shape, np.nan)
    if prior_move is not None:
        moved = _root_mean_square(prior_move)
        sensitivity = np.divide(change, moved, out=sensitivity, where=off & (moved > 0))
    agrees = off & (first.draw_pair_disagreement <= limit)
    return EnsembleAgreement(
        same_prior=first.draw_pair_disagreement,
        resampled_prior=second.draw_pair_disagreement,
        data_sd=np.where(off, first.sd, np.nan),
        prior_change=np.where(off, change, np.nan),
        prior_sensitivity=sensitivity,
        prior_share=share,
        agrees=agrees,
        agreement_is_from_prior=agrees & (np.nan_to_num(share) > 0.5),
    )


def _root_mean_square(change: ArrayLike) -> NDArray[np.float64]:
    """Root mean square over refits of every contrast of a change, (state, type, item, item_other)."""
    delta = contrast_summary(np.asarray(change), level=None)
    n = len(np.asarray(change))
    return np.asarray(np.sqrt(delta.mean**2 + delta.sd**2 * (n - 1) / n))


def agreement_words(agreement: EnsembleAgreement) -> str:
    """Say it in one or two sentences.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> same = np.zeros((20, 1, 1, 2))
    >>> words = agreement_words(ensemble_agreement(same, same + rng.normal(size=same.shape)))
    >>> words[:108]
    'agreement of refits: misleading, refits under one prior agree on the sign of 1 of 1 contrasts, but on 1 of t'
    """
    n_items = agreement.agrees.shape[-1]
    upper = np.triu(np.ones((n_items, n_items), dtype=bool), k=1)
    total = int(agreement.agrees[..., upper].size)
    agree = int(agreement.agrees[..., upper].sum())
    prior = int(agreement.agreement_is_from_prior[..., upper].sum())
    found = f"refits under one prior agree on the sign of {agree:,} of {total:,} contrasts"
    if agree == 0:
        return f"agreement of refits: none, {found}."
    if prior == 0:
        return f"agreement of refits: from data, {found}, and on none of these only because they share a prior."
    return (
        f"agreement of refits: misleading, {found}, but on {prior:,} of these only because they share a prior: move "
        "the prior and the estimate moves with it. Such agreement is no evidence."
    )


def agreement_dataset(agreement: EnsembleAgreement, coords: Mapping[str, Sequence[str]], **attrs: Any) -> xr.Dataset:
    """Label :class:`EnsembleAgreement`: a Dataset over (state, type, item, item_other), with the words in attrs.

    Parameters
    ----------
    agreement : EnsembleAgreement
    coords : mapping
        Labels of ``state``, ``type`` and ``item``.
    **attrs
        Settings to record.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> same = np.zeros((3, 1, 1, 2))
    >>> labels = {"state": ["s"], "type": ["t"], "item": ["x", "y"]}
    >>> dict(agreement_dataset(ensemble_agreement(same, same + 1), labels).sizes)
    {'state': 1, 'type': 1, 'item': 2, 'item_other': 2}
    """
    import xarray as xr

    dims = ("state", "type", "item", "item_other")
    labels = {name: list(values) for name, values in coords.items()} | {"item_other": list(coords["item"])}
    data: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        name: (dims, values) for name, values in agreement._asdict().items()
    }
    return xr.Dataset(data, coords=labels, attrs={"unit": "log-odds", "statement": agreement_words(agreement), **attrs})
