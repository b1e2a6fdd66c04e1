# The index of the workflow: configuration, rules, targets. The rules are in workflow/rules, one file per stage; the
# functions that they call are in Python modules of the same folder.
import os
import sys

from snakemake.utils import min_version

min_version("9.27")

from weight_importance.runtime.own_estimators import VARIABLE
from weight_importance.settings.files import require
from weight_importance.settings.merging import own_estimators
from weight_importance.settings.reading import read

# config.yaml of the working folder, otherwise of the workflow's own folder
DEFAULTS = "config.yaml" if os.path.exists("config.yaml") else os.path.join(workflow.current_basedir, "config.yaml")
FILES = [DEFAULTS, *workflow.overwrite_configfiles]
require(FILES)


configfile: DEFAULTS


report: "workflow/report/workflow.rst"


CONFIGURATION = read(config, FILES)

# Estimators in the user's own files, by name; programs find them through the environment variable.
OWN_ESTIMATORS = own_estimators(config)
os.environ[VARIABLE] = os.pathsep.join(map(os.path.abspath, OWN_ESTIMATORS.values()))


include: "workflow/rules/common.smk"


onstart:
    begin_run()


onsuccess:
    RUN_LOCK.release()


onerror:
    RUN_LOCK.release()


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/importance.smk"
include: "workflow/rules/retention.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/explanation.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"


# Even on a cluster, these rules run on the machine that runs Snakemake: they take seconds or need LaTeX.
localrules:
    all,
    figures,
    summary,
    benchmarks,
    lambda_range,
    published,
    study_table,
    summary_table,
    selected_lambda,
    paper_numbers,
    paper,


# Everything: the paper, the pages and all results behind them, so that a lost result is made again.
rule all:
    default_target: True
    input:
        "results/paper/main.pdf",
        PAGES,
        "results/explorer.html",
        "results/paper/numbers.tex",
        FIGURES,
        TABLES,
        SUMMARIES,
        grid.shard_results(CONFIGURATION),
        grid.all_datasets(CONFIGURATION),


# Every figure and LaTeX table, with the notebooks that draw them.
rule figures:
    input:
        FIGURES,
        TABLES,


# Every tidy table.
rule summary:
    input:
        SUMMARIES,


# Only the comparison with published benchmarks.
rule benchmarks:
    input:
        notebooks.pages(CONFIGURATION, {"benchmarks": REGISTRY["benchmarks"]}),


# Only average accuracy over the range of lambda.
rule lambda_range:
    input:
        notebooks.pages(CONFIGURATION, {"lambda_range": REGISTRY["lambda_range"]}),


# Only the results of the studies with the protocol of Kutalev and Lapina (2021).
rule published:
    input:
        notebooks.pages(CONFIGURATION, {"reproduction": REGISTRY["reproduction"]}),
        grid.published_tables(CONFIGURATION),
