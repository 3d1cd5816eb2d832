"""Gates and drift: verdicts, stated error rates by simulation, invariances, broken input."""

import numpy as np
import pytest
from scipy.linalg import eigh

from bayespref.design.drift import second_moment_drift
from bayespref.design.gate import gate
from bayespref.information import fisher, gaussian_fisher

W = np.array([1.0, 0.5])


def corr(rho):
    return np.array([[1.0, rho], [rho, 1.0]])


def sample(rho, n, rng):
    return rng.multivariate_normal(np.zeros(2), corr(rho), size=n)


def test_a_rich_bucket_passes_a_poor_one_fails_and_doubt_blocks():
    rng = np.random.default_rng(0)
    truth = [np.linalg.eigvalsh(gaussian_fisher(corr(r), W))[0] for r in (0.0, 0.9)]
    dz = np.concatenate([sample(0.0, 800, rng), sample(0.9, 800, rng), sample(0.0, 800, rng)])
    bucket = np.repeat([0, 1, 2], 800)
    thresholds = np.array([0.08, 0.08, truth[0], 0.01])
    got = gate(dz, W, bucket, thresholds, rng=rng)
    assert got.verdict.tolist() == ["pass", "fail", "undecided", "undecided"]
    assert got.blocked.tolist() == [False, True, True, True]
    assert got.reason.tolist() == ["", "", "thin", "no_overlap"]
    assert got.counts.tolist() == [800, 800, 800, 0]
    np.testing.assert_allclose(got.lambda_min[1], np.linalg.eigvalsh(fisher(dz[800:1600], W))[0], atol=1e-14)
    assert (got.lower[:3] <= got.lambda_min[:3]).all()
    assert (got.lambda_min[:3] <= got.upper[:3]).all()
    total = gate(dz, W, bucket, thresholds * 800, rng=rng, total=True)
    np.testing.assert_allclose(total.lambda_min[:3], 800 * got.lambda_min[:3], rtol=1e-12)
    assert total.verdict.tolist()[:2] == ["pass", "fail"]


def test_repeating_each_row_within_a_cluster_adds_no_confidence():
    rng = np.random.default_rng(1)
    dz = sample(0.3, 150, rng)
    plain = gate(dz, W, np.zeros(150, int), 0.05, rng=np.random.default_rng(2))
    many = np.repeat(dz, 20, axis=0)
    whole = gate(
        many, W, np.zeros(3000, int), 0.05, rng=np.random.default_rng(2), cluster=np.repeat(np.arange(150), 20)
    )
    np.testing.assert_allclose([whole.lower, whole.upper], [plain.lower, plain.upper], rtol=1e-9)
    naive = gate(many, W, np.zeros(3000, int), 0.05, rng=np.random.default_rng(2))
    assert naive.upper - naive.lower < 0.5 * (plain.upper - plain.lower)


def test_uncertain_coefficients_widen_the_limits():
    rng = np.random.default_rng(3)
    dz = sample(0.3, 2000, rng)
    draws = W + 0.5 * rng.normal(size=(40, 2))
    one = gate(dz, W, np.zeros(2000, int), 0.05, rng=rng)
    many = gate(dz, draws, np.zeros(2000, int), 0.05, rng=rng)
    assert many.upper - many.lower > 1.5 * (one.upper - one.lower)


@pytest.mark.slow
def test_a_gate_at_the_truth_passes_or_fails_at_most_at_its_error_rate(promise):
    # 400 worlds; at level .95 each wrong verdict has chance <= .05 nominally. Bootstrap limits are approximate, so the
    # test asks that the count be not implausible (p < .001) under .05.
    rng = np.random.default_rng(4)
    truth = np.linalg.eigvalsh(gaussian_fisher(corr(0.5), W))[0]
    verdicts = [
        gate(sample(0.5, 300, rng), W, np.zeros(300, int), truth, rng=rng, n_boot=300).verdict[0] for _ in range(400)
    ]
    for wrong in ("pass", "fail"):
        promise.share(f"gate at the truth: {wrong}", verdicts.count(wrong), 400, 0.05, "at most")
    assert verdicts.count("undecided") < 400  # a gate that never decides would pass the two lines above


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bucket": np.array([0, 2])}, "bucket: codes must be below the 2 thresholds"),
        ({"bucket": np.array([0, -1])}, "bucket: must be 2 integers >= 0"),
        ({"w": np.ones(3)}, r"w: must have shape \(d,\) or \(draw, d\)"),
        ({"threshold": [-1.0, 1.0]}, "threshold: must be >= 0"),
        ({"level": 0.2}, r"level: must lie in \[0.5, 1\]"),
        ({"n_boot": 0}, "n_boot: must be >= 1"),
        ({"dz": np.full((2, 2), np.nan)}, "dz: must be finite"),
        ({"cluster": np.array([0.0, 1.0])}, "cluster: must be 2 integers"),
    ],
)
def test_bad_gates_are_refused(arguments, message):
    good = {"dz": np.eye(2), "w": W, "bucket": np.array([0, 1]), "threshold": [0.1, 0.1]}
    with pytest.raises(ValueError, match=message):
        gate(**{**good, **arguments}, rng=np.random.default_rng(0))


