"""States from an embedding of prompts: k-means, with how stable the states are over seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.checks import at_least, finite
from bayespref.display import shown


@shown("stability {stability}", next_step="use the clusters as states only if other seeds give the same ones")
class ClusteredStates(NamedTuple):
    """States found by k-means from several seeds.

    Attributes
    ----------
    label : int array, shape (prompt,)
        State of each prompt in the best run (least within-state sum of squares), numbered by first prompt.
    centre : float array, shape (state, d)
    agreement : float array, shape (seed, seed)
        Adjusted Rand index between runs: 1 the same states, about 0 no more alike than by chance.
    stability : float
        Mean agreement of different runs. Low: the embedding has no such states, and whatever is said by state depends
        on a seed.
    least_agreement : float
    """

    label: Int[np.ndarray, " prompt"]
    centre: Float[np.ndarray, "state d"]
    agreement: Float[np.ndarray, "seed seed_other"]
    stability: float
    least_agreement: float


def cluster_states(
    embedding: Float[np.ndarray, "prompt d"], n_states: int, *, n_seeds: int = 10, seed: int = 0
) -> ClusteredStates:
    """Group prompts into states by k-means and report how far the groups depend on the seed.

    Parameters
    ----------
    embedding : float array, shape (prompt, d)
        One row a prompt; scale features first.
    n_states : int
        Number of states.
    n_seeds : int
        Runs, each from one start of its own, at least 2.
    seed : int
        Seed of the first run; run i uses ``seed + i``.

    Returns
    -------
    ClusteredStates

    Raises
    ------
    ImportError
        Without scikit-learn (``pip install 'bayespref[overlap]'``).
    ValueError
        If the embedding is not finite or has fewer different rows than states.

    Examples
    --------
    >>> points = np.array([[0.0], [0.1], [5.0], [5.1], [9.9], [10.0]])
    >>> states = cluster_states(points, 3, n_seeds=4)
    >>> states.label.tolist(), states.stability
    ([0, 0, 1, 1, 2, 2], 1.0)
    """
    points = finite("embedding", embedding)
    if points.ndim != 2:
        raise ValueError(f"embedding: must have shape (prompt, d), got {points.shape}")
    n_states, n_seeds = at_least("n_states", n_states, 1), at_least("n_seeds", n_seeds, 2)
    if len(np.unique(points, axis=0)) < n_states:
        raise ValueError(f"n_states: {n_states} states need as many different rows of the embedding")
    try:
        from sklearn.cluster import KMeans
        from sklearn.metrics import adjusted_rand_score
    except ImportError as error:
        raise ImportError("states by clustering need scikit-learn: pip install 'bayespref[overlap]'") from error
    runs = [KMeans(n_states, n_init=1, random_state=seed + i).fit(points) for i in range(n_seeds)]
    labels = [run.labels_ for run in runs]
    agreement = np.array([[adjusted_rand_score(a, b) for b in labels] for a in labels])
    best = runs[int(np.argmin([run.inertia_ for run in runs]))]
    order = _by_first(best.labels_)
    apart = agreement[~np.eye(n_seeds, dtype=bool)]
    rank = np.empty(n_states, dtype=np.int64)
    rank[order] = np.arange(n_states)
    return ClusteredStates(
        rank[best.labels_], best.cluster_centers_[order], agreement, float(apart.mean()), float(apart.min())
    )


def _by_first(label: NDArray[np.integer]) -> NDArray[np.int64]:
    """Labels in the order of their first occurrence."""
    names, first = np.unique(label, return_index=True)
    return np.asarray(names[np.argsort(first)], dtype=np.int64)
