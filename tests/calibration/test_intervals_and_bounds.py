"""Intervals cover at their level, and no identified set misses the truth where its assumptions hold.

Intervals: many samples from a known distribution. Bounds: many worlds that satisfy the assumption, read without
sampling error, so that a single miss is a defect; the expected share is one.
"""

import numpy as np
import pytest
from scipy.special import expit, logit

from bayespref.bounds.identified import difference_bounds, level_bounds
from bayespref.bounds.mixture import mean_difference, target_preference
from bayespref.bounds.restrictions import join, level_lipschitz, range_restrictions
from bayespref.bounds.sensitivity import density_ratio, odds_tilt
from bayespref.bounds.structure import propagate
from bayespref.bounds.welfare import welfare_bounds
from bayespref.design.registry import Intervention, acceptance
from bayespref.disagree.design import clopper_pearson_upper
from bayespref.graph.coverage import clopper_pearson
from bayespref.graph.growth import rarefaction
from bayespref.graph.swap_contrasts import log_odds_shift

pytestmark = pytest.mark.slow

WORLDS = 2000
ROUNDING = 1e-9


def inside(lower, upper, truth):
    """In how many worlds everything that is bounded lies within its bounds; world first."""
    kept = (lower <= truth + ROUNDING) & (truth <= upper + ROUNDING)
    return int(kept.reshape(len(kept), -1).all(1).sum())


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5])
def test_binomial_intervals_cover_at_least_at_their_level(promise, share):
    count = np.random.default_rng(1).binomial(60, share, 20_000).astype(float)
    lower, upper = clopper_pearson(count, 60.0, 0.95)
    covered = ((lower <= share) & (share <= upper)).sum()
    promise.share(f"mass of a cell, share {share}, level .95: covers", covered, 20_000, 0.95, "at least")
    below = (share <= clopper_pearson_upper(count, 60, 0.05)).sum()
    promise.share(f"upper limit of a share of {share}, .95: covers", below, 20_000, 0.95, "at least")


def test_limits_of_coverage_growth_cover_what_a_larger_collection_is_expected_to_reach(promise):
    rng = np.random.default_rng(2)
    truth = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
    expected, covered = (1 - (1 - truth) ** 400).sum(), 0
    for count in rng.multinomial(100, truth, size=WORLDS):
        got = rarefaction(count.astype(float), [400], level=0.9)
        covered += got.lower[0] - ROUNDING <= expected <= got.upper[0] + ROUNDING
    promise.share("coverage of four times the rows, level .9: covers", covered, WORLDS, 0.9, "at least")


def test_intervals_of_acceptance_cover_on_average_over_their_prior(promise):
    rng = np.random.default_rng(3)
    truth = rng.beta(0.5, 0.5, WORLDS)
    accepted = rng.binomial(25, truth)
    names = [f"b{i}" for i in range(WORLDS)]
    row = Intervention(
        "ask",
        "bridge",
        1.0,
        "v1",
        attempts=dict.fromkeys(names, 25),
        accepted=dict(zip(names, accepted.tolist(), strict=True)),
    )
    got = acceptance([row], names, level=0.9)
    covered = ((got.lower[:, 0] <= truth) & (truth <= got.upper[:, 0])).sum()
    promise.share("acceptance of an intervention, level .9: covers", covered, WORLDS, 0.9)


def test_the_error_of_a_shift_of_log_odds_gives_intervals_at_their_level_with_many_clusters(promise):
    """One question, 400 annotators a side with four labels each that share the annotator's taste; nominal .95."""
    rng = np.random.default_rng(4)
    who = np.repeat(np.arange(800), 4)
    side = (who >= 400).astype(int)
    taste = rng.normal(0, 1.0, 400_000)
    truth = logit(expit(taste + 0.5).mean()) - logit(expit(taste).mean())
    covered, worlds = 0, 600
    for _ in range(worlds):
        p = expit(rng.normal(0, 1.0, 800)[who] + 0.5 * side)
        label = (rng.random(len(who)) < p).astype(float)
        got = log_odds_shift(label, np.ones(len(who)), side, np.zeros(len(who), int), who, 1)
        covered += abs(got.difference[0] - truth) <= 1.96 * got.error[0]
    promise.share("shift of log-odds between contexts, level .95: covers", covered, worlds, 0.95)


