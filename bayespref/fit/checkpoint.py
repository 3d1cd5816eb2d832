"""Sampler states on disk: written whole or not at all, read without executing anything."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayespref.errors import FitFileError
from bayespref.files import replacing


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
        with replacing(path / f"chain{chain}.npz") as part, part.open("wb") as file:
            np.savez(file, mark=np.array(mark), blocks=np.array(blocks), **leaves)
    except OSError as error:
        raise FitFileError(f"checkpoint: {error.filename or path}: {error.strerror or error}") from error


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
        If the file cannot be read, belongs to another run, or holds what this run cannot have written.
    """
    file = path / f"chain{chain}.npz"
    if not file.is_file():
        return None
    try:
        found = _stored(file)
        if str(found["mark"]) != mark:
            raise FitFileError(
                f"checkpoint: {file} belongs to another run (other data, model, seed or sizes); remove it or use "
                "another folder"
            )
        leaves, structure = jax.tree.flatten(state)
        shapes, kind = jax.tree.flatten(piece)
        blocks = int(found["blocks"])
        restored = [_like(_fitting(found, f"state{i}", np.shape(_data(leaf))), leaf) for i, leaf in enumerate(leaves)]
        drawn = [_fitting(found, f"drawn{i}", _repeated(one.shape, blocks)) for i, one in enumerate(shapes)]
        return jax.tree.unflatten(structure, restored), jax.tree.unflatten(kind, drawn), blocks
    except FitFileError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise errors of many kinds on a damaged file
        raise FitFileError(f"checkpoint: {file} cannot be read ({error}); remove it to start the chain anew") from error


def _stored(file: Path) -> dict[str, np.ndarray]:
    """Arrays of an archive that holds them as they are: a compressed one could unfold to any size."""
    with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as stored:
        packed = [entry.filename for entry in stored.zip.infolist() if entry.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise ValueError(f"{packed[:3]} are compressed")
        return {name: stored[name] for name in stored.files}


def _fitting(found: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    if found[name].shape != shape:
        raise ValueError(f"{name} has shape {found[name].shape} instead of {shape}")
    return found[name]


def _repeated(shape: tuple[int, ...], blocks: int) -> tuple[int, ...]:
    """Shape of so many blocks one behind the other."""
    return (shape[0] * blocks, *shape[1:])


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
