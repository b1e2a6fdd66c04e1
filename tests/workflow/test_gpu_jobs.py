"""Parallel jobs never share a GPU: rules request it, and the default profile assigns it to one job at a time."""

import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

JOBS = """
rule all:
    input: [f"{name}.{number}" for name in ("gpu", "cpu") for number in range(2)]
rule gpu:
    output: "gpu.{number}"
    resources: gpu=1
    shell: "date +%s.%N > {output}; sleep 0.5; date +%s.%N >> {output}"
use rule gpu as cpu with:
    output: "cpu.{number}"
    resources: gpu=0
"""


def test_rules_of_programs_that_set_up_a_device_request_a_gpu():
    """From the text of the rules, because a dry run prints no resources if a rule has a message."""
    asking, computing = set(), set()
    for file in (REPOSITORY / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^(?:use )?rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name = rule.partition(":")[0]
            program = re.search(r'python "\$WORKFLOW"/(scripts/\w+\.py)', rule)
            if program and "device import prepare" in (REPOSITORY / "workflow" / program[1]).read_text(
                encoding="utf-8"
            ):
                computing.add(name)
            if re.search(r"^        gpu=GPUS,$", rule, re.MULTILINE):
                asking.add(name)
    assert {"baseline", "importance", "retention"} <= computing
    assert asking == computing


def test_only_jobs_without_a_gpu_run_in_parallel(tmp_path):
    (tmp_path / "Snakefile").write_text(JOBS, encoding="utf-8")
    (tmp_path / "config.yaml").write_text("studies: {}\n", encoding="utf-8")  # the profile reads it
    command = [sys.executable, "-m", "snakemake", "--cores", "4", "--workflow-profile", REPOSITORY / "profiles/default"]
    run = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

    def overlap(name: str) -> bool:
        times = [(tmp_path / f"{name}.{number}").read_text(encoding="utf-8").split() for number in range(2)]
        (_, end), (start, _) = sorted([float(start), float(end)] for start, end in times)
        return start < end

    assert (overlap("gpu"), overlap("cpu")) == (False, True)
