"""What artefacts say about themselves: a change of any byte of a sealed text or field is found."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.provenance import content_hash, is_intact, read_seal, seal_text, sealed, stamp, versions

STAMP = stamp("bayespref.report", data_hash="ab12", seed=3)
TEXT = "<html>\n<p>5 items &gt; 4, ümläut</p>\n</html>"


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_change_of_any_byte_of_a_sealed_text_is_found(data):
    whole = seal_text(TEXT, STAMP).encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    changed = whole[:at] + bytes([other]) + whole[at + 1 :]
    seal = read_seal(changed.decode("utf-8", errors="replace"))
    assert seal is None or not seal.intact


def test_sealing_again_replaces_the_seal():
    once = seal_text(TEXT, STAMP)
    assert seal_text(once, STAMP) == once
    assert read_seal(once).fields["seed"] == 3


def test_a_text_appended_or_cut_is_found():
    whole = seal_text(TEXT, STAMP)
    assert read_seal(whole).intact
    for changed in (whole + " ", whole.rstrip("\n"), whole[1:], "x" + whole):
        assert not read_seal(changed).intact
    assert read_seal(TEXT) is None
    assert read_seal(TEXT + "<!-- bayespref [1] -->\n") is None
    assert read_seal(TEXT + "<!-- bayespref {") is None
    assert not read_seal(TEXT + '<!-- bayespref {"a": NaN} -->\n').intact
    deep = '{"a":' * 900 + "1" + "}" * 900
    for depth in (900, 100_000):
        seal = read_seal(TEXT + f"<!-- bayespref {deep if depth == 900 else '[' * depth} -->\n")
        assert seal is None or not seal.intact


def test_a_name_that_closes_a_comment_stays_inside_it():
    whole = seal_text(TEXT, {**STAMP, "name": "--> <script>"})
    assert read_seal(whole).intact
    assert "<script>" not in whole
    assert whole.count("-->") == 1


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.none(), min_size=1))
def test_fields_survive_json_and_a_change_of_a_value_is_found(fields):
    whole = json.loads(json.dumps(sealed({**fields, "kind": "k"})))
    assert is_intact(whole)
    assert not is_intact({**whole, "kind": "other"})
    assert not is_intact({**whole, "more": 1})
    assert content_hash(dict(reversed(whole.items()))) == whole["content_hash"]


def test_fields_that_are_no_json_are_not_intact():
    assert not is_intact({"a": float("nan"), "content_hash": "x"})
    assert not is_intact({"a": object()})
    assert not is_intact({})


def test_versions_are_those_installed():
    import numpy

    assert versions()["numpy"] == numpy.__version__
