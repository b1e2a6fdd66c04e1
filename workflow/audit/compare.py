"""Compare the run in results/ with a reference run: does it agree, and does it support the same claims?

Writes results/compare.md (settings that differ, claims, and the quantities that do not agree), results/compare.csv (all
quantities) and results/compare.pdf (differences with their intervals).
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from weight_importance.figures.rerun import differences
from weight_importance.figures.style import save
from weight_importance.files.storage import read_table, write_text
from weight_importance.files.tables import COLUMNS
from weight_importance.findings import scale
from weight_importance.findings.power import TARGET_POWER
from weight_importance.findings.rerun import OUTCOMES, Quantity, accuracies, compared, pruned, verdict
from weight_importance.findings.study import Findings, by_study, stored
from weight_importance.paper.claims import CLAIMS
from weight_importance.runtime.errors import UserError, run_program

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "reference/default"
MORE_NETWORKS = [ROOT / "reference/ablations"]
"""Stored studies that replace studies of the default run."""
SUMMARY = Path("results/summary")
REPORT = Path("results/compare.md")
READ = ("correlation", "correlation_null", "retention", "selected_lambda", "pruning")
ACCURACIES = {"average accuracy": accuracies, "accuracy after pruning": pruned}
HELD = {True: "supported", False: "not supported", None: "not computed"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--reference",
        type=Path,
        nargs="+",
        default=[DEFAULT, *filter(Path.is_dir, MORE_NETWORKS)],
        metavar="FOLDER",
        help="folders of the reference; the studies of a later one replace those of an earlier one",
    )
    arguments = parser.parse_args()
    reference, rerun = reference_run(arguments.reference), computed()
    claims, quantities = claims_compared(reference, rerun)
    tallies, tables = zip(*(accuracies_compared(reference, rerun, *kind) for kind in ACCURACIES.items()), strict=True)
    table = pd.concat([quantities, *tables], ignore_index=True)
    other = table[~table["outcome"].isin(["agrees", "missing"])]
    write_text(REPORT.with_suffix(".csv"), table.to_csv(index=False, float_format="%.7g", lineterminator="\n"))
    save(differences(quantities), REPORT.with_suffix(".pdf"))
    runs = [json.loads((folder / "run.json").read_text(encoding="utf-8")) for folder in arguments.reference]
    settings = settings_compared(runs, reference, rerun)
    write_text(REPORT, page(runs, settings, claims, tallies, other))
    print(settings, end="\n\n")
    print(markdown(claims))
    both, same = (int(claims["same"].isin(answers).sum()) for answers in (["yes", "no"], ["yes"]))
    print(f"\nSame verdict as in the reference: {same} of {both} claims that both runs compute.")
    print(f"Quantities: {counts(table['outcome'])}. Details: {REPORT}, .csv, .pdf")


def reference_run(folders: Sequence[Path]) -> dict[str, Findings]:
    """Findings of a reference by study.

    Raises:
        UserError: a folder has no stored run.
    """
    for folder in folders:
        if not (folder / "run.json").is_file():
            raise UserError(
                f"there is no reference in {folder}: run.json is missing. Store a finished run as the reference:\n"
                f"  python reference/store.py {folder.name} --run"
            )
    return {study: findings for folder in folders for study, findings in stored(folder).items()}


def computed() -> dict[str, Findings]:
    """Findings of the run in ``results/`` by study; the run may lack studies.

    Raises:
        UserError: there is no run.
    """
    tables = {}
    claimed = {claim.study for claim in CLAIMS.values()}
    for name in READ:
        files = [
            file
            for file in sorted(SUMMARY.glob(f"*/{name}.csv"))
            if file.parent.name in claimed or not name.startswith("correlation")
        ]
        parts = [read_table(file, COLUMNS[name]) for file in files]
        tables[name] = pd.concat(parts) if parts else pd.DataFrame(columns=list(COLUMNS[name]))
    if all(table.empty for table in tables.values()):
        raise UserError(f"there is no run to compare: {SUMMARY} has no tables. Run the workflow first (make paper)")
    return by_study(tables)


def settings_compared(runs: Sequence[Mapping], reference: Mapping[str, Findings], rerun: Mapping[str, Findings]) -> str:
    """A list of the settings that differ, or a sentence if there are none."""
    of_reference = {study: settings for run in runs for study, settings in run.get("settings", {}).items()}
    lines = scale.differences(
        *(
            {study: {"networks": networks(run[study])} | settings for study, settings in of_run.items() if study in run}
            for run, of_run in ((reference, of_reference), (rerun, scale.of_run(SUMMARY.parent)))
        )
    )
    if not lines:
        return "The run has the settings of the reference."
    heading = "Settings differ from those of the reference, so results are expected to differ, too:"
    return "\n".join([heading, "", *(f"- {line}" for line in lines)])


def networks(findings: Findings) -> int:
    """The number of networks that learnt the later tasks, else of those whose importances are compared or pruned."""
    tables = [findings.tables[name] for name in ("retention", "correlation", "pruning") if findings.has(name)]
    return tables[0]["seed"].nunique() if tables else 0


def claims_compared(
    reference: Mapping[str, Findings], rerun: Mapping[str, Findings]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per claim, and the quantities behind the claims."""
    rows, parts = [], []
    for key, claim in CLAIMS.items():
        runs = [findings.get(claim.study) for findings in (reference, rerun)]
        numbers = [[] if run is None or not run.has(claim.table) else claim.quantities(run) for run in runs]
        held = [claim.is_supported(run) if run and values else None for run, values in zip(runs, numbers, strict=True)]
        reference_values, rerun_values = numbers
        table = compared(reference_values, rerun_values)
        rows.append(
            {"claim": key, "reference": HELD[held[0]], "rerun": HELD[held[1]]}
            | {
                "same": "-" if None in held else "yes" if held[0] == held[1] else "no",
                "quantities": verdict([*table["outcome"]]) if len(table) else "-",
            }
            | claim.powers(reference_values)
        )
        parts.append(table.assign(part=key))
    return pd.DataFrame(rows), pd.concat(parts, ignore_index=True)


