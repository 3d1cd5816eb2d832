"""The Croissant file, judged by the format's own validator, which also reads the table through it."""

import hashlib
import json
import subprocess
import sys

import pandas as pd
import pytest

import bayespref
from bayespref.cards.croissant import croissant
from bayespref.simulate.scenarios import hh_confounding

VALIDATE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import socket
socket.socket.connect = lambda *_: sys.exit("went to the network")
import mlcroissant as mlc
dataset = mlc.Dataset(sys.argv[1])
text = lambda value: value.decode() if isinstance(value, bytes) else value
rows = [{key.split("/")[-1]: text(value) for key, value in row.items()} for row in dataset.records("comparisons")]
issues = sorted(dataset.metadata.ctx.issues.errors)
print(json.dumps({"rows": rows, "limits": dataset.metadata.data_limitations, "issues": issues}))
"""


@pytest.mark.slow
def test_the_validator_accepts_it_offline_and_reads_the_table_through_it(tmp_path):
    frame = pd.DataFrame({"left": ["p", "r"], "right": ["q", "s"], "outcome": ["a", "tie"], "n": [2, 3]})
    frame.to_csv(tmp_path / "votes.csv", index=False)
    table = bayespref.read_comparisons(
        tmp_path / "votes.csv", columns={"item_a": "left", "item_b": "right", "count": "n"}
    )
    fields = bayespref.croissant(table, tmp_path / "votes.csv", name="votes", license="cc-by-4.0", url="https://a.org")
    (tmp_path / "croissant.json").write_text(json.dumps(fields))
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, str(tmp_path / "croissant.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["issues"] == []
    assert [(row["item_a"], row["item_b"], row["outcome"], row["count"]) for row in said["rows"]] == [
        ("p", "q", "a", 2.0),
        ("r", "s", "tie", 3.0),
    ]
    assert "connected: no" in "".join(said["limits"])


def test_hash_size_and_limits_are_those_of_the_file(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("item_a,item_b,outcome\np,q,a\nr,s,b\n")
    table = bayespref.read_comparisons(path)
    fields = bayespref.croissant(table, path, name="votes")
    [file] = fields["distribution"]
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file["contentSize"] == f"{path.stat().st_size} B"
    assert fields["identifier"] == f"sha256:{table.data_hash}"
    assert "2 components" in fields["rai:dataLimitations"]
    assert "license" not in fields


def test_a_file_of_no_known_kind_or_a_table_from_no_file_is_refused():
    with pytest.raises(ValueError, match="file_name"):
        croissant(name="n", description="d", file_name="a.docx", file_sha256="", file_bytes=0, columns={}, limits="",
                  data_hash="", version="1")  # fmt: skip
    with pytest.raises(ValueError, match="read_comparisons"):
        bayespref.croissant(hh_confounding(n_annotators=5).comparisons, "a.csv", name="n")
