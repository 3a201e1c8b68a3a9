# All of it works from a fresh clone with nothing installed but make and a Python.
# PYTHON=/path/to/python chooses the interpreter, ARGS="…" is handed on to run, test and bench.

VENV ?= .venv
ARGS ?=
BIN = $(VENV)/bin
export PYTHON

.PHONY: help run test test-real check bench soak cluster-test fuzz peers lock dist image-rehearsal prices models clean runtime dev

help: ## what there is (this)
	@echo "make TARGET [ARGS=\"…\"] [PYTHON=/path/to/python]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

run: runtime ## start the proxy; with no account yet, on the built-in sandbox
	@$(BIN)/neurolink proxy start --sandbox-if-empty $(ARGS)

# Hundreds of processes start in the tests: what they import is compiled once, whatever the caller prefers.
test test-real: export PYTHONDONTWRITEBYTECODE =
PYTEST = $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: dev ## run the tests that need Python and loopback only; ARGS="tests/core -k sse" picks some
	@$(PYTEST) -m "not real" $(ARGS)

test-real: dev ## run those with a browser, shells, promtool, Claude Code, Codex, LiteLLM, …; says what is missing
	@$(PYTEST) -m real $(ARGS)

check: dev ## lint, formatting, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/vendored

bench: dev ## measure against stock mitmdump, over TLS and from afar too; prints tables, writes JSON
	@$(BIN)/python -m bench $(ARGS)

soak: dev ## two minutes of failing accounts and connections under load, over TLS; checks what is promised
	@$(BIN)/python -m soak $(ARGS)

cluster-test: dev ## three replicas with Redis and HAProxy: nine scenarios, counted at the upstream; ARGS="--only 1,5 --short"
	@PATH="$$PATH:/usr/sbin" $(BIN)/python -m clustertest $(ARGS)

fuzz: dev ## hostile and broken bytes for an hour; ARGS="--minutes 5 --only strangers" is shorter
	@$(BIN)/python -m tools.fuzz --minutes 60 $(ARGS)

peers: dev ## the score of LiteLLM's proxy and claude-code-router beside ours; installs both into ~/.cache/neurolink-peers
	@$(BIN)/python -m tools.peers $(ARGS)

runtime:
	@tools/make-venv $(VENV) requirements.lock requirements-dev.lock

dev:
	@tools/make-venv $(VENV) requirements-dev.lock

# One resolution for every platform and Python we support (markers choose), so that plain pip can
# install it. Development first: the runtime's versions are then the very ones that were tested.
# With extras: the pip of Python 3.11 refuses coverage[toml] where only coverage is locked.
# The container images have one platform and one Python: their locks name what is in them, no more.
COMPILE = .venv-lock/bin/uv pip compile --quiet --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --no-emit-build-options \
	--custom-compile-command "make lock" $(ARGS) pyproject.toml
LOCK = $(COMPILE) --universal --python-version 3.11 --group build
LOCK_IMAGE = $(COMPILE) --python-platform linux --python-version 3.13 --extra cluster

lock: ## lock dependencies anew, keeping versions that still fit; ARGS=--upgrade moves them
	@python=$$(tools/find-python) && "$$python" -m venv .venv-lock
	@.venv-lock/bin/python -m pip install -qq --disable-pip-version-check --upgrade uv
	$(LOCK) --group dev --output-file requirements-dev.lock >/dev/null
	$(LOCK) --constraints requirements-dev.lock --output-file requirements.lock >/dev/null
	$(LOCK_IMAGE) --constraints requirements-dev.lock --output-file deploy/requirements-full.lock >/dev/null
	$(LOCK_IMAGE) --constraints deploy/requirements-full.lock --excludes deploy/not-in-slim.txt \
		--output-file deploy/requirements-slim.lock >/dev/null

dist: dev ## build wheel and sdist of the last commit, the same bytes each time, with checksums and bills of materials
	@$(BIN)/python tools/dist $(ARGS)

image-rehearsal: dist ## carry out deploy/Containerfile without Docker, as root, and run what comes of it; ARGS=slim for one
	@$(BIN)/python tools/rehearse-image $(ARGS)

prices: dev ## take over the prices of the LiteLLM that is locked
	@$(BIN)/python tools/prices

models: dev ## take over the names of Claude Code's models from its npm package; ARGS=--offline without it
	@$(BIN)/python tools/models $(ARGS)

clean: ## remove environments, caches and build results
	rm -rf .venv .venv-lock .ci/venv build dist htmlcov .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
