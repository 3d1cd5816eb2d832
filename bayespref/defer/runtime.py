"""``DeferralPolicy``: what a system consumes. One row a region, plain arrays, a JSON file, and defer as the default.

This module is the runtime: it imports NumPy and pydantic, the dataframe libraries only when a frame is handed in, and
never the fitting stack.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayespref.defer import schema
from bayespref.defer.consistency import OUTPUT, PAIR, refuse_columns, refuse_contradictions
from bayespref.defer.lookup import ABSENT, MISSING, RegionIndex, encode, encode_values
from bayespref.defer.threshold import DECISIONS
from bayespref.display import block, shown, value
from bayespref.errors import PolicyFileError
from bayespref.reasons import REASONS, explain

if TYPE_CHECKING:
    import narwhals as nw
    import pandas as pd
    from narwhals.typing import IntoDataFrameT

# Rows behind the last region in every outcome table, in order of precedence.
_MISSING, _UNSEEN, _UNKNOWN, _NOT_OFFERED = range(4)
_SHOWN = 20
_DEFAULTS = ("missing_value", "unseen_state", "unknown_item", "not_offered")


@shown("{decision}, {reason}")
class Verdict(NamedTuple):
    """Answer for one case."""

    decision: str
    action: str | None
    reason: str
    score: float
    threshold: float


@dataclass(frozen=True, eq=False)
class DeferralPolicy:
    """Act, defer, escalate or fall back, by region.

    Build one with :func:`bayespref.defer.policy.from_scores` or :meth:`load`.

    Parameters
    ----------
    region : tuple of str
        Columns that make a region, such as ``("state",)`` or ``("state", "context")``.
    labels : object array of str, shape (region, column)
        Labels of each region; no two rows alike.
    decision : str array, shape (region,)
        ``act``, ``defer``, ``escalate`` or ``fallback``.
    action : object array of str or None, shape (region,)
        Item to play; None for defer and escalate.
    reason : str array, shape (region,)
        Reason codes.
    score : float array, shape (region,)
        NaN where undefined, +inf where unbounded.
    threshold : float array, shape (region,)
        Largest score at which the region acts; NaN where there is none.
    items : tuple of str
        Items known.
    rule : str
        One of ``POLICY_RULES``.
    level : float or None
        Level of the rule, share.
    link_units : str
        Unit of scores and thresholds, in words.
    assumptions : tuple of str
        What the scores rest on.
    data_hash : str
        Hash of the table behind the scores.
    package_version : str
        Version that built the policy.
    seed : int or tuple of int, optional
        Seed of the draws behind the scores.
    versions : mapping of str to str
        Versions that made the scores, by package; empty where unknown.

    Raises
    ------
    ValueError
        If the fields contradict themselves: a region twice, an unknown item or code, an act whose score is undefined
        or above its threshold.

    Examples
    --------
    >>> from bayespref.defer.policy import from_scores
    >>> policy = from_scores([0.0], [1], labels=["s"], items=["x", "y"], c_defer=0.2, data_hash="h", assumptions=[])
    >>> import pyarrow as pa
    >>> policy.predict(pa.table({"state": ["s", "t", None]})).column("reason").to_pylist()
    ['score_below_threshold', 'unseen_state', 'missing_value']
    >>> DeferralPolicy.from_json(policy.to_json()).explain({"state": "t"}).split(".")[0]
    "state 't': defer"
    """

    region: tuple[str, ...]
    labels: NDArray[np.object_]
    decision: NDArray[np.str_]
    action: NDArray[np.object_]
    reason: NDArray[np.str_]
    score: NDArray[np.float64]
    threshold: NDArray[np.float64]
    items: tuple[str, ...]
    rule: str
    level: float | None
    link_units: str
    assumptions: tuple[str, ...]
    data_hash: str
    package_version: str
    seed: int | tuple[int, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_contradictions(self)
        for array in (self.labels, self.decision, self.action, self.reason, self.score, self.threshold):
            array.setflags(write=False)

    def __repr__(self) -> str:
        """Rule, number of regions and how many of each decision."""
        counts = ", ".join(f"{name} {int((self.decision == name).sum())}" for name in DECISIONS)
        return f"DeferralPolicy(rule={self.rule!r}, region={self.region!r}, {len(self.labels)} regions: {counts})"

    def _repr_html_(self) -> str:
        """What it decides, then the first regions with their reasons."""
        counts = ", ".join(f"{name} {int((self.decision == name).sum()):,}" for name in DECISIONS)
        columns = (*self.region, *OUTPUT)
        cells = zip(*(column[:_SHOWN] for column in self._outcomes), strict=False)
        rows = [
            [*(str(label) for label in labels), *("" if cell is None else value(cell) for cell in row)]
            for labels, row in zip(self.labels[:_SHOWN], cells, strict=False)
        ]
        left = len(self.labels) - len(rows)
        notes = [f"{left:,} more regions: to_table() has them all."] if left else []
        notes += ["Anything that is not in the table defers.", f"Assumes: {'; '.join(self.assumptions) or 'nothing'}."]
        steps = [f"{code}: {REASONS[code].next_step}" for code in self._blocked()] or ["predict(frame) answers cases"]
        title = f"DeferralPolicy, rule {self.rule}, in {self.link_units}"
        return block(title, f"{len(self.labels):,} regions: {counts}", steps, columns, rows, notes=notes)

    def _blocked(self) -> list[str]:
        """Reason codes of the regions that do not act, the most frequent first."""
        codes, n = np.unique(self.reason[self.decision != "act"], return_counts=True)
        return [str(code) for code in codes[np.argsort(-n, kind="stable")]][:3]

    def predict(self, frame: IntoDataFrameT, *, candidates: Sequence[str] | None = None) -> IntoDataFrameT:
        """Answer every row of a frame.

        Parameters
        ----------
        frame : pandas or Polars DataFrame, or PyArrow Table
            Must have the region columns, as strings, categories or integers (compared as text).
        candidates : sequence of str, optional
            Columns that name the items on offer in a row. ``("item_a", "item_b")`` if omitted and both are there; pass
            ``()`` to leave them unread.

        Returns
        -------
        frame of the same kind
            All columns of the input, then ``decision, action, reason, score, threshold``. Undefined scores and
            thresholds, and the action of a row that defers or escalates, are missing values.

        Raises
        ------
        TypeError
            If the frame is lazy or of a kind that is not known.
        ValueError
            If a column is missing, only one of ``item_a`` and ``item_b`` is there, or an output column exists already.

        Notes
        -----
        A missing label, an unseen region or an unknown item defers, in this order of precedence. Where items on offer
        are named, the row acts only if the region's action is among them: its score bounds its regret against every
        item, so against fewer, too. Otherwise the row defers without a score.
        """
        import narwhals as nw

        table = nw.from_native(frame, eager_only=True)
        offered = self._candidates(table.columns, candidates)
        names = [*self.region, *offered]
        refuse_columns(table.columns, names)
        keys = [encode(table.get_column(name), self.vocabulary[i]) for i, name in enumerate(self.region)]
        return self.answer(table, keys, [encode(table.get_column(name), self.items) for name in offered])

    def answer(
        self, table: nw.DataFrame[IntoDataFrameT], keys: list[NDArray[np.int64]], offered: list[NDArray[np.int64]]
    ) -> IntoDataFrameT:
        """Add the output columns to a frame whose regions and offered items are coded already.

        ``keys``, one array a region column: positions among its sorted labels, ``lookup.ABSENT`` or ``MISSING``;
        ``offered``: item codes alike, none if every item is on offer.
        """
        import narwhals as nw

        outcomes = nw.from_dict(
            dict(zip(OUTPUT, self._outcomes, strict=True)),
            schema={name: nw.Float64() if name in ("score", "threshold") else nw.String() for name in OUTPUT},
            backend=table.implementation,
        )
        picked = outcomes[self._rows(keys, offered)]
        return table.with_columns(*(picked.get_column(name) for name in OUTPUT)).to_native()

    def lookup(self, row: Mapping[str, Any], *, candidates: Sequence[str] | None = None) -> Verdict:
        """Answer one case, without a dataframe library.

        Parameters
        ----------
        row : mapping
            Region columns, and the columns of offered items if there are any. A key that is absent counts as missing.
        candidates : sequence of str, optional
            As in :meth:`predict`.

        Returns
        -------
        Verdict
            The same answer as ``predict`` gives.
        """
        offered = self._candidates(list(row), candidates)
        keys = [encode_values([row.get(name)], self.vocabulary[i]) for i, name in enumerate(self.region)]
        return self.verdict(keys, [encode_values([row.get(name)], self.items) for name in offered])

    def verdict(self, keys: list[NDArray[np.int64]], offered: Sequence[NDArray[np.int64]] = ()) -> Verdict:
        """Answer one case that is coded already, as :meth:`answer` does for many."""
        at = self._rows(keys, list(offered))
        decision, action, reason, score, threshold = (column[int(at[0])] for column in self._outcomes)
        return Verdict(
            decision, action, reason, np.nan if score is None else score, np.nan if threshold is None else threshold
        )

    def explain(self, row: Mapping[str, Any] | int, *, candidates: Sequence[str] | None = None) -> str:
        """Say in words what the policy does with a case, and why.

        Parameters
        ----------
        row : mapping or int
            A case as in :meth:`lookup`, or the number of a region.
        candidates : sequence of str, optional
            As in :meth:`predict`.

        Returns
        -------
        str
            Decision, score against threshold, and the reason with its next step.
        """
        if isinstance(row, (int, np.integer)):
            row = dict(zip(self.region, self.labels[int(row)], strict=True))
        found = self.lookup(row, candidates=candidates)
        case = ", ".join(f"{name} {row.get(name)!r}" for name in self.region)
        what = f"{found.decision} ({found.action})" if found.action is not None else found.decision
        number = "is undefined" if np.isnan(found.score) else f"is {found.score:.4g}"
        limit = "no threshold is in force" if np.isnan(found.threshold) else f"the threshold is {found.threshold:.4g}"
        unit = f"{self.rule}, in {self.link_units}"
        return f"{case}: {what}. The score ({unit}) {number}; {limit}. {explain(found.reason)}"

    def to_table(self) -> pd.DataFrame:
        """Plain decision table: one row a region, its columns, then ``decision, action, reason, score, threshold``.

        Returns
        -------
        pandas.DataFrame
            Nothing in it refers to this package, so any system can read it. Regions that are not in it defer.
        """
        import pandas as pd

        n = len(self.labels)
        columns = {name: pd.Series(list(self.labels[:, i]), dtype="str") for i, name in enumerate(self.region)}
        for name, values in zip(OUTPUT, self._outcomes, strict=True):
            kind = "float64" if name in ("score", "threshold") else "str"
            columns[name] = pd.Series(values[:n], dtype=kind)
        return pd.DataFrame(columns)

    def to_json(self) -> str:
        """Text of the policy file.

        Returns
        -------
        str
            JSON that :meth:`from_json` reads back to identical decisions.
        """
        fields: dict[str, Any] = {
            "package_version": self.package_version,
            "rule": self.rule,
            "level": self.level,
            "link_units": self.link_units,
            "assumptions": list(self.assumptions),
            "data_hash": self.data_hash,
            "seed": list(self.seed) if isinstance(self.seed, tuple) else self.seed,
            "versions": dict(self.versions),
            "region": list(self.region),
            "items": list(self.items),
            "regions": schema.rows_from(
                self.labels, self.decision, self.action, self.reason, self.score, self.threshold
            ),
        }
        return schema.dump(fields)

    @classmethod
    def from_json(cls, text: str | bytes) -> DeferralPolicy:
        """Read the text of a policy file; nothing in it is executed.

        Parameters
        ----------
        text : str or bytes
            What :meth:`to_json` wrote.

        Returns
        -------
        DeferralPolicy
            The same policy.

        Raises
        ------
        PolicyFileError
            If the text is truncated, edited, of another version, or contradicts itself.
        """
        file = schema.parse(text)
        try:
            return cls(
                region=tuple(file.region),
                **schema.columns_of(file),
                items=tuple(file.items),
                rule=file.rule,
                level=file.level,
                link_units=file.link_units,
                assumptions=tuple(file.assumptions),
                data_hash=file.data_hash,
                package_version=file.package_version,
                seed=tuple(file.seed) if isinstance(file.seed, list) else file.seed,
                versions=file.versions,
            )
        except ValueError as error:
            raise PolicyFileError(f"policy file contradicts itself: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy file in one step: a reader sees the old file or the new one, never half of one.

        Parameters
        ----------
        path : path-like
            Target; its folder must exist.

        Returns
        -------
        Path
            The path written.
        """
        return schema.write_text(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DeferralPolicy:
        """Read a policy file.

        Parameters
        ----------
        path : path-like
            What :meth:`save` wrote.

        Returns
        -------
        DeferralPolicy
            The same policy.

        Raises
        ------
        PolicyFileError
            As :meth:`from_json`. A file that is not there raises ``FileNotFoundError``.
        """
        return cls.from_json(Path(path).read_bytes())

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """JSON Schema of the policy file."""
        return schema.json_schema()

    def _candidates(self, columns: Sequence[str], candidates: Sequence[str] | None) -> tuple[str, ...]:
        if candidates is not None:
            return tuple(candidates)
        there = [name for name in PAIR if name in columns]
        if len(there) == 1:
            raise ValueError(f"frame: has {there[0]!r} alone; a pair needs both of {list(PAIR)}")
        return tuple(there)

    @cached_property
    def vocabulary(self) -> list[tuple[str, ...]]:
        """Sorted labels of each region column; the codes that :meth:`answer` takes are positions in it."""
        return [tuple(sorted(set(column))) for column in self.labels.T]

    @cached_property
    def _index(self) -> RegionIndex:
        codes = [encode_values(list(c), v) for c, v in zip(self.labels.T, self.vocabulary, strict=True)]
        return RegionIndex.build(codes, [len(v) for v in self.vocabulary])

    @cached_property
    def _played(self) -> NDArray[np.int64]:
        """Item code each region plays, -1 for none, and -1 once more for "no region"."""
        position = {item: i for i, item in enumerate(self.items)}
        return np.array([-1 if label is None else position[label] for label in self.action] + [-1], dtype=np.int64)

    def _rows(self, keys: list[NDArray[np.int64]], offered: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Row of the outcome table for each case; anything out of the ordinary lands behind the last region."""
        n = len(self.labels)
        found = self._index.find(keys)
        at = np.where(found < 0, n + _UNSEEN, found)
        if offered:
            played = self._played[found]
            listed = np.logical_or.reduce([codes == played for codes in offered])
            unknown = np.logical_or.reduce([codes == ABSENT for codes in offered])
            at = np.where((played >= 0) & ~listed, n + _NOT_OFFERED, at)
            at = np.where(unknown & (found >= 0), n + _UNKNOWN, at)
        missing = np.logical_or.reduce([codes == MISSING for codes in keys + offered])
        return np.where(missing, n + _MISSING, at)

    @cached_property
    def _outcomes(self) -> tuple[list[Any], ...]:
        """Columns of ``OUTPUT``, one row a region and then the default rows; missing is None."""
        extra = len(_DEFAULTS)
        return (
            [*self.decision.tolist(), *["defer"] * extra],
            [*self.action.tolist(), *[None] * extra],
            [*self.reason.tolist(), *_DEFAULTS],
            [*(None if np.isnan(s) else s for s in self.score.tolist()), *[None] * extra],
            [*(None if np.isnan(t) else t for t in self.threshold.tolist()), *[None] * extra],
        )
