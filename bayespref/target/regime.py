"""The declared target population: who, about what, shown which pairs, at what price of KL, and why.

A regime is a small file that is reviewed like code. Everything downstream (weights, tilts, trust) carries its hash, so
a result says which population it is for. The file is TOML (or JSON) with the fields of `Regime` and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayespref.checks import simplex
from bayespref.errors import RegimeError
from bayespref.files import replacing

Text = Annotated[str, Field(min_length=1)]
Mass = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
KINDS = ("randomised", "post_stratified", "product", "rows")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Strict):
    """Target share of one (state, type), or with kind ``rows`` the number of rows of it."""

    state: Text
    type: Text
    mass: Mass = 1.0


class PairMass(_Strict):
    """Target probability of one ordered pair."""

    item_a: Text
    item_b: Text
    mass: Mass
    state: Text | None = Field(default=None, description="State it holds in; every state where absent.")


class Pairs(_Strict):
    """Which pairs the target is shown, g_T."""

    kind: Literal["as_logged", "uniform", "table"] = "as_logged"
    order: Literal["as_shown", "randomised"] = Field(
        default="randomised",
        description="randomised: the logged propensity is that of the pair in either order; as_shown: of this order.",
    )
    table: tuple[PairMass, ...] = ()


class Anchor(_Strict):
    """What tells a latent type from the others: it prefers one item over another most."""

    state: Text
    prefers: Text
    over: Text


class Regime(_Strict):
    """A target population on file.

    Kinds: ``randomised``, prompts randomised within type (``types`` as logged unless given, ``states`` even unless
    given); ``post_stratified``, the joint shares in ``cells``; ``product``, ``states`` times ``types``; ``rows``, the
    rows of a user's own sample, counted.
    """

    format: Literal["bayespref.regime"] = "bayespref.regime"
    format_version: Literal["1.0.0"] = "1.0.0"
    name: Text
    version: Text
    reason: Text = Field(description="Why this population: read by whoever reviews the change.")
    kind: Literal["randomised", "post_stratified", "product", "rows"]
    over: Literal["context", "type"] = Field(
        default="context", description="What `type` names: an observed context, or a latent type of the fit."
    )
    beta: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = Field(
        description="Price of a nat of KL, log-odds of reward."
    )
    states: dict[str, Mass] | None = Field(default=None, description="p_T(x).")
    types: dict[str, Mass] | None = Field(default=None, description="p_T(c).")
    cells: tuple[Cell, ...] = ()
    pairs: Pairs = Pairs()
    anchors: dict[str, Anchor] = Field(default_factory=dict, description="By label of latent type.")

    @property
    def content_hash(self) -> str:
        """SHA-256 of every field: two regimes with one hash are one population, price and reason."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True, allow_nan=False)
        return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def regime_from(content: dict[str, Any]) -> Regime:
    """Build a regime from the content of a file.

    Parameters
    ----------
    content : dict
        Fields of `Regime`.

    Returns
    -------
    Regime

    Raises
    ------
    RegimeError
        If a field is unknown, missing or of the wrong type, or the fields do not fit the kind.

    Examples
    --------
    >>> fields = {"name": "all", "version": "1", "reason": "census", "kind": "product", "beta": 1.0}
    >>> regime_from(fields | {"states": {"s": 1.0}, "types": {"East": 0.2, "West": 0.8}}).content_hash[:7]
    'sha256:'
    """
    try:
        # From JSON, so that lists become tuples and nothing else is converted.
        regime = Regime.model_validate_json(json.dumps(content), strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[:5]
            words = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'regime'}: {one['msg']}" for one in first)
        else:
            words = str(error)
        raise RegimeError(f"regime: {words}") from None
    needs = {"product": ("states", "types"), "post_stratified": ("cells",), "rows": ("cells",), "randomised": ()}
    takes = {"product": ("states", "types"), "randomised": ("states", "types")}.get(regime.kind, ("cells",))
    given = tuple(name for name in ("states", "types", "cells") if getattr(regime, name))
    missing = [name for name in needs[regime.kind] if name not in given]
    stray = [name for name in given if name not in takes]
    if missing or stray:
        raise RegimeError(f"kind: {regime.kind!r} takes {list(takes)}; missing {missing}, not used {stray}")
    if (regime.pairs.kind == "table") != bool(regime.pairs.table):
        raise RegimeError(f"pairs.table: must be given with kind 'table' and only then, got kind {regime.pairs.kind!r}")
    return regime


def read_regime(path: str | os.PathLike[str]) -> Regime:
    """Read a regime from a ``.toml`` or ``.json`` file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    Regime

    Raises
    ------
    RegimeError
        If the file cannot be parsed or breaks a rule of `regime_from`.
    OSError
        If it cannot be read.
    """
    file = Path(path)
    if file.suffix not in (".toml", ".json"):
        raise RegimeError(f"regime: the file must end in .toml or .json, got {file.name!r}")
    raw = file.read_bytes()
    try:
        text = raw.decode("utf-8")
        content = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text, object_pairs_hook=_once)
    except RegimeError:
        raise
    except (ValueError, RecursionError) as error:  # no UTF-8, neither TOML nor JSON, or nested too deeply
        raise RegimeError(f"regime: {file.name} cannot be parsed: {error}") from None
    return regime_from(content)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RegimeError(f"regime: field(s) given twice: {twice[:5]}")
    return dict(pairs)


