# `make demo` and `make test` need Python 3.11 or later and make; they set everything else up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READER := .venv-reader
export DO_NOT_TRACK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

.PHONY: help demo ui test lint format types bench mutations lock clean

help: ## what there is to do
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "firstvisit needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python requirements/run.txt pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(READER)/.done: requirements/reader.txt
	$(PYTHON) -m venv $(READER)
	$(READER)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/reader.txt
	@touch $@

demo: $(VENV)/.run ## simulate a clinic, run the night, print the tables
	$(BIN)/firstvisit demo

ui: $(VENV)/.run ## the Dagster UI: over clinic.yaml if there is one, else over the demo
	$(BIN)/firstvisit ui

test: lint $(READER)/.done ## lint, types and the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.dev ## ruff, mypy, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint -q dbt_project

format: $(VENV)/.dev ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix -q dbt_project

bench: $(VENV)/.dev ## scale runs, printed as a table and written to benchmarks/results/
	$(BIN)/python -m benchmarks

mutations: $(VENV)/.dev ## break each rule of the journeys in turn; a unit test must notice
	$(BIN)/python -m tests.mutations

lock: ## resolve requirements/*.txt anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras -q \
	  pyproject.toml requirements/build.in -o requirements/run.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras -q \
	  pyproject.toml requirements/build.in --group dev -c requirements/run.txt -o requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras -q \
	  requirements/reader.in -o requirements/reader.txt

clean: ## remove environments, caches and the demo's data
	rm -rf $(VENV) $(READER) data/demo dbt_project/target dbt_project/logs *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
