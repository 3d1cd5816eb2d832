"""The declaration: file, schema, hash, kinds, weights from a table, and every way to be wrong."""

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from bayespref.comparisons import from_codes
from bayespref.errors import RegimeError, TargetMixError
from bayespref.simulate.scenarios import telemetry
from bayespref.target.importance import estimated_target
from bayespref.target.regime import (
    pair_target,
    read_regime,
    regime_from,
    regime_schema,
    target_shares,
    write_regime,
)
from bayespref.target.regime_weights import context_target, logged_hash, logged_shares, weights_towards

TEXT = """
name = "launch"
version = "1"
reason = "the service launches for everybody, not for those who asked so far"
kind = "product"
beta = 0.5

[states]
"state 0" = 0.25
"state 1" = 0.25
"state 2" = 0.25
"state 3" = 0.25

[types]
"type 0" = 0.6
"type 1" = 0.4

[pairs]
kind = "uniform"
"""
BASE = {"name": "n", "version": "1", "reason": "r", "beta": 1.0}


def regime(**fields):
    return regime_from(BASE | fields)


@pytest.fixture(scope="module")
def world():
    return telemetry(n_annotators=300, seed=1)


def test_a_file_is_read_written_and_hashed_by_content(tmp_path):
    (tmp_path / "launch.toml").write_text(TEXT)
    got = read_regime(tmp_path / "launch.toml")
    again = read_regime(write_regime(got, tmp_path / "launch.json"))
    assert got == again
    assert got.content_hash == again.content_hash
    jsonschema.validate(json.loads((tmp_path / "launch.json").read_text()), regime_schema())
    for field, value in (
        ("beta", 0.6),
        ("reason", "other"),
        ("version", "2"),
        ("types", {"type 0": 0.5, "type 1": 0.5}),
    ):
        assert got.model_copy(update={field: value}).content_hash != got.content_hash


def test_every_kind_gives_its_joint_shares():
    states, types = ["s", "t"], ["x", "y"]
    product = regime(kind="product", states={"s": 0.25, "t": 0.75}, types={"y": 1.0})
    np.testing.assert_allclose(target_shares(product, states, types), [[0, 0.25], [0, 0.75]])
    cells = [{"state": "s", "type": "x", "mass": 0.1}, {"state": "t", "type": "y", "mass": 0.9}]
    np.testing.assert_allclose(
        target_shares(regime(kind="post_stratified", cells=cells), states, types), [[0.1, 0], [0, 0.9]]
    )
    rows = [{"state": "s", "type": "x"}, {"state": "s", "type": "x"}, {"state": "t", "type": "x", "mass": 2.0}]
    np.testing.assert_allclose(target_shares(regime(kind="rows", cells=rows), states, types), [[0.5, 0], [0.5, 0]])
    logged = np.array([0.2, 0.8])
    free = regime(kind="randomised")
    np.testing.assert_allclose(target_shares(free, states, types, logged_types=logged), [[0.1, 0.4], [0.1, 0.4]])
    with pytest.raises(RegimeError, match="keeps the logged shares"):
        target_shares(free, states, types)


def test_pairs_are_even_or_as_declared_by_state():
    table = [
        {"item_a": "a", "item_b": "b", "mass": 1.0, "state": "s"},
        {"item_a": "b", "item_b": "a", "mass": 1.0, "state": "t"},
    ]
    got = pair_target(regime(kind="randomised", pairs={"kind": "table", "table": table}), ["s", "t"], ["a", "b"])
    assert got[0, 0, 1] == got[1, 1, 0] == 1.0
    assert got.sum() == 2.0
    assert np.isnan(pair_target(regime(kind="randomised"), ["s"], ["a", "b"])).all()


def test_weights_reach_the_declared_cells_and_pairs(world, tmp_path):
    (tmp_path / "launch.toml").write_text(TEXT)
    launch = read_regime(tmp_path / "launch.toml")
    rows = world.comparisons
    got = weights_towards(launch, rows)
    assert [(part.name, part.estimated) for part in got.parts] == [("prompt and context", True), ("pair", False)]
    first = np.exp(got.parts[0].log_ratio)
    np.testing.assert_allclose(
        estimated_target(first, rows.state * 2 + rows.context, 8), context_target(launch, rows).ravel(), atol=1e-12
    )
    pair = np.exp(got.parts[1].log_ratio)
    np.testing.assert_allclose(pair, (1 / 6) / rows.propensity, rtol=1e-12)  # both sides unordered
    assert pair.mean() == pytest.approx(1.0, abs=0.1)
    assert logged_shares(rows).sum() == pytest.approx(1.0)


