"""Declared assumptions, labelled: against dense linear programs written out here, closed forms and simulated truth."""

import itertools
import json
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from bayespref.bounds import bounds
from bayespref.bounds.evidence import Evidence, evidence_of_estimate, evidence_of_tree
from bayespref.bounds.labelled import assume, sweep
from bayespref.bounds.regions import bounds_dataset, draw_bounds
from bayespref.bounds.regret import minimax_regret, policy_lower_bound, regret_from_offsets, two_world_certificate
from bayespref.errors import DroppedDraws, InfeasibleRestrictionError, NotSharp
from bayespref.fit.maximum_likelihood import maximum_likelihood
from bayespref.simulate.scenarios import blind_spot

CELL = ("state", "type", "item")
RHO = np.array([[0.0, 1.0], [1.0, 0.0]])


def evidence(draws, component, compared=None, items=None):
    """Evidence of plain arrays: draws (draw, state, type, item)."""
    draws = np.asarray(draws, dtype=float)
    coords = {
        "state": [f"s{i}" for i in range(draws.shape[1])],
        "type": [f"c{i}" for i in range(draws.shape[2])],
        "item": items or [f"x{i}" for i in range(draws.shape[3])],
    }
    pairs = None if compared is None else xr.DataArray(compared, dims=(*CELL, "item_other"))
    return Evidence(
        xr.DataArray(draws, dims=("draw", *CELL), coords=coords),
        xr.DataArray(np.asarray(component), dims=CELL, coords=coords),
        pairs,
    )


class Oracle:
    """All rewards of one draw as a dense program: rows over (state, type, item), written from the definitions."""

    def __init__(self, draw, component, assumptions, reward_range=(0.0, 1.0), compared=None):
        self.shape, self.range = draw.shape, reward_range
        self.rows, self.limit = [], []
        index = np.arange(draw.size).reshape(draw.shape)
        n_states, n_types, n_items = draw.shape
        gamma = assumptions.get("gamma")
        for s, c in np.ndindex(n_states, n_types):
            for a, b in itertools.permutations(range(n_items), 2):
                apart = component[s, c, a] != component[s, c, b]
                if apart or (gamma is not None and not compared[s, c, a, b]):
                    continue
                slack = 0.0 if gamma is None else np.log(gamma)
                self.add([index[s, c, a]], [index[s, c, b]], draw[s, c, a] - draw[s, c, b] + slack)
        states, types, items = range(n_states), range(n_types), range(n_items)
        for name, value in assumptions.items():
            if name == "level_type_effect":
                for s, a in itertools.product(states, items):
                    for c, e in itertools.permutations(types, 2):
                        self.add([index[s, c, a]], [index[s, e, a]], value)
            elif name == "level_lipschitz":
                for c, a in itertools.product(types, items):
                    for s, t in itertools.permutations(states, 2):
                        self.add([index[s, c, a]], [index[t, c, a]], value[0] * value[1][s, t])
            elif name == "item_order":
                for (better, worse), s, c in itertools.product(itertools.pairwise(value), states, types):
                    self.add([index[s, c, int(worse[1:])]], [index[s, c, int(better[1:])]], 0.0)
            elif name == "contrast_type_effect":
                for s, (c, e), (a, b) in itertools.product(
                    states, itertools.permutations(types, 2), itertools.permutations(items, 2)
                ):
                    self.add([index[s, c, a], index[s, e, b]], [index[s, c, b], index[s, e, a]], value)
            elif name == "contrast_lipschitz":
                for c, (s, t), (a, b) in itertools.product(
                    types, itertools.permutations(states, 2), itertools.permutations(items, 2)
                ):
                    limit = value[0] * value[1][s, t]
                    self.add([index[s, c, a], index[t, c, b]], [index[s, c, b], index[t, c, a]], limit)
            elif name == "interaction":
                for (s, t), (c, e), (a, b) in itertools.product(
                    itertools.permutations(states, 2),
                    itertools.permutations(types, 2),
                    itertools.permutations(items, 2),
                ):
                    plus = [index[s, c, a], index[t, c, b], index[s, e, b], index[t, e, a]]
                    minus = [index[s, c, b], index[t, c, a], index[s, e, a], index[t, e, b]]
                    self.add(plus, minus, value)
        self.index = index

    def add(self, plus, minus, limit):
        row = np.zeros(int(np.prod(self.shape)))
        np.add.at(row, plus, 1.0)
        np.add.at(row, minus, -1.0)
        self.rows.append(row)
        self.limit.append(limit)

    def largest(self, weights):
        """Largest value of a linear function over all worlds; None if there is no world."""
        rows = np.array(self.rows) if self.rows else None
        limit = np.array(self.limit) + 1e-11 if self.rows else None
        solved = linprog(-np.ravel(weights), A_ub=rows, b_ub=limit, bounds=[self.range] * len(np.ravel(weights)))
        return -solved.fun if solved.status == 0 else None

    def upper(self, s, c, a, b):
        weights = np.zeros(self.shape)
        weights[s, c, a] += 1.0
        weights[s, c, b] -= 1.0
        return self.largest(weights)


