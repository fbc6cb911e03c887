# Everything runs from .venv, which `make setup` (and every target that needs it) makes.
# Another interpreter:  make setup PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
PIP := $(BIN)/python -m pip --disable-pip-version-check
PLUGINS := plugins/http plugins/email plugins/resize-image
PLUGIN_PACKAGES := plugins/http/hermesd_http plugins/email/hermesd_email \
	plugins/resize-image/hermesd_resize_image
# An image of one pixel, made larger: a job that needs no settings. Its quotes are for echo "...".
EXAMPLE := {\"source_base64\": \"R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==\", \
\"width\": 8, \"height\": 8, \"mode\": \"exact\"}
PYPROJECTS := pyproject.toml $(PLUGINS:=/pyproject.toml)

# Where Debian's package puts it; tests/brokers/rabbitmq.py starts it from there.
RABBITMQ := /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server
# And PostgreSQL, for tests/databases/postgresql.py; the cluster that the package makes is not used.
POSTGRESQL := /usr/lib/postgresql/*/bin/postgres

# A test that hangs shows where, and ends the run.
PYTEST := $(BIN)/python -m pytest --durations=10 \
	-o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true

# These tests wait for half of their time, hence more processes than cores. Each has a broker and a
# database of its own, and takes tests from the others when it has none left.
PARALLEL := -n 3 --dist worksteal

# Slow tests make a load of their own; those of a file share a package, an image or a machine.
PARALLEL_FAULTS := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo run test test-faults bench bench-peers lint types proto docs dist clean \
	rabbitmq-server postgresql buildah engine haproxy prometheus chromium groff screenshots deb systemd-container

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install hermesd, its plugins and the tools into .venv.
	@echo "$(VENV) is ready"

$(STAMP): $(PYPROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "hermesd needs Python 3.11 to 3.13, and $(PYTHON) is not that:" \
			"name another one with  make $(MAKECMDGOALS) PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| packaging/ensure-debian-packages python3-venv
	@# A .venv without a working pip is what an interrupted run leaves behind.
	@if ! $(PIP) --version >/dev/null 2>&1; then \
		echo "Making $(VENV)"; rm -rf $(VENV); $(PYTHON) -m venv $(VENV); fi
	@echo "Installing hermesd, its plugins and the tools into $(VENV) (the first time takes a while)"
	@$(PIP) install --quiet --editable '.[dev]' $(PLUGINS:%=--editable %)
	@touch $@

# With AMQP=1 and no HERMES_QUEUE__URL the demo starts a RabbitMQ, which must be installed.
demo: $(STAMP) $(if $(AMQP),$(if $(HERMES_QUEUE__URL),,rabbitmq-server)) ## Run real jobs of every kind, and check what came of them; AMQP=1: by RabbitMQ.
	@$(BIN)/python -m tests.demo $(if $(AMQP),--amqp)

run: $(STAMP) ## Run a daemon on http://localhost:8081, its store in var/, until Ctrl-C.
	@mkdir -p var
	@echo "hermesd on http://localhost:8081, its store in var/, until Ctrl-C. In another shell try:"
	@echo
	@echo "  curl localhost:8081/jobs -d '{\"type\": \"resize-image\", \"payload\": $(EXAMPLE)}'"
	@echo "  $(BIN)/hermesd submit resize-image '$(EXAMPLE)' --wait"
	@echo "  $(BIN)/hermesd jobs list"
	@echo
	@exec env HERMES_STORE__URL=sqlite:///var/hermes.db $(BIN)/hermesd --config etc/hermes.toml serve

rabbitmq-server:
	@ls $(RABBITMQ) >/dev/null 2>&1 || packaging/ensure-debian-packages rabbitmq-server

postgresql:
	@ls $(POSTGRESQL) >/dev/null 2>&1 || packaging/ensure-debian-packages postgresql

# Its promtool judges metrics and rules, and a server of its own reads real daemons.
prometheus:
	@command -v promtool >/dev/null || packaging/ensure-debian-packages prometheus

# For tests/dashboard, with a font to draw what it shows.
chromium:
	@command -v chromium >/dev/null || packaging/ensure-debian-packages chromium fonts-dejavu-core

haproxy:
	@PATH="$$PATH:/usr/sbin" command -v haproxy >/dev/null || packaging/ensure-debian-packages haproxy

# Formats the manual pages, to see that they can be.
groff:
	@command -v groff >/dev/null || packaging/ensure-debian-packages groff-base

# tests/systemd boots machines with it.
systemd-container:
	@command -v systemd-nspawn >/dev/null || packaging/ensure-debian-packages systemd-container

# Builds the container image, over packages of this system.
buildah:
	@command -v buildah >/dev/null || packaging/ensure-debian-packages buildah python3-venv

# Docker's engine, in which tests/containers brings up packaging/compose.yaml.
engine:
	@PATH="$$PATH:/usr/sbin"; { command -v dockerd && command -v busybox; } >/dev/null \
		|| packaging/ensure-debian-packages docker.io busybox iproute2 curl

test: $(STAMP) rabbitmq-server postgresql prometheus chromium groff ## Run the tests, but for the slow fault injection.
	@$(PYTEST) -m 'not faults' $(PARALLEL)

test-faults: $(STAMP) rabbitmq-server postgresql haproxy prometheus chromium systemd-container buildah engine ## Run the fault injection with real processes.
	@$(PYTEST) -m faults $(PARALLEL_FAULTS)

screenshots: $(STAMP) chromium ## Take the pictures of the dashboard in packaging/screenshots anew.
	@SCREENSHOTS=packaging/screenshots $(PYTEST) tests/dashboard/test_screenshots.py

bench: $(STAMP) ## Run tests/bench/run.py, the benchmark.
	@echo "Running tests/bench/run.py; options:  make bench BENCH='--only 1,6 --rounds 1'"
	@$(BIN)/python -m tests.bench.run $(BENCH)

bench-peers: $(STAMP) ## Measure other job systems beside hermesd (installs them, for the run).
	@$(BIN)/python -m tests.bench.peers.run $(BENCH)

lint: $(STAMP) ## Check style and format with ruff.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## Check types with mypy --strict.
	@$(BIN)/mypy --strict hermesd $(PLUGIN_PACKAGES)

proto: $(STAMP) ## Generate hermesd/wire/gen from proto/, and the messages' schemas.
	@$(BIN)/python proto/generate.py
	@$(BIN)/python proto/message_schemas.py

dist: $(STAMP) ## Build wheel and source archive of hermesd and each plugin into dist/.
	@rm -rf dist
	@for project in . $(PLUGINS); do \
		( cd "$$project" && "$(CURDIR)/$(BIN)/hatchling" build -d "$(CURDIR)/dist" ) || exit 1; \
	done

docs: $(STAMP) ## Write the tables of packaging/README.md anew.
	@$(BIN)/python -m tests.guide

deb: $(STAMP) ## Build the Debian package, with an environment of its own, into dist/.
	@packaging/build-deb

clean: ## Remove .venv and everything that was built or cached; var/ stays.
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
