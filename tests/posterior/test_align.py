"""Label switching: relabelled draws give the same summaries, and what does not fit is reported."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.posterior.align import match_traits, match_types, reorder

CHAINS, DRAWS, UNITS = 2, 25, 40


def softmax(values):
    shifted = np.exp(values - values.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def world(seed, n_types):
    """Memberships of the pivot and of draws in the pivot's own labels, and a reward that belongs to each type."""
    rng = np.random.default_rng(seed)
    scores = 6.0 * np.eye(n_types)[np.arange(UNITS) % n_types]
    pivot = softmax(scores)
    draws = softmax(scores + rng.normal(0, 1, (CHAINS, DRAWS, UNITS, n_types)))
    reward = np.arange(n_types)[:, None] * 10.0 + rng.normal(0, 1, (CHAINS, DRAWS, 3, n_types, 4))
    return pivot, draws, reward


def overlap_of(memberships, pivot):
    return np.einsum("cdug,uk->cdgk", memberships, pivot)


@pytest.mark.parametrize("n_types", [2, 3, 5, 8])
def test_permuted_draws_are_put_back_exactly(n_types):
    pivot, draws, reward = world(n_types, n_types)
    rng = np.random.default_rng(1)
    label = np.argsort(rng.random((CHAINS, DRAWS, n_types)), axis=-1)  # label[..., k]: own label of pivot type k
    own = np.argsort(label, axis=-1)  # pivot type that own label j stands for
    shuffled = np.take_along_axis(draws, own[:, :, None, :], axis=3)
    shuffled_reward = np.take_along_axis(reward, own[:, :, None, :, None], axis=3)
    found = match_types(overlap_of(shuffled, pivot))
    np.testing.assert_array_equal(found.order, label)
    np.testing.assert_array_equal(reorder(shuffled_reward, found.order, 3), reward)
    plain = match_types(overlap_of(draws, pivot))
    np.testing.assert_allclose(found.agreement, plain.agreement, rtol=1e-12)
    assert not plain.switched.any()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_matching_is_the_best_of_all_permutations(seed, n_types):
    overlap = np.random.default_rng(seed).gamma(0.5, 1.0, (1, 3, n_types, n_types))
    found = match_types(overlap)
    for draw in range(3):
        best = max(sum(overlap[0, draw, own[k], k] for k in range(n_types)) for own in permutations(range(n_types)))
        chosen = found.order[0, draw]
        assert sorted(chosen.tolist()) == list(range(n_types))
        assert sum(overlap[0, draw, chosen[k], k] for k in range(n_types)) == pytest.approx(best, rel=1e-12)
        assert found.agreement[0, draw] == pytest.approx(best / overlap[0, draw].sum(), rel=1e-12)


def test_a_draw_that_wants_one_label_twice_still_gets_a_permutation():
    overlap = np.array([[[[9.0, 8.0], [1.0, 2.0]]]])
    assert match_types(overlap).order[0, 0].tolist() == [0, 1]
    assert match_types(overlap).agreement[0, 0] == pytest.approx(11 / 20)


def test_draws_that_switched_within_a_chain_are_reported():
    pivot, draws, _ = world(0, 3)
    draws[1, 4:7] = draws[1, 4:7][..., [1, 0, 2]]
    found = match_types(overlap_of(draws, pivot))
    expected = np.zeros((CHAINS, DRAWS), dtype=bool)
    expected[1, 4:7] = True
    np.testing.assert_array_equal(found.switched, expected)


def test_two_chains_in_different_label_orders_align_and_are_no_switches():
    pivot, draws, reward = world(3, 3)
    turned, turned_reward = draws.copy(), reward.copy()
    turned[1] = draws[1][..., [2, 0, 1]]
    turned_reward[1] = reward[1][:, :, [2, 0, 1]]
    found = match_types(overlap_of(turned, pivot))
    assert not found.switched.any()
    np.testing.assert_array_equal(reorder(turned_reward, found.order, 3), reward)


