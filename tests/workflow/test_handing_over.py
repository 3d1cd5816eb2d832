"""Cards, audit bundle and verify: what they say of two blocks, and that no changed byte passes for what was written."""

import io
import json
import re
import zipfile

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

import bayespref
from bayespref.cards.archive import read_archive
from bayespref.comparisons import from_codes
from bayespref.data.aggregate_file import write_counts
from bayespref.defer.features import FeaturePolicy, bin_labels
from bayespref.defer.policy import from_scores
from bayespref.errors import ArtefactError, RegimeError
from bayespref.provenance import SIDECAR, file_hashes, is_intact, sealed_json, stamp
from bayespref.simulate.scenarios import telemetry
from bayespref.target.regime import regime_from, write_regime
from bayespref.workflow import bundle, dataset_card, fit, model_card, policy, verify
from bayespref.workflow.bundling import _Files, _target
from bayespref.workflow.describing import contrasts_identified
from bayespref.workflow.targeting import write_target

pytestmark = pytest.mark.slow  # one fit and one bundle, some 20 s, for all of them

ITEMS = ("p", "q", "r <b>", "s|t")


def blocks(*, outcome=0):
    """State x: p-q and r-s never meet; state y: all four joined. Two contexts, of which the second never asked y."""
    rows = [(0, a, b, k % 4 == 0, c) for c in (0, 1) for a, b in ((0, 1), (2, 3)) for k in range(8)]
    rows += [(1, a, b, k % 4 == 0, 0) for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)) for k in range(8)]
    state, a, b, lost, context = np.array(rows).T
    lost = lost.copy()
    lost[0] ^= outcome
    annotator = np.arange(len(rows)) % 10
    return from_codes(
        a, b, lost, items=ITEMS, state=state, states=("x", "y"), context=context, contexts=("before", "now"),
        annotator=annotator, annotators=tuple(f"w{k}" for k in range(10)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return blocks()


@pytest.fixture(scope="module")
def tree(table):
    made = fit("single", table, rng_key=5, chains=2, warmup=100, draws=100, progress=False)
    return bayespref.analyse(made, reward_range=(-3.0, 3.0))


@pytest.fixture(scope="module")
def card(table):
    return dataset_card(table, name="two | blocks", license="mit")


@pytest.fixture(scope="module")
def folder(tree, tmp_path_factory):
    """Fit, policy, cards, and the bundle of both."""
    where = tmp_path_factory.mktemp("results")
    bayespref.save_fit(tree, where / "fit.nc")
    policy(tree, c_defer=0.5).save(where / "policy.json")
    (where / "model-card.md").write_text(model_card(tree, c_defer=0.5, name="m"), encoding="utf-8")
    bundle(tree, where / "audit.zip", c_defer=0.5, name="blocks\nand more")
    return where


def test_the_card_says_first_that_the_items_cannot_be_ranked(card):
    first = card.split("**")[1]
    assert first.startswith(
        "1 of 2 strata cannot be ranked as a whole: of 6 pairs of items there, the data identify 2."
    )
    assert "1 of 4 cells of context and state have no comparison at all" in first
    assert "prints no single ranking" in card
    assert "nobody" not in card.split("**")[0]


def test_identified_contrasts_are_those_that_a_path_joins(table):
    found = contrasts_identified(bayespref.check(table)).set_index("stratum")
    for code, state in enumerate(table.states):
        rows = table.state == code
        graph = nx.Graph(zip(table.item_a[rows].tolist(), table.item_b[rows].tolist(), strict=True))
        joined = sum(nx.has_path(graph, a, b) for a in graph for b in graph if a < b)
        assert found.loc[state, "identified"] == joined
        assert found.loc[state, "contrasts"] == 6
    assert found.index[0] == "x"


def test_the_card_names_the_groups_never_compared_and_the_empty_cell(card):
    groups = card.split("never compared with each other")[1].split("##")[0]
    assert "| x | 1 | 2 | p, q |" in groups
    assert "| x | 2 | 2 | r &lt;b&gt;, s\\|t |" in groups
    assert re.search(r"\| now \| y \| 0 \| 0 \|", card)


def test_a_card_without_a_description_says_that_nobody_gave_one(card, table):
    assert "has not said how the comparisons were collected" in card
    told = dataset_card(table, name="n", description="Ten raters, pairs at random.")
    assert "Ten raters, pairs at random." in told
    assert "has not said" not in told


def test_the_model_card_states_decisions_thresholds_assumptions_and_breakdown(tree, folder):
    text = (folder / "model-card.md").read_text(encoding="utf-8")
    worst = float(tree["defer"]["c_set_pure"].max())
    assert f"{worst:.4g}" in text
    assert "disconnected" in text
    assert "1 of 2 regions act; the others do not: disconnected in 1" in text
    assert "converged:" in text.split("**")[1]
    rows = [line for line in text.splitlines() if line.startswith("| gamma |")]
    assert len(rows) == 2
    state_x, state_y = (line.split(" | ") for line in sorted(rows))
    assert state_x[3] == "not defined"
    assert float(state_y[3]) > 1
    assert "prints no single ranking" in text


def test_a_fit_that_was_not_analysed_is_refused(table, tree):
    bare = tree.copy()
    del bare["defer"]
    for make in (model_card, lambda t, **k: bundle(t, "never.zip", **k)):
        with pytest.raises(ValueError, match="analyse"):
            make(bare, c_defer=0.1, name="n")


def test_the_bundle_reads_without_the_package_and_says_what_is_not_in_it(folder, table):
    manifest, files = read_archive(folder / "audit.zip")
    readme = files["README.txt"].decode()
    assert all(name in readme for name in files if name != "README.txt")
    assert set(manifest["absent"]) == {"target/regime.json", "target/overlap.csv", "target/trust.json", "studies"}
    assert manifest["data_hash"] == table.data_hash
    matrix = pd.read_csv(io.BytesIO(files["data/coverage_matrix.csv"])).set_index("state")
    assert matrix.loc["y"].to_dict() == {"now": 0, "before": 32}
    pairs = pd.read_csv(io.BytesIO(files["data/pairs.csv"]))
    assert pairs[["a", "b", "tie", "both_bad"]].to_numpy().sum() == table.n_rows
    bounds = pd.read_csv(io.BytesIO(files["fit/bounds.csv"]), keep_default_na=False)
    across = bounds[(bounds["state"] == "x") & (bounds["item"] == "p") & (bounds["item_other"] == "s|t")]
    assert across["reason"].tolist() == ["disconnected"]
    assert all(files[name].decode() for name in files)


def test_the_bundle_holds_target_and_studies_where_they_are_given(tmp_path, tree, monkeypatch):
    monkeypatch.setattr("bayespref.workflow.bundling._report", lambda *_: "<html></html>\n")
    study = tmp_path / "quick-1"
    study.mkdir()
    said = stamp("bayespref.study", data_hash=None, seed=1) | {"study": "s", "size": "quick", "agrees": False}
    (study / "verdict.json").write_text(sealed_json(said | {"files": {}}))
    fields = {"name": "even", "version": "1", "reason": "launch", "kind": "randomised", "beta": 1.0}
    fields["states"] = {"x": 1.0}
    regime = regime_from(fields)
    made = bundle(tree, tmp_path / "b.zip", c_defer=0.5, name="n", regime=regime, studies=[study])
    manifest, files = read_archive(made)
    assert set(manifest["absent"]) == {"target/overlap.csv", "target/trust.json"}
    assert "do not connect the items" in manifest["absent"]["target/trust.json"]
    assert manifest["files"]["studies/s-quick-1/verdict.json"]["about"].endswith("DISAGREES with what is expected.")
    assert json.loads(files["target/regime.json"])["content_hash"] == regime.content_hash
    with pytest.raises(ArtefactError, match=r"verdict\.json"):
        bundle(tree, tmp_path / "c.zip", c_defer=0.5, name="n", studies=[tmp_path])
    assert not (tmp_path / "c.zip").exists()


def test_the_propensity_report_is_in_the_bundle_where_weights_reach_the_target():
    table = telemetry(n_annotators=40, alpha=0.0, kappa=0.2, proxy_flip=0.0).comparisons
    fields = {"name": "even", "version": "1", "reason": "launch", "kind": "randomised", "beta": 1.0}
    made = _Files()
    _target(made, table, regime_from(fields))
    assert made.absent == {}
    assert json.loads(made.files["target/trust.json"])["verdict"] in ("trusted", "diagnostic only")
    assert b"n_eff" in made.files["target/overlap.csv"].splitlines()[0]
    with pytest.raises(RegimeError, match="nowhere"):
        _target(_Files(), table, regime_from(fields | {"states": {"nowhere": 1.0}}))


# ---------------------------------------------------------------------------- verify


def said(found, verdict="no"):
    return [(check.file, check.name) for check in found.checks if check.verdict == verdict]


def test_a_whole_folder_fits_its_table_and_no_other(folder, table):
    found = verify(folder, table=table)
    assert (found.ok, found.exit_code, found.kind) == (True, 0, "folder")
    assert {check.file for check in found.checks} >= {"fit.nc", "policy.json", "model-card.md", "MANIFEST.json"}
    seeds = [check.words for check in found.checks if check.name == "seed" and check.file != "dataset-card.md"]
    assert seeds == ["recorded: 5"] * 4
    other = verify(folder, table=blocks(outcome=1))
    assert (other.exit_code, said(other)) == (1, [(folder.name, "data")])
    assert "made from another table" in str(other)


@pytest.mark.parametrize("name", ["fit.nc", "policy.json", "model-card.md", "audit.zip"])
def test_each_artefact_fits_by_itself_and_names_what_could_not_be_checked(folder, name):
    found = verify(folder / name)
    assert found.ok
    assert (name, "data") in said(found, "unchecked")
    assert json.loads(found.to_json())["checks"][0]["verdict"] == "yes"


def test_no_changed_byte_of_a_fit_passes_for_what_was_written(folder, tmp_path):
    """A byte is changed at many places: the file is refused, or holds bit for bit what it held."""
    whole = (folder / "fit.nc").read_bytes()
    content = bayespref.load_fit(folder / "fit.nc")
    value = content["posterior"]["reward"].values[0, 3, 0, 0, 1].tobytes()
    places = [whole.index(value) + 3, *np.random.default_rng(0).integers(0, len(whole), 16).tolist()]
    caught = 0
    for number, place in enumerate(places):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        (tmp_path / "fit.nc").write_bytes(changed)
        found = verify(tmp_path / "fit.nc")
        caught += not found.ok
        if found.ok:
            assert number > 0
            again = bayespref.load_fit(tmp_path / "fit.nc")
            assert all(again[key].to_dataset().identical(content[key].to_dataset()) for key in content.children)
    assert caught >= 10


def test_a_value_of_a_fit_written_anew_by_another_program_is_found(tree, tmp_path):
    changed = tree.copy(deep=True)
    changed["posterior"]["reward"].values[0, 0, 0, 0, 0] += 1e-12
    file = bayespref.save_fit(tree, tmp_path / "fit.nc")
    changed.attrs = bayespref.load_fit(file).attrs | {"content_sha256": _stored_hash(file)}
    changed.to_netcdf(file, engine="h5netcdf")
    found = verify(file)
    assert said(found) == [("fit.nc", "content")]


def _stored_hash(file):
    import h5py

    with h5py.File(file, "r") as opened:
        return opened.attrs["content_sha256"]


@pytest.mark.parametrize("name", ["policy.json", "model-card.md"])
def test_no_changed_byte_of_a_text_artefact_passes(folder, tmp_path, name):
    whole = (folder / name).read_bytes()
    for place in np.random.default_rng(1).integers(0, len(whole), 150).tolist():
        changed = bytearray(whole)
        changed[place] ^= 0x01
        (tmp_path / name).write_bytes(changed)
        try:
            found = verify(tmp_path / name)
        except ArtefactError:
            continue
        if found.ok:  # white space of JSON, which says nothing
            assert json.loads(bytes(changed)) == json.loads(whole)


def test_no_changed_file_of_a_bundle_passes(folder, tmp_path):
    with zipfile.ZipFile(folder / "audit.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name in files:
        with zipfile.ZipFile(tmp_path / "audit.zip", "w") as archive:
            for other, content in files.items():
                archive.writestr(other, content[:-1] + b"~" if other == name else content)
        found = verify(tmp_path / "audit.zip")
        assert not found.ok, name
        if name != "MANIFEST.json":
            assert any(name in check.words for check in found.checks if check.verdict == "no")


def test_a_bundle_whose_manifest_was_made_to_fit_a_changed_card_is_still_found(folder, tmp_path):
    manifest, files = read_archive(folder / "audit.zip")
    files["model-card.md"] = files["model-card.md"].replace(b"disconnected", b"well-behaved")
    from bayespref.cards.archive import write_archive

    about = {name: entry["about"] for name, entry in manifest["files"].items()}
    write_archive(tmp_path / "b.zip", files, about, {k: v for k, v in manifest.items() if k != "files"})
    found = verify(tmp_path / "b.zip")
    assert said(found) == [("model-card.md", "content")]


def test_a_target_folder_names_its_files_with_their_hashes(tmp_path):
    table = telemetry(n_annotators=40, alpha=0.0, kappa=0.2, proxy_flip=0.0).comparisons
    fields = {"name": "even", "version": "1", "reason": "launch", "kind": "randomised", "beta": 1.0}
    write_regime(regime_from(fields), tmp_path / "regime.json")
    out = tmp_path / "target"
    write_target(table, tmp_path / "regime.json", out, say=lambda _: None)
    assert verify(out, table=table).ok
    assert verify(tmp_path / "regime.json").ok
    with (out / "train.jsonl").open("a") as rows:
        rows.write("\n")
    assert said(verify(out)) == [("train.jsonl", "files")]
    (out / "overlap.csv").unlink()
    assert said(verify(out)) == [("overlap.csv", "files"), ("train.jsonl", "files")]
    fields = json.loads((out / "verdict.json").read_text())
    assert is_intact(fields)
    (out / "verdict.json").write_text(json.dumps(fields | {"verdict": "trusted!"}))
    assert ("verdict.json", "content") in said(verify(out))


def test_a_sidecar_speaks_for_a_file_without_a_place_of_its_own(tmp_path):
    csv = tmp_path / "proposals.csv"
    csv.write_text("a,b\n1,2\n")
    fields = stamp("bayespref.files", data_hash="ab", seed=0) | {"files": file_hashes(tmp_path, [csv.name])}
    csv.with_name(csv.name + SIDECAR).write_text(sealed_json(fields))
    assert verify(csv).ok
    csv.write_text("a,b\n1,3\n")
    assert said(verify(csv)) == [("proposals.csv", "files")]
    escaping = stamp("bayespref.files", data_hash="ab") | {"files": {"../../etc/passwd": "sha256:0"}}
    csv.with_name(csv.name + SIDECAR).write_text(sealed_json(escaping))
    assert said(verify(csv)) == [("../../etc/passwd", "files")]


def test_a_feature_policy_is_verified_too(tmp_path):
    rows = from_scores(
        [0.1, 0.9], [0, 0], labels=bin_labels([-1, 0, 1]), items=["item_a", "item_b"], c_defer=0.2, region=["price"],
        data_hash="h", assumptions=["linear"],
    )  # fmt: skip
    file = FeaturePolicy({"price": (-1.0, 0.0, 1.0)}, rows).save(tmp_path / "policy.json")
    assert verify(file).kind == "bayespref.feature-policy"
    file.write_text(file.read_text().replace("0.9", "0.8"))
    assert said(verify(file)) == [("policy.json", "content")]


def test_counts_are_held_against_the_hash_in_their_metadata(table, tmp_path):
    write_counts(table, tmp_path / "counts.parquet")
    assert verify(tmp_path / "counts.parquet", table=table).ok
    schema = parquet.read_schema(tmp_path / "counts.parquet")
    changed = pd.read_parquet(tmp_path / "counts.parquet")
    changed.loc[0, "weight"] = 2.0
    parquet.write_table(pa.Table.from_pandas(changed).replace_schema_metadata(schema.metadata), tmp_path / "c.parquet")
    assert said(verify(tmp_path / "c.parquet")) == [("c.parquet", "content")]
    (tmp_path / "c.parquet").write_bytes((tmp_path / "counts.parquet").read_bytes()[:-5])
    assert not verify(tmp_path / "c.parquet").ok
    changed.to_parquet(tmp_path / "votes.parquet")
    with pytest.raises(ArtefactError, match="no bayespref provenance"):
        verify(tmp_path / "votes.parquet")


def test_strangers_are_named_and_never_taken_for_checked(folder, tmp_path):
    for name, content in (("a.csv", "x"), ("b.json", "{}"), ("c.md", "# hello"), ("d.html", "<p>")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ArtefactError, match="artefact"):
            verify(tmp_path / name)
    with pytest.raises(ArtefactError, match="nothing that the package writes"):
        verify(tmp_path)
    with pytest.raises(ArtefactError, match="no file"):
        verify(tmp_path / "absent")
    (tmp_path / "policy.json").write_bytes((folder / "policy.json").read_bytes())
    found = verify(tmp_path)
    assert found.ok
    assert {file for file, _ in said(found, "unchecked")} >= {"a.csv", "b.json", "c.md", "d.html"}
    (tmp_path / "broken.json").write_text("{")
    assert said(verify(tmp_path)) == [("broken.json", "schema")]


def test_artefacts_of_different_tables_in_one_folder_are_found(folder, tmp_path):
    (tmp_path / "fit.nc").write_bytes((folder / "fit.nc").read_bytes())
    stray = from_scores([0.0], [0], labels=["x"], items=["p"], c_defer=1.0, data_hash="other", assumptions=[])
    stray.save(tmp_path / "policy.json")
    found = verify(tmp_path)
    assert said(found) == [(tmp_path.name, "data")]
    assert "policy.json" in str(found)


def test_other_versions_are_said_and_are_no_failure(tmp_path):
    fields = stamp("bayespref.files", data_hash=None) | {"files": {}}
    fields["versions"] = fields["versions"] | {"numpy": "0.0.1"}
    file = tmp_path / "x.json"
    file.write_text(sealed_json(fields))
    found = verify(file)
    assert found.ok
    assert "numpy 0.0.1 (here " in str(found)
