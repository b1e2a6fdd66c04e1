# The index of the workflow: configuration, rules, targets. The rules are in workflow/rules, one file per stage.
from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"


CONFIGURATIONS = ["config.yaml", *workflow.overwrite_configfiles]
configuration.require(CONFIGURATIONS)


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


configuration.validate(config, CONFIGURATIONS)


include: "workflow/rules/grid.smk"


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
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"


# On a cluster, too, where Snakemake itself runs: what takes seconds, and LaTeX, which nodes of a cluster seldom have
localrules:
    all,
    figures,
    summary,
    study_table,
    summary_table,
    selected_lambda,
    paper_numbers,
    paper,


# Everything: the paper, the notebooks as pages, the explorer, and all that they rest on; so whatever is lost is made anew.
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
        shard_results(),
        DATASETS,


# Every figure and LaTeX table, with the notebooks that draw them.
rule figures:
    input:
        FIGURES,
        TABLES,


# Every tidy table.
rule summary:
    input:
        SUMMARIES,
