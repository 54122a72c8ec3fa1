# Every target sets up what it needs in .venv; nothing is installed outside this folder.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
HOST ?= 127.0.0.1
PORT ?= 8080
NAME ?= coordinator

.DEFAULT_GOAL := help
.PHONY: help run test check docs bench mutants example clean

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(BIN)/uv ## Start a server on an embedded SQLite file, with a tour on its first start
	@$(UV) sync --quiet --frozen --inexact --extra server
	@$(BIN)/keyrack serve --dev --tour --host $(HOST) --port $(PORT)

test: $(BIN)/uv ## Run the whole test suite
	@$(UV) sync --quiet --frozen --inexact --all-extras --all-groups
	@$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

check: $(BIN)/uv ## Lint, types and import direction
	@$(UV) sync --quiet --frozen --inexact --all-extras --all-groups
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py

docs: $(BIN)/uv ## Run every snippet of the documentation, and compare the reference with the code
	@$(UV) sync --quiet --frozen --inexact --all-extras --all-groups
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/docs

bench: $(BIN)/uv ## Measure; FULL=1 measures longer, ONLY=starts one section
	@$(UV) sync --quiet --frozen --inexact --all-extras --all-groups
	@$(BIN)/python -m bench $(ONLY)

mutants: $(BIN)/uv ## Break the core and the verifier in every small way, and see that a test notices
	@$(UV) sync --quiet --frozen --inexact --all-extras --all-groups
	@$(BIN)/mutmut run

example: $(BIN)/uv ## Run a reference service: make example NAME=coordinator PORT=8080
	@$(UV) sync --quiet --frozen --inexact --extra server --group example-$(NAME)
	@$(BIN)/python -m examples.run $(NAME) --port $(PORT)

clean: ## Remove what the targets made, but no data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist mutants .coverage*

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing: install the package python3."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Keyrack needs Python 3.11 or newer; set PYTHON=python3.x to one."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: install the package python3-venv."; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
