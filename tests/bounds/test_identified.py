"""Level and difference bounds against linear programs that share no code with them."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from bayespref.bounds.identified import difference_blocks, difference_bounds, level_bounds, same_component
from bayespref.errors import RangeRefutedError

U = np.array([0.0, 0.5, 0.0, 0.2, 0.0])
COMPONENT = np.array([0, 0, 1, 1, 2])


def lp_range(objective, offsets, component, low, high):
    """Smallest and largest objective over all reward vectors in the range with the within-component differences."""
    n = len(offsets)
    rows, right = [], []
    for a in range(n):
        for b in range(a):
            if component[a] == component[b]:
                row = np.zeros(n)
                row[a], row[b] = 1, -1
                rows.append(row)
                right.append(offsets[a] - offsets[b])
    equal = {"A_eq": np.array(rows), "b_eq": right} if rows else {}
    ends = []
    for sign in (1, -1):
        result = linprog(sign * np.asarray(objective), bounds=[(low, high)] * n, method="highs", **equal)
        assert result.status == 0
        ends.append(sign * result.fun)
    return ends


@st.composite
def cells(draw, max_items=6):
    # A grid of 1/1024: HiGHS calls constraints met within 1e-7, so smaller offsets would test its tolerance.
    n = draw(st.integers(1, max_items))
    component = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    offsets = np.array(draw(st.lists(st.integers(-2048, 2048), min_size=n, max_size=n))) / 1024
    span = max((float(np.ptp(offsets[component == k])) for k in np.unique(component)), default=0.0)
    low = draw(st.integers(-3072, 3072)) / 1024
    return offsets, component, (low, low + span + draw(st.integers(1, 2048)) / 1024)


def test_oracle_1_two_pairs_and_an_isolated_item():
    levels = level_bounds(U, COMPONENT)
    np.testing.assert_allclose(levels.lower, [0, 0.5, 0, 0.2, 0], atol=1e-15)
    np.testing.assert_allclose(levels.upper, [0.5, 1, 0.8, 1, 1], atol=1e-15)
    d = difference_bounds(U, COMPONENT)
    for (a, b), ends in {(1, 2): (-0.3, 1), (0, 3): (-1, 0.3), (1, 0): (0.5, 0.5), (4, 1): (-1, 0.5)}.items():
        np.testing.assert_allclose((d.lower[a, b], d.upper[a, b]), ends, atol=1e-15)
    assert levels.sharp
    assert d.sharp
    assert d.r_min == 0.5
    assert d.share_refuted == 0.0
    assert d.assumptions == ("rewards in [0, 1]",)


def test_oracle_2_a_span_beyond_the_range_is_refused_with_its_cell_and_size():
    offsets = np.stack([0.5 * U, U])
    for bound in (level_bounds, difference_bounds):
        with pytest.raises(RangeRefutedError) as caught:
            bound(offsets, COMPONENT, (0.0, 0.4))
        assert caught.value.span == 0.5
        assert caught.value.reward_range == 0.4
        assert caught.value.cell == (1,)


def test_two_isolated_items_differ_by_anything_the_range_allows():
    d = difference_bounds(np.array([7.0, -3.0]), np.array([4, 2]), (-1.0, 2.0))
    assert d.upper.tolist() == [[0, 3], [3, 0]]
    assert d.lower.tolist() == [[0, -3], [-3, 0]]


def test_a_connected_cell_fixes_differences_but_not_levels():
    offsets = np.array([0.0, 0.25, 0.75])
    levels = level_bounds(offsets, np.zeros(3, int))
    np.testing.assert_array_equal(levels.upper - levels.lower, [0.25] * 3)
    d = difference_bounds(offsets, np.zeros(3, int))
    np.testing.assert_array_equal(d.lower, d.upper)
    np.testing.assert_array_equal(d.upper, offsets[:, None] - offsets[None, :])


@given(cells())
@settings(max_examples=40)
def test_closed_form_equals_linear_program(cell):
    offsets, component, reward_range = cell
    n = len(offsets)
    levels = level_bounds(offsets, component, reward_range)
    d = difference_bounds(offsets, component, reward_range)
    eye = np.eye(n)
    for a in range(n):
        ends = lp_range(eye[a], offsets, component, *reward_range)
        np.testing.assert_allclose((levels.lower[a], levels.upper[a]), ends, atol=1e-9)
        for b in range(n):
            ends = lp_range(eye[a] - eye[b], offsets, component, *reward_range)
            np.testing.assert_allclose((d.lower[a, b], d.upper[a, b]), ends, atol=1e-9)


@given(cells(), st.randoms(use_true_random=False))
def test_cross_component_values_of_a_draw_are_never_read(cell, random):
    offsets, component, reward_range = cell
    # Whole-number shifts of offsets on a grid are exact in floating point, so equality is exact too.
    shift = np.array([random.randint(-1000, 1000) for _ in range(4)])
    moved = offsets + shift[component]
    for bound in (level_bounds, difference_bounds):
        before, after = bound(offsets, component, reward_range), bound(moved, component, reward_range)
        np.testing.assert_array_equal(before.lower, after.lower)
        np.testing.assert_array_equal(before.upper, after.upper)
        assert before.r_min == after.r_min


def test_isolated_items_may_hold_anything_even_nan():
    with_nan = np.array([0.0, 0.5, np.nan, np.inf])
    labels = np.array([0, 0, 1, 2])
    a, b = difference_bounds(with_nan, labels), difference_bounds(np.array([0.0, 0.5, 3.0, -8.0]), labels)
    np.testing.assert_array_equal(a.upper, b.upper)
    np.testing.assert_array_equal(level_bounds(with_nan, labels).lower, [0.0, 0.5, 0.0, 0.0])


def test_relabelling_items_and_components_relabels_the_bounds():
    rng = np.random.default_rng(1)
    offsets, component = rng.uniform(0, 1, (3, 7)), rng.integers(0, 3, 7)
    order = rng.permutation(7)
    d = difference_bounds(offsets, component)
    e = difference_bounds(offsets[:, order], np.array([9, 4, 6])[component[order]])
    np.testing.assert_array_equal(e.upper, d.upper[:, order][:, :, order])


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (1, 3, 4), (3, 4), (5, 2, 3, 4), (5, 1, 3, 4)])
def test_batches_equal_single_cells(shape):
    rng = np.random.default_rng(2)
    offsets = rng.uniform(0, 1, (5, 2, 3, 4))
    component = rng.integers(0, 3, shape)
    d, levels = difference_bounds(offsets, component), level_bounds(offsets, component)
    labels = np.broadcast_to(component, offsets.shape)
    for i in np.ndindex(5, 2, 3):
        np.testing.assert_array_equal(d.upper[i], difference_bounds(offsets[i], labels[i]).upper)
        np.testing.assert_array_equal(d.lower[i], difference_bounds(offsets[i], labels[i]).lower)
        np.testing.assert_array_equal(levels.lower[i], level_bounds(offsets[i], labels[i]).lower)
    info, blocks = difference_blocks(offsets, component, n_cell_axes=2)
    seen = np.full(d.upper.shape, np.nan)
    for block, upper in blocks:
        seen[block] = upper
    np.testing.assert_array_equal(seen, d.upper)
    assert info.r_min == d.r_min


def test_many_draws_are_bounded_in_blocks_without_seams():
    rng = np.random.default_rng(3)
    offsets, component = rng.uniform(0, 1, (700, 30, 20)), rng.integers(0, 4, (30, 20))
    d = difference_bounds(offsets, component)
    levels = level_bounds(offsets, component)
    upper = levels.upper[..., :, None] - levels.lower[..., None, :]
    point = offsets[..., :, None] - offsets[..., None, :]
    np.testing.assert_array_equal(d.upper, np.where(same_component(component), point, upper))
    again = difference_bounds(offsets, component, out=np.empty_like(d.upper))
    np.testing.assert_array_equal(again.upper, d.upper)


def test_condition_drops_cells_or_whole_draws_and_says_how_many():
    offsets = np.zeros((4, 3, 2))
    offsets[2, 1, 1] = 1.5
    component = np.zeros((3, 2), int)
    by_cell = level_bounds(offsets, component, range_policy="condition")
    assert by_cell.share_refuted == pytest.approx(1 / 12)
    assert not by_cell.kept[2, 1]
    assert by_cell.kept.sum() == 11
    assert np.isnan(by_cell.lower[2, 1]).all()
    assert np.isfinite(np.delete(by_cell.lower, 2, axis=0)).all()
    by_draw = difference_bounds(offsets, component, range_policy="condition", draw_axes=1)
    assert by_draw.share_refuted == 0.25
    assert by_draw.kept.all(axis=1).tolist() == [True, True, False, True]
    assert np.isnan(by_draw.upper[2]).all()
    assert np.isnan(by_draw.lower[2]).all()
    assert np.isfinite(by_draw.upper[[0, 1, 3]]).all()
    assert by_draw.r_min == 1.5
    assert "75.00%" in by_draw.assumptions[-1]


def test_widen_uses_the_smallest_range_for_all_and_records_it():
    levels = level_bounds(np.array([[0.0, 2.0], [0.0, 0.5]]), np.zeros(2, int), range_policy="widen")
    assert levels.reward_range == (-0.5, 1.5)
    assert levels.lower.tolist() == [[-0.5, 1.5], [-0.5, 0.0]]
    assert levels.kept.all()
    assert levels.share_refuted == 0.5
    assert any("widened to [-0.5, 1.5]" in text for text in levels.assumptions)
    untouched = level_bounds(np.array([0.0, 0.5]), np.zeros(2, int), range_policy="widen")
    assert untouched.reward_range == (0.0, 1.0)


def test_link_scale_turns_log_odds_into_rewards():
    log_odds = np.array([0.0, 2.0, 5.0])
    component = np.array([0, 0, 1])
    scaled = difference_bounds(log_odds, component, (0.0, 1.0), link_scale=0.25)
    np.testing.assert_array_equal(scaled.upper, difference_bounds(0.25 * log_odds, component).upper)
    narrow = difference_bounds(log_odds, component, (0.0, 4.0))
    np.testing.assert_allclose(scaled.upper, 0.25 * narrow.upper)
    assert scaled.r_min == 0.5
    assert any("link scale 0.25" in text for text in scaled.assumptions)


def test_a_span_equal_to_the_range_up_to_rounding_is_not_a_refutation():
    offsets = np.array([0.0, 0.1 + 0.2, 0.0])
    levels = level_bounds(offsets, np.array([0, 0, 1]), (0.0, 0.3))
    assert (levels.lower <= levels.upper).all()
    d = difference_bounds(offsets, np.array([0, 0, 1]), (0.0, 0.3))
    assert (d.lower <= d.upper).all()
    with pytest.raises(RangeRefutedError):
        level_bounds(np.array([0.0, 0.3 + 1e-9]), np.zeros(2, int), (0.0, 0.3))


@given(cells(), st.floats(0, 2), st.floats(0, 2))
def test_a_wider_range_never_narrows_the_set(cell, below, above):
    offsets, component, (low, high) = cell
    narrow = difference_bounds(offsets, component, (low, high))
    wide = difference_bounds(offsets, component, (low - below, high + above))
    assert (wide.upper >= narrow.upper - 1e-12).all()
    assert (wide.lower <= narrow.lower + 1e-12).all()


@given(cells())
def test_merging_components_never_widens_the_set(cell):
    offsets, component, (low, high) = cell
    span = float(np.ptp(offsets))
    reward_range = (low, max(high, low + span + 1e-6))
    apart = difference_bounds(offsets, component, reward_range)
    merged = difference_bounds(offsets, np.zeros_like(component), reward_range)
    assert (merged.upper <= apart.upper + 1e-12).all()
    assert (merged.lower >= apart.lower - 1e-12).all()


def test_noise_free_sets_contain_the_truth_in_every_world():
    rng = np.random.default_rng(4)
    truth = rng.uniform(0, 1, (1000, 6))
    component = rng.integers(0, 4, (1000, 6))
    unseen = truth + rng.normal(size=(1000, 4))[np.arange(1000)[:, None], component]
    levels, d = level_bounds(unseen, component), difference_bounds(unseen, component)
    tolerance = 1e-12
    assert ((levels.lower <= truth + tolerance) & (truth <= levels.upper + tolerance)).all()
    difference = truth[:, :, None] - truth[:, None, :]
    assert ((d.lower <= difference + tolerance) & (difference <= d.upper + tolerance)).all()


def test_empty_batches_give_empty_bounds():
    assert level_bounds(np.empty((0, 3)), np.zeros(3, int)).lower.shape == (0, 3)
    assert difference_bounds(np.empty((0, 3)), np.zeros(3, int)).upper.shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "words"),
    [
        ((U, COMPONENT[:4]), {}, ValueError, "component: "),
        ((U, COMPONENT.astype(float)), {}, TypeError, "component: must be an integer array"),
        ((U, COMPONENT - 1), {}, ValueError, "labels must be >= 0"),
        ((np.array([0.0, np.nan, 0, 0, 0]), COMPONENT), {}, ValueError, r"offsets: must be finite .* first at \(1,\)"),
        ((U, COMPONENT, (1.0, 1.0)), {}, ValueError, "reward_range"),
        ((U, COMPONENT, (0.0, np.inf)), {}, ValueError, "reward_range"),
        ((U, COMPONENT), {"range_policy": "clip"}, ValueError, "range_policy: must be one of"),
        ((U, COMPONENT), {"link_scale": 0.0}, ValueError, "link_scale"),
        ((U, COMPONENT), {"draw_axes": 1}, ValueError, "draw_axes"),
        ((["a", "b"], np.array([0, 1])), {}, TypeError, "offsets: must be numeric"),
    ],
)
def test_broken_input_is_named(arguments, keywords, error, words):
    for bound in (level_bounds, difference_bounds):
        with pytest.raises(error, match=words):
            bound(*arguments, **keywords)


def test_out_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="out: must be"):
        difference_bounds(U, COMPONENT, out=np.empty((5, 4)))


def test_no_warning_is_raised_on_dropped_draws():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = difference_bounds(np.array([[0.0, 3.0], [0.0, 0.1]]), np.zeros(2, int), range_policy="condition")
    assert found.kept.tolist() == [False, True]