def test_target_as_logged_leaves_every_weight_at_one(world):
    rows = world.comparisons
    cells = [
        {"state": s, "type": c, "mass": float(m)}
        for s, line in zip(rows.states, logged_shares(rows), strict=True)
        for c, m in zip(rows.contexts, line, strict=True)
    ]
    np.testing.assert_allclose(
        weights_towards(regime(kind="post_stratified", cells=cells), rows).weight, 1.0, atol=1e-10
    )


PRODUCT = {"kind": "product", "states": {f"state {s}": 0.25 for s in range(4)}, "types": {"type 0": 0.5, "type 1": 0.5}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "product", "types": {"x": 1.0}}, r"takes \['states', 'types'\]; missing \['states'\]"),
        ({"kind": "rows", "states": {"x": 1.0}}, "missing"),
        ({"kind": "nonsense"}, "kind: Input should be"),
        ({"kind": "randomised", "beta": 0.0}, "beta: Input should be greater than 0"),
        ({"kind": "randomised", "reason": ""}, "reason: String should have at least 1"),
        ({"kind": "randomised", "weights": 1}, "weights: Extra inputs"),
        ({"kind": "randomised", "pairs": {"kind": "table"}}, "pairs.table: must be given"),
        ({"kind": "randomised", "types": {"x": -0.5}}, "types.x: Input should be greater"),
    ],
)
def test_a_broken_declaration_is_refused_by_name(fields, message):
    with pytest.raises(RegimeError, match=message):
        regime(**fields)


def test_a_missing_field_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(RegimeError, match="reason: Field required"):
        regime_from({"name": "n", "version": "1", "beta": 1.0, "kind": "randomised"})
    (tmp_path / "x.toml").write_text("not toml =")
    with pytest.raises(RegimeError, match=r"x\.toml cannot be parsed"):
        read_regime(tmp_path / "x.toml")
    with pytest.raises(RegimeError, match="must end in"):
        read_regime(tmp_path / "x.yaml")
    (tmp_path / "x.json").write_text('{"beta": 1.0, "beta": 9.0}')
    with pytest.raises(RegimeError, match=r"given twice.*beta"):
        read_regime(tmp_path / "x.json")


def test_shares_that_do_not_sum_to_one_are_refused(world):
    with pytest.raises(TargetMixError, match=r"types \(p_T\): probabilities must sum to one"):
        weights_towards(regime(**PRODUCT | {"types": {"type 0": 0.5, "type 1": 0.4}}), world.comparisons)
    pairs = {"kind": "table", "table": [{"item_a": "item 0", "item_b": "item 1", "mass": 0.5}]}
    with pytest.raises(TargetMixError, match=r"pairs.table \(g_T\)"):
        weights_towards(regime(**PRODUCT, pairs=pairs), world.comparisons)


def test_target_mass_on_a_cell_nobody_asked_about_lists_the_cells(world):
    rows = world.comparisons.select(~((world.comparisons.state == 1) & (world.comparisons.context == 0)))
    with pytest.raises(
        ValueError, match=r"0.125 of its mass on 1 cell\(s\) without a row \(no_overlap\): \['\(state 1, type 0\)'\]"
    ):
        weights_towards(regime(**PRODUCT), rows)


def test_target_mass_on_a_pair_nobody_was_shown_lists_the_pairs_of_each_state(world):
    rows = world.comparisons
    pair = (np.minimum(rows.item_a, rows.item_b) == 0) & (np.maximum(rows.item_a, rows.item_b) == 1)
    bare = rows.select(~(pair & (rows.state == 2)))
    uniform = regime(**PRODUCT, pairs={"kind": "uniform"})
    mass = 0.25 / (rows.n_items * (rows.n_items - 1) / 2)
    listed = r"1 pair\(s\) without a row \(no_overlap\): \['\(state 2, item 0, item 1\)'\]"
    with pytest.raises(ValueError, match=rf"{mass:.3g} of its mass on {listed}"):
        weights_towards(uniform, bare)
    # A row of no weight is no row; a state without target mass, and pairs taken as logged, need none.
    hidden = replace(rows, weight=np.where(pair & (rows.state == 2), 0.0, rows.weight))
    with pytest.raises(ValueError, match="no_overlap"):
        weights_towards(uniform, hidden)
    away = PRODUCT | {"states": {"state 0": 0.5, "state 1": 0.5}}
    assert np.isfinite(weights_towards(regime(**away, pairs={"kind": "uniform"}), bare).weight).all()
    assert np.isfinite(weights_towards(regime(**PRODUCT), bare).weight).all()


