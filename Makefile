# Needs git, make and Python 3.11 to 3.13 with venv; everything else is installed into .venv, in the versions of the locks.

VENV  := .venv
BIN   := $(VENV)/bin
BENCH := .venv-bench
CLIENTS := .venv-clients

PYTHON ?=
ARGS   ?=
JOBS   ?=

# Modules are compiled at first import, not at installation: a third faster, if Python may write bytecode.
PIP     := -m pip install --disable-pip-version-check --no-input -qq --no-compile
INSTALL := $(BIN)/python $(PIP)
PHASE   := sh tools/phase
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s  %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'ARGS="..."       passed to hip3 up (run), to pytest (test), to a benchmark (bench: ARGS=--help)'
	@echo '                 or to the resolver (lock: ARGS=--upgrade)'
	@echo 'JOBS=2           number of processes for test'
	@echo 'PYTHON=/path     the Python for a new .venv'

.PHONY: run
run: $(VENV)/.runtime ## Run feed, worker, Flower and a simulated venue: hip3 up $(ARGS)
	@exec $(BIN)/hip3 up $(ARGS)

.PHONY: setup
setup: $(VENV)/.dev ## Install the project and its development tools into .venv
	@:

# The long tests are neighbours: an idle process takes half of what is left to another.
SHARE := --dist worksteal

.PHONY: test
test: $(VENV)/.dev ## Run the tests
	@$(BIN)/pytest $(if $(JOBS),-n $(JOBS) $(SHARE)) $(ARGS)

UNIT := tests/unit -n $(or $(JOBS),2) $(SHARE)

.PHONY: test-unit
test-unit: $(VENV)/.dev ## Run the unit tests alone, in two processes: under a minute
	@$(BIN)/pytest $(UNIT) $(ARGS)

.PHONY: coverage
coverage: $(VENV)/.dev ## Run the unit tests and show what they cover; hip3_tasks/domain must be covered whole
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(BIN)/coverage run -m pytest $(UNIT) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/python -m tools.coverage_table

.PHONY: check
check: $(VENV)/.dev ## Check lint, format, types, import contracts and known vulnerabilities
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive hip3_tasks feed workers simulator celeryconfig.py
	$(BIN)/python -m tools.audit_locks

.PHONY: docs
docs: $(VENV)/.dev ## Write the settings into docs/settings.md and .env.example
	@$(BIN)/python -m tools.settings_docs

.PHONY: faults
faults: $(VENV)/.dev ## Inject faults into a running system: python -m tests.faults $(ARGS)
	@exec $(BIN)/python -m tests.faults $(ARGS)

