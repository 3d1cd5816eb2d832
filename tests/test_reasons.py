"""Every code and verdict word that the package can emit is explained, and every explanation belongs to one of them."""

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayespref
from bayespref.comparisons import from_codes
from bayespref.defer.policy import from_scores
from bayespref.posterior.verdict import Verdict
from bayespref.reasons import REASONS, VERDICTS, explain
from bayespref.target.trust import trust

ROOT = Path(__file__).resolve().parents[1]
TABLES = {
    "defer.threshold": ["DECISIONS", "UNIDENTIFIED"],
    "defer.runtime": ["_DEFAULTS"],
    "design.adequacy": ["VERDICTS"],
    "design.gate": ["PASS", "FAIL", "UNDECIDED"],
    "disagree.design": ["DESIGN_FLAGS"],
    "disagree.identify": ["IDENTIFIED_BY", "_BY_GRAPH", "_BY_POSTERIOR"],
    "disagree.status": ["POSTERIOR_FLAGS", "STATUS"],
    "graph.connect": ["CONTRAST_STATUS"],
    "graph.coverage": ["VERDICTS"],
    "posterior.sensitivity": ["STRONG", "CONFLICT", "FINE", "UNDEFINED"],
    "target.trust": ["TRUSTED", "DIAGNOSTIC"],
}
"""Module -> its tables of codes and words that results carry."""
EMITTED = ("reason", "verdict", "code", "codes", "blocked", "diagnosis", "reasons")
"""Names under which the source writes a code or a verdict."""
NOT_OURS = {"optimal", "infeasible", "unbounded"}
"""Statuses of a linear program, read and never handed on."""


def sources():
    files = sorted([*(ROOT / "bayespref").rglob("*.py"), *(ROOT / "models").rglob("*.py")])
    return [file for file in files if file.name not in ("reasons.py", "display.py")]


