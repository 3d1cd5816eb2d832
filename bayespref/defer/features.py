"""``FeaturePolicy``: act or defer by regions of feature differences, for pairs of items that need not be in the table.

A case names the features of both items; their differences fall into declared bins, and a ``DeferralPolicy`` over the
bins answers. A case outside every bin, or with a feature missing, defers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.checks import finite
from bayespref.defer import schema
from bayespref.defer.consistency import OUTPUT, PAIR, refuse_columns
from bayespref.defer.lookup import ABSENT, MISSING, encode, encode_values
from bayespref.defer.runtime import DeferralPolicy, Verdict
from bayespref.display import shown
from bayespref.errors import PolicyFileError

if TYPE_CHECKING:
    import narwhals as nw
    import pandas as pd
    from narwhals.typing import IntoDataFrameT

FORMAT = "bayespref.feature-policy"


def bin_labels(edges: Sequence[float]) -> tuple[str, ...]:
    """Labels of the bins between edges, half-open but for the last one.

    Examples
    --------
    >>> bin_labels([-1, 0, 2.5])
    ('[-1, 0)', '[0, 2.5]')
    """
    ends = [repr(float(edge)).removesuffix(".0") for edge in edges]
    last = len(ends) - 2
    return tuple(f"[{low}, {high}{']' if i == last else ')'}" for i, (low, high) in enumerate(pairwise(ends)))


def bin_of(edges: Sequence[float], difference: Float[np.ndarray, " row"]) -> NDArray[np.int64]:
    """Bin of each difference, half-open but for the last one; ``ABSENT`` outside all, ``MISSING`` where NaN.

    Examples
    --------
    >>> bin_of([-1, 0, 2.5], np.array([-1.0, 0.0, 2.5, 3.0, np.nan])).tolist()
    [0, 1, 1, -1, -2]
    """
    ends, value = np.asarray(edges, dtype=np.float64), np.asarray(difference, dtype=np.float64)
    last = len(ends) - 2
    at = np.searchsorted(ends, value, side="right") - 1
    at = np.where(value == ends[-1], last, at)
    at = np.where((at < 0) | (at > last), ABSENT, at)
    return np.where(np.isnan(value), MISSING, at)


def bin_boxes(
    bins: Mapping[str, Sequence[float]],
) -> tuple[list[tuple[str, ...]], Float[np.ndarray, "region feature"], Float[np.ndarray, "region feature"]]:
    """Regions made by crossing the bins of all features.

    Parameters
    ----------
    bins : mapping of str to sequence of float
        Edges of the difference item_a minus item_b in each feature: finite, strictly ascending, at least two.

    Returns
    -------
    labels : list of tuple of str
        Bin labels of each region, the last feature fastest.
    lower, upper : float array, shape (region, feature)

    Raises
    ------
    ValueError
        If edges are not finite or do not ascend.

    Examples
    --------
    >>> labels, lower, upper = bin_boxes({"price": [-1, 0, 1], "time": [0, 5]})
    >>> labels[1], lower[1].tolist(), upper[1].tolist()
    (('[0, 1]', '[0, 5]'), [0.0, 0.0], [1.0, 5.0])
    """
    if not bins:
        raise ValueError("bins: name at least one feature")
    ends = {name: finite(f"bins[{name!r}]", values) + 0.0 for name, values in bins.items()}
    for name, edges in ends.items():
        if edges.ndim != 1 or len(edges) < 2 or np.any(np.diff(edges) <= 0):
            raise ValueError(f"bins[{name!r}]: edges must ascend strictly, at least two; got {edges.tolist()[:5]}")
    labels = list(product(*(bin_labels(edges.tolist()) for edges in ends.values())))
    lower = np.array(list(product(*(edges[:-1] for edges in ends.values()))))
    upper = np.array(list(product(*(edges[1:] for edges in ends.values()))))
    return labels, lower, upper


@shown(
    "by bins of {policy.region}, rule {policy.rule}",
    next_step="predict(frame) answers; everything outside the bins defers",
)
@dataclass(frozen=True, eq=False)
class FeaturePolicy:
    """Act or defer by bins of feature differences.

    Parameters
    ----------
    edges : mapping of str to tuple of float
        Bin edges of each feature's difference, item_a minus item_b.
    policy : DeferralPolicy
        Over the bins' labels; its last region columns are the features, any before them are read from cases as they
        stand (``context``, ``type``). Its items are ``item_a`` and ``item_b``: which of the two to play.

    Raises
    ------
    ValueError
        If bins and policy contradict each other.

    Examples
    --------
    >>> from bayespref.defer.policy import from_scores
    >>> rows = from_scores([0.1, 0.9], [0, 0], labels=bin_labels([-1, 0, 1]), items=["item_a", "item_b"], c_defer=0.2,
    ...     region=["price"], data_hash="h", assumptions=["linear"])
    >>> policy = FeaturePolicy({"price": (-1.0, 0.0, 1.0)}, rows)
    >>> policy.lookup({"price_a": 2.0, "price_b": 2.5})[:2]
    ('act', 'item_a')
    >>> policy.lookup({"price_a": 9.0, "price_b": 2.5})[:3]
    ('defer', None, 'unseen_state')
    """

    edges: Mapping[str, tuple[float, ...]]
    policy: DeferralPolicy

    def __post_init__(self) -> None:
        bin_boxes(self.edges)
        features = tuple(self.edges)
        if self.policy.region[-len(features) :] != features:
            raise ValueError(f"policy: its last region columns must be {features}, got {self.policy.region}")
        if self.policy.items != PAIR:
            raise ValueError(f"policy: its items must be {PAIR}, got {self.policy.items}")
        for name, column in zip(features, self.policy.labels.T[-len(features) :], strict=True):
            strange = sorted(set(column) - set(bin_labels(self.edges[name])))
            if strange:
                raise ValueError(f"policy: {strange[:5]} are no bins of {name!r}")
        needed = [*self._groups, *(f"{name}_{side}" for name in features for side in "ab")]
        if len(set(needed)) < len(needed) or set(needed) & set(OUTPUT):
            raise ValueError(f"edges: the columns of a case would clash: {needed}")

    def predict(self, frame: IntoDataFrameT) -> IntoDataFrameT:
        """Answer every row of a frame.

        Parameters
        ----------
        frame : pandas or Polars DataFrame, or PyArrow Table
            Numeric columns ``<feature>_a`` and ``<feature>_b`` for every feature, and the group columns if the policy
            has some.

        Returns
        -------
        frame of the same kind
            As :meth:`DeferralPolicy.predict`; ``action`` says ``item_a`` or ``item_b``.

        Raises
        ------
        TypeError
            If a feature column holds anything but numbers.
        ValueError
            If a column is missing, or an output column exists already.

        Notes
        -----
        A difference outside the bins of its feature is an unseen region, a missing or undefined feature a missing
        value: both defer.
        """
        import narwhals as nw

        table = nw.from_native(frame, eager_only=True)
        refuse_columns(table.columns, self._needed)
        keys = [encode(table.get_column(name), self.policy.vocabulary[i]) for i, name in enumerate(self._groups)]
        for name in self.edges:
            first, second = (_numbers(table.get_column(f"{name}_{side}"), f"{name}_{side}") for side in "ab")
            keys.append(self._bin(name, first, second))
        return self.policy.answer(table, keys, [])

    def lookup(self, row: Mapping[str, Any]) -> Verdict:
        """Answer one case; what is absent or no number counts as missing."""
        keys = [encode_values([row.get(name)], self.policy.vocabulary[i]) for i, name in enumerate(self._groups)]
        for name in self.edges:
            first, second = (np.array([_number(row.get(f"{name}_{side}"))]) for side in "ab")
            keys.append(self._bin(name, first, second))
        return self.policy.verdict(keys)

    def explain(self, row: Mapping[str, Any]) -> str:
        """Say in words what the policy does with a case, and why."""
        found = dict(row)
        for name in self.edges:
            difference = _number(row.get(f"{name}_a")) - _number(row.get(f"{name}_b"))
            at = bin_of(self.edges[name], np.array([difference]))[0]
            found[name] = None if at == MISSING else "outside" if at == ABSENT else bin_labels(self.edges[name])[at]
        return self.policy.explain({name: found.get(name) for name in self.policy.region})

    def to_table(self) -> pd.DataFrame:
        """Plain decision table: one row a region, with ``<feature>_low`` and ``<feature>_high`` beside each bin."""
        table = self.policy.to_table()
        for name, edges in self.edges.items():
            at = dict(zip(bin_labels(edges), pairwise(edges), strict=True))
            place = list(table.columns).index(name) + 1
            for shift, side in enumerate(("low", "high")):
                table.insert(place + shift, f"{name}_{side}", [float(at[label][shift]) for label in table[name]])
        return table

    def to_json(self) -> str:
        """Text of the policy file; :meth:`from_json` reads it back to identical decisions."""
        bins = [{"feature": name, "edges": [float(edge) for edge in edges]} for name, edges in self.edges.items()]
        return schema.dump({"format": FORMAT, "bins": bins, "policy": json.loads(self.policy.to_json())})

    @classmethod
    def from_json(cls, text: str | bytes) -> FeaturePolicy:
        """Read the text of a policy file; nothing in it is executed.

        Raises
        ------
        PolicyFileError
            If the text is truncated, edited, of another version, or contradicts itself.
        """
        file = schema.read_checked(text, schema.FeaturePolicyFile)
        names = [bins.feature for bins in file.bins]
        if len(set(names)) < len(names):
            raise PolicyFileError(f"bins: features given twice: {names}")
        try:
            rows = DeferralPolicy.from_json(json.dumps(file.policy.model_dump()))
            return cls({bins.feature: tuple(bins.edges) for bins in file.bins}, rows)
        except ValueError as error:
            raise PolicyFileError(f"policy file contradicts itself: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy file in one step."""
        return schema.write_text(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FeaturePolicy:
        """Read a policy file, as :meth:`from_json`."""
        return cls.from_json(Path(path).read_bytes())

    @property
    def _groups(self) -> tuple[str, ...]:
        return self.policy.region[: len(self.policy.region) - len(self.edges)]

    @property
    def _needed(self) -> list[str]:
        return [*self._groups, *(f"{name}_{side}" for name in self.edges for side in "ab")]

    @cached_property
    def _code(self) -> dict[str, NDArray[np.int64]]:
        """Vocabulary code of each bin of each feature; bins that no region has are absent."""
        offset = len(self._groups)
        return {
            name: encode_values(bin_labels(edges), self.policy.vocabulary[offset + i])
            for i, (name, edges) in enumerate(self.edges.items())
        }

    def _bin(self, name: str, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
        with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is NaN, and NaN defers
            at = bin_of(self.edges[name], first - second)
        return np.where(at >= 0, self._code[name][np.maximum(at, 0)], at)


def _numbers(column: nw.Series[Any], name: str) -> NDArray[np.float64]:
    """Values of a numeric column, NaN where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        values = column.to_arrow()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise TypeError(f"frame: column {name!r} must hold numbers only") from None
    kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise TypeError(f"frame: column {name!r} must hold numbers, got {kind}")
    numbers = pc.cast(values, pa.float64(), safe=False)
    return np.asarray(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
