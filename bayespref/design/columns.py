"""Column generation: solve on a few actions, certify on all, add those that would help most, stop on the certificate.

The work of the conic solver grows with the actions it sees; the certificate costs one product per action. Source:
column generation as in Desrosiers and Luebbecke (2005); certificates in `bayespref.design.certificate`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayespref.design.certificate import best_price, criterion_bound, criterion_value, linear_bound, loads, project
from bayespref.design.interior import newton
from bayespref.design.multiplicative import a_steps, d_steps
from bayespref.design.program import Program
from bayespref.design.solver import least_eigenvalue

MAX_ROUNDS = 60
"""Rounds of column generation; what is left after them shows in the gap."""
SMALL = 150
"""With no more actions than this, all are active from the start."""


class Point(NamedTuple):
    """A feasible p with its certificate, in the units of the program."""

    p: NDArray[np.float64]
    value: float
    bound: float
    dual: NDArray[np.float64]
    price: float
    q: NDArray[np.float64]


def _feasible(program: Program, active: NDArray[np.intp], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn solver output on the active actions into weights that meet every rule exactly."""
    x = np.maximum(x, 0.0)
    x[x < 1e-9 * x.max(initial=0.0)] = 0.0
    total = x.sum()
    x = x * (program.free / total) if total > 0 else np.full(len(x), program.free / max(len(x), 1))
    if np.isfinite(program.cap):
        cost = program.cost[active]
        room = program.cap - float(program.floors @ program.cost)
        over = float(cost @ x) - room
        if over > 0:
            cheap = np.zeros(len(x))
            cheap[cost.argmin()] = program.free
            gained = float(cost @ x - cost @ cheap)
            x = x + (cheap - x) * min(1.0, over / gained * (1 + 1e-15))
    p = program.floors.copy()
    p[active] += x
    return p


def _certify(program: Program, criterion: str, p: NDArray[np.float64], dual: NDArray[np.float64]) -> Point:
    dual = project(dual)
    if criterion == "E":
        trace = float(np.trace(dual, axis1=-2, axis2=-1).sum())
        if trace > 0:
            dual = dual / trace
    q = loads(program, dual)
    price = best_price(program, q)
    limit = linear_bound(program, q, price)
    bound = criterion_bound(criterion, dual, limit)
    if criterion != "E" and limit > 0 and np.isfinite(bound):  # the scale at which W itself proves the bound
        values = np.maximum(np.linalg.eigvalsh(dual[0]), 0.0)
        factor = len(values) / limit if criterion == "D" else (np.sqrt(values).sum() / limit) ** 2
        dual, q, price = dual * factor, q * factor, price * factor
    return Point(p, criterion_value(criterion, program.information(p)), bound, dual, price, q)


def _restricted(
    program: Program, criterion: str, active: NDArray[np.intp], start: NDArray[np.float64], scale: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Solve on the active actions only: weights and a dual matrix."""
    base = program.information(program.floors)
    capped = bool(np.isfinite(program.cap))
    cost = program.cost[active] if capped else None
    cap = program.cap - float(program.floors @ program.cost) if capped else np.inf
    if program.free == 0.0:
        p = program.floors
        dual = None
    elif criterion == "E":
        solved = least_eigenvalue(program.matrices[:, active], base, program.free, cost, cap, scale)
        if solved is None:
            return None
        p, dual = _feasible(program, active, solved.x), solved.dual
    else:
        inside = 0.9 * start[active] / max(float(start[active].sum()), 1e-300) + 0.1 / len(active)
        x = newton(program.flat[0][active], base[0], program.free, criterion, program.free * inside, cost, cap)
        p, dual = _feasible(program, active, x), None
    if dual is None:
        values, vectors = np.linalg.eigh(program.information(p))
        if criterion == "E":
            worst = int(values[:, 0].argmin())
            dual = np.zeros_like(vectors)
            dual[worst] = np.outer(vectors[worst, :, 0], vectors[worst, :, 0])
        else:
            power = values[:, None, :] ** (1 if criterion == "D" else 2)
            dual = (vectors / power) @ np.swapaxes(vectors, -1, -2)
    return p, dual


def _first_active(program: Program, weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Actions to start from: the heaviest after the multiplicative steps, and the cheapest."""
    d = program.matrices.shape[-1]
    allowed = program.allowed
    if len(allowed) <= SMALL:
        return allowed
    heaviest = allowed[np.argsort(-weights[allowed], kind="stable")[: min(SMALL, 2 * d * (d + 1))]]
    return np.union1d(heaviest, allowed[[int(program.cost[allowed].argmin())]])


def first_guess(program: Program, criterion: str) -> NDArray[np.float64]:
    """Weights after thirty multiplicative steps that ignore costs and floors; the sum of matrices must be regular."""
    start = np.zeros(program.matrices.shape[1])
    rows = program.flat[:, program.allowed]
    start[program.allowed] = a_steps(rows[0], 30) if criterion == "A" else d_steps(rows, 30)
    return start


def search(program: Program, criterion: str, start: NDArray[np.float64]) -> Point | None:
    """Best point found from a guess of the weights; None if the solver gave up at once."""
    d, allowed = program.matrices.shape[-1], program.allowed
    active = _first_active(program, start)
    best: Point | None = None
    for _ in range(MAX_ROUNDS):
        solved = _restricted(program, criterion, active, start)
        if solved is None:
            return best
        point = _certify(program, criterion, *solved)
        best = point if best is None else _better(criterion, point, best)
        # The price that fits the active actions alone: at the price of all, an unfinished search can look finished.
        paid = point.q - best_price(program, point.q, active) * program.cost
        violated = np.setdiff1d(allowed[paid[allowed] > paid[active].max() + 1e-10 * abs(paid[active]).max()], active)
        if not len(violated):
            return _polish(program, best) if criterion == "E" else best
        active = np.union1d(active, violated[np.argsort(-paid[violated], kind="stable")[: 4 * d]])
        start = 0.9 * point.p + 0.1 * start
    return best


def _better(criterion: str, one: Point, other: Point) -> Point:
    """The better design of two with the tighter bound of two; both stay valid on their own."""
    sign = -1.0 if criterion == "A" else 1.0
    tight, loose = (one, other) if sign * one.bound < sign * other.bound else (other, one)
    return tight if sign * tight.value >= sign * loose.value else tight._replace(p=loose.p, value=loose.value)


def _polish(program: Program, point: Point) -> Point:
    """Win back the digits that outlying matrices cost: solve again at the value's own scale, without idle actions."""
    for scale in (4.0, 1.0, 16.0):
        if point.bound - point.value <= 1e-9 * point.value or point.value <= 0:
            break
        paid = (point.q - point.price * program.cost)[program.allowed]
        near = program.allowed[paid >= paid.max() - 0.05 * np.abs(paid).max()]
        near = np.union1d(near, program.allowed[[int(program.cost[program.allowed].argmin())]])
        solved = _restricted(program, "E", near, point.p, scale * point.value)
        if solved is not None:
            point = _better("E", _certify(program, "E", *solved), point)
    return point


def null_directions(program: Program) -> NDArray[np.float64]:
    """Null directions of what the reachable actions can add up to, in the first group that has some."""
    reach = program.floors.copy()
    reach[program.allowed] += 1.0 / len(program.allowed)
    d = program.matrices.shape[-1]
    for information in program.information(reach):
        values, vectors = np.linalg.eigh(information)
        null = values <= 1e-12 * max(values[-1], 0.0)
        if null.any():
            return np.asarray(vectors[:, null])
    return np.zeros((d, 0))
