"""What one label would save: closed forms, linear programs for every value it could reveal, and a fitted table."""

import numpy as np
import pytest
from scipy.optimize import linprog

from bayespref import workflow
from bayespref.comparisons import from_codes
from bayespref.workflow.escalating import edge_drop, escalation


def program(low, high, component, offsets, weights):
    """V of one draw by a linear program; offsets and components by type, range [low, high]."""
    n_types, n = offsets.shape
    game = np.zeros((n, n))
    for c in range(n_types):
        lower, upper = np.empty(n), np.empty(n)
        for a in range(n):
            mates = [j for j in range(n) if component[c, j] == component[c, a]]
            lower[a] = low + offsets[c, a] - min(offsets[c, mates])
            upper[a] = high - (max(offsets[c, mates]) - offsets[c, a])
        for a, b in np.ndindex(n, n):
            same = component[c, a] == component[c, b]
            game[a, b] += weights[c] * (offsets[c, a] - offsets[c, b] if same else upper[a] - lower[b])
    solved = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.c_[game, -np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=[[*np.ones(n), 0.0]],
        b_eq=[1.0],
        bounds=[(0, 1)] * n + [(None, None)],
    )
    return solved.fun


@pytest.mark.parametrize("seed", range(4))
def test_the_drop_is_what_programs_over_every_value_guarantee(seed):
    rng = np.random.default_rng(seed)
    component = np.array([[0, 0, 1, 2], [0, 1, 1, 1]])
    offsets = rng.uniform(0, 0.8, size=(2, 4))
    weights = rng.dirichlet(np.ones(2))
    value, drop = edge_drop(
        offsets[None], component, weights[None], (0, 1, 2), offered=np.arange(4), reward_range=(0.0, 1.0), n_grid=41
    )
    assert value == pytest.approx(program(0, 1, component, offsets, weights), abs=1e-7)
    # r(1) - r(2) for type 0: item 2 is alone, item 1 lies with item 0
    low_1 = offsets[0, 1] - offsets[0, :2].min()
    high_1 = 1 - (offsets[0, :2].max() - offsets[0, 1])
    worst = -np.inf
    joined = component.copy()
    joined[0, 2] = 0
    for t in np.linspace(low_1 - 1, high_1, 41):
        known = offsets.copy()
        known[0, 2] = known[0, 1] - t
        worst = max(worst, program(0, 1, joined, known, weights))
    spacing = (high_1 - low_1 + 1) / 40
    assert drop == pytest.approx(max(value - worst - spacing / 2, 0.0), abs=1e-6)
    assert drop < value


def test_a_label_that_joins_the_last_two_components_leaves_nothing_to_lose():
    """Design notes, oracle 6: {0, 1} with a gap of .5 and {2}: V = 1/3, and 0 once they are joined."""
    value, drop = edge_drop(
        np.array([[[0.0, 0.5, 0.0]]]),
        np.array([[0, 0, 1]]),
        np.ones((1, 1)),
        (0, 1, 2),
        offered=np.arange(3),
        reward_range=(0.0, 1.0),
        n_grid=1501,
    )
    assert value == pytest.approx(1 / 3)
    assert drop == pytest.approx(1 / 3, abs=1e-3)


@pytest.fixture(scope="module")
def blocks():
    """Two blocks of three items that were never compared with each other."""
    a = np.array([0, 0, 1, 3, 3, 4] * 10)
    b = np.array([1, 2, 2, 4, 5, 5] * 10)
    outcome = np.tile([0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1], 5)
    items = [f"left {i}" for i in range(3)] + [f"right {i}" for i in range(3)]
    tree = workflow.run(from_codes(a, b, outcome, items=items), rng_key=0, progress=False)
    return workflow.analyse(tree, reward_range=(-3.0, 3.0))


def test_one_bridge_lets_the_table_act_and_nothing_else_is_asked(blocks):
    assert workflow.policy(blocks, c_defer=1.0).to_table()["decision"].tolist() == ["defer"]
    table = escalation(blocks, c_defer=1.0, c_escalate=0.1)
    assert table[["state", "item_a", "item_b"]].values.tolist() == [["all", "left 0", "right 0"]]
    row = table.iloc[0]
    assert row["stops_deferring"]
    assert row["value"] == pytest.approx(float(blocks["defer"]["value_identified"][0]), rel=0.1)
    assert row["value_after"] == pytest.approx(row["value"] - row["drop"])
    assert row["value_after"] < 0.1  # joined, every difference is a point; what is left is half a grid step
    assert row["gain"] == pytest.approx(row["drop"] - 0.1)


def test_a_label_dearer_than_what_it_saves_is_not_queued_unless_it_serves_many_decisions(blocks):
    assert escalation(blocks, c_defer=1.0, c_escalate=9.0).empty
    often = escalation(blocks, c_defer=1.0, c_escalate=9.0, frequency={"all": 100.0})
    assert len(often) == 1
    with pytest.raises(ValueError, match="c_defer"):
        escalation(blocks, c_defer=np.nan, c_escalate=0.1)
