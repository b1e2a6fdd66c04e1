"""Store the small tables of a finished run in a folder of reference/, or compare stored accuracies once more.

python reference/store.py hsu --study split_mnist_task     # from results/: settings, accuracies, durations, comparisons
python reference/store.py hsu                              # comparisons alone, from the stored settings and accuracies
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from weight_importance.files.storage import load_tensors, read_table
from weight_importance.files.tables import COLUMNS
from weight_importance.findings import lambda_range
from weight_importance.findings.benchmarks import anchors, compared
from weight_importance.findings.publications import published
from weight_importance.findings.study import studies

ROOT = Path(__file__).parents[1]
RESULTS = Path("results")
FORMAT = "%.7g"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the folder's name in reference/")
    parser.add_argument(
        "--study", help="the study whose notebook was executed; without it, nothing is read from results/"
    )
    arguments = parser.parse_args()
    folder = ROOT / "reference" / arguments.folder
    if arguments.study:
        folder.mkdir(exist_ok=True)
        store(arguments.study, folder)
    for name, table in comparisons(folder).items():
        _write(folder / f"{name}.csv", table)


def store(study: str, folder: Path) -> None:
    """Copy settings, accuracies after the last task, sums of importances, and durations."""
    notebook = next((RESULTS / "notebooks").glob(f"*-{study}.ipynb"))
    parameters = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["papermill"]["parameters"]
    settings = {name: study for name, study in parameters["settings"].items() if study["analyses"]}
    parameters["settings"] = settings
    (folder / "settings.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    files = [RESULTS / "summary" / name / "retention.csv" for name in settings]
    retention = pd.concat(read_table(file, COLUMNS["retention"]) for file in files if file.is_file())
    last = retention.groupby("study")["tasks_learnt"].transform("max")
    _write(folder / "retention.csv", retention[(retention["tasks_learnt"] == last) & (retention["split"] == "test")])
    if "runs" in parameters:
        _write(folder / "totals.csv", _totals(parameters))
    parts = [
        pd.read_csv(file, sep="\t")[["s", "cpu_time"]].assign(stage=file.parts[2])
        for name in settings
        for file in (RESULTS / "benchmarks").glob(f"*/{name}/**/*.tsv")
    ]
    spent = (
        pd.concat(parts).groupby("stage").agg(jobs=("s", "size"), seconds=("s", "sum"), cpu_seconds=("cpu_time", "sum"))
    )
    _write(folder / "durations.csv", spent.round(0).reset_index())


def _totals(parameters: dict) -> pd.DataFrame:
    settings = studies(parameters["settings"])
    parts = []
    for name, study in settings.items():
        for estimator in study.estimators:
            for shard in parameters["shards"]:
                file = RESULTS / "runs" / name / "importance" / estimator / f"{shard}.safetensors"
                values, metadata = load_tensors(file)
                curve = lambda_range.curve(name, settings, estimator)
                parts.append(lambda_range.totals({curve: values}, json.loads(metadata["seeds"])))
    return pd.concat(parts)


def comparisons(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that follow from the stored settings and accuracies, by name."""
    settings = studies(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    retention = read_table(folder / "retention.csv", COLUMNS["retention"])
    totals = folder / "totals.csv"
    if totals.is_file():
        return {"shifts": lambda_range.shifts(lambda_range.curves(settings, retention), pd.read_csv(totals))}
    theirs = published(ROOT / "workflow/resources/published")
    return {"comparison": compared(settings, retention, theirs), "anchors": anchors(settings, retention)}


def _write(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False, float_format=FORMAT, lineterminator="\n")


if __name__ == "__main__":
    main()
