# `make` lists the targets. Arguments of a command go into ARGS: make train ARGS="scale=3 epsilon=0.1"
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup train test test-slow lint format docs bench gpu paper release lock clean

PYTHON := .venv/bin/python
ARGS ?=
READY := .venv/.ok
BENCHMARKS := memory scaling peak backbone_cost
INSTALL = $(shell command -v uv >/dev/null 2>&1 && echo "uv pip install --python $(PYTHON)" \
  || echo "$(PYTHON) -m pip install --disable-pip-version-check --progress-bar off") --quiet

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the exact packages of requirements.lock, for training and development

train: $(READY) ## train on the embedded photographs and print the ladder
	$(PYTHON) -m mcnet_lightning.train $(ARGS)

test: $(READY) ## run the tests, without the slow ones, a file at a time on every core
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

test-slow: $(READY) ## run the slow tests only
	$(PYTHON) -m pytest -m slow $(ARGS)

lint: $(READY) ## check style, formatting and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: $(READY) ## repair what the style check can repair
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs: $(READY) ## build the documentation into site/, without a warning
	@$(PYTHON) -c 'import material, mkdocstrings_handlers.python, latex2mathml' 2>/dev/null || { \
	  echo "setting up the packages that build it"; $(INSTALL) --no-build-isolation -e '.[docs]'; }
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet $(ARGS)
	@echo "open site/index.html"

bench: $(READY) ## run every benchmark, some of them against torchdeq and deepinv
	@$(PYTHON) -c 'import sys, importlib.util as i; sys.exit(not (i.find_spec("torchdeq") and i.find_spec("deepinv")))' || { \
	  echo "setting up the packages to compare with"; \
	  $(INSTALL) --no-build-isolation -e '.[bench]' || echo "going on without them"; }
	$(PYTHON) benchmarks/compare.py $(ARGS)
	@set -e; for name in $(BENCHMARKS); do echo "== benchmarks/$$name.py"; $(PYTHON) benchmarks/$$name.py; done

gpu: $(READY) ## hold a GPU against the CPU and time it, in under 8 minutes (ARGS="--device cpu --smoke" tries the code here)
	$(PYTHON) benchmarks/gpu.py --device cuda $(ARGS)

paper: $(READY) ## make the paper's tables (hours; goes on where it stopped): ARGS="data.root=DIR"
	$(PYTHON) experiments/paper_tables/run.py $(ARGS)

release: $(READY) ## build wheel and sdist, try them in fresh environments, write the notes: dist/
	$(PYTHON) .ci/release.py

lock: ## renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --extra train --extra dev --extra spandrel --extra report pyproject.toml --output-file requirements.lock

clean: ## remove caches and build products; .venv and the outputs of runs stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist site src/*.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

# The same two steps with uv and with pip: the locked packages, then this one on top of them. Both the first Python and
# uv itself are optional: without uv, the venv's own pip installs; without Python, uv brings one.
$(READY): pyproject.toml requirements.lock
	@set -e; \
	python=; for name in python3.11 python3.12 python3.13 python3 python; do \
	  if $$name -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	if command -v uv >/dev/null 2>&1; then \
	  [ -x $(PYTHON) ] || uv venv --quiet --python "$${python:-3.11}" .venv; \
	  install="uv pip install --python $(PYTHON) --compile-bytecode"; \
	elif [ -n "$$python" ]; then \
	  $$python -m venv .venv; \
	  install="$(PYTHON) -m pip install --disable-pip-version-check --progress-bar off"; \
	else \
	  echo "error: Python 3.11 or newer (with its venv module) or uv is needed, and neither is on PATH" >&2; exit 1; \
	fi; \
	echo "setting up .venv (a few minutes the first time)"; \
	$$install --quiet --require-hashes -r requirements.lock; \
	$$install --quiet --no-deps --no-build-isolation -e .
	@touch $@
