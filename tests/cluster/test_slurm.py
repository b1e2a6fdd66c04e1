"""The workflow on a real Slurm cluster of one node, which `make test-cluster` creates for these tests."""

import datetime
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import documents
from studies import LEARNING

REPOSITORY = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "results", "__pycache__")
if "SLURM_RECORDS" not in os.environ:
    raise RuntimeError("these tests need a Slurm cluster: make test-cluster")
RECORDS = Path(os.environ["SLURM_RECORDS"])
# frequent status checks for a run of minutes; everything else as in the profile
SLURM = ["--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "3"]

STUDY = {
    "seeds": 2,
    "shard_size": 1,
    "estimators": ["mas", "total_signal"],
    "network": "mlp",
    "datasets": ["mnist_subset"],
    "analyses": ["correlation", "retention"],
    "tasks": {"kind": "permuted", "count": 2, "seed": 0},
    "images": {"training": 2000, "validation": 100, "test": 200},
    "training": {"epochs": 40, "batch_size": 20, "learning_rate": 0.001},
    "importance": {"samples": 100},
    "retention": {
        "seeds": None,
        "images": 500,
        **LEARNING,
        "unpenalised": True,
        "lambdas": {"mas": [1, 10], "total_signal": []},
    },
}
TABLES = [
    f"results/summary/mine/{name}.csv"
    for name in ("baseline", "correlation", "correlation_null", "retention", "selected_lambda")
]
TRAINED = [f"results/runs/mine/baseline/seeds-{seed}-{seed}.csv" for seed in range(2)]


@dataclass(frozen=True)
class Job:
    """Slurm's record of a finished job."""

    rule: str
    wildcards: str
    state: str
    start: datetime.datetime
    end: datetime.datetime
    resources: str
    minutes: int

    @property
    def name(self) -> tuple[str, str]:
        return self.rule, self.wildcards

    def __str__(self) -> str:
        seconds = (self.end - self.start).seconds
        return f"{self.start:%H:%M:%S} {seconds:4} s  {self.state:9}  {self.resources:35} {self.rule} {self.wildcards}"


def copy_of_the_repository(folder: Path) -> Path:
    shutil.copytree(REPOSITORY, folder, ignore=LEFT_OUT)
    (folder / "mine.yaml").write_text(yaml.safe_dump({"studies": {"mine": STUDY}}), encoding="utf-8")
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *arguments, "--configfile", "presets/tiny.yaml", "mine.yaml"]


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # a shell's background processes ignore interrupts, and their children inherit this
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def in_queue(state: str, wildcards: str = "") -> list[str]:
    """Numbers of the jobs in a state; the executor puts rule and wildcards into a job's comment."""
    listed = subprocess.run(
        ["squeue", "--noheader", f"--states={state}", "--format=%i %k"], capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in listed.stdout.splitlines() if line.endswith(wildcards)]


def until(query: Callable[[], list[str]], run: subprocess.Popen) -> list[str]:
    """The first non-empty result of a query while the workflow runs."""
    deadline = time.monotonic() + 180
    while not (result := query()):
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return result


def ended(output: str) -> list[Job]:
    """The jobs that a run submitted, from its output and Slurm's records, in order of starting."""
    submitted = dict(re.findall(r"SLURM jobid (\d+) \(log: \S*/rule_(\S+)/\d+\.log\)", output))
    jobs = []
    for line in (RECORDS / "jobs").read_text(encoding="utf-8").splitlines():
        record = dict(re.findall(r"(\w+)=(\S*)", line))
        if record["JobId"] in submitted:
            rule, _, wildcards = submitted[record["JobId"]].partition("/")
            start, end = (datetime.datetime.fromisoformat(record[key]) for key in ("StartTime", "EndTime"))
            _, _, resources = line.partition(" Tres=")
            state, minutes = record["JobState"], int(record["TimeLimit"])
            jobs.append(Job(rule, wildcards, state, start, end, resources.split()[0], minutes))
    return sorted(jobs, key=lambda job: job.start)


