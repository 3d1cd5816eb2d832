"""Regime, fit and policy together: latent types as plug-in, anchors, what is not identified, the verb."""

import json

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from bayespref.cli import app
from bayespref.comparisons import from_codes
from bayespref.dims import BOTH_BAD
from bayespref.errors import EffectModification, LabelAlignmentError, RegimeError
from bayespref.posterior.store import save_fit
from bayespref.simulate.scenarios import blind_spot, hh_confounding, telemetry
from bayespref.target.regime import regime_from, write_regime
from bayespref.target.tilt import average_reward, exponential_tilt, welfare
from bayespref.workflow import fit
from bayespref.workflow.doubting import robust_target, sensitivity_table
from bayespref.workflow.reweighting import ranking, reweight, stale
from bayespref.workflow.targeting import target, target_by_type

STATES = {f"state {s}": 0.25 for s in range(4)}
EVEN = {"states": STATES, "types": {"type 0": 0.5, "type 1": 0.5}}
BASE = {"name": "even", "version": "1", "reason": "launch", "kind": "product", "beta": 1.0}
REF = np.full((4, 3), 1 / 3)


def regime(**fields):
    return regime_from(BASE | EVEN | fields)


def loss(policy, world):
    got = welfare(policy, average_reward(world.reward, np.full((4, 2), 0.5)), REF, 1.0, np.full(4, 0.25))
    return float(got.best - got.value)


@pytest.fixture(scope="module")
def world():
    return hh_confounding(alpha=2.0, kappa=0.9, seed=1)


@pytest.fixture(scope="module")
def latent(world):
    table = world.comparisons.pool("context")
    return fit("latent_types", table, rng_key=1, chains=1, warmup=80, draws=100, n_starts=3, progress=False)


@pytest.fixture(scope="module")
def typed():
    """Types observed, with two cells nobody asked about."""
    small = blind_spot(n_annotators=60, labels_per_annotator=20, seed=1)
    options = {"types_observed": True}
    tree = fit(
        "latent_types", small.comparisons, rng_key=0, options=options, chains=1, warmup=60, draws=60, progress=False
    )
    return small, tree


@pytest.mark.slow
def test_latent_types_lose_a_tenth_of_what_weighted_dpo_loses(world, latent):
    """2,000 annotators with 10 labels, alpha 2, kappa .9: at most .005 against .05."""
    got = target(latent, regime(over="type"))["target"].to_dataset()
    assert loss(got["policy"].values, world) <= 0.005
    with pytest.warns(EffectModification):
        weighted = reweight(world.comparisons, regime())
    own = loss(exponential_tilt(weighted.frontier.score[0], REF, 1.0).policy, world)
    assert own == pytest.approx(0.05, abs=0.01)
    best = 0.61495
    truth = average_reward(world.reward, np.full((4, 2), 0.5))
    centre = float(np.mean(truth.mean(axis=-1)))
    # Draws are centred over items, the world's rewards are not: J moves by what the reference earns.
    assert float(got["value_lower"]) - 0.02 <= best - centre <= float(got["value_upper"]) + 0.02
    assert float(got["identified_share"]) == 1.0
    assert 0 <= float(got["regret"]) < 0.02


@pytest.mark.slow
def test_unequal_shares_of_latent_types_need_anchors_and_anchors_name_the_types(world, latent):
    shares = {"type 0": 0.8, "type 1": 0.2}
    with pytest.raises(LabelAlignmentError, match="unequal shares to the latent types"):
        target(latent, regime(over="type", types=shares))
    anchors = {"type 0": {"state": "state 0", "prefers": "direct", "over": "refuse"}}
    named = target(latent, regime(over="type", types=shares, anchors=anchors))["target"].to_dataset()
    want = exponential_tilt(average_reward(world.reward, np.tile([0.8, 0.2], (4, 1))), REF, 1.0).policy
    np.testing.assert_allclose(named["policy"].values, want, atol=0.06)
    other = {"type 0": {"state": "state 1", "prefers": "refuse", "over": "direct"}}
    swapped = target(latent, regime(over="type", types=shares, anchors=other))["target"].to_dataset()
    mirror = exponential_tilt(average_reward(world.reward, np.tile([0.2, 0.8], (4, 1))), REF, 1.0).policy
    np.testing.assert_allclose(swapped["policy"].values, mirror, atol=0.06)
    for broken, message in (
        ({"type 9": anchors["type 0"]}, "anchors: one for each"),
        ({"type 0": anchors["type 0"] | {"state": "nowhere"}}, "the table has no 'nowhere'"),
    ):
        with pytest.raises(RegimeError, match=message):
            target(latent, regime(over="type", types=shares, anchors=broken))
    with pytest.raises(RegimeError, match="the types of this fit are latent types"):
        target(latent, regime())


