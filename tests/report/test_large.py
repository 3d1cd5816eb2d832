"""Large and small tables: a tree made by hand, as large as an analysis leaves it, stays readable and light."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayespref.comparisons import from_codes
from bayespref.report import plots, plots_graph, plots_style, tables
from bayespref.report.html import build_report, write_report


def tree_by_hand(n_states, n_types, n_items, n_chosen, *, alone=0, items=None, states=None, types=None):
    """Groups a report reads, filled with plausible numbers; the last ``alone`` chosen items are components of one."""
    rng = np.random.default_rng(0)
    items = np.array(items or [f"model {i:04d} with a rather long name" for i in range(n_items)])
    states = np.array(states or [f"state {s:03d}" for s in range(n_states)])
    types = np.array(types or [f"type {t + 1}" for t in range(n_types)])
    chosen = items[:n_chosen]
    level = rng.normal(size=(n_states, n_types, n_items))
    component = np.zeros((n_states, n_types, n_items), dtype=int)
    component[..., n_chosen - alone : n_chosen] = 1 + np.arange(alone)
    pick = level[..., :n_chosen]
    mean = pick[..., :, None] - pick[..., None, :]
    joined = component[..., :n_chosen, None] == component[..., None, :n_chosen]
    sd = np.where(joined, 0.3, 1.4)
    reason = np.where(joined, "", "disconnected")
    low = np.where(joined, mean - 0.5, -12.0)
    high = np.where(joined, mean + 0.5, 12.0)
    pair = ("state", "type", "item", "item_other")
    coords = {"state": states, "type": types, "item": chosen, "item_other": chosen}
    flag = [
        "no_data",
        "disconnected",
        "type_not_identified",
        "separated",
        "thin",
        "prior_dominated",
        "model_identified",
    ]
    raised = np.zeros((n_states, n_types, len(flag)), dtype=bool)
    raised[..., 1] = alone > 0
    primary = np.where(raised[..., 1], "disconnected", "")
    disagree = xr.Dataset(
        {
            "mean": (pair, mean),
            "estimate": (pair, np.where(joined, mean, np.nan)),
            "contraction": (pair, sd / 1.4),
            "reason": (pair, reason),
            "primary": (("state", "type"), primary),
            "is_flagged": (("state", "type", "flag"), raised),
            "checked": (("state", "type", "flag"), np.ones_like(raised)),
            "leader": (("state", "type"), chosen[pick.argmax(-1)]),
        },
        coords=coords | {"flag": flag},
    )
    ends = {"region_lower": low, "region_upper": high}
    ends |= {"difference_lower": np.where(joined, mean, -12.0), "difference_upper": np.where(joined, mean, 12.0)}
    bounds = xr.Dataset(
        {name: (pair, value) for name, value in ends.items()},
        coords=coords,
        attrs={
            "reward_range": [-6.0, 6.0],
            "share_refuted": 0.0,
            "r_min": 4.0,
            "range_policy": "widen",
            "level": 0.9,
            "sharp": 1,
            "assumptions": json.dumps(["rewards in [-6, 6]"]),
        },
    )
    size = ("state", "item")
    graph = xr.Dataset(
        {
            "component": (size, component[:, 0]),
            "present": (size, np.ones((n_states, n_items), dtype=bool)),
            "always_wins": (size, np.zeros((n_states, n_items), dtype=bool)),
            "always_loses": (size, np.zeros((n_states, n_items), dtype=bool)),
            "n_components": ("state", np.full(n_states, 1 + alone)),
            "n_items": ("state", np.full(n_states, n_items)),
            "type_count": (("state", "type"), rng.gamma(1.0, 500.0, size=(n_states, n_types)) + 1),
            "type_component": (("state", "type", "item"), component),
            "is_chosen": ("item", np.arange(n_items) < n_chosen),
        },
        coords={"state": states, "type": types, "item": items},
        attrs={"n_min": 1.0, "check": json.dumps({"checks": []})},
    )
    cost = rng.gamma(1.0, 1.0, size=n_states)
    defer = xr.Dataset(
        {f"c_{rule}": ("region", cost) for rule in ("set_pure", "set_random", "credible", "chow")}
        | {"state": ("region", states)},
        attrs={"columns": "state", "deployment": "deployment: as logged"},
    )
    draws = (1, 20)
    weight = rng.dirichlet(np.full(n_types, 50.0), size=draws)
    posterior = xr.Dataset({"type_weight": (("chain", "draw", "type"), weight)}, coords={"type": types})
    a = np.zeros(n_items - 1, dtype=int)
    table = from_codes(a, np.arange(1, n_items), a, items=items.tolist(), states=states.tolist())
    rows = table.to_dataset()
    fit = xr.Dataset(
        {
            "expected_count": (("type", "question", "outcome"), np.ones((n_types, n_items - 1, 2))),
            "question_state": ("question", a),
            "question_a": ("question", a),
            "question_b": ("question", np.arange(1, n_items)),
            "outcome_code": ("outcome", np.array([0, 1])),
        }
    )
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "fit": fit,
            "graph": graph,
            "disagree": disagree,
            "bounds": bounds,
            "defer": defer,
            "constant_data": rows.drop_vars("outcome"),
            "observed_data": rows[["outcome"]],
        }
    )
    tree.attrs["bayespref"] = json.dumps({"model": "latent_types", "data_hash": "0", "options": {"n_types": n_types}})
    acts = cost <= 0.5
    policy = pd.DataFrame(
        {
            "state": states,
            "decision": np.where(acts, "act", "defer"),
            "action": np.where(acts, chosen[0], None),
            "reason": np.where(acts, "score_below_threshold", "score_above_threshold"),
            "score": cost,
            "threshold": 0.5,
        }
    )
    return tree, policy


def html_of(tree, policy, title="large"):
    nothing = pd.DataFrame(columns=["state", "item_a", "item_b", "reason", "joins"])
    return build_report(tree, verdicts=[], policy_table=policy, c_defer=0.5, suggestions=nothing, title=title)


@pytest.fixture(scope="module")
def large():
    return tree_by_hand(100, 2, 1000, 40, alone=3)


@pytest.fixture(scope="module")
def large_html(large):
    return html_of(*large)


def test_a_thousand_items_in_a_hundred_states_stay_under_five_megabytes_and_are_cut_in_words(large_html, tmp_path):
    text = large_html.html
    file = write_report([large_html], tmp_path / "r.html", title="large")
    assert file.stat().st_size < 5_000_000
    assert (
        "Of 100 flagged states, the first with several components or few items are shown as graphs; not shown: 92."
        in text
    )
    assert "Of 200 cells with comparisons, the first are shown as forest plots; not shown: 188." in text
    assert "Of 200 cells, the widest are shown; not shown: 170." in text
    assert "Of 1,000 items, the first are shown in this figure; not shown: 940." in text
    assert "<summary>85 more regions</summary>" in text
    assert "7,585 more rows are not listed." in text  # 200 cells of 40 items, 415 of them folded away
    assert re.sub("<details.*?</details>", "", text, flags=re.DOTALL).count("<tr>") < 200


def test_regions_that_act_and_defer_are_named_before_the_questions_and_what_to_collect_before_the_rewards(large_html):
    text = large_html.html
    policy = tree_by_hand(100, 2, 1000, 40, alone=3)[1]
    first = policy.loc[policy["decision"] == "act", "state"].iloc[0]
    other = policy.loc[policy["decision"] == "defer", "state"].iloc[0]
    places = [
        f"Acts in: {first}, ",
        f"Defers in (score_above_threshold): {other}, ",
        "Converged?",
        "-policy",
        "-collect",
    ]
    at = [text.index(words) for words in (*places, "-rewards")]
    assert at == sorted(at)


def test_a_tie_that_is_cut_says_its_whole_size_in_title_and_band(large):
    table = tables.rewards(large[0])
    cell = table[(table["state"] == "state 000") & (table["type"] == "type 1") & (table["component"] == 0)]
    tie = cell[cell["tier"] == cell["tier"].value_counts().idxmax()]
    assert (tie["tier_size"] == len(tie)).all()
    drawn = plots.forest(tie.head(2), title="cut").axes[0].texts[0].get_text()
    assert drawn == f"tie of {len(tie)}, 2 shown"


def test_figures_draw_at_most_thirty_rows(large, large_html):
    tree, _ = large
    table = tables.rewards(tree)
    cell = table[(table["state"] == "state 000") & (table["type"] == "type 1")]
    assert len(cell) == 40
    assert "7 items are not shown." in large_html.html  # 37 joined items, 30 drawn


def test_an_item_is_tied_with_the_leader_exactly_when_its_interval_reaches_zero(large):
    table = tables.rewards(large[0])
    others = table[table["standing"].isin(("tied", "behind"))]
    near = others["upper"].abs() < 0.1
    assert set(others.loc[near, "standing"]) == {"tied", "behind"}  # the rule is tried on both sides of zero
    assert ((others["standing"] == "tied") == (others["upper"] >= 0)).all()
    assert set(table["standing"]) == {"leader", "tied", "behind", "not compared"}


def test_items_that_are_not_told_apart_stand_in_one_tier_and_tiers_never_mix_components(large):
    tree, _ = large
    table = tables.rewards(tree)
    upper = tree["bounds"]["region_upper"].transpose("state", "type", "item", "item_other")
    cell = table[(table["state"] == "state 003") & (table["type"] == "type 2") & (table["component"] == 0)]
    above = upper.sel(state="state 003", type="type 2")
    order = cell["tier"].to_numpy()
    assert (np.diff(order) >= 0).all()
    assert order[0] == 1
    assert order.max() > 3
    for tier, members in cell.groupby("tier"):
        best = members["item"].iloc[0]
        reach = [float(above.sel(item=item, item_other=best)) for item in members["item"].iloc[1:]]
        assert all(end >= 0 for end in reach)
        later = cell.loc[cell["tier"] > tier, "item"]
        assert all(float(above.sel(item=item, item_other=best)) < 0 for item in later)


def test_one_state_one_type_two_items_is_enough(tmp_path):
    small = html_of(*tree_by_hand(1, 1, 2, 2), title="small")
    text = small.html
    assert write_report([small], tmp_path / "r.html", title="small").stat().st_size < 200_000
    assert "One type was fitted" in text
    assert "No state is flagged" in text


def test_components_larger_than_a_figure_are_counted_not_drawn(large_html):
    assert "1,000 items in 4 components, the largest of 997" in large_html.html


@pytest.mark.parametrize("sizes", [[1], [1] * 9, [2, 1], [6], [12, 7, 3, 1, 1], [30]])
def test_the_layout_keeps_items_apart_and_components_together(sizes):
    component = np.repeat(np.arange(len(sizes)), sizes)
    place = plots_graph.layout(component)
    gap = np.linalg.norm(place[:, None] - place[None], axis=-1)
    gap[np.diag_indices(len(gap))] = np.inf
    assert gap.min() > 0.5
    centres = np.array([place[component == k].mean(0) for k in range(len(sizes))])
    radius = [np.linalg.norm(place[component == k] - centres[k], axis=1).max() for k in range(len(sizes))]
    for i in range(len(sizes)):
        for j in range(i):
            assert np.linalg.norm(centres[i] - centres[j]) >= radius[i] + radius[j] + 0.9


def test_drawing_changes_no_setting_of_matplotlib(large):
    import matplotlib

    before = dict(matplotlib.rcParams)
    tree, _ = large
    figure = plots.coverage(tables.coverage(tree).head(20), title="twenty rows")
    plots_style.to_svg(figure)
    assert dict(matplotlib.rcParams) == before


def test_a_users_dark_style_does_not_reach_the_figures(large):
    import matplotlib

    table = tables.coverage(large[0]).head(20)
    plain = plots_style.to_svg(plots.coverage(table, title="t"))
    with matplotlib.rc_context({"figure.facecolor": "black", "text.usetex": False, "font.size": 30}):
        assert plots_style.to_svg(plots.coverage(table, title="t")) == plain
