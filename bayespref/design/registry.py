"""Interventions on record: what an edit or a sampling rule is meant to change, what it confounds, what it costs.

One file that a governance review can read, JSON or TOML. Effective costs are computed from the attempts on record and
never typed in: cost_attempt / acceptance + cost_label, with the acceptance as a Beta posterior by bucket.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from bayespref.checks import between
from bayespref.display import shown
from bayespref.files import replacing

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "bayespref registry of interventions",
    "type": "object",
    "additionalProperties": False,
    "required": ["format", "interventions"],
    "properties": {
        "format": {"const": "bayespref-registry-1"},
        "interventions": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["action", "intent", "cost_attempt", "version"],
                "properties": {
                    "action": {"type": "string", "minLength": 1},
                    "intent": {"type": "string", "minLength": 1},
                    "confounds": {"type": "array", "items": {"type": "string"}},
                    "attempts": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
                    "accepted": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
                    "failure_modes": {"type": "array", "items": {"type": "string"}},
                    "cost_attempt": {"type": "number", "minimum": 0},
                    "cost_label": {"type": "number", "minimum": 0},
                    "validation": {"type": "string"},
                    "version": {"type": "string", "minLength": 1},
                },
            },
        },
    },
}
"""JSON Schema of the file."""
FORMAT = "bayespref-registry-1"


class RegistryError(ValueError):
    """A registry breaks a rule; the message names the row, the field and the value."""


@shown(
    "{action}: {accepted} of {attempts} attempts accepted",
    next_step="check its failure modes before planning with it",
)
@dataclass(frozen=True)
class Intervention:
    """One row of the registry.

    Attributes
    ----------
    action : str
        Unique name.
    intent : str
        The factor it is meant to move.
    confounds : tuple of str
        Other factors that may move along.
    attempts, accepted : dict of str to int
        By bucket: candidates tried, and those that passed and became a label.
    failure_modes : tuple of str
        How it goes wrong.
    cost_attempt, cost_label : float
        Cost of a candidate, and of a label once accepted.
    validation : str
        The check that says the intent was met.
    version : str
        Of the prompt, model or rule behind it.
    """

    action: str
    intent: str
    cost_attempt: float
    version: str
    confounds: tuple[str, ...] = ()
    attempts: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    failure_modes: tuple[str, ...] = ()
    cost_label: float = 0.0
    validation: str = ""

    def __post_init__(self) -> None:
        """Refuse what no record can mean."""
        where = f"registry row {self.action!r}"
        for name in ("action", "intent", "version"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise RegistryError(f"{where}: {name} must be a text that is not empty, got {getattr(self, name)!r}")
        if not isinstance(self.validation, str):
            raise RegistryError(f"{where}: validation must be a text, got {self.validation!r}")
        for name in ("confounds", "failure_modes"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
                raise RegistryError(f"{where}: {name} must be a list of texts, got {value!r}")
            object.__setattr__(self, name, tuple(value))
        for name in ("cost_attempt", "cost_label"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or value < 0:
                raise RegistryError(f"{where}: {name} must be a finite number >= 0, got {value!r}")
        for name in ("attempts", "accepted"):
            for bucket, count in getattr(self, name).items():
                if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                    raise RegistryError(f"{where}: {name}[{bucket!r}] must be a whole number >= 0, got {count!r}")
        for bucket, count in self.accepted.items():
            if count > self.attempts.get(bucket, 0):
                raise RegistryError(
                    f"{where}: accepted[{bucket!r}] is {count}, more than its {self.attempts.get(bucket, 0)} attempts"
                )


@shown("accepted with probability {mean}", next_step="plan with the upper cost where attempts are few")
class Acceptance(NamedTuple):
    """Acceptance and what it does to costs, shape (K, A): buckets by interventions.

    Attributes
    ----------
    mean, lower, upper : array
        Posterior mean and equal-tailed interval of the acceptance; NaN where nothing was tried.
    cost, cost_lower, cost_upper : array
        Effective cost of an accepted label at the mean, and at the upper and lower end of the acceptance.
    attempts : integer array
        Candidates tried.
    reason : str array
        ``"no_data"`` where nothing was tried (the prior alone is no acceptance rate), ``""`` elsewhere.
    """

    mean: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    cost: NDArray[np.float64]
    cost_lower: NDArray[np.float64]
    cost_upper: NDArray[np.float64]
    attempts: NDArray[np.int64]
    reason: NDArray[np.str_]


def acceptance(
    interventions: Sequence[Intervention],
    buckets: Sequence[str],
    *,
    level: float = 0.95,
    prior: tuple[float, float] = (0.5, 0.5),
) -> Acceptance:
    """Beta posterior of the acceptance by bucket, and the effective costs that follow from it.

    Parameters
    ----------
    interventions : sequence of Intervention
        The columns.
    buckets : sequence of str
        The rows.
    level : float
        Mass of the interval.
    prior : tuple of float
        Beta parameters (Jeffreys by default).

    Returns
    -------
    Acceptance

    Raises
    ------
    ValueError
        If the level is outside [0, 1] or a prior parameter is not positive.

    Examples
    --------
    >>> row = Intervention("shorten", "length", 1.0, "v1", attempts={"fr": 10}, accepted={"fr": 5}, cost_label=0.5)
    >>> got = acceptance([row], ["fr", "de"])
    >>> got.cost.round(4).ravel().tolist(), got.reason.ravel().tolist()
    ([2.5, nan], ['', 'no_data'])
    """
    between("level", level, 0.0, 1.0)
    if not min(prior) > 0:
        raise ValueError(f"prior: both Beta parameters must be > 0, got {prior!r}")
    tried = np.array([[row.attempts.get(b, 0) for row in interventions] for b in buckets], dtype=np.int64)
    tried = tried.reshape(len(buckets), len(interventions))
    good = np.array([[row.accepted.get(b, 0) for row in interventions] for b in buckets], dtype=np.int64)
    good = good.reshape(tried.shape)
    a, b = prior[0] + good, prior[1] + tried - good
    empty = tried == 0
    mean, lower, upper = (
        np.where(empty, np.nan, value)
        for value in (a / (a + b), beta.ppf((1 - level) / 2, a, b), beta.ppf((1 + level) / 2, a, b))
    )
    attempt = np.array([row.cost_attempt for row in interventions])
    label = np.array([row.cost_label for row in interventions])
    return Acceptance(
        mean,
        lower,
        upper,
        attempt / mean + label,
        attempt / upper + label,
        attempt / lower + label,
        tried,
        np.where(empty, "no_data", ""),
    )


def from_dict(content: dict[str, Any]) -> tuple[Intervention, ...]:
    """Interventions from the content of a file (see `SCHEMA`).

    Raises
    ------
    RegistryError
        If the format, a field or a value is not what the schema says, or two rows share a name.

    Examples
    --------
    >>> row = {"action": "shorten", "intent": "length", "cost_attempt": 1.0, "version": "v1"}
    >>> from_dict({"format": FORMAT, "interventions": [row]})[0].intent
    'length'
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise RegistryError(f"registry: format must be {FORMAT!r}, got {found!r}")
    unknown = set(content) - {"format", "interventions"}
    rows = content.get("interventions")
    if unknown or not isinstance(rows, list):
        raise RegistryError(
            f"registry: needs a list 'interventions' and nothing else, unknown fields {sorted(unknown)}"
        )
    known = {f.name for f in fields(Intervention)}
    out = []
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RegistryError(f"registry row {index}: must be a table of fields, got {type(row).__name__}")
        missing = {"action", "intent", "cost_attempt", "version"} - set(row)
        if missing or set(row) - known:
            raise RegistryError(
                f"registry row {index}: missing fields {sorted(missing)}, unknown fields {sorted(set(row) - known)}"
            )
        for name in ("attempts", "accepted"):
            if not isinstance(row.get(name, {}), dict):
                raise RegistryError(f"registry row {index}: {name} must map buckets to counts, got {row[name]!r}")
        out.append(Intervention(**row))
    names = [row.action for row in out]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RegistryError(f"registry: actions must be unique, repeated {twice[:5]}")
    return tuple(out)


def read_registry(path: str | Path) -> tuple[Intervention, ...]:
    """Read a registry from a ``.json`` or ``.toml`` file.

    Raises
    ------
    RegistryError
        If the file cannot be parsed, or breaks a rule of `from_dict`.
    """
    file = Path(path)
    raw = file.read_bytes()
    if file.suffix not in (".json", ".toml"):
        raise RegistryError(f"registry: must end in .json or .toml, got {file.name!r}")
    try:
        text = raw.decode("utf-8")
        content = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # no UTF-8, neither TOML nor JSON, or nested too deeply
        raise RegistryError(f"registry: {file.name} cannot be parsed: {error}") from None
    return from_dict(content)


def write_registry(interventions: Sequence[Intervention], path: str | Path) -> None:
    """Write a registry as JSON, sorted by nothing: the order given is the order of the actions."""
    rows = [asdict(row) for row in interventions]
    content = {"format": FORMAT, "interventions": rows}
    from_dict(json.loads(json.dumps(content)))
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
