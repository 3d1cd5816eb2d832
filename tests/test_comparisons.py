"""Comparisons: what counts and hash must and must not depend on."""

import math
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.comparisons import WHOLE_TABLE, Comparisons, from_codes
from bayespref.dims import OUTCOMES
from bayespref.errors import TableError

MIRROR = np.array([1, 0, 2, 3])
FEW = settings(max_examples=40)
ITEMS = ("ant", "bee", "cat", "dog")
# Weights whose sums are exact in binary, so that equality of sums is equality of floats.
EXACT = st.integers(1, 64).map(lambda n: n / 8)


@st.composite
def tables(draw, weights=EXACT):
    rows = draw(st.integers(1, 25))

    def column(low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows)))

    a = column(0, 3)
    b = (a + column(1, 3)) % 4
    optional = {}
    if draw(st.booleans()):
        optional |= {"annotator": column(0, 2), "annotators": ("u", "v", "w")}
    if draw(st.booleans()):
        optional |= {"context": column(0, 1), "contexts": ("east", "west")}
    if draw(st.booleans()):
        optional |= {"position": column(-1, 1)}
    return from_codes(
        a,
        b,
        column(0, 3),
        items=ITEMS,
        state=column(0, 1),
        states=("s", "t"),
        weight=np.array(draw(st.lists(weights, min_size=rows, max_size=rows))),
        **optional,
    )


def oracle_counts(table: Comparisons) -> dict[tuple[int, ...], Fraction]:
    """Exact sums row by row, with a dictionary."""
    total: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for row in range(table.n_rows):
        a, b, outcome = int(table.item_a[row]), int(table.item_b[row]), OUTCOMES[table.outcome[row]]
        first = 0 if table.position is None else int(table.position[row])
        if a > b:
            a, b, first = b, a, -first
            outcome = {"a": "b", "b": "a"}.get(outcome, outcome)
        key = [
            0 if codes is None else int(codes[row])
            for codes in (table.annotator, table.state, table.context, table.environment)
        ]
        total[(*key, a, b, first, OUTCOMES.index(outcome))] += Fraction(float(table.weight[row]))
    return total


def permuted(table: Comparisons, order: np.ndarray) -> Comparisons:
    return table.select(order)


def same_counts(left: Comparisons, right: Comparisons) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(left.counts, right.counts, strict=True))


@FEW
@given(tables())
def test_counts_are_the_sums_a_dictionary_gives(table):
    expected = oracle_counts(table)
    counts = table.counts
    keys = list(zip(*(column.tolist() for column in counts[:-1]), strict=True))
    assert dict(zip(keys, map(Fraction, counts.total.tolist()), strict=True)) == expected
    assert len(set(keys)) == len(keys)
    assert np.all(counts.item_a < counts.item_b)


@FEW
@given(tables(), st.lists(st.booleans(), min_size=25, max_size=25))
def test_swapping_sides_with_outcome_and_position_changes_nothing(table, flags):
    swap = np.array(flags[: table.n_rows])
    position = None if table.position is None else np.where(swap, -table.position, table.position)
    swapped = replace(
        table,
        item_a=np.where(swap, table.item_b, table.item_a),
        item_b=np.where(swap, table.item_a, table.item_b),
        outcome=np.where(swap, MIRROR[table.outcome], table.outcome),
        position=position,
    )
    assert same_counts(table, swapped)
    assert table.data_hash == swapped.data_hash


@FEW
@given(tables(), st.randoms(use_true_random=False))
def test_row_order_changes_nothing(table, random):
    order = list(range(table.n_rows))
    random.shuffle(order)
    other = permuted(table, np.array(order))
    assert same_counts(table, other)
    assert table.data_hash == other.data_hash


def test_row_order_changes_nothing_for_weights_that_are_not_exact_in_binary():
    table = from_codes(
        np.zeros(3, int), np.ones(3, int), np.zeros(3, int), items=("x", "y"), weight=np.r_[0.1, 0.2, 0.3]
    )
    assert table.data_hash == table.select(np.array([2, 1, 0])).data_hash


