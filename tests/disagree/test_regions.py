"""Flags: each criterion by hand, broken worlds, and what may not change them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from bayespref.disagree.design import clopper_pearson_upper, design_flags
from bayespref.disagree.regions import FLAGS, flags, to_dataset
from bayespref.disagree.resistance import effective_resistance
from bayespref.disagree.status import STATUS, contrast_status, leader_flags, posterior_flags
from bayespref.errors import REASONS
from bayespref.simulate.scenarios import always_winner, two_blocks


def reach(edge):
    """Who can be reached from whom, by Warshall's loops."""
    path = edge | np.eye(len(edge), dtype=bool)
    for k, a, b in itertools.product(range(len(edge)), repeat=3):
        path[a, b] |= path[a, k] and path[k, b]
    return path


def group(mutual):
    return np.array([np.flatnonzero(row)[0] for row in mutual])


def graph_of(wins):
    """Counts, components and strong components of one region's wins matrix."""
    counts = wins + wins.T
    path = reach(wins > 0)
    return counts, group(reach(counts > 0)), group(path & path.T)


def wins_of(table):
    wins = np.zeros((table.n_items, table.n_items))
    for a, b, outcome in zip(table.item_a, table.item_b, table.outcome, strict=True):
        wins[(a, b) if outcome == 0 else (b, a)] += 1
    return wins


def primary(wins, **settings):
    return str(flags(design_flags(*graph_of(wins), **settings)).primary)


def test_every_flag_is_a_known_reason_code():
    assert set(FLAGS) <= set(REASONS)


def test_resistance_of_path_and_triangle():
    path = np.array([[0, 10, 0], [10, 0, 10], [0, 10, 0.0]])
    assert effective_resistance(path, np.zeros(3, int))[0, 2] == pytest.approx(0.2)
    triangle = 10 * (1 - np.eye(3))
    assert effective_resistance(triangle, np.zeros(3, int))[0, 2] == pytest.approx(0.0666667, abs=1e-7)


@given(st.integers(0, 10**6))
def test_resistance_equals_the_pseudo_inverse_and_is_infinite_across(seed):
    rng = np.random.default_rng(seed)
    weight = np.triu(rng.gamma(1.0, 5.0, size=(2, 5, 5)) * (rng.random((2, 5, 5)) < 0.4), 1)
    weight = weight + np.swapaxes(weight, -1, -2)
    labels = np.stack([group(reach(one > 0)) for one in weight])
    got = effective_resistance(weight, labels)
    for region in range(2):
        pinv = np.linalg.pinv(np.diag(weight[region].sum(axis=1)) - weight[region])
        for a, b in itertools.product(range(5), range(5)):
            if labels[region, a] == labels[region, b]:
                want = pinv[a, a] + pinv[b, b] - 2 * pinv[a, b]
                assert got[region, a, b] == pytest.approx(want, rel=1e-6, abs=1e-9)
            else:
                assert got[region, a, b] == np.inf


def test_resistance_of_a_certain_win_is_infinite():
    weight = np.array([[0, 4.0, 0], [4, 0, 0], [0, 0, 0]])
    resistance = effective_resistance(weight, np.zeros(3, int))
    assert resistance[0, 2] == np.inf
    assert resistance[0, 1] == pytest.approx(0.25)


def test_upper_limit_is_where_the_binomial_tail_reaches_delta():
    for k, n, delta in [(0, 29, 0.05), (2, 100, 0.05), (7, 40, 0.1)]:
        limit = float(clopper_pearson_upper(np.array(k), n, delta))
        assert binom.cdf(k, n, limit) == pytest.approx(delta, rel=1e-8)
    assert float(clopper_pearson_upper(np.array(2.0), 100, 0.05)) == pytest.approx(0.061619, abs=5e-7)
    assert float(clopper_pearson_upper(np.array(0.0), 0)) == 1.0
    assert float(clopper_pearson_upper(np.array(5.0), 5)) == 1.0


def test_each_flag_alone_and_the_order_of_the_primary_one():
    good = np.array([[0, 40, 40], [40, 0, 40], [40, 40, 0.0]])
    assert primary(good) == ""
    assert primary(np.zeros((3, 3))) == "no_data"
    split = good.copy()
    split[2] = split[:, 2] = 0
    assert primary(split) == "disconnected"
    assert primary(good, outside_share=0.51) == "type_not_identified"
    assert primary(good, outside_share=0.5) == ""
    winner = good.copy()
    winner[1:, 0] = 0
    assert primary(winner) == "separated"
    assert primary(good / 40, tolerance=0.5) == "thin"
    assert primary(good, total=1e6) == "thin"
    result = design_flags(*graph_of(good), total=1e6)
    assert bool(result.thin_certain)
    assert not bool(design_flags(*graph_of(good), total=1e6, floor=1.3e-4 * 2).thin_certain)
    weak = design_flags(*graph_of(good), outside_share=0.0, type_sd=2.0)
    assert bool(weak.weakly_identified)
    assert not bool(weak.type_not_identified)


