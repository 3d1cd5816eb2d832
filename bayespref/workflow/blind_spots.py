"""The blind-spot study: posteriors that know where they know nothing, and retrained models that do not.

Many worlds of :func:`bayespref.simulate.scenarios.blind_spot` (4 states x 2 types x 4 items; two cells, together B,
hold a mass eps each), fitted with models of the package whose types are observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayespref.checks import at_least, one_of
from bayespref.disagree.known_truth import in_and_out, score_draws
from bayespref.fit.density import make_density
from bayespref.fit.laplace import laplace_draws, refit_modes, stack_tables
from bayespref.models import MODELS
from bayespref.simulate.scenarios import blind_spot

MASSES = (0.0, 0.001, 0.01, 0.05)
"""Mass of each missing cell in the published table."""
_FLAT = 30.0
LEARNERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "posterior": ("pooled_types", {"scales": (1.0, 1.0, 1.0)}, 1.0),
    "posterior, cells apart": ("latent_types", {"reward_scale": 3**0.5}, 1.0),
    "saturated": ("latent_types", {"reward_scale": _FLAT}, 1.0 / _FLAT),
    "additive": ("pooled_types", {"scales": (_FLAT, _FLAT, 0.0)}, 1.0 / _FLAT),
}
"""Name of a learner: its model, options, and how far a retrained one's prior moves (its initial values have sd 1)."""


def blind_spot_table(
    learner: str = "posterior",
    *,
    eps: Sequence[float] = MASSES,
    n_comparisons: Sequence[int] = (20_000,),
    worlds: int = 24,
    draws: int = 40,
    retrained: bool = False,
    temperature: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit many blind-spot worlds and compare disagreement with true error, on B and off it.

    Parameters
    ----------
    learner : {"posterior", "posterior, cells apart", "saturated", "additive"}
        ``posterior``: ``pooled_types`` with u, v and h standard normal, the prior the truth is drawn from. ``posterior,
        cells apart``: independent cells of the same variance. ``saturated``: a reward for every cell, hardly any
        prior. ``additive``: state and type effects without interaction, hardly any prior.
    eps : sequence of float
        Mass of each of the two missing cells.
    n_comparisons : sequence of int
        Sizes of the table, multiples of 40 (each person gives 40 labels).
    worlds : int
        Worlds for each eps and size; the same rewards throughout.
    draws : int
        Draws of each posterior, or refits of each retrained model.
    retrained : bool
        Compare refits to the *same* labels from random initial values instead of posterior draws: what "train it again
        with another seed and see whether it agrees" does.
    temperature : float
        How hard a policy optimises what it believes: it plays ``softmax(reward / temperature)``.
    seed : int
        First seed; world k has seed ``seed + k``.

    Returns
    -------
    DataFrame
        A row for each (n, eps): means over worlds of what
        :func:`bayespref.disagree.known_truth.in_and_out` measures, and their Monte-Carlo standard errors (``_se``).

    Raises
    ------
    ValueError
        If the learner is unknown, a size is no multiple of 40, or there are fewer than two worlds or draws.

    Notes
    -----
    Posteriors are Laplace approximations (:mod:`bayespref.fit.laplace`). Overlap notes, section 8.

    Examples
    --------
    >>> table = blind_spot_table(eps=(0.0,), n_comparisons=(2000,), worlds=4, draws=20)
    >>> bool(table["disagreement_b"][0] > 3 * table["disagreement_in"][0])
    True
    """
    one_of("learner", learner, tuple(LEARNERS))
    at_least("worlds", worlds, 2)
    at_least("draws", draws, 2)
    if any(n % 40 or n < 40 for n in n_comparisons):
        raise ValueError(f"n_comparisons: must be multiples of 40, got {list(n_comparisons)}")
    model, options, moves = LEARNERS[learner]
    settings = [(n, mass) for n in n_comparisons for mass in eps]
    made = [
        blind_spot(eps=mass, n_annotators=n // 40, seed=seed + world) for n, mass in settings for world in range(worlds)
    ]
    with jax.enable_x64(True):
        stack = stack_tables([world.comparisons.pool("annotator") for world in made], group_by_context=True)
        known = options | {"types_observed": True, "n_types": 2, "endogenous_prompts": False}
        density = make_density(MODELS[model], stack.data, known)
        key = jax.random.key(seed)
        if retrained:
            again = np.repeat(np.arange(len(made)), draws)
            many = stack.take(again)
            reward = refit_modes(density, many, rng_key=key, prior_moves=moves)["reward"]
            reward = reward.reshape(len(made), draws, *reward.shape[1:])
        else:
            reward = laplace_draws(density, stack, rng_key=key, draws=draws)["reward"]
    score = score_draws(reward, np.stack([world.reward for world in made]), temperature=temperature)
    found = in_and_out(score, made[0].missing)
    return _summary(settings, {name: value.reshape(len(settings), worlds) for name, value in found.items()})


def _summary(settings: Sequence[tuple[int, float]], found: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Means over worlds and their standard errors."""
    columns: dict[str, Any] = {"n": [n for n, _ in settings], "eps": [mass for _, mass in settings]}
    columns |= {name: value.mean(axis=1) for name, value in found.items()}
    columns |= {f"{name}_se": value.std(axis=1, ddof=1) / np.sqrt(value.shape[1]) for name, value in found.items()}
    return pd.DataFrame(columns)
