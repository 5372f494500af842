# The whole contributor interface. `make` alone prints what there is.
#
# Every target sets up what it needs in .venv, so a machine with Python 3.11 or newer, git and
# make needs nothing else. A change of pyproject.toml or constraints.txt installs again.

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?=
ARGS   ?=

VENV := .venv
BIN  := $(VENV)/bin

# uv installs in a tenth of the time. It knows nothing of pip's settings (mirrors, proxies), so pip
# has a go where uv fails. Compiled once, here: some environments forbid Python to do it later, and
# then every process that starts would.
# $(call install,FOLDER OF THE ENVIRONMENT,WHAT)
install = test -x $(1)/bin/uv && $(1)/bin/uv pip install --quiet --compile-bytecode --python $(1)/bin/python $(2) || \
    $(1)/bin/python -m pip --disable-pip-version-check --quiet install $(2)

# The frameworks that adapters are for want other versions of things than we do, and they are
# tested with the oldest and the newest that each adapter allows: an environment for each end.
ENDS     := newest oldest
ADAPTERS := $(wildcard adapters/*/pyproject.toml)
READY    := $(ENDS:%=$(VENV)-%/.ready)

# Adapters of engines. Their drivers are in the way of nobody, so they are in .venv as well, where
# the suites below, which take an engine as a parameter, are run on them: a fifth of their tests, and
# all of them by `make soak` (see conftest.py).
ENGINES  := $(patsubst %/,%,$(dir $(wildcard adapters/postgres/pyproject.toml adapters/redis/pyproject.toml)))
ON_THEM  := THREADLOOM_TEST_ENGINES=postgres,redis
SUITES   := tests/conformance tests/failures tests/graphs tests/sessions tests/stateful

# What shows that the oldest LangGraph and LangChain that we allow will do (the newest are in .venv), on
# one engine; a third of it and of the adapters' tests, and all by `make soak`.
OLDEST     := tests/conformance tests/graphs
AT_OLDEST  := THREADLOOM_TEST_ENGINES=sqlite
HOW_OLDEST := -n auto -m "not soak" --ignore-glob '*_contract.py'

.PHONY: help demo notebook test soak check bench docs format clean

help: ## print this list
	@echo "Threadloom. Targets:"
	@echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'
	@echo
	@echo "  PYTHON=python3.12   the interpreter that .venv is made with (3.11 or newer)"
	@echo "  ARGS='-k fork -x'   passed on to pytest by test and soak, to the program by demo, notebook and bench"

demo: $(VENV)/.core ## one session across two processes, told step by step (under two minutes)
	@$(BIN)/python examples/demo.py $(ARGS)

notebook: $(VENV)/.notebook ## opens the first notebook in JupyterLab
	$(BIN)/jupyter lab $(or $(ARGS),notebooks/01_first_session.ipynb)

test: $(VENV)/.dev $(READY) ## all tests, those of adapters at both ends of their ranges
	$(BIN)/python -m pytest -n auto $(ARGS)
	$(ON_THEM) $(BIN)/python -m pytest -n auto $(SUITES) $(ARGS)
	$(VENV)-newest/bin/python -m pytest -n auto adapters $(ARGS)
	$(ON_THEM) $(VENV)-newest/bin/python -m pytest -n auto adapters $(ARGS)
	$(AT_OLDEST) THREADLOOM_TEST_ONE_IN=3 $(VENV)-oldest/bin/python -m pytest adapters $(HOW_OLDEST) $(ARGS)
	$(AT_OLDEST) THREADLOOM_TEST_ONE_IN=3 $(VENV)-oldest/bin/python -m pytest $(OLDEST) $(HOW_OLDEST) $(ARGS)

soak: $(VENV)/.dev $(READY) ## the fault and concurrency tests at full counts (slow)
	THREADLOOM_SOAK=1 $(BIN)/python -m pytest -n auto -m "soak or grid" --timeout 3600 $(ARGS)
	THREADLOOM_SOAK=1 $(ON_THEM) $(BIN)/python -m pytest -n auto $(SUITES) --timeout 3600 $(ARGS)
	THREADLOOM_SOAK=1 $(AT_OLDEST) $(VENV)-oldest/bin/python -m pytest adapters $(OLDEST) $(HOW_OLDEST) $(ARGS)
	THREADLOOM_SOAK=1 $(VENV)-newest/bin/python -m pytest -n auto adapters -m "soak or grid" --timeout 3600 $(ARGS)

bench: $(VENV)/.dev ## LangGraph's savers and ours side by side (long; ARGS="growth --turns 200 --runs 1")
	$(BIN)/python -m benchmarks $(or $(ARGS),all --write docs/benchmarks.md)

check: $(VENV)/.dev $(VENV)-newest/.ready ## lint, formatting and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	for adapter in $(wildcard adapters/*/src); do $(VENV)-newest/bin/mypy $$adapter || exit 1; done

