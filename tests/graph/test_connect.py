"""Components, separation and the status of contrasts, against networkx, linear algebra and linear programs."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

from bayespref.comparisons import from_codes
from bayespref.dims import A_WINS, B_WINS, BOTH_BAD, TIE
from bayespref.errors import REASONS, TableError
from bayespref.graph.build import pair_table, win_counts
from bayespref.graph.connect import (
    CONTRAST_STATUS,
    components,
    connectivity,
    contrast_status,
    estimable,
    strong_components,
)

ITEMS = ("ant", "bee", "cat", "dog", "eel", "fox")
STATES = ("s", "t", "u")


def table(rows, items=ITEMS, states=STATES, **columns):
    a, b, outcome, state = np.array(rows, dtype=int).reshape(-1, 4).T
    return from_codes(a, b, outcome, items=items, state=state, states=states, **columns)


def rows_of(n_items=6, n_states=3, max_size=14):
    pair = st.tuples(st.integers(0, n_items - 1), st.integers(1, n_items - 1)).map(
        lambda p: (p[0], (p[0] + p[1]) % n_items)
    )
    row = st.tuples(pair, st.integers(0, 3), st.integers(0, n_states - 1)).map(lambda r: (*r[0], r[1], r[2]))
    return st.lists(row, min_size=1, max_size=max_size)


def by_lowest(groups, n):
    """Labels 0, 1, ... in the order of each group's lowest member."""
    labels = np.zeros(n, dtype=int)
    for label, group in enumerate(sorted(groups, key=min)):
        labels[list(group)] = label
    return labels


wins_arrays = st.integers(1, 6).flatmap(
    lambda n: hnp.arrays(
        np.float64, st.tuples(st.integers(1, 3), st.just(n), st.just(n)), elements=st.sampled_from([0.0, 0.0, 0.5, 2.0])
    )
)


@given(wins_arrays)
def test_components_agree_with_networkx(wins):
    n = wins.shape[-1]
    for got, strong, slice_ in zip(components(wins), strong_components(wins), wins, strict=True):
        digraph = nx.from_numpy_array(slice_, create_using=nx.DiGraph)
        assert got.tolist() == by_lowest(nx.weakly_connected_components(digraph), n).tolist()
        assert strong.tolist() == by_lowest(nx.strongly_connected_components(digraph), n).tolist()


def test_leading_axes_are_kept_and_slices_do_not_mix():
    rng = np.random.default_rng(1)
    wins = rng.random((4, 3, 5, 5)) * (rng.random((4, 3, 5, 5)) < 0.15)
    got, strong = components(wins), strong_components(wins)
    assert got.shape == strong.shape == (4, 3, 5)
    for index in np.ndindex(4, 3):
        assert got[index].tolist() == components(wins[index]).tolist()
        assert strong[index].tolist() == strong_components(wins[index]).tolist()


def test_thousands_of_graphs_at_once():
    wins = np.zeros((3000, 8, 8))
    wins[:, 0, 7] = 1
    wins[1500:, 7, 0] = 1
    assert np.array_equal(components(wins), np.tile([0, 1, 2, 3, 4, 5, 6, 0], (3000, 1)))
    assert np.array_equal(strong_components(wins)[:, 7] == 0, np.arange(3000) >= 1500)


def test_no_graphs_no_labels():
    assert components(np.zeros((0, 4, 4))).shape == (0, 4)
    assert components(np.zeros((2, 0, 0))).shape == (2, 0)


@pytest.mark.parametrize("function", [components, strong_components])
@pytest.mark.parametrize("bad", [np.full((2, 2), -1.0), np.full((2, 2), np.nan), np.zeros((2, 3)), np.zeros(3)])
def test_what_is_no_count_matrix_is_refused(function, bad):
    with pytest.raises(ValueError, match=r"counts|wins"):
        function(bad)


def test_two_disconnected_blocks_are_two_components():
    graph = connectivity(table([(0, 1, TIE, 0), (1, 2, TIE, 0), (3, 4, TIE, 0)]))
    assert graph.component.sel(state="s").values.tolist() == [0, 0, 0, 1, 1, 2]
    assert int(graph.n_components.sel(state="s")) == 2  # fox was not seen and does not count
    status = contrast_status(graph).sel(state="s")
    assert CONTRAST_STATUS[int(status.sel(item="ant", item_other="dog"))] == "disconnected"
    assert CONTRAST_STATUS[int(status.sel(item="ant", item_other="cat"))] == "identified"
    assert CONTRAST_STATUS[int(status.sel(item="ant", item_other="fox"))] == "no_data"
    assert CONTRAST_STATUS[int(status.sel(item="fox", item_other="fox"))] == "identified"


def test_an_item_that_always_wins_is_separated_from_the_rest():
    graph = connectivity(table([(0, 1, A_WINS, 0), (2, 0, B_WINS, 0), (1, 2, TIE, 0)])).sel(state="s")
    assert int(graph.n_components) == 1
    assert int(graph.n_strong_components) == 2
    assert graph.item[graph.always_wins].values.tolist() == ["ant"]
    assert graph.item[graph.always_loses].values.tolist() == ["bee", "cat"]
    status = contrast_status(graph)
    assert CONTRAST_STATUS[int(status.sel(item="ant", item_other="cat"))] == "separated"
    assert CONTRAST_STATUS[int(status.sel(item="bee", item_other="cat"))] == "identified"


