# `make paper` and `make test` are all that is needed; `make help` lists the rest. Every target may be run again at any
# time: what is there already is kept.

# the Python that .venv is made with; further options for Snakemake (--configfile presets/tiny.yaml) or, of make benchmark,
# for the benchmark (--quick); workers of the tests
PYTHON ?= python3
ARGS ?=
WORKERS ?= 2

export PYTHON
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help paper report trace provenance test test-mutations test-peers test-cluster test-faults test-browser test-docs lint benchmark lock \
	schema environment benchmark-environment latex clean

help:
	@echo 'make paper        everything, from raw data to results/paper/main.pdf; then the report'
	@echo 'make report       results/report.html: every result with the rule and settings it came from'
	@echo 'make trace NUMBER=97.31   where a number, figure or table of the paper comes from; ARGS=--all for everything'
	@echo 'make provenance   ro-crate-metadata.json: this folder and its run as an RO-Crate, every file with its checksum'
	@echo 'make test         style checks and the whole test suite'
	@echo 'make test-mutations   one-line faults planted in the core modules, and whether the tests notice each (an hour)'
	@echo 'make test-peers   estimators against BackPACK, NNGeometry and ASDL, in an environment of its own'
	@echo 'make test-browser report, explorer and notebooks looked at in a real Chromium (runs make paper first)'
	@echo 'make test-faults  the workflow killed at random moments and on a full disk (half an hour); table in results/faults.md'
	@echo 'make test-docs    the commands of README and docs/, run one by one (the last ones need a network)'
	@echo 'make lint         style checks alone'
	@echo 'make benchmark    speed of importances and training beside other libraries, in an environment of its own'
	@echo 'make test-cluster the workflow on a Slurm of one node, set up for the test (as root, some minutes)'
	@echo 'make lock         the pinned versions anew from envs/requirements.in; ARGS=--upgrade for the newest'
	@echo 'make schema       workflow/schemas/config.schema.json, for editors, from the settings models'
	@echo 'make environment  the virtual environment .venv from envs/requirements.lock'
	@echo 'make latex        the LaTeX packages that are missing (as root; otherwise says how)'
	@echo 'make clean        remove all results'
	@echo
	@echo 'make paper ARGS="--configfile presets/tiny.yaml" runs another configuration.'

paper: latex environment
	snakemake --cores all $(ARGS)
	@$(MAKE) --no-print-directory report
	@echo
	@echo 'paper      results/paper/main.pdf'
	@echo 'explorer   results/explorer.html'
	@echo 'notebooks  results/notebooks/*.html'
	@echo 'report     results/report.html'

# made anew where anything that it shows is newer (or missing, which Snakemake then names); not where ARGS only tells, as -n
REPORTED = results/notebooks results/figures results/paper/main.pdf results/explorer.html workflow/report

report: environment
	@test -z "$$(find $(REPORTED) -newer results/report.html 2>&1)" || ! python workflow/rules/command_line.py $(ARGS) || \
		{ snakemake --report results/.report.html --report-stylesheet workflow/report/style.css $(ARGS) && \
		mv results/.report.html results/report.html; }

trace: environment
	@python workflow/audit/trace_number.py '$(NUMBER)' $(ARGS)

provenance: environment
	@python workflow/audit/crate.py

test: latex lint
	OMP_NUM_THREADS=1 python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# ARGS names modules or parts of them, such as ARGS=tasks
test-mutations: environment
	python tests/mutations/plant.py --workers $(WORKERS) $(ARGS)

test-peers: benchmark-environment
	OMP_NUM_THREADS=1 .venv-benchmark/bin/python -m pytest tests/peers

# kept out of make test: it needs root and some minutes
test-cluster: environment
	OMP_NUM_THREADS=1 sh tests/cluster/one-node-slurm.sh python -m pytest tests/cluster

# the pages as a person meets them; not part of `make test`, as it needs a finished run and a browser
test-browser: paper
	@sh envs/install-chromium.sh
	@sh envs/install-python.sh .venv-browser envs/browser.txt
	.venv-browser/bin/python -m pytest tests/browser

test-faults: latex environment
	python -m pytest -s tests/faults

# the commands of the pages that make test has no time for, in a checkout of their own
test-docs: latex environment
	python -m pytest -s tests/docs

lint: environment
	lint-imports
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	snakemake --lint

benchmark: benchmark-environment
	.venv-benchmark/bin/python benchmarks/benchmark.py $(ARGS)

lock: environment
	@python envs/lock.py $(ARGS)

schema: environment
	python -m weight_importance.settings.schema > workflow/schemas/config.schema.json

environment:
	@sh envs/install-python.sh

benchmark-environment:
	@sh envs/install-python.sh .venv-benchmark envs/requirements.lock envs/benchmark.txt

latex:
	@sh envs/install-latex.sh

clean:
	@find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
