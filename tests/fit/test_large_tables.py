"""Tables with many annotators: fewer log-likelihood terms, the same answers."""

import jax
import numpy as np
import pytest
from arviz_stats import loo

from bayespref import comparisons as base
from bayespref.choice import _unique_rows, choice_data
from bayespref.fit import evaluate
from bayespref.fit.density import make_density
from bayespref.models import MODELS
from bayespref.posterior.align import match_types
from bayespref.posterior.elpd import leave_one_out
from bayespref.workflow import fit
from bayespref.workflow.checking import prior_sensitivity
from bayespref.workflow.refitting import _best_draw


def table(n_annotators=60, labels=12, seed=0):
    rng = np.random.default_rng(seed)
    n = n_annotators * labels
    reward = np.array([[1.5, 0.0, -1.5], [-1.5, 0.0, 1.5]])
    annotator = np.repeat(np.arange(n_annotators), labels)
    a = rng.integers(3, size=n)
    b = (a + rng.integers(1, 3, size=n)) % 3
    kind = annotator % 2
    won = rng.random(n) > 1 / (1 + np.exp(reward[kind, b] - reward[kind, a]))
    people = [f"p{k}" for k in range(n_annotators)]
    return base.from_codes(a, b, won.astype(int), items=("x", "y", "z"), annotator=annotator, annotators=people)


@pytest.fixture(scope="module")
def whole():
    return fit("latent_types", table(), rng_key=0, chains=2, warmup=20, draws=60, n_starts=2, progress=False)


def test_kept_terms_are_those_of_all_draws(monkeypatch):
    with jax.enable_x64(True):
        data, outcome = choice_data(table())
        density = make_density(MODELS["latent_types"], data, {"n_types": 2})
        rng = np.random.default_rng(0)
        pivot = rng.normal(size=density.size)
        flat = pivot + 0.2 * rng.normal(size=(2, 60, density.size))
        all_draws = evaluate.evaluate_draws(density, flat, data, outcome, pivot)
        monkeypatch.setattr(evaluate, "_MOST_TERMS", 30 * data.n_units)
        monkeypatch.setattr(evaluate, "_LEAST_DRAWS", 30)
        monkeypatch.setattr(evaluate, "_UNITS_TO_MATCH", 20)
        few = evaluate.evaluate_draws(density, flat, data, outcome, pivot)
    assert few.kept.tolist() == list(range(0, 60, 4))
    np.testing.assert_allclose(few.log_likelihood, all_draws.log_likelihood[:, few.kept], rtol=1e-12)
    for name, value in all_draws.variables.items():
        np.testing.assert_allclose(few.variables[name], value, rtol=1e-12)
    np.testing.assert_allclose(few.overlap.sum((2, 3)), 20.0)
    np.testing.assert_array_equal(match_types(few.overlap).order, match_types(all_draws.overlap).order)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # few draws
def test_a_tree_with_fewer_terms_says_so_and_serves_its_readers(monkeypatch, whole):
    monkeypatch.setattr(evaluate, "_MOST_TERMS", 40 * 60)
    monkeypatch.setattr(evaluate, "_LEAST_DRAWS", 40)
    few = fit("latent_types", table(), rng_key=0, chains=2, warmup=20, draws=60, n_starts=2, progress=False)
    assert (whole["log_likelihood"].attrs["every"], few["log_likelihood"].attrs["every"]) == (1, 3)
    assert few["log_likelihood"]["draw"].values.tolist() == list(range(0, 60, 3))
    np.testing.assert_array_equal(few["posterior"]["reward"].values, whole["posterior"]["reward"].values)
    terms = whole["log_likelihood"]["label"].sel(draw=few["log_likelihood"]["draw"].values)
    np.testing.assert_allclose(few["log_likelihood"]["label"].values, terms.values, rtol=1e-12)
    found = prior_sensitivity(few)
    assert found.sizes["draw"] == 20
    copies = np.ones(60)
    flat = few["unconstrained_posterior"]["flat"].values.reshape(120, -1)
    best = np.asarray(_best_draw(few, copies))
    assert (flat == best).all(1).any()
    sums = whole["log_likelihood"]["label"].sum("annotator").values[:, ::3]
    assert np.argmax(sums) == np.flatnonzero((flat.reshape(2, 60, -1)[:, ::3] == best).all(-1).ravel())[0]
    ours = leave_one_out(few["log_likelihood"]["label"].values).elpd.sum()
    assert loo(few).elpd == pytest.approx(ours, abs=0.5)  # ArviZ smooths with another relative efficiency


@pytest.mark.parametrize("far", [1, 2**40])
def test_distinct_tuples_come_sorted_with_their_rows(far):
    rng = np.random.default_rng(0)
    columns = [rng.integers(-1, 3, 500), rng.integers(0, 4, 500) * far, rng.integers(0, 2, 500) * far]
    unique, inverse = _unique_rows(*columns)
    assert [tuple(row) for row in unique.tolist()] == sorted(set(zip(*(c.tolist() for c in columns), strict=True)))
    np.testing.assert_array_equal(unique[inverse], np.stack(columns, axis=1))
    assert _unique_rows(np.zeros(0, int), np.zeros(0, int))[0].shape == (0, 2)