def test_a_state_that_a_type_never_asked_about_has_no_policy_but_a_reason(typed):
    small, tree = typed
    got = target(tree, regime())["target"].to_dataset()
    blind = small.missing.any(axis=1)
    assert (got["reason"].values[blind] == "no_overlap").all()
    assert (got["reason"].values[~blind] == "").all()
    assert np.isnan(got["policy"].values[blind]).all()
    np.testing.assert_allclose(got["policy"].values[~blind].sum(axis=-1), 1.0)
    assert np.isnan(float(got["value"]))
    assert np.isfinite(float(got["value_identified"]))
    assert float(got["identified_share"]) == pytest.approx(0.5)
    cells = [
        {"state": s, "type": c, "mass": 1.0}
        for i, s in enumerate(STATES)
        for j, c in enumerate(("type 0", "type 1"))
        if not small.missing[i, j]
    ]
    seen = regime_from(BASE | {"kind": "rows", "cells": cells})
    whole = target(tree, seen)["target"].to_dataset()
    assert np.isfinite(float(whole["value"]))
    assert (whole["policy_lower"] <= whole["policy_upper"]).all()
    by_type = target_by_type(tree, seen, kl_budget=0.1)
    assert by_type.attrs["kl"] == pytest.approx(0.1, abs=1e-5)
    assert np.isnan(by_type["policy"].values[small.missing]).all()
    assert float(target_by_type(tree, seen).attrs["value"]) >= by_type.attrs["value"]
    with pytest.raises(ValueError, match=r"target mass on cells.*\('state 1', 'type 0'\)"):
        target_by_type(tree, regime())


def test_a_result_is_stale_once_regime_or_propensities_change(typed):
    small, tree = typed
    got = target(tree, regime())["target"].to_dataset()
    assert stale(got, regime(), small.comparisons) == []
    assert len(stale(got, regime(beta=2.0), small.comparisons)) == 1
    assert len(stale(got, regime(), small.comparisons.select(np.arange(10)))) == 1


@pytest.fixture(scope="module")
def log():
    return telemetry(alpha=0.5, kappa=0.3, proxy_flip=0.0, n_annotators=600, seed=3)


@pytest.fixture(scope="module")
def decided(log):
    return sensitivity_table(
        log.comparisons, regime(pairs={"kind": "uniform"}), state="state 0", item="item 0", over="item 1"
    )


def test_one_table_holds_every_analysis_and_bounds_nest(decided):
    assert list(dict.fromkeys(decided["analysis"])) == [
        "proxy",
        "clip and beta",
        "outcome odds",
        "weights (this pair's rows)",
    ]
    for analysis in ("outcome odds", "weights (this pair's rows)"):
        own = decided[decided["analysis"] == analysis]
        assert (np.diff(own["lower"]) < 0).all()
        assert (np.diff(own["upper"]) > 0).all()
        star = own["breakdown"].iloc[0]
        crossed = (own["lower"] < 0.5) & (own["upper"] > 0.5)
        factor = own["setting"].str.split().str[-1].astype(float)
        assert (crossed == (factor > star)).all()


def test_figures_show_the_table(decided, log):
    from bayespref.report.plots_style import to_svg
    from bayespref.report.plots_target import sensitivity

    drawn = to_svg(sensitivity(decided, title="t")).decode()
    assert all(text in drawn for text in ("outcome odds", "Gamma 1.5", "cap 5, beta 1", "Lambda 2"))
    with pytest.raises(ValueError, match="missing"):
        sensitivity(decided.drop(columns="lower"), title="t")


def test_robust_policy_is_never_worse_than_the_reference_and_shrinks_with_gamma(log):
    table = log.comparisons
    lower = []
    for gamma in (1.0, 1.5, 3.0, 100.0):
        got = robust_target(table, regime(), gamma)
        lower.append(got.lower)
        assert (got.lower >= 0).all()
        assert (got.upper - got.lower < 1e-5).all()
    assert (np.diff(lower, axis=0) <= 1e-7).all()
    np.testing.assert_array_equal(got.policy, np.full((4, 4), 0.25))
    with pytest.raises(ValueError, match="gamma"):
        robust_target(table, regime(), 0.5)


