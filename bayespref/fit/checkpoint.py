"""Sampler states on disk: written whole or not at all, read without executing anything."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayespref.errors import FitFileError


def fingerprint(*parts: Any) -> str:
    """SHA-256 of arrays and plain values: what a checkpoint must agree with to be resumed.

    Examples
    --------
    >>> fingerprint(np.arange(3), "nuts") == fingerprint(np.arange(3), "nuts")
    True
    """
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(parts):
        value = leaf if isinstance(leaf, str) else _data(leaf)
        digest.update(value.encode() if isinstance(value, str) else value.tobytes() + str(value.shape).encode())
    return digest.hexdigest()


def write_checkpoint(path: Path, state: Any, pieces: list[Any], *, chain: int, blocks: int, mark: str) -> None:
    """Replace the checkpoint of a chain: the sampler's state and every piece drawn so far.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the run's checkpoints; made if it does not exist.
    state : pytree
        Sampler state.
    pieces : list of pytree
        Draws and statistics of the blocks done.
    chain : int
        Number of the chain.
    blocks : int
        Blocks done.
    mark : str
        Fingerprint of the run.

    Raises
    ------
    FitFileError
        If the folder cannot be written; an earlier checkpoint is kept.
    """
    leaves: dict[str, Any] = {f"state{i}": _data(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    joined = jax.tree.map(lambda *blocks: np.concatenate(blocks), *pieces)
    leaves |= {f"drawn{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(joined))}
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".chain", suffix=".part", dir=path)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, mark=np.array(mark), blocks=np.array(blocks), **leaves)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path / f"chain{chain}.npz")
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise FitFileError(f"checkpoint: cannot write into {path} ({error}); earlier checkpoints are kept") from error


def read_checkpoint(path: Path, state: Any, piece: Any, *, chain: int, mark: str) -> tuple[Any, Any, int] | None:
    """Read a chain's checkpoint back.

    Parameters
    ----------
    path : pathlib.Path
        Folder given to :func:`write_checkpoint`.
    state, piece : pytree
        A fresh state and the shape of one block, for their structure.
    chain : int
        Number of the chain.
    mark : str
        Fingerprint of this run.

    Returns
    -------
    (state, drawn, blocks) or None
        None where the chain has no checkpoint.

    Raises
    ------
    FitFileError
        If the file cannot be read, or belongs to another run.
    """
    file = path / f"chain{chain}.npz"
    if not file.is_file():
        return None
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
        if str(found["mark"]) != mark:
            raise FitFileError(
                f"checkpoint: {file} belongs to another run (other data, model, seed or sizes); remove it or use "
                "another folder"
            )
        leaves, structure = jax.tree.flatten(state)
        restored = [_like(found[f"state{i}"], leaf) for i, leaf in enumerate(leaves)]
        count = len(jax.tree.leaves(piece))
        drawn = jax.tree.unflatten(jax.tree.structure(piece), [found[f"drawn{i}"] for i in range(count)])
        return jax.tree.unflatten(structure, restored), drawn, int(found["blocks"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        if isinstance(error, FitFileError):
            raise
        raise FitFileError(f"checkpoint: {file} cannot be read ({error}); remove it to start the chain anew") from error


def _data(leaf: Any) -> np.ndarray:
    """Array of a leaf; a random key as its words."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _like(stored: np.ndarray, leaf: Any) -> Array:
    """Give stored words or numbers the kind of a fresh leaf."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.asarray(jax.random.wrap_key_data(jnp.asarray(stored)))
    return jnp.asarray(stored, dtype=getattr(leaf, "dtype", None))
