"""The measurements as a table in a file and as a page to read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from speed.table import processor

KEY = ["network", "estimator"]

NAMES = {
    "loop": "loop over samples",
    "estimate": "`estimate`",
    "margins": "`factored`, exact margins",
    "product": "`factored`, product of two hooks",
}

TEXT = """# Importances of common networks

Random weights and random samples, one thread of a processor {processor}, torch {torch}; written by
`python benchmarks/models`.

- s per sample: processor time for every further sample
- fixed s: processor time once per call, to compare four samples with plain automatic differentiation
- speed: how many times as fast as the loop, per sample
- peak memory: above that of the network and the samples
- error: the largest difference from the loop over the largest value, of the worst tensor
- rank correlation with the loop within weight tensors, mean over these

"""


def add(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to ``models.csv``, in place of earlier ones of the same network and estimator; write ``models.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "models.csv"
    table = pd.DataFrame(rows).assign(processor=processor(torch.device("cpu")), torch=torch.__version__)
    if file.is_file():
        earlier = pd.read_csv(file)
        replaced = earlier[KEY].apply(tuple, axis=1).isin(table[KEY].apply(tuple, axis=1))
        table = pd.concat([earlier[~replaced], table], ignore_index=True)
    table.to_csv(file, index=False, float_format="%.6g")
    (folder / "models.md").write_text(page(pd.read_csv(file)), encoding="utf-8")


def page(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    shown = pd.DataFrame(
        {
            "network": table.network,
            "parameters": [f"{number / 1e6:.1f} M" for number in table.parameters],
            "samples": table.samples,
            "importance": table.estimator,
            "method": table.way.map(NAMES),
            "s per sample": [f"{seconds:.3g}" for seconds in table.seconds_per_sample],
            "fixed s": [f"{max(seconds, 0):.2g}" for seconds in table.seconds_fixed],
            "speed": [f"{ratio:.2f}" for ratio in table.speed],
            "peak memory": [f"{size:,.0f} MiB" for size in table.peak_mib],
            "stored numbers": [f"{number:,}" for number in table.numbers],
            "error": [f"{error:.1e}" for error in table.error],
            "rank correlation": [f"{value:.3f}" for value in table.spearman],
        }
    )
    rows = [shown.columns, ["---"] * shown.shape[1], *shown.itertuples(index=False)]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return TEXT.format(processor=table.processor[0], torch=table.torch[0]) + "\n".join(lines) + "\n"