def test_the_verb_writes_report_verdict_training_table_and_policy(typed, tmp_path):
    _, tree = typed
    world = telemetry(alpha=0.0, kappa=0.2, proxy_flip=0.0, n_annotators=200, seed=0)
    rows = world.comparisons
    import pandas as pd

    frame = pd.DataFrame(
        {
            "item_a": np.array(rows.items)[rows.item_a],
            "item_b": np.array(rows.items)[rows.item_b],
            "outcome": np.array(["a", "b"])[rows.outcome],
            "state": np.array(rows.states)[rows.state],
            "context": np.array(rows.contexts)[rows.context],
            "annotator": np.array(rows.annotators)[rows.annotator],
            "propensity": rows.propensity,
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    write_regime(regime(pairs={"kind": "uniform"}), tmp_path / "even.json")
    save_fit(tree, tmp_path / "fit.nc")
    call = ["target", str(tmp_path / "log.csv"), str(tmp_path / "even.json"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*call, "--fit", str(tmp_path / "fit.nc")])
    assert done.exit_code in (0, 1), done.output
    assert ("trusted:" in done.output) == (done.exit_code == 0)
    assert "J is not identified; 50.0% of the target" in done.output
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert verdict["regime_hash"] == regime(pairs={"kind": "uniform"}).content_hash
    assert len((tmp_path / "out" / "train.jsonl").read_text().splitlines()) == rows.n_rows
    assert "n_eff_share" in (tmp_path / "out" / "overlap.csv").read_text().splitlines()[0]
    with xr.open_datatree(tmp_path / "out" / "target.nc", engine="h5netcdf") as saved:
        assert "target" in saved.children
    bare = frame.drop(columns="propensity")
    bare.to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(ValueError, match="no logged propensities"):
        CliRunner().invoke(app, ["target", str(tmp_path / "bare.csv"), *call[2:]], catch_exceptions=False)


def small_regime(table, share):
    fields = {"name": "n", "version": "1", "reason": "r", "kind": "product", "beta": 1.0}
    return regime_from(fields | {"states": {table.states[0]: 1.0}, "types": {"c": share, "d": 1.0 - share}})


def test_a_row_that_stands_for_many_comparisons_is_clipped_as_one():
    second, context = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    count = np.array([30.0, 2.0, 1.0, 3.0])

    def table(at, weight):
        rows = {"items": ("x", "y"), "context": context[at], "contexts": ("c", "d"), "weight": weight}
        return from_codes(0 * at, 0 * at + 1, second[at], **rows)

    one = table(np.arange(4), count)
    many = table(np.repeat(np.arange(4), count.astype(int)), None)
    target = small_regime(one, 0.8)
    got, want = (reweight(rows, target, caps=(np.inf, 1.5, 0.5)) for rows in (one, many))
    for name in ("score", "n_eff_share", "mass_moved"):
        np.testing.assert_allclose(getattr(got.frontier, name), getattr(want.frontier, name), atol=1e-9)
    np.testing.assert_allclose(got.estimated, want.estimated, atol=1e-12)
    assert got.report.drop(columns="mean_se").round(9).equals(want.report.drop(columns="mean_se").round(9))
    assert got.trust == want.trust
    args = {"state": one.states[0], "item": "x", "over": "y"}
    got, want = (sensitivity_table(rows, target, **args) for rows in (one, many))
    np.testing.assert_allclose(got["estimate"], want["estimate"], atol=1e-9)
    np.testing.assert_allclose(got["n_eff_share"], want["n_eff_share"], atol=1e-9)


def test_target_mass_on_a_cell_that_states_no_preference_is_refused():
    n = np.arange(60)
    outcome = np.where(n >= 30, BOTH_BAD, n % 3 == 0).astype(int)
    people = {"annotator": n % 20, "annotators": [f"person {k}" for k in range(20)]}
    rows = from_codes(0 * n, 0 * n + 1, outcome, items=("x", "y"), context=n // 30, contexts=("c", "d"), **people)
    target = small_regime(rows, 0.1)
    for call in (lambda: reweight(rows, target), lambda: ranking(rows, target, n_bootstrap=5, seed=0)):
        with pytest.raises(ValueError, match=r"without a stated preference .*'d'"):
            call()


def test_a_ranking_without_a_finite_resample_has_no_interval():
    n = np.arange(40)
    people = {"annotator": n % 10, "annotators": [f"person {k}" for k in range(10)]}
    rows = from_codes(0 * n, 0 * n + 1, 0 * n, items=("x", "y"), context=n % 2, contexts=("c", "d"), **people)
    got = ranking(rows, small_regime(rows, 0.5), n_bootstrap=5, seed=0)
    assert got[["estimate", "lower", "upper"]].isna().all(axis=None)
    assert got.attrs["undefined"] == 1.0
