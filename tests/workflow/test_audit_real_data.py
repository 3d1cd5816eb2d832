"""Holes of real tables that ``check`` and ``coverage`` must find without being told, through the public verbs."""

import json

import numpy as np
import pytest

import bayespref
from bayespref.disagree.design import design_flags
from bayespref.graph.connect import connectivity
from bayespref.graph.coverage import coverage

NIGERIA = ["Akpu", "TMEB1", "TMEB2", "TMEB3", "TMS6"]
CAMEROON = ["Madame", "Sape", "TMSIBA"]
SHARED = ["Game Changer", "Obasanjo-2", "TMS1", "TMS2", "TMS3"]


def read(folder, **columns):
    path = folder / "comparisons.csv"
    return bayespref.read_comparisons(path, adapter="labels", columns={"annotator": "rater_id", **columns})


@pytest.fixture(scope="module")
def eba(data_folder):
    return read(data_folder / "gari_eba", context="country")


@pytest.fixture(scope="module")
def prompts(data_folder):
    return read(data_folder / "llmfao_crowd")


@pytest.fixture(scope="module")
def sound(data_folder):
    return read(data_folder / "sound_quality", context="rater_id")


def test_eba_what_a_country_was_never_asked_and_which_genotypes_it_never_saw(eba):
    result = bayespref.check(eba)
    failed = {line.name for line in result.checks if line.verdict == "no"}
    assert failed == {
        "every item in every state",
        "contexts covered",
        "items shared between contexts",
        "contrasts within a context",
    }
    assert result.exit_code == 1
    cells = {"Cameroon / mouldability", "Cameroon / smoothness", "Nigeria / firmness", "Nigeria / odour"}
    assert set(result["contexts covered"].numbers["cells"]) == cells
    shared = result["items shared between contexts"].numbers
    assert shared["only"] == {"Cameroon": CAMEROON, "Nigeria": NIGERIA}
    assert shared["shared"] == SHARED
    found = coverage(eba)
    empty = found["crossing_empty"].to_series()
    assert {f"{context} / {state}" for context, state in _pairs(empty[empty].index, found)} == cells


def test_eba_tms6_against_sape_was_never_asked_and_rests_on_shared_rewards(eba):
    a, b = eba.items.index("TMS6"), eba.items.index("Sape")
    assert not np.any((eba.item_a == a) & (eba.item_b == b) | (eba.item_a == b) & (eba.item_b == a))
    line = bayespref.check(eba)["contrasts within a context"]
    want = sorted(sorted([one, other]) for one in NIGERIA for other in CAMEROON)
    assert line.numbers["pairs"] == want  # all fifteen, TMS6 and Sape among them
    assert "identified only if the contexts share one reward" in line.words
    present = connectivity(eba, by=("state", "context"))["present"].sel(item=["TMS6", "Sape"])
    assert not present.all("item").any()  # no country saw both, in any state
    pooled = connectivity(eba, by=("state",))["component"].sel(state="overall")
    assert int(pooled.sel(item="TMS6")) == int(pooled.sel(item="Sape"))  # pooled, the hole does not show


def test_eba_by_zone_names_what_each_zone_alone_saw(data_folder):
    zones = bayespref.check(read(data_folder / "gari_eba", context="zone"))
    only = zones["items shared between contexts"].numbers
    assert only["only"] == {"Benue": ["TMEB1", "TMEB3"], "Littoral": CAMEROON, "Osun": ["Akpu", "TMEB2"]}
    assert only["shared"] == SHARED


def test_parties_by_region_are_fully_covered_and_nothing_is_flagged(data_folder):
    parties = read(data_folder / "gles2013_parties", context="region")
    result = bayespref.check(parties)
    assert result.exit_code == 0
    assert {line.verdict for line in result.checks} == {"yes"}
    assert len(result.suggestions) == 0
    found = coverage(parties, by=("state", "context"), floor=0.01, simultaneous=True)
    assert set(found["verdict"].values.ravel()) == {"above"}
    flagged = _flags(parties)
    assert not any(np.any(getattr(flagged, name)) for name in ("no_data", "disconnected", "separated", "thin"))


