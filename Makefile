# Two commands are enough: `make run` to see it, `make test` to check it. Everything stays inside this folder.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
NPM := npm --prefix static/consent-banner

.DEFAULT_GOAL := help
.PHONY: help run test bench lint format lock banner browser proxy database screenshots clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start the demo at http://127.0.0.1:8000 (PORT=… for another port)
	@exec $(BIN)/consent demo --port $(PORT)

test: $(VENV)/.dev browser proxy database ## Install what tests need and run all of them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope $(ARGS)

lint: $(VENV)/.dev ## Check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the Python code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Print every figure the README claims
	@for file in $(filter-out bench/generate.py bench/five_years.py,$(wildcard bench/*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done
	@command -v npm >/dev/null || { echo "== bench/banner.mjs needs Node 20 or newer, and was left out"; exit 0; }; \
	  echo "== bench/banner.mjs"; npm --prefix bench/peers ci --silent && node bench/banner.mjs

lock: ## Renew the hashed lock files (needs uv)
	@for name in run dev; do uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header requirements/$$name.in -o requirements/$$name.txt || exit 1; done

banner: ## Rebuild static/consent-banner/dist (needs Node; users never do)
	$(NPM) ci --no-audit --no-fund
	$(NPM) run build

screenshots: $(VENV)/.dev browser ## Take the pictures in docs/images from a running demo
	$(BIN)/python docs/screenshots.py

clean: ## Remove the virtual environment and the demo's data
	rm -rf $(VENV) demo-home

browser:
	@command -v chromium >/dev/null || { \
	  echo "chromium is missing: installing Debian's package for the browser tests"; \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation; } \
	  || { echo "could not install it; run: sudo apt-get install chromium"; exit 1; }; }

# Debian's nginx, for the tests of deploy/; without it they are skipped and say so. Nothing is started as a service.
proxy:
	@[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx-light; } \
	  || echo "nginx is missing: its tests are skipped; to run them: sudo apt-get install nginx-light"

# Debian's PostgreSQL, for the ledger's tests, which start a server of their own; without it they are skipped and say so.
database:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends postgresql; } \
	  || echo "PostgreSQL is missing: its tests are skipped; to run them: sudo apt-get install postgresql"

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making the virtual environment in $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/run.txt pyproject.toml
	@echo "Installing the locked requirements"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "Installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
