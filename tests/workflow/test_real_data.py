"""The main job on real tables recovers what their documentation says; plain scores are claims of the studies."""

import numpy as np
import pytest

import bayespref
from bayespref import workflow
from bayespref.posterior.verdict import convergence

ORDER = ["gpt-4", "claude-v1", "gpt-3.5-turbo", "vicuna-13b-v1.2", "alpaca-13b", "llama-13b"]


@pytest.fixture(scope="module")
def mtbench(data_folder):
    return bayespref.read_comparisons(
        data_folder / "mtbench_human" / "comparisons.csv", adapter="labels", columns={"annotator": "rater_id"}
    )


@pytest.fixture(scope="module")
def by_category(mtbench):
    return workflow.fit("single", mtbench, rng_key=0, progress=False)


def test_mtbench_keeps_its_order_under_davidson_ties_and_leaves_two_models_unseparated(mtbench):
    tree = workflow.run(mtbench.pool("state"), rng_key=0, progress=False)
    assert convergence(tree)[0].ok, convergence(tree)[0].words
    mean = tree["posterior"]["reward"].mean(("chain", "draw")).squeeze()
    assert [str(item) for item in mean["item"].values[np.argsort(-mean.values)]] == ORDER
    assert float(tree["posterior"]["log_tie"].mean()) != 0.0
    pair = {"state": "all", "type": "type 1", "item": "claude-v1", "item_other": "gpt-3.5-turbo"}
    assert float(tree["disagree"]["sign_disagreement"].sel(pair)) > 0.05
    clear = pair | {"item": "gpt-4", "item_other": "claude-v1"}
    assert float(tree["disagree"]["sign_disagreement"].sel(clear)) < 0.005


def test_mtbench_defers_where_the_leaders_are_not_separated_and_acts_where_they_are(by_category):
    def break_even(category, pair):
        tree = workflow.analyse(by_category, items=pair)
        return float(tree["defer"]["c_set_pure"][tree["defer"]["state"].values.tolist().index(category)])

    unsure = [
        break_even("coding", ["gpt-3.5-turbo", "gpt-4"]),
        break_even("writing", ["claude-v1", "gpt-4"]),
    ]
    sure = [break_even(category, ["gpt-4", "claude-v1"]) for category in ("humanities", "stem")]
    assert min(unsure) > 2 * max(sure)
    cost = float(np.sqrt(min(unsure) * max(sure)))
    for pair, category, decision in (
        (["gpt-3.5-turbo", "gpt-4"], "coding", "defer"),
        (["claude-v1", "gpt-4"], "writing", "defer"),
        (["gpt-4", "claude-v1"], "humanities", "act"),
        (["gpt-4", "claude-v1"], "stem", "act"),
    ):
        tree = workflow.analyse(by_category, items=pair)
        table = workflow.policy(tree, c_defer=cost).to_table().set_index("state")
        assert table.loc[category, "decision"] == decision, (pair, category, table.loc[category])
        if decision == "act":
            assert table.loc[category, "action"] == "gpt-4"


def test_train_tickets_across_components_are_identified_by_structure_only():
    tickets = bayespref.load_train_tickets()
    result = bayespref.check(tickets)
    assert "111 components" in str(result)
    apart = _across_components(tickets)
    tree = workflow.run(tickets, model="linear_types", options={"n_types": 2}, items=apart, rng_key=0, progress=False)
    assert convergence(tree)[0].ok, convergence(tree)[0].words
    status = tree["disagree"]["status"].values
    estimate = tree["disagree"]["estimate"].values
    off = ~np.eye(len(apart), dtype=bool)
    assert set(status[..., off].ravel()) == {"structure"}
    assert np.isnan(estimate[..., off]).all()
    assert (tree["bounds"]["difference_lower"].values[..., off] < 0).all()
    weight = tree["posterior"]["type_weight"].mean(("chain", "draw")).values
    assert weight == pytest.approx([0.56, 0.44], abs=0.05)
    coefficient = tree["posterior"]["coefficient"]
    hour = (coefficient.sel(feature="time") / coefficient.sel(feature="price")).median(("chain", "draw")).values
    assert sorted(hour) == pytest.approx([17, 53], abs=4)


def _across_components(tickets):
    """The most compared ticket of each of the four largest components."""
    graph = bayespref.check(tickets).connectivity
    component = graph["component"].values[0]
    often = graph["n_item_comparisons"].values[0]
    largest = np.argsort(-np.bincount(component), kind="stable")[:4]
    picks = [np.flatnonzero(component == label)[often[component == label].argmax()] for label in largest]
    return [tickets.items[i] for i in picks]