def test_drift_names_the_direction_that_dried_up_and_the_one_that_grew():
    rng = np.random.default_rng(5)
    ref, new = sample(0.0, 2000, rng), sample(0.9, 2000, rng)
    got = second_moment_drift(new, ref, W, rng=rng)
    want = eigh(new.T @ new / 2000, ref.T @ ref / 2000, eigvals_only=True)
    np.testing.assert_allclose([got.factor_min, got.factor_max], want)
    np.testing.assert_allclose([got.factor_min, got.factor_max], [0.1, 1.9], rtol=0.15)
    assert abs(got.direction_min @ np.array([1, -1]) / np.sqrt(2)) > 0.99
    assert abs(got.direction_max @ np.array([1, 1]) / np.sqrt(2)) > 0.99
    assert got.alert_min
    assert got.alert_max
    assert got.band_min[0] <= got.factor_min <= got.band_min[1]
    assert got.band_max[0] <= got.factor_max <= got.band_max[1]
    assert got.margin_p_value < 0.01
    np.testing.assert_allclose(got.saturated_new, (np.abs(new @ W) > 3).mean())


def test_units_of_features_and_order_within_pairs_change_no_factor():
    rng = np.random.default_rng(6)
    ref, new = sample(0.2, 300, rng), sample(-0.2, 200, rng)
    mix = rng.normal(size=(2, 2))
    one = second_moment_drift(new, ref, W, rng=np.random.default_rng(1), n_boot=20)
    flipped = np.where(rng.random((200, 1)) < 0.5, new, -new)
    two = second_moment_drift(
        flipped @ mix, ref @ mix, np.linalg.solve(mix, W), rng=np.random.default_rng(1), n_boot=20
    )
    for name in ("factor_min", "factor_max", "band_min", "band_max", "null_min", "null_max", "margin_statistic"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-8)


@pytest.mark.slow
def test_no_change_raises_each_alert_at_its_stated_rate(promise):
    rng = np.random.default_rng(7)
    alerts = np.array(
        [
            second_moment_drift(sample(0.5, 200, rng), sample(0.5, 300, rng), rng=rng, n_boot=150)[8:10]
            for _ in range(300)
        ]
    )
    for name, count in zip(("dried up", "grew"), alerts.sum(axis=0), strict=True):
        promise.share(f"drift of coverage, no change: a direction {name}", count, 300, 0.05)


def test_a_direction_the_reference_lacks_is_undefined():
    rng = np.random.default_rng(8)
    got = second_moment_drift(rng.normal(size=(20, 2)), rng.normal(size=(20, 2)) * [1, 0], rng=rng)
    assert got.reason == "no_overlap"
    assert np.isnan(got.factor_max)
    assert not got.alert_max


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"new": np.zeros((0, 2))}, "new: must have shape"),
        ({"new": np.ones((3, 1))}, "new: must have the 2 features of ref"),
        ({"ref": np.array([[np.inf, 1.0]])}, "ref: must be finite"),
        ({"w": np.ones(3)}, r"w: must have shape \(2,\)"),
        ({"level": 2.0}, "level: must lie in"),
        ({"cluster_new": np.array([1])}, "cluster_new: must be 2 integers"),
    ],
)
def test_bad_drift_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        second_moment_drift(**{"new": np.eye(2), "ref": np.eye(2), **arguments}, rng=np.random.default_rng(0))
