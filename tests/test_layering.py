"""The import rule: stages import base modules only; workflow and cli alone join stages.

Imports are read from the source with ``ast``, wherever they stand (in functions and under TYPE_CHECKING too), so a
forbidden edge is found without running anything.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

STAGES = [
    "data",
    "graph",
    "fit",
    "posterior",
    "disagree",
    "bounds",
    "defer",
    "design",
    "target",
    "simulate",
    "report",
    "cards",
]
BASE = [
    "dims",
    "reasons",
    "errors",
    "display",
    "checks",
    "files",
    "provenance",
    "comparisons",
    "choice",
    "information",
    "weights",
]
LINKED = ("models", "studies")
"""Folders beside the package that are shipped inside it, through a link."""
JOINERS = ("workflow", "cli", "studies", "__main__")
"""The only modules that import stages (or each other)."""
VERBS = {("bayespref.fit", "bayespref.workflow")}
"""Packages that are also a public verb: called, ``bayespref.fit`` hands over to the workflow."""
MODELS_MAY_IMPORT = {"bayespref.dims", "bayespref.choice", "bayespref.errors", "bayespref.checks"}
MODELS_LIBRARIES = {"jax", "jaxtyping", "numpy", "numpyro"}
NEVER = {
    "arviz": "on Python 3.11 it is the old InferenceData line; use arviz_base, arviz_stats, arviz_plots",
    "models": "the models are imported as bayespref.models",
    "pickle": "fits and policies are saved as netCDF and JSON",
    "cloudpickle": "fits and policies are saved as netCDF and JSON",
    "dill": "fits and policies are saved as netCDF and JSON",
    "joblib": "fits and policies are saved as netCDF and JSON",
    "marshal": "fits and policies are saved as netCDF and JSON",
    "shelve": "fits and policies are saved as netCDF and JSON",
}


def source_files(root: Path) -> dict[str, Path]:
    """Module name -> file, for the package and for the folders beside it that are shipped inside it."""
    found = {}
    folders = [(root / "bayespref", "bayespref"), *((root / name, f"bayespref.{name}") for name in LINKED)]
    for folder, package in folders:
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if package == "bayespref" and parts[0] in LINKED:
                continue  # a link to a folder beside the package, for Pythons whose rglob follows links
            name = ".".join((package, *parts))
            found[name.removesuffix(".__init__")] = file
    return found


def imports(name: str, file: Path, modules: set[str], *, for_types: bool = True) -> Iterator[str]:
    """Dotted names a module imports; names inside the package as module names, anything else as written."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    if not for_types:
        tree = WithoutTypeChecking().visit(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in modules or (origin, alias.name) == ("bayespref", "__version__") else origin
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in ("import_module", "__import__"):
                yield str(node.args[0].value)


class WithoutTypeChecking(ast.NodeTransformer):
    """Leaves out what only a type checker imports."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        return node.orelse if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)


def place(module: str) -> str:
    """Name of the stage, base module, joiner or 'models' that a module of the package belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "bayespref"


def forbidden(module: str, imported: str) -> str | None:
    """Why a module may not import something, or None."""
    library, own = imported.partition(".")[0], place(module)
    if (module, imported) in VERBS:
        return None
    if library in NEVER:
        return NEVER[library]
    if library in ("matplotlib", "arviz_plots") and not module.startswith("bayespref.report.plots"):
        return "only report/plots*.py draws"
    if library == "networkx" and module != "bayespref.graph.build":
        return "only graph/build.py uses networkx"
    if own == "models":
        if library == "bayespref":
            allowed = place(imported) == "models" or imported in MODELS_MAY_IMPORT
            return None if allowed else f"models import only {sorted(MODELS_MAY_IMPORT)}"
        known = library in MODELS_LIBRARIES or library in sys.stdlib_module_names
        return None if known else f"models import only {sorted(MODELS_LIBRARIES)}"
    if library != "bayespref" or imported == "bayespref.__version__" or own in ("bayespref", *JOINERS):
        return None
    target = place(imported)
    if own in BASE:
        return None if target in BASE else "base modules import base modules only"
    if own not in STAGES:
        return f"{own} is no stage and no base module: name it in tests/test_layering.py and ARCHITECTURE.md"
    return None if target in BASE or target == own else "a stage imports base modules and itself only"


def cycles(edges: dict[str, set[str]]) -> list[str]:
    """Import cycles among modules, each as 'a -> b -> a'."""
    done: set[str] = set()
    found = []

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
            return
        if module in done:
            return
        for other in sorted(edges[module]):
            visit(other, [*path, module])
        done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return found


def violations(root: Path) -> list[str]:
    """Every forbidden import and every cycle below ``root``, in words."""
    files = source_files(root)
    modules = set(files)
    found, edges = [], {}
    for module, file in files.items():
        names = set(imports(module, file, modules))
        at_run_time = imports(module, file, modules, for_types=False)
        edges[module] = {name for name in at_run_time if name in modules and name != module}
        for name in sorted(names):
            why = forbidden(module, name)
            if why:
                found.append(f"{module} imports {name}: {why}")
    return found + [f"import cycle: {cycle}" for cycle in cycles(edges)]


def test_no_module_imports_what_its_layer_forbids():
    assert violations(ROOT) == []


def test_every_module_of_the_package_is_read():
    files = source_files(ROOT)
    assert {"bayespref", "bayespref.dims", "bayespref.graph.connect", "bayespref.models.single"} <= set(files)
    assert len(set(files.values())) == len(files)


PLANTS = {
    "a stage that imports a stage": ("bayespref/bounds/a.py", "from bayespref.graph.connect import components\n"),
    "inside a function": ("bayespref/bounds/a.py", "def f():\n    import bayespref.graph.connect\n"),
    "under TYPE_CHECKING": ("bayespref/bounds/a.py", "if TYPE_CHECKING:\n    from bayespref.graph import connect\n"),
    "relatively": ("bayespref/bounds/a.py", "from ..graph import connect\n"),
    "by name at run time": ("bayespref/bounds/a.py", "importlib.import_module('bayespref.graph.connect')\n"),
    "through the lazy package": ("bayespref/bounds/a.py", "from bayespref import check\n"),
    "through the bare package": ("bayespref/bounds/a.py", "import bayespref as bp\n"),
    "a module of fit that imports the workflow": ("bayespref/fit/a.py", "from bayespref.workflow import run\n"),
    "a stage that imports the workflow": ("bayespref/bounds/a.py", "from bayespref.workflow import run\n"),
    "fit that imports a model": ("bayespref/fit/a.py", "from bayespref.models import single\n"),
    "a base module that imports a stage": ("bayespref/choice.py", "from bayespref.graph import connect\n"),
    "a module in no layer": ("bayespref/helpers.py", "from bayespref.dims import ITEM\n"),
    "a model that imports a stage": ("models/a.py", "from bayespref.fit import em\n"),
    "a model that imports Comparisons": ("models/a.py", "from bayespref.comparisons import Comparisons\n"),
    "a model that imports pandas": ("models/a.py", "import pandas as pd\n"),
    "old ArviZ": ("bayespref/posterior/a.py", "import arviz as az\n"),
    "pickle": ("bayespref/posterior/a.py", "from pickle import loads\n"),
    "the bare models folder": ("bayespref/workflow.py", "from models import single\n"),
    "matplotlib outside plots": ("bayespref/report/tables.py", "import matplotlib.pyplot as plt\n"),
    "arviz_plots outside plots": ("bayespref/posterior/a.py", "import arviz_plots\n"),
    "networkx outside graph/build": ("bayespref/graph/connect.py", "import networkx as nx\n"),
}


@pytest.mark.parametrize(("file", "text"), PLANTS.values(), ids=PLANTS)
def test_a_planted_violation_is_found(tmp_path, file, text):
    clean_tree(tmp_path)
    with (tmp_path / file).open("a") as planted:
        planted.write(text)
    found = violations(tmp_path)
    assert len(found) == 1, found
    assert found[0].startswith(".".join(Path(file).with_suffix("").parts).replace("models", "bayespref.models"))


def test_a_planted_cycle_is_found(tmp_path):
    clean_tree(tmp_path)
    (tmp_path / "bayespref/graph/a.py").write_text("from bayespref.graph import connect\n")
    (tmp_path / "bayespref/graph/connect.py").write_text("from .a import thing\n")
    assert violations(tmp_path) == [
        "import cycle: bayespref.graph.connect -> bayespref.graph.a -> bayespref.graph.connect"
    ]


def test_imports_for_types_alone_make_no_cycle(tmp_path):
    clean_tree(tmp_path)
    (tmp_path / "bayespref/graph/a.py").write_text("if TYPE_CHECKING:\n    from bayespref.graph import connect\n")
    (tmp_path / "bayespref/graph/connect.py").write_text("from .a import thing\n")
    assert violations(tmp_path) == []


def test_a_tree_that_keeps_the_rule_is_clean(tmp_path):
    clean_tree(tmp_path)
    assert violations(tmp_path) == []


def clean_tree(root: Path) -> None:
    """A small package that keeps the rule and uses everything the rule allows."""
    texts = {
        "bayespref/__init__.py": "import lazy_loader\n",
        "bayespref/dims.py": "import numpy as np\n",
        "bayespref/comparisons.py": "from bayespref.dims import ITEM\nfrom .dims import STATE\n",
        "bayespref/choice.py": "import jax\nfrom bayespref import dims\n",
        "bayespref/workflow.py": "from bayespref.graph import connect\nfrom bayespref.models import single\n",
        "bayespref/cli/__init__.py": "from bayespref.cli.app import main\n",
        "bayespref/cli/app.py": "import bayespref\nfrom bayespref.workflow import run\nimport bayespref.report.plots\n",
        "bayespref/__main__.py": "from bayespref.cli import main\n",
        "bayespref/graph/__init__.py": "import lazy_loader\n",
        "bayespref/graph/build.py": "import networkx as nx\nfrom bayespref.comparisons import Comparisons\n",
        "bayespref/graph/connect.py": "from bayespref.graph.build import graph\nfrom bayespref import __version__\n",
        "bayespref/report/plots.py": "import matplotlib.pyplot as plt\nimport arviz_plots\n",
        "bayespref/report/tables.py": "from .plots import forest\n",
        "models/__init__.py": "from bayespref.models.single import single\n",
        "models/single.py": "import math\nimport jax\nimport numpyro\nfrom bayespref.choice import log_prob\n",
    }
    for stage in ("bounds", "fit", "posterior"):
        texts[f"bayespref/{stage}/__init__.py"] = ""
    for name, text in texts.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


def test_importing_bayespref_loads_neither_jax_nor_numpyro_nor_pandas(tmp_path):
    code = (
        "import sys, bayespref; print(sorted({'jax', 'numpyro', 'pandas', 'xarray', 'matplotlib'} & set(sys.modules)))"
    )
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("code", ["import models", "from models import single", "import models.single"])
def test_importing_models_from_the_repository_root_is_an_error_that_names_the_right_import(code):
    done = python(code, ROOT)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError:")
    assert "bayespref.models" in last


def test_models_are_found_from_any_folder_and_only_once(tmp_path):
    code = (
        "import sys, bayespref.models as m; print(m.single.__module__, 'models' in sys.modules, 'single' in m.MODELS)"
    )
    for folder in (tmp_path, ROOT):
        done = python(code, folder)
        assert done.stdout.split() == ["bayespref.models.single", "False", "True"], done.stderr
