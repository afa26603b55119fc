# Two commands are all a fresh machine needs: `make up` and `make test`.
SHELL := /bin/bash
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# `make test T=domain` runs tests/domain; T may also be a path or a pytest node id. The whole suite takes two processes.
T ?=
TESTS := $(if $(T),$(if $(wildcard tests/$(T)),tests/$(T),$(T)),tests --numprocesses 2 --dist loadgroup)

.PHONY: up demo test check format conformance faults soak bench mutate-rls clean

up: $(VENV)/installed
	@$(BIN)/perdure up

demo: $(VENV)/installed
	@$(BIN)/perdure demo

test: $(VENV)/installed
	@$(BIN)/pytest $(TESTS)

# The Open Workflow kit and jq's own cases; PERDURE_CTK_DIR and PERDURE_CONFORMANCE_DIR say where they lie.
conformance: $(VENV)/installed
	@$(BIN)/pytest tests/conformance

# The long form of what `make test` does in short: about 20 minutes. ARGS="--seed 7" repeats a run.
faults: $(VENV)/installed
	@$(BIN)/python -m tests.faults $(ARGS)

# At least 10 000 generated requests against the whole OpenAPI, about 20 minutes; ARGS="--requests 500 --seed 7" is shorter.
soak: $(VENV)/installed
	@$(BIN)/python -m tests.soak $(ARGS)

# Perdure beside its peers in one interleaved run, about 15 minutes; ARGS="--size quick" takes two.
bench: $(VENV)/installed
	@$(BIN)/python -m benchmarks $(ARGS)

check: $(VENV)/installed
	@$(BIN)/python scripts/check.py

format: $(VENV)/installed
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

mutate-rls: $(VENV)/installed
	@$(BIN)/python scripts/mutate_rls.py

clean:
	@rm -rf $(VENV) .perdure build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache

# Every package comes from the lock and is checked against its hash; the project itself is linked in place.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Perdure needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
