"""The part ``published`` of benchmarks/gpu.sh runs the jobs of a plan, copies tables, and continues after a failure."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from pathlib import Path
output = Path(sys.argv[sys.argv.index("--output") + 1])
if "si" in sys.argv and not Path("repaired").exists():
    sys.exit("error: no memory")
output.parent.mkdir(parents=True, exist_ok=True)
output.write_text(str(time.time()))
"""
JOB = (
    'Shell command: python "$WORKFLOW"/scripts/{0}.py --estimator {1} --output results/{2} > results/logs/{0}.log 2>&1'
)
TABLES = [f"runs/study/retention/{name}/seeds-0-4.csv" for name in ("mas", "si")]


@pytest.fixture
def folder(tmp_path):
    """The script with programs of the workflow that write a file, and a plan."""
    shutil.copytree(REPOSITORY / "benchmarks/gpu", tmp_path / "benchmarks/gpu")
    for name in ("gpu.sh", "revision.py"):
        shutil.copy(REPOSITORY / "benchmarks" / name, tmp_path / "benchmarks")
    (tmp_path / "src").symlink_to(REPOSITORY / "src")
    (tmp_path / "workflow/scripts").mkdir(parents=True)
    for name in ("importance", "retention", "summary"):
        (tmp_path / f"workflow/scripts/{name}.py").write_text(PROGRAM)
    jobs = [
        ("importance", "mas", "runs/study/importance/mas/seeds-0-4.safetensors"),
        ("retention", "si", TABLES[1]),
        ("retention", "mas", TABLES[0]),
        ("summary", "all", "summary/retention.csv"),
    ]
    plan = "\n".join(["Job stats:", *(JOB.format(*job) for job in jobs)])
    (tmp_path / "plan.txt").write_text(plan)
    return tmp_path


def part(folder, *options):
    environment = os.environ | {"OUT": str(folder / "out"), "PYTHON": sys.executable}
    command = ["sh", "benchmarks/gpu.sh", "published", "--device", "cpu", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_finished_tables_are_copied_and_a_repeated_command_continues(folder):
    plan = ("--published-options", "--plan plan.txt")
    first = part(folder, *plan)
    assert first.returncode == 1 and "error: no memory" in first.stdout
    tables = {str(file.relative_to(folder / "out")): file for file in (folder / "out").rglob("*.csv")}
    assert [*tables] == TABLES[:1]
    before = tables[TABLES[0]].read_text()
    (folder / "repaired").touch()
    second = part(folder, *plan)
    assert second.returncode == 0, second.stdout + second.stderr
    assert (folder / "out" / TABLES[1]).is_file() and tables[TABLES[0]].read_text() == before
    assert not (folder / "results/summary").exists()
    runs = json.loads((folder / "out/machine.json").read_text())["runs"]
    assert [run["ended"] for run in runs] == ["1", "finished"]


@pytest.mark.parametrize("option", ["--quick", "--threads=2"])
def test_an_option_without_effect_is_refused(folder, option):
    refused = part(folder, option, "--published-options", "--plan plan.txt")
    assert refused.returncode == 2
    assert f"published has no {option.partition('=')[0]}: the plan determines sizes and threads" in refused.stderr
    assert not (folder / "out").exists()


def test_a_plan_without_commands_is_refused(folder):
    (folder / "plan.txt").write_text("Job stats:\n")
    refused = part(folder, "--published-options", "--plan plan.txt")
    assert refused.returncode == 1 and "plan.txt has no job for a GPU" in refused.stderr
