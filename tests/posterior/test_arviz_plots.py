"""ArviZ's own plots and statistics read our trees as they are; nothing is converted, copied or renamed."""

import arviz_plots
import arviz_stats
import numpy as np
import pytest
import xarray as xr

import bayespref
from bayespref.posterior.elpd import loo_by_annotator
from bayespref.simulate.scenarios import blind_spot
from bayespref.workflow.checking import predictive_checks

NAMES = ["type_weight"]
DRAWN = {
    "plot_forest": {"var_names": ["reward"], "combined": True},
    "plot_trace_dist": {"var_names": NAMES},
    "plot_rank": {"var_names": NAMES},
    "plot_ess": {"var_names": NAMES},
    "plot_ess_evolution": {"var_names": NAMES},
    "plot_mcse": {"var_names": NAMES},
    "plot_dist": {"var_names": NAMES},
    "plot_prior_posterior": {"var_names": NAMES},
}


@pytest.fixture(scope="module")
def tree():
    table = blind_spot(seed=1, n_annotators=40, labels_per_annotator=20).comparisons.pool("context")
    settings = {"chains": 2, "warmup": 60, "draws": 60, "n_starts": 2}
    return bayespref.fit("latent_types", table, rng_key=0, progress=False, **settings)


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_of_draws_takes_the_tree_as_it_is(tree, name):
    before = tree.copy(deep=True)
    drawn = getattr(arviz_plots, name)(tree, backend="matplotlib", **DRAWN[name])
    assert drawn.viz["figure"].item() is not None
    assert tree.identical(before)


def test_forest_carries_our_labels(tree):
    drawn = arviz_plots.plot_forest(tree, var_names=["reward"], combined=True, backend="matplotlib")
    texts = {text.get_text() for axes in drawn.viz["figure"].item().axes for text in axes.texts}
    assert {"state 0", "item 3", "type 2"} <= texts


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # arviz-stats 0.8 under pandas 3
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # its verdict on 120 draws; the numbers are compared
def test_loo_of_arviz_is_ours_by_annotator(tree):
    theirs = arviz_stats.loo(tree, pointwise=True)
    ours = loo_by_annotator(tree)
    np.testing.assert_allclose(theirs.elpd_i.values, ours["elpd"].values, rtol=1e-10)
    np.testing.assert_allclose(theirs.pareto_k.values, ours["pareto_k"].values, rtol=1e-10)
    assert theirs.elpd_i.dims == ("annotator",)
    assert arviz_plots.plot_khat(theirs, backend="matplotlib").viz["figure"].item() is not None
    both = arviz_stats.compare({"all draws": tree, "half of them": tree.isel(draw=slice(0, 30))})
    assert arviz_plots.plot_compare(both, backend="matplotlib") is not None


def test_replicated_tables_are_drawn_by_the_predictive_plots(tree):
    checks = predictive_checks(tree, replicates=20)
    seen = checks[["replicated", "observed"]].dropna("check")
    replicated = seen[["replicated"]].rename(replicated="statistic").expand_dims("chain")
    groups = {"posterior_predictive": replicated, "observed_data": seen[["observed"]].rename(observed="statistic")}
    ppc = xr.DataTree.from_dict(groups)
    drawn = arviz_plots.plot_ppc_dist(ppc, num_samples=10, backend="matplotlib")
    assert drawn.viz["figure"].item() is not None
    assert arviz_plots.plot_ppc_interval(ppc, backend="matplotlib").viz["figure"].item() is not None
