"""Coverage of cells: intervals by an independent oracle, verdicts, missing mass."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from bayespref.comparisons import from_codes
from bayespref.errors import TableError, TargetMixError
from bayespref.graph.coverage import clopper_pearson, coverage, missing_mass

STATES, CONTEXTS = ("s", "t", "u"), ("x", "y")


def table(cells, states=STATES, contexts=CONTEXTS, weight=None):
    """One comparison a (state, context) code."""
    state, context = np.array(cells, dtype=int).reshape(-1, 2).T
    zero = np.zeros(len(state), dtype=int)
    return from_codes(
        zero,
        zero + 1,
        zero,
        items=("a", "b"),
        state=state,
        states=states,
        context=context,
        contexts=contexts,
        weight=weight,
    )


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.5, 0.9, 0.99]))
def test_intervals_agree_with_scipy(k, rest, level):
    n = k + rest
    lower, upper = clopper_pearson(np.array(float(k)), float(n), level)
    if n == 0:
        assert np.isnan(lower)
        assert np.isnan(upper)
        return
    want = binomtest(k, n).proportion_ci(level, method="exact")
    assert (float(lower), float(upper)) == pytest.approx((want.low, want.high), abs=1e-9)


@pytest.mark.parametrize("n", [5, 30])
@pytest.mark.parametrize("p", [0.001, 0.03, 0.2, 0.5, 0.93])
def test_intervals_cover_every_share_at_their_level(n, p):
    """By enumeration of all outcomes, so exact."""
    k = np.arange(n + 1.0)
    lower, upper = clopper_pearson(k, float(n), 0.9)
    assert binom.pmf(k, n, p)[(lower <= p) & (p <= upper)].sum() >= 0.9


def test_cells_above_below_and_undecided():
    cells = [(0, 0)] * 300 + [(1, 0)] * 100 + [(2, 1)] * 10
    got = coverage(table(cells), floor=0.05)
    assert got["count"].dims == ("context", "state")
    verdict = got.verdict.sel
    assert verdict(state="s", context="x") == "above"
    assert verdict(state="t", context="y") == "below"
    assert verdict(state="u", context="y") == "below"
    assert coverage(table(cells), floor=0.02).verdict.sel(state="u", context="y") == "undecided"
    assert float(got.mass.sum()) == pytest.approx(1)
    assert got.attrs["level"] == 0.95


def test_a_floor_of_zero_calls_what_was_seen_above_and_the_rest_undecided():
    got = coverage(table([(0, 0), (1, 0)]), floor=0.0)
    assert np.array_equal(got.verdict == "above", got["count"] > 0)
    assert set(np.unique(got.verdict)) == {"above", "undecided"}


def test_marginals_broad_crossing_empty():
    got = coverage(table([(0, 0), (1, 1), (0, 1)], states=("s", "t", "never")))
    assert got.crossing_empty.sel(state="t", context="x")
    assert not got.crossing_empty.sel(state="never").any()  # empty already in the marginal
    assert got["empty"].sel(state="never").all()
    assert "crossing empty: 1 of 6 cells is empty though its state and context occur (x / t)" in got.attrs["statement"]
    full = coverage(table([(s, c) for s in range(3) for c in range(2)]))
    assert full.attrs["statement"].startswith("joint support is as broad as the marginals")


def test_one_column_has_no_crossing():
    got = coverage(table([(0, 0), (1, 0)]), by=("state",))
    assert not got.crossing_empty.any()
    assert got.attrs["statement"] == "2 of 3 state cells have comparisons"


def test_bonferroni_intervals_contain_the_single_ones():
    one = coverage(table([(0, 0)] * 50 + [(1, 1)] * 7))
    many = coverage(table([(0, 0)] * 50 + [(1, 1)] * 7), simultaneous=True)
    assert np.all(many.lower <= one.lower)
    assert np.all(many.upper >= one.upper)
    want = binomtest(7, 57).proportion_ci(1 - 0.05 / 6, method="exact")
    assert float(many.upper.sel(state="t", context="y")) == pytest.approx(want.high, abs=1e-9)


def test_simultaneous_intervals_hold_together_at_their_level():
    rng = np.random.default_rng(4)
    p, worlds, missed = np.array([0.5, 0.3, 0.1, 0.06, 0.03, 0.01]), 1500, 0
    for counts in rng.multinomial(80, p, size=worlds):
        lower, upper = clopper_pearson(counts.astype(float), 80.0, 1 - 0.1 / 6)
        missed += bool(np.any((p < lower) | (p > upper)))
    assert missed / worlds <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / worlds)


def test_fractional_weights_are_marked_inexact():
    assert coverage(table([(0, 0), (1, 1)], weight=np.array([0.5, 1.0]))).attrs["exact"] == 0
    assert coverage(table([(0, 0), (1, 1)])).attrs["exact"] == 1


def test_an_empty_table_has_no_mass():
    got = coverage(table(np.zeros((0, 2))))
    assert np.isnan(got.mass).all()
    assert set(np.unique(got.verdict)) == {"undecided"}


def test_missing_mass_of_a_declared_deployment_matches_by_label():
    known = coverage(table([(0, 0), (1, 0), (0, 1)]))
    declared = xr.DataArray(
        [[0.1, 0.2], [0.3, 0.15], [0.05, 0.2]],
        dims=("state", "context"),
        coords={"state": ["t", "new", "s"], "context": ["y", "x"]},
    )
    got = missing_mass(known, declared)
    assert got.delta == pytest.approx(0.1 + 0.45, abs=1e-12)  # (t, y) was never seen, "new" is unknown
    assert got.outside == pytest.approx(0.45, abs=1e-12)
    assert (got.lower, got.upper, got.n) == (got.delta, got.delta, np.inf)
    assert [cell for cell, _ in got.cells] == [("y", "new"), ("x", "new"), ("y", "t")]


def test_missing_mass_of_deployment_rows_has_an_interval():
    known = coverage(table([(0, 0), (1, 0)]), by=("state",))
    rows = table([(0, 0)] * 6 + [(1, 0)] * 4, states=("t", "u"))
    got = missing_mass(known, rows)
    want = binomtest(4, 10).proportion_ci(0.95, method="exact")
    assert got.delta == 0.4
    assert (got.lower, got.upper) == pytest.approx((want.low, want.high), abs=1e-9)
    assert got.cells == ((("u",), 0.4),)
    assert got.outside == 0.0


def test_regions_of_missing_mass_are_nested():
    cells = [(0, 0)] * 300 + [(1, 0)] * 100 + [(2, 1)] * 10
    known = coverage(table(cells), floor=0.02)
    uniform = xr.DataArray(
        np.full((2, 3), 1 / 6), dims=("context", "state"), coords={"context": ["x", "y"], "state": list(STATES)}
    )
    empty, below, not_above = (missing_mass(known, uniform, region=r).delta for r in ("empty", "below", "not_above"))
    assert empty == pytest.approx(3 / 6)
    assert below == pytest.approx(3 / 6)  # the empty cells are surely below
    assert not_above == pytest.approx(4 / 6)


def test_bad_coverage_arguments_are_refused():
    data = table([(0, 0)])
    with pytest.raises(ValueError, match="floor"):
        coverage(data, floor=1.5)
    with pytest.raises(ValueError, match="level"):
        coverage(data, level=1.0)
    with pytest.raises(ValueError, match="by"):
        coverage(data, by=())
    with pytest.raises(TableError, match="environment"):
        coverage(data, by=("environment",))
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(np.array(3.0), 2.0)


def test_bad_deployments_are_refused():
    known = coverage(table([(0, 0)]), by=("state",))
    with pytest.raises(TargetMixError, match="deployment"):
        missing_mass(known, xr.DataArray([0.5, 0.6], dims=("state",), coords={"state": ["s", "t"]}))
    with pytest.raises(ValueError, match="dims"):
        missing_mass(known, xr.DataArray([1.0], dims=("context",), coords={"context": ["x"]}))
    with pytest.raises(ValueError, match="no labels"):
        missing_mass(known, xr.DataArray([1.0], dims=("state",)))
    with pytest.raises(TypeError, match="deployment"):
        missing_mass(known, np.array([1.0]))
    with pytest.raises(ValueError, match="no rows"):
        missing_mass(known, table(np.zeros((0, 2))))
    with pytest.raises(ValueError, match="region"):
        missing_mass(known, table([(0, 0)]), region="all")
