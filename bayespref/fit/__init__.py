"""Fitting: modes by EM, draws by NUTS, one contract for all methods.

The package is also the public verb: ``bayespref.fit(model, comparisons, rng_key=0)`` calls
:func:`bayespref.workflow.fit`. The verb and the stage folder share their name by contract.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Verb(ModuleType):
    """A stage folder that can be called by its name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module("bayespref.workflow").fit(*args, **kwargs)


sys.modules[__name__].__class__ = _Verb
