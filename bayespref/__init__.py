"""bayespref: what preference comparisons can and cannot say.

``import bayespref`` is cheap: it loads neither JAX nor NumPyro. Names resolve on first use.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["bounds", "defer", "design", "disagree", "fit", "graph", "models", "posterior", "report", "simulate"],
    submod_attrs={
        "comparisons": ["Comparisons"],
        "data.bundle": ["load_train_tickets"],
        "data.table": ["read_comparisons"],
        "defer.policy": ["DeferralPolicy"],
        "errors": ["explain"],
        "fit.maximum_likelihood": ["maximum_likelihood"],
        "graph.check": ["check"],
        "graph.connect": ["suggest_comparisons"],
        "posterior.store": ["load_fit", "save_fit"],
        "workflow": [
            "analyse",
            "audit",
            "bundle",
            "croissant",
            "dataset_card",
            "model_card",
            "next_comparisons",
            "policy",
            "run",
            "verify",
        ],
    },
)
