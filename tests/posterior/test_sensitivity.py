"""Prior sensitivity against a conjugate model, ArviZ's labelled road, and log-priors written out."""

import arviz_stats
import jax
import numpy as np
import pytest
import xarray as xr
from scipy import special, stats

import bayespref
from bayespref.choice import choice_data, zero_sum_basis
from bayespref.comparisons import from_codes
from bayespref.errors import REASONS, ModelError
from bayespref.fit.density import make_density
from bayespref.models import latent_types
from bayespref.posterior.sensitivity import CONFLICT, FINE, STRONG, UNDEFINED, power_scaling, sensitivity_words
from bayespref.workflow.checking import _log_prior, _Rebuilt, prior_sensitivity


def conjugate(prior_mean, prior_sd, y, seed=0):
    """Draws, log-prior and log-likelihood of a normal mean with unit-variance data."""
    precision = 1 / prior_sd**2 + len(y)
    mean = (prior_mean / prior_sd**2 + np.sum(y)) / precision
    theta = np.random.default_rng(seed).normal(mean, precision**-0.5, (4, 1000))
    return theta, stats.norm.logpdf(theta, prior_mean, prior_sd), stats.norm.logpdf(y, theta[..., None], 1.0).sum(-1)


def test_weak_priors_are_fine_strong_ones_and_conflicts_are_named():
    y = np.random.default_rng(1).normal(0.0, 1.0, 20)
    weak = conjugate(0.0, 10.0, y)
    fine = power_scaling(weak[0][..., None], *weak[1:])
    assert fine.diagnosis.tolist() == [FINE]
    assert fine.prior[0] < 0.01 < fine.likelihood[0]
    fight = conjugate(3.0, 0.3, y)
    found = power_scaling(fight[0][..., None], *fight[1:])
    assert found.diagnosis.tolist() == [CONFLICT]
    silent = conjugate(0.0, 1.0, np.zeros(0))
    assert power_scaling(silent[0][..., None], *silent[1:]).diagnosis.tolist() == [STRONG]


def test_sensitivity_is_arviz_own_by_its_labelled_road():
    theta, log_prior, log_likelihood = conjugate(1.0, 0.5, np.random.default_rng(2).normal(0.0, 1.0, 10))
    found = power_scaling(theta[..., None], log_prior, log_likelihood)
    groups = {"posterior": {"theta": theta}, "log_prior": {"theta": log_prior}, "log_likelihood": {"y": log_likelihood}}
    tree = xr.DataTree.from_dict(
        {
            group: xr.Dataset({name: (("chain", "draw"), values) for name, values in one.items()})
            for group, one in groups.items()
        }
    )
    for group, mine in (("prior", found.prior), ("likelihood", found.likelihood)):
        theirs = float(arviz_stats.psense(tree, group=group)["theta"])
        assert mine[0] == pytest.approx(theirs, rel=1e-9)


def test_what_does_not_vary_is_undefined_and_words_name_the_worst():
    theta, log_prior, log_likelihood = conjugate(3.0, 0.3, np.zeros(20))
    found = power_scaling(np.stack([theta, np.ones_like(theta)], axis=-1), log_prior, log_likelihood)
    assert found.diagnosis.tolist() == [CONFLICT, UNDEFINED]
    assert np.isnan(found.prior[1])
    verdict = sensitivity_words(found, ["mean", "one"])[-1]
    assert not verdict.ok
    assert verdict.reason in REASONS
    assert verdict.words.startswith("prior sensitivity: yes, prior and data may conflict: mean (of 1 quantities")


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="chain, draw, quantity"):
        power_scaling(np.zeros((2, 30, 1)), np.zeros((2, 29)), np.zeros((2, 30)))


def table():
    return from_codes(
        np.array([0, 1, 0, 0]),
        np.array([1, 2, 2, 1]),
        np.array([0, 0, 1, 2]),
        items=("x", "y", "z"),
        state=np.array([0, 0, 1, 1]),
        states=("p", "q"),
        annotator=np.array([0, 0, 1, 1]),
        annotators=("u", "v"),
    )


def test_the_log_prior_is_that_of_the_sites_without_jacobians():
    options = {"n_types": 2, "ties": "rao_kupper", "reward_scale": 1.5, "tie_scale": 0.7}
    with jax.enable_x64(True):
        data, outcome = choice_data(table())
        density = make_density(latent_types, data, options)
        flat = np.random.default_rng(0).normal(size=(1, 3, density.size))
        rebuilt = _Rebuilt(latent_types, options, table(), data, outcome, density)
        found = _log_prior(rebuilt, flat)
    names = np.array([name.split("[")[0] for name in density.names])
    for draw in range(3):
        x = flat[0, draw]
        total = stats.norm.logpdf(x[names == "z"], 0.0, 1.5).sum()
        total += stats.halfnorm.logpdf(np.exp(x[names == "tie_threshold"]), scale=0.7).sum()  # no log-Jacobian
        for site, concentration in (("type_logit", 5.0), ("prompt_logit", 1.0)):
            for logit in x[names == site].reshape(-1, 1):
                log_p = special.log_softmax(zero_sum_basis(2) @ logit)
                total += special.gammaln(2 * concentration) - 2 * special.gammaln(concentration)
                total += concentration * log_p.sum() + 0.5 * np.log(2)
        assert found[0, draw] == pytest.approx(total, rel=1e-9)


def test_a_fit_says_which_rewards_are_the_priors():
    """Item z was never compared: its reward is prior; the many answers on x and y leave the prior no say there."""
    rng = np.random.default_rng(0)
    outcome = (rng.random(300) > 0.5).astype(int)
    plain = from_codes(np.zeros(300, int), np.ones(300, int), outcome, items=("x", "y", "z"))
    tree = bayespref.fit("single", plain, rng_key=0, chains=2, draws=500, progress=False)
    found = prior_sensitivity(tree, variables=["reward"])
    assert found["quantity"].values.tolist() == [f"reward[all, type 1, {item}]" for item in "xyz"]
    assert found["diagnosis"].values[2] == STRONG
    assert "reward[all, type 1, z]" in found.attrs["words"]
    assert found.attrs["pareto_k"] < 0.7
    with pytest.raises(ModelError, match="not in the posterior"):
        prior_sensitivity(tree, variables=["rewards"])
