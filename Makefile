# `make demo` and `make test` set up what they need; nothing else has to be done first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.done

export HF_HUB_OFFLINE ?= 1
export PYTHONUNBUFFERED = 1

.PHONY: demo test containers lint format clean

demo: $(SETUP)  ## run the whole pipeline offline, and look at what it made
	$(BIN)/python -m demo.run
	$(BIN)/python -m demo.report

test: $(SETUP)  ## run the tests
	$(BIN)/python -m pytest -m 'not docker'

containers: $(SETUP)  ## build all images, and run the steps in containers
	PYTHON=$(BIN)/python bash scripts/check_containers.sh

lint: $(SETUP)  ## style, types, architecture, shell scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for src in components/*/src examples/*/src; do MYPYPATH=$$src $(BIN)/mypy $$src || exit 1; done
	$(BIN)/lint-imports
	git ls-files '*.sh' .ci/run | xargs $(BIN)/shellcheck

format: $(SETUP)  ## put the code in its one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was made, but not the environment
	rm -rf artifacts .pytest_cache .mypy_cache .ruff_cache

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[components,openvino,kubeflow,demo,dev]'
	touch $(SETUP)
