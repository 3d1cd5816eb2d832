"""The seven real data sets read whole, with the counts their documentation states; one of them is bundled."""

import csv
from importlib import resources

import numpy as np
import pyarrow.csv as arrow_csv
import pytest

from bayespref.data.bundle import EUROS_PER_GUILDER, FEATURES, load_train_tickets
from bayespref.data.table import read_comparisons

# folder: rows, annotators, items, states, ties
SETS = {
    "mtbench_human": (3_355, 65, 6, 8, 780),
    "llmfao_crowd": (8_931, 124, 59, 13, None),
    "sound_quality": (21_924, 40, 8, 4, 0),
    "gari_eba": (17_982, 1_000, 13, 8, 0),
    "gles2013_parties": (18_992, 1_929, 5, 1, 3_306),
    "ukpconvarg_crowd": (84_445, 3_815, 1_052, 32, 19_105),
}


def the_file(folder):
    return next(path for path in (folder / "comparisons.csv", folder / "comparisons.parquet") if path.is_file())


@pytest.mark.parametrize(("name", "expected"), SETS.items(), ids=SETS)
def test_counts_are_those_documented(data_folder, name, expected):
    read = read_comparisons(the_file(data_folder / name), adapter="labels", columns={"annotator": "rater_id"})
    rows, annotators, items, states, ties = expected
    assert (read.n_rows, read.n_annotators, read.n_items, read.n_states) == (rows, annotators, items, states)
    assert "dropped" not in read.provenance
    assert read.weight.sum() == rows
    if ties is not None:
        assert (read.outcome == 2).sum() == ties


@pytest.mark.parametrize(("name", "judges", "rows"), [("gpt3", 1, 2_139), ("gpt4", 1, 2_139)])
def test_verdicts_of_language_models_read(data_folder, name, judges, rows):
    path = data_folder / "llmfao_crowd" / f"{name}_comparisons.csv"
    read = read_comparisons(path, adapter="labels", columns={"annotator": "rater_id", "context": "prompt_type"})
    assert (read.n_rows, read.n_annotators, read.contexts) == (
        rows,
        judges,
        ("creativity", "instruct", "knowledge", "reflexion"),
    )


def test_codes_decode_to_the_file_row_by_row(data_folder):
    path = data_folder / "gles2013_parties" / "comparisons.csv"
    read = read_comparisons(path, adapter="labels", columns={"annotator": "rater_id", "context": "region"})
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    outcome = {"1.0": "a", "0.0": "b", "0.5": "tie"}
    labels = ("a", "b", "tie", "both_bad")
    for row in range(0, len(rows), 7):
        line = rows[row]
        assert read.items[read.item_a[row]] == line["item_a"]
        assert read.items[read.item_b[row]] == line["item_b"]
        assert read.annotators[read.annotator[row]] == line["rater_id"]
        assert read.contexts[read.context[row]] == line["region"]
        assert labels[read.outcome[row]] == outcome[line["label"]]
        assert read.strength[row] == float(line["strength"])


def test_train_tickets_reads_as_bundles(data_folder):
    path = data_folder / "train_tickets" / "comparisons.csv"
    read = read_comparisons(path, adapter="labels", features=FEATURES)
    assert (read.n_rows, read.n_annotators, read.n_items, read.states) == (2_929, 235, 1_785, ("all",))
    bundled = load_train_tickets()
    for side in ("item_a", "item_b"):
        raw = read.features[getattr(read, side)]
        scaled = raw * np.array([EUROS_PER_GUILDER / 100, 1 / 60, 1, 1])
        np.testing.assert_allclose(bundled.features[getattr(bundled, side)], scaled, rtol=1e-14)
    np.testing.assert_array_equal(bundled.outcome, read.outcome)
    assert bundled.annotators == read.annotators
    np.testing.assert_array_equal(bundled.annotator, read.annotator)


def test_bundled_file_equals_the_original(data_folder):
    original = arrow_csv.read_csv(data_folder / "train_tickets" / "comparisons.csv")
    bundled = resources.files("bayespref.data") / "bundled" / "train_tickets.csv.gz"
    with resources.as_file(bundled) as path:
        assert arrow_csv.read_csv(path).equals(original)


def test_bundled_folder_holds_that_file_and_its_source_only():
    folder = resources.files("bayespref.data") / "bundled"
    assert sorted(entry.name for entry in folder.iterdir()) == ["README.md", "train_tickets.csv.gz"]
    assert "Ben-Akiva, Bolduc and Bradley (1993)" in (folder / "README.md").read_text(encoding="utf-8")


def test_train_tickets_reproduce_the_published_log_likelihood():
    # mlogit vignette: -0.067, -1.721, -0.326, -0.946; log-likelihood -1724.2.
    tickets = load_train_tickets()
    beta = np.array([-0.0673580, -1.7205514, -0.3263409, -0.9457256])
    utility = tickets.features @ beta
    difference = utility[tickets.item_a] - utility[tickets.item_b]
    log_p = -np.logaddexp(0.0, np.where(tickets.outcome == 0, -difference, difference))
    assert log_p.sum() == pytest.approx(-1724.15, abs=0.005)
    x = tickets.features[tickets.item_a] - tickets.features[tickets.item_b]
    score = x.T @ ((tickets.outcome == 0) - 1 / (1 + np.exp(-difference)))
    np.testing.assert_allclose(score, 0.0, atol=0.02)
