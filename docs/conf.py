"""Settings of the reference pages: built by ``make docs``, where a warning is an error."""

import os
import re

os.environ.setdefault("MPLBACKEND", "Agg")

from bayespref import __version__

project = "bayespref"
author = "The bayespref authors"
project_copyright = "2026, The bayespref authors"
release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser"]
myst_enable_extensions = ["deflist", "html_image"]
myst_heading_anchors = 2
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "What preference comparisons can and cannot say",
    "page_width": "1200px",
    "body_max_width": "960px",
    "code_font_size": "0.8em",
}
html_static_path = ["_static"]
highlight_language = "none"

autosummary_generate = True
autosummary_ignore_module_all = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

_KEPT = re.compile(
    r"``.+?``|:\w+:`[^`]+`|`[^`]+`_{0,2}|(?<![\w*])\*\*[^\s*][^*]*\*\*(?![\w*])|(?<![\w*])\*[^\s*][^*]*\*(?![\w*])"
)


def _escape(text):
    return re.sub(r"(?<!\\)([|*]|_(?!\w))", r"\\\1", text)


def _plain_mathematics(app, what, name, obj, options, lines):
    """Escape what docutils would read as markup in mathematics written as text: |s|, p_a, *dims."""
    literal_until = None  # "blank" in an example, the indent of what follows a literal block
    for index, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal_until == "blank":
            literal_until = "blank" if line.strip() else None
        elif line.lstrip().startswith(">>>"):
            literal_until = "blank"
        elif literal_until is None or (line.strip() and indent <= literal_until):
            literal_until = indent if line.rstrip().endswith("::") else None
            kept, start = [], 0
            for match in _KEPT.finditer(line):
                kept += [_escape(line[start : match.start()]), match.group()]
                start = match.end()
            lines[index] = "".join([*kept, _escape(line[start:])])


def _skip_field_aliases(app, what, name, obj, skip, options):
    """Fields of a NamedTuple are described in its Attributes section."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def _help_elsewhere(app, what, name, obj, options, lines):
    """Keep the first sentence of a verb: its help with examples, laid out for a terminal, has a page of its own."""
    if any("\b" in line for line in lines) or (name.startswith("bayespref.cli.") and "Examples:" in lines):
        del lines[1:]
    elif name == "bayespref.cli.app":
        lines[:] = ["The application that verbs are added to."]


def setup(app):
    """Escape before numpydoc reads, on the docstrings as they are written."""
    app.connect("autodoc-skip-member", _skip_field_aliases)
    app.connect("autodoc-process-docstring", _help_elsewhere, priority=300)
    app.connect("autodoc-process-docstring", _plain_mathematics, priority=400)
