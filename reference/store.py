"""Store the small tables of a finished run in a folder of reference/, or compare stored accuracies once more.

python reference/store.py default --run                    # a complete run in results/: tables, paper, description
python reference/store.py ablations --run STUDY            # the same of one study, whose notebook was executed
python reference/store.py hsu --study split_mnist_task     # from results/: settings, accuracies, durations, comparisons
python reference/store.py published --study mlp_permuted_mnist    # the same of the notebook reproduction, with pruning
python reference/store.py hsu --add STUDY --configfile presets/hsu.yaml more.yaml    # further networks or λ of a study
python reference/store.py hsu                              # comparisons alone, from the stored settings and accuracies
"""

import argparse
import gzip
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import yaml
from snakemake.utils import update_config

from weight_importance.files.integrity import checksum
from weight_importance.files.provenance import record_of
from weight_importance.files.storage import load_tensors, read_table
from weight_importance.files.tables import COLUMNS
from weight_importance.findings import lambda_range, publications, published, reproduction, scale
from weight_importance.findings.benchmarks import anchors, compared
from weight_importance.findings.study import studies
from weight_importance.paper.claims import CLAIMS
from weight_importance.runtime.errors import UserError, run_program
from weight_importance.runtime.optional import present
from weight_importance.settings import Study, reading, stand_in

ROOT = Path(__file__).parents[1]
RESULTS = Path("results")
LOGS = RESULTS / "logs"
COST = re.compile(r"^([\d.]+) s, processor ([\d.]+) s, memory \d+ MB$", re.MULTILINE)
"""The last line of the log of a finished job (weight_importance.runtime.errors.run_program)."""

