"""Saved fits come back whole, or not at all."""

import builtins
import gc
import json
import os
import pickle
import re
import stat

import h5py
import numpy as np
import pytest
import xarray as xr

from bayespref.comparisons import from_codes
from bayespref.errors import FitFileError
from bayespref.posterior.store import FORMAT_VERSION, load_fit, save_fit
from bayespref.posterior.tree import META, build_tree, tree_comparisons, tree_meta, variables_dataset

CHAINS, DRAWS = 2, 30


def small_tree(seed=0):
    """Assemble a fit by hand: one state, three items, one type."""
    rng = np.random.default_rng(seed)
    table = from_codes(
        np.array([0, 1, 0, 2]),
        np.array([1, 2, 2, 0]),
        np.array([0, 0, 1, 2]),
        items=("x", "ÿ \u2603", "z"),
        annotator=np.array([0, 0, 1, 1]),
        annotators=("u", "v"),
    )
    reward = rng.normal(size=(CHAINS, DRAWS, 1, 1, 3))
    variables = {"reward": reward, "type_weight": np.ones((CHAINS, DRAWS, 1)), "log_tie": rng.normal(size=(2, 30))}
    prior = {name: value[:1] for name, value in variables.items()}
    fit = xr.Dataset(
        {"switched": (("chain", "draw"), np.zeros((CHAINS, DRAWS), dtype=bool))},
        attrs={"mode_gap": float("inf"), "n_starts": 1},
    )
    return build_tree(
        posterior=variables_dataset(variables, table, ("type 1",), model="single"),
        prior=variables_dataset(prior, table, ("type 1",), model="single"),
        sample_stats={"diverging": np.zeros((CHAINS, DRAWS), dtype=bool), "lp": rng.normal(size=(CHAINS, DRAWS))},
        log_likelihood=rng.normal(size=(CHAINS, DRAWS, 2)),
        unit_labels=("u", "v"),
        unconstrained=rng.normal(size=(CHAINS, DRAWS, 3)),
        coordinate_names=("log_tie[]", "z[0,0]", "z[0,1]"),
        fit=fit,
        comparisons=table,
        meta={"format_version": FORMAT_VERSION, "data_hash": table.data_hash, "model": "single", "options": {"a": 1.0}},
    )


@pytest.fixture(scope="module")
def tree():
    return small_tree()


@pytest.fixture
def saved(tree, tmp_path):
    return save_fit(tree, tmp_path / "fit.nc")


def test_a_round_trip_is_identical(tree, saved):
    back = load_fit(saved)
    xr.testing.assert_identical(back, tree)
    for path, node in tree.subtree_with_keys:
        for name, values in node.to_dataset().variables.items():
            assert back[path].to_dataset()[name].dtype.kind == values.dtype.kind, (path, name)
    assert tree_meta(back) == tree_meta(tree)
    assert tree_comparisons(back).data_hash == tree_comparisons(tree).data_hash
    assert back["fit"].attrs["mode_gap"] == float("inf")


def test_saving_twice_gives_the_second_fit_and_leaves_no_litter(saved):
    other = small_tree(seed=1)
    save_fit(other, saved)
    xr.testing.assert_identical(load_fit(saved), other)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_loaded_fit_does_not_hold_the_file(saved):
    back = load_fit(saved)
    saved.unlink()
    assert float(back["posterior"]["reward"].sum()) == pytest.approx(float(small_tree()["posterior"]["reward"].sum()))


def test_a_saved_fit_is_as_readable_as_any_new_file(tree, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    path = save_fit(tree, tmp_path / "fit.nc")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FitFileError):
        load_fit(saved)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5netcdf closing what half opened
def test_a_flipped_byte_is_refused_or_harmless(tree, saved):
    """No flipped byte may give back a different fit; it need not be refused where it changes nothing (padding)."""
    whole = saved.read_bytes()
    rng = np.random.default_rng(0)
    wrong, refused = [], 0
    for place in np.sort(rng.choice(len(whole), 24, replace=False)):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        saved.write_bytes(bytes(broken))
        try:
            back = load_fit(saved)
        except FitFileError:
            refused += 1
            continue
        if not back.identical(tree):
            wrong.append(int(place))
    gc.collect()
    assert not wrong
    assert refused > 0