def world(rng, shape=(2, 2, 3)):
    """A random draw inside [0, 1] with random components, some items alone."""
    draw = rng.uniform(0, 1, shape)
    component = rng.integers(0, 2, shape) + 2 * (rng.uniform(size=shape) < 0.2) * np.arange(1, shape[2] + 1)
    same = component[..., :, None] == component[..., None, :]
    return draw, component, same & ~np.eye(shape[2], dtype=bool)


def enough(name, draw):
    """A parameter at which the truth itself satisfies the assumption, so that a world exists."""
    d = draw[..., :, None] - draw[..., None, :]
    return {
        "level_type_effect": lambda: float(np.ptp(draw, axis=1).max()),
        "level_lipschitz": lambda: (float(np.ptp(draw, axis=0).max()), RHO),
        "contrast_type_effect": lambda: float(np.ptp(d, axis=1).max()),
        "contrast_lipschitz": lambda: (float(np.ptp(d, axis=0).max()), RHO),
        "interaction": lambda: float(np.abs(d[0, 0] - d[0, 1] - d[1, 0] + d[1, 1]).max()),
        "gamma": lambda: 1.3,
    }[name]()


@pytest.mark.parametrize(
    "names",
    [
        ("level_type_effect",),
        ("level_lipschitz",),
        ("gamma",),
        ("level_type_effect", "level_lipschitz", "gamma"),
        ("contrast_type_effect",),
        ("contrast_lipschitz",),
        ("interaction",),
        ("interaction", "level_type_effect"),
    ],
    ids="+".join,
)
def test_bounds_under_every_assumption_equal_a_dense_program_and_hold_the_truth(names):
    rng = np.random.default_rng(len("".join(names)))
    for _ in range(2):
        draw, component, compared = world(rng)
        assumptions = {name: enough(name, draw) for name in names}
        found = assume(evidence(draw[None], component, compared), assumptions, breakdown_draws=0)
        oracle = Oracle(draw, component, assumptions, compared=compared)
        expected = np.array([oracle.upper(*i) for i in np.ndindex(2, 2, 3, 3)]).reshape(2, 2, 3, 3)
        np.testing.assert_allclose(found["difference_upper"].values, expected, atol=1e-8)
        np.testing.assert_allclose(found["difference_lower"].values, -np.swapaxes(expected, -1, -2), atol=1e-8)
        for end, sign in (("level_upper", 1.0), ("level_lower", -1.0)):
            levels = [sign * oracle.largest(sign * unit.reshape(draw.shape)) for unit in np.eye(draw.size)]
            np.testing.assert_allclose(found[end].values.ravel(), levels, atol=1e-8)
        assert (found["level_lower"].values <= draw + 1e-9).all()
        assert (found["level_upper"].values >= draw - 1e-9).all()
        assert found.attrs["sharp"] == 1
        assert len(json.loads(found.attrs["assumptions"])) == 1 + len(names)


