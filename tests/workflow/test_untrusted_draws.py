"""A policy made from draws that did not converge says so, wherever it is read."""

import pandas as pd

import bayespref
from bayespref.cli.options import decided
from bayespref.workflow import analyse, fit

VOTES = pd.DataFrame(
    {"item_a": ["x", "x", "y"] * 12, "item_b": ["y", "z", "z"] * 12, "outcome": ["a", "a", "b", "a", "b", "a"] * 6}
)


def policy_of(draws, tmp_path):
    table = bayespref.read_comparisons(VOTES)
    tree = analyse(fit("single", table, rng_key=0, chains=2, warmup=50, draws=draws, progress=False))
    made = bayespref.policy(tree, c_defer=1.0)
    read = bayespref.DeferralPolicy.load(made.save(tmp_path / "policy.json"))
    return read, decided(tree, read, 1.0, tmp_path / "fit.nc")


def test_a_policy_from_draws_that_did_not_converge_says_so_in_its_file_and_on_the_terminal(tmp_path):
    policy, words = policy_of(5, tmp_path)
    assert any(line.startswith("draws that may not be trusted (converged: no") for line in policy.assumptions)
    assert words[1].startswith("do not rely on it: converged: no")
    assert "; next: run more warm-up and draws" in words[1]


def test_a_policy_from_draws_that_converged_says_nothing_of_it(tmp_path):
    policy, words = policy_of(1000, tmp_path)
    assert not any("trusted" in line for line in [*policy.assumptions, *words])
