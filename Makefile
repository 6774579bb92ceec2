# Every target sets itself up first: a virtual environment in .venv with the locked dependencies.
# Needed on the machine: Python 3.11 or later, make, and the package index that pip is configured to use.

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format publish bench lock-dependencies clean

VENV   := .venv
PYTHON := $(VENV)/bin/python
READY  := $(VENV)/.ready
# Runs pip or uv so that it sees only the index pip is configured to use.
INSTALLER := $(PYTHON) -m glue_pkgmgr.index_source
COMPILE := $(INSTALLER) $(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --upgrade --quiet

# Tests run in two processes, each file in one of them. More would need more memory than Spark leaves.
IN_TWO := -n 2 --dist loadfile

# Prints the first Python of 3.11 or later. A name on PATH may be a shim that fails: it has to answer.
FIND_PYTHON := for candidate in "$(PYTHON_FOR_VENV)" python3 python3.11 python3.12 python3.13 python3.14; do \
    [ -n "$$candidate" ] || continue; \
    found=$$("$$candidate" -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")' \
        2>/dev/null) && [ -n "$$found" ] && echo "$$found" && exit 0; \
  done; \
  echo "error: no Python 3.11 or later on PATH; install one, or name it: make PYTHON_FOR_VENV=/path/python" >&2; \
  exit 2

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

setup: $(READY)  ## Make .venv with the locked dependencies

$(READY): requirements.lock pyproject.toml
	@$(if $(wildcard $(READY)),echo "dependencies changed: setting up anew",echo "setting up $(VENV) (once; about a minute)")
	@python=$$($(FIND_PYTHON)) && "$$python" -m venv --clear $(VENV)
	@awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.txt
	@$(INSTALLER) $(PYTHON) -m pip install -q --require-hashes -r $(VENV)/uv.txt
	@$(INSTALLER) $(VENV)/bin/uv pip install -q --python $(PYTHON) --require-hashes -r requirements.lock
	@$(INSTALLER) $(VENV)/bin/uv pip install -q --python $(PYTHON) --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)  ## The whole road on this machine; DATA=trips.csv takes your own file
	@$(PYTHON) -m glue_pkgmgr.demo $(if $(DATA),--data "$(DATA)")

test: $(READY)  ## Run every test
	@$(PYTHON) -m pytest $(IN_TWO) $(TESTS)

check: $(READY)  ## Format, lint, types, tests
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(PYTHON) -m pytest $(IN_TWO)

format: $(READY)  ## Format the sources
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

publish: $(READY)  ## Build and publish the internal libraries to the configured repository
	@$(VENV)/bin/glue-pkgmgr publish

bench: $(READY)  ## Measure the speeds we promise: medians and ratios
	@$(PYTHON) -m tests.bench

lock-dependencies: $(READY)  ## Resolve our own dependencies, and those of the tools we are tested with, anew
	$(COMPILE) pyproject.toml --extra local --extra audit --group dev --output-file requirements.lock
	$(COMPILE) pyproject.toml tests/e2e/orchestrators/airflow.in --output-file tests/e2e/orchestrators/airflow.lock
	$(COMPILE) pyproject.toml tests/e2e/orchestrators/dagster.in --output-file tests/e2e/orchestrators/dagster.lock
	$(COMPILE) tests/e2e/stack/cfn-lint.in --output-file tests/e2e/stack/cfn-lint.lock
	$(COMPILE) tests/e2e/stack/checkov.in --output-file tests/e2e/stack/checkov.lock

clean:  ## Remove what can be made again
	rm -rf $(VENV) .glue-pkgmgr build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
