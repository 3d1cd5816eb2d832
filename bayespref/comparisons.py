"""``Comparisons``: the one central type, a frozen integer-coded table of pairwise comparisons.

Labels live beside the codes; every array function of the package takes the codes. Rows are kept as given (one row may
stand for many through its weight); the likelihood and the graphs read ``counts``, aggregated once and cached.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.dims import OUTCOMES, TIE
from bayespref.display import block
from bayespref.errors import TableError

if TYPE_CHECKING:
    import xarray as xr

_CODED = ("annotator", "state", "context", "environment")
_LABELS = {"annotator": "annotators", "state": "states", "context": "contexts", "environment": "environments"}
_CELLS_IN_PLACE = 1 << 16
WHOLE_TABLE = "all"
"""Label of the single state of a table that has no state column."""


class Counts(NamedTuple):
    """Comparisons aggregated by (annotator, state, context, environment, pair, order shown, outcome).

    Pairs are oriented so that ``item_a < item_b``; ``first`` is +1 where that ``item_a`` was shown first, -1 where it
    was shown second, 0 where the order is unknown. Columns absent from the table are constant 0. Cells are sorted by
    annotator, then state, then pair; cells of total weight zero are left out.
    """

    annotator: Int[np.ndarray, " cell"]
    state: Int[np.ndarray, " cell"]
    context: Int[np.ndarray, " cell"]
    environment: Int[np.ndarray, " cell"]
    item_a: Int[np.ndarray, " cell"]
    item_b: Int[np.ndarray, " cell"]
    first: Int[np.ndarray, " cell"]
    outcome: Int[np.ndarray, " cell"]
    total: Float[np.ndarray, " cell"]
    """Sum of weights of the rows in the cell (number of comparisons where no weights are given)."""


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Pairwise comparisons as integer codes with their labels.

    Build one with :func:`bayespref.read_comparisons`, or with :func:`from_codes` from arrays.

    Parameters
    ----------
    item_a, item_b : int array, shape (comparison,)
        Codes into ``items``; never equal within a row.
    outcome : int array, shape (comparison,)
        Codes into ``bayespref.dims.OUTCOMES`` (a, b, tie, both_bad).
    weight : float array, shape (comparison,)
        Number of comparisons a row stands for (weight times count), >= 0.
    state : int array, shape (comparison,)
        Codes into ``states``; a table without states has the single state ``"all"``.
    items, states : tuple of str
        Labels. An item or state may have no row.
    annotator, context, environment : int array or None, shape (comparison,)
        Codes into the labels below; None where the table has no such column.
    annotators, contexts, environments : tuple of str
        Labels; empty where the table has no such column.
    position : int array or None, shape (comparison,)
        +1 where ``item_a`` was shown first, -1 where ``item_b`` was, 0 where unknown.
    propensity, timestamp, strength : float array or None, shape (comparison,)
        Logged probability of asking this pair, time (seconds since the epoch), and strength of preference.
    features : float array or None, shape (item, feature)
        Attributes of the items.
    feature_names : tuple of str
        Their names.
    provenance : mapping
        Where the table came from and what was dropped (JSON-able).
    """

    item_a: Int[np.ndarray, " comparison"]
    item_b: Int[np.ndarray, " comparison"]
    outcome: Int[np.ndarray, " comparison"]
    weight: Float[np.ndarray, " comparison"]
    state: Int[np.ndarray, " comparison"]
    items: tuple[str, ...]
    states: tuple[str, ...]
    annotator: Int[np.ndarray, " comparison"] | None = None
    annotators: tuple[str, ...] = ()
    context: Int[np.ndarray, " comparison"] | None = None
    contexts: tuple[str, ...] = ()
    environment: Int[np.ndarray, " comparison"] | None = None
    environments: tuple[str, ...] = ()
    position: Int[np.ndarray, " comparison"] | None = None
    propensity: Float[np.ndarray, " comparison"] | None = None
    timestamp: Float[np.ndarray, " comparison"] | None = None
    strength: Float[np.ndarray, " comparison"] | None = None
    features: Float[np.ndarray, "item feature"] | None = None
    feature_names: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.item_a)
        for name in ("item_a", "item_b", "outcome", "weight", "state", *_OPTIONAL_ROWS):
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != (rows,):
                raise TableError(f"{name}: has shape {values.shape}, but item_a has {rows} rows")
            values.setflags(write=False)
        _check_codes("item_a", self.item_a, len(self.items))
        _check_codes("item_b", self.item_b, len(self.items))
        _check_codes("outcome", self.outcome, len(OUTCOMES))
        _check_codes("state", self.state, len(self.states))
        for name in ("annotator", "context", "environment"):
            codes = getattr(self, name)
            if codes is not None:
                _check_codes(name, codes, len(getattr(self, _LABELS[name])))
        for name in ("items", *_LABELS.values(), "feature_names"):
            _check_labels(name, getattr(self, name))
        if np.any(self.item_a == self.item_b):
            raise TableError("item_a, item_b: an item is compared with itself")
        if rows and not (self.weight.min() >= 0 and self.weight.max() < np.inf):  # NaN fails both
            raise TableError("weight: must be finite and >= 0")
        if self.features is not None and self.features.shape != (len(self.items), len(self.feature_names)):
            raise TableError(
                f"features: shape {self.features.shape} does not match {len(self.items)} items and "
                f"{len(self.feature_names)} feature names"
            )

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.item_a)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.states)

    @property
    def n_annotators(self) -> int:
        """Number of annotators (0 where the table names none)."""
        return len(self.annotators)

    def labels(self, dim: str) -> tuple[str, ...]:
        """Labels of a dimension: ``item``, ``state``, ``annotator``, ``context``, ``environment`` or ``feature``."""
        if dim == "item":
            return self.items
        if dim == "feature":
            return self.feature_names
        if dim not in _LABELS:
            raise ValueError(f"dim: must be item, feature or one of {sorted(_LABELS)}, got {dim!r}")
        return tuple(getattr(self, _LABELS[dim]))

    def codes(self, dim: str) -> Int[np.ndarray, " comparison"]:
        """Row codes of ``state``, ``annotator``, ``context`` or ``environment``; an absent column is an error."""
        if dim not in _LABELS:
            raise ValueError(f"dim: must be one of {sorted(_LABELS)}, got {dim!r}")
        codes = getattr(self, dim)
        if codes is None:
            raise TableError(f"{dim}: the table has no such column; name one when reading it")
        return np.asarray(codes)

    @cached_property
    def counts(self) -> Counts:
        """Rows aggregated once; see :class:`Counts`."""
        swap = self.item_a > self.item_b
        won = self.outcome < TIE
        zero = np.broadcast_to(np.int32(0), self.n_rows)
        annotator, context, environment = (
            zero if codes is None else codes for codes in (self.annotator, self.context, self.environment)
        )
        keys: tuple[Any, ...] = (
            annotator,
            self.state,
            context,
            environment,
            np.minimum(self.item_a, self.item_b),
            np.maximum(self.item_a, self.item_b),
            zero if self.position is None else np.where(swap, -self.position, self.position) + np.int8(1),
            self.outcome ^ (swap & won),  # the winner's side changes with the pair's
        )
        sizes = (
            max(len(self.annotators), 1),
            len(self.states),
            max(len(self.contexts), 1),
            max(len(self.environments), 1),
            len(self.items),
            len(self.items),
            1 if self.position is None else 3,
            len(OUTCOMES),
        )
        columns, total = _group_sum(keys, sizes, self.weight)
        if self.position is not None:
            columns[6] -= 1
        said = total > 0
        codes: list[Any] = [column[said].astype(np.int32) for column in columns]
        return Counts._make([*codes, total[said]])

    def pair_counts(
        self, by: Sequence[str] = ("state",)
    ) -> tuple[Int[np.ndarray, "cell key"], Float[np.ndarray, "cell outcome"]]:
        """Counts of each outcome per stratum and pair, as a sparse table.

        Parameters
        ----------
        by : sequence of str
            Columns that define a stratum, among state, context, environment, annotator.

        Returns
        -------
        keys : int array, shape (cell, len(by) + 2)
            Stratum codes in the order of ``by``, then ``item_a < item_b``.
        counts : float array, shape (cell, 4)
            Weight of each outcome (a, b, tie, both_bad), seen from that orientation.
        """
        counts = self.counts
        for name in by:
            self.codes(name)
        keys = [getattr(counts, name) for name in by]
        sizes = [max(len(self.labels(name)), 1) for name in by]
        keys += [counts.item_a, counts.item_b, counts.outcome]
        sizes += [len(self.items), len(self.items), len(OUTCOMES)]
        columns, total = _group_sum(tuple(keys), tuple(sizes), counts.total)
        pair = np.stack(columns[:-1], axis=1) if len(total) else np.zeros((0, len(by) + 2), dtype=np.int64)
        new = np.ones(len(total), dtype=bool)
        new[1:] = np.any(pair[1:] != pair[:-1], axis=1)
        cell = np.cumsum(new) - 1
        table = np.zeros((int(new.sum()), len(OUTCOMES)))
        table[cell, columns[-1]] = total
        return pair[new].astype(np.int32), table

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Comparisons:
        """Keep the given rows; labels (and so codes) stay as they are."""
        changes: dict[str, Any] = {
            name: getattr(self, name)[rows]
            for name in ("item_a", "item_b", "outcome", "weight", "state", *_OPTIONAL_ROWS)
            if getattr(self, name) is not None
        }
        return replace(self, **changes)

    def pool(self, *dims: str) -> Comparisons:
        """Forget columns: ``pool("state")`` treats all rows as one state, ``pool("annotator")`` drops who answered."""
        changes: dict[str, Any] = {}
        for dim in dims:
            if dim not in _LABELS:
                raise ValueError(f"dims: must be among {sorted(_LABELS)}, got {dim!r}")
            if dim == "state":
                changes |= {"state": np.zeros(self.n_rows, dtype=np.int32), "states": (WHOLE_TABLE,)}
            else:
                changes |= {dim: None, _LABELS[dim]: ()}
        return replace(self, **changes)

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of labels, features and aggregated counts: equal for tables that give every model the same data.

        Row order, rows of weight zero and the columns propensity, timestamp and strength do not enter.
        """
        digest = hashlib.sha256()
        counts = self.counts
        shape = {name: list(self.labels(name)) for name in ("item", "feature", *_CODED)}
        digest.update(json.dumps(shape, sort_keys=True, ensure_ascii=True).encode())
        for name, values in zip(Counts._fields, counts, strict=True):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values, dtype="<f8" if name == "total" else "<i4").tobytes())
        if self.features is not None:
            digest.update(np.ascontiguousarray(self.features, dtype="<f8").tobytes())
        return digest.hexdigest()

    def to_dataset(self) -> xr.Dataset:
        """Rows and features as a labelled Dataset with dims ``comparison``, ``item``, ``feature``."""
        import xarray as xr

        data: dict[str, Any] = {}
        for name in ("item_a", "item_b", "outcome", "weight", "state", *_OPTIONAL_ROWS):
            values = getattr(self, name)
            if values is not None:
                data[name] = ("comparison", np.asarray(values))
        coords: dict[str, Any] = {"item": ("item", np.asarray(self.items, dtype=str))}
        if self.features is not None:
            data["features"] = (("item", "feature"), np.asarray(self.features))
            coords["feature"] = ("feature", np.asarray(self.feature_names, dtype=str))
        labels = {name: list(self.labels(name)) for name in _CODED}
        attrs = {"labels": json.dumps(labels), "provenance": json.dumps(dict(self.provenance)), "hash": self.data_hash}
        return xr.Dataset(data, coords=coords, attrs=attrs)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Comparisons:
        """Rebuild from :meth:`to_dataset`; a changed content (hash) is an error."""
        labels = json.loads(dataset.attrs["labels"])
        rows: dict[str, Any] = {
            name: np.array(dataset[name].values)
            for name in ("item_a", "item_b", "outcome", "weight", "state", *_OPTIONAL_ROWS)
            if name in dataset
        }
        built = cls(
            **rows,
            items=tuple(str(item) for item in dataset["item"].values),
            annotators=tuple(labels["annotator"]),
            states=tuple(labels["state"]),
            contexts=tuple(labels["context"]),
            environments=tuple(labels["environment"]),
            features=np.array(dataset["features"].values) if "features" in dataset else None,
            feature_names=tuple(str(f) for f in dataset["feature"].values) if "features" in dataset else (),
            provenance=json.loads(dataset.attrs["provenance"]),
        )
        if built.data_hash != dataset.attrs["hash"]:
            raise TableError("comparisons: the stored rows do not match their hash; the file was edited or truncated")
        return built

    def __repr__(self) -> str:
        return f"Comparisons({', '.join(f'{value} {name}' for name, value in self._summary())})"

    def _summary(self) -> list[tuple[str, str]]:
        totals = np.bincount(self.outcome, weights=self.weight, minlength=len(OUTCOMES))
        rows = [("comparisons", f"{self.weight.sum():,.6g}"), ("items", f"{self.n_items:,}")]
        rows += [(_LABELS[name], f"{len(self.labels(name)):,}") for name in _CODED if self.labels(name)]
        rows += [(f"{name} outcomes", f"{totals[code]:,.6g}") for code, name in enumerate(OUTCOMES) if totals[code]]
        return rows

    def _repr_html_(self) -> str:
        dropped = self.provenance.get("dropped")
        notes = [f"Dropped on reading: {json.dumps(dropped)}"] if dropped else []
        said = f"{self.weight.sum():,.6g} comparisons of {self.n_items:,} items"
        step = "bayespref.check(table) says what they can tell"
        return block("Comparisons", said, [step], ("What", "How many"), self._summary(), notes=notes)


_OPTIONAL_ROWS = ("annotator", "context", "environment", "position", "propensity", "timestamp", "strength")
_FIELD_NAMES = {item.name for item in fields(Comparisons)}


def from_codes(
    item_a: NDArray[np.integer[Any]],
    item_b: NDArray[np.integer[Any]],
    outcome: NDArray[np.integer[Any]],
    *,
    items: Sequence[str],
    state: NDArray[np.integer[Any]] | None = None,
    states: Sequence[str] = (WHOLE_TABLE,),
    weight: NDArray[np.floating[Any]] | None = None,
    **columns: Any,
) -> Comparisons:
    """Build :class:`Comparisons` from integer codes (simulations, tests, tables already coded).

    Parameters
    ----------
    item_a, item_b, outcome : int array, shape (comparison,)
        Codes into ``items`` and ``bayespref.dims.OUTCOMES``.
    items, states : sequence of str
        Labels.
    state : int array, shape (comparison,), optional
        Codes into ``states``; all rows in one state when absent.
    weight : float array, shape (comparison,), optional
        Defaults to one a row.
    **columns
        Other fields of :class:`Comparisons` (``annotator``, ``annotators``, ``context``, ...).

    Examples
    --------
    >>> import numpy as np
    >>> table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 2]), items=("x", "y", "z"))
    >>> table.n_rows, table.n_items
    (2, 3)
    """
    unknown = sorted(set(columns) - _FIELD_NAMES)
    if unknown:
        raise TypeError(f"columns: unknown field(s) {unknown}; allowed are {sorted(_FIELD_NAMES)}")
    rows = len(item_a)
    for name in ("annotator", "context", "environment"):
        if columns.get(name) is not None:
            columns[name] = np.array(columns[name], dtype=np.int32)
            columns[_LABELS[name]] = tuple(columns[_LABELS[name]])
    if columns.get("position") is not None:
        columns["position"] = np.array(columns["position"], dtype=np.int8)
    return Comparisons(
        item_a=np.array(item_a, dtype=np.int32),
        item_b=np.array(item_b, dtype=np.int32),
        outcome=np.array(outcome, dtype=np.int8),
        weight=np.ones(rows) if weight is None else np.array(weight, dtype=np.float64),
        state=np.zeros(rows, dtype=np.int32) if state is None else np.array(state, dtype=np.int32),
        items=tuple(items),
        states=tuple(states),
        **columns,
    )


def _check_codes(name: str, codes: NDArray[np.integer[Any]], size: int) -> None:
    if codes.size and (codes.min() < 0 or codes.max() >= size):
        bad = (codes < 0) | (codes >= size)
        rows = np.flatnonzero(bad)[:5].tolist()
        raise TableError(f"{name}: codes must lie in [0, {size}); {int(bad.sum())} bad, first at rows {rows}")


def _check_labels(name: str, labels: tuple[str, ...]) -> None:
    """Refuse labels that no file can hold, before anything is worked out about them."""
    try:
        storable = b"\0" not in "".join(labels).encode()
    except UnicodeEncodeError:
        storable = False
    if not storable:
        bad = [label for label in labels if "\0" in label or label != label.encode(errors="ignore").decode()]
        raise TableError(f"{name}: must hold no NUL characters and no lone surrogates; first {bad[:5]}")


def _group_sum(
    keys: tuple[NDArray[np.integer[Any]], ...], sizes: tuple[int, ...], weight: NDArray[np.float64]
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """Sum ``weight`` over equal key tuples; keys come back sorted lexicographically, sums of zero may be left out.

    A table of all possible tuples is filled where it is no larger than the rows; otherwise rows are sorted.
    """
    possible = math.prod(sizes)
    if possible <= max(len(weight), _CELLS_IN_PLACE):
        cell = _flat_code(keys, sizes, np.int32 if possible < 2**31 else np.int64)
        cell, weight = _fixed_order(cell, weight)
        table = np.bincount(cell, weights=weight, minlength=possible)
        unique = np.flatnonzero(table)
        columns = [np.asarray(column) for column in np.unravel_index(unique, sizes)]
        return columns, table[unique].astype(np.float64, copy=False)
    if possible < 2**62:
        unique, inverse = np.unique(_flat_code(keys, sizes, np.int64), return_inverse=True)
        columns = [np.asarray(column, dtype=np.int64) for column in np.unravel_index(unique, sizes)]
    else:
        stacked, inverse = np.unique(np.stack(keys, axis=1).astype(np.int64), axis=0, return_inverse=True)
        columns = [stacked[:, i].copy() for i in range(len(keys))]
        inverse = inverse.reshape(-1)
    inverse, weight = _fixed_order(inverse, weight)
    total = np.bincount(inverse, weights=weight, minlength=len(columns[0]))
    return columns, total.astype(np.float64, copy=False)


def _flat_code(
    keys: tuple[NDArray[np.integer[Any]], ...], sizes: tuple[int, ...], dtype: type[np.signedinteger[Any]]
) -> NDArray[np.signedinteger[Any]]:
    """Place of each key tuple in the lexicographic order of all possible ones."""
    flat = np.zeros(len(keys[0]), dtype=dtype)
    for key, size in zip(keys, sizes, strict=True):
        if size > 1:
            flat *= size
            flat += key
    return flat


def _fixed_order(
    cell: NDArray[np.signedinteger[Any]], weight: NDArray[np.float64]
) -> tuple[NDArray[np.signedinteger[Any]], NDArray[np.float64]]:
    """Sort rows where the order of summation could show: sums of whole numbers are exact, others are rounded."""
    if np.all(weight == np.floor(weight)):
        return cell, weight
    order = np.lexsort((weight, cell))
    return cell[order], weight[order]
