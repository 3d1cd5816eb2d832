"""Figures of deferral: what is drawn is what the tables say."""

import numpy as np
import pandas as pd
import pytest

from bayespref.defer.metrics import risk_coverage as coverage_curve
from bayespref.defer.metrics import sign_reliability as reliability
from bayespref.defer.policy import from_scores
from bayespref.defer.stream import cost_frontier as frontier
from bayespref.report import plots_defer
from bayespref.report.plots_style import to_svg


def curve(rule, confidence, loss):
    found = coverage_curve(confidence, loss)
    return pd.DataFrame({"rule": rule, "coverage": found.coverage, "risk": found.risk})


def words(figure):
    """Every text of a figure, legends included."""
    return {text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))}


def test_risk_coverage_draws_each_step_and_ends_at_full_coverage():
    loss = np.array([0.0, 1.0, 0.0, 0.0])
    table = pd.concat([curve("a", np.array([4, 3, 2, 1.0]), loss), curve("b", np.array([1, 1, 2, 2.0]), loss)])
    figure = plots_defer.risk_coverage(table.iloc[::-1].sort_values("rule", kind="stable"), title="a beats b")
    lines = figure.axes[0].get_lines()
    np.testing.assert_allclose(lines[0].get_xdata(), [0.25, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(lines[0].get_ydata(), [0.0, 0.0, 0.5, 1 / 3, 0.25])
    np.testing.assert_allclose(lines[3].get_xydata(), [[1.0, 0.25]])
    assert {"a", "b", "a beats b"} <= words(figure)


def test_the_frontier_marks_each_rule_where_it_stands():
    steps = frontier(np.array([0.1, 0.4, 0.9]), np.array([0.0, 0.1, 2.0]), c_defer=0.3)
    table = pd.DataFrame({"rule": "set_pure", "deferral_rate": steps.deferral_rate, "cost": steps.cost})
    chosen = pd.DataFrame({"rule": ["set_pure", "act_always"], "deferral_rate": [1 / 3, 0.0], "cost": [0.4 / 3, 0.7]})
    figure = plots_defer.cost_frontier(table, title="t", chosen=chosen)
    drawn = [line.get_xydata() for line in figure.axes[0].get_lines()]
    np.testing.assert_allclose(drawn[0], [[0, 0.7], [1 / 3, 0.4 / 3], [2 / 3, 0.2], [1, 0.3]])
    np.testing.assert_allclose(drawn[1], [[1 / 3, 0.4 / 3]])
    np.testing.assert_allclose(drawn[2], [[0.0, 0.7]])
    assert {"set_pure", "act_always"} <= words(figure)


@pytest.mark.parametrize("columns", [("state",), ("state", "context")])
def test_the_map_says_the_item_where_it_acts_and_the_reason_where_not(columns):
    labels = [("s0", "u"), ("s1", "u"), ("s2", "u")]
    policy = from_scores(
        [0.0, 1.0, 0.9],
        [1, 0, 0],
        labels=[label[: len(columns)] for label in labels],
        region=columns,
        items=["x", "$y$"],
        c_defer=0.2,
        flag=["", "no_data", ""],
        data_hash="h",
        assumptions=[],
    )
    figure = plots_defer.decision_map(policy.to_table(), columns, title="t")
    assert {"$y$", "no data", "score above threshold", "act", "defer", "s0", "s2"} <= words(figure)
    assert "escalate" not in words(figure)
    assert len(to_svg(figure)) > 1000


def test_reliability_draws_used_bins_only_and_whiskers_stay_between_0_and_1():
    found = reliability(np.array([0.05, 0.95, 0.95, 0.5]), np.array([False, True, True, True]))
    table = pd.DataFrame(
        {name: getattr(found, name) for name in ("lower", "upper", "n_cases", "predicted", "observed")}
    )
    figure = plots_defer.sign_reliability(table, title="t")
    observed = next(line for line in figure.axes[0].get_lines() if line.get_label() == "observed")
    np.testing.assert_allclose(observed.get_xydata(), [[0.05, 0.0], [0.5, 1.0], [0.95, 1.0]])
    for segments in (c.get_segments() for c in figure.axes[0].collections if hasattr(c, "get_segments")):
        assert all((s >= -1e-12).all() and (s <= 1 + 1e-12).all() for s in segments)


def test_tables_that_cannot_be_drawn_are_refused_by_name():
    empty = pd.DataFrame({"rule": [], "coverage": [], "risk": []})
    with pytest.raises(ValueError, match="no rows"):
        plots_defer.risk_coverage(empty, title="t")
    with pytest.raises(ValueError, match="deferral_rate"):
        plots_defer.cost_frontier(empty, title="t")
    with pytest.raises(ValueError, match="region"):
        plots_defer.decision_map(empty, ("a", "b", "c"), title="t")
    none = pd.DataFrame({"lower": [0.0], "upper": [1.0], "n_cases": [0], "predicted": [np.nan], "observed": [np.nan]})
    with pytest.raises(ValueError, match="no bin"):
        plots_defer.sign_reliability(none, title="t")
