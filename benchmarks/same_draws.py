"""One small fit by every method: ``python -m benchmarks.same_draws OUT.npz [--against OTHER.npz] [--only METHOD ...]``.

Writes the draws of the rewards; with ``--against``, the largest difference from those that another process, Python or
set of versions wrote, in log-odds and in posterior standard deviations of the reward.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")

import numpy as np

METHODS = {
    "nuts": ("single", {}),
    "gibbs": ("latent_types", {"n_types": 2}),
    "laplace": ("single", {}),
    "svi": ("single", {}),
}


def draws(method: str) -> np.ndarray:
    """Rewards of a small fit, shape (chain, draw, state, type, item)."""
    from bayespref.comparisons import from_codes
    from bayespref.workflow import fit

    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 240)
    b = (a + rng.integers(1, 4, 240)) % 4
    people = tuple(f"u{i:02}" for i in range(20))
    table = from_codes(
        a, b, (rng.random(240) < 0.5 + 0.1 * (b - a)).astype(int), items=tuple("wxyz"), annotator=np.arange(240) // 12,
        annotators=people,
    )  # fmt: skip
    model, options = METHODS[method]
    tree = fit(model, table, rng_key=7, options=options, method=method, chains=2, draws=200, progress=False)
    return tree["posterior"]["reward"].values


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_draws", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    chosen = parser.parse_args()
    found = {method: draws(method) for method in chosen.only}
    np.savez(chosen.out, **found)
    if chosen.against:
        with np.load(chosen.against, allow_pickle=False) as other:
            for method, mine in found.items():
                apart = np.abs(mine - other[method])
                spread = mine.std(axis=(0, 1))
                mean = np.abs(mine.mean(axis=(0, 1)) - other[method].mean(axis=(0, 1)))
                print(
                    f"{method}: largest difference of a draw {apart.max():.3g} log-odds; of a posterior mean "
                    f"{mean.max():.3g} log-odds, {np.max(mean / np.where(spread > 0, spread, np.inf)):.3g} sd"
                )


if __name__ == "__main__":
    main()
