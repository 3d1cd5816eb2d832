"""The page about a reader's first table: its shell commands run as they stand, on the table that its Python makes."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bayespref import DeferralPolicy

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "your-first-table.md"


@pytest.mark.slow
def test_the_shell_commands_of_the_page_run_and_leave_what_they_say(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    made = {}
    first = re.findall(r"```pycon\n(.*?)```", text, re.DOTALL)[0]
    for example in doctest.DocTestParser().get_examples(first):
        exec(example.source, made)
    made["votes"].to_csv(tmp_path / "votes.csv", index=False)
    (shell,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", shell],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "check: no, 2 of 8 checks failed (connected, identified)" in done.stdout
    assert "acts in 1 of 2 regions and defers elsewhere (disconnected 1)" in done.stdout
    assert "acts in all 2 regions" in done.stdout
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "votes.csv",
        "results/fit.nc",
        "results/policy.json",
        "results/report.html",
        "dear.json",
        "dear.html",
    }
    policy = DeferralPolicy.load(tmp_path / "results" / "policy.json")
    decided = policy.predict(pd.DataFrame({"state": ["mail", "poem"]}))["decision"]
    assert decided.tolist() == ["act", "defer"]