CONTENT = {
    "baseline": "accuracy after the first task",
    "correlation": "correlations of importances after the first task",
    "correlation_null": "null distribution of correlations in the studies that claims refer to",
    "durations": "jobs, seconds and processor seconds by study and stage",
    "paper": "the paper",
    "pruning": "test accuracy after pruning",
    "retention": "accuracies on every task after the last one",
    "selected_lambda": "selected λ",
}
FORMAT = "%.7g"
TABLES = ("baseline", "retention", "selected_lambda", "pruning", "correlation", "correlation_null")
LARGE = 500_000
"""Size in bytes above which a table is compressed."""
KEYS = (
    "study", "split", "scope", "criterion", "estimator", "curve", "lambda", "seed", "fraction", "tasks_learnt", "task",
)  # fmt: skip
"""Columns that identify a row of a stored table."""
POWERS = """
## Power of the claims

Lower bound on the probability that a new run of as many networks supports a claim of the paper, if mean and standard
deviation over networks are those of the reference ([method](../../docs/method.md#baselines-and-selected-strengths)).
Other studies are those of [`default`](../default/README.md). Conditions of the claims:
[claims.py](../../src/weight_importance/paper/claims.py).

<!-- powers: python reference/answers.py -->
<!-- end of the powers -->
"""
"""The end of the page of a study with claims; reference/answers.py inserts the table."""
NOTEBOOKS = ("benchmarks", "lambda_range", "reproduction")
"""Analyses whose settings and comparisons are stored."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the folder's name in reference/")
    parser.add_argument(
        "--study", help="the study whose notebook was executed; without it, nothing is read from results/"
    )
    parser.add_argument(
        "--run", nargs="?", const="", metavar="STUDY", help="store the run in results/, or one study of it"
    )
    parser.add_argument("--add", metavar="STUDY", help="add the networks and λ of results/ to those of a stored study")
    parser.add_argument("--configfile", nargs="*", default=[], help="with --add: the configuration files of its run")
    arguments = parser.parse_args()
    folder = ROOT / "reference" / arguments.folder
    if arguments.run is not None:
        store_run(folder, arguments.run)
        return
    if arguments.study:
        folder.mkdir(parents=True, exist_ok=True)
        store(arguments.study, folder)
    if arguments.add:
        add(arguments.add, folder, arguments.configfile)
    for name, table in comparisons(folder).items():
        _write(folder, name, table)


def store(study: str, folder: Path) -> None:
    """Copy settings, accuracies, sums of importances, and durations of the studies in an executed notebook.

    Raises:
        UserError: there is no such notebook.
    """
    executed = {name: RESULTS / f"notebooks/{name}-{study}.ipynb" for name in NOTEBOOKS}
    analysis, notebook = next(((name, file) for name, file in executed.items() if file.is_file()), (None, Path()))
    if analysis is None:
        raise UserError(f"no notebook of {study} was executed. Run the workflow first: {', '.join(NOTEBOOKS)}")
    parameters = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["papermill"]["parameters"]
    settings = {name: values for name, values in parameters["settings"].items() if values["analyses"]}
    names = [*settings]
    if analysis == "reproduction":
        learning, pruned = (stand_in(study, studies(settings), table) for table in ("retention", "pruning"))
        names = [*dict.fromkeys([learning, pruned])]
        settings = {name: settings[name] for name in (study, *names)}
    (folder / "settings.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    files = [RESULTS / "summary" / name / "retention.csv" for name in names]
    retention = pd.concat(read_table(file, COLUMNS["retention"]) for file in files if file.is_file())
    retention = _after_last_task(retention) if analysis == "lambda_range" else retention
    _write(folder, "retention", retention[retention["split"] == "test"])
    if analysis == "reproduction":
        _write(folder, "pruning", read_table(RESULTS / "summary" / pruned / "pruning.csv", COLUMNS["pruning"]))
    else:
        family = studies(settings)
        chosen = family if analysis == "lambda_range" else {study: family[study]}
        _write(folder, "totals", _totals(chosen, family))
    _write(folder, "durations", _durations(file for name in names for file in LOGS.glob(f"*/{name}/**/*.log")))


def add(study: str, folder: Path, files: Sequence[str]) -> None:
    """Add the accuracies, sums of importances and durations of one study to those in a folder.

    Rows of the same network, estimator and λ are replaced. The results must be those of one run, and in a folder of
    their own, because all durations in its logs are added. A companion of a stored study that is not stored yet is
    added as a whole.

    Raises:
        UserError: the configuration is not that of the run, differs from the stored one in more than networks,
            estimators and ``retention.lambdas``, or the run has nothing new.
    """
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for file in files:
        update_config(config, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    settings = studies(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    new = reading.read(config, ["config.yaml", *files]).studies.get(study)
    if new is None or not {study, new.companion_of} & {*settings}:
        raise UserError(
            f"{folder} has no study '{study}', nor one that it accompanies; it contains: {', '.join(settings)}"
        )
    new = _without_unused(new)
    retention = read_table(RESULTS / "summary" / study / "retention.csv", COLUMNS["retention"])
    _check_networks(new, retention)
    settings[study] = _united(settings.get(study, new), new)
    retention = retention[retention["split"] == "test"]
    tables = {"retention": retention, "durations": _durations(LOGS.glob(f"*/{study}/**/*.log"))}
    if any("lambda_range" in one.analyses for one in settings.values()):
        tables["retention"] = _after_last_task(retention)
        tables["totals"] = _totals({study: new}, settings)
    elif "benchmarks" in new.analyses and [*folder.glob("totals.csv*")]:
        tables["totals"] = _totals({study: new}, settings)
    pruning = RESULTS / "summary" / study / "pruning.csv"
    if pruning.is_file() and [*folder.glob("pruning.csv*")]:
        tables["pruning"] = read_table(pruning, COLUMNS["pruning"])
    both = {name: _joined(folder, name, table) for name, table in tables.items()}
    if len(both["retention"]) == len(_stored(folder, "retention")):
        raise UserError(f"all networks and λ of '{study}' are already stored")
    for name, table in both.items():
        _write(folder, name, table)
    text = json.dumps({name: one.model_dump(mode="json") for name, one in settings.items()}, indent=1, sort_keys=True)
    (folder / "settings.json").write_text(text + "\n", encoding="utf-8")


def _stored(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(next(folder.glob(f"{name}.csv*")), keep_default_na=False, na_values=["nan"])


def _joined(folder: Path, name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a stored table and further ones."""
    old = _stored(folder, name)
    both = pd.concat([old, table[old.columns]], ignore_index=True)
    if name == "durations":
        return both.groupby([key for key in ("study", "stage") if key in both], as_index=False).sum()
    return both.drop_duplicates([column for column in KEYS if column in both], keep="last")


def _without_unused(study: Study) -> Study:
    """The study without penalty strengths of estimators that it does not use, copied from the study it is like."""
    learning = present(study.retention)
    lambdas = {name: strengths for name, strengths in learning.lambdas.items() if name in study.retained()}
    return study.model_copy(update={"retention": learning.model_copy(update={"lambdas": lambdas})})


def _check_networks(study: Study, retention: pd.DataFrame) -> None:
    """Raise UserError if a table has other networks or λ than the settings."""
    learning = present(study.retention)
    seeds = {*range(study.first_seed, study.first_seed + present(learning.seeds or study.seeds))}
    listed = {(name, strength) for name, strengths in learning.lambdas.items() for strength in strengths}
    tuned = retention[retention["estimator"].isin(learning.lambdas)]
    if {*retention["seed"]} != seeds or {*zip(tuned["estimator"], tuned["lambda"], strict=True)} != listed:
        raise UserError(
            "networks or λ of the results differ from those of the configuration; name all files of the run"
        )


