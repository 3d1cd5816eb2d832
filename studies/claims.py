"""Expected values of a study: read from its TOML file, compared with its table."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

STANDARD_ERRORS = 3.0
"""Monte-Carlo standard errors allowed beyond the tolerance: a true claim fails one check in 370."""


class Expectation(BaseModel):
    """One claim about one entry of a study's table.

    Attributes
    ----------
    claim : str
        The claim in words.
    column : str
        Column of the table; ``column_se`` beside it, where there is one, is its Monte-Carlo standard error.
    where : dict
        Values of other columns that pick exactly one row.
    value, at_least, at_most : float, optional
        What is expected: exactly one of the three.
    tolerance : float
        What a value may differ by beyond Monte-Carlo error: rounding and the error of the source.
    source : str
        Where the value comes from, with its section.
    sizes : tuple of str
        Sizes of the study for which the claim is made.
    source_errs : str
        Why the source's value is not expected here, with the evidence; empty where the source is right.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    column: str
    where: dict[str, str | int | float | bool] = Field(default_factory=dict)
    value: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    tolerance: float = 0.0
    source: str
    sizes: tuple[Literal["quick", "full"], ...] = ("quick", "full")
    source_errs: str = ""

    @model_validator(mode="after")
    def _one_of_three(self) -> Expectation:
        if sum(x is not None for x in (self.value, self.at_least, self.at_most)) != 1:
            raise ValueError("give exactly one of value, at_least, at_most")
        return self

    @property
    def words(self) -> str:
        """What is expected, in words."""
        if self.value is not None:
            return f"{self.value:g}"
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    expect: list[Expectation]


def read_expectations(path: Path) -> list[Expectation]:
    """Read a file of expectations.

    Parameters
    ----------
    path : pathlib.Path
        TOML with tables ``[[expect]]``.

    Returns
    -------
    list of Expectation

    Raises
    ------
    ValueError
        If the file is no TOML, has an unknown key, or an expectation lacks what it needs.
    """
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).expect
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, nested too deeply, or not what is asked for
        raise ValueError(f"{path.name}: {error}") from error


def compare(table: pd.DataFrame, expectations: list[Expectation], *, size: str) -> pd.DataFrame:
    """Hold a study's table against what is expected of it.

    Parameters
    ----------
    table : DataFrame
        From the study's ``summary``.
    expectations : list of Expectation
        What is expected.
    size : {"quick", "full"}
        Size of the run; claims not made for it are left out.

    Returns
    -------
    DataFrame
        One row a claim: ``claim``, ``observed``, ``standard_error`` (0 where the table gives none), ``expected`` (in
        words), ``allowed`` (tolerance plus three standard errors), ``agrees``, ``source``, ``source_errs``. A NaN,
        observed or as standard error, never agrees.

    Raises
    ------
    ValueError
        If a claim names a column the table lacks, or does not pick exactly one row.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"eps": [0.0], "share": [0.31], "share_se": [0.01]})
    >>> claim = Expectation(claim="a third", column="share", where={"eps": 0.0}, value=1 / 3, source="a note")
    >>> bool(compare(table, [claim], size="quick")["agrees"][0])
    True
    """
    rows: list[dict[str, Any]] = []
    for one in expectations:
        if size not in one.sizes:
            continue
        missing = [name for name in (one.column, *one.where) if name not in table]
        if missing:
            raise ValueError(f"column: {one.claim!r} names {missing}; the table has {list(table.columns)}")
        chosen = np.ones(len(table), dtype=bool)
        for key, value in one.where.items():
            chosen &= (table[key] == value).to_numpy()
        picked = table[chosen]
        if len(picked) != 1:
            raise ValueError(f"where: {one.claim!r} picks {len(picked)} rows, not one")
        observed = float(picked[one.column].iloc[0])
        error = float(picked[f"{one.column}_se"].iloc[0]) if f"{one.column}_se" in table else 0.0
        allowed = one.tolerance + STANDARD_ERRORS * error
        if one.value is not None:
            agrees = abs(observed - one.value) <= allowed
        elif one.at_least is not None:
            agrees = observed >= one.at_least - allowed
        else:
            agrees = observed <= (one.at_most or 0.0) + allowed
        rows.append(
            {
                "claim": one.claim,
                "observed": observed,
                "standard_error": error,
                "expected": one.words,
                "allowed": allowed,
                "agrees": bool(agrees),
                "source": one.source,
                "source_errs": one.source_errs,
            }
        )
    return pd.DataFrame(rows)
