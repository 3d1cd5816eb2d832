"""Suggested comparisons: as few as possible, as cheap as possible, and enough."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bayespref.comparisons import from_codes
from bayespref.dims import A_WINS, B_WINS, TIE
from bayespref.graph.connect import connectivity, suggest_comparisons

ITEMS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")
STATES = ("s", "t")
N = len(ITEMS)

rows_of = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(1, N - 1), st.integers(0, 3), st.integers(0, 1)).map(
        lambda r: (r[0], (r[0] + r[1]) % N, r[2], r[3])
    ),
    min_size=1,
    max_size=12,
)


def table(rows, items=ITEMS, states=STATES):
    a, b, outcome, state = np.array(rows, dtype=int).reshape(-1, 4).T
    return from_codes(a, b, outcome, items=items, state=state, states=states)


def added(rows, frame, outcome):
    return table(
        [
            *rows,
            *(
                (ITEMS.index(r.item_a), ITEMS.index(r.item_b), outcome, STATES.index(r.state))
                for r in frame.itertuples()
            ),
        ]
    )


@given(rows_of)
@settings(max_examples=50)
def test_k_components_get_k_minus_one_comparisons_that_join_them(rows):
    before = connectivity(table(rows))
    frame = suggest_comparisons(table(rows))
    joining = frame[frame.reason != "separated"]
    counts = joining.groupby("state").size().reindex(STATES, fill_value=0)
    expected = np.maximum(before.n_components.values - 1, 0)
    assert counts.tolist() == expected.tolist()
    after = connectivity(added(rows, joining, TIE))
    assert after.n_components.values.tolist() == np.minimum(before.n_components.values, 1).tolist()
    assert after.n_items.values.tolist() == before.n_items.values.tolist()


@given(rows_of)
@settings(max_examples=50)
def test_upsets_of_the_separated_rows_end_separation(rows):
    before = connectivity(table(rows))
    frame = suggest_comparisons(table(rows))
    upsets = frame[frame.reason == "separated"]
    assert len(upsets) == int((before.n_strong_components - before.n_components).sum())
    after = connectivity(added(rows, upsets, B_WINS))
    assert after.n_strong_components.values.tolist() == before.n_components.values.tolist()
    assert not after.always_wins.any()
    if len(upsets):  # the wins that were there before cannot do it
        same = connectivity(added(rows, upsets, A_WINS))
        assert int(same.n_strong_components.sum()) == int(before.n_strong_components.sum())


@given(rows_of, hnp.arrays(np.float64, (N, N), elements=st.integers(0, 5).map(float)))
@settings(max_examples=50)
def test_costs_give_a_minimum_spanning_tree(rows, cost):
    data = table(rows)
    graph = connectivity(data)
    frame = suggest_comparisons(data, cost=cost)
    joining = frame[frame.reason == "disconnected"]
    for state in STATES:
        here = graph.sel(state=state)
        component, present = here.component.values, here.present.values
        oracle = nx.MultiGraph()
        for i in np.flatnonzero(present):
            oracle.add_node(int(component[i]))
            for j in np.flatnonzero(present):
                if component[i] != component[j]:
                    oracle.add_edge(int(component[i]), int(component[j]), weight=min(cost[i, j], cost[j, i]))
        least = sum(edge["weight"] for *_, edge in nx.minimum_spanning_edges(oracle, data=True))
        mine = joining[joining.state == state]
        assert mine.cost.sum() == least
        assert len(mine) == max(oracle.number_of_nodes() - 1, 0)


@given(rows_of, st.permutations(range(N)))
@settings(max_examples=50)
def test_suggestions_do_not_depend_on_the_order_of_items(rows, order):
    names = [ITEMS[order.index(k)] for k in range(N)]
    moved = [(order[a], order[b], outcome, s) for a, b, outcome, s in rows]
    one, two = suggest_comparisons(table(rows)), suggest_comparisons(table(moved, items=names))
    columns = ["state", "item_a", "item_b", "reason"]
    assert sorted(map(tuple, one[columns].values)) == sorted(map(tuple, two[columns].values))


def test_the_most_compared_items_are_joined():
    rows = [(0, 1, TIE, 0), (1, 2, TIE, 0), (3, 4, TIE, 0), (4, 5, TIE, 0), (4, 5, TIE, 0)]
    frame = suggest_comparisons(table(rows))
    assert frame[["state", "item_a", "item_b", "reason"]].values.tolist() == [["s", "eel", "bee", "disconnected"]]
    assert frame.joins[0] == "component 1 (3 items) with component 0 (3 items)"


def test_a_connected_table_needs_nothing():
    frame = suggest_comparisons(table([(0, 1, TIE, 0), (1, 2, TIE, 0)]))
    assert len(frame) == 0
    assert frame.columns.tolist() == ["state", "item_a", "item_b", "reason", "joins"]


def test_all_items_can_be_asked_for_where_they_were_never_seen():
    frame = suggest_comparisons(table([(0, 1, TIE, 0)]), items="all")
    assert (frame.state == "s").sum() == N - 2
    assert (frame.state == "t").sum() == N - 1
    assert set(frame.reason) == {"no_data"}


def test_the_closest_rivals_are_suggested_against_separation():
    rows = [(0, 1, A_WINS, 0), (0, 2, A_WINS, 0), (1, 2, A_WINS, 0), (1, 2, A_WINS, 0), (2, 1, A_WINS, 0)]
    frame = suggest_comparisons(table(rows))
    assert frame[["item_a", "item_b", "reason"]].values.tolist() == [["ant", "bee", "separated"]]
    assert frame.joins[0] == "item_b (one of 2 joined items) could win against item_a"


def test_forbidden_pairs_are_left_out_and_what_stays_apart_is_said():
    cost = np.full((N, N), np.inf)
    cost[0, 3] = 7.0
    rows = [(0, 1, TIE, 0), (2, 3, TIE, 0), (4, 5, TIE, 0)]
    with pytest.warns(UserWarning, match="unjoined in 1 strata, first \\['s'\\]"):
        frame = suggest_comparisons(table(rows), cost=cost)
    assert frame[["item_a", "item_b", "cost"]].values.tolist() == [["ant", "dog", 7.0]]


@pytest.mark.parametrize("cost", [np.full((N, N), -1.0), np.full((N, N), np.nan), np.zeros((N, N + 1)), np.zeros(N)])
def test_bad_costs_are_refused(cost):
    with pytest.raises(ValueError, match="cost"):
        suggest_comparisons(table([(0, 1, TIE, 0)]), cost=cost)


def test_items_must_be_present_or_all():
    with pytest.raises(ValueError, match="items"):
        suggest_comparisons(table([(0, 1, TIE, 0)]), items="some")


def test_groups_free_to_come_next_are_ordered_by_their_share_of_wins():
    rows = [(0, 1, A_WINS, 0), (0, 2, A_WINS, 0), (1, 3, A_WINS, 0), (2, 3, A_WINS, 0), (2, 3, A_WINS, 0)]
    frame = suggest_comparisons(table(rows))
    assert frame[["item_a", "item_b"]].values.tolist() == [["ant", "cat"], ["cat", "bee"], ["bee", "dog"]]
