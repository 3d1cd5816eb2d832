"""Latent types, point estimate: our EM against one written as mixture packages do, on rows with a design matrix."""

from __future__ import annotations

import time

import jax
import numpy as np
from scipy.special import expit, log_expit, logsumexp

from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.em import em_climb, find_modes
from bayespref.models import latent_types
from benchmarks.measure import Line, require_close

CONCENTRATION = 5.0


def world(types: int, people: int, labels: int, items: int):
    """Rows sorted by annotator: item codes, who won, annotator."""
    rng = np.random.default_rng(types)
    reward = rng.normal(size=(types, items))
    annotator = np.repeat(np.arange(people), labels)
    kind = annotator % types
    a = rng.integers(0, items, len(annotator))
    b = (a + rng.integers(1, items, len(annotator))) % items
    won = rng.random(len(a)) > expit(reward[kind, a] - reward[kind, b])
    return a, b, won.astype(np.int8), annotator


def mixture_em(a, b, won, annotator, types: int, items: int, rng, *, most: int = 500, tolerance: float = 1e-7):
    """One start of EM for a mixture of logistic regressions: the M-step is Newton on weighted rows, to its end."""
    basis = zero_sum_basis(items)
    design = basis[a] - basis[b]
    y = (won == 0).astype(float)
    people = annotator.max() + 1
    hard = rng.integers(0, types, people)
    resp = 0.9 * np.eye(types)[hard] + 0.1 / types
    z, log_weight, before = np.zeros((types, items - 1)), np.full(types, -np.log(types)), -np.inf
    for _ in range(most):
        for k in range(types):
            weight = resp[annotator, k]
            for _ in range(25):
                p = expit(design @ z[k])
                gradient = design.T @ (weight * (y - p)) - z[k]
                hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + np.eye(items - 1)
                step = np.linalg.solve(hessian, gradient)
                z[k] += step
                if np.abs(step).max() < 1e-6:
                    break
        share = resp.sum(0) + CONCENTRATION
        log_weight = np.log(share / share.sum())
        d = design @ z.T
        rows = np.where(y[:, None] == 1, log_expit(d), log_expit(-d))
        joint = log_weight + np.stack([np.bincount(annotator, rows[:, k], people) for k in range(types)], axis=1)
        total = logsumexp(joint, axis=1)
        resp = np.exp(joint - total[:, None])
        value = total.sum() - 0.5 * (z**2).sum() + CONCENTRATION * log_weight.sum()
        if value - before < tolerance:
            break
        before = value
    return value, z, log_weight


def run(quick: bool) -> list[Line]:
    people, labels, items = (60, 30, 5) if quick else (500, 40, 20)
    lines = []
    for types in (2,) if quick else (2, 3):
        a, b, won, annotator = world(types, people, labels, items)

        begin = time.process_time()
        table = from_codes(
            a,
            b,
            won,
            items=[f"i{k}" for k in range(items)],
            annotator=annotator,
            annotators=[f"u{k}" for k in range(people)],
        )
        data, outcome = choice_data(table)
        density = make_density(latent_types, data, {"n_types": types})
        highest = float("nan")
        if not quick:
            modes = find_modes(density, data, outcome, rng_key=jax.random.key(0), progress=False)
            highest = modes.log_joint[0]
        cold = time.process_time() - begin
        warm, climbed = seconds_of_starts(density, data, outcome)
        highest = climbed if quick else highest
        begin = time.process_time()
        starts = 3
        ends = [mixture_em(a, b, won, annotator, types, items, np.random.default_rng(s)) for s in range(starts)]
        slow = (time.process_time() - begin) / starts * 10
        best = max(ends, key=lambda end: end[0])
        flat = np.concatenate([zero_sum_basis(types).T @ best[2], best[1].ravel()])
        require_close("log-posterior of the other's mode", density.log_joint(flat, data, outcome), highest, atol=1e-3)
        note = f"from rows to distinct modes, compilation and all: {cold:.3g}"
        lines += [
            Line(f"EM on counts, 10 starts, {types} types", warm, note=note),
            Line(f"EM on rows, 10 starts, {types} types", slow, slow / warm, note="3 starts run, their time scaled"),
        ]
    return lines


def seconds_of_starts(density, data, outcome) -> tuple[float, float]:
    """CPU seconds of ten compiled starts, and the highest log-posterior reached."""
    climb = em_climb(density, data, max_steps=500, tolerance=1e-7)
    keys = jax.random.split(jax.random.key(0), 10)
    jax.block_until_ready(climb(keys[0], data, outcome))
    begin = time.process_time()
    ends = jax.block_until_ready([climb(key, data, outcome) for key in keys])
    return time.process_time() - begin, max(float(value) for _, value in ends)
