# The one entrance. Each target sets up what it needs in $(VENV) by itself and shows progress.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Twice quiet: only errors. What pip warns of (its cache, its own age, a mirror) is not ours to mend.
PIP_FLAGS := --disable-pip-version-check --quiet --quiet --prefer-binary --progress-bar off
PIP := $(BIN)/python -m pip
# Two more than cores, because most of them wait for a child; 0: all in one process.
TEST_PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
WHEEL := $(VENV)-wheel/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup test integrations integrations-carriers integrations-livekit integrations-pipecat lint parity rehearse schema-version mutants picture demo dropin silence processes matrix faults collector browser collector-kills collector-fuzz collector-openapi collector-silence wheel bench bench-calls bench-collector coverage bench-short generate refresh-models clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

# A stamp, so that the environment is made once for each state of pyproject.toml.
$(VENV)/.ready: pyproject.toml
	@echo "==> setting up $(VENV), once: a minute or two"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; name one: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install $(PIP_FLAGS) --upgrade pip
	@echo "    the package, and what its demo and its tests need"
	@$(PIP) install $(PIP_FLAGS) -e '.[dev]'
	@touch $@

setup: $(VENV)/.ready ## make the virtual environment

test: $(VENV)/.ready ## run the tests
	@echo "==> tests"
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(PYTEST_FLAGS)

processes: $(VENV)/.ready ## run programs under fork, gunicorn, Celery … (needs PyPI)
	@echo "==> process models"
	PATTER_PROCESSES_CACHE=$(VENV)-processes $(BIN)/python -m pytest tests/processes $(PYTEST_FLAGS)

# Made anew when its lock file changes.
$(VENV)-carriers/.ready: tests/integrations/locks/carriers.txt pyproject.toml
	@echo "==> setting up $(VENV)-carriers"
	@$(PYTHON) -m venv --clear $(VENV)-carriers
	@$(VENV)-carriers/bin/python -m pip install $(PIP_FLAGS) -r $<
	@$(VENV)-carriers/bin/python -m pip install $(PIP_FLAGS) --no-deps -e .
	@touch $@

integrations-carriers: $(VENV)-carriers/.ready ## the libraries of the carriers sign and believe what we do (needs PyPI)
	@$(VENV)-carriers/bin/python -c 'from importlib.metadata import version; print("==>", *(f"{name} {version(name)}" for name in ("twilio", "telnyx", "plivo", "livekit-api")))'
	PYTHONPATH=tests $(VENV)-carriers/bin/python -m pytest -q -c tests/integrations/pytest.ini tests/integrations/test_carriers.py $(PYTEST_FLAGS)

integrations: integrations-carriers integrations-livekit integrations-pipecat ## all of them (needs PyPI)
	@echo "==> tests/integrations: all of them ran"

# A virtual environment for each version, made anew when its lock file changes.
LIVEKIT_STAMPS := $(VENV)-livekit-oldest/.ready $(VENV)-livekit-newest/.ready
$(VENV)-livekit-%/.ready: tests/integrations/locks/livekit-%.txt pyproject.toml
	@echo "==> setting up $(VENV)-livekit-$*"
	@$(PYTHON) -m venv --clear $(VENV)-livekit-$*
	@$(VENV)-livekit-$*/bin/python -m pip install $(PIP_FLAGS) -r $<
	@$(VENV)-livekit-$*/bin/python -m pip install $(PIP_FLAGS) --no-deps -e .
	@touch $@

integrations-livekit: $(LIVEKIT_STAMPS) ## calls on real LiveKit Agents, oldest and newest version (needs PyPI)
	@for version in oldest newest; do \
	  $(VENV)-livekit-$$version/bin/python -c 'from importlib.metadata import version; print("==> livekit-agents", version("livekit-agents"))' && \
	  $(VENV)-livekit-$$version/bin/python -m pytest -q -c tests/integrations/pytest.ini --show-capture=no \
	    tests/integrations/test_livekit_*.py $(PYTEST_FLAGS) || exit 1; \
	done

# A virtual environment for each version, made anew when its lock file changes.
PIPECAT_STAMPS := $(VENV)-pipecat-oldest/.ready $(VENV)-pipecat-newest/.ready
$(VENV)-pipecat-%/.ready: tests/integrations/locks/pipecat-%.txt pyproject.toml
	@echo "==> setting up $(VENV)-pipecat-$*"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pipecat needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv --clear $(VENV)-pipecat-$*
	@$(VENV)-pipecat-$*/bin/python -m pip install $(PIP_FLAGS) -r $<
	@$(VENV)-pipecat-$*/bin/python -m pip install $(PIP_FLAGS) --no-deps -e .
	@touch $@

