"""The workflow killed at random moments: the same command goes on every time, and the results are the same bytes.

Variables of the environment change how it is tried: ``FAULT_KILLS`` how many kills there are, ``FAULT_SEED`` which,
``FAULT_EVERY`` the mean seconds between two; ``FAULT_TABLE`` says where the table of all goes. In ``FAULT_FOLDER`` the
checkout is kept with what an uninterrupted run left: another try need not begin with one.
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
PER_ROUND = 30
"""So many kills fall, by default, into the time of an uninterrupted run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("FAULT_FOLDER")
    copy = (Path(kept) if kept else tmp_path_factory.mktemp("small")) / "copy"
    return copy if copy.exists() else small_checkout(copy)


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> tuple[dict[str, str], float]:
    """What a run that nothing happens to leaves, and its seconds."""
    kept = folder.with_name("uninterrupted.json")
    if not kept.exists():
        run = Run(folder, folder.with_name("uninterrupted.txt"))
        assert run.wait() == 0, run.said()[-5000:]
        kept.write_text(json.dumps([digests(folder), run.seconds()]), encoding="utf-8")
    return tuple(json.loads(kept.read_text(encoding="utf-8")))


def test_killed_at_any_moment_the_same_command_goes_on_to_the_same_bytes(
    folder: Path, uninterrupted: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    expected, whole = uninterrupted
    every = float(os.environ.get("FAULT_EVERY", whole / PER_ROUND))
    assert len(expected) > 70 and "paper/main.pdf" in expected
    forget(folder)

    chance = random.Random(SEED)
    kinds = [kind for _ in range(0, KILLS, len(KINDS)) for kind in chance.sample(KINDS, len(KINDS))][:KILLS]
    rows: list[dict[str, object]] = []
    number, round_number, of_round = 0, 1, 0
    while number < KILLS or of_round < len(rows):
        run, hit = Run(folder, tmp_path / f"run-{number}.txt"), []
        while not {EVERYTHING, SNAKEMAKE} & {*hit}:  # beside a killed job the run goes on, and is killed again
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
            assert "the job was killed (signal 9)" in run.said() or SHELL in hit, run.said()[-5000:]
            continue
        assert status == 0, f"the same command did not go on (exit status {status}):\n{run.said()[-5000:]}"
        found = digests(folder)
        different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        for row in rows[of_round:]:
            row["identical"] = "no" if different else "yes"
        write(rows, whole, len(expected))
        assert not different
        assert not leftovers(folder)
        of_round, round_number = len(rows), round_number + 1
        forget(folder)


def write(rows: list[dict[str, object]], whole: float, files: int) -> None:
    """The fault table, as Markdown."""
    lines = ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
    same = sum(row["identical"] == "yes" for row in rows)
    told = (
        f"{len(rows)} kills (seed {SEED}), after which the same command went on and ended with the same bytes in all "
        f"{files} files: {same}. An uninterrupted run took {whole:.0f} s.\n"
    )
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(told + HEAD + "\n".join(lines) + "\n", encoding="utf-8")
