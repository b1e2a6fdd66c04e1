"""Run the jobs of a dry run without Snakemake, on a GPU machine without the project's environment.

``snakemake -n -p published --configfile presets/published.yaml > plan.txt``, where the project is installed, lists the
jobs. This part runs those that a GPU speeds up, in their order. The next call continues after the last finished file.
The files are those of the workflow: with ``results/runs`` copied back, Snakemake runs the other jobs.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gpu.setting import parser
from weight_importance.data import catalogue

ROOT = Path(__file__).parents[2]
JOB = re.compile(r'^Shell command: python "\$WORKFLOW"/scripts/(\w+)\.py (.*) > (\S+) 2>&1$', re.MULTILINE)
PROGRAMS = ("dataset", "baseline", "importance", "retention", "pruning")


def main() -> None:
    options = parser("run the jobs of a dry run")
    options.add_argument(
        "--plan", type=Path, required=True, help="output of snakemake -n -p published --configfile FILE"
    )
    given = options.parse_args()
    if given.data:
        os.environ[catalogue.DATA_FOLDER_VARIABLE] = str(given.data.resolve())
    jobs = [job for job in JOB.findall(given.plan.read_text(encoding="utf-8")) if job[0] in PROGRAMS]
    os.chdir(ROOT)
    failed = []
    for number, (program, arguments, log) in enumerate(jobs, 1):
        words = shlex.split(arguments)
        result = words[words.index("--output" if "--output" in words else "--trained") + 1]
        if not Path(result).exists():
            start = time.monotonic()
            if not finished(program, words, Path(log)):
                failed.append(log)
            print(f"{number}/{len(jobs)} {result}: {time.monotonic() - start:.0f} s", flush=True)
    if failed:
        sys.exit("failed; see " + ", ".join(failed))


def finished(program: str, arguments: Sequence[str], log: Path) -> bool:
    """Run a program of the workflow with its output in a log; returns whether it succeeded."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, f"workflow/scripts/{program}.py", *arguments]
        return subprocess.run(command, stdout=file, stderr=file, check=False).returncode == 0


if __name__ == "__main__":
    main()
