"""Which models blocked Gibbs covers: where each block stands among the coordinates, and why a model is refused."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from bayespref.choice import ChoiceData, zero_sum_basis
from bayespref.errors import ModelError
from bayespref.fit.density import Density

_SHARED = ("log_tie", "tie_threshold", "log_both_bad", "position_effect", "type_logit_shift")
_MOST_SHARED = 50
_CLOSE = 1e-6


class Blocks(NamedTuple):
    """Positions of the parameters that Gibbs updates together, and the constants of their priors.

    Attributes
    ----------
    n_types : int
        Number of types.
    reward : int array, shape (type, state, item - 1)
        Zero-sum reward coordinates; cells (type, state) are independent given types and the rest.
    weight : int array, shape (type - 1,) or (0,)
        Type weights with an exact Dirichlet conditional; empty where there is one type or a mix by context.
    prompt : int array, shape (type, state - 1) or (0,)
        Prompt probabilities; empty where they are not modelled.
    rest : int array, shape (r,)
        Parameters that all cells share: ties, position, mixes by context or environment.
    reward_precision, weight_concentration, prompt_concentration : float
        Priors, read from the model's own densities.
    """

    n_types: int
    reward: np.ndarray
    weight: np.ndarray
    prompt: np.ndarray
    rest: np.ndarray
    reward_precision: float
    weight_concentration: float
    prompt_concentration: float


def find_blocks(density: Density, data: ChoiceData) -> Blocks:
    """Read the blocks of a model with independent cells.

    Parameters
    ----------
    density : Density
        The model's densities.
    data : ChoiceData
        Questions and records.

    Returns
    -------
    Blocks

    Raises
    ------
    ModelError
        If the model has other parameters than Gibbs has steps for, or its table is not what independent cells imply.
    """
    place = _places(density)
    shifted = "type_logit_shift" in place
    other = sorted(set(place) - {"z", "type_logit", "prompt_logit", *_SHARED})
    cell = (data.n_states, data.n_items - 1)
    if "z" not in place or place["z"].shape[-2:] != cell or place["z"].ndim > 3 or other:
        found = f"its parameter(s) {other} have no Gibbs step" if other else "it has no rewards by cell (site z)"
        raise ModelError(
            "method: 'gibbs' covers latent_types and single, without decisiveness and without prompts by environment; "
            f"{found}; use method='nuts'"
        )
    reward = place["z"].reshape(-1, *place["z"].shape[-2:])
    n_types = reward.shape[0]
    whole = np.asarray(data.multiplicity)
    if n_types > 1 and np.any(whole != np.round(whole)):
        raise ModelError(
            "method: 'gibbs' gives each unit one type, and without annotators a unit is an answer: its weights must be "
            "whole numbers; use method='nuts'"
        )
    own = np.zeros(0, dtype=int)
    rest = [place[name].ravel() for name in _SHARED if name in place]
    if shifted:
        rest.append(place["type_logit"].ravel())
    shared = np.concatenate(rest) if rest else own
    if shared.size > _MOST_SHARED:
        raise ModelError(
            f"method: 'gibbs' moves what cells share in one block of at most {_MOST_SHARED} parameters, the model has "
            f"{shared.size}; use method='nuts'"
        )
    weight = own if shifted or "type_logit" not in place else place["type_logit"].ravel()
    prompt = place.get("prompt_logit", own)
    fall = _prior_falls(density, data, (reward, weight, prompt[..., :1]))
    blocks = Blocks(
        n_types=n_types,
        reward=reward,
        weight=weight,
        prompt=prompt,
        rest=shared,
        reward_precision=2.0 * fall[0] / reward.size,
        weight_concentration=fall[1] / _dirichlet_fall(np.ones(n_types - 1)) if weight.size else 0.0,
        prompt_concentration=fall[2] / n_types / _dirichlet_fall(np.eye(data.n_states - 1)[0]) if prompt.size else 0.0,
    )
    _check_cells(density, blocks, data)
    return blocks


def _places(density: Density) -> dict[str, np.ndarray]:
    """Flat positions of every site, in the site's own shape, read from the names of the coordinates."""
    found: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
    for position, label in enumerate(density.names):
        name, index = label.rstrip("]").split("[")
        found.setdefault(name, []).append((position, tuple(int(part) for part in index.split(",") if part)))
    place = {}
    for name, entries in found.items():
        shape = tuple(int(size) + 1 for size in np.max([index for _, index in entries], axis=0))
        place[name] = np.array([position for position, _ in entries]).reshape(shape)
    return place


def _prior_falls(density: Density, data: ChoiceData, groups: tuple[np.ndarray, ...]) -> list[float]:
    """How much the log-prior falls, from zero, where the coordinates of one group are all one."""
    points = np.zeros((1 + len(groups), density.size))
    for row, group in enumerate(groups, start=1):
        points[row, group.ravel()] = 1.0
    value = np.asarray(jax.jit(jax.vmap(density.log_prior, (0, None)))(jnp.asarray(points), data))
    return [float(value[0] - one) for one in value[1:]]


def _dirichlet_fall(coordinates: np.ndarray) -> float:
    """The same fall for zero-sum coordinates of a Dirichlet of concentration one."""
    size = len(coordinates) + 1
    logits = zero_sum_basis(size) @ coordinates
    return float(size * special.logsumexp(logits) - size * np.log(size))


def _check_cells(density: Density, blocks: Blocks, data: ChoiceData) -> None:
    """Refuse a model whose table does not depend on each cell's rewards through their differences alone."""
    if not blocks.reward.size or not data.n_questions:
        return
    rng = np.random.default_rng(0)
    flat = jnp.asarray(0.5 * rng.normal(size=density.size))
    push = jax.jit(lambda x, v, data: jax.jvp(lambda y: density.tables(y, data)[0], (x,), (v,))[1])
    basis = zero_sum_basis(data.n_items)
    steps = rng.normal(size=(2, *blocks.reward.shape))
    slopes = []
    for z in steps:
        direction = jnp.zeros(density.size).at[blocks.reward].set(z)
        change = push(flat, direction, data)
        reward = z @ basis.T
        gap = reward[:, data.state, data.item_a] - reward[:, data.state, data.item_b]
        slopes.append(np.asarray(change) / gap[:, :, None])
    if slopes[0].shape[0] != blocks.n_types or not np.allclose(slopes[0], slopes[1], rtol=_CLOSE, atol=_CLOSE):
        raise ModelError(
            "method: 'gibbs' needs outcomes that depend on z through reward differences of their own cell alone; the "
            "model's do not; use method='nuts'"
        )
