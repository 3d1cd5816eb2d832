"""Save and load fits: one netCDF file with its provenance as JSON, written atomically, executing nothing on load."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayespref.errors import FitFileError, TableError
from bayespref.files import replacing
from bayespref.posterior.contained import refuse_uncontained
from bayespref.posterior.tree import META, tree_comparisons, tree_meta

FORMAT_VERSION = 1
_GROUPS = (
    "posterior",
    "prior",
    "sample_stats",
    "log_likelihood",
    "unconstrained_posterior",
    "constant_data",
    "observed_data",
    "fit",
)
_HASH = "content_sha256"


def save_fit(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a fit, whole or not at all.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit, with whatever stages were added to it.
    path : path
        Target file, ``.nc``. An existing file is replaced only once the new one is complete.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FitFileError
        If the folder does not exist or cannot be written.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FitFileError(f"path: the folder {target.parent} does not exist")
    sealed = tree.copy()
    sealed.attrs[_HASH] = _content_hash(tree)
    try:
        with replacing(target) as part:
            _reserve(part, _largest_size(sealed))
            sealed.to_netcdf(part, engine="h5netcdf")
    except OSError as error:
        raise FitFileError(f"path: {target} {error.strerror or error}") from error
    return target


def load_fit(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a fit back and check that it is whole.

    Parameters
    ----------
    path : path
        A file written by :func:`save_fit`.

    Returns
    -------
    xarray.DataTree
        In memory; the file is closed.

    Raises
    ------
    FitFileError
        If the file is missing, truncated, edited, of another format, or its table does not match its hash.
    """
    target = Path(path)
    if not target.is_file():
        raise FitFileError(f"path: no file at {target}")
    try:
        refuse_uncontained(target)
        with xr.open_datatree(target, engine="h5netcdf") as opened:
            tree = opened.load().copy(deep=True)
    except FitFileError as error:
        raise FitFileError(
            f"path: {target} is not a readable netCDF fit (truncated, or another format?): {error}"
        ) from None
    except Exception as error:  # h5py, h5netcdf and xarray raise errors of nearly every kind on a damaged file
        message = f"path: {target} is not a readable netCDF fit (truncated, or another format?): {error}"
        raise FitFileError(message) from error
    if META not in tree.attrs:
        raise FitFileError(f"path: {target} carries no bayespref provenance; it was not written by save_fit")
    missing = [group for group in _GROUPS if group not in tree.children]
    if missing:
        raise FitFileError(f"path: {target} lacks the group(s) {missing}")
    found = _format_version(tree)
    if found != FORMAT_VERSION:
        raise FitFileError(f"path: {target} has format {found}, this version reads {FORMAT_VERSION}")
    claimed = tree.attrs.pop(_HASH, None)
    if claimed != _content_hash(tree):
        raise FitFileError(f"path: {target} was changed after it was written: its content does not match its hash")
    try:
        meta = tree_meta(tree)
        comparisons = tree_comparisons(tree)
    except (TableError, TypeError, ValueError, KeyError, RecursionError) as error:
        raise FitFileError(f"path: {target} carries provenance that cannot be read: {error}") from error
    if meta.get("data_hash") != comparisons.data_hash:
        raise FitFileError(f"path: {target}: provenance and table have different hashes; one was edited")
    return tree


def _reserve(part: Path, size: int) -> None:
    """Claim the room first: HDF5 brings the whole process down where the disk fills up under it.

    Raises
    ------
    OSError
        If there is not so much room.
    """
    with part.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def _largest_size(tree: xr.DataTree) -> int:
    """Upper end of the size of the file, bytes: values, texts with their places, and 8 KiB a member for its head."""
    size = 0
    for node in tree.subtree:
        dataset = node.to_dataset(inherit=False)
        for attrs in (node.attrs, *(variable.attrs for variable in dataset.variables.values())):
            size += 8192 + sum(len(str(value).encode()) + len(str(name)) + 256 for name, value in attrs.items())
        for variable in dataset.variables.values():
            if variable.dtype.kind in "OUST":
                size += sum(len(str(value).encode()) + 48 for value in variable.values.flat)
            else:
                size += int(variable.nbytes)
    return size


def _format_version(tree: xr.DataTree) -> object:
    """Format the file claims to have; None where its provenance is no JSON object."""
    try:
        meta = json.loads(tree.attrs[META])
    except (TypeError, ValueError, RecursionError):
        return None
    return meta.get("format_version") if isinstance(meta, dict) else None


def _content_hash(tree: xr.DataTree) -> str:
    """SHA-256 of every group: names, dimensions, values and attributes, as they are after a netCDF round trip."""
    digest = hashlib.sha256()
    for node in sorted(tree.subtree, key=lambda node: node.path):
        attrs = {str(key): _plain(value) for key, value in node.attrs.items() if key != _HASH}
        digest.update(json.dumps([node.path, attrs], sort_keys=True).encode())
        dataset = node.to_dataset(inherit=False)
        for name in sorted(str(name) for name in dataset.variables):
            variable = dataset[name].variable
            attrs = {str(key): _plain(value) for key, value in variable.attrs.items()}
            head = [name, [str(dim) for dim in variable.dims], list(variable.shape), attrs]
            digest.update(json.dumps(head, sort_keys=True).encode())
            digest.update(_bytes(variable.values))
    return digest.hexdigest()


def _bytes(values: NDArray[np.generic]) -> bytes:
    """Values as bytes that do not depend on byte order or on how text is stored."""
    if values.dtype.kind in "OUSTV":
        return json.dumps(values.astype(str).tolist()).encode()
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()


def _plain(value: object) -> object:
    """JSON form of an attribute; netCDF does not tell a list of one from its only entry."""
    return np.atleast_1d(np.asarray(value)).tolist()
