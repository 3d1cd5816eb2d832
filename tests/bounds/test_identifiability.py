"""Ranks against the published table and against complex-step derivatives of explicitly enumerated patterns."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayespref.bounds.mixture import (
    LabelDesign,
    answered_design,
    items_design,
    local_identifiability,
    pairs_design,
    repeats_design,
)
from bayespref.errors import FunctionalFormOnly, TargetMixError


def enumerate_patterns(design, point):
    """Every pattern probability by plain loops over types and labels; ``point`` may be complex."""
    n_types = design.n_types
    mix = [*point[: n_types - 1], 1 - sum(point[: n_types - 1])]
    values = np.reshape(point[n_types - 1 :], (n_types, -1))
    if design.pairs is not None:
        values = np.concatenate([np.zeros((n_types, 1)), values], axis=1)
    out = []
    for pattern in design.patterns:
        for labels in itertools.product((0, 1), repeat=len(pattern)):
            total = 0.0
            for c in range(n_types):
                chance = mix[c]
                for question, label in zip(pattern, labels, strict=True):
                    if design.pairs is None:
                        z = values[c][question]
                    else:
                        a, b = design.pairs[question]
                        z = values[c][a] - values[c][b]
                    chance = chance / (1 + np.exp(-z if label else z))
                total = total + chance
            out.append(total)
    return np.array(out)


def complex_step(design, point):
    columns = []
    for j in range(len(point)):
        moved = point.astype(complex)
        moved[j] += 1e-30j
        columns.append(enumerate_patterns(design, moved).imag / 1e-30)
    return np.stack(columns, axis=1)


def theta_of(design, point):
    n_types = design.n_types
    mix = np.append(point[: n_types - 1], 1 - point[: n_types - 1].sum())
    values = point[n_types - 1 :].reshape(n_types, -1)
    if design.pairs is not None:
        values = np.concatenate([np.zeros((n_types, 1)), values], axis=1)
    return mix, values


def draw_point(design, seed):
    rng = np.random.default_rng(seed)
    mix = rng.dirichlet(np.full(design.n_types, 5.0))[:-1]
    return np.concatenate([mix, rng.normal(size=len(design.parameter_names) - len(mix))])


def quiet(design, *args, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FunctionalFormOnly)
        return local_identifiability(design, *args, **keywords)


TABLE = [
    (items_design(2, 2), 3, 5),
    (items_design(2, 3), 7, 7),
    (items_design(3, 4), 13, 14),
    (items_design(3, 5), 17, 17),
    (repeats_design(2, 2), 2, 3),
    (repeats_design(2, 3), 3, 3),
    (pairs_design(2, 3), 3, 5),
    (pairs_design(2, 4), 6, 7),
    (pairs_design(2, 5), 9, 9),
    (pairs_design(3, 7), 20, 20),
    (pairs_design(2, 3, 2), 5, 5),
    (pairs_design(3, 4, 2), 11, 11),
]


@pytest.mark.parametrize(("design", "rank", "size"), TABLE)
def test_rank_table(design, rank, size):
    result = quiet(design)
    assert len(result.parameter_names) == size
    assert result.generic_rank == rank
    assert result.generic_deficit == size - rank
    one_label = max(len(pattern) for pattern in design.patterns) == 1
    assert result.functional_form_only == (one_label and rank == size)
    expected = "type_not_identified" if rank < size else "functional_form_only" if one_label else ""
    assert result.reason == expected


def test_repeats_need_two_k_minus_one_labels():
    for n_types in (2, 3):
        assert quiet(repeats_design(n_types, 2 * n_types - 1)).generic_deficit == 0
        assert quiet(repeats_design(n_types, 2 * n_types - 2)).generic_deficit > 0


def test_one_label_three_types_is_deficient_below_seven_items():
    assert quiet(pairs_design(3, 6)).generic_rank == 15
    assert quiet(pairs_design(3, 3, 2)).generic_deficit > 0


MIXED = LabelDesign(2, ((0,), (0, 1), (1, 2, 2)), ((0, 1), (2, 1), (0, 3)), (0.5, 0.3, 0.2))


@pytest.mark.parametrize("design", [items_design(3, 4), repeats_design(2, 3), pairs_design(2, 4), MIXED])
def test_derivatives_equal_complex_steps_of_enumerated_patterns(design):
    point = draw_point(design, 1)
    jacobian = complex_step(design, point)
    singular = np.linalg.svd(jacobian, compute_uv=False)
    result = quiet(design, theta_of(design, point))
    assert result.rank[0] == (singular > 1e-7 * singular[0]).sum()
    if result.deficit[0] == 0:
        assert result.condition_number[0] == pytest.approx(singular[0] / singular[-1], rel=1e-8)
    else:
        assert np.isinf(result.condition_number[0])
    shares = np.full(len(design.patterns), 1 / len(design.patterns)) if design.shares is None else design.shares
    share = np.concatenate([[s] * 2 ** len(p) for s, p in zip(shares, design.patterns, strict=True)])
    fisher = jacobian.T @ (jacobian * (share / enumerate_patterns(design, point))[:, None])
    assert result.fisher_min_eigenvalue[0] == pytest.approx(np.linalg.eigvalsh(fisher)[0], rel=1e-6, abs=1e-12)


def test_null_vectors_move_no_probability():
    design = items_design(3, 4)
    point = draw_point(design, 4)
    result = local_identifiability(design, theta_of(design, point))
    (null,) = result.null_vectors
    assert null.shape == (1, 14)
    np.testing.assert_allclose(complex_step(design, point) @ null[0], 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(null[0]), 1, rtol=1e-12)


def test_equal_types_and_zero_shares_are_singular_points_of_a_full_rank_design():
    design = items_design(2, 3)
    values = np.array([[[0.3, -0.5, 1.0], [0.3, -0.5, 1.0]], [[0.3, -0.5, 1.0], [1.0, 0.2, -0.7]]])
    values = np.concatenate([values, values[1:]])
    mix = np.array([[0.4, 0.6], [1.0, 0.0], [0.4, 0.6]])
    result = local_identifiability(design, (mix, values))
    assert result.generic_deficit == 0
    assert result.rank[0] < 7
    assert result.rank[1] < 7
    assert result.rank[2] == 7
    assert np.isinf(result.condition_number[:2]).all()


def test_marginal_preference_is_identified_where_types_are_not():
    import jax

    design = items_design(2, 2)
    functionals = {
        "marginal": lambda mix, values: mix @ jax.nn.sigmoid(values[:, 0]),
        "type 0": lambda mix, values: values[0, 0],
        "contrast": lambda mix, values: values[1, 0] - values[0, 0],
    }
    result = local_identifiability(design, functionals=functionals)
    assert result.functional_identified["marginal"].all()
    assert not result.functional_identified["type 0"].any()
    assert not result.functional_identified["contrast"].any()
    assert np.isinf(result.functional_standard_error["type 0"]).all()
    full = local_identifiability(items_design(2, 3), functionals=functionals)
    assert all(flag.all() for flag in full.functional_identified.values())


def test_standard_error_of_one_type_is_the_binomial_one():
    design = pairs_design(1, 2)
    result = local_identifiability(design, ([1.0], [[0.0, 0.8]]), functionals={"d": lambda mix, r: r[0, 1] - r[0, 0]})
    p = 1 / (1 + np.exp(0.8))
    np.testing.assert_allclose(result.functional_standard_error["d"], 1 / np.sqrt(p * (1 - p)), rtol=1e-10)
    np.testing.assert_allclose(result.fisher_min_eigenvalue, p * (1 - p), rtol=1e-10)
    assert not result.functional_form_only
    assert result.reason == ""


def test_marginal_standard_error_from_single_labels_is_binomial():
    import jax

    design = items_design(2, 1)
    point = draw_point(design, 2)
    mix, values = theta_of(design, point)
    p = mix @ (1 / (1 + np.exp(-values[:, 0])))
    result = local_identifiability(design, (mix, values), functionals={"p": lambda m, v: m @ jax.nn.sigmoid(v[:, 0])})
    np.testing.assert_allclose(result.functional_standard_error["p"], np.sqrt(p * (1 - p)), rtol=1e-8)


def test_full_rank_from_one_label_warns():
    with pytest.warns(FunctionalFormOnly, match="shape of the choice model"):
        assert local_identifiability(pairs_design(2, 5)).functional_form_only


def test_result_does_not_depend_on_the_global_precision():
    import jax

    design = items_design(3, 4)
    expected = local_identifiability(design)
    with jax.enable_x64(False):
        single = local_identifiability(design)
        assert not jax.config.jax_enable_x64
    assert single.generic_rank == expected.generic_rank == 13
    np.testing.assert_allclose(single.fisher_min_eigenvalue, expected.fisher_min_eigenvalue, rtol=1e-12, atol=1e-18)


@settings(max_examples=6)
@given(st.integers(0, 1000))
def test_gauge_type_order_and_item_order_change_no_rank(seed):
    rng = np.random.default_rng(seed)
    design = pairs_design(2, 4, 2)
    mix, rewards = rng.dirichlet(np.full(2, 4.0)), rng.normal(size=(2, 4))
    draws = (
        np.stack([mix, mix, mix[::-1], mix]),
        np.stack([rewards, rewards + rng.normal(size=(2, 1)), rewards[::-1], rewards[:, rng.permutation(4)]]),
    )
    result = local_identifiability(design, draws)
    assert len(set(result.rank.tolist())) == 1
    assert result.fisher_min_eigenvalue[1] == pytest.approx(result.fisher_min_eigenvalue[0], rel=1e-6)


def test_draw_axes_are_flattened():
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(np.ones(2), (3, 4)), rng.normal(size=(3, 4, 2, 3))
    result = local_identifiability(items_design(2, 3), theta)
    assert result.rank.shape == (12,)
    assert len(result.null_vectors) == 12


def test_design_of_a_table_counts_annotators_by_what_they_answered():
    annotator = [0, 0, 1, 1, 2, 3]
    item_a, item_b = [0, 1, 1, 2, 2, 0], [1, 2, 0, 1, 0, 1]
    design = answered_design(annotator, item_a, item_b, 2)
    assert design.pairs == ((0, 1), (0, 2), (1, 2))
    assert dict(zip(design.patterns, design.shares, strict=True)) == {(0,): 0.25, (0, 2): 0.5, (1,): 0.25}
    cut = answered_design(annotator, item_a, item_b, 2, max_labels=1)
    assert {len(pattern) for pattern in cut.patterns} == {1}
    full = answered_design([0, 0, 1, 1, 2, 2], [0, 1, 0, 0, 1, 0], [1, 2, 1, 2, 2, 2], 2)
    assert local_identifiability(full).generic_rank == local_identifiability(pairs_design(2, 3, 2)).generic_rank


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: items_design(0, 2), ValueError, "n_types"),
        (lambda: items_design(2, 13), ValueError, "patterns: each rater must answer 1 to 12"),
        (lambda: LabelDesign(2, ()), ValueError, "patterns"),
        (lambda: LabelDesign(2, ((0, 3),), ((0, 1),)), ValueError, "first bad \\[3\\]"),
        (lambda: LabelDesign(2, ((0,),), ((1, 1),)), ValueError, "pairs"),
        (lambda: LabelDesign(2, ((0,), (1,)), None, (1.0,)), ValueError, "shares"),
        (lambda: LabelDesign(2, ((0,), (1,)), None, (0.5, 0.6)), TargetMixError, "shares"),
        (lambda: local_identifiability(items_design(2, 3), n_random=4), ValueError, "n_random"),
        (
            lambda: local_identifiability(items_design(2, 3), ([0.5, 0.5], [[0.0, 1.0], [1.0, 2.0]])),
            ValueError,
            "theta: the design has 2 types and 3 values",
        ),
        (
            lambda: local_identifiability(items_design(2, 1), ([0.5, 0.6], [[0.0], [1.0]])),
            TargetMixError,
            "theta mix",
        ),
        (
            lambda: local_identifiability(items_design(2, 1), ([0.5, 0.5], [[0.0], [np.nan]])),
            ValueError,
            "theta values",
        ),
        (lambda: answered_design([0], [1, 2], [0, 0], 2), ValueError, "equal-length"),
        (lambda: answered_design([0], [1], [1], 2), ValueError, "pairs"),
        (lambda: answered_design([0], [1], [0], 2, max_labels=20), ValueError, "max_labels"),
    ],
)
def test_bad_input_names_argument_and_rule(call, error, text):
    with pytest.raises(error, match=text):
        call()
