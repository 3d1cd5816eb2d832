"""Every result shows itself in a notebook, verdict first, and says nothing that a browser would run."""

import ast
import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayespref
from bayespref import display
from bayespref.comparisons import from_codes
from bayespref.defer.policy import from_scores
from bayespref.graph.coverage import MissingMass
from bayespref.target.trust import trust

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"
INSIDE = {
    "bounds.assumptions": ["Solved", "System"],
    "bounds.cells": ["Cells", "Groups"],
    "bounds.lp": ["Program"],
    "bounds.regions": ["DrawBounds", "RegionGames"],
    "bounds.restrictions": ["Restrictions"],
    "bounds.rows": ["Rows"],
    "bounds.table_rank": ["TableDesign"],
    "choice": ["ChoiceData"],
    "comparisons": ["Counts"],
    "defer.lookup": ["RegionIndex"],
    "design.candidates": ["Candidates"],
    "design.columns": ["Point"],
    "design.program": ["Program"],
    "design.solver": ["LeastEigenvalue"],
    "design.value": ["Decisions"],
    "design.wording": ["Why"],
    "disagree.linear": ["Estimable"],
    "graph.build": ["Nodes", "PairTable"],
    "graph.declared": ["DeploymentCells"],
    "graph.typed": ["TypedGraph"],
    "information.gaussian": ["GaussianCurvature"],
    "posterior.predict": ["Answers"],
    "posterior.statistics": ["AnswerDesign"],
    "reasons": ["Reason"],
    "workflow.auditing": ["DrawnWins"],
    "workflow.memberships": ["TypeChances"],
    "workflow.questions": ["Question"],
    "workflow.reweighting": ["PreferenceRows"],
}
"""What passes between functions of the package and is no answer to anybody's question."""
MACHINERY = ("cards", "cli", "data", "fit", "models", "provenance", "report", "simulate", "studies")
"""Parts of pages, readers, samplers, worlds and commands: they answer with a table, a tree or a file."""
ANSWERS = [("data", "aggregate_cells"), ("data", "split"), ("fit", "maximum_likelihood"), ("simulate", "world")]
"""Modules of these that answer with a result of their own."""


def results() -> dict[str, list[str]]:
    """Module -> its public NamedTuples and dataclasses, read from the source."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "bayespref").rglob("*.py")):
        parts = file.relative_to(ROOT / "bayespref").with_suffix("").parts
        if parts[0] in MACHINERY and parts not in ANSWERS:
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            kinds = [ast.unparse(kind) for kind in (*node.bases, *node.decorator_list)]
            if "NamedTuple" in kinds or any(kind.startswith("dataclass") for kind in kinds):
                found.setdefault(".".join(parts), []).append(node.name)
    return found


def test_every_public_result_shows_itself_or_is_named_as_inside():
    bare = {}
    for module, names in results().items():
        loaded = importlib.import_module(f"bayespref.{module}")
        missing = sorted(name for name in names if not hasattr(getattr(loaded, name), "_repr_html_"))
        if missing:
            bare[module] = missing
    assert bare == INSIDE


def test_every_field_named_in_a_first_line_exists():
    for module, names in results().items():
        for node in ast.parse((ROOT / "bayespref" / f"{module.replace('.', '/')}.py").read_text()).body:
            if not isinstance(node, ast.ClassDef) or node.name not in names:
                continue
            used = [d for d in node.decorator_list if isinstance(d, ast.Call) and ast.unparse(d.func) == "shown"]
            cls = getattr(importlib.import_module(f"bayespref.{module}"), node.name)
            for argument in [a.value for d in used for a in d.args]:
                there = {*getattr(cls, "_fields", ()), *getattr(cls, "__dataclass_fields__", ()), *dir(cls)}
                assert set(re.findall(r"{(\w+)[.}]", argument)) <= there, (module, node.name)


OURS = ("div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary")


class Page(HTMLParser):
    """Tags, attributes and text as a browser would read them; every tag of ours is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag in OURS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag not in OURS or self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def hostile_table():
    """Two pairs that were never joined."""
    state = np.zeros(2, dtype=int)
    a, b, outcome = np.array([0, 2]), np.array([1, 3]), np.array([0, 0])
    return from_codes(a, b, outcome, items=(HOSTILE, "y", "z", "w"), states=(HOSTILE,), state=state)


