"""The workflow killed at random moments: the same command continues it, and the results are the same bytes.

Environment variables change the test: ``FAULT_KILLS`` (number of kills), ``FAULT_SEED``, ``FAULT_EVERY`` (mean seconds
between two), ``FAULT_TABLE`` (file for the table). ``FAULT_FOLDER`` keeps the checkout with the digests of an
uninterrupted run for further attempts.
"""

import json
import os
import random
from pathlib import Path

import pytest

from small_workflow import EVERYTHING, KINDS, SHELL, SNAKEMAKE, Run, digests, forget, leftovers, small_checkout

KILLS = int(os.environ.get("FAULT_KILLS", "30"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
TABLE = Path(os.environ.get("FAULT_TABLE", Path(__file__).parents[2] / "results/faults.md"))
HEAD = """
| kill | round | after (s) | killed | running then | went on, and all identical |
| ---: | ---: | ---: | --- | --- | --- |
"""
PER_ROUND = 10
"""Default number of kills during the time of an uninterrupted run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("FAULT_FOLDER")
    copy = (Path(kept) if kept else tmp_path_factory.mktemp("small")) / "copy"
    return copy if copy.exists() else small_checkout(copy)


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> tuple[dict[str, str], float]:
    """Digests and seconds of an uninterrupted run."""
    kept = folder.with_name("uninterrupted.json")
    if not kept.exists():
        run = Run(folder, folder.with_name("uninterrupted.txt"))
        assert run.wait() == 0, run.screen()[-5000:]
        kept.write_text(json.dumps([digests(folder), run.seconds()]), encoding="utf-8")
    return tuple(json.loads(kept.read_text(encoding="utf-8")))


def test_a_killed_run_continues_to_the_same_bytes(
    folder: Path, uninterrupted: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    expected, duration = uninterrupted
    every = float(os.environ.get("FAULT_EVERY", duration / PER_ROUND))
    assert len(expected) > 70 and "paper/main.pdf" in expected
    forget(folder)

    chance = random.Random(SEED)
    kinds = [kind for _ in range(0, KILLS, len(KINDS)) for kind in chance.sample(KINDS, len(KINDS))][:KILLS]
    rows: list[dict[str, object]] = []
    number, round_number, of_round = 0, 1, 0
    while number < KILLS or of_round < len(rows):
        run, hit = Run(folder, tmp_path / f"run-{number}.txt"), []
        while not {EVERYTHING, SNAKEMAKE} & {*hit}:  # the run continues without a killed job, and is killed again
            delay = chance.uniform(0, 2 * every) if number < KILLS else None
            status = run.wait(delay)
            if status is not None:
                break
            after, kill = run.seconds(), run.kill(kinds[number], chance)
            number += 1
            row = {"kill": number, "round": round_number, "after (s)": f"{after:.0f}", "killed": kill.kind}
            rows.append(row | {"running then": ", ".join(kill.running) or "planning", "identical": ""})
            print(*rows[-1].values(), sep=" | ", flush=True)
            hit.append(kill.kind)
        if status is None:
            continue
        if status and hit:
            explained = "the job was killed (signal 9)", "the process that starts the jobs has ended"
            assert any(text in run.screen() for text in explained) or SHELL in hit, run.screen()[-5000:]
            continue
        assert status == 0, f"the same command did not go on (exit status {status}):\n{run.screen()[-5000:]}"
        observed = digests(folder)
        different = sorted(
            name for name in expected.keys() | observed.keys() if expected.get(name) != observed.get(name)
        )
        for row in rows[of_round:]:
            row["identical"] = "no" if different else "yes"
        write(rows, duration, len(expected))
        assert not different
        assert not leftovers(folder)
        of_round, round_number = len(rows), round_number + 1
        forget(folder)


def write(rows: list[dict[str, object]], duration: float, files: int) -> None:
    """Write the fault table as Markdown."""
    lines = ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
    same = sum(row["identical"] == "yes" for row in rows)
    summary = (
        f"{len(rows)} kills (seed {SEED}), after which the same command continued and ended with the same bytes in all "
        f"{files} files: {same}. An uninterrupted run took {duration:.0f} s.\n"
    )
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(summary + HEAD + "\n".join(lines) + "\n", encoding="utf-8")