def accuracies_compared(
    reference: Mapping[str, Findings],
    rerun: Mapping[str, Findings],
    kind: str,
    of_study: Callable[[Findings], list[Quantity]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per study, and all accuracies of one kind (:data:`ACCURACIES`)."""
    rows, parts = [], []
    for study in sorted(set(reference) & set(rerun)):
        table = compared(of_study(reference[study]), of_study(rerun[study]))
        if len(table):
            tally = table["outcome"].value_counts()
            rows.append({"study": study} | {name: int(tally.get(name, 0)) for name in OUTCOMES})
            parts.append(table.assign(part=f"{kind}, {study}"))
    return pd.DataFrame(rows), pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def page(
    runs: Sequence[Mapping], settings: str, claims: pd.DataFrame, tallies: Sequence[pd.DataFrame], other: pd.DataFrame
) -> str:
    """The report in Markdown."""
    average, pruning = tallies
    shown = [
        {"": row["part"], "quantity": f"`{row['quantity']}`"}
        | {kind: percent(row, kind) for kind in ("reference", "rerun", "difference")}
        | {"margin": f"{100 * row['margin']:g}", "outcome": row["outcome"]}
        for row in other.to_dict("records")
    ]
    made = "\n".join(
        f"- {run['date']}, commit `{run['commit']}`, {run['processor']}: `{run['command']}`" for run in runs
    )
    return f"""# This run compared with the reference

The reference:

{made}

## Settings

{settings}

## How to read the outcomes

A quantity *agrees* if two one-sided tests (TOST) show that rerun and reference differ by less than the margin. It
*differs* if they do not, and a test of no difference rejects; otherwise it is *undecided*. If one run has all seeds of
the other, both are compared network by network over these seeds; otherwise by Welch's tests. p values are adjusted
(Holm) within each claim, and within each study separately for average accuracies and accuracies after pruning.

## Claims

`quantities` is the outcome of the numbers behind the claim. `power` is a lower bound on the probability
that a new run with the reference's number of `networks` supports the claim, given the reference's mean and variance;
below {TARGET_POWER} it is low. `needed` is the number of networks for {TARGET_POWER}.

{markdown(claims)}

## Average accuracies after the last task

Number of conditions by outcome, each at its selected λ; the margin is one percentage point.

{markdown(average)}

## Accuracies after pruning

Number of criteria by outcome, in both scopes (`tensor`: the same fraction of each weight matrix is removed; `network`:
of all weights), each averaged over the fractions removed; the margin is one percentage point.

{markdown(pruning)}

## Quantities that do not agree

Accuracies in per cent and correlations times 100, with 95 % intervals.

{markdown(pd.DataFrame(shown))}
"""


def percent(row: Mapping[str, float], kind: str) -> str:
    mean, low, high = (100 * row[f"{part}_{kind}"] for part in ("mean", "low", "high"))
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"


def markdown(table: pd.DataFrame) -> str:
    if table.empty:
        return "None."
    lines = [
        [*table.columns],
        ["---"] * len(table.columns),
        *([*map(str, row)] for row in table.itertuples(index=False)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def counts(outcomes: pd.Series) -> str:
    tally = outcomes.value_counts()
    return ", ".join(f"{tally[name]} {name}" for name in OUTCOMES if name in tally)


if __name__ == "__main__":
    run_program(main)
