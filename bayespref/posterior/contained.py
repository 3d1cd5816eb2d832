"""Look through a netCDF file before it is read: nothing outside itself, and no more than it holds.

HDF5, the format underneath, may refer to other files (external links, external storage, virtual datasets), may declare
arrays that it does not hold (filled on reading), compress a terabyte into a kilobyte, and let many texts share one
stored value. A fit needs none of these, so a file that has one is refused before a value of it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from bayespref.errors import FitFileError

_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_DEEPEST = 20
_TEXTS_AT_ONCE = 256


def refuse_uncontained(path: str | os.PathLike[str]) -> None:
    """Refuse an HDF5 file that points outside itself or would take more memory than its own size.

    Parameters
    ----------
    path : path
        An HDF5 (netCDF-4) file.

    Raises
    ------
    FitFileError
        Naming the member and what is wrong with it: a link that is not a plain member, external or virtual storage, a
        filter (compression), a type other than numbers and text, declared values that are not in the file, texts
        longer together than the file, groups nested more than 20 deep, or a file that HDF5 cannot read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with h5py.File(Path(folder, "a.nc"), "w") as file:
    ...         file["there"] = h5py.ExternalLink("/etc/passwd", "/")
    ...     refuse_uncontained(Path(folder, "a.nc"))
    Traceback (most recent call last):
    ...
    bayespref.errors.FitFileError: /there: is an ExternalLink, but a fit holds plain members only
    """
    try:
        with h5py.File(path, "r") as file:
            _walk(file, os.path.getsize(path))
    except FitFileError:
        raise
    except Exception as error:  # h5py raises errors of nearly every kind on a damaged file
        raise FitFileError(f"file: HDF5 cannot read it ({error})") from error


def _walk(file: h5py.File, size: int) -> None:
    seen: set[int] = set()
    waiting: list[tuple[h5py.Group, int]] = [(file, 0)]
    while waiting:
        group, depth = waiting.pop()
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise FitFileError(f"{where}: is an {type(link).__name__}, but a fit holds plain members only")
            member = group[name]
            if isinstance(member, h5py.Dataset):
                _refuse_dataset(where, member, size)
            elif not isinstance(member, h5py.Group):
                raise FitFileError(f"{where}: is neither a group nor a dataset")
            else:
                place = h5py.h5o.get_info(member.id).addr
                if place in seen or depth == _DEEPEST:
                    raise FitFileError(f"{where}: groups are nested in each other or more than {_DEEPEST} deep")
                seen.add(place)
                waiting.append((member, depth + 1))


def _refuse_dataset(where: str, member: h5py.Dataset, size: int) -> None:
    if member.is_virtual or member.external:
        raise FitFileError(f"{where}: keeps its values in another file")
    if member.id.get_create_plist().get_nfilters():
        raise FitFileError(f"{where}: is compressed or filtered, which a fit never is")
    text = h5py.check_string_dtype(member.dtype)
    if text is None and (member.dtype.kind not in "biuf" or member.dtype.shape):
        raise FitFileError(f"{where}: holds {member.dtype}, but a fit holds numbers and text only")
    declared = member.size * member.id.get_type().get_size() if member.size else 0
    held = member.id.get_storage_size()
    name = member.attrs.get("NAME")
    if declared > held and not (isinstance(name, bytes) and name.startswith(_NO_VARIABLE)):
        raise FitFileError(f"{where}: declares {declared:,} bytes, but the file holds {held:,} of them")
    if text is not None and text.length is None:
        total = 0
        for texts in _pieces(member):
            total += sum(map(len, texts))
            if total > size:
                raise FitFileError(f"{where}: its texts are longer together than the file")


def _pieces(member: h5py.Dataset) -> Iterator[Any]:
    """Texts of a dataset, a few at a time."""
    if member.ndim == 0:
        yield [member[()]]
        return
    for lead in np.ndindex(member.shape[:-1]):
        for first in range(0, member.shape[-1], _TEXTS_AT_ONCE):
            yield member[(*lead, slice(first, first + _TEXTS_AT_ONCE))]