def write_regime(regime: Regime, path: str | os.PathLike[str]) -> Path:
    """Write a regime as JSON, whole or not at all.

    Parameters
    ----------
    regime : Regime
        What to write.
    path : path
        A ``.json`` file.

    Returns
    -------
    pathlib.Path
    """
    with replacing(path) as part:
        part.write_text(json.dumps(regime.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
    return Path(path)


def regime_schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors and other languages.

    Examples
    --------
    >>> sorted(regime_schema()["required"])
    ['beta', 'kind', 'name', 'reason', 'version']
    """
    return Regime.model_json_schema()


def target_shares(
    regime: Regime,
    states: Sequence[str],
    types: Sequence[str],
    *,
    logged_types: Float[np.ndarray, " type"] | None = None,
) -> Float[np.ndarray, "state type"]:
    """Joint target p_T(state, type) in the order of a table's labels.

    Parameters
    ----------
    regime : Regime
        The declaration.
    states, types : sequence of str
        Labels of the table.
    logged_types : array, shape (type,), optional
        Shares of the log; kind ``randomised`` keeps them where it declares no ``types``.

    Returns
    -------
    array, shape (state, type)
        Sums to one.

    Raises
    ------
    RegimeError
        If the regime names labels the table does not know, or needs the logged shares and they are not given.
    TargetMixError
        If declared shares do not sum to one.

    Examples
    --------
    >>> fields = {"name": "all", "version": "1", "reason": "census", "kind": "product", "beta": 1.0}
    >>> regime = regime_from(fields | {"states": {"s": 1.0}, "types": {"East": 0.2, "West": 0.8}})
    >>> target_shares(regime, ["s"], ["West", "East"]).tolist()
    [[0.8, 0.2]]
    """
    if regime.cells:
        return _joint(regime, states, types)
    x = np.full(len(states), 1.0 / len(states)) if regime.states is None else _vector("states", regime.states, states)
    if regime.types is not None:
        c = _vector("types", regime.types, types)
    elif logged_types is None:
        raise RegimeError("types: the regime keeps the logged shares of types, which were not given; declare them")
    else:
        c = simplex("logged_types", logged_types)
    return np.asarray(x[:, None] * c)


def _vector(name: str, given: dict[str, float], labels: Sequence[str]) -> NDArray[np.float64]:
    _known(name, list(given), labels)
    return simplex(f"{name} (p_T)", [given.get(label, 0.0) for label in labels])


def _joint(regime: Regime, states: Sequence[str], types: Sequence[str]) -> NDArray[np.float64]:
    _known("cells.state", [cell.state for cell in regime.cells], states)
    _known("cells.type", [cell.type for cell in regime.cells], types)
    joint = np.zeros((len(states), len(types)))
    row = {label: i for i, label in enumerate(states)}
    column = {label: i for i, label in enumerate(types)}
    for cell in regime.cells:  # a declaration, as long as a person writes
        joint[row[cell.state], column[cell.type]] += cell.mass
    if regime.kind == "rows":
        if not joint.sum() > 0:
            raise RegimeError("cells: the user's rows have no mass")
        return np.asarray(joint / joint.sum())
    return simplex("cells (p_T)", joint.ravel()).reshape(joint.shape)


def _known(name: str, given: Sequence[str], labels: Sequence[str]) -> None:
    unknown = sorted(set(given) - set(labels))
    if unknown:
        raise RegimeError(
            f"{name}: the table has no {unknown[:5]} (no row of it was ever logged); it has {list(labels)[:10]}"
        )


def pair_target(
    regime: Regime, states: Sequence[str], items: Sequence[str]
) -> Float[np.ndarray, "state item item_other"]:
    """Target probability g_T of each ordered pair in each state; NaN where the regime takes pairs as logged.

    Parameters
    ----------
    regime : Regime
        The declaration.
    states, items : sequence of str
        Labels of the table.

    Returns
    -------
    array, shape (state, item, item)
        Sums to one in every state.

    Raises
    ------
    RegimeError
        If the regime names an item or state the table does not know, or an item against itself.
    TargetMixError
        If the pairs of a state do not sum to one.

    Examples
    --------
    >>> fields = {"name": "all", "version": "1", "reason": "even", "kind": "randomised", "beta": 1.0}
    >>> pair_target(regime_from(fields | {"pairs": {"kind": "uniform"}}), ["s"], ["a", "b"]).tolist()
    [[[0.0, 0.5], [0.5, 0.0]]]
    """
    n = len(items)
    shape = (len(states), n, n)
    if regime.pairs.kind == "as_logged":
        return np.full(shape, np.nan)
    if regime.pairs.kind == "uniform":
        return np.broadcast_to((1.0 - np.eye(n)) / (n * (n - 1)), shape).copy()
    table = regime.pairs.table
    _known("pairs.table", [label for row in table for label in (row.item_a, row.item_b)], items)
    _known("pairs.table.state", [row.state for row in table if row.state is not None], states)
    code = {label: i for i, label in enumerate(items)}
    g = np.zeros(shape)
    for row in table:
        if row.item_a == row.item_b:
            raise RegimeError(f"pairs.table: an item cannot be compared with itself: {row.item_a!r}")
        where = slice(None) if row.state is None else list(states).index(row.state)
        g[where, code[row.item_a], code[row.item_b]] += row.mass
    return simplex("pairs.table (g_T)", g.reshape(len(states), -1)).reshape(shape)
