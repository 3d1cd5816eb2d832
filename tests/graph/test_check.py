"""``check``: verdicts in words stated either way, next steps, exit codes, escaping."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.comparisons import from_codes
from bayespref.dims import A_WINS, B_WINS, BOTH_BAD, TIE
from bayespref.errors import REASONS, TableError
from bayespref.graph.check import check

ITEMS = ("ant", "bee", "cat", "dog")


def table(rows, items=ITEMS, states=("s", "t"), **columns):
    a, b, outcome, state = np.array(rows, dtype=int).reshape(-1, 4).T
    return from_codes(a, b, outcome, items=items, state=state, states=states, **columns)


def full(states=2, annotators=3, repeats=1):
    """Every pair tied in every state by every annotator."""
    pairs = [(a, b) for a in range(4) for b in range(a)]
    rows = [
        (a, b, TIE, s, r) for a, b in pairs for s in range(states) for r in range(annotators) for _ in range(repeats)
    ]
    return [row[:4] for row in rows], {
        "annotator": [row[4] for row in rows],
        "annotators": [f"r{k}" for k in range(annotators)],
    }


def test_a_complete_table_passes_every_check():
    rows, who = full()
    result = check(table(rows, **who))
    assert {line.verdict for line in result.checks} == {"yes"}
    assert (result.ok, result.exit_code) == (True, 0)
    assert result["connected"].words == "connected: yes, every one of 2 states is one component"
    assert str(result).splitlines()[0] == f"check: yes, none of {len(result.checks)} checks failed"
    assert "next:" not in str(result)
    assert len(result.suggestions) == 0


def test_two_disconnected_blocks_fail_and_say_what_would_join_them():
    result = check(table([(0, 1, TIE, 0), (2, 3, TIE, 0), (0, 1, TIE, 1), (1, 2, TIE, 1), (2, 3, TIE, 1)]))
    line = result["connected"]
    assert line.words == "connected: no, 1 of 2 states has 2 components (s)"
    assert line.reason == "disconnected"
    assert line.numbers["components"] == {"s": 2}
    assert line.next_step == REASONS["disconnected"].next_step
    assert result.exit_code == 1
    assert result.suggestions[["state", "item_a", "item_b"]].values.tolist() == [["s", "ant", "cat"]]
    assert "1 comparison would join what is not joined: ant against cat in s" in str(result)
    assert result["identified"].numbers == {
        "n_contrasts": 12,
        "n_identified": 8,
        "n_disconnected": 4,
        "n_separated": 0,
    }


def test_pairs_that_share_no_item_ask_for_a_key_first():
    result = check(table([(0, 1, A_WINS, 0), (2, 3, A_WINS, 0)], states=("s",)))
    line = result["connected"]
    assert "every pair is its own component" in line.words
    assert line.next_step.startswith("name an item, cluster or feature key")


def test_chosen_and_rejected_of_one_prompt_a_row_ask_for_a_key():
    line = check(table([(0, 1, A_WINS, 0), (2, 3, A_WINS, 1)]))["joined across states"]
    assert "every pair is its own component" in line.words
    assert line.next_step.startswith("name an item, cluster or feature key")


def test_an_item_that_always_wins_is_named():
    result = check(table([(0, 1, A_WINS, 0), (2, 0, B_WINS, 0), (1, 2, TIE, 0)], states=("s",), items=ITEMS[:3]))
    line = result["strongly connected"]
    assert line.verdict == "no"
    assert line.reason == "separated"
    assert "some always win against the rest of their component (ant)" in line.words
    assert result["connected"].verdict == "yes"
    assert result["identified"].numbers["n_separated"] == 2
    assert result["identified"].reason == "separated"


def test_separated_states_are_listed_by_how_much():
    rows = [(0, 1, TIE, 0), (0, 1, A_WINS, 1), (1, 2, A_WINS, 1)]
    line = check(table(rows))["strongly connected"]
    assert line.words.startswith("strongly connected: no, in 1 of 2 states some items always win or always lose")
    assert "(strong components t: 3)" in line.words


def test_an_empty_table_says_so_and_nothing_else():
    result = check(table(np.zeros((0, 4))))
    assert [line.name for line in result.checks] == ["comparisons"]
    assert result.checks[0].words == "comparisons: no, the table holds no comparison (4 items)"
    assert result.checks[0].reason == "no_data"
    assert result.exit_code == 1


def test_a_single_item_gets_clear_words():
    result = check(table(np.zeros((0, 4)), items=("ant",)))
    assert result.checks[0].words == "comparisons: no, the table holds no comparison (a single item)"


def test_both_bad_alone_is_no_comparison():
    line = check(table([(0, 1, BOTH_BAD, 0)], states=("s",)))["comparisons"]
    assert line.verdict == "no"
    assert "1 both-bad answers that compare neither item" in line.words


def test_a_single_comparison_gets_clear_words():
    result = check(table([(0, 1, A_WINS, 0)], items=ITEMS[:2], states=("s",)))
    assert "a single comparison says who won once" in result["comparisons"].words
    assert result["comparisons"].reason == "thin"


def test_items_named_but_never_compared_are_reported():
    rows = [(0, 1, TIE, 0), (0, 1, TIE, 0)]
    line = check(table(rows, states=("s",)))["comparisons"]
    assert line.numbers["unseen_items"] == ["cat", "dog"]
    assert line.verdict == "no"


def test_a_state_without_comparisons_is_reported():
    line = check(table([(0, 1, TIE, 0), (0, 1, TIE, 0)], items=ITEMS[:2]))["states observed"]
    assert line.words == "states observed: no, 1 of 2 states has none (t)"
    assert line.reason == "no_data"


def test_states_with_items_of_their_own_are_not_joined_across():
    result = check(table([(0, 1, TIE, 0), (2, 3, TIE, 1)]))
    assert result["connected"].verdict == "yes"
    assert result["joined across states"].numbers["n_components"] == 2
    assert result["joined across states"].verdict == "no"
    with pytest.raises(KeyError, match="no such check"):
        result["every item in every state"]  # not asked: each item belongs to one state


def test_missing_item_cells_are_counted_and_named():
    line = check(table([(0, 1, TIE, 0), (1, 2, TIE, 0), (0, 1, TIE, 1)], items=ITEMS[:3]))["every item in every state"]
    assert line.numbers["n_observed"] == 5
    assert line.numbers["missing"] == [["t", "cat"]]
    assert line.words == "every item in every state: no, 5 of 6 (item, state) cells were seen (t lacks 1)"


def test_strata_may_be_crossings_and_empty_ones_are_reported_once():
    data = contexts([(0, 1, TIE, 0), (1, 2, TIE, 0), (0, 1, TIE, 1), (0, 1, TIE, 1)], [0, 0, 0, 1], items=ITEMS[:3])
    result = check(data, by=("state", "context"))
    assert result.settings["by"] == ["context", "state"]
    assert [line.name for line in result.checks if line.reason == "no_data"] == [
        "every item in every (context, state) cell",
        "contexts covered",
    ]
    words = result["every item in every (context, state) cell"].words
    assert "no, 7 of 9 (item, context, state) cells were seen (x / t lacks 1, y / t lacks 1)" in words
    assert result["connected"].words.startswith("connected: yes, every one of 3 (context, state) cells is")


def contexts(rows, context, **columns):
    return table(rows, context=context, contexts=("x", "y"), **columns)


def test_empty_crossings_of_state_and_context_are_found():
    line = check(contexts([(0, 1, TIE, 0), (0, 1, TIE, 1), (0, 1, TIE, 1)], [0, 0, 1]))["contexts covered"]
    assert line.numbers["cells"] == ["y / s"]
    assert line.reason == "no_data"
    assert line.words == "contexts covered: no, 1 of 4 (context, state) cells has no comparison (y / s)"


def test_cells_below_the_floor_are_thin():
    data = contexts([(0, 1, TIE, 0), (0, 1, TIE, 1), (0, 1, TIE, 1), (0, 1, TIE, 0)], [0, 0, 1, 1])
    assert check(data)["contexts covered"].verdict == "yes"
    line = check(data, floor=2)["contexts covered"]
    assert line.reason == "thin"
    assert line.numbers["n_below_floor"] == 4
    assert line.numbers["n_empty"] == 0


def test_an_empty_cell_is_reported_even_with_a_floor_of_zero():
    data = contexts([(0, 1, TIE, 0), (0, 1, TIE, 1), (0, 1, TIE, 1)], [0, 0, 1])
    assert check(data, floor=0)["contexts covered"].numbers["cells"] == ["y / s"]


def test_items_of_one_context_and_pairs_that_never_meet_are_named():
    result = check(contexts([(0, 1, TIE, 0), (1, 2, TIE, 0), (0, 3, TIE, 0)], [0, 0, 1], states=("s",)))
    shared = result["items shared between contexts"]
    assert shared.numbers["shared"] == ["ant"]
    assert shared.numbers["only"] == {"x": ["bee", "cat"], "y": ["dog"]}
    assert "only in x: bee, cat; only in y: dog" in shared.words
    assert shared.reason == "no_overlap"
    apart = result["contrasts within a context"]
    assert apart.numbers["pairs"] == [["bee", "dog"], ["cat", "dog"]]
    assert apart.numbers["n_never_together"] == 2
    assert apart.numbers["n_compared"] == 3
    assert result["connected"].verdict == "yes"  # pooled over contexts nothing seems wrong


def test_two_items_in_one_context_but_two_components_do_not_meet():
    result = check(contexts([(0, 1, TIE, 0), (2, 3, TIE, 0), (1, 2, TIE, 0)], [0, 0, 1], states=("s",)))
    assert result["contrasts within a context"].numbers["pairs"] == [
        ["ant", "cat"],
        ["ant", "dog"],
        ["bee", "dog"],
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(0, 2)).map(
            lambda r: (r[0], (r[0] + r[1]) % 6, r[2])
        ),
        min_size=1,
        max_size=15,
    )
)
def test_pairs_joined_within_no_context_agree_with_brute_force(rows):
    import networkx as nx

    a, b, context = np.array(rows).T
    data = from_codes(a, b, np.full(len(a), TIE), items=list("abcdef"), context=context, contexts=("x", "y", "z"))
    graphs = [nx.Graph([(i, j) for i, j, c in rows if c == k]) for k in range(3)]
    seen = sorted({i for row in rows for i in row[:2]})
    apart = [
        ["abcdef"[i], "abcdef"[j]]
        for i in seen
        for j in seen
        if i < j and not any(g.has_node(i) and g.has_node(j) and nx.has_path(g, i, j) for g in graphs)
    ]
    line = check(data)["contrasts within a context"]
    assert line.numbers["n_never_together"] == len(apart)
    assert line.numbers.get("pairs", []) == apart


def test_without_annotators_types_are_undecided_and_nothing_fails_for_it():
    rows, _ = full()
    result = check(table(rows))
    line = result["labels per annotator"]
    assert (line.verdict, line.reason) == ("undecided", "functional_form_only")
    assert line.next_step == "name the annotator column when reading the table"
    assert result.exit_code == 0


def test_one_annotator_has_no_types():
    rows, who = full(annotators=1)
    line = check(table(rows, **who))["labels per annotator"]
    assert line.verdict == "no"
    assert "one annotator gave every label" in line.words


def test_few_labels_each_are_too_few_for_types():
    rows, _ = full(annotators=1)
    result = check(table(rows, annotator=np.arange(len(rows)), annotators=[f"r{k}" for k in range(len(rows))]))
    line = result["labels per annotator"]
    assert line.words.startswith("labels per annotator: no, 0 of 12 annotators gave at least 3 (median 1;")
    assert line.reason == "type_not_identified"
    assert (
        check(table(rows, annotator=np.arange(len(rows)) // 3, annotators=list("wxyz")))["labels per annotator"].verdict
        == "yes"
    )


def test_labels_count_by_weight_and_both_bad_not_at_all():
    data = table(
        [(0, 1, TIE, 0), (0, 1, BOTH_BAD, 0)],
        weight=np.array([3.0, 9.0]),
        annotator=[0, 1],
        annotators=["r", "q"],
    )
    assert check(data)["labels per annotator"].numbers["n_annotators"] == 1


def test_json_is_strict_and_whole():
    result = check(contexts([(0, 1, A_WINS, 0), (2, 3, TIE, 0)], [0, 1]))
    content = json.loads(result.to_json())
    assert content["kind"] == "bayespref.check"
    assert content["exit_code"] == 1
    assert content["by"] == ["state"]
    assert [line["name"] for line in content["checks"]] == [line.name for line in result.checks]
    assert {line["verdict"] for line in content["checks"]} <= {"yes", "no", "undecided"}
    assert len(content["suggestions"]) == len(result.suggestions)


def test_every_check_that_is_not_yes_has_a_next_step_and_a_frame_row():
    result = check(contexts([(0, 1, A_WINS, 0), (2, 3, TIE, 0)], [0, 1]))
    frame = result.to_frame()
    assert frame.columns.tolist() == ["check", "verdict", "words", "reason", "next_step"]
    assert (frame.verdict == "no").sum() >= 5
    for line in result.checks:
        assert (line.verdict == "yes") == (line.next_step is None)
        assert line.words.startswith(f"{line.name}: {line.verdict}, ")
        assert line.reason is None or line.reason in REASONS


def test_html_escapes_labels_and_stands_without_colour():
    data = table([(0, 1, TIE, 0), (2, 3, TIE, 0)], items=("<b>a</b>", "b&c", "<script>x", "d"), states=("t", "<i>s"))
    html = check(data)._repr_html_()
    assert "<script>" not in html
    assert "<b>a" not in html
    assert "<i>s" not in html
    assert "&lt;b&gt;a" in html
    assert "1 of 2 states has none (&lt;i&gt;s)" in html
    assert re.search(r"<th scope='row'[^>]*>connected</th><td[^>]*>no</td>", html)


def test_bad_arguments_are_refused():
    data = table([(0, 1, TIE, 0)])
    with pytest.raises(ValueError, match="floor"):
        check(data, floor=-1)
    with pytest.raises(ValueError, match="n_min"):
        check(data, n_min=0)
    with pytest.raises(ValueError, match="min_labels"):
        check(data, min_labels=float("nan"))
    with pytest.raises(TableError, match="context"):
        check(data, by=("state", "context"))


def test_unicode_and_a_hundred_thousand_items():
    n = 100_000
    data = from_codes(np.arange(n - 1), np.arange(1, n), np.full(n - 1, TIE), items=[f"é{k}" for k in range(n)])
    result = check(data)
    assert result["connected"].verdict == "yes"
    assert result["identified"].verdict == "yes"
    assert result["identified"].numbers["n_contrasts"] == n * (n - 1) // 2


row = st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 1), st.integers(0, 1))


@given(st.lists(row, min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_row_order_sides_and_split_weights_change_nothing(rows, random):
    mirror = {A_WINS: B_WINS, B_WINS: A_WINS, TIE: TIE, BOTH_BAD: BOTH_BAD}
    rows = [(a, (a + step) % 4, outcome, s, c, 2.0) for a, step, outcome, s, c in rows]
    changed = []
    for a, b, outcome, s, c, w in rows:
        if random.random() < 0.5:
            a, b, outcome = b, a, mirror[outcome]
        changed += [(a, b, outcome, s, c, w / 2)] * 2 if random.random() < 0.5 else [(a, b, outcome, s, c, w)]
    random.shuffle(changed)

    def result(entries):
        columns = np.array(entries)
        codes = columns[:, :4].astype(int)
        return check(contexts(codes, columns[:, 4].astype(int), weight=columns[:, 5]))

    assert result(rows).to_json() == result(changed).to_json()


@given(st.lists(row, min_size=1, max_size=12), st.permutations(range(4)))
@settings(max_examples=40)
def test_relabelling_items_changes_no_verdict(rows, order):
    names = [ITEMS[order.index(k)] for k in range(4)]
    rows = [(a, (a + step) % 4, outcome, s, c) for a, step, outcome, s, c in rows]
    moved = [(order[a], order[b], *rest) for a, b, *rest in rows]
    one = check(contexts([r[:4] for r in rows], [r[4] for r in rows]))
    two = check(contexts([r[:4] for r in moved], [r[4] for r in moved], items=names))
    pd.testing.assert_frame_equal(
        one.to_frame()[["check", "verdict", "reason"]], two.to_frame()[["check", "verdict", "reason"]]
    )
    assert one["identified"].numbers == two["identified"].numbers
