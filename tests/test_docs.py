"""What is written about the package is there, complete and true of the code."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jupytext
import pytest
from numpydoc.docscrape_sphinx import get_doc_object
from numpydoc.validate import validate

ROOT = Path(__file__).resolve().parents[1]
CODE = ["bayespref", "models", "studies", "tests", "notebooks", "benchmarks", "docs", "examples"]
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"]

PUBLIC = {
    "bayespref": "read_comparisons check run DeferralPolicy",
    "bayespref.workflow": "fit",
    "bayespref.models": "single latent_types latent_traits pooled_types linear_types",
    "bayespref.graph.connect": "components strong_components connectivity suggest_comparisons",
    "bayespref.graph.coverage": "coverage missing_mass",
    "bayespref.disagree": "disagreement flags",
    "bayespref.bounds.identified": "level_bounds difference_bounds",
    "bayespref.bounds.regret": "regret_matrix minimax_regret maximin welfare_bounds two_world_certificate",
    "bayespref.bounds.structure": "propagate additive breakdown",
    "bayespref.bounds.sensitivity": "odds_tilt density_ratio gamma_min breakdown_gamma",
    "bayespref.bounds.mixture": "target_preference mean_difference local_identifiability",
    "bayespref.bounds.interval": "robust_credible_region",
    "bayespref.defer.threshold": "break_even",
    "bayespref.defer.calibrate": "learn_then_test conformal_risk_control",
    "bayespref.defer.metrics": "risk_coverage",
    "bayespref.defer.policy": "DeferralPolicy",
    "bayespref.information": "fisher fisher_by gaussian_fisher overlap quadrant_mass saturation",
    "bayespref.design.mixture": "optimal_mixture",
    "bayespref.weights": "effective_sample_size",
    "bayespref.target.tilt": "exponential_tilt",
    "bayespref.target.dpo": "weighted_dpo_loss doubly_robust_risk",
}
"""The names the package promises to keep, by module; a module that does not exist yet is not looked into."""

WRONG = {
    "GL06": "unknown section",
    "GL07": "sections out of order",
    "GL08": "no docstring",
    "PR01": "parameters not documented",
    "PR02": "unknown parameters",
    "PR10": "a parameter without a space before its colon",
    "SS02": "a summary that starts in lower case",
    "SS03": "a summary without a full stop",
}
"""What numpydoc's validation must not find, with its codes."""


def module_names() -> list[str]:
    """Every module of the package, by its dotted name."""
    found = []
    linked = ("models", "studies")
    folders = [(ROOT / "bayespref", "bayespref"), *((ROOT / name, f"bayespref.{name}") for name in linked)]
    for folder, package in folders:
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if file.stem != "__main__" and not (package == "bayespref" and parts[0] in linked):
                found.append(".".join((package, *parts)).removesuffix(".__init__"))
    return found


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Path and text of every file that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in sorted(filter(None, listed.stdout.decode().split("\0"))):
        file = ROOT / name
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            if b"\0" not in content[:8000]:
                yield name, content.decode("utf-8", errors="replace")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_exists_and_says_something(name):
    assert len((ROOT / name).read_text(encoding="utf-8")) > 400


def map_entries(text: str) -> set[str]:
    """Files a map names, each with the last folder named before it: 'graph/connect.py', 'graph/  connect.py words'."""
    found, folder = set(), ""
    for named_folder, file in re.findall(r"(?<![\w./])((?:\w+/)+)|(\w+\.py)\b", text):
        folder = named_folder or folder
        if file:
            found |= {file, folder + file}
    return found


def test_map_of_the_architecture_names_every_module_and_no_other():
    entries = map_entries((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    files = [(ROOT / name.replace(".", "/")).with_suffix(".py") for name in module_names()]
    inner = [file.relative_to(ROOT / "bayespref").as_posix() for file in files if file.is_file()]
    assert [name for name in inner if name not in entries] == []
    known = {file.name for folder in CODE for file in (ROOT / folder).rglob("*.py")}
    assert sorted(name for name in entries if "/" not in name and name not in known) == []


def test_a_map_is_read_by_paths_and_by_lines():
    text = "bayespref/\n dims.py\n graph/  build.py counts, connect.py components\n fit/\n  em.py\n`defer/policy.py`"
    assert map_entries(text) >= {"dims.py", "graph/build.py", "graph/connect.py", "fit/em.py", "defer/policy.py"}
    assert not {"fit/connect.py", "graph/em.py", "graph/policy.py"} & map_entries(text)


def test_commands_that_documents_name_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    wrong = []
    for name in DOCUMENTS[:-1]:
        named = re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
        wrong += [f"{name}: make {target}" for target in named if target not in targets]
    assert wrong == []
    assert {"demo", "test"} <= set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))


def test_changelog_has_an_entry_for_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    headings = [
        line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line.startswith("#")
    ]
    assert any(version in line or "unreleased" in line.lower() for line in headings), headings


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS[:-1])
def test_links_lead_to_files_and_headings_that_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = ROOT / path if path else ROOT / name
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def test_every_module_says_in_its_docstring_what_it_is_for():
    files = [file for folder in ("bayespref", "models") for file in sorted((ROOT / folder).rglob("*.py"))]
    assert [str(file) for file in files if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))] == []