def words_in(node: ast.AST) -> set[str]:
    """Text that an expression can take: constants, and the branches of a choice."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return words_in(node.body) | words_in(node.orelse)
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("where", "select", "full", "full_like"):
        return set().union(*(words_in(a) for a in node.args))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "astype":
        return words_in(node.func.value)
    return set()


def emitted() -> dict[str, str]:
    """Word -> where the source writes it as a reason or a verdict; pages of the report word their own labels."""
    found: dict[str, str] = {}
    for file in [file for file in sources() if "report" not in file.parts]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            pairs: list[tuple[ast.AST, ast.AST]] = []
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(names)
                    pairs += list(zip(names, values, strict=False))
            elif isinstance(node, ast.keyword) and node.arg in EMITTED:
                pairs.append((ast.Name(node.arg), node.value))
            for target, words in pairs:
                base = target.value if isinstance(target, ast.Subscript) else target
                name = getattr(base, "id", getattr(base, "attr", ""))
                if name in EMITTED:
                    found |= dict.fromkeys(words_in(words), f"{file.name}:{node.value.lineno}")
    return found


def test_every_code_in_a_table_of_codes_is_explained():
    for module, names in TABLES.items():
        loaded = importlib.import_module(f"bayespref.{module}")
        for name in names:
            words = getattr(loaded, name)
            for word in [words] if isinstance(words, str) else words:
                assert word == "" or explain(word).startswith(f"{word}: "), (module, name, word)


def test_every_code_that_the_source_writes_is_explained():
    found = emitted()
    assert {"separated", "thin", "not_certified", "type_not_identified", "undecided"} <= set(found)  # the scan reads
    unknown = {word: place for word, place in found.items() if word not in REASONS and word not in VERDICTS}
    assert {word: place for word, place in unknown.items() if word not in NOT_OURS | {""}} == {}


def test_every_reason_code_is_written_somewhere():
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources())
    assert [code for code in (*REASONS, *VERDICTS) if f'"{code}"' not in text] == []


@pytest.mark.parametrize("reason", [*REASONS.values(), *VERDICTS.values()], ids=lambda reason: reason.code)
def test_an_explanation_says_meaning_why_and_next_step_in_plain_sentences(reason):
    said = explain(reason.code)
    assert said == f"{reason.code}: {reason.meaning}. Why it matters: {reason.why}. Next: {reason.next_step}."
    for text in (reason.meaning, reason.why, reason.next_step):
        assert len(text.split()) >= 1
        assert not text.endswith(".")
        assert text[0].islower()
    assert len({reason.meaning, reason.why, reason.next_step}) == 3


def test_codes_and_words_do_not_share_a_name():
    assert not set(REASONS) & set(VERDICTS)


def test_verdicts_checks_and_answers_are_explained_with_what_was_found():
    apart = from_codes(np.array([0, 2]), np.array([1, 3]), np.array([0, 1]), items=tuple("wxyz"))
    result = bayespref.check(apart)
    line = result["connected"]
    said = explain(line)
    assert said.startswith(line.words)
    assert REASONS["disconnected"].meaning in said
    assert REASONS["disconnected"].why in said
    assert said.count("Next: ") == 1
    whole = explain(result)
    assert all(check.words.rstrip(".") in whole for check in result.checks)
    good = Verdict("mixed", True, "mixed: yes, largest R-hat 1.001")
    bad = Verdict("mixed", False, "mixed: no, largest R-hat 1.2", "not_converged", "run longer")
    assert VERDICTS["yes"].next_step in explain(good)
    both = explain([good, bad])
    assert both.count("\n\n") == 1
    assert both.endswith("Next: run longer.")
    weak = trust(np.array([0.2, 0.5, 1.0, 1.0, 4.0]), np.array([[0], [1]]))
    assert explain(weak).startswith("diagnostic only: ")
    assert VERDICTS["diagnostic only"].why in explain(weak)
    policy = from_scores([np.inf], [0], labels=["s"], items=["x", "y"], c_defer=0.2, data_hash="h", assumptions=[])
    answer = policy.lookup({"state": "elsewhere"})
    assert REASONS["unseen_state"].why in explain(answer)


def test_arrays_of_codes_are_explained_once_each_with_how_often():
    codes = xr.DataArray([["", "no_data"], ["separated", "no_data"]], dims=("state", "item"))
    said = explain(codes).split("\n\n")
    assert [text.split(":")[0] for text in said] == ["no_data (2 times)", "separated"]
    assert explain(["", ""]) == "no code: nothing is undefined here."


def test_every_name_of_a_line_that_check_and_convergence_print_is_explained():
    rng = np.random.default_rng(0)
    n = 60
    a = rng.integers(0, 4, n)
    columns = {"state": "st", "context": "cd", "environment": "ef", "annotator": "uv"}
    coded = {name: rng.integers(0, 2, n) for name in columns}
    plural = {f"{name}s": tuple(labels) for name, labels in columns.items()}
    table = from_codes(a, (a + 1) % 4, rng.integers(0, 2, n), items=tuple("wxyz"), **coded, **plural)
    names = {
        line.name
        for by in (("state",), ("state", "context"))
        for line in bayespref.check(table, by=by, mass_floor=0.01, deployment=table, largest_ratio=5.0).checks
    }
    verdict = ast.parse((ROOT / "bayespref" / "posterior" / "verdict.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(verdict) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Verdict"]
    printed = {call.args[0].value for call in calls}
    assert {"mixed", "converged", "single mode"} <= printed
    assert {"strongly connected", "joined across states", "deployment weights"} <= names
    for name in names | printed:
        assert explain(name).startswith(f"{name}: "), name


def test_an_unknown_code_is_an_error_that_names_close_ones_or_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown reason code 'no_date'; close: \['no_data'\]"):
        explain("no_date")
    with pytest.raises(ValueError, match=r"unknown reason code 'xyz'; known codes are \['approx"):
        explain("xyz")
    with pytest.raises(TypeError, match="a int carries neither a verdict nor a reason code"):
        explain(3)
