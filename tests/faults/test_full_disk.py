"""The workflow on a full disk: a message each time, no damaged result, and continuation once there is space."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from small_workflow import Run, digests, leftovers, small_checkout

MB = 2**20
FREE, MORE, MOST = 4 * MB, 4 * MB, 400 * MB
"""Free space at the start, space added after each failure, and limit of the test."""

TARGETS = ("results/runs/small/retention/si/seeds-0-1.csv", "results/summary/small/pruning.csv")
"""Files of every kind, made by jobs that write more than a few bytes."""

FULL = re.compile(r"^.*error: .*\bdisk\b.* full .*$", re.MULTILINE)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of a run on a large disk."""
    folder = tmp_path_factory.mktemp("roomy")
    run = Run(small_checkout(folder / "copy"), folder / "run.txt", *TARGETS)
    assert run.wait() == 0, run.screen()[-5000:]
    return digests(folder / "copy")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory whose size can be changed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MOST}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.fail(f"a small disk cannot be mounted here ({mounted.stderr.strip()}): run this test as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def test_on_a_full_disk_every_run_reports_it_and_the_next_continues(
    expected: dict[str, str], disk: Path, tmp_path: Path
) -> None:
    copy = small_checkout(disk / "copy")
    size = shutil.disk_usage(disk).used + FREE
    failures = 0
    while True:
        resize(disk, size)
        run = Run(copy, tmp_path / f"run-{failures}.txt", *TARGETS)
        if run.wait() == 0:
            break
        failures += 1
        observed, messages = digests(copy), FULL.findall(run.screen())
        print(f"{size / MB:.0f} MB, {len(observed)} files:", *dict.fromkeys(messages), sep="\n  ", flush=True)
        assert messages, f"no message about the disk:\n{run.screen()[-5000:]}"
        assert not {name for name in observed if observed[name] != expected[name]}, "a damaged result"
        size += MORE
        assert size < MOST
    assert failures >= 3
    assert digests(copy) == expected
    assert not leftovers(copy)


def test_a_limit_on_file_size_is_reported_and_the_next_run_continues(expected: dict[str, str], tmp_path: Path) -> None:
    """Needs no root: a limit on file size also fails writes half-way."""
    copy = small_checkout(tmp_path / "copy")
    run = Run(copy, tmp_path / "limited.txt", *TARGETS, wrapper=["bash", "-c", 'ulimit -f 600; exec "$@"', "bash"])
    assert run.wait() != 0
    assert re.search(r"^ *error: cannot write results/.*: File too large", run.screen(), re.MULTILINE), run.screen()[
        -5000:
    ]
    assert not digests(copy).items() - expected.items() and not leftovers(copy)
    assert Run(copy, tmp_path / "again.txt", *TARGETS).wait() == 0
    assert digests(copy) == expected
