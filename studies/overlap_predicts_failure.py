"""Least eigenvalue of a bucket's information: does it say where the bucket's preferences will be wrong elsewhere.

World: buckets of 200 to 2,000 comparisons of three features, one direction of which varies little (variance .005 to 1,
at random). ``own``: every bucket has coefficients of its own, fitted in the bucket. ``shared``: all buckets have the
same, fitted together. ``omitted``: as ``own``, but labels also follow a feature that nobody recorded, which goes with
the recorded ones differently in each bucket. Failure is the share of comparisons with independent features of unit
variance whose preferred side the fit disputes; the least eigenvalue is per label, at the fit. Ranks are Spearman's,
errors from leaving out worlds.

Shows: where the model is right and buckets stand alone, failure falls with the least eigenvalue (rank correlation -.41,
slope of logarithms -.30) and more with the eigenvalue times the number of labels (-.50). What the fit's own covariance
expects of the test ranks failure better (.64): it weighs directions by the test, not by the worst case.

Does not show: that a large eigenvalue is a guarantee. With a feature omitted the fit is precisely wrong: failure is
three times larger and the least eigenvalue ranks none of it. Nor that a small one is a failure: where buckets share
coefficients, what one does not tell another does, and the bucket's own eigenvalue ranks nothing. The true error in
distribution (``inside``) ranks failure everywhere, as small coefficients make both large; but nobody sees it.

Where sources err: regressing failure per bucket on its least eigenvalue needs a right model and buckets that share
nothing; it is a law of variance, blind to bias. A slope of -1/2 (a standard error is one over a root) is not reached
even then: the worst direction is often not one that turns preferences.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import linregress, spearmanr

from bayespref.design.state import logistic_mode
from bayespref.information import fisher_by, overlap, sign_disagreement
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.shifts import BucketRows, uneven_buckets
from bayespref.studies.resampling import jackknife

SIZES = {"quick": {"worlds": 40}, "full": {"worlds": 300}}
WORLDS: dict[str, dict[str, Any]] = {"own": {}, "shared": {"shared": True}, "omitted": {"omitted": 1.0}}
BUCKETS, FLAT, BINS, DRAWS = 8, 1e-6, 6, 100
PREDICTORS = ("lambda_min", "lambda_min_total", "labels", "expected", "inside")


def cases(*, worlds: int) -> list[dict[str, Any]]:
    """Kinds of world, twenty at a time."""
    return [
        {"kind": kind, "first": first, "worlds": min(20, worlds - first)}
        for kind in WORLDS
        for first in range(0, worlds, 20)
    ]


def run_case(*, seed: int, kind: str, first: int, worlds: int) -> list[dict[str, Any]]:
    """One record a bucket: what its table says about itself, and how wrong it is elsewhere."""
    records = []
    for k in range(worlds):
        rows = uneven_buckets(BUCKETS, seed=seed + k, **WORLDS[kind])
        fitted, covariance = _fits(rows, together=kind == "shared")
        rng = np.random.default_rng([seed, k])
        information = fisher_by(rows.difference, fitted, rows.bucket)
        least = overlap(information.information[np.arange(BUCKETS), np.arange(BUCKETS)]).lambda_min
        for b in range(BUCKETS):
            truth, draws = rows.coefficient[b], rng.multivariate_normal(fitted[b], covariance[b], size=DRAWS)
            records.append(
                {
                    "kind": kind,
                    "world": first + k,
                    "lambda_min": float(least[b]),
                    "labels": int(information.counts[b]),
                    "lambda_min_total": float(least[b] * information.counts[b]),
                    "expected": float(sign_disagreement(draws, fitted[b], np.eye(3)).mean()),
                    "inside": float(sign_disagreement(fitted[b], truth, rows.covariance[b])),
                    "failure": float(sign_disagreement(fitted[b], truth, np.eye(3))),
                }
            )
    return records


def _fits(rows: BucketRows, *, together: bool) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and their covariance by bucket."""
    label = rows.first_wins.astype(float)
    if together:
        mode, covariance = logistic_mode(rows.difference, label, FLAT)
        return np.tile(mode, (BUCKETS, 1)), np.tile(covariance, (BUCKETS, 1, 1))
    which = [rows.bucket == b for b in range(BUCKETS)]
    modes, covariances = zip(*[logistic_mode(rows.difference[mine], label[mine], FLAT) for mine in which], strict=True)
    return np.stack(modes), np.stack(covariances)


def _regression(predictor: str, part: pd.DataFrame) -> dict[str, float]:
    """Line of log failure on the log predictor, and rank correlation."""
    x = np.log(part[predictor])
    line = linregress(x, np.log(part["failure"]))
    rank = spearmanr(x, part["failure"]).statistic
    return {"slope": line.slope, "rank": rank, "explained": line.rvalue**2, "mean_failure": part["failure"].mean()}


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Slope and rank correlation by kind and predictor (errors by leaving out worlds), and means in bins."""
    rows: list[dict[str, Any]] = []
    bins = pd.qcut(records["lambda_min"], BINS, labels=False)
    place = records.groupby(bins)["lambda_min"].median()
    for kind, part in records.groupby("kind", sort=False):
        for predictor in PREDICTORS:
            found = jackknife(part, "world", partial(_regression, predictor))
            rows.append({"kind": kind, "part": "regression", "predictor": predictor} | found)
        for code, some in part.groupby(bins):
            where = {"predictor": "lambda_min", "bin": code, "lambda_min": float(place[code])}
            by_world = some.groupby("world")["failure"].mean()
            mean = {"mean_failure": some["failure"].mean(), "mean_failure_se": by_world.sem()}
            rows.append({"kind": kind, "part": "bin"} | where | mean)
    table = pd.DataFrame(rows)
    for column in ("rank", "slope"):
        table[f"{column}_low"] = table[column] - 1.96 * table[f"{column}_se"]
        table[f"{column}_high"] = table[column] + 1.96 * table[f"{column}_se"]
    return table


def figure(table: pd.DataFrame) -> Figure:
    """Mean failure against the least eigenvalue, by kind of world."""
    ranks = table[(table["part"] == "regression") & (table["predictor"] == "lambda_min")].set_index("kind")["rank"]
    words = {"own": "right model", "shared": "coefficients shared", "omitted": "feature omitted"}
    bins = table[table["part"] == "bin"]
    return curves(
        bins.assign(line=[f"{words[kind]} (rank {ranks[kind]:.2f})" for kind in bins["kind"]]),
        x="lambda_min",
        y="mean_failure",
        by="line",
        log_x=True,
        title="The least eigenvalue predicts failure where the model is right and buckets stand alone",
        x_label="least eigenvalue of the bucket's information, per label",
        y_label="disputed signs out of distribution",
    )