def test_prompts_lack_seventeen_cells_and_five_of_them_are_separated(prompts):
    result = bayespref.check(prompts)
    numbers = result["every item in every state"].numbers
    assert (numbers["n_cells"], numbers["n_observed"], len(numbers["missing"])) == (767, 750, 17)
    assert numbers["n_missing_by_stratum"] == {
        "planets-json": 7,
        "munchhausen": 5,
        "taiwan": 4,
        "product-description": 1,
    }
    strong = {"vendor-extract": 14, "basic-sentiment": 7, "bagel": 5, "cot-apple": 3, "product-description": 2}
    assert result["strongly connected"].numbers["strong_components"] == strong
    content = json.loads(result.to_json())
    assert content["exit_code"] == 1
    assert sum(row["reason"] == "separated" for row in content["suggestions"]) > 0
    # worker x prompt: 1,232 of 1,612 cells were seen
    cells = coverage(prompts, by=("state", "annotator"))
    assert (int((~cells["empty"]).sum()), cells["empty"].size) == (1232, 1612)
    # what no prior is needed for: within a separated prompt the maximum-likelihood difference is infinite or undefined
    reasons = bayespref.maximum_likelihood(prompts)["reason"]
    split = (reasons == "separated").any(("item", "item_other"))
    assert set(split["state"].values[split.values]) == set(strong)


def test_fifty_random_deletions_are_found_exactly(sound):
    """Listener x piece cells of a nearly full design: of 160, three were empty from the start.

    No false alarm and no miss in 50 deletions, by ``check`` and by ``coverage``. Emptiness is a fact of the table, so
    its false-alarm rate is zero. The verdict ``below`` a floor is a test: at level 0.95 for all 160 cells together it
    should call a cell whose true mass lies above the floor in at most 5 % of tables.
    """
    shape = (sound.n_states, len(sound.contexts))
    cell = np.ravel_multi_index((sound.state, sound.context), shape)
    full = np.bincount(cell, minlength=160)
    before = set(np.flatnonzero(full == 0).tolist())
    assert len(before) == 3
    rng = np.random.default_rng(0)
    false_alarm = 0
    for _ in range(50):
        gone = rng.choice(np.flatnonzero(full > 0), size=int(rng.integers(1, 12)), replace=False)
        left = sound.select(~np.isin(cell, gone))
        found = coverage(left, by=("state", "context"), floor=0.001, simultaneous=True).transpose("state", "context")
        want = before | set(gone.tolist())
        assert set(np.flatnonzero(found["empty"].values.ravel()).tolist()) == want
        named = {(sound.contexts[k % shape[1]], sound.states[k // shape[1]]) for k in want}
        line = bayespref.check(left)["contexts covered"]
        assert {tuple(text.split(" / ")) for text in line.numbers["cells"]} == named
        assert line.numbers["n_empty"] == len(want)
        # a floor between 0 and the smallest cell: everything deleted is surely below it, nothing else is called
        mass = full[full > 0].min() / left.n_rows
        called = coverage(left, by=("state", "context"), floor=0.5 * mass, simultaneous=True)
        called = set(np.flatnonzero(called.transpose("state", "context")["verdict"].values.ravel() == "below").tolist())
        false_alarm += bool(called - want)
    assert false_alarm == 0


def test_deleted_pairs_of_a_piece_are_flagged_and_nothing_else(sound):
    """Delete every comparison of one mode in one piece: that item is disconnected there, everywhere else no flag."""
    whole = sound.pool("context", "annotator")
    rng = np.random.default_rng(1)
    for _ in range(10):
        item, state = int(rng.integers(8)), int(rng.integers(4))
        gone = (whole.state == state) & ((whole.item_a == item) | (whole.item_b == item))
        left = whole.select(~gone)
        flagged = _flags(left)
        want = np.zeros(4, dtype=bool)
        want[state] = True
        assert np.array_equal(flagged.disconnected, want)
        assert not flagged.no_data.any()
        assert not flagged.separated.any()
        assert not flagged.thin.any()
        line = bayespref.check(left)["every item in every state"]
        assert line.numbers["missing"] == [[sound.states[state], sound.items[item]]]


def _pairs(index, found):
    """(context, state) of labels indexed in whatever order the dims have."""
    names = list(found["crossing_empty"].dims)
    for labels in index:
        row = dict(zip(names, labels, strict=True))
        yield row["context"], row["state"]


def _flags(table):
    """Design flags of every (state, context) cell, from the public graph."""
    by = ("state", "context") if table.context is not None else ("state",)
    keys, counts = table.pair_counts(by)
    shape = tuple(len(table.labels(name)) for name in by)
    n = np.zeros((*shape, table.n_items, table.n_items))
    n[tuple(keys.T)] = counts.sum(1)
    graph = connectivity(table, by=by).transpose(*by, ...)
    own = -1 - np.arange(table.n_items)  # an item not seen is a component of its own
    component, strong = (
        np.where(graph["present"].values, graph[name].values, own) for name in ("component", "strong_component")
    )
    return design_flags(n + np.swapaxes(n, -1, -2), component, strong)
