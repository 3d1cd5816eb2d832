"""One road to HiGHS for the linear programs of this stage: tight tolerances, a scaled objective, plain results."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

TOLERANCE = 1e-10
"""Primal and dual feasibility asked of HiGHS, its tightest."""


class Program(NamedTuple):
    """Result of a linear program.

    Attributes
    ----------
    status : str
        "optimal", "infeasible" or "unbounded".
    value : float
        Optimum; NaN unless optimal.
    x : array
        A minimiser; empty unless optimal.
    row_prices : array
        Multipliers >= 0 of the rows ``A_ub x <= b_ub``; empty unless optimal.
    """

    status: str
    value: float
    x: NDArray[np.float64]
    row_prices: NDArray[np.float64]


def minimise(
    cost: NDArray[np.float64],
    rows: Any,
    limit: NDArray[np.float64],
    *,
    equal_rows: Any = None,
    equal: NDArray[np.float64] | None = None,
    bounds: list[tuple[float | None, float | None]],
) -> Program:
    """Minimise ``cost x`` subject to ``rows x <= limit``, ``equal_rows x = equal`` and simple bounds.

    Parameters
    ----------
    cost : array, shape (V,)
        Objective.
    rows, equal_rows : array or sparse array, shape (E, V)
        Constraint rows.
    limit, equal : array, shape (E,)
        Right-hand sides.
    bounds : list of tuple
        Lower and upper bound per variable, None for none.

    Returns
    -------
    Program
        Status, optimum, minimiser, prices of the inequality rows.

    Raises
    ------
    RuntimeError
        If HiGHS stops for another reason than an optimum, infeasibility or unboundedness.

    Examples
    --------
    >>> p = minimise(np.array([-1.0]), np.array([[1.0]]), np.array([3.0]), bounds=[(0.0, None)])
    >>> p.status, p.value, p.row_prices.tolist()
    ('optimal', -3.0, [1.0])
    """
    scale = float(np.abs(cost).max(initial=0.0)) or 1.0
    arguments: dict[str, Any] = {
        "A_ub": rows,
        "b_ub": limit,
        "A_eq": equal_rows,
        "b_eq": equal,
        "bounds": bounds,
        "method": "highs",
        "options": {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE},
    }
    result: Any = linprog(cost / scale, **arguments)
    empty = np.empty(0)
    if result.status == 4:
        # Presolve may say "infeasible or unbounded" or stop on numerics; the plain simplex decides.
        arguments["options"]["presolve"] = False
        result = linprog(cost / scale, **arguments)
    if result.status == 2:
        return Program("infeasible", np.nan, empty, empty)
    if result.status == 3:
        return Program("unbounded", np.nan, empty, empty)
    if result.status != 0:
        raise RuntimeError(f"HiGHS stopped without an answer: {result.message}")
    x = np.asarray(result.x, dtype=np.float64)
    prices = np.maximum(-np.asarray(result.ineqlin.marginals, dtype=np.float64), 0.0) * scale
    return Program("optimal", float(cost @ x), x, prices)
