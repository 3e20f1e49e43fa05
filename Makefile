# Everything a developer, a user who tries Envoi, and CI run. `make help` lists it.
#
# Needed on the machine: Python 3.11 or newer with venv and pip, make, and the registries of PyPI, npm and (for
# the browser tests) Debian. Each step leaves a stamp, so repeating a target costs nothing until what it
# was made from has changed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The interpreter the environment is made with; empty: the first of the names below that is new enough.
PYTHON ?=
# More arguments for pytest, for instance PYTEST_ARGS="-k outbox -x".
PYTEST_ARGS ?=
# How the tests are shared out; empty: one after the other. See tests/sharing.py. Twice as many processes as cores: a
# third of the time of a test is spent waiting for servers, workers and browsers.
PYTEST_SHARES ?= --numprocesses 4 --dist loadscope --no-loadscope-reorder
# Which variants of a journey are driven; all: each, in both languages and sizes. See tests/journeys/variants.py.
JOURNEYS ?=
# More arguments for the benchmarks, for instance BENCH_ARGS=--postgres.
BENCH_ARGS ?=
# More arguments for `envoi up`.
UP_ARGS ?=

# Compiled once, not by each of the processes that tests and commands start, whatever the machine's own setting is.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
STAMPS := $(VENV)/.stamps
VENDOR := static/vendor/.complete
TEMPLATES := templates modules tests/toy_module
CATALOGUES := $(wildcard core/translations/*/LC_MESSAGES/*.po modules/*/translations/*/LC_MESSAGES/*.po)

.PHONY: help setup setup-run setup-dev browser run wheel notices test check lint lint-types lint-rest format translations migrate bench lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

setup: setup-dev ## Make the environment with everything for developing

setup-run: $(STAMPS)/runtime $(STAMPS)/project $(VENDOR) $(STAMPS)/translations ## Only what running needs

setup-dev: setup-run $(STAMPS)/dev $(STAMPS)/biome ## Everything: tests, checks, tools

run: setup-run ## Start Envoi with its workers and, where the machine has none, its servers
	$(BIN)/envoi up $(UP_ARGS)

wheel: setup-run ## Build a wheel with everything in it, front end and French included
	$(BIN)/hatchling build --target wheel
	@echo "Install it with its dependencies: pip install -r requirements/runtime.lock, then pip install --no-deps the wheel."

notices: setup-run ## Write THIRD-PARTY.md and sbom.cdx.json from the lock files
	$(BIN)/python tools/notices.py

test: setup-dev browser ## Run the tests
	ENVOI_JOURNEYS=$(JOURNEYS) $(BIN)/python -m pytest $(PYTEST_SHARES) $(PYTEST_ARGS)

check: setup-dev browser ## What CI runs: format, lint, types, layers, translations, tests
	$(MAKE) --no-print-directory lint
	ENVOI_JOURNEYS=$(JOURNEYS) $(BIN)/python -m pytest $(PYTEST_SHARES) $(PYTEST_ARGS)

lint: setup-dev ## Every check but the tests
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint-types lint-rest

lint-types: # half of the work, on a core of its own
	$(BIN)/mypy
	$(BIN)/mypy --config-file pyproject.toml tools/*.py

lint-rest:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/biome check --error-on-warnings .
	$(BIN)/djlint --lint --quiet $(TEMPLATES)
	$(BIN)/python tools/translations.py check
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; export ENVOI_DATA_DIR="$$folder"; \
		$(BIN)/envoi db upgrade && $(BIN)/envoi db check

format: setup-dev ## Format the source
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/biome check --write .

translations: setup-dev ## Merge new strings into the catalogues and compile them
	$(BIN)/python tools/translations.py update
	$(BIN)/python tools/translations.py compile

migrate: setup-run ## Bring the database to the newest schema
	$(BIN)/envoi db upgrade

bench: setup-dev $(STAMPS)/bench ## Measure, beside what Envoi is compared with
	$(BIN)/python -m bench $(BENCH_ARGS)

browser: setup-dev ## Make sure of the browser and the mail servers that the tests need
	@$(BIN)/python tools/browser.py

# The dev lock comes first and holds back the others: one environment can then hold all of them.
UV_LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock' $(LOCK_ARGS)

lock: ## Pin the newest versions anew (LOCK_ARGS=--upgrade) or what pyproject.toml added
	@test -x $(BIN)/uv || { test -x $(BIN)/python && $(PIP) install --quiet uv; } \
		|| { echo 'make lock needs an environment: make setup-run first.' >&2; exit 1; }
	$(UV_LOCK) --extra embedded --extra dev pyproject.toml requirements/build.in -o requirements/dev.lock
	$(UV_LOCK) --extra embedded -c requirements/dev.lock pyproject.toml requirements/build.in \
		-o requirements/runtime.lock
	$(UV_LOCK) --extra bench -c requirements/dev.lock pyproject.toml -o requirements/bench.lock
	$(UV_LOCK) -c requirements/dev.lock requirements/node.in -o requirements/node.lock
	@if grep -nE '://|^-|index-url' requirements/*.lock; then \
		echo 'A lock file names a place to fetch from; it must not.' >&2; exit 1; fi

clean: ## Remove everything that set-up and the tools made; data/ stays
	rm -rf $(VENV) .setup build dist node_modules static/vendor *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find core modules tests tools bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	find core modules -name '*.mo' -delete 2>/dev/null || true

# ---------------------------------------------------------------------------------------------------- stamps

$(STAMPS)/venv:
	@python='$(PYTHON)'; \
	for name in python3.11 python3.12 python3.13 python3; do \
		test -z "$$python" || break; \
		"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && python="$$name"; \
	done; \
	if ! "$${python:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		found="$$("$${python:-python3}" -V 2>/dev/null || echo missing)"; \
		echo "Envoi needs Python 3.11 or newer, but $${python:-python3} is $$found." \
			"Name another one: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	test -x $(BIN)/python || "$$python" -m venv $(VENV) || { \
		echo 'No environment could be made; on Debian, install python3-venv.' >&2; exit 1; }
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/runtime: requirements/runtime.lock | $(STAMPS)/venv
	$(PIP) install --quiet --require-hashes -r requirements/runtime.lock
	@touch $@

# After the runtime lock, not beside it: two installers at once would break the environment under `make -j`.
$(STAMPS)/dev: requirements/dev.lock $(STAMPS)/runtime | $(STAMPS)/project $(VENDOR)
	$(PIP) install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

$(STAMPS)/biome: tools/biome/package.json tools/biome/package-lock.json tools/install_biome.py tools/vendor.py \
		| $(STAMPS)/project
	$(BIN)/python tools/install_biome.py
	@touch $@

$(STAMPS)/bench: requirements/bench.lock $(STAMPS)/dev
	$(PIP) install --quiet --require-hashes -r requirements/bench.lock
	@touch $@

$(STAMPS)/project: pyproject.toml $(STAMPS)/runtime
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# It writes this stamp itself; newer than its sources even when they turned out to hold nothing new.
$(VENDOR): package.json package-lock.json tools/vendor.py | $(STAMPS)/project
	$(BIN)/python tools/vendor.py
	@touch $@

$(STAMPS)/translations: $(CATALOGUES) tools/translations.py $(STAMPS)/runtime
	$(BIN)/python tools/translations.py compile
	@touch $@
