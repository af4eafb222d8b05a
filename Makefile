# Every target sets up .venv when that is needed. make PYTHON=/path/to/python3.11 chooses the interpreter.
# TORCH_SPEC and TORCH_INDEX: see tools/setup_env.py. ARGS goes to the command: make test ARGS="-k photos".

SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?=
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/personal-avatar-ready.json
SOURCES := pyproject.toml tools/setup_env.py $(wildcard requirements/*.txt)
# Where `make test-webui` finds a real WebUI 1.10.1.
WEBUI_DIR ?= $(HOME)/stable-diffusion-webui
# One thread a process: the tiny models and the tests are fastest so.
THREADS ?= 1
ALONE := OMP_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS)
# Test files are shared out to this many processes, one more than two cores are, as many tests wait for a child or a
# browser; WORKERS=0 runs them in one, for a debugger.
WORKERS ?= 3
SPREAD := -n $(WORKERS) --dist loadfile
export GRADIO_ANALYTICS_ENABLED := False
# Tests start hundreds of processes: what they import is compiled once and kept, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help env demo serve doctor test test-fast test-webui test-browser chaos lint format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: $(READY) ## set up .venv only
	@:

# A stamp written elsewhere (the folder was moved) or without its interpreter does not count.
IN_PLACE := $(and $(wildcard $(PY)),$(shell grep -sF '"$(CURDIR)/$(VENV)"' $(READY)))

$(READY): $(SOURCES) $(if $(IN_PLACE),,missing)
	@python=$$(PYTHON="$(PYTHON)" ./tools/find_python.sh) && "$$python" tools/setup_env.py $(VENV)
	@touch $@

.PHONY: missing
missing:

demo: $(READY) ## photos in, avatars out: the main job on the shipped sample pictures, into demo/
	@$(PY) -m personal_avatar demo $(ARGS)

serve: $(READY) ## the app without a WebUI, on http://127.0.0.1:7865
	@$(PY) -m personal_avatar serve $(ARGS)

doctor: $(READY) ## what is installed, found, missing, and what to do
	@$(PY) -m personal_avatar doctor $(ARGS)

test: $(READY) ## every test that needs no real WebUI
	@$(ALONE) $(PY) -m pytest $(SPREAD) -m "not webui" $(ARGS)

test-fast: $(READY) ## the tests that take under a minute together
	@$(ALONE) $(PY) -m pytest $(SPREAD) -m "not slow and not webui and not browser" $(ARGS)

chaos: $(READY) ## 100 random faults against running jobs: make chaos ARGS="--faults 20 --seed 1 --only kill_both"
	@$(ALONE) $(PY) -m tests.chaos $(ARGS)

test-browser: $(READY) ## the page in headless Chromium
	@$(ALONE) $(PY) -m pytest -m browser $(ARGS)

test-webui: $(READY) ## the extension in a real WebUI: make test-webui WEBUI_DIR=/path/to/stable-diffusion-webui
	@$(ALONE) WEBUI_DIR="$(WEBUI_DIR)" $(PY) -m pytest -m webui $(ARGS)

lint: $(READY) ## ruff, mypy, directions of imports
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest tests/unit/test_architecture.py

format: $(READY) ## sort imports and mend what ruff can mend by itself
	@$(PY) -m ruff check --fix .

clean: ## remove .venv, caches and the demo's output
	rm -rf $(VENV) demo build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis extension/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
