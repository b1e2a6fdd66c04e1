# `make paper` and `make test` are usually enough; `make help` lists all targets. Every target can be run again at any time
# and keeps finished results.

# PYTHON: interpreter that creates .venv. ARGS: options for Snakemake (--configfile presets/tiny.yaml) or, with
# make benchmark, for the benchmark (--quick). WORKERS: parallel test processes.
PYTHON ?= python3
ARGS ?=
WORKERS ?= 2
# in a Slurm allocation, its cores on this node
CORES = $(or $(SLURM_CPUS_ON_NODE),all)
DRY_RUN = $(filter -n% --dry%,$(ARGS))

export PYTHON
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help paper report compare verify trace provenance test test-mutations test-peers test-cluster test-faults test-browser test-docs lint docs benchmark audit lock \
	schema environment slurm benchmark-environment latex clean

help:
	@echo 'make paper        run everything, from raw data to results/paper/main.pdf, then make the report'
	@echo 'make report       write results/report.html: every result with its rule and settings'
	@echo 'make compare      compare claims and accuracies (average, after pruning) with reference/default and reference/ablations'
	@echo 'make verify       check every result for damage and edits; rename damaged results'
	@echo 'make trace NUMBER=97.31   print where a number, figure or table of the paper comes from; ARGS=--all for details'
	@echo 'make provenance   write ro-crate-metadata.json: this folder and its run as an RO-Crate, with checksums'
	@echo 'make test         run the style checks and the test suite'
	@echo 'make test-mutations   plant one-line faults in the core modules and check that the tests find each (an hour)'
	@echo 'make test-peers   compare estimators with BackPACK, NNGeometry and ASDL, try the benchmark, in a separate environment'
	@echo 'make test-browser check report, explorer, notebooks and documentation in Chromium (runs make paper first)'
	@echo 'make test-faults  kill the workflow at random moments and fill its disk (half an hour); table in results/faults.md'
	@echo 'make test-docs    run the commands of README and docs/ one after another (some need a network)'
	@echo 'make test-cluster run the workflow on a one-node Slurm cluster, which the test installs (as root, a few minutes)'
	@echo 'make lint         run the style checks only'
	@echo 'make docs         write results/docs: a website of the documentation, the API and the figures of the last run'
	@echo 'make benchmark    compare the speed of importances and training with other libraries, in a separate environment'
	@echo 'make audit        compare public implementations of importances with exact values (docs/audit.md), in a separate environment'
	@echo 'make environment  create the virtual environment .venv from envs/requirements.lock'
	@echo 'make slurm        add Snakemake'\''s plugin for Slurm to .venv'
	@echo 'make lock         update the pinned package versions from envs/requirements.in; ARGS=--upgrade for the newest versions'
	@echo 'make schema       write the schema for editors and config/README.md from the settings models'
	@echo 'make latex        install missing LaTeX packages (as root; otherwise print the command)'
	@echo 'make clean        delete all results'
	@echo
	@echo 'make paper ARGS="--configfile presets/tiny.yaml" runs another configuration.'

# 10s: jobs are selected less often than in profiles/default, where the reason is given
paper: latex environment
	snakemake --cores $(CORES) --max-jobs-per-timespan 1000/10s $(ARGS)
	$(if $(DRY_RUN),,@$(MAKE) --no-print-directory report)
	@echo
	@echo 'paper      results/paper/main.pdf'
	@echo 'explorer   results/explorer.html'
	@echo 'notebooks  results/notebooks/*.html'
	@echo 'report     results/report.html'

# make the report again if anything in it is newer (or missing; Snakemake then names the file)
REPORTED = results/notebooks results/figures results/paper/main.pdf results/explorer.html workflow/report notebooks/registry.yaml

report: environment
	@test -z "$$(find $(REPORTED) -newer results/report.html 2>&1)" || \
		{ snakemake --report results/.report.html --report-stylesheet workflow/report/style.css $(ARGS) && \
		mv results/.report.html results/report.html; }

compare: environment
	@python workflow/audit/compare.py

verify: environment
	@python workflow/audit/verify.py

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

# not part of make test: needs root and a few minutes
test-cluster: slurm
	OMP_NUM_THREADS=1 sh tests/cluster/one-node-slurm.sh python -m pytest tests/cluster

# not part of make test: needs a finished run and a browser
test-browser: paper docs
	@sh envs/install-chromium.sh
	@sh envs/install-python.sh .venv-browser envs/browser.txt
	.venv-browser/bin/python -m pytest tests/browser

test-faults: latex environment
	python -m pytest -s tests/faults

# run documented commands that take too long for make test, in a separate checkout
test-docs: latex environment
	python -m pytest -s tests/docs

# folders whose modules import each other by bare name
CODE = src benchmarks docs/site envs notebooks $(addprefix workflow/,audit rules scripts) $(addprefix tests,/ /library /mutations /support)

# uv: check offline that the installed packages match the lock
lint: environment
	uv pip install --quiet --dry-run --offline --no-cache --python python --requirement envs/requirements.lock
	lint-imports
	ruff check .
	ruff format --check .
	mypy
	deptry --config envs/deptry.toml $(CODE)
	snakefmt --check Snakefile workflow/Snakefile workflow/rules
	snakemake --lint

benchmark: benchmark-environment
	.venv-benchmark/bin/python benchmarks/benchmark.py $(ARGS)

audit:
	@sh envs/install-python.sh .venv-audit envs/requirements.lock envs/audit.txt
	PYTHONPATH=benchmarks OMP_NUM_THREADS=1 .venv-audit/bin/python -m audit

docs:
	@sh envs/install-python.sh .venv-docs envs/docs.txt
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build

lock: environment
	@python envs/lock.py $(ARGS)

schema: environment
	python -m weight_importance.settings.schema > workflow/schemas/config.schema.json
	python -m weight_importance.settings.page > config/README.md

environment:
	@sh envs/install-python.sh

slurm: environment
	@python -m pip install -qq --disable-pip-version-check --requirement envs/slurm.txt

benchmark-environment:
	@sh envs/install-python.sh .venv-benchmark envs/requirements.lock envs/benchmark.txt

latex:
	@sh envs/install-latex.sh

clean:
	@find -H results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
