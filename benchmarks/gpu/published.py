"""Run the jobs of a dry run without Snakemake, on a GPU machine without the project's environment.

``snakemake -n -p TARGET --configfile FILE ... > plan.txt``, where the project is installed, lists the jobs. This part
runs those that a GPU speeds up, in their order, and copies each finished table (.csv) to the output folder. The next
call continues after the last finished file. The files are those of the workflow: with ``results/`` copied back,
Snakemake runs the other jobs.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from weight_importance.data import catalogue
from weight_importance.files import trained
from weight_importance.runtime.errors import RUN, this_run

ROOT = Path(__file__).parents[2]
JOB = re.compile(r'^Shell command: python "\$WORKFLOW"/scripts/(\w+)\.py (.*) > (\S+) 2>&1$', re.MULTILINE)
PROGRAMS = ("dataset", "baseline", "importance", "retention", "pruning")
SHOWN = 2000
"""Number of characters of a failed job's log that are printed."""


def main() -> None:
    parser = argparse.ArgumentParser(description="run the jobs of a dry run")
    parser.add_argument("--output", type=Path, required=True, help="folder that receives the finished tables")
    parser.add_argument("--data", type=Path, help="folder with mnist/ and fashion_mnist/ in IDX format (.gz or raw)")
    parser.add_argument("--plan", type=Path, required=True, help="output of snakemake -n -p TARGET --configfile FILE")
    options = parser.parse_args()
    output = options.output.resolve()
    if options.data:
        os.environ[catalogue.DATA_FOLDER_VARIABLE] = str(options.data.resolve())
    os.environ[RUN] = this_run()  # the programs print their cost, and end with this one
    jobs = [job for job in JOB.findall(options.plan.read_text(encoding="utf-8")) if job[0] in PROGRAMS]
    if not jobs:
        sys.exit(f"error: {options.plan} has no job for a GPU; write it with snakemake -n -p (-p prints the commands)")
    os.chdir(ROOT)
    failed = []
    for number, (program, arguments, log) in enumerate(jobs, 1):
        words = shlex.split(arguments)
        result = last_output(words)
        if not result.exists():
            start = time.monotonic()
            if not finished(program, words, Path(log)):
                failed.append(log)
            print(f"{number}/{len(jobs)} {result}: {time.monotonic() - start:.0f} s", flush=True)
        if result.suffix == ".csv" and result.exists():
            copy = output / result.relative_to("results")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(result, copy)
    if failed:
        sys.exit("failed; see " + ", ".join(failed))


def last_output(arguments: Sequence[str]) -> Path:
    """The file that a job writes last."""
    if "--output" in arguments:
        return Path(arguments[arguments.index("--output") + 1])
    return trained.file_names(Path(arguments[arguments.index("--trained") + 1]))["baseline path"]


def finished(program: str, arguments: Sequence[str], log: Path) -> bool:
    """Run a program of the workflow with its output in a log; returns whether it succeeded, else prints the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, f"workflow/scripts/{program}.py", *arguments]
        succeeded = subprocess.run(command, stdout=file, stderr=file, check=False).returncode == 0
    if not succeeded:
        print(log.read_text(encoding="utf-8", errors="replace")[-SHOWN:], flush=True)
    return succeeded


if __name__ == "__main__":
    main()
