"""The audit of a fit: drawn types against counts and expected counts, and the verdicts it puts into the tree."""

import numpy as np
import pytest
import xarray as xr

from bayespref.comparisons import from_codes
from bayespref.disagree.identify import identification_words
from bayespref.graph.build import win_counts
from bayespref.workflow import analyse, audit, fit
from bayespref.workflow.auditing import _one_label_each, drawn_wins
from bayespref.workflow.refitting import _best_draw, _type_order

pytestmark = pytest.mark.slow  # one fit of two types


def world(annotators=16, labels=8):
    """Two tastes that are opposite on x, y, z; u was compared with v only, w with nobody in the second state."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(annotators), labels)
    state = rng.integers(0, 2, len(who))
    a, b = np.array([(0, 1), (0, 2), (1, 2), (3, 4)])[rng.integers(0, 4, len(who))].T
    first = np.where(who % 2 == 0, 0.9, 0.1)
    outcome = np.where(rng.random(len(who)) < 0.1, 2, (rng.random(len(who)) > first).astype(int))
    return from_codes(
        a, b, outcome, items=tuple("xyzuv"), state=state, states=("s", "t"),
        annotator=who, annotators=tuple(f"p{k}" for k in range(annotators)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return world()


@pytest.fixture(scope="module")
def audited(table):
    tree = fit("latent_types", table, rng_key=0, chains=1, warmup=60, draws=60, n_starts=3, progress=False)
    return audit(analyse(tree), draws=60)


def dense(drawn, n_types, n_states=2, n_items=5):
    out = np.zeros((len(drawn.wins_a), n_states, n_types, n_items, n_items))
    for k, (s, a, b) in enumerate(zip(drawn.state, drawn.item_a, drawn.item_b, strict=True)):
        out[:, s, :, a, b] += drawn.wins_a[:, :, k]
        out[:, s, :, b, a] += drawn.wins_b[:, :, k]
    return out


def test_drawn_types_share_out_the_table_and_average_to_the_expected_counts(table, audited):
    got = dense(drawn_wins(audited, draws=60, seed=1), 2)
    assert np.allclose(got.sum(axis=2), win_counts(table)[None])
    expected = np.zeros((2, 2, 5, 5))
    fitted = audited["fit"]
    questions = zip(
        fitted["question_state"].values, fitted["question_a"].values, fitted["question_b"].values, strict=True
    )
    for k, (s, a, b) in enumerate(questions):
        for column, code in enumerate(fitted["outcome_code"].values):
            amount = fitted["expected_count"].values[:, k, column]
            expected[s, :, a, b] += amount * {0: 1.0, 1: 0.0, 2: 0.5}[code]
            expected[s, :, b, a] += amount * {0: 0.0, 1: 1.0, 2: 0.5}[code]
    error = got.std(axis=0) / np.sqrt(60)
    assert np.all(np.abs(got.mean(axis=0) - expected) <= 5 * error + 0.15)  # expected counts come from other draws


def test_the_group_says_for_every_contrast_what_identifies_it(audited):
    group = audited["audit"].to_dataset()
    assert group["identified_by"].dims == ("state", "type", "item", "item_other")
    for kind in group["type"].values:
        cell = group.sel(state="s", type=kind)
        assert str(cell["identified_by"].sel(item="x", item_other="y").values) in ("data", "prior")
        across = cell["identified_by"].sel(item="x", item_other="u")
        assert str(across.values) in ("structure", "prior")
    joined = group["identified_by"].where(group["identified_reason"] == "").values
    assert set(np.unique(joined[joined == joined].astype(str))) <= {"data", "", "nan"}
    total = sum(int(group[f"n_{name}"].sum()) for name in ("data", "structure", "prior"))
    assert total == 2 * 2 * 10
    assert identification_words(group).startswith("identified: no, of 40 contrasts")
    assert (group["type_rank"].sel(item="x", item_other="y") == "yes").all()
    assert "the type model" in group.attrs["assumptions"]
    assert "type_rank uses labels alone" in group.attrs["assumptions"]


def test_probability_of_connection_is_between_nothing_and_what_the_pooled_graph_allows(audited):
    group = audited["audit"].to_dataset()
    assert (group["connected"] == 0).all()  # u and v are apart for everybody
    assert ((group["pair_connected"] >= 0) & (group["pair_connected"] <= 1)).all()
    assert (group["pair_connected"].sel(item="x", item_other="u") == 0).all()
    assert float(group["mass"].sum()) == pytest.approx(1)


def test_a_tree_that_was_not_analysed_or_has_another_model_is_refused(audited):
    bare = audited.drop_nodes("disagree")
    with pytest.raises(ValueError, match="has no group 'disagree'; call analyse first"):
        audit(bare)
    bare.attrs["bayespref"] = bare.attrs["bayespref"].replace('"latent_types"', '"mine"')
    with pytest.raises(ValueError, match="'mine' is none of"):
        drawn_wins(bare)


def test_two_answers_of_half_a_weight_are_two_answers():
    zero = np.zeros(2, dtype=int)
    asked = {"items": ("x", "y"), "annotators": ("u", "v")}
    half = from_codes(zero, zero + 1, zero, annotator=zero, weight=zero + 0.5, **asked)
    assert not _one_label_each(half)
    assert _one_label_each(from_codes(zero, zero + 1, zero, annotator=np.arange(2), weight=zero + 0.5, **asked))


@pytest.mark.parametrize("n_types", [2, 8])
def test_types_of_refits_are_found_again_however_many_there_are(n_types):
    rng = np.random.default_rng(n_types)
    wanted, order = rng.normal(size=(2, n_types, 3)), rng.permutation(n_types)
    found = wanted[:, order]
    np.testing.assert_array_equal(found[:, _type_order(found, wanted)], wanted)


def test_refits_start_at_the_draw_that_predicts_answers_as_often_as_they_occurred():
    terms = np.log([[[0.5, 0.5], [0.9, 0.1]]])
    tree = xr.DataTree.from_dict(
        {
            "unconstrained_posterior": xr.Dataset({"flat": (("chain", "draw", "coordinate"), [[[0.0], [2.2]]])}),
            "log_likelihood": xr.Dataset({"label": (("chain", "draw", "annotator"), terms)}),
        }
    )
    assert float(_best_draw(tree, np.array([9.0, 1.0]))[0]) == pytest.approx(2.2)
    assert float(_best_draw(tree, np.array([1.0, 1.0]))[0]) == 0.0
