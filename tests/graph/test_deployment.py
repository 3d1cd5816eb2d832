"""Overlap with a deployment: cells by hand, neighbours by brute force, the classifier test by its error rates."""

import builtins
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from bayespref.comparisons import from_codes
from bayespref.errors import TargetMixError
from bayespref.graph.clusters import cluster_states
from bayespref.graph.coverage import coverage, missing_mass
from bayespref.graph.declared import deployment_cells
from bayespref.graph.deployment import cell_ratios, deployment_overlap
from bayespref.graph.support import neighbour_support
from bayespref.graph.two_sample import classifier_test
from bayespref.weights import effective_sample_size

COUNTS = st.lists(st.integers(0, 9), min_size=2, max_size=6).filter(sum)


def collected(states, names=("s", "t", "u")):
    zero = np.zeros(len(states), dtype=int)
    return from_codes(zero, zero + 1, zero, items=("x", "y"), state=states, states=names)


@given(COUNTS, st.data())
@settings(max_examples=50)
def test_ratios_and_effective_rows_are_those_of_weighting_row_by_row(count, data):
    target = data.draw(st.lists(st.integers(0, 9), min_size=len(count), max_size=len(count)).filter(sum))
    got = cell_ratios(np.array(count, float), np.array(target, float))
    rows = [cell for cell, many in enumerate(count) for _ in range(many)]
    weight = np.array([target[cell] / sum(target) / (count[cell] / sum(count)) for cell in rows])
    assert got.largest_covered == pytest.approx(weight.max())
    lost = [cell for cell in range(len(count)) if target[cell] and not count[cell]]
    assert np.isinf(got.largest) == bool(lost)
    assert set(np.flatnonzero(np.isinf(got.ratio))) == set(lost)
    if weight.any():
        assert got.n_eff == pytest.approx(float(effective_sample_size(weight)))
    else:
        assert got.n_eff == 0
    assert weight.mean() == pytest.approx(1 - sum(target[cell] for cell in lost) / sum(target))


def test_the_same_deployment_in_four_shapes_gives_one_answer():
    cells = coverage(collected([0, 0, 0, 1]), by=("state",))
    rows = collected([1, 1, 0, 3], names=("s", "t", "u", "new"))
    frame = pd.DataFrame({"state": ["t", "t", "s", "new"]})
    counted = pd.DataFrame({"state": ["new", "t", "s"], "count": [1, 2, 1]})
    declared = xr.DataArray([0.5, 0.25, 0.25], dims=("state",), coords={"state": ["t", "s", "new"]})
    said = pd.DataFrame({"state": ["t", "s", "new"], "probability": [0.5, 0.25, 0.25]})
    got = [deployment_overlap(cells, given_one) for given_one in (rows, frame, counted, declared, said)]
    for one in got:
        assert float(one.missing_mass) == 0.25
        assert float(one.outside) == 0.25
        assert float(one.ratio.sel(state="t")) == pytest.approx(2.0)
        assert float(one.ratio.sel(state="s")) == pytest.approx(1 / 3)
        assert np.isinf(one.ratio.sel(state="new"))
        assert np.isnan(one.ratio.sel(state="u"))
        assert float(one.largest_covered_ratio) == pytest.approx(2.0)
    assert [one.attrs["deployment_rows"] for one in got] == [4, 4, 4, np.inf, np.inf]
    assert float(got[0].missing_mass_upper) > 0.25
    assert float(got[3].missing_mass_upper) == 0.25
    assert missing_mass(cells, frame).cells == ((("new",), 0.25),)


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pd.DataFrame({"prompt": ["s"]}), ValueError, r"columns \['state'\] are missing"),
        (pd.DataFrame({"state": ["s", None]}), ValueError, r"missing values, first at rows \[1\]"),
        (pd.DataFrame({"state": ["s"], "count": [-1]}), ValueError, "must be >= 0"),
        (pd.DataFrame({"state": ["s"], "count": ["x"]}), ValueError, "must be finite"),
        (pd.DataFrame({"state": ["s"], "count": [0]}), ValueError, "holds no rows"),
        (pd.DataFrame({"state": ["s"], "probability": [0.9]}), TargetMixError, "sum to one"),
        (pd.DataFrame({"state": ["s"], "count": [1], "probability": [1.0]}), ValueError, "not both"),
        ([1.0], TypeError, "got list"),
    ],
)
def test_a_deployment_that_cannot_be_read_is_refused_by_name(frame, error, message):
    with pytest.raises(error, match=message):
        deployment_cells(frame, ("state",))


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=20)
def test_neighbour_distances_are_those_of_all_pairs(seed, k):
    rng = np.random.default_rng(seed)
    here, there = rng.normal(size=(30, 2)), rng.normal(1.0, 2.0, size=(8, 2))
    got = neighbour_support(here, there, k=k)
    across = np.sort(np.linalg.norm(there[:, None] - here[None], axis=2), axis=1)[:, k - 1]
    own = np.sort(np.linalg.norm(here[:, None] - here[None], axis=2), axis=1)[:, k]
    assert got.distance == pytest.approx(across)
    assert got.p_value == pytest.approx([(1 + (own >= d - 1e-12).sum()) / 31 for d in across])
    assert got.share == np.mean(got.p_value <= 0.05)