def wrong_in_docstring(value: object) -> list[str]:
    """What numpydoc's validation finds of the codes in WRONG; a section of parameters may be absent, not incomplete."""
    absent = "Parameters\n---" not in (inspect.getdoc(value) or "")
    errors = validate(get_doc_object(value))["errors"]
    return [f"{code} {text}" for code, text in errors if code in WRONG and not (code == "PR01" and absent)]


@pytest.mark.parametrize("name", module_names())
def test_functions_and_classes_say_what_they_are_and_document_what_they_take(name):
    wrong = {}
    for attribute, value in vars(importlib.import_module(name)).items():
        own = not attribute.startswith("_") and getattr(value, "__module__", None) == name
        if own and (inspect.isfunction(value) or inspect.isclass(value)):
            found = wrong_in_docstring(value)
            wrong |= {attribute: found} if found else {}
    assert wrong == {}


def test_a_docstring_that_lies_is_found():
    def undocumented(a: int) -> int:
        return a

    def other_names(a: int) -> int:
        """Return a.

        Parameters
        ----------
        b : int
            Something else.
        """
        return a

    assert [line[:4] for line in wrong_in_docstring(undocumented)] == ["GL08"]
    assert {line[:4] for line in wrong_in_docstring(other_names)} == {"PR01", "PR02"}


@pytest.mark.parametrize("name", PUBLIC)
def test_promised_names_that_exist_have_parameters_and_an_example(name):
    """Models have no example of their own: they run inside ``fit``."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"not there yet: {error.name}")
    poor = {}
    for attribute in PUBLIC[name].split():
        value = getattr(module, attribute, None)
        if callable(value):
            text = inspect.getdoc(value) or ""
            wanted = ["Parameters\n---"] if name == "bayespref.models" else ["Parameters\n---", "Examples\n---", ">>>"]
            missing = [section for section in wanted if section not in text]
            poor |= {attribute: [section.partition("\n")[0] for section in missing]} if missing else {}
    assert poor == {}


FORBIDDEN = {
    "a path of one machine": r"(?<![\w.~}])/(?:home|root|Users|opt|mnt|srv)/[\w.-]+|(?<!\w)[A-Z]:\\Users\\",
    "a job folder": r"/tmp/b[a]sh_jobs",
    "a package registry": r"p[y]pi\.org|p[y]thonhosted|r[e]gistry\.npmjs|d[e]b\.debian|--(?:extra-)?index-u[r]l",
}


def forbidden_in(text: str) -> list[str]:
    """What stands in a text that belongs to one machine or one package index."""
    return [f"{what}: {match.group()}" for what, rule in FORBIDDEN.items() for match in re.finditer(rule, text)]


def test_no_tracked_text_names_a_machine_or_a_package_registry():
    assert {name: found for name, text in tracked_texts() if (found := forbidden_in(text))} == {}


@pytest.mark.parametrize(
    "text",
    ["open('/ho|me/ann/x.csv')", "see /sr|v/x", "https://py|pi.org/simple", "C:\\Us|ers\\ann", "--index-|url x"],
)
def test_a_machine_path_or_a_registry_in_a_text_is_found(text):
    assert len(forbidden_in(text.replace("|", ""))) == 1


@pytest.mark.parametrize("text", ["../srv/x", "https://example.org/srv/x", "notebooks/home/x", "/usr/bin/env bash"])
def test_relative_paths_and_other_addresses_are_left_alone(text):
    assert forbidden_in(text) == []


def cells(text: str, fmt: str) -> list[tuple[str, str]]:
    """Kind and source of every cell of a notebook."""
    return [(cell.cell_type, cell.source) for cell in jupytext.reads(text, fmt=fmt).cells]


def test_each_notebook_is_the_same_in_both_forms_and_carries_no_output():
    folder = ROOT / "notebooks"
    scripts, notebooks = sorted(folder.glob("*.py")), sorted(folder.glob("*.ipynb"))
    assert [file.stem for file in scripts] == [file.stem for file in notebooks]
    for script, notebook in zip(scripts, notebooks, strict=True):
        text = notebook.read_text(encoding="utf-8")
        assert cells(text, "ipynb") == cells(script.read_text(encoding="utf-8"), "py:percent"), notebook.name
        code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in code), notebook.name


def test_the_notebooks_are_one_course():
    """Each says what it asks, what is known before and after and how long it takes, and leads on to the next."""
    scripts = sorted((ROOT / "notebooks").glob("*.py"))
    wrong = []
    for k, script in enumerate(scripts):
        texts = [
            source for kind, source in cells(script.read_text(encoding="utf-8"), "py:percent") if kind == "markdown"
        ]
        asked = re.findall(r"^\| \*\*(.+?)\*\* \|", texts[0], flags=re.MULTILINE)
        if asked != ["Question", "You know already", "You will know", "Takes"]:
            wrong.append(f"{script.name} opens with {asked}")
        if f"Notebook {k + 1} of {len(scripts)}" not in texts[0]:
            wrong.append(f"{script.name} does not say its place")
        neighbours = [other.with_suffix(".ipynb").name for other in scripts[max(k - 1, 0) : k + 2] if other != script]
        wrong += [f"{script.name} does not lead to {name}" for name in neighbours if f"({name})" not in texts[0]]
        wrong += [
            f"{script.name} lacks {end!r}" for end in ("## What to remember", "## Read on") if end not in texts[-1]
        ]
        links = re.findall(r"\]\(([^)\s:]+)\)", "\n".join(texts))
        wrong += [f"{script.name}: {link} is not there" for link in links if not (script.parent / link).exists()]
    assert wrong == []
