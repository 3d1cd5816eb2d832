"""Latent types of many annotators, by batches or by blocked Gibbs: CPU seconds and peak memory, truth known."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bayespref.comparisons import from_codes
from benchmarks.measure import Line, apart

STATES, ITEMS, TYPES, LABELS = 4, 10, 3, 100
SHARES = (0.5, 0.3, 0.2)
SIZES = {"svi": {"draws": 500}, "gibbs": {"warmup": 20, "draws": 50}}


def known_types_error(reward: np.ndarray, many: int) -> float:
    """Root mean square standard error of rewards were every annotator's type known, log-odds."""
    pairs = ITEMS * (ITEMS - 1) / 2
    variances = []
    for by_type in reward:
        for values, share in zip(by_type, SHARES, strict=True):
            chance = 1 / (1 + np.exp(values[None] - values[:, None]))
            weight = many * LABELS * share / STATES / pairs * chance * (1 - chance)
            np.fill_diagonal(weight, 0.0)
            variances.append(np.diag(np.linalg.pinv(np.diag(weight.sum(1)) - weight)))
    return float(np.sqrt(np.mean(variances)))


def fitted(annotators: str, method: str) -> dict[str, Any]:
    """Fit 100 labels of each annotator; CPU seconds, and how far rewards are from those that made the labels."""
    from bayespref import fit

    many = int(annotators)
    rng = np.random.default_rng(0)
    reward = rng.normal(size=(STATES, TYPES, ITEMS))
    reward -= reward.mean(axis=-1, keepdims=True)
    kind = rng.choice(TYPES, p=SHARES, size=many).astype(np.int8)
    n = many * LABELS
    person = np.repeat(np.arange(many, dtype=np.int32), LABELS)
    state = rng.integers(STATES, size=n, dtype=np.int32)
    a = rng.integers(ITEMS, size=n, dtype=np.int32)
    b = (a + rng.integers(1, ITEMS, size=n, dtype=np.int32)) % ITEMS
    gap = reward[state, kind[person], a] - reward[state, kind[person], b]
    lost = (rng.random(n) > 1 / (1 + np.exp(-gap))).astype(np.int8)
    del gap
    table = from_codes(
        a,
        b,
        lost,
        items=[f"item {k}" for k in range(ITEMS)],
        state=state,
        states=[f"state {k}" for k in range(STATES)],
        annotator=person,
        annotators=[f"annotator {k}" for k in range(many)],
    )
    del a, b, lost, state, person
    began = time.process_time()
    tree = fit(
        "latent_types",
        table,
        rng_key=0,
        options={"n_types": TYPES},
        method=method,
        chains=2,
        n_starts=3,
        progress=False,
        **SIZES[method],
    )
    found = tree["posterior"]["reward"].mean(("chain", "draw")).values
    error = float(np.sqrt(np.mean((found - reward) ** 2)))
    every = int(tree["log_likelihood"].attrs["every"])
    best = known_types_error(reward, many)
    return {"seconds": time.process_time() - began, "error": error, "best": best, "every": every}


def run(quick: bool) -> list[Line]:
    if quick:
        checked(fitted("100", "svi"))
        return []
    lines = []
    for method, sizes in (("svi", (2_000, 20_000, 200_000)), ("gibbs", (20_000, 200_000))):
        for many in sizes:
            one = checked(apart("benchmarks.memory", "fitted", str(many), method))
            note = (
                f"peak {one['peak'] / 1e9:.2f} GB; rewards off by {one['error']:.4f} (types known: {one['best']:.4f})"
            )
            note += f"; log-likelihood of every {one['every']}. draw" if one["every"] > 1 else ""
            lines.append(Line(f"{method}, {many:,} annotators x {LABELS}", one["seconds"], target="< 8 GB", note=note))
    return lines


def checked(one: dict[str, Any]) -> dict[str, Any]:
    """Stop where rewards are further off than chance explains."""
    if not one["error"] < 1.5 * one["best"]:  # root mean squares over some hundred rewards: 1.5 is far outside chance
        raise AssertionError(f"rewards are off by {one['error']:.4f}, with types known by {one['best']:.4f}")
    return one