def test_an_order_that_was_never_shown_is_refused_where_pairs_are_as_shown(world):
    rows = world.comparisons.select(~((world.comparisons.item_a == 1) & (world.comparisons.item_b == 0)))
    table = [{"item_a": f"item {a}", "item_b": f"item {1 - a}", "mass": 0.5} for a in (0, 1)]
    with pytest.raises(ValueError, match=r"0.5 of its mass on 4 pair\(s\).*\(state 0, item 1, item 0\)"):
        weights_towards(regime(**PRODUCT, pairs={"kind": "table", "table": table, "order": "as_shown"}), rows)


def test_missing_and_zero_propensities_are_refused_only_where_pairs_differ(world):
    bare = replace(world.comparisons, propensity=None)
    uniform = regime(**PRODUCT, pairs={"kind": "uniform"})
    with pytest.raises(
        ValueError, match="pair: the target differs from the log here, and the table has no logged prop"
    ):
        weights_towards(uniform, bare)
    assert weights_towards(regime(**PRODUCT), bare).weight.mean() == pytest.approx(1.0)
    zero = world.comparisons.propensity.copy()
    zero[[3, 8]] = 0.0
    with pytest.raises(ValueError, match=r"logged propensity is zero.*2 row\(s\), first \[3, 8\]"):
        weights_towards(uniform, replace(world.comparisons, propensity=zero))
    missing = np.where(np.isin(np.arange(len(zero)), [3, 8]), np.nan, world.comparisons.propensity)
    with pytest.raises(ValueError, match=r"propensities are missing; 2 row\(s\), first \[3, 8\]"):
        weights_towards(uniform, replace(world.comparisons, propensity=missing))


def test_unknown_labels_and_latent_types_are_refused(world):
    with pytest.raises(RegimeError, match=r"types: the table has no \['type 9'\]"):
        weights_towards(regime(**PRODUCT | {"types": {"type 9": 1.0}}), world.comparisons)
    with pytest.raises(RegimeError, match="need observed contexts"):
        weights_towards(regime(**PRODUCT, over="type"), world.comparisons)
    own = {"kind": "table", "table": [{"item_a": "item 0", "item_b": "item 0", "mass": 1.0}]}
    with pytest.raises(RegimeError, match="compared with itself"):
        weights_towards(regime(**PRODUCT, pairs=own), world.comparisons)


def test_a_change_of_logged_propensities_changes_the_logged_hash(world):
    rows = world.comparisons
    assert logged_hash(rows) == logged_hash(replace(rows, propensity=rows.propensity.copy()))
    moved = rows.propensity.copy()
    moved[0] *= 0.9
    assert logged_hash(rows) != logged_hash(replace(rows, propensity=moved))
    assert logged_hash(rows) != logged_hash(replace(rows, propensity=None))
    shuffled = rows.select(np.random.default_rng(0).permutation(rows.n_rows))
    assert logged_hash(rows) == logged_hash(shuffled)


def test_propensities_that_trade_places_between_contexts_change_the_logged_hash():
    def table(propensity):
        code = np.array([0, 0])
        columns = {"context": np.array([0, 1]), "contexts": ("c", "d"), "propensity": np.array(propensity)}
        return from_codes(code, code + 1, code, items=("x", "y"), **columns)

    assert logged_hash(table([0.5, 0.25])) != logged_hash(table([0.25, 0.5]))


def test_row_counts_weigh_like_repeated_rows():
    columns = {"contexts": ("x", "y"), "annotator": None}
    code = np.array([0, 1, 1])
    counted = from_codes(
        np.zeros(3, int),
        np.ones(3, int),
        np.zeros(3, int),
        items=("a", "b"),
        weight=np.array([4.0, 1, 1]),
        context=code,
        **columns,
    )
    rows = np.repeat(np.arange(3), [4, 1, 1])
    repeated = from_codes(
        np.zeros(6, int), np.ones(6, int), np.zeros(6, int), items=("a", "b"), context=code[rows], **columns
    )
    even = regime(kind="product", states={"all": 1.0}, types={"x": 0.5, "y": 0.5})
    np.testing.assert_allclose(weights_towards(even, counted).weight[rows], weights_towards(even, repeated).weight)
