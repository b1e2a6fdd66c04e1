"""The workflow on a real Slurm cluster of one node: `make test-cluster` sets it up for these tests, and down again."""

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
    raise RuntimeError("these tests need a Slurm cluster of their own: make test-cluster")
RECORDS = Path(os.environ["SLURM_RECORDS"])
# status checks as often as a run of minutes needs; all else as in the profile
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
    """A job as Slurm wrote it down when it ended."""

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
        # tests that a shell runs in the background ignore interrupts, and all that they start would, too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def in_queue(state: str, wildcards: str = "") -> list[str]:
    """Numbers of the jobs in this state; the executor puts rule and wildcards into a job's comment."""
    listed = subprocess.run(
        ["squeue", "--noheader", f"--states={state}", "--format=%i %k"], capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in listed.stdout.splitlines() if line.endswith(wildcards)]


def until(found: Callable[[], list[str]], run: subprocess.Popen) -> list[str]:
    """What is found as soon as anything is, while the workflow runs."""
    deadline = time.monotonic() + 180
    while not (there := found()):
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return there


def ended(said: str) -> list[Job]:
    """The jobs that a run submitted, by what it said and what Slurm wrote down, in order of starting."""
    submitted = dict(re.findall(r"SLURM jobid (\d+) \(log: \S*/rule_(\S+)/\d+\.log\)", said))
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
    """Every result by its name: tables, networks, importances, and seals and records of all; no checkpoints."""
    there = (file for part in ("summary", "runs") for file in (folder / "results" / part).rglob("*") if file.is_file())
    kept = (file for file in there if not file.match(".*.checkpoint*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in kept}


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """The folder of a finished run without Slurm."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("run") / "local")
    subprocess.run(command("--cores", "2", *TABLES), cwd=folder, check=True, capture_output=True)
    return folder


def test_tables_are_those_of_a_local_run_though_a_job_is_cancelled(local, tmp_path, capsys):
    cluster = copy_of_the_repository(tmp_path / "cluster")
    run = started(cluster, *SLURM, *TABLES)
    log = cluster / "results/logs/baseline/mine/seeds-0-0.log"
    until(lambda: [log.read_text()] if log.exists() and log.stat().st_size else [], run)  # the training has begun
    victim = in_queue("RUNNING", "rule_baseline_wildcards_mine_seeds-0-0")
    subprocess.run(["scancel", *victim], check=True)
    said = run.communicate()[0]
    assert run.returncode == 0, said

    assert files(cluster) == files(local)
    assert set(TABLES) <= set(files(cluster))

    jobs = ended(said)
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
    assert {job.rule for job in jobs} == {"baseline", "importance", "retention", "correlation"}, "tables need no job"


def test_with_a_gpu_each_job_gets_its_own(tmp_path):
    """Slurm's part and ours up to torch: it finds none behind the pretended ones, and says so instead of going on."""
    folder = copy_of_the_repository(tmp_path / "copy")
    before = (RECORDS / "tasks").read_text() if (RECORDS / "tasks").exists() else ""
    run = started(folder, *SLURM, "--retries", "0", *TRAINED, IMPORTANCE_ATLAS_DEVICE="cuda")
    said = run.communicate()[0]
    assert run.returncode != 0
    for seed in range(2):
        log = (folder / f"results/logs/baseline/mine/seeds-{seed}-{seed}.log").read_text(encoding="utf-8")
        assert "IMPORTANCE_ATLAS_DEVICE is 'cuda', but torch sees no CUDA devices" in log
    first, second = ended(said)
    assert first.start <= second.start < first.end, "side by side"
    tasks = (RECORDS / "tasks").read_text().removeprefix(before)
    assert sorted(re.findall(r"step=0 gpus=(.*)", tasks)) == ["0", "1"]


def test_an_interrupt_takes_the_jobs_back(tmp_path):
    folder = copy_of_the_repository(tmp_path / "copy")
    run = started(folder, *SLURM, *TRAINED)
    until(lambda: in_queue("RUNNING"), run)
    # as docs/cluster.md says how to look
    [looking] = [command for command in documents.commands() if command.startswith("squeue --me --format")]
    listed = subprocess.run(shlex.split(looking), capture_output=True, text=True, check=True).stdout
    assert re.search(r"^\d+ RUNNING \S+ rule_baseline_wildcards_mine_seeds", listed, re.MULTILINE), listed
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=120)[0]
    assert run.returncode != 0
    deadline = time.monotonic() + 30
    while in_queue("PENDING,RUNNING,COMPLETING"):
        assert time.monotonic() < deadline, "jobs outlive the workflow"
        time.sleep(0.5)
    assert {job.state for job in ended(said)} == {"CANCELLED"}
    assert not files(folder)


def test_inside_an_allocation_a_run_keeps_to_its_cores_with_and_without_the_profile(local, tmp_path):
    folder = copy_of_the_repository(tmp_path / "copy")
    [as_documented] = [line for line in documents.commands() if "SLURM_CPUS_ON_NODE" in line]
    assert as_documented == "snakemake --cores $SLURM_CPUS_ON_NODE"
    runs = [["--cores", "$SLURM_CPUS_ON_NODE", TRAINED[0]], [*SLURM, TRAINED[1]]]
    lines = ["#!/bin/sh -e", "make --dry-run paper", *(" ".join(command(*arguments)) for arguments in runs)]
    (folder / "run.sh").write_text("\n".join(lines), encoding="utf-8")
    submission = ["sbatch", "--wait", "--cpus-per-task=1", "--mem=6000", "--output=output", "run.sh"]
    done = subprocess.run(submission, cwd=folder, check=False)
    said = (folder / "output").read_text(encoding="utf-8")
    assert done.returncode == 0, said
    assert "snakemake --cores 1 " in said, "make paper"
    assert "Provided cores: 1 " in said
    assert [job.name for job in ended(said)] == [(rule, "mine_seeds-1-1") for rule in ("baseline", "evaluation")]
    for name in TRAINED:
        assert (folder / name).read_bytes() == (local / name).read_bytes()