def test_flags_read_only_what_the_decision_turns_on():
    split = np.array([[0, 30, 0, 0], [30, 0, 0, 0], [0, 0, 0, 30], [0, 0, 30, 0.0]])
    graph = graph_of(split)
    assert design_flags(*graph).disconnected
    only_first = np.array([True, True, False, False])
    assert not design_flags(*graph, contender=only_first).disconnected
    assert not design_flags(*graph, contender=only_first, leader=np.array(1)).disconnected
    assert design_flags(*graph, contender=only_first, leader=np.array(2)).disconnected


def test_win_probability_enters_the_standard_error():
    counts, component, strong = graph_of(np.array([[0, 50.0], [50.0, 0]]))
    assert design_flags(counts, component, strong).design_sd == pytest.approx((1 / 25) ** 0.5)
    p = np.array([[0.5, 0.9], [0.1, 0.5]])
    got = design_flags(counts, component, strong, win_probability=p, tolerance=0.3)
    assert got.design_sd == pytest.approx((1 / 9) ** 0.5)
    assert got.thin


def test_expected_counts_of_latent_types_need_one_comparison_and_an_edge_floor():
    counts = np.array([[0, 0.6], [0.6, 0]])
    apart = np.array([0, 1])
    with pytest.raises(ValueError, match="n_min"):
        design_flags(counts, apart, apart)
    result = design_flags(counts, apart, apart, n_min=1, latent=True)
    assert result.no_data
    assert result.disconnected
    assert not design_flags(2 * counts, apart * 0, apart * 0, n_min=1, latent=True).no_data


def test_two_blocks_are_disconnected_and_cross_block_contrasts_prior_only():
    world = two_blocks()
    counts, component, strong = graph_of(wins_of(world.comparisons))
    result = design_flags(counts, component, strong)
    assert str(flags(result).primary) == "disconnected"
    assert np.isfinite(result.design_sd)
    assert not result.separated  # each block is strongly connected; that the blocks do not meet is another matter
    across = world.component[0, 0][:, None] != world.component[0, 0][None, :]
    sd = np.where(across, 1.4, 0.3)
    seen = posterior_flags(sd, 2**0.5, 3.29 * sd, np.where(across, 24.0, 0.0), component)
    assert np.all((seen.status == STATUS.index("prior")) == across)
    assert not seen.prior_dominated
    assert not seen.model_identified


def test_always_winner_is_separated_not_disconnected():
    graph = graph_of(wins_of(always_winner().comparisons))
    result = design_flags(*graph)
    assert result.separated
    assert not result.disconnected
    assert str(flags(result).primary) == "separated"


def test_a_pair_no_type_saw_leaves_the_cell_connected_through_the_others():
    wins = 20.0 * (1 - np.eye(4))
    wins[0, 3] = wins[3, 0] = 0
    result = design_flags(*graph_of(wins))
    assert str(flags(result).primary) == ""
    assert result.design_sd == pytest.approx((2 / 2 / 10) ** 0.5)  # two parallel paths of two edges of weight 10


def test_status_by_hand():
    def words(connected, sd, prior, width, bound):
        return STATUS[int(contrast_status(np.array(connected), np.array(sd), prior, width, bound))]

    assert words(True, 9.0, 1.0, 30.0, 0.0) == "identified"
    assert words(False, 0.5, 1.0, 1.6, 4.0) == "structure"
    assert words(False, 0.5, 1.0, 1.6, 3.0) == "prior"  # wider than half its bound
    assert words(False, 0.99, 1.0, 3.3, 24.0) == "prior"  # a narrow prior is not structure
    assert words(False, 0.5, 1.0, 1.6, np.inf) == "structure"
    assert words(False, 0.5, np.nan, 1.6, 4.0) == "unknown"
    assert words(False, 0.5, np.nan, 1.6, 3.0) == "prior"
    assert words(False, 0.99, 1.0, np.nan, 4.0) == "prior"
    assert words(False, 0.5, 1.0, 1.6, np.nan) == "unknown"


def test_prior_dominated_and_model_identified_with_the_unknown_said():
    component = np.array([[0, 0, 1], [0, 0, 0]])
    sd = np.broadcast_to(np.array([0.96, 0.3])[:, None, None], (2, 3, 3)).copy()
    result = posterior_flags(sd, 1.0, 3.29 * sd, 10.0, component)
    assert result.prior_dominated.tolist() == [True, False]
    assert result.model_identified.tolist() == [False, False]
    assert result.largest_contraction.tolist() == [0.96, 0.3]
    assert not posterior_flags(np.full((2, 2), 0.93), 1.0, 3.0, 0.0, np.zeros(2, int)).prior_dominated  # .135 gone
    assert result.status[0].tolist() == [[-1, 0, 2], [0, -1, 2], [2, 2, -1]]
    sd[0] = 0.3
    assert posterior_flags(sd, 1.0, 3.29 * sd, 10.0, component).model_identified.tolist() == [True, False]
    blind = posterior_flags(sd, np.nan, 3.29 * sd, 10.0, component)
    assert blind.checked.tolist() == [[False, False], [False, True]]
    assert not blind.prior_dominated.any()
    assert np.isnan(blind.largest_contraction).all()


