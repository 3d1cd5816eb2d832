"""Verify: is a file that the package wrote still what was written, and does it belong to this table."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as parquet

from bayespref.cards import archive
from bayespref.comparisons import Comparisons
from bayespref.data.table import read_comparisons
from bayespref.defer.features import FeaturePolicy
from bayespref.defer.policy import DeferralPolicy
from bayespref.display import shown
from bayespref.errors import ArtefactError, FitFileError, PolicyFileError, RegimeError
from bayespref.posterior.store import load_fit
from bayespref.posterior.tree import tree_meta
from bayespref.provenance import SIDECAR, file_hash, is_intact, read_seal, versions
from bayespref.target.regime import read_regime

_LARGEST = 200_000_000
_MISSING = "is missing"
_SPEAKS_FOR_FILES = ("bayespref.study", "bayespref.target", "bayespref.files")


@shown()
class Check(NamedTuple):
    """One thing that was checked, or could not be.

    Attributes
    ----------
    file : str
        File it is about.
    name : str
        ``content``, ``data``, ``seed``, ``versions``, ``files`` or ``schema``.
    verdict : str
        ``yes``, ``no`` or ``unchecked``.
    words : str
        What was found.
    """

    file: str
    name: str
    verdict: str
    words: str


@shown("nothing that was checked failed: {ok}", next_step="explain(result) goes through every check")
class Verification(NamedTuple):
    """What :func:`verify` found.

    Attributes
    ----------
    artefact : str
        What was looked at.
    kind : str
        What it is: ``bayespref.fit``, ``bayespref.deferral-policy``, ``bayespref.bundle``, ...
    checks : tuple of Check
        Everything that was checked and everything that could not be.
    """

    artefact: str
    kind: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that was checked failed."""
        return all(check.verdict != "no" for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 where everything checked fits, else 1."""
        return 0 if self.ok else 1

    def __str__(self) -> str:
        head = "fits" if self.ok else "DOES NOT FIT"
        lines = [f"{self.artefact} ({self.kind}): {head}"]
        mark = {"yes": "yes", "no": "NO ", "unchecked": " ? "}
        lines += [f"  {mark[check.verdict]} {check.file}: {check.name}: {check.words}" for check in self.checks]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Machine-readable form."""
        fields = {"kind": "bayespref.verify", "schema_version": 1, "ok": self.ok, "exit_code": self.exit_code}
        fields |= {"artefact": self.artefact, "artefact_kind": self.kind}
        return json.dumps(fields | {"checks": [check._asdict() for check in self.checks]}, indent=1)


class _Found(NamedTuple):
    kind: str
    checks: list[Check]
    data_hash: str | None = None
    tables: tuple[str, ...] = ()
    """Hashes of all tables, of a folder with artefacts of several."""


def verify(path: str | os.PathLike[str], *, table: Comparisons | None = None) -> Verification:
    """Check a file or folder that the package wrote: own content hash, schema, data hash, seed, versions.

    Parameters
    ----------
    path : path
        A fit or target (``.nc``), counts (``.parquet``), a policy, a report, a card, a regime, an audit bundle, a file
        with a sidecar, or a folder of these, such as one that ``bayespref run``, ``target`` or ``study`` wrote.
    table : Comparisons, optional
        The table it should belong to; its hash is computed anew.

    Returns
    -------
    Verification
        Verdict ``no`` for whatever does not fit, ``unchecked`` for whatever could not be checked, with the reason. That
        other versions made it is said and is no failure.

    Raises
    ------
    ArtefactError
        If there is no such file, or it is nothing that the package writes.

    Notes
    -----
    Hashes find accidents and careless edits; they are no signatures. Files that are read are never executed, and an
    archive is not unpacked to disk.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bayespref.defer.policy import from_scores
    >>> policy = from_scores([0.0], [1], labels=["s"], items=["x", "y"], c_defer=0.2, data_hash="h", assumptions=[])
    >>> with TemporaryDirectory() as folder:
    ...     file = policy.save(Path(folder) / "policy.json")
    ...     whole = verify(file).ok
    ...     _ = file.write_text(file.read_text().replace("0.2", "0.9"))
    ...     whole, verify(file).ok
    (True, False)
    """
    target = Path(path)
    if target.is_dir():
        found = _folder(target)
    elif target.is_file():
        found = _file(target)
    else:
        raise ArtefactError(f"artefact: no file or folder at {target}")
    hashes = found.tables or (found.data_hash,)
    checks = [*found.checks, *(check for hashed in hashes for check in _against(target.name, hashed, table))]
    return Verification(str(target), found.kind, tuple(checks))


def _against(name: str, data_hash: str | None, table: Comparisons | None) -> list[Check]:
    if data_hash is None:
        return [Check(name, "data", "unchecked", "carries no hash of a table, so no table can be held against it")]
    if table is None:
        return [
            Check(name, "data", "unchecked", f"made from the table {data_hash[:12]}...; --table TABLE hashes it again")
        ]
    if table.data_hash == data_hash:
        return [Check(name, "data", "yes", f"belongs to this table (hash {data_hash[:12]}...)")]
    words = f"made from another table (hash {data_hash[:12]}..., this one has {table.data_hash[:12]}...)"
    return [Check(name, "data", "no", words)]


def _file(path: Path) -> _Found:
    sidecar = path.with_name(path.name + SIDECAR)
    if sidecar.is_file():
        return _text(sidecar.name, sidecar.read_bytes(), path.parent)
    if path.suffix == ".nc":
        return _fit(path)
    if path.suffix == ".zip":
        return _bundle(path)
    if path.suffix == ".parquet":
        return _counts(path)
    if path.suffix not in (".html", ".md", ".json"):
        raise ArtefactError(f"artefact: {path.name} is nothing that the package writes")
    if path.stat().st_size > _LARGEST:
        raise ArtefactError(f"artefact: {path.name} is larger than anything of its kind that the package writes")
    return _text(path.name, path.read_bytes(), path.parent)


def _text(name: str, content: bytes, folder: Path | None = None) -> _Found:
    """A JSON file, an HTML page or a Markdown card, from a folder or (None) from an archive."""
    if name.endswith((".html", ".md")):
        return _sealed_text(name, content)
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return _Found(
            "unreadable", [Check(name, "schema", "no", "is no valid JSON: truncated, damaged or no artefact")]
        )
    if not isinstance(fields, dict):
        raise ArtefactError(f"artefact: {name} is nothing that the package writes")
    kind = str(fields.get("format") or fields.get("kind") or "")
    readers: dict[str, Callable[[], _Found]] = {
        "bayespref.deferral-policy": lambda: _policy(name, content, DeferralPolicy.from_json),
        "bayespref.feature-policy": lambda: _policy(name, content, FeaturePolicy.from_json),
        "bayespref.check": lambda: _check(name, fields),
    }
    readers |= {known: lambda: _speaker(name, fields, folder) for known in _SPEAKS_FOR_FILES}
    if folder is not None:
        readers["bayespref.regime"] = lambda: _regime(folder / name)
        readers["sc:Dataset"] = lambda: _croissant(name, fields, folder)
    reader = readers.get(kind) or readers.get(str(fields.get("@type")))
    if reader is None:
        raise ArtefactError(f"artefact: {name} is JSON, but nothing that the package writes")
    return reader()


def _fit(path: Path) -> _Found:
    name = path.name
    try:
        tree = load_fit(path)
    except FitFileError as error:
        return _Found("bayespref.fit", [Check(name, "content", "no", str(error).removeprefix("path: "))])
    meta = tree_meta(tree)
    checks = [
        Check(
            name, "schema", "yes", f"a fit of format {meta['format_version']} with groups {', '.join(tree.children)}"
        ),
        Check(name, "content", "yes", "every value, label and attribute matches the hash in the file"),
        Check(name, "data", "yes", "the table inside has the hash that the fit claims"),
        *_made(name, meta),
    ]
    return _Found("bayespref.fit", checks, meta["data_hash"])


def _counts(path: Path) -> _Found:
    """Counts that ``bayespref aggregate`` wrote: the table in the file against the hash in its metadata."""
    name = path.name
    try:
        schema = parquet.read_schema(path)
        facts = json.loads((schema.metadata or {})[b"bayespref"])
        claimed = str(facts["hash"])
    except KeyError:
        raise ArtefactError(f"artefact: {name} carries no bayespref provenance; a table goes to --table") from None
    except (ValueError, TypeError, OSError) as error:
        return _Found("bayespref.counts", [Check(name, "schema", "no", f"cannot be read: {error}")])
    paired = {column.removesuffix("_a") for column in schema.names if column.endswith("_a")} - {"item"}
    features = [column.removesuffix("_a") for column in schema.names if column.removesuffix("_a") in paired]
    try:
        found = read_comparisons(path, features=features or None).data_hash
    except (ValueError, OSError) as error:
        return _Found("bayespref.counts", [Check(name, "content", "no", f"cannot be read: {error}")])
    same = found == claimed
    words = "the counts match the hash in the file" if same else "the counts were changed after they were written"
    checks = [Check(name, "content", "yes" if same else "no", words), *_made(name, facts)]
    return _Found("bayespref.counts", checks, claimed)


def _policy(name: str, content: bytes, read: Callable[[bytes], DeferralPolicy | FeaturePolicy]) -> _Found:
    kind = "bayespref.feature-policy" if read == FeaturePolicy.from_json else "bayespref.deferral-policy"
    try:
        policy = read(content)
    except PolicyFileError as error:
        return _Found(kind, [Check(name, "content", "no", str(error))])
    rows = policy.policy if isinstance(policy, FeaturePolicy) else policy
    checks = [
        Check(name, "schema", "yes", f"{len(rows.labels):,} regions, rule {rows.rule}, no contradiction"),
        Check(name, "content", "yes", "every field matches the hash in the file"),
        *_made(name, {"seed": rows.seed, "versions": rows.versions}),
    ]
    return _Found(kind, checks, rows.data_hash)


def _sealed_text(name: str, content: bytes) -> _Found:
    seal = read_seal(content.decode("utf-8", errors="replace"))
    if seal is None:
        raise ArtefactError(f"artefact: {name} carries no bayespref provenance in its last line")
    kind, data_hash = str(seal.fields.get("kind")), seal.fields.get("data_hash")
    words = "the text matches the hash in its last line" if seal.intact else "the text was changed after it was written"
    checks = [Check(name, "content", "yes" if seal.intact else "no", words), *_made(name, seal.fields)]
    return _Found(kind, checks, data_hash if isinstance(data_hash, str) else None)


def _speaker(name: str, fields: Mapping[str, Any], folder: Path | None) -> _Found:
    """A JSON file that names others with their hashes."""
    intact = is_intact(fields)
    words = "every field matches the hash in the file" if intact else "was changed after it was written, or has no hash"
    checks = [Check(name, "content", "yes" if intact else "no", words), *_made(name, fields)]
    listed = fields.get("files")
    if not isinstance(listed, dict):
        checks.append(Check(name, "files", "no", "names no files"))
    elif folder is None:
        checks.append(Check(name, "files", "unchecked", f"{', '.join(sorted(listed))}: hashes are those of the folder"))
    else:
        checks += [_listed(folder, str(file), str(hashed)) for file, hashed in sorted(listed.items())]
    data_hash = fields.get("data_hash")
    return _Found(str(fields["kind"]), checks, data_hash if isinstance(data_hash, str) else None)


def _listed(folder: Path, file: str, hashed: str) -> Check:
    if Path(file).name != file:
        return Check(file, "files", "no", "is no plain name of a file in this folder")
    if not (folder / file).is_file():
        return Check(file, "files", "no", _MISSING)
    same = file_hash(folder / file) == hashed
    return Check(file, "files", "yes" if same else "no", "is unchanged" if same else "was changed after it was written")


def _regime(path: Path) -> _Found:
    try:
        regime = read_regime(path)
    except RegimeError as error:
        return _Found("bayespref.regime", [Check(path.name, "schema", "no", str(error))])
    checks = [
        Check(path.name, "schema", "yes", f"a declared target population, {regime.name} {regime.version}"),
        Check(path.name, "content", "unchecked", f"a declaration is edited by hand; its hash is {regime.content_hash}"),
    ]
    return _Found("bayespref.regime", checks)


def _check(name: str, fields: Mapping[str, Any]) -> _Found:
    words = "verdicts of a check carry no hash of themselves: run the check again"
    data_hash = fields.get("data_hash")
    checks = [Check(name, "content", "unchecked", words)]
    return _Found("bayespref.check", checks, data_hash if isinstance(data_hash, str) else None)


def _croissant(name: str, fields: Mapping[str, Any], folder: Path) -> _Found:
    checks = [Check(name, "content", "unchecked", "the format has no place for a hash of itself")]
    files = fields.get("distribution")
    for entry in files if isinstance(files, list) else []:
        if isinstance(entry, dict):
            one = _listed(folder, str(entry.get("contentUrl")), f"sha256:{entry.get('sha256')}")
            away = one._replace(verdict="unchecked", words="does not lie beside its description")
            checks.append(away if one.words == _MISSING else one)
    identifier = str(fields.get("identifier", ""))
    return _Found("croissant", checks, identifier.removeprefix("sha256:") or None)


def _bundle(path: Path) -> _Found:
    try:
        manifest, files = archive.read_archive(path)
    except ArtefactError as error:
        return _Found("bayespref.bundle", [Check(path.name, "schema", "no", str(error))])
    wrong = archive.differences(manifest, files)
    intact = is_intact(manifest)
    checks = [
        Check(
            archive.MANIFEST,
            "content",
            "yes" if intact else "no",
            "every field matches the hash in the file" if intact else "was changed after it was written",
        )
    ]
    checks += [Check(archive.MANIFEST, "files", "no", words) for words in wrong]
    if not wrong:
        checks.append(Check(archive.MANIFEST, "files", "yes", f"all {len(files)} files are there and unchanged"))
    checks += _made(archive.MANIFEST, manifest)
    data_hash = manifest.get("data_hash")
    own: list[tuple[str, str | None]] = []
    for name in sorted(files):
        if name.endswith((".html", ".md")) or name in ("policy/policy.json", "data/checks.json"):
            inner = _inner(name, files[name])
            checks += [check for check in inner.checks if check.name == "content" and check.verdict != "unchecked"]
            own.append((name, inner.data_hash))
        elif name.endswith("verdict.json"):
            checks += [check for check in _inner(name, files[name]).checks if check.name == "content"]
    checks.append(_one_table(path.name, data_hash, own))
    return _Found("bayespref.bundle", checks, data_hash if isinstance(data_hash, str) else None)


def _inner(name: str, content: bytes) -> _Found:
    try:
        return _text(name, content)
    except ArtefactError as error:
        return _Found("", [Check(name, "content", "no", str(error).removeprefix("artefact: "))])


def _folder(folder: Path) -> _Found:
    """Everything in a folder that the package writes; what it does not know is named as unchecked."""
    found: list[tuple[str, _Found]] = []
    strange: list[str] = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            found.append((path.name, _file(path)))
        except ArtefactError:
            strange.append(path.name)
    if not found:
        raise ArtefactError(f"artefact: the folder {folder} holds nothing that the package writes")
    checks = [check for _, one in found for check in one.checks]
    spoken = {check.file for check in checks if check.name == "files"}
    words = "nothing that carries provenance of its own, and no file here speaks for it"
    checks += [Check(name, "content", "unchecked", words) for name in strange if name not in spoken]
    own = [(name, one.data_hash) for name, one in found if one.data_hash is not None]
    fits = {one.data_hash for _, one in found if one.kind == "bayespref.fit" and one.data_hash is not None}
    tables = fits or {hashed for _, hashed in own}
    if len(own) > 1:
        stray = [name for name, hashed in own if hashed not in tables]
        words = (
            f"{', '.join(stray)}: made from a table of which no fit lies here" if stray else f"{len(tables)} table(s)"
        )
        checks.append(Check(folder.name, "data", "no" if stray else "yes", words))
    kind = found[0][1].kind if len(found) == 1 else "folder"
    return _Found(kind, checks, min(tables, default=None), tuple(sorted(tables)))


def _one_table(name: str, data_hash: object, own: Iterable[tuple[str, str | None]]) -> Check:
    """Whether files that lie together come from one table."""
    other = [file for file, hashed in own if hashed is not None and hashed != data_hash]
    if other:
        return Check(name, "data", "no", f"made from different tables: {', '.join(other[:5])} differ from the first")
    return Check(name, "data", "yes", "everything in it that carries a hash of a table carries the same one")


def _made(name: str, fields: Mapping[str, Any]) -> list[Check]:
    """Seed and versions: recorded or not, and what differs here."""
    seed, made = fields.get("seed"), fields.get("versions")
    checks = [
        Check(name, "seed", "unchecked", "none is recorded: nothing was drawn, or nobody said")
        if seed is None
        else Check(name, "seed", "yes", f"recorded: {seed}")
    ]
    if not isinstance(made, Mapping) or not made:
        return [*checks, Check(name, "versions", "unchecked", "none are recorded")]
    here = versions()
    differ = [f"{key} {made[key]} (here {here[key]})" for key in sorted(made) if key in here and made[key] != here[key]]
    words = f"made with other versions: {', '.join(differ)}" if differ else f"bayespref {made.get('bayespref', '?')}"
    return [*checks, Check(name, "versions", "yes", f"recorded; {words}")]
