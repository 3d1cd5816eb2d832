"""The application that verbs are added to, settings of JAX, and how errors become exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from bayespref.errors import FitFileError, ModelError, PolicyFileError, RangeRefutedError, TableError

_INPUT_ERRORS = (
    TableError,
    FitFileError,
    ModelError,
    PolicyFileError,
    RangeRefutedError,
    ValueError,
    TypeError,
    OSError,
)

app = typer.Typer(
    name="bayespref",
    help="What preference comparisons can and cannot say: check, fit, bound, defer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and one plain message."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bayespref" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        app()
    except _INPUT_ERRORS as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
