"""The blind-spot study: posteriors that know where they know nothing, and retrained models that do not.

Many worlds of :func:`bayespref.simulate.scenarios.blind_spot` (4 states x 2 types x 4 items; two cells, together B,
hold a mass eps each), fitted with models of the package whose types are observed, or with a small neural network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from bayespref.bounds.regret import minimax_regret, regret_from_offsets
from bayespref.checks import at_least, one_of
from bayespref.disagree.known_truth import in_and_out, score_draws
from bayespref.fit.density import make_density
from bayespref.fit.laplace import laplace_draws, refit_modes, stack_tables
from bayespref.models import MODELS
from bayespref.simulate.scenarios import blind_spot
from bayespref.simulate.world import World
from bayespref.target.fitdpo import pair_wins
from bayespref.target.tilt import exponential_tilt
from bayespref.workflow.neural import mlp_refits

MASSES = (0.0, 0.001, 0.01, 0.05)
"""Mass of each missing cell in the published table."""
TEMPERATURE = 0.1
"""How hard the policies of the published table optimise."""
_FLAT = 30.0
LEARNERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "posterior": ("pooled_types", {"scales": (1.0, 1.0, 1.0)}, 1.0),
    "posterior, cells apart": ("latent_types", {"reward_scale": 3**0.5}, 1.0),
    "saturated": ("latent_types", {"reward_scale": _FLAT}, 1.0 / _FLAT),
    "additive": ("pooled_types", {"scales": (_FLAT, _FLAT, 0.0)}, 1.0 / _FLAT),
}
"""Name of a learner: its model, options, and how far a retrained one's prior moves (its initial values have sd 1)."""
NETWORK = "mlp"
"""Name of the neural network, which is retrained or nothing."""
REFERENCES = {"even": np.inf, "informed": 1.0}
"""What a policy starts from: ``softmax(true reward / temperature)``; a finite temperature is a policy that knows B."""


