"""The models: each a plain NumPyro function in a file of its own, readable beside its equation."""

if __name__ != "bayespref.models":
    raise ImportError("the models are imported as bayespref.models, never as a top-level package named models")

from collections.abc import Callable
from typing import Any

from bayespref.models.latent_traits import latent_traits
from bayespref.models.latent_types import latent_types
from bayespref.models.linear_types import linear_types
from bayespref.models.pooled_types import pooled_types
from bayespref.models.single import single

MODELS: dict[str, Callable[..., Any]] = {
    "single": single,
    "latent_types": latent_types,
    "latent_traits": latent_traits,
    "pooled_types": pooled_types,
    "linear_types": linear_types,
}
"""Model functions by name."""

__all__ = ["MODELS", "latent_types", "linear_types", "single"]
