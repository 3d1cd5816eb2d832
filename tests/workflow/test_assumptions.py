"""A declared assumption narrows bounds and scores, is named in both, and changes no posterior."""

import numpy as np
import pytest

from bayespref import workflow
from bayespref.simulate.scenarios import blind_spot

pytestmark = pytest.mark.slow  # two fits with bounds


@pytest.fixture(scope="module")
def trees():
    world = blind_spot(seed=4)
    table = world.comparisons
    options = {"types_observed": True, "reward_scale": 2.0}
    fitted = workflow.fit("latent_types", table, rng_key=0, options=options, draws=200, progress=False)
    settings = {"reward_range": world.reward_range, "regions": "state_type", "max_draws": 50}
    plain = workflow.analyse(fitted, **settings)
    assumed = workflow.analyse(fitted, **settings, assumptions={"contrast_type_effect": 2 * 12.0})
    return world, plain, assumed


def test_an_assumption_as_wide_as_the_range_changes_nothing(trees):
    _, plain, assumed = trees
    for name in ("difference_lower", "difference_upper"):
        assert np.allclose(plain["bounds"][name], assumed["bounds"][name], atol=1e-6)
    assert np.allclose(plain["defer"]["c_set_pure"], assumed["defer"]["c_set_pure"], atol=1e-6)


def test_a_type_effect_narrows_the_missing_cells_and_is_named(trees):
    world, plain, _ = trees
    narrow = workflow.analyse(
        plain,
        reward_range=world.reward_range,
        regions="state_type",
        max_draws=50,
        assumptions={"contrast_type_effect": 9.0},
    )
    width = (narrow["bounds"]["difference_upper"] - narrow["bounds"]["difference_lower"]).values
    wide = (plain["bounds"]["difference_upper"] - plain["bounds"]["difference_lower"]).values
    off = ~np.eye(4, dtype=bool)
    assert np.all(width[world.missing][:, off] < wide[world.missing][:, off] - 1.0)
    assert "differ at most 9 between types" in narrow["bounds"].attrs["assumptions"]
    missing = world.missing.reshape(-1)
    assert np.all(narrow["defer"]["c_set_pure"].values[missing] < plain["defer"]["c_set_pure"].values[missing])
    assert any("differ at most 9 between types" in text for text in workflow.policy(narrow, c_defer=1.0).assumptions)
