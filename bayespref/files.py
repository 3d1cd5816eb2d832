"""Whole files or none: what is written replaces its target in one step, or leaves it as it was."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to; once the block ends without an error, that file replaces the target in one step.

    Parameters
    ----------
    target : path
        File to make or replace. Its folder must exist.

    Yields
    ------
    pathlib.Path
        A temporary file in the same folder. Whatever is there when the block ends becomes the target; after an error or
        a kill the old target is untouched.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written, or the disk is full; the message names the target, and of the
        kind that Python has for the cause (FileNotFoundError, PermissionError).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "table.txt"
    ...     with replacing(file) as part:
    ...         _ = part.write_text("whole")
    ...     file.read_text(), [entry.name for entry in Path(folder).iterdir()]
    ('whole', ['table.txt'])
    """
    target = Path(target)
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        part = Path(name)
        os.close(handle)
        yield part
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)  # mkstemp makes files that nobody else can read
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(part, target)
    except OSError as error:  # a full disk names no file, a folder that is not there the temporary one
        if error.filename is not None and f".{target.name}." not in str(error.filename):
            raise  # about another file, which the block was reading
        words = f"cannot be written ({error.strerror or error}); what was there is kept"
        raise OSError(error.errno or errno.EIO, words, str(target)) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
