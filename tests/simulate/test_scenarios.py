"""Named worlds: what each promises about its truth and its table."""

import numpy as np
import pytest

from bayespref.simulate.population import pooled_reward, prompts_with_holes
from bayespref.simulate.scenarios import World, always_winner, blind_spot, recovery, two_blocks


def cell_counts(world: World) -> np.ndarray:
    """Count rows per (state, type) and unordered pair, one row at a time."""
    n_states, n_types, n_items = world.reward.shape
    counts = np.zeros((n_states, n_types, n_items, n_items))
    table = world.comparisons
    for row in range(table.n_rows):
        c = world.annotator_type[table.annotator[row]]
        a, b = table.item_a[row], table.item_b[row]
        counts[table.state[row], c, a, b] += 1
        counts[table.state[row], c, b, a] += 1
    return counts


def component_labels(linked: np.ndarray) -> np.ndarray:
    """Components by repeated relabelling to the smallest neighbour."""
    label = np.arange(len(linked))
    for _ in linked:
        for a, b in np.argwhere(linked):
            label[[a, b]] = min(label[a], label[b])
    return label


WORLDS = [blind_spot, two_blocks, always_winner, recovery]


@pytest.mark.parametrize("make", WORLDS)
def test_world_is_consistent_frozen_and_reproducible(make):
    world, again = make(seed=3), make(seed=3)
    assert world.comparisons.data_hash == again.comparisons.data_hash
    assert make(seed=4).comparisons.data_hash != world.comparisons.data_hash
    assert world.prompt_prob.sum(axis=0) == pytest.approx(1.0)
    assert world.type_weight.sum() == pytest.approx(1.0)
    assert world.deployment.sum() == pytest.approx(1.0)
    low, high = world.reward_range
    assert low <= world.reward.min()
    assert world.reward.max() <= high
    assert world.contrast[..., 0, 1] == pytest.approx(world.reward[..., 0] - world.reward[..., 1])
    with pytest.raises(ValueError, match="read-only"):
        world.reward[0, 0, 0] = 1.0
    # No row may link items that the world says cannot be linked.
    counts = cell_counts(world)
    for s, c in np.ndindex(counts.shape[:2]):
        label = world.component[s, c]
        assert not np.any(counts[s, c] * (label[:, None] != label[None, :]))


@pytest.mark.parametrize("eps", [0.0, 0.01, 0.125])
def test_blind_spot_cells_have_the_stated_mass(eps):
    world = blind_spot(eps=eps, seed=2)
    share = cell_counts(world).sum(axis=(-2, -1)) / 2 / world.comparisons.n_rows
    expected = np.where(world.missing, eps, (1 - 2 * eps) / 6)
    assert world.prompt_prob * world.type_weight == pytest.approx(expected)
    # Types vary between annotators, so a cell's share has the spread of 500 draws of the type plus label noise.
    for s, c in np.ndindex(4, 2):
        joint = expected[s, c]
        sd = np.sqrt((2 * joint) ** 2 * 0.25 / 500 + joint / 20000)
        assert abs(share[s, c] - joint) <= 4.5 * sd
    assert np.argwhere(world.missing).tolist() == [[1, 0], [2, 1]]
    if eps == 0:
        assert share[world.missing].tolist() == [0.0, 0.0]


def test_blind_spot_context_is_the_true_type_and_all_pairs_occur():
    world = blind_spot()
    table = world.comparisons
    assert table.n_rows == 20_000
    assert np.array_equal(table.context, world.annotator_type[table.annotator])
    counts = cell_counts(world)[~world.missing]
    assert np.all(counts[:, ~np.eye(4, dtype=bool)] > 0)
    for cell in counts:
        assert component_labels(cell > 0).tolist() == [0, 0, 0, 0]


def test_more_labels_or_mass_leave_the_truth_alone():
    assert np.array_equal(blind_spot(seed=7).reward, blind_spot(seed=7, eps=0.05, n_annotators=50).reward)


def test_deployment_may_sit_on_the_blind_spot():
    world = blind_spot(deployment_on_missing=1.0, n_annotators=5)
    assert world.deployment[world.missing].tolist() == [0.5, 0.5]
    assert blind_spot(n_annotators=5).deployment == pytest.approx(np.full((4, 2), 1 / 8))


def test_reward_range_widens_only_where_a_true_reward_needs_it():
    wide = [blind_spot(n_annotators=1, labels_per_annotator=1, seed=seed) for seed in range(300)]
    for world in wide:
        peak = np.abs(world.reward).max()
        assert world.reward_range == ((-6.0, 6.0) if peak <= 6 else (-np.ceil(peak), np.ceil(peak)))
    share = np.mean([world.reward_range != (-6.0, 6.0) for world in wide])
    assert share <= 0.05


def test_pooled_reward_parts_have_the_stated_scales():
    reward = pooled_reward(60, 50, 40, scale=(0.5, 1.0, 2.0), seed=0)
    assert reward.total == pytest.approx(reward.u[:, None] + reward.v + reward.h)
    for part, sd in ((reward.u, 0.5), (reward.v, 1.0), (reward.h, 2.0)):
        assert abs(part.std() / sd - 1) <= 4.5 / np.sqrt(2 * part.size)
    assert np.all(pooled_reward(2, 2, 3, scale=(1, 1, 0), seed=1).h == 0)


def test_two_blocks_are_never_bridged_and_connected_within():
    world = two_blocks(block_sizes=(3, 2, 4), labels_per_annotator=100)
    assert component_labels(cell_counts(world)[0, 0] > 0).tolist() == [0, 0, 0, 3, 3, 5, 5, 5, 5]
    assert world.component[0, 0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert world.comparisons.contexts == ()


def test_always_winner_never_loses_and_the_others_do():
    world = always_winner()
    table = world.comparisons
    winner = np.where(table.outcome == 0, table.item_a, table.item_b)
    loser = np.where(table.outcome == 0, table.item_b, table.item_a)
    assert np.sum(winner == 0) > 100
    assert not np.any(loser == 0)
    assert {1, 2, 3} <= set(winner[loser != 0]) & set(loser)
    assert world.reward[0, 0, 0] - world.reward[0, 0, 1:].mean() == pytest.approx(3.0)


def test_recovery_orders_types_by_weight_and_ties_on_request():
    world = recovery(n_annotators=50, tie=1.0, n_types=4, seed=1)
    assert np.all(np.diff(world.type_weight) <= 0)
    assert world.reward.sum(axis=-1) == pytest.approx(0.0, abs=1e-12)
    assert np.mean(world.comparisons.outcome == 2) > 0.2


@pytest.mark.parametrize(
    ("make", "settings", "match"),
    [
        (blind_spot, {"eps": -0.1}, "eps"),
        (blind_spot, {"eps": 0.6}, "eps"),
        (blind_spot, {"deployment_on_missing": 2.0}, "deployment_on_missing"),
        (blind_spot, {"n_annotators": 0}, "n_annotators"),
        (two_blocks, {"block_sizes": (3,)}, "block_sizes"),
        (two_blocks, {"block_sizes": (3, 1)}, "block_sizes"),
        (always_winner, {"n_items": 2}, "n_items"),
        (always_winner, {"gap": np.inf}, "gap"),
        (recovery, {"n_types": 0}, "n_types"),
    ],
)
def test_broken_settings_are_named(make, settings, match):
    with pytest.raises(ValueError, match=match):
        make(**settings)


def test_a_type_without_any_state_is_refused():
    with pytest.raises(ValueError, match="no state left"):
        prompts_with_holes(np.ones((3, 1), dtype=bool), np.array([1.0]))
