"""The PyTorch example reaches the package's own fit; skipped where PyTorch is not installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from bayespref.simulate.scenarios import hh_confounding
from bayespref.target.fitdpo import pair_wins, tabular_dpo
from bayespref.target.importance import combine, post_stratified
from bayespref.target.tilt import exponential_tilt


def test_weighted_and_doubly_robust_policies_agree_with_the_tabular_fit():
    torch = pytest.importorskip("torch")
    file = Path(__file__).resolve().parents[2] / "examples" / "torch_dpo.py"
    spec = importlib.util.spec_from_file_location("torch_dpo", file)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rows = hh_confounding(alpha=1.0, n_annotators=200, seed=0).comparisons
    state, label = rows.state.astype(int), (rows.outcome == 0).astype(float)
    weight = combine(post_stratified("cell", state * 2 + rows.context, np.full(8, 0.125))).weight
    arguments = [torch.as_tensor(np.asarray(x).copy()) for x in (state, rows.item_a, rows.item_b, label, weight)]
    arguments[:3] = [x.long() for x in arguments[:3]]
    got = example.train(*arguments, n_states=4, n_items=3)
    score = tabular_dpo(pair_wins(state, rows.item_a, rows.item_b, label, weight, n_states=4, n_items=3)).score
    np.testing.assert_allclose(got, exponential_tilt(score, np.full((4, 3), 1 / 3), 1.0).policy, atol=1e-5)
    half = torch.full((4, 3, 3), 0.5, dtype=torch.float64)
    robust = example.train(*arguments, n_states=4, n_items=3, q=arguments[3], target_q=half)
    np.testing.assert_allclose(robust, np.full((4, 3), 1 / 3), atol=1e-6)  # no residual: the outcome model alone
