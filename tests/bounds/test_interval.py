"""Credible regions of identified sets against brute force over all pairs of ends."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.bounds.identified import difference_bounds
from bayespref.bounds.interval import (
    contains,
    coverage_probability,
    robust_credible_region,
    set_of_means,
    set_probabilities,
    sign_probabilities,
)

L = np.array([0, 0.1, 0.2, 0.3, 0.05])
U = np.array([0.5, 0.6, 0.9, 0.7, 0.55])


def brute_force(low, high, level):
    """Shortest interval over all pairs of ends; ties to the smallest a."""
    need = math.ceil(round(level * len(low), 9))
    best = None
    for a in sorted(set(low)):
        for b in sorted(set(high)):
            if b >= a and sum((low >= a) & (high <= b)) >= need:
                key = (b - a, a, b)
                if best is None or key[0] < best[0] - 1e-12:
                    best = key
                break
    return best[1], best[2]


def heap_region(low, high, level):
    """The same by a sweep with a heap of the smallest upper ends, in the order of falling lower ends."""
    need = math.ceil(round(level * len(low), 9))
    heap, best = [], None
    for i in np.argsort(-low, kind="stable"):
        heapq.heappush(heap, -high[i])
        if len(heap) > need:
            heapq.heappop(heap)
        if len(heap) == need:
            length = -heap[0] - low[i]
            if best is None or length <= best[0] + 1e-12:
                best = (length, low[i], -heap[0])
    return best[1], best[2]


@pytest.mark.parametrize(("level", "region"), [(0.6, (0, 0.6)), (0.8, (0, 0.7)), (1.0, (0, 0.9))])
def test_oracle_20_shortest_regions(level, region):
    result = robust_credible_region(L, U, level)
    assert (float(result.lower), float(result.upper)) == region
    assert int(result.n_draws) == 5
    assert int(result.n_covered) == math.ceil(level * 5 - 1e-9)


@given(
    st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 8)), min_size=1, max_size=12),
    st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.9, 1.0]),
)
def test_region_equals_brute_force_with_ties(draws, level):
    low = np.array([a for a, _ in draws], float)
    high = low + np.array([w for _, w in draws], float)
    result = robust_credible_region(low, high, level)
    assert (float(result.lower), float(result.upper)) == brute_force(low, high, level)


def test_columns_equal_a_heap_sweep_each():
    rng = np.random.default_rng(15)
    low = rng.normal(size=(301, 4, 3))
    high = low + rng.exponential(size=low.shape)
    for level in (0.1, 0.5, 0.9, 0.99):
        result = robust_credible_region(low, high, level)
        for i in np.ndindex(4, 3):
            expected = heap_region(low[:, *i], high[:, *i], level)
            assert (result.lower[i], result.upper[i]) == expected
            inside = (low[:, *i] >= result.lower[i]) & (high[:, *i] <= result.upper[i])
            assert inside.sum() >= math.ceil(level * 301)


def test_many_columns_are_done_in_blocks_without_seams():
    rng = np.random.default_rng(16)
    low = rng.normal(size=(400, 6000))
    high = low + 1
    whole, part = (
        robust_credible_region(low, high, 0.9),
        robust_credible_region(low[:, 5000:5003], high[:, 5000:5003], 0.9),
    )
    np.testing.assert_array_equal(whole.lower[5000:5003], part.lower)
    np.testing.assert_array_equal(whole.upper[5000:5003], part.upper)


def test_a_higher_level_never_gives_a_shorter_region():
    rng = np.random.default_rng(17)
    low = rng.normal(size=(200, 20))
    high = low + rng.exponential(size=low.shape)
    regions = [robust_credible_region(low, high, level) for level in (0.2, 0.5, 0.8, 0.95, 1.0)]
    lengths = np.array([r.upper - r.lower for r in regions])
    assert (np.diff(lengths, axis=0) >= -1e-12).all()
    np.testing.assert_array_equal(regions[-1].lower, low.min(0))
    np.testing.assert_array_equal(regions[-1].upper, high.max(0))


def test_points_give_the_shortest_interval_of_a_sample():
    values = np.array([0.0, 5.0, 5.1, 5.2, 9.0])
    region = robust_credible_region(values, values, 0.6)
    assert (float(region.lower), float(region.upper)) == (5.0, 5.2)


def test_dropped_draws_are_refused_or_left_out_column_by_column():
    low, high = np.stack([L, L], 1), np.stack([U, U], 1)
    low[1, 0] = np.nan
    with pytest.raises(ValueError, match="nan_policy='omit'"):
        robust_credible_region(low, high, 0.8)
    result = robust_credible_region(low, high, 0.8, nan_policy="omit")
    rest = [0, 2, 3, 4]
    assert (result.lower[0], result.upper[0]) == brute_force(L[rest], U[rest], 0.8)
    assert (result.lower[1], result.upper[1]) == (0, 0.7)
    assert result.n_draws.tolist() == [4, 5]
    assert result.n_covered.tolist() == [4, 4]
    nothing = robust_credible_region(np.full((3, 1), np.nan), np.full((3, 1), np.nan), 0.5, nan_policy="omit")
    assert np.isnan(nothing.lower).all()
    assert np.isnan(nothing.upper).all()
    assert nothing.n_draws.tolist() == [0]
    for ends in set_of_means(low, high, nan_policy="omit"):
        assert np.isfinite(ends).all()


def test_probabilities_of_statements_count_draws():
    p = set_probabilities(L, U, (0.05, 0.65))
    inside = sum(a >= 0.05 and b <= 0.65 for a, b in zip(L, U, strict=True))
    assert float(p.inside) == inside / 5
    assert float(p.meets) == 1.0
    assert float(set_probabilities(L, U, (0.65, 2.0)).meets) == 2 / 5
    assert float(coverage_probability(L, U, 0.65)) == 2 / 5
    assert float(coverage_probability(L, U, 0.5)) == 1.0
    s = sign_probabilities(L - 0.25, U - 0.55)
    assert float(s.lower) == 1 / 5
    assert float(s.upper) == 3 / 5
    low, high = set_of_means(L, U)
    assert (float(low), float(high)) == pytest.approx((0.13, 0.65))
    assert contains(L, U, 0.65).tolist() == [False, False, True, True, False]
    assert contains(np.array([np.nan]), np.array([1.0]), 0.5).tolist() == [False]


def test_inside_never_exceeds_meets_and_sign_probabilities_are_ordered():
    rng = np.random.default_rng(18)
    low = rng.normal(size=(100, 7))
    high = low + rng.exponential(size=low.shape)
    p, s = set_probabilities(low, high, (-0.5, 1.0)), sign_probabilities(low, high)
    assert (p.inside <= p.meets).all()
    assert (s.lower <= s.upper).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 2000, 20000])
def test_credible_region_covers_and_a_prior_filled_interval_does_not(promise, n):
    # One identified contrast d01 with a Gaussian posterior; item 2 is unconnected, so r2 - r0 is a set.
    rng = np.random.default_rng(n)
    worlds, draws, sd = 1000, 500, 1.0 / math.sqrt(n * 0.24)
    truth = rng.uniform(0.2, 0.8, worlds)
    estimate = truth + sd * rng.normal(size=worlds)
    d = estimate + sd * rng.normal(size=(draws, worlds))
    offsets = np.stack([np.zeros_like(d), d, rng.normal(size=d.shape)], axis=-1)
    component = np.array([0, 0, 1])
    bound = difference_bounds(offsets, component, (0.0, 1.0), range_policy="condition")
    region = robust_credible_region(bound.lower[..., 2, 0], bound.upper[..., 2, 0], 0.9, nan_policy="omit")
    set_low, set_high = -(1 - truth), np.ones(worlds)
    covered = (region.lower <= set_low + 1e-12) & (region.upper >= set_high - 1e-12)
    promise.share(f"credible region of a set, n = {n}: covers it", covered.sum(), worlds, 0.9, "at least")
    # A draw of a uniform prior on what the data leave open, and its central 90 % interval.
    low, high = bound.lower[..., 2, 0], bound.upper[..., 2, 0]
    filled = low + (high - low) * rng.uniform(size=low.shape)
    inner_low, inner_high = np.nanquantile(filled, [0.05, 0.95], axis=0)
    assert ((inner_low <= set_low) & (inner_high >= set_high)).mean() < 0.05


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((L, U, 0.0), "level"),
        ((L, U, 1.1), "level"),
        ((U, L, 0.9), "lower: exceeds upper"),
        ((L, U[:3], 0.9), "one shape"),
        ((np.empty(0), np.empty(0), 0.9), "at least one draw"),
        ((np.array([-np.inf]), np.array([1.0]), 0.9), "infinite"),
        ((1.0, 2.0, 0.9), "axes"),
    ],
)
def test_broken_input_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        robust_credible_region(*arguments)


def test_a_reversed_target_interval_is_refused():
    with pytest.raises(ValueError, match="interval"):
        set_probabilities(L, U, (1.0, 0.0))
