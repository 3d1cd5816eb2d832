"""Run a study: pieces in turn, each kept on disk, then the table, the figure and the verdict."""

from __future__ import annotations

import hashlib
import json
import os
import time
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm.auto import tqdm

import bayespref
from bayespref import __version__
from bayespref.checks import one_of
from bayespref.files import replacing
from bayespref.provenance import file_hashes, sealed_json, versions
from bayespref.studies import STUDIES
from bayespref.studies.claims import compare, read_expectations


class StudyResult(NamedTuple):
    """What a study found.

    Attributes
    ----------
    name, size : str
        Which study, and how large.
    seed : int
        Its seed.
    table : DataFrame
        The table.
    verdict : DataFrame
        One row a claim, see :func:`bayespref.studies.claims.compare`.
    cpu_seconds : float
        Processor time of its pieces, those of an earlier, interrupted run included.
    folder : pathlib.Path
        Holds ``table.parquet``, ``figure.svg``, ``figure.png``, ``verdict.json`` and ``cases/``.
    """

    name: str
    size: str
    seed: int
    table: pd.DataFrame
    verdict: pd.DataFrame
    cpu_seconds: float
    folder: Path

    @property
    def agrees(self) -> bool:
        """Whether every claim agrees within its allowance."""
        return bool(self.verdict["agrees"].all())

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.size}, seed {self.seed}): {'agrees' if self.agrees else 'DISAGREES'}"]
        for row in self.verdict.itertuples():
            mark = "yes" if row.agrees else "NO "
            lines.append(
                f"  {mark} {row.claim}: {row.observed:.4g} (expected {row.expected}, allowed {row.allowed:.2g})"
            )
        return "\n".join(lines)


def study_module(name: str) -> Any:
    """Module of a study.

    Raises
    ------
    ValueError
        If there is no study of that name.
    """
    one_of("name", name, STUDIES)
    return import_module(f"bayespref.studies.{name.replace('-', '_')}")


def unavailable(name: str) -> str:
    """Why a study cannot run here, in words; empty where it can. Only studies of real data can lack something."""
    return str(getattr(study_module(name), "unavailable", str)())


def run_study(
    name: str,
    *,
    size: str = "quick",
    seed: int = 1,
    out: str | os.PathLike[str] = "studies-output",
    progress: bool = True,
) -> StudyResult:
    """Run one study, or go on where an interrupted run of it stopped.

    Parameters
    ----------
    name : str
        One of ``bayespref.studies.STUDIES``.
    size : {"quick", "full"}
        Quick ones take less than a minute.
    seed : int
        Seed; every piece derives its own from it, so that the order of the pieces does not matter. Pieces of a study
        with ``SHARED_SEED = True`` all get this one, so that they can share their worlds.
    out : path
        Folder for results; ``NAME/SIZE-SEED`` is made in it.
    progress : bool
        Show a progress bar over the pieces.

    Returns
    -------
    StudyResult

    Raises
    ------
    ValueError
        If the study or size is unknown, or its expectations do not fit its table.
    FileNotFoundError
        If the study is of real data that are not here.
    """
    module = study_module(name)
    one_of("size", size, tuple(module.SIZES))
    if reason := unavailable(name):
        raise FileNotFoundError(f"{name}: {reason}")
    folder = Path(out) / name / f"{size}-{seed}"
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    shared = getattr(module, "SHARED_SEED", False)
    code = _code_hash()
    pieces = []
    cases = module.cases(**module.SIZES[size])
    for index, case in enumerate(tqdm(cases, desc=name, disable=not progress, leave=False)):
        kept = folder / "cases" / f"{_fingerprint(code, case, seed, index)}.parquet"
        if not kept.exists():
            own = seed if shared else int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
            began = time.process_time()
            records = pd.DataFrame(module.run_case(seed=own, **case))
            records.attrs["cpu_seconds"] = time.process_time() - began
            with replacing(kept) as part:
                records.to_parquet(part)
        pieces.append(_read_piece(kept))
    table = module.summary(pd.concat(pieces, ignore_index=True))
    claims = read_expectations(Path(__file__).parent / "expectations" / f"{name.replace('-', '_')}.toml")
    cpu_seconds = sum(piece.attrs["cpu_seconds"] for piece in pieces)
    result = StudyResult(name, size, seed, table, compare(table, claims, size=size), cpu_seconds, folder)
    _write(result, module)
    return result


def _read_piece(file: Path) -> pd.DataFrame:
    """Read a finished piece.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    try:
        piece = pd.read_parquet(file)
        float(piece.attrs["cpu_seconds"])
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        words = f"out: {file} is no whole piece of this study ({error}); remove the file, and it is worked out again"
        raise ValueError(words) from error
    return piece


def _write(result: StudyResult, module: Any) -> None:
    from bayespref.report.plots_style import style

    with replacing(result.folder / "table.parquet") as part:
        result.table.to_parquet(part)
    figure = module.figure(result.table)
    for kind in ("svg", "png"):
        with replacing(result.folder / f"figure.{kind}") as part, style():
            figure.savefig(part, format=kind, dpi=140)
    said = {
        "kind": "bayespref.study",
        "study": result.name,
        "size": result.size,
        "seed": result.seed,
        "version": __version__,
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_seconds": round(result.cpu_seconds, 1),
        "agrees": result.agrees,
        "claims": json.loads(result.verdict.to_json(orient="records", double_precision=15)),
        "data_hash": None,  # the worlds of a study follow from its code and seed
        "code_hash": f"sha256:{_code_hash()}",
        "files": file_hashes(result.folder, ("table.parquet", "figure.svg", "figure.png")),
    }
    with replacing(result.folder / "verdict.json") as part:
        part.write_text(sealed_json(said), encoding="utf-8")


@cache
def _code_hash() -> str:
    """Hash of every module of the package: a piece that other code made is not taken for finished."""
    home = Path(bayespref.__file__).parent
    folders = [home, *(home / name for name in ("models", "studies"))]  # these two may be links
    files = sorted({file.resolve() for folder in folders for file in folder.rglob("*.py")})
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _fingerprint(code: str, case: dict[str, Any], seed: int, index: int) -> str:
    """Names a finished piece by the code, the case and the seed that decide its result."""
    text = json.dumps([code, case, seed, index], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mean_and_error(records: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean over replications and its standard error, for the ``summary`` of most studies.

    Parameters
    ----------
    records : DataFrame
        One row a replication and setting.
    by : list of str
        Columns that make a setting; every other column is averaged.

    Returns
    -------
    DataFrame
        One row a setting: ``by``, each ``x``, ``x_se`` (NaN from a single replication), and ``replications``.
    """
    grouped = records.groupby(by, sort=False, dropna=False)
    values = [name for name in records.columns if name not in by]
    table = grouped[values].mean()
    table = table.join(grouped[values].sem().add_suffix("_se"))
    table["replications"] = grouped.size()
    return table.reset_index()
