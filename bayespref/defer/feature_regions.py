"""Scores of every region of feature differences as a labelled Dataset, and the policy made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import finite, non_negative, one_of
from bayespref.defer.consistency import PAIR
from bayespref.defer.features import FeaturePolicy, bin_boxes, bin_of
from bayespref.defer.pairs import box_vertices, pair_scores, unidentified
from bayespref.defer.policy import from_scores
from bayespref.defer.regions import REGION, RULES
from bayespref.dims import ITEM

_ROUNDING = 0.5
"""An expected count reaches a whole number once it rounds to it."""


def score_feature_regions(
    coefficient: Float[np.ndarray, "draw type feature"],
    type_weights: Float[np.ndarray, "draw group type"],
    bins: Mapping[str, Sequence[float]],
    *,
    compared: Float[np.ndarray, "question feature"],
    counts: Float[np.ndarray, "question type"],
    groups: Sequence[tuple[str, ...]] = ((),),
    columns: Sequence[str] = (),
    range_width: float,
    least_count: float = 1.0,
    level: float = 0.9,
) -> xr.Dataset:
    """Score playing either item in every box of feature differences, for every group of people.

    Parameters
    ----------
    coefficient : float array, shape (draw, type, feature)
        Posterior draws, log-odds per unit; features in the order of ``bins``.
    type_weights : float array, shape (draw, group, type)
        P(type) in each group.
    bins : mapping of str to sequence of float
        Edges of the difference item_a minus item_b, feature by feature.
    compared : float array, shape (question, feature)
        Feature differences of the questions asked.
    counts : float array, shape (question, type)
        (Expected) number of answers of each type.
    groups : sequence of tuple of str
        Labels of each group, one for each name in ``columns``.
    columns : sequence of str
        What makes a group; none for one group of all people.
    range_width : float
        Assumed largest difference of rewards, log-odds. Where the draws' differences over the questions asked exceed
        it, the smallest width they allow is used instead, and named.
    least_count : float
        Fewest answers of a type, in a region or its mirror image (in the bins the policy looks up), for that type's
        coefficients to be believed there; 0 says that linearity is believed everywhere it identifies a difference.
    level : float
        ``credible`` is the quantile of the regret at this level.

    Returns
    -------
    xarray.Dataset
        ``chow``, ``credible``, ``set_pure`` by (region, item: ``item_a``, ``item_b``); ``c_*`` break-even costs under
        all four rules, ``action_*``, ``value``, ``flag``, ``n_compared`` and a column a group column and a feature, by
        region. Attributes name range, assumptions and units.

    Raises
    ------
    ValueError
        On shapes that do not agree, or bins that do not ascend.
    """
    draws, differences, answers = finite("coefficient", coefficient), finite("compared", compared), np.asarray(counts)
    least = float(non_negative("least_count", least_count))
    boxes, lower, upper = bin_boxes(bins)
    corners = box_vertices(lower, upper)
    dark = unidentified(differences, answers, corners, n_min=_ROUNDING)
    inside = _member(differences, bins) | _member(-differences, bins)  # in the bins the policy will look up
    inside &= (differences != 0).any(axis=1)[:, None]  # items without a difference tell nothing of any coefficient
    near = np.where(inside, 1.0, 0.0).T @ answers  # (region, type)
    far = max(least - _ROUNDING, _ROUNDING) > near.T if least > 0 else np.zeros(dark.shape, dtype=np.bool_)
    asked = differences[(answers >= _ROUNDING).any(1)]
    r_min = float(np.abs(np.einsum("ncf,qf->ncq", draws, asked)).max(initial=0.0))
    width = max(float(non_negative("range_width", range_width)), r_min)
    found = pair_scores(draws, type_weights, corners, blind=dark | far, widest=width, alpha=1.0 - level)

    n_groups, n_boxes = found.set_random.shape
    used = (np.asarray(type_weights) > 0).any(0)  # (group, type)
    no_data, no_overlap = (np.einsum("gc,cr->gr", used, mask) > 0 for mask in (far, dark & ~far))
    flag = np.where(no_data, "no_data", np.where(no_overlap, "no_overlap", "")).reshape(-1)
    n_compared = np.einsum("gc,rc->gr", used, near).reshape(-1)
    by_item = {rule: getattr(found, rule).reshape(-1, 2) for rule in RULES}
    value = found.set_random.reshape(-1)
    labels = [(*group, *box) for group in groups for box in boxes]
    if len(labels) != n_groups * n_boxes:
        raise ValueError(f"groups: {len(groups)} are named, but type_weights has {n_groups}")
    names = (*columns, *bins)
    data: dict[str, tuple[tuple[str, ...], NDArray[np.generic]]] = {
        rule: ((REGION, ITEM), scores) for rule, scores in by_item.items()
    }
    data |= {f"c_{rule}": ((REGION,), scores.min(1)) for rule, scores in by_item.items()}
    data |= {f"action_{rule}": ((REGION,), np.array(PAIR)[scores.argmin(1)]) for rule, scores in by_item.items()}
    data |= {
        "c_set_random": ((REGION,), value),
        "value": ((REGION,), value),
        "flag": ((REGION,), flag.astype(np.str_)),
        "n_compared": ((REGION,), n_compared),
    }
    data |= {name: ((REGION,), np.array([label[i] for label in labels])) for i, name in enumerate(names)}
    assumptions = [
        "rewards linear in the features",
        f"differences of rewards at most {width:.4g}"
        + (f", widened from {range_width:.4g} because draws differ by as much" if r_min > range_width else ""),
        f"coefficients believed in regions with at least {least:g} answers of a type"
        if least
        else "coefficients believed wherever linearity identifies a difference",
    ]
    return xr.Dataset(
        data,
        coords={ITEM: np.array(PAIR)},
        attrs={
            "columns": list(names),
            "edges": [(np.asarray(edges, dtype=np.float64) + 0.0).tolist() for edges in bins.values()],
            "units": "log-odds of reward",
            "level": level,
            "range_width": width,
            "r_min": r_min,
            "assumptions": assumptions,
            "sharp": int(not (dark | far).any()),
            "method": "largest score over the corners of each box",
        },
    )


def feature_policy_from(defer: xr.Dataset, *, c_defer: float, rule: str, data_hash: str) -> FeaturePolicy:
    """Turn scores of feature regions into the policy a system consumes.

    Parameters
    ----------
    defer : xarray.Dataset
        From :func:`score_feature_regions`.
    c_defer : float
        Cost of deferring, log-odds of reward.
    rule : {"set_pure", "chow", "credible"}
        Score to compare with it. ``chow`` and ``credible`` clear a flagged region only if V is at most ``c_defer``.
    data_hash : str
        Hash of the table.

    Returns
    -------
    FeaturePolicy
    """
    one_of("rule", rule, RULES)
    columns = [str(column) for column in defer.attrs["columns"]]
    edges = defer.attrs["edges"]
    rows = from_scores(
        defer[f"c_{rule}"].values,
        np.array([PAIR.index(str(item)) for item in defer[f"action_{rule}"].values], dtype=np.int64),
        labels=list(zip(*(defer[column].values.astype(str).tolist() for column in columns), strict=True)),
        items=PAIR,
        c_defer=c_defer,
        data_hash=data_hash,
        assumptions=defer.attrs["assumptions"],
        region=columns,
        rule=rule,
        level=float(defer.attrs["level"]) if rule == "credible" else None,
        value=defer["value"].values,
        flag=defer["flag"].values.astype(str),
    )
    features = columns[len(columns) - len(edges) :]
    return FeaturePolicy({name: tuple(ends) for name, ends in zip(features, edges, strict=True)}, rows)


def _member(difference: NDArray[np.float64], bins: Mapping[str, Sequence[float]]) -> NDArray[np.bool_]:
    """Which difference the policy looks up in which region, shape (question, region): one region, or none."""
    sizes = tuple(len(edges) - 1 for edges in bins.values())
    codes = np.stack([bin_of(edges, difference[:, k]) for k, edges in enumerate(bins.values())])
    region = np.ravel_multi_index(tuple(np.maximum(codes, 0)), sizes)
    found = np.where(np.asarray((codes >= 0).all(axis=0)), region, -1)
    return np.asarray(found[:, None] == np.arange(np.prod(sizes)), dtype=np.bool_)
