# make demo: set up .venv, run the demo study, name its results.
# make test: unit tests, and a miniature study from end to end (three to six minutes on 2 cores).
# make test-all: every test: downloads, crate, browser, paper replica, kill and resume, SLURM as well (11 to 22 minutes); the 25 slowest are named.
# make bench: measure every stage against what is published and against the machine (25 minutes, nothing else running);
# make bench STAGES="svm crf": some of them.
# make bench-gpu: everything that a GPU does, in eight minutes on one (docs/gpu.md); PARTS="parity memory": some of it.
# make pictures: take README's pictures from the finished demo.
# make audit: verify all results of the demo; make audit OF=results/demo/figures/scores.svg: what that was made from.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
CORES ?= 2
OF ?= results/demo
STAGES ?=
PARTS ?=

.PHONY: demo test test-all bench bench-gpu pictures audit lint lint-python lint-workflow clean
.DEFAULT_GOAL := demo

# What studies need, every file by its hash; PyTorch has other builds for other machines, and so no hash.
$(VENV)/.ready: requirements.lock constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --no-deps --require-hashes -r requirements.lock
	$(INSTALL) torch -c constraints.txt
	@# Python compiles a module when it is first imported, unless it may not keep what it has compiled.
	@test -z "$$PYTHONDONTWRITEBYTECODE" || $(VENV)/bin/python -m compileall -q -q -j 0 $(VENV)/lib || true
	@touch $@

# And what tests, linters and export need.
$(VENV)/.dev: $(VENV)/.ready requirements-dev.txt constraints.txt tests/packages/tiny-bert/pyproject.toml
	$(INSTALL) -r requirements-dev.txt -c constraints.txt
	$(INSTALL) --no-deps --no-build-isolation tests/packages/tiny-bert
	@touch $@

demo: $(VENV)/.ready
	@workflow/demo.sh $(CORES)

# One process more than cores, since one mostly waits for SLURM; a thread each, or they wait for each other.
TESTS = OMP_NUM_THREADS=1 pytest -q --numprocesses $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

test: $(VENV)/.dev
	@$(TESTS) -m "not slow and not slurm and not browser"

test-all: $(VENV)/.dev
	@$(TESTS) --durations=25

bench: $(VENV)/.dev
	@python benchmarks/run.py $(STAGES)

# No set-up of its own: it runs in the Python at hand, whose PyTorch fits the GPU.
bench-gpu:
	@$(PYTHON) benchmarks/gpu/run.py $(PARTS)

pictures: $(VENV)/.ready
	@python workflow/scripts/update_pictures.py

audit: $(VENV)/.ready
	@python workflow/scripts/audit.py $(OF)

lint: lint-python lint-workflow

lint-python: $(VENV)/.dev
	ruff check .
	ruff format --check .
	codespell
	mypy

lint-workflow: $(VENV)/.dev
	oxlint --deny-warnings workflow
	snakefmt --check Snakefile workflow
	snakemake --lint

clean:
	rm -rf results logs .snakemake
