"""Jackknife errors beside closed forms and repeated experiments."""

import numpy as np
import pandas as pd
import pytest

from bayespref.studies.resampling import jackknife


def ratio(part):
    return {"ratio": part["y"].mean() / part["x"].mean()}


def test_error_of_a_mean_of_groups_is_the_textbook_one():
    rows = pd.DataFrame({"world": np.repeat(np.arange(5), 3), "x": np.arange(15.0) ** 1.5})
    found = jackknife(rows, "world", lambda part: {"mean": part["x"].mean()})
    means = rows.groupby("world")["x"].mean()
    assert found["mean"] == pytest.approx(rows["x"].mean())
    assert found["mean_se"] == pytest.approx(means.std(ddof=1) / np.sqrt(5))


def test_error_of_a_ratio_is_that_of_the_repeated_experiment():
    """400 experiments of 40 worlds; the mean estimate of the error is within 10 % of the spread of the ratios."""
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(400):
        x = rng.gamma(4.0, size=40)
        rows = pd.DataFrame({"world": np.arange(40), "x": x, "y": 2 * x + rng.gamma(2.0, size=40)})
        found = jackknife(rows, "world", ratio)
        values.append(found["ratio"])
        errors.append(found["ratio_se"])
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_an_error_is_undefined_where_a_group_decides_whether_the_value_is_finite():
    rows = pd.DataFrame({"world": [0, 1], "x": [0.0, 1.0], "y": [1.0, 1.0]})
    with np.errstate(divide="ignore"):
        found = jackknife(rows, "world", ratio)
    assert found["ratio"] == 2.0
    assert np.isnan(found["ratio_se"])


def test_one_group_is_refused():
    with pytest.raises(ValueError, match="at least two values of 'world'"):
        jackknife(pd.DataFrame({"world": [0, 0], "x": [1.0, 2.0], "y": [1.0, 1.0]}), "world", ratio)