@given(st.integers(0, 10**6))
def test_leader_flags_equal_the_full_table_with_that_leader(seed):
    rng = np.random.default_rng(seed)
    half = np.triu(rng.gamma(2.0, 0.5, size=(3, 4, 4)), 1)
    sd = half + np.swapaxes(half, -1, -2)
    component, leader = rng.integers(0, 2, size=(3, 4)), rng.integers(0, 4, size=3)
    contender = rng.random((3, 4)) < 0.7
    full = posterior_flags(sd, 1.2, 3 * sd, 8.0, component, leader=leader, contender=contender)
    row = sd[np.arange(3), leader]
    short = leader_flags(row, 1.2, 3 * row, 8.0, component, leader, contender=contender)
    for name, got, want in zip(full._fields, short, full, strict=True):
        want = full.status[np.arange(3), leader] if name == "status" else want
        np.testing.assert_array_equal(got, want, err_msg=name)


@given(st.integers(0, 10**6))
def test_relabelling_items_changes_no_flag_and_more_rows_never_disconnect(seed):
    rng = np.random.default_rng(seed)
    wins = rng.poisson(3.0, size=(4, 4)) * (rng.random((4, 4)) < 0.4) * (1.0 - np.eye(4))
    base = design_flags(*graph_of(wins), total=1000)
    move = rng.permutation(4)
    for got, want in zip(design_flags(*graph_of(wins[np.ix_(move, move)]), total=1000), base, strict=True):
        np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), rtol=1e-9)
    more = design_flags(*graph_of(wins + rng.poisson(0.5, size=(4, 4)) * (1 - np.eye(4))), total=1000)
    assert more.no_data <= base.no_data
    assert more.disconnected <= base.disconnected


def test_value_marks_relevance_and_unknown_stays_unknown():
    design = design_flags(np.zeros((3, 2, 2)), *[np.tile([0, 1], (3, 1))] * 2)
    result = flags(design, value=np.array([0.0, 0.2, np.nan]))
    assert result.decision_relevant.tolist() == [False, True, False]
    assert np.isnan(result.value[2])
    assert not result.checked[..., FLAGS.index("type_not_identified")].any()
    assert not result.checked[..., FLAGS.index("prior_dominated")].any()
    with pytest.raises(ValueError, match="value"):
        flags(design, value=-1.0)


def test_labelled_flags_keep_names_and_words():
    counts, component, strong = (x[None, None] for x in graph_of(np.array([[0, 9, 0], [9, 0, 0], [0, 0, 0.0]])))
    design = design_flags(counts, component, strong)
    sd = np.ones((1, 1, 3, 3))
    seen = posterior_flags(sd, 1.0, 3.29 * sd, 24.0, component)
    data = to_dataset(
        flags(design, seen),
        design,
        seen,
        coords={"state": ["prompt"], "type": ["t0"], "item": ["x", "y", "z"], "draw": ["unused"]},
        attrs={"floor": 0.001},
    )
    assert str(data["primary"].sel(state="prompt", type="t0").values) == "disconnected"
    assert str(data["status"].sel(item="x", item_other="z").item()) == "prior"
    assert str(data["status"].sel(item="x", item_other="x").item()) == ""
    assert data.attrs["floor"] == 0.001
    assert "draw" not in data.coords
    with pytest.raises(ValueError, match="dims"):
        to_dataset(flags(design), design, dims=("state",))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: design_flags(np.array([[0, 1.0], [0, 0]]), np.zeros(2, int), np.zeros(2, int)), "symmetric"),
        (lambda: design_flags(np.eye(2), np.zeros(2, int), np.zeros(2, int)), "diagonal"),
        (lambda: design_flags(-np.ones((2, 2)), np.zeros(2, int), np.zeros(2, int)), "counts"),
        (lambda: design_flags(np.zeros((2, 2)), np.zeros(3, int), np.zeros(2, int)), "component"),
        (lambda: design_flags(np.zeros((2, 2)), np.zeros(2), np.zeros(2, int)), "component"),
        (lambda: design_flags(1 - np.eye(2), np.zeros(2, int), np.zeros(2, int), total=0.5), "total"),
        (lambda: design_flags(np.zeros((2, 2)), *[np.arange(2)] * 2, leader=np.array(2)), "leader"),
        (lambda: design_flags(np.zeros((2, 2)), *[np.arange(2)] * 2, contender=np.ones(2)), "contender"),
        (lambda: posterior_flags(np.ones((2, 2)), 0.0, 1.0, 1.0, np.zeros(2, int)), "prior_sd"),
        (lambda: posterior_flags(np.ones((2, 2)), 1.0, -1.0, 1.0, np.zeros(2, int)), "width"),
        (lambda: posterior_flags(np.ones(2), 1.0, 1.0, 1.0, np.zeros(2, int)), "sd"),
        (lambda: effective_resistance(1 - np.eye(2), np.arange(2)), "crosses"),
        (lambda: clopper_pearson_upper(np.array(3), 2), "count"),
    ],
)
def test_broken_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
