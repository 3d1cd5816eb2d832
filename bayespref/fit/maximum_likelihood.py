"""Bradley-Terry maximum likelihood on counts, with infinity and NaN where that is the answer.

The estimate of a difference is finite exactly inside a strong component of the win graph (Ford 1957, American
Mathematical Monthly 64, 28-33). Between strong components of one component it is infinite where only one side ever
wins, directly or through others; where neither reaches the other, or no comparison connects the two, it is undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path
from scipy.special import expit

from bayespref.checks import non_negative, one_of
from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, B_WINS, ITEM, ITEM_OTHER, TIE
from bayespref.display import shown

_MOST_STEPS = 100


@shown(
    "log-likelihood {log_likelihood}",
    next_step="infinite differences are separated, undefined ones disconnected: see bayespref.check",
)
class BradleyTerry(NamedTuple):
    """Maximum-likelihood estimate of one stratum.

    Attributes
    ----------
    score : float array, shape (item,)
        Log-strength centred within the item's strong component; NaN where it is alone there.
    difference, standard_error : float array, shape (item, item)
        r(a) - r(b), log-odds, and its standard error from the observed information: infinite differences have NaN
        error; undefined differences are NaN.
    strong_component : int array, shape (item,)
        Labels of strong components.
    log_likelihood : float
        At the estimate (its limit where differences are infinite), nats.
    """

    score: Float[np.ndarray, " item"]
    difference: Float[np.ndarray, "item item_other"]
    standard_error: Float[np.ndarray, "item item_other"]
    strong_component: Int[np.ndarray, " item"]
    log_likelihood: float


def bradley_terry(wins: Float[np.ndarray, "item item_other"]) -> BradleyTerry:
    """Bradley-Terry maximum likelihood of one table of wins, by Newton's method on counts.

    Parameters
    ----------
    wins : float array, shape (item, item)
        ``wins[i, j]``: weight with which i beat j (ties as half a win each way, or left out). The diagonal is ignored.

    Returns
    -------
    BradleyTerry

    Raises
    ------
    ValueError
        If wins are negative, not finite or not square.

    Examples
    --------
    >>> import numpy as np
    >>> fitted = bradley_terry(np.array([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    >>> round(float(fitted.difference[0, 1]), 6), float(fitted.difference[0, 2])
    (1.098612, nan)
    """
    beat = non_negative("wins", wins).copy()
    if beat.ndim != 2 or beat.shape[0] != beat.shape[1] or not np.all(np.isfinite(beat)):
        raise ValueError(f"wins: must be finite and of shape (item, item), got shape {beat.shape}")
    np.fill_diagonal(beat, 0.0)
    n_items = len(beat)
    graph = csr_array(beat)
    n_strong, strong = connected_components(graph, directed=True, connection="strong")
    score = np.full(n_items, np.nan)
    error = np.full((n_items, n_items), np.nan)
    log_likelihood = 0.0
    for label in range(n_strong):
        inside = np.flatnonzero(strong == label)
        if len(inside) == 1:
            error[inside, inside] = 0.0
            continue
        own = np.ix_(inside, inside)
        score[inside], covariance, value = _newton(beat[own])
        variance = np.diagonal(covariance)
        error[own] = np.sqrt(np.maximum(variance[:, None] + variance[None, :] - 2 * covariance, 0.0))
        log_likelihood += value
    reach = _reachable(graph, strong, n_strong)
    forward, backward = reach[strong][:, strong], reach.T[strong][:, strong]
    difference = np.where(forward & ~backward, np.inf, np.where(backward & ~forward, -np.inf, np.nan))
    same = strong[:, None] == strong[None, :]
    difference = np.where(same, score[:, None] - score[None, :], difference)
    np.fill_diagonal(difference, 0.0)
    return BradleyTerry(score, difference, error, strong.astype(np.int64), log_likelihood)


def maximum_likelihood(comparisons: Comparisons, *, by: Sequence[str] = ("state",), ties: str = "half") -> xr.Dataset:
    """Estimate Bradley-Terry rewards without a prior, per stratum, as a labelled Dataset.

    Parameters
    ----------
    comparisons : Comparisons
        The table.
    by : sequence of str
        Columns that make a stratum; empty for the whole table.
    ties : {"half", "drop"}
        Count a tie as half a win each way, or leave it out. "Both bad" is left out.

    Returns
    -------
    Dataset
        ``score`` (by, item), ``difference``, ``standard_error``, ``reason`` (by, item, item_other) and
        ``log_likelihood`` (by stratum). ``reason`` is ``separated`` where the estimate is infinite, or undefined within
        a component; ``disconnected`` where no chain of comparisons joins the items.

    Raises
    ------
    ValueError
        If ``ties`` is unknown.
    TableError
        If the table lacks a column of ``by``.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 0]), np.array([1, 1]), np.array([0, 0]), items=("x", "y", "z"))
    >>> fitted = maximum_likelihood(table, by=())
    >>> float(fitted["difference"][0, 1]), str(fitted["reason"][0, 1].values), str(fitted["reason"][0, 2].values)
    (inf, 'separated', 'disconnected')
    """
    one_of("ties", ties, ("half", "drop"))
    keys, counts = comparisons.pair_counts(by)
    shape = tuple(len(comparisons.labels(name)) for name in by)
    half = 0.5 * counts[:, TIE] if ties == "half" else np.zeros(len(counts))
    stratum = np.ravel_multi_index(tuple(keys[:, : len(by)].T), shape) if by else np.zeros(len(keys), dtype=int)
    fitted = []
    for index in range(int(np.prod(shape))):
        rows = stratum == index
        a, b = keys[rows, -2], keys[rows, -1]
        wins = np.zeros((comparisons.n_items, comparisons.n_items))
        wins[a, b] = counts[rows, A_WINS] + half[rows]
        wins[b, a] = counts[rows, B_WINS] + half[rows]
        joined = connected_components(csr_array(wins), directed=False)[1]
        one = bradley_terry(wins)
        apart = joined[:, None] != joined[None, :]
        split = one.strong_component[:, None] != one.strong_component[None, :]
        fitted.append((one, np.where(apart, "disconnected", np.where(split, "separated", ""))))
    pair = (*by, ITEM, ITEM_OTHER)
    wide = (*shape, comparisons.n_items, comparisons.n_items)
    return xr.Dataset(
        {
            "score": ((*by, ITEM), np.stack([one.score for one, _ in fitted]).reshape(wide[:-1])),
            "difference": (pair, np.stack([one.difference for one, _ in fitted]).reshape(wide)),
            "standard_error": (pair, np.stack([one.standard_error for one, _ in fitted]).reshape(wide)),
            "reason": (pair, np.stack([reason for _, reason in fitted]).reshape(wide).astype(np.str_)),
            "log_likelihood": (tuple(by), np.array([one.log_likelihood for one, _ in fitted]).reshape(shape)),
        },
        coords={name: list(comparisons.labels(name)) for name in (*by, ITEM)} | {ITEM_OTHER: list(comparisons.items)},
        attrs={"method": "Bradley-Terry maximum likelihood, Newton on counts", "ties": ties, "unit": "log-odds"},
    )


def _newton(wins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Estimate, covariance (of centred scores) and log-likelihood of one strongly connected table."""
    n_items = len(wins)
    a, b = np.nonzero(np.triu(wins + wins.T))
    won, lost = wins[a, b], wins[b, a]
    total = won + lost
    centre = np.full((n_items, n_items), 1.0 / n_items)

    def log_likelihood(difference: NDArray[np.float64]) -> float:
        """Log-probabilities of a win are -max(-d, 0) - log(1 + exp(-|d|)): one logarithm a pair, exact far out."""
        unlikely = np.where(difference > 0, lost, won) @ np.abs(difference)
        return -float(total @ np.log1p(np.exp(-np.abs(difference))) + unlikely)

    def information(difference: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Observed information and its scale; the constant direction, which data leave free, gets that scale."""
        weight = np.zeros((n_items, n_items))
        weight[a, b] = weight[b, a] = total * expit(difference) * expit(-difference)
        matrix = np.diag(weight.sum(1)) - weight
        scale = max(float(np.diagonal(matrix).max()), np.finfo(float).tiny)
        return matrix + scale * centre, scale

    theta, difference = np.zeros(n_items), np.zeros(len(a))
    value = log_likelihood(difference)
    for _ in range(_MOST_STEPS):
        surprise = won - total * expit(difference)
        gradient = np.bincount(a, surprise, n_items) - np.bincount(b, surprise, n_items)
        step = cho_solve(cho_factor(information(difference)[0]), gradient)
        along = step[a] - step[b]
        size = 1.0
        new = log_likelihood(difference + along)
        while not new >= value and size > 1e-10:
            size *= 0.5
            new = log_likelihood(difference + size * along)
        gain = new - value
        if new >= value:
            theta, difference, value = theta + size * step, difference + size * along, new
        if np.abs(step).max() * size < 1e-10 or not gain > 0:
            break
    matrix, scale = information(difference)
    return theta - theta.mean(), np.linalg.inv(matrix) - centre / scale, value


def _reachable(graph: csr_array, strong: NDArray[np.integer], n_strong: int) -> NDArray[np.bool_]:
    """Which strong component reaches which through wins."""
    source, target = graph.nonzero()
    edges = csr_array((np.ones(len(source)), (strong[source], strong[target])), shape=(n_strong, n_strong))
    return np.isfinite(shortest_path(edges, unweighted=True))
