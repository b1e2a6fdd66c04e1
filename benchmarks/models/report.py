"""The measurements as a table in a file and as a page to read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from models.ways import PEER_BATCH, PEERS
from revision import commit
from speed.importances import TOLERANCE
from speed.table import processor

KEY = ["network", "estimator"]

TYPES = {"numbers": "Int64", "failure": "str", "date": "str", "commit": "str"}
"""Types of columns with empty cells."""

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
- `vmap(grad)` of `torch.func` and other libraries: {batch} samples at a time; wrong: error above {tolerance}

"""


def add(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to ``models.csv``, in place of earlier ones of the same network and estimator; write ``models.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "models.csv"
    about = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": commit()}
    table = pd.DataFrame(rows).assign(processor=processor(torch.device("cpu")), torch=torch.__version__, **about)
    if file.is_file():
        earlier = read(file)
        replaced = earlier[KEY].apply(tuple, axis=1).isin(table[KEY].apply(tuple, axis=1))
        table = pd.concat([earlier[~replaced], table], ignore_index=True)
    table.astype({"numbers": "Int64"}).to_csv(file, index=False, float_format="%.6g")
    (folder / "models.md").write_text(page(read(file)), encoding="utf-8")


def read(file: Path) -> pd.DataFrame:
    """The table in a file."""
    return pd.read_csv(file, dtype=TYPES)


def page(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    shown = pd.DataFrame(
        {
            "network": table.network,
            "parameters": [f"{number / 1e6:.1f} M" for number in table.parameters],
            "samples": table.samples,
            "importance": table.estimator,
            "method": [NAMES.get(way, way) for way in table.way],
            "s per sample": table.seconds_per_sample.map("{:.3g}".format, "ignore"),
            "fixed s": table.seconds_fixed.clip(lower=0).map("{:.2g}".format, "ignore"),
            "speed": table.speed.map("{:.2f}".format, "ignore"),
            "peak memory": table.peak_mib.map("{:,.0f} MiB".format, "ignore"),
            "stored numbers": table.numbers.map("{:,}".format, "ignore"),
            "error": table.apply(_error, axis=1),
            "rank correlation": table.spearman.map("{:.3f}".format, "ignore"),
            "date": table.date,
            "commit": table.commit.str[:10],
        }
    ).fillna("")
    rows = [shown.columns, ["---"] * shown.shape[1], *shown.itertuples(index=False)]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    about = {"processor": table.processor[0], "torch": table.torch[0], "batch": PEER_BATCH, "tolerance": TOLERANCE}
    return TEXT.format(**about) + "\n".join(lines) + "\n"


def _error(row: pd.Series) -> str:
    """The error of a method, or the reason of its failure; only this project's factored importances may differ."""
    if not pd.isna(row.failure):
        return f"failed: `{row.failure}`"
    wrong = row.way in PEERS and not row.error <= TOLERANCE
    return f"wrong (error {row.error:.1e})" if wrong else f"{row.error:.1e}"
