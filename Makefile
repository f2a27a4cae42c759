# Each target does its own set-up: `make demo` and `make test` work in a fresh clone.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

# Python 3.11 first: for it the pinned torch is a CPU build, small and quickly installed.
PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-gpu check docs wheels check-wheels

help:
	@echo "make setup   create .venv with the command argus and the developers' tools"
	@echo "make demo    draw a data set, train on it, evaluate, write runs/demo/report.html"
	@echo "make test    the whole test suite"
	@echo "make test-gpu  on a machine with a GPU: what it computes beside what the CPU does"
	@echo "make check   lint, format, types, import contracts"
	@echo "make docs    the documentation site, build/site/index.html; every link checked"
	@echo "make wheels  dist/: what pip installs; make check-wheels tries it in an empty environment"

setup: $(STAMP)

$(STAMP): pyproject.toml packages/argus-doctor/pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Argus needs Python 3.11 or later: install it, or say where it is with make PYTHON=..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e packages/argus-doctor -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/python -m argusvl demo --overwrite

# One thread a process: two processes with two threads each would fight for two cores.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
	$(BIN)/lint-imports

# The suite computes on the CPU wherever it runs (tests/conftest.py); these alone on the first GPU.
test-gpu: setup
	CUDA_VISIBLE_DEVICES=0 $(BIN)/python -m pytest -n 4 tests/gpu

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/python scripts/site_build.py

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e packages/argus-doctor -e '.[docs]'
	@touch $@

# Of each package the source archive, and from that the wheel: what an earlier build has left here is not in it.
wheels: setup
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m build --outdir dist packages/argus-doctor

check-wheels: setup
	$(BIN)/python scripts/check_wheels.py dist