@pytest.mark.parametrize(
    "name", ["level_type_effect", "level_lipschitz", "gamma", "contrast_type_effect", "interaction"]
)
def test_breakdown_is_where_a_dense_program_first_gives_another_action_regret(name):
    rng = np.random.default_rng(5)
    checked = 0
    for _ in range(4):
        draw, component, compared = world(rng, (2, 2, 2) if name != "gamma" else (1, 1, 3))
        if name == "gamma":
            component, compared = np.zeros((1, 1, 3), dtype=int), np.ones((1, 1, 3, 3), bool) & ~np.eye(3, dtype=bool)
        value = enough(name, draw)
        found = assume(evidence(draw[None], component, compared), {name: value})
        smallest = float(found["smallest_feasible"].squeeze())

        def oracle(t, name=name, draw=draw, component=component, compared=compared, value=value):
            declared = (t, value[1]) if isinstance(value, tuple) else t
            return Oracle(draw, component, {name: declared}, compared=compared)

        if smallest > (1.0 if name == "gamma" else 0.0) + 1e-6:
            assert oracle(smallest - 1e-6).largest(np.zeros(draw.shape)) is None
        assert oracle(smallest + 1e-6).largest(np.zeros(draw.shape)) is not None
        for s, c in np.ndindex(*draw.shape[:2]):
            n = draw.shape[2]

            def regret(t, s=s, c=c, n=n, oracle=oracle):
                """Smallest largest regret of a deterministic action: zero exactly where V is."""
                here = oracle(t)
                return min(max(here.upper(s, c, b, a) for b in range(n)) for a in range(n))

            value_here = float(found["breakdown"].isel(state=s, type=c).squeeze())
            if np.isnan(value_here):
                assert regret(smallest + 1e-6) > 0
            elif np.isinf(value_here):
                assert regret(smallest + 3.0) <= 1e-8
            else:
                assert regret(value_here - 1e-6) <= 1e-7
                assert regret(value_here + 1e-5) > 1e-8
                checked += 1
    assert checked >= 2


def test_oracle_9_lipschitz_levels_and_their_breakdown():
    draw = [[[[0.0, 0.6]], [[0.0, 0.0]]]]
    for slope, expected in ((0.1, (0.4, 0.8)), (0.2, (0.2, 1.0)), (0.3, (0.0, 1.0))):
        found = assume(evidence(draw, [[[0, 0]], [[0, 1]]]), {"level_lipschitz": (slope, RHO)})
        pair = {"state": "s1", "item": "x1", "item_other": "x0"}
        ends = [float(found[f"difference_{end}"].sel(pair).squeeze()) for end in ("lower", "upper")]
        np.testing.assert_allclose(ends, expected, atol=1e-12)
        assert float(found["breakdown"].sel(state="s1").squeeze()) == pytest.approx(0.3, abs=1e-9)
        assert np.isinf(found["breakdown"].sel(state="s0")).all()
        assert float(found["value"].sel(state="s1").squeeze()) == pytest.approx(0.0, abs=1e-12)
        assert float(found["value_without"].sel(state="s1").squeeze()) == pytest.approx(0.5, abs=1e-9)
    loose = assume(evidence(draw, [[[0, 0]], [[0, 1]]]), {"level_lipschitz": (0.4, RHO)})
    # d in [-.2, 1]: V = -l u / (u - l)
    assert float(loose["value"].sel(state="s1").squeeze()) == pytest.approx(0.2 / 1.2, abs=1e-9)


def test_oracle_11_no_interaction_identifies_the_fourth_cell():
    draw = np.array([[[0.0, 0.5], [0.0, 0.2]], [[0.0, 0.4], [0.0, 0.0]]])
    component = np.array([[[0, 0], [0, 0]], [[0, 0], [0, 1]]])
    pair = {"state": "s1", "type": "c1", "item": "x1", "item_other": "x0"}
    for eta in (0.0, 0.05):
        found = assume(evidence(draw[None], component), {"interaction": eta}, contrasts=[("x1", "x0")])
        assert float(found["difference_lower"].sel(pair)) == pytest.approx(0.1 - eta, abs=1e-9)
        assert float(found["difference_upper"].sel(pair)) == pytest.approx(0.1 + eta, abs=1e-9)
        sign = found["contrast_breakdown"].sel(contrast="x1 - x0", state="s1", type="c1")
        assert float(sign.squeeze()) == pytest.approx(0.1, abs=1e-9)


