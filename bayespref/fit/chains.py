"""Chains of any sampler, run to their end: block by block, resumable, one after the other or spread over devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from bayespref.checks import one_of
from bayespref.fit.checkpoint import read_checkpoint, write_checkpoint

CHAIN_METHODS = ("sequential", "devices", "sharded")


class Draws(NamedTuple):
    """Unconstrained draws of all chains, and the sampler's statistics.

    Attributes
    ----------
    flat : float array, shape (chain, draw, p)
        Unconstrained coordinates.
    stats : dict of arrays, shape (chain, draw)
        What the sampler says of each draw; ``lp`` (log-density, nats) in all, ``diverging`` where trajectories are
        integrated.
    """

    flat: Float[np.ndarray, "chain draw p"]
    stats: dict[str, np.ndarray]


def run_chains(
    advance: Callable[[Any, Any], tuple[Any, Any]],
    start: Callable[[Array], Any],
    passed: Any,
    *,
    rng_key: Array,
    chains: int,
    warmup: int,
    draws: int,
    block: int,
    checkpoint: Path | None,
    mark: str,
    label: str,
    progress: bool,
    chain_method: str = "sequential",
) -> Any:
    """Run every chain for ``warmup + draws`` transitions and return what came after the warm-up.

    Parameters
    ----------
    advance : callable
        Compiled ``advance(state, passed) -> (state, piece)``: ``block`` transitions; every leaf of ``piece`` has them
        as its leading axis.
    start : callable
        ``start(key) -> state``: a fresh chain.
    passed : pytree
        Data handed to ``advance``.
    rng_key : jax key
        Split into one key a chain.
    chains, warmup, draws, block : int
        Sizes.
    checkpoint : pathlib.Path or None
        Folder that keeps every chain's state and draws, rewritten after each block. A run that finds its own
        checkpoints goes on from them and returns the draws it would have returned uninterrupted.
    mark : str
        Fingerprint of the run.
    label : str
        Words beside the progress bar.
    progress : bool
        Show it.
    chain_method : {"sequential", "devices", "sharded"}
        One chain after the other on JAX's default device, or as many at once as JAX has devices, with the same draws;
        or one after the other where ``passed`` lies (data spread over devices).

    Returns
    -------
    pytree
        As ``piece``, with leading axes (chain, draw).

    Raises
    ------
    FitFileError
        If the checkpoints belong to another run, or cannot be read or written.
    ValueError
        If ``chain_method`` is unknown.
    """
    one_of("chain_method", chain_method, CHAIN_METHODS)
    devices: list[Any] = list(jax.devices()) if chain_method == "devices" else [None]
    blocks = -(-(warmup + draws) // block)
    keys = jax.random.split(rng_key, chains)
    finished: list[Any] = []
    with tqdm(total=chains * blocks * block, desc=label, disable=not progress, leave=False) as bar:
        for first in range(0, chains, len(devices)):
            running = [
                _Chain(chain, start(keys[chain]), passed, device)
                for chain, device in zip(range(first, chains), devices, strict=False)
            ]
            for one in running:
                if checkpoint is not None:
                    one.resume(advance, checkpoint, mark)
                    bar.update(one.done * block)
            for done in range(min(one.done for one in running), blocks):
                behind = [one for one in running if one.done == done]
                launched = [advance(one.state, one.passed) for one in behind]  # devices work while this loop goes on
                for one, (state, piece) in zip(behind, launched, strict=True):
                    one.state = state
                    one.pieces.append(jax.device_get(piece))
                    one.done += 1
                    if checkpoint is not None:
                        write_checkpoint(checkpoint, state, one.pieces, chain=one.number, blocks=one.done, mark=mark)
                    bar.update(block)
            for one in running:
                kept = jax.tree.map(lambda *parts: np.concatenate(parts)[warmup : warmup + draws], *one.pieces)
                finished.append(kept)
    return jax.tree.map(lambda *each: np.stack(each), *finished)


class _Chain:
    """A chain under way: its state, where it runs, what it drew."""

    def __init__(self, number: int, state: Any, passed: Any, device: Any) -> None:
        self.number = number
        self.device = device
        self.state = state if device is None else jax.device_put(state, device)
        self.passed = passed if device is None else jax.device_put(passed, device)
        self.pieces: list[Any] = []
        self.done = 0

    def resume(self, advance: Callable[[Any, Any], tuple[Any, Any]], folder: Path, mark: str) -> None:
        """Take up the chain where its checkpoint left it, if it has one."""
        shape = jax.eval_shape(advance, self.state, self.passed)[1]
        found = read_checkpoint(folder, self.state, shape, chain=self.number, mark=mark)
        if found is not None:
            state, drawn, self.done = found
            self.state = state if self.device is None else jax.device_put(state, self.device)
            self.pieces = [drawn]
