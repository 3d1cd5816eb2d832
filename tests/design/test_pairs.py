"""Pair designs and rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.design.mixture import optimal_mixture
from bayespref.design.pairs import joint_pairs, pair_matrices, product_design
from bayespref.design.rounding import efficient_rounding, reduce_support


def product_value(M, q):
    return np.linalg.eigvalsh(np.einsum("a,b,abij->ij", q, q, M))[0]


def test_three_arms_at_zero_give_an_eighth_jointly_and_a_sixteenth_as_a_product():
    M = pair_matrices(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.zeros(2))
    joint = joint_pairs(M, mask=np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]], dtype=bool))
    np.testing.assert_allclose(joint.weights, [[0, 0.25, 0.25], [0.25, 0, 0], [0.25, 0, 0]], atol=1e-7)
    np.testing.assert_allclose([joint.design.value, joint.design.upper_bound], 1 / 8, atol=1e-8)
    # With (1, 2) allowed as well the value is the same: e1 - e2 has the unit vector it lacks in neither.
    np.testing.assert_allclose(joint_pairs(M).design.value, 1 / 8, atol=1e-8)
    product = product_design(M, rng=np.random.default_rng(0), starts=3, max_steps=30)
    grid = np.array([(i, j, 60 - i - j) for i in range(61) for j in range(61 - i)]) / 60
    best = max(product_value(M, q) for q in grid)
    np.testing.assert_allclose(product.value, best, atol=2e-4)
    assert product.value >= best - 1e-12
    assert product.status == "local"
    np.testing.assert_allclose(product_value(M, np.array([0.5, 0.25, 0.25])), 1 / 16, atol=1e-15)


def test_one_informative_pair_is_worth_one_jointly_and_half_as_a_product():
    M = np.zeros((3, 3, 2, 2))
    M[1, 2] = M[2, 1] = np.eye(2)
    joint, product = joint_pairs(M), product_design(M, rng=np.random.default_rng(1), starts=3, max_steps=30)
    np.testing.assert_allclose(joint.design.value, 1, atol=1e-8)
    np.testing.assert_allclose(product.value, 0.5, atol=1e-6)
    np.testing.assert_allclose(product.weights, [0, 0.5, 0.5], atol=1e-3)
    np.testing.assert_allclose(product.upper_bound, 1, atol=1e-8)


@settings(max_examples=6)
@given(st.integers(0, 2**32 - 1))
def test_no_product_beats_the_joint_design(seed):
    rng = np.random.default_rng(seed)
    M = pair_matrices(rng.normal(size=(4, 2)), rng.normal(size=2))
    joint = joint_pairs(M)
    product = product_design(M, rng=rng, starts=2, max_steps=6)
    assert product.value <= joint.design.upper_bound + 1e-12
    np.testing.assert_allclose(product_value(M, product.weights), product.value, atol=1e-12)
    assert product.value >= product_value(M, np.full(4, 0.25)) - 1e-12
    np.testing.assert_allclose(joint.weights.sum(), 1, atol=1e-9)
    np.testing.assert_allclose(joint.weights, joint.weights.T, atol=1e-15)


def test_pairs_that_differ_by_order_are_refused():
    M = np.zeros((2, 2, 1, 1))
    M[0, 1] = 1.0
    with pytest.raises(ValueError, match=r"M: M\[a, b\] must equal M\[b, a\]"):
        joint_pairs(M)
    with pytest.raises(ValueError, match="cost: must be a symmetric array"):
        joint_pairs(np.ones((2, 2, 1, 1)), cost=np.array([[1.0, 2.0], [3.0, 1.0]]), cost_cap=2.0)
    with pytest.raises(ValueError, match=r"M: must have shape \(A, A, d, d\)"):
        joint_pairs(np.ones((2, 3, 1, 1)))


@given(st.integers(0, 2**32 - 1))
def test_efficient_rounding_adds_up_and_keeps_the_support(seed):
    rng = np.random.default_rng(seed)
    share = np.append(rng.dirichlet(np.ones(int(rng.integers(1, 8)))), 0.0)
    support = int((share > 0).sum())
    n = support + int(rng.integers(0, 60))
    got = efficient_rounding(share, n, negligible=0.0)
    assert got.counts.sum() == n
    assert ((got.counts > 0) == (share > 0)).all()
    # Characterisation of efficient roundings: max (n_i - 1) / w_i <= min n_i / w_i.
    on = share > 0
    assert ((got.counts[on] - 1) / share[on]).max() <= (got.counts[on] / share[on]).min() * (1 + 1e-9)
    assert got.floor >= 1 - support / n - 1e-12


def test_rounding_reports_the_efficiency_it_reaches():
    M = np.array([[[1, 0.95], [0.95, 1]], [[1, -0.3], [-0.3, 1]]])
    design = optimal_mixture(M)
    got = efficient_rounding(design.weights, 25, M)
    assert got.counts.tolist() == [6, 19]
    np.testing.assert_allclose(got.efficiency, 1, atol=1e-7)
    ten = efficient_rounding(design.weights, 10, M)
    assert ten.counts.tolist() == [3, 7]
    np.testing.assert_allclose(ten.efficiency, np.linalg.eigvalsh(0.3 * M[0] + 0.7 * M[1])[0], atol=1e-7)
    assert ten.floor - 1e-9 <= ten.efficiency


def test_too_few_comparisons_for_the_support_are_refused():
    with pytest.raises(ValueError, match="n: must be a whole number of at least 3"):
        efficient_rounding(np.array([0.2, 0.3, 0.5]), 2)
    with pytest.raises(ValueError, match="weights: probabilities must sum to one"):
        efficient_rounding(np.array([0.2, 0.3]), 5)
    with pytest.raises(ValueError, match="M: must have shape"):
        efficient_rounding(np.array([0.5, 0.5]), 5, np.ones((3, 1, 1)))


def test_two_features_need_three_arms_and_four_under_a_binding_cap():
    rng = np.random.default_rng(0)
    sizes, capped = [], []
    for _ in range(30):
        X = rng.normal(size=(12, 2, 2))
        M, cost = np.einsum("aik,ajk->aij", X, X), rng.uniform(1, 3, 12)
        design = optimal_mixture(M)
        p = reduce_support(M, design.weights)
        np.testing.assert_allclose(np.linalg.eigvalsh(np.tensordot(p, M, 1))[0], design.value, rtol=2e-5)
        sizes.append((p > 0).sum())
        cap = float(cost.min() + 0.4 * (cost @ design.weights - cost.min()))
        bound = optimal_mixture(M, cost=cost, cost_cap=cap)
        q = reduce_support(M, bound.weights, cost)
        np.testing.assert_allclose(cost @ q, bound.cost, rtol=1e-4)
        np.testing.assert_allclose(np.linalg.eigvalsh(np.tensordot(q, M, 1))[0], bound.value, rtol=2e-5)
        capped.append((q > 0).sum())
    assert max(sizes) <= 3
    assert max(capped) <= 4


@given(st.integers(0, 2**32 - 1))
def test_reducing_the_support_leaves_information_and_cost_unchanged(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2, 15, 2, 2))
    M, cost, p = np.einsum("gaik,gajk->gaij", X, X), rng.uniform(1, 3, 15), rng.dirichlet(np.ones(15))
    got = reduce_support(M, p, cost, negligible=0.0)
    assert (got >= 0).all()
    assert (got > 0).sum() <= 8  # two groups of three entries, the sum and the cost
    np.testing.assert_allclose(np.einsum("a,gaij->gij", got, M), np.einsum("a,gaij->gij", p, M), atol=1e-9)
    np.testing.assert_allclose([got.sum(), cost @ got], [1, cost @ p], atol=1e-9)
