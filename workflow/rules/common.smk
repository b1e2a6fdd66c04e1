# What several rules need: names of files, settings of stages, source files of programs. Nothing here runs anything.
import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = "workflow/scripts"
sys.path.append(SCRIPTS)

import configuration
import repair
import sources

# `python` in the rules is the interpreter that runs Snakemake, also when its environment was not activated; an
# environment that Snakemake itself activates for a job (conda) still comes before it.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.getenv("PATH", "")]))


wildcard_constraints:
    study="[a-z][a-z0-9_]*",
    shard=r"seeds-\d+-\d+",


# What estimators are compared with: learning without a penalty, pruning at random
CONTROLS = ["none", "random"]

SHARD_TABLES = ["baseline", "correlation", "correlation_null", "retention", "pruning"]
SUMMARIES = [f"results/summary/{table}.csv" for table in [*SHARD_TABLES, "selected_lambda"]]

# What each notebook reads (besides its program files) and writes
NOTEBOOKS = {
    "correlation": {
        "summaries": ["correlation", "correlation_null"],
        "figures": [
            "correlation_matrix",
            "correlation_matrix_spearman",
            "correlation_matrix_pearson_log",
            "correlation_matrix_overlap_top10",
            "correlation_null",
        ],
        "tables": ["correlation", "correlation_coefficients"],
    },
    "retention": {
        "summaries": ["retention", "selected_lambda"],
        "published": "workflow/resources/published",
        "figures": ["retention_lambda", "retention_tasks"],
        "tables": ["retention", "published"],
    },
    "pruning": {
        "summaries": ["pruning"],
        "published": "workflow/resources/published",
        "figures": ["pruning"],
        "tables": ["pruning"],
    },
    "estimators": {
        "summaries": ["correlation"],
        "runs": "results/runs",
        "figures": ["estimator_scatter", "estimator_factors"],
        "tables": ["estimators", "estimator_factors"],
    },
}
PUBLISHED = sorted(map(str, Path("workflow/resources/published").glob("*.csv")))
FIGURES = [f"results/figures/{name}.pdf" for notebook in NOTEBOOKS.values() for name in notebook["figures"]]
TABLES = [f"results/tables/{name}.tex" for notebook in NOTEBOOKS.values() for name in notebook["tables"]]


def code(program, *estimators):
    """The program's file and the modules of ours that it imports, those of the named estimators included."""
    files = sources.closure(program, SCRIPTS)
    if f"{SCRIPTS}/weight_importance/estimators/registry.py" in files:  # it imports estimators by their names
        for name in sorted({*estimators} - {*CONTROLS}):
            files += sources.closure(f"{SCRIPTS}/weight_importance/estimators/catalogue/{name}.py", SCRIPTS)
    return list(dict.fromkeys(files))


def compact(settings):
    """Settings as one string of sorted JSON: Snakemake compares it as a whole, and runs again what it changes for."""
    return json.dumps(settings, sort_keys=True)


def settings(wildcards, *keys, **more):
    """The parts of a study's configuration that a stage depends on, with the seeds of its shard."""
    study = config["studies"][wildcards.study]
    return compact(
        {"study": wildcards.study, "seeds": seeds(wildcards.shard)} | {key: study[key] for key in keys} | more
    )


def retention_settings(wildcards):
    """Settings of retention under one estimator; without a penalty there is one strength, zero."""
    study = config["studies"][wildcards.study]
    training, retention = study["training"], study["retention"]
    return settings(
        wildcards,
        "network",
        "tasks",
        "images",
        "importance",
        training={key: training[key] for key in ("batch_size", "learning_rate")},
        retention={key: retention[key] for key in ("epochs", "clamp_negative")},
        lambdas=[0.0] if wildcards.estimator == "none" else retention["lambdas"][wildcards.estimator],
    )


