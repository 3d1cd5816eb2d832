"""Splits: no annotator (item) on both sides, every row once, strata respected, row order without effect."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.comparisons import from_codes
from bayespref.data.split import annotator_folds, hold_out, split_folds
from bayespref.errors import TableError


@st.composite
def crowds(draw, contexts=None):
    n_annotators = draw(st.integers(2, 12))
    rows = draw(st.integers(n_annotators, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    annotator = np.concatenate([np.arange(n_annotators), rng.integers(0, n_annotators, rows - n_annotators)])
    a = rng.integers(0, 6, rows)
    optional = {}
    if draw(st.booleans()) if contexts is None else contexts:
        segment = rng.integers(0, 3, n_annotators)
        optional = {"context": segment[annotator], "contexts": ("p", "q", "r")}
    return from_codes(
        a,
        (a + rng.integers(1, 6, rows)) % 6,
        rng.integers(0, 4, rows),
        items=tuple("uvwxyz"),
        annotator=annotator,
        annotators=tuple(f"ann{i:02d}" for i in range(n_annotators + 1)),
        **optional,
    )


@settings(max_examples=50)
@given(crowds(), st.floats(0.05, 0.95), st.integers(0, 3))
def test_held_out_annotators_are_in_test_only(table, share, seed):
    split = hold_out(table, share=share, seed=seed)
    train, test = set(split.train.annotator.tolist()), set(split.test.annotator.tolist())
    assert not train & test
    assert split.train.n_rows + split.test.n_rows == table.n_rows
    assert {table.annotators[i] for i in test} == set(split.held_out)
    people = len(train | test)
    assert len(test) == min(max(round(people * share), 1), people - 1)
    assert split.train.annotators == table.annotators


@settings(max_examples=50)
@given(crowds(contexts=True), st.integers(1, 9), st.integers(0, 3))
def test_every_context_gives_its_share_of_held_out_annotators(table, tenths, seed):
    split = hold_out(table, share=tenths / 10, seed=seed)
    realised = len(split.held_out) / len(np.unique(table.annotator))
    for context in range(3):
        there = np.unique(table.annotator[table.context == context])
        held = np.unique(split.test.annotator[split.test.context == context])
        assert abs(len(held) - realised * len(there)) < 1.0 + 1e-9


@settings(max_examples=50)
@given(crowds(), st.integers(0, 3))
def test_held_out_items_never_occur_in_train(table, seed):
    try:
        split = hold_out(table, by="item", share=0.3, seed=seed)
    except ValueError as error:
        assert "leaves no row on one side" in str(error)  # noqa: PT017
        return
    held = {table.items.index(name) for name in split.held_out}
    assert not held & set(split.train.item_a.tolist() + split.train.item_b.tolist())
    assert all(a in held or b in held for a, b in zip(split.test.item_a, split.test.item_b, strict=True))
    assert split.train.n_rows + split.test.n_rows == table.n_rows


@settings(max_examples=50)
@given(crowds(), st.integers(2, 12), st.integers(0, 3))
def test_folds_are_balanced_and_keep_annotators_whole(table, n_folds, seed):
    people = np.unique(table.annotator)
    n_folds = min(n_folds, len(people))
    fold = annotator_folds(table, n_folds, seed=seed)
    of = {int(who): set(fold[table.annotator == who].tolist()) for who in people}
    assert all(len(folds) == 1 for folds in of.values())

    def spread(group):
        sizes = np.bincount([next(iter(of[int(who)])) for who in group], minlength=n_folds)
        return sizes.max() - sizes.min()

    assert spread(people) <= 1
    if table.context is not None:
        for context in range(3):
            there = np.unique(table.annotator[table.context == context])
            if len(there):
                assert spread(there) <= 1


@settings(max_examples=30)
@given(crowds(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_folds_do_not_depend_on_row_order(table, random, seed):
    order = np.array(random.sample(range(table.n_rows), table.n_rows))
    np.testing.assert_array_equal(
        annotator_folds(table, 2, seed=seed)[order], annotator_folds(table.select(order), 2, seed=seed)
    )


@settings(max_examples=30)
@given(crowds(), st.integers(0, 3))
def test_every_row_is_tested_once_over_the_folds(table, seed):
    splits = split_folds(table, 2, seed=seed)
    assert sum(split.test.n_rows for split in splits) == table.n_rows
    assert all(split.train.n_rows + split.test.n_rows == table.n_rows for split in splits)
    names = [name for split in splits for name in split.held_out]
    assert sorted(names) == sorted({table.annotators[i] for i in table.annotator})


def test_the_seed_changes_who_is_held_out():
    rows = np.arange(40)
    table = from_codes(
        rows % 2, 1 - rows % 2, rows * 0, items=("x", "y"), annotator=rows, annotators=tuple(map(str, rows))
    )
    held = {hold_out(table, seed=seed).held_out for seed in range(5)}
    assert len(held) == 5
    assert hold_out(table, seed=1).held_out == hold_out(table, seed=1).held_out


def test_bad_requests_are_refused():
    zero = np.zeros(2, int)
    table = from_codes(zero, zero + 1, zero, items=("x", "y"))
    with pytest.raises(TableError, match="annotator: the table has no such column"):
        hold_out(table)
    with pytest.raises(ValueError, match="leaves no row on one side"):
        hold_out(table, by="item")
    with pytest.raises(ValueError, match="by: must be one of"):
        hold_out(table, by="state")
    named = from_codes(zero, zero + 1, zero, items=("x", "y"), annotator=np.array([0, 1]), annotators=("u", "v"))
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"share: must lie in \(0, 1\)"):
            hold_out(named, share=share)
    for n_folds in (1, 3):
        with pytest.raises(ValueError, match=r"n_folds: must lie between 2 and 2"):
            annotator_folds(named, n_folds)
    solo = named.select(np.array([True, False]))
    with pytest.raises(ValueError, match="at least two annotators with rows, got 1"):
        hold_out(solo)
