"""What is fuzzed: every reader of the package, each with inputs to start from and the errors it may end in.

A target takes bytes and a scratch folder. It returns, or raises one of its documented errors; anything else (another
exception, a crash of the process, more than the memory or time allowed, a file opened elsewhere, a result that breaks
what the reader promises) is a finding.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from bayespref.data.adapters.columns import ADAPTERS
from bayespref.data.deployed import read_deployed
from bayespref.data.roles import CANONICAL
from bayespref.data.table import read_comparisons
from bayespref.defer import schema
from bayespref.defer.features import FeaturePolicy
from bayespref.defer.policy import from_scores
from bayespref.defer.runtime import DeferralPolicy
from bayespref.errors import (
    ArtefactError,
    FitFileError,
    InfeasibleRestrictionError,
    PolicyFileError,
    RegimeError,
    TableError,
    TargetMixError,
)

PLAIN = re.compile(r"(?s).{1,200}?:\s.")
"""How a message for people begins: what it is about, then a colon."""


class Target(NamedTuple):
    """A reader under test."""

    run: Callable[[bytes, Path], None]
    seeds: Callable[[], list[bytes]]
    errors: tuple[type[Exception], ...]
    share: float
    """Share of all executions; slow readers get fewer."""
    structured: bool = False
    """Whether bytes are choices, of which none need make a good input, instead of a file."""


class Choices:
    """Decisions read from bytes, so that a fuzzer that mutates bytes mutates structure."""

    def __init__(self, data: bytes) -> None:
        self._left = iter(data)

    def number(self, n: int) -> int:
        """Below ``n``; 0 once the bytes are used up."""
        return next(self._left, 0) % n

    def one(self, options: Any) -> Any:
        return options[self.number(len(options))]


ODD: tuple[Any, ...] = (
    *(
        "x",
        "y",
        "",
        " ",
        "a",
        "b",
        "tie",
        "nan",
        "\0",
        "../../x",
        "<script>",
        "é",
        "e\u0301",
        "1",
        "0.5",
        "-3",
        "1e400",
    ),
    *(0, 1, -1, 2, 0.5, 2**53, 2**70, -(2**63), 1e308, float("nan"), float("inf"), True, False, None, b"x", [], ["a"]),
    *(
        {},
        {"content": "x"},
        [{"content": "x"}],
        (1, 2),
        1j,
        np.float32(0.1),
        np.datetime64("NaT"),
        "9" * 400,
        "model_a",
    ),
)
NAMES = (
    *CANONICAL,
    "label",
    "model_a",
    "model_b",
    "winner",
    "chosen",
    "rejected",
    "preference",
    "pscore",
    "overall_preference",
)


def _sound(table: Any) -> None:
    assert np.isfinite(table.weight).all()
    assert (table.weight >= 0).all()
    assert table.weight.any()
    assert (
        0 <= min(table.item_a.min(), table.item_b.min()) <= max(table.item_a.max(), table.item_b.max()) < table.n_items
    )
    assert (table.item_a != table.item_b).all()
    assert len(set(table.items)) == table.n_items
    assert table.data_hash == table.data_hash
    assert "<script>" not in table._repr_html_()


def _options(first: int, second: int) -> dict[str, Any]:
    return {
        "adapter": [None, *ADAPTERS][first % (len(ADAPTERS) + 1)],
        "on_invalid": "drop" if second & 1 else "raise",
        "features": ("f",) if second & 2 else None,
    }


def _table_file(name: str) -> Callable[[bytes, Path], None]:
    def run(data: bytes, folder: Path) -> None:
        file = folder / name
        body = data[2:]
        file.write_bytes(gzip.compress(body, 1) if name.endswith(".gz") and data[:1] < b"\x80" else body)
        _sound(read_comparisons(file, **_options(*(data[:2].ljust(2, b"\0")))))

    return run


def _frame(data: bytes, folder: Path) -> None:
    choose = Choices(data)
    first, second, kind, n = choose.number(256), choose.number(256), choose.number(3), 1 + choose.number(4)
    columns = {
        choose.one((*NAMES, "f_a", "f_b")): [choose.one(ODD) for _ in range(n)] for _ in range(1 + choose.number(8))
    }
    if kind == 0:
        import pandas as pd

        frame: Any = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    elif kind == 1:
        import polars as pl

        try:
            frame = pl.DataFrame(columns, strict=False)
        except Exception:
            return  # no frame, so nothing to read
    else:
        try:
            frame = pa.table({name: pa.array(_no_times(values)) for name, values in columns.items()})
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return
    _sound(read_comparisons(frame, **_options(first, second)))


def _no_times(values: list[Any]) -> list[Any]:
    """Arrow itself ends the process at a NumPy time without a unit beside a NumPy number; ours is to stop it there."""
    return [value for value in values if not isinstance(value, np.datetime64)] or [None]


def _rows(data: bytes, folder: Path) -> None:
    from bayespref.data.adapters.rows import alpaca_eval_rows, prism_rows, trl_rows

    choose = Choices(data)
    reader, names = choose.one(
        (
            (prism_rows, ("interaction_id", "user_id", "model_name", "score", "conversation_type")),
            (alpaca_eval_rows, ("generator_1", "generator_2", "preference", "annotator")),
            (lambda rows: trl_rows(rows, lambda text, row: text), ("prompt", "chosen", "rejected", "annotator")),
        )
    )
    rows = [{name: choose.one(ODD) for name in names if choose.number(12)} for _ in range(1 + choose.number(4))]
    reader(rows)


def _preflib(data: bytes, folder: Path) -> None:
    from bayespref.data.adapters.rows import preflib_rows

    file = folder / f"ballots.{('soc', 'soi', 'toc', 'toi')[data[0] % 4 if data else 0]}"
    file.write_bytes(data[1:])
    preflib_rows(file)


def _deployed(data: bytes, folder: Path) -> None:
    file = folder / ("use.csv" if data[:1] < b"\x80" else "use.jsonl")
    file.write_bytes(data[1:])
    found = read_deployed(file)
    assert len(found.columns)
    assert np.isfinite(found.select_dtypes("number").to_numpy()).all()


@cache
def _policy_text() -> str:
    scores, plays = [0.0, 0.3, np.nan], [1, 0, 0]
    return from_scores(
        scores, plays, labels=["s", "t", "u"], items=["x", "y"], c_defer=0.2, data_hash="h", assumptions=["none"]
    ).to_json()


def _feature_text() -> str:
    plain = {"feature": "price", "edges": [-1.0, 0.0, 1.0]}
    inner = from_scores(
        [0.0, 0.1],
        [0, 1],
        labels=[("[-1, 0)",), ("[0, 1]",)],
        region=("price",),
        items=["item_a", "item_b"],
        c_defer=0.2,
        data_hash="h",
        assumptions=[],
    )
    return schema.dump({"format": "bayespref.feature-policy", "bins": [plain], "policy": json.loads(inner.to_json())})


def _with_hash(data: bytes) -> bytes:
    """The same JSON with its content hash made to fit, as somebody would who means harm."""
    try:
        raw = json.loads(data)
        if isinstance(raw.get("policy"), dict):
            raw["policy"]["content_hash"] = schema.content_hash(raw["policy"])
        raw["content_hash"] = schema.content_hash(raw)
        return json.dumps(raw).encode()
    except (ValueError, RecursionError, AttributeError, TypeError):
        return data


def _policy(data: bytes, folder: Path) -> None:
    file = folder / "policy.json"
    file.write_bytes(data if data[-1:] == b"!" else _with_hash(data))
    policy = DeferralPolicy.load(file)
    again = DeferralPolicy.from_json(policy.to_json())
    labels = [*(row[0] for row in policy.labels), None, "\0 never seen"]
    frame = pa.table({name: pa.array(labels, pa.string()) for name in policy.region})
    answers = policy.predict(frame, candidates=())
    assert answers.equals(again.predict(frame, candidates=()))
    assert set(answers["decision"].to_pylist()[-2:]) <= {"defer"}


def _feature_policy(data: bytes, folder: Path) -> None:
    file = folder / "policy.json"
    file.write_bytes(data if data[-1:] == b"!" else _with_hash(data))
    policy = FeaturePolicy.load(file)
    FeaturePolicy.from_json(policy.to_json())
    names = [
        f"{bins['feature'] if isinstance(bins, dict) else bins}_{s}"
        for bins in json.loads(policy.to_json())["bins"]
        for s in "ab"
    ]
    answers = policy.predict(pa.table({name: [0.0, 0.5, float("nan")] for name in names}))
    assert answers["decision"].to_pylist()[-1] == "defer"


def _thresholds(data: bytes, folder: Path) -> None:
    from bayespref.graph.check import check
    from bayespref.graph.thresholds import read_thresholds

    file = folder / "gate.toml"
    file.write_bytes(data)
    check(_small_table(), **read_thresholds(file)).to_json()


@cache
def _small_table() -> Any:
    return read_comparisons(
        pa.table(
            {
                "item_a": ["x", "y", "z"],
                "item_b": ["y", "z", "x"],
                "outcome": ["a", "b", "tie"],
                "state": ["s", "s", "t"],
            }
        )
    )


def _regime(data: bytes, folder: Path) -> None:
    from bayespref.target.regime import pair_target, read_regime, target_shares, write_regime

    file = folder / ("regime.toml" if data[:1] < b"\x80" else "regime.json")
    file.write_bytes(data[1:])
    regime = read_regime(file)
    assert read_regime(write_regime(regime, folder / "again.json")).content_hash == regime.content_hash
    (folder / "again.json").unlink()
    states = sorted({*(regime.states or {}), *(cell.state for cell in regime.cells), "s"})
    types = sorted({*(regime.types or {}), *(cell.type for cell in regime.cells), "t"})
    shares = target_shares(regime, states, types, logged_types=np.full(len(types), 1 / len(types)))
    assert np.isclose(shares.sum(), 1.0)
    assert (shares >= 0).all()
    items = sorted({"x", "y", *(label for row in regime.pairs.table for label in (row.item_a, row.item_b))})
    pair_target(regime, states, items)


def _registry(data: bytes, folder: Path) -> None:
    from bayespref.design.registry import read_registry, write_registry

    file = folder / ("registry.toml" if data[:1] < b"\x80" else "registry.json")
    file.write_bytes(data[1:])
    rows = read_registry(file)
    write_registry(rows, folder / "again.json")
    assert read_registry(folder / "again.json") == rows
    (folder / "again.json").unlink()


def _state(data: bytes, folder: Path) -> None:
    from bayespref.design.state import load_state

    file = folder / "state.json"
    file.write_bytes(data)
    state = load_state(file)
    assert np.isfinite(state.estimate).all()
    assert len(state.asked) == len(state.pools)


def _checkpoint(data: bytes, folder: Path) -> None:
    from bayespref.fit.checkpoint import read_checkpoint

    (folder / "chain0.npz").write_bytes(data)
    found = read_checkpoint(folder, *_sampler(), chain=0, mark="m")
    assert found is not None
    state, drawn, blocks = found
    assert [np.shape(leaf) for leaf in state] == [(3,), ()]
    assert drawn["x"].shape == (2 * blocks, 3)
    assert blocks >= 0


def _sampler() -> tuple[Any, Any]:
    return (np.zeros(3), np.int64(0)), {"x": np.zeros((2, 3))}


@cache
def _small_fit() -> bytes:
    """A fit with every group, one variable in each that the sampler fills: reading it takes a third of the time."""
    from tempfile import TemporaryDirectory

    from bayespref.posterior.store import save_fit
    from bayespref.workflow import fit

    tree = fit("single", _small_table(), rng_key=0, method="laplace", draws=5, chains=1, progress=False)
    for group in ("posterior", "prior", "sample_stats", "log_likelihood", "unconstrained_posterior"):
        drawn = tree[group].to_dataset(inherit=False)
        tree[group].dataset = drawn[[next(iter(drawn.data_vars))]].reset_coords(drop=True).head(draw=5)
    with TemporaryDirectory() as folder:
        return save_fit(tree, Path(folder) / "fit.nc").read_bytes()


@cache
def _fit_found() -> Any:
    from tempfile import TemporaryDirectory

    from bayespref.posterior.store import load_fit

    with TemporaryDirectory() as folder:
        file = Path(folder) / "fit.nc"
        file.write_bytes(_small_fit())
        return load_fit(file)


def _fit(data: bytes, folder: Path) -> None:
    from bayespref.posterior.store import load_fit

    file = folder / "fit.nc"
    file.write_bytes(data)
    assert load_fit(file).identical(_fit_found())


def _contained(data: bytes, folder: Path) -> None:
    from bayespref.posterior.contained import refuse_uncontained

    file = folder / "fit.nc"
    file.write_bytes(data)
    refuse_uncontained(file)


def _edited_fit(data: bytes, folder: Path) -> None:
    """A fit edited through HDF5 itself, its hash made to fit: what a careful attacker would hand over."""
    import h5py
    import xarray as xr

    from bayespref.posterior import store

    file = folder / "fit.nc"
    file.write_bytes(_small_fit())
    choose = Choices(data)
    with h5py.File(file, "r+") as opened:
        members: list[str] = []
        opened.visit(members.append)
        for _ in range(1 + choose.number(3)):
            name = choose.one(members)
            try:
                _edit(opened, name, choose)
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError):
                continue  # HDF5 itself refuses this edit
    try:
        with xr.open_datatree(file, engine="h5netcdf") as tree:
            made = store._content_hash(tree.load())
        with h5py.File(file, "r+") as opened:
            opened.attrs["content_sha256"] = made
    except Exception:
        pass  # then it is handed over without a fitting hash
    tree = store.load_fit(file)
    assert {"posterior", "constant_data", "fit"} <= set(tree.children)


def _edit(opened: Any, name: str, choose: Choices) -> None:
    import h5py

    kind = choose.number(9)
    if kind == 0:
        opened[name].attrs[choose.one(("units", "_FillValue", "scale_factor", "dtype", "labels", "calendar"))] = (
            choose.one(("days since 2000-01-01", "nats", 3, float("nan"), "bool", "[" * 5000, "", "{}"))
        )
    elif kind == 1:
        del opened[name]
    elif kind == 2:
        values = opened[name][()]
        del opened[name]
        opened[name] = np.asarray(values)[..., :0] if choose.number(2) else np.asarray(values).astype("S4")
    elif kind == 3:
        del opened[name]
        kinds = ("f8", "i1", "S3", "c16", "V8", h5py.ref_dtype, h5py.vlen_dtype(np.int8))
        opened.create_dataset(name, (2,) * choose.number(9), dtype=choose.one(kinds))
    elif kind == 4:
        del opened[name]
        opened[name] = choose.one(
            (h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/fit"), h5py.SoftLink(f"/{name}"))
        )
    elif kind == 5:
        del opened[name]
        opened.create_dataset(name, shape=(10 ** choose.number(13),), dtype="f8", fillvalue=1.0)
    elif kind == 6:
        opened.attrs["bayespref"] = choose.one(
            ("[" * 9000, "{}", "null", '{"format_version": 1}', '{"format_version": 1, "data_hash": []}', "\0")
        )
    elif kind == 7:
        opened["constant_data"].attrs[choose.one(("labels", "provenance", "hash"))] = choose.one(
            (
                "[" * 9000,
                "{}",
                "null",
                "[]",
                '{"annotator": 3}',
                "3",
                '{"annotator": [["x"]], "state": {}, "context": 1}',
            )
        )
    else:
        member = opened[name]
        member[...] = np.asarray(choose.one((0, -1, 10**6, 127))).astype(member.dtype)


def _bundle(data: bytes, folder: Path) -> None:
    """A zip as it is handed over, verified and shown."""
    from bayespref.workflow.verifying import verify

    file = folder / "audit.zip"
    file.write_bytes(data)
    found = verify(file)
    assert str(found)
    json.loads(found.to_json())
    assert "<script>" not in found._repr_html_()


@cache
def _bundled() -> tuple[dict[str, bytes], dict[str, Any]]:
    """Files of a bundle with artefacts of several kinds, and its manifest."""
    from tempfile import TemporaryDirectory

    from bayespref.cards.archive import read_archive, write_archive
    from bayespref.provenance import seal_text

    stamp = {"kind": "bayespref.card", "data_hash": "h", "seed": 1, "versions": {}}
    files = {
        "policy.json": _policy_text().encode(),
        "check.json": b'{"kind": "bayespref.check", "data_hash": "h"}',
        "cards/model-card.md": seal_text("# Card\n", stamp).encode(),
        "README.txt": b"read",
        "coverage.csv": b"state,n\ns,3\n",
    }
    with TemporaryDirectory() as made:
        file = write_archive(Path(made, "a.zip"), files, dict.fromkeys(files, "words"), {"data_hash": "h"})
        manifest, files = read_archive(file)
    return files, manifest


def _edited_bundle(data: bytes, folder: Path) -> None:
    """A bundle whose files and manifest are edited and, half the time, sealed again with fitting hashes."""
    import zipfile

    from bayespref.cards.archive import MANIFEST
    from bayespref.provenance import sealed_json

    choose = Choices(data)
    files, manifest = dict(_bundled()[0]), json.loads(json.dumps(_bundled()[1]))
    names = (
        *files,
        "../../x",
        "/x",
        "x/../../y",
        "C:\\x",
        "",
        ".",
        "a\0b",
        "\ud800",
        "<script>.md",
        "n.json",
        "x" * 300,
    )
    texts = (
        b"",
        b"[" * 9000,
        b"{}",
        b"[]",
        b"\xff",
        b"null",
        b'{"kind": ["x"]}',
        b'{"format": "bayespref.study", "files": 3}',
    )
    for _ in range(1 + choose.number(4)):
        name = choose.one(names)
        if choose.number(3):
            files[name] = choose.one((*texts, *files.values()))
        else:
            files.pop(name, None)
        if choose.number(2):
            place = choose.one((manifest, *(part for part in manifest.values() if isinstance(part, dict))))
            place[choose.one((*manifest, *names[:-6]))] = choose.one((3, None, [], {}, "x", {"sha256": 3}, "[" * 900))
    if choose.number(2) and isinstance(manifest.get("files"), dict):
        import hashlib

        for name, content in files.items():
            listed = manifest["files"].setdefault(name, {"about": "words"})
            if isinstance(listed, dict):
                listed |= {"sha256": f"sha256:{hashlib.sha256(content).hexdigest()}", "bytes": len(content)}
    manifest.pop("content_hash", None)
    content = sealed_json(manifest) if choose.number(3) else choose.one(texts).decode("latin-1")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, value in {**files, MANIFEST: content.encode(errors="replace")}.items():
            with contextlib.suppress(UnicodeEncodeError):
                entry = zipfile.ZipInfo(name)
                entry.external_attr = choose.one((0o644 << 16, 0o120777 << 16, 0o40755 << 16, 0))
                entry.compress_type = choose.one((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))
                made.writestr(entry, value)
    _bundle(out.getvalue(), folder)


def _expectations(data: bytes, folder: Path) -> None:
    import pandas as pd

    from bayespref.studies.claims import compare, read_expectations

    file = folder / "claims.toml"
    file.write_bytes(data)
    expected = read_expectations(file)
    table = pd.DataFrame({"eps": [0.0, 0.1], "share": [0.5, np.nan], "share_se": [0.1, 0.1], "who": ["x", "y"]})
    found = compare(table, expected, size="quick")
    assert len(found) <= len(expected)
    assert found["agrees"].dtype == bool or not len(found)


@cache
def _evidence() -> Any:
    import xarray as xr

    from bayespref.bounds.labelled import Evidence

    cell = ("state", "type", "item")
    draws = np.random.default_rng(0).uniform(0, 0.3, (3, 2, 2, 3))
    names = {"state": ["s", "t"], "type": ["u", "v"], "item": ["x", "y", "z"]}
    component = np.array([[[0, 0, 1], [0, 1, 2]], [[0, 0, 0], [0, 1, 1]]])
    compared = component[..., :, None] == component[..., None, :]
    return Evidence(
        xr.DataArray(draws, dims=("draw", *cell), coords=names),
        xr.DataArray(component, dims=cell, coords=names),
        xr.DataArray(compared & ~np.eye(3, dtype=bool), dims=(*cell, "item_other")),
    )


def _assumptions(data: bytes, folder: Path) -> None:
    """Declared assumptions of every name and kind of value, for a small table of rewards."""
    from bayespref.bounds.assumptions import PARAMETERS
    from bayespref.bounds.labelled import assume

    choose = Choices(data)
    rho = np.array([[0.0, 1.0], [1.0, 0.0]])
    good = {
        "item_order": [["x", "y"], ["z", "y", "x"], [["x", "y"], ["y", "z"]]],
        "level_lipschitz": [(0.5, rho), (0.0, rho), (1e9, 0 * rho)],
        "contrast_lipschitz": [(0.5, rho), (1e-9, rho)],
        "gamma": [1.0, 2.0, 1e300],
    }
    declared: dict[Any, Any] = {}
    for _ in range(1 + choose.number(3)):
        name = choose.one((*PARAMETERS, *PARAMETERS, "kappa", 3, ""))
        values = good.get(name, [0.0, 0.2, 5.0])
        odd = (*ODD, (0.5,), (0.5, rho[:1]), (np.nan, rho), (-1.0, rho), (0.5, -rho), [["x", "x"]], np.zeros((2, 2)))
        declared[name] = choose.one(odd if choose.number(4) == 1 else values)
    found = assume(
        _evidence(),
        declared,
        items=choose.one((None, None, ["x", "y"], ["x"], ["w"])),
        on_refuted=choose.one(("condition", "raise")),
        breakdown_draws=choose.one((0, 2)),
    )
    lower, upper = found["difference_lower"].values, found["difference_upper"].values
    assert (lower <= upper + 1e-6)[np.isfinite(lower) & np.isfinite(upper)].all()


def _command(data: bytes, folder: Path) -> None:
    """The command line: exit code 0, 1 or 2, and no traceback."""
    from bayespref.cli import main

    choose = Choices(data)
    file = folder / choose.one(("votes.csv", "votes.jsonl", "votes.parquet", "votes.csv.gz", "votes.txt"))
    verb, flag = choose.one(
        (
            ("check", "--thresholds"),
            ("check", "--deployment"),
            ("check", "--column"),
            ("check", "--adapter"),
            ("defer", "--out"),
        )
    )
    used = data[4:]
    file.write_bytes(used)
    (folder / "side.toml").write_bytes(used[::2])
    value = (
        str(folder / "side.toml") if flag in ("--thresholds", "--deployment", "--out") else used[:20].decode("latin-1")
    )
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    try:
        sys.argv = ["bayespref", verb, str(file), flag, value]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        code: Any = 0
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    assert code in (0, 1, 2, None), code
    assert code != 2 or err.getvalue().strip(), "exit code 2 without a word"
    assert "Traceback" not in err.getvalue()


def _csv_seeds() -> list[bytes]:
    plain = b"\0\0item_a,item_b,outcome,state,annotator,weight\nx,y,a,s,u,1\ny,z,tie,t,v,2.5\n"
    label = b"\5\1item_a,item_b,label,annotator,timestamp,position\nx,y,1,u,2024-01-02,a\ny,x,0.5,v,,b\nz,x,7,,,\n"
    feature = b"\0\2f_a,f_b,outcome\n1,2,a\n2,1e3,b\n"
    quoted = b'\0\1"item_a",item_b,outcome,comparison_id,propensity,count\n"x ""1""\n",y,both_bad,1,0.5,3\n'
    battle = b"\1\0model_a,model_b,winner,judge\nx,y,model_a,u\ny,z,tie (bothbad),v\n"
    return [plain, label, feature, quoted, battle, *(bytes([i]) + battle[1:] for i in range(2, 9))]


def _jsonl_seeds() -> list[bytes]:
    rows = [
        {"item_a": "x", "item_b": "y", "outcome": "a", "weight": 1},
        {"item_a": "y", "item_b": "z", "outcome": "b", "weight": 2.0},
    ]
    plain = b"\0\0" + b"\n".join(json.dumps(row).encode() for row in rows)
    return [
        plain,
        b"\0\1" + plain[2:] + b'\n{"item_a": null, "item_b": [1], "outcome": {"x": "\\ud800"}}',
        b"\0\0" + b"[" * 9000,
    ]


def _parquet_seeds() -> list[bytes]:
    seeds = []
    tables = [
        pa.table({"item_a": ["x", "y"], "item_b": ["y", "z"], "outcome": ["a", "tie"], "weight": [1.0, 2.0]}),
        pa.table({"item_a": pa.array(["x", "y"]).dictionary_encode(), "item_b": pa.array(["y", "x"]), "label": [1, 0]}),
        pa.table(
            {
                "item_a": [1, 2],
                "item_b": [2, 3],
                "outcome": ["a", "b"],
                "timestamp": pa.array([1, 2], pa.timestamp("ns")),
            }
        ),
    ]
    for table, compression in itertools.product(tables, ("none", "gzip")):
        written = io.BytesIO()
        parquet.write_table(table, written, compression=compression)
        seeds.append((b"\5\0" if "label" in table.column_names else b"\0\0") + written.getvalue())
    return seeds


def _regime_seeds() -> list[bytes]:
    head = 'name = "all"\nversion = "1"\nreason = "census"\nbeta = 1.0\n'
    product = head + 'kind = "product"\n[states]\ns = 1.0\n[types]\nEast = 0.2\nWest = 0.8\n'
    cells = head + 'kind = "post_stratified"\n[[cells]]\nstate = "s"\ntype = "t"\nmass = 1.0\n'
    pairs = (
        head + 'kind = "randomised"\n[pairs]\nkind = "table"\n[[pairs.table]]\nitem_a = "x"\nitem_b = "y"\nmass = 1.0\n'
    )
    as_json = {
        "name": "a",
        "version": "1",
        "reason": "r",
        "beta": 1,
        "kind": "rows",
        "cells": [{"state": "s", "type": "t", "mass": 3}],
    }
    return [b"\0" + text.encode() for text in (product, cells, pairs)] + [b"\xff" + json.dumps(as_json).encode()]


def _registry_seeds() -> list[bytes]:
    row = {"action": "ask", "intent": "bridge", "cost_attempt": 1.0, "version": "1"}
    content = {
        "format": "bayespref-interventions-1",
        "interventions": [row | {"attempts": {"s": 3}, "accepted": {"s": 2}}],
    }
    from bayespref.design import registry

    content["format"] = registry.FORMAT
    lines = [f'format = "{registry.FORMAT}"\n[[interventions]]', *(f"{k} = {json.dumps(v)}" for k, v in row.items())]
    return [
        b"\xff" + json.dumps(content).encode(),
        b"\0" + "\n".join(lines).encode(),
        b"\xff" + b"[" * 9000,
        b"\0a = " + b"[" * 9000,
    ]


def _state_seeds() -> list[bytes]:
    from tempfile import TemporaryDirectory

    from bayespref.design.state import save_state, start, tell

    state = tell(start([np.eye(2)]), np.array([0]), np.array([[1.0, 0.0]]), np.array([1.0]))
    with TemporaryDirectory() as folder:
        save_state(state, f"{folder}/state.json")
        return [Path(folder, "state.json").read_bytes(), b"[" * 9000]


def _checkpoint_seeds() -> list[bytes]:
    from tempfile import TemporaryDirectory

    from bayespref.fit.checkpoint import write_checkpoint

    state, piece = _sampler()
    with TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), state, [piece, piece], chain=0, blocks=2, mark="m")
        whole = Path(folder, "chain0.npz").read_bytes()
    bomb = io.BytesIO()
    np.savez_compressed(bomb, mark=np.array("m"), blocks=np.array(1), drawn0=np.zeros(10**6), state0=np.zeros(3))
    return [whole, bomb.getvalue()]


def _structures() -> list[bytes]:
    return [bytes(range(256)), bytes(255 - i for i in range(256)), b"\0" * 64]


def _zips() -> list[bytes]:
    from tempfile import TemporaryDirectory

    from bayespref.cards.archive import write_archive

    files = _bundled()[0]
    with TemporaryDirectory() as made:
        file = write_archive(Path(made, "a.zip"), files, dict.fromkeys(files, "words"), {"data_hash": "h"})
        return [file.read_bytes()]


_TABLE = (TableError,)
_EXPECTATION_SEEDS = [
    b'[[expect]]\nclaim = "c"\ncolumn = "share"\nwhere = {eps = 0.0}\nvalue = 0.5\ntolerance = 0.1\nsource = "s"\n',
    b'[[expect]]\nclaim = "c"\ncolumn = "share"\nwhere = {who = "y"}\nat_least = 0.5\nsource = ""\nsizes = ["quick"]\n',
    b"expect = " + b"[" * 9000,
]
_THRESHOLD_SEEDS = [
    b'by = ["state"]\nfloor = 5\nn_min = 1\nallow = ["strongly connected"]\nfail_undecided = true\nlevel = 0.9\n',
    b"min_labels = 3\nmass_floor = 0.1\nmissing_mass = 0.05\nlargest_ratio = 10.0\nleast_effective_share = 0.5\n",
    b"floor = " + b"[" * 9000,
]
_PREFLIB = (
    b"# FILE NAME: a.soc\n# NUMBER ALTERNATIVES: 3\n# ALTERNATIVE NAME 1: x\n# ALTERNATIVE NAME 2: y\n"
    b"# ALTERNATIVE NAME 3: z\n# NUMBER VOTERS: 3\n# NUMBER UNIQUE ORDERS: 2\n2: 1,2,3\n1: 3,{1,2}\n"
)

TARGETS: dict[str, Target] = {
    "csv": Target(_table_file("t.csv"), _csv_seeds, _TABLE, 0.14),
    "csv_gz": Target(_table_file("t.csv.gz"), _csv_seeds, _TABLE, 0.04),
    "jsonl": Target(_table_file("t.jsonl"), _jsonl_seeds, _TABLE, 0.12),
    "parquet": Target(_table_file("t.parquet"), _parquet_seeds, _TABLE, 0.1),
    "frames": Target(_frame, _structures, _TABLE, 0.1, True),
    "row_adapters": Target(_rows, _structures, _TABLE, 0.1, True),
    "preflib": Target(_preflib, lambda: [b"\0" + _PREFLIB, b"\2" + _PREFLIB], _TABLE, 0.03),
    "deployment": Target(
        _deployed,
        lambda: [b"\0state,context,count\ns,c,3\nt,d,1\n", b'\xff{"state": "s", "probability": 0.5}\n{"state": "t"}'],
        _TABLE,
        0.06,
    ),
    "policy": Target(
        _policy, lambda: [_policy_text().encode(), _policy_text().encode() + b"!"], (PolicyFileError,), 0.08
    ),
    "feature_policy": Target(_feature_policy, lambda: [_feature_text().encode()], (PolicyFileError,), 0.03),
    "thresholds": Target(_thresholds, lambda: _THRESHOLD_SEEDS, (ValueError,), 0.05),
    "regime": Target(_regime, _regime_seeds, (RegimeError, TargetMixError), 0.07),
    "registry": Target(_registry, _registry_seeds, (ValueError,), 0.04),
    "sequential_state": Target(_state, _state_seeds, (ValueError,), 0.03),
    "checkpoint": Target(_checkpoint, _checkpoint_seeds, (FitFileError,), 0.04),
    "netcdf_walk": Target(_contained, lambda: [_small_fit()], (FitFileError,), 0.02),
    "netcdf": Target(_fit, lambda: [_small_fit()], (FitFileError,), 0.004),
    "netcdf_edited": Target(_edited_fit, _structures, (FitFileError,), 0.004, True),
    "bundle": Target(_bundle, _zips, (ArtefactError,), 0.04),
    "bundle_edited": Target(_edited_bundle, _structures, (ArtefactError,), 0.04, True),
    "study_claims": Target(_expectations, lambda: _EXPECTATION_SEEDS, (ValueError,), 0.04),
    "assumptions": Target(_assumptions, _structures, (ValueError, TypeError, InfeasibleRestrictionError), 0.02, True),
    "command_line": Target(
        _command, lambda: [bytes([i % 5, i]) + b"\0\0" + _csv_seeds()[0][2:] for i in range(5)], (), 0.01
    ),
}


def allowed(target: Target, error: Exception) -> bool:
    """Whether an error is of a documented kind and says in words what is wrong with what."""
    kinds = tuple({type(error)} & set(target.errors)) or ()
    if not kinds and type(error).__name__ == "RegistryError":
        kinds = (ValueError,) if ValueError in target.errors else ()
    return bool(kinds) and bool(PLAIN.match(str(error)))
