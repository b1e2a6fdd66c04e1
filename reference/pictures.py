"""Draw the pictures of README.md and docs/reading.md from the tables of the stored run.

python reference/pictures.py
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from weight_importance.figures.atlas import atlas
from weight_importance.figures.correlation import correlation_matrix
from weight_importance.figures.reproduction import reproduction_lambda
from weight_importance.figures.style import SETTINGS
from weight_importance.findings.atlas import COEFFICIENT, pruning_scores, retention_scores
from weight_importance.findings.published import retention
from weight_importance.findings.reproduction import retention_means
from weight_importance.findings.study import stored

ROOT = Path(__file__).parents[1]
MLP = "mlp_permuted_mnist"


def main() -> None:
    with mpl.rc_context(SETTINGS):
        for name, drawn in pictures(ROOT / "reference/default").items():
            drawn.savefig(ROOT / f"docs/{name}.png", dpi=150)


def pictures(folder: Path) -> dict[str, Figure]:
    """Figures by name, from the tables in a folder."""
    findings = stored(folder)
    comparison, protocol = findings[f"{MLP}_atlas"], findings[f"{MLP}_published"].tables["retention"]
    published = retention(ROOT / "workflow/resources/published")
    scores = retention_scores(comparison.tables["retention"], comparison.tables["selected_lambda"])
    return {
        "correlation_matrix": correlation_matrix(findings[MLP].tables["correlation"], "pearson"),
        "reproduction": reproduction_lambda(retention_means(protocol), published[published["study"] == MLP]),
        "atlas": atlas(comparison.similarity, COEFFICIENT, scores, pruning_scores(comparison.tables["pruning"])),
    }


if __name__ == "__main__":
    main()
