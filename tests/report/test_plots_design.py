"""Figures of designs draw what the numbers say."""

import numpy as np
import pandas as pd
import pytest

from bayespref.design.mixture import optimal_mixture
from bayespref.report.plots_design import (
    cost_frontier,
    coverage_change,
    design_weights,
    information_ellipses,
    quadrant_plot,
)
from bayespref.report.plots_style import to_svg

CORR = np.array([[1.0, 0.9], [0.9, 1.0]])


def texts(figure):
    return to_svg(figure).decode()


def test_ellipses_reach_the_worst_standard_error_and_name_what_is_unbounded():
    figure = information_ellipses(
        {"passive": CORR, "copies": np.ones((2, 2))}, ("help", "long"), title="One direction is left out"
    )
    x, y = figure.axes[0].lines[0].get_data()
    assert np.hypot(x, y).max() == pytest.approx(0.1**-0.5, rel=1e-3)
    assert np.hypot(x, y).min() == pytest.approx(1.9**-0.5, rel=1e-3)
    assert "passive: worst s.e. 3.16" in texts(figure)
    assert "copies: unbounded" in texts(figure)


def test_the_frontier_shows_value_and_certified_bound():
    table = pd.DataFrame(
        {
            "design": ["E", "E", "passive"],
            "cost": [2, 1, 1],
            "lambda_min": [0.6, 0.4, 0.1],
            "upper_bound": [0.7, 0.5, np.nan],
        }
    )
    lines = cost_frontier(table, title="What money buys").axes[0].lines
    assert lines[0].get_ydata().tolist() == [0.4, 0.6]
    assert lines[1].get_ydata().tolist() == [0.5, 0.7]
    assert len(lines) == 3


def test_quadrants_carry_their_shares():
    dz = np.array([[1.0, 1.0]] * 7 + [[-1.0, -2.0]] * 2 + [[1.0, 0.0]])
    text = texts(quadrant_plot(dz, ("help", "long"), title="They come together"))
    assert "move together: 90.0%" in text
    assert "70.0%" in text
    assert "20.0%" in text
    assert "one is equal: 10.0%" in text
    assert "move against" not in text
    assert "nan%" in texts(quadrant_plot(np.zeros((0, 2)), ("help", "long"), title="Nothing"))


def test_weights_stand_beside_their_certificate():
    arms = np.array([np.diag([1.0, 0.0]), np.diag([0.0, 4.0]), np.diag([0.3, 0.3])])
    got = optimal_mixture(arms)
    load = np.einsum("ij,aij->a", got.dual, arms)
    figure = design_weights(
        ["left", "right", "both"], got.weights, load, got.upper_bound, title="Nothing is worth more"
    )
    text = texts(figure)
    assert "80%" in text
    assert f"limit {got.upper_bound:.4g}" in text
    assert "left out" in text


def test_empty_cells_are_hatched_before_and_filled_after():
    before = pd.DataFrame([[10, 0], [5, 8]], index=["s", "t"], columns=["x", "y"])
    figure = coverage_change(before, before + 3, title="Three more everywhere", segment="context")
    hatched = [[patch for patch in axes.patches if patch.get_hatch()] for axes in figure.axes[:2]]
    assert [len(patches) for patches in hatched] == [1, 0]
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["before\n23", "after\n35"]
