# What a newcomer types is `make demo` and `make test`; `make help` lists the rest.
# Needs GNU make, Python 3.11 to 3.13 with venv, and git. Uses uv where it is on PATH, stock pip elsewhere.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

export PIP_DISABLE_PIP_VERSION_CHECK := 1
BIN := $(VENV)/bin
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
# The larger real tables are not in the repository; notebooks that read them name their folder.
TABLES := $(wildcard $(if $(BAYESPREF_DATA),$(BAYESPREF_DATA)/README.md) ../shared/data/README.md)
WITHOUT_TABLES := $(if $(TABLES),,$(shell grep -l BAYESPREF_DATA $(NOTEBOOKS)))

# A uv that is on PATH but cannot run (a shim of another Python) counts as absent.
HAVE_UV := $(if $(shell uv --version 2>/dev/null),yes)
ifdef HAVE_UV
MAKE_VENV = uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
INSTALL = uv pip install --python $(BIN)/python --compile-bytecode --constraints constraints.txt
else
MAKE_VENV = $(PYTHON) -m venv $(VENV)
INSTALL = { $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip; } && \
	$(BIN)/python -m pip install --quiet --constraint constraints.txt
endif

# Tests and notebooks keep compiled XLA programs between runs. The values are part of the cache's key: leave them fixed.
IN_TESTS = OMP_NUM_THREADS=1 MPLBACKEND=Agg JAX_COMPILATION_CACHE_DIR="$(CURDIR)/.jax_cache" \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1
PYTEST = $(IN_TESTS) $(BIN)/pytest

.PHONY: help demo test test-fast test-slow test-docstrings test-notebooks studies study-pages benchmarks fuzz faults calibration test-lowest audit check lint types docs rules format notebooks \
	constraints install dev clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install ## install, then the whole road on two tables; ends with the path of the report
	@$(BIN)/python -m bayespref demo

test: dev ## install, then all tests: fast, slow, docstring examples, notebooks
	@$(MAKE) --no-print-directory --keep-going test-fast test-slow test-docstrings test-notebooks

test-fast: dev ## tests that are not marked slow
	@echo "== fast tests"
	@$(PYTEST) -n $(WORKERS) --dist loadscope -m "not slow"

test-slow: dev ## statistical tests with their own budget
	@echo "== slow tests"
	@$(PYTEST) -n $(WORKERS) --dist loadscope -m slow

test-docstrings: dev ## the examples in the docstrings and on the pages
	@echo "== examples in docstrings"
	@$(PYTEST) --doctest-modules -q bayespref
	@$(PYTEST) --doctest-glob='*.md' -q docs/tutorial.md docs/howto

# Outside xdist: kernels started side by side race for ports.
test-notebooks: dev ## every notebook, from its first cell to its last
ifeq ($(NOTEBOOKS),)
	@echo "== notebooks: none yet"
else
	@echo "== notebooks"
	@$(if $(WITHOUT_TABLES),echo "skipped (BAYESPREF_DATA names no folder of tables): $(WITHOUT_TABLES)")
	@$(PYTEST) -q --nbmake --nbmake-timeout=600 $(filter-out $(WITHOUT_TABLES),$(NOTEBOOKS))
endif

studies: install ## every study, each against what is expected (SIZE=--full for the documentation's size)
	@$(BIN)/python -m bayespref study all $(SIZE)

study-pages: install ## pages of the studies from the runs in studies-output, full ones before quick ones
	@$(BIN)/python -m bayespref.studies.pages --from studies-output

check: dev ## lint, format, types, documentation, pairs of notebooks, import rules
	@$(MAKE) --no-print-directory --keep-going lint types docs rules

lint: dev ## ruff: rules and format
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: dev ## mypy, strict
	@echo "== mypy"
	@$(BIN)/mypy

docs: dev ## the reference pages, in docs/_build/index.html; a warning is an error
	@echo "== docs"
	@rm -rf docs/generated
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

rules: dev ## import rules, documents, links, notebook pairs
	@echo "== import rules, documents and notebooks"
	@$(PYTEST) -q tests/test_layering.py tests/test_docs.py