def blind_spot_table(
    learner: str = "posterior",
    *,
    eps: Sequence[float] = MASSES,
    n_comparisons: Sequence[int] = (20_000,),
    worlds: int = 24,
    draws: int = 40,
    retrained: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit many blind-spot worlds and compare disagreement with true error, on B and off it.

    Parameters
    ----------
    learner : {"posterior", "posterior, cells apart", "saturated", "additive", "mlp"}
        ``posterior``: ``pooled_types`` with u, v and h standard normal, the prior the truth is drawn from. ``posterior,
        cells apart``: independent cells of the same variance. ``saturated``: a reward for every cell, hardly any
        prior. ``additive``: state and type effects without interaction, hardly any prior. ``mlp``: the network of
        :mod:`bayespref.workflow.neural`, which can only be retrained.
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
    seed : int
        First seed; world k has seed ``seed + k``.

    Returns
    -------
    DataFrame
        A row for each (n, eps): means over worlds of what
        :func:`bayespref.disagree.known_truth.in_and_out` measures, and their Monte-Carlo standard errors (``_se``).
        Policies are ``softmax(reward / 0.1)``.

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
    settings = [(n, mass) for n in n_comparisons for mass in eps]
    made, reward = _fits(learner, settings, worlds, draws, retrained, seed)
    score = score_draws(reward, np.stack([world.reward for world in made]), temperature=TEMPERATURE)
    found = in_and_out(score, made[0].missing)
    columns: dict[str, Any] = {"n": [n for n, _ in settings], "eps": [mass for _, mass in settings]}
    return _with_errors(columns, {name: value.reshape(len(settings), worlds) for name, value in found.items()})


def amplification_table(
    learner: str = "posterior",
    *,
    temperatures: Sequence[float],
    reference: str = "even",
    eps: Sequence[float] = (0.0,),
    n_comparisons: int = 20_000,
    worlds: int = 24,
    draws: int = 40,
    retrained: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """What tilts of a reference promise and deliver on B as the price of KL falls, beside policies that know B.

    Parameters
    ----------
    learner, eps, worlds, draws, retrained, seed
        As in :func:`blind_spot_table`.
    temperatures : sequence of float
        Prices of a nat of KL, log-odds, > 0.
    reference : {"even", "informed"}
        What is tilted: the uniform choice, or ``softmax(true reward)``, a policy that knows what the table does not.
    n_comparisons : int
        Size of the table, a multiple of 40.

    Returns
    -------
    DataFrame
        A row for each (eps, policy, temperature). Policies: ``tilt`` of every draw (or refit); ``reference``, kept
        where coverage says that nothing is known; ``minimax`` regret given that no two items of B were compared, in
        the world's reward range. ``promised_b`` and ``value_b``: reward on B that the draw expects and that is true,
        above a uniform choice, log-odds; ``gain_b``: true, above the reference; ``regret_b``: below the best item;
        ``worse_b``: share of draws that are truly worse than the reference; ``worst_b``: regret on B in the worst world
        that the table at eps = 0 leaves open; ``value_in`` and ``gain_in``: of the tilt, outside B. Means over worlds,
        and standard errors (``_se``).

    Raises
    ------
    ValueError
        As :func:`blind_spot_table`, or if the reference is unknown or a temperature is not above zero.

    Examples
    --------
    >>> table = amplification_table(temperatures=(3.0, 0.1), n_comparisons=2000, worlds=4, draws=20)
    >>> tilt = table[table["policy"] == "tilt"]
    >>> bool(tilt["promised_b"].iloc[1] > tilt["promised_b"].iloc[0])
    True
    """
    one_of("reference", reference, tuple(REFERENCES))
    settings = [(n_comparisons, mass) for mass in eps]
    made, reward = _fits(learner, settings, worlds, draws, retrained, seed)
    truth = np.stack([world.reward for world in made])[:, None]
    start = exponential_tilt(truth / REFERENCES[reference], np.full(4, 0.25), 1.0).policy
    apart, nothing = np.arange(4)[None], np.zeros((1, 4))
    game = np.stack([regret_from_offsets(nothing, apart, np.ones(1), world.reward_range)[0] for world in made])
    careful = np.broadcast_to(minimax_regret(game).policy[:, None, None, None], truth.shape)
    rows = []
    for temperature in temperatures:
        tilted = exponential_tilt(reward, start, temperature).policy
        for policy, played in (("tilt", tilted), ("reference", start), ("minimax", careful)):
            found = _on_b(played, start, reward, truth, game, made[0].missing)
            asked = _above(tilted, truth)[..., ~made[0].missing].mean(axis=(-2, -1))
            found |= {
                "value_in": asked,
                "gain_in": asked - _above(start, truth)[..., ~made[0].missing].mean(axis=(-2, -1)),
            }
            columns = {"eps": list(eps), "policy": policy, "temperature": temperature}
            rows.append(_with_errors(columns, {k: v.reshape(len(eps), worlds) for k, v in found.items()}))
    return pd.concat(rows, ignore_index=True)


def _above(policy: NDArray[np.float64], reward: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected reward of a policy above that of a uniform choice."""
    return np.asarray((policy * reward).sum(axis=-1) - reward.mean(axis=-1))


def _on_b(
    played: NDArray[np.float64],
    start: NDArray[np.float64],
    reward: NDArray[np.float64],
    truth: NDArray[np.float64],
    game: NDArray[np.float64],
    missing: NDArray[np.bool_],
) -> dict[str, NDArray[np.float64]]:
    """What a policy promises, delivers and risks on B, per world."""
    shape = reward.shape[:-1]
    value, best = np.broadcast_to(_above(played, truth), shape), truth.max(axis=-1) - truth.mean(axis=-1)
    worst = np.einsum("wab,wdscb->wdsca", game, np.broadcast_to(played, reward.shape)).max(axis=-1)
    measured = {
        "promised_b": np.broadcast_to(_above(played, reward), shape),
        "value_b": value,
        "gain_b": value - _above(start, truth),
        "regret_b": best - value,
        "best_b": np.broadcast_to(best, shape),
        "worse_b": (value < _above(start, truth) - 1e-12).astype(float),
        "worst_b": worst,
    }
    return {name: values[..., missing].mean(axis=(-2, -1)) for name, values in measured.items()}


def _fits(
    learner: str, settings: Sequence[tuple[int, float]], worlds: int, draws: int, retrained: bool, seed: int
) -> tuple[list[World], Float[np.ndarray, "world draw state type item"]]:
    """Worlds of every (size, mass), and draws or refits of their rewards."""
    one_of("learner", learner, (*LEARNERS, NETWORK))
    at_least("worlds", worlds, 2)
    at_least("draws", draws, 2)
    sizes = sorted({n for n, _ in settings})
    if any(n % 40 or n < 40 for n in sizes):
        raise ValueError(f"n_comparisons: must be multiples of 40, got {sizes}")
    if learner == NETWORK and not retrained:
        raise ValueError(f"retrained: {NETWORK!r} has no posterior here; set retrained=True")
    made = [
        blind_spot(eps=mass, n_annotators=n // 40, seed=seed + world) for n, mass in settings for world in range(worlds)
    ]
    key = jax.random.key(seed)
    if learner == NETWORK:
        return made, mlp_refits(np.stack([_wins(world) for world in made]), rng_key=key, n=draws)
    model, options, moves = LEARNERS[learner]
    with jax.enable_x64(True):
        stack = stack_tables([world.comparisons.pool("annotator") for world in made], group_by_context=True)
        known = options | {"types_observed": True, "n_types": 2, "endogenous_prompts": False}
        density = make_density(MODELS[model], stack.data, known)
        if not retrained:
            return made, laplace_draws(density, stack, rng_key=key, draws=draws)["reward"]
        many = stack.take(np.repeat(np.arange(len(made)), draws))
        reward = refit_modes(density, many, rng_key=key, prior_moves=moves)["reward"]
    return made, reward.reshape(len(made), draws, *reward.shape[1:])


def _wins(world: World) -> Float[np.ndarray, "state type item item"]:
    """How often each item beat each other one, by state and type."""
    rows, (n_states, n_types, n_items) = world.comparisons, world.reward.shape
    cell = rows.state.astype(np.int64) * n_types + rows.codes("context")
    label = (rows.outcome == 0).astype(np.float64)
    wins = pair_wins(cell, rows.item_a, rows.item_b, label, n_states=n_states * n_types, n_items=n_items)
    return wins.reshape(n_states, n_types, n_items, n_items)


def _with_errors(columns: dict[str, Any], found: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Means over worlds, the last axis, and their standard errors."""
    means = {name: value.mean(axis=1) for name, value in found.items()}
    errors = {f"{name}_se": value.std(axis=1, ddof=1) / np.sqrt(value.shape[1]) for name, value in found.items()}
    return pd.DataFrame(columns | means | errors)
