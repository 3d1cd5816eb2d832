"""Flags of under-identified regions and contrasts, each with its criterion (partial-identification notes, section 5).

Design flags read counts and ranks only; posterior flags read draws; both are reported, because neither implies the
other: pooling can make draws agree where nothing was observed, and thin data disagree where bounds are points. A flag
that could not be checked is False with ``checked`` False, and the statistic behind it is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from bayespref.disagree.design import DESIGN_FLAGS as DESIGN_FLAGS
from bayespref.disagree.design import DesignFlags as DesignFlags
from bayespref.disagree.design import design_flags as design_flags
from bayespref.disagree.relevant import optional
from bayespref.disagree.status import POSTERIOR_FLAGS as POSTERIOR_FLAGS
from bayespref.disagree.status import STATUS as STATUS
from bayespref.disagree.status import PosteriorFlags as PosteriorFlags
from bayespref.disagree.status import contrast_status as contrast_status
from bayespref.disagree.status import leader_flags as leader_flags
from bayespref.disagree.status import posterior_flags as posterior_flags
from bayespref.display import shown
from bayespref.errors import REASONS

if TYPE_CHECKING:
    import xarray as xr

FLAGS = (*DESIGN_FLAGS, *POSTERIOR_FLAGS)
"""Order in which the primary flag is chosen; every name is a reason code."""


@shown(
    "primary flag: {primary}",
    next_step="explain(code) says what each flag means; defer or collect where one is raised",
)
class RegionFlags(NamedTuple):
    """All flags of a region, the primary one, and whether a decision there depends on what is unknown."""

    primary: NDArray[np.str_]
    """First flag set, in the order of ``FLAGS``; empty where none is."""
    flag: Bool[np.ndarray, "*region flag"]
    checked: Bool[np.ndarray, "*region flag"]
    value: Float[np.ndarray, "*region"]
    """Minimax regret V of the region, in welfare units; NaN where not given."""
    decision_relevant: Bool[np.ndarray, "*region"]
    """V > 0. False with a NaN ``value`` means unknown, not irrelevant."""


def flags(
    design: DesignFlags, posterior: PosteriorFlags | None = None, *, value: ArrayLike | None = None
) -> RegionFlags:
    """Join design and posterior flags and name the primary one.

    Parameters
    ----------
    design : DesignFlags
        From :func:`design_flags`.
    posterior : PosteriorFlags, optional
        From :func:`posterior_flags`; without it those flags stay unchecked.
    value : float array, broadcastable to the regions, optional
        Minimax regret V of each region, welfare units, >= 0; NaN where unknown.

    Returns
    -------
    RegionFlags
        Flags stacked in the order of ``FLAGS``, with the primary one as a reason code.

    Raises
    ------
    ValueError
        If shapes disagree or a value is negative.

    Examples
    --------
    >>> design = design_flags(np.zeros((2, 2)), np.array([0, 1]), np.array([0, 1]))
    >>> str(flags(design, value=0.5).primary), bool(flags(design, value=0.5).decision_relevant)
    ('no_data', True)
    """
    region = design.no_data.shape
    columns = [np.asarray(getattr(design, name)) for name in DESIGN_FLAGS]
    if posterior is None:
        columns += [np.zeros(region, dtype=bool)] * len(POSTERIOR_FLAGS)
        seen = np.zeros((*region, len(POSTERIOR_FLAGS)), dtype=bool)
    else:
        if posterior.prior_dominated.shape != region:
            raise ValueError(f"posterior: has regions {posterior.prior_dominated.shape}, design has {region}")
        columns += [np.asarray(getattr(posterior, name)) for name in POSTERIOR_FLAGS]
        seen = posterior.checked
    flag = np.stack(columns, axis=-1)
    codes = np.array([*FLAGS, ""])
    regret, known = optional(value, region)
    if (regret[known] < 0).any():
        raise ValueError("value: a minimax regret is >= 0")
    return RegionFlags(
        primary=codes[np.where(flag.any(axis=-1), flag.argmax(axis=-1), len(FLAGS))],
        flag=flag,
        checked=np.concatenate([design.checked, seen], axis=-1),
        value=regret,
        decision_relevant=known & (regret > 0),
    )


def to_dataset(
    result: RegionFlags,
    design: DesignFlags,
    posterior: PosteriorFlags | None = None,
    *,
    dims: Sequence[str] = ("state", "type"),
    coords: Mapping[str, Sequence[str]] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Label the flags: one Dataset with a ``flag`` dimension, the statistics and the status of every contrast.

    Parameters
    ----------
    result, design, posterior
        From :func:`flags`, :func:`design_flags`, :func:`posterior_flags`.
    dims : sequence of str
        Names of the region axes.
    coords : mapping of dimension to labels, optional
        Labels of the region dimensions and of ``item``.
    attrs : mapping, optional
        Settings to record (floor, tolerance, seed, version).

    Returns
    -------
    Dataset
        ``is_flagged`` and ``checked`` over (*dims, flag); ``primary``, ``value``, ``decision_relevant`` and the
        statistics over dims; with a posterior also ``status`` in words over (*dims, item, item_other), or over
        (*dims, item) where it comes from :func:`leader_flags`.

    Raises
    ------
    ValueError
        If the number of dims does not match.

    Examples
    --------
    >>> design = design_flags(np.zeros((1, 2, 2)), np.array([[0, 1]]), np.array([[0, 1]]))
    >>> data = to_dataset(flags(design), design, dims=("state",), coords={"state": ["prompt"]})
    >>> bool(data["is_flagged"].sel(state="prompt", flag="no_data"))
    True
    """
    import xarray as xr

    names = tuple(dims)
    if len(names) != result.primary.ndim:
        raise ValueError(f"dims: {names} do not name the {result.primary.ndim} region axes")
    data: dict[str, Any] = {
        "primary": (names, result.primary),
        "is_flagged": ((*names, "flag"), result.flag),
        "checked": ((*names, "flag"), result.checked),
        "value": (names, result.value),
        "decision_relevant": (names, result.decision_relevant),
    }
    statistics = ("expected_count", "mass", "mass_upper", "design_sd", "thin_certain", "weakly_identified")
    data |= {name: (names, getattr(design, name)) for name in statistics}
    labels: dict[str, Any] = {name: (name, list(values)) for name, values in (coords or {}).items()}
    labels["flag"] = ("flag", list(FLAGS))
    if posterior is not None:
        words = np.array([*STATUS, ""])  # code -1, the diagonal, is the empty word
        data["largest_contraction"] = (names, posterior.largest_contraction)
        contrast = ("item", "item_other")[: posterior.status.ndim - len(names)]
        data["status"] = ((*names, *contrast), words[posterior.status])
        if "item" in labels and len(contrast) == 2:
            labels["item_other"] = ("item_other", labels["item"][1])
    labels = {name: value for name, value in labels.items() if name == "flag" or name in _dims(data)}
    meaning = {f"meaning_{name}": REASONS[name].meaning for name in FLAGS}
    settings = {"method": "design flags from counts, posterior flags from draws", "unit": "log-odds"}
    return xr.Dataset(data, coords=labels, attrs={**settings, **meaning, **(attrs or {})})


def _dims(data: Mapping[str, Any]) -> set[str]:
    return {dim for dims, _ in data.values() for dim in dims}