def test_memberships_like_no_relabelling_of_the_pivot_agree_little():
    pivot, draws, _ = world(0, 2)
    blurred = np.full_like(draws, 0.5)
    good = match_types(overlap_of(draws, pivot)).agreement.mean()
    bad = match_types(overlap_of(blurred, pivot)).agreement.mean()
    assert good > 0.95
    assert bad == pytest.approx(0.5, abs=1e-9)


def test_one_type_needs_no_matching():
    found = match_types(np.full((CHAINS, DRAWS, 1, 1), 7.0))
    assert not found.order.any()
    assert not found.switched.any()
    np.testing.assert_array_equal(found.agreement, 1.0)


def test_an_overlap_without_units_has_no_agreement():
    found = match_types(np.zeros((1, 2, 2, 2)))
    assert np.isnan(found.agreement).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_overlaps_that_are_not_finite_are_refused(bad):
    overlap = np.ones((1, 2, 2, 2))
    overlap[0, 1, 0, 1] = bad
    with pytest.raises(ValueError, match="overlap"):
        match_types(overlap)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_reorder_moves_the_named_axis_only(axis):
    rng = np.random.default_rng(0)
    shape = [2, 3, 4, 4, 4]
    values = rng.normal(size=shape)
    order = np.argsort(rng.random((2, 3, 4)), axis=-1)
    found = reorder(values, order, axis)
    for chain in range(2):
        for draw in range(3):
            expected = np.take(values[chain, draw], order[chain, draw], axis=axis - 2)
            np.testing.assert_array_equal(found[chain, draw], expected)


def turned(loading, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.einsum("mn,nsi->msi", turn, loading)


def test_turned_and_reflected_traits_are_put_back_exactly():
    rng = np.random.default_rng(0)
    pivot = rng.normal(size=(2, 3, 5))
    angles = rng.uniform(-np.pi, np.pi, 20)
    draws = np.stack(
        [turned(pivot, angle) * np.array([1.0, sign])[:, None, None] for angle in angles for sign in (1, -1)]
    )
    found = match_traits(draws.reshape(2, 20, 2, 3, 5), pivot)
    np.testing.assert_allclose(found.loading, np.broadcast_to(pivot, found.loading.shape), atol=1e-12)
    np.testing.assert_allclose(found.agreement, 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        np.swapaxes(found.rotation, -1, -2) @ found.rotation,
        np.eye(2)[None, None] + np.zeros((2, 20, 2, 2)),
        atol=1e-12,
    )
    by_draw = found.turned.reshape(20, 2)
    np.testing.assert_array_equal(by_draw[:, 0], np.abs(angles) > np.pi / 4)
    assert by_draw[:, 1].all()  # a reflection has no small turn


def test_what_no_rotation_changes_is_left_alone():
    rng = np.random.default_rng(1)
    pivot, draws = rng.normal(size=(2, 2, 4)), rng.normal(size=(1, 30, 2, 2, 4))
    found = match_traits(draws, pivot)
    before, after = (np.einsum("cdmsi,cdmtj->cdsitj", x, x) for x in (draws, found.loading))
    np.testing.assert_allclose(after, before, rtol=1e-10, atol=1e-12)
    angles = np.linspace(0, 2 * np.pi, 721)
    for draw in range(30):
        apart = [
            np.sum((turned(draws[0, draw] * np.array([1.0, s])[:, None, None], a) - pivot) ** 2)
            for a in angles
            for s in (1, -1)
        ]
        assert np.sum((found.loading[0, draw] - pivot) ** 2) <= min(apart) + 1e-12


def test_unlike_traits_have_low_agreement_and_no_loading_has_none():
    pivot = np.zeros((1, 1, 3))
    pivot[0, 0] = [1.0, -1.0, 0.0]
    other = np.array([[1.0, 1.0, -2.0], [0.0, 0.0, 0.0]]).reshape(1, 2, 1, 1, 3)
    found = match_traits(other, pivot)
    assert found.agreement[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(found.agreement[0, 1])
    with pytest.raises(ValueError, match="finite"):
        match_traits(np.full((1, 1, 1, 1, 3), np.nan), pivot)
