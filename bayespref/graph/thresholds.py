"""The thresholds of ``check`` as a file, so that a gate is reviewed like code."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

LISTS = ("by", "allow")
NUMBERS = (
    "floor",
    "n_min",
    "min_labels",
    "mass_floor",
    "level",
    "missing_mass",
    "largest_ratio",
    "least_effective_share",
)
SWITCHES = ("fail_undecided",)
KEYS = (*LISTS, *NUMBERS, *SWITCHES)
"""Every key a thresholds file may hold: the arguments of :func:`bayespref.graph.check.check`."""


def read_thresholds(path: str | Path) -> dict[str, Any]:
    r"""Read a TOML file of thresholds into the arguments of ``check``.

    Parameters
    ----------
    path : str or Path
        A flat TOML file; every key is an argument of :func:`bayespref.graph.check.check` of the same name.

    Returns
    -------
    dict
        Keyword arguments for ``check``; what the file leaves out keeps its default.

    Raises
    ------
    ValueError
        If the file cannot be read or is not TOML, a key is unknown, or a value is of the wrong type; the message names
        it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "gate.toml")
    ...     _ = file.write_text('floor = 5\nallow = ["strongly connected"]\n')
    ...     read_thresholds(file)
    {'floor': 5, 'allow': ['strongly connected']}
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"thresholds: cannot read {str(path)!r} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, or nested too deeply
        raise ValueError(f"thresholds: {file.name!r} is not valid TOML ({error})") from None
    unknown = sorted(set(content) - set(KEYS))
    if unknown:
        raise ValueError(f"thresholds: unknown key(s) {unknown} in {file.name!r}; known are {sorted(KEYS)}")
    for key, value in content.items():
        if key in LISTS:
            right, wanted = isinstance(value, list) and all(isinstance(name, str) for name in value), "a list of text"
        elif key in SWITCHES:
            right, wanted = isinstance(value, bool), "true or false"
        else:
            right, wanted = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        if not right:
            raise ValueError(f"thresholds: {key!r} must be {wanted}, got {value!r}")
    return content