def test_levels_differences_and_welfare_lie_within_their_bounds(promise):
    """Two states, two types, five items in two components; all that is known is what components fix, and the range."""
    rng = np.random.default_rng(5)
    reward = rng.random((WORLDS, 2, 2, 5))
    component = rng.integers(0, 2, (WORLDS, 2, 2, 5))
    unknown = np.take_along_axis(rng.normal(0, 3, (WORLDS, 2, 2, 2)), component, axis=-1)  # a level a component
    levels = level_bounds(reward + unknown, component)
    promise.share("levels: truth within bounds", inside(levels.lower, levels.upper, reward), WORLDS, 1.0, "at least")
    found = difference_bounds(reward + unknown, component)
    difference = reward[..., :, None] - reward[..., None, :]
    kept = inside(found.lower, found.upper, difference)
    promise.share("differences: truth within bounds", kept, WORLDS, 1.0, "at least")
    policy, weights = rng.dirichlet(np.ones(5), (WORLDS, 2)), rng.dirichlet(np.ones(4), WORLDS).reshape(-1, 2, 2)
    welfare = welfare_bounds(reward + unknown, component, policy, weights)
    truth = np.einsum("wsc,wsa,wsca->w", weights, policy, reward)
    kept = inside(welfare.lower, welfare.upper, truth)
    promise.share("welfare of a policy: truth within bounds", kept, WORLDS, 1.0, "at least")


def test_rewards_that_vary_slowly_over_states_lie_within_their_bounds(promise):
    rng = np.random.default_rng(6)
    where, kept = np.linspace(0, 1, 4), 0
    distance = np.abs(where[:, None] - where[None, :])
    for _ in range(200):
        slope = rng.uniform(-0.5, 0.5, (2, 3))
        reward = 0.5 + slope * (where[:, None, None] - 0.5)  # (state, type, item), in [0.25, 0.75]
        found = propagate(join(range_restrictions(24), level_lipschitz((4, 2, 3), distance, 0.5)), 24)
        flat = reward.ravel()
        kept += np.all(flat[:, None] - flat[None, :] <= found.upper[:24, :24] + ROUNDING)
    promise.share("slowly varying rewards: truth within bounds", kept, 200, 1.0, "at least")


def test_preferences_of_another_mix_of_hidden_types_lie_within_their_bounds(promise):
    """Three hidden types whose mix moves from what is observed to what is asked about."""
    rng = np.random.default_rng(7)
    observed, target = rng.dirichlet(np.ones(3), (2, WORLDS))
    difference = rng.uniform(-2, 2, (WORLDS, 3))
    p, truth = (observed * expit(difference)).sum(1), (target * expit(difference)).sum(1)
    ratio = target / observed
    gamma = np.maximum(ratio, 1 / ratio).max(1)
    odds = np.exp(np.abs(difference - logit(p)[:, None]).max(1))
    apart = np.ptp(difference, axis=1)
    bounds = {
        "a tilt of odds": odds_tilt(p, odds),
        "a density ratio": density_ratio(p, gamma),
        "a density ratio and a range": target_preference(p, 2.0, density_ratio=gamma),
        "total variation": target_preference(p, 2.0, total_variation=0.5 * np.abs(target - observed).sum(1)),
        "both mixes": target_preference(p, 2.0, observed_mix=observed, target_mix=target),
        "an effect of types": target_preference(p, 2.0, type_effect=apart),
    }
    for name, bound in bounds.items():
        kept = inside(bound.lower, bound.upper, truth)
        promise.share(f"preference of another mix by {name}: truth within bounds", kept, WORLDS, 1.0, "at least")
    mean = mean_difference(p, 2.0)
    kept = inside(mean.lower, mean.upper, (observed * difference).sum(1))
    promise.share("mean reward difference of a mixture: truth within bounds", kept, WORLDS, 1.0, "at least")
