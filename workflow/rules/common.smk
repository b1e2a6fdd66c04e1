# Bindings that the rules share: functions of the configuration and of wildcards, code of programs, resources.
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from inspect import signature
from pathlib import Path

import dependencies
import gpu
import grid
import jobs
import notebooks
import places
import presets
import trials
from weight_importance.runtime import errors
from weight_importance.runtime.lock import RunLock
from weight_importance.settings import L2, UNPENALISED, known
from weight_importance.settings import DecompositionJob, EvaluationJob, PruningJob, TrajectoriesJob

trials.require(OWN_ESTIMATORS)

# `python` in the rules is the interpreter that runs Snakemake, even if its environment is not activated; an environment
# that Snakemake activates for a job (conda) takes precedence.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.getenv("PATH", "")]))

# Jobs end when this process is killed (errors.RUN); a killed job reports the cause (job.sh).
os.environ.update(IMPORTANCE_ATLAS_RUN=errors.this_run())
shell.prefix(f"set -euo pipefail; . {shlex.quote(places.source('workflow/rules/job.sh'))}; ")

# Choose the device once, for all jobs.
os.environ[gpu.VARIABLE] = gpu.decided(os.environ.get(gpu.VARIABLE, "auto"))
GPUS = gpu.per_job(os.environ[gpu.VARIABLE])


envvars:
    VARIABLE,
    gpu.VARIABLE,


# One run at a time; Snakemake's own lock, which a killed run leaves behind, is switched off in profiles/default.
RUN_LOCK = RunLock(".snakemake/run.lock")


wildcard_constraints:
    study="|".join(CONFIGURATION.studies),
    shard=r"seeds-\d+-\d+",


REGISTRY = notebooks.read()
PAGES = notebooks.pages(CONFIGURATION, REGISTRY)
FIGURES = notebooks.of_all_studies(CONFIGURATION, REGISTRY, notebooks.figures)
TABLES = notebooks.of_all_studies(CONFIGURATION, REGISTRY, notebooks.tables)
SUMMARIES = grid.summaries(CONFIGURATION)
PUBLISHED = notebooks.published_files()


def from_wildcards(function: Callable, *arguments) -> Callable:
    """A function of a job's wildcards: ``function`` of the configuration, ``arguments``, and the wildcards it names."""
    names = list(signature(function).parameters)[1 + len(arguments) :]
    return signed(lambda wildcards: function(CONFIGURATION, *arguments, **{name: wildcards[name] for name in names}))


def signed(function: Callable) -> Callable:
    """The function with its signature, which Snakemake otherwise derives several times per job (.3 s in a large plan)."""
    function.__signature__ = signature(function)
    return function


@cache
def records(name: str) -> list[str]:
    """The records of the optimiser's path that an estimator is formed from."""
    return known.records(name, OWN_ESTIMATORS)


def growing(amount: int) -> Callable:
    """Memory or time that grows with every attempt at a job, which may have failed for lack of it."""
    return signed(lambda wildcards, attempt: amount * attempt)


READ_BY_LATEX = {".tex", ".bib", ".bst", ".cls", ".clo", ".sty", ".def", ".pdf", ".png", ".jpg", ".jpeg"}


def paper_text():
    """Everything that LaTeX reads in paper/, main.tex first: sources, packages and pictures."""
    main = places.source("paper/main.tex")
    files = {str(file) for file in Path(main).parent.rglob("*") if file.suffix in READ_BY_LATEX}
    files -= {places.source("paper/main.pdf")}  # from LaTeX run by hand
    return sorted(files, key=lambda file: (file != main, file))


def begin_run():
    """Lock the folder and remove half-written files of killed runs; end the program if a run is impossible."""
    try:
        errors.require_space("results")
        RUN_LOCK.acquire(cluster=not workflow.local_exec)
        presets.claim(CONFIGURATION, FILES)
    except errors.UserError as error:
        sys.exit(f"error: {error}")
    if workflow.local_exec and sys.platform == "linux" and "IMPORTANCE_ATLAS_PRELOADED" not in os.environ:
        preload()
    for file in Path("results").rglob(".*.partial"):
        file.unlink(missing_ok=True)


PRELOADED = []
"""The process whose forks are the jobs; the reference keeps its input open."""

ONE_THREAD = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"], "1")
"""As Snakemake sets them for a job with one thread; libraries read them when they are loaded."""


def preload():
    """Start the process whose forks are the jobs (preload.py); it ends when this one does, because its input ends."""
    python, place = shutil.which("python"), os.path.abspath(".snakemake/preloaded")
    command, pipe = [python, places.source("workflow/rules/preload.py"), place], subprocess.PIPE
    environment = os.environ | ONE_THREAD
    process = subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, env=environment, start_new_session=True)
    PRELOADED.append(process)
    os.environ.update(IMPORTANCE_ATLAS_PYTHON=python, IMPORTANCE_ATLAS_PRELOADED=place)


CAPTIONS = Path(".snakemake/captions")  # the report needs one file for each
notebooks.write_captions(REGISTRY, CAPTIONS)


def reported(file, category, labels, caption):
    """A result of one study in the report."""
    return report(file, category=category, subcategory="{study}", labels=labels, caption=caption)


def reported_page(name, notebook):
    """An executed notebook as a page."""
    labels = {"notebook": notebook.title}
    return reported(f"results/notebooks/{name}-{{study}}.html", "Notebooks", labels, "../report/notebook.rst")


def reported_figures(notebook):
    """The figures of a notebook."""
    files = zip(notebooks.figures(notebook), notebook.figures.items(), strict=True)
    return [
        reported(file, "Figures", {"figure": figure.title}, str((CAPTIONS / f"{name}.rst").resolve()))
        for file, (name, figure) in files
    ]