# The guide has an environment of its own: what builds it is in the way of nothing then.
docs: $(VENV)-docs/.ready ## the guide, built into site/ (open site/index.html; no network is needed)
	@NO_MKDOCS_2_WARNING=true $(VENV)-docs/bin/mkdocs build --strict $(ARGS)
	@echo "The guide is in site/index.html"

format: $(VENV)/.dev ## mend what lint and formatting can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, caches and build results
	rm -rf $(VENV) $(ENDS:%=$(VENV)-%) $(VENV)-docs .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The library and what the demo shows its tables with.
$(VENV)/.core: pyproject.toml constraints.txt
	@$(make_venv)
	@echo "Installing Threadloom into $(VENV) …"
	@$(call install,$(VENV),--editable . rich --constraint constraints.txt)
	@touch $@

# All that tests, linter and type checker need on top of it.
$(VENV)/.dev: $(VENV)/.core $(ENGINES:=/pyproject.toml)
	@echo "Installing the development tools into $(VENV) …"
	@$(call install,$(VENV),--editable ".[dev]" $(ENGINES:%=--editable ./%) --constraint constraints.txt)
	@touch $@

# JupyterLab and what the notebooks use.
$(VENV)/.notebook: $(VENV)/.core
	@echo "Installing JupyterLab into $(VENV) …"
	@$(call install,$(VENV),--editable ".[notebooks]" --constraint constraints.txt)
	@touch $@

# All adapters with the frameworks that they are for, at one end of their ranges.
$(VENV)-%/.ready: pyproject.toml $(ADAPTERS) adapters/constraints-%.txt
	@$(MAKE) --no-print-directory VENV=$(@D) $(@D)/.python
	@echo "Installing the adapters with the $* frameworks into $(@D) …"
	@$(call install,$(@D),--editable ".[adapters]" \
	    $(foreach adapter,$(ADAPTERS:/pyproject.toml=),--editable "./$(adapter)") \
	    --constraint adapters/constraints-$*.txt)
	@touch $@

# What builds the guide, the extra `docs` alone: the sources are read, and nothing of them imported.
$(VENV)-docs/.ready: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory VENV=$(@D) $(@D)/.python
	@echo "Installing what builds the guide into $(@D) …"
	@$(call install,$(@D),$$($(@D)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])') --constraint constraints.txt)
	@touch $@

$(VENV)/.python:
	@$(make_venv)
	@touch $@

# Makes .venv with PYTHON, or else with the first interpreter that is new enough. One that works
# already is kept; one whose interpreter is gone is made anew.
define make_venv
if $(BIN)/python -c 'import pip' 2>/dev/null; then exit 0; fi; \
for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
        echo "Creating $(VENV) with $$("$$python" --version) …"; \
        "$$python" -m venv --clear $(VENV) || exit 1; \
        $(BIN)/python -m pip --disable-pip-version-check --quiet install uv --constraint constraints.txt; \
        exit 0; \
    fi; \
done; \
echo "Threadloom needs Python 3.11 or newer with its venv module, and found none as:" >&2; \
echo "    $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)" >&2; \
echo "Name one with  make PYTHON=/path/to/python3.12 …  (Debian, Ubuntu: apt-get install python3-venv)." >&2; \
exit 1
endef
