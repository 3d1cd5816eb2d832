"""Table form (one entry a distinct answer) against one row at a time, value and gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayespref.choice import choice_data
from bayespref.comparisons import Comparisons, from_codes
from bayespref.fit.density import make_density
from bayespref.models import latent_types
from benchmarks.measure import Line, cpu_seconds, require_close

STATES, ITEMS, TYPES, LABELS = 4, 10, 3, 100


def table_of(rows: int, *, labels: int = LABELS, seed: int = 0) -> Comparisons:
    """Rows sorted by annotator, types of very different taste."""
    rng = np.random.default_rng(seed)
    people = rows // labels
    reward = rng.normal(size=(TYPES, STATES, ITEMS))
    kind = np.repeat(rng.integers(0, TYPES, people), labels)
    state, item_a = rng.integers(0, STATES, rows), rng.integers(0, ITEMS, rows)
    item_b = (item_a + rng.integers(1, ITEMS, rows)) % ITEMS
    d = reward[kind, state, item_a] - reward[kind, state, item_b]
    return from_codes(
        item_a,
        item_b,
        rng.random(rows) > 1 / (1 + np.exp(-d)),
        items=[f"i{k}" for k in range(ITEMS)],
        state=state,
        states=[f"s{k}" for k in range(STATES)],
        annotator=np.repeat(np.arange(people), labels),
        annotators=[f"u{k}" for k in range(people)],
    )


def run(quick: bool) -> list[Line]:
    lines = []
    for rows in (2_000,) if quick else (200_000, 2_000_000):
        table = table_of(rows)
        data, outcome = choice_data(table)
        density = make_density(latent_types, data, {"n_types": TYPES})
        columns = [jnp.asarray(x) for x in (table.state, table.item_a, table.item_b, table.outcome, table.annotator)]
        people = table.n_annotators

        def by_row(flat, data, state, a, b, won, unit, density=density, people=people):
            values = density.variables(flat, data)
            reward, prompt = jnp.swapaxes(values["reward"], 0, 1), jnp.log(values["prompt_prob"])
            d = reward[:, state, a] - reward[:, state, b]
            log_p = jax.nn.log_sigmoid(jnp.where(won == 0, d, -d)) + prompt[:, state]
            total = jax.ops.segment_sum(log_p.T, unit, num_segments=people, indices_are_sorted=True)
            mixed = jax.scipy.special.logsumexp(total + jnp.log(values["type_weight"]), axis=1)
            return mixed.sum() + density.log_prior(flat, data)

        flat = jnp.asarray(0.5 * np.random.default_rng(1).normal(size=density.size))
        ours, rowwise = jax.jit(jax.value_and_grad(density.log_joint)), jax.jit(jax.value_and_grad(by_row))
        value, gradient = jax.block_until_ready(ours(flat, data, outcome))
        other, slope = jax.block_until_ready(rowwise(flat, data, *columns))
        require_close("log-joint", other, value, rtol=1e-10)
        require_close("gradient", slope, gradient, atol=1e-9 * float(jnp.abs(gradient).max()))
        fast, _ = cpu_seconds(lambda: jax.block_until_ready(ours(flat, data, outcome)), repeats=5)  # noqa: B023
        slow, _ = cpu_seconds(lambda: jax.block_until_ready(rowwise(flat, data, *columns)), repeats=3)  # noqa: B023
        size = f"{rows:,} rows"
        lines += [
            Line(f"table form, {size}", fast, note=f"{data.unit.shape[0]:,} distinct (annotator, answer)"),
            Line(f"row by row, {size}", slow, slow / fast, ">= 6" if rows == 2_000_000 else ""),
        ]
    return lines