def test_gamma_of_one_pair_is_its_log_odds_plus_minus_log_gamma_and_breaks_at_its_odds():
    draw, compared = np.array([[[[0.0, 0.7]]]]), np.ones((1, 1, 2, 2), bool)
    found = assume(evidence(draw, [[[0, 0]]], compared), {"gamma": 1.5}, reward_range=(0, 2), contrasts=[("x0", "x1")])
    pair = {"item": "x1", "item_other": "x0"}
    ends = [float(found[f"difference_{end}"].sel(pair).squeeze()) for end in ("lower", "upper")]
    np.testing.assert_allclose(ends, [0.7 - np.log(1.5), 0.7 + np.log(1.5)], atol=1e-12)
    for name in ("breakdown", "contrast_breakdown"):
        assert float(found[name].squeeze()) == pytest.approx(np.exp(0.7), abs=1e-8)
    assert float(found["share_certain"].squeeze()) == 1.0


def test_an_order_adds_only_what_it_says():
    draw, component = np.zeros((1, 1, 1, 3)), [[[0, 1, 2]]]
    found = assume(evidence(draw, component), {"item_order": ["x2", "x0"]})
    upper = found["difference_upper"].values[0, 0]
    np.testing.assert_array_equal(upper, [[0, 1, 0], [1, 0, 1], [1, 1, 0]])
    two = assume(evidence(draw, component), {"item_order": [["x2", "x0"], ["x0", "x1"]]})
    np.testing.assert_array_equal(two["difference_upper"].values[0, 0], [[0, 1, 0], [0, 0, 0], [1, 1, 0]])
    assert "x2 at least as good as x0" in two.attrs["assumptions"]
    assert float(two["value"].squeeze()) == 0.0
    assert "breakdown" not in two or two["breakdown"].size == 0


