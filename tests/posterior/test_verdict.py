"""The convergence verdict says yes of good draws, no of bad ones, and why."""

import numpy as np
import pytest
import xarray as xr

from bayespref.errors import REASONS
from bayespref.posterior.verdict import convergence

CHAINS, DRAWS, STATES, TYPES, ITEMS = 4, 500, 2, 2, 3


def tree_of(
    *,
    reward=None,
    n_types=TYPES,
    diverging=0,
    switched=0,
    agreement=0.99,
    gap=float("inf"),
    chains=CHAINS,
    draws=DRAWS,
    extra=None,
):
    """Build a tree of independent normal draws by hand, with whatever went wrong."""
    rng = np.random.default_rng(0)
    if reward is None:
        reward = rng.normal(size=(chains, draws, STATES, n_types, ITEMS))
        reward -= reward.mean(-1, keepdims=True)
    weight = rng.dirichlet(np.full(n_types, 3.0), (chains, draws))
    posterior = xr.Dataset(
        {
            "reward": (("chain", "draw", "state", "type", "item"), reward),
            "type_weight": (("chain", "draw", "type"), weight),
            **(extra or {}),
        },
        coords={
            "state": ["s0", "s1"],
            "type": [f"type {k + 1}" for k in range(n_types)],
            "item": ["x", "y", "z"],
        },
    )

    def flags(count):
        marks = np.zeros(chains * draws, dtype=bool)
        marks[:count] = True
        return xr.Dataset({"m": (("chain", "draw"), marks.reshape(chains, draws))})["m"]

    fit = xr.Dataset(
        {"switched": flags(switched), "agreement": (("chain", "draw"), np.full((chains, draws), agreement))},
        attrs={"mode_gap": gap, "n_starts": 10},
    )
    stats = xr.Dataset({"diverging": flags(diverging)})
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats, "fit": fit})


def by_name(verdicts):
    return {verdict.name: verdict for verdict in verdicts}


def independent_draws():
    reward = np.random.default_rng(0).normal(size=(CHAINS, DRAWS, STATES, TYPES, ITEMS))
    return reward - reward.mean(-1, keepdims=True)


def assert_says_no(verdict, reason):
    assert not verdict.ok
    assert verdict.reason == reason
    assert verdict.reason in REASONS
    assert verdict.next_step


def test_good_draws_converge_and_every_check_says_so():
    verdicts = convergence(tree_of())
    assert verdicts[0].name == "converged"
    assert [verdict.ok for verdict in verdicts] == [True] * 5
    assert {verdict.name for verdict in verdicts} == {
        "converged",
        "mixed",
        "divergences",
        "types aligned",
        "single mode",
    }
    assert verdicts[0].words.startswith("converged: yes, largest R-hat 1.0")
    assert all(not verdict.reason and not verdict.next_step for verdict in verdicts)
    assert by_name(verdicts)["single mode"].words == "single mode: yes, no second mode was found (10 starts)"


def test_one_type_has_no_alignment_to_judge():
    assert {verdict.name for verdict in convergence(tree_of(n_types=1))} == {"converged", "mixed", "divergences"}


def test_a_chain_elsewhere_is_not_converged_and_is_named():
    reward = independent_draws()
    reward[2, :, 1, 0] += np.array([2.0, -2.0, 0.0])
    verdicts = convergence(tree_of(reward=reward))
    assert_says_no(verdicts[0], "not_converged")
    assert_says_no(by_name(verdicts)["mixed"], "not_converged")
    assert verdicts[0].words.startswith("converged: no")
    assert "failed: mixed" in verdicts[0].words
    assert "s1" in by_name(verdicts)["mixed"].words
    assert "type 1" in by_name(verdicts)["mixed"].words


def test_slow_chains_have_too_few_effective_draws():
    rng = np.random.default_rng(1)
    slow = np.cumsum(rng.normal(size=(CHAINS, DRAWS)), axis=1)
    reward = independent_draws()
    reward[:, :, 0, 1, 0] += slow
    verdict = by_name(convergence(tree_of(reward=reward)))["mixed"]
    assert_says_no(verdict, "not_converged")
    assert "reward[s0, type 2, x]" in verdict.words


