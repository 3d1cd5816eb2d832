"""What identifies a contrast: row spaces against graphs and brute force, verdicts case by case."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from bayespref import load_train_tickets
from bayespref.disagree.identify import (
    IDENTIFIED_BY,
    NO,
    NOT_CHECKED,
    YES,
    identification_dataset,
    identification_words,
    identify,
)
from bayespref.disagree.linear import estimable_contrasts

PAIRS = list(itertools.combinations(range(5), 2))
RESULTS = st.lists(st.tuples(st.sampled_from(PAIRS), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8)
"""Pair, wins of its first and of its second item."""


def reach(edges, n=5):
    """Which node reaches which, by repeated products."""
    step = np.eye(n, dtype=bool)
    for a, b in edges:
        step[a, b] = True
    for _ in range(n):
        step = (step.astype(int) @ step.astype(int)) > 0
    return step


@given(RESULTS)
@settings(max_examples=60)
def test_with_one_indicator_an_item_the_row_space_is_the_component_and_finite_is_strongly_connected(results):
    difference = np.zeros((len(results), 5))
    for k, ((a, b), _, _) in enumerate(results):
        difference[k, [a, b]] = 1.0, -1.0
    wins, losses = (np.array([row[i] for row in results], float) for i in (1, 2))
    got = estimable_contrasts(difference, wins, losses)
    played = [pair for pair, w, lo in results if w + lo]
    joined = reach(played + [pair[::-1] for pair in played])
    beats = reach([p for p, w, _ in results if w] + [p[::-1] for p, _, lo in results if lo])
    contrast = np.eye(5)[:, None] - np.eye(5)[None]
    assert np.array_equal(got.holds(contrast), joined)
    assert np.array_equal(got.holds_finite(contrast), beats & beats.T)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 4))
@settings(max_examples=40)
def test_finite_contrasts_are_those_that_no_uncontradicted_direction_moves(seed, n, d):
    """For each contrast a linear program of its own: the largest move along a direction no win contradicts."""
    rng = np.random.default_rng(seed)
    difference = rng.integers(-2, 3, (n, d)).astype(float)
    wins, losses = rng.integers(0, 2, n).astype(float), rng.integers(0, 2, n).astype(float)
    got = estimable_contrasts(difference, wins, losses)
    wanted = rng.integers(-2, 3, (6, d)).astype(float)
    rows = np.concatenate([difference[wins > 0], -difference[losses > 0]])
    for contrast, finite in zip(wanted, got.holds_finite(wanted), strict=True):
        moves = 0.0
        for sign in (1, -1):
            options = {"A_ub": -rows, "b_ub": np.zeros(len(rows))} if len(rows) else {}
            moves = max(moves, -linprog(-sign * contrast, bounds=[(-1, 1)] * d, **options).fun)
        assert finite == (moves < 1e-9)


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_rescaling_features_swapping_sides_and_splitting_rows_change_nothing(seed):
    rng = np.random.default_rng(seed)
    difference = rng.integers(-2, 3, (5, 3)).astype(float)
    wins, losses = rng.integers(0, 2, 5).astype(float), rng.integers(0, 2, 5).astype(float)
    scale = np.array([1e-4, 1.0, 1e5])
    wanted = rng.integers(-2, 3, (8, 3)).astype(float)
    plain = estimable_contrasts(difference, wins, losses)
    for other, contrast in (
        (estimable_contrasts(difference * scale, wins, losses), wanted * scale),
        (estimable_contrasts(-difference, losses, wins), wanted),
        (estimable_contrasts(np.repeat(difference, 2, 0), np.repeat(wins, 2), np.repeat(losses, 2)), wanted),
    ):
        assert np.array_equal(plain.holds(wanted), other.holds(contrast))
        assert np.array_equal(plain.holds_finite(wanted), other.holds_finite(contrast))
    more = estimable_contrasts(np.vstack([difference, wanted[:1]]), np.append(wins, 1), np.append(losses, 1))
    assert np.all(more.holds(wanted) >= plain.holds(wanted))


def test_a_finite_contrast_forgets_the_ridge_and_one_outside_follows_it():
    """Penalised fits to more and more data: what is called finite settles, what lies outside is all prior."""
    difference = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    wins, losses = np.array([3.0, 5.0]), np.array([1.0, 0.0])
    got = estimable_contrasts(difference, wins, losses)
    wanted = np.eye(3)
    assert got.holds_finite(wanted).tolist() == [True, False, False]
    assert got.holds(wanted).tolist() == [True, True, False]

    def fit(times, ridge):
        def loss(w):
            u = difference @ w
            return times * (wins @ np.logaddexp(0, -u) + losses @ np.logaddexp(0, u)) + 0.5 * ridge @ (w - 0.7) ** 2

        def slope(w):
            u = difference @ w
            return difference.T @ (times * (losses * expit(u) - wins * expit(-u))) + ridge * (w - 0.7)

        def curve(w):
            g = times * (wins + losses) * expit(difference @ w) * expit(-difference @ w)
            return (difference.T * g) @ difference + np.diag(ridge)

        return minimize(loss, np.zeros(3), jac=slope, hess=curve, method="trust-exact", tol=1e-9).x

    tight, loose = np.ones(3), np.full(3, 0.1)
    apart = [np.abs(fit(times, tight) - fit(times, loose)) for times in (1, 100, 10_000)]
    assert apart[2][0] < 1e-3
    assert apart[2][1] > 1
    assert fit(10_000, tight)[2] == pytest.approx(0.7)  # the prior mean itself


def words(size, entries):
    """A table of words, symmetric, with the given entries above the diagonal."""
    out = np.full((size, size), "", dtype="<U24")
    for (i, j), word in entries.items():
        out[i, j] = out[j, i] = word
    return out


def said(got, i, j):
    return IDENTIFIED_BY[got.identified_by[i, j]], str(got.reason[i, j])


GRAPH = words(4, {(0, 3): "disconnected", (1, 3): "no_data", (2, 3): "disconnected", (0, 2): "separated"})
STATUS = words(
    4, dict.fromkeys([(0, 1), (1, 2), (0, 2)], "identified") | {(0, 3): "structure", (1, 3): "prior", (2, 3): "unknown"}
)


def test_without_a_linear_model_the_posterior_says_what_is_structure():
    got = identify(GRAPH, STATUS)
    assert said(got, 0, 1) == ("data", "")
    assert said(got, 0, 2) == ("prior", "separated")  # the sign is the data's, the size is not
    assert said(got, 0, 3) == ("structure", "model_identified")
    assert said(got, 1, 3) == ("prior", "no_data")
    assert said(got, 2, 3) == ("prior", "disconnected")
    assert np.all(np.diagonal(got.identified_by) == -1)


def test_a_linear_model_answers_by_its_row_space_whatever_the_posterior_looks_like():
    place = np.full((4, 4), 2)
    place[0, 3] = place[3, 0] = 0
    place[1, 3] = place[3, 1] = 1
    got = identify(GRAPH, STATUS, linear=place)
    assert said(got, 0, 1) == ("data", "")
    assert said(got, 0, 2) == ("structure", "model_identified")
    assert said(got, 0, 3) == ("prior", "disconnected")  # narrow in the posterior, outside the row space
    assert said(got, 1, 3) == ("prior", "separated")
    assert said(got, 2, 3) == ("structure", "model_identified")


def test_latent_types_need_rank_and_one_label_a_person_leaves_only_the_form():
    rank = np.full((4, 4), YES)
    rank[0, 1] = rank[1, 0] = NO
    rank[1, 2] = rank[2, 1] = NOT_CHECKED
    got = identify(GRAPH, STATUS, type_rank=rank)
    assert said(got, 0, 1) == ("prior", "type_not_identified")
    assert said(got, 1, 2) == ("data", "")
    form = identify(GRAPH, STATUS, type_rank=rank, form_only=True)
    assert said(form, 0, 1) == ("prior", "type_not_identified")
    assert said(form, 1, 2) == ("structure", "functional_form_only")
    assert said(form, 1, 3) == ("prior", "no_data")


@given(st.permutations(range(4)))
@settings(max_examples=10)
def test_renaming_items_permutes_the_verdicts(order):
    k = np.ix_(list(order), list(order))
    plain, moved = identify(GRAPH, STATUS), identify(GRAPH[k], STATUS[k])
    assert np.array_equal(plain.identified_by[k], moved.identified_by)
    assert np.array_equal(plain.reason[k], moved.reason)


def test_the_table_counts_each_contrast_once_and_puts_it_in_words():
    labels = {"state": ["s"], "type": ["t"], "item": list("wxyz")}
    data = identification_dataset(identify(GRAPH[None, None], STATUS[None, None]), labels, assumptions=["logistic"])
    assert [int(data[f"n_{name}"].item()) for name in IDENTIFIED_BY] == [2, 1, 3]
    assert identification_words(data) == (
        "identified: no, of 6 contrasts 2 by data, 1 by structure, 3 by the prior alone "
        "(disconnected 1, model_identified 1, no_data 1, separated 1)"
    )
    assert "meaning_separated" in data.attrs
    every = identification_dataset(identify(words(4, {})[None, None], STATUS[None, None]), labels)
    assert identification_words(every).startswith("identified: yes, of 6 contrasts 6 by data")


@pytest.mark.parametrize(
    ("graph", "status", "message"),
    [
        (GRAPH[:3], STATUS, "need one shape"),
        (np.where(GRAPH == "separated", "split", GRAPH), STATUS, r"graph: words must be among .* got \['split'\]"),
        (GRAPH, np.where(STATUS == "prior", "maybe", STATUS), r"posterior: .* got \['maybe'\]"),
    ],
)
def test_unknown_words_are_refused(graph, status, message):
    with pytest.raises(ValueError, match=message):
        identify(graph, status)


def test_train_tickets_fall_into_111_components_and_linearity_alone_fixes_every_contrast():
    tickets = load_train_tickets()
    _, pairs, wins, losses = asked(tickets)
    joined = connected_components(
        coo_array((np.ones(len(pairs)), pairs.T), shape=(tickets.n_items,) * 2), directed=False
    )
    assert joined[0] == 111
    space = estimable_contrasts(tickets.features[pairs[:, 0]] - tickets.features[pairs[:, 1]], wins, losses)
    assert len(space.finite_basis) == len(space.basis) == tickets.features.shape[1]
    first = tickets.features - tickets.features[0]
    assert space.holds_finite(first).all()
    apart = joined[1] != joined[1][0]
    graph = np.where(apart[:, None] ^ apart[None, :], "disconnected", "")[:60, :60]
    got = identify(graph, np.where(graph == "", "identified", "prior"), linear=np.full((60, 60), 2))
    assert set(np.unique(got.reason)) == {"", "model_identified"}


def asked(comparisons):
    """Pairs with the wins of either side, by plain counting."""
    keys, counts = comparisons.pair_counts(())
    return keys, keys[:, -2:], counts[:, 0] + counts[:, 2] / 2, counts[:, 1] + counts[:, 2] / 2
