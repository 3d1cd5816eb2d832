"""Figures of fits show every row of their tables, and mark what fails."""

import numpy as np
import pandas as pd
import xarray as xr

from bayespref.report import fits, plots_posterior
from bayespref.report.plots_style import RED, to_svg


def checks_of(lower, upper, verdicts):
    names = ["win rates", "circular triads", "ties"]
    observed = np.array([0.02, 0.0, 0.0])
    columns = {
        "observed": observed,
        "lower": np.array(lower),
        "upper": np.array(upper),
        "tail": np.full(3, 0.5),
        "verdict": np.array(verdicts),
    }
    return xr.Dataset({name: ("check", values) for name, values in columns.items()}, coords={"check": names})


def test_check_rows_keep_what_was_judged_and_plots_mark_what_failed():
    checks = {
        "one": checks_of([0.0, 0.1, 0.0], [0.01, 0.2, 0.0], ["fails", "fails", "passes"]),
        "two": checks_of([0.0, 0.0, 0.0], [0.05, 0.2, 0.0], ["passes", "passes", "passes"]),
    }
    rows = fits.check_rows(checks)
    assert rows[["check", "model"]].to_numpy().tolist() == [
        ["win rates", "one"],
        ["win rates", "two"],
        ["circular triads", "one"],
        ["circular triads", "two"],
    ]
    figure = plots_posterior.predictive_checks(rows, title="A finding")
    assert len(figure.axes) == 2
    bars = [line for axes in figure.axes for line in axes.lines if line.get_linewidth() == 4 and len(line.get_xdata())]
    assert sum(line.get_color() == RED for line in bars) == 2
    assert b"circular triads" in to_svg(figure)


def test_the_chosen_number_of_types_is_marked():
    choice = xr.Dataset(
        {
            "difference": ("n_types", np.array([-50.0, 0.0, -2.0])),
            "difference_se": ("n_types", np.array([5.0, 0.0, 1.0])),
            "probability_best": ("n_types", np.array([0.0, 0.9, 0.1])),
            "chosen": 2,
        },
        coords={"n_types": [1, 2, 3]},
    )
    rows = fits.type_rows(choice)
    assert rows["chosen"].tolist() == [False, True, False]
    text = to_svg(plots_posterior.number_of_types(rows, title="A finding")).decode()
    assert "chosen" in text
    assert "number of types" in text


def test_rewards_along_a_trait_are_the_common_reward_plus_the_loading():
    labels = {"state": ["s", "t"], "item": ["x", "y", "z"]}
    reward, loading = (
        np.array([[[1.0, 0.0, -1.0]], [[0.0, 0.0, 0.0]]]),
        np.array([[[0.5, -0.5, 0.0], [2.0, 0.0, -2.0]]]),
    )
    fit = xr.Dataset(
        {"mode_reward": (("state", "type", "item"), reward), "mode_loading": (("trait", "state", "item"), loading)}
    )
    tree = xr.DataTree.from_dict({"fit": fit, "posterior": xr.Dataset(coords=labels)})
    rows = fits.trait_rows(tree)
    at = rows.set_index(["item", "trait"])["reward"]
    assert at["x", 2.0] == 2.0
    assert at["y", -2.0] == 1.0
    second = fits.trait_rows(tree, state="t").set_index(["item", "trait"])["reward"]
    assert second["z", 1.0] == -2.0
    figure = plots_posterior.along_trait(rows, title="A finding", low="left", high="right")
    assert len(figure.axes[0].texts) == 3
    assert isinstance(rows, pd.DataFrame)
    heights = sorted(text.xy[1] for text in figure.axes[0].texts)
    assert min(np.diff(heights)) > 0.1
