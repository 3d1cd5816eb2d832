"""Contrast summaries against plain loops, and what may not change them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.disagree.between import argmax_disagreement, between_types
from bayespref.disagree.spread import against_leader, contrast_cells, contrast_summary, disagreement


def random_draws(seed, shape=(7, 2, 3, 4), *, ties=True):
    values = np.random.default_rng(seed).normal(size=shape)
    return np.round(values, 0) if ties else values  # rounding makes exact ties common


def loop_summary(reward, prior_sd, level):
    """One contrast at a time with the standard library's way of counting."""
    n, n_states, n_types, n_items = reward.shape
    out = np.full((8, n_states, n_types, n_items, n_items), np.nan)
    for s, c, a, b in itertools.product(range(n_states), range(n_types), range(n_items), range(n_items)):
        gaps = [float(reward[i, s, c, a] - reward[i, s, c, b]) for i in range(n)]
        mean = sum(gaps) / n
        sd = (sum((g - mean) ** 2 for g in gaps) / (n - 1)) ** 0.5
        ordered = sorted(gaps)

        def quantile(q, ordered=ordered):
            spot = q * (n - 1)
            low = int(spot)
            high = min(low + 1, n - 1)
            return ordered[low] + (spot - low) * (ordered[high] - ordered[low])

        width = quantile((1 + level) / 2) - quantile((1 - level) / 2)
        out[[0, 1, 7], s, c, a, b] = mean, sd, width
        if a == b:
            continue
        up, down = sum(g > 0 for g in gaps) / n, sum(g < 0 for g in gaps) / n
        pairs = [(x, y) for x, y in itertools.product(range(n), range(n)) if x != y]
        clash = sum(gaps[x] * gaps[y] < 0 for x, y in pairs) / len(pairs)
        out[2:7, s, c, a, b] = up, min(up, down), 2 * up * down, clash, sd / prior_sd[c]
    return out


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chunk", [1, 50, 10**6])
def test_full_table_equals_plain_loops_whatever_the_chunk(seed, chunk):
    reward = random_draws(seed)
    prior = np.array([1.0, 2.0, 0.5])
    summary = contrast_summary(reward, prior[:, None, None], level=0.8, chunk=chunk)
    for name, got, want in zip(summary._fields, summary, loop_summary(reward, prior, 0.8), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12, err_msg=name)


def test_cells_and_leader_read_the_same_table():
    reward = random_draws(5, ties=False)
    full = contrast_summary(reward, 1.5)
    index = np.indices(full.mean.shape).reshape(4, -1)
    for got, want in zip(contrast_cells(reward, *index, 1.5), full, strict=True):
        np.testing.assert_allclose(got, want.ravel(), atol=1e-12)
    lead = against_leader(reward, 1.5)
    for s, c in itertools.product(range(2), range(3)):
        best = lead.leader[s, c]
        assert np.all(full.mean[s, c, best] >= 0)
        for got, want in zip(lead.summary, full, strict=True):
            np.testing.assert_allclose(got[s, c], want[s, c, best], atol=1e-12)


