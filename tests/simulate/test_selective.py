"""Calibration units have the risk they are said to have, in their own population and after reweighting."""

import numpy as np
import pytest

from bayespref.simulate.selective import accepted_risk, calibration_units


@pytest.mark.parametrize("threshold", [0.1, 0.5, 1.0])
def test_risk_at_a_threshold_is_the_share_of_errors_among_many_units(threshold):
    score, loss, weight = calibration_units(400_000, seed=0)
    taken = score <= threshold
    assert accepted_risk(threshold) == pytest.approx(loss[taken].mean(), abs=5 * 0.5 / np.sqrt(taken.sum()))
    moved = (weight * loss)[taken].sum() / weight[taken].sum()
    assert accepted_risk(threshold, shifted=True) == pytest.approx(moved, abs=5 / np.sqrt(taken.sum()))
    assert weight.mean() == pytest.approx(1.0, abs=0.01)
    assert weight.max() <= 2.0


def test_same_seed_same_units_and_thresholds_off_the_scale_are_refused():
    first, second = calibration_units(9, seed=4), calibration_units(9, seed=4)
    assert all(np.array_equal(x, y) for x, y in zip(first, second, strict=True))
    with pytest.raises(ValueError, match="threshold"):
        accepted_risk(1.2)
    with pytest.raises(ValueError, match="n"):
        calibration_units(0, seed=0)
