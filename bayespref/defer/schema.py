"""The policy file: its exact shape, its content hash, and reading it without running anything.

A file is JSON with the fields of :class:`PolicyFile` and nothing else. Numbers are finite; where a score does not exist
the file says null, where it has no upper end it says "inf", and a region without a threshold says null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayespref.errors import PolicyFileError
from bayespref.files import replacing
from bayespref.provenance import content_hash, sealed_json

FORMAT = "bayespref.deferral-policy"
FORMAT_VERSION = "1.0.0"

Text = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class RegionRow(_Strict):
    """One region of a policy."""

    labels: list[str] = Field(description="One label for each name in `region`, in that order.")
    decision: Literal["act", "defer", "escalate", "fallback"]
    action: str | None = Field(description="Item to play; null for defer and escalate.")
    reason: Text = Field(description="Reason code.")
    score: Finite | Literal["inf"] | None = Field(description='Score; null if undefined, "inf" if unbounded.')
    threshold: Finite | None = Field(description="Largest score at which the region acts; null if there is none.")


class PolicyFile(_Strict):
    """A deferral policy on disk."""

    format: Literal["bayespref.deferral-policy"]
    format_version: Literal["1.0.0"]
    package_version: Text
    rule: Text = Field(description="The score compared with the threshold.")
    level: Finite | None = Field(description="Level of the rule (share), null where it has none.")
    link_units: Text = Field(description="Unit of scores and thresholds, in words.")
    assumptions: list[Text]
    data_hash: Text = Field(description="Hash of the table the policy was built from.")
    seed: int | list[int] | None = Field(description="Seed of the draws behind the scores; null where unknown or none.")
    versions: dict[str, str] = Field(description="Versions that made the scores, by package; empty where unknown.")
    region: list[Text] = Field(min_length=1, description="Names of the columns that make a region.")
    items: list[str] = Field(description="Items the policy knows.")
    regions: list[RegionRow]
    content_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] = Field(
        description="Hash of all other fields; it detects accidents and careless edits, it is not a signature."
    )


class Bins(_Strict):
    """Bins of one feature difference."""

    feature: Text = Field(description="Name of the feature; cases have it as <feature>_a and <feature>_b.")
    edges: list[Finite] = Field(min_length=2, description="Ascending; bins are [low, high), the last one [low, high].")


class FeaturePolicyFile(_Strict):
    """A policy over regions of feature differences on disk."""

    format: Literal["bayespref.feature-policy"]
    format_version: Literal["1.0.0"]
    bins: list[Bins] = Field(min_length=1)
    policy: PolicyFile
    content_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


Readable = TypeVar("Readable", PolicyFile, FeaturePolicyFile)


def dump(fields: Mapping[str, Any]) -> str:
    """Text of a policy file: format and version in front, the content hash behind.

    Parameters
    ----------
    fields : mapping
        JSON-able fields of the file but for ``content_hash``; a ``format`` among them replaces that of a plain policy.

    Returns
    -------
    str
        JSON, ASCII only, with a line break at the end.
    """
    return sealed_json({"format": FORMAT, "format_version": FORMAT_VERSION, **fields})


def write_text(target: Path, text: str) -> Path:
    """Write a file in one step: a reader sees the old file or the new one."""
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8")
    return target


def parse(text: str | bytes) -> PolicyFile:
    """Read and check the text of a policy file.

    Parameters
    ----------
    text : str or bytes
        JSON; bytes must be UTF-8.

    Returns
    -------
    PolicyFile
        Checked for shape, version and content hash. Whether it contradicts itself is checked by ``DeferralPolicy``.

    Raises
    ------
    PolicyFileError
        If the text is not JSON, repeats a key, holds NaN or an infinity, is of another format or version, has missing
        or additional fields or wrong types, or was edited.

    Examples
    --------
    >>> parse('{"format": "bayespref.deferral-policy", "format_version": "9.0.0"}')
    Traceback (most recent call last):
    ...
    bayespref.errors.PolicyFileError: format_version: this is '9.0.0', but only '1.0.0' can be read here
    """
    return read_checked(text, PolicyFile)


def read_checked(text: str | bytes, kind: type[Readable]) -> Readable:
    """Read a file of a kind whose ``format``, ``format_version`` and ``content_hash`` are those of this module.

    Parameters
    ----------
    text : str or bytes
        JSON; bytes must be UTF-8.
    kind : type
        :class:`PolicyFile` or :class:`FeaturePolicyFile`.

    Returns
    -------
    PolicyFile or FeaturePolicyFile

    Raises
    ------
    PolicyFileError
        As :func:`parse`.
    """
    expected = {name: get_args(kind.model_fields[name].annotation)[0] for name in ("format", "format_version")}
    try:
        raw = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except PolicyFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise PolicyFileError(f"policy file: not valid JSON, perhaps truncated ({error})") from None
    if not isinstance(raw, dict) or raw.get("format") != expected["format"]:
        raise PolicyFileError(f"format: not a policy file; the field 'format' must be {expected['format']!r}")
    version = expected["format_version"]
    if raw.get("format_version") != version:
        found = raw.get("format_version")
        raise PolicyFileError(f"format_version: this is {found!r}, but only {version!r} can be read here")
    try:
        checked = kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "policy file"
        raise PolicyFileError(f"{where}: {first['msg']} ({error.error_count()} problem(s) in all)") from None
    if content_hash(raw) != checked.content_hash:
        raise PolicyFileError(
            "content_hash: does not match the content, so the file was edited or damaged after it was written; build "
            "and save the policy again"
        )
    return checked


def rows_from(
    labels: NDArray[np.object_],
    decision: NDArray[np.str_],
    action: NDArray[np.object_],
    reason: NDArray[np.str_],
    score: NDArray[np.float64],
    threshold: NDArray[np.float64],
) -> list[dict[str, Any]]:
    """Regions as JSON-able rows: NaN becomes null and +inf "inf"."""
    columns = (a.tolist() for a in (labels, decision, action, reason, score, threshold))
    names = ("labels", "decision", "action", "reason", "score", "threshold")
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    for row in rows:
        row["score"] = None if np.isnan(row["score"]) else "inf" if np.isinf(row["score"]) else row["score"]
        row["threshold"] = None if np.isnan(row["threshold"]) else row["threshold"]
    return rows


def columns_of(file: PolicyFile) -> dict[str, NDArray[Any]]:
    """Regions of a checked file as arrays, the inverse of :func:`rows_from`.

    Raises
    ------
    PolicyFileError
        If a region has too few or too many labels.
    """
    rows, width = file.regions, len(file.region)
    ragged = [row.labels for row in rows if len(row.labels) != width]
    if ragged:
        raise PolicyFileError(f"regions: every region needs {width} label(s), got {ragged[:5]}")
    return {
        "labels": object_table([row.labels for row in rows], width),
        "decision": np.array([row.decision for row in rows], dtype=np.str_),
        "action": object_table([(row.action,) for row in rows], 1)[:, 0],
        "reason": np.array([row.reason for row in rows], dtype=np.str_),
        "score": np.array([np.nan if row.score is None else float(row.score) for row in rows], dtype=np.float64),
        "threshold": np.array([np.nan if row.threshold is None else row.threshold for row in rows], dtype=np.float64),
    }


def object_table(rows: Sequence[Sequence[Any]], width: int) -> NDArray[np.object_]:
    """Array of Python objects, shape (row, width); NumPy's own strings would drop trailing NULs."""
    array = np.empty((len(rows), width), dtype=object)
    for i, row in enumerate(rows):
        array[i] = row
    return array


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the policy file.

    Returns
    -------
    dict
        The schema; JSON-able.

    Examples
    --------
    >>> json_schema()["properties"]["format_version"]["const"]
    '1.0.0'
    """
    schema = PolicyFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _refuse_constant(name: str) -> NoReturn:
    raise PolicyFileError(f"policy file: {name} is not a number JSON knows; undefined scores are null, unbounded 'inf'")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise PolicyFileError(f"policy file: field(s) given twice: {repeated[:5]}")
    return fields
