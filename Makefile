# Needs Python 3.11 to 3.13, make and git; everything else is installed inside the checkout (.venv, .cache).
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin

# make demo DOC=file.md MODEL=name        make test T="tests/unit -k name"        PYTHON=python3.12 for another interpreter
# make test-compose BASE=image makes the containers from another image, BUILD="…" adds options of docker build
# make test-live VENDORS=openai,anthropic asks those who have a key here, and says before what it may cost
DOC ?=
MODEL ?=
T ?=
B ?=
VENDORS ?=
BASE ?=
BUILD ?=
export DOC MODEL BASE BUILD
unexport PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes, which would compile everything again

.PHONY: help demo test test-live test-backends test-compose check proto bench docs build venv format lint types layers proto-check proto-baseline constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: venv ## Run the demo offline (DOC= a file to work on, MODEL= a model to work with)
	@$(BIN)/python examples/demo/run.py

test: venv ## Run every test with coverage (T="path -k name" runs a part, without coverage)
	@scripts/node.sh
ifeq ($(strip $(T)),)
	@$(BIN)/python -m pytest -n auto --maxprocesses=4 --dist=loadfile --cov --cov-report=term
else
	@$(BIN)/python -m pytest $(T)
endif

test-live: venv ## Ask vendors' real models a few things, for money (VENDORS=openai,anthropic names them)
	@LIVE_VENDORS="$(VENDORS)" $(BIN)/python -m pytest tests/live/short_set.py

test-backends: venv ## Install Arize Phoenix (900 MB in .cache), trace the demo's processes to it, ask it what it saw
	@scripts/backends.sh
	@$(BIN)/python -m pytest tests/backends/phoenix.py

test-compose: venv ## Run the example fleet in containers, and kill one of them (needs a Docker engine and Compose)
	@docker info >/dev/null 2>&1 || { echo "No Docker engine answers. On Debian: apt install docker.io docker-compose; else docs.docker.com/engine/install" >&2; exit 1; }
	@$(BIN)/python -m pytest -s tests/containers/running_fleet.py

check: lint types layers proto-check build ## Check everything but the tests: format, lint, types, layers, proto, packages

proto: venv ## Regenerate aixgo/v1 from proto/
	@$(BIN)/python scripts/proto.py generate

bench: venv ## Measure, and write docs/benchmarks.md (B="--quick --only calls" measures a part, and only prints)
	@$(BIN)/python -m tests.benchmarks $(B)

docs: venv ## Rewrite the generated tables of docs/
	@$(BIN)/python scripts/docs.py

build: venv ## Build the wheel and the source distribution into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	@ls dist

venv: ## Make or update .venv
	@scripts/venv.sh

format: venv ## Format the code and mend what lint can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lint: venv ## Check the format and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: venv ## Check the types
	@$(BIN)/mypy

layers: venv ## Check that imports follow the layers
	@$(BIN)/lint-imports --no-logo

proto-check: venv ## Check that aixgo/v1 is current, lint proto/ and compare it with the released contract
	@$(BIN)/python scripts/proto.py check

proto-baseline: venv ## After a release: make proto/ the contract that later changes may not break
	@$(BIN)/python scripts/proto.py baseline

constraints: venv ## Rewrite constraints.txt with the newest versions that fit
	@scripts/constraints.sh

clean: ## Remove what was built and installed
	@rm -rf .venv .cache dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
