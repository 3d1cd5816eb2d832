"""One road to CVXPY and Clarabel, the optional extra ``bayespref[design]``; results are points to certify, no more."""

from __future__ import annotations

import importlib
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


def load_cvxpy() -> Any:
    """Import CVXPY with Clarabel, or say how to get them.

    Raises
    ------
    ImportError
        If either is missing.
    """
    try:
        cvxpy = importlib.import_module("cvxpy")
        importlib.import_module("clarabel")
    except ImportError as error:
        raise ImportError(
            "this design needs CVXPY with Clarabel, the extra 'design': pip install 'bayespref[design]'. "
            "Criteria 'D' and 'A' work without them."
        ) from error
    return cvxpy


def solve(problem: Any) -> bool:
    """Run Clarabel; True if it came back with a point (optimal or nearly so)."""
    cvxpy = load_cvxpy()
    options = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10, "max_iter": 200}
    with warnings.catch_warnings():
        # An inaccurate solution shows in the certificate, which says by how much.
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver=cvxpy.CLARABEL, **options)
        except cvxpy.error.SolverError:
            return False
    return problem.status in (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE)


class LeastEigenvalue(NamedTuple):
    """Solution of `least_eigenvalue`: x (m,) and the dual matrices (G, d, d), as the solver left them."""

    x: NDArray[np.float64]
    dual: NDArray[np.float64]


def least_eigenvalue(
    matrices: NDArray[np.float64],
    base: NDArray[np.float64],
    mass: float,
    cost: NDArray[np.float64] | None = None,
    cap: float = np.inf,
    scale: float | None = None,
) -> LeastEigenvalue | None:
    """Maximise t subject to base_g + sum x_a M_a^g >= t I for every group, x >= 0, sum x = mass, cost'x <= cap.

    Parameters
    ----------
    matrices : array, shape (G, m, d, d)
        Symmetric, not necessarily semidefinite.
    base : array, shape (G, d, d)
        What the floors contribute.
    mass, cap : float
        Mass to place, and the cost cap on it.
    cost : array, shape (m,), optional
        Needed with a finite cap.
    scale : float, optional
        Unit of the program, the largest entry by default; a value near the optimum wins back digits.

    Returns
    -------
    LeastEigenvalue or None
        None if the solver gave up.
    """
    cvxpy = load_cvxpy()
    groups, m, d, _ = matrices.shape
    if scale is None:
        scale = max(float(np.abs(matrices).max()) * mass, float(np.abs(base).max()), 1e-300)
    x, t = cvxpy.Variable(m, nonneg=True), cvxpy.Variable()
    rules = [
        cvxpy.reshape((mass / scale * matrices[g].reshape(m, d * d).T) @ x, (d, d), order="C")
        + base[g] / scale
        - t * np.eye(d)
        >> 0
        for g in range(groups)
    ]
    rest = [cvxpy.sum(x) == 1]
    if np.isfinite(cap) and cost is not None:
        dear = max(float(cost.max()), 1e-300)
        rest.append((cost / dear) @ x <= cap / (dear * mass))
    if not solve(cvxpy.Problem(cvxpy.Maximize(t), rules + rest)):
        return None
    return LeastEigenvalue(np.asarray(x.value) * mass, np.stack([np.asarray(rule.dual_value) for rule in rules]))
