"""The verb aggregate: counts on disk, what it says, what it refuses."""

import json

import pytest

from bayespref.data.table import read_comparisons

duckdb = pytest.importorskip("duckdb")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    from bayespref.cli import main

    def call(*arguments: str):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["bayespref", "aggregate", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, capsys.readouterr()

    with duckdb.connect(str(tmp_path / "votes.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE votes AS SELECT 'm' || i % 3 AS item_a, 'm' || (i + 1) % 3 AS item_b, 'a' AS outcome, "
            "'s' || i % 2 AS topic, i % 5 AS annotator, 0.5 AS strength FROM range(60) t(i)"
        )
        connection.execute(f"COPY votes TO '{tmp_path / 'votes.parquet'}'")
    return call


def test_a_file_and_a_database_give_the_same_counts(run, tmp_path):
    code, said = run("votes.parquet", "--column", "state=topic", "--group", "state", "--json")
    found = json.loads(said.out)
    counts = read_comparisons(tmp_path / "counts.parquet")
    read = read_comparisons(tmp_path / "votes.parquet", columns={"state": "topic"})
    assert code == 0
    assert found["data_hash"] == counts.data_hash == read.pool("annotator").data_hash
    assert (found["rows_read"], found["cells"], found["not_kept"]) == (60, 6, ["annotator", "strength"])
    again = run("votes.duckdb", "--table", "votes", "--column", "state=topic", "--group", "state", "--json")[1]
    assert json.loads(again.out) == found


def test_estimate_sql_and_words(run, tmp_path):
    assert run("votes.parquet", "--estimate")[1].out == "15 cells from 60 rows; without annotator 3\n"
    assert "GROUP BY" in run("votes.parquet", "--sql")[1].out
    assert not (tmp_path / "counts.parquet").exists()
    said = run("votes.parquet", "--out", "c.parquet")[1].out
    assert said == "c.parquet: 15 counts of 60 rows, by annotator\nnot kept: strength\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("votes.parquet", "--max-cells", "5"), "leaving out 'annotator' would save most"),
        (("votes.parquet", "--out", "counts.csv"), "--out: must end in .parquet"),
        (("absent.parquet",), "no file or folder"),
        (("votes.duckdb", "--table", "absent"), "absent"),
        (("absent.duckdb", "--table", "votes"), "no database file"),
        (("votes.parquet", "--group", "prompt"), "group_keys: must be among"),
    ],
)
def test_bad_input_ends_with_one_message(run, arguments, words, tmp_path):
    code, said = run(*arguments)
    assert code == 2
    assert said.err.startswith("error: ")
    assert words in said.err
    assert not list(tmp_path.glob("counts*"))
