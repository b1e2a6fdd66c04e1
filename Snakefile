# The index of the workflow: configuration, rules, targets. The rules are in workflow/rules, one file per stage.
import sys

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "workflow/rules/common.smk"


configuration.validate(config, ["config.yaml", *workflow.overwrite_configfiles])
if workflow.is_main_process:
    repair.remove_damaged("results", sys.argv[1:])


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/importance.smk"
include: "workflow/rules/retention.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"


localrules:
    all,
    figures,
    summary,


# Everything: the paper, the notebooks as pages, the tables, and what they rest on; so whatever is lost is made anew.
rule all:
    default_target: True
    input:
        "results/paper/main.pdf",
        expand("results/notebooks/{notebook}.html", notebook=NOTEBOOKS),
        SUMMARIES,
        shard_results(),


# Every figure and LaTeX table, with the notebooks that draw them.
rule figures:
    input:
        FIGURES,
        TABLES,


# Every tidy table.
rule summary:
    input:
        SUMMARIES,
