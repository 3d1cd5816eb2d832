"""Outcome models fitted without the annotators they predict, and the pseudo-labels a doubly robust fit is made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayespref.checks import at_least, between, finite, non_negative, simplex
from bayespref.display import shown


@shown(next_step="hand it to doubly_robust_risk")
class CrossFit(NamedTuple):
    """Predictions that never saw the annotator they are for.

    Attributes
    ----------
    logged : array, shape (n,)
        Predicted preference probability of each logged row, from the other folds.
    target : array, shape (cell,)
        Prediction per cell for target tuples: the folds' predictions averaged by the rows they serve. The risk is
        linear in it, so the average is exact.
    """

    logged: NDArray[np.float64]
    target: NDArray[np.float64]


@shown("{n_outside} outside [0, 1]", next_step="hand it to the DPO fit")
class PseudoOutcomes(NamedTuple):
    """Per cell, the label a doubly robust fit minimises against.

    Attributes
    ----------
    value : array, shape (cell,)
        q + sum_i w_i (L_i - q_i) / (n p_T g_T); outside [0, 1] where few heavy rows decide. NaN where the target has no
        mass.
    n_outside : int
        Cells outside [0, 1]. There the loss alone is unbounded below: fit with a ridge, or clip, and say which.
    """

    value: NDArray[np.float64]
    n_outside: int


def folds_by_annotator(annotator: Int[np.ndarray, " n"], n_folds: int, *, seed: int) -> Int[np.ndarray, " n"]:
    """Fold of each row; the rows of one annotator share a fold.

    Parameters
    ----------
    annotator : int array, shape (n,)
        Annotator codes.
    n_folds : int
        Number of folds, at least 2 and at most the number of annotators.
    seed : int
        Seed of the assignment.

    Returns
    -------
    int array, shape (n,)

    Raises
    ------
    ValueError
        If there are fewer annotators than folds.

    Examples
    --------
    >>> fold = folds_by_annotator(np.array([0, 0, 1, 2, 2, 3]), 2, seed=0)
    >>> bool(fold[0] == fold[1] and fold[3] == fold[4]), sorted(set(fold.tolist()))
    (True, [0, 1])
    """
    people, code = np.unique(np.asarray(annotator), return_inverse=True)
    if at_least("n_folds", n_folds, 2) > len(people):
        raise ValueError(f"n_folds: {n_folds} folds need as many annotators, the rows have {len(people)}")
    order = np.random.default_rng(seed).permutation(len(people))
    return np.asarray((order % n_folds)[code], dtype=np.int64)


def cross_fit_shares(
    cell: Int[np.ndarray, " n"],
    label: Float[np.ndarray, " n"],
    fold: Int[np.ndarray, " n"],
    *,
    n_cells: int,
    pseudo_count: float = 0.5,
) -> CrossFit:
    """Share of labels per cell, each row's predicted from the other folds.

    Parameters
    ----------
    cell : int array, shape (n,)
        Cell of the outcome model, for instance (prompt, type, pair).
    label : array, shape (n,)
        Labels in [0, 1].
    fold : int array, shape (n,)
        From `folds_by_annotator`.
    n_cells : int
        Number of cells.
    pseudo_count : float
        Added wins and losses (Jeffreys 0.5); a cell the other folds never saw predicts 1/2. With 0 it is NaN, which
        `doubly_robust_risk` refuses.

    Returns
    -------
    CrossFit

    Raises
    ------
    ValueError
        If a label leaves [0, 1].

    Examples
    --------
    >>> got = cross_fit_shares(np.zeros(4, int), np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1]), n_cells=1)
    >>> got.logged.round(4).tolist(), got.target.round(4).tolist()
    ([0.1667, 0.1667, 0.8333, 0.8333], [0.5])
    """
    value = between("label", label, 0.0, 1.0)
    extra = float(non_negative("pseudo_count", pseudo_count))
    cells, folds = np.asarray(cell, dtype=np.int64), np.asarray(fold, dtype=np.int64)
    n_folds = int(folds.max()) + 1
    count = np.bincount(folds * n_cells + cells, minlength=n_folds * n_cells).reshape(n_folds, n_cells)
    won = np.bincount(folds * n_cells + cells, value, minlength=n_folds * n_cells).reshape(n_folds, n_cells)
    others, others_won = count.sum(axis=0) - count, won.sum(axis=0) - won
    with np.errstate(invalid="ignore"):
        predicted = (others_won + extra) / (others + 2.0 * extra)
    served = np.bincount(folds, minlength=n_folds) / len(folds)
    return CrossFit(predicted[folds, cells], served @ predicted)


def pseudo_outcomes(
    cell: Int[np.ndarray, " n"],
    label: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    predicted: Float[np.ndarray, " n"],
    *,
    target_predicted: Float[np.ndarray, " cell"],
    target_mass: Float[np.ndarray, " cell"],
) -> PseudoOutcomes:
    """Labels per cell whose weighted DPO loss is the doubly robust risk.

    The risk of `doubly_robust_risk` equals sum over cells of p_T g_T [softplus(z) - value z], up to a constant, for any
    z that is constant within cells.

    Parameters
    ----------
    cell : int array, shape (n,)
        Cell (prompt, type and pair) of each logged row.
    label, weight, predicted : array, shape (n,)
        Labels, weights and cross-fitted predictions of the logged rows.
    target_predicted : array, shape (cell,)
        Prediction per cell.
    target_mass : array, shape (cell,)
        p_T g_T per cell, summing to one.

    Returns
    -------
    PseudoOutcomes

    Raises
    ------
    TargetMixError
        If ``target_mass`` is not a distribution.
    ValueError
        If logged rows lie in cells the target never visits with a weight above zero.

    Examples
    --------
    >>> got = pseudo_outcomes(np.array([0, 0]), np.array([1.0, 0.0]), np.array([1.0, 3.0]), np.array([0.5, 0.5]),
    ...                       target_predicted=np.array([0.5]), target_mass=np.array([1.0]))
    >>> got.value.tolist(), got.n_outside
    ([0.0], 0)
    """
    mass = simplex("target_mass", target_mass)
    w = finite("weight", non_negative("weight", weight))
    residual = w * (between("label", label, 0.0, 1.0) - between("predicted", predicted, 0.0, 1.0))
    cells = np.asarray(cell, dtype=np.int64)
    stray = (mass[cells] == 0) & (w > 0)
    if stray.any():
        raise ValueError(
            f"weight: {int(stray.sum())} logged row(s) have weight in cells the target never visits, first rows "
            f"{np.flatnonzero(stray)[:5].tolist()}"
        )
    total = np.bincount(cells, residual, minlength=len(mass)) / len(cells)
    correction = np.divide(total, mass, out=np.full(len(mass), np.nan), where=mass > 0)
    value = np.where(mass > 0, between("target_predicted", target_predicted, 0.0, 1.0) + correction, np.nan)
    return PseudoOutcomes(value, int(((value < 0) | (value > 1)).sum()))