def files(folder: Path) -> dict[str, bytes]:
    """Content of results by name: tables, networks, importances, with seals and records; no checkpoints."""
    paths = (file for part in ("summary", "runs") for file in (folder / "results" / part).rglob("*") if file.is_file())
    kept = (file for file in paths if not file.match(".*.checkpoint*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in kept}


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """The folder of a finished run without Slurm."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("run") / "local")
    subprocess.run(command("--cores", "2", *TABLES), cwd=folder, check=True, capture_output=True)
    return folder


def test_tables_equal_those_of_a_local_run_after_a_cancelled_job(local, tmp_path, capsys):
    cluster = copy_of_the_repository(tmp_path / "cluster")
    run = started(cluster, *SLURM, *TABLES)
    log = cluster / "results/logs/baseline/mine/seeds-0-0.log"
    until(lambda: [log.read_text()] if log.exists() and log.stat().st_size else [], run)  # the training has begun
    victim = in_queue("RUNNING", "rule_baseline_wildcards_mine_seeds-0-0")
    subprocess.run(["scancel", *victim], check=True)
    output = run.communicate()[0]
    assert run.returncode == 0, output

    assert files(cluster) == files(local)
    assert set(TABLES) <= set(files(cluster))

    jobs = ended(output)
    with capsys.disabled():
        print("", *jobs, sep="\n")
    states = {name: [job.state for job in jobs if job.name == name] for name in {job.name for job in jobs}}
    assert states.pop(("baseline", "mine_seeds-0-0")) == ["CANCELLED", "COMPLETED"]
    assert set(map(tuple, states.values())) == {("COMPLETED",)}
    shards = {"mine_seeds-0-0", "mine_seeds-1-1"}
    assert {wildcards for rule, wildcards in [*states, *(job.name for job in jobs)] if rule == "baseline"} == shards
    first = {job.wildcards: job for job in reversed(jobs) if job.rule == "baseline"}
    assert first["mine_seeds-0-0"].start < first["mine_seeds-1-1"].end
    assert first["mine_seeds-1-1"].start < first["mine_seeds-0-0"].end, "shards run side by side"

    tried, again = (job for job in jobs if job.name == ("baseline", "mine_seeds-0-0"))
    assert (tried.resources, tried.minutes) == ("cpu=1,mem=3000M,node=1,billing=1", 120)
    assert (again.resources, again.minutes) == ("cpu=1,mem=6000M,node=1,billing=1", 240), "more at the second try"
    computing = {"baseline", "evaluation", "importance", "retention", "correlation"}
    assert {job.rule for job in jobs} == computing, "tables need no job"


def test_each_job_has_a_separate_gpu(tmp_path):
    """The allocation up to torch, which reports that the simulated GPUs are no CUDA devices."""
    folder = copy_of_the_repository(tmp_path / "copy")
    before = (RECORDS / "tasks").read_text() if (RECORDS / "tasks").exists() else ""
    run = started(folder, *SLURM, "--retries", "0", *TRAINED, IMPORTANCE_ATLAS_DEVICE="cuda")
    output = run.communicate()[0]
    assert run.returncode != 0
    for seed in range(2):
        log = (folder / f"results/logs/baseline/mine/seeds-{seed}-{seed}.log").read_text(encoding="utf-8")
        assert "IMPORTANCE_ATLAS_DEVICE is 'cuda', but torch sees no CUDA devices" in log
    first, second = ended(output)
    assert first.start <= second.start < first.end, "side by side"
    tasks = (RECORDS / "tasks").read_text().removeprefix(before)
    assert sorted(re.findall(r"step=0 gpus=(.*)", tasks)) == ["0", "1"]


def test_an_interrupt_cancels_the_jobs(tmp_path):
    folder = copy_of_the_repository(tmp_path / "copy")
    run = started(folder, *SLURM, *TRAINED)
    until(lambda: in_queue("RUNNING"), run)
    # the command of docs/cluster.md
    [looking] = [command for command in documents.commands() if command.startswith("squeue --me --format")]
    listed = subprocess.run(shlex.split(looking), capture_output=True, text=True, check=True).stdout
    assert re.search(r"^\d+ RUNNING \S+ rule_baseline_wildcards_mine_seeds", listed, re.MULTILINE), listed
    os.killpg(run.pid, signal.SIGINT)
    output = run.communicate(timeout=120)[0]
    assert run.returncode != 0
    deadline = time.monotonic() + 30
    while in_queue("PENDING,RUNNING,COMPLETING"):
        assert time.monotonic() < deadline, "jobs outlive the workflow"
        time.sleep(0.5)
    assert {job.state for job in ended(output)} == {"CANCELLED"}
    assert not files(folder)


def test_a_run_inside_an_allocation_uses_only_its_cores(local, tmp_path):
    folder = copy_of_the_repository(tmp_path / "copy")
    [as_documented] = [line for line in documents.commands() if "SLURM_CPUS_ON_NODE" in line]
    assert as_documented == "snakemake --cores $SLURM_CPUS_ON_NODE"
    runs = [["--cores", "$SLURM_CPUS_ON_NODE", TRAINED[0]], [*SLURM, TRAINED[1]]]
    lines = ["#!/bin/sh -e", "make --dry-run paper", *(" ".join(command(*arguments)) for arguments in runs)]
    (folder / "run.sh").write_text("\n".join(lines), encoding="utf-8")
    submission = ["sbatch", "--wait", "--cpus-per-task=1", "--mem=6000", "--output=output", "run.sh"]
    done = subprocess.run(submission, cwd=folder, check=False)
    output = (folder / "output").read_text(encoding="utf-8")
    assert done.returncode == 0, output
    assert "snakemake --cores 1 " in output, "make paper"
    assert "Provided cores: 1 " in output
    assert [job.name for job in ended(output)] == [(rule, "mine_seeds-1-1") for rule in ("baseline", "evaluation")]
    for name in TRAINED:
        assert (folder / name).read_bytes() == (local / name).read_bytes()