def shards():
    """The names of all shards: groups of seeds, first and last."""
    total, size = config["seeds"], config["shard_size"]
    return [f"seeds-{first}-{min(first + size, total) - 1}" for first in range(0, total, size)]


def seeds(shard):
    """The seeds of a shard."""
    _, first, last = shard.split("-")
    return list(range(int(first), int(last) + 1))


def dataset(wildcards):
    """The data set of a study."""
    return f"results/data/{config['studies'][wildcards.study]['dataset']}.safetensors"


def importances(wildcards, name):
    """The importances of a shard by the estimator so named; none for the controls."""
    if name in CONTROLS:
        return []
    return f"results/runs/{wildcards.study}/importance/{name}/{wildcards.shard}.safetensors"


def shard_tables(table):
    """The tables, one per shard, that a summary joins."""
    return expand(
        {
            "baseline": "results/runs/{study}/baseline/{shard}.csv",
            "correlation": "results/runs/{study}/correlation/{shard}.csv",
            "correlation_null": "results/runs/{study}/correlation/{shard}.null.csv",
            "retention": "results/runs/{study}/retention/{estimator}/{shard}.csv",
            "pruning": "results/runs/{study}/pruning/{criterion}/{shard}.csv",
        }[table],
        study=config["studies"],
        shard=shards(),
        estimator=["none", *config["estimators"]],
        criterion=["random", *config["estimators"]],
    )


def shard_results():
    """All that is kept of every shard: networks, paths, importances, and tables."""
    tensors = expand(
        [
            "results/runs/{study}/baseline/{shard}.safetensors",
            "results/runs/{study}/baseline/{shard}.path.safetensors",
            "results/runs/{study}/importance/{estimator}/{shard}.safetensors",
        ],
        study=config["studies"],
        shard=shards(),
        estimator=config["estimators"],
    )
    return [*tensors, *(file for table in SHARD_TABLES for file in shard_tables(table))]


def notebook_input(name):
    """What a notebook reads: itself, the modules it imports, tables, and where it looks at single weights, tensors."""
    notebook, reads = f"notebooks/{name}.ipynb", NOTEBOOKS[name]
    study, shard = next(iter(config["studies"])), shards()[0]
    modules = code(notebook, *configuration.estimators())[1:]  # labels, and colours by position in the whole list
    return {
        "notebook": notebook,
        "code": list(dict.fromkeys([*code(f"{SCRIPTS}/notebook.py"), *modules])),
        "summaries": [f"results/summary/{table}.csv" for table in reads["summaries"]],
        "published": PUBLISHED if "published" in reads else [],
        "tensors": [
            f"results/runs/{study}/importance/{estimator}/{shard}.safetensors"
            for estimator in config["estimators"]
            if "runs" in reads
        ],
    }


def notebook_parameters(name):
    """Values for a notebook's parameters cell: which study, and where everything lies."""
    reads = NOTEBOOKS[name]
    folders = {"summary": "results/summary", "figures": "results/figures", "tables": "results/tables"}
    folders |= {key: reads[key] for key in ("published", "runs") if key in reads}
    shard = {"shard": shards()[0]} if "runs" in reads else {}
    return compact({"study": next(iter(config["studies"]))} | folders | shard)


def paper_text():
    """What people write of the paper, main.tex first."""
    files = (file for file in Path("paper").rglob("*") if file.suffix in {".tex", ".bib", ".bst", ".cls", ".sty"})
    return sorted(map(str, files), key=lambda file: (file != "paper/main.tex", file))


def version():
    """The state of the code: the commit, marked where files differ from it; unknown outside a git checkout."""

    def git(*arguments):
        run = subprocess.run(["git", *arguments], cwd=workflow.basedir, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        if not os.path.samefile(git("rev-parse", "--show-toplevel"), workflow.basedir):
            return "unknown"
        commit = git("rev-parse", "--short=10", "HEAD")
        return f"{commit}+changes" if git("status", "--porcelain") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
