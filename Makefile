# The goals of everyday work. Each installs what it needs: Python packages into .venv, web servers through apt as root.
#
#   make demo PYTHON=python3.12      another Python (for a second one beside it, give its environment a name: VENV=.venv312)
#   make test PYTEST_ARGS='-k params -x'
#   make fuzz FUZZ_SECONDS=3600
#   make bench BENCH_ARGS='--loads hello --rounds 3'
#   make trials TRIALS_ARGS='--rounds 1 --trials reload,stop'

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=
TRIALS_ARGS ?=
FUZZ_SECONDS ?= 300

RUN := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test faults lint format bench trials fuzz clean

help: ## say what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(VENV)/.for-demo ## one page through nginx, FastCGI and penstock: prints its URL, ends with Ctrl-C
	@tools/webservers.sh nginx
	@$(RUN) tools/demo.py $(if $(DEMO_ONCE),--check)

test: $(VENV)/.for-tests ## all tests; names the web servers that they ran behind
	@tools/webservers.sh
	@tools/tests.sh $(RUN) $(PYTEST_ARGS)

faults: $(VENV)/.for-tests ## slow, hostile and vanishing peers and hosts at full size; prints what was measured
	FULL=1 $(RUN) -m pytest --timeout=600 tests/faults tests/interop/test_scale.py $(PYTEST_ARGS)

lint: $(VENV)/.for-tests ## ruff, mypy --strict, and the bounds of the house
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(RUN) -m pytest -q tests/test_floors.py tests/test_house.py

format: $(VENV)/.for-tests ## lay the code out as `make lint` wants it
	$(RUN) -m ruff check --select I --fix
	$(RUN) -m ruff format

bench: ## penstock and its peers side by side, behind nginx; writes bench/results/
	PYTHON=$(PYTHON) bench/setup.sh
	.venv-bench/bin/python -m bench $(BENCH_ARGS)

trials: ## reload, kill and stop penstock, uWSGI, gunicorn, uvicorn and php-fpm under load, side by side
	PYTHON=$(PYTHON) bench/setup.sh trials
	.venv-bench/bin/python -m bench.trials $(TRIALS_ARGS)

fuzz: $(VENV)/.for-tests ## 10,000 examples of each property, then FUZZ_SECONDS of hostile bytes
	HYPOTHESIS_PROFILE=fuzz $(RUN) -m pytest --timeout=0 tests/property
	$(RUN) tests/fuzz/structure.py --seconds $(FUZZ_SECONDS)

clean: ## remove what the other goals have made
	rm -rf $(VENV) .venv-bench build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache src/*.egg-info
	find src tests tools bench examples -name __pycache__ -type d -prune -exec rm -rf {} +

# One file for each set of packages says that they are in the environment; a change of pyproject.toml installs again.
$(VENV)/.for-demo: pyproject.toml tools/venv.sh
	@tools/venv.sh $(PYTHON) $(VENV) dev
	@touch $@

$(VENV)/.for-tests: pyproject.toml tools/venv.sh
	@tools/venv.sh $(PYTHON) $(VENV) dev,test,lint
	@touch $@ $(VENV)/.for-demo
