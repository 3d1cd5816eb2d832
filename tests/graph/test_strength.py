"""Effective resistance, Fiedler value, bridges and articulation items, against networkx and closed forms."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.comparisons import from_codes
from bayespref.dims import TIE
from bayespref.graph.strength import articulation_items, bridges, contrast_sd, effective_resistance, fiedler_value

ITEMS = ("ant", "bee", "cat", "dog", "eel")


@st.composite
def symmetric(draw, n=5):
    values = draw(st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0, 30.0]), min_size=n * n, max_size=n * n))
    upper = np.triu(np.reshape(values, (n, n)), 1)
    return upper + upper.T


@given(symmetric())
@settings(max_examples=40)
def test_resistance_agrees_with_networkx_and_the_pseudoinverse(weights):
    got = effective_resistance(weights)
    graph = nx.from_numpy_array(weights)
    laplacian = np.diag(weights.sum(1)) - weights
    pinv = np.linalg.pinv(laplacian, hermitian=True, rtol=1e-10)
    for i in range(5):
        for j in range(5):
            if not nx.has_path(graph, i, j):
                assert got[i, j] == np.inf
                continue
            part = graph.subgraph(nx.node_connected_component(graph, i))
            if i != j:
                want = nx.resistance_distance(part, i, j, weight="weight", invert_weight=False)
                assert got[i, j] == pytest.approx(want, rel=1e-9)
            assert got[i, j] == pytest.approx(pinv[i, i] + pinv[j, j] - 2 * pinv[i, j], abs=1e-9)


def test_resistances_in_series_and_parallel():
    weights = np.zeros((4, 4))
    for i, j, w in ((0, 1, 2.0), (1, 3, 2.0), (0, 2, 1.0), (2, 3, 1.0)):
        weights[i, j] = weights[j, i] = w
    assert effective_resistance(weights)[0, 3] == pytest.approx(1 / (1 / 1 + 1 / 2), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_resistance_scales_with_the_information(scale):
    weights = np.array([[0, 1, 0, 0], [1, 0, 2, 0], [0, 2, 0, 0], [0, 0, 0, 0]]) * scale
    assert effective_resistance(weights)[0, 2] * scale == pytest.approx(1.5, rel=1e-12)


def test_the_standard_error_is_that_of_the_estimate():
    """Inverse information of the Bradley-Terry likelihood at equal rewards, by finite differences; item 0 is fixed."""
    n = np.array([[0, 7, 3], [7, 0, 5], [3, 5, 0]], dtype=float)

    def log_likelihood(free):
        reward = np.array([0.0, *free])
        gap = reward[:, None] - reward[None, :]
        return -0.5 * (n * np.log1p(np.exp(-gap))).sum()  # half of the n comparisons won by each side

    step, hessian = 1e-4, np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            hessian[i, j] = sum(
                si * sj * log_likelihood(step * (si * np.eye(2)[i] + sj * np.eye(2)[j]))
                for si in (1, -1)
                for sj in (1, -1)
            ) / (4 * step**2)
    covariance = np.linalg.inv(-hessian)
    variance = effective_resistance(n / 4)
    assert variance[0, 1] == pytest.approx(covariance[0, 0], rel=1e-5)
    assert variance[1, 2] == pytest.approx(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], rel=1e-5)


@given(symmetric())
def test_fiedler_value_agrees_with_networkx(weights):
    graph = nx.from_numpy_array(weights)
    got = fiedler_value(np.stack([weights, 2 * weights]))
    if not nx.is_connected(graph):
        assert got.tolist() == [0.0, 0.0]
        return
    want = np.sort(nx.laplacian_spectrum(graph))[1]
    assert got == pytest.approx([want, 2 * want], rel=1e-9)


def test_one_item_has_no_fiedler_value():
    assert np.isnan(fiedler_value(np.zeros((1, 1))))


@pytest.mark.parametrize("function", [effective_resistance, fiedler_value])
@pytest.mark.parametrize("bad", [[[0, 1], [2, 0]], [[0, -1], [-1, 0]], [[0, np.inf], [np.inf, 0]], [[0, 1, 2]]])
def test_bad_weights_are_refused(function, bad):
    with pytest.raises(ValueError, match="weights"):
        function(np.array(bad, dtype=float))


def path(states=("s", "t")):
    """a - b - c in a chain and d - e apart, in state s; nothing in t."""
    return from_codes(np.array([0, 1, 1, 3]), np.array([1, 2, 2, 4]), np.full(4, TIE), items=ITEMS, states=states)


def test_sd_of_a_contrast_is_infinite_where_nothing_joins():
    got = contrast_sd(path())
    sd = got.sd.sel(state="s")
    assert float(sd.sel(item="ant", item_other="cat")) == pytest.approx(np.sqrt(4 / 1 + 4 / 2), rel=1e-12)
    assert float(sd.sel(item="ant", item_other="dog")) == np.inf
    assert np.isinf(got.sd.sel(state="t", item="ant", item_other="bee"))
    assert float(got.fiedler.sel(state="s")) == 0.0
    assert np.isnan(got.fiedler.sel(state="t"))


def test_any_other_probability_widens_the_contrast():
    even, uneven = contrast_sd(path()).sd.values, contrast_sd(path(), probability=0.9).sd.values
    assert np.all(uneven >= even)
    assert uneven[0, 0, 1] == pytest.approx(np.sqrt(1 / 0.09), rel=1e-12)


def test_dense_work_is_refused_above_its_size():
    with pytest.raises(ValueError, match="max_items = 4"):
        contrast_sd(path(), max_items=4)
    with pytest.raises(ValueError, match="probability"):
        contrast_sd(path(), probability=np.full((3, 3), 0.5))
    with pytest.raises(ValueError, match="probability"):
        contrast_sd(path(), probability=1.5)


def test_bridges_and_articulation_items_of_a_chain():
    assert bridges(path()).values.tolist() == [
        ["s", "ant", "bee", 1.0],
        ["s", "dog", "eel", 1.0],
        ["s", "bee", "cat", 2.0],
    ]
    assert articulation_items(path()).values.tolist() == [["s", "bee"]]


def test_a_ring_has_neither():
    ring = from_codes(np.arange(5), (np.arange(5) + 1) % 5, np.full(5, TIE), items=ITEMS)
    assert len(bridges(ring)) == len(articulation_items(ring)) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=8))
def test_bridges_are_the_edges_whose_loss_adds_a_component(steps):
    edges = sorted({tuple(sorted((a, (a + step) % 5))) for a, step in steps})
    a, b = np.array(edges).T

    def pieces(kept):
        graph = nx.Graph(kept)
        graph.add_nodes_from({i for edge in edges for i in edge})
        return nx.number_connected_components(graph)

    want = [[ITEMS[i], ITEMS[j]] for i, j in edges if pieces([e for e in edges if e != (i, j)]) > pieces(edges)]
    got = bridges(from_codes(a, b, np.full(len(a), TIE), items=ITEMS))
    assert sorted(got[["item_a", "item_b"]].values.tolist()) == want
