"""Codes: the inverse of labels, whatever the container; and strict numbers."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.data.encode import compact, decode, encode, look_alikes, repeats, share_labels
from bayespref.data.rules import numbers, times
from bayespref.errors import TableError

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)
VALUES = st.lists(st.none() | TEXT, max_size=12)


@settings(max_examples=60)
@given(VALUES, st.integers(0, 12))
def test_encode_and_decode_are_inverse(values, cut):
    expected = [value or None for value in values]
    plain = pa.array(values, pa.string())
    for column in (
        plain,
        pa.chunked_array([plain.slice(0, cut), plain.slice(cut)]),
        plain.dictionary_encode(),
        pa.chunked_array([plain.slice(0, cut).dictionary_encode(), plain.slice(cut).dictionary_encode()]),
        plain.cast(pa.large_string()),
    ):
        coded = encode("x", column)
        assert decode(coded.codes, coded.labels).tolist() == expected
        assert list(coded.labels) == sorted({value for value in values if value})


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8))
def test_integers_become_their_decimal_text(values):
    coded = encode("x", pa.array(values, pa.int64()))
    assert decode(coded.codes, coded.labels).tolist() == [str(value) for value in values]


@settings(max_examples=60)
@given(VALUES, VALUES)
def test_shared_labels_decode_to_the_same_values(left, right):
    codes, labels = share_labels(encode("a", pa.array(left, pa.string())), encode("b", pa.array(right, pa.string())))
    for code, values in zip(codes, (left, right), strict=True):
        assert decode(code, labels).tolist() == [value or None for value in values]
    assert len(set(labels)) == len(labels)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), max_size=10))
def test_compact_keeps_values_and_forgets_unused_labels(codes):
    labels = tuple("abcdef")
    new, kept = compact(np.array(codes, dtype=np.int32), labels)
    assert [kept[code] for code in new] == [labels[code] for code in codes]
    assert set(kept) == {labels[code] for code in codes}


@settings(max_examples=60)
@given(st.lists(st.integers(-1, 3), max_size=10))
def test_repeats_marks_every_later_occurrence(codes):
    expected = [code >= 0 and code in codes[:row] for row, code in enumerate(codes)]
    assert repeats(np.array(codes, dtype=np.int32)).tolist() == expected


def test_look_alikes_group_case_space_and_unicode_forms():
    assert look_alikes(("A b", "a  b", "a b ", "ab", "ﬁ", "fi")) == [("A b", "a  b", "a b "), ("ﬁ", "fi")]
    assert look_alikes(("x", "y")) == []


def test_an_empty_dictionary_and_a_null_column_hold_no_label():
    for column in (pa.array([None, None]), pa.chunked_array([], pa.string()), pa.array([], pa.int64())):
        coded = encode("x", column)
        assert coded.labels == ()
        assert coded.kind == "missing"
        assert (coded.codes == -1).all()


def test_numbers_in_text_are_read_strictly():
    values, unreadable = numbers("w", pa.array(["1", "-2.5e1", "", None, " 1", "1_0", "x", "0x1"]), text=True)
    np.testing.assert_array_equal(values, [1, -25, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan])
    assert unreadable.tolist() == [False, False, False, False, True, True, True, True]


@pytest.mark.parametrize("column", [pa.array([True]), pa.array(["1"]), pa.array([[1]]), pa.array([b"1"])])
def test_what_is_no_number_is_refused(column):
    with pytest.raises(TableError, match="w: must be numbers, but the column holds"):
        numbers("w", column, text=False)


def test_decimals_and_large_integers_are_numbers():
    from decimal import Decimal

    assert numbers("w", pa.array([Decimal("1.25")]), text=False)[0].tolist() == [1.25]
    assert numbers("w", pa.array([2**60 + 1]), text=False)[0].tolist() == [2.0**60]


@given(st.integers(-(2**53), 2**53))
def test_units_of_time_agree_to_the_last_bit(micro):
    seconds = [
        times("t", pa.array([micro * factor], pa.int64()).cast(pa.timestamp(unit, zone)), text=False)[0][0]
        for unit, factor in (("us", 1), ("ns", 1000))
        for zone in (None, "Europe/Berlin")
        if abs(micro * factor) < 2**63
    ]
    assert len(set(seconds)) == 1
    assert seconds[0] == pytest.approx(micro / 1e6, rel=1e-15)
