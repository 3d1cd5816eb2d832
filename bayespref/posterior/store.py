"""Save and load fits: one netCDF file with its provenance as JSON, written atomically, executing nothing on load."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import xarray as xr

from bayespref.errors import FitFileError, TableError
from bayespref.posterior.tree import META, tree_comparisons, tree_meta

FORMAT_VERSION = 1
_GROUPS = ("posterior", "prior", "sample_stats", "log_likelihood", "constant_data", "observed_data", "fit")


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
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise FitFileError(f"path: cannot write into {target.parent} ({error.strerror})") from error
    try:
        tree.to_netcdf(name, engine="h5netcdf")
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.replace(name, target)
    except OSError as error:
        raise FitFileError(f"path: could not write {target} ({error}); the previous file, if any, is kept") from error
    finally:
        Path(name).unlink(missing_ok=True)
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
        with xr.open_datatree(target, engine="h5netcdf") as opened:
            tree = opened.load().copy(deep=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = f"path: {target} is not a readable netCDF fit (truncated, or another format?): {error}"
        raise FitFileError(message) from error
    if META not in tree.attrs:
        raise FitFileError(f"path: {target} carries no bayespref provenance; it was not written by save_fit")
    missing = [group for group in _GROUPS if group not in tree.children]
    if missing:
        raise FitFileError(f"path: {target} lacks the group(s) {missing}")
    try:
        meta = tree_meta(tree)
        comparisons = tree_comparisons(tree)
    except (TableError, ValueError, KeyError) as error:
        raise FitFileError(f"path: {target} was changed after it was written: {error}") from error
    if meta.get("format_version") != FORMAT_VERSION:
        found = meta.get("format_version")
        raise FitFileError(f"path: {target} has format {found}, this version reads {FORMAT_VERSION}")
    if meta.get("data_hash") != comparisons.data_hash:
        raise FitFileError(f"path: {target}: provenance and table have different hashes; one was edited")
    return tree