def test_no_assumption_gives_the_plain_bounds_and_so_do_infinitely_weak_ones():
    rng = np.random.default_rng(2)
    draw, component, compared = world(rng)
    draws = draw + 0.01 * rng.normal(size=(7, *draw.shape))
    plain = draw_bounds(draws, component, np.arange(3), (-1.0, 2.0), "raise")
    coords = evidence(draws, component)
    expected = bounds_dataset(plain, coords.component, np.arange(3), range_policy="raise", level=0.9)
    weak = {"level_type_effect": 3.0, "level_lipschitz": (3.0, RHO)}
    for assumptions in ({}, weak, {"gamma": 1.0}):
        complete = evidence(draws, component, compared)
        found = assume(complete, assumptions, reward_range=(-1.0, 2.0), range_policy="raise", breakdown_draws=0)
        for name in expected:
            np.testing.assert_allclose(found[name].values, expected[name].values, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(found["value"], found["value_without"], atol=1e-9)
        assert found.attrs["share_refuted"] == 0.0


@given(st.integers(0, 10_000), st.sampled_from(["level_type_effect", "level_lipschitz", "gamma"]))
@settings(max_examples=15)
def test_bounds_of_a_draw_nest_and_regret_grows_as_an_assumption_weakens(seed, name):
    rng = np.random.default_rng(seed)
    draw, component, compared = world(rng)
    top = {"level_lipschitz": (9.0, RHO)}
    values = np.sort(rng.uniform(0, 1, 5)) + (1.0 if name == "gamma" else 0.0)
    held = {name: top[name]} if name in top else {}
    start = enough(name, draw)[0] if name in top else enough(name, draw)
    found = sweep(evidence(draw[None], component, compared), held, name, [*values, max(start, values.max())])
    found = found.isel(parameter=found["share_refuted"].values == 0.0)
    assert found.sizes["parameter"] >= 1
    assert (found["difference_upper"].diff("parameter").values >= -1e-12).all()
    assert (found["level_lower"].diff("parameter").values <= 1e-12).all()
    assert (found["value"].diff("parameter").values >= -1e-9).all()
    if name != "gamma":  # Gamma takes something back from the data; the others add to them
        assert (found["value"] <= found["value_without"] + 1e-9).all()


def test_draws_that_refute_are_left_out_counted_and_the_clash_is_named_in_labels():
    one = np.array([[[0.0, 0.5], [0.0, 0.4]]])
    far = np.array([[[0.0, 0.9], [0.0, 0.1]]])
    draws = np.stack([one, one, one, far])
    given_ = evidence(draws, [[[0, 0], [0, 0]]], items=["bread", "rice"])
    with pytest.warns(DroppedDraws, match=r"25.0% of draws refute .*r\(s0, c1, rice\)"):
        found = assume(given_, {"level_type_effect": 0.1})
    assert found.attrs["share_refuted"] == 0.25
    assert "conditional on the 75.00% of draws" in found.attrs["assumptions"]
    pair = {"type": "c0", "item": "rice", "item_other": "bread"}
    assert float(found["difference_upper"].sel(pair).squeeze()) == pytest.approx(0.5)
    # The levels of both rewards give way, so a difference that moves by 0.1 (0.8) needs kappa of half of it.
    assert float(found["smallest_feasible"].squeeze()) == pytest.approx(0.05)
    with pytest.raises(InfeasibleRestrictionError, match=r"levels differ at most 0\.1 between types: r\(s0, c") as stop:
        assume(given_, {"level_type_effect": 0.1}, on_refuted="raise")
    assert stop.value.share_of_draws == 0.25
    assert {line.split(":")[0] for line in stop.value.constraints} == {
        "levels differ at most 0.1 between types",
        "differences identified by the data",
    }
    for name in ("level_type_effect", "contrast_type_effect"):
        with pytest.raises(InfeasibleRestrictionError, match=r"r\(s0, c1, bread\)") as stop:
            assume(given_, {name: 0.0})
        assert stop.value.share_of_draws == 1.0


def test_types_that_are_tied_make_the_blind_regret_an_upper_bound_and_say_so():
    draw = np.array([[[[0.0, 0.3], [0.0, 0.0]]]])
    given_ = evidence(draw, [[[0, 0], [0, 1]]])
    with pytest.warns(NotSharp, match="upper bound"):
        found = assume(given_, {"level_type_effect": 0.4}, regions="state", type_weights=np.array([0.5, 0.5]))
    assert (found.attrs["value_sharp"], found.attrs["sharp"]) == (0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loose = assume(given_, {"gamma": 1.0} | {}, regions="state_type") if given_.compared is not None else None
        order = assume(given_, {"item_order": ["x1", "x0"]}, regions="state", type_weights=np.array([0.5, 0.5]))
        seen = assume(given_, {"level_type_effect": 0.4})
    assert loose is None
    assert (order.attrs["value_sharp"], seen.attrs["value_sharp"]) == (1, 1)
    # The breakdown is exact even here: welfare of x1 minus x0 is .15 + d/2, and d >= .3 - 2 kappa.
    assert float(found["breakdown"].squeeze()) == pytest.approx(0.3, abs=1e-9)
    # d in [-.5, 1] of the unseen type: contrast in [-.1, .65], V = -l u / (u - l).
    assert float(found["value"].squeeze()) == pytest.approx(0.1 * 0.65 / 0.75, abs=1e-9)


def test_breakdowns_are_summarised_over_draws_with_infinities_kept():
    draws = np.array([0.1, 0.2, 0.3, 0.4])[:, None, None, None] * np.array([[[0.0, 1.0]]])
    found = assume(evidence(draws, [[[0, 0]]], np.ones((1, 1, 2, 2), bool)), {"gamma": 1.25})
    np.testing.assert_allclose(found["breakdown"].squeeze(), np.exp(0.2), atol=1e-8)
    np.testing.assert_allclose(found["breakdown_lower"].squeeze(), np.exp(0.1), atol=1e-8)
    np.testing.assert_allclose(found["breakdown_upper"].squeeze(), np.exp(0.4), atol=1e-8)
    assert float(found["share_certain"].squeeze()) == 0.5
    assert str(found["parameter"].values[0]) == "Gamma"
    point = assume(evidence(draws, [[[0, 0]]]), {"level_type_effect": 0.1})
    assert np.isinf(point["breakdown"]).all()
    nothing = assume(evidence(draws, [[[0, 1]]]), {"level_type_effect": 0.1})
    assert np.isnan(nothing["breakdown"]).all()
    assert float(nothing["share_certain"].squeeze()) == 0.0
    assert float(nothing["value"].squeeze()) == pytest.approx(0.5)


def tree_of(draws, component, pairs):
    """The groups an analysed tree has, as far as the stage reads them; ``pairs`` are rows (state, a, b, count)."""
    given_ = evidence(draws, component)
    posterior = xr.Dataset({"reward": given_.reward.expand_dims("chain")})
    n_types = draws.shape[2]
    posterior["type_weight"] = (("chain", "draw", "type"), np.full((1, len(draws), n_types), 1.0 / n_types))
    pairs = np.asarray(pairs)
    fit = xr.Dataset(
        {
            "expected_count": (("type", "question", "outcome"), np.repeat(pairs[:, 3:].T[..., None], n_types, 0) / 1.0),
            "question_state": ("question", pairs[:, 0]),
            "question_a": ("question", pairs[:, 1]),
            "question_b": ("question", pairs[:, 2]),
            "outcome_code": ("outcome", np.array([0])),
        }
    )
    n_states, n_items = draws.shape[1], draws.shape[3]
    graph = xr.Dataset(
        {
            "type_component": (CELL, component),
            "is_chosen": ("item", np.arange(n_items) < 2),
            "present": (("state", "item"), np.ones((n_states, n_items), bool)),
        },
        coords=given_.reward.drop_vars("draw", errors="ignore").coords,
        attrs={"n_min": 1.0},
    )
    plain = draw_bounds(draws, component, np.arange(2), (0.0, 1.0), "raise")
    before = bounds_dataset(plain, given_.component.isel(item=slice(2)), np.arange(2), range_policy="raise", level=0.8)
    groups = {"posterior": posterior, "fit": fit, "graph": graph, "bounds": before}
    tree = xr.DataTree.from_dict(groups)
    tree.attrs["bayespref"] = "{}"
    return tree


def test_the_tree_keeps_every_other_group_and_gets_bounds_under_its_own_range_items_and_level():
    rng = np.random.default_rng(3)
    draws = np.array([[[0.0, 0.5, 0.2]], [[0.0, 0.3, 0.0]]]) + 0.01 * rng.normal(size=(60, 2, 1, 3))
    tree = tree_of(
        draws - draws.min() + 0.1, np.array([[[0, 0, 0]], [[0, 0, 2]]]), [[0, 0, 1, 9], [0, 1, 2, 9], [1, 0, 1, 9]]
    )
    result = bounds(tree, {"gamma": 1.1}, max_draws=20, breakdown_draws=5)
    assert result["bounds"]["item"].values.tolist() == ["x0", "x1"]
    assert result["bounds"].attrs["level"] == 0.8
    assert list(result["bounds"].attrs["reward_range"]) == [0.0, 1.0]
    assert result["bounds"].attrs["n_draws"] == 20
    assert json.loads(result["bounds"].attrs["declared"]) == {"gamma": 1.1}
    for name in ("posterior", "fit", "graph"):
        xr.testing.assert_identical(result[name].to_dataset(), tree[name].to_dataset())
    assert result.attrs == tree.attrs
    assert "breakdown" not in tree["bounds"]
    # Only pairs that were compared are tilted: x0 against x2 goes through x1 in state s0, at two tilts.
    compared = evidence_of_tree(tree).compared.values
    assert compared[0, 0].astype(int).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert compared[1, 0].astype(int).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    bare = xr.DataTree.from_dict({"posterior": tree["posterior"].to_dataset()})
    with pytest.raises(ValueError, match=r"lacks the group\(s\) \['fit', 'graph'\]"):
        bounds(bare, {})


@pytest.mark.parametrize(("d", "value"), [(0.8, 0.0), (0.2, 0.182), (0.0, 0.2)])
def test_oracle_5_a_tree_weighs_types_by_its_posterior_or_by_who_asked(d, value):
    draws = np.tile(np.array([[[0.0, d], [0.0, 0.0]]]), (5, 1, 1, 1))
    tree = tree_of(draws, np.array([[[0, 0], [0, 1]]]), [[0, 0, 1, 9]])
    posterior = tree["posterior"].to_dataset()
    posterior["type_weight"] = (("chain", "draw", "type"), np.tile([0.6, 0.4], (1, 5, 1)))
    posterior["prompt_prob"] = (("chain", "draw", "state", "type"), np.tile([[1.0, 0.0]], (1, 5, 1, 1)))
    groups = {name: tree[name].to_dataset() for name in ("fit", "graph", "bounds")}
    tree = xr.DataTree.from_dict({"posterior": posterior} | groups)
    blind = bounds(tree, {}, regions="state")["bounds"]
    assert blind["value"].dims == ("state",)
    assert float(blind["value"].squeeze()) == pytest.approx(value, abs=1e-9)
    logged = bounds(tree, {}, regions="state", type_weights="logged")["bounds"]
    assert float(logged["value"].squeeze()) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("assumptions", "settings_", "words"),
    [
        ({"typ_effect": 1.0}, {}, r"unknown name\(s\) \['typ_effect'\]"),
        ({"level_type_effect": -0.1}, {}, "kappa: must be >= 0"),
        ({"gamma": 0.9}, {}, "gamma"),
        ({"gamma": 2.0}, {}, "compared"),
        ({"level_lipschitz": 0.3}, {}, "pair"),
        ({"level_lipschitz": (0.3, np.zeros((3, 3)))}, {}, "distance"),
        ({"item_order": ["x0"]}, {}, "item_order"),
        ({"item_order": np.nan}, {}, "item_order: must be items, best first"),
        ({"item_order": [np.nan, "x0"]}, {}, "item_order: must be items, best first"),
        ({"level_type_effect": np.inf}, {}, "level_type_effect: kappa must be a finite number"),
        ({"interaction": "a"}, {}, "interaction: eta must be a finite number"),
        ({3: 1.0, "kappa": 1.0}, {}, r"unknown name\(s\) \[3, 'kappa'\]"),
        ({"item_order": ["x0", "x9"]}, {}, "x9"),
        ({}, {"items": ["x0"]}, "items"),
        ({}, {"contrasts": [("x0", "nobody")], "breakdown_draws": 1}, "nobody"),
        ({}, {"regions": "state"}, "type_weights"),
        ({}, {"regions": "nowhere"}, "regions"),
        ({}, {"on_refuted": "ignore"}, "on_refuted"),
    ],
)
def test_broken_input_is_named(assumptions, settings_, words):
    with pytest.raises(ValueError, match=words):
        assume(evidence(np.zeros((1, 2, 2, 2)), np.zeros((2, 2, 2), dtype=int)), assumptions, **settings_)


def test_a_sweep_without_a_parameter_or_without_a_world_is_an_error_and_partial_refutation_is_nan():
    refuted = evidence([[[[0.0, 0.9], [0.0, 0.1]]]], [[[0, 0], [0, 0]]])
    with pytest.raises(ValueError, match="no parameter"):
        sweep(refuted, {}, "item_order", [1.0])
    with pytest.raises(ValueError, match="values"):
        sweep(refuted, {}, "level_type_effect", [])
    with pytest.raises(InfeasibleRestrictionError, match="kappa"):
        sweep(refuted, {}, "level_type_effect", [0.0, 0.2])
    some = sweep(refuted, {}, "level_type_effect", [0.2, 0.5])
    assert np.isnan(some["difference_upper"].isel(parameter=0)).all()
    assert some["share_refuted"].values.tolist() == [1.0, 0.0]


def test_distances_with_labels_are_put_in_the_order_of_the_states():
    draw = np.array([[[[0.0, 0.6]], [[0.0, 0.2]], [[0.0, 0.0]]]])
    line = xr.DataArray(
        np.abs(np.subtract.outer([2.0, 0.0, 1.0], [2.0, 0.0, 1.0])),
        dims=("state", "other"),
        coords={"state": ["s2", "s0", "s1"], "other": ["s2", "s0", "s1"]},
    )
    found = assume(evidence(draw, [[[0, 0]], [[0, 1]], [[0, 1]]]), {"level_lipschitz": (0.1, line)})
    lower = found["difference_lower"].sel(type="c0", item="x1", item_other="x0").values
    np.testing.assert_allclose(lower, [0.6, 0.4, 0.2], atol=1e-12)


def test_an_estimate_gives_evidence_and_an_infinite_one_is_refused():
    blind = blind_spot(seed=1)
    found = evidence_of_estimate(maximum_likelihood(blind.comparisons, by=("state", "context")))
    assert found.reward.dims == ("draw", *CELL)
    same = found.component.values[..., :, None] == found.component.values[..., None, :]
    truth = blind.component[..., :, None] == blind.component[..., None, :]
    np.testing.assert_array_equal(same, truth)
    estimate = maximum_likelihood(blind.comparisons, by=("state", "context"))
    estimate["reason"][0, 0, 0, 1] = "separated"
    with pytest.raises(ValueError, match="separated"):
        evidence_of_estimate(estimate)


def test_two_worlds_of_the_blind_spot_agree_on_every_comparison_ever_asked():
    found = blind_spot(seed=1)
    table, (low, high) = found.comparisons, found.reward_range
    state, kind = int(np.argwhere(found.missing)[0, 0]), int(np.argwhere(found.missing)[0, 1])
    weights = np.array([0.5, 0.5])
    matrix, _ = regret_from_offsets(found.reward[state], found.component[state], weights, (low, high))
    pure = np.eye(4)[int(minimax_regret(matrix).pure_action)]
    pair = two_world_certificate(found.reward[state], found.component[state], weights, pure, (low, high))
    # Ten lines a reader can check: the two tables, the comparisons of the log, and sums.
    worlds = np.stack([found.reward, found.reward])
    worlds[0, state], worlds[1, state] = pair.rewards_low, pair.rewards_high
    asked = (table.state, table.context, table.item_a), (table.state, table.context, table.item_b)
    probability = 1.0 / (1.0 + np.exp(-(worlds[:, *asked[0]] - worlds[:, *asked[1]])))
    difference = np.abs(probability[0] - probability[1]).max()
    welfare = np.einsum("c,wca->wa", weights, worlds[:, state])
    regret = welfare.max(axis=1) - welfare @ pure
    assert difference <= 1e-12
    assert worlds.min() >= low - 1e-12
    assert worlds.max() <= high + 1e-12
    assert regret[1] - regret[0] == pytest.approx(float(pair.gap), abs=1e-12)
    assert regret[1] == pytest.approx(float((matrix @ pure).max()), abs=1e-9)
    assert regret[1] == pytest.approx(float(minimax_regret(matrix).pure_value), abs=1e-9)
    assert regret[1] > 1.0
    assert not np.array_equal(worlds[0, state, kind], worlds[1, state, kind])
    # And no policy escapes: worlds weighted by the dual weights give every action at least V.
    game = minimax_regret(matrix)
    proof = policy_lower_bound(found.reward[state], found.component[state], weights, game.weights, (low, high))
    by_hand = np.einsum("c,bca->ba", weights, proof.worlds)
    loss = by_hand.max(axis=1, keepdims=True) - by_hand
    assert (game.weights @ loss).min() == pytest.approx(float(game.value), abs=1e-9)
