"""Which edits of responses to make and have compared, given what a linear fit already knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from bayespref.checks import finite, simplex
from bayespref.design.candidates import edit_matrices
from bayespref.design.planner import plan
from bayespref.dims import CHAIN, DRAW, FEATURE, TYPE
from bayespref.errors import ModelError
from bayespref.information import overlap
from bayespref.posterior.tree import tree_comparisons


def next_edits(
    tree: xr.DataTree,
    edits: Mapping[str, Float[np.ndarray, "n feature"]],
    budget: float,
    *,
    cost: float | Mapping[str, float] = 1.0,
    acceptance: float | Mapping[str, float] = 1.0,
    label_cost: float = 0.0,
    type_mix: ArrayLike | None = None,
    max_draws: int = 400,
) -> pd.DataFrame:
    """Spend a budget on edits T_a so that the least known combination of coefficients becomes known best.

    Maximises the least eigenvalue of what is known plus what is bought; what is known is the inverse of the posterior
    covariance, the prior included. Coefficients are scaled so that every feature has unit spread among the compared
    pairs (among the edits, where no comparison ever moved it): a change of units changes nothing.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit of a linear model.
    edits : mapping of name to array, shape (n_a, feature)
        For each edit, the feature differences (edited minus original) of a pool of candidates, not yet labelled.
    budget : float
        What may be spent.
    cost, acceptance : float or mapping
        Cost of an attempt, and the share of attempts that pass and become a label, by edit.
    label_cost : float
        Cost of an accepted label beside its attempts.
    type_mix : array, shape (type,), optional
        Mix of types among those asked; the annotators' by default.
    max_draws : int
        Posterior draws over which information is averaged.

    Returns
    -------
    DataFrame
        One row an edit: ``edit``, ``n`` (whole labels, rounded down), ``attempts``, ``cost``, ``share`` of the labels
        and ``why``. ``attrs``: ``lambda_min`` before and after the fractional plan, ``upper_bound`` (certified: no plan
        of this cost does better), ``worst_direction`` (as text) and the assumptions.

    Raises
    ------
    ModelError
        If the fit has no coefficients.
    ValueError
        If an edit's pool is empty or has other features, or a share or cost is out of range.
    ImportError
        Without the extra ``bayespref[design]``.
    """
    posterior = tree["posterior"].to_dataset()
    comparisons = tree_comparisons(tree)
    if "coefficient" not in posterior or comparisons.features is None:
        raise ModelError("tree: edits need a linear model, whose coefficients say what an edit changes")
    if not edits:
        raise ValueError("edits: name at least one")
    draws = posterior["coefficient"].transpose(CHAIN, DRAW, TYPE, FEATURE).values
    draws = draws.reshape(-1, *draws.shape[2:])
    n_types = draws.shape[1]
    contrast = comparisons.features[comparisons.item_a] - comparisons.features[comparisons.item_b]
    scale = np.sqrt((contrast**2).mean(axis=0))
    if type_mix is None:
        weight = posterior["type_weight"].mean((CHAIN, DRAW)).values
        mix = weight / weight.sum()
    else:
        mix = simplex("type_mix", type_mix)
    thin = np.unique(np.linspace(0, len(draws) - 1, max_draws).astype(int))
    pools = [finite(f"edits[{name!r}]", pool) for name, pool in edits.items()]
    for name, pool in zip(edits, pools, strict=True):
        if pool.ndim != 2 or pool.shape[1] != len(scale) or not len(pool):
            raise ValueError(f"edits[{name!r}]: must have shape (n >= 1, {len(scale)}), got {pool.shape}")
    moved = np.sqrt(np.mean([(pool**2).mean(axis=0) for pool in pools], axis=0))
    scale = np.where(scale > 0, scale, np.where(moved > 0, moved, 1.0))
    draws = draws * scale
    M = edit_matrices([pool / scale for pool in pools], draws[thin], mix)
    flat = draws.reshape(len(draws), -1)
    held = np.linalg.inv(np.atleast_2d(np.cov(flat, rowvar=False)))
    held = (held + held.T) / 2
    attempt, share = _each("cost", cost, edits), _each("acceptance", acceptance, edits)
    price = attempt / share + label_cost
    if not (price > 0).all():
        raise ValueError(f"cost: a label must cost something, got {price.tolist()}")
    now = overlap(held)
    # A target beyond reach turns the planner's coverage into the least eigenvalue itself.
    reach = float(now.lambda_max) + budget * float((np.linalg.eigvalsh(M)[:, -1] / price).max())
    got = plan(M, held[None], np.array([reach]), attempt, budget=float(budget), acceptance=share, label_cost=label_cost)
    counts = np.floor(got.counts[0] + 1e-6).astype(np.int64)
    names = [f"{f} ({k})" if n_types > 1 else str(f) for k in posterior[TYPE].values for f in posterior[FEATURE].values]
    order = np.argsort(-counts, kind="stable")
    worst = _words(now.direction, names)
    rows: list[tuple[Any, ...]] = []
    for k in order:
        if counts[k] == 0:
            continue
        along = float(now.direction @ M[k] @ now.direction / price[k])
        why = f"{along:.3g} units of information per cost about the least known combination, {worst}"
        attempts = int(np.ceil(counts[k] / share[k]))
        rows.append((list(edits)[k], int(counts[k]), attempts, counts[k] * price[k], counts[k] / counts.sum(), why))
    table = pd.DataFrame(rows, columns=["edit", "n", "attempts", "cost", "share", "why"])
    table.attrs = {
        "lambda_min_before": float(now.lambda_min),
        "lambda_min_after": float(got.lambda_min[0]),
        "upper_bound": float(got.bound) * reach,
        "worst_direction": worst,
        "assumptions": "rewards are linear in the features; labels carry the pool's mean information; prior included",
        "budget": float(budget),
    }
    return table


def _each(name: str, value: float | Mapping[str, float], edits: Mapping[str, Any]) -> NDArray[np.float64]:
    if not isinstance(value, Mapping):
        return np.full(len(edits), float(value))
    if set(value) != set(edits):
        raise ValueError(f"{name}: must name every edit {sorted(edits)} once, got {sorted(map(str, value))}")
    return np.array([float(value[edit]) for edit in edits])


def _words(direction: NDArray[np.float64], names: list[str]) -> str:
    top = np.argsort(-np.abs(direction))[:3]
    return " ".join(f"{direction[k]:+.2f} {names[k]}" for k in top if abs(direction[k]) > 0.05)
