"""The service's log and the trait worlds: logged probabilities are those the rows were drawn with."""

import numpy as np
import pytest

from bayespref.simulate.scenarios import telemetry, trait_environments


def test_logged_propensities_are_the_frequencies_of_the_pairs():
    world = telemetry(pair_skew=1.0, n_annotators=4000, seed=2)
    rows = world.comparisons
    low, high = np.minimum(rows.item_a, rows.item_b), np.maximum(rows.item_a, rows.item_b)
    for s in range(4):
        here = rows.state == s
        total = 0.0
        for a in range(4):
            for b in range(a + 1, 4):
                shown = here & (low == a) & (high == b)
                p = rows.propensity[shown][0]
                total += p
                assert (rows.propensity[shown] == p).all()
                assert abs(shown.sum() / here.sum() - p) <= 4.5 * np.sqrt(p * (1 - p) / here.sum())
        assert total == pytest.approx(1.0)
    assert abs((rows.item_a < rows.item_b).mean() - 0.5) < 4.5 * 0.5 / np.sqrt(rows.n_rows)


def test_rewards_do_not_depend_on_the_size_of_the_table_and_one_seed_is_one_table():
    one, two = telemetry(n_annotators=5, seed=4), telemetry(n_annotators=9, seed=4)
    assert np.array_equal(one.reward, two.reward)
    assert telemetry(n_annotators=5, seed=4).comparisons.data_hash == one.comparisons.data_hash
    assert (
        trait_environments(n_annotators=5, seed=1).rows.tolist()
        == trait_environments(n_annotators=5, seed=1).rows.tolist()
    )


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: telemetry(kappa=2.0), "kappa"),
        (lambda: telemetry(pair_skew=-1.0), "pair_skew"),
        (lambda: telemetry(proxy_flip=1.5), "proxy_flip"),
        (lambda: telemetry(alpha=-1.0), "alpha"),
        (lambda: trait_environments(n_environments=1), "n_environments"),
    ],
)
def test_broken_settings_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