def test_alike_points_are_unsupported_about_as_often_as_the_level_says(promise):
    rng = np.random.default_rng(0)
    share = [neighbour_support(rng.normal(size=(200, 3)), rng.normal(size=(50, 3)), level=0.9).share for _ in range(60)]
    promise.mean("neighbour support at level .9, alike points: unsupported", share, 0.1)
    far = neighbour_support(rng.normal(size=(200, 3)), rng.normal(8.0, 1.0, size=(50, 3)))
    assert far.lower > 0.9


def test_a_shift_is_found_its_density_ratio_is_near_the_true_one_and_no_shift_is_no_alarm():
    rng = np.random.default_rng(1)
    here, there = rng.normal(size=(1500, 1)), rng.normal(0.8, 1.0, size=(1000, 1))
    got = classifier_test(here, there)
    truth = norm.pdf(here[:, 0], 0.8) / norm.pdf(here[:, 0])
    assert got.p_value < 1e-10
    assert got.auc == pytest.approx(norm.cdf(0.8 / np.sqrt(2)), abs=0.03)  # the best there is
    assert got.mean_ratio == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(np.log(got.ratio), np.log(truth))[0, 1] > 0.95
    assert got.calibration_error < 0.06
    assert 1 < got.n_eff < 1500
    again = classifier_test(here, there)
    assert np.array_equal(got.ratio, again.ratio)


@pytest.mark.slow
def test_without_a_shift_the_classifier_test_rejects_no_more_often_than_its_level(promise):
    rng = np.random.default_rng(2)
    p = [classifier_test(rng.normal(size=(60, 2)), rng.normal(size=(50, 2)), seed=i).p_value for i in range(30)]
    promise.share("classifier test at level .2, no shift: rejects", np.sum(np.array(p) <= 0.2), 30, 0.2, "at most")


def test_clear_states_are_found_whatever_the_seed_and_none_are_stable_where_there_are_none():
    rng = np.random.default_rng(3)
    centre = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    truth = np.repeat([0, 1, 2], 20)
    got = cluster_states(centre[truth] + rng.normal(size=(60, 2)), 3, n_seeds=6)
    assert np.array_equal(got.label, truth)
    assert got.stability > 0.8
    assert cluster_states(rng.normal(size=(200, 8)), 6, n_seeds=6).stability < 0.6
    with pytest.raises(ValueError, match="n_states: 3 states need as many different rows"):
        cluster_states(np.zeros((5, 2)), 3)


def test_the_order_of_prompts_does_not_move_their_states():
    points = np.random.default_rng(4).normal(size=(40, 2)) + np.repeat([[0, 0], [12, 0]], 20, axis=0)
    order = np.random.default_rng(5).permutation(40)
    plain, moved = cluster_states(points, 2), cluster_states(points[order], 2)
    same = plain.label[order] == moved.label
    assert same.all() or not same.any()


@pytest.mark.parametrize(
    "call",
    [
        lambda: classifier_test(np.zeros((20, 1)), np.ones((20, 1))),
        lambda: cluster_states(np.arange(4.0)[:, None], 2),
    ],
)
def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch, call):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'bayespref\[overlap\]'"):
        call()
