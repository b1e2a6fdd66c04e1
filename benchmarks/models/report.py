"""The measurements as a table in a file and as a page to read."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

NAMES = {
    "loop": "loop over samples",
    "estimate": "`estimate`",
    "margins": "`factored`, exact margins",
    "product": "`factored`, product of two hooks",
}

TEXT = """# Importances of networks that people use

Random weights and random samples, one thread of a processor {processor}, torch {torch}; written by
`python benchmarks/models`.

- s per sample: processor time, the comparison of a few samples with plain automatic differentiation included
- speed: how many times as fast as the loop
- peak memory: above that of the network and the samples
- error: the largest difference from the loop over the largest value, of the worst tensor
- rank correlation with the loop within weight tensors, mean over these

"""


def write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``models.csv`` and ``models.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows).assign(processor=processor(), torch=torch.__version__)
    table.to_csv(folder / "models.csv", index=False, float_format="%.6g")
    (folder / "models.md").write_text(page(table), encoding="utf-8")


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def page(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    shown = pd.DataFrame(
        {
            "network": table.network,
            "parameters": [f"{number / 1e6:.1f} M" for number in table.parameters],
            "samples": table.samples,
            "importance": table.estimator,
            "way": table.way.map(NAMES),
            "s per sample": [f"{seconds:.3g}" for seconds in table.seconds_per_sample],
            "speed": [f"{ratio:.2f}" for ratio in table.speed],
            "peak memory": [f"{size:,.0f} MiB" for size in table.peak_mib],
            "numbers held": [f"{number:,}" for number in table.numbers],
            "error": [f"{error:.1e}" for error in table.error],
            "rank correlation": [f"{value:.3f}" for value in table.spearman],
        }
    )
    rows = [shown.columns, ["---"] * shown.shape[1], *shown.itertuples(index=False)]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return TEXT.format(processor=table.processor[0], torch=table.torch[0]) + "\n".join(lines) + "\n"
