"""Coverage of pairs, segments and uncertain types: by counting again, by SciPy's intervals, by enumeration of types."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from bayespref.comparisons import from_codes
from bayespref.errors import TableError
from bayespref.graph.coverage import coverage
from bayespref.graph.pair_coverage import by_segment, pair_coverage
from bayespref.graph.type_coverage import type_coverage, type_coverage_dataset

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)),
    min_size=1,
    max_size=25,
)
"""item_a, offset of item_b, outcome, state, context."""


def table(rows, items=("p", "q", "r", "s")):
    a, step, outcome, state, context = np.array(rows).T
    return from_codes(
        a,
        (a + step) % 4,
        outcome,
        items=items,
        state=state,
        states=("s0", "s1"),
        context=context,
        contexts=("c0", "c1"),
        annotator=np.arange(len(a)) % 3,
        annotators=("x", "y", "z"),
    )


@given(ROWS)
@settings(max_examples=12)
def test_pair_shares_are_those_of_counting_row_by_row(rows):
    got = pair_coverage(table(rows), floor=0.2)
    for state, context, i, j in itertools.product(range(2), range(2), range(4), range(4)):
        here = [row for row in rows if row[3] == state and row[4] == context]
        pair = [row for row in here if {row[0], (row[0] + row[1]) % 4} == {i, j}]
        cell = got.isel(state=state, context=context, item=i, item_other=j)
        if i == j or not here:
            assert np.isnan(cell.share)
            continue
        assert float(cell["count"]) == len(pair)
        assert float(cell.share) == pytest.approx(len(pair) / len(here))
        want = binomtest(len(pair), len(here)).proportion_ci(0.95, method="exact")
        assert (float(cell.lower), float(cell.upper)) == pytest.approx((want.low, want.high), abs=1e-9)
        verdict = "below" if want.high < 0.2 else "above" if want.low > 0.2 else "undecided"
        assert str(cell.verdict.values) == verdict
        elsewhere = any({row[0], (row[0] + row[1]) % 4} == {i, j} for row in rows)
        assert bool(cell.crossing_empty) == (elsewhere and not pair)


@given(ROWS, st.permutations(range(4)))
@settings(max_examples=20)
def test_renaming_items_and_swapping_sides_changes_no_pair_share(rows, order):
    plain = table(rows)
    names = np.array(plain.items)[list(order)]
    mirror = np.array([1, 0, 2, 3])
    swapped = from_codes(
        np.array(order)[plain.item_b],
        np.array(order)[plain.item_a],
        mirror[plain.outcome],
        items=tuple(np.array(plain.items)[np.argsort(order)]),
        state=plain.state,
        states=plain.states,
        context=plain.context,
        contexts=plain.contexts,
    )
    want, got = pair_coverage(plain), pair_coverage(swapped).sel(item=list(plain.items), item_other=list(plain.items))
    assert len(names) == 4
    for name in ("share", "lower", "upper"):
        assert np.allclose(want[name], got[name], equal_nan=True, atol=1e-12)
    assert np.array_equal(want.verdict, got.verdict)


def test_segments_take_the_place_of_contexts():
    rows = [(0, 1, 0, 0, 0), (0, 1, 0, 0, 0), (0, 1, 0, 1, 0)]  # annotators x, y, z
    split = by_segment(table(rows), {"x": "north", "y": "south", "z": "south"})
    got = coverage(split)["count"]
    assert got.sel(state="s0", context="north") == 1
    assert got.sel(state="s1", context="north") == 0
    assert got.sel(state="s1", context="south") == 1
    with pytest.raises(ValueError, match=r"segment: 1 annotator\(s\) have none, first \['z'\]"):
        by_segment(table(rows), {"x": "north", "y": "south"})
    with pytest.raises(TableError, match="annotator"):
        by_segment(table(rows).pool("annotator"), {})


STATE, A, B = np.array([0, 0, 0, 1]), np.array([0, 1, 0, 0]), np.array([1, 2, 2, 1])
"""Pairs asked: a triangle in the first state, one pair in the second (its third item unseen)."""


@pytest.fixture(scope="module")
def drawn():
    """Six draws of two types on those pairs, whole counts."""
    rng = np.random.default_rng(3)
    return rng.integers(0, 3, (6, 2, 4)).astype(float), rng.integers(0, 2, (6, 2, 4)).astype(float)


def judge(won, lost, **options):
    return type_coverage(won, lost, STATE, A, B, n_states=2, n_items=3, **options)


def test_probability_of_a_connected_cell_is_the_share_of_draws_whose_graph_networkx_calls_connected(drawn):
    won, lost = drawn
    got = judge(won, lost, n_min=2)
    for kind, state in itertools.product(range(2), range(2)):
        nodes = [0, 1, 2] if state == 0 else [0, 1]
        joined, strong, pair = [], [], np.zeros((3, 3))
        for draw in range(6):
            graph, wins = nx.Graph(), nx.DiGraph()
            graph.add_nodes_from(nodes), wins.add_nodes_from(nodes)
            for k in np.flatnonzero((state == STATE) & (won[draw, kind] + lost[draw, kind] >= 2)):
                graph.add_edge(A[k], B[k])
                wins.add_edges_from([(A[k], B[k])] * int(won[draw, kind, k] > 0))
                wins.add_edges_from([(B[k], A[k])] * int(lost[draw, kind, k] > 0))
            joined.append(nx.is_connected(graph))
            strong.append(nx.is_strongly_connected(wins))
            for i, j in itertools.product(nodes, nodes):
                pair[i, j] += nx.has_path(graph, i, j) / 6
        pair[2, 2] = 1.0
        assert got.connected[state, kind] == pytest.approx(np.mean(joined))
        assert got.strongly_connected[state, kind] == pytest.approx(np.mean(strong))
        assert got.pair_connected[state, kind] == pytest.approx(pair)


def test_mass_and_its_limits_are_those_of_every_draw(drawn):
    won, lost = drawn
    got = judge(won, lost, floor=0.3, level=0.9)
    games = won + lost
    share = np.array([[games[d, :, s == STATE].sum(0) / games[d].sum() for s in range(2)] for d in range(6)])
    assert got.mass == pytest.approx(share.mean(0))
    cis = [
        binomtest(int(games[d, 0, STATE == 0].sum()), int(games[d].sum())).proportion_ci(0.9, "exact") for d in range(6)
    ]
    assert got.lower[0, 0] == pytest.approx(np.quantile([ci.low for ci in cis], 0.05))
    assert got.below[0, 0] == pytest.approx(np.mean([ci.high < 0.3 for ci in cis]))
    assert got.above[0, 0] == pytest.approx(np.mean([ci.low > 0.3 for ci in cis]))


def test_relabelling_types_permutes_the_result_and_adding_answers_joins_no_fewer(drawn):
    won, lost = drawn
    plain, turned = judge(won, lost), judge(won[:, ::-1], lost[:, ::-1])
    assert np.array_equal(plain.connected, turned.connected[:, ::-1], equal_nan=True)
    more = judge(won + 1, lost)
    assert np.all(more.connected >= plain.connected)
    assert np.all(more.pair_connected >= plain.pair_connected)


def test_a_state_with_one_item_or_none_is_neither_connected_nor_not():
    got = type_coverage(np.ones((1, 1, 1)), np.zeros((1, 1, 1)), [0], [0], [1], n_states=2, n_items=2)
    assert got.connected[0, 0] == 1
    assert np.isnan(got.connected[1, 0])
    assert np.array_equal(got.pair_connected[1, 0], np.eye(2))


def test_verdicts_need_the_stated_posterior_probability(drawn):
    got = judge(*drawn)
    labels = {"state": ["s", "t"], "type": ["c", "d"], "item": ["x", "y", "z"]}
    data = type_coverage_dataset(got, labels, floor=0.001, level=0.95, seed=0, data_hash="", confidence=0.9)
    want = np.where(got.connected >= 0.9, "yes", np.where(got.connected <= 0.1 + 1e-12, "no", "undecided"))
    assert np.array_equal(data.connected_verdict, want)
    assert data.attrs["draws"] == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"won": -np.ones((1, 1, 4))}, "wins_a: must be >= 0"),
        ({"won": np.ones((1, 1, 3))}, "one shape"),
        ({"won": np.ones((1, 1, 3)), "lost": np.ones((1, 1, 3))}, "one entry a pair"),
    ],
)
def test_wrong_counts_are_refused(change, message):
    given_counts = {"won": np.ones((1, 1, 4)), "lost": np.ones((1, 1, 4))} | change
    with pytest.raises(ValueError, match=message):
        judge(**given_counts)