@FEW
@given(tables(), st.integers(0, 24), st.sampled_from([0.25, 0.5, 0.75]))
def test_splitting_a_weight_over_two_rows_changes_nothing(table, row, share):
    row %= table.n_rows
    twice = table.select(np.append(np.arange(table.n_rows), row))
    weight = np.array(twice.weight)
    weight[-1] *= share
    weight[row] -= weight[-1]
    split = replace(twice, weight=weight)
    assert same_counts(table, split)
    assert table.data_hash == split.data_hash


@FEW
@given(tables(), st.permutations(range(4)))
def test_relabelling_items_moves_counts_along_and_changes_the_hash_only_through_labels(table, order):
    new_code = np.array(order)
    items = tuple(ITEMS[order.index(code)] for code in range(4))
    other = replace(table, item_a=new_code[table.item_a], item_b=new_code[table.item_b], items=items)

    def by_name(which):
        named = {}
        for *key, a, b, first, outcome, total in zip(*(c.tolist() for c in which.counts), strict=True):
            left, right = which.items[a], which.items[b]
            if left > right:
                left, right, first, outcome = right, left, -first, int(MIRROR[outcome])
            named[(*key, left, right, first, outcome)] = total
        return named

    assert by_name(table) == by_name(other)
    renamed = replace(table, items=tuple(name.upper() for name in ITEMS))
    assert same_counts(table, renamed)
    assert renamed.data_hash != table.data_hash


@FEW
@given(tables(), st.integers(0, 24))
def test_hash_sees_a_changed_outcome_weight_state_and_item(table, row):
    row %= table.n_rows
    outcome, weight, state = np.array(table.outcome), np.array(table.weight), np.array(table.state)
    outcome[row] = (outcome[row] + 1) % 4
    weight[row] += 1
    state[row] = 1 - state[row]
    third = np.array(table.item_b)
    third[row] = next(i for i in range(4) if i not in (table.item_a[row], table.item_b[row]))
    changed = [{"outcome": outcome}, {"weight": weight}, {"state": state}, {"item_b": third}]
    hashes = {replace(table, **change).data_hash for change in changed}
    assert len(hashes) == 4
    assert table.data_hash not in hashes


def test_ties_and_both_bad_stay_apart():
    table = from_codes(np.zeros(2, int), np.ones(2, int), np.array([2, 3]), items=("x", "y"))
    assert table.counts.outcome.tolist() == [2, 3]
    assert table.pair_counts()[1].tolist() == [[0, 0, 1, 1]]


@FEW
@given(tables())
def test_pair_counts_are_counts_summed_over_everything_else(table):
    keys, cells = table.pair_counts(by=("state",))
    expected = defaultdict(lambda: np.zeros(4))
    for (_, state, _, _, a, b, _, outcome), total in oracle_counts(table).items():
        expected[(state, a, b)][outcome] += float(total)
    assert [tuple(key) for key in keys.tolist()] == sorted(expected)
    np.testing.assert_array_equal(cells, [expected[key] for key in sorted(expected)])


@FEW
@given(tables())
def test_pooling_states_and_annotators_keeps_the_total(table):
    pooled = table.pool("state", "annotator")
    assert pooled.states == (WHOLE_TABLE,)
    assert pooled.annotator is None
    assert pooled.counts.total.sum() == table.counts.total.sum()
    with pytest.raises(TableError, match="annotator: the table has no such column"):
        pooled.codes("annotator")


@FEW
@given(tables())
def test_dataset_round_trip_is_exact(table):
    back = Comparisons.from_dataset(table.to_dataset())
    assert back.data_hash == table.data_hash
    np.testing.assert_array_equal(back.item_a, table.item_a)


