"""What a sequential design knows: pools, labels, and the estimate they give; kept in a file between batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bayespref.checks import finite
from bayespref.display import shown
from bayespref.files import replacing
from bayespref.information import curvature


@shown(next_step="ask(state, ...) says what to collect next; tell() takes the answers")
class State(NamedTuple):
    """Everything known so far.

    Attributes
    ----------
    pools : tuple of arrays, shape (m_a, d)
        Feature differences of each action's candidates: unlabelled ones, or those met so far.
    asked : tuple of bool arrays, shape (m_a,)
        Candidates that already have a label.
    features, labels, action : array, shape (n, d), (n,) and (n,)
        Labelled comparisons: differences, 1 if the first side was preferred, and the action each came from.
    precision : float
        Prior precision of the coefficients.
    estimate, covariance : array, shape (d,) and (d, d)
        Posterior mode and Laplace covariance of the coefficients.
    """

    pools: tuple[NDArray[np.float64], ...]
    asked: tuple[NDArray[np.bool_], ...]
    features: NDArray[np.float64]
    labels: NDArray[np.float64]
    action: NDArray[np.int64]
    precision: float
    estimate: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Labels per action, shape (A,)."""
        return np.bincount(self.action, minlength=len(self.pools)).astype(np.int64)


def logistic_mode(
    features: Float[np.ndarray, "n d"], labels: Float[np.ndarray, " n"], precision: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Posterior mode and Laplace covariance of a logistic regression with a normal prior, by damped Newton steps.

    Examples
    --------
    >>> mode, covariance = logistic_mode(np.zeros((0, 1)), np.zeros(0), 4.0)
    >>> mode.tolist(), covariance.tolist()
    ([0.0], [[0.25]])
    """
    d = features.shape[1]
    w = np.zeros(d)

    def loss(v: NDArray[np.float64]) -> float:
        u = features @ v
        return float((np.logaddexp(0.0, u) - labels * u).sum() + 0.5 * precision * v @ v)

    hessian = precision * np.eye(d)
    for _ in range(100):
        u = features @ w
        gradient = features.T @ (expit(u) - labels) + precision * w
        hessian = features.T @ (curvature(u)[:, None] * features) + precision * np.eye(d)
        step = np.linalg.solve(hessian, gradient)
        size, now = 1.0, loss(w)
        while loss(w - size * step) > now + 1e-12 * abs(now) and size > 1e-6:
            size *= 0.5
        w = w - size * step
        if np.abs(size * step).max() <= 1e-10 * (1 + np.abs(w).max()):
            break
    return np.asarray(w), np.asarray(np.linalg.inv(hessian))


def start(pools: tuple[ArrayLike, ...] | list[ArrayLike], *, precision: float = 1.0) -> State:
    """Begin with candidate pools and no labels.

    Parameters
    ----------
    pools : sequence of arrays, shape (m_a, d)
        Feature differences of each action's candidates; may be empty when `tell` is to grow them.
    precision : float
        Prior precision of the coefficients, > 0.

    Returns
    -------
    State

    Raises
    ------
    ValueError
        If there is no action, the features disagree, or the precision is not positive.

    Examples
    --------
    >>> start([np.eye(2), np.zeros((0, 2))]).counts.tolist()
    [0, 0]
    """
    arrays = tuple(finite(f"pools[{k}]", pool) for k, pool in enumerate(pools))
    shapes = [array.shape for array in arrays]
    if not arrays or any(array.ndim != 2 for array in arrays) or len({shape[1] for shape in shapes}) != 1:
        raise ValueError(f"pools: needs one (m, d) array per action with the same d, got shapes {shapes}")
    if not (np.isfinite(precision) and precision > 0):
        raise ValueError(f"precision: must be > 0, got {precision!r}")
    d = shapes[0][1]
    return State(
        arrays,
        tuple(np.zeros(len(array), dtype=bool) for array in arrays),
        np.zeros((0, d)),
        np.zeros(0),
        np.zeros(0, dtype=np.int64),
        float(precision),
        np.zeros(d),
        np.eye(d) / precision,
    )


def tell(
    state: State,
    action: Int[np.ndarray, " n"],
    features: Float[np.ndarray, "n d"],
    labels: Float[np.ndarray, " n"],
    *,
    row: Int[np.ndarray, " n"] | None = None,
    grow: bool = False,
) -> State:
    """Add labels and update the estimate; the old state is left as it was.

    Parameters
    ----------
    state : State
    action : integer array, shape (n,)
        Action of each comparison.
    features : array, shape (n, d)
        Its feature difference.
    labels : array, shape (n,)
        1 if the first side was preferred, 0 if the second.
    row : integer array, shape (n,), optional
        Its row in the action's pool, so that it is not asked again.
    grow : bool
        Add the comparisons to the pools: for actions whose candidates are seen only as they are asked.

    Returns
    -------
    State

    Raises
    ------
    ValueError
        If a label is not 0 or 1, an action or a row does not exist, or both ``row`` and ``grow`` are given.

    Examples
    --------
    >>> told = tell(start([np.eye(2)]), np.array([0]), np.array([[1.0, 0.0]]), np.array([1.0]), row=np.array([0]))
    >>> told.counts.tolist(), told.asked[0].tolist(), bool(told.estimate[0] > 0)
    ([1], [True, False], True)
    """
    new = finite("features", features)
    answers, source = finite("labels", labels), np.asarray(action)
    n, d = len(new), state.features.shape[1]
    if new.shape != (n, d) or answers.shape != (n,) or source.shape != (n,):
        raise ValueError(
            f"features: must have shape (n, {d}) with n labels and n actions, got {new.shape}, {answers.shape} and "
            f"{source.shape}"
        )
    if not np.isin(answers, (0.0, 1.0)).all():
        raise ValueError(f"labels: must be 0 or 1, first bad {answers[~np.isin(answers, (0.0, 1.0))][:5].tolist()}")
    if not np.issubdtype(source.dtype, np.integer) or (n and not 0 <= source.min() <= source.max() < len(state.pools)):
        raise ValueError(f"action: must be integers in 0..{len(state.pools) - 1}")
    pools, asked = list(state.pools), [mask.copy() for mask in state.asked]
    if row is not None:
        if grow:
            raise ValueError("row: names candidates already in the pools, grow adds new ones; give one of them")
        where = np.asarray(row)
        sizes = np.array([len(pool) for pool in pools])
        if where.shape != (n,) or not np.issubdtype(where.dtype, np.integer) or (where < 0).any():
            raise ValueError(f"row: must be {n} integers >= 0, got {where.dtype} {where.shape}")
        if (where >= sizes[source]).any():
            raise ValueError(
                f"row: beyond its pool in comparisons {np.flatnonzero(where >= sizes[source])[:5].tolist()}"
            )
        for a, r in zip(source, where, strict=True):
            asked[a][r] = True
    if grow:
        for a in range(len(pools)):
            mine = new[source == a]
            pools[a] = np.concatenate([pools[a], mine])
            asked[a] = np.concatenate([asked[a], np.ones(len(mine), dtype=bool)])
    every, told = np.concatenate([state.features, new]), np.concatenate([state.labels, answers])
    estimate, covariance = logistic_mode(every, told, state.precision)
    return State(
        tuple(pools),
        tuple(asked),
        every,
        told,
        np.concatenate([state.action, source.astype(np.int64)]),
        state.precision,
        estimate,
        covariance,
    )


def save_state(state: State, path: str | Path) -> None:
    """Write a state as JSON; floats keep every digit.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(start([np.eye(2)]), f"{folder}/state.json")
    ...     load_state(f"{folder}/state.json").pools[0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    content = {
        "format": "bayespref-sequential-1",
        "pools": [pool.tolist() for pool in state.pools],
        "asked": [mask.tolist() for mask in state.asked],
        "features": state.features.tolist(),
        "labels": state.labels.tolist(),
        "action": state.action.tolist(),
        "precision": state.precision,
        "n_features": state.features.shape[1],
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")


def load_state(path: str | Path) -> State:
    """Read a state back; the estimate is computed again from the labels.

    Raises
    ------
    ValueError
        If the file is not a saved state.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["format"] != "bayespref-sequential-1":
            raise KeyError("format")
        d = int(content["n_features"])
        state = start(
            [np.asarray(pool, dtype=np.float64).reshape(-1, d) for pool in content["pools"]],
            precision=float(content["precision"]),
        )
        told = tell(
            state,
            np.asarray(content["action"], dtype=np.int64),
            np.asarray(content["features"], dtype=np.float64).reshape(-1, d),
            np.asarray(content["labels"], dtype=np.float64),
        )
        asked = tuple(np.asarray(mask, dtype=bool) for mask in content["asked"])
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"path: {Path(path).name} is not a saved state ({type(error).__name__}: {error})") from None
    if [len(mask) for mask in asked] != [len(pool) for pool in told.pools]:
        raise ValueError(f"path: {Path(path).name} marks candidates that its pools do not have")
    return told._replace(asked=asked)