def test_draw_pairs_are_unbiased_where_the_plug_in_is_not():
    # With true P(d > 0) = 1/2 and five draws, the plug-in averages .5 * 4/5 = .4 and the draw-pair version .5.
    rng = np.random.default_rng(0)
    reward = np.zeros((5, 4000, 1, 2))
    reward[..., 0] = rng.normal(size=(5, 4000, 1))
    summary = contrast_summary(reward, level=None)
    error = 0.5 / np.sqrt(4000)
    assert abs(np.mean(summary.draw_pair_disagreement[..., 0, 1]) - 0.5) < 4 * error
    assert abs(np.mean(summary.pairwise_disagreement[..., 0, 1]) - 0.4) < 4 * error


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_gauge_and_relabelling_change_nothing(seed, other):
    reward = random_draws(seed, (5, 2, 2, 3), ties=False)
    rng = np.random.default_rng(other)
    full = contrast_summary(reward, 2.0)
    shifted = contrast_summary(reward + rng.normal(size=(5, 2, 2, 1)), 2.0)
    items, types = rng.permutation(3), rng.permutation(2)
    moved = contrast_summary(reward[:, :, types][..., items], 2.0)
    for name, base, shift, move in zip(full._fields, full, shifted, moved, strict=True):
        np.testing.assert_allclose(shift, base, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(move, base[:, types][..., items, :][..., items], atol=1e-12, err_msg=name)
    assert np.all(full.sign_disagreement[..., 0, 1] <= 0.5)
    off = ~np.eye(3, dtype=bool)
    assert (full.sign_probability + np.swapaxes(full.sign_probability, -1, -2))[..., off] == pytest.approx(1.0)


def test_one_draw_leaves_spread_undefined_not_zero():
    summary = contrast_summary(np.array([[[[1.0, 0.0]]]]), 1.0)
    assert np.isnan(summary.sd[0, 0, 0, 1])
    assert np.isnan(summary.contraction[0, 0, 0, 1])
    assert np.isnan(summary.draw_pair_disagreement[0, 0, 0, 1])
    assert np.isnan(argmax_disagreement(np.array([[[[1.0, 0.0]]]])))[0, 0]


def test_no_prior_sd_or_level_is_unknown_not_a_number():
    summary = contrast_summary(random_draws(1), level=None)
    assert np.isnan(summary.contraction).all()
    assert np.isnan(summary.width).all()


@pytest.mark.parametrize("seed", range(5))
def test_argmax_disagreement_enumerates_pairs_of_draws(seed):
    reward = random_draws(seed, (6, 1, 2, 3))
    got = argmax_disagreement(reward)
    for c in range(2):
        clash = []
        for i, j in itertools.permutations(range(6), 2):
            tops = [np.flatnonzero(reward[k, 0, c] == reward[k, 0, c].max()) for k in (i, j)]
            clash.append(np.mean([x != y for x, y in itertools.product(*tops)]))
        assert got[0, c] == pytest.approx(np.mean(clash))


def test_refits_that_all_return_the_prior_mean_pick_at_chance():
    assert argmax_disagreement(np.zeros((10, 1, 1, 4)))[0, 0] == pytest.approx(0.75)
    assert contrast_summary(np.zeros((10, 1, 1, 4))).sd.max() == 0  # ... while their spread says "agreed"


def test_between_types_enumerates_pairs_of_people():
    reward = random_draws(3, (4, 2, 3, 3))
    weight = np.random.default_rng(1).dirichlet(np.ones(3), size=4)
    got = between_types(reward, weight)
    for s, a, b in itertools.product(range(2), range(3), range(3)):
        if a == b:
            assert np.isnan(got[s, a, b])
            continue
        gap = reward[:, s, :, a] - reward[:, s, :, b]
        want = np.mean(
            [
                sum(weight[n, c] * weight[n, k] * (gap[n, c] * gap[n, k] < 0) for c in range(3) for k in range(3))
                for n in range(4)
            ]
        )
        assert got[s, a, b] == pytest.approx(want)


def test_labelled_wrapper_flattens_chains_and_keeps_labels():
    import xarray as xr

    values = np.random.default_rng(0).normal(size=(2, 9, 1, 2, 3))
    data = xr.DataArray(
        values, dims=("chain", "draw", "state", "type", "item"), coords={"item": ["x", "y", "z"], "state": ["p"]}
    )
    result = disagreement(data.transpose("item", "draw", "chain", "state", "type"), 1.0)
    want = contrast_summary(values.reshape(18, 1, 2, 3), 1.0)
    assert result["mean"].sel(state="p", item="x", item_other="z").values == pytest.approx(want.mean[0, :, 0, 2])
    assert result.attrs["level"] == 0.9
    with pytest.raises(ValueError, match="dims"):
        disagreement(data.isel(state=0))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: contrast_summary(np.full((2, 1, 1, 2), np.nan)), "reward"),
        (lambda: contrast_summary(np.zeros((2, 1, 2))), "reward"),
        (lambda: contrast_summary(np.zeros((0, 1, 1, 2))), "reward"),
        (lambda: contrast_summary(np.zeros((2, 1, 1, 2)), 0.0), "prior_sd"),
        (lambda: contrast_summary(np.zeros((2, 1, 1, 2)), np.nan), "prior_sd"),
        (lambda: contrast_summary(np.zeros((2, 1, 1, 2)), level=1.0), "level"),
        (lambda: contrast_summary(np.zeros((2, 1, 1, 2)), chunk=0), "chunk"),
        (lambda: contrast_cells(np.zeros((2, 1, 1, 2)), *[np.array([2])] * 4), "state"),
        (lambda: contrast_cells(np.zeros((2, 1, 1, 2)), *[np.array([0.0])] * 4), "state"),
        (lambda: between_types(np.zeros((2, 1, 2, 2)), np.array([0.5, 0.6])), "type_weight"),
    ],
)
def test_broken_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
