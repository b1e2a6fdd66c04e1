# Bindings that the rules share: functions of the configuration and of wildcards, code of programs, resources.
import os
import re
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path

from snakemake.logging import logger

import dependencies
import gpu
import grid
import jobs
import notebooks
import repair
import screen
from weight_importance.runtime import errors
from weight_importance.settings import known

# `python` in the rules is the interpreter that runs Snakemake, even if its environment is not activated; an environment
# that Snakemake activates for a job (conda) still comes first.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.getenv("PATH", "")]))

# Jobs end when this process is killed, and report why they were killed themselves.
os.environ.update(IMPORTANCE_ATLAS_RUN=errors.this_run())
shell.prefix("set -euo pipefail; . workflow/rules/job.sh; ")

# The device is chosen once, here, for all jobs.
os.environ[gpu.VARIABLE] = gpu.decided(os.environ.get(gpu.VARIABLE, "auto"))
GPUS = gpu.per_job(os.environ[gpu.VARIABLE])


envvars:
    "IMPORTANCE_ATLAS_ESTIMATORS",
    gpu.VARIABLE,


wildcard_constraints:
    study="|".join(CONFIGURATION.studies),
    shard=r"seeds-\d+-\d+",


REGISTRY = notebooks.read()
PAGES = notebooks.pages(CONFIGURATION, REGISTRY)
FIGURES = notebooks.all_figures(CONFIGURATION, REGISTRY)
TABLES = notebooks.all_tables(CONFIGURATION, REGISTRY)
SUMMARIES = grid.summaries(CONFIGURATION)
LIKES = {name: study["like"] for name, study in config["studies"].items() if "like" in study}
PUBLISHED = sorted(map(str, notebooks.PUBLISHED.glob("*.csv")))


def of(function: Callable, *arguments) -> Callable:
    """A function of a job's wildcards: ``function`` of the configuration, ``arguments``, and the wildcards it names."""
    names = list(signature(function).parameters)[1 + len(arguments) :]
    return lambda wildcards: function(CONFIGURATION, *arguments, **{name: wildcards[name] for name in names})


def records(name: str) -> list[str]:
    """The records of the optimiser's path that an estimator is formed from."""
    return known.records(name, OWN_ESTIMATORS)


def growing(amount: int) -> Callable:
    """Memory or time that grows with every further try of a job, which may have ended for lack of it."""
    return lambda wildcards, attempt: amount * attempt


def paper_text():
    """The LaTeX sources of the paper, main.tex first."""
    files = (file for file in Path("paper").rglob("*") if file.suffix in {".tex", ".bib", ".bst", ".cls", ".sty"})
    return sorted(map(str, files), key=lambda file: (file != "paper/main.tex", file))


def lift_rate_limit():
    """On one machine let the cores alone limit jobs, not a number of jobs a second.

    With that limit Snakemake 9.27 starts a timer of one second at every choice of jobs, and every timer brings about
    another choice: the more jobs have ended, the more often it chooses (measured: after 100 jobs a hundred times a
    second, a third of a core).
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def watch_run():
    """Tell how far the run is, and in the end what failed. Of Snakemake's insides this takes the list of jobs."""
    needed = [job for job in workflow.dag.needrun_jobs() if job.output]  # others only gather
    jobs = [(workflow.dag.jobid(job), job.rule.name, job.benchmark) for job in needed]
    watching = screen.Screen()
    # on a cluster there is no number of cores, and to ask for it is an error
    watching.begin(jobs, (workflow.cores if workflow.local_exec else workflow.nodes) or 1)
    logger.addHandler(watching)
