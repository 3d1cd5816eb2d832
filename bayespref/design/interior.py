"""Primal-dual Newton steps for D- and A-optimal mixtures under a cost cap and floors; NumPy only.

Minimise F(x) = -log det(base + sum x_a M_a), or the trace of the inverse, over x >= 0, sum x = mass, cost'x <= cap.
Source: Boyd and Vandenberghe (2004), *Convex Optimization*, section 11.7. The caller certifies what comes back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

MAX_STEPS = 80
TARGET = 1e-11
"""Complementarity, relative to the criterion, at which to stop."""


def _derivatives(
    rows: NDArray[np.float64], base: NDArray[np.float64], x: NDArray[np.float64], criterion: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient (m,) and a factor Y (m, d * d) with Hessian Y Y' of F at x."""
    d = len(base)
    values, vectors = np.linalg.eigh(base + (x @ rows).reshape(d, d))
    root = vectors / np.sqrt(values)  # root root' = I^-1
    inner = root.T @ rows.reshape(-1, d, d) @ root
    if criterion == "D":
        return -np.trace(inner, axis1=1, axis2=2), inner.reshape(len(x), -1)
    # In the eigenbasis root'root = diag(1 / values): Y_a = sqrt(2) X_a I^-1/2.
    gradient = -(np.diagonal(inner, axis1=1, axis2=2) / values).sum(axis=1)
    return gradient, np.sqrt(2.0) * (inner / np.sqrt(values)).reshape(len(x), -1)


def _largest_step(x: NDArray[np.float64], dx: NDArray[np.float64]) -> float:
    falling = dx < 0
    return min(1.0, 0.99 * float((-x[falling] / dx[falling]).min())) if falling.any() else 1.0


def newton(
    rows: NDArray[np.float64],
    base: NDArray[np.float64],
    mass: float,
    criterion: str,
    start: NDArray[np.float64],
    cost: NDArray[np.float64] | None = None,
    cap: float = np.inf,
) -> NDArray[np.float64]:
    """Approach the optimal x from a strictly positive start.

    Parameters
    ----------
    rows : array, shape (m, d * d)
        Matrices as rows.
    base : array, shape (d, d)
        What the floors contribute.
    mass, cap : float
        Mass to place, and the cost cap on it (infinite without).
    criterion : {"D", "A"}
    start : array, shape (m,)
        Positive, sums to ``mass``; moved inside the cap if need be.
    cost : array, shape (m,), optional
        Needed with a finite cap.

    Returns
    -------
    array, shape (m,)
        Non-negative; sums to ``mass`` up to rounding.
    """
    m = len(rows)
    capped = int(cost is not None and bool(np.isfinite(cap)))
    equal = np.zeros((1 + capped, m + capped))
    equal[0, :m] = 1.0
    right = np.array([mass, cap][: 1 + capped])
    x = start
    if capped and cost is not None:
        size = max(float(cost.max()), 1e-300)
        equal[1, :m], equal[1, m], right[1] = cost / size, 1.0, cap / size
        # A start beyond the cap would stall: mix it with the cheapest action until half of the room is left.
        cheap = np.zeros(m)
        cheap[int(cost.argmin())] = mass
        spent, least = float(cost @ start), float(cost @ cheap)
        keep = min(1.0, 0.5 * (cap - least) / (spent - least)) if spent > least else 1.0
        x = cheap + keep * (start - cheap)
        x = np.append(x, (cap - float(cost @ x)) / size)
    gradient, factor = _derivatives(rows, base, x[:m], criterion)
    size = max(float(-gradient @ x[:m]), 1e-300)  # d for D; the trace for A
    y, z = np.zeros(len(equal)), 0.1 * size / len(x) / x

    def residual(
        x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64], slope: NDArray[np.float64], mu: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        full = np.append(slope, np.zeros(capped))
        return full - z + equal.T @ y, x * z - mu, equal @ x - right

    for _ in range(MAX_STEPS):
        complementarity = float(x @ z)
        dual, _, primal = residual(x, y, z, gradient, 0.0)
        if complementarity <= TARGET * size and np.abs(primal).max() <= 1e-13 and np.abs(dual @ x) <= TARGET * size:
            break
        mu = 0.1 * complementarity / len(x)
        dual, centre, primal = residual(x, y, z, gradient, mu)
        hessian = np.zeros((len(x), len(x)))
        hessian[:m, :m] = factor @ factor.T
        hessian[np.diag_indices(len(x))] += z / x
        try:
            lower = np.linalg.cholesky(hessian)
        except np.linalg.LinAlgError:
            break
        solved = solve_triangular(lower, np.column_stack([-(dual + centre / x), equal.T]), lower=True)
        moved, span = solved[:, 0], solved[:, 1:]
        dy = np.linalg.solve(span.T @ span, span.T @ moved + primal)
        dx = solve_triangular(lower.T, moved - span @ dy, lower=False)
        dz = -(centre + z * dx) / x
        step = min(_largest_step(x, dx), _largest_step(z, dz))
        before = np.sqrt(sum(float(part @ part) for part in (dual, centre, primal)))
        for _ in range(30):
            tried = x + step * dx, y + step * dy, z + step * dz
            slope, root = _derivatives(rows, base, tried[0][:m], criterion)
            after = np.sqrt(sum(float(part @ part) for part in residual(*tried, slope, mu)))
            if after <= (1 - 0.01 * step) * before or after <= 1e-13 * size:
                break
            step *= 0.5
        else:
            break
        (x, y, z), gradient, factor = tried, slope, root
    return x[:m]
