"""What two priors agree on as a table grows, and what refits agree on only because they share a prior.

Three sizes of one blind-spot world, types observed, independent cells: one compiled program serves all sizes. The verb
``refits`` itself runs on the fit of ``test_blind_spot.py``.
"""

import itertools

import jax
import numpy as np
import pytest

from bayespref.disagree.ensemble import ensemble_agreement
from bayespref.disagree.spread import contrast_summary
from bayespref.disagree.status import STATUS, contrast_status
from bayespref.fit.density import make_density
from bayespref.fit.laplace import laplace_draws, refit_modes, stack_tables
from bayespref.graph.connect import connectivity
from bayespref.models import MODELS
from bayespref.simulate.scenarios import blind_spot

pytestmark = pytest.mark.slow
SIZES = (2_000, 20_000, 200_000)
PRIORS = 16
PRIOR_SD = 2.0
OFF = ~np.eye(4, dtype=bool)


@pytest.fixture(scope="module")
def grown():
    """World, status of every contrast by size, and modes under one prior and under sixteen, by size."""
    worlds = [blind_spot(eps=0.0, n_annotators=n // 40, seed=1) for n in SIZES]
    stack = stack_tables([world.comparisons.pool("annotator") for world in worlds], group_by_context=True)
    options = {"types_observed": True, "n_types": 2, "endogenous_prompts": False, "reward_scale": PRIOR_SD}
    density = make_density(MODELS["latent_types"], stack.data, options)
    draws = laplace_draws(density, stack, rng_key=jax.random.key(0), draws=1000)["reward"]
    many = stack.take(np.tile(np.repeat(np.arange(len(SIZES)), PRIORS), 2))
    moves = np.repeat([0.0, 1.0], len(SIZES) * PRIORS)
    modes = refit_modes(density, many, rng_key=jax.random.key(1), prior_moves=moves)
    same, moved = modes["reward"].reshape(2, len(SIZES), PRIORS, 4, 2, 4)
    centre = modes["centre"].reshape(2, len(SIZES), PRIORS, 4, 2, 4)
    status = []
    for world, sample in zip(worlds, draws, strict=True):
        graph = connectivity(world.comparisons, by=("state", "context"))["component"]
        graph = graph.transpose("state", "context", "item").values
        joined = (graph[..., :, None] == graph[..., None, :]) & (graph[..., :, None] >= 0)
        summary = contrast_summary(sample, np.sqrt(2) * PRIOR_SD)
        code = contrast_status(joined, summary.sd, np.sqrt(2) * PRIOR_SD, summary.width, 24.0, n_effective=1000.0)
        status.append(np.array(STATUS)[code])
    found = [ensemble_agreement(*size) for size in zip(same, moved, centre[1] - centre[0], strict=True)]
    return worlds[0], np.array(status), found


def test_status_is_data_off_the_blind_spot_and_prior_on_it_at_every_size(grown):
    world, status, _ = grown
    hole = world.missing[..., None, None] & OFF
    assert np.all(status[:, hole] == "prior")
    assert np.all(status[:, ~world.missing[..., None, None] & OFF] == "identified")


def test_data_identified_contrasts_forget_their_prior_as_a_table_grows_and_prior_only_ones_do_not(grown):
    """Sixteen priors a size: the share of a move that reaches the estimate falls like 1 / n, or stays exactly one."""
    _, status, found = grown
    identified, prior = (status[0] == "identified") & OFF, (status[0] == "prior") & OFF
    change = [one.prior_sensitivity for one in found]
    for small, large in itertools.pairwise(change):
        assert np.median(large[identified] / small[identified]) == pytest.approx(0.1, rel=0.3)
    assert np.max(change[-1][identified] / change[0][identified]) < 0.1
    assert found[-1].prior_sensitivity[identified].max() < 0.02
    for one in found:
        assert one.prior_sensitivity[prior] == pytest.approx(1.0, abs=1e-6)
        assert one.prior_change[prior].min() > 1.0


def test_refits_agree_perfectly_where_nobody_asked_and_are_said_to_agree_from_the_prior(grown):
    world, _, found = grown
    for one in found:
        assert one.agreement_is_from_prior[world.missing][:, OFF].all()
        assert one.same_prior[world.missing][:, OFF].max() == 0.0
        assert np.abs(one.data_sd[world.missing][:, OFF]).max() < 1e-9
        # 12 contrasts of 16 refits at chance: the mean share lies within .12 of one half
        assert one.resampled_prior[world.missing][:, OFF].mean() == pytest.approx(0.5, abs=0.12)
