"""Conversions whose rows are no comparisons, and exports: hand cases, what is left out is counted, round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.comparisons import from_codes
from bayespref.data.adapters.exports import to_arena
from bayespref.data.adapters.rows import alpaca_eval_rows, preflib_rows, prism_rows, trl_rows
from bayespref.data.table import read_comparisons
from bayespref.errors import TableError


def says(text):
    return [{"role": "assistant", "content": text}]


ASKED = [{"role": "user", "content": "What colour?"}]
# the four preference formats of the TRL documentation
FORMATS = {
    "standard explicit": {"prompt": "What colour?", "chosen": "blue", "rejected": "green"},
    "standard implicit": {"chosen": "What colour? blue", "rejected": "What colour? green"},
    "conversational explicit": {"prompt": ASKED, "chosen": says("blue"), "rejected": says("green")},
    "conversational implicit": {"chosen": ASKED + says("blue"), "rejected": ASKED + says("green")},
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_trl_format_gives_prompt_and_completions(name):
    found = trl_rows([FORMATS[name]], lambda text, row: {"blue": "x", "green": "y"}[text])
    row = found.table.to_pylist()[0]
    assert (row["item_a"], row["item_b"], row["outcome"], row["prompt"].strip()) == ("x", "y", "a", "What colour?")
    assert read_comparisons(found.table).n_rows == 1


def test_trl_needs_a_resolver_that_tells_the_two_apart():
    with pytest.raises(TypeError, match="no item"):
        trl_rows([FORMATS["standard explicit"]], None)
    with pytest.raises(TableError, match="row 0: chosen and rejected are one item"):
        trl_rows([FORMATS["standard explicit"]], lambda text, row: "x")
    with pytest.raises(TableError, match=r"row 1: \['rejected'\] missing"):
        trl_rows([FORMATS["standard explicit"], {"chosen": "a"}], lambda text, row: text)
    with pytest.raises(TableError, match="row 0: the resolver names no item behind its rejected"):
        trl_rows([{"chosen": "a", "rejected": "b"}], lambda text, row: {"a": "x"}.get(text))
    with pytest.raises(TableError, match="both"):
        trl_rows([{"chosen": "a", "rejected": says("b")}], lambda text, row: text)


def test_prism_pairs_stay_within_a_turn_and_what_is_left_out_is_counted():
    def answer(turn, model, score):
        return {
            "interaction_id": turn,
            "user_id": "u1",
            "conversation_type": "unguided",
            "model_name": model,
            "score": score,
        }

    opening = [answer("t0", model, score) for model, score in zip("wxyz", (90, 40, 40, 5), strict=True)]
    later = [answer("t1", "w", 80), answer("t1", "w", 20)]
    found = prism_rows(opening + later)
    rows = found.table.to_pylist()
    assert len(rows) == 6
    assert {row["block"] for row in rows} == {"t0"}
    by_pair = {(row["item_a"], row["item_b"]): (row["outcome"], row["strength"]) for row in rows}
    assert by_pair["w", "x"] == ("a", 50.0)
    assert by_pair["x", "y"] == ("tie", 0.0)
    assert found.record["left_out"] == {"pairs of one model": 1}
    assert (found.record["rows_read"], found.record["largest_block"]) == (6, 6)
    assert "share" in found.record["dependence"]
    table = read_comparisons(found.table)
    assert (table.states, table.annotators) == (("unguided",), ("u1",))
    for bad in (0, 101, "90", None, True, float("nan")):
        with pytest.raises(TableError, match="row 0"):
            prism_rows([answer("t0", "w", bad)])


@given(st.lists(st.sampled_from([0, 1, 1.25, 1.5, 1.9, 2, None, float("nan")]), min_size=1, max_size=20))
def test_a_weighted_judge_keeps_its_mean_and_its_total_weight(values):
    given_ = [{"generator_1": "x", "generator_2": "y", "preference": value} for value in values]
    answered = [1.5 if v == 0 else v for v in values if v is not None and v == v]
    if not answered:
        with pytest.raises(TableError, match="no comparison is left"):
            alpaca_eval_rows(given_)
        return
    found = alpaca_eval_rows(given_)
    rows = found.table.to_pylist()
    assert sum(row["weight"] for row in rows) == pytest.approx(len(answered))
    share = {"a": 0.0, "b": 1.0, "tie": 0.5}
    wins = sum(row["weight"] * share[row["outcome"]] for row in rows)
    assert wins == pytest.approx(sum(v - 1 for v in answered))
    assert found.record["left_out"].get("no preference", 0) == len(values) - len(answered)


@pytest.mark.parametrize("value", [0.5, 2.5, -1, "1", True])
def test_a_preference_off_the_scale_is_refused(value):
    with pytest.raises(TableError, match="row 0: preference"):
        alpaca_eval_rows([{"generator_1": "x", "generator_2": "y", "preference": value}])


def test_preflib_ballots_from_a_file(tmp_path):
    """A toi file in the format of preflib.org: two voters rank 1 above 2 and 3, one ranks 3 alone, one 2 above 1."""
    pytest.importorskip("preflibtools")
    lines = [
        "# FILE NAME: small.toi",
        "# TITLE: small",
        "# DESCRIPTION: ",
        "# DATA TYPE: toi",
        "# MODIFICATION TYPE: original",
        "# RELATES TO: ",
        "# RELATED FILES: ",
        "# PUBLICATION DATE: 2024-01-01",
        "# MODIFICATION DATE: 2024-01-01",
        "# NUMBER ALTERNATIVES: 3",
        "# NUMBER VOTERS: 4",
        "# NUMBER UNIQUE ORDERS: 3",
        "# ALTERNATIVE NAME 1: red",
        "# ALTERNATIVE NAME 2: green",
        "# ALTERNATIVE NAME 3: blue",
        "2: 1,{2,3}",
        "1: 3",
        "1: 2,1",
    ]
    path = tmp_path / "small.toi"
    path.write_text("\n".join(lines) + "\n")
    found = preflib_rows(path)
    rows = {(r["item_a"], r["item_b"], r["outcome"], r["count"]) for r in found.table.to_pylist()}
    expected = {
        ("red", "green", "a", 2),
        ("red", "blue", "a", 2),
        ("green", "blue", "tie", 2),
        ("green", "red", "a", 1),
    }
    assert rows == expected
    assert read_comparisons(found.table).weight.sum() == 7


def some_table(seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 4, 30)
    return from_codes(
        a,
        (a + rng.integers(1, 4, 30)) % 4,
        rng.integers(0, 4, 30),
        items=("i0", "i1", "i2", "i3"),
        state=rng.integers(0, 2, 30),
        states=("s0", "s1"),
        annotator=np.r_[np.arange(5), rng.integers(0, 5, 25)],
        annotators=tuple(f"u{k}" for k in range(5)),
    )


@pytest.mark.parametrize("seed", range(5))
def test_arena_battles_read_back_to_the_same_data(seed):
    table = some_table(seed)
    again = read_comparisons(to_arena(table), adapter="arena")
    assert again.data_hash == table.data_hash
