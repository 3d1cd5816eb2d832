"""The command line: one verb a stage, argument parsing and JAX settings, nothing else.

Exit codes: 0 done (and, for ``check``, every check passed); 1 a check failed; 2 bad input. Importing this package
registers the verbs, a file a group of them, on ``app``.
"""

from bayespref.cli import aggregate, check, decide, fit, study
from bayespref.cli.app import app, main

__all__ = ["aggregate", "app", "check", "decide", "fit", "main", "study"]