def test_the_middle_of_a_chain_neither_always_wins_nor_always_loses():
    graph = connectivity(table([(0, 1, A_WINS, 0), (1, 2, A_WINS, 0)])).sel(state="s")
    assert graph.always_wins.values.tolist() == [True, False, False, False, False, False]
    assert graph.always_loses.values.tolist() == [False, False, True, False, False, False]


def test_one_tie_connects_strongly():
    graph = connectivity(table([(0, 1, TIE, 0)])).sel(state="s")
    assert int(graph.n_strong_components) == 1
    assert not graph.always_wins.any()


def test_both_bad_is_no_edge_but_the_items_were_seen():
    graph = connectivity(table([(0, 1, BOTH_BAD, 0)])).sel(state="s")
    assert (int(graph.n_components), int(graph.n_items), float(graph.n_comparisons)) == (2, 2, 0.0)
    assert float(graph.n_both_bad) == 1.0
    assert graph.present.values.tolist() == [True, True, False, False, False, False]


def test_a_row_of_weight_zero_is_no_comparison():
    graph = connectivity(table([(0, 1, TIE, 0), (1, 2, TIE, 0)], weight=np.array([0.0, 1.0]))).sel(state="s")
    assert graph.present.values.tolist() == [False, True, True, False, False, False]


def test_pairs_below_n_min_make_no_edge():
    rows = [(0, 1, A_WINS, 0), (1, 0, A_WINS, 0), (1, 2, TIE, 0)]
    graph = connectivity(table(rows), n_min=2).sel(state="s")
    assert graph.component.values.tolist()[:3] == [0, 0, 1]
    assert int(graph.n_pairs) == 1


def test_strata_follow_the_axis_order_whatever_the_order_asked():
    data = table([(0, 1, TIE, 0), (1, 2, TIE, 1)], context=[0, 1], contexts=("x", "y"))
    for by in (("state", "context"), ("context", "state")):
        graph = connectivity(data, by=by)
        assert graph.component.dims == ("context", "state", "item")
        assert int(graph.n_items.sel(context="y", state="t")) == 2
        assert int(graph.n_items.sel(context="x", state="t")) == 0


def test_the_whole_table_is_a_stratum():
    graph = connectivity(table([(0, 1, TIE, 0), (1, 2, TIE, 1), (3, 4, TIE, 2)]), by=())
    assert graph.component.dims == ("item",)
    assert int(graph.n_components) == 2


def test_bad_strata_are_refused():
    data = table([(0, 1, TIE, 0)])
    with pytest.raises(TableError, match="context"):
        connectivity(data, by=("context",))
    with pytest.raises(ValueError, match="distinct names"):
        connectivity(data, by=("state", "state"))
    with pytest.raises(ValueError, match="distinct names"):
        connectivity(data, by=("item",))
    with pytest.raises(TypeError, match="sequence"):
        connectivity(data, by="state")
    with pytest.raises(ValueError, match="n_min"):
        connectivity(data, n_min=0)


def test_too_many_cells_are_refused_by_number():
    data = from_codes(
        np.array([0]),
        np.array([1]),
        np.array([0]),
        items=[str(k) for k in range(5000)],
        states=list(map(str, range(5000))),
    )
    with pytest.raises(ValueError, match="25,000,000 cells"):
        connectivity(data)


@given(rows_of())
def test_counts_of_components_agree_with_networkx_over_items_present(rows):
    data = table(rows)
    graph = connectivity(data)
    for code, state in enumerate(STATES):
        oracle = nx.DiGraph()
        for a, b, outcome, s in rows:
            if s != code:
                continue
            oracle.add_nodes_from([a, b])
            if outcome in (A_WINS, TIE):
                oracle.add_edge(a, b)
            if outcome in (B_WINS, TIE):
                oracle.add_edge(b, a)
        here = graph.sel(state=state)
        assert int(here.n_components) == nx.number_weakly_connected_components(oracle)
        assert int(here.n_strong_components) == nx.number_strongly_connected_components(oracle)
        assert int(here.n_items) == oracle.number_of_nodes()
        condensed = nx.condensation(oracle)
        wins, loses = set(), set()
        for node in condensed:
            first, last = condensed.in_degree(node) == 0, condensed.out_degree(node) == 0
            if first != last:
                (wins if first else loses).update(condensed.nodes[node]["members"])
        assert set(np.flatnonzero(here.always_wins.values).tolist()) == wins
        assert set(np.flatnonzero(here.always_loses.values).tolist()) == loses


