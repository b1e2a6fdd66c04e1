# What several rules need: names of files, settings of stages, source files of programs. Nothing here runs anything.
import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPTS, SOURCES = "workflow/scripts", "src"

import configuration
import gpu
import sources
from weight_importance.learning import ablation_names
from weight_importance.runtime import errors
from weight_importance.runtime.lock import RunLock

# `python` in the rules is the interpreter that runs Snakemake, also when its environment was not activated; an
# environment that Snakemake itself activates for a job (conda) still comes before it.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.getenv("PATH", "")]))

# Jobs end when this process is killed (errors.RUN), and explain why they were killed themselves (job.sh)
os.environ.update(IMPORTANCE_ATLAS_RUN=errors.this_run())
shell.prefix("set -euo pipefail; . workflow/rules/job.sh; ")


# What jobs compute on is decided here, once, and told to all of them: each asks for what it takes, and takes no more
os.environ[gpu.VARIABLE] = gpu.decided(os.environ.get(gpu.VARIABLE, "auto"))
GPUS = gpu.per_job(os.environ[gpu.VARIABLE])


# One run at a time; Snakemake's own lock, which a killed run leaves behind, is switched off in profiles/default
RUN_LOCK = RunLock(".snakemake/run.lock")


# What estimators are compared with: learning without a penalty, pruning at random
WITHOUT_IMPORTANCE = ["none", "random"]


def code(program, *estimators, shown=False):
    """Fingerprints of the program and of the modules that it imports, those of the named estimators included.

    Args:
        shown: include labels and formulas of estimators, for programs that print them.
    """
    files = sources.closure(program, SOURCES)
    if f"{SOURCES}/weight_importance/estimators/registry.py" in files:  # it imports estimators by their names
        for name in sorted({*estimators} - {*WITHOUT_IMPORTANCE}):
            files += sources.closure(configuration.estimator_file(name, OWN_ESTIMATORS), SOURCES)
    return sources.fingerprints(list(dict.fromkeys(files)), shown)


def compact(settings):
    """Settings as one string of sorted JSON: Snakemake compares it as a whole, and runs again what it changes for."""
    return json.dumps(settings, sort_keys=True)


def growing(amount):
    """Memory or time: as much again with every further try of a job, which may have ended for want of it."""
    return lambda wildcards, attempt: amount * attempt


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
        # only what the paper can depend on: notes, tests or a user's own configuration change no byte of it, nor do the
        # explorer's page, the captions of the report, and what looks at results
        aside = [f":!workflow/{folder}" for folder in ("explorer", "report", "audit")]
        changed = git("status", "--porcelain", "--", "Snakefile", "workflow", "notebooks", "paper", *aside)
        return f"{commit}+changes" if changed else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def begin_run():
    """Lock the folder and remove what killed runs left half-written; end the program where a run cannot work."""
    try:
        errors.require_space("results")
        RUN_LOCK.acquire(cluster=not workflow.local_exec)
    except errors.UserError as error:
        sys.exit(f"error: {error}")
    for file in Path("results").rglob(".*.partial"):
        file.unlink(missing_ok=True)
