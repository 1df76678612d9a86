# Needs make and Python 3.11 or later; everything else is installed into .venv by the first target that needs it.

PYTHON ?= python3
UV ?= uv
VENV := .venv/bin/python
SEED ?= 1
PACKAGES := $(wildcard domain adapters services activities workflows engine events api devstack commandline migrations benchmarks chaos ops tests worker.py relay.py codec_server.py cli.py)

# A developer's shell must never reach a test or the demo: no database, server, key, proxy or setting of theirs.
STRAY := $(filter-out ORDERSAGA_POSTGRES_BIN ORDERSAGA_TEMPORAL_BIN, \
  $(filter DATABASE_URL ORDERSAGA_% TEMPORAL_% STRIPE_% PG% PYTHON% %_PROXY %_proxy,$(.VARIABLES)))
ISOLATED := env $(foreach name,$(STRAY),-u $(name))

.PHONY: help demo up test check check-slow check-tools bench bench-quick bench-peers proof overload chaos lint format audit \
  release-events asyncapi lock clean venv
.NOTPARALLEL:

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: venv  ## start the whole stack, place four orders, check every book (about 15 s)
	@$(ISOLATED) $(VENV) -m devstack.demo

up: venv  ## keep the stack running until Ctrl-C, its state in .ordersaga/
	@$(VENV) -m devstack.stack up

test: venv  ## the test suite, on the real embedded servers
	@$(ISOLATED) $(VENV) -m pytest

check-tools: venv  ## the tests of the tools and of what deploys: simulators, stack, chaos, benchmark, migrations under load
	@$(ISOLATED) $(VENV) -m pytest tests/tools tests/deployment

check-slow: venv  ## kills, silence, crowds and skipped weeks on the real servers: tests of seconds each
	@$(ISOLATED) $(VENV) -m pytest -m 'slow and not long'

check: venv lint test check-slow check-tools  ## what CI runs: lint, format, types, all tests, migrations in step
	@$(ISOLATED) $(VENV) -m devstack.migrations_check

bench: venv  ## the benchmark: engine, plain saga, ours, the whole service (under 6 minutes)
	@$(ISOLATED) $(VENV) -m benchmarks.throughput

bench-quick: venv  ## the service beside the toy saga, against the last recorded ratios (under 2 minutes)
	@$(ISOLATED) $(VENV) -m benchmarks.quick

bench-peers: venv  ## this saga beside DBOS and Restate, which it installs into build/ (network, the second with npm; 5 minutes)
	@$(ISOLATED) $(VENV) -m benchmarks.peers

proof: venv  ## the long run: an order file (ORDER_FILE=...), the payment storm (SEED=n), the races in every form
	@$(ISOLATED) $(VENV) -m benchmarks.order_file $(ORDER_FILE)
	@$(ISOLATED) $(VENV) -m chaos.storm --seed $(SEED)
	@$(ISOLATED) $(VENV) -m chaos.overload
	@$(ISOLATED) $(VENV) -m pytest -m long tests

overload: venv  ## three times the orders that this machine can carry: who is answered, who is refused (3 minutes)
	@$(ISOLATED) $(VENV) -m chaos.overload

chaos: venv  ## 1,000 orders while everything is killed in turn (SEED=n), then an audit of every book (under 10 minutes)
	@$(ISOLATED) $(VENV) -m chaos.run --seed $(SEED)

audit: venv  ## 10,000 bad requests and what each costs, known vulnerabilities of what is pinned (network; 4 minutes)
	@$(ISOLATED) $(VENV) -m devstack.audit

lint: venv  ## ruff and mypy only
	@$(ISOLATED) $(VENV) -m ruff check .
	@$(ISOLATED) $(VENV) -m ruff format --check .
	@$(ISOLATED) $(VENV) -m mypy $(PACKAGES)

format: venv  ## put the code into its format
	@$(ISOLATED) $(VENV) -m ruff check --fix .
	@$(ISOLATED) $(VENV) -m ruff format .

release-events: venv  ## make the events' schemas the released ones, unless that would break a consumer
	@$(ISOLATED) $(VENV) -m devstack.events.release

asyncapi: venv  ## check the events' document against the official schema of AsyncAPI, which npm installs into build/ (network)
	@$(ISOLATED) $(VENV) -m devstack.events.official

LOCK := pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
  --python-version 3.11

lock:  ## pin the dependencies anew from pyproject.toml (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv (https://docs.astral.sh/uv/)" >&2; exit 1; }
	@$(UV) $(LOCK) pyproject.toml -o requirements.txt
	@$(UV) $(LOCK) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	@$(UV) $(LOCK) benchmarks/peers/requirements.in -c requirements.txt -o benchmarks/peers/requirements.txt

clean:  ## remove the kept state and the caches
	@$(PYTHON) -m devstack.cleaning
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build
	@find . -name .venv -prune -o -type d -name __pycache__ -exec rm -rf {} +

venv:
	@$(ISOLATED) $(PYTHON) devstack/installation.py
