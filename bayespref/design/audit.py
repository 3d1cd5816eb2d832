"""Audits against illusory overlap: comparisons an expert should read, sign quadrants, several feature maps, true costs.

A least eigenvalue can look healthy because a few odd pairs load on the worst direction, because the feature map hides a
confound, or because a zero in a feature counts as contrast. These functions find the pairs an expert should read, look
at the sign quadrants of named factors, and repeat the overlap under several feature maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.checks import finite, non_negative, positive
from bayespref.design.registry import Intervention, acceptance
from bayespref.display import shown
from bayespref.information import curvature, fisher, overlap, quadrant_mass


@shown(
    "half of what is known about the worst direction rests on {half} comparisons",
    next_step="read the rows under review before trusting that direction",
)
class WorstPairs(NamedTuple):
    """Pairs that carry the information about the worst direction.

    Attributes
    ----------
    direction : float array, shape (d,)
        Unit direction with the least information; one of several where ``ambiguous``.
    load : float array, shape (n,)
        Share of every comparison in that information; sums to one.
    half : int
        Comparisons that carry half of it: few of many means that the overlap rests on few pairs.
    effective : float
        Effective number of comparisons behind it, 1 / sum of squared loads.
    review : int array, shape (k,)
        Rows for expert review, drawn without replacement with probability proportional to the load, heaviest first.
    lambda_min : float
        Information per label in that direction.
    without : float
        Least eigenvalue per label once the reviewed rows are left out, at the same denominator: what remains if none of
        them means what its features say.
    ambiguous : bool
        Whether the worst direction is not unique.
    reason : str
        ``"no_overlap"`` where the direction carries no information at all (loads are NaN), else "".
    """

    direction: Float[np.ndarray, " d"]
    load: Float[np.ndarray, " n"]
    half: int
    effective: float
    review: Int[np.ndarray, " k"]
    lambda_min: float
    without: float
    ambiguous: bool
    reason: str


def worst_pairs(
    dz: Float[np.ndarray, "n d"],
    w: Float[np.ndarray, " d"],
    *,
    rng: np.random.Generator,
    k: int = 20,
    weights: Float[np.ndarray, " n"] | None = None,
) -> WorstPairs:
    """Find the comparisons that load most on the worst direction, and draw some of them for expert review.

    Parameters
    ----------
    dz : array, shape (n, d)
        Feature differences.
    w : array, shape (d,)
        Coefficients, log-odds per feature.
    rng : numpy.random.Generator
    k : int
        Rows to draw, at most n.
    weights : array, shape (n,), optional
        Relative weights, as in `bayespref.information.fisher`.

    Returns
    -------
    WorstPairs

    Raises
    ------
    ValueError
        If there is no comparison, ``k`` is below one, or shapes disagree.

    Examples
    --------
    >>> dz = np.array([[1.0, 1.0]] * 9 + [[1.0, -1.0]])
    >>> got = worst_pairs(dz, np.zeros(2), rng=np.random.default_rng(0), k=1)
    >>> got.review.tolist(), got.half, got.load[9]
    ([9], 1, np.float64(1.0))
    """
    rows, coefficients = finite("dz", dz), finite("w", w)
    if k < 1:
        raise ValueError(f"k: must be >= 1, got {k}")
    information = fisher(rows, coefficients, weights)
    if not len(rows) or np.isnan(information).any():
        raise ValueError("dz: needs at least one comparison of positive weight")
    seen = overlap(information)
    share = np.ones(len(rows)) if weights is None else finite("weights", weights)
    share = share / share.sum()
    direction = seen.direction
    part = share * curvature(rows @ coefficients) * (rows @ direction) ** 2
    total = float(part.sum())
    lost = bool(seen.null_dim > 0) or total <= 0
    if lost:
        empty = np.zeros(0, dtype=np.int64)
        load = np.full(len(rows), np.nan)
        return WorstPairs(direction, load, 0, np.nan, empty, 0.0, 0.0, bool(seen.ambiguous), "no_overlap")
    load = part / total
    # Rows of no load cannot be drawn; fewer than k may be left.
    size = min(k, int((load > 0).sum()))
    review = rng.choice(len(rows), size=size, replace=False, p=load)
    review = review[np.argsort(-load[review], kind="stable")]
    keep = np.ones(len(rows))
    keep[review] = 0.0
    rest = (rows * (share * keep * curvature(rows @ coefficients))[:, None]).T @ rows
    ordered = np.cumsum(np.sort(load)[::-1])
    return WorstPairs(
        direction,
        load,
        int(np.searchsorted(ordered, 0.5) + 1),
        float(1.0 / (load**2).sum()),
        review.astype(np.int64),
        float(seen.lambda_min),
        float(np.linalg.eigvalsh(rest)[0]),
        bool(seen.ambiguous),
        "",
    )


def quadrants(
    dz: Float[np.ndarray, "n d"],
    names: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    weights: Float[np.ndarray, " n"] | None = None,
    *,
    floor: float = 0.05,
) -> pd.DataFrame:
    """Check the sign quadrants of factor pairs the user names.

    Parameters
    ----------
    dz : array, shape (n, d)
        Feature differences.
    names : sequence of str
        Names of the features.
    pairs : sequence of (name, name)
        Factor pairs whose trade-off is claimed.
    weights : array, shape (n,), optional
        Relative weights.
    floor : float
        Least antipodal mass below which the trade-off is called missing.

    Returns
    -------
    DataFrame
        One row a pair: ``first``, ``second``, the masses ``pp, pm, mp, mm, zero``, ``antipodal_min``, least eigenvalues
        of the signs alone, with a position column and with an interaction, ``reason`` ("no_overlap" where the antipodal
        mass is below the floor or no comparison moves both, "" elsewhere) and ``words``.

    Raises
    ------
    ValueError
        If a name is unknown or a pair names one feature twice.

    Examples
    --------
    >>> dz = np.array([[1.0, 1.0], [2.0, 1.0], [-1.0, -1.0]])
    >>> quadrants(dz, ("helpful", "long"), [("helpful", "long")]).reason.tolist()
    ['no_overlap']
    """
    rows = finite("dz", dz)
    code = {str(name): i for i, name in enumerate(names)}
    if rows.ndim != 2 or len(code) != rows.shape[1]:
        raise ValueError(f"names: must be {rows.shape[-1]} different names, got {list(names)[:5]}")
    unknown = sorted({name for pair in pairs for name in pair if name not in code})
    if unknown:
        raise ValueError(f"pairs: unknown features {unknown[:5]}; known are {sorted(code)}")
    out = []
    for first, second in pairs:
        got = quadrant_mass(rows, code[first], code[second], weights)
        bad = not got.antipodal_min >= floor
        against, along = got.pm + got.mp, got.pp + got.mm
        if not np.isfinite(got.lambda_min):
            words = f"no comparison moves both {first} and {second}"
        elif bad:
            rare = "against each other" if against < along else "together"
            words = (
                f"{first} and {second} move {rare} in {min(against, along):.1%} of comparisons only: their trade-off"
            )
            words += " rests on the model"
        else:
            words = f"{first} and {second} move together in {along:.0%} and against each other in {against:.0%}"
        out.append((first, second, *got, "no_overlap" if bad else "", words))
    columns = ["first", "second", *type(quadrant_mass(np.zeros((0, 2)), 0, 1))._fields, "reason", "words"]
    return pd.DataFrame(out, columns=columns)


@shown(
    "passed: {passed}; condition number {kappa}",
    next_step="use only maps that pass, and report the worst direction",
)
class MapCheck(NamedTuple):
    """Overlap under several feature maps.

    Attributes
    ----------
    names : tuple of str
        Maps.
    kappa, relative : float array, shape (map,)
        Condition number, and lambda_min / lambda_max, of the information with every feature scaled to unit information
        (so that units do not count); infinite and 0 where a direction is missing.
    direction : tuple of float arrays
        Worst direction of each map, in its own scaled features.
    worst : str
        Map with the largest condition number.
    passed : bool
        Whether every map stays within ``kappa_max``.
    """

    names: tuple[str, ...]
    kappa: Float[np.ndarray, " map"]
    relative: Float[np.ndarray, " map"]
    direction: tuple[NDArray[np.float64], ...]
    worst: str
    passed: bool


def worst_map(
    maps: Mapping[str, Float[np.ndarray, "n d"]],
    w: Mapping[str, Float[np.ndarray, " d"]] | None = None,
    *,
    kappa_max: float = 100.0,
) -> MapCheck:
    """Worst-case conditioning over several feature maps of the same comparisons.

    Overlap in one map proves little if another map, just as defensible, has none: the verdict is the worst one's.

    Parameters
    ----------
    maps : mapping of name to array, shape (n, d_m)
        Feature differences of the same comparisons under each map.
    w : mapping of name to array, shape (d_m,), optional
        Coefficients under each map; zero by default, the least saturated case.
    kappa_max : float
        Largest condition number accepted.

    Returns
    -------
    MapCheck

    Raises
    ------
    ValueError
        If there is no map, the maps differ in their number of comparisons, or names disagree.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> got = worst_map({"plain": x, "copied": np.column_stack([x[:, 0], x[:, 0]])})
    >>> got.worst, got.passed
    ('copied', False)
    """
    positive("kappa_max", kappa_max)
    if not maps:
        raise ValueError("maps: needs at least one feature map")
    sizes = {name: len(np.asarray(rows)) for name, rows in maps.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"maps: must describe the same comparisons, got numbers of rows {sizes}")
    if w is not None and set(w) != set(maps):
        raise ValueError(f"w: must name every map {sorted(maps)} once, got {sorted(w)}")
    kappa, relative, directions = [], [], []
    for name, given in maps.items():
        rows = finite(f"maps[{name!r}]", given)
        coefficients = np.zeros(rows.shape[1]) if w is None else finite(f"w[{name!r}]", w[name])
        information = fisher(rows, coefficients)
        size = np.sqrt(np.diagonal(information))
        safe = np.where(size > 0, size, 1.0)
        seen = overlap(information / safe[:, None] / safe[None, :])
        kappa.append(float(seen.kappa))
        relative.append(0.0 if np.isinf(seen.kappa) else float(1.0 / seen.kappa))
        directions.append(seen.direction)
    names = tuple(maps)
    condition = np.array(kappa)
    # NaN (no comparison at all) is worse than anything.
    rank = np.where(np.isnan(condition), np.inf, condition)
    return MapCheck(
        names,
        condition,
        np.array(relative),
        tuple(directions),
        names[int(rank.argmax())],
        bool((rank <= kappa_max).all()),
    )


def bucket_costs(
    interventions: Sequence[Intervention],
    buckets: Sequence[str],
    information: Float[np.ndarray, "bucket action"] | None = None,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Cost of an accepted label by bucket and intervention, from the attempts on record.

    Parameters
    ----------
    interventions : sequence of Intervention
        Rows of the registry.
    buckets : sequence of str
        Buckets (locales, segments).
    information : array, shape (bucket, action), optional
        Information a label carries in the direction of interest; the table then has the cost per unit of it.
    level : float
        Mass of the acceptance intervals.

    Returns
    -------
    DataFrame
        ``bucket``, ``action``, ``attempts``, ``acceptance`` with ``lower`` and ``upper``, ``cost`` with ``cost_lower``
        and ``cost_upper``, ``cost_per_information`` where given, ``reason`` (``"no_data"`` where nothing was tried).

    Raises
    ------
    ValueError
        If ``information`` has the wrong shape or a negative entry.

    Examples
    --------
    >>> row = Intervention("shorten", "length", 1.0, "v1", attempts={"fr": 10}, accepted={"fr": 5})
    >>> bucket_costs([row], ["fr"]).cost.tolist()
    [2.0]
    """
    got = acceptance(interventions, buckets, level=level)
    shape = (len(buckets), len(interventions))
    table: dict[str, Any] = {
        "bucket": np.repeat(list(buckets), shape[1]),
        "action": [row.action for row in interventions] * shape[0],
        "attempts": got.attempts.ravel(),
        "acceptance": got.mean.ravel(),
        "lower": got.lower.ravel(),
        "upper": got.upper.ravel(),
        "cost": got.cost.ravel(),
        "cost_lower": got.cost_lower.ravel(),
        "cost_upper": got.cost_upper.ravel(),
    }
    if information is not None:
        worth = non_negative("information", finite("information", information))
        if worth.shape != shape:
            raise ValueError(f"information: must have shape {shape}, got {worth.shape}")
        safe = np.where(worth > 0, worth, 1.0)
        table["cost_per_information"] = np.where(worth > 0, got.cost / safe, np.inf).ravel()
    table["reason"] = got.reason.ravel()
    return pd.DataFrame(table)
