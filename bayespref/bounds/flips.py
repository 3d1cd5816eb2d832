"""Breakdown values: the largest parameter of an assumption at which one choice is best in every world it allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import sparse

from bayespref.bounds.assumptions import PARAMETERS, System, parameter
from bayespref.bounds.lp import Program, minimise
from bayespref.dims import STATE, TYPE
from bayespref.display import shown

_ROUNDING = 1e-9


@shown(next_step="judge whether each assumption is plausible up to its breakdown value; if not, defer")
class Flips(NamedTuple):
    """Breakdown parameters draw by draw; see :func:`flip` for infinities and NaN.

    Attributes
    ----------
    names : tuple of str
        Assumptions that have a parameter.
    declared : array, shape (assumption,)
        Their declared parameters.
    smallest : array, shape (assumption, draw)
        Smallest parameter the draw allows; ``inf`` if none.
    region : array, shape (assumption, draw, state, type)
        Where the best action stops being certain; one type where decisions do not see it.
    contrast : array, shape (assumption, draw, contrast, state, type)
        Where the sign of a contrast does.
    """

    names: tuple[str, ...]
    declared: NDArray[np.float64]
    smallest: NDArray[np.float64]
    region: NDArray[np.float64]
    contrast: NDArray[np.float64]


def smallest_at(
    system: System, name: str, declared: float, draw: int, at_least_zero: NDArray[np.float64] | None = None
) -> Program:
    """Smallest parameter >= 0 of one assumption at which all restrictions hold together in a draw.

    Parameters
    ----------
    system : System
        From :func:`build_system`.
    name : str
        The assumption.
    declared : float
        Its declared parameter, as from :func:`parameter`.
    draw : int
        Position of the draw.
    at_least_zero : array, shape (V,), optional
        Weights of rewards; their sum must be at least zero too. With a contrast that is negative at the smallest
        feasible parameter, the result is the exact parameter at which its sign stops being certain.

    Returns
    -------
    Program
        Value, and the reward table followed by the parameter; ``infeasible`` if no parameter will do.
    """
    size = math.prod(system.shape)
    slope = system.slope[name]
    limit = system.rows.limit[draw] - slope * declared
    matrix = sparse.hstack([system.rows.matrix, sparse.csr_array(-slope[:, None])], format="csr")
    if at_least_zero is not None:
        matrix = sparse.vstack([matrix, sparse.csr_array(np.r_[-at_least_zero, 0.0][None, :])], format="csr")
        limit = np.r_[limit, 0.0]
    bounds: list[tuple[float | None, float | None]] = [*[system.reward_range] * size, (0.0, None)]
    return minimise(np.r_[np.zeros(size), 1.0], matrix, limit, bounds=bounds)


def flip(
    system: System, name: str, declared: float, draw: int, start: Program, values: Float[np.ndarray, "action cell"]
) -> float:
    """Parameter above which the largest of several linear values of the rewards is no longer certain.

    Parameters
    ----------
    system, name, declared, draw
        As in :func:`smallest_at`.
    start : Program
        From :func:`smallest_at`.
    values : array, shape (K, V)
        The values compared, as weights of rewards: the welfare of each action, or (contrast, 0) for a sign.

    Returns
    -------
    float
        ``inf`` if it stays certain however large the parameter, ``-inf`` if it is not certain at the smallest (ties
        count as not certain), NaN if no parameter will do.
    """
    if start.status != "optimal":
        return math.nan
    best = int((values @ start.x[:-1]).argmax())
    turning = math.inf
    for other in range(len(values)):
        if other != best:
            program = smallest_at(system, name, declared, draw, values[other] - values[best])
            turning = min(turning, program.value if program.status == "optimal" else math.inf)
    return turning if turning > start.value + _ROUNDING else -math.inf


def breakdown_parameters(
    systems: Sequence[tuple[NDArray[np.intp], System]],
    assumptions: Mapping[str, Any],
    chosen: Int[np.ndarray, " chosen"],
    weights: Float[np.ndarray, "draw state type"],
    offered: Bool[np.ndarray, "state chosen"],
    pairs: Sequence[tuple[int, int]],
    *,
    by_type: bool,
) -> Flips:
    """Smallest feasible and breakdown parameters, exactly, by linear programs.

    Parameters
    ----------
    systems : sequence of (states, System)
        Blocks of states, from ``assumptions.build_system``.
    assumptions : mapping
        As declared.
    chosen : integer array
        Items a decision may choose among.
    weights : array, shape (draw, state, type)
        P(type | state), where decisions do not see the type.
    offered : bool array, shape (state, chosen)
        Which of them are on offer.
    pairs : sequence of (int, int)
        Contrasts whose sign is asked about.
    by_type : bool
        Whether decisions see the type.

    Returns
    -------
    Flips
    """
    names = tuple(name for name in assumptions if PARAMETERS[name])
    declared = np.array([parameter(name, assumptions[name]) for name in names])
    n_draws, n_states, n_types = weights.shape
    smallest = np.zeros((len(names), n_draws))
    region = np.full((len(names), n_draws, n_states, n_types if by_type else 1), np.nan)
    contrast = np.full((len(names), n_draws, len(pairs), n_states, n_types), np.nan)
    for states, system in systems:
        cells = np.eye(int(np.prod(system.shape))).reshape(-1, *system.shape)
        for k, draw in np.ndindex(len(names), n_draws):
            own = (system, names[k], float(declared[k]), draw)
            start = smallest_at(*own)
            least = start.value if start.status == "optimal" else math.inf
            smallest[k, draw] = np.maximum(smallest[k, draw], least)
            for s, state in enumerate(states):
                of_type = cells[:, s][..., chosen[offered[state]]].transpose(1, 2, 0)
                if not by_type:
                    of_type = np.einsum("c,cav->av", weights[draw, state], of_type)[None]
                for c, values in enumerate(of_type):
                    if len(values):
                        region[k, draw, state, c] = flip(*own, start, values)
                for p, (a, b) in enumerate(pairs):
                    for c in range(n_types):
                        sign = cells[:, s, c, a] - cells[:, s, c, b]
                        contrast[k, draw, p, state, c] = flip(*own, start, np.stack([sign, np.zeros_like(sign)]))
    for array in (region, contrast):  # one parameter for all states: it must be feasible in each of them
        floor = smallest.reshape(*smallest.shape, *[1] * (array.ndim - 2))
        array[array <= floor + _ROUNDING] = -np.inf
    if "gamma" in names:
        k = names.index("gamma")
        declared[k] = np.exp(declared[k])
        for array in (smallest, region, contrast):
            array[k] = np.where(np.isneginf(array[k]), -np.inf, np.exp(array[k]))
    return Flips(names, declared, smallest, region, contrast)


def breakdown_dataset(
    found: Flips, dims: tuple[str, ...], shape: tuple[int, ...], level: float, contrasts: Sequence[tuple[str, str]]
) -> xr.Dataset:
    """Medians and intervals over draws; not certain at any parameter becomes NaN.

    Parameters
    ----------
    found : Flips
        From :func:`breakdown_parameters`.
    dims, shape : tuple
        Dims of a region and their sizes.
    level : float
        Level of the intervals.
    contrasts : sequence of (item, item_other)
        Labels.

    Returns
    -------
    Dataset
        See ``labelled.assume``.
    """
    region = found.region.reshape(*found.smallest.shape, *shape)
    tail = 0.5 * (1.0 - level)
    data: dict[str, Any] = {"smallest_feasible": (("assumption",), _quantile(found.smallest, 0.5))}
    for suffix, share in (("", 0.5), ("_lower", tail), ("_upper", 1.0 - tail)):
        data[f"breakdown{suffix}"] = (("assumption", *dims), _quantile(region, share))
        if contrasts:
            values = _quantile(found.contrast, share)
            data[f"contrast_breakdown{suffix}"] = (("assumption", "contrast", STATE, TYPE), values)
    fits = found.smallest <= found.declared[:, None] + _ROUNDING
    broad = (*fits.shape, *[1] * len(shape))
    certain = (region >= found.declared.reshape(-1, *[1] * (region.ndim - 1))) & fits.reshape(broad)
    count = fits.sum(1).reshape(-1, *[1] * len(shape))
    data["share_certain"] = (
        ("assumption", *dims),
        np.where(count > 0, certain.sum(1) / np.maximum(count, 1), np.nan),
    )
    coords: dict[str, Any] = {
        "assumption": np.array(found.names, dtype=str),
        "parameter": ("assumption", np.array([PARAMETERS[name] for name in found.names], dtype=str)),
        "declared": ("assumption", found.declared),
    }
    if contrasts:
        coords["contrast"] = [f"{a} - {b}" for a, b in contrasts]
    return xr.Dataset(data, coords=coords)


def _quantile(values: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Quantile over draws (axis 1) that may be infinite; draws that allow no parameter are left out."""
    moved = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    out = np.full(moved.shape[1], np.nan)
    for column, own in enumerate(moved.T):
        used = own[~np.isnan(own)]
        if used.size:
            out[column] = np.quantile(used, share, method="inverted_cdf")
    return np.where(np.isneginf(out), np.nan, out).reshape(values.shape[0], *values.shape[2:])
