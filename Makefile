# The two commands are `make demo` and `make test`; each sets up what it needs and may be run first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_REPOSITORY ?= click
DEMO_FILE ?= click/core.py
DEMO_FUNCTION ?= Context.get_help

.PHONY: demo test lint format bench setup model clients vsix e2e toy-training clean
.DEFAULT_GOAL := test

setup: $(STAMP)

# torch comes first and by itself: what follows is then satisfied by it instead of fetching a build for GPUs.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Memberwise needs Python 3.11 or later; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv. Install it; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0 hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[all,dev]'
	@touch $@

model: $(STAMP)
	@$(BIN)/memberwise model pull default

demo: model
	@root=$$($(BIN)/memberwise bench fetch --repos benchmark_repos/eval.txt --only $(DEMO_REPOSITORY)) && \
	cd "$$root" && echo "\$$ memberwise generate $(DEMO_FILE)::$(DEMO_FUNCTION) --trigger dot --explain --replace" && \
	$(CURDIR)/$(BIN)/memberwise generate "$(DEMO_FILE)::$(DEMO_FUNCTION)" --repo . --trigger dot --explain --replace

test: model clients
	$(BIN)/python -m pytest -q

# The editor clients (docs/editors.md). Node.js comes from a wheel where the machine has none, Neovim from the machine
# where there is no wheel. A package that declares a later Node.js than .ci/with-node's is an error (--engine-strict).
WITH_NODE := .ci/with-node
NODE_MODULES := vscode-client/node_modules/.package-lock.json
WHEEL := vscode-client/server/constraints.txt

$(NODE_MODULES): vscode-client/package-lock.json | $(STAMP)
	cd vscode-client && ../$(WITH_NODE) npm ci --loglevel error --engine-strict --no-audit --no-fund --no-update-notifier
	@touch $@

clients: $(STAMP) $(NODE_MODULES)
	cd vscode-client && ../$(WITH_NODE) npm run --silent check && ../$(WITH_NODE) npm test --silent
	@if nvim=$$(command -v $(BIN)/nvim || command -v nvim); then "$$nvim" --headless -u NONE -l nvim-client/test/unit.lua; \
	else echo "The unit tests of nvim-client are not run: no wheel of Neovim for this machine, and none installed."; fi

$(WHEEL): constraints.txt pyproject.toml $(shell find generation lsp_server -type f -not -name '*.pyc') | $(STAMP)
	rm -rf vscode-client/server
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w vscode-client/server .
	cp constraints.txt vscode-client/server/

# The extension with the server's wheel in it: vscode-client/build/memberwise.vsix
vsix: $(WHEEL) $(NODE_MODULES)
	mkdir -p vscode-client/build
	cd vscode-client && ../$(WITH_NODE) npm run --silent package

# Both clients in the real editors, some minutes; installs the editors into .cache/editors.
e2e: model vsix
	$(WITH_NODE) .ci/install-editors
	$(WITH_NODE) .ci/e2e

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tables of docs/repository-tool.md and docs/performance.md, on this machine; llama.cpp is compiled for it. Without these
# flags GCC 12 drops most of its configuration of AMX tiles, and it ends with an illegal instruction.
bench: export CXXFLAGS := -fno-dse -fno-tree-dse
bench: model
	$(BIN)/memberwise bench tool --repos benchmark_repos/eval.txt --json bench-tool.json
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/memberwise bench decode --lengths 1000,2000 --prompts 2 --threads 1,2 --functions 1 --json bench-decode.json

# The whole offline phase at toy size, in two minutes of processor time: see docs/training.md.
TOY ?= .cache/toy
toy-training: model
	$(BIN)/memberwise corpus build --repos benchmark_repos/toy.txt --data $(TOY) --validation kombu
	$(BIN)/memberwise marks insert --repos benchmark_repos/toy.txt --data $(TOY) --per-repo 25
	$(BIN)/memberwise corpus holes --repos benchmark_repos/toy.txt --data $(TOY)
	rm -rf $(TOY)/mark
	$(BIN)/memberwise train --data $(TOY) --out $(TOY)/mark --total-tokens 4000 --tokens-per-step 1024 --length-tokens 384 \
	  --validation-examples 6 --learning-rate 0.001 --warmup-steps 2
	$(BIN)/memberwise adapter measure $(TOY)/mark --data $(TOY) --functions 6

clean:
	rm -rf $(addprefix vscode-client/,node_modules dist build server artefacts)
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
