"""Monte-Carlo errors of statistics that are no means: ratios, slopes, rank correlations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd


def jackknife(
    records: pd.DataFrame, group: str, statistic: Callable[[pd.DataFrame], Mapping[str, float]]
) -> dict[str, float]:
    """Statistics of records with their standard errors, from leaving out one group at a time.

    Parameters
    ----------
    records : DataFrame
        One row a measurement.
    group : str
        Column of what was drawn independently (worlds): rows of a group stand or fall together.
    statistic : callable
        From records to named numbers.

    Returns
    -------
    dict of str to float
        Every ``x`` of the statistic, and ``x_se``; the error is NaN where a value, or one with a group left out, is
        not finite.

    Raises
    ------
    ValueError
        If there are fewer than two groups.

    Notes
    -----
    The delete-one jackknife: ``(G - 1) / G`` times the sum of squares about the mean, an upper estimate of the variance
    on average (Efron and Stein 1981, *Annals of Statistics* 9).

    Examples
    --------
    >>> rows = pd.DataFrame({"world": [0, 1, 2], "x": [1.0, 2.0, 6.0]})
    >>> found = jackknife(rows, "world", lambda part: {"mean": part["x"].mean()})
    >>> found["mean"], round(found["mean_se"], 6) == round(float(rows["x"].sem()), 6)
    (3.0, True)
    """
    names = records[group].unique()
    if len(names) < 2:
        raise ValueError(f"group: needs at least two values of {group!r}, got {len(names)}")
    whole = {name: float(value) for name, value in statistic(records).items()}
    without = [statistic(records[records[group] != name]) for name in names]
    found = dict(whole)
    for name, value in whole.items():
        left = np.array([float(part[name]) for part in without])
        sound = np.isfinite(value) and np.isfinite(left).all()
        spread = (len(left) - 1) / len(left) * np.square(left - left.mean()).sum() if sound else np.nan
        found[f"{name}_se"] = float(np.sqrt(spread))
    return found
