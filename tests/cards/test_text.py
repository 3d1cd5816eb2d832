"""Names on a card mean only themselves; its header is what the Hugging Face Hub reads."""

import re

import huggingface_hub
import markdown_it
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.cards import text

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    "[x](javascript:alert(1))",
    "**bold**",
    "`code`",
    "x\n# y",
    "![i](h://u)",
    "_0_",
    "__a b__",
    "~~x~~",
]


def rendered(body):
    return markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_one_cell_of_text(name):
    page = rendered(str(text.table(pd.DataFrame({"item": [name], "share": [0.5]}))))
    cells = re.findall(r"<td>(.*?)</td>", page)
    assert len(cells) == 2
    assert not re.search(r"<(script|a|img|strong|em|s|code|h1)", page)


@given(st.text(max_size=30))
def test_any_name_stays_one_cell_of_text(name):
    page = rendered(str(text.table(pd.DataFrame({"item": [name], "share": [0.5]}))))
    assert page.count("<td>") == 2
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td)\b)", page)


def test_what_is_undefined_unbounded_or_left_out_is_said():
    frame = pd.DataFrame({"a": [float("nan"), float("inf"), 2.0], "who": ["x", None, "z"]})
    lines = str(text.table(frame, most=2)).splitlines()
    assert lines[2:] == ["| not defined | x |", "| unbounded |  |", "", "1 more row is not shown here."]
    assert str(text.table(frame.head(0))) == "None."


def test_the_hub_reads_the_header_back(tmp_path):
    header = text.dataset_header(license="mit", pretty_name="a: <b> | 'c'", n_rows=12_000)
    card = huggingface_hub.DatasetCard(f"---\n{header}\n---\n\n# x\n")
    assert card.data.to_dict()["pretty_name"] == "a: <b> | 'c'"
    assert (card.data.license, card.data.size_categories) == ("mit", "10K<n<100K")
    model = huggingface_hub.ModelCard(f"---\n{text.model_header(license=None, model_name='m')}\n---\n\n# x\n")
    assert (model.data.library_name, model.data.license) == ("bayespref", None)


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"bayespref\[cards\]"):
        text.model_header(license=None, model_name="m")
