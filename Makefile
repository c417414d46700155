# `make demo` and `make test` set up everything they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.done
PYTEST := $(BIN)/python -m pytest

export HF_HUB_OFFLINE ?= 1
export PYTHONUNBUFFERED = 1

.PHONY: help demo demo-train test peers browser containers lint format clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(SETUP)  ## run the whole pipeline offline, and evaluate its result
	$(BIN)/python -m demo.run
	$(BIN)/python -m demo.report

demo-train: $(SETUP)  ## fine-tune a tiny Stable Diffusion on the demo's dataset, and measure the effect
	$(BIN)/python -m demo.finetune

test: $(SETUP)  ## run the tests in parallel, except those of `peers`, `browser` and `containers`
	$(PYTEST) -m 'not docker and not peer and not browser' -n auto --dist loadfile --no-loadscope-reorder

peers: $(SETUP)  ## run the tests against other projects' packages (installs them)
	$(PYTEST) -m peer
	if [ -e scripts/oldest_models.sh ]; then PYTHON=$(BIN)/python bash scripts/oldest_models.sh; fi

browser: $(SETUP)  ## run the explorer's tests in Chromium (installs it)
	PYTHON=$(BIN)/python bash scripts/check_browser.sh

containers: $(SETUP)  ## build all images, and run the steps in containers
	PYTHON=$(BIN)/python bash scripts/check_containers.sh

lint: $(SETUP)  ## check style, types, architecture and shell scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for src in components/*/src examples/*/src; do MYPYPATH=$$src $(BIN)/mypy $$src || exit 1; done
	$(BIN)/lint-imports
	git ls-files '*.sh' .ci/run | xargs $(BIN)/shellcheck

format: $(SETUP)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove results and caches, but not the environment
	rm -rf artifacts .pytest_cache .mypy_cache .ruff_cache

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[components,explore,openvino,kubeflow,demo,dev]'
	touch $(SETUP)