def _united(stored: Study, new: Study) -> Study:
    """The settings of results from two runs of a study."""
    values = [study.model_dump(mode="json") for study in (stored, new)]
    ends = [study["first_seed"] + (study["retention"]["seeds"] or study["seeds"]) for study in values]
    first = min(study["first_seed"] for study in values)
    if max(study["first_seed"] for study in values) > min(ends):
        raise UserError(f"there would be a gap between the stored networks and the new ones, from seed {min(ends)}")
    learning = [study["retention"] for study in values]
    lambdas = {
        name: sorted({*learning[0]["lambdas"].get(name, ()), *learning[1]["lambdas"].get(name, ())})
        for name in learning[0]["lambdas"] | learning[1]["lambdas"]
    }
    estimators = list(dict.fromkeys(name for study in values for name in study["estimators"]))
    for study, retention in zip(values, learning, strict=True):
        study |= {"estimators": estimators, "first_seed": first, "seeds": max(ends) - first, "shard_size": 1}
        further = {key: any(one[key] for one in learning) for key in ("unpenalised", "joint")}
        retention |= {"lambdas": lambdas, "seeds": None, **further}
    differing = [
        name
        for part, prefix in ((values, ""), (learning, "retention."))
        for name in (f"{prefix}{key}" for key in part[0] if part[0][key] != part[1][key])
        if name != "retention"
    ]
    if differing:
        raise UserError(f"the settings of the stored results and of the run differ in {', '.join(differing)}")
    return Study.model_validate(values[0])


