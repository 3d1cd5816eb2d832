"""``bayespref check`` in a pipeline: thresholds file, deployment table, exit codes."""

import json

import pandas as pd
import pytest

from bayespref.cli import main
from bayespref.cli.check import check as check_command
from bayespref.data.deployed import read_deployed
from bayespref.errors import TableError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two prompt kinds of three items, connected both ways; a deployment that goes to a third kind too."""
    where = tmp_path_factory.mktemp("gate")
    pairs = [("x", "y"), ("x", "z"), ("y", "z")]
    rows = [(a, b, o, kind, f"p{k}") for kind in ("chat", "code") for a, b in pairs for k, o in enumerate("aab")]
    frame = pd.DataFrame(rows, columns=["item_a", "item_b", "outcome", "kind", "annotator"])
    frame.to_csv(where / "table.csv", index=False)
    pd.DataFrame({"kind": ["chat", "code", "poem"], "count": [600, 300, 100]}).to_csv(where / "use.csv", index=False)
    return where


def run(capsys, monkeypatch, *args):
    monkeypatch.setattr("sys.argv", ["bayespref", *map(str, args)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    return stopped.value.code or 0, said.out, said.err


def test_the_same_table_passes_or_fails_by_the_thresholds_of_its_file(folder, capsys, monkeypatch):
    gate = folder / "gate.toml"
    call = ("check", folder / "table.csv", "--column", "state=kind", "--thresholds", gate)
    gate.write_text("min_labels = 3\n")
    assert run(capsys, monkeypatch, *call)[0] == 0
    deployed = (*call, "--deployment", folder / "use.csv", "--json")
    code, out, _ = run(capsys, monkeypatch, *deployed)
    got = json.loads(out)
    assert (code, got["failed"]) == (1, ["deployment covered"])
    line = next(line for line in got["checks"] if line["name"] == "deployment covered")
    assert line["numbers"]["cells"] == [[["poem"], 0.1]]
    gate.write_text("missing_mass = 0.2\n")
    assert run(capsys, monkeypatch, *deployed)[0] == 0
    gate.write_text('allow = ["deployment covered"]\n')
    assert run(capsys, monkeypatch, *deployed)[0] == 0


def test_a_misspelt_key_ends_with_two_and_its_name(folder, capsys, monkeypatch):
    gate = folder / "wrong.toml"
    gate.write_text("missing_mas = 0.2\n")
    code, out, err = run(capsys, monkeypatch, "check", folder / "table.csv", "--thresholds", gate)
    assert (code, out) == (2, "")
    assert "unknown key(s) ['missing_mas'] in 'wrong.toml'" in err


def test_by_on_the_command_line_goes_before_the_file(folder, capsys, monkeypatch):
    gate = folder / "by.toml"
    gate.write_text('by = ["state"]\n')
    call = ("check", folder / "table.csv", "--column", "state=kind", "--thresholds", gate, "--by", "", "--json")
    assert json.loads(run(capsys, monkeypatch, *call)[1])["by"] == []
    assert check_command.__doc__ is not None


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"prompt": ["s"]}), "none of .* is among its columns"),
        (pd.DataFrame({"state": ["s", None]}), r"'state' has missing values, first at rows \[1\]"),
        (pd.DataFrame({"state": ["s"], "count": ["many"]}), "'count' must hold numbers"),
    ],
)
def test_deployment_tables_that_cannot_be_read_are_refused(frame, message):
    with pytest.raises(TableError, match=message):
        read_deployed(frame)
