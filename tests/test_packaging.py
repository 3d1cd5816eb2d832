"""What is installed is what the repository holds, in every kind of install."""

import ast
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from shutil import copytree

import pytest

import bayespref

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


LINKED = ("models", "studies")
"""Folders beside the package that are shipped inside it, through a link."""


def folder_of(package: str) -> Path:
    inner = package.removeprefix("bayespref.")
    return ROOT / inner if inner in LINKED else ROOT.joinpath(*package.split("."))


def shipped() -> dict[str, Path]:
    """Path inside a wheel -> file of the repository, for everything below bayespref/, models/ and studies/."""
    found = {}
    folders = [(ROOT / "bayespref", "bayespref"), *((ROOT / name, f"bayespref/{name}") for name in LINKED)]
    for folder, prefix in folders:
        for file in folder.rglob("*"):
            inner = file.relative_to(folder)
            link = prefix == "bayespref" and inner.parts[0] in LINKED
            if file.is_file() and "__pycache__" not in inner.parts and not link:
                found[f"{prefix}/{inner.as_posix()}"] = file
    return found


def test_package_list_names_every_folder_and_no_other():
    folders = {str(Path(name).parent).replace("/", ".") for name in shipped() if name.endswith(".py")}
    assert SETUPTOOLS["packages"] == sorted(folders)


def test_every_folder_of_modules_has_an_init_file():
    assert [name for name in SETUPTOOLS["packages"] if not (folder_of(name) / "__init__.py").is_file()] == []


def test_every_file_that_is_no_module_is_declared_as_package_data():
    declared = {
        f"{package.replace('.', '/')}/{pattern}"
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
    }
    others = [name for name in shipped() if not name.endswith(".py")]
    assert [name for name in others if not any(fnmatch(name, pattern) for pattern in declared)] == []
    assert [pattern for pattern in sorted(declared) if not any(fnmatch(name, pattern) for name in others)] == []


def test_version_is_the_same_in_project_package_and_installation():
    tree = ast.parse((ROOT / "bayespref" / "__init__.py").read_text(encoding="utf-8"))
    written = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__version__"
    ]
    assert written == [PROJECT["project"]["version"]]
    assert importlib.metadata.version("bayespref") == PROJECT["project"]["version"]


def test_every_public_name_resolves_to_what_its_type_stub_says():
    stub = ast.parse((ROOT / "bayespref" / "__init__.pyi").read_text(encoding="utf-8"))
    said = {
        alias.asname: (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(said) == sorted(bayespref.__all__)
    for name, (module, attribute) in said.items():
        value = getattr(bayespref, name)
        expected = getattr(importlib.import_module(module), attribute)
        assert value is expected or (inspect.ismodule(value) and callable(value)), name


@pytest.mark.parametrize("name", LINKED)
def test_link_to_a_folder_beside_the_package_is_relative_and_kept_as_a_link(name):
    kept = subprocess.run(
        ["git", "ls-files", "--stage", f"bayespref/{name}"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    assert all(line.startswith("120000 ") for line in kept.splitlines()), kept
    link = ROOT / "bayespref" / name
    if link.is_file():
        pytest.skip("this checkout has no symbolic links; the installed package does not need them")
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"


def test_console_script_names_something_callable():
    [entry] = importlib.metadata.entry_points(group="console_scripts", name="bayespref")
    assert entry.value == PROJECT["project"]["scripts"]["bayespref"]
    assert callable(entry.load())


def test_constraints_pin_every_dependency_and_name_no_index():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pin = re.compile(r"([a-z0-9-]+)==[0-9][\w.]*( ; .+)?")
    assert [line for line in lines if not pin.fullmatch(line)] == []
    pinned = {line.partition("==")[0] for line in lines}
    extras = PROJECT["project"]["optional-dependencies"]
    asked = PROJECT["project"]["dependencies"] + [need for needs in extras.values() for need in needs]
    names = {re.split(r"[<>=;\[ ]", need)[0].lower().replace("_", "-") for need in asked}
    assert sorted(names - {"bayespref"} - pinned) == []


def test_make_refuses_a_python_that_is_too_old_and_says_which_are_right(tmp_path):
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.10.13' && exit 0\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "bayespref needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "Python 3.10.13" in done.stderr
    assert not (tmp_path / "venv").exists()


def in_fresh_python(code: str, path: Path) -> str:
    """Output of code run with ``path`` in front of everything that is installed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a wheel or an sdist with the installed setuptools: no network, no isolated environment."""
    out.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what a build reads, so that nothing is written into the repository."""
    copy = tmp_path_factory.mktemp("build") / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for name in ("bayespref", *LINKED):
        copytree(ROOT / name, copy / name, symlinks=True, ignore=lambda *_: ["__pycache__"])
    return copy


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


@pytest.mark.slow
def test_wheel_holds_every_file_once_models_and_data_included(wheel):
    assert contents(wheel) == {name: file.read_bytes() for name, file in shipped().items()}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_wheel_built_from_the_source_archive_is_the_same(source, wheel, tmp_path):
    archive = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    [folder] = (tmp_path / "unpacked").iterdir()
    assert contents(build("wheel", folder, tmp_path / "wheel")) == contents(wheel)


@pytest.mark.slow
def test_installed_wheel_runs_without_the_repository(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import bayespref.models as m, bayespref.graph.connect as c; print(m.__file__); print(c.__file__)"
    files = in_fresh_python(code, tmp_path).splitlines()
    assert files == [f"{tmp_path}/bayespref/models/__init__.py", f"{tmp_path}/bayespref/graph/connect.py"]


def test_editable_install_finds_models_in_the_repository(tmp_path):
    file = in_fresh_python("import bayespref.models as m; print(m.__file__)", tmp_path)
    assert Path(file).resolve() == ROOT / "models" / "__init__.py"
