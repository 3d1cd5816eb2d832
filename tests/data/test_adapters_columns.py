"""Adapters by column: each dialect becomes the same comparisons; an unknown label is an error with its count."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayespref.data.table import read_comparisons
from bayespref.errors import TableError

A, B, TIE, BAD = range(4)
MODELS = {"model_a": ["x", "y", "x", "z", "y"], "model_b": ["y", "x", "z", "x", "z"]}
# columns of lmsys/chatbot_arena_conversations, lmarena-ai/arena-human-preference-140k and
# lmsys/lmsys-arena-human-preference-55k that say who won
DIALECTS = {
    "tie (bothbad)": {"winner": ["model_a", "model_b", "tie", "tie (bothbad)", "model_b"]},
    "both_bad": {"winner": ["model_a", "model_b", "tie", "both_bad", "model_b"]},
    "one hot": {
        "winner_model_a": [1, 0, 0, 0, 0],
        "winner_model_b": [0, 1, 0, 0, 1],
        "winner_tie": [0, 0, 1, 1, 0],
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", ["pandas", "polars", "csv"])
def test_three_dialects_of_arena_say_the_same_but_for_both_bad(dialect, kind, tmp_path):
    frame = pd.DataFrame(MODELS | DIALECTS[dialect] | {"judge": ["j1", "j2", "j1", "j3", "j2"], "tstamp": range(5)})
    if kind == "polars":
        frame = pl.DataFrame(frame.to_dict("list"))
    elif kind == "csv":
        frame.to_csv(tmp_path / "t.csv", index=False)
        frame = tmp_path / "t.csv"
    found = read_comparisons(frame, adapter="arena")
    last = TIE if dialect == "one hot" else BAD  # the one-hot table lumps both-bad with ties
    assert found.outcome.tolist() == [A, B, TIE, last, B]
    assert [found.items[i] for i in found.item_a] == MODELS["model_a"]
    assert found.annotators == ("j1", "j2", "j3")
    assert found.timestamp.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("adapter", "columns", "message"),
    [
        ("arena", MODELS | {"winner": ["model_a", "model_c", "model_c", "tie", "A"]}, "'model_c' 2 times"),
        ("arena", MODELS | {"winner": ["model_a", "a", "a", "tie", "tie"]}, "no label of this adapter.* 2 times"),
        (
            "mtbench",
            MODELS | {"winner": ["model_a", "tie (inconsistent)", "tie", "tie", "tie"]},
            "inconsistent.* 1 times",
        ),
        (
            "mtbench",
            MODELS | {"winner": ["tie (bothbad)", "both_bad", "tie", "tie", "tie"]},
            "no label of this adapter",
        ),
        (
            "arena",
            MODELS | {"winner_model_a": [1, 1, 0, 0, 0], "winner_model_b": [0, 1, 1, 1, 1], "winner_tie": [0] * 5},
            "1 1 0",
        ),
        ("helpsteer3", {"item_a": ["x"] * 3, "item_b": ["y"] * 3, "overall_preference": [-3, 4, 4]}, "'4' 2 times"),
        ("alpaca_eval", {"generator_1": ["x"] * 3, "generator_2": ["y"] * 3, "preference": [1.0, 1.73, 3.0]}, "1.73"),
        ("alpaca_eval", {"generator_1": ["x"] * 2, "generator_2": ["y"] * 2, "preference": [1.0, np.nan]}, "missing"),
        ("labels", {"item_a": ["x"] * 2, "item_b": ["y"] * 2, "label": [1, 7]}, "'7' 1 times"),
    ],
)
def test_an_unknown_label_is_an_error_with_its_count(adapter, columns, message):
    with pytest.raises(TableError, match=message):
        read_comparisons(pd.DataFrame(columns), adapter=adapter)


def test_words_of_a_canonical_table_are_unknown_to_a_numeric_label(tmp_path):
    (tmp_path / "t.csv").write_text("item_a,item_b,label\nx,y,a\nx,y,1\n")
    with pytest.raises(TableError, match="no label of this adapter"):
        read_comparisons(tmp_path / "t.csv", adapter="labels")


def test_mtbench_judges_are_annotators_and_the_caller_says_what_a_state_is():
    """Columns of lmsys/mt_bench_human_judgments."""
    frame = pd.DataFrame(
        MODELS
        | {"winner": ["model_a", "tie", "model_b", "tie", "model_a"], "judge": ["e1", "e1", "e2", "e2", "e1"]}
        | {"question_id": [81, 81, 82, 82, 83], "turn": [1, 2, 1, 2, 1]}
    )
    found = read_comparisons(frame, adapter="mtbench", columns={"state": "question_id"})
    assert found.outcome.tolist() == [A, TIE, B, TIE, A]
    assert found.states == ("81", "82", "83")
    assert found.annotators == ("e1", "e2")
    assert found.provenance["columns"]["annotator"] == "judge"


def test_helpsteer3_sign_and_strength():
    """nvidia/HelpSteer3: -3 response 1 much better, 3 response 2 much better."""
    values = [-3, -2, -1, 0, 1, 2, 3]
    frame = pd.DataFrame({"overall_preference": values, "model_1": ["x"] * 7, "model_2": ["y"] * 7})
    found = read_comparisons(frame, adapter="helpsteer3", columns={"item_a": "model_1", "item_b": "model_2"})
    assert found.outcome.tolist() == [A, A, A, TIE, B, B, B]
    assert found.strength.tolist() == [3, 2, 1, 0, 1, 2, 3]
    with pytest.raises(TableError, match=r"(?s)item_a: this column is required.*name no item behind a text"):
        read_comparisons(frame, adapter="helpsteer3")


def test_alpaca_eval_draws_old_and_new():
    frame = pd.DataFrame({"generator_1": ["x"] * 4, "generator_2": ["y"] * 4, "preference": [1.0, 2.0, 1.5, 0.0]})
    found = read_comparisons(frame.assign(annotator="gpt4"), adapter="alpaca_eval")
    assert found.outcome.tolist() == [A, B, TIE, TIE]
    assert found.annotators == ("gpt4",)


def test_trl_columns_need_the_items_and_say_why():
    frame = pd.DataFrame({"prompt": ["p"], "chosen": ["good text"], "rejected": ["bad text"]})
    with pytest.raises(TableError, match=r"(?s)item_chosen: this column is required.*own component.*trl_rows"):
        read_comparisons(frame, adapter="trl")
    named = frame.assign(by=["x"], against=["y"])
    found = read_comparisons(named, adapter="trl", columns={"item_chosen": "by", "item_rejected": "against"})
    assert (found.items[found.item_a[0]], found.outcome.tolist()) == ("x", [A])


def test_a_propensity_under_its_open_bandit_name():
    frame = pd.DataFrame({"item_a": ["x", "y"], "item_b": ["y", "x"], "outcome": ["a", "b"], "pscore": [0.25, 1.0]})
    assert read_comparisons(frame, adapter="pscore").propensity.tolist() == [0.25, 1.0]
    with pytest.raises(TableError, match=r"must lie in \(0, 1\]"):
        read_comparisons(frame.assign(pscore=[0.0, 1.0]), adapter="pscore")


def test_a_column_of_the_canonical_name_goes_before_an_alias_and_the_callers_map_before_both():
    frame = pd.DataFrame(
        MODELS | {"winner": ["model_a"] * 5, "judge": ["j"] * 5, "annotator": ["n"] * 5, "who": ["w"] * 5}
    )
    assert read_comparisons(frame, adapter="arena").annotators == ("n",)
    assert read_comparisons(frame, adapter="arena", columns={"annotator": "who"}).annotators == ("w",)
    assert read_comparisons(frame, adapter="arena", columns={"annotator": None}).annotators == ()
