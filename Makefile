# Everything runs in a virtual environment of its own (VENV), made at the first call. Needs Python 3.10+ and make.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PYTEST_ARGS ?=

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python

.PHONY: help demo test test-all lint wheel docs clean

help:
	@echo "make demo      install into $(VENV), run both operators on a photograph, write pictures"
	@echo "make test      lint, types, wheel and the tests (up to 12 minutes on two cores)"
	@echo "make test-all  the same with the slow tests"
	@echo "make lint      ruff and mypy only"
	@echo "make wheel     build the wheel and try it in a clean environment"
	@echo "make docs      rewrite the generated tables of docs/"
	@echo "make clean     remove $(VENV) and what was built"

demo: $(VENV)/.demo
	$(BIN)/mxconv demo

test: lint wheel
	$(PY) -m pytest -n $(JOBS) --dist worksteal -m "not slow" $(PYTEST_ARGS)

test-all: lint wheel
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

wheel: $(VENV)/.dev
	$(PY) tests/check_wheel.py $(VENV)/wheel

docs: $(VENV)/.dev
	$(PY) docs/make_tables.py

clean:
	rm -rf $(VENV) dist build demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One stamp for each set of extras. llvmlite must come as a wheel: building it needs LLVM itself.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "mxconv needs Python 3.10 or newer; this is `$(PYTHON) --version 2>&1`. Name another: make PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: EXTRA = plot
$(VENV)/.dev: EXTRA = dev
$(VENV)/.demo $(VENV)/.dev: $(VENV)/.python pyproject.toml
	@echo "Installing mxconv and what it needs into $(VENV) (about half a minute the first time)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --only-binary llvmlite --editable ".[$(EXTRA)]" || { \
	  echo "The installation failed. If llvmlite is the package that was not found: it has wheels for Linux (glibc),"; \
	  echo "Windows and macOS on Apple silicon; none for Alpine (musl); for macOS on Intel up to 0.45.1 (Python 3.10-3.13)."; exit 1; }
	@touch $@
