# Every target makes what it needs: a virtual environment in .venv and the dependencies of that target.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-matrix check format bench bench-typescript trials fuzz-xstate interop mutants clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[test]'
	@touch $@

$(VENV)/.check: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[test,check]'
	@touch $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[bench]'
	@touch $@

demo: $(VENV)/.run ## a workflow of five services; two workers are killed on the way
	$(BIN)/pyarvo demo

test: $(VENV)/.test ## all tests
	$(BIN)/python -m pytest -n 3 --dist worksteal

check: $(VENV)/.check ## format, lint, layers, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/basedpyright

format: $(VENV)/.check
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.bench ## ratios against peers, measured in turns
	$(BIN)/python -m benchmarks

bench-typescript: $(VENV)/.bench ## by hand, with Node and npm: a whole orchestration here and in Arvo's TypeScript packages
	mkdir -p out/typescript
	npm install --silent --no-save --no-audit --no-fund --prefix out/typescript \
		arvo-event-handler@3.0.25 arvo-core@3.0.25 xstate@5.24.0 zod@3.25.74
	$(BIN)/python -m benchmarks typescript --out out/typescript.json

MATRIX ?=

test-matrix: $(VENV)/.test ## by hand, as root: the suites on other versions of Redis, Valkey, PostgreSQL and PgBouncer, and with other Pythons
	$(BIN)/python -m tests.matrix $(MATRIX)

SIZE ?= full

trials: $(VENV)/.test ## frozen, killed and cut off processes and servers; a million seeds
	$(BIN)/python -m trials --size $(SIZE)

mutants: $(VENV)/.test ## every wrong memory against every clause with every seed; some minutes
	$(BIN)/python -m tests.mutants.full

CHARTS ?= 3000

fuzz-xstate: $(VENV)/.run ## by hand, with Node and npm: random charts here and in XState, every step compared
	mkdir -p out/xstate
	npm install --silent --no-save --no-audit --no-fund --prefix out/xstate xstate@5.33.3
	$(BIN)/python -m tools.fuzz_xstate out/xstate --charts $(CHARTS)

ARVO ?= arvo-event-handler@3.0.25

interop: $(VENV)/.run ## by hand, with Node and npm: workflows whose handlers run partly here, partly in the TypeScript system
	mkdir -p out/interop
	npm install --silent --no-save --no-audit --no-fund --prefix out/interop $(ARVO)
	$(BIN)/python -m tools.interop out/interop

clean:
	rm -rf $(VENV) dist build out