ifneq ($(NOTEBOOKS),)
	@$(BIN)/nbstripout --verify $(NOTEBOOKS)
endif

format: dev ## repair what ruff and the notebook pairs can repair by themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@$(MAKE) --no-print-directory notebooks

notebooks: dev ## write each .ipynb from its .py pair, without outputs
ifneq ($(wildcard notebooks/*.py),)
	$(BIN)/jupytext --quiet --to ipynb $(wildcard notebooks/*.py)
	$(BIN)/nbstripout $(patsubst %.py,%.ipynb,$(wildcard notebooks/*.py))
endif

constraints: ## resolve constraints.txt anew (UPGRADE=--upgrade for newer versions); needs uv
	@uv --version >/dev/null || { echo "make constraints needs uv on PATH" >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate $(UPGRADE) \
		--extra dev --extra design pyproject.toml -o constraints.txt

install: $(VENV)/.core ## environment with the package in it
dev: $(VENV)/.dev ## environment with the package and the tools of its tests

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
		echo "bayespref needs Python 3.11, 3.12 or 3.13, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
		echo "Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(MAKE_VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }

# One stamp a kind of install; the larger one covers the smaller.
$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "== installing bayespref into $(VENV)"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "== installing bayespref and the tools of its tests into $(VENV)"
	@$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/.core $@

benchmarks: $(VENV)-bench/.peers ## ratios against named peers, into docs/benchmarks.md (CASES="plain types" for some of them)
	@$(VENV)-bench/bin/python -m benchmarks $(if $(CASES),--only $(CASES),--write docs/benchmarks.md)

$(VENV)-bench/.peers: pyproject.toml benchmarks/requirements.txt
	@$(PYTHON) -m venv $(VENV)-bench
	@$(VENV)-bench/bin/python -m pip install --quiet --editable . -r benchmarks/requirements.txt
	@$(VENV)-bench/bin/python -m pip install --quiet --no-deps arena-rank
	@touch $@

fuzz: dev ## hostile input to every reader, a million executions; findings go to fuzz-findings (EXECUTIONS=N for fewer)
	@$(INSTALL) atheris
	@$(IN_TESTS) $(BIN)/python -m benchmarks.fuzz --executions $(or $(EXECUTIONS),1000000)

faults: dev ## kill -9 at random moments of fits, aggregation, study, report and bundle (KILLS=N of each)
	@$(IN_TESTS) $(BIN)/python -m benchmarks.faults --kills $(or $(KILLS),50)

# Deprecations that old releases run into with newer ones of what they need are not ours.
test-lowest: $(VENV)-low/.dev ## fast tests with the oldest versions that pyproject.toml allows; needs uv
	@echo "== fast tests, oldest versions"
	@$(IN_TESTS) $(VENV)-low/bin/pytest -n $(WORKERS) -m "not slow" -W default::DeprecationWarning \
		-W default::PendingDeprecationWarning -W default::FutureWarning

$(VENV)-low/.dev: pyproject.toml
	@uv --version >/dev/null || { echo "make test-lowest needs uv on PATH" >&2; exit 1; }
	@rm -rf $(VENV)-low
	@uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)-low
	@uv pip install --quiet --python $(VENV)-low/bin/python --resolution lowest-direct --editable '.[dev]'
	@touch $@

audit: ## known vulnerabilities of the pinned versions; needs uv and an index that serves advisories
	@uvx pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

calibration: dev ## every statistical promise against what is seen, into docs/calibration.md and calibration-output
	@$(IN_TESTS) $(BIN)/python -m benchmarks.calibration --workers $(WORKERS) --write docs/calibration.md

clean: ## remove what make made
	rm -rf $(VENV) $(VENV)-bench $(VENV)-low .venv313 .jax_cache .hypothesis .pytest_cache .mypy_cache .ruff_cache .ipynb_checkpoints
	rm -rf build dist htmlcov .coverage* *.egg-info docs/_build docs/generated demo-output studies-output fuzz-findings calibration-output
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
