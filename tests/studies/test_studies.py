"""Studies run, agree with what is expected of them, resume, and can disagree."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from bayespref.studies import STUDIES, real_data
from bayespref.studies.claims import Expectation, compare, read_expectations
from bayespref.studies.runner import mean_and_error, run_study, study_module, unavailable


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_quick_form_agrees_with_every_claim(name, tmp_path):
    if reason := unavailable(name):
        pytest.skip(reason)
    result = run_study(name, size="quick", seed=1, out=tmp_path, progress=False)
    assert result.agrees, str(result)
    kept = {file.name for file in result.folder.iterdir()}
    assert kept == {"cases", "table.parquet", "figure.svg", "figure.png", "verdict.json"}
    assert json.loads((result.folder / "verdict.json").read_text())["agrees"] is True


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_says_what_it_shows_and_what_it_does_not(name):
    text = study_module(name).__doc__
    assert "Shows:" in text
    assert "Does not show:" in text


def test_an_interrupted_study_goes_on_where_it_stopped(tmp_path, monkeypatch):
    module = study_module("two-worlds")
    real, asked = module.run_case, []

    def dies_at_the_third(**case):
        asked.append(case)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(**case)

    monkeypatch.setattr(module, "run_case", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_study("two-worlds", out=tmp_path, progress=False)
    monkeypatch.setattr(module, "run_case", lambda **case: asked.append(case) or real(**case))
    resumed = run_study("two-worlds", out=tmp_path, progress=False)
    monkeypatch.setattr(module, "run_case", real)
    fresh = run_study("two-worlds", out=tmp_path / "fresh", progress=False)
    assert len(asked) == 3 + len(module.cases(**module.SIZES["quick"])) - 2
    pd.testing.assert_frame_equal(resumed.table, fresh.table)


@pytest.mark.parametrize(
    "damage", [b"", b"PAR1 is how a table begins", "no seconds"], ids=["empty", "cut", "no seconds"]
)
def test_a_damaged_piece_of_a_study_is_named_and_what_to_do_with_it(tmp_path, damage):
    folder = run_study("two-worlds", out=tmp_path, progress=False).folder
    piece = min((folder / "cases").iterdir())
    if isinstance(damage, bytes):
        piece.write_bytes(damage)
    else:
        pd.DataFrame({"x": [1.0]}).to_parquet(piece)
    with pytest.raises(ValueError, match=f"{piece.name} is no whole piece .* remove the file"):
        run_study("two-worlds", out=tmp_path, progress=False)
    piece.unlink()
    assert run_study("two-worlds", out=tmp_path, progress=False).agrees


def test_a_wrong_value_disagrees_and_so_does_an_undefined_one():
    table = pd.DataFrame({"x": [1.0], "x_se": [0.1], "y": [float("nan")]})
    claims = [
        Expectation(claim="three standard errors", column="x", value=1.31, source="-"),
        Expectation(claim="just inside", column="x", value=1.29, source="-"),
        Expectation(claim="undefined", column="y", value=0.0, tolerance=9.0, source="-"),
        Expectation(claim="too little", column="x", at_least=1.4, source="-"),
        Expectation(claim="too much", column="x", at_most=0.6, source="-"),
    ]
    assert compare(table, claims, size="quick")["agrees"].tolist() == [False, True, False, False, False]


def test_a_claim_that_picks_no_row_or_no_column_is_an_error():
    table = pd.DataFrame({"eps": [0.0], "x": [1.0]})
    with pytest.raises(ValueError, match="picks 0 rows"):
        compare(table, [Expectation(claim="c", column="x", where={"eps": 1.0}, value=1, source="-")], size="quick")
    with pytest.raises(ValueError, match="names \\['z'\\]"):
        compare(table, [Expectation(claim="c", column="z", value=1, source="-")], size="quick")


@pytest.mark.parametrize(
    "text", ["[[expect]]\nclaim='c'\ncolumn='x'\nsource='s'\n", "[[expect]]\nclaims='c'\n", "expect = 3", "not toml ="]
)
def test_a_broken_file_of_expectations_is_an_error(tmp_path, text):
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.toml"):
        read_expectations(file)


def test_mean_and_error_are_those_of_the_replications():
    records = pd.DataFrame({"eps": [0, 0, 1], "x": [1.0, 3.0, 5.0]})
    table = mean_and_error(records, ["eps"])
    assert table["x"].tolist() == [2.0, 5.0]
    assert table["x_se"].iloc[0] == pytest.approx(1.0)
    assert table["replications"].tolist() == [2, 1]


def test_without_the_data_a_study_of_real_data_says_so_and_the_others_run(tmp_path, monkeypatch):
    monkeypatch.setattr(real_data, "data_folder", lambda: None)
    for name in ("real-mtbench", "real-gari-eba"):
        with pytest.raises(FileNotFoundError, match=f"{name}: .*set BAYESPREF_DATA"):
            run_study(name, out=tmp_path, progress=False)
    assert not any(tmp_path.iterdir())
    assert unavailable("real-train-tickets") == unavailable("two-worlds") == ""


def test_the_folder_of_the_data_is_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESPREF_DATA", str(tmp_path))
    assert real_data.data_folder() != tmp_path  # a folder without the data does not count
    (tmp_path / "README.md").write_text("real data")
    assert real_data.data_folder() == tmp_path


def test_limits_of_a_difference_are_those_of_resampled_people():
    """Ten people with one answer each: the resampled share is binomial, and its logit the difference."""
    label = np.repeat([1.0, 0.0], [7, 3])
    rows = pd.DataFrame({"rater_id": range(10), "item_a": "x", "item_b": "y", "label": label})
    found = real_data.intervals(real_data.read(rows), [("x", "y")], group="g", resamples=20_000, seed=0)
    share = stats.binom.pmf(range(11), 10, 0.7)
    finite = share[1:10] / share[1:10].sum()
    quantile = [np.searchsorted(finite.cumsum(), q) + 1 for q in (0.025, 0.975)]
    assert [row["value"] for row in found[1:]] == pytest.approx(special.logit(np.array(quantile) / 10))
    assert found[0]["value"] == pytest.approx(20_000 * (share[0] + share[10]), abs=4 * np.sqrt(20_000 * share[10]))


def test_agreement_counts_pairs_of_answers_whatever_side_an_item_is_on():
    rows = pd.DataFrame(
        {"rater_id": list("abc"), "item_a": ["x", "y", "x"], "item_b": ["y", "x", "y"], "label": [1.0, 0.0, 0.5]}
    )
    table = real_data.read(rows)
    assert real_data.agree(table) == pytest.approx(1 / 3)
    assert real_data.agree(table, judge="c") == 0.0
    assert real_data.agree(table, judge="b") == 0.5


def test_an_unknown_study_is_an_error_that_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="two-worlds"):
        run_study("no-such", out=tmp_path)