integrations-pipecat: $(PIPECAT_STAMPS) ## calls on real Pipecat, oldest and newest version (needs PyPI, Python 3.11)
	@for version in oldest newest; do \
	  $(VENV)-pipecat-$$version/bin/python -c 'from importlib.metadata import version; print("==> pipecat-ai", version("pipecat-ai"))' && \
	  $(VENV)-pipecat-$$version/bin/python -m pytest -q -c tests/integrations/pytest.ini --show-capture=no \
	    tests/integrations/test_pipecat_calls.py $(PYTEST_FLAGS) || exit 1; \
	done

matrix: $(VENV)/.ready ## write the documents' table of process models, by running them
	WRITE_MATRIX=1 PATTER_PROCESSES_CACHE=$(VENV)-processes $(BIN)/python -m pytest tests/processes

# libfaketime is no Python package, so only root on a Debian gets it by itself.
faults: $(VENV)/.ready ## a misbehaving collector, disk and clock, and sudden ends (needs libfaketime)
	@echo "==> faults"
	@if ! ls /usr/lib/*/faketime /usr/lib/faketime >/dev/null 2>&1 && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "    installing libfaketime"; \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y faketime >/dev/null; \
	fi
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) $(PYTEST_FLAGS) tests/faults

# strace is no Python package, so only root on a Debian gets it by itself.
define need_strace
@if ! command -v strace >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "    installing strace"; \
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y strace >/dev/null; \
fi
@command -v strace >/dev/null || { \
  echo "strace is needed: install it as root (Debian: apt-get install strace)" >&2; exit 1; }
endef

define need_nginx
@if ! command -v nginx >/dev/null && ! [ -x /usr/sbin/nginx ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "    installing nginx"; \
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y nginx-light >/dev/null; \
fi
endef

# An environment of its own: its plugin would load into every test run.
SCHEMATHESIS := $(abspath $(VENV)-schemathesis)/bin/schemathesis
$(SCHEMATHESIS):
	@echo "    installing Schemathesis in $(VENV)-schemathesis"
	@$(PYTHON) -m venv $(VENV)-schemathesis
	@$(VENV)-schemathesis/bin/python -m pip install $(PIP_FLAGS) 'schemathesis>=4,<5'

collector: $(VENV)/.ready $(SCHEMATHESIS) ## the collector on a full disk, under strace, killed, behind nginx, and asked odd things (needs root)
	@echo "==> collector"
	$(need_strace)
	$(need_nginx)
	COLLECTOR_SCHEMATHESIS=$(SCHEMATHESIS) $(BIN)/python -m pytest $(PYTEST_FLAGS) tests/collector_heavy

# playwright drives the system's browser: in an environment of its own, as only this tier needs it.
BROWSER_VENV := $(abspath $(VENV)-browser)
BROWSER_AXE := $(BROWSER_VENV)/node_modules/axe-core/axe.min.js
$(BROWSER_AXE):
	@echo "    installing playwright and axe-core in $(VENV)-browser"
	@$(PYTHON) -m venv $(BROWSER_VENV)
	@$(BROWSER_VENV)/bin/python -m pip install $(PIP_FLAGS) 'playwright>=1.49,<2'
	@npm install --silent --no-fund --no-audit --prefix $(BROWSER_VENV) axe-core@4

# Chromium is no Python package, so only root on a Debian gets it by itself.
browser: $(VENV)/.ready $(BROWSER_AXE) ## the collector's pages in Chromium behind nginx (needs npm, both)
	@echo "==> browser"
	$(need_nginx)
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "    installing Chromium"; \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null; \
	fi
	@command -v chromium >/dev/null || { \
	  echo "Chromium is needed: install it as root (Debian: apt-get install chromium)" >&2; exit 1; }
	@chromium --version 2>/dev/null; PATH="$$PATH:/usr/sbin" nginx -v
	@$(BROWSER_VENV)/bin/python -m pip list --disable-pip-version-check 2>/dev/null | grep playwright
	@npm ls --prefix $(BROWSER_VENV) axe-core | grep axe-core
	BROWSER_PYTHON=$(BROWSER_VENV)/bin/python BROWSER_PROGRAM="$$(command -v chromium)" \
	  BROWSER_AXE=$(BROWSER_AXE) $(BIN)/python -m pytest -o faulthandler_timeout=0 $(PYTEST_FLAGS) tests/browser

collector-kills: $(VENV)/.ready ## kill it 60 times in half an hour, at 2,000 events a second
	COLLECTOR_KILLS=60 COLLECTOR_KILL_SECONDS=29 $(BIN)/python -m pytest -s tests/collector_heavy/test_collector_kills.py

collector-fuzz: $(VENV)/.ready ## send it a million odd requests (about half an hour)
	COLLECTOR_REQUESTS=1000000 $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/collector_heavy/test_collector_fuzz.py

collector-openapi: $(VENV)/.ready $(SCHEMATHESIS) ## have Schemathesis send it 20,000 requests (needs PyPI)
	COLLECTOR_SCHEMATHESIS=$(SCHEMATHESIS) COLLECTOR_EXAMPLES=2000 $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/collector_heavy/test_collector_openapi.py

collector-silence: $(VENV)/.ready ## ten minutes of ingest and queries under strace: it connects to nothing (needs root, strace)
	$(need_strace)
	COLLECTOR_STRACE_SECONDS=600 $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/collector_heavy/test_collector_silence.py

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

schema-version: $(VENV)/.ready ## begin the next version of the schemas, and say what is left to do
	$(BIN)/python schemas/next_version.py

rehearse: $(VENV)/.ready ## make the next version of the schemas in a copy, and see that parity passes (needs Node)
	@echo "==> rehearsal of the next version"
	$(BIN)/python -m pytest $(PYTEST_FLAGS) tests/rehearsal

mutants: $(VENV)/.ready ## change one thing at a time and see that parity notices (ten minutes)
	@echo "==> mutants"
	$(BIN)/python schemas/mutants.py $(MUTANTS)

picture: $(VENV)/.ready ## draw README's picture of the overview page, of simulated installs (needs Chromium)
	@directory=$$(mktemp -d) && \
	$(BIN)/getpatter collector simulate --out $$directory/store --installs 2000 --days 30 && \
	$(BIN)/getpatter collector report --data $$directory/store --out $$directory/report.html && \
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,1160 \
	  --screenshot=$(CURDIR)/docs/overview.png file://$$directory/report.html && \
	rm -r $$directory

demo: $(VENV)/.ready ## real calls on this machine, and what their events show (DEMO_FLAGS=--open: in a browser)
	@echo "==> demo"
	$(BIN)/getpatter demo --report report.html $(DEMO_FLAGS)

dropin: $(VENV)/.ready ## the released library run on our telemetry (needs PyPI, Python 3.11)
	@echo "==> drop-in: the release, in a virtual environment of its own, and its copy with our folder"
	PATTER_DROPIN_CACHE=$(VENV)-dropin $(BIN)/python -m pytest $(PYTEST_FLAGS) tests/dropin

silence: $(VENV)/.ready ## the opt-out table as the kernel sees it (needs strace)
	@echo "==> silence: every way to be off, under strace"
	$(need_strace)
	$(BIN)/python -m pytest $(PYTEST_FLAGS) tests/silence

wheel: ## build it, install it into a clean environment and use it there (needs PyPI)
	@echo "==> wheel: built, installed and used in $(VENV)-wheel"
	@rm -rf $(VENV)-wheel && $(PYTHON) -m venv $(VENV)-wheel
	@$(WHEEL) -m pip install $(PIP_FLAGS) --upgrade pip
	@$(WHEEL) -m pip wheel $(PIP_FLAGS) --no-deps --wheel-dir $(VENV)-wheel/dist .
	@$(WHEEL) -m pip install $(PIP_FLAGS) "$$(echo $(VENV)-wheel/dist/*.whl)[demo]" pytest
	$(WHEEL) .ci/use_wheel.py

bench: $(VENV)/.ready ## measure beside other clients; nothing else should run meanwhile
	$(BIN)/python benchmarks $(BENCH_FLAGS)

bench-calls: $(VENV)/.ready ## measure call diagnostics; BENCH_FLAGS=--long for three minutes of load each way
	$(BIN)/python benchmarks/calls.py $(BENCH_FLAGS)
	$(BIN)/python benchmarks/stats.py $(BENCH_FLAGS)

bench-collector: $(VENV)/.ready ## measure what a collector takes; nothing else should run meanwhile
	$(BIN)/python benchmarks/collector_ingest.py $(BENCH_FLAGS)
	$(BIN)/python benchmarks/collector_answers.py $(BENCH_FLAGS)

coverage: $(VENV)/.ready ## how often the collector's intervals hold the truth (half an hour; COVERAGE_FLAGS=--short: a minute)
	$(BIN)/python benchmarks/coverage_study.py $(COVERAGE_FLAGS)
	$(BIN)/python benchmarks/coverage_whole.py $(COVERAGE_FLAGS)

bench-short: $(VENV)/.ready ## the benchmark at its shortest: only shows that it works
	$(BIN)/python benchmarks --short

generate: $(VENV)/.ready ## write the tables, documents and docs from the schemas
	$(BIN)/python schemas/generate_calls.py
	$(BIN)/python schemas/generate.py
	$(BIN)/python schemas/carriers_page.py

refresh-models: $(VENV)/.ready ## fetch the public model names anew (needs PyPI)
	$(BIN)/python .ci/refresh_models.py

clean: ## remove what the other targets made
	rm -rf .venv* benchmarks/.venvs schemas/node/node_modules .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache .hypothesis .coverage* report.html
