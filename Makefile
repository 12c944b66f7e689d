# Each target works alone on a machine with Python 3.11 or newer and make: it sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Modules are compiled when they are first imported: most never are, and compiling all takes as long as unpacking them.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
BASE := $(VENV)/.base-done
DEV := $(VENV)/.dev-done
PUBLISH := $(VENV)/.release-done

# Hundreds of tests start the program: compiling it to bytecode each time would take longer than the rest of a start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup check test lint fuzz api-fuzz signals crashes live-faults serve-kills device-faults schedules interrupts audit demo docs bench dist release lock clean help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(BASE) ## Make .venv with the package and what it needs to run, nothing else

$(BASE): constraints/base.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("keepbusy needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes --requirement constraints/base.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(PUBLISH): $(BASE) constraints/release.txt
	$(INSTALL) --require-hashes --requirement constraints/release.txt
	touch $@

$(DEV): $(BASE) constraints/dev.txt training/requirements.txt
	$(INSTALL) --require-hashes --requirement constraints/dev.txt
	$(INSTALL) --requirement training/requirements.txt
	touch $@

check: $(DEV) ## Run the tests that need no time and touch every part (tests/quick.txt)
	$(BIN)/python -m pytest --numprocesses $(or $(JOBS),2) --dist worksteal @tests/quick.txt

test: $(DEV) ## Run the tests, on two processes: make test JOBS=2
	$(BIN)/python -m pytest --numprocesses $(or $(JOBS),2) --dist worksteal

lint: $(DEV) ## Check style (ruff) and types (mypy strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(DEV) ## Look for unsafe code (bandit), and for advisories on what is pinned (pip-audit)
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src
	$(BIN)/python .ci/audit.py

signals: $(DEV) ## Send the program signals at random moments: make signals COUNT=500 SEED=1
	$(BIN)/python -m tests.signal_job --count $(or $(COUNT),500) --seed $(or $(SEED),1)

crashes: $(DEV) ## Kill a batch at random moments and compare what it finds: make crashes CLIPS=60 KILLS=20 SEED=1
	$(BIN)/python -m tests.batch_crashes --clips $(or $(CLIPS),60) --kills $(or $(KILLS),20) --seed $(or $(SEED),1)

live-faults: $(DEV) ## RTSP cameras of a server that fail in turn: make live-faults MINUTES=5 SEED=1
	$(BIN)/python -m tests.live_faults --minutes $(or $(MINUTES),5) --seed $(or $(SEED),1)

serve-kills: $(DEV) ## Kill a server at random moments: make serve-kills KILLS=20 SEED=1
	$(BIN)/python -m tests.serve_kills --kills $(or $(KILLS),20) --seed $(or $(SEED),1)

device-faults: $(DEV) ## A server whose device fails in every way
	$(BIN)/python -m tests.device_faults

schedules: $(DEV) ## Runs whose streams come and go at random: make schedules COUNT=10000 SEED=1
	$(BIN)/python -m tests.schedules --count $(or $(COUNT),10000) --seed $(or $(SEED),1)

interrupts: $(DEV) ## Raise KeyboardInterrupt at every step of building and closing (some minutes)
	KEEPBUSY_TEST_EVERY_STEP=1 $(BIN)/python -m pytest tests/test_interrupts.py tests/test_hostile_store.py

fuzz: $(DEV) ## Damaged models, videos, pictures, texts and answers of servers: make fuzz SECONDS=600 SEED=1
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

api-fuzz: $(DEV) ## Requests that the HTTP API allows, and such that it does not: make api-fuzz SECONDS=600 SEED=1
	$(BIN)/python -m tests.api_fuzz --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

demo: $(BASE) ## Run the main job on what the repository contains
	$(BIN)/python -m keepbusy demo

docs: $(DEV) ## Build the documentation's site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(DEV) ## Run all benchmarks and renew the figures in docs/performance.md: make bench EXPORTS="a.xml b.xml" VIDEOS=clip.mp4
	$(BIN)/python benchmarks/run_all.py $(if $(EXPORTS),--exports $(EXPORTS)) $(if $(VIDEOS),--videos $(VIDEOS))

dist: $(PUBLISH) ## Build the packages into dist/ and check them
	$(BIN)/python -m release --no-tag $(if $(HOME_URL),--home $(HOME_URL))

release: $(PUBLISH) ## Build and check the packages of a committed version, and tag it: make release HOME_URL=https://...
	$(BIN)/python -m release $(if $(HOME_URL),--home $(HOME_URL))

lock: ## Renew the pinned versions and hashes (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  pyproject.toml constraints/build.in --extra eval --output-file constraints/base.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  pyproject.toml constraints/build.in --extra dev --constraint constraints/base.txt --output-file constraints/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  constraints/release.in --constraint constraints/base.txt --output-file constraints/release.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist demo site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
