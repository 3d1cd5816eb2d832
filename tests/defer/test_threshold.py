"""Break-even costs, decisions and the value of escalating, against closed forms, programs and enumeration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from bayespref.defer.scores import scores
from bayespref.defer.threshold import DECISIONS, break_even, decide, escalation_value


def game_value(matrix, cost=None):
    """Value of min over pi of max(G pi); with ``cost``, deferring is one more column of that constant regret."""
    played = matrix if cost is None else np.c_[matrix, np.full(len(matrix), cost)]
    rows, columns = played.shape
    result = linprog(
        np.r_[np.zeros(columns), 1.0],
        A_ub=np.c_[played, -np.ones(rows)],
        b_ub=np.zeros(rows),
        A_eq=[np.r_[np.ones(columns), 0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * columns + [(None, None)],
    )
    assert result.status == 0
    return result.fun


def two_items(low, high):
    """Regret bounds of items 0 and 1 when d = r1 - r0 lies in [low, high]; [alternative, played]."""
    return np.array([[0.0, -low], [high, 0.0]])


def table(matrix):
    matrix = np.asarray(matrix, dtype=float)
    return break_even(scores(np.zeros((1, *matrix.shape)), matrix[None], np.array(game_value(matrix))))


@pytest.mark.parametrize("n_items", [2, 3, 5])
def test_no_data_breaks_even_at_one_for_a_pure_actor_and_one_minus_one_over_n_at_random(n_items):
    result = table(1.0 - np.eye(n_items))
    assert result.set_random == pytest.approx(1 - 1 / n_items, abs=1e-9)
    assert result.set_pure == 1.0


def test_two_items_with_an_interval_around_zero():
    result = table(two_items(-0.3, 0.6))
    assert result.set_random == pytest.approx(0.2, abs=1e-9)
    assert result.set_pure == pytest.approx(0.3)


@pytest.mark.parametrize(("difference", "value"), [(0.8, 0.0), (0.2, 0.182), (0.0, 0.2)])
def test_one_state_two_types_one_unseen(difference, value):
    # Type 0 (weight .6) has a known difference, type 1 (weight .4) is unseen.
    matrix = 0.6 * two_items(difference, difference) + 0.4 * two_items(-1, 1)
    assert table(matrix).set_random == pytest.approx(value, abs=1e-9)


def test_components_of_two_and_one_items():
    assert table([[0, -0.5, 0.5], [0.5, 0, 1], [1, 0.5, 0]]).set_random == pytest.approx(1 / 3, abs=1e-9)


def test_two_states_with_a_shared_deployment_break_even_at_0128_and_016():
    # Joint weights [[.3, .2], [.4, .1]]; the cell (0, 1) is unseen.
    first = (0.3 * two_items(0.4, 0.4) + 0.2 * two_items(-1, 1)) / 0.5
    second = (0.4 * two_items(-0.2, -0.2) + 0.1 * two_items(0.6, 0.6)) / 0.5
    one, two = table(first), table(second)
    assert one.set_random == pytest.approx(0.128, abs=1e-9)
    assert 0.5 * one.set_pure == pytest.approx(0.08)
    assert two.set_random == pytest.approx(0.0, abs=1e-9)
    assert two.set_pure == pytest.approx(0.0)


@pytest.mark.parametrize(("q", "regret"), [(0.0, 0.2), (0.25, 0.15), (0.5, 0.1)])
def test_randomising_halves_two_worlds_and_no_more(q, regret):
    # Two items tied except on a share .2 where their gap is 1 in an unknown direction.
    matrix = 0.2 * two_items(-1, 1)
    assert (matrix @ [1 - q, q]).max() == pytest.approx(regret)
    assert table(matrix).set_random == pytest.approx(0.1, abs=1e-9)


@given(st.integers(0, 1000), st.floats(0, 2))
def test_deferral_as_an_extra_action_gives_the_smaller_of_value_and_cost(seed, cost):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=3)
    matrix = rewards[:, None] - rewards[None] + rng.exponential(size=(3, 3)) * (1 - np.eye(3))
    assert game_value(matrix, cost) == pytest.approx(min(game_value(matrix), cost), abs=1e-8)


def test_unseen_cell_is_cleared_by_chow_and_deferred_by_the_set_score():
    for flag, decision in [(None, "act"), (np.array("no_data"), "defer"), (np.array("disconnected"), "defer")]:
        chow = decide(np.array(1 / 6), np.array(0), c_defer=0.2, rule="chow", value=np.array(0.5), flag=flag)
        assert chow.decision == decision
    assert decide(np.array(1.0), np.array(0), c_defer=0.2, value=np.array(0.5)).decision == "defer"


@pytest.mark.parametrize("rule", ["chow", "credible"])
@pytest.mark.parametrize("flag", ["no_data", "disconnected"])
@pytest.mark.parametrize("value", [None, np.nan, 0.21])
def test_draws_alone_clear_no_unidentified_region(rule, flag, value):
    known = None if value is None else np.array([value])
    result = decide(np.array([0.0]), np.array([1]), c_defer=0.2, rule=rule, value=known, flag=np.array([flag]))
    assert result.decision[0] == "defer"
    assert result.reason[0] == flag
    assert result.action[0] == -1


def test_draws_clear_a_flagged_region_whose_value_is_small():
    result = decide(
        np.array([0.1]), np.array([1]), c_defer=0.2, rule="chow", value=np.array([0.0]), flag=np.array(["no_data"])
    )
    assert result.decision[0] == "act"


def test_act_includes_equality_and_excludes_everything_undefined():
    score = np.array([0.2, np.nextafter(0.2, 1), np.nan, np.inf, 0.0, 0.0])
    action = np.array([0, 0, 0, 0, -1, 0])
    cost = np.array([0.2, 0.2, 0.2, 0.2, 0.2, np.nan])
    result = decide(score, action, c_defer=cost)
    assert result.decision.tolist() == ["act", *["defer"] * 5]
    assert result.reason.tolist() == [
        "score_below_threshold",
        "score_above_threshold",
        "missing_value",
        "score_above_threshold",
        "missing_value",
        "not_certified",
    ]
    np.testing.assert_array_equal(result.cost, [0.2, 0.2, 0.2, 0.2, 0.2, np.nan])


_number = st.one_of(st.floats(0, 1), st.sampled_from([0.25, 0.5, np.nan, np.inf]))


@given(
    score=_number,
    c_defer=st.sampled_from([0.0, 0.25, 0.5]),
    value=st.one_of(st.floats(0, 1), st.just(np.nan)),
    standing=_number,
    price=st.floats(0, 1),
    share=st.floats(0, 1),
    flag=st.sampled_from(["", "no_data", "disconnected", "thin"]),
    rule=st.sampled_from(["chow", "credible", "set_pure"]),
)
def test_decisions_match_an_enumeration_of_all_ways_out(score, c_defer, value, standing, price, share, flag, rule):
    drop = 0.0 if np.isnan(value) else share * value
    result = decide(
        np.array([score]),
        np.array([2]),
        c_defer=c_defer,
        rule=rule,
        value=np.array([value]),
        flag=np.array([flag]),
        fallback=np.array([1]),
        fallback_score=np.array([standing]),
        c_escalate=price,
        guaranteed_drop=np.array([drop]),
    )
    ways = {"defer": c_defer}
    if standing == standing:
        ways["fallback"] = standing
    if value == value:
        ways["escalate"] = price + value - drop
    expected, cost = min(ways.items(), key=lambda item: item[1])
    trusted = rule == "set_pure" or flag not in ("no_data", "disconnected") or value <= c_defer
    if score <= c_defer and trusted:
        expected, cost = "act", score
    assert result.decision[0] == expected
    assert result.cost[0] == pytest.approx(cost)
    assert result.action[0] == {"act": 2, "fallback": 1}.get(expected, -1)
    assert (result.reason[0] == "score_below_threshold") == (expected == "act")


def test_decisions_keep_the_shape_of_the_regions():
    result = decide(np.zeros((2, 3)), np.zeros((2, 3), dtype=int), c_defer=0.1)
    assert result.decision.shape == result.action.shape == result.cost.shape == (2, 3)
    assert set(result.decision.ravel()) <= set(DECISIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c_defer": -0.1}, "c_defer"),
        ({"c_defer": np.inf}, "c_defer"),
        ({"rule": "bold"}, "rule"),
        ({"flag": np.array(["nonsense"])}, "nonsense"),
        ({"fallback": np.array([0])}, "both or neither"),
        ({"c_escalate": 0.1}, "V is needed"),
        ({"guaranteed_drop": 0.1}, "c_escalate"),
        ({"value": np.array([0.1]), "c_escalate": 0.1, "guaranteed_drop": 0.2}, "by more than V itself"),
        ({"action": np.array([-2])}, "item codes"),
        ({"action": np.array([0, 1])}, "one entry a region"),
        ({"value": np.array([0.1, 0.2])}, "value"),
        ({"c_defer": np.array([0.1, 0.2])}, "c_defer"),
    ],
)
def test_bad_costs_and_shapes_are_refused_by_name(change, message):
    arguments = {"score": np.array([0.1]), "action": np.array([0]), "c_defer": 0.2, **change}
    with pytest.raises(ValueError, match=message):
        decide(arguments.pop("score"), arguments.pop("action"), **arguments)


def three_items_given(t):
    """V of three items of range 1 after the difference r0 - r1 = t became known, by linear program."""
    offsets = np.array([max(t, 0.0), max(-t, 0.0)])
    low, high = offsets, 1 - abs(t) + offsets
    matrix = np.zeros((3, 3))
    matrix[0, 1], matrix[1, 0] = t, -t
    for k in range(2):
        matrix[k, 2], matrix[2, k] = high[k], 1 - low[k]
    return game_value(matrix)


def test_one_label_among_three_unseen_items_saves_a_sixth_at_least():
    # Worst case t = 0: two blocks remain, V = 1/2, so the drop from 2/3 is 1/6 (the grid of 41 points holds t = 0).
    grid = np.linspace(-1, 1, 41)
    given_ = np.array([three_items_given(t) for t in grid])[:, None]
    exact = escalation_value(np.array([2 / 3]), given_, np.array([-1.0]), np.array([1.0]), n_grid=41, lipschitz=0)
    assert exact.drop[0] == pytest.approx(1 / 6, abs=1e-8)
    assert exact.worst_difference[0] == pytest.approx(0.0, abs=1e-12)
    careful = escalation_value(np.array([2 / 3]), given_, np.array([-1.0]), np.array([1.0]), n_grid=41)
    assert careful.drop[0] == pytest.approx(1 / 6 - 0.025, abs=1e-8)


@given(st.integers(2, 12), st.floats(-0.9, 0.9))
def test_a_coarse_grid_never_promises_more_than_the_worst_difference_saves(n_grid, peak):
    def value_given(t):
        return np.maximum(0.5 - np.abs(t - peak), 0.0)  # 1-Lipschitz with its maximum .5 between grid points

    promised = escalation_value(np.array([0.8]), value_given, np.array([-1.0]), np.array([1.0]), n_grid=n_grid)
    assert promised.drop[0] <= 0.3 + 1e-12


def test_an_undefined_value_promises_nothing_and_crossed_bounds_are_refused():
    one = np.array([1.0])
    undefined = escalation_value(0.5 * one, lambda t: np.where(t > 0.5, np.nan, 0.0), -one, one)
    assert np.isnan(undefined.drop[0])
    with pytest.raises(ValueError, match="crossed"):
        escalation_value(0.5 * one, lambda t: 0 * t, one, -one)
    with pytest.raises(ValueError, match="value_given"):
        escalation_value(0.5 * one, np.zeros((3, 1)), -one, one)