def test_hostile_names_are_escaped_in_every_object_with_names():
    table = hostile_table()
    policy = from_scores([np.inf], [0], labels=[HOSTILE], items=[HOSTILE, "y"], c_defer=0.2, data_hash=HOSTILE,
                         assumptions=[HOSTILE])  # fmt: skip

    @display.shown("{name}", next_step=HOSTILE)
    class Found(NamedTuple):
        name: str
        frame: pd.DataFrame
        labelled: xr.Dataset
        many: tuple[str, ...]

    frame = pd.DataFrame({HOSTILE: [HOSTILE]}, index=[HOSTILE])
    labelled = xr.Dataset({"x": ("item", [1.0])}, coords={"item": [HOSTILE]}, attrs={HOSTILE: HOSTILE})
    shown = [bayespref.check(table), bayespref.check(table).checks[0], policy, policy.lookup({"state": HOSTILE})]
    for result in [table, *shown, Found(HOSTILE, frame, labelled, (HOSTILE, HOSTILE))]:
        page = Page(result._repr_html_())
        assert "script" not in page.tags
        assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in Page(bayespref.check(table)._repr_html_()).text


def test_verdict_stands_first_then_the_next_step_then_the_numbers():
    weak = trust(np.array([0.2, 0.5, 1.0, 1.0, 4.0]), np.array([[0], [1]]))
    text = Page(weak._repr_html_()).text
    assert text.startswith("diagnostic only: ")
    assert text.index("Next: ") < text.index("Verdict".lower(), text.index("Next: "))
    failed = bayespref.check(hostile_table())
    assert Page(failed._repr_html_()).text.startswith("check: no, ")


def test_reason_codes_bring_their_next_step_and_undefined_numbers_are_counted():
    from bayespref.reasons import REASONS

    @display.shown(next_step="go on")
    class Found(NamedTuple):
        """What was found.

        Attributes
        ----------
        value : float array
            How much; NaN where nobody asked.
        reason : str array
            Why not.
        """

        value: np.ndarray
        reason: np.ndarray

    holes = Page(Found(np.array([1.0, np.nan, np.inf]), np.array(["", "no_data", ""]))._repr_html_()).text
    assert REASONS["no_data"].next_step in holes
    assert "go on" not in holes
    assert "How much" in holes
    whole = Page(Found(np.ones(3), np.array(["", "", ""]))._repr_html_()).text
    assert whole.startswith("all 3 numbers are defined and finite")
    assert "Next: go on" in whole
    broken = Page(Found(np.array([1.0, np.nan, np.inf]), np.array([""]))._repr_html_()).text
    assert broken.startswith("of 3 numbers 1 are undefined and 1 unbounded")


def test_tables_have_captions_and_scoped_headers_and_no_colour_of_their_own():
    shown = bayespref.check(hostile_table())._repr_html_()
    page = Page(shown)
    assert page.tags.count("caption") == 1
    assert ("scope", "col") in page.attributes
    assert ("scope", "row") in page.attributes
    assert "color" not in shown
    assert ("role", "group") in page.attributes


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (np.arange(10.0), "10 numbers from 0 to 9"),
        (np.full((2, 9), np.nan), "2 x 9 numbers, 18 undefined"),
        (np.array([True, False, True] * 4), "12, 8 yes"),
        (np.array(["a", "b", "a"] * 4), "12: a 8, b 4"),
        (np.array([], dtype=float), "0, empty"),
        ([], "none"),
        (tuple("abcdefgh"), "a, b, c, d, e, f and 2 more"),
        (-np.inf, "unbounded below"),
        ({"x": 1.5}, "x: 1.5"),
    ],
)
def test_values_are_written_short_and_nothing_is_left_out_in_silence(what, text):
    assert display.value(what) == text


def test_a_result_of_the_coverage_stage_reads_as_a_sentence():
    mass = MissingMass(0.25, 0.2, 0.3, 0.95, 100, "below", ((("s", "c"), 0.25),), 0.0)
    assert "0.25 of the deployment falls on cells the table does not cover" in Page(mass._repr_html_()).text


def test_showing_a_policy_loads_no_dataframe_library_and_no_fitting_stack(tmp_path):
    policy = from_scores([0.0], [1], labels=["s"], items=["x", "y"], c_defer=0.2, data_hash="h", assumptions=[])
    path = policy.save(tmp_path / "policy.json")
    code = (
        "import sys; from bayespref.defer.runtime import DeferralPolicy as P\n"
        f"assert 'act 1' in P.load({str(path)!r})._repr_html_()\n"
        "print(sorted({'jax', 'numpyro', 'pandas', 'xarray', 'narwhals', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
