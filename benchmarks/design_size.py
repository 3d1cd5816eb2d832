"""CPU seconds of optimal designs at the sizes promised, with the gap recomputed from the numbers returned alone.

Run: ``python benchmarks/design_size.py``. Unit vectors drawn at random are the case with the widest support; Gaussian
sources with random covariances are the usual one. Proposals from a fit are timed at 40 states, 3 types and 10 items.
"""

from __future__ import annotations

import time

import numpy as np

from bayespref.design.candidates import pair_candidates
from bayespref.design.certificate import certified_bound
from bayespref.design.mixture import optimal_mixture
from bayespref.design.value import allocate, decisions
from bayespref.information import gaussian_fisher

SIZES = ((2_000, 10, "E", 5.0), (20_000, 10, "E", 10.0), (500, 30, "D", 2.0), (500, 30, "A", 2.0))


def sources(kind: str, n: int, d: int) -> np.ndarray:
    """Information matrices of n actions with d features."""
    rng = np.random.default_rng(1)
    if kind == "unit vectors":
        x = rng.normal(size=(n, d))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return x[:, :, None] * x[:, None, :]
    mixing = rng.normal(size=(n, d, d)) / np.sqrt(d)
    return gaussian_fisher(mixing @ np.swapaxes(mixing, 1, 2), rng.normal(size=d))


def proposals() -> tuple[float, int]:
    """CPU seconds of proposals over 40 states, 3 types and 10 items, and the number of candidates."""
    rng = np.random.default_rng(0)
    reward = rng.normal(size=(1, 40, 3, 10)) + 0.3 * rng.normal(size=(200, 40, 3, 10))
    available = np.ones((40, 10), dtype=bool)
    began = time.process_time()
    candidates = pair_candidates(reward, np.eye(3), available)
    p = reward[0].size
    action = np.zeros((120, 10, p))
    for region in range(120):
        action[region, np.arange(10), region * 10 + np.arange(10)] = 1.0
    problem = decisions(reward.mean(axis=0).ravel(), action, np.full(120, 1 / 120), np.ones((120, 10), dtype=bool))
    allocate(0.09 * np.eye(p), candidates.loadings, problem, np.ones(len(candidates.state)), 1000)
    return time.process_time() - began, len(candidates.state)


def main() -> None:
    """Print the table."""
    print(f"{'actions':>8} {'d':>3} {'criterion':>9} {'sources':>12} {'CPU s':>6} {'limit':>6} {'relative gap':>13}")
    for n, d, criterion, limit in SIZES:
        for kind in ("unit vectors", "gaussian"):
            M = sources(kind, n, d)
            began = time.process_time()
            got = optimal_mixture(M, criterion=criterion)
            spent = time.process_time() - began
            gap = abs(certified_bound(M, got.dual, got.price, criterion=criterion) - got.value) / max(
                1e-12, abs(got.value)
            )
            print(f"{n:>8,} {d:>3} {criterion:>9} {kind:>12} {spent:>6.2f} {limit:>6.1f} {gap:>13.1e}")
    spent, size = proposals()
    print(f"proposals among {size:,} candidates of 1,200 parameters: {spent:.1f} CPU s")


if __name__ == "__main__":
    main()