@given(rows_of(n_items=5, n_states=1, max_size=9))
@settings(max_examples=25)
def test_status_says_what_linear_algebra_and_a_linear_program_say(rows):
    """Identified: the contrast is constant on all directions that no comparison opposes (finite estimate).

    Disconnected: it lies outside the row space of the comparisons. Separated: inside it, but unbounded.
    """
    data = table(rows, items=ITEMS[:5], states=("s",))
    graph = connectivity(data)
    status = contrast_status(graph).values[0]
    present = graph.present.values[0]
    wins = win_counts(data)[0]
    winner, loser = np.nonzero(wins)
    design = np.zeros((len(winner), 5))
    design[np.arange(len(winner)), winner] = 1
    design[np.arange(len(winner)), loser] = -1
    rank = np.linalg.matrix_rank(design) if len(winner) else 0
    for i in range(5):
        for j in range(5):
            if i == j or not (present[i] and present[j]):
                continue
            contrast = np.zeros(5)
            contrast[i], contrast[j] = 1, -1
            joined = np.linalg.matrix_rank(np.vstack([design, contrast])) == rank
            limits = {"A_ub": -design, "b_ub": np.zeros(len(winner))} if len(winner) else {}
            best = max(-linprog(sign * -contrast, **limits, bounds=(-1, 1)).fun for sign in (1, -1))
            expected = "disconnected" if not joined else "separated" if best > 1e-9 else "identified"
            assert CONTRAST_STATUS[status[i, j]] == expected


@given(rows_of(), rows_of(max_size=6))
@settings(max_examples=50)
def test_adding_rows_never_splits_a_component(rows, more):
    before, after = connectivity(table(rows)), connectivity(table(rows + more))
    for name in ("component", "strong_component"):
        old, new = before[name].values, after[name].values
        together = old[:, :, None] == old[:, None, :]
        assert np.all((new[:, :, None] == new[:, None, :])[together])
    assert np.all(after.present.values >= before.present.values)
    identified = contrast_status(before).values == 0
    assert np.all(contrast_status(after).values[identified] == 0)


@given(rows_of(), st.permutations(range(len(ITEMS))), st.permutations(range(len(STATES))))
@settings(max_examples=50)
def test_relabelling_items_and_states_changes_nothing(rows, items, states):
    moved = [(items[a], items[b], outcome, states[s]) for a, b, outcome, s in rows]
    names = [ITEMS[items.index(k)] for k in range(len(ITEMS))]
    places = [STATES[states.index(k)] for k in range(len(STATES))]
    one, two = connectivity(table(rows)), connectivity(table(moved, items=names, states=places))
    two = two.sel(item=list(ITEMS), state=list(STATES))
    for name in ("present", "always_wins", "always_loses", "n_components", "n_strong_components", "n_comparisons"):
        assert np.array_equal(one[name], two[name]), name
    for name in ("component", "strong_component"):
        first, second = one[name].values, two[name].values
        assert np.array_equal(first[:, :, None] == first[:, None, :], second[:, :, None] == second[:, None, :])


@given(rows_of(), st.lists(st.booleans(), min_size=14, max_size=14))
def test_swapping_sides_changes_nothing(rows, swap):
    mirror = {A_WINS: B_WINS, B_WINS: A_WINS, TIE: TIE, BOTH_BAD: BOTH_BAD}
    swapped = [(b, a, mirror[o], s) if flip else (a, b, o, s) for (a, b, o, s), flip in zip(rows, swap, strict=False)]
    assert connectivity(table(rows)).identical(connectivity(table(swapped)))


def test_dense_wins_count_ties_half_each_way():
    wins = win_counts(table([(1, 0, TIE, 1), (0, 1, A_WINS, 1), (0, 1, BOTH_BAD, 1)]))
    assert wins.shape == (3, 6, 6)
    assert wins.sum() == 2
    assert (wins[1, 0, 1], wins[1, 1, 0]) == (1.5, 0.5)


def test_sparse_and_dense_counts_agree():
    rng = np.random.default_rng(3)
    a = rng.integers(6, size=200)
    rows = np.stack([a, (a + rng.integers(1, 6, 200)) % 6, rng.integers(4, size=200), rng.integers(3, size=200)], 1)
    pairs = pair_table(table(rows))
    wins = win_counts(table(rows))
    assert np.array_equal(wins[pairs.stratum, pairs.item_a, pairs.item_b], pairs.wins_a)
    assert np.array_equal(wins[pairs.stratum, pairs.item_b, pairs.item_a], pairs.wins_b)


def test_status_without_strong_components_or_presence_names_only_what_it_knows():
    status = estimable(np.array([[0, 0, 1], [0, 1, 2]]))
    assert status.shape == (2, 3, 3)
    assert set(np.unique(status)) == {0, 1}
    with pytest.raises(ValueError, match="shapes must agree"):
        estimable(np.array([0, 1]), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="component"):
        estimable(np.array(3))


def test_every_status_but_identified_is_a_reason_code():
    assert set(CONTRAST_STATUS[1:]) <= set(REASONS)


def test_connectivity_survives_netcdf(tmp_path):
    import xarray as xr

    graph = connectivity(table([(0, 1, TIE, 0)]), by=())
    graph.to_netcdf(tmp_path / "graph.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "graph.nc", engine="h5netcdf") as back:
        assert np.array_equal(back.component, graph.component)
        assert back.attrs["n_min"] == 1
