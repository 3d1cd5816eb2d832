"""Weights: the worked example, invariances, and what cannot be answered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bayespref.weights import clip, effective_sample_size, normalise, tail

W = np.array([0.2, 0.5, 1.0, 1.0, 4.0])
positive = arrays(np.float64, st.integers(1, 30), elements=st.floats(0.01, 100))


def test_worked_example_before_and_after_clipping():
    np.testing.assert_allclose(effective_sample_size(W), 2.45434664, atol=6e-9)
    np.testing.assert_allclose(tail(W).top_share, 0.59701493, atol=6e-9)
    np.testing.assert_allclose(effective_sample_size(clip(W, 2.0)), 3.51192369, atol=6e-9)


@given(positive, st.floats(1e-200, 1e200))
def test_effective_size_lies_between_one_and_n_and_ignores_scale(w, scale):
    got = effective_sample_size(w)
    assert 1 - 1e-12 <= got <= len(w) * (1 + 1e-12)
    np.testing.assert_allclose(effective_sample_size(w * scale), got, rtol=1e-12)
    np.testing.assert_allclose(effective_sample_size(np.tile(w, 3)), 3 * got, rtol=1e-12)


@given(positive)
def test_normalised_weights_have_mean_one_and_the_same_ratios(w):
    got = normalise(w)
    np.testing.assert_allclose(got.mean(), 1, rtol=1e-12)
    np.testing.assert_allclose(got * w[0], w * got[0], rtol=1e-12)


def test_equal_weights_keep_every_row():
    assert effective_sample_size(np.full(7, 0.3)) == pytest.approx(7, rel=1e-14)


def test_leading_axes_are_kept_and_all_zero_weights_are_undefined():
    w = np.stack([W, np.zeros(5)])
    assert effective_sample_size(w).shape == (2,)
    assert np.isnan(effective_sample_size(w)[1])
    assert np.isnan(normalise(w)[1]).all()
    assert np.isnan(tail(w).top_share[1])
    assert tail(w).quantiles.shape == (2, 7)


def test_tail_reports_the_largest_percent_and_flags_a_wrong_mean():
    rng = np.random.default_rng(0)
    w = rng.exponential(size=1000)
    got = tail(w)
    np.testing.assert_allclose(got.top_share, np.sort(w)[-10:].sum() / w.sum())
    np.testing.assert_allclose([got.mean, got.mean_square, got.maximum], [w.mean(), (w**2).mean(), w.max()])
    np.testing.assert_allclose(got.mean_se, w.std(ddof=1) / np.sqrt(1000))
    np.testing.assert_allclose(got.share_eff, got.n_eff / 1000)
    assert not got.mean_off
    assert tail(1.2 * w / w.mean()).mean_off
    assert not tail(np.array([5.0])).mean_off
    assert np.isnan(tail(np.array([5.0])).mean_se)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_sample_size(np.array([1.0, -0.1])), r"w: must be >= 0; 1 bad value\(s\), first \{\(1,\): "),
        (lambda: effective_sample_size(np.array([1.0, np.nan])), "w: must be finite"),
        (lambda: normalise(np.array([1.0, np.inf])), "w: must be finite"),
        (lambda: tail(np.array([])), "w: needs at least one weight"),
        (lambda: clip(W, 0.0), "cap: must be > 0"),
    ],
)
def test_bad_weights_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
