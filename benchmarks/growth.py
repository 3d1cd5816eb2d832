"""How cost grows with rows, annotators, types, states, items and draws: slopes of log CPU seconds on log size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayespref.choice import choice_data
from bayespref.comparisons import Comparisons, from_codes
from bayespref.fit.density import make_density
from bayespref.fit.gibbs import make_sweep
from bayespref.fit.structure import find_blocks
from bayespref.models import MODELS
from benchmarks.measure import Line, cpu_seconds, require_close


class Size(NamedTuple):
    """One size of a table and a model."""

    rows: int = 200_000
    annotators: int = 2_000
    types: int = 3
    states: int = 4
    items: int = 10
    draws: int = 20


GROWTH: dict[str, tuple[tuple[int, ...], str]] = {
    "rows": ((100_000, 200_000, 400_000, 800_000), "<= 1.05"),
    "annotators": ((1_000, 4_000, 16_000, 64_000), ""),
    "types": ((2, 4, 8, 16), ""),
    "states": ((4, 16, 64, 256), ""),
    "items": ((8, 16, 32, 64), "<= 2"),
    "draws": ((10, 20, 40, 80), "<= 1.05"),
}
QUICK = Size(2_000, 40, 2, 2, 4, 3)


def table(size: Size) -> Comparisons:
    """Random answers of annotators with equally many rows."""
    rng = np.random.default_rng(0)
    n, items = size.rows, size.items
    a = rng.integers(items, size=n)
    return from_codes(
        a,
        (a + rng.integers(1, items, size=n)) % items,
        rng.integers(0, 2, size=n),
        items=[f"item {k}" for k in range(items)],
        state=rng.integers(size.states, size=n),
        states=[f"state {k}" for k in range(size.states)],
        annotator=np.arange(n) % size.annotators,
        annotators=[f"annotator {k}" for k in range(size.annotators)],
    )


def counting(size: Size) -> Callable[[], Any]:
    """Rows to the arrays of a likelihood."""
    rows = table(size)
    return lambda: choice_data(rows.select(np.arange(rows.n_rows)))


def sweeping(size: Size) -> Callable[[], Any]:
    """Sweeps of blocked Gibbs, compiled."""
    data, outcome = choice_data(table(size))
    density = make_density(MODELS["latent_types"], data, {"n_types": size.types})
    sweep = make_sweep(density, find_blocks(density, data), data)
    start = jnp.asarray(0.3 * np.random.default_rng(0).normal(size=density.size))

    @jax.jit
    def many(flat: Any, data: Any, outcome: Any) -> Any:
        def step(state: Any, key: Any) -> Any:
            new, log_joint, _ = sweep(state, key, jnp.zeros_like(state), data, outcome, None)
            return new, log_joint

        return jax.lax.scan(step, flat, jax.random.split(jax.random.key(0), size.draws))[1]

    said = many(start, data, outcome)
    require_close("log-density of a sweep", said[0], density.log_joint(start, data, outcome), rtol=1e-9)
    return lambda: jax.block_until_ready(many(start, data, outcome))


def slope(sizes: tuple[int, ...], work: Callable[[int], Callable[[], Any]]) -> tuple[float, list[float]]:
    """Least-squares slope of log seconds on log size, and the seconds."""
    seconds = [cpu_seconds(work(size), repeats=5)[0] for size in sizes]
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), seconds


def run(quick: bool) -> list[Line]:
    if quick:
        sweeping(QUICK)()
        return []
    lines = []
    for what, base in (("one draw of Gibbs", sweeping), ("rows to counts", counting)):
        for name, (sizes, asked) in GROWTH.items():
            if base is counting and name != "rows":
                continue

            def at(value: int, name: str = name, base: Any = base) -> Callable[[], Any]:
                return partial(base, Size()._replace(**{name: value}))()

            found, seconds = slope(sizes, at)
            note = f"slope {found:.2f} over {', '.join(f'{size:,}' for size in sizes)}"
            lines.append(Line(f"{what}: {name}", seconds[-1], target=asked, note=note))
    return lines
