"""What a report adds to a fit: where it will be used, what a budget should buy, and who the types are."""

import re

import numpy as np
import pandas as pd
import pytest

from bayespref.cli.options import verdict_words
from bayespref.comparisons import from_codes
from bayespref.posterior.verdict import Verdict
from bayespref.workflow import analyse, fit, policy, report, reporting
from bayespref.workflow.memberships import types_by_context

SMALL = {"rng_key": 0, "method": "laplace", "chains": 1, "draws": 50, "n_starts": 2, "progress": False}
ITEMS = ("x", "y", "z")
N_PEOPLE, N_ANSWERS = 16, 12


def words(tree, tmp_path, **settings):
    """Text of the page, without tags."""
    page = report([("votes", tree)], tmp_path / "r.html", c_defer=0.3, **settings)
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def single():
    """Two states: in `seen` all pairs were asked, in `half` z was never asked about."""
    a, b = np.array([0, 0, 1, 0]).repeat(20), np.array([1, 2, 2, 1]).repeat(20)
    state = np.array([0, 0, 0, 1]).repeat(20)
    outcome = np.tile([0, 0, 0, 1], 20)
    return analyse(fit("single", from_codes(a, b, outcome, items=ITEMS, state=state, states=("seen", "half")), **SMALL))


@pytest.fixture(scope="module")
def typed():
    """Two contexts whose people want opposite things; person 0 answered in both, and so did nobody else."""
    rng = np.random.default_rng(0)
    annotator = np.arange(N_PEOPLE).repeat(N_ANSWERS)
    context = (annotator >= N_PEOPLE // 2).astype(int)
    pair = rng.integers(3, size=len(annotator))
    a, b = np.array([0, 0, 1])[pair], np.array([1, 2, 2])[pair]
    outcome = np.where(rng.random(len(annotator)) < 0.05, 1 - context, context)
    context[0] = 1
    table = from_codes(
        a,
        b,
        outcome,
        items=ITEMS,
        annotator=annotator,
        annotators=tuple(f"p{i:02}" for i in range(N_PEOPLE)),
        context=context,
        contexts=("app", "web"),
    )
    return analyse(fit("latent_types", table, options={"n_types": 2}, **SMALL))


def test_a_deployment_outside_the_table_is_said_with_its_share_and_one_inside_is_covered(single, tmp_path):
    outside = pd.DataFrame({"state": ["seen", "elsewhere"], "count": [1, 3]})
    said = words(single, tmp_path, deployment={"votes": outside}, budget=0)
    assert re.search(r"Deployment covered\? ✗ no", said)
    assert "0.75" in said[said.index("Deployment covered?") :][:300]
    inside = pd.DataFrame({"state": ["seen", "half"], "probability": [0.5, 0.5]})
    assert re.search(r"Deployment covered\? ✓ yes", words(single, tmp_path, deployment={"votes": inside}, budget=0))
    assert re.search(r"Deployment covered\? \? open", words(single, tmp_path, budget=0))


def test_a_deployment_of_a_section_that_is_not_there_is_an_error(single, tmp_path):
    with pytest.raises(ValueError, match=r"deployment: names no section: \['other'\]; there are \['votes'\]"):
        report([("votes", single)], tmp_path / "r.html", c_defer=0.3, deployment={"other": pd.DataFrame()})
    assert not (tmp_path / "r.html").exists()


def test_a_budget_is_spent_in_the_report_and_none_proposes_nothing(single, tmp_path):
    bought, _ = reporting._proposals(single, 7.0, 0.3)
    assert bought["n"].sum() == bought.attrs["spent"] <= 7
    assert f"The most useful {bought.attrs['spent']:g} labels" in words(single, tmp_path, budget=7.0)
    assert "most useful" not in words(single, tmp_path, budget=0)


def test_a_budget_too_small_to_let_a_region_act_is_said_and_spent_on_what_acting_could_cost(single):
    assert reporting._proposals(single, 7.0, 0.3)[1] == ""
    bought, note = reporting._proposals(single, 2.0, 1e-6)
    assert "None of 2 labels is expected to let a region act at a cost of deferring of 1e-06" in note
    assert bought["n"].sum() == 2


def test_proposals_that_would_take_long_or_cannot_be_made_say_why_and_how_to_get_them(single, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("objective: nothing to gain")

    monkeypatch.setattr(reporting, "next_comparisons", refuse)
    assert reporting._proposals(single, 7.0, 0.3) == (None, f"{reporting._BY_HAND}. Here: objective: nothing to gain.")
    monkeypatch.setattr(reporting, "_MOST_CANDIDATES", 5)
    frame, why = reporting._proposals(single, 7.0, 0.3)
    assert frame is None
    assert "bayespref design FIT --budget N" in why
    assert "6 candidate pairs" in why  # three pairs in each of two states


def test_types_are_said_by_context_from_what_each_person_answered(typed, tmp_path):
    table = types_by_context(typed)
    assert table.groupby("context")["n_annotators"].first().to_dict() == {"app": 8, "web": 9}
    share = table.pivot_table(index="context", columns="type", values="weight")
    np.testing.assert_allclose(share.sum(axis=1), 1)
    app = share.columns[share.loc["app"].argmax()]
    np.testing.assert_allclose(share.loc["app", app], 1, atol=0.02)
    np.testing.assert_allclose(share.loc["web", app], 1 / 9, atol=0.02)  # person 0 alone, of nine
    assert "Mean posterior membership of the annotators who answered in the context" in words(typed, tmp_path)


def test_types_by_context_are_left_out_where_nobody_could_say_them_or_it_takes_long(single, typed, monkeypatch):
    from bayespref.posterior.tree import tree_comparisons

    assert reporting._members(single, tree_comparisons(single)) is None
    comparisons = tree_comparisons(typed)
    assert reporting._members(typed, comparisons) is not None
    assert reporting._members(typed, comparisons.pool("context")) is None
    assert reporting._members(typed, comparisons.pool("annotator")) is None
    monkeypatch.setattr(reporting, "_MOST_ANSWERS", 3)
    assert reporting._members(typed, comparisons) is None
    with pytest.raises(ValueError, match="needs annotators and contexts"):
        types_by_context(single)


def test_a_check_that_a_fit_fails_is_followed_by_its_next_step_on_the_terminal(single, monkeypatch):
    good = Verdict("divergences", True, "divergences: none")
    bad = Verdict("mixed", False, "mixed: no", "not_converged", "run longer")
    monkeypatch.setattr("bayespref.posterior.verdict.convergence", lambda tree: [bad._replace(name="all"), bad, good])
    assert verdict_words(single)[0] == ["mixed: no", "mixed: no\n    next: run longer", "divergences: none"]


def test_the_date_of_a_report_can_be_repeated(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert reporting.today() == "1970-01-02"


def test_a_policy_says_that_items_not_compared_in_a_region_are_not_on_offer_there(single, typed):
    assert policy(single, c_defer=0.3).assumptions[-1].endswith("items compared there: 1 of 2 regions lack some")
    assert not any("on offer" in line for line in policy(typed, c_defer=0.3).assumptions)
