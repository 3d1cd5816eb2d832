"""What an artefact says about itself: the data behind it, the seed, the versions, and a hash of its own content.

Every file that the package writes carries these four, where its format has a place for them: as fields of a JSON file,
as attributes of a netCDF file, as a last comment of an HTML page or a Markdown card; files without such a place (CSV,
JSON lines, figures) are named with their hashes by a JSON file beside them. A content hash finds accidents and careless
edits. It is no signature: whoever means to deceive can compute it anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = ("bayespref", "numpyro", "jax", "numpy", "scipy", "xarray")
"""Packages whose versions decide numbers."""
CONTENT = "content_hash"
SIDECAR = ".provenance.json"
"""Ending of the file that speaks for a file without a place of its own."""
_OPEN, _CLOSE = "<!-- bayespref ", " -->"
_BLOCK = 1 << 20


class Seal(NamedTuple):
    """Provenance found at the end of a text.

    Attributes
    ----------
    fields : dict
        What :func:`stamp` made, with ``content_hash``.
    intact : bool
        Whether the text is the one that was sealed.
    """

    fields: dict[str, Any]
    intact: bool


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide numbers, as installed here.

    Examples
    --------
    >>> sorted(versions())
    ['bayespref', 'jax', 'numpy', 'numpyro', 'python', 'scipy', 'xarray']
    """
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def content_hash(fields: Mapping[str, Any]) -> str:
    """Hash of JSON-able fields, ``content_hash`` itself left out.

    Parameters
    ----------
    fields : mapping
        JSON-able fields of a file.

    Returns
    -------
    str
        "sha256:" and 64 hexadecimal digits, of the JSON with sorted keys and no spaces, so that reformatting the file
        changes nothing and changing a value does.

    Raises
    ------
    ValueError
        If a number is NaN or infinite.

    Examples
    --------
    >>> content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1, "content_hash": "any"})
    True
    """
    kept = {name: value for name, value in fields.items() if name != CONTENT}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def file_hash(path: str | os.PathLike[str]) -> str:
    """Hash of a file's bytes, "sha256:" and 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return "sha256:" + digest.hexdigest()


def stamp(
    kind: str, *, data_hash: str | None, seed: Any = None, made_with: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Fields that every artefact carries.

    Parameters
    ----------
    kind : str
        What it is, such as ``bayespref.report``.
    data_hash : str or None
        Hash of the table behind it; None where there is none (simulated worlds).
    seed : int or list of int, optional
        Seed of its draws; None where nothing was drawn.
    made_with : mapping, optional
        Versions that made its numbers; those installed here by default.

    Returns
    -------
    dict
        JSON-able: ``kind, data_hash, seed, versions``.

    Examples
    --------
    >>> list(stamp("bayespref.report", data_hash="ab12", seed=0))
    ['kind', 'data_hash', 'seed', 'versions']
    """
    made = versions() if made_with is None else dict(made_with)
    return {"kind": kind, "data_hash": data_hash, "seed": seed, "versions": made}


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with their content hash behind them."""
    return {**fields, CONTENT: content_hash(fields)}


def sealed_json(fields: Mapping[str, Any]) -> str:
    """Text of a JSON file that carries its own content hash."""
    return json.dumps(sealed(fields), indent=1, allow_nan=False) + "\n"


def is_intact(fields: Mapping[str, Any]) -> bool:
    """Whether fields match the content hash among them."""
    try:
        return fields.get(CONTENT) == content_hash(fields)
    except (TypeError, ValueError, RecursionError):
        return False


def file_hashes(folder: str | os.PathLike[str], names: Iterable[str]) -> dict[str, str]:
    """Hash of each named file of a folder, for the JSON file that speaks for them."""
    return {name: file_hash(Path(folder) / name) for name in sorted(names)}


def seal_text(text: str, fields: Mapping[str, Any]) -> str:
    """Put provenance behind an HTML page or Markdown text, as a comment that browsers and readers do not show.

    Parameters
    ----------
    text : str
        The text; a seal that it has already is replaced.
    fields : mapping
        From :func:`stamp`.

    Returns
    -------
    str
        The text, then one line with the fields and a content hash over both.

    Examples
    --------
    >>> whole = seal_text("<p>5 items</p>", stamp("bayespref.report", data_hash="ab12", seed=0))
    >>> read_seal(whole).intact, read_seal(whole.replace("5 items", "6 items")).intact
    (True, False)
    """
    body = _body(text)
    return f"{body}{_OPEN}{_line(_with_text(body, fields))}{_CLOSE}\n"


def _line(fields: Mapping[str, Any]) -> str:
    """Fields on one line that cannot end the comment around it."""
    return json.dumps(fields).replace(">", "\\u003e")


def _with_text(body: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with a content hash over themselves and a text."""
    kept = {name: value for name, value in fields.items() if name != CONTENT}
    return {**kept, CONTENT: content_hash({**kept, "text": body})}


def read_seal(text: str) -> Seal | None:
    """Read the provenance behind a text.

    Parameters
    ----------
    text : str
        What :func:`seal_text` made, perhaps edited since.

    Returns
    -------
    Seal or None
        None where there is no such line, or it cannot be read.
    """
    start = text.rfind(_OPEN)
    if start < 0:
        return None
    line, close, after = text[start + len(_OPEN) :].partition(_CLOSE)
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not close or not isinstance(fields, dict):
        return None
    try:
        same = _with_text(text[:start], fields)[CONTENT] == fields.get(CONTENT)
    except (ValueError, RecursionError):  # NaN, which no seal holds, or nesting without end
        same = False
    return Seal(fields, same and after == "\n" and line == _line(fields))


def _body(text: str) -> str:
    """Text without its seal, ending in an empty line, so that the seal is no row of a table."""
    seal = read_seal(text)
    bare = text if seal is None else text[: text.rfind(_OPEN)]
    return bare.rstrip("\n") + "\n\n"
