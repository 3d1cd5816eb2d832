"""Posterior reward disagreement and the flags of under-identified regions."""

from bayespref.disagree.regions import design_flags, flags, posterior_flags
from bayespref.disagree.spread import disagreement

__all__ = ["design_flags", "disagreement", "flags", "posterior_flags"]
