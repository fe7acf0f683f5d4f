# make play      from an empty machine to a world that answers the keyboard
# make test      everything that can be tested here, in two processes; PROCESSES= for one
# make test-precision   what bf16 must not touch, with its figures in decibels
# make test-compose   a real deployment, walked through: needs docker compose and some minutes
# make train     a world model from nothing
# make lint      ruff and mypy            make dev    the same as hooks before each commit
# make notebook  run docs/notebook.ipynb and store what it shows
# make web       build the browser client anew (its built form is in the repository)
# make clean     forget everything that was installed or built; .terrarium/, your data, stays
#
# PYTHON=python3.12 chooses an interpreter (>= 3.11). On a Linux machine with no GPU, TORCH_INDEX=URL of PyTorch's
# index of CPU wheels saves a download of some gigabytes.

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=
PROCESSES ?= -n 2 --dist loadfile --no-loadscope-reorder
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
HAVE = command -v $(1) >/dev/null 2>&1

.PHONY: help install play up test test-python test-precision test-web test-compose browser train lint dev notebook web clean
help:
	@sed -n '/^# make/s/^# //p' Makefile

install: .venv/installed

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "no virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/installed: .venv/python pyproject.toml
	@echo "Installing Terrarium into .venv (some minutes the first time)"
	@$(PIP) install 'torch==2.13.0' $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	@$(PIP) install -e .
	@touch $@

.venv/installed-test: .venv/installed
	@$(PIP) install -e '.[test]'
	@touch $@

.venv/installed-dev: .venv/installed-test
	@$(PIP) install -e '.[test,dev]'
	@touch $@

play: install
	@exec $(BIN)/terrarium play $(ARGS)

up: install
	@exec $(BIN)/terrarium up $(ARGS)

data/mixed/manifest.json: | install
	$(BIN)/terrarium data record --episodes 120 --out data/mixed

train: install data/mixed/manifest.json
	$(BIN)/terrarium train world-model --preset cpu --data data/mixed --out out/mixed $(ARGS)
	$(BIN)/terrarium eval world-model out/mixed/world-model/output --out out/mixed/evaluation
	@echo 'Play it:  make play ARGS="--checkpoint out/mixed/world-model/output"'

test: test-web test-python  # the first installs axe-core, which the browser tests use

test-python: .venv/installed-test browser
	$(BIN)/python -m pytest $(PROCESSES) $(ARGS)

test-precision: .venv/installed-test
	$(BIN)/python -m pytest -m precision -s tests/worlds/world_model/test_precision.py

test-web:
	@if ! $(call HAVE,npm); then echo "npm is not here: the browser client's unit tests are left out"; \
	else cd web && { [ node_modules -nt package-lock.json ] || npm ci --no-audit --no-fund; } && npm test; fi

test-compose: install
	@PYTHONPATH=.:tests $(BIN)/python tests/compose/run.py $(ARGS)

browser:
	@if $(call HAVE,chromium) || $(call HAVE,google-chrome); then :; \
	elif ! $(call HAVE,apt-get); then echo "no chromium and no apt-get: browser tests are left out"; \
	elif [ "$$(id -u)" != 0 ]; then echo "no chromium (as root: apt-get install chromium): browser tests are left out"; \
	else apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium \
	  >/dev/null || echo "chromium could not be installed: browser tests are left out"; fi

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

dev: .venv/installed-dev
	$(BIN)/pre-commit install

notebook: .venv/installed-test
	@$(BIN)/python tests/door/test_notebook.py

web:
	cd web && npm ci --no-audit --no-fund && npm run build

clean:
	rm -rf .venv build *.egg-info web/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
