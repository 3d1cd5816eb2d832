"""Names that are markup stay text wherever they are shown: report, notebook objects, titles of figures."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from bayespref.comparisons import from_codes
from bayespref.graph.check import check
from bayespref.workflow import report, run

NAMES = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "'; </style><b>z")


class Tags(HTMLParser):
    """Elements and the attributes that run code."""

    def __init__(self, text):
        super().__init__()
        self.images, self.scripts, self.handlers = [], [], []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._script = tag == "script"
        if tag == "img":
            self.images.append(dict(attrs).get("src", ""))
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        if self._script:
            self.scripts.append(data)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 120)
    people = tuple(f"{NAMES[i % 3]} {i:02}" for i in range(12))
    return from_codes(
        a, (a + rng.integers(1, 3, 120)) % 3, rng.integers(0, 2, 120), items=NAMES, states=NAMES[:2],
        state=np.arange(120) % 2, annotator=np.arange(120) // 10, annotators=people,
    )  # fmt: skip


def harmless(text):
    found = Tags(text)
    assert not found.handlers
    assert not [src for src in found.images if not src.startswith("data:")]
    assert not [code for code in found.scripts if "alert" in code]
    assert "<b>z" not in text


def test_notebook_objects_show_markup_as_text(table):
    for shown in (table, check(table)):
        harmless(shown._repr_html_())


@pytest.mark.slow
def test_a_report_shows_markup_as_text_in_its_figures_too(table, tmp_path):
    tree = run(table, model="single", rng_key=0, progress=False)
    text = report([(NAMES[0], tree)], tmp_path / "r.html", c_defer=0.3, title=NAMES[1]).read_text(encoding="utf-8")
    harmless(text)
    assert "alert(1)" in re.sub(r"<[^>]*>", "", text)  # the names are there, as text
