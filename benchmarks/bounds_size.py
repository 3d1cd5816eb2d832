"""CPU seconds and memory of bounds, regret matrices and games (default: 4,000 draws, 40 states, 3 types, 20 items).

Run: ``python benchmarks/bounds_size.py [draws] [states] [types] [items]``. The table says, per step, the CPU seconds,
the limit asked of the default size, and how the games were settled. Two kinds of games: *typical*, where most items of
a cell are joined and at most a tenth of the games need a linear program; *worst*, where no two items are joined and no
game is settled by dominance or in closed form. The worst case is solved on a sample of draws and scaled.
"""

from __future__ import annotations

import math
import resource
import sys
import time

import numpy as np

from bayespref.bounds.identified import difference_bounds, level_bounds
from bayespref.bounds.regret import minimax_regret, regret_from_offsets

SAMPLE = 100
"""Draws of the worst case that are solved."""


def typical(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Component labels: nine in ten states wholly joined, the others in two to four components."""
    component = np.zeros(shape, dtype=np.int64)
    for state in rng.permutation(shape[0])[: max(1, shape[0] // 10)]:
        for kind in range(shape[1]):
            component[state, kind] = rng.integers(0, rng.integers(2, 5), shape[2])
    return component


def shares(methods: np.ndarray) -> str:
    """How the games were settled, in words."""
    names = ("undefined", "saddle", "closed form", "batched simplex", "HiGHS")
    return ", ".join(f"{names[k]} {np.mean(methods == k):.1%}" for k in range(5) if np.any(methods == k))


def main(n_draws: int = 4_000, n_states: int = 40, n_types: int = 3, n_items: int = 20) -> None:
    rng = np.random.default_rng(0)
    shape = (n_states, n_types, n_items)
    offsets = rng.normal(scale=0.15, size=(n_draws, *shape)) + rng.normal(scale=0.5, size=shape)
    reward_range = (0.0, float(np.ceil(offsets.max() - offsets.min())))
    weights = np.full((n_states, n_types), 1.0 / n_types)
    component = typical(rng, shape)
    print(f"{n_draws:,} draws x {n_states} states x {n_types} types x {n_items} items, range {reward_range}")
    lines: list[tuple[str, float, str, str]] = []

    def timed(name: str, limit: str, work, note=lambda result: "", factor: float = 1.0):
        start = time.process_time()
        result = work()
        lines.append((name, factor * (time.process_time() - start), limit, note(result)))
        return result

    gigabytes = n_draws * math.prod(shape) * n_items * 8 / 1e9
    out = np.empty((n_draws, *shape, n_items))
    out.fill(0.0)  # the memory is touched before the clock starts
    timed("level bounds", "", lambda: level_bounds(offsets, component, reward_range).lower)
    timed(
        "difference bounds",
        "1 s with levels",
        lambda: difference_bounds(offsets, component, reward_range, out=out),
        lambda _: f"{gigabytes:.1f} GB written",
    )
    del out
    matrix, _ = timed(
        "regret matrices from draws",
        "10 s",
        lambda: regret_from_offsets(offsets, component, weights, reward_range),
        lambda _: "difference bounds in blocks, never stored",
    )
    timed("V, typical games", "60 s", lambda: minimax_regret(matrix), lambda game: shares(game.method))
    apart = np.broadcast_to(np.arange(n_items), shape)
    few = offsets[:SAMPLE] * 0.2
    loss, _ = regret_from_offsets(few, apart, weights, reward_range)
    loss = loss + rng.uniform(0.0, 0.3, loss.shape) * (1.0 - np.eye(n_items))
    timed(
        f"V, worst case ({len(few)} draws, scaled)",
        "reported",
        lambda: minimax_regret(loss),
        lambda game: f"{shares(game.method)}; largest gap {np.max(game.gap):.1e}",
        n_draws / len(few),
    )
    width = max(len(name) for name, *_ in lines)
    print(f"{'step':{width}}  {'CPU s':>8}  {'limit':15}  note")
    for name, seconds, limit, note in lines:
        print(f"{name:{width}}  {seconds:8.2f}  {limit:15}  {note}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