def test_draws_that_are_not_a_number_are_not_converged():
    reward = independent_draws()
    reward[:, :, 0, 0] = np.nan
    verdicts = convergence(tree_of(reward=reward))
    assert_says_no(verdicts[0], "not_converged")


def test_one_draw_that_is_not_a_number_is_not_converged():
    reward = independent_draws()
    reward[1, 7, 0, 0, 2] = np.nan
    assert not convergence(tree_of(reward=reward))[0].ok


def test_an_infinite_draw_is_not_converged():
    reward = independent_draws()
    reward[1, 7, 0, 0, 2] = np.inf
    assert not convergence(tree_of(reward=reward))[0].ok


def test_chains_stuck_at_one_value_are_not_converged():
    reward = np.broadcast_to(independent_draws()[:1, :1], (CHAINS, DRAWS, STATES, TYPES, ITEMS)).copy()
    assert not convergence(tree_of(reward=reward))[0].ok


def test_one_divergence_is_said():
    verdicts = convergence(tree_of(diverging=3))
    assert_says_no(by_name(verdicts)["divergences"], "not_converged")
    assert by_name(verdicts)["divergences"].words == f"divergences: yes, 3 in {CHAINS * DRAWS} draws"
    assert_says_no(verdicts[0], "not_converged")


def test_switching_labels_is_said():
    many = int(0.02 * CHAINS * DRAWS)
    assert_says_no(by_name(convergence(tree_of(switched=many)))["types aligned"], "not_converged")
    few = int(0.005 * CHAINS * DRAWS)
    assert by_name(convergence(tree_of(switched=few)))["types aligned"].ok


def test_memberships_unlike_the_mode_are_said():
    verdict = by_name(convergence(tree_of(agreement=0.6)))["types aligned"]
    assert_says_no(verdict, "not_converged")
    assert "60.0%" in verdict.words


def test_agreement_that_is_undefined_does_not_pass():
    assert not by_name(convergence(tree_of(agreement=float("nan"))))["types aligned"].ok


@pytest.mark.parametrize(("gap", "ok"), [(9.9, False), (10.1, True)])
def test_near_tied_modes_are_said(gap, ok):
    verdicts = convergence(tree_of(gap=gap))
    verdict = by_name(verdicts)["single mode"]
    assert verdict.ok is ok
    assert f"{gap:.1f} nats" in verdict.words
    if not ok:
        assert_says_no(verdict, "near_tied_modes")
        assert_says_no(verdicts[0], "near_tied_modes")


def test_modes_that_nobody_looked_for_are_not_said_to_be_absent():
    verdict = by_name(convergence(tree_of(gap=float("nan"))))["single mode"]
    assert verdict.words.startswith("single mode: unknown, other modes were not looked for")
    assert not verdict.ok
    assert verdict.reason == "approximation_unreliable"


def test_too_few_draws_are_not_converged():
    assert not convergence(tree_of(draws=3))[0].ok
    assert not convergence(tree_of(draws=40))[0].ok


def test_coefficients_stand_in_for_rewards():
    reward = independent_draws()
    reward[0] += np.array([3.0, 0.0, -3.0])
    rng = np.random.default_rng(4)
    good = xr.DataArray(rng.normal(size=(CHAINS, DRAWS, TYPES, 2)), dims=("chain", "draw", "type", "feature"))
    assert convergence(tree_of(reward=reward, extra={"coefficient": good}))[0].ok
    bad = good + xr.DataArray(np.array([0.0, 0.0, 0.0, 5.0]), dims="chain")
    verdict = convergence(tree_of(extra={"coefficient": bad}))[0]
    assert_says_no(verdict, "not_converged")
    assert "coefficient" in by_name(convergence(tree_of(extra={"coefficient": bad})))["mixed"].words


def test_a_scalar_parameter_is_judged_too():
    rng = np.random.default_rng(5)
    stray = rng.normal(size=(CHAINS, DRAWS)) + np.array([0.0, 0.0, 0.0, 4.0])[:, None]
    verdict = by_name(convergence(tree_of(extra={"log_tie": (("chain", "draw"), stray)})))["mixed"]
    assert_says_no(verdict, "not_converged")
    assert "log_tie" in verdict.words
