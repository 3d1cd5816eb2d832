"""How large a packed table would become, found before it is unpacked.

A kilobyte of Parquet or gzip can hold terabytes of repeated values; reading it would take all memory, and Arrow then
ends the process. A table is refused where it would become larger than both a gibibyte and so many times its file.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from bayespref.errors import TableError

ALLOWED = 1 << 30
"""Bytes that any table may take."""
TIMES = {"gzip": 200, "parquet": 1000}
"""And how many times its file: gzip packs preference tables 10 to 50 times, Parquet up to 500 times."""
LONGEST_HEADER = 1 << 20
"""Characters of the longest line of column names."""
_STEP = 1 << 20
_NUMBER = 8


def refuse_swollen_gzip(path: Path) -> None:
    """Refuse a gzip file that unpacks to more than ``ALLOWED`` and 200 times its size.

    Raises
    ------
    TableError
        As said, or if the file is damaged.
    """
    limit = max(ALLOWED, TIMES["gzip"] * path.stat().st_size)
    if path.stat().st_size * 1032 < ALLOWED:  # the most that deflate can pack
        return
    total = 0
    with path.open("rb") as file:
        unpack = zlib.decompressobj(wbits=31)
        while piece := unpack.unconsumed_tail or unpack.unused_data or file.read(_STEP):
            if unpack.eof:  # another member follows
                unpack = zlib.decompressobj(wbits=31)
            try:
                total += len(unpack.decompress(piece, _STEP))
            except zlib.error as error:
                raise TableError(f"table: {path.name!r} cannot be read: {error}") from None
            if total > limit:
                raise TableError(_words(path, limit))


def refuse_swollen_parquet(path: Path, columns: Sequence[str]) -> None:
    """Refuse a Parquet file whose columns take more than ``ALLOWED`` and 1,000 times its size.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    columns : sequence of str
        What would be read.

    Raises
    ------
    TableError
        As said; rows count eight bytes a column, texts their length at every row.
    """
    limit = max(ALLOWED, TIMES["parquet"] * path.stat().st_size)
    file = parquet.ParquetFile(path, read_dictionary=list(columns))
    about = file.metadata
    total = _NUMBER * about.num_rows * len(columns)
    if total > limit:
        raise TableError(_words(path, limit))
    names = [about.schema.column(i).path for i in range(about.num_columns)]
    for group in range(about.num_row_groups):
        # A damaged description of a column is an error here; asked for by name, below, it would end the process.
        next(file.iter_batches(1, row_groups=[group], columns=list(columns)), None)
        for place, name in enumerate(names):
            if name not in columns:
                continue
            chunk = about.row_group(group).column(place)
            longest = chunk.total_uncompressed_size  # no text of a chunk is longer than all of it
            if not chunk.has_dictionary_page or chunk.num_values * longest <= limit:
                continue
            total += sum(_length(piece) for piece in file.read_row_group(group, [name]).column(0).chunks)
            if total > limit:
                raise TableError(_words(path, limit))


def _length(piece: pa.Array) -> int:
    """Bytes of the texts of an array, repeated ones counted at every row."""
    if not pa.types.is_dictionary(piece.type):
        return int(piece.nbytes)
    return int(pc.sum(pc.binary_length(piece.dictionary).take(piece.indices)).as_py() or 0)


def _words(path: Path, limit: int) -> str:
    return (
        f"table: {path.name!r} would unpack to more than {limit / 2**30:.3g} GiB, far more than preference tables do; "
        "unpack it yourself if it is meant, or count it first with bayespref aggregate"
    )
