"""Plain Bradley-Terry from integer codes, against the packages people use."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bayespref.comparisons import from_codes
from bayespref.fit.maximum_likelihood import maximum_likelihood
from benchmarks.measure import Line, cpu_seconds, installed, require_close

ITEMS = 100


def rows_of(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two items and who won (0: the first)."""
    rng = np.random.default_rng(0)
    reward = rng.normal(size=ITEMS)
    a = rng.integers(ITEMS, size=rows)
    b = (a + rng.integers(1, ITEMS, size=rows)) % ITEMS
    return a, b, (rng.random(rows) > 1 / (1 + np.exp(reward[b] - reward[a]))).astype(np.int8)


def evalica(a, b, won) -> np.ndarray:
    """Codes as arrays, winners as its own enumeration: the fastest call found among lists, arrays and an index."""
    import evalica

    names = (evalica.Winner.X, evalica.Winner.Y)
    winners = [names[k] for k in won.tolist()]
    result = evalica.bradley_terry(a, b, winners, tolerance=1e-8, limit=1000)
    return np.log(result.scores.sort_index().to_numpy())


def choix(a, b, won) -> np.ndarray:
    import choix

    winner, loser = np.where(won == 0, a, b), np.where(won == 0, b, a)
    return choix.ilsr_pairwise(ITEMS, list(zip(winner.tolist(), loser.tolist(), strict=True)))


def arena_rank(a, b, won) -> np.ndarray:
    import pandas as pd
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    frame = pd.DataFrame({"model_a": a, "model_b": b, "winner": np.where(won == 0, 1.0, 0.0)})
    model = BradleyTerry(ITEMS)
    model.compute_ratings_and_cis(PairDataset.from_pandas(frame, outcome_map=float))
    return np.asarray(model.params["ratings"])


def scikit_learn(a, b, won) -> np.ndarray:
    import scipy.sparse as sparse
    from sklearn.linear_model import LogisticRegression

    n = len(a)
    column, sign = np.concatenate([a, b]), np.repeat([1.0, -1.0], n)
    design = sparse.csr_matrix((sign, (np.tile(np.arange(n), 2), column)), shape=(n, ITEMS))
    model = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-6, max_iter=1000)
    return model.fit(design, won == 0).coef_[0]


PEERS: dict[str, tuple[Callable[..., np.ndarray], str, str]] = {
    "evalica": (evalica, ">= 40", "estimates only"),
    "choix": (choix, "", "ilsr, estimates only"),
    "arena-rank": (arena_rank, ">= 200", "estimates and sandwich errors"),
    "scikit-learn": (scikit_learn, "", "estimates only"),
}


def run(quick: bool) -> list[Line]:
    a, b, won = rows_of(20_000 if quick else 1_000_000)
    items = [f"item {k}" for k in range(ITEMS)]

    def ours():
        return maximum_likelihood(from_codes(a, b, won, items=items), by=())

    first, _ = cpu_seconds(ours, repeats=1)
    seconds, fitted = cpu_seconds(ours, repeats=3 if quick else 15)
    score = fitted["score"].values
    lines = [Line("bayespref", seconds, note=f"estimates and standard errors; first call {first:.3g}")]
    for name, (work, target, note) in PEERS.items():
        if not installed(name):
            lines.append(Line(name, float("nan"), note="not installed"))
            continue
        start = time.process_time()
        found = work(a, b, won)
        cold = time.process_time() - start
        require_close(name, found - found.mean(), score, atol=2e-3)
        later, _ = cpu_seconds(lambda: work(a, b, won), repeats=1 if quick else 2)  # noqa: B023
        lines.append(Line(name, later, later / seconds, target, f"{note}; first call {cold:.3g}"))
    return lines