.PHONY: universe
universe: $(VENV)/.dev ## Simulate whole systems with accidents, each from a seed: N=10000, SEED=7, ARGS=--help
	@exec $(BIN)/python -m tests.universe $(if $(N),-n $(N)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: compose-test
compose-test: $(VENV)/.dev ## Build and test the deployed system on the Docker engine of this machine
	@exec $(BIN)/python -m tests.compose

.PHONY: wheel-test
wheel-test: $(VENV)/.dev ## Build the wheel, install it, and test it beside a running system
	@exec $(BIN)/python -m tests.wheel

.PHONY: clients-test
clients-test: $(CLIENTS)/.ready $(VENV)/.dev ## Run other people's clients, unchanged, against the simulated venue
	@exec $(BIN)/python -m tests.clients $(CLIENTS)/bin/python

.PHONY: peers
peers: $(VENV)/.dev ## Run the integration tests of kombu and Celery on this project's classes
	@exec $(BIN)/python -m tests.peers

.PHONY: bench
bench: $(BENCH)/.ready ## Measure against other queues: benchmarks/bench.py $(ARGS)
	@exec $(BENCH)/bin/python -m benchmarks.bench $(ARGS)

.PHONY: bench-report
bench-report: $(VENV)/.dev ## Measure hip3 report on a large history: benchmarks/report.py $(ARGS)
	@exec $(BIN)/python -m benchmarks.report $(ARGS)

.PHONY: bench-days
bench-days: $(VENV)/.dev ## Measure hip3 report over ninety days: benchmarks/manydays.py $(ARGS)
	@exec $(BIN)/python -m benchmarks.manydays $(ARGS)

.PHONY: bench-page
bench-page: $(VENV)/.dev ## Measure the live page with many markets and viewers: benchmarks/page.py $(ARGS)
	@exec $(BIN)/python -m benchmarks.page $(ARGS)

.PHONY: bench-replay
bench-replay: $(VENV)/.dev ## Measure hip3 replay on a tape of live size: benchmarks/replay.py $(ARGS)
	@exec $(BIN)/python -m benchmarks.replay $(ARGS)

.PHONY: bench-product
bench-product: $(VENV)/.dev ## Measure the whole product against its budget: benchmarks/product.py $(ARGS)
	@exec $(BIN)/python -m benchmarks.product $(ARGS)

RESOLVE := $(BIN)/uv pip compile --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-index-url --quiet
COMPILE := $(RESOLVE) pyproject.toml --group build

.PHONY: lock
lock: $(VENV)/.dev ## Recompile requirements.lock, requirements-dev.lock, the benchmark's and the clients'
	@test -x $(BIN)/uv || $(INSTALL) uv
	$(COMPILE) $(ARGS) --output-file requirements.lock --extra analysis --extra flower --extra server --extra web
	$(COMPILE) $(ARGS) --output-file requirements-dev.lock --all-extras
	$(COMPILE) $(ARGS) --output-file benchmarks/requirements.lock --extra server benchmarks/requirements.in
	$(RESOLVE) $(ARGS) --output-file benchmarks/requirements-arq.lock benchmarks/requirements-arq.in
	$(RESOLVE) $(ARGS) --output-file tests/clients/requirements.lock tests/clients/requirements.in

.PHONY: clean
clean: ## Remove .venv, caches and builds, never data
	rm -rf $(VENV) $(BENCH) $(BENCH)-arq $(CLIENTS) build dist *.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps for one environment, so that `make run` does not install the test tools. The development lock includes the
# runtime lock, so it makes both stamps. Both are removed when the interpreter is gone, for example after an upgrade.
$(shell test -x $(BIN)/python || rm -f $(VENV)/.runtime $(VENV)/.dev)

$(VENV)/.runtime: requirements.lock pyproject.toml $(BIN)/python
	@$(PHASE) 'packages' $(INSTALL) --no-deps --require-hashes -r requirements.lock
	@$(PHASE) 'hip3-tasks itself' $(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml $(BIN)/python
	@$(PHASE) 'packages and test tools' $(INSTALL) --no-deps --require-hashes -r requirements-dev.lock
	@$(PHASE) 'hip3-tasks itself' $(INSTALL) --no-deps --no-build-isolation -e .
	@touch $(VENV)/.runtime $@

# arq needs an older redis-py than the project, so it has its own environment.
$(BENCH)/.ready: benchmarks/requirements.lock benchmarks/requirements-arq.lock pyproject.toml $(BIN)/python
	@for name in '' -arq; do \
	    $(PHASE) "$(BENCH)$$name" $(BIN)/python -m venv --clear $(BENCH)$$name && \
	    $(PHASE) 'its packages' $(BENCH)$$name/bin/python $(PIP) --no-deps --require-hashes \
	        -r benchmarks/requirements$$name.lock || exit 1; \
	done
	@$(PHASE) 'hip3-tasks itself' $(BENCH)/bin/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(CLIENTS)/.ready: tests/clients/requirements.lock $(BIN)/python
	@$(PHASE) "$(CLIENTS)" $(BIN)/python -m venv --clear $(CLIENTS)
	@$(PHASE) 'its packages' $(CLIENTS)/bin/python $(PIP) --no-deps --require-hashes -r tests/clients/requirements.lock
	@touch $@

# Each candidate is run, not only looked up, because version managers put names on PATH that only print an error.
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)

$(BIN)/python:
	@for python in $(CANDIDATES); do \
	    "$$python" -c '$(USABLE)' </dev/null >/dev/null 2>&1 || continue; \
	    echo 'Installing into $(VENV), once; the longest phase takes some 20 s' >&2; \
	    $(PHASE) "environment of $$python" "$$python" -m venv --clear $(VENV) && exit 0; \
	    rm -rf $(VENV); exit 1; \
	done; \
	echo 'hip3-tasks needs Python 3.11 to 3.13 with venv, and found none as: $(CANDIDATES).' \
	    'Install one (apt install python3-venv, brew install python@3.13) or name one: make PYTHON=/path/to/python3' >&2; \
	exit 1
