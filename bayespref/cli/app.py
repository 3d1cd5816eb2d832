"""The application that verbs are added to, settings of JAX, and how errors become exit codes and plain messages."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from bayespref import __version__
from bayespref.errors import (
    ArtefactError,
    FitFileError,
    ModelError,
    PolicyFileError,
    RangeRefutedError,
    RegimeError,
    TableError,
)

_NEXT: tuple[tuple[type[Exception], str], ...] = (
    (TableError, "name columns with --column canonical=column or a shape with --adapter; `bayespref check --help`"),
    (FitFileError, "`bayespref run TABLE` writes a fit; `bayespref verify FILE` says what is wrong with this one"),
    (ModelError, "`bayespref fit --help` lists the models and what each of them needs"),
    (PolicyFileError, "`bayespref defer FIT --out FILE` writes the policy anew"),
    (RegimeError, "correct the declaration; `bayespref target --help` shows one"),
    (RangeRefutedError, "declare a wider --range"),
    (ArtefactError, "`bayespref verify --help` says what can be verified"),
    (FileNotFoundError, "check the path"),
)
"""What to do after an error of a kind; the first that fits is said."""
_INPUT_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError)

TABLES, FITS, DECIDE, HAND_OVER, CLAIMS = "Look at a table", "Fit", "Decide", "Hand over and verify", "Claims"
"""Headings of the verbs in the help."""

app = typer.Typer(
    name="bayespref",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayespref {__version__}")
        raise typer.Exit


@app.callback()
def bayespref(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What preference comparisons can and cannot say: check, fit, bound, defer.

    \b
    From a table of your own to a report and a policy:
      bayespref check votes.csv
      bayespref run votes.csv --out results
      bayespref verify results

    \b
    Columns of other names are mapped, in every verb that reads a table:
      bayespref check votes.csv --column item_a=model_1 --column item_b=model_2

    \b
    No table at hand? `bayespref demo` writes its report from bundled data.
    Every verb has --help with examples, and --json for other programs.

    \b
    Exit codes:
      0  done; every check passed, every claim agrees, every file fits
      1  a check failed, weights are diagnostic only, a claim disagrees, or a
         file does not fit
      2  bad input: a message on stderr says what, where, and what to do next
    """


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and one plain message with the next step."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bayespref" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            app()
        except _INPUT_ERRORS as error:
            typer.echo(f"error: {_words(error)}\nnext: {_next_step(error)}", err=True)
            sys.exit(2)


def _words(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory ({str(error) or 'none left'})"
    return str(error) or type(error).__name__


def _next_step(error: BaseException) -> str:
    for kind, step in _NEXT:
        if isinstance(error, kind):
            return step
    if isinstance(error, MemoryError):
        return "`bayespref aggregate` counts tables larger than memory; name fewer items or states"
    verbs = {
        command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands
    }
    verb = next((word for word in sys.argv[1:] if word in verbs), "")
    return f"`{' '.join(['bayespref', verb]).strip()} --help` lists the options, with examples"


def _say_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Print a warning as one line, without the place in the code."""
    typer.echo(f"warning: {message}", err=True)
