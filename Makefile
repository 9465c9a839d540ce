# The one entrance. Each target sets up what it needs in $(VENV) by itself and shows progress.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_FLAGS := --disable-pip-version-check --prefer-binary

.DEFAULT_GOAL := help
.PHONY: help setup test lint parity mutants demo bench generate refresh-models clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

# A stamp, so that the environment is made once for each state of pyproject.toml.
$(VENV)/.ready: pyproject.toml
	@echo "==> setting up $(VENV) (once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) --quiet --upgrade pip
	$(BIN)/python -m pip install $(PIP_FLAGS) --quiet --progress-bar off -e '.[dev]'
	@touch $@

setup: $(VENV)/.ready ## make the virtual environment

test: $(VENV)/.ready ## run the tests
	@echo "==> tests"
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(VENV)/.ready ## style, types and import rules
	@echo "==> ruff"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "==> mypy"
	$(BIN)/mypy
	@echo "==> import rules"
	$(BIN)/lint-imports

parity: $(VENV)/.ready ## schemas, tables, docs and changelog agree, in Python and JavaScript (needs Node)
	@echo "==> parity"
	$(BIN)/python schemas/parity.py

mutants: $(VENV)/.ready ## change one thing at a time and see that parity notices (ten minutes)
	@echo "==> mutants"
	$(BIN)/python schemas/mutants.py $(MUTANTS)

demo: $(VENV)/.ready ## real calls on this machine, and what their events tell
	@echo "==> demo"
	$(BIN)/getpatter demo

bench: $(VENV)/.ready ## measure; nothing else should run meanwhile
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/record.py
	$(BIN)/python benchmarks/commands.py

generate: $(VENV)/.ready ## write the tables, documents and docs from the schemas
	$(BIN)/python schemas/generate.py

refresh-models: $(VENV)/.ready ## fetch the public model names anew (needs PyPI)
	$(BIN)/python .ci/refresh_models.py

clean: ## remove what the other targets made
	rm -rf .venv* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* schemas/node/node_modules
