"""Write docs/command-line-help.md: every verb's ``--help``, as a terminal of 80 columns prints it.

``python docs/command_line.py`` after a change of the command line; a test compares the page with the command line.
"""

import os
from pathlib import Path
from unittest import mock

PAGE = Path(__file__).with_name("command-line-help.md")
_HEAD = """# What each verb says of itself

This page is printed by `python docs/command_line.py`; exit codes, JSON shapes and completion are on
[the page about the command line](howto/command-line.md).
"""


def page() -> str:
    """Text of the page, from the command line as it is."""
    from typer.testing import CliRunner

    from bayespref.cli import app

    verbs = [command.callback.__name__ for command in app.registered_commands if command.callback]
    plain = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "80", "TERMINAL_WIDTH": "80"}
    parts = [_HEAD]
    with mock.patch.dict(os.environ, plain):
        for verb in ("", *verbs):
            said = CliRunner().invoke(app, [*([verb] if verb else []), "--help"], prog_name="bayespref")
            lines = [line.rstrip() for line in said.output.strip("\n").splitlines()]
            text = "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before)
            parts.append(f"## `{' '.join(['bayespref', verb]).strip()}`\n\n```text\n{text.strip(chr(10))}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
