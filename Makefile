# Two commands on a fresh machine with Python 3.11 or newer, git and make: `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
CODE := titan_state tests docs $(wildcard examples) $(wildcard benchmarks)
# One more than there are processors: many tests wait for a server, or for time to pass.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)
PYTEST_OPTIONS :=

# `make test BROWSER=no` leaves out the tests that drive a browser, and looks for none.
ifeq ($(BROWSER),no)
TESTS_WITHOUT_BROWSER := -m "not browser"
else
NEEDED_BROWSER := browser
endif

# What one `make` installs must not run into what another target installs.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test lint types docs browser packages compat release format bench screenshots clean

help: ## Show this list
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-11s %s\n", $$1, $$2 }'

demo: $(VENV)/.cli ## Play the demonstration: the monitor against the embedded Task Service
	@$(BIN)/python -m titan_state demo

# pytest-cov starts after pytest has imported the plugins of installed packages, and titan_state brings one. It is kept
# out there; tests/conftest.py registers it when coverage is running, so that lines of modules count.
test: lint types docs packages $(NEEDED_BROWSER) ## Check everything: lint, types, import layers, documentation, all tests with coverage
	@$(BIN)/python -m pytest -p no:titan_state -n $(WORKERS) --dist worksteal \
		--cov --cov-config=setup.cfg --cov-report=term --cov-fail-under=92 $(TESTS_WITHOUT_BROWSER) $(PYTEST_OPTIONS)
	@report=$$($(BIN)/python -m coverage report --include='titan_state/core/*' --fail-under=98 2>&1) \
		|| { echo "$$report"; exit 1; }

lint: $(VENV)/.dev ## Check style, formatting and import layers
	@$(BIN)/python -m ruff check $(CODE)
	@$(BIN)/python -m ruff format --check $(CODE)
	@report=$$($(BIN)/lint-imports 2>&1) || { echo "$$report"; exit 1; }; echo "$$report" | tail -n 1

types: $(VENV)/.dev ## Check types
	@$(BIN)/python -m mypy titan_state

docs: $(VENV)/.dev ## Build the documentation, docs/_build/html/index.html; a warning is an error
	@$(BIN)/python -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html

browser: $(VENV)/.dev ## Get a browser for the tests of the dashboard where none is there
	@$(BIN)/python tests/dashboard/browsers.py

packages: $(VENV)/.packages ## Fetch what the tests of releases install; they themselves need no network

compat: $(VENV)/.dev ## Run a selection of the tests under each Python that is there, and with the oldest dependencies
	@$(BIN)/python tests/release/compatibility.py

# In an environment of its own, as whoever builds it elsewhere does. Nothing is uploaded.
release: $(VENV)/.packages ## Build dist/ and check what is in it, and that it installs
	@rm -rf dist
	@log=$$($(BIN)/python -m build --outdir dist 2>&1) || { echo "$$log" >&2; exit 1; }
	@TITAN_STATE_DIST=dist $(BIN)/python -m pytest -p no:titan_state -q -n $(WORKERS) tests/release tests/test_project.py
	@ls -l dist

format: $(VENV)/.dev ## Format the code, and repair what can be repaired
	@$(BIN)/python -m ruff check --fix $(CODE)
	@$(BIN)/python -m ruff format $(CODE)

bench: $(VENV)/.dev ## Measure how soon changes are noticed, against others and the bound
	@$(BIN)/python benchmarks/delay.py

screenshots: $(VENV)/.dev browser ## Take the pictures of the dashboard for the documentation
	@PYTHONPATH=tests/dashboard $(BIN)/python docs/screenshots.py

clean: ## Remove the virtual environment and what the tools left behind
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist docs/_build
	find titan_state tests examples -type d -name __pycache__ -prune -exec rm -rf {} +

# An interpreter fits if it starts (a version manager's shim may not), is new enough and can make environments.
# PYTHON=… chooses one by hand.
$(BIN)/python:
	@for candidate in $(if $(PYTHON),"$(PYTHON)",python3.14 python3.13 python3.12 python3.11 python3 python); do \
		"$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
			|| continue; \
		echo "making $(VENV) with $$candidate ($$("$$candidate" -c 'import platform; print(platform.python_version())'))"; \
		exec "$$candidate" -m venv --clear $(VENV); \
	done; \
	echo "No fitting Python was found: titan_state needs Python 3.11 or newer with its venv module (on Debian and" >&2; \
	echo "Ubuntu the package python3-venv). Install one, or name it: make PYTHON=/path/to/python3 TARGET" >&2; \
	exit 1

# Stamps: an environment is installed into again only when pyproject.toml has changed. `dev` includes `cli`.
$(VENV)/.cli: pyproject.toml | $(BIN)/python
	$(call install,cli)
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(call install,dev)
	@touch $(VENV)/.cli $@

$(VENV)/.packages: pyproject.toml tests/release/packages.py $(VENV)/.dev
	@$(BIN)/python tests/release/packages.py
	@touch $@

define install
@echo "installing titan_state with its extra \"$(1)\" into $(VENV)"
@log=$$($(BIN)/python -m pip --disable-pip-version-check install --editable ".[$(1)]" 2>&1) \
	|| { echo "$$log" >&2; echo "pip could not install titan_state; see above" >&2; exit 1; }
endef
