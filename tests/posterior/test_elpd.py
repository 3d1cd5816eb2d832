"""Predictive densities by annotator against conjugate posteriors and sums by hand."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayespref.posterior.elpd import compare_elpd, leave_one_out, loo_by_annotator, simplest_within


def conjugate(y, draws=4000, seed=0):
    """Draws of a normal mean (unit variance, prior N(0, 1)) and the exact leave-one-out densities."""
    n = len(y)
    mean = np.random.default_rng(seed).normal(y.sum() / (n + 1), np.sqrt(1 / (n + 1)), (4, draws // 4))
    exact = [
        stats.norm.logpdf(y[i], (y.sum() - y[i]) / n, np.sqrt(1 + 1 / n)) for i in range(n)
    ]  # n - 1 observations and the prior
    return stats.norm.logpdf(y, mean[..., None], 1.0), np.array(exact)


def test_leave_one_out_is_the_exact_density_of_a_conjugate_model():
    y = np.random.default_rng(1).normal(0.5, 1.0, 30)
    log_likelihood, exact = conjugate(y)
    found = leave_one_out(log_likelihood)
    assert found.reliable.all()
    np.testing.assert_allclose(found.elpd, exact, atol=0.01)
    inside = np.log(np.exp(log_likelihood).mean((0, 1)))
    assert np.abs(inside - exact).max() > 0.05  # the density with one's own label is another number


def tree_of(log_likelihood, *, named=True):
    labels = [f"u{i}" for i in range(log_likelihood.shape[2])]
    term = xr.Dataset({"label": (("chain", "draw", "annotator"), log_likelihood)}, coords={"annotator": labels})
    table = xr.Dataset({"annotator": ("comparison", np.arange(len(labels)))} if named else {})
    fit = xr.Dataset(attrs={"exact": 0, "sampler": "laplace"})
    return xr.DataTree.from_dict({"log_likelihood": term, "constant_data": table, "fit": fit})


def test_an_annotator_the_draws_cannot_do_without_is_named():
    y = np.append(np.random.default_rng(1).normal(0.0, 1.0, 40), 60.0)
    found = loo_by_annotator(tree_of(conjugate(y, draws=1000)[0]))
    assert found["reliable"].values.tolist() == [True] * 40 + [False]
    assert "not reliable for 1 of 41 annotators (u40)" in found.attrs["words"]
    assert float(found["pareto_k"][40]) > 0.7
    assert found.attrs["draws"] == "an approximation of the posterior (laplace)"


def test_few_draws_lower_the_limit_of_k_and_too_few_leave_it_undefined():
    rng = np.random.default_rng(0)
    thirty = leave_one_out(rng.normal(-1.0, 0.3, (1, 30, 40)))
    limit = 1 - 1 / np.log10(30)
    np.testing.assert_array_equal(thirty.reliable, thirty.pareto_k <= limit)
    assert ((thirty.pareto_k > limit) & (thirty.pareto_k < 0.7)).any()
    ten = leave_one_out(rng.normal(-1.0, 0.3, (1, 10, 2)))
    assert np.isnan(ten.pareto_k).all()
    assert not ten.reliable.any()
    assert np.isfinite(ten.elpd).all()


def test_weights_that_are_all_equal_are_reliable_and_a_stuck_tail_is_not():
    free = np.random.default_rng(0).normal(-1.0, 0.1, 400)
    stuck = np.where(np.arange(400) < 200, -5.0, -1.0 + 1e-3 * np.arange(400))
    found = leave_one_out(np.stack([free, np.full(400, -2.0), stuck], axis=-1)[None])
    assert found.reliable.tolist() == [True, True, False]
    assert found.elpd[1] == pytest.approx(-2.0, abs=1e-12)
    assert found.pareto_k[1:].tolist() == [-np.inf, np.inf]


def test_totals_are_sums_over_annotators():
    y = np.random.default_rng(2).normal(0.0, 1.0, 12)
    log_likelihood, exact = conjugate(y)
    found = loo_by_annotator(tree_of(log_likelihood))
    assert float(found["elpd_total"]) == pytest.approx(exact.sum(), abs=0.05)
    assert float(found["elpd_se"]) == pytest.approx(np.sqrt(12) * np.std(exact, ddof=1), rel=0.02)
    assert float(found["p_loo"]) == pytest.approx(12 / 13, abs=0.35)  # one parameter, shrunk


def test_a_table_without_annotators_has_no_annotator_to_leave_out():
    with pytest.raises(ValueError, match="names no annotators"):
        loo_by_annotator(tree_of(np.zeros((1, 4, 3)), named=False))


def test_differences_and_errors_by_hand():
    pointwise = np.array([[-1.0, -2.0, -4.0, -1.0], [-1.5, -1.0, -2.5, -1.0], [-9.0, -9.0, -9.0, -9.0]])
    found = compare_elpd(pointwise)
    assert found.best == 1
    np.testing.assert_allclose(found.elpd, [-8.0, -6.0, -36.0])
    np.testing.assert_allclose(found.difference, [-2.0, 0.0, -30.0])
    apart = np.array([0.5, -1.0, -1.5, 0.0])
    np.testing.assert_allclose(found.difference_se[0], 2 * np.sqrt(((apart - apart.mean()) ** 2).sum() / 3))
    assert found.difference_se[1] == 0.0
    assert found.probability_best[2] == 0.0
    assert found.probability_best.sum() == 1.0


def test_the_bootstrap_gives_the_normal_probability_of_being_best():
    apart = np.random.default_rng(0).normal(0.05, 1.0, 400)
    found = compare_elpd(np.stack([apart, np.zeros(400)]), replicates=20_000)
    normal = stats.norm.cdf(apart.mean() / (apart.std() / 20))
    assert found.probability_best[0] == pytest.approx(normal, abs=0.02)


def test_the_rule_takes_the_simplest_within_one_standard_error():
    assert simplest_within(np.array([-3.0, -1.0, 0.0]), np.array([2.0, 1.5, 0.0])) == 1
    assert simplest_within(np.array([-1.0, -1.0, 0.0]), np.array([2.0, 1.5, 0.0])) == 0
    assert simplest_within(np.array([-9.0, -8.0, 0.0]), np.array([2.0, 1.5, 0.0])) == 2


def test_comparisons_of_one_person_or_of_nothing_are_refused():
    with pytest.raises(ValueError, match="two annotators"):
        compare_elpd(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="finite"):
        compare_elpd(np.array([[0.0, np.nan], [0.0, 0.0]]))
