"""The command line: one verb a stage, argument parsing and JAX settings, nothing else.

Exit codes: 0 done, and every check passed; 1 a check failed, or something does not fit; 2 bad input. Importing this
package registers the verbs, a file a group of them, on ``app``, in the order of the help.
"""

# isort: off
from bayespref.cli.app import app, main
from bayespref.cli import check, aggregate, fit, decide, record, study
# isort: on

__all__ = ["aggregate", "app", "check", "decide", "fit", "main", "record", "study"]