@pytest.mark.parametrize("group", ["posterior", "prior", "sample_stats", "log_likelihood", "unconstrained_posterior"])
def test_an_edited_draw_is_refused(saved, group):
    name = {"sample_stats": "lp", "log_likelihood": "label", "unconstrained_posterior": "flat"}.get(group, "reward")
    with h5py.File(saved, "r+") as file:
        values = file[group][name]
        values[...] = values[...] + 1.0
    with pytest.raises(FitFileError):
        load_fit(saved)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [("observed_data", "outcome", 1), ("constant_data", "weight", 5.0), ("constant_data", "item_a", 1)],
)
def test_an_edited_table_is_refused(saved, group, name, value):
    with h5py.File(saved, "r+") as file:
        file[group][name][0] = value if file[group][name][0] != value else value + 1
    with pytest.raises(FitFileError):
        load_fit(saved)


def edit_meta(path, change):
    with h5py.File(path, "r+") as file:
        meta = json.loads(file.attrs[META])
        file.attrs[META] = change(meta)


EDITS = {
    "another hash": lambda meta: json.dumps(meta | {"data_hash": "0" * 64}),
    "an older format": lambda meta: json.dumps(meta | {"format_version": FORMAT_VERSION - 1}),
    "a newer format": lambda meta: json.dumps(meta | {"format_version": FORMAT_VERSION + 1}),
    "another prior": lambda meta: json.dumps(meta | {"options": {"a": 2.0}}),
    "no hash": lambda meta: json.dumps({k: v for k, v in meta.items() if k != "data_hash"}),
    "not JSON": lambda meta: "{",
    "a JSON list": lambda meta: "[]",
    "a JSON number": lambda meta: "3",
    "a number": lambda meta: 7,
    "empty text": lambda meta: "",
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_provenance_is_refused(saved, edit):
    edit_meta(saved, EDITS[edit])
    with pytest.raises(FitFileError, match="path"):
        load_fit(saved)


def test_provenance_nested_too_deeply_is_refused(saved):
    """Its hash made to fit, as somebody would who means harm."""
    with xr.open_datatree(saved, engine="h5netcdf") as opened:
        tree = opened.load().copy(deep=True)
    tree.attrs[META] = "[" * 20_000
    with pytest.raises(FitFileError, match="format None"):
        load_fit(save_fit(tree, saved))


def test_another_format_is_named_in_the_message(saved):
    edit_meta(saved, EDITS["a newer format"])
    with pytest.raises(FitFileError, match=str(FORMAT_VERSION + 1)):
        load_fit(saved)


@pytest.mark.parametrize("group", ["posterior", "observed_data", "constant_data", "fit", "unconstrained_posterior"])
def test_a_missing_group_is_refused(saved, group):
    with h5py.File(saved, "r+") as file:
        del file[group]
    with pytest.raises(FitFileError):
        load_fit(saved)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", pickle.dumps({"a": 1})])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "fit.nc"
    path.write_bytes(content)
    with pytest.raises(FitFileError):
        load_fit(path)


def test_a_netcdf_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.nc"
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(FitFileError, match="provenance"):
        load_fit(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FitFileError, match="no file"):
        load_fit(tmp_path / "absent.nc")
    with pytest.raises(FitFileError, match="no file"):
        load_fit(tmp_path)


def test_a_missing_folder_is_refused(tree, tmp_path):
    with pytest.raises(FitFileError, match="does not exist"):
        save_fit(tree, tmp_path / "absent" / "fit.nc")


def test_a_folder_in_place_of_the_file_is_refused(tree, tmp_path):
    (tmp_path / "fit.nc").mkdir()
    with pytest.raises(FitFileError):
        save_fit(tree, tmp_path / "fit.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["fit.nc"]


def test_an_unwritable_folder_is_refused(tree, tmp_path, monkeypatch):
    """Simulated, because a superuser may write anywhere."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    target = tmp_path / "fit.nc"
    with pytest.raises(FitFileError, match=f"path: {re.escape(str(target))} cannot be written"):
        save_fit(tree, target)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_an_interrupted_write_keeps_the_old_file(saved, monkeypatch, error):
    before = saved.read_bytes()

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(FitFileError):
        save_fit(small_tree(seed=1), saved)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_killed_write_keeps_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def stop(self, *args, **kwargs):
        with open(args[0], "wb") as half:
            half.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.DataTree, "to_netcdf", stop)
    with pytest.raises(KeyboardInterrupt):
        save_fit(small_tree(seed=1), saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_loading_unpickles_and_executes_nothing(saved, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a saved fit must not be unpickled or executed")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(builtins, "eval", refuse)
    load_fit(saved)
    monkeypatch.undo()

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    bomb = tmp_path / "bomb.nc"
    bomb.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FitFileError):
        load_fit(bomb)
    assert not (tmp_path / "exploded").exists()