def test_an_edited_dataset_is_refused():
    table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 1]), items=("x", "y", "z"))
    dataset = table.to_dataset()
    dataset["outcome"] = ("comparison", np.array([2, 1], dtype=np.int8))
    with pytest.raises(TableError, match="do not match their hash"):
        Comparisons.from_dataset(dataset)


def test_select_keeps_labels_and_codes():
    table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 1]), items=("x", "y", "z"))
    kept = table.select(np.array([False, True]))
    assert kept.items == table.items
    assert (kept.item_a.item(), kept.item_b.item()) == (1, 2)


def test_arrays_are_read_only():
    table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"))
    with pytest.raises(ValueError, match="read-only"):
        table.item_a[0] = 1


def test_keys_too_large_for_one_integer_are_grouped_all_the_same():
    rng = np.random.default_rng(0)
    rows, big = 300, 40_000
    a = rng.integers(0, 3, rows)
    small = {
        "annotator": rng.integers(0, 2, rows),
        "context": rng.integers(0, 2, rows),
        "environment": rng.integers(0, 2, rows),
    }
    names = {"annotator": "annotators", "context": "contexts", "environment": "environments"}

    def build(labels):
        plural = {names[name]: tuple(map(str, range(labels))) for name in small}
        items = tuple(map(str, range(labels)))
        return from_codes(a, (a + 1) % 3, a % 2, items=items, **small, **plural)

    assert math.prod([big] * 5) > 2**62
    assert same_counts(build(3), build(big))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item_b": np.array([0, 2])}, "an item is compared with itself"),
        ({"item_b": np.array([1, 3])}, r"item_b: codes must lie in \[0, 3\); 1 bad, first at rows \[1\]"),
        ({"outcome": np.array([0, 4])}, r"outcome: codes must lie in \[0, 4\)"),
        ({"state": np.array([0, 1])}, r"state: codes must lie in \[0, 1\)"),
        ({"weight": np.array([1.0, -1.0])}, "weight: must be finite and >= 0"),
        ({"weight": np.array([1.0, np.nan])}, "weight: must be finite and >= 0"),
        ({"outcome": np.array([0])}, r"outcome: has shape \(1,\), but item_a has 2 rows"),
        ({"features": np.zeros((2, 1)), "feature_names": ("f",)}, "does not match 3 items and 1 feature names"),
        ({"annotator": np.array([0, 1]), "annotators": ("u",)}, r"annotator: codes must lie in \[0, 1\)"),
    ],
)
def test_broken_codes_are_refused(change, message):
    table = from_codes(np.array([0, 1]), np.array([1, 2]), np.array([0, 1]), items=("x", "y", "z"))
    with pytest.raises(TableError, match=message):
        replace(table, **change)


def test_unknown_field_and_unknown_dim_are_refused():
    with pytest.raises(TypeError, match="unknown field"):
        from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"), colour=np.array([0]))
    table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"))
    with pytest.raises(ValueError, match="dim: must be"):
        table.labels("colour")
    with pytest.raises(ValueError, match="dims: must be"):
        table.pool("item")


def test_html_escapes_labels_and_names_what_was_dropped():
    table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"))
    shown = replace(table, provenance={"dropped": {"rows": 1, "rules": {"<script>": 1}}})._repr_html_()
    assert "<script>" not in shown
    assert "Dropped on reading" in shown


@pytest.mark.parametrize("label", ["a\0b", "\ud800"], ids=["NUL", "lone surrogate"])
@pytest.mark.parametrize("name", ["items", "states", "annotators"])
def test_labels_that_no_file_can_hold_are_refused_by_name(name, label):
    columns = {"items": ("x", "y"), "states": ("s",), "annotators": ("u",)} | {name: ("z", label)}
    zero = np.zeros(1, int)
    with pytest.raises(TableError, match=name) as found:
        from_codes(zero, zero + 1, zero, state=zero, annotator=zero, **columns)
    assert ascii(label) in str(found.value)
