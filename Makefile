# `make help` lists the verbs.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-image up down test lint test-startup test-crash test-images test-compose bench fuzz check compose-init lock clean
PYTHON := .venv/bin/python
N ?=
SECONDS ?=
SEED ?=
CRASH := $(PYTHON) -m pytest --timeout 1800 -p no:randomly -p no:cacheprovider tests/crash
IMAGE ?=

help: # the verbs
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try it
demo: setup ## Publish a real image over a real Kafka and PostgreSQL, and tell the story (IMAGE=path takes yours)
	@$(PYTHON) -m cli demo $(if $(IMAGE),--image "$(IMAGE)")
demo-image: setup ## Only build the demo's Debian image, .cache/demo/debian.qcow2
	@$(PYTHON) -m demo
up: setup ## Start a local stack (Kafka and PostgreSQL) in the background
	@$(PYTHON) -m cli stack up
down: ## Stop it; its data stays in .stack for the next `make up`
	@[ ! -x $(PYTHON) ] || $(PYTHON) -m cli stack down
check: setup # image-commons check, for whoever did not set PATH
	@$(PYTHON) -m cli check "$(IMAGE)"

##@ Work on it
setup: ## Install what is missing (the others call it)
	@scripts/setup
test: setup lint ## Lint, types, import rules and the default test suite
	@# Two at a time, a module on one worker: much of the time is spent waiting for servers and processes.
	@$(PYTHON) -m pytest -n 2 --dist loadscope
lint: setup # the static part of `make test`
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy && .venv/bin/lint-imports
	@# The inspector is a program of its own: its modules go by their bare names.
	@cd services/checker/inspector && MYPYPATH=. $(CURDIR)/.venv/bin/python -m mypy --config-file $(CURDIR)/pyproject.toml \
	  --cache-dir $(CURDIR)/.mypy_cache/inspector --explicit-package-bases .
test-startup: setup ## Type the README's first steps; start, stop and kill stacks and services
	@$(PYTHON) -m pytest -n 2 --dist load tests/startup
test-crash: setup ## Kill everything at every named point (N=20: more random kills)
	@# Two systems side by side: most of the time both wait for something that was killed.
	@$(CRASH) -k "not broker_and_database_die" $(if $(N),--random-kills $(N)) & one=$$!; \
	$(CRASH) -k broker_and_database_die; code=$$?; wait $$one && exit $$code
test-images: setup ## Judge real disks of Debian and inputs that others made, both ways (needs root, loop devices, a Debian mirror)
	@# Two at a time, whichever is free takes the next; what they make is locked. Disks of half a gigabyte are kept of failures alone.
	@tests/images/needs && $(PYTHON) -m pytest -n 2 --dist worksteal --timeout 1800 -p no:randomly -o tmp_path_retention_policy=failed tests/images
fuzz: setup ## Change small images at random for half an hour; what is found stays as a test (SECONDS=60, SEED=n)
	@$(PYTHON) -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))
bench: setup ## Measure, and write docs/performance.md
	@$(PYTHON) -m benchmarks

##@ Run it for others
compose-init: ## Write strong secrets for docker compose, once
	@scripts/compose-init
test-compose: setup ## Build and run docker-compose.yml, tell the demo's story against it, take it down
	@scripts/test-compose
lock: # pins requirements/*.txt anew from requirements/*.in (needs uv)
	@cd requirements && for file in inspector runtime dev; do uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url $$file.in -o $$file.txt; done
clean: down ## Remove what was built here, caches and the stack's data too
	@rm -rf .venv .cache .stack
