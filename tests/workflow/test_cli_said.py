"""What the command line says: help that stays true, JSON of documented shape, errors with a next step, progress."""

import importlib.util
import io
import json
import re
import sys
import warnings
from pathlib import Path
from unittest import mock

import pytest
from typer.testing import CliRunner

import bayespref
from bayespref.cli import app, main
from bayespref.cli.options import steps

ROOT = Path(__file__).resolve().parents[2]
VERBS = [command.callback.__name__ for command in app.registered_commands]
SHAPES = ROOT / "docs" / "howto" / "command-line.md"


def cli(*args):
    """Exit code, stdout, stderr of the command, run as the installed script runs it."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["bayespref", *map(str, args)]),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        pytest.raises(SystemExit) as stopped,
    ):
        main()
    return stopped.value.code or 0, out.getvalue(), err.getvalue()


def test_the_page_of_helps_is_what_the_command_line_says():
    spec = importlib.util.spec_from_file_location("command_line", ROOT / "docs" / "command_line.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == module.PAGE.read_text(encoding="utf-8"), "run: python docs/command_line.py"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_json_an_example_of_itself_and_only_options_that_it_has(verb):
    text = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert "--json" in text
    examples = re.findall(rf"^\s*bayespref {verb}\b.*$", text, flags=re.MULTILINE)
    assert examples
    known = set(re.findall(r"│ +\*? *(--[a-z-]+)", text))
    assert {option for line in examples for option in re.findall(r"--[a-z-]+", line)} <= known


def test_examples_name_every_verb_and_the_general_help_the_exit_codes():
    code, out, _ = cli("--help")
    assert code == 0
    assert all(f"  {number}  " in out for number in (0, 1, 2))
    assert cli("--version") == (0, f"bayespref {bayespref.__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "message", "step"),
    [
        (("check", "absent.csv"), "absent.csv", "check"),
        (("check", "bad.csv"), "outcome", "--column"),
        (("defer", "bad.csv"), "bad.csv", "bayespref run TABLE"),
        (("fit", "good.csv", "--model", "oracle"), "latent_types", "bayespref fit --help"),
        (("target", "good.csv", "bad.toml"), "name: Field required", "bayespref target --help"),
        (("verify", "bad.csv"), "nothing that the package writes", "bayespref verify --help"),
        (("check", "good.csv", "--column", "x"), "canonical=column", "`bayespref check --help`"),
    ],
)
def test_bad_input_is_one_message_and_a_next_step(tmp_path, monkeypatch, args, message, step):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text("item_a,item_b\nx,y\n")
    Path("good.csv").write_text("item_a,item_b,outcome\nx,y,a\n")
    Path("bad.toml").write_text('kind = "product"\n')
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    first, last = err.rstrip("\n").rsplit("\n", 1)
    assert first.startswith("error: ")
    assert message in first
    assert last.startswith("next: ")
    assert step in last
    assert "Traceback" not in err


def test_too_little_memory_ends_with_a_way_out(tmp_path, monkeypatch):
    def starve(*_, **__):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr("bayespref.graph.check.check", starve)
    (tmp_path / "t.csv").write_text("item_a,item_b,outcome\nx,y,a\n")
    code, _, err = cli("check", tmp_path / "t.csv")
    assert code == 2
    assert "not enough memory (Unable to allocate 9 TiB)" in err
    assert "bayespref aggregate" in err


def test_a_warning_is_one_plain_line(tmp_path):
    (tmp_path / "t.csv").write_text("item_a,item_b,outcome\nx,X,a\nX,y,a\ny,x,a\n")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, out, err = cli("check", tmp_path / "t.csv")
    assert (code, bool(out)) == (0, True)
    assert len(err.splitlines()) == 1
    assert err.startswith("warning: item: 1 group(s) of labels differ only in case")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"), [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)]
)
def test_progress_shows_on_a_terminal_only_and_not_when_quiet(stream, quiet, shown):
    err = stream()
    with mock.patch.object(sys, "stderr", err), steps("report", ("read", "write"), quiet) as done:
        done()
        done()
    assert ("report: read" in err.getvalue()) is shown
    assert ("report: write" in err.getvalue()) is shown


def documented():
    """Kind and keys of each verb's JSON, from the page."""
    rows = re.findall(r"^\| `([^|]*) \| `([^`]*)` \| (.*) \|$", SHAPES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {kind: set(re.findall(r"`([^`]*)`", keys)) for _, kind, keys in rows}


def holds(out, kind, *more):
    """The output is one JSON object of this kind, with the documented keys and no other."""
    found = json.loads(out, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert found["kind"] == kind
    assert found["schema_version"] == 1
    assert set(found) - {"kind", "schema_version"} == documented()[kind].union(*more)
    return found


def test_the_page_documents_the_json_of_every_verb():
    text = SHAPES.read_text(encoding="utf-8")
    assert all(f"| `{verb}`" in text for verb in VERBS)


def test_json_of_table_verbs_has_the_documented_shape(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("item_a,item_b,outcome\n" + "p,q,a\np,q,b\nr,s,a\nr,s,tie\n" * 2)
    code, out, err = cli("card", "t.csv", "--json")
    assert (code, err) == (0, "")
    found = holds(out, "bayespref.card")
    assert found["model_card"] is None
    assert json.loads(Path(found["croissant"]).read_text())["name"] == "t"
    code, out, _ = cli("verify", "cards", "--table", "t.csv", "--json")
    assert code == 0  # the Croissant file speaks for a table that lies elsewhere
    found = {check["file"]: check["verdict"] for check in holds(out, "bayespref.verify")["checks"]}
    assert found["t.csv"] == "unchecked"
    Path("cards/t.csv").write_bytes(Path("t.csv").read_bytes())
    assert cli("verify", "cards", "--table", "t.csv")[0] == 0
    Path("cards/t.csv").write_text("item_a,item_b,outcome\np,q,a\n")
    assert cli("verify", "cards", "--table", "t.csv")[0] == 1
    Path("cards/t.csv").unlink()
    Path("cards/dataset-card.md").write_text(Path("cards/dataset-card.md").read_text().replace("p, q", "p, r"))
    assert cli("verify", "cards")[0] == 1
    code, out, _ = cli("study", "--json")
    assert holds(out, "bayespref.study-list")["studies"] == list(bayespref.studies.STUDIES)


def test_json_of_a_study_is_one_object_of_the_documented_shape(tmp_path):
    code, out, _ = cli("study", "two-worlds", "--out", tmp_path, "--json")
    found = holds(out, "bayespref.studies")
    assert (code, found["agrees"], found["studies"][0]["study"]) == (0, True, "two-worlds")
    assert cli("verify", tmp_path / "two-worlds" / "quick-1")[0] == 0


@pytest.mark.slow
def test_json_of_fit_verbs_has_the_documented_shape_and_their_files_verify(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("item_a,item_b,outcome\n" + "p,q,a\np,q,b\nr,s,a\nr,s,tie\n" * 2)
    fit_keys = documented()["bayespref.fit"]
    code, out, err = cli("run", "t.csv", "--range", "-3", "3", "--cost", "0.5", "--out", "res", "--json")
    assert (code, err) == (0, "")
    ran = holds(out, "bayespref.run", fit_keys)
    assert [row["decision"] for row in ran["regions"]] == ["defer"]
    assert cli("verify", "res", "--table", "t.csv")[0] == 0
    code, out, _ = cli("verify", "res", "--json")
    kinds = {check["file"] for check in holds(out, "bayespref.verify")["checks"]}
    assert kinds >= {"fit.nc", "policy.json", "report.html"}
    holds(cli("fit", "t.csv", "--chains", "1", "--draws", "50", "--json")[1], "bayespref.fit")
    holds(cli("defer", "res/fit.nc", "--json")[1], "bayespref.defer")
    holds(cli("report", "res/fit.nc", "--json")[1], "bayespref.report")
    asked = holds(cli("design", "res/fit.nc", "--budget", "10", "--out", "ask.csv", "--json")[1], "bayespref.design")
    assert asked["regions"][0]["state"] == "all"
    assert cli("verify", "ask.csv")[0] == 0
    found = holds(cli("card", "res/fit.nc", "--json")[1], "bayespref.card")
    assert Path(found["model_card"]).is_file()
    holds(cli("bundle", "res/fit.nc", "--json")[1], "bayespref.bundle-written")
    assert cli("verify", "audit.zip", "--table", "t.csv")[0] == 0
    page = Path("res/report.html")
    page.write_text(page.read_text(encoding="utf-8").replace("disconnected", "connected", 1), encoding="utf-8")
    assert cli("verify", "res")[0] == 1


def test_a_column_that_nothing_reads_is_named_so_that_pooled_prompts_are_noticed(tmp_path):
    table = tmp_path / "votes.csv"
    table.write_text("question,item_a,item_b,outcome\n" + "x,A,B,a\ny,C,B,b\n" * 2, encoding="utf-8")
    _, _, err = cli("check", table)
    assert "columns not read: question; all rows are taken as one state" in err
    assert "--column state=question" in err
    assert "not read" not in cli("check", table, "--column", "state=question")[2]
    mapped = ("--column", "state=question", "--column", "item_a=question", "--column", "item_b=item_b")
    err = cli("check", table, *mapped)[2]
    assert "--column annotator=item_a" in err  # the role of a prompt is taken
    assert "one state" not in err
    table.write_text("state,item_a,item_b,outcome\nx,A,B,a\ny,A,B,b\n", encoding="utf-8")
    assert "not read" not in cli("check", table, "--column", "state=")[2]


@pytest.mark.parametrize(
    ("names", "proposed"),
    [
        (("row", "task", "rater"), "e.g. --column state=task\n"),  # by its name, though there are fewer raters
        (("row", "kind", "rater"), "e.g. --column annotator=rater\n"),
        (("row", "kind", "batch"), "e.g. --column state=batch\n"),  # the fewest values
        (("row",), "give it with --column\n"),  # nothing but an id
    ],
)
def test_an_identifier_is_never_proposed_as_a_state(tmp_path, names, proposed):
    lines = [(*(f"r{i}", f"t{i % 3}", f"w{i % 2}")[: len(names)], "A", "B", "ab"[i // 6]) for i in range(12)]
    text = "\n".join(",".join(line) for line in [(*names, "item_a", "item_b", "outcome"), *lines])
    (tmp_path / "votes.csv").write_text(text, encoding="utf-8")
    _, _, err = cli("check", tmp_path / "votes.csv")
    assert f"columns not read: {', '.join(names)}; all rows are taken as one state; if" in err
    assert proposed in err


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["outcome=verdict"], "--adapter labels --column label=verdict"),
        (["prompt="], "'prompt' is to be ignored, but the table has no column 'prompt'"),
        (["outcome=verdict", "outcome=kind"], "'outcome' is given twice, as 'verdict' and as 'kind'"),
    ],
)
def test_columns_that_cannot_be_meant_so_are_errors(tmp_path, columns, message):
    (tmp_path / "own.csv").write_text("item_a,item_b,verdict,kind\nA,B,1,x\nB,A,0.5,x\n", encoding="utf-8")
    code, out, err = cli("check", tmp_path / "own.csv", *(f"--column={column}" for column in columns))
    assert (code, out) == (2, "")
    assert message in err
