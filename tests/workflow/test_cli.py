"""The command line as a user runs it: exit codes, what is printed where, the files that are left, and what they do."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from bayespref import DeferralPolicy, load_fit
from bayespref.cli import main

PAIRS = [("x", "y"), ("x", "z"), ("y", "z")]


def cli(*args):
    """Run the command in this process, through the same function as the installed script; exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["bayespref", *map(str, args)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stopped,
    ):
        main()
    return stopped.value.code or 0, out.getvalue(), err.getvalue()


def strict_json(text):
    """Parse JSON as every other language does: NaN and Infinity are no numbers."""

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def write(folder, rows, name="table.csv"):
    path = folder / name
    pd.DataFrame(rows, columns=["item_a", "item_b", "outcome"]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def connected(tmp_path_factory):
    """Three items, each pair compared ten times, each item winning and losing; x is best by far."""
    rows = [(a, b, "b" if i == 0 else "a") for a, b in PAIRS for i in range(10)]
    return write(tmp_path_factory.mktemp("connected"), rows)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """Two pairs of items that were never compared with each other."""
    rows = [(a, b, o) for a, b in (("p", "q"), ("r", "s")) for o in "aaab"]
    return write(tmp_path_factory.mktemp("blocks"), rows)


def test_check_of_a_connected_table_passes_in_words(connected):
    code, out, err = cli("check", connected)
    assert (code, err) == (0, "")
    assert out.startswith("check: yes, none of ")
    assert "connected: yes" in out


def test_check_of_two_blocks_fails_and_names_a_comparison_that_joins_them(blocks):
    code, out, _ = cli("check", blocks)
    assert code == 1
    assert "connected: no" in out
    assert "2 components" in out
    assert "1 comparison would join what is not joined" in out
    bridge = strict_json(cli("check", blocks, "--json")[1])["suggestions"][0]
    sides = {bridge["item_a"], bridge["item_b"]}
    assert len(sides & {"p", "q"}) == len(sides & {"r", "s"}) == 1


@pytest.mark.parametrize(("table", "ok", "code"), [("connected", True, 0), ("blocks", False, 1)])
def test_check_json_parses_and_agrees_with_the_exit_code(request, table, ok, code):
    got, out, err = cli("check", request.getfixturevalue(table), "--json")
    verdicts = strict_json(out)
    assert (got, err) == (code, "")
    assert (verdicts["ok"], verdicts["exit_code"]) == (ok, code)
    assert {check["verdict"] for check in verdicts["checks"]} <= {"yes", "no", "undecided"}
    assert bool(verdicts["suggestions"]) is not ok


def test_columns_of_other_names_are_mapped(tmp_path):
    path = tmp_path / "own.csv"
    pd.DataFrame({"left": ["x", "y"], "right": ["y", "x"], "label": [1, 1]}).to_csv(path, index=False)
    named = ("--column", "item_a=left", "--column", "item_b=right", "--adapter", "labels")
    assert cli("check", path, *named)[0] == 0
    code, _, err = cli("check", path, "--column", "left")
    assert code == 2
    assert "canonical=column" in err


BAD_TABLES = {
    "an unknown outcome": ("item_a,item_b,outcome\nx,y,a\nx,z,maybe\n", ["outcome", "maybe"]),
    "a missing column": ("item_a,outcome\nx,a\n", ["item_b"]),
    "an item against itself": ("item_a,item_b,outcome\nx,x,a\n", ["item_a", "item_b", "x"]),
    "a missing item": ("item_a,item_b,outcome\nx,,a\n", ["item_b"]),
    "an empty file": ("", ["empty"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_ends_with_code_2_and_one_message_that_names_what_is_wrong(tmp_path, case):
    text, named = BAD_TABLES[case]
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    code, out, err = cli("check", path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert all(word in err for word in named), err


def test_a_file_that_is_not_there_or_no_table_ends_with_code_2(tmp_path):
    code, out, err = cli("check", tmp_path / "absent.csv")
    assert (code, out) == (2, "")
    assert "absent.csv" in err
    other = tmp_path / "table.docx"
    other.write_text("x", encoding="utf-8")
    code, _, err = cli("check", other)
    assert code == 2
    assert ".csv" in err


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("check", "--by", "planet"), "planet"),
        (("check", "--adapter", "nonsense"), "nonsense"),
        (("fit", "--model", "oracle"), "latent_types"),
        (("fit", "--types", "2"), "n_types"),
        (("fit", "--feature", "price"), "price"),
    ],
)
def test_bad_options_end_with_code_2_before_anything_is_fitted_or_written(
    connected, tmp_path, monkeypatch, args, named
):
    monkeypatch.chdir(tmp_path)
    verb, *options = args
    code, _, err = cli(verb, connected, *options)
    assert code == 2
    assert named in err
    assert list(tmp_path.iterdir()) == []


def test_unknown_verbs_and_options_end_with_code_2(connected):
    assert cli("predict")[0] == 2
    code, _, err = cli("check", connected, "--colour")
    assert code == 2
    assert "--colour" in err


@pytest.mark.parametrize("verb", ["report", "defer"])
def test_a_file_that_is_no_fit_ends_with_code_2(connected, tmp_path, verb):
    for fit in (connected, tmp_path / "absent.nc"):
        code, _, err = cli(verb, fit, "--out", tmp_path / "out")
        assert code == 2
        assert fit.name in err
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_help_lists_every_verb():
    code, out, _ = cli("--help")
    assert code == 0
    verbs = (
        "check",
        "aggregate",
        "fit",
        "run",
        "report",
        "defer",
        "design",
        "target",
        "card",
        "bundle",
        "verify",
        "study",
    )
    assert all(f" {verb} " in out for verb in (*verbs, "demo"))


@pytest.fixture(scope="module")
def ran(blocks, tmp_path_factory):
    """Folder that `run` wrote for the two blocks, and what it printed."""
    folder = tmp_path_factory.mktemp("run") / "results"
    code, out, _ = cli("run", blocks, "--range", "-3", "3", "--cost", "0.5", "--out", folder, "--quiet")
    assert code == 0
    return folder, out


def test_run_leaves_fit_policy_and_report_and_says_where(ran):
    folder, out = ran
    assert sorted(path.name for path in folder.iterdir()) == ["fit.nc", "policy.json", "report.html"]
    assert all(str(folder / name) in out for name in ("fit.nc", "policy.json", "report.html"))
    assert out.startswith("converged: yes")


def test_run_saves_a_fit_that_was_analysed_with_the_range_given(ran):
    tree = load_fit(ran[0] / "fit.nc")
    assert tree["bounds"].attrs["reward_range"].tolist() == [-3.0, 3.0]
    across = {"item": "p", "item_other": "r"}
    assert np.isnan(tree["disagree"]["estimate"].sel(across)).all()
    assert (tree["disagree"]["reason"].sel(across) == "disconnected").all()


def test_run_on_two_blocks_defers_with_the_reason(ran):
    table = DeferralPolicy.load(ran[0] / "policy.json").to_table()
    assert table[["decision", "reason"]].to_numpy().tolist() == [["defer", "disconnected"]]
    assert table["threshold"].tolist() == [0.5]


def test_run_says_that_it_defers_everywhere_why_and_what_to_do_next(ran):
    folder, out = ran
    decided, reason, step, assumed = out.splitlines()[-7:-3]
    assert decided.startswith("At a cost of deferring of 0.5 log-odds the policy defers in the only region")
    assert reason.startswith("main reason: no chain of comparisons made here joins the two items")
    assert f"`bayespref design {folder / 'fit.nc'}` proposes which" in step
    assert "--cost" in step
    assert "rewards in [-3, 3]" in assumed


def test_run_writes_one_report_that_stands_alone(ran):
    text = (ran[0] / "report.html").read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html")
    assert "disconnected" in text
    assert 'src="http' not in text
    assert 'rel="stylesheet"' not in text


def test_report_and_defer_read_the_fit_that_run_saved(ran, tmp_path):
    folder, _ = ran
    code, out, _ = cli("report", folder / "fit.nc", "--cost", "0.5", "--out", tmp_path / "again.html")
    assert code == 0
    assert out.strip() == str(tmp_path / "again.html")
    assert (tmp_path / "again.html").stat().st_size > 10_000
    code, _, _ = cli("defer", folder / "fit.nc", "--cost", "0.5", "--out", tmp_path / "again.json")
    assert code == 0
    assert (tmp_path / "again.json").read_bytes() == (folder / "policy.json").read_bytes()


def test_defer_writes_only_where_it_is_told_and_says_what_it_replaces(ran, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli("defer", ran[0] / "fit.nc", "--cost", "0.5")
    assert (code, err) == (0, "")
    assert "disconnected" in out
    assert out.endswith("policy not written: name a file with --out\n")
    assert strict_json(cli("defer", ran[0] / "fit.nc", "--json")[1])["policy"] is None
    assert list(tmp_path.iterdir()) == []
    assert cli("defer", ran[0] / "fit.nc", "--out", "p.json")[2] == ""
    before = Path("p.json").read_bytes()
    _, out, err = cli("defer", ran[0] / "fit.nc", "--cost", "0.2", "--out", "p.json")
    assert err == "note: will replace p.json\n"
    assert out.endswith("p.json\n")
    assert Path("p.json").read_bytes() != before


def test_report_holds_the_fit_against_the_deployment_and_spends_the_budget(ran, tmp_path):
    (tmp_path / "use.csv").write_text("state,count\nall,1\nelsewhere,3\n", encoding="utf-8")
    page = tmp_path / "r.html"
    told = ("--deployment", tmp_path / "use.csv", "--budget", "7", "--out", page)
    assert cli("report", ran[0] / "fit.nc", *told)[0] == 0
    text = page.read_text(encoding="utf-8")
    assert "no deployment was declared" not in text
    assert "None of 7 labels is expected to let a region act at a cost of deferring of 0.1 log-odds" in text
    assert "The most useful 7 labels" in text
    assert cli("report", ran[0] / "fit.nc", "--budget", "0", "--out", page)[0] == 0
    text = page.read_text(encoding="utf-8").lower()
    assert "no deployment was declared" in text
    assert "most useful" not in text


@pytest.mark.parametrize(
    ("text", "named"), [("planet,count\nall,1\n", "deployment: none of"), ("state,count\nall,many\n", "'count'")]
)
def test_a_deployment_that_cannot_be_read_ends_with_code_2_and_leaves_no_report(ran, tmp_path, text, named):
    (tmp_path / "use.csv").write_text(text, encoding="utf-8")
    told = ("--deployment", tmp_path / "use.csv", "--out", tmp_path / "r.html")
    code, out, err = cli("report", ran[0] / "fit.nc", *told)
    assert (code, out) == (2, "")
    assert named in err
    assert not (tmp_path / "r.html").exists()


@pytest.fixture(scope="module")
def walked(connected, tmp_path_factory):
    """Folder in which `fit`, `defer` and `report` were run one after the other; what defer printed as JSON."""
    folder = tmp_path_factory.mktemp("walk")
    code, out, _ = cli("fit", connected, "--seed", "3", "--out", folder / "fit.nc", "--quiet")
    assert code == 0
    assert out.splitlines()[-1] == str(folder / "fit.nc")
    assert "defer" not in load_fit(folder / "fit.nc").children
    code, table, err = cli("defer", folder / "fit.nc", "--cost", "0.5", "--out", folder / "policy.json", "--json")
    assert (code, err) == (0, "")
    assert strict_json(table)["policy"] == str(folder / "policy.json")
    code, out, _ = cli("report", folder / "fit.nc", "--cost", "0.5", "--out", folder / "report.html")
    assert code == 0
    assert (folder / "report.html").stat().st_size > 10_000
    return folder, table


def test_fit_then_defer_acts_on_the_item_that_wins(walked):
    folder, table = walked
    rows = strict_json(table)["regions"]
    assert [(row["state"], row["decision"], row["action"]) for row in rows] == [("all", "act", "x")]
    saved = DeferralPolicy.load(folder / "policy.json").to_table()
    assert saved["score"].tolist() == [row["score"] for row in rows]


def test_a_deferring_policy_is_printed_as_json_that_other_languages_read(ran, tmp_path):
    _, out, _ = cli("defer", ran[0] / "fit.nc", "--out", tmp_path / "policy.json", "--json")
    assert [(row["decision"], row["action"]) for row in strict_json(out)["regions"]] == [("defer", None)]


BLOCKED = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jax", "jaxlib", "numpyro", "xarray", "matplotlib", "arviz_base", "networkx"}:
            raise ImportError(f"blocked: {name}")


sys.meta_path.insert(0, Refuse())
import pandas as pd

from bayespref import DeferralPolicy

policy = DeferralPolicy.load(sys.argv[1])
frame = pd.DataFrame({"state": ["all", "elsewhere", None]})
answer = policy.predict(frame)
print(list(zip(answer["decision"], answer["reason"])), policy.lookup({"state": "all"}).action)
try:
    import xarray
except ImportError as error:
    print(error)
"""


def test_the_policy_file_predicts_where_nothing_of_the_fitting_stack_can_be_imported(walked):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(walked[0] / "policy.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, blocked = done.stdout.splitlines()
    assert said == str([("act", "score_below_threshold"), ("defer", "unseen_state"), ("defer", "missing_value")]) + " x"
    assert blocked == "blocked: xarray"


def test_the_installed_command_and_the_module_give_the_exit_code_to_the_shell(blocks, connected, tmp_path):
    script, module = [str(Path(sys.executable).with_name("bayespref"))], [sys.executable, "-m", "bayespref"]
    for command, table, code in ((module, connected, 0), (script, blocks, 1), (script, tmp_path / "absent.csv", 2)):
        done = subprocess.run([*command, "check", str(table), "--json"], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert (code == 2) == (done.stdout == "")
