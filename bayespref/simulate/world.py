"""``World``: comparisons beside the truth they were drawn from, and how every named world is put together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bayespref.comparisons import Comparisons, from_codes
from bayespref.display import shown
from bayespref.simulate.annotate import Annotation


@shown(
    "{name}: {description}",
    next_step="bayespref.check(world.comparisons); the truth is in reward, for comparison only",
)
@dataclass(frozen=True, eq=False)
class World:
    """Comparisons drawn from a population whose truth is known.

    Parameters
    ----------
    name, description : str
        Which world, and what it shows.
    seed : int
        Seed it was drawn with; the same seed and settings give the same world.
    comparisons : Comparisons
        The table. Where the population has several types, the context column holds the annotator's true type (or, where
        the world says so, a proxy of it): a fit
        may use it as an observed type, or pool it away to treat types as latent.
    reward : float array, shape (state, type, item)
        True rewards, log-odds. Only differences within a (state, type) can be observed.
    type_weight : float array, shape (type,)
        Share of each type.
    prompt_prob : float array, shape (state, type)
        p(state | type) of the collection process.
    annotator_type : int array, shape (annotator,)
        True type of each annotator.
    missing : bool array, shape (state, type)
        The region B of cells that are never, or hardly ever, asked about.
    component : int array, shape (state, type, item)
        Components the collection process can connect: items with equal labels within a (state, type) are linked by
        pairs of positive probability. A sample may still miss some of them.
    reward_range : tuple of two floats
        Range that holds every true reward, log-odds: the assumption a bound may make here.
    deployment : float array, shape (state, type)
        P_te(state, type), summing to one: where a policy will be used.
    """

    name: str
    description: str
    seed: int
    comparisons: Comparisons
    reward: Float[np.ndarray, "state type item"]
    type_weight: Float[np.ndarray, " type"]
    prompt_prob: Float[np.ndarray, "state type"]
    annotator_type: Int[np.ndarray, " annotator"]
    missing: Bool[np.ndarray, "state type"]
    component: Int[np.ndarray, "state type item"]
    reward_range: tuple[float, float]
    deployment: Float[np.ndarray, "state type"]

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def contrast(self) -> Float[np.ndarray, "state type item item_other"]:
        """True contrasts ``reward[..., a] - reward[..., b]``, log-odds."""
        return np.asarray(self.reward[..., :, None] - self.reward[..., None, :])


def table(
    rows: Annotation,
    shape: tuple[int, ...],
    provenance: dict[str, object],
    *,
    proxy: Int[np.ndarray, " annotator"] | None = None,
    items: tuple[str, ...] | None = None,
) -> Comparisons:
    """Turn drawn rows into a table; with several types the context is each annotator's type, or the proxy given."""
    n_states, n_types, n_items = shape
    context: dict[str, Any] = {}
    if n_types > 1:
        known = rows.annotator_type if proxy is None else proxy
        context = {"context": known[rows.annotator], "contexts": tuple(f"type {c}" for c in range(n_types))}
    return from_codes(
        rows.item_a,
        rows.item_b,
        rows.outcome,
        items=items or tuple(f"item {a}" for a in range(n_items)),
        state=rows.state,
        states=tuple(f"state {s}" for s in range(n_states)),
        annotator=rows.annotator,
        annotators=tuple(f"person {i:04d}" for i in range(len(rows.annotator_type))),
        provenance={"source": "simulated", **provenance},
        **context,
    )


def stream(seed: int, part: int) -> np.random.SeedSequence:
    """Return the part's own seed, so that changing how many labels are drawn leaves the rewards alone."""
    return np.random.SeedSequence(seed, spawn_key=(part,))


def symmetric_range(reward: Float[np.ndarray, "state type item"], least: float = 6.0) -> tuple[float, float]:
    """Return a range (-m, m) that holds every reward, m at least ``least`` and otherwise the next integer."""
    bound = max(least, float(np.ceil(np.abs(reward).max())))
    return -bound, bound
