"""Augmentation, environments and growth against brute force over subsets and against networkx."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.comparisons import from_codes
from bayespref.errors import TableError
from bayespref.graph.check import check
from bayespref.graph.environments import closed_holes, environment_union, environments
from bayespref.graph.growth import coverage_growth, rarefaction
from bayespref.graph.strata import augmenting_comparisons, strata
from bayespref.graph.strength import effective_resistance

ITEMS = ("a", "b", "c", "d", "e")
EDGES = list(itertools.combinations(range(5), 2))
GRAPHS = st.lists(st.sampled_from(EDGES), min_size=3, max_size=7, unique=True)


def table(edges, **columns):
    a, b = np.array(edges).T
    return from_codes(a, b, np.arange(len(a)) % 3, items=ITEMS, **columns)


def nx_graph(edges):
    graph = nx.Graph(edges)
    return graph


def cheapest(graph, k, price):
    """Least total price of new edges that make the graph k-edge-connected, by trying every subset."""
    nodes = sorted(graph)
    absent = [pair for pair in itertools.combinations(nodes, 2) if not graph.has_edge(*pair)]
    best = np.inf
    for size in range(len(absent) + 1):
        for chosen in itertools.combinations(absent, size):
            bigger = graph.copy()
            bigger.add_edges_from(chosen)
            if nx.edge_connectivity(bigger) >= k:
                best = min(best, sum(price[pair] for pair in chosen))
    return best


@given(GRAPHS, st.sampled_from([1, 2]))
@settings(max_examples=25)
def test_fewest_new_pairs_without_costs_are_those_of_trying_every_subset(edges, k):
    graph = nx_graph(edges)
    if len(graph) <= k:
        return
    got = augmenting_comparisons(table(edges), k=k)
    assert len(got) == cheapest(graph, k, dict.fromkeys(EDGES, 1))
    graph.add_edges_from((ITEMS.index(a), ITEMS.index(b)) for a, b in got[["item_a", "item_b"]].values)
    assert nx.edge_connectivity(graph) >= k


@given(GRAPHS, st.lists(st.integers(1, 9), min_size=10, max_size=10), st.sampled_from([1, 2]))
@settings(max_examples=25)
def test_least_cost_is_exact_for_joining_and_within_a_factor_of_two_for_securing(edges, prices, k):
    graph = nx_graph(edges)
    if len(graph) <= k:
        return
    cost = np.zeros((5, 5))
    price = dict(zip(EDGES, prices, strict=True))
    for (i, j), value in price.items():
        cost[i, j], cost[j, i] = value, value + 1  # the cheaper order counts
    got = augmenting_comparisons(table(edges), cost=cost, k=k)
    best = cheapest(graph, k, price)
    assert best <= got["cost"].sum() <= (best if k == 1 else 2 * best)


def test_pairs_that_cannot_be_asked_are_not_listed_and_their_lack_is_said():
    cost = np.full((5, 5), np.inf)
    cost[0, 2] = 1.0
    with pytest.warns(UserWarning, match="in 1 strata the pairs that can be asked do not reach k = 1"):
        got = augmenting_comparisons(table([(0, 1), (2, 3), (3, 4), (2, 4)]), cost=np.full((5, 5), np.inf))
    assert len(got) == 0
    got = augmenting_comparisons(table([(0, 1), (2, 3), (3, 4), (2, 4)]), cost=cost)
    assert got[["item_a", "item_b", "cost"]].values.tolist() == [["a", "c", 1.0]]


@given(GRAPHS)
@settings(max_examples=25)
def test_one_row_a_stratum_agrees_with_networkx(edges):
    graph = nx_graph(edges)
    got = strata(table(edges)).sel(state="all")
    assert int(got.n_items) == len(graph)
    assert int(got.n_components) == nx.number_connected_components(graph)
    assert int(got.n_bridges) == len(list(nx.bridges(graph)))
    assert int(got.n_articulation_items) == len(list(nx.articulation_points(graph)))
    assert float(got.n_to_join) == nx.number_connected_components(graph) - 1
    if nx.is_connected(graph):
        want = nx.algebraic_connectivity(graph, method="lanczos", tol=1e-12) / 4
        assert float(got.fiedler) == pytest.approx(want, abs=1e-6)
        resistance = max(nx.resistance_distance(graph, i, j) for i, j in itertools.combinations(graph, 2))
        assert float(got.largest_sd) == pytest.approx(np.sqrt(4 * resistance))
    else:
        assert float(got.fiedler) == 0
        assert float(got.largest_sd) == np.inf


def test_the_oracle_path_has_resistance_two_tenths_and_a_third_edge_a_third_of_it():
    path = np.zeros((3, 3))
    path[[0, 1, 1, 2], [1, 0, 2, 1]] = 10
    assert effective_resistance(path)[0, 2] == pytest.approx(0.2)
    path[[0, 2], [2, 0]] = 10
    assert effective_resistance(path)[0, 2] == pytest.approx(0.0666667, abs=1e-6)


BY_PLACE = st.lists(st.tuples(st.sampled_from(EDGES), st.integers(0, 2)), min_size=2, max_size=9)


@given(BY_PLACE)
@settings(max_examples=30)
def test_environments_and_their_union_join_what_networkx_joins(rows):
    edges, place = [pair for pair, _ in rows], np.array([where for _, where in rows])
    got = environments(table(edges, environment=place, environments=("x", "y", "z"))).sel(state="all")
    seen = sorted({node for pair in edges for node in pair})

    def graph(places):
        built = nx.Graph()
        built.add_nodes_from(seen)
        built.add_edges_from(pair for pair, where in rows if where in places)
        return built

    def joined(built):
        return {pair for pair in itertools.combinations(seen, 2) if nx.has_path(built, *pair)}

    union = joined(graph({0, 1, 2}))
    alone = [joined(graph({e})) for e in range(3)]
    for e in range(3):
        without = graph({0, 1, 2} - {e})
        here = got.isel(environment=e)
        assert int(here.n_components) == nx.number_connected_components(graph({e}))
        assert int(here.n_components_without) == nx.number_connected_components(without)
        assert int(here.n_contrasts) == len(alone[e])
        assert int(here.n_needs) == len(union - joined(without))
    assert int(got.n_components_union) == nx.number_connected_components(graph({0, 1, 2}))
    assert int(got.n_only_union) == len(union - set.union(*alone))
    holes = closed_holes(table(edges, environment=place, environments=("x", "y", "z")))
    assert len(holes) == len(set(itertools.combinations(seen, 2)) - set.intersection(*alone))
    for row in holes.itertuples():
        pair = (ITEMS.index(row.item_a), ITEMS.index(row.item_b))
        who = [name for name, closes in zip("xyz", alone, strict=True) if pair in closes]
        assert row.closed == ("alone" if who else "together" if pair in union else "no")
        if who:
            assert row.environments == ", ".join(who)


def test_swapping_environments_relabels_and_adding_rows_parts_nothing():
    rng = np.random.default_rng(0)
    counts = (rng.random((3, 2, 4, 4)) < 0.2).astype(float)
    plain, turned = environment_union(counts), environment_union(counts[::-1])
    assert np.array_equal(plain.joined_without, turned.joined_without[::-1])
    assert np.array_equal(plain.n_components_union, turned.n_components_union)
    more = environment_union(counts + (rng.random(counts.shape) < 0.1))
    assert np.all(more.joined_union >= plain.joined_union)
    assert np.all(more.joined_without >= plain.joined_without)


def test_check_asks_whether_pooling_environments_holds_a_contrast_up():
    split = table([(0, 1), (1, 2)], environment=np.array([0, 1]), environments=("lab", "field"))
    found = check(split)["contrasts within an environment"]
    assert (found.verdict, found.numbers["n_only_union"]) == ("no", 1)
    assert "2 contrasts without field, 2 contrasts without lab" in found.words
    one = table([(0, 1), (1, 2), (0, 1)], environment=np.array([0, 0, 1]), environments=("lab", "field"))
    assert check(one)["contrasts within an environment"].verdict == "yes"
    with pytest.raises(TableError, match="environment"):
        environments(table([(0, 1)]))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(lambda c: 0 < sum(c) <= 8), st.integers(1, 2))
@settings(max_examples=30)
def test_rarefaction_is_the_mean_over_every_subset_of_the_rows(count, need):
    rows = [cell for cell, many in enumerate(count) for _ in range(many)]
    budgets = list(range(len(rows) + 1))
    got = rarefaction(np.array(count), budgets, at_least_rows=need)
    for m in budgets:
        subsets = list(itertools.combinations(rows, m))
        want = np.mean([sum(subset.count(cell) >= need for cell in set(subset)) for subset in subsets])
        assert got.expected[m] == pytest.approx(want, abs=1e-9)
    assert np.array_equal(got.lower, got.expected)
    assert not got.extrapolated.any()


def test_beyond_the_collection_the_curve_is_marked_and_bracketed():
    got = rarefaction(np.array([30, 10, 0]), [40, 80, 4000])
    assert got.extrapolated.tolist() == [False, True, True]
    assert got.expected[1:] == pytest.approx([2, 2], abs=1e-6)  # at observed shares an empty cell stays empty
    assert np.all(got.lower <= got.expected)
    assert got.upper[2] > 2.99
    assert np.isnan(rarefaction(np.array([0, 0]), [5]).expected[0])
    with pytest.raises(ValueError, match="count: must be whole numbers"):
        rarefaction(np.array([0.5]), [1])


def test_extrapolation_is_a_mean_over_fresh_rows_at_the_observed_shares():
    rng = np.random.default_rng(1)
    count = np.array([12, 3, 1, 0])
    got = rarefaction(count, [60], at_least_rows=2)
    draws = rng.multinomial(60, count / 16, size=20_000)
    assert got.expected[0] == pytest.approx((draws >= 2).sum(1).mean(), abs=0.015)


def test_a_collection_that_reaches_cells_late_lies_below_its_rarefaction():
    state = np.repeat([0, 1, 2], 10)
    late = from_codes(0 * state, 0 * state + 1, 0 * state, items=("x", "y"), state=state, states=("s", "t", "u"))
    got = coverage_growth(late, [5, 11, 25, 30, 90], by=("state",))
    assert got.in_order.values[:4].tolist() == [1, 2, 3, 3]
    assert np.isnan(got.in_order.values[4])
    assert np.all(got.expected.values[:2] > got.in_order.values[:2] + 0.5)
    times = from_codes(
        0 * state, 0 * state + 1, 0 * state, items=("x", "y"), state=state, states=("s", "t", "u"),
        timestamp=np.tile(np.arange(10.0), 3),
    )  # fmt: skip
    assert coverage_growth(times, [3], by=("state",)).in_order.values.tolist() == [3]
    deeper = coverage_growth(late, [9, 10, 20, 30], by=("state",), at_least_rows=10)
    assert deeper.in_order.values.tolist() == [0, 1, 2, 3]


@given(st.permutations(range(12)))
@settings(max_examples=10)
def test_renaming_cells_leaves_the_curve(order):
    count = np.array([5, 3, 0, 0, 1, 2, 9, 1, 1, 0, 4, 2])
    budgets = [0, 3, 10, 28, 100]
    assert np.allclose(rarefaction(count, budgets)[:3], rarefaction(count[list(order)], budgets)[:3])