def store_run(folder: Path, study: str = "") -> None:
    """Store the tables of a complete run (with the paper) or of one study, durations, and a description with checksums.

    Raises:
        UserError: the run is not complete.
    """
    finished = next((RESULTS / "notebooks").glob(f"*-{study}.html"), None) if study else RESULTS / "paper/main.pdf"
    if finished is None or not finished.is_file():
        raise UserError(f"there is no finished run of {study or 'all studies'}. Run the workflow first (make paper)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = {name: RESULTS / "summary" / study / f"{name}.csv" for name in TABLES}
    tables = {name: read_table(file, COLUMNS[name]) for name, file in files.items() if not study or file.is_file()}
    if "retention" in tables:
        tables["retention"] = _after_last_task(tables["retention"])
    if "correlation_null" in tables:
        claimed = tables["correlation_null"]["study"].isin({claim.study for claim in CLAIMS.values()})
        tables["correlation_null"] = tables["correlation_null"][claimed]
    for name, table in tables.items():
        if len(table):
            _write(folder, name, table)
    _write(folder, "durations", _durations(LOGS.rglob(f"{study}/**/*.log" if study else "*.log")))
    if not study:
        shutil.copyfile(finished, folder / "paper.pdf")
    about = _description(folder, study, finished)
    (folder / "run.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_page(folder.name, study, about), encoding="utf-8")


def _description(folder: Path, study: str, finished: Path) -> dict:
    presets = json.loads((RESULTS / ".presets.json").read_text(encoding="utf-8"))["presets"]
    runs = RESULTS / "runs" / study
    computed = min([*runs.rglob("retention/*/*.csv")] or [*runs.rglob("*.csv")])
    records = [json.loads(record_of(file).read_text(encoding="utf-8")) for file in (computed, finished)]
    durations = pd.read_csv(folder / "durations.csv")
    names = re.findall("model name\\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    target = [str(finished)] if study else []
    return {
        "command": " ".join(["snakemake --cores all", *target, *(f"--configfile {name}" for name in presets)]),
        "commit": _commit(records[0]),
        "date": datetime.fromtimestamp(finished.stat().st_mtime, UTC).date().isoformat(),
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "device": records[0]["device"],
        "versions": records[0]["versions"] | records[1]["versions"],
        "cpu_minutes": round(durations["cpu_seconds"].sum() / 60),
        "settings": {name: settings for name, settings in scale.of_run(RESULTS).items() if study in ("", name)},
        "sha256": {file.name: checksum(file) for file in sorted(folder.iterdir())},
    }


def _commit(record: dict) -> str:
    """The commit in the paper; without a paper, that of this checkout, marked if its code differs from the record."""
    version = RESULTS / "paper/build/version.tex"
    if version.is_file():
        return re.sub(r".*version}{(.*)}\s*", r"\1", version.read_text(encoding="utf-8")).replace("\\", "")
    command = ["git", "-C", ROOT, "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    same = all(checksum(ROOT / file) == sha256 for file, sha256 in record["code"]["files"].items())
    return commit if same else f"{commit}+changes"


def _page(name: str, study: str, about: dict) -> str:
    versions = ", ".join(f"{package} {number}" for package, number in about["versions"].items())
    files = "\n".join(
        f"| `{file}` | {CONTENT[file.partition('.')[0]]} | `{sha256}` |" for file, sha256 in about["sha256"].items()
    )
    powers = POWERS if study in {claim.study for claim in CLAIMS.values()} else ""
    title = f"Study `{study}`" if study else "A complete run: the reference of `make compare`"
    title += ": part of the reference of `make compare`" if powers else ""
    arguments = f"{name} --run {study}".strip()
    jobs = "the study's jobs" if study else "all jobs"
    return f"""# {title}

`python reference/store.py {arguments}` writes this folder, this page included, from a finished run of

    {about["command"]}

| | |
| --- | --- |
| commit | `{about["commit"]}` |
| date | {about["date"]} |
| processor | {about["processor"]}, {about["cores"]} cores, {about["memory_gib"]} GiB of memory |
| device | {", ".join(f"{part}: {value}" for part, value in about["device"].items())} |
| versions | {versions} |
| processor time of {jobs}, without the kernels of notebooks | {about["cpu_minutes"]} minutes |

Tables have the columns of `results/summary` ([description](../../results/README.md)), and seven significant digits.

| file | content | SHA-256 |
| --- | --- | --- |
{files}
{powers}"""


def _after_last_task(retention: pd.DataFrame) -> pd.DataFrame:
    return retention[retention["tasks_learnt"] == retention.groupby("study")["tasks_learnt"].transform("max")]


def _durations(logs: Iterable[Path]) -> pd.DataFrame:
    """Jobs, seconds and processor seconds by study (``all``: no single one) and stage.

    They lack the processor time of notebooks' kernels that are forks.
    """
    names = {folder.name for folder in (RESULTS / "runs").glob("*")}
    rows = []
    for log in logs:
        stage, *others = log.relative_to(LOGS).with_suffix("").parts
        if cost := COST.search(log.read_text(encoding="utf-8", errors="replace")):
            study = next((part for part in others if part in names), "all")
            rows.append((study, stage, float(cost[1]), float(cost[2])))
    if not rows:
        raise UserError(
            f"no log in {LOGS} ends with the cost of its job. Make the results again with the current version."
        )
    groups = pd.DataFrame(rows, columns=["study", "stage", "seconds", "cpu_seconds"]).groupby(["study", "stage"])
    return (
        groups.agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), cpu_seconds=("cpu_seconds", "sum"))
        .round(1)
        .reset_index()
    )


def _totals(chosen: Mapping[str, Study], settings: Mapping[str, Study]) -> pd.DataFrame:
    parts = []
    for name, study in chosen.items():
        for estimator in study.estimators:
            for file in sorted((RESULTS / "runs" / name / "importance" / estimator).glob("seeds-*.safetensors")):
                values, metadata = load_tensors(file)
                curve = lambda_range.curve(name, settings, estimator)
                parts.append(lambda_range.totals({curve: values}, json.loads(metadata["seeds"])))
    return pd.concat(parts)


def comparisons(folder: Path) -> dict[str, pd.DataFrame]:
    """Tables by name, computed from the stored settings and accuracies."""
    settings = studies(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    retention = _read(folder, "retention")
    study_of = {analysis: name for name, study in settings.items() for analysis in study.analyses}
    if "lambda_range" in study_of:
        totals = pd.read_csv(folder / "totals.csv")
        return {"shifts": lambda_range.shifts(lambda_range.curves(settings, retention), totals)}
    literature = ROOT / "workflow/resources/published"
    if "reproduction" in study_of:
        observed = retention, _read(folder, "pruning")
        others = published.retention(literature), published.pruning(literature)
        return {"reproduction": reproduction.comparisons(study_of["reproduction"], settings, *observed, *others)}
    comparison = compared(settings, retention, publications.published(literature))
    pairs = anchors(settings, retention)
    return {"comparison": comparison} | ({"anchors": pairs} if len(pairs) else {})


def _read(folder: Path, name: str) -> pd.DataFrame:
    return read_table(next(folder.glob(f"{name}.csv*")), COLUMNS[name])


def _write(folder: Path, name: str, table: pd.DataFrame) -> None:
    text = table.to_csv(index=False, float_format=FORMAT, na_rep="nan", lineterminator="\n").encode()
    large = len(text) > LARGE
    content = gzip.compress(text, mtime=0) if large else text
    for old in folder.glob(f"{name}.csv*"):
        old.unlink()
    (folder / (f"{name}.csv.gz" if large else f"{name}.csv")).write_bytes(content)


if __name__ == "__main__":
    run_program(main)
