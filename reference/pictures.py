"""Draw the pictures of README.md, docs/reading.md and reference/lambda-range from the stored tables.

python reference/pictures.py
"""

import json
import os
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from weight_importance.figures.atlas import atlas
from weight_importance.figures.correlation import correlation_matrix
from weight_importance.figures.lambda_range import lambda_range as draw_curves
from weight_importance.figures.reproduction import reproduction_tasks
from weight_importance.figures.style import SETTINGS
from weight_importance.files.storage import read_table
from weight_importance.files.tables import COLUMNS
from weight_importance.findings import lambda_range
from weight_importance.findings.atlas import COEFFICIENT, pruning_scores, retention_scores
from weight_importance.findings.published import retention
from weight_importance.findings.reproduction import retention_means
from weight_importance.findings.study import stored, studies
from weight_importance.runtime.own_estimators import VARIABLE

ROOT = Path(__file__).parents[1]
MLP = "mlp_permuted_mnist"


def main() -> None:
    os.environ[VARIABLE] = str(ROOT / "presets/fisher_batched_128.py")
    with mpl.rc_context(SETTINGS):
        for name, drawn in pictures(ROOT / "reference").items():
            drawn.savefig(ROOT / f"docs/{name}.png", dpi=150)
        folder = ROOT / "reference/lambda-range"
        settings = studies(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
        accuracies = lambda_range.curves(
            settings, read_table(next(folder.glob("retention.csv*")), COLUMNS["retention"])
        )
        drawn = draw_curves(accuracies, pd.read_csv(folder / "shifts.csv"))
        drawn.savefig(folder / "curves.png", dpi=150)


def pictures(folder: Path) -> dict[str, Figure]:
    """Figures by name, from the tables in the folders ``default`` and ``published``."""
    findings = stored(folder / "default")
    comparison = findings[f"{MLP}_atlas"]
    protocol = read_table(next((folder / "published").glob("retention.csv*")), COLUMNS["retention"])
    published = retention(ROOT / "workflow/resources/published")
    scores = retention_scores(comparison.tables["retention"], comparison.tables["selected_lambda"])
    return {
        "correlation_matrix": correlation_matrix(findings[MLP].tables["correlation"], "pearson"),
        "reproduction": reproduction_tasks(retention_means(protocol), published[published["study"] == MLP]),
        "atlas": atlas(comparison.similarity, COEFFICIENT, scores, pruning_scores(comparison.tables["pruning"])),
    }


if __name__ == "__main__":
    main()
